/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest__source: bytes of a file, a pipe or memory, decompressed by what their first bytes say.
 * Members of gzip, streams of xz and frames of zstd may follow each other. A content that ends in
 * the middle of a compressed stream is damage, not an end. Thread: one at a time.
 */
#include "ingest/ingest_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_BYTES = 128 * 1024, DIGEST_BYTES = 1024 * 1024, ZSTD_WINDOW_LOG_MAX = 27 };
#define XZ_MEMORY_MAX ((uint64_t)256 * 1024 * 1024)

struct ingest__source {
    enum ingest__coding coding;
    int fd;         /* -1: memory */
    char path[256]; /* for messages; longer ones are cut */
    uint8_t *raw;   /* read, not yet decoded; memory: the caller's */
    size_t raw_at, raw_count;
    bool raw_end, between; /* between: no compressed stream is open */
    bool borrowed;         /* raw is the caller's memory */
    uint64_t bytes, total;
    struct base_hash128 digest;
    z_stream gzip;
    lzma_stream xz;
    ZSTD_DStream *zstd;
};

static enum fr_status fill_raw(struct ingest__source *source, struct fr_error *error)
{
    if (source->raw_at < source->raw_count || source->raw_end)
        return FR_OK;
    ssize_t count;
    do
        count = read(source->fd, source->raw, RAW_BYTES);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return base_fail(error, FR_IO, "ingest", "cannot read %s: %s", source->path,
                         strerror(errno));
    source->raw_at = 0;
    source->raw_count = (size_t)count;
    source->raw_end = count == 0;
    source->bytes += (uint64_t)count;
    return FR_OK;
}

/* ---- decoders: each moves on in raw and fills `to` --------------------------------------------
 */

static enum fr_status damaged(const struct ingest__source *source, const char *what,
                              struct fr_error *error)
{
    return base_fail(error, FR_CORRUPT, "ingest", "%s: damaged %s data after %llu bytes: %s",
                     source->path, ingest__coding_name(source->coding),
                     (unsigned long long)(source->bytes - (source->raw_count - source->raw_at)),
                     what);
}

static enum fr_status decode_plain(struct ingest__source *source, uint8_t *to, size_t bytes,
                                   size_t *out_bytes, struct fr_error *error)
{
    (void)error;
    size_t count = FR_MIN(bytes, source->raw_count - source->raw_at);
    if (count)
        memcpy(to, source->raw + source->raw_at, count);
    source->raw_at += count;
    *out_bytes = count;
    return FR_OK;
}

static enum fr_status decode_gzip(struct ingest__source *source, uint8_t *to, size_t bytes,
                                  size_t *out_bytes, struct fr_error *error)
{
    z_stream *z = &source->gzip;
    if (source->between && source->raw_at < source->raw_count) {
        inflateReset(z);
        source->between = false;
    }
    z->next_in = source->raw + source->raw_at;
    z->avail_in = (uInt)(source->raw_count - source->raw_at);
    z->next_out = to;
    z->avail_out = (uInt)bytes;
    int code = source->between ? Z_BUF_ERROR : inflate(z, Z_NO_FLUSH);
    source->raw_at = source->raw_count - z->avail_in;
    *out_bytes = bytes - z->avail_out;
    if (code == Z_STREAM_END)
        source->between = true;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return damaged(source, z->msg ? z->msg : "not a gzip stream", error);
    return FR_OK;
}

static enum fr_status decode_xz(struct ingest__source *source, uint8_t *to, size_t bytes,
                                size_t *out_bytes, struct fr_error *error)
{
    lzma_stream *xz = &source->xz;
    xz->next_in = source->raw + source->raw_at;
    xz->avail_in = source->raw_count - source->raw_at;
    xz->next_out = to;
    xz->avail_out = bytes;
    lzma_ret code =
        source->between ? LZMA_OK : lzma_code(xz, source->raw_end ? LZMA_FINISH : LZMA_RUN);
    source->raw_at = source->raw_count - xz->avail_in;
    *out_bytes = bytes - xz->avail_out;
    if (code == LZMA_STREAM_END)
        source->between = true;
    else if (code == LZMA_MEMLIMIT_ERROR)
        return damaged(source, "it needs more than 256 MiB of memory", error);
    else if (code != LZMA_OK && code != LZMA_BUF_ERROR)
        return damaged(source, "not an xz stream", error);
    return FR_OK;
}

