/* SPDX-License-Identifier: Apache-2.0
 *
 * mlp: state and learning; see the door. Meta words of the weights table: [0] steps, [1] beta1^t
 * and [2] beta2^t as doubles, [3] the last loss as a float, [4] resets. Of the waiting table: [0]
 * how many wait, [1] the span of time they belong to.
 */
#include "model/mlp_priv.h"

#include "base/fmath.h"
#include "base/hash.h"
#include "model/ids.h"
#include "model/word.h"

#include <stdlib.h>
#include <string.h>

enum { META_STEPS, META_BETA1, META_BETA2, META_LOSS, META_RESETS };
enum { META_WAITING, META_SPAN };
enum { FLOATS_A_BLOCK = BASE_ROWS_BLOCK_BYTES / sizeof(float) };

/* A waiting example: this, then ids, then dense numbers. */
struct waiting {
    float label, weight, offset, unused;
};

void model_mlp_defaults(struct model_mlp_options *out_options)
{
    *out_options = (struct model_mlp_options){
        .layers = 3,
        .width = {128, 64, 1},
        .rate = 1e-3f,
        .beta1 = 0.9f,
        .beta2 = 0.999f,
        .epsilon = 1e-7f,
        .embedding_rate = 0.05f,
        .batch_count = 32,
        .seed = 1,
    };
}

/* ---- making ------------------------------------------------------------------------------- */

static void lay_out(struct model__mlp_shape *shape)
{
    uint32_t in = shape->options.dense + shape->options.slots * shape->options.dim, at = 0;
    shape->inputs = in;
    for (uint32_t l = 0; l < shape->options.layers; l++) {
        uint32_t out = shape->options.width[l];
        shape->layer[l] = (struct model__mlp_layer){in, out, at, at + in * out};
        at += in * out + out;
        in = out;
    }
    shape->weight_count = at;
}

static enum fr_status open_flat(const struct model_mlp *mlp, const char *name,
                                struct fr_error *error, struct base_rows **out_rows)
{
    uint32_t blocks = (mlp->shape.weight_count + FLOATS_A_BLOCK - 1) / FLOATS_A_BLOCK;
    struct base_rows_options table = {.name = name,
                                      .row_bytes = BASE_ROWS_BLOCK_BYTES,
                                      .count_max = blocks + 2};
    struct base_rows *rows;
    FR_TRY(base_rows_new(&table, error, &rows));
    FR_ASSERT(model_rows_reach(rows, blocks));
    const uint8_t *first = base_rows_at(rows, 1), *last = base_rows_at(rows, blocks);
    FR_ASSERT(last == first + (size_t)(blocks - 1) * BASE_ROWS_BLOCK_BYTES); /* MLP1 */
    *out_rows = rows;
    return FR_OK;
}

float *model__mlp_write_flat(struct base_rows *rows)
{
    for (uint32_t b = 1; b < base_rows_count(rows); b++)
        (void)base_rows_write(rows, b);
    return base_rows_write(rows, 1);
}

static enum fr_status open_tables(struct model_mlp *mlp, struct fr_error *error)
{
    static const char *const usual[MODEL_MLP_TABLES] = {"mlp_weights", "mlp_first", "mlp_second",
                                                        "mlp_waiting", "mlp_embeddings"};
    const struct model_mlp_options *options = &mlp->shape.options;
    const char *const *names = options->names ? options->names : usual;
    FR_TRY(open_flat(mlp, names[0], error, &mlp->weights));
    FR_TRY(open_flat(mlp, names[1], error, &mlp->first));
    FR_TRY(open_flat(mlp, names[2], error, &mlp->second));
    size_t bytes =
        sizeof(struct waiting) + options->slots * sizeof(uint32_t) + options->dense * sizeof(float);
    struct base_rows_options waiting = {.name = names[3],
                                        .row_bytes = (uint32_t)((bytes + 7) / 8 * 8),
                                        .count_max = options->batch_count + 2};
    FR_TRY(base_rows_new(&waiting, error, &mlp->waiting));
    FR_ASSERT(model_rows_reach(mlp->waiting, options->batch_count));
    if (options->slots == 0)
        return FR_OK;
    struct base_rows_options embeddings = {.name = names[4],
                                           .row_bytes = options->dim * 2 * sizeof(float),
                                           .count_max = options->id_max};
    return base_rows_new(&embeddings, error, &mlp->embeddings);
}

