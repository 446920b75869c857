/* SPDX-License-Identifier: Apache-2.0
 *
 * gru: see the door. Tables (saved):
 *   gru-cell   parts of PART_ROWS rows of 16 KiB, adjacent in memory: weights, AdaGrad's sums, the batch's
 *              gradient; meta: sequences learnt
 *   gru-view   a row with the version of the view, then PART_ROWS rows: the published weights
 */
#include "model/gru.h"

#include "base/fmath.h"
#include "base/hash.h"
#include "model/vec.h"
#include "simd/simd.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNITS = MODEL_GRU_UNITS,
    ROW_FLOATS = BASE_ROWS_BLOCK_BYTES / sizeof(float),
    PART_ROWS = (MODEL_GRU_WEIGHTS + ROW_FLOATS - 1) / ROW_FLOATS,
};
enum { PART_WEIGHTS, PART_SUMS, PART_GRADIENT, PART_COUNT };
enum { META_SEQUENCES };

#define SUM_FIRST 0.1f /* AdaGrad's sums begin here */
#define MAGNITUDE_MAX 1e6f

_Static_assert(MODEL_GRU_WEIGHTS % 16 == 0, "kernels take whole vectors");

struct model_gru {
    struct model_gru_options options;
    struct base_rows *cell, *view;
};

void model_gru_defaults(struct model_gru_options *out_options)
{
    *out_options = (struct model_gru_options){.rate = 0.1f, .clip = 1.0f, .batch = 4, .seed = 1};
}

/* The writer's pointer to a part, every row of it made writable. */
static float *part_write(struct model_gru *gru, uint32_t part)
{
    uint32_t first = 1 + part * PART_ROWS;
    for (uint32_t r = 1; r < PART_ROWS; r++)
        base_rows_write(gru->cell, first + r);
    return base_rows_write(gru->cell, first);
}

static void publish(struct model_gru *gru)
{
    uint32_t *version = base_rows_write(gru->view, 1);
    for (uint32_t r = 0; r < PART_ROWS; r++)
        base_rows_write(gru->view, 2 + r);
    base_row_change(version);
    base_rows_put(base_rows_write(gru->view, 2), model_gru_weights(gru),
                  MODEL_GRU_WEIGHTS * sizeof(float));
    base_row_done(version);
}

/* Unit k's z before anything was learnt: from sigmoid(SLOWEST) to sigmoid(FASTEST), so that units
 * begin with memories of 1 to 13 items (Tallec & Ollivier 2018, "chrono initialization"). W_n begins near a
 * diagonal: every unit is a moving average of its own input. Averages of independent inputs of
 * deviation s have s sqrt(z / (2 - z)), which the diagonal brings to GAIN s. From random matrices
 * alone one pass learns next to nothing (first 30,000 films: HR@10 .033; so .158). */
#define SLOWEST (-2.5f)
#define FASTEST 0.5f
#define GAIN 2.5f
#define NOISE 0.3f /* of 1 / sqrt(units), for all other weights */

static void first_weights(struct model_gru *gru)
{
    float *weights = part_write(gru, PART_WEIGHTS), *sums = part_write(gru, PART_SUMS);
    float range = NOISE / __builtin_sqrtf((float)UNITS);
    for (uint32_t k = 0; k < MODEL_GRU_B_RZ; k++) {
        double unit = base_random_unit(gru->options.seed, (uint64_t)4 << 32, k);
        weights[k] = ((float)unit * 2.0f - 1.0f) * range;
    }
    for (uint32_t k = 0; k < UNITS; k++) {
        float bias = SLOWEST + (FASTEST - SLOWEST) * (float)(int32_t)k / (float)(UNITS - 1);
        float z = base_sigmoidf(bias);
        weights[MODEL_GRU_B_RZ + UNITS + k] = bias;
        weights[MODEL_GRU_W_N + k * (UNITS + 1)] += GAIN / __builtin_sqrtf(z / (2.0f - z));
    }
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++)
        sums[k] = SUM_FIRST;
}

