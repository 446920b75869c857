/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder: see the door. Row layouts (saved), d = dimension:
 *   in    float weights[d], sums[d]
 *   out   float weights[d], bias, pad[13]; u32 drawn, known; float sums[d], bias_sum; pad
 *   gate  float weights[d], sums[d]                        one a place of the history
 *   layer float weights[w], sums[w]                        rows of W1 (hidden x (d + 1)) then W2'
 *   ring  u32 target, spare
 *   value float weights[d], sums[d]                        one a hashed value of a context
 *   age   float weights[d], sums[d]                        one a class of age
 * The layer holds W1's rows with their bias at the end and W2's columns, both by hidden
 * unit. The writer changes a row in scratch and puts the words that readers see; sums are its own.
 */
#include "model/encoder.h"

#include "base/fmath.h"
#include "base/hash.h"
#include "simd/simd.h"
#include "state/expire.h"

#include <stdlib.h>
#include <string.h>

enum { ENC_IN, ENC_OUT, ENC_GATE, ENC_LAYER, ENC_RING, ENC_VALUE, ENC_AGE };
enum { META_STEPS, META_RING_NEXT, META_KNOWN }; /* of the out table */

#define SUM_FIRST 0.1f /* AdaGrad's sums begin here */
#define DRAWS_MAX 1024
#define SWEEP_ROWS 1024
#define TILE 16 /* out rows pad their bias to a vector, so that one step covers both */

struct out_tail { /* beside the bias, so that a score reads one line less */
    uint32_t drawn, known;
};
_Static_assert(DRAWS_MAX >= MODEL_ENCODER_AMONG_MAX, "room for all of them");
_Static_assert(sizeof(struct out_tail) <= (TILE - 1) * sizeof(float), "fits the padding");

struct model_encoder {
    struct model_encoder_options options;
    struct base_rows *tables[MODEL_ENCODER_TABLES];
    uint32_t width; /* of an out row's weights: dimension + TILE */
    float scale[MODEL_ENCODER_HISTORY_MAX + 1];
    float *row;              /* scratch: one row's weights and sums */
    float *gradient;         /* scratch: one row's gradient */
    float *age_gradient;     /* scratch: one a class; zero between two steps */
    uint32_t *draws;         /* items of a step; full softmax: all */
    const uint32_t *changed; /* [changed_count] of the last step */
    uint32_t changed_count;
    float *logits;
};

/* One forward pass, kept for the backward one. */
struct pass {
    uint32_t items[MODEL_ENCODER_HISTORY_MAX], places[MODEL_ENCODER_HISTORY_MAX], count;
    uint32_t ages[MODEL_ENCODER_HISTORY_MAX];               /* rows; 0: none */
    uint32_t values[MODEL_ENCODER_VALUES_MAX], value_count; /* rows */
    bool known;                                             /* is there anything to say */
    float *gradient;                                        /* of what was given; NULL */
    float x[MODEL_ENCODER_DIMENSION_MAX], u[MODEL_ENCODER_DIMENSION_MAX];
    float hidden[MODEL_ENCODER_HIDDEN_MAX];
};

void model_encoder_defaults(struct model_encoder_options *out_options)
{
    *out_options = (struct model_encoder_options){
        .item_max = 1u << 20,
        .dimension = 64,
        .history = 20,
        .hidden = 0,
        .negatives = 128,
        .ring = 65536,
        .rate = 0.1f,
        .recency = 0.9f,
        .l2 = 0.0f,
        .seed = 1,
    };
}

static enum fr_status options_check(const struct model_encoder_options *o, struct fr_error *error)
{
    if (o->dimension % TILE || !o->dimension || o->dimension > MODEL_ENCODER_DIMENSION_MAX ||
        o->hidden % TILE || o->hidden > MODEL_ENCODER_HIDDEN_MAX || !o->history ||
        o->history > MODEL_ENCODER_HISTORY_MAX || o->negatives >= DRAWS_MAX || !o->ring ||
        o->item_max < 2)
        return base_fail(error, FR_INVALID, "model",
                         "encoder: dimension %u, hidden %u, history %u, negatives %u", o->dimension,
                         o->hidden, o->history, o->negatives);
    return FR_OK;
}

