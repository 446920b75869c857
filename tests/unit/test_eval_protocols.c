/* SPDX-License-Identifier: Apache-2.0
 *
 * eval: what is scored, what is a miss, what is learnt, by protocol, on streams small enough to be
 * counted by hand; and that a stream with a pattern is predicted while a random one is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "eval/eval.h"
#include "state/state.h"

static void act(struct eval *eval, uint32_t user, uint32_t item, const char *session, uint32_t at_s,
                bool test)
{
    char u[16], i[16];
    snprintf(u, sizeof(u), "u%u", user);
    snprintf(i, sizeof(i), "i%u", item);
    const struct schema_event event = {.user = fr_slice_str(u),
                                       .item = fr_slice_str(i),
                                       .session = fr_slice_str(session),
                                       .time_us = (int64_t)(1600000000 + at_s) * 1000000,
                                       .type = SCHEMA_CLICK};
    if (test)
        assert_int_equal(eval_test_event(eval, &event), FR_OK);
    else
        assert_int_equal(eval_event(eval, &event), FR_OK);
}

static struct eval *begin(const struct eval_options *options)
{
    struct eval *eval;
    assert_int_equal(eval_new(options, NULL, &eval), FR_OK);
    return eval;
}

static struct eval_result end(struct eval *eval)
{
    struct eval_result result;
    assert_int_equal(eval_finish(eval, NULL, &result), FR_OK);
    eval_free(eval);
    return result;
}

static void test_what_is_scored(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.skip = 2});
    act(eval, 1, 1, NULL, 1, false); /* within the unscored head */
    act(eval, 1, 2, NULL, 2, false);
    act(eval, 2, 1, NULL, 3, false); /* scored, known */
    act(eval, 2, 1, NULL, 4, false); /* a repeat: neither */
    act(eval, 2, 3, NULL, 5, false); /* scored, never seen before: a miss */
    struct eval_result result = end(eval);
    assert_int_equal(result.events, 5);
    assert_int_equal(result.scored, 2);
    assert_int_equal(result.unknown_target, 1);
    assert_float_equal(result.blend.hr[0], 0.5, 1e-9); /* one of the two items there are */
}

static void test_session_unit(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.session_unit = true});
    act(eval, 1, 1, "a", 1, false); /* first of its session: learnt, not scored */
    act(eval, 1, 2, "a", 2, false); /* scored (unknown) */
    act(eval, 1, 1, "a", 3, false); /* in this session already: skipped */
    act(eval, 1, 1, "b", 4, false); /* first of another session */
    act(eval, 1, 2, "b", 5, false); /* scored: seen, but not in this session */
    struct eval_result result = end(eval);
    assert_int_equal(result.scored, 2);
    assert_int_equal(result.unknown_target, 1);
    assert_float_equal(result.blend.hr[0], 0.5, 1e-9);
}

static void test_repeats_allowed(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.repeats = true});
    for (uint32_t i = 0; i < 6; i++)
        act(eval, 1, i % 2, NULL, i, false);
    struct eval_result result = end(eval);
    assert_int_equal(result.scored, 6);
    assert_int_equal(result.unknown_target, 2);
}

/* Users of five kinds go through the ten items of their kind in order. */
static void chains(struct eval *eval, uint32_t users)
{
    for (uint32_t u = 0; u < users; u++)
        for (uint32_t i = 0; i < 10; i++)
            act(eval, u, u % 5 * 10 + i, NULL, u * 60 + i, false);
}

/* Visitors who come twice each, many times as many as there are rows; a judged stream goes on. */
static void visitors(struct eval *eval, uint32_t count)
{
    for (uint32_t u = 0; u < count; u++) {
        act(eval, 1000 + u, u % 20, NULL, u * 60, false);
        act(eval, 1000 + u, (u + 1) % 20, NULL, u * 60 + 1, false);
        act(eval, 1000 + u, (u + 2) % 20, NULL, u * 60 + 2, false);
    }
}

