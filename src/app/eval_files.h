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

/* How the files are to be read, from the flags. Types stay borrowed. */
struct ingest_reader_options app_eval_reader(const struct app *app,
                                             const struct schema_types *types);
/* A whole number of a flag; `fallback` when the flag is not given. */
bool app_eval_count(const struct app *app, const char *flag, uint64_t fallback, uint64_t max,
                    uint64_t *out);
/* A finite number of a flag. */
bool app_eval_number(const struct app *app, const char *flag, double fallback, double *out);
/* Prints a rejected row the first time; counts all. */
void app_eval_reject(const struct ingest_record *record, uint64_t *rejects);

/* eval ctr FILE..., eval bandit LOG: run with the arguments after the protocol's name. */
int app_eval_ctr(struct app *app, int argc, char **argv);
int app_eval_bandit(struct app *app, int argc, char **argv);

#endif