static enum fr_status tables_new(struct model_encoder *encoder, struct fr_error *error)
{
    const struct model_encoder_options *o = &encoder->options;
    uint32_t d = o->dimension;
    static const char *const names[MODEL_ENCODER_TABLES] = {"encoder-in",   "encoder-out",
                                                            "encoder-gate", "encoder-layer",
                                                            "encoder-ring", "encoder-value",
                                                            "encoder-age"};
    const char *const *name = o->names ? o->names : names;
    struct base_rows_options tables[MODEL_ENCODER_TABLES] = {
        [ENC_IN] = {name[ENC_IN], 8 * d, o->item_max},
        [ENC_OUT] = {name[ENC_OUT], 8 * encoder->width, o->item_max},
        [ENC_GATE] = {name[ENC_GATE], 8 * d, o->history + 1},
        [ENC_LAYER] = {name[ENC_LAYER], 16 * (d + TILE), o->hidden + 2},
        [ENC_RING] = {name[ENC_RING], 8, o->ring + 1},
        [ENC_VALUE] = {name[ENC_VALUE], 8 * d, FR_MAX(o->value_rows, 1u) + 1},
        [ENC_AGE] = {name[ENC_AGE], 8 * d, MODEL_ENCODER_AGES + 1},
    };
    for (int t = 0; t < MODEL_ENCODER_TABLES; t++)
        FR_TRY(base_rows_new(&tables[t], error, &encoder->tables[t]));
    return FR_OK;
}

/* Uniform in +-range, a function of (seed, table, row, k) only. */
static float draw_weight(const struct model_encoder *encoder, uint64_t id, uint32_t k, float range)
{
    double unit = base_random_unit(encoder->options.seed, id, k);
    return ((float)unit * 2.0f - 1.0f) * range;
}

static float inverse_root(float x)
{
    return base_exp2f(-0.5f * base_log2f(x));
}

/* Ages, gates, values and the hidden layer, once. */
static void constant_rows(struct model_encoder *encoder)
{
    const struct model_encoder_options *o = &encoder->options;
    uint32_t d = o->dimension, w = d + TILE;
    float recency = 1.0f;
    for (uint32_t a = 1; a <= MODEL_ENCODER_AGES; a++) {
        float *row =
            base_rows_write(encoder->tables[ENC_AGE], base_rows_add(encoder->tables[ENC_AGE]));
        for (uint32_t k = 0; k < d; k++) {
            row[k] = 1.0f;
            row[d + k] = SUM_FIRST;
        }
    }
    for (uint32_t i = 1; i <= o->history; i++, recency *= o->recency) {
        float *row =
            base_rows_write(encoder->tables[ENC_GATE], base_rows_add(encoder->tables[ENC_GATE]));
        for (uint32_t k = 0; k < d; k++) {
            row[k] = recency;
            row[d + k] = SUM_FIRST;
        }
    }
    for (uint32_t v = 1; v <= o->value_rows; v++) {
        float *row =
            base_rows_write(encoder->tables[ENC_VALUE], base_rows_add(encoder->tables[ENC_VALUE]));
        for (uint32_t k = 0; k < d; k++)
            row[d + k] = SUM_FIRST;
    }
    for (uint32_t h = 1; h <= o->hidden; h++) {
        float *row =
            base_rows_write(encoder->tables[ENC_LAYER], base_rows_add(encoder->tables[ENC_LAYER]));
        for (uint32_t k = 0; k < d; k++) /* W2 begins at zero: u = x */
            row[k] = draw_weight(encoder, (uint64_t)3 << 32 | h, k, inverse_root((float)d));
        for (uint32_t k = 0; k < 2 * w; k++)
            row[2 * w + k] = SUM_FIRST;
    }
}