static void test_full_tables_make_room(void **unused)
{
    (void)unused;
    static const enum eval_protocol protocols[] = {EVAL_PREQUENTIAL, EVAL_LEAVE_ONE_OUT, EVAL_REFIT,
                                                   EVAL_SESSIONS};
    const struct state_options tables = {.user_count_max = 200, .item_count_max = 100};
    for (uint32_t p = 0; p < FR_COUNT_OF(protocols); p++) {
        struct eval *eval = begin(&(struct eval_options){.protocol = protocols[p],
                                                         .tables = &tables,
                                                         .experts = "popularity,cooc",
                                                         .blocks = 2});
        visitors(eval, 1000);
        if (protocols[p] == EVAL_SESSIONS)
            for (uint32_t i = 0; i < 4; i++)
                act(eval, 5000, i, "a", 70000, true);
        struct eval_result result = end(eval);
        assert_true(result.events >= 1000);
        assert_in_range(result.refused, 300,
                        1000); /* the first visits of those who came late alone */
        assert_true(result.scored > 0);
    }
}

static void test_leave_one_out(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.protocol = EVAL_LEAVE_ONE_OUT});
    chains(eval, 60);
    act(eval, 99, 1, NULL, 9000, false); /* two events: learnt, no test */
    act(eval, 99, 2, NULL, 9001, false);
    struct eval_result strict = end(eval);
    assert_int_equal(strict.scored, 60);
    assert_int_equal(strict.events, 60 * 8 + 2);
    assert_int_equal(strict.unknown_target, 60); /* no chain's last item was ever learnt */
    eval = begin(&(struct eval_options){.protocol = EVAL_LEAVE_ONE_OUT, .validation_target = true});
    chains(eval, 60);
    act(eval, 99, 9, NULL, 9000, false);
    act(eval, 99, 8, NULL, 9001, false); /* item 8 of the first kind is known through this user */
    struct eval_result tuning = end(eval);
    assert_int_equal(tuning.unknown_target, 48);
    eval = begin(&(struct eval_options){.protocol = EVAL_LEAVE_ONE_OUT, .learn_validation = true});
    chains(eval, 60);
    struct eval_result online = end(eval);
    assert_int_equal(online.events, 60 * 9);
}

/* A last item that the user has seen already cannot be answered where nothing comes back: it is no
 * test, neither a hit nor a miss. Where repeats are allowed it is one. */
static void test_leave_one_out_of_a_repeat(void **unused)
{
    (void)unused;
    struct eval_options options = {.protocol = EVAL_LEAVE_ONE_OUT};
    for (int allowed = 0; allowed < 2; allowed++) {
        options.repeats = allowed;
        struct eval *eval = begin(&options);
        chains(eval, 60);
        for (uint32_t i = 0; i < 4; i++)
            act(eval, 99, i, NULL, 9000 + i, false);
        act(eval, 99, 1, NULL, 9004, false); /* seen in the train part */
        for (uint32_t i = 0; i < 4; i++)
            act(eval, 98, i, NULL, 9000 + i, false);
        act(eval, 98, 3, NULL, 9004, false); /* seen as the item before */
        assert_int_equal(end(eval).scored, allowed ? 62 : 60);
    }
}

static void test_sessions(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.protocol = EVAL_SESSIONS});
    chains(eval, 60);
    for (uint32_t i = 0; i < 5; i++)
        act(eval, 1000, 20 + i, NULL, 90000 + i, true);
    for (uint32_t i = 0; i < 3; i++)
        act(eval, 1001, 30 + i, NULL, 90100 + i, true);
    struct eval_result result = end(eval);
    assert_int_equal(result.scored, 4 + 2);
    assert_int_equal(result.events, 600); /* nothing of the test part was learnt */
    assert_float_equal(result.blend.hr[0], 1.0, 1e-9);
}

