/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: open, append, sync, close. The writer's side of J1 to J8 (journal_priv.h).
 * Thread: one writer; the readings from any.
 */
#include "journal/journal_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- opening --------------------------------------------------------------------------------- */

static enum fr_status take_lock(struct journal *journal, struct fr_error *error)
{
    char path[OS_PATH_MAX];
    FR_TRY(journal__path(journal->directory, "lock", error, path));
    FR_TRY(os_open(journal->os, path, OS_READ | OS_WRITE | OS_CREATE, error, &journal->lock_file));
    enum fr_status status = os_lock(journal->lock_file, error);
    if (status == FR_AGAIN) {
        base_fail(error, FR_AGAIN, "journal", "another process writes to %s", journal->directory);
        base_hint(error, "stop it, or give this one a data directory of its own");
    }
    return status;
}

struct sweep {
    struct journal *journal;
    enum fr_status status;
    struct fr_error *error;
};

static void sweep_name(void *context, const char *name)
{
    struct sweep *sweep = context;
    uint64_t first;
    char path[OS_PATH_MAX];
    if (sweep->status != FR_OK || journal__name_parse(name, &first) != JOURNAL__NAME_TMP)
        return;
    sweep->status = journal__path(sweep->journal->directory, name, sweep->error, path);
    if (sweep->status == FR_OK)
        sweep->status = os_unlink(sweep->journal->os, path, sweep->error);
}

/* Removes what a crash left half done: temporary files, and the compressed twin of a segment whose
 * plain file is still there (the plain one is whole: it is destroyed only after a rename, J6). */
static enum fr_status sweep_leftovers(struct journal *journal, struct fr_error *error)
{
    if (journal->list.tmp_count > 0) {
        struct sweep sweep = {journal, FR_OK, error};
        FR_TRY(os_list(journal->os, journal->directory, sweep_name, &sweep, error));
        FR_TRY(sweep.status);
    }
    for (uint32_t i = 0; i < journal->list.count; i++) {
        struct journal__segment *segment = &journal->list.at[i];
        char name[JOURNAL__NAME_BYTES], path[OS_PATH_MAX];
        if (!segment->twice)
            continue;
        journal__name_print(segment->first, true, name);
        FR_TRY(journal__path(journal->directory, name, error, path));
        FR_TRY(os_unlink(journal->os, path, error));
        segment->twice = false;
    }
    return FR_OK;
}

/* The header block of a zeroed file, durable with its zeros. */
static enum fr_status dress(struct os_file *file, const struct journal__header *header,
                            struct fr_error *error)
{
    uint8_t block[JOURNAL__HEADER_BYTES];
    journal__header_encode(header, block);
    FR_TRY(os_write_at(file, 0, block, sizeof(block), error));
    return os_sync(file, error);
}

/* A new segment for the next group to come, from the spare if there is one: header and zeros are
 * durable, its name is not yet (J5: the caller syncs the directory). A failure changes nothing. */
static enum fr_status create_segment(struct journal *journal, uint64_t first,
                                     struct fr_error *error, struct os_file **out_file,
                                     uint64_t *out_file_bytes)
{
    char name[JOURNAL__NAME_BYTES], path[OS_PATH_MAX], from[OS_PATH_MAX];
    journal__name_print(first, false, name);
    FR_TRY(journal__path(journal->directory, name, error, path));
    struct journal__header header = {.salt = journal->salt,
                                     .first = first,
                                     .created_us = os_wall_us(journal->os),
                                     .version = JOURNAL_FORMAT_VERSION};
    bool spare = journal->list.has_spare;
    FR_TRY(journal__path(journal->directory, spare ? "spare.seg" : "segment.tmp", error, from));
    uint64_t small = JOURNAL__HEADER_BYTES + JOURNAL__STAGE_BYTES;
    uint64_t bytes = spare ? journal->list.spare_bytes : FR_MIN(small, journal->segment_bytes);
    struct os_file *file = NULL;
    enum fr_status status = spare ? os_open(journal->os, from, OS_READ | OS_WRITE, error, &file)
                                  : journal__zero_file(journal->os, from, bytes, error, &file);
    if (status == FR_OK)
        status = dress(file, &header, error);
    if (status == FR_OK)
        status = os_rename(journal->os, from, path, error);
    if (status != FR_OK) {
        if (file)
            os_close(file);
        if (!spare)
            fr_ignore(os_unlink(journal->os, from, NULL), "swept at the next open");
        return status;
    }
    journal->list.has_spare = false;
    *out_file = file;
    *out_file_bytes = bytes;
    return FR_OK;
}

