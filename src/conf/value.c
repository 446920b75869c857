/* SPDX-License-Identifier: Apache-2.0
 *
 * conf values: text to field and back, by the row's type. Sizes and durations carry their unit
 * (64MiB, 10s): a bare number is a fault, because the reader of a file cannot know what it means.
 */
#include "conf/conf_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double scale;
};

/* Ascending; the printer takes the largest that divides the value. */
static const struct unit duration_units[] = {
    {"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"min", 60e6}, {"h", 3600e6}, {"d", 86400e6},
};
static const struct unit byte_units[] = {
    {"B", 1},    {"kB", 1e3},     {"KiB", 1024.0}, {"MB", 1e6},     {"MiB", 0x1p20},
    {"GB", 1e9}, {"GiB", 0x1p30}, {"TB", 1e12},    {"TiB", 0x1p40},
};

static bool word_find(const char *words, const char *text, int64_t *out_index)
{
    size_t bytes = strlen(text);
    int64_t index = 0;
    for (const char *word = words; *word; index++) {
        size_t word_bytes = strcspn(word, "|");
        if (bytes > 0 && word_bytes == bytes && memcmp(word, text, bytes) == 0) {
            *out_index = index;
            return true;
        }
        word += word_bytes + (word[word_bytes] == '|');
    }
    return false;
}

static void word_print(const char *words, int64_t index, struct base_buf *out)
{
    for (; index > 0; index--)
        words += strcspn(words, "|") + 1;
    base_buf_put(out, words, strcspn(words, "|"));
}

static int64_t word_count(const char *words)
{
    int64_t count = *words ? 1 : 0;
    for (; *words; words++)
        count += *words == '|';
    return count;
}

/* A plain decimal number at the start; out_rest is what follows. No hex, no inf, no spaces. */
static bool number_parse(const char *text, double *out_value, const char **out_rest)
{
    const char *digits = text + (*text == '-');
    if (*digits < '0' || *digits > '9' || (digits[0] == '0' && (digits[1] | 32) == 'x'))
        return false;
    char *end;
    *out_value = strtod(text, &end);
    *out_rest = end;
    return isfinite(*out_value);
}

static bool unit_apply(const struct unit *units, size_t count, const char *name, double *value)
{
    if (*name == '\0')
        return *value == 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(units[i].name, name) == 0) {
            *value *= units[i].scale;
            return true;
        }
    return false;
}

static bool parse_scaled(const struct conf__option *option, const char *text, double *out_value)
{
    const char *rest;
    if (!number_parse(text, out_value, &rest))
        return false;
    switch (option->type) {
    case CONF__DURATION:
        return unit_apply(duration_units, FR_COUNT_OF(duration_units), rest, out_value);
    case CONF__BYTES:
        return unit_apply(byte_units, FR_COUNT_OF(byte_units), rest, out_value);
    case CONF__INT:
        return *rest == '\0' && *out_value == floor(*out_value);
    default:
        return *rest == '\0';
    }
}

static void store_number(const struct conf__option *option, void *field, double value)
{
    switch (option->type) {
    case CONF__REAL:
        *(double *)field = value;
        break;
    case CONF__BYTES:
        *(uint64_t *)field = (uint64_t)value;
        break;
    default:
        *(int64_t *)field = (int64_t)value;
    }
}

static bool set_number(const struct conf__option *option, void *field, const char *text)
{
    int64_t word;
    double value;
    if (word_find(option->words, text, &word)) {
        store_number(option, field, (double)word);
        return true;
    }
    if (!parse_scaled(option, text, &value) || value < option->min || value > option->max)
        return false;
    store_number(option, field, value);
    return true;
}

static bool set_bool(void *field, const char *text)
{
    bool on = strcmp(text, "true") == 0;
    if (!on && strcmp(text, "false") != 0)
        return false;
    *(bool *)field = on;
    return true;
}

static bool set_text(struct conf *conf, void *field, const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    *(const char **)field = conf__keep(conf, fr_slice_str(text));
    return true;
}

/* Spaces around commas go; empty members are a fault. */
static bool set_list(struct conf *conf, void *field, const char *text)
{
    struct base_buf list;
    bool ok = true;
    base_buf_init(&list, 0);
    for (const char *member = text;; member++) {
        member += strspn(member, " ");
        size_t bytes = strcspn(member, ",");
        const char *next = member + bytes;
        while (bytes > 0 && member[bytes - 1] == ' ')
            bytes--;
        ok = ok && bytes > 0;
        base_buf_put(&list, member, bytes);
        if (*next == '\0')
            break;
        base_buf_put_u8(&list, ',');
        member = next;
    }
    base_buf_put_u8(&list, 0);
    ok = ok && !list.overflowed && set_text(conf, field, (const char *)list.bytes);
    base_buf_release(&list);
    return ok;
}

