/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet version: which build this is.
 */
#include "app/commands.h"

#include "app/version_number.h"

static int app_version(struct app *app, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct base_buf out;
    base_buf_init(&out, 0);
    if (app->json) {
        base_buf_put_str(&out, "{\"version\":\"" FRESHET_VERSION "\",\"compiler\":");
        base_buf_json_string(&out, FR_SLICE(__VERSION__));
        base_buf_put_str(&out, "}\n");
    } else {
        base_buf_put_str(&out, "freshet " FRESHET_VERSION " (" __VERSION__ ")\n");
    }
    return app_print(&out);
}

const struct app_command app_command_version = {
    .name = "version",
    .summary = "print version and compiler",
    .arguments = "",
    .text = "Prints the version and the compiler that built it.",
    .run = app_version,
};
