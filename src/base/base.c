/* SPDX-License-Identifier: Apache-2.0
 *
 * base: statuses, errors, slices. Thread: any. Owner: nothing is owned here.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[FR_STATUS_COUNT] = {
    [FR_OK] = "ok",
    [FR_AGAIN] = "try again",
    [FR_END] = "end",
    [FR_FULL] = "full",
    [FR_NOT_FOUND] = "not found",
    [FR_EXISTS] = "exists",
    [FR_INVALID] = "invalid",
    [FR_TIMEOUT] = "timeout",
    [FR_CORRUPT] = "corrupt",
    [FR_IO] = "input/output",
    [FR_NO_SPACE] = "no space",
    [FR_DENIED] = "denied",
    [FR_MEMORY] = "out of memory",
    [FR_UNSUPPORTED] = "unsupported",
};

const char *base_status_name(enum fr_status status)
{
    if ((unsigned)status >= FR_STATUS_COUNT)
        return "unknown";
    return status_names[status];
}

enum fr_status base_fail(struct fr_error *error, enum fr_status status, const char *room,
                         const char *format, ...)
{
    FR_ASSERT(status != FR_OK);
    if (!error)
        return status;
    *error = (struct fr_error){.status = status, .room = room};
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    return status;
}

void base_hint(struct fr_error *error, const char *format, ...)
{
    if (!error)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(error->hint, sizeof(error->hint), format, args);
    va_end(args);
}

_Noreturn void base_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "freshet: internal error: %s does not hold at %s:%d; stopping before harm\n",
            what, file, line);
    abort();
}

struct fr_slice fr_slice_str(const char *str)
{
    return fr_slice_of(str, str ? strlen(str) : 0);
}

bool fr_slice_equal(struct fr_slice a, struct fr_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.ptr, b.ptr, a.bytes) == 0);
}
