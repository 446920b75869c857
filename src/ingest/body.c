/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: bodies of HTTP requests into records of a fold batch. Thread: the ingest's owner's.
 * Owner: rejects and decompressed bytes belong to the ingest until its next body.
 */
#include "ingest/ingest_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_BYTES_MAX = 16 * 1024 * 1024, COUNT_MAX = 10000, PIECE_BYTES = 64 * 1024 };

struct ingest {
    const struct schema_types *types;
    size_t body_bytes_max;
    uint32_t count_max;
    uint8_t key[16];
    struct schema_json *json;
    struct base_buf scratch; /* one encoded thing */
    struct base_buf plain;   /* a decompressed body */
    struct base_buf raw;     /* refused rows of a table, one after the other */
    struct ingest_reject *rejects;
    uint32_t reject_count, reject_capacity, taken;
    const struct ingest_body *body;
    struct fold_batch *batch;
    struct schema_event event;
    struct schema_item item;
    struct schema_user user;
};

enum fr_status ingest_new(const struct ingest_options *options, struct fr_error *error,
                          struct ingest **out_ingest)
{
    FR_ASSERT(options->types != NULL);
    struct ingest *ingest = calloc(1, sizeof(*ingest));
    if (!ingest)
        return base_fail(error, FR_MEMORY, "ingest", "no memory for a parser");
    ingest->types = options->types;
    ingest->body_bytes_max = options->body_bytes_max ? options->body_bytes_max : BODY_BYTES_MAX;
    ingest->count_max = options->count_max ? options->count_max : COUNT_MAX;
    memcpy(ingest->key, schema_default_key, sizeof(ingest->key));
    base_buf_init(&ingest->scratch, 0);
    base_buf_init(&ingest->plain, ingest->body_bytes_max + 2 * PIECE_BYTES);
    base_buf_init(&ingest->raw, 2 * ingest->body_bytes_max + 2 * PIECE_BYTES);
    if (schema_json_new(ingest->body_bytes_max, &ingest->json) != FR_OK) {
        ingest_free(ingest);
        return base_fail(error, FR_MEMORY, "ingest", "no memory for a parser");
    }
    schema_json_set_key(ingest->json, ingest->key);
    *out_ingest = ingest;
    return FR_OK;
}

void ingest_free(struct ingest *ingest)
{
    if (!ingest)
        return;
    schema_json_free(ingest->json);
    base_buf_release(&ingest->scratch);
    base_buf_release(&ingest->plain);
    base_buf_release(&ingest->raw);
    free(ingest->rejects);
    free(ingest);
}

/* ---- keys ---------------------------------------------------------------------------------------
 */

struct base_hash128 ingest_key_of_index(struct fr_slice source, uint64_t index,
                                        const uint8_t key[16])
{
    /* NUL 'k', the source's hash, the index: no id has a NUL in it. */
    uint8_t text[2 + 16 + 8] = {0, 'k'};
    struct base_hash128 hash = base_siphash128(source.ptr, source.bytes, key);
    for (int i = 0; i < 8; i++) {
        text[2 + i] = (uint8_t)(hash.lo >> (8 * i));
        text[10 + i] = (uint8_t)(hash.hi >> (8 * i));
        text[18 + i] = (uint8_t)(index >> (8 * i));
    }
    return base_siphash128(text, sizeof(text), key);
}

struct base_hash128 ingest_key_of_fields(const struct schema_event *event, struct base_buf *scratch,
                                         const uint8_t key[16])
{
    struct schema_event bare = *event;
    bare.key = (struct base_hash128){0};
    base_buf_clear(scratch);
    base_buf_put(scratch, "\0f", 2);
    schema_event_encode(&bare, scratch);
    return base_siphash128(scratch->bytes, scratch->count, key);
}

/* ---- one thing ----------------------------------------------------------------------------------
 */

