/* SPDX-License-Identifier: Apache-2.0
 *
 * state: ids, sessions, histories, popularity, dedupe, offsets, user deletion; and that what is
 * rebuilt after loading equals what was there.
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

enum { START_S = 1600000000 };

struct bed {
    struct state *state;
    struct schema_types types;
    uint64_t position;
};

static void bed_init(struct bed *bed, const struct state_options *options)
{
    bed->position = 0;
    schema_types_init(&bed->types);
    assert_int_equal(state_new(options, NULL, &bed->state), FR_OK);
}

static struct state_event act(struct bed *bed, const char *user, const char *item,
                              const char *session, uint32_t at_s, uint8_t type)
{
    struct schema_event event = {
        .user = fr_slice_str(user),
        .item = fr_slice_str(item),
        .session = fr_slice_str(session),
        .time_us = (int64_t)(START_S + at_s) * 1000000,
        .type = type,
        .context.device = FR_SLICE("phone"),
    };
    struct state_event out = {0};
    enum fr_status status =
        state_resolve(bed->state, &event, &bed->types, ++bed->position, event.time_us, &out);
    if (status == FR_OK)
        state_apply(bed->state, &out);
    return out;
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

static void test_ids(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    char name[32];
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "item-%u", i);
        act(&bed, "u", name, NULL, i, SCHEMA_CLICK);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "item-%u", i);
        uint32_t item = state_item_find(bed.state, fr_slice_str(name));
        assert_int_equal(item, i + 1);
        assert_true(fr_slice_equal(state_item_id(bed.state, item), fr_slice_str(name)));
    }
    assert_int_equal(state_item_find(bed.state, FR_SLICE("item-20000")), 0);
    assert_int_equal(state_item_id(bed.state, 20001).bytes, 0);
    assert_int_equal(state_user_find(bed.state, FR_SLICE("u")), 1);
    assert_true(state_context_find(bed.state, STATE_DEVICE, FR_SLICE("phone")) > 0);
    assert_int_equal(state_context_find(bed.state, STATE_OS, FR_SLICE("phone")), 0);
    state_free(bed.state);
}

static void test_full_tables_refuse(void **unused)
{
    (void)unused;
    struct bed bed;
    const struct state_options options = {.item_count_max = 10, .user_count_max = 5};
    bed_init(&bed, &options);
    char name[32];
    for (uint32_t i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "%u", i);
        act(&bed, "u", name, NULL, i, SCHEMA_CLICK);
        act(&bed, name, "i", NULL, i, SCHEMA_CLICK);
    }
    struct state_stats stats;
    state_stats_get(bed.state, &stats);
    assert_true(stats.items <= 11 && stats.users <= 6);
    assert_true(stats.refused_items >= 30 && stats.refused_users >= 30);
    state_free(bed.state);
}

static void test_sessions(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    struct state_event first = act(&bed, "u", "a", NULL, 0, SCHEMA_CLICK);
    struct state_event second = act(&bed, "u", "b", NULL, 1799, SCHEMA_CLICK);
    struct state_event third = act(&bed, "u", "c", NULL, 1799 + 1800, SCHEMA_CLICK);
    assert_true(first.is_first_of_session && !second.is_first_of_session);
    assert_int_equal(first.session_tag, second.session_tag);
    assert_true(third.is_first_of_session && third.session_tag != second.session_tag);
    struct state_event s1 = act(&bed, "v", "a", "one", 4000, SCHEMA_CLICK);
    struct state_event s2 = act(&bed, "v", "b", "two", 4001, SCHEMA_CLICK);
    struct state_event s3 = act(&bed, "v", "c", "one", 4002, SCHEMA_CLICK);
    assert_true(s1.is_first_of_session && s2.is_first_of_session && !s3.is_first_of_session);
    assert_int_equal(s1.session_tag, s3.session_tag);
    assert_int_equal(s1.session_tag, state_session_tag(FR_SLICE("one")));
    state_free(bed.state);
}

static void test_history_and_seen(void **unused)
{
    (void)unused;
    struct bed bed;
    const struct state_options options = {.history_max = 30};
    bed_init(&bed, &options);
    char name[32];
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%u", i);
        act(&bed, "u", name, NULL, i, i == 99 ? SCHEMA_DISLIKE : SCHEMA_CLICK);
    }
    struct state_visit visits[128];
    uint32_t older[128], user = state_user_find(bed.state, FR_SLICE("u"));
    uint32_t count = state_history(bed.state, user, visits, 128);
    assert_true(count <= 30 && count > 20);
    assert_true(visits[0].signal < 0.0f);
    for (uint32_t v = 0; v < count; v++) {
        assert_int_equal(visits[v].item, 100 - v);
        assert_int_equal(visits[v].time_s, START_S + 99 - v);
    }
    uint32_t before = state_seen_older(bed.state, user, older, 128);
    assert_int_equal(before + count, 100);
    bool seen[101] = {false};
    for (uint32_t i = 0; i < before; i++)
        seen[older[i]] = true;
    for (uint32_t i = 1; i <= 100 - count; i++)
        assert_true(seen[i]);
    state_apply_user_delete(bed.state, FR_SLICE("u"));
    assert_int_equal(state_history(bed.state, user, visits, 128), 0);
    assert_int_equal(state_seen_older(bed.state, user, older, 128), 0);
    act(&bed, "u", "again", NULL, 200, SCHEMA_CLICK);
    assert_int_equal(state_history(bed.state, user, visits, 128), 1);
    state_free(bed.state);
}

static void test_popularity_halves(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    char name[32];
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(name, sizeof(name), "user-%u", i);
        act(&bed, name, "a", NULL, 0, SCHEMA_CLICK);
    }
    float now[STATE_HALF_COUNT], later[STATE_HALF_COUNT];
    state_item_popularity(bed.state, 1, START_S, now);
    state_item_popularity(bed.state, 1, START_S + 1024, later);
    for (uint32_t h = 0; h < STATE_HALF_COUNT; h++)
        assert_float_equal(now[h], 64.0f, 0.8f);
    assert_float_equal(later[STATE_HALF_4MIN], 4.0f, 0.2f);
    assert_float_equal(later[STATE_HALF_17MIN], 32.0f, 0.6f);
    assert_true(later[STATE_HALF_SLOW] > 63.0f);
    act(&bed, "late", "a", NULL, 1024 * 40, SCHEMA_CLICK); /* forty half-lives on */
    state_item_popularity(bed.state, 1, START_S + 1024 * 40, now);
    assert_float_equal(now[STATE_HALF_17MIN], 1.0f, 0.05f);
    uint32_t leaders[8];
    for (uint32_t i = 0; i < 8; i++)
        act(&bed, "crowd", "b", NULL, 1024 * 40 + i, SCHEMA_CLICK);
    assert_true(state_row_top(bed.state, STATE_ROW_EVERYONE, 0, STATE_POP_17MIN, leaders, 8) >= 1);
    assert_int_equal(leaders[0], state_item_find(bed.state, FR_SLICE("b")));
    state_free(bed.state);
}

