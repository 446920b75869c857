/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, sequential reading of one segment, plain or zstd-compressed, in large pieces.
 * Thread: one at a time. Owner: the reader owns its file and buffers.
 */
#include "journal/journal_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum fr_status journal__reader_open(const struct journal__source *source, struct fr_error *error,
                                    struct journal__reader *out_reader)
{
    struct journal__reader reader = {.stop = UINT64_MAX};
    char path[OS_PATH_MAX];
    bool compressed = source->compressed;
    journal__name_print(source->first, compressed, reader.name);
    if (source->name)
        snprintf(reader.name, sizeof(reader.name), "%s", source->name);
    FR_TRY(journal__path(source->directory, reader.name, error, path));
    FR_TRY(os_open(source->os, path, OS_READ, error, &reader.file));
    uint64_t size = 0;
    enum fr_status status = os_size(reader.file, &size, error);
    if (status != FR_OK) {
        os_close(reader.file);
        return status;
    }
    reader.packed_end = size > JOURNAL__TRAILER_BYTES ? size - JOURNAL__TRAILER_BYTES : 0;
    uint64_t whole = compressed ? JOURNAL__READ_BYTES : size;
    reader.capacity = (size_t)FR_MAX(FR_MIN(whole, (uint64_t)JOURNAL__READ_BYTES), (uint64_t)65536);
    reader.buffer = malloc(reader.capacity);
    if (compressed) {
        reader.packed = malloc(JOURNAL__READ_BYTES);
        reader.zstd = ZSTD_createDStream();
    }
    if (!reader.buffer || (compressed && (!reader.packed || !reader.zstd))) {
        journal__reader_close(&reader);
        return base_fail(error, FR_MEMORY, "journal", "no memory to read %s", path);
    }
    *out_reader = reader;
    return FR_OK;
}

void journal__reader_close(struct journal__reader *reader)
{
    if (reader->file)
        os_close(reader->file);
    free(reader->buffer);
    free(reader->packed);
    ZSTD_freeDStream(reader->zstd);
    *reader = (struct journal__reader){0};
}

void journal__reader_refresh(struct journal__reader *reader, uint64_t stop)
{
    FR_ASSERT(!reader->zstd);
    reader->stop = stop;
    reader->count = 0;
    reader->ended = false;
}

static enum fr_status fill_plain(struct journal__reader *reader, struct fr_error *error)
{
    uint64_t from = reader->at + reader->count;
    uint64_t left = reader->stop > from ? reader->stop - from : 0;
    size_t want = (size_t)FR_MIN((uint64_t)(reader->capacity - reader->count), left);
    size_t got = 0;
    if (want > 0)
        FR_TRY(os_read_at(reader->file, from, reader->buffer + reader->count, want, &got, error));
    reader->count += got;
    reader->ended = got < want || from + got >= reader->stop;
    return FR_OK;
}

/* More compressed input, at its end none. */
static enum fr_status fill_packed(struct journal__reader *reader, struct fr_error *error)
{
    if (reader->packed_used < reader->packed_count)
        return FR_OK;
    size_t got = 0;
    uint64_t left = reader->packed_end - reader->packed_at;
    FR_TRY(os_read_at(reader->file, reader->packed_at, reader->packed,
                      (size_t)FR_MIN(left, (uint64_t)JOURNAL__READ_BYTES), &got, error));
    reader->packed_crc = base_crc32c(reader->packed_crc, reader->packed, got);
    reader->packed_at += got;
    reader->packed_count = got;
    reader->packed_used = 0;
    return FR_OK;
}

/* All compressed bytes are read: are they those that were written? */
static enum fr_status check_trailer(struct journal__reader *reader, struct fr_error *error)
{
    uint8_t expected[JOURNAL__TRAILER_BYTES], seen[JOURNAL__TRAILER_BYTES];
    size_t got = 0;
    FR_TRY(fill_packed(reader, error));
    if (reader->packed_used < reader->packed_count)
        return journal__corrupt(error, reader->name, reader->packed_at,
                                "bytes follow the compressed content");
    journal__trailer_encode(reader->packed_end, reader->packed_crc, expected);
    FR_TRY(os_read_at(reader->file, reader->packed_end, seen, sizeof(seen), &got, error));
    if (got != sizeof(seen) || memcmp(seen, expected, sizeof(seen)) != 0)
        return journal__corrupt(error, reader->name, reader->packed_end,
                                "the compressed file fails its checksum");
    return FR_OK;
}

