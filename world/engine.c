/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine as an arm: a plain HTTP client of its public API, over one kept connection. Items are
 * PUT when they are born (title, two categories, published); looked-at places are reported as
 * exposures, the click as a click, all with the simulated time; the next slate is asked for after
 * the acknowledgement.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arm.h"

enum { BUFFER_BYTES = 1 << 20 };

struct engine {
    uint16_t port;
    int socket;
    int64_t start_ms;
    char request_id[128];
    char *body, *answer;
    size_t body_bytes;
};

static void add(struct engine *engine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add(struct engine *engine, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(engine->body + engine->body_bytes, BUFFER_BYTES - engine->body_bytes,
                          format, args);
    va_end(args);
    engine->body_bytes += (size_t)bytes;
    if (engine->body_bytes >= BUFFER_BYTES)
        world_fail("a request grew too long", "lower --slate or --births");
}

static void dial(struct engine *engine)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(engine->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    engine->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(engine->socket, (struct sockaddr *)&address, sizeof(address)) != 0)
        world_fail("cannot reach the engine", strerror(errno));
    setsockopt(engine->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void send_all(struct engine *engine, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(engine->socket, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0)
            world_fail("the engine closed the connection", strerror(errno));
        bytes += sent;
        count -= (size_t)sent;
    }
}

/* The answer's body, NUL-terminated; ends the program on any status but 2xx. */
static char *exchange(struct engine *engine, const char *method, const char *path)
{
    char head[512];
    int head_bytes = snprintf(head, sizeof(head),
                              "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                              "application/json\r\nContent-Length: %zu\r\n\r\n",
                              method, path, engine->body_bytes);
    send_all(engine, head, (size_t)head_bytes);
    send_all(engine, engine->body, engine->body_bytes);
    size_t got = 0;
    for (;;) {
        ssize_t bytes = recv(engine->socket, engine->answer + got, BUFFER_BYTES - 1 - got, 0);
        if (bytes <= 0)
            world_fail("the engine closed the connection", strerror(errno));
        got += (size_t)bytes;
        engine->answer[got] = '\0';
        char *end = strstr(engine->answer, "\r\n\r\n");
        char *length = end ? strcasestr(engine->answer, "\r\ncontent-length:") : NULL;
        if (!length || got < (size_t)(end - engine->answer) + 4 + strtoul(length + 17, NULL, 10))
            continue;
        if (engine->answer[9] != '2')
            world_fail(path, engine->answer);
        return end + 4;
    }
}

/* The answer lists items as {"id":"iN",...}; reasons name theirs as "item", so "id" is enough. */
static uint32_t engine_slate(struct arm *arm, const struct arm_request *request, uint32_t *out)
{
    struct engine *engine = arm->self;
    const struct world_reader *reader = &arm->world->reader[request->reader];
    engine->body_bytes = 0;
    add(engine,
        "{\"user\":\"u%u\",\"session\":\"s%u\",\"n\":%u,\"explain\":\"none\",\"context\":{"
        "\"region\":\"r%u\",\"device\":\"d%u\"}}",
        request->reader, request->session, request->count, reader->region, reader->device);
    char *answer = exchange(engine, "POST", "/v1/recommend");
    uint32_t filled = 0, items = arm->world->item_count;
    char *id = strstr(answer, "\"request_id\":\"");
    engine->request_id[0] = '\0';
    if (id)
        sscanf(id + 14, "%127[^\"]", engine->request_id);
    for (char *at = answer; filled < request->count && (at = strstr(at, "\"id\":\"i")); at += 7) {
        uint32_t item = (uint32_t)strtoul(at + 7, NULL, 10);
        if (item < items)
            out[filled++] = item;
    }
    return filled;
}

static void engine_feedback(struct arm *arm, const struct arm_request *request,
                            const uint32_t *slate, uint32_t looked, int clicked)
{
    struct engine *engine = arm->self;
    const struct world_reader *reader = &arm->world->reader[request->reader];
    int64_t now_ms = engine->start_ms + (int64_t)(arm->world->hour * 3600e3);
    (void)
        looked; /* which places were looked at is not what a tracker can see; the slate is known */
    if (clicked < 0)
        return;
    engine->body_bytes = 0;
    add(engine,
        "{\"user\":\"u%u\",\"session\":\"s%u\",\"item\":\"i%u\",\"type\":\"click\","
        "\"timestamp\":%lld,\"request\":\"%s\",\"context\":{\"region\":\"r%u\",\"device\":\"d%u\"}"
        "}",
        request->reader, request->session, slate[clicked], (long long)now_ms, engine->request_id,
        reader->region, reader->device);
    exchange(engine, "POST", "/v1/events");
}

static void engine_born(struct arm *arm, uint32_t first, uint32_t count)
{
    struct engine *engine = arm->self;
    for (uint32_t i = first; i < first + count; i++) {
        const struct world_item *item = &arm->world->item[i];
        char path[64];
        engine->body_bytes = 0;
        add(engine,
            "{\"title\":\"Item %u\",\"categories\":[\"topic-%u\",\"topic-%u\"],"
            "\"published\":%lld}",
            i, item->main_topic, item->second_topic,
            (long long)(engine->start_ms + (int64_t)(item->born_hour * 3600e3)));
        snprintf(path, sizeof(path), "/v1/items/i%u", i);
        exchange(engine, "PUT", path);
    }
}

static void engine_release(void *self)
{
    struct engine *engine = self;
    close(engine->socket);
    free(engine->body);
    free(engine->answer);
    free(engine);
}

struct arm *arm_engine_new(struct world *world, uint16_t port, int64_t start_ms)
{
    static const struct arm_kind kind = {"engine", engine_slate, engine_feedback, engine_born,
                                         engine_release};
    struct arm *arm = calloc(1, sizeof(*arm));
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!arm || !engine)
        world_fail("no memory", "for the engine's arm");
    *engine = (struct engine){.port = port,
                              .start_ms = start_ms,
                              .body = malloc(BUFFER_BYTES),
                              .answer = malloc(BUFFER_BYTES)};
    if (!engine->body || !engine->answer)
        world_fail("no memory", "for the engine's buffers");
    dial(engine);
    *arm = (struct arm){.kind = &kind, .world = world, .self = engine};
    return arm;
}
