/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_reader: see reader.h. A window over the source yields records (lines, rows, elements); the
 * layout turns each into things. Thread: one at a time. Owner: the reader owns everything it gives.
 */
#include "ingest/ingest_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ingest_reader {
    struct ingest__window window;
    struct ingest__mapper mapper;
    struct ingest__row row;
    struct schema_json *json;
    struct schema_reject reject;
    struct base_buf explanation;
    struct base_hash128 digest;
    uint8_t key[16];
    int64_t shift_us;
    uint64_t event_count; /* handed out: numbers of list layouts, synthetic times */
    bool is_array;

    struct fr_slice list; /* the rest of a line of items */
    struct fr_slice list_user;
    char session_name[32];
};

/* ---- opening ----------------------------------------------------------------------------------
 */

/* Passes the header line and numbers the columns by it. */
static enum fr_status take_header(struct ingest_reader *reader, struct fr_error *error)
{
    const struct ingest_mapping *mapping = &reader->mapper.mapping;
    struct fr_slice record = {0};
    if (mapping->layout != INGEST_TABLE || !mapping->header)
        return FR_OK;
    do
        FR_TRY(ingest__window_record(&reader->window, mapping->quotes ? mapping->separator : NULL,
                                     &record, error));
    while (record.bytes == 0);
    if (ingest__row_split(&reader->row, record, mapping->separator, mapping->quotes))
        return base_fail(error, FR_INVALID, "ingest", "the header cannot be read");
    return ingest__mapper_header(&reader->mapper, &reader->row, error);
}

static enum fr_status open_json(struct ingest_reader *reader, struct fr_error *error)
{
    if (schema_json_new(INGEST_RECORD_BYTES_MAX, &reader->json) != FR_OK)
        return base_fail(error, FR_MEMORY, "ingest", "no memory for the JSON parser");
    schema_json_set_key(reader->json, reader->key);
    struct fr_slice text = ingest__window_peek(&reader->window);
    size_t at = 0;
    while (at < text.bytes && text.ptr[at] != '\0' && strchr(" \t\r\n", text.ptr[at]))
        at++;
    reader->is_array = at < text.bytes && text.ptr[at] == '[';
    if (reader->is_array)
        ingest__window_pass(&reader->window, at + 1);
    return FR_OK;
}

static enum fr_status open_source(struct ingest_reader *reader, struct ingest__source *source,
                                  const struct ingest_reader_options *options,
                                  struct fr_error *error)
{
    struct ingest_mapping mapping;
    reader->digest = ingest__source_digest(source);
    if (ingest__window_init(&reader->window, source) != FR_OK)
        return base_fail(error, FR_MEMORY, "ingest", "no memory to read");
    FR_TRY(ingest__window_fill(&reader->window, INGEST_HEAD_BYTES, error));
    struct fr_slice head = ingest__window_peek(&reader->window);
    if (head.bytes >= 3 && memcmp(head.ptr, "\xef\xbb\xbf", 3) == 0)
        ingest__window_pass(&reader->window, 3);
    head = ingest__window_peek(&reader->window);
    const struct ingest__head start = {
        .text = fr_slice_of(head.ptr, FR_MIN(head.bytes, (size_t)INGEST_HEAD_BYTES)),
        .whole = reader->window.end && head.bytes < INGEST_HEAD_BYTES,
    };
    if (ingest__source_coding(source) != INGEST__PLAIN)
        base_buf_printf(&reader->explanation, "compressed with %s\n",
                        ingest__coding_name(ingest__source_coding(source)));
    FR_TRY(ingest__guess(&start, options, &mapping, &reader->explanation, error));
    FR_TRY(ingest__mapper_init(&reader->mapper, &mapping, options->types, error));
    if (mapping.layout == INGEST_JSON)
        return open_json(reader, error);
    return take_header(reader, error);
}

static enum fr_status reader_open(struct ingest__source *source,
                                  const struct ingest_reader_options *options,
                                  struct fr_error *error, struct ingest_reader **out_reader)
{
    FR_ASSERT(options->types != NULL);
    struct ingest_reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        ingest__source_close(source);
        return base_fail(error, FR_MEMORY, "ingest", "no memory to read");
    }
    base_buf_init(&reader->explanation, 64 * 1024);
    base_buf_init(&reader->row.scratch, 2 * INGEST_RECORD_BYTES_MAX);
    reader->shift_us = options->shift_us;
    memcpy(reader->key, schema_default_key, sizeof(reader->key));
    reader->window.source = source;
    enum fr_status status = open_source(reader, source, options, error);
    if (status != FR_OK) {
        ingest_reader_close(reader);
        return status;
    }
    *out_reader = reader;
    return FR_OK;
}

