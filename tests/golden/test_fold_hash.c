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

static void add_catalogue(struct folding *folding)
{
    folding_add_items(folding, SEED);
}

static void add_event(struct folding *folding, uint64_t n)
{
    folding_add_event(folding, SEED, n);
}

static void all_are_folded(const struct folding *folding)
{
    struct fold_stats stats;
    fold_stats_get(folding->fold, &stats);
    assert_int_equal(stats.events, EVENTS);
    assert_int_equal(stats.refused, 0);
}

static const struct folding_stream stream = {.seed = SEED,
                                             .events = EVENTS,
                                             .received_us = 1767225000000000,
                                             .first = add_catalogue,
                                             .add = add_event,
                                             .check = all_are_folded};

static void same_hash(const struct folding_manner *manner)
{
    static const struct folding_manner plain = {.batch = 100, .snapshot_records = 1000000};
    static struct base_hash128 expected;
    if (expected.lo == 0)
        expected = folding_stream_hash(&stream, &plain);
    assert_true(folding_hash_equal(folding_stream_hash(&stream, manner), expected));
}

static void batch_of_one(void **state)
{
    (void)state;
    same_hash(&(struct folding_manner){.batch = 1, .snapshot_records = 1000000});
}

static void batch_of_4096(void **state)
{
    (void)state;
    same_hash(&(struct folding_manner){.batch = 4096, .snapshot_records = 1000000});
}

static void frequent_snapshots(void **state)
{
    (void)state;
    same_hash(&(struct folding_manner){.batch = 13, .snapshot_records = 150});
}

static void restarts(void **state)
{
    (void)state;
    same_hash(
        &(struct folding_manner){.batch = 50, .snapshot_records = 1000000, .restart_every = 500});
}

static void kills_without_snapshots(void **state)
{
    (void)state;
    same_hash(&(struct folding_manner){.batch = 50,
                                       .snapshot_records = 1000000,
                                       .restart_every = 500,
                                       .kill = true});
}

static void kills_with_snapshots(void **state)
{
    (void)state;
    same_hash(&(struct folding_manner){.batch = 25,
                                       .snapshot_records = 170,
                                       .restart_every = 200,
                                       .kill = true});
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
