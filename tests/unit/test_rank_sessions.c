/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: neighbours name candidates themselves; items of the session come back only where that
 * is allowed, and then only the experts that leave the session out speak of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "rank/rank.h"

enum { START_S = 1600000000 };

static struct state *state;
static struct rank *rank;
static struct base_arena arena;
static struct model_query query;
static struct rank_result result;

static void click(uint32_t user, uint32_t item, uint32_t position)
{
    char u[16], i[16];
    struct schema_types types;
    struct state_event out;
    snprintf(u, sizeof(u), "u%u", user);
    snprintf(i, sizeof(i), "i%u", item);
    const struct schema_event event = {.user = fr_slice_str(u),
                                       .item = fr_slice_str(i),
                                       .time_us = (int64_t)(START_S + position) * 1000000,
                                       .type = SCHEMA_CLICK};
    schema_types_init(&types);
    assert_int_equal(state_resolve(state, &event, &types, position, event.time_us, &out), FR_OK);
    rank_learn(rank, &out, true, NULL);
    state_apply(state, &out);
    rank_apply(rank, &out);
}

/* 400 sessions of four clicks: items 0 .. 9 of one of 20 shelves. */
static int bed_make(void **unused)
{
    (void)unused;
    if (state_new(NULL, NULL, &state) != FR_OK ||
        base_arena_init(&arena, RANK_ARENA_BYTES) != FR_OK)
        return -1;
    const struct rank_options options = {.state = state, .repeats = true};
    if (rank_new(&options, NULL, &rank) != FR_OK)
        return -1;
    for (uint32_t e = 0; e < 1600; e++)
        click(e / 4, e / 4 % 20 * 10 + (uint32_t)(base_random_u64(5, e, 0) % 10), e + 1);
    return 0;
}

static int bed_end(void **unused)
{
    (void)unused;
    rank_free(rank);
    state_free(state);
    base_arena_release(&arena);
    return 0;
}

/* Someone unknown who has just seen items 33 and 37 of shelf 3. */
static void ask(bool repeats, uint32_t recent[2])
{
    recent[0] = state_item_find(state, FR_SLICE("i33"));
    recent[1] = state_item_find(state, FR_SLICE("i37"));
    assert_true(recent[0] && recent[1]);
    const struct model_request request = {.recent = recent, .recent_count = 2, .repeats = repeats};
    const struct rank_query_options options = {.retrieve.allow_unservable = true};
    base_arena_clear(&arena);
    assert_int_equal(model_query_build(state, &request, &arena, &query), FR_OK);
    assert_int_equal(rank_query(rank, &query, &options, &arena, &result), FR_OK);
}

static int32_t place_of(uint32_t item)
{
    for (uint32_t r = 0; r < result.count; r++)
        if (result.item[r] == item)
            return (int32_t)r;
    return -1;
}

/* The parts of the experts named, and of all others but the network. */
static void parts_of(uint32_t r, float *out_named, float *out_others)
{
    *out_named = *out_others = 0;
    for (uint32_t f = 0; f < result.feature_count; f++) {
        const char *expert = result.feature[f].expert;
        bool named = strcmp(expert, "repeat") == 0 || strcmp(expert, "sessions") == 0;
        float part = rank_contribution(&result, r, f);
        if (strcmp(expert, "network") != 0)
            *(named ? out_named : out_others) += part < 0 ? -part : part;
    }
}

static void test_neighbours_name_candidates(void **unused)
{
    (void)unused;
    uint32_t recent[2], named = 0;
    ask(false, recent);
    for (uint32_t r = 0; r < result.count; r++) {
        if (!(result.generators[r] & 1u << RETRIEVE_EXPERT))
            continue;
        float of_sessions, of_others;
        parts_of(r, &of_sessions, &of_others);
        named++;
        assert_true(of_sessions > 0);
    }
    assert_true(named >= 6); /* of the eight other items of the shelf */
}

/* What neither counts nor neighbours name comes by its learnt vector, and beside them: no more than
 * there is room for. */
static void test_vectors_name_candidates(void **unused)
{
    (void)unused;
    uint32_t recent[2], named = 0;
    ask(false, recent);
    for (uint32_t r = 0; r < result.count; r++)
        named += result.generators[r] == 1u << RETRIEVE_VECTORS;
    assert_true(named > 0 && named <= 16);
}

static void test_repeats(void **unused)
{
    (void)unused;
    uint32_t recent[2];
    ask(false, recent);
    assert_int_equal(place_of(recent[0]), -1);
    assert_int_equal(place_of(recent[1]), -1);
    ask(true, recent);
    for (int i = 0; i < 2; i++) {
        int32_t r = place_of(recent[i]);
        float of_sessions, of_others;
        assert_true(r >= 0);
        assert_true(result.generators[r] & 1u << RETRIEVE_REPEAT);
        parts_of((uint32_t)r, &of_sessions, &of_others);
        assert_true(of_sessions > 0);
        assert_true(of_others == 0.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbours_name_candidates),
        cmocka_unit_test(test_vectors_name_candidates),
        cmocka_unit_test(test_repeats),
    };
    return cmocka_run_group_tests(tests, bed_make, bed_end);
}
