/* SPDX-License-Identifier: Apache-2.0
 *
 * conf: loading in rising precedence, faults, access. The file is read last although flags win over
 * it, because flags and environment name it; conf__set() keeps what has the higher precedence.
 */
#include "conf/conf_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fr_status conf_new(struct conf **out_conf)
{
    struct conf *conf = calloc(1, sizeof(*conf));
    if (!conf)
        return FR_MEMORY;
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    char reason[CONF__REASON_BYTES];
    for (uint32_t i = 0; i < count; i++)
        FR_ASSERT(conf__value_set(conf, &options[i], &conf->options, options[i].value, reason));
    *out_conf = conf;
    return FR_OK;
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    while (conf->texts) {
        struct conf__text *text = conf->texts;
        conf->texts = text->next;
        free(text);
    }
    free(conf->arguments);
    free(conf->faults);
    free(conf);
}

const char *conf__keep(struct conf *conf, struct fr_slice text)
{
    struct conf__text *kept = malloc(sizeof(*kept) + text.bytes + 1);
    FR_ASSERT(kept != NULL);
    if (text.bytes)
        memcpy(kept->bytes, text.ptr, text.bytes);
    kept->bytes[text.bytes] = '\0';
    kept->next = conf->texts;
    conf->texts = kept;
    return kept->bytes;
}

static void fault_list(struct conf *conf, const char *place, const char *format, va_list args)
{
    if (conf->fault_count == CONF__FAULTS_MAX)
        return; /* a hundred are enough to begin with */
    if (conf->fault_count == conf->fault_capacity) {
        conf->fault_capacity = conf->fault_capacity ? 2 * conf->fault_capacity : 8;
        conf->faults = realloc(conf->faults, conf->fault_capacity * sizeof(*conf->faults));
        FR_ASSERT(conf->faults != NULL);
    }
    char *line = conf->faults[conf->fault_count++];
    int count = snprintf(line, CONF__FAULT_BYTES, "%s: ", place);
    if (count > 0 && count < CONF__FAULT_BYTES)
        vsnprintf(line + count, (size_t)(CONF__FAULT_BYTES - count), format, args);
}

void conf__fault(struct conf *conf, const char *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_list(conf, place, format, args);
    va_end(args);
}

/* "freshet.yaml:3:7", "flags", "environment", "default" */
static void describe_place(const struct conf *conf, struct conf__place at, char *to, size_t bytes)
{
    static const char *const origins[] = {"default", "file", "environment", "flags"};
    if (at.origin == CONF__FILE)
        snprintf(to, bytes, "%.255s:%d:%d", conf->file, at.line, at.column);
    else
        snprintf(to, bytes, "%s", origins[at.origin]);
}

void conf_fault_add(struct conf *conf, const char *option, const char *format, ...)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    int i = conf__find(options, count, option);
    char place[320], message[CONF__REASON_BYTES];
    describe_place(conf, i < 0 ? (struct conf__place){0} : conf->places[i], place, sizeof(place));
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    conf__fault(conf, place, "%s: %s", option, message);
}

void conf__set(struct conf *conf, uint32_t i, const char *text, struct conf__place place)
{
    uint32_t count;
    const struct conf__option *option = &conf__options(&count)[i];
    char name[CONF__NAME_BYTES], where[320], reason[CONF__REASON_BYTES];
    struct conf_options ignored; /* a value that is overruled must be right all the same */
    bool overruled = place.origin < conf->places[i].origin;
    if (!conf__value_set(conf, option, overruled ? &ignored : &conf->options, text, reason)) {
        describe_place(conf, place, where, sizeof(where));
        conf__fault(conf, where, "%s %s (seen: %.80s)", conf__name(option, name), reason, text);
    }
    if (!overruled)
        conf->places[i] = place;
}

enum fr_status conf_load(struct conf *conf, const struct conf_input *input)
{
    FR_ASSERT(conf->arguments == NULL); /* once */
    conf__load_flags(conf, input);
    conf__load_environment(conf, input->environment);
    if (*conf->options.config)
        conf__load_file(conf, conf->options.config);
    return conf->fault_count ? FR_INVALID : FR_OK;
}

uint32_t conf_fault_count(const struct conf *conf)
{
    return conf->fault_count;
}

