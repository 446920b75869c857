/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/answer_text: the small change of answers: problem details (RFC 9457), headers, JSON pairs,
 * request ids.
 *
 * Request id: 62 bits as 13 digits of base32 without look-alikes after an "r": 51 bits of
 * microseconds since 1970 (until 2041), 6 bits of serving thread, 5 bits of the process's instance;
 * a thread never gives the same microsecond twice. Text order is time order.
 */
#include <stdio.h>
#include <string.h>

#include "serve/serve_priv.h"

static const char id_letters[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's base32 */

enum { ID_DIGITS = 13 };

uint64_t serve__id_next(struct serve_thread *thread)
{
    uint64_t now_us = (uint64_t)os_wall_us(thread->serve->options.os);
    thread->last_stamp = FR_MAX(thread->last_stamp + 1, now_us);
    return thread->last_stamp << 11 | (uint64_t)(thread->index & 63) << 5 |
           (thread->serve->instance & 31);
}

void serve__id_print(uint64_t id, char out[SERVE_ID_BYTES])
{
    out[0] = 'r';
    for (int i = 0; i < ID_DIGITS; i++)
        out[1 + i] = id_letters[id >> (5 * (ID_DIGITS - 1 - i)) & 31];
    out[1 + ID_DIGITS] = 0;
}

bool serve__id_parse(struct fr_slice text, uint64_t *out_id)
{
    uint64_t id = 0;
    if (text.bytes != 1 + ID_DIGITS || text.ptr[0] != 'r')
        return false;
    for (size_t i = 1; i < text.bytes; i++) {
        const char *digit = text.ptr[i] ? strchr(id_letters, text.ptr[i]) : NULL;
        if (!digit || (i == 1 && digit - id_letters > 15))
            return false;
        id = id << 5 | (uint64_t)(digit - id_letters);
    }
    *out_id = id;
    return true;
}

/* ---- headers ---------------------------------------------------------------------------- */

void serve__header(struct http_request *http, const char *name, const char *value)
{
    if (http->answer_header_count == HTTP_ANSWER_HEADERS_MAX)
        return;
    http->answer_header[http->answer_header_count++] = (struct http_answer_header){name, value};
}

void serve__header_u64(struct http_request *http, const char *name, uint64_t value)
{
    char *text = http->scratch + sizeof http->scratch - 24; /* the last place is for numbers */
    snprintf(text, 24, "%llu", (unsigned long long)value);
    serve__header(http, name, text);
}

/* ---- JSON pairs ------------------------------------------------------------------------- */

void serve__key(struct base_buf *out, const char *key)
{
    size_t bytes = strlen(key);
    uint8_t *room = base_buf_reserve(out, bytes + 4);
    if (!room)
        return;
    uint8_t *at = room;
    if (out->count > 0 && room[-1] != '{')
        *at++ = ',';
    *at++ = '"';
    memcpy(at, key, bytes);
    memcpy(at + bytes, "\":", 2);
    base_buf_commit(out, (size_t)(at - room) + bytes + 2);
}

void serve__pair_text(struct base_buf *out, const char *key, struct fr_slice value)
{
    serve__key(out, key);
    base_buf_json_string(out, value);
}

void serve__pair_u64(struct base_buf *out, const char *key, uint64_t value)
{
    serve__key(out, key);
    base_buf_json_u64(out, value);
}

void serve__pair_i64(struct base_buf *out, const char *key, int64_t value)
{
    serve__key(out, key);
    base_buf_printf(out, "%lld", (long long)value);
}

void serve__pair_bool(struct base_buf *out, const char *key, bool value)
{
    serve__key(out, key);
    base_buf_put_str(out, value ? "true" : "false");
}

void serve__pair_fixed(struct base_buf *out, const char *key, double value, int decimals)
{
    serve__key(out, key);
    base_buf_json_fixed(out, value, decimals);
}

void serve__json(struct serve_call *call, uint16_t status)
{
    call->http->status = status;
    call->http->content_type = "application/json";
    base_buf_clear(call->out);
}

/* ---- problems --------------------------------------------------------------------------- */

const char *serve__status_title(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *title;
    } row[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (row[i].status == status)
            return row[i].title;
    return "Error";
}

void serve__problem(struct serve_call *call, uint16_t status, const char *code, const char *hint,
                    const char *detail)
{
    struct base_buf *out = call->out;
    serve__json(call, status);
    call->http->content_type = "application/problem+json";
    base_buf_put_str(out, "{\"type\":\"urn:freshet:problem:");
    base_buf_put_str(out, code);
    base_buf_put_str(out, "\"");
    serve__pair_text(out, "title", fr_slice_str(serve__status_title(status)));
    serve__pair_u64(out, "status", status);
    serve__pair_text(out, "code", fr_slice_str(code));
    serve__pair_text(out, "detail", fr_slice_str(detail));
    if (hint && hint[0])
        serve__pair_text(out, "hint", fr_slice_str(hint));
    serve__pair_text(out, "request_id", fr_slice_str(call->id_text));
    base_buf_put_str(out, "}");
}

void serve__problem_reused(struct serve_call *call)
{
    serve__problem(call, 503, "busy", "ask again; with a larger memory-max ids expire more slowly",
                   "rows of ids are used again faster than this answer could be read");
}

void serve__problem_fault(struct serve_call *call, uint16_t status, const struct serve_fault *fault)
{
    char detail[300];
    snprintf(detail, sizeof detail, "%s: %s", fault->path, fault->detail);
    serve__problem(call, status, fault->code, fault->hint, detail);
    call->out->count--; /* reopen the object for one member more */
    serve__pair_text(call->out, "path", fr_slice_str(fault->path));
    base_buf_put_str(call->out, "}");
}

void serve__problem_error(struct serve_call *call, const struct fr_error *error)
{
    static const struct {
        enum fr_status status;
        uint16_t http;
        const char *code;
    } row[] = {
        {FR_FULL, 429, "queue_full"},     {FR_AGAIN, 503, "busy"},
        {FR_NOT_FOUND, 404, "not_found"}, {FR_INVALID, 400, "invalid"},
        {FR_NO_SPACE, 507, "disk_full"},  {FR_IO, 503, "journal_failed"},
        {FR_TIMEOUT, 503, "timeout"},     {FR_DENIED, 403, "denied"},
    };
    uint16_t status = 500;
    const char *code = "internal";
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        if (row[i].status == error->status) {
            status = row[i].http;
            code = row[i].code;
        }
    }
    serve__problem(call, status, code, error->hint, error->message);
    if (status == 429 || status == 503)
        serve__header(call->http, "Retry-After", "1");
}
