/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/ope: off-policy estimates: what would another policy have earned on a log of choices whose
 * propensities were written down?
 *
 * A round: an action (item) shown at a position, the reward, and the probability e with which the
 * logging policy chose it. The evaluated policy gives pi(action | position). With w = pi / e, and
 * q(action, position) a reward model, an estimate is the mean over the rounds of
 *   without the model   f(w) r
 *   with it             sum_a pi(a | position) q(a, position) + f(w) (r - q)
 * where f is one of
 *   w                        IPS, DR                                (Horvitz and Thompson 1952;
 *                                                                    Dudik et al. 2011)
 *   min(w, L)                clipped                                (Bottou et al. 2013)
 *   w / mean(w)              self-normalised: SNIPS, SNDR           (Swaminathan, Joachims 2015)
 *   w / (1 - L + L w)        subgaussian IPS                        (Metelli et al. 2021)
 *   w if w <= L, else 0      Switch-DR                              (Wang et al. 2017)
 *   L w / (w^2 + L)          DR with optimistic shrinkage           (Su et al. 2020)
 *   0                        the model alone: DM
 * The model is the mean reward of (action, position), shrunk by EVAL_OPE_SHRINK rounds to the mean
 * of all; it is fitted on the same rounds. Values equal those of obp 0.5.7 (golden test).
 *
 * Effective sample size = (sum w)^2 / sum w^2 (Kish). Below `ess_min` the log says too little about
 * the policy and nothing but the diagnosis is given: an importance-weighted mean over a handful of
 * rounds looks as precise as any other. Intervals are mean -/+ 1.96 standard errors of the terms.
 *
 * Thread: any.
 */
#ifndef EVAL_OPE_H
#define EVAL_OPE_H

#include "base/base.h"
#include "base/buf.h"

enum {
    EVAL_OPE_ESTIMATES_MAX = 16,
    EVAL_OPE_SHRINK = 10,
    EVAL_OPE_ESS_MIN = 50,
    EVAL_OPE_CELLS_MAX = 1 << 24, /* actions x positions */
};

struct eval_ope_round {
    uint32_t action, position; /* from 0 */
    double reward;
    double propensity; /* 0 < e <= 1 */
};

struct eval_ope_log {
    const struct eval_ope_round *rounds;
    uint64_t count;
};

/* pi[action * positions + position]; of each position it adds up to 1. */
struct eval_ope_policy {
    const double *pi;
    uint32_t actions, positions;
};

struct eval_ope_estimate {
    const char *name;
    double value, low, high;
};

struct eval_ope_result {
    uint64_t rounds;
    double logged; /* mean reward of the log: the logging policy's own */
    double weight_sum, weight_max, ess, ess_min;
    bool refused;
    uint32_t estimate_count;
    struct eval_ope_estimate estimates[EVAL_OPE_ESTIMATES_MAX];
};

/* ess_min: 0 = EVAL_OPE_ESS_MIN. FR_INVALID: no rounds, a round outside of the policy, a
 * propensity outside of (0, 1], a policy that does not add up to 1 within 1 %. FR_MEMORY. */
FR_MUST_USE enum fr_status eval_ope_run(const struct eval_ope_log *log,
                                        const struct eval_ope_policy *policy, double ess_min,
                                        struct fr_error *error, struct eval_ope_result *out_result);
/* NULL when the result has no such estimate. */
const struct eval_ope_estimate *eval_ope_find(const struct eval_ope_result *result,
                                              const char *name);
void eval_ope_table(const struct eval_ope_result *result, struct base_buf *out); /* for people */
void eval_ope_json(const struct eval_ope_result *result, struct base_buf *out);

#endif
