/* SPDX-License-Identifier: Apache-2.0
 *
 * Scoring: candidates, what the rows say about them, every expert's features, the blend's sum. The
 * same function for a request and for a sampled event.
 * Thread: any; everything in the arena.
 */
#include <string.h>

#include "model/vec.h"
#include "rank/rank_priv.h"

/* Sums and popularity of the candidates, by feature then candidate. */
static bool batch_fill(const struct rank *rank, struct rank_scoring *scoring, bool in_place)
{
    struct model_batch *batch = &scoring->batch;
    struct base_arena *arena = batch->arena;
    const struct model_gather *gather = scoring->gather;
    uint32_t stride = batch->stride;
    float *sum = base_arena_zalloc(arena, MODEL_SUM_COUNT * stride * sizeof(float));
    float *popularity = base_arena_zalloc(arena, STATE_HALF_COUNT * stride * sizeof(float));
    float *total = base_arena_alloc(arena, STATE_HALF_COUNT * sizeof(float));
    if (base_arena_overflowed(arena))
        return false;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t slot = model_gather_find(gather, batch->item[i]);
        FR_ASSERT(slot > 0);
        for (uint32_t s = 0; s < MODEL_GATHER_SUMS; s++)
            sum[s * stride + i] = gather->slot[slot].sum.at[s];
        float decayed[STATE_HALF_COUNT];
        state_item_popularity(rank->state, batch->item[i], batch->query->clock_s, decayed);
        for (uint32_t h = 0; h < STATE_HALF_COUNT; h++)
            popularity[h * stride + i] = decayed[h];
    }
    state_total_popularity(rank->state, batch->query->clock_s, total);
    model_gather_contexts(rank->state, batch->query, arena, in_place,
                          &(struct model_candidates){batch->item, batch->count, stride, sum});
    batch->gather = gather;
    batch->sum = sum;
    batch->popularity = popularity;
    batch->total = total;
    return true;
}

/* Shadows are scored on the fold thread only, into features of their own, which the blend does not
 * see. False: not now. */
static bool batch_is_judged(struct rank_scoring *scoring, const struct rank *rank)
{
    if (scoring->batch.in_place && !scoring->shadow)
        scoring->shadow =
            base_arena_zalloc(scoring->batch.arena,
                              rank->feature_count * scoring->batch.stride * sizeof(float));
    return scoring->shadow != NULL;
}

/* Scores, and which features speak: a site without documents, say, has none of content. */
static void add_up(struct rank_scoring *scoring, uint32_t feature_count)
{
    uint32_t stride = scoring->batch.stride;
    for (uint32_t f = 0; f < feature_count; f++) {
        vec4 w = vec4_set(scoring->weight[f]);
        ivec4 any = {0};
        const float *x = scoring->x + f * stride;
        for (uint32_t i = 0; i < stride; i += 4) {
            vec4 four = vec4_load(x + i);
            any |= (ivec4)four;
            vec4_store(scoring->score + i, vec4_load(scoring->score + i) + w * four);
        }
        scoring->speaking[scoring->speaking_count] = (uint8_t)f;
        scoring->speaking_count += (any[0] | any[1] | any[2] | any[3]) != 0;
    }
}

static int32_t candidate_of(const struct model_batch *batch, uint32_t item)
{
    for (uint32_t c = 0; c < batch->count; c++)
        if (batch->item[c] == item)
            return (int32_t)c;
    return -1;
}

/* The session's own clicks are in the counts already when its next one is predicted, and would praise
 * its own items: of those only the experts that leave the session out speak. Otherwise what is
 * learnt of repeats holds for known sessions alone (Diginetica, where test sessions are not learnt:
 * P@20 .444 without this rule, .466 with it). */
