/* SPDX-License-Identifier: Apache-2.0
 *
 * mlp: the neural ranker. Dense layers (128, 64, 1 by default), ReLU between, a sigmoid at the end,
 * over dense inputs and the embeddings of a few ids; log loss; Adam (Kingma and Ba 2015; defaults
 * of Keras: rate .001, beta .9 and .999, epsilon 1e-7), embeddings by AdaGrad.
 *
 *   loss of a batch = 1/n * sum of weight_i * logloss_i;  + l2 * |kernel|^2 / 2 for each kernel
 *
 * The gradient is clipped to the global norm `clip`; inverted dropout on the hidden layers, its masks
 * a function of (seed, step, place); kernels Glorot uniform, biases 0, embeddings uniform +- .05, by
 * key.
 *
 * Examples wait until `batch_count` are there or, with batch_s > 0, until the event time enters the
 * next span of batch_s seconds; then one step is taken. What waits is part of the state.
 *
 * State: weights, first and second moments in whole blocks of the row store (contiguous: MLP1); the
 * waiting examples; the embeddings { v[dim], s[dim] } by id. Step count and powers of beta in the
 * meta words. Readers use a published copy (model_mlp_publish, acquire, drop): at most
 * MODEL_MLP_VIEWS of them.
 *
 * Cost: forward 2 * weights flops an example, a step three times that and the Adam pass.
 * Thread: acquire, drop, view_score any; the rest the writer (or the deferred learner that owns
 * it).
 */
#ifndef MODEL_MLP_H
#define MODEL_MLP_H

#include "base/base.h"
#include "base/buf.h"
#include "base/rows.h"

enum {
    MODEL_MLP_LAYERS_MAX = 4,
    MODEL_MLP_WIDTH_MAX = 512, /* inputs and layers */
    MODEL_MLP_SLOTS_MAX = 16,
    MODEL_MLP_BATCH_MAX = 1024,
    MODEL_MLP_VIEWS = 4,
    MODEL_MLP_TABLES = 5,
};

struct model_mlp;
struct model_mlp_view;

struct model_mlp_options {
    uint32_t dense;      /* numbers of an example */
    uint32_t slots, dim; /* ids of an example, numbers of an embedding */
    uint32_t id_max;     /* embedding rows; 0 with slots 0 */
    uint32_t layers;     /* the last has width 1 */
    uint32_t width[MODEL_MLP_LAYERS_MAX];
    float rate, beta1, beta2, epsilon;
    float dropout, l2, clip; /* 0: none */
    float embedding_rate;
    uint32_t batch_count, batch_s;
    uint64_t seed;
    const char *const *names; /* of the tables, static; NULL: the usual ones */
};

/* 128-64-1, Adam .001, batches of 32, nothing else. */
void model_mlp_defaults(struct model_mlp_options *out_options);
FR_MUST_USE enum fr_status model_mlp_new(const struct model_mlp_options *options,
                                         struct fr_error *error, struct model_mlp **out_mlp);
void model_mlp_free(struct model_mlp *mlp);
void model_mlp_tables(struct model_mlp *mlp, struct base_rows *out[MODEL_MLP_TABLES]);

/* `count` examples: dense numbers row after row, then the ids of each (0: an embedding of zeros).
 */
struct model_mlp_input {
    const float *dense;
    const uint32_t *ids;
    uint32_t count;
};
/* Logits of the current weights, without dropout. */
void model_mlp_score(struct model_mlp *mlp, struct model_mlp_input input, float *out_logits);

struct model_mlp_target {
    float label, weight;
    float offset; /* added to the logit: the network learns what is left over */
    uint32_t now_s;
};
/* Adds one example (input.count is 1) and takes the step that is due. Gives true after a step. */
bool model_mlp_learn(struct model_mlp *mlp, struct model_mlp_input input,
                     struct model_mlp_target target);
/* Takes a step on what waits, if anything does. */
bool model_mlp_step(struct model_mlp *mlp);
uint64_t model_mlp_steps(const struct model_mlp *mlp);
float model_mlp_last_loss(const struct model_mlp *mlp); /* of the last step's batch, before it */

/* Mean loss over the waiting examples without dropout or l2; out_gradient (model_mlp_weight_count()
 * floats, may be NULL): its derivative by every weight. Changes nothing. */
float model_mlp_gradient(struct model_mlp *mlp, float *out_gradient);
uint32_t model_mlp_weight_count(const struct model_mlp *mlp);
float *model_mlp_weights(struct model_mlp *mlp); /* layer by layer: kernel in x out, bias */

/* A layer anew (kernel drawn afresh, bias and moments zero): on drift, or on command. */
void model_mlp_reset_layer(struct model_mlp *mlp, uint32_t layer);
/* A layer's kernel (in x out, row-major, as Keras keeps it) and bias from outside; moments zero.
 * FR_INVALID: a number that is not finite or beyond 1e6, or a layer that is not there. */
FR_MUST_USE enum fr_status model_mlp_import_layer(struct model_mlp *mlp, uint32_t layer,
                                                  const float *kernel, const float *bias,
                                                  struct fr_error *error);
/* All layers from the bytes of an .npz that numpy.savez(file, *keras_model.get_weights()) wrote
 * (arr_0 = kernel, arr_1 = bias, ...; float32, C order, not compressed). FR_INVALID says what does
 * not fit; nothing is changed then. */
FR_MUST_USE enum fr_status model_mlp_import_npz(struct model_mlp *mlp, struct fr_slice bytes,
                                                struct fr_error *error);

/* The same without changing anything. */
FR_MUST_USE enum fr_status model_mlp_check_npz(const struct model_mlp *mlp, struct fr_slice bytes,
                                               struct fr_error *error);

/* Writer of `to`. Everything but waiting examples becomes equal to `from`'s, which nobody may be
 * changing; both have the same shape. */
void model_mlp_copy(struct model_mlp *to, const struct model_mlp *from);
/* Of weights, moments and embeddings. */
uint64_t model_mlp_digest(const struct model_mlp *mlp);
bool model_mlp_is_finite(const struct model_mlp *mlp); /* all weights below a million */
/* A rate other than the options', until the next call. */
void model_mlp_set_rate(struct model_mlp *mlp, float rate);

/* Weights and embeddings as bytes, and back (moments start at zero). Format: mlp_file.c. check and
 * load say FR_UNSUPPORTED (another version), FR_INVALID (another shape, a number that is not finite
 * or beyond a million), FR_CORRUPT (cut short, a wrong checksum), what and where; load changes
 * nothing then. */
FR_MUST_USE enum fr_status model_mlp_save(const struct model_mlp *mlp, struct base_buf *out);
bool model_mlp_is_saved(struct fr_slice bytes); /* begins as save() writes it */
FR_MUST_USE enum fr_status model_mlp_check(const struct model_mlp *mlp, struct fr_slice bytes,
                                           struct fr_error *error);
FR_MUST_USE enum fr_status model_mlp_load(struct model_mlp *mlp, struct fr_slice bytes,
                                          struct fr_error *error);

/* Copies the weights into a free view and makes it the one that readers get; false when all views
 * but the current one are held: readers go on with the older weights. */
bool model_mlp_publish(struct model_mlp *mlp);
struct model_mlp_view *model_mlp_acquire(struct model_mlp *mlp);
void model_mlp_drop(struct model_mlp_view *view);
/* At most MODEL_MLP_BATCH_MAX examples. */
void model_mlp_view_score(const struct model_mlp_view *view, struct model_mlp_input input,
                          float *out_logits);

#endif
