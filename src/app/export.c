/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet export: what a data directory holds, as JSON lines or CSV on standard output. `records`
 * is the whole journal and imports to the same state hash; the others are for other programs and
 * people.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/engine.h"
#include "app/records.h"
#include "journal/journal.h"
#include "os/os.h"

enum { PATH_BYTES = 1024, FLUSH_BYTES = 1 << 20 };

enum what { WHAT_RECORDS, WHAT_EVENTS, WHAT_ITEMS, WHAT_USERS, WHAT_AUDIT };

struct exporting {
    const struct app *app;
    enum what what;
    bool csv;
    struct fr_slice user; /* only this one; empty: all */
    struct schema_types types;
    struct base_buf out;
    bool failed;
};

static void flush(struct exporting *work)
{
    if (fwrite(work->out.bytes, 1, work->out.count, stdout) != work->out.count)
        work->failed = true;
    base_buf_clear(&work->out);
}

/* RFC 4180: quoted when need be. */
static void put_cell(struct base_buf *out, struct fr_slice text, bool first)
{
    bool plain = true;
    if (!first)
        base_buf_put_u8(out, ',');
    for (size_t i = 0; i < text.bytes && plain; i++)
        plain = !strchr(",\"\r\n", text.ptr[i]) || text.ptr[i] == '\0';
    if (plain) {
        base_buf_put_slice(out, text);
        return;
    }
    base_buf_put_u8(out, '"');
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.ptr[i] == '"')
            base_buf_put_u8(out, '"');
        base_buf_put_u8(out, (uint8_t)text.ptr[i]);
    }
    base_buf_put_u8(out, '"');
}

static void put_event_csv(const struct exporting *work, const struct schema_event *event,
                          struct base_buf *out)
{
    const char *type = event->type < work->types.count ? work->types.row[event->type].name : "";
    char value[40] = "";
    schema_time_print(event->time_us, out);
    put_cell(out, event->user, false);
    put_cell(out, event->session, false);
    put_cell(out, event->item, false);
    put_cell(out, fr_slice_str(type), false);
    if (event->has_value)
        snprintf(value, sizeof(value), "%.17g", event->value);
    put_cell(out, fr_slice_str(value), false);
    put_cell(out, event->context.device, false);
    put_cell(out, event->context.region, false);
    put_cell(out, event->context.country, false);
    put_cell(out, event->context.referrer, false);
    base_buf_put_u8(out, '\n');
}

static void put_event(struct exporting *work, const struct journal_record *record)
{
    struct schema_event event;
    if (record->kind != SCHEMA_KIND_EVENT || schema_event_decode(record->payload, &event) != FR_OK)
        return;
    if (work->user.bytes && !fr_slice_equal(work->user, event.user))
        return;
    if (work->csv) {
        put_event_csv(work, &event, &work->out);
        return;
    }
    schema_event_to_json(&event, &work->types, &work->out);
    base_buf_put_u8(&work->out, '\n');
}

static void put_act(struct exporting *work, const struct journal_record *record)
{
    struct schema_act act;
    if (record->kind != SCHEMA_KIND_AUDIT || schema_act_decode(record->payload, &act) != FR_OK)
        return;
    app_act_print(&act, record, &work->out);
    base_buf_put_u8(&work->out, '\n');
}

static void follow_types(struct exporting *work, const struct journal_record *record)
{
    struct schema_types types;
    if (record->kind == SCHEMA_KIND_TYPES && schema_types_decode(record->payload, &types) == FR_OK)
        work->types = types;
}

/* Events and records come from the journal, in its order. */
static enum fr_status from_journal(struct exporting *work, struct fr_error *error)
{
    char path[PATH_BYTES];
    struct journal *journal = NULL;
    struct journal_cursor *cursor = NULL;
    struct journal_record record;
    struct app_progress progress;
    snprintf(path, sizeof(path), "%s/journal", work->app->options->data_dir);
    struct journal_options options = {.directory = path, .read_only = true};
    FR_TRY(journal_open(os_real(), &options, error, &journal));
    enum fr_status status = journal_cursor_open(journal, journal_first(journal), error, &cursor);
    app_progress_begin(&progress, work->app, "exporting", "records", journal_durable(journal));
    while (status == FR_OK && (status = journal_cursor_next(cursor, error, &record)) == FR_OK) {
        follow_types(work, &record);
        if (work->what == WHAT_RECORDS)
            app_record_print(&record, &work->types, &work->out);
        else if (work->what == WHAT_AUDIT)
            put_act(work, &record);
        else
            put_event(work, &record);
        if (work->out.count >= FLUSH_BYTES) {
            flush(work);
            app_progress_update(&progress, record.position);
        }
    }
    app_progress_end(&progress);
    if (cursor)
        journal_cursor_close(cursor);
    journal_close(journal);
    return status == FR_END ? FR_OK : status;
}

static void put_item(struct exporting *work, const struct schema_item *item)
{
    if (!work->csv) {
        schema_item_to_json(item, &work->out);
        base_buf_put_u8(&work->out, '\n');
        return;
    }
    put_cell(&work->out, item->id, true);
    put_cell(&work->out, item->title, false);
    put_cell(&work->out, item->author, false);
    struct base_buf list;
    base_buf_init(&list, 0);
    for (uint32_t c = 0; c < item->category_count; c++) {
        if (c)
            base_buf_put_u8(&list, '|');
        base_buf_put_slice(&list, item->categories[c]);
    }
    put_cell(&work->out, base_buf_slice(&list), false);
    base_buf_release(&list);
    base_buf_put_u8(&work->out, '\n');
}

