/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulated crashes: ingest + journal + fold + snapshot + recovery against a simple model of what
 * was acknowledged. Each crash point is one seed: a machine runs a few hundred events with
 * snapshots and restarts, dies (power cut or kill) at a drawn operation, recovers, and is asked:
 *   lost     every acknowledged event is in its user's history
 *   doubled  no event is there twice, although unanswered batches are posted again
 *   hash     the recovered state equals that of folding the journal alone, without any snapshot
 *
 * FRESHET_CRASH_POINTS: how many (default 64). FRESHET_SEED: the first seed (printed); a failing
 * one is named and reruns to the same step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "obs/obs.h"
#include "tests/lib/folding.h"

enum { EVENTS = 260, BATCH_MAX = 24, CRASHES_A_RUN = 3 };

struct model {
    bool sent[EVENTS], acknowledged[EVENTS];
};

struct verdict {
    uint64_t lost, doubled, hashes, invented;
};

static uint64_t setting(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

/* Posts events [*next, *next + count); what gets no answer stays to be posted again. */
static void post(struct folding *folding, uint64_t seed, struct model *model, uint64_t *next,
                 uint64_t count)
{
    uint64_t first = *next, last = FR_MIN(first + count, (uint64_t)EVENTS);
    for (uint64_t n = first; n < last; n++) {
        folding_add_event(folding, seed, n);
        model->sent[n] = true;
    }
    if (folding_run(folding) != FR_OK)
        return;
    for (uint64_t n = first; n < last; n++)
        model->acknowledged[n] = true;
    *next = last;
}

static void check_histories(const struct folding *folding, uint64_t seed, const struct model *model,
                            struct verdict *verdict)
{
    uint32_t times[EVENTS] = {0};
    struct state_visit visits[EVENTS];
    for (uint32_t u = 0; u < FOLDING_USERS; u++) {
        char name[16];
        snprintf(name, sizeof(name), "u%u", u);
        uint32_t user = state_user_find(folding->state, fr_slice_str(name));
        uint32_t count = user ? state_history(folding->state, user, visits, EVENTS) : 0;
        for (uint32_t v = 0; v < count; v++) {
            struct fr_slice id = state_item_id(folding->state, visits[v].item);
            uint64_t n = strtoull(id.ptr + 1, NULL, 10);
            if (n >= EVENTS || !model->sent[n] || folding_user_of(seed, n) != u)
                verdict->invented++;
            else
                times[n]++;
        }
    }
    for (uint64_t n = 0; n < EVENTS; n++) {
        verdict->lost += model->acknowledged[n] && times[n] == 0;
        verdict->doubled += times[n] > 1;
    }
}

static void drop_snapshot(void *context, const char *name)
{
    struct os *os = context;
    char path[256];
    snprintf(path, sizeof(path), "data/snapshot/%s", name);
    assert_int_equal(os->table->unlink(os, path, NULL), FR_OK);
}

static bool hash_without_snapshots(struct os_sim *sim, struct base_hash128 with)
{
    struct folding again;
    struct fr_error error = {0};
    struct os *os = os_sim_os(sim);
    fr_ignore(os->table->list(os, "data/snapshot", drop_snapshot, os, NULL), "none is fine");
    assert_int_equal(folding_open(&again, sim, 1000000, &error), FR_OK);
    bool equal = folding_hash_equal(fold_hash(again.fold, NULL), with);
    folding_close(&again);
    return equal;
}

/* One machine until all events are in; dies CRASHES_A_RUN times on the way. */
static uint64_t run_seed(uint64_t seed, struct verdict *verdict)
{
    struct os_sim *sim = os_sim_new(seed, NULL);
    struct model model = {0};
    struct fr_error error = {0};
    struct folding folding;
    uint64_t deaths = 0, next = 0, snapshot_records = 20 + os_sim_draw(sim, 100);
    for (int crash = 0;; crash++) {
        enum fr_status status = folding_open(&folding, sim, snapshot_records, &error);
        if (status == FR_OK && crash < CRASHES_A_RUN)
            os_sim_crash_at(sim, os_sim_operations(sim) + 1 + os_sim_draw(sim, 60));
        while (status == FR_OK && !os_sim_is_dead(sim) && next < EVENTS)
            post(&folding, seed, &model, &next, 1 + os_sim_draw(sim, BATCH_MAX));
        if (!os_sim_is_dead(sim) && (crash == CRASHES_A_RUN || next == EVENTS)) {
            assert_int_equal(status, FR_OK);
            os_sim_crash_at(sim, 0);
            break;
        }
        deaths++;
        folding_kill(&folding, os_sim_draw(sim, 2));
        assert_int_equal(folding_open(&folding, sim, snapshot_records, &error), FR_OK);
        check_histories(&folding, seed, &model, verdict);
        folding_kill(&folding, os_sim_draw(sim, 2));
    }
    check_histories(&folding, seed, &model, verdict);
    struct base_hash128 hash = fold_hash(folding.fold, NULL);
    folding_close(&folding);
    verdict->hashes += !hash_without_snapshots(sim, hash);
    os_sim_free(sim);
    return deaths;
}

static void nothing_acknowledged_is_lost_or_doubled(void **state)
{
    (void)state;
    uint64_t points = setting("FRESHET_CRASH_POINTS", 64), first = setting("FRESHET_SEED", 1);
    struct verdict total = {0};
    uint64_t done = 0;
    for (uint64_t seed = first; done < points; seed++) {
        struct verdict verdict = {0};
        done += run_seed(seed, &verdict);
        if (verdict.lost + verdict.doubled + verdict.hashes + verdict.invented)
            print_message("seed %llu: lost %llu, doubled %llu, hash %llu, invented %llu\n",
                          (unsigned long long)seed, (unsigned long long)verdict.lost,
                          (unsigned long long)verdict.doubled, (unsigned long long)verdict.hashes,
                          (unsigned long long)verdict.invented);
        total.lost += verdict.lost;
        total.doubled += verdict.doubled;
        total.hashes += verdict.hashes;
        total.invented += verdict.invented;
    }
    print_message(
        "%llu crash points from seed %llu: lost %llu, doubled %llu, hash mismatches %llu\n",
        (unsigned long long)done, (unsigned long long)first, (unsigned long long)total.lost,
        (unsigned long long)total.doubled, (unsigned long long)total.hashes);
    assert_int_equal(total.lost + total.doubled + total.hashes + total.invented, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_or_doubled),
    };
    obs_log_setup(OBS_ERROR + 1, OBS_TEXT); /* deaths are the point here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
