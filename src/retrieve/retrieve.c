/* SPDX-License-Identifier: Apache-2.0
 *
 * Candidates: see the door. The gather has a slot for everything that the history's rows name; the
 * generators mark slots (adding those that only a context or the catalogue names). Then the marked
 * ones that pass the filters are taken in the order of marking, up to candidates_max; what learnt
 * vectors name comes beside them.
 *
 * R1: a generator never takes more than its quota of fresh items.
 * R2: seen items have a slot marked so and are never taken.
 * R3: order and choice depend on the state and the query alone (ties: the earlier slot).
 */
#include "retrieve/retrieve.h"

#include <string.h>

#include "model/gather.h"

enum { CANDIDATES_DEFAULT = 192, MARKED_MAX = 1024, LEADERS = 48, BEST_MAX = 256 };

struct run {
    const struct state *state;
    const struct model_query *query;
    const struct retrieve_options *options;
    struct base_arena *arena;
    struct model_gather *gather;
    uint32_t *item;       /* [count] taken; room for candidates_max and what experts add */
    uint16_t *generators; /* the same */
    uint32_t count;
    uint32_t *marked; /* slots in order of marking */
    uint32_t marked_count, candidates_max;
};

/* Quotas are written for CANDIDATES_DEFAULT candidates and grow and shrink with what is asked. */
static uint32_t quota_of(const struct run *run, uint32_t quota)
{
    return FR_MAX(quota * FR_MIN(run->candidates_max, 512u) / CANDIDATES_DEFAULT, 4u);
}

const char *retrieve_generator_name(enum retrieve_generator generator)
{
    static const char *const names[RETRIEVE_GENERATOR_COUNT] = {
        "expert",  "repeat",  "popular", "trending", "context", "next",    "history",
        "earlier", "content", "fresh",   "category", "friends", "vectors",
    };
    return generator < RETRIEVE_GENERATOR_COUNT ? names[generator] : "unknown";
}

/* Marks a slot for a generator; true when it was not marked by any before. */
static bool mark_slot(struct run *run, int32_t slot, enum retrieve_generator generator)
{
    struct model_gather *gather = run->gather;
    if (slot < 0 || gather->flags[slot] & MODEL_SLOT_SEEN)
        return false;
    bool fresh = gather->generators[slot] == 0;
    if (fresh && run->marked_count == MARKED_MAX)
        return false;
    gather->generators[slot] |= (uint16_t)(1u << generator);
    if (fresh) {
        run->marked[run->marked_count++] = (uint32_t)slot;
        state_item_prefetch(run->state, gather->item[slot]); /* looked at by accepted() */
    }
    return fresh;
}

static void mark_items(struct run *run, const uint32_t *items, uint32_t count,
                       enum retrieve_generator generator)
{
    for (uint32_t i = 0; i < count; i++)
        mark_slot(run, model_gather_slot(run->gather, items[i]), generator);
}

/* ---- generators ----------------------------------------------------------------------------- */

/* Whose leaders, by which counter, how many. */
struct leaders {
    enum state_row_kind kind;
    uint32_t key, counter, quota;
    enum retrieve_generator generator;
};

static void leaders(struct run *run, struct leaders of)
{
    uint32_t items[LEADERS];
    uint32_t count = state_row_top(run->state, of.kind, of.key, of.counter, items,
                                   FR_MIN(quota_of(run, of.quota), (uint32_t)LEADERS));
    mark_items(run, items, count, of.generator);
}

/* What stands high by the sums of the history, and how many of each. */
static const struct wanted {
    uint8_t sum, quota, generator;
} wanted[] = {
    {MODEL_SUM_NEXT_LAST, 32, RETRIEVE_NEXT},  {MODEL_SUM_NEXT_SESSION, 16, RETRIEVE_NEXT},
    {MODEL_SUM_SESSION, 32, RETRIEVE_NEXT},    {MODEL_SUM_NEAR_6, 32, RETRIEVE_HISTORY},
    {MODEL_SUM_SEQ_8, 80, RETRIEVE_HISTORY},   {MODEL_SUM_FORWARD_8, 40, RETRIEVE_HISTORY},
    {MODEL_SUM_EARLIER, 16, RETRIEVE_EARLIER}, {MODEL_SUM_FRIENDS, 64, RETRIEVE_FRIENDS},
};

/* The `quota` unseen slots with the largest sum so far: a heap, the least on top. */
struct best {
    uint32_t quota, count;
    struct {
        float value;
        uint32_t slot;
    } at[BEST_MAX];
};

/* Gives what the next one has to exceed. */
static float best_add(struct best *best, float value, uint32_t slot)
{
    uint32_t at, count = best->count;
    if (count < best->quota) { /* sift up */
        for (at = best->count++; at > 0 && best->at[(at - 1) / 2].value > value; at = (at - 1) / 2)
            best->at[at] = best->at[(at - 1) / 2];
    } else { /* replace the least, sift down */
        for (at = 0; at * 2 + 1 < count;) {
            uint32_t child = at * 2 + 1;
            child += child + 1 < count && best->at[child + 1].value < best->at[child].value;
            if (best->at[child].value >= value)
                break;
            best->at[at] = best->at[child];
            at = child;
        }
    }
    best->at[at].value = value;
    best->at[at].slot = slot;
    return best->count == best->quota ? best->at[0].value : 0.0f;
}

