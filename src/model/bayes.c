/* SPDX-License-Identifier: Apache-2.0
 *
 * bayes: see the door. model_bayes keeps one flat array over whole blocks of the row store: the
 * means, then the rows of the covariance, each padded with zeros to a multiple of 16 floats;
 * model_effects keeps { f32 ready, 0, m[d], v[d] } by id.
 */
#include "model/bayes.h"

#include "base/fmath.h"
#include "model/ids.h"
#include "model/word.h"
#include "simd/simd.h"

#include <stdlib.h>
#include <string.h>

struct model_bayes {
    struct model_bayes_options options;
    struct base_rows *rows;
    const struct simd_ops *ops;
    uint32_t width; /* n padded */
};

/* The flat array for changing it: every block is announced to a running snapshot. */
static float *write_flat(struct model_bayes *bayes)
{
    for (uint32_t b = 1; b < base_rows_count(bayes->rows); b++)
        (void)base_rows_write(bayes->rows, b);
    return base_rows_write(bayes->rows, 1);
}

enum fr_status model_bayes_new(const struct model_bayes_options *options, struct fr_error *error,
                               struct model_bayes **out_bayes)
{
    FR_ASSERT(options->n > 0 && options->n <= MODEL_BAYES_N_MAX && options->variance > 0);
    struct model_bayes *bayes = calloc(1, sizeof(*bayes));
    if (!bayes)
        return base_fail(error, FR_MEMORY, "model", "no memory for %s", options->name);
    bayes->options = *options;
    bayes->options.initial = NULL;
    bayes->ops = simd_ops();
    bayes->width = (options->n + 15) / 16 * 16;
    uint32_t blocks = (uint32_t)(((size_t)bayes->width * (options->n + 1) * sizeof(float) +
                                  BASE_ROWS_BLOCK_BYTES - 1) /
                                 BASE_ROWS_BLOCK_BYTES);
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes = BASE_ROWS_BLOCK_BYTES,
                                      .count_max = blocks + 2};
    enum fr_status status = base_rows_new(&table, error, &bayes->rows);
    if (status != FR_OK) {
        free(bayes);
        return status;
    }
    FR_ASSERT(model_rows_reach(bayes->rows, blocks));
    const uint8_t *first = base_rows_at(bayes->rows, 1), *last = base_rows_at(bayes->rows, blocks);
    FR_ASSERT(last == first + (size_t)(blocks - 1) * BASE_ROWS_BLOCK_BYTES); /* one flat array */
    float *mean = write_flat(bayes), *covariance = mean + bayes->width;
    if (options->initial)
        memcpy(mean, options->initial, options->n * sizeof(float));
    for (uint32_t i = 0; i < options->n; i++)
        covariance[i * bayes->width + i] = options->variance;
    *out_bayes = bayes;
    return FR_OK;
}

void model_bayes_free(struct model_bayes *bayes)
{
    if (!bayes)
        return;
    base_rows_free(bayes->rows);
    free(bayes);
}

struct base_rows *model_bayes_table(struct model_bayes *bayes)
{
    return bayes->rows;
}

const float *model_bayes_weights(const struct model_bayes *bayes)
{
    return base_rows_at(bayes->rows, 1);
}

float model_bayes_score(const struct model_bayes *bayes, const float *x)
{
    float mean[MODEL_BAYES_N_MAX];
    base_rows_copy(mean, base_rows_at(bayes->rows, 1), bayes->options.n * sizeof(float));
    return bayes->ops->dot(mean, x, bayes->options.n);
}

/* s = S x, padded with zeros as the rows are; gives x.s */
static float spread(const struct model_bayes *bayes, const float *x, float *s)
{
    static const float zeros[MODEL_BAYES_N_MAX];
    struct simd_dense product = {.x = x,
                                 .w = model_bayes_weights(bayes) + bayes->width,
                                 .bias = zeros,
                                 .y = s,
                                 .batch = 1,
                                 .in = bayes->options.n,
                                 .out = bayes->width,
                                 .relu = false};
    bayes->ops->dense(&product);
    return bayes->ops->dot(s, x, bayes->options.n);
}

float model_bayes_score_variance(const struct model_bayes *bayes, const float *x,
                                 float *out_variance)
{
    float s[MODEL_BAYES_N_MAX];
    *out_variance = spread(bayes, x, s);
    return model_bayes_score(bayes, x);
}

