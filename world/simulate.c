/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet-world: plays the same seeded story against several arms and prints the click-through
 * rate of each with its interval: the engine behind --port, an oracle that knows the true
 * interests, random, popular only, and a batch recommender refreshed hourly. CTR = clicks per
 * exposure (a place that was looked at). Intervals: 95 %, readers as the sampling unit (ratio
 * estimate, linearised).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arm.h"

static const double patience = 0.60, momentum = 0.88;
enum { STEPS_MAX = 40 };

struct tally {
    const char *name;
    uint64_t slates, looked, clicks, sessions, sessions_clicked;
    double ctr, ctr_error; /* and its standard error */
};

struct visit {
    double hour;
    uint32_t reader, session;
};

static int by_hour(const void *a, const void *b)
{
    const struct visit *x = a, *y = b;
    return x->hour < y->hour ? -1 : x->hour > y->hour ? 1 : x->session < y->session ? -1 : 1;
}

static struct visit *make_visits(const struct world_options *options, size_t *out_count)
{
    size_t count = 0;
    size_t max =
        (size_t)(options->readers * options->hours / 24 * options->sessions_per_reader_day * 2) +
        options->readers + 16;
    struct visit *visits = malloc(max * sizeof(*visits));
    if (!visits)
        exit(1);
    for (uint32_t u = 0; u < options->readers; u++) {
        double hour = 0;
        for (uint64_t k = 0;; k++) {
            double unit = world_unit(options->seed ^ 0x7669736974u, u, k);
            hour += -log(1 - unit) * 24 / options->sessions_per_reader_day;
            if (hour >= options->hours || count == max)
                break;
            visits[count] = (struct visit){.hour = hour, .reader = u, .session = (uint32_t)count};
            count++;
        }
    }
    qsort(visits, count, sizeof(*visits), by_hour);
    *out_count = count;
    return visits;
}

static void play_session(struct arm *arm, const struct visit *visit, uint32_t slate_size,
                         uint8_t *clicked_before, struct tally *tally)
{
    struct world *world = arm->world;
    struct arm_request request = {.reader = visit->reader,
                                  .session = visit->session,
                                  .count = slate_size,
                                  .clicked = clicked_before};
    uint32_t slate[WORLD_SLATE_MAX];
    uint64_t clicks = 0;
    for (int step = 0; step < STEPS_MAX; step++) {
        uint32_t filled = arm->kind->slate(arm, &request, slate), looked = 0;
        struct world_slate shown = {slate, filled, clicked_before};
        int clicked = world_look(world, visit->reader, &shown, &looked);
        arm->kind->feedback(arm, &request, slate, looked, clicked);
        tally->slates++;
        tally->looked += looked;
        if (clicked >= 0) {
            clicked_before[slate[clicked]] = 1;
            clicks++;
        }
        if (world_draw(world, visit->reader) >= (clicked >= 0 ? momentum : patience))
            break;
        world->hour += 1.0 / 60;
    }
    tally->clicks += clicks;
    tally->sessions++;
    tally->sessions_clicked += clicks > 0;
}

/* Ratio of sums over readers and its linearised standard error (Cochran 1977, eq. 6.13). */
static void estimate(struct tally *tally, const double *clicks, const double *looked,
                     uint32_t readers)
{
    double ratio = (double)tally->clicks / (double)tally->looked, sum = 0;
    for (uint32_t u = 0; u < readers; u++)
        sum += (clicks[u] - ratio * looked[u]) * (clicks[u] - ratio * looked[u]);
    tally->ctr = ratio;
    tally->ctr_error = sqrt(sum * readers / (readers - 1.0)) / (double)tally->looked;
}

static void play(struct arm *arm, const struct visit *visits, size_t count, uint32_t slate_size,
                 struct tally *tally)
{
    struct world *world = arm->world;
    uint32_t readers = world->options.readers;
    uint8_t *clicked = calloc((size_t)readers * world->item_max, 1);
    double *clicks = calloc(readers, sizeof(*clicks)), *looked = calloc(readers, sizeof(*looked));
    if (!clicked || !clicks || !looked)
        exit(1);
    tally->name = arm->kind->name;
    if (arm->kind->born)
        arm->kind->born(arm, 0, world->item_count);
    for (size_t v = 0; v < count; v++) {
        const struct visit *visit = &visits[v];
        uint32_t first = world->item_count, born = world_advance(world, visit->hour);
        struct tally before = *tally;
        if (born && arm->kind->born)
            arm->kind->born(arm, first, born);
        play_session(arm, visit, slate_size, clicked + (size_t)visit->reader * world->item_max,
                     tally);
        clicks[visit->reader] += (double)(tally->clicks - before.clicks);
        looked[visit->reader] += (double)(tally->looked - before.looked);
        if (v % 1000 == 999)
            fprintf(stderr, "%s: %zu of %zu sessions\n", arm->kind->name, v + 1, count);
    }
    estimate(tally, clicks, looked, readers);
    free(clicked);
    free(clicks);
    free(looked);
}

/* Lift of a over b and its 95 % interval on the log scale (delta method). */
static void lift(const struct tally *a, const struct tally *b, double out[3])
{
    double ratio = log(a->ctr / b->ctr);
    double error = sqrt(pow(a->ctr_error / a->ctr, 2) + pow(b->ctr_error / b->ctr, 2));
    out[0] = exp(ratio) - 1;
    out[1] = exp(ratio - 1.96 * error) - 1;
    out[2] = exp(ratio + 1.96 * error) - 1;
}

