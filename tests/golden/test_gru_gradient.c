/* SPDX-License-Identifier: Apache-2.0
 *
 * The recurrent cell against a reference written here in double precision from its door's equations (1)
 * to (4): what a run gives, what comes back to its inputs against finite differences, and the step of
 * every weight: AdaGrad from sums s moves a weight by rate * g / sqrt(s + g^2), so that g can be read
 * back from the move. Also: the norm is cut, and the same sequences give the same bits.
 */
#include "base/base.h"
#include "base/hash.h"
#include "model/gru.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { U = MODEL_GRU_UNITS, STEPS = 6, PART_ROWS = 7 };

struct problem {
    double w[MODEL_GRU_WEIGHTS], x[STEPS][U], c[U]; /* loss = c . h */
};

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* b + W' x + U' y of one column of a pair of matrices, each `out` wide. */
static double drive_of(const double *w, const double *u, double bias, uint32_t out, uint32_t column,
                       const double *x, const double *y)
{
    for (uint32_t i = 0; i < U; i++)
        bias += w[i * out + column] * x[i] + u[i * out + column] * y[i];
    return bias;
}

static double loss_of(const struct problem *p, double h[U])
{
    const double *w = p->w;
    double loss = 0, before[U], past[U], z[U];
    memset(h, 0, U * sizeof(double));
    for (uint32_t t = 0; t < STEPS; t++) {
        memcpy(before, h, sizeof(before));
        for (uint32_t k = 0; k < U; k++) {
            double r = sigmoid(drive_of(w + MODEL_GRU_W_RZ, w + MODEL_GRU_U_RZ,
                                        w[MODEL_GRU_B_RZ + k], 2 * U, k, p->x[t], before));
            z[k] = sigmoid(drive_of(w + MODEL_GRU_W_RZ, w + MODEL_GRU_U_RZ,
                                    w[MODEL_GRU_B_RZ + U + k], 2 * U, U + k, p->x[t], before));
            past[k] = r * before[k];
        }
        for (uint32_t k = 0; k < U; k++) {
            double n = tanh(drive_of(w + MODEL_GRU_W_N, w + MODEL_GRU_U_N, w[MODEL_GRU_B_N + k], U,
                                     k, p->x[t], past));
            h[k] = (1 - z[k]) * before[k] + z[k] * n;
        }
    }
    for (uint32_t k = 0; k < U; k++)
        loss += p->c[k] * h[k];
    return loss;
}

static double slope_of(struct problem *p, double *at)
{
    double kept = *at, step = 1e-4, h[U];
    *at = kept + step;
    double up = loss_of(p, h);
    *at = kept - step;
    double down = loss_of(p, h);
    *at = kept;
    return (up - down) / (2 * step);
}

static struct model_gru *gru_make(float clip)
{
    struct model_gru_options options;
    struct fr_error error;
    struct model_gru *gru = NULL;
    model_gru_defaults(&options);
    options.clip = clip;
    options.batch = 1;
    assert_int_equal(model_gru_new(&options, &error, &gru), FR_OK);
    return gru;
}

static void inputs_draw(uint64_t seed, struct model_gru_pass *pass, float dh[U])
{
    pass->count = STEPS;
    for (uint32_t k = 0; k < U; k++)
        dh[k] = 0.1f * ((float)base_random_unit(seed, 99, k) - 0.5f);
    for (uint32_t t = 0; t < STEPS; t++)
        for (uint32_t k = 0; k < U; k++)
            pass->x[t][k] = 0.6f * ((float)base_random_unit(seed, t, k) - 0.5f);
}

/* A few sequences first, so that no weight is as it began. */
static void live(struct model_gru *gru, uint32_t sequences)
{
    static struct model_gru_pass pass;
    float dh[U], dx[MODEL_GRU_STEPS_MAX][U];
    for (uint32_t s = 0; s < sequences; s++) {
        inputs_draw(1000 + s, &pass, dh);
        model_gru_run(model_gru_weights(gru), &pass);
        model_gru_learn(gru, &pass, dh, dx);
    }
}

static void problem_take(const struct model_gru *gru, const struct model_gru_pass *pass,
                         const float dh[U], struct problem *p)
{
    const float *weights = model_gru_weights(gru);
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++)
        p->w[k] = (double)weights[k];
    for (uint32_t k = 0; k < U; k++)
        p->c[k] = (double)dh[k];
    for (uint32_t t = 0; t < STEPS; t++)
        for (uint32_t k = 0; k < U; k++)
            p->x[t][k] = (double)pass->x[t][k];
}

