/* SPDX-License-Identifier: Apache-2.0
 *
 * ann: the items whose learnt vectors have the largest inner product with a query. Vectors are kept
 * as int8 with one scale each; the best by that are scored again in floats by their owner, who
 * keeps the exact ones. Up to a few hundred thousand items all rows are scanned (recall is that of
 * the quantisation, measured 1.0 at 4 k to 100 k items); above, rows lie in lists of an inverted
 * file (IVF) and the lists whose centroid has the largest product with the query are scanned.
 *
 * A list is a chain of blocks of 64 rows, so that the scan reads memory in order. Putting a vector
 * updates it in place, or moves it when another centroid is nearest (the last row of the old list
 * takes its place). With one list (centroids 0) that is the exact scan.
 *
 * The index is a cache of the vectors: neither saved nor hashed; its owner fills it after loading.
 *
 * Thread: put, remove, train: one writer. model_ann_search(): any, while the writer goes on.
 * Rows' bytes are read without a version: a row that is being changed, moved or taken over is at
 * worst proposed or left out for one search, or proposed twice; proposals are scored exactly, so
 * that no wrong score comes out. Item ids, scales, counts and links are single atomic words.
 *
 * Invariants
 *   AN1: an item has one slot, and that slot its id.
 *   AN2: only the head block of a chain is not full.
 */
#ifndef MODEL_ANN_H
#define MODEL_ANN_H

#include "base/base.h"

#define MODEL_ANN_DIMENSION_MAX 144
#define MODEL_ANN_FOUND_MAX 2048
#define MODEL_ANN_LISTS_MAX 4096

struct model_ann;

struct model_ann_options {
    uint32_t item_max;
    uint32_t dimension; /* of the vectors, a bias counted as one of them */
    uint32_t lists;     /* centroids; 0 = exact scan. Guide: sqrt(items) */
    uint32_t probes;    /* lists scanned a search */
    uint32_t rescored;  /* proposals scored exactly, <= MODEL_ANN_FOUND_MAX */
    uint64_t seed;
};

void model_ann_defaults(struct model_ann_options *out_options);
FR_MUST_USE enum fr_status model_ann_new(const struct model_ann_options *options,
                                         struct fr_error *error, struct model_ann **out_ann);
void model_ann_free(struct model_ann *ann);

/* Writer, before the first put: centroids by k-means over `count` sample vectors (at least as many
 * as lists; 32 a list are plenty). Does nothing with lists 0. */
FR_MUST_USE enum fr_status model_ann_train(struct model_ann *ann, const float *vectors,
                                           uint32_t count, struct fr_error *error);
/* Writer. FR_FULL: an id beyond item_max. */
FR_MUST_USE enum fr_status model_ann_put(struct model_ann *ann, uint32_t item, const float *vector);
/* The same into a list that the caller chose (an owner that keeps centroids of its own). */
FR_MUST_USE enum fr_status model_ann_put_in(struct model_ann *ann, uint32_t item,
                                            const float *vector, uint32_t list);
void model_ann_remove(struct model_ann *ann, uint32_t item);
uint32_t model_ann_count(const struct model_ann *ann);
size_t model_ann_bytes(const struct model_ann *ann);
size_t model_ann_bytes_max(const struct model_ann *ann); /* when it is full */

struct model_ann_query {
    const float *vector;
    uint32_t best;   /* how many to give, <= rescored */
    uint32_t probes; /* 0 = the option */
    /* [list_count] the lists to scan, in any order; NULL: those of the nearest centroids */
    const uint32_t *lists;
    uint32_t list_count;
    /* exact scores for proposals; NULL: the int8 ones stand */
    void (*exact)(void *context, const uint32_t *items, uint32_t count, float *out_scores);
    void *context;
};
/* Best first; gives their number. About 100 KB of stack. */
uint32_t model_ann_search(const struct model_ann *ann, const struct model_ann_query *query,
                          uint32_t *out_items, float *out_scores);

#endif
