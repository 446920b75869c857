/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ridge: CPU cost of seq-ridge on drawn histories (items by a power law, users with a taste):
 * counting an event, solving a row by neighbours, a query of 20 items.
 *
 *   bench_ridge [items=20000] [users=5000] [length=40] [history=32]
 */
#include "base/hash.h"
#include "bench/lib/offline.h"
#include "model/ridge.h"

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

/* Low ids are popular; a user's items lie around a place of theirs. */
static uint32_t item_draw(uint32_t items, uint32_t user, uint32_t i)
{
    double u = base_random_unit(1, user, i), taste = base_random_unit(2, user, 0);
    double x = i % 4 ? taste + 0.05 * (u - 0.5) : u * u * u;
    return 1 + (uint32_t)((x < 0 ? -x : x) * 0.999 * (items - 2)) % (items - 1);
}

static uint32_t history_draw(uint32_t items, uint32_t user, uint32_t end, uint32_t *out,
                             uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = end; i-- > 0 && n < max;) {
        uint32_t item = item_draw(items, user, i);
        bool known = item == item_draw(items, user, end);
        for (uint32_t k = 0; k < n && !known; k++)
            known = out[k] == item;
        if (!known)
            out[n++] = item;
    }
    return n;
}

static void run(int argc, char **argv, uint32_t neighbours)
{
    uint32_t items = argument(argc, argv, "items", 20000), history[256];
    uint32_t users = argument(argc, argv, "users", 5000);
    uint32_t length = argument(argc, argv, "length", 40);
    struct model_ridge_options options;
    struct model_ridge_stats stats;
    struct model_ridge *ridge;
    struct fr_error error;
    model_ridge_defaults(&options);
    options.item_max = items;
    options.neighbours = neighbours;
    options.history_max = FR_MIN(argument(argc, argv, "history", 32), 256u);
    if (model_ridge_new(&options, &error, &ridge) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    double counting = 0;
    for (uint32_t i = 0; i < length; i++)
        for (uint32_t user = 0; user < users; user++) {
            uint32_t n = history_draw(items, user, i, history, options.history_max);
            double began = offline_cpu();
            model_ridge_count(ridge, item_draw(items, user, i), history, n);
            counting += offline_cpu() - began;
        }
    double began = offline_cpu();
    uint32_t rows = model_ridge_solve(ridge, 2000);
    double solving = offline_cpu() - began;
    float *scores = calloc(items, sizeof(float));
    began = offline_cpu();
    for (uint32_t user = 0; user < users; user++) {
        uint32_t n = history_draw(items, user, length, history, 20);
        struct model_ridge_query query = {history, NULL, n};
        model_ridge_query(ridge, &query, scores, items);
    }
    double asking = offline_cpu() - began;
    model_ridge_stats_get(ridge, &stats);
    printf("{\"neighbours\": %u, \"count_us\": %.2f, \"solve_us\": %.0f, \"query_us\": %.1f, "
           "\"pairs\": %llu, \"mb\": %.0f}\n",
           neighbours, counting * 1e6 / ((double)users * length), solving * 1e6 / FR_MAX(rows, 1u),
           asking * 1e6 / users, (unsigned long long)stats.pairs, (double)stats.bytes / 1e6);
    free(scores);
    model_ridge_free(ridge);
}

int main(int argc, char **argv)
{
    run(argc, argv, 100);
    run(argc, argv, 200);
    return 0;
}
