/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ann: recall and cost of the index, on learnt vectors (the encoder after two passes over the
 * Beauty sequences, when FRESHET_DATA has them) and on drawn ones. CPU time of one thread.
 *
 *   bench_ann [learnt|drawn] [items=100000] [lists=0] [probes=1] [rescored=200] [scan=4096] [dump=1]
 * scan: items that the index of the engine looks at (encoder_index.h), measured beside it.
 * dump=1 writes vectors.f32, queries.f32 (u32 count, u32 dimension, floats) and truth.u32 (100 a
 * query) to the working directory, for bench/run-ann to give the same to peers.
 */
#include "base/hash.h"
#include "bench/lib/data.h"
#include "bench/lib/offline.h"
#include "model/ann.h"
#include "model/encoder_index.h"
#include "simd/simd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEST 100
#define QUERIES 500

struct set {
    float *vectors, *queries;
    uint32_t count, dimension, query_count;
    uint32_t *items; /* learnt: the encoder's names of the vectors */
    struct model_encoder *encoder;
    struct model_encoder_index *index; /* what serves, updated at each step of the encoder */
};

static float argument(int argc, char **argv, const char *key, float fallback)
{
    size_t length = strlen(key);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], key, length) && argv[i][length] == '=')
            return strtof(argv[i] + length + 1, NULL);
    return fallback;
}

/* 64-d, unit length, clusters of about 50 that overlap. */
static void set_draw(struct set *set, uint32_t count)
{
    set->count = count;
    set->dimension = 64;
    set->query_count = QUERIES;
    set->vectors = malloc((size_t)count * 64 * sizeof(float));
    set->queries = malloc((size_t)QUERIES * 64 * sizeof(float));
    for (uint32_t i = 0; i < count + QUERIES; i++) {
        float *v =
            i < count ? set->vectors + (size_t)i * 64 : set->queries + (size_t)(i - count) * 64;
        uint64_t cluster = base_random_u64(3, i, 999) % (count / 50 + 1);
        float norm = 1e-9f;
        for (uint32_t k = 0; k < 64; k++) {
            float spread = 0, centre = 0; /* sums of four: near enough to Gaussian */
            for (uint32_t m = 0; m < 4; m++) {
                centre += (float)base_random_unit(1, cluster, 4 * k + m) - 0.5f;
                spread += (float)base_random_unit(2, i, 4 * k + m) - 0.5f;
            }
            v[k] = centre + 0.9f * spread;
            norm += v[k] * v[k];
        }
        for (uint32_t k = 0; k < 64; k++)
            v[k] /= __builtin_sqrtf(norm);
    }
}

static bool set_learn(struct set *set, uint32_t scan)
{
    struct data_sequences data;
    struct model_encoder_options options;
    struct model_encoder *encoder;
    struct model_encoder_index_options index = {0};
    struct fr_error error;
    uint32_t history[MODEL_ENCODER_HISTORY_MAX];
    if (data_sequences_load("beauty", 0, &data) != FR_OK)
        return false;
    model_encoder_defaults(&options);
    options.item_max = data.item_max;
    if (model_encoder_new(&options, &error, &encoder) != FR_OK)
        return false;
    index.encoder = set->encoder = encoder;
    index.item_max = options.item_max;
    index.dimension = options.dimension;
    index.scan = scan;
    if (model_encoder_index_new(&index, &error, &set->index) != FR_OK)
        return false;
    set->items = calloc(data.item_max, sizeof(*set->items));
    set->dimension = options.dimension + 1; /* with the bias */
    set->vectors = calloc((size_t)data.item_max * set->dimension, sizeof(float));
    set->queries = calloc((size_t)QUERIES * set->dimension, sizeof(float));
    uint32_t every = data.user_count / QUERIES;
    for (uint32_t pass = 0; pass < 3; pass++)
        for (uint32_t user = 0; user < data.user_count; user++)
            for (size_t i = data.start[user] + 1; i <= data.start[user + 1]; i++) {
                uint32_t n = 0;
                for (size_t k = i; k-- > data.start[user] && n < options.history;)
                    history[n++] = data.items[k];
                if (pass < 2 && i < data.start[user + 1]) {
                    model_encoder_learn(encoder,
                                        &(struct model_encoder_user){.history = history,
                                                                     .count = n},
                                        data.items[i]);
                    model_encoder_index_take(set->index);
                } else if (pass == 2 && i == data.start[user + 1] && user % every == 0 &&
                           set->query_count < QUERIES) {
                    float *q = set->queries + (size_t)set->query_count++ * set->dimension;
                    model_encoder_vector(encoder,
                                         &(struct model_encoder_user){.history = history,
                                                                      .count = n},
                                         q);
                    q[options.dimension] = 1;
                }
            }
    for (uint32_t j = 1; j < data.item_max; j++)
        if (model_encoder_item(encoder, j, set->vectors + (size_t)set->count * set->dimension))
            set->items[set->count++] = j;
    data_sequences_free(&data);
    return true;
}

static void exact(void *context, const uint32_t *items, uint32_t count, float *out_scores)
{
    void *const *pair = context;
    const struct set *set = pair[0];
    const float *query = pair[1];
    for (uint32_t i = 0; i < count; i++)
        out_scores[i] = simd_ops()->dot(set->vectors + (size_t)items[i] * set->dimension, query,
                                        set->dimension);
}

struct scored {
    float score;
    uint32_t item;
};

