/* SPDX-License-Identifier: Apache-2.0
 *
 * Random events, as JSON, as CSV and as bytes: all three give back the event that was made. And one
 * random byte changed in the JSON: the event is refused or still keeps the rules, and the scanner
 * and simdjson agree on whether it is JSON. FRESHET_SEEDS=N seeds (default 64), FRESHET_SEED=N just
 * that one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/reader.h"

enum { EVENTS = 60, TEXT_MAX = 40 };

struct world {
    uint64_t seed, drawn;
    struct schema_types types;
    struct schema_json *json;
    struct base_arena arena;
    struct base_buf text, one, two, table;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    return base_random_u64(world->seed, 1, world->drawn++) % below;
}

/* Ids with what files and JSON have to escape, and several alphabets. */
static struct fr_slice draw_text(struct world *world)
{
    static const char *const parts[] = {"a",
                                        "Z",
                                        "0",
                                        "-",
                                        "\"",
                                        "\\",
                                        "/",
                                        ",",
                                        ";",
                                        "|",
                                        "'",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "user",
                                        "e\xcc\x81",
                                        "{",
                                        "}",
                                        "[",
                                        ":",
                                        "::",
                                        "%",
                                        "<",
                                        "x y"};
    char text[TEXT_MAX];
    size_t at = 0;
    for (uint64_t i = 0, count = 1 + draw(world, 8); i < count; i++) {
        const char *part = parts[draw(world, FR_COUNT_OF(parts))];
        memcpy(text + at, part, strlen(part));
        at += strlen(part);
    }
    return base_arena_dup(&world->arena, fr_slice_of(text, at));
}

static void draw_event(struct world *world, struct schema_event *event)
{
    schema_event_clear(event);
    event->user = draw_text(world);
    event->item = draw_text(world);
    if (draw(world, 2))
        event->session = draw_text(world);
    if (draw(world, 2))
        event->context.device = draw_text(world);
    event->time_us = (int64_t)(86400000000 + draw(world, 253000000000000000));
    event->type = (uint8_t)draw(world, SCHEMA_BUILT_IN_COUNT);
    event->has_value = true;
    event->value = (double)draw(world, 1000) / 1000;
}

static void assert_same(struct world *world, const struct schema_event *a,
                        const struct schema_event *b, const char *how)
{
    struct schema_event bare = *b;
    bare.key = a->key; /* formats give it in their own way */
    base_buf_clear(&world->one);
    base_buf_clear(&world->two);
    schema_event_encode(a, &world->one);
    schema_event_encode(&bare, &world->two);
    if (!fr_slice_equal(base_buf_slice(&world->one), base_buf_slice(&world->two)))
        fail_msg("seed %llu: %s changed the event %.*s", (unsigned long long)world->seed, how,
                 (int)world->text.count, (const char *)world->text.bytes);
}

static void put_quoted(struct base_buf *out, struct fr_slice text, char end)
{
    base_buf_put_u8(out, '"');
    for (size_t i = 0; i < text.bytes; i++) {
        base_buf_put_u8(out, (uint8_t)text.ptr[i]);
        if (text.ptr[i] == '"')
            base_buf_put_u8(out, '"');
    }
    base_buf_put_u8(out, '"');
    base_buf_put_u8(out, (uint8_t)end);
}

static void put_row(struct world *world, const struct schema_event *event)
{
    struct base_buf *out = &world->table;
    put_quoted(out, event->user, ',');
    put_quoted(out, event->item, ',');
    put_quoted(out, event->session, ',');
    put_quoted(out, event->context.device, ',');
    base_buf_put_str(out, world->types.row[event->type].name);
    base_buf_printf(out, ",%.17g,", event->value);
    schema_time_print(event->time_us, out);
    base_buf_put_str(out, draw(world, 2) ? "\r\n" : "\n");
}

static void change_one_byte(struct world *world)
{
    struct schema_event event;
    struct schema_reject reject = {.path = ""};
    const char *what;
    world->text.bytes[draw(world, world->text.count)] = (uint8_t)draw(world, 256);
    struct fr_slice text = base_buf_slice(&world->text);
    enum fr_status status =
        schema_event_from_json(world->json, &world->types, text, 1, &event, &reject);
    if (status == FR_OK) {
        assert_int_equal(schema_event_check(&world->types, &event, &reject), FR_OK);
        assert_true(schema_json_fault(text, &what) < 0);
    } else {
        assert_int_equal(status, FR_INVALID);
        if (strcmp(reject.path, "$") == 0 && schema_json_fault(text, &what) < 0)
            assert_true(strstr(reject.rule, "UTF-8") || strstr(reject.rule, "number"));
    }
}

static void check_table(struct world *world, const struct schema_event *events)
{
    struct ingest_reader_options options =
        {.types = &world->types,
         .separator = ",",
         .header = "no",
         .columns = "user=1,item=2,session=3,device=4,type=5,value=6,time=7"};
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    assert_int_equal(ingest_reader_open_memory(base_buf_slice(&world->table), &options, NULL,
                                               &reader),
                     FR_OK);
    for (int i = 0; i < EVENTS; i++) {
        assert_int_equal(ingest_reader_next(reader, &record, NULL), FR_OK);
        if (!record.event)
            fail_msg("seed %llu: row %d: %s %s", (unsigned long long)world->seed, i,
                     record.reject->path, record.reject->rule);
        assert_same(world, &events[i], record.event, "CSV");
    }
    assert_int_equal(ingest_reader_next(reader, &record, NULL), FR_END);
    ingest_reader_close(reader);
}

static void run_seed(struct world *world, uint64_t seed)
{
    static struct schema_event events[EVENTS];
    struct schema_event copy;
    struct schema_reject reject;
    world->seed = seed;
    world->drawn = 0;
    base_arena_clear(&world->arena);
    base_buf_clear(&world->table);
    for (int i = 0; i < EVENTS; i++) {
        draw_event(world, &events[i]);
        put_row(world, &events[i]);
        base_buf_clear(&world->text);
        schema_event_to_json(&events[i], &world->types, &world->text);
        if (schema_event_from_json(world->json, &world->types, base_buf_slice(&world->text), 0,
                                   &copy, &reject) != FR_OK)
            fail_msg("seed %llu: %.*s: %s %s", (unsigned long long)seed, (int)world->text.count,
                     (const char *)world->text.bytes, reject.path, reject.rule);
        assert_same(world, &events[i], &copy, "JSON");
        assert_int_equal(schema_event_decode(base_buf_slice(&world->one), &copy), FR_OK);
        change_one_byte(world);
    }
    check_table(world, events);
}

static void test_round_trips(void **state)
{
    (void)state;
    static struct world world;
    const char *only = getenv("FRESHET_SEED"), *count = getenv("FRESHET_SEEDS");
    uint64_t seeds = count ? strtoull(count, NULL, 10) : 64;
    schema_types_init(&world.types);
    assert_int_equal(schema_json_new(1 << 16, &world.json), FR_OK);
    assert_int_equal(base_arena_init(&world.arena, 1 << 20), FR_OK);
    base_buf_init(&world.text, 0);
    base_buf_init(&world.one, 0);
    base_buf_init(&world.two, 0);
    base_buf_init(&world.table, 0);
    if (only)
        run_seed(&world, strtoull(only, NULL, 10));
    for (uint64_t seed = 1; !only && seed <= seeds; seed++)
        run_seed(&world, seed);
    base_buf_release(&world.text);
    base_buf_release(&world.one);
    base_buf_release(&world.two);
    base_buf_release(&world.table);
    base_arena_release(&world.arena);
    schema_json_free(world.json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trips)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
