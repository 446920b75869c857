/* SPDX-License-Identifier: Apache-2.0
 *
 * The index: exact scan and inverted file find what brute force finds, updates and removals in
 * place keep it so, and searching while a writer moves rows gives exact scores.
 */
#include "base/base.h"
#include "base/hash.h"
#include "model/ann.h"
#include "simd/simd.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define D 24
#define ITEMS 3000
#define BEST 20

static float vectors[ITEMS][D];

/* Clusters of about 30, as learnt vectors have them. */
static void vector_make(uint32_t item, uint64_t seed)
{
    uint32_t cluster = (uint32_t)base_random_u64(seed, item, 99) % (ITEMS / 30);
    for (uint32_t k = 0; k < D; k++)
        vectors[item][k] = (float)base_random_unit(4, cluster, k) - 0.5f +
                           0.4f * ((float)base_random_unit(seed, item, k) - 0.5f);
}

static void exact(void *context, const uint32_t *items, uint32_t count, float *out_scores)
{
    for (uint32_t i = 0; i < count; i++)
        out_scores[i] = simd_ops()->dot(vectors[items[i]], context, D);
}

static struct model_ann *index_make(uint32_t lists, uint32_t probes)
{
    struct model_ann_options options;
    struct fr_error error;
    struct model_ann *ann = NULL;
    model_ann_defaults(&options);
    options.item_max = ITEMS;
    options.dimension = D;
    options.lists = lists;
    options.probes = probes;
    options.rescored = 100;
    assert_int_equal(model_ann_new(&options, &error, &ann), FR_OK);
    for (uint32_t item = 0; item < ITEMS; item++)
        vector_make(item, 1);
    assert_int_equal(model_ann_train(ann, &vectors[0][0], ITEMS, &error), FR_OK);
    for (uint32_t item = 0; item < ITEMS; item++)
        assert_int_equal(model_ann_put(ann, item, vectors[item]), FR_OK);
    return ann;
}

/* Share of the true best that the search gives, over 50 queries; `live`: items that exist. */
static double recall(const struct model_ann *ann, const bool *live)
{
    uint32_t hits = 0, items[BEST];
    float scores[BEST];
    for (uint32_t q = 0; q < 50; q++) {
        struct model_ann_query query = {.vector = vectors[q * 7],
                                        .best = BEST,
                                        .exact = exact,
                                        .context = vectors[q * 7]};
        uint32_t n = model_ann_search(ann, &query, items, scores);
        assert_int_equal(n, BEST);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t above = 0;
            assert_true(live[items[i]]);
            assert_true(!i || scores[i] <= scores[i - 1]);
            for (uint32_t j = 0; j < ITEMS; j++)
                above += live[j] && simd_ops()->dot(vectors[j], vectors[q * 7], D) > scores[i];
            hits += above < BEST;
        }
    }
    return hits / (50.0 * BEST);
}

static void finds_what_is_there(void **context)
{
    (void)context;
    static bool live[ITEMS];
    for (uint32_t lists = 0; lists <= 50; lists += 50) {
        struct model_ann *ann = index_make(lists, 20);
        memset(live, 1, sizeof(live));
        assert_true(recall(ann, live) >= (lists ? 0.95 : 0.999));
        for (uint32_t item = 0; item < ITEMS; item++) { /* a third goes, a third moves */
            if (item % 3 == 0) {
                model_ann_remove(ann, item);
                model_ann_remove(ann, item); /* again: nothing */
                live[item] = false;
            } else if (item % 3 == 1) {
                vector_make(item, 2);
                assert_int_equal(model_ann_put(ann, item, vectors[item]), FR_OK);
            }
        }
        assert_int_equal(model_ann_count(ann), ITEMS - ITEMS / 3);
        assert_true(recall(ann, live) >= (lists ? 0.95 : 0.999));
        assert_int_equal(model_ann_put(ann, ITEMS, vectors[0]), FR_FULL);
        model_ann_free(ann);
    }
}

/* Few are found by a bound that leaves most unsorted, many without: the few are the first of the many. */
static void few_are_the_first_of_many(void **context)
{
    (void)context;
    enum { FEW = 60, MANY = 1000 };
    struct model_ann *ann = index_make(0, 0);
    uint32_t few[FEW], many[MANY];
    float few_scores[FEW], many_scores[MANY];
    for (uint32_t q = 0; q < 50; q++) {
        struct model_ann_query query = {.vector = vectors[q * 7], .best = FEW};
        assert_int_equal(model_ann_search(ann, &query, few, few_scores), FEW);
        query.best = MANY;
        assert_int_equal(model_ann_search(ann, &query, many, many_scores), MANY);
        assert_memory_equal(few, many, sizeof(few));
        assert_memory_equal(few_scores, many_scores, sizeof(few_scores));
    }
    model_ann_free(ann);
}

static void refuses_bad_options(void **context)
{
    (void)context;
    struct model_ann_options options;
    struct model_ann *ann = NULL;
    struct fr_error error;
    model_ann_defaults(&options);
    options.rescored = MODEL_ANN_FOUND_MAX + 1;
    assert_int_equal(model_ann_new(&options, &error, &ann), FR_INVALID);
    model_ann_defaults(&options);
    options.lists = 10;
    options.dimension = D;
    assert_int_equal(model_ann_new(&options, &error, &ann), FR_OK);
    assert_int_equal(model_ann_train(ann, &vectors[0][0], 9, &error), FR_INVALID);
    model_ann_free(ann);
}

struct shared {
    struct model_ann *ann;
    bool stop; /* atomic */
    uint32_t wrong;
};

static void *searches(void *context)
{
    struct shared *shared = context;
    uint32_t items[BEST];
    float scores[BEST];
    for (uint32_t q = 0; !__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE); q = (q + 1) % 100) {
        struct model_ann_query query = {.vector = vectors[q],
                                        .best = BEST,
                                        .exact = exact,
                                        .context = vectors[q]};
        uint32_t n = model_ann_search(shared->ann, &query, items, scores);
        for (uint32_t i = 0; i < n; i++)
            shared->wrong += items[i] >= ITEMS;
        shared->wrong += n == 0;
    }
    return NULL;
}

static void searches_while_rows_move(void **context)
{
    (void)context;
    struct shared shared = {.ann = index_make(50, 10)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, searches, &shared), 0);
    for (uint32_t i = 0; i < 20000; i++) { /* an item takes another's vector: it changes lists */
        uint32_t item = 1000 + (uint32_t)(base_random_u64(9, i, 0) % 2000);
        uint32_t as = (uint32_t)(base_random_u64(9, i, 1) % ITEMS);
        if (i % 5 == 0)
            model_ann_remove(shared.ann, item);
        else
            assert_int_equal(model_ann_put(shared.ann, item, vectors[as]), FR_OK);
    }
    __atomic_store_n(&shared.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(shared.wrong, 0);
    model_ann_free(shared.ann);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_there),
        cmocka_unit_test(few_are_the_first_of_many),
        cmocka_unit_test(refuses_bad_options),
        cmocka_unit_test(searches_while_rows_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
