/* SPDX-License-Identifier: Apache-2.0
 *
 * Drift: intervals that hold at every look, changes that are found and quiet that is left alone,
 * figures of bins equal to those of the definition, divergences equal to theirs.
 */
#include "base/hash.h"
#include "model/drift.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool coin(uint64_t stream, uint64_t i, double p)
{
    return base_random_unit(7, stream, i) < p;
}

/* Of 300 streams that are looked at after every value, at most 1 - confidence may ever be outside
 * (asked for 95 %). An interval of the usual kind (1.96 standard errors) fails more than half. */
static void an_interval_holds_at_every_look(void **state)
{
    (void)state;
    enum { STREAMS = 300, LOOKS = 2000 };
    uint32_t outside = 0, outside_usual = 0;
    for (uint64_t s = 0; s < STREAMS; s++) {
        struct model_window window = {0};
        bool left = false, left_usual = false;
        for (uint64_t i = 0; i < LOOKS; i++) {
            struct model_interval interval;
            model_window_add(&window, coin(s, i, 0.2) ? 1.0 : 0.0, 0);
            model_window_interval(&window, 0.05, &interval);
            left |= interval.low > 0.2 || interval.high < 0.2;
            double error = 1.96 * sqrt(0.16 / (double)(i + 1));
            left_usual |= i > 10 && fabs(interval.mean - 0.2) > error;
        }
        outside += left;
        outside_usual += left_usual;
    }
    assert_true(outside <= STREAMS / 20);
    assert_true(outside_usual > STREAMS / 3);
}

static void an_interval_narrows(void **state)
{
    (void)state;
    struct model_window window = {0};
    struct model_interval interval;
    model_window_interval(&window, 0.05, &interval);
    assert_true(interval.count == 0 && interval.low == 0.0 && interval.high == 1.0);
    for (uint64_t i = 0; i < 10000; i++)
        model_window_add(&window, coin(1, i, 0.2) ? 1.0 : 0.0, 0);
    model_window_interval(&window, 0.05, &interval);
    assert_true(interval.high - interval.low < 0.045 && interval.high - interval.low > 0.02);
    assert_true(interval.low < 0.2 && interval.high > 0.2);
}

static void a_window_forgets(void **state)
{
    (void)state;
    struct model_window window = {0};
    struct model_interval interval;
    for (uint64_t i = 0; i < 1000; i++)
        model_window_add(&window, 0.0, 100);
    for (uint64_t i = 0; i < 200; i++) {
        model_window_add(&window, 1.0, 100);
        model_window_interval(&window, 0.05, &interval);
        assert_in_range(interval.count, 100, 200);
    }
    assert_true(interval.mean == 1.0);
}

static void a_fading_mean_fades(void **state)
{
    (void)state;
    struct model_fading fading = {0, 0};
    assert_true(model_fading_mean(&fading) == 0.0);
    for (int i = 0; i < 1000; i++)
        model_fading_add(&fading, 1.0, 0.99);
    for (int i = 0; i < 69; i++) /* half of what was is gone */
        model_fading_add(&fading, 0.0, 0.99);
    assert_true(fabs(model_fading_mean(&fading) - 0.5) < 0.01);
}

/* How many values after a change it was seen; 0: never. */
static uint32_t seen_after(double before, double after, uint64_t stream,
                           struct model_change *change)
{
    struct model_adwin *adwin = calloc(1, sizeof(*adwin));
    uint32_t seen = 0;
    for (uint64_t i = 0; i < 9000; i++) {
        bool found = model_adwin_add(adwin, coin(stream, i, i < 5000 ? before : after) ? 1.0 : 0.0,
                                     0.001, change);
        if (i < 5000)
            assert_false(found);
        if (found && !seen)
            seen = (uint32_t)i - 4999;
        if (found && seen == (uint32_t)i - 4999)
            break;
    }
    if (seen)
        assert_true(adwin->width < 5000);
    free(adwin);
    return seen;
}

static void a_change_is_found_soon(void **state)
{
    (void)state;
    for (uint64_t s = 0; s < 20; s++) {
        struct model_change change;
        uint32_t seen = seen_after(0.3, 0.1, 100 + s, &change);
        assert_in_range(seen, 20, 500);
        assert_true(change.before > change.after && change.excess >= 1.0);
        assert_true(change.count_before + change.count_after >= 5000);
    }
}

static void a_rise_is_told_from_a_fall(void **state)
{
    (void)state;
    struct model_change change;
    assert_true(seen_after(0.1, 0.3, 200, &change) > 0);
    assert_true(change.before < change.after);
}

/* 40 quiet streams of 20,000: at most one false alarm in all (measured: 0). */
static void quiet_is_left_alone(void **state)
{
    (void)state;
    uint32_t alarms = 0;
    struct model_adwin *adwin = malloc(sizeof(*adwin));
    for (uint64_t s = 0; s < 40; s++) {
        memset(adwin, 0, sizeof(*adwin));
        struct model_change change;
        for (uint64_t i = 0; i < 20000; i++)
            alarms += model_adwin_add(adwin, coin(300 + s, i, 0.2) ? 1.0 : 0.0, 0.001, &change);
    }
    assert_true(alarms <= 1);
    /* the histogram keeps what it has seen: means and width exactly */
    assert_true(adwin->width <= 20000 && adwin->width > 10000);
    assert_true(fabs(model_adwin_mean(adwin) - 0.2) < 0.02);
    free(adwin);
}

