/* SPDX-License-Identifier: Apache-2.0
 *
 * sknn: see the door. Row layouts (saved):
 *   session  u32 version, number, clock_s, count, root, spare; u32 items[20], oldest first
 *   posting  u32 version, written (total); u32 numbers[postings], a ring
 *   user     u32 tag, number of the running session
 * Thread: as the door says; readers copy rows under their versions.
 */
#include "model/sknn.h"

#include "base/fmath.h"
#include "state/expire.h"

#include <stdlib.h>
#include <string.h>

enum { SKNN_SESSION, SKNN_POSTING, SKNN_USER };
enum { META_NEXT };   /* of the session table: the newest session's number */
enum { OVERLAP = 6 }; /* newest clicks of a full row that the next one begins with */
enum { POSTINGS_MAX = 1022, SWEEP_ROWS = 128 };
enum { SESSION_FIRST = 16 }; /* words of a session's row that are read at once: most are short */
enum { KINDS = MODEL_SKNN_KINDS };

struct session_row {
    uint32_t version, number, clock_s, count;
    uint32_t root; /* number of the row in which the session began */
    uint32_t spare;
    uint32_t items[MODEL_SKNN_SESSION_ITEMS];
};

struct posting_row {
    uint32_t version, written;
    uint32_t numbers[];
};

struct user_row {
    uint32_t tag, number;
};

struct model_sknn {
    struct model_sknn_options options;
    struct base_rows *tables[MODEL_SKNN_TABLES];
    float step[MODEL_SKNN_QUERY_ITEMS][KINDS];
    float distance[MODEL_SKNN_SESSION_ITEMS + 1][KINDS]; /* [1] = 1 */
    float norm[MODEL_SKNN_SESSION_ITEMS + 1];            /* 1 / sqrt(length) */
};

struct neighbour {
    uint32_t number;
    uint32_t match; /* newest shared item of the running session */
    float similarity[KINDS];
};

/* A query at work; everything in the arena. */
struct asking {
    const struct model_sknn *sknn;
    struct neighbour *neighbour;
    uint32_t count, mask;
    uint16_t *place;        /* [mask + 1] neighbour + 1 by its number, open addressing */
    uint32_t own, own_root; /* the asking session's row and the one it began in, or 0 */
};

void model_sknn_defaults(struct model_sknn_options *out_options)
{
    *out_options = (struct model_sknn_options){
        .item_max = 1u << 20,
        .user_max = 4u << 20,
        .session_max = 1u << 18,
        .postings = 126,
        .neighbours = 100,
        .age_half_s = 30.0f * 86400.0f,
        .decay = {[MODEL_SKNN_STAN] = {.step = 0.5f, .distance = 0.7f, .back = 1.0f, .idf = 0.0f},
                  [MODEL_SKNN_VSTAN] = {.step = 0.7f, .distance = 0.9f, .back = 1.0f, .idf = 1.0f}},
    };
}

static enum fr_status tables_new(struct model_sknn *sknn, struct fr_error *error)
{
    const struct model_sknn_options *o = &sknn->options;
    struct base_rows_options tables[MODEL_SKNN_TABLES] = {
        [SKNN_SESSION] = {"sknn-session", sizeof(struct session_row), o->session_max + 1},
        [SKNN_POSTING] = {"sknn-posting", 4 * (o->postings + 2), o->item_max},
        [SKNN_USER] = {"sknn-user", sizeof(struct user_row), o->user_max},
    };
    for (int t = 0; t < MODEL_SKNN_TABLES; t++)
        FR_TRY(base_rows_new(&tables[t], error, &sknn->tables[t]));
    return FR_OK;
}

static void decays_fill(struct model_sknn *sknn)
{
    for (int k = 0; k < KINDS; k++) {
        const struct model_sknn_decay *decay = &sknn->options.decay[k];
        float step = 1.0f, distance = 1.0f;
        for (int i = 0; i < MODEL_SKNN_QUERY_ITEMS; i++, step *= decay->step)
            sknn->step[i][k] = step;
        for (int i = 1; i <= MODEL_SKNN_SESSION_ITEMS; i++, distance *= decay->distance)
            sknn->distance[i][k] = distance;
    }
    for (int i = 1; i <= MODEL_SKNN_SESSION_ITEMS; i++)
        sknn->norm[i] = 1.0f / __builtin_sqrtf((float)i);
}

