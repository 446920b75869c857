/* SPDX-License-Identifier: Apache-2.0
 *
 * rank: the instance, learning of sampled events, answering of queries. See README.md.
 */
#include "rank/rank.h"

#include <stdlib.h>
#include <string.h>

#include "model/pick.h"
#include "model/vec.h"
#include "rank/rank_priv.h"

bool rank_names(const char *list, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = list; at && *at; at = *at ? at + 1 : at) {
        const char *end = strchrnul(at, ',');
        if ((size_t)(end - at) == bytes && memcmp(at, name, bytes) == 0)
            return true;
        at = end;
        if (!*at)
            break;
    }
    return false;
}

/* Does the list ask for it? "all", like no list, names every expert that need not be asked for. */
static bool is_asked(const char *list, const char *name, bool on_request)
{
    bool all = !list || !*list || rank_names(list, "all");
    return (all && !on_request) || (list && rank_names(list, name));
}

/* Are the click experts in the list? They come together or not at all. */
static bool has_clicks(const char *list)
{
    uint32_t count;
    const struct model_click_expert *const *all = model_click_experts(&count);
    bool asked = false;
    for (uint32_t c = 0; c < count; c++)
        asked = asked || is_asked(list, all[c]->name, false);
    return asked;
}

static bool is_click(const char *name, size_t bytes)
{
    uint32_t count;
    const struct model_click_expert *const *all = model_click_experts(&count);
    bool known = false;
    for (uint32_t c = 0; c < count; c++)
        known = known || (strlen(all[c]->name) == bytes && memcmp(all[c]->name, name, bytes) == 0);
    return known;
}

/* Every name of the list must be an expert's. */
static enum fr_status check_names(const char *list, struct fr_error *error)
{
    uint32_t count;
    const struct model_expert *const *all = model_experts(&count);
    for (const char *at = list; at && *at;) {
        const char *end = strchrnul(at, ',');
        bool known =
            is_click(at, (size_t)(end - at)) || (end - at == 3 && memcmp(at, "all", 3) == 0);
        for (uint32_t e = 0; e < count; e++)
            known |= strlen(all[e]->name) == (size_t)(end - at) &&
                     memcmp(all[e]->name, at, (size_t)(end - at)) == 0;
        if (!known)
            return base_fail(error, FR_INVALID, "rank", "there is no expert \"%.*s\"",
                             (int)(end - at), at);
        at = *end ? end + 1 : end;
    }
    return FR_OK;
}

static enum fr_status expert_add(struct rank *rank, const struct model_expert *expert,
                                 struct fr_error *error)
{
    uint32_t e = rank->expert_count, first = rank->feature_count;
    const struct model_setup setup = {.state = rank->state,
                                      .seed = rank->options.seed,
                                      .vectors_exact = rank->options.vectors_exact};
    FR_ASSERT(e < MODEL_EXPERTS_MAX && first + expert->feature_count <= MODEL_FEATURES_MAX);
    if (expert->open)
        FR_TRY(expert->open(&setup, error, &rank->self[e]));
    rank->expert[e] = expert;
    rank->first_feature[e] = first;
    for (uint32_t f = 0; f < expert->feature_count; f++) {
        const struct model_feature *feature = &expert->features[f];
        rank->model_feature[first + f] = feature;
        rank->feature[first + f] =
            (struct rank_feature){feature->name, expert->name, feature->reason, feature->context};
    }
    rank->feature_count += expert->feature_count;
    rank->expert_count++;
    rank->first_feature[rank->expert_count] = rank->feature_count;
    uint32_t count = 0;
    struct base_rows *const *tables = expert->tables ? expert->tables(rank->self[e], &count) : NULL;
    rank__tables_add(rank, tables, count);
    return FR_OK;
}

