/* SPDX-License-Identifier: Apache-2.0
 *
 * base_rows: the row store. All state that the fold owns lives in tables of fixed-size rows, so
 * that saving, loading, hashing, memory accounting and snapshots exist once.
 *
 * One writer (the fold thread), many readers. The region is reserved at its largest size when the
 * table is made and never moves; pages come with use. Index 0 is never handed out (it means
 * "none").
 *
 * Concurrency. Every field that readers may see is written with FR_STORE (or base_rows_put) and
 * read with FR_LOAD or base_rows_copy: words, relaxed. A row whose words must agree begins with a
 * u32 version, odd while it changes (R2). Structure (a longer row elsewhere, a reused row) is
 * published through such a version.
 *
 * Invariants
 *   R1: the writer changes a row only through the pointer that base_rows_write() gave it since the
 *       last batch boundary: that call copies the row's block first if a running snapshot still
 *       needs it.
 *   R2: a versioned row is changed between base_row_change() and base_row_done().
 *   R3: content is a function of the journal alone: no pointers, no padding garbage, no clock.
 *
 * Snapshot: base_rows_freeze() (writer, between batches) starts an epoch; from then on the snapshot
 * thread reads blocks with base_rows_frozen_block() and sees the content of that moment while the
 * writer goes on. Copied blocks wait in a bounded pool; when it is full the writer waits for the
 * snapshot thread to drain it (the pool is the named maximum of extra memory).
 */
#ifndef BASE_ROWS_H
#define BASE_ROWS_H

#include "base/base.h"
#include "base/hash.h"

#define BASE_ROWS_META_WORDS 16
#define BASE_ROWS_BLOCK_BYTES ((size_t)16384)

struct base_rows;

/* What finds a row: the beginning of every table, shown so that base_rows_at() takes no call. Not for
 * others to touch. */
struct base_rows_place {
    uint8_t *region;
    uint64_t block_factor; /* 2^43 / rows_per_block + 1 */
    uint32_t rows_per_block, row_bytes;
    uint32_t count; /* release by the writer, acquire by readers */
};

/* i / rows_per_block by a multiplication: exact for all i < 2^32, since rows_per_block <= 2^11 and the
 * factor is too large by less than one in 2^43 / 2^11. */
static inline uint32_t base_rows__block(const struct base_rows_place *place, uint32_t i)
{
    __extension__ unsigned __int128 wide = (unsigned __int128)place->block_factor * i;
    return (uint32_t)(wide >> 43);
}
static inline uint8_t *base_rows__place(const struct base_rows_place *place, uint32_t i)
{
    uint32_t b = base_rows__block(place, i);
    return place->region + (size_t)b * BASE_ROWS_BLOCK_BYTES +
           (size_t)(i - b * place->rows_per_block) * place->row_bytes;
}

struct base_rows_options {
    const char *name;   /* static; unique among tables, stored in snapshots */
    uint32_t row_bytes; /* multiple of 8, at most BASE_ROWS_BLOCK_BYTES */
    uint32_t count_max; /* rows, index 0 included; reserved as address space only */
};

/* FR_MEMORY when the addresses cannot be reserved. Options are copied; the name is not. */
FR_MUST_USE enum fr_status base_rows_new(const struct base_rows_options *options,
                                         struct fr_error *error, struct base_rows **out_rows);
void base_rows_free(struct base_rows *rows);

/* What it is and how full it is. Any thread. */
const char *base_rows_name(const struct base_rows *rows);
uint32_t base_rows_row_bytes(const struct base_rows *rows);
static inline uint32_t base_rows_count(
    const struct base_rows *rows) /* in use, 0 included; acquire */
{
    const struct base_rows_place *place = (const struct base_rows_place *)(const void *)rows;
    return __atomic_load_n(&place->count, __ATOMIC_ACQUIRE); /* pairs with base_rows_add() */
}
uint32_t base_rows_count_max(const struct base_rows *rows);
size_t base_rows_bytes(const struct base_rows *rows); /* touched memory, for the budget */

