/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: times, splitting of bodies, nearest names, items and users from JSON.
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

static struct schema_json *json;

static int setup(void **state)
{
    (void)state;
    return schema_json_new(1 << 20, &json) == FR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    schema_json_free(json);
    return 0;
}

static void test_time_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us; /* 0: refused */
    } rows[] = {
        {"2026-11-24T05:30:15Z", 1795498215000000},
        {"2026-11-24t05:30:15z", 1795498215000000},
        {"2026-11-24 05:30:15Z", 1795498215000000},
        {"2026-11-24T05:30:15.1Z", 1795498215100000},
        {"2026-11-24T05:30:15.1234567Z", 1795498215123456},
        {"2026-11-24T06:30:15+01:00", 1795498215000000},
        {"2026-11-23T22:30:15-07:00", 1795498215000000},
        {"2024-02-29T00:00:00Z", 1709164800000000},
        {"2000-02-29T00:00:00Z", 951782400000000},
        {"2016-12-31T23:59:60Z", 1483228800000000}, /* a leap second is the next second */
        {"1970-01-02T00:00:00Z", 86400000000},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999},
        {"1795498215", 1795498215000000},
        {"1795498215123", 1795498215123000},
        {"1795498215123456", 1795498215123456},
        {"1795498215.25", 1795498215250000},
        {"1.795498215e9", 1795498215000000},
        {"1900-02-29T00:00:00Z", 0},
        {"2026-11-24", 0},
        {"2026-11-24T05:30Z", 0},
        {"2026-11-24T05:30:15", 0},
        {"2026-11-24T05:30:15+0100", 0},
        {"2026-11-24T05:30:15.Z", 0},
        {"2026-11-24T05:30:15Z ", 0},
        {"2026-11-24T05:30:15+24:00", 0},
        {"2026-11-24T05:61:00Z", 0},
        {"2026-00-10T00:00:00Z", 0},
        {"2026-01-00T00:00:00Z", 0},
        {"", 0},
        {" ", 0},
        {"x", 0},
        {"0", 0},
        {"-5", 0},
        {"86399", 0},
        {"1e400", 0},
        {"nan", 0},
        {"inf", 0},
        {"0x10", 0},
        {"99999999999999999999", 0},
        {"9223372036854775807", 0},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        int64_t us = 0;
        const char *rule = NULL;
        enum fr_status status = schema_time_parse(fr_slice_str(rows[i].text), &us, &rule);
        if ((status == FR_OK) != (rows[i].us != 0) || us != rows[i].us)
            fail_msg("%s gave %lld", rows[i].text, (long long)us);
        assert_true(status == FR_OK || rule);
    }
}

static void test_time_print(void **state)
{
    (void)state;
    struct base_buf out;
    base_buf_init(&out, 0);
    /* every 37th day and an odd time of day from 1970 to 9999 comes back */
    for (int64_t us = 86400000000; us < 253402300799999999; us += 37 * 86400000000 + 12345678901) {
        int64_t back = 0;
        const char *rule;
        base_buf_clear(&out);
        schema_time_print(us, &out);
        assert_int_equal(schema_time_parse(base_buf_slice(&out), &back, &rule), FR_OK);
        assert_true(back == us);
    }
    base_buf_clear(&out);
    schema_time_print(1795498215123456, &out);
    assert_true(fr_slice_equal(base_buf_slice(&out), FR_SLICE("2026-11-24T05:30:15.123456Z")));
    base_buf_release(&out);
}

struct gathered {
    char text[2048];
    size_t at;
    uint32_t count;
    enum fr_status answer;
};