static void adwin_is_bounded(void **state)
{
    (void)state;
    struct model_adwin *adwin = calloc(1, sizeof(*adwin));
    struct model_change change;
    double sum = 0;
    for (uint64_t i = 0; i < 1000000; i++)
        assert_false(model_adwin_add(adwin, i % 2 ? 1.0 : 0.0, 1e-6, &change));
    uint64_t width = 0;
    for (uint32_t r = 0; r < MODEL_ADWIN_ROWS; r++)
        for (uint32_t b = 0; b < adwin->used[r]; b++) {
            width += (uint64_t)1 << r;
            sum += adwin->bucket[r][b].total;
        }
    assert_int_equal(width, adwin->width);
    assert_true(sum == adwin->total);
    assert_true(width > 150000 && width < 400000);
    assert_true(fabs(adwin->variance / (double)adwin->width - 0.25) < 0.001);
    free(adwin);
}

/* Against the definitions, over the same bins. */
static void bins_give_what_is_defined(void **state)
{
    (void)state;
    enum { N = 4000 };
    static double p[N];
    static bool label[N];
    struct model_bins bins = {0};
    struct model_bins_figures figures;
    double loss = 0, positives = 0, predicted = 0, pairs = 0, all = 0;
    for (uint64_t i = 0; i < N; i++) {
        p[i] = 1 / (1 + exp(-6 * (base_random_unit(9, i, 0) - 0.5)));
        label[i] = base_random_unit(9, i, 1) < p[i];
        model_bins_add(&bins, (float)p[i], label[i], 0);
        loss -= log(label[i] ? p[i] : 1 - p[i]);
        positives += label[i];
        predicted += p[i];
    }
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; label[i] && j < N; j++)
            if (!label[j]) {
                pairs += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0;
                all += 1;
            }
    model_bins_figures_get(&bins, &figures);
    assert_true(figures.weight == N);
    assert_true(fabs(figures.logloss - loss / N) < 1e-4);
    assert_true(fabs(figures.pcoc - predicted / positives) < 1e-4);
    assert_true(fabs(figures.auc - pairs / all) < 0.01); /* binned */
    assert_true(figures.ece < 0.05);                     /* it was calibrated */
}

static void what_is_off_is_seen_in_bins(void **state)
{
    (void)state;
    struct model_bins bins = {0};
    struct model_bins_figures figures;
    for (uint64_t i = 0; i < 20000; i++)
        model_bins_add(&bins, 0.4f, coin(11, i, 0.2), 1000);
    model_bins_figures_get(&bins, &figures);
    assert_true(figures.weight < 2001); /* halved every 1,000 */
    assert_true(fabs(figures.ece - 0.2) < 0.03 && fabs(figures.pcoc - 2.0) < 0.3);
    assert_true(figures.auc == 0.5);
}

static void a_shift_of_a_distribution_is_measured(void **state)
{
    (void)state;
    struct model_histogram histogram = {0};
    struct model_divergence divergence;
    for (uint64_t i = 0; i < 2000; i++)
        model_histogram_add(&histogram, model_histogram_bin((float)base_random_unit(13, i, 0) * 4));
    model_histogram_compare(&histogram, &divergence);
    assert_true(divergence.psi == 0.0 && divergence.kl == 0.0); /* no reference yet */
    model_histogram_turn(&histogram, true);
    for (uint64_t i = 0; i < 2000; i++)
        model_histogram_add(&histogram, model_histogram_bin((float)base_random_unit(13, i, 1) * 4));
    model_histogram_compare(&histogram, &divergence);
    assert_true(divergence.psi >= 0.0 && divergence.psi < 0.03 && divergence.kl < 0.02);
    model_histogram_turn(&histogram, false);
    for (uint64_t i = 0; i < 2000; i++)
        model_histogram_add(&histogram,
                            model_histogram_bin((float)base_random_unit(13, i, 2) * 4 + 1));
    model_histogram_compare(&histogram, &divergence);
    assert_true(divergence.psi > 0.2 && divergence.kl > 0.1);
}

static void bins_of_values_cover_all(void **state)
{
    (void)state;
    assert_int_equal(model_histogram_bin(0.0f), 0);
    assert_int_equal(model_histogram_bin(-1.0f), 0);
    assert_int_equal(model_histogram_bin(__builtin_nanf("")), 0);
    assert_int_equal(model_histogram_bin(0.1f), 1);
    assert_int_equal(model_histogram_bin(0.5f), 2);
    assert_int_equal(model_histogram_bin(1e30f), MODEL_HISTOGRAM_BINS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_holds_at_every_look),
        cmocka_unit_test(an_interval_narrows),
        cmocka_unit_test(a_window_forgets),
        cmocka_unit_test(a_fading_mean_fades),
        cmocka_unit_test(a_change_is_found_soon),
        cmocka_unit_test(a_rise_is_told_from_a_fall),
        cmocka_unit_test(quiet_is_left_alone),
        cmocka_unit_test(adwin_is_bounded),
        cmocka_unit_test(bins_give_what_is_defined),
        cmocka_unit_test(what_is_off_is_seen_in_bins),
        cmocka_unit_test(a_shift_of_a_distribution_is_measured),
        cmocka_unit_test(bins_of_values_cover_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
