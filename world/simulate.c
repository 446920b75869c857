/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet-world: plays the same seeded story against several arms and prints the click-through
 * rate of each with its interval: the engine, an oracle that knows the true interests, random,
 * popular only, and a batch recommender refreshed hourly. CTR = clicks per exposure (a place that
 * was looked at).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arm.h"
#include "report.h"
#include "spawn.h"

static const double patience = 0.60, pleased = 0.50;
/* Hour 0 of every world: Monday 2017-10-09 00:00 UTC, so that a seed plays alike on any day. */
static const int64_t start_ms = 1507507200000;
enum { STEPS_MAX = 40, ARMS = 6 };
static const char *const arm_names[ARMS] = {"engine",  "oracle",   "random",
                                            "popular", "trending", "batch"};

struct command {
    struct world_options world;
    const char *freshet, *arms;
    uint16_t port;
    uint32_t slate;
    bool json;
};

/* After a click the session goes on by its staying power (divided by how likely a list is to
 * please at all, so that clicks a session come out as fitted), after none by patience. */
static void play_session(struct arm *arm, const struct world_visit *visit, uint32_t slate_size,
                         uint8_t *clicked_before, struct report_tally *tally)
{
    struct world *world = arm->world;
    struct arm_request request = {.reader = visit->reader,
                                  .session = visit->session,
                                  .count = slate_size,
                                  .clicked = clicked_before};
    double momentum = world_staying(&world->options, visit->session) / pleased;
    uint32_t slate[WORLD_SLATE_MAX];
    uint64_t before = tally->clicks;
    for (int step = 0; step < STEPS_MAX; step++) {
        uint32_t filled = arm->kind->slate(arm, &request, slate), looked = 0;
        struct world_slate shown = {slate, filled, clicked_before};
        int clicked = world_look(world, visit->reader, &shown, &looked);
        arm->kind->feedback(arm, &request, slate, looked, clicked);
        tally->slates++;
        tally->looked += looked;
        tally->reader_looked[visit->reader] += looked;
        if (clicked >= 0) {
            clicked_before[slate[clicked]] = 1;
            report_click_add(tally, slate[clicked], world->hour);
        }
        if (world_draw(world, visit->reader) >= (clicked >= 0 ? momentum : patience))
            break;
        world->hour += 1.0 / 60;
    }
    tally->sessions[tally->clicks - before]++;
    tally->reader_clicks[visit->reader] += (double)(tally->clicks - before);
}

/* On a terminal only: one line, redrawn. */
static void show_progress(const char *arm, size_t done, size_t count)
{
    if (!isatty(STDERR_FILENO) || (done % 100 && done < count))
        return;
    fprintf(stderr, done < count ? "\r%-8s %zu of %zu sessions " : "\r%40s\r", arm, done, count);
}

static void play(struct arm *arm, const struct world_visit *visits, size_t count,
                 uint32_t slate_size, struct report_tally *tally)
{
    struct world *world = arm->world;
    uint8_t *clicked = calloc((size_t)world->options.readers * world->item_max, 1);
    if (!clicked)
        world_fail("no memory", "for a world of this size");
    if (arm->kind->born)
        arm->kind->born(arm, 0, world->item_count);
    for (size_t v = 0; v < count; v++) {
        const struct world_visit *visit = &visits[v];
        uint32_t first = world->item_count, born = world_advance(world, visit->hour);
        if (born && arm->kind->born)
            arm->kind->born(arm, first, born);
        play_session(arm, visit, slate_size, clicked + (size_t)visit->reader * world->item_max,
                     tally);
        show_progress(arm->kind->name, v + 1, count);
    }
    free(clicked);
}

static void play_engine(const struct command *command, struct world *world,
                        const struct world_visit *visits, size_t count, struct report_tally *tally)
{
    struct spawn spawn = {.port = command->port};
    if (!command->port)
        spawn_start(&spawn, command->freshet);
    struct arm *arm = arm_engine_new(world, spawn.port, start_ms);
    play(arm, visits, count, command->slate, tally);
    arm_free(arm);
    if (!command->port)
        spawn_stop(&spawn);
}

/* ---- the command line ------------------------------------------------------------------------ */

