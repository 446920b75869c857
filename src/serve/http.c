/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http: HTTP/1.1 on epoll, one loop a serving thread. The acceptor (http_accept.c) hands
 * connections over; messages are read by http_parse.c; this file moves bytes and keeps the state of
 * each connection.
 *
 * Edge-triggered: a descriptor is registered once, and `readable` remembers that the kernel may
 * still have bytes. A connection owns a request (its window on the socket, its buffers) only while
 * one is under way, so that ten thousand idle ones cost little. A body of known length is read
 * straight into its buffer, and never past its end; a chunked one is decoded from the window.
 *
 * Why not a library: see docs/decisions/0001-own-http.md.
 *
 * Thread: everything on the serving thread, but http_resume(), http__thread_give(), start and stop.
 * Locks: http_thread.lock, a leaf. Owner: requests and connections belong to their thread's pools.
 */
#include "serve/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "serve/http_priv.h"

enum {
    POOL_MAX = 32,            /* idle requests kept a thread */
    KEEP_BYTES_MAX = 1 << 20, /* a larger buffer is given back after use */
    CONNECTIONS_DEFAULT = 16384,
    DESCRIPTORS_KEPT = 128,      /* for files */
    EVENTS_A_TURN = 1024,        /* all that is there, or how long it lay could not be told */
    LINGER_BYTES_MAX = 64 << 20, /* read over after a refusal, so that the answer is not lost */
    REQUESTS_A_TURN = 32,        /* pipelined ones, before others have their turn */
    BODY_READ_BYTES = 1 << 18,
    ARRIVED_MAX = 1024,
    TURN_NS = 500000,      /* of work between two looks at the sockets */
    TIMER_SLACK_NS = 1000, /* a sleep of a serving thread is as long as it says, not 50 us more */
};

/* ---- pools -------------------------------------------------------------------------------- */

static struct http_inner *inner_take(struct http_thread *thread)
{
    struct http_inner *inner = thread->pool;
    if (inner) {
        thread->pool = inner->next;
        thread->pool_count--;
    } else {
        inner = malloc(sizeof *inner);
        if (!inner)
            return NULL;
        base_buf_init(&inner->request.out, 0);
        base_buf_init(&inner->body, 0);
    }
    inner->next = NULL;
    inner->body_counted = 0;
    inner->in_at = inner->in_count = 0;
    return inner;
}

/* Ready for the next message; what the window still holds stays. */
static void inner_reset(struct http_inner *inner, const struct http_thread *thread)
{
    struct base_buf out = inner->request.out;
    base_buf_clear(&out);
    base_buf_clear(&inner->body);
    memset(&inner->request, 0, offsetof(struct http_request, header));
    inner->request.header_count = inner->request.answer_header_count = 0;
    inner->request.body = inner->request.answer = (struct fr_slice){0};
    inner->request.thread = thread->index;
    inner->request.resumed = inner->request.close = false;
    inner->request.job = NULL;
    inner->request.began_ns = inner->request.waited_ns = 0;
    inner->request.status = 0;
    inner->request.content_type = NULL;
    inner->request.out = out;
    inner->head = (struct http_head){0};
    inner->chunks = (struct http_chunks){.bytes_max = thread->http->options.body_bytes_max};
    inner->suspended = false;
    inner->head_bytes = inner->head_end = inner->scanned = 0;
    memmove(inner->in, inner->in + inner->in_at, inner->in_count - inner->in_at);
    inner->in_count -= inner->in_at;
    inner->in_at = 0;
}

static void bodies_count(struct http_inner *inner, struct http *http, size_t bytes)
{
    inner->body_counted += bytes;
    atomic_fetch_add_explicit(&http->bodies_bytes, bytes, memory_order_relaxed);
}

static void bodies_release(struct http_inner *inner, struct http *http)
{
    if (inner->body_counted)
        atomic_fetch_sub_explicit(&http->bodies_bytes, inner->body_counted, memory_order_relaxed);
    inner->body_counted = 0;
}

static void inner_free(struct http_inner *inner)
{
    base_buf_release(&inner->request.out);
    base_buf_release(&inner->body);
    free(inner);
}

static void inner_give(struct http_thread *thread, struct http_inner *inner)
{
    bodies_release(inner, thread->http);
    if (thread->pool_count >= POOL_MAX || inner->body.capacity > KEEP_BYTES_MAX ||
        inner->request.out.capacity > KEEP_BYTES_MAX) {
        inner_free(inner);
        return;
    }
    inner->next = thread->pool;
    thread->pool = inner;
    thread->pool_count++;
}

/* ---- phases ------------------------------------------------------------------------------- */