typedef int32_t mask_four __attribute__((vector_size(16)));

/* One bit for each sum of the slot that exceeds `least`. */
static inline uint32_t sums_over(const struct model_sums *sums, const struct model_sums *least)
{
    const mask_four bits = {1, 2, 4, 8};
    mask_four over = (sums->four[0] > least->four[0]) & bits;
    over |= (sums->four[1] > least->four[1]) & (bits << 4);
    over |= (sums->four[2] > least->four[2]) & (bits << 8);
    uint64_t half[2];
    memcpy(half, &over, sizeof(half));
    half[0] |= half[1];
    return (uint32_t)half[0] | (uint32_t)(half[0] >> 32);
}

/* One pass over the slots for all wanted sums: most slots are over none of the leasts. */
static void from_history(struct run *run)
{
    struct model_gather *gather = run->gather;
    struct best *best = base_arena_alloc(run->arena, FR_COUNT_OF(wanted) * sizeof(*best));
    uint8_t best_of[MODEL_GATHER_SUMS] = {0};
    struct model_sums least;
    if (!best)
        return;
    for (uint32_t s = 0; s < MODEL_GATHER_SUMS; s++)
        least.at[s] = 3e38f;
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++) {
        best[i].quota = quota_of(run, wanted[i].quota);
        best[i].count = 0;
        best_of[wanted[i].sum] = (uint8_t)i;
        if (gather->norm[wanted[i].sum] > 0.0f)
            least.at[wanted[i].sum] = 0.0f;
    }
    for (uint32_t s = 0; s < gather->count; s++) {
        uint32_t over = sums_over(&gather->sum[s], &least);
        if (!over || gather->flags[s] & MODEL_SLOT_SEEN)
            continue;
        for (; over; over &= over - 1) {
            uint32_t sum = (uint32_t)__builtin_ctz(over);
            least.at[sum] = best_add(&best[best_of[sum]], gather->sum[s].at[sum], s);
        }
    }
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++)
        for (uint32_t k = 0; k < best[i].count; k++)
            mark_slot(run, (int32_t)best[i].at[k].slot, wanted[i].generator);
}

static void from_popularity(struct run *run)
{
    leaders(run, (struct leaders){STATE_ROW_EVERYONE, 0, STATE_POP_4MIN, 24, RETRIEVE_TRENDING});
    leaders(run, (struct leaders){STATE_ROW_EVERYONE, 0, STATE_POP_17MIN, 24, RETRIEVE_TRENDING});
    leaders(run, (struct leaders){STATE_ROW_EVERYONE, 0, STATE_POP_2H, 24, RETRIEVE_POPULAR});
    leaders(run, (struct leaders){STATE_ROW_EVERYONE, 0, STATE_POP_18H, 32, RETRIEVE_POPULAR});
    leaders(run, (struct leaders){STATE_ROW_EVERYONE, 0, STATE_POP_SLOW, 32, RETRIEVE_POPULAR});
}

static void from_contexts(struct run *run)
{
    static const uint8_t fields[] = {STATE_REGION, STATE_REFERRER, STATE_CITY,
                                     STATE_DEVICE, STATE_COUNTRY,  STATE_LANGUAGE};
    for (uint32_t f = 0; f < FR_COUNT_OF(fields); f++) {
        uint32_t value = run->query->context[fields[f]];
        if (!value)
            continue;
        leaders(run,
                (struct leaders){STATE_ROW_CONTEXT, value, STATE_POP_17MIN, 16, RETRIEVE_CONTEXT});
        leaders(run, (struct leaders){STATE_ROW_CONTEXT, value, STATE_POP_2H, 8, RETRIEVE_CONTEXT});
    }
    for (uint32_t c = 0; c < run->options->category_count; c++) {
        leaders(run, (struct leaders){STATE_ROW_CATEGORY, run->options->categories[c],
                                      STATE_POP_17MIN, 48, RETRIEVE_CATEGORY});
        leaders(run, (struct leaders){STATE_ROW_CATEGORY, run->options->categories[c],
                                      STATE_POP_SLOW, 48, RETRIEVE_CATEGORY});
        uint32_t items[24];
        mark_items(run, items,
                   state_token_items(run->state, run->options->categories[c], items, 24),
                   RETRIEVE_CATEGORY);
    }
}

/* Through the rarest tokens of the newest liked items to the newest items that carry them. */
static void from_content(struct run *run)
{
    for (uint32_t v = 0; v < run->query->history_count && v < 3; v++) {
        uint32_t tokens[STATE_ITEM_TOKENS_MAX], items[12];
        uint32_t count = state_item_tokens(run->state, run->query->history[v].item, tokens);
        for (uint32_t t = 0; t < count && t < 12; t++)
            mark_items(run, items, state_token_items(run->state, tokens[t], items, v ? 4 : 8),
                       RETRIEVE_CONTENT);
    }
}

