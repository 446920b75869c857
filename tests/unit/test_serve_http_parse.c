/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_parse: heads and chunked bodies, in every way of being cut into pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/http_priv.h"

static struct http_request request;
static struct http_head head;

/* The status of the refusal, 0 for a sound head, 1 for one that does not end, 2 for a bad byte. */
static unsigned parse(const char *text, size_t bytes)
{
    size_t scanned = 0, end = 0;
    enum http_progress progress = HTTP_MORE;
    for (size_t count = 1; count <= bytes && progress == HTTP_MORE; count++)
        progress = http__head_scan(text, count, &scanned, &end); /* a byte at a time */
    if (progress != HTTP_DONE)
        return progress == HTTP_MORE ? 1 : 2;
    size_t whole = 0, again = 0;
    assert_int_equal(http__head_scan(text, bytes, &again, &whole), HTTP_DONE);
    assert_int_equal(whole, end); /* all at once: the same end */
    head = (struct http_head){0};
    return http__head_parse(text, end, &request, &head);
}

#define PARSE(text) parse(text, sizeof(text) - 1)

static void a_head_is_read(void **state)
{
    (void)state;
    assert_int_equal(PARSE("POST /a%20b?c=d HTTP/1.1\r\nHost: h:8\r\nContent-Length: 12\r\n"
                           "X-Y:  z \t\r\nConnection: keep-alive, close\r\n"
                           "Expect: 100-continue\r\n\r\nbody"),
                     0);
    assert_int_equal(request.method, HTTP_POST);
    assert_int_equal(request.header_count, 5);
    assert_int_equal(head.length, 12);
    assert_true(head.is_last && head.wants_continue && !head.is_chunked && !head.is_http10);
    assert_memory_equal(request.target.ptr, "/a%20b?c=d", request.target.bytes);
    struct fr_slice value = http_header(&request, "x-y");
    assert_int_equal(value.bytes, 1);
    assert_int_equal(PARSE("GET / HTTP/1.0\r\n\r\n"), 0);
    assert_true(head.is_http10 && head.is_last);
    assert_int_equal(PARSE("POST / HTTP/1.1\r\nhost:\r\nTRANSFER-ENCODING: Chunked\r\n\r\n"), 0);
    assert_true(head.is_chunked);
}

static void bad_bytes_end_it(void **state)
{
    (void)state;
    assert_int_equal(PARSE("GET / HTTP/1.1\nHost: h\n\n"), 2);
    assert_int_equal(PARSE("GET / HTTP/1.1\r\nHost: h\n\r\n"), 2);
    assert_int_equal(PARSE("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"), 2);
    assert_int_equal(PARSE("GET / HTTP/1.1\r\nHost: h\0\r\n\r\n"), 2);
    assert_int_equal(PARSE("\nGET"), 2);
    assert_int_equal(PARSE("GET / HTTP/1.1\r\nHost: h\r\n\r"), 1);
    assert_int_equal(PARSE(""), 1);
}

static void faults_have_their_status(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } row[] = {
        {"GET /\r\nHost: h\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / http/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n folded\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nx\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nx: \x01\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET http://g/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n", 417},
    };
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        unsigned status = parse(row[i].text, strlen(row[i].text));
        if (status != row[i].status)
            fail_msg("%u instead of %u: %s", status, row[i].status, row[i].text);
        assert_non_null(head.code);
        assert_non_null(head.detail);
    }
}

/* The same bytes, cut at every place, and byte by byte: the same body, the same end. */
static enum http_progress decode(const char *text, size_t bytes, size_t cut, struct base_buf *body,
                                 size_t *out_used)
{
    struct http_chunks chunks = {.bytes_max = 64};
    enum http_progress progress = HTTP_MORE;
    size_t at = 0;
    base_buf_clear(body);
    while (progress == HTTP_MORE && at < bytes) {
        size_t step = cut == 0 ? 1 : at < cut ? cut : bytes - at, used = 0;
        step = FR_MIN(step, bytes - at);
        progress = http__chunks_take(&chunks, fr_slice_of(text + at, step), &used, body);
        at += used;
        if (progress == HTTP_MORE)
            assert_int_equal(used, step);
    }
    *out_used = at;
    return progress;
}

static void chunked_bodies_are_joined(void **state)
{
    struct base_buf body;
    (void)state;
    base_buf_init(&body, 0);
    static const char good[] =
        "5;a=b\r\nhello\r\n00A\r\n, \r\nworld.\r\n0\r\nTrailer: x\r\n\r\nGET";
    for (size_t cut = 0; cut < sizeof good; cut++) {
        size_t used = 0;
        assert_int_equal(decode(good, sizeof good - 1, cut, &body, &used), HTTP_DONE);
        assert_int_equal(used, sizeof good - 1 - 3); /* what follows is not touched */
        assert_int_equal(body.count, 15);
        assert_memory_equal(body.bytes, "hello, \r\nworld.", 15);
    }
    base_buf_release(&body);
}

static void malformed_chunks_are_told(void **state)
{
    static const char *const row[] = {
        "\r\n",
        "g\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        "1\na\r\n",
        "1\rX",
        "1\r\na\n",
        "1\r\nab\r\n",
        "1\r\na0\r\n",
        "1;\x01\r\na\r\n",
        "1;a\nb\r\n",
        "0\n",
        "0\r\n\n",
        "0\r\nX: y\n",
        "0\r\n\x01\r\n",
        "10000000000000000\r\n",
    };
    struct base_buf body;
    (void)state;
    base_buf_init(&body, 0);
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        for (size_t cut = 0; cut < 3; cut++) {
            size_t used = 0;
            if (decode(row[i], strlen(row[i]), cut, &body, &used) != HTTP_BAD)
                fail_msg("taken: %s", row[i]);
        }
    }
    size_t used = 0;
    assert_int_equal(decode("41\r\nx", 5, 0, &body, &used), HTTP_TOO_LARGE);
    assert_int_equal(decode("fffffffffffffff\r\nx", 18, 0, &body, &used), HTTP_TOO_LARGE);
    base_buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read),
        cmocka_unit_test(bad_bytes_end_it),
        cmocka_unit_test(faults_have_their_status),
        cmocka_unit_test(chunked_bodies_are_joined),
        cmocka_unit_test(malformed_chunks_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