enum fr_status model_encoder_new(const struct model_encoder_options *options,
                                 struct fr_error *error, struct model_encoder **out_encoder)
{
    FR_TRY(options_check(options, error));
    struct model_encoder *encoder = calloc(1, sizeof(*encoder));
    if (!encoder)
        return base_fail(error, FR_MEMORY, "model", "no memory for the encoder");
    encoder->options = *options;
    encoder->width = options->dimension + TILE;
    uint32_t draws =
        options->negatives ? DRAWS_MAX : FR_MAX(options->item_max, (uint32_t)DRAWS_MAX);
    encoder->row = calloc(4u * encoder->width + 16, sizeof(float));
    encoder->gradient = calloc(2u * encoder->width, sizeof(float));
    encoder->age_gradient = calloc((1ul + MODEL_ENCODER_AGES) * options->dimension, sizeof(float));
    encoder->draws = calloc(draws, sizeof(uint32_t));
    encoder->logits = calloc(draws, sizeof(float));
    enum fr_status status = FR_MEMORY;
    if (encoder->row && encoder->gradient && encoder->age_gradient && encoder->draws &&
        encoder->logits)
        status = tables_new(encoder, error);
    if (status != FR_OK) {
        model_encoder_free(encoder);
        return status;
    }
    float mass = 0.0f, weight = 1.0f;
    for (uint32_t n = 1; n <= options->history; n++, weight *= options->recency) {
        mass += weight * weight;
        encoder->scale[n] = inverse_root(mass);
    }
    constant_rows(encoder);
    *out_encoder = encoder;
    return FR_OK;
}

void model_encoder_free(struct model_encoder *encoder)
{
    if (!encoder)
        return;
    for (int t = 0; t < MODEL_ENCODER_TABLES; t++)
        base_rows_free(encoder->tables[t]);
    free(encoder->row);
    free(encoder->gradient);
    free(encoder->age_gradient);
    free(encoder->draws);
    free(encoder->logits);
    free(encoder);
}

void model_encoder_tables(struct model_encoder *encoder,
                          struct base_rows *out[MODEL_ENCODER_TABLES])
{
    memcpy(out, encoder->tables, sizeof(encoder->tables));
}

static struct out_tail *tail_of(const struct model_encoder *encoder, float *row)
{
    return (struct out_tail *)(void *)(row + encoder->width) - 1;
}

static const struct out_tail *tail_at(const struct model_encoder *encoder, uint32_t item)
{
    const float *row = base_rows_at(encoder->tables[ENC_OUT], item);
    return (const struct out_tail *)(const void *)(row + encoder->width) - 1;
}

static bool item_known(const struct model_encoder *encoder, uint32_t item)
{
    if (!item || item >= base_rows_count(encoder->tables[ENC_OUT]))
        return false;
    return FR_LOAD(tail_at(encoder, item)->known) != 0;
}

/* The item's rows with their first weights. `known` is stored last: readers skip the item before.
 */
static bool item_make(struct model_encoder *encoder, uint32_t item)
{
    if (item_known(encoder, item))
        return true;
    if (!item || item >= encoder->options.item_max)
        return false;
    uint32_t d = encoder->options.dimension, w = encoder->width;
    while (item >= base_rows_count(encoder->tables[ENC_IN]))
        if (!base_rows_add(encoder->tables[ENC_IN]))
            return false;
    while (item >= base_rows_count(encoder->tables[ENC_OUT]))
        if (!base_rows_add(encoder->tables[ENC_OUT]))
            return false;
    float *in = base_rows_write(encoder->tables[ENC_IN], item);
    float *out = base_rows_write(encoder->tables[ENC_OUT], item);
    float range = 0.5f * inverse_root((float)d);
    for (uint32_t k = 0; k < d; k++)
        in[d + k] = SUM_FIRST;
    for (uint32_t k = 0; k < w; k++)
        out[w + k] = SUM_FIRST;
    for (uint32_t k = 0; k < d; k++) {
        float first = draw_weight(encoder, (uint64_t)1 << 32 | item, k, range);
        base_rows_put(&in[k], &first, sizeof(first));
        first = draw_weight(encoder, (uint64_t)2 << 32 | item, k, range);
        base_rows_put(&out[k], &first, sizeof(first));
    }
    FR_STORE(tail_of(encoder, out)->known, 1);
    uint64_t *meta = base_rows_meta(encoder->tables[ENC_OUT]);
    meta[META_KNOWN]++;
    return true;
}

