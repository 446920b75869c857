/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: events from JSON. The table is the catalogue of bad inputs: each line is a document and
 * where it must be refused ("" = accepted), with a word of the rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/schema.h"

#define NOW_US ((int64_t)1795498215000000)
#define LEN(s) (s), sizeof(s) - 1

static struct schema_json *json;
static struct schema_types types;

static int setup(void **state)
{
    (void)state;
    schema_types_init(&types);
    return schema_json_new(1 << 20, &json) == FR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    schema_json_free(json);
    return 0;
}

struct vector {
    const char *text;
    size_t bytes;
    const char *path; /* NULL: accepted */
    const char *rule; /* contained in the rule or the hint */
};

#define OK(text)                                                                                   \
    {                                                                                              \
        LEN(text), NULL, NULL                                                                      \
    }
#define NO(text, path, rule)                                                                       \
    {                                                                                              \
        LEN(text), path, rule                                                                      \
    }
#define E(members) "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"," members "}"
#define R(value) "{\"user\":\"u\",\"item\":\"i\",\"type\":\"rating\",\"value\":" value "}"
#define U(user) "{\"user\":" user ",\"item\":\"i\",\"type\":\"click\"}"

static const struct vector vectors[] = {
    /* JSON text */
    OK("{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}"),
    OK(" {\"user\" : \"u\" ,\n\"item\":\"i\",\t\"type\":\"click\"} \r\n"),
    NO("", "$", "empty"),
    NO(" ", "$", "empty"),
    NO("{", "$", "byte"),
    NO("{}", "$.type", "required"),
    NO("[]", "$", "object"),
    NO("\"u\"", "$", "object"),
    NO("null", "$", "object"),
    NO("1", "$", "object"),
    NO("{\"user\":\"u\",}", "$", "well-formed"),
    NO("{\"user\":\"u\" \"item\":\"i\"}", "$", "comma"),
    NO("{'user':\"u\"}", "$", "quoted name"),
    NO("{user:\"u\"}", "$", "quoted name"),
    NO(E("\"value\":01"), "$", "number"),
    NO(E("\"value\":1."), "$", "number"),
    NO(E("\"value\":.5"), "$", ""),
    NO(E("\"value\":+1"), "$", ""),
    NO(E("\"value\":0x10"), "$", ""),
    NO(E("\"value\":NaN"), "$", ""),
    NO(E("\"value\":Infinity"), "$", ""),
    NO(E("\"value\":-Infinity"), "$", ""),
    NO(E("\"value\":1e999"), "$", "number"),
    NO(E("\"value\":-1e999"), "$", "number"),
    OK(E("\"value\":-0")),
    OK(E("\"value\":-0.0")),
    OK(E("\"value\":1e-999")),
    OK(E("\"value\":9007199254740993")),
    NO(E("\"value\":12345678901234567890123"), "$", "number"),
    NO(E("\"value\":tru"), "$", ""),
    NO(E("\"value\":1") "x", "$", "after the end"),
    NO(E("\"value\":1") "{}", "$", "after the end"),
    NO("\xef\xbb\xbf" E("\"value\":1"), "$", "byte order mark"),
    NO("\xff\xfe{\0\"\0", "$", "UTF-16"),
    NO("\xfe\xff\0{\0\"", "$", "UTF-16"),
    NO("{\0\"\0u\0", "$", "UTF-16"),
    NO("{\"user\":\"u\0\",\"item\":\"i\",\"type\":\"click\"}", "$", "control character"),
    NO(U("\"a\\u0000b\""), "$.user", "control"),
    NO(U("\"a\nb\""), "$", "control character"),
    NO(U("\"a\\nb\""), "$.user", "control"),
    NO(U("\"a\\u007fb\""), "$.user", "control"),
    NO(U("\"a\\u0085b\""), "$.user", "control"),
    NO(U("\"\\ud800\""), "$", "surrogate"),
    NO(U("\"\\ud800x\""), "$", "surrogate"),
    NO(U("\"\\ud800\\u0041\""), "$", "surrogate"),
    NO(U("\"\\udc00\""), "$", ""), /* here or as bad UTF-8 of $.user, by simdjson's version */
    OK(U("\"\\ud83d\\ude00\"")),
    NO(U("\"\\u12\""), "$", "hexadecimal"),
    NO(U("\"\\x41\""), "$", "escape"),
    NO(U("\"\xc0\xaf\""), "$", "UTF-8"),         /* overlong */
    NO(U("\"\xe0\x80\xaf\""), "$", "UTF-8"),     /* overlong */
    NO(U("\"\xed\xa0\x80\""), "$", "UTF-8"),     /* a surrogate, encoded */
    NO(U("\"\xf5\x80\x80\x80\""), "$", "UTF-8"), /* above U+10FFFF */
    NO(U("\"\xe9\""), "$", "UTF-8"),             /* Latin-1 */
    NO(U("\"a\xe2\x82\""), "$", "UTF-8"),        /* cut off */
    NO(U("\"open"), "$", "closing quote"),
    NO("{\"user\":\"u\",\"user\":\"v\",\"item\":\"i\",\"type\":\"click\"}", "$.user", "once"),
    NO(E("\"type\":\"view\""), "$.type", "once"),
    NO(E("\"context\":{\"device\":\"a\",\"device\":\"b\"}"), "$.context.device", "once"),
    NO(E("\"context\":{\"x\":\"a\",\"x\":\"b\"}"), "$.context.x", "once"),
    NO(E("\"context\":{\"a\":[[[[[[[[[1]]]]]]]]]}"), "$", "deep"),

    /* ids */
    NO("{\"item\":\"i\",\"type\":\"click\"}", "$.user", "required"),
    NO("{\"user\":\"u\",\"type\":\"click\"}", "$.item", "required"),
    NO("{\"user\":\"u\",\"item\":\"i\"}", "$.type", "required"),
    NO(U("null"), "$.user", "required"),
    NO(U("\"\""), "$.user", "empty"),
    NO(U("\"  \""), "$.user", "blank"),
    NO(U("\"\xc2\xa0\""), "$.user", "blank"),
    NO(U("\"\xe2\x80\x8b\""), "$.user", "blank"), /* zero width */
    NO(U("\"\xe2\x80\x8f\""), "$.user", "blank"), /* right-to-left mark */
    NO(U("42"), "$.user", "\"42\""),
    NO(U("4.5"), "$.user", "string"),
    NO(U("true"), "$.user", "string"),
    NO(U("[\"u\"]"), "$.user", "string"),
    NO(U("{\"id\":\"u\"}"), "$.user", "string"),
    OK(U("\"__proto__\"")),
    OK(U("\"'; DROP TABLE users; --\"")),
    OK(U("\"../../etc/passwd\"")),
    OK(U("\"%00\"")),
    OK(U("\"caf\xc3\xa9\"")),
    OK(U("\"cafe\xcc\x81\"")),
    OK(U("\"a\xe2\x80\x8b"
         "b\"")), /* zero width inside: another id than "ab" */
    OK(U("\"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\"")),
    OK(U("\"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80\"")),
    NO(U("\"a\\r\\nSet-Cookie: x\""), "$.user", "control"),
    NO(E("\"id\":\"\""), "$.id", "empty"),
    NO(E("\"id\":\" \""), "$.id", "blank"),
    OK(E("\"id\":null,\"session\":null,\"request\":null,\"value\":null,\"context\":null")),
    NO(E("\"session\":7"), "$.session", "string"),
    NO(E("\"request\":{}"), "$.request", "string"),

    /* members and types */
    NO(E("\"user_id\":\"u\""), "$.user_id", "\"user\""),
    NO(E("\"usr\":\"u\""), "$.usr", "\"user\""),
    NO(E("\"timestmap\":1"), "$.timestmap", "\"timestamp\""),
    NO(E("\"colour\":\"red\""), "$.colour", "context"),
    NO(E("\"a b\":\"red\""), "$[\"a b\"]", "known member"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"clik\"}", "$.type", "\"click\""),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"Click\"}", "$.type", "\"click\""),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"teleport\"}", "$.type", "configuration"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"\"}", "$.type", "known event type"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":1}", "$.type", "name of an event type"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":null}", "$.type", "name of an event type"),

    /* values */
    OK(R("0")),
    OK(R("3")),
    OK(R("4.5")),
    OK(R("5")),
    OK(R("5e0")),
    NO(R("6"), "$.value", "from 0 to 5"),
    NO(R("-1"), "$.value", "from 0 to 5"),
    NO(R("5.000001"), "$.value", "from 0 to 5"),
    NO(R("\"5\""), "$.value", "quotes"),
    NO(R("true"), "$.value", "number"),
    NO(R("[5]"), "$.value", "number"),
    NO(R("null"), "$.value", "needs a value"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"rating\"}", "$.value", "needs a value"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"dwell\"}", "$.value", "needs a value"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"dwell\",\"value\":86401}", "$.value", "86400"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"scroll\",\"value\":50}", "$.value",
       "from 0 to 1"),
    OK("{\"user\":\"u\",\"item\":\"i\",\"type\":\"scroll\",\"value\":0.5}"),
    OK("{\"user\":\"u\",\"item\":\"i\",\"type\":\"purchase\"}"),
    OK("{\"user\":\"u\",\"item\":\"i\",\"type\":\"purchase\",\"value\":9.99}"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"purchase\",\"value\":-1}", "$.value", "price"),
    NO("{\"user\":\"u\",\"item\":\"i\",\"type\":\"purchase\",\"value\":1e300}", "$.value", "price"),

    /* time */
    OK(E("\"timestamp\":1795498215")),
    OK(E("\"timestamp\":1795498215123")),
    OK(E("\"timestamp\":1795498215.5")),
    OK(E("\"timestamp\":\"1795498215\"")),
    OK(E("\"timestamp\":\"2026-11-24T05:30:15Z\"")),
    OK(E("\"timestamp\":\"2026-11-24T05:30:15.123456789+05:30\"")),
    OK(E("\"timestamp\":\"9999-12-31T23:59:59Z\"")),
    OK(E("\"timestamp\":null")),
    NO(E("\"timestamp\":0"), "$.timestamp", "1970-01-02"),
    NO(E("\"timestamp\":-1"), "$.timestamp", "1970-01-02"),
    NO(E("\"timestamp\":-1e300"), "$.timestamp", "1970-01-02"),
    NO(E("\"timestamp\":9223372036854775807"), "$.timestamp", "9999"),
    NO(E("\"timestamp\":18446744073709551615"), "$.timestamp", "9999"),
    NO(E("\"timestamp\":1e300"), "$.timestamp", "9999"),
    NO(E("\"timestamp\":\"2026-11-24T05:30:15\""), "$.timestamp", "zone"),
    NO(E("\"timestamp\":\"2026-02-29T00:00:00Z\""), "$.timestamp", "calendar"),
    NO(E("\"timestamp\":\"2026-13-01T00:00:00Z\""), "$.timestamp", "calendar"),
    NO(E("\"timestamp\":\"2026-11-24T24:00:00Z\""), "$.timestamp", "time of day"),
    NO(E("\"timestamp\":\"1969-12-31T23:59:59Z\""), "$.timestamp", "1970-01-02"),
    NO(E("\"timestamp\":\"yesterday\""), "$.timestamp", "RFC 3339"),
    NO(E("\"timestamp\":\"\""), "$.timestamp", "RFC 3339"),
    NO(E("\"timestamp\":true"), "$.timestamp", "time"),
    NO(E("\"timestamp\":[1]"), "$.timestamp", "time"),

    /* context */
    OK(E("\"context\":{}")),
    OK(E("\"context\":{\"device\":\"phone\",\"os\":null,\"weather\":\"rain\",\"\xc3\xa9\":\"\"}")),
    NO(E("\"context\":[]"), "$.context", "object"),
    NO(E("\"context\":\"phone\""), "$.context", "object"),
    NO(E("\"context\":{\"device\":1}"), "$.context.device", "string"),
    NO(E("\"context\":{\"device\":[\"a\"]}"), "$.context.device", "string"),
    NO(E("\"context\":{\"weather\":true}"), "$.context.weather", "string"),
    NO(E("\"context\":{\"\":\"x\"}"), "$.context", "name"),
    NO(E("\"context\":{\"device\":\"a\\u0001\"}"), "$.context.device", "control"),
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < FR_COUNT_OF(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct schema_event event;
        struct schema_reject reject = {.path = "", .rule = "", .seen = "", .hint = ""};
        enum fr_status status = schema_event_from_json(json, &types, fr_slice_of(v->text, v->bytes),
                                                       NOW_US, &event, &reject);
        bool right = v->path ? status == FR_INVALID &&
                                   strncmp(reject.path, v->path, strlen(v->path)) == 0 &&
                                   (strstr(reject.rule, v->rule) || strstr(reject.hint, v->rule))
                             : status == FR_OK;
        if (!right)
            fail_msg("%s\n  gave %d %s: %s; seen %s; hint %s", v->text, (int)status, reject.path,
                     reject.rule, reject.seen, reject.hint);
        if (status != FR_OK) {
            assert_true(reject.rule[0] != '\0');
            assert_true(schema_utf8_valid(fr_slice_str(reject.seen)));
            assert_true(schema_utf8_valid(fr_slice_str(reject.path)));
        }
    }
}

