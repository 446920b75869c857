/* SPDX-License-Identifier: Apache-2.0
 *
 * state, inside: the rows of every table and the parts of the room. Layouts are what snapshots
 * store; changing one changes the format (docs/FORMATS.md).
 */
#ifndef STATE_STATE_PRIV_H
#define STATE_STATE_PRIV_H

#include "base/buf.h"
#include "state/decay.h"
#include "state/expire.h"
#include "state/figures.h"
#include "state/state.h"

/* ---- text: ids and documents ---------------------------------------------------------------- */

/* A heap of 16-byte units. Short texts are one run; documents are chains of chunks. Free runs wait in
 * lists by size (text.c). */
enum { TEXT_UNIT = 16, TEXT_CHUNK_UNITS_MAX = 1024 };

uint32_t state__text_add(struct base_rows *text, struct fr_slice bytes); /* one run; 0 = full */
void state__text_free(struct base_rows *text, uint32_t ref, size_t bytes);
/* R. Is the text at `ref` (may be 0) this one? Read by words: it may be another's by now. */
bool state__text_is(const struct base_rows *text, uint32_t ref, struct fr_slice bytes);
static inline const char *state__text_at(const struct base_rows *text, uint32_t ref)
{
    return base_rows_at(text, ref);
}
/* A document as a chain of chunks; the first's index, 0 when full. Replaced ones are freed. */
uint32_t state__document_add(struct base_rows *text, struct fr_slice bytes);
void state__document_free(struct base_rows *text, uint32_t ref);
/* Copies `bytes` of a chain; false when the chain is shorter (torn by a concurrent change). */
bool state__document_copy(const struct base_rows *text, uint32_t ref, void *to, size_t bytes);

/* ---- id maps: hash to index, derived, never saved ------------------------------------------- */

/* 256 sub-tables by the hash's top bits, each growing alone, so that no insert waits long. Readers
 * look while the writer inserts: slots are single 64-bit words (hash's upper half, index); an
 * outgrown array stays until the map is freed. */
struct map;
struct map *state__map_new(uint64_t seed);
void state__map_free(struct map *map);
void state__map_clear(struct map *map);
/* Writer, alone, of an empty map: room for so many ids at once, so that nothing outgrown stays. */
void state__map_reserve(struct map *map, uint64_t count);
/* Next candidate for a hash; cursor 0 at first; 0 = no more. The caller compares the text. */
uint32_t state__map_next(const struct map *map, uint64_t hash, uint32_t *cursor);
bool state__map_add(struct map *map, uint64_t hash, uint32_t index);    /* false: no memory */
void state__map_remove(struct map *map, uint64_t hash, uint32_t index); /* it is there */
/* R. Who did not find an id looks again when this version (base_row_read_begin()) has changed meanwhile:
 * entries move when another is removed. */
const uint32_t *state__map_version(const struct map *map, uint64_t hash);
size_t state__map_bytes(const struct map *map);
uint64_t state__map_bytes_max(uint64_t count); /* with so many ids, outgrown arrays included */
uint64_t state__map_hash(const struct map *map, struct fr_slice text);
void state__map_prefetch(const struct map *map, uint64_t hash);

/* ---- rows ----------------------------------------------------------------------------------- */

struct item_row { /* 128 bytes */
    uint32_t version;
    uint32_t text; /* id */
    uint16_t id_bytes;
    uint16_t flags;    /* enum state_item_flag */
    uint32_t document; /* chain; 0 = never PUT */
    uint32_t document_bytes;
    uint32_t published_s, expires_s;
    uint32_t first_s, last_s;
    uint32_t event_count;
    uint32_t touch_s; /* of popularity */
    uint32_t popularity[STATE_HALF_COUNT];
    uint32_t pairs; /* neighbour row */
    uint32_t author;
    uint32_t tokens; /* run in the text heap: u32 each, a word's times in the upper 4 bits */
    uint32_t token_count;
    uint32_t categories[STATE_ITEM_CATEGORIES_MAX];
    uint32_t next; /* expired: in its list; else the number of its last event */
    uint32_t lives;
    uint32_t spare[2];
};

struct user_row { /* 64 bytes */
    uint32_t version;
    uint32_t text;
    uint16_t id_bytes;
    uint16_t flags; /* STATE__EXPIRED */
    uint32_t document;
    uint32_t document_bytes;
    uint32_t newest, oldest; /* chunks of the history */
    uint32_t newest_count;   /* visits in the newest chunk */
    uint32_t visit_count;    /* kept visits */
    uint32_t last_s;
    uint32_t last_tag;
    uint32_t older; /* chain of seen items beyond the history */
    uint32_t older_count;
    uint32_t event_count;
    uint32_t next; /* expired: in its list; else the number of its last event */
    uint32_t lives;
};