/* Two values that meet in a row share it. */
static void add_values(const struct model_encoder *encoder, const struct model_encoder_user *user,
                       struct pass *pass)
{
    uint32_t rows = encoder->options.value_rows, d = encoder->options.dimension;
    float value[MODEL_ENCODER_DIMENSION_MAX];
    pass->value_count = rows ? user->value_count : 0;
    for (uint32_t v = 0; v < pass->value_count; v++) {
        uint32_t row = 1 + (uint32_t)(base_mix64(user->values[v]) % rows);
        base_rows_copy(value, base_rows_at(encoder->tables[ENC_VALUE], row), 4 * d);
        for (uint32_t k = 0; k < d; k++)
            pass->x[k] += value[k];
        pass->values[v] = row;
    }
}

/* What an item at this place and of this age is multiplied by. */
static void gate_of(const struct model_encoder *encoder, uint32_t place, uint32_t age,
                    float gate[MODEL_ENCODER_DIMENSION_MAX])
{
    uint32_t d = encoder->options.dimension;
    float by[MODEL_ENCODER_DIMENSION_MAX];
    base_rows_copy(gate, base_rows_at(encoder->tables[ENC_GATE], place), 4 * d);
    if (!age)
        return;
    base_rows_copy(by, base_rows_at(encoder->tables[ENC_AGE], age), 4 * d);
    for (uint32_t k = 0; k < d; k++)
        gate[k] *= by[k];
}

static void forward(const struct model_encoder *encoder, const struct model_encoder_user *user,
                    struct pass *pass)
{
    const uint32_t *history = user->history;
    FR_ASSERT(user->value_count <= MODEL_ENCODER_VALUES_MAX);
    const struct simd_ops *simd = simd_ops();
    uint32_t d = encoder->options.dimension;
    float item[MODEL_ENCODER_DIMENSION_MAX], gate[MODEL_ENCODER_DIMENSION_MAX];
    memset(pass->x, 0, d * sizeof(float));
    pass->count = pass->value_count = 0;
    uint32_t count = user->given ? 0 : user->count;
    for (uint32_t i = 0; i < count && pass->count < encoder->options.history; i++) {
        if (!item_known(encoder, history[i]))
            continue;
        uint32_t place = pass->count + 1;
        base_rows_copy(item, base_rows_at(encoder->tables[ENC_IN], history[i]), 4 * d);
        uint32_t age = pass->ages[pass->count] = user->age ? 1u + user->age[i] : 0;
        gate_of(encoder, place, age, gate);
        for (uint32_t k = 0; k < d; k++)
            pass->x[k] += gate[k] * item[k];
        pass->items[pass->count] = history[i];
        pass->places[pass->count++] = place;
    }
    float scale = encoder->scale[pass->count];
    for (uint32_t k = 0; k < d; k++)
        pass->x[k] *= scale;
    if (user->given)
        memcpy(pass->x, user->given, d * sizeof(float));
    pass->gradient = user->gradient;
    pass->known = pass->count || user->given;
    if (pass->known)
        add_values(encoder, user, pass);
    memcpy(pass->u, pass->x, d * sizeof(float));
    float layer[2 * (MODEL_ENCODER_DIMENSION_MAX + TILE)];
    for (uint32_t h = 0; h < encoder->options.hidden; h++) {
        base_rows_copy(layer, base_rows_at(encoder->tables[ENC_LAYER], h + 1), 8 * (d + TILE));
        float z = simd->dot(layer, pass->x, d) + layer[d];
        pass->hidden[h] = z > 0.0f ? z : 0.0f;
        if (z > 0.0f)
            simd->axpy(pass->u, z, layer + d + TILE, d);
    }
}

/* The sums of a table's rows: `count` of them, `at` floats into each. */
static void quicken(struct base_rows *table, uint32_t at, uint32_t count)
{
    for (uint32_t r = 1; r < base_rows_count(table); r++) {
        float *sums = (float *)base_rows_write(table, r) + at;
        for (uint32_t k = 0; k < count; k++)
            sums[k] = sums[k] > SUM_FIRST ? FR_MAX(sums[k] * 0.01f, SUM_FIRST) : sums[k];
    }
}

void model_encoder_quicken(struct model_encoder *encoder)
{
    uint32_t d = encoder->options.dimension;
    for (int t = 0; t < MODEL_ENCODER_TABLES; t++)
        if (t == ENC_OUT)
            quicken(encoder->tables[t], encoder->width, d + 1);
        else if (t != ENC_LAYER && t != ENC_RING)
            quicken(encoder->tables[t], d, d);
}

