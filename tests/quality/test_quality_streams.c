/* SPDX-License-Identifier: Apache-2.0
 *
 * The learning core on generated streams, prequential: a world of tastes (histories matter), a
 * newsroom (the last minutes matter), a swap of all tastes half-way (recovery). Thresholds lie a
 * little below what is reached today (written beside each); a broken learner is far below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "eval/eval.h"

enum { START_S = 1600000000, SEED = 20261124 };

struct stream {
    struct eval *eval;
    uint64_t drawn;
};

static uint32_t draw(struct stream *stream, uint32_t below)
{
    return (uint32_t)(base_random_u64(SEED, stream->drawn++, 0) % below);
}

static void click(struct stream *stream, uint32_t user, uint32_t item, uint32_t region,
                  uint32_t at_s)
{
    char u[16], i[16], r[16];
    snprintf(u, sizeof(u), "u%u", user);
    snprintf(i, sizeof(i), "i%u", item);
    snprintf(r, sizeof(r), "r%u", region);
    const struct schema_event event = {.user = fr_slice_str(u),
                                       .item = fr_slice_str(i),
                                       .time_us = (int64_t)(START_S + at_s) * 1000000,
                                       .type = SCHEMA_CLICK,
                                       .context = {.region = fr_slice_str(r)}};
    assert_int_equal(eval_event(stream->eval, &event), FR_OK);
}

static struct eval_result finish(struct stream *stream, const char *name)
{
    struct eval_result result;
    struct base_buf table;
    assert_int_equal(eval_finish(stream->eval, NULL, &result), FR_OK);
    base_buf_init(&table, 0);
    eval_result_table(&result, &table);
    printf("%s\n%.*s", name, (int)table.count, (const char *)table.bytes);
    base_buf_release(&table);
    eval_free(stream->eval);
    return result;
}

static void begin(struct stream *stream, const struct eval_options *options)
{
    *stream = (struct stream){0};
    assert_int_equal(eval_new(options, NULL, &stream->eval), FR_OK);
}

/* 300 users of 20 tastes, 40 items a taste, one click in five elsewhere. */
static void taste_click(struct stream *stream, uint32_t event, uint32_t shift)
{
    uint32_t user = draw(stream, 300), taste = (user + shift) % 20;
    uint32_t item = draw(stream, 5) ? taste * 40 + draw(stream, 40) : draw(stream, 800);
    click(stream, user, item, user % 3, event * 11);
}

/* Never worse than its best member by more than half a percent. `order`: by MRR@10, too. Where the pick
 * within a taste is a die, the order of the first ten says nothing: on "tastes" MRR@10 is .0698 against
 * .0706 of the co-counts, a third of its standard error. */
static void as_good_as_members(const struct eval_result *result, bool order)
{
    for (uint32_t e = 0; e < result->expert_count; e++) {
        assert_true(result->blend.hr[0] >= result->experts[e].metrics.hr[0] * 0.995);
        if (order)
            assert_true(result->blend.mrr[0] >= result->experts[e].metrics.mrr[0] * 0.995);
    }
}

static void test_tastes(void **unused)
{
    (void)unused;
    struct stream stream;
    begin(&stream, &(struct eval_options){.skip = 1500});
    for (uint32_t e = 0; e < 8000; e++)
        taste_click(&stream, e, 0);
    struct eval_result result = finish(&stream, "tastes");
    assert_true(result.blend.hr[0] > 0.21); /* .236 */
    assert_true(result.blend.hr[0] > 4 * result.popularity.hr[0]);
    as_good_as_members(&result, false);
}

static void test_swap(void **unused)
{
    (void)unused;
    struct stream stream;
    begin(&stream, &(struct eval_options){.skip = 1500});
    for (uint32_t e = 0; e < 16000; e++)
        taste_click(&stream, e, e < 8000 ? 0 : 7);
    struct eval_result result = finish(&stream, "swap of tastes");
    assert_true(result.blocks[result.block_count - 1].hr[0] > 0.25); /* .291 */
    as_good_as_members(&result, false);
}

