/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet models: the life of the experts. Listing and saving read the data directory beside a running
 * server; acts become journal records: through the server when one runs (it holds the directory, or
 * --url names it), else directly.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/engine.h"
#include "fold/models.h"
#include "os/os.h"
#include "rank/models.h"
#include "rank/refit.h"
#include "serve/serve.h"

enum { FILE_BYTES_MAX = 64 << 20, HOST_BYTES = 128, PATH_BYTES = 320 };

/* What is asked for. */
struct order {
    struct app *app;
    const char *act, *name;
    const char *path; /* of save and import */
    struct rank_act rank;
    struct base_buf file;
    uint64_t until; /* of reading: 0 = all */
    bool better;    /* what was learnt anew */
};

/* ---- printing --------------------------------------------------------------------------------- */

static void print_table(const struct rank_model *model, uint32_t count, uint64_t applied,
                        struct base_buf *out)
{
    base_buf_printf(out, "%-11s %-7s %5s %8s %8s %21s %9s %6s %6s %9s\n", "model", "role", "stage",
                    "version", "judged", "gain, surely within", "log loss", "auc", "pcoc",
                    "behind");
    for (uint32_t m = 0; m < count; m++, model++) {
        char gain[32] = "-", loss[32] = "        -      -      -", lag[24] = "-";
        bool behind = model->running || model->waiting;
        if (model->judged)
            snprintf(gain, sizeof(gain), "%+.5f .. %+.5f", model->gain_low, model->gain_high);
        if (model->examples)
            snprintf(loss, sizeof(loss), "%9.4f %6.3f %6.3f", model->logloss, model->auc,
                     model->pcoc);
        if (model->deferred)
            snprintf(lag, sizeof(lag), "%" PRIu64, behind ? applied - model->learnt_position : 0);
        base_buf_printf(out, "%-11s %-7s %5d %8u %8" PRIu64 " %21s %-23s %9s\n", model->name,
                        rank_role_name(model->role), model->second_stage ? 2 : 1, model->version,
                        model->judged, gain, loss, lag);
    }
}