static void print_table(const struct tally *tallies, size_t count, const struct tally *popular)
{
    printf("%-9s %9s %10s %9s %8s  %-18s %s\n", "arm", "slates", "exposures", "clicks", "CTR",
           "95 % interval", "over popular");
    for (size_t i = 0; i < count; i++) {
        const struct tally *t = &tallies[i];
        double over[3];
        lift(t, popular, over);
        printf("%-9s %9llu %10llu %9llu %7.2f%%  %.2f%% .. %.2f%%    %+.1f%% (%+.1f .. %+.1f)\n",
               t->name, (unsigned long long)t->slates, (unsigned long long)t->looked,
               (unsigned long long)t->clicks, 100 * t->ctr, 100 * (t->ctr - 1.96 * t->ctr_error),
               100 * (t->ctr + 1.96 * t->ctr_error), 100 * over[0], 100 * over[1], 100 * over[2]);
    }
    printf("clicks a session that clicked, popular arm: %.2f\n",
           (double)popular->clicks / (double)popular->sessions_clicked);
}

static void print_json(const struct tally *tallies, size_t count, const struct tally *popular)
{
    printf("{");
    for (size_t i = 0; i < count; i++) {
        double over[3];
        lift(&tallies[i], popular, over);
        printf("%s\"%s\":{\"ctr\":%.5f,\"error\":%.5f,\"lift\":%.4f,\"lift_low\":%.4f,"
               "\"lift_high\":%.4f}",
               i ? "," : "", tallies[i].name, tallies[i].ctr, tallies[i].ctr_error, over[0],
               over[1], over[2]);
    }
    printf("}\n");
}

static const char usage[] =
    "usage: freshet-world --port PORT [--seed N] [--readers N] [--items N] [--births PER_HOUR]\n"
    "                        [--hours H] [--drift PER_DAY] [--slate N] [--arms a,b] [--json]\n"
    "Plays a seeded world of readers against the engine on 127.0.0.1:PORT (an empty data\n"
    "directory), and against oracle, random, popular and an hourly batch job; prints the\n"
    "click-through rate of each with its 95 % interval. Without --port, only the others.\n";

struct command {
    struct world_options world;
    uint16_t port;
    uint32_t slate;
    const char *arms;
    bool json;
};

static bool parse(int argc, char **argv, struct command *command)
{
    double port = 0, seed = 1, readers = command->world.readers,
           items = command->world.items_at_start, slate = command->slate;
    const struct {
        const char *name;
        double *number;
    } known[] = {{"--port", &port},
                 {"--seed", &seed},
                 {"--readers", &readers},
                 {"--items", &items},
                 {"--slate", &slate},
                 {"--births", &command->world.births_per_hour},
                 {"--hours", &command->world.hours},
                 {"--drift", &command->world.drift_per_day}};
    const size_t known_count = sizeof(known) / sizeof(known[0]);
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        if (strcmp(argv[i], "--json") == 0) {
            command->json = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        while (k < known_count && strcmp(known[k].name, argv[i]) != 0)
            k++;
        if (k < known_count)
            *known[k].number = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--arms") == 0)
            command->arms = argv[++i];
        else
            return false;
    }
    command->port = (uint16_t)port;
    command->world.seed = (uint64_t)seed;
    command->world.readers = (uint32_t)readers;
    command->world.items_at_start = (uint32_t)items;
    command->slate = (uint32_t)slate;
    return readers > 1 && items >= slate && slate >= 1 && slate <= WORLD_SLATE_MAX &&
           command->world.hours > 0;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"engine", "oracle", "random", "popular", "batch"};
    struct command command = {.world = {.seed = 1,
                                        .readers = 1000,
                                        .items_at_start = 800,
                                        .births_per_hour = 6,
                                        .hours = 72,
                                        .fade_hours = 36,
                                        .drift_per_day = 0.15,
                                        .sessions_per_reader_day = 2},
                              .slate = 10,
                              .arms = "engine,oracle,random,popular,batch"};
    if (!parse(argc, argv, &command)) {
        fputs(usage, stderr);
        return 2;
    }
    size_t visit_count = 0, played = 0;
    struct tally tallies[5] = {{0}};
    const struct tally *popular = NULL;
    struct visit *visits = make_visits(&command.world, &visit_count);
    int64_t start_ms = (int64_t)time(NULL) * 1000 - (int64_t)((command.world.hours + 1) * 3600e3);
    for (size_t k = 0; k < 5; k++) {
        struct world world;
        bool is_engine = strcmp(names[k], "engine") == 0;
        if ((is_engine && !command.port) || !strstr(command.arms, names[k]))
            continue;
        world_init(&world, &command.world);
        struct arm *arm =
            is_engine ? arm_engine_new(&world, command.port, start_ms) : arm_new(names[k], &world);
        play(arm, visits, visit_count, command.slate, &tallies[played]);
        if (strcmp(names[k], "popular") == 0)
            popular = &tallies[played];
        played++;
        arm_free(arm);
        world_release(&world);
    }
    if (!popular)
        popular = &tallies[0];
    (command.json ? print_json : print_table)(tallies, played, popular);
    free(visits);
    return 0;
}
