/* SPDX-License-Identifier: Apache-2.0
 *
 * sknn: see the door. Row layouts (saved):
 *   session  u32 version, number + 1, clock_s, count; u32 items[28], oldest first
 *   posting  u32 version, written (total); u32 numbers[postings], a ring
 *   user     u32 tag, number + 1 of the running session
 * Thread: as the door says; readers copy rows under their versions.
 */
#include "model/sknn.h"

#include "base/fmath.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SKNN_SESSION, SKNN_POSTING, SKNN_USER };
enum { META_NEXT }; /* of the session table: the next session's number */

struct session_row {
    uint32_t version, number, clock_s, count;
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
    float step[MODEL_SKNN_QUERY_ITEMS];
    float distance[MODEL_SKNN_SESSION_ITEMS + 1];
};

struct found {
    uint32_t number; /* session + 1; 0: an empty slot */
    uint32_t match;  /* newest shared item of the running session */
    float similarity;
};

struct vote {
    uint32_t item; /* 0: empty */
    float score;
};

struct model_sknn_scratch {
    uint32_t found_slots, found_count; /* open addressing, half full at most */
    uint32_t vote_slots, vote_count;
    uint32_t own;        /* the asking session's number, or 0 */
    uint32_t slots_left; /* posting entries that this query may still look at */
    struct found *found;
    struct vote *votes;
    uint32_t *heap; /* session numbers, the oldest at the root */
    struct found *best;
    uint32_t numbers[2046];
};