/* Articles live for an hour; readers of a region prefer its own; each article has two successors. */
static void test_newsroom(void **unused)
{
    (void)unused;
    struct stream stream;
    begin(&stream, &(struct eval_options){.session_unit = true, .skip = 1500});
    for (uint32_t s = 0; s < 4000; s++) {
        uint32_t now = s * 6, hour = now / 3600, region = draw(&stream, 3);
        uint32_t item = hour * 60 + region * 20 + draw(&stream, 20);
        for (uint32_t c = 0; c < 3; c++) {
            click(&stream, 100000 + s, item, region, now + c);
            item = draw(&stream, 4) ? item - item % 20 + (item % 20 * 7 + 3 + draw(&stream, 2)) % 20
                                    : hour * 60 + draw(&stream, 60);
        }
    }
    struct eval_result result = finish(&stream, "newsroom");
    assert_true(result.blend.hr[0] > 0.69);  /* .719 */
    assert_true(result.blend.mrr[0] > 0.49); /* .518 */
    as_good_as_members(&result, true);
}

/* Every click is a throw of dice: who is right more often than the dice allow has seen the throw. */
static void test_dice(void **unused)
{
    (void)unused;
    struct stream stream;
    begin(&stream, &(struct eval_options){.repeats = true, .skip = 500});
    for (uint32_t e = 0; e < 4000; e++)
        click(&stream, draw(&stream, 200), draw(&stream, 400), 0, e * 60);
    struct eval_result result = finish(&stream, "dice");
    assert_true(result.scored > 3000);
    assert_in_range((int)(1000 * result.blend.hr[0]), 5, 50); /* 10 of 400: .025 */
}

/* A shop: each session walks among the 12 items of one of 60 shelves, nearby ones first, and one click in
 * four returns to an item that the session saw. Sessions are anonymous: each comes once. */
enum { SHELVES = 60, SHELF = 12, VISIT_MAX = 9 };

static uint32_t shop_session(struct stream *stream, uint32_t items[VISIT_MAX])
{
    uint32_t shelf = draw(stream, SHELVES), at = draw(stream, SHELF);
    uint32_t count = 3 + draw(stream, VISIT_MAX - 2);
    for (uint32_t c = 0; c < count; c++) {
        at = (at + 1 + draw(stream, 3)) % SHELF;
        items[c] = c > 1 && draw(stream, 4) == 0 ? items[draw(stream, c)] : shelf * SHELF + at;
    }
    return count;
}

static void shop_click(struct stream *stream, uint32_t session, uint32_t item, bool test)
{
    char u[16], i[16];
    snprintf(u, sizeof(u), "s%u", session);
    snprintf(i, sizeof(i), "i%u", item);
    const struct schema_event event = {.user = fr_slice_str(u),
                                       .session = fr_slice_str(u),
                                       .item = fr_slice_str(i),
                                       .time_us = (int64_t)(START_S + session * 60) * 1000000,
                                       .type = SCHEMA_CLICK};
    assert_int_equal(test ? eval_test_event(stream->eval, &event)
                          : eval_event(stream->eval, &event),
                     FR_OK);
}

/* Learns 3,000 sessions, predicts 800 others of which nothing is learnt. */
static struct eval_result shop(const char *experts)
{
    struct stream stream;
    const struct eval_options options = {.protocol = EVAL_SESSIONS,
                                         .session_unit = true,
                                         .repeats = true,
                                         .k = {5, 10},
                                         .k_count = 2,
                                         .experts = experts};
    begin(&stream, &options);
    for (uint32_t s = 0; s < 3800; s++) {
        uint32_t items[VISIT_MAX], count = shop_session(&stream, items);
        for (uint32_t c = 0; c < count; c++)
            shop_click(&stream, s, items[c], s >= 3000);
    }
    return finish(&stream, experts ? experts : "shop");
}

static void test_shop(void **unused)
{
    (void)unused;
    struct eval_result result = shop(NULL);
    struct eval_result counts = shop("popularity,cooc,transition,content,encoder,factors");
    assert_true(result.blend.hr[0] > 0.74);
    assert_true(result.blend.mrr[0] > 0.42);
    assert_true(result.blend.hr[0] > counts.blend.hr[0] * 1.01); /* the session experts earn it */
    as_good_as_members(&result, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tastes), cmocka_unit_test(test_swap), cmocka_unit_test(test_newsroom),
        cmocka_unit_test(test_shop),   cmocka_unit_test(test_dice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
