/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: files of all formats, read from memory and, compressed, from disk: what is understood,
 * what is refused and where, and what damage does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "ingest/reader.h"

static struct schema_types types;

static int setup(void **state)
{
    (void)state;
    schema_types_init(&types);
    return 0;
}

/* One line a record: "user|item|type|value|seconds|session|device" or "!path: rule". */
static enum fr_status read_all(struct ingest_reader *reader, struct base_buf *out,
                               struct fr_error *error)
{
    struct ingest_record record;
    enum fr_status status;
    while ((status = ingest_reader_next(reader, &record, error)) == FR_OK) {
        if (record.reject) {
            base_buf_printf(out, "!%llu %s: %s\n", (unsigned long long)record.row,
                            record.reject->path, record.reject->rule);
        } else if (record.event) {
            const struct schema_event *e = record.event;
            base_buf_printf(out, "%.*s %.*s %s", (int)e->user.bytes, e->user.ptr,
                            (int)e->item.bytes, e->item.ptr, types.row[e->type].name);
            if (e->has_value)
                base_buf_printf(out, "=%g", e->value);
            base_buf_printf(out, " @%lld", (long long)(e->time_us / 1000000));
            if (e->session.bytes)
                base_buf_printf(out, " s=%.*s", (int)e->session.bytes, e->session.ptr);
            if (e->context.device.bytes)
                base_buf_printf(out, " d=%.*s", (int)e->context.device.bytes,
                                e->context.device.ptr);
            base_buf_put_str(out, "\n");
        } else if (record.item) {
            schema_item_to_json(record.item, out);
            base_buf_put_str(out, "\n");
        } else {
            schema_user_to_json(record.user, out);
            base_buf_put_str(out, "\n");
        }
    }
    return status;
}

static void expect(const char *text, const struct ingest_reader_options *options,
                   const char *expected)
{
    struct ingest_reader_options plain = {0};
    struct ingest_reader *reader = NULL;
    struct fr_error error = {0};
    struct base_buf out;
    if (options)
        plain = *options;
    plain.types = &types;
    base_buf_init(&out, 0);
    enum fr_status status = ingest_reader_open_memory(fr_slice_str(text), &plain, &error, &reader);
    if (status != FR_OK)
        fail_msg("%s\n did not open: %s", text, error.message);
    assert_int_equal(read_all(reader, &out, &error), FR_END);
    base_buf_put_u8(&out, 0);
    if (strcmp((const char *)out.bytes, expected) != 0)
        fail_msg("%s\n gave\n%s instead of\n%s explained\n%.*s", text, (const char *)out.bytes,
                 expected, (int)ingest_reader_explanation(reader).bytes,
                 ingest_reader_explanation(reader).ptr);
    ingest_reader_close(reader);
    base_buf_release(&out);
}

static void refuse(const char *text, const struct ingest_reader_options *options, const char *word)
{
    struct ingest_reader_options plain = {0};
    struct ingest_reader *reader = NULL;
    struct fr_error error = {0};
    if (options)
        plain = *options;
    plain.types = &types;
    enum fr_status status = ingest_reader_open_memory(fr_slice_str(text), &plain, &error, &reader);
    if (status == FR_OK || !(strstr(error.message, word) || strstr(error.hint, word)))
        fail_msg("%s gave %d %s; %s", text, (int)status, error.message, error.hint);
}

