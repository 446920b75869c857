/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories: a user's visits in chunks of seven, newest chunk first. The newest history_max visits
 * are kept whole; what falls out stays in a chain of bare items, so that "seen" remains exact (up
 * to OLDER_MAX items more). A user's version guards the chain: readers copy and check.
 * Sessions are tags on visits; nothing else is kept about them.
 * Thread: writer; reading from any.
 */
#include <string.h>

#include "state/state_priv.h"

static const struct chunk_row *chunk(const struct state *state, uint32_t i)
{
    return base_rows_at(state->chunks, i);
}

enum { META_FREE, META_FREE_COUNT, ROOM_PART = 64 };

/* Before the last ones are gone users expire, or those who act would have to give up their own past. */
static uint32_t chunk_take(struct state *state)
{
    uint64_t *meta = base_rows_meta(state->chunks);
    uint64_t most = base_rows_count_max(state->chunks);
    uint64_t left = most - base_rows_count(state->chunks) + meta[META_FREE_COUNT];
    if (left <= most / ROOM_PART)
        state__expire_want(state, STATE_KIND_USER);
    uint32_t i = (uint32_t)meta[META_FREE];
    if (!i)
        return base_rows_add(state->chunks);
    meta[META_FREE] = chunk(state, i)->older;
    meta[META_FREE_COUNT]--;
    return i;
}

static uint32_t older_take(struct state *state)
{
    uint64_t *meta = base_rows_meta(state->older);
    uint32_t i = (uint32_t)meta[0];
    if (!i)
        return base_rows_add(state->older);
    struct older_row *row = base_rows_write(state->older, i);
    meta[0] = row->next;
    FR_STORE(row->next, 0);
    return i;
}

static void older_add(struct state *state, struct user_row *user, const struct chunk_row *from)
{
    for (uint32_t v = 0; v < CHUNK_VISITS; v++) {
        if (!from->visits[v].item)
            continue; /* expired */
        if (user->older_count >= OLDER_MAX)
            return;
        const struct older_row *first = base_rows_at(state->older, user->older);
        if (!user->older || first->count == OLDER_ITEMS) {
            uint32_t i = older_take(state);
            if (!i)
                return;
            struct older_row *row = base_rows_write(state->older, i);
            FR_STORE(row->next, user->older);
            FR_STORE(user->older, i);
        }
        struct older_row *row = base_rows_write(state->older, user->older);
        FR_STORE(row->items[row->count], from->visits[v].item);
        FR_STORE(row->count, row->count + 1);
        FR_STORE(user->older_count, user->older_count + 1);
    }
}

/* The user's oldest chunk, emptied, for use as the newest. */
static uint32_t chunk_reuse(struct state *state, struct user_row *user)
{
    uint32_t i = user->oldest;
    if (!i || i == user->newest)
        return 0;
    const struct chunk_row *row = chunk(state, i);
    older_add(state, user, row);
    struct chunk_row *newer = base_rows_write(state->chunks, row->newer);
    FR_STORE(newer->older, 0);
    FR_STORE(user->oldest, row->newer);
    FR_STORE(user->visit_count, user->visit_count - CHUNK_VISITS);
    return i;
}

static bool chunk_begin(struct state *state, struct user_row *user)
{
    uint32_t i = 0;
    if (user->visit_count + CHUNK_VISITS > state->options.history_max)
        i = chunk_reuse(state, user);
    if (!i)
        i = chunk_take(state);
    if (!i)
        i = chunk_reuse(state, user);
    if (!i)
        return false;
    struct chunk_row *row = base_rows_write(state->chunks, i);
    struct chunk_row empty = {.older = user->newest};
    base_rows_put(row, &empty, sizeof(empty));
    if (user->newest) {
        struct chunk_row *before = base_rows_write(state->chunks, user->newest);
        FR_STORE(before->newer, i);
    } else {
        FR_STORE(user->oldest, i);
    }
    FR_STORE(user->newest, i);
    FR_STORE(user->newest_count, 0);
    return true;
}

void state__history_add(struct state *state, uint32_t index, const struct state_event *event)
{
    struct user_row *user = base_rows_write(state->users, index);
    struct state_visit visit = {event->item, event->clock_s, event->session_tag, event->signal};
    base_row_change(&user->version);
    if ((user->newest && user->newest_count < CHUNK_VISITS) || chunk_begin(state, user)) {
        struct chunk_row *row = base_rows_write(state->chunks, user->newest);
        base_rows_put(&row->visits[user->newest_count], &visit, sizeof(visit));
        FR_STORE(user->newest_count, user->newest_count + 1);
        FR_STORE(user->visit_count, user->visit_count + 1);
    }
    FR_STORE(user->last_s, event->clock_s);
    FR_STORE(user->last_tag, event->session_tag);
    FR_STORE(user->event_count, user->event_count + 1);
    FR_STORE(user->next, state__event_number(state));
    base_row_done(&user->version);
}

