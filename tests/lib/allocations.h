/* SPDX-License-Identifier: Apache-2.0
 *
 * allocations: counts this thread's calls of malloc and its family. Included once in an executable,
 * which then has these in place of the C library's (they hand on to glibc's own names for them).
 * Under a sanitizer, which has an allocator of its own, its hooks count. What libraries call inside
 * comes here, too.
 */
#ifndef TESTS_ALLOCATIONS_H
#define TESTS_ALLOCATIONS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

static _Thread_local bool counting;
static _Thread_local uint32_t allocations; /* and releases */

/* The compiler believes that malloc() does not look at these. */
static void count_from_here(bool on)
{
    counting = on;
    if (on)
        allocations = 0;
    __asm__ volatile("" ::: "memory");
}

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)

void __sanitizer_malloc_hook(const volatile void *block, size_t bytes);
void __sanitizer_malloc_hook(const volatile void *block, size_t bytes)
{
    (void)block;
    (void)bytes;
    allocations += counting;
}

void __sanitizer_free_hook(const volatile void *block);
void __sanitizer_free_hook(const volatile void *block)
{
    (void)block;
    allocations += counting;
}

#else

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

void *malloc(size_t bytes)
{
    allocations += counting;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations += counting;
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    allocations += counting;
    return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    allocations += counting;
    return __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
    *out = aligned_alloc(align, bytes);
    return *out ? 0 : ENOMEM;
}

char *strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

void free(void *block)
{
    allocations += counting;
    __libc_free(block);
}

#endif

/* Does it count? 3 allocations and 2 releases; a sanitizer's realloc is one of each. */
static bool allocations_counted(void)
{
    count_from_here(true);
    void *volatile one = calloc(1, 8); /* volatile: or the compiler leaves them out */
    one = realloc(one, 16);
    free(one);
    one = malloc(5);
    free(one);
    count_from_here(false);
    return allocations == 5 || allocations == 6;
}

#endif