static enum fr_status add_reject(struct ingest *ingest, uint32_t index,
                                 const struct schema_reject *reject, struct fr_slice raw)
{
    if (ingest->reject_count == ingest->reject_capacity) {
        uint32_t capacity = ingest->reject_capacity ? ingest->reject_capacity * 2 : 16;
        struct ingest_reject *moved =
            realloc(ingest->rejects, (size_t)capacity * sizeof(*ingest->rejects));
        if (!moved)
            return FR_MEMORY;
        ingest->rejects = moved;
        ingest->reject_capacity = capacity;
    }
    ingest->rejects[ingest->reject_count++] =
        (struct ingest_reject){.index = index, .reject = *reject, .raw = raw};
    return FR_OK;
}

static enum fr_status add_record(struct ingest *ingest, uint8_t kind)
{
    if (ingest->scratch.overflowed)
        return FR_MEMORY;
    fold_batch_add(ingest->batch, kind, base_buf_slice(&ingest->scratch));
    ingest->taken++;
    return ingest->batch->bytes.overflowed ? FR_MEMORY : FR_OK;
}

static enum fr_status add_event(struct ingest *ingest, uint32_t index, struct schema_event *event)
{
    if (event->id.bytes == 0)
        event->key = ingest->body->idempotency_key.bytes
                         ? ingest_key_of_index(ingest->body->idempotency_key, index, ingest->key)
                         : ingest_key_of_fields(event, &ingest->scratch, ingest->key);
    base_buf_clear(&ingest->scratch);
    schema_event_encode(event, &ingest->scratch);
    return add_record(ingest, SCHEMA_KIND_EVENT);
}

static enum fr_status add_item(struct ingest *ingest, const struct schema_item *item)
{
    base_buf_clear(&ingest->scratch);
    schema_item_encode(item, &ingest->scratch);
    return add_record(ingest, ingest->body->patch ? SCHEMA_KIND_ITEM_PATCH : SCHEMA_KIND_ITEM);
}

static enum fr_status add_user(struct ingest *ingest, const struct schema_user *user)
{
    base_buf_clear(&ingest->scratch);
    schema_user_encode(user, &ingest->scratch);
    return add_record(ingest, ingest->body->patch ? SCHEMA_KIND_USER_PATCH : SCHEMA_KIND_USER);
}

static enum fr_status take_json(void *context, uint32_t index, struct fr_slice text)
{
    struct ingest *ingest = context;
    const struct ingest_body *body = ingest->body;
    struct schema_reject reject;
    enum fr_status status;
    if (body->thing == INGEST_ITEMS)
        status = schema_item_from_json_as(ingest->json, body->id, text, &ingest->item, &reject);
    else if (body->thing == INGEST_USERS)
        status = schema_user_from_json_as(ingest->json, body->id, text, &ingest->user, &reject);
    else
        status = schema_event_from_json(ingest->json, ingest->types, text, body->received_us,
                                        &ingest->event, &reject);
    if (status == FR_INVALID)
        return add_reject(ingest, index, &reject, text);
    FR_TRY(status);
    if (body->thing == INGEST_ITEMS)
        return add_item(ingest, &ingest->item);
    if (body->thing == INGEST_USERS)
        return add_user(ingest, &ingest->user);
    return add_event(ingest, index, &ingest->event);
}

/* ---- tables -------------------------------------------------------------------------------------
 */

static enum fr_status take_record(struct ingest *ingest, uint32_t index,
                                  const struct ingest_record *record, bool has_time)
{
    if (record->reject) {
        base_buf_put_slice(&ingest->raw, record->raw);
        return add_reject(ingest, index, record->reject, record->raw);
    }
    if (record->item)
        return add_item(ingest, record->item);
    if (record->user)
        return add_user(ingest, record->user);
    struct schema_event *event = &ingest->event;
    *event = *record->event;
    if (!has_time)
        event->time_us = ingest->body->received_us;
    return add_event(ingest, index, event);
}