enum fr_status ingest_reader_open(const char *path, const struct ingest_reader_options *options,
                                  struct fr_error *error, struct ingest_reader **out_reader)
{
    struct ingest__source *source = NULL;
    FR_TRY(ingest__source_open(path, error, &source));
    return reader_open(source, options, error, out_reader);
}

enum fr_status ingest_reader_open_memory(struct fr_slice bytes,
                                         const struct ingest_reader_options *options,
                                         struct fr_error *error, struct ingest_reader **out_reader)
{
    struct ingest__source *source = NULL;
    FR_TRY(ingest__source_open_memory(bytes, error, &source));
    return reader_open(source, options, error, out_reader);
}

void ingest_reader_close(struct ingest_reader *reader)
{
    if (!reader)
        return;
    ingest__window_release(&reader->window);
    ingest__mapper_release(&reader->mapper);
    schema_json_free(reader->json);
    base_buf_release(&reader->row.scratch);
    base_buf_release(&reader->explanation);
    free(reader);
}

/* ---- records ----------------------------------------------------------------------------------
 */

static void give_reject(struct ingest_reader *reader, struct ingest_record *out)
{
    out->reject = &reader->reject;
    out->event = NULL;
    out->item = NULL;
    out->user = NULL;
}

static void refuse(struct ingest_reader *reader, const char *path, const char *rule,
                   struct fr_slice seen, struct ingest_record *out)
{
    schema_reject_set(&reader->reject, path, rule, seen, NULL);
    give_reject(reader, out);
}

/* Shift and dedupe key. number: of the event in the file, when it has no id. */
static void finish_event(struct ingest_reader *reader, uint64_t number, struct ingest_record *out)
{
    struct schema_event *event = &reader->mapper.event;
    reader->event_count++;
    event->time_us += reader->shift_us;
    if (event->time_us <= 0) {
        refuse(reader, "time", "lies before 1970 once it is shifted", FR_SLICE(""), out);
        return;
    }
    event->key = event->id.bytes ? schema_dedupe_key(event->id, reader->key)
                                 : ingest_key_of_index(fr_slice_of((const char *)&reader->digest,
                                                                   sizeof(reader->digest)),
                                                       number, reader->key);
    out->event = event;
}

static enum fr_status finish_thing(struct ingest_reader *reader, enum fr_status status,
                                   struct ingest_record *out)
{
    if (status == FR_INVALID) {
        give_reject(reader, out);
        return FR_OK;
    }
    FR_TRY(status);
    if (out->thing == INGEST_ITEMS)
        out->item = &reader->mapper.item;
    else if (out->thing == INGEST_USERS)
        out->user = &reader->mapper.user;
    else
        finish_event(reader, out->row, out);
    return FR_OK;
}

static enum fr_status next_json(struct ingest_reader *reader, struct ingest_record *out,
                                struct fr_error *error)
{
    enum fr_status status = reader->is_array
                                ? ingest__window_element(&reader->window, &out->raw, error)
                                : ingest__window_record(&reader->window, NULL, &out->raw, error);
    out->row = reader->window.row;
    if (status == FR_FULL) {
        refuse(reader, "line", "is longer than 1 MiB", out->raw, out);
        return FR_OK;
    }
    FR_TRY(status);
    struct ingest__mapper *mapper = &reader->mapper;
    if (out->thing == INGEST_ITEMS)
        status = schema_item_from_json(reader->json, out->raw, &mapper->item, &reader->reject);
    else if (out->thing == INGEST_USERS)
        status = schema_user_from_json(reader->json, out->raw, &mapper->user, &reader->reject);
    else
        status = schema_event_from_json(reader->json, mapper->types, out->raw, 0, &mapper->event,
                                        &reader->reject);
    return finish_thing(reader, status, out);
}

