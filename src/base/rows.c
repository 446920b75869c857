/* SPDX-License-Identifier: Apache-2.0
 *
 * base_rows: see the door. One region per table, reserved with MAP_NORESERVE at its largest size;
 * rows never straddle blocks. While a table is frozen each block has a mark:
 *   PENDING -> BUSY -> TAKEN            the snapshot thread copied it in place
 *   PENDING -> BUSY -> COPIED -> TAKEN  the writer copied it aside before its first change
 * Thread: writer and snapshot thread as the door says. Owner: the region, the marks, the copies.
 */
#include "base/rows.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From this size on a table asks for large pages: random rows would else cost a page walk each. Before,
 * it does not, or fifty small tables would hold 2 MiB each. */
enum { LARGE_PAGES_FROM = 16 << 20 };

enum mark { MARK_FREE = 0, MARK_PENDING, MARK_BUSY, MARK_COPIED, MARK_TAKEN };

struct base_rows {
    struct base_rows_place place; /* first: base_rows_at() looks for it here */
    struct base_rows_options options;
    size_t region_bytes;
    bool large_pages; /* asked for */
    uint64_t meta[BASE_ROWS_META_WORDS];

    struct base_pool *pool; /* non-NULL while frozen */
    uint8_t *marks;         /* one a block; atomic */
    struct copy **copies;   /* one a block */
    uint32_t frozen_blocks;
    uint32_t frozen_count;
    uint64_t frozen_meta[BASE_ROWS_META_WORDS];
};

/* A block put aside. In the pool's list from before its mark says COPIED until it is taken. */
struct copy {
    struct copy *before, *after;
    struct base_rows *rows;
    uint32_t b;
    uint8_t bytes[BASE_ROWS_BLOCK_BYTES];
};

/* The copies that wait, oldest first, at most copies_max. Locks: `lock`, a leaf. */
struct base_pool {
    pthread_mutex_t lock;
    pthread_cond_t drained;
    struct copy waiting; /* head of the ring: its bytes are unused */
    size_t copies_max;
    size_t used, used_max;
};

enum fr_status base_pool_new(size_t bytes_max, struct base_pool **out_pool)
{
    struct base_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return FR_MEMORY;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->drained, NULL);
    pool->waiting.before = pool->waiting.after = &pool->waiting;
    pool->copies_max = FR_MAX(bytes_max / BASE_ROWS_BLOCK_BYTES, (size_t)4);
    *out_pool = pool;
    return FR_OK;
}

void base_pool_free(struct base_pool *pool)
{
    if (!pool)
        return;
    FR_ASSERT(pool->used == 0);
    pthread_cond_destroy(&pool->drained);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

size_t base_pool_used_max(const struct base_pool *pool)
{
    return FR_LOAD(pool->used_max) * BASE_ROWS_BLOCK_BYTES;
}

static struct copy *pool_take(struct base_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->used == pool->copies_max)
        pthread_cond_wait(&pool->drained, &pool->lock);
    pool->used++;
    FR_STORE(pool->used_max, FR_MAX(pool->used_max, pool->used));
    pthread_mutex_unlock(&pool->lock);
    struct copy *copy = malloc(sizeof(*copy));
    FR_ASSERT(copy != NULL);
    copy->before = copy->after = copy;
    return copy;
}

static void pool_announce(struct base_pool *pool, struct copy *copy)
{
    pthread_mutex_lock(&pool->lock);
    copy->before = pool->waiting.before;
    copy->after = &pool->waiting;
    copy->before->after = copy;
    pool->waiting.before = copy;
    pthread_mutex_unlock(&pool->lock);
}

bool base_pool_next(struct base_pool *pool, struct base_rows **out_rows, uint32_t *out_b)
{
    pthread_mutex_lock(&pool->lock);
    const struct copy *oldest = pool->waiting.after;
    bool any = oldest != &pool->waiting;
    if (any) {
        *out_rows = oldest->rows;
        *out_b = oldest->b;
    }
    pthread_mutex_unlock(&pool->lock);
    return any;
}

static void pool_give_back(struct base_pool *pool, struct copy *copy)
{
    pthread_mutex_lock(&pool->lock);
    copy->before->after = copy->after;
    copy->after->before = copy->before;
    pool->used--;
    pthread_cond_signal(&pool->drained);
    pthread_mutex_unlock(&pool->lock);
    free(copy);
}

