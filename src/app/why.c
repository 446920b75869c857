/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet why: answers of the past made again, byte for byte, with their decision records. Slates
 * say what was asked and at which position of the journal; the journal is folded up to there and
 * the same function answers again. Many answers are taken in the order of their positions, so that
 * each record is folded once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/engine.h"
#include "os/os.h"
#include "serve/serve.h"

enum { ANSWERS_MAX = 1000000, LINE_BYTES = 64, REASON_BYTES = 480 };

struct wanted {
    uint64_t id, position;
    size_t at, bytes; /* its slate in `slates` */
    bool found, whole, still;
};

struct asking {
    struct app *app;
    struct wanted *wanted;
    size_t count, capacity;
    struct base_buf slates;
    int64_t oldest_us; /* of the slates kept; 0: there are none */
    struct app_engine engine;
    bool is_open;
    struct serve_rebuild *rebuild;
    struct base_buf out;
    uint64_t equal, unequal, refused;
};

/* ---- which answers ----------------------------------------------------------------------- */

static bool want(struct asking *asking, const char *text)
{
    uint64_t id;
    if (!serve_request_id_parse(fr_slice_str(text), &id) || asking->count == ANSWERS_MAX)
        return false;
    if (asking->count == asking->capacity) {
        size_t capacity = asking->capacity * 2 + 64;
        struct wanted *grown = realloc(asking->wanted, capacity * sizeof *grown);
        if (!grown)
            return false;
        asking->wanted = grown;
        asking->capacity = capacity;
    }
    asking->wanted[asking->count++] = (struct wanted){.id = id};
    return true;
}

static int want_from(struct asking *asking, const char *path)
{
    char line[LINE_BYTES];
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    int code = APP_OK;
    if (!file)
        return app_usage(asking->app, "cannot read %s", path);
    while (code == APP_OK && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] && !want(asking, line))
            code = app_usage(asking->app, "'%s' in %s is not a request id", line, path);
    }
    if (!standard)
        fclose(file);
    return code;
}

