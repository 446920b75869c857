/* SPDX-License-Identifier: Apache-2.0
 *
 * base_rows: adding and reading rows, runs, digests, loading; a snapshot taken while a writer goes
 * on equals the state at the freeze, whatever the writer does and however small the pool is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/rows.h"

struct row {
    uint32_t version;
    uint32_t a, b, c; /* a + b + c == 0 when the version is even */
};

static struct base_rows *new_rows(const char *name, uint32_t row_bytes, uint32_t count_max)
{
    struct base_rows *rows = NULL;
    struct base_rows_options options = {name, row_bytes, count_max};
    assert_int_equal(base_rows_new(&options, NULL, &rows), FR_OK);
    return rows;
}

static void set(struct base_rows *rows, uint32_t i, uint32_t a, uint32_t b)
{
    struct row *row = base_rows_write(rows, i);
    base_row_change(&row->version);
    FR_STORE(row->a, a);
    FR_STORE(row->b, b);
    FR_STORE(row->c, 0u - a - b);
    base_row_done(&row->version);
}

static void test_rows_are_zero_counted_and_bounded(void **state)
{
    (void)state;
    struct base_rows *rows = new_rows("few", sizeof(struct row), 5);
    assert_string_equal(base_rows_name(rows), "few");
    assert_int_equal(base_rows_count(rows), 1);
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(base_rows_add(rows), i);
        struct row zero = {0};
        assert_memory_equal(base_rows_at(rows, i), &zero, sizeof(zero));
        set(rows, i, i, 2 * i);
    }
    assert_int_equal(base_rows_add(rows), 0);
    assert_int_equal(base_rows_count(rows), 5);
    base_rows_clear(rows);
    assert_int_equal(base_rows_count(rows), 1);
    assert_int_equal(base_rows_add(rows), 1);
    assert_int_equal(((const struct row *)base_rows_at(rows, 1))->a, 0);
    base_rows_free(rows);
    base_rows_free(NULL);
}

/* Runs stay inside a block, so that they are contiguous; row sizes that do not divide a block too.
 */
static void test_runs_are_contiguous(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {8, 24, 104, 1000, 16384};
    for (size_t s = 0; s < FR_COUNT_OF(sizes); s++) {
        uint32_t in_block = (uint32_t)(BASE_ROWS_BLOCK_BYTES / sizes[s]);
        struct base_rows *rows = new_rows("runs", sizes[s], 100000);
        for (uint32_t n = 1; n < 300; n++) {
            uint32_t count = 1 + n * 7 % FR_MIN(in_block, 40u);
            uint32_t first = base_rows_add_run(rows, count);
            assert_int_not_equal(first, 0);
            uint8_t *start = base_rows_write_run(rows, first, count);
            memset(start, (int)n, (size_t)count * sizes[s]);
            for (uint32_t i = 0; i < count; i++)
                assert_ptr_equal(base_rows_at(rows, first + i), start + (size_t)i * sizes[s]);
        }
        base_rows_free(rows);
    }
}

static struct base_hash128 digest_of(const struct base_rows *rows)
{
    struct base_digest digest;
    base_digest_init(&digest);
    base_rows_digest(rows, &digest);
    return base_digest_end(&digest);
}

static bool same_digest(const struct base_rows *a, const struct base_rows *b)
{
    struct base_hash128 x = digest_of(a), y = digest_of(b);
    return x.lo == y.lo && x.hi == y.hi;
}

static void test_digest_sees_rows_meta_and_count(void **state)
{
    (void)state;
    struct base_rows *a = new_rows("t", sizeof(struct row), 5000);
    struct base_rows *b = new_rows("t", sizeof(struct row), 9000); /* the maximum is no content */
    for (uint32_t i = 1; i < 3000; i++) {
        base_rows_add(a);
        base_rows_add(b);
        set(a, i, i, 1);
        set(b, i, i, 1);
    }
    assert_true(same_digest(a, b));
    set(b, 2999, 2999, 1); /* another version: another content */
    assert_false(same_digest(a, b));
    set(a, 2999, 2999, 1);
    assert_true(same_digest(a, b));
    base_rows_meta(b)[15] = 1;
    assert_false(same_digest(a, b));
    base_rows_meta(a)[15] = 1;
    base_rows_add(b);
    assert_false(same_digest(a, b));
    base_rows_free(a);
    base_rows_free(b);
}

/* ---- snapshots ---- */

