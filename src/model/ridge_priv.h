/* SPDX-License-Identifier: Apache-2.0
 *
 * ridge_priv: rows of the seq-ridge tables, shared by the ridge*.c files. Row layouts are saved.
 */
#ifndef MODEL_RIDGE_PRIV_H
#define MODEL_RIDGE_PRIV_H

#include "model/ridge.h"

#define MODEL__RIDGE_ONE 4096u /* the weight 1.0 in D's fixed point */

enum model__ridge_table {
    RIDGE_ITEM,   /* one row an item id */
    RIDGE_PAIR,   /* one row a pair */
    RIDGE_BUCKET, /* two hash heads a row (linear hashing: a bucket is split with each new pair) */
    RIDGE_SOURCE, /* what readers use: source -> targets and weights */
    RIDGE_TARGET, /* the sources that target j was published with */
};

struct model__ridge_item {
    uint32_t users;      /* who had it */
    uint32_t chain;      /* first pair */
    uint32_t source_row; /* readers: published with the row's count */
    uint32_t target_row;
    uint32_t next; /* in the queue */
    uint32_t queued;
    uint32_t mass; /* sum of D towards it */
    uint32_t mass_solved;
};

struct model__ridge_pair {
    uint32_t a, b; /* a < b */
    uint32_t next_a, next_b, next_hash;
    uint32_t both;
    uint32_t ab, ba; /* D a -> b, b -> a */
};

struct model__ridge_entry {
    uint32_t target;
    float weight;
};

struct model__ridge_source {
    uint32_t version; /* R2 */
    uint32_t count;
    struct model__ridge_entry entries[]; /* row_targets */
};

struct model__ridge_targets {
    uint32_t count, spare;
    uint32_t sources[]; /* neighbours */
};

struct model_ridge {
    struct model_ridge_options options;
    struct base_rows *tables[MODEL_RIDGE_TABLES];
    uint32_t *step; /* distance weights, fixed point; window + 1 */
    uint32_t *step_back;
    float *matrix;     /* neighbours x neighbours, lower triangle */
    float *rhs, *diag; /* neighbours */
    uint32_t *near;    /* the solve's N(j) */
    float *near_key;
};

/* Words of the item table's meta that the room keeps. */
enum {
    RIDGE_META_HEAD,
    RIDGE_META_TAIL,
    RIDGE_META_QUEUED,
    RIDGE_META_REFUSED,
    RIDGE_META_SOLVED,
    RIDGE_META_LIFTED,
    RIDGE_META_ITEMS
};

const struct model__ridge_item *model__ridge_item(const struct model_ridge *ridge, uint32_t item);
struct model__ridge_item *model__ridge_item_write(struct model_ridge *ridge, uint32_t item);
const struct model__ridge_pair *model__ridge_pair(const struct model_ridge *ridge, uint32_t i);

/* The steps of a look-up, for those who do many at once: bring the bucket near, its first pair, and
 * from there along the bucket to the pair (lo < hi) or 0. There must be a bucket. */
void model__ridge_pair_prefetch(const struct model_ridge *ridge, uint32_t a, uint32_t b);
uint32_t model__ridge_pair_first(const struct model_ridge *ridge, uint32_t a, uint32_t b);
uint32_t model__ridge_pair_along(const struct model_ridge *ridge, uint32_t i, uint32_t lo,
                                 uint32_t hi);
/* Index of the pair or 0. */
uint32_t model__ridge_pair_find(const struct model_ridge *ridge, uint32_t a, uint32_t b);
/* The same, made when missing; 0 when the table is full. */
uint32_t model__ridge_pair_make(struct model_ridge *ridge, uint32_t a, uint32_t b);

static inline uint32_t model__ridge_other(const struct model__ridge_pair *pair, uint32_t item)
{
    return pair->a == item ? pair->b : pair->a;
}
static inline uint32_t model__ridge_next(const struct model__ridge_pair *pair, uint32_t item)
{
    return pair->a == item ? pair->next_a : pair->next_b;
}

/* Solves (A) x = rhs in place; A's lower triangle by rows of `stride`. Gives the number of pivots
 * that had to be lifted to stay positive. x has 2 n floats, the upper half is scratch. */
uint32_t model__ridge_ldl(float *a, uint32_t n, uint32_t stride, float *diag, float *x);
/* N(j) into near and b_j into rhs; gives their number. */
uint32_t model__ridge_row_solve(struct model_ridge *ridge, uint32_t j);

#endif
