/* SPDX-License-Identifier: Apache-2.0
 *
 * Bringing what an event will touch towards the cache before its turn. Folding one event at 100,000 items
 * touches a few hundred lines at random; one after the other each costs a wait for memory, asked for ahead
 * they arrive side by side. What is to be asked for is found in stages, each by what the stage before
 * has brought:
 *
 *   begin   the slots of the id maps and of the dedupe index
 *   1       rows of user and item
 *   2       ids' text, newest chunk of the history, the item's neighbour row
 *   3 ..    a chunk of the history a step: rows of its items; in the next step, their neighbour rows'
 *           heads and the set that names this item; in the one after, the entries themselves
 *
 * Nothing is changed and nothing depends on it: a wrong guess costs time alone.
 * Thread: writer.
 */
#include "state/ahead.h"

#include "state/state_priv.h"

enum { LINE = 64 };

void state_ahead_begin(const struct state *state, const struct schema_event *event,
                       struct state_ahead *ahead)
{
    *ahead = (struct state_ahead){.user_hash = state__map_hash(state->user_map, event->user),
                                  .item_hash = state__map_hash(state->item_map, event->item)};
    state__map_prefetch(state->user_map, ahead->user_hash);
    state__map_prefetch(state->item_map, ahead->item_hash);
    state__dedupe_prefetch(state, event->key);
}

static void ask_rows(const struct state *state, struct state_ahead *ahead)
{
    uint32_t cursor = 0;
    ahead->user = state__map_next(state->user_map, ahead->user_hash, &cursor);
    cursor = 0;
    ahead->item = state__map_next(state->item_map, ahead->item_hash, &cursor);
    if (ahead->user)
        base_rows_prefetch(state->users, ahead->user);
    if (ahead->item)
        state_item_prefetch(state, ahead->item);
}

static void ask_history(const struct state *state, struct state_ahead *ahead)
{
    if (ahead->item) {
        const struct item_row *item = state__item(state, ahead->item);
        __builtin_prefetch(state__text_at(state->text, item->text));
        ahead->pairs = item->pairs;
        state__pairs_prefetch(&state->pairs, item->pairs);
    }
    if (!ahead->user)
        return;
    const struct user_row *user = state__user(state, ahead->user);
    __builtin_prefetch(state__text_at(state->text, user->text));
    ahead->chunk = user->newest;
    ahead->in_chunk = user->newest_count;
    if (ahead->chunk)
        __builtin_prefetch((const char *)base_rows_at(state->chunks, ahead->chunk) + LINE);
    base_rows_prefetch(state->chunks, ahead->chunk);
}

static void ask_visits(const struct state *state, struct state_ahead *ahead)
{
    if (!ahead->chunk)
        return;
    const struct chunk_row *chunk = base_rows_at(state->chunks, ahead->chunk);
    for (uint32_t v = ahead->in_chunk; v-- > 0 && ahead->visits < STATE_AHEAD_VISITS;) {
        uint32_t item = chunk->visits[v].item;
        ahead->visited[ahead->visits++] = item;
        __builtin_prefetch(&state__item(state, item)->pairs);
    }
    ahead->chunk = ahead->visits < STATE_AHEAD_VISITS ? chunk->older : 0;
    ahead->in_chunk = CHUNK_VISITS;
    if (!ahead->chunk)
        return;
    base_rows_prefetch(state->chunks, ahead->chunk);
    __builtin_prefetch((const char *)base_rows_at(state->chunks, ahead->chunk) + LINE);
}

/* From the last stage to the first, so that each takes what an earlier step has asked for. */
void state_ahead_step(const struct state *state, struct state_ahead *ahead)
{
    if (ahead->step < 2) {
        (ahead->step++ ? ask_history : ask_rows)(state, ahead);
        return;
    }
    for (; ahead->entries < ahead->heads; ahead->entries++) {
        uint32_t other = ahead->visited[ahead->entries];
        state__pairs_prefetch_entry(&state->pairs, ahead->refs[ahead->entries], ahead->item);
        state__pairs_prefetch_entry(&state->pairs, ahead->pairs, other);
    }
    for (; ahead->heads < ahead->visits; ahead->heads++) {
        uint32_t other = ahead->visited[ahead->heads];
        ahead->refs[ahead->heads] = state__item(state, other)->pairs;
        state__pairs_prefetch_set(&state->pairs, ahead->refs[ahead->heads], ahead->item);
        state__pairs_prefetch_set(&state->pairs, ahead->pairs, other);
    }
    ask_visits(state, ahead);
}
