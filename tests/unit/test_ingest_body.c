/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: bodies of HTTP requests, and the dead-letter store on the simulated disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "ingest/ingest.h"
#include "os/sim.h"

#define NOW_US ((int64_t)1795498215000000)
#define GOOD "{\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}"
#define GOOD_ID "{\"id\":\"e1\",\"user\":\"u\",\"item\":\"i\",\"type\":\"click\"}"
#define BAD "{\"user\":\"\",\"item\":\"i\",\"type\":\"click\"}"

static struct schema_types types;
static struct ingest *ingest;
static struct fold_batch batch;

static int setup(void **state)
{
    (void)state;
    schema_types_init(&types);
    fold_batch_init(&batch);
    struct ingest_options options = {.types = &types, .body_bytes_max = 100000, .count_max = 50};
    return ingest_new(&options, NULL, &ingest) == FR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ingest_free(ingest);
    fold_batch_release(&batch);
    return 0;
}

static enum fr_status take(struct ingest_body body, struct ingest_result *result,
                           struct fr_error *error)
{
    fold_batch_clear(&batch);
    body.received_us = NOW_US;
    if (body.thing == INGEST_ANY)
        body.thing = INGEST_EVENTS;
    return ingest_take_body(ingest, &body, &batch, result, error);
}

static enum fr_status take_text(const char *text, struct ingest_result *result)
{
    return take((struct ingest_body){.bytes = fr_slice_str(text)}, result, NULL);
}

/* The n-th record of the batch. */
static struct fr_slice record_at(uint32_t n, uint8_t *out_kind)
{
    struct base_reader reader = base_reader_of(batch.bytes.bytes, batch.bytes.count);
    struct fr_slice payload = {0};
    for (uint32_t i = 0; i <= n; i++) {
        *out_kind = base_reader_u8(&reader);
        payload = base_reader_string(&reader);
    }
    assert_false(reader.failed);
    return payload;
}

static struct schema_event event_at(uint32_t n)
{
    struct schema_event event;
    uint8_t kind;
    struct fr_slice payload = record_at(n, &kind);
    assert_int_equal(kind, SCHEMA_KIND_EVENT);
    assert_int_equal(schema_event_decode(payload, &event), FR_OK);
    return event;
}

static void test_good_and_bad(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        GOOD "\n" BAD "\n" GOOD_ID "\n{\"user\":",
        "[" GOOD "," BAD "," GOOD_ID ",{}]",
        GOOD "\r\n\r\n" BAD "\r\n" GOOD_ID "\r\nx",
    };
    for (size_t i = 0; i < FR_COUNT_OF(bodies); i++) {
        struct ingest_result result = {0};
        assert_int_equal(take_text(bodies[i], &result), FR_OK);
        assert_int_equal(result.taken, 2);
        assert_int_equal(batch.count, 2);
        assert_int_equal(result.reject_count, 2);
        assert_int_equal(result.rejects[0].index, 1);
        assert_string_equal(result.rejects[0].reject.path, "$.user");
        assert_true(fr_slice_equal(result.rejects[0].raw, FR_SLICE(BAD)));
        assert_int_equal(result.rejects[1].index, 3);
        assert_true(event_at(0).time_us == NOW_US);
        assert_true(fr_slice_equal(event_at(1).id, FR_SLICE("e1")));
    }
}

static void test_refused_whole(void **state)
{
    (void)state;
    struct ingest_result result;
    struct fr_error error = {0};
    assert_int_equal(take_text("", &result), FR_INVALID);
    assert_int_equal(take_text("[" GOOD ",", &result), FR_INVALID);
    assert_int_equal(batch.count, 0);
    struct base_buf many;
    base_buf_init(&many, 0);
    for (int i = 0; i <= 50; i++)
        base_buf_put_str(&many, i ? ",1" : "[1");
    base_buf_put(&many, "]", 2);
    assert_int_equal(take_text((const char *)many.bytes, &result), FR_FULL);
    base_buf_release(&many);
    assert_int_equal(batch.count, 0);
    char *big = calloc(1, 100002);
    memset(big, ' ', 100001);
    assert_int_equal(take_text(big, &result), FR_FULL);
    free(big);
    assert_int_equal(take((struct ingest_body){.bytes = FR_SLICE(GOOD),
                                               .content_type = FR_SLICE("image/png")},
                          &result, &error),
                     FR_UNSUPPORTED);
    assert_int_equal(take((struct ingest_body){.bytes = FR_SLICE(GOOD),
                                               .content_encoding = FR_SLICE("br")},
                          &result, &error),
                     FR_UNSUPPORTED);
    assert_int_equal(take((struct ingest_body){.bytes = FR_SLICE(GOOD),
                                               .content_encoding = FR_SLICE("gzip")},
                          &result, &error),
                     FR_CORRUPT);
}

