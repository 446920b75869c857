/* SPDX-License-Identifier: Apache-2.0
 *
 * base_buf, base_reader, base_arena: what is written reads back; maxima are sticky; short and
 * hostile input never reads past its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"

static const char *text_of(struct base_buf *buf)
{
    assert_non_null(base_buf_reserve(buf, 1));
    buf->bytes[buf->count] = '\0';
    return (const char *)buf->bytes;
}

static void test_binary_reads_back(void **state)
{
    (void)state;
    static const uint64_t words[] = {0,          1,          127,
                                     128,        16383,      16384,
                                     UINT32_MAX, UINT64_MAX, 0x8000000000000000u};
    struct base_buf buf;
    base_buf_init(&buf, 0);
    for (size_t i = 0; i < FR_COUNT_OF(words); i++) {
        base_buf_put_u8(&buf, (uint8_t)words[i]);
        base_buf_put_u32(&buf, (uint32_t)words[i]);
        base_buf_put_u64(&buf, words[i]);
        base_buf_put_varint(&buf, words[i]);
        base_buf_put_f64(&buf, -(double)words[i] / 3);
        base_buf_put_string(&buf, FR_SLICE("h\0llo"));
        base_buf_put_string(&buf, (struct fr_slice){0});
    }
    struct base_reader reader = base_reader_of(buf.bytes, buf.count);
    for (size_t i = 0; i < FR_COUNT_OF(words); i++) {
        assert_int_equal(base_reader_u8(&reader), (uint8_t)words[i]);
        assert_int_equal(base_reader_u32(&reader), (uint32_t)words[i]);
        assert_int_equal(base_reader_u64(&reader), words[i]);
        assert_int_equal(base_reader_varint(&reader), words[i]);
        double number = base_reader_f64(&reader), expected = -(double)words[i] / 3;
        assert_memory_equal(&number, &expected, sizeof(number));
        assert_true(fr_slice_equal(base_reader_string(&reader), FR_SLICE("h\0llo")));
        assert_int_equal(base_reader_string(&reader).bytes, 0);
    }
    assert_false(reader.failed);
    assert_int_equal(base_reader_left(&reader), 0);
    base_buf_release(&buf);
}

static void test_little_endian_on_every_machine(void **state)
{
    (void)state;
    struct base_buf buf;
    base_buf_init(&buf, 0);
    base_buf_put_u32(&buf, 0x04030201);
    base_buf_put_varint(&buf, 300);
    static const uint8_t expected[] = {1, 2, 3, 4, 0xac, 0x02};
    assert_int_equal(buf.count, sizeof(expected));
    assert_memory_equal(buf.bytes, expected, sizeof(expected));
    base_buf_release(&buf);
}

static void test_a_short_read_is_sticky(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3};
    struct base_reader reader = base_reader_of(bytes, sizeof(bytes));
    assert_int_equal(base_reader_u32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(base_reader_u8(&reader), 0); /* though a byte would be there */
    assert_int_equal(base_reader_left(&reader), 0);
    assert_int_equal(base_reader_take(&reader, 1).bytes, 0);
    reader = base_reader_of(NULL, 0);
    assert_int_equal(base_reader_varint(&reader), 0);
    assert_true(reader.failed);
}

