/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows are used again while others read. Visitor n has item n % ITEMS alone; a reader who asks for a visitor's
 * history, and is told that what he read holds, has seen nothing else. Built with ThreadSanitizer it shows
 * that no word is shared unguarded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/expire.h"
#include "state/figures.h"
#include "state/state.h"

enum { VISITORS = 40000, ITEMS = 40, USERS_MAX = 60, READERS = 2, READINGS = 200 };

struct world {
    struct state *state;
    uint32_t newest;        /* atomic */
    bool done;              /* atomic */
    uint64_t good, told;    /* atomic; readings that held, and that did not */
    uint64_t wrong, missed; /* atomic */
};

static void act(struct world *world, uint32_t visitor, uint64_t position)
{
    struct schema_types types;
    char user[32], item[32];
    schema_types_init(&types);
    snprintf(user, sizeof(user), "visitor-%u", visitor);
    snprintf(item, sizeof(item), "item-%u", visitor % ITEMS);
    const struct schema_event event = {.user = fr_slice_str(user),
                                       .item = fr_slice_str(item),
                                       .time_us = (int64_t)(1600000000 + position) * 1000000,
                                       .type = SCHEMA_CLICK};
    struct state_event out;
    if (state_resolve(world->state, &event, &types, position, event.time_us, &out) == FR_OK)
        state_apply(world->state, &out);
    for (uint32_t k = 0; k < STATE_KIND_COUNT && state_expire_due(world->state); k++) {
        struct state_expired expired;
        state_expire_step(world->state, (enum state_kind)k, &expired);
        if (expired.sweep)
            state_expire_swept(world->state, expired.kind);
    }
}

static void count(uint64_t *at)
{
    __atomic_add_fetch(at, 1, __ATOMIC_RELAXED);
}

/* Visits of others than the visitor's own item. */
static uint32_t foreign(const struct world *world, uint32_t user, uint32_t visitor)
{
    struct state_visit visits[16];
    uint32_t n = state_history(world->state, user, visits, 16), wrong = 0;
    for (uint32_t v = 0; v < n; v++) {
        char item[32];
        snprintf(item, sizeof(item), "item-%u", visitor % ITEMS);
        wrong += !fr_slice_equal(state_item_id(world->state, visits[v].item), fr_slice_str(item));
    }
    return wrong;
}

static void *ask(void *context)
{
    struct world *world = context;
    for (uint32_t i = 0; !__atomic_load_n(&world->done, __ATOMIC_ACQUIRE); i++) {
        uint32_t newest = __atomic_load_n(&world->newest, __ATOMIC_RELAXED), back = i % USERS_MAX;
        char id[32];
        snprintf(id, sizeof(id), "visitor-%u", newest - FR_MIN(newest, back));
        uint64_t began = state_reading_begin(world->state);
        uint32_t user = state_user_find(world->state, fr_slice_str(id));
        sched_yield(); /* time for the row to be used again */
        uint32_t wrong = user ? foreign(world, user, newest - FR_MIN(newest, back)) : 0;
        if (!state_reading_ok(world->state, began))
            count(&world->told);
        else if (wrong)
            count(&world->wrong);
        else
            count(user ? &world->good : &world->missed);
    }
    return NULL;
}

static void nobody_reads_a_strangers_past(void **unused)
{
    (void)unused;
    struct world world = {0};
    pthread_t threads[READERS];
    const struct state_options options = {.user_count_max = USERS_MAX,
                                          .item_count_max = 1000,
                                          .context_count_max = 100,
                                          .token_count_max = 100,
                                          .text_bytes_max = 1 << 18,
                                          .event_count_max = 4000,
                                          .pair_bytes_max = 1 << 20,
                                          .dedupe_count_max = 100,
                                          .newcomer_count_max = 4096};
    assert_int_equal(state_new(&options, NULL, &world.state), FR_OK);
    for (uint32_t t = 0; t < READERS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, ask, &world), 0);
    uint64_t position = 0;
    uint32_t n = 0;
    /* a machine with one busy processor may not let readers run for a while */
    while (n < VISITORS || __atomic_load_n(&world.good, __ATOMIC_RELAXED) < READINGS) {
        for (uint32_t turn = 0; turn < 3; turn++)
            act(&world, n, ++position);
        __atomic_store_n(&world.newest, n++, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&world.done, true, __ATOMIC_RELEASE);
    for (uint32_t t = 0; t < READERS; t++)
        pthread_join(threads[t], NULL);
    struct state_stats stats;
    state_stats_get(world.state, &stats);
    print_message("%llu readings held, %llu did not, %llu found nobody\n",
                  (unsigned long long)world.good, (unsigned long long)world.told,
                  (unsigned long long)world.missed);
    assert_true(stats.expired_users > VISITORS / 2);
    assert_int_equal(world.wrong, 0);
    state_free(world.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_reads_a_strangers_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