static void test_ready_formats(void **state)
{
    (void)state;
    expect("196\t242\t3\t881250949\n186\t302\t5\t891717742\n", NULL,
           "196 242 rating=3 @881250949\n186 302 rating=5 @891717742\n");
    expect("1::1193::5::978300760\n1::661::3::978302109\n", NULL,
           "1 1193 rating=5 @978300760\n1 661 rating=3 @978302109\n");
    expect("1::Toy Story (1995)::Animation|Children's\n2::Caf\xe9 (1995)::Drama\n", NULL,
           "{\"id\":\"1\",\"title\":\"Toy Story "
           "(1995)\",\"categories\":[\"Animation\",\"Children's\"]}\n"
           "{\"id\":\"2\",\"title\":\"Caf\xc3\xa9 (1995)\",\"categories\":[\"Drama\"]}\n");
    expect("1::F::1::10::48067\n", NULL,
           "{\"id\":\"1\",\"attributes\":{\"gender\":\"F\",\"age\":\"1\",\"occupation\":\"10\","
           "\"zip\":\"48067\"}}\n");
    expect(
        "1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n", NULL,
        "{\"id\":\"1\",\"title\":\"Toy Story (1995)\",\"categories\":[\"Animation\",\"Children's\","
        "\"Comedy\"],\"published\":\"1995-01-01T00:00:00Z\"}\n");
    expect("1|24|M|technician|85711\n2|53|F|other|94043\n", NULL,
           "{\"id\":\"1\",\"attributes\":{\"age\":\"24\",\"gender\":\"M\",\"occupation\":"
           "\"technician\",\"zip\":\"85711\"}}\n"
           "{\"id\":\"2\",\"attributes\":{\"age\":\"53\",\"gender\":\"F\",\"occupation\":\"other\","
           "\"zip\":\"94043\"}}\n");
    expect("userId,movieId,rating,timestamp\n1,1,4.0,964982703\n", NULL,
           "1 1 rating=4 @964982703\n");
    expect("movieId,title,genres\n11,\"American President, The (1995)\",Comedy|Drama\n"
           "12,\"The \"\"X\"\"\",(no genres listed)\n",
           NULL,
           "{\"id\":\"11\",\"title\":\"American President, The "
           "(1995)\",\"categories\":[\"Comedy\",\"Drama\"]}\n"
           "{\"id\":\"12\",\"title\":\"The \\\"X\\\"\"}\n");
    expect("user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
           NULL, "196 242 rating=3 @881250949\n");
    expect("user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
           "196\t243\t5\t881250949\n",
           &(struct ingest_reader_options){.format = "recbole"},
           "196 242 rating=3 @881250949\n196 243 rating=5 @881250949\n");
    expect("item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
           "1\tToy Story\t1995\tAnimation Children's\n",
           NULL,
           "{\"id\":\"1\",\"title\":\"Toy Story\",\"categories\":[\"Animation\",\"Children's\"],"
           "\"attributes\":{\"release_year\":\"1995\"}}\n");
    expect("user_id\tsession_id\tsession_start\tsession_size\tclick_article_id\tclick_timestamp\t"
           "click_environment\tclick_deviceGroup\tclick_os\tclick_country\tclick_region\t"
           "click_referrer_"
           "type\n59\t1506\t1506826329000\t2\t234853\t1506826800026\t4\t3\t2\t1\t21\t1\n",
           NULL, "59 234853 click @1506826800 s=1506 d=3\n");
}

static void test_lists(void **state)
{
    (void)state;
    expect("1 10 20\n2 30 \n3\n4 40", NULL,
           "1 10 click @1577836800\n1 20 click @1577836800\n2 30 click @1577836800\n"
           "4 40 click @1577836800\n");
    expect("5 6\n5 7 8\n", NULL,
           "session-1 5 click @1577836800 s=session-1\nsession-1 6 click @1577836801 s=session-1\n"
           "session-2 5 click @1577836802 s=session-2\nsession-2 7 click @1577836803 s=session-2\n"
           "session-2 8 click @1577836804 s=session-2\n");
    expect("1 2\n2 3\n", &(struct ingest_reader_options){.format = "sessions", .type = "view"},
           "session-1 1 view @1577836800 s=session-1\nsession-1 2 view @1577836801 s=session-1\n"
           "session-2 2 view @1577836802 s=session-2\nsession-2 3 view @1577836803 s=session-2\n");
    expect("9 2\n2 3\n", &(struct ingest_reader_options){.format = "sequences"},
           "9 2 click @1577836800\n2 3 click @1577836800\n");
}

