/* SPDX-License-Identifier: Apache-2.0
 *
 * sknn: session neighbours over an inverted index of the newest sessions, updated with every click.
 *
 * A running session c_1 (newest), c_2, ... is compared with stored sessions that share items:
 *     sim(n) = sum over shared c_i of step^(i-1) * idf(c_i),  / sqrt(|n|),  * 2^(-age / age_half)
 * and the best k of them vote for their items, the nearer to the shared click the more:
 *     score(j) = sum_n sim(n) * distance^(|pos_n(j) - pos_n(match)| - 1)
 *                      * (after the match ? 1 : back)
 * The three decays are STAN's (Garg SIGIR'19), the idf VSTAN's (Ludewig UMUAI'20), V-SKNN is
 * step and idf alone. Candidates come newest first from each item's posting list and at most
 * `sessions` newest ones are kept, with early stop (VMIS-kNN, Kersbergen SIGMOD'22).
 *
 * State: tables of base_rows. Sessions live in a ring (the oldest is overwritten), posting lists
 * are rings too, so that memory is bounded whatever the stream. Cost: a click O(1), a query O(items
 * * postings + k * session length).
 *
 * Thread: model_sknn_click(): the writer. model_sknn_query(): any, each with its own scratch.
 *
 * Invariants
 *   SK1: session number s lives in row 1 + s mod session_max; a posting whose row holds another
 *        number is dead and skipped.
 *   SK2: an item is posted at most once a session.
 */
#ifndef MODEL_SKNN_H
#define MODEL_SKNN_H

#include "base/base.h"
#include "base/rows.h"

#define MODEL_SKNN_SESSION_ITEMS 28  /* newest clicks kept of a session */
#define MODEL_SKNN_QUERY_ITEMS 16    /* newest items of the running session that are looked up */
#define MODEL_SKNN_SESSIONS_MAX 4096 /* candidate sessions of a query */
#define MODEL_SKNN_TABLES 3

struct model_sknn;
struct model_sknn_scratch;

struct model_sknn_options {
    uint32_t item_max, user_max;
    uint32_t session_max; /* stored sessions */
    uint32_t postings;    /* newest sessions kept an item: 62, 126, 254, 510, 1022 or 2046 */
    uint32_t sessions;    /* m: candidates of a query, <= MODEL_SKNN_SESSIONS_MAX */
    uint32_t neighbours;  /* k */
    float step;           /* decay by position in the running session */
    float distance;       /* decay by distance from the match in the neighbour */
    float back;           /* share of items before the match */
    float idf;            /* exponent of idf; 0 = off */
    float age_half_s;     /* half-life of a neighbour's age, seconds; 0 = off */
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

/* What a query works in, one at a time: 48 to 96 bytes a candidate session and 450 to 900 a
 * neighbour. Made on its own, or placed into an arena's bytes (16-aligned; nothing to free). */
size_t model_sknn_scratch_bytes(const struct model_sknn *sknn);
struct model_sknn_scratch *model_sknn_scratch_place(const struct model_sknn *sknn, void *memory);
FR_MUST_USE enum fr_status model_sknn_scratch_new(const struct model_sknn *sknn,
                                                  struct model_sknn_scratch **out_scratch);
void model_sknn_scratch_free(struct model_sknn_scratch *scratch);

struct model_sknn_query {
    const uint32_t *items; /* the running session, newest first, no item twice */
    uint32_t count;
    uint32_t clock_s;
    uint32_t user, tag; /* its own stored session is left out; user 0: none */
};
/* Where the items and scores of the vote go. */
struct model_sknn_votes {
    uint32_t *items;
    float *scores;
    uint32_t max;
};
/* Fills out_votes, in no particular order, at most `max`; gives their number. */
uint32_t model_sknn_query(const struct model_sknn *sknn, const struct model_sknn_query *query,
                          struct model_sknn_scratch *scratch,
                          const struct model_sknn_votes *out_votes);

/* The expert "sknn" (model/model.h) over it. */
struct model_expert;
extern const struct model_expert model_sknn_expert;

#endif
