/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of subcommands, in the order of --help. Each row lives in the file of its name.
 */
#include "app/commands.h"

#include <string.h>

static const struct app_command *const commands[] = {
    &app_command_serve,        &app_command_import,  &app_command_eval,    &app_command_verify,
    &app_command_hash,         &app_command_export,  &app_command_salvage, &app_command_why,
    &app_command_simulate,     &app_command_memory,  &app_command_keys,    &app_command_models,
    &app_command_check_config, &app_command_version,
};

const struct app_command *const *app_commands(uint32_t *out_count)
{
    *out_count = FR_COUNT_OF(commands);
    return commands;
}

const struct app_command *app_command_find(const char *name)
{
    for (uint32_t i = 0; i < FR_COUNT_OF(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}
