/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, walking over what may be damaged, for verify and salvage. Where a group does not pass,
 * every aligned offset is tried for a group or a single record: the checksums carry the salt and
 * the position (J3), so that nothing but a record of this journal passes.
 * Thread: any.
 */
#include "journal/journal_priv.h"

#include <stdio.h>

struct place {
    struct journal__walk *walk;
    struct journal__reader *reader;
    uint64_t at;
    uint64_t next_first; /* positions of this segment end before it; UINT64_MAX: newest */
    bool in_fault;       /* a run of bad bytes has been reported */
    bool plain, live;    /* a plain file beside a running writer: its housekeeping may retire it */
    uint64_t first;
};

/* Has the file been retired (compressed, zeroed, removed) while it was read? */
static bool has_gone(const struct place *place)
{
    char path[OS_PATH_MAX];
    struct os_file *file;
    if (!place->live || !place->plain ||
        journal__path(place->walk->directory, place->reader->name, NULL, path) != FR_OK)
        return false;
    bool gone = os_open(place->walk->os, path, OS_READ, NULL, &file) == FR_NOT_FOUND;
    if (!gone)
        os_close(file);
    return gone;
}

static void report(struct journal__walk *walk, const char *segment, uint64_t offset,
                   const char *what)
{
    walk->faults++;
    if (walk->fault)
        walk->fault(walk, segment, offset, what);
}

static void report_missing(struct journal__walk *walk, const char *segment, uint64_t offset,
                           uint64_t position)
{
    char what[96];
    snprintf(what, sizeof(what), "positions %llu to %llu are missing",
             (unsigned long long)walk->next, (unsigned long long)position - 1);
    report(walk, segment, offset, what);
}

static enum fr_status give(struct place *place, const struct journal_record *record,
                           struct fr_error *error)
{
    struct journal__walk *walk = place->walk;
    if (record->position > walk->next)
        report_missing(walk, place->reader->name, place->at, record->position);
    if (walk->first == 0)
        walk->first = record->position;
    FR_TRY(walk->record(walk, record, error));
    walk->next = record->position + 1;
    return FR_OK;
}

/* A whole, valid group at the place. FR_END: there is none. */
static enum fr_status walk_group(struct place *place, struct fr_error *error)
{
    struct journal__span span;
    struct journal__group group;
    struct journal__walk *walk = place->walk;
    FR_TRY(journal__reader_need(place->reader, place->at, JOURNAL__GROUP_BYTES, error, &span));
    if (span.count < JOURNAL__GROUP_BYTES ||
        !journal__group_decode(span.bytes, walk->salt, place->at, &group))
        return FR_END;
    walk->promised = FR_MAX(walk->promised, group.first + group.count);
    size_t whole = JOURNAL__GROUP_BYTES + (size_t)group.bytes;
    if (place->live && group.first + group.count <= walk->next) {
        place->at += whole; /* given from the file that has gone */
        return FR_OK;
    }
    FR_TRY(journal__reader_need(place->reader, place->at, whole, error, &span));
    bool fits = group.first >= walk->next && group.first + group.count <= place->next_first;
    if (span.count < whole || !fits ||
        !journal__body_valid(span.bytes + JOURNAL__GROUP_BYTES, walk->salt, &group))
        return FR_END;
    for (size_t at = JOURNAL__GROUP_BYTES, i = 0; i < group.count; i++) {
        struct journal_record record;
        size_t size = journal__record_decode(span.bytes + at, whole - at, walk->salt,
                                             group.first + i, &record);
        FR_ASSERT(size > 0); /* the body was valid */
        FR_TRY(give(place, &record, error));
        at += size;
    }
    place->at += whole;
    return FR_OK;
}