static bool is_request(enum http_phase phase)
{
    return phase == HTTP_PHASE_HEAD || phase == HTTP_PHASE_BODY || phase == HTTP_PHASE_WORK ||
           phase == HTTP_PHASE_ANSWER;
}

static void phase_set(struct http_connection *connection, enum http_phase phase, uint64_t bytes)
{
    struct http *http = connection->thread->http;
    if (is_request(phase) && !is_request(connection->phase))
        atomic_fetch_add_explicit(&http->requests, 1, memory_order_relaxed);
    if (!is_request(phase) && is_request(connection->phase))
        atomic_fetch_sub_explicit(&http->requests, 1, memory_order_relaxed);
    connection->phase = phase;
    http__slot_phase(&http->slot[connection->fd], phase, bytes);
}

static void connection_close(struct http_connection *connection)
{
    struct http_thread *thread = connection->thread;
    struct http *http = thread->http;
    int fd = connection->fd;
    FR_ASSERT(connection->phase != HTTP_PHASE_FREE);
    if (connection->inner)
        inner_give(thread, connection->inner);
    connection->inner = NULL;
    http__tls_session_free(connection->tls);
    connection->tls = NULL;
    pthread_mutex_lock(&http->slots_lock); /* the reaper shuts nothing that is being closed */
    phase_set(connection, HTTP_PHASE_FREE, 0);
    close(fd);
    pthread_mutex_unlock(&http->slots_lock);
    atomic_fetch_sub_explicit(&thread->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&http->connections, 1, memory_order_relaxed);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        thread->open = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->is_again)
        return; /* take_again() puts it into the pool */
    connection->next = thread->unused;
    thread->unused = connection;
}

/* ---- answering ---------------------------------------------------------------------------- */

