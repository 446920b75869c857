/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest__mapper: rows of a table into events, items and users, by a mapping. schema's rules judge
 * the values; their paths are turned into the column that a person can find. Thread: one at a time.
 * Owner: the mapper owns its things and converted texts until its next row.
 */
#include "ingest/ingest_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- values --------------------------------------------------------------------------------- */

int ingest__type_find(const struct schema_types *types, struct fr_slice name)
{
    static const char *const synonyms[][2] = {
        {"addtocart", "add_to_cart"}, {"cart", "add_to_cart"}, {"transaction", "purchase"},
        {"buy", "purchase"},          {"order", "purchase"},   {"pv", "view"},
        {"pageview", "view"},         {"detail", "view"},      {"fav", "like"},
        {"favorite", "like"},         {"collect", "like"},     {"impression", "exposure"},
        {"rate", "rating"},           {"clicks", "click"},
    };
    int type = schema_types_find(types, name);
    for (size_t i = 0; type < 0 && i < FR_COUNT_OF(synonyms); i++)
        if (fr_slice_equal(name, fr_slice_str(synonyms[i][0])))
            type = schema_types_find(types, fr_slice_str(synonyms[i][1]));
    return type;
}

/* "01-Jan-1995" -> "1995-01-01" */
static bool month_name_date(struct fr_slice text, char out[32])
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.bytes != 11 || text.ptr[2] != '-' || text.ptr[6] != '-')
        return false;
    for (int i = 0; i < 12; i++) {
        if (memcmp(months + 3 * i, text.ptr + 3, 3) != 0)
            continue;
        snprintf(out, 32, "%.4s-%02d-%.2s", text.ptr + 7, i + 1, text.ptr);
        return true;
    }
    return false;
}

/* What lacks a zone is UTC; a date alone is its midnight. FR_INVALID without a rule when it is
 * neither: the rule of schema_time_parse() stands. */
static enum fr_status parse_civil(struct fr_slice text, int64_t *out_us, const char **out_rule)
{
    char date[32], copy[40], whole[80];
    if (text.bytes < 10 || text.bytes >= sizeof(copy))
        return FR_INVALID;
    snprintf(copy, sizeof(copy), "%.*s", (int)text.bytes, text.ptr);
    if (month_name_date(text, date))
        snprintf(whole, sizeof(whole), "%sT00:00:00Z", date);
    else if (text.bytes == 10 && copy[4] == '-' && copy[7] == '-')
        snprintf(whole, sizeof(whole), "%sT00:00:00Z", copy);
    else if (text.bytes >= 19 && strspn(copy + 19, ".0123456789") == text.bytes - 19)
        snprintf(whole, sizeof(whole), "%sZ", copy);
    else
        return FR_INVALID;
    return schema_time_parse(fr_slice_str(whole), out_us, out_rule);
}

enum fr_status ingest__time_parse(struct fr_slice text, enum ingest_unit unit, int64_t *out_us,
                                  const char **out_rule)
{
    static const double scales[] =
        {[INGEST_UNIT_S] = 1e6, [INGEST_UNIT_MS] = 1e3, [INGEST_UNIT_US] = 1};
    double number;
    if (unit != INGEST_UNIT_AUTO && schema_number_parse(text, &number)) {
        double us = floor(number * scales[unit] + 0.5);
        /* through the bounds of schema, in its microsecond range */
        if (us < 86400e6 || us > 253402300799e6) {
            *out_rule = "must be a time from 1970-01-02 to the year 9999 in the unit given";
            return FR_INVALID;
        }
        *out_us = (int64_t)us;
        return FR_OK;
    }
    if (schema_time_parse(text, out_us, out_rule) == FR_OK)
        return FR_OK;
    return parse_civil(text, out_us, out_rule);
}

static struct fr_slice trim(struct fr_slice text)
{
    while (text.bytes && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.bytes--;
    }
    while (text.bytes && (text.ptr[text.bytes - 1] == ' ' || text.ptr[text.bytes - 1] == '\t'))
        text.bytes--;
    return text;
}

/* ISO-8859-1 to UTF-8 in the scratch, which has room. */
static struct fr_slice from_latin1(struct base_buf *scratch, struct fr_slice text)
{
    size_t first = scratch->count;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80)
            base_buf_put_u8(scratch, (uint8_t)(0xc0 | c >> 6));
        base_buf_put_u8(scratch, (uint8_t)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
    }
    return fr_slice_of((const char *)scratch->bytes + first, scratch->count - first);
}