static enum fr_status open_views(struct model_mlp *mlp)
{
    for (int i = 0; i < MODEL_MLP_VIEWS; i++) {
        mlp->view[i].mlp = mlp;
        mlp->view[i].weights = calloc(mlp->shape.weight_count, sizeof(float));
        if (!mlp->view[i].weights)
            return FR_MEMORY;
    }
    return model__mlp_scratch_init(&mlp->shape, mlp->shape.options.batch_count, &mlp->scratch);
}

static void put_double(struct base_rows *rows, int meta, double value)
{
    memcpy(&base_rows_meta(rows)[meta], &value, sizeof(value));
}

static double get_double(struct base_rows *rows, int meta)
{
    double value;
    memcpy(&value, &base_rows_meta(rows)[meta], sizeof(value));
    return value;
}

enum fr_status model_mlp_new(const struct model_mlp_options *options, struct fr_error *error,
                             struct model_mlp **out_mlp)
{
    FR_ASSERT(options->layers >= 1 && options->layers <= MODEL_MLP_LAYERS_MAX);
    FR_ASSERT(options->width[options->layers - 1] == 1);
    FR_ASSERT(options->slots <= MODEL_MLP_SLOTS_MAX);
    FR_ASSERT(options->batch_count >= 1 && options->batch_count <= MODEL_MLP_BATCH_MAX);
    struct model_mlp *mlp = calloc(1, sizeof(*mlp));
    if (!mlp)
        return base_fail(error, FR_MEMORY, "model", "no memory for the network");
    mlp->shape.options = *options;
    mlp->ops = simd_ops();
    lay_out(&mlp->shape);
    FR_ASSERT(mlp->shape.inputs >= 1 && mlp->shape.inputs <= MODEL_MLP_WIDTH_MAX);
    enum fr_status status = open_tables(mlp, error);
    if (status == FR_OK)
        status = open_views(mlp);
    if (status != FR_OK) {
        model_mlp_free(mlp);
        return status;
    }
    put_double(mlp->weights, META_BETA1, 1.0);
    put_double(mlp->weights, META_BETA2, 1.0);
    for (uint32_t l = 0; l < options->layers; l++)
        model_mlp_reset_layer(mlp, l);
    (void)model_mlp_publish(mlp);
    *out_mlp = mlp;
    return FR_OK;
}

void model_mlp_free(struct model_mlp *mlp)
{
    if (!mlp)
        return;
    base_rows_free(mlp->weights);
    base_rows_free(mlp->first);
    base_rows_free(mlp->second);
    base_rows_free(mlp->waiting);
    base_rows_free(mlp->embeddings);
    for (int i = 0; i < MODEL_MLP_VIEWS; i++)
        free(mlp->view[i].weights);
    model__mlp_scratch_release(&mlp->scratch);
    free(mlp);
}

void model_mlp_tables(struct model_mlp *mlp, struct base_rows *out[MODEL_MLP_TABLES])
{
    out[0] = mlp->weights;
    out[1] = mlp->first;
    out[2] = mlp->second;
    out[3] = mlp->waiting;
    out[4] = mlp->embeddings;
}

uint64_t model_mlp_steps(const struct model_mlp *mlp)
{
    return FR_LOAD(base_rows_meta(mlp->weights)[META_STEPS]);
}

float model_mlp_last_loss(const struct model_mlp *mlp)
{
    return (float)get_double(mlp->weights, META_LOSS);
}

uint32_t model_mlp_weight_count(const struct model_mlp *mlp)
{
    return mlp->shape.weight_count;
}

float *model_mlp_weights(struct model_mlp *mlp)
{
    return model__mlp_write_flat(mlp->weights);
}

