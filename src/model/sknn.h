/* SPDX-License-Identifier: Apache-2.0
 *
 * sknn: session neighbours over an inverted index of the newest sessions, updated with every click.
 *
 * A running session c_1 (newest), c_2, ... is compared with stored sessions that share items, the
 * newest sessions of each item first, at most `neighbours` of them, and each votes for its items:
 *     sim(n)   = sum over shared c_i of step^(i-1) * idf(c_i)^idf,  / sqrt(|n|),  * 2^(-age / age_half)
 *     score(j) = sum_n sim(n) * distance^(|pos_n(j) - pos_n(match)| - 1) * (after the match ? 1 : back)
 * where match is the newest shared item. Two sets of these decays are computed in one pass: STAN
 * (Garg SIGIR'19: all three decays, no idf) and VSTAN (Ludewig UMUAI'20: idf, and votes far from the
 * match count too). The index is VMIS-kNN's (Kersbergen SIGMOD'22).
 *
 * A session of more clicks than a row holds goes on in further rows, each beginning with the newest six
 * of the row before: a neighbour is a row (MovieLens, where sessions hold a hundred: this expert alone
 * HR@10 .105 -> .172 on the first 30 % of 100K, where before the newest 20 clicks were all that stayed).
 *
 * State: tables of base_rows. Rows live in a ring (the oldest is overwritten), posting lists
 * are rings too, so that memory is bounded whatever the stream. Cost: a click O(1), a query O(items
 * * postings + neighbours * session length).
 *
 * Thread: model_sknn_click(): the writer. model_sknn_query(): any.
 *
 * Invariants
 *   SK1: the s-th row of clicks lives in row 1 + (s - 1) mod session_max; a posting whose row holds another
 *        number is dead and skipped.
 *   SK2: an item is posted at most once while the session's row holds it.
 */
#ifndef MODEL_SKNN_H
#define MODEL_SKNN_H

#include "base/arena.h"
#include "base/base.h"
#include "base/rows.h"

#define MODEL_SKNN_SESSION_ITEMS 20    /* clicks of a row */
#define MODEL_SKNN_QUERY_ITEMS 12      /* newest items of the running session that are looked up */
#define MODEL_SKNN_NEIGHBOURS_MAX 2048 /* sessions that vote */
#define MODEL_SKNN_TABLES 3

enum { MODEL_SKNN_STAN, MODEL_SKNN_VSTAN, MODEL_SKNN_KINDS };

struct model_sknn;

struct model_sknn_decay {
    float step;     /* by position in the running session */
    float distance; /* by distance from the match in the neighbour */
    float back;     /* share of items before the match */
    float idf;      /* exponent of idf; 0 = off */
};

struct model_sknn_options {
    uint32_t item_max, user_max;
    uint32_t session_max; /* stored sessions */
    uint32_t postings;    /* newest sessions kept an item: 2^n - 2, 30 to 1022 */
    uint32_t neighbours;  /* sessions that vote, <= MODEL_SKNN_NEIGHBOURS_MAX */
    float age_half_s;     /* half-life of a neighbour's age, seconds; 0 = off */
    struct model_sknn_decay decay[MODEL_SKNN_KINDS];
};

void model_sknn_defaults(struct model_sknn_options *out_options);
FR_MUST_USE enum fr_status model_sknn_new(const struct model_sknn_options *options,
                                          struct fr_error *error, struct model_sknn **out_sknn);
void model_sknn_free(struct model_sknn *sknn);
/* The tables, in the order in which they are saved and hashed. */
void model_sknn_tables(struct model_sknn *sknn, struct base_rows *out[MODEL_SKNN_TABLES]);

/* Writer. User `user` clicks `item` in the session `tag` at clock_s; another tag than the user's
 * last one begins a session. user 0 or an id out of range: the click is not kept. */
void model_sknn_click(struct model_sknn *sknn, uint32_t user, uint32_t tag, uint32_t item,
                      uint32_t clock_s);

/* Writer. As if the user, the item had never been seen; sessions go on naming the item until the sweep. */
void model_sknn_forget_user(struct model_sknn *sknn, uint32_t user);
void model_sknn_forget_item(struct model_sknn *sknn, uint32_t item);
/* Writer. Drops gone items (state_item_gone()) from a piece of the sessions, from row *at on; true: from
 * the last one. */
struct state;
bool model_sknn_sweep(struct model_sknn *sknn, const struct state *state, uint32_t *at);

struct model_sknn_query {
    const uint32_t *items; /* the running session, newest first, no item twice */
    uint32_t count;
    uint32_t clock_s;
    uint32_t user, tag; /* its own stored session is left out; user 0: none */
};
struct model_sknn_vote {
    uint32_t item; /* 0: an empty slot */
    float score[MODEL_SKNN_KINDS];
};
/* The votes by item: open addressing, in the arena. */
struct model_sknn_votes {
    struct model_sknn_vote *slot; /* [mask + 1] */
    uint32_t mask, count;
};
/* False (no votes): no session shares an item, or the arena overflowed. Any thread. */
bool model_sknn_query(const struct model_sknn *sknn, const struct model_sknn_query *query,
                      struct base_arena *arena, struct model_sknn_votes *out_votes);
/* What the neighbours gave the item, or NULL. */
const struct model_sknn_vote *model_sknn_votes_find(const struct model_sknn_votes *votes,
                                                    uint32_t item);

/* The expert "sessions" (model/model.h) over it. */
struct model_expert;
extern const struct model_expert model_sknn_expert;

#endif