/* ---- rejects ----------------------------------------------------------------------------------
 */

static void column_path(const struct ingest_column *column, char *out, size_t bytes)
{
    const char *name = column->name[0] ? column->name : ingest__role_name(column->role);
    snprintf(out, bytes, "column %u (%.40s)", column->number, name);
}

static enum fr_status refuse(const struct ingest_column *column, const char *rule,
                             struct fr_slice seen, const char *hint, struct schema_reject *reject)
{
    char path[sizeof(reject->path)];
    column_path(column, path, sizeof(path));
    return schema_reject_set(reject, path, rule, seen, hint);
}

/* "$.context.device", "$.timestamp": the column it came from; else the path stays. */
static void name_column(const struct ingest_mapping *mapping, struct schema_reject *reject)
{
    const char *name = reject->path + (strncmp(reject->path, "$.", 2) == 0 ? 2 : 0);
    if (strncmp(name, "context.", 8) == 0)
        name += 8;
    if (strcmp(name, "timestamp") == 0)
        name = "time";
    for (uint32_t i = 0; i < mapping->column_count; i++) {
        const struct ingest_column *column = &mapping->column[i];
        const char *own = column->name[0] ? column->name : ingest__role_name(column->role);
        size_t bytes = strlen(own);
        if (strncmp(own, name, bytes) == 0 && (name[bytes] == '\0' || name[bytes] == '[')) {
            column_path(column, reject->path, sizeof(reject->path));
            return;
        }
    }
}

/* ---- one field ----------------------------------------------------------------------------------
 */

static enum fr_status take_number(const struct ingest_column *column, struct fr_slice text,
                                  double *out_number, struct schema_reject *reject)
{
    if (schema_number_parse(text, out_number))
        return FR_OK;
    return refuse(column, "must be a number", text, NULL, reject);
}

static enum fr_status take_time(const struct ingest__mapper *mapper,
                                const struct ingest_column *column, struct fr_slice text,
                                int64_t *out_us, struct schema_reject *reject)
{
    const char *rule = "must be a time";
    if (ingest__time_parse(text, mapper->mapping.unit, out_us, &rule) == FR_OK)
        return FR_OK;
    return refuse(column, rule, text, NULL, reject);
}

static enum fr_status add_context(const struct ingest_column *column, struct fr_slice text,
                                  struct schema_context *context, struct schema_reject *reject)
{
    struct fr_slice *const known[] = {&context->device,  &context->os,   &context->country,
                                      &context->region,  &context->city, &context->referrer,
                                      &context->language};
    static const char *const names[] = {"device", "os",       "country", "region",
                                        "city",   "referrer", "language"};
    for (size_t i = 0; i < FR_COUNT_OF(names); i++) {
        if (strcmp(names[i], column->name) == 0) {
            *known[i] = text;
            return FR_OK;
        }
    }
    if (context->extra_count == SCHEMA_CONTEXT_EXTRA_MAX)
        return refuse(column, "is one more than 16 free context columns", text, NULL, reject);
    context->extra[context->extra_count++] = (struct schema_pair){fr_slice_str(column->name), text};
    return FR_OK;
}

static enum fr_status take_type(const struct ingest__mapper *mapper,
                                const struct ingest_column *column, struct fr_slice text,
                                uint8_t *out_type, struct schema_reject *reject)
{
    int type = ingest__type_find(mapper->types, text);
    if (type < 0)
        return refuse(column, "is not a known event type", text,
                      "custom types are declared in the configuration", reject);
    *out_type = (uint8_t)type;
    return FR_OK;
}

