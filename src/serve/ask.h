/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/ask: what a request for recommendations asks, resolved to ids; and the way of its answer
 * (recommend.c): context, user view, candidates and rank, policy, explain.
 */
#ifndef SERVE_ASK_H
#define SERVE_ASK_H

#include "explain/explain.h"
#include "policy/policy.h"
#include "serve/serve_priv.h"

enum serve_explain { SERVE_EXPLAIN_NONE, SERVE_EXPLAIN_REASONS, SERVE_EXPLAIN_FULL };

struct serve_ask {
    struct fr_slice user_id;
    struct model_request model;
    uint32_t recent[SERVE_RECENT_MAX];
    uint32_t exclude[SERVE_EXCLUDE_MAX];
    uint32_t exclude_count;
    uint32_t category[SERVE_CATEGORIES_MAX];
    uint32_t category_count;
    bool categories_all;
    uint32_t n, offset;
    uint32_t category_cap, author_cap;
    enum serve_explain explain;
    bool counterfactual;
};

/* Which of the person's visits put the first item where it is: without `dropped` it would not be
 * first (counterfactual.c). */
enum serve_outcome {
    SERVE_NO_HISTORY, /* there is no visit that could be missing */
    SERVE_STAYS,      /* first even without any history */
    SERVE_NOT_FIRST,  /* another one would be first */
    SERVE_NOT_IN_LIST /* it would not even be among the first n */
};
struct serve_counterfactual {
    uint32_t item;
    enum serve_outcome outcome;
    uint32_t instead;                    /* the item that would be first */
    uint32_t dropped[MODEL_HISTORY_MAX]; /* items of the visits, heaviest first */
    uint32_t dropped_count;
    uint32_t proposed_count; /* by contributions alone, before anything was scored again */
    uint32_t rescored;       /* how often all was scored again */
};

/* Of when an answer speaks. With the state at `position`, the arguments, the settings and the id of
 * the request it makes the answer's bytes: nothing else goes into them. */
struct serve_moment {
    int64_t now_us;                    /* expiry, publication, the record's time */
    uint64_t position;                 /* that the state has */
    bool still;                        /* it stayed there while the answer was computed */
    const struct serve_timing *timing; /* printed instead of measured ones, when made again */
};

/* Everything an answer is made of; lies in the arena. */
struct serve_answering {
    struct serve_call *call;
    const struct serve_moment *moment;
    struct serve_ask ask;
    struct model_query query;
    struct policy_request policy_request;
    struct policy *policy;
    struct rank_result result;
    bool ranked;              /* result is there; else the popular list */
    const uint32_t *fallback; /* items of the popular list */
    const float *fallback_score;
    uint32_t fallback_count;
    struct policy_slate slate;
    struct explain_reasons *reasons;             /* [slate.count], or NULL */
    struct serve_counterfactual *counterfactual; /* or NULL */
    const char *degraded_reason;
    int64_t stage_began_ns;
};

/* Computes and prints the answer of the call's arguments at that moment, and writes its decision
 * record (the thread's). NULL: not even the arena's first allocation succeeded. */
struct serve_answering *serve__recommend(struct serve_call *call,
                                         const struct serve_moment *moment);
/* What besides its parts goes into an answer's bytes. */
void serve__settings_of(const struct serve_options *options, struct serve_settings *out_settings);

/* How the answer ranks. */
void serve__rank_options(const struct serve_answering *answering,
                         struct rank_query_options *out_options);
/* Fills answering->counterfactual. FR_NOT_FOUND: the answer's first place was not given by rank
 * (an offset, the quota for new items, the popular list); FR_FULL: out of request memory. */
FR_MUST_USE enum fr_status serve__counterfactual(struct serve_answering *answering);
void serve__counterfactual_print(const struct serve_counterfactual *counterfactual,
                                 const struct state *state, struct base_buf *out);

/* Reads the call's arguments. Names that the state does not know are left out. */
void serve__ask_read(struct serve_call *call, struct serve_ask *out_ask);

/* The items of a context row with the largest counter, largest first (lists.c): this segment's own
 * count, not the world's. */
struct serve_leaders {
    enum state_row_kind kind;
    uint32_t key;
    uint32_t counter; /* STATE_POP_* */
    /* given */
    const uint32_t *item;
    const float *score; /* decayed events as of now */
    uint32_t count;
};
void serve__leaders_take(struct serve_call *call, struct serve_leaders *leaders);
void serve__context_read(const struct serve_call *call, struct schema_context *out_context);

#endif