static void test_content_types(void **state)
{
    (void)state;
    static const char *const good[] = {"", "application/json", "Application/JSON; charset=utf-8",
                                       "application/x-ndjson", "text/plain"};
    for (size_t i = 0; i < FR_COUNT_OF(good); i++) {
        struct ingest_result result = {0};
        assert_int_equal(take((struct ingest_body){.bytes = FR_SLICE(GOOD),
                                                   .content_type = fr_slice_str(good[i])},
                              &result, NULL),
                         FR_OK);
        assert_int_equal(result.taken, 1);
    }
}

static void test_csv(void **state)
{
    (void)state;
    struct ingest_result result = {0};
    struct ingest_body body =
        {.bytes = FR_SLICE("user,item,rating,timestamp\nu,\"i,1\",4,1700000000\nu,i2,6,1700000000\n"
                           ",i2,6,1700000000\n"),
         .content_type = FR_SLICE("text/csv; charset=utf-8")};
    assert_int_equal(take(body, &result, NULL), FR_OK);
    assert_int_equal(result.taken, 1);
    assert_true(fr_slice_equal(event_at(0).item, FR_SLICE("i,1")));
    assert_true(event_at(0).time_us == (int64_t)1700000000 * 1000000);
    assert_int_equal(result.reject_count, 2);
    assert_string_equal(result.rejects[0].reject.path, "column 3 (value)");
    assert_true(fr_slice_equal(result.rejects[0].raw, FR_SLICE("u,i2,6,1700000000")));
    assert_true(fr_slice_equal(result.rejects[1].raw, FR_SLICE(",i2,6,1700000000")));

    body.bytes = FR_SLICE("user,item\nu,i\n"); /* no time: the received one */
    assert_int_equal(take(body, &result, NULL), FR_OK);
    assert_true(event_at(0).time_us == NOW_US);
    body.bytes = FR_SLICE("a,b\n");
    assert_int_equal(take(body, &result, NULL), FR_INVALID);
}

static void test_compressed(void **state)
{
    (void)state;
    struct ingest_result result = {0};
    uint8_t packed[4096];
    size_t bytes = ZSTD_compress(packed, sizeof(packed), GOOD, strlen(GOOD), 3);
    struct ingest_body body = {.bytes = fr_slice_of((const char *)packed, bytes),
                               .content_encoding = FR_SLICE("zstd")};
    assert_int_equal(take(body, &result, NULL), FR_OK);
    assert_int_equal(result.taken, 1);
    body.bytes.bytes -= 3;
    assert_int_equal(take(body, &result, NULL), FR_CORRUPT);
    /* a bomb: 10 MB of spaces in a few hundred bytes */
    char *spaces = malloc(10000000);
    assert_non_null(spaces);
    memset(spaces, ' ', 10000000);
    bytes = ZSTD_compress(packed, sizeof(packed), spaces, 10000000, 3);
    free(spaces);
    assert_false(ZSTD_isError(bytes));
    body.bytes = fr_slice_of((const char *)packed, bytes);
    assert_int_equal(take(body, &result, NULL), FR_FULL);
}