/* Fields of events; empty ones count as not given. */
static enum fr_status take_event_field(struct ingest__mapper *mapper,
                                       const struct ingest_column *column, struct fr_slice text,
                                       struct schema_reject *reject)
{
    struct schema_event *event = &mapper->event;
    switch (column->role) {
    case INGEST_USER:
        event->user = text;
        return FR_OK;
    case INGEST_ITEM:
        event->item = text;
        return FR_OK;
    case INGEST_SESSION:
        event->session = text;
        return FR_OK;
    case INGEST_REQUEST:
        event->request = text;
        return FR_OK;
    case INGEST_ID:
        event->id = text;
        return FR_OK;
    case INGEST_TYPE:
        return text.bytes ? take_type(mapper, column, text, &event->type, reject) : FR_OK;
    case INGEST_TIME:
        return text.bytes ? take_time(mapper, column, text, &event->time_us, reject)
                          : refuse(column, "is required", text, NULL, reject);
    case INGEST_VALUE:
        if (text.bytes == 0)
            return FR_OK;
        FR_TRY(take_number(column, text, &event->value, reject));
        if (mapper->mapping.value_scale != 0)
            event->value *= mapper->mapping.value_scale;
        event->has_value = true;
        return FR_OK;
    case INGEST_CONTEXT:
        return text.bytes ? add_context(column, text, &event->context, reject) : FR_OK;
    default:
        return FR_OK;
    }
}

static enum fr_status take_list(const struct ingest__mapper *mapper,
                                const struct ingest_column *column, struct fr_slice text,
                                struct fr_slice *list, uint32_t *count)
{
    char separator = mapper->mapping.list_separator ? mapper->mapping.list_separator : '|';
    if (fr_slice_equal(text, FR_SLICE("(no genres listed)"))) /* MovieLens' word for none */
        return FR_OK;
    while (text.bytes) {
        const char *end = memchr(text.ptr, separator, text.bytes);
        size_t bytes = end ? (size_t)(end - text.ptr) : text.bytes;
        struct fr_slice word = trim(fr_slice_of(text.ptr, bytes));
        if (*count == SCHEMA_LIST_MAX)
            return refuse(column, "has more than 64 values", text, NULL, mapper->reject);
        if (word.bytes)
            list[(*count)++] = word;
        bytes += end != NULL;
        text = fr_slice_of(text.ptr + bytes, text.bytes - bytes);
    }
    return FR_OK;
}

static enum fr_status add_attribute(const struct ingest_column *column, struct fr_slice text,
                                    struct schema_pair *pairs, uint32_t *count,
                                    struct schema_reject *reject)
{
    if (text.bytes == 0)
        return FR_OK;
    if (*count == SCHEMA_LIST_MAX)
        return refuse(column, "is one more than 64 attributes", text, NULL, reject);
    pairs[(*count)++] = (struct schema_pair){fr_slice_str(column->name), text};
    return FR_OK;
}

static bool is_true(struct fr_slice text)
{
    return fr_slice_equal(text, FR_SLICE("1")) || fr_slice_equal(text, FR_SLICE("true"));
}

static enum fr_status take_item_field(struct ingest__mapper *mapper,
                                      const struct ingest_column *column, struct fr_slice text,
                                      struct schema_reject *reject)
{
    struct schema_item *item = &mapper->item;
    bool given = text.bytes > 0;
    switch (column->role) {
    case INGEST_ID:
        item->id = text;
        return FR_OK;
    case INGEST_TITLE:
        item->title = text;
        return FR_OK;
    case INGEST_TEXT:
        item->text = text;
        return FR_OK;
    case INGEST_AUTHOR:
        item->author = text;
        return FR_OK;
    case INGEST_LANGUAGE:
        item->language = text;
        return FR_OK;
    case INGEST_IMAGE:
        item->image = text;
        return FR_OK;
    case INGEST_CATEGORIES:
        return take_list(mapper, column, text, item->categories, &item->category_count);
    case INGEST_TAGS:
        return take_list(mapper, column, text, item->tags, &item->tag_count);
    case INGEST_FLAG:
        return is_true(text) ? take_list(mapper, column, fr_slice_str(column->name),
                                         item->categories, &item->category_count)
                             : FR_OK;
    case INGEST_PUBLISHED: {
        /* A date that cannot be held (films of the 1930s) is no reason to lose the item. */
        const char *rule;
        if (given &&
            ingest__time_parse(text, mapper->mapping.unit, &item->published_us, &rule) != FR_OK)
            item->published_us = 0;
        return FR_OK;
    }
    case INGEST_EXPIRES:
        return given ? take_time(mapper, column, text, &item->expires_us, reject) : FR_OK;
    case INGEST_LENGTH:
        return given ? take_number(column, text, &item->length, reject) : FR_OK;
    case INGEST_PRICE:
        return given ? take_number(column, text, &item->price, reject) : FR_OK;
    case INGEST_HIDDEN:
        item->hidden = is_true(text);
        return FR_OK;
    case INGEST_ATTRIBUTE:
        return add_attribute(column, text, item->attributes, &item->attribute_count, reject);
    default:
        return FR_OK;
    }
}

