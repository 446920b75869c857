/* SPDX-License-Identifier: Apache-2.0
 *
 * Interned ids: rare keys wait for admission, stale ones give their id away, a flood of new keys neither
 * grows the table nor drives out what is in use, and finding agrees with interning.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/ids.h"

enum { IDS = 1 << 12, DAY_S = 86400 };

static struct model_ids *ids_new(uint32_t admit_after)
{
    struct model_ids *ids = NULL;
    const struct model_ids_options options = {.name = "test_ids",
                                              .id_max = IDS,
                                              .admit_after = admit_after,
                                              .expire_s = 30 * DAY_S};
    assert_int_equal(model_ids_new(&options, NULL, &ids), FR_OK);
    return ids;
}

static void rare_ones_wait(void **unused)
{
    (void)unused;
    bool fresh = true;
    struct model_ids *ids = ids_new(3);
    assert_int_equal(model_ids_intern(ids, 7, 1, &fresh), 0);
    assert_int_equal(model_ids_intern(ids, 7, 2, &fresh), 0);
    assert_false(fresh);
    assert_int_equal(model_ids_find(ids, 7), 0);
    uint32_t id = model_ids_intern(ids, 7, 3, &fresh);
    assert_true(id != 0 && fresh);
    assert_int_equal(model_ids_intern(ids, 7, 4, &fresh), id);
    assert_false(fresh);
    assert_int_equal(model_ids_find(ids, 7), id);
    model_ids_free(ids);
}

/* A million keys seen once beside a thousand in use. */
static void a_flood_is_turned_away(void **unused)
{
    (void)unused;
    bool fresh;
    struct model_ids_stats stats;
    struct model_ids *ids = ids_new(2);
    uint32_t id[1000];
    for (uint32_t round = 0; round < 2; round++)
        for (uint64_t key = 0; key < 1000; key++)
            id[key] = model_ids_intern(ids, key + 1, DAY_S, &fresh);
    size_t bytes = base_rows_bytes(model_ids_table(ids));
    for (uint64_t key = 0; key < 1000000; key++)
        assert_int_equal(model_ids_intern(ids, key + 5000, 2 * DAY_S, &fresh), 0);
    for (uint64_t key = 0; key < 1000; key++)
        assert_int_equal(model_ids_find(ids, key + 1), id[key]);
    assert_int_equal(base_rows_bytes(model_ids_table(ids)), bytes);
    for (uint64_t key = 0; key < 200000; key++) /* keys that do come again: up to the ceiling */
        for (uint32_t round = 0; round < 2; round++)
            assert_true(model_ids_intern(ids, key + 2000000, 3 * DAY_S, &fresh) < IDS);
    model_ids_stats_get(ids, &stats);
    assert_true(stats.used < IDS && stats.refused > 100000);
    assert_int_equal(base_rows_bytes(model_ids_table(ids)), bytes);
    model_ids_free(ids);
}

static void stale_ones_give_way(void **unused)
{
    (void)unused;
    bool fresh;
    struct model_ids_stats stats;
    struct model_ids *ids = ids_new(1);
    for (uint64_t key = 1; key < 40000; key++)
        (void)model_ids_intern(ids, key, DAY_S, &fresh);
    model_ids_stats_get(ids, &stats);
    uint32_t used = stats.used;
    assert_int_equal(stats.replaced, 0);
    uint32_t taken = 0;
    for (uint64_t key = 100000; key < 101000; key++)
        taken += model_ids_intern(ids, key, 40 * DAY_S, &fresh) != 0 && fresh;
    model_ids_stats_get(ids, &stats);
    assert_true(taken > 900 && stats.replaced > 900 && stats.used >= used && stats.used < IDS);
    model_ids_free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rare_ones_wait),
        cmocka_unit_test(a_flood_is_turned_away),
        cmocka_unit_test(stale_ones_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