static void test_exposures_and_dislikes_do_not_count(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    act(&bed, "u", "a", NULL, 0, SCHEMA_EXPOSURE);
    assert_int_equal(state_history_count(bed.state, 1), 0);
    act(&bed, "u", "a", NULL, 1, SCHEMA_DISLIKE);
    struct state_item item;
    assert_true(state_item_get(bed.state, 1, &item));
    assert_int_equal(item.event_count, 0);
    assert_int_equal(state_history_count(bed.state, 1), 1);
    state_free(bed.state);
}

static void test_dedupe(void **unused)
{
    (void)unused;
    struct state *state;
    const struct state_options options = {.dedupe_count_max = 1000, .dedupe_us = 60000000};
    assert_int_equal(state_new(&options, NULL, &state), FR_OK);
    const struct base_hash128 none = {0, 0}, key = {1, 2};
    assert_int_equal(state_dedupe_check_add(state, none, 5, 1000000), STATE_DEDUPE_NEW);
    assert_int_equal(state_dedupe_check_add(state, none, 5, 1000000), STATE_DEDUPE_NEW);
    assert_int_equal(state_dedupe_check_add(state, key, 5, 1000000), STATE_DEDUPE_NEW);
    assert_int_equal(state_dedupe_check_add(state, key, 5, 2000000), STATE_DEDUPE_DUPLICATE);
    assert_int_equal(state_dedupe_check_add(state, key, 6, 2000000), STATE_DEDUPE_CONFLICT);
    assert_int_equal(state_dedupe_check_add(state, key, 5, 62000000),
                     STATE_DEDUPE_NEW);   /* out of time */
    for (uint64_t i = 0; i < 5000; i++) { /* the ring goes round several times */
        struct base_hash128 k = {base_mix64(i + 10), base_mix64(i * 7 + 3)};
        assert_int_equal(state_dedupe_check_add(state, k, 1, 62000000), STATE_DEDUPE_NEW);
        assert_int_equal(state_dedupe_check_add(state, k, 1, 62000000), STATE_DEDUPE_DUPLICATE);
        if (i >= 900) {
            struct base_hash128 recent = {base_mix64(i - 890), base_mix64((i - 900) * 7 + 3)};
            assert_int_equal(state_dedupe_check_add(state, recent, 1, 62000000),
                             STATE_DEDUPE_DUPLICATE);
        }
    }
    assert_int_equal(state_dedupe_check_add(state, key, 5, 62000000),
                     STATE_DEDUPE_NEW); /* crowded out */
    assert_int_equal(state_rebuild(state, NULL), FR_OK);
    struct base_hash128 last = {base_mix64(5009), base_mix64(4999 * 7 + 3)};
    assert_int_equal(state_dedupe_check_add(state, last, 1, 62000000), STATE_DEDUPE_DUPLICATE);
    state_free(state);
}

