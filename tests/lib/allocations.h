/* SPDX-License-Identifier: Apache-2.0
 *
 * allocations: counts this thread's calls of malloc and its family. Included once in an executable,
 * which then has these in place of the C library's (they hand on to glibc's own names for them, so
 * that sanitizers, which have allocators of their own, never see a block of one in the hands of the
 * other). What libraries call inside comes here, too.
 */
#ifndef TESTS_ALLOCATIONS_H
#define TESTS_ALLOCATIONS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

/* They are called before a sanitizer is awake. */
#if __has_attribute(disable_sanitizer_instrumentation) /* of entries and exits, too: clang */
#define UNWATCHED __attribute__((disable_sanitizer_instrumentation))
#else
#define UNWATCHED __attribute__((no_sanitize("thread", "address", "undefined")))
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

UNWATCHED void *malloc(size_t bytes)
{
    allocations += counting;
    return __libc_malloc(bytes);
}

UNWATCHED void *calloc(size_t count, size_t bytes)
{
    allocations += counting;
    return __libc_calloc(count, bytes);
}

UNWATCHED void *realloc(void *old, size_t bytes)
{
    allocations += counting;
    return __libc_realloc(old, bytes);
}

UNWATCHED void *aligned_alloc(size_t align, size_t bytes)
{
    allocations += counting;
    return __libc_memalign(align, bytes);
}

UNWATCHED int posix_memalign(void **out, size_t align, size_t bytes)
{
    *out = aligned_alloc(align, bytes);
    return *out ? 0 : ENOMEM;
}

UNWATCHED char *strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

UNWATCHED void free(void *block)
{
    allocations += counting;
    __libc_free(block);
}

/* Does it count? 3 allocations and 2 releases. */
static bool allocations_counted(void)
{
    count_from_here(true);
    void *volatile one = calloc(1, 8); /* volatile: or the compiler leaves them out */
    one = realloc(one, 16);
    free(one);
    one = malloc(5);
    free(one);
    count_from_here(false);
    return allocations == 5;
}

#endif