static const float *sums_of(struct model_gru *gru)
{
    struct base_rows *tables[MODEL_GRU_TABLES];
    model_gru_tables(gru, tables);
    return base_rows_at(tables[0], 1 + PART_ROWS);
}

/* The gradient that a step from these sums followed. */
static double gradient_of(double before, double after, double sum, double rate)
{
    double r = (before - after) / rate;
    return r * sqrt(sum / (1 - r * r));
}

/* The problem before a step, AdaGrad's sums before it, and the step. */
static void learn_once(struct model_gru *gru, struct model_gru_pass *pass, const float *dh,
                       struct problem *p, float sums[MODEL_GRU_WEIGHTS],
                       float dx[MODEL_GRU_STEPS_MAX][U])
{
    problem_take(gru, pass, dh, p);
    memcpy(sums, sums_of(gru), MODEL_GRU_WEIGHTS * sizeof(*sums));
    model_gru_run(model_gru_weights(gru), pass);
    model_gru_learn(gru, pass, dh, dx);
}

static void equals_the_reference(void **context)
{
    (void)context;
    static struct problem p;
    static struct model_gru_pass pass;
    static float sums[MODEL_GRU_WEIGHTS];
    struct model_gru_options options;
    float dh[U], dx[MODEL_GRU_STEPS_MAX][U];
    double h[U];
    model_gru_defaults(&options);
    struct model_gru *gru = gru_make(1e9f);
    live(gru, 40);
    inputs_draw(1, &pass, dh);
    learn_once(gru, &pass, dh, &p, sums, dx);
    loss_of(&p, h);
    for (uint32_t k = 0; k < U; k++)
        assert_true(fabs((double)pass.h[STEPS][k] - h[k]) < 1e-5);
    for (uint32_t k = 0; k < STEPS * U; k += 7) {
        double slope = slope_of(&p, &p.x[k / U][k % U]);
        assert_true(fabs((double)dx[k / U][k % U] - slope) <= 1e-3 * fabs(slope) + 1e-5);
    }
    const float *after = model_gru_weights(gru);
    uint32_t checked = 0;
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k += 37) { /* reaches every matrix and bias */
        double slope = slope_of(&p, &p.w[k]);
        double got = gradient_of(p.w[k], (double)after[k], (double)sums[k], (double)options.rate);
        assert_true(fabs(got - slope) <= 2e-3 * fabs(slope) + 2e-5);
        checked += fabs(slope) > 1e-4;
    }
    assert_true(checked > 200);
    model_gru_free(gru);
}

static void the_norm_is_cut(void **context)
{
    (void)context;
    static struct problem p;
    static struct model_gru_pass pass;
    static float sums[MODEL_GRU_WEIGHTS];
    struct model_gru_options options;
    float dh[U], dx[MODEL_GRU_STEPS_MAX][U];
    double squares = 0;
    model_gru_defaults(&options);
    struct model_gru *gru = gru_make(0.05f);
    inputs_draw(1, &pass, dh);
    for (uint32_t k = 0; k < U; k++)
        dh[k] *= 100.0f;
    learn_once(gru, &pass, dh, &p, sums, dx);
    const float *after = model_gru_weights(gru);
    for (uint32_t k = 0; k < MODEL_GRU_WEIGHTS; k++) {
        double g = gradient_of(p.w[k], (double)after[k], (double)sums[k], (double)options.rate);
        squares += g * g;
    }
    assert_true(fabs(sqrt(squares) - 0.05) < 1e-3);
    model_gru_free(gru);
}

static struct base_hash128 digest_of(struct model_gru *gru)
{
    struct base_rows *tables[MODEL_GRU_TABLES];
    struct base_digest digest;
    model_gru_tables(gru, tables);
    base_digest_init(&digest);
    for (int t = 0; t < MODEL_GRU_TABLES; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

/* These bits may not change: they are in snapshots, and a replay must come to them on every machine. */
static void learns_with_the_same_bits(void **context)
{
    (void)context;
    struct model_gru *a = gru_make(1.0f), *b = gru_make(1.0f);
    live(a, 130);
    live(b, 130);
    struct base_hash128 one = digest_of(a), other = digest_of(b);
    assert_true(one.lo == other.lo && one.hi == other.hi);
    assert_true(one.lo == 0xf6b34f111f399a40);
    live(b, 1);
    other = digest_of(b);
    assert_true(one.lo != other.lo);
    model_gru_free(a);
    model_gru_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_reference),
        cmocka_unit_test(the_norm_is_cut),
        cmocka_unit_test(learns_with_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
