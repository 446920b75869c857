/* SPDX-License-Identifier: Apache-2.0
 *
 * app eval: the protocols of `freshet eval` that are not about lists, and what all of them share.
 * Thread: main.
 */
#ifndef APP_EVAL_FILES_H
#define APP_EVAL_FILES_H

#include "app/app.h"
#include "ingest/reader.h"

enum { APP_EVAL_FILES_MAX = 64 };

/* A whole number of a flag; `fallback` when the flag is not given. */
bool app_eval_count(const struct app *app, const char *flag, uint64_t fallback, uint64_t max,
                    uint64_t *out);
/* A finite number of a flag. */
bool app_eval_number(const struct app *app, const char *flag, double fallback, double *out);
/* Prints a rejected row the first time; counts all. */
void app_eval_reject(const struct ingest_record *record, uint64_t *rejects);

/* How a protocol goes through its files: --train, the named ones, --test. The protocol's own struct begins
 * with this one; what is not said to be private it fills in. */
struct app_eval_reading {
    struct app *app;
    struct ingest_reader_options reader;
    const char *full; /* what a row brought when take() says FR_FULL; may be NULL */
    /* Once, when it is known how the first file is laid out. */
    enum fr_status (*begin)(struct app_eval_reading *reading, const struct ingest_mapping *mapping,
                            struct fr_error *error);
    /* Every row that was read, refused ones too. test: of --test. */
    enum fr_status (*take)(struct app_eval_reading *reading, const struct ingest_record *record,
                           bool test);
    /* After the last row: the figures, as text or JSON. */
    enum fr_status (*tell)(struct app_eval_reading *reading, struct base_buf *out,
                           struct fr_error *error);
    /* private */
    struct app_progress progress;
    uint64_t rejects, events;
    bool begun;
};
/* Reads all and prints; the command's exit code. */
int app_eval_read(struct app_eval_reading *reading, int count, char **paths);

/* eval ctr FILE..., eval bandit LOG: run with the arguments after the protocol's name. */
int app_eval_ctr(struct app *app, int argc, char **argv);
int app_eval_bandit(struct app *app, int argc, char **argv);

#endif
