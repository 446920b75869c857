/* SPDX-License-Identifier: Apache-2.0
 *
 * ffm: field-aware factorisation machine (Juan et al. RecSys'16, libffm), AdaGrad.
 *     phi = sum over i of w_i x_i + sum over i < j of (v_i[field j] . v_j[field i]) x_i x_j r
 * with r = 1 / |x|^2 when `normalise` (libffm's instance-wise normalisation); gradient of the loss
 * by phi is kappa, by v_i[f_j] kappa x_i x_j r v_j[f_i] + lambda v_i[f_j]. Factors of SIMD_PAIR_K
 * = 8. The linear part (AdaGrad, rate linear_rate) is left out at rate 0, as in libffm.
 *
 * Row by id: { f32 w, s } then per field { f32 v[8], s[8] }; sums start at 1, v uniform in
 * [0, 1) / sqrt(8) * init, drawn by (seed, key, field, factor), never from a running generator.
 * Cost: nnz^2 / 2 pairs, about 3 ns a pair to score and 5 to step.
 * Thread: model_ffm_score_shared() any, the rest the writer.
 */
#ifndef MODEL_FFM_H
#define MODEL_FFM_H

#include "base/base.h"
#include "base/rows.h"
#include "model/ftrl.h"

enum { MODEL_FFM_FIELDS_MAX = 32, MODEL_FFM_NNZ_MAX = 40 };

struct model_ffm;

struct model_ffm_options {
    const char *name; /* of the table; static */
    uint32_t id_max;
    uint32_t fields; /* features' fields are below it; at most MODEL_FFM_FIELDS_MAX */
    float rate, lambda, init;
    float linear_rate;
    bool normalise;
    bool same_field; /* pairs within one field count too (libffm: yes) */
    uint64_t seed;
};

void model_ffm_defaults(struct model_ffm_options *out_options);
FR_MUST_USE enum fr_status model_ffm_new(const struct model_ffm_options *options,
                                         struct fr_error *error, struct model_ffm **out_ffm);
void model_ffm_free(struct model_ffm *ffm);
/* The table, to be saved and hashed. */
struct base_rows *model_ffm_table(struct model_ffm *ffm);

/* Writer. Gives the row of an id just handed out its first weights, drawn by `key`. */
void model_ffm_reset(struct model_ffm *ffm, uint32_t id, uint64_t key);
/* The same bits for any thread: copies the factors it needs, word by word. */
float model_ffm_score_shared(const struct model_ffm *ffm, const struct model_sparse *features,
                             uint32_t count);
/* phi; features without a row contribute nothing. At most MODEL_FFM_NNZ_MAX features are used. */
float model_ffm_score(const struct model_ffm *ffm, const struct model_sparse *features,
                      uint32_t count);
/* Writer. kappa = weight * (p - y). */
void model_ffm_step(struct model_ffm *ffm, const struct model_sparse *features, uint32_t count,
                    float kappa);

#endif
