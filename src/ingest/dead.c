/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_dead: the dead-letter store: lines of JSON in <directory>/00000001.ndjson and so on. Only
 * the newest file grows; at its largest size the next begins, and beyond the largest count the
 * oldest goes. After a crash a last line without its end is cut. Nothing is synced: a letter is a
 * courtesy, its sender has the reason already.
 *
 * Thread: any. Locks: dead->mutex, a leaf.
 */
#include "ingest/ingest.h"
#include "obs/obs.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_COUNT_MAX = 8, RAW_BYTES_MAX = 16 * 1024, PATH_BYTES = 512, TAIL_BYTES = 64 * 1024 };
#define FILE_BYTES_MAX ((uint64_t)16 * 1024 * 1024)

struct ingest_dead {
    struct os *os;
    char directory[PATH_BYTES - 32];
    uint64_t file_bytes_max;
    uint32_t file_count_max;
    size_t raw_bytes_max;
    pthread_mutex_t mutex;
    struct os_file *file; /* the newest, open for writing */
    uint64_t first, last; /* numbers of the files there are; last = 0: none */
    uint64_t file_bytes;  /* of the newest */
    struct base_buf line;
    struct ingest_dead_stats stats;
};

static void path_of(const struct ingest_dead *dead, uint64_t number, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%08" PRIu64 ".ndjson", dead->directory, number);
}

/* ---- opening ------------------------------------------------------------------------------------
 */

static void note_file(void *context, const char *name)
{
    struct ingest_dead *dead = context;
    char *end;
    uint64_t number = strtoull(name, &end, 10);
    if (number == 0 || strcmp(end, ".ndjson") != 0)
        return;
    if (dead->last == 0 || number < dead->first)
        dead->first = number;
    dead->last = FR_MAX(dead->last, number);
}

static enum fr_status file_bytes_of(struct ingest_dead *dead, uint64_t number, uint64_t *out_bytes,
                                    struct fr_error *error)
{
    char path[PATH_BYTES];
    struct os_file *file;
    path_of(dead, number, path);
    enum fr_status status = os_open(dead->os, path, OS_READ, error, &file);
    if (status == FR_NOT_FOUND) {
        *out_bytes = 0;
        return FR_OK;
    }
    FR_TRY(status);
    status = os_size(file, out_bytes, error);
    os_close(file);
    return status;
}

/* The file's bytes up to the end of its last whole line. */
static enum fr_status whole_bytes(struct os_file *file, uint64_t bytes, uint64_t *out_bytes,
                                  struct fr_error *error)
{
    uint8_t *tail = malloc(TAIL_BYTES);
    enum fr_status status = tail ? FR_OK : FR_MEMORY;
    uint64_t whole = 0;
    while (status == FR_OK && bytes > 0 && whole == 0) {
        size_t piece = (size_t)FR_MIN(bytes, (uint64_t)TAIL_BYTES), got = 0;
        status = os_read_at(file, bytes - piece, tail, piece, &got, error);
        const uint8_t *end = status == FR_OK && got ? memrchr(tail, '\n', got) : NULL;
        if (end)
            whole = bytes - piece + (uint64_t)(end - tail) + 1;
        bytes -= piece;
    }
    free(tail);
    if (status == FR_OK)
        *out_bytes = whole;
    return status;
}

static enum fr_status open_newest(struct ingest_dead *dead, struct fr_error *error)
{
    char path[PATH_BYTES];
    uint64_t bytes;
    if (dead->last == 0)
        dead->first = dead->last = 1;
    path_of(dead, dead->last, path);
    FR_TRY(os_open(dead->os, path, OS_READ | OS_WRITE | OS_CREATE, error, &dead->file));
    FR_TRY(os_size(dead->file, &bytes, error));
    FR_TRY(whole_bytes(dead->file, bytes, &dead->file_bytes, error));
    if (dead->file_bytes < bytes)
        FR_TRY(dead->os->table->truncate(dead->file, dead->file_bytes, error));
    dead->stats.bytes += dead->file_bytes;
    return FR_OK;
}

