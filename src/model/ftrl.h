/* SPDX-License-Identifier: Apache-2.0
 *
 * ftrl: logistic regression by FTRL-proximal (McMahan et al. KDD'13, algorithm 1), rates per
 * coordinate. For each coordinate, with gradient g = weight * (p - y) * x:
 *     sigma = (sqrt(n + g^2) - sqrt(n)) / alpha;   z += g - sigma * w;   n += g^2
 *     w = 0 when |z| <= l1, else -(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2)
 *
 * Row by id: { f32 z, n, w, 0 }, 16 bytes; w is kept so that scoring reads one word a feature.
 * Cost: a score one row a feature, a step two square roots and two divisions.
 * Thread: score any, the rest the writer.
 */
#ifndef MODEL_FTRL_H
#define MODEL_FTRL_H

#include "base/base.h"
#include "base/rows.h"

/* A feature of one example: the row of its key (model/ids.h; 0 = not admitted, contributes
 * nothing), its field for the field-aware learner, its value. */
struct model_sparse {
    uint32_t id;
    uint32_t field;
    float value;
};

struct model_ftrl;

struct model_ftrl_options {
    const char *name; /* of the table; static */
    uint32_t id_max;
    float alpha, beta, l1, l2;
};

/* alpha .2, beta 1, l1 0, l2 3: chosen on events 10,000-30,000 of ML-100K. */
void model_ftrl_defaults(struct model_ftrl_options *out_options);
FR_MUST_USE enum fr_status model_ftrl_new(const struct model_ftrl_options *options,
                                          struct fr_error *error, struct model_ftrl **out_ftrl);
void model_ftrl_free(struct model_ftrl *ftrl);
struct base_rows *model_ftrl_table(struct model_ftrl *ftrl);

/* The logit: sum of w * value, in the order of the features. */
float model_ftrl_score(const struct model_ftrl *ftrl, const struct model_sparse *features,
                       uint32_t count);
/* A step with gradient = weight * (p - y), the derivative of the loss by the logit. */
void model_ftrl_step(struct model_ftrl *ftrl, const struct model_sparse *features, uint32_t count,
                     float gradient);
/* A row whose id has just been handed to another key. */
void model_ftrl_reset(struct model_ftrl *ftrl, uint32_t id);
/* The weight itself, for explanations. */
float model_ftrl_weight(const struct model_ftrl *ftrl, uint32_t id);

#endif
