/* SPDX-License-Identifier: Apache-2.0
 *
 * The expert "gru" beside its gradients (golden/test_gru_gradient.c): it learns what follows from the order
 * of two visits, which a weighted sum of them cannot; saved and loaded it is the same to the bit and goes
 * on alike; what is no number is refused at load; other threads read what was published. (That a gone item
 * is named nowhere: test_state_expiry.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/encoder.h"
#include "model/gru.h"

enum {
    KINDS = 8,
    ITEMS = 2 * KINDS,
    U = MODEL_GRU_UNITS,
    TABLES = MODEL_ENCODER_TABLES + MODEL_GRU_TABLES
};

/* The expert's two parts, or its items alone as the history encoder that they are. */
struct reader {
    struct model_encoder *items;
    struct model_gru *gru;
    struct base_rows *tables[TABLES];
    struct model_gru_pass pass;
};

static void reader_open(struct reader *reader, bool recurrent)
{
    struct model_encoder_options items;
    struct model_gru_options cell;
    struct fr_error error;
    memset(reader, 0, sizeof(*reader));
    model_encoder_defaults(&items);
    model_gru_defaults(&cell);
    items.item_max = ITEMS + 2;
    items.negatives = 16;
    items.ring = 64;
    assert_int_equal(model_encoder_new(&items, &error, &reader->items), FR_OK);
    model_encoder_tables(reader->items, reader->tables);
    if (!recurrent)
        return;
    assert_int_equal(model_gru_new(&cell, &error, &reader->gru), FR_OK);
    model_gru_tables(reader->gru, reader->tables + MODEL_ENCODER_TABLES);
}

static void reader_close(struct reader *reader)
{
    model_gru_free(reader->gru);
    model_encoder_free(reader->items);
}

/* newest first, as histories are */
static struct model_encoder_user read(struct reader *reader, const uint32_t *history,
                                      uint32_t count)
{
    struct model_encoder_user user = {.history = history, .count = count};
    if (!reader->gru)
        return user;
    reader->pass.count = 0;
    for (uint32_t i = count; i-- > 0;)
        if (model_encoder_input(reader->items, history[i], reader->pass.x[reader->pass.count]))
            reader->pass.count++;
    if (reader->pass.count != count)
        return (struct model_encoder_user){0};
    model_gru_run(model_gru_weights(reader->gru), &reader->pass);
    user.given = reader->pass.h[count];
    return user;
}

static void learn(struct reader *reader, const uint32_t *history, uint32_t count, uint32_t target)
{
    float dh[U] = {0}, dx[MODEL_GRU_STEPS_MAX][U];
    model_encoder_know(reader->items, history, count);
    struct model_encoder_user user = read(reader, history, count);
    user.gradient = reader->gru ? dh : NULL;
    model_encoder_learn(reader->items, &user, target);
    if (!reader->gru)
        return;
    model_gru_learn(reader->gru, &reader->pass, dh, dx);
    for (uint32_t t = 0; t < count; t++)
        model_encoder_input_step(reader->items, history[count - 1 - t], dx[t]);
}

/* Which of the targets is first? 0: nothing is known. */
static uint32_t first_of(struct reader *reader, const uint32_t *history, uint32_t count)
{
    uint32_t items[KINDS], best = 0;
    float vector[U], scores[KINDS];
    struct model_encoder_user user = read(reader, history, count);
    if (!model_encoder_vector(reader->items, &user, vector))
        return 0;
    for (uint32_t k = 0; k < KINDS; k++)
        items[k] = KINDS + 1 + k;
    model_encoder_scores(reader->items, vector, items, KINDS, scores);
    for (uint32_t k = 1; k < KINDS; k++)
        best = scores[k] > scores[best] ? k : best;
    return items[best];
}

/* After b, and a before it, comes a target that neither tells alone: every a and every b comes with every
 * target equally often, and (a, b) has another than (b, a). */
static uint32_t event_draw(uint64_t e, uint32_t history[2])
{
    uint32_t a = (uint32_t)(base_random_u64(5, e, 0) % KINDS);
    uint32_t b = (uint32_t)(base_random_u64(5, e, 1) % KINDS);
    history[0] = 1 + b;
    history[1] = 1 + a;
    return KINDS + 1 + (3 * a + b) % KINDS;
}

static void live(struct reader *reader, uint64_t from, uint64_t to)
{
    uint32_t history[2];
    for (uint64_t e = from; e < to; e++) {
        uint32_t target = event_draw(e, history);
        learn(reader, history, 2, target);
    }
}

static uint32_t hits_of(struct reader *reader)
{
    uint32_t history[2], hits = 0;
    for (uint64_t e = 1000000; e < 1000200; e++) {
        uint32_t target = event_draw(e, history);
        hits += first_of(reader, history, 2) == target;
    }
    return hits;
}

