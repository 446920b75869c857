/* SPDX-License-Identifier: Apache-2.0
 *
 * gbt: online gradient boosting. Examples go into a reservoir (a row table, part of the state); a
 * deferred job hands the reservoir and the last artefact to libxgboost, which goes on boosting with
 * one thread, and gives a new artefact (JSON bytes). Floats of a library are not equal across
 * machines, so an artefact is a journalled thing outside the state hash; prediction is by
 * model/trees.h from its bytes. Cost of a job: about 8 us a row and round at 30 features.
 *
 * Old trees: when the cap is reached the oldest `rounds` are dropped, the leaves of the rest are
 * refreshed on the reservoir, and `rounds` new ones are grown.
 *
 * Thread: the reservoir's writer is the fold; model_gbt_train() runs on a worker over a copy.
 */
#ifndef MODEL_GBT_H
#define MODEL_GBT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/rows.h"

struct model_gbt_options {
    uint32_t features;
    uint32_t rows;      /* of the reservoir */
    uint32_t rounds;    /* trees a job */
    uint32_t trees_max; /* cap */
    uint32_t depth;
    float rate; /* shrinkage */
    float l2;
    float recent; /* share of the reservoir that turns over with the newest rows: see add */
    uint64_t seed;
};

void model_gbt_defaults(struct model_gbt_options *out_options);
/* Those of the click expert, which begins a job after so many new rows. */
enum { MODEL_GBT_JOB_ROWS = 2048 };
void model_gbt_click_options(struct model_gbt_options *out_options);

/* The reservoir: row n of the stream takes slot n while there is room, later a keyed draw decides:
 * with probability max(rows / n, recent) it overwrites a random slot, so that old rows fade. */
struct model_gbt;
FR_MUST_USE enum fr_status model_gbt_new(const struct model_gbt_options *options,
                                         struct fr_error *error, struct model_gbt **out_gbt);
void model_gbt_free(struct model_gbt *gbt);
struct base_rows *model_gbt_table(struct model_gbt *gbt);
/* Writer. NaN is a missing feature; label 0 or 1. */
void model_gbt_add(struct model_gbt *gbt, const float *features, float label, float weight);
uint32_t model_gbt_row_count(const struct model_gbt *gbt);
uint64_t model_gbt_seen(const struct model_gbt *gbt); /* rows offered so far; R */
/* Writer. Copies the reservoir: features (row_count x features), labels, weights. */
void model_gbt_copy(const struct model_gbt *gbt, float *features, float *labels, float *weights);

struct model_gbt_data {
    const float *features, *labels, *weights; /* weights may be NULL */
    uint32_t row_count;
};
/* Goes on from `before` (empty: begins anew). FR_CORRUPT when the library cannot read it,
 * FR_INVALID for its other complaints, with its message. */
FR_MUST_USE enum fr_status model_gbt_train(const struct model_gbt_options *options,
                                           const struct model_gbt_data *data,
                                           struct fr_slice before, struct fr_error *error,
                                           struct base_buf *out_artefact);
/* The library's own margins, what the kernel is tested against. */
FR_MUST_USE enum fr_status model_gbt_library_margins(struct fr_slice artefact,
                                                     const struct model_gbt_data *data,
                                                     uint32_t features, struct fr_error *error,
                                                     float *out_margin);

#endif
