/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet eval ctr: the click model on files of labelled events, with the catalogue and the users
 * beside them where there are files of these. Thread: main.
 */
#include <stdio.h>

#include "app/eval_files.h"
#include "app/stream.h"
#include "eval/clicks.h"

struct judging {
    struct app_eval_reading reading; /* first: it is handed back by its own address */
    struct eval_clicks *clicks;
    struct eval_clicks_options options;
    char full[48];
};

/* Whether rows say when they happened. */
static bool has_times(const struct ingest_mapping *mapping)
{
    bool times = mapping->layout == INGEST_JSON;
    for (uint32_t c = 0; c < mapping->column_count; c++)
        times |= mapping->column[c].role == INGEST_TIME;
    return times;
}

static enum fr_status begin(struct app_eval_reading *reading, const struct ingest_mapping *mapping,
                            struct fr_error *error)
{
    struct judging *work = (struct judging *)reading;
    (void)error;
    work->options.clock = has_times(mapping);
    return eval_clicks_new(&work->options, &work->clicks);
}

static enum fr_status take(struct app_eval_reading *reading, const struct ingest_record *record,
                           bool test)
{
    struct eval_clicks *clicks = ((struct judging *)reading)->clicks;
    if (record->item)
        return eval_clicks_item(clicks, record->item);
    if (record->user)
        return eval_clicks_user(clicks, record->user);
    return record->event ? eval_clicks_event(clicks, record->event, test) : FR_OK;
}

static enum fr_status tell(struct app_eval_reading *reading, struct base_buf *out,
                           struct fr_error *error)
{
    struct eval_clicks_result result;
    FR_TRY(eval_clicks_finish(((struct judging *)reading)->clicks, error, &result));
    if (reading->app->json)
        eval_clicks_json(&result, out);
    else
        eval_clicks_table(&result, out);
    return FR_OK;
}

int app_eval_ctr(struct app *app, int argc, char **argv)
{
    struct judging work = {.reading = {.app = app, .begin = begin, .take = take, .tell = tell}};
    struct schema_types types;
    struct fr_error error = {0};
    if (argc < 1 && !app_flag(app, "train"))
        return app_usage(app, "eval ctr needs files of events with a value: the label");
    if (!app_eval_count(app, "skip", 0, UINT64_MAX, &work.options.skip) ||
        !app_eval_number(app, "positive", 1, &work.options.positive))
        return app_usage(app, "--skip takes a whole number, --positive a number");
    if (app_event_types(app->conf, &types, &error) != FR_OK)
        return app_fail(app, &error);
    work.reading.reader = app_stream_options(app, &types);
    work.options.gbt = app_flag(app, "gbt") != NULL;
    work.options.repeats = app->options->repeats == 1;
    snprintf(work.full, sizeof(work.full), "one kind of facet more than %d", MODEL_CTR_KINDS_MAX);
    work.reading.full = work.full;
    int code = app_eval_read(&work.reading, argc, argv);
    eval_clicks_free(work.clicks);
    return code;
}
