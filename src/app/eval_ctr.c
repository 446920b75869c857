/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet eval ctr: the click model on files of labelled events, with the catalogue and the users
 * beside them where there are files of these. Thread: main.
 */
#include <stdio.h>
#include <string.h>

#include "app/eval_files.h"
#include "app/stream.h"
#include "eval/clicks.h"

struct judging {
    const struct app *app;
    struct eval_clicks *clicks;
    struct eval_clicks_options options;
    struct ingest_reader_options reader;
    struct app_progress progress;
    uint64_t rejects, events;
};

static enum fr_status take(struct judging *work, const struct ingest_record *record, bool test)
{
    if (record->reject)
        app_eval_reject(record, &work->rejects);
    if (record->item)
        return eval_clicks_item(work->clicks, record->item);
    if (record->user)
        return eval_clicks_user(work->clicks, record->user);
    if (!record->event)
        return FR_OK;
    if (++work->events % 1024 == 0)
        app_progress_update(&work->progress, work->events);
    return eval_clicks_event(work->clicks, record->event, test);
}

/* Whether rows say when they happened. */
static bool has_times(const struct ingest_mapping *mapping)
{
    bool times = mapping->layout == INGEST_JSON;
    for (uint32_t c = 0; c < mapping->column_count; c++)
        times |= mapping->column[c].role == INGEST_TIME;
    return times;
}

static enum fr_status read_files(struct judging *work, char *const *paths, uint32_t count,
                                 bool test, struct fr_error *error)
{
    struct app_stream stream;
    struct ingest_record record;
    const struct ingest_mapping *mapping = NULL;
    FR_TRY(app_stream_init(&stream, paths, count, &work->reader));
    enum fr_status status = app_stream_peek(&stream, error, &mapping);
    if (status == FR_OK && !work->clicks) {
        work->options.clock = has_times(mapping);
        status = eval_clicks_new(&work->options, &work->clicks);
    }
    while (status == FR_OK && (status = app_stream_next(&stream, &record, error)) == FR_OK) {
        status = take(work, &record, test);
        if (status == FR_FULL)
            base_fail(error, status, "app", "row %llu brings one kind of facet more than %d",
                      (unsigned long long)record.row, MODEL_CTR_KINDS_MAX);
        else if (status != FR_OK)
            base_fail(error, status, "app", "event %llu could not be taken (%s)",
                      (unsigned long long)work->events, base_status_name(status));
    }
    app_stream_release(&stream);
    return status == FR_END ? FR_OK : status;
}

static enum fr_status run(struct judging *work, int count, char **paths, struct base_buf *out,
                          struct fr_error *error)
{
    struct eval_clicks_result result;
    char *train = (char *)app_flag(work->app, "train"), *test = (char *)app_flag(work->app, "test");
    if (train)
        FR_TRY(read_files(work, &train, 1, false, error));
    if (count > 0)
        FR_TRY(read_files(work, paths, (uint32_t)count, false, error));
    if (test)
        FR_TRY(read_files(work, &test, 1, true, error));
    app_progress_end(&work->progress);
    FR_TRY(eval_clicks_finish(work->clicks, error, &result));
    if (work->app->json)
        eval_clicks_json(&result, out);
    else
        eval_clicks_table(&result, out);
    if (work->rejects && !work->app->json)
        base_buf_printf(out, "%llu rows were refused\n", (unsigned long long)work->rejects);
    return FR_OK;
}

int app_eval_ctr(struct app *app, int argc, char **argv)
{
    struct judging work = {.app = app};
    struct schema_types types;
    struct fr_error error = {0};
    if (argc < 1 && !app_flag(app, "train"))
        return app_usage(app, "eval ctr needs files of events with a value: the label");
    if (!app_eval_count(app, "skip", 0, UINT64_MAX, &work.options.skip) ||
        !app_eval_number(app, "positive", 1, &work.options.positive))
        return app_usage(app, "--skip takes a whole number, --positive a number");
    if (app_event_types(app->conf, &types, &error) != FR_OK)
        return app_fail(app, &error);
    work.reader = app_eval_reader(app, &types);
    work.options.repeats = app->options->repeats == 1;
    struct base_buf out;
    base_buf_init(&out, 0);
    app_progress_begin(&work.progress, app, "reading", "events", 0);
    enum fr_status status = run(&work, argc, argv, &out, &error);
    app_progress_end(&work.progress);
    eval_clicks_free(work.clicks);
    if (status != FR_OK) {
        base_buf_release(&out);
        return app_fail(app, &error);
    }
    return app_print(&out);
}
