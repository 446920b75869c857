/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of the table in commands.c, each defined in the file of its name.
 */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include "app/app.h"

extern const struct app_command app_command_serve;
extern const struct app_command app_command_import;
extern const struct app_command app_command_eval;
extern const struct app_command app_command_verify;
extern const struct app_command app_command_hash;
extern const struct app_command app_command_export;
extern const struct app_command app_command_salvage;
extern const struct app_command app_command_memory;
extern const struct app_command app_command_simulate;
extern const struct app_command app_command_why;
extern const struct app_command app_command_keys;
extern const struct app_command app_command_models;
extern const struct app_command app_command_check_config;
extern const struct app_command app_command_version;

#endif
