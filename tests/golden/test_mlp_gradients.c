/* SPDX-License-Identifier: Apache-2.0
 *
 * The neural ranker: gradients against finite differences, one Adam step against the formula, every
 * set of kernels the same bits, learning what no line can, batches by count and by time, layers
 * anew, weights from outside, views.
 */
#include "base/fmath.h"
#include "base/hash.h"
#include "base/rows.h"
#include "model/mlp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DENSE = 5, SLOTS = 2, DIM = 3 };

static struct model_mlp *open_mlp(struct model_mlp_options *options)
{
    struct model_mlp *mlp;
    assert_int_equal(model_mlp_new(options, NULL, &mlp), FR_OK);
    return mlp;
}

static struct model_mlp_options small_options(void)
{
    struct model_mlp_options options;
    model_mlp_defaults(&options);
    options.dense = DENSE;
    options.slots = SLOTS;
    options.dim = DIM;
    options.id_max = 100;
    options.width[0] = 9;
    options.width[1] = 6;
    options.batch_count = 16;
    return options;
}

static bool add(struct model_mlp *mlp, uint64_t i, uint32_t now_s)
{
    float dense[DENSE];
    uint32_t ids[SLOTS];
    for (uint32_t k = 0; k < DENSE; k++)
        dense[k] = (float)(base_random_unit(1, i, k) * 2 - 1);
    for (uint32_t s = 0; s < SLOTS; s++)
        ids[s] = 1 + (uint32_t)(base_random_u64(2, i, s) % 20);
    bool odd = dense[0] * dense[1] > 0; /* no line separates it */
    return model_mlp_learn(mlp, (struct model_mlp_input){dense, ids, 1},
                           (struct model_mlp_target){odd ? 1.0f : 0.0f, 1.0f, 0.0f, now_s});
}

static void gradients_are_derivatives(void **state)
{
    (void)state;
    struct model_mlp_options options = small_options();
    struct model_mlp *mlp = open_mlp(&options);
    for (uint64_t i = 0; i < 7; i++)
        assert_false(add(mlp, i, 0));
    uint32_t n = model_mlp_weight_count(mlp);
    float *gradient = calloc(n, sizeof(float)), *w = model_mlp_weights(mlp);
    assert_true(model_mlp_gradient(mlp, gradient) > 0);
    double size = 0;
    uint32_t far = 0; /* a step over the bend of a ReLU has no derivative to agree with */
    for (uint32_t i = 0; i < n; i++) {
        float was = w[i];
        w[i] = was + 2e-3f;
        double up = (double)model_mlp_gradient(mlp, NULL);
        w[i] = was - 2e-3f;
        double down = (double)model_mlp_gradient(mlp, NULL);
        w[i] = was;
        double numeric = (up - down) / 4e-3;
        far += fabs(numeric - (double)gradient[i]) > 2e-3;
        size = fmax(size, fabs((double)gradient[i]));
    }
    assert_true(size > 0.05);
    assert_true(far <= n / 50);
    free(gradient);
    model_mlp_free(mlp);
}

static void the_first_step_is_adams(void **state)
{
    (void)state;
    struct model_mlp_options options = small_options();
    options.l2 = 0.01f;
    struct model_mlp *mlp = open_mlp(&options);
    for (uint64_t i = 0; i < 7; i++)
        add(mlp, i, 0);
    uint32_t n = model_mlp_weight_count(mlp);
    float *g = calloc(n, sizeof(float)), *before = calloc(n, sizeof(float));
    model_mlp_gradient(mlp, g);
    memcpy(before, model_mlp_weights(mlp), n * sizeof(float));
    assert_true(model_mlp_step(mlp));
    assert_int_equal(model_mlp_steps(mlp), 1);
    const float *after = model_mlp_weights(mlp);
    for (uint32_t i = 0; i < (DENSE + SLOTS * DIM) * 9; i++) { /* the first kernel */
        double gi = (double)g[i] + 0.01 * (double)before[i], m = 0.1 * gi, v = 0.001 * gi * gi;
        double rate = 1e-3 * sqrt(1 - 0.999) / (1 - 0.9);
        double want = (double)before[i] - rate * m / (sqrt(v) + 1e-7);
        assert_true(fabs((double)after[i] - want) < 1e-5);
    }
    free(g);
    free(before);
    model_mlp_free(mlp);
}

