/* SPDX-License-Identifier: Apache-2.0
 *
 * ridge: "seq-ridge", a small ridge regression per target item over its nearest co-occurring items.
 *
 * For target j let N(j) be the at most `neighbours` items of highest cosine. The row of weights is
 *     b_j = (G_NN + lambda I + c diag G_NN)^-1 D_Nj
 * (Choi et al. WWW'21, SLIST/SLIT, made local), where G[a][b] counts the users who had both (c -> inf gives plain counts, lambda alone
 * gives EASE, Steck WWW'19) and D[a][j] sums distance weights d^-delta over windows in which a came
 * d steps before j, plus `back` times the same for a after j. A history h_1 (newest), h_2, ...
 * scores s_j = pop_j^-gamma * sum_i recency^(i-1) * b_j[h_i].
 *
 * Counts are integers and additive: exact to forget, order-free. Rows are deferred: counting marks
 * the rows whose right-hand side grew by `growth` since they were solved, and model_ridge_solve()
 * works through the queue within a budget of rows. The solve is an LDL' in single precision, right
 * looking: every element has one order of operations whatever the vector width.
 *
 * State: tables of base_rows (saved, hashed, snapshotted by their owner through
 * model_ridge_tables). Items are dense ids >= 1. Cost: counting O(history), a solve n^3/3
 * multiply-adds and the gathering of G_NN, a query O(history * row).
 *
 * Thread: count, forget, solve: the writer. model_ridge_query(): any, while the writer goes on.
 *
 * Invariants
 *   RD1: the pair (a, b), a < b, is in the table at most once and on the chains of both its items.
 *   RD2: an item is in the queue at most once (its `queued` mark).
 *   RD3: target j is in the row of source i exactly when i is in the list of j, unless the row of i
 *        was full of heavier weights.
 */
#ifndef MODEL_RIDGE_H
#define MODEL_RIDGE_H

#include "base/base.h"
#include "base/rows.h"

#define MODEL_RIDGE_NEIGHBOURS_MAX 256
#define MODEL_RIDGE_QUERY_MAX 4096 /* history steps that a query looks at */
#define MODEL_RIDGE_TABLES 5

struct model_ridge;

struct model_ridge_options {
    uint32_t item_max;      /* largest item id + 1 */
    uint32_t pair_max;      /* pairs kept; later new pairs are refused and counted */
    uint32_t neighbours;    /* 8 .. MODEL_RIDGE_NEIGHBOURS_MAX */
    uint32_t row_targets;   /* entries of a source row: 63, 127, 255, 511 or 1023 */
    uint32_t history_max;   /* newest items of a user that count for G */
    uint32_t window;        /* newest items of a user that count for D */
    float distance;         /* delta */
    float back;             /* share of D for the reverse direction */
    float lambda, diagonal; /* lambda and c */
    float popularity;       /* gamma */
    float recency;          /* default of the query's decay a step */
    float growth;           /* a row is queued when its D mass grew by this share */
};

/* The defaults measured in bench/run-loo: see docs/QUALITY.md. */
void model_ridge_defaults(struct model_ridge_options *out_options);

FR_MUST_USE enum fr_status model_ridge_new(const struct model_ridge_options *options,
                                           struct fr_error *error, struct model_ridge **out_ridge);
void model_ridge_free(struct model_ridge *ridge);

/* The tables, in the order in which they are saved and hashed. */
void model_ridge_tables(struct model_ridge *ridge, struct base_rows *out[MODEL_RIDGE_TABLES]);

/* Writer. A user with `history` (distinct, newest first, without `item`) takes `item`. */
void model_ridge_count(struct model_ridge *ridge, uint32_t item, const uint32_t *history,
                       uint32_t count);
/* Writer. Exactly undoes the same call; rows that used the counts are queued. */
void model_ridge_forget(struct model_ridge *ridge, uint32_t item, const uint32_t *history,
                        uint32_t count);

/* Writer. As if the item had never been seen: its counts, its row, and wherever other rows name it. */
void model_ridge_forget_item(struct model_ridge *ridge, uint32_t item);

/* Writer. Solves at most `rows_max` queued rows; gives how many. */
uint32_t model_ridge_solve(struct model_ridge *ridge, uint32_t rows_max);
uint32_t model_ridge_queued(const struct model_ridge *ridge);
/* Writer. Queues every item that has been counted: a full refit. */
void model_ridge_queue_all(struct model_ridge *ridge);

struct model_ridge_query {
    const uint32_t *history; /* newest first */
    const float *weight;     /* NULL: recency^i */
    uint32_t count;          /* at most MODEL_RIDGE_QUERY_MAX are used */
};
/* Adds weight[i] * b_j[history[i]] to scores[j] for every j below score_count that a row names. Any
 * thread. */
void model_ridge_query(const struct model_ridge *ridge, const struct model_ridge_query *query,
                       float *scores, uint32_t score_count);
/* A consistent copy of one source row: targets and weights, at most `max`; gives the number. */
uint32_t model_ridge_row(const struct model_ridge *ridge, uint32_t source, uint32_t *out_target,
                         float *out_weight, uint32_t max);

struct model_ridge_stats {
    uint64_t pairs, pairs_refused, rows_solved, pivots_lifted;
    uint32_t items, queued;
    size_t bytes;
};
/* Counts since the tables were empty, and the memory touched. Writer. */
void model_ridge_stats_get(const struct model_ridge *ridge, struct model_ridge_stats *out_stats);

/* The counts, for tests and for other experts: users who had both, D from `from` to `to` (1.0 =
 * one adjacent step), users who had the item. Writer. */
uint32_t model_ridge_both(const struct model_ridge *ridge, uint32_t a, uint32_t b);
float model_ridge_directed(const struct model_ridge *ridge, uint32_t from, uint32_t to);
uint32_t model_ridge_users(const struct model_ridge *ridge, uint32_t item);
/* Calls visit for each pair of `item`: other item, both, D other -> item, D item -> other. Writer.
 */
void model_ridge_each(const struct model_ridge *ridge, uint32_t item,
                      void (*visit)(void *context, uint32_t other, uint32_t both, float in,
                                    float out),
                      void *context);

/* The expert "ridge" (model/model.h) over it. */
struct model_expert;
extern const struct model_expert model_ridge_expert;

#endif
