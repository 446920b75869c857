/* SPDX-License-Identifier: Apache-2.0
 *
 * app eval_files: flags and files as all protocols of `freshet eval` take them. Thread: main.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/eval_files.h"
#include "app/stream.h"

/* ---- flags ------------------------------------------------------------------------------------ */

bool app_eval_count(const struct app *app, const char *flag, uint64_t fallback, uint64_t max,
                    uint64_t *out)
{
    const char *text = app_flag(app, flag);
    char *end = NULL;
    *out = fallback;
    if (!text)
        return true;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *text != '-' && *out <= max;
}

bool app_eval_number(const struct app *app, const char *flag, double fallback, double *out)
{
    const char *text = app_flag(app, flag);
    char *end = NULL;
    *out = text ? strtod(text, &end) : fallback;
    return !text || (end != text && *end == '\0' && isfinite(*out));
}

void app_eval_reject(const struct ingest_record *record, uint64_t *rejects)
{
    if ((*rejects)++ == 0)
        fprintf(stderr, "row %llu: %s %s; seen: %s (further rejects are only counted)\n",
                (unsigned long long)record->row, record->reject->path, record->reject->rule,
                record->reject->seen);
}

/* ---- files ------------------------------------------------------------------------------------ */

static enum fr_status take(struct app_eval_reading *reading, const struct ingest_record *record,
                           bool test, struct fr_error *error)
{
    if (record->reject)
        app_eval_reject(record, &reading->rejects);
    if (record->event && ++reading->events % 1024 == 0)
        app_progress_update(&reading->progress, reading->events);
    enum fr_status status = reading->take(reading, record, test);
    if (status == FR_FULL && reading->full)
        base_fail(error, status, "app", "row %llu brings %s", (unsigned long long)record->row,
                  reading->full);
    else if (status != FR_OK)
        base_fail(error, status, "app", "event %llu could not be taken (%s)",
                  (unsigned long long)reading->events, base_status_name(status));
    return status;
}

static enum fr_status read_files(struct app_eval_reading *reading, char *const *paths,
                                 uint32_t count, bool test, struct fr_error *error)
{
    struct app_stream stream;
    struct ingest_record record;
    const struct ingest_mapping *mapping = NULL;
    FR_TRY(app_stream_init(&stream, paths, count, &reading->reader));
    enum fr_status status = app_stream_peek(&stream, error, &mapping);
    if (status == FR_OK && !reading->begun) {
        status = reading->begin(reading, mapping, error);
        reading->begun = status == FR_OK;
    }
    while (status == FR_OK && (status = app_stream_next(&stream, &record, error)) == FR_OK)
        status = take(reading, &record, test, error);
    app_stream_release(&stream);
    return status == FR_END ? FR_OK : status;
}

static enum fr_status read_all(struct app_eval_reading *reading, int count, char **paths,
                               struct base_buf *out, struct fr_error *error)
{
    const struct app *app = reading->app;
    char *train = (char *)app_flag(app, "train"), *test = (char *)app_flag(app, "test");
    if (train)
        FR_TRY(read_files(reading, &train, 1, false, error));
    if (count > 0)
        FR_TRY(read_files(reading, paths, (uint32_t)count, false, error));
    if (test)
        FR_TRY(read_files(reading, &test, 1, true, error));
    app_progress_end(&reading->progress);
    FR_TRY(reading->tell(reading, out, error));
    if (reading->rejects && !app->json)
        base_buf_printf(out, "%llu rows were refused\n", (unsigned long long)reading->rejects);
    return FR_OK;
}

int app_eval_read(struct app_eval_reading *reading, int count, char **paths)
{
    struct app *app = reading->app;
    struct fr_error error = {0};
    struct base_buf out;
    base_buf_init(&out, 0);
    app_progress_begin(&reading->progress, app, "evaluating", "events", 0);
    enum fr_status status = read_all(reading, count, paths, &out, &error);
    app_progress_end(&reading->progress);
    if (status != FR_OK) {
        base_buf_release(&out);
        return app_fail(app, &error);
    }
    return app_print(&out);
}
