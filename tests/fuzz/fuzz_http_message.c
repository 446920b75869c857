/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes are a head or a refusal with its words, and a chunked body is decoded or refused, the
 * same whether they come at once or in pieces (H1: one reading). What is taken as a head holds to
 * the grammar as stated here again, in other words than the parser's.
 */
#include <string.h>

#include "serve/http_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_taken(const struct http_request *request, const struct http_head *head,
                        const char *text, size_t end)
{
    FR_ASSERT(request->target.ptr[0] == '/' && request->method_name.bytes > 0);
    FR_ASSERT(!(head->is_chunked && head->length > 0) && !(head->is_chunked && head->is_http10));
    for (size_t i = 0; i < end; i++) {
        FR_ASSERT(text[i] != '\0');
        FR_ASSERT(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'));
        FR_ASSERT(text[i] != '\r' || text[i + 1] == '\n');
    }
    uint32_t hosts = 0, framings = 0;
    for (uint32_t i = 0; i < request->header_count; i++) {
        struct fr_slice name = request->header[i].name;
        hosts += name.bytes == 4 && strncasecmp(name.ptr, "host", 4) == 0;
        framings += (name.bytes == 14 && strncasecmp(name.ptr, "content-length", 14) == 0) ||
                    (name.bytes == 17 && strncasecmp(name.ptr, "transfer-encoding", 17) == 0);
        FR_ASSERT(memchr(name.ptr, ' ', name.bytes) == NULL);
    }
    FR_ASSERT(framings <= 1 && hosts <= 1 && (hosts == 1 || head->is_http10));
}

static void check_head(const char *text, size_t count)
{
    static struct http_request request;
    struct http_head head = {0};
    size_t scanned = 0, end = 0, step_scanned = 0, step_end = 0;
    enum http_progress progress = http__head_scan(text, count, &scanned, &end);
    enum http_progress step = HTTP_MORE;
    for (size_t i = 0; i <= count && step == HTTP_MORE; i++)
        step = http__head_scan(text, i, &step_scanned, &step_end);
    FR_ASSERT(step == progress && step_end == end);
    if (progress != HTTP_DONE)
        return;
    uint16_t status = http__head_parse(text, end, &request, &head);
    if (status)
        FR_ASSERT(status >= 400 && status < 600 && head.code && head.detail);
    else
        check_taken(&request, &head, text, end);
}

static enum http_progress decode(const char *text, size_t count, size_t piece,
                                 struct base_buf *body, size_t *out_used)
{
    struct http_chunks chunks = {.bytes_max = 1000};
    enum http_progress progress = HTTP_MORE;
    size_t at = 0;
    base_buf_clear(body);
    while (progress == HTTP_MORE && at < count) {
        size_t used = 0, bytes = FR_MIN(piece, count - at);
        progress = http__chunks_take(&chunks, fr_slice_of(text + at, bytes), &used, body);
        at += used;
    }
    *out_used = at;
    return progress;
}

static void check_chunks(const char *text, size_t count)
{
    struct base_buf whole, pieces;
    size_t whole_used, pieces_used;
    base_buf_init(&whole, 0);
    base_buf_init(&pieces, 0);
    enum http_progress one = decode(text, count, count, &whole, &whole_used);
    enum http_progress two = decode(text, count, 1, &pieces, &pieces_used);
    FR_ASSERT(one == two);
    if (one == HTTP_DONE) {
        FR_ASSERT(whole_used == pieces_used && whole.count == pieces.count && whole.count <= 1000);
        FR_ASSERT(whole.count == 0 || !memcmp(whole.bytes, pieces.bytes, whole.count));
    }
    base_buf_release(&whole);
    base_buf_release(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    check_head((const char *)bytes, count);
    check_chunks((const char *)bytes, count);
    return 0;
}
