/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, recovery of the newest segment: where the whole groups end, and what the bytes after
 * them are. The argument:
 *
 *   - A later valid group (J1, J3) or a floor at or above proves that the group which does not
 *     validate had been acknowledged: damage in the middle, refused.
 *   - Otherwise it is the last one written. If it was in flight at a crash, each of its sectors is
 *     either whole or still zero (J2, O1): a group with a missing sector is a torn tail and is cut,
 *     all of it, since none of it was acknowledged. A group with every sector there that does not
 *     validate was not torn by a crash but damaged later: refused as well.
 *
 * What stays undecidable, as in every log: an acknowledged last group whose damage is that whole
 * sectors have become zero, and no floor (written at close) above it.
 */
#include "journal/journal_priv.h"

#include <string.h>

enum { FIND_BYTES = 1 << 16 };

/* Could a crash have left these bytes of a group in flight: is a sector's share of them zero? */
static bool may_be_torn(const uint8_t *bytes, uint64_t offset, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t share = JOURNAL__SECTOR_BYTES - (size_t)((offset + at) % JOURNAL__SECTOR_BYTES);
        share = FR_MIN(share, count - at);
        if (journal__is_zero(bytes + at, share))
            return true;
        at += share;
    }
    return false;
}

/* One group at end->offset. FR_END: it is not whole; *out_torn: a crash may have left it so. */
static enum fr_status step(struct journal__reader *reader, uint64_t salt, struct journal__end *end,
                           bool *out_torn, struct fr_error *error)
{
    struct journal__span span;
    struct journal__group group;
    *out_torn = true;
    FR_TRY(journal__reader_need(reader, end->offset, JOURNAL__GROUP_BYTES, error, &span));
    if (span.count < JOURNAL__GROUP_BYTES)
        return FR_END;
    if (!journal__group_decode(span.bytes, salt, end->offset, &group)) {
        *out_torn = may_be_torn(span.bytes, end->offset, JOURNAL__GROUP_BYTES);
        return FR_END;
    }
    size_t whole = JOURNAL__GROUP_BYTES + (size_t)group.bytes;
    FR_TRY(journal__reader_need(reader, end->offset, whole, error, &span));
    if (span.count < whole)
        return FR_END;
    if (group.first != end->next ||
        !journal__body_valid(span.bytes + JOURNAL__GROUP_BYTES, salt, &group)) {
        *out_torn = group.first == end->next && may_be_torn(span.bytes, end->offset, whole);
        return FR_END;
    }
    end->last = end->offset;
    end->offset += whole;
    end->next += group.count;
    return FR_OK;
}

enum fr_status journal__tail_bytes(struct journal__reader *reader, uint64_t offset,
                                   struct fr_error *error, uint64_t *out_bytes)
{
    uint64_t last = offset;
    for (uint64_t at = offset;;) {
        struct journal__span span;
        FR_TRY(journal__reader_need(reader, at, FIND_BYTES, error, &span));
        span.count = FR_MIN(span.count, (size_t)FIND_BYTES);
        if (span.count == 0)
            break;
        if (!journal__is_zero(span.bytes, span.count)) {
            size_t used = span.count;
            while (span.bytes[used - 1] == 0)
                used--;
            last = at + used;
        }
        at += span.count;
    }
    *out_bytes = last - offset;
    return FR_OK;
}

enum fr_status journal__find_group(struct journal__reader *reader, uint64_t salt, uint64_t offset,
                                   struct fr_error *error, struct journal__group *out_group)
{
    offset = (offset + JOURNAL__ALIGN - 1) & ~(uint64_t)(JOURNAL__ALIGN - 1);
    for (;;) {
        struct journal__span span;
        FR_TRY(journal__reader_need(reader, offset, FIND_BYTES, error, &span));
        if (span.count < JOURNAL__GROUP_BYTES)
            return FR_END;
        size_t last = FR_MIN(span.count, (size_t)FIND_BYTES) - JOURNAL__GROUP_BYTES;
        for (size_t i = 0; i <= last; i += JOURNAL__ALIGN) {
            if (span.bytes[i] && journal__group_decode(span.bytes + i, salt, offset + i, out_group))
                return FR_OK;
        }
        offset += (last / JOURNAL__ALIGN + 1) * JOURNAL__ALIGN;
    }
}

static enum fr_status judge(struct journal__reader *reader, const struct journal__header *header,
                            bool torn, struct fr_error *error, struct journal__end *end)
{
    FR_TRY(journal__tail_bytes(reader, end->offset, error, &end->torn_bytes));
    if (header->floor >= end->next)
        return journal__corrupt(error, reader->name, end->offset,
                                "records that were acknowledged are missing or fail their check");
    if (end->torn_bytes == 0)
        return FR_OK;
    struct journal__group later;
    enum fr_status status =
        journal__find_group(reader, header->salt, end->offset + JOURNAL__ALIGN, error, &later);
    if (status == FR_OK)
        return journal__corrupt(error, reader->name, end->offset,
                                "a group of records fails its check, and later ones are good");
    if (status != FR_END)
        return status;
    if (!torn)
        return journal__corrupt(error, reader->name, end->offset,
                                "the last group of records fails its check, and is not torn");
    return FR_OK;
}

enum fr_status journal__recover(struct journal__reader *reader,
                                const struct journal__header *header, bool live,
                                struct fr_error *error, struct journal__end *out_end)
{
    struct journal__end end = {.next = header->first,
                               .offset = JOURNAL__HEADER_BYTES,
                               .last = JOURNAL__HEADER_BYTES};
    enum fr_status status;
    for (;;) {
        bool torn = true;
        uint64_t before = end.next;
        do
            status = step(reader, header->salt, &end, &torn, error);
        while (status == FR_OK);
        if (status != FR_END)
            return status;
        status = judge(reader, header, torn || live, error, &end);
        if (status != FR_CORRUPT || !live)
            break;
        /* A writer may have finished the group after we looked at it: look once more. */
        journal__reader_refresh(reader, UINT64_MAX);
        if (before == end.next && step(reader, header->salt, &end, &torn, error) != FR_OK)
            break;
    }
    FR_TRY(status);
    FR_TRY(os_size(reader->file, &end.file_bytes, error));
    *out_end = end;
    return FR_OK;
}
