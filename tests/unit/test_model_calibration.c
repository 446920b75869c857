/* SPDX-License-Identifier: Apache-2.0
 *
 * Calibration: what is off becomes right, what is right stays, order is kept, segments are apart, a
 * drift is followed. Ids: admission, expiry, the ceiling.
 */
#include "base/fmath.h"
#include "base/hash.h"
#include "model/calibration.h"
#include "model/ids.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct model_calibration *open_calibration(uint32_t segments, float half_life)
{
    struct model_calibration_options options;
    struct model_calibration *calibration;
    model_calibration_defaults(&options);
    options.segment_max = segments;
    options.half_life = half_life;
    assert_int_equal(model_calibration_new(&options, NULL, &calibration), FR_OK);
    return calibration;
}

/* A stream whose true log-odds are a * logit + b. */
static void feed(struct model_calibration *calibration, uint32_t segment, double a, double b,
                 uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        float logit = (float)(base_random_unit(1, i, 0) * 6 - 3);
        double truth = 1 / (1 + exp(-(a * (double)logit + b)));
        float label = base_random_unit(1, i, 1) < truth ? 1.0f : 0.0f;
        model_calibration_learn(calibration, segment, logit, label, 1.0f);
    }
}

static double worst(const struct model_calibration *calibration, uint32_t segment, double a,
                    double b)
{
    double far = 0;
    for (float logit = -2.5f; logit <= 2.5f; logit += 0.25f) {
        double p = (double)base_sigmoidf(model_calibration_apply(calibration, segment, logit));
        far = fmax(far, fabs(p - 1 / (1 + exp(-(a * (double)logit + b)))));
    }
    return far;
}

static void overconfidence_is_corrected(void **state)
{
    (void)state;
    struct model_calibration *calibration = open_calibration(2, 50000);
    assert_true(model_calibration_apply(calibration, 0, 1.25f) == 1.25f);
    feed(calibration, 0, 0.5, -0.4, 40000);
    assert_true(worst(calibration, 0, 1, 0) > 0.2); /* it was wrong before */
    assert_true(worst(calibration, 0, 0.5, -0.4) < 0.04);
    struct model_calibration_stats stats;
    model_calibration_stats_get(calibration, 0, &stats);
    assert_true(stats.ece > 0.05 && stats.pcoc > 1.1);
    /* the other segment knows nothing of it */
    assert_true(model_calibration_apply(calibration, 1, 1.25f) == 1.25f);
    float last = -100;
    for (float logit = -12; logit <= 12; logit += 0.01f) {
        float now = model_calibration_apply(calibration, 0, logit);
        assert_true(now >= last - 1e-5f);
        last = now;
    }
    model_calibration_free(calibration);
}

static void what_is_right_stays(void **state)
{
    (void)state;
    struct model_calibration *calibration = open_calibration(1, 50000);
    feed(calibration, 0, 1, 0, 40000);
    assert_true(worst(calibration, 0, 1, 0) < 0.03);
    model_calibration_free(calibration);
}

static void drift_is_followed(void **state)
{
    (void)state;
    struct model_calibration *calibration = open_calibration(1, 8000);
    feed(calibration, 0, 1, 1.5, 40000);
    feed(calibration, 0, 1, -1, 60000);
    assert_true(worst(calibration, 0, 1, -1) < 0.08);
    model_calibration_free(calibration);
}

static struct model_ids *open_ids(uint32_t id_max, uint32_t admit_after, uint32_t expire_s)
{
    struct model_ids_options options = {"test_ids", id_max, admit_after, expire_s};
    struct model_ids *ids;
    assert_int_equal(model_ids_new(&options, NULL, &ids), FR_OK);
    return ids;
}

static void keys_are_admitted_by_frequency(void **state)
{
    (void)state;
    struct model_ids *ids = open_ids(1000, 3, 100);
    bool fresh;
    assert_int_equal(model_ids_find(ids, 42), 0);
    assert_int_equal(model_ids_intern(ids, 42, 1, &fresh), 0);
    assert_int_equal(model_ids_intern(ids, 42, 2, &fresh), 0);
    assert_false(fresh);
    uint32_t id = model_ids_intern(ids, 42, 3, &fresh);
    assert_true(id != 0 && fresh);
    assert_int_equal(model_ids_intern(ids, 42, 4, &fresh), id);
    assert_false(fresh);
    assert_int_equal(model_ids_find(ids, 42), id);
    assert_int_equal(model_ids_find(ids, 43), 0);
    model_ids_free(ids);
}

static void a_flood_of_keys_stays_under_the_ceiling(void **state)
{
    (void)state;
    struct model_ids *ids = open_ids(512, 1, 1000);
    uint8_t owner[512] = {0};
    bool fresh;
    for (uint64_t key = 0; key < 20000; key++) {
        uint32_t id = model_ids_intern(ids, key, 10, &fresh);
        assert_true(id < 512);
        if (id != 0) {
            assert_true(fresh && owner[id] == 0); /* ID1 */
            owner[id] = 1;
        }
    }
    struct model_ids_stats stats;
    model_ids_stats_get(ids, &stats);
    assert_true(stats.used == 511 && stats.refused > 0 && stats.replaced == 0);
    uint32_t kept = 0;
    for (uint64_t key = 0; key < 511; key++)
        kept += model_ids_find(ids, key) != 0;
    assert_true(kept > 400); /* those known before the flood are still there */
    for (uint64_t key = 50000; key < 50200; key++) /* and long after, they make room */
        fr_ignore((enum fr_status)(model_ids_intern(ids, key, 5000, &fresh) == 0), "counted below");
    model_ids_stats_get(ids, &stats);
    assert_true(stats.replaced > 100 && stats.used == 511);
    model_ids_free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overconfidence_is_corrected),
        cmocka_unit_test(what_is_right_stays),
        cmocka_unit_test(drift_is_followed),
        cmocka_unit_test(keys_are_admitted_by_frequency),
        cmocka_unit_test(a_flood_of_keys_stays_under_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
