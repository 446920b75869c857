/* SPDX-License-Identifier: Apache-2.0
 *
 * Shedding in virtual time: one server, a queue, requests that cost 250 us to answer and 20 us to refuse,
 * arriving evenly or in bursts. What share is refused, of whom, and how soon all is well again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/serve_priv.h"

enum { ANSWER_NS = 250000, REFUSE_NS = 20000, SECOND_NS = 1000000000 };

struct line {
    struct serve_shed shed;
    int64_t now_ns; /* the server is free from here on */
    int64_t worst_wait_ns;
    uint32_t taken[3], refused[3]; /* read, write, ingest */
};

static const uint32_t scopes[3] = {SERVE_READ, SERVE_WRITE, SERVE_INGEST};

static void reset(struct line *line)
{
    for (int i = 0; i < 3; i++)
        line->taken[i] = line->refused[i] = 0;
    line->worst_wait_ns = 0;
}

static void arrive(struct line *line, int64_t at_ns, int class)
{
    if (line->now_ns < at_ns)
        line->now_ns = at_ns;
    int64_t wait_ns = line->now_ns - at_ns;
    struct serve_wait wait = {at_ns, 0, wait_ns};
    if (serve__shed(&line->shed, scopes[class], &wait)) { /* told as it comes */
        line->refused[class]++;
        line->now_ns += REFUSE_NS;
        return;
    }
    line->taken[class]++;
    line->now_ns += ANSWER_NS;
    if (wait_ns > line->worst_wait_ns)
        line->worst_wait_ns = wait_ns;
}

/* So many a second, evenly, from one time to another; every `mixed`-th is bulk, the next after it a write. */
static void load(struct line *line, int64_t from_ns, int64_t to_ns, int64_t rate, int mixed)
{
    int n = 0;
    for (int64_t at_ns = from_ns; at_ns < to_ns; at_ns += SECOND_NS / rate, n++)
        arrive(line, at_ns, mixed && n % mixed == 0 ? 2 : mixed && n % mixed == 1 ? 1 : 0);
}

static void below_capacity_nothing_is_refused(void **state)
{
    (void)state;
    struct line line = {0};
    load(&line, SECOND_NS, 6 * (int64_t)SECOND_NS, 3900, 0);
    assert_int_equal(line.refused[0], 0);
}

static void bursts_that_drain_are_not_refused(void **state)
{
    (void)state;
    struct line line = {0};
    for (int64_t at_ns = SECOND_NS; at_ns < 6 * (int64_t)SECOND_NS; at_ns += 80000000)
        for (int i = 0; i < 76; i++) /* 19 ms of work each 80 ms */
            arrive(&line, at_ns, 0);
    assert_int_equal(line.refused[0], 0);
}

/* What a window's least wait tells only after two of them. */
static void an_overload_is_met_at_once(void **state)
{
    (void)state;
    struct line line = {0};
    load(&line, SECOND_NS, SECOND_NS + SECOND_NS / 2, 8000, 0);
    assert_in_range(line.worst_wait_ns, 19000000, 21000000);
    reset(&line);
    load(&line, SECOND_NS + SECOND_NS / 2, 2 * (int64_t)SECOND_NS, 8000, 0);
    assert_true(line.worst_wait_ns <= 2500000);
}

static void twice_the_load_keeps_goodput_and_waits(void **state)
{
    (void)state;
    struct line line = {0};
    load(&line, SECOND_NS, 3 * (int64_t)SECOND_NS, 8000, 0);
    reset(&line);
    load(&line, 3 * (int64_t)SECOND_NS, 13 * (int64_t)SECOND_NS, 8000, 0);
    assert_true(line.taken[0] > 10 * 4000 * 9 / 10);
    assert_true(line.worst_wait_ns <= 2500000);
    load(&line, 13 * (int64_t)SECOND_NS, 14 * (int64_t)SECOND_NS, 1000, 0);
    reset(&line);
    load(&line, 14 * (int64_t)SECOND_NS, 15 * (int64_t)SECOND_NS, 1000, 0);
    assert_int_equal(line.refused[0], 0); /* a second later all is well */
}

static void bulk_goes_before_recommendations(void **state)
{
    (void)state;
    struct line line = {0};
    load(&line, SECOND_NS, 3 * (int64_t)SECOND_NS, 5000, 3);
    reset(&line);
    load(&line, 3 * (int64_t)SECOND_NS, 13 * (int64_t)SECOND_NS, 5000, 3);
    double share[3];
    for (int i = 0; i < 3; i++)
        share[i] = (double)line.refused[i] / (line.refused[i] + line.taken[i]);
    assert_true(share[2] > share[1] + .05);
    assert_true(share[1] > share[0] + .02);
}

static void what_needs_no_scope_is_always_answered(void **state)
{
    (void)state;
    struct line line = {0};
    load(&line, SECOND_NS, 3 * (int64_t)SECOND_NS, 16000, 0);
    assert_true(line.refused[0] > 0);
    struct serve_wait wait = {line.now_ns, SECOND_NS, SECOND_NS};
    assert_false(serve__shed(&line.shed, 0, &wait));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(below_capacity_nothing_is_refused),
        cmocka_unit_test(bursts_that_drain_are_not_refused),
        cmocka_unit_test(an_overload_is_met_at_once),
        cmocka_unit_test(twice_the_load_keeps_goodput_and_waits),
        cmocka_unit_test(bulk_goes_before_recommendations),
        cmocka_unit_test(what_needs_no_scope_is_always_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
