/* SPDX-License-Identifier: Apache-2.0
 *
 * app client: see client.h. "Connection: close" makes the answer end where the connection does.
 */
#include "app/client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 1 << 20, TIMEOUT_S = 30, PART_BYTES = 16384 };

static enum fr_status failed(const struct app_request *request, struct fr_error *error,
                             const char *what)
{
    enum fr_status status = base_fail(error, FR_IO, "app", "%s http://%s:%u: %s", what,
                                      request->host, request->port, strerror(errno));
    base_hint(error, "is the server running there? --url tells where");
    return status;
}

static int connect_to(const struct app_request *request)
{
    char port[8];
    struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    int fd = -1;
    snprintf(port, sizeof(port), "%u", request->port);
    if (getaddrinfo(request->host, port, &hints, &list) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }
    for (struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static bool send_all(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t sent = send(fd, at, count, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool send_request(int fd, const struct app_request *request)
{
    struct base_buf head;
    base_buf_init(&head, 0);
    base_buf_printf(&head,
                    "%s %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n"
                    "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n",
                    request->method, request->path, request->host, request->port,
                    request->body.bytes);
    if (request->key)
        base_buf_printf(&head, "Authorization: Bearer %s\r\n", request->key);
    base_buf_put_str(&head, "\r\n");
    bool sent = !head.overflowed && send_all(fd, head.bytes, head.count) &&
                send_all(fd, request->body.ptr, request->body.bytes);
    base_buf_release(&head);
    return sent;
}

static bool receive_all(int fd, struct base_buf *answer)
{
    for (;;) {
        uint8_t *to = base_buf_reserve(answer, PART_BYTES);
        ssize_t got = to ? recv(fd, to, PART_BYTES, 0) : -1;
        if (got <= 0)
            return got == 0;
        base_buf_commit(answer, (size_t)got);
    }
}

/* "HTTP/1.1 200 ...", headers, an empty line, the body (a chunked one is not asked for by close). */
static bool split(const struct base_buf *answer, int *out_status, struct base_buf *out_body)
{
    const char *text = (const char *)answer->bytes;
    const char *body = answer->count > 12 ? memmem(text, answer->count, "\r\n\r\n", 4) : NULL;
    if (!body || memcmp(text, "HTTP/1.", 7) != 0)
        return false;
    *out_status = (int)strtol(text + 9, NULL, 10);
    body += 4;
    base_buf_put(out_body, body, answer->count - (size_t)(body - text));
    return true;
}

enum fr_status app_client_call(const struct app_request *request, struct fr_error *error,
                               int *out_status, struct base_buf *out_body)
{
    struct base_buf answer;
    enum fr_status status = FR_OK;
    int fd = connect_to(request);
    if (fd < 0)
        return failed(request, error, "cannot reach");
    base_buf_init(&answer, ANSWER_BYTES_MAX);
    errno = 0;
    if (!send_request(fd, request) || !receive_all(fd, &answer))
        status = failed(request, error, "no answer from");
    else if (!split(&answer, out_status, out_body))
        status = base_fail(error, FR_CORRUPT, "app", "http://%s:%u answers no HTTP", request->host,
                           request->port);
    base_buf_release(&answer);
    close(fd);
    return status;
}