static enum fr_status rank_fill(struct rank *rank, struct fr_error *error)
{
    uint32_t count;
    const struct model_expert *const *all = model_experts(&count);
    const char *list = rank->options.experts;
    FR_TRY(check_names(list, error));
    for (uint32_t e = 0; e < count; e++)
        if (is_asked(list, all[e]->name, all[e]->on_request))
            FR_TRY(expert_add(rank, all[e], error));
    FR_TRY(rank__blend_new(rank, error));
    FR_TRY(rank__figures_new(rank, error));
    FR_TRY(rank__health_new(rank, error));
    if (!rank->options.no_network)
        FR_TRY(rank__network_new(rank, error));
    rank->feature[rank->feature_count] =
        (struct rank_feature){"patterns", "network", MODEL_REASON_PATTERN, -1};
    rank->feature[rank->feature_count + 1] =
        (struct rank_feature){"clicks", "clicks", MODEL_REASON_PATTERN, -1};
    if (has_clicks(list))
        FR_TRY(rank__clicks_new(rank, error));
    FR_TRY(rank__models_new(rank, error));
    return base_arena_init(&rank->arena, RANK_ARENA_BYTES);
}

enum fr_status rank_new(const struct rank_options *options, struct fr_error *error,
                        struct rank **out_rank)
{
    struct rank *rank = calloc(1, sizeof(*rank));
    if (!rank)
        return base_fail(error, FR_MEMORY, "rank", "no memory");
    rank->options = *options;
    rank->state = options->state;
    enum fr_status status = rank_fill(rank, error);
    if (status != FR_OK) {
        rank_free(rank);
        return status;
    }
    *out_rank = rank;
    return FR_OK;
}

void rank_free(struct rank *rank)
{
    if (!rank)
        return;
    for (uint32_t e = 0; e < rank->expert_count; e++)
        if (rank->expert[e]->close)
            rank->expert[e]->close(rank->self[e]);
    base_rows_free(rank->blend);
    base_rows_free(rank->twin);
    base_rows_free(rank->figures);
    rank__health_free(rank);
    base_rows_free(rank->network);
    base_rows_free(rank->network_view);
    rank__clicks_free(rank);
    base_rows_free(rank->models);
    base_arena_release(&rank->arena);
    free(rank);
}

struct base_rows *const *rank_tables(const struct rank *rank, uint32_t *out_count)
{
    *out_count = rank->table_count;
    return rank->tables;
}

uint32_t rank_beside(const struct rank *rank, struct state_memory *out, uint32_t count_max)
{
    uint32_t count = 0;
    for (uint32_t e = 0; e < rank->expert_count && count < count_max; e++)
        if (rank->expert[e]->beside)
            out[count++] = rank->expert[e]->beside(rank->self[e]);
    return count;
}

enum fr_status rank_rebuild(struct rank *rank, struct fr_error *error)
{
    if (base_rows_count(rank->blend) != BLEND_FIRST_BUCKET + MODEL_BUCKETS)
        return base_fail(error, FR_CORRUPT, "rank", "table \"blend\" has %u rows, %u expected",
                         base_rows_count(rank->blend), BLEND_FIRST_BUCKET + MODEL_BUCKETS);
    if (rank->network && rank__network_check(rank) != FR_OK)
        return base_fail(error, FR_CORRUPT, "rank", "table \"network\" has another shape");
    for (uint32_t e = 0; e < rank->expert_count; e++)
        if (rank->expert[e]->rebuild)
            FR_TRY(rank->expert[e]->rebuild(rank->self[e], error));
    return rank__clicks_rebuild(rank, error);
}

bool rank_is_sampled(const struct rank *rank, uint64_t position, uint32_t one_in)
{
    return one_in <= 1 || base_random_u64(rank->options.seed, position, 0x5a) % one_in == 0;
}

/* ---- learning ------------------------------------------------------------------------------- */

static const float MISS = 1e9f;

static bool is_seen(const struct model_query *query, uint32_t item)
{
    for (uint32_t s = 0; s < query->seen_count; s++)
        if (query->seen[s] == item)
            return true;
    return false;
}

static int32_t find_target(const struct rank_scoring *scoring, uint32_t item)
{
    for (uint32_t i = 0; i < scoring->batch.count; i++)
        if (scoring->batch.item[i] == item)
            return (int32_t)i;
    return -1;
}

static void add_feature(const struct rank_scoring *scoring, uint32_t f, float *to)
{
    const float *x = scoring->x + f * scoring->batch.stride;
    vec4 w = vec4_set(scoring->weight[f]);
    for (uint32_t i = 0; i < scoring->batch.stride; i += 4)
        vec4_store(to + i, vec4_load(to + i) + w * vec4_load(x + i));
}

