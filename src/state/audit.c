/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrative acts: a ring of the newest. Act n lies in row 1 + (n - 1) % STATE_ACTS_KEPT; the first
 * word of the table's meta counts all there ever were, for the writer; readers look at the rows.
 * Thread: applying on the fold thread, reading from any.
 */
#include <string.h>

#include "state/audit.h"
#include "state/state_priv.h"

enum { READ_TRIES = 8 };

struct act_row {
    uint32_t version, spare;
    struct state_act act;
};
_Static_assert(sizeof(struct act_row) == STATE__ACT_BYTES, "as state_priv.h says");

/* Cut, zero-filled, never in the middle of a character. */
static void text_put(char *to, size_t room, struct fr_slice text)
{
    size_t bytes = FR_MIN(text.bytes, room - 1);
    while (bytes && bytes < text.bytes && (text.ptr[bytes] & 0xc0) == 0x80)
        bytes--;
    memset(to, 0, room);
    if (bytes)
        memcpy(to, text.ptr, bytes);
}

enum fr_status state_apply_act(struct state *state, struct fr_slice payload, uint64_t position,
                               int64_t received_us)
{
    struct schema_act said;
    FR_TRY(schema_act_decode(payload, &said));
    uint64_t *count = base_rows_meta(state->acts);
    uint32_t index = 1 + (uint32_t)(*count % STATE_ACTS_KEPT);
    if (index == base_rows_count(state->acts) && base_rows_add(state->acts) != index)
        return FR_FULL;
    struct state_act act = {.number = ++*count, .position = position, .time_us = received_us};
    text_put(act.actor, sizeof(act.actor), said.actor);
    text_put(act.act, sizeof(act.act), said.act);
    text_put(act.target, sizeof(act.target), said.target);
    text_put(act.detail, sizeof(act.detail), said.detail);
    struct act_row *row = base_rows_write(state->acts, index);
    base_row_change(&row->version);
    base_rows_put(&row->act, &act, sizeof(act));
    base_row_done(&row->version);
    return FR_OK;
}

static bool row_read(const struct state *state, uint32_t index, struct state_act *out)
{
    if (index == 0 || index >= base_rows_count(state->acts))
        return false;
    const struct act_row *row = base_rows_at(state->acts, index);
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t began = base_row_read_begin(&row->version);
        base_rows_copy(out, &row->act, sizeof(*out));
        if (base_row_read_ok(&row->version, began))
            return out->number != 0;
    }
    return false;
}

uint64_t state_act_count(const struct state *state)
{
    struct state_act act;
    uint32_t rows = base_rows_count(state->acts);
    uint64_t most = 0;
    if (rows <= STATE_ACTS_KEPT) /* not gone round yet: numbers are indices */
        return rows - 1;
    for (uint32_t i = 1; i < rows; i++)
        if (row_read(state, i, &act))
            most = FR_MAX(most, act.number);
    return most;
}

bool state_act_get(const struct state *state, uint64_t number, struct state_act *out_act)
{
    struct state_act act;
    if (number == 0 || !row_read(state, 1 + (uint32_t)((number - 1) % STATE_ACTS_KEPT), &act) ||
        act.number != number)
        return false;
    *out_act = act;
    return true;
}