static const char usage[] =
    "usage: freshet-world [--flag=value...]\n"
    "Plays a seeded world of readers against Freshet, an oracle, random, popular items and an\n"
    "hourly batch job; prints the click-through rate of each with its 95 % interval.\n\n"
    "  --seed=N        another world [1]\n"
    "  --readers=N     who come, 2.26 times each on average [4000]\n"
    "  --hours=H       how long it goes [168]\n"
    "  --items=N       items at the start [400]\n"
    "  --births=R      items born an hour [3]\n"
    "  --drift=S       share of a reader's taste replaced a day [0.15]\n"
    "  --slate=N       places of a list, 1 to 50 [10]\n"
    "  --arms=A,B      only these of engine,oracle,random,popular,trending,batch\n"
    "  --port=P        the engine that listens on this port of this machine, on an empty data\n"
    "                  directory; without, one is started and stopped\n"
    "  --freshet=PATH  the program to start [freshet beside this one, or in PATH]\n"
    "  --json          print one JSON object\n";

struct number {
    const char *name;
    double value, least, most;
};
enum { SEED, READERS, HOURS, ITEMS, BIRTHS, DRIFT, SLATE, PORT, NUMBERS };

static bool parse_number(const char *word, struct number *numbers)
{
    const char *equals = strchr(word, '=');
    for (int k = 0; equals && k < NUMBERS; k++) {
        struct number *number = &numbers[k];
        char *end;
        if (strncmp(word, number->name, (size_t)(equals - word)) != 0 ||
            strlen(number->name) != (size_t)(equals - word))
            continue;
        number->value = strtod(equals + 1, &end);
        return end > equals + 1 && *end == '\0' && number->value >= number->least &&
               number->value <= number->most;
    }
    return false;
}

static bool parse(int argc, char **argv, struct command *command)
{
    struct number numbers[NUMBERS] = {
        {"--seed", 1, 0, 1e15},    {"--readers", 4000, 2, 1e6}, {"--hours", 168, 1, 10000},
        {"--items", 400, 50, 1e5}, {"--births", 3, 0, 1e4},     {"--drift", .15, 0, 10},
        {"--slate", 10, 1, 50},    {"--port", 0, 0, 65535},
    };
    *command = (struct command){.freshet = "freshet",
                                .arms = "engine,oracle,random,popular,trending,batch"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            command->json = true;
        else if (strncmp(argv[i], "--arms=", 7) == 0)
            command->arms = argv[i] + 7;
        else if (strncmp(argv[i], "--freshet=", 10) == 0)
            command->freshet = argv[i] + 10;
        else if (!parse_number(argv[i], numbers)) {
            fprintf(stderr, "freshet-world: %.80s is no flag with a value in its range\n\n",
                    argv[i]);
            return false;
        }
    }
    command->port = (uint16_t)numbers[PORT].value;
    command->slate = (uint32_t)numbers[SLATE].value;
    command->world = (struct world_options){.seed = (uint64_t)numbers[SEED].value,
                                            .readers = (uint32_t)numbers[READERS].value,
                                            .items_at_start = (uint32_t)numbers[ITEMS].value,
                                            .births_per_hour = numbers[BIRTHS].value,
                                            .hours = numbers[HOURS].value,
                                            .fade_hours = 5,
                                            .drift_per_day = numbers[DRIFT].value};
    return true;
}

int main(int argc, char **argv)
{
    struct command command;
    struct report_tally tallies[ARMS];
    size_t visit_count = 0, played = 0, base = 0;
    struct world world;
    if (!parse(argc, argv, &command)) {
        fputs(usage, stderr);
        return 2;
    }
    struct world_visit *visits = world_visits(&command.world, &visit_count);
    for (size_t k = 0; k < ARMS; k++) {
        if (!strstr(command.arms, arm_names[k]))
            continue;
        if (played)
            world_release(&world); /* each plays in a world of its own; the last is reported on */
        world_init(&world, &command.world);
        struct report_tally *tally = &tallies[played];
        report_tally_init(tally, arm_names[k], command.world.readers);
        if (k == 0) {
            play_engine(&command, &world, visits, visit_count, tally);
        } else {
            struct arm *arm = arm_new(arm_names[k], &world);
            play(arm, visits, visit_count, command.slate, tally);
            arm_free(arm);
        }
        if (strcmp(arm_names[k], "popular") == 0)
            base = played;
        played++;
    }
    if (!played) {
        fputs(usage, stderr);
        return 2;
    }
    report_compare(tallies, played, base, &command.world);
    (command.json ? report_print_json : report_print_text)(tallies, played, base, &world);
    for (size_t i = 0; i < played; i++)
        report_tally_release(&tallies[i]);
    world_release(&world);
    free(visits);
    return 0;
}