static bool has_time_column(const struct ingest_mapping *mapping)
{
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (mapping->column[i].role == INGEST_TIME)
            return true;
    return false;
}

/* The raw bytes of refused rows outlive the reader in `raw`: points the rejects there. */
static void keep_raw(struct ingest *ingest)
{
    size_t at = 0;
    for (uint32_t i = 0; i < ingest->reject_count; i++) {
        struct fr_slice *raw = &ingest->rejects[i].raw;
        bool kept = !ingest->raw.overflowed;
        *raw = kept ? fr_slice_of((const char *)ingest->raw.bytes + at, raw->bytes)
                    : (struct fr_slice){0};
        at += raw->bytes;
    }
}

/* CSV over HTTP: its first row names the columns, as in files. */
static enum fr_status take_table(struct ingest *ingest, struct fr_slice bytes,
                                 struct fr_error *error)
{
    struct ingest_reader_options options = {.types = ingest->types,
                                            .thing = ingest->body->thing,
                                            .format = "csv",
                                            .header = "yes",
                                            .strict = true};
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    FR_TRY(ingest_reader_open_memory(bytes, &options, error, &reader));
    bool has_time = has_time_column(ingest_reader_mapping(reader));
    enum fr_status status;
    uint32_t index = 0;
    base_buf_clear(&ingest->raw);
    while ((status = ingest_reader_next(reader, &record, error)) == FR_OK) {
        if (index == ingest->count_max)
            status = base_fail(error, FR_FULL, "ingest",
                               "the body has more than %u rows, the limit", ingest->count_max);
        else
            status = take_record(ingest, index++, &record, has_time);
        if (status != FR_OK)
            break;
    }
    ingest_reader_close(reader);
    keep_raw(ingest);
    return status == FR_END ? FR_OK : status;
}

/* ---- bodies -------------------------------------------------------------------------------------
 */

static bool is_word(struct fr_slice text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.ptr, word, text.bytes) == 0;
}

/* The media type without its parameters. */
static struct fr_slice media_type(struct fr_slice text)
{
    const char *end = text.bytes ? memchr(text.ptr, ';', text.bytes) : NULL;
    if (end)
        text.bytes = (size_t)(end - text.ptr);
    while (text.bytes && (text.ptr[text.bytes - 1] == ' ' || text.ptr[text.bytes - 1] == '\t'))
        text.bytes--;
    return text;
}

static enum fr_status settle_type(const struct ingest_body *body, bool *out_table,
                                  struct fr_error *error)
{
    static const char *const json[] = {"application/json",
                                       "application/x-ndjson",
                                       "application/ndjson",
                                       "application/jsonl",
                                       "application/x-jsonlines",
                                       "text/plain",
                                       "application/merge-patch+json",
                                       "application/x-www-form-urlencoded"};
    static const char *const tables[] = {"text/csv", "text/tab-separated-values"};
    struct fr_slice type = media_type(body->content_type);
    *out_table = false;
    if (type.bytes == 0)
        return FR_OK;
    /* the last JSON row is what clients such as curl claim of any body */
    for (size_t i = 0; i < FR_COUNT_OF(json); i++)
        if (is_word(type, json[i]))
            return FR_OK;
    for (size_t i = 0; i < FR_COUNT_OF(tables); i++)
        *out_table |= is_word(type, tables[i]);
    if (*out_table)
        return FR_OK;
    fr_ignore(base_fail(error, FR_UNSUPPORTED, "ingest", "content type %.*s is not taken",
                        (int)FR_MIN(type.bytes, 80u), type.ptr),
              "returned below");
    base_hint(error, "send application/json, application/x-ndjson or text/csv");
    return FR_UNSUPPORTED;
}