static void test_columns_given(void **state)
{
    (void)state;
    expect("a;b;c;2024-02-29 12:00:00;x\n",
           &(struct ingest_reader_options){.columns = "user=3,item=1,time=4,session=2,device=5",
                                           .separator = ";"},
           "c a click @1709208000 s=b d=x\n");
    expect("who,what,when\r\nu,i,1700000000000\r\n",
           &(struct ingest_reader_options){.columns = "user=who,item=what,time=when"},
           "u i click @1700000000\n");
    expect("u,i,1700000000\n",
           &(struct ingest_reader_options){.columns = "user=1,item=2,time=3", .time_unit = "ms"},
           "u i click @1700000\n");
    expect("u,i,buy,3\nv,j,cart,\nw,k,jump,1\n",
           &(struct ingest_reader_options){.columns = "user=1,item=2,type=3,value=4"},
           "u i purchase=3 @1577836800\nv j add_to_cart @1577836801\n"
           "!3 column 3 (type): is not a known event type\n");
    expect("u\ti\nv\tj\n",
           &(struct ingest_reader_options){.columns = "user=1,item=2",
                                           .separator = "tab",
                                           .type = "like",
                                           .header = "no"},
           "u i like @1577836800\nv j like @1577836801\n");
}

static void test_guesses(void **state)
{
    (void)state;
    /* names in other words and order, quotes, a column nobody asked for */
    expect("when,product_id,visitorId,colour\n2024-01-01T00:00:00Z,p1,v1,red\n"
           "2024-01-01T00:00:01Z,\"p,2\",v2,blue\n",
           NULL, "v1 p1 click @1704067200\nv2 p,2 click @1704067201\n");
    /* no header: the time by its look, then user and item in order */
    expect("2024-01-01,ann,x1\n2024-01-02,bob,x2\n2024-01-03,cid,x1\n", NULL,
           "ann x1 click @1704067200\nbob x2 click @1704153600\ncid x1 click @1704240000\n");
    expect("ann,view,x1,1700000000\nbob,addtocart,x2,1700000001\nann,transaction,x2,1700000002\n",
           NULL,
           "ann x1 view @1700000000\nbob x2 add_to_cart @1700000001\n"
           "ann x2 purchase @1700000002\n");
    expect("10,20,5\n11,21,3\n12,22,1\n13,20,4\n", NULL,
           "10 20 rating=5 @1577836800\n11 21 rating=3 @1577836801\n12 22 rating=1 @1577836802\n"
           "13 20 rating=4 @1577836803\n");
    /* other scales of ratings; what is none */
    expect("user,item,score\nu1,i1,10\nu2,i2,4\n", NULL,
           "u1 i1 rating=5 @1577836800\nu2 i2 rating=2 @1577836801\n");
    expect("user,item,rating\na,i,1\nb,j,1\nc,i,1\nd,j,1\ne,i,1\n", NULL,
           "a i click @1577836800\nb j click @1577836801\nc i click @1577836802\n"
           "d j click @1577836803\ne i click @1577836804\n");
    expect("user,item,rating\nu1,i1,7000\nu2,i2,1\n", NULL,
           "u1 i1 click @1577836800\nu2 i2 click @1577836801\n");
    refuse("user,item,time\n", &(struct ingest_reader_options){.type = "teleport"}, "teleport");
}

static void test_json(void **state)
{
    (void)state;
    expect("{\"user\":\"u\",\"item\":\"i\",\"type\":\"like\",\"timestamp\":1700000000}\r\n\n"
           "{\"user\":\"u\",\"item\":\"i\",\"type\":\"like\"}\nnonsense\n",
           NULL,
           "u i like @1700000000\n!3 $.timestamp: is required\n!4 $: has a word other than true, "
           "false, null\n");
    expect("\xef\xbb\xbf[ "
           "{\"user\":\"u\",\"item\":\"i\",\"type\":\"view\",\"timestamp\":1700000000} ,\n"
           "{\"user\":\"u\"}]\n",
           NULL, "u i view @1700000000\n!2 $.type: is required\n");
    expect("[]", NULL, "");
    expect("{\"id\":\"i\",\"title\":\"T\"}\n", NULL, "{\"id\":\"i\",\"title\":\"T\"}\n");
    expect("{\"id\":\"u\",\"follows\":[\"a\"]}\n", NULL, "{\"id\":\"u\",\"follows\":[\"a\"]}\n");
}

