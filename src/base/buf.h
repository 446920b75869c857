/* SPDX-License-Identifier: Apache-2.0
 *
 * base_buf: a growing byte buffer for what is written piece by piece (JSON answers, records), with
 * a maximum and the same sticky overflow mark as the arena; and the little-endian primitives of all
 * binary formats. Thread: one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <string.h>

#include "base/base.h"

struct base_buf {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
    size_t count_max; /* 0 = BASE_BUF_COUNT_MAX; the capacity is never larger */
    bool overflowed;  /* too long or out of memory: what is in it is not whole */
};

#define BASE_BUF_COUNT_MAX ((size_t)1 << 31)

void base_buf_init(struct base_buf *buf, size_t count_max);
void base_buf_release(struct base_buf *buf);
void base_buf_clear(struct base_buf *buf); /* keeps the memory */
/* Room for `bytes` more, not yet counted; NULL on overflow. Call base_buf_commit() with what was
 * used. A warm buffer (large enough from earlier use) never allocates. */
uint8_t *base_buf_reserve(struct base_buf *buf, size_t bytes);
void base_buf_commit(struct base_buf *buf, size_t bytes);

/* Appending: all or nothing, and nothing after an overflow. */
static inline void base_buf_put(struct base_buf *buf, const void *bytes, size_t count)
{
    bool is_there = !buf->overflowed && count <= buf->capacity - buf->count;
    uint8_t *room = is_there && count ? buf->bytes + buf->count : NULL;
    if (!is_there && count)
        room = base_buf_reserve(buf, count);
    if (!room)
        return;
    memcpy(room, bytes, count);
    buf->count += count;
}
static inline void base_buf_put_slice(struct base_buf *buf, struct fr_slice text) /* no length */
{
    base_buf_put(buf, text.ptr, text.bytes);
}
/* In the caller, so that the length of a literal is known there and its bytes are moved as words. */
static inline void base_buf_put_str(struct base_buf *buf, const char *text)
{
    base_buf_put(buf, text, strlen(text));
}
void base_buf_printf(struct base_buf *buf, const char *format, ...) FR_PRINTF(2, 3);
struct fr_slice base_buf_slice(const struct base_buf *buf);

/* Binary: little-endian fixed words, LEB128 varints, varint-prefixed strings. */
void base_buf_put_u8(struct base_buf *buf, uint8_t value);
void base_buf_put_u32(struct base_buf *buf, uint32_t value);
void base_buf_put_u64(struct base_buf *buf, uint64_t value);
void base_buf_put_f64(struct base_buf *buf, double value);
void base_buf_put_varint(struct base_buf *buf, uint64_t value);
void base_buf_put_string(struct base_buf *buf, struct fr_slice text);

/* JSON: a quoted and escaped string; the shortest decimal that reads back equal (no NaN: null). */
void base_buf_json_string(struct base_buf *buf, struct fr_slice text);
void base_buf_json_number(struct base_buf *buf, double value);
void base_buf_json_fixed(struct base_buf *buf, double value, int decimals);
void base_buf_json_u64(struct base_buf *buf, uint64_t value);

/* Reading binary: a cursor with a sticky failure; after the first short read every get gives 0 or
 * an empty slice and `failed` stays set. Slices borrow from the input. */
struct base_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

/* Over borrowed bytes; the counterparts of base_buf_put_*. take() hands out raw bytes, left() says
 * how many there are (0 once failed). */
struct base_reader base_reader_of(const void *bytes, size_t count);
uint8_t base_reader_u8(struct base_reader *reader);
uint32_t base_reader_u32(struct base_reader *reader);
uint64_t base_reader_u64(struct base_reader *reader);
double base_reader_f64(struct base_reader *reader);
uint64_t base_reader_varint(struct base_reader *reader);
struct fr_slice base_reader_string(struct base_reader *reader);
struct fr_slice base_reader_take(struct base_reader *reader, size_t count);
size_t base_reader_left(const struct base_reader *reader);

#endif
