/* SPDX-License-Identifier: Apache-2.0
 *
 * state, rows that expire when there is no room for another id, and are used again (expire.c). W, R as in
 * state.h.
 */
#ifndef STATE_EXPIRE_H
#define STATE_EXPIRE_H

#include "state/state.h"

/* What has rows that expire when there is no room for another id. */
enum state_kind {
    STATE_KIND_USER,
    STATE_KIND_ITEM,
    STATE_KIND_VALUE, /* of a context */
    STATE_KIND_TOKEN, /* of content; those that no item carries any more */
    STATE_KIND_COUNT
};

/* W. After every record, when something is under way: a bounded piece of making room (expire.c). An expired id is
 * unknown from there on; its index is used again only after everything that names it was swept. */
bool state_expire_due(const struct state *state);
enum { STATE_EXPIRE_PIECE = 48 };
struct state_expired {
    enum state_kind kind;
    /* Free from here on: whoever keeps rows of them empties them. */
    uint32_t index[STATE_EXPIRE_PIECE], count;
    /* Not NULL, how far that is: whoever keeps indexes under others drops a piece of the gone ones, and
     * at the end says state_expire_swept(). */
    uint64_t *sweep;
};
void state_expire_step(struct state *state, enum state_kind kind, struct state_expired *out);
void state_expire_swept(struct state *state, enum state_kind kind);
/* Is the item to be dropped wherever it is named? Any thread. */
bool state_item_gone(const struct state *state, uint32_t item);
bool state_user_expired(const struct state *state, uint32_t user); /* R. Nobody has this index */
/* How often an index belonged to another id before: with it, a key for whoever hashes indexes. R. */
uint32_t state_lives(const struct state *state, enum state_kind kind, uint32_t index);

/* R. Indexes and borrowed texts hold from begin to ok. False: some may be another id's by now, and
 * what was made of them is to be made anew. Moves when a batch of rows comes free, so seldom. */
uint64_t state_reading_begin(const struct state *state);
bool state_reading_ok(const struct state *state, uint64_t began);

#endif