/* Each expert alone: its features under the present weights. */
static void judge_experts(struct rank *rank, const struct rank_scoring *scoring, bool caused,
                          int32_t target)
{
    uint32_t stride = scoring->batch.stride, k = 0;
    float *alone = base_arena_alloc(scoring->batch.arena, stride * sizeof(float));
    if (!alone)
        return;
    for (uint32_t e = 0; e < rank->expert_count; e++) {
        rank->expert_rank[e] = MISS;
        if (target >= 0) {
            memset(alone, 0, stride * sizeof(float));
            for (; k < scoring->speaking_count && scoring->speaking[k] < rank->first_feature[e + 1];
                 k++)
                add_feature(scoring, scoring->speaking[k], alone);
            rank->expert_rank[e] = rank__rank_of(alone, scoring->batch.count, (uint32_t)target);
            if (!caused)
                rank__health_alone(rank, 2 + e, alone, scoring, target);
        }
        if (!caused)
            rank__figure_add(rank, FIGURE_FIRST_EXPERT + e, rank->expert_rank[e]);
    }
}

/* An event that one of our own slates brought about is judged apart: whoever is shown ten items picks
 * one of the ten, and each expert that helped to place them would praise itself. */
static void judge(struct rank *rank, const struct rank_scoring *scoring, bool caused,
                  struct rank_outcome *outcome)
{
    const struct model_batch *batch = &scoring->batch;
    outcome->scored = true;
    outcome->rank = outcome->popularity_rank = MISS;
    if (outcome->candidate >= 0) {
        uint32_t target = (uint32_t)outcome->candidate;
        outcome->rank = rank__rank_of(scoring->score, batch->count, target);
        outcome->popularity_rank =
            rank__rank_of(batch->popularity + STATE_HALF_SLOW * batch->stride, batch->count,
                          target);
    }
    judge_experts(rank, scoring, caused, outcome->candidate);
    outcome->expert_rank = rank->expert_rank;
    if (caused) {
        rank__figure_add(rank, FIGURE_CAUSED, outcome->rank);
        return;
    }
    rank__figure_add(rank, FIGURE_BLEND, outcome->rank);
    rank__figure_add(rank, FIGURE_POPULARITY, outcome->popularity_rank);
    rank__health_alone(rank, 0, scoring->score, scoring, outcome->candidate);
}

/* How far the blend follows a slate-caused event: fully while nothing organic was judged, ever less
 * the more there is of it (ORGANIC_HALF events: by half). Their inverse propensities are no
 * alternative: but for the exploration's places, a slate is what the blend ranked first. */
static float caused_weight(const struct rank *rank)
{
    enum { ORGANIC_HALF = 256 };
    uint64_t organic = FR_MIN(rank__figure_scored(rank, FIGURE_BLEND), (uint64_t)1 << 20);
    return (float)ORGANIC_HALF / (float)(int32_t)(ORGANIC_HALF + organic);
}

/* weight * d loss / d score by candidate. */
static void gradient_of(const struct model_batch *batch, const float *score, uint32_t target,
                        float weight, float *out)
{
    rank__loss_gradient(batch, score, target, out);
    for (uint32_t i = 0; weight != 1.0f && i < batch->count; i++)
        out[i] *= weight;
}

static void learn_from(struct rank *rank, const struct rank_scoring *scoring,
                       const struct state_event *event, const struct rank_outcome *outcome)
{
    const struct model_batch *batch = &scoring->batch;
    float *gradient = base_arena_zalloc(&rank->arena, batch->stride * sizeof(float));
    float *linear = base_arena_zalloc(&rank->arena, batch->stride * sizeof(float));
    if (!gradient || !linear)
        return;
    if (outcome->candidate >= 0) {
        uint32_t target = (uint32_t)outcome->candidate;
        float weight = event->has_request ? caused_weight(rank) : 1.0f;
        gradient_of(batch, scoring->linear, target, weight, linear);
        if (rank__health_on_trial(rank))
            rank__health_trial_add(rank, event, rank__twin_learn(rank, scoring, target, weight));
        rank__blend_learn(rank, scoring, linear);
        gradient_of(batch, scoring->score, target, weight, gradient);
        if (rank->network)
            rank__network_learn(rank, scoring, gradient, event->position);
    }
    for (uint32_t e = 0; e < rank->expert_count; e++)
        if (rank->expert[e]->learn && rank__model_role(rank, e) != RANK_OFF)
            rank->expert[e]->learn(rank->self[e], batch, event, outcome->candidate, gradient);
}