static double trained_loss(struct model_mlp_options options, uint64_t count)
{
    struct model_mlp *mlp = open_mlp(&options);
    double loss = 0;
    uint32_t steps = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (add(mlp, i, (uint32_t)i) && i > count * 3 / 4) {
            loss += (double)model_mlp_last_loss(mlp);
            steps++;
        }
    }
    model_mlp_free(mlp);
    return loss / steps;
}

static void it_learns_what_no_line_can(void **state)
{
    (void)state;
    struct model_mlp_options options = small_options();
    options.rate = 1e-2f;
    assert_true(trained_loss(options, 16000) < 0.3);
    options.dropout = 0.1f;
    options.clip = 1.0f;
    options.l2 = 1e-5f;
    assert_true(trained_loss(options, 16000) < 0.45);
}

static void batches_go_by_count_and_by_time(void **state)
{
    (void)state;
    struct model_mlp_options options = small_options();
    options.batch_s = 10;
    struct model_mlp *mlp = open_mlp(&options);
    for (uint64_t i = 0; i < 15; i++)
        assert_false(add(mlp, i, 100 + (uint32_t)i / 4));
    assert_true(add(mlp, 15, 105)); /* the 16th */
    assert_false(add(mlp, 16, 109));
    assert_true(add(mlp, 17, 110)); /* the next span: what waited is learnt */
    assert_int_equal(model_mlp_steps(mlp), 2);
    model_mlp_free(mlp);
}

static struct base_hash128 digest_of(struct model_mlp *mlp)
{
    struct base_rows *tables[MODEL_MLP_TABLES];
    struct base_digest digest;
    base_digest_init(&digest);
    model_mlp_tables(mlp, tables);
    for (int i = 0; i < MODEL_MLP_TABLES; i++)
        base_rows_digest(tables[i], &digest);
    return base_digest_end(&digest);
}

static void the_same_examples_give_the_same_state(void **state)
{
    (void)state;
    struct model_mlp_options options = small_options();
    options.dropout = 0.3f;
    struct model_mlp *a = open_mlp(&options), *b = open_mlp(&options);
    for (uint64_t i = 0; i < 500; i++) {
        add(a, i, 0);
        add(b, i, 0);
    }
    struct base_hash128 one = digest_of(a), two = digest_of(b);
    assert_memory_equal(&one, &two, sizeof(one));
    model_mlp_reset_layer(b, 2);
    two = digest_of(b);
    assert_memory_not_equal(&one, &two, sizeof(one));
    model_mlp_free(a);
    model_mlp_free(b);
}

static void views_keep_what_was_published(void **state)
{
    (void)state;
    struct model_mlp_options options = small_options();
    struct model_mlp *mlp = open_mlp(&options);
    float dense[2 * DENSE] = {0.1f, 0.2f, -0.3f, 0.4f, 0.5f, 1, 1, 1, 1, 1};
    uint32_t ids[2 * SLOTS] = {0};
    struct model_mlp_input input = {dense, ids, 2};
    float first[2], held[2], now[2], live[2];
    struct model_mlp_view *view = model_mlp_acquire(mlp);
    model_mlp_view_score(view, input, first);
    for (uint64_t i = 0; i < 64; i++)
        add(mlp, i, 0);
    assert_true(model_mlp_publish(mlp));
    model_mlp_view_score(view, input, held);
    assert_memory_equal(first, held, sizeof(first));
    struct model_mlp_view *fresh = model_mlp_acquire(mlp);
    model_mlp_view_score(fresh, input, now);
    model_mlp_score(mlp, input, live);
    assert_memory_equal(now, live, sizeof(now));
    assert_memory_not_equal(now, first, sizeof(now));
    struct model_mlp_view *more[2];
    for (int i = 0; i < 2; i++) { /* hold every view */
        assert_true(model_mlp_publish(mlp));
        more[i] = model_mlp_acquire(mlp);
    }
    assert_false(model_mlp_publish(mlp));
    model_mlp_drop(view);
    assert_true(model_mlp_publish(mlp));
    model_mlp_drop(fresh);
    model_mlp_drop(more[0]);
    model_mlp_drop(more[1]);
    model_mlp_free(mlp);
}

/* ---- an .npz made by hand, as numpy.savez lays it out --------------------------------------- */

struct zip {
    uint8_t bytes[8192], directory[2048];
    size_t count, directory_count;
    uint16_t files;
};

