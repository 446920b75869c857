/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, housekeeping beside the writer: a spare segment ahead of need, compression of sealed
 * segments, retention. `tending` makes them take turns; `mutex` is held only to look and to switch.
 * Thread: any; the journal's own thread makes spares.
 */
#include "journal/journal_priv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 3, STEP_BYTES = 1 << 20, PAUSE_NS_MAX = 50000000 };
#define PACKING_NAME "packing.tmp"

/* ---- the pace ---------------------------------------------------------------------------------
 */

/* The disk is the writer's first: a large piece of housekeeping goes in steps, each synced, with
 * pauses four times as long, so that a group's sync never waits behind more than one step. None
 * when the newest segment is three quarters full (the spare is needed soon) or in a simulation. */
static void pace(struct journal *journal, int64_t step_ns)
{
    if (!journal->thread_wanted)
        return;
    struct timespec until;
    int64_t pause_ns = FR_MIN(step_ns * 4, (int64_t)PAUSE_NS_MAX);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += pause_ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&journal->mutex);
    bool hurry = journal->stop || journal->offset > journal->segment_bytes / 4 * 3;
    if (!hurry)
        pthread_cond_timedwait(&journal->wake, &journal->mutex, &until);
    pthread_mutex_unlock(&journal->mutex);
}

static bool is_stopping(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    bool stop = journal->stop;
    pthread_mutex_unlock(&journal->mutex);
    return stop;
}

/* ---- the spare ------------------------------------------------------------------------------- */

/* All of the file is zeroed, what was in it before too: it keeps its blocks, that is the point of
 * recycling. */
static enum fr_status zero_in_steps(struct journal *journal, struct os_file *file,
                                    struct fr_error *error, uint64_t *out_bytes)
{
    uint64_t bytes = 0;
    FR_TRY(os_size(file, &bytes, error));
    bytes = FR_MAX(bytes, journal->segment_bytes);
    for (uint64_t at = 0; at < bytes; at += STEP_BYTES) {
        int64_t began_ns = os_mono_ns(journal->os);
        FR_TRY(journal__write_zeros(file, at, FR_MIN(at + STEP_BYTES, bytes), error));
        FR_TRY(os_sync(file, error));
        pace(journal, os_mono_ns(journal->os) - began_ns);
        if (is_stopping(journal))
            return base_fail(error, FR_AGAIN, "journal", "the journal is being closed");
    }
    *out_bytes = bytes;
    return FR_OK;
}

/* Zeroes spare.tmp (new, or a retired segment under that name, J6) and gives it its final name. */
static enum fr_status make_spare(struct journal *journal, struct fr_error *error)
{
    char from[OS_PATH_MAX], to[OS_PATH_MAX];
    struct os_file *file;
    uint64_t bytes = 0;
    FR_TRY(journal__path(journal->directory, "spare.tmp", error, from));
    FR_TRY(journal__path(journal->directory, "spare.seg", error, to));
    enum fr_status status =
        os_open(journal->os, from, OS_READ | OS_WRITE | OS_CREATE, error, &file);
    if (status == FR_OK) {
        status = zero_in_steps(journal, file, error, &bytes);
        os_close(file);
    }
    if (status != FR_OK) {
        fr_ignore(os_unlink(journal->os, from, NULL), "gives the space back; swept at open");
        return status;
    }
    pthread_mutex_lock(&journal->mutex);
    status = os_rename(journal->os, from, to, error);
    if (status == FR_OK) {
        journal->list.has_spare = true;
        journal->list.spare_bytes = bytes;
    }
    pthread_mutex_unlock(&journal->mutex);
    return status;
}

static bool has_spare(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    bool has = journal->list.has_spare;
    pthread_mutex_unlock(&journal->mutex);
    return has;
}

enum fr_status journal_prepare(struct journal *journal, struct fr_error *error)
{
    FR_ASSERT(!journal->read_only);
    pthread_mutex_lock(&journal->tending);
    enum fr_status status = has_spare(journal) ? FR_OK : make_spare(journal, error);
    pthread_mutex_unlock(&journal->tending);
    return status;
}

static void *prepare_thread(void *context)
{
    struct journal *journal = context;
    pthread_setname_np(pthread_self(), "fr-spare");
    pthread_mutex_lock(&journal->mutex);
    while (!journal->stop) {
        if (!journal->list.has_spare) {
            pthread_mutex_unlock(&journal->mutex);
            fr_ignore(journal_prepare(journal, NULL), "the writer makes do without a spare");
            pthread_mutex_lock(&journal->mutex);
        }
        if (!journal->stop)
            pthread_cond_wait(&journal->wake, &journal->mutex);
    }
    pthread_mutex_unlock(&journal->mutex);
    return NULL;
}

