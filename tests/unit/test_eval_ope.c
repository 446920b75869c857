/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/ope: a log small enough to be counted by hand, the refusal, and what is no log; that the
 * estimate of the logging policy itself is the log's own mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "eval/ope.h"

/* cmocka compares as float. */
static void assert_near(double a, double b, double tolerance)
{
    assert_true(fabs(a - b) <= tolerance);
}

/* Two actions, one position, logged with 3/4 and 1/4; the policy turns them around. */
static const double turned[] = {0.25, 0.75};
static const struct eval_ope_policy policy = {turned, 2, 1};
static const struct eval_ope_round four[] = {{0, 0, 1, 0.75},
                                             {0, 0, 0, 0.75},
                                             {0, 0, 0, 0.75},
                                             {1, 0, 1, 0.25}};

static double value_of(const struct eval_ope_result *result, const char *name)
{
    const struct eval_ope_estimate *estimate = eval_ope_find(result, name);
    assert_non_null(estimate);
    return estimate->value;
}

static void a_log_counted_by_hand(void **unused)
{
    (void)unused;
    struct eval_ope_result r;
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){four, 4}, &policy, 1, NULL, &r), FR_OK);
    /* weights 1/3, 1/3, 1/3, 3: their sum 4, their squares' 1/3 + 9 */
    assert_near(r.logged, 0.5, 1e-12);
    assert_near(r.ess, 16.0 / (1.0 / 3 + 9), 1e-9);
    assert_near(r.weight_max, 3, 1e-12);
    assert_false(r.refused);
    assert_near(value_of(&r, "IPS"), (1.0 / 3 + 3) / 4, 1e-12);
    assert_near(value_of(&r, "SNIPS"), (1.0 / 3 + 3) / 4, 1e-12); /* mean weight 1 */
    /* the model: (1 + 5) / 13 and (1 + 5) / 11 */
    double q0 = 6.0 / 13, q1 = 6.0 / 11, dm = 0.25 * q0 + 0.75 * q1;
    assert_near(value_of(&r, "DM"), dm, 1e-12);
    double corrections = ((1 - q0) - 2 * q0) / 3 + 3 * (1 - q1);
    assert_near(value_of(&r, "DR"), dm + corrections / 4, 1e-12);
    /* terms 1/3, 0, 0, 3 about their mean 5/6 */
    double variance = (0.25 + 2 * 25.0 / 36 + 169.0 / 36) / 3;
    assert_near(eval_ope_find(&r, "IPS")->high, 5.0 / 6 + 1.959964 * sqrt(variance / 4), 1e-9);
}

static void a_small_sample_is_refused(void **unused)
{
    (void)unused;
    struct eval_ope_result r;
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){four, 4}, &policy, 0, NULL, &r), FR_OK);
    assert_true(r.refused);
    assert_int_equal(r.estimate_count, 0);
    assert_null(eval_ope_find(&r, "IPS"));
}

static void the_logging_policy_earns_what_it_earned(void **unused)
{
    (void)unused;
    static struct eval_ope_round rounds[4000];
    static const double own[] = {0.1, 0.2, 0.3, 0.4};
    double mean = 0;
    for (uint32_t i = 0; i < FR_COUNT_OF(rounds); i++) {
        double draw = base_random_unit(3, i, 0);
        uint32_t action = draw < 0.1 ? 0 : draw < 0.3 ? 1 : draw < 0.6 ? 2 : 3;
        double reward = base_random_unit(3, i, 1) < 0.1 * (action + 1);
        rounds[i] = (struct eval_ope_round){action, 0, reward, own[action]};
        mean += reward / (double)FR_COUNT_OF(rounds);
    }
    struct eval_ope_result r;
    const struct eval_ope_policy same = {own, 4, 1};
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){rounds, FR_COUNT_OF(rounds)}, &same, 0,
                                  NULL, &r),
                     FR_OK);
    assert_near(r.ess, FR_COUNT_OF(rounds), 1e-6);
    assert_near(value_of(&r, "IPS"), mean, 1e-9);
    assert_near(value_of(&r, "SNIPS"), mean, 1e-9);
    /* and another policy's true value, sum of pi (action + 1) / 10, lies in its interval */
    static const double even[] = {0.25, 0.25, 0.25, 0.25};
    const struct eval_ope_policy uniform = {even, 4, 1};
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){rounds, FR_COUNT_OF(rounds)}, &uniform, 0,
                                  NULL, &r),
                     FR_OK);
    assert_true(eval_ope_find(&r, "DR")->low < 0.25 && 0.25 < eval_ope_find(&r, "DR")->high);
}

static void what_is_no_log(void **unused)
{
    (void)unused;
    struct eval_ope_result r;
    struct fr_error error;
    struct eval_ope_round bad = {0, 0, 1, 0};
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){four, 0}, &policy, 0, &error, &r),
                     FR_INVALID);
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){&bad, 1}, &policy, 0, &error, &r),
                     FR_INVALID);
    assert_non_null(strstr(error.message, "propensity"));
    bad = (struct eval_ope_round){2, 0, 1, 0.5};
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){&bad, 1}, &policy, 0, &error, &r),
                     FR_INVALID);
    const double half[] = {0.25, 0.25};
    const struct eval_ope_policy short_policy = {half, 2, 1};
    assert_int_equal(eval_ope_run(&(struct eval_ope_log){four, 4}, &short_policy, 0, &error, &r),
                     FR_INVALID);
    assert_non_null(strstr(error.message, "0.5000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_counted_by_hand),
        cmocka_unit_test(a_small_sample_is_refused),
        cmocka_unit_test(the_logging_policy_earns_what_it_earned),
        cmocka_unit_test(what_is_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
