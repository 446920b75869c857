/* SPDX-License-Identifier: Apache-2.0
 *
 * Candidates: see the door. The gather has a slot for everything that the history's rows name; the
 * generators mark slots (adding those that only a context or the catalogue names). Then the marked
 * ones that pass the filters are taken in the order of marking, up to candidates_max.
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
    uint32_t *item;       /* [candidates_max] */
    uint16_t *generators; /* the same */
    uint32_t *marked;     /* slots in order of marking */
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
        "popular", "trending", "context", "next",     "history",
        "earlier", "content",  "fresh",   "category",
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
    if (fresh)
        run->marked[run->marked_count++] = (uint32_t)slot;
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

/* The `quota` unseen slots with the largest sum, by a heap of the best so far (least on top). */
static void best_of_sum(struct run *run, enum model_sum sum, uint32_t asked,
                        enum retrieve_generator generator)
{
    struct model_gather *gather = run->gather;
    const uint32_t quota = quota_of(run, asked);
    float value[BEST_MAX];
    uint32_t slot[BEST_MAX], count = 0;
    if (gather->norm[sum] <= 0.0f)
        return;
    for (uint32_t s = 0; s < gather->count; s++) {
        float v = gather->sum[s].at[sum];
        if (v <= 0.0f || (count == quota && v <= value[0]) || gather->flags[s] & MODEL_SLOT_SEEN)
            continue;
        uint32_t at;
        if (count < quota) { /* sift up */
            for (at = count++; at > 0 && value[(at - 1) / 2] > v; at = (at - 1) / 2) {
                value[at] = value[(at - 1) / 2];
                slot[at] = slot[(at - 1) / 2];
            }
        } else { /* replace the least, sift down */
            for (at = 0; at * 2 + 1 < count;) {
                uint32_t child = at * 2 + 1;
                if (child + 1 < count && value[child + 1] < value[child])
                    child++;
                if (value[child] >= v)
                    break;
                value[at] = value[child];
                slot[at] = slot[child];
                at = child;
            }
        }
        value[at] = v;
        slot[at] = s;
    }
    for (uint32_t i = 0; i < count; i++)
        mark_slot(run, (int32_t)slot[i], generator);
}

static void from_history(struct run *run)
{
    best_of_sum(run, MODEL_SUM_NEXT_LAST, 32, RETRIEVE_NEXT);
    best_of_sum(run, MODEL_SUM_NEXT_SESSION, 16, RETRIEVE_NEXT);
    best_of_sum(run, MODEL_SUM_SESSION, 32, RETRIEVE_NEXT);
    best_of_sum(run, MODEL_SUM_NEAR_6, 32, RETRIEVE_HISTORY);
    best_of_sum(run, MODEL_SUM_SEQ_8, 80, RETRIEVE_HISTORY);
    best_of_sum(run, MODEL_SUM_FORWARD_8, 40, RETRIEVE_HISTORY);
    best_of_sum(run, MODEL_SUM_EARLIER, 16, RETRIEVE_EARLIER);
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

static void from_fresh(struct run *run)
{
    uint32_t items[24];
    mark_items(run, items, state_items_newest(run->state, items, 24), RETRIEVE_FRESH);
}

/* A long history names more that is worth ranking: films gain up to 320, news, where histories are
 * short, lose .001 HR@10 with 96 instead of 192 and cost half. */
static uint32_t default_max(const struct model_query *query)
{
    return 128 + 8 * (FR_MIN(FR_MAX(query->history_count, 8u), 32u) - 8);
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

enum fr_status retrieve_run(const struct state *state, const struct model_query *query,
                            const struct retrieve_options *options, struct base_arena *arena,
                            struct model_gather **out_gather,
                            struct retrieve_candidates *out_candidates)
{
    uint32_t max = options->candidates_max ? options->candidates_max : default_max(query);
    max = FR_MIN(max, (uint32_t)MODEL_BATCH_MAX);
    struct run run = {
        .state = state,
        .query = query,
        .options = options,
        .arena = arena,
        .candidates_max = max,
        .gather = model_gather_run(state, query, arena, options->in_place),
        .item = base_arena_alloc(arena, max * sizeof(uint32_t)),
        .generators = base_arena_alloc(arena, max * sizeof(uint16_t)),
        .marked = base_arena_alloc(arena, MARKED_MAX * sizeof(uint32_t)),
    };
    if (!run.gather || base_arena_overflowed(arena))
        return FR_FULL;
    from_popularity(&run);
    from_history(&run);
    from_contexts(&run);
    from_content(&run);
    from_fresh(&run);
    uint32_t count = 0;
    for (uint32_t m = 0; m < run.marked_count && count < max; m++) {
        uint32_t slot = run.marked[m];
        if (!accepted(&run, run.gather->item[slot]))
            continue;
        run.item[count] = run.gather->item[slot];
        run.generators[count++] = run.gather->generators[slot];
    }
    *out_gather = run.gather;
    *out_candidates =
        (struct retrieve_candidates){count, run.item, run.generators, run.marked_count};
    return FR_OK;
}
