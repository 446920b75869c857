/* SPDX-License-Identifier: Apache-2.0
 *
 * rank/health: are the blend and its experts still as good as they were, and what is done when not.
 * Fed by every sampled event that was judged and learnt; all of it lies in row tables, follows from
 * the journal alone and is repeated by a replay.
 *
 *   figures   per expert and segment (all, length of history, device, region): hit rate at 10, log
 *             loss and AUC among the candidates over the newest events with intervals that hold at
 *             every look, ECE and PCOC of the first candidate's probability (model/drift.h)
 *   inputs    PSI and KL of every feature at the target, of the blend's confidence, of history
 *             length and number of candidates, window against reference
 *   alarms    ADWIN on hits and log loss of blend and experts, on the blend's hits on the 50
 *             candidates of the largest long-term popularity ("established"), on the hits that the
 *             network brings ("network"); PSI > .25; a twin of the blend that is ahead ("twin")
 *   remedy    what an alarm asks for. It is not carried out at once: the fold writes it to the
 *             journal, and it acts where that record stands. When the blend's hits or
 *             loss, or its hits on established items, got worse, a twin of the blend with steps four times as long
 *             begins to learn beside it ("rate"). It changes no answer. When its loss is lower for
 *             certain, at the 256th event of the trial at the earliest, its weights take the blend's
 *             place ("switch"); when it is higher for certain, or after 2,000 events, the trial
 *             ends. (To lengthen the blend's own steps at the alarm made things worse where
 *             nothing but the kind of users changes: Toys, 9 % of HR@10.) When established items
 *             are found at three fifths, long-term counts are aged and the encoder's steps are long
 *             again (new items alone do not make old counts wrong: measured); the network's last
 *             layer begins anew when it does more harm than good. Hysteresis: 256 events or more
 *             before ADWIN's cut; none of the same kind for the next 2,000 judged events, none in
 *             the first 2,000
 *
 * Cost: hits and detectors at every sampled event, all else at one in 16; about 1 us a sampled event.
 * Thread: reading from any (R); the rest on the fold thread (W).
 */
#ifndef RANK_HEALTH_H
#define RANK_HEALTH_H

#include "model/drift.h"
#include "rank/rank.h"

enum { RANK_ALARMS_KEPT = 64, RANK_FULL_ONE_IN = 16 };

enum rank_signal { RANK_SIGNAL_HIT, RANK_SIGNAL_LOSS, RANK_SIGNAL_INPUT };
const char *rank_signal_name(enum rank_signal signal); /* "hit", "logloss", "input" */

/* Bits of what a remedy does. */
enum rank_action {
    RANK_ACTION_RATE = 1,    /* a twin of the blend with longer steps begins to learn beside it */
    RANK_ACTION_NETWORK = 2, /* the network's last layer and its moments to zero */
    RANK_ACTION_AGE = 4,     /* long-term counts weigh a sixteenth: state_age_counts() */
    RANK_ACTION_SWITCH =
        8, /* the twin's weights take the blend's place. Both this and the one above:
                                the experts' steps are as long as at first (quicken()) */
    RANK_ACTION_COUNT = 4
};
const char *rank_action_name(enum rank_action action); /* "rate", "network", "age", "switch" */

struct rank_alarm {
    uint32_t number; /* from 1 */
    uint32_t time_s; /* fold clock */
    uint64_t position;
    enum rank_signal signal;
    const char *name;    /* "blend", an expert, or an input */
    float before, after; /* means; of an input: KL, PSI */
    float excess;        /* difference, or PSI, over what chance or the rule allows */
    uint32_t actions;    /* bits that were carried out; 0: none */
    uint64_t acted;      /* position of the record that carried them out */
};
/* R. Newest first; gives how many. */
uint32_t rank_alarms(const struct rank *rank, struct rank_alarm *out, uint32_t count_max);
/* R. Ever raised, ever acted on. */
void rank_alarm_counts(const struct rank *rank, uint64_t *out_alarms, uint64_t *out_remedies);

struct rank_health {
    const char *name;    /* as rank_figures() */
    const char *segment; /* "all", "history", "device", "region" */
    uint32_t value;      /* history: class 0 .. 3; device, region: context value id */
    struct model_interval hit, logloss, auc; /* logloss clipped at 12 nats; 95 %. By the sampled
                                                rule above */
    double ece, pcoc;
};
enum { RANK_HEALTH_MAX = 17 * (2 + MODEL_EXPERTS_MAX) };
/* R. Those with something to say, segment by segment, "all" first. Gives how many. */
uint32_t rank_health(const struct rank *rank, struct rank_health *out, uint32_t count_max);

struct rank_input {
    const char *name;
    float psi, kl; /* of the last whole window */
};
enum { RANK_INPUTS_MAX = MODEL_FEATURES_MAX + 3 };
uint32_t rank_inputs(const struct rank *rank, struct rank_input *out, uint32_t count_max);

/* ---- remedies ------------------------------------------------------------------------------- */

struct rank_remedy {
    uint32_t alarm;   /* its number */
    uint32_t actions; /* bits */
    uint32_t signal;  /* why: enum rank_signal of the alarm, and its means */
    double before, after;
};
/* W. Is one wanted and not yet carried out? */
bool rank_remedy_wanted(const struct rank *rank, struct rank_remedy *out_remedy);
/* W. Carries it out. A remedy for an alarm that has had one changes nothing. */
void rank_remedy_apply(struct rank *rank, const struct rank_remedy *remedy, uint64_t position);
/* What the journal's record carries. FR_INVALID: not what encode wrote. */
void rank_remedy_encode(const struct rank_remedy *remedy, struct base_buf *out);
FR_MUST_USE enum fr_status rank_remedy_decode(struct fr_slice bytes,
                                              struct rank_remedy *out_remedy);

#endif