void journal__thread_poke(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    if (!journal->thread_runs)
        journal->thread_runs = pthread_create(&journal->thread, NULL, prepare_thread, journal) == 0;
    else
        pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->mutex);
}

void journal__thread_stop(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    bool runs = journal->thread_runs;
    journal->stop = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->mutex);
    if (runs)
        pthread_join(journal->thread, NULL);
}

/* ---- sealing -----------------------------------------------------------------------------------
 */

struct packer {
    struct os_file *file;
    struct journal *journal;
    uint64_t written, synced;
    ZSTD_CStream *zstd;
    uint8_t *out;
    uint32_t crc; /* of the content */
    uint32_t packed_crc;
    uint64_t first, next; /* the segment's positions */
};

static enum fr_status sync_in_steps(struct packer *packer, struct fr_error *error)
{
    if (packer->written - packer->synced < STEP_BYTES)
        return FR_OK;
    int64_t began_ns = os_mono_ns(packer->journal->os);
    FR_TRY(os_sync(packer->file, error));
    packer->synced = packer->written;
    pace(packer->journal, os_mono_ns(packer->journal->os) - began_ns);
    return FR_OK;
}

static enum fr_status pack(struct packer *packer, const uint8_t *bytes, size_t count, bool last,
                           struct fr_error *error)
{
    ZSTD_inBuffer in = {bytes, count, 0};
    packer->crc = base_crc32c(packer->crc, bytes, count);
    for (;;) {
        ZSTD_outBuffer out = {packer->out, JOURNAL__READ_BYTES, 0};
        size_t left =
            ZSTD_compressStream2(packer->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return base_fail(error, FR_MEMORY, "journal", "zstd: %s", ZSTD_getErrorName(left));
        FR_TRY(os_write_at(packer->file, packer->written, packer->out, out.pos, error));
        packer->written += out.pos;
        packer->packed_crc = base_crc32c(packer->packed_crc, packer->out, out.pos);
        FR_TRY(sync_in_steps(packer, error));
        if (last ? left == 0 : in.pos == in.size)
            return FR_OK;
    }
}

/* Checks the segment group by group up to its last position and packs exactly that. */
static enum fr_status pack_segment(struct journal__reader *reader, uint64_t salt,
                                   struct packer *packer, struct fr_error *error)
{
    struct journal__header header;
    uint64_t at = JOURNAL__HEADER_BYTES;
    struct journal__span span;
    FR_TRY(journal__reader_header(reader, packer->first, error, &header));
    FR_TRY(journal__reader_need(reader, 0, JOURNAL__HEADER_BYTES, error, &span));
    FR_TRY(pack(packer, span.bytes, JOURNAL__HEADER_BYTES, false, error));
    for (uint64_t position = header.first; position < packer->next;) {
        struct journal__group group = {0};
        FR_TRY(journal__reader_need(reader, at, JOURNAL__GROUP_BYTES, error, &span));
        if (span.count < JOURNAL__GROUP_BYTES ||
            !journal__group_decode(span.bytes, salt, at, &group) || group.first != position)
            return journal__corrupt(error, reader->name, at, "a group fails its check");
        size_t whole = JOURNAL__GROUP_BYTES + (size_t)group.bytes;
        FR_TRY(journal__reader_need(reader, at, whole, error, &span));
        if (span.count < whole ||
            !journal__body_valid(span.bytes + JOURNAL__GROUP_BYTES, salt, &group))
            return journal__corrupt(error, reader->name, at, "a record fails its check");
        FR_TRY(pack(packer, span.bytes, whole, false, error));
        at += whole;
        position += group.count;
    }
    FR_TRY(pack(packer, NULL, 0, true, error));
    uint8_t trailer[JOURNAL__TRAILER_BYTES];
    journal__trailer_encode(packer->written, packer->packed_crc, trailer);
    FR_TRY(os_write_at(packer->file, packer->written, trailer, sizeof(trailer), error));
    packer->written += sizeof(trailer);
    return FR_OK;
}

/* Reads the packed file back: is it the same content? */
static enum fr_status check_packed(struct journal *journal, uint32_t crc, struct fr_error *error)
{
    struct journal__reader reader;
    uint32_t seen = 0;
    struct journal__source source = {journal->os, journal->directory, 0, true, PACKING_NAME};
    FR_TRY(journal__reader_open(&source, error, &reader));
    enum fr_status status = FR_OK;
    for (uint64_t at = 0; status == FR_OK;) {
        struct journal__span span = {0};
        status = journal__reader_need(&reader, at, JOURNAL__READ_BYTES, error, &span);
        if (status != FR_OK || span.count == 0)
            break;
        seen = base_crc32c(seen, span.bytes, span.count);
        at += span.count;
    }
    journal__reader_close(&reader);
    if (status == FR_CORRUPT || (status == FR_OK && seen != crc))
        return base_fail(error, FR_IO, "journal", "%s does not read back as written", PACKING_NAME);
    return status;
}

static enum fr_status packer_init(struct packer *packer, struct journal *journal, const char *path,
                                  struct fr_error *error)
{
    *packer = (struct packer){.journal = journal,
                              .zstd = ZSTD_createCStream(),
                              .out = malloc(JOURNAL__READ_BYTES)};
    if (!packer->zstd || !packer->out)
        return base_fail(error, FR_MEMORY, "journal", "no memory to compress");
    ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_checksumFlag, 1);
    return os_open(journal->os, path, OS_WRITE | OS_CREATE | OS_TRUNCATE, error, &packer->file);
}

