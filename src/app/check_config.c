/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet check-config: every option with its value and where it came from, or all faults at once.
 */
#include "app/commands.h"

static int app_check_config(struct app *app, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct schema_types types;
    struct fr_error error;
    int code = app_check_options(app);
    if (code != APP_OK)
        return code;
    if (app_event_types(app->conf, &types, &error) != FR_OK) {
        app_fail(app, &error);
        return APP_USAGE;
    }
    struct base_buf out;
    base_buf_init(&out, 0);
    if (app->json)
        conf_print_json(app->conf, &out);
    else
        conf_print_text(app->conf, &out);
    if (app->json)
        base_buf_put_u8(&out, '\n');
    return app_print(&out);
}

const struct app_command app_command_check_config = {
    .name = "check-config",
    .summary = "print every option and where it came from, or all faults at once",
    .arguments = "",
    .text =
        "Reads flags, environment and the file of --config as every other subcommand does, and\n"
        "does nothing else. Prints each option with its value and its origin. With faults it\n"
        "prints all of them, with file, line and column, and ends with 2.",
    .run = app_check_config,
};
