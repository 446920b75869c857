/* SPDX-License-Identifier: Apache-2.0
 *
 * base_buf and base_reader: see the door. Thread: one at a time. Owner: the buffer's bytes.
 */
#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void base_buf_init(struct base_buf *buf, size_t count_max)
{
    *buf = (struct base_buf){.count_max = count_max ? count_max : BASE_BUF_COUNT_MAX};
}

void base_buf_release(struct base_buf *buf)
{
    free(buf->bytes);
    *buf = (struct base_buf){0};
}

void base_buf_clear(struct base_buf *buf)
{
    buf->count = 0;
    buf->overflowed = false;
}

/* There is room for so many below `max`. */
static bool grow(struct base_buf *buf, size_t bytes, size_t max)
{
    size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
    while (capacity < buf->count + bytes)
        capacity *= 2;
    capacity = FR_MIN(capacity, max);
    uint8_t *moved = realloc(buf->bytes, capacity);
    if (!moved)
        return false;
    buf->bytes = moved;
    buf->capacity = capacity;
    return true;
}

uint8_t *base_buf_reserve(struct base_buf *buf, size_t bytes)
{
    size_t max = buf->count_max ? buf->count_max : BASE_BUF_COUNT_MAX;
    if (buf->overflowed)
        return NULL;
    bool fits = bytes <= max && buf->count <= max - bytes;
    bool is_there = buf->bytes && bytes <= buf->capacity - buf->count;
    if (!fits || (!is_there && !grow(buf, bytes, max))) {
        buf->overflowed = true;
        return NULL;
    }
    return buf->bytes + buf->count;
}

void base_buf_commit(struct base_buf *buf, size_t bytes)
{
    FR_ASSERT(bytes <= buf->capacity - buf->count);
    buf->count += bytes;
}

void base_buf_printf(struct base_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t left = buf->bytes ? buf->capacity - buf->count : 0;
    int count = vsnprintf(left ? (char *)buf->bytes + buf->count : NULL, left, format, args);
    va_end(args);
    uint8_t *room = count < 0 ? NULL : base_buf_reserve(buf, (size_t)count + 1);
    if (room) {
        if ((size_t)count >= left)
            vsnprintf((char *)room, (size_t)count + 1, format, again);
        buf->count += (size_t)count;
    }
    va_end(again);
}

struct fr_slice base_buf_slice(const struct base_buf *buf)
{
    return fr_slice_of((const char *)buf->bytes, buf->count);
}

static void put_little_endian(struct base_buf *buf, uint64_t value, size_t count)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    base_buf_put(buf, bytes, count);
}

void base_buf_put_u8(struct base_buf *buf, uint8_t value)
{
    base_buf_put(buf, &value, 1);
}

void base_buf_put_u32(struct base_buf *buf, uint32_t value)
{
    put_little_endian(buf, value, 4);
}

void base_buf_put_u64(struct base_buf *buf, uint64_t value)
{
    put_little_endian(buf, value, 8);
}

void base_buf_put_f64(struct base_buf *buf, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    base_buf_put_u64(buf, bits);
}

void base_buf_put_varint(struct base_buf *buf, uint64_t value)
{
    uint8_t bytes[10];
    size_t count = 0;
    do {
        uint8_t low = value & 0x7f;
        value >>= 7;
        bytes[count++] = (uint8_t)(low | (value ? 0x80 : 0));
    } while (value);
    base_buf_put(buf, bytes, count);
}

void base_buf_put_string(struct base_buf *buf, struct fr_slice text)
{
    base_buf_put_varint(buf, text.bytes);
    base_buf_put_slice(buf, text);
}

