/* SPDX-License-Identifier: Apache-2.0
 *
 * Any query string, JSON body or path gives arguments or a fault with its words, never a crash.
 * What is accepted is valid text within its table; and the two ways of writing agree: what a JSON
 * body says, written as a query string, reads the same.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "serve/serve_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static uint8_t memory[1 << 20] __attribute__((aligned(64)));
static struct serve_args args, again;

static void check_fault(enum fr_status status, const struct serve_fault *fault)
{
    FR_ASSERT(status == FR_INVALID || status == FR_FULL);
    if (status == FR_INVALID) {
        FR_ASSERT(fault->code && fault->code[0] && fault->detail[0] && fault->path[0]);
        FR_ASSERT(memchr(fault->path, 0, sizeof fault->path));
    }
}

static const struct serve_route *recommend(void)
{
    uint32_t count;
    const struct serve_route *route = serve__routes(&count);
    while (strcmp(route->operation, "recommend") != 0)
        route++;
    return route;
}

static bool check_table(const struct serve_args *checked)
{
    const struct serve_route *route = recommend();
    struct serve_fault fault = {0};
    enum fr_status status = serve_args_check(checked, route->param, route->param_count, &fault);
    if (status != FR_OK) {
        check_fault(status, &fault);
        return false;
    }
    int64_t n = serve_args_int(checked, "n", 10);
    FR_ASSERT(n >= 1 && n <= SERVE_N_MAX);
    struct fr_slice item[SERVE_RECENT_MAX];
    uint32_t items = serve_args_list(checked, "items", item, SERVE_RECENT_MAX);
    for (uint32_t i = 0; i < items; i++)
        FR_ASSERT(item[i].bytes >= 1 && item[i].bytes <= 256 && serve_utf8_ok(item[i]));
    return true;
}

static void put_escaped(struct base_buf *out, struct fr_slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        base_buf_printf(out, "%%%02x", (unsigned char)text.ptr[i]);
}

/* A JSON body that was accepted, as a query string. */
static void write_as_query(const struct serve_args *from, struct base_buf *out)
{
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->row[i].kind == SERVE_ARG_NULL)
            continue;
        put_escaped(out, from->row[i].name);
        base_buf_put_str(out, "=");
        put_escaped(out, from->row[i].value);
        base_buf_put_str(out, "&");
    }
}

static void check_json(struct fr_slice text)
{
    struct base_arena arena;
    struct serve_fault fault = {0};
    struct base_buf query;
    base_arena_init_with(&arena, memory, sizeof memory);
    args.count = again.count = 0;
    enum fr_status status = serve_json_parse(&arena, text, &args, &fault);
    if (status != FR_OK) {
        check_fault(status, &fault);
        return;
    }
    if (!check_table(&args))
        return;
    base_buf_init(&query, 0);
    write_as_query(&args, &query);
    status = serve_query_parse(&arena, base_buf_slice(&query), &again, &fault);
    FR_ASSERT(status == FR_OK || status == FR_FULL);
    FR_ASSERT(status == FR_FULL || check_table(&again));
    FR_ASSERT(serve_args_int(&args, "n", 10) == serve_args_int(&again, "n", 10) ||
              status == FR_FULL);
    base_buf_release(&query);
}

static void check_query(struct fr_slice text)
{
    struct base_arena arena;
    struct serve_fault fault = {0};
    base_arena_init_with(&arena, memory, sizeof memory);
    args.count = 0;
    enum fr_status status = serve_query_parse(&arena, text, &args, &fault);
    if (status != FR_OK) {
        check_fault(status, &fault);
        return;
    }
    for (uint32_t i = 0; i < args.count; i++)
        FR_ASSERT(serve_utf8_ok(args.row[i].name) && serve_utf8_ok(args.row[i].value));
    (void)check_table(&args);
}

static void check_path(struct fr_slice text)
{
    struct fr_slice value[SERVE_PATH_VALUES_MAX] = {{0}};
    uint32_t allowed = 0;
    (void)serve__route_find(HTTP_GET, text, value, &allowed);
    for (uint32_t i = 0; i < SERVE_PATH_VALUES_MAX; i++)
        FR_ASSERT(!value[i].ptr || (value[i].ptr >= text.ptr &&
                                    value[i].ptr + value[i].bytes <= text.ptr + text.bytes));
    (void)serve__route_nearest(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    struct fr_slice text = fr_slice_of((const char *)bytes + 1, count - 1);
    if (bytes[0] == '{')
        check_json(fr_slice_of((const char *)bytes, count));
    else if (bytes[0] == '?')
        check_query(text);
    else
        check_path(fr_slice_of((const char *)bytes, count));
    return 0;
}
