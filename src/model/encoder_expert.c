/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "encoder": the history encoder (encoder.h) as a row of the table. It learns from each
 * sampled event, before the event is applied, by its own loss: among the candidates that the target
 * was ranked with (hard negatives), or by the sampled softmax when the target was none of them.
 * Measured on the first 30 % of the films of MovieLens 100K, against the sampled softmax alone:
 * HR@10 .193 -> .197, HR@20 .294 -> .300; on Beauty's validation items NDCG@10 .0716 -> .0730.
 * AdaGrad's rate .1 against .15: HR@20 of those films .302 against .301, Beauty's NDCG@10 .0713
 * against .0704, news the same (above .15 all fall). Feature = ln(1 + 1000 * softmax among the candidates).
 */
#include "model/encoder_expert.h"

#include "base/fmath.h"
#include "model/deep_lookup.h"
#include "model/encoder_index.h"

#include <stdlib.h>

#define HISTORY 40

enum {
    EXTRA = 16,         /* candidates more than there would be */
    EXTRA_HISTORY = 16, /* the longest history for which counts alone name too little */
    AHEAD = 32,         /* searched for, as most of the nearest are candidates already */
    NAMED = 128         /* at most: what the user has seen is among them too */
};

struct expert {
    struct model_encoder *encoder;
    struct model_encoder_index *index;
    struct base_rows *tables[MODEL_ENCODER_TABLES + MODEL_ENCODER_INDEX_TABLES];
};

/* What propose() leaves for score(). */
struct proposed {
    bool known;
    float vector[MODEL_ENCODER_DIMENSION_MAX];
};

static const struct model_feature features[] = {
    {"encoder", MODEL_REASON_PATTERN, 0.3f, -1, -1},
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    if (!expert)
        return;
    model_encoder_index_free(expert->index);
    model_encoder_free(expert->encoder);
    free(expert);
}

static enum fr_status expert_open(const struct model_setup *setup, struct fr_error *error,
                                  void **out_self)
{
    struct model_encoder_options options;
    model_encoder_defaults(&options);
    options.item_max = state_limits(setup->state)->item_count_max + 2;
    options.history = HISTORY;
    options.recency = 0.95f;
    options.rate = 0.1f;
    options.negatives = 64;
    options.value_rows = MODEL_ENCODER_VALUE_ROWS;
    options.seed = setup->seed;
    struct expert *expert = calloc(1, sizeof(*expert));
    if (!expert)
        return base_fail(error, FR_MEMORY, "model", "no memory for the encoder expert");
    enum fr_status status = model_encoder_new(&options, error, &expert->encoder);
    const struct model_encoder_index_options index = {.encoder = expert->encoder,
                                                      .item_max = options.item_max,
                                                      .dimension = options.dimension,
                                                      .exact = setup->vectors_exact};
    if (status == FR_OK)
        status = model_encoder_index_new(&index, error, &expert->index);
    if (status != FR_OK) {
        expert_close(expert);
        return status;
    }
    model_encoder_tables(expert->encoder, expert->tables);
    model_encoder_index_tables(expert->index, expert->tables + MODEL_ENCODER_TABLES);
    *out_self = expert;
    return FR_OK;
}

static struct base_rows *const *expert_tables(void *self, uint32_t *out_count)
{
    struct expert *expert = self;
    *out_count = MODEL_ENCODER_TABLES + MODEL_ENCODER_INDEX_TABLES;
    return expert->tables;
}

static enum fr_status expert_rebuild(void *self, struct fr_error *error)
{
    struct expert *expert = self;
    return model_encoder_index_rebuild(expert->index, error);
}

uint32_t model_encoder_values(const struct model_query *query, uint32_t out[MODEL_ENCODER_VALUES])
{
    uint32_t count = 0;
    out[count++] = 1 + query->clock_s / 3600 % 24;
    out[count++] = 30 + FR_MIN(query->session_count, 15u);
    for (uint32_t f = 0; f < STATE_EXTRA_FIRST; f++)
        if (query->context[f])
            out[count++] = 64 + query->context[f];
    return count;
}

void model_encoder_shares(const struct model_encoder *encoder, const float *vector,
                          const struct model_batch *batch, float *out)
{
    float largest = -1e30f;
    if (batch->in_place)
        model_encoder_scores_in_place(encoder, vector, batch->item, batch->count, out);
    else
        model_encoder_scores(encoder, vector, batch->item, batch->count, out);
    for (uint32_t c = 0; c < batch->count; c++)
        largest = FR_MAX(largest, out[c]);
    for (uint32_t c = 0; c < batch->count; c++)
        out[c] = base_expf(out[c] - largest);
    model_deep_shares(out, batch->count, batch->stride);
}

