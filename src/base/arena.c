/* SPDX-License-Identifier: Apache-2.0
 *
 * base_arena: see the door. Thread: one at a time. Owner: the block, when init() made it.
 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN_SMALL = 16, ALIGN_LARGE = 64, LARGE_BYTES = 1024, PAGE_LARGE = 2 << 20 };

enum fr_status base_arena_init(struct base_arena *arena, size_t bytes_max)
{
    void *block = NULL;
    bool large = bytes_max >= 2 * (size_t)PAGE_LARGE; /* few page walks; a wish to the kernel */
    if (posix_memalign(&block, large ? PAGE_LARGE : ALIGN_LARGE, bytes_max) != 0)
        return FR_MEMORY;
    if (large)
        (void)madvise(block, bytes_max & ~((size_t)PAGE_LARGE - 1), MADV_HUGEPAGE);
    base_arena_init_with(arena, block, bytes_max);
    arena->owns_block = true;
    return FR_OK;
}

void base_arena_init_with(struct base_arena *arena, void *block, size_t bytes)
{
    FR_ASSERT(block != NULL);
    *arena = (struct base_arena){.block = block, .bytes_max = bytes};
}

void base_arena_release(struct base_arena *arena)
{
    if (arena->owns_block)
        free(arena->block);
    *arena = (struct base_arena){0};
}

void base_arena_clear(struct base_arena *arena)
{
    arena->used = 0;
    arena->overflowed = false;
}

void *base_arena_alloc(struct base_arena *arena, size_t bytes)
{
    size_t align = bytes >= LARGE_BYTES ? ALIGN_LARGE : ALIGN_SMALL;
    uintptr_t start = ((uintptr_t)arena->block + arena->used + align - 1) & ~(uintptr_t)(align - 1);
    size_t offset = start - (uintptr_t)arena->block;
    if (arena->overflowed || bytes > arena->bytes_max || offset > arena->bytes_max - bytes) {
        arena->overflowed = true;
        size_t wanted = bytes > SIZE_MAX - offset ? SIZE_MAX : offset + bytes;
        arena->wanted_max = FR_MAX(arena->wanted_max, wanted);
        return NULL;
    }
    arena->used = offset + bytes;
    arena->wanted_max = FR_MAX(arena->wanted_max, arena->used);
    return (void *)start;
}

void *base_arena_zalloc(struct base_arena *arena, size_t bytes)
{
    void *memory = base_arena_alloc(arena, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

struct fr_slice base_arena_dup(struct base_arena *arena, struct fr_slice text)
{
    char *copy = base_arena_alloc(arena, text.bytes + 1);
    if (!copy)
        return (struct fr_slice){0};
    if (text.bytes)
        memcpy(copy, text.ptr, text.bytes);
    copy[text.bytes] = '\0';
    return fr_slice_of(copy, text.bytes);
}

bool base_arena_overflowed(const struct base_arena *arena)
{
    return arena->overflowed;
}

size_t base_arena_mark(const struct base_arena *arena)
{
    return arena->used;
}

void base_arena_rewind(struct base_arena *arena, size_t mark)
{
    FR_ASSERT(mark <= arena->used);
    arena->used = mark;
}
