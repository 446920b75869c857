/* SPDX-License-Identifier: Apache-2.0
 *
 * serve: what a counterfactual says comes true: without those visits the item it names is first,
 * and with one visit fewer left out the first item is still first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/lib/serving.h"

enum { VISITS = 6, ITEMS_TEXT = 512, QUESTIONS = 30 };

static struct serving serving;

static int start(void **state)
{
    struct fr_error error = {0};
    (void)state;
    return serving_start(&serving, 3000, -1, &error) == FR_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    serving_stop(&serving);
    return 0;
}

static const char *ask(const char *target)
{
    const char *answer = serving_ask(&serving, HTTP_GET, target, NULL);
    assert_int_equal(serving.request.status, 200);
    return answer;
}

/* The text after `key` in the answer, up to its closing quote. */
static void text_after(const char *answer, const char *key, char out[32])
{
    const char *at = strstr(answer, key);
    assert_non_null(at);
    at += strlen(key);
    size_t bytes = strcspn(at, "\"");
    assert_true(bytes < 32);
    memcpy(out, at, bytes);
    out[bytes] = 0;
}

/* Items of "without", in their order. */
static uint32_t read_without(const char *answer, char out[VISITS][32])
{
    const char *at = strstr(answer, "\"without\":[");
    uint32_t count = 0;
    assert_non_null(at);
    at += strlen("\"without\":[");
    while (*at == '"' || *at == ',') {
        at += *at == ',';
        at++;
        size_t bytes = strcspn(at, "\"");
        assert_true(bytes < 32 && count < VISITS);
        memcpy(out[count], at, bytes);
        out[count++][bytes] = 0;
        at += bytes + 1;
    }
    return count;
}

/* The first item when the first `count` of `without` are left out of the visits (and stay excluded,
 * since a seen item does not come back). */
static void first_without(char visit[VISITS][32], char without[VISITS][32], uint32_t count,
                          char out[32])
{
    char target[ITEMS_TEXT] = "/v1/recommend?n=10";
    size_t used = strlen(target);
    for (uint32_t v = 0; v < VISITS; v++) {
        bool left_out = false;
        for (uint32_t w = 0; w < count; w++)
            left_out |= strcmp(visit[v], without[w]) == 0;
        used += (size_t)snprintf(target + used, sizeof target - used, "&%s=%s",
                                 left_out ? "exclude" : "items", visit[v]);
    }
    text_after(ask(target), "\"items\":[{\"id\":\"", out);
}

static void it_comes_true(void **state)
{
    uint32_t found = 0;
    (void)state;
    for (uint32_t q = 0; q < QUESTIONS; q++) {
        char target[ITEMS_TEXT] = "/v1/recommend?n=10&counterfactual=true";
        char visit[VISITS][32], without[VISITS][32], first[32], item[32], instead[32], got[32];
        size_t used = strlen(target);
        for (uint32_t v = 0; v < VISITS; v++) {
            snprintf(visit[v], sizeof visit[v], "i%u", (q * 7 + v * 17) % FOLDING_ITEMS);
            used += (size_t)snprintf(target + used, sizeof target - used, "&items=%s", visit[v]);
        }
        const char *answer = ask(target);
        text_after(answer, "\"items\":[{\"id\":\"", first);
        text_after(answer, "\"counterfactual\":{\"item\":\"", item);
        assert_string_equal(first, item);
        assert_non_null(strstr(answer, "\"verified\":true"));
        uint32_t count = read_without(answer, without);
        if (count == 0) {
            assert_non_null(strstr(answer, "\"outcome\":\"stays\""));
            continue;
        }
        found++;
        text_after(answer, "\"instead\":\"", instead);
        first_without(visit, without, count, got);
        assert_string_equal(got, instead);
        assert_string_not_equal(got, first);
        first_without(visit, without, count - 1, got);
        assert_string_equal(got, first);
    }
    assert_true(found > QUESTIONS / 4);
}

static void without_visits_there_is_nothing_to_leave_out(void **state)
{
    (void)state;
    const char *answer = ask("/v1/recommend?counterfactual=true");
    assert_non_null(strstr(answer, "\"outcome\":\"no_history\",\"verified\":false,\"without\":[]"));
    assert_null(strstr(ask("/v1/recommend?user=u1"), "counterfactual"));
    assert_null(strstr(ask("/v1/recommend?user=u1&offset=5&counterfactual=true"), "\"outcome\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_true),
        cmocka_unit_test(without_visits_there_is_nothing_to_leave_out),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
