/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "gru": GRU4Rec (Hidasi et al. 2016; losses: Hidasi & Karatzoglou 2018) over a stream. With the
 * newest visits x_1 ... x_T, oldest first, each its item's vector:
 *     u   = GRU(x_1, ..., x_T) + sum_v Value[v]     of the context's values     (1)
 *     z_j = u . Out[j] + bias_j                                                 (2)
 * The cell is gru.h's; the items' vectors, the ring that negatives are drawn from and the softmax
 * are a history encoder's (encoder.h), which is given the cell's result in place of its own sum over the history.
 * Loss: softmax among the candidates that the target was ranked with, or the sampled one with its
 * logQ correction when the target was none of them. Feature = ln(1 + 1000 * softmax among the candidates).
 */
#include "model/encoder_expert.h"
#include "model/gru.h"

#include <stdlib.h>

struct sequence {
    uint32_t item[MODEL_GRU_STEPS_MAX];
    struct model_gru_pass pass;
};

struct expert {
    struct model_gru *gru;
    struct model_encoder *items; /* all but the cell */
    struct base_rows *tables[MODEL_ENCODER_TABLES + MODEL_GRU_TABLES];
    struct sequence learning; /* scratch of the fold thread, from score() to learn() */
};

static const struct model_feature features[] = {
    {"gru", MODEL_REASON_PATTERN, 0.3f, -1, -1},
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    if (!expert)
        return;
    model_gru_free(expert->gru);
    model_encoder_free(expert->items);
    free(expert);
}

static enum fr_status expert_open(const struct model_setup *setup, struct fr_error *error,
                                  void **out_self)
{
    static const char *const names[MODEL_ENCODER_TABLES] = {"gru-in",    "gru-out",  "gru-gate",
                                                            "gru-layer", "gru-ring", "gru-value",
                                                            "gru-age"};
    struct model_encoder_options items;
    struct model_gru_options cell;
    model_encoder_defaults(&items);
    items.item_max = state_limits(setup->state)->item_count_max + 2;
    items.dimension = MODEL_GRU_UNITS;
    items.history = MODEL_GRU_STEPS_MAX;
    items.negatives = 64;
    items.value_rows = MODEL_ENCODER_VALUE_ROWS;
    items.seed = setup->seed + 91;
    items.names = names;
    model_gru_defaults(&cell);
    cell.seed = items.seed;
    struct expert *expert = calloc(1, sizeof(*expert));
    if (!expert)
        return base_fail(error, FR_MEMORY, "model", "no memory for the gru expert");
    enum fr_status status = model_encoder_new(&items, error, &expert->items);
    if (status == FR_OK)
        status = model_gru_new(&cell, error, &expert->gru);
    if (status != FR_OK) {
        expert_close(expert);
        return status;
    }
    model_encoder_tables(expert->items, expert->tables);
    model_gru_tables(expert->gru, expert->tables + MODEL_ENCODER_TABLES);
    *out_self = expert;
    return FR_OK;
}

static struct base_rows *const *expert_tables(void *self, uint32_t *out_count)
{
    struct expert *expert = self;
    *out_count = MODEL_ENCODER_TABLES + MODEL_GRU_TABLES;
    return expert->tables;
}

static enum fr_status expert_rebuild(void *self, struct fr_error *error)
{
    struct expert *expert = self;
    return model_gru_check(expert->gru, error);
}

/* The history's known items, oldest first: their vectors, then the cell's run over them. False: nothing
 * is known of any, or there was no room. */
static bool read_history(const struct expert *expert, const struct model_batch *batch,
                         struct sequence *sequence)
{
    const struct model_query *query = batch->query;
    struct model_gru_pass *pass = &sequence->pass;
    pass->count = 0;
    for (uint32_t i = FR_MIN(query->history_count, (uint32_t)MODEL_GRU_STEPS_MAX); i-- > 0;)
        if (model_encoder_input(expert->items, query->history[i].item, pass->x[pass->count]))
            sequence->item[pass->count++] = query->history[i].item;
    if (!pass->count)
        return false;
    const float *weights = batch->in_place ? model_gru_weights(expert->gru)
                                           : model_gru_published(expert->gru, batch->arena);
    if (weights)
        model_gru_run(weights, pass);
    return weights != NULL;
}

struct asked {
    uint32_t values[MODEL_ENCODER_VALUES];
    struct model_encoder_user user;
};

/* What the cell has read; as values the hour, the place in the session and the context. */
static struct model_encoder_user *ask(const struct model_query *query,
                                      const struct model_gru_pass *pass, struct asked *asked)
{
    struct model_encoder_user *user = &asked->user;
    *user = (struct model_encoder_user){.given = pass->h[pass->count], .values = asked->values};
    user->value_count = model_encoder_values(query, asked->values);
    return user;
}

static void expert_score(void *self, const struct model_batch *batch, float *out)
{
    struct expert *expert = self;
    struct sequence *sequence =
        batch->in_place ? &expert->learning : base_arena_alloc(batch->arena, sizeof(*sequence));
    struct asked asked;
    float vector[MODEL_GRU_UNITS];
    if (!sequence || !read_history(expert, batch, sequence))
        return;
    model_encoder_vector(expert->items, ask(batch->query, &sequence->pass, &asked), vector);
    model_encoder_shares(expert->items, vector, batch, out);
}

/* score() of this very batch has read the history. */
static void expert_learn(void *self, const struct model_batch *batch,
                         const struct state_event *event, int32_t target, const float *gradient)
{
    struct expert *expert = self;
    const struct model_query *query = batch->query;
    struct sequence *sequence = &expert->learning;
    struct asked asked = {0};
    float dh[MODEL_GRU_UNITS] = {0}, dx[MODEL_GRU_STEPS_MAX][MODEL_GRU_UNITS];
    (void)gradient; /* of the blend: its own loss, as the encoder's */
    if (event->signal <= 0.0f)
        return;
    if (sequence->pass.count) /* else the target alone becomes known */
        ask(query, &sequence->pass, &asked)->gradient = dh;
    if (target >= 0)
        model_encoder_learn_among(expert->items, &asked.user, batch->item, batch->count,
                                  (uint32_t)target);
    else
        model_encoder_learn(expert->items, &asked.user, event->item);
    if (sequence->pass.count)
        model_gru_learn(expert->gru, &sequence->pass, dh, dx);
    for (uint32_t t = 0; t < sequence->pass.count; t++)
        model_encoder_input_step(expert->items, sequence->item[t], dx[t]);
    for (uint32_t i = 0; i < FR_MIN(query->history_count, (uint32_t)MODEL_GRU_STEPS_MAX); i++)
        model_encoder_know(expert->items, &query->history[i].item, 1);
}

static void expert_forget(void *self, enum state_kind kind, uint32_t index)
{
    struct expert *expert = self;
    if (kind == STATE_KIND_ITEM)
        model_encoder_forget(expert->items, index);
}

static void expert_quicken(void *self)
{
    struct expert *expert = self;
    model_encoder_quicken(expert->items);
    model_gru_quicken(expert->gru);
}

static bool expert_sweep(void *self, const struct state *state, uint32_t *at)
{
    struct expert *expert = self;
    return model_encoder_sweep(expert->items, state, at);
}

const struct model_expert model_gru_expert = {
    .name = "gru",
    .on_request = true,
    .features = features,
    .feature_count = FR_COUNT_OF(features),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .rebuild = expert_rebuild,
    .score = expert_score,
    .learn = expert_learn,
    .forget = expert_forget,
    .sweep = expert_sweep,
    .quicken = expert_quicken,
};
