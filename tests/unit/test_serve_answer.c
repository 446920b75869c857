/* SPDX-License-Identifier: Apache-2.0
 *
 * serve: whole requests without a socket, against a small engine: a warm one allocates nothing, a
 * request that runs out of memory degrades and does not fail, and two answers to the same question
 * are the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/allocations.h"
#include "tests/lib/serving.h"

/* ---- the engine -------------------------------------------------------------------------- */

static struct serving serving;

static int start(void **state)
{
    struct fr_error error = {0};
    (void)state;
    return serving_start(&serving, 2000, 0, &error) == FR_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    serving_stop(&serving);
    return 0;
}

static void a_warm_request_allocates_nothing(void **state)
{
    static const struct {
        enum http_method method;
        const char *target, *body;
    } row[] = {
        {HTTP_GET, "/v1/recommend?user=u1&n=20", NULL},
        {HTTP_GET, "/v1/recommend?user=u2&n=20&explain=full&categories=c1", NULL},
        {HTTP_GET, "/v1/recommend?user=u4&counterfactual=true", NULL},
        {HTTP_POST, "/v1/recommend", "{\"user\":\"u3\",\"exclude\":[\"i1\",\"i\\u0032\"]}"},
        {HTTP_GET, "/v1/trending?n=20", NULL},
        {HTTP_GET, "/v1/items/i1/similar", NULL},
        {HTTP_GET, "/v1/users/u1/history", NULL},
        {HTTP_GET, "/v1/items/i1", NULL},
        {HTTP_GET, "/v1/recommend?nonsense=1", NULL},
    };
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        for (int warm = 0; warm < 20; warm++)
            (void)serving_ask(&serving, row[i].method, row[i].target, row[i].body);
        count_from_here(true);
        for (int again = 0; again < 20; again++)
            (void)serving_ask(&serving, row[i].method, row[i].target, row[i].body);
        count_from_here(false);
        if (allocations)
            fail_msg("%s: %u allocations in 20 warm requests", row[i].target, allocations);
    }
}

static void the_counter_counts(void **state)
{
    (void)state;
    assert_true(allocations_counted());
}

/* Less and less memory: the answer gets poorer, says why, and is never an error of the server. */
static void little_memory_degrades(void **state)
{
    struct base_arena *arena = &serving.serve->thread[0].arena;
    size_t all = arena->bytes_max;
    uint32_t degraded = 0, whole = 0;
    (void)state;
    for (size_t bytes = all; bytes > 20000; bytes = bytes * 4 / 5) {
        arena->bytes_max = bytes;
        const char *text = serving_ask(&serving, HTTP_GET, "/v1/recommend?user=u1&n=10", NULL);
        assert_int_equal(serving.request.status, 200);
        if (strstr(text, "\"degraded_reason\":null"))
            whole++;
        else
            degraded++;
        assert_non_null(strstr(text, "\"items\":["));
    }
    arena->bytes_max = all;
    assert_true(whole > 0 && degraded > 0);
    assert_non_null(strstr(serving_ask(&serving, HTTP_GET, "/v1/recommend?user=u1", NULL),
                           "\"degraded_reason\":null"));
}

static void without_ranking_the_popular_list_answers(void **state)
{
    struct base_arena *arena = &serving.serve->thread[0].arena;
    size_t all = arena->bytes_max;
    bool seen = false;
    (void)state;
    for (size_t bytes = all; bytes > 20000 && !seen; bytes = bytes * 9 / 10) {
        arena->bytes_max = bytes;
        const char *text = serving_ask(&serving, HTTP_GET, "/v1/recommend?user=u1&n=10", NULL);
        seen = strstr(text, "ranking left out") && strstr(text, "\"kind\":\"popular\"") &&
               strstr(text, "\"share\":1.000000");
    }
    arena->bytes_max = all;
    assert_true(seen);
}

static void ids_sort_by_time_and_come_back(void **state)
{
    char before[SERVE_ID_BYTES] = "", now[SERVE_ID_BYTES];
    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t id = serve__id_next(&serving.serve->thread[0]), back;
        serve__id_print(id, now);
        assert_true(strcmp(before, now) < 0);
        assert_true(serve__id_parse(fr_slice_str(now), &back) && back == id);
        memcpy(before, now, sizeof before);
    }
    uint64_t id;
    assert_false(serve__id_parse(FR_SLICE("r"), &id));
    assert_false(serve__id_parse(FR_SLICE("rzzzzzzzzzzzzz"), &id)); /* more than 64 bits */
    assert_false(serve__id_parse(FR_SLICE("rlllllllllllll"), &id));
}

/* More answers than the ring holds: the newest are there and whole, the oldest are gone. */
static void the_ring_keeps_the_newest(void **state)
{
    static struct serve_decision decision, back;
    struct serve_decisions *ring;
    uint64_t lost = 0, kept = 0;
    (void)state;
    assert_int_equal(serve_decisions_new(1, &ring), FR_OK);
    for (uint64_t id = 1; id <= 9000; id++) {
        decision.id = id;
        decision.position = id * 3;
        decision.place_count = (uint32_t)(id * 7 % 101);
        decision.feature_count = (uint32_t)(id * 5 % 60);
        for (uint32_t i = 0; i < decision.place_count; i++) {
            decision.place[i].item = (uint32_t)id + i;
            if (decision.feature_count)
                decision.part[i][decision.feature_count - 1] = (float)(id % 1000 + i);
        }
        serve_decisions_put(ring, 0, &decision);
    }
    for (uint64_t id = 9000; id > 0; id--) {
        if (serve_decisions_get(ring, 0, id, &back) != FR_OK) {
            lost++;
            continue;
        }
        assert_int_equal(lost, 0); /* what is older than a lost one is lost */
        kept++;
        assert_int_equal(back.position, id * 3);
        assert_int_equal(back.place_count, id * 7 % 101);
        for (uint32_t i = 0; i < back.place_count; i++) {
            assert_int_equal(back.place[i].item, id + i);
            if (back.feature_count)
                assert_true(back.part[i][back.feature_count - 1] == (float)(id % 1000 + i));
        }
    }
    assert_true(kept > 500 && lost > 0);
    assert_int_equal(serve_decisions_get(ring, 1, 9000, &back), FR_NOT_FOUND);
    serve_decisions_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_counts),
        cmocka_unit_test(a_warm_request_allocates_nothing),
        cmocka_unit_test(little_memory_degrades),
        cmocka_unit_test(without_ranking_the_popular_list_answers),
        cmocka_unit_test(ids_sort_by_time_and_come_back),
        cmocka_unit_test(the_ring_keeps_the_newest),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
