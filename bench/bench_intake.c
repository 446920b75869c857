/* SPDX-License-Identifier: Apache-2.0
 *
 * The intake of events: bare simdjson on the same bytes, then parse + validate, + encode, decode,
 * and whole NDJSON and array bodies into a fold batch; CSV rows by a mapping. CPU ns an event, the
 * best of several rounds, the ratio to bare simdjson, and what the heap grew by in the warm rounds
 * (nothing).
 */
#include "ingest/ingest.h"
#include "ingest/reader.h"
#include "schema/json_shim.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS = 20000, ROUNDS = 9, BATCH = 1000 };

struct bench {
    char *text; /* NDJSON */
    size_t bytes;
    struct fr_slice line[EVENTS];
    struct schema_types types;
    struct schema_json *json;
    struct schema__doc *doc;
    struct base_buf encoded, array, table;
    struct fr_slice record[EVENTS];
    struct ingest *ingest;
    struct fold_batch batch;
};

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_intake: %s failed\n", what);
    exit(1);
}

static void make_events(struct bench *bench)
{
    char *at = bench->text = malloc((size_t)EVENTS * 300);
    check(at != NULL, "malloc");
    base_buf_put_str(&bench->table, "user,item,session,time,device,country\n");
    for (int i = 0; i < EVENTS; i++) {
        unsigned user = (unsigned)base_random_u64(1, (uint64_t)i, 0) % 1000000;
        unsigned item = (unsigned)base_random_u64(1, (uint64_t)i, 1) % 100000;
        int count = snprintf(
            at, 300,
            "{\"id\":\"e-%08d\",\"timestamp\":%lld,\"user\":\"user-%06u\",\"session\":\"s-%05u\","
            "\"item\":\"item-%05u\",\"type\":\"dwell\",\"value\":%d.5,\"context\":{\"device\":"
            "\"phone\",\"country\":\"BR\",\"referrer\":\"search\"}}\n",
            i, 1795498215000LL + i, user, user % 77777, item, 5 + i % 60);
        bench->line[i] = fr_slice_of(at, (size_t)count - 1);
        at += count;
        base_buf_printf(&bench->table, "user-%06u,item-%05u,s-%05u,%lld,phone,BR\n", user, item,
                        user % 77777, 1795498215000LL + i);
        base_buf_put_u8(&bench->array, i ? ',' : '[');
        base_buf_put_slice(&bench->array, bench->line[i]);
    }
    base_buf_put_u8(&bench->array, ']');
    bench->bytes = (size_t)(at - bench->text);
}

static void run_bare(struct bench *bench)
{
    struct schema__value root;
    const char *rule;
    for (int i = 0; i < EVENTS; i++)
        check(schema__doc_parse(bench->doc, bench->line[i], &root, &rule) == FR_OK, "parse");
}

static void run_validate(struct bench *bench)
{
    struct schema_event event;
    struct schema_reject reject;
    for (int i = 0; i < EVENTS; i++)
        check(schema_event_from_json(bench->json, &bench->types, bench->line[i], 0, &event,
                                     &reject) == FR_OK,
              "validate");
}

static void run_encode(struct bench *bench)
{
    struct schema_event event;
    struct schema_reject reject;
    base_buf_clear(&bench->encoded);
    for (int i = 0; i < EVENTS; i++) {
        check(schema_event_from_json(bench->json, &bench->types, bench->line[i], 0, &event,
                                     &reject) == FR_OK,
              "validate");
        schema_event_encode(&event, &bench->encoded);
    }
}

static void run_decode(struct bench *bench)
{
    struct schema_event event;
    for (int i = 0; i < EVENTS; i++)
        check(schema_event_decode(bench->record[i], &event) == FR_OK, "decode");
}

static void take_body(struct bench *bench, struct fr_slice bytes)
{
    struct ingest_body body = {.thing = INGEST_EVENTS, .bytes = bytes, .received_us = 1};
    struct ingest_result result;
    fold_batch_clear(&bench->batch);
    check(ingest_take_body(bench->ingest, &body, &bench->batch, &result, NULL) == FR_OK &&
              result.reject_count == 0,
          "body");
}