static void hush_repeats(const struct rank *rank, const struct rank_scoring *scoring)
{
    const struct model_batch *batch = &scoring->batch;
    const struct model_query *query = batch->query;
    for (uint32_t h = 0; query->repeats && h < query->history_count; h++) {
        int32_t c =
            query->history[h].same_session ? candidate_of(batch, query->history[h].item) : -1;
        for (uint32_t e = 0; c >= 0 && e < rank->expert_count; e++)
            for (uint32_t f = rank->first_feature[e];
                 !rank->expert[e]->leaves_session_out && f < rank->first_feature[e + 1]; f++)
                scoring->x[f * batch->stride + (uint32_t)c] = 0.0f;
    }
}

/* What the experts want ranked. A shadow names nothing: it must not change answers. */
static void propose(const struct rank *rank, const struct model_query *query, uint32_t experts_off,
                    struct base_arena *arena, struct model_proposal out[MODEL_EXPERTS_MAX])
{
    for (uint32_t e = 0; e < rank->expert_count; e++) {
        enum rank_role role = rank__model_role(rank, e);
        if (!rank->expert[e]->propose || experts_off & 1u << e || role == RANK_OFF)
            continue;
        rank->expert[e]->propose(rank->self[e], rank->state, query, arena, &out[e]);
        if (role == RANK_SHADOW)
            out[e].count = 0;
    }
}

enum fr_status rank__score(const struct rank *rank, const struct model_query *query,
                           const struct rank_query_options *options, struct base_arena *arena,
                           struct rank_scoring *out_scoring)
{
    struct rank_scoring scoring = {0};
    struct model_proposal proposal[MODEL_EXPERTS_MAX] = {0};
    struct retrieve_options retrieve = options->retrieve;
    propose(rank, query, options->experts_off, arena, proposal);
    retrieve.proposal = proposal;
    retrieve.proposal_count = rank->expert_count;
    FR_TRY(
        retrieve_run(rank->state, query, &retrieve, arena, &scoring.gather, &scoring.candidates));
    uint32_t count = scoring.candidates.count, stride = FR_MAX((count + 15) & ~15u, 16u);
    scoring.batch = (struct model_batch){
        .state = rank->state,
        .query = query,
        .arena = arena,
        .count = count,
        .stride = stride,
        .item = scoring.candidates.item,
        .in_place = options->retrieve.in_place,
    };
    scoring.x = base_arena_zalloc(arena, (rank->feature_count + 2ul) * stride * sizeof(float));
    scoring.weight = base_arena_alloc(arena, MODEL_FEATURES_MAX * sizeof(float));
    scoring.score = base_arena_zalloc(arena, stride * sizeof(float));
    scoring.linear = base_arena_zalloc(arena, stride * sizeof(float));
    if (!scoring.x || !scoring.weight || !scoring.score || !scoring.linear ||
        !batch_fill(rank, &scoring, options->retrieve.in_place))
        return FR_FULL;
    for (uint32_t e = 0; e < rank->expert_count; e++) {
        enum rank_role role = rank__model_role(rank, e);
        if (options->experts_off & 1u << e || role == RANK_OFF ||
            (role == RANK_SHADOW && !batch_is_judged(&scoring, rank)))
            continue;
        float *x = role == RANK_SHADOW ? scoring.shadow : scoring.x;
        size_t mark = base_arena_mark(arena);
        scoring.batch.memo = proposal[e].memo;
        rank->expert[e]->score(rank->self[e], &scoring.batch, x + rank->first_feature[e] * stride);
        base_arena_rewind(arena, mark);
    }
    hush_repeats(rank, &scoring);
    rank__blend_weights(rank, query->bucket, scoring.weight);
    add_up(&scoring, rank->feature_count);
    memcpy(scoring.linear, scoring.score, stride * sizeof(float));
    if (rank->network && !options->experts_off) /* it has learnt from whole inputs only */
        rank__network_score(rank, &scoring);
    *out_scoring = scoring;
    return base_arena_overflowed(arena) ? FR_FULL : FR_OK;
}

float rank__rank_of(const float *score, uint32_t count, uint32_t target)
{
    uint32_t above = 0, equal = 0;
    for (uint32_t i = 0; i < count; i++) {
        above += score[i] > score[target];
        equal += score[i] == score[target];
    }
    return (float)(int32_t)above + 0.5f * (float)(int32_t)(equal - 1);
}
