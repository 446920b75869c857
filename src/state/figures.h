/* SPDX-License-Identifier: Apache-2.0
 *
 * state, what it holds and takes: for accounting, /v1/stats and freshet memory. Thread: any (R).
 */
#ifndef STATE_FIGURES_H
#define STATE_FIGURES_H

#include "state/state.h"

/* What one named part of the state takes, and may take at most; the neighbour rows of all lengths are
 * one part, a table with its index another. R. Gives how many. */
struct state_memory {
    const char *name;        /* static */
    uint64_t rows, rows_max; /* 0, 0: no rows to speak of */
    uint64_t use, budget;    /* bytes */
};
uint32_t state_memory(const struct state *state, struct state_memory out[STATE_TABLES_MAX]);

struct state_stats {
    uint64_t events, users, items, contexts, tokens;
    uint64_t refused_items, refused_users, refused_contexts, dedupe_ids;
    uint64_t expired_users, expired_items, expired_contexts, expired_tokens; /* ever */
    uint64_t bytes, bytes_items, bytes_users, bytes_history, bytes_pairs, bytes_text, bytes_dedupe,
        bytes_index;
    int64_t clock_us;
};
void state_stats_get(const struct state *state, struct state_stats *out_stats); /* R */

#endif
