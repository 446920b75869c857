/* SPDX-License-Identifier: Apache-2.0
 *
 * app: from the command line to a running subcommand, and what it may say on the way.
 */
#include "app/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "obs/obs.h"

enum { FLAGS_MAX = 32 };

static const struct conf_flag common_flags[] = {
    {"json", NULL, "print the result as JSON, and no progress"},
    {"help", NULL, "print this"},
};

const char *app_exit_text(enum app_exit code)
{
    static const char *const texts[APP_EXIT_COUNT] = {
        [APP_OK] = "done",
        [APP_FAILED] = "tried, and did not succeed",
        [APP_USAGE] = "flags, configuration or arguments are wrong; nothing was done",
        [APP_DAMAGED] = "stored data fails its checks",
        [APP_BUSY] = "another process holds the data directory or the port",
    };
    return texts[code];
}

enum app_exit app_exit_of(enum fr_status status)
{
    switch (status) {
    case FR_OK:
        return APP_OK;
    case FR_CORRUPT:
        return APP_DAMAGED;
    case FR_AGAIN:
        return APP_BUSY;
    default:
        return APP_FAILED;
    }
}

int app_print(struct base_buf *text)
{
    size_t done = 0;
    while (!text->overflowed && done < text->count) {
        ssize_t wrote = write(STDOUT_FILENO, text->bytes + done, text->count - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        done += (size_t)wrote;
    }
    bool whole = !text->overflowed && done == text->count;
    base_buf_release(text);
    return whole ? APP_OK : APP_FAILED;
}

static void print_error_json(const char *code, const char *message, const char *hint)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    base_buf_put_str(&out, "{\"error\":{\"code\":");
    base_buf_json_string(&out, fr_slice_str(code));
    base_buf_put_str(&out, ",\"message\":");
    base_buf_json_string(&out, fr_slice_str(message));
    base_buf_put_str(&out, ",\"hint\":");
    base_buf_json_string(&out, fr_slice_str(hint));
    base_buf_put_str(&out, "}}\n");
    app_print(&out);
}

int app_fail(const struct app *app, const struct fr_error *error)
{
    if (app->json) {
        print_error_json(base_status_name(error->status), error->message, error->hint);
    } else {
        fprintf(stderr, "freshet %s: %s\n", app->command->name, error->message);
        if (*error->hint)
            fprintf(stderr, "  %s\n", error->hint);
    }
    return (int)app_exit_of(error->status);
}

int app_usage(const struct app *app, const char *format, ...)
{
    char message[384], hint[96];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    snprintf(hint, sizeof(hint), "freshet %s --help tells more", app->command->name);
    if (app->json)
        print_error_json("usage", message, hint);
    else
        fprintf(stderr, "freshet %s: %s\n  %s\n", app->command->name, message, hint);
    return APP_USAGE;
}

static void print_faults_json(const struct conf *conf)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    base_buf_put_str(&out, "{\"faults\":[");
    for (uint32_t i = 0; i < conf_fault_count(conf); i++) {
        base_buf_put_str(&out, i ? "," : "");
        base_buf_json_string(&out, fr_slice_str(conf_fault(conf, i)));
    }
    base_buf_put_str(&out, "]}\n");
    app_print(&out);
}

int app_tell_faults(const struct app *app)
{
    uint32_t count = conf_fault_count(app->conf);
    if (app->json) {
        print_faults_json(app->conf);
        return APP_USAGE;
    }
    for (uint32_t i = 0; i < count; i++)
        fprintf(stderr, "%s\n", conf_fault(app->conf, i));
    fprintf(stderr, "freshet %s: %u fault%s in the configuration; nothing was done\n",
            app->command->name, count, count == 1 ? "" : "s");
    return APP_USAGE;
}

static int run_loaded(struct app *app, enum fr_status loaded)
{
    if (app_flag(app, "help")) {
        struct base_buf out;
        base_buf_init(&out, 0);
        app_help_command(app->command, &out);
        return app_print(&out);
    }
    app->json = app_flag(app, "json") != NULL;
    app->options = conf_options(app->conf);
    if (loaded != FR_OK)
        return app_tell_faults(app);
    obs_log_setup((enum obs_level)app->options->log_level,
                  (enum obs_format)app->options->log_format);
    uint32_t argument_count;
    char **arguments = conf_arguments(app->conf, &argument_count);
    if (argument_count > 0 && *app->command->arguments == '\0')
        return app_usage(app, "takes no arguments (seen: %.80s)", arguments[0]);
    return app->command->run(app, (int)argument_count, arguments);
}

static int run(const struct app_command *command, int argc, char **argv, char **environment)
{
    struct conf_flag flags[FLAGS_MAX];
    uint32_t flag_count = FR_COUNT_OF(common_flags) + command->flag_count;
    struct app app = {.command = command};
    FR_ASSERT(flag_count <= FLAGS_MAX);
    memcpy(flags, common_flags, sizeof(common_flags));
    for (uint32_t i = 0; i < command->flag_count; i++)
        flags[FR_COUNT_OF(common_flags) + i] = command->flags[i];
    if (conf_new(&app.conf) != FR_OK) {
        fprintf(stderr, "freshet: no memory\n");
        return APP_FAILED;
    }
    struct conf_input input = {argc, argv, environment, flags, flag_count};
    app.input = &input;
    int code = run_loaded(&app, conf_load(app.conf, &input));
    conf_free(app.conf);
    return code;
}

static int unknown_command(const char *name)
{
    const char *names[32];
    uint32_t count;
    const struct app_command *const *commands = app_commands(&count);
    for (uint32_t i = 0; i < count && i < FR_COUNT_OF(names); i++)
        names[i] = commands[i]->name;
    const char *nearest = conf_nearest(name, names, FR_MIN(count, (uint32_t)FR_COUNT_OF(names)));
    fprintf(stderr, "freshet: there is no subcommand %.60s", name);
    if (nearest)
        fprintf(stderr, "; did you mean %s?", nearest);
    fprintf(stderr, "\n  freshet --help lists them\n");
    return APP_USAGE;
}

int app_main(int argc, char **argv, char **environment)
{
    const char *name = argc > 1 ? argv[1] : "";
    bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0;
    const struct app_command *command;
    if (strcmp(name, "--version") == 0)
        name = "version";
    if (argc < 2 || (help && argc == 2)) {
        struct base_buf out;
        base_buf_init(&out, 0);
        app_help_program(&out);
        int printed = app_print(&out);
        return argc < 2 ? APP_USAGE : printed;
    }
    command = app_command_find(help ? argv[2] : name);
    if (!command)
        return unknown_command(help ? argv[2] : name);
    if (help)
        return run(command, 1, (char *[]){"--help", NULL}, NULL);
    return run(command, argc - 2, argv + 2, environment);
}