static void packer_release(struct packer *packer)
{
    if (packer->file)
        os_close(packer->file);
    ZSTD_freeCStream(packer->zstd);
    free(packer->out);
}

/* Makes names added and removed durable. When that fails, a removed one may come back after a crash
 * whatever is synced later (O3), so nothing newer than it may go any more: retention stops. Under
 * `tending`. */
static enum fr_status sync_names(struct journal *journal, struct fr_error *error)
{
    enum fr_status status = os_sync_dir(journal->os, journal->directory, error);
    if (status != FR_OK)
        journal->drop_failed = true;
    return status;
}

/* Writes <first>.seg.zst, whole, checked and durable with its name. */
static enum fr_status compress_segment(struct journal *journal, uint64_t first, uint64_t next,
                                       uint64_t *out_bytes, struct fr_error *error)
{
    char name[JOURNAL__NAME_BYTES], path[OS_PATH_MAX], tmp[OS_PATH_MAX];
    struct journal__reader reader;
    struct packer packer;
    journal__name_print(first, true, name);
    FR_TRY(journal__path(journal->directory, name, error, path));
    FR_TRY(journal__path(journal->directory, PACKING_NAME, error, tmp));
    struct journal__source source = {journal->os, journal->directory, first, false, NULL};
    FR_TRY(journal__reader_open(&source, error, &reader));
    enum fr_status status = packer_init(&packer, journal, tmp, error);
    packer.first = first;
    packer.next = next;
    if (status == FR_OK)
        status = pack_segment(&reader, journal->salt, &packer, error);
    if (status == FR_OK)
        status = os_sync(packer.file, error);
    if (status == FR_OK)
        status = check_packed(journal, packer.crc, error);
    if (status == FR_OK)
        status = os_rename(journal->os, tmp, path, error);
    if (status == FR_OK)
        status = sync_names(journal, error);
    else
        fr_ignore(os_unlink(journal->os, tmp, NULL), "swept at the next open");
    *out_bytes = packer.written;
    packer_release(&packer);
    journal__reader_close(&reader);
    return status;
}

/* The plain file of a segment that is not needed any more: the next spare, or gone. */
static enum fr_status retire(struct journal *journal, const char *path, struct fr_error *error)
{
    char spare[OS_PATH_MAX];
    if (has_spare(journal)) {
        FR_TRY(os_unlink(journal->os, path, error));
        return sync_names(journal, error);
    }
    FR_TRY(journal__path(journal->directory, "spare.tmp", error, spare));
    FR_TRY(os_rename(journal->os, path, spare, error));
    FR_TRY(sync_names(journal, error)); /* J6 */
    return make_spare(journal, error);
}

/* The segment `first` reads from its compressed file from now on; false when a cursor is on it. */
static bool switch_segment(struct journal *journal, uint64_t first, uint64_t bytes)
{
    bool switched = false;
    pthread_mutex_lock(&journal->mutex);
    for (uint32_t i = 0; i < journal->list.count; i++) {
        struct journal__segment *segment = &journal->list.at[i];
        if (segment->first != first || segment->pins > 0)
            continue;
        segment->compressed = true;
        segment->file_bytes = bytes;
        switched = true;
    }
    pthread_mutex_unlock(&journal->mutex);
    return switched;
}