enum fr_status base_rows_new(const struct base_rows_options *options, struct fr_error *error,
                             struct base_rows **out_rows)
{
    FR_ASSERT(options->row_bytes % 8 == 0 && options->row_bytes > 0);
    FR_ASSERT(options->row_bytes <= BASE_ROWS_BLOCK_BYTES && options->count_max > 1);
    struct base_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        return base_fail(error, FR_MEMORY, "base", "no memory for table %s", options->name);
    rows->options = *options;
    rows->place.row_bytes = options->row_bytes;
    rows->place.rows_per_block = (uint32_t)(BASE_ROWS_BLOCK_BYTES / options->row_bytes);
    rows->place.block_factor = ((uint64_t)1 << 43) / rows->place.rows_per_block + 1;
    size_t blocks = options->count_max / rows->place.rows_per_block + 1;
    rows->region_bytes = blocks * BASE_ROWS_BLOCK_BYTES;
    rows->place.region = mmap(NULL, rows->region_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rows->place.region == MAP_FAILED) {
        enum fr_status status =
            base_fail(error, FR_MEMORY, "base", "cannot reserve %zu MiB of addresses for table %s",
                      rows->region_bytes >> 20, options->name);
        base_hint(error, "lift the limit on virtual memory (ulimit -v), or lower --memory-max");
        free(rows);
        return status;
    }
    rows->place.count = 1;
    *out_rows = rows;
    return FR_OK;
}

void base_rows_free(struct base_rows *rows)
{
    if (!rows)
        return;
    FR_ASSERT(rows->pool == NULL);
    munmap(rows->place.region, rows->region_bytes);
    free(rows->marks);
    free(rows->copies);
    free(rows);
}

const char *base_rows_name(const struct base_rows *rows)
{
    return rows->options.name;
}

uint32_t base_rows_row_bytes(const struct base_rows *rows)
{
    return rows->options.row_bytes;
}

uint32_t base_rows_count_max(const struct base_rows *rows)
{
    return rows->options.count_max;
}

static uint32_t blocks_of(const struct base_rows *rows, uint32_t count)
{
    return (count + rows->place.rows_per_block - 1) / rows->place.rows_per_block;
}

size_t base_rows_bytes(const struct base_rows *rows)
{
    return (size_t)blocks_of(rows, base_rows_count(rows)) * BASE_ROWS_BLOCK_BYTES;
}

static uint32_t block_of(const struct base_rows *rows, uint32_t i)
{
    return base_rows__block(&rows->place, i);
}

static uint8_t *row_place(const struct base_rows *rows, uint32_t i)
{
    return base_rows__place(&rows->place, i);
}

/* A wish: a kernel without large pages goes on with small ones. */
static void ask_for_large_pages(struct base_rows *rows, uint32_t count)
{
    if (rows->large_pages ||
        (size_t)blocks_of(rows, count) * BASE_ROWS_BLOCK_BYTES < (size_t)LARGE_PAGES_FROM)
        return;
    rows->large_pages = true;
    (void)madvise(rows->place.region, rows->region_bytes, MADV_HUGEPAGE);
}

uint32_t base_rows_add(struct base_rows *rows)
{
    return base_rows_add_run(rows, 1);
}

/* A run lies in one block, so that it is contiguous in memory; the rows skipped at the end of a
 * block stay zero and unused. */
uint32_t base_rows_add_run(struct base_rows *rows, uint32_t count)
{
    FR_ASSERT(count >= 1 && count <= rows->place.rows_per_block);
    uint32_t first = rows->place.count,
             left = rows->place.rows_per_block - first % rows->place.rows_per_block;
    if (left < count)
        first += left;
    if (first > rows->options.count_max - FR_MIN(count, rows->options.count_max))
        return 0;
    ask_for_large_pages(rows, first + count);
    __atomic_store_n(&rows->place.count, first + count, __ATOMIC_RELEASE); /* pairs with _count() */
    return first;
}

static void copy_aside(struct base_rows *rows, struct base_pool *pool, uint32_t b)
{
    uint8_t expected = MARK_PENDING;
    struct copy *copy = pool_take(pool);
    if (!__atomic_compare_exchange_n(&rows->marks[b], &expected, MARK_BUSY, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_ACQUIRE)) {
        pool_give_back(pool, copy);
        while (__atomic_load_n(&rows->marks[b], __ATOMIC_ACQUIRE) == MARK_BUSY)
            ; /* the snapshot thread copies 16 KiB */
        return;
    }
    copy->rows = rows;
    copy->b = b;
    memcpy(copy->bytes, rows->place.region + (size_t)b * BASE_ROWS_BLOCK_BYTES,
           BASE_ROWS_BLOCK_BYTES);
    rows->copies[b] = copy;
    pool_announce(pool, copy); /* before COPIED: from then on it may be taken and freed */
    __atomic_store_n(&rows->marks[b], MARK_COPIED, __ATOMIC_RELEASE);
}