/* One judged request: what was asked, how it was scored, how it came out. */
struct judged {
    uint32_t target;
    bool caused; /* by a slate of ours */
    struct model_query query;
    struct rank_scoring scoring;
    struct rank_outcome outcome;
};

/* False: not to be scored (seen, or no room). */
static bool judge_request(struct rank *rank, const struct model_request *request,
                          struct judged *judged)
{
    const struct rank_query_options options = {
        .retrieve = {.candidates_max = rank->options.candidates_max, .in_place = true}};
    base_arena_clear(&rank->arena);
    if (model_query_build(rank->state, request, &rank->arena, &judged->query) != FR_OK ||
        is_seen(&judged->query, judged->target) ||
        rank__score(rank, &judged->query, &options, &rank->arena, &judged->scoring) != FR_OK)
        return false;
    judged->outcome.candidate = find_target(&judged->scoring, judged->target);
    judge(rank, &judged->scoring, judged->caused, &judged->outcome);
    return true;
}

/* An exposure or a dislike: scored for the second stage's sake, judged by nobody. */
static void learn_refused(struct rank *rank, const struct state_event *event)
{
    const struct rank_query_options options = {
        .retrieve = {.candidates_max = rank->options.candidates_max, .in_place = true}};
    struct model_request request;
    struct model_query query;
    struct rank_scoring scoring;
    model_request_of_event(event, rank->options.repeats, rank->options.session_unit, &request);
    base_arena_clear(&rank->arena);
    if (model_query_build(rank->state, &request, &rank->arena, &query) == FR_OK &&
        rank__score(rank, &query, &options, &rank->arena, &scoring) == FR_OK)
        rank__clicks_refused(rank, &scoring, event, find_target(&scoring, event->item));
}

void rank_learn(struct rank *rank, const struct state_event *event, bool learn,
                struct rank_outcome *out_outcome)
{
    struct judged judged = {.target = event->item,
                            .caused = event->has_request,
                            .outcome = {.candidate = -1, .known = event->item_was_known}};
    struct model_request request;
    rank__health_begin(rank, learn, event->position);
    if (event->signal > 0.0f && !event->is_exposure) {
        model_request_of_event(event, rank->options.repeats, rank->options.session_unit, &request);
        if (judge_request(rank, &request, &judged) && learn) {
            rank__clicks_learn(rank, &judged.scoring, event, judged.outcome.candidate);
            learn_from(rank, &judged.scoring, event, &judged.outcome);
            if (!judged.caused)
                rank__health_add(rank, &judged.scoring, event, &judged.outcome);
        }
    } else if (learn && rank__clicks_wants(rank, event)) {
        learn_refused(rank, event);
    }
    if (out_outcome)
        *out_outcome = judged.outcome;
}

void rank_judge(struct rank *rank, const struct model_request *request, uint32_t target,
                struct rank_outcome *out_outcome)
{
    struct judged judged = {.target = target, .outcome = {.candidate = -1, .known = target != 0}};
    rank__health_begin(rank, false, 0);
    judge_request(rank, request, &judged);
    *out_outcome = judged.outcome;
}

void rank_apply(struct rank *rank, const struct state_event *event)
{
    for (uint32_t e = 0; e < rank->expert_count; e++)
        if (rank->expert[e]->apply)
            rank->expert[e]->apply(rank->self[e], event);
}

/* The cursor: which expert, how far it is. */
static void sweep_piece(struct rank *rank, uint64_t *cursor, enum state_kind kind)
{
    uint32_t e = (uint32_t)(*cursor >> 32), at = (uint32_t)*cursor;
    while (e < rank->expert_count && !rank->expert[e]->sweep)
        e++;
    if (e < rank->expert_count && !rank->expert[e]->sweep(rank->self[e], rank->state, &at)) {
        *cursor = (uint64_t)e << 32 | at;
        return;
    }
    *cursor = (uint64_t)(e + 1) << 32;
    if (e >= rank->expert_count)
        state_expire_swept(rank->state, kind);
}

