/* SPDX-License-Identifier: Apache-2.0
 *
 * Session neighbours against the formulas of the door computed over all sessions; rings stay
 * bounded and forget the oldest; the newest sessions of the newest item vote first.
 */
#include "base/base.h"
#include "base/hash.h"
#include "model/sknn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS 60
#define SESSIONS 120

static uint32_t session_length(uint32_t s)
{
    return 2 + (uint32_t)(base_random_u64(1, s, 0) % 6);
}

static uint32_t session_item(uint32_t s, uint32_t i)
{
    uint32_t centre = (uint32_t)(base_random_u64(1, s, 1) % 10);
    return 1 + (centre * 6 + (uint32_t)(base_random_u64(2, s, i) % 9)) % ITEMS;
}

static struct model_sknn *sknn_make(struct model_sknn_options *options)
{
    struct model_sknn *sknn = NULL;
    struct fr_error error;
    assert_int_equal(model_sknn_new(options, &error, &sknn), FR_OK);
    return sknn;
}

static void options_small(struct model_sknn_options *options)
{
    model_sknn_defaults(options);
    options->item_max = ITEMS + 1;
    options->user_max = SESSIONS + 1;
    options->session_max = SESSIONS;
    options->neighbours = SESSIONS;
    options->postings = 126;
    options->decay[MODEL_SKNN_STAN].back = 0.7f;
    options->age_half_s = 50;
}

static struct base_arena arena;

static int arena_make(void **context)
{
    (void)context;
    return base_arena_init(&arena, 1 << 20) == FR_OK ? 0 : -1;
}

static int arena_end(void **context)
{
    (void)context;
    base_arena_release(&arena);
    return 0;
}

/* Asks; gives the number of items voted for. */
static uint32_t ask(const struct model_sknn *sknn, const struct model_sknn_query *query,
                    struct model_sknn_votes *out_votes)
{
    base_arena_clear(&arena);
    *out_votes = (struct model_sknn_votes){0};
    return model_sknn_query(sknn, query, &arena, out_votes) ? out_votes->count : 0;
}

static void clicks(struct model_sknn *sknn)
{
    for (uint32_t s = 0; s < SESSIONS; s++)
        for (uint32_t i = 0; i < session_length(s); i++)
            model_sknn_click(sknn, s + 1, 7, session_item(s, i), s);
}

static bool has(uint32_t s, uint32_t item, uint32_t *out_last)
{
    bool found = false;
    for (uint32_t i = 0; i < session_length(s); i++)
        if (session_item(s, i) == item) {
            *out_last = i;
            found = true;
        }
    return found;
}

static double idf(uint32_t item)
{
    uint32_t with = 0, at;
    for (uint32_t s = 0; s < SESSIONS; s++)
        with += has(s, item, &at);
    return fmax(log2((SESSIONS + 1.0) / with), 0.1);
}

/* The door's formulas, literally. */
static void reference(const struct model_sknn_options *o, int kind, const uint32_t *items,
                      double out[ITEMS + 1])
{
    const struct model_sknn_decay *decay = &o->decay[kind];
    memset(out, 0, (ITEMS + 1) * sizeof(*out));
    for (uint32_t s = 0; s < SESSIONS; s++) {
        double similarity = 0;
        uint32_t match = 0, at = 0, length = session_length(s);
        bool any = false;
        for (uint32_t c = 0; c < 3; c++) {
            if (!has(s, items[c], &at))
                continue;
            match = any ? match : at;
            any = true;
            similarity += pow((double)decay->step, c) * pow(idf(items[c]), (double)decay->idf);
        }
        similarity *= pow(2, -(double)(SESSIONS - s) / (double)o->age_half_s) / sqrt(length);
        for (uint32_t i = 0; any && i < length; i++) {
            double apart = fabs((double)i - match);
            if (apart > 0)
                out[session_item(s, i)] += similarity * (i > match ? 1.0 : (double)decay->back) *
                                           pow((double)decay->distance, apart - 1);
        }
    }
}