static enum fr_status next_row(struct ingest_reader *reader, struct ingest_record *out,
                               struct fr_error *error)
{
    const struct ingest_mapping *mapping = &reader->mapper.mapping;
    enum fr_status status =
        ingest__window_record(&reader->window, mapping->quotes ? mapping->separator : NULL,
                              &out->raw, error);
    out->row = reader->window.row;
    if (status == FR_FULL) {
        refuse(reader, "row", "is longer than 1 MiB", out->raw, out);
        return FR_OK;
    }
    FR_TRY(status);
    const char *rule =
        ingest__row_split(&reader->row, out->raw, mapping->separator, mapping->quotes);
    if (rule) {
        refuse(reader, "row", rule, out->raw, out);
        return FR_OK;
    }
    int64_t synthetic_us = INGEST__FIRST_US + (int64_t)reader->event_count * INGEST__STEP_US;
    status = ingest__mapper_row(&reader->mapper, &reader->row, synthetic_us, &reader->reject);
    return finish_thing(reader, status, out);
}

/* The next word of the list; empty at its end. */
static struct fr_slice next_word(struct fr_slice *list)
{
    size_t at = 0, bytes = 0;
    if (list->bytes == 0)
        return *list;
    while (at < list->bytes && (list->ptr[at] == ' ' || list->ptr[at] == '\t'))
        at++;
    while (at + bytes < list->bytes && list->ptr[at + bytes] != ' ' &&
           list->ptr[at + bytes] != '\t')
        bytes++;
    struct fr_slice word = fr_slice_of(list->ptr + at, bytes);
    *list = fr_slice_of(list->ptr + at + bytes, list->bytes - at - bytes);
    return word;
}

/* Takes lines until one has an item. */
static enum fr_status next_list(struct ingest_reader *reader, struct fr_slice *out_item,
                                struct fr_error *error)
{
    while ((*out_item = next_word(&reader->list)).bytes == 0) {
        FR_TRY(ingest__window_record(&reader->window, NULL, &reader->list, error));
        if (reader->mapper.mapping.layout == INGEST_SEQUENCES) {
            reader->list_user = next_word(&reader->list);
            continue;
        }
        snprintf(reader->session_name, sizeof(reader->session_name), "session-%" PRIu64,
                 reader->window.row);
        reader->list_user = fr_slice_str(reader->session_name);
    }
    return FR_OK;
}

static enum fr_status next_of_list(struct ingest_reader *reader, struct ingest_record *out,
                                   struct fr_error *error)
{
    struct schema_event *event = &reader->mapper.event;
    struct fr_slice item = {0};
    enum fr_status status = next_list(reader, &item, error);
    out->row = reader->window.row;
    if (status == FR_FULL) {
        refuse(reader, "line", "is longer than 1 MiB", reader->list, out);
        reader->list = (struct fr_slice){0};
        return FR_OK;
    }
    FR_TRY(status);
    schema_event_clear(event);
    event->user = reader->list_user;
    event->item = item;
    if (reader->mapper.mapping.layout == INGEST_SESSIONS)
        event->session = reader->list_user;
    event->type = reader->mapper.default_type;
    bool sessions = reader->mapper.mapping.layout == INGEST_SESSIONS;
    int64_t step_us = sessions ? INGEST__STEP_US : INGEST__SEQUENCE_STEP_US;
    event->time_us = INGEST__FIRST_US + (int64_t)reader->event_count * step_us;
    out->raw = item;
    if (schema_event_check(reader->mapper.types, event, &reader->reject) != FR_OK) {
        give_reject(reader, out);
        return FR_OK;
    }
    finish_event(reader, reader->event_count, out);
    return FR_OK;
}

enum fr_status ingest_reader_next(struct ingest_reader *reader, struct ingest_record *out_record,
                                  struct fr_error *error)
{
    const struct ingest_mapping *mapping = &reader->mapper.mapping;
    for (;;) {
        *out_record = (struct ingest_record){.thing = mapping->thing};
        if (mapping->layout == INGEST_SEQUENCES || mapping->layout == INGEST_SESSIONS)
            return next_of_list(reader, out_record, error);
        struct fr_slice text = ingest__window_peek(&reader->window);
        if (!reader->is_array && text.bytes && (text.ptr[0] == '\n' || text.ptr[0] == '\r')) {
            struct fr_slice blank; /* counted, not taken */
            FR_TRY(ingest__window_record(&reader->window, NULL, &blank, error));
            if (blank.bytes == 0)
                continue;
        }
        return mapping->layout == INGEST_JSON ? next_json(reader, out_record, error)
                                              : next_row(reader, out_record, error);
    }
}

