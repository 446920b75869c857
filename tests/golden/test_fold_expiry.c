/* SPDX-License-Identifier: Apache-2.0
 *
 * The same journal gives the same state hash where tables are full and rows expire all the while:
 * whatever the batch sizes, and through restarts and kills in the middle of a batch of expiring rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "schema/schema.h"
#include "state/figures.h"
#include "tests/lib/folding.h"

enum { EVENTS = 4000, SEED = 7 };
#define NOW_US ((int64_t)1767225600000000)

/* Visitors who come three times and never again, and items that are clicked a dozen times. */
static void add_event(struct folding *folding, uint64_t n)
{
    char id[32], user[32], item[32];
    snprintf(id, sizeof(id), "e%llu", (unsigned long long)n);
    uint32_t who = base_random_u64(SEED, n, 0) % 3 ? (uint32_t)(n / 5)
                                                   : (uint32_t)(base_random_u64(SEED, n, 1) % 20);
    uint32_t what = (uint32_t)(n / 12 + base_random_u64(SEED, n, 2) % 4);
    snprintf(user, sizeof(user), "u%u", who);
    snprintf(item, sizeof(item), "i%u", what);
    struct schema_event event = {.id = fr_slice_str(id),
                                 .user = fr_slice_str(user),
                                 .item = fr_slice_str(item),
                                 .type = SCHEMA_CLICK,
                                 .time_us = NOW_US + (int64_t)n * 7000000};
    event.key = (struct base_hash128){.lo = base_mix64(n), .hi = n + 1};
    event.context.region = n % 2 ? FR_SLICE("north") : FR_SLICE("south");
    base_buf_clear(&folding->payload);
    schema_event_encode(&event, &folding->payload);
    fold_batch_add(&folding->batch, SCHEMA_KIND_EVENT, base_buf_slice(&folding->payload));
}

static void many_have_expired(const struct folding *folding)
{
    struct state_stats stats;
    state_stats_get(folding->state, &stats);
    assert_true(stats.expired_users > 300 && stats.expired_items > 100);
}

static const struct folding_stream stream = {.seed = SEED,
                                             .events = EVENTS,
                                             .tight = true,
                                             .received_us = NOW_US + (int64_t)EVENTS * 7000000,
                                             .add = add_event,
                                             .check = many_have_expired};

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

static void restarts(void **state)
{
    (void)state;
    same_hash(
        &(struct folding_manner){.batch = 1, .snapshot_records = 1000000, .restart_every = 101});
}

static void kills_with_snapshots(void **state)
{
    (void)state;
    same_hash(&(struct folding_manner){.batch = 13,
                                       .snapshot_records = 29,
                                       .restart_every = 170,
                                       .kill = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_of_one),
        cmocka_unit_test(batch_of_4096),
        cmocka_unit_test(restarts),
        cmocka_unit_test(kills_with_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
