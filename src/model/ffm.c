/* SPDX-License-Identifier: Apache-2.0
 *
 * ffm: see the door. Owner: one table. The pairs of an example are gathered as pointers, then the
 * vector kernels run over them in that order.
 */
#include "model/ffm.h"

#include "base/hash.h"
#include "model/ids.h"
#include "model/word.h"
#include "simd/simd.h"

#include <stdlib.h>

enum {
    HEAD = 2,                 /* w, s */
    VECTOR = 2 * SIMD_PAIR_K, /* v, s of one field */
    PAIRS_MAX = MODEL_FFM_NNZ_MAX * (MODEL_FFM_NNZ_MAX - 1) / 2,
};

struct model_ffm {
    struct model_ffm_options options;
    struct base_rows *rows;
    const struct simd_ops *ops;
};

/* The pairs of one example, and its rows. */
struct gathered {
    struct simd_pair pairs[PAIRS_MAX];
    float *row[MODEL_FFM_NNZ_MAX];
    const struct model_sparse *feature[MODEL_FFM_NNZ_MAX];
    uint32_t count, pair_count;
};

void model_ffm_defaults(struct model_ffm_options *out_options)
{
    *out_options = (struct model_ffm_options){.name = "ffm",
                                              .id_max = 1u << 18,
                                              .fields = 9,
                                              .rate = 0.2f,
                                              .lambda = 2e-5f,
                                              .init = 0.3f,
                                              .linear_rate = 0.1f,
                                              .normalise = true,
                                              .same_field = true,
                                              .seed = 1};
}

enum fr_status model_ffm_new(const struct model_ffm_options *options, struct fr_error *error,
                             struct model_ffm **out_ffm)
{
    FR_ASSERT(options->fields > 0 && options->fields <= MODEL_FFM_FIELDS_MAX);
    struct model_ffm *ffm = calloc(1, sizeof(*ffm));
    if (!ffm)
        return base_fail(error, FR_MEMORY, "model", "no memory for %s", options->name);
    ffm->options = *options;
    ffm->ops = simd_ops();
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes = (uint32_t)((HEAD + options->fields * VECTOR) *
                                                              sizeof(float)),
                                      .count_max = options->id_max};
    enum fr_status status = base_rows_new(&table, error, &ffm->rows);
    if (status != FR_OK) {
        free(ffm);
        return status;
    }
    *out_ffm = ffm;
    return FR_OK;
}

void model_ffm_free(struct model_ffm *ffm)
{
    if (!ffm)
        return;
    base_rows_free(ffm->rows);
    free(ffm);
}

struct base_rows *model_ffm_table(struct model_ffm *ffm)
{
    return ffm->rows;
}

void model_ffm_reset(struct model_ffm *ffm, uint32_t id, uint64_t key)
{
    if (!model_rows_reach(ffm->rows, id))
        return;
    float *row = base_rows_write(ffm->rows, id);
    float scale = ffm->options.init * 0.35355339f; /* 1 / sqrt(8) */
    row[0] = 0.0f;
    row[1] = 1.0f;
    for (uint32_t f = 0; f < ffm->options.fields; f++) {
        float *v = row + HEAD + f * VECTOR;
        for (uint32_t k = 0; k < SIMD_PAIR_K; k++) {
            uint32_t index = f * SIMD_PAIR_K + k;
            v[k] = (float)base_random_unit(ffm->options.seed, key, index) * scale;
            v[SIMD_PAIR_K + k] = 1.0f;
        }
    }
}

static void gather_rows(const struct model_ffm *ffm, const struct model_sparse *features,
                        uint32_t count, struct gathered *out)
{
    uint32_t rows = base_rows_count(ffm->rows);
    out->count = 0;
    for (uint32_t i = 0; i < count && out->count < MODEL_FFM_NNZ_MAX; i++) {
        if (features[i].id == 0 || features[i].id >= rows)
            continue;
        FR_ASSERT(features[i].field < ffm->options.fields);
        /* the const goes: only model_ffm_step(), the writer, stores through it */
        out->row[out->count] = (float *)(uintptr_t)base_rows_at(ffm->rows, features[i].id);
        out->feature[out->count++] = &features[i];
    }
}

static void gather_pairs(const struct model_ffm *ffm, struct gathered *out)
{
    float norm = 0.0f;
    for (uint32_t i = 0; i < out->count; i++)
        norm += out->feature[i]->value * out->feature[i]->value;
    float r = ffm->options.normalise && norm > 0 ? 1.0f / norm : 1.0f;
    out->pair_count = 0;
    for (uint32_t i = 0; i < out->count; i++) {
        const struct model_sparse *a = out->feature[i];
        float scale = a->value * r;
        for (uint32_t j = i + 1; j < out->count; j++) {
            const struct model_sparse *b = out->feature[j];
            if (a->field == b->field && !ffm->options.same_field)
                continue;
            out->pairs[out->pair_count++] = (struct simd_pair){
                .a = out->row[i] + HEAD + b->field * VECTOR,
                .b = out->row[j] + HEAD + a->field * VECTOR,
                .scale = scale * b->value,
            };
        }
    }
}

float model_ffm_score_shared(const struct model_ffm *ffm, const struct model_sparse *features,
                             uint32_t count)
{
    struct gathered gathered;
    float copies[PAIRS_MAX][2 * SIMD_PAIR_K];
    gather_rows(ffm, features, count, &gathered);
    gather_pairs(ffm, &gathered);
    for (uint32_t p = 0; p < gathered.pair_count; p++) {
        struct simd_pair *pair = &gathered.pairs[p];
        base_rows_copy(copies[p], pair->a, SIMD_PAIR_K * sizeof(float));
        base_rows_copy(copies[p] + SIMD_PAIR_K, pair->b, SIMD_PAIR_K * sizeof(float));
        pair->a = copies[p];
        pair->b = copies[p] + SIMD_PAIR_K;
    }
    float phi = 0.0f;
    for (uint32_t i = 0; i < gathered.count && ffm->options.linear_rate > 0; i++)
        phi += model_word_load(gathered.row[i]) * gathered.feature[i]->value;
    return phi + ffm->ops->pairs_dot(gathered.pairs, gathered.pair_count);
}

float model_ffm_score(const struct model_ffm *ffm, const struct model_sparse *features,
                      uint32_t count)
{
    struct gathered gathered;
    gather_rows(ffm, features, count, &gathered);
    gather_pairs(ffm, &gathered);
    float phi = 0.0f;
    for (uint32_t i = 0; i < gathered.count && ffm->options.linear_rate > 0; i++)
        phi += gathered.row[i][0] * gathered.feature[i]->value;
    return phi + ffm->ops->pairs_dot(gathered.pairs, gathered.pair_count);
}

void model_ffm_step(struct model_ffm *ffm, const struct model_sparse *features, uint32_t count,
                    float kappa)
{
    struct gathered gathered;
    gather_rows(ffm, features, count, &gathered);
    for (uint32_t i = 0; i < gathered.count; i++) {
        float *row = base_rows_write(ffm->rows, gathered.feature[i]->id);
        float g = kappa * gathered.feature[i]->value;
        if (ffm->options.linear_rate > 0) {
            row[1] += g * g;
            row[0] -= ffm->options.linear_rate * g / __builtin_sqrtf(row[1]);
        }
    }
    gather_pairs(ffm, &gathered);
    ffm->ops->pairs_step(gathered.pairs, gathered.pair_count,
                         (struct simd_pair_step){.kappa = kappa,
                                                 .rate = ffm->options.rate,
                                                 .l2 = ffm->options.lambda});
}
