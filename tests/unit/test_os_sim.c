/* SPDX-License-Identifier: Apache-2.0
 *
 * os, the simulated twin: what survives a crash is what the door says, from the seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/sim.h"

static struct os_file *open_file(struct os_sim *sim, const char *path, int flags)
{
    struct fr_error error = {0};
    struct os_file *file = NULL;
    enum fr_status status = os_open(os_sim_os(sim), path, flags, &error, &file);
    return status == FR_OK ? file : NULL;
}

static void put(struct os_file *file, uint64_t offset, char c, size_t bytes)
{
    char *data = malloc(bytes);
    memset(data, c, bytes);
    assert_int_equal(os_write_at(file, offset, data, bytes, NULL), FR_OK);
    free(data);
}

static size_t get(struct os_sim *sim, const char *path, char *to, size_t bytes)
{
    struct os_file *file = open_file(sim, path, OS_READ);
    size_t got = 0;
    if (!file)
        return SIZE_MAX;
    assert_int_equal(os_read_at(file, 0, to, bytes, &got, NULL), FR_OK);
    os_close(file);
    return got;
}

/* Un-synced sectors: over many seeds each outcome is seen, and only whole sectors. */
static void unsynced_writes_may_be_lost(void **state)
{
    (void)state;
    int old = 0, new = 0, mixed = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct os_sim *sim = os_sim_new(seed, NULL);
        struct os_file *file = open_file(sim, "f", OS_READ | OS_WRITE | OS_CREATE);
        put(file, 0, 'a', 4096);
        assert_int_equal(os_sync(file, NULL), FR_OK);
        assert_int_equal(os_sync_dir(os_sim_os(sim), ".", NULL), FR_OK);
        put(file, 0, 'b', 4096);
        os_sim_crash(sim);
        assert_int_equal(os_write_at(file, 0, "x", 1, NULL), FR_IO); /* a dead handle */
        os_close(file);
        char seen[8192];
        assert_int_equal(get(sim, "f", seen, sizeof(seen)), 4096);
        int new_sectors = 0;
        for (int sector = 0; sector < 8; sector++) {
            for (int i = 1; i < 512; i++)
                assert_int_equal(seen[sector * 512 + i], seen[sector * 512]);
            new_sectors += seen[sector * 512] == 'b';
        }
        old += new_sectors == 0;
        new += new_sectors == 8;
        mixed += new_sectors > 0 && new_sectors < 8;
        os_sim_free(sim);
    }
    assert_true(old > 5 && new > 5 && mixed > 20);
}

static void synced_writes_stay(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct os_sim *sim = os_sim_new(seed, NULL);
        struct os_file *file = open_file(sim, "f", OS_READ | OS_WRITE | OS_CREATE);
        put(file, 0, 'a', 1000);
        put(file, 1000, 'b', 1000);
        assert_int_equal(os_sync(file, NULL), FR_OK);
        assert_int_equal(os_sync_dir(os_sim_os(sim), ".", NULL), FR_OK);
        os_close(file);
        os_sim_crash(sim);
        char seen[4096];
        assert_int_equal(get(sim, "f", seen, sizeof(seen)), 2000);
        assert_true(seen[999] == 'a' && seen[1000] == 'b');
        os_sim_free(sim);
    }
}

static void names_need_a_directory_sync(void **state)
{
    (void)state;
    int lost = 0, kept = 0, back = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct os_sim *sim = os_sim_new(seed, NULL);
        assert_int_equal(os_mkdir(os_sim_os(sim), "d/e", NULL), FR_OK);
        struct os_file *file = open_file(sim, "d/e/a", OS_WRITE | OS_CREATE);
        put(file, 0, 'a', 10);
        assert_int_equal(os_sync(file, NULL), FR_OK);
        os_close(file);
        char seen[16];
        if (seed % 2) {
            os_sim_crash(sim);
            bool there = get(sim, "d/e/a", seen, sizeof(seen)) == 10;
            lost += !there;
            kept += there;
        } else {
            assert_int_equal(os_sync_dir(os_sim_os(sim), "d/e", NULL), FR_OK);
            assert_int_equal(os_rename(os_sim_os(sim), "d/e/a", "d/e/b", NULL), FR_OK);
            os_sim_crash(sim);
            bool a = get(sim, "d/e/a", seen, sizeof(seen)) == 10;
            bool b = get(sim, "d/e/b", seen, sizeof(seen)) == 10;
            assert_true(a != b); /* a rename is whole */
            back += a;
        }
        os_sim_free(sim);
    }
    assert_true(lost > 5 && kept > 5 && back > 5);
}