static void test_sources(void **unused)
{
    (void)unused;
    struct state *state;
    int64_t next = 0;
    assert_int_equal(state_new(NULL, NULL, &state), FR_OK);
    assert_false(state_source_offset(state, FR_SLICE("kafka/clicks"), 3, &next));
    assert_int_equal(state_apply_source(state, FR_SLICE("kafka/clicks"), 3, 17), FR_OK);
    assert_int_equal(state_apply_source(state, FR_SLICE("kafka/clicks"), 4, 99), FR_OK);
    assert_int_equal(state_apply_source(state, FR_SLICE("kafka/clicks"), 3, 18), FR_OK);
    assert_true(state_source_offset(state, FR_SLICE("kafka/clicks"), 3, &next));
    assert_int_equal(next, 18);
    state_free(state);
}

/* Ids found again from the rows alone; the same events twice give the same hash. */
static void test_rebuild_and_determinism(void **unused)
{
    (void)unused;
    struct base_hash128 hash[2];
    for (int round = 0; round < 2; round++) {
        struct bed bed;
        bed_init(&bed, NULL);
        char user[32], item[32];
        for (uint32_t i = 0; i < 5000; i++) {
            snprintf(user, sizeof(user), "u%u", (uint32_t)(base_mix64(i) % 300));
            snprintf(item, sizeof(item), "i%u", (uint32_t)(base_mix64(i * 3) % 500));
            act(&bed, user, item, NULL, i * 20, SCHEMA_CLICK);
            if (round && i == 2500)
                assert_int_equal(state_rebuild(bed.state, NULL), FR_OK);
        }
        hash[round] = hash_of(bed.state);
        if (round)
            state_clear(bed.state);
        if (round)
            assert_int_equal(state_item_find(bed.state, FR_SLICE("i1")), 0);
        state_free(bed.state);
    }
    assert_memory_equal(&hash[0], &hash[1], sizeof(hash[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_full_tables_refuse),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_history_and_seen),
        cmocka_unit_test(test_popularity_halves),
        cmocka_unit_test(test_exposures_and_dislikes_do_not_count),
        cmocka_unit_test(test_dedupe),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_rebuild_and_determinism),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
