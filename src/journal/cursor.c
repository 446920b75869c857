/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, cursors: reading records in order over all segments, plain and compressed, up to the
 * durable position (J9). A cursor pins the segment it is in, so that housekeeping leaves it alone.
 * Thread: one cursor by one thread; the journal's mutex where the two meet.
 */
#include "journal/journal_priv.h"

#include <stdlib.h>

struct journal_cursor {
    struct journal *journal;
    struct journal__reader reader;
    bool is_open; /* reader and pin are held */
    bool newest;  /* when last looked: the segment may still grow */
    uint64_t segment_first;
    uint64_t next_first; /* of the segment after; 0: none yet */
    uint64_t seen;       /* durable when the reader's stop was set */
    uint64_t position;   /* of the next record */
    uint64_t offset;     /* of its bytes, or of its group's header when group_left is 0 */
    uint64_t group_end;
    uint32_t group_left; /* records of the group not given yet */
};

static void leave_segment(struct journal_cursor *cursor)
{
    if (!cursor->is_open)
        return;
    struct journal *journal = cursor->journal;
    journal__reader_close(&cursor->reader);
    pthread_mutex_lock(&journal->mutex);
    for (uint32_t i = 0; i < journal->list.count; i++) {
        if (journal->list.at[i].first == cursor->segment_first)
            journal->list.at[i].pins--;
    }
    pthread_mutex_unlock(&journal->mutex);
    cursor->is_open = false;
}