static void test_all_members_arrive(void **state)
{
    (void)state;
    struct schema_event event;
    struct schema_reject reject;
    struct fr_slice text = FR_SLICE(
        "{\"id\":\"e-1\",\"timestamp\":\"2026-11-24T05:30:15.5Z\",\"user\":\"a\\u00e9\","
        "\"session\":\"s\","
        "\"item\":\"i/"
        "1\",\"type\":\"dwell\",\"value\":12.5,\"request\":\"r\",\"context\":{\"device\":"
        "\"phone\",\"os\":\"android\",\"country\":\"BR\",\"region\":\"RJ\",\"city\":\"Rio\","
        "\"referrer\":\"search\",\"language\":\"pt\",\"weather\":\"rain\"}}");
    assert_int_equal(schema_event_from_json(json, &types, text, 0, &event, &reject), FR_OK);
    assert_true(fr_slice_equal(event.user, FR_SLICE("a\xc3\xa9")));
    assert_true(fr_slice_equal(event.item, FR_SLICE("i/1")));
    assert_true(fr_slice_equal(event.context.language, FR_SLICE("pt")));
    assert_int_equal(event.context.extra_count, 1);
    assert_true(fr_slice_equal(event.context.extra[0].key, FR_SLICE("weather")));
    assert_true(event.time_us == 1795498215500000);
    assert_true(event.has_value && event.value == 12.5);
    assert_int_equal(event.type, SCHEMA_DWELL);
    struct base_hash128 key = schema_dedupe_key(FR_SLICE("e-1"), schema_default_key);
    assert_true(event.key.lo == key.lo && event.key.hi == key.hi && key.lo != 0);

    struct base_buf out;
    base_buf_init(&out, 0);
    schema_event_to_json(&event, &types, &out);
    struct schema_json *again;
    struct schema_event copy;
    assert_int_equal(schema_json_new(1 << 16, &again), FR_OK);
    assert_int_equal(schema_event_from_json(again, &types, base_buf_slice(&out), 0, &copy, &reject),
                     FR_OK);
    assert_true(copy.time_us == event.time_us && copy.value == event.value);
    assert_true(fr_slice_equal(copy.user, event.user));
    assert_true(fr_slice_equal(copy.context.city, event.context.city));
    assert_true(fr_slice_equal(copy.context.extra[0].value, event.context.extra[0].value));
    schema_json_free(again);
    base_buf_release(&out);
}