static enum fr_status take_user_field(struct ingest__mapper *mapper,
                                      const struct ingest_column *column, struct fr_slice text,
                                      struct schema_reject *reject)
{
    struct schema_user *user = &mapper->user;
    switch (column->role) {
    case INGEST_ID:
        user->id = text;
        return FR_OK;
    case INGEST_ATTRIBUTE:
        return add_attribute(column, text, user->attributes, &user->attribute_count, reject);
    case INGEST_FOLLOWS:
        return take_list(mapper, column, text, user->follows, &user->follow_count);
    default:
        return FR_OK;
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

static enum fr_status take_field(struct ingest__mapper *mapper, const struct ingest_column *column,
                                 struct fr_slice text, struct schema_reject *reject)
{
    switch (mapper->mapping.thing) {
    case INGEST_ITEMS:
        return take_item_field(mapper, column, text, reject);
    case INGEST_USERS:
        return take_user_field(mapper, column, text, reject);
    default:
        return take_event_field(mapper, column, text, reject);
    }
}

static uint32_t present_fields(const struct schema_item *item)
{
    return (item->title.bytes ? SCHEMA_TITLE : 0u) | (item->text.bytes ? SCHEMA_TEXT : 0u) |
           (item->category_count ? SCHEMA_CATEGORIES : 0u) | (item->tag_count ? SCHEMA_TAGS : 0u) |
           (item->author.bytes ? SCHEMA_AUTHOR : 0u) |
           (item->published_us ? SCHEMA_PUBLISHED : 0u) | (item->expires_us ? SCHEMA_EXPIRES : 0u) |
           (item->length > 0 ? SCHEMA_LENGTH : 0u) | (item->price > 0 ? SCHEMA_PRICE : 0u) |
           (item->language.bytes ? SCHEMA_LANGUAGE : 0u) | (item->image.bytes ? SCHEMA_IMAGE : 0u) |
           (item->attribute_count ? SCHEMA_ATTRIBUTES : 0u) | (item->hidden ? SCHEMA_HIDDEN : 0u);
}

/* An empty id is a missing one, in a table. */
static void empty_is_missing(struct fr_slice *id)
{
    if (id->bytes == 0)
        *id = (struct fr_slice){0};
}

static enum fr_status finish(struct ingest__mapper *mapper, struct schema_reject *reject)
{
    if (mapper->mapping.thing == INGEST_ITEMS) {
        mapper->item.present = present_fields(&mapper->item);
        empty_is_missing(&mapper->item.id);
        return schema_item_check(&mapper->item, reject);
    }
    if (mapper->mapping.thing == INGEST_USERS) {
        mapper->user.present = (mapper->user.attribute_count ? SCHEMA_ATTRIBUTES : 0u) |
                               (mapper->user.follow_count ? SCHEMA_FOLLOWS : 0u);
        empty_is_missing(&mapper->user.id);
        return schema_user_check(&mapper->user, reject);
    }
    empty_is_missing(&mapper->event.user);
    empty_is_missing(&mapper->event.item);
    return schema_event_check(mapper->types, &mapper->event, reject);
}

static void clear_things(struct ingest__mapper *mapper, int64_t synthetic_us)
{
    base_buf_clear(&mapper->scratch);
    if (mapper->mapping.thing == INGEST_ITEMS) {
        schema_item_clear(&mapper->item);
    } else if (mapper->mapping.thing == INGEST_USERS) {
        schema_user_clear(&mapper->user);
    } else {
        schema_event_clear(&mapper->event);
        mapper->event.type = mapper->default_type;
        mapper->event.time_us = synthetic_us;
    }
}

static size_t row_bytes(const struct ingest__row *row)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < FR_MIN(row->count, (uint32_t)INGEST_FIELDS_MAX); i++)
        bytes += row->field[i].bytes;
    return bytes;
}

