/* SPDX-License-Identifier: Apache-2.0
 *
 * base: status, error, slice and the assertions that every room speaks in.
 *
 * Errors are `enum fr_status` by value, must-use. Outputs are `out_x`, come last and are untouched
 * on failure. Detail goes into one `struct fr_error` that the caller owns (may be NULL: no detail).
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fr_status {
    FR_OK = 0,
    FR_AGAIN,       /* nothing now, try later: an empty queue, a busy lock */
    FR_END,         /* the end of what is read: a file, a cursor */
    FR_FULL,        /* a named maximum is reached */
    FR_NOT_FOUND,   /* no such thing */
    FR_EXISTS,      /* it is there already */
    FR_INVALID,     /* the input breaks a rule; the message says which and where */
    FR_TIMEOUT,     /* a deadline passed */
    FR_CORRUPT,     /* stored bytes fail their check */
    FR_IO,          /* the operating system refused */
    FR_NO_SPACE,    /* the disk is full */
    FR_DENIED,      /* no right to do it */
    FR_MEMORY,      /* no memory */
    FR_UNSUPPORTED, /* a format or feature that this build does not know */
    FR_STATUS_COUNT
};

#define FR_MUST_USE __attribute__((warn_unused_result))
#define FR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* What went wrong, on what, and what to do. Owned by the caller; fixed size, never allocates. */
struct fr_error {
    enum fr_status status;
    bool retriable;    /* the same call may succeed later */
    bool fatal;        /* the process must stop acknowledging and recover */
    const char *room;  /* static string: the room that decided */
    char message[384]; /* what happened, on what */
    char hint[192];    /* what to do; may be empty */
};

/* A borrowed run of bytes; not NUL-terminated. ptr may be NULL when bytes is 0. */
struct fr_slice {
    const char *ptr;
    size_t bytes;
};

#define FR_SLICE(literal) ((struct fr_slice){(literal), sizeof(literal) - 1})

/* Fills error (when not NULL) and returns status, so that a failing function ends in
 * `return base_fail(error, FR_IO, "journal", "cannot ...", ...)`. The hint is set by base_hint().
 */
enum fr_status base_fail(struct fr_error *error, enum fr_status status, const char *room,
                         const char *format, ...) FR_PRINTF(4, 5);
void base_hint(struct fr_error *error, const char *format, ...) FR_PRINTF(2, 3);

/* "corrupt", "not found", ...: static, for people and for problem+json codes. */
const char *base_status_name(enum fr_status status);

/* Returns from the calling function with the status of expr unless it is FR_OK. */
#define FR_TRY(expr)                                                                               \
    do {                                                                                           \
        enum fr_status fr_try_status_ = (expr);                                                    \
        if (fr_try_status_ != FR_OK)                                                               \
            return fr_try_status_;                                                                 \
    } while (0)

/* Ignores a status on purpose; `why` is for the reader and for grep. */
static inline void fr_ignore(enum fr_status status, const char *why)
{
    (void)status;
    (void)why;
}

/* A broken promise of this program's own code. Stays on in release; never used on input. */
#define FR_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            base_assert_failed(#cond, __FILE__, __LINE__);                                         \
    } while (0)
__attribute__((noreturn)) void base_assert_failed(const char *what, const char *file, int line);

static inline struct fr_slice fr_slice_of(const char *ptr, size_t bytes)
{
    return (struct fr_slice){ptr, bytes};
}
struct fr_slice fr_slice_str(const char *str); /* NUL-terminated; NULL gives an empty slice */
bool fr_slice_equal(struct fr_slice a, struct fr_slice b);

/* A field that one writer changes while readers look: single words, relaxed. Where several words
 * must agree, the owner adds a version (see base/rows.h). */
#define FR_LOAD(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_RELAXED)
#define FR_STORE(lvalue, value) __atomic_store_n(&(lvalue), (value), __ATOMIC_RELAXED)

#define FR_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FR_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
