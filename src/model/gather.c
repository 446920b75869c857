/* SPDX-License-Identifier: Apache-2.0
 *
 * The gather: see gather.h. Cost: ~5 ns an entry of a row; the table is sized to what can come, so
 * that small queries clear little.
 *
 * Weight of a visit k steps back whose row adds up to T: r^k / sqrt(T) (source exponent 1/2,
 * reference: Deshpande & Karypis 2004; the recency factors .6 and .85 are features side by side).
 */
#include "model/gather.h"

#include <string.h>

enum { SLOTS_MAX = 32768, SCAN_ENTRIES_MAX = 20000, SCAN_BATCH = 16 };

static const float backward_share = 1.0f;

/* Does the slot belong to another item? One branch, not one for "none" and one for "the same": the
 * empty asm hides from the compiler that the word is made of two questions. */
static inline bool is_another(uint32_t slot, uint64_t word, uint32_t item)
{
    uint32_t differs = ((uint32_t)word ^ item) & -(uint32_t)(slot != 0);
    __asm__("" : "+r"(differs));
    return differs != 0;
}

/* The slot of `item`, made if need be; there is room for it. Gives in *from the slot whose sums it has so
 * far: itself or, of a new one, slot 0. Without branches but for a collision: old or new is a coin that
 * the processor would guess wrong for every third entry. */
static inline uint32_t slot_take(const struct model_gather *gather, uint32_t item, uint32_t *count,
                                 uint32_t *from)
{
    uint32_t at = model_gather_home(gather, item), found = gather->table[at];
    uint64_t word = gather->slot[found].word;
    while (is_another(found, word, item)) {
        at = (at + 1) & gather->mask;
        found = gather->table[at];
        word = gather->slot[found].word;
    }
    uint32_t fresh = found == 0, slot = found + ((*count + 1) & -fresh);
    gather->table[at] = (uint16_t)slot;
    gather->slot[slot].word = word | item;
    *count += fresh;
    *from = found;
    return slot;
}

uint32_t model_gather_slot(struct model_gather *gather, uint32_t item)
{
    uint32_t from;
    if (gather->count == gather->count_max)
        return model_gather_find(gather, item);
    uint32_t slot = slot_take(gather, item, &gather->count, &from);
    if (!from)
        gather->slot[slot].sum = (struct model_sums){0};
    return slot;
}

static bool gather_alloc(struct model_gather *gather, struct base_arena *arena, uint32_t wanted)
{
    uint32_t count_max = FR_MIN(wanted, (uint32_t)SLOTS_MAX), size = 1024;
    while (size < count_max * 2) /* a third of the entries was met before: a third full at most */
        size *= 2;
    gather->mask = size - 1;
    gather->count_max = count_max;
    gather->table = base_arena_zalloc(arena, size * sizeof(*gather->table));
    gather->slot = base_arena_alloc(arena, (count_max + 1ul) * sizeof(*gather->slot));
    if (!base_arena_overflowed(arena))
        gather->slot[0] = (struct model_slot){0};
    return !base_arena_overflowed(arena);
}

