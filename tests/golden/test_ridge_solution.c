/* SPDX-License-Identifier: Apache-2.0
 *
 * Seq-ridge against a dense solution in double precision; the same events give the same digest;
 * forgetting undoes counting exactly; rows that readers copy are whole while the writer solves.
 */
#include "base/base.h"
#include "base/hash.h"
#include "model/ridge.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS 40
#define USERS 200
#define LENGTH 12

static void options_small(struct model_ridge_options *options)
{
    model_ridge_defaults(options);
    options->item_max = ITEMS + 1;
    options->pair_max = 4096;
    options->neighbours = 64;
    options->row_targets = 63;
    options->popularity = 0;
    options->lambda = 20;
    options->growth = 0;
}

static struct model_ridge *ridge_make(const struct model_ridge_options *options)
{
    struct model_ridge *ridge = NULL;
    struct fr_error error;
    assert_int_equal(model_ridge_new(options, &error, &ridge), FR_OK);
    return ridge;
}

/* User u's history, oldest first, no item twice; items come in runs of neighbours. */
static uint32_t user_items(uint32_t user, uint32_t out[LENGTH])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < 4 * LENGTH && n < LENGTH; i++) {
        uint32_t centre = (uint32_t)(base_random_u64(1, user, 0) % ITEMS);
        uint32_t item = 1 + (centre + (uint32_t)(base_random_u64(2, user, i) % 15)) % ITEMS;
        bool known = false;
        for (uint32_t k = 0; k < n; k++)
            known = known || out[k] == item;
        if (!known)
            out[n++] = item;
    }
    return n;
}

static void user_count(struct model_ridge *ridge, uint32_t user, bool forget)
{
    uint32_t items[LENGTH], n = user_items(user, items), newest[LENGTH];
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < i; k++)
            newest[k] = items[i - 1 - k];
        if (forget)
            model_ridge_forget(ridge, items[i], newest, i);
        else
            model_ridge_count(ridge, items[i], newest, i);
    }
}

static void learn_all(struct model_ridge *ridge)
{
    for (uint32_t user = 0; user < USERS; user++)
        user_count(ridge, user, false);
}

/* Gauss-Jordan with pivoting on [A | b]. */
static void solve_dense(double a[ITEMS][ITEMS + 1], uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t p = k;
        for (uint32_t i = k; i < n; i++)
            p = fabs(a[i][k]) > fabs(a[p][k]) ? i : p;
        for (uint32_t j = 0; j <= n; j++) {
            double swap = a[k][j];
            a[k][j] = a[p][j];
            a[p][j] = swap;
        }
        for (uint32_t i = 0; i < n; i++) {
            double by = i == k ? 0 : a[i][k] / a[k][k];
            for (uint32_t j = k; j <= n; j++)
                a[i][j] -= by * a[k][j];
        }
    }
}

/* The weight of target j in the row of source i, or 0. */
static double weight_of(const struct model_ridge *ridge, uint32_t source, uint32_t target)
{
    uint32_t targets[63];
    float weights[63];
    uint32_t n = model_ridge_row(ridge, source, targets, weights, 63);
    for (uint32_t i = 0; i < n; i++)
        if (targets[i] == target)
            return (double)weights[i];
    return 0;
}

static void equals_dense_solution(void **context)
{
    (void)context;
    struct model_ridge_options options;
    options_small(&options);
    struct model_ridge *ridge = ridge_make(&options);
    learn_all(ridge);
    assert_true(model_ridge_queued(ridge) > 0);
    model_ridge_solve(ridge, UINT32_MAX);
    assert_int_equal(model_ridge_queued(ridge), 0);
    for (uint32_t j = 1; j <= ITEMS; j++) {
        static double a[ITEMS][ITEMS + 1];
        uint32_t near[ITEMS], n = 0;
        for (uint32_t i = 1; i <= ITEMS; i++)
            if (model_ridge_both(ridge, i, j))
                near[n++] = i;
        for (uint32_t i = 0; i < n; i++) {
            double users = model_ridge_users(ridge, near[i]);
            for (uint32_t k = 0; k < n; k++)
                a[i][k] = i == k ? users + (double)options.lambda + (double)options.diagonal * users
                                 : model_ridge_both(ridge, near[i], near[k]);
            a[i][n] = (double)model_ridge_directed(ridge, near[i], j);
        }
        solve_dense(a, n);
        double largest = 0;
        for (uint32_t i = 0; i < n; i++)
            largest = fmax(largest, fabs(a[i][n] / a[i][i]));
        for (uint32_t i = 0; i < n; i++) /* below 1e-3 of the largest: not published */
            assert_true(fabs(weight_of(ridge, near[i], j) - a[i][n] / a[i][i]) <= 1.1e-3 * largest);
    }
    model_ridge_free(ridge);
}

