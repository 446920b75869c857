/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots: caches of the fold. <data>/snapshot/<position, 16 hex>.snap, little-endian:
 *
 *   header    8  magic "FRSHSNAP"
 *             4  format version (4)
 *             4  number of tables
 *             8  position: the state after exactly the records up to it (F4)
 *             4  the settings it was made under (fold__settings_of())
 *             4  zero; journal bytes are not here: recovery = this + records from position + 1
 *   tables    for each: varint-prefixed name, u32 row bytes, u32 rows, 16 x u64 meta, u32 blocks
 *             u32 CRC-32C of header and tables
 *   frames    for each block, in any order:
 *             u32 table, u32 block, u32 bytes, u32 CRC-32C of the three and the content; content
 *   end       u32 0xffffffff, u32 0, u32 0, u32 CRC-32C of the three; u64 number of frames
 *
 * Written aside as .tmp, synced, renamed, the directory synced; two are kept. A snapshot that fails
 * any check is passed over for the older one; with none, the whole journal is folded.
 * Thread: begin and load on the writer, step on the snapshot thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fold/fold_priv.h"

enum {
    FORMAT_VERSION = 4,
    HEADER_BYTES = 32,
    FRAME_BYTES = 16,
    WRITE_BYTES = 1 << 20,
    SYNC_BYTES = 4 << 20,
    READ_BYTES = 1 << 20,
    SNAPSHOTS_KEPT = 2,
    SNAPSHOTS_SEEN_MAX = 16,
    PATH_BYTES = 1024,
    TABLE_NAME_BYTES_MAX = 64,
};

static const char magic[8] = {'F', 'R', 'S', 'H', 'S', 'N', 'A', 'P'};

struct fold__snapshot {
    struct fold *fold;
    struct os_file *file;
    uint64_t position, offset, frames;
    uint64_t synced; /* a step at a time, or the journal's sync waits behind all of it */
    struct base_buf buffer;
    size_t table; /* the walk: next block to look at */
    uint32_t block;
    char path[PATH_BYTES], path_tmp[PATH_BYTES + 4];
    int64_t began_us;
};

static void snapshot_path(const struct fold *fold, uint64_t position, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/snapshot/%016" PRIx64 ".snap", fold->options.directory,
             position);
}

static void write_head(struct fold__snapshot *snapshot)
{
    struct fold *fold = snapshot->fold;
    struct base_buf *out = &snapshot->buffer;
    base_buf_put(out, magic, sizeof(magic));
    base_buf_put_u32(out, FORMAT_VERSION);
    base_buf_put_u32(out, (uint32_t)fold->table_count);
    base_buf_put_u64(out, snapshot->position);
    base_buf_put_u32(out, fold->settings);
    base_buf_put_u32(out, 0);
    for (size_t t = 0; t < fold->table_count; t++) {
        struct base_rows *rows = fold->tables[t];
        base_buf_put_string(out, fr_slice_str(base_rows_name(rows)));
        base_buf_put_u32(out, base_rows_row_bytes(rows));
        base_buf_put_u32(out, base_rows_frozen_count(rows));
        for (size_t i = 0; i < BASE_ROWS_META_WORDS; i++)
            base_buf_put_u64(out, base_rows_frozen_meta(rows)[i]);
        base_buf_put_u32(out, base_rows_frozen_blocks(rows));
    }
    base_buf_put_u32(out, base_crc32c(0, out->bytes, out->count));
}

static enum fr_status flush(struct fold__snapshot *snapshot, struct fr_error *error)
{
    struct base_buf *out = &snapshot->buffer;
    if (out->overflowed)
        return base_fail(error, FR_MEMORY, "fold", "no memory for writing a snapshot");
    FR_TRY(os_write_at(snapshot->file, snapshot->offset, out->bytes, out->count, error));
    snapshot->offset += out->count;
    base_buf_clear(out);
    if (snapshot->offset - snapshot->synced < SYNC_BYTES)
        return FR_OK;
    snapshot->synced = snapshot->offset;
    return os_sync(snapshot->file, error);
}