void rank_expire(struct rank *rank, const struct state_expired *expired)
{
    for (uint32_t e = 0; e < rank->expert_count; e++)
        for (uint32_t i = 0; rank->expert[e]->forget && i < expired->count; i++)
            rank->expert[e]->forget(rank->self[e], expired->kind, expired->index[i]);
    for (uint32_t i = 0; expired->kind == STATE_KIND_VALUE && i < expired->count; i++)
        rank__health_forget(rank, expired->index[i]);
    if (expired->sweep)
        sweep_piece(rank, expired->sweep, expired->kind);
}

void rank_make_room(struct rank *rank, struct state *state)
{
    struct state_expired expired;
    if (!state_expire_due(state))
        return;
    for (uint32_t k = 0; k < STATE_KIND_COUNT; k++) {
        state_expire_step(state, (enum state_kind)k, &expired);
        if (rank)
            rank_expire(rank, &expired);
        else if (expired.sweep)
            state_expire_swept(state, expired.kind);
    }
}

/* ---- answering ------------------------------------------------------------------------------ */

/* Unsigned order of the result = descending order of finite scores. */
static uint32_t order_key(float score)
{
    return ~((uint32_t)pick_key(score) ^ 1u << 31);
}

/* Best first; equal scores keep the candidates' order. Radix sort, a byte a pass, the least first. */
static void order_by_score(const float *score, uint32_t *order, uint32_t count)
{
    uint32_t first[4][256] = {{0}}, key[2][MODEL_BATCH_MAX], index[2][MODEL_BATCH_MAX], now = 0;
    FR_ASSERT(count <= MODEL_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        key[0][i] = order_key(score[i]);
        index[0][i] = i;
        for (uint32_t p = 0; p < 4; p++)
            first[p][key[0][i] >> 8 * p & 255]++;
    }
    for (uint32_t p = 0; p < 4; p++, now ^= 1) {
        uint32_t below = 0;
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t here = first[p][b];
            first[p][b] = below;
            below += here;
        }
        for (uint32_t i = 0; i < count; i++) {
            uint32_t at = first[p][key[now][i] >> 8 * p & 255]++;
            key[now ^ 1][at] = key[now][i];
            index[now ^ 1][at] = index[now][i];
        }
    }
    memcpy(order, index[now], count * sizeof(*order));
}

enum fr_status rank_query(const struct rank *rank, const struct model_query *query,
                          const struct rank_query_options *options, struct base_arena *arena,
                          struct rank_result *out_result)
{
    struct rank_scoring scoring;
    FR_TRY(rank__score(rank, query, options, arena, &scoring));
    bool clicks = rank__clicks_rerank(rank, &scoring);
    uint32_t count = scoring.batch.count, stride = scoring.batch.stride;
    uint32_t *order = base_arena_alloc(arena, stride * sizeof(*order));
    uint32_t *item = base_arena_alloc(arena, stride * sizeof(*item));
    float *score = base_arena_alloc(arena, stride * sizeof(*score));
    uint16_t *generators = base_arena_alloc(arena, stride * sizeof(*generators));
    if (base_arena_overflowed(arena))
        return FR_FULL;
    order_by_score(scoring.score, order, count);
    for (uint32_t r = 0; r < count; r++) {
        item[r] = scoring.batch.item[order[r]];
        score[r] = scoring.score[order[r]];
        generators[r] = scoring.candidates.generators[order[r]];
    }
    *out_result = (struct rank_result){
        .count = count,
        .item = item,
        .score = score,
        .generators = generators,
        .feature_count = rank->feature_count + (clicks ? 2 : scoring.activations.ready),
        .feature = rank->feature,
        .query = query,
        .degraded_reason = options->experts_off ? "experts_left_out" : NULL,
        .x = scoring.x,
        .weight = scoring.weight,
        .network = scoring.activations.ready ? scoring.activations.out : NULL,
        .clicks = scoring.x + (rank->feature_count + 1ul) * stride,
        .order = order,
        .gather = scoring.gather,
        .stride = stride,
        .rank = rank,
    };
    return FR_OK;
}

float rank_contribution(const struct rank_result *result, uint32_t r, uint32_t feature)
{
    FR_ASSERT(r < result->count && feature < result->feature_count);
    uint32_t i = result->order[r];
    uint32_t first_stage = result->rank->feature_count;
    if (feature > first_stage)
        return result->clicks[i];
    if (feature == first_stage)
        return result->network ? result->network[i] : 0.0f;
    return result->x[feature * result->stride + i] * result->weight[feature];
}

