/* SPDX-License-Identifier: Apache-2.0
 *
 * trees: the prediction of boosted trees by an own kernel. Trees are read from a booster's JSON
 * artefact (what libxgboost 1.7 writes) into one flat array and predict without the library:
 *     margin(x) = sum over trees, in their order, of leaf(x)
 * in single precision, which is the library's own order of additions: equal bit for bit.
 * A row goes left where x[feature] < threshold, to the default side where x[feature] is NaN.
 *
 * The kernel walks a group of rows through one tree at a time, all to the tree's depth (leaves
 * point to themselves), so that the loads of the group overlap and no branch is guessed.
 *
 * Thread: parse and free by the owner; predict from any.
 *
 * Invariants
 *   TR1: every child index lies after its parent and inside its tree; every feature is below
 *        feature_count: a walk ends and reads only its row.
 */
#ifndef MODEL_TREES_H
#define MODEL_TREES_H

#include "base/base.h"

#define MODEL_TREES_MAX 4096
#define MODEL_TREES_NODES_MAX (1u << 20)
#define MODEL_TREES_DEPTH_MAX 32

struct model_trees;

/* FR_CORRUPT when the artefact is not such a model or breaks TR1; FR_UNSUPPORTED for categorical
 * splits, several classes or a base score other than 0.5 of a logistic objective. */
FR_MUST_USE enum fr_status model_trees_parse(struct fr_slice artefact, struct fr_error *error,
                                             struct model_trees **out_trees);
void model_trees_free(struct model_trees *trees);

/* How many trees it is. */
uint32_t model_trees_count(const struct model_trees *trees);
/* What a row has to have at least. */
uint32_t model_trees_feature_count(const struct model_trees *trees);

/* Margins (log odds) of `row_count` rows of `stride` floats. */
void model_trees_predict(const struct model_trees *trees, const float *rows, size_t stride,
                         size_t row_count, float *out_margin);

#endif
