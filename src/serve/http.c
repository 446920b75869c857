/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http: requests over libmicrohttpd. One daemon a serving thread, without a listening socket:
 * the acceptor (http_accept.c) hands connections over. The library reads heads and bodies and
 * writes answers; this file pools what a request needs, checks heads (http_check.c), gathers
 * bodies, and keeps each connection's phase for the reaper.
 *
 * The order of the library's calls for one request: on_target (request line), on_request (head
 * whole), on_request (each piece of the body), on_request (body whole; once more after a
 * resumption), on_completed. Thread: all on the daemon's own. Owner: requests belong to their
 * thread's pool.
 */
#include "serve/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "serve/http_priv.h"

enum {
    CONNECTION_BYTES = 32768, /* the library's memory for one connection: head and pieces */
    POOL_MAX = 64,            /* idle requests kept a thread */
    KEEP_BYTES_MAX = 4 << 20, /* a larger buffer is given back after use */
    CONNECTIONS_DEFAULT = 16384,
    DESCRIPTORS_KEPT = 128,  /* for files */
    LIBRARY_TIMEOUT_S = 300, /* behind our own deadlines */
};

/* ---- the pool --------------------------------------------------------------------------- */

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
        memset(&inner->request, 0, sizeof inner->request);
        base_buf_init(&inner->request.out, 0);
        base_buf_init(&inner->body, 0);
    }
    struct base_buf out = inner->request.out;
    inner->request.header_count = 0;
    inner->request.answer_header_count = 0;
    inner->request.target = (struct fr_slice){0};
    inner->request.body = (struct fr_slice){0};
    inner->request.answer = (struct fr_slice){0};
    inner->request.resumed = inner->request.close = false;
    inner->request.job = NULL;
    inner->request.status = 0;
    inner->request.content_type = NULL;
    inner->request.out = out;
    base_buf_clear(&inner->request.out);
    base_buf_clear(&inner->body);
    inner->request.thread = thread->index;
    inner->http = thread->http;
    inner->next = NULL;
    inner->body_counted = 0;
    inner->seen_head = inner->too_large = inner->answered = inner->suspended = false;
    return inner;
}

static void inner_free(struct http_inner *inner)
{
    base_buf_release(&inner->request.out);
    base_buf_release(&inner->body);
    free(inner);
}

static void inner_give(struct http_thread *thread, struct http_inner *inner)
{
    if (inner->body_counted)
        atomic_fetch_sub_explicit(&inner->http->bodies_bytes, inner->body_counted,
                                  memory_order_relaxed);
    if (thread->pool_count >= POOL_MAX || inner->body.capacity > KEEP_BYTES_MAX ||
        inner->request.out.capacity > KEEP_BYTES_MAX) {
        inner_free(inner);
        return;
    }
    inner->next = thread->pool;
    thread->pool = inner;
    thread->pool_count++;
}

/* ---- answers ---------------------------------------------------------------------------- */

static enum MHD_Result answer(struct http_inner *inner)
{
    struct http_request *request = &inner->request;
    struct fr_slice body = request->answer.ptr ? request->answer : base_buf_slice(&request->out);
    FR_ASSERT(request->status >= 200);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.bytes, (void *)(uintptr_t)body.ptr,
                                        MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    if (request->content_type)
        (void)MHD_add_response_header(response, "Content-Type", request->content_type);
    for (uint32_t i = 0; i < request->answer_header_count; i++)
        (void)MHD_add_response_header(response, request->answer_header[i].name,
                                      request->answer_header[i].value);
    if (request->close || atomic_load_explicit(&inner->http->stopping, memory_order_relaxed))
        (void)MHD_add_response_header(response, "Connection", "close");
    http__slot_phase(inner->slot, HTTP_PHASE_ANSWER, body.bytes);
    inner->answered = true;
    enum MHD_Result result = MHD_queue_response(inner->connection, request->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct http_inner *inner, uint16_t status, const char *code,
                              const char *detail)
{
    inner->request.close = true;
    inner->http->options.refuse(inner->http->options.context, &inner->request, status, code,
                                detail);
    return answer(inner);
}

static enum MHD_Result run(struct http_inner *inner)
{
    inner->http->options.handle(inner->http->options.context, &inner->request);
    return inner->suspended ? MHD_YES : answer(inner);
}

void http_suspend(struct http_request *request)
{
    struct http_inner *inner = (struct http_inner *)request;
    FR_ASSERT(!inner->suspended && !inner->answered);
    inner->suspended = true;
    MHD_suspend_connection(inner->connection);
}

void http_resume(struct http_request *request)
{
    struct http_inner *inner = (struct http_inner *)request;
    MHD_resume_connection(inner->connection);
}

/* ---- the library's calls ---------------------------------------------------------------- */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_thread *thread = context;
    struct http_inner *inner = inner_take(thread);
    if (!inner)
        return NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    inner->connection = connection;
    inner->slot = info->socket_context;
    size_t bytes = strlen(target);
    if (bytes <= HTTP_TARGET_BYTES_MAX) {
        memcpy(inner->target, target, bytes + 1);
        inner->request.target = fr_slice_of(inner->target, bytes);
    }
    atomic_fetch_add_explicit(&thread->http->requests, 1, memory_order_relaxed);
    http__slot_phase(inner->slot, HTTP_PHASE_HEAD, 0);
    return inner;
}

