/* SPDX-License-Identifier: Apache-2.0
 *
 * rank models: the life of the experts. Each is a model with a role, changed by journal records only:
 *   off     neither scored nor learnt
 *   shadow  scored and judged on sampled events, learns; weight 0 in every answer (a challenger)
 *   live    takes part in the answer
 * First-stage experts (model.h) score every candidate and are live at first. Second-stage experts
 * (clicks.h) see the RANK_WINDOW best ones and re-rank them when live: score += weight * (logit - mean
 * logit of the window), shown as "clicks"; ctr and mlp begin as shadows, gbt as off. A shadow of the
 * second stage is looked at on one sampled event in RANK_CLICKS_ONE_IN (all of the first
 * RANK_CLICKS_FIRST).
 *
 * Evidence for or against a role: NDCG@10 of an event's target with the model less without it,
 * judged before it is learnt, as an interval that is valid at every look (drift.h, alpha .01).
 *
 * Deferred learners are driven from outside: begin, work, end (fold/jobs.c by records, eval at once).
 *
 * Thread: R any; W the fold thread; work the one worker.
 */
#ifndef RANK_MODELS_H
#define RANK_MODELS_H

#include "base/buf.h"
#include "model/clicks.h"
#include "rank/rank.h"

enum {
    RANK_WINDOW = 32,
    RANK_CLICKS_ONE_IN = 64,
    RANK_CLICKS_FIRST = 2048,
    RANK_MODELS_MAX = MODEL_EXPERTS_MAX + MODEL_CLICK_EXPERTS_MAX,
};

enum rank_role { RANK_OFF, RANK_SHADOW, RANK_LIVE, RANK_ROLE_COUNT };
const char *rank_role_name(enum rank_role role); /* "off", "shadow", "live" */

struct rank_model {
    const char *name;
    enum rank_role role, previous_role;
    bool second_stage, deferred;
    bool can_reset, can_load; /* has layers; takes parameters from outside */
    uint32_t version;         /* of the parameters: publications and acts so far */

    uint64_t judged; /* events that it was looked at on */
    double hit10;    /* first stage: alone; second: alone among the best RANK_WINDOW */
    double gain, gain_low, gain_high; /* NDCG@10 with it less without it, always valid at .99 */
    double weight;                    /* second stage: of its logit */

    uint64_t examples; /* labelled ones that it predicted; second stage. Fading figures: */
    double logloss, ece, pcoc, auc;

    uint64_t steps;   /* of learning */
    uint32_t waiting; /* examples gathered, not learnt */
    bool running;     /* a job is under way */
    uint64_t jobs, refused;
    uint64_t started_position, published_position; /* of the last job */
    uint64_t learnt_position; /* examples up to here are in what is published */
};
/* R. All models, first stage first; gives how many. out NULL: only counts them. */
uint32_t rank_models(const struct rank *rank, struct rank_model *out, uint32_t count_max);
/* The model's number in that list, or -1. */
int rank_model_find(const struct rank *rank, struct fr_slice name);
const char *rank_model_name(const struct rank *rank, uint32_t model);

/* ---- acts ---------------------------------------------------------------------------------- */

enum rank_act_kind {
    RANK_ACT_ROLE = 1,    /* value: the role */
    RANK_ACT_ROLLBACK,    /* role and parameters of before the last act; twice is back again */
    RANK_ACT_RESET_LAYER, /* value: the layer */
    RANK_ACT_LOAD,        /* bytes: parameters */
    RANK_ACT_RATE,        /* factor: steps are multiplied by it from here on, 1/64 .. 64 */
    RANK_ACT_KIND_COUNT
};
const char *rank_act_name(enum rank_act_kind kind);

struct rank_act {
    enum rank_act_kind kind;
    struct fr_slice model;
    uint32_t value;
    float factor;
    struct fr_slice bytes;
};
/* R. Would it be taken? FR_NOT_FOUND: no such model; FR_UNSUPPORTED: not of this one; FR_INVALID,
 * FR_CORRUPT: its value or bytes, what and where. */
FR_MUST_USE enum fr_status rank_act_check(const struct rank *rank, const struct rank_act *act,
                                          struct fr_error *error);
/* W. No job of the model may be at work; one that is under way is void. Nothing changes on failure. */
FR_MUST_USE enum fr_status rank_act_apply(struct rank *rank, const struct rank_act *act,
                                          struct fr_error *error);
/* W, or at rest. The model's parameters as bytes that RANK_ACT_LOAD takes. */
FR_MUST_USE enum fr_status rank_model_save(const struct rank *rank, uint32_t model,
                                           struct base_buf *out, struct fr_error *error);

/* ---- deferred jobs; model: its number in rank_models() ---------------------------------------- */

bool rank_job_exists(const struct rank *rank, uint32_t model); /* it is a deferred learner */
bool rank_job_due(const struct rank *rank, uint32_t model);    /* W */
/* W. Is this the number of its next job, and none under way? */
bool rank_job_can_begin(const struct rank *rank, uint32_t model, uint64_t number);
bool rank_job_running(const struct rank *rank, uint32_t model); /* R. Begun, not ended */
bool rank_job_is_artefact(const struct rank *rank, uint32_t model);
uint64_t rank_job_number(const struct rank *rank, uint32_t model); /* R. Of the last one begun */
void rank_job_begin(struct rank *rank, uint32_t model, uint64_t position); /* W */
/* After loading a state in which the job was under way: its inputs are there again. */
void rank_job_resume(struct rank *rank, uint32_t model);
FR_MUST_USE enum fr_status rank_job_work(struct rank *rank, uint32_t model,
                                         const struct model_pace *pace, struct fr_error *error);
/* After work(): what the record of its publication carries. */
struct rank_job_result {
    uint64_t number, digest;
    struct fr_slice bytes; /* artefacts; borrowed until the next work() */
};
void rank_job_result(const struct rank *rank, uint32_t model, struct rank_job_result *out_result);
/* W. Installs; the job is over either way. FR_INVALID: another job's number; FR_CORRUPT: an exact
 * learner came to another digest than the record's; else what install() says. */
FR_MUST_USE enum fr_status rank_job_end(struct rank *rank, uint32_t model, uint64_t position,
                                        const struct rank_job_result *result,
                                        struct fr_error *error);
/* W. All that is due, at once, on this thread (eval, tools). */
void rank_jobs_now(struct rank *rank, uint64_t position);

#endif
