/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: filters, caps, the quota for new items, and propensities that are true frequencies (P3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/policy.h"

enum { NOW_S = 1800000000, ITEMS = 60 };

static struct state *state;
static struct schema_types types;
static struct base_arena arena;
static uint32_t index_of[ITEMS]; /* of i0 .. */
static struct model_query query;
static struct policy_request request;

static void put(const struct schema_item *item)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    schema_item_encode(item, &out);
    assert_int_equal(state_apply_item(state, base_buf_slice(&out), NOW_S * 1000000LL), FR_OK);
    base_buf_release(&out);
}

static void click(uint32_t user, uint32_t item, uint32_t position)
{
    char user_id[16], item_id[16];
    struct state_event resolved;
    snprintf(user_id, sizeof user_id, "u%u", user);
    snprintf(item_id, sizeof item_id, "i%u", item);
    struct schema_event event = {.user = fr_slice_str(user_id),
                                 .item = fr_slice_str(item_id),
                                 .type = SCHEMA_CLICK,
                                 .time_us = NOW_S * 1000000LL};
    assert_int_equal(state_resolve(state, &event, &types, position, event.time_us, &resolved),
                     FR_OK);
    state_apply(state, &resolved);
}

/* i0 .. i49 have twenty events each, i50 .. i59 none: new. Category by i % 3, author by i % 5. */
static int world(void **context)
{
    static const char *const category[] = {"drama", "comedy", "news"};
    uint32_t position = 1;
    (void)context;
    schema_types_init(&types);
    if (state_new(NULL, NULL, &state) != FR_OK || base_arena_init(&arena, 8 << 20) != FR_OK)
        return -1;
    for (uint32_t i = 0; i < ITEMS; i++) {
        char id[16], author[16];
        struct schema_item item = {.category_count = 1};
        snprintf(id, sizeof id, "i%u", i);
        snprintf(author, sizeof author, "a%u", i % 5);
        item.id = fr_slice_str(id);
        item.title = item.id;
        item.author = fr_slice_str(author);
        item.categories[0] = fr_slice_str(category[i % 3]);
        item.present = SCHEMA_TITLE | SCHEMA_CATEGORIES | SCHEMA_AUTHOR;
        put(&item);
        index_of[i] = state_item_find(state, item.id);
    }
    for (uint32_t user = 0; user < 20; user++)
        for (uint32_t i = 0; i < 50; i++)
            click(user, i, position++);
    return 0;
}

static int fresh(void **context)
{
    (void)context;
    base_arena_clear(&arena);
    query = (struct model_query){.clock_s = NOW_S};
    request = (struct policy_request){.state = state,
                                      .query = &query,
                                      .now_s = NOW_S,
                                      .n = 10,
                                      .seed = 7,
                                      .request_id = 1};
    return 0;
}

static int end_of_world(void **context)
{
    (void)context;
    state_free(state);
    base_arena_release(&arena);
    return 0;
}

static struct policy_slate decide(uint32_t count)
{
    struct policy *policy;
    struct policy_slate slate;
    assert_int_equal(policy_new(&request, &arena, &policy), FR_OK);
    assert_int_equal(policy_decide(policy, index_of, count, &arena, &slate), FR_OK);
    return slate;
}

static bool has(const struct policy_slate *slate, uint32_t i)
{
    for (uint32_t p = 0; p < slate->count; p++)
        if (slate->place[p].item == index_of[i])
            return true;
    return false;
}

static void the_ranking_stands(void **context)
{
    (void)context;
    struct policy_slate slate = decide(50);
    assert_int_equal(slate.count, 10);
    for (uint32_t p = 0; p < 10; p++) {
        assert_int_equal(slate.place[p].item, index_of[p]);
        assert_int_equal(slate.place[p].move, POLICY_RANKED);
        assert_true(slate.place[p].propensity == 1.0f);
    }
    request.offset = 10;
    assert_int_equal(decide(50).place[0].item, index_of[10]);
    request.offset = 45;
    assert_int_equal(decide(50).count, 5);
    request.offset = 50;
    assert_int_equal(decide(50).count, 0);
    request.offset = 0;
    assert_int_equal(decide(0).count, 0);
}

static void excluded_and_seen_stay_away(void **context)
{
    (void)context;
    uint32_t exclude[] = {index_of[0], index_of[3]}, seen[] = {index_of[1], index_of[3]};
    request.exclude = exclude;
    request.exclude_count = 2;
    query.seen = seen;
    query.seen_count = 2;
    struct policy_slate slate = decide(50);
    assert_int_equal(slate.count, 10);
    assert_false(has(&slate, 0) || has(&slate, 1) || has(&slate, 3));
    assert_int_equal(slate.rejected[POLICY_EXCLUDED], 2);
    assert_int_equal(slate.rejected[POLICY_SEEN], 1); /* the first rule counts */
}