enum fr_status fold__snapshot_begin(struct fold *fold, struct fr_error *error,
                                    struct fold__snapshot **out_snapshot)
{
    struct fold__snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        return base_fail(error, FR_MEMORY, "fold", "no memory for a snapshot");
    snapshot->fold = fold;
    snapshot->position = fold->row->position;
    snapshot->began_us = os_mono_ns(fold->options.os) / 1000;
    snapshot_path(fold, snapshot->position, snapshot->path);
    snprintf(snapshot->path_tmp, sizeof(snapshot->path_tmp), "%s.tmp", snapshot->path);
    enum fr_status status = os_open(fold->options.os, snapshot->path_tmp,
                                    OS_WRITE | OS_CREATE | OS_TRUNCATE, error, &snapshot->file);
    if (status != FR_OK) {
        free(snapshot);
        return status;
    }
    base_buf_init(&snapshot->buffer, 0);
    for (size_t t = 0; t < fold->table_count; t++)
        base_rows_freeze(fold->tables[t], fold->pool);
    write_head(snapshot);
    *out_snapshot = snapshot;
    return FR_OK;
}

uint64_t fold__snapshot_position(const struct fold__snapshot *snapshot)
{
    return snapshot->position;
}

static void write_frame(struct fold__snapshot *snapshot, size_t table, uint32_t b)
{
    struct base_buf *out = &snapshot->buffer;
    size_t start = out->count;
    uint8_t *room = base_buf_reserve(out, FRAME_BYTES + BASE_ROWS_BLOCK_BYTES);
    if (!room)
        return;
    size_t bytes = base_rows_frozen_block(snapshot->fold->tables[table], b, room + FRAME_BYTES);
    if (bytes == 0)
        return; /* taken already, from the pool */
    base_buf_put_u32(out, (uint32_t)table);
    base_buf_put_u32(out, b);
    base_buf_put_u32(out, (uint32_t)bytes);
    uint32_t crc = base_crc32c(0, out->bytes + start, FRAME_BYTES - 4);
    base_buf_put_u32(out, base_crc32c(crc, out->bytes + start + FRAME_BYTES, bytes));
    base_buf_commit(out, bytes);
    snapshot->frames++;
}

/* The next block: those that wait in the pool first, or the writer may wait for long. */
static bool next_block(struct fold__snapshot *snapshot, size_t *out_table, uint32_t *out_b)
{
    struct fold *fold = snapshot->fold;
    struct base_rows *rows = NULL;
    if (base_pool_next(fold->pool, &rows, out_b)) {
        for (size_t t = 0; t < fold->table_count; t++)
            if (fold->tables[t] == rows)
                *out_table = t;
        return true;
    }
    for (; snapshot->table < fold->table_count; snapshot->table++, snapshot->block = 0) {
        if (snapshot->block < base_rows_frozen_blocks(fold->tables[snapshot->table])) {
            *out_table = snapshot->table;
            *out_b = snapshot->block++;
            return true;
        }
    }
    return false;
}

struct seen {
    uint64_t position[SNAPSHOTS_SEEN_MAX];
    size_t count;
};

/* Keeps the newest of what is there; directories hold two or three. */
static void see_snapshot(void *context, const char *name)
{
    struct seen *seen = context;
    char tail[8] = "";
    uint64_t position = 0;
    if (sscanf(name, "%16" SCNx64 "%7s", &position, tail) != 2 || strcmp(tail, ".snap") != 0)
        return;
    size_t at = seen->count < SNAPSHOTS_SEEN_MAX ? seen->count++ : SNAPSHOTS_SEEN_MAX - 1;
    for (; at > 0 && seen->position[at - 1] < position; at--)
        seen->position[at] = seen->position[at - 1];
    seen->position[at] = position;
}