static void test_keys(void **state)
{
    (void)state;
    struct ingest_result result;
    struct ingest_body keyed = {.bytes = FR_SLICE("[" GOOD "," GOOD "]"),
                                .idempotency_key = FR_SLICE("k1")};
    assert_int_equal(take(keyed, &result, NULL), FR_OK);
    struct base_hash128 a = event_at(0).key, b = event_at(1).key;
    assert_true(a.lo != b.lo); /* the same, but two */
    assert_int_equal(take(keyed, &result, NULL), FR_OK);
    assert_true(event_at(0).key.lo == a.lo && event_at(1).key.hi == b.hi);
    keyed.idempotency_key = FR_SLICE("k2");
    assert_int_equal(take(keyed, &result, NULL), FR_OK);
    assert_true(event_at(0).key.lo != a.lo);
    /* neither id nor key: all fields; the same twice is one */
    keyed.idempotency_key = (struct fr_slice){0};
    assert_int_equal(take(keyed, &result, NULL), FR_OK);
    assert_true(event_at(0).key.lo == event_at(1).key.lo && event_at(0).key.lo != a.lo);
    /* an id rules */
    keyed.bytes = FR_SLICE("[" GOOD_ID "," GOOD_ID "]");
    keyed.idempotency_key = FR_SLICE("k1");
    assert_int_equal(take(keyed, &result, NULL), FR_OK);
    struct base_hash128 expected = schema_dedupe_key(FR_SLICE("e1"), schema_default_key);
    assert_true(event_at(0).key.lo == expected.lo && event_at(1).key.hi == expected.hi);
}

static void test_items_and_users(void **state)
{
    (void)state;
    struct ingest_result result = {0};
    uint8_t kind;
    static struct schema_item item;
    struct ingest_body body = {.thing = INGEST_ITEMS,
                               .bytes =
                                   FR_SLICE("{\"id\":\"a\",\"title\":\"A\"}\n{\"title\":\"B\"}")};
    assert_int_equal(take(body, &result, NULL), FR_OK);
    assert_int_equal(result.taken, 1);
    assert_string_equal(result.rejects[0].reject.path, "$.id");
    assert_int_equal(schema_item_decode(record_at(0, &kind), &item), FR_OK);
    assert_int_equal(kind, SCHEMA_KIND_ITEM);
    body = (struct ingest_body){.thing = INGEST_ITEMS,
                                .patch = true,
                                .id = FR_SLICE("b"),
                                .bytes = FR_SLICE("{\"title\":null}")};
    assert_int_equal(take(body, &result, NULL), FR_OK);
    assert_int_equal(schema_item_decode(record_at(0, &kind), &item), FR_OK);
    assert_int_equal(kind, SCHEMA_KIND_ITEM_PATCH);
    assert_true(fr_slice_equal(item.id, FR_SLICE("b")) && item.present == SCHEMA_TITLE);
    body.bytes = FR_SLICE("[{},{}]"); /* one address, one thing */
    assert_int_equal(take(body, &result, NULL), FR_FULL);
    body = (struct ingest_body){.thing = INGEST_USERS, .bytes = FR_SLICE("{\"id\":\"u\"}")};
    assert_int_equal(take(body, &result, NULL), FR_OK);
    record_at(0, &kind);
    assert_int_equal(kind, SCHEMA_KIND_USER);

    struct schema_reject reject;
    fold_batch_clear(&batch);
    assert_int_equal(ingest_take_delete(SCHEMA_KIND_ITEM_DELETE, FR_SLICE("a"), &batch, &reject),
                     FR_OK);
    assert_int_equal(ingest_take_delete(SCHEMA_KIND_ERASE, FR_SLICE(" "), &batch, &reject),
                     FR_INVALID);
    assert_true(fr_slice_equal(record_at(0, &kind), FR_SLICE("a")));
    assert_int_equal(batch.count, 1);
}

/* ---- dead letters -------------------------------------------------------------------------------
 */

static enum fr_status add(struct ingest_dead *dead, const char *position, struct fr_slice raw)
{
    struct schema_reject reject = {.path = "$.user", .rule = "must not be \"blank\"", .seen = ""};
    struct ingest_letter letter = {.source = "http",
                                   .position = fr_slice_str(position),
                                   .time_us = NOW_US,
                                   .reject = &reject,
                                   .raw = raw};
    return ingest_dead_add(dead, &letter, NULL);
}

static void list(struct ingest_dead *dead, uint32_t count, struct base_buf *out)
{
    const char *what;
    base_buf_clear(out);
    assert_int_equal(ingest_dead_list(dead, count, out, NULL), FR_OK);
    assert_true(schema_json_fault(base_buf_slice(out), &what) == -1);
    base_buf_put_u8(out, 0);
}