static void print_one(const struct rank_model *model, struct base_buf *out)
{
    base_buf_printf(out, "%s: %s (before: %s), stage %d, version %u\n", model->name,
                    rank_role_name(model->role), rank_role_name(model->previous_role),
                    model->second_stage ? 2 : 1, model->version);
    base_buf_printf(out, "judged on %" PRIu64 " events; HR@10 alone %.4f\n", model->judged,
                    model->hit10);
    base_buf_printf(out,
                    "NDCG@10 with it less without it: %+.5f, surely (.99) within %+.5f .. %+.5f\n",
                    model->gain, model->gain_low, model->gain_high);
    if (model->second_stage)
        base_buf_printf(out,
                        "%" PRIu64 " examples predicted: log loss %.4f, AUC %.4f, ECE %.4f, PCOC "
                        "%.3f; %" PRIu64 " steps; weight %.4f\n",
                        model->examples, model->logloss, model->auc, model->ece, model->pcoc,
                        model->steps, model->weight);
    if (model->deferred)
        base_buf_printf(out,
                        "%" PRIu64 " jobs, %" PRIu64 " refused, %u examples waiting%s; published "
                        "at %" PRIu64 " what was gathered up to %" PRIu64 "\n",
                        model->jobs, model->refused, model->waiting,
                        model->running ? ", one under way" : "", model->published_position,
                        model->learnt_position);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static int with_engine(struct order *order, bool read_only,
                       int (*then)(struct order *order, struct app_engine *engine))
{
    struct app_engine engine;
    struct fr_error error = {0};
    struct app_engine_options options = {.read_only = read_only,
                                         .by_hand = !read_only,
                                         .until = order->until};
    if (app_engine_open(order->app, &options, &error, &engine) != FR_OK)
        return app_fail(order->app, &error);
    int code = then(order, &engine);
    app_engine_close(&engine);
    return code;
}

static int list_models(struct order *order, struct app_engine *engine)
{
    struct rank_model models[RANK_MODELS_MAX];
    struct base_buf out;
    uint64_t applied = fold_applied(engine->fold);
    uint32_t count = rank_models(engine->rank, models, RANK_MODELS_MAX);
    base_buf_init(&out, 0);
    if (order->app->json) {
        base_buf_put_str(&out, "{\"models\":");
        serve_models_print(engine->rank, applied, &out);
        base_buf_put_str(&out, "}\n");
    } else {
        print_table(models, count, applied, &out);
    }
    return app_print(&out);
}

static int unknown(const struct order *order)
{
    struct fr_error error = {0};
    fr_ignore(base_fail(&error, FR_NOT_FOUND, "app", "there is no model \"%s\"", order->name),
              "told below");
    base_hint(&error, "freshet models list names them");
    return app_fail(order->app, &error);
}

static int show_model(struct order *order, struct app_engine *engine)
{
    struct rank_model models[RANK_MODELS_MAX];
    struct base_buf out;
    int m = rank_model_find(engine->rank, fr_slice_str(order->name));
    if (m < 0)
        return unknown(order);
    rank_models(engine->rank, models, RANK_MODELS_MAX);
    base_buf_init(&out, 0);
    print_one(&models[m], &out);
    return app_print(&out);
}

static int save_model(struct order *order, struct app_engine *engine)
{
    struct fr_error error = {0};
    int m = rank_model_find(engine->rank, fr_slice_str(order->name));
    if (m < 0)
        return unknown(order);
    if (rank_model_save(engine->rank, (uint32_t)m, &order->file, &error) != FR_OK)
        return app_fail(order->app, &error);
    FILE *file = fopen(order->path, "wbe");
    bool good = file && fwrite(order->file.bytes, 1, order->file.count, file) == order->file.count;
    good = file && fclose(file) == 0 && good;
    if (!good) {
        fr_ignore(base_fail(&error, FR_IO, "app", "cannot write %s", order->path), "told below");
        return app_fail(order->app, &error);
    }
    struct base_buf out;
    base_buf_init(&out, 0);
    base_buf_printf(&out, order->app->json ? "{\"bytes\":%zu}\n" : "%zu bytes\n",
                    order->file.count);
    return app_print(&out);
}

/* ---- acts ------------------------------------------------------------------------------------- */

static int told(const struct order *order, uint64_t position)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    base_buf_printf(&out,
                    order->app->json ? "{\"model\":\"%s\",\"act\":\"%s\",\"position\":%" PRIu64
                                       "}\n"
                                     : "%s: %s, at position %" PRIu64 "\n",
                    order->name, order->act, position);
    return app_print(&out);
}

static int act_directly(struct order *order, struct app_engine *engine)
{
    struct fr_error error = {0};
    struct fold_batch batch;
    struct base_buf payload;
    if (rank_act_check(engine->rank, &order->rank, &error) != FR_OK)
        return app_fail(order->app, &error);
    const struct fold_model_record record = {.what = FOLD_MODEL_ACT,
                                             .model = order->rank.model,
                                             .act = order->rank,
                                             .why = FR_SLICE("command line")};
    base_buf_init(&payload, 0);
    fold_model_encode(&record, &payload);
    fold_batch_init(&batch);
    fold_batch_add(&batch, SCHEMA_KIND_MODEL, base_buf_slice(&payload));
    base_buf_clear(&payload);
    schema_act_encode(&(struct schema_act){.actor = FR_SLICE("command line"),
                                           .act = FR_SLICE("model_changed"),
                                           .target = order->rank.model,
                                           .detail = fr_slice_str(order->act)},
                      &payload);
    fold_batch_add(&batch, SCHEMA_KIND_AUDIT, base_buf_slice(&payload));
    enum fr_status status = fold_run(engine->fold, &batch, FOLD_ACK_APPLIED);
    int code =
        status == FR_OK ? told(order, batch.first_position) : app_fail(order->app, &batch.error);
    fold_batch_release(&batch);
    base_buf_release(&payload);
    return code;
}

