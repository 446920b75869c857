/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest__window: a stretch of the decompressed content, moved along as records are taken. A record
 * is whole in memory and at most INGEST_RECORD_BYTES_MAX long; what it points to lives until the
 * next one. Thread: one at a time.
 */
#include "ingest/ingest_priv.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 2 * INGEST_RECORD_BYTES_MAX, STEP_BYTES = 64 * 1024 };

enum fr_status ingest__window_init(struct ingest__window *window, struct ingest__source *source)
{
    *window =
        (struct ingest__window){.source = source, .bytes = malloc(CAPACITY), .capacity = CAPACITY};
    return window->bytes ? FR_OK : FR_MEMORY;
}

void ingest__window_release(struct ingest__window *window)
{
    ingest__source_close(window->source);
    free(window->bytes);
    *window = (struct ingest__window){0};
}

enum fr_status ingest__window_fill(struct ingest__window *window, size_t bytes,
                                   struct fr_error *error)
{
    FR_ASSERT(bytes <= window->capacity);
    while (window->count < bytes && !window->end) {
        size_t space = window->capacity - window->first - window->count;
        if (space < STEP_BYTES && window->first > 0) {
            memmove(window->bytes, window->bytes + window->first, window->count);
            window->first = 0;
            space = window->capacity - window->count;
        }
        size_t count;
        FR_TRY(ingest__source_read(window->source, window->bytes + window->first + window->count,
                                   FR_MIN(space, (size_t)STEP_BYTES), &count, error));
        window->count += count;
        window->end = count == 0;
    }
    return FR_OK;
}

struct fr_slice ingest__window_peek(const struct ingest__window *window)
{
    return fr_slice_of((const char *)window->bytes + window->first, window->count);
}

void ingest__window_pass(struct ingest__window *window, size_t bytes)
{
    FR_ASSERT(bytes <= window->count);
    window->first += bytes;
    window->count -= bytes;
}

static struct fr_slice without_line_end(struct fr_slice record)
{
    if (record.bytes && record.ptr[record.bytes - 1] == '\n')
        record.bytes--;
    if (record.bytes && record.ptr[record.bytes - 1] == '\r')
        record.bytes--;
    return record;
}

/* Passes the rest of a record that was too long. */
static enum fr_status skip_rest(struct ingest__window *window, struct fr_error *error)
{
    while (window->skipping) {
        FR_TRY(ingest__window_fill(window, 1, error));
        struct fr_slice text = ingest__window_peek(window);
        const char *end = text.bytes ? memchr(text.ptr, '\n', text.bytes) : NULL;
        ingest__window_pass(window, end ? (size_t)(end - text.ptr) + 1 : text.bytes);
        window->skipping = !end && !window->end;
    }
    return FR_OK;
}

/* A quote that is never closed must not swallow what follows: the line alone is the record. */
static size_t one_line(struct fr_slice text)
{
    const char *end = memchr(text.ptr, '\n', text.bytes);
    return end ? (size_t)(end - text.ptr) + 1 : text.bytes;
}

enum fr_status ingest__window_record(struct ingest__window *window, const char *quoting_separator,
                                     struct fr_slice *out_record, struct fr_error *error)
{
    size_t bytes = 0, wanted = 1;
    FR_TRY(skip_rest(window, error));
    while (bytes == 0) {
        FR_TRY(ingest__window_fill(window, wanted, error));
        struct fr_slice text = ingest__window_peek(window);
        if (text.bytes == 0)
            return FR_END;
        bytes = ingest__record_bytes(text, quoting_separator);
        if (bytes == 0 && (window->end || text.bytes >= INGEST_RECORD_BYTES_MAX))
            bytes = one_line(text);
        wanted = FR_MIN(text.bytes + 1, (size_t)INGEST_RECORD_BYTES_MAX);
    }
    struct fr_slice text = ingest__window_peek(window);
    window->row++;
    *out_record = without_line_end(fr_slice_of(text.ptr, bytes));
    ingest__window_pass(window, bytes);
    if (bytes <= INGEST_RECORD_BYTES_MAX && (text.ptr[bytes - 1] == '\n' || window->end))
        return FR_OK;
    window->skipping = text.ptr[bytes - 1] != '\n';
    return FR_FULL;
}

static size_t space_bytes(struct fr_slice text)
{
    size_t at = 0;
    while (at < text.bytes && text.ptr[at] != '\0' && strchr(" \t\r\n", text.ptr[at]))
        at++;
    return at;
}

/* Passes space; gives the character behind it, '\0' at the end. */
static enum fr_status next_character(struct ingest__window *window, char *out_next,
                                     struct fr_error *error)
{
    struct fr_slice text;
    size_t space;
    do {
        FR_TRY(ingest__window_fill(window, 1, error));
        text = ingest__window_peek(window);
        space = space_bytes(text);
        ingest__window_pass(window, space);
    } while (text.bytes > 0 && space == text.bytes);
    *out_next = space < text.bytes ? text.ptr[space] : '\0';
    return FR_OK;
}

enum fr_status ingest__window_element(struct ingest__window *window, struct fr_slice *out_element,
                                      struct fr_error *error)
{
    size_t at, wanted = STEP_BYTES;
    const char *what = "";
    char next;
    FR_TRY(next_character(window, &next, error));
    if (next == ']') {
        ingest__window_pass(window, 1);
        return FR_END;
    }
    if (window->row > 0) {
        if (next != ',')
            return base_fail(error, FR_INVALID, "ingest",
                             "the JSON array breaks off after element %llu: %s",
                             (unsigned long long)window->row,
                             next ? "no comma or closing bracket" : "no closing bracket");
        ingest__window_pass(window, 1);
    }
    for (;;) {
        FR_TRY(ingest__window_fill(window, wanted, error));
        at = 0;
        struct fr_slice text = ingest__window_peek(window);
        bool ok = schema_json_scan(text, &at, &what) == FR_OK;
        /* a number at the very end may go on */
        if (ok && (at < text.bytes || window->end))
            break;
        if (window->end || text.bytes >= INGEST_RECORD_BYTES_MAX)
            return base_fail(error, FR_INVALID, "ingest",
                             "malformed JSON array: %s in element %llu", what,
                             (unsigned long long)window->row + 1);
        wanted = FR_MIN(text.bytes * 2, (size_t)INGEST_RECORD_BYTES_MAX);
    }
    struct fr_slice text = ingest__window_peek(window);
    size_t space = space_bytes(text);
    *out_element = fr_slice_of(text.ptr + space, at - space);
    window->row++;
    ingest__window_pass(window, at);
    return FR_OK;
}