void model_bayes_learn(struct model_bayes *bayes, const float *x, struct model_bayes_target target)
{
    float s[MODEL_BAYES_N_MAX];
    uint32_t n = bayes->options.n;
    float score = target.score ? *target.score : model_bayes_score(bayes, x);
    float p = base_sigmoidf(score + target.offset);
    float h = target.weight * p * (1.0f - p), v = FR_MAX(spread(bayes, x, s), 0.0f);
    float gain = 1.0f / (1.0f + h * v);
    float *mean = write_flat(bayes), *covariance = mean + bayes->width;
    float step = target.weight * (target.label - p) * gain;
    for (uint32_t i = 0; i < n; i++)
        model_word_store(&mean[i], mean[i] + step * s[i]);
    float scaled[MODEL_BAYES_N_MAX], unused[MODEL_BAYES_N_MAX] = {0};
    for (uint32_t i = 0; i < n; i++)
        scaled[i] = -h * gain * s[i];
    struct simd_dense_grad shrink = {.x = scaled,
                                     .w = covariance,
                                     .dy = s,
                                     .dw = covariance,
                                     .dbias = unused,
                                     .dx = NULL,
                                     .batch = 1,
                                     .in = n,
                                     .out = bayes->width};
    bayes->ops->dense_grad(&shrink); /* S += scaled s' */
    for (uint32_t i = 0; i < n; i++) {
        float *variance = &covariance[i * bayes->width + i];
        *variance += bayes->options.drift;
        if (!(*variance > 1e-9f))
            *variance = 1e-9f; /* rounding must not make a variance negative */
    }
}

/* ---- effects ---------------------------------------------------------------------------- */

struct model_effects {
    struct model_effects_options options;
    struct base_rows *rows;
    float variance[MODEL_EFFECTS_D_MAX];
};

enum { HEAD = 2 };

enum fr_status model_effects_new(const struct model_effects_options *options,
                                 struct fr_error *error, struct model_effects **out_effects)
{
    FR_ASSERT(options->d > 0 && options->d <= MODEL_EFFECTS_D_MAX);
    struct model_effects *effects = calloc(1, sizeof(*effects));
    if (!effects)
        return base_fail(error, FR_MEMORY, "model", "no memory for %s", options->name);
    effects->options = *options;
    memcpy(effects->variance, options->variance, options->d * sizeof(float));
    effects->options.variance = effects->variance;
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes =
                                          (HEAD + 2 * options->d) * (uint32_t)sizeof(float),
                                      .count_max = options->id_max};
    enum fr_status status = base_rows_new(&table, error, &effects->rows);
    if (status != FR_OK) {
        free(effects);
        return status;
    }
    *out_effects = effects;
    return FR_OK;
}

void model_effects_free(struct model_effects *effects)
{
    if (!effects)
        return;
    base_rows_free(effects->rows);
    free(effects);
}

struct base_rows *model_effects_table(struct model_effects *effects)
{
    return effects->rows;
}

float model_effects_score(const struct model_effects *effects, uint32_t id, const float *x,
                          float *out_variance)
{
    uint32_t d = effects->options.d;
    const float *m = NULL, *v = effects->variance;
    if (id != 0 && id < base_rows_count(effects->rows)) {
        const float *row = base_rows_at(effects->rows, id);
        if (model_word_load(&row[0]) != 0) {
            m = row + HEAD;
            v = m + d;
        }
    }
    float mean = 0.0f, variance = 0.0f;
    for (uint32_t i = 0; i < d; i++) {
        mean += m ? model_word_load(&m[i]) * x[i] : 0.0f;
        variance += model_word_load(&v[i]) * x[i] * x[i];
    }
    *out_variance = variance;
    return mean;
}

void model_effects_reset(struct model_effects *effects, uint32_t id)
{
    if (id == 0 || id >= base_rows_count(effects->rows))
        return;
    float *row = base_rows_write(effects->rows, id);
    for (uint32_t i = 0; i < effects->options.d; i++) {
        model_word_store(&row[HEAD + i], 0.0f);
        model_word_store(&row[HEAD + effects->options.d + i], effects->variance[i]);
    }
    model_word_store(&row[0], 1.0f);
}

enum fr_status model_effects_learn(struct model_effects *effects, uint32_t id, const float *x,
                                   struct model_bayes_target target)
{
    if (id == 0 || !model_rows_reach(effects->rows, id))
        return FR_FULL;
    float *row = base_rows_write(effects->rows, id);
    if (row[0] == 0)
        model_effects_reset(effects, id);
    uint32_t d = effects->options.d;
    float *m = row + HEAD, *v = m + d, variance;
    float score = model_effects_score(effects, id, x, &variance);
    float p = base_sigmoidf(score + target.offset);
    float h = target.weight * p * (1.0f - p), gain = 1.0f / (1.0f + h * variance);
    float step = target.weight * (target.label - p) * gain;
    for (uint32_t i = 0; i < d; i++) {
        float s = v[i] * x[i];
        model_word_store(&m[i], m[i] + step * s);
        model_word_store(&v[i], v[i] + (effects->options.drift - h * gain * s * s));
    }
    return FR_OK;
}