const char *conf_fault(const struct conf *conf, uint32_t i)
{
    FR_ASSERT(i < conf->fault_count);
    return conf->faults[i];
}

const struct conf_options *conf_options(const struct conf *conf)
{
    return &conf->options;
}

const struct conf_event *conf_events(const struct conf *conf, uint32_t *out_count)
{
    *out_count = conf->event_count;
    return conf->events;
}

const char *conf_flag_value(const struct conf *conf, const char *name)
{
    for (uint32_t i = 0; i < conf->flag_count; i++)
        if (strcmp(conf->flags[i].name, name) == 0)
            return conf->flag_values[i];
    return NULL;
}

char **conf_arguments(const struct conf *conf, uint32_t *out_count)
{
    *out_count = conf->argument_count;
    return conf->arguments;
}

bool conf_list_holds(const char *list, const char *name)
{
    size_t name_bytes = strlen(name);
    if (strcmp(list, "all") == 0)
        return true;
    for (const char *member = list; *member;) {
        size_t bytes = strcspn(member, ",");
        if (bytes == name_bytes && memcmp(member, name, bytes) == 0)
            return true;
        member += bytes + (member[bytes] == ',');
    }
    return false;
}

static bool same_value(const struct conf__option *option, const struct conf *a,
                       const struct conf *b)
{
    struct base_buf text;
    base_buf_init(&text, 0);
    conf__value_print(option, &a->options, &text);
    size_t split = text.count;
    conf__value_print(option, &b->options, &text);
    bool same = text.count == 2 * split &&
                (split == 0 || memcmp(text.bytes, text.bytes + split, split) == 0);
    base_buf_release(&text);
    return same;
}

void conf_compare(const struct conf *now, const struct conf *next, conf_changed_fn each,
                  void *context)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    for (uint32_t i = 0; i < count; i++) {
        char name[CONF__NAME_BYTES];
        if (!same_value(&options[i], now, next))
            each(context, conf__name(&options[i], name), options[i].flags & CONF_RELOAD);
    }
}

void conf_print_fold(const struct conf *conf, struct base_buf *out)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    struct conf *defaults = NULL;
    FR_ASSERT(conf_new(&defaults) == FR_OK);
    for (uint32_t i = 0; i < count; i++) {
        char name[CONF__NAME_BYTES];
        if (!(options[i].flags & CONF_FOLD) || same_value(&options[i], conf, defaults))
            continue;
        base_buf_printf(out, "%s%s=", out->count ? " " : "", conf__name(&options[i], name));
        conf__value_print(&options[i], &conf->options, out);
    }
    conf_free(defaults);
}

void conf_print_text(const struct conf *conf, struct base_buf *out)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    for (uint32_t i = 0; i < count; i++) {
        char name[CONF__NAME_BYTES], place[320];
        size_t start = out->count;
        base_buf_printf(out, "%-18s ", conf__name(&options[i], name));
        conf__value_print(&options[i], &conf->options, out);
        describe_place(conf, conf->places[i], place, sizeof(place));
        base_buf_printf(out, "%*s  # %s\n", (int)FR_MAX(40 - (int)(out->count - start), 0), "",
                        place);
    }
    for (uint32_t i = 0; i < conf->event_count; i++)
        base_buf_printf(out, "events: %-10s# %s:%d\n", conf->events[i].name, conf->file,
                        conf->events[i].line);
}

void conf_print_json(const struct conf *conf, struct base_buf *out)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    struct base_buf value;
    base_buf_init(&value, 0);
    base_buf_put_u8(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        char name[CONF__NAME_BYTES], place[320];
        base_buf_clear(&value);
        conf__value_print(&options[i], &conf->options, &value);
        describe_place(conf, conf->places[i], place, sizeof(place));
        base_buf_printf(out, "%s\"%s\":{\"value\":", i ? "," : "", conf__name(&options[i], name));
        base_buf_json_string(out, base_buf_slice(&value));
        base_buf_put_str(out, ",\"from\":");
        base_buf_json_string(out, fr_slice_str(place));
        base_buf_put_u8(out, '}');
    }
    base_buf_put_u8(out, '}');
    base_buf_release(&value);
}
