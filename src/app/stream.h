/* SPDX-License-Identifier: Apache-2.0
 *
 * app stream: files as one stream of things, for import and eval alike. Items, users and rejects
 * come as they are read; events come in the order of (time, place in the file) within windows of
 * two million, since many data sets are sorted by user. Thread: one at a time.
 */
#ifndef APP_STREAM_H
#define APP_STREAM_H

#include "app/app.h"
#include "ingest/reader.h"

struct app_stream {
    char *const *paths;
    uint32_t path_count, path_at; /* path_at: of the thing given last */
    struct ingest_reader_options options;
    struct ingest_reader *reader;
    struct base_buf window; /* encoded events */
    struct app_stream_place *places;
    uint32_t place_count, place_at, place_max;
    bool sorted, draining;
    struct schema_event event; /* the one given last */
    uint64_t reordered;        /* events that came out in another order than they stood */
};

/* Where an event of the window stands. */
struct app_stream_place {
    int64_t time_us;
    uint32_t offset, bytes;
    uint64_t row;
};

/* How the files are to be read, from the flags. Types stay borrowed. */
struct ingest_reader_options app_stream_options(const struct app *app,
                                                const struct schema_types *types);
/* Paths stay borrowed. */
FR_MUST_USE enum fr_status app_stream_init(struct app_stream *stream, char *const *paths,
                                           uint32_t path_count,
                                           const struct ingest_reader_options *options);
void app_stream_release(struct app_stream *stream);
/* The next thing, or FR_END after the last file; other statuses as ingest_reader_next(). Borrowed
 * until the next call. */
FR_MUST_USE enum fr_status app_stream_next(struct app_stream *stream,
                                           struct ingest_record *out_record,
                                           struct fr_error *error);
/* Opens the first file, so that its mapping can be asked for before anything is taken. */
FR_MUST_USE enum fr_status app_stream_peek(struct app_stream *stream, struct fr_error *error,
                                           const struct ingest_mapping **out_mapping);
/* Bytes read of the present file, as stored; total 0 when unknown. */
uint64_t app_stream_bytes(const struct app_stream *stream, uint64_t *out_total);

#endif