/* AdaGrad on n weights of a row that readers see, its sums `width` on: in scratch, then put. */
static void row_step(struct model_encoder *encoder, float *row, uint32_t width, uint32_t n)
{
    struct simd_adagrad step = {.w = encoder->row,
                                .s = row + width,
                                .g = encoder->gradient,
                                .n = n,
                                .rate = encoder->options.rate,
                                .l2 = encoder->options.l2};
    memcpy(encoder->row, row, n * sizeof(float));
    simd_ops()->adagrad(&step);
    base_rows_put(row, encoder->row, n * sizeof(float));
}

/* du through the layer to dx, with the layer's own step. */
static void layer_back(struct model_encoder *encoder, const struct pass *pass, const float *du,
                       float *dx)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = encoder->options.dimension, w = d + TILE;
    memcpy(dx, du, d * sizeof(float));
    for (uint32_t h = 0; h < encoder->options.hidden; h++) {
        if (pass->hidden[h] <= 0.0f)
            continue;
        float *row = base_rows_write(encoder->tables[ENC_LAYER], h + 1);
        float dz = simd->dot(row + w, du, d);
        memset(encoder->gradient, 0, 2 * w * sizeof(float));
        simd->axpy(encoder->gradient, dz, pass->x, d);
        encoder->gradient[d] = dz;
        simd->axpy(encoder->gradient + w, pass->hidden[h], du, d);
        simd->axpy(dx, dz, row, d);
        row_step(encoder, row, 2 * w, 2 * w);
    }
}

/* Of one visit: its item's and its place's step, its share of its age's gradient. */
static void visit_back(struct model_encoder *encoder, const struct pass *pass, uint32_t i,
                       const float *dx)
{
    uint32_t d = encoder->options.dimension, age = pass->ages[i];
    float *in = base_rows_write(encoder->tables[ENC_IN], pass->items[i]);
    float *gate = base_rows_write(encoder->tables[ENC_GATE], pass->places[i]);
    const float *by = age ? base_rows_at(encoder->tables[ENC_AGE], age) : NULL;
    float *of_age = encoder->age_gradient + age * d, scale = encoder->scale[pass->count];
    float item[MODEL_ENCODER_DIMENSION_MAX], along[MODEL_ENCODER_DIMENSION_MAX];
    memcpy(item, in, d * sizeof(float));
    for (uint32_t k = 0; k < d; k++) {
        along[k] = scale * (by ? by[k] : 1.0f) * dx[k];
        encoder->gradient[k] = gate[k] * along[k];
    }
    row_step(encoder, in, d, d);
    for (uint32_t k = 0; age && k < d; k++)
        of_age[k] += scale * gate[k] * item[k] * dx[k];
    for (uint32_t k = 0; k < d; k++)
        encoder->gradient[k] = item[k] * along[k];
    row_step(encoder, gate, d, d);
}

static void history_back(struct model_encoder *encoder, const struct pass *pass, const float *dx)
{
    uint32_t d = encoder->options.dimension, ages = 0;
    for (uint32_t i = 0; i < pass->count; i++) {
        visit_back(encoder, pass, i, dx);
        ages |= pass->ages[i] ? 1u << (pass->ages[i] - 1) : 0;
    }
    for (; ages; ages &= ages - 1) {
        uint32_t age = 1 + (uint32_t)__builtin_ctz(ages);
        float *gradient = encoder->age_gradient + age * d;
        memcpy(encoder->gradient, gradient, d * sizeof(float));
        memset(gradient, 0, d * sizeof(float));
        row_step(encoder, base_rows_write(encoder->tables[ENC_AGE], age), d, d);
    }
}

