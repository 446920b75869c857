/* SPDX-License-Identifier: Apache-2.0
 *
 * fold: a folded record allocates nothing: append, sync, dedupe, counts, experts and learning of
 * warm batches call malloc and free zero times. On the real disk, with every event sampled, so that
 * all learners run; two stages by hand, so that all of it is on the counting thread. Warm is: the
 * dedupe window is full. Until then its index doubles now and then (two calls for one of its 1,024
 * tables), as the first part of the run shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "tests/lib/allocations.h"
#include "tests/lib/folding.h"

enum { USERS = 60, ITEMS = 200, WARM_BATCHES = 240, BATCHES = 40, BATCH_EVENTS = 50 };

static struct folding folding;
static char directory[] = "/tmp/freshet-allocations-XXXXXX";

static int start(void **unused)
{
    struct fr_error error = {0};
    (void)unused;
    if (!mkdtemp(directory))
        return -1;
    struct state_options state = {.item_count_max = 1 << 14,
                                  .user_count_max = 1 << 12,
                                  .event_count_max = 1 << 18,
                                  .pair_bytes_max = 64 << 20,
                                  .dedupe_count_max = 512};
    assert_int_equal(state_new(&state, &error, &folding.state), FR_OK);
    struct rank_options rank = {.state = folding.state, .experts = "all,gru"};
    assert_int_equal(rank_new(&rank, &error, &folding.rank), FR_OK);
    struct fold_options fold = {.os = os_real(),
                                .directory = directory,
                                .state = folding.state,
                                .rank = folding.rank,
                                .sample_one_in = 1,
                                .by_hand = true};
    if (fold_open(&fold, &error, &folding.fold) != FR_OK)
        fail_msg("%s", error.message);
    fold_batch_init(&folding.batch);
    base_buf_init(&folding.payload, 0);
    return 0;
}

static int stop(void **unused)
{
    char command[128];
    (void)unused;
    folding_close(&folding);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* What the click experts read beside the events: attributes and words. */
static void add_documents(void)
{
    char id[32], title[64];
    for (uint32_t n = 0; n < USERS; n++) {
        snprintf(id, sizeof id, "u%u", n);
        const struct schema_user user = {.id = fr_slice_str(id),
                                         .attributes = {{FR_SLICE("plan"), fr_slice_str(id)}},
                                         .attribute_count = 1,
                                         .present = 0xffff};
        base_buf_clear(&folding.payload);
        schema_user_encode(&user, &folding.payload);
        fold_batch_add(&folding.batch, SCHEMA_KIND_USER, base_buf_slice(&folding.payload));
    }
    for (uint32_t n = 0; n < ITEMS; n++) {
        snprintf(id, sizeof id, "i%u", n);
        snprintf(title, sizeof title, "common word%u word%u", n % 7, n % 11);
        const struct schema_item item = {.id = fr_slice_str(id),
                                         .title = fr_slice_str(title),
                                         .present = 0xffff};
        base_buf_clear(&folding.payload);
        schema_item_encode(&item, &folding.payload);
        fold_batch_add(&folding.batch, SCHEMA_KIND_ITEM, base_buf_slice(&folding.payload));
    }
    assert_int_equal(fold_run(folding.fold, &folding.batch, FOLD_ACK_APPLIED), FR_OK);
    fold_batch_clear(&folding.batch);
}

/* Users come back to the same items, mostly in order: pairs, sessions, repeats and duplicates. */
static void add_event(uint64_t n)
{
    static const uint8_t key[16];
    char id[32], user[32], item[32];
    snprintf(id, sizeof id, "e%llu", (unsigned long long)(n % 97 == 96 ? n - 1 : n));
    snprintf(user, sizeof user, "u%u", (unsigned)(base_random_u64(1, n, 0) % USERS));
    snprintf(item, sizeof item, "i%u", (unsigned)(base_random_u64(1, n, 1) % ITEMS));
    struct schema_event event = {.id = fr_slice_str(id),
                                 .user = fr_slice_str(user),
                                 .item = fr_slice_str(item),
                                 .type = n % 5 ? SCHEMA_CLICK : SCHEMA_LIKE};
    event.key = base_siphash128(id, strlen(id), key);
    event.time_us = 1767225600000000 + (int64_t)n * 20000000;
    event.context.device = n % 2 ? FR_SLICE("phone") : FR_SLICE("desktop");
    base_buf_clear(&folding.payload);
    schema_event_encode(&event, &folding.payload);
    fold_batch_add(&folding.batch, SCHEMA_KIND_EVENT, base_buf_slice(&folding.payload));
}

static uint32_t counted_in_batch(uint64_t *n)
{
    for (uint32_t e = 0; e < BATCH_EVENTS; e++)
        add_event((*n)++);
    count_from_here(true);
    enum fr_status status = fold_run(folding.fold, &folding.batch, FOLD_ACK_APPLIED);
    count_from_here(false);
    assert_int_equal(status, FR_OK);
    fold_batch_clear(&folding.batch);
    return allocations;
}

static void a_warm_record_allocates_nothing(void **unused)
{
    uint64_t n = 0;
    uint32_t calls = 0, cold = 0;
    struct fold_stats stats;
    (void)unused;
    assert_true(allocations_counted());
    add_documents();
    for (uint32_t b = 0; b < WARM_BATCHES; b++)
        cold += counted_in_batch(&n);
    for (uint32_t b = 0; b < BATCHES; b++)
        calls += counted_in_batch(&n);
    fold_stats_get(folding.fold, &stats);
    assert_true(stats.sampled > BATCHES * BATCH_EVENTS / 2 && stats.duplicates > 0);
    assert_true(cold > 0); /* the counting reaches into the fold */
    if (calls)
        fail_msg("%u calls of malloc or free in %d warm records", calls, BATCHES * BATCH_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_warm_record_allocates_nothing)};
    return cmocka_run_group_tests(tests, start, stop);
}