static void test_json_array_breaks_off(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[{\"user\":\"u\",\"item\":\"i\",\"type\":\"view\",\"timestamp\":1700000000}",
        "[{\"user\":\"u\",\"item\":\"i\",\"type\":\"view\",\"timestamp\":1700000000},",
        "[{\"user\":\"u\",\"item\":\"i\",\"type\":\"view\",\"timestamp\":1700000000} {",
        "[{\"user\":\"u\",\"item\":\"i\",\"type\":\"view\",\"timestamp\":1700000000},{\"a\":tru}]",
    };
    for (size_t i = 0; i < FR_COUNT_OF(texts); i++) {
        struct ingest_reader_options options = {.types = &types};
        struct ingest_reader *reader = NULL;
        struct fr_error error = {0};
        struct base_buf out;
        base_buf_init(&out, 0);
        assert_int_equal(ingest_reader_open_memory(fr_slice_str(texts[i]), &options, &error,
                                                   &reader),
                         FR_OK);
        assert_int_equal(read_all(reader, &out, &error), FR_INVALID);
        assert_true(error.message[0] != '\0');
        assert_true(out.count > 0 && out.bytes[0] == 'u'); /* what came before was given */
        ingest_reader_close(reader);
        base_buf_release(&out);
    }
}

static void test_bad_rows(void **state)
{
    (void)state;
    const struct ingest_reader_options columns = {.columns = "user=1,item=2,value=3,time=4",
                                                  .type = "rating"};
    expect("u,i,3,1700000000\nu,i,3\n,i,3,1700000000\nu,,3,1700000000\nu,i,6,1700000000\n"
           "u,i,x,1700000000\nu,i,nan,1700000000\nu,i,,1700000000\nu,i,3,\nu,i,3,yesterday\n"
           "u,i,3,0\nu,i,3,99999999999999999999\n\n \"q\"\"x,i,3,1700000000\n"
           "\"u\"x,i,3,1700000000\n\"u\"\"v\",\"i\nj\",3,1700000000,more\n\xff,i,3,1700000000\n"
           "u\x01,i,3,1700000000\nu,i,-1,1700000000\nu,i,3,1700000000",
           &columns,
           "u i rating=3 @1700000000\n"
           "!2 row: has 3 columns, but column 4 is needed\n"
           "!3 column 1 (user): is required\n"
           "!4 column 2 (item): is required\n"
           "!5 column 3 (value): must be a number of stars from 0 to 5 (type rating)\n"
           "!6 column 3 (value): must be a number\n"
           "!7 column 3 (value): must be a number\n"
           "!8 column 3 (value): must be a number of stars from 0 to 5 (type rating)\n"
           "!9 column 4 (time): is required\n"
           "!10 column 4 (time): must be RFC 3339 (2026-11-24T05:30:15Z) or Unix seconds or "
           "milliseconds\n"
           "!11 column 4 (time): must not be before 1970-01-02\n"
           "!12 column 4 (time): must not be after the year 9999\n"
           "\"q\"\"x i rating=3 @1700000000\n"
           "!15 row: has text behind a closing quote\n"
           "!16 column 2 (item): must not contain control characters\n"
           "!17 column 1 (user): must be valid UTF-8\n"
           "!18 column 1 (user): must not contain control characters\n"
           "!19 column 3 (value): must be a number of stars from 0 to 5 (type rating)\n"
           "u i rating=3 @1700000000\n");
    /* a quote that is never closed costs its line, not the file */
    expect("u,i,3,1700000000\n\"u,i,3,1700000000\nv,j,4,1700000001\nw,k,5,1700000002\n", &columns,
           "u i rating=3 @1700000000\n!2 row: has a quote that is not closed\n"
           "v j rating=4 @1700000001\nw k rating=5 @1700000002\n");
}

static void test_bad_options(void **state)
{
    (void)state;
    static const struct {
        struct ingest_reader_options options;
        const char *word;
    } rows[] = {
        {{.columns = "usr=1,item=2"}, "user"},
        {{.columns = "user=1"}, "item"},
        {{.columns = "user=0,item=1"}, "no column 0"},
        {{.columns = "user=9999,item=1"}, "no column"},
        {{.columns = "user=1,user=2,item=3"}, "twice"},
        {{.columns = "user"}, "NAME=COLUMN"},
        {{.columns = "user=,item=2"}, "name of the header"},
        {{.columns = ""}, "none"},
        {{.columns = "user=1,item=2,"}, "comma"},
        {{.columns = "user=1,item=nowhere"}, "nowhere"},
        {{.columns = "user=1,item=2,context.=3"}, "context"},
        {{.separator = "x"}, "separator"},
        {{.header = "maybe"}, "yes or no"},
        {{.time_unit = "h"}, "s, ms or us"},
        {{.format = "parquet"}, "movielens-100k"},
        {{.format = "movielens"}, "movielens-100k"},
        {{.format = "globo"}, "globo"},
        {{.type = "teleport"}, "teleport"},
        {{.thing = INGEST_ITEMS, .columns = "title=1"}, "id"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++)
        refuse("ann,x1,1700000000\nbob,x2,1700000001\n", &rows[i].options, rows[i].word);
    refuse("", NULL, "nothing");
    refuse("\n\n", NULL, "separator");
    refuse("one\ntwo\n", NULL, "separator");
    refuse("\x7f"
           "ELF\x02\x01\x01",
           NULL, "separator");
}

static void test_shift(void **state)
{
    (void)state;
    expect("u,a,1700000005\nv,b,1700000001\nw,c,1700000005\n,d,1700000001\n",
           &(struct ingest_reader_options){.columns = "user=1,item=2,time=3", .shift_us = 1000000},
           "u a click @1700000006\nv b click @1700000002\nw c click @1700000006\n"
           "!4 column 1 (user): is required\n");
    expect("u,a,1700000005\n",
           &(struct ingest_reader_options){.columns = "user=1,item=2,time=3",
                                           .shift_us = -(int64_t)1800000000 * 1000000},
           "!1 time: lies before 1970 once it is shifted\n");
}

static void keys_of(const char *text, const char *columns, struct base_hash128 *out, uint32_t count)
{
    struct ingest_reader_options options = {.types = &types, .columns = columns};
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    assert_int_equal(ingest_reader_open_memory(fr_slice_str(text), &options, NULL, &reader), FR_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(ingest_reader_next(reader, &record, NULL), FR_OK);
        assert_non_null(record.event);
        out[i] = record.event->key;
    }
    ingest_reader_close(reader);
}

static void test_dedupe_keys(void **state)
{
    (void)state;
    const char *text = "u,a,1700000005\nu,a,1700000005\n";
    struct base_hash128 one[2], again[2], other[2], id[2];
    keys_of(text, "user=1,item=2,time=3", one, 2);
    keys_of(text, "user=1,item=2,time=3", again, 2);
    keys_of("u,a,1700000005\nu,a,1700000005\nv,b,1700000005\n", "user=1,item=2,time=3", other, 2);
    keys_of(text, "user=1,item=2,id=3", id, 2);
    assert_true(one[0].lo != one[1].lo); /* equal rows of a file are two events */
    assert_true(one[0].lo == again[0].lo && one[1].hi == again[1].hi);
    assert_true(one[0].lo != other[0].lo);
    assert_true(id[0].lo == id[1].lo && id[0].hi == id[1].hi);
    struct base_hash128 expected = schema_dedupe_key(FR_SLICE("1700000005"), schema_default_key);
    assert_true(id[0].lo == expected.lo);
}

/* ---- compression, from files --------------------------------------------------------------- */

static char folder[] = "/tmp/test_ingest_reader.XXXXXX";

static void put_file(const char *name, const void *bytes, size_t count, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static size_t pack(const char *how, const char *text, size_t count, uint8_t *to, size_t max)
{
    if (strcmp(how, "xz") == 0) {
        size_t used = 0;
        assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, (const uint8_t *)text,
                                                 count, to, &used, max),
                         LZMA_OK);
        return used;
    }
    if (strcmp(how, "zstd") == 0)
        return ZSTD_compress(to, max, text, count, 3);
    if (strcmp(how, "gzip") == 0) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        union {
            const char *in;
            unsigned char *out;
        } view = {.in = text};
        z.next_in = view.out;
        z.avail_in = (uInt)count;
        z.next_out = to;
        z.avail_out = (uInt)max;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        deflateEnd(&z);
        return z.total_out;
    }
    memcpy(to, text, count);
    return count;
}