static enum fr_status list_snapshots(struct fold *fold, struct seen *seen, struct fr_error *error)
{
    char directory[PATH_BYTES];
    snprintf(directory, sizeof(directory), "%s/snapshot", fold->options.directory);
    *seen = (struct seen){0};
    return fold->options.os->table->list(fold->options.os, directory, see_snapshot, seen, error);
}

static void drop_older(struct fold *fold)
{
    struct seen seen;
    if (list_snapshots(fold, &seen, NULL) != FR_OK)
        return; /* nothing is lost: the next snapshot tries again */
    for (size_t i = SNAPSHOTS_KEPT; i < seen.count; i++) {
        char path[PATH_BYTES];
        snapshot_path(fold, seen.position[i], path);
        fr_ignore(fold->options.os->table->unlink(fold->options.os, path, NULL),
                  "an old snapshot that stays only takes space; tried again next time");
    }
}

static enum fr_status finish(struct fold__snapshot *snapshot, struct fr_error *error)
{
    struct fold *fold = snapshot->fold;
    struct os *os = fold->options.os;
    struct base_buf *out = &snapshot->buffer;
    char directory[PATH_BYTES];
    size_t start = out->count;
    base_buf_put_u32(out, UINT32_MAX);
    base_buf_put_u64(out, 0);
    base_buf_put_u32(out, base_crc32c(0, out->bytes + start, FRAME_BYTES - 4));
    base_buf_put_u64(out, snapshot->frames);
    FR_TRY(flush(snapshot, error));
    FR_TRY(os_sync(snapshot->file, error));
    FR_TRY(os->table->rename(os, snapshot->path_tmp, snapshot->path, error));
    snprintf(directory, sizeof(directory), "%s/snapshot", fold->options.directory);
    FR_TRY(os->table->sync_dir(os, directory, error));
    drop_older(fold);
    obs_gauge_set(OBS_SNAPSHOT_BYTES, (double)snapshot->offset);
    return FR_OK;
}

static void end(struct fold__snapshot *snapshot, bool good)
{
    struct fold *fold = snapshot->fold;
    for (size_t t = 0; t < fold->table_count; t++)
        base_rows_thaw(fold->tables[t]);
    os_close(snapshot->file);
    if (!good)
        fr_ignore(fold->options.os->table->unlink(fold->options.os, snapshot->path_tmp, NULL),
                  "a half-written .tmp is never read and is overwritten or left");
    base_buf_release(&snapshot->buffer);
    free(snapshot);
}

enum fr_status fold__snapshot_step(struct fold__snapshot *snapshot, uint32_t blocks,
                                   struct fr_error *error)
{
    enum fr_status status = FR_OK;
    size_t table = 0;
    uint32_t b = 0;
    for (; blocks > 0 && status == FR_OK; blocks--) {
        if (!next_block(snapshot, &table, &b)) {
            status = finish(snapshot, error);
            end(snapshot, status == FR_OK);
            return status;
        }
        write_frame(snapshot, table, b);
        if (snapshot->buffer.count >= WRITE_BYTES)
            status = flush(snapshot, error);
    }
    if (status != FR_OK) {
        end(snapshot, false);
        return status;
    }
    return FR_AGAIN;
}

/* ---- loading ---------------------------------------------------------------------------- */

struct loader {
    struct os_file *file;
    const char *path;
    uint64_t offset, bytes;
    uint8_t *buffer;
    size_t at, filled;
    struct fr_error *error;
};

static enum fr_status damaged(const struct loader *loader, const char *what)
{
    return base_fail(loader->error, FR_CORRUPT, "fold",
                     "snapshot %s is damaged near byte %" PRIu64 ": %s", loader->path,
                     loader->offset - loader->filled + loader->at, what);
}