/* "http://host:port" */
static bool parse_url(const char *url, char host[HOST_BYTES], uint16_t *out_port)
{
    unsigned port = 0;
    int used = 0;
    if (sscanf(url, "http://%127[^:/]:%u%n", host, &port, &used) != 2 || port == 0 ||
        port > UINT16_MAX || (url[used] && strcmp(url + used, "/") != 0))
        return false;
    *out_port = (uint16_t)port;
    return true;
}

static int answered(const struct order *order, int status, const struct base_buf *body)
{
    struct fr_error error = {0};
    const char *text = (const char *)body->bytes;
    const char *position =
        body->count ? memmem(text, body->count, "\"position\":", sizeof("\"position\":") - 1)
                    : NULL;
    if (status == 200 && position)
        return told(order, strtoull(position + sizeof("\"position\":") - 1, NULL, 10));
    fr_ignore(base_fail(&error, status == 404 ? FR_NOT_FOUND : FR_INVALID, "app",
                        "the server answers %d: %.*s", status,
                        (int)FR_MIN(body->count, (size_t)400), text ? text : ""),
              "told below");
    return app_fail(order->app, &error);
}

static int act_by_server(const struct order *order, const char *host, uint16_t port)
{
    char path[PATH_BYTES];
    struct fr_error error = {0};
    struct base_buf body;
    int status = 0;
    bool load = order->rank.kind == RANK_ACT_LOAD;
    snprintf(path, sizeof(path), "/v1/models/%s/%s?ack=applied", order->name,
             load ? "parameters" : order->act);
    if (order->rank.kind == RANK_ACT_RESET_LAYER)
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "&layer=%u", order->rank.value);
    if (order->rank.kind == RANK_ACT_RATE)
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "&percent=%.0f",
                 (double)order->rank.factor * 100);
    const struct app_request request = {.host = host,
                                        .port = port,
                                        .method = load ? "PUT" : "POST",
                                        .path = path,
                                        .key = app_flag(order->app, "key"),
                                        .body = base_buf_slice(&order->file)};
    base_buf_init(&body, 0);
    int code = app_client_call(&request, &error, &status, &body) == FR_OK
                   ? answered(order, status, &body)
                   : app_fail(order->app, &error);
    base_buf_release(&body);
    return code;
}

/* Is a server at work on the directory? Its lock says so. */
static bool directory_is_held(const struct order *order)
{
    char path[1200];
    struct fr_error error = {0};
    struct journal *journal = NULL;
    const struct journal_options options = {.directory = path, .no_thread = true};
    snprintf(path, sizeof(path), "%s/journal", order->app->options->data_dir);
    enum fr_status status = journal_open(os_real(), &options, &error, &journal);
    if (status == FR_OK)
        journal_close(journal);
    return status == FR_AGAIN;
}

/* An act makes no data directory: more likely another one was meant. */
static int no_directory(const struct order *order)
{
    struct fr_error error = {0};
    fr_ignore(base_fail(&error, FR_NOT_FOUND, "app", "there is no journal in %s/journal",
                        order->app->options->data_dir),
              "told below");
    base_hint(&error, "name the data directory with --data-dir, or the server with --url");
    return app_fail(order->app, &error);
}

static bool has_journal(const struct order *order)
{
    char path[1200];
    struct stat found;
    snprintf(path, sizeof(path), "%s/journal", order->app->options->data_dir);
    return stat(path, &found) == 0;
}

static int act(struct order *order)
{
    const struct conf_options *conf = order->app->options;
    const char *url = app_flag(order->app, "url");
    char host[HOST_BYTES];
    uint16_t port = (uint16_t)conf->port;
    if (url && !parse_url(url, host, &port))
        return app_usage(order->app, "--url takes http://host:port, not %s", url);
    if (url)
        return act_by_server(order, host, port);
    if (!has_journal(order))
        return no_directory(order);
    if (directory_is_held(order))
        return act_by_server(order, conf->listen, port);
    return with_engine(order, false, act_directly);
}