struct asked {
    uint8_t age[HISTORY];
    uint32_t history[HISTORY], values[MODEL_ENCODER_VALUES];
    struct model_encoder_user user;
};

/* A class by how long before the newest visit (fourfold steps, from 12 s on), and whether in the running
 * session. The time since that newest one is left out: where logs impute it (Globo.com's do), it would
 * tell what comes. */
static uint8_t age_class(const struct model_query *query, uint32_t visit)
{
    uint32_t before =
        query->history[visit].age_s - FR_MIN(query->history[visit].age_s, query->history[0].age_s);
    uint32_t log4 = (31 - (uint32_t)__builtin_clz(before / 4 + 1)) / 2;
    return (uint8_t)(FR_MIN(log4, MODEL_ENCODER_AGES / 2u - 1) * 2 +
                     query->history[visit].same_session);
}

/* The newest visits; as values the hour, the place in the session and the context. */
static const struct model_encoder_user *ask(const struct model_query *query, struct asked *asked)
{
    struct model_encoder_user *user = &asked->user;
    *user = (struct model_encoder_user){.history = asked->history,
                                        .age = asked->age,
                                        .values = asked->values};
    for (uint32_t i = 0; i < query->history_count && i < HISTORY; i++) {
        asked->age[i] = age_class(query, i);
        asked->history[user->count++] = query->history[i].item;
    }
    user->value_count = model_encoder_values(query, asked->values);
    return user;
}

/* The items whose vectors are nearest to the query's, beside what counts and contexts name. Measured
 * on the first clicks of Globo: HR@20 .772 -> .780, HR@10 .6801 -> .6815. Films, whose long histories
 * name more than is worth ranking, gain nothing (.1961 -> .1963), so that those ask for none. */
static void expert_propose(void *self, const struct state *state, const struct model_query *query,
                           struct base_arena *arena, struct model_proposal *out_proposal)
{
    const struct expert *expert = self;
    struct asked asked;
    struct proposed *proposed = base_arena_alloc(arena, sizeof(*proposed));
    uint32_t *named = base_arena_alloc(arena, NAMED * sizeof(*named));
    (void)state;
    if (!proposed || !named)
        return;
    proposed->known = model_encoder_vector(expert->encoder, ask(query, &asked), proposed->vector);
    *out_proposal = (struct model_proposal){.item = named, .memo = proposed};
    if (!proposed->known || query->history_count > EXTRA_HISTORY)
        return;
    out_proposal->extra = EXTRA;
    out_proposal->count =
        model_encoder_index_search(expert->index, proposed->vector,
                                   FR_MIN(AHEAD + query->seen_count, (uint32_t)NAMED), named);
}

static void expert_score(void *self, const struct model_batch *batch, float *out)
{
    struct expert *expert = self;
    const struct proposed *proposed = batch->memo;
    if (batch->count && proposed && proposed->known)
        model_encoder_shares(expert->encoder, proposed->vector, batch, out);
}

static void expert_learn(void *self, const struct model_batch *batch,
                         const struct state_event *event, int32_t target, const float *gradient)
{
    struct expert *expert = self;
    struct asked asked;
    (void)gradient; /* of the blend: its own loss is what the measured gain needs */
    if (event->signal <= 0.0f)
        return;
    if (target >= 0)
        model_encoder_learn_among(expert->encoder, ask(batch->query, &asked), batch->item,
                                  batch->count, (uint32_t)target);
    else
        model_encoder_learn(expert->encoder, ask(batch->query, &asked), event->item);
    model_encoder_index_take(expert->index);
}

static void expert_forget(void *self, enum state_kind kind, uint32_t index)
{
    struct expert *expert = self;
    if (kind != STATE_KIND_ITEM)
        return;
    model_encoder_forget(expert->encoder, index);
    model_encoder_index_forget(expert->index, index);
}

static void expert_quicken(void *self)
{
    struct expert *expert = self;
    model_encoder_quicken(expert->encoder);
}

static bool expert_sweep(void *self, const struct state *state, uint32_t *at)
{
    struct expert *expert = self;
    return model_encoder_sweep(expert->encoder, state, at);
}

static struct state_memory expert_beside(const void *self)
{
    const struct expert *expert = self;
    return (struct state_memory){.name = "encoder-index",
                                 .use = model_encoder_index_bytes(expert->index),
                                 .budget = model_encoder_index_bytes_max(expert->index)};
}

const struct model_expert model_encoder_expert = {
    .name = "encoder",
    .features = features,
    .feature_count = FR_COUNT_OF(features),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .rebuild = expert_rebuild,
    .propose = expert_propose,
    .score = expert_score,
    .learn = expert_learn,
    .forget = expert_forget,
    .sweep = expert_sweep,
    .quicken = expert_quicken,
    .beside = expert_beside,
};