static void put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static void zip_add(struct zip *zip, const char *name, const char *shape, const float *array,
                    size_t count)
{
    uint8_t npy[4096] = "\x93NUMPY\x01";
    int header = snprintf((char *)npy + 10, 200,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n", shape);
    put(npy + 8, (uint64_t)header, 2);
    memcpy(npy + 10 + header, array, count * sizeof(float));
    size_t size = 10 + (size_t)header + count * sizeof(float), named = strlen(name);
    uint8_t *entry = zip->directory + zip->directory_count, *file = zip->bytes + zip->count;
    put(entry, 0x02014b50u, 4);
    put(entry + 20, size, 4);
    put(entry + 24, size, 4);
    put(entry + 28, named, 2);
    put(entry + 42, zip->count, 4);
    memcpy(entry + 46, name, named);
    zip->directory_count += 46 + named;
    put(file, 0x04034b50u, 4);
    put(file + 26, named, 2);
    memcpy(file + 30, name, named);
    memcpy(file + 30 + named, npy, size);
    zip->count += 30 + named + size;
    zip->files++;
}

static struct fr_slice zip_end(struct zip *zip)
{
    size_t directory = zip->count;
    memcpy(zip->bytes + zip->count, zip->directory, zip->directory_count);
    zip->count += zip->directory_count;
    put(zip->bytes + zip->count, 0x06054b50u, 4);
    put(zip->bytes + zip->count + 10, zip->files, 2);
    put(zip->bytes + zip->count + 16, directory, 4);
    zip->count += 22;
    return fr_slice_of((const char *)zip->bytes, zip->count);
}

static void weights_come_from_outside(void **state)
{
    (void)state;
    struct model_mlp_options options;
    model_mlp_defaults(&options);
    options.dense = 2;
    options.layers = 2;
    options.width[0] = 2;
    options.width[1] = 1;
    struct model_mlp *mlp = open_mlp(&options);
    static struct zip zip, bad;
    const float kernel[4] = {1, -1, 2, 0.5f}, bias[2] = {0.25f, 0}, out[2] = {3, -2}, last = 0.5f;
    const float nan[2] = {NAN, 1};
    zip_add(&zip, "arr_0.npy", "(2, 2)", kernel, 4);
    zip_add(&zip, "arr_1.npy", "(2,)", bias, 2);
    zip_add(&zip, "arr_2.npy", "(2, 1)", out, 2);
    zip_add(&zip, "arr_3.npy", "(1,)", &last, 1);
    struct fr_slice bytes = zip_end(&zip);
    assert_int_equal(model_mlp_import_npz(mlp, bytes, NULL), FR_OK);
    float x[2] = {1, 1}, logit; /* hidden: 1 + 2 + .25 = 3.25; max(0, -1 + .5) = 0 */
    model_mlp_score(mlp, (struct model_mlp_input){x, NULL, 1}, &logit);
    assert_true(fabsf(logit - (3 * 3.25f + 0.5f)) < 1e-6f);
    zip_add(&bad, "arr_0.npy", "(2, 2)", kernel, 4);
    zip_add(&bad, "arr_1.npy", "(2,)", nan, 2);
    zip_add(&bad, "arr_2.npy", "(2, 1)", out, 2);
    zip_add(&bad, "arr_3.npy", "(1,)", &last, 1);
    struct fr_slice refused = zip_end(&bad);
    struct fr_error error;
    assert_int_equal(model_mlp_import_npz(mlp, refused, &error), FR_INVALID);
    for (size_t cut = 0; cut < bytes.bytes; cut++) /* no prefix is taken, none is read beyond */
        assert_int_equal(model_mlp_import_npz(mlp, fr_slice_of(bytes.ptr, cut), &error),
                         FR_INVALID);
    float same;
    model_mlp_score(mlp, (struct model_mlp_input){x, NULL, 1}, &same);
    assert_true(same == logit); /* what was refused changed nothing */
    model_mlp_free(mlp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_derivatives),
        cmocka_unit_test(the_first_step_is_adams),
        cmocka_unit_test(it_learns_what_no_line_can),
        cmocka_unit_test(batches_go_by_count_and_by_time),
        cmocka_unit_test(the_same_examples_give_the_same_state),
        cmocka_unit_test(views_keep_what_was_published),
        cmocka_unit_test(weights_come_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