static void step(struct model_encoder *encoder, const struct pass *pass,
                 const struct model_encoder_part *part)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = encoder->options.dimension;
    float du[MODEL_ENCODER_DIMENSION_MAX] = {0}, dx[MODEL_ENCODER_DIMENSION_MAX];
    for (uint32_t c = 0; c < part->count; c++) {
        float g = part->gradient[c];
        if (g == 0.0f || !item_known(encoder, part->items[c]))
            continue;
        float *out = base_rows_write(encoder->tables[ENC_OUT], part->items[c]);
        simd->axpy(du, g, out, d);
        for (uint32_t k = 0; k < d; k++)
            encoder->gradient[k] = g * pass->u[k];
        encoder->gradient[d] = g;
        row_step(encoder, out, encoder->width, d + 1);
    }
    layer_back(encoder, pass, du, dx);
    history_back(encoder, pass, dx);
    if (pass->gradient)
        memcpy(pass->gradient, dx, d * sizeof(float));
    memcpy(encoder->gradient, dx, d * sizeof(float));
    for (uint32_t v = 0; v < pass->value_count; v++)
        row_step(encoder, base_rows_write(encoder->tables[ENC_VALUE], pass->values[v]), d, d);
    encoder->changed = part->items;
    encoder->changed_count = part->count;
}

uint32_t model_encoder_changed(struct model_encoder *encoder, const uint32_t **out_items)
{
    uint32_t count = encoder->changed_count;
    *out_items = encoder->changed;
    encoder->changed_count = 0;
    return count;
}

/* The target enters the ring, the one it overwrites leaves (EN1). */
static void ring_add(struct model_encoder *encoder, uint32_t target)
{
    struct base_rows *ring = encoder->tables[ENC_RING], *outs = encoder->tables[ENC_OUT];
    uint64_t *meta = base_rows_meta(outs);
    uint32_t at = 1 + (uint32_t)(meta[META_RING_NEXT]++ % encoder->options.ring);
    if (at >= base_rows_count(ring) && !base_rows_add(ring))
        return;
    uint32_t *slot = base_rows_write(ring, at);
    if (*slot)
        tail_of(encoder, base_rows_write(outs, *slot))->drawn--;
    *slot = target;
    tail_of(encoder, base_rows_write(outs, target))->drawn++;
}

bool model_encoder_sweep(struct model_encoder *encoder, const struct state *state, uint32_t *at)
{
    struct base_rows *ring = encoder->tables[ENC_RING], *outs = encoder->tables[ENC_OUT];
    uint32_t count = base_rows_count(ring), end = FR_MIN(*at + SWEEP_ROWS, count);
    for (; *at < end; ++*at) {
        uint32_t item = *(const uint32_t *)base_rows_at(ring, *at);
        if (!item || !state_item_gone(state, item))
            continue;
        *(uint32_t *)base_rows_write(ring, *at) = 0;
        tail_of(encoder, base_rows_write(outs, item))->drawn--; /* EN1 */
    }
    return *at >= count;
}

void model_encoder_forget(struct model_encoder *encoder, uint32_t item)
{
    if (!item_known(encoder, item))
        return;
    uint32_t *in = base_rows_write(encoder->tables[ENC_IN], item);
    uint32_t *out = base_rows_write(encoder->tables[ENC_OUT], item);
    FR_ASSERT(tail_at(encoder, item)->drawn == 0);
    FR_STORE(tail_of(encoder, (float *)(void *)out)->known, 0);
    for (uint32_t w = 0; w < base_rows_row_bytes(encoder->tables[ENC_IN]) / 4; w++)
        FR_STORE(in[w], 0);
    for (uint32_t w = 0; w < base_rows_row_bytes(encoder->tables[ENC_OUT]) / 4; w++)
        FR_STORE(out[w], 0);
    base_rows_meta(encoder->tables[ENC_OUT])[META_KNOWN]--;
}

/* The target first, then negatives; gives their number and -log of the expected draws. */
static uint32_t draw(struct model_encoder *encoder, uint32_t target, float *out_minus_log)
{
    const struct model_encoder_options *o = &encoder->options;
    struct base_rows *outs = encoder->tables[ENC_OUT], *ring = encoder->tables[ENC_RING];
    uint64_t step_id = base_rows_meta(outs)[META_STEPS];
    uint32_t items = base_rows_count(outs) - 1, kept = base_rows_count(ring) - 1, n = 0;
    encoder->draws[n++] = target;
    for (uint32_t i = 0; i < o->negatives; i++) {
        uint64_t r = base_random_u64(o->seed, step_id, i);
        uint32_t item = 1 + (uint32_t)((r >> 32) * items >> 32);
        if (i % 2 && kept)
            item = *(const uint32_t *)base_rows_at(ring, 1 + (uint32_t)((r >> 32) * kept >> 32));
        if (item != target && item_known(encoder, item)) {
            base_rows_prefetch(outs, item);
            encoder->draws[n++] = item;
        }
    }
    for (uint32_t c = 0; c < n; c++) {
        float drawn = (float)tail_at(encoder, encoder->draws[c])->drawn;
        float q = 0.5f / (float)items + (kept ? 0.5f * drawn / (float)kept : 0.0f);
        out_minus_log[c] = -base_logf(q * (float)o->negatives);
    }
    return n;
}