void state__history_clear(struct state *state, uint32_t index)
{
    struct user_row *user = base_rows_write(state->users, index);
    uint64_t *meta = base_rows_meta(state->chunks), *older_meta = base_rows_meta(state->older);
    base_row_change(&user->version);
    for (uint32_t i = user->newest; i;) {
        struct chunk_row *row = base_rows_write(state->chunks, i);
        uint32_t older = row->older;
        struct chunk_row empty = {.older = (uint32_t)meta[META_FREE]};
        base_rows_put(row, &empty, sizeof(empty));
        meta[META_FREE] = i;
        meta[META_FREE_COUNT]++;
        i = older;
    }
    for (uint32_t i = user->older; i;) {
        struct older_row *row = base_rows_write(state->older, i);
        uint32_t next = row->next;
        struct older_row empty = {.next = (uint32_t)older_meta[0]};
        base_rows_put(row, &empty, sizeof(empty));
        older_meta[0] = i;
        i = next;
    }
    FR_STORE(user->newest, 0);
    FR_STORE(user->oldest, 0);
    FR_STORE(user->newest_count, 0);
    FR_STORE(user->visit_count, 0);
    FR_STORE(user->last_s, 0);
    FR_STORE(user->last_tag, 0);
    FR_STORE(user->older, 0);
    FR_STORE(user->older_count, 0);
    FR_STORE(user->event_count, 0);
    base_row_done(&user->version);
}

/* An item that expired leaves its visits empty; until the sweep comes by it counts as gone already. */
static bool is_there(const struct state *state, uint32_t item)
{
    return item && (!FR_LOAD(state->gone_count) || !state_item_gone(state, item));
}

/* One try: visits newest first, as the row says now. */
static uint32_t copy_visits(const struct state *state, const struct user_row *user,
                            struct state_visit *out, uint32_t count_max)
{
    uint32_t count = 0, in_chunk = FR_LOAD(user->newest_count);
    uint32_t limit = base_rows_count(state->chunks);
    for (uint32_t i = FR_LOAD(user->newest); i && i < limit && count < count_max;) {
        const struct chunk_row *row = chunk(state, i);
        uint32_t older = FR_LOAD(row->older);
        if (older)
            __builtin_prefetch(chunk(state, FR_MIN(older, limit - 1)));
        for (uint32_t v = FR_MIN(in_chunk, (uint32_t)CHUNK_VISITS); v-- > 0 && count < count_max;) {
            base_rows_copy(&out[count], &row->visits[v], sizeof(*out));
            count += is_there(state, out[count].item);
        }
        in_chunk = CHUNK_VISITS;
        i = older;
    }
    return count;
}

enum { READ_TRIES = 16 };

uint32_t state_history(const struct state *state, uint32_t index, struct state_visit *out,
                       uint32_t count_max)
{
    if (index == 0 || index >= base_rows_count(state->users))
        return 0;
    const struct user_row *user = state__user(state, index);
    uint32_t count = 0;
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t began = base_row_read_begin(&user->version);
        count = copy_visits(state, user, out, count_max);
        if (base_row_read_ok(&user->version, began))
            return count;
    }
    return 0;
}

uint32_t state_history_count(const struct state *state, uint32_t index)
{
    if (index == 0 || index >= base_rows_count(state->users))
        return 0;
    return FR_LOAD(state__user(state, index)->visit_count);
}

uint32_t state_seen_older(const struct state *state, uint32_t index, uint32_t *out,
                          uint32_t count_max)
{
    if (index == 0 || index >= base_rows_count(state->users))
        return 0;
    const struct user_row *user = state__user(state, index);
    for (int try = 0; try < READ_TRIES; try++) {
        uint32_t began = base_row_read_begin(&user->version), count = 0;
        uint32_t limit = base_rows_count(state->older);
        for (uint32_t i = FR_LOAD(user->older); i && i < limit && count < count_max;) {
            const struct older_row *row = base_rows_at(state->older, i);
            uint32_t here =
                FR_MIN(FR_MIN(FR_LOAD(row->count), (uint32_t)OLDER_ITEMS), count_max - count);
            base_rows_copy(out + count, row->items, here * sizeof(uint32_t));
            count += here;
            i = FR_LOAD(row->next);
        }
        if (base_row_read_ok(&user->version, began))
            return count;
    }
    return 0;
}

uint32_t state__history_window(const struct state *state, uint32_t index, uint32_t not_item,
                               struct state_visit *out, uint32_t count_max)
{
    const struct user_row *user = state__user(state, index);
    uint32_t count = 0, in_chunk = user->newest_count;
    for (uint32_t i = user->newest; i && count < count_max; i = chunk(state, i)->older) {
        const struct chunk_row *row = chunk(state, i);
        for (uint32_t v = in_chunk; v-- > 0 && count < count_max;) {
            struct state_visit visit = row->visits[v];
            bool skip =
                visit.signal <= 0.0f || visit.item == not_item || !is_there(state, visit.item);
            for (uint32_t o = 0; o < count && !skip; o++)
                skip = out[o].item == visit.item;
            if (!skip)
                out[count++] = visit;
        }
        in_chunk = CHUNK_VISITS;
    }
    return count;
}

bool state__history_has_tag(const struct state *state, uint32_t index, uint32_t tag)
{
    struct state_visit visits[64];
    uint32_t count = copy_visits(state, state__user(state, index), visits, 64);
    for (uint32_t v = 0; v < count; v++)
        if (visits[v].session_tag == tag)
            return true;
    return false;
}
