/* SPDX-License-Identifier: Apache-2.0
 *
 * The online listwise blend.
 * Objective: -ln softmax(score)[target] over the candidates of each sampled event.
 * Update: Adagrad on w = global + bucket (a bucket of users of whom next to nothing is known: its own
 * alone; Last.fm, new users by friends: HR@10 .034 -> .065, MovieLens 100K first 30 %: .193 -> .197);
 * the step of an event whose target stood at rank r now is
 * multiplied by 1.5 / (1 + r/10): plain log loss spends itself on hopeless targets (measured on
 * MovieLens: .202 -> .213 HR@10; on news it changes nothing).
 * A bucket's rate is a quarter of the global one: it hears a fraction of the events (.1 -> .05: Beauty's
 * validation items HR@10 .1122 -> .1136, Toys .1192 -> .1196, news .6912 -> .6923; films -.0005).
 * Cost: one pass over features x candidates forward, one back.
 * Thread: learning on the fold thread; weights are read word by word by any.
 */
#include <string.h>

#include "base/fmath.h"
#include "model/vec.h"
#include "rank/rank_priv.h"

enum { COLD_BUCKETS = 4 };
static const float global_rate = 0.2f, bucket_rate = 0.05f, squares_first = 1.0f;

static enum fr_status table_new(struct rank *rank, const char *name, struct fr_error *error,
                                struct base_rows **out_rows)
{
    struct base_rows_options options = {.name = name,
                                        .row_bytes = sizeof(struct blend_row),
                                        .count_max = BLEND_FIRST_BUCKET + MODEL_BUCKETS};
    FR_TRY(base_rows_new(&options, error, out_rows));
    rank__table_add(rank, *out_rows);
    for (uint32_t i = BLEND_GLOBAL; i < BLEND_FIRST_BUCKET + MODEL_BUCKETS; i++)
        FR_ASSERT(base_rows_add(*out_rows) == i);
    return FR_OK;
}

enum fr_status rank__blend_new(struct rank *rank, struct fr_error *error)
{
    FR_TRY(table_new(rank, "blend", error, &rank->blend));
    FR_TRY(table_new(rank, "blend-twin", error, &rank->twin));
    struct blend_row *global = base_rows_write(rank->blend, BLEND_GLOBAL);
    for (uint32_t f = 0; f < rank->feature_count; f++)
        global->weight[f] = rank->model_feature[f]->initial;
    for (uint32_t b = 0; b < COLD_BUCKETS; b++)
        memcpy(((struct blend_row *)base_rows_write(rank->blend, BLEND_FIRST_BUCKET + b))->weight,
               global->weight, sizeof(global->weight));
    return FR_OK;
}

/* Nothing or next to nothing is known of the user: weights that were learnt beside a history do not
 * fit, so these buckets have theirs alone. */
static bool is_cold(uint32_t bucket)
{
    return bucket < COLD_BUCKETS;
}

static void weights_of(const struct rank *rank, const struct base_rows *rows, uint32_t bucket,
                       float *out)
{
    const struct blend_row *global = base_rows_at(rows, BLEND_GLOBAL);
    base_rows_copy(out, global->weight, rank->feature_count * sizeof(float));
    if (bucket >= MODEL_BUCKETS)
        return;
    if (is_cold(bucket)) {
        const struct blend_row *cold = base_rows_at(rows, BLEND_FIRST_BUCKET + bucket);
        base_rows_copy(out, cold->weight, rank->feature_count * sizeof(float));
        return;
    }
    float own[MODEL_FEATURES_MAX];
    const struct blend_row *row = base_rows_at(rows, BLEND_FIRST_BUCKET + bucket);
    base_rows_copy(own, row->weight, rank->feature_count * sizeof(float));
    for (uint32_t f = 0; f < rank->feature_count; f++)
        out[f] += own[f];
}

void rank__blend_weights(const struct rank *rank, uint32_t bucket, float *out)
{
    weights_of(rank, rank->blend, bucket, out);
}

void rank__loss_gradient(const struct model_batch *batch, const float *score, uint32_t target,
                         float *gradient)
{
    float most = score[0], sum = 0.0f;
    float step = 1.5f / (1.0f + rank__rank_of(score, batch->count, target) * 0.1f);
    for (uint32_t i = 1; i < batch->count; i++)
        most = score[i] > most ? score[i] : most;
    for (uint32_t i = 0; i < batch->count; i++) {
        gradient[i] = base_expf(score[i] - most);
        sum += gradient[i];
    }
    float by = step / sum;
    for (uint32_t i = 0; i < batch->count; i++)
        gradient[i] *= by;
    gradient[target] -= step;
    for (uint32_t i = batch->count; i < batch->stride; i++)
        gradient[i] = 0.0f;
}

