/* SPDX-License-Identifier: Apache-2.0
 *
 * state/audit: who did what to what. The newest administrative acts (the journal has all), texts cut to
 * what a row holds. W and R as in state.h.
 */
#ifndef STATE_AUDIT_H
#define STATE_AUDIT_H

#include "state/state.h"

enum { STATE_ACTS_KEPT = 4096 };
struct state_act {
    uint64_t number; /* 1, 2, ... */
    uint64_t position;
    int64_t time_us;
    char actor[32], act[32], target[96], detail[128];
};
/* W. A record's payload (schema_act); FR_CORRUPT. */
FR_MUST_USE enum fr_status state_apply_act(struct state *state, struct fr_slice payload,
                                           uint64_t position, int64_t received_us);
uint64_t state_act_count(const struct state *state); /* R. ever */
/* R. Act `number`; false: not there, or not kept any more. */
bool state_act_get(const struct state *state, uint64_t number, struct state_act *out_act);

#endif
