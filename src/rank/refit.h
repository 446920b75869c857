/* SPDX-License-Identifier: Apache-2.0
 *
 * rank refit: a second-stage model learnt anew from the journal, several passes over every example
 * that the live one learnt from once, and compared with it before it takes its place. Whoever asks
 * folds the journal again into a rank of his own (freshet models refit); the live model's predictions
 * are those it made there, each before it learnt the example; the new one learns the first nine
 * tenths and predicts the last.
 *
 * Thread: the one that folds.
 */
#ifndef RANK_REFIT_H
#define RANK_REFIT_H

#include "base/buf.h"
#include "rank/models.h"

struct rank_refit;
enum { RANK_REFIT_EXAMPLES_LEAST = 1000 };

struct rank_refit_result {
    uint64_t examples, held_out;
    double logloss_live, logloss_new; /* over those held out */
    double z; /* mean of the differences by its standard error: above 2 the new one is better */
};
/* Notes what model `model` of `rank` learns from here on, the newest examples_max of it. The rank
 * outlives it. FR_UNSUPPORTED: the model takes no parameters. */
FR_MUST_USE enum fr_status rank_refit_new(struct rank *rank, uint32_t model, uint32_t examples_max,
                                          struct fr_error *error, struct rank_refit **out_refit);
void rank_refit_free(struct rank_refit *refit);
/* Learns, compares, learns the rest; appends the parameters. Of fewer than RANK_REFIT_EXAMPLES_LEAST
 * examples nothing is learnt or appended: none is held out. */
FR_MUST_USE enum fr_status rank_refit_run(struct rank_refit *refit, uint32_t passes,
                                          struct rank_refit_result *out_result,
                                          struct base_buf *out_parameters, struct fr_error *error);

#endif