static void test_limits_of_length(void **state)
{
    (void)state;
    static char text[1 << 17];
    struct schema_event event;
    struct schema_reject reject;
    static const size_t lengths[] = {1, 255, 256, 257, 65536};
    for (size_t i = 0; i < FR_COUNT_OF(lengths); i++) {
        int head = snprintf(text, sizeof(text), "{\"item\":\"i\",\"type\":\"click\",\"user\":\"");
        memset(text + head, 'x', lengths[i]);
        memcpy(text + head + lengths[i], "\"}", 3);
        enum fr_status status =
            schema_event_from_json(json, &types, fr_slice_str(text), NOW_US, &event, &reject);
        assert_int_equal(status, lengths[i] <= 256 ? FR_OK : FR_INVALID);
        if (status != FR_OK)
            assert_string_equal(reject.path, "$.user");
    }
    /* many free members, depth 100,000, a document above the parser's limit */
    static const int counts[] = {16, 17, 1000};
    for (size_t c = 0; c < FR_COUNT_OF(counts); c++) {
        int count = counts[c];
        int at = snprintf(text, sizeof(text),
                          "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\",\"context\":{");
        for (int i = 0; i < count; i++)
            at +=
                snprintf(text + at, sizeof(text) - (size_t)at, "%s\"k%d\":\"v\"", i ? "," : "", i);
        snprintf(text + at, sizeof(text) - (size_t)at, "}}");
        enum fr_status status =
            schema_event_from_json(json, &types, fr_slice_str(text), NOW_US, &event, &reject);
        assert_int_equal(status, count <= 16 ? FR_OK : FR_INVALID);
        if (status != FR_OK)
            assert_string_equal(reject.path, "$.context");
    }
    memset(text, '[', 100000);
    assert_int_equal(schema_event_from_json(json, &types, fr_slice_of(text, 100000), NOW_US, &event,
                                            &reject),
                     FR_INVALID);
    struct schema_json *small;
    assert_int_equal(schema_json_new(1000, &small), FR_OK);
    memset(text, ' ', 1001);
    assert_int_equal(schema_event_from_json(small, &types, fr_slice_of(text, 1001), NOW_US, &event,
                                            &reject),
                     FR_INVALID);
    assert_non_null(strstr(reject.rule, "too long"));
    schema_json_free(small);
}