static void a_failed_sync_loses_quietly(void **state)
{
    (void)state;
    int lost = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct os_sim *sim = os_sim_new(seed, NULL);
        struct os_file *file = open_file(sim, "f", OS_READ | OS_WRITE | OS_CREATE);
        put(file, 0, 'a', 512);
        assert_int_equal(os_sync(file, NULL), FR_OK);
        assert_int_equal(os_sync_dir(os_sim_os(sim), ".", NULL), FR_OK);
        put(file, 0, 'b', 512);
        os_sim_fail_sync(sim);
        assert_int_equal(os_sync(file, NULL), FR_IO);
        assert_int_equal(os_sync(file, NULL), FR_OK); /* the trap */
        char seen[512];
        assert_int_equal(get(sim, "f", seen, sizeof(seen)), 512);
        assert_int_equal(seen[0], 'b');
        os_close(file);
        os_sim_crash(sim);
        assert_int_equal(get(sim, "f", seen, sizeof(seen)), 512);
        lost += seen[0] == 'a';
        os_sim_free(sim);
    }
    assert_true(lost > 5);
}

static void a_full_disk_takes_what_fits(void **state)
{
    (void)state;
    struct os_sim_options options = {.disk_bytes_max = 1000};
    struct os_sim *sim = os_sim_new(1, &options);
    struct fr_error error = {0};
    struct os_file *file = open_file(sim, "f", OS_READ | OS_WRITE | OS_CREATE);
    char bytes[800] = {0};
    assert_int_equal(os_write_at(file, 0, bytes, 800, &error), FR_OK);
    assert_int_equal(os_write_at(file, 800, bytes, 800, &error), FR_NO_SPACE);
    assert_true(error.retriable);
    assert_int_equal(os_sim_disk_bytes(sim), 800); /* no whole sector more fits */
    assert_int_equal(os_write_at(file, 100, bytes, 800, &error), FR_OK); /* in place */
    os_sim_disk_limit(sim, 0);
    assert_int_equal(os_write_at(file, 800, bytes, 800, &error), FR_OK);
    os_close(file);
    os_sim_free(sim);
}

static void locks_have_one_holder(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(1, NULL);
    struct os_file *file = open_file(sim, "lock", OS_WRITE | OS_CREATE);
    struct os_file *other = open_file(sim, "lock", OS_WRITE | OS_CREATE);
    assert_int_equal(os_lock(file, NULL), FR_OK);
    assert_int_equal(os_lock(other, NULL), FR_AGAIN);
    os_sim_kill(sim);
    os_close(file);
    os_close(other);
    file = open_file(sim, "lock", OS_WRITE | OS_CREATE);
    assert_int_equal(os_lock(file, NULL), FR_OK);
    os_close(file);
    os_sim_free(sim);
}

/* The same seed and calls: the same bytes after the crash, and the crash comes where asked. */
static void a_seed_repeats(void **state)
{
    (void)state;
    char first[8192], second[8192];
    for (uint64_t at = 3; at < 40; at++) {
        for (int run = 0; run < 2; run++) {
            struct os_sim *sim = os_sim_new(77, NULL);
            struct os_file *file = open_file(sim, "f", OS_READ | OS_WRITE | OS_CREATE);
            assert_int_equal(os_sync_dir(os_sim_os(sim), ".", NULL), FR_OK);
            os_sim_crash_at(sim, at);
            uint8_t random[100];
            enum fr_status status = FR_OK;
            while (status == FR_OK) {
                os_random(os_sim_os(sim), random, sizeof(random));
                uint64_t offset = os_sim_draw(sim, 8000);
                status = os_write_at(file, offset, random, sizeof(random), NULL);
            }
            assert_int_equal(os_sim_operations(sim), at);
            assert_true(os_sim_is_dead(sim));
            os_close(file);
            os_sim_crash(sim);
            char *to = run ? second : first;
            memset(to, 0, 8192);
            get(sim, "f", to, 8192);
            os_sim_free(sim);
        }
        assert_memory_equal(first, second, 8192);
    }
}

static void time_is_advanced_by_hand(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(1, NULL);
    int64_t wall = os_wall_us(os_sim_os(sim)), mono = os_mono_ns(os_sim_os(sim));
    os_sim_advance(sim, 5);
    os_sim_wall_jump(sim, -100);
    assert_int_equal(os_wall_us(os_sim_os(sim)), wall - 95);
    assert_int_equal(os_mono_ns(os_sim_os(sim)), mono + 5000);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsynced_writes_may_be_lost),
        cmocka_unit_test(synced_writes_stay),
        cmocka_unit_test(names_need_a_directory_sync),
        cmocka_unit_test(a_failed_sync_loses_quietly),
        cmocka_unit_test(a_full_disk_takes_what_fits),
        cmocka_unit_test(locks_have_one_holder),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(time_is_advanced_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