static enum fr_status tables_new(struct model_gru *gru, struct fr_error *error)
{
    const struct base_rows_options cell = {"gru-cell", BASE_ROWS_BLOCK_BYTES,
                                           1 + PART_COUNT * PART_ROWS};
    const struct base_rows_options view = {"gru-view", BASE_ROWS_BLOCK_BYTES, 2 + PART_ROWS};
    FR_TRY(base_rows_new(&cell, error, &gru->cell));
    FR_TRY(base_rows_new(&view, error, &gru->view));
    for (uint32_t r = 1; r < 1 + PART_COUNT * PART_ROWS; r++)
        FR_ASSERT(base_rows_add(gru->cell) == r);
    for (uint32_t r = 1; r < 2 + PART_ROWS; r++)
        FR_ASSERT(base_rows_add(gru->view) == r);
    return FR_OK;
}

enum fr_status model_gru_new(const struct model_gru_options *options, struct fr_error *error,
                             struct model_gru **out_gru)
{
    FR_ASSERT(options->batch > 0 && options->clip > 0.0f);
    struct model_gru *gru = calloc(1, sizeof(*gru));
    if (!gru)
        return base_fail(error, FR_MEMORY, "model", "no memory for the recurrent network");
    gru->options = *options;
    enum fr_status status = tables_new(gru, error);
    if (status != FR_OK) {
        model_gru_free(gru);
        return status;
    }
    first_weights(gru);
    publish(gru);
    *out_gru = gru;
    return FR_OK;
}

void model_gru_free(struct model_gru *gru)
{
    if (!gru)
        return;
    base_rows_free(gru->cell);
    base_rows_free(gru->view);
    free(gru);
}

void model_gru_tables(struct model_gru *gru, struct base_rows *out[MODEL_GRU_TABLES])
{
    out[0] = gru->cell;
    out[1] = gru->view;
}

static bool is_bounded(const float *numbers)
{
    bool bounded = true;
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++) /* NaN is not */
        bounded &= numbers[k] > -MAGNITUDE_MAX && numbers[k] < MAGNITUDE_MAX;
    return bounded;
}

enum fr_status model_gru_check(const struct model_gru *gru, struct fr_error *error)
{
    if (base_rows_count(gru->cell) != 1 + PART_COUNT * PART_ROWS ||
        base_rows_count(gru->view) != 2 + PART_ROWS)
        return base_fail(error, FR_CORRUPT, "model", "the tables of \"gru\" have another shape");
    bool bounded = is_bounded(base_rows_at(gru->view, 2));
    for (uint32_t part = 0; part < PART_COUNT; part++)
        bounded &= is_bounded(base_rows_at(gru->cell, 1 + part * PART_ROWS));
    const float *sums = base_rows_at(gru->cell, 1 + PART_SUMS * PART_ROWS);
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++)
        bounded &= sums[k] > 0.0f;
    if (!bounded)
        return base_fail(error, FR_CORRUPT, "model",
                         "a weight of \"gru\" is not finite, or beyond a million");
    return FR_OK;
}

const float *model_gru_weights(const struct model_gru *gru)
{
    return base_rows_at(gru->cell, 1 + PART_WEIGHTS * PART_ROWS);
}

const float *model_gru_published(const struct model_gru *gru, struct base_arena *arena)
{
    enum { TRIES = 8 };
    float *copy = base_arena_alloc(arena, MODEL_GRU_WEIGHTS * sizeof(float));
    const uint32_t *version = base_rows_at(gru->view, 1);
    for (int i = 0; copy && i < TRIES; i++) {
        uint32_t began = base_row_read_begin(version);
        base_rows_copy(copy, base_rows_at(gru->view, 2), MODEL_GRU_WEIGHTS * sizeof(float));
        if (base_row_read_ok(version, began))
            return copy;
    }
    return NULL;
}

/* ---- forward -------------------------------------------------------------------------------- */

