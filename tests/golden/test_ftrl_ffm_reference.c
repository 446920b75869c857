/* SPDX-License-Identifier: Apache-2.0
 *
 * FTRL-proximal, FM and FFM against independent references written here in double precision
 * straight from the papers' formulas, on the same stream of examples: predictions within 1e-4 at
 * every step. The gradients of FM and FFM also against finite differences of the loss.
 */
#include "base/fmath.h"
#include "base/hash.h"
#include "model/ffm.h"
#include "model/fm.h"
#include "model/ftrl.h"
#include "model/ids.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IDS = 60, FIELDS = 5, NNZ = 7, STEPS = 3000, K = 8 };

static uint32_t example_of(uint64_t step, struct model_sparse features[NNZ], float *out_label)
{
    uint32_t count = 3 + (uint32_t)(base_random_u64(1, step, 0) % (NNZ - 2));
    double truth = 0;
    for (uint32_t i = 0; i < count; i++) {
        features[i].id = 1 + (uint32_t)(base_random_u64(1, step, 3 * i + 1) % (IDS - 1));
        features[i].field = features[i].id % FIELDS;
        features[i].value = 0.25f + (float)base_random_unit(1, step, 3 * i + 2);
        truth += (double)features[i].value * (base_random_unit(2, features[i].id, 0) - 0.5) * 3;
    }
    *out_label = base_random_unit(1, step, 999) < 1 / (1 + exp(-truth)) ? 1.0f : 0.0f;
    return count;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void ftrl_follows_the_paper(void **state)
{
    (void)state;
    struct model_ftrl_options options =
        {.name = "t", .id_max = IDS, .alpha = 0.1f, .beta = 1.0f, .l1 = 0.3f, .l2 = 1.0f};
    struct model_ftrl *ftrl;
    assert_int_equal(model_ftrl_new(&options, NULL, &ftrl), FR_OK);
    double z[IDS] = {0}, n[IDS] = {0};
    uint32_t zero_weights = 0;
    for (uint64_t step = 0; step < STEPS; step++) {
        struct model_sparse f[NNZ];
        float label;
        uint32_t count = example_of(step, f, &label);
        double wx = 0, w[NNZ];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t id = f[i].id;
            double sign = z[id] < 0 ? -1 : 1;
            w[i] = fabs(z[id]) <= 0.3 ? 0 : -(z[id] - sign * 0.3) / ((1 + sqrt(n[id])) / 0.1 + 1);
            zero_weights += fabs(z[id]) <= 0.3 && n[id] > 0;
            wx += w[i] * (double)f[i].value;
        }
        float mine = model_ftrl_score(ftrl, f, count);
        assert_true(fabs(sigmoid((double)mine) - sigmoid(wx)) < 1e-4);
        double p = sigmoid(wx);
        for (uint32_t i = 0; i < count; i++) { /* a repeated id sees its own earlier step */
            uint32_t id = f[i].id;
            double sign = z[id] < 0 ? -1 : 1;
            double now =
                fabs(z[id]) <= 0.3 ? 0 : -(z[id] - sign * 0.3) / ((1 + sqrt(n[id])) / 0.1 + 1);
            double g = (p - (double)label) * (double)f[i].value;
            double sigma = (sqrt(n[id] + g * g) - sqrt(n[id])) / 0.1;
            z[id] += g - sigma * now;
            n[id] += g * g;
        }
        model_ftrl_step(ftrl, f, count, base_sigmoidf(mine) - label);
    }
    assert_true(zero_weights > 0); /* l1 was at work */
    model_ftrl_free(ftrl);
}

/* A plain FFM in double: v[id][field][k], sums beside. */
struct plain {
    double v[IDS][FIELDS][K], s[IDS][FIELDS][K];
};

static double plain_phi(const struct plain *plain, const struct model_sparse *f, uint32_t count)
{
    double norm = 0, phi = 0;
    for (uint32_t i = 0; i < count; i++)
        norm += (double)f[i].value * (double)f[i].value;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            for (int k = 0; k < K; k++)
                phi += plain->v[f[i].id][f[j].field][k] * plain->v[f[j].id][f[i].field][k] *
                       (double)f[i].value * (double)f[j].value / norm;
        }
    }
    return phi;
}

static void plain_step(struct plain *plain, const struct model_sparse *f, uint32_t count,
                       double kappa)
{
    double norm = 0;
    for (uint32_t i = 0; i < count; i++)
        norm += (double)f[i].value * (double)f[i].value;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            for (int k = 0; k < K; k++) {
                double *a = &plain->v[f[i].id][f[j].field][k];
                double *b = &plain->v[f[j].id][f[i].field][k];
                double scale = kappa * (double)f[i].value * (double)f[j].value / norm;
                double ga = scale * *b + 2e-5 * *a, gb = scale * *a + 2e-5 * *b;
                plain->s[f[i].id][f[j].field][k] += ga * ga;
                plain->s[f[j].id][f[i].field][k] += gb * gb;
                *a -= 0.2 * ga / sqrt(plain->s[f[i].id][f[j].field][k]);
                *b -= 0.2 * gb / sqrt(plain->s[f[j].id][f[i].field][k]);
            }
        }
    }
}

/* No pair may have the same vector on both sides: there the order within a vector would matter. */
static uint32_t distinct(struct model_sparse *f, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool again = false;
        for (uint32_t j = 0; j < kept; j++)
            again = again || f[j].id == f[i].id;
        if (!again)
            f[kept++] = f[i];
    }
    return kept;
}

