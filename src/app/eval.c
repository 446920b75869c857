/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet eval: how good is it on these files? Runs them through the very same fold and ranking
 * code as serve, predicting before learning, and prints the metrics.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/eval_files.h"
#include "app/stream.h"
#include "eval/eval.h"
#include "model/model.h"

struct evaluating {
    struct app_eval_reading reading; /* first: it is handed back by its own address */
    struct eval *eval;
    struct eval_options options;
    struct schema_types types;
};

static bool parse_protocol(const char *name, enum eval_protocol *out)
{
    static const enum eval_protocol protocols[] = {EVAL_PREQUENTIAL, EVAL_LEAVE_ONE_OUT, EVAL_SPLIT,
                                                   EVAL_SESSIONS, EVAL_REFIT};
    for (size_t p = 0; p < FR_COUNT_OF(protocols); p++) {
        if (strcmp(eval_protocol_name(protocols[p]), name) == 0) {
            *out = protocols[p];
            return true;
        }
    }
    return false;
}

static bool parse_k(const struct app *app, struct eval_options *options)
{
    const char *at = app_flag(app, "k");
    char *end = NULL;
    while (at && *at) {
        unsigned long k = strtoul(at, &end, 10);
        if (end == at || k < 1 || k > 1000 || options->k_count == EVAL_K_MAX ||
            (*end && *end != ','))
            return false;
        options->k[options->k_count++] = (uint32_t)k;
        at = *end ? end + 1 : end;
    }
    return true;
}

static int parse(struct evaluating *work, const char *protocol)
{
    const struct app *app = work->reading.app;
    struct eval_options *options = &work->options;
    const char *unit = app_flag(app, "unit");
    uint64_t blocks = 0, candidates = 0;
    if (!parse_protocol(protocol, &options->protocol))
        return app_usage(app,
                         "unknown protocol '%s': prequential, leave-one-out, split, sessions, "
                         "refit, ctr or bandit",
                         protocol);
    if (unit && strcmp(unit, "user") != 0 && strcmp(unit, "session") != 0)
        return app_usage(app, "--unit is user or session, not '%s'", unit);
    if (!parse_k(app, options))
        return app_usage(app, "--k takes at most %d whole numbers from 1 to 1000, as 10,20",
                         EVAL_K_MAX);
    if (!app_eval_count(app, "skip", 0, UINT64_MAX, &options->skip) ||
        !app_eval_count(app, "blocks", 10, EVAL_BLOCKS_MAX, &blocks) ||
        !app_eval_count(app, "candidates", 0, MODEL_BATCH_MAX, &candidates) ||
        !app_eval_count(app, "seed", 0, UINT64_MAX, &options->seed))
        return app_usage(app,
                         "--skip, --blocks (at most %d), --candidates (at most %d) and --seed "
                         "take whole numbers",
                         EVAL_BLOCKS_MAX, MODEL_BATCH_MAX);
    options->candidates_max = (uint32_t)candidates;
    options->blocks = (uint32_t)blocks;
    options->repeats = app->options->repeats == 1;
    options->learn_validation = app_flag(app, "learn-validation") != NULL;
    options->validation_target = app_flag(app, "validation-target") != NULL;
    options->no_network = app_flag(app, "no-network") != NULL;
    options->remedies = app->options->drift_actions == 1;
    options->experts = strcmp(app->options->experts, "all") == 0 ? NULL : app->options->experts;
    work->reading.reader = app_stream_options(app, &work->types);
    return APP_OK;
}

/* Histories are by session where a session column is mapped, unless --unit says otherwise. */
static bool by_session(const struct app *app, const struct ingest_mapping *mapping)
{
    const char *unit = app_flag(app, "unit");
    if (unit)
        return strcmp(unit, "session") == 0;
    bool mapped = mapping->layout == INGEST_SESSIONS;
    for (uint32_t c = 0; c < mapping->column_count; c++)
        mapped |= mapping->column[c].role == INGEST_SESSION;
    return mapped;
}

static enum fr_status begin(struct app_eval_reading *reading, const struct ingest_mapping *mapping,
                            struct fr_error *error)
{
    struct evaluating *work = (struct evaluating *)reading;
    work->options.session_unit = by_session(reading->app, mapping);
    return eval_new(&work->options, error, &work->eval);
}

static enum fr_status take(struct app_eval_reading *reading, const struct ingest_record *record,
                           bool test)
{
    struct eval *eval = ((struct evaluating *)reading)->eval;
    if (record->item)
        return eval_item(eval, record->item);
    if (!record->event)
        return FR_OK;
    return test ? eval_test_event(eval, record->event) : eval_event(eval, record->event);
}