/* (1) to (4) of one step. */
static void run_step(const float *weights, struct model_gru_pass *pass, uint32_t t)
{
    const float *before = pass->h[t];
    float *r = pass->rz[t], *z = r + UNITS, *n = pass->n[t], *past = pass->past[t],
          *after = pass->h[t + 1], drive[2 * UNITS];
    memcpy(drive, r, sizeof(drive));
    simd_ops()->dense(&(struct simd_dense){.x = before,
                                           .w = weights + MODEL_GRU_U_RZ,
                                           .bias = drive,
                                           .y = r,
                                           .batch = 1,
                                           .in = UNITS,
                                           .out = 2 * UNITS});
    for (uint32_t k = 0; k < UNITS; k += 4) {
        vec4 look = vec4_sigmoid(vec4_load(r + k));
        vec4_store(r + k, look);
        vec4_store(z + k, vec4_sigmoid(vec4_load(z + k)));
        vec4_store(past + k, look * vec4_load(before + k));
    }
    memcpy(drive, n, UNITS * sizeof(float));
    simd_ops()->dense(&(struct simd_dense){.x = past,
                                           .w = weights + MODEL_GRU_U_N,
                                           .bias = drive,
                                           .y = n,
                                           .batch = 1,
                                           .in = UNITS,
                                           .out = UNITS});
    for (uint32_t k = 0; k < UNITS; k += 4) {
        vec4 h = vec4_load(before + k), fresh = vec4_tanh(vec4_load(n + k));
        vec4_store(n + k, fresh);
        vec4_store(after + k, h + vec4_load(z + k) * (fresh - h));
    }
}

void model_gru_run(const float *weights, struct model_gru_pass *pass)
{
    FR_ASSERT(pass->count <= MODEL_GRU_STEPS_MAX);
    memset(pass->h[0], 0, sizeof(pass->h[0]));
    simd_ops()->dense(&(struct simd_dense){.x = pass->x[0],
                                           .w = weights + MODEL_GRU_W_RZ,
                                           .bias = weights + MODEL_GRU_B_RZ,
                                           .y = pass->rz[0],
                                           .batch = pass->count,
                                           .in = UNITS,
                                           .out = 2 * UNITS});
    simd_ops()->dense(&(struct simd_dense){.x = pass->x[0],
                                           .w = weights + MODEL_GRU_W_N,
                                           .bias = weights + MODEL_GRU_B_N,
                                           .y = pass->n[0],
                                           .batch = pass->count,
                                           .in = UNITS,
                                           .out = UNITS});
    for (uint32_t t = 0; t < pass->count; t++)
        run_step(weights, pass, t);
}

/* ---- learning ------------------------------------------------------------------------------- */

/* Gradients of what goes into the sigmoids and the tanh, by step. */
struct drives {
    float rz[MODEL_GRU_STEPS_MAX][2 * UNITS], n[MODEL_GRU_STEPS_MAX][UNITS];
};

/* Back through one step: dh is of h[t + 1], then of h[t]. */
static void step_back(const float *weights, const struct model_gru_pass *pass, uint32_t t,
                      float dh[UNITS], struct drives *drives)
{
    const struct simd_ops *simd = simd_ops();
    const float *before = pass->h[t], *r = pass->rz[t], *z = r + UNITS, *n = pass->n[t];
    float *dr = drives->rz[t], *dz = dr + UNITS, *dn = drives->n[t];
    for (uint32_t k = 0; k < UNITS; k++) {
        dn[k] = dh[k] * z[k] * (1.0f - n[k] * n[k]);
        dz[k] = dh[k] * (n[k] - before[k]) * z[k] * (1.0f - z[k]);
        dh[k] *= 1.0f - z[k];
    }
    for (uint32_t k = 0; k < UNITS; k++) {
        float past = simd->dot(weights + MODEL_GRU_U_N + k * UNITS, dn, UNITS);
        dr[k] = past * before[k] * r[k] * (1.0f - r[k]);
        dh[k] += past * r[k];
    }
    for (uint32_t k = 0; k < UNITS; k++)
        dh[k] += simd->dot(weights + MODEL_GRU_U_RZ + k * 2 * UNITS, dr, 2 * UNITS);
}

