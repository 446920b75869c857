/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder_index: finds what brute force over the learnt vectors finds, by scan and by lists; an
 * index made again from the tables finds the same; what is forgotten is not found.
 */
#include "base/hash.h"
#include "model/encoder_index.h"
#include "simd/simd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ITEMS = 3000, GROUP = 20, BEST = 20, D = 32, QUERIES = 60 };

struct learnt {
    struct model_encoder *encoder;
    struct model_encoder_index *index;
};

static void step(struct learnt *learnt, uint64_t n)
{
    uint32_t group = (uint32_t)base_random_u64(5, n, 0) % (ITEMS / GROUP), item[4];
    for (uint32_t i = 0; i < 4; i++) /* people stay within a group */
        item[i] = 1 + group * GROUP + (uint32_t)base_random_u64(5, n, 1 + i) % GROUP;
    const struct model_encoder_user user = {.history = item, .count = 3};
    model_encoder_learn(learnt->encoder, &user, item[3]);
    model_encoder_index_take(learnt->index);
}

static struct learnt learn(uint32_t exact, uint32_t scan, uint32_t steps)
{
    struct learnt learnt;
    struct model_encoder_options options;
    model_encoder_defaults(&options);
    options.item_max = ITEMS + 1;
    options.dimension = D;
    options.negatives = 32;
    assert_int_equal(model_encoder_new(&options, NULL, &learnt.encoder), FR_OK);
    const struct model_encoder_index_options index = {.encoder = learnt.encoder,
                                                      .item_max = ITEMS + 1,
                                                      .dimension = D,
                                                      .exact = exact,
                                                      .scan = scan};
    assert_int_equal(model_encoder_index_new(&index, NULL, &learnt.index), FR_OK);
    for (uint32_t n = 0; n < steps; n++)
        step(&learnt, n);
    return learnt;
}

static void release(struct learnt *learnt)
{
    model_encoder_index_free(learnt->index);
    model_encoder_free(learnt->encoder);
}

static uint32_t ask(const struct learnt *learnt, uint32_t q, float *out_vector, uint32_t *out_items)
{
    const uint32_t history[2] = {1 + q * 37 % ITEMS, 2 + q * 37 % (ITEMS - 1)};
    const struct model_encoder_user user = {.history = history, .count = 2};
    if (!model_encoder_vector(learnt->encoder, &user, out_vector))
        return 0;
    return model_encoder_index_search(learnt->index, out_vector, BEST, out_items);
}

/* Share of the BEST by float products that the index gives. */
static double recall(const struct learnt *learnt)
{
    float vector[D], row[D + 1], z[ITEMS + 1];
    uint32_t items[BEST], hits = 0, asked = 0;
    for (uint32_t q = 0; q < QUERIES; q++) {
        uint32_t n = ask(learnt, q, vector, items);
        if (!n)
            continue;
        assert_int_equal(n, BEST);
        for (uint32_t j = 1; j <= ITEMS; j++)
            z[j] = model_encoder_item(learnt->encoder, j, row)
                       ? simd_ops()->dot(row, vector, D) + row[D]
                       : -1e30f;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t above = 0;
            for (uint32_t j = 1; j <= ITEMS; j++)
                above += z[j] > z[items[i]];
            hits += above < BEST;
        }
        asked += BEST;
    }
    assert_true(asked > QUERIES * BEST / 2);
    return (double)hits / asked;
}

static void scan_finds_what_brute_force_finds(void **state)
{
    (void)state;
    struct learnt learnt = learn(0, 0, 4000);
    assert_true(recall(&learnt) > 0.97);
    release(&learnt);
}

static void lists_find_most_of_it(void **state)
{
    (void)state;
    struct learnt learnt = learn(1500, 1000, 20000);
    uint32_t counted = 0, table;
    struct base_rows *tables[MODEL_ENCODER_INDEX_TABLES];
    model_encoder_index_tables(learnt.index, tables);
    for (table = 0; table < MODEL_ENCODER_INDEX_TABLES; table++)
        counted += base_rows_count(tables[table]) > 1;
    assert_int_equal(counted, 2); /* there are centroids */
    for (uint32_t item = 1; item < base_rows_count(tables[0]); item++)
        assert_int_not_equal(*(const uint32_t *)base_rows_at(tables[0], item), 1); /* all listed */
    assert_true(recall(&learnt) > 0.95);
    release(&learnt);
}

/* The int8 rows follow from the tables: what a search gives is the same after loading. */
static void made_again_it_finds_the_same(void **state)
{
    (void)state;
    struct learnt learnt = learn(1500, 500, 6000);
    uint32_t before[QUERIES][BEST], after[BEST], n[QUERIES];
    float vector[D];
    for (uint32_t q = 0; q < QUERIES; q++)
        n[q] = ask(&learnt, q, vector, before[q]);
    assert_int_equal(model_encoder_index_rebuild(learnt.index, NULL), FR_OK);
    for (uint32_t q = 0; q < QUERIES; q++) {
        assert_int_equal(ask(&learnt, q, vector, after), n[q]);
        for (uint32_t i = 0; i < n[q]; i++)
            assert_int_equal(after[i], before[q][i]);
    }
    release(&learnt);
}

static void what_is_forgotten_is_not_found(void **state)
{
    (void)state;
    struct learnt learnt = learn(0, 0, 4000);
    float vector[D];
    uint32_t items[BEST], again[BEST];
    assert_int_equal(ask(&learnt, 1, vector, items), BEST);
    model_encoder_index_forget(learnt.index, items[0]);
    assert_int_equal(ask(&learnt, 1, vector, again), BEST);
    assert_int_equal(again[0], items[1]);
    for (uint32_t i = 0; i < BEST; i++)
        assert_int_not_equal(again[i], items[0]);
    release(&learnt);
}

static void a_list_that_is_none_is_refused(void **state)
{
    (void)state;
    struct learnt learnt = learn(0, 0, 100);
    struct base_rows *tables[MODEL_ENCODER_INDEX_TABLES];
    model_encoder_index_tables(learnt.index, tables);
    *(uint32_t *)base_rows_write(tables[0], 1) = 999;
    assert_int_equal(model_encoder_index_rebuild(learnt.index, NULL), FR_CORRUPT);
    release(&learnt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_finds_what_brute_force_finds),
        cmocka_unit_test(lists_find_most_of_it),
        cmocka_unit_test(made_again_it_finds_the_same),
        cmocka_unit_test(what_is_forgotten_is_not_found),
        cmocka_unit_test(a_list_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
