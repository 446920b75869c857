/* SPDX-License-Identifier: Apache-2.0
 *
 * state, ahead of an event's turn: memory that folding it will touch is asked for (ahead.c).
 * Thread: writer.
 */
#ifndef STATE_AHEAD_H
#define STATE_AHEAD_H

#include "state/state.h"

/* W. Asks memory ahead for what folding an event will touch: begin, then a step for each of the events
 * before it (ahead.c). Changes nothing. */
enum { STATE_AHEAD_VISITS = 50, STATE_AHEAD_STEPS = 12 };
struct state_ahead {
    uint64_t user_hash, item_hash;
    uint32_t user, item, pairs;
    uint32_t step, chunk, in_chunk;
    uint32_t visits, heads, entries; /* how far the three stages are */
    uint32_t visited[STATE_AHEAD_VISITS], refs[STATE_AHEAD_VISITS];
};
void state_ahead_begin(const struct state *state, const struct schema_event *event,
                       struct state_ahead *out_ahead);
void state_ahead_step(const struct state *state, struct state_ahead *ahead);

#endif
