/* SPDX-License-Identifier: Apache-2.0
 *
 * conf file: YAML through libfyaml. One mapping of options at the top, plus `events:`. Faults of
 * the YAML itself and of every value are collected with line and column; nothing stops at the
 * first. Aliases are refused: a page of them can stand for gigabytes.
 */
#include "conf/conf_priv.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, PLACE_BYTES = 320 };

/* A scalar of the document, as text, with its place. */
struct scalar {
    char *text; /* owned */
    char place[PLACE_BYTES];
    struct conf__place at;
};

static struct conf__place place_of(struct fy_node *node)
{
    struct conf__place at = {.origin = CONF__FILE};
    struct fy_token *token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark) {
        at.line = mark->line + 1;
        at.column = mark->column + 1;
    }
    return at;
}

static void print_place(const struct conf *conf, struct conf__place at, char *to)
{
    if (at.line)
        snprintf(to, PLACE_BYTES, "%.255s:%d:%d", conf->file, at.line, at.column);
    else
        snprintf(to, PLACE_BYTES, "%.255s", conf->file);
}

static bool scalar_of(const struct conf *conf, struct fy_node *node, struct scalar *out)
{
    size_t bytes = 0;
    const char *text = node && fy_node_is_scalar(node) && !fy_node_is_alias(node)
                           ? fy_node_get_scalar(node, &bytes)
                           : NULL;
    if (!text || memchr(text, 0, bytes) || !fy_node_get_scalar_token(node))
        return false; /* an empty value has no token */
    out->text = strndup(text, bytes);
    FR_ASSERT(out->text != NULL);
    out->at = place_of(node);
    print_place(conf, out->at, out->place);
    return true;
}

/* A sequence of scalars as "a,b"; NULL when it is anything else. Owned by the caller. */
static char *sequence_text(const struct conf *conf, struct fy_node *node)
{
    struct base_buf list;
    void *at = NULL;
    struct fy_node *member;
    base_buf_init(&list, 0);
    while ((member = fy_node_sequence_iterate(node, &at))) {
        struct scalar scalar;
        if (!scalar_of(conf, member, &scalar)) {
            base_buf_release(&list);
            return NULL;
        }
        if (list.count)
            base_buf_put_u8(&list, ',');
        base_buf_put_str(&list, scalar.text);
        free(scalar.text);
    }
    base_buf_put_u8(&list, 0);
    return (char *)list.bytes;
}

/* Calls each for every pair of a mapping whose key is a plain scalar seen for the first time. */
typedef void (*pair_fn)(struct conf *conf, void *context, const struct scalar *key,
                        struct fy_node *value);

static bool key_is_repeated(struct fy_node *mapping, const struct fy_node_pair *until,
                            const char *key)
{
    void *at = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(mapping, &at)) && pair != until) {
        size_t bytes = 0;
        const char *text = fy_node_get_scalar(fy_node_pair_key(pair), &bytes);
        if (text && bytes == strlen(key) && memcmp(text, key, bytes) == 0)
            return true;
    }
    return false;
}

static void each_pair(struct conf *conf, struct fy_node *mapping, pair_fn each, void *context)
{
    void *at = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(mapping, &at))) {
        struct scalar key;
        if (!scalar_of(conf, fy_node_pair_key(pair), &key)) {
            conf__fault(conf, conf->file, "a key is not a plain name");
            continue;
        }
        if (key_is_repeated(mapping, pair, key.text))
            conf__fault(conf, key.place, "%.80s is given twice", key.text);
        else
            each(conf, context, &key, fy_node_pair_value(pair));
        free(key.text);
    }
}