static int by_id(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_position(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int order = (x->position > y->position) - (x->position < y->position);
    return order ? order : by_id(a, b);
}

static bool look_at(void *context, const struct serve_stored *stored)
{
    struct asking *asking = context;
    struct wanted key = {.id = stored->id};
    if (asking->oldest_us == 0)
        asking->oldest_us = stored->time_us;
    struct wanted *wanted =
        bsearch(&key, asking->wanted, asking->count, sizeof *asking->wanted, by_id);
    if (!wanted || wanted->found)
        return true;
    *wanted = (struct wanted){.id = stored->id,
                              .position = stored->position,
                              .at = asking->slates.count,
                              .bytes = stored->payload.bytes,
                              .found = true,
                              .whole = stored->whole,
                              .still = stored->still};
    base_buf_put_slice(&asking->slates, stored->payload);
    return !asking->slates.overflowed;
}

/* ---- one answer --------------------------------------------------------------------------- */

static void print_refusal(struct asking *asking, const struct wanted *wanted, const char *reason)
{
    char id[SERVE_REQUEST_ID_BYTES];
    serve_request_id_print(wanted->id, id);
    asking->refused++;
    if (!asking->app->json) {
        base_buf_printf(&asking->out, "%s cannot be made again: %s\n", id, reason);
        return;
    }
    base_buf_printf(&asking->out, "{\"request_id\":\"%s\",\"equal\":false,\"refused\":", id);
    base_buf_json_string(&asking->out, fr_slice_str(reason));
    base_buf_put_str(&asking->out, "}\n");
}

static const char *verdict_of(const struct serve_rebuilt *rebuilt)
{
    return rebuilt->equal ? "equal bytes" : "the bytes are NOT those that were sent";
}

static void print_answer(struct asking *asking, const struct wanted *wanted,
                         const struct serve_rebuilt *rebuilt)
{
    char id[SERVE_REQUEST_ID_BYTES];
    struct base_buf *out = &asking->out;
    serve_request_id_print(wanted->id, id);
    asking->equal += rebuilt->equal;
    asking->unequal += !rebuilt->equal;
    if (asking->app->json) {
        base_buf_printf(out,
                        "{\"request_id\":\"%s\",\"equal\":%s,\"position\":%" PRIu64
                        ",\"bytes\":%" PRIu64 ",\"version\":",
                        id, rebuilt->equal ? "true" : "false", wanted->position,
                        rebuilt->bytes_then);
        base_buf_json_string(out, rebuilt->version);
        base_buf_put_str(out, ",\"answer\":");
        base_buf_put_slice(out, rebuilt->answer);
        base_buf_put_str(out, ",\"decision\":");
        base_buf_put_slice(out, rebuilt->decision);
        base_buf_put_str(out, "}\n");
        return;
    }
    base_buf_printf(out, "%s at position %" PRIu64 ", %" PRIu64 " bytes by version %.*s: %s\n", id,
                    wanted->position, rebuilt->bytes_then, (int)rebuilt->version.bytes,
                    rebuilt->version.ptr ? rebuilt->version.ptr : "", verdict_of(rebuilt));
    base_buf_put_str(out, "answer ");
    base_buf_put_slice(out, rebuilt->answer);
    base_buf_put_str(out, "\ndecision ");
    base_buf_put_slice(out, rebuilt->decision);
    base_buf_put_str(out, "\n");
}

static enum fr_status go_to(struct asking *asking, uint64_t position, struct fr_error *error)
{
    if (asking->is_open)
        return fold_advance(asking->engine.fold, position, error);
    struct app_engine_options options = {.read_only = true, .until = position};
    FR_TRY(app_engine_open(asking->app, &options, error, &asking->engine));
    asking->is_open = true;
    struct serve_options serve = {.os = os_real(),
                                  .state = asking->engine.state,
                                  .rank = asking->engine.rank,
                                  .fold = asking->engine.fold};
    return serve_rebuild_new(&serve, error, &asking->rebuild);
}

static void answer(struct asking *asking, const struct wanted *wanted)
{
    char reason[REASON_BYTES];
    struct fr_error error = {0};
    struct serve_rebuilt rebuilt;
    if (!wanted->found && asking->oldest_us && (int64_t)(wanted->id >> 11) < asking->oldest_us) {
        print_refusal(asking, wanted, "it is older than the slates kept; their limit removed it");
    } else if (!wanted->found) {
        print_refusal(asking, wanted,
                      "there is no slate of it: never given, not yet on disk, or lost in a crash");
    } else if (!wanted->whole) {
        print_refusal(asking, wanted,
                      "a program that did not store what was asked gave it; its slate is "
                      "in the directory slates");
    } else if (!wanted->still) {
        print_refusal(asking, wanted,
                      "records were applied while it was computed, so that it has no position of "
                      "its own");
    } else if (go_to(asking, wanted->position, &error) != FR_OK) {
        snprintf(reason, sizeof reason, "the state at position %" PRIu64 " is out of reach: %s",
                 wanted->position, error.message);
        print_refusal(asking, wanted, reason);
    } else if (!fold_settings_hold(asking->engine.fold)) {
        print_refusal(asking, wanted,
                      "settings that the state depends on were others then (`freshet export --what "
                      "audit` tells which and when): give them to why");
    } else if (serve_rebuild_answer(asking->rebuild,
                                    fr_slice_of((const char *)asking->slates.bytes + wanted->at,
                                                wanted->bytes),
                                    &error, &rebuilt) != FR_OK) {
        print_refusal(asking, wanted, error.message);
    } else {
        print_answer(asking, wanted, &rebuilt);
    }
}

/* ---- the command --------------------------------------------------------------------------- */

static bool flush(struct asking *asking)
{
    bool fine = fwrite(asking->out.bytes, 1, asking->out.count, stdout) == asking->out.count &&
                fflush(stdout) == 0;
    base_buf_clear(&asking->out);
    return fine;
}

static int answer_all(struct asking *asking)
{
    struct fr_error error = {0};
    const char *directory = asking->app->options->data_dir;
    bool fine = true;
    qsort(asking->wanted, asking->count, sizeof *asking->wanted, by_id);
    if (serve_slates_each(os_real(), directory, look_at, asking, &error) != FR_OK)
        return app_fail(asking->app, &error);
    qsort(asking->wanted, asking->count, sizeof *asking->wanted, by_position);
    for (size_t i = 0; i < asking->count && fine; i++) {
        answer(asking, &asking->wanted[i]);
        fine = flush(asking);
    }
    if (!asking->app->json && asking->count > 1)
        fprintf(stderr,
                "%" PRIu64 " of %zu with equal bytes, %" PRIu64 " unequal, %" PRIu64 " refused\n",
                asking->equal, asking->count, asking->unequal, asking->refused);
    return fine && asking->equal == asking->count ? APP_OK : APP_FAILED;
}

static int app_why(struct app *app, int argc, char **argv)
{
    struct asking asking = {.app = app};
    const char *from = app_flag(app, "from");
    int code = APP_OK;
    base_buf_init(&asking.slates, 0);
    base_buf_init(&asking.out, 0);
    for (int i = 0; i < argc && code == APP_OK; i++)
        if (!want(&asking, argv[i]))
            code = app_usage(app, "'%s' is not a request id", argv[i]);
    if (code == APP_OK && from)
        code = want_from(&asking, from);
    if (code == APP_OK && asking.count == 0)
        code = app_usage(app, "why takes the request_id of an answer");
    if (code == APP_OK)
        code = answer_all(&asking);
    serve_rebuild_free(asking.rebuild);
    app_engine_close(&asking.engine);
    base_buf_release(&asking.slates);
    base_buf_release(&asking.out);
    free(asking.wanted);
    return code;
}

static const struct conf_flag flags[] = {
    {"from", "FILE", "read request ids from FILE, one a line; - is standard input"},
};

const struct app_command app_command_why = {
    .name = "why",
    .summary = "make a past answer again, byte for byte, and show how it came about",
    .arguments = "[REQUEST...]",
    .text =
        "Folds the journal up to the position that the answer was given at (from the newest\n"
        "snapshot before it), without locking or changing the data directory, answers the same\n"
        "question with the same clock again and compares the bytes. Prints the answer and its\n"
        "decision record. Many answers are taken in the order of their positions.\n"
        "\n"
        "Refuses with the reason when the slate or the records are no longer kept, or when "
        "records\n"
        "were applied while the answer was computed. Ends with 0 when all bytes are equal, else 1.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_why,
};
