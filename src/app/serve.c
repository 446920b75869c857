/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet serve: recovers the data directory and answers over HTTP until it is told to stop.
 *
 * Start order: state, rank, fold (recovery), dead letters, HTTP. Stop order is the reverse:
 * requests under way finish, what was submitted is folded, a snapshot is written. The main thread
 * waits for signals, and once a second copies the state's figures into the gauges and looks whether
 * the journal has failed: then the process ends with 1, so that a supervisor starts it anew and it
 * recovers.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/engine.h"
#include "app/version_number.h"
#include "ingest/ingest.h"
#include "obs/obs.h"
#include "os/os.h"
#include "rank/models.h"
#include "rank/health.h"
#include "serve/serve.h"

enum { PATH_BYTES = 1024, PORT_TRIES = 20 };

struct serving {
    const struct app *app;
    struct app_engine engine;
    struct ingest_dead *dead;
    struct serve *serve;
    sigset_t signals;
    struct conf *conf; /* as last read on SIGHUP; NULL: as at the start */
};

static long resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (!statm)
        return 0;
    if (fscanf(statm, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(statm);
    return resident * sysconf(_SC_PAGESIZE);
}

static void set_gauges(void *context, struct obs_collect *to)
{
    const struct serving *serving = context;
    struct state_stats stats;
    struct rusage usage;
    (void)to;
    state_stats_get(serving->engine.state, &stats);
    obs_gauge_set(OBS_USERS, (double)stats.users);
    obs_gauge_set(OBS_ITEMS, (double)stats.items);
    obs_gauge_set(OBS_DEDUPE_IDS, (double)stats.dedupe_ids);
    obs_gauge_set(OBS_RESIDENT, (double)resident_bytes());
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        obs_gauge_set(OBS_CPU_SECONDS,
                      (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                          1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
}

/* What each table of the state holds, at each scrape. */
static void collect_tables(void *context, struct obs_collect *to)
{
    const struct serving *serving = context;
    uint32_t count = 0;
    struct base_rows *const *tables = state_tables(serving->engine.state, &count);
    for (uint32_t t = 0; t < count; t++)
        obs_collect(to, OBS_MEMORY_TABLE, "table", base_rows_name(tables[t]),
                    (double)base_rows_bytes(tables[t]));
    for (uint32_t t = 0; t < count; t++)
        obs_collect(to, OBS_MEMORY_BUDGET, "table", base_rows_name(tables[t]),
                    (double)base_rows_count_max(tables[t]) * base_rows_row_bytes(tables[t]));
}

/* Events whose new ids found no place; the journal has them. */
static void collect_refused(void *context, struct obs_collect *to)
{
    const struct serving *serving = context;
    struct state_stats stats;
    state_stats_get(serving->engine.state, &stats);
    obs_collect(to, OBS_MEMORY_REFUSED, "table", "users", (double)stats.refused_users);
    obs_collect(to, OBS_MEMORY_REFUSED, "table", "items", (double)stats.refused_items);
    obs_collect(to, OBS_MEMORY_REFUSED, "table", "values", (double)stats.refused_contexts);
    obs_collect(to, OBS_MEMORY_EXPIRED, "table", "users", (double)stats.expired_users);
    obs_collect(to, OBS_MEMORY_EXPIRED, "table", "items", (double)stats.expired_items);
    obs_collect(to, OBS_MEMORY_EXPIRED, "table", "values", (double)stats.expired_contexts);
    obs_collect(to, OBS_MEMORY_EXPIRED, "table", "tokens", (double)stats.expired_tokens);
}

static void collect_experts(void *context, struct obs_collect *to)
{
    const struct serving *serving = context;
    struct rank_figure figures[MODEL_EXPERTS_MAX + 2];
    uint32_t count = rank_figures(serving->engine.rank, figures, FR_COUNT_OF(figures));
    for (uint32_t i = 0; i < count; i++)
        obs_collect(to, OBS_EXPERT_HIT_RATE, "expert", figures[i].name, figures[i].recent_hit10);
}

static double health_logloss(const struct rank_health *row)
{
    return row->logloss.mean;
}
static double health_auc(const struct rank_health *row)
{
    return row->auc.mean;
}
static double health_ece(const struct rank_health *row)
{
    return row->ece;
}
static double health_pcoc(const struct rank_health *row)
{
    return row->pcoc;
}

/* Blend and experts over all segments, the inputs, the alarms. */
static void collect_health(void *context, struct obs_collect *to)
{
    static const struct {
        enum obs_collected family;
        double (*value)(const struct rank_health *row);
    } families[] = {{OBS_EXPERT_LOGLOSS, health_logloss},
                    {OBS_EXPERT_AUC, health_auc},
                    {OBS_EXPERT_ECE, health_ece},
                    {OBS_EXPERT_PCOC, health_pcoc}};
    const struct serving *serving = context;
    struct rank_health row[2 + MODEL_EXPERTS_MAX];
    struct rank_input input[RANK_INPUTS_MAX];
    uint64_t alarms, remedies;
    uint32_t count = rank_health(serving->engine.rank, row, FR_COUNT_OF(row));
    for (size_t f = 0; f < FR_COUNT_OF(families); f++)
        for (uint32_t i = 0; i < count; i++)
            if (strcmp(row[i].segment, "all") == 0 && row[i].logloss.count > 0)
                obs_collect(to, families[f].family, "expert", row[i].name,
                            families[f].value(&row[i]));
    count = rank_inputs(serving->engine.rank, input, RANK_INPUTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        obs_collect(to, OBS_INPUT_PSI, "input", input[i].name, (double)input[i].psi);
    rank_alarm_counts(serving->engine.rank, &alarms, &remedies);
    obs_gauge_set(OBS_DRIFT_ALARMS, (double)alarms);
    obs_gauge_set(OBS_DRIFT_REMEDIES, (double)remedies);
}

static uint64_t lag_of(const struct rank_model *model, uint64_t applied)
{
    bool behind = model->running || model->waiting > 0;
    return behind && applied > model->learnt_position ? applied - model->learnt_position : 0;
}

/* Roles, and how far behind the deferred learners are; all of a family in a row. */
static void collect_models(void *context, struct obs_collect *to)
{
    const struct serving *serving = context;
    struct rank_model model[RANK_MODELS_MAX];
    uint64_t applied = fold_applied(serving->engine.fold);
    uint32_t count = rank_models(serving->engine.rank, model, RANK_MODELS_MAX);
    for (uint32_t m = 0; m < count; m++)
        obs_collect(to, OBS_MODEL_ROLE, "model", model[m].name, (double)model[m].role);
    for (uint32_t m = 0; m < count; m++)
        if (model[m].deferred)
            obs_collect(to, OBS_LEARNER_LAG, "model", model[m].name,
                        (double)lag_of(&model[m], applied));
    for (uint32_t m = 0; m < count; m++)
        if (model[m].deferred)
            obs_collect(to, OBS_LEARNER_WAITING, "model", model[m].name, model[m].waiting);
}

static enum fr_status open_engine(struct serving *serving, struct fr_error *error)
{
    char path[PATH_BYTES];
    struct app_engine_options options = {.serving = true};
    struct ingest_dead_options dead = {.os = os_real(), .directory = path};
    int64_t began_ns = os_mono_ns(os_real());
    FR_TRY(app_engine_open(serving->app, &options, error, &serving->engine));
    obs_gauge_set(OBS_RECOVERY, (double)(os_mono_ns(os_real()) - began_ns) * 1e-9);
    obs_gauge_set(OBS_START_TIME, (double)os_wall_us(os_real()) * 1e-6);
    snprintf(path, sizeof(path), "%s/dead-letters", serving->app->options->data_dir);
    FR_TRY(ingest_dead_open(&dead, error, &serving->dead));
    FR_TRY(obs_collector_add(set_gauges, serving));
    FR_TRY(obs_collector_add(collect_tables, serving));
    FR_TRY(obs_collector_add(collect_refused, serving));
    FR_TRY(obs_collector_add(collect_models, serving));
    FR_TRY(obs_collector_add(collect_experts, serving));
    return obs_collector_add(collect_health, serving);
}

/* ---- SIGHUP: the configuration is read again ------------------------------------------------ */

enum { NAMES_BYTES = 400 };

struct changes {
    char live[NAMES_BYTES], later[NAMES_BYTES]; /* names of options, separated by commas */
};

static void name_add(char *names, const char *name)
{
    size_t used = strlen(names);
    snprintf(names + used, NAMES_BYTES - used, "%s%s", used ? ", " : "", name);
}

static void note_live(void *context, const char *option, bool reloadable)
{
    struct changes *changes = context;
    if (reloadable)
        name_add(changes->live, option);
}

static void note_later(void *context, const char *option, bool reloadable)
{
    struct changes *changes = context;
    if (!reloadable)
        name_add(changes->later, option);
}

static void live_of(const struct conf_options *conf, struct serve_live *out)
{
    *out = (struct serve_live){
        .repeats = conf->repeats == 1,
        .n_max = (uint32_t)conf->recommend_n_max,
        .new_age_s = (uint32_t)(conf->new_item_age / 1000000),
        .new_share = conf->new_item_quota > 0 ? (float)conf->new_item_quota : -1,
    };
}

static void note_types(const struct serving *serving, const struct conf *next,
                       struct changes *changes)
{
    struct schema_types types;
    struct base_buf now, then;
    base_buf_init(&now, 0);
    base_buf_init(&then, 0);
    schema_types_encode(&serving->engine.types, &now);
    if (app_event_types(next, &types, NULL) == FR_OK)
        schema_types_encode(&types, &then);
    if (!fr_slice_equal(base_buf_slice(&now), base_buf_slice(&then)))
        name_add(changes->later, "events");
    base_buf_release(&now);
    base_buf_release(&then);
}

/* What may change while it runs changes; the rest is named, and waits for a restart. A configuration with
 * a fault changes nothing. */
static void reload(struct serving *serving)
{
    const struct conf *before = serving->conf ? serving->conf : serving->app->conf;
    struct conf *next = NULL;
    struct changes changes = {0};
    struct serve_live live;
    if (conf_new(&next) != FR_OK)
        return;
    if (conf_load(next, serving->app->input) != FR_OK) {
        for (uint32_t i = 0; i < conf_fault_count(next); i++)
            obs_log(OBS_WARN, "app", "the configuration stays as it was: %s", conf_fault(next, i));
        conf_free(next);
        return;
    }
    conf_compare(before, next, note_live, &changes);
    conf_compare(serving->app->conf, next, note_later, &changes);
    note_types(serving, next, &changes);
    const struct conf_options *options = conf_options(next);
    obs_log(OBS_INFO, "app", "the configuration was read again; changed: %s",
            changes.live[0] ? changes.live : "nothing");
    if (changes.later[0])
        obs_log(OBS_WARN, "app", "changed, but needs a restart: %s", changes.later);
    obs_log_setup((enum obs_level)options->log_level, (enum obs_format)options->log_format);
    live_of(options, &live);
    if (changes.live[0])
        serve_change(serving->serve, &live, changes.live);
    conf_free(serving->conf);
    serving->conf = next;
}

static enum fr_status open_http(struct serving *serving, struct fr_error *error)
{
    const struct conf_options *conf = serving->app->options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char inherited[APP_ADDRESS_BYTES];
    int listen_fd = app_inherited_listener(inherited);
    struct serve_live live;
    live_of(conf, &live);
    struct serve_options options = {
        .os = os_real(),
        .directory = conf->data_dir,
        .state = serving->engine.state,
        .rank = serving->engine.rank,
        .fold = serving->engine.fold,
        .types = fold_types(serving->engine.fold),
        .dead = serving->dead,
        .address = listen_fd ? inherited : conf->listen,
        .listen_fd = listen_fd,
        .tls_certificate = *conf->tls_cert ? conf->tls_cert : NULL,
        .tls_key = *conf->tls_key ? conf->tls_key : NULL,
        .port = (uint16_t)conf->port,
        .port_tries = app_flag(serving->app, "next-port") ? PORT_TRIES : 1,
        .threads =
            conf->threads == CONF_AUTO ? (uint32_t)FR_MAX(cores, 1L) : (uint32_t)conf->threads,
        .connections_max = (uint32_t)conf->connections_max,
        .body_bytes_max = conf->body_max,
        .bodies_bytes_max = app_memory_bodies(conf),
        .batch_events_max = (uint32_t)conf->batch_max,
        .head_ms = (uint32_t)(conf->header_timeout / 1000),
        .body_ms = (uint32_t)(conf->body_timeout / 1000),
        .idle_ms = (uint32_t)(conf->idle_timeout / 1000),
        .rate_per_second = conf->rate_limit,
        .repeats = live.repeats,
        .n_max = live.n_max,
        .new_age_s = live.new_age_s,
        .new_share = live.new_share,
        .version = FRESHET_VERSION,
    };
    return serve_start(&options, error, &serving->serve);
}

static void announce(const struct serving *serving)
{
    struct fold_stats stats;
    fold_stats_get(serving->engine.fold, &stats);
    if (serving->app->json)
        printf("{\"url\":\"%s\",\"port\":%u,\"position\":%" PRIu64 ",\"events\":%" PRIu64 "}\n",
               serve_url(serving->serve), serve_port(serving->serve), stats.applied, stats.events);
    else
        printf("Freshet %s serves %s, data in %s, %" PRIu64 " events learnt; Ctrl-C stops\n",
               FRESHET_VERSION, serve_url(serving->serve), serving->app->options->data_dir,
               stats.events);
    fflush(stdout);
    obs_gauge_set(OBS_READY, 1);
    app_notify("READY=1");
}

/* Until a signal to stop, or until the journal has failed. */
static int watch(struct serving *serving)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        int signal_number = sigtimedwait(&serving->signals, NULL, &second);
        app_notify("WATCHDOG=1");
        if (fold_failed(serving->engine.fold))
            return APP_FAILED;
        if (signal_number == SIGHUP)
            reload(serving);
        if (signal_number == SIGINT || signal_number == SIGTERM)
            return APP_OK;
    }
}

static void close_all(struct serving *serving)
{
    app_notify("STOPPING=1");
    obs_gauge_set(OBS_READY, 0);
    serve_stop(serving->serve);
    obs_collector_remove(collect_health, serving);
    obs_collector_remove(collect_models, serving);
    obs_collector_remove(collect_experts, serving);
    obs_collector_remove(collect_refused, serving);
    obs_collector_remove(collect_tables, serving);
    obs_collector_remove(set_gauges, serving);
    app_engine_close(&serving->engine);
    ingest_dead_close(serving->dead);
    conf_free(serving->conf);
}

static int app_serve(struct app *app, int argc, char **argv)
{
    (void)argv;
    if (argc > 0)
        return app_usage(app, "serve takes no arguments");
    int code = app_check_options(app);
    if (code != APP_OK)
        return code;
    struct serving serving = {.app = app};
    struct fr_error error = {0};
    sigemptyset(&serving.signals);
    sigaddset(&serving.signals, SIGINT);
    sigaddset(&serving.signals, SIGTERM);
    sigaddset(&serving.signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &serving.signals, NULL); /* inherited by every thread */
    signal(SIGPIPE, SIG_IGN);
    enum fr_status status = open_engine(&serving, &error);
    if (status == FR_OK)
        status = open_http(&serving, &error);
    if (status == FR_OK) {
        announce(&serving);
        code = watch(&serving);
    } else {
        code = status == FR_EXISTS ? APP_BUSY : APP_FAILED;
        int told = app_fail(app, &error);
        code = code == APP_BUSY ? code : told;
    }
    close_all(&serving);
    return code;
}

static const struct conf_flag flags[] = {
    {"next-port", NULL, "when the port is taken, take the next free one and say so"},
};

const struct app_command app_command_serve = {
    .name = "serve",
    .summary = "take in events and answer recommendations over HTTP",
    .arguments = "",
    .text =
        "Recovers the data directory (newest snapshot, then the rest of the journal), binds the\n"
        "address and serves until SIGINT or SIGTERM; then finishes what is under way, writes a\n"
        "snapshot and ends with 0. SIGHUP reads the configuration again: what can change without "
        "a\n"
        "restart does, the rest is named in the log; a faulty file changes nothing. A listening "
        "socket passed by the service manager (LISTEN_FDS)\n"
        "is used instead of binding, so that an upgrade refuses no connection. Ends with 1 when "
        "the\n"
        "disk refuses a sync: a supervisor should start it again, and it recovers everything that\n"
        "was acknowledged.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_serve,
};