static void run_lines(struct bench *bench)
{
    for (int i = 0; i < EVENTS; i += BATCH) {
        const char *end = bench->line[i + BATCH - 1].ptr + bench->line[i + BATCH - 1].bytes;
        take_body(bench, fr_slice_of(bench->line[i].ptr, (size_t)(end - bench->line[i].ptr)));
    }
}

static void run_array(struct bench *bench)
{
    take_body(bench, base_buf_slice(&bench->array));
}

static void run_table(struct bench *bench)
{
    struct ingest_reader_options options = {.types = &bench->types};
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    int count = 0;
    check(ingest_reader_open_memory(base_buf_slice(&bench->table), &options, NULL, &reader) ==
              FR_OK,
          "open");
    while (ingest_reader_next(reader, &record, NULL) == FR_OK)
        count += record.event != NULL;
    check(count == EVENTS, "table");
    ingest_reader_close(reader);
}

static double best(struct bench *bench, void (*run)(struct bench *bench))
{
    double least = 1e30;
    for (int i = 0; i < ROUNDS; i++) {
        double before = cpu_ns();
        run(bench);
        double took = (cpu_ns() - before) / EVENTS;
        least = took < least ? took : least;
    }
    return least;
}

/* Bytes of the encoded events, each by itself; also the time of encoding alone. */
static void keep_records(struct bench *bench)
{
    struct schema_event event;
    struct schema_reject reject;
    static size_t first[EVENTS + 1];
    base_buf_clear(&bench->encoded);
    for (int i = 0; i < EVENTS; i++) {
        check(schema_event_from_json(bench->json, &bench->types, bench->line[i], 0, &event,
                                     &reject) == FR_OK,
              "validate");
        schema_event_encode(&event, &bench->encoded);
        first[i + 1] = bench->encoded.count;
    }
    for (int i = 0; i < EVENTS; i++)
        bench->record[i] =
            fr_slice_of((const char *)bench->encoded.bytes + first[i], first[i + 1] - first[i]);
}

int main(void)
{
    static struct bench bench;
    schema_types_init(&bench.types);
    base_buf_init(&bench.encoded, 0);
    base_buf_init(&bench.array, 0);
    base_buf_init(&bench.table, 0);
    fold_batch_init(&bench.batch);
    make_events(&bench);
    struct ingest_options options = {.types = &bench.types, .count_max = EVENTS};
    check(schema_json_new(1 << 20, &bench.json) == FR_OK, "parser");
    check(ingest_new(&options, NULL, &bench.ingest) == FR_OK, "ingest");
    bench.doc = schema__doc_new(1 << 20, 8);
    check(bench.doc != NULL, "doc");
    keep_records(&bench);
    size_t record_bytes = bench.encoded.count / EVENTS;
    static const struct {
        const char *what;
        void (*run)(struct bench *bench);
    } rows[] = {
        {"simdjson alone", run_bare},
        {"parse, validate", run_validate},
        {"parse, validate, encode", run_encode},
        {"decode", run_decode},
        {"NDJSON bodies of 1,000 to a batch", run_lines},
        {"one array body to a batch", run_array},
        {"CSV rows, 6 columns", run_table},
    };
    printf("event: %zu bytes of JSON, %zu bytes encoded\n", bench.bytes / EVENTS, record_bytes);
    double bare = 0;
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        rows[i].run(&bench); /* warm */
        size_t before = mallinfo2().uordblks;
        double ns = best(&bench, rows[i].run);
        bare = i == 0 ? ns : bare;
        printf("%-36s %7.1f ns/event  x%.2f of simdjson alone, memory %+zd\n", rows[i].what, ns,
               ns / bare, (ssize_t)(mallinfo2().uordblks - before));
        if (rows[i].run == run_encode)
            keep_records(&bench);
    }
    return 0;
}