static int import_model(struct order *order)
{
    struct fr_error error = {0};
    FILE *file = fopen(order->path, "rbe");
    uint8_t *to = file ? base_buf_reserve(&order->file, FILE_BYTES_MAX) : NULL;
    size_t got = to ? fread(to, 1, FILE_BYTES_MAX, file) : 0;
    bool whole = file && to && !ferror(file) && got < (size_t)FILE_BYTES_MAX;
    if (file)
        fclose(file);
    if (!whole) {
        fr_ignore(base_fail(&error, FR_IO, "app", "cannot read %s, or it is longer than 64 MiB",
                            order->path),
                  "told below");
        return app_fail(order->app, &error);
    }
    base_buf_commit(&order->file, got);
    order->rank.bytes = base_buf_slice(&order->file);
    return act(order);
}

/* ---- refit ------------------------------------------------------------------------------------ */

enum { REFIT_EXAMPLES_MAX = 200000, REFIT_PASSES = 3 };
#define REFIT_Z 2.0 /* how sure it must be that the new one is better */

static int tell_refit(struct order *order, const struct rank_refit_result *result, bool better)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    if (result->held_out == 0 && !order->app->json) {
        base_buf_printf(&out, "%s: not enough examples yet: %" PRIu64 " of %d; nothing changed\n",
                        order->name, result->examples, RANK_REFIT_EXAMPLES_LEAST);
        return app_print(&out);
    }
    base_buf_printf(&out,
                    order->app->json
                        ? "{\"model\":\"%s\",\"examples\":%" PRIu64 ",\"held_out\":%" PRIu64
                          ",\"logloss_live\":%.6f,\"logloss_new\":%.6f,\"z\":%.3f,\"better\":%s}\n"
                        : "%s: %" PRIu64 " examples, %" PRIu64
                          " held out: log loss %.6f live, %.6f "
                          "anew (z %.3f); better: %s\n",
                    order->name, result->examples, result->held_out, result->logloss_live,
                    result->logloss_new, result->z, better ? "true" : "false");
    return app_print(&out);
}

/* Folds the whole journal again, noting what the model learns from; the result waits in order->file. */
static int refit_by_engine(struct order *order, struct app_engine *engine)
{
    struct fr_error error = {0};
    struct rank_refit *refit = NULL;
    struct rank_refit_result result = {0};
    int m = rank_model_find(engine->rank, fr_slice_str(order->name));
    if (m < 0)
        return unknown(order);
    enum fr_status status =
        rank_refit_new(engine->rank, (uint32_t)m, REFIT_EXAMPLES_MAX, &error, &refit);
    if (status == FR_OK)
        status = fold_advance(engine->fold, fold_durable(engine->fold), &error);
    if (status == FR_OK)
        status = rank_refit_run(refit, REFIT_PASSES, &result, &order->file, &error);
    rank_refit_free(refit);
    if (status != FR_OK)
        return app_fail(order->app, &error);
    order->better = result.z > REFIT_Z;
    return tell_refit(order, &result, order->better);
}

static int refit(struct order *order)
{
    order->until = 1; /* no snapshot: every example is wanted */
    int code = with_engine(order, true, refit_by_engine);
    if (code != APP_OK || !order->better)
        return code;
    order->act = "import";
    order->until = 0;
    order->rank = (struct rank_act){.kind = RANK_ACT_LOAD,
                                    .model = fr_slice_str(order->name),
                                    .bytes = base_buf_slice(&order->file)};
    return act(order);
}

/* ---- the command ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum rank_act_kind kind;
    uint32_t value;
    int arguments; /* after the model's name */
} acts[] = {
    {"promote", RANK_ACT_ROLE, RANK_LIVE, 0},
    {"demote", RANK_ACT_ROLE, RANK_SHADOW, 0},
    {"off", RANK_ACT_ROLE, RANK_OFF, 0},
    {"rollback", RANK_ACT_ROLLBACK, 0, 0},
    {"reset-layer", RANK_ACT_RESET_LAYER, 0, 1},
    {"rate", RANK_ACT_RATE, 0, 1},
    {"import", RANK_ACT_LOAD, 0, 1},
};

