/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet eval bandit: off-policy estimates on a log of choices with propensities. A row of the log
 * is an event: the item chosen, the reward as its value, position and propensity as contexts. The
 * policy to judge is the uniform one, or that of a file of the same columns: the mean propensity of
 * each item and position, so another policy's log will do. Thread: main.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/eval_files.h"
#include "app/stream.h"
#include "base/hash.h"
#include "eval/ope.h"

/* The columns of the Open Bandit Dataset; the first one numbers the rows. */
static const char open_bandit[] = "user=1,item=item_id,value=click,context.position=position,"
                                  "context.propensity=propensity_score";

struct names { /* distinct values, numbered in the order of their coming */
    uint64_t *hash;
    uint32_t count, max;
};

struct logs {
    struct names items, positions;
    struct eval_ope_round *rounds;
    uint64_t count, max;
};

static bool number_of(struct names *names, struct fr_slice name, uint32_t *out_number)
{
    uint64_t hash = base_hash64_slice(name, 1);
    for (uint32_t i = 0; i < names->count; i++) {
        if (names->hash[i] == hash) {
            *out_number = i;
            return true;
        }
    }
    if (names->count == names->max) {
        uint32_t max = names->max ? names->max * 2 : 64;
        uint64_t *moved = realloc(names->hash, max * sizeof(*moved));
        if (!moved)
            return false;
        names->hash = moved;
        names->max = max;
    }
    *out_number = names->count;
    names->hash[names->count++] = hash;
    return true;
}

static struct fr_slice context_of(const struct schema_event *event, const char *name)
{
    for (uint32_t i = 0; i < event->context.extra_count; i++)
        if (fr_slice_equal(event->context.extra[i].key, fr_slice_str(name)))
            return event->context.extra[i].value;
    return (struct fr_slice){0};
}

static enum fr_status take(struct logs *logs, const struct ingest_record *record,
                           struct fr_error *error)
{
    const struct schema_event *event = record->event;
    struct fr_slice propensity = context_of(event, "propensity");
    struct fr_slice position = context_of(event, "position");
    struct eval_ope_round round = {.reward = event->value};
    char text[64] = "", *end = text;
    snprintf(text, sizeof(text), "%.*s", (int)FR_MIN(propensity.bytes, (size_t)60),
             propensity.ptr ? propensity.ptr : "");
    round.propensity = strtod(text, &end);
    if (!event->has_value || end == text || *end != '\0')
        return base_fail(error, FR_INVALID, "app",
                         "row %llu has no %s (--columns user=..,item=..,value=..,"
                         "context.position=..,context.propensity=..)",
                         (unsigned long long)record->row,
                         event->has_value ? "propensity" : "value");
    if (!number_of(&logs->items, event->item, &round.action) ||
        !number_of(&logs->positions, position.bytes ? position : fr_slice_str("1"),
                   &round.position))
        return FR_MEMORY;
    if (logs->count == logs->max) {
        uint64_t max = logs->max ? logs->max * 2 : 16384;
        struct eval_ope_round *moved = realloc(logs->rounds, max * sizeof(*moved));
        if (!moved)
            return FR_MEMORY;
        logs->rounds = moved;
        logs->max = max;
    }
    logs->rounds[logs->count++] = round;
    return FR_OK;
}

static enum fr_status read_log(const struct ingest_reader_options *options, const char *path,
                               struct logs *logs, struct fr_error *error)
{
    struct ingest_reader *reader;
    struct ingest_record record;
    uint64_t rejects = 0;
    FR_TRY(ingest_reader_open(path, options, error, &reader));
    enum fr_status status = FR_OK;
    while (status == FR_OK && (status = ingest_reader_next(reader, &record, error)) == FR_OK) {
        if (record.reject)
            app_eval_reject(&record, &rejects);
        if (record.event)
            status = take(logs, &record, error);
    }
    ingest_reader_close(reader);
    if (status == FR_MEMORY)
        return base_fail(error, status, "app", "no memory for the log");
    return status == FR_END ? FR_OK : status;
}

/* The mean propensity of each item and position among the rounds from `first` on, made to add up
 * to 1; uniform over all items when there are none. */