static enum fr_status gather(void *context, uint32_t index, struct fr_slice text)
{
    struct gathered *gathered = context;
    assert_int_equal(index, gathered->count);
    gathered->count++;
    gathered->at +=
        (size_t)snprintf(gathered->text + gathered->at, sizeof(gathered->text) - gathered->at,
                         "<%.*s>", (int)text.bytes, text.ptr);
    return gathered->answer;
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *body, *parts;
        enum fr_status status;
    } rows[] = {
        {"{\"a\":1}", "<{\"a\":1}>", FR_OK},
        {" \n{\"a\":1}\r\n ", "<{\"a\":1}>", FR_OK},
        {"\xef\xbb\xbf{\"a\":1}", "<{\"a\":1}>", FR_OK},
        {"{\"a\":1}\n{\"b\":2}\n", "<{\"a\":1}><{\"b\":2}>", FR_OK},
        {"{\"a\":1}\r\n\r\n \t\n{\"b\":2}", "<{\"a\":1}><{\"b\":2}>", FR_OK},
        {"{\"a\":1}\n{\"b\":", "<{\"a\":1}><{\"b\":>", FR_OK},
        {"{\"a\"}\n{\"b\":2}", "<{\"a\"}><{\"b\":2}>", FR_OK},
        {"{\"a\":1}{\"b\":2}\n{\"c\":3}", "<{\"a\":1}{\"b\":2}><{\"c\":3}>", FR_OK},
        {"{\n \"a\": {\n}\n}", "<{\n \"a\": {\n}\n}>", FR_OK},
        {"{\n \"a\": \n}", "<{\n \"a\": \n}>", FR_OK}, /* malformed, but one */
        {"nonsense\n{\"b\":2}", "<nonsense><{\"b\":2}>", FR_OK},
        {"[]", "", FR_OK},
        {" [ ] ", "", FR_OK},
        {"[{\"a\":1}]", "<{\"a\":1}>", FR_OK},
        {"[ {\"a\":[1,\"]\"]} ,\n{\"b\":\"}\\\"\"}\n]\n", "<{\"a\":[1,\"]\"]}><{\"b\":\"}\\\"\"}>",
         FR_OK},
        {"[1,\"x\",null,[2]]", "<1><\"x\"><null><[2]>", FR_OK},
        {"", "", FR_INVALID},
        {" \r\n", "", FR_INVALID},
        {"[", "", FR_INVALID},
        {"[1", "", FR_INVALID},
        {"[1,", "", FR_INVALID},
        {"[1,]", "", FR_INVALID},
        {"[,1]", "", FR_INVALID},
        {"[1 2]", "", FR_INVALID},
        {"[1]]", "", FR_INVALID},
        {"[{\"a\":1}] x", "", FR_INVALID},
        {"[{\"a\"}]", "", FR_INVALID},
        {"[{\"a\":1]", "", FR_INVALID},
        {"[{\"a\":\"\\ud800\"}]", "", FR_INVALID},
        {"[\"a\nb\"]", "", FR_INVALID},
        {"[{\"a\":01}]", "", FR_INVALID},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        struct gathered gathered = {.count = 0};
        struct fr_error error = {0};
        enum fr_status status =
            schema_json_split(json, fr_slice_str(rows[i].body), 100, gather, &gathered, &error);
        if (status != rows[i].status || strcmp(gathered.text, rows[i].parts) != 0)
            fail_msg("%s gave %d %s (%s)", rows[i].body, (int)status, gathered.text, error.message);
        assert_true(status == FR_OK || error.message[0] != '\0');
    }
    struct gathered two = {.count = 0}, stop = {.answer = FR_FULL};
    assert_int_equal(schema_json_split(json, FR_SLICE("[1,2,3]"), 2, gather, &two, NULL), FR_FULL);
    assert_int_equal(schema_json_split(json, FR_SLICE("1\n2\n3"), 2, gather, &two, NULL), FR_FULL);
    assert_int_equal(two.count, 0);
    assert_int_equal(schema_json_split(json, FR_SLICE("[1,2,3]"), 3, gather, &stop, NULL), FR_FULL);
    assert_int_equal(stop.count, 1);
    struct fr_error error = {0};
    assert_int_equal(schema_json_split(json, FR_SLICE("[{},{\"a\":tru}]"), 9, gather, &two, &error),
                     FR_INVALID);
    assert_non_null(strstr(error.message, "byte 9"));
}