static enum fr_status fill_zstd(struct journal__reader *reader, struct fr_error *error)
{
    while (reader->count < reader->capacity && !reader->ended) {
        FR_TRY(fill_packed(reader, error));
        ZSTD_inBuffer in = {reader->packed, reader->packed_count, reader->packed_used};
        ZSTD_outBuffer out = {reader->buffer, reader->capacity, reader->count};
        size_t left = ZSTD_decompressStream(reader->zstd, &out, &in);
        bool stalled = in.pos == reader->packed_used && out.pos == reader->count;
        bool starved = reader->packed_count == 0 && left != 0;
        if (ZSTD_isError(left) || (stalled && starved))
            return journal__corrupt(error, reader->name, reader->packed_at,
                                    ZSTD_isError(left) ? ZSTD_getErrorName(left)
                                                       : "the compressed file ends early");
        reader->packed_used = in.pos;
        reader->count = out.pos;
        if (left != 0)
            continue;
        FR_TRY(check_trailer(reader, error));
        reader->ended = true;
    }
    return FR_OK;
}

static enum fr_status grow(struct journal__reader *reader, size_t bytes, struct fr_error *error)
{
    if (bytes <= reader->capacity)
        return FR_OK;
    uint8_t *moved = realloc(reader->buffer, bytes);
    if (!moved)
        return base_fail(error, FR_MEMORY, "journal", "no memory for a group of %zu bytes", bytes);
    reader->buffer = moved;
    reader->capacity = bytes;
    return FR_OK;
}

/* Moves the window to `offset`, keeping what of it is buffered. */
static enum fr_status slide(struct journal__reader *reader, uint64_t offset, struct fr_error *error)
{
    uint64_t end = reader->at + reader->count;
    if (offset >= reader->at && offset <= end) {
        size_t gone = (size_t)(offset - reader->at);
        memmove(reader->buffer, reader->buffer + gone, reader->count - gone);
        reader->count -= gone;
        reader->at = offset;
        return FR_OK;
    }
    if (!reader->zstd) {
        reader->at = offset;
        reader->count = 0;
        reader->ended = false;
        return FR_OK;
    }
    FR_ASSERT(offset > end);
    while (reader->at + reader->count < offset && !reader->ended) {
        reader->at += reader->count;
        reader->count = 0;
        FR_TRY(fill_zstd(reader, error));
    }
    if (reader->at + reader->count < offset) {
        reader->at = offset;
        reader->count = 0;
        return FR_OK;
    }
    return slide(reader, offset, error);
}

enum fr_status journal__reader_need(struct journal__reader *reader, uint64_t offset, size_t bytes,
                                    struct fr_error *error, struct journal__span *out_span)
{
    uint64_t end = reader->at + reader->count;
    bool inside = offset >= reader->at && offset <= end;
    bool enough = inside && (end - offset >= bytes || reader->ended);
    if (!enough) {
        FR_TRY(slide(reader, offset, error));
        FR_TRY(grow(reader, bytes, error));
        if (reader->count < bytes && !reader->ended)
            FR_TRY(reader->zstd ? fill_zstd(reader, error) : fill_plain(reader, error));
    }
    out_span->bytes = reader->buffer + (offset - reader->at);
    out_span->count = (size_t)(reader->at + reader->count - offset);
    return FR_OK;
}

enum fr_status journal__reader_header(struct journal__reader *reader, uint64_t first,
                                      struct fr_error *error, struct journal__header *out_header)
{
    struct journal__span span;
    const char *what;
    FR_TRY(journal__reader_need(reader, 0, JOURNAL__HEADER_BYTES, error, &span));
    if (span.count < JOURNAL__HEADER_BYTES)
        return journal__corrupt(error, reader->name, span.count, "the file ends within its header");
    struct journal__header header;
    enum fr_status status = journal__header_decode(span.bytes, &header, &what);
    if (status == FR_UNSUPPORTED) {
        base_fail(error, status, "journal", "segment %s: %s", reader->name, what);
        base_hint(error, "run the newer version, or import an export of it");
        return status;
    }
    if (status != FR_OK)
        return journal__corrupt(error, reader->name, 0, what);
    if (header.first != first)
        return journal__corrupt(error, reader->name, 16, "it belongs under another name");
    uint64_t floor = 0;
    bool has_floor = journal__floor_decode(span.bytes + JOURNAL__FLOOR_AT, header.salt, &floor);
    if (!has_floor && !journal__is_zero(span.bytes + JOURNAL__FLOOR_AT, JOURNAL__SECTOR_BYTES))
        return journal__corrupt(error, reader->name, JOURNAL__FLOOR_AT,
                                "the floor fails its check");
    size_t rest = JOURNAL__FLOOR_AT + JOURNAL__SECTOR_BYTES;
    size_t after = JOURNAL__COPY_AT + JOURNAL__SECTOR_BYTES;
    if (memcmp(span.bytes, span.bytes + JOURNAL__COPY_AT, JOURNAL__SECTOR_BYTES) != 0)
        return journal__corrupt(error, reader->name, JOURNAL__COPY_AT, "the header's copy differs");
    if (!journal__is_zero(span.bytes + rest, JOURNAL__COPY_AT - rest) ||
        !journal__is_zero(span.bytes + after, JOURNAL__HEADER_BYTES - after))
        return journal__corrupt(error, reader->name, rest, "the header block is not zero here");
    header.floor = floor;
    *out_header = header;
    return FR_OK;
}