static void clear_moments(struct model_mlp *mlp, const struct model__mlp_layer *layer)
{
    size_t bytes = ((size_t)layer->in * layer->out + layer->out) * sizeof(float);
    memset(model__mlp_write_flat(mlp->first) + layer->kernel, 0, bytes);
    memset(model__mlp_write_flat(mlp->second) + layer->kernel, 0, bytes);
}

void model_mlp_reset_layer(struct model_mlp *mlp, uint32_t l)
{
    FR_ASSERT(l < mlp->shape.options.layers);
    const struct model__mlp_layer *layer = &mlp->shape.layer[l];
    uint64_t draw = base_rows_meta(mlp->weights)[META_RESETS]++;
    float *w = model__mlp_write_flat(mlp->weights);
    float limit = __builtin_sqrtf(6.0f / (float)(layer->in + layer->out));
    for (uint32_t i = 0; i < layer->in * layer->out; i++)
        w[layer->kernel + i] =
            (float)(base_random_unit(mlp->shape.options.seed, draw, i) * 2 - 1) * limit;
    memset(w + layer->bias, 0, layer->out * sizeof(float));
    clear_moments(mlp, layer);
}

/* ---- the batch ------------------------------------------------------------------------------ */

static const uint32_t *ids_of(const struct waiting *waiting)
{
    return (const uint32_t *)(waiting + 1);
}

static uint32_t waiting_count(const struct model_mlp *mlp)
{
    return (uint32_t)base_rows_meta(mlp->waiting)[META_WAITING];
}

static void gather_waiting(const struct model_mlp *mlp, uint32_t count)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    for (uint32_t i = 0; i < count; i++) {
        const struct waiting *waiting = base_rows_at(mlp->waiting, i + 1);
        const uint32_t *ids = ids_of(waiting);
        struct model_mlp_input input = {.dense = (const float *)(ids + options->slots),
                                        .ids = ids,
                                        .count = 1};
        model__mlp_gather(mlp, input, mlp->scratch.x + (size_t)i * mlp->shape.inputs);
    }
}

/* log(1 + e^z) - y z, without overflow. */
static float loss_of(float z, float y)
{
    float positive = z > 0 ? z : 0.0f;
    return positive - y * z + base_logf(1.0f + base_expf(z > 0 ? -z : z));
}

/* The loss, and the derivative of its sum by each logit. */
static float differentiate(const struct model_mlp *mlp, uint32_t count)
{
    uint32_t last = mlp->shape.options.layers - 1;
    float loss = 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        const struct waiting *waiting = base_rows_at(mlp->waiting, i + 1);
        float z = mlp->scratch.a[last][i] + waiting->offset;
        loss += waiting->weight * loss_of(z, waiting->label);
        mlp->scratch.da[last][i] = waiting->weight * (base_sigmoidf(z) - waiting->label);
    }
    return loss / (float)count;
}

/* Multiplies a hidden layer's outputs by 0 or 1 / (1 - dropout); the mask has 1/256 steps. */
static void drop_out(const struct model_mlp *mlp, uint32_t l, uint32_t count)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    uint32_t threshold = (uint32_t)(options->dropout * 256.0f), n = count * options->width[l];
    float scale = 256.0f / (256.0f - (float)threshold), *a = mlp->scratch.a[l];
    uint64_t key = model_mlp_steps(mlp) * MODEL_MLP_LAYERS_MAX + l;
    for (uint32_t i = 0; i < n; i += 8) {
        uint64_t bits = base_random_u64(options->seed ^ 0xd509u, key, i);
        for (uint32_t j = i; j < n && j < i + 8; j++, bits >>= 8)
            a[j] = (bits & 255) < threshold ? 0.0f : a[j] * scale;
    }
}