static const char *status_words(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *words;
    } row[] = {{200, "OK"},
               {202, "Accepted"},
               {204, "No Content"},
               {304, "Not Modified"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {410, "Gone"},
               {413, "Content Too Large"},
               {414, "URI Too Long"},
               {415, "Unsupported Media Type"},
               {417, "Expectation Failed"},
               {422, "Unprocessable Content"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {503, "Service Unavailable"},
               {505, "HTTP Version Not Supported"},
               {507, "Insufficient Storage"}};
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (row[i].status == status)
            return row[i].words;
    return "Status";
}

static const char *date_now(struct http_thread *thread)
{
    time_t now = time(NULL);
    if (now != thread->date_s) {
        struct tm parts;
        gmtime_r(&now, &parts);
        strftime(thread->date, sizeof thread->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        thread->date_s = now;
    }
    return thread->date;
}

static bool head_put(char *out, size_t room, size_t *used, const char *name, const char *value)
{
    size_t name_bytes = strlen(name), value_bytes = strlen(value);
    if (*used + name_bytes + value_bytes + 4 > room)
        return false;
    memcpy(out + *used, name, name_bytes);
    *used += name_bytes;
    memcpy(out + *used, ": ", 2);
    memcpy(out + *used + 2, value, value_bytes);
    *used += 2 + value_bytes;
    memcpy(out + *used, "\r\n", 2);
    *used += 2;
    return true;
}

static void answer_head(struct http_connection *connection, size_t body_bytes)
{
    struct http_inner *inner = connection->inner;
    struct http_request *request = &inner->request;
    char *out = inner->out_head;
    size_t room = sizeof inner->out_head - 2;
    size_t used = (size_t)snprintf(out, room, "HTTP/1.1 %u %s\r\n", request->status,
                                   status_words(request->status));
    bool fits = head_put(out, room, &used, "Date", date_now(connection->thread));
    if (request->content_type)
        fits &= head_put(out, room, &used, "Content-Type", request->content_type);
    for (uint32_t i = 0; i < request->answer_header_count; i++)
        fits &= head_put(out, room, &used, request->answer_header[i].name,
                         request->answer_header[i].value);
    if (request->close)
        fits &= head_put(out, room, &used, "Connection", "close");
    if (request->status != 304 && request->status != 204) {
        char length[24];
        snprintf(length, sizeof length, "%zu", body_bytes);
        fits &= head_put(out, room, &used, "Content-Length", length);
    }
    FR_ASSERT(fits); /* the handlers' headers are few and short */
    memcpy(out + used, "\r\n", 2);
    connection->out_head_count = used + 2;
}

static void answer_begin(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    struct http_request *request = &inner->request;
    FR_ASSERT(request->status >= 200);
    struct fr_slice body = request->answer.ptr ? request->answer : base_buf_slice(&request->out);
    bool bare = request->method == HTTP_HEAD || request->status == 304 || request->status == 204;
    if (inner->head.is_last || (connection->at_end && inner->in_at == inner->in_count) ||
        atomic_load_explicit(&connection->thread->http->stopping, memory_order_relaxed))
        request->close = true;
    answer_head(connection, body.bytes);
    connection->out_body = bare ? (struct fr_slice){"", 0} : body;
    connection->out_sent = 0;
    phase_set(connection, HTTP_PHASE_ANSWER, connection->out_body.bytes);
}

static void refuse(struct http_connection *connection, uint16_t status, const char *code,
                   const char *detail)
{
    struct http *http = connection->thread->http;
    struct http_request *request = &connection->inner->request;
    if (status < 500 && status != 413)
        atomic_fetch_add_explicit(&http->malformed, 1, memory_order_relaxed);
    request->close = true;
    if (!request->began_ns)
        request->began_ns = http__now_ns();
    if (!request->method_name.ptr)
        request->method_name = fr_slice_of("", 0);
    http->options.refuse(http->options.context, request, status, code, detail);
    answer_begin(connection);
}

/* False: the connection is at its end (and closed). */
static bool answer_send(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    struct http *http = connection->thread->http;
    size_t whole = connection->out_head_count + connection->out_body.bytes;
    while (connection->out_sent < whole) {
        size_t sent = connection->out_sent, head = connection->out_head_count;
        struct iovec part[2];
        struct msghdr message = {.msg_iov = part, .msg_iovlen = 0};
        if (sent < head)
            part[message.msg_iovlen++] = (struct iovec){inner->out_head + sent, head - sent};
        size_t body_sent = sent > head ? sent - head : 0;
        if (connection->out_body.bytes > body_sent)
            part[message.msg_iovlen++] =
                (struct iovec){(void *)(uintptr_t)(connection->out_body.ptr + body_sent),
                               connection->out_body.bytes - body_sent};
        ssize_t now = connection->tls ? http__tls_send(connection->tls, &part[0])
                                      : sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (now < 0 && errno == EINTR)
            continue;
        if (now < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true; /* EPOLLOUT tells */
        if (now < 0) {
            connection_close(connection);
            return false;
        }
        connection->out_sent += (size_t)now;
    }
    if (http->options.sent)
        http->options.sent(http->options.context, &inner->request);
    return true;
}

/* After the last answer: our side is shut, and what still comes is read over for a while, or the
 * kernel would answer it with a reset that may overtake our answer. */
static void linger(struct http_connection *connection)
{
    if (connection->at_end) {
        connection_close(connection);
        return;
    }
    inner_give(connection->thread, connection->inner);
    connection->inner = NULL;
    connection->lingered = 0;
    http__tls_bye(connection->tls);
    (void)shutdown(connection->fd, SHUT_WR);
    phase_set(connection, HTTP_PHASE_LINGER, 0);
}

static bool answered(const struct http_connection *connection)
{
    return connection->phase == HTTP_PHASE_ANSWER &&
           connection->out_sent == connection->out_head_count + connection->out_body.bytes;
}

/* ---- the handler --------------------------------------------------------------------------- */

void http_suspend(struct http_request *request)
{
    struct http_inner *inner = (struct http_inner *)request;
    FR_ASSERT(!inner->suspended && inner->connection->phase == HTTP_PHASE_WORK);
    inner->suspended = true;
    atomic_fetch_add_explicit(&inner->connection->thread->http->suspended, 1, memory_order_relaxed);
}

static void wake(struct http_thread *thread)
{
    uint64_t one = 1;
    (void)!write(thread->wake_fd, &one, sizeof one);
}

void http_resume(struct http_request *request)
{
    struct http_inner *inner = (struct http_inner *)request;
    struct http_thread *thread = inner->connection->thread;
    pthread_mutex_lock(&thread->lock);
    bool first = thread->resumed == NULL;
    inner->next = thread->resumed;
    thread->resumed = inner;
    pthread_mutex_unlock(&thread->lock);
    if (first)
        wake(thread);
}

static void run(struct http_connection *connection)
{
    struct http *http = connection->thread->http;
    struct http_inner *inner = connection->inner;
    http->options.handle(http->options.context, &inner->request);
    if (!inner->suspended)
        answer_begin(connection);
}

/* ---- the queue ----------------------------------------------------------------------------- */

/* About how long what stands before a request of that rank is going to take. */
static int64_t queue_ns(const struct http_thread *thread, uint32_t rank)
{
    uint32_t before = 0;
    for (uint32_t r = 0; r <= rank; r++)
        before += thread->queue[r].count;
    return before * thread->work_ns;
}

/* A whole request is refused at once, or waits for its turn: so that refusals are not late when
 * answers are. */
static void offer(struct http_connection *connection)
{
    struct http_thread *thread = connection->thread;
    struct http *http = thread->http;
    struct http_inner *inner = connection->inner;
    inner->request.rank = 0;
    inner->request.queue_ns = queue_ns(thread, 0);
    phase_set(connection, HTTP_PHASE_WORK, 0);
    if (http->options.admit && !http->options.admit(http->options.context, &inner->request)) {
        answer_begin(connection);
        return;
    }
    FR_ASSERT(inner->request.rank < HTTP_RANKS);
    struct http_queue *queue = &thread->queue[inner->request.rank];
    inner->next = NULL;
    if (queue->last)
        queue->last->next = inner;
    else
        queue->first = inner;
    queue->last = inner;
    queue->count++;
}

/* Whose turn it is: the first rank in which somebody waits, but for those that were passed by too often:
 * a few clients that ask without a pause would keep bulk waiting for ever. NULL: nobody waits. */
static struct http_queue *queue_next(struct http_thread *thread)
{
    struct http_queue *next = NULL;
    for (uint32_t r = 0; r < HTTP_RANKS; r++) {
        struct http_queue *queue = &thread->queue[r];
        if (queue->first && (!next || queue->passed_by >= HTTP_PASSED_MAX))
            next = queue;
    }
    return next;
}

static struct http_inner *queue_take(struct http_thread *thread)
{
    struct http_queue *queue = queue_next(thread);
    if (!queue)
        return NULL;
    struct http_inner *inner = queue->first;
    queue->first = inner->next;
    queue->last = queue->first ? queue->last : NULL;
    queue->count--;
    queue->passed_by = 0;
    inner->next = NULL;
    for (struct http_queue *after = queue + 1; after < thread->queue + HTTP_RANKS; after++)
        after->passed_by += after->first != NULL;
    return inner;
}

static bool is_queued(const struct http_thread *thread)
{
    bool any = false;
    for (uint32_t r = 0; r < HTTP_RANKS; r++)
        any |= thread->queue[r].first != NULL;
    return any;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Bytes read; 0: none now, or the end (at_end). */
static size_t receive(struct http_connection *connection, void *to, size_t room)
{
    while (connection->readable && !connection->at_end) {
        ssize_t got = connection->tls ? http__tls_receive(connection->tls, to, room)
                                      : recv(connection->fd, to, room, 0);
        if (got > 0) {
            /* less than asked for: drained, an edge will tell; but the end has told already, and a
             * session may hold more than the socket */
            connection->readable =
                (size_t)got == room || connection->has_hung_up || connection->tls;
            return (size_t)got;
        }
        if (got < 0 && errno == EINTR)
            continue;
        connection->readable = false;
        connection->at_end = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    }
    return 0;
}

static bool window_fill(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    FR_ASSERT(inner->in_count < HTTP_IN_BYTES); /* or the end would be seen where there is none */
    size_t got = receive(connection, inner->in + inner->in_count, HTTP_IN_BYTES - inner->in_count);
    inner->in_count += got;
    return got > 0;
}

/* One empty line before a request line is passed over (RFC 9112 section 2.2). */
static void skip_empty_line(struct http_inner *inner)
{
    if (inner->scanned == 0 && inner->in_count - inner->in_at >= 2 &&
        memcmp(inner->in + inner->in_at, "\r\n", 2) == 0)
        inner->in_at += 2;
}

static void say_continue(struct http_connection *connection)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_inner *inner = connection->inner;
    const struct iovec part = {(void *)(uintptr_t)line, sizeof line - 1};
    if (!inner->head.wants_continue || inner->in_at != inner->in_count)
        return;
    if (connection->tls)
        (void)http__tls_send(connection->tls, &part);
    else
        (void)send(connection->fd, line, sizeof line - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void head_is_whole(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    struct http *http = connection->thread->http;
    struct http_request *request = &inner->request;
    request->began_ns = http__now_ns();
    request->waited_ns = request->began_ns - connection->thread->came_ns;
    uint16_t status =
        http__head_parse(inner->in + inner->in_at, inner->head_bytes, request, &inner->head);
    inner->in_at += inner->head_bytes;
    inner->head_end = inner->in_at;
    if (status) {
        refuse(connection, status, inner->head.code, inner->head.detail);
        return;
    }
    if (inner->head.length > http->options.body_bytes_max) {
        refuse(connection, 413, "body_too_large", "Content-Length is above the limit");
        return;
    }
    if (atomic_load_explicit(&http->bodies_bytes, memory_order_relaxed) + inner->head.length >
        http->options.bodies_bytes_max) {
        refuse(connection, 503, "bodies_full", "too many request bodies are under way");
        return;
    }
    phase_set(connection, HTTP_PHASE_BODY, 0);
    if (inner->head.length || inner->head.is_chunked)
        say_continue(connection);
}

/* True: something moved. */
static bool read_head(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    skip_empty_line(inner);
    enum http_progress progress =
        http__head_scan(inner->in + inner->in_at, inner->in_count - inner->in_at, &inner->scanned,
                        &inner->head_bytes);
    if (progress == HTTP_BAD) {
        refuse(connection, 400, "bad_head",
               "a line of the head does not end in CR LF, or holds a "
               "NUL");
        return true;
    }
    if (progress == HTTP_MORE && inner->in_count - inner->in_at > HTTP_HEAD_BYTES_MAX) {
        bool in_target =
            memchr(inner->in + inner->in_at, '\n', inner->in_count - inner->in_at) == NULL;
        refuse(connection, in_target ? 414 : 431, in_target ? "target_too_long" : "head_too_large",
               "the head is larger than 16 KiB");
        return true;
    }
    if (progress == HTTP_MORE)
        return window_fill(connection);
    head_is_whole(connection);
    return true;
}

static bool body_is_whole(struct http_connection *connection)
{
    connection->inner->request.body = base_buf_slice(&connection->inner->body);
    offer(connection);
    return true;
}

static bool read_counted(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    size_t missing = (size_t)inner->head.length - inner->body.count;
    size_t at_hand = FR_MIN(inner->in_count - inner->in_at, missing);
    if (at_hand) {
        base_buf_put(&inner->body, inner->in + inner->in_at, at_hand);
        inner->in_at += at_hand;
        bodies_count(inner, connection->thread->http, at_hand);
        missing -= at_hand;
    }
    if (missing == 0)
        return body_is_whole(connection);
    size_t room = FR_MIN(missing, (size_t)BODY_READ_BYTES);
    uint8_t *to = base_buf_reserve(&inner->body, room);
    if (!to) {
        connection_close(connection);
        return true;
    }
    size_t got = receive(connection, to, room);
    base_buf_commit(&inner->body, got);
    bodies_count(inner, connection->thread->http, got);
    atomic_store_explicit(&connection->thread->http->slot[connection->fd].bytes, inner->body.count,
                          memory_order_relaxed);
    return got > 0;
}

static bool read_chunked(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    struct http *http = connection->thread->http;
    size_t used = 0, before = inner->body.count;
    struct fr_slice bytes = fr_slice_of(inner->in + inner->in_at, inner->in_count - inner->in_at);
    enum http_progress progress = http__chunks_take(&inner->chunks, bytes, &used, &inner->body);
    inner->in_at += used;
    bodies_count(inner, http, inner->body.count - before);
    atomic_store_explicit(&http->slot[connection->fd].bytes, inner->body.count,
                          memory_order_relaxed);
    bool flood = atomic_load_explicit(&http->bodies_bytes, memory_order_relaxed) >
                 http->options.bodies_bytes_max;
    if (progress == HTTP_DONE)
        return body_is_whole(connection);
    if (progress == HTTP_BAD)
        refuse(connection, 400, "bad_chunk", "the chunked body is malformed");
    else if (progress == HTTP_TOO_LARGE)
        refuse(connection, 413, "body_too_large", "the body is above the limit");
    else if (flood)
        refuse(connection, 503, "bodies_full", "too many request bodies are under way");
    if (progress != HTTP_MORE || flood)
        return true;
    inner->in_count = inner->in_at = inner->head_end; /* all of it is decoded: the window again */
    return window_fill(connection);
}

static bool read_over(struct http_connection *connection)
{
    char waste[4096];
    size_t got = receive(connection, waste, sizeof waste);
    connection->lingered += got;
    if (connection->at_end || connection->lingered > LINGER_BYTES_MAX) {
        connection_close(connection);
        return false;
    }
    return got > 0;
}

/* ---- the state of one connection ------------------------------------------------------------- */

/* A request begins when its first byte is there. */
static bool begin(struct http_connection *connection)
{
    if (!connection->inner) {
        if (!connection->readable)
            return false;
        connection->inner = inner_take(connection->thread);
        if (!connection->inner) {
            connection_close(connection);
            return false;
        }
        connection->inner->connection = connection;
        inner_reset(connection->inner, connection->thread);
    }
    struct http_inner *inner = connection->inner;
    if (inner->in_at < inner->in_count || window_fill(connection)) {
        phase_set(connection, HTTP_PHASE_HEAD, 0);
        return true;
    }
    inner_give(connection->thread, inner); /* nothing came: idle, or at its end */
    connection->inner = NULL;
    return false;
}

static bool finish(struct http_connection *connection)
{
    struct http_inner *inner = connection->inner;
    if (inner->request.close) {
        linger(connection);
        return true;
    }
    bodies_release(inner, connection->thread->http);
    inner_reset(inner, connection->thread);
    phase_set(connection, HTTP_PHASE_IDLE, 0);
    return true;
}

/* One step. False: it waits for the socket, for the handler, or is gone. */
static bool step(struct http_connection *connection)
{
    bool is_open = true;
    switch (connection->phase) {
    case HTTP_PHASE_FIRST:
    case HTTP_PHASE_IDLE:
        return begin(connection);
    case HTTP_PHASE_HEAD:
        return read_head(connection);
    case HTTP_PHASE_BODY:
        return connection->inner->head.is_chunked ? read_chunked(connection)
                                                  : read_counted(connection);
    case HTTP_PHASE_ANSWER:
        if (!answered(connection))
            is_open = answer_send(connection);
        return is_open && answered(connection) && finish(connection);
    case HTTP_PHASE_LINGER:
        return read_over(connection);
    default:
        return false;
    }
}

/* As far as it goes without waiting, but for so many requests a turn. A client that is gone before
 * its request was whole is closed. */
static void advance(struct http_connection *connection)
{
    struct http_thread *thread = connection->thread;
    uint32_t requests = 0;
    while (requests < REQUESTS_A_TURN && step(connection))
        requests += connection->phase == HTTP_PHASE_IDLE;
    if (requests == REQUESTS_A_TURN && !connection->is_again) {
        connection->is_again = true;
        connection->again = thread->again;
        thread->again = connection;
        return;
    }
    bool waits = connection->phase == HTTP_PHASE_FREE || connection->phase == HTTP_PHASE_WORK ||
                 connection->phase == HTTP_PHASE_ANSWER;
    if (connection->at_end && !waits)
        connection_close(connection);
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

bool http__thread_give(struct http_thread *thread, int fd)
{
    pthread_mutex_lock(&thread->lock);
    bool fits = thread->arrived_count < ARRIVED_MAX;
    if (fits)
        thread->arrived[thread->arrived_count++] = fd;
    pthread_mutex_unlock(&thread->lock);
    if (fits)
        wake(thread);
    return fits;
}

static void welcome(struct http_thread *thread, int fd)
{
    struct http *http = thread->http;
    struct http_connection *connection = thread->unused;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    if (connection)
        thread->unused = connection->next;
    else
        connection = malloc(sizeof *connection);
    if (connection) {
        *connection = (struct http_connection){.fd = fd,
                                               .thread = thread,
                                               .phase = HTTP_PHASE_FIRST,
                                               .readable = true,
                                               .next = thread->open};
        if (thread->open)
            thread->open->previous = connection;
        thread->open = connection;
        event.data.ptr = connection;
        if (http->tls)
            connection->tls = http__tls_session_new(http->tls, fd);
        bool is_sound = connection->tls || !http->tls;
        if (is_sound && epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
            advance(connection);
        else
            connection_close(connection);
        return;
    }
    pthread_mutex_lock(&http->slots_lock);
    http__slot_phase(&http->slot[fd], HTTP_PHASE_FREE, 0);
    close(fd);
    pthread_mutex_unlock(&http->slots_lock);
    atomic_fetch_sub_explicit(&thread->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&http->connections, 1, memory_order_relaxed);
}

static void take_arrived(struct http_thread *thread)
{
    int fd[ARRIVED_MAX];
    pthread_mutex_lock(&thread->lock);
    uint32_t count = thread->arrived_count;
    memcpy(fd, thread->arrived, count * sizeof fd[0]);
    thread->arrived_count = 0;
    struct http_inner *resumed = thread->resumed;
    thread->resumed = NULL;
    pthread_mutex_unlock(&thread->lock);
    for (uint32_t i = 0; i < count; i++)
        welcome(thread, fd[i]);
    while (resumed) {
        struct http_inner *inner = resumed;
        struct http_connection *connection = inner->connection;
        resumed = inner->next;
        inner->suspended = false;
        atomic_fetch_sub_explicit(&thread->http->suspended, 1, memory_order_relaxed);
        inner->request.resumed = true;
        run(connection);
        advance(connection);
    }
}

/* Connections are pooled, never freed while the thread runs: a stale event of a closed one finds
 * phase FREE, or a new owner whom a needless look does not hurt. */
static void take_event(const struct epoll_event *event)
{
    struct http_connection *connection = event->data.ptr;
    if (connection->phase == HTTP_PHASE_FREE)
        return;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        connection->has_hung_up = true;
    if ((event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || connection->tls)
        connection->readable = true; /* a handshake may wait for either */
    advance(connection);
}

/* What waits, for half a millisecond or one request: then those that came meanwhile are looked at. */
static void take_queued(struct http_thread *thread)
{
    struct http *http = thread->http;
    int64_t began_ns = http__now_ns(), last_ns = began_ns;
    while (last_ns - began_ns < TURN_NS) {
        struct http_inner *inner = queue_take(thread);
        if (!inner)
            return;
        struct http_connection *connection = inner->connection;
        atomic_fetch_add(&http->working, 1); /* before the look: pairs with http_stop() */
        if (atomic_load(&http->over)) {
            connection_close(connection);
        } else {
            run(connection);
            advance(connection);
        }
        atomic_fetch_sub(&http->working, 1);
        int64_t now_ns = http__now_ns();
        thread->work_ns += (now_ns - last_ns - thread->work_ns) / 16;
        last_ns = now_ns;
    }
}

static void take_again(struct http_thread *thread)
{
    struct http_connection *connection = thread->again;
    thread->again = NULL;
    while (connection) {
        struct http_connection *next = connection->again;
        connection->is_again = false;
        if (connection->phase == HTTP_PHASE_FREE) {
            connection->next = thread->unused;
            thread->unused = connection;
        } else {
            advance(connection);
        }
        connection = next;
    }
}

/* What has come, and since about when it lay there: what is there at once came between the last time
 * that nothing was left and now; what had to be waited for came now. */
static int take_events(struct http_thread *thread, struct epoll_event event[EVENTS_A_TURN])
{
    int count = epoll_wait(thread->epoll_fd, event, EVENTS_A_TURN, 0);
    bool waits = count == 0 && !thread->again && !is_queued(thread);
    if (waits)
        count = epoll_wait(thread->epoll_fd, event, EVENTS_A_TURN, -1);
    int64_t now_ns = http__now_ns();
    thread->came_ns = waits ? now_ns : (thread->looked_ns + now_ns) / 2;
    if (count < EVENTS_A_TURN)
        thread->looked_ns = now_ns;
    return count;
}

static void *thread_main(void *context)
{
    struct http_thread *thread = context;
    struct epoll_event event[EVENTS_A_TURN];
    thread->looked_ns = http__now_ns();
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS); /* an answer's naps are 20 us (recommend.c) */
    while (!atomic_load_explicit(&thread->http->quit, memory_order_acquire)) {
        int count = take_events(thread, event);
        for (int i = 0; i < count; i++) {
            if (event[i].data.ptr) {
                take_event(&event[i]);
                continue;
            }
            uint64_t drained;
            (void)!read(thread->wake_fd, &drained, sizeof drained);
            take_arrived(thread);
        }
        take_queued(thread);
        take_again(thread);
    }
    return NULL;
}

/* ---- start and stop
 * ------------------------------------------------------------------------------ */

static void options_default(struct http_options *options)
{
    struct rlimit limit = {1024, 1024};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = FR_MIN(limit.rlim_max, (rlim_t)65536);
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    uint32_t files = (uint32_t)FR_MIN(limit.rlim_cur, (rlim_t)65536);
    uint32_t room = files > 2 * DESCRIPTORS_KEPT ? files - DESCRIPTORS_KEPT : files / 2;
    if (!options->connections_max)
        options->connections_max = CONNECTIONS_DEFAULT;
    options->connections_max = FR_MIN(options->connections_max, room);
    options->threads = options->threads ? FR_MIN(options->threads, HTTP_THREADS_MAX) : 1;
    if (!options->address)
        options->address = "127.0.0.1";
    if (!options->body_bytes_max)
        options->body_bytes_max = (size_t)16 << 20;
    if (!options->bodies_bytes_max)
        options->bodies_bytes_max = 16 * options->body_bytes_max;
    options->head_ms = options->head_ms ? options->head_ms : 10000;
    options->idle_ms = options->idle_ms ? options->idle_ms : 75000;
    options->body_ms = options->body_ms ? options->body_ms : 15000;
    options->answer_ms = options->answer_ms ? options->answer_ms : 30000;
}

static enum fr_status thread_start(struct http *http, uint32_t index, struct fr_error *error)
{
    struct http_thread *thread = &http->thread[index];
    char name[24];
    thread->http = http;
    thread->index = index;
    pthread_mutex_init(&thread->lock, NULL);
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread->arrived = calloc(ARRIVED_MAX, sizeof *thread->arrived);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (thread->epoll_fd < 0 || thread->wake_fd < 0 || !thread->arrived ||
        epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, thread->wake_fd, &event) != 0 ||
        pthread_create(&thread->thread, NULL, thread_main, thread) != 0)
        return base_fail(error, FR_IO, "serve", "cannot start a serving thread: %s",
                         strerror(errno));
    thread->runs = true;
    snprintf(name, sizeof name, "fr-http-%u", index);
    pthread_setname_np(thread->thread, name);
    return FR_OK;
}

static void thread_stop(struct http_thread *thread)
{
    if (!thread->http)
        return;
    if (thread->runs) {
        wake(thread);
        pthread_join(thread->thread, NULL);
    }
    for (uint32_t i = 0; i < thread->arrived_count; i++)
        close(thread->arrived[i]);
    for (struct http_connection *connection = thread->again; connection;) {
        struct http_connection *next = connection->again;
        connection->is_again = false;
        if (connection->phase == HTTP_PHASE_FREE)
            free(connection);
        connection = next;
    }
    while (thread->open)
        connection_close(thread->open);
    while (thread->pool) {
        struct http_inner *inner = thread->pool;
        thread->pool = inner->next;
        inner_free(inner);
    }
    while (thread->unused) {
        struct http_connection *connection = thread->unused;
        thread->unused = connection->next;
        free(connection);
    }
    if (thread->epoll_fd >= 0)
        close(thread->epoll_fd);
    if (thread->wake_fd >= 0)
        close(thread->wake_fd);
    free(thread->arrived);
    pthread_mutex_destroy(&thread->lock);
}

enum fr_status http_start(const struct http_options *options, struct fr_error *error,
                          struct http **out_http)
{
    FR_ASSERT(options->handle && options->refuse);
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return base_fail(error, FR_MEMORY, "serve", "no memory for the HTTP server");
    http->options = *options;
    http->listen_fd = http->wake_fd = -1;
    options_default(&http->options);
    pthread_mutex_init(&http->slots_lock, NULL);
    http->slot_count = http->options.connections_max + DESCRIPTORS_KEPT;
    http->slot = calloc(http->slot_count, sizeof *http->slot);
    enum fr_status status = http->slot ? FR_OK : FR_MEMORY;
    if (status == FR_OK && options->tls_certificate)
        status = http__tls_open(options->tls_certificate, options->tls_key, error, &http->tls);
    if (status == FR_OK)
        status = http__listen(http, error);
    for (uint32_t i = 0; status == FR_OK && i < http->options.threads; i++)
        status = thread_start(http, i, error);
    if (status == FR_OK)
        status = http__acceptor_start(http, error);
    if (status != FR_OK) {
        http_stop(http, 0);
        return status;
    }
    *out_http = http;
    return FR_OK;
}

void http_stop(struct http *http, uint32_t drain_ms)
{
    if (!http)
        return;
    atomic_store(&http->stopping, true);
    int64_t until_ns = http__now_ns() + (int64_t)drain_ms * 1000000;
    while (atomic_load(&http->connections) > 0 && http__now_ns() < until_ns)
        usleep(1000); /* the reaper ends those that are idle */
    atomic_store(&http->over,
                 true); /* no handler is called from here on, but again for the suspended */
    while (atomic_load(&http->working) > 0 || atomic_load(&http->suspended) > 0)
        usleep(1000); /* whoever they wait for holds them, and will resume them */
    http__acceptor_stop(http);
    atomic_store_explicit(&http->quit, true, memory_order_release);
    for (uint32_t i = 0; i < http->options.threads; i++)
        thread_stop(&http->thread[i]);
    if (http->listen_fd >= 0)
        close(http->listen_fd);
    http__tls_close(http->tls);
    pthread_mutex_destroy(&http->slots_lock);
    free(http->slot);
    free(http);
}

uint16_t http_port(const struct http *http)
{
    return http->port;
}

void http_stats_get(const struct http *http, struct http_stats *out_stats)
{
    *out_stats = (struct http_stats){
        .accepted = atomic_load_explicit(&http->accepted, memory_order_relaxed),
        .refused_full = atomic_load_explicit(&http->refused_full, memory_order_relaxed),
        .reaped_head = atomic_load_explicit(&http->reaped_head, memory_order_relaxed),
        .reaped_body = atomic_load_explicit(&http->reaped_body, memory_order_relaxed),
        .reaped_answer = atomic_load_explicit(&http->reaped_answer, memory_order_relaxed),
        .malformed = atomic_load_explicit(&http->malformed, memory_order_relaxed),
        .connections = atomic_load_explicit(&http->connections, memory_order_relaxed),
        .requests = atomic_load_explicit(&http->requests, memory_order_relaxed),
    };
}
