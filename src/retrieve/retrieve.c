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
#include "model/pick.h"

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
static bool mark_slot(struct run *run, uint32_t slot, enum retrieve_generator generator)
{
    struct model_slot *marked = &run->gather->slot[slot];
    if (!slot || marked->flags & MODEL_SLOT_SEEN)
        return false;
    bool fresh = marked->generators == 0;
    if (fresh && run->marked_count == MARKED_MAX)
        return false;
    marked->generators |= (uint16_t)(1u << generator);
    if (fresh) {
        run->marked[run->marked_count++] = slot;
        state_item_prefetch(run->state, marked->item); /* looked at by accepted() */
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

/* Unseen slots whose sum exceeds a least so far, in order; the `quota` largest are among them. */
struct best {
    uint32_t quota, count;
    int32_t key[BEST_MAX * 4]; /* pick_key() of the sums */
    uint32_t slot[BEST_MAX * 4];
};

/* Keeps the quota largest, of equal ones the earlier; gives the least of them. */
static float best_keep(struct best *best)
{
    int32_t least = pick_kth(best->key, best->count, best->quota, 0);
    uint32_t above = 0, kept = 0;
    for (uint32_t i = 0; i < best->count; i++)
        above += best->key[i] > least;
    uint32_t equal = best->quota - above;
    for (uint32_t i = 0; i < best->count; i++) {
        uint32_t ties = best->key[i] == least && equal > 0, more = best->key[i] > least;
        best->key[kept] = best->key[i];
        best->slot[kept] = best->slot[i];
        equal -= ties;
        kept += ties | more;
    }
    best->count = kept;
    return pick_value(least);
}

/* One bit for each sum of the slot that exceeds `least`. */
static inline uint32_t sums_over(const struct model_sums *sums, const struct model_sums *least)
{
    const ivec4 bits = {1, 2, 4, 8};
    ivec4 over = (sums->four[0] > least->four[0]) & bits;
    over |= (sums->four[1] > least->four[1]) & (bits << 4);
    over |= (sums->four[2] > least->four[2]) & (bits << 8);
    uint64_t half[2];
    memcpy(half, &over, sizeof(half));
    half[0] |= half[1];
    return (uint32_t)half[0] | (uint32_t)(half[0] >> 32);
}

enum { SAMPLE_STEP = 16, SAMPLE_MIN = 64 * SAMPLE_STEP };

/* Of a sum that is not wanted: nothing exceeds it. */
static const float NEVER = 3e38f;

/* Every step-th slot for all wanted sums: most slots are over none of the leasts. */
static void pass(const struct model_gather *gather, uint32_t step, struct best *best,
                 struct model_sums *least)
{
    uint8_t best_of[MODEL_GATHER_SUMS] = {0};
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++) {
        best_of[wanted[i].sum] = (uint8_t)i;
        best[i].count = 0;
    }
    for (uint32_t s = 1; s <= gather->count; s += step) {
        const struct model_slot *slot = &gather->slot[s];
        uint32_t over = sums_over(&slot->sum, least);
        if (!over || slot->flags & MODEL_SLOT_SEEN)
            continue;
        for (; over; over &= over - 1) {
            uint32_t sum = (uint32_t)__builtin_ctz(over);
            struct best *to = &best[best_of[sum]];
            to->key[to->count] = pick_key(slot->sum.at[sum]);
            to->slot[to->count] = s;
            if (++to->count == FR_COUNT_OF(to->slot))
                least->at[sum] = best_keep(to);
        }
    }
}

/* A sample tells what about twice the quota will exceed. */
static void guess_leasts(const struct model_gather *gather, struct best *best,
                         struct model_sums *least)
{
    struct model_sums rising = *least;
    pass(gather, SAMPLE_STEP, best, &rising);
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++) {
        uint32_t k = best[i].quota * 2 / SAMPLE_STEP + 4;
        if (best[i].count >= k)
            least->at[wanted[i].sum] = pick_value(pick_kth(best[i].key, best[i].count, k, 0));
    }
}

static void from_history(struct run *run)
{
    const struct model_gather *gather = run->gather;
    struct best *best = base_arena_alloc(run->arena, FR_COUNT_OF(wanted) * sizeof(*best));
    struct model_sums none, guess, least;
    bool guessed_well = true;
    if (!best)
        return;
    for (uint32_t s = 0; s < MODEL_GATHER_SUMS; s++)
        none.at[s] = NEVER;
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++) {
        best[i].quota = quota_of(run, wanted[i].quota);
        if (gather->norm[wanted[i].sum] > 0.0f)
            none.at[wanted[i].sum] = 0.0f;
    }
    guess = none;
    if (gather->count >= SAMPLE_MIN)
        guess_leasts(gather, best, &guess);
    least = guess;
    pass(gather, 1, best, &least);
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++)
        guessed_well &=
            best[i].count >= best[i].quota || guess.at[wanted[i].sum] == none.at[wanted[i].sum];
    if (!guessed_well)
        pass(gather, 1, best, &none);
    for (uint32_t i = 0; i < FR_COUNT_OF(wanted); i++) {
        if (best[i].count > best[i].quota)
            best_keep(&best[i]);
        for (uint32_t k = 0; k < best[i].count; k++)
            mark_slot(run, best[i].slot[k], wanted[i].generator);
    }
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
        const struct model_slot *marked = &run->gather->slot[run->marked[m]];
        if (!accepted(run, marked->item))
            continue;
        run->item[run->count] = marked->item;
        run->generators[run->count++] = marked->generators;
    }
    for (uint32_t rest = m; rest < run->marked_count; rest++)
        run->gather->slot[run->marked[rest]].generators = 0;
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
