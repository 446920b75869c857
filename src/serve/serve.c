/* SPDX-License-Identifier: Apache-2.0
 *
 * serve: from an HTTP request to its handler: route, access, arguments; and start and stop.
 *
 * The order of refusals: path (404), method (405), where it comes from (403), key (401), scope
 * (403), rate (429), body and arguments (400, 415). Thread: handlers run on their serving thread;
 * serve_tick on the acceptor's.
 */
#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ingest/ingest.h"
#include "obs/obs.h"
#include "serve/ask.h"
#include "serve/page.h"
#include "serve/serve_priv.h"
#include "serve/stats.h"

enum { DRAIN_MS = 10000, THREADS_DEFAULT = 2, SEED_DEFAULT = 20261124, RECORD_BYTES = 1 << 17 };

/* ---- one request --------------------------------------------------------------------------- */

/* A change of settings reaches a thread between two requests. */
static void settings_refresh(struct serve_thread *thread)
{
    struct serve *serve = thread->serve;
    if (atomic_load_explicit(&serve->settings_count, memory_order_acquire) == thread->settings_seen)
        return; /* pairs with settings_set() */
    pthread_mutex_lock(&serve->settings_lock);
    thread->settings = serve->settings;
    thread->n_max = serve->n_max;
    thread->settings_seen = atomic_load_explicit(&serve->settings_count, memory_order_relaxed);
    pthread_mutex_unlock(&serve->settings_lock);
}

static void call_begin(struct serve *serve, struct http_request *http, struct serve_call *call)
{
    struct serve_thread *thread = &serve->thread[http->thread];
    settings_refresh(thread);
    *call = (struct serve_call){.serve = serve,
                                .thread = thread,
                                .http = http,
                                .args = &thread->args,
                                .arena = &thread->arena,
                                .out = &http->out,
                                .began_ns = http->began_ns};
    thread->args.count = 0;
    base_arena_clear(&thread->arena);
    base_buf_clear(&thread->scratch);
}

/* Sent with everything. */
static void add_headers(struct serve_call *call)
{
    struct http_request *http = call->http;
    memcpy(http->scratch, call->id_text, sizeof call->id_text);
    serve__header(http, "X-Request-Id", http->scratch);
    serve__header(http, "X-Content-Type-Options", "nosniff");
    if (http->answer.ptr == NULL)
        serve__header(http, "Cache-Control", "no-store");
}

static void count_status(uint16_t status)
{
    obs_counter_add(status < 300   ? OBS_HTTP_2XX
                    : status < 400 ? OBS_HTTP_3XX
                    : status < 500 ? OBS_HTTP_4XX
                                   : OBS_HTTP_5XX,
                    1);
}

static void refuse_method(struct serve_call *call, uint32_t allowed)
{
    static const struct {
        enum http_method method;
        const char *name;
    } row[] = {{HTTP_GET, "GET"}, {HTTP_HEAD, "HEAD"},   {HTTP_POST, "POST"},
               {HTTP_PUT, "PUT"}, {HTTP_PATCH, "PATCH"}, {HTTP_DELETE, "DELETE"}};
    char *text = call->http->scratch + 64;
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (allowed & row[i].method)
            used += (size_t)snprintf(text + used, 64, "%s%s", used ? ", " : "", row[i].name);
    serve__problem(call, 405, "method_not_allowed", text, "this path knows other methods");
    serve__header(call->http, "Allow", text);
}

static void refuse_path(struct serve_call *call, struct fr_slice path)
{
    const char *nearest = serve__route_nearest(path);
    char hint[128] = "/openapi.json lists what there is";
    if (nearest)
        snprintf(hint, sizeof hint, "did you mean %s?", nearest);
    serve__problem(call, 404, "no_such_path", hint, "there is nothing at this path");
}

/* ---- access -------------------------------------------------------------------------------- */

static bool host_is_local(struct fr_slice host)
{
    static const char *const local[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < FR_COUNT_OF(local); i++) {
        size_t bytes = strlen(local[i]);
        if (host.bytes >= bytes && memcmp(host.ptr, local[i], bytes) == 0 &&
            (host.bytes == bytes || host.ptr[bytes] == ':'))
            return true;
    }
    return host.bytes == 0;
}