/* `count` bytes in place, at most READ_BYTES. */
static enum fr_status need(struct loader *loader, size_t count, const uint8_t **out_bytes)
{
    FR_ASSERT(count <= READ_BYTES);
    if (loader->filled - loader->at < count) {
        size_t got = 0;
        memmove(loader->buffer, loader->buffer + loader->at, loader->filled - loader->at);
        loader->filled -= loader->at;
        loader->at = 0;
        FR_TRY(os_read_at(loader->file, loader->offset, loader->buffer + loader->filled,
                          2 * READ_BYTES - loader->filled, &got, loader->error));
        loader->offset += got;
        loader->filled += got;
        if (loader->filled < count)
            return damaged(loader, "it ends too early");
    }
    *out_bytes = loader->buffer + loader->at;
    loader->at += count;
    return FR_OK;
}

static struct base_rows *table_of(struct fold *fold, struct fr_slice name)
{
    for (size_t t = 0; t < fold->table_count; t++)
        if (fr_slice_equal(fr_slice_str(base_rows_name(fold->tables[t])), name))
            return fold->tables[t];
    return NULL;
}

struct file_table {
    struct base_rows *rows;
    uint32_t blocks;
};

static enum fr_status load_table(struct loader *loader, struct fold *fold, uint32_t *crc,
                                 struct file_table *out)
{
    const uint8_t *bytes = NULL;
    FR_TRY(need(loader, 1, &bytes));
    uint8_t name_bytes = *bytes;
    if (name_bytes == 0 || name_bytes > TABLE_NAME_BYTES_MAX)
        return damaged(loader, "a table's name has an impossible length");
    size_t rest = name_bytes + 4 + 4 + 8 * BASE_ROWS_META_WORDS + 4;
    *crc = base_crc32c(*crc, bytes, 1);
    FR_TRY(need(loader, rest, &bytes));
    *crc = base_crc32c(*crc, bytes, rest);
    struct base_reader reader = base_reader_of(bytes, rest);
    struct fr_slice name = base_reader_take(&reader, name_bytes);
    out->rows = table_of(fold, name);
    if (!out->rows)
        return base_fail(loader->error, FR_UNSUPPORTED, "fold",
                         "snapshot %s has a table '%.*s' that this version does not know",
                         loader->path, (int)name.bytes, name.ptr);
    uint64_t meta[BASE_ROWS_META_WORDS];
    uint32_t row_bytes = base_reader_u32(&reader), count = base_reader_u32(&reader);
    for (size_t i = 0; i < BASE_ROWS_META_WORDS; i++)
        meta[i] = base_reader_u64(&reader);
    out->blocks = base_reader_u32(&reader);
    if (row_bytes != base_rows_row_bytes(out->rows))
        return base_fail(loader->error, FR_UNSUPPORTED, "fold",
                         "snapshot %s has rows of %u bytes in table '%s', this version %u",
                         loader->path, row_bytes, base_rows_name(out->rows),
                         base_rows_row_bytes(out->rows));
    if (base_rows_load_begin(out->rows, count, meta) != FR_OK)
        return base_fail(
            loader->error, FR_UNSUPPORTED, "fold",
            "snapshot %s has %u rows in table '%s', which takes %u here: it is damaged, or "
            "of another memory-max",
            loader->path, count, base_rows_name(out->rows), base_rows_count_max(out->rows));
    return FR_OK;
}

/* The state is a function of journal and settings. Where records are gone, the snapshot is all there is. */
static enum fr_status check_settings(const struct loader *loader, const struct fold *fold,
                                     uint32_t settings)
{
    if (settings == fold->settings)
        return FR_OK;
    if (journal_first(fold->journal) <= 1)
        return base_fail(loader->error, FR_UNSUPPORTED, "fold",
                         "snapshot %s was made under other settings than these: %s", loader->path,
                         fold->settings ? fold->options.settings : "the defaults");
    obs_log(OBS_WARN, "fold",
            "snapshot %s was made under other settings, and the records before position %" PRIu64
            " are gone: what it holds stays as it was, the settings hold from here on",
            loader->path, journal_first(fold->journal));
    return FR_OK;
}