void model_sknn_defaults(struct model_sknn_options *out_options)
{
    *out_options = (struct model_sknn_options){
        .item_max = 1u << 20,
        .user_max = 4u << 20,
        .session_max = 1u << 20,
        .postings = 254,
        .sessions = 1000,
        .neighbours = 200,
        .step = 0.5f,
        .distance = 0.7f,
        .back = 1.0f,
        .idf = 1.0f,
        .age_half_s = 30.0f * 86400.0f,
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

enum fr_status model_sknn_new(const struct model_sknn_options *options, struct fr_error *error,
                              struct model_sknn **out_sknn)
{
    uint32_t p = options->postings + 2;
    if (p < 64 || p > 2048 || (p & (p - 1)) || options->sessions > MODEL_SKNN_SESSIONS_MAX ||
        !options->sessions || !options->neighbours || !options->session_max)
        return base_fail(error, FR_INVALID, "model",
                         "session neighbours: %u postings, %u sessions, %u neighbours",
                         options->postings, options->sessions, options->neighbours);
    struct model_sknn *sknn = calloc(1, sizeof(*sknn));
    if (!sknn)
        return base_fail(error, FR_MEMORY, "model", "no memory for session neighbours");
    sknn->options = *options;
    enum fr_status status = tables_new(sknn, error);
    if (status != FR_OK) {
        model_sknn_free(sknn);
        return status;
    }
    float w = 1.0f;
    for (int i = 0; i < MODEL_SKNN_QUERY_ITEMS; i++, w *= options->step)
        sknn->step[i] = w;
    w = 1.0f;
    for (int i = 1; i <= MODEL_SKNN_SESSION_ITEMS; i++, w *= options->distance)
        sknn->distance[i] = w;
    sknn->distance[0] = 1.0f;
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

/* The running session of the user, begun anew under another tag or when the ring took its row. */
static struct session_row *session_of(struct model_sknn *sknn, uint32_t user, uint32_t tag)
{
    if (!row_make(sknn->tables[SKNN_USER], user))
        return NULL;
    struct user_row *owner = base_rows_write(sknn->tables[SKNN_USER], user);
    struct base_rows *sessions = sknn->tables[SKNN_SESSION];
    if (owner->number && owner->tag == tag) {
        struct session_row *row = base_rows_write(sessions, session_index(sknn, owner->number));
        if (row->number == owner->number)
            return row;
    }
    uint64_t *next = &base_rows_meta(sessions)[META_NEXT];
    FR_STORE(*next, *next + 1 + ((uint32_t)(*next + 1) == 0)); /* 0 means none */
    uint32_t number = (uint32_t)*next;
    if (!row_make(sessions, session_index(sknn, number)))
        return NULL;
    owner->tag = tag;
    owner->number = number;
    struct session_row *row = base_rows_write(sessions, session_index(sknn, number));
    base_row_change(&row->version);
    FR_STORE(row->number, number);
    FR_STORE(row->count, 0);
    FR_STORE(row->clock_s, 0);
    base_row_done(&row->version);
    return row;
}

static void post(struct model_sknn *sknn, uint32_t item, uint32_t number)
{
    struct posting_row *row = base_rows_write(sknn->tables[SKNN_POSTING], item);
    base_row_change(&row->version);
    FR_STORE(row->numbers[row->written % sknn->options.postings], number);
    FR_STORE(row->written, row->written + 1);
    base_row_done(&row->version);
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
    if (row->count == MODEL_SKNN_SESSION_ITEMS) {
        for (uint32_t i = 0; i + 1 < row->count; i++)
            FR_STORE(row->items[i], row->items[i + 1]);
        FR_STORE(row->items[row->count - 1], item);
    } else {
        FR_STORE(row->items[row->count], item);
        FR_STORE(row->count, row->count + 1);
    }
    FR_STORE(row->clock_s, clock_s);
    base_row_done(&row->version);
    if (!posted)
        post(sknn, item, row->number);
}

static uint32_t power_above(uint32_t n)
{
    uint32_t p = 64;
    while (p < n)
        p *= 2;
    return p;
}

static size_t part_bytes(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t model_sknn_scratch_bytes(const struct model_sknn *sknn)
{
    const struct model_sknn_options *o = &sknn->options;
    return part_bytes(sizeof(struct model_sknn_scratch)) +
           part_bytes(power_above(4 * o->sessions) * sizeof(struct found)) +
           part_bytes(power_above(2 * o->neighbours * MODEL_SKNN_SESSION_ITEMS) *
                      sizeof(struct vote)) +
           part_bytes(o->sessions * sizeof(uint32_t)) +
           part_bytes(o->neighbours * sizeof(struct found));
}

struct model_sknn_scratch *model_sknn_scratch_place(const struct model_sknn *sknn, void *memory)
{
    const struct model_sknn_options *o = &sknn->options;
    struct model_sknn_scratch *scratch = memory;
    uint8_t *at = memory;
    scratch->found_slots = power_above(4 * o->sessions);
    scratch->vote_slots = power_above(2 * o->neighbours * MODEL_SKNN_SESSION_ITEMS);
    at += part_bytes(sizeof(*scratch));
    scratch->found = (struct found *)(void *)at;
    at += part_bytes(scratch->found_slots * sizeof(struct found));
    scratch->votes = (struct vote *)(void *)at;
    at += part_bytes(scratch->vote_slots * sizeof(struct vote));
    scratch->heap = (uint32_t *)(void *)at;
    at += part_bytes(o->sessions * sizeof(uint32_t));
    scratch->best = (struct found *)(void *)at;
    return scratch;
}

enum fr_status model_sknn_scratch_new(const struct model_sknn *sknn,
                                      struct model_sknn_scratch **out_scratch)
{
    void *memory = malloc(model_sknn_scratch_bytes(sknn));
    if (!memory)
        return FR_MEMORY;
    *out_scratch = model_sknn_scratch_place(sknn, memory);
    return FR_OK;
}

void model_sknn_scratch_free(struct model_sknn_scratch *scratch)
{
    free(scratch);
}

static struct found *found_slot(struct model_sknn_scratch *scratch, uint32_t number)
{
    uint32_t mask = scratch->found_slots - 1, i = (uint32_t)base_mix64(number) & mask;
    while (scratch->found[i].number && scratch->found[i].number != number)
        i = (i + 1) & mask;
    return &scratch->found[i];
}

/* The heap of kept session numbers, the oldest (smallest) at the root. */
static void heap_down(uint32_t *heap, uint32_t n)
{
    for (uint32_t i = 0;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[i] <= heap[child])
            return;
        uint32_t number = heap[i];
        heap[i] = heap[child];
        heap[child] = number;
        i = child;
    }
}

static void heap_up(uint32_t *heap, uint32_t i)
{
    for (; i && heap[(i - 1) / 2] > heap[i]; i = (i - 1) / 2) {
        uint32_t number = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = number;
    }
}

/* Counts session `number` as sharing an item; false: it is older than all of m kept ones. A session
 * pushed out of the m keeps its slot, marked by a negative similarity, so that probing goes on. */
static bool found_add(const struct model_sknn *sknn, struct model_sknn_scratch *scratch,
                      uint32_t number, uint32_t match, float weight)
{
    struct found *slot = found_slot(scratch, number);
    if (slot->number) {
        if (slot->similarity >= 0)
            slot->similarity += weight;
        return true;
    }
    uint32_t m = sknn->options.sessions;
    if (scratch->found_count == m) {
        if (number < scratch->heap[0])
            return false;
        found_slot(scratch, scratch->heap[0])->similarity = -1.0f;
        scratch->heap[0] = number;
        heap_down(scratch->heap, m);
    } else {
        scratch->heap[scratch->found_count] = number;
        heap_up(scratch->heap, scratch->found_count++);
    }
    *slot = (struct found){number, match, weight};
    return true;
}

static float idf_of(const struct model_sknn *sknn, uint32_t written)
{
    if (sknn->options.idf == 0.0f)
        return 1.0f;
    uint64_t sessions = FR_LOAD(base_rows_meta(sknn->tables[SKNN_SESSION])[META_NEXT]);
    float share = ((float)sessions + 1.0f) / (float)written;
    float idf = FR_MAX(base_log2f(share), 0.1f);
    return sknn->options.idf == 1.0f ? idf : base_exp2f(sknn->options.idf * base_log2f(idf));
}

/* Walks the posting list of one item, newest first. New slots are bounded (half of the table), or
 * dead ones could fill it. */
static void collect(const struct model_sknn *sknn, struct model_sknn_scratch *scratch,
                    uint32_t item, uint32_t at)
{
    if (!item || item >= base_rows_count(sknn->tables[SKNN_POSTING]))
        return;
    const struct posting_row *row = base_rows_at(sknn->tables[SKNN_POSTING], item);
    uint32_t version, written, postings = sknn->options.postings;
    do {
        version = base_row_read_begin(&row->version);
        written = FR_LOAD(row->written);
        base_rows_copy(scratch->numbers, row->numbers, FR_MIN(written, postings) * 4u);
    } while (!base_row_read_ok(&row->version, version));
    if (!written)
        return;
    float weight = sknn->step[at] * idf_of(sknn, written);
    for (uint32_t i = 0; i < FR_MIN(written, postings) && scratch->slots_left; i++) {
        uint32_t number = scratch->numbers[(written - 1 - i) % postings];
        scratch->slots_left--;
        if (number != scratch->own && !found_add(sknn, scratch, number, item, weight))
            return; /* all further ones are older still */
    }
}

/* Copies a live session's items; 0 when its row holds another session by now (SK1). */
static uint32_t session_copy(const struct model_sknn *sknn, uint32_t number,
                             struct session_row *out)
{
    const struct session_row *row =
        base_rows_at(sknn->tables[SKNN_SESSION], session_index(sknn, number));
    uint32_t version;
    do {
        version = base_row_read_begin(&row->version);
        base_rows_copy(out, row, sizeof(*out));
    } while (!base_row_read_ok(&row->version, version));
    return out->number == number ? FR_MIN(out->count, (uint32_t)MODEL_SKNN_SESSION_ITEMS) : 0;
}

static bool better(const struct found *a, const struct found *b)
{
    return a->similarity > b->similarity ||
           (a->similarity == b->similarity && a->number > b->number);
}

/* The best k of n to the front, by a heap whose root is the worst kept; order-free result. */
static void best_sift(struct found *best, uint32_t i, uint32_t n)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && better(&best[child], &best[child + 1]))
            child++;
        if (!better(&best[i], &best[child]))
            return;
        struct found swap = best[i];
        best[i] = best[child];
        best[child] = swap;
        i = child;
    }
}

