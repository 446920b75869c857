/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet import: files of events, items and users into a data directory, through the same journal
 * and fold as everything else. Rows that break a rule are told and kept in the dead-letter store.
 *
 * Sampling: a small file is scored whole; of a larger one about 25,000 events are (one in up to
 * 32), so that an import is not slower than it need be. --sample says otherwise.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/engine.h"
#include "app/records.h"
#include "app/stream.h"
#include "os/os.h"

enum {
    BATCH_RECORDS = 1000,
    BATCH_RECORDS_MAX = 4096,
    BATCH_BYTES = 1 << 20,
    SAMPLED_WANTED = 25000,
    REJECTS_SHOWN = 10,
    PREVIEW_ROWS = 10,
    PATH_BYTES = 1024,
    FILES_MAX = 64,
};

struct importing {
    const struct app *app;
    struct app_engine engine;
    struct ingest_dead *dead;
    struct ingest_reader_options options;
    struct fold_batch batch;
    struct base_buf payload;
    struct app_progress progress;
    uint64_t events, items, users, rejects;
    uint32_t batch_records; /* in one group of the journal */
    bool rate_chosen;
};

/* ---- one record --------------------------------------------------------------------------- */

static enum fr_status flush(struct importing *work, struct fr_error *error)
{
    if (work->batch.count == 0)
        return FR_OK;
    enum fr_status status;
    while ((status = fold_run(work->engine.fold, &work->batch, FOLD_ACK_DURABLE)) == FR_FULL)
        fold_drain(work->engine.fold);
    if (status != FR_OK && error) {
        *error = work->batch.error;
        if (error->status == FR_OK)
            status = base_fail(error, status, "app", "the journal takes no more records");
    }
    fold_batch_clear(&work->batch);
    return status;
}

static void add(struct importing *work, const struct ingest_record *record)
{
    static const uint8_t kinds[] = {[INGEST_EVENTS] = SCHEMA_KIND_EVENT,
                                    [INGEST_ITEMS] = SCHEMA_KIND_ITEM,
                                    [INGEST_USERS] = SCHEMA_KIND_USER};
    base_buf_clear(&work->payload);
    if (record->event)
        schema_event_encode(record->event, &work->payload);
    else if (record->item)
        schema_item_encode(record->item, &work->payload);
    else
        schema_user_encode(record->user, &work->payload);
    work->events += record->event != NULL;
    work->items += record->item != NULL;
    work->users += record->user != NULL;
    fold_batch_add(&work->batch, kinds[record->thing], base_buf_slice(&work->payload));
}

static void refuse(struct importing *work, const char *path, const struct ingest_record *record)
{
    char position[PATH_BYTES + 32];
    const struct schema_reject *reject = record->reject;
    int bytes = snprintf(position, sizeof(position), "%s row %" PRIu64, path, record->row);
    struct ingest_letter letter = {.source = "import",
                                   .position = fr_slice_of(position, (size_t)bytes),
                                   .time_us = os_wall_us(os_real()),
                                   .reject = reject,
                                   .raw = record->raw};
    fr_ignore(ingest_dead_add(work->dead, &letter, NULL), "counted as lost by the store");
    if (work->rejects++ < REJECTS_SHOWN && !work->app->json)
        fprintf(stderr, "%s: %s %s; seen: %s%s%s\n", position, reject->path, reject->rule,
                reject->seen, reject->hint[0] ? "; " : "", reject->hint);
}

/* After the first batch the size of the whole is known well enough. */
static void choose_rate(struct importing *work, const struct app_stream *stream)
{
    uint64_t total = 0, read = app_stream_bytes(stream, &total);
    uint32_t one_in = 1;
    if (work->rate_chosen || work->app->options->sample != CONF_AUTO || work->events == 0)
        return;
    double events = (double)FR_MAX(work->events, (uint64_t)stream->place_count);
    double whole = read && total ? events * (double)total / (double)read : events;
    while (one_in < 32 && whole / one_in > SAMPLED_WANTED)
        one_in *= 2;
    fold_sample_set(work->engine.fold, one_in);
    work->rate_chosen = true;
}