enum fr_status ingest__mapper_row(struct ingest__mapper *mapper, const struct ingest__row *row,
                                  int64_t synthetic_us, struct schema_reject *reject)
{
    const struct ingest_mapping *mapping = &mapper->mapping;
    mapper->reject = reject;
    clear_things(mapper, synthetic_us);
    if (mapping->latin1 && !base_buf_reserve(&mapper->scratch, 2 * row_bytes(row) + 1))
        return FR_MEMORY;
    if (row->count < mapper->column_needed) {
        char rule[64];
        snprintf(rule, sizeof(rule), "has %u columns, but column %u is needed", row->count,
                 mapper->column_needed);
        return schema_reject_set(reject, "row", rule, row->field[0], NULL);
    }
    for (uint32_t i = 0; i < mapping->column_count; i++) {
        const struct ingest_column *column = &mapping->column[i];
        struct fr_slice text = trim(row->field[column->number - 1]);
        if (mapping->latin1 && !schema_utf8_valid(text))
            text = from_latin1(&mapper->scratch, text);
        FR_TRY(take_field(mapper, column, text, reject));
    }
    enum fr_status status = finish(mapper, reject);
    if (status == FR_INVALID)
        name_column(mapping, reject);
    return status;
}

/* ---- setting up --------------------------------------------------------------------------------
 */

static void find_needed(struct ingest__mapper *mapper)
{
    mapper->column_needed = 0;
    for (uint32_t i = 0; i < mapper->mapping.column_count; i++)
        mapper->column_needed = FR_MAX(mapper->column_needed, mapper->mapping.column[i].number);
}

static bool has_role(const struct ingest_mapping *mapping, enum ingest_role role)
{
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (mapping->column[i].role == role)
            return true;
    return false;
}

enum fr_status ingest__mapper_init(struct ingest__mapper *mapper,
                                   const struct ingest_mapping *mapping,
                                   const struct schema_types *types, struct fr_error *error)
{
    mapper->mapping = *mapping;
    mapper->types = types;
    base_buf_init(&mapper->scratch, 4 * INGEST_RECORD_BYTES_MAX);
    bool events = mapping->thing == INGEST_EVENTS && mapping->layout == INGEST_TABLE;
    if (events && !(has_role(mapping, INGEST_USER) && has_role(mapping, INGEST_ITEM)))
        return base_fail(error, FR_INVALID, "ingest", "events need a user and an item column");
    if (mapping->layout == INGEST_TABLE && !events && !has_role(mapping, INGEST_ID))
        return base_fail(error, FR_INVALID, "ingest", "%s need an id column",
                         mapping->thing == INGEST_ITEMS ? "items" : "users");
    if (mapping->thing == INGEST_EVENTS && mapping->layout != INGEST_JSON) {
        int type = schema_types_find(types, fr_slice_str(mapping->type));
        if (type < 0)
            return base_fail(error, FR_INVALID, "ingest", "\"%s\" is not a known event type",
                             mapping->type);
        mapper->default_type = (uint8_t)type;
    }
    find_needed(mapper);
    return FR_OK;
}

void ingest__mapper_release(struct ingest__mapper *mapper)
{
    base_buf_release(&mapper->scratch);
}

/* "user_id:token" answers to "user_id" too. */
static bool header_is(struct fr_slice header, const char *name)
{
    struct fr_slice text = trim(header), wanted = fr_slice_str(name);
    if (fr_slice_equal(text, wanted))
        return true;
    return text.bytes > wanted.bytes && text.ptr[wanted.bytes] == ':' &&
           memcmp(text.ptr, name, wanted.bytes) == 0;
}

enum fr_status ingest__mapper_header(struct ingest__mapper *mapper,
                                     const struct ingest__row *header, struct fr_error *error)
{
    uint32_t count = FR_MIN(header->count, (uint32_t)INGEST_FIELDS_MAX), kept = 0;
    for (uint32_t i = 0; i < mapper->mapping.column_count; i++) {
        struct ingest_column column = mapper->mapping.column[i];
        for (uint32_t j = 0; column.number == 0 && j < count; j++)
            if (header_is(header->field[j], column.header))
                column.number = j + 1;
        bool may_miss = column.role == INGEST_CONTEXT || column.role == INGEST_ATTRIBUTE;
        if (column.number == 0 && !may_miss)
            return base_fail(error, FR_INVALID, "ingest",
                             "the first row has no column \"%s\" (for %s)", column.header,
                             ingest__role_name(column.role));
        if (column.number)
            mapper->mapping.column[kept++] = column;
    }
    mapper->mapping.column_count = kept;
    find_needed(mapper);
    return FR_OK;
}