static enum fr_status count_up(void *context, uint32_t index, struct fr_slice text)
{
    uint32_t *count = context;
    assert_int_equal(index, *count);
    assert_int_equal(strtoul(text.ptr, NULL, 10), index);
    (*count)++;
    return FR_OK;
}

static void test_split_many(void **state)
{
    (void)state;
    /* more elements than the first list of places holds, twice */
    static char body[64 * 1024];
    for (int count = 1000; count <= 5000; count += 4000) {
        size_t at = 0;
        for (int i = 0; i < count; i++)
            at += (size_t)snprintf(body + at, sizeof(body) - at, "%c%d", i ? ',' : '[', i);
        snprintf(body + at, sizeof(body) - at, "]");
        uint32_t counted = 0;
        assert_int_equal(schema_json_split(json, fr_slice_str(body), 5000, count_up, &counted,
                                           NULL),
                         FR_OK);
        assert_int_equal(counted, count);
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"user", "item", "timestamp", "type"};
    assert_string_equal(schema_nearest(FR_SLICE("usr"), names, 4), "user");
    assert_string_equal(schema_nearest(FR_SLICE("User"), names, 4), "user");
    assert_string_equal(schema_nearest(FR_SLICE("itme"), names, 4), "item");
    assert_string_equal(schema_nearest(FR_SLICE("ts"), names, 4), "timestamp");
    assert_null(schema_nearest(FR_SLICE("colour"), names, 4));
    assert_null(schema_nearest(FR_SLICE(""), names, 4));
}

static void test_item_json(void **state)
{
    (void)state;
    static struct schema_item item, copy;
    struct schema_reject reject;
    struct fr_slice text = FR_SLICE(
        "{\"id\":\"i\",\"title\":\"T\",\"text\":\"a\\nb\",\"categories\":[\"x\",\"y\"],\"tags\":[],"
        "\"author\":\"A\",\"published\":\"2026-11-24T05:30:15Z\",\"expires\":null,\"length\":90,"
        "\"price\":1.5,\"language\":\"en\",\"image\":\"/i.png\",\"hidden\":true,"
        "\"attributes\":{\"year\":1995,\"ratio\":0.1,\"big\":12345678901234567890,\"on\":true,"
        "\"s\":\"t\"}}");
    assert_int_equal(schema_item_from_json(json, text, &item, &reject), FR_OK);
    assert_int_equal(item.category_count, 2);
    assert_true(fr_slice_equal(item.attributes[0].value, FR_SLICE("1995")));
    assert_true(fr_slice_equal(item.attributes[1].value, FR_SLICE("0.1")));
    assert_true(fr_slice_equal(item.attributes[2].value, FR_SLICE("12345678901234567890")));
    assert_true(fr_slice_equal(item.attributes[3].value, FR_SLICE("true")));
    assert_true(item.present & SCHEMA_EXPIRES && item.expires_us == 0);
    assert_true(item.present & SCHEMA_TAGS && item.tag_count == 0);

    struct base_buf out;
    base_buf_init(&out, 0);
    schema_item_to_json(&item, &out);
    struct schema_json *again;
    assert_int_equal(schema_json_new(1 << 16, &again), FR_OK);
    assert_int_equal(schema_item_from_json(again, base_buf_slice(&out), &copy, &reject), FR_OK);
    assert_true(copy.published_us == item.published_us && copy.hidden && copy.length == 90);
    assert_int_equal(copy.attribute_count, 5);
    schema_json_free(again);
    base_buf_release(&out);
}

