/* SPDX-License-Identifier: Apache-2.0
 *
 * fm: see the door. Owner: one table. Loops over the 16 factors are elementwise, so that the
 * compiler may use vectors without changing a bit.
 */
#include "model/fm.h"

#include "base/hash.h"
#include "model/ids.h"

#include <stdlib.h>
#include <string.h>

struct row {
    float w, w_sum;
    float v[MODEL_FM_K], v_sum[MODEL_FM_K];
};

struct model_fm {
    struct model_fm_options options;
    struct base_rows *rows;
};

void model_fm_defaults(struct model_fm_options *out_options)
{
    *out_options = (struct model_fm_options){.name = "fm",
                                             .id_max = 1u << 18,
                                             .rate = 0.1f,
                                             .linear_rate = 0.1f,
                                             .lambda = 1e-4f,
                                             .init = 0.05f,
                                             .seed = 1};
}

enum fr_status model_fm_new(const struct model_fm_options *options, struct fr_error *error,
                            struct model_fm **out_fm)
{
    struct model_fm *fm = calloc(1, sizeof(*fm));
    if (!fm)
        return base_fail(error, FR_MEMORY, "model", "no memory for %s", options->name);
    fm->options = *options;
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes = sizeof(struct row),
                                      .count_max = options->id_max};
    enum fr_status status = base_rows_new(&table, error, &fm->rows);
    if (status != FR_OK) {
        free(fm);
        return status;
    }
    *out_fm = fm;
    return FR_OK;
}

void model_fm_free(struct model_fm *fm)
{
    if (!fm)
        return;
    base_rows_free(fm->rows);
    free(fm);
}

struct base_rows *model_fm_table(struct model_fm *fm)
{
    return fm->rows;
}

void model_fm_reset(struct model_fm *fm, uint32_t id, uint64_t key)
{
    if (!model_rows_reach(fm->rows, id))
        return;
    struct row *row = base_rows_write(fm->rows, id);
    row->w = 0.0f;
    row->w_sum = 1.0f;
    for (uint32_t k = 0; k < MODEL_FM_K; k++) {
        double sum = -2.0; /* four uniforms: mean 2, variance 1/3 */
        for (uint32_t i = 0; i < 4; i++)
            sum += base_random_unit(fm->options.seed, key, 4 * k + i);
        row->v[k] = (float)(sum * 1.7320508) * fm->options.init;
        row->v_sum[k] = 1.0f;
    }
}

/* The linear part; sums[k] = sum of v_ik x_i, squares[k] of their squares. */
static float gather(const struct model_fm *fm, const struct model_sparse *features, uint32_t count,
                    float sums[MODEL_FM_K], float squares[MODEL_FM_K])
{
    float linear = 0.0f;
    uint32_t rows = base_rows_count(fm->rows);
    memset(sums, 0, MODEL_FM_K * sizeof(float));
    memset(squares, 0, MODEL_FM_K * sizeof(float));
    for (uint32_t i = 0; i < count; i++) {
        if (features[i].id == 0 || features[i].id >= rows)
            continue;
        const struct row *row = base_rows_at(fm->rows, features[i].id);
        float x = features[i].value;
        linear += row->w * x;
        for (int k = 0; k < MODEL_FM_K; k++) {
            float vx = row->v[k] * x;
            sums[k] += vx;
            squares[k] += vx * vx;
        }
    }
    return linear;
}

float model_fm_score(const struct model_fm *fm, const struct model_sparse *features, uint32_t count)
{
    float sums[MODEL_FM_K], squares[MODEL_FM_K];
    float linear = gather(fm, features, count, sums, squares), pairs = 0.0f;
    for (int k = 0; k < MODEL_FM_K; k++)
        pairs += sums[k] * sums[k] - squares[k];
    return linear + 0.5f * pairs;
}

void model_fm_step(struct model_fm *fm, const struct model_sparse *features, uint32_t count,
                   float gradient)
{
    const struct model_fm_options *options = &fm->options;
    float sums[MODEL_FM_K], squares[MODEL_FM_K];
    (void)gather(fm, features, count, sums, squares);
    uint32_t rows = base_rows_count(fm->rows);
    for (uint32_t i = 0; i < count; i++) {
        if (features[i].id == 0 || features[i].id >= rows)
            continue;
        struct row *row = base_rows_write(fm->rows, features[i].id);
        float x = features[i].value, pull = gradient * x, g = pull + options->lambda * row->w;
        row->w_sum += g * g;
        row->w -= options->linear_rate * g / __builtin_sqrtf(row->w_sum);
        for (int k = 0; k < MODEL_FM_K; k++) {
            float gk = pull * (sums[k] - row->v[k] * x) + options->lambda * row->v[k];
            row->v_sum[k] += gk * gk;
            row->v[k] -= options->rate * gk / __builtin_sqrtf(row->v_sum[k]);
        }
    }
}