/* Copies a frozen table into a fresh one by the door's own loading functions. */
static void copy_frozen(struct base_rows *from, struct base_pool *pool, struct base_rows *to)
{
    uint8_t *block = malloc(BASE_ROWS_BLOCK_BYTES);
    uint32_t blocks = base_rows_frozen_blocks(from), taken = 0;
    assert_int_equal(base_rows_load_begin(to, base_rows_frozen_count(from),
                                          base_rows_frozen_meta(from)),
                     FR_OK);
    for (uint32_t walk = 0; taken < blocks;) {
        struct base_rows *rows = from;
        uint32_t b;
        if (!base_pool_next(pool, &rows, &b))
            b = walk++;
        assert_ptr_equal(rows, from);
        assert_true(b < blocks);
        size_t bytes = base_rows_frozen_block(from, b, block);
        if (bytes == 0)
            continue;
        assert_int_equal(base_rows_load_block(to, b, block, bytes), FR_OK);
        taken++;
    }
    free(block);
    base_rows_thaw(from);
}

static void test_a_frozen_table_keeps_its_moment(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct base_pool *pool = NULL;
    assert_int_equal(base_pool_new(64 << 20, &pool), FR_OK);
    struct base_rows *rows = new_rows("t", sizeof(struct row), 100000);
    struct base_rows *copy = new_rows("t", sizeof(struct row), 100000);
    for (uint32_t i = 1; i < COUNT; i++) {
        base_rows_add(rows);
        set(rows, i, i, i * 3);
    }
    base_rows_meta(rows)[3] = 42;
    for (int round = 0; round < 3; round++) {
        struct base_hash128 before = digest_of(rows);
        base_rows_freeze(rows, pool);
        for (uint32_t i = 1; i < COUNT; i += 7)
            set(rows, i, i + 1 + (uint32_t)round, i);
        for (uint32_t i = 0; i < 500; i++)
            set(rows, base_rows_add(rows), i, i);
        base_rows_meta(rows)[3]++;
        copy_frozen(rows, pool, copy);
        struct base_hash128 after = digest_of(copy);
        assert_int_equal(before.lo, after.lo);
        assert_int_equal(before.hi, after.hi);
        assert_true(base_pool_used_max(pool) > 0);
        base_rows_clear(copy);
    }
    base_rows_free(rows);
    base_rows_free(copy);
    base_pool_free(pool);
}

/* A snapshot that is given up: thaw takes what waits, and the next one begins clean. */
static void test_a_snapshot_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct base_pool *pool = NULL;
    assert_int_equal(base_pool_new(64 << 20, &pool), FR_OK);
    struct base_rows *rows = new_rows("t", sizeof(struct row), 100000);
    struct base_rows *copy = new_rows("t", sizeof(struct row), 100000);
    for (uint32_t i = 1; i < 20000; i++) {
        base_rows_add(rows);
        set(rows, i, i, i);
    }
    for (int round = 0; round < 20; round++) {
        base_rows_freeze(rows, pool);
        for (uint32_t i = 1; i < 20000; i += 500)
            set(rows, i, i, 5);
        struct base_rows *waiting;
        uint32_t b;
        assert_true(base_pool_next(pool, &waiting, &b));
        base_rows_thaw(rows);
        assert_false(base_pool_next(pool, &waiting, &b));
    }
    struct base_hash128 before = digest_of(rows);
    base_rows_freeze(rows, pool);
    copy_frozen(rows, pool, copy);
    assert_int_equal(digest_of(copy).lo, before.lo);
    base_rows_free(rows);
    base_rows_free(copy);
    base_pool_free(pool);
}

struct world {
    struct base_rows *rows, *copy;
    struct base_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    enum { FOLDING, FROZEN, STOP } phase; /* under lock */
    bool stop_reading;                    /* atomic */
};

static void *snapshots(void *context)
{
    struct world *world = context;
    for (;;) {
        pthread_mutex_lock(&world->lock);
        while (world->phase == FOLDING)
            pthread_cond_wait(&world->turn, &world->lock);
        bool stop = world->phase == STOP;
        pthread_mutex_unlock(&world->lock);
        if (stop)
            return NULL;
        copy_frozen(world->rows, world->pool, world->copy);
        pthread_mutex_lock(&world->lock);
        world->phase = FOLDING;
        pthread_cond_broadcast(&world->turn);
        pthread_mutex_unlock(&world->lock);
    }
}

/* Versioned reading never sees half a row (R2). */
static void *readers(void *context)
{
    struct world *world = context;
    uint64_t torn = 0;
    for (uint32_t n = 0; !FR_LOAD(world->stop_reading); n++) {
        uint32_t i = 1 + n % (base_rows_count(world->rows) - 1);
        const struct row *row = base_rows_at(world->rows, i);
        struct row seen;
        uint32_t began;
        do {
            began = base_row_read_begin(&row->version);
            base_rows_copy(&seen, row, sizeof(seen));
        } while (!base_row_read_ok(&row->version, began));
        torn += seen.a + seen.b + seen.c != 0;
    }
    return (void *)(uintptr_t)torn;
}