static void forward_dropout(const struct model_mlp *mlp, const float *weights, uint32_t count)
{
    const float *x = mlp->scratch.x;
    for (uint32_t l = 0; l < mlp->shape.options.layers; l++) {
        const struct model__mlp_layer *layer = &mlp->shape.layer[l];
        bool hidden = l + 1 < mlp->shape.options.layers;
        struct simd_dense dense = {x,
                                   weights + layer->kernel,
                                   weights + layer->bias,
                                   mlp->scratch.a[l],
                                   count,
                                   layer->in,
                                   layer->out,
                                   hidden};
        mlp->ops->dense(&dense);
        if (hidden)
            drop_out(mlp, l, count);
        x = mlp->scratch.a[l];
    }
}

/* From da of the last layer to the gradient of all weights (sums, not means) and dx. An output of
 * zero, by ReLU or by dropout, passes nothing on; `scale` is dropout's. */
static void backward(struct model_mlp *mlp, const float *weights, uint32_t count, float scale)
{
    struct model__mlp_scratch *scratch = &mlp->scratch;
    memset(scratch->gradient, 0, mlp->shape.weight_count * sizeof(float));
    for (uint32_t l = mlp->shape.options.layers; l-- > 0;) {
        const struct model__mlp_layer *layer = &mlp->shape.layer[l];
        struct simd_dense_grad grad = {.x = l ? scratch->a[l - 1] : scratch->x,
                                       .w = weights + layer->kernel,
                                       .dy = scratch->da[l],
                                       .dw = scratch->gradient + layer->kernel,
                                       .dbias = scratch->gradient + layer->bias,
                                       .dx = l                 ? scratch->da[l - 1]
                                             : mlp->embeddings ? scratch->dx
                                                               : NULL,
                                       .batch = count,
                                       .in = layer->in,
                                       .out = layer->out};
        mlp->ops->dense_grad(&grad);
        for (uint32_t i = 0; l && i < count * layer->in; i++)
            scratch->da[l - 1][i] = scratch->a[l - 1][i] > 0 ? scratch->da[l - 1][i] * scale : 0.0f;
    }
}

static void step_embeddings(struct model_mlp *mlp, uint32_t count, float scale)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    float g[MODEL_MLP_WIDTH_MAX];
    for (uint32_t i = 0; i < count && mlp->embeddings; i++) {
        const uint32_t *ids = ids_of(base_rows_at(mlp->waiting, i + 1));
        const float *dx = mlp->scratch.dx + (size_t)i * mlp->shape.inputs + options->dense;
        for (uint32_t s = 0; s < options->slots; s++, dx += options->dim) {
            if (ids[s] == 0 || ids[s] >= base_rows_count(mlp->embeddings))
                continue;
            float *row = base_rows_write(mlp->embeddings, ids[s]);
            for (uint32_t k = 0; k < options->dim; k++)
                g[k] = dx[k] * scale;
            mlp->ops->adagrad(&(struct simd_adagrad){row, row + options->dim, g, options->dim,
                                                     options->embedding_rate, 0.0f});
        }
    }
}

static void step_weights(struct model_mlp *mlp, float scale)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    double beta1 = get_double(mlp->weights, META_BETA1) * (double)options->beta1;
    double beta2 = get_double(mlp->weights, META_BETA2) * (double)options->beta2;
    put_double(mlp->weights, META_BETA1, beta1);
    put_double(mlp->weights, META_BETA2, beta2);
    float *w = model__mlp_write_flat(mlp->weights), *m = model__mlp_write_flat(mlp->first);
    float *v = model__mlp_write_flat(mlp->second);
    struct simd_adam adam = {.rate = (float)((double)options->rate * __builtin_sqrt(1.0 - beta2) /
                                             (1.0 - beta1)),
                             .beta1 = options->beta1,
                             .beta2 = options->beta2,
                             .epsilon = options->epsilon,
                             .g_scale = scale};
    for (uint32_t l = 0; l < options->layers; l++) {
        const struct model__mlp_layer *layer = &mlp->shape.layer[l];
        const uint32_t at[2] = {layer->kernel, layer->bias};
        const uint32_t n[2] = {layer->in * layer->out, layer->out};
        for (int part = 0; part < 2; part++) {
            adam.w = w + at[part];
            adam.m = m + at[part];
            adam.v = v + at[part];
            adam.g = mlp->scratch.gradient + at[part];
            adam.n = n[part];
            adam.l2 = part == 0 ? options->l2 : 0.0f;
            mlp->ops->adam(&adam);
        }
    }
}