/* The last group written once more (J10), the cut tail zeroed (J2), both durable. */
static enum fr_status settle(struct journal *journal, const struct journal__end *end,
                             struct fr_error *error)
{
    size_t bytes = (size_t)(end->offset - end->last), got = 0;
    uint8_t *group = malloc(bytes + 1);
    if (!group)
        return base_fail(error, FR_MEMORY, "journal", "no memory for a group of %zu bytes", bytes);
    enum fr_status status = os_read_at(journal->file, end->last, group, bytes, &got, error);
    if (status == FR_OK)
        status = os_write_at(journal->file, end->last, group, got, error);
    free(group);
    FR_TRY(status);
    FR_TRY(journal__write_zeros(journal->file, end->offset, end->offset + end->torn_bytes, error));
    FR_TRY(os_sync(journal->file, error));
    FR_TRY(os_sync_dir(journal->os, journal->directory, error));
    journal->torn_bytes = end->torn_bytes;
    return FR_OK;
}

static enum fr_status open_newest(struct journal *journal, struct fr_error *error)
{
    struct journal__segment *newest = &journal->list.at[journal->list.count - 1];
    char path[OS_PATH_MAX];
    struct journal__reader reader;
    struct journal__header header;
    struct journal__end end;
    struct journal__source source = {journal->os, journal->directory, newest->first,
                                     newest->compressed, NULL};
    FR_TRY(journal__reader_open(&source, error, &reader));
    enum fr_status status = FR_OK;
    if (newest->compressed)
        status = journal__corrupt(error, reader.name, 0, "the segment that came after is missing");
    if (status == FR_OK)
        status = journal__reader_header(&reader, newest->first, error, &header);
    if (status == FR_OK)
        status = journal__recover(&reader, &header, journal->read_only, error, &end);
    if (status == FR_OK)
        status = journal__path(journal->directory, reader.name, error, path);
    journal__reader_close(&reader);
    FR_TRY(status);
    journal->salt = header.salt;
    journal->floor = header.floor;
    newest->created_us = header.created_us;
    journal->durable = end.next - 1;
    journal->offset = end.offset;
    journal->file_bytes = end.file_bytes;
    if (journal->read_only)
        return FR_OK;
    FR_TRY(os_open(journal->os, path, OS_READ | OS_WRITE, error, &journal->file));
    return settle(journal, &end, error);
}

/* Has a writer beside taken the segment away while it was read? Its file may be the next spare by now,
 * and holds zeros. */
static bool is_gone(const struct journal__source *source)
{
    struct journal__reader reader;
    enum fr_status status = journal__reader_open(source, NULL, &reader);
    if (status == FR_OK)
        journal__reader_close(&reader);
    return status == FR_NOT_FOUND;
}

/* Every other segment must at least be of this journal, under its own name. What is in it is
 * checked when it is read. */
static enum fr_status check_older(struct journal *journal, struct fr_error *error)
{
    for (uint32_t i = 0; i + 1 < journal->list.count; i++) {
        struct journal__segment *segment = &journal->list.at[i];
        struct journal__reader reader;
        struct journal__header header = {0};
        struct journal__source source = {journal->os, journal->directory, segment->first,
                                         segment->compressed, NULL};
        enum fr_status status = journal__reader_open(&source, error, &reader);
        if (status == FR_NOT_FOUND && journal->read_only)
            continue; /* a writer beside has compressed or dropped it since it was listed */
        FR_TRY(status);
        if (!segment->compressed)
            journal__reader_refresh(&reader, JOURNAL__HEADER_BYTES);
        status = journal__reader_header(&reader, segment->first, error, &header);
        if (status == FR_OK && header.salt != journal->salt)
            status = journal__corrupt(error, reader.name, 32, "it belongs to another journal");
        journal__reader_close(&reader);
        if (status == FR_CORRUPT && journal->read_only && is_gone(&source))
            continue;
        FR_TRY(status);
        segment->created_us = header.created_us;
    }
    return FR_OK;
}

