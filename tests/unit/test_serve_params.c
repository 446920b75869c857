/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/param: query strings and JSON objects become one list of arguments, checked by a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/param.h"

static const struct serve_param table[] = {
    {.name = "user", .in = SERVE_IN_QUERY, .type = SERVE_ID},
    {.name = "n", .in = SERVE_IN_QUERY, .type = SERVE_INT, .low = 1, .high = 100},
    {.name = "items", .in = SERVE_IN_QUERY, .type = SERVE_ID, .list = true, .high = 3},
    {.name = "explain", .in = SERVE_IN_QUERY, .type = SERVE_ENUM, .choices = "none|reasons|full"},
    {.name = "deep", .in = SERVE_IN_QUERY, .type = SERVE_BOOL},
    {.name = "device", .in = SERVE_IN_QUERY, .type = SERVE_TEXT, .high = 16, .context = true},
    {.name = "context.", .in = SERVE_IN_QUERY, .type = SERVE_TEXT, .high = 16, .prefix = true},
};

static uint8_t memory[1 << 16] __attribute__((aligned(64)));
static struct base_arena arena;
static struct serve_args args;
static struct serve_fault fault;

static int fresh(void **state)
{
    (void)state;
    base_arena_init_with(&arena, memory, sizeof memory);
    args.count = 0;
    memset(&fault, 0, sizeof fault);
    return 0;
}

static enum fr_status query(const char *text)
{
    fresh(NULL);
    enum fr_status status = serve_query_parse(&arena, fr_slice_str(text), &args, &fault);
    return status != FR_OK ? status : serve_args_check(&args, table, FR_COUNT_OF(table), &fault);
}

static enum fr_status json(const char *text)
{
    fresh(NULL);
    enum fr_status status = serve_json_parse(&arena, fr_slice_str(text), &args, &fault);
    return status != FR_OK ? status : serve_args_check(&args, table, FR_COUNT_OF(table), &fault);
}

static bool is(const char *name, const char *value)
{
    struct fr_slice got = serve_args_text(&args, name);
    return got.ptr && got.bytes == strlen(value) && memcmp(got.ptr, value, got.bytes) == 0;
}

static void query_is_read(void **state)
{
    struct fr_slice item[3];
    (void)state;
    assert_int_equal(query("user=u%201&n=5&items=a&items=b%26c&deep=true&&context.os=x"), FR_OK);
    assert_true(is("user", "u 1"));
    assert_int_equal(serve_args_int(&args, "n", 10), 5);
    assert_true(serve_args_bool(&args, "deep", false));
    assert_int_equal(serve_args_list(&args, "items", item, 3), 2);
    assert_memory_equal(item[1].ptr, "b&c", 3);
    assert_true(is("context.os", "x"));
    assert_int_equal(serve_args_int(&args, "offset", 7), 7);
    assert_int_equal(query("user=a+b"), FR_OK);
    assert_true(is("user", "a b"));
    assert_int_equal(query(""), FR_OK);
}

static void query_faults_name_the_parameter(void **state)
{
    static const struct {
        const char *text, *code, *path;
    } row[] = {
        {"n=0", "bad_parameter", "n"},
        {"n=101", "bad_parameter", "n"},
        {"n=-1", "bad_parameter", "n"},
        {"n=1.0", "bad_parameter", "n"},
        {"n=", "bad_parameter", "n"},
        {"n=99999999999999999999", "bad_parameter", "n"},
        {"n=1&n=2", "bad_parameter", "n"},
        {"user=", "bad_parameter", "user"},
        {"explain=most", "bad_parameter", "explain"},
        {"deep=1", "bad_parameter", "deep"},
        {"device=12345678901234567", "bad_parameter", "device"},
        {"items=a&items=b&items=c&items=d", "bad_parameter", "items"},
        {"usr=u1", "unknown_parameter", "usr"},
        {"context.=x", "unknown_parameter", "context."},
        {"user=%zz", "bad_escape", "request target"},
        {"user=%4", "bad_escape", "request target"},
        {"user=%", "bad_escape", "request target"},
        {"user=%00", "bad_text", "request target"},
        {"user=%ff", "bad_text", "request target"},
        {"user=%c0%80", "bad_text", "request target"},
        {"user=%ed%a0%80", "bad_text", "request target"},
    };
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        if (query(row[i].text) != FR_INVALID || strcmp(fault.code, row[i].code) != 0 ||
            strcmp(fault.path, row[i].path) != 0)
            fail_msg("%s: %s %s", row[i].text, fault.code, fault.path);
    }
    assert_int_equal(query("usr=u1"), FR_INVALID);
    assert_string_equal(fault.hint, "did you mean \"user\"?");
}

