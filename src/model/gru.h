/* SPDX-License-Identifier: Apache-2.0
 *
 * gru: one layer of gated recurrent units (Cho et al. 2014, section 2.3) over a short sequence, oldest
 * first, learnt by back-propagation through all of its steps:
 *     r_t = sigmoid(W_r x_t + U_r h_t-1 + b_r)                    (1) how much of the past is looked at
 *     z_t = sigmoid(W_z x_t + U_z h_t-1 + b_z)                    (2) how much is written anew
 *     n_t = tanh(W_n x_t + U_n (r_t (*) h_t-1) + b_n)             (3)
 *     h_t = h_t-1 + z_t (*) (n_t - h_t-1),  h_0 = 0               (4)
 * ((*) element by element; Cho's z is 1 - z here.) The last h is what has been read from the sequence.
 *
 * The state of a session is not stored: it is computed anew from the newest MODEL_GRU_STEPS_MAX items of
 * the history, for a request as for what is learnt. What is learnt of older items ends there (truncated
 * back-propagation).
 *
 * Learning: gradients add up over `batch` sequences; their norm is cut to `clip` (Pascanu et al. 2013);
 * then one step of AdaGrad per weight (Duchi 2011). Other threads read a copy published every
 * MODEL_GRU_PUBLISH sequences under a version, as its weights must agree.
 *
 * Shapes: W_r and W_z side by side, in x 2 units, row by row; W_n in x units; U likewise from units.
 * Cost a step: 3 units (in + units) multiply-adds forward, three times that to learn.
 * Thread: learn: the writer; run: any, on weights that model_gru_weights() gave it.
 */
#ifndef MODEL_GRU_H
#define MODEL_GRU_H

#include "base/arena.h"
#include "base/base.h"
#include "base/rows.h"

enum {
    MODEL_GRU_UNITS = 64, /* and the width of an input */
    MODEL_GRU_STEPS_MAX = 16,
    MODEL_GRU_PUBLISH = 64,
    MODEL_GRU_TABLES = 2,
};
/* In the weights: W_r W_z | W_n | U_r U_z | U_n | b_r b_z b_n. */
enum {
    MODEL_GRU_W_RZ = 0,
    MODEL_GRU_W_N = MODEL_GRU_W_RZ + 2 * MODEL_GRU_UNITS * MODEL_GRU_UNITS,
    MODEL_GRU_U_RZ = MODEL_GRU_W_N + MODEL_GRU_UNITS * MODEL_GRU_UNITS,
    MODEL_GRU_U_N = MODEL_GRU_U_RZ + 2 * MODEL_GRU_UNITS * MODEL_GRU_UNITS,
    MODEL_GRU_B_RZ = MODEL_GRU_U_N + MODEL_GRU_UNITS * MODEL_GRU_UNITS,
    MODEL_GRU_B_N = MODEL_GRU_B_RZ + 2 * MODEL_GRU_UNITS,
    MODEL_GRU_WEIGHTS = MODEL_GRU_B_N + MODEL_GRU_UNITS,
};

struct model_gru;

struct model_gru_options {
    float rate;
    float clip;     /* largest norm of a batch's gradient */
    uint32_t batch; /* sequences a step */
    uint64_t seed;
};

void model_gru_defaults(struct model_gru_options *out_options);
FR_MUST_USE enum fr_status model_gru_new(const struct model_gru_options *options,
                                         struct fr_error *error, struct model_gru **out_gru);
void model_gru_free(struct model_gru *gru);
/* The tables, in the order in which they are saved and hashed. */
void model_gru_tables(struct model_gru *gru, struct base_rows *out[MODEL_GRU_TABLES]);
/* After loading. FR_CORRUPT: another shape, or a number that is not finite or beyond a million. */
FR_MUST_USE enum fr_status model_gru_check(const struct model_gru *gru, struct fr_error *error);

/* A run over `count` inputs, which its caller filled in; run() fills in the rest. By step. */
struct model_gru_pass {
    uint32_t count;
    float x[MODEL_GRU_STEPS_MAX][MODEL_GRU_UNITS];
    float rz[MODEL_GRU_STEPS_MAX][2 * MODEL_GRU_UNITS];
    float past[MODEL_GRU_STEPS_MAX][MODEL_GRU_UNITS]; /* r (*) h of the step before */
    float n[MODEL_GRU_STEPS_MAX][MODEL_GRU_UNITS];
    float h[MODEL_GRU_STEPS_MAX + 1][MODEL_GRU_UNITS]; /* h[0] = 0, h[count] is the result */
};

/* The newest weights, in place: writer. */
const float *model_gru_weights(const struct model_gru *gru);
/* A copy of the published ones in the arena: any thread. NULL: no room, or the writer was always ahead. */
const float *model_gru_published(const struct model_gru *gru, struct base_arena *arena);
void model_gru_run(const float *weights, struct model_gru_pass *pass);

/* Writer. Back from d loss / d h[count] through a run on the newest weights; fills out_dx for its
 * inputs, one row a step. */
void model_gru_learn(struct model_gru *gru, const struct model_gru_pass *pass, const float *dh,
                     float out_dx[MODEL_GRU_STEPS_MAX][MODEL_GRU_UNITS]);
/* Writer. As model_encoder_quicken(). */
void model_gru_quicken(struct model_gru *gru);

/* The expert "gru" (model/model.h) over it. */
struct model_expert;
extern const struct model_expert model_gru_expert;

#endif