/* The newest of the authors whom the user follows. */
static void from_authors(struct run *run)
{
    const struct state_follows *follows = run->gather->follows;
    for (uint32_t a = 0; follows && a < follows->author_count; a++) {
        uint32_t items[8];
        mark_items(run, items, state_token_items(run->state, follows->authors[a], items, 8),
                   RETRIEVE_FRIENDS);
    }
}

static void from_fresh(struct run *run)
{
    uint32_t items[24];
    mark_items(run, items, state_items_newest(run->state, items, 24), RETRIEVE_FRESH);
}

static void from_experts(struct run *run)
{
    const struct retrieve_options *options = run->options;
    for (uint32_t p = 0; p < options->proposal_count; p++)
        if (!options->proposal[p].extra)
            mark_items(run, options->proposal[p].item,
                       FR_MIN(options->proposal[p].count, quota_of(run, 48)), RETRIEVE_EXPERT);
}

/* What experts want ranked beside all others: as many new ones as they have room for. */
static void from_experts_extra(struct run *run)
{
    const struct retrieve_options *options = run->options;
    for (uint32_t p = 0; p < options->proposal_count; p++) {
        const struct model_proposal *proposal = &options->proposal[p];
        for (uint32_t i = 0, fresh = 0; i < proposal->count && fresh < proposal->extra; i++)
            fresh +=
                mark_slot(run, model_gather_slot(run->gather, proposal->item[i]), RETRIEVE_VECTORS);
    }
}

static void from_session(struct run *run)
{
    for (uint32_t v = 0; v < FR_MIN(run->query->history_count, 32u) && run->query->repeats; v++)
        mark_slot(run, model_gather_slot(run->gather, run->query->history[v].item),
                  RETRIEVE_REPEAT);
}

/* A long history names more that is worth ranking: films gain up to 320, news, where histories are
 * short, lose .001 HR@10 with 96 instead of 192 and cost half. */
static uint32_t default_max(const struct model_query *query)
{
    return 128 + 8 * (FR_MIN(FR_MAX(query->history_count, 8u), 32u) - 8);
}

static uint32_t extra_of(const struct retrieve_options *options)
{
    uint32_t extra = 0;
    for (uint32_t p = 0; p < options->proposal_count; p++)
        extra += options->proposal[p].extra;
    return extra;
}

/* ---- filters and quotas --------------------------------------------------------------------- */

static bool accepted(const struct run *run, uint32_t index)
{
    const struct retrieve_options *options = run->options;
    struct state_item item;
    if (!state_item_get(run->state, index, &item))
        return false;
    if (!options->allow_unservable && !state_item_servable(&item, run->query->clock_s))
        return false;
    return !options->accept || options->accept(options->accept_context, &item);
}

/* Takes accepted ones of the marked from `from` on until there are `max`; for the rest there was no
 * room: unmarks them. */
static void take(struct run *run, uint32_t from, uint32_t max)
{
    uint32_t m = from;
    for (; m < run->marked_count && run->count < max; m++) {
        uint32_t slot = run->marked[m];
        if (!accepted(run, run->gather->item[slot]))
            continue;
        run->item[run->count] = run->gather->item[slot];
        run->generators[run->count++] = run->gather->generators[slot];
    }
    for (uint32_t rest = m; rest < run->marked_count; rest++)
        run->gather->generators[run->marked[rest]] = 0;
    run->marked_count = m;
}

enum fr_status retrieve_run(const struct state *state, const struct model_query *query,
                            const struct retrieve_options *options, struct base_arena *arena,
                            struct model_gather **out_gather,
                            struct retrieve_candidates *out_candidates)
{
    uint32_t max = options->candidates_max ? options->candidates_max : default_max(query);
    max = FR_MIN(max, (uint32_t)MODEL_BATCH_MAX);
    uint32_t with_extra = FR_MIN(max + extra_of(options), (uint32_t)MODEL_BATCH_MAX);
    struct run run = {
        .state = state,
        .query = query,
        .options = options,
        .arena = arena,
        .candidates_max = max,
        .gather = model_gather_run(state, query, arena, options->in_place),
        .item = base_arena_alloc(arena, with_extra * sizeof(uint32_t)),
        .generators = base_arena_alloc(arena, with_extra * sizeof(uint16_t)),
        .marked = base_arena_alloc(arena, MARKED_MAX * sizeof(uint32_t)),
    };
    if (!run.gather || base_arena_overflowed(arena))
        return FR_FULL;
    from_session(&run);
    from_experts(&run);
    from_popularity(&run);
    from_history(&run);
    from_contexts(&run);
    from_content(&run);
    from_authors(&run);
    from_fresh(&run);
    uint32_t considered = run.marked_count;
    take(&run, 0, max);
    uint32_t looked_at = run.marked_count;
    from_experts_extra(&run);
    take(&run, looked_at, with_extra);
    considered += run.marked_count - looked_at;
    *out_gather = run.gather;
    *out_candidates = (struct retrieve_candidates){run.count, run.item, run.generators, considered};
    return FR_OK;
}
