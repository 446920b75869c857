/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_check: what must hold between the fields of a head (H1). A message whose end two
 * parsers could see in different places is how a request is smuggled past a proxy (RFC 9112
 * sections 6.3 and 11.2); such a message is refused before its body is read, and the connection
 * ends.
 */
#include <string.h>
#include <strings.h>

#include "serve/http_priv.h"

static bool name_is(struct fr_slice name, const char *word)
{
    size_t bytes = strlen(word);
    if (name.bytes != bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        if (c != word[i])
            return false;
    }
    return true;
}

struct fr_slice http_header(const struct http_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->header_count; i++)
        if (name_is(request->header[i].name, name))
            return request->header[i].value;
    return (struct fr_slice){0};
}

static uint32_t header_count(const struct http_request *request, const char *name)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->header_count; i++)
        count += name_is(request->header[i].name, name);
    return count;
}

static bool is_token_char(unsigned char c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr(marks, c) != NULL);
}

static bool header_is_sound(const struct http_header *header)
{
    if (header->name.bytes == 0)
        return false;
    for (size_t i = 0; i < header->name.bytes; i++)
        if (!is_token_char((unsigned char)header->name.ptr[i]))
            return false;
    for (size_t i = 0; i < header->value.bytes; i++) {
        unsigned char c = (unsigned char)header->value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* 1*DIGIT, at most 18 of them: no sign, no blank, no 0x, no list. */
static bool parse_length(struct fr_slice text, uint64_t *out)
{
    if (text.bytes == 0 || text.bytes > 18)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = value;
    return true;
}

static bool host_is_sound(struct fr_slice host)
{
    for (size_t i = 0; i < host.bytes; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!plain && (c == 0 || !strchr("-._~:[]%", c)))
            return false;
    }
    return true;
}

static uint16_t framing_check(const struct http_request *request, struct http_head *head)
{
    uint32_t lengths = header_count(request, "content-length");
    uint32_t codings = header_count(request, "transfer-encoding");
    uint64_t length;
    head->code = "bad_framing";
    if (lengths > 1)
        return head->detail = "more than one Content-Length", 400;
    if (codings > 1)
        return head->detail = "more than one Transfer-Encoding", 400;
    if (lengths && codings)
        return head->detail = "both Content-Length and Transfer-Encoding", 400;
    if (codings && head->is_http10)
        return head->detail = "Transfer-Encoding in HTTP/1.0", 400;
    if (lengths && !parse_length(http_header(request, "content-length"), &length))
        return head->detail = "Content-Length is not a plain decimal number", 400;
    if (codings && !name_is(http_header(request, "transfer-encoding"), "chunked")) {
        head->code = "unknown_transfer_encoding";
        return head->detail = "the only transfer coding understood is chunked", 501;
    }
    return 0;
}

static uint16_t host_check(const struct http_request *request, struct http_head *head)
{
    uint32_t hosts = header_count(request, "host");
    head->code = "bad_host";
    if (hosts > 1)
        return head->detail = "more than one Host", 400;
    if (hosts == 0 && !head->is_http10)
        return head->detail = "HTTP/1.1 asks for a Host", 400;
    if (!host_is_sound(http_header(request, "host")))
        return head->detail = "Host is not a host name", 400;
    return 0;
}

static bool has_word(struct fr_slice list, const char *word)
{
    size_t bytes = strlen(word);
    for (size_t i = 0; i + bytes <= list.bytes; i++) {
        bool begins = i == 0 || list.ptr[i - 1] == ',' || list.ptr[i - 1] == ' ';
        bool ends =
            i + bytes == list.bytes || list.ptr[i + bytes] == ',' || list.ptr[i + bytes] == ' ';
        if (begins && ends && name_is(fr_slice_of(list.ptr + i, bytes), word))
            return true;
    }
    return false;
}

static uint16_t body_kind(const struct http_request *request, struct http_head *head)
{
    struct fr_slice length = http_header(request, "content-length");
    struct fr_slice expect = http_header(request, "expect");
    head->is_chunked = http_header(request, "transfer-encoding").ptr != NULL;
    head->length = 0;
    if (length.ptr && !parse_length(length, &head->length))
        head->length = 0;
    head->is_last = head->is_http10 || has_word(http_header(request, "connection"), "close");
    head->wants_continue = expect.ptr != NULL && !head->is_http10;
    head->code = "unknown_expectation";
    if (expect.ptr && !name_is(expect, "100-continue"))
        return head->detail = "the only expectation understood is 100-continue", 417;
    return 0;
}

/* "http://HOST/path" is read as "/path" of that host (RFC 9112 section 3.2.2), but only when Host says
 * the same: two names for one request is what a poisoned cache is made of. */
static bool absolute_target_cut(struct http_request *request)
{
    static const char *const scheme[] = {"http://", "https://"};
    struct fr_slice target = request->target, host = http_header(request, "host");
    for (size_t i = 0; i < FR_COUNT_OF(scheme); i++) {
        size_t bytes = strlen(scheme[i]);
        if (target.bytes <= bytes || memcmp(target.ptr, scheme[i], bytes) != 0)
            continue;
        target = fr_slice_of(target.ptr + bytes, target.bytes - bytes);
        if (host.bytes == 0 || target.bytes <= host.bytes || target.ptr[host.bytes] != '/' ||
            strncasecmp(target.ptr, host.ptr, host.bytes) != 0)
            return false;
        request->target = fr_slice_of(target.ptr + host.bytes, target.bytes - host.bytes);
        return true;
    }
    return false;
}

static uint16_t target_check(struct http_request *request, struct http_head *head)
{
    bool is_path = request->target.bytes > 0 && request->target.ptr[0] == '/';
    bool is_server = request->method == HTTP_OPTIONS && request->target.bytes == 1 &&
                     request->target.ptr[0] == '*';
    head->code = "bad_target";
    if (!is_path && !is_server && !absolute_target_cut(request))
        return head->detail = "the request target must be a path", 400;
    for (size_t i = 0; i < request->target.bytes; i++) {
        unsigned char c = (unsigned char)request->target.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return head->detail = "the request target has a byte that must be percent-encoded", 400;
    }
    return 0;
}

uint16_t http__head_check(struct http_request *request, struct http_head *head)
{
    head->code = "bad_header";
    for (uint32_t i = 0; i < request->header_count; i++)
        if (!header_is_sound(&request->header[i]))
            return head->detail = "a header has a byte that is not allowed in it", 400;
    uint16_t status = framing_check(request, head);
    if (status == 0)
        status = host_check(request, head);
    if (status == 0)
        status = target_check(request, head);
    return status ? status : body_kind(request, head);
}