/* Weights of one visit. `step` counts visits back from now, `session_step` within the session. */
static void weigh(struct model_visit_row *visit, const struct model_recent *recent, uint32_t step,
                  const float r[3], float norm[MODEL_GATHER_SUMS])
{
    const float r6 = r[0], r8 = r[1], r95 = r[2];
    const struct state_row *row = &visit->row;
    float(*w)[MODEL_GATHER_SUMS] = visit->weight;
    memset(visit->weight, 0, sizeof(visit->weight));
    float both = row->total[STATE_PAIR_FORWARD] + backward_share * row->total[STATE_PAIR_BACKWARD];
    float v = 1.0f / __builtin_sqrtf(both + 1.0f);
    float session = row->total[STATE_PAIR_SESSION];
    float next = row->total[STATE_PAIR_NEXT];
    if (recent->same_session) {
        float vs = r6 / __builtin_sqrtf(session + 1.0f), vn = r6 / __builtin_sqrtf(next + 1.0f);
        w[STATE_PAIR_NEXT][MODEL_SUM_NEXT_LAST] = step == 0 ? 1.0f : 0.0f;
        w[STATE_PAIR_NEXT][MODEL_SUM_NEXT_SESSION] = vn;
        w[STATE_PAIR_SESSION][MODEL_SUM_SESSION] = vs;
        norm[MODEL_SUM_NEXT_LAST] += step == 0 ? next : 0.0f;
        norm[MODEL_SUM_NEXT_SESSION] += vn * next;
        norm[MODEL_SUM_SESSION] += vs * session;
    } else {
        float ve = r8 / __builtin_sqrtf(session + 1.0f);
        w[STATE_PAIR_SESSION][MODEL_SUM_EARLIER] = ve;
        norm[MODEL_SUM_EARLIER] += ve * session;
    }
    w[STATE_PAIR_FORWARD][MODEL_SUM_SEQ_6] = r6 * v;
    w[STATE_PAIR_BACKWARD][MODEL_SUM_SEQ_6] = r6 * v * backward_share;
    w[STATE_PAIR_FORWARD][MODEL_SUM_SEQ_8] = r8 * v;
    w[STATE_PAIR_BACKWARD][MODEL_SUM_SEQ_8] = r8 * v * backward_share;
    w[STATE_PAIR_FORWARD][MODEL_SUM_FORWARD_8] = r8 * v;
    w[STATE_PAIR_FORWARD][MODEL_SUM_FORWARD_LAST] = step == 0 ? 1.0f : 0.0f;
    norm[MODEL_SUM_SEQ_6] += r6 * v * both;
    norm[MODEL_SUM_SEQ_8] += r8 * v * both;
    norm[MODEL_SUM_FORWARD_8] += r8 * v * row->total[STATE_PAIR_FORWARD];
    norm[MODEL_SUM_FORWARD_LAST] += step == 0 ? row->total[STATE_PAIR_FORWARD] : 0.0f;
    float near = row->total[STATE_PAIR_NEAR], vr = r6 / __builtin_sqrtf(near + 1.0f);
    w[STATE_PAIR_NEAR][MODEL_SUM_NEAR_6] = vr;
    w[STATE_PAIR_NEAR][MODEL_SUM_NEAR_LAST] = step == 0 ? 1.0f : 0.0f;
    w[STATE_PAIR_FORWARD][MODEL_SUM_SEQ_95] = r95 * v;
    w[STATE_PAIR_BACKWARD][MODEL_SUM_SEQ_95] = r95 * v * backward_share;
    norm[MODEL_SUM_NEAR_6] += vr * near;
    norm[MODEL_SUM_NEAR_LAST] += step == 0 ? near : 0.0f;
    norm[MODEL_SUM_SEQ_95] += r95 * v * both;
    for (uint32_t c = 0; c < STATE_ROW_COUNTERS; c++)
        for (uint32_t s = 0; s < MODEL_GATHER_SUMS; s++)
            w[c][s] *= row->scale[c];
}

typedef uint32_t counter_four __attribute__((vector_size(16)));
typedef int32_t signed_four __attribute__((vector_size(16)));

/* Adds an entry's counters to the sums so far, in the order of the counters; pairs of counter and sums
 * whose weights weigh() leaves at zero are left out, which changes no bit. */
static inline void entry_add(const model_four w[STATE_ROW_COUNTERS][3], const uint32_t *counter,
                             const struct model_sums *from, struct model_sums *to)
{
    model_four a = from->four[0], b = from->four[1], d = from->four[2];
    counter_four raw;
    memcpy(&raw, counter, sizeof(raw));
    model_four c = __builtin_convertvector((signed_four)raw, model_four);
    model_four forward = {c[0], c[0], c[0], c[0]}, backward = {c[1], c[1], c[1], c[1]};
    a += w[STATE_PAIR_SESSION][0] * c[3];
    b += w[STATE_PAIR_FORWARD][1] * forward;
    d += w[STATE_PAIR_FORWARD][2] * forward;
    a += w[STATE_PAIR_NEXT][0] * (float)(int32_t)counter[4];
    b += w[STATE_PAIR_BACKWARD][1] * backward;
    d += w[STATE_PAIR_BACKWARD][2] * backward;
    d += w[STATE_PAIR_NEAR][2] * c[2];
    to->four[0] = a;
    to->four[1] = b;
    to->four[2] = d;
}

/* The lines of the next row are asked for while this one is summed up: rows come from memory. */
struct ahead {
    const char *at;
    uint32_t left; /* bytes */
};

static inline void ahead_ask(struct ahead *ahead, uint32_t lines)
{
    for (uint32_t l = 0; l < lines && ahead->left > 0; l++) {
        uint32_t bytes = FR_MIN(64u, ahead->left);
        __builtin_prefetch(ahead->at);
        ahead->at += bytes;
        ahead->left -= bytes;
    }
}