static void json_escape(struct base_buf *buf, unsigned char c)
{
    static const char short_escapes[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    if (c == '"' || c == '\\') {
        char text[2] = {'\\', (char)c};
        base_buf_put(buf, text, 2);
    } else if (short_escapes[c & 31]) {
        char text[2] = {'\\', short_escapes[c]};
        base_buf_put(buf, text, 2);
    } else {
        base_buf_printf(buf, "\\u%04x", c);
    }
}

/* Is there a byte below 0x20, a quote or a backslash among these eight? (Mycroft's test: exact for "any".) */
static inline bool needs_escape(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t low = (word - ones * 0x20) & ~word;
    return ((low | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high) != 0;
}

static bool is_plain(struct fr_slice text)
{
    uint64_t word;
    size_t i = 0;
    for (; i + 8 <= text.bytes; i += 8) {
        memcpy(&word, text.ptr + i, 8);
        if (needs_escape(word))
            return false;
    }
    memset(&word, ' ', sizeof(word));
    if (i < text.bytes)
        memcpy(&word, text.ptr + i, text.bytes - i);
    return !needs_escape(word);
}

void base_buf_json_string(struct base_buf *buf, struct fr_slice text)
{
    if (is_plain(text)) { /* nearly all are */
        uint8_t *room = base_buf_reserve(buf, text.bytes + 2);
        if (!room)
            return;
        room[0] = '"';
        if (text.bytes)
            memcpy(room + 1, text.ptr, text.bytes);
        room[text.bytes + 1] = '"';
        buf->count += text.bytes + 2;
        return;
    }
    base_buf_put_u8(buf, '"');
    size_t plain = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        base_buf_put(buf, text.ptr + plain, i - plain);
        json_escape(buf, c);
        plain = i + 1;
    }
    base_buf_put(buf, text.ptr ? text.ptr + plain : NULL, text.bytes - plain);
    base_buf_put_u8(buf, '"');
}

/* Two digits at `to`. */
static void two_digits(char *to, uint64_t below_100)
{
    static const char digits[] = "00010203040506070809101112131415161718192021222324252627282930313"
                                 "233343536373839404142434445"
                                 "46474849505152535455565758596061626364656667686970717273747576777"
                                 "879808182838485868788899091"
                                 "9293949596979899";
    memcpy(to, digits + 2 * below_100, 2);
}

/* Writes the digits so that they end before `end`; gives where they begin. */
static char *digits_before(char *end, uint64_t value)
{
    for (; value >= 100; value /= 100) {
        end -= 2;
        two_digits(end, value % 100);
    }
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return end;
}

void base_buf_json_u64(struct base_buf *buf, uint64_t value)
{
    char digits[20], *end = digits + sizeof(digits), *first = digits_before(end, value);
    base_buf_put(buf, first, (size_t)(end - first));
}

void base_buf_json_fixed(struct base_buf *buf, double value, int decimals)
{
    static const double scales[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    FR_ASSERT(decimals >= 0 && decimals < (int)FR_COUNT_OF(scales));
    double scaled = fabs(value) * scales[decimals] + 0.5;
    if (!isfinite(value)) {
        base_buf_put_str(buf, "null");
        return;
    }
    if (scaled >= 1e18) {
        base_buf_json_number(buf, value);
        return;
    }
    uint64_t whole = (uint64_t)scaled;
    char text[32], *end = text + sizeof(text), *at = end;
    bool negative = value < 0 && whole > 0;
    for (; at > end - (decimals & ~1); whole /= 100) { /* constants: no slow division */
        at -= 2;
        two_digits(at, whole % 100);
    }
    for (; at > end - decimals; whole /= 10)
        *--at = (char)('0' + whole % 10);
    if (decimals)
        *--at = '.';
    at = digits_before(at, whole);
    if (negative)
        *--at = '-';
    base_buf_put(buf, at, (size_t)(end - at));
}

void base_buf_json_number(struct base_buf *buf, double value)
{
    if (!isfinite(value)) {
        base_buf_put_str(buf, "null");
        return;
    }
    if (value == floor(value) && fabs(value) < 9007199254740992.0) {
        if (value < 0)
            base_buf_put_u8(buf, '-');
        base_buf_json_u64(buf, (uint64_t)fabs(value));
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    base_buf_put_str(buf, text);
}

struct base_reader base_reader_of(const void *bytes, size_t count)
{
    static const uint8_t nothing[1];
    const uint8_t *at = bytes ? bytes : nothing; /* NULL + 0 is not defined in C */
    FR_ASSERT(bytes || count == 0);
    return (struct base_reader){.at = at, .end = at + count};
}

size_t base_reader_left(const struct base_reader *reader)
{
    return reader->failed ? 0 : (size_t)(reader->end - reader->at);
}

static uint64_t get_little_endian(struct base_reader *reader, size_t count)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < count) {
        reader->failed = true;
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += count;
    return value;
}

uint8_t base_reader_u8(struct base_reader *reader)
{
    return (uint8_t)get_little_endian(reader, 1);
}

uint32_t base_reader_u32(struct base_reader *reader)
{
    return (uint32_t)get_little_endian(reader, 4);
}

uint64_t base_reader_u64(struct base_reader *reader)
{
    return get_little_endian(reader, 8);
}

double base_reader_f64(struct base_reader *reader)
{
    uint64_t bits = base_reader_u64(reader);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

uint64_t base_reader_varint(struct base_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = base_reader_u8(reader);
        if (shift == 63 && byte > 1)
            reader->failed = true; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80) || reader->failed)
            return reader->failed ? 0 : value;
    }
    reader->failed = true;
    return 0;
}

struct fr_slice base_reader_take(struct base_reader *reader, size_t count)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < count) {
        reader->failed = true;
        return (struct fr_slice){0};
    }
    struct fr_slice taken = fr_slice_of((const char *)reader->at, count);
    reader->at += count;
    return taken;
}

struct fr_slice base_reader_string(struct base_reader *reader)
{
    return base_reader_take(reader, base_reader_varint(reader));
}
