/* SPDX-License-Identifier: Apache-2.0
 *
 * model: the experts. Each turns a query and a batch of candidates into features, x >= 0 where 0
 * means "this expert says nothing", so that the blend's score is a sum of weight * feature and
 * every part of it can be shown. An expert is a row in the table of model_experts(): adding one
 * touches its own file, the table and its test.
 *
 * Objective of all: the next item of this user. Sources: reference in README.md and docs/PAPERS.md.
 *
 * Thread: score() from any thread (R); apply() and learn() on the fold thread (W). All arithmetic
 * is plain IEEE float in a fixed order, so that learning is equal bit for bit everywhere.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/arena.h"
#include "base/base.h"
#include "base/rows.h"
#include "state/expire.h"
#include "state/figures.h"
#include "state/state.h"

enum {
    MODEL_HISTORY_MAX = 64,  /* newest visits that scoring looks at */
    MODEL_SEEN_MAX = 16384,  /* items that are left out of an answer */
    MODEL_FEATURES_MAX = 96, /* of all experts together */
    MODEL_EXPERTS_MAX = 24,
    MODEL_BATCH_MAX = 1024, /* candidates */
    MODEL_BUCKETS = 64,     /* context buckets of the blend */
};

/* ---- the query ------------------------------------------------------------------------------ */

struct model_recent {
    uint32_t item;
    uint32_t age_s;
    float signal;
    uint16_t times; /* visits of the item among those looked at, this one included */
    bool same_session;
};

/* What is asked, in ids. user 0: anonymous. recent: items the request itself carries, newest first
 * (they count as this session's clicks, before the stored history). */
struct model_request {
    uint32_t user;
    uint32_t session_tag;   /* 0: the running session, when the last visit is < 30 min old */
    uint32_t clock_s;       /* 0: the state's clock */
    uint32_t visit_clock_s; /* ages of visits and the running session count from it; 0: clock_s */
    uint32_t context[STATE_CONTEXT_COUNT];
    const uint32_t *recent;
    uint32_t recent_count;
    bool repeats;      /* seen items may come back */
    bool session_unit; /* "seen" means seen in this session only */
};

/* The user's view and the context, built once, the same for serving and for learning. */
struct model_query {
    uint32_t clock_s;
    uint32_t user;
    uint32_t context[STATE_CONTEXT_COUNT];
    const struct model_recent *history; /* newest first, no item twice, dislikes left out */
    uint32_t history_count;
    uint32_t session_count; /* visits of this session (the session's first event: 0) */
    uint32_t visit_count;   /* all of this user */
    uint32_t last_age_s;    /* since the last visit; UINT32_MAX: none */
    uint32_t session_tag;   /* of the running session; 0: none known */
    const uint32_t *seen;   /* never to be answered: seen (unless repeats) and disliked */
    uint32_t seen_count;
    bool repeats;    /* what was seen may be answered */
    uint32_t bucket; /* < MODEL_BUCKETS: history length x session position x ... */
};
/* R. Everything lies in the arena. */
FR_MUST_USE enum fr_status model_query_build(const struct state *state,
                                             const struct model_request *request,
                                             struct base_arena *arena,
                                             struct model_query *out_query);
/* The same query as if the visits with drop[h], h < history_count, had not happened: history, counts
 * and bucket. What they taught (counts, weights) stays, and `seen` stays. In the arena; FR_FULL. */
FR_MUST_USE enum fr_status model_query_without(const struct model_query *query, const bool *drop,
                                               struct base_arena *arena,
                                               struct model_query *out_query);
/* The request an event answers: what was known before it happened. */
void model_request_of_event(const struct state_event *event, bool repeats, bool session_unit,
                            struct model_request *out_request);

/* ---- the gather: one pass over the neighbour rows ------------------------------------------- */

/* What the rows of the history and of the context say about every item in them: the sums that
 * several experts and generators share. Sums are of decayed counts times the weight of the visit
 * (recency, and 1/sqrt of the source's own count). */
enum model_sum {
    MODEL_SUM_NEXT_LAST,    /* next within the session, half-life 17 min, from the last item */
    MODEL_SUM_NEXT_SESSION, /* ... from the session's items, recency .6 a step */
    MODEL_SUM_SESSION,      /* in one session, 2.3 h, from the session's items */
    MODEL_SUM_EARLIER,      /* ... from the user's earlier sessions */
    MODEL_SUM_SEQ_6,        /* windowed co-counts, both ways, slow, recency .6 */
    MODEL_SUM_SEQ_8,        /* ... recency .8 */
    MODEL_SUM_FORWARD_LAST, /* forward only, from the last item */
    MODEL_SUM_FORWARD_8,    /* forward only, recency .8 */
    MODEL_SUM_NEAR_6,       /* near by, slow, recency .6 */
    MODEL_SUM_NEAR_LAST,    /* ... of the last item */
    MODEL_SUM_SEQ_95,       /* windowed co-counts, recency .95: the long taste */
    MODEL_SUM_FRIENDS, /* visits of those whom the user follows, 1 / sqrt of their number each */
    MODEL_SUM_DEVICE,
    MODEL_SUM_REGION,
    MODEL_SUM_COUNTRY,
    MODEL_SUM_REFERRER,
    MODEL_SUM_CITY,
    MODEL_SUM_LANGUAGE, /* share among the context's recent events, half-life 17 min */
    MODEL_SUM_REGION_2H,
    MODEL_SUM_REFERRER_2H,
    MODEL_SUM_COUNT
};
struct model_gather; /* see model/gather.h (for retrieve and rank) */

