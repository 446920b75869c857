/* SPDX-License-Identifier: Apache-2.0
 *
 * fm: factorisation machine (Rendle ICDM'10, equations 1 and 4), AdaGrad, factors of 16.
 *     y = sum w_i x_i + 1/2 sum over k of ((sum v_ik x_i)^2 - sum (v_ik x_i)^2)
 *     dy/dw_i = x_i,  dy/dv_ik = x_i (sum_j v_jk x_j - v_ik x_i)
 * Gradients get lambda * parameter added; AdaGrad sums start at 1. No bias: give a feature of
 * value 1 that is always there.
 *
 * Row by id: { f32 w, s, v[16], s[16] }; v normal-like (sum of uniforms) times init, by (seed,
 * key). Cost: nnz * 16. Thread: the writer.
 */
#ifndef MODEL_FM_H
#define MODEL_FM_H

#include "base/base.h"
#include "base/rows.h"
#include "model/ftrl.h"

enum { MODEL_FM_K = 16 };

struct model_fm;

struct model_fm_options {
    const char *name; /* of the table; static */
    uint32_t id_max;
    float rate, linear_rate, lambda, init;
    uint64_t seed;
};

void model_fm_defaults(struct model_fm_options *out_options);
FR_MUST_USE enum fr_status model_fm_new(const struct model_fm_options *options,
                                        struct fr_error *error, struct model_fm **out_fm);
void model_fm_free(struct model_fm *fm);
/* The table, to be saved and hashed. */
struct base_rows *model_fm_table(struct model_fm *fm);
/* Gives the row of an id just handed out its first weights, drawn by `key`. */
void model_fm_reset(struct model_fm *fm, uint32_t id, uint64_t key);
/* The logit; features without a row contribute nothing. */
float model_fm_score(const struct model_fm *fm, const struct model_sparse *features,
                     uint32_t count);
/* gradient = weight * (p - y). */
void model_fm_step(struct model_fm *fm, const struct model_sparse *features, uint32_t count,
                   float gradient);

#endif
