/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http: the door over the library, spoken to by raw sockets on the loopback address: one
 * reading of each message (H1), deadlines (H2), bodies, suspension, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "serve/http.h"

static struct http *http;
static _Atomic uint32_t handled;

/* "METHOD target body-bytes" comes back; /wait is resumed by a thread of its own. */
static void *resume_soon(void *context)
{
    http_resume(context);
    return NULL;
}

static void handle(void *context, struct http_request *request)
{
    (void)context;
    atomic_fetch_add(&handled, 1);
    if (request->target.bytes >= 5 && !memcmp(request->target.ptr, "/wait", 5) &&
        !request->resumed) {
        pthread_t thread;
        http_suspend(request);
        assert_int_equal(pthread_create(&thread, NULL, resume_soon, request), 0);
        pthread_detach(thread);
        return;
    }
    request->status = 200;
    request->content_type = "text/plain";
    base_buf_printf(&request->out, "%.*s %.*s %zu%s", (int)request->method_name.bytes,
                    request->method_name.ptr, (int)request->target.bytes, request->target.ptr,
                    request->body.bytes, request->resumed ? " resumed" : "");
}

static void refuse(void *context, struct http_request *request, uint16_t status, const char *code,
                   const char *detail)
{
    (void)context;
    request->status = status;
    base_buf_printf(&request->out, "%s: %s", code, detail);
}

static int start(void **state)
{
    struct fr_error error;
    struct http_options options = {.threads = 2,
                                   .handle = handle,
                                   .refuse = refuse,
                                   .body_bytes_max = 100000,
                                   .head_ms = 400,
                                   .body_ms = 400,
                                   .idle_ms = 800};
    (void)state;
    atomic_store(&handled, 0);
    return http_start(&options, &error, &http) == FR_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    http_stop(http, 1000);
    http = NULL;
    return 0;
}

/* One thread; a request for /h... holds it until `gate` is opened, and those that come meanwhile queue. */
static _Atomic bool gate;
static _Atomic uint32_t order_count;
static char order[64];

static void handle_slowly(void *context, struct http_request *request)
{
    (void)context;
    order[atomic_fetch_add(&order_count, 1)] = request->target.ptr[1];
    while (!atomic_load(&gate) && request->target.ptr[1] == 'h')
        usleep(100);
    request->status = 200;
    base_buf_put_str(&request->out, "done");
}

/* /b... is bulk, /n... is refused, the others go first. */
static bool admit(void *context, struct http_request *request)
{
    (void)context;
    request->rank = request->target.ptr[1] == 'b' ? 2 : 0;
    request->status = request->target.ptr[1] == 'n' ? 503 : 0;
    return request->status == 0;
}

static int start_with_queue(void **state)
{
    struct fr_error error;
    struct http_options options = {.threads = 1,
                                   .admit = admit,
                                   .handle = handle_slowly,
                                   .refuse = refuse};
    (void)state;
    atomic_store(&gate, false);
    atomic_store(&order_count, 0);
    memset(order, 0, sizeof order);
    return http_start(&options, &error, &http) == FR_OK ? 0 : -1;
}

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_port(http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server has ended the conversation: the reading tells */
        bytes += sent;
        count -= (size_t)sent;
    }
}