static void test_time_is_required_of_files(void **state)
{
    (void)state;
    struct schema_event event;
    struct schema_reject reject;
    struct fr_slice text = FR_SLICE("{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}");
    assert_int_equal(schema_event_from_json(json, &types, text, 0, &event, &reject), FR_INVALID);
    assert_string_equal(reject.path, "$.timestamp");
    assert_int_equal(schema_event_from_json(json, &types, text, NOW_US, &event, &reject), FR_OK);
    assert_true(event.time_us == NOW_US);
    assert_true(event.key.lo == 0 && event.key.hi == 0);
}

static void test_ids_are_bytes(void **state)
{
    (void)state;
    struct schema_event a, b;
    struct schema_reject reject;
    struct schema_json *other;
    assert_int_equal(schema_json_new(1000, &other), FR_OK);
    assert_int_equal(schema_event_from_json(json, &types, FR_SLICE(U("\"caf\xc3\xa9\"")), NOW_US,
                                            &a, &reject),
                     FR_OK);
    assert_int_equal(schema_event_from_json(other, &types, FR_SLICE(U("\"cafe\xcc\x81\"")), NOW_US,
                                            &b, &reject),
                     FR_OK);
    assert_false(fr_slice_equal(a.user, b.user));
    schema_json_free(other);
}