static void test_dead_letters(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(7, NULL);
    struct ingest_dead_options options = {.os = os_sim_os(sim),
                                          .directory = "/data/dead-letters",
                                          .file_bytes_max = 1000,
                                          .file_count_max = 3,
                                          .raw_bytes_max = 40};
    struct ingest_dead *dead = NULL;
    struct ingest_dead_stats stats;
    struct base_buf out;
    base_buf_init(&out, 0);
    assert_int_equal(ingest_dead_open(&options, NULL, &dead), FR_OK);
    list(dead, 10, &out);
    assert_string_equal((const char *)out.bytes, "[]");
    assert_int_equal(add(dead, "first", FR_SLICE("{\"a\":\"\n\"}")), FR_OK);
    assert_int_equal(add(dead, "second", FR_SLICE("\xff\xfe")), FR_OK);
    assert_int_equal(add(dead, "third", FR_SLICE("0123456789012345678901234567890123456789abc")),
                     FR_OK);
    list(dead, 10, &out);
    const char *text = (const char *)out.bytes;
    assert_non_null(strstr(text, "\"raw\":\"{\\\"a\\\":\\\"\\n\\\"}\""));
    assert_non_null(strstr(text, "\"raw_base64\":\"//4=\""));
    assert_non_null(strstr(text, "456789\",\"raw_bytes\":43"));
    assert_true(strstr(text, "third") < strstr(text, "first")); /* newest first */
    for (int i = 0; i < 50; i++)
        assert_int_equal(add(dead, "more", FR_SLICE("x")), FR_OK);
    ingest_dead_stats_get(dead, &stats);
    assert_int_equal(stats.added, 53);
    assert_true(stats.rotated > 3 && stats.bytes <= 3000 && stats.lost == 0);
    list(dead, 2, &out);
    ingest_dead_close(dead);

    /* opened again, it goes on; a full disk is counted */
    assert_int_equal(ingest_dead_open(&options, NULL, &dead), FR_OK);
    struct ingest_dead_stats again;
    ingest_dead_stats_get(dead, &again);
    assert_true(again.bytes == stats.bytes);
    os_sim_disk_limit(sim, os_sim_disk_bytes(sim));
    enum fr_status status = FR_OK;
    for (int i = 0; i < 60 && status == FR_OK; i++)
        status = add(dead, "full", FR_SLICE("x"));
    assert_int_equal(status, FR_NO_SPACE);
    os_sim_disk_limit(sim, 0);
    assert_int_equal(add(dead, "room again", FR_SLICE("x")), FR_OK);
    ingest_dead_stats_get(dead, &again);
    assert_int_equal(again.lost, 1);
    assert_int_equal(ingest_dead_drop(dead, NULL), FR_OK);
    list(dead, 10, &out);
    assert_string_equal((const char *)out.bytes, "[]");
    ingest_dead_close(dead);
    os_sim_free(sim);
    base_buf_release(&out);
}

static void test_dead_letters_torn(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(9, NULL);
    struct os *os = os_sim_os(sim);
    struct ingest_dead_options options = {.os = os, .directory = "/d"};
    struct ingest_dead *dead = NULL;
    struct os_file *file;
    struct base_buf out;
    uint64_t bytes;
    base_buf_init(&out, 0);
    assert_int_equal(ingest_dead_open(&options, NULL, &dead), FR_OK);
    assert_int_equal(add(dead, "whole", FR_SLICE("x")), FR_OK);
    ingest_dead_close(dead);
    assert_int_equal(os_open(os, "/d/00000001.ndjson", OS_READ | OS_WRITE, NULL, &file), FR_OK);
    assert_int_equal(os_size(file, &bytes, NULL), FR_OK);
    assert_int_equal(os_write_at(file, bytes, "{\"time\":\"20", 11, NULL), FR_OK);
    os_close(file);
    assert_int_equal(ingest_dead_open(&options, NULL, &dead), FR_OK);
    assert_int_equal(add(dead, "after", FR_SLICE("y")), FR_OK);
    list(dead, 10, &out);
    assert_non_null(strstr((const char *)out.bytes, "whole"));
    assert_non_null(strstr((const char *)out.bytes, "after"));
    ingest_dead_close(dead);
    os_sim_free(sim);
    base_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_and_bad),      cmocka_unit_test(test_refused_whole),
        cmocka_unit_test(test_content_types),     cmocka_unit_test(test_csv),
        cmocka_unit_test(test_compressed),        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_items_and_users),   cmocka_unit_test(test_dead_letters),
        cmocka_unit_test(test_dead_letters_torn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