enum fr_status model_sknn_new(const struct model_sknn_options *options, struct fr_error *error,
                              struct model_sknn **out_sknn)
{
    uint32_t p = options->postings + 2;
    if (p < 32 || p > POSTINGS_MAX + 2 || (p & (p - 1)) || !options->neighbours ||
        options->neighbours > MODEL_SKNN_NEIGHBOURS_MAX || !options->session_max)
        return base_fail(error, FR_INVALID, "model", "session neighbours: %u postings, %u of them",
                         options->postings, options->neighbours);
    struct model_sknn *sknn = calloc(1, sizeof(*sknn));
    if (!sknn)
        return base_fail(error, FR_MEMORY, "model", "no memory for session neighbours");
    sknn->options = *options;
    enum fr_status status = tables_new(sknn, error);
    if (status != FR_OK) {
        model_sknn_free(sknn);
        return status;
    }
    decays_fill(sknn);
    *out_sknn = sknn;
    return FR_OK;
}

void model_sknn_free(struct model_sknn *sknn)
{
    if (!sknn)
        return;
    for (int t = 0; t < MODEL_SKNN_TABLES; t++)
        base_rows_free(sknn->tables[t]);
    free(sknn);
}

void model_sknn_tables(struct model_sknn *sknn, struct base_rows *out[MODEL_SKNN_TABLES])
{
    memcpy(out, sknn->tables, sizeof(sknn->tables));
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool row_make(struct base_rows *rows, uint32_t i)
{
    if (!i || i >= base_rows_count_max(rows))
        return false;
    while (i >= base_rows_count(rows))
        if (!base_rows_add(rows))
            return false;
    return true;
}

static uint32_t session_index(const struct model_sknn *sknn, uint32_t number)
{
    return 1 + (number - 1) % sknn->options.session_max;
}

static void post(struct model_sknn *sknn, uint32_t item, uint32_t number)
{
    struct posting_row *row = base_rows_write(sknn->tables[SKNN_POSTING], item);
    base_row_change(&row->version);
    FR_STORE(row->numbers[row->written % sknn->options.postings], number);
    FR_STORE(row->written, row->written + 1);
    base_row_done(&row->version);
}

/* A new row for the owner's clicks. NULL: there is no room. */
static struct session_row *session_new(struct model_sknn *sknn, struct user_row *owner,
                                       uint32_t tag)
{
    struct base_rows *sessions = sknn->tables[SKNN_SESSION];
    uint64_t *next = &base_rows_meta(sessions)[META_NEXT];
    FR_STORE(*next, *next + 1 + ((uint32_t)(*next + 1) == 0)); /* 0 means none */
    uint32_t number = (uint32_t)*next;
    if (!row_make(sessions, session_index(sknn, number)))
        return NULL;
    FR_STORE(owner->tag, tag);
    FR_STORE(owner->number, number);
    struct session_row *row = base_rows_write(sessions, session_index(sknn, number));
    base_row_change(&row->version);
    FR_STORE(row->number, number);
    FR_STORE(row->count, 0);
    FR_STORE(row->clock_s, 0);
    FR_STORE(row->root, number);
    base_row_done(&row->version);
    return row;
}

/* A session that filled its row goes on in a new one, which begins with its newest clicks. */
static struct session_row *session_go_on(struct model_sknn *sknn, struct user_row *owner,
                                         const struct session_row *full)
{
    const struct session_row before = *full;
    struct session_row *row = session_new(sknn, owner, owner->tag);
    if (!row)
        return NULL;
    base_row_change(&row->version);
    FR_STORE(row->root, before.root);
    for (uint32_t i = 0; i < OVERLAP; i++)
        FR_STORE(row->items[i], before.items[before.count - OVERLAP + i]);
    FR_STORE(row->count, OVERLAP);
    base_row_done(&row->version);
    for (uint32_t i = 0; i < OVERLAP; i++) {
        bool posted = false;
        for (uint32_t j = 0; j < i; j++)
            posted = posted || row->items[j] == row->items[i];
        if (!posted)
            post(sknn, row->items[i], row->number);
    }
    return row;
}

/* The row that takes the user's next click: another one under another tag, when the last is full or when
 * the ring took it. */
static struct session_row *session_of(struct model_sknn *sknn, uint32_t user, uint32_t tag)
{
    if (!row_make(sknn->tables[SKNN_USER], user))
        return NULL;
    struct user_row *owner = base_rows_write(sknn->tables[SKNN_USER], user);
    struct base_rows *sessions = sknn->tables[SKNN_SESSION];
    if (owner->number && owner->tag == tag) {
        struct session_row *row = base_rows_write(sessions, session_index(sknn, owner->number));
        if (row->number == owner->number)
            return row->count < MODEL_SKNN_SESSION_ITEMS ? row : session_go_on(sknn, owner, row);
    }
    return session_new(sknn, owner, tag);
}

void model_sknn_click(struct model_sknn *sknn, uint32_t user, uint32_t tag, uint32_t item,
                      uint32_t clock_s)
{
    if (!row_make(sknn->tables[SKNN_POSTING], item))
        return;
    struct session_row *row = session_of(sknn, user, tag);
    if (!row)
        return;
    bool posted = false;
    for (uint32_t i = 0; i < row->count; i++)
        posted = posted || row->items[i] == item;
    base_row_change(&row->version);
    FR_STORE(row->items[row->count], item);
    FR_STORE(row->count, row->count + 1);
    FR_STORE(row->clock_s, clock_s);
    base_row_done(&row->version);
    if (!posted)
        post(sknn, item, row->number);
}

/* ---- forgetting ----------------------------------------------------------------------------- */

static void words_clear(struct base_rows *rows, uint32_t i, uint32_t first)
{
    uint32_t *words = base_rows_write(rows, i);
    for (uint32_t w = first; w < base_rows_row_bytes(rows) / sizeof(*words); w++)
        FR_STORE(words[w], 0);
}

void model_sknn_forget_user(struct model_sknn *sknn, uint32_t user)
{
    if (user < base_rows_count(sknn->tables[SKNN_USER]))
        words_clear(sknn->tables[SKNN_USER], user, 0);
}

void model_sknn_forget_item(struct model_sknn *sknn, uint32_t item)
{
    if (item >= base_rows_count(sknn->tables[SKNN_POSTING]))
        return;
    struct posting_row *row = base_rows_write(sknn->tables[SKNN_POSTING], item);
    base_row_change(&row->version);
    words_clear(sknn->tables[SKNN_POSTING], item, 1);
    base_row_done(&row->version);
}

static void session_drop(struct session_row *row, uint32_t place)
{
    base_row_change(&row->version);
    FR_STORE(row->count, row->count - 1);
    for (uint32_t i = place; i < row->count; i++)
        FR_STORE(row->items[i], row->items[i + 1]);
    FR_STORE(row->items[row->count], 0);
    base_row_done(&row->version);
}

bool model_sknn_sweep(struct model_sknn *sknn, const struct state *state, uint32_t *at)
{
    struct base_rows *sessions = sknn->tables[SKNN_SESSION];
    uint32_t count = base_rows_count(sessions), end = FR_MIN(*at + SWEEP_ROWS, count);
    for (; *at < end; ++*at) {
        const struct session_row *seen = base_rows_at(sessions, *at);
        for (uint32_t i = seen->count; i-- > 0;)
            if (state_item_gone(state, seen->items[i]))
                session_drop(base_rows_write(sessions, *at), i);
    }
    return *at >= count;
}

/* ---- neighbours ----------------------------------------------------------------------------- */

static uint32_t power_above(uint32_t n)
{
    uint32_t p = 64;
    while (p < n)
        p *= 2;
    return p;
}

static uint32_t spread(uint32_t key)
{
    return (key * 0x9e3779b1u) >> 7;
}

/* The neighbour of this session number; a new one while there is room, or NULL. */
static struct neighbour *neighbour_of(struct asking *asking, uint32_t number, uint32_t match)
{
    uint32_t at = spread(number) & asking->mask;
    for (; asking->place[at]; at = (at + 1) & asking->mask)
        if (asking->neighbour[asking->place[at] - 1].number == number)
            return &asking->neighbour[asking->place[at] - 1];
    if (asking->count == asking->sknn->options.neighbours)
        return NULL;
    struct neighbour *fresh = &asking->neighbour[asking->count++];
    asking->place[at] = (uint16_t)asking->count;
    *fresh = (struct neighbour){.number = number, .match = match};
    return fresh;
}

static float idf_of(const struct model_sknn *sknn, uint32_t written)
{
    uint64_t sessions = FR_LOAD(base_rows_meta(sknn->tables[SKNN_SESSION])[META_NEXT]);
    return FR_MAX(base_log2f(((float)sessions + 1.0f) / (float)written), 0.1f);
}

/* Copies one item's posting list; gives how many were ever written. */
static uint32_t postings_copy(const struct model_sknn *sknn, uint32_t item,
                              uint32_t numbers[POSTINGS_MAX])
{
    if (!item || item >= base_rows_count(sknn->tables[SKNN_POSTING]))
        return 0;
    const struct posting_row *row = base_rows_at(sknn->tables[SKNN_POSTING], item);
    uint32_t version, written;
    do {
        version = base_row_read_begin(&row->version);
        written = FR_LOAD(row->written);
        base_rows_copy(numbers, row->numbers, FR_MIN(written, sknn->options.postings) * 4ul);
    } while (!base_row_read_ok(&row->version, version));
    return written;
}

/* The sessions of one item of the running session, newest first. */
static void collect(struct asking *asking, uint32_t item, uint32_t at)
{
    const struct model_sknn *sknn = asking->sknn;
    uint32_t numbers[POSTINGS_MAX], postings = sknn->options.postings;
    uint32_t written = postings_copy(sknn, item, numbers);
    if (!written)
        return;
    float weight[KINDS], idf = base_log2f(idf_of(sknn, written));
    for (int k = 0; k < KINDS; k++)
        weight[k] = sknn->step[at][k] * base_exp2f(sknn->options.decay[k].idf * idf);
    for (uint32_t i = 0; i < FR_MIN(written, postings); i++) {
        uint32_t number = numbers[(written - 1 - i) % postings];
        struct neighbour *neighbour =
            number == asking->own ? NULL : neighbour_of(asking, number, item);
        for (int k = 0; neighbour && k < KINDS; k++)
            neighbour->similarity[k] += weight[k];
    }
}

/* Copies a live session; its length, or 0 when its row holds another session by now (SK1). */
static uint32_t session_copy(const struct model_sknn *sknn, uint32_t number,
                             struct session_row *out)
{
    const struct session_row *row =
        base_rows_at(sknn->tables[SKNN_SESSION], session_index(sknn, number));
    uint32_t version;
    do {
        version = base_row_read_begin(&row->version);
        base_rows_copy(out, row, SESSION_FIRST * 4);
        out->count = FR_MIN(out->count, (uint32_t)MODEL_SKNN_SESSION_ITEMS);
        if (out->count > SESSION_FIRST - 6)
            base_rows_copy(out, row, sizeof(*out));
    } while (!base_row_read_ok(&row->version, version));
    return out->number == number ? FR_MIN(out->count, (uint32_t)MODEL_SKNN_SESSION_ITEMS) : 0;
}

/* ---- votes ---------------------------------------------------------------------------------- */

static struct model_sknn_vote *vote_slot(const struct model_sknn_votes *votes, uint32_t item)
{
    uint32_t at = spread(item) & votes->mask;
    while (votes->slot[at].item && votes->slot[at].item != item)
        at = (at + 1) & votes->mask;
    return &votes->slot[at];
}

static void votes_of(const struct model_sknn *sknn, const struct neighbour *neighbour,
                     const struct session_row *row, struct model_sknn_votes *votes)
{
    uint32_t length = row->count, match = length;
    for (uint32_t i = 0; i < length; i++)
        match = row->items[i] == neighbour->match ? i : match; /* its last occurrence */
    for (uint32_t i = 0; i < length && match < length; i++) {
        if (i == match)
            continue;
        uint32_t apart = i > match ? i - match : match - i;
        struct model_sknn_vote *vote = vote_slot(votes, row->items[i]);
        votes->count += !vote->item;
        vote->item = row->items[i];
        for (int k = 0; k < KINDS; k++) {
            float side = i > match ? 1.0f : sknn->options.decay[k].back;
            vote->score[k] += neighbour->similarity[k] * side * sknn->distance[apart][k];
        }
    }
}

/* Reads every neighbour's row once; gives how many items they hold together. */
static uint32_t rows_read(struct asking *asking, uint32_t clock_s, struct session_row *rows)
{
    const struct model_sknn *sknn = asking->sknn;
    uint32_t items = 0;
    for (uint32_t n = 0; n < asking->count; n++) {
        uint32_t index = session_index(sknn, asking->neighbour[n].number);
        const struct session_row *row = base_rows_at(sknn->tables[SKNN_SESSION], index);
        __builtin_prefetch(row);
        __builtin_prefetch((const uint32_t *)(const void *)row + SESSION_FIRST - 1);
    }
    for (uint32_t n = 0; n < asking->count; n++) {
        struct neighbour *neighbour = &asking->neighbour[n];
        rows[n].count = session_copy(sknn, neighbour->number, &rows[n]);
        if (rows[n].count && rows[n].root == asking->own_root)
            rows[n].count = 0;
        float weight = sknn->norm[rows[n].count];
        if (sknn->options.age_half_s > 0.0f && clock_s > rows[n].clock_s)
            weight *= base_exp2f((float)(clock_s - rows[n].clock_s) / -sknn->options.age_half_s);
        for (int k = 0; k < KINDS; k++)
            neighbour->similarity[k] *= weight;
        items += rows[n].count;
    }
    return items;
}

bool model_sknn_query(const struct model_sknn *sknn, const struct model_sknn_query *query,
                      struct base_arena *arena, struct model_sknn_votes *out_votes)
{
    uint32_t neighbours = sknn->options.neighbours;
    struct asking asking = {.sknn = sknn, .mask = power_above(2 * neighbours) - 1};
    asking.neighbour = base_arena_alloc(arena, neighbours * sizeof(*asking.neighbour));
    asking.place = base_arena_zalloc(arena, (asking.mask + 1ul) * sizeof(*asking.place));
    if (!asking.neighbour || !asking.place)
        return false;
    if (query->user && query->user < base_rows_count(sknn->tables[SKNN_USER])) {
        const struct user_row *owner = base_rows_at(sknn->tables[SKNN_USER], query->user);
        struct session_row own;
        asking.own = FR_LOAD(owner->tag) == query->tag ? FR_LOAD(owner->number) : 0;
        asking.own_root = asking.own && session_copy(sknn, asking.own, &own) ? own.root : 0;
    }
    for (uint32_t i = 0; i < FR_MIN(query->count, (uint32_t)MODEL_SKNN_QUERY_ITEMS); i++)
        collect(&asking, query->items[i], i);
    struct session_row *rows = base_arena_alloc(arena, (asking.count + 1ul) * sizeof(*rows));
    if (!asking.count || !rows)
        return false;
    out_votes->mask = power_above(2 * rows_read(&asking, query->clock_s, rows)) - 1;
    out_votes->count = 0;
    out_votes->slot = base_arena_zalloc(arena, (out_votes->mask + 1ul) * sizeof(*out_votes->slot));
    for (uint32_t n = 0; n < asking.count && out_votes->slot; n++)
        votes_of(sknn, &asking.neighbour[n], &rows[n], out_votes);
    return out_votes->slot && out_votes->count > 0;
}

const struct model_sknn_vote *model_sknn_votes_find(const struct model_sknn_votes *votes,
                                                    uint32_t item)
{
    const struct model_sknn_vote *vote = vote_slot(votes, item);
    return vote->item ? vote : NULL;
}
