/* SPDX-License-Identifier: Apache-2.0
 *
 * mlp, inside: what learning (mlp.c), scoring and views (mlp_view.c) and import (mlp_import.c)
 * share. MLP1: the blocks of a table of whole blocks lie one after the other, so that `flat` arrays
 * of weights may run across them (checked when the table is made).
 */
#ifndef MODEL_MLP_PRIV_H
#define MODEL_MLP_PRIV_H

#include "model/mlp.h"
#include "simd/simd.h"

struct model__mlp_layer {
    uint32_t in, out;
    uint32_t kernel, bias; /* where they begin in the flat weights */
};

/* The shape, shared by the learner and its views. */
struct model__mlp_shape {
    struct model_mlp_options options;
    struct model__mlp_layer layer[MODEL_MLP_LAYERS_MAX];
    uint32_t inputs, weight_count;
};

struct model_mlp_view {
    struct model_mlp *mlp;
    float *weights;
    int32_t holders; /* atomic */
};

/* Memory of one pass over a batch: inputs, activations and their derivatives. */
struct model__mlp_scratch {
    float *x, *dx;
    float *a[MODEL_MLP_LAYERS_MAX], *da[MODEL_MLP_LAYERS_MAX];
    float *gradient;
};

struct model_mlp {
    struct model__mlp_shape shape;
    const struct simd_ops *ops;
    struct base_rows *weights, *first, *second; /* whole blocks */
    struct base_rows *waiting, *embeddings;     /* embeddings NULL with slots 0 */
    struct model__mlp_scratch scratch;
    struct model_mlp_view view[MODEL_MLP_VIEWS];
    int32_t current; /* atomic: the view readers get */
};

/* Gathers dense numbers and embeddings of the examples into x. */
void model__mlp_gather(const struct model_mlp *mlp, struct model_mlp_input input, float *x);
/* x through all layers; a[l] gets each layer's output. `weights`: flat. */
void model__mlp_forward(const struct model_mlp *mlp, const float *weights, uint32_t count,
                        struct model__mlp_scratch *scratch);
/* The flat array for changing it: every block is announced to a running snapshot. */
float *model__mlp_write_flat(struct base_rows *rows);
/* An embedding that has never been used starts near zero, by its id: row[dim], squares[dim]. */
void model__mlp_embedding_init(const struct model_mlp *mlp, uint32_t id, float *row);
/* Room for `count` examples; FR_MEMORY leaves nothing behind. */
FR_MUST_USE enum fr_status model__mlp_scratch_init(const struct model__mlp_shape *shape,
                                                   uint32_t count,
                                                   struct model__mlp_scratch *out_scratch);
void model__mlp_scratch_release(struct model__mlp_scratch *scratch);

#endif