static void test_item_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } rows[] = {
        {"{\"title\":\"T\"}", "$.id"},
        {"{\"id\":\"i\",\"title\":[\"T\"]}", "$.title"},
        {"{\"id\":\"i\",\"title\":\"a\\u0007\"}", "$.title"},
        {"{\"id\":\"i\",\"text\":\"a\\u0007\"}", "$.text"},
        {"{\"id\":\"i\",\"categories\":\"x\"}", "$.categories"},
        {"{\"id\":\"i\",\"categories\":[1]}", "$.categories[0]"},
        {"{\"id\":\"i\",\"categories\":[\"a\",\"\"]}", "$.categories[1]"},
        {"{\"id\":\"i\",\"tags\":{}}", "$.tags"},
        {"{\"id\":\"i\",\"price\":-1}", "$.price"},
        {"{\"id\":\"i\",\"price\":\"1\"}", "$.price"},
        {"{\"id\":\"i\",\"length\":1e300}", "$.length"},
        {"{\"id\":\"i\",\"hidden\":\"yes\"}", "$.hidden"},
        {"{\"id\":\"i\",\"published\":\"1995\"}", "$.published"},
        {"{\"id\":\"i\",\"attributes\":[]}", "$.attributes"},
        {"{\"id\":\"i\",\"attributes\":{\"a\":null}}", "$.attributes.a"},
        {"{\"id\":\"i\",\"attributes\":{\"a\":{}}}", "$.attributes.a"},
        {"{\"id\":\"i\",\"attributes\":{\"a\":1,\"a\":2}}", "$.attributes.a"},
        {"{\"id\":\"i\",\"vector\":[0,0]}", "$.vector"},
        {"{\"id\":\"i\",\"genres\":[]}", "$.genres"},
    };
    static struct schema_item item;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        struct schema_reject reject = {.path = ""};
        enum fr_status status =
            schema_item_from_json(json, fr_slice_str(rows[i].text), &item, &reject);
        if (status != FR_INVALID || strcmp(reject.path, rows[i].path) != 0)
            fail_msg("%s gave %d %s: %s", rows[i].text, (int)status, reject.path, reject.rule);
    }
    struct schema_reject reject;
    struct base_buf body;
    base_buf_init(&body, 0);
    base_buf_put_str(&body, "{\"id\":\"i\",\"tags\":[\"t\"");
    for (int i = 0; i < SCHEMA_LIST_MAX; i++)
        base_buf_put_str(&body, ",\"t\"");
    base_buf_put_str(&body, "]}");
    assert_int_equal(schema_item_from_json(json, base_buf_slice(&body), &item, &reject),
                     FR_INVALID);
    assert_string_equal(reject.path, "$.tags");
    base_buf_release(&body);
}

static void test_id_of_the_address(void **state)
{
    (void)state;
    static struct schema_item item;
    static struct schema_user user;
    struct schema_reject reject;
    struct fr_slice id = FR_SLICE("i");
    assert_int_equal(schema_item_from_json_as(json, id, FR_SLICE("{}"), &item, &reject), FR_OK);
    assert_true(fr_slice_equal(item.id, id));
    assert_int_equal(schema_item_from_json_as(json, id, FR_SLICE("{\"id\":\"i\"}"), &item, &reject),
                     FR_OK);
    assert_int_equal(schema_item_from_json_as(json, id, FR_SLICE("{\"id\":\"j\"}"), &item, &reject),
                     FR_INVALID);
    assert_int_equal(schema_item_from_json_as(json, FR_SLICE(""), FR_SLICE("{}"), &item, &reject),
                     FR_INVALID);
    assert_int_equal(schema_user_from_json_as(
                         json, id, FR_SLICE("{\"attributes\":{\"age\":24},\"follows\":[\"a\"]}"),
                         &user, &reject),
                     FR_OK);
    assert_true(fr_slice_equal(user.attributes[0].value, FR_SLICE("24")));
    assert_int_equal(schema_user_from_json(json, FR_SLICE("{\"id\":\"u\",\"name\":\"x\"}"), &user,
                                           &reject),
                     FR_INVALID);
    assert_string_equal(reject.path, "$.name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_parse),   cmocka_unit_test(test_time_print),
        cmocka_unit_test(test_split),        cmocka_unit_test(test_split_many),
        cmocka_unit_test(test_nearest),      cmocka_unit_test(test_item_json),
        cmocka_unit_test(test_item_refused), cmocka_unit_test(test_id_of_the_address),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
