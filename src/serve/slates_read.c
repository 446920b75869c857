/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/slates, reading back: one record, and all segments of a data directory, oldest first. What
 * is torn ends its segment, as a crash leaves it.
 * Thread: any; the writer may be at work, a record it has half written is the torn end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/serve.h"
#include "serve/slates.h"

enum { MAGIC_BYTES = 8, FRAME_BYTES = 8, NAME_BYTES = 32 };

struct base_hash128 serve_slate_hash(struct fr_slice answer)
{
    return (struct base_hash128){.lo = base_hash64_slice(answer, 1),
                                 .hi = base_hash64_slice(answer, 2)};
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool read_place(struct base_reader *reader, struct serve_slate_place *out)
{
    out->item = base_reader_string(reader);
    out->score = float_of(base_reader_u32(reader));
    out->propensity = float_of(base_reader_u32(reader));
    out->move = base_reader_u8(reader);
    out->generators = (uint16_t)base_reader_varint(reader);
    return !reader->failed;
}

bool serve_slate_place(struct fr_slice *places, struct serve_slate_place *out)
{
    struct base_reader reader = base_reader_of(places->ptr, places->bytes);
    if (!read_place(&reader, out))
        return false;
    size_t left = base_reader_left(&reader);
    *places = fr_slice_of(places->ptr + (places->bytes - left), left);
    return true;
}

static void read_places(struct base_reader *reader, struct serve_slate *out)
{
    struct serve_slate_place place;
    out->offset = (uint32_t)base_reader_varint(reader);
    uint64_t count = base_reader_varint(reader);
    const char *first = (const char *)reader->at;
    for (uint64_t i = 0; i < count && read_place(reader, &place); i++)
        continue;
    out->place_count = (uint32_t)count;
    out->places = fr_slice_of(first, (size_t)((const char *)reader->at - first));
}

static void read_inputs(struct base_reader *reader, uint8_t version, struct serve_slate *out)
{
    struct serve_settings *settings = &out->settings;
    out->timing.took_us = base_reader_u32(reader);
    for (uint32_t s = 0; s < SERVE_STAGE_COUNT; s++)
        out->timing.stage_ns[s] = base_reader_u32(reader);
    settings->seed = base_reader_u64(reader);
    settings->candidates_max = base_reader_u32(reader);
    settings->new_age_s = base_reader_u32(reader);
    settings->category_cap = base_reader_u32(reader);
    settings->author_cap = base_reader_u32(reader);
    settings->new_share = float_of(base_reader_u32(reader));
    settings->repeats = base_reader_u8(reader) != 0;
    out->version = base_reader_string(reader);
    out->answer_bytes = base_reader_u64(reader);
    out->answer_hash.lo = base_reader_u64(reader);
    out->answer_hash.hi = base_reader_u64(reader);
    if (version >= 3)
        out->record = base_reader_string(reader);
    uint64_t count = base_reader_varint(reader);
    out->arg_count = count <= SERVE_ARGS_MAX ? (uint32_t)count : UINT32_MAX;
    size_t left = base_reader_left(reader);
    out->args = base_reader_take(reader, left);
}

enum fr_status serve_slate_decode(struct fr_slice payload, struct serve_slate *out)
{
    struct serve_slate slate = {0};
    struct base_reader reader = base_reader_of(payload.ptr, payload.bytes);
    uint8_t version = base_reader_u8(&reader);
    slate.id = base_reader_u64(&reader);
    slate.position = base_reader_u64(&reader);
    slate.time_us = (int64_t)base_reader_u64(&reader);
    if (reader.failed)
        return FR_CORRUPT;
    if (version != 2 && version != 3) {
        *out = slate;
        return FR_UNSUPPORTED;
    }
    slate.user = base_reader_string(&reader);
    uint8_t flags = base_reader_u8(&reader);
    slate.degraded = (flags & 1) != 0;
    slate.still = (flags & 2) != 0;
    read_places(&reader, &slate);
    read_inputs(&reader, version, &slate);
    if (reader.failed || slate.arg_count > SERVE_ARGS_MAX)
        return FR_CORRUPT;
    *out = slate;
    return FR_OK;
}

enum fr_status serve_slate_args(const struct serve_slate *slate, struct serve_args *out_args)
{
    struct base_reader reader = base_reader_of(slate->args.ptr, slate->args.bytes);
    FR_ASSERT(slate->arg_count <= SERVE_ARGS_MAX);
    out_args->count = slate->arg_count;
    for (uint32_t i = 0; i < slate->arg_count; i++) {
        struct serve_arg *arg = &out_args->row[i];
        uint8_t kind = base_reader_u8(&reader);
        if ((kind & 127) > SERVE_ARG_NULL)
            return FR_CORRUPT;
        arg->kind = (enum serve_arg_kind)(kind & 127);
        arg->in_list = (kind & 128) != 0;
        arg->name = base_reader_string(&reader);
        arg->value = base_reader_string(&reader);
    }
    return reader.failed || base_reader_left(&reader) ? FR_CORRUPT : FR_OK;
}

/* ---- segments --------------------------------------------------------------------------- */

struct names {
    char (*name)[NAME_BYTES];
    size_t count, capacity;
    bool failed;
};

static void each_name(void *context, const char *name)
{
    struct names *names = context;
    size_t bytes = strlen(name);
    if (bytes < 8 || bytes >= NAME_BYTES || strcmp(name + bytes - 7, ".slates") != 0)
        return;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity * 2 + 64;
        void *grown = realloc(names->name, capacity * sizeof *names->name);
        names->failed |= !grown;
        if (!grown)
            return;
        names->name = grown;
        names->capacity = capacity;
    }
    memcpy(names->name[names->count++], name, bytes + 1);
}