/* 60,000 rows: several windows long. */
static char *big_table(size_t *out_bytes)
{
    char *text = malloc(60000 * 40);
    size_t at = 0;
    assert_non_null(text);
    for (int i = 0; i < 60000; i++)
        at += (size_t)snprintf(text + at, 40, "user%d,\"item %d\",%d\n", i % 997, i % 5003,
                               1700000000 + i);
    *out_bytes = at;
    return text;
}

static uint64_t count_events(const char *path, enum fr_status *out_status)
{
    struct ingest_reader_options options = {.types = &types};
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    uint64_t events = 0, total = 0;
    *out_status = ingest_reader_open(path, &options, NULL, &reader);
    if (*out_status != FR_OK)
        return 0;
    while ((*out_status = ingest_reader_next(reader, &record, NULL)) == FR_OK)
        events += record.event != NULL;
    if (*out_status == FR_END)
        assert_true(ingest_reader_bytes(reader, &total) == total && total > 0);
    ingest_reader_close(reader);
    return events;
}

static void test_compression(void **state)
{
    (void)state;
    static const char *const ways[] = {"plain", "gzip", "xz", "zstd"};
    size_t bytes;
    char *text = big_table(&bytes), path[128];
    uint8_t *packed = malloc(2 * bytes + 65536);
    assert_non_null(packed);
    for (size_t i = 0; i < FR_COUNT_OF(ways); i++) {
        enum fr_status status;
        /* two members, one after the other, the second of the second half */
        size_t half = bytes / 2, one = pack(ways[i], text, half, packed, bytes + 32768);
        size_t two = pack(ways[i], text + half, bytes - half, packed + one, bytes + 32768);
        put_file(ways[i], packed, one + two, path);
        assert_int_equal(count_events(path, &status), 60000);
        assert_int_equal(status, FR_END);
        int64_t newest_us = 0;
        struct ingest_reader_options options = {.types = &types};
        assert_int_equal(ingest_newest(path, &options, NULL, &newest_us), FR_OK);
        assert_true(newest_us == (int64_t)1700059999 * 1000000);
        if (i == 0)
            continue;
        put_file("cut", packed, one + two / 2, path);
        assert_true(count_events(path, &status) < 60000);
        assert_int_equal(status, FR_CORRUPT);
        packed[one + two / 2] ^= 0x55;
        put_file("flipped", packed, one + two, path);
        uint64_t events = count_events(path, &status);
        assert_true(events < 60000 || status == FR_CORRUPT);
    }
    free(packed);
    free(text);
}