static void json_is_read(void **state)
{
    struct fr_slice item[3];
    (void)state;
    assert_int_equal(json("{\"user\":\"u\\u00e9\\n\\ud83d\\ude00\",\"n\":5,\"items\":[\"a\",\"b\"],"
                          "\"context\":{\"device\":\"phone\",\"context.x\":\"y\"},\"deep\":false,"
                          "\"explain\":null}"),
                     FR_OK);
    assert_true(is("user", "u\xc3\xa9\n\xf0\x9f\x98\x80"));
    assert_int_equal(serve_args_int(&args, "n", 10), 5);
    assert_int_equal(serve_args_list(&args, "items", item, 3), 2);
    assert_true(is("device", "phone"));
    assert_false(serve_args_bool(&args, "deep", true));
    assert_ptr_equal(serve_args_text(&args, "explain").ptr, NULL);
    assert_int_equal(json(" {\"items\":[]} "), FR_OK);
    assert_int_equal(serve_args_list(&args, "items", item, 3), 0);
    assert_int_equal(json(""), FR_OK);
    assert_int_equal(json("{}"), FR_OK);
}

static void bad_json_is_refused(void **state)
{
    static const char *const row[] = {
        "[]",
        "{",
        "{\"user\"}",
        "{\"user\":}",
        "{\"user\":\"a\",}",
        "{\"user\":\"a\"} x",
        "{\"user\":\"a\",\"user\":\"b\"}",
        "{\"user\":\"\\x\"}",
        "{\"user\":\"\\ud800\"}",
        "{\"user\":\"\\udc00\"}",
        "{\"user\":\"\\u12g4\"}",
        "{\"user\":\"a",
        "{\"user\":\"a\tb\"}",
        "{\"n\":01}",
        "{\"n\":1.}",
        "{\"n\":.5}",
        "{\"n\":+1}",
        "{\"n\":1e}",
        "{\"n\":NaN}",
        "{\"n\":nul}",
        "{user:1}",
        "{\"items\":[\"a\",]}",
        "{\"items\":[[\"a\"]]}",
        "{\"items\":[null]}",
        "{\"user\":{\"a\":1}}",
        "{\"context\":{\"context\":{}}}",
        "{\"user\":\"\\u0000\"}",
        "{\"user\":\"\xff\"}",
        "{\"user\":\"a\"",
        "nul",
        "\"a\"",
        "\xef\xbb\xbf{}",
    };
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (json(row[i]) != FR_INVALID || strcmp(fault.code, "malformed_json") != 0)
            fail_msg("%s was taken, or %s", row[i], fault.code ? fault.code : "no code");
}

static void json_types_are_strict(void **state)
{
    static const char *const row[] = {
        "{\"n\":\"5\"}",       "{\"user\":5}",    "{\"n\":[5]}",     "{\"n\":5.0}",
        "{\"deep\":\"true\"}", "{\"user\":true}", "{\"items\":[1]}", "{\"n\":1e1}",
    };
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(row); i++)
        if (json(row[i]) != FR_INVALID || strcmp(fault.code, "bad_parameter") != 0)
            fail_msg("%s was taken", row[i]);
}

static void too_many_values_are_refused(void **state)
{
    static char text[SERVE_ARGS_MAX * 2 + 16];
    size_t used = 0;
    (void)state;
    for (int i = 0; i <= SERVE_ARGS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "a&");
    fresh(NULL);
    assert_int_equal(serve_query_parse(&arena, fr_slice_of(text, used), &args, &fault), FR_INVALID);
    assert_string_equal(fault.code, "too_many_values");
}

static void a_small_arena_is_no_crash(void **state)
{
    (void)state;
    fresh(NULL);
    base_arena_init_with(&arena, memory, 16);
    assert_int_equal(serve_query_parse(&arena, FR_SLICE("user=%41aaaaaaaaaaaaaaaaaaaaaaa"), &args,
                                       &fault),
                     FR_FULL);
}

static void required_ones_are_missed(void **state)
{
    static const struct serve_param one[] = {
        {.name = "query", .in = SERVE_IN_QUERY, .type = SERVE_TEXT, .required = true, .high = 9}};
    (void)state;
    fresh(NULL);
    assert_int_equal(serve_args_check(&args, one, 1, &fault), FR_INVALID);
    assert_string_equal(fault.code, "missing_parameter");
    assert_string_equal(fault.path, "query");
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(serve_distance(FR_SLICE("user"), FR_SLICE("user"), 3), 0);
    assert_int_equal(serve_distance(FR_SLICE("usre"), FR_SLICE("user"), 3), 1);
    assert_int_equal(serve_distance(FR_SLICE("usr"), FR_SLICE("user"), 3), 1);
    assert_int_equal(serve_distance(FR_SLICE(""), FR_SLICE("abcdef"), 3), 4);
    assert_int_equal(serve_distance(FR_SLICE("recommend"), FR_SLICE("recomend"), 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(query_is_read),
        cmocka_unit_test(query_faults_name_the_parameter),
        cmocka_unit_test(json_is_read),
        cmocka_unit_test(bad_json_is_refused),
        cmocka_unit_test(json_types_are_strict),
        cmocka_unit_test(too_many_values_are_refused),
        cmocka_unit_test(a_small_arena_is_no_crash),
        cmocka_unit_test(required_ones_are_missed),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