/* What goes into the matrices of r and z, then of n, adds to the gradient; through W to the inputs. */
static void matrices_back(struct model_gru *gru, const struct model_gru_pass *pass,
                          const struct drives *drives,
                          float out_dx[MODEL_GRU_STEPS_MAX][MODEL_GRU_UNITS])
{
    const float *weights = model_gru_weights(gru);
    float *gradient = part_write(gru, PART_GRADIENT);
    float once[2 * UNITS] = {0},
                   through_n[MODEL_GRU_STEPS_MAX][UNITS]; /* biases count once, by W */
    struct simd_dense_grad rz = {.x = pass->x[0],
                                 .w = weights + MODEL_GRU_W_RZ,
                                 .dy = drives->rz[0],
                                 .dw = gradient + MODEL_GRU_W_RZ,
                                 .dbias = gradient + MODEL_GRU_B_RZ,
                                 .dx = out_dx[0],
                                 .batch = pass->count,
                                 .in = UNITS,
                                 .out = 2 * UNITS};
    struct simd_dense_grad n = {.x = pass->x[0],
                                .w = weights + MODEL_GRU_W_N,
                                .dy = drives->n[0],
                                .dw = gradient + MODEL_GRU_W_N,
                                .dbias = gradient + MODEL_GRU_B_N,
                                .dx = through_n[0],
                                .batch = pass->count,
                                .in = UNITS,
                                .out = UNITS};
    simd_ops()->dense_grad(&rz);
    simd_ops()->dense_grad(&n);
    rz.x = pass->h[0];
    rz.dw = gradient + MODEL_GRU_U_RZ;
    n.x = pass->past[0];
    n.dw = gradient + MODEL_GRU_U_N;
    rz.dbias = n.dbias = once;
    rz.dx = n.dx = NULL;
    simd_ops()->dense_grad(&rz);
    simd_ops()->dense_grad(&n);
    simd_ops()->axpy(out_dx[0], 1.0f, through_n[0], (size_t)pass->count * UNITS);
}

/* The batch's gradient, cut to the largest norm; it begins again at zero. */
static void cell_step(struct model_gru *gru)
{
    const struct simd_ops *simd = simd_ops();
    float *gradient = part_write(gru, PART_GRADIENT);
    float norm = __builtin_sqrtf(simd->dot(gradient, gradient, MODEL_GRU_WEIGHTS));
    if (norm > gru->options.clip) {
        float scale = gru->options.clip / norm;
        for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++)
            gradient[k] *= scale;
    }
    const struct simd_adagrad step = {.w = part_write(gru, PART_WEIGHTS),
                                      .s = part_write(gru, PART_SUMS),
                                      .g = gradient,
                                      .n = MODEL_GRU_WEIGHTS,
                                      .rate = gru->options.rate};
    simd->adagrad(&step);
    memset(gradient, 0, MODEL_GRU_WEIGHTS * sizeof(float));
}

void model_gru_learn(struct model_gru *gru, const struct model_gru_pass *pass, const float *dh,
                     float out_dx[MODEL_GRU_STEPS_MAX][UNITS])
{
    const float *weights = model_gru_weights(gru);
    float back[UNITS];
    struct drives drives;
    memcpy(back, dh, sizeof(back));
    for (uint32_t t = pass->count; t-- > 0;)
        step_back(weights, pass, t, back, &drives);
    matrices_back(gru, pass, &drives, out_dx);
    uint64_t sequences = ++base_rows_meta(gru->cell)[META_SEQUENCES];
    if (sequences % gru->options.batch == 0)
        cell_step(gru);
    if (sequences % MODEL_GRU_PUBLISH == 0)
        publish(gru);
}

void model_gru_quicken(struct model_gru *gru)
{
    float *sums = part_write(gru, PART_SUMS);
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++)
        sums[k] = FR_MAX(sums[k] * 0.01f, SUM_FIRST);
}
