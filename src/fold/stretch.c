/* SPDX-License-Identifier: Apache-2.0
 *
 * Applying a stretch of records: events are decoded a few places ahead and what they will touch is asked
 * for from memory meanwhile (state/ahead.c), so that counting seldom waits for it. Live units, import and
 * replay go this way alike. The state is the same whatever the stretches are.
 * Thread: the fold stage.
 */
#include <sched.h>

#include "fold/fold_priv.h"
#include "state/ahead.h"

/* What is known of a record that will be applied soon. */
struct fold__soon {
    struct schema_event event;
    struct state_ahead ahead;
    bool is_event;
};

enum { DEPTH = STATE_AHEAD_STEPS, GIVE_WAY_EVERY = 8 };

static void look_at(const struct fold *fold, const struct journal_record *record,
                    struct fold__soon *soon)
{
    soon->is_event = record->kind == SCHEMA_KIND_EVENT &&
                     schema_event_decode(record->payload, &soon->event) == FR_OK;
    if (soon->is_event)
        state_ahead_begin(fold->options.state, &soon->event, &soon->ahead);
}

void fold__apply_stretch(struct fold *fold, const struct journal_record *records, uint32_t count,
                         bool give_way)
{
    struct fold__soon soon[DEPTH];
    for (uint32_t i = 0; i < count + DEPTH; i++) {
        if (i >= DEPTH) {
            const struct fold__soon *now = &soon[i % DEPTH];
            if (give_way && i % GIVE_WAY_EVERY == 0)
                sched_yield();
            fold__apply_record(fold, &records[i - DEPTH], now->is_event ? &now->event : NULL);
        }
        if (i < count)
            look_at(fold, &records[i], &soon[i % DEPTH]);
        uint32_t first = i >= DEPTH ? i - DEPTH + 1 : 0;
        for (uint32_t j = first; j < FR_MIN(i, count); j++)
            if (soon[j % DEPTH].is_event)
                state_ahead_step(fold->options.state, &soon[j % DEPTH].ahead);
    }
}