static void the_catalogue_has_a_say(void **context)
{
    (void)context;
    struct schema_item item = {.id = FR_SLICE("i4"), .present = SCHEMA_HIDDEN, .hidden = true};
    put(&item);
    item = (struct schema_item){.id = FR_SLICE("i5"),
                                .present = SCHEMA_EXPIRES,
                                .expires_us = (int64_t)NOW_S * 1000000};
    put(&item);
    item = (struct schema_item){.id = FR_SLICE("i6"),
                                .present = SCHEMA_PUBLISHED,
                                .published_us = (NOW_S + 1) * 1000000LL};
    put(&item);
    state_apply_item_delete(state, FR_SLICE("i7"));
    struct policy_slate slate = decide(50);
    assert_false(has(&slate, 4) || has(&slate, 5) || has(&slate, 6) || has(&slate, 7));
    assert_int_equal(slate.rejected[POLICY_HIDDEN], 1);
    assert_int_equal(slate.rejected[POLICY_EXPIRED], 1);
    assert_int_equal(slate.rejected[POLICY_UNPUBLISHED], 1);
    assert_int_equal(slate.rejected[POLICY_DELETED], 1);
    request.now_s = NOW_S + 1;
    slate = decide(50);
    assert_true(has(&slate, 6));
    request.now_s = NOW_S - 1;
    slate = decide(50);
    assert_true(has(&slate, 5));
}

static void categories_any_and_all(void **context)
{
    (void)context;
    uint32_t category[] = {state_category_find(state, FR_SLICE("comedy")),
                           state_category_find(state, FR_SLICE("news"))};
    assert_true(category[0] && category[1]);
    request.categories = category;
    request.category_count = 1;
    struct policy_slate slate = decide(50);
    for (uint32_t p = 0; p < slate.count; p++)
        assert_int_equal(slate.place[p].result % 3, 1);
    request.category_count = 2;
    assert_int_equal(decide(50).count, 10);
    request.categories_all = true;
    assert_int_equal(decide(50).count, 0); /* no item has both */
    request.categories_all = false;
    category[0] = category[1] = 0; /* names that no item has */
    assert_int_equal(decide(50).count, 0);
}

static void caps_spread_and_still_fill(void **context)
{
    (void)context;
    request.author_cap = 1;
    request.n = 5;
    struct policy_slate slate = decide(50);
    uint32_t author[5] = {0};
    for (uint32_t p = 0; p < slate.count; p++)
        author[slate.place[p].result % 5]++;
    assert_int_equal(slate.count, 5);
    for (uint32_t a = 0; a < 5; a++)
        assert_int_equal(author[a], 1);
    request.n = 10; /* five authors, ten places: what is over the cap fills them, and says so */
    slate = decide(50);
    assert_int_equal(slate.count, 10);
    for (uint32_t p = 5; p < 10; p++)
        assert_int_equal(slate.place[p].move, POLICY_CAPPED);
}

/* P3, by trial: over many request ids each item comes about as often as its propensity says. */
static void propensities_are_frequencies(void **context)
{
    enum { TRIALS = 20000 };
    (void)context;
    static double came[ITEMS], said[ITEMS];
    memset(came, 0, sizeof came);
    memset(said, 0, sizeof said);
    request.new_share = 0.13f; /* 1.3 places: one, sometimes two */
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        base_arena_clear(&arena);
        request.request_id = trial;
        struct policy_slate slate = decide(ITEMS);
        assert_int_equal(slate.count, 10);
        for (uint32_t p = 0; p < slate.count; p++) {
            uint32_t i = slate.place[p].result;
            assert_true(slate.place[p].move == POLICY_NEW ? i >= 50 && p >= 5 : i < 10 + 4);
            came[i] += 1.0 / TRIALS;
            said[i] = (double)slate.place[p].propensity;
        }
    }
    double whole = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        whole += said[i];
        if (came[i] - said[i] > 0.012 || said[i] - came[i] > 0.012)
            fail_msg("i%u came in %.4f of the answers, its propensity says %.4f", i, came[i],
                     said[i]);
    }
    assert_true(whole > 9.999 && whole < 10.001); /* ten places in all */
}

static void the_same_request_is_answered_alike(void **context)
{
    (void)context;
    request.new_share = 0.3f;
    request.request_id = 99;
    struct policy_slate one = decide(ITEMS), two = decide(ITEMS);
    assert_memory_equal(one.place, two.place, one.count * sizeof one.place[0]);
    assert_int_equal(one.new_placed, 3);
}

static void a_quota_that_is_met_adds_nothing(void **context)
{
    static uint32_t mixed[12];
    struct policy *policy;
    struct policy_slate slate;
    (void)context;
    for (uint32_t i = 0; i < 12; i++)
        mixed[i] = index_of[i < 2 ? 50 + i : i];
    request.new_share = 0.2f;
    assert_int_equal(policy_new(&request, &arena, &policy), FR_OK);
    assert_int_equal(policy_decide(policy, mixed, 12, &arena, &slate), FR_OK);
    assert_int_equal(slate.new_placed, 0);
    for (uint32_t p = 0; p < slate.count; p++)
        assert_int_equal(slate.place[p].move, POLICY_RANKED);
}

static void a_small_arena_is_told(void **context)
{
    static uint8_t memory[64] __attribute__((aligned(64)));
    struct base_arena small;
    struct policy *policy;
    (void)context;
    base_arena_init_with(&small, memory, sizeof memory);
    assert_int_equal(policy_new(&request, &small, &policy), FR_FULL);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_ranking_stands),
        TEST(excluded_and_seen_stay_away),
        TEST(caps_spread_and_still_fill),
        TEST(categories_any_and_all),
        TEST(propensities_are_frequencies),
        TEST(the_same_request_is_answered_alike),
        TEST(a_quota_that_is_met_adds_nothing),
        TEST(a_small_arena_is_told),
        TEST(the_catalogue_has_a_say),
    };
    return cmocka_run_group_tests(tests, world, end_of_world);
}
