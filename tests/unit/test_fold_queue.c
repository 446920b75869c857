/* SPDX-License-Identifier: Apache-2.0
 *
 * The fold as its callers see it. What waits before the journal is bounded: a batch over the maximum
 * is not taken, nothing of those that were taken is lost, and there is room again when they are
 * applied. A reader is told when the state did not stand still while it read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/folding.h"

enum { BATCHES = 64, QUEUE_BYTES = 4096, SEED = 3 };

static uint32_t answered;

static void count_answer(void *context, struct fold_batch *batch)
{
    (void)context;
    assert_int_equal(batch->status, FR_OK);
    answered++;
}

/* Submits batches of ten events until one is refused; gives how many were taken. */
static uint32_t submit_until_full(struct folding *folding, struct fold_batch *batches)
{
    for (uint32_t b = 0; b < BATCHES; b++) {
        for (uint64_t n = 0; n < 10; n++)
            folding_add_event(folding, SEED, b * 10 + n);
        struct fold_batch filled = folding->batch;
        folding->batch = batches[b];
        batches[b] = filled;
        enum fr_status status =
            fold_submit(folding->fold, &batches[b], FOLD_ACK_APPLIED, count_answer, NULL);
        if (status == FR_FULL)
            return b;
        assert_int_equal(status, FR_OK);
    }
    return BATCHES;
}

static void a_full_queue_takes_nothing_and_loses_nothing(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    struct fold_batch batches[BATCHES];
    struct fold_stats stats;
    for (uint32_t b = 0; b < BATCHES; b++)
        fold_batch_init(&batches[b]);
    assert_int_equal(folding_open_bounded(&folding, sim, QUEUE_BYTES, &error), FR_OK);
    uint32_t taken = submit_until_full(&folding, batches);
    assert_in_range(taken, 1, BATCHES - 1);
    assert_int_equal(batches[taken].count, 10); /* the refused one is still the caller's, whole */
    assert_int_equal(answered, 0);
    fold_drain(folding.fold);
    assert_int_equal(answered, taken);
    assert_int_equal(fold_submit(folding.fold, &batches[taken], FOLD_ACK_APPLIED, count_answer,
                                 NULL),
                     FR_OK);
    fold_drain(folding.fold);
    fold_stats_get(folding.fold, &stats);
    assert_int_equal(answered, taken + 1);
    assert_int_equal(stats.events, (taken + 1) * 10);
    assert_int_equal(stats.duplicates, 0);
    folding_close(&folding);
    for (uint32_t b = 0; b < BATCHES; b++)
        fold_batch_release(&batches[b]);
    os_sim_free(sim);
}

/* A fixed rate holds for all that is submitted after it, not from behind what waits. */
static void a_fixed_rate_holds_at_once(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    struct fold_batch batches[BATCHES];
    struct fold_stats stats;
    for (uint32_t b = 0; b < BATCHES; b++)
        fold_batch_init(&batches[b]);
    assert_int_equal(folding_open(&folding, sim, 1u << 30, &error), FR_OK);
    fold_sample_set(folding.fold, 8);
    assert_int_equal(submit_until_full(&folding, batches), BATCHES);
    fold_drain(folding.fold);
    fold_stats_get(folding.fold, &stats);
    assert_int_equal(stats.sample_one_in, 8);
    assert_int_equal(stats.events, 10 * BATCHES);
    assert_in_range(stats.sampled, 1, 10 * BATCHES / 4);
    folding_close(&folding);
    for (uint32_t b = 0; b < BATCHES; b++)
        fold_batch_release(&batches[b]);
    os_sim_free(sim);
}

/* The first answer comes late, the others hardly. */
static void stumble_once(void *context, struct fold_batch *batch)
{
    (void)batch;
    os_sim_advance(context, answered++ == 0 ? 50000 : 100);
}

/* What waits behind a late unit does not take back that less is sampled. */
static void a_rate_under_way_stays(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    struct fold_batch batches[4];
    struct fold_stats stats;
    assert_int_equal(folding_open(&folding, sim, 1u << 30, &error), FR_OK);
    fold_sample_set(folding.fold, 0);
    os_sim_advance(sim, 50000);
    answered = 0;
    for (uint64_t b = 0; b < FR_COUNT_OF(batches); b++) {
        fold_batch_init(&batches[b]);
        folding_add_event(&folding, SEED, b);
        struct fold_batch filled = folding.batch;
        folding.batch = batches[b];
        batches[b] = filled;
        assert_int_equal(fold_submit(folding.fold, &batches[b], FOLD_ACK_APPLIED, stumble_once,
                                     sim),
                         FR_OK);
    }
    fold_drain(folding.fold);
    fold_stats_get(folding.fold, &stats);
    assert_in_range(stats.sample_one_in, 2, 32);
    folding_close(&folding);
    for (uint32_t b = 0; b < FR_COUNT_OF(batches); b++)
        fold_batch_release(&batches[b]);
    os_sim_free(sim);
}

static void a_reader_is_told_of_what_was_applied(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    assert_int_equal(folding_open_bare(&folding, sim, &error), FR_OK);
    folding_add_event(&folding, SEED, 0);
    assert_int_equal(folding_run(&folding), FR_OK);
    uint64_t began = fold_still_begin(folding.fold);
    assert_int_equal(began, fold_applied(folding.fold));
    assert_true(fold_still(folding.fold, began));
    folding_add_event(&folding, SEED, 1);
    assert_int_equal(folding_run(&folding), FR_OK);
    assert_false(fold_still(folding.fold, began));
    assert_true(fold_still(folding.fold, fold_still_begin(folding.fold)));
    folding_close(&folding);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_takes_nothing_and_loses_nothing),
        cmocka_unit_test(a_fixed_rate_holds_at_once),
        cmocka_unit_test(a_rate_under_way_stays),
        cmocka_unit_test(a_reader_is_told_of_what_was_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