enum { CHUNK_VISITS = 7, OLDER_ITEMS = 14, OLDER_MAX = 16384 };
struct chunk_row { /* 128 bytes; only the newest of a user may be less than full */
    uint32_t older, newer;
    struct state_visit visits[CHUNK_VISITS]; /* oldest first */
    uint32_t spare[2];
};
struct older_row { /* 64 bytes */
    uint32_t next, count;
    uint32_t items[OLDER_ITEMS];
};

struct value_row { /* a context value: 32 bytes */
    uint32_t text;
    uint16_t id_bytes;
    uint16_t field;
    uint32_t pairs; /* popularity in this context */
    uint16_t flags; /* STATE__EXPIRED */
    uint16_t spare;
    uint32_t event_count;
    uint32_t next; /* expired: in its list; else the number of its last event */
    uint32_t lives;
    uint32_t spare2;
};

enum { TOKEN_RING = 24 };
struct token_row { /* 128 bytes */
    uint32_t text;
    uint16_t id_bytes;
    uint16_t kind;       /* 'c' category, 't' tag, 'a' author, 'w' word */
    uint32_t item_count; /* document frequency */
    uint32_t pairs;      /* popularity in this category */
    uint32_t ring_at;    /* next place in the ring of the newest items */
    uint32_t ring[TOKEN_RING];
    uint32_t next; /* expired: in its list; else when it was new, in events */
    uint32_t lives;
    uint16_t flags; /* STATE__EXPIRED */
    uint16_t spare;
};

struct dedupe_row { /* 24 bytes */
    uint32_t key[4];
    uint32_t body;
    uint32_t time_s;
};

struct source_row { /* 32 bytes */
    uint32_t text;
    uint32_t id_bytes;
    int32_t partition;
    uint32_t spare;
    int64_t next;
    uint64_t spare2;
};

/* When long-term counts were aged (state_age_counts()): those of a neighbour row that was last
 * touched before such a moment are shifted down by AGED_BITS for each. A ring. */
enum { AGED_KEPT = 8, AGED_BITS = 4 };
struct ages {
    uint32_t last_s, at;
    uint32_t moment_s[AGED_KEPT];
};
static inline uint32_t state__aged_bits(const struct ages *ages, uint32_t touch_s)
{
    uint32_t bits = 0;
    if (FR_LOAD(ages->last_s) <= touch_s)
        return 0;
    for (uint32_t a = 0; a < AGED_KEPT; a++)
        bits += FR_LOAD(ages->moment_s[a]) > touch_s ? AGED_BITS : 0;
    return FR_MIN(bits, 31u);
}

/* One row: what belongs to the whole. */
struct total_row {
    uint32_t version;
    uint32_t touch_s;
    uint64_t popularity[STATE_HALF_COUNT]; /* as item_row.popularity, 64 bits */
    int64_t clock_us;
    int64_t tick_us;
    uint64_t event_count;
    uint64_t refused_items, refused_users, refused_contexts;
    uint32_t everyone;   /* neighbour row */
    uint32_t newest_at;  /* next place in `newest` */
    uint32_t newest[24]; /* catalogue entries */
    struct ages ages;
};

/* ---- neighbour rows (pairs.c) --------------------------------------------------------------- */

enum { PAIR_CLASSES = 7, PAIR_WAYS = 16, PAIR_QUICK = 2, TOP_ITEMS = 48 };
struct pair_head { /* 64 bytes, then ids[slots], then counters[slots][5] */
    uint32_t version;
    uint32_t owner; /* kind << 28 | key */
    uint32_t used;
    uint32_t touch_s;
    uint32_t total[STATE_ROW_COUNTERS];
    uint32_t top;     /* row of tops, 0 none */
    uint32_t touches; /* since the tops were made */
    uint32_t evicted;
    uint32_t next_free;
    uint32_t quick[PAIR_QUICK]; /* a bit a set: it holds quick counters above zero (pairs.c) */
    uint32_t spare;
};
struct top_row { /* 1,000 bytes: the leaders by each counter, best first */
    uint32_t version;
    uint32_t next_free;
    uint32_t spare[3];
    uint32_t count[STATE_ROW_COUNTERS];
    uint32_t items[STATE_ROW_COUNTERS][TOP_ITEMS];
};

