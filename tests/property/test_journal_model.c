/* SPDX-License-Identifier: Apache-2.0
 *
 * journal against a simple model, on the simulated disk: random appends, syncs, seals, drops,
 * kills, power cuts at any operation, full disks and failing syncs. After each reopening:
 *   - every acknowledged record is there, once, in order, with its bytes (J1, J4, J7);
 *   - of the group in flight at the crash there is all or nothing (J2);
 *   - a refused group never comes back (J7), and nothing is acknowledged after a failed sync (J8).
 * FRESHET_SEEDS=N seeds (default 64; in the long form 1,000), FRESHET_SEED=N just that one. Each
 * seed reruns to the same step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "journal/journal.h"
#include "os/sim.h"

enum { RECORDS_MAX = 200000, BOOTS = 12, PAYLOAD_MAX = 3000 };

struct modelled {
    uint64_t hash;
    int64_t received_us;
    uint32_t bytes;
    uint8_t kind;
};

struct world {
    struct os_sim *sim;
    struct journal *journal;
    uint64_t segment_bytes;
    struct modelled *records;  /* by position */
    uint64_t acked, attempted; /* attempted > acked: a group whose fate is open */
    uint64_t floor;            /* dropped below */
    uint64_t crashes, groups;
};

#define CHECK(world, cond)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print_message("seed %llu, operation %llu: %s does not hold (line %d)\n",               \
                          (unsigned long long)os_sim_seed((world)->sim),                           \
                          (unsigned long long)os_sim_operations((world)->sim), #cond, __LINE__);   \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static uint64_t roll(struct world *world, uint64_t bound)
{
    return os_sim_draw(world->sim, bound);
}

static enum fr_status open_journal(struct world *world, struct fr_error *error)
{
    struct journal_options options = {.directory = "data/journal",
                                      .segment_bytes = world->segment_bytes,
                                      .no_thread = true};
    return journal_open(os_sim_os(world->sim), &options, error, &world->journal);
}

static void check_records(struct world *world, uint64_t from)
{
    struct fr_error error = {0};
    struct journal_cursor *cursor = NULL;
    struct journal_record record;
    enum fr_status status = journal_cursor_open(world->journal, from, &error, &cursor);
    if (status == FR_CORRUPT || status == FR_INVALID)
        print_message("%s\n", error.message);
    CHECK(world, status == FR_OK || status == FR_IO || status == FR_NO_SPACE);
    for (uint64_t position = from; status == FR_OK; position++) {
        status = journal_cursor_next(cursor, &error, &record);
        if (status != FR_OK) {
            if (status == FR_CORRUPT)
                print_message("%s\n", error.message);
            CHECK(world, status == FR_IO || status == FR_NO_SPACE ||
                             (status == FR_END && position == world->acked + 1));
            break; /* dead, or the failing operation was a read */
        }
        const struct modelled *modelled = &world->records[position];
        CHECK(world, record.position == position && position <= world->acked);
        CHECK(world, record.kind == modelled->kind && record.received_us == modelled->received_us);
        CHECK(world, record.payload.bytes == modelled->bytes);
        CHECK(world, base_hash64_slice(record.payload, 1) == modelled->hash);
    }
    journal_cursor_close(cursor);
}

/* Opens until the machine stays up that long. */
static void recover(struct world *world)
{
    for (;;) {
        struct fr_error error = {0};
        enum fr_status status = open_journal(world, &error);
        if (status == FR_OK)
            break;
        if (!os_sim_is_dead(world->sim))
            print_message("%s\n", error.message);
        CHECK(world, os_sim_is_dead(world->sim)); /* only a crash keeps it from opening */
        os_sim_crash(world->sim);
        world->crashes++;
        if (roll(world, 3) == 0)
            os_sim_crash_at(world->sim, os_sim_operations(world->sim) + 1 + roll(world, 30));
    }
    uint64_t durable = journal_durable(world->journal);
    CHECK(world, durable == world->acked || durable == world->attempted);
    world->acked = durable;
    world->attempted = durable;
    check_records(world, journal_first(world->journal));
}

static void verify(struct world *world)
{
    struct journal_report report;
    struct fr_error error = {0};
    enum fr_status status =
        journal_verify(os_sim_os(world->sim), "data/journal", NULL, NULL, &report, &error);
    if (status != FR_OK && !os_sim_is_dead(world->sim))
        print_message("%s\n", error.message);
    if (os_sim_is_dead(world->sim))
        return;
    CHECK(world, status == FR_OK && (world->acked < world->floor || report.last == world->acked ||
                                     report.records == 0));
}