static enum fr_status import_all(struct importing *work, struct app_stream *stream,
                                 struct fr_error *error)
{
    struct ingest_record record;
    enum fr_status status;
    while ((status = app_stream_next(stream, &record, error)) == FR_OK) {
        if (record.reject)
            refuse(work, stream->paths[stream->path_at], &record);
        else
            add(work, &record);
        if (work->batch.count < work->batch_records && work->batch.bytes.count < BATCH_BYTES)
            continue;
        choose_rate(work, stream);
        FR_TRY(flush(work, error));
        app_progress_update(&work->progress, work->events + work->items + work->users);
    }
    return status == FR_END ? flush(work, error) : status;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* One shift for all files: they belong together. */
static enum fr_status shift_to_now(struct importing *work, int count, char **paths,
                                   struct fr_error *error)
{
    int64_t newest_us = 0;
    for (int i = 0; i < count; i++) {
        int64_t file_us = 0;
        enum fr_status status = ingest_newest(paths[i], &work->options, error, &file_us);
        if (status == FR_NOT_FOUND)
            continue;
        FR_TRY(status);
        newest_us = FR_MAX(newest_us, file_us);
    }
    if (newest_us)
        work->options.shift_us = os_wall_us(os_real()) - newest_us;
    return FR_OK;
}

struct judged {
    double hits, popular_hits;
    uint64_t scored;
};

static struct judged judged_now(const struct app_engine *engine)
{
    struct rank_figure figures[MODEL_EXPERTS_MAX + 2];
    struct judged judged = {0};
    uint32_t count = rank_figures(engine->rank, figures, FR_COUNT_OF(figures));
    for (uint32_t i = 0; i < count; i++) {
        double hits = figures[i].hit10 * (double)figures[i].scored;
        if (strcmp(figures[i].name, "blend") == 0) {
            judged.hits = hits;
            judged.scored = figures[i].scored;
        } else if (strcmp(figures[i].name, "popular") == 0) {
            judged.popular_hits = hits;
        }
    }
    return judged;
}

static void print_text(const struct importing *work, const struct judged *judged, double seconds,
                       uint64_t duplicates, struct base_buf *out)
{
    app_print_count(work->events - duplicates, out);
    base_buf_printf(out, " events learnt in %.1f s", seconds);
    if (judged->scored)
        base_buf_printf(out,
                        "; while learning, %.1f %% of next choices were in the top ten "
                        "(popular items: %.1f %%)",
                        100 * judged->hits / (double)judged->scored,
                        100 * judged->popular_hits / (double)judged->scored);
    base_buf_put_str(out, "\n");
    if (work->items || work->users)
        base_buf_printf(out, "%" PRIu64 " items and %" PRIu64 " users described\n", work->items,
                        work->users);
    if (duplicates)
        base_buf_printf(out, "%" PRIu64 " events were known already and not counted again\n",
                        duplicates);
    if (work->rejects)
        base_buf_printf(out,
                        "%" PRIu64 " rows were refused; they are kept with their reasons in "
                        "%s/dead-letters\n",
                        work->rejects, work->app->options->data_dir);
}

static void print_json(const struct importing *work, const struct judged *judged, double seconds,
                       uint64_t duplicates, struct base_buf *out)
{
    struct fold_stats stats;
    fold_stats_get(work->engine.fold, &stats);
    base_buf_printf(out,
                    "{\"events\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"items\":%" PRIu64
                    ",\"users\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"seconds\":%.3f",
                    work->events - duplicates, duplicates, work->items, work->users, work->rejects,
                    seconds);
    base_buf_printf(out,
                    ",\"scored\":%" PRIu64 ",\"sample_one_in\":%u,\"hit_rate_10\":%.6f,"
                    "\"popular_hit_rate_10\":%.6f,\"position\":%" PRIu64 "}\n",
                    judged->scored, stats.sample_one_in,
                    judged->scored ? judged->hits / (double)judged->scored : 0.0,
                    judged->scored ? judged->popular_hits / (double)judged->scored : 0.0,
                    stats.applied);
}

/* The lines of `export --what records`, into an empty directory: every record with its received
 * time, so that the state comes out the same. */
static enum fr_status import_records(struct importing *work, FILE *file, struct fr_error *error)
{
    char *line = NULL;
    size_t room = 0;
    uint64_t row = 0;
    struct journal_record record;
    enum fr_status status = FR_OK;
    fold_sample_set(work->engine.fold, FOLD_AS_RECORDED);
    for (ssize_t bytes; status == FR_OK && (bytes = getline(&line, &room, file)) >= 0;) {
        row++;
        status = app_record_parse(fr_slice_of(line, (size_t)bytes), &work->payload, &record);
        if (status == FR_OK && record.position != row)
            status = FR_INVALID;
        if (status != FR_OK) {
            base_fail(error, status, "app",
                      "line %" PRIu64 " is no record of an export, or lines "
                      "are missing before it",
                      row);
            break;
        }
        if (work->batch.count >= work->batch_records ||
            (work->batch.count && work->batch.received_us != record.received_us))
            status = flush(work, error);
        work->batch.received_us = record.received_us;
        work->events += record.kind == SCHEMA_KIND_EVENT;
        fold_batch_add(&work->batch, record.kind, record.payload);
        if (row % BATCH_RECORDS == 0)
            app_progress_update(&work->progress, row);
    }
    free(line);
    return status == FR_OK ? flush(work, error) : status;
}

/* FR_NOT_FOUND: no file of records. */
static enum fr_status try_records(struct importing *work, int count, char **paths,
                                  struct fr_error *error)
{
    char head[16] = "";
    FILE *file = count == 1 && strcmp(paths[0], "-") != 0 ? fopen(paths[0], "re") : NULL;
    if (!file)
        return FR_NOT_FOUND;
    size_t bytes = fread(head, 1, sizeof(head), file);
    enum fr_status status = FR_NOT_FOUND;
    if (app_record_is_line(fr_slice_of(head, bytes))) {
        rewind(file);
        status = fold_applied(work->engine.fold) == 0
                     ? import_records(work, file, error)
                     : base_fail(error, FR_EXISTS, "app",
                                 "%s is an export of a whole journal and %s is not empty", paths[0],
                                 work->app->options->data_dir);
    }
    fclose(file);
    return status;
}

static enum fr_status import_files(struct importing *work, int count, char **paths,
                                   struct fr_error *error)
{
    struct app_stream stream;
    enum fr_status status = app_stream_init(&stream, paths, (uint32_t)count, &work->options);
    if (status == FR_OK)
        status = import_all(work, &stream, error);
    app_stream_release(&stream);
    return status;
}

static enum fr_status run(struct importing *work, int count, char **paths, struct base_buf *out,
                          struct fr_error *error)
{
    struct fold_stats before, after;
    if (app_flag(work->app, "shift-to-now"))
        FR_TRY(shift_to_now(work, count, paths, error));
    fold_stats_get(work->engine.fold, &before);
    struct judged judged_before = judged_now(&work->engine);
    int64_t began_ns = os_mono_ns(os_real());
    enum fr_status status = try_records(work, count, paths, error);
    if (status == FR_NOT_FOUND)
        status = import_files(work, count, paths, error);
    FR_TRY(status);
    fold_drain(work->engine.fold);
    double seconds = (double)(os_mono_ns(os_real()) - began_ns) * 1e-9;
    fold_stats_get(work->engine.fold, &after);
    struct judged judged = judged_now(&work->engine);
    judged.hits -= judged_before.hits;
    judged.popular_hits -= judged_before.popular_hits;
    judged.scored -= judged_before.scored;
    uint64_t duplicates = after.duplicates - before.duplicates;
    app_progress_end(&work->progress);
    (work->app->json ? print_json : print_text)(work, &judged, seconds, duplicates, out);
    return FR_OK;
}

static enum fr_status open_all(struct importing *work, struct fr_error *error)
{
    char path[PATH_BYTES];
    struct app_engine_options options = {0};
    struct ingest_dead_options dead = {.os = os_real(), .directory = path};
    FR_TRY(app_engine_open(work->app, &options, error, &work->engine));
    snprintf(path, sizeof(path), "%s/dead-letters", work->app->options->data_dir);
    return ingest_dead_open(&dead, error, &work->dead);
}

/* How each file is understood and its first rows; nothing is learnt. */
static int preview(struct importing *work, int count, char **paths)
{
    struct base_buf out;
    struct fr_error error = {0};
    base_buf_init(&out, 0);
    if (app_event_types(work->app->conf, &work->engine.types, &error) != FR_OK)
        return app_fail(work->app, &error);
    work->options.types = &work->engine.types;
    for (int i = 0; i < count; i++) {
        uint32_t understood = 0;
        enum fr_status status =
            ingest_preview(paths[i], &work->options, PREVIEW_ROWS, &out, &understood, &error);
        if (status == FR_OK && understood == 0)
            status =
                base_fail(&error, FR_INVALID, "app", "no row of %s could be understood", paths[i]);
        if (status != FR_OK) {
            fr_ignore((enum fr_status)app_print(&out), "what was found is shown before the fault");
            return app_fail(work->app, &error);
        }
    }
    return app_print(&out);
}

static bool parse_batch(const struct app *app, uint32_t *out_records)
{
    const char *text = app_flag(app, "batch");
    char *end = NULL;
    unsigned long records = text ? strtoul(text, &end, 10) : BATCH_RECORDS;
    *out_records = (uint32_t)records;
    return records >= 1 && records <= BATCH_RECORDS_MAX && (!end || (*end == '\0' && *text != '-'));
}

static int app_import(struct app *app, int argc, char **argv)
{
    if (argc < 1 || argc > FILES_MAX)
        return app_usage(app, "import needs the files to read (- for standard input), at most %d",
                         FILES_MAX);
    struct importing work = {.app = app};
    struct fr_error error = {0};
    struct base_buf out;
    if (!parse_batch(app, &work.batch_records))
        return app_usage(app, "--batch is a number of records from 1 to %d", BATCH_RECORDS_MAX);
    work.options = app_stream_options(app, NULL);
    if (app_flag(app, "preview"))
        return preview(&work, argc, argv);
    base_buf_init(&out, 0);
    base_buf_init(&work.payload, 0);
    fold_batch_init(&work.batch);
    enum fr_status status = open_all(&work, &error);
    if (status == FR_OK) {
        work.options.types = fold_types(work.engine.fold);
        app_progress_begin(&work.progress, app, "importing", "records", 0);
        status = run(&work, argc, argv, &out, &error);
        app_progress_end(&work.progress);
    }
    app_engine_close(&work.engine);
    ingest_dead_close(work.dead);
    fold_batch_release(&work.batch);
    base_buf_release(&work.payload);
    if (status != FR_OK) {
        base_buf_release(&out);
        return app_fail(app, &error);
    }
    return app_print(&out);
}

static const struct conf_flag flags[] = {
    {"format", "NAME", "one of the ready formats; guessed from the content when not given"},
    {"columns", "MAP", "user=1,item=2,value=3,time=4,session=5,... by number or header name"},
    {"separator", "S", "between columns: , tab ; | :: space; guessed when not given"},
    {"header", NULL, "the first row names the columns"},
    {"time-unit", "U", "s, ms or us; guessed by magnitude when not given"},
    {"type", "TYPE", "event type of rows without one; rating with a value, else click"},
    {"preview", NULL, "show how the files are understood and their first rows; learn nothing"},
    {"batch", "N", "records in one group of the journal, 1 to 4096 [1000]; the state is the same"},
    {"shift-to-now", NULL, "move all times so that the newest event is now"},
};

const struct app_command app_command_import = {
    .name = "import",
    .summary = "learn from files of events, items or users",
    .arguments = "FILE...",
    .text =
        "Reads JSON lines, a JSON array, CSV and its relatives, sequences or sessions, plain or\n"
        "compressed with gzip, xz or zstd, from files or standard input (-), into the data\n"
        "directory. What each file is and which column is what is guessed from its content\n"
        "unless the flags say it.\n"
        "\n"
        "Events are taken in the order of their times (within windows of two million), whatever\n"
        "the order of the rows.\n"
        "\n"
        "Rows that break a rule are told with column, rule and value, and kept in the\n"
        "dead-letter store; the others go in. Reading the same file again changes nothing:\n"
        "its events are recognised.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_import,
};
