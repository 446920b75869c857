/* SPDX-License-Identifier: Apache-2.0
 *
 * app stream: see stream.h. Owner: the window and its places.
 */
#include "app/stream.h"

#include <stdlib.h>

#include "schema/schema.h"

enum { WINDOW_EVENTS = 2000000, PLACES_FIRST = 4096 };

struct ingest_reader_options app_stream_options(const struct app *app,
                                                const struct schema_types *types)
{
    return (struct ingest_reader_options){
        .types = types,
        .format = app_flag(app, "format"),
        .columns = app_flag(app, "columns"),
        .separator = app_flag(app, "separator"),
        .header = app_flag(app, "header") ? "yes" : NULL,
        .time_unit = app_flag(app, "time-unit"),
        .type = app_flag(app, "type"),
    };
}

enum fr_status app_stream_init(struct app_stream *stream, char *const *paths, uint32_t path_count,
                               const struct ingest_reader_options *options)
{
    *stream = (struct app_stream){.paths = paths,
                                  .path_count = path_count,
                                  .options = *options,
                                  .sorted = true};
    base_buf_init(&stream->window, (size_t)1 << 31);
    return path_count > 0 ? FR_OK : FR_INVALID;
}

void app_stream_release(struct app_stream *stream)
{
    ingest_reader_close(stream->reader);
    base_buf_release(&stream->window);
    free(stream->places);
    *stream = (struct app_stream){0};
}

uint64_t app_stream_bytes(const struct app_stream *stream, uint64_t *out_total)
{
    *out_total = 0;
    return stream->reader ? ingest_reader_bytes(stream->reader, out_total) : 0;
}

static enum fr_status open_reader(struct app_stream *stream, struct fr_error *error)
{
    if (stream->reader)
        return FR_OK;
    return ingest_reader_open(stream->paths[stream->path_at], &stream->options, error,
                              &stream->reader);
}

enum fr_status app_stream_peek(struct app_stream *stream, struct fr_error *error,
                               const struct ingest_mapping **out_mapping)
{
    FR_TRY(open_reader(stream, error));
    *out_mapping = ingest_reader_mapping(stream->reader);
    return FR_OK;
}

static enum fr_status keep(struct app_stream *stream, const struct ingest_record *record,
                           struct fr_error *error)
{
    if (stream->place_count == stream->place_max) {
        uint32_t max = stream->place_max ? stream->place_max * 2 : PLACES_FIRST;
        struct app_stream_place *moved = realloc(stream->places, max * sizeof(*moved));
        if (!moved)
            return base_fail(error, FR_MEMORY, "app", "no memory for a window of %u events", max);
        stream->places = moved;
        stream->place_max = max;
    }
    size_t offset = stream->window.count;
    schema_event_encode(record->event, &stream->window);
    if (stream->window.overflowed)
        return base_fail(error, FR_MEMORY, "app", "no memory for a window of events");
    int64_t time_us = record->event->time_us;
    if (stream->place_count && stream->places[stream->place_count - 1].time_us > time_us)
        stream->sorted = false;
    stream->places[stream->place_count++] =
        (struct app_stream_place){.time_us = time_us,
                                  .offset = (uint32_t)offset,
                                  .bytes = (uint32_t)(stream->window.count - offset),
                                  .row = record->row};
    return FR_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct app_stream_place *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void start_draining(struct app_stream *stream)
{
    if (!stream->sorted) {
        qsort(stream->places, stream->place_count, sizeof(*stream->places), by_time);
        for (uint32_t i = 1; i < stream->place_count; i++)
            stream->reordered += stream->places[i].row < stream->places[i - 1].row;
    }
    stream->draining = true;
    stream->place_at = 0;
}

/* False when the window is empty again. */
static bool drain(struct app_stream *stream, struct ingest_record *out_record)
{
    if (!stream->draining)
        return false;
    if (stream->place_at == stream->place_count) {
        base_buf_clear(&stream->window);
        stream->place_count = 0;
        stream->draining = false;
        stream->sorted = true;
        return false;
    }
    const struct app_stream_place *place = &stream->places[stream->place_at++];
    struct fr_slice bytes =
        fr_slice_of((const char *)stream->window.bytes + place->offset, place->bytes);
    FR_ASSERT(schema_event_decode(bytes, &stream->event) == FR_OK);
    *out_record =
        (struct ingest_record){.thing = INGEST_EVENTS, .event = &stream->event, .row = place->row};
    return true;
}

enum fr_status app_stream_next(struct app_stream *stream, struct ingest_record *out_record,
                               struct fr_error *error)
{
    for (;;) {
        if (drain(stream, out_record))
            return FR_OK;
        if (stream->path_at == stream->path_count)
            return FR_END;
        FR_TRY(open_reader(stream, error));
        enum fr_status status = ingest_reader_next(stream->reader, out_record, error);
        if (status == FR_END) {
            ingest_reader_close(stream->reader);
            stream->reader = NULL;
            stream->path_at++;
            start_draining(stream);
            continue;
        }
        FR_TRY(status);
        if (!out_record->event)
            return FR_OK;
        FR_TRY(keep(stream, out_record, error));
        if (stream->place_count == WINDOW_EVENTS)
            start_draining(stream);
    }
}
