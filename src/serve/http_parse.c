/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_parse: HTTP/1.1 messages, read strictly (RFC 9112). Pure functions over bytes; no
 * sockets.
 *
 * Strict means: CRLF and nothing else ends a line; no folded lines; one space where the grammar has
 * one; names are tokens; a chunk size is hexadecimal digits. Every leniency here would be a place
 * where a proxy before us may see another message than we do (H1).
 */
#include <string.h>

#include "serve/http_priv.h"

enum { CHUNK_DIGITS_MAX = 15, CHUNK_LINE_MAX = 256, TRAILER_BYTES_MAX = 4096 };

static bool is_token(unsigned char c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr(marks, c) != NULL);
}

/* ---- the head ---------------------------------------------------------------------------- */

enum http_progress http__head_scan(const char *bytes, size_t count, size_t *scanned,
                                   size_t *out_end)
{
    size_t at = *scanned;
    for (; at < count; at++) {
        char c = bytes[at];
        if (c == '\0')
            return HTTP_BAD;
        if (c == '\r') {
            if (at + 1 == count)
                break; /* its line feed has not come yet */
            if (bytes[at + 1] != '\n')
                return HTTP_BAD;
        }
        if (c != '\n')
            continue;
        if (at == 0 || bytes[at - 1] != '\r')
            return HTTP_BAD;
        if (at >= 3 && bytes[at - 2] == '\n') {
            *out_end = at + 1;
            return HTTP_DONE;
        }
    }
    *scanned = at;
    return HTTP_MORE;
}

static struct fr_slice line_next(const char **at, const char *end)
{
    const char *first = *at;
    const char *stop = memchr(first, '\r', (size_t)(end - first)); /* always there: scanned */
    *at = stop + 2;
    return fr_slice_of(first, (size_t)(stop - first));
}

static enum http_method method_of(struct fr_slice name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } row[] = {{"GET", HTTP_GET},        {"POST", HTTP_POST},     {"HEAD", HTTP_HEAD},
               {"PUT", HTTP_PUT},        {"DELETE", HTTP_DELETE}, {"PATCH", HTTP_PATCH},
               {"OPTIONS", HTTP_OPTIONS}};
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (strlen(row[i].name) == name.bytes && !memcmp(row[i].name, name.ptr, name.bytes))
            return row[i].method;
    return HTTP_OTHER;
}

static uint16_t version_parse(struct fr_slice text, struct http_head *out)
{
    bool form = text.bytes == 8 && memcmp(text.ptr, "HTTP/", 5) == 0 && text.ptr[5] >= '0' &&
                text.ptr[5] <= '9' && text.ptr[6] == '.' && text.ptr[7] >= '0' &&
                text.ptr[7] <= '9';
    out->code = "bad_request_line";
    if (!form)
        return out->detail = "the request line does not end in a version such as HTTP/1.1", 400;
    out->code = "bad_version";
    if (text.ptr[5] != '1')
        return out->detail = "only HTTP/1.1 and HTTP/1.0 are spoken here", 505;
    out->is_http10 = text.ptr[7] == '0';
    return 0;
}

static uint16_t request_line_parse(struct fr_slice line, struct http_request *request,
                                   struct http_head *out)
{
    const char *end = line.ptr + line.bytes;
    const char *one = memchr(line.ptr, ' ', line.bytes);
    const char *two = one ? memchr(one + 1, ' ', (size_t)(end - one - 1)) : NULL;
    out->code = "bad_request_line";
    if (!two || one == line.ptr || two == one + 1)
        return out->detail = "the request line is not METHOD TARGET VERSION", 400;
    request->method_name = fr_slice_of(line.ptr, (size_t)(one - line.ptr));
    request->target = fr_slice_of(one + 1, (size_t)(two - one - 1));
    for (size_t i = 0; i < request->method_name.bytes; i++)
        if (!is_token((unsigned char)request->method_name.ptr[i]))
            return out->detail = "the method is not a token", 400;
    request->method = method_of(request->method_name);
    if (request->target.bytes > HTTP_TARGET_BYTES_MAX) {
        out->code = "target_too_long";
        return out->detail = "more than 8,192 bytes of target", 414;
    }
    return version_parse(fr_slice_of(two + 1, (size_t)(end - two - 1)), out);
}