static void equals_reference(void **context)
{
    (void)context;
    struct model_sknn_options options;
    options_small(&options);
    struct model_sknn *sknn = sknn_make(&options);
    clicks(sknn);
    for (uint32_t q = 0; q < 30; q++) {
        uint32_t items[3] = {1 + q, 1 + (q + 3) % ITEMS, 1 + (q + 7) % ITEMS}, positive = 0;
        double expected[MODEL_SKNN_KINDS][ITEMS + 1];
        struct model_sknn_query query = {.items = items, .count = 3, .clock_s = SESSIONS};
        struct model_sknn_votes votes;
        uint32_t n = ask(sknn, &query, &votes);
        for (int k = 0; k < MODEL_SKNN_KINDS; k++)
            reference(&options, k, items, expected[k]);
        for (uint32_t j = 1; j <= ITEMS; j++) {
            const struct model_sknn_vote *vote = model_sknn_votes_find(&votes, j);
            positive += expected[0][j] > 0;
            assert_int_equal(vote != NULL, expected[0][j] > 0);
            for (int k = 0; vote && k < MODEL_SKNN_KINDS; k++)
                assert_true(fabs((double)vote->score[k] - expected[k][j]) <= 1e-4 * expected[k][j]);
        }
        assert_int_equal(n, positive);
    }
    model_sknn_free(sknn);
}

static void own_session_is_left_out(void **context)
{
    (void)context;
    struct model_sknn_options options;
    options_small(&options);
    struct model_sknn *sknn = sknn_make(&options);
    model_sknn_click(sknn, 1, 7, 3, 0);
    model_sknn_click(sknn, 1, 7, 4, 0);
    uint32_t item = 3;
    struct model_sknn_query query = {.items = &item, .count = 1, .user = 1, .tag = 7};
    struct model_sknn_votes votes;
    assert_int_equal(ask(sknn, &query, &votes), 0);
    query.user = 2;
    assert_int_equal(ask(sknn, &query, &votes), 1);
    assert_non_null(model_sknn_votes_find(&votes, 4));
    model_sknn_free(sknn);
}

/* A session of 50 clicks: what came early still votes, across the seam of two rows too, and none of its rows
 * votes when it asks itself. */
static void long_sessions_go_on(void **context)
{
    (void)context;
    struct model_sknn_options options;
    options_small(&options);
    struct model_sknn *sknn = sknn_make(&options);
    for (uint32_t i = 1; i <= 50; i++)
        model_sknn_click(sknn, 1, 7, i, 0);
    for (uint32_t i = 1; i < 50; i++) {
        struct model_sknn_query query = {.items = &i, .count = 1, .user = 2, .tag = 7};
        struct model_sknn_votes votes;
        assert_true(ask(sknn, &query, &votes) >= 7);
        assert_non_null(model_sknn_votes_find(&votes, i + 1));
        query.user = 1;
        ask(sknn, &query, &votes);
        assert_int_equal(votes.count, 0);
    }
    model_sknn_free(sknn);
}

static void rings_are_bounded(void **context)
{
    (void)context;
    struct model_sknn_options options;
    options_small(&options);
    options.session_max = 10;
    options.postings = 62;
    struct model_sknn *sknn = sknn_make(&options);
    for (uint32_t s = 0; s < 1000; s++) { /* session s: item 1, then 2 + s % 50 */
        model_sknn_click(sknn, 1 + s % SESSIONS, s, 1, s);
        model_sknn_click(sknn, 1 + s % SESSIONS, s, 2 + s % 50, s);
    }
    uint32_t item = 1;
    struct model_sknn_query query = {.items = &item, .count = 1, .clock_s = 1000};
    struct model_sknn_votes votes;
    assert_int_equal(ask(sknn, &query, &votes), 10); /* the ten sessions that are left */
    for (uint32_t s = 990; s < 1000; s++)
        assert_non_null(model_sknn_votes_find(&votes, 2 + s % 50));
    model_sknn_click(sknn, 0, 1, 1, 0);         /* no user: not kept */
    model_sknn_click(sknn, 1, 1, ITEMS + 9, 0); /* beyond the table: not kept */
    model_sknn_free(sknn);
}

static void newest_sessions_vote(void **context)
{
    (void)context;
    struct model_sknn_options options;
    options_small(&options);
    options.neighbours = 3;
    struct model_sknn *sknn = sknn_make(&options);
    for (uint32_t s = 0; s < 50; s++) {
        model_sknn_click(sknn, 1 + s, 1, 1, s);
        model_sknn_click(sknn, 1 + s, 1, 2 + s, s);
    }
    uint32_t item = 1;
    struct model_sknn_query query = {.items = &item, .count = 1, .clock_s = 50};
    struct model_sknn_votes votes;
    assert_int_equal(ask(sknn, &query, &votes), 3);
    for (uint32_t s = 47; s < 50; s++)
        assert_non_null(model_sknn_votes_find(&votes, 2 + s));
    model_sknn_free(sknn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_reference),     cmocka_unit_test(own_session_is_left_out),
        cmocka_unit_test(long_sessions_go_on),  cmocka_unit_test(rings_are_bounded),
        cmocka_unit_test(newest_sessions_vote),
    };
    return cmocka_run_group_tests(tests, arena_make, arena_end);
}
