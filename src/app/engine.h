/* SPDX-License-Identifier: Apache-2.0
 *
 * app engine: state, rank and fold opened together from the configuration, for the subcommands that
 * need what a data directory holds. Thread: main.
 */
#ifndef APP_ENGINE_H
#define APP_ENGINE_H

#include "app/app.h"
#include "fold/fold.h"
#include "rank/rank.h"
#include "state/figures.h"
#include "state/state.h"

struct app_engine {
    struct state *state;
    struct rank *rank;
    struct fold *fold;
    struct base_buf settings;  /* conf_print_fold(), with a NUL behind */
    struct schema_types types; /* of the configuration, journalled when they differ */
};

struct app_engine_options {
    bool read_only;         /* recover and look: no lock, no threads */
    uint64_t until;         /* with read_only: the state after so many records; 0 = all */
    bool by_hand;           /* no threads: fold_run() drives */
    bool serving;           /* the next start is to be quick: snapshot-replay holds */
    uint32_t sample_one_in; /* 0 = as configured */
};

/* Recovers the data directory, drawing how far it is. On failure everything is released. */
FR_MUST_USE enum fr_status app_engine_open(const struct app *app,
                                           const struct app_engine_options *options,
                                           struct fr_error *error, struct app_engine *out_engine);
/* Drains, snapshots, closes. A zeroed engine is fine. */
void app_engine_close(struct app_engine *engine);

/* ---- the memory ceiling: budget.c -------------------------------------------------------------
 */

/* memory-max; when it is "auto", half of the machine or of its control group. */
uint64_t app_memory_max(const struct conf_options *conf);
/* Shares the ceiling out: maxima of the state's tables, bytes for the queues of the fold and for
 * blocks copied during a snapshot. */
void app_memory_share(const struct conf_options *conf, struct state_options *out);
uint32_t app_memory_queue(const struct conf_options *conf);
uint32_t app_memory_copied(const struct conf_options *conf);
size_t app_memory_bodies(const struct conf_options *conf); /* of requests, all together */

/* A named part of the ceiling. */
enum { APP_MEMORY_PARTS_MAX = 2 * STATE_TABLES_MAX + 8 };
uint32_t app_memory_parts(const struct app *app, const struct app_engine *engine,
                          struct state_memory out[APP_MEMORY_PARTS_MAX]);

/* 32 hexadecimal digits and a NUL. */
void app_hash_text(struct base_hash128 hash, char out[33]);

#endif
