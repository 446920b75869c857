/* SPDX-License-Identifier: Apache-2.0
 *
 * The flat-tree kernel gives the library's margins bit for bit, over a model that was begun, gone
 * on with, capped and refreshed; damaged artefacts are refused. FRESHET_ROWS sets the number of
 * rows (10^5 here, 10^6 in the full check).
 */
#include "base/base.h"
#include "base/hash.h"
#include "model/gbt.h"
#include "model/trees.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FEATURES 12

struct rows {
    float *features, *labels;
    uint32_t count;
};

static struct rows rows_make(uint32_t count, uint64_t seed)
{
    struct rows rows = {calloc((size_t)count * FEATURES, sizeof(float)),
                        calloc(count, sizeof(float)), count};
    assert_non_null(rows.features);
    assert_non_null(rows.labels);
    for (uint32_t i = 0; i < count; i++) {
        float *row = rows.features + (size_t)i * FEATURES, z = 0;
        for (uint32_t k = 0; k < FEATURES; k++) {
            row[k] = (float)base_random_unit(seed, i, k) * 4.0f - 2.0f;
            if (k > 6)
                row[k] = (float)(int)row[k]; /* ties with thresholds */
            if (base_random_u64(seed, i, 100 + k) % 17 == 0)
                row[k] = NAN;
            else if (k < 4)
                z += row[k] * (k % 2 ? -1.0f : 1.5f);
        }
        rows.labels[i] = base_random_unit(seed, i, 50) < 1.0 / (1.0 + exp(-(double)z)) ? 1 : 0;
    }
    return rows;
}

static void rows_free(struct rows *rows)
{
    free(rows->features);
    free(rows->labels);
}

static void artefact_make(struct base_buf *artefact, uint32_t jobs)
{
    struct model_gbt_options options;
    struct fr_error error;
    model_gbt_defaults(&options);
    options.features = FEATURES;
    options.rounds = 10;
    options.trees_max = 40;
    base_buf_init(artefact, 0);
    for (uint32_t job = 0; job < jobs; job++) {
        struct rows rows = rows_make(2000, job);
        struct model_gbt_data data = {rows.features, rows.labels, NULL, rows.count};
        enum fr_status status =
            model_gbt_train(&options, &data, base_buf_slice(artefact), &error, artefact);
        if (status != FR_OK)
            fail_msg("%s", error.message);
        rows_free(&rows);
    }
}

static double log_loss(const float *margin, const float *labels, uint32_t count)
{
    double loss = 0;
    for (uint32_t i = 0; i < count; i++)
        loss += log1p(exp(labels[i] > 0 ? -(double)margin[i] : (double)margin[i]));
    return loss / count;
}

static void equals_library(void **context)
{
    (void)context;
    const char *asked = getenv("FRESHET_ROWS");
    uint32_t count = asked ? (uint32_t)strtoul(asked, NULL, 10) : 100000;
    struct base_buf artefact;
    artefact_make(&artefact, 6);
    struct model_trees *trees = NULL;
    struct fr_error error;
    if (model_trees_parse(base_buf_slice(&artefact), &error, &trees) != FR_OK)
        fail_msg("%s", error.message);
    assert_int_equal(model_trees_count(trees), 40); /* capped */
    struct rows rows = rows_make(count, 99);
    struct model_gbt_data data = {rows.features, NULL, NULL, rows.count};
    float *own = calloc(count, sizeof(float)), *library = calloc(count, sizeof(float));
    assert_non_null(own);
    assert_non_null(library);
    model_trees_predict(trees, rows.features, FEATURES, count, own);
    assert_int_equal(model_gbt_library_margins(base_buf_slice(&artefact), &data, FEATURES, &error,
                                               library),
                     FR_OK);
    uint32_t different = 0;
    for (uint32_t i = 0; i < count; i++)
        different += memcmp(&own[i], &library[i], sizeof(float)) != 0;
    assert_int_equal(different, 0);
    assert_true(log_loss(own, rows.labels, count) < 0.45); /* and has learnt: chance is .69 */
    free(own);
    free(library);
    rows_free(&rows);
    model_trees_free(trees);
    base_buf_release(&artefact);
}

static void refuses_damage(void **context)
{
    (void)context;
    struct base_buf artefact;
    artefact_make(&artefact, 1);
    struct fr_slice whole = base_buf_slice(&artefact);
    struct model_trees *trees;
    struct fr_error error;
    for (size_t cut = 0; cut < whole.bytes; cut += 1 + whole.bytes / 200)
        assert_int_not_equal(model_trees_parse(fr_slice_of(whole.ptr, cut), &error, &trees), FR_OK);
    char *copy = malloc(whole.bytes);
    assert_non_null(copy);
    for (uint32_t i = 0; i < 300; i++) { /* any damage: refused, or a model that stays in bounds */
        memcpy(copy, whole.ptr, whole.bytes);
        copy[base_random_u64(5, i, 0) % whole.bytes] = (char)base_random_u64(5, i, 1);
        if (model_trees_parse(fr_slice_of(copy, whole.bytes), &error, &trees) != FR_OK)
            continue;
        uint32_t width = model_trees_feature_count(trees);
        float *row = calloc(width, sizeof(float)), margin;
        assert_non_null(row);
        model_trees_predict(trees, row, width, 1, &margin);
        free(row);
        model_trees_free(trees);
    }
    free(copy);
    base_buf_release(&artefact);
}

static void reservoir_keeps_and_fades(void **context)
{
    (void)context;
    struct model_gbt_options options;
    struct fr_error error;
    struct model_gbt *gbt = NULL;
    model_gbt_defaults(&options);
    options.features = 2;
    options.rows = 100;
    assert_int_equal(model_gbt_new(&options, &error, &gbt), FR_OK);
    for (uint32_t i = 0; i < 10000; i++)
        model_gbt_add(gbt, (float[]){(float)i, 1}, (float)(i % 2), 1);
    assert_int_equal(model_gbt_row_count(gbt), 100);
    float features[200], labels[100], weights[100];
    model_gbt_copy(gbt, features, labels, weights);
    uint32_t newest = 0;
    for (uint32_t i = 0; i < 100; i++) {
        newest += features[2 * i] >= 9000;
        assert_int_equal((uint32_t)features[2 * i] % 2, (uint32_t)labels[i]);
    }
    assert_true(newest > 50); /* recent: 1000 / 4 overwrites of 100 slots */
    model_gbt_free(gbt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_library),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(reservoir_keeps_and_fades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