static uint32_t draw_all(struct model_encoder *encoder, uint32_t target)
{
    uint32_t n = 0, count = base_rows_count(encoder->tables[ENC_OUT]);
    encoder->draws[n++] = target;
    for (uint32_t item = 1; item < count; item++)
        if (item != target && item_known(encoder, item))
            encoder->draws[n++] = item;
    return n;
}

/* Logits to gradients of -log softmax[target]; gives that loss. */
static float softmax_gradient(float *logits, uint32_t n, uint32_t target)
{
    float largest = logits[0], sum = 0.0f, z = logits[target];
    for (uint32_t c = 1; c < n; c++)
        largest = FR_MAX(largest, logits[c]);
    for (uint32_t c = 0; c < n; c++) {
        logits[c] = base_expf(logits[c] - largest);
        sum += logits[c];
    }
    for (uint32_t c = 0; c < n; c++)
        logits[c] /= sum;
    logits[target] -= 1.0f;
    return base_logf(sum) + largest - z;
}

/* The writer's own scores, read where they lie. */
static void draw_scores(struct model_encoder *encoder, const struct pass *pass, uint32_t n)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = encoder->options.dimension;
    for (uint32_t c = 0; c < n; c++) {
        const float *row = base_rows_at(encoder->tables[ENC_OUT], encoder->draws[c]);
        encoder->logits[c] = simd->dot(row, pass->u, d) + row[d];
    }
}

static void history_make(struct model_encoder *encoder, const struct model_encoder_user *user)
{
    model_encoder_know(encoder, user->history, FR_MIN(user->count, encoder->options.history));
}

float model_encoder_learn(struct model_encoder *encoder, const struct model_encoder_user *user,
                          uint32_t target)
{
    if (!item_make(encoder, target))
        return 0.0f;
    history_make(encoder, user);
    struct pass pass;
    forward(encoder, user, &pass);
    float loss = 0.0f, minus_log[DRAWS_MAX];
    if (pass.known) {
        bool sampled = encoder->options.negatives != 0;
        uint32_t n = sampled ? draw(encoder, target, minus_log) : draw_all(encoder, target);
        draw_scores(encoder, &pass, n);
        for (uint32_t c = 0; sampled && c < n; c++)
            encoder->logits[c] += minus_log[c];
        loss = softmax_gradient(encoder->logits, n, 0);
        struct model_encoder_part part = {encoder->draws, encoder->logits, n};
        step(encoder, &pass, &part);
        base_rows_meta(encoder->tables[ENC_OUT])[META_STEPS]++;
    }
    ring_add(encoder, target);
    return loss;
}

/* Leaves out small gradients at random; those that stay move to the front. Gives their number. */
static uint32_t rare_thinned(struct model_encoder *encoder, uint32_t n)
{
    uint64_t step_id = base_rows_meta(encoder->tables[ENC_OUT])[META_STEPS];
    uint32_t kept = 0;
    for (uint32_t c = 0; c < n; c++) {
        float g = encoder->logits[c];
        if (g >= 0.0f && g < MODEL_ENCODER_RARE) {
            double unit = base_random_unit(encoder->options.seed, step_id, c);
            if ((float)unit * MODEL_ENCODER_RARE >= g)
                continue;
            g = MODEL_ENCODER_RARE;
        }
        encoder->draws[kept] = encoder->draws[c];
        encoder->logits[kept++] = g;
    }
    return kept;
}