static void test_signals(void **state)
{
    (void)state;
    assert_true(schema_signal(&types, SCHEMA_CLICK, 0, false) == 1.0f);
    assert_true(schema_signal(&types, SCHEMA_DISLIKE, 0, false) < 0);
    assert_true(schema_signal(&types, SCHEMA_DWELL, 5, true) == 0);
    assert_true(schema_signal(&types, SCHEMA_DWELL, 3, true) == 0);
    assert_true(schema_signal(&types, SCHEMA_DWELL, 60, true) ==
                schema_signal(&types, SCHEMA_DWELL, 9000, true));
    assert_true(schema_signal(&types, SCHEMA_RATING, 3, true) > 0);
    assert_true(schema_signal(&types, SCHEMA_RATING, 2, true) < 0);
    assert_true(schema_signal(&types, SCHEMA_RATING, 5, true) == 2.5f);
    assert_true(schema_signal(&types, SCHEMA_EXPOSURE, 1, true) == 0);
    assert_true(schema_signal(&types, 31, 1, true) == 0);
}

static void test_custom_types(void **state)
{
    (void)state;
    struct schema_types own;
    struct schema_reject reject;
    struct schema_event event;
    schema_types_init(&own);
    struct schema_type type = {.name = "bookmark", .weight = 3, .rule = SCHEMA_VALUE_NONE};
    assert_int_equal(schema_types_set(&own, &type, NULL), FR_OK);
    assert_int_equal(own.count, SCHEMA_BUILT_IN_COUNT + 1);
    struct fr_slice text = FR_SLICE("{\"user\":\"u\",\"item\":\"i\",\"type\":\"bookmark\"}");
    assert_int_equal(schema_event_from_json(json, &own, text, NOW_US, &event, &reject), FR_OK);
    assert_true(schema_signal(&own, event.type, 0, false) == 3.0f);
    assert_int_equal(schema_event_from_json(json, &types, text, NOW_US, &event, &reject),
                     FR_INVALID);

    struct schema_type stars =
        {.name = "rating", .weight = 2, .low = 5, .high = 10, .min = 1, .max = 10};
    assert_int_equal(schema_types_set(&own, &stars, NULL), FR_OK);
    assert_int_equal(own.count, SCHEMA_BUILT_IN_COUNT + 1);
    assert_int_equal(schema_event_from_json(json, &own, FR_SLICE(R("9")), NOW_US, &event, &reject),
                     FR_OK);

    const struct schema_type bad[] = {
        {.name = ""},
        {.name = "A"},
        {.name = "a b"},
        {.name = "x", .weight = 1.0f / 0.0f},
        {.name = "x", .rule = SCHEMA_VALUE_STARS, .low = 2, .high = 2},
        {.name = "x", .min = 3, .max = 1},
        {.name = "x", .rule = (enum schema_value_rule)77},
        {.name = "0123456789012345678901234567890"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(bad) - 1; i++)
        assert_int_equal(schema_types_set(&own, &bad[i], NULL), FR_INVALID);
    for (uint32_t i = own.count; i < SCHEMA_TYPES_MAX; i++) {
        snprintf(type.name, sizeof(type.name), "t%u", i);
        assert_int_equal(schema_types_set(&own, &type, NULL), FR_OK);
    }
    snprintf(type.name, sizeof(type.name), "one_more");
    assert_int_equal(schema_types_set(&own, &type, NULL), FR_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),          cmocka_unit_test(test_all_members_arrive),
        cmocka_unit_test(test_limits_of_length), cmocka_unit_test(test_time_is_required_of_files),
        cmocka_unit_test(test_ids_are_bytes),    cmocka_unit_test(test_signals),
        cmocka_unit_test(test_custom_types),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