static void test_split(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.protocol = EVAL_SPLIT});
    chains(eval, 60);
    for (uint32_t i = 0; i < 5; i++)
        act(eval, 200, 20 + i, NULL, 80000 + i, false);
    act(eval, 200, 25, NULL, 90000, true);
    act(eval, 200, 26, NULL, 90001, true);
    act(eval, 200, 777, NULL, 90002, true); /* unknown: can only be missed */
    act(eval, 200, 20, NULL, 90003, true);  /* in the train part: no target */
    struct eval_result result = end(eval);
    assert_int_equal(result.scored, 1);
    assert_float_equal((float)result.blend.hr[0], 2.0f / 3.0f, 1e-6f);
    assert_true(result.blend.ndcg[0] > 0.5 && result.blend.ndcg[0] < 1.0);
}

static void test_reports(void **unused)
{
    (void)unused;
    struct eval *eval = begin(&(struct eval_options){.k = {1, 5}, .k_count = 2, .blocks = 4});
    chains(eval, 100);
    struct eval_result result = end(eval);
    assert_int_equal(result.block_count, 4);
    assert_true(result.blocks[3].hr[1] > 0.8); /* the pattern is learnt */
    assert_true(result.blend.hr[1] >= result.blend.hr[0]);
    assert_true(result.blend.hr[1] > result.popularity.hr[1]);
    struct base_buf out;
    base_buf_init(&out, 0);
    eval_result_json(&result, &out);
    base_buf_put_u8(&out, 0);
    assert_non_null(strstr((const char *)out.bytes, "\"hr@5\":"));
    assert_non_null(strstr((const char *)out.bytes, "\"protocol\":\"prequential\""));
    base_buf_clear(&out);
    eval_result_table(&result, &out);
    base_buf_put_u8(&out, 0);
    assert_non_null(strstr((const char *)out.bytes, "blend"));
    base_buf_release(&out);
}

/* The batch line: what came up within a block is unknown in it, what came before is known. */
static void test_refit(void **unused)
{
    (void)unused;
    const struct eval_options options = {.protocol = EVAL_REFIT, .blocks = 2, .skip = 30};
    struct eval *eval = begin(&options);
    for (uint32_t i = 0; i < 30; i++)
        act(eval, i % 3, i / 3, NULL, i, false); /* three users through items 0 to 9 */
    for (uint32_t i = 0; i < 30; i++)
        act(eval, i % 3, i < 15 ? i / 3 : 100 + i / 3, NULL, 100 + i, false);
    struct eval_result result = end(eval);
    assert_int_equal(result.events, 30); /* learnt for the second block; none for the first */
    assert_int_equal(result.scored, 15); /* the first half of the second are repeats */
    assert_int_equal(result.unknown_target, 15); /* nothing of the block is learnt */
    eval = begin(&(struct eval_options){.protocol = EVAL_REFIT, .blocks = 2});
    chains(eval, 60);
    result = end(eval);
    assert_int_equal(result.scored, 600);
    assert_true(result.blocks[0].hr[0] < 1e-9); /* nothing learnt yet */
    assert_true(result.blocks[1].hr[0] > 0.85); /* a user's first is a guess, all else follows */
    /* what answers for the last block is what learning two thirds gives, bit for bit */
    eval = begin(&(struct eval_options){.protocol = EVAL_REFIT, .blocks = 3, .skip = 1000});
    chains(eval, 60);
    struct base_hash128 anew = end(eval).hash;
    eval = begin(&(struct eval_options){0});
    chains(eval, 40);
    result = end(eval);
    assert_true(anew.hi == result.hash.hi && anew.lo == result.hash.lo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_scored),  cmocka_unit_test(test_session_unit),
        cmocka_unit_test(test_repeats_allowed), cmocka_unit_test(test_full_tables_make_room),
        cmocka_unit_test(test_leave_one_out),   cmocka_unit_test(test_leave_one_out_of_a_repeat),
        cmocka_unit_test(test_sessions),        cmocka_unit_test(test_split),
        cmocka_unit_test(test_refit),           cmocka_unit_test(test_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