void rank_contributions(const struct rank_result *result, uint32_t r, float *out)
{
    FR_ASSERT(r < result->count);
    uint32_t first_stage = FR_MIN(result->rank->feature_count, result->feature_count);
    const float *x = result->x + result->order[r];
    for (uint32_t f = 0; f < first_stage; f++)
        out[f] = x[f * result->stride] * result->weight[f];
    for (uint32_t f = first_stage; f < result->feature_count; f++)
        out[f] = rank_contribution(result, r, f);
}

bool rank_history_shares(const struct rank_result *result, uint32_t r, uint32_t feature, float *out)
{
    const struct rank *rank = result->rank;
    int sum = feature < rank->feature_count ? rank->model_feature[feature]->sum : -1;
    if (sum < 0 || sum >= MODEL_GATHER_SUMS)
        return false;
    float whole = 0.0f, contribution = rank_contribution(result, r, feature);
    for (uint32_t h = 0; h < result->query->history_count; h++) {
        out[h] = model_gather_part(result->gather, h, (uint32_t)sum, result->item[r]);
        whole += out[h];
    }
    for (uint32_t h = 0; h < result->query->history_count; h++)
        out[h] = whole > 0.0f ? contribution * (out[h] / whole) : 0.0f;
    return whole > 0.0f;
}

enum fr_status rank_history_parts(const struct rank_result *result, const uint32_t *r,
                                  uint32_t count, struct base_arena *arena,
                                  struct rank_parts *out_parts)
{
    _Static_assert((int)RANK_SUMS == (int)MODEL_GATHER_SUMS, "one part a sum");
    _Static_assert((int)RANK_PARTS_MAX == (int)MODEL_PARTS_MAX, "the same bound");
    uint32_t item[RANK_PARTS_MAX];
    FR_ASSERT(count <= RANK_PARTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        item[i] = result->item[r[i]];
    const struct model_sums *sums = model_gather_parts(result->gather, item, count, arena);
    if (!sums)
        return FR_FULL;
    FR_ASSERT(result->gather->visit_count <= result->query->history_count);
    *out_parts = (struct rank_parts){.part = (const float(*)[RANK_SUMS])sums,
                                     .visits = result->gather->visit_count};
    return FR_OK;
}

int rank_feature_sum(const struct rank_result *result, uint32_t feature)
{
    const struct rank *rank = result->rank;
    int sum = feature < rank->feature_count ? rank->model_feature[feature]->sum : -1;
    return sum < MODEL_GATHER_SUMS ? sum : -1;
}

enum fr_status rank_similar(const struct rank *rank, uint32_t item,
                            const struct retrieve_options *options, struct base_arena *arena,
                            struct rank_result *out_result)
{
    struct model_request request = {.recent = &item, .recent_count = 1};
    struct model_query *query = base_arena_alloc(arena, sizeof(*query));
    struct rank_query_options asked = {.retrieve = *options};
    if (!query)
        return FR_FULL;
    for (uint32_t e = 0; e < rank->expert_count; e++)
        if (rank->expert[e] == &model_popularity)
            asked.experts_off |= 1u << e;
    FR_TRY(model_query_build(rank->state, &request, arena, query));
    FR_TRY(rank_query(rank, query, &asked, arena, out_result));
    out_result->degraded_reason = NULL;
    return FR_OK;
}

/* ---- figures -------------------------------------------------------------------------------- */

uint32_t rank_experts(const struct rank *rank, const struct model_expert **out, uint32_t count_max)
{
    uint32_t count = FR_MIN(rank->expert_count, count_max);
    for (uint32_t e = 0; e < count; e++)
        out[e] = rank->expert[e];
    return count;
}

uint32_t rank_weights(const struct rank *rank, uint32_t bucket, float *out, uint32_t count_max)
{
    float weight[MODEL_FEATURES_MAX];
    uint32_t count = FR_MIN(rank->feature_count, count_max);
    rank__blend_weights(rank, bucket, weight);
    memcpy(out, weight, count * sizeof(float));
    return count;
}

const struct rank_feature *rank_features(const struct rank *rank, uint32_t *out_count)
{
    *out_count = rank->feature_count + 2; /* the network's and the second stage's too */
    return rank->feature;
}