static struct base_hash128 digest_of(struct model_ridge *ridge)
{
    struct base_rows *tables[MODEL_RIDGE_TABLES];
    struct base_digest digest;
    model_ridge_tables(ridge, tables);
    base_digest_init(&digest);
    for (int t = 0; t < MODEL_RIDGE_TABLES; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

static void same_events_same_bits(void **context)
{
    (void)context;
    struct model_ridge_options options;
    options_small(&options);
    struct base_hash128 first = {0, 0};
    for (int run = 0; run < 2; run++) {
        struct model_ridge *ridge = ridge_make(&options);
        for (uint32_t user = 0; user < USERS; user++) {
            user_count(ridge, user, false);
            model_ridge_solve(ridge, 3);
        }
        struct base_hash128 now = digest_of(ridge);
        if (run)
            assert_true(now.lo == first.lo && now.hi == first.hi);
        first = now;
        model_ridge_free(ridge);
    }
}

static void forgets_exactly(void **context)
{
    (void)context;
    struct model_ridge_options options;
    options_small(&options);
    struct model_ridge *with = ridge_make(&options), *without = ridge_make(&options);
    for (uint32_t user = 0; user < USERS; user++) {
        user_count(with, user, false);
        if (user % 5)
            user_count(without, user, false);
    }
    model_ridge_solve(with, UINT32_MAX);
    for (uint32_t user = 0; user < USERS; user += 5)
        user_count(with, user, true);
    model_ridge_solve(with, UINT32_MAX);
    model_ridge_solve(without, UINT32_MAX);
    for (uint32_t i = 1; i <= ITEMS; i++) {
        assert_int_equal(model_ridge_users(with, i), model_ridge_users(without, i));
        for (uint32_t j = 1; j <= ITEMS; j++) {
            assert_int_equal(model_ridge_both(with, i, j), model_ridge_both(without, i, j));
            assert_true(model_ridge_directed(with, i, j) == model_ridge_directed(without, i, j));
            assert_true(fabs(weight_of(with, i, j) - weight_of(without, i, j)) < 1e-5);
        }
    }
    model_ridge_free(with);
    model_ridge_free(without);
}

struct shared {
    struct model_ridge *ridge;
    bool stop; /* atomic */
    uint32_t wrong;
};

static void *reads(void *context)
{
    struct shared *shared = context;
    uint32_t targets[63];
    float weights[63];
    for (uint32_t i = 1; !__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE); i = 1 + i % ITEMS) {
        uint32_t n = model_ridge_row(shared->ridge, i, targets, weights, 63);
        uint64_t seen = 0;
        for (uint32_t k = 0; k < n;
             k++) { /* a whole row names no target twice, and none but items */
            shared->wrong += targets[k] == 0 || targets[k] > ITEMS || (seen >> targets[k] & 1);
            seen |= (uint64_t)1 << targets[k];
        }
    }
    return NULL;
}

static void readers_see_whole_rows(void **context)
{
    (void)context;
    struct model_ridge_options options;
    options_small(&options);
    struct shared shared = {.ridge = ridge_make(&options)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reads, &shared), 0);
    for (uint32_t user = 0; user < USERS; user++) {
        user_count(shared.ridge, user, false);
        model_ridge_solve(shared.ridge, UINT32_MAX);
    }
    __atomic_store_n(&shared.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(shared.wrong, 0);
    model_ridge_free(shared.ridge);
}

static void full_tables_refuse(void **context)
{
    (void)context;
    struct model_ridge_options options;
    struct model_ridge_stats stats;
    options_small(&options);
    options.pair_max = 100;
    struct model_ridge *ridge = ridge_make(&options);
    learn_all(ridge);
    model_ridge_solve(ridge, UINT32_MAX);
    model_ridge_stats_get(ridge, &stats);
    assert_true(stats.pairs <= 99 && stats.pairs_refused > 0);
    model_ridge_count(ridge, ITEMS + 5, NULL, 0); /* beyond the table: left out */
    model_ridge_stats_get(ridge, &stats);
    assert_int_equal(stats.items, ITEMS);
    model_ridge_free(ridge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_dense_solution), cmocka_unit_test(same_events_same_bits),
        cmocka_unit_test(forgets_exactly),       cmocka_unit_test(readers_see_whole_rows),
        cmocka_unit_test(full_tables_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