/* The writer goes on while blocks are taken, with a pool of four copies, so that it also waits. */
static void test_a_writer_a_reader_and_a_snapshot_at_once(void **state)
{
    (void)state;
    enum { COUNT = 30000, ROUNDS = 12 };
    static struct world world = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                 .turn = PTHREAD_COND_INITIALIZER};
    assert_int_equal(base_pool_new(0, &world.pool), FR_OK);
    world.rows = new_rows("t", sizeof(struct row), 1000000);
    world.copy = new_rows("t", sizeof(struct row), 1000000);
    for (uint32_t i = 1; i < COUNT; i++) {
        base_rows_add(world.rows);
        set(world.rows, i, i, i);
    }
    pthread_t taker, reader;
    assert_int_equal(pthread_create(&taker, NULL, snapshots, &world), 0);
    assert_int_equal(pthread_create(&reader, NULL, readers, &world), 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct base_hash128 before = digest_of(world.rows);
        base_rows_freeze(world.rows, world.pool);
        pthread_mutex_lock(&world.lock);
        world.phase = FROZEN;
        pthread_cond_broadcast(&world.turn);
        pthread_mutex_unlock(&world.lock);
        for (uint64_t n = 0; n < 20000; n++) {
            uint32_t i = 1 + (uint32_t)(base_random_u64(round, n, 0) % (COUNT - 1));
            set(world.rows, i, i, (uint32_t)n);
            if (n % 50 == 0)
                set(world.rows, base_rows_add(world.rows), 1, 2);
        }
        pthread_mutex_lock(&world.lock);
        while (world.phase == FROZEN)
            pthread_cond_wait(&world.turn, &world.lock);
        pthread_mutex_unlock(&world.lock);
        struct base_hash128 after = digest_of(world.copy);
        assert_int_equal(before.lo, after.lo);
        assert_int_equal(before.hi, after.hi);
        base_rows_clear(world.copy);
    }
    pthread_mutex_lock(&world.lock);
    world.phase = STOP;
    pthread_cond_broadcast(&world.turn);
    pthread_mutex_unlock(&world.lock);
    FR_STORE(world.stop_reading, true);
    void *torn = NULL;
    pthread_join(taker, NULL);
    pthread_join(reader, &torn);
    assert_null(torn);
    assert_true(base_pool_used_max(world.pool) <= 4 * BASE_ROWS_BLOCK_BYTES);
    base_rows_free(world.rows);
    base_rows_free(world.copy);
    base_pool_free(world.pool);
}

static void test_loading_refuses_what_does_not_fit(void **state)
{
    (void)state;
    static uint8_t block[BASE_ROWS_BLOCK_BYTES];
    uint64_t meta[BASE_ROWS_META_WORDS] = {0};
    struct base_rows *rows = new_rows("t", sizeof(struct row), 2000);
    assert_int_equal(base_rows_load_begin(rows, 0, meta), FR_CORRUPT);
    assert_int_equal(base_rows_load_begin(rows, 2001, meta), FR_CORRUPT);
    assert_int_equal(base_rows_load_begin(rows, 1500, meta), FR_OK);
    assert_int_equal(base_rows_load_block(rows, 0, block, BASE_ROWS_BLOCK_BYTES), FR_OK);
    assert_int_equal(base_rows_load_block(rows, 0, block, 100), FR_CORRUPT);
    assert_int_equal(base_rows_load_block(rows, 1, block, BASE_ROWS_BLOCK_BYTES), FR_CORRUPT);
    assert_int_equal(base_rows_load_block(rows, 1, block, (1500 - 1024) * sizeof(struct row)),
                     FR_OK);
    assert_int_equal(base_rows_load_block(rows, 2, block, 16), FR_CORRUPT);
    base_rows_free(rows);
}

/* All lengths at all places that words have: what is asked for, and nothing beside it. */
static void test_words_are_copied_whatever_their_number(void **state)
{
    (void)state;
    enum { WORDS = 64 };
    uint32_t from[WORDS], to[WORDS];
    for (uint32_t w = 0; w < WORDS; w++)
        from[w] = w + 1;
    for (uint32_t first = 0; first < 8; first++) {
        for (uint32_t count = 0; count + 9 <= WORDS; count++) {
            for (int put = 0; put < 2; put++) {
                memset(to, 0, sizeof(to));
                (put ? base_rows_put : base_rows_copy)(to + 7 - first, from + first, count * 4ul);
                for (uint32_t w = 0; w < WORDS; w++) {
                    bool inside = w >= 7 - first && w < 7 - first + count;
                    assert_int_equal(to[w], inside ? from[w - (7 - first) + first] : 0);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_zero_counted_and_bounded),
        cmocka_unit_test(test_runs_are_contiguous),
        cmocka_unit_test(test_digest_sees_rows_meta_and_count),
        cmocka_unit_test(test_a_frozen_table_keeps_its_moment),
        cmocka_unit_test(test_a_snapshot_given_up_leaves_nothing),
        cmocka_unit_test(test_a_writer_a_reader_and_a_snapshot_at_once),
        cmocka_unit_test(test_loading_refuses_what_does_not_fit),
        cmocka_unit_test(test_words_are_copied_whatever_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
