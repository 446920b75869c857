/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet simulate: hands over to freshet-world, which is installed beside this program and shares
 * no code with it, and gives it this program to play against.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"

enum { PATH_BYTES = 4096, WORDS_MAX = 16, WORD_BYTES = 256 };

static const struct conf_flag flags[] = {
    {"seed", "N", "another world [1]"},
    {"readers", "N", "who come, 2.26 times each on average [4000]"},
    {"hours", "H", "how long it goes [168]"},
    {"items", "N", "items at the start [400]"},
    {"births", "R", "items born an hour [3]"},
    {"drift", "S", "share of a reader's taste replaced a day [0.15]"},
    {"slate", "N", "places of a list, 1 to 50 [10]"},
    {"arms", "A,B", "only these of engine,oracle,random,popular,trending,batch"},
    {"engine", "PORT", "play against the server on this port, on an empty data directory"},
};

/* This program's path; false: it cannot be told. */
static bool find_self(char out[PATH_BYTES])
{
    ssize_t bytes = readlink("/proc/self/exe", out, PATH_BYTES - 1);
    if (bytes <= 0)
        return false;
    out[bytes] = '\0';
    return true;
}

static int app_simulate(struct app *app, int argc, char **argv)
{
    char self[PATH_BYTES], world[PATH_BYTES + 32], word[WORDS_MAX][WORD_BYTES];
    char engine[PATH_BYTES + 16], *words[WORDS_MAX + 4] = {"freshet-world"};
    size_t count = 1;
    (void)argc;
    (void)argv;
    if (!find_self(self))
        return app_usage(app, "cannot tell where this program is: run freshet-world itself");
    snprintf(world, sizeof(world), "%.*s/freshet-world", (int)(strrchr(self, '/') - self), self);
    snprintf(engine, sizeof(engine), "--freshet=%s", self);
    words[count++] = engine;
    for (size_t i = 0; i < FR_COUNT_OF(flags); i++) {
        const char *value = app_flag(app, flags[i].name);
        if (!value)
            continue;
        const char *name = strcmp(flags[i].name, "engine") == 0 ? "port" : flags[i].name;
        snprintf(word[i], sizeof(word[i]), "--%s=%s", name, value);
        words[count++] = word[i];
    }
    if (app->json)
        words[count++] = "--json";
    execv(world, words);
    struct fr_error error = {0};
    base_fail(&error, FR_NOT_FOUND, "app", "cannot run %s: %s", world, strerror(errno));
    base_hint(&error, "make install puts it beside freshet");
    return app_fail(app, &error);
}

const struct app_command app_command_simulate = {
    .name = "simulate",
    .summary = "play a world of readers against Freshet and simpler recommenders",
    .arguments = "",
    .text =
        "Plays one seeded story of readers with hidden, drifting tastes, and of items that are\n"
        "born and fade, against Freshet and against an oracle, random, popular and trending\n"
        "items and an hourly batch job; prints the click-through rate of each with its 95 %\n"
        "interval. Freshet is started on an empty directory of its own and spoken to over its\n"
        "HTTP API by freshet-world, a program that shares no code with it.\n"
        "\n"
        "Time is simulated; a run takes about a minute.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_simulate,
};
