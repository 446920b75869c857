/* SPDX-License-Identifier: Apache-2.0
 *
 * state: what is folded. Catalogue, users and their histories, decayed counters, neighbour rows
 * (co-counts, transitions, popularity per context), the dedupe window, source offsets. All of it in
 * row tables (base/rows.h), so that snapshot, hash and memory accounting exist once.
 *
 * Ids become u32 indexes once ("interned"); 0 means none. Text behind an index never moves (expire.h).
 *
 * Thread: W is for the fold thread; R for any at any time, sees a recent whole value; A at rest (no writer,
 * no reader). Nothing allocates after state_new() but pages of the tables.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/hash.h"
#include "base/rows.h"
#include "schema/schema.h"

struct state;

enum {
    STATE_TABLES_MAX = 128,
    STATE_HISTORY_MAX = 4096,   /* events kept a user; older ones only as "seen" */
    STATE_ITEM_TOKENS_MAX = 48, /* content tokens kept an item */
    STATE_ITEM_CATEGORIES_MAX = 8,
    STATE_SESSION_GAP_S = 1800,
    STATE_CLOCK_AHEAD_US = 300000000, /* an event's time is clamped to its receipt + 5 min */
};

/* Where an event happened: one interned value id a field, 0 when absent. */
enum state_context_field {
    STATE_DEVICE,
    STATE_OS,
    STATE_COUNTRY,
    STATE_REGION,
    STATE_CITY,
    STATE_REFERRER,
    STATE_LANGUAGE,
    STATE_EXTRA_FIRST, /* free key=value pairs, the first four, in order */
    STATE_CONTEXT_COUNT = STATE_EXTRA_FIRST + 4
};

/* 0 = the default. From 7/8 of items, users and contexts on, ids that events name are taken when they
 * come again; at the maximum, the least useful expire. Both are counted. */
struct state_options {
    uint32_t item_count_max;     /* 0 = 1 M */
    uint32_t user_count_max;     /* 0 = 4 M */
    uint32_t context_count_max;  /* 0 = 256 k values */
    uint32_t token_count_max;    /* 0 = 1 M content tokens */
    uint64_t text_bytes_max;     /* ids and documents; 0 = 4 GiB */
    uint64_t event_count_max;    /* of histories; 0 = 64 M; then a user's oldest chunk is reused */
    uint64_t pair_bytes_max;     /* neighbour rows; 0 = 768 MiB; rows get shorter as items grow */
    uint32_t dedupe_count_max;   /* 0 = 10 M ids */
    uint32_t newcomer_count_max; /* ids remembered that a nearly full table did not take; 0 = 1 M */
    int64_t dedupe_us;           /* 0 = 24 h */
    uint32_t history_max;        /* events a user; 0 = STATE_HISTORY_MAX */
    uint32_t session_gap_s;      /* inactivity that cuts a session; 0 = STATE_SESSION_GAP_S */
    uint32_t slow_half_life_log2_s; /* 0 = 22 (48.5 days): of long-term counts */
};

/* A. `options` NULL = all defaults. */
FR_MUST_USE enum fr_status state_new(const struct state_options *options, struct fr_error *error,
                                     struct state **out_state);
void state_free(struct state *state);
/* The tables to save, load and hash, in fixed order. */
struct base_rows *const *state_tables(const struct state *state, uint32_t *out_count);
/* The options in force, defaults filled in: experts size their tables by them, so that the memory ceiling
 * holds. R. Borrowed. */
const struct state_options *state_limits(const struct state *state);
/* A. Rebuilds what is derived and not saved (id maps) after the tables were loaded. FR_CORRUPT
 * when rows contradict each other. */
FR_MUST_USE enum fr_status state_rebuild(struct state *state, struct fr_error *error);
/* A. Back to empty. */
void state_clear(struct state *state);

/* ---- folding -------------------------------------------------------------------------------- */

/* An event after its ids were interned and its time clamped. Plain data; rank_learn() and
 * state_apply() take it. */
struct state_event {
    uint64_t position;
    int64_t time_us;  /* clamped */
    uint32_t clock_s; /* the fold clock at this event, seconds; never goes back */
    uint32_t user, item;
    uint32_t session_tag; /* same tag, same user = same session (explicit odd, implicit even) */
    uint32_t context[STATE_CONTEXT_COUNT];
    float signal; /* schema_signal(): negative = dislike, 0 = not a signal */
    uint8_t type;
    bool is_exposure;
    bool is_first_of_session;
    bool item_was_known; /* had an event or a catalogue entry before */
    bool has_request;    /* answers one of our slates: scored apart from organic ones */
};

enum state_dedupe { STATE_DEDUPE_NEW, STATE_DEDUPE_DUPLICATE, STATE_DEDUPE_CONFLICT };

/* W. Is this key in the window? A new one enters. body_hash32 tells a conflict (another body under
 * the same key: the first wins) from a duplicate. A zero key is always new. Call before
 * state_resolve(): a duplicate must not intern ids. */
enum state_dedupe state_dedupe_check_add(struct state *state, struct base_hash128 key,
                                         uint32_t body_hash32, int64_t time_us);

