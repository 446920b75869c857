/* SPDX-License-Identifier: Apache-2.0
 *
 * conf flags and environment: --name=value, --name value, --name and --no-name for booleans, "--"
 * ends them; FRESHET_NAME=value.
 */
#include "conf/conf_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A flag as it was written, cut apart. */
struct written {
    char name[CONF__NAME_BYTES];
    const char *value; /* after '=', or NULL */
};

static bool cut_apart(const char *argument, struct written *out)
{
    const char *name = argument + 2, *equals = strchr(name, '=');
    size_t bytes = equals ? (size_t)(equals - name) : strlen(name);
    if (bytes >= sizeof(out->name))
        return false;
    memcpy(out->name, name, bytes);
    out->name[bytes] = '\0';
    out->value = equals ? equals + 1 : NULL;
    return true;
}

static int find_own(const struct conf *conf, const char *name)
{
    for (uint32_t i = 0; i < conf->flag_count; i++)
        if (strcmp(conf->flags[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* The subcommand's own flag. Returns how many further arguments were used. */
static int take_own(struct conf *conf, int i, const struct written *flag, const char *next)
{
    bool is_switch = conf->flags[i].argument == NULL;
    if (is_switch && flag->value) {
        conf__fault(conf, "flags", "--%s takes no value (seen: %s)", flag->name, flag->value);
        return 0;
    }
    if (is_switch) {
        conf->flag_values[i] = "";
        return 0;
    }
    if (!flag->value && !next) {
        conf__fault(conf, "flags", "--%s needs %s", flag->name, conf->flags[i].argument);
        return 0;
    }
    conf->flag_values[i] = flag->value ? flag->value : next;
    return flag->value ? 0 : 1;
}

static int take_option(struct conf *conf, uint32_t i, const struct written *flag, const char *next)
{
    uint32_t count;
    const struct conf__option *option = &conf__options(&count)[i];
    const char *value = flag->value;
    int used = 0;
    if (!value && option->type == CONF__BOOL) {
        value = "true";
    } else if (!value) {
        value = next;
        used = 1;
    }
    if (!value) {
        conf__fault(conf, "flags", "--%s needs a value", flag->name);
        return 0;
    }
    if (conf->places[i].origin == CONF__FLAG)
        conf__fault(conf, "flags", "--%s is given twice (again as %s)", flag->name, value);
    conf__set(conf, i, value, (struct conf__place){.origin = CONF__FLAG});
    return used;
}

static void unknown(struct conf *conf, const struct written *flag)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    const char *own[CONF__FLAGS_MAX];
    char hint[CONF__HINT_BYTES];
    for (uint32_t i = 0; i < conf->flag_count; i++)
        own[i] = conf->flags[i].name;
    const char *nearest = conf_nearest(flag->name, own, conf->flag_count);
    if (nearest)
        snprintf(hint, sizeof(hint), "; did you mean %s?", nearest);
    else
        conf__hint(options, count, flag->name, hint);
    conf__fault(conf, "flags", "--%s is not known%s", flag->name, hint);
}

/* Returns how many further arguments were used. */
static int take(struct conf *conf, const char *argument, const char *next)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    struct written flag;
    if (!cut_apart(argument, &flag)) {
        conf__fault(conf, "flags", "%.60s... is not known", argument);
        return 0;
    }
    int own = find_own(conf, flag.name);
    if (own >= 0)
        return take_own(conf, own, &flag, next);
    int i = conf__find(options, count, flag.name);
    if (i >= 0)
        return take_option(conf, (uint32_t)i, &flag, next);
    i = strncmp(flag.name, "no-", 3) == 0 ? conf__find(options, count, flag.name + 3) : -1;
    if (i >= 0 && options[i].type == CONF__BOOL && !flag.value) {
        flag.value = "false";
        return take_option(conf, (uint32_t)i, &flag, NULL);
    }
    unknown(conf, &flag);
    return 0;
}

void conf__load_flags(struct conf *conf, const struct conf_input *input)
{
    FR_ASSERT(input->flag_count <= CONF__FLAGS_MAX);
    conf->flags = input->flags;
    conf->flag_count = input->flag_count;
    conf->arguments = calloc((size_t)input->argc + 1, sizeof(*conf->arguments));
    FR_ASSERT(conf->arguments != NULL);
    bool ended = false;
    for (int i = 0; i < input->argc; i++) {
        char *argument = input->argv[i];
        const char *next = i + 1 < input->argc ? input->argv[i + 1] : NULL;
        if (ended || argument[0] != '-' || argument[1] == '\0')
            conf->arguments[conf->argument_count++] = argument;
        else if (strcmp(argument, "--") == 0)
            ended = true;
        else if (strcmp(argument, "-h") == 0)
            i += take(conf, "--help", next);
        else if (argument[1] == '-')
            i += take(conf, argument, next);
        else
            conf__fault(conf, "flags", "%.60s is not known; flags are written --name", argument);
    }
}

/* Kubernetes gives the pods beside a service called freshet a FRESHET_PORT=tcp://10.0.0.1:8080 that
 * has nothing to do with ours. */
static bool is_service_link(const char *name, const char *value)
{
    return strcmp(name, "port") == 0 && strncmp(value, "tcp://", 6) == 0;
}

/* Other programs of the house have FRESHET_ variables too (FRESHET_DATA, FRESHET_SIMD), so an
 * unknown one is a fault only when it looks like a misspelt option. */
void conf__load_environment(struct conf *conf, char **environment)
{
    static const char prefix[] = "FRESHET_";
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    for (char **variable = environment; variable && *variable; variable++) {
        char name[CONF__NAME_BYTES], hint[CONF__HINT_BYTES];
        const char *equals = strchr(*variable, '=');
        if (!equals || strncmp(*variable, prefix, sizeof(prefix) - 1) != 0)
            continue;
        size_t bytes = (size_t)(equals - *variable) - (sizeof(prefix) - 1);
        if (bytes >= sizeof(name))
            continue;
        for (size_t i = 0; i < bytes; i++) {
            char c = (*variable)[sizeof(prefix) - 1 + i];
            name[i] = c == '_' ? '-' : (char)tolower(c);
        }
        name[bytes] = '\0';
        int i = conf__find(options, count, name);
        if (i >= 0 && !is_service_link(name, equals + 1))
            conf__set(conf, (uint32_t)i, equals + 1,
                      (struct conf__place){.origin = CONF__ENVIRONMENT});
        else if (i < 0 && bytes > 5 && *conf__hint(options, count, name, hint))
            conf__fault(conf, "environment", "%.*s is not known%s", (int)(equals - *variable),
                        *variable, hint);
    }
}