/* Everything until the server closes. */
static const char *hear(int fd)
{
    static char text[1 << 20];
    size_t used = 0;
    for (;;) {
        ssize_t got = recv(fd, text + used, sizeof text - 1 - used, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = 0;
    close(fd);
    return text;
}

static const char *ask(const char *message)
{
    int fd = dial();
    say(fd, message, strlen(message));
    shutdown(fd, SHUT_WR);
    return hear(fd);
}

static uint32_t count_of(const char *text, const char *part)
{
    uint32_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

#define HEAD "Host: localhost\r\nConnection: close\r\n"

static void requests_are_answered(void **state)
{
    (void)state;
    const char *text = ask("GET /a%2Fb?x=1 HTTP/1.1\r\n" HEAD "\r\n");
    assert_non_null(strstr(text, "HTTP/1.1 200"));
    assert_non_null(strstr(text, "GET /a%2Fb?x=1 0"));
    text = ask("POST /p HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\nhello");
    assert_non_null(strstr(text, "POST /p 5"));
    text = ask("POST /p HTTP/1.1\r\n" HEAD
               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_non_null(strstr(text, "POST /p 5"));
    text = ask("PURGE /p HTTP/1.1\r\n" HEAD "\r\n");
    assert_non_null(strstr(text, "PURGE /p 0"));
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    const char *text = ask("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
                           "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_int_equal(count_of(text, "HTTP/1.1 200"), 3);
    assert_non_null(strstr(text, "GET /3 0"));
}

static void suspended_ones_are_resumed(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        const char *text = ask("POST /wait HTTP/1.1\r\n" HEAD "Content-Length: 2\r\n\r\nok");
        assert_non_null(strstr(text, "POST /wait 2 resumed"));
    }
}

static void head_has_no_body(void **state)
{
    (void)state;
    const char *text = ask("HEAD /x HTTP/1.1\r\n" HEAD "\r\n");
    assert_non_null(strstr(text, "HTTP/1.1 200"));
    assert_non_null(strstr(text, "Content-Length: 9"));
    assert_null(strstr(text, "HEAD /x 0"));
}

/* H1: two readings are none. Whatever follows on the connection is not answered. */
static void ambiguous_messages_are_refused(void **state)
{
#define NEXT "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    static const char *const row[] = {
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        "0\r\n\r\n" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5_0\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nhello" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" NEXT,
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" NEXT,
        "GET /p HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n" NEXT,
        "GET /p HTTP/1.1\r\nHost: h/../x\r\n\r\n" NEXT,
        "GET /p HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n" NEXT,
        "GET /p HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\n\r\n" NEXT,
        "GET http://g/p HTTP/1.1\r\nHost: h\r\n\r\n" NEXT, /* two hosts */
        "GET * HTTP/1.1\r\nHost: h\r\n\r\n" NEXT,
        "GET p HTTP/1.1\r\nHost: h\r\n\r\n" NEXT,
        "GET /p HTTP/1.1\r\n\r\n" NEXT,
    };
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        const char *text = ask(row[i]);
        if (count_of(text, "HTTP/1.1 200") != 0 || strstr(text, "smuggled"))
            fail_msg("case %zu was taken: %s\n-> %s", i, row[i], text);
    }
    assert_int_equal(atomic_load(&handled), 0);
}

static void limits_hold(void **state)
{
    static char message[1 << 20];
    (void)state;
    const char *text = ask("POST /p HTTP/1.1\r\n" HEAD "Content-Length: 100001\r\n\r\n");
    assert_non_null(strstr(text, "HTTP/1.1 413"));
    size_t used =
        (size_t)snprintf(message, sizeof message,
                         "POST /p HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 150; i++) { /* 150 KB by pieces */
        used += (size_t)snprintf(message + used, sizeof message - used, "3e8\r\n");
        memset(message + used, 'x', 1000);
        used += 1000;
        used += (size_t)snprintf(message + used, sizeof message - used, "\r\n");
    }
    used += (size_t)snprintf(message + used, sizeof message - used, "0\r\n\r\n");
    int fd = dial();
    say(fd, message, used);
    shutdown(fd, SHUT_WR);
    assert_non_null(strstr(hear(fd), "HTTP/1.1 413"));
    used = (size_t)snprintf(message, sizeof message, "GET /p HTTP/1.1\r\n" HEAD);
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        used += (size_t)snprintf(message + used, sizeof message - used, "X-%d: y\r\n", i);
    used += (size_t)snprintf(message + used, sizeof message - used, "\r\n");
    text = ask(message);
    assert_non_null(strstr(text, "HTTP/1.1 431"));
    used = (size_t)snprintf(message, sizeof message, "GET /");
    memset(message + used, 'p', 9000);
    used += 9000;
    snprintf(message + used, sizeof message - used, " HTTP/1.1\r\n" HEAD "\r\n");
    text = ask(message);
    assert_non_null(strstr(text, "HTTP/1.1 414"));
    assert_int_equal(atomic_load(&handled), 0);
}

/* H2: a byte now and then does not keep a connection alive. */
static void slow_clients_are_reaped(void **state)
{
    static const char *const part[] =
        {"GET /p HTTP/1.1\r\nHost: h\r\nX: ",
         "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(part); i++) {
        int fd = dial();
        bool ended = false;
        say(fd, part[i], strlen(part[i]));
        struct timeval short_wait = {.tv_usec = 50000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof short_wait);
        for (int turn = 0; turn < 400 && !ended; turn++) {
            char byte;
            say(fd, "x", 1);
            ended = recv(fd, &byte, 1, 0) == 0;
        }
        close(fd);
        assert_true(ended);
    }
    struct http_stats stats;
    http_stats_get(http, &stats);
    assert_int_equal(stats.reaped_head, 1);
    assert_int_equal(stats.reaped_body, 1);
    assert_int_equal(atomic_load(&handled), 0);
}

static void idle_connections_end(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", 29);
    const char *text = hear(fd); /* until the server has had enough */
    assert_int_equal(count_of(text, "HTTP/1.1 200"), 1);
}

static void pieces_of_one_byte_are_fine(void **state)
{
    static const char message[] = "POST /p HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\nhello";
    (void)state;
    int fd = dial();
    for (size_t i = 0; i + 1 < sizeof message; i++)
        say(fd, message + i, 1);
    assert_non_null(strstr(hear(fd), "POST /p 5"));
}

static void many_at_once(void **state)
{
    enum { CONNECTIONS = 200 };
    static int fd[CONNECTIONS];
    (void)state;
    for (int i = 0; i < CONNECTIONS; i++)
        fd[i] = dial();
    for (int i = 0; i < CONNECTIONS; i++)
        say(fd[i], "GET /wait HTTP/1.1\r\n" HEAD "\r\n",
            strlen("GET /wait HTTP/1.1\r\n" HEAD "\r\n"));
    for (int i = 0; i < CONNECTIONS; i++)
        assert_non_null(strstr(hear(fd[i]), "resumed"));
}

static void a_taken_port_is_told(void **state)
{
    struct fr_error error;
    struct http *other = NULL;
    struct http_options options = {.handle = handle, .refuse = refuse, .port = http_port(http)};
    (void)state;
    assert_int_equal(http_start(&options, &error, &other), FR_EXISTS);
    assert_non_null(strstr(error.message, "port"));
    options.port_tries = 20;
    assert_int_equal(http_start(&options, &error, &other), FR_OK);
    assert_true(http_port(other) > http_port(http));
    http_stop(other, 0);
    options.address = "not-an-address";
    assert_int_equal(http_start(&options, &error, &other), FR_INVALID);
}

static void loopback_addresses(void **state)
{
    (void)state;
    assert_true(http_address_is_loopback("127.0.0.1"));
    assert_true(http_address_is_loopback("localhost"));
    assert_true(http_address_is_loopback("127.9.9.9"));
    assert_true(http_address_is_loopback("::1"));
    assert_false(http_address_is_loopback("0.0.0.0"));
    assert_false(http_address_is_loopback("::"));
    assert_false(http_address_is_loopback("10.0.0.1"));
    assert_false(http_address_is_loopback("example"));
}

static void say_get(int fd, const char *path, bool last)
{
    char text[96];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path,
             last ? "Connection: close\r\n" : "");
    say(fd, text, strlen(text));
}

/* A connection that the serving thread knows already. */
static int dial_and_ask(void)
{
    char text[512];
    int fd = dial();
    say_get(fd, "/warm", false);
    for (size_t used = 0; used < 4 || memcmp(text + used - 4, "done", 4) != 0;) {
        ssize_t got = recv(fd, text + used, sizeof text - used, 0);
        assert_true(got > 0);
        used += (size_t)got;
    }
    return fd;
}

/* What came while the thread was busy: refusals are answered before anything that waits is begun, and
 * rank 0 is answered before bulk that came earlier. */
static void refusals_and_ranks_go_before_the_queue(void **state)
{
    (void)state;
    int hold = dial_and_ask(), bulk = dial_and_ask(), refused = dial_and_ask(),
        first = dial_and_ask();
    say_get(hold, "/hold", true);
    while (atomic_load(&order_count) < 5)
        usleep(100);
    say_get(bulk, "/bulk", true);
    say_get(first, "/first", true);
    say_get(refused, "/no", true);
    atomic_store(&gate, true);
    assert_non_null(strstr(hear(refused), "503"));
    assert_non_null(strstr(hear(hold), "done"));
    assert_non_null(strstr(hear(first), "done"));
    assert_non_null(strstr(hear(bulk), "done"));
    assert_string_equal(order, "wwwwhfb");
}

/* Clients that ask without a pause do not keep bulk waiting for ever. */
static void bulk_is_passed_by_a_few_times_only(void **state)
{
    (void)state;
    enum { FIRST = 2 * HTTP_PASSED_MAX };
    int hold = dial_and_ask(), bulk = dial_and_ask(), first[FIRST];
    for (int i = 0; i < FIRST; i++)
        first[i] = dial_and_ask();
    say_get(hold, "/hold", true);
    while (atomic_load(&order_count) < FIRST + 3)
        usleep(100);
    say_get(bulk, "/bulk", true);
    for (int i = 0; i < FIRST; i++)
        say_get(first[i], "/first", true);
    atomic_store(&gate, true);
    for (int i = 0; i < FIRST; i++)
        assert_non_null(strstr(hear(first[i]), "done"));
    assert_non_null(strstr(hear(bulk), "done"));
    assert_non_null(strstr(hear(hold), "done"));
    const char *came = strchr(order, 'h');
    assert_int_equal(strchr(came, 'b') - came, HTTP_PASSED_MAX + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refusals_and_ranks_go_before_the_queue, start_with_queue,
                                        stop),
        cmocka_unit_test_setup_teardown(bulk_is_passed_by_a_few_times_only, start_with_queue, stop),
        TEST(requests_are_answered),
        TEST(a_connection_is_kept),
        TEST(suspended_ones_are_resumed),
        TEST(head_has_no_body),
        TEST(ambiguous_messages_are_refused),
        TEST(limits_hold),
        TEST(slow_clients_are_reaped),
        TEST(idle_connections_end),
        TEST(pieces_of_one_byte_are_fine),
        TEST(many_at_once),
        TEST(a_taken_port_is_told),
        TEST(loopback_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