/* The records of a segment in memory. False: `each` has had enough. */
static bool give_records(struct base_reader *reader, serve_slate_each_fn each, void *context)
{
    (void)base_reader_take(reader, MAGIC_BYTES);
    while (base_reader_left(reader) >= FRAME_BYTES) {
        uint32_t bytes = base_reader_u32(reader), crc = base_reader_u32(reader);
        if (bytes == 0 || base_reader_left(reader) < bytes)
            return true;
        struct fr_slice payload = base_reader_take(reader, bytes);
        struct serve_stored stored = {.payload = payload};
        struct serve_slate slate;
        if (base_crc32c(0, payload.ptr, payload.bytes) != crc)
            return true;
        enum fr_status status = serve_slate_decode(payload, &slate);
        if (status == FR_CORRUPT)
            return true;
        stored.id = slate.id;
        stored.position = slate.position;
        stored.time_us = slate.time_us;
        stored.whole = status == FR_OK;
        stored.still = slate.still;
        if (!each(context, &stored))
            return false;
    }
    return true;
}

static enum fr_status read_segment(struct os *os, const char *path, struct base_buf *buf,
                                   struct fr_error *error)
{
    struct os_file *file = NULL;
    uint64_t bytes = 0;
    size_t got = 0;
    FR_TRY(os_open(os, path, OS_READ, error, &file));
    enum fr_status status = os_size(file, &bytes, error);
    base_buf_clear(buf);
    uint8_t *to = status == FR_OK ? base_buf_reserve(buf, (size_t)bytes + 1) : NULL;
    if (status == FR_OK && !to)
        status = base_fail(error, FR_MEMORY, "serve", "no memory to read %s", path);
    if (status == FR_OK)
        status = os_read_at(file, 0, to, (size_t)bytes, &got, error);
    if (status == FR_OK)
        base_buf_commit(buf, got);
    os_close(file);
    return status;
}