/* Writer. A zeroed row at the end, or 0 when count_max is reached. Publishes with release. */
uint32_t base_rows_add(struct base_rows *rows);
/* Writer. `count` consecutive zeroed rows (heaps); the first index, or 0 when they do not fit. */
uint32_t base_rows_add_run(struct base_rows *rows, uint32_t count);
/* Writer. A pointer for changing row i, or rows i .. i + count - 1 (R1). */
void *base_rows_write(struct base_rows *rows, uint32_t i);
void *base_rows_write_run(struct base_rows *rows, uint32_t i, uint32_t count);
/* The owner's own saved and hashed words: free-list heads, cursors. Writer. */
uint64_t *base_rows_meta(struct base_rows *rows);

/* Any thread that knows i < count: the row in place. The writer may read it plainly; others use
 * FR_LOAD on its fields. */
static inline const void *base_rows_at(const struct base_rows *rows, uint32_t i)
{
    return base_rows__place((const struct base_rows_place *)(const void *)rows, i);
}
static inline void base_rows_prefetch(const struct base_rows *rows, uint32_t i)
{
    __builtin_prefetch(base_rows_at(rows, i));
}
/* Word-wise atomic copies; offset and bytes are multiples of 4. */
void base_rows_copy(void *to, const void *from, size_t bytes);
void base_rows_put(void *to, const void *from, size_t bytes);

/* R2. The version is the row's first u32. */
void base_row_change(uint32_t *version); /* writer: odd; orders later stores after it */
void base_row_done(uint32_t *version);   /* writer: even; orders earlier stores before it */
static inline uint32_t base_row_read_begin(const uint32_t *version) /* spins while odd */
{
    uint32_t began;
    do {
        began = __atomic_load_n(version, __ATOMIC_ACQUIRE); /* pairs with base_row_done() */
    } while (began & 1);
    return began;
}
static inline bool base_row_read_ok(const uint32_t *version, uint32_t began) /* false: read again */
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the fence in base_row_change() */
    return FR_LOAD(*version) == began;
}

/* Digest of name, count, meta and every row in order. Writer, or any thread at rest. */
void base_rows_digest(const struct base_rows *rows, struct base_digest *digest);

/* Snapshots: see above. The pool is shared by the tables of one state. */
struct base_pool;
FR_MUST_USE enum fr_status base_pool_new(size_t bytes_max, struct base_pool **out_pool);
void base_pool_free(struct base_pool *pool);
size_t base_pool_used_max(const struct base_pool *pool); /* high-water mark since the last freeze */

void base_rows_freeze(struct base_rows *rows, struct base_pool *pool); /* writer */
uint32_t base_rows_frozen_blocks(const struct base_rows *rows);        /* snapshot thread */
uint32_t base_rows_frozen_count(const struct base_rows *rows);
const uint64_t *base_rows_frozen_meta(const struct base_rows *rows);
/* Copies block b as it was at the freeze into `to` (BASE_ROWS_BLOCK_BYTES); gives its used bytes,
 * 0 when it has been taken already. Each block once, in any order: take those that wait in the pool
 * first (base_pool_next), or the writer may wait for long. */
size_t base_rows_frozen_block(struct base_rows *rows, uint32_t b, void *to);
/* The block that waits longest, until base_rows_frozen_block() takes it; false when none waits. */
bool base_pool_next(struct base_pool *pool, struct base_rows **out_rows, uint32_t *out_b);
/* Snapshot thread, after the last block or on failure. */
void base_rows_thaw(struct base_rows *rows);

/* Loading: count, meta, then blocks in order. Before any reader. FR_CORRUPT when count or sizes do
 * not fit the table. */
FR_MUST_USE enum fr_status base_rows_load_begin(struct base_rows *rows, uint32_t count,
                                                const uint64_t meta[BASE_ROWS_META_WORDS]);
FR_MUST_USE enum fr_status base_rows_load_block(struct base_rows *rows, uint32_t b,
                                                const void *from, size_t bytes);
/* Back to empty (tests, refold). At rest. */
void base_rows_clear(struct base_rows *rows);

#endif
