/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder's gradients against finite differences of its loss, computed here in double precision
 * from the stored weights. An AdaGrad step from sums s moves a weight by rate * g / sqrt(s + g^2),
 * so that g can be read back from the move. Also: the same events give the same bits, and it
 * learns.
 */
#include "base/base.h"
#include "base/hash.h"
#include "model/encoder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define D 16
#define H 16
#define ITEMS 12
#define W (D + 16)
#define HISTORY 4
#define VALUES 2
#define AGES 2

/* Weights as doubles, laid out as the rows are: in, out (+ bias), gates, W1 | b1 | W2', values,
 * ages. Several visits share a class of age. */
struct weights {
    double in[ITEMS + 1][D], out[ITEMS + 1][W], gate[HISTORY + 1][D], layer[H + 1][2 * W],
        value[VALUES + 1][D], age[AGES + 1][D];
};
enum { IN, OUT, GATE, LAYER, RING, VALUE, AGE };

static void options_small(struct model_encoder_options *options)
{
    model_encoder_defaults(options);
    options->item_max = ITEMS + 1;
    options->dimension = D;
    options->hidden = H;
    options->history = HISTORY;
    options->negatives = 0;
    options->rate = 0.05f;
    options->value_rows = VALUES;
}

static struct model_encoder_user user_of(const uint32_t *history, uint32_t count)
{
    static const uint32_t values[VALUES] = {2, 1}; /* a row each */
    static const uint8_t ages[HISTORY] = {[0] = 0, [HISTORY - 1] = 1};
    return (struct model_encoder_user){.history = history,
                                       .age = ages,
                                       .count = count,
                                       .values = values,
                                       .value_count = VALUES};
}

static float learn(struct model_encoder *encoder, const uint32_t *history, uint32_t count,
                   uint32_t target)
{
    const struct model_encoder_user user = user_of(history, count);
    return model_encoder_learn(encoder, &user, target);
}

static bool vector_of(struct model_encoder *encoder, const uint32_t *history, uint32_t count,
                      float *vector)
{
    const struct model_encoder_user user = user_of(history, count);
    return model_encoder_vector(encoder, &user, vector);
}

static struct model_encoder *encoder_make(const struct model_encoder_options *options)
{
    struct model_encoder *encoder = NULL;
    struct fr_error error;
    assert_int_equal(model_encoder_new(options, &error, &encoder), FR_OK);
    return encoder;
}

static void row_take(struct base_rows *rows, uint32_t row, uint32_t n, double *weights,
                     double *sums)
{
    const float *from = base_rows_at(rows, row);
    for (uint32_t k = 0; k < n; k++) {
        weights[k] = (double)from[k];
        sums[k] = (double)from[n + k];
    }
}

static void weights_take(struct model_encoder *encoder, struct weights *weights,
                         struct weights *sums)
{
    struct base_rows *tables[MODEL_ENCODER_TABLES];
    model_encoder_tables(encoder, tables);
    for (uint32_t j = 1; j <= ITEMS; j++) {
        row_take(tables[IN], j, D, weights->in[j], sums->in[j]);
        row_take(tables[OUT], j, W, weights->out[j], sums->out[j]);
    }
    for (uint32_t i = 1; i <= HISTORY; i++)
        row_take(tables[GATE], i, D, weights->gate[i], sums->gate[i]);
    for (uint32_t v = 1; v <= VALUES; v++)
        row_take(tables[VALUE], v, D, weights->value[v], sums->value[v]);
    for (uint32_t a = 1; a <= AGES; a++)
        row_take(tables[AGE], a, D, weights->age[a], sums->age[a]);
    for (uint32_t h = 1; h <= H; h++)
        row_take(tables[LAYER], h, 2 * W, weights->layer[h], sums->layer[h]);
}

static double loss_of(const struct weights *w, const uint32_t *history, uint32_t n, uint32_t target,
                      double recency)
{
    double x[D] = {0}, u[D], mass = 0, sum = 0, z_target = 0;
    for (uint32_t i = 0; i < n; i++)
        mass += pow(recency, 2.0 * i);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < D; k++)
            x[k] += w->gate[i + 1][k] * w->age[i == HISTORY - 1 ? 2 : 1][k] * w->in[history[i]][k] /
                    sqrt(mass);
    for (uint32_t v = 1; v <= VALUES; v++) /* both values are hashed to the rows they are given */
        for (uint32_t k = 0; k < D; k++)
            x[k] += w->value[v][k];
    memcpy(u, x, sizeof(u));
    for (uint32_t h = 1; h <= H; h++) {
        double z = w->layer[h][D];
        for (uint32_t k = 0; k < D; k++)
            z += w->layer[h][k] * x[k];
        for (uint32_t k = 0; k < D && z > 0; k++)
            u[k] += z * w->layer[h][W + k];
    }
    for (uint32_t j = 1; j <= ITEMS; j++) {
        double z = w->out[j][D];
        for (uint32_t k = 0; k < D; k++)
            z += w->out[j][k] * u[k];
        sum += exp(z);
        z_target = j == target ? z : z_target;
    }
    return log(sum) - z_target;
}

static void event_draw(uint32_t e, uint32_t history[HISTORY], uint32_t *out_target)
{
    uint32_t first = (uint32_t)(base_random_u64(3, e, 0) % ITEMS);
    for (uint32_t i = 0; i < HISTORY; i++)
        history[i] = 1 + (first + i) % ITEMS;
    *out_target = 1 + (first + ITEMS - 1) % ITEMS; /* what comes before in the circle */
}

static double move_to_gradient(double before, double after, double sum, double rate)
{
    double r = (before - after) / rate; /* g / sqrt(sum + g^2) */
    return r * sqrt(sum / (1 - r * r));
}

