/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention: segments older than the age go, but never what recovery needs. With it the state after
 * restarts and crashes is the same as without, either kept snapshot can be lost, and the journal
 * does not grow without end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "journal/journal.h"
#include "obs/obs.h"
#include "tests/lib/folding.h"

enum { EVENTS = 3000, SNAPSHOT_RECORDS = 300, STEP_US = 1000000 };

struct run {
    struct os_sim *sim;
    struct folding folding;
    int64_t retention_us;
};

static void open_fold(struct run *run)
{
    struct fr_error error = {0};
    enum fr_status status = folding_open_retaining(&run->folding, run->sim, SNAPSHOT_RECORDS,
                                                   run->retention_us, &error);
    if (status != FR_OK)
        print_message("%s\n", error.message);
    assert_int_equal(status, FR_OK);
}

/* The clock goes on a second a batch; a restart or a crash now and then. */
static struct base_hash128 fold_all(struct run *run, bool restarts)
{
    open_fold(run);
    for (uint64_t n = 0; n < EVENTS;) {
        for (int i = 0; i < 20; i++, n++)
            folding_add_event(&run->folding, 5, n);
        run->folding.batch.received_us = 1767225600000000 + (int64_t)n;
        assert_int_equal(folding_run(&run->folding), FR_OK);
        os_sim_advance(run->sim, STEP_US);
        if (!restarts || n % 500 != 0)
            continue;
        if (n % 1000 == 0)
            folding_close(&run->folding);
        else
            folding_kill(&run->folding, n % 1500 == 0);
        open_fold(run);
    }
    return fold_hash(run->folding.fold, NULL);
}

static uint64_t first_kept(struct os_sim *sim)
{
    struct journal *journal;
    struct journal_options options = {.directory = "data/journal", .read_only = true};
    assert_int_equal(journal_open(os_sim_os(sim), &options, NULL, &journal), FR_OK);
    uint64_t first = journal_first(journal);
    journal_close(journal);
    return first;
}

static void the_state_is_the_same_and_the_journal_shorter(void **state)
{
    (void)state;
    struct run keeps = {.sim = os_sim_new(1, NULL)};
    struct run drops = {.sim = os_sim_new(2, NULL), .retention_us = 20 * STEP_US};
    struct base_hash128 hash = fold_all(&keeps, false);
    assert_true(folding_hash_equal(hash, fold_all(&drops, true)));
    assert_int_equal(first_kept(keeps.sim), 1);
    uint64_t first = first_kept(drops.sim);
    assert_true(first > EVENTS / 2 && first < EVENTS);
    folding_close(&keeps.folding);
    folding_close(&drops.folding);
    os_sim_free(keeps.sim);
    os_sim_free(drops.sim);
}

struct names {
    char last[128];
    uint32_t count;
};

static void note_name(void *context, const char *name)
{
    struct names *names = context;
    names->count++;
    snprintf(names->last, sizeof(names->last), "data/snapshot/%s", name);
}

static void the_newest_snapshot_may_be_lost(void **state)
{
    (void)state;
    struct run run = {.sim = os_sim_new(3, NULL), .retention_us = 5 * STEP_US};
    struct base_hash128 hash = fold_all(&run, false);
    folding_close(&run.folding);
    assert_true(first_kept(run.sim) > 1);
    struct names names = {.count = 0};
    assert_int_equal(os_list(os_sim_os(run.sim), "data/snapshot", note_name, &names, NULL), FR_OK);
    assert_int_equal(names.count, 2);
    assert_int_equal(os_sim_damage(run.sim, names.last, 5000, 1, 1), FR_OK);
    open_fold(&run);
    assert_true(folding_hash_equal(hash, fold_hash(run.folding.fold, NULL)));
    folding_close(&run.folding);
    os_sim_free(run.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_is_the_same_and_the_journal_shorter),
        cmocka_unit_test(the_newest_snapshot_may_be_lost),
    };
    obs_log_setup(OBS_ERROR + 1, OBS_TEXT); /* deaths are the point here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