static enum fr_status load_head(struct loader *loader, struct fold *fold,
                                struct file_table tables[FOLD__TABLES_MAX], uint64_t *out_position)
{
    const uint8_t *bytes = NULL;
    FR_TRY(need(loader, HEADER_BYTES, &bytes));
    uint32_t crc = base_crc32c(0, bytes, HEADER_BYTES);
    struct base_reader reader = base_reader_of(bytes, HEADER_BYTES);
    struct fr_slice head = base_reader_take(&reader, sizeof(magic));
    if (!fr_slice_equal(head, fr_slice_of(magic, sizeof(magic))))
        return damaged(loader, "it does not begin as a snapshot");
    uint32_t version = base_reader_u32(&reader);
    if (version != FORMAT_VERSION)
        return base_fail(loader->error, FR_UNSUPPORTED, "fold",
                         "snapshot %s has format version %u, this program reads %u", loader->path,
                         version, FORMAT_VERSION);
    uint32_t count = base_reader_u32(&reader);
    *out_position = base_reader_u64(&reader);
    FR_TRY(check_settings(loader, fold, base_reader_u32(&reader)));
    if (count != fold->table_count)
        return base_fail(loader->error, FR_UNSUPPORTED, "fold",
                         "snapshot %s has %u tables, this version %zu", loader->path, count,
                         fold->table_count);
    for (uint32_t t = 0; t < count; t++)
        FR_TRY(load_table(loader, fold, &crc, &tables[t]));
    FR_TRY(need(loader, 4, &bytes));
    reader = base_reader_of(bytes, 4);
    if (base_reader_u32(&reader) != crc)
        return damaged(loader, "the checksum of its head is wrong");
    return FR_OK;
}

static enum fr_status load_frames(struct loader *loader, struct fold *fold,
                                  const struct file_table tables[FOLD__TABLES_MAX])
{
    uint64_t wanted = 0, frames = 0;
    const uint8_t *bytes = NULL;
    for (size_t t = 0; t < fold->table_count; t++)
        wanted += tables[t].blocks;
    for (;;) {
        FR_TRY(need(loader, FRAME_BYTES, &bytes));
        struct base_reader reader = base_reader_of(bytes, FRAME_BYTES);
        uint32_t table = base_reader_u32(&reader), b = base_reader_u32(&reader);
        uint32_t content = base_reader_u32(&reader), crc = base_reader_u32(&reader);
        uint32_t crc_seen = base_crc32c(0, bytes, FRAME_BYTES - 4);
        if (table == UINT32_MAX && crc == crc_seen)
            break;
        if (table >= fold->table_count || content > BASE_ROWS_BLOCK_BYTES)
            return damaged(loader, "a block's head is impossible");
        FR_TRY(need(loader, content, &bytes));
        if (base_crc32c(crc_seen, bytes, content) != crc)
            return damaged(loader, "the checksum of a block is wrong");
        if (base_rows_load_block(tables[table].rows, b, bytes, content) != FR_OK)
            return damaged(loader, "a block does not fit its table");
        frames++;
    }
    FR_TRY(need(loader, 8, &bytes));
    struct base_reader reader = base_reader_of(bytes, 8);
    if (base_reader_u64(&reader) != frames || frames != wanted)
        return damaged(loader, "blocks are missing");
    return FR_OK;
}

static enum fr_status load_one(struct fold *fold, const char *path, struct fr_error *error,
                               uint64_t *out_position)
{
    struct loader loader = {.path = path, .error = error};
    struct file_table tables[FOLD__TABLES_MAX];
    FR_TRY(os_open(fold->options.os, path, OS_READ, error, &loader.file));
    loader.buffer = malloc(2 * READ_BYTES);
    FR_ASSERT(loader.buffer != NULL);
    enum fr_status status = load_head(&loader, fold, tables, out_position);
    if (status == FR_OK)
        status = load_frames(&loader, fold, tables);
    free(loader.buffer);
    os_close(loader.file);
    return status;
}

/* The tables as they were made (rooms put first rows into them), for when a snapshot turns out bad
 * half-way through its loading. */