static enum fr_status open_first(struct journal *journal, struct fr_error *error)
{
    uint64_t file_bytes;
    os_random(journal->os, &journal->salt, sizeof(journal->salt));
    FR_TRY(create_segment(journal, 1, error, &journal->file, &file_bytes));
    FR_TRY(os_sync_dir(journal->os, journal->directory, error));
    journal->offset = JOURNAL__HEADER_BYTES;
    journal->file_bytes = file_bytes;
    return journal__list_add(&journal->list,
                             (struct journal__segment){.first = 1, .file_bytes = file_bytes},
                             error);
}

static enum fr_status open_all(struct journal *journal, struct fr_error *error)
{
    if (!journal->read_only) {
        FR_TRY(os_mkdir(journal->os, journal->directory, error));
        FR_TRY(take_lock(journal, error));
    }
    FR_TRY(journal__list_read(journal->os, journal->directory, error, &journal->list));
    if (!journal->read_only)
        FR_TRY(sweep_leftovers(journal, error));
    if (journal->list.count > 0) {
        FR_TRY(open_newest(journal, error));
        return check_older(journal, error);
    }
    if (journal->read_only)
        return base_fail(error, FR_NOT_FOUND, "journal", "there is no journal in %s",
                         journal->directory);
    return open_first(journal, error);
}

enum fr_status journal_open(struct os *os, const struct journal_options *options,
                            struct fr_error *error, struct journal **out_journal)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return base_fail(error, FR_MEMORY, "journal", "no memory for a journal");
    journal->os = os;
    journal->read_only = options->read_only;
    journal->thread_wanted = !options->no_thread && !options->read_only;
    journal->segment_bytes =
        options->segment_bytes ? options->segment_bytes : JOURNAL_SEGMENT_BYTES_DEFAULT;
    journal->segment_bytes = FR_MAX(journal->segment_bytes, JOURNAL_SEGMENT_BYTES_MIN);
    pthread_mutex_init(&journal->mutex, NULL);
    pthread_mutex_init(&journal->tending, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&journal->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum fr_status status = journal__path(options->directory, "", error, journal->directory);
    if (status == FR_OK)
        status = open_all(journal, error);
    if (status == FR_OK && !options->read_only) {
        journal->stage_capacity = JOURNAL__STAGE_BYTES;
        journal->stage = malloc(journal->stage_capacity);
        journal_discard(journal);
        if (!journal->stage)
            status = base_fail(error, FR_MEMORY, "journal", "no memory to stage records");
    }
    if (status != FR_OK) {
        journal->failed = 1; /* nothing to write at close */
        journal_close(journal);
        return status;
    }
    *out_journal = journal;
    return FR_OK;
}

/* ---- appending ------------------------------------------------------------------------------- */

static enum fr_status refuse(const struct journal *journal, struct fr_error *error)
{
    base_fail(error, FR_IO, "journal", "the journal in %s has failed before; nothing is taken",
              journal->directory);
    base_hint(error, "restart to recover what was acknowledged");
    if (error)
        error->fatal = true;
    return FR_IO;
}

void journal_discard(struct journal *journal)
{
    journal->staged = JOURNAL__GROUP_BYTES;
    journal->staged_count = 0;
}

static enum fr_status grow_stage(struct journal *journal, size_t size, struct fr_error *error)
{
    if (journal->staged + size > JOURNAL_GROUP_BYTES_MAX)
        return base_fail(error, FR_FULL, "journal", "the group is full: sync it first");
    size_t capacity = journal->stage_capacity;
    while (capacity < journal->staged + size)
        capacity *= 2;
    uint8_t *moved = realloc(journal->stage, capacity);
    if (!moved)
        return base_fail(error, FR_MEMORY, "journal", "no memory to stage %zu bytes", capacity);
    journal->stage = moved;
    journal->stage_capacity = capacity;
    return FR_OK;
}

enum fr_status journal_append(struct journal *journal, uint8_t kind, int64_t received_us,
                              struct fr_slice payload, struct fr_error *error,
                              uint64_t *out_position)
{
    FR_ASSERT(!journal->read_only);
    if (journal->failed)
        return refuse(journal, error);
    if (payload.bytes > JOURNAL_PAYLOAD_BYTES_MAX)
        return base_fail(error, FR_INVALID, "journal", "a record of %zu bytes; at most %zu",
                         payload.bytes, JOURNAL_PAYLOAD_BYTES_MAX);
    size_t size = journal__record_size(payload.bytes);
    if (journal->stage_capacity - journal->staged < size)
        FR_TRY(grow_stage(journal, size, error));
    struct journal_record record = {.position = journal->durable + 1 + journal->staged_count,
                                    .received_us = received_us,
                                    .kind = kind,
                                    .payload = payload};
    journal__record_encode(journal->salt, &record, journal->stage + journal->staged);
    journal->staged += size;
    journal->staged_count++;
    *out_position = record.position;
    return FR_OK;
}