/* What follows from the clock alone, for rows of one kind: made anew when the clock moves. */
struct pair_clock {
    uint32_t clock_s;
    uint32_t epoch_log2_s;                  /* of the quickest counter: within it nothing ages */
    uint32_t half_life[STATE_ROW_COUNTERS]; /* log2 of seconds */
    uint32_t grow[STATE_ROW_COUNTERS];      /* of decay.h, at clock_s */
    float worth[STATE_ROW_COUNTERS];        /* of a count when an entry has to go */
};

struct pairs {
    struct base_rows *tables[PAIR_CLASSES];
    struct base_rows *tops;
    uint64_t bytes_max;
    uint32_t slow;                                  /* log2 of the slow half-life */
    struct pair_clock clocks[STATE_ROW_KIND_COUNT]; /* derived; writer */
    const struct ages *ages;                        /* in the row "total" */
};
enum fr_status state__pairs_new(struct pairs *pairs, const struct state_options *options,
                                struct fr_error *error);
/* A change of one entry: counter c of `item` grows by weight[c] (STATE_UNITs). */
struct pair_add {
    uint32_t item;
    uint32_t weight[STATE_ROW_COUNTERS];
};
/* Whose row is changed, when, and how long it may become. */
struct pair_owner {
    enum state_row_kind kind;
    uint32_t key;
    uint32_t clock_s;
    uint32_t slots_max;
};
/* Adds to entries of row `ref` (0: a new one). Gives the row's ref, which changes when it had to
 * grow; 0 when there is no room for a new one. */
uint32_t state__pairs_add(struct pairs *pairs, uint32_t ref, const struct pair_owner *owner,
                          const struct pair_add *adds, uint32_t count);
/* The longest row that all items could have within the budget. */
uint32_t state__pairs_slots_max(const struct pairs *pairs, uint32_t item_count);
bool state__pairs_read(const struct pairs *pairs, uint32_t ref, const struct pair_owner *owner,
                       struct base_arena *arena, struct state_row *out_row);
uint32_t state__pairs_top(const struct pairs *pairs, uint32_t ref, const struct pair_owner *owner,
                          uint32_t counter, uint32_t *out_items, uint32_t count_max);
void state__pairs_prefetch(const struct pairs *pairs, uint32_t ref);
struct state_row_hint state__pairs_hint(const struct pairs *pairs, uint32_t ref);
/* Of row `ref` (may be 0): the ids of the set that `item` (may be 0) falls into; then, when they are
 * there, its entry, or those that it may replace. */
void state__pairs_prefetch_set(const struct pairs *pairs, uint32_t ref, uint32_t item);
void state__pairs_prefetch_entry(const struct pairs *pairs, uint32_t ref, uint32_t item);
size_t state__pairs_bytes(const struct pairs *pairs);
void state__pairs_give_back(struct pairs *pairs, uint32_t ref); /* may be 0 */
/* Drops what names a gone item from a row, and from a row of leaders. */
void state__pairs_drop(struct pairs *pairs, uint32_t ref, const struct state *state);
void state__tops_drop(struct pairs *pairs, uint32_t top, const struct state *state);

/* ---- rows that are used again (expire.c) ---------------------------------------------------- */

/* A bit of `flags` in each of the four kinds of rows, items' among them. */
enum { STATE__EXPIRED = STATE_ITEM_EXPIRED };

/* Where the parts lie that the four kinds of rows have in common; of_at 0: texts are of one kind. */
struct state__kind {
    struct base_rows *rows;
    struct map *map;
    uint16_t text_at, bytes_at, of_at, flags_at, next_at, lives_at;
};
struct state__kind state__kind_of(const struct state *state, enum state_kind kind);
uint64_t state__kind_hash(const struct state__kind *kind, struct fr_slice text, uint32_t of);

struct expiry_row { /* 64 bytes; one a kind, row 1 + kind */
    uint32_t phase;
    uint32_t wanted;           /* room is short: another batch */
    uint32_t drawn;            /* rows ever, by number */
    uint32_t looked;           /* rows looked at for this batch */
    uint32_t first, count;     /* the batch: expired, not free yet; a list through `next` */
    uint32_t free, free_count; /* may be used again; a list through `next` */
    uint32_t table, at;        /* the sweep: which table, the next of its rows */
    uint64_t others;           /* how far whoever keeps indexes outside this room is */
    uint64_t expired;          /* ever */
    uint64_t spare;
};

enum fr_status state__expire_new(struct state *state, struct fr_error *error);
struct state_memory state__expire_memory(const struct state *state); /* of the bits of gone items */
void state__expire_rebuild(struct state *state); /* what is derived, after loading */
/* A row for a new id: one that expired, else a fresh one; 0: there is none. Zero but for its version,
 * lives and last event. The other gives it back, still zero. */
