/* SPDX-License-Identifier: Apache-2.0
 *
 * Any query string, JSON body of a question, or path segment: arguments or a fault that says where.
 */
#include <string.h>

#include "serve/param.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const struct serve_param params[] = {
    {.name = "user", .in = SERVE_IN_QUERY, .type = SERVE_ID},
    {.name = "items", .in = SERVE_IN_QUERY, .type = SERVE_ID, .list = true, .high = 20},
    {.name = "n", .in = SERVE_IN_QUERY, .type = SERVE_INT, .low = 1, .high = 100},
    {.name = "explain", .in = SERVE_IN_QUERY, .type = SERVE_BOOL},
    {.name = "repeats", .in = SERVE_IN_QUERY, .type = SERVE_ENUM, .choices = "skip|allow"},
    {.name = "time", .in = SERVE_IN_QUERY, .type = SERVE_TIME},
    {.name = "device", .in = SERVE_IN_QUERY, .type = SERVE_TEXT, .context = true},
};

static void use(const struct serve_args *args)
{
    struct serve_fault fault;
    struct fr_slice items[20];
    if (serve_args_check(args, params, FR_COUNT_OF(params), &fault) != FR_OK) {
        FR_ASSERT(fault.code && *fault.detail);
        return;
    }
    FR_ASSERT(serve_args_list(args, "items", items, 20) <= 20);
    int64_t n = serve_args_int(args, "n", 10);
    FR_ASSERT(n >= 1 && n <= 100);
    FR_ASSERT(serve_args_text(args, "user").bytes <= 256);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct base_arena arena;
    static struct serve_args args;
    struct serve_fault fault;
    struct fr_slice out, text = {(const char *)bytes, count};
    if (!arena.block)
        FR_ASSERT(base_arena_init(&arena, 1 << 20) == FR_OK);
    base_arena_clear(&arena);
    args.count = 0;
    if (serve_query_parse(&arena, text, &args, &fault) == FR_OK)
        use(&args);
    args.count = 0;
    if (serve_json_parse(&arena, text, &args, &fault) == FR_OK)
        use(&args);
    if (serve_segment_decode(&arena, text, &out, &fault) == FR_OK)
        FR_ASSERT(out.bytes <= count && serve_utf8_ok(out));
    return 0;
}