/* Without keys, the loopback address is the only guard, and a browser on this machine can be made
 * to speak to it: by a name that is rebound to 127.0.0.1 (Host), or from a foreign page (Origin).
 */
static bool comes_from_here(const struct serve_call *call)
{
    struct fr_slice host = http_header(call->http, "host");
    struct fr_slice origin = http_header(call->http, "origin");
    if (!call->serve->loopback || serve_keys_required(call->serve->keys))
        return true;
    if (!host_is_local(host))
        return false;
    if (!origin.ptr)
        return true;
    const char *scheme = call->serve->options.tls_certificate ? "https://" : "http://";
    size_t bytes = strlen(scheme);
    return origin.bytes > bytes && memcmp(origin.ptr, scheme, bytes) == 0 &&
           fr_slice_equal(fr_slice_of(origin.ptr + bytes, origin.bytes - bytes), host);
}

static struct fr_slice token_of(const struct http_request *http)
{
    static const char bearer[] = "Bearer ";
    struct fr_slice value = http_header(http, "authorization");
    if (value.bytes > sizeof bearer - 1 && memcmp(value.ptr, bearer, sizeof bearer - 1) == 0)
        return fr_slice_of(value.ptr + sizeof bearer - 1, value.bytes - (sizeof bearer - 1));
    return http_header(http, "x-api-key");
}

static void refuse_key(struct serve_call *call, enum serve_admission admission, uint32_t wait_ms)
{
    if (admission == SERVE_TOO_MANY) {
        serve__problem(call, 429, "rate_limited", "see Retry-After",
                       "the rate of this key is used up");
        serve__header_u64(call->http, "Retry-After", wait_ms / 1000 + 1);
        return;
    }
    obs_counter_add(OBS_HTTP_UNAUTHORISED, 1);
    serve__problem(call, 401, admission == SERVE_EXPIRED_KEY ? "expired_key" : "unauthorised",
                   "send a key as \"Authorization: Bearer ...\" or \"X-API-Key: ...\"; "
                   "`freshet keys create` makes one",
                   admission == SERVE_NO_KEY        ? "an API key is needed"
                   : admission == SERVE_EXPIRED_KEY ? "this API key has expired"
                                                    : "this API key is not known");
    serve__header(call->http, "WWW-Authenticate", "Bearer");
}