enum fr_status serve_slates_each(struct os *os, const char *directory, serve_slate_each_fn each,
                                 void *context, struct fr_error *error)
{
    char path[OS_PATH_MAX];
    struct names names = {0};
    struct base_buf buf;
    base_buf_init(&buf, 0);
    snprintf(path, sizeof path, "%s/slates", directory);
    enum fr_status status = os_list(os, path, each_name, &names, error);
    if (status == FR_NOT_FOUND)
        status = FR_OK; /* no answer was ever kept here */
    if (names.failed)
        status = base_fail(error, FR_MEMORY, "serve", "no memory for the names of slates");
    bool more = true;
    for (size_t i = 0; i < names.count && status == FR_OK && more; i++) {
        snprintf(path, sizeof path, "%s/slates/%s", directory, names.name[i]);
        status = read_segment(os, path, &buf, error);
        struct base_reader reader = base_reader_of(buf.bytes, buf.count);
        if (status == FR_OK)
            more = give_records(&reader, each, context);
        else if (status == FR_NOT_FOUND)
            status = FR_OK; /* its turn to make room came meanwhile */
    }
    free(names.name);
    base_buf_release(&buf);
    return status;
}

/* ---- one of them ------------------------------------------------------------------------ */

/* Ids sort by time, and answers are written within a fraction of a second of it: the one asked for is
 * in the last segment that begins before it, or at the head of the next. */
struct finding {
    uint64_t id;
    const struct names *names;
    size_t at; /* of the last segment that begins at or before the id */
    uint64_t first_number;
    bool any;
    struct fr_slice found;
};

static uint64_t first_id(struct os *os, const char *path)
{
    struct os_file *file = NULL;
    uint8_t head[MAGIC_BYTES + FRAME_BYTES + 1 + 8];
    size_t got = 0;
    if (os_open(os, path, OS_READ, NULL, &file) != FR_OK)
        return UINT64_MAX;
    enum fr_status status = os_read_at(file, 0, head, sizeof head, &got, NULL);
    os_close(file);
    struct base_reader reader = base_reader_of(head + MAGIC_BYTES + FRAME_BYTES + 1, 8);
    return status == FR_OK && got == sizeof head ? base_reader_u64(&reader) : UINT64_MAX;
}

static bool take_if_it(void *context, const struct serve_stored *stored)
{
    struct finding *finding = context;
    if (stored->id != finding->id)
        return true;
    finding->found = stored->payload;
    return false;
}

static void find_segment(struct os *os, const char *directory, struct finding *finding)
{
    char path[OS_PATH_MAX];
    finding->first_number = UINT64_MAX;
    for (size_t i = 0; i < finding->names->count; i++) {
        const char *name = finding->names->name[i];
        finding->first_number = FR_MIN(finding->first_number, (uint64_t)strtoull(name, NULL, 10));
        snprintf(path, sizeof path, "%s/slates/%s", directory, name);
        if (first_id(os, path) > finding->id)
            continue;
        finding->at = i;
        finding->any = true;
    }
}

static enum fr_status look_through(struct os *os, const char *directory, struct finding *finding,
                                   struct base_buf *buf)
{
    char path[OS_PATH_MAX];
    size_t last = FR_MIN(finding->at + 2, finding->names->count);
    for (size_t i = finding->at; i < last && !finding->found.ptr; i++) {
        snprintf(path, sizeof path, "%s/slates/%s", directory, finding->names->name[i]);
        if (read_segment(os, path, buf, NULL) != FR_OK)
            continue; /* its turn to make room came meanwhile */
        struct base_reader reader = base_reader_of(buf->bytes, buf->count);
        (void)give_records(&reader, take_if_it, finding);
    }
    return finding->found.ptr ? FR_OK : FR_NOT_FOUND;
}

enum fr_status serve_slates_find(struct os *os, const char *directory, uint64_t id,
                                 struct base_buf *buf, struct serve_slate *out)
{
    char path[OS_PATH_MAX];
    struct names names = {0};
    struct finding finding = {.id = id, .names = &names};
    snprintf(path, sizeof path, "%s/slates", directory);
    enum fr_status status = os_list(os, path, each_name, &names, NULL);
    if (status == FR_OK && names.failed)
        status = FR_MEMORY;
    if (status == FR_OK) {
        find_segment(os, directory, &finding);
        status = look_through(os, directory, &finding, buf);
    }
    if (status == FR_NOT_FOUND && !finding.any && names.count > 0 && finding.first_number > 0)
        status = FR_END;
    free(names.name);
    return status == FR_OK ? serve_slate_decode(finding.found, out) : status;
}
