/* SPDX-License-Identifier: Apache-2.0
 *
 * bayes: online Bayesian logistic regression. The posterior of the weights is kept as a Gaussian
 * and moved by one Newton step an example (Laplace approximation in recursive form, i.e. the
 * extended Kalman filter of the logistic model; Spiegelhalter and Lauritzen 1990, MacKay 1992).
 * With mean m, covariance S, an offset o, p = sigmoid(m.x + o), h = weight * p (1 - p), s = S x,
 * v = x.s:
 *     m += s * weight * (y - p) / (1 + h v);   S -= s s' h / (1 + h v);   S_ii += drift
 * No learning rate: the step is as large as the weights are unsure. `drift` > 0 forgets.
 *
 * Two forms:
 *   model_bayes    one vector of n dense inputs, full covariance: the blend of a click model's
 *                  parts. Cost 2 n^2 multiply-adds.
 *   model_effects  one vector of d a row (a user, an item) with a diagonal covariance: what is
 *                  special about this user beyond the offset (random effects; Zhang et al. KDD'16,
 *                  GLMix). Cost O(d); 8 d bytes a row.
 * `v` is the variance of the logit: what a bandit explores with.
 * Thread: model_bayes_score(), model_effects_score() any (words, each whole); the rest the writer.
 */
#ifndef MODEL_BAYES_H
#define MODEL_BAYES_H

#include "base/base.h"
#include "base/rows.h"

enum { MODEL_BAYES_N_MAX = 128, MODEL_EFFECTS_D_MAX = 48 };

struct model_bayes;

struct model_bayes_options {
    const char *name; /* of the table; static */
    uint32_t n;
    float variance; /* of every weight before anything was learnt */
    float drift;
    const float *initial; /* n first means; NULL = zeros */
};

FR_MUST_USE enum fr_status model_bayes_new(const struct model_bayes_options *options,
                                           struct fr_error *error, struct model_bayes **out_bayes);
void model_bayes_free(struct model_bayes *bayes);
/* The table, to be saved and hashed. */
struct base_rows *model_bayes_table(struct model_bayes *bayes);
/* The logit without offset: a reduction over the n inputs. Any thread. */
float model_bayes_score(const struct model_bayes *bayes, const float *x);
/* Writer: with its variance. */
float model_bayes_score_variance(const struct model_bayes *bayes, const float *x,
                                 float *out_variance);
struct model_bayes_target {
    float label; /* 0 or 1, or between */
    float weight;
    float offset;       /* added to the logit, not learnt here */
    const float *score; /* the logit that _score() gave for this x just before; NULL: not known */
};
void model_bayes_learn(struct model_bayes *bayes, const float *x, struct model_bayes_target target);
const float *model_bayes_weights(const struct model_bayes *bayes); /* the n means. Writer */

struct model_effects;

struct model_effects_options {
    const char *name; /* of the table; static */
    uint32_t id_max;
    uint32_t d; /* multiple of 4 */
    float drift;
    const float *variance; /* d first variances */
};

FR_MUST_USE enum fr_status model_effects_new(const struct model_effects_options *options,
                                             struct fr_error *error,
                                             struct model_effects **out_effects);
void model_effects_free(struct model_effects *effects);
/* The table, to be saved and hashed. */
struct base_rows *model_effects_table(struct model_effects *effects);
/* The effect's logit and its variance; an id without a row has mean 0 and the first variances. */
float model_effects_score(const struct model_effects *effects, uint32_t id, const float *x,
                          float *out_variance);
/* Writer. FR_FULL when the row does not fit the table: nothing is learnt. */
FR_MUST_USE enum fr_status model_effects_learn(struct model_effects *effects, uint32_t id,
                                               const float *x, struct model_bayes_target target);
void model_effects_reset(struct model_effects *effects, uint32_t id);

#endif