static void ffm_follows_libffm(void **state)
{
    (void)state;
    struct model_ffm_options options;
    model_ffm_defaults(&options);
    options.id_max = IDS;
    options.fields = FIELDS;
    options.linear_rate = 0;
    options.rate = 0.2f;
    options.lambda = 2e-5f;
    struct model_ffm *ffm;
    assert_int_equal(model_ffm_new(&options, NULL, &ffm), FR_OK);
    struct plain *plain = calloc(1, sizeof(*plain));
    for (uint32_t id = 1; id < IDS; id++) {
        model_ffm_reset(ffm, id, id);
        const float *row = base_rows_at(model_ffm_table(ffm), id);
        for (int f = 0; f < FIELDS; f++) {
            for (int k = 0; k < K; k++) {
                plain->v[id][f][k] = (double)row[2 + f * 16 + k];
                plain->s[id][f][k] = 1;
            }
        }
    }
    double loss[2] = {0}; /* of the first and of the last round over 300 examples */
    for (uint64_t step = 0; step < STEPS; step++) {
        struct model_sparse f[NNZ];
        float label;
        uint32_t count = distinct(f, example_of(step % 300, f, &label));
        double phi = plain_phi(plain, f, count);
        float mine = model_ffm_score(ffm, f, count);
        float shared = model_ffm_score_shared(ffm, f, count);
        assert_memory_equal(&mine, &shared, sizeof(mine));
        assert_true(fabs(sigmoid((double)mine) - sigmoid(phi)) < 1e-4);
        if (step < 300 || step >= STEPS - 300)
            loss[step >= 300] -= log(label > 0 ? sigmoid(phi) : 1 - sigmoid(phi)) / 300;
        plain_step(plain, f, count, sigmoid(phi) - (double)label);
        model_ffm_step(ffm, f, count, base_sigmoidf(mine) - label);
    }
    assert_true(loss[1] < loss[0] - 0.005); /* and it learns */
    free(plain);
    model_ffm_free(ffm);
}

static double fm_loss(struct model_fm *fm, const struct model_sparse *f, uint32_t count)
{
    return log(1 + exp(-(double)model_fm_score(fm, f, count)));
}

/* With AdaGrad sums of 1 and a tiny gradient the step is rate * g: g against the difference. */
static void fm_gradient_is_the_derivative(void **state)
{
    (void)state;
    struct model_fm_options options;
    model_fm_defaults(&options);
    options.id_max = IDS;
    options.lambda = 0;
    options.init = 0.3f;
    options.rate = options.linear_rate = 1e-3f;
    struct model_fm *fm;
    assert_int_equal(model_fm_new(&options, NULL, &fm), FR_OK);
    for (uint32_t id = 1; id < IDS; id++)
        model_fm_reset(fm, id, id);
    struct model_sparse f[NNZ];
    float label;
    uint32_t count = distinct(f, example_of(5, f, &label));
    enum { N = 2 + 2 * MODEL_FM_K };
    for (uint32_t i = 0; i < count; i++) {
        float *row = base_rows_write(model_fm_table(fm), f[i].id);
        for (int at = 0; at < 2 + MODEL_FM_K; at++) {
            if (at == 1)
                continue;
            float was = row[at];
            row[at] = was + 1e-2f;
            double up = fm_loss(fm, f, count);
            row[at] = was - 1e-2f;
            double down = fm_loss(fm, f, count);
            row[at] = was;
            double numeric = (up - down) / 2e-2;
            float saved[NNZ][N];
            for (uint32_t j = 0; j < count; j++)
                memcpy(saved[j], base_rows_at(model_fm_table(fm), f[j].id), sizeof(saved[j]));
            float p = base_sigmoidf(model_fm_score(fm, f, count));
            model_fm_step(fm, f, count, p - 1.0f);
            double g = ((double)was - (double)row[at]) / 1e-3;
            double sum = at == 0 ? (double)row[1] : (double)row[2 + MODEL_FM_K + at - 2];
            assert_true(fabs(g * sqrt(sum) - numeric) < 3e-3);
            for (uint32_t j = 0; j < count; j++)
                memcpy(base_rows_write(model_fm_table(fm), f[j].id), saved[j], sizeof(saved[j]));
        }
    }
    model_fm_free(fm);
}

static void fm_learns_an_interaction(void **state)
{
    (void)state;
    struct model_fm_options options;
    model_fm_defaults(&options);
    options.id_max = 8;
    options.init = 0.2f;
    struct model_fm *fm;
    assert_int_equal(model_fm_new(&options, NULL, &fm), FR_OK);
    for (uint32_t id = 1; id < 6; id++)
        model_fm_reset(fm, id, id);
    uint32_t right = 0;
    for (uint64_t step = 0; step < 4000; step++) { /* exclusive or: no linear model can */
        uint32_t a = base_random_u64(1, step, 0) & 1, b = base_random_u64(1, step, 1) & 1;
        struct model_sparse f[3] = {{5, 0, 1}, {1 + a, 1, 1}, {3 + b, 2, 1}};
        float score = model_fm_score(fm, f, 3), label = a != b ? 1.0f : 0.0f;
        right += step >= 3000 && (score > 0) == (a != b);
        model_fm_step(fm, f, 3, base_sigmoidf(score) - label);
    }
    assert_true(right > 990);
    model_fm_free(fm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ftrl_follows_the_paper),
        cmocka_unit_test(ffm_follows_libffm),
        cmocka_unit_test(fm_gradient_is_the_derivative),
        cmocka_unit_test(fm_learns_an_interaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