/* Slots of a few entries first, then their sums: the look-ups of one batch overlap. */
static void scan(struct model_gather *gather, const struct model_visit_row *visit,
                 struct ahead *ahead)
{
    enum { FOURS = MODEL_GATHER_SUMS / 4, LINES = SCAN_BATCH * 24 / 64 + 1 };
    _Static_assert(FOURS == 3 && MODEL_SUM_SEQ_6 == 4 && MODEL_SUM_NEAR_6 == 8,
                   "entry_add() knows which counters go where");
    model_four w[STATE_ROW_COUNTERS][FOURS];
    memcpy(w, visit->weight, sizeof(w));
    const struct state_row row = visit->row;
    uint32_t met =
        gather->count; /* in a register: an entry waits for the number of the one before */
    for (uint32_t first = 0; first < row.count; first += SCAN_BATCH) {
        uint32_t from[SCAN_BATCH], to[SCAN_BATCH], place[SCAN_BATCH], count = 0;
        uint32_t last = FR_MIN(first + SCAN_BATCH, row.count);
        if (gather->count_max - met < SCAN_BATCH)
            break;
        ahead_ask(ahead, LINES);
        for (uint32_t e = first; e < last; e++) {
            place[count] = e;
            count += row.item[e] != 0;
        }
        for (uint32_t i = 0; i < count; i++)
            to[i] = slot_take(gather, row.item[place[i]], &met, &from[i]);
        for (uint32_t i = 0; i < count; i++)
            entry_add(w, row.counter[place[i]], &gather->slot[from[i]].sum,
                      &gather->slot[to[i]].sum);
    }
    gather->count = met;
}

enum { FRIEND_VISITS = 64, FRIENDS_ENTRIES = SCHEMA_LIST_MAX * FRIEND_VISITS };

/* What those whom the user follows have chosen of late. A friend with many visits says less by each:
 * 1 / sqrt(visits), as a row's owner in weigh(). */
static void add_friends(struct model_gather *gather, const struct state *state)
{
    const struct state_follows *follows = gather->follows;
    for (uint32_t f = 0; f < follows->user_count; f++) {
        struct state_visit visits[FRIEND_VISITS];
        uint32_t count = state_history(state, follows->users[f], visits, FRIEND_VISITS);
        float weight = 1.0f / __builtin_sqrtf((float)(int32_t)count + 1.0f);
        for (uint32_t v = 0; v < count; v++) {
            uint32_t slot = visits[v].signal > 0.0f ? model_gather_slot(gather, visits[v].item) : 0;
            if (!slot)
                continue;
            gather->slot[slot].sum.at[MODEL_SUM_FRIENDS] += weight;
            gather->norm[MODEL_SUM_FRIENDS] += weight;
        }
    }
}

/* False: nobody is followed. */
static bool find_friends(struct model_gather *gather, const struct state *state, uint32_t user,
                         struct base_arena *arena)
{
    size_t mark = base_arena_mark(arena);
    struct state_follows *follows = base_arena_alloc(arena, sizeof(*follows));
    if (follows && state_user_follows(state, user, arena, follows))
        gather->follows = follows;
    else
        base_arena_rewind(arena, mark);
    return gather->follows != NULL;
}

/* Seen items get their slots first, marked. */
static void add_seen(struct model_gather *gather, const struct model_query *query)
{
    for (uint32_t s = 0; s < query->seen_count; s++) {
        uint32_t slot = model_gather_slot(gather, query->seen[s]);
        if (slot)
            gather->slot[slot].flags |= MODEL_SLOT_SEEN;
    }
}

/* Row by row: its copy, its weights, its sums. */
static void add_visits(struct model_gather *gather, const struct state *state,
                       const struct model_query *query, struct base_arena *arena, bool in_place)
{
    float recency[3] = {1.0f, 1.0f, 1.0f};
    for (uint32_t v = 0; v < gather->visit_count; v++) {
        struct model_visit_row *visit = &gather->visit[v];
        struct ahead ahead = {0};
        if (v + 1 < gather->visit_count)
            ahead = (struct ahead){gather->visit[v + 1].hint.at, gather->visit[v + 1].hint.bytes};
        visit->any = state_row_get(state, STATE_ROW_ITEM, query->history[v].item, query->clock_s,
                                   arena, in_place, &visit->row);
        if (visit->any) {
            weigh(visit, &query->history[v], v, recency, gather->norm);
            scan(gather, visit, &ahead);
        }
        recency[0] *= 0.6f;
        recency[1] *= 0.85f;
        recency[2] *= 0.95f;
    }
}

struct model_gather *model_gather_run(const struct state *state, const struct model_query *query,
                                      struct base_arena *arena, bool in_place)
{
    struct model_gather *gather = base_arena_zalloc(arena, sizeof(*gather));
    uint32_t visits = FR_MIN(query->history_count, (uint32_t)MODEL_SCAN_VISITS);
    struct model_visit_row *visit =
        base_arena_zalloc(arena, FR_MAX(visits, 1u) * sizeof(struct model_visit_row));
    if (!gather || !visit)
        return NULL;
    gather->visit = visit;
    uint32_t entries = 0;
    for (uint32_t v = 0; v < visits && entries < SCAN_ENTRIES_MAX; v++) {
        visit[v].hint = state_row_hint(state, STATE_ROW_ITEM, query->history[v].item);
        entries += visit[v].hint.slots;
        gather->visit_count = v + 1;
    }
    if (visits) {
        struct ahead ahead = {visit[0].hint.at, visit[0].hint.bytes};
        ahead_ask(&ahead, ahead.left / 64);
    }
    entries += find_friends(gather, state, query->user, arena) ? FRIENDS_ENTRIES : 0;
    if (!gather_alloc(gather, arena, query->seen_count + entries + 1024))
        return NULL;
    add_seen(gather, query);
    add_visits(gather, state, query, arena, in_place);
    if (gather->follows)
        add_friends(gather, state);
    return gather;
}

