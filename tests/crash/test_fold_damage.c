/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged bytes: a data directory with journal segments and two snapshots, one byte, sector or tail
 * of one file changed at a time. Opening must give a clear error, or a state that this journal had:
 * equal hash at the position it says. Never another state, never a crash.
 *
 * FRESHET_DAMAGES: how many (default 400). FRESHET_SEED: the draws.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "obs/obs.h"
#include "tests/lib/folding.h"

enum { EVENTS = 900, BATCH = 30, SEED = 11, NAMES_MAX = 32, POSITIONS_MAX = 2048 };

static struct base_hash128 hash_at[POSITIONS_MAX];
static bool known_at[POSITIONS_MAX];

struct names {
    char name[NAMES_MAX][128];
    uint32_t count;
    const char *directory;
};

static void see(void *context, const char *name)
{
    struct names *names = context;
    if (names->count < NAMES_MAX && strcmp(name, "lock") != 0)
        snprintf(names->name[names->count++], sizeof(names->name[0]), "%s/%s", names->directory,
                 name);
}

static void note_hash(struct folding *folding)
{
    uint64_t position = 0;
    struct base_hash128 hash = fold_hash(folding->fold, &position);
    assert_true(position < POSITIONS_MAX);
    hash_at[position] = hash;
    known_at[position] = true;
}

/* The directory: items, events, a snapshot by hand at a third and at two thirds. */
static struct os_sim *build(bool note)
{
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    assert_int_equal(folding_open(&folding, sim, 1000000, &error), FR_OK);
    folding_add_items(&folding, SEED);
    assert_int_equal(folding_run(&folding), FR_OK);
    for (uint64_t n = 0; n < EVENTS; n += BATCH) {
        for (uint64_t i = n; i < n + BATCH; i++)
            folding_add_event(&folding, SEED, i);
        assert_int_equal(folding_run(&folding), FR_OK);
        if (note)
            note_hash(&folding);
        if (n == EVENTS / 3 || n == EVENTS * 2 / 3)
            assert_int_equal(fold_snapshot(folding.fold, &error), FR_OK);
    }
    folding_kill(&folding, false);
    return sim;
}

static uint64_t file_bytes(struct os *os, const char *path)
{
    struct os_file *file = NULL;
    uint64_t bytes = 0;
    assert_int_equal(os_open(os, path, OS_READ, NULL, &file), FR_OK);
    assert_int_equal(os_size(file, &bytes, NULL), FR_OK);
    os_close(file);
    return bytes;
}

static void truncate_file(struct os *os, const char *path, uint64_t bytes)
{
    struct os_file *file = NULL;
    assert_int_equal(os_open(os, path, OS_WRITE, NULL, &file), FR_OK);
    assert_int_equal(os->table->truncate(file, bytes, NULL), FR_OK);
    os_close(file);
}

/* False: a state that this journal never had. */
static bool opens_honestly(struct os_sim *sim, uint64_t counts[2])
{
    struct folding folding;
    struct fr_error error = {0};
    enum fr_status status = folding_open(&folding, sim, 1000000, &error);
    counts[status == FR_OK]++;
    if (status != FR_OK)
        return error.message[0] != '\0';
    uint64_t position = 0;
    struct base_hash128 hash = fold_hash(folding.fold, &position);
    bool equal = position == 0 || (position < POSITIONS_MAX && known_at[position] &&
                                   folding_hash_equal(hash, hash_at[position]));
    folding_kill(&folding, false);
    return equal;
}

static bool try_one(uint64_t seed, uint64_t trial, uint64_t counts[2])
{
    struct os_sim *sim = build(false);
    struct os *os = os_sim_os(sim);
    struct names names = {.directory = "data/journal"};
    assert_int_equal(os->table->list(os, names.directory, see, &names, NULL), FR_OK);
    names.directory = "data/snapshot";
    assert_int_equal(os->table->list(os, names.directory, see, &names, NULL), FR_OK);
    const char *path = names.name[base_random_u64(seed, trial, 0) % names.count];
    uint64_t bytes = file_bytes(os, path), at = bytes ? base_random_u64(seed, trial, 1) % bytes : 0;
    switch (base_random_u64(seed, trial, 2) % 8) {
    case 0:
        truncate_file(os, path, at);
        break;
    case 1: /* a sector of noise */
        assert_int_equal(os_sim_damage(sim, path, at / 512 * 512,
                                       FR_MIN(512, bytes - at / 512 * 512), 0xa5),
                         FR_OK);
        break;
    case 2:
        assert_int_equal(os->table->unlink(os, path, NULL), FR_OK);
        break;
    default: /* one bit */
        assert_int_equal(os_sim_damage(sim, path, at, bytes ? 1 : 0,
                                       (uint8_t)(1 << base_random_u64(seed, trial, 3) % 8)),
                         FR_OK);
    }
    bool honest = opens_honestly(sim, counts);
    if (!honest)
        print_message("trial %" PRIu64 ": %s at byte %" PRIu64 "\n", trial, path, at);
    os_sim_free(sim);
    return honest;
}

static uint64_t setting(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void damage_is_refused_or_passed_over(void **state)
{
    (void)state;
    uint64_t trials = setting("FRESHET_DAMAGES", 400), seed = setting("FRESHET_SEED", 1);
    uint64_t wrong = 0, counts[2] = {0};
    os_sim_free(build(true));
    for (uint64_t trial = 0; trial < trials; trial++)
        wrong += !try_one(seed, trial, counts);
    print_message("%" PRIu64 " damages from seed %" PRIu64 ": %" PRIu64
                  " refused with an error, %" PRIu64
                  " opened at a state the journal had, wrong %" PRIu64 "\n",
                  trials, seed, counts[0], counts[1], wrong);
    assert_int_equal(wrong, 0);
    assert_true(counts[0] > 0 && counts[1] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_refused_or_passed_over),
    };
    obs_log_setup(OBS_ERROR + 1, OBS_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
