/* SPDX-License-Identifier: Apache-2.0
 *
 * schema_types: the table of event types and how each counts. Weights in units of one click; the
 * reasons for the defaults are in docs/EVENTS.md. Thread: any.
 */
#include "schema/schema.h"

#include <math.h>
#include <string.h>

static const struct schema_type built_in[SCHEMA_BUILT_IN_COUNT] = {
    [SCHEMA_VIEW] = {.name = "view", .weight = 0.5f},
    [SCHEMA_CLICK] = {.name = "click", .weight = 1.0f},
    [SCHEMA_DWELL] =
        {.name = "dwell", .weight = 1.5f, .rule = SCHEMA_VALUE_SECONDS, .low = 5.0f, .high = 60.0f},
    [SCHEMA_SCROLL] =
        {.name = "scroll", .weight = 1.0f, .rule = SCHEMA_VALUE_DEPTH, .low = 0.25f, .high = 0.9f},
    [SCHEMA_LIKE] = {.name = "like", .weight = 2.0f},
    [SCHEMA_DISLIKE] = {.name = "dislike", .weight = -2.0f},
    [SCHEMA_RATING] =
        {.name = "rating", .weight = 2.5f, .rule = SCHEMA_VALUE_STARS, .low = 2.5f, .high = 5.0f},
    [SCHEMA_ADD_TO_CART] = {.name = "add_to_cart", .weight = 2.0f, .rule = SCHEMA_VALUE_PRICE},
    [SCHEMA_PURCHASE] = {.name = "purchase", .weight = 4.0f, .rule = SCHEMA_VALUE_PRICE},
    [SCHEMA_SHARE] = {.name = "share", .weight = 2.0f},
    [SCHEMA_EXPOSURE] = {.name = "exposure", .weight = 0.0f, .is_exposure = true},
};

static const struct {
    float min, max;
} rule_bounds[SCHEMA_VALUE_RULE_COUNT] = {
    [SCHEMA_VALUE_NONE] = {-1e15f, 1e15f}, [SCHEMA_VALUE_SECONDS] = {0, 86400},
    [SCHEMA_VALUE_DEPTH] = {0, 1},         [SCHEMA_VALUE_STARS] = {0, 5},
    [SCHEMA_VALUE_PRICE] = {0, 1e12f},     [SCHEMA_VALUE_ANY] = {-1e15f, 1e15f},
};

static void take_rule_bounds(struct schema_type *type)
{
    if (type->min == 0 && type->max == 0) {
        type->min = rule_bounds[type->rule].min;
        type->max = rule_bounds[type->rule].max;
    }
}

void schema_types_init(struct schema_types *types)
{
    *types = (struct schema_types){.count = SCHEMA_BUILT_IN_COUNT};
    memcpy(types->row, built_in, sizeof(built_in));
    for (uint32_t i = 0; i < types->count; i++)
        take_rule_bounds(&types->row[i]);
}

int schema_types_find(const struct schema_types *types, struct fr_slice name)
{
    if (name.bytes == 0 || name.bytes >= sizeof(types->row[0].name))
        return -1;
    for (uint32_t i = 0; i < types->count; i++) {
        const char *own = types->row[i].name;
        if (memcmp(own, name.ptr, name.bytes) == 0 && own[name.bytes] == '\0')
            return (int)i;
    }
    return -1;
}

static bool is_name(const char *name, size_t bytes)
{
    size_t count = strnlen(name, bytes);
    if (count == 0 || count == bytes)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == count;
}

static bool is_graded(enum schema_value_rule rule)
{
    return rule == SCHEMA_VALUE_SECONDS || rule == SCHEMA_VALUE_DEPTH || rule == SCHEMA_VALUE_STARS;
}

static const char *type_fault(const struct schema_type *type)
{
    if (!is_name(type->name, sizeof(type->name)))
        return "a name has 1 to 31 characters of a-z, 0-9, '_', '-' and '.'";
    if ((unsigned)type->rule >= SCHEMA_VALUE_RULE_COUNT)
        return "the value rule is not known";
    if (!isfinite(type->weight) || fabsf(type->weight) > 1000)
        return "the weight must be a number from -1000 to 1000";
    if (!isfinite(type->min) || !isfinite(type->max) || type->min > type->max)
        return "min must not be above max";
    if (is_graded(type->rule) &&
        !(isfinite(type->low) && isfinite(type->high) && type->low < type->high))
        return "low must be below high";
    return NULL;
}

enum fr_status schema_types_set(struct schema_types *types, const struct schema_type *type,
                                struct fr_error *error)
{
    struct schema_type row = *type;
    int found =
        is_name(row.name, sizeof(row.name)) ? schema_types_find(types, fr_slice_str(row.name)) : -1;
    if (found >= 0 && !types->row[found].is_custom) {
        row.rule = types->row[found].rule;
        row.is_exposure = types->row[found].is_exposure;
        row.is_custom = false;
    } else {
        row.is_custom = true;
    }
    const char *fault = type_fault(&row);
    if (fault)
        return base_fail(error, FR_INVALID, "schema", "event type \"%.31s\": %s", type->name,
                         fault);
    take_rule_bounds(&row);
    if (found < 0 && types->count == SCHEMA_TYPES_MAX)
        return base_fail(error, FR_FULL, "schema",
                         "event type \"%s\": there are %d types already, the most there can be",
                         row.name, SCHEMA_TYPES_MAX);
    uint32_t at = found >= 0 ? (uint32_t)found : types->count++;
    size_t name_bytes = strlen(row.name);
    memset(row.name + name_bytes, 0, sizeof(row.name) - name_bytes);
    types->row[at] = row;
    return FR_OK;
}

float schema_signal(const struct schema_types *types, uint32_t type, double value, bool has_value)
{
    if (type >= types->count)
        return 0.0f;
    const struct schema_type *row = &types->row[type];
    if (row->is_exposure)
        return 0.0f;
    if (!is_graded(row->rule))
        return row->weight;
    if (!has_value)
        return 0.0f;
    float grade = ((float)value - row->low) / (row->high - row->low);
    if (grade > 1.0f)
        grade = 1.0f;
    if (row->rule != SCHEMA_VALUE_STARS && grade < 0.0f)
        grade = 0.0f;
    return row->weight * grade;
}
