/* SPDX-License-Identifier: Apache-2.0
 *
 * obs metrics: counters survive their threads, quantiles keep their error bound, the Prometheus
 * text is well-formed (promtool reads the same text in the scenario tests).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "obs/obs.h"
#include "obs/obs_priv.h"

enum { THREAD_COUNT = 40, ADDS = 5000 };

static void *count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < ADDS; i++) {
        obs_counter_add(OBS_FOLD_RECORDS, 1);
        obs_histogram_record(OBS_JOURNAL_BATCH, 7);
    }
    return NULL;
}

/* More threads than shards at once, then again after they died. */
static void test_counters_sum_over_threads_dead_or_alive(void **state)
{
    (void)state;
    uint64_t before = obs_counter_value(OBS_FOLD_RECORDS);
    uint64_t recorded = obs_histogram_count(OBS_JOURNAL_BATCH);
    for (int round = 0; round < 2; round++) {
        pthread_t threads[THREAD_COUNT];
        for (int i = 0; i < THREAD_COUNT; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
        for (int i = 0; i < THREAD_COUNT; i++)
            pthread_join(threads[i], NULL);
    }
    uint64_t expected = 2ull * THREAD_COUNT * ADDS;
    assert_int_equal(obs_counter_value(OBS_FOLD_RECORDS) - before, expected);
    assert_int_equal(obs_histogram_count(OBS_JOURNAL_BATCH) - recorded, expected);
    assert_int_equal(obs_histogram_quantile(OBS_JOURNAL_BATCH, 0.5), 7);
}

static void test_buckets_cover_every_value(void **state)
{
    (void)state;
    for (uint32_t bucket = 0; bucket + 1 < OBS_BUCKET_COUNT; bucket++) {
        uint64_t low = obs__bucket_low(bucket), next = obs__bucket_low(bucket + 1);
        assert_true(low < next);
        assert_int_equal(obs__bucket_of(low), bucket);
        assert_int_equal(obs__bucket_of(next - 1), bucket);
    }
    assert_int_equal(obs__bucket_of(UINT64_MAX), OBS_BUCKET_COUNT - 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_quantiles_within_a_thirty_second(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static struct obs_histogram histogram;
    static uint64_t values[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = base_random_u64(1, i, 0) >> (24 + i % 40);
        obs_hist_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof(*values), compare);
    for (double q = 0.01; q <= 1.0; q += 0.01) {
        uint64_t exact = values[(size_t)FR_MAX((double)COUNT * q + 0.999999 - 1, 0.0)];
        double got = (double)obs_hist_quantile(&histogram, q);
        double bound = (double)exact / 32 + 1;
        assert_true(got >= (double)exact - bound && got <= (double)exact + bound);
    }
    assert_int_equal(obs_hist_count(&histogram), COUNT);
    assert_int_equal(obs_hist_quantile(&(struct obs_histogram){0}, 0.5), 0);
}

static void collect_rates(void *context, struct obs_collect *to)
{
    obs_collect(to, OBS_EXPERT_HIT_RATE, "expert", context, 0.25);
    obs_collect(to, OBS_EXPERT_HIT_RATE, "expert", "a\"b\\c\nd", 0.75);
    obs_gauge_set(OBS_USERS, 12345); /* printed by the same scrape */
}

static void test_collectors_appear_and_leave(void **state)
{
    (void)state;
    struct base_buf out;
    base_buf_init(&out, 0);
    assert_int_equal(obs_collector_add(collect_rates, "cooc"), FR_OK);
    obs_metrics_print(&out);
    base_buf_put_u8(&out, 0);
    assert_non_null(strstr((char *)out.bytes, "\nfreshet_expert_hit_rate{expert=\"cooc\"} 0.25\n"));
    assert_non_null(strstr((char *)out.bytes, "\nfreshet_rows{of=\"users\"} 12345\n"));
    assert_non_null(strstr((char *)out.bytes, "{expert=\"a\\\"b\\\\c\\nd\"} 0.75\n"));
    obs_collector_remove(collect_rates, "cooc");
    base_buf_clear(&out);
    obs_metrics_print(&out);
    base_buf_put_u8(&out, 0);
    assert_null(strstr((char *)out.bytes, "expert=\"cooc\""));
    for (int i = 0; i < OBS_COLLECTORS_MAX; i++)
        assert_int_equal(obs_collector_add(collect_rates, &out), FR_OK);
    assert_int_equal(obs_collector_add(collect_rates, &out), FR_FULL);
    for (int i = 0; i < OBS_COLLECTORS_MAX; i++)
        obs_collector_remove(collect_rates, &out);
    base_buf_release(&out);
}

/* Each family has one HELP and one TYPE line, before its samples; buckets never go down. */
static void test_prometheus_text_is_well_formed(void **state)
{
    (void)state;
    struct base_buf out;
    base_buf_init(&out, 0);
    obs_histogram_record(OBS_RECOMMEND, 250000);
    obs_gauge_set(OBS_READY, 1);
    obs_metrics_print(&out);
    base_buf_put_u8(&out, 0);
    assert_false(out.overflowed);
    assert_non_null(strstr((char *)out.bytes, "\nfreshet_ready 1\n"));
    char *save = NULL, family[128] = "";
    unsigned long long last = 0;
    for (char *line = strtok_r((char *)out.bytes, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char name[128];
        if (sscanf(line, "# HELP %127s", name) == 1) {
            assert_string_not_equal(name, family);
            memcpy(family, name, sizeof(family));
            assert_true(strlen(line) > strlen("# HELP ") + strlen(name) + 5);
            continue;
        }
        if (line[0] == '#')
            continue;
        assert_memory_equal(line, family, strlen(family));
        char *count = strrchr(line, ' ');
        if (strstr(line, "_bucket{")) {
            unsigned long long value = strtoull(count, NULL, 10);
            assert_true(value >= last);
            last = strstr(line, "le=\"+Inf\"") ? 0 : value;
        }
    }
    base_buf_release(&out);
}

static void test_the_document_names_every_family_once(void **state)
{
    (void)state;
    struct base_buf out;
    base_buf_init(&out, 0);
    obs_metrics_document(&out);
    base_buf_put_u8(&out, 0);
    char *first = strstr((char *)out.bytes, "`freshet_events_total`");
    assert_non_null(first);
    assert_null(strstr(first + 1, "`freshet_events_total`"));
    assert_non_null(strstr(first, "`outcome=\"duplicate\"`"));
    base_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_sum_over_threads_dead_or_alive),
        cmocka_unit_test(test_buckets_cover_every_value),
        cmocka_unit_test(test_quantiles_within_a_thirty_second),
        cmocka_unit_test(test_collectors_appear_and_leave),
        cmocka_unit_test(test_prometheus_text_is_well_formed),
        cmocka_unit_test(test_the_document_names_every_family_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