static uint64_t word(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

/* A single valid record at the place. FR_END: there is none. */
static enum fr_status walk_record(struct place *place, struct fr_error *error)
{
    struct journal__span span;
    struct journal__walk *walk = place->walk;
    size_t smallest = journal__record_size(0);
    FR_TRY(journal__reader_need(place->reader, place->at, smallest, error, &span));
    if (span.count < smallest)
        return FR_END;
    uint64_t payload_bytes = word(span.bytes + 4, 4), position = word(span.bytes + 8, 8);
    if (position < walk->next || position >= place->next_first ||
        payload_bytes > JOURNAL_PAYLOAD_BYTES_MAX)
        return FR_END;
    size_t want = journal__record_size((size_t)payload_bytes);
    struct journal_record record;
    FR_TRY(journal__reader_need(place->reader, place->at, want, error, &span));
    size_t size = journal__record_decode(span.bytes, span.count, walk->salt, position, &record);
    if (size == 0)
        return FR_END;
    FR_TRY(give(place, &record, error));
    place->at += size;
    return FR_OK;
}

/* One step over a damaged place: reports the run once. FR_END at the end of the segment; FR_AGAIN:
 * the file has gone. */
static enum fr_status step_over(struct place *place, struct fr_error *error)
{
    struct journal__span span;
    FR_TRY(journal__reader_need(place->reader, place->at, JOURNAL__ALIGN, error, &span));
    if (span.count == 0)
        return FR_END;
    if (!place->in_fault && has_gone(place))
        return FR_AGAIN;
    if (!place->in_fault)
        report(place->walk, place->reader->name, place->at, "bytes that are no valid group");
    place->in_fault = true;
    place->at += FR_MIN(span.count, (size_t)JOURNAL__ALIGN);
    return FR_OK;
}

/* Nothing but zeros from here on? */
static enum fr_status rest_is_zero(struct place *place, struct fr_error *error, bool *out_zero)
{
    uint64_t bytes = 0;
    *out_zero = false;
    if (place->reader->zstd) { /* forwards only, and nothing follows the last group */
        struct journal__span span;
        FR_TRY(journal__reader_need(place->reader, place->at, 1, error, &span));
        *out_zero = span.count == 0;
        return FR_OK;
    }
    FR_TRY(journal__tail_bytes(place->reader, place->at, error, &bytes));
    *out_zero = bytes == 0;
    return FR_OK;
}

/* A group, or what may be had where there is none. FR_END: the segment ends here. */
static enum fr_status walk_step(struct place *place, struct fr_error *error)
{
    enum fr_status status = walk_group(place, error);
    if (status == FR_OK)
        place->in_fault = false;
    if (status != FR_END)
        return status;
    bool zero = false;
    if (!place->in_fault)
        FR_TRY(rest_is_zero(place, error, &zero));
    if (zero)
        return place->walk->next < place->next_first && has_gone(place) ? FR_AGAIN : FR_END;
    if (place->in_fault)
        status = walk_record(place, error);
    return status == FR_END ? step_over(place, error) : status;
}

static enum fr_status walk_groups(struct place *place, struct fr_error *error)
{
    struct journal__walk *walk = place->walk;
    enum fr_status status;
    do
        status = walk_step(place, error);
    while (status == FR_OK);
    if (status != FR_END)
        return status;
    if (place->next_first == UINT64_MAX) {
        walk->open_end = place->in_fault && walk->promised < walk->next;
    } else if (walk->next < place->next_first) {
        report_missing(walk, place->reader->name, place->at, place->next_first);
        walk->next = place->next_first;
    }
    return FR_OK;
}

/* The newest segment, whole but for a torn tail: FR_OK. FR_CORRUPT: walk over what is damaged. */
static enum fr_status walk_newest(struct place *place, const struct journal__header *header,
                                  bool live, struct fr_error *error)
{
    struct journal__end end;
    FR_TRY(journal__recover(place->reader, header, live, error, &end));
    place->walk->torn_bytes = end.torn_bytes;
    while (place->at < end.offset) {
        enum fr_status status = walk_group(place, error);
        if (status == FR_END) /* it was good a moment ago: the medium changes its mind */
            return journal__corrupt(error, place->reader->name, place->at, "unstable reads");
        FR_TRY(status);
    }
    return FR_OK;
}

static enum fr_status walk_opened(struct place *place, struct fr_error *error)
{
    struct journal__walk *walk = place->walk;
    struct journal__header header = {0};
    enum fr_status status = journal__reader_header(place->reader, place->first, error, &header);
    if (status == FR_OK && walk->has_salt && header.salt != walk->salt)
        status = base_fail(error, FR_CORRUPT, "journal", "it belongs to another journal");
    if (status == FR_CORRUPT && has_gone(place))
        return FR_AGAIN;
    if (status == FR_CORRUPT) {
        struct fr_error unnamed = {.message = "its header is damaged"};
        report(walk, place->reader->name, 0, error ? error->message : unnamed.message);
    } else {
        FR_TRY(status);
        walk->salt = header.salt;
        walk->has_salt = true;
        walk->promised = FR_MAX(walk->promised, header.floor + (header.floor > 0));
    }
    walk->open_end = !walk->has_salt;
    if (!walk->has_salt)
        return FR_OK; /* nothing can be checked without it */
    if (place->next_first == UINT64_MAX && status == FR_OK) {
        status = walk_newest(place, &header, place->live, error);
        if (status != FR_CORRUPT)
            return status;
        if (error)
            report(walk, place->reader->name, place->at, error->message);
    }
    return walk_groups(place, error);
}

/* The file of a segment; beside a running writer it may have changed its name since it was listed.
 * FR_NOT_FOUND: gone for good. */
static enum fr_status open_segment(const struct journal__walk *walk,
                                   const struct journal__segment *segment, bool live,
                                   struct fr_error *error, struct journal__reader *out_reader)
{
    struct journal__source source = {walk->os, walk->directory, segment->first, segment->compressed,
                                     NULL};
    enum fr_status status = journal__reader_open(&source, error, out_reader);
    source.compressed = !source.compressed;
    return status == FR_NOT_FOUND && live ? journal__reader_open(&source, error, out_reader)
                                          : status;
}

static enum fr_status walk_file(struct place *place, struct fr_error *error)
{
    struct journal__walk *walk = place->walk;
    if (walk->next < place->first) {
        if (walk->first > 0)
            report_missing(walk, place->reader->name, 0, place->first);
        walk->next = place->first;
    }
    enum fr_status status = walk_opened(place, error);
    if (status != FR_CORRUPT && status != FR_IO)
        return status;
    report(walk, place->reader->name, place->at, error->message);
    return FR_OK;
}

/* Has retention passed the segment by since it was listed? */
static bool is_retired(const struct journal__walk *walk, const struct journal__segment *segment)
{
    struct journal__list now;
    if (journal__list_read(walk->os, walk->directory, NULL, &now) != FR_OK)
        return false;
    bool retired = now.count > 0 && now.at[0].first > segment->first;
    journal__list_release(&now);
    return retired;
}

static enum fr_status walk_segment(struct journal__walk *walk, const struct journal__list *list,
                                   uint32_t i, bool live, struct fr_error *error)
{
    const struct journal__segment *segment = &list->at[i];
    struct journal__reader reader;
    struct fr_error local = {0};
    enum fr_status status;
    do {
        status = open_segment(walk, segment, live, &local, &reader);
        if (status == FR_NOT_FOUND && live && is_retired(walk, segment)) {
            walk->first = 0; /* retention has passed by: what is left begins further on */
            return FR_OK;
        }
        if (status != FR_OK) {
            char name[JOURNAL__NAME_BYTES];
            journal__name_print(segment->first, segment->compressed, name);
            report(walk, name, 0, local.message);
            return FR_OK;
        }
        struct place place = {.walk = walk,
                              .reader = &reader,
                              .at = JOURNAL__HEADER_BYTES,
                              .next_first =
                                  i + 1 < list->count ? list->at[i + 1].first : UINT64_MAX,
                              .plain = !reader.zstd,
                              .live = live,
                              .first = segment->first};
        status = walk_file(&place, &local);
        journal__reader_close(&reader);
    } while (status == FR_AGAIN); /* ends: a segment is compressed once */
    walk->segments++;
    walk->bytes += segment->file_bytes;
    if (status != FR_OK && error)
        *error = local;
    return status;
}

/* Is a writer at work? */
static bool is_live(struct os *os, const char *directory)
{
    char path[OS_PATH_MAX];
    struct os_file *file;
    if (journal__path(directory, "lock", NULL, path) != FR_OK ||
        os_open(os, path, OS_READ, NULL, &file) != FR_OK)
        return false;
    bool live = os_lock(file, NULL) == FR_AGAIN;
    os_close(file);
    return live;
}

/* A header or its copy; a damaged one's salt is worth having. */
static bool read_salt(struct journal__reader *reader, uint64_t *out_salt)
{
    static const size_t places[] = {0, JOURNAL__COPY_AT};
    for (size_t i = 0; i < FR_COUNT_OF(places); i++) {
        struct journal__span span;
        struct journal__header header;
        const char *what;
        if (journal__reader_need(reader, 0, JOURNAL__HEADER_BYTES, NULL, &span) != FR_OK ||
            span.count < JOURNAL__HEADER_BYTES)
            return false;
        if (journal__header_decode(span.bytes + places[i], &header, &what) != FR_OK)
            continue;
        *out_salt = header.salt;
        return true;
    }
    return false;
}

/* The salt of the first header that is readable, for segments whose own is not. */
static void find_salt(struct journal__walk *walk, const struct journal__list *list)
{
    for (uint32_t i = 0; i < list->count && !walk->has_salt; i++) {
        struct journal__reader reader;
        struct journal__source source = {walk->os, walk->directory, list->at[i].first,
                                         list->at[i].compressed, NULL};
        if (journal__reader_open(&source, NULL, &reader) != FR_OK)
            continue;
        walk->has_salt = read_salt(&reader, &walk->salt);
        journal__reader_close(&reader);
    }
}

enum fr_status journal__walk_all(struct journal__walk *walk, struct fr_error *error)
{
    struct journal__list list;
    bool live = is_live(walk->os, walk->directory);
    FR_TRY(journal__list_read(walk->os, walk->directory, error, &list));
    enum fr_status status = FR_OK;
    if (list.count == 0)
        status =
            base_fail(error, FR_NOT_FOUND, "journal", "there is no journal in %s", walk->directory);
    walk->next = 1;
    find_salt(walk, &list);
    for (uint32_t i = 0; i < list.count && status == FR_OK; i++)
        status = walk_segment(walk, &list, i, live, error);
    journal__list_release(&list);
    return status;
}