float model_encoder_learn_among(struct model_encoder *encoder,
                                const struct model_encoder_user *user, const uint32_t *items,
                                uint32_t item_count, uint32_t target)
{
    FR_ASSERT(target < item_count && item_count <= MODEL_ENCODER_AMONG_MAX);
    if (!item_make(encoder, items[target]))
        return 0.0f;
    history_make(encoder, user);
    struct pass pass;
    forward(encoder, user, &pass);
    float loss = 0.0f;
    if (pass.known) {
        uint32_t n = 0, place = 0;
        for (uint32_t c = 0; c < item_count; c++) {
            place = c == target ? n : place;
            if (item_known(encoder, items[c]))
                encoder->draws[n++] = items[c];
        }
        draw_scores(encoder, &pass, n);
        loss = softmax_gradient(encoder->logits, n, place);
        struct model_encoder_part part = {encoder->draws, encoder->logits,
                                          rare_thinned(encoder, n)};
        step(encoder, &pass, &part);
        base_rows_meta(encoder->tables[ENC_OUT])[META_STEPS]++;
    }
    ring_add(encoder, items[target]);
    return loss;
}

void model_encoder_step(struct model_encoder *encoder, const struct model_encoder_user *user,
                        const struct model_encoder_part *part)
{
    history_make(encoder, user);
    model_encoder_know(encoder, part->items, part->count);
    struct pass pass;
    forward(encoder, user, &pass);
    if (!pass.known)
        return;
    step(encoder, &pass, part);
    base_rows_meta(encoder->tables[ENC_OUT])[META_STEPS]++;
}

bool model_encoder_vector(const struct model_encoder *encoder,
                          const struct model_encoder_user *user, float *out_vector)
{
    struct pass pass;
    forward(encoder, user, &pass);
    memcpy(out_vector, pass.u, encoder->options.dimension * sizeof(float));
    return pass.known;
}

void model_encoder_know(struct model_encoder *encoder, const uint32_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fr_ignore(item_make(encoder, items[i]) ? FR_OK : FR_FULL, "an item beyond the table");
}

bool model_encoder_input(const struct model_encoder *encoder, uint32_t item, float *out)
{
    if (!item_known(encoder, item))
        return false;
    base_rows_copy(out, base_rows_at(encoder->tables[ENC_IN], item),
                   4 * encoder->options.dimension);
    return true;
}

void model_encoder_input_step(struct model_encoder *encoder, uint32_t item, const float *gradient)
{
    uint32_t d = encoder->options.dimension;
    memcpy(encoder->gradient, gradient, d * sizeof(float));
    row_step(encoder, base_rows_write(encoder->tables[ENC_IN], item), d, d);
}

/* Every line of an item's output row: random ones, or each costs a miss. */
static void out_prefetch(const struct model_encoder *encoder, uint32_t item)
{
    if (item >= base_rows_count(encoder->tables[ENC_OUT]))
        return;
    const float *row = base_rows_at(encoder->tables[ENC_OUT], item);
    for (uint32_t d = 0; d <= encoder->options.dimension; d += 16)
        __builtin_prefetch(row + d);
}

void model_encoder_scores(const struct model_encoder *encoder, const float *vector,
                          const uint32_t *items, uint32_t count, float *out_scores)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = encoder->options.dimension;
    _Alignas(16) float row[MODEL_ENCODER_DIMENSION_MAX + 1];
    for (uint32_t c = 0; c < count; c++) {
        if (c + 8 < count)
            out_prefetch(encoder, items[c + 8]);
        out_scores[c] = 0.0f;
        if (model_encoder_item(encoder, items[c], row))
            out_scores[c] = simd->dot(row, vector, d) + row[d];
    }
}

void model_encoder_scores_in_place(const struct model_encoder *encoder, const float *vector,
                                   const uint32_t *items, uint32_t count, float *out_scores)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = encoder->options.dimension;
    for (uint32_t c = 0; c < count; c++) {
        if (c + 8 < count)
            out_prefetch(encoder, items[c + 8]);
        out_scores[c] = 0.0f;
        if (!item_known(encoder, items[c]))
            continue;
        const float *row = base_rows_at(encoder->tables[ENC_OUT], items[c]);
        out_scores[c] = simd->dot(row, vector, d) + row[d];
    }
}

bool model_encoder_item(const struct model_encoder *encoder, uint32_t item, float *out)
{
    if (!item_known(encoder, item))
        return false;
    base_rows_copy(out, base_rows_at(encoder->tables[ENC_OUT], item),
                   4 * (encoder->options.dimension + 1));
    return true;
}
