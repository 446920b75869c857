/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_check: the strictness that the library lacks (H1). A message whose end two parsers
 * could see in different places is how a request is smuggled past a proxy (RFC 9112 sections 6.3
 * and 11.2); such a message is refused before its body is read, and the connection ends.
 */
#include <string.h>

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

bool http__has_body(const struct http_request *request, uint64_t *out_length, bool *out_chunked)
{
    struct fr_slice length = http_header(request, "content-length");
    *out_chunked = http_header(request, "transfer-encoding").ptr != NULL;
    *out_length = 0;
    if (length.ptr && !parse_length(length, out_length))
        *out_length = 0;
    return *out_chunked || *out_length > 0;
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

static uint16_t framing_check(const struct http_request *request, const char **out_code,
                              const char **out_detail)
{
    uint32_t lengths = header_count(request, "content-length");
    uint32_t codings = header_count(request, "transfer-encoding");
    uint64_t length;
    *out_code = "bad_framing";
    if (lengths > 1)
        return *out_detail = "more than one Content-Length", 400;
    if (codings > 1)
        return *out_detail = "more than one Transfer-Encoding", 400;
    if (lengths && codings)
        return *out_detail = "both Content-Length and Transfer-Encoding", 400;
    if (lengths && !parse_length(http_header(request, "content-length"), &length))
        return *out_detail = "Content-Length is not a plain decimal number", 400;
    if (codings && !name_is(http_header(request, "transfer-encoding"), "chunked")) {
        *out_code = "unknown_transfer_encoding";
        return *out_detail = "the only transfer coding understood is chunked", 501;
    }
    return 0;
}

uint16_t http__head_check(const struct http_request *request, const char **out_code,
                          const char **out_detail)
{
    uint16_t status = framing_check(request, out_code, out_detail);
    if (status)
        return status;
    *out_code = "bad_header";
    for (uint32_t i = 0; i < request->header_count; i++)
        if (!header_is_sound(&request->header[i]))
            return *out_detail = "a header has a byte that is not allowed in it", 400;
    if (header_count(request, "host") > 1)
        return *out_detail = "more than one Host", 400;
    if (!host_is_sound(http_header(request, "host")))
        return *out_detail = "Host is not a host name", 400;
    *out_code = "bad_target";
    if (request->target.bytes == 0 || request->target.ptr[0] != '/')
        return *out_detail = "the request target must be a path", 400;
    for (size_t i = 0; i < request->target.bytes; i++) {
        unsigned char c = (unsigned char)request->target.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return *out_detail = "the request target has a byte that must be percent-encoded", 400;
    }
    *out_code = NULL;
    return 0;
}
