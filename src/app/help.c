/* SPDX-License-Identifier: Apache-2.0
 *
 * app help: --help of the program and of each subcommand, and the man page, from the tables.
 */
#include "app/app.h"

#include <string.h>

#include "app/version_number.h"

void app_help_program(struct base_buf *out)
{
    uint32_t count;
    const struct app_command *const *commands = app_commands(&count);
    base_buf_put_str(out, "Freshet " FRESHET_VERSION ": real-time recommendations; the next answer "
                          "reflects the last click.\n\n"
                          "usage: freshet SUBCOMMAND [--flag...] [argument...]\n\n");
    for (uint32_t i = 0; i < count; i++)
        base_buf_printf(out, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    base_buf_put_str(out,
                     "\nfreshet SUBCOMMAND --help tells its flags and exit codes. Nothing needs "
                     "to be configured.\n");
}

static void help_flags(const struct app_command *command, struct base_buf *out)
{
    for (uint32_t i = 0; i < command->flag_count; i++) {
        const struct conf_flag *flag = &command->flags[i];
        char name[64];
        snprintf(name, sizeof(name), "%s%s%s", flag->name, flag->argument ? "=" : "",
                 flag->argument ? flag->argument : "");
        base_buf_printf(out, "  --%-18s %s\n", name, flag->text);
    }
    base_buf_put_str(out, "  --json               print the result as JSON, and no progress\n"
                          "  --help               print this\n");
}

void app_help_command(const struct app_command *command, struct base_buf *out)
{
    base_buf_printf(out, "usage: freshet %s [--flag...]%s%s\n\n%s\n\n", command->name,
                    *command->arguments ? " " : "", command->arguments, command->text);
    base_buf_put_str(out, "Flags:\n");
    help_flags(command, out);
    base_buf_put_str(out, "\nExit codes:\n");
    for (int code = 0; code < APP_EXIT_COUNT; code++)
        base_buf_printf(out, "  %d  %s\n", code, app_exit_text((enum app_exit)code));
    base_buf_put_str(out, "\nOptions, also as FRESHET_NAME in the environment or in the file of "
                          "--config [default]\n");
    conf_document_help(out);
}

/* A line of text must not begin with what troff takes for a request, and a dash is a dash. */
static void man_text(struct base_buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        bool at_start = c == text || c[-1] == '\n';
        if (at_start && (*c == '.' || *c == '\''))
            base_buf_put_str(out, "\\&");
        if (*c == '\\')
            base_buf_put_str(out, "\\e");
        else if (*c == '-')
            base_buf_put_str(out, "\\-");
        else if (*c == '\n' && c[1] == '\n')
            base_buf_put_str(out, "\n.PP");
        else
            base_buf_put_u8(out, (uint8_t)*c);
    }
    base_buf_put_u8(out, '\n');
}

static void man_command(struct base_buf *out, const struct app_command *command)
{
    base_buf_put_str(out, ".SS freshet ");
    man_text(out, command->name);
    if (*command->arguments) {
        base_buf_put_str(out, ".B Arguments:\n");
        man_text(out, command->arguments);
        base_buf_put_str(out, ".PP\n");
    }
    man_text(out, command->text);
    for (uint32_t i = 0; i < command->flag_count; i++) {
        const struct conf_flag *flag = &command->flags[i];
        base_buf_put_str(out, ".TP\n.B \\-\\-");
        man_text(out, flag->name);
        if (flag->argument) {
            base_buf_put_str(out, ".I ");
            man_text(out, flag->argument);
            base_buf_put_str(out, ".br\n");
        }
        man_text(out, flag->text);
    }
}

void app_document_man(struct base_buf *out)
{
    uint32_t count;
    const struct app_command *const *commands = app_commands(&count);
    base_buf_put_str(out, ".\\\" SPDX-License-Identifier: Apache-2.0\n"
                          ".\\\" Generated from the tables of subcommands and options by `make "
                          "docs`; do not edit.\n"
                          ".TH FRESHET 1 \"\" \"Freshet " FRESHET_VERSION "\"\n"
                          ".SH NAME\nfreshet \\- real\\-time recommendation engine\n"
                          ".SH SYNOPSIS\n.B freshet\n.I SUBCOMMAND\n"
                          "[\\-\\-flag...] [argument...]\n"
                          ".SH DESCRIPTION\nFreshet takes in what people do, learns from every "
                          "event as it arrives, and answers what each should see next, and why. "
                          "Everything is kept in one data directory; one process at a time works "
                          "on it.\n"
                          ".SH SUBCOMMANDS\n");
    for (uint32_t i = 0; i < count; i++)
        man_command(out, commands[i]);
    base_buf_put_str(out, ".SH COMMON FLAGS\n.TP\n.B \\-\\-json\nPrint the result as one JSON "
                          "object, and no progress.\n.TP\n.B \\-\\-help\nPrint flags, exit codes "
                          "and options.\n"
                          ".SH OPTIONS\nEach may also be given as FRESHET_NAME in the environment, "
                          "or in the YAML file named by \\-\\-config. Flags win over the "
                          "environment, the environment over the file.\n");
    conf_document_man(out);
    base_buf_put_str(out, ".SH EXIT STATUS\n");
    for (int code = 0; code < APP_EXIT_COUNT; code++)
        base_buf_printf(out, ".TP\n%d\n%s\n", code, app_exit_text((enum app_exit)code));
    base_buf_put_str(out, ".SH SIGNALS\n.TP\nSIGTERM, SIGINT\nAnswers what is in flight, writes a "
                          "snapshot, ends. SIGKILL loses nothing that was acknowledged.\n");
}
