/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder: two towers whose user side is the history. With the newest items h_1, h_2, ... h_n
 *     x   = s_n * sum_i gate_i (*) age_i (*) In[h_i]
 *                                              gate_i: learnt per place, begins at recency^(i-1)
 *                                              age_i: learnt per class of age, begins at 1
 *           + sum_v Value[v]                   of the context's values (hour, region, ...), begin at 0
 *     u   = x + W2 relu(W1 x + b1)              when hidden > 0, else u = x
 *     z_j = u . Out[j] + bias_j
 * ((*) element by element, s_n = 1 / sqrt(sum_i recency^(2i-2))).
 *
 * Learning: softmax over the next item, either full (over all items seen so far) or sampled: half
 * of the negatives uniform over the items, half drawn from a ring of the newest targets, each logit
 * corrected by -log of its expected draws (logQ: Yi RecSys'19; Bengio & Senecal 2008). Or among given
 * items, such as the candidates that the target was ranked with (model_encoder_learn_among()): hard
 * negatives, their scores already near. Or the gradient comes from outside: the residual of a blend
 * (model_encoder_step()). AdaGrad per weight
 * (Duchi 2011). Draws come from keyed randomness by (seed, step), so that the same events give the
 * same bits.
 *
 * State: tables of base_rows. Cost a step: O((history + negatives) d), full O(items d).
 *
 * Thread: learn, step: the writer. vector, scores: any; weights are single words that may be of two
 * neighbouring steps, which a gradient method does not mind.
 *
 * Invariants
 *   EN1: the `drawn` counts of the out rows sum to the number of targets in the ring.
 */
#ifndef MODEL_ENCODER_H
#define MODEL_ENCODER_H

#include "base/base.h"
#include "base/rows.h"

#define MODEL_ENCODER_DIMENSION_MAX 128
#define MODEL_ENCODER_HISTORY_MAX 64
#define MODEL_ENCODER_HIDDEN_MAX 256
#define MODEL_ENCODER_VALUES_MAX 16
#define MODEL_ENCODER_AGES 32 /* classes */
#define MODEL_ENCODER_TABLES 7

struct model_encoder;

struct model_encoder_options {
    uint32_t item_max;
    uint32_t dimension;  /* multiple of 16, <= MODEL_ENCODER_DIMENSION_MAX */
    uint32_t history;    /* newest items used */
    uint32_t hidden;     /* 0 = no layer; multiple of 16, <= MODEL_ENCODER_HIDDEN_MAX */
    uint32_t negatives;  /* of a sampled step; 0 = full softmax */
    uint32_t ring;       /* newest targets kept for drawing */
    uint32_t value_rows; /* rows that the values of contexts are hashed to; 0: there are none */
    float rate;          /* AdaGrad */
    float recency;
    float l2;
    uint64_t seed;
    const char *const *names; /* of the tables, static; NULL: "encoder-in" and so on */
};

void model_encoder_defaults(struct model_encoder_options *out_options);
FR_MUST_USE enum fr_status model_encoder_new(const struct model_encoder_options *options,
                                             struct fr_error *error,
                                             struct model_encoder **out_encoder);
void model_encoder_free(struct model_encoder *encoder);
/* The tables, in the order in which they are saved and hashed. */
void model_encoder_tables(struct model_encoder *encoder,
                          struct base_rows *out[MODEL_ENCODER_TABLES]);

/* Who is asked for. Without a known item in the history there is nothing to say or to learn. */
struct model_encoder_user {
    const uint32_t *history; /* newest first */
    const uint8_t *age;      /* class of each visit, < MODEL_ENCODER_AGES; NULL: there are none */
    uint32_t count;
    uint32_t value_count;   /* at most MODEL_ENCODER_VALUES_MAX */
    const uint32_t *values; /* of the context: any numbers that tell them apart */
    /* What stands for the sum over the history, `dimension` floats made by another network over
     * model_encoder_input(); NULL: that sum. Where a step puts d loss / d given; NULL: nowhere. */
    const float *given;
    float *gradient;
};

/* Writer. One step towards `target`. Gives -log of the softmax's probability of the target (sampled:
 * among the draws). An empty history only enters the item. */
float model_encoder_learn(struct model_encoder *encoder, const struct model_encoder_user *user,
                          uint32_t target);

/* Writer. One step of the softmax among at most MODEL_ENCODER_AMONG_MAX items, of which items[target]
 * is the target; unknown ones stand aside. A gradient below MODEL_ENCODER_RARE is followed with
 * probability gradient / MODEL_ENCODER_RARE and that weight, by (seed, step): its mean stays. */
enum { MODEL_ENCODER_AMONG_MAX = 1024 };
#define MODEL_ENCODER_RARE 0.02f
float model_encoder_learn_among(struct model_encoder *encoder,
                                const struct model_encoder_user *user, const uint32_t *items,
                                uint32_t item_count, uint32_t target);

/* Scores and their gradients, for items of a step. */
struct model_encoder_part {
    const uint32_t *items;
    const float *gradient; /* d loss / d z */
    uint32_t count;
};
/* Writer. One step along gradients from outside; unknown items are made. */
void model_encoder_step(struct model_encoder *encoder, const struct model_encoder_user *user,
                        const struct model_encoder_part *part);

/* Writer. As if the item had never been seen; the sweep has taken it out of the ring. */
void model_encoder_forget(struct model_encoder *encoder, uint32_t item);
/* Writer. Drops gone items (state_item_gone()) from a piece of the ring, from row *at on; true: from the
 * last one. */
struct state;
bool model_encoder_sweep(struct model_encoder *encoder, const struct state *state, uint32_t *at);

/* Writer. The items whose Out vectors the last step changed, once: none when asked again. Valid until
 * the next step. */
uint32_t model_encoder_changed(struct model_encoder *encoder, const uint32_t **out_items);

/* Writer. After a change of the world: what AdaGrad has summed counts for a hundredth, so that steps are
 * nearly as long as at first. One pass over all rows. */
void model_encoder_quicken(struct model_encoder *encoder);

/* u: `dimension` floats; false (zeros) when none of its items is known. Any thread.
 */
bool model_encoder_vector(const struct model_encoder *encoder,
                          const struct model_encoder_user *user, float *out_vector);
/* z for items (0 for unknown ones). Any thread. */
void model_encoder_scores(const struct model_encoder *encoder, const float *vector,
                          const uint32_t *items, uint32_t count, float *out_scores);
/* The same bits, read where they lie. Writer. */
void model_encoder_scores_in_place(const struct model_encoder *encoder, const float *vector,
                                   const uint32_t *items, uint32_t count, float *out_scores);
/* For such another network: an item's In vector (any thread; false: unknown), its AdaGrad step along a
 * gradient of its own, and rows for items that have none yet (both: writer). */
bool model_encoder_input(const struct model_encoder *encoder, uint32_t item, float *out);
void model_encoder_input_step(struct model_encoder *encoder, uint32_t item, const float *gradient);
void model_encoder_know(struct model_encoder *encoder, const uint32_t *items, uint32_t count);
/* An item's Out vector and bias: `dimension` + 1 floats, what an index of items holds. */
bool model_encoder_item(const struct model_encoder *encoder, uint32_t item, float *out);

/* The expert "encoder" (model/model.h) over it. */
struct model_expert;
extern const struct model_expert model_encoder_expert;

#endif