bool model_mlp_step(struct model_mlp *mlp)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    uint32_t count = waiting_count(mlp);
    if (count == 0)
        return false;
    const float *weights = base_rows_at(mlp->weights, 1);
    bool dropped = options->dropout > 0;
    gather_waiting(mlp, count);
    if (dropped)
        forward_dropout(mlp, weights, count);
    else
        model__mlp_forward(mlp, weights, count, &mlp->scratch);
    put_double(mlp->weights, META_LOSS, (double)differentiate(mlp, count));
    float threshold = (float)(uint32_t)(options->dropout * 256.0f);
    backward(mlp, weights, count, dropped ? 256.0f / (256.0f - threshold) : 1.0f);
    float scale = 1.0f / (float)count, *gradient = mlp->scratch.gradient;
    if (options->clip > 0) {
        float norm = __builtin_sqrtf(mlp->ops->dot(gradient, gradient, mlp->shape.weight_count));
        if (norm * scale > options->clip)
            scale = options->clip / norm;
    }
    step_embeddings(mlp, count, scale);
    step_weights(mlp, scale);
    base_rows_meta(mlp->weights)[META_STEPS]++;
    base_rows_meta(mlp->waiting)[META_WAITING] = 0;
    return true;
}

float model_mlp_gradient(struct model_mlp *mlp, float *out_gradient)
{
    uint32_t count = waiting_count(mlp);
    if (count == 0)
        return 0.0f;
    const float *weights = base_rows_at(mlp->weights, 1);
    gather_waiting(mlp, count);
    model__mlp_forward(mlp, weights, count, &mlp->scratch);
    float loss = differentiate(mlp, count);
    if (out_gradient) {
        backward(mlp, weights, count, 1.0f);
        for (uint32_t i = 0; i < mlp->shape.weight_count; i++)
            out_gradient[i] = mlp->scratch.gradient[i] / (float)count;
    }
    return loss;
}

void model__mlp_embedding_init(const struct model_mlp *mlp, uint32_t id, float *row)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    for (uint32_t k = 0; k < options->dim; k++) {
        row[k] = (float)(base_random_unit(options->seed + 1, id, k) - 0.5) * 0.1f;
        row[options->dim + k] = 1e-2f;
    }
}

static void reach_embedding(struct model_mlp *mlp, uint32_t id)
{
    while (id >= base_rows_count(mlp->embeddings)) {
        uint32_t made = base_rows_add(mlp->embeddings);
        if (made == 0)
            return; /* a full table: the id stays without an embedding */
        model__mlp_embedding_init(mlp, made, base_rows_write(mlp->embeddings, made));
    }
}

bool model_mlp_learn(struct model_mlp *mlp, struct model_mlp_input input,
                     struct model_mlp_target target)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    uint64_t *meta = base_rows_meta(mlp->waiting);
    uint64_t span = options->batch_s ? target.now_s / options->batch_s : 0;
    bool stepped = span != meta[META_SPAN] && model_mlp_step(mlp);
    meta[META_SPAN] = span;
    struct waiting *waiting = base_rows_write(mlp->waiting, (uint32_t)meta[META_WAITING] + 1);
    *waiting = (struct waiting){target.label, target.weight, target.offset, 0};
    uint32_t *ids = (uint32_t *)(waiting + 1);
    for (uint32_t s = 0; s < options->slots; s++) {
        ids[s] = input.ids[s];
        reach_embedding(mlp, ids[s]);
    }
    memcpy(ids + options->slots, input.dense, options->dense * sizeof(float));
    meta[META_WAITING]++;
    if (meta[META_WAITING] == options->batch_count)
        stepped = model_mlp_step(mlp) || stepped;
    return stepped;
}
