/* SPDX-License-Identifier: Apache-2.0
 *
 * drift: a stream of events, and what becomes of the hit rate when something changes at one event,
 * through the very same state_resolve(), rank_learn(), state_apply() as the fold, every event
 * sampled. At each named event the process forks: each child goes on with another change.
 *
 *   drift FILE [key=value ...]
 *     FILE      user, item, time (s) and optionally session, device, region, referrer; tabs
 *     at=T,T    events at which something changes; events are read up to the last and `length` more
 *     length=N  events after a change that are looked at, and before it; 5000
 *     actions=0|1  whether alarms before the changes are acted upon; the children try both
 *     quiet=1   nothing is changed at all
 *
 *     none      nothing changes
 *     popular   the PLANTED most popular items of the last events before T exchange their ids
 *     taste     users met before T exchange their ids, so that each goes on as another
 *     burst     the PLANTED most popular items are gone, new ones stand in their place
 *
 * A line a change: T, what, actions, one character an event from T - length to T + length: h a hit
 * (HR@10), m a miss, - not scored; then a line an alarm with "#". Last line: "=", the hits and the
 * scored events of the whole stream up to the last T, nothing changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rank/health.h"
#include "rank/rank.h"
#include "schema/schema.h"
#include "state/state.h"

enum { PLANTED = 200, LOOKED_BACK = 20000, COLUMNS = 7, LINE_MAX_BYTES = 512, CHANGES_MAX = 16 };

struct row {
    char *column[COLUMNS];
    char *text;
};

struct bench {
    struct row *rows;
    uint64_t count, at, length, changes[CHANGES_MAX];
    uint32_t change_count;
    const char *plant;
    char *outcome; /* [count] */
    bool actions, session_unit, children;
    struct schema_types types;
    struct state *state;
    struct rank *rank;
    /* the plant, by name: parallel arrays, sorted by `from` */
    char **from, **to;
    size_t planted;
};

static void die(const char *what)
{
    fprintf(stderr, "drift: %s\n", what);
    exit(2);
}

static void split(struct row *row)
{
    char *at = row->text;
    static char empty[] = "";
    for (int c = 0; c < COLUMNS; c++) {
        char *end = at ? strpbrk(at, "\t\n") : NULL;
        row->column[c] = at ? at : empty;
        at = end && *end == '\t' ? end + 1 : NULL;
        if (end)
            *end = '\0';
    }
}

static void read_rows(struct bench *bench, const char *path, uint64_t events_max)
{
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(path, "re");
    size_t max = 0;
    if (!file)
        die("the file cannot be read");
    while (bench->count < events_max && fgets(line, sizeof(line), file)) {
        if (bench->count == max) {
            max = max ? max * 2 : 65536;
            bench->rows = realloc(bench->rows, max * sizeof(*bench->rows));
            if (!bench->rows)
                die("no memory");
        }
        struct row *row = &bench->rows[bench->count++];
        row->text = strdup(line);
        split(row);
    }
    fclose(file);
}

/* ---- the plant ------------------------------------------------------------------------------ */