static void event_field(struct conf *conf, void *context, const struct scalar *key,
                        struct fy_node *node)
{
    struct conf_event *event = context;
    uint32_t count;
    const struct conf__option *fields = conf__event_fields(&count);
    int i = conf__find(fields, count, key->text);
    char hint[CONF__HINT_BYTES], reason[CONF__REASON_BYTES];
    struct scalar value;
    if (i < 0) {
        conf__fault(conf, key->place, "events: %s: %.80s is not known%s", event->name, key->text,
                    conf__hint(fields, count, key->text, hint));
    } else if (!scalar_of(conf, node, &value)) {
        conf__fault(conf, key->place, "events: %s: %s has no plain value", event->name, key->text);
    } else {
        if (conf__value_set(conf, &fields[i], event, value.text, reason))
            event->given |= 1u << i;
        else
            conf__fault(conf, value.place, "events: %s: %s %s (seen: %.80s)", event->name,
                        key->text, reason, value.text);
        free(value.text);
    }
}

static bool event_name_ok(const char *name)
{
    size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return bytes > 0 && name[bytes] == '\0' && bytes <= CONF_EVENT_NAME_BYTES_MAX;
}

static void event_entry(struct conf *conf, void *context, const struct scalar *key,
                        struct fy_node *node)
{
    (void)context;
    if (!event_name_ok(key->text)) {
        conf__fault(conf, key->place, "events: a name is 1 to %d of a-z, 0-9 and _ (seen: %.80s)",
                    CONF_EVENT_NAME_BYTES_MAX, key->text);
        return;
    }
    if (!node || !fy_node_is_mapping(node)) {
        conf__fault(conf, key->place, "events: %s must be a mapping such as {weight: 2}",
                    key->text);
        return;
    }
    if (conf->event_count == CONF_EVENTS_MAX) {
        conf__fault(conf, key->place, "events: at most %d", CONF_EVENTS_MAX);
        return;
    }
    struct conf_event *event = &conf->events[conf->event_count++];
    *event = (struct conf_event){.line = key->at.line};
    memcpy(event->name, key->text, strlen(key->text) + 1);
    each_pair(conf, node, event_field, event);
    if ((event->given & CONF_EVENT_HAS_low) && (event->given & CONF_EVENT_HAS_high) &&
        event->low >= event->high)
        conf__fault(conf, key->place, "events: %s: low must be below high (seen: %g and %g)",
                    event->name, event->low, event->high);
}

static void option_value(struct conf *conf, uint32_t i, const struct scalar *key,
                         struct fy_node *node)
{
    uint32_t count;
    const struct conf__option *option = &conf__options(&count)[i];
    struct scalar value;
    if (scalar_of(conf, node, &value)) {
        conf__set(conf, i, value.text, value.at);
        free(value.text);
        return;
    }
    if (!node || (fy_node_is_scalar(node) && !fy_node_is_alias(node))) {
        conf__fault(conf, key->place, "%s has no value", key->text);
        return;
    }
    bool is_list = option->type == CONF__LIST && fy_node_is_sequence(node);
    char *list = is_list ? sequence_text(conf, node) : NULL;
    if (list)
        conf__set(conf, i, list, key->at);
    else
        conf__fault(conf, key->place, "%s has no plain value", key->text);
    free(list);
}

static void top_entry(struct conf *conf, void *context, const struct scalar *key,
                      struct fy_node *node)
{
    (void)context;
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    char hint[CONF__HINT_BYTES];
    int i = conf__find(options, count, key->text);
    if (i >= 0 && options[i].flags & CONF_NOT_IN_FILE)
        conf__fault(conf, key->place, "%s cannot be set in a file", key->text);
    else if (i >= 0)
        option_value(conf, (uint32_t)i, key, node);
    else if (strcmp(key->text, "events") != 0)
        conf__fault(conf, key->place, "%.80s is not known%s", key->text,
                    conf__hint(options, count, key->text, hint));
    else if (node && fy_node_is_mapping(node))
        each_pair(conf, node, event_entry, NULL);
    else
        conf__fault(conf, key->place, "events must be a mapping of names");
}