static void learns_what_order_tells(void **unused)
{
    (void)unused;
    struct reader recurrent, sum;
    reader_open(&recurrent, true);
    reader_open(&sum, false);
    live(&recurrent, 0, 6000);
    live(&sum, 0, 6000);
    uint32_t read = hits_of(&recurrent), added = hits_of(&sum);
    print_message("of 200: recurrent %u, sum %u\n", read, added);
    assert_true(read > 180);
    assert_true(added < 120);
    reader_close(&recurrent);
    reader_close(&sum);
}

static struct base_hash128 digest_of(const struct reader *reader)
{
    struct base_digest digest;
    base_digest_init(&digest);
    for (uint32_t t = 0; t < TABLES; t++)
        base_rows_digest(reader->tables[t], &digest);
    return base_digest_end(&digest);
}

/* As a snapshot saves and loads. */
static void tables_copy(const struct reader *from, struct reader *to)
{
    static uint8_t block[BASE_ROWS_BLOCK_BYTES];
    struct base_pool *pool;
    assert_int_equal(base_pool_new(1 << 20, &pool), FR_OK);
    for (uint32_t t = 0; t < TABLES; t++) {
        struct base_rows *source = from->tables[t], *target = to->tables[t];
        base_rows_clear(target);
        base_rows_freeze(source, pool);
        assert_int_equal(base_rows_load_begin(target, base_rows_frozen_count(source),
                                              base_rows_frozen_meta(source)),
                         FR_OK);
        for (uint32_t b = 0; b < base_rows_frozen_blocks(source); b++) {
            size_t bytes = base_rows_frozen_block(source, b, block);
            assert_int_equal(base_rows_load_block(target, b, block, bytes), FR_OK);
        }
        base_rows_thaw(source);
    }
    base_pool_free(pool);
}

static void loaded_it_is_the_same(void **unused)
{
    (void)unused;
    struct reader saved, loaded;
    struct fr_error error;
    reader_open(&saved, true);
    reader_open(&loaded, true);
    live(&saved, 0, 301); /* in the midst of a batch, and with a view that is not the newest */
    tables_copy(&saved, &loaded);
    assert_int_equal(model_gru_check(loaded.gru, &error), FR_OK);
    for (uint32_t part = 0; part < 2; part++) {
        struct base_hash128 one = digest_of(&saved), other = digest_of(&loaded);
        assert_true(one.lo == other.lo && one.hi == other.hi);
        live(&saved, 301, 400);
        live(&loaded, 301, 400);
    }
    reader_close(&saved);
    reader_close(&loaded);
}

static void what_is_no_number_is_refused(void **unused)
{
    (void)unused;
    static const float wrong[] = {NAN, INFINITY, -2e6f};
    enum { WEIGHTS = 1, SUMS = 8, GRADIENT = 15 }; /* rows of "gru-cell" where the parts begin */
    static const uint32_t rows[] = {WEIGHTS, SUMS, GRADIENT, WEIGHTS + 6};
    struct reader reader;
    struct fr_error error;
    reader_open(&reader, true);
    struct base_rows *cell = reader.tables[MODEL_ENCODER_TABLES];
    for (uint32_t r = 0; r < FR_COUNT_OF(rows); r++) {
        for (uint32_t w = 0; w < FR_COUNT_OF(wrong); w++) {
            float *at = (float *)base_rows_write(cell, rows[r]) + 7, kept = *at;
            *at = wrong[w];
            assert_int_equal(model_gru_check(reader.gru, &error), FR_CORRUPT);
            *at = kept;
        }
    }
    float *sum = base_rows_write(cell, SUMS), kept = *sum;
    *sum = 0.0f; /* a step would divide by it */
    assert_int_equal(model_gru_check(reader.gru, &error), FR_CORRUPT);
    *sum = kept;
    assert_int_equal(model_gru_check(reader.gru, &error), FR_OK);
    base_rows_clear(cell);
    assert_int_equal(model_gru_check(reader.gru, &error), FR_CORRUPT);
    reader_close(&reader);
}

static void others_read_what_was_published(void **unused)
{
    (void)unused;
    struct reader reader;
    struct base_arena arena;
    reader_open(&reader, true);
    assert_int_equal(base_arena_init(&arena, 1 << 20), FR_OK);
    const size_t bytes = MODEL_GRU_WEIGHTS * sizeof(float);
    live(&reader, 0, MODEL_GRU_PUBLISH - 1);
    const float *old = model_gru_published(reader.gru, &arena);
    assert_non_null(old);
    assert_int_not_equal(memcmp(old, model_gru_weights(reader.gru), bytes), 0);
    live(&reader, MODEL_GRU_PUBLISH - 1, MODEL_GRU_PUBLISH);
    const float *now = model_gru_published(reader.gru, &arena);
    assert_non_null(now);
    assert_int_equal(memcmp(now, model_gru_weights(reader.gru), bytes), 0);
    while (base_arena_alloc(&arena, 1 << 16))
        ;
    assert_null(model_gru_published(reader.gru, &arena)); /* no room: nothing is said */
    base_arena_release(&arena);
    reader_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_what_order_tells),
        cmocka_unit_test(loaded_it_is_the_same),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(others_read_what_was_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