/* One group. False: the journal is done for. */
static bool append_group(struct world *world)
{
    static uint8_t payload[PAYLOAD_MAX];
    struct fr_error error = {0};
    uint32_t count = 1 + (uint32_t)roll(world, roll(world, 8) == 0 ? 60 : 6);
    CHECK(world, world->acked + count < RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = (size_t)roll(world, roll(world, 10) == 0 ? PAYLOAD_MAX : 200);
        memset(payload, 0, bytes);
        for (size_t at = 0; roll(world, 8) != 0 && at < bytes; at += 7)
            payload[at] = (uint8_t)roll(world, 256);
        uint64_t expected = world->acked + 1 + i, position = 0;
        struct fr_slice slice = fr_slice_of((const char *)payload, bytes);
        world->records[expected] = (struct modelled){.hash = base_hash64_slice(slice, 1),
                                                     .received_us = (int64_t)roll(world, 1u << 30),
                                                     .bytes = (uint32_t)bytes,
                                                     .kind = (uint8_t)roll(world, 256)};
        const struct modelled *modelled = &world->records[expected];
        enum fr_status status = journal_append(world->journal, modelled->kind,
                                               modelled->received_us, slice, &error, &position);
        CHECK(world, status == FR_OK && position == expected);
    }
    world->attempted = world->acked + count;
    world->groups++;
    enum fr_status status = journal_sync(world->journal, &error);
    if (status == FR_OK) {
        world->acked = world->attempted;
        CHECK(world, journal_durable(world->journal) == world->acked);
        return true;
    }
    CHECK(world, journal_durable(world->journal) == world->acked);
    if (!error.fatal) {
        if (!os_sim_is_dead(world->sim))
            world->attempted = world->acked; /* refused: must never come back */
        return !os_sim_is_dead(world->sim);
    }
    uint64_t position;
    CHECK(world, journal_failed(world->journal));
    CHECK(world, journal_append(world->journal, 1, 1, FR_SLICE("x"), &error, &position) == FR_IO);
    CHECK(world, journal_sync(world->journal, &error) == FR_IO && error.fatal);
    return false;
}

/* Housekeeping may fail, and then nothing has happened. */
static void keep_house(struct world *world)
{
    struct fr_error error = {0};
    uint64_t position = roll(world, world->acked + 2);
    enum fr_status status;
    switch (roll(world, 8)) {
    case 0:
        status = journal_drop(world->journal, position / 2, &error);
        world->floor = journal_first(world->journal);
        break;
    case 1:
    case 2:
        status = journal_prepare(world->journal, &error);
        break;
    default:
        status = journal_seal(world->journal, position, &error);
    }
    CHECK(world, status == FR_OK || status == FR_IO || status == FR_NO_SPACE);
}

static void run_boot(struct world *world)
{
    uint64_t now = os_sim_operations(world->sim);
    switch (roll(world, 8)) {
    case 0:
    case 1:
    case 2:
    case 3:
        os_sim_crash_at(world->sim, now + 1 + roll(world, 400));
        break;
    case 4:
        os_sim_fail_at(world->sim, now + 1 + roll(world, 100),
                       roll(world, 2) ? FR_IO : FR_NO_SPACE);
        break;
    case 5:
        os_sim_disk_limit(world->sim, os_sim_disk_bytes(world->sim) + roll(world, 100000));
        break;
    default:
        break;
    }
    uint64_t steps = 20 + roll(world, 120), fail_sync = roll(world, 6) ? 0 : roll(world, steps);
    for (uint64_t step = 1; step < steps; step++) {
        if (step == fail_sync)
            os_sim_fail_sync(world->sim);
        if (roll(world, 12) == 0)
            keep_house(world);
        uint64_t from = roll(world, world->acked + 2), first = journal_first(world->journal);
        if (roll(world, 25) == 0)
            check_records(world, FR_MAX(from, first));
        if (!append_group(world))
            break;
        if (os_sim_is_dead(world->sim))
            break;
    }
    os_sim_disk_limit(world->sim, 0);
    os_sim_fail_at(world->sim, 0, FR_OK);
}

static void run_seed(uint64_t seed, struct world *out_totals)
{
    static const uint64_t sizes[] = {8192, 12000, 32768, 65536, 200000};
    struct world world = {.sim = os_sim_new(seed, NULL)};
    world.records = calloc(RECORDS_MAX, sizeof(*world.records));
    world.segment_bytes = sizes[roll(&world, FR_COUNT_OF(sizes))];
    for (int boot = 0; boot < BOOTS; boot++) {
        recover(&world);
        if (!os_sim_is_dead(world.sim))
            run_boot(&world);
        uint64_t how = roll(&world, 4);
        bool failed = journal_failed(world.journal) || os_sim_is_dead(world.sim);
        if (how == 0 && !failed) {
            journal_close(world.journal);
            verify(&world);
            continue;
        }
        /* The process dies without a word: its handles are dead before anything can be closed. */
        if (how == 1)
            os_sim_kill(world.sim);
        else
            os_sim_crash(world.sim);
        world.crashes++;
        journal_close(world.journal);
    }
    recover(&world);
    journal_close(world.journal);
    verify(&world);
    out_totals->crashes += world.crashes;
    out_totals->groups += world.groups;
    free(world.records);
    os_sim_free(world.sim);
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_seed_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    struct world totals = {0};
    const char *form = getenv("FRESHET_FORM");
    uint64_t otherwise = form && strcmp(form, "long") == 0 ? 1000 : 64;
    uint64_t one = environment("FRESHET_SEED", 0);
    uint64_t count = environment("FRESHET_SEEDS", otherwise);
    for (uint64_t seed = 1; seed <= count && !one; seed++)
        run_seed(seed, &totals);
    if (one)
        run_seed(one, &totals);
    print_message("%llu crashes, %llu groups\n", (unsigned long long)totals.crashes,
                  (unsigned long long)totals.groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_keeps_what_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
