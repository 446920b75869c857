/* SPDX-License-Identifier: Apache-2.0
 *
 * rank: batched scoring of candidates by all experts, the online listwise blend over them, and its
 * prequential judgement. score = sum over features of weight * x, plus (when on) a small network on
 * the residual, shown as "patterns". Weights = global + those of the query's context bucket, learnt
 * by softmax over the candidates of each sampled event, Adagrad, steps weighted by the target's
 * rank.
 *
 * Blend weights and prequential figures live in row tables: saved, hashed, replayed.
 *
 * Thread: rank_query() and figures from any thread (R); rank_learn(), rank_apply() on the fold
 * thread (W).
 */
#ifndef RANK_RANK_H
#define RANK_RANK_H

#include "base/arena.h"
#include "base/base.h"
#include "base/rows.h"
#include "model/model.h"
#include "retrieve/retrieve.h"
#include "state/state.h"

struct rank;

struct rank_options {
    struct state *state;     /* borrowed, outlives the rank */
    const char *experts;     /* comma-separated names; NULL, "" or "all": those of the default */
    uint32_t candidates_max; /* 0 = 128 to 320, by the length of the history */
    uint32_t vectors_exact;  /* as of model_setup */
    uint64_t seed;
    bool no_network;   /* the linear blend alone */
    bool repeats;      /* events on seen items are scored too, and seen items may come back */
    bool session_unit; /* "seen" is by session */
};

enum { RANK_ARENA_BYTES = 4 << 20 }; /* what one query needs at most */

/* Does the list of experts name it itself ("all" does not count)? */
bool rank_names(const char *list, const char *name);
FR_MUST_USE enum fr_status rank_new(const struct rank_options *options, struct fr_error *error,
                                    struct rank **out_rank);
void rank_free(struct rank *rank);
struct base_rows *const *rank_tables(const struct rank *rank, uint32_t *out_count);
/* Any thread. What experts keep beside their tables; gives how many parts. */
uint32_t rank_beside(const struct rank *rank, struct state_memory *out, uint32_t count_max);
/* A. After the tables were loaded; FR_CORRUPT when their shape is not this blend's. */
FR_MUST_USE enum fr_status rank_rebuild(struct rank *rank, struct fr_error *error);

/* ---- folding -------------------------------------------------------------------------------- */

/* How the event would have been answered just before it. */
struct rank_outcome {
    bool scored;              /* false: a repeat, a dislike, an exposure, no user view */
    bool known;               /* the item existed */
    int32_t candidate;        /* index among the candidates, -1 = a miss */
    float rank;               /* 0-based, ties half; a large number for a miss */
    float popularity_rank;    /* by decayed popularity alone */
    const float *expert_rank; /* [expert count] each expert alone; valid until the next call */
};

/* W. Scores a sampled event before it is learnt, updates the prequential figures and the blend. To be
 * followed by state_apply(). `out_outcome` may be NULL. `learn` false: score only. */
void rank_learn(struct rank *rank, const struct state_event *event, bool learn,
                struct rank_outcome *out_outcome);
/* W. The same judgement for any request and target, learning nothing (eval's test parts). */
void rank_judge(struct rank *rank, const struct model_request *request, uint32_t target,
                struct rank_outcome *out_outcome);
/* W. Every event, after state_apply(): experts with counts of their own. */
void rank_apply(struct rank *rank, const struct state_event *event);
/* W. What the state has expired: experts empty what they keep of the indexes that came free, and drop a
 * piece of what names gone items (state_expire_step()). */
void rank_expire(struct rank *rank, const struct state_expired *expired);
/* W. After a record: a bounded piece of making room in tables that are nearly full, there and in the
 * experts (state/expire.h). `rank` NULL: nobody learns. A branch when nothing is under way. */
void rank_make_room(struct rank *rank, struct state *state);
/* W. Is this event sampled at one in `one_in`? By keyed hash of its position. */
bool rank_is_sampled(const struct rank *rank, uint64_t position, uint32_t one_in);

/* ---- serving -------------------------------------------------------------------------------- */