uint32_t state__row_take(struct state *state, enum state_kind kind);
void state__row_give_back(struct state *state, enum state_kind kind, uint32_t index);
/* Something was refused for want of room, or soon will be: the next batch begins. */
void state__expire_want(struct state *state, enum state_kind kind);
/* Rows that hold nobody. */
uint32_t state__expire_idle(const struct state *state, enum state_kind kind);

/* ---- the whole ------------------------------------------------------------------------------ */

struct state {
    struct state_options options;
    struct base_rows *tables[STATE_TABLES_MAX];
    uint32_t table_count;
    struct base_rows *text, *items, *users, *chunks, *older, *values, *tokens, *dedupe, *sources,
        *newcomers, *total;
    struct base_rows *acts, *expiry;
    struct pairs pairs;
    struct map *item_map, *user_map, *value_map, *token_map;
    struct dedupe_index *dedupe_index; /* derived */
    uint64_t reused;                   /* atomic; batches of rows that came free, since the start */
    bool expiring;                     /* derived: a row of `expiry` has something to do */
    uint64_t *gone;            /* derived: a bit an item that expired, not free yet; atomic */
    uint32_t gone_count;       /* derived: of those; atomic */
    struct stemmers *stemmers; /* fold thread only */
    struct base_buf patched;   /* fold thread only */
};

static inline const struct item_row *state__item(const struct state *state, uint32_t item)
{
    return base_rows_at(state->items, item);
}
static inline const struct user_row *state__user(const struct state *state, uint32_t user)
{
    return base_rows_at(state->users, user);
}
static inline const struct total_row *state__total(const struct state *state)
{
    return base_rows_at(state->total, 1);
}
/* Of all events that were counted so far, the lower half. */
static inline uint32_t state__event_number(const struct state *state)
{
    return (uint32_t)state__total(state)->event_count;
}
uint32_t state__item_intern(struct state *state, struct fr_slice id);
uint32_t state__user_intern(struct state *state, struct fr_slice id);
/* May an unknown id that only an event names be interned? In a nearly full table not at once
 * (newcomers.c). */
bool state__item_admit(struct state *state, struct fr_slice id);
bool state__user_admit(struct state *state, struct fr_slice id);
uint32_t state__value_intern(struct state *state, uint32_t field, struct fr_slice text);
uint32_t state__token_intern(struct state *state, uint32_t kind, struct fr_slice text);
uint32_t state__token_find(const struct state *state, uint32_t kind, struct fr_slice text);
void state__context_intern(struct state *state, const struct schema_context *context,
                           uint32_t out_context[STATE_CONTEXT_COUNT]);
static inline bool state__item_is_gone(const struct state *state, uint32_t item)
{
    return FR_LOAD(state->gone[item / 64]) >> item % 64 & 1;
}
enum fr_status state__ids_rebuild(struct state *state, struct fr_error *error);
enum { STATE__ACT_BYTES = 320 }; /* struct act_row (audit.c) */
enum fr_status state__newcomers_new(uint32_t count_max, struct fr_error *error,
                                    struct base_rows **out_rows);
/* May the id with this hash, which is not in `rows` yet, get a row? */
bool state__newcomer_admit(struct state *state, const struct base_rows *rows, uint64_t hash);
enum fr_status state__dedupe_new(struct state *state);
void state__dedupe_prefetch(const struct state *state, struct base_hash128 key);
void state__dedupe_free(struct state *state);
size_t state__dedupe_index_bytes(const struct state *state);
uint64_t state__dedupe_index_bytes_max(const struct state *state);
enum fr_status state__dedupe_rebuild(struct state *state, struct fr_error *error);
/* content.c: tokens of an item, replacing its former ones. */
struct stemmers *state__stemmers_new(void);
void state__stemmers_free(struct stemmers *stemmers);
void state__content_set(struct state *state, uint32_t item, const struct schema_item *document);
void state__content_clear(struct state *state, uint32_t item);
void state__history_add(struct state *state, uint32_t user, const struct state_event *event);
void state__history_clear(struct state *state, uint32_t user);
/* The user's newest visits with a positive signal, no item twice; up to count_max. */
uint32_t state__history_window(const struct state *state, uint32_t user, uint32_t not_item,
                               struct state_visit *out, uint32_t count_max);
/* Is there a visit with this tag among the newest 64? */
bool state__history_has_tag(const struct state *state, uint32_t user, uint32_t tag);
void state__newest_add(struct state *state, uint32_t item);

#endif