static void put_user(struct exporting *work, const struct schema_user *user)
{
    if (work->csv) {
        put_cell(&work->out, user->id, true);
    } else {
        schema_user_to_json(user, &work->out);
    }
    base_buf_put_u8(&work->out, '\n');
}

static void put_items(struct exporting *work, const struct state *state, struct base_arena *arena)
{
    struct schema_item *item = calloc(1, sizeof(*item));
    FR_ASSERT(item != NULL);
    for (uint32_t i = 1; i < state_item_count(state); i++) {
        struct state_item row;
        if (!state_item_get(state, i, &row) || row.flags & STATE_ITEM_EXPIRED)
            continue;
        base_arena_clear(arena);
        if (state_item_document(state, i, arena, item) != FR_OK)
            *item = (struct schema_item){.id = state_item_id(state, i)};
        put_item(work, item);
        if (work->out.count >= FLUSH_BYTES)
            flush(work);
    }
    free(item);
}

static void put_users(struct exporting *work, const struct state *state, struct base_arena *arena)
{
    struct schema_user *user = calloc(1, sizeof(*user));
    FR_ASSERT(user != NULL);
    for (uint32_t u = 1; u < state_user_count(state); u++) {
        struct fr_slice id = state_user_id(state, u);
        base_arena_clear(arena);
        if (state_user_expired(state, u) || (work->user.bytes && !fr_slice_equal(work->user, id)))
            continue;
        if (state_user_document(state, u, arena, user) != FR_OK)
            *user = (struct schema_user){.id = id};
        put_user(work, user);
        if (work->out.count >= FLUSH_BYTES)
            flush(work);
    }
    free(user);
}

/* Items and users as they are now. */
static enum fr_status from_state(struct exporting *work, struct fr_error *error)
{
    struct app_engine engine;
    struct base_arena arena;
    struct app_engine_options options = {.read_only = true};
    FR_TRY(app_engine_open(work->app, &options, error, &engine));
    enum fr_status status = base_arena_init(&arena, 1 << 20);
    if (status == FR_OK) {
        (work->what == WHAT_ITEMS ? put_items : put_users)(work, engine.state, &arena);
        base_arena_release(&arena);
    }
    app_engine_close(&engine);
    return status;
}

/* Which forms and filters go with what is written. */
static int check_form(struct exporting *work, const char *name)
{
    if (work->csv && (work->what == WHAT_RECORDS || work->what == WHAT_AUDIT))
        return app_usage(work->app, "%s have no CSV form", name);
    work->user = fr_slice_str(app_flag(work->app, "user"));
    if (work->user.bytes && work->what != WHAT_EVENTS && work->what != WHAT_USERS)
        return app_usage(work->app, "--user goes with --what events or users");
    return APP_OK;
}

static int parse(struct exporting *work)
{
    static const char *const names[] = {"records", "events", "items", "users", "audit"};
    static const char *const headers[] =
        {"", "time,user,session,item,type,value,device,region,country,referrer\n",
         "id,title,author,categories\n", "id\n", ""};
    const char *what = app_flag(work->app, "what"), *form = app_flag(work->app, "form");
    size_t w = 0;
    while (what && w < FR_COUNT_OF(names) && strcmp(names[w], what) != 0)
        w++;
    if (w == FR_COUNT_OF(names))
        return app_usage(work->app, "--what is records, events, items, users or audit, not '%s'",
                         what);
    work->what = (enum what)w;
    work->csv = form && strcmp(form, "csv") == 0;
    if (form && !work->csv && strcmp(form, "json") != 0)
        return app_usage(work->app, "--form is json or csv, not '%s'", form);
    int code = check_form(work, names[w]);
    if (code != APP_OK)
        return code;
    if (work->csv)
        base_buf_put_str(&work->out, headers[w]);
    return APP_OK;
}

static int app_export(struct app *app, int argc, char **argv)
{
    (void)argv;
    struct exporting work = {.app = app};
    struct fr_error error = {0};
    if (argc > 0)
        return app_usage(app, "export takes no arguments; it writes to standard output");
    base_buf_init(&work.out, 0);
    schema_types_init(&work.types);
    int code = parse(&work);
    if (code != APP_OK)
        return code;
    bool journal = work.what != WHAT_ITEMS && work.what != WHAT_USERS;
    enum fr_status status = (journal ? from_journal : from_state)(&work, &error);
    flush(&work);
    base_buf_release(&work.out);
    if (status != FR_OK)
        return app_fail(app, &error);
    if (work.failed || fflush(stdout) != 0) {
        base_fail(&error, FR_IO, "app", "standard output is closed or full");
        return app_fail(app, &error);
    }
    return APP_OK;
}

static const struct conf_flag flags[] = {
    {"what", "WHAT", "records (the whole journal; default), events, items, users or audit"},
    {"form", "json|csv", "JSON lines, or CSV with a header line"},
    {"user", "ID", "events, users: only this one's"},
};

const struct app_command app_command_export = {
    .name = "export",
    .summary = "write events, items, users or the whole journal to standard output",
    .arguments = "",
    .text =
        "records   every record of the journal, in order; `freshet import` of it into an empty\n"
        "          directory gives the same state hash\n"
        "events    what was taken in, in the order of the journal, repeats included\n"
        "items     the catalogue as it is now\n"
        "users     profiles as they are now\n"
        "audit     administrative acts: who did what, and when\n"
        "\n"
        "Reads beside a running server. `--what events --user ID` gives all that one person did.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_export,
};