static enum fr_status decompress(struct ingest *ingest, enum ingest__coding wanted,
                                 struct fr_error *error)
{
    struct ingest__source *source = NULL;
    FR_TRY(ingest__source_open_memory(ingest->body->bytes, error, &source));
    enum fr_status status = FR_OK;
    if (ingest__source_coding(source) != wanted)
        status = base_fail(error, FR_CORRUPT, "ingest",
                           "the body is not compressed with %s, as "
                           "its content encoding says",
                           ingest__coding_name(wanted));
    base_buf_clear(&ingest->plain);
    size_t count = 1;
    while (status == FR_OK && count > 0) {
        uint8_t *room = base_buf_reserve(&ingest->plain, PIECE_BYTES);
        if (!room || ingest->plain.count > ingest->body_bytes_max) {
            status = base_fail(error, FR_FULL, "ingest",
                               "the body is longer than %zu bytes once decompressed, the limit",
                               ingest->body_bytes_max);
            break;
        }
        status = ingest__source_read(source, room, PIECE_BYTES, &count, error);
        if (status == FR_OK)
            base_buf_commit(&ingest->plain, count);
    }
    ingest__source_close(source);
    return status;
}

static enum fr_status settle_encoding(struct ingest *ingest, struct fr_slice *out_bytes,
                                      struct fr_error *error)
{
    struct fr_slice encoding = ingest->body->content_encoding;
    *out_bytes = ingest->body->bytes;
    if (encoding.bytes == 0 || is_word(encoding, "identity"))
        return FR_OK;
    for (unsigned i = INGEST__GZIP; i < INGEST__CODING_COUNT; i++) {
        if (!is_word(encoding, ingest__coding_name((enum ingest__coding)i)))
            continue;
        FR_TRY(decompress(ingest, (enum ingest__coding)i, error));
        *out_bytes = base_buf_slice(&ingest->plain);
        return FR_OK;
    }
    return base_fail(error, FR_UNSUPPORTED, "ingest",
                     "content encoding %.*s is not one of gzip, zstd, xz",
                     (int)FR_MIN(encoding.bytes, 40u), encoding.ptr);
}

enum fr_status ingest_take_body(struct ingest *ingest, const struct ingest_body *body,
                                struct fold_batch *batch, struct ingest_result *out_result,
                                struct fr_error *error)
{
    struct fr_slice bytes;
    bool table;
    FR_ASSERT(body->thing != INGEST_ANY);
    ingest->body = body;
    ingest->batch = batch;
    ingest->reject_count = 0;
    ingest->taken = 0;
    FR_TRY(settle_type(body, &table, error));
    FR_TRY(settle_encoding(ingest, &bytes, error));
    if (bytes.bytes > ingest->body_bytes_max)
        return base_fail(error, FR_FULL, "ingest", "the body is longer than %zu bytes, the limit",
                         ingest->body_bytes_max);
    uint32_t count_max = body->id.ptr ? 1 : ingest->count_max;
    enum fr_status status =
        table ? take_table(ingest, bytes, error)
              : schema_json_split(ingest->json, bytes, count_max, take_json, ingest, error);
    if (status == FR_MEMORY)
        return base_fail(error, FR_MEMORY, "ingest", "no memory for this body");
    FR_TRY(status);
    *out_result = (struct ingest_result){.taken = ingest->taken,
                                         .reject_count = ingest->reject_count,
                                         .rejects = ingest->rejects};
    return FR_OK;
}

enum fr_status ingest_take_delete(uint8_t kind, struct fr_slice id, struct fold_batch *batch,
                                  struct schema_reject *out_reject)
{
    FR_ASSERT(kind == SCHEMA_KIND_ITEM_DELETE || kind == SCHEMA_KIND_USER_DELETE ||
              kind == SCHEMA_KIND_ERASE);
    const char *fault = schema_id_fault(id);
    if (fault)
        return schema_reject_set(out_reject, "id", fault, id, NULL);
    fold_batch_add(batch, kind, id);
    return FR_OK;
}
