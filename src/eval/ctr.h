/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/ctr: progressive validation of a click model: every example is predicted, then learnt, and
 * the predictions of a stated part of the stream are scored. log loss   predictions clipped to 1e-6
 * .. 1 - 1e-6 AUC        by ranks, ties averaged RIG        1 - log loss / log loss of the running
 * base rate of the labels seen so far ECE        over 20 bins of equal width; PCOC = sum of
 * predictions / sum of labels blocks     log loss in 10 equal blocks of the scored part Thread: one
 * at a time.
 */
#ifndef EVAL_CTR_H
#define EVAL_CTR_H

#include "base/base.h"
#include "base/buf.h"
#include "model/ctr.h"

enum { EVAL_CTR_BLOCKS = 10 };

struct eval_ctr_options {
    uint64_t from, to; /* examples from <= i < to are scored; to = 0: to the end */
    uint64_t learn_to; /* examples from there on are predicted only; 0: all are learnt */
};

struct eval_ctr_result {
    uint64_t scored, positives;
    double log_loss, auc, rig, ece, pcoc;
    double block[EVAL_CTR_BLOCKS]; /* log loss */
};

/* Scores given predictions: p and labels (0 or 1), count of each; `prior` is the log loss of the
 * base rate (0: RIG is not given). FR_MEMORY. */
FR_MUST_USE enum fr_status eval_ctr_score(const float *p, const uint8_t *label, uint64_t count,
                                          double prior, struct eval_ctr_result *out_result);

/* Runs the stream through the model. `next` gives the next example, false at the end; what it
 * points to lives until the following call. `answered` may be NULL. */
struct eval_ctr_stream {
    bool (*next)(void *context, struct model_ctr_row *out_row);
    void (*answered)(void *context, const struct model_ctr_row *row,
                     const struct model_ctr_answer *answer);
    void *context;
};
FR_MUST_USE enum fr_status eval_ctr_run(const struct eval_ctr_options *options,
                                        struct model_ctr *ctr, struct eval_ctr_stream stream,
                                        struct eval_ctr_result *out_result);
/* One line for people. */
void eval_ctr_line(const struct eval_ctr_result *result, const char *name, struct base_buf *out);

#endif