static bool set(struct conf *conf, const struct conf__option *option, void *field, const char *text)
{
    switch (option->type) {
    case CONF__BOOL:
        return set_bool(field, text);
    case CONF__TEXT:
    case CONF__PATH:
        return set_text(conf, field, text);
    case CONF__LIST:
        return set_list(conf, field, text);
    case CONF__CHOICE:
        return word_find(option->words, text, field);
    default:
        return set_number(option, field, text);
    }
}

bool conf__value_set(struct conf *conf, const struct conf__option *option, void *to,
                     const char *text, char *reason)
{
    if (set(conf, option, (char *)to + option->offset, text))
        return true;
    struct base_buf must;
    base_buf_init(&must, 0);
    conf__value_describe(option, &must);
    base_buf_put_u8(&must, 0);
    snprintf(reason, CONF__REASON_BYTES, "must be %s", must.bytes ? (char *)must.bytes : "?");
    base_buf_release(&must);
    return false;
}

/* The largest unit that divides the value; 0 has none. */
static void print_scaled(const struct unit *units, size_t count, double value, struct base_buf *out)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++)
        if (value != 0 && fmod(value, units[i].scale) == 0)
            best = i;
    base_buf_json_number(out, value / units[best].scale);
    base_buf_put_str(out, units[best].name);
}

static void print_number(const struct conf__option *option, double value, struct base_buf *out)
{
    if (option->type == CONF__DURATION)
        print_scaled(duration_units, FR_COUNT_OF(duration_units), value, out);
    else if (option->type == CONF__BYTES)
        print_scaled(byte_units, FR_COUNT_OF(byte_units), value, out);
    else
        base_buf_json_number(out, value);
}

void conf__value_print(const struct conf__option *option, const void *from, struct base_buf *out)
{
    const void *field = (const char *)from + option->offset;
    double value;
    switch (option->type) {
    case CONF__BOOL:
        base_buf_put_str(out, *(const bool *)field ? "true" : "false");
        return;
    case CONF__TEXT:
    case CONF__PATH:
    case CONF__LIST:
        base_buf_put_str(out, *(const char *const *)field);
        return;
    case CONF__CHOICE:
        word_print(option->words, *(const int64_t *)field, out);
        return;
    case CONF__REAL:
        value = *(const double *)field;
        break;
    case CONF__BYTES:
        value = (double)*(const uint64_t *)field;
        break;
    default:
        value = (double)*(const int64_t *)field;
    }
    if (value < option->min && value < (double)word_count(option->words))
        word_print(option->words, (int64_t)value, out);
    else
        print_number(option, value, out);
}

static void describe_range(const struct conf__option *option, const char *what,
                           struct base_buf *out)
{
    base_buf_printf(out, "%s from ", what);
    print_number(option, option->min, out);
    base_buf_put_str(out, " to ");
    print_number(option, option->max, out);
    if (*option->words)
        base_buf_printf(out, ", or %s", option->words);
}

static void describe_choice(const struct conf__option *option, struct base_buf *out)
{
    int64_t count = word_count(option->words);
    for (int64_t i = 0; i < count; i++) {
        base_buf_put_str(out, i == 0 ? "" : i + 1 == count ? " or " : ", ");
        word_print(option->words, i, out);
    }
}

void conf__value_describe(const struct conf__option *option, struct base_buf *out)
{
    switch (option->type) {
    case CONF__BOOL:
        base_buf_put_str(out, "true or false");
        break;
    case CONF__INT:
        describe_range(option, "a whole number", out);
        break;
    case CONF__REAL:
        describe_range(option, "a number", out);
        break;
    case CONF__BYTES:
        describe_range(option, "a size with its unit (64MiB, 10GB),", out);
        break;
    case CONF__DURATION:
        describe_range(option, "a duration with its unit (us, ms, s, min, h, d),", out);
        break;
    case CONF__TEXT:
        base_buf_put_str(out, "a text without control characters");
        break;
    case CONF__PATH:
        base_buf_put_str(out, "a path");
        break;
    case CONF__CHOICE:
        describe_choice(option, out);
        break;
    case CONF__LIST:
        base_buf_put_str(out, "a list of names (a,b)");
        break;
    }
}