static void equals_finite_differences(void **context)
{
    (void)context;
    static struct weights before, sums, after, sums_after;
    struct model_encoder_options options;
    options_small(&options);
    struct model_encoder *encoder = encoder_make(&options);
    uint32_t history[HISTORY], target;
    for (uint32_t e = 0; e < 60; e++) {
        event_draw(e, history, &target);
        learn(encoder, history, HISTORY, target);
    }
    weights_take(encoder, &before, &sums);
    event_draw(1000, history, &target);
    float loss = learn(encoder, history, HISTORY, target);
    weights_take(encoder, &after, &sums_after);
    double recency = (double)options.recency;
    assert_true(fabs((double)loss - loss_of(&before, history, HISTORY, target, recency)) < 1e-4);
    double *at = (double *)&before, *to = (double *)&after, *sum = (double *)&sums;
    uint32_t checked = 0;
    for (size_t k = 0; k < sizeof(before) / sizeof(double); k++) {
        if (sum[k] <= 0 || at[k] == to[k])
            continue;
        double kept = at[k], h = 1e-5;
        at[k] = kept + h;
        double up = loss_of(&before, history, HISTORY, target, recency);
        at[k] = kept - h;
        double down = loss_of(&before, history, HISTORY, target, recency);
        at[k] = kept;
        double expected = (up - down) / (2 * h);
        double got = move_to_gradient(at[k], to[k], sum[k], (double)options.rate);
        assert_true(fabs(got - expected) <= 1e-3 * fabs(expected) + 2e-4);
        checked++;
    }
    assert_true(checked > 400); /* in, out, gates and the layer took part */
    model_encoder_free(encoder);
}

static struct base_hash128 digest_of(struct model_encoder *encoder)
{
    struct base_rows *tables[MODEL_ENCODER_TABLES];
    struct base_digest digest;
    model_encoder_tables(encoder, tables);
    base_digest_init(&digest);
    for (int t = 0; t < MODEL_ENCODER_TABLES; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

static void learns_with_the_same_bits(void **context)
{
    (void)context;
    struct base_hash128 first = {0, 0};
    for (int run = 0; run < 2; run++) {
        struct model_encoder_options options;
        options_small(&options);
        options.negatives = 8;
        options.ring = 100;
        struct model_encoder *encoder = encoder_make(&options);
        uint32_t history[HISTORY], target, hits = 0;
        for (uint32_t e = 0; e < 3000; e++) {
            event_draw(e, history, &target);
            learn(encoder, history, HISTORY, target);
        }
        for (uint32_t e = 5000; e < 5100; e++) {
            uint32_t items[ITEMS], best = 0;
            float vector[D], scores[ITEMS];
            event_draw(e, history, &target);
            assert_true(vector_of(encoder, history, HISTORY, vector));
            for (uint32_t j = 0; j < ITEMS; j++)
                items[j] = j + 1;
            model_encoder_scores(encoder, vector, items, ITEMS, scores);
            for (uint32_t j = 1; j < ITEMS; j++)
                best = scores[j] > scores[best] ? j : best;
            hits += items[best] == target;
        }
        assert_true(hits > 90); /* the target follows from the history; chance is 8 */
        struct base_hash128 now = digest_of(encoder);
        if (run)
            assert_true(now.lo == first.lo && now.hi == first.hi);
        first = now;
        model_encoder_free(encoder);
    }
}

/* Among all items, while no gradient is small enough to be thinned, the step is the full softmax's
 * (in another order of summation). */
static void among_all_is_the_full_softmax(void **context)
{
    (void)context;
    static struct weights full, among, sums;
    struct model_encoder_options options;
    options_small(&options);
    struct model_encoder *a = encoder_make(&options), *b = encoder_make(&options);
    uint32_t items[ITEMS], history[HISTORY], target;
    const struct model_encoder_user user = user_of(history, HISTORY), nobody = {0};
    for (uint32_t j = 0; j < ITEMS; j++)
        items[j] = j + 1;
    for (uint32_t j = 0; j < ITEMS; j++) { /* an empty history only makes the item known */
        learn(a, history, 0, j + 1);
        model_encoder_learn_among(b, &nobody, items, ITEMS, j);
    }
    for (uint32_t e = 0; e < 10; e++) {
        event_draw(e, history, &target);
        float loss = learn(a, history, HISTORY, target);
        float other = model_encoder_learn_among(b, &user, items, ITEMS, target - 1);
        assert_true(fabs((double)(loss - other)) < 1e-4);
    }
    weights_take(a, &full, &sums);
    weights_take(b, &among, &sums);
    const double *x = (const double *)&full, *y = (const double *)&among;
    for (size_t k = 0; k < sizeof(full) / sizeof(double); k++)
        assert_true(fabs(x[k] - y[k]) < 1e-4);
    model_encoder_free(a);
    model_encoder_free(b);
}

static void unknown_items_score_nothing(void **context)
{
    (void)context;
    struct model_encoder_options options;
    options_small(&options);
    struct model_encoder *encoder = encoder_make(&options);
    uint32_t history[2] = {1, 2}, beyond = ITEMS + 5;
    float vector[D], score = 1;
    assert_false(vector_of(encoder, history, 2, vector));
    learn(encoder, history, 2, 3);
    learn(encoder, history, 2, beyond); /* beyond the table: left out */
    assert_true(vector_of(encoder, history, 2, vector));
    model_encoder_scores(encoder, vector, &beyond, 1, &score);
    assert_true(score == 0.0f);
    model_encoder_free(encoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_finite_differences),
        cmocka_unit_test(learns_with_the_same_bits),
        cmocka_unit_test(among_all_is_the_full_softmax),
        cmocka_unit_test(unknown_items_score_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