void *base_rows_write(struct base_rows *rows, uint32_t i)
{
    FR_ASSERT(i > 0 && i < rows->place.count);
    struct base_pool *pool = __atomic_load_n(&rows->pool, __ATOMIC_ACQUIRE);
    uint32_t b = block_of(rows, i);
    if (__builtin_expect(pool != NULL, 0) && b < rows->frozen_blocks) {
        uint8_t mark = __atomic_load_n(&rows->marks[b], __ATOMIC_ACQUIRE);
        if (mark == MARK_PENDING || mark == MARK_BUSY)
            copy_aside(rows, pool, b);
    }
    return row_place(rows, i);
}

void *base_rows_write_run(struct base_rows *rows, uint32_t i, uint32_t count)
{
    FR_ASSERT(i % rows->place.rows_per_block + count <= rows->place.rows_per_block);
    return base_rows_write(rows, i);
}

uint64_t *base_rows_meta(struct base_rows *rows)
{
    return rows->meta;
}

/* Sixteen bytes at any place that words have. A vector that the compiler may neither split into bytes nor
 * leave out nor repeat (hence volatile, as elsewhere an atomic word): the processors' vector loads and
 * stores read and write each aligned word whole. ThreadSanitizer knows words only, so it does not look
 * into the two copies; what they carry is checked by versions (R2) or good for any mixture of words. */
typedef uint32_t words4 __attribute__((vector_size(16), aligned(4), may_alias));
#define UNWATCHED __attribute__((no_sanitize("thread")))

UNWATCHED void base_rows_copy(void *to, const void *from, size_t bytes)
{
    const volatile words4 *source = from;
    words4 *target = to;
    size_t done = 0;
    for (; done + 64 <= bytes; done += 64) {
        words4 a = source[done / 16], b = source[done / 16 + 1];
        words4 c = source[done / 16 + 2], d = source[done / 16 + 3];
        target[done / 16] = a;
        target[done / 16 + 1] = b;
        target[done / 16 + 2] = c;
        target[done / 16 + 3] = d;
    }
    for (; done + 16 <= bytes; done += 16)
        target[done / 16] = source[done / 16];
    for (; done + 4 <= bytes; done += 4)
        ((uint32_t *)to)[done / 4] = FR_LOAD(((const uint32_t *)from)[done / 4]);
}

UNWATCHED void base_rows_put(void *to, const void *from, size_t bytes)
{
    volatile words4 *target = to;
    const words4 *source = from;
    size_t done = 0;
    for (; done + 16 <= bytes; done += 16)
        target[done / 16] = source[done / 16];
    for (; done + 4 <= bytes; done += 4)
        FR_STORE(((uint32_t *)to)[done / 4], ((const uint32_t *)from)[done / 4]);
}

void base_row_change(uint32_t *version)
{
    FR_STORE(*version, *version + 1);
    FR_ASSERT(*version & 1);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with the fence in base_row_read_ok() */
}

void base_row_done(uint32_t *version)
{
    __atomic_store_n(version, *version + 1, __ATOMIC_RELEASE); /* pairs with _read_begin() */
    FR_ASSERT(!(*version & 1));
}

void base_rows_digest(const struct base_rows *rows, struct base_digest *digest)
{
    uint64_t head[2] = {rows->place.count, rows->options.row_bytes};
    base_digest_add(digest, rows->options.name, strlen(rows->options.name));
    base_digest_add(digest, head, sizeof(head));
    base_digest_add(digest, rows->meta, sizeof(rows->meta));
    for (uint32_t i = 0; i < rows->place.count; i += rows->place.rows_per_block) {
        uint32_t in_block = FR_MIN(rows->place.count - i, rows->place.rows_per_block);
        base_digest_add(digest, row_place(rows, i), (size_t)in_block * rows->options.row_bytes);
    }
}

