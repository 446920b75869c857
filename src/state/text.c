/* SPDX-License-Identifier: Apache-2.0
 *
 * The text heap: ids and documents in 16-byte units of one row table. An id is one run that never
 * moves. A document is a chain of chunks, each in one run of a power of two of units:
 *     u32 next chunk, u16 class (log2 of units), u16 bytes here, then the bytes
 * Freed chunks are kept in lists by class (meta words 1 + class) and used again, newest first.
 * Thread: the writer; copying from any.
 */
#include <string.h>

#include "state/state_priv.h"

struct chunk_head {
    uint32_t next;
    uint16_t class;
    uint16_t bytes;
};

uint32_t state__text_add(struct base_rows *text, struct fr_slice bytes)
{
    FR_ASSERT(bytes.bytes <= (size_t)TEXT_UNIT * TEXT_CHUNK_UNITS_MAX);
    uint32_t units = FR_MAX((uint32_t)((bytes.bytes + TEXT_UNIT - 1) / TEXT_UNIT), 1u);
    uint32_t ref = base_rows_add_run(text, units);
    if (ref && bytes.bytes)
        memcpy(base_rows_write_run(text, ref, units), bytes.ptr, bytes.bytes);
    return ref;
}

static uint32_t chunk_take(struct base_rows *text, uint32_t class)
{
    uint64_t *meta = base_rows_meta(text);
    uint32_t ref = (uint32_t)meta[1 + class];
    if (!ref)
        return base_rows_add_run(text, 1u << class);
    meta[1 + class] = ((const struct chunk_head *)base_rows_at(text, ref))->next;
    return ref;
}

static uint32_t class_of(size_t bytes)
{
    uint32_t class = 1;
    while (class < 10 && ((size_t)TEXT_UNIT << class) < bytes + sizeof(struct chunk_head))
        class ++;
    return class;
}

/* Last chunk first, so that each knows its next. */
uint32_t state__document_add(struct base_rows *text, struct fr_slice bytes)
{
    const size_t most = ((size_t)TEXT_UNIT << 10) - sizeof(struct chunk_head);
    size_t left = bytes.bytes;
    uint32_t next = 0;
    do {
        size_t here = left % most == 0 && left > 0 ? most : left % most;
        uint32_t class = class_of(here);
        uint32_t ref = chunk_take(text, class);
        if (!ref) {
            state__document_free(text, next);
            return 0;
        }
        uint8_t whole[(size_t)TEXT_UNIT << 10];
        struct chunk_head head = {next, (uint16_t) class, (uint16_t)here};
        size_t unit_bytes = (size_t)TEXT_UNIT << class;
        memset(whole, 0, unit_bytes);
        memcpy(whole, &head, sizeof(head));
        memcpy(whole + sizeof(head), bytes.ptr + (left - here), here);
        base_rows_put(base_rows_write_run(text, ref, 1u << class), whole, unit_bytes);
        next = ref;
        left -= here;
    } while (left > 0);
    return next;
}

void state__document_free(struct base_rows *text, uint32_t ref)
{
    uint64_t *meta = base_rows_meta(text);
    while (ref) {
        struct chunk_head *head = base_rows_write(text, ref);
        uint32_t next = head->next, class = head->class;
        FR_STORE(head->next, (uint32_t)meta[1 + class]);
        meta[1 + class] = ref;
        ref = next;
    }
}

bool state__document_copy(const struct base_rows *text, uint32_t ref, void *to, size_t bytes)
{
    uint8_t *at = to;
    while (bytes > 0) {
        if (ref == 0 || ref >= base_rows_count(text))
            return false;
        const uint8_t *from = base_rows_at(text, ref);
        uint32_t words[2];
        base_rows_copy(words, from, sizeof(words));
        struct chunk_head head;
        memcpy(&head, words, sizeof(head));
        if (head.class > 10 || head.bytes == 0 || head.bytes > bytes ||
            head.bytes > ((size_t)TEXT_UNIT << head.class) - sizeof(head))
            return false;
        size_t whole = head.bytes & ~(size_t)3;
        base_rows_copy(at, from + sizeof(head), whole);
        if (whole < head.bytes) {
            uint32_t last;
            base_rows_copy(&last, from + sizeof(head) + whole, sizeof(last));
            memcpy(at + whole, &last, head.bytes - whole);
        }
        at += head.bytes;
        bytes -= head.bytes;
        ref = head.next;
    }
    return true;
}