/* W. Interns ids, cuts the session, clamps the time, moves the fold clock. FR_FULL: a table is at its
 * maximum, nothing counted but the refusal. `types` gives signal and exposure. */
FR_MUST_USE enum fr_status state_resolve(struct state *state, const struct schema_event *event,
                                         const struct schema_types *types, uint64_t position,
                                         int64_t received_us, struct state_event *out_event);
/* W. Counts the event: history, popularity, neighbour rows, context rows. */
void state_apply(struct state *state, const struct state_event *event);

/* W. Catalogue and users. `bytes`: the record's payload as encoded by schema. FR_FULL as above. */
FR_MUST_USE enum fr_status state_apply_item(struct state *state, struct fr_slice bytes,
                                            int64_t received_us);
FR_MUST_USE enum fr_status state_apply_item_patch(struct state *state, struct fr_slice bytes,
                                                  int64_t received_us);
void state_apply_item_delete(struct state *state, struct fr_slice id);
FR_MUST_USE enum fr_status state_apply_user(struct state *state, struct fr_slice bytes);
FR_MUST_USE enum fr_status state_apply_user_patch(struct state *state, struct fr_slice bytes);
/* Profile and history gone at once; what the counts learnt stays until erasure. */
void state_apply_user_delete(struct state *state, struct fr_slice id);
/* W. Offsets of a source: the next to read. */
FR_MUST_USE enum fr_status state_apply_source(struct state *state, struct fr_slice name,
                                              int32_t partition, int64_t next);
/* W. Time passed without events (a tick record): moves no decay. */
void state_apply_tick(struct state *state, int64_t received_us);

/* W. From now on all long-term pair counts so far weigh a sixteenth: four slow half-lives at once, for when
 * they have become wrong (rank/health.h). Rows touched in this very second before may keep theirs. */
void state_age_counts(struct state *state);

/* ---- reading -------------------------------------------------------------------------------- */

/* R. 0 when unknown. */
uint32_t state_item_find(const struct state *state, struct fr_slice id);
uint32_t state_user_find(const struct state *state, struct fr_slice id);
uint32_t state_context_find(const struct state *state, enum state_context_field field,
                            struct fr_slice value);
uint32_t state_extra_find(const struct state *state, struct fr_slice key, struct fr_slice value);
/* R. Borrowed while state_reading_ok(). */
struct fr_slice state_item_id(const struct state *state, uint32_t item);
struct fr_slice state_user_id(const struct state *state, uint32_t user);
struct fr_slice state_context_text(const struct state *state, uint32_t value);
/* R. Fills context[] from names; unknown values stay 0. */
void state_context_resolve(const struct state *state, const struct schema_context *context,
                           uint32_t out_context[STATE_CONTEXT_COUNT]);
uint32_t state_session_tag(struct fr_slice session_id); /* of an explicit session id */

uint32_t state_item_count(const struct state *state); /* one past the largest index */
uint32_t state_user_count(const struct state *state);
int64_t state_clock_us(const struct state *state);       /* the fold clock; R */
uint32_t state_session_gap_s(const struct state *state); /* as configured; any thread */
bool state_source_offset(const struct state *state, struct fr_slice name, int32_t partition,
                         int64_t *out_next); /* R */
enum state_item_flag {
    STATE_ITEM_CATALOGUED = 1, /* a PUT was seen (otherwise only events named it) */
    STATE_ITEM_HIDDEN = 2,
    STATE_ITEM_DELETED = 4,
    STATE_ITEM_EXPIRED = 8, /* with DELETED: it made room (expire.h) */
};

/* One item as scoring and policy see it. */
struct state_item {
    uint32_t item;
    uint32_t flags;
    uint32_t published_s, expires_s; /* 0: unknown, never */
    uint32_t first_s, last_s;        /* fold clock of its first and last event (or its PUT) */
    uint32_t event_count;            /* events that were signals */
    uint32_t author;                 /* token, 0 none */
    uint32_t categories[STATE_ITEM_CATEGORIES_MAX]; /* tokens, 0-ended when fewer */
};
/* R. Asks for the lines of an item's row that state_item_get() reads; item < state_item_count(). */
void state_item_prefetch(const struct state *state, uint32_t item);
/* The same for its id and the beginning of its document; its row has been looked at. */
void state_item_prefetch_text(const struct state *state, uint32_t item);
/* R. False when index is out of range. */
bool state_item_get(const struct state *state, uint32_t item, struct state_item *out_item);
/* R. The whole schema_item, decoded into the arena; FR_NOT_FOUND when it was never PUT. */
FR_MUST_USE enum fr_status state_item_document(const struct state *state, uint32_t item,
                                               struct base_arena *arena,
                                               struct schema_item *out_document);
FR_MUST_USE enum fr_status state_user_document(const struct state *state, uint32_t user,
                                               struct base_arena *arena,
                                               struct schema_user *out_document);
/* R. Whom the user's document follows, those of them that are known: users, and authors by their
 * content token. A name may be both. False: nobody, or the arena is too small. */