/* ---- readings ----------------------------------------------------------------------------------
 */

uint64_t ingest_reader_bytes(const struct ingest_reader *reader, uint64_t *out_total)
{
    return ingest__source_bytes(reader->window.source, out_total);
}

const struct ingest_mapping *ingest_reader_mapping(const struct ingest_reader *reader)
{
    return &reader->mapper.mapping;
}

struct fr_slice ingest_reader_explanation(const struct ingest_reader *reader)
{
    return base_buf_slice(&reader->explanation);
}

enum fr_status ingest_newest(const char *path, const struct ingest_reader_options *options,
                             struct fr_error *error, int64_t *out_newest_us)
{
    struct ingest_reader_options plain = *options;
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    int64_t newest_us = 0;
    plain.shift_us = 0;
    if (strcmp(path, "-") == 0)
        return base_fail(error, FR_UNSUPPORTED, "ingest",
                         "stdin can be read but once: its newest time cannot be known before");
    FR_TRY(ingest_reader_open(path, &plain, error, &reader));
    enum fr_status status;
    while ((status = ingest_reader_next(reader, &record, error)) == FR_OK)
        if (record.event)
            newest_us = FR_MAX(newest_us, record.event->time_us);
    ingest_reader_close(reader);
    if (status != FR_END)
        return status;
    if (newest_us == 0)
        return base_fail(error, FR_NOT_FOUND, "ingest", "%s: no event in it", path);
    *out_newest_us = newest_us;
    return FR_OK;
}

/* ---- preview -----------------------------------------------------------------------------------
 */

static void print_event(const struct schema_event *event, const struct schema_types *types,
                        struct base_buf *out)
{
    schema_time_print(event->time_us, out);
    base_buf_put_str(out, "  user ");
    base_buf_put_slice(out, event->user);
    base_buf_printf(out, "  %s", types->row[event->type].name);
    if (event->has_value)
        base_buf_printf(out, " %g", event->value);
    base_buf_put_str(out, "  item ");
    base_buf_put_slice(out, event->item);
    if (event->session.bytes)
        base_buf_printf(out, "  session %.*s", (int)event->session.bytes, event->session.ptr);
    if (event->context.device.bytes)
        base_buf_printf(out, "  device %.*s", (int)event->context.device.bytes,
                        event->context.device.ptr);
    if (event->context.country.bytes)
        base_buf_printf(out, "  country %.*s", (int)event->context.country.bytes,
                        event->context.country.ptr);
}

static void print_record(const struct ingest_record *record, const struct schema_types *types,
                         struct base_buf *out)
{
    if (record->reject) {
        base_buf_printf(out, "  refused: row %" PRIu64 ": %s %s; seen \"%s\"%s%s\n", record->row,
                        record->reject->path, record->reject->rule, record->reject->seen,
                        record->reject->hint[0] ? "; " : "", record->reject->hint);
        return;
    }
    base_buf_printf(out, "  row %" PRIu64 ": ", record->row);
    if (record->event)
        print_event(record->event, types, out);
    else if (record->item)
        schema_item_to_json(record->item, out);
    else
        schema_user_to_json(record->user, out);
    base_buf_put_str(out, "\n");
}

enum fr_status ingest_preview(const char *path, const struct ingest_reader_options *options,
                              uint32_t rows, struct base_buf *out, uint32_t *out_understood,
                              struct fr_error *error)
{
    struct ingest_reader_options plain = *options;
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    uint32_t understood = 0, refused = 0;
    enum fr_status status;
    FR_TRY(ingest_reader_open(path, &plain, error, &reader));
    base_buf_put_slice(out, ingest_reader_explanation(reader));
    while (understood < rows && refused < rows &&
           (status = ingest_reader_next(reader, &record, error)) == FR_OK) {
        understood += record.reject == NULL;
        refused += record.reject != NULL;
        print_record(&record, options->types, out);
    }
    ingest_reader_close(reader);
    *out_understood = understood;
    return FR_OK;
}
