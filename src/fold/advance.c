/* SPDX-License-Identifier: Apache-2.0
 *
 * Going on from a state that was recovered at an earlier position: answers of many positions are
 * rebuilt in their order, and each record is read and applied once.
 * Thread: the one that opened the fold; there are no others when it is read only.
 */
#include <inttypes.h>

#include "fold/fold_priv.h"

enum fr_status fold_advance(struct fold *fold, uint64_t position, struct fr_error *error)
{
    uint64_t now = fold->row->position;
    FR_ASSERT(fold->options.read_only);
    if (position == now)
        return FR_OK;
    if (position < now)
        return base_fail(error, FR_INVALID, "fold",
                         "the state is at position %" PRIu64 " and cannot go back to %" PRIu64, now,
                         position);
    if (position > journal_durable(fold->journal))
        return base_fail(error, FR_NOT_FOUND, "fold",
                         "position %" PRIu64 " is asked for but the journal ends at %" PRIu64,
                         position, journal_durable(fold->journal));
    fold__apply_begin(fold, position);
    enum fr_status status = fold__replay(fold, position, NULL, error);
    fold__apply_publish(fold, fold->row->position);
    return fold->row->position == position ? FR_OK : status;
}
