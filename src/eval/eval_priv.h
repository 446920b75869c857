/* SPDX-License-Identifier: Apache-2.0
 *
 * eval, inside: a running evaluation.
 */
#ifndef EVAL_EVAL_PRIV_H
#define EVAL_EVAL_PRIV_H

#include "eval/eval.h"
#include "rank/rank.h"
#include "state/state.h"

enum { EVAL_COLUMNS = EVAL_EXPERTS_MAX + 2, EVAL_PREFIX_MAX = 64 };

struct eval_kept {       /* an event that waits for the end of the stream */
    uint32_t user, item; /* of eval->names */
    int64_t time_us;
    double value;
    bool has_value;
    uint8_t type;
};

struct eval {
    struct eval_options options;
    struct state_options tables;
    struct schema_types types;
    struct state *state, *names;
    struct rank *rank;
    float *ranks[EVAL_COLUMNS]; /* blend, popularity, experts; one entry a scored event */
    size_t scored, scored_max;
    struct eval_kept *kept;
    size_t kept_count, kept_max;
    uint64_t events, unknown_target, outside, refused, queries;
    double event_us, query_us, cpu_started_us, clock_us;
    const char *expert_name[EVAL_EXPERTS_MAX];
    uint32_t expert_count;
    uint32_t k[EVAL_K_MAX], k_count;
    uint64_t session; /* of the running test session */
    uint32_t prefix[EVAL_PREFIX_MAX], prefix_count;
    struct eval_metrics split; /* sums, then means */
};

/* Processor time of this thread. */
double eval__cpu_now_us(void);
/* New, empty state and rank in the place of those there are. */
enum fr_status eval__learners_open(struct eval *eval, struct fr_error *error);
/* Learns one event as the fold does; `count`: its prediction is scored. */
enum fr_status eval__learn(struct eval *eval, const struct schema_event *event, bool count);
/* One more judged request: the rank by the blend, by popularity, by each expert; nothing when it was
 * not scored (the user has seen the target). */
enum fr_status eval__scored_add(struct eval *eval, const struct rank_outcome *outcome);
struct schema_event eval__kept_event(const struct eval *eval, const struct eval_kept *kept);
/* refit.c: the blocks, each by learners made anew. */
enum fr_status eval__refit_finish(struct eval *eval, struct fr_error *error);
/* clicks_trees.c: boosted trees over `inputs` numbers an example, learnt as it goes. Errors of boosting
 * are those of model_gbt_train(). Score: a logit, 0 before the first job. */
struct eval__trees;
enum fr_status eval__trees_new(uint32_t inputs, struct fr_error *error,
                               struct eval__trees **out_trees);
void eval__trees_free(struct eval__trees *trees);
float eval__trees_score(const struct eval__trees *trees, const float *inputs);
enum fr_status eval__trees_learn(struct eval__trees *trees, const float *inputs, float label,
                                 struct fr_error *error);
/* split.c: answers every user of the test part. */
enum fr_status eval__split_finish(struct eval *eval);

#endif