static bool admit(struct serve_call *call)
{
    uint32_t wait_ms;
    if (!comes_from_here(call)) {
        serve__problem(call, 403, "foreign_origin",
                       "without API keys only this machine's own pages and programs may call",
                       "the request comes from another site");
        return false;
    }
    if (call->route->scope == 0)
        return true;
    enum serve_admission admission =
        serve_keys_admit(call->serve->keys, token_of(call->http),
                         os_wall_us(call->serve->options.os), &call->who, &wait_ms);
    if (admission != SERVE_ADMITTED) {
        refuse_key(call, admission, wait_ms);
        return false;
    }
    if (call->who.scopes & call->route->scope)
        return true;
    serve__problem(call, 403, "missing_scope", "`freshet keys create --scopes` makes one that may",
                   "this API key does not have the scope that this route needs");
    return false;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static bool media_is(struct fr_slice value, const char *media)
{
    size_t bytes = strlen(media);
    if (value.bytes == 0)
        return true;
    return value.bytes >= bytes && strncasecmp(value.ptr, media, bytes) == 0 &&
           (value.bytes == bytes || value.ptr[bytes] == ';' || value.ptr[bytes] == ' ');
}

static bool read_path_values(struct serve_call *call, const struct fr_slice *raw)
{
    struct serve_fault fault = {0};
    for (uint32_t i = 0; i < SERVE_PATH_VALUES_MAX && raw[i].ptr; i++) {
        if (serve_segment_decode(call->arena, raw[i], &call->path_value[i], &fault) != FR_OK) {
            serve__problem_fault(call, 400, &fault);
            return false;
        }
        if (call->path_value[i].bytes > SCHEMA_ID_BYTES_MAX) {
            serve__problem(call, 400, "bad_id", NULL, "an id has at most 256 bytes");
            return false;
        }
    }
    return true;
}

static bool read_args(struct serve_call *call, struct fr_slice query)
{
    const struct serve_route *route = call->route;
    struct serve_args *args = &call->thread->args;
    struct serve_fault fault = {0};
    enum fr_status status = serve_query_parse(call->arena, query, args, &fault);
    if (status == FR_OK && route->body == SERVE_BODY_ARGS) {
        if (!media_is(http_header(call->http, "content-type"), "application/json") ||
            http_header(call->http, "content-encoding").bytes) {
            serve__problem(call, 415, "unsupported_media_type", "send plain application/json",
                           "this body is read as JSON only");
            return false;
        }
        status = serve_json_parse(call->arena, call->http->body, args, &fault);
    }
    if (status == FR_OK)
        status = serve_args_check(args, route->param, route->param_count, &fault);
    if (status == FR_OK)
        return true;
    if (status == FR_FULL)
        serve__problem(call, 413, "request_too_large", NULL, "the request has too many values");
    else
        serve__problem_fault(call, 400, &fault);
    return false;
}

static bool body_is_expected(struct serve_call *call)
{
    if (call->route->body != SERVE_BODY_NONE || call->http->body.bytes == 0)
        return true;
    serve__problem(call, 400, "unexpected_body", "leave it out", "this route takes no body");
    return false;
}

/* ---- static files ---------------------------------------------------------------------------- */

static bool serve_page(struct serve_call *call, struct fr_slice path)
{
    const struct serve_page_file *file = serve_page_find(path);
    struct http_request *http = call->http;
    if (!file)
        return false;
    if (!(http->method & (HTTP_GET | HTTP_HEAD))) {
        refuse_method(call, HTTP_GET | HTTP_HEAD);
        return true;
    }
    struct fr_slice known = http_header(http, "if-none-match");
    http->content_type = file->content_type;
    http->status = 200;
    http->answer = fr_slice_of((const char *)file->bytes, file->size);
    if (known.ptr && fr_slice_equal(known, fr_slice_str(file->etag))) {
        http->status = 304;
        http->answer = fr_slice_of("", 0);
    }
    serve__header(http, "ETag", file->etag);
    serve__header(http, "Cache-Control", "no-cache");
    serve__header(http, "Content-Security-Policy", SERVE_PAGE_POLICY);
    serve__header(http, "Referrer-Policy", "no-referrer");
    serve__header(http, "Cross-Origin-Resource-Policy", "same-origin");
    return true;
}

void serve__handle_openapi(struct serve_call *call)
{
    serve__json(call, 200);
    call->http->answer = base_buf_slice(&call->serve->openapi);
    serve__header(call->http, "Cache-Control", "no-cache");
}

/* ---- dispatch -------------------------------------------------------------------------------- */

/* OPTIONS of the server as a whole (RFC 9110 section 9.3.7). */
static void answer_options(struct serve_call *call)
{
    call->http->status = 204;
    serve__header(call->http, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
}

static void refuse_overload(struct serve_call *call)
{
    serve__problem(call, 503, "overloaded", "send again after a second, or slow down",
                   "requests come in faster than they can be answered");
    serve__header(call->http, "Retry-After", "1");
}

struct address {
    struct fr_slice path, query, raw[SERVE_PATH_VALUES_MAX];
};

static struct address address_of(const struct http_request *http)
{
    struct fr_slice target = http->target;
    const char *mark = memchr(target.ptr, '?', target.bytes);
    size_t path_bytes = mark ? (size_t)(mark - target.ptr) : target.bytes;
    struct address address = {.path = fr_slice_of(target.ptr, path_bytes),
                              .query = fr_slice_of("", 0)};
    if (mark)
        address.query = fr_slice_of(mark + 1, target.bytes - path_bytes - 1);
    return address;
}

void serve__answer(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    size_t mark = base_arena_mark(call->arena);
    uint32_t headers = call->http->answer_header_count, tries = 0;
    bool whole = false;
    do {
        uint64_t began = state_reading_begin(state);
        base_arena_rewind(call->arena, mark);
        call->arena->overflowed = false;
        call->http->answer_header_count = headers;
        call->route->handle(call);
        bool later = call->http->job != NULL; /* suspended: another thread answers */
        whole = !call->route->reads || later || state_reading_ok(state, began);
    } while (!whole && ++tries < SERVE__READINGS_MAX);
    if (!whole)
        serve__problem_reused(call);
    else if (call->route->done && call->http->status == 200)
        call->route->done(call);
}

static void dispatch(struct serve_call *call)
{
    struct address address = address_of(call->http);
    uint32_t allowed = 0;
    call->route = serve__route_find(call->http->method, address.path, address.raw, &allowed);
    if (!call->route) {
        if (call->http->target.ptr[0] == '*')
            answer_options(call);
        else if (allowed)
            refuse_method(call, allowed);
        else if (!serve_page(call, address.path))
            refuse_path(call, address.path);
        return;
    }
    if (admit(call) && read_path_values(call, address.raw) && body_is_expected(call) &&
        read_args(call, address.query))
        serve__answer(call);
}

static void number_call(struct serve_call *call)
{
    call->id = serve__id_next(call->thread);
    serve__id_print(call->id, call->id_text);
}

/* Before its turn: which queue, and whether it can wait there at all. */
static bool serve_admit(void *context, struct http_request *http)
{
    struct serve *serve = context;
    struct address address = address_of(http);
    uint32_t allowed;
    const struct serve_route *route =
        serve__route_find(http->method, address.path, address.raw, &allowed);
    uint32_t scope = route ? route->scope : 0;
    http->rank = scope == SERVE_INGEST ? 2 : scope & (SERVE_WRITE | SERVE_ADMIN) ? 1 : 0;
    struct serve_wait wait = {http->began_ns, http->waited_ns, http->queue_ns};
    if (!serve__shed(&serve->thread[http->thread].shed, scope, &wait))
        return true;
    struct serve_call call;
    call_begin(serve, http, &call);
    number_call(&call);
    refuse_overload(&call);
    add_headers(&call);
    count_status(http->status);
    return false;
}

void serve__handle(void *context, struct http_request *http)
{
    struct serve *serve = context;
    struct serve_call call;
    call_begin(serve, http, &call);
    if (http->resumed) {
        struct serve_pending *pending = http->job;
        pending->resumed(&call);
    } else {
        number_call(&call);
        dispatch(&call);
    }
    if (http->status == 0)
        return; /* suspended */
    if (call.out->overflowed)
        serve__problem(&call, 503, "answer_memory", "ask for less", "no memory for the answer");
    add_headers(&call);
    count_status(http->status);
}

static void serve_refuse(void *context, struct http_request *http, uint16_t status,
                         const char *code, const char *detail)
{
    struct serve_call call;
    call_begin(context, http, &call);
    number_call(&call);
    serve__problem(&call, status, code, NULL, detail);
    if (status == 503)
        serve__header(http, "Retry-After", "1");
    add_headers(&call);
    count_status(status);
}

static void serve_sent(void *context, const struct http_request *http)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    obs_histogram_record(OBS_HTTP_REQUEST, (uint64_t)FR_MAX(now_ns - http->began_ns, (int64_t)0));
}

/* The file of keys is changed by `freshet keys`; the server only notices. */
static void on_key_change(void *context, const struct serve_key_change *change)
{
    char detail[160];
    snprintf(detail, sizeof detail, "%s%s%s", change->scopes, change->note[0] ? ": " : "",
             change->note);
    serve__act(context, &(struct schema_act){.actor = FR_SLICE("command line"),
                                             .act = change->is_new ? FR_SLICE("key_created")
                                                                   : FR_SLICE("key_revoked"),
                                             .target = fr_slice_str(change->id),
                                             .detail = fr_slice_str(detail)});
}

static void serve_renewed(void *context, const char *certificate)
{
    serve__act(context, &(struct schema_act){.actor = FR_SLICE("server"),
                                             .act = FR_SLICE("certificate_renewed"),
                                             .target = fr_slice_str(certificate)});
}

static void serve_tick(void *context)
{
    struct serve *serve = context;
    serve_keys_refresh(serve->keys, on_key_change, serve);
    serve__rates_tick(serve);
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

static void options_default(struct serve_options *options)
{
    options->address = options->address && options->address[0] ? options->address : "127.0.0.1";
    options->threads =
        options->threads ? FR_MIN(options->threads, HTTP_THREADS_MAX) : THREADS_DEFAULT;
    if (!options->batch_events_max)
        options->batch_events_max = 10000;
    if (!options->body_bytes_max)
        options->body_bytes_max = (size_t)16 << 20;
    if (!options->candidates_max)
        options->candidates_max = 320;
    if (!options->n_max || options->n_max > SERVE_N_MAX)
        options->n_max = SERVE_N_MAX;
    if (options->new_share == 0)
        options->new_share = 0.1f;
    if (!options->seed)
        options->seed = SEED_DEFAULT;
    if (!options->slate_bytes_max)
        options->slate_bytes_max = (uint64_t)1 << 30;
    if (!options->record_one_in)
        options->record_one_in = 100;
}

static void settings_set(struct serve *serve)
{
    pthread_mutex_lock(&serve->settings_lock);
    serve__settings_of(&serve->options, &serve->settings);
    serve->n_max = serve->options.n_max;
    atomic_fetch_add_explicit(&serve->settings_count, 1, memory_order_release);
    pthread_mutex_unlock(&serve->settings_lock);
}

void serve_change(struct serve *serve, const struct serve_live *live, const char *what)
{
    struct serve_options *options = &serve->options; /* of these four, main is the only reader */
    options->repeats = live->repeats;
    options->n_max = live->n_max;
    options->new_age_s = live->new_age_s;
    options->new_share = live->new_share;
    options_default(options);
    settings_set(serve);
    serve__act(serve, &(struct schema_act){.actor = FR_SLICE("configuration"),
                                           .act = FR_SLICE("settings_changed"),
                                           .target = fr_slice_str(what)});
}

static enum fr_status thread_open(struct serve *serve, uint32_t index, struct fr_error *error)
{
    struct serve_thread *thread = &serve->thread[index];
    struct ingest_options ingest = {.types = serve->options.types,
                                    .body_bytes_max = serve->options.body_bytes_max,
                                    .count_max = serve->options.batch_events_max};
    thread->serve = serve;
    thread->index = index;
    base_buf_init(&thread->scratch, 0);
    base_buf_init(&thread->record, 0);
    if (!base_buf_reserve(&thread->record, RECORD_BYTES) || /* or one in a hundred would grow it */
        !base_buf_reserve(&thread->scratch, 2 * RECORD_BYTES))
        return base_fail(error, FR_MEMORY, "serve", "no memory for a serving thread");
    FR_TRY(base_arena_init(&thread->arena, SERVE_ARENA_BYTES));
    thread->decision = calloc(1, sizeof *thread->decision);
    if (!thread->decision)
        return base_fail(error, FR_MEMORY, "serve", "no memory for a serving thread");
    return ingest_new(&ingest, error, &thread->ingest);
}

static void thread_close(struct serve_thread *thread)
{
    serve__jobs_free(thread);
    ingest_free(thread->ingest);
    free(thread->decision);
    base_arena_release(&thread->arena);
    base_buf_release(&thread->scratch);
    base_buf_release(&thread->record);
}

static enum fr_status refuse_open_door(const struct serve *serve, struct fr_error *error)
{
    if (serve->loopback || serve_keys_required(serve->keys))
        return FR_OK;
    fr_ignore(base_fail(error, FR_DENIED, "serve",
                        "listening on %s would let everybody read and write: there is no API key",
                        serve->options.address),
              "returned below");
    base_hint(error,
              "make one with `freshet keys create --scopes read,ingest --data-dir %s`, or "
              "listen on 127.0.0.1",
              serve->directory);
    return FR_DENIED;
}

static enum fr_status parts_open(struct serve *serve, struct fr_error *error)
{
    const struct serve_options *options = &serve->options;
    FR_TRY(serve_keys_open(options->os, serve->directory, options->rate_per_second, error,
                           &serve->keys));
    FR_TRY(refuse_open_door(serve, error));
    if (!options->no_slates)
        FR_TRY(serve_slates_open(options->os, serve->directory, options->slate_bytes_max, error,
                                 &serve->slates));
    if (serve->slates)
        FR_TRY(serve__lookups_new(options->os, serve->directory, error, &serve->lookups));
    serve->rates = serve__rates_new();
    serve->thread = calloc(options->threads, sizeof *serve->thread);
    if (!serve->rates || !serve->thread ||
        serve_decisions_new(options->threads, &serve->decisions) != FR_OK)
        return base_fail(error, FR_MEMORY, "serve", "no memory for the serving threads");
    for (uint32_t i = 0; i < options->threads; i++)
        FR_TRY(thread_open(serve, i, error));
    base_buf_init(&serve->openapi, 0);
    serve_openapi_print(&serve->openapi);
    return FR_OK;
}

static enum fr_status http_open(struct serve *serve, struct fr_error *error)
{
    const struct serve_options *options = &serve->options;
    struct http_options http = {.address = serve->address,
                                .port = options->port,
                                .port_tries = options->port_tries,
                                .listen_fd = options->listen_fd,
                                .tls_certificate = options->tls_certificate,
                                .tls_key = options->tls_key,
                                .threads = options->threads,
                                .connections_max = options->connections_max,
                                .body_bytes_max = options->body_bytes_max,
                                .bodies_bytes_max = options->bodies_bytes_max,
                                .head_ms = options->head_ms,
                                .body_ms = options->body_ms,
                                .idle_ms = options->idle_ms,
                                .context = serve,
                                .admit = serve_admit,
                                .handle = serve__handle,
                                .refuse = serve_refuse,
                                .sent = serve_sent,
                                .renewed = serve_renewed,
                                .tick = serve_tick};
    FR_TRY(http_start(&http, error, &serve->http));
    bool v6 = strchr(serve->address, ':') != NULL;
    snprintf(serve->url, sizeof serve->url, v6 ? "%s://[%s]:%u" : "%s://%s:%u",
             options->tls_certificate ? "https" : "http", serve->address, http_port(serve->http));
    atomic_store_explicit(&serve->ready, true, memory_order_release);
    return FR_OK;
}

enum fr_status serve_start(const struct serve_options *options, struct fr_error *error,
                           struct serve **out_serve)
{
    FR_ASSERT(options->os && options->state && options->rank && options->fold && options->types);
    struct serve *serve = calloc(1, sizeof *serve);
    if (!serve)
        return base_fail(error, FR_MEMORY, "serve", "no memory for the server");
    serve->options = *options;
    options_default(&serve->options);
    pthread_mutex_init(&serve->settings_lock, NULL);
    settings_set(serve);
    snprintf(serve->directory, sizeof serve->directory, "%s", options->directory);
    snprintf(serve->address, sizeof serve->address, "%s", serve->options.address);
    serve->options.directory = serve->directory;
    serve->options.address = serve->address;
    serve->loopback = http_address_is_loopback(serve->address);
    serve->started_us = os_wall_us(options->os);
    options->os->table->random(options->os, &serve->instance, sizeof serve->instance);
    enum fr_status status = parts_open(serve, error);
    if (status == FR_OK)
        status = http_open(serve, error);
    if (status != FR_OK) {
        serve_stop(serve);
        return status;
    }
    *out_serve = serve;
    return FR_OK;
}

void serve_stop(struct serve *serve)
{
    if (!serve)
        return;
    atomic_store_explicit(&serve->ready, false, memory_order_release);
    http_stop(serve->http, DRAIN_MS);
    while (atomic_load_explicit(&serve->jobs_out, memory_order_acquire) > 0)
        usleep(1000); /* the fold answers each: pairs with on_done() in write.c */
    for (uint32_t i = 0; serve->thread && i < serve->options.threads; i++)
        thread_close(&serve->thread[i]);
    free(serve->thread);
    serve__lookups_free(serve->lookups);
    serve_slates_close(serve->slates);
    serve_decisions_free(serve->decisions);
    serve_keys_close(serve->keys);
    serve__rates_free(serve->rates);
    base_buf_release(&serve->openapi);
    pthread_mutex_destroy(&serve->settings_lock);
    free(serve);
}

uint16_t serve_port(const struct serve *serve)
{
    return http_port(serve->http);
}

const char *serve_url(const struct serve *serve)
{
    return serve->url;
}

void serve_set_ready(struct serve *serve, bool ready)
{
    atomic_store_explicit(&serve->ready, ready, memory_order_release);
}