static int found_compare(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;
    return better(a, b) ? -1 : better(b, a) ? 1 : 0;
}

static uint32_t choose(const struct model_sknn *sknn, struct model_sknn_scratch *scratch,
                       uint32_t clock_s)
{
    const struct model_sknn_options *o = &sknn->options;
    uint32_t n = 0;
    struct session_row row;
    for (uint32_t i = 0; i < scratch->found_count; i++) {
        struct found found = *found_slot(scratch, scratch->heap[i]);
        uint32_t length = session_copy(sknn, found.number, &row);
        if (!length || found.similarity <= 0)
            continue;
        float log2_weight = -0.5f * base_log2f((float)length);
        if (o->age_half_s > 0 && clock_s > row.clock_s)
            log2_weight -= (float)(clock_s - row.clock_s) / o->age_half_s;
        found.similarity *= base_exp2f(log2_weight);
        if (n < o->neighbours) {
            scratch->best[n++] = found;
            for (uint32_t k = n / 2; n == o->neighbours && k-- > 0;)
                best_sift(scratch->best, k, n);
        } else if (better(&found, &scratch->best[0])) {
            scratch->best[0] = found;
            best_sift(scratch->best, 0, n);
        }
    }
    qsort(scratch->best, n, sizeof(*scratch->best), found_compare); /* a fixed order of the sums */
    return n;
}