float model_gather_part(const struct model_gather *gather, uint32_t v, uint32_t sum, uint32_t item)
{
    const struct model_visit_row *visit = &gather->visit[v];
    if (v >= gather->visit_count || !visit->any || sum >= MODEL_GATHER_SUMS)
        return 0.0f;
    int32_t e = state_row_place(&visit->row, item);
    float part = 0.0f;
    for (uint32_t c = 0; e >= 0 && c < STATE_ROW_COUNTERS; c++)
        part += visit->weight[c][sum] * (float)(int32_t)visit->row.counter[e][c];
    return part;
}

/* What one visit puts into the sums of an entry of its row. */
static void entry_parts(const struct model_visit_row *visit, int32_t e, struct model_sums *out)
{
    float part[MODEL_GATHER_SUMS] = {0};
    for (uint32_t c = 0; c < STATE_ROW_COUNTERS; c++) {
        float counter = (float)(int32_t)visit->row.counter[e][c];
        for (uint32_t s = 0; s < MODEL_GATHER_SUMS; s++)
            part[s] += visit->weight[c][s] * counter;
    }
    memcpy(out, part, sizeof(part));
}

struct model_sums *model_gather_parts(const struct model_gather *gather, const uint32_t *item,
                                      uint32_t count, struct base_arena *arena)
{
    FR_ASSERT(count <= MODEL_PARTS_MAX);
    uint32_t stride = gather->visit_count;
    size_t bytes =
        ((size_t)count * stride + 32) * sizeof(struct model_sums); /* 1 KiB: 64-aligned */
    struct model_sums *out = base_arena_zalloc(arena, bytes);
    if (!out)
        return NULL;
    for (uint32_t v = 0; v < stride; v++) {
        for (uint32_t i = 0; i < count && gather->visit[v].any; i++) {
            int32_t e = state_row_place(&gather->visit[v].row, item[i]);
            if (e >= 0)
                entry_parts(&gather->visit[v], e, &out[i * stride + v]);
        }
    }
    return out;
}

/* Contexts whose leaders are looked at, and which counters of their rows become which sums. */
static const struct {
    uint8_t field, counter, sum;
} context_sums[] = {
    {STATE_DEVICE, STATE_POP_17MIN, MODEL_SUM_DEVICE},
    {STATE_REGION, STATE_POP_17MIN, MODEL_SUM_REGION},
    {STATE_REGION, STATE_POP_2H, MODEL_SUM_REGION_2H},
    {STATE_COUNTRY, STATE_POP_17MIN, MODEL_SUM_COUNTRY},
    {STATE_REFERRER, STATE_POP_17MIN, MODEL_SUM_REFERRER},
    {STATE_REFERRER, STATE_POP_2H, MODEL_SUM_REFERRER_2H},
    {STATE_CITY, STATE_POP_17MIN, MODEL_SUM_CITY},
    {STATE_LANGUAGE, STATE_POP_17MIN, MODEL_SUM_LANGUAGE},
};

void model_gather_contexts(const struct state *state, const struct model_query *query,
                           struct base_arena *arena, bool in_place,
                           const struct model_candidates *candidates)
{
    for (uint32_t i = 0; i < FR_COUNT_OF(context_sums); i++) {
        uint32_t value = query->context[context_sums[i].field];
        bool twin =
            i + 1 < FR_COUNT_OF(context_sums) && context_sums[i + 1].field == context_sums[i].field;
        struct state_row row;
        size_t mark = base_arena_mark(arena);
        if (!value || !state_row_get(state, STATE_ROW_CONTEXT, value, query->clock_s, arena,
                                     in_place, &row)) {
            i += twin;
            continue;
        }
        const uint32_t last = i + twin;
        float scale[2];
        for (uint32_t j = i; j <= last; j++) /* share, shrunk by 8 events of nothing */
            scale[j - i] =
                row.scale[context_sums[j].counter] / (row.total[context_sums[j].counter] + 8.0f);
        for (uint32_t c = 0; c < candidates->count; c++) {
            int32_t e = state_row_place(&row, candidates->item[c]);
            for (uint32_t j = i; j <= last && e >= 0; j++)
                candidates->sum[context_sums[j].sum * candidates->stride + c] =
                    (float)(int32_t)row.counter[e][context_sums[j].counter] * scale[j - i];
        }
        base_arena_rewind(arena, mark);
        i = last;
    }
}
