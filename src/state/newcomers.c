/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission by frequency. While a table of ids has room, every new id gets a row. Once it (or the
 * text heap) is 7/8 full, an id that only an event names gets one when it comes for the second time
 * within a window: a stream of ids that never return cannot take the last eighth, which stays for
 * those who do, and what is in the tables stays as it is.
 *
 * The window is a table of sets of sixteen 32-bit tags of ids seen once and not admitted, newest
 * first; the oldest of a set gives way. A wrong admission (another id with the same tag in the set)
 * has a chance of 16 / 2^32. It is state like any other: saved, hashed, replayed.
 * Thread: writer.
 */
#include "state/state_priv.h"

enum { WAYS = 16, PART_FULL = 8 };
struct newcomer_row { /* 64 bytes */
    uint32_t tags[WAYS];
};

enum fr_status state__newcomers_new(uint32_t count_max, struct fr_error *error,
                                    struct base_rows **out_rows)
{
    struct base_rows_options options = {.name = "newcomers",
                                        .row_bytes = sizeof(struct newcomer_row),
                                        .count_max = count_max + 1};
    return base_rows_new(&options, error, out_rows);
}

/* The rows come with the first need. */
static bool fill(struct base_rows *rows)
{
    while (base_rows_count(rows) < base_rows_count_max(rows))
        if (!base_rows_add(rows))
            return false;
    return base_rows_count(rows) > 1;
}

/* Was this hash here before? If not, it is from now on. */
static bool returns(struct base_rows *rows, uint64_t hash)
{
    if (!fill(rows))
        return false;
    uint32_t sets = base_rows_count(rows) - 1;
    uint32_t set = 1 + (uint32_t)((hash >> 32) * sets >> 32), tag = (uint32_t)hash | 1u, w = 0;
    struct newcomer_row *row = base_rows_write(rows, set);
    while (w < WAYS - 1 && row->tags[w] != tag)
        w++;
    bool known = row->tags[w] == tag;
    for (; w > 0; w--)
        row->tags[w] = row->tags[w - 1];
    row->tags[0] = tag;
    return known;
}

static bool has_room(const struct base_rows *rows)
{
    uint64_t count = base_rows_count(rows), most = base_rows_count_max(rows);
    return count * PART_FULL < most * (PART_FULL - 1);
}

bool state__newcomer_admit(struct state *state, const struct base_rows *rows, uint64_t hash)
{
    if (has_room(rows) && has_room(state->text))
        return true;
    return returns(state->newcomers, hash);
}