static enum MHD_Result each_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_bytes, const char *value, size_t value_bytes)
{
    struct http_request *request = context;
    (void)kind;
    if (request->header_count == HTTP_HEADERS_MAX) {
        request->header_count++; /* one more than there is room for: refused */
        return MHD_NO;
    }
    struct http_header *header = &request->header[request->header_count++];
    header->name = fr_slice_of(name, name_bytes);
    header->value = value ? fr_slice_of(value, value_bytes) : (struct fr_slice){"", 0};
    return MHD_YES;
}

static enum http_method method_of(const char *name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } row[] = {{"GET", HTTP_GET},        {"POST", HTTP_POST},     {"HEAD", HTTP_HEAD},
               {"PUT", HTTP_PUT},        {"DELETE", HTTP_DELETE}, {"PATCH", HTTP_PATCH},
               {"OPTIONS", HTTP_OPTIONS}};
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (strcmp(name, row[i].name) == 0)
            return row[i].method;
    return HTTP_OTHER;
}

static enum MHD_Result refuse_malformed(struct http_inner *inner, uint16_t status, const char *code,
                                        const char *detail)
{
    atomic_fetch_add_explicit(&inner->http->malformed, 1, memory_order_relaxed);
    return refuse(inner, status, code, detail);
}

static enum MHD_Result head_is_whole(struct http_inner *inner, const char *method)
{
    struct http_request *request = &inner->request;
    struct http *http = inner->http;
    inner->seen_head = true;
    request->began_ns = http__now_ns();
    request->method = method_of(method);
    request->method_name = fr_slice_str(method);
    (void)MHD_get_connection_values_n(inner->connection, MHD_HEADER_KIND, each_header, request);
    if (request->header_count > HTTP_HEADERS_MAX) {
        request->header_count = HTTP_HEADERS_MAX;
        return refuse_malformed(inner, 431, "too_many_headers", "more than 64 header lines");
    }
    if (!request->target.ptr)
        return refuse_malformed(inner, 414, "target_too_long", "more than 8,192 bytes of target");
    const char *code, *detail;
    uint16_t status = http__head_check(request, &code, &detail);
    if (status)
        return refuse_malformed(inner, status, code, detail);
    uint64_t length;
    bool chunked;
    if (!http__has_body(request, &length, &chunked))
        return MHD_YES;
    if (length > http->options.body_bytes_max)
        return refuse(inner, 413, "body_too_large", "Content-Length is above the limit");
    if (atomic_load_explicit(&http->bodies_bytes, memory_order_relaxed) + length >
        http->options.bodies_bytes_max)
        return refuse(inner, 503, "bodies_full", "too many request bodies are under way");
    http__slot_phase(inner->slot, HTTP_PHASE_BODY, 0);
    return MHD_YES;
}