struct named {
    const char *name;
    uint64_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int by_count(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Distinct values of a column in rows [first, at), most frequent first. */
static struct named *names_of(const struct bench *bench, int column, uint64_t first, size_t *count)
{
    size_t n = bench->at - first, kept = 0;
    struct named *names = calloc(n + 1, sizeof(*names));
    for (size_t i = 0; i < n; i++)
        names[i] = (struct named){bench->rows[first + i].column[column], 1};
    qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++) {
        if (kept && strcmp(names[kept - 1].name, names[i].name) == 0)
            names[kept - 1].count++;
        else
            names[kept++] = names[i];
    }
    qsort(names, kept, sizeof(*names), by_count);
    *count = kept;
    return names;
}

static int by_from(const void *key, const void *at)
{
    return strcmp(key, *(char *const *)at);
}

static char *renamed(const struct bench *bench, char *name)
{
    char **at =
        bench->planted ? bsearch(name, bench->from, bench->planted, sizeof(char *), by_from) : NULL;
    return at ? bench->to[at - bench->from] : name;
}

/* Exchanges drawn from a fixed seed: a cycle through all names, so that none keeps its own. */
static void plant_make(struct bench *bench, int column, uint64_t first, size_t most)
{
    size_t count;
    struct named *names = names_of(bench, column, first, &count);
    count = FR_MIN(count, most);
    qsort(names, count, sizeof(*names), by_name);
    bench->from = calloc(count + 1, sizeof(char *));
    bench->to = calloc(count + 1, sizeof(char *));
    size_t *cycle = calloc(count + 1, sizeof(*cycle));
    for (size_t i = 0; i < count; i++) {
        size_t j = (size_t)(base_random_unit(5, i, 0) * (double)(i + 1));
        cycle[i] = cycle[j];
        cycle[j] = i;
    }
    for (size_t i = 0; i < count; i++) {
        size_t to = cycle[(i + 1) % count];
        bench->from[cycle[i]] = strdup(names[cycle[i]].name);
        bench->to[cycle[i]] = strdup(names[to].name);
        if (strcmp(bench->plant, "burst") == 0 &&
            asprintf(&bench->to[cycle[i]], "new-%s", names[cycle[i]].name) < 0)
            die("no memory");
    }
    bench->planted = count;
    free(cycle);
    free(names);
}

static void plant(struct bench *bench)
{
    uint64_t recent = bench->at > LOOKED_BACK ? bench->at - LOOKED_BACK : 0;
    if (strcmp(bench->plant, "popular") == 0 || strcmp(bench->plant, "burst") == 0)
        plant_make(bench, 1, recent, PLANTED);
    else if (strcmp(bench->plant, "taste") == 0)
        plant_make(bench, 0, 0, SIZE_MAX);
    else if (strcmp(bench->plant, "none") != 0)
        die("a change is none, popular, taste or burst");
    int column = strcmp(bench->plant, "taste") == 0 ? 0 : 1;
    for (uint64_t i = bench->at; i < bench->count; i++)
        bench->rows[i].column[column] = renamed(bench, bench->rows[i].column[column]);
}

/* ---- the run -------------------------------------------------------------------------------- */

static void run_row(struct bench *bench, uint64_t i)
{
    char *const *column = bench->rows[i].column;
    struct schema_event event = {
        .user = fr_slice_str(column[0]),
        .item = fr_slice_str(column[1]),
        .time_us = (int64_t)(strtod(column[2], NULL) * 1e6),
        .session = fr_slice_str(column[3]),
        .type = SCHEMA_CLICK,
        .context = {.device = fr_slice_str(column[4]),
                    .region = fr_slice_str(column[5]),
                    .referrer = fr_slice_str(column[6])},
    };
    struct state_event resolved;
    struct rank_outcome outcome;
    if (state_resolve(bench->state, &event, &bench->types, i + 1, INT64_MAX / 2, &resolved) !=
        FR_OK)
        die("an event could not be taken");
    rank_learn(bench->rank, &resolved, true, &outcome);
    state_apply(bench->state, &resolved);
    rank_apply(bench->rank, &resolved);
    struct rank_remedy remedy;
    if (bench->actions && rank_remedy_wanted(bench->rank, &remedy))
        rank_remedy_apply(bench->rank, &remedy, i + 1);
    bool scored = outcome.scored && !(bench->session_unit && resolved.is_first_of_session);
    bench->outcome[i] = !scored ? '-' : outcome.rank < 10.0f ? 'h' : 'm';
}

static void say_alarms(const struct bench *bench)
{
    struct rank_alarm alarm[RANK_ALARMS_KEPT];
    for (uint32_t a = rank_alarms(bench->rank, alarm, RANK_ALARMS_KEPT); a-- > 0;) {
        if (alarm[a].position < bench->at)
            continue;
        printf("# %llu %s %s %.4f %.4f", (unsigned long long)alarm[a].position, alarm[a].name,
               rank_signal_name(alarm[a].signal), (double)alarm[a].before, (double)alarm[a].after);
        for (uint32_t bit = 0; bit < RANK_ACTION_COUNT; bit++)
            if (alarm[a].actions & 1u << bit)
                printf(" %s", rank_action_name((enum rank_action)(1u << bit)));
        printf("\n");
    }
}

/* ---- the changes ---------------------------------------------------------------------------- */

/* One child: goes on from here with this change. */
static void change(struct bench *bench, const char *what, bool actions)
{
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        die("no process");
    if (child > 0) {
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            die("a change failed");
        return;
    }
    bench->plant = what;
    bench->actions = actions;
    plant(bench);
    for (uint64_t i = bench->at; i < bench->at + bench->length; i++)
        run_row(bench, i);
    uint64_t from = bench->at - FR_MIN(bench->at, bench->length);
    printf("%llu %s %d %.*s\n", (unsigned long long)bench->at, what, actions,
           (int)(bench->at + bench->length - from), bench->outcome + from);
    say_alarms(bench);
    fflush(stdout);
    _exit(0);
}

static void options_read(struct bench *bench, int argc, char **argv)
{
    for (int a = 2; a < argc; a++) {
        char *value = strchr(argv[a], '=');
        if (!value)
            die("key=value");
        value++;
        if (strncmp(argv[a], "length=", 7) == 0)
            bench->length = strtoull(value, NULL, 10);
        else if (strncmp(argv[a], "quiet=", 6) == 0)
            bench->children = *value != '1';
        else if (strncmp(argv[a], "actions=", 8) == 0)
            bench->actions = *value == '1';
        else if (strncmp(argv[a], "at=", 3) == 0)
            while (*value && bench->change_count < CHANGES_MAX) {
                bench->changes[bench->change_count++] = strtoull(value, &value, 10);
                value += *value == ',';
            }
        else
            die("unknown key");
    }
    if (bench->change_count == 0)
        die("at=T is needed");
}

static void say_whole(const struct bench *bench, uint64_t count)
{
    uint64_t hits = 0, scored = 0;
    for (uint64_t i = 0; i < count; i++) {
        hits += bench->outcome[i] == 'h';
        scored += bench->outcome[i] != '-';
    }
    printf("= %llu %llu\n", (unsigned long long)hits, (unsigned long long)scored);
}

static void run(struct bench *bench)
{
    static const char *const whats[] = {"popular", "taste", "burst"};
    uint64_t done = 0;
    for (uint32_t c = 0; c < bench->change_count; c++) {
        bench->at = bench->changes[c];
        if (bench->at + bench->length > bench->count)
            die("the file has fewer events");
        for (; done < bench->at; done++)
            run_row(bench, done);
        if (bench->children)
            change(bench, "none", true);
        for (size_t w = 0; w < FR_COUNT_OF(whats) && bench->children; w++) {
            change(bench, whats[w], true);
            change(bench, whats[w], false);
        }
    }
    say_whole(bench, done);
    bench->at = 0;
    say_alarms(bench);
}

int main(int argc, char **argv)
{
    struct bench bench = {.actions = true, .children = true, .length = 5000};
    struct fr_error error = {0};
    if (argc < 3)
        die("FILE at=T,T [length=N] [actions=0|1]");
    options_read(&bench, argc, argv);
    read_rows(&bench, argv[1], bench.changes[bench.change_count - 1] + bench.length);
    bench.session_unit = bench.count > 0 && *bench.rows[0].column[3];
    bench.outcome = calloc(bench.count + 1, 1);
    schema_types_init(&bench.types);
    if (!bench.outcome || state_new(NULL, &error, &bench.state) != FR_OK)
        die(error.message);
    struct rank_options options = {.state = bench.state, .session_unit = bench.session_unit};
    if (rank_new(&options, &error, &bench.rank) != FR_OK)
        die(error.message);
    run(&bench);
    return 0;
}