static enum fr_status decode_zstd(struct ingest__source *source, uint8_t *to, size_t bytes,
                                  size_t *out_bytes, struct fr_error *error)
{
    ZSTD_inBuffer in = {source->raw, source->raw_count, source->raw_at};
    ZSTD_outBuffer out = {to, bytes, 0};
    size_t left = ZSTD_decompressStream(source->zstd, &out, &in);
    if (ZSTD_isError(left))
        return damaged(source, ZSTD_getErrorName(left), error);
    if (in.pos > source->raw_at || out.pos > 0)
        source->between = left == 0;
    source->raw_at = in.pos;
    *out_bytes = out.pos;
    return FR_OK;
}

static const struct coding {
    const char *name, *magic;
    size_t magic_bytes;
    enum fr_status (*decode)(struct ingest__source *source, uint8_t *to, size_t bytes,
                             size_t *out_bytes, struct fr_error *error);
} codings[INGEST__CODING_COUNT] = {
    [INGEST__PLAIN] = {"plain", "", 0, decode_plain},
    [INGEST__GZIP] = {"gzip", "\x1f\x8b", 2, decode_gzip},
    [INGEST__XZ] = {"xz",
                    "\xfd"
                    "7zXZ\0",
                    6, decode_xz},
    [INGEST__ZSTD] = {"zstd", "\x28\xb5\x2f\xfd", 4, decode_zstd},
};

const char *ingest__coding_name(enum ingest__coding coding)
{
    return codings[coding].name;
}