enum fr_status ingest_dead_open(const struct ingest_dead_options *options, struct fr_error *error,
                                struct ingest_dead **out_dead)
{
    struct ingest_dead *dead = calloc(1, sizeof(*dead));
    if (!dead)
        return base_fail(error, FR_MEMORY, "ingest", "no memory for the dead-letter store");
    pthread_mutex_init(&dead->mutex, NULL);
    dead->os = options->os;
    snprintf(dead->directory, sizeof(dead->directory), "%s", options->directory);
    dead->file_bytes_max = options->file_bytes_max ? options->file_bytes_max : FILE_BYTES_MAX;
    dead->file_count_max = options->file_count_max ? options->file_count_max : FILE_COUNT_MAX;
    dead->raw_bytes_max = options->raw_bytes_max ? options->raw_bytes_max : RAW_BYTES_MAX;
    base_buf_init(&dead->line, 0);
    enum fr_status status = dead->os->table->mkdir(dead->os, dead->directory, error);
    if (status == FR_OK)
        status = dead->os->table->list(dead->os, dead->directory, note_file, dead, error);
    for (uint64_t i = dead->first; status == FR_OK && i > 0 && i < dead->last; i++) {
        uint64_t bytes = 0;
        status = file_bytes_of(dead, i, &bytes, error);
        dead->stats.bytes += bytes;
    }
    if (status == FR_OK)
        status = open_newest(dead, error);
    if (status != FR_OK) {
        ingest_dead_close(dead);
        return status;
    }
    *out_dead = dead;
    return FR_OK;
}

void ingest_dead_close(struct ingest_dead *dead)
{
    if (!dead)
        return;
    if (dead->file)
        os_close(dead->file);
    base_buf_release(&dead->line);
    pthread_mutex_destroy(&dead->mutex);
    free(dead);
}

/* ---- letters
 * ------------------------------------------------------------------------------------- */

static void put_member(struct base_buf *out, const char *name, struct fr_slice text)
{
    base_buf_printf(out, ",\"%s\":", name);
    base_buf_json_string(out, text);
}

static void put_raw(struct base_buf *out, struct fr_slice raw, size_t bytes_max)
{
    struct fr_slice kept = fr_slice_of(raw.ptr, FR_MIN(raw.bytes, bytes_max));
    /* a cut may fall into a character: give it back */
    while (kept.bytes < raw.bytes && kept.bytes > 0 &&
           ((unsigned char)raw.ptr[kept.bytes] & 0xc0) == 0x80)
        kept.bytes--;
    if (kept.bytes == 0 || schema_utf8_valid(kept)) {
        put_member(out, "raw", kept);
    } else {
        size_t bytes = sodium_base64_encoded_len(kept.bytes, sodium_base64_VARIANT_ORIGINAL);
        base_buf_put_str(out, ",\"raw_base64\":\"");
        uint8_t *room = base_buf_reserve(out, bytes);
        if (!room)
            return;
        sodium_bin2base64((char *)room, bytes, (const unsigned char *)kept.ptr, kept.bytes,
                          sodium_base64_VARIANT_ORIGINAL);
        base_buf_commit(out, bytes - 1); /* without the NUL */
        base_buf_put_u8(out, '"');
    }
    if (kept.bytes < raw.bytes)
        base_buf_printf(out, ",\"raw_bytes\":%zu", raw.bytes);
}

static void put_letter(struct ingest_dead *dead, const struct ingest_letter *letter)
{
    struct base_buf *out = &dead->line;
    base_buf_clear(out);
    base_buf_put_str(out, "{\"time\":\"");
    schema_time_print(letter->time_us, out);
    base_buf_put_u8(out, '"');
    put_member(out, "source", fr_slice_str(letter->source));
    put_member(out, "position", letter->position);
    put_member(out, "path", fr_slice_str(letter->reject->path));
    put_member(out, "rule", fr_slice_str(letter->reject->rule));
    put_member(out, "seen", fr_slice_str(letter->reject->seen));
    if (letter->reject->hint[0])
        put_member(out, "hint", fr_slice_str(letter->reject->hint));
    put_raw(out, letter->raw, dead->raw_bytes_max);
    base_buf_put_str(out, "}\n");
}

/* The next file; the oldest goes when there are too many. */
static enum fr_status rotate(struct ingest_dead *dead, struct fr_error *error)
{
    char path[PATH_BYTES];
    struct os_file *file;
    path_of(dead, dead->last + 1, path);
    FR_TRY(os_open(dead->os, path, OS_READ | OS_WRITE | OS_CREATE | OS_TRUNCATE, error, &file));
    os_close(dead->file);
    dead->file = file;
    dead->file_bytes = 0;
    dead->last++;
    while (dead->last - dead->first + 1 > dead->file_count_max) {
        uint64_t bytes = 0;
        FR_TRY(file_bytes_of(dead, dead->first, &bytes, error));
        path_of(dead, dead->first, path);
        enum fr_status status = dead->os->table->unlink(dead->os, path, error);
        if (status != FR_OK && status != FR_NOT_FOUND)
            return status;
        dead->stats.bytes -= FR_MIN(bytes, dead->stats.bytes);
        dead->stats.rotated++;
        dead->first++;
    }
    return FR_OK;
}