static void test_hostile_varints_and_lengths(void **state)
{
    (void)state;
    static const uint8_t endless[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    static const uint8_t beyond[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    static const uint8_t largest[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    static const uint8_t long_string[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 'a'};
    struct base_reader reader = base_reader_of(endless, sizeof(endless));
    assert_int_equal(base_reader_varint(&reader), 0);
    assert_true(reader.failed);
    reader = base_reader_of(beyond, sizeof(beyond));
    assert_int_equal(base_reader_varint(&reader), 0);
    assert_true(reader.failed);
    reader = base_reader_of(largest, sizeof(largest));
    assert_int_equal(base_reader_varint(&reader), UINT64_MAX);
    assert_false(reader.failed);
    reader = base_reader_of(long_string, sizeof(long_string));
    assert_int_equal(base_reader_string(&reader).bytes, 0);
    assert_true(reader.failed);
}

static void test_a_buffer_has_a_maximum(void **state)
{
    (void)state;
    struct base_buf buf;
    base_buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++)
        base_buf_put_str(&buf, "0123456789");
    assert_false(buf.overflowed);
    base_buf_put_u8(&buf, 1);
    assert_true(buf.overflowed);
    assert_null(base_buf_reserve(&buf, 0));
    assert_int_equal(buf.count, 1000);
    base_buf_clear(&buf);
    const uint8_t *warm = buf.bytes;
    base_buf_put_str(&buf, "again");
    assert_ptr_equal(buf.bytes, warm);
    assert_false(buf.overflowed);
    base_buf_printf(&buf, "%d", 12345);
    assert_string_equal(text_of(&buf), "again12345");
    base_buf_printf(&buf, "%2000d", 1);
    assert_true(buf.overflowed);
    base_buf_clear(&buf);
    volatile size_t too_long = SIZE_MAX; /* the compiler would refuse it */
    base_buf_put(&buf, "", too_long);
    assert_true(buf.overflowed);
    base_buf_release(&buf);
    base_buf_release(&buf);
}

static void test_json_strings_are_escaped(void **state)
{
    (void)state;
    struct base_buf buf;
    base_buf_init(&buf, 0);
    base_buf_json_string(&buf, FR_SLICE("a\"b\\c\n\r\t\b\f\x01\x1f/é\x7f"));
    assert_string_equal(text_of(&buf), "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u001f/é\x7f\"");
    base_buf_clear(&buf);
    base_buf_json_string(&buf, (struct fr_slice){0});
    base_buf_json_string(&buf, FR_SLICE("\0"));
    assert_string_equal(text_of(&buf), "\"\"\"\\u0000\"");
    base_buf_release(&buf);
}

static void test_json_numbers_read_back_equal(void **state)
{
    (void)state;
    struct base_buf buf;
    base_buf_init(&buf, 0);
    static const double corners[] = {0,
                                     -0.0,
                                     1,
                                     -1,
                                     0.1,
                                     1e21,
                                     -1e-7,
                                     DBL_MAX,
                                     DBL_MIN,
                                     5e-324,
                                     9007199254740991.0,
                                     9007199254740993.0,
                                     1.0 / 3,
                                     123456.7};
    for (uint32_t i = 0; i < 20000 + FR_COUNT_OF(corners); i++) {
        double value;
        uint64_t bits = base_random_u64(5, i, 0);
        memcpy(&value, &bits, sizeof(value));
        if (i < FR_COUNT_OF(corners))
            value = corners[i];
        else if (i % 2)
            value = (double)(int64_t)bits / 1000;
        base_buf_clear(&buf);
        base_buf_json_number(&buf, value);
        if (isfinite(value))
            assert_true(strtod(text_of(&buf), NULL) == value);
        else
            assert_string_equal(text_of(&buf), "null");
    }
    base_buf_clear(&buf);
    base_buf_json_number(&buf, 0.1);
    assert_string_equal(text_of(&buf), "0.1");
    base_buf_release(&buf);
}

static void expect_fixed(double value, int decimals, const char *expected)
{
    struct base_buf buf;
    base_buf_init(&buf, 0);
    base_buf_json_fixed(&buf, value, decimals);
    assert_string_equal(text_of(&buf), expected);
    base_buf_release(&buf);
}

/* Words of eight are looked at together: a special byte at every place of every length is still seen. */
static void test_json_strings_at_every_place(void **state)
{
    static const unsigned char bytes[] = {0,    0x1f, 0x20, '"',  '!',  '#',
                                          '\\', '[',  ']',  0x7f, 0x80, 0xff};
    struct base_buf buf;
    (void)state;
    base_buf_init(&buf, 0);
    for (size_t count = 1; count <= 20; count++) {
        for (size_t at = 0; at < count * FR_COUNT_OF(bytes); at++) {
            char text[20];
            unsigned char c = bytes[at % FR_COUNT_OF(bytes)];
            memset(text, 'x', sizeof(text));
            text[at / FR_COUNT_OF(bytes)] = (char)c;
            size_t wanted = count + 2 + (c < 0x20 ? 5 : c == '"' || c == '\\' ? 1 : 0);
            base_buf_clear(&buf);
            base_buf_json_string(&buf, fr_slice_of(text, count));
            assert_int_equal(buf.count, wanted);
            assert_int_equal(buf.bytes[0], '"');
            assert_int_equal(buf.bytes[buf.count - 1], '"');
        }
    }
    base_buf_release(&buf);
}

static void test_json_fixed_rounds(void **state)
{
    (void)state;
    expect_fixed(1.25, 1, "1.3");
    expect_fixed(-1.25, 1, "-1.3");
    expect_fixed(-0.0001, 2, "0.00");
    expect_fixed(0.999, 2, "1.00");
    expect_fixed(3, 0, "3");
    expect_fixed(0.000000001, 9, "0.000000001");
    expect_fixed(1e300, 3, "1e+300");
    expect_fixed(NAN, 3, "null");
    expect_fixed(-INFINITY, 3, "null");
}

static void test_arena_aligns_overflows_and_rewinds(void **state)
{
    (void)state;
    struct base_arena arena;
    assert_int_equal(base_arena_init(&arena, 8192), FR_OK);
    base_arena_alloc(&arena, 1);
    uint8_t *small = base_arena_alloc(&arena, 24);
    size_t mark = base_arena_mark(&arena);
    uint8_t *large = base_arena_zalloc(&arena, 1024);
    assert_int_equal((uintptr_t)small % 16, 0);
    assert_int_equal((uintptr_t)large % 64, 0);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(large[i], 0);
    base_arena_rewind(&arena, mark);
    assert_ptr_equal(base_arena_alloc(&arena, 1024), large);
    struct fr_slice copy = base_arena_dup(&arena, FR_SLICE("text"));
    assert_string_equal(copy.ptr, "text");
    assert_null(base_arena_alloc(&arena, 8000));
    assert_null(base_arena_alloc(&arena, 1)); /* sticky */
    assert_null(base_arena_zalloc(&arena, 1));
    assert_null(base_arena_dup(&arena, FR_SLICE("x")).ptr);
    assert_true(base_arena_overflowed(&arena));
    assert_true(arena.wanted_max > 8192);
    base_arena_clear(&arena);
    assert_false(base_arena_overflowed(&arena));
    assert_non_null(base_arena_alloc(&arena, 8192));
    assert_null(base_arena_alloc(&arena, SIZE_MAX));
    assert_int_equal(arena.wanted_max, SIZE_MAX);
    base_arena_release(&arena);
    base_arena_release(&arena);
}

static void test_arena_in_a_borrowed_block(void **state)
{
    (void)state;
    uint8_t block[100];
    struct base_arena arena;
    base_arena_init_with(&arena, block, sizeof(block));
    uint8_t *got = base_arena_alloc(&arena, 40);
    assert_true(got >= block && got + 40 <= block + sizeof(block));
    assert_int_equal((uintptr_t)got % 16, 0);
    base_arena_release(&arena);
}

static void test_errors_carry_room_message_and_hint(void **state)
{
    (void)state;
    struct fr_error error;
    assert_int_equal(base_fail(&error, FR_IO, "os", "cannot open %s", "x"), FR_IO);
    base_hint(&error, "try %d", 2);
    assert_string_equal(error.message, "cannot open x");
    assert_string_equal(error.hint, "try 2");
    assert_string_equal(error.room, "os");
    assert_int_equal(base_fail(NULL, FR_FULL, "os", "nobody hears"), FR_FULL);
    base_hint(NULL, "nor this");
    for (int status = 0; status < FR_STATUS_COUNT; status++)
        assert_non_null(base_status_name((enum fr_status)status));
    assert_string_equal(base_status_name(FR_STATUS_COUNT), "unknown");
    assert_int_equal(fr_slice_str(NULL).bytes, 0);
    assert_true(fr_slice_equal((struct fr_slice){0}, FR_SLICE("")));
    assert_false(fr_slice_equal(FR_SLICE("a"), FR_SLICE("b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_reads_back),
        cmocka_unit_test(test_little_endian_on_every_machine),
        cmocka_unit_test(test_a_short_read_is_sticky),
        cmocka_unit_test(test_hostile_varints_and_lengths),
        cmocka_unit_test(test_a_buffer_has_a_maximum),
        cmocka_unit_test(test_json_strings_are_escaped),
        cmocka_unit_test(test_json_numbers_read_back_equal),
        cmocka_unit_test(test_json_strings_at_every_place),
        cmocka_unit_test(test_json_fixed_rounds),
        cmocka_unit_test(test_arena_aligns_overflows_and_rewinds),
        cmocka_unit_test(test_arena_in_a_borrowed_block),
        cmocka_unit_test(test_errors_carry_room_message_and_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