/* From here on nothing is acknowledged (J8). */
static enum fr_status fail_for_good(struct journal *journal, struct fr_error *error,
                                    enum fr_status status)
{
    __atomic_store_n(&journal->failed, 1, __ATOMIC_RELEASE);
    struct fr_error cause = {0};
    if (error)
        cause = *error;
    base_fail(error, FR_IO, "journal", "the journal in %.200s cannot be written any more: %.150s",
              journal->directory, error ? cause.message : base_status_name(status));
    base_hint(error, "check the disk; a restart recovers all that was acknowledged");
    if (error)
        error->fatal = true;
    return FR_IO;
}

/* The next segment for the staged group. Any failure before its name exists is harmless; one to
 * make the name durable is not. */
static enum fr_status roll_locked(struct journal *journal, struct fr_error *error)
{
    struct os_file *file;
    uint64_t file_bytes;
    uint64_t first = journal->durable + 1;
    FR_ASSERT(first > journal->list.at[journal->list.count - 1].first); /* J4: not empty */
    FR_TRY(journal__list_add(&journal->list, (struct journal__segment){.first = first}, error));
    enum fr_status status = create_segment(journal, first, error, &file, &file_bytes);
    if (status != FR_OK) {
        journal->list.count--;
        return status;
    }
    journal->list.at[journal->list.count - 1].file_bytes = file_bytes;
    journal->list.at[journal->list.count - 1].created_us = os_wall_us(journal->os);
    os_close(journal->file);
    journal->file = file;
    journal->file_bytes = file_bytes;
    journal->offset = JOURNAL__HEADER_BYTES;
    journal->floor = 0;
    status = os_sync_dir(journal->os, journal->directory, error);
    return status == FR_OK ? FR_OK : fail_for_good(journal, error, status);
}

static enum fr_status roll(struct journal *journal, struct fr_error *error)
{
    pthread_mutex_lock(&journal->mutex);
    enum fr_status status = roll_locked(journal, error);
    pthread_mutex_unlock(&journal->mutex);
    return status;
}

/* Zeros for the groups to come, a step of them; a spare has them already. They become durable with
 * the group. No space for them is no fault of this group. */
static void extend(struct journal *journal, uint64_t end)
{
    uint64_t to = FR_MIN(end + JOURNAL__EXTEND_BYTES, FR_MAX(journal->segment_bytes, end));
    enum fr_status status = journal__write_zeros(journal->file, end, to, NULL);
    journal->file_bytes = status == FR_OK ? to : end;
}

/* A group that found no space: what of it was written becomes zero again, durably (J7). */
static enum fr_status undo_write(struct journal *journal, uint64_t end, struct fr_error *error)
{
    struct fr_error ignored;
    uint64_t size = 0;
    FR_TRY(os_size(journal->file, &size, &ignored));
    enum fr_status status =
        journal__write_zeros(journal->file, journal->offset, FR_MIN(end, size), &ignored);
    if (status == FR_OK && size > journal->file_bytes)
        status = os_truncate(journal->file, journal->file_bytes, &ignored);
    if (status == FR_OK)
        status = os_sync(journal->file, &ignored);
    if (status != FR_OK && error)
        *error = ignored;
    return status;
}

static enum fr_status write_group(struct journal *journal, struct fr_error *error)
{
    uint64_t end = journal->offset + journal->staged;
    struct journal__group group = {.first = journal->durable + 1,
                                   .offset = journal->offset,
                                   .bytes = journal->staged - JOURNAL__GROUP_BYTES,
                                   .count = journal->staged_count};
    journal__group_encode(journal->salt, &group, journal->stage);
    enum fr_status status =
        os_write_at(journal->file, journal->offset, journal->stage, journal->staged, error);
    if (status == FR_NO_SPACE) {
        enum fr_status undone = undo_write(journal, end, error);
        return undone == FR_OK ? status : fail_for_good(journal, error, undone);
    }
    if (status != FR_OK)
        return fail_for_good(journal, error, status);
    if (end > journal->file_bytes)
        extend(journal, end);
    status = os_sync(journal->file, error);
    return status == FR_OK ? FR_OK : fail_for_good(journal, error, status);
}

