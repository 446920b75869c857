/* SPDX-License-Identifier: Apache-2.0
 *
 * calibration: makes probabilities mean what they say. Predictions fall into 40 bins of their logit
 * (-10 .. 10); each keeps the decayed sums of weight, of labels and of predictions. Every
 * MODEL_CALIBRATION_PERIOD examples the bins' observed rates are pooled until they rise (pool
 * adjacent violators; Ayer 1955, Zadrozny and Elkan 2002), each shrunk to the predicted rate by
 * `prior` examples, so that a bin seldom seen changes nothing; between the bins' mean logits the
 * correction of the logit is interpolated. Segments are rows of one table, each with its own bins.
 *
 * ECE = sum over bins of share * |observed - predicted|; PCOC = sum predicted / sum observed.
 * Thread: apply any (words), learn the writer.
 */
#ifndef MODEL_CALIBRATION_H
#define MODEL_CALIBRATION_H

#include "base/base.h"
#include "base/rows.h"

enum { MODEL_CALIBRATION_BINS = 40, MODEL_CALIBRATION_PERIOD = 256 };

struct model_calibration;

struct model_calibration_options {
    const char *name;     /* of the table; static */
    uint32_t segment_max; /* segments are 0 .. segment_max - 1 */
    float half_life;      /* examples of the segment */
    float prior;          /* examples that a bin's correction is shrunk by */
};

void model_calibration_defaults(struct model_calibration_options *out_options);
FR_MUST_USE enum fr_status model_calibration_new(const struct model_calibration_options *options,
                                                 struct fr_error *error,
                                                 struct model_calibration **out_calibration);
void model_calibration_free(struct model_calibration *calibration);
/* The table, to be saved and hashed. */
struct base_rows *model_calibration_table(struct model_calibration *calibration);

/* The corrected logit; never decreasing in the logit. */
float model_calibration_apply(const struct model_calibration *calibration, uint32_t segment,
                              float logit);
/* An example whose uncorrected logit this was. */
void model_calibration_learn(struct model_calibration *calibration, uint32_t segment, float logit,
                             float label, float weight);

struct model_calibration_stats {
    double weight, ece, pcoc; /* of the uncorrected predictions, decayed */
};
void model_calibration_stats_get(const struct model_calibration *calibration, uint32_t segment,
                                 struct model_calibration_stats *out_stats);

#endif
