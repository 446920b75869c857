/* SPDX-License-Identifier: Apache-2.0
 *
 * fold models: records about models (SCHEMA_KIND_MODEL), and the jobs of deferred learners that
 * follow from them.
 *
 * A learner gathers examples in row tables while the fold goes on. When it is due the fold stage adds
 * a START record; at its position the inputs are frozen and the worker begins. When it is done a
 * PUBLISH record is added; at its position the result is installed. So a replay freezes and installs
 * at the same positions and comes to the same state: an exact learner's result is computed again (and
 * must have the digest of the record), an artefact's bytes are in the record.
 *
 *   u8 what; string model; then
 *   START     u64 number of the job
 *   PUBLISH   u64 number; u64 digest (exact learners); string bytes (artefacts)
 *   ACT       u8 enum rank_act_kind; u32 value; u32 bits of the factor; string bytes; string why
 *
 * Thread: encode any; the worker "fr-learn" works on one job at a time, a quarter of a core at most.
 */
#ifndef FOLD_MODELS_H
#define FOLD_MODELS_H

#include "base/buf.h"
#include "rank/models.h"

enum fold_model_what { FOLD_MODEL_START = 1, FOLD_MODEL_PUBLISH, FOLD_MODEL_ACT };

struct fold_model_record {
    enum fold_model_what what;
    struct fr_slice model;
    struct rank_job_result job; /* START: its number alone */
    struct rank_act act;
    struct fr_slice why; /* "command", "evidence", "drift: ..."; for people */
};
/* Appends the payload. */
void fold_model_encode(const struct fold_model_record *record, struct base_buf *out);
/* Borrows from `bytes`. FR_CORRUPT: not what encode wrote. */
FR_MUST_USE enum fr_status fold_model_decode(struct fr_slice bytes,
                                             struct fold_model_record *out_record);

#endif
