/* SPDX-License-Identifier: Apache-2.0
 *
 * state, nearly full: who is admitted to the tables of ids, and that no part takes more than its
 * budget. (tests/crash/memory_flood.py asks the same of the whole program.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "state/figures.h"
#include "state/state.h"

enum { USERS_MAX = 4000, ROOMY = USERS_MAX / 8 * 7, START_S = 1600000000 };

struct bed {
    struct state *state;
    struct schema_types types;
    uint64_t position;
};

static void bed_init(struct bed *bed)
{
    struct state_options options = {.user_count_max = USERS_MAX,
                                    .item_count_max = 1000,
                                    .context_count_max = 500,
                                    .text_bytes_max = 1 << 20,
                                    .event_count_max = 40000,
                                    .pair_bytes_max = 4 << 20,
                                    .dedupe_count_max = 5000,
                                    .newcomer_count_max = 4096};
    bed->position = 0;
    schema_types_init(&bed->types);
    assert_int_equal(state_new(&options, NULL, &bed->state), FR_OK);
}

/* One event; was it taken? */
static bool act(struct bed *bed, const char *user, const char *item, const char *region)
{
    struct schema_event event = {
        .user = fr_slice_str(user),
        .item = fr_slice_str(item),
        .time_us = (int64_t)(START_S + bed->position) * 1000000,
        .type = SCHEMA_CLICK,
        .context.region = fr_slice_str(region),
    };
    struct state_event out = {0};
    enum fr_status status =
        state_resolve(bed->state, &event, &bed->types, ++bed->position, event.time_us, &out);
    if (status == FR_OK)
        state_apply(bed->state, &out);
    else
        assert_int_equal(status, FR_FULL);
    return status == FR_OK;
}

static bool act_as(struct bed *bed, uint32_t user)
{
    char name[32];
    snprintf(name, sizeof(name), "user-%u", user);
    return act(bed, name, "item", "here");
}

static void the_last_eighth_is_for_who_returns(void **unused)
{
    (void)unused;
    struct bed bed;
    struct state_stats stats;
    bed_init(&bed);
    uint32_t user = 0;
    while (act_as(&bed, user))
        user++;
    assert_in_range(user, ROOMY - 2, ROOMY + 2); /* all at once, up to 7/8 */
    uint32_t once = user + 1;
    for (uint32_t i = 0; i < 1000; i++)
        assert_false(act_as(&bed, once + i)); /* none that comes once */
    assert_true(act_as(&bed, once + 999));    /* the second time */
    assert_true(act_as(&bed, user));
    for (uint32_t i = 0; i < 1000; i++)
        act_as(&bed, once + i);
    state_stats_get(bed.state, &stats);
    assert_in_range(stats.users, USERS_MAX - 1, USERS_MAX + 1); /* the last eighth is used */
    assert_true(stats.refused_users >= 1000);
    assert_false(act_as(&bed, 1000000) || act_as(&bed, 1000000)); /* full is full */
    for (uint32_t i = 0; i < ROOMY; i++)
        assert_true(act_as(&bed, i)); /* who is known is taken */
    state_free(bed.state);
}

static void items_and_contexts_alike(void **unused)
{
    (void)unused;
    struct bed bed;
    struct state_stats stats;
    char item[32], region[32];
    bed_init(&bed);
    assert_true(act(&bed, "u", "known", "there"));
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(item, sizeof(item), "item-%u", i);
        snprintf(region, sizeof(region), "region-%u", i);
        act(&bed, "u", item, "there");
        act(&bed, "u", "known", region);
    }
    state_stats_get(bed.state, &stats);
    assert_in_range(stats.items, 874, 878);
    assert_in_range(stats.contexts, 436, 440);
    assert_in_range(stats.refused_items, 2100, 2200);
    assert_in_range(stats.refused_contexts, 2500, 2600);
    assert_false(act(&bed, "stranger", "item-5000", "there"));
    assert_int_equal(state_user_find(bed.state, FR_SLICE("stranger")),
                     0); /* nor gets its user a row */
    assert_true(act(&bed, "stranger", "item-5000", "there"));
    assert_true(act(&bed, "u", "item-2999", "there")); /* it comes again */
    assert_int_equal(state_context_find(bed.state, STATE_REGION, FR_SLICE("region-2999")), 0);
    assert_true(act(&bed, "u", "known", "region-2999"));
    assert_int_not_equal(state_context_find(bed.state, STATE_REGION, FR_SLICE("region-2999")), 0);
    state_free(bed.state);
}

static struct base_hash128 hash_of(const struct state *state)
{
    struct base_digest digest;
    uint32_t count;
    base_digest_init(&digest);
    struct base_rows *const *tables = state_tables(state, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

static void flood(struct bed *bed)
{
    char user[32], item[32];
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(user, sizeof(user), "user-%llu", (unsigned long long)base_mix64(i) % 9000);
        snprintf(item, sizeof(item), "item-%llu", (unsigned long long)base_mix64(i + 77777) % 3000);
        struct base_hash128 key = {.lo = base_mix64(i), .hi = i};
        state_dedupe_check_add(bed->state, key, 0, (int64_t)START_S * 1000000);
        act(bed, user, item, item);
    }
}

static void admission_is_part_of_the_state(void **unused)
{
    (void)unused;
    struct bed one, two;
    bed_init(&one);
    bed_init(&two);
    flood(&one);
    flood(&two);
    struct base_hash128 first = hash_of(one.state), second = hash_of(two.state);
    assert_true(first.lo == second.lo && first.hi == second.hi);
    state_clear(two.state);
    two.position = 0;
    flood(&two);
    second = hash_of(two.state);
    assert_true(first.lo == second.lo && first.hi == second.hi);
    state_free(one.state);
    state_free(two.state);
}

static void no_part_exceeds_its_budget(void **unused)
{
    (void)unused;
    struct bed bed;
    struct state_memory parts[STATE_TABLES_MAX];
    struct state_stats stats;
    uint64_t use = 0;
    bed_init(&bed);
    flood(&bed);
    uint32_t count = state_memory(bed.state, parts);
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].use > parts[i].budget)
            print_error("%s: %llu of %llu bytes\n", parts[i].name, (unsigned long long)parts[i].use,
                        (unsigned long long)parts[i].budget);
        assert_true(parts[i].use <= parts[i].budget && parts[i].rows <= parts[i].rows_max + 1);
        use += parts[i].use;
    }
    state_stats_get(bed.state, &stats);
    assert_true(stats.users > ROOMY && stats.dedupe_ids == 5000);
    assert_true(use >= stats.bytes); /* nothing of the state is left out */
    state_free(bed.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_eighth_is_for_who_returns),
        cmocka_unit_test(items_and_contexts_alike),
        cmocka_unit_test(admission_is_part_of_the_state),
        cmocka_unit_test(no_part_exceeds_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