static bool parse_number(const char *text, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == '\0';
}

static int dispatch(struct order *order, int argc, char **argv)
{
    double number = 0;
    for (size_t i = 0; i < FR_COUNT_OF(acts); i++) {
        if (strcmp(order->act, acts[i].name) != 0 || argc != 2 + acts[i].arguments)
            continue;
        order->rank = (struct rank_act){.kind = acts[i].kind,
                                        .model = fr_slice_str(order->name),
                                        .value = acts[i].value,
                                        .factor = 1.0f};
        order->path = argv[2];
        if (acts[i].kind == RANK_ACT_LOAD)
            return import_model(order);
        if (acts[i].arguments && !parse_number(argv[2], &number))
            return app_usage(order->app, "%s takes a number, not %s", order->act, argv[2]);
        if (acts[i].kind == RANK_ACT_RESET_LAYER)
            order->rank.value = (uint32_t)number;
        if (acts[i].kind == RANK_ACT_RATE)
            order->rank.factor = (float)number;
        return act(order);
    }
    return app_usage(order->app, "models takes list, show NAME, promote|demote|off|rollback NAME, "
                                 "reset-layer NAME LAYER, rate NAME FACTOR, refit NAME, "
                                 "save|import NAME FILE");
}

static int app_models(struct app *app, int argc, char **argv)
{
    struct order order = {.app = app, .act = argc ? argv[0] : "", .name = argc > 1 ? argv[1] : ""};
    int code = APP_OK;
    if (order.name[strspn(order.name, "abcdefghijklmnopqrstuvwxyz0123456789_-")])
        return unknown(&order);
    base_buf_init(&order.file, 0);
    if (argc == 1 && strcmp(order.act, "list") == 0) {
        code = with_engine(&order, true, list_models);
    } else if (argc == 2 && strcmp(order.act, "show") == 0) {
        code = with_engine(&order, true, app->json ? list_models : show_model);
    } else if (argc == 2 && strcmp(order.act, "refit") == 0) {
        code = refit(&order);
    } else if (argc == 3 && strcmp(order.act, "save") == 0) {
        order.path = argv[2];
        code = with_engine(&order, true, save_model);
    } else {
        code = dispatch(&order, argc, argv);
    }
    base_buf_release(&order.file);
    return code;
}

static const struct conf_flag flags[] = {
    {"url", "URL", "acts: the running server, http://host:port; else as configured"},
    {"key", "TOKEN", "acts: an API key of scope admin, where the server asks for one"},
};

const struct app_command app_command_models = {
    .name = "models",
    .summary = "list the experts, change their roles, take changes back",
    .arguments =
        "list|show|promote|demote|off|rollback|reset-layer|rate|refit|save|import [NAME] [...]",
    .text =
        "Every expert has a role: live (in the answers), shadow (learns and is judged, weight 0),\n"
        "off. promote, demote and off change it; rollback brings back role and parameters of "
        "before\n"
        "the last act. reset-layer NAME LAYER begins a layer of the network anew; rate NAME "
        "FACTOR\n"
        "multiplies learning steps; save NAME FILE writes parameters, import NAME FILE reads "
        "them,\n"
        "or an .npz of a Keras model (numpy.savez(file, *model.get_weights())), checked: what "
        "does\n"
        "not fit is refused with what and where. refit NAME folds the journal again, learns the "
        "model\n"
        "anew in three passes over its examples, compares the two on the newest tenth and puts the "
        "new\n"
        "one in its place only when it is better (z above 2), never with fewer than 1,000 "
        "examples;\n"
        "run it from a timer, beside the server.\n"
        "\n"
        "Each act is a record of the journal. Where a server works on the data directory it is "
        "asked\n"
        "over HTTP; else the record is written directly. list, show and save read the directory, "
        "also\n"
        "beside a server.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_models,
};