struct rank_feature {
    const char *name;   /* "seq_8" */
    const char *expert; /* "cooc" */
    enum model_reason reason;
    int context; /* enum state_context_field, or -1 */
};

struct rank_result {
    uint32_t count; /* candidates, best first */
    const uint32_t *item;
    const float *score;
    const uint16_t *generators; /* bit per enum retrieve_generator */
    uint32_t feature_count;     /* after the experts': "patterns" of the network when it is on, then
                                   "clicks" when the second stage is live */
    const struct rank_feature *feature;
    const struct model_query *query;
    const char *degraded_reason; /* NULL, or which stage was left out */
    /* private */
    const float *x;        /* [feature][stride], by original candidate index */
    const float *weight;   /* [feature]; the network's own part has none */
    const float *network;  /* [stride]; NULL: it took no part */
    const float *clicks;   /* [stride]; of the second stage */
    const uint32_t *order; /* result index -> candidate index */
    const struct model_gather *gather;
    uint32_t stride;
    const struct rank *rank;
};

struct rank_query_options {
    struct retrieve_options retrieve;
    uint32_t experts_off; /* bit e: leave expert e out (a failing or slow one) */
};

/* R. Candidates for the query, scored and sorted. Zero malloc; all in the arena. FR_FULL: the arena
 * was too small. */
FR_MUST_USE enum fr_status rank_query(const struct rank *rank, const struct model_query *query,
                                      const struct rank_query_options *options,
                                      struct base_arena *arena, struct rank_result *out_result);
/* Exact parts of result r's score; they sum to score[r] (to float rounding). */
float rank_contribution(const struct rank_result *result, uint32_t r, uint32_t feature);
/* All of them: out[feature] for feature < feature_count. */
void rank_contributions(const struct rank_result *result, uint32_t r, float *out);
/* How a contribution of a history feature divides among the visits: out[h] for
 * h < query->history_count, summing to the contribution. False when the feature has no shares. */
bool rank_history_shares(const struct rank_result *result, uint32_t r, uint32_t feature,
                         float *out);
/* The same for many results and all features: part[i * visits + h][s] is what visit h puts into the shared sum s of result r[i]; the sum that a feature is made of
 * is rank_feature_sum() (-1: none). The shares of a feature are contribution * part[h][sum] / (sum
 * of part[h][sum] over h). In the arena. FR_FULL: it is too small. */
enum { RANK_SUMS = 12, RANK_PARTS_MAX = 128 };
struct rank_parts {
    const float (*part)[RANK_SUMS];
    uint32_t visits;
};
FR_MUST_USE enum fr_status rank_history_parts(const struct rank_result *result, const uint32_t *r,
                                              uint32_t count, struct base_arena *arena,
                                              struct rank_parts *out_parts);
/* Which shared sum the feature is made of: 0 .. RANK_SUMS - 1, or -1. */
int rank_feature_sum(const struct rank_result *result, uint32_t feature);
/* R. Items nearest to one item ("similar"), by co-counts and content, servable ones, best first. */
FR_MUST_USE enum fr_status rank_similar(const struct rank *rank, uint32_t item,
                                        const struct retrieve_options *options,
                                        struct base_arena *arena, struct rank_result *out_result);

/* ---- figures -------------------------------------------------------------------------------- */

struct rank_figure {
    const char *name; /* "blend", "popular" (the baseline), or an expert's name */
    uint64_t scored;
    double hit10, hit20, mrr10, ndcg10; /* means over all scored */
    double recent_hit10, recent_mrr10;  /* fading, alpha = .999 */
};
uint32_t rank_figures(const struct rank *rank, struct rank_figure *out, uint32_t count_max);
/* The blend over the events that an answer of ours brought about, "slates"; they are in none of the
 * others. */
void rank_figure_caused(const struct rank *rank, struct rank_figure *out);
uint32_t rank_experts(const struct rank *rank, const struct model_expert **out, uint32_t count_max);
/* The present weights of a bucket (global when bucket >= MODEL_BUCKETS), by feature. */
uint32_t rank_weights(const struct rank *rank, uint32_t bucket, float *out, uint32_t count_max);
const struct rank_feature *rank_features(const struct rank *rank, uint32_t *out_count);

#endif
