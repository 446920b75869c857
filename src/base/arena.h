/* SPDX-License-Identifier: Apache-2.0
 *
 * base_arena: memory of one request. Bump allocation from one fixed block, reset at the end, with a
 * sticky overflow mark: a caller need not test every allocation, the request fails once, cleanly,
 * when base_arena_overflowed() is asked at its end. Thread: one at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/base.h"

struct base_arena {
    uint8_t *block;
    size_t bytes_max;
    size_t used;
    size_t wanted_max; /* high-water mark of what was asked for, overflow included */
    bool overflowed;
    bool owns_block;
};

/* Owns a fresh block of bytes_max. FR_MEMORY when there is none. */
FR_MUST_USE enum fr_status base_arena_init(struct base_arena *arena, size_t bytes_max);
/* Uses the caller's block; release() leaves it alone. */
void base_arena_init_with(struct base_arena *arena, void *block, size_t bytes);
void base_arena_release(struct base_arena *arena);
void base_arena_clear(struct base_arena *arena);

/* Uninitialised bytes, 16-aligned (64 for 1 KiB and more). NULL after an overflow, which is then
 * marked for good: until clear() every later call returns NULL too. */
void *base_arena_alloc(struct base_arena *arena, size_t bytes);
void *base_arena_zalloc(struct base_arena *arena, size_t bytes);
struct fr_slice base_arena_dup(struct base_arena *arena, struct fr_slice text);
bool base_arena_overflowed(const struct base_arena *arena);

/* Everything allocated after mark() is given back by rewind(). */
size_t base_arena_mark(const struct base_arena *arena);
void base_arena_rewind(struct base_arena *arena, size_t mark);

#endif