struct state_follows {
    uint32_t users[SCHEMA_LIST_MAX], authors[SCHEMA_LIST_MAX];
    uint32_t user_count, author_count;
};
bool state_user_follows(const struct state *state, uint32_t user, struct base_arena *arena,
                        struct state_follows *out_follows);
/* R. Is it servable at clock_s: not hidden, deleted or expired, and published. */
bool state_item_servable(const struct state_item *item, uint32_t clock_s);
/* R. The token of a category's name (0 = no item has it), for filters. */
uint32_t state_category_find(const struct state *state, struct fr_slice name);

/* One entry of a history, newest first. */
struct state_visit {
    uint32_t item;
    uint32_t time_s; /* fold clock when it happened */
    uint32_t session_tag;
    float signal; /* negative: disliked */
};
/* R. Up to count_max newest visits into `out`; gives how many. */
uint32_t state_history(const struct state *state, uint32_t user, struct state_visit *out,
                       uint32_t count_max);
uint32_t state_history_count(const struct state *state, uint32_t user);
/* R. Older seen items beyond the kept history. */
uint32_t state_seen_older(const struct state *state, uint32_t user, uint32_t *out,
                          uint32_t count_max);

/* ---- neighbour rows ------------------------------------------------------------------------- */

/* What owns a row: an item, or a context ("everyone", a region, a category, ...). */
enum state_row_kind {
    STATE_ROW_ITEM,     /* key = item; counters: STATE_PAIR_* */
    STATE_ROW_EVERYONE, /* key = 0; counters: STATE_POP_* */
    STATE_ROW_CONTEXT,  /* key = context value id */
    STATE_ROW_CATEGORY, /* key = token */
    STATE_ROW_KIND_COUNT
};
/* The five decayed counters of an entry. Of an item's row: how often the other came later and
 * earlier in a history (windowed, d^-0.4, slow), near by on either side (1/d, slow), in one session
 * (1/d, half-life 2.3 h), and just after it in the session (17 min). */
enum {
    STATE_PAIR_FORWARD,
    STATE_PAIR_BACKWARD,
    STATE_PAIR_NEAR,
    STATE_PAIR_SESSION,
    STATE_PAIR_NEXT
};
enum { STATE_POP_4MIN, STATE_POP_17MIN, STATE_POP_2H, STATE_POP_18H, STATE_POP_SLOW };
enum { STATE_ROW_COUNTERS = 5, STATE_ROW_ENTRIES_MAX = 336 };

/* A row as readers see it: copied into the arena (or in place on the fold thread). counter values
 * are to be multiplied by scale[c] to be "events as of now". */
struct state_row {
    uint32_t count; /* slots, empty ones (item 0) among them */
    const uint32_t *item;
    const uint32_t (*counter)[STATE_ROW_COUNTERS];
    float scale[STATE_ROW_COUNTERS];
    float total[STATE_ROW_COUNTERS]; /* everything ever added to the row, decayed, evicted too */
};
/* R. False when there is no such row. `in_place`: only on the fold thread. */
bool state_row_get(const struct state *state, enum state_row_kind kind, uint32_t key,
                   uint32_t clock_s, struct base_arena *arena, bool in_place,
                   struct state_row *out_row);
/* R. Where a row lies now, for asking for its lines ahead of state_row_get(); slots 0: there is none. */
struct state_row_hint {
    const char *at;
    uint32_t bytes, slots;
};
struct state_row_hint state_row_hint(const struct state *state, enum state_row_kind kind,
                                     uint32_t key);
/* The slot of `item` in the row, or -1: one line of ids is looked at. */
int32_t state_row_place(const struct state_row *row, uint32_t item);
/* R. The leaders of a row (not an item's) by one counter, best first; refreshed every few events.
 * Gives how many. */
uint32_t state_row_top(const struct state *state, enum state_row_kind kind, uint32_t key,
                       uint32_t counter, uint32_t *out_items, uint32_t count_max);

/* The popularity counters of one item, decayed to clock_s: events as of now. */
enum {
    STATE_HALF_4MIN,
    STATE_HALF_17MIN,
    STATE_HALF_2H,
    STATE_HALF_18H,
    STATE_HALF_SLOW,
    STATE_HALF_COUNT
};
void state_item_popularity(const struct state *state, uint32_t item, uint32_t clock_s,
                           float out[STATE_HALF_COUNT]);
void state_total_popularity(const struct state *state, uint32_t clock_s,
                            float out[STATE_HALF_COUNT]);

/* ---- content -------------------------------------------------------------------------------- */

/* R. The item's content tokens (categories, tags, author, stemmed words), most telling first. */
uint32_t state_item_tokens(const struct state *state, uint32_t item,
                           uint32_t out[STATE_ITEM_TOKENS_MAX]);
struct fr_slice state_token_text(const struct state *state, uint32_t token); /* R */
/* R. Items that carry the token (document frequency), and the newest of them. */
uint32_t state_token_frequency(const struct state *state, uint32_t token);
uint32_t state_token_items(const struct state *state, uint32_t token, uint32_t *out,
                           uint32_t count_max);
/* R. Newest catalogue entries, newest first. */
uint32_t state_items_newest(const struct state *state, uint32_t *out, uint32_t count_max);

#endif