/* ---- proposals: items that an expert wants ranked ------------------------------------------- */

/* Named before retrieval, best first; everything in the request's arena. `memo` is what the expert's
 * score() will need again, so that nothing is computed twice. */
struct model_proposal {
    uint32_t count;
    const uint32_t *item;
    const void *memo;
    /* 0: ahead of all others but the session's own items, in their place. Else: after all others, so
     * many candidates more than there would be. */
    uint32_t extra;
};

/* ---- the batch ------------------------------------------------------------------------------ */

struct model_batch {
    const struct state *state;
    const struct model_query *query;
    struct base_arena *arena;
    const struct model_gather *gather;
    uint32_t count;
    uint32_t stride;         /* floats between two features: count rounded up to 16 */
    const uint32_t *item;    /* [count] */
    const float *sum;        /* [MODEL_SUM_COUNT][stride] */
    const float *popularity; /* [STATE_HALF_COUNT][stride] decayed events of the item */
    const float *total;      /* [STATE_HALF_COUNT] of all items */
    bool in_place;           /* on the fold thread: rows may be read where they lie */
    const void *memo;        /* while an expert scores: what its propose() left, or NULL */
};

/* How a feature is told to people. */
enum model_reason {
    MODEL_REASON_HISTORY,  /* "because you viewed X": shares by visit */
    MODEL_REASON_NEXT,     /* "often next after X" */
    MODEL_REASON_POPULAR,  /* "popular" */
    MODEL_REASON_TRENDING, /* "trending now" */
    MODEL_REASON_CONTEXT,  /* "trending in R" */
    MODEL_REASON_CONTENT,  /* "similar to Y" */
    MODEL_REASON_NEW,      /* "new" */
    MODEL_REASON_FRIENDS,  /* "from people you follow" */
    MODEL_REASON_PATTERN,  /* learnt patterns: network, factors */
    MODEL_REASON_COUNT
};

struct model_feature {
    const char *name;
    enum model_reason reason;
    float initial;   /* weight before anything was learnt */
    int16_t sum;     /* enum model_sum this is the log of, or -1: gives shares by visit */
    int16_t context; /* enum state_context_field it speaks of, or -1 */
};

/* What an expert is opened with. */
struct model_setup {
    struct state *state; /* borrowed, outlives the expert */
    uint64_t seed;
    uint32_t vectors_exact; /* items up to which all learnt vectors are compared; 0: the default */
};

/* One expert. `self` is what open() gave (NULL for experts without parameters of their own). */
struct model_expert {
    const char *name;
    bool on_request; /* "all" does not name it: it costs more than it brings by default */
    const struct model_feature *features;
    uint32_t feature_count;
    bool
        leaves_session_out; /* its counts hold nothing of the session that asks: it may speak of the
                                session's own items where those come back */
    /* A. Parameters live in row tables only. All may be NULL. */
    enum fr_status (*open)(const struct model_setup *setup, struct fr_error *error,
                           void **out_self);
    void (*close)(void *self);
    struct base_rows *const *(*tables)(void *self, uint32_t *out_count);
    enum fr_status (*rebuild)(void *self, struct fr_error *error); /* after loading */
    /* R. Before retrieval; leaves out_proposal (zeroed) as it is when there is nothing to name. */
    void (*propose)(void *self, const struct state *state, const struct model_query *query,
                    struct base_arena *arena, struct model_proposal *out_proposal);
    /* R. Fills out[feature_count][batch->stride]; the rest of a row up to stride stays zero. */
    void (*score)(void *self, const struct model_batch *batch, float *out);
    /* W. A sampled event: `target` is its index in the batch, or -1 when it was no candidate;
     * `gradient` [count] is d loss / d score of the blend's softmax. Called after the scoring of
     * this very batch and before the event is applied. */
    void (*learn)(void *self, const struct model_batch *batch, const struct state_event *event,
                  int32_t target, const float *gradient);
    /* W. Every event, after state_apply(). */
    void (*apply)(void *self, const struct state_event *event);
    /* W. The index will be another id's: empties what is kept of it, as if it had never been seen. */
    void (*forget)(void *self, enum state_kind kind, uint32_t index);
    /* W. Drops what names a gone item (state_item_gone()) from a bounded piece, from *at on, which begins at 0;
     * true: that was the last. NULL: nothing of other items is kept under an index. */
    bool (*sweep)(void *self, const struct state *state, uint32_t *at);
    /* W. The world has changed: what was learnt long ago no longer shortens the steps. NULL: it never
     * does, or the blend's remedies see to it. */
    void (*quicken)(void *self);
    /* Any thread. What is kept beside the tables and grows with the rows of others, named; NULL: nothing. */
    struct state_memory (*beside)(const void *self);
};
/* R. How telling a content token is: ln(1 + items / (1 + items that carry it)). */
float model_token_idf(const struct state *state, uint32_t token);
/* The table of experts, fixed order. */
const struct model_expert *const *model_experts(uint32_t *out_count);
const char *model_reason_name(enum model_reason reason);

extern const struct model_expert model_popularity; /* popularity.c: decayed, trending, context */
extern const struct model_expert model_cooc;       /* cooc.c: windowed co-counts ("seq-cooc") */
extern const struct model_expert model_transition; /* transition.c: next in the session */
extern const struct model_expert model_content;    /* content.c: categories, tags, author, words */
extern const struct model_expert model_repeat;     /* repeat.c: what was seen, coming back */
extern const struct model_expert model_factors;    /* factors.c: latent factors on the residual */
extern const struct model_expert model_social;     /* social.c: followed people and authors */

#endif
