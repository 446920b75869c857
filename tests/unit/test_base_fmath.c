/* SPDX-License-Identifier: Apache-2.0
 *
 * base_fmath: the error bounds of the door, measured against libm in double precision; the decay is
 * monotone, exact at whole half-lives and close between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "base/hash.h"

enum { DRAWS = 200000 };

static double draw(uint64_t i, double low, double high)
{
    return low + (high - low) * base_random_unit(3, i, 0);
}

static void test_exp2f_error(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        float x = (float)draw(i, -126, 126);
        double exact = exp2((double)x);
        worst = fmax(worst, fabs((double)base_exp2f(x) - exact) / exact);
    }
    assert_true(worst <= 3e-7);
    for (int e = -126; e <= 126; e++)
        assert_true(base_exp2f((float)e) == ldexpf(1, e));
    assert_true(base_exp2f(-126.01f) == 0);
    assert_true(base_exp2f(1000) == ldexpf(1, 126));
    assert_true(base_exp2f(NAN) == 0);
    assert_true(base_exp2f(-INFINITY) == 0 && base_exp2f(INFINITY) == ldexpf(1, 126));
}

static void test_expf_error(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        float x = (float)draw(i, -80, 80);
        double exact = exp((double)x);
        worst = fmax(worst, fabs((double)base_expf(x) - exact) / exact);
    }
    assert_true(worst <= 5e-6); /* the rounded argument alone costs |x| * 6e-8 */
    assert_true(base_expf(0) == 1);
}

static void test_log2f_error(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint32_t bits = 0x00800000u + (uint32_t)(base_random_u64(4, i, 0) % 0x7f000000u);
        float x;
        memcpy(&x, &bits, sizeof(x));
        double exact = log2((double)x);
        worst = fmax(worst, fabs((double)base_log2f(x) - exact) / fmax(1, fabs(exact)));
    }
    assert_true(worst <= 3e-7);
    for (int e = -126; e <= 127; e++)
        assert_true(base_log2f(ldexpf(1, e)) == (float)e);
    assert_true(base_log2f(0) == -126 && base_log2f(-1) == -126 && base_log2f(NAN) == -126);
    assert_true(fabs((double)base_logf(2.718281828f) - 1) < 1e-6);
}

static void test_sigmoidf_saturates(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        float x = (float)draw(i, -30, 30);
        double exact = 1 / (1 + exp(-(double)x));
        assert_true(fabs((double)base_sigmoidf(x) - exact) <= 1e-6);
    }
    assert_true(base_sigmoidf(0) == 0.5f);
    assert_true(base_sigmoidf(1000) == 1 && base_sigmoidf(-1000) < 1e-37f);
}

static void test_decay_halves(void **state)
{
    (void)state;
    for (uint64_t half_life = 1; half_life < 1000000000000u; half_life = half_life * 7 + 1) {
        for (uint64_t n = 0; n < 32; n++)
            assert_int_equal(base_decay_u32(UINT32_MAX, n * half_life, half_life), UINT32_MAX >> n);
        assert_int_equal(base_decay_u32(UINT32_MAX, 64 * half_life, half_life), 0);
    }
    assert_int_equal(base_decay_u32(0, 5, 10), 0);
    assert_int_equal(base_decay_u32(1000, UINT64_MAX, 1), 0);
    assert_int_equal(base_decay_u32(1000, 1, UINT64_MAX), 1000);
    assert_int_equal(base_decay_u32(1000, UINT64_MAX - 1, UINT64_MAX), 505); /* to 1/64 */
}

static void test_decay_is_monotone_and_close(void **state)
{
    (void)state;
    static const uint32_t values[] = {1, 2, 100, 65536, 1u << 24, UINT32_MAX};
    for (size_t v = 0; v < FR_COUNT_OF(values); v++) {
        uint32_t before = UINT32_MAX;
        for (uint64_t age = 0; age < 40000; age++) {
            uint32_t decayed = base_decay_u32(values[v], age, 1000);
            double exact = (double)values[v] * exp2(-(double)age / 1000);
            assert_true(decayed <= before);
            /* the age is cut to 1/64 of a half-life: at most 1.1 % too much, or one rounded away */
            assert_true((double)decayed <= exact * 1.0109 + 1e-6);
            assert_true((double)decayed >= exact - 1 - exact * 1e-6);
            before = decayed;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp2f_error),  cmocka_unit_test(test_expf_error),
        cmocka_unit_test(test_log2f_error),  cmocka_unit_test(test_sigmoidf_saturates),
        cmocka_unit_test(test_decay_halves), cmocka_unit_test(test_decay_is_monotone_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