static void yaml_faults(struct conf *conf, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *error;
    uint32_t before = conf->fault_count;
    while ((error = fy_diag_errors_iterate(diag, &at))) {
        char place[PLACE_BYTES];
        /* libfyaml's collected errors count lines and columns from one */
        struct conf__place where = {CONF__FILE, error->line, error->column};
        print_place(conf, where, place);
        conf__fault(conf, place, "not YAML: %s", error->msg);
    }
    if (conf->fault_count == before)
        conf__fault(conf, conf->file, "not YAML");
}

static void load_document(struct conf *conf, struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_document *document = fy_parse_load_document(parser);
    struct fy_node *root = document ? fy_document_root(document) : NULL;
    if (fy_diag_got_error(diag)) {
        yaml_faults(conf, diag);
    } else if (root && !fy_node_is_mapping(root)) {
        conf__fault(conf, conf->file, "must be a mapping of options, one `name: value` a line");
    } else if (root) {
        each_pair(conf, root, top_entry, NULL);
    }
    fy_parse_document_destroy(parser, document);
    if (!root || fy_diag_got_error(diag))
        return;
    document = fy_parse_load_document(parser);
    if (fy_diag_got_error(diag))
        yaml_faults(conf, diag);
    else if (document)
        conf__fault(conf, conf->file, "holds a second document (---); only one is read");
    fy_parse_document_destroy(parser, document);
}

static void load_text(struct conf *conf, const char *text, size_t bytes)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    FR_ASSERT(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_ALLOW_DUPLICATE_KEYS, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    FR_ASSERT(parser != NULL);
    if (fy_parser_set_string(parser, text, bytes) == 0)
        load_document(conf, parser, diag);
    else
        yaml_faults(conf, diag);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
}

/* Length of the well-formed UTF-8 sequence at text, or 0 (RFC 3629: no overlong form, no surrogate,
 * nothing beyond U+10FFFF). */
static size_t utf8_sequence(const unsigned char *text, size_t left)
{
    if (text[0] < 0x80)
        return text[0] != 0;
    size_t bytes = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (text[0] < 0xc2 || text[0] > 0xf4 || left < bytes)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    unsigned second_min = text[0] == 0xe0 ? 0xa0 : text[0] == 0xf0 ? 0x90 : 0x80;
    unsigned second_max = text[0] == 0xed ? 0x9f : text[0] == 0xf4 ? 0x8f : 0xbf;
    return text[1] >= second_min && text[1] <= second_max ? bytes : 0;
}

static bool is_utf8_text(const char *text, size_t bytes)
{
    for (size_t i = 0, step; i < bytes; i += step) {
        step = utf8_sequence((const unsigned char *)text + i, bytes - i);
        if (step == 0)
            return false;
    }
    return true;
}

/* The whole file, at most FILE_BYTES_MAX; NULL after a fault. Owned by the caller. */
static char *read_file(struct conf *conf, size_t *out_bytes)
{
    FILE *file = fopen(conf->file, "rb");
    if (!file) {
        conf__fault(conf, conf->file, "cannot be read: %s", strerror(errno));
        return NULL;
    }
    char *text = malloc(FILE_BYTES_MAX + 1);
    FR_ASSERT(text != NULL);
    errno = 0;
    *out_bytes = fread(text, 1, FILE_BYTES_MAX + 1, file);
    const char *fault = NULL;
    if (ferror(file))
        fault = strerror(errno);
    else if (*out_bytes == 0)
        fault = "it is empty (leave --config away for the defaults)";
    else if (*out_bytes > FILE_BYTES_MAX)
        fault = "it is larger than 1 MiB";
    else if (!is_utf8_text(text, *out_bytes))
        fault = "it is not a UTF-8 text file";
    fclose(file);
    if (!fault)
        return text;
    conf__fault(conf, conf->file, "cannot be read: %s", fault);
    free(text);
    return NULL;
}

void conf__load_file(struct conf *conf, const char *path)
{
    size_t bytes;
    conf->file = conf__keep(conf, fr_slice_str(path));
    char *text = read_file(conf, &bytes);
    if (text)
        load_text(conf, text, bytes);
    free(text);
}
