/* SPDX-License-Identifier: Apache-2.0
 *
 * schema_json_split: a body into its documents. An array is first scanned whole (a malformed one is
 * refused before anything of it is taken) and its elements' places kept; lines go straight through.
 * Thread: one at a time per parser.
 */
#include "schema/schema_priv.h"

#include <stdlib.h>
#include <string.h>

static bool push_span(struct schema_json *json, size_t count, struct schema__span span)
{
    if (count == json->span_capacity) {
        size_t capacity = count ? count * 2 : 64;
        struct schema__span *moved = realloc(json->spans, capacity * sizeof(*moved));
        if (!moved)
            return false;
        json->spans = moved;
        json->span_capacity = capacity;
    }
    json->spans[count] = span;
    return true;
}

static enum fr_status malformed(struct fr_slice body, size_t at, const char *what,
                                struct fr_error *error)
{
    char seen[32];
    schema__seen(seen, sizeof(seen), fr_slice_of(body.ptr + at, FR_MIN(body.bytes - at, 16u)));
    fr_ignore(base_fail(error, FR_INVALID, "schema",
                        "malformed JSON array: %s at byte %zu (\"%s\")", what, at, seen),
              "returned below");
    base_hint(error, "nothing of the body was taken; send one object a line (NDJSON) to have the "
                     "good ones taken");
    return FR_INVALID;
}

static enum fr_status too_many(uint32_t count_max, struct fr_error *error)
{
    return base_fail(error, FR_FULL, "schema", "the body has more than %u things, the limit",
                     count_max);
}

/* Behind an element: passes a comma, or the closing bracket and all behind it. */
static const char *after_element(struct fr_slice body, size_t *at, bool *out_more)
{
    *at = schema__scan_space(body, *at);
    *out_more = *at < body.bytes && body.ptr[*at] == ',';
    if (*out_more) {
        *at = schema__scan_space(body, *at + 1);
        return NULL;
    }
    if (*at == body.bytes || body.ptr[*at] != ']')
        return *at == body.bytes ? "the end before the closing bracket"
                                 : "no comma or closing bracket where one should be";
    *at = schema__scan_space(body, *at + 1);
    return *at == body.bytes ? NULL : "something after the array";
}

/* Finds the elements. at: behind the opening bracket. */
static enum fr_status find_elements(struct schema_json *json, struct fr_slice body, size_t at,
                                    uint32_t count_max, struct fr_error *error)
{
    uint32_t count = 0;
    const char *what = NULL;
    bool more = true;
    at = schema__scan_space(body, at);
    if (at < body.bytes && body.ptr[at] == ']') {
        at = schema__scan_space(body, at + 1);
        more = false;
        what = at == body.bytes ? NULL : "something after the array";
    }
    while (more && !what) {
        size_t first = at;
        if (schema_json_scan(body, &at, &what) != FR_OK)
            break;
        if (count == count_max)
            return too_many(count_max, error);
        if (!push_span(json, count, (struct schema__span){first, at - first}))
            return base_fail(error, FR_MEMORY, "schema", "no memory for %u elements", count);
        count++;
        what = after_element(body, &at, &more);
    }
    if (what)
        return malformed(body, at, what, error);
    return push_span(json, count, (struct schema__span){0, 0}) /* ends the list */
               ? FR_OK
               : base_fail(error, FR_MEMORY, "schema", "no memory for %u elements", count);
}

static enum fr_status split_array(struct schema_json *json, struct fr_slice body,
                                  schema_each_fn each, void *context)
{
    /* `each` may parse, which leaves the spans alone, but not split. */
    for (uint32_t i = 0; json->spans[i].bytes; i++)
        FR_TRY(each(context, i, fr_slice_of(body.ptr + json->spans[i].at, json->spans[i].bytes)));
    return FR_OK;
}

/* The next line that is not blank, trimmed; false at the end. */
static bool next_line(struct fr_slice body, size_t *at, struct fr_slice *out_line)
{
    while ((*at = schema__scan_space(body, *at)) < body.bytes) {
        const char *first = body.ptr + *at, *end = memchr(first, '\n', body.bytes - *at);
        size_t bytes = end ? (size_t)(end - first) : body.bytes - *at;
        *at += bytes;
        while (bytes > 0 &&
               (first[bytes - 1] == '\r' || first[bytes - 1] == ' ' || first[bytes - 1] == '\t'))
            bytes--;
        *out_line = fr_slice_of(first, bytes);
        return true;
    }
    return false;
}

/* One object over several lines, rather than NDJSON: its first line is no value of its own, and
 * either the whole is one, or the first line does not even end like one. */
static bool is_one_object(struct fr_slice body)
{
    struct fr_slice line;
    size_t at = 0;
    const char *what;
    if (!next_line(body, &at, &line) || schema__scan_space(body, at) == body.bytes)
        return true;
    if (line.ptr[0] != '{' || schema_json_fault(line, &what) < 0)
        return false;
    return line.ptr[line.bytes - 1] != '}' || schema_json_fault(body, &what) < 0;
}

static enum fr_status split_lines(struct fr_slice body, uint32_t count_max, schema_each_fn each,
                                  void *context, struct fr_error *error)
{
    struct fr_slice line;
    uint32_t count = 0;
    size_t at = 0;
    while (next_line(body, &at, &line) && count <= count_max)
        count++;
    if (count > count_max)
        return too_many(count_max, error);
    at = 0;
    for (uint32_t i = 0; i < count && next_line(body, &at, &line); i++)
        FR_TRY(each(context, i, line));
    return FR_OK;
}

static struct fr_slice trimmed(struct fr_slice body)
{
    if (body.bytes >= 3 && memcmp(body.ptr, "\xef\xbb\xbf", 3) == 0)
        body = fr_slice_of(body.ptr + 3, body.bytes - 3);
    size_t at = schema__scan_space(body, 0);
    body = fr_slice_of(body.ptr + at, body.bytes - at);
    while (body.bytes > 0 && body.ptr[body.bytes - 1] != '\0' &&
           strchr(" \t\r\n", body.ptr[body.bytes - 1]))
        body.bytes--;
    return body;
}

enum fr_status schema_json_split(struct schema_json *json, struct fr_slice body, uint32_t count_max,
                                 schema_each_fn each, void *context, struct fr_error *error)
{
    if (body.ptr)
        body = trimmed(body);
    if (body.bytes == 0)
        return base_fail(error, FR_INVALID, "schema", "the body is empty");
    if (body.ptr[0] == '[') {
        FR_TRY(find_elements(json, body, 1, count_max, error));
        return split_array(json, body, each, context);
    }
    if (body.ptr[0] == '{' && is_one_object(body))
        return count_max == 0 ? too_many(count_max, error) : each(context, 0, body);
    return split_lines(body, count_max, each, context, error);
}