enum fr_status ingest__source_read(struct ingest__source *source, void *to, size_t bytes,
                                   size_t *out_bytes, struct fr_error *error)
{
    size_t count = 0;
    while (count == 0) {
        FR_TRY(fill_raw(source, error));
        size_t raw_before = source->raw_at;
        FR_TRY(codings[source->coding].decode(source, to, bytes, &count, error));
        if (count > 0 || source->raw_at > raw_before || !source->raw_end)
            continue;
        if (source->coding != INGEST__PLAIN && !source->between)
            return damaged(source, "it is cut off", error);
        break;
    }
    *out_bytes = count;
    return FR_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static enum fr_status start_decoder(struct ingest__source *source, struct fr_error *error)
{
    bool ok = true;
    for (unsigned i = 1; i < INGEST__CODING_COUNT; i++)
        if (source->raw_count >= codings[i].magic_bytes &&
            memcmp(source->raw, codings[i].magic, codings[i].magic_bytes) == 0)
            source->coding = (enum ingest__coding)i;
    if (source->coding == INGEST__GZIP)
        ok = inflateInit2(&source->gzip, 15 + 16) == Z_OK;
    else if (source->coding == INGEST__XZ)
        ok = lzma_stream_decoder(&source->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK;
    else if (source->coding == INGEST__ZSTD)
        ok = (source->zstd = ZSTD_createDStream()) != NULL &&
             !ZSTD_isError(
                 ZSTD_DCtx_setParameter(source->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
    return ok ? FR_OK
              : base_fail(error, FR_MEMORY, "ingest", "no memory to decompress %s", source->path);
}

/* Size, first and last MiB: enough to tell files apart, and the same after a copy. */
static enum fr_status digest_file(struct ingest__source *source, struct fr_error *error)
{
    struct base_digest digest;
    uint8_t *piece = malloc(DIGEST_BYTES);
    if (!piece)
        return base_fail(error, FR_MEMORY, "ingest", "no memory to read %s", source->path);
    base_digest_init(&digest);
    base_digest_add(&digest, &source->total, sizeof(source->total));
    off_t last = source->total > DIGEST_BYTES ? (off_t)(source->total - DIGEST_BYTES) : 0;
    for (off_t at = 0;; at = last) {
        ssize_t count = pread(source->fd, piece, DIGEST_BYTES, at);
        if (count > 0)
            base_digest_add(&digest, piece, (size_t)count);
        if (at == last)
            break;
    }
    free(piece);
    source->digest = base_digest_end(&digest);
    return FR_OK;
}

/* A pipe may give its first bytes one by one: the magic needs six, and the digest of a pipe must be
 * of the same bytes each time. */
static enum fr_status read_first(struct ingest__source *source, struct fr_error *error)
{
    size_t have = 0;
    while (have < RAW_BYTES && !source->raw_end) {
        ssize_t count = read(source->fd, source->raw + have, RAW_BYTES - have);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return base_fail(error, FR_IO, "ingest", "cannot read %s: %s", source->path,
                             strerror(errno));
        have += (size_t)count;
        source->raw_end = count == 0;
    }
    source->raw_count = have;
    source->bytes = have;
    return FR_OK;
}

static enum fr_status open_fd(struct ingest__source *source, const char *path,
                              struct fr_error *error)
{
    struct stat about;
    bool pipe = strcmp(path, "-") == 0;
    source->fd = pipe ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &about) < 0)
        return base_fail(error, errno == ENOENT ? FR_NOT_FOUND : FR_IO, "ingest",
                         "cannot open %s: %s", source->path, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return base_fail(error, FR_INVALID, "ingest", "%s is a directory, not a file",
                         source->path);
    source->raw = malloc(RAW_BYTES);
    if (!source->raw)
        return base_fail(error, FR_MEMORY, "ingest", "no memory to read %s", source->path);
    if (S_ISREG(about.st_mode) && !pipe) {
        source->total = (uint64_t)about.st_size;
        FR_TRY(digest_file(source, error));
    }
    FR_TRY(read_first(source, error));
    if (source->total == 0) {
        struct base_digest digest;
        base_digest_init(&digest);
        base_digest_add(&digest, source->raw, source->raw_count);
        source->digest = base_digest_end(&digest);
    }
    return start_decoder(source, error);
}

static enum fr_status source_new(const char *path, struct fr_error *error,
                                 struct ingest__source **out_source)
{
    struct ingest__source *source = calloc(1, sizeof(*source));
    if (!source)
        return base_fail(error, FR_MEMORY, "ingest", "no memory to read %s", path);
    source->fd = -1;
    snprintf(source->path, sizeof(source->path), "%s", path);
    *out_source = source;
    return FR_OK;
}

enum fr_status ingest__source_open(const char *path, struct fr_error *error,
                                   struct ingest__source **out_source)
{
    struct ingest__source *source = NULL;
    FR_TRY(source_new(path, error, &source));
    enum fr_status status = open_fd(source, path, error);
    if (status != FR_OK) {
        ingest__source_close(source);
        return status;
    }
    *out_source = source;
    return FR_OK;
}

enum fr_status ingest__source_open_memory(struct fr_slice bytes, struct fr_error *error,
                                          struct ingest__source **out_source)
{
    struct base_digest digest;
    struct ingest__source *source = NULL;
    FR_TRY(source_new("the body", error, &source));
    union { /* decoders take it as not const, but only read it */
        const char *in;
        uint8_t *out;
    } view = {.in = bytes.ptr};
    source->raw = view.out;
    source->borrowed = true;
    source->raw_count = bytes.bytes;
    source->raw_end = true;
    source->bytes = source->total = bytes.bytes;
    base_digest_init(&digest);
    base_digest_add(&digest, bytes.ptr, bytes.bytes);
    source->digest = base_digest_end(&digest);
    enum fr_status status = start_decoder(source, error);
    if (status != FR_OK) {
        ingest__source_close(source);
        return status;
    }
    *out_source = source;
    return FR_OK;
}

void ingest__source_close(struct ingest__source *source)
{
    if (!source)
        return;
    if (source->coding == INGEST__GZIP)
        inflateEnd(&source->gzip);
    lzma_end(&source->xz);
    ZSTD_freeDStream(source->zstd);

    if (source->fd >= 0)
        close(source->fd);
    if (!source->borrowed)
        free(source->raw);
    free(source);
}

uint64_t ingest__source_bytes(const struct ingest__source *source, uint64_t *out_total)
{
    if (out_total)
        *out_total = source->total;
    return source->bytes - (source->raw_count - source->raw_at);
}

enum ingest__coding ingest__source_coding(const struct ingest__source *source)
{
    return source->coding;
}

struct base_hash128 ingest__source_digest(const struct ingest__source *source)
{
    return source->digest;
}
