/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_trees: CPU cost of a boosting job (begin, go on, at the cap) and of predicting with the own
 * kernel beside the library, same rows, one thread; counts rows whose bits differ.
 *
 *   bench_trees [rows=10000] [features=30] [trees=100] [predict=100000]
 */
#include "base/hash.h"
#include "bench/lib/offline.h"
#include "model/gbt.h"
#include "model/trees.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t argument(int argc, char **argv, const char *key, uint32_t fallback)
{
    size_t length = strlen(key);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], key, length) && argv[i][length] == '=')
            return (uint32_t)strtoul(argv[i] + length + 1, NULL, 10);
    return fallback;
}

static void rows_draw(uint32_t count, uint32_t features, uint64_t seed, float *x, float *y)
{
    for (uint32_t i = 0; i < count; i++) {
        float z = 0;
        for (uint32_t k = 0; k < features; k++) {
            x[(size_t)i * features + k] = (float)base_random_unit(seed, i, k);
            z += x[(size_t)i * features + k] * (k % 3 ? 1.0f : -2.0f);
        }
        y[i] = (float)base_random_unit(seed, i, 1000) < 0.5f + 0.2f * z ? 1.0f : 0.0f;
    }
}

int main(int argc, char **argv)
{
    struct model_gbt_options options;
    struct fr_error error;
    struct base_buf artefact;
    model_gbt_defaults(&options);
    options.features = argument(argc, argv, "features", 30);
    options.trees_max = argument(argc, argv, "trees", 100);
    uint32_t rows = argument(argc, argv, "rows", 10000);
    uint32_t count = argument(argc, argv, "predict", 100000);
    float *x = calloc((size_t)FR_MAX(rows, count) * options.features, sizeof(float));
    float *y = calloc(FR_MAX(rows, count), sizeof(float)), *own = calloc(count, sizeof(float));
    float *library = calloc(count, sizeof(float));
    base_buf_init(&artefact, 0);
    double growing = 0, capped = 0;
    uint32_t jobs = options.trees_max / options.rounds;
    for (uint32_t job = 0; job <= jobs; job++) {
        rows_draw(rows, options.features, job, x, y);
        struct model_gbt_data data = {x, y, NULL, rows};
        double began = offline_cpu();
        if (model_gbt_train(&options, &data, base_buf_slice(&artefact), &error, &artefact) !=
            FR_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        *(job == jobs ? &capped : &growing) += offline_cpu() - began;
    }
    struct model_trees *trees;
    double began = offline_cpu();
    if (model_trees_parse(base_buf_slice(&artefact), &error, &trees) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    double parsing = offline_cpu() - began, one = 1e9, batch = 1e9;
    rows_draw(count, options.features, 999, x, y);
    for (int round = 0; round < 3; round++) { /* the fastest: others use this machine too */
        began = offline_cpu();
        model_trees_predict(trees, x, options.features, count, own);
        batch = FR_MIN(batch, offline_cpu() - began);
        began = offline_cpu();
        for (uint32_t i = 0; i < 1000; i++)
            model_trees_predict(trees, x + (size_t)i * options.features, options.features, 1,
                                own + i);
        one = FR_MIN(one, offline_cpu() - began);
    }
    struct model_gbt_data data = {x, NULL, NULL, count};
    began = offline_cpu();
    if (model_gbt_library_margins(base_buf_slice(&artefact), &data, options.features, &error,
                                  library) != FR_OK)
        return 1;
    double peer = offline_cpu() - began;
    uint32_t different = 0;
    for (uint32_t i = 0; i < count; i++)
        different += memcmp(&own[i], &library[i], sizeof(float)) != 0;
    printf("{\"trees\": %u, \"job_ms\": %.0f, \"capped_job_ms\": %.0f, \"parse_ms\": %.1f, "
           "\"row_us\": %.3f, \"single_row_us\": %.2f, \"library_row_us\": %.3f, "
           "\"different\": %u, \"artefact_kb\": %.0f}\n",
           model_trees_count(trees), growing * 1e3 / FR_MAX(jobs, 1u), capped * 1e3, parsing * 1e3,
           batch * 1e6 / count, one * 1e3, peer * 1e6 / count, different,
           (double)artefact.count / 1e3);
    model_trees_free(trees);
    base_buf_release(&artefact);
    return 0;
}