static enum fr_status tell(struct app_eval_reading *reading, struct base_buf *out,
                           struct fr_error *error)
{
    struct eval_result result;
    FR_TRY(eval_finish(((struct evaluating *)reading)->eval, error, &result));
    if (reading->app->json)
        eval_result_json(&result, out);
    else
        eval_result_table(&result, out);
    return FR_OK;
}

static int app_eval(struct app *app, int argc, char **argv)
{
    struct evaluating work = {.reading = {.app = app, .begin = begin, .take = take, .tell = tell}};
    struct fr_error error = {0};
    if (argc < 1)
        return app_usage(app, "eval needs a protocol and files");
    if (strcmp(argv[0], "ctr") == 0)
        return app_eval_ctr(app, argc - 1, argv + 1);
    if (strcmp(argv[0], "bandit") == 0)
        return app_eval_bandit(app, argc - 1, argv + 1);
    int code = parse(&work, argv[0]);
    if (code != APP_OK)
        return code;
    bool two_parts = work.options.protocol == EVAL_SPLIT || work.options.protocol == EVAL_SESSIONS;
    if (two_parts && !app_flag(app, "test"))
        return app_usage(app, "%s needs --train FILE and --test FILE", argv[0]);
    if (argc < 2 && !app_flag(app, "train"))
        return app_usage(app, "eval needs the files to read");
    if (argc > APP_EVAL_FILES_MAX)
        return app_usage(app, "at most %d files", APP_EVAL_FILES_MAX);
    if (app_event_types(app->conf, &work.types, &error) != FR_OK)
        return app_fail(app, &error);
    code = app_eval_read(&work.reading, argc - 1, argv + 1);
    eval_free(work.eval);
    return code;
}

static const struct conf_flag flags[] = {
    {"unit", "user|session", "whose seen items are left out; session where one is mapped"},
    {"skip", "N", "events whose prediction is not counted"},
    {"k", "LIST", "lengths of the lists that are judged; 10,20"},
    {"blocks", "N", "parts in which the curve is reported; 10"},
    {"train", "FILE", "split, sessions, ctr: what is learnt"},
    {"test", "FILE", "split, sessions, ctr: what is predicted"},
    {"learn-validation", NULL, "leave-one-out: learn the item before the last too (online)"},
    {"validation-target", NULL, "leave-one-out: predict the item before the last (for tuning)"},
    {"no-network", NULL, "without the small network on the blend's residual"},
    {"candidates", "N", "items ranked for each query; 128 to 320 by the length of the history"},
    {"seed", "N", "of everything drawn"},
    {"positive", "X", "ctr: the least value of a positive example; 1"},
    {"gbt", NULL, "ctr: boosted trees too, over the model's counters, ages and scores"},
    {"policy", "FILE", "bandit: a log or table of the policy to judge; uniform"},
    {"actions", "N", "bandit: how many items can be chosen, where the log does not show all"},
    {"ess-min", "N", "bandit: least effective sample size; 50"},
    {"format", "NAME", "one of the ready formats; guessed from the content when not given"},
    {"columns", "MAP", "user=1,item=2,value=3,time=4,session=5,... by number or header name"},
    {"separator", "S", "between columns: , tab ; | :: space; guessed when not given"},
    {"header", NULL, "the first row names the columns"},
    {"time-unit", "U", "s, ms or us; guessed by magnitude when not given"},
    {"type", "TYPE", "event type of rows without one; rating with a value, else click"},
};

const struct app_command app_command_eval = {
    .name = "eval",
    .summary = "judge the recommendations on files of events",
    .arguments = "PROTOCOL FILE...",
    .text =
        "prequential    every event is predicted, then learnt, in the order of their times\n"
        "leave-one-out  each user's last item is predicted, the one before it held out too\n"
        "split          --train is learnt, all items are ranked for the users of --test\n"
        "sessions       --train is learnt, every next item of the sessions of --test predicted,\n"
        "               and nothing of --test learnt; with --repeats allow items of the session\n"
        "               count too, as in the published tables, whose P@20 is HR@20 here\n"
        "refit          as prequential, but by learners made anew from all before at the start\n"
        "               of each of --blocks parts and frozen within it: what a batch brings\n"
        "ctr            the click model predicts each event's label, then learns it: a value of\n"
        "               --positive or more; files of items and users give it facets, and with\n"
        "               --test only that file is scored, and not learnt\n"
        "bandit         what another policy would have earned on a log with propensities: IPS,\n"
        "               SNIPS, DM, DR and relatives; exit 1 when the effective sample size is\n"
        "               too small to say\n"
        "\n"
        "The files go through the very same fold and ranking code as serve. --repeats skip\n"
        "(default) leaves out what someone has seen and does not judge it; --experts a,b judges\n"
        "without the others. HR@K, NDCG@K and MRR@K are over all items: rank = number of items\n"
        "scored higher plus half of the ties; an unknown item is a miss.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_eval,
};