static enum MHD_Result body_piece(struct http_inner *inner, const char *piece, size_t bytes)
{
    struct http *http = inner->http;
    uint64_t in_flight = atomic_load_explicit(&http->bodies_bytes, memory_order_relaxed);
    if (inner->body.count + bytes > http->options.body_bytes_max ||
        in_flight + bytes > http->options.bodies_bytes_max)
        inner->too_large = true;
    if (inner->too_large) {
        /* An answer is only possible at the end of the body; a flood does not get that far. */
        inner->body_counted += bytes;
        atomic_fetch_add_explicit(&http->bodies_bytes, bytes, memory_order_relaxed);
        return inner->body_counted > 4 * http->options.body_bytes_max ? MHD_NO : MHD_YES;
    }
    base_buf_put(&inner->body, piece, bytes);
    inner->body_counted += bytes;
    atomic_fetch_add_explicit(&http->bodies_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&inner->slot->bytes, inner->body.count, memory_order_relaxed);
    return inner->body.overflowed ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_bytes, void **request_context)
{
    struct http_inner *inner = *request_context;
    (void)context;
    (void)connection;
    (void)url;
    (void)version;
    if (!inner)
        return MHD_NO;
    if (inner->suspended) {
        inner->suspended = false;
        inner->request.resumed = true;
        return run(inner);
    }
    if (!inner->seen_head)
        return head_is_whole(inner, method);
    if (*upload_bytes > 0) {
        size_t bytes = *upload_bytes;
        *upload_bytes = 0;
        return body_piece(inner, upload_data, bytes);
    }
    if (inner->too_large)
        return refuse(inner, 413, "body_too_large", "the body is above the limit");
    http__slot_phase(inner->slot, HTTP_PHASE_WORK, 0);
    inner->request.body = base_buf_slice(&inner->body);
    return run(inner);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode how)
{
    struct http_thread *thread = context;
    struct http_inner *inner = *request_context;
    (void)connection;
    (void)how;
    if (!inner)
        return;
    *request_context = NULL;
    if (inner->answered && thread->http->options.sent)
        thread->http->options.sent(thread->http->options.context, &inner->request);
    http__slot_phase(inner->slot, HTTP_PHASE_IDLE, 0);
    atomic_fetch_sub_explicit(&thread->http->requests, 1, memory_order_relaxed);
    inner_give(thread, inner);
}

/* The library starts the thread; this is the first of its calls. */
static void name_thread(struct http_thread *thread)
{
    char name[16];
    snprintf(name, sizeof name, "fr-http-%u", thread->index);
    pthread_setname_np(pthread_self(), name);
    thread->named = true;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_thread *thread = context;
    struct http *http = thread->http;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (!thread->named)
            name_thread(thread);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = &http->slot[info->connect_fd];
        return;
    }
    struct http_slot *slot = *socket_context;
    pthread_mutex_lock(&http->slots_lock);
    atomic_store_explicit(&slot->phase, HTTP_PHASE_FREE, memory_order_relaxed);
    pthread_mutex_unlock(&http->slots_lock);
    atomic_fetch_sub_explicit(&thread->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&http->connections, 1, memory_order_relaxed);
}

/* ---- start and stop --------------------------------------------------------------------- */

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
    thread->http = http;
    thread->index = index;
    thread->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
                             MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_TURBO,
                         0, NULL, NULL, on_request, thread, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_LIMIT,
                         http->options.connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned int)LIBRARY_TIMEOUT_S, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                         MHD_OPTION_URI_LOG_CALLBACK, on_target, thread,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, thread,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, thread, MHD_OPTION_END);
    if (!thread->daemon)
        return base_fail(error, FR_IO, "serve", "cannot start a serving thread: %s",
                         strerror(errno));
    return FR_OK;
}

static void http_free(struct http *http)
{
    for (uint32_t i = 0; i < http->options.threads; i++) {
        while (http->thread[i].pool) {
            struct http_inner *inner = http->thread[i].pool;
            http->thread[i].pool = inner->next;
            inner_free(inner);
        }
    }
    if (http->listen_fd >= 0)
        close(http->listen_fd);
    pthread_mutex_destroy(&http->slots_lock);
    free(http->slot);
    free(http);
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
    enum fr_status status = http->slot ? http__listen(http, error) : FR_MEMORY;
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
    while (atomic_load(&http->requests) > 0 && http__now_ns() < until_ns)
        usleep(1000);
    http__acceptor_stop(http);
    for (uint32_t i = 0; i < http->options.threads; i++)
        if (http->thread[i].daemon)
            MHD_stop_daemon(http->thread[i].daemon);
    http_free(http);
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
