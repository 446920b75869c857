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

/* A machine, a fold on it, and batches for those who submit by hand. */
struct bed {
    struct os_sim *sim;
    struct folding folding;
    struct fold_batch batches[BATCHES];
    struct fold_stats stats;
};

/* queue_bytes_max 0: the default. */
static void bed_open(struct bed *bed, uint32_t queue_bytes_max)
{
    struct fr_error error = {0};
    bed->sim = os_sim_new(SEED, NULL);
    for (uint32_t b = 0; b < BATCHES; b++)
        fold_batch_init(&bed->batches[b]);
    answered = 0;
    assert_int_equal(folding_open_bounded(&bed->folding, bed->sim, queue_bytes_max, &error), FR_OK);
}

static void bed_close(struct bed *bed)
{
    folding_close(&bed->folding);
    for (uint32_t b = 0; b < BATCHES; b++)
        fold_batch_release(&bed->batches[b]);
    os_sim_free(bed->sim);
}

static void count_answer(void *context, struct fold_batch *batch)
{
    (void)context;
    assert_int_equal(batch->status, FR_OK);
    answered++;
}

/* A batch of its own of the next `count` events, to be submitted. */
static struct fold_batch *batch_fill(struct bed *bed, uint32_t b, uint64_t count)
{
    for (uint64_t n = 0; n < count; n++)
        folding_add_event(&bed->folding, SEED, b * count + n);
    struct fold_batch filled = bed->folding.batch;
    bed->folding.batch = bed->batches[b];
    bed->batches[b] = filled;
    return &bed->batches[b];
}

/* Submits batches of ten events until one is refused; gives how many were taken. */
static uint32_t submit_until_full(struct bed *bed)
{
    for (uint32_t b = 0; b < BATCHES; b++) {
        enum fr_status status = fold_submit(bed->folding.fold, batch_fill(bed, b, 10),
                                            FOLD_ACK_APPLIED, count_answer, NULL);
        if (status == FR_FULL)
            return b;
        assert_int_equal(status, FR_OK);
    }
    return BATCHES;
}

static void a_full_queue_takes_nothing_and_loses_nothing(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, QUEUE_BYTES);
    uint32_t taken = submit_until_full(&bed);
    assert_in_range(taken, 1, BATCHES - 1);
    assert_int_equal(bed.batches[taken].count,
                     10); /* the refused one is still the caller's, whole */
    assert_int_equal(answered, 0);
    fold_drain(bed.folding.fold);
    assert_int_equal(answered, taken);
    assert_int_equal(fold_submit(bed.folding.fold, &bed.batches[taken], FOLD_ACK_APPLIED,
                                 count_answer, NULL),
                     FR_OK);
    fold_drain(bed.folding.fold);
    fold_stats_get(bed.folding.fold, &bed.stats);
    assert_int_equal(answered, taken + 1);
    assert_int_equal(bed.stats.events, (taken + 1) * 10);
    assert_int_equal(bed.stats.duplicates, 0);
    bed_close(&bed);
}

/* A fixed rate holds for all that is submitted after it, not from behind what waits. */
static void a_fixed_rate_holds_at_once(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, 0);
    fold_sample_set(bed.folding.fold, 8);
    assert_int_equal(submit_until_full(&bed), BATCHES);
    fold_drain(bed.folding.fold);
    fold_stats_get(bed.folding.fold, &bed.stats);
    assert_int_equal(bed.stats.sample_one_in, 8);
    assert_int_equal(bed.stats.events, 10 * BATCHES);
    assert_in_range(bed.stats.sampled, 1, 10 * BATCHES / 4);
    bed_close(&bed);
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
    struct bed bed;
    bed_open(&bed, 0);
    fold_sample_set(bed.folding.fold, 0);
    os_sim_advance(bed.sim, 50000);
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(fold_submit(bed.folding.fold, batch_fill(&bed, b, 1), FOLD_ACK_APPLIED,
                                     stumble_once, bed.sim),
                         FR_OK);
    fold_drain(bed.folding.fold);
    fold_stats_get(bed.folding.fold, &bed.stats);
    assert_in_range(bed.stats.sample_one_in, 2, 32);
    bed_close(&bed);
}

static void take_long(void *context, struct fold_batch *batch)
{
    (void)batch;
    os_sim_advance(context, 100000);
}

/* A snapshot comes when a start would take long, however few the records. */
static void a_long_replay_asks_for_a_snapshot(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fold_stats stats;
    struct fr_error error = {0};
    assert_int_equal(folding_open_prompt(&folding, sim, 1000000, &error), FR_OK);
    for (uint64_t n = 0; n < 100; n++) {
        folding_add_event(&folding, SEED, n);
        assert_int_equal(fold_submit(folding.fold, &folding.batch, FOLD_ACK_APPLIED, take_long,
                                     sim),
                         FR_OK);
        fold_drain(folding.fold);
        fold_batch_clear(&folding.batch);
        fold_stats_get(folding.fold, &stats);
        if (n < 9)
            assert_int_equal(stats.snapshot_position, 0);
    }
    assert_in_range(stats.snapshot_position, 70, 100);
    folding_close(&folding);
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

/* 1,000 events, 100 a batch, a second apart. */
static void learn_some(struct folding *folding, uint64_t first)
{
    for (uint64_t n = 0; n < 1000; n++) {
        folding_add_event(folding, SEED, first + n);
        if (n % 100 != 99)
            continue;
        assert_int_equal(folding_run(folding), FR_OK);
        os_sim_advance(folding->sim, 1000000);
    }
}

/* Opens under settings; gives the position of the snapshot it began with. */
static uint64_t began_with(struct os_sim *sim, const char *settings, int64_t retention_us)
{
    struct folding folding;
    struct fold_stats stats;
    struct fr_error error = {0};
    assert_int_equal(folding_open_settings(&folding, sim, settings, retention_us, &error), FR_OK);
    fold_stats_get(folding.fold, &stats);
    assert_true(fold_settings_hold(folding.fold) == !settings); /* no record says any */
    folding_kill(&folding, false);
    return stats.snapshot_position;
}

static void other_settings_fold_anew_what_is_there(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    assert_int_equal(folding_open_settings(&folding, sim, NULL, 0, &error), FR_OK);
    learn_some(&folding, 0);
    folding_close(&folding);
    assert_int_equal(began_with(sim, NULL, 0), 1000);
    assert_int_equal(began_with(sim, "history-max=20", 0), 0);
    for (uint64_t run = 1; run < 4; run++) { /* segments go once two snapshots are past them */
        assert_int_equal(folding_open_settings(&folding, sim, NULL, 1, &error), FR_OK);
        learn_some(&folding, run * 1000);
        folding_close(&folding);
    }
    assert_int_not_equal(folding_open_until(&folding, sim, 1, &error), FR_OK); /* it is gone */
    assert_int_equal(began_with(sim, "history-max=20", 1), 4000);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_takes_nothing_and_loses_nothing),
        cmocka_unit_test(a_fixed_rate_holds_at_once),
        cmocka_unit_test(a_rate_under_way_stays),
        cmocka_unit_test(a_long_replay_asks_for_a_snapshot),
        cmocka_unit_test(a_reader_is_told_of_what_was_applied),
        cmocka_unit_test(other_settings_fold_anew_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
