/* SPDX-License-Identifier: Apache-2.0
 *
 * ctr: the click model: the probability that this user likes (clicks, buys) this item here and now,
 * learnt online from labelled examples. Its parts, in the order of one pass:
 *   base      Bayesian logistic regression on the dense features (full covariance)
 *   effects   of the user over what the item is like, of the item over what the user is like,
 * beyond the base (random effects, diagonal covariance) ftrl      logistic regression on all sparse
 * features and crosses ffm       field-aware factors of user, item and facets, on what base and
 * effects leave over blend     Bayesian logistic regression on the dense features and the logits of
 * all parts calibration  decayed bins Each part learns from its own error (the factors from that of
 * base + effects + factors); the blend learns what each is worth where. Every part predicts before
 * it learns, so what the blend sees is honest.
 *
 * Thread: model_ctr_score() any; the rest the writer. Cost: see docs and bench/bench_ctr.c.
 */
#ifndef MODEL_CTR_H
#define MODEL_CTR_H

#include "base/base.h"
#include "base/rows.h"
#include "model/calibration.h"
#include "model/features_ctr.h"

struct model_ctr;

struct model_ctr_options {
    struct model_features_options features;
    float ftrl_alpha, ftrl_l2;
    float ffm_rate, ffm_lambda;
    float base_drift, blend_drift;
    float effect_variance, effect_bias_variance; /* of the descriptors' weights before any data */
    bool ffm_normalise;                          /* libffm's instance-wise normalisation */
    bool ffm, effects, ftrl;                     /* parts in use; the base and the blend always */
    bool blend;                                  /* false: the base and the effects alone answer */
    uint64_t seed;
    /* Borrowed: others use and feed them too, so that model_ctr_learn_example() leaves their
     * counters alone. NULL: features of its own, made from `features`. */
    struct model_features *shared;
};

/* The settings chosen on events 10,000-30,000 of ML-100K. The kinds are the caller's. */
void model_ctr_defaults(struct model_ctr_options *out_options);
FR_MUST_USE enum fr_status model_ctr_new(const struct model_ctr_options *options,
                                         struct fr_error *error, struct model_ctr **out_ctr);
void model_ctr_free(struct model_ctr *ctr);

enum { MODEL_CTR_TABLES_MAX = 12 };
/* The tables in the order in which they are saved and hashed; gives their number. */
uint32_t model_ctr_tables(struct model_ctr *ctr, struct base_rows *out[MODEL_CTR_TABLES_MAX]);

/* What the parts said, as logits. */
struct model_ctr_answer {
    float base, user_effect, item_effect, ftrl, ffm, blend; /* blend: before calibration */
    float variance; /* of the user's and the item's effects: what exploration may use */
    float probability;
};

/* R. The row's label is not looked at. */
void model_ctr_score(struct model_ctr *ctr, const struct model_ctr_row *row,
                     struct model_ctr_answer *out_answer);
/* W. Predicts, then learns; the answer has the same bits as model_ctr_score() just before. */
void model_ctr_learn(struct model_ctr *ctr, const struct model_ctr_row *row,
                     struct model_ctr_answer *out_answer);

/* The same over features built before: in_place on the fold thread. After a build by the writer,
 * model_ctr_fresh() comes first. R / W. */
void model_ctr_score_example(const struct model_ctr *ctr, const struct model_example *example,
                             bool in_place, struct model_ctr_answer *out_answer);
void model_ctr_fresh(struct model_ctr *ctr, const struct model_example *example);
void model_ctr_learn_example(struct model_ctr *ctr, const struct model_ctr_row *row,
                             const struct model_example *example,
                             struct model_ctr_answer *out_answer);

/* One summand of the blend's logit. */
struct model_ctr_part {
    const char *name;
    float value, weight, contribution;
};
/* What it sees an example as; shared or its own, lives as long as it. */
struct model_features *model_ctr_features(struct model_ctr *ctr);
/* W. The summands, largest in absolute value first, at most `max`; gives their number. They add up
 * to out_answer->blend (and to its rounding). */
uint32_t model_ctr_explain(struct model_ctr *ctr, const struct model_ctr_row *row,
                           struct model_ctr_part *out_parts, uint32_t max,
                           struct model_ctr_answer *out_answer);
void model_ctr_calibration(const struct model_ctr *ctr, struct model_calibration_stats *out_stats);

#endif