static int scored_compare(const void *pa, const void *pb)
{
    const struct scored *a = pa, *b = pb;
    return a->score > b->score ? -1 : a->score < b->score ? 1 : 0;
}

static void truth_find(const struct set *set, uint32_t *truth)
{
    struct scored *all = malloc(set->count * sizeof(*all));
    double began = offline_cpu();
    for (uint32_t q = 0; q < set->query_count; q++) {
        for (uint32_t i = 0; i < set->count; i++)
            all[i] = (struct scored){simd_ops()->dot(set->vectors + (size_t)i * set->dimension,
                                                     set->queries + (size_t)q * set->dimension,
                                                     set->dimension),
                                     i};
        qsort(all, set->count, sizeof(*all), scored_compare);
        for (uint32_t i = 0; i < BEST; i++)
            truth[q * BEST + i] = all[i].item;
    }
    printf("exact float scan with a full sort: %.0f us a query\n",
           (offline_cpu() - began) * 1e6 / set->query_count);
    free(all);
}

static void dump(const char *path, const float *floats, uint32_t count, uint32_t dimension)
{
    FILE *file = fopen(path, "w");
    uint32_t head[2] = {count, dimension};
    fwrite(head, sizeof(head), 1, file);
    fwrite(floats, sizeof(float), (size_t)count * dimension, file);
    fclose(file);
}

static void measure(const struct set *set, const struct model_ann *ann, const uint32_t *truth)
{
    uint32_t items[BEST], hits = 0;
    float scores[BEST];
    double best = 1e9;
    for (int round = 0; round < 5; round++) { /* the fastest: others use this machine too */
        hits = 0;
        double began = offline_cpu();
        for (uint32_t q = 0; q < set->query_count; q++) {
            const float *vector = set->queries + (size_t)q * set->dimension;
            const void *pair[2] = {set, vector};
            struct model_ann_query query = {.vector = vector,
                                            .best = BEST,
                                            .exact = exact,
                                            .context = pair};
            uint32_t n = model_ann_search(ann, &query, items, scores);
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t k = 0; k < BEST; k++)
                    hits += truth[q * BEST + k] == items[i];
        }
        best = FR_MIN(best, offline_cpu() - began);
    }
    printf("own index: %.1f us a query (the count of hits in it), recall@%u %.4f, %.1f MB\n",
           best * 1e6 / set->query_count, BEST, (double)hits / (BEST * (double)set->query_count),
           (double)model_ann_bytes(ann) / 1e6);
}

/* The index as it serves: what it became while the encoder learnt. */
static void measure_served(const struct set *set, const uint32_t *truth, uint32_t scan)
{
    uint32_t items[BEST], hits = 0;
    double began = offline_cpu();
    for (uint32_t q = 0; q < set->query_count; q++) {
        uint32_t n =
            model_encoder_index_search(set->index, set->queries + (size_t)q * set->dimension, BEST,
                                       items);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < BEST; k++)
                hits += set->items[truth[q * BEST + k]] == items[i];
    }
    printf("the index that serves, updated in place, about %u of %u scanned: %.1f us a query, "
           "recall@%u %.4f\n",
           scan, set->count, (offline_cpu() - began) * 1e6 / set->query_count, BEST,
           (double)hits / (BEST * (double)set->query_count));
}

int main(int argc, char **argv)
{
    static struct set set;
    uint32_t scan = (uint32_t)argument(argc, argv, "scan", (float)ENCODER_INDEX_SCAN);
    if (argc > 1 && !strcmp(argv[1], "learnt")) {
        if (!set_learn(&set, scan))
            return 0;
    } else {
        set_draw(&set, (uint32_t)argument(argc, argv, "items", 100000));
    }
    uint32_t *truth = calloc((size_t)set.query_count * BEST, sizeof(*truth));
    truth_find(&set, truth);
    struct model_ann_options options;
    struct model_ann *ann;
    struct fr_error error;
    model_ann_defaults(&options);
    options.item_max = set.count;
    options.dimension = set.dimension;
    options.lists = (uint32_t)argument(argc, argv, "lists", 0);
    options.probes = (uint32_t)argument(argc, argv, "probes", 1);
    options.rescored = (uint32_t)argument(argc, argv, "rescored", 200);
    if (model_ann_new(&options, &error, &ann) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    double began = offline_cpu();
    uint32_t sample = FR_MIN(set.count, 32 * FR_MAX(options.lists, 1u));
    if (model_ann_train(ann, set.vectors, sample, &error) != FR_OK)
        return 1;
    double trained = offline_cpu();
    for (uint32_t i = 0; i < set.count; i++)
        if (model_ann_put(ann, i, set.vectors + (size_t)i * set.dimension) != FR_OK)
            return 1;
    printf("%u vectors of %u, %u lists, %u probes, %u rescored: centroids %.2f s, put %.2f us\n",
           set.count, set.dimension, options.lists, options.probes, options.rescored,
           trained - began, (offline_cpu() - trained) * 1e6 / set.count);
    measure(&set, ann, truth);
    if (set.index)
        measure_served(&set, truth, scan);
    if (argument(argc, argv, "dump", 0) != 0) {
        dump("vectors.f32", set.vectors, set.count, set.dimension);
        dump("queries.f32", set.queries, set.query_count, set.dimension);
        FILE *file = fopen("truth.u32", "w");
        fwrite(truth, sizeof(*truth), (size_t)set.query_count * BEST, file);
        fclose(file);
    }
    model_ann_free(ann);
    model_encoder_index_free(set.index);
    model_encoder_free(set.encoder);
    return 0;
}