static void step_row(struct blend_row *row, uint32_t f, float g, float rate)
{
    float squares = row->squares[f] + g * g;
    float weight = row->weight[f] - rate * g / __builtin_sqrtf(squares + squares_first);
    uint32_t bits[2];
    memcpy(&bits[0], &squares, sizeof(float));
    memcpy(&bits[1], &weight, sizeof(float));
    __atomic_store_n((uint32_t *)(void *)&row->squares[f], bits[0], __ATOMIC_RELAXED);
    __atomic_store_n((uint32_t *)(void *)&row->weight[f], bits[1], __ATOMIC_RELAXED);
}

static void learn(struct base_rows *rows, const struct rank_scoring *scoring, const float *gradient)
{
    const struct model_batch *batch = &scoring->batch;
    struct blend_row *global = base_rows_write(rows, BLEND_GLOBAL);
    struct blend_row *own = base_rows_write(rows, BLEND_FIRST_BUCKET + batch->query->bucket);
    bool cold = is_cold(batch->query->bucket);
    for (uint32_t k = 0; k < scoring->speaking_count; k++) {
        uint32_t f = scoring->speaking[k];
        const float *x = scoring->x + f * batch->stride;
        vec4 sum = vec4_set(0.0f);
        for (uint32_t i = 0; i < batch->stride; i += 4)
            sum += vec4_load(x + i) * vec4_load(gradient + i);
        float g = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        if (g == 0.0f)
            continue;
        if (!cold)
            step_row(global, f, g, global_rate);
        step_row(own, f, g, cold ? global_rate : bucket_rate);
    }
}

void rank__blend_learn(struct rank *rank, const struct rank_scoring *scoring, const float *gradient)
{
    learn(rank->blend, scoring, gradient);
}

/* ---- the twin ------------------------------------------------------------------------------- */

void rank__twin_begin(struct rank *rank)
{
    for (uint32_t i = BLEND_GLOBAL; i < BLEND_FIRST_BUCKET + MODEL_BUCKETS; i++) {
        const struct blend_row *row = base_rows_at(rank->blend, i);
        struct blend_row *twin = base_rows_write(rank->twin, i);
        for (uint32_t f = 0; f < rank->feature_count; f++) {
            twin->weight[f] = row->weight[f];
            twin->squares[f] = row->squares[f] * (1.0f / 16.0f);
        }
    }
}

/* The blend keeps its own sums: its steps are as long as before. */
void rank__twin_take(struct rank *rank)
{
    for (uint32_t i = BLEND_GLOBAL; i < BLEND_FIRST_BUCKET + MODEL_BUCKETS; i++) {
        const struct blend_row *twin = base_rows_at(rank->twin, i);
        struct blend_row *row = base_rows_write(rank->blend, i);
        for (uint32_t f = 0; f < rank->feature_count; f++)
            model_word_store(&row->weight[f], twin->weight[f]);
    }
}

/* ln of the softmax's denominator, less the target's score. */
static float loss_of(const float *score, uint32_t count, uint32_t target)
{
    float most = score[0], sum = 0.0f;
    for (uint32_t i = 1; i < count; i++)
        most = FR_MAX(most, score[i]);
    for (uint32_t i = 0; i < count; i++)
        sum += base_expf(score[i] - most);
    return base_logf(sum) + most - score[target];
}

float rank__twin_learn(struct rank *rank, const struct rank_scoring *scoring, uint32_t target,
                       float weight)
{
    const struct model_batch *batch = &scoring->batch;
    size_t bytes = batch->stride * sizeof(float);
    float *score = base_arena_zalloc(batch->arena, bytes);
    float *gradient = base_arena_zalloc(batch->arena, bytes);
    float own[MODEL_FEATURES_MAX];
    if (!score || !gradient)
        return 0.0f;
    weights_of(rank, rank->twin, batch->query->bucket, own);
    for (uint32_t f = 0; f < rank->feature_count; f++)
        for (uint32_t i = 0; i < batch->stride; i += 4)
            vec4_store(score + i,
                       vec4_load(score + i) +
                           vec4_set(own[f]) * vec4_load(scoring->x + f * batch->stride + i));
    float ahead =
        loss_of(scoring->linear, batch->count, target) - loss_of(score, batch->count, target);
    rank__loss_gradient(batch, score, target, gradient);
    for (uint32_t i = 0; i < batch->count; i++)
        gradient[i] *= weight;
    learn(rank->twin, scoring, gradient);
    return ahead;
}