static bool header_parse(struct fr_slice line, struct http_header *out)
{
    const char *colon = memchr(line.ptr, ':', line.bytes);
    if (!colon || colon == line.ptr)
        return false;
    out->name = fr_slice_of(line.ptr, (size_t)(colon - line.ptr));
    const char *first = colon + 1, *stop = line.ptr + line.bytes;
    while (first < stop && (*first == ' ' || *first == '\t'))
        first++;
    while (stop > first && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    out->value = fr_slice_of(first, (size_t)(stop - first));
    return true; /* name and value are judged by http__head_check() */
}

uint16_t http__head_parse(const char *bytes, size_t count, struct http_request *request,
                          struct http_head *out)
{
    const char *at = bytes, *end = bytes + count - 2; /* the empty line */
    request->header_count = 0;
    uint16_t status = request_line_parse(line_next(&at, end), request, out);
    if (status)
        return status;
    while (at < end) {
        struct fr_slice line = line_next(&at, end);
        if (request->header_count == HTTP_HEADERS_MAX) {
            out->code = "too_many_headers";
            return out->detail = "more than 64 header lines", 431;
        }
        out->code = "bad_header";
        if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
            return out->detail = "a folded header line", 400;
        if (!header_parse(line, &request->header[request->header_count]))
            return out->detail = "a header line without a name and a colon", 400;
        request->header_count++;
    }
    return http__head_check(request, out);
}

/* ---- chunked bodies ----------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_field_byte(char c)
{
    return ((unsigned char)c >= 0x20 || c == '\t') && c != 0x7f;
}

/* The line of a chunk's size. False: malformed. */
static bool size_byte(struct http_chunks *chunks, char c)
{
    int digit = hex_of(c);
    if (chunks->state == HTTP_CHUNK_SIZE && digit >= 0) {
        chunks->left = chunks->left << 4 | (uint64_t)digit;
        return ++chunks->line_bytes <= CHUNK_DIGITS_MAX;
    }
    if (chunks->line_bytes == 0)
        return false;
    if (c == '\r') {
        chunks->state = HTTP_CHUNK_SIZE_LF;
        return true;
    }
    if (chunks->state == HTTP_CHUNK_SIZE) {
        chunks->state = HTTP_CHUNK_EXTENSION;
        return c == ';';
    }
    /* an extension is read over, as RFC 9112 section 7.1.1 asks */
    return ++chunks->line_bytes <= CHUNK_LINE_MAX && is_field_byte(c);
}

/* Fields after the last chunk: read over. False: malformed. */
static bool trailer_byte(struct http_chunks *chunks, char c)
{
    if (c == '\r') {
        chunks->state = chunks->line_bytes ? HTTP_CHUNK_TRAILER_LF : HTTP_CHUNK_LAST_LF;
        return true;
    }
    chunks->line_bytes++;
    return ++chunks->trailer_bytes <= TRAILER_BYTES_MAX && is_field_byte(c);
}

/* One byte of anything but data. False: malformed. */
static bool chunks_byte(struct http_chunks *chunks, char c)
{
    enum http_chunk_state state = chunks->state;
    if (state == HTTP_CHUNK_SIZE || state == HTTP_CHUNK_EXTENSION)
        return size_byte(chunks, c);
    if (state == HTTP_CHUNK_TRAILER)
        return trailer_byte(chunks, c);
    if (state == HTTP_CHUNK_DATA_CR) {
        chunks->state = HTTP_CHUNK_DATA_LF;
        return c == '\r';
    }
    chunks->line_bytes = 0; /* a line ends here */
    if (state == HTTP_CHUNK_SIZE_LF)
        chunks->state = chunks->left ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILER;
    else
        chunks->state = state == HTTP_CHUNK_DATA_LF      ? HTTP_CHUNK_SIZE
                        : state == HTTP_CHUNK_TRAILER_LF ? HTTP_CHUNK_TRAILER
                                                         : HTTP_CHUNK_END;
    return c == '\n';
}

enum http_progress http__chunks_take(struct http_chunks *chunks, struct fr_slice bytes,
                                     size_t *out_used, struct base_buf *body)
{
    size_t at = 0;
    while (at < bytes.bytes && chunks->state != HTTP_CHUNK_END) {
        if (chunks->state != HTTP_CHUNK_DATA) {
            if (!chunks_byte(chunks, bytes.ptr[at++]))
                return HTTP_BAD;
            continue;
        }
        size_t take = (size_t)FR_MIN(chunks->left, (uint64_t)(bytes.bytes - at));
        if (body->count + chunks->left > chunks->bytes_max)
            return HTTP_TOO_LARGE;
        base_buf_put(body, bytes.ptr + at, take);
        at += take;
        chunks->left -= take;
        if (chunks->left == 0)
            chunks->state = HTTP_CHUNK_DATA_CR;
    }
    *out_used = at;
    return chunks->state == HTTP_CHUNK_END ? HTTP_DONE : HTTP_MORE;
}