static void vote(struct model_sknn_scratch *scratch, uint32_t item, float score)
{
    uint32_t mask = scratch->vote_slots - 1, i = (uint32_t)base_mix64(item) & mask;
    while (scratch->votes[i].item && scratch->votes[i].item != item)
        i = (i + 1) & mask;
    scratch->vote_count += !scratch->votes[i].item;
    scratch->votes[i].item = item;
    scratch->votes[i].score += score;
}

static void votes_of(const struct model_sknn *sknn, struct model_sknn_scratch *scratch,
                     const struct found *found)
{
    struct session_row row;
    uint32_t length = session_copy(sknn, found->number, &row), match = length;
    for (uint32_t i = 0; i < length; i++)
        if (row.items[i] == found->match)
            match = i; /* its last occurrence */
    if (match == length)
        return;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t apart = i > match ? i - match : match - i;
        float side = i > match ? 1.0f : sknn->options.back;
        if (apart)
            vote(scratch, row.items[i], found->similarity * side * sknn->distance[apart]);
    }
}

uint32_t model_sknn_query(const struct model_sknn *sknn, const struct model_sknn_query *query,
                          struct model_sknn_scratch *scratch,
                          const struct model_sknn_votes *out_votes)
{
    memset(scratch->found, 0, scratch->found_slots * sizeof(*scratch->found));
    memset(scratch->votes, 0, scratch->vote_slots * sizeof(*scratch->votes));
    scratch->found_count = scratch->vote_count = 0;
    scratch->own = 0;
    scratch->slots_left = scratch->found_slots / 2;
    if (query->user && query->user < base_rows_count(sknn->tables[SKNN_USER])) {
        const struct user_row *owner = base_rows_at(sknn->tables[SKNN_USER], query->user);
        scratch->own = FR_LOAD(owner->tag) == query->tag ? FR_LOAD(owner->number) : 0;
    }
    for (uint32_t i = 0; i < FR_MIN(query->count, (uint32_t)MODEL_SKNN_QUERY_ITEMS); i++)
        collect(sknn, scratch, query->items[i], i);
    uint32_t n = choose(sknn, scratch, query->clock_s), count = 0;
    for (uint32_t i = 0; i < n; i++)
        votes_of(sknn, scratch, &scratch->best[i]);
    for (uint32_t i = 0; i < scratch->vote_slots && count < out_votes->max; i++) {
        if (!scratch->votes[i].item)
            continue;
        out_votes->items[count] = scratch->votes[i].item;
        out_votes->scores[count++] = scratch->votes[i].score;
    }
    return count;
}
