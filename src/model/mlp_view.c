/* SPDX-License-Identifier: Apache-2.0
 *
 * mlp: gathering inputs, the forward pass, and the published copies of the weights that readers
 * use. A view is rewritten only while nobody holds it and it is not the current one; a reader that
 * took the current one just as it stopped being so counts itself in first and then looks again.
 */
#include "model/mlp_priv.h"

#include <stdlib.h>
#include <string.h>

enum fr_status model__mlp_scratch_init(const struct model__mlp_shape *shape, uint32_t count,
                                       struct model__mlp_scratch *out_scratch)
{
    struct model__mlp_scratch scratch = {0};
    size_t width = shape->inputs;
    bool ok = (scratch.x = calloc(count * width, sizeof(float))) != NULL;
    ok = ok && (scratch.dx = calloc(count * width, sizeof(float))) != NULL;
    for (uint32_t l = 0; l < shape->options.layers; l++) {
        width = shape->options.width[l];
        ok = ok && (scratch.a[l] = calloc(count * width, sizeof(float))) != NULL;
        ok = ok && (scratch.da[l] = calloc(count * width, sizeof(float))) != NULL;
    }
    ok = ok && (scratch.gradient = calloc(shape->weight_count, sizeof(float))) != NULL;
    if (!ok) {
        model__mlp_scratch_release(&scratch);
        return FR_MEMORY;
    }
    *out_scratch = scratch;
    return FR_OK;
}

void model__mlp_scratch_release(struct model__mlp_scratch *scratch)
{
    free(scratch->x);
    free(scratch->dx);
    free(scratch->gradient);
    for (int l = 0; l < MODEL_MLP_LAYERS_MAX; l++) {
        free(scratch->a[l]);
        free(scratch->da[l]);
    }
}

void model__mlp_gather(const struct model_mlp *mlp, struct model_mlp_input input, float *x)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    for (uint32_t i = 0; i < input.count; i++) {
        memcpy(x, input.dense + (size_t)i * options->dense, options->dense * sizeof(float));
        x += options->dense;
        for (uint32_t s = 0; s < options->slots; s++, x += options->dim) {
            uint32_t id = input.ids[i * options->slots + s];
            if (id != 0 && id < base_rows_count(mlp->embeddings))
                base_rows_copy(x, base_rows_at(mlp->embeddings, id), options->dim * sizeof(float));
            else
                memset(x, 0, options->dim * sizeof(float));
        }
    }
}

void model__mlp_forward(const struct model_mlp *mlp, const float *weights, uint32_t count,
                        struct model__mlp_scratch *scratch)
{
    const float *x = scratch->x;
    for (uint32_t l = 0; l < mlp->shape.options.layers; l++) {
        const struct model__mlp_layer *layer = &mlp->shape.layer[l];
        struct simd_dense dense = {x,
                                   weights + layer->kernel,
                                   weights + layer->bias,
                                   scratch->a[l],
                                   count,
                                   layer->in,
                                   layer->out,
                                   l + 1 < mlp->shape.options.layers};
        mlp->ops->dense(&dense);
        x = scratch->a[l];
    }
}

/* A few rows at a time on the stack: MODEL_MLP_WIDTH_MAX floats each for inputs and layers. */
enum { PART = 16 };

static void score(const struct model_mlp *mlp, const float *weights, struct model_mlp_input input,
                  float *out_logits)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    float x[PART * MODEL_MLP_WIDTH_MAX], a[MODEL_MLP_LAYERS_MAX][PART * MODEL_MLP_WIDTH_MAX];
    struct model__mlp_scratch scratch = {.x = x};
    for (uint32_t l = 0; l < options->layers; l++)
        scratch.a[l] = a[l];
    for (uint32_t at = 0; at < input.count; at += PART) {
        struct model_mlp_input part = {.dense = input.dense + (size_t)at * options->dense,
                                       .ids = input.ids ? input.ids + (size_t)at * options->slots
                                                        : NULL,
                                       .count = FR_MIN(input.count - at, (uint32_t)PART)};
        model__mlp_gather(mlp, part, x);
        model__mlp_forward(mlp, weights, part.count, &scratch);
        memcpy(out_logits + at, a[options->layers - 1], part.count * sizeof(float));
    }
}

void model_mlp_score(struct model_mlp *mlp, struct model_mlp_input input, float *out_logits)
{
    score(mlp, base_rows_at(mlp->weights, 1), input, out_logits);
}

bool model_mlp_publish(struct model_mlp *mlp)
{
    int32_t current = __atomic_load_n(&mlp->current, __ATOMIC_RELAXED);
    for (int32_t i = 0; i < MODEL_MLP_VIEWS; i++) {
        struct model_mlp_view *view = &mlp->view[i];
        /* sequentially consistent with acquire's count and look: see there */
        if (i == current || __atomic_load_n(&view->holders, __ATOMIC_SEQ_CST) != 0)
            continue;
        memcpy(view->weights, base_rows_at(mlp->weights, 1),
               mlp->shape.weight_count * sizeof(float));
        __atomic_store_n(&mlp->current, i, __ATOMIC_SEQ_CST);
        return true;
    }
    return false;
}

struct model_mlp_view *model_mlp_acquire(struct model_mlp *mlp)
{
    for (;;) {
        int32_t current = __atomic_load_n(&mlp->current, __ATOMIC_SEQ_CST);
        struct model_mlp_view *view = &mlp->view[current];
        __atomic_add_fetch(&view->holders, 1, __ATOMIC_SEQ_CST);
        /* Still the current one after the count: the writer cannot have passed its test of holders
         * for it before, for it does not rewrite the current view. */
        if (__atomic_load_n(&mlp->current, __ATOMIC_SEQ_CST) == current)
            return view;
        __atomic_sub_fetch(&view->holders, 1, __ATOMIC_SEQ_CST);
    }
}

void model_mlp_drop(struct model_mlp_view *view)
{
    if (view)
        __atomic_sub_fetch(&view->holders, 1, __ATOMIC_SEQ_CST);
}

void model_mlp_view_score(const struct model_mlp_view *view, struct model_mlp_input input,
                          float *out_logits)
{
    FR_ASSERT(input.count <= MODEL_MLP_BATCH_MAX);
    score(view->mlp, view->weights, input, out_logits);
}
