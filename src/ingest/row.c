/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest__row: records of separated values into fields. With quotes as RFC 4180: a field that
 * begins with a quote ends with one; inside, two mean one, and separators and line ends are text. A
 * quote elsewhere is a letter, as spreadsheets read it. Thread: any.
 */
#include "ingest/ingest_priv.h"

#include <string.h>

/* Where a quoted field that begins at `at` (its quote) ends: behind the closing quote; 0: nowhere.
 */
static size_t quoted_end(struct fr_slice text, size_t at)
{
    at++;
    while (at < text.bytes) {
        const char *quote = memchr(text.ptr + at, '"', text.bytes - at);
        if (!quote)
            return 0;
        at = (size_t)(quote - text.ptr) + 1;
        if (at == text.bytes || text.ptr[at] != '"')
            return at;
        at++; /* two quotes: one of the text */
    }
    return 0;
}

static bool starts_with(struct fr_slice text, size_t at, const char *prefix, size_t bytes)
{
    return text.bytes - at >= bytes && memcmp(text.ptr + at, prefix, bytes) == 0;
}

size_t ingest__record_bytes(struct fr_slice text, const char *quoting_separator)
{
    const char *line_end = memchr(text.ptr, '\n', text.bytes);
    size_t line = line_end ? (size_t)(line_end - text.ptr) + 1 : 0;
    if (!quoting_separator)
        return line;
    if (line && !memchr(text.ptr, '"', line))
        return line;
    size_t separator_bytes = strlen(quoting_separator);
    bool field_begins = true;
    for (size_t at = 0; at < text.bytes;) {
        if (field_begins && text.ptr[at] == '"') {
            at = quoted_end(text, at);
            if (at == 0)
                return 0;
            field_begins = false;
        } else if (text.ptr[at] == '\n') {
            return at + 1;
        } else if (starts_with(text, at, quoting_separator, separator_bytes)) {
            at += separator_bytes;
            field_begins = true;
        } else {
            at++;
            field_begins = false;
        }
    }
    return 0;
}

/* `inner` with doubled quotes: undone in the scratch, which was reserved for the whole record. */
static struct fr_slice undouble(struct base_buf *scratch, struct fr_slice inner)
{
    if (!memchr(inner.ptr, '"', inner.bytes))
        return inner;
    size_t first = scratch->count;
    for (size_t i = 0; i < inner.bytes; i++) {
        base_buf_put_u8(scratch, (uint8_t)inner.ptr[i]);
        i += inner.ptr[i] == '"';
    }
    return fr_slice_of((const char *)scratch->bytes + first, scratch->count - first);
}

static void add_field(struct ingest__row *row, struct fr_slice field)
{
    if (row->count < INGEST_FIELDS_MAX)
        row->field[row->count] = field;
    row->count++;
}

static size_t separator_at(struct fr_slice record, size_t at, const char *separator, size_t bytes)
{
    while (at < record.bytes) {
        const char *found = memchr(record.ptr + at, separator[0], record.bytes - at);
        if (!found)
            return record.bytes;
        at = (size_t)(found - record.ptr);
        if (starts_with(record, at, separator, bytes))
            return at;
        at++;
    }
    return record.bytes;
}

const char *ingest__row_split(struct ingest__row *row, struct fr_slice record,
                              const char *separator, bool quotes)
{
    size_t separator_bytes = strlen(separator), at = 0;
    row->count = 0;
    base_buf_clear(&row->scratch);
    if (quotes && !base_buf_reserve(&row->scratch, record.bytes + 1))
        return "is too long";
    for (;;) {
        size_t end;
        if (quotes && at < record.bytes && record.ptr[at] == '"') {
            size_t close = quoted_end(record, at);
            if (close == 0)
                return "has a quote that is not closed";
            add_field(row,
                      undouble(&row->scratch, fr_slice_of(record.ptr + at + 1, close - at - 2)));
            end = close;
            if (end < record.bytes && !starts_with(record, end, separator, separator_bytes))
                return "has text behind a closing quote";
        } else {
            end = separator_at(record, at, separator, separator_bytes);
            add_field(row, fr_slice_of(record.ptr + at, end - at));
        }
        if (end == record.bytes)
            return NULL;
        at = end + separator_bytes;
    }
}