static void fill_policy(const struct logs *logs, uint64_t first, struct eval_ope_policy *policy,
                        double *pi, double *seen)
{
    size_t cells = (size_t)policy->actions * policy->positions;
    if (first == logs->count) {
        for (size_t c = 0; c < cells; c++)
            pi[c] = 1.0 / policy->actions;
        return;
    }
    for (uint64_t i = first; i < logs->count; i++) {
        size_t cell = (size_t)logs->rounds[i].action * policy->positions + logs->rounds[i].position;
        pi[cell] += logs->rounds[i].propensity;
        seen[cell] += 1;
    }
    for (uint32_t p = 0; p < policy->positions; p++) {
        double sum = 0;
        for (size_t c = p; c < cells; c += policy->positions) {
            pi[c] = seen[c] > 0 ? pi[c] / seen[c] : 0;
            sum += pi[c];
        }
        for (size_t c = p; c < cells && sum > 0; c += policy->positions)
            pi[c] /= sum;
    }
}

/* `log_count`: rounds of the log; those after it are the policy's. */
static enum fr_status judge(const struct app *app, const struct logs *logs, uint64_t log_count,
                            struct fr_error *error, struct eval_ope_result *out_result)
{
    const struct eval_ope_log log = {logs->rounds, log_count};
    uint64_t actions_min = 0;
    double ess_min = 0;
    if (!app_eval_count(app, "actions", 0, UINT32_MAX, &actions_min) ||
        !app_eval_number(app, "ess-min", EVAL_OPE_ESS_MIN, &ess_min) || ess_min <= 0)
        return base_fail(error, FR_INVALID, "app",
                         "--actions takes a whole number, --ess-min a number above 0");
    struct eval_ope_policy policy = {.actions =
                                         (uint32_t)FR_MAX((uint64_t)logs->items.count, actions_min),
                                     .positions = logs->positions.count};
    uint64_t cells = (uint64_t)policy.actions * policy.positions;
    if (cells == 0 || cells > EVAL_OPE_CELLS_MAX)
        return base_fail(error, FR_INVALID, "app", "the log has %llu pairs of item and position",
                         (unsigned long long)cells);
    double *pi = calloc(2 * cells, sizeof(*pi));
    if (!pi)
        return base_fail(error, FR_MEMORY, "app", "no memory for the policy");
    fill_policy(logs, log_count, &policy, pi, pi + cells);
    policy.pi = pi;
    enum fr_status status = eval_ope_run(&log, &policy, ess_min, error, out_result);
    free(pi);
    return status;
}

static enum fr_status run(const struct app *app, const char *path,
                          struct eval_ope_result *out_result, struct fr_error *error)
{
    struct schema_types types;
    struct logs logs = {0};
    const char *policy = app_flag(app, "policy");
    FR_TRY(app_event_types(app->conf, &types, error));
    struct ingest_reader_options options = app_stream_options(app, &types);
    if (!options.columns) {
        options.columns = open_bandit;
        options.header = "yes";
    }
    options.thing = INGEST_EVENTS;
    options.strict = true;
    enum fr_status status = read_log(&options, path, &logs, error);
    uint64_t log_count = logs.count;
    if (status == FR_OK && policy && strcmp(policy, "uniform") != 0)
        status = read_log(&options, policy, &logs, error);
    if (status == FR_OK)
        status = judge(app, &logs, log_count, error, out_result);
    free(logs.items.hash);
    free(logs.positions.hash);
    free(logs.rounds);
    return status;
}

int app_eval_bandit(struct app *app, int argc, char **argv)
{
    struct eval_ope_result result;
    struct fr_error error = {0};
    if (argc != 1)
        return app_usage(app, "eval bandit needs one log: eval bandit LOG [--policy FILE]");
    if (run(app, argv[0], &result, &error) != FR_OK)
        return app_fail(app, &error);
    struct base_buf out;
    base_buf_init(&out, 0);
    if (app->json)
        eval_ope_json(&result, &out);
    else
        eval_ope_table(&result, &out);
    int code = app_print(&out);
    return code == APP_OK && result.refused ? APP_FAILED : code;
}
