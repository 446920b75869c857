/* SPDX-License-Identifier: Apache-2.0
 *
 * eval: protocols and metrics. Runs streams of events through the very same state_resolve(),
 * rank_learn() and state_apply() that the fold calls, and counts.
 *
 * Metrics (fixed once): the rank r of the target is the number of candidates with a larger score
 * plus half of the ties; a target outside the candidates is a miss. HR@K = [r < K]; NDCG@K =
 * [r < K] / log2(r + 2); MRR@K = [r < K] / (r + 1). An unknown target is a miss; an unknown user is
 * answered and counted, never skipped.
 *
 * Thread: one at a time.
 */
#ifndef EVAL_EVAL_H
#define EVAL_EVAL_H

#include "base/base.h"
#include "base/buf.h"
#include "base/hash.h"
#include "rank/health.h"
#include "schema/schema.h"

enum { EVAL_K_MAX = 8, EVAL_BLOCKS_MAX = 100, EVAL_EXPERTS_MAX = 32 };

enum eval_protocol {
    EVAL_PREQUENTIAL,   /* test, then train, on every event in order */
    EVAL_LEAVE_ONE_OUT, /* each user's last item is the test, the one before it the validation */
    EVAL_SPLIT,         /* train on one file, rank all items for the users of the other */
    EVAL_SESSIONS, /* test sessions: every prefix predicts its next item; learns from train only */
    EVAL_REFIT,    /* the batch line: learners made anew at the start of each block, then frozen */
};

struct eval_options {
    enum eval_protocol protocol;
    bool session_unit; /* histories by session: seen items and the unscored first event */
    bool repeats;      /* --repeats allow */
    bool score_first;  /* score the first event of a unit too */
    uint64_t skip;     /* events whose prediction is not counted */
    uint32_t k[EVAL_K_MAX];
    uint32_t k_count;       /* 0 = 10, 20 */
    uint32_t blocks;        /* 0 = 10 */
    bool learn_validation;  /* leave-one-out: the validation event is learnt too ("online") */
    bool validation_target; /* leave-one-out: predict the validation item instead (for tuning) */
    const char *experts;    /* ablation; NULL = all */
    bool no_network;
    bool remedies;           /* drift-actions: alarms are acted upon */
    uint32_t candidates_max; /* 0 = default */
    uint32_t history_max;    /* visits that scoring looks at; 0 = default */
    uint64_t seed;
    const struct state_options
        *tables;          /* how many rows; borrowed for the call; NULL = state's defaults */
    uint64_t event_count; /* expected, for blocks; 0 = blocks of the events seen */
    void (*progress)(void *context, uint64_t events, uint64_t scored);
    void *progress_context;
};

struct eval_metrics {
    uint64_t scored;
    double hr[EVAL_K_MAX], mrr[EVAL_K_MAX], ndcg[EVAL_K_MAX];
};
struct eval_expert {
    const char *name;
    struct eval_metrics metrics;
    double curve[EVAL_BLOCKS_MAX]; /* HR at the first k, by block */
};
struct eval_result {
    enum eval_protocol protocol;
    uint32_t k[EVAL_K_MAX], k_count;
    uint64_t events, scored, unknown_target, outside; /* of the scored: never seen, no candidate */
    uint64_t refused; /* not learnt: first events of ids that nearly full tables did not admit */
    struct eval_metrics blend, popularity;
    double popularity_curve[EVAL_BLOCKS_MAX]; /* as an expert's */
    struct eval_expert experts[EVAL_EXPERTS_MAX];
    uint32_t expert_count;
    struct eval_metrics blocks[EVAL_BLOCKS_MAX];
    uint32_t block_count;
    double cpu_us_per_event, cpu_us_per_query, cpu_seconds;
    double rss_mb;
    struct base_hash128 hash;
    struct rank_alarm alarms[RANK_ALARMS_KEPT]; /* newest first */
    uint32_t alarm_count;
    uint64_t alarms_ever, remedies_ever;
};

struct eval;
FR_MUST_USE enum fr_status eval_new(const struct eval_options *options, struct fr_error *error,
                                    struct eval **out_eval);
void eval_free(struct eval *eval);
/* An event of the stream (prequential), or of the train part (the others). In order. Borrowed. */
FR_MUST_USE enum fr_status eval_event(struct eval *eval, const struct schema_event *event);
/* A catalogue entry, before the events that should know it. */
FR_MUST_USE enum fr_status eval_item(struct eval *eval, const struct schema_item *item);
/* An event of the test part (split, sessions), after the train part. */
FR_MUST_USE enum fr_status eval_test_event(struct eval *eval, const struct schema_event *event);
/* Ends the stream: leave-one-out and split score now. */
FR_MUST_USE enum fr_status eval_finish(struct eval *eval, struct fr_error *error,
                                       struct eval_result *out_result);
void eval_result_table(const struct eval_result *result, struct base_buf *out); /* for people */
void eval_result_json(const struct eval_result *result, struct base_buf *out);
const char *eval_protocol_name(enum eval_protocol protocol);

#endif