struct beginnings {
    struct beginning {
        uint32_t count, blocks;
        uint64_t meta[BASE_ROWS_META_WORDS];
        uint8_t *bytes; /* blocks, each with room for BASE_ROWS_BLOCK_BYTES */
    } table[FOLD__TABLES_MAX];
};

static uint32_t rows_per_block(const struct base_rows *rows)
{
    return (uint32_t)(BASE_ROWS_BLOCK_BYTES / base_rows_row_bytes(rows));
}

/* Bytes of the rows of block b when there are `count` rows. */
static size_t bytes_of_block(const struct base_rows *rows, uint32_t b, uint32_t count)
{
    uint32_t in_block = FR_MIN(count - b * rows_per_block(rows), rows_per_block(rows));
    return (size_t)in_block * base_rows_row_bytes(rows);
}

static void beginnings_release(struct beginnings *beginnings)
{
    for (size_t t = 0; t < FOLD__TABLES_MAX; t++)
        free(beginnings->table[t].bytes);
    free(beginnings);
}

static struct beginnings *beginnings_take(struct fold *fold)
{
    struct beginnings *beginnings = calloc(1, sizeof(*beginnings));
    FR_ASSERT(beginnings != NULL);
    for (size_t t = 0; t < fold->table_count; t++) {
        struct base_rows *rows = fold->tables[t];
        struct beginning *at = &beginnings->table[t];
        at->count = base_rows_count(rows);
        at->blocks = (at->count + rows_per_block(rows) - 1) / rows_per_block(rows);
        memcpy(at->meta, base_rows_meta(rows), sizeof(at->meta));
        at->bytes = malloc(at->blocks * BASE_ROWS_BLOCK_BYTES);
        FR_ASSERT(at->bytes != NULL);
        for (uint32_t b = 0; b < at->blocks; b++)
            memcpy(at->bytes + b * BASE_ROWS_BLOCK_BYTES,
                   base_rows_at(rows, b * rows_per_block(rows)),
                   bytes_of_block(rows, b, at->count));
    }
    return beginnings;
}

static void beginnings_restore(struct fold *fold, const struct beginnings *beginnings)
{
    for (size_t t = 0; t < fold->table_count; t++) {
        struct base_rows *rows = fold->tables[t];
        const struct beginning *at = &beginnings->table[t];
        base_rows_clear(rows);
        FR_ASSERT(base_rows_load_begin(rows, at->count, at->meta) == FR_OK);
        for (uint32_t b = 0; b < at->blocks; b++)
            FR_ASSERT(base_rows_load_block(rows, b, at->bytes + b * BASE_ROWS_BLOCK_BYTES,
                                           bytes_of_block(rows, b, at->count)) == FR_OK);
    }
}

static void load_newest_good(struct fold *fold, const struct seen *seen,
                             const struct beginnings *beginnings, uint64_t *out_position)
{
    for (size_t i = 0; i < seen->count; i++) {
        char path[PATH_BYTES];
        struct fr_error fault = {0};
        if (fold->options.until && seen->position[i] > fold->options.until)
            continue;
        snapshot_path(fold, seen->position[i], path);
        if (load_one(fold, path, &fault, out_position) == FR_OK)
            return;
        obs_log(OBS_WARN, "fold", "%s; trying an older one", fault.message);
        beginnings_restore(fold, beginnings);
        *out_position = 0;
    }
}

enum fr_status fold__snapshot_load(struct fold *fold, struct fr_error *error,
                                   uint64_t *out_position)
{
    struct seen seen;
    enum fr_status status = list_snapshots(fold, &seen, error);
    *out_position = 0;
    if (status == FR_NOT_FOUND)
        return FR_OK;
    FR_TRY(status);
    if (seen.count == 0)
        return FR_OK;
    struct beginnings *beginnings = beginnings_take(fold);
    load_newest_good(fold, &seen, beginnings, out_position);
    beginnings_release(beginnings);
    return FR_OK;
}
