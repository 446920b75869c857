/* SPDX-License-Identifier: Apache-2.0
 *
 * The text heap: ids and documents in 16-byte units of one row table. A short text is one run. A document
 * is a chain of chunks, each in one run of a power of two of units:
 *     u32 next chunk, u16 class (log2 of units), u16 bytes here, then the bytes
 * Runs have 1 .. 16, 32, 64, .. 1024 units; each size has a list of free ones, used again, newest first.
 * Heads of the lists are u32, two in a meta word. A free run begins with the next one of its list. Only
 * when the heap is at its end is a longer run cut.
 * Thread: the writer; copying and comparing from any.
 */
#include <string.h>

#include "state/state_priv.h"

struct chunk_head {
    uint32_t next;
    uint16_t class;
    uint16_t bytes;
};

/* ---- runs ----------------------------------------------------------------------------------- */

enum { EVERY_SIZE = 16, LISTS = EVERY_SIZE + 6 };

static uint32_t list_of(uint32_t units)
{
    if (units <= EVERY_SIZE)
        return units - 1;
    return EVERY_SIZE + 31u - (uint32_t)__builtin_clz(units - 1) - 4;
}

static uint32_t units_of_list(uint32_t list)
{
    return list < EVERY_SIZE ? list + 1 : 32u << (list - EVERY_SIZE);
}

static uint32_t head_get(struct base_rows *text, uint32_t list)
{
    return (uint32_t)(base_rows_meta(text)[list / 2] >> (list % 2 * 32));
}

static void head_set(struct base_rows *text, uint32_t list, uint32_t ref)
{
    uint64_t *word = &base_rows_meta(text)[list / 2];
    uint32_t shift = list % 2 * 32;
    *word = (*word & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)ref << shift;
}

static uint32_t list_take(struct base_rows *text, uint32_t list)
{
    uint32_t ref = head_get(text, list);
    if (ref)
        head_set(text, list, ((const struct chunk_head *)base_rows_at(text, ref))->next);
    return ref;
}

/* A run of any length, as runs that have lists. */
static void run_free(struct base_rows *text, uint32_t ref, uint32_t units)
{
    while (units > 0) {
        uint32_t list = list_of(FR_MIN(units, (uint32_t)TEXT_CHUNK_UNITS_MAX));
        list -= units_of_list(list) > units;
        struct chunk_head *head = base_rows_write(text, ref);
        FR_STORE(head->next, head_get(text, list));
        head_set(text, list, ref);
        ref += units_of_list(list);
        units -= units_of_list(list);
    }
}

static uint32_t run_take(struct base_rows *text, uint32_t units)
{
    uint32_t list = list_of(units), whole = units_of_list(list);
    uint32_t ref = list_take(text, list);
    if (!ref)
        ref = base_rows_add_run(text, whole);
    while (!ref && ++list < LISTS) {
        ref = list_take(text, list);
        if (ref)
            run_free(text, ref + whole, units_of_list(list) - whole);
    }
    return ref;
}

/* ---- short texts ---------------------------------------------------------------------------- */

static uint32_t units_of(size_t bytes)
{
    return FR_MAX((uint32_t)((bytes + TEXT_UNIT - 1) / TEXT_UNIT), 1u);
}

uint32_t state__text_add(struct base_rows *text, struct fr_slice bytes)
{
    FR_ASSERT(bytes.bytes <= (size_t)TEXT_UNIT * TEXT_CHUNK_UNITS_MAX);
    uint32_t ref = run_take(text, units_of(bytes.bytes));
    if (!ref)
        return 0;
    uint32_t *to = base_rows_write_run(text, ref, units_of(bytes.bytes));
    for (size_t at = 0; at < bytes.bytes; at += sizeof(*to), to++) {
        uint32_t word = 0;
        memcpy(&word, bytes.ptr + at, FR_MIN(bytes.bytes - at, sizeof(word)));
        FR_STORE(*to, word);
    }
    return ref;
}

void state__text_free(struct base_rows *text, uint32_t ref, size_t bytes)
{
    if (ref)
        run_free(text, ref, units_of_list(list_of(units_of(bytes))));
}

bool state__text_is(const struct base_rows *text, uint32_t ref, struct fr_slice bytes)
{
    if (!ref || ref + units_of(bytes.bytes) > base_rows_count(text))
        return false;
    const uint32_t *from = base_rows_at(text, ref);
    size_t at = 0;
    for (; at + sizeof(*from) <= bytes.bytes; at += sizeof(*from), from++) {
        uint32_t wanted;
        memcpy(&wanted, bytes.ptr + at, sizeof(wanted));
        if (FR_LOAD(*from) != wanted)
            return false;
    }
    uint32_t last = at < bytes.bytes ? FR_LOAD(*from) : 0;
    const char *rest = (const char *)&last;
    for (size_t i = 0; at + i < bytes.bytes; i++)
        if (rest[i] != bytes.ptr[at + i])
            return false;
    return true;
}

/* ---- documents ------------------------------------------------------------------------------ */

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
        uint32_t ref = run_take(text, 1u << class);
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
    while (ref) {
        const struct chunk_head *head = base_rows_at(text, ref);
        uint32_t next = head->next;
        run_free(text, ref, 1u << head->class);
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