void base_rows_freeze(struct base_rows *rows, struct base_pool *pool)
{
    FR_ASSERT(rows->pool == NULL);
    rows->frozen_count = rows->place.count;
    rows->frozen_blocks = blocks_of(rows, rows->place.count);
    memcpy(rows->frozen_meta, rows->meta, sizeof(rows->meta));
    free(rows->marks); /* kept until now: the writer may look at them while thaw() ends */
    free(rows->copies);
    rows->marks = malloc(rows->frozen_blocks);
    rows->copies = calloc(rows->frozen_blocks, sizeof(*rows->copies));
    FR_ASSERT(rows->marks && rows->copies);
    memset(rows->marks, MARK_PENDING, rows->frozen_blocks);
    FR_STORE(pool->used_max, 0);
    __atomic_store_n(&rows->pool, pool, __ATOMIC_RELEASE); /* pairs with base_rows_write() */
}

uint32_t base_rows_frozen_blocks(const struct base_rows *rows)
{
    return rows->frozen_blocks;
}

uint32_t base_rows_frozen_count(const struct base_rows *rows)
{
    return rows->frozen_count;
}

const uint64_t *base_rows_frozen_meta(const struct base_rows *rows)
{
    return rows->frozen_meta;
}

static size_t block_used_bytes(const struct base_rows *rows, uint32_t b, uint32_t count)
{
    uint32_t first = b * rows->place.rows_per_block;
    FR_ASSERT(first < count);
    return (size_t)FR_MIN(count - first, rows->place.rows_per_block) * rows->options.row_bytes;
}

size_t base_rows_frozen_block(struct base_rows *rows, uint32_t b, void *to)
{
    FR_ASSERT(rows->pool && b < rows->frozen_blocks);
    size_t bytes = block_used_bytes(rows, b, rows->frozen_count);
    uint8_t expected = MARK_PENDING;
    if (__atomic_compare_exchange_n(&rows->marks[b], &expected, MARK_BUSY, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_ACQUIRE)) {
        memcpy(to, rows->place.region + (size_t)b * BASE_ROWS_BLOCK_BYTES, bytes);
        __atomic_store_n(&rows->marks[b], MARK_TAKEN, __ATOMIC_RELEASE);
        return bytes;
    }
    while ((expected = __atomic_load_n(&rows->marks[b], __ATOMIC_ACQUIRE)) == MARK_BUSY)
        ; /* the writer copies 16 KiB */
    if (expected == MARK_TAKEN)
        return 0;
    memcpy(to, rows->copies[b]->bytes, bytes);
    pool_give_back(rows->pool, rows->copies[b]);
    rows->copies[b] = NULL;
    __atomic_store_n(&rows->marks[b], MARK_TAKEN, __ATOMIC_RELEASE);
    return bytes;
}

void base_rows_thaw(struct base_rows *rows)
{
    struct base_pool *pool = rows->pool;
    if (!pool)
        return;
    static _Thread_local uint8_t rest[BASE_ROWS_BLOCK_BYTES];
    for (uint32_t b = 0; b < rows->frozen_blocks; b++)
        base_rows_frozen_block(rows, b, rest); /* gives waiting copies back */
    __atomic_store_n(&rows->pool, NULL, __ATOMIC_RELEASE);
}

enum fr_status base_rows_load_begin(struct base_rows *rows, uint32_t count,
                                    const uint64_t meta[BASE_ROWS_META_WORDS])
{
    if (count < 1 || count > rows->options.count_max)
        return FR_CORRUPT;
    memcpy(rows->meta, meta, sizeof(rows->meta));
    ask_for_large_pages(rows, count);
    __atomic_store_n(&rows->place.count, count, __ATOMIC_RELEASE);
    return FR_OK;
}

enum fr_status base_rows_load_block(struct base_rows *rows, uint32_t b, const void *from,
                                    size_t bytes)
{
    if (b >= blocks_of(rows, rows->place.count) ||
        bytes != block_used_bytes(rows, b, rows->place.count))
        return FR_CORRUPT;
    memcpy(rows->place.region + (size_t)b * BASE_ROWS_BLOCK_BYTES, from, bytes);
    return FR_OK;
}

void base_rows_clear(struct base_rows *rows)
{
    FR_ASSERT(rows->pool == NULL);
    /* hands the pages back; they read as zero again */
    FR_ASSERT(madvise(rows->place.region, rows->region_bytes, MADV_DONTNEED) == 0);
    memset(rows->meta, 0, sizeof(rows->meta));
    __atomic_store_n(&rows->place.count, 1, __ATOMIC_RELEASE);
}
