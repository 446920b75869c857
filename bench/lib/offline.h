/* SPDX-License-Identifier: Apache-2.0
 *
 * offline: what the leave-one-out and split benches share: full-ranking metrics, and a blend of
 * experts whose weights are tuned on validation cases only.
 *
 * A case is a history and its target; an expert gives one non-negative score an item. The blend is
 * log-linear: sum_e w_e log(s_e / sum(s_e) + 1e-4). Weights >= 0 are found by coordinate search on
 * nDCG@20 + HR@20 / 2 over cached candidates (the union of each expert's best OFFLINE_CANDIDATES
 * and the target). (Newton steps on the softmax loss were tried and rank worse: Diginetica P@20
 * .524 against .539.)
 */
#ifndef BENCH_LIB_OFFLINE_H
#define BENCH_LIB_OFFLINE_H

#include "base/base.h"

#define OFFLINE_EXPERTS_MAX 12
#define OFFLINE_CANDIDATES 100

struct offline_metrics {
    double hr10, ndcg10, hr20, mrr20, count;
};

/* rank = candidates above + half of the ties (quality rules: DESIGN, docs/QUALITY.md). Items with
 * seen[j] == stamp are no candidates. */
double offline_rank(const float *scores, uint32_t item_max, const uint32_t *seen, uint32_t stamp,
                    uint32_t target);
void offline_metrics_add(struct offline_metrics *metrics, double rank);
void offline_metrics_print(const char *label, const struct offline_metrics *metrics);

struct offline_blend;
struct offline_blend *offline_blend_new(uint32_t expert_count, uint32_t item_max);
void offline_blend_free(struct offline_blend *blend);
/* In place: raw scores -> the log features above. */
void offline_blend_feature(float *scores, uint32_t item_max, const uint32_t *seen, uint32_t stamp);
/* Remembers a validation case: features[e] are the expert's, after offline_blend_feature(). */
void offline_blend_case(struct offline_blend *blend, float *const *features, const uint32_t *seen,
                        uint32_t stamp, uint32_t target);
/* Gives that value. */
double offline_blend_tune(struct offline_blend *blend, float *weights);
/* out = sum_e w_e features[e]. */
void offline_blend_apply(const float *weights, float *const *features, uint32_t expert_count,
                         uint32_t item_max, float *out);

/* CPU seconds of this thread. */
double offline_cpu(void);

#endif
