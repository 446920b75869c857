/* SPDX-License-Identifier: Apache-2.0
 *
 * The same journal gives the same state hash: whatever the batch sizes, snapshots, restarts and
 * kills. The received times differ between runs only by the simulated clock, which every run
 * advances alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/folding.h"

enum { EVENTS = 3000, SEED = 7 };

/* How one run goes about the stream. */
struct manner {
    uint64_t batch;            /* events a batch */
    uint64_t snapshot_records; /* automatic snapshots */
    uint64_t restart_every;    /* events between restarts; 0: none */
    bool kill;                 /* restarts are kills */
};

/* One record an append of time: the clock moves with the events, not with the batches, so that the
 * received times of all manners agree. */
static struct base_hash128 hash_of(const struct manner *manner)
{
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    assert_int_equal(folding_open(&folding, sim, manner->snapshot_records, &error), FR_OK);
    folding_add_items(&folding, SEED);
    folding.batch.received_us = 1767225000000000;
    assert_int_equal(folding_run(&folding), FR_OK);
    for (uint64_t n = 0; n < EVENTS;) {
        for (uint64_t i = 0; i < manner->batch && n < EVENTS; i++, n++)
            folding_add_event(&folding, SEED, n);
        folding.batch.received_us = 1767225000000000;
        assert_int_equal(folding_run(&folding), FR_OK);
        if (manner->restart_every && n % manner->restart_every < manner->batch && n < EVENTS) {
            if (manner->kill)
                folding_kill(&folding, n % 2);
            else
                folding_close(&folding);
            assert_int_equal(folding_open(&folding, sim, manner->snapshot_records, &error), FR_OK);
        }
    }
    struct base_hash128 hash = fold_hash(folding.fold, NULL);
    struct fold_stats stats;
    fold_stats_get(folding.fold, &stats);
    assert_int_equal(stats.events, EVENTS);
    assert_int_equal(stats.refused, 0);
    folding_close(&folding);
    os_sim_free(sim);
    return hash;
}

static void same_hash(const struct manner *manner)
{
    static const struct manner plain = {.batch = 100, .snapshot_records = 1000000};
    static struct base_hash128 expected;
    if (expected.lo == 0)
        expected = hash_of(&plain);
    assert_true(folding_hash_equal(hash_of(manner), expected));
}

static void batch_of_one(void **state)
{
    (void)state;
    same_hash(&(struct manner){.batch = 1, .snapshot_records = 1000000});
}

static void batch_of_4096(void **state)
{
    (void)state;
    same_hash(&(struct manner){.batch = 4096, .snapshot_records = 1000000});
}

static void frequent_snapshots(void **state)
{
    (void)state;
    same_hash(&(struct manner){.batch = 13, .snapshot_records = 150});
}

static void restarts(void **state)
{
    (void)state;
    same_hash(&(struct manner){.batch = 50, .snapshot_records = 1000000, .restart_every = 500});
}

static void kills_without_snapshots(void **state)
{
    (void)state;
    same_hash(&(struct manner){.batch = 50,
                               .snapshot_records = 1000000,
                               .restart_every = 500,
                               .kill = true});
}

static void kills_with_snapshots(void **state)
{
    (void)state;
    same_hash(
        &(struct manner){.batch = 25, .snapshot_records = 170, .restart_every = 200, .kill = true});
}

/* The hash is not a constant: one event more or another order changes it. */
static void another_stream_differs(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    struct base_hash128 hash[3];
    assert_int_equal(folding_open(&folding, sim, 1000000, &error), FR_OK);
    for (uint64_t n = 0; n < 3; n++) {
        folding_add_event(&folding, SEED, n * 2);
        assert_int_equal(folding_run(&folding), FR_OK);
        hash[n] = fold_hash(folding.fold, NULL);
    }
    assert_false(folding_hash_equal(hash[0], hash[1]));
    assert_false(folding_hash_equal(hash[1], hash[2]));
    folding_close(&folding);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_of_one),
        cmocka_unit_test(batch_of_4096),
        cmocka_unit_test(frequent_snapshots),
        cmocka_unit_test(restarts),
        cmocka_unit_test(kills_without_snapshots),
        cmocka_unit_test(kills_with_snapshots),
        cmocka_unit_test(another_stream_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
