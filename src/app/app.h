/* SPDX-License-Identifier: Apache-2.0
 *
 * app: what the subcommands share. A subcommand is a `struct app_command` in a file of its own plus
 * one line in commands.c; its options come from conf, its own flags from its row.
 *
 * Results go to stdout (with --json as one JSON object, errors included), everything else to
 * stderr. Thread: main.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "conf/conf.h"
#include "schema/schema.h"

/* Exit codes of every subcommand; --help prints them from app_exit_text(). */
enum app_exit {
    APP_OK = 0,
    APP_FAILED = 1,  /* it was tried and did not succeed */
    APP_USAGE = 2,   /* flags, configuration or arguments are wrong; nothing was done */
    APP_DAMAGED = 3, /* stored data fails its checks */
    APP_BUSY = 4,    /* another process holds the data directory or the port */
    APP_EXIT_COUNT
};
const char *app_exit_text(enum app_exit code);
/* FR_OK 0, FR_CORRUPT 3, FR_AGAIN 4, all else 1. */
enum app_exit app_exit_of(enum fr_status status);

struct app_command;

struct app {
    const struct app_command *command;
    struct conf *conf;
    const struct conf_options *options;
    const struct conf_input *input; /* what conf was loaded from: for loading it again */
    bool json;                      /* --json was given */
};

/* Runs with the arguments that are no flags; returns an exit code. */
typedef int (*app_run_fn)(struct app *app, int argc, char **argv);

struct app_command {
    const char *name;
    const char *summary;           /* one line */
    const char *arguments;         /* as usage shows them: "FILE..."; "" when there are none */
    const char *text;              /* what it does; paragraphs separated by a blank line */
    const struct conf_flag *flags; /* its own, --json and --help aside */
    uint32_t flag_count;
    app_run_fn run;
};

/* The table. */
const struct app_command *const *app_commands(uint32_t *out_count);
const struct app_command *app_command_find(const char *name);

/* The whole program: finds the subcommand, loads the configuration, tells all faults, runs. */
int app_main(int argc, char **argv, char **environment);

/* The value of one of the subcommand's own flags: NULL when not given, "" for a switch. */
static inline const char *app_flag(const struct app *app, const char *name)
{
    return conf_flag_value(app->conf, name);
}

/* Prints an error with its hint and returns the exit code of its status. */
int app_fail(const struct app *app, const struct fr_error *error);
/* The same for a fault of usage: returns APP_USAGE. */
int app_usage(const struct app *app, const char *format, ...) FR_PRINTF(2, 3);

/* Writes a finished buffer to stdout and releases it. Returns APP_OK, or APP_FAILED when stdout is
 * closed or full. */
int app_print(struct base_buf *text);

/* Rules between options, for serve and check-config. APP_OK, or tells all faults and returns
 * APP_USAGE. */
int app_check_options(const struct app *app);
/* Prints all faults of the configuration and returns APP_USAGE. */
int app_tell_faults(const struct app *app);
/* The built-in event types with the changes and additions of `events:` in the file. */
FR_MUST_USE enum fr_status app_event_types(const struct conf *conf, struct schema_types *out_types,
                                           struct fr_error *error);

/* ---- progress of long work ------------------------------------------------------------------
 *
 * On a terminal a bar with rate and remaining time, redrawn ten times a second; elsewhere a plain
 * line every five seconds; with --json nothing. Always to stderr. */
struct app_progress {
    const char *what; /* static: "importing" */
    const char *unit; /* static: "events" */
    uint64_t total;   /* 0: not known */
    bool quiet, terminal, drawn;
    int64_t began_ns, next_ns;
};

/* The clock starts here. `what` and `unit` stay borrowed. */
void app_progress_begin(struct app_progress *progress, const struct app *app, const char *what,
                        const char *unit, uint64_t total);
/* Cheap enough for every batch. */
void app_progress_update(struct app_progress *progress, uint64_t done);
/* Takes the bar away; the caller prints the closing line. */
void app_progress_end(struct app_progress *progress);
/* The line as it is drawn at `now_ns`, without line ends. */
void app_progress_line(const struct app_progress *progress, uint64_t done, int64_t now_ns,
                       struct base_buf *out);
/* 1234567 as "1,234,567". */
void app_print_count(uint64_t count, struct base_buf *out);

/* ---- the service manager -----------------------------------------------------------------------
 *
 * Tells systemd (Type=notify) "READY=1", "STOPPING=1", "STATUS=...". Nothing without NOTIFY_SOCKET.
 */
void app_notify(const char *state);

/* A listening socket from the service manager (LISTEN_FDS) and its address; 0: there is none. The
 * variables are taken out of the environment. Thread: main, before others start. */
enum { APP_ADDRESS_BYTES = 64 };
int app_inherited_listener(char out_address[APP_ADDRESS_BYTES]);

/* ---- documents ---------------------------------------------------------------------------------
 */

/* --help of the program and of a subcommand, and freshet.1, from the tables. */
void app_help_program(struct base_buf *out);
void app_help_command(const struct app_command *command, struct base_buf *out);
void app_document_man(struct base_buf *out);

#endif
