/* SPDX-License-Identifier: Apache-2.0
 *
 * conf tables: the rows of options.def and events.def, finding one by name, and the nearest name to
 * a misspelt one.
 */
#include "conf/conf_priv.h"

#include <stdio.h>
#include <string.h>

static const struct conf__option options[] = {
#define CONF_OPTION(id, type, value, min, max, words, flags, section, text)                        \
    {#id,   CONF__##type, offsetof(struct conf_options, id),                                       \
     value, min,          max,                                                                     \
     words, flags,        CONF__##section,                                                         \
     text},
#include "conf/options.def"
};
_Static_assert(FR_COUNT_OF(options) <= CONF__OPTIONS_MAX, "raise CONF__OPTIONS_MAX");

static const struct conf__option event_fields[] = {
#define CONF_EVENT_FIELD(id, type, min, max, words, text)                                          \
    {#id, CONF__##type, offsetof(struct conf_event, id), "", min, max, words, 0, CONF__LEARN, text},
#include "conf/events.def"
};

static const char *const section_titles[] = {
    [CONF__GENERAL] = "General",
    [CONF__SERVE] = "Serving",
    [CONF__JOURNAL] = "Journal and snapshots",
    [CONF__LEARN] = "Learning",
    [CONF__RECOMMEND] = "Recommending",
};

const struct conf__option *conf__options(uint32_t *out_count)
{
    *out_count = FR_COUNT_OF(options);
    return options;
}

const struct conf__option *conf__event_fields(uint32_t *out_count)
{
    *out_count = FR_COUNT_OF(event_fields);
    return event_fields;
}

const char *conf__section_title(enum conf__section section)
{
    return section_titles[section];
}

char *conf__name(const struct conf__option *option, char *to)
{
    size_t i = 0;
    for (; option->id[i] && i < CONF__NAME_BYTES - 1; i++)
        to[i] = option->id[i] == '_' ? '-' : option->id[i];
    to[i] = '\0';
    return to;
}

int conf__find(const struct conf__option *table, uint32_t count, const char *name)
{
    char known[CONF__NAME_BYTES];
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(conf__name(&table[i], known), name) == 0)
            return (int)i;
    return -1;
}

/* Edits (insert, delete, replace, swap neighbours) between two names, both below 48 bytes. */
static uint32_t edit_distance(const char *a, const char *b)
{
    uint8_t rows[3][CONF__NAME_BYTES + 1];
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    if (a_bytes >= CONF__NAME_BYTES || b_bytes >= CONF__NAME_BYTES)
        return UINT32_MAX;
    uint8_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_bytes; j++)
        last[j] = (uint8_t)j;
    for (size_t i = 1; i <= a_bytes; i++) {
        now[0] = (uint8_t)i;
        for (size_t j = 1; j <= b_bytes; j++) {
            int replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
            int shifted = FR_MIN(last[j], now[j - 1]) + 1;
            int best = FR_MIN(replaced, shifted);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = FR_MIN(best, before[j - 2] + 1);
            now[j] = (uint8_t)best;
        }
        uint8_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b_bytes];
}

const char *conf_nearest(const char *seen, const char *const *names, uint32_t count)
{
    const char *nearest = NULL;
    uint32_t nearest_edits = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t edits = edit_distance(seen, names[i]);
        /* up to a third of the name may be wrong; a prefix of four letters also counts */
        uint32_t allowed = FR_MAX((uint32_t)strlen(names[i]) / 3, 1u);
        if (strlen(seen) >= 4 && strncmp(seen, names[i], strlen(seen)) == 0)
            edits = FR_MIN(edits, allowed);
        if (edits <= allowed && edits < nearest_edits) {
            nearest = names[i];
            nearest_edits = edits;
        }
    }
    return nearest;
}

const char *conf__hint(const struct conf__option *table, uint32_t count, const char *name,
                       char *hint)
{
    char known[CONF__OPTIONS_MAX][CONF__NAME_BYTES];
    const char *names[CONF__OPTIONS_MAX];
    for (uint32_t i = 0; i < count; i++)
        names[i] = conf__name(&table[i], known[i]);
    const char *nearest = conf_nearest(name, names, count);
    hint[0] = '\0';
    if (nearest)
        snprintf(hint, CONF__HINT_BYTES, "; did you mean %s?", nearest);
    return hint;
}