/* The index of the segment that holds `position`, or would. Under the mutex. */
static uint32_t find_segment(const struct journal *journal, uint64_t position)
{
    uint32_t low = 0, high = journal->list.count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (journal->list.at[middle].first <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* What is durable now, how far the file may be read for it, and what comes after. Gives the stop.
 * Under the mutex. */
static uint64_t look(struct journal_cursor *cursor, uint32_t segment)
{
    const struct journal *journal = cursor->journal;
    cursor->newest = segment + 1 == journal->list.count;
    cursor->next_first = cursor->newest ? 0 : journal->list.at[segment + 1].first;
    cursor->seen = journal->durable;
    return cursor->newest ? journal->offset : UINT64_MAX;
}

/* The group header at the cursor. */
static enum fr_status enter_group(struct journal_cursor *cursor, struct fr_error *error,
                                  struct journal__group *out_group)
{
    struct journal__span span;
    struct journal__reader *reader = &cursor->reader;
    FR_TRY(journal__reader_need(reader, cursor->offset, JOURNAL__GROUP_BYTES, error, &span));
    if (span.count < JOURNAL__GROUP_BYTES)
        return journal__corrupt(error, reader->name, cursor->offset,
                                "the segment ends before its last record");
    if (!journal__group_decode(span.bytes, cursor->journal->salt, cursor->offset, out_group))
        return journal__corrupt(error, reader->name, cursor->offset,
                                "the header of a group fails its check");
    cursor->offset += JOURNAL__GROUP_BYTES;
    cursor->group_end = cursor->offset + out_group->bytes;
    cursor->group_left = out_group->count;
    return FR_OK;
}

/* The record at the cursor, which expects `position` there. */
static enum fr_status read_record(struct journal_cursor *cursor, uint64_t position,
                                  struct fr_error *error, struct journal_record *out_record)
{
    struct journal__span span;
    struct journal__reader *reader = &cursor->reader;
    FR_TRY(journal__reader_need(reader, cursor->offset, 8, error, &span));
    size_t size = 0;
    if (span.count >= 8) {
        size_t payload_bytes = (size_t)span.bytes[4] | (size_t)span.bytes[5] << 8 |
                               (size_t)span.bytes[6] << 16 | (size_t)span.bytes[7] << 24;
        size_t want = journal__record_size(payload_bytes);
        size_t left = (size_t)(cursor->group_end - cursor->offset);
        if (want <= left) {
            FR_TRY(journal__reader_need(reader, cursor->offset, want, error, &span));
            size = journal__record_decode(span.bytes, FR_MIN(span.count, left),
                                          cursor->journal->salt, position, out_record);
        }
    }
    if (size == 0)
        return journal__corrupt(error, reader->name, cursor->offset, "a record fails its check");
    cursor->offset += size;
    cursor->group_left--;
    if (cursor->group_left == 0 && cursor->offset != cursor->group_end)
        return journal__corrupt(error, reader->name, cursor->offset, "a group is too long");
    return FR_OK;
}

/* Goes to cursor->position within the segment; a segment that holds nothing yet is fine. */
static enum fr_status seek(struct journal_cursor *cursor, struct fr_error *error)
{
    struct journal__group group = {0};
    uint64_t at = cursor->segment_first;
    cursor->offset = JOURNAL__HEADER_BYTES;
    cursor->group_left = 0;
    while (at < cursor->position) {
        FR_TRY(enter_group(cursor, error, &group));
        if (group.first != at)
            return journal__corrupt(error, cursor->reader.name, group.offset,
                                    "a group is out of order");
        at += group.count;
        if (at > cursor->position)
            break;
        cursor->offset = cursor->group_end;
        cursor->group_left = 0;
    }
    for (at = group.first; cursor->group_left > 0 && at < cursor->position; at++) {
        struct journal_record skipped;
        FR_TRY(read_record(cursor, at, error, &skipped));
    }
    return FR_OK;
}

/* A reader beside another process's housekeeping may find the segment under its other name. */
static enum fr_status open_file(struct journal_cursor *cursor, bool compressed,
                                struct fr_error *error)
{
    struct journal *journal = cursor->journal;
    struct journal__source source = {journal->os, journal->directory, cursor->segment_first,
                                     compressed, NULL};
    enum fr_status status = journal__reader_open(&source, error, &cursor->reader);
    source.compressed = !compressed;
    if (status == FR_NOT_FOUND && journal->read_only)
        status = journal__reader_open(&source, error, &cursor->reader);
    return status;
}

static enum fr_status enter_segment(struct journal_cursor *cursor, struct fr_error *error)
{
    struct journal *journal = cursor->journal;
    pthread_mutex_lock(&journal->mutex);
    uint32_t i = find_segment(journal, cursor->position);
    struct journal__segment *segment = &journal->list.at[i];
    uint64_t first = segment->first;
    bool compressed = segment->compressed;
    uint64_t stop = look(cursor, i);
    segment->pins += first <= cursor->position;
    pthread_mutex_unlock(&journal->mutex);
    if (first > cursor->position) {
        base_fail(error, FR_NOT_FOUND, "journal",
                  "position %llu is gone: the journal begins at %llu",
                  (unsigned long long)cursor->position, (unsigned long long)first);
        base_hint(error, "retention has removed what came before");
        return FR_NOT_FOUND;
    }
    cursor->segment_first = first;
    cursor->is_open = true; /* the pin; the reader may be empty */
    FR_TRY(open_file(cursor, compressed, error));
    struct journal__header header;
    cursor->reader.stop = stop;
    FR_TRY(journal__reader_header(&cursor->reader, first, error, &header));
    if (header.salt != journal->salt)
        return journal__corrupt(error, cursor->reader.name, 32, "it belongs to another journal");
    return seek(cursor, error);
}

enum fr_status journal_cursor_open(struct journal *journal, uint64_t position,
                                   struct fr_error *error, struct journal_cursor **out_cursor)
{
    if (position == 0 || position > journal_durable(journal) + 1)
        return base_fail(error, FR_INVALID, "journal", "a cursor at %llu; the journal ends at %llu",
                         (unsigned long long)position,
                         (unsigned long long)journal_durable(journal));
    struct journal_cursor *cursor = calloc(1, sizeof(*cursor));
    if (!cursor)
        return base_fail(error, FR_MEMORY, "journal", "no memory for a cursor");
    cursor->journal = journal;
    cursor->position = position;
    enum fr_status status = enter_segment(cursor, error);
    if (status != FR_OK) {
        journal_cursor_close(cursor);
        return status;
    }
    *out_cursor = cursor;
    return FR_OK;
}

void journal_cursor_close(struct journal_cursor *cursor)
{
    if (!cursor)
        return;
    leave_segment(cursor);
    free(cursor);
}

/* At the end of what was seen: is more durable now? FR_END when not. */
static enum fr_status look_again(struct journal_cursor *cursor)
{
    struct journal *journal = cursor->journal;
    if (cursor->position > journal_durable(journal))
        return FR_END;
    bool grown = cursor->newest;
    pthread_mutex_lock(&journal->mutex);
    uint32_t i = find_segment(journal, cursor->segment_first);
    uint64_t stop = look(cursor, i);
    pthread_mutex_unlock(&journal->mutex);
    if (grown)
        journal__reader_refresh(&cursor->reader, stop);
    return FR_OK;
}

enum fr_status journal_cursor_next(struct journal_cursor *cursor, struct fr_error *error,
                                   struct journal_record *out_record)
{
    if (cursor->position > cursor->seen)
        FR_TRY(look_again(cursor));
    if (cursor->position == cursor->next_first) {
        leave_segment(cursor);
        FR_TRY(enter_segment(cursor, error));
    }
    if (!cursor->is_open || !cursor->reader.file)
        return base_fail(error, FR_IO, "journal", "the cursor has failed before");
    if (cursor->group_left == 0) {
        struct journal__group group;
        FR_TRY(enter_group(cursor, error, &group));
        if (group.first != cursor->position)
            return journal__corrupt(error, cursor->reader.name, group.offset,
                                    "a group is out of order");
    }
    FR_TRY(read_record(cursor, cursor->position, error, out_record));
    cursor->position++;
    return FR_OK;
}