static void test_long_lines(void **state)
{
    (void)state;
    /* a line above the limit costs itself only */
    size_t bytes = 3 * INGEST_RECORD_BYTES_MAX, at;
    char *text = malloc(bytes + 200), path[128];
    assert_non_null(text);
    at = (size_t)snprintf(text, 64, "ann,x1,1700000000\nbob,");
    memset(text + at, 'x', bytes);
    at += bytes;
    at += (size_t)snprintf(text + at, 64, ",1700000001\ncid,x3,1700000002\n");
    put_file("long", text, at, path);
    struct ingest_reader_options options = {.types = &types,
                                            .columns = "user=1,item=2,time=3",
                                            .separator = ","};
    struct ingest_reader *reader = NULL;
    struct base_buf out;
    struct fr_error error = {0};
    base_buf_init(&out, 0);
    assert_int_equal(ingest_reader_open(path, &options, &error, &reader), FR_OK);
    assert_int_equal(read_all(reader, &out, &error), FR_END);
    base_buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.bytes,
                        "ann x1 click @1700000000\n!2 row: is longer than 1 MiB\n"
                        "cid x3 click @1700000002\n");
    ingest_reader_close(reader);
    base_buf_release(&out);
    free(text);
}

static void test_paths(void **state)
{
    (void)state;
    struct ingest_reader_options options = {.types = &types};
    struct ingest_reader *reader = NULL;
    struct fr_error error = {0};
    int64_t newest_us;
    assert_int_equal(ingest_reader_open("/nonexistent/x", &options, &error, &reader), FR_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nonexistent/x"));
    assert_int_equal(ingest_reader_open("/tmp", &options, &error, &reader), FR_INVALID);
    assert_int_equal(ingest_newest("-", &options, &error, &newest_us), FR_UNSUPPORTED);
}

static void test_stdin(void **state)
{
    (void)state;
    static const char text[] = "ann,x1,1700000000\nbob,x2,1700000001\n";
    struct base_hash128 keys[2] = {{0, 0}, {0, 0}};
    int old = dup(STDIN_FILENO);
    for (int i = 0; i < 2; i++) {
        struct ingest_reader_options options = {.types = &types, .columns = "user=1,item=2,time=3"};
        struct ingest_reader *reader = NULL;
        struct ingest_record record;
        uint64_t total = 1;
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], text, sizeof(text) - 1), sizeof(text) - 1);
        close(ends[1]);
        assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
        close(ends[0]);
        assert_int_equal(ingest_reader_open("-", &options, NULL, &reader), FR_OK);
        assert_int_equal(ingest_reader_next(reader, &record, NULL), FR_OK);
        keys[i] = record.event->key;
        assert_int_equal(ingest_reader_next(reader, &record, NULL), FR_OK);
        assert_int_equal(ingest_reader_next(reader, &record, NULL), FR_END);
        assert_int_equal(ingest_reader_bytes(reader, &total), sizeof(text) - 1);
        assert_int_equal(total, 0);
        ingest_reader_close(reader);
    }
    assert_true(dup2(old, STDIN_FILENO) >= 0);
    close(old);
    assert_true(keys[0].lo == keys[1].lo && keys[0].hi == keys[1].hi);
}

