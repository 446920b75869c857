/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: what may come into an answer, and in which order in the end. A table of filters, a quota
 * for new items with logged propensity, and caps for diversity. Everything it did is in the slate
 * it gives, for the decision record.
 *
 * Rules
 *   P1: an item that a filter rejects is in no answer, whatever its score, also when earlier stages
 *       let it through: every place is checked again when it is filled.
 *   P2: randomness is a function of (seed, request id, counter) only, so that an answer can be made
 *       again.
 *   P3: the propensity of a place is the probability, over that randomness, that its item is in
 *       this answer, given the candidates and their scores.
 *
 * Memory: everything lies in the request's arena. Thread: any, one request at a time.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/arena.h"
#include "base/base.h"
#include "model/model.h"
#include "state/state.h"

enum policy_rule {
    POLICY_EXCLUDED, /* named by the request */
    POLICY_SEEN,     /* seen before (unless repeats are allowed) or disliked */
    POLICY_HIDDEN,
    POLICY_DELETED,
    POLICY_EXPIRED,
    POLICY_UNPUBLISHED,
    POLICY_CATEGORY, /* not of the categories asked for */
    POLICY_RULE_COUNT
};
const char *policy_rule_name(enum policy_rule rule);  /* "seen" */
const char *policy_rule_about(enum policy_rule rule); /* a sentence, for docs */

/* Why an item stands where it stands. */
enum policy_move {
    POLICY_RANKED,  /* by its score */
    POLICY_NEW,     /* the quota for new items brought it in */
    POLICY_DIVERSE, /* moved up because others before it were over a cap */
    POLICY_CAPPED,  /* over a cap, but nothing else was left */
    POLICY_MOVE_COUNT
};
const char *policy_move_name(enum policy_move move);

enum {
    POLICY_PLACES_MAX = 128,
    POLICY_NEW_EVENTS = 10,       /* an item with fewer events ... */
    POLICY_NEW_AGE_S = 3 * 86400, /* ... and known for less is new, by default */
    POLICY_POOL_MAX = 64, /* new candidates that the quota draws from: the best-scored ones */
};

struct policy_request {
    const struct state *state;
    const struct model_query *query; /* seen items, fold clock */
    uint32_t now_s;                  /* the clock of this answer: expiry and publication */
    const uint32_t *exclude;
    uint32_t exclude_count;
    const uint32_t *categories; /* tokens; 0 = a name no item has */
    uint32_t category_count;
    bool categories_all;               /* of all of them, else of any */
    uint32_t n, offset;                /* n <= POLICY_PLACES_MAX */
    float new_share;                   /* of n; 0 = none. Only on the first page (offset 0) */
    uint32_t new_age_s;                /* 0 = POLICY_NEW_AGE_S */
    uint32_t category_cap, author_cap; /* 0 = no cap */
    uint64_t seed, request_id;
};

struct policy;
/* FR_FULL: the arena is too small. The request is borrowed. */
FR_MUST_USE enum fr_status policy_new(const struct policy_request *request,
                                      struct base_arena *arena, struct policy **out_policy);
/* The filters, as retrieve calls them; context is the struct policy. */
bool policy_accept(void *context, const struct state_item *item);

struct policy_place {
    uint32_t item;
    uint32_t result; /* index in the ranked list */
    float propensity;
    enum policy_move move;
};
struct policy_slate {
    uint32_t count;
    const struct policy_place *place;
    uint32_t rejected[POLICY_RULE_COUNT]; /* by the first rule that rejected; candidates included */
    uint32_t new_pool, new_placed;
};
/* Fills the answer's places from the ranked list, best first. FR_FULL: the arena is too small. */
FR_MUST_USE enum fr_status policy_decide(struct policy *policy, const uint32_t *item,
                                         uint32_t count, struct base_arena *arena,
                                         struct policy_slate *out_slate);

#endif
