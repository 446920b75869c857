/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet hash: the digest of the whole state at the journal's end.
 */
#include "app/commands.h"
#include "app/engine.h"

static int app_hash(struct app *app, int argc, char **argv)
{
    (void)argv;
    if (argc > 0)
        return app_usage(app, "hash takes no arguments");
    struct app_engine engine;
    struct fr_error error = {0};
    struct app_engine_options options = {.read_only = true};
    if (app_engine_open(app, &options, &error, &engine) != FR_OK)
        return app_fail(app, &error);
    uint64_t position = 0;
    char text[33];
    app_hash_text(fold_hash(engine.fold, &position), text);
    struct base_buf out;
    base_buf_init(&out, 0);
    if (app->json)
        base_buf_printf(&out, "{\"hash\":\"%s\",\"position\":%llu}\n", text,
                        (unsigned long long)position);
    else
        base_buf_printf(&out, "%s at position %llu\n", text, (unsigned long long)position);
    app_engine_close(&engine);
    return app_print(&out);
}

const struct app_command app_command_hash = {
    .name = "hash",
    .summary = "print the digest of the state that the journal folds to",
    .arguments = "",
    .text =
        "Recovers the data directory as a start does (newest good snapshot, then the rest of the\n"
        "journal) without locking or changing it, and prints a 128-bit digest of all state with\n"
        "its position. The same journal gives the same digest, whatever the batch sizes,\n"
        "restarts, snapshots and number of serving threads.",
    .run = app_hash,
};