static enum fr_status append(struct ingest_dead *dead, struct fr_error *error)
{
    if (dead->line.overflowed)
        return base_fail(error, FR_MEMORY, "ingest", "no memory for a dead letter");
    if (dead->file_bytes > 0 && dead->file_bytes + dead->line.count > dead->file_bytes_max)
        FR_TRY(rotate(dead, error));
    FR_TRY(os_write_at(dead->file, dead->file_bytes, dead->line.bytes, dead->line.count, error));
    dead->file_bytes += dead->line.count;
    dead->stats.bytes += dead->line.count;
    return FR_OK;
}

enum fr_status ingest_dead_add(struct ingest_dead *dead, const struct ingest_letter *letter,
                               struct fr_error *error)
{
    pthread_mutex_lock(&dead->mutex);
    put_letter(dead, letter);
    enum fr_status status = append(dead, error);
    if (status == FR_OK)
        dead->stats.added++;
    else
        dead->stats.lost++;
    pthread_mutex_unlock(&dead->mutex);
    obs_counter_add(status == FR_OK ? OBS_DEAD_LETTERS : OBS_DEAD_LETTERS_LOST, 1);
    return status;
}

/* ---- reading
 * --------------------------------------------------------------------------------------- */

/* Puts the lines of one file, newest first, until *left is 0. */
static enum fr_status list_file(struct ingest_dead *dead, uint64_t number, uint32_t *left,
                                struct base_buf *out, struct fr_error *error)
{
    char path[PATH_BYTES];
    struct os_file *file;
    uint64_t bytes = 0;
    size_t got = 0;
    path_of(dead, number, path);
    enum fr_status status = os_open(dead->os, path, OS_READ, error, &file);
    if (status == FR_NOT_FOUND)
        return FR_OK;
    FR_TRY(status);
    status = os_size(file, &bytes, error);
    char *text = status == FR_OK ? malloc(bytes + 1) : NULL;
    if (status == FR_OK && !text)
        status = base_fail(error, FR_MEMORY, "ingest", "no memory to list dead letters");
    if (status == FR_OK)
        status = os_read_at(file, 0, text, bytes, &got, error);
    os_close(file);
    while (status == FR_OK && got > 0 && *left > 0) {
        got--; /* the newline */
        const char *before = memrchr(text, '\n', got);
        size_t first = before ? (size_t)(before - text) + 1 : 0;
        base_buf_put_u8(out, out->count && out->bytes[out->count - 1] == '[' ? ' ' : ',');
        base_buf_put(out, text + first, got - first);
        got = first;
        (*left)--;
    }
    free(text);
    return status;
}

enum fr_status ingest_dead_list(struct ingest_dead *dead, uint32_t count, struct base_buf *out,
                                struct fr_error *error)
{
    enum fr_status status = FR_OK;
    uint32_t left = count;
    base_buf_put_u8(out, '[');
    pthread_mutex_lock(&dead->mutex);
    for (uint64_t i = dead->last; status == FR_OK && i >= dead->first && left > 0; i--)
        status = list_file(dead, i, &left, out, error);
    pthread_mutex_unlock(&dead->mutex);
    base_buf_put_u8(out, ']');
    return status;
}

enum fr_status ingest_dead_drop(struct ingest_dead *dead, struct fr_error *error)
{
    char path[PATH_BYTES];
    enum fr_status status = FR_OK;
    pthread_mutex_lock(&dead->mutex);
    while (status == FR_OK && dead->first < dead->last) {
        path_of(dead, dead->first, path);
        status = dead->os->table->unlink(dead->os, path, error);
        if (status == FR_NOT_FOUND)
            status = FR_OK;
        dead->first += status == FR_OK;
    }
    if (status == FR_OK)
        status = dead->os->table->truncate(dead->file, 0, error);
    if (status == FR_OK)
        status = os_sync(dead->file, error);
    if (status == FR_OK) {
        dead->file_bytes = 0;
        dead->stats.bytes = 0;
    }
    pthread_mutex_unlock(&dead->mutex);
    return status;
}

void ingest_dead_stats_get(struct ingest_dead *dead, struct ingest_dead_stats *out_stats)
{
    pthread_mutex_lock(&dead->mutex);
    *out_stats = dead->stats;
    pthread_mutex_unlock(&dead->mutex);
}