static void test_preview(void **state)
{
    (void)state;
    char path[128];
    const char text[] = "user,item,rating\nu1,i1,5\nu2,i2,nine\nu3,i3,3\n";
    put_file("preview", text, sizeof(text) - 1, path);
    struct ingest_reader_options options = {.types = &types,
                                            .columns = "user=1,item=2,value=3",
                                            .header = "yes"};
    struct base_buf out;
    uint32_t understood = 0;
    base_buf_init(&out, 0);
    assert_int_equal(ingest_preview(path, &options, 10, &out, &understood, NULL), FR_OK);
    base_buf_put_u8(&out, 0);
    assert_int_equal(understood, 2);
    assert_non_null(strstr((const char *)out.bytes, "refused: row 3: column 3 (value) must be a "
                                                    "number; seen \"nine\""));
    assert_non_null(strstr((const char *)out.bytes, "user u1  rating 5  item i1"));
    base_buf_release(&out);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "gzip",    "xz",   "zstd",
                                        "cut",   "flipped", "long", "preview"};
    char path[128];
    for (size_t i = 0; i < FR_COUNT_OF(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static int start(void **state)
{
    return setup(state) == 0 ? make_folder(state) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_formats), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_columns_given), cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_json),          cmocka_unit_test(test_json_array_breaks_off),
        cmocka_unit_test(test_bad_rows),      cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_shift),         cmocka_unit_test(test_dedupe_keys),
        cmocka_unit_test(test_compression),   cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_stdin),         cmocka_unit_test(test_paths),
        cmocka_unit_test(test_preview),
    };
    return cmocka_run_group_tests(tests, start, drop_folder);
}