enum fr_status journal_sync(struct journal *journal, struct fr_error *error)
{
    FR_ASSERT(!journal->read_only);
    if (journal->failed)
        return refuse(journal, error);
    if (journal->staged_count == 0)
        return FR_OK;
    enum fr_status status = FR_OK;
    if (journal->offset + journal->staged > journal->segment_bytes &&
        journal->offset > JOURNAL__HEADER_BYTES)
        status = roll(journal, error);
    if (status == FR_OK)
        status = write_group(journal, error);
    if (status == FR_OK) {
        uint64_t durable = journal->durable + journal->staged_count;
        pthread_mutex_lock(&journal->mutex);
        journal->offset += journal->staged;
        journal->list.at[journal->list.count - 1].file_bytes = journal->file_bytes;
        bool poke = journal->thread_wanted && !journal->list.has_spare &&
                    journal->offset > journal->segment_bytes / 2;
        /* Pairs with the acquire in journal_durable(): who sees the position finds the bytes. */
        __atomic_store_n(&journal->durable, durable, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&journal->mutex);
        if (poke)
            journal__thread_poke(journal);
    }
    journal_discard(journal);
    return status;
}

/* ---- closing, readings ----------------------------------------------------------------------- */

/* The floor makes a later loss of acknowledged groups at the very end visible. A journal without
 * it is as good as after a crash, so a failure is not reported. */
static void write_floor(struct journal *journal)
{
    uint64_t first = journal->list.at[journal->list.count - 1].first;
    if (journal->durable < first || journal->durable == journal->floor)
        return;
    uint8_t sector[JOURNAL__SECTOR_BYTES];
    journal__floor_encode(journal->salt, journal->durable, sector);
    enum fr_status status =
        os_write_at(journal->file, JOURNAL__FLOOR_AT, sector, sizeof(sector), NULL);
    if (status == FR_OK)
        status = os_sync(journal->file, NULL);
    fr_ignore(status, "the floor is a help, not a promise");
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    journal__thread_stop(journal);
    if (!journal->read_only && !journal->failed)
        write_floor(journal);
    for (uint32_t i = 0; i < journal->list.count; i++)
        FR_ASSERT(journal->list.at[i].pins == 0); /* a cursor outlives its journal */
    if (journal->file)
        os_close(journal->file);
    if (journal->lock_file)
        os_close(journal->lock_file);
    journal__list_release(&journal->list);
    pthread_cond_destroy(&journal->wake);
    pthread_mutex_destroy(&journal->tending);
    pthread_mutex_destroy(&journal->mutex);
    free(journal->stage);
    free(journal);
}

size_t journal_staged_bytes(const struct journal *journal)
{
    return journal->staged_count ? journal->staged : 0;
}

uint32_t journal_staged_count(const struct journal *journal)
{
    return journal->staged_count;
}

uint64_t journal_durable(const struct journal *journal)
{
    return __atomic_load_n(&journal->durable, __ATOMIC_ACQUIRE);
}

uint64_t journal_first(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    uint64_t first = journal->list.at[0].first;
    pthread_mutex_unlock(&journal->mutex);
    return first;
}

uint64_t journal_position_before(struct journal *journal, int64_t time_us)
{
    uint64_t position = 1;
    pthread_mutex_lock(&journal->mutex);
    for (uint32_t i = 0; i < journal->list.count; i++) {
        if (journal->list.at[i].created_us < time_us)
            position = journal->list.at[i].first;
    }
    pthread_mutex_unlock(&journal->mutex);
    return position;
}

uint64_t journal_bytes(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    uint64_t bytes = journal->list.has_spare ? journal->list.spare_bytes : 0;
    for (uint32_t i = 0; i < journal->list.count; i++)
        bytes += journal->list.at[i].file_bytes;
    pthread_mutex_unlock(&journal->mutex);
    return bytes;
}

bool journal_failed(const struct journal *journal)
{
    return __atomic_load_n(&journal->failed, __ATOMIC_ACQUIRE);
}

uint64_t journal_torn_bytes(const struct journal *journal)
{
    return journal->torn_bytes;
}