static enum fr_status seal_one(struct journal *journal, uint64_t first, uint64_t next,
                               struct fr_error *error)
{
    char name[JOURNAL__NAME_BYTES], path[OS_PATH_MAX];
    uint64_t bytes = 0;
    FR_TRY(compress_segment(journal, first, next, &bytes, error));
    bool switched = switch_segment(journal, first, bytes);
    journal__name_print(first, !switched, name);
    FR_TRY(journal__path(journal->directory, name, error, path));
    /* a cursor came: the compressed file goes, another time */
    enum fr_status status =
        switched ? retire(journal, path, error) : os_unlink(journal->os, path, error);
    if (status != FR_OK)
        journal->drop_failed = true; /* both files stay, so nothing newer may go until an open */
    return status;
}

/* The first segment at or after `from` that may be sealed; 0: none. */
static uint64_t next_to_seal(struct journal *journal, uint64_t from, uint64_t position,
                             uint64_t *out_next)
{
    uint64_t found = 0;
    pthread_mutex_lock(&journal->mutex);
    for (uint32_t i = 0; i + 1 < journal->list.count && !found; i++) {
        const struct journal__segment *segment = &journal->list.at[i];
        *out_next = journal->list.at[i + 1].first;
        if (segment->first >= from && *out_next <= position && !segment->compressed &&
            segment->pins == 0)
            found = segment->first;
    }
    pthread_mutex_unlock(&journal->mutex);
    return found;
}

enum fr_status journal_seal(struct journal *journal, uint64_t position, struct fr_error *error)
{
    FR_ASSERT(!journal->read_only);
    enum fr_status status = FR_OK;
    uint64_t next = 0;
    pthread_mutex_lock(&journal->tending);
    while (status == FR_OK) {
        uint64_t first = next_to_seal(journal, next, position, &next);
        if (first == 0)
            break;
        status = seal_one(journal, first, next, error);
    }
    pthread_mutex_unlock(&journal->tending);
    return status;
}

/* ---- retention
 * ------------------------------------------------------------------------------------ */

/* Takes the oldest segment off the list when all of it lies below `position`. */
static bool take_oldest(struct journal *journal, uint64_t position, struct journal__segment *out)
{
    struct journal__list *list = &journal->list;
    pthread_mutex_lock(&journal->mutex);
    bool may = list->count > 1 && list->at[1].first <= position && list->at[0].pins == 0;
    if (may) {
        *out = list->at[0];
        list->count--;
        memmove(list->at, list->at + 1, list->count * sizeof(*list->at));
    }
    pthread_mutex_unlock(&journal->mutex);
    return may;
}

static void put_back(struct journal *journal, const struct journal__segment *oldest)
{
    struct journal__list *list = &journal->list;
    pthread_mutex_lock(&journal->mutex);
    if (journal__list_add(list, *oldest, NULL) == FR_OK) {
        memmove(list->at + 1, list->at, (list->count - 1) * sizeof(*list->at));
        list->at[0] = *oldest;
    } else {
        journal->drop_failed = true; /* its file stays, so nothing newer may go */
    }
    pthread_mutex_unlock(&journal->mutex);
}

/* One by one, each durable before the next: a crash must not keep an older one and lose a newer. */
static enum fr_status drop_one(struct journal *journal, const struct journal__segment *oldest,
                               struct fr_error *error)
{
    char name[JOURNAL__NAME_BYTES], path[OS_PATH_MAX];
    journal__name_print(oldest->first, oldest->compressed, name);
    enum fr_status status = journal__path(journal->directory, name, error, path);
    if (status == FR_OK)
        status = os_unlink(journal->os, path, error);
    if (status != FR_OK) {
        put_back(journal, oldest);
        return status;
    }
    return sync_names(journal, error);
}

enum fr_status journal_drop(struct journal *journal, uint64_t position, struct fr_error *error)
{
    FR_ASSERT(!journal->read_only);
    enum fr_status status = FR_OK;
    struct journal__segment oldest;
    pthread_mutex_lock(&journal->tending);
    if (journal->drop_failed)
        status = base_fail(error, FR_IO, "journal", "a removal in %s could not be made durable",
                           journal->directory);
    while (status == FR_OK && take_oldest(journal, position, &oldest))
        status = drop_one(journal, &oldest, error);
    pthread_mutex_unlock(&journal->tending);
    return status;
}
