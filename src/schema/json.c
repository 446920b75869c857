/* SPDX-License-Identifier: Apache-2.0
 *
 * schema_json: things out of JSON. Members are looked up by name, unknown and repeated ones
 * refused; types of values are judged here, the values themselves in check.c. `null` stands for
 * "not given". Thread: one document at a time. Owner: the parser owns the unescaped texts until its
 * next document.
 */
#include "schema/schema_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fr_status schema_json_new(size_t document_bytes_max, struct schema_json **out_json)
{
    FR_ASSERT(document_bytes_max > 0);
    struct schema_json *json = calloc(1, sizeof(*json));
    if (!json)
        return FR_MEMORY;
    json->doc = schema__doc_new(document_bytes_max, SCHEMA_JSON_DEPTH_MAX);
    if (!json->doc) {
        free(json);
        return FR_MEMORY;
    }
    memcpy(json->key, schema_default_key, sizeof(json->key));
    *out_json = json;
    return FR_OK;
}

void schema_json_free(struct schema_json *json)
{
    if (!json)
        return;
    schema__doc_free(json->doc);
    free(json->spans);
    free(json);
}

void schema_json_set_key(struct schema_json *json, const uint8_t key[16])
{
    memcpy(json->key, key, sizeof(json->key));
}

/* ---- faults ----------------------------------------------------------------------------- */

static struct fr_slice seen_value(const struct schema__value *value, char *to, size_t bytes)
{
    switch (value->kind) {
    case SCHEMA__NULL:
        return FR_SLICE("null");
    case SCHEMA__BOOL:
        return value->of.boolean ? FR_SLICE("true") : FR_SLICE("false");
    case SCHEMA__INT:
        snprintf(to, bytes, "%" PRId64, value->of.integer);
        return fr_slice_str(to);
    case SCHEMA__UINT:
        snprintf(to, bytes, "%" PRIu64, value->of.natural);
        return fr_slice_str(to);
    case SCHEMA__DOUBLE:
        snprintf(to, bytes, "%.17g", value->of.real);
        return fr_slice_str(to);
    case SCHEMA__STRING:
        return value->of.text;
    case SCHEMA__ARRAY:
        return FR_SLICE("an array");
    case SCHEMA__OBJECT:
        return FR_SLICE("an object");
    }
    return FR_SLICE("");
}

static enum fr_status refuse(struct schema_reject *reject, const char *path, const char *rule,
                             const struct schema__value *value, const char *hint)
{
    char number[SCHEMA__NUMBER_TEXT_BYTES];
    return schema_reject_set(reject, path, rule, seen_value(value, number, sizeof(number)), hint);
}

static const char *encoding_hint(struct fr_slice text)
{
    if (text.bytes >= 2 &&
        (memcmp(text.ptr, "\xff\xfe", 2) == 0 || memcmp(text.ptr, "\xfe\xff", 2) == 0 ||
         text.ptr[0] == '\0' || text.ptr[1] == '\0'))
        return "this looks like UTF-16 or UTF-32: send UTF-8";
    if (text.bytes >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        return "a byte order mark may only begin the whole body";
    return NULL;
}

static enum fr_status refuse_document(struct schema_reject *reject, struct fr_slice text,
                                      const char *rule)
{
    char hint[sizeof(reject->hint)] = "";
    const char *what = "", *encoding = encoding_hint(text);
    int64_t at = schema_json_fault(text, &what);
    if (encoding)
        snprintf(hint, sizeof(hint), "%s", encoding);
    else if (at >= 0)
        snprintf(hint, sizeof(hint), "%s at byte %" PRId64, what, at);
    return schema_reject_set(reject, "$", rule, text, hint);
}

struct names {
    const struct fr_slice *name; /* literals: NUL-terminated */
    size_t count;
    const char *free_values; /* where members of the sender's own belong */
};

static enum fr_status refuse_unknown(struct schema_reject *reject, const struct names *names,
                                     const struct schema__member *member)
{
    char path[sizeof(reject->path)], hint[sizeof(reject->hint)];
    const char *known[32];
    FR_ASSERT(names->count <= FR_COUNT_OF(known));
    for (size_t i = 0; i < names->count; i++)
        known[i] = names->name[i].ptr;
    const char *nearest = schema_nearest(member->key, known, names->count);
    schema__path_member(path, sizeof(path), "$", member->key);
    if (nearest)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", nearest);
    else
        snprintf(hint, sizeof(hint), "free values belong into \"%s\"", names->free_values);
    return refuse(reject, path, "is not a known member", &member->value, hint);
}

/* ---- one document ----------------------------------------------------------------------- */

#define NAME(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static int find_name(const struct fr_slice *names, size_t count, struct fr_slice key)
{
    char first = key.bytes ? key.ptr[0] : '\0';
    for (size_t i = 0; i < count; i++)
        if (names[i].bytes == key.bytes && names[i].ptr[0] == first &&
            memcmp(names[i].ptr, key.ptr, key.bytes) == 0)
            return (int)i;
    return -1;
}

/* Parses and gives the members of the one object that the text must be. */
static enum fr_status open_document(struct schema_json *json, struct fr_slice text,
                                    struct schema_reject *reject, size_t *out_count)
{
    struct schema__value root;
    const char *rule = "";
    enum fr_status status = schema__doc_parse(json->doc, text, &root, &rule);
    if (status == FR_FULL)
        return schema_reject_set(reject, "$", "is too long", text,
                                 "one thing must fit the limit of a body");
    if (status == FR_INVALID)
        return refuse_document(reject, text, rule);
    FR_TRY(status);
    if (root.kind != SCHEMA__OBJECT)
        return refuse(reject, "$", "must be a JSON object", &root, NULL);
    *out_count = schema__object_members(&root, json->members, SCHEMA__MEMBERS_MAX);
    if (*out_count > SCHEMA__MEMBERS_MAX)
        return schema_reject_set(reject, "$", "has more than 64 members", text, NULL);
    return FR_OK;
}

/* The member's number; refuses unknown and repeated ones. */
static enum fr_status known_member(const struct names *names, const struct schema__member *member,
                                   uint32_t *seen, struct schema_reject *reject, int *out_index)
{
    int index = find_name(names->name, names->count, member->key);
    if (index < 0)
        return refuse_unknown(reject, names, member);
    if (*seen & (1u << index)) {
        char path[sizeof(reject->path)];
        schema__path_member(path, sizeof(path), "$", member->key);
        return refuse(reject, path, "must be given once", &member->value, NULL);
    }
    *seen |= 1u << index;
    *out_index = index;
    return FR_OK;
}

static enum fr_status take_text(const struct schema__value *value, const char *path,
                                struct fr_slice *out_text, struct schema_reject *reject)
{
    if (value->kind == SCHEMA__STRING) {
        *out_text = value->of.text;
        return FR_OK;
    }
    if (value->kind == SCHEMA__NULL)
        return FR_OK;
    char hint[48] = "";
    if (value->kind == SCHEMA__INT)
        snprintf(hint, sizeof(hint), "write it as a string: \"%" PRId64 "\"", value->of.integer);
    return refuse(reject, path, "must be a string", value, hint);
}

/* An id: as take_text, but an empty string is not the same as nothing. */
static enum fr_status take_id(const struct schema__value *value, const char *path,
                              struct fr_slice *out_id, struct schema_reject *reject)
{
    FR_TRY(take_text(value, path, out_id, reject));
    if (value->kind == SCHEMA__STRING && out_id->bytes == 0)
        return refuse(reject, path, "must not be empty", value, NULL);
    return FR_OK;
}

static enum fr_status take_number(const struct schema__value *value, const char *path,
                                  double *out_number, struct schema_reject *reject)
{
    switch (value->kind) {
    case SCHEMA__INT:
        *out_number = (double)value->of.integer;
        return FR_OK;
    case SCHEMA__UINT:
        *out_number = (double)value->of.natural;
        return FR_OK;
    case SCHEMA__DOUBLE:
        *out_number = value->of.real + 0.0; /* -0 becomes 0 */
        return FR_OK;
    default:
        return refuse(reject, path, "must be a number", value,
                      value->kind == SCHEMA__STRING ? "write it without quotes" : NULL);
    }
}

static enum fr_status take_time(const struct schema__value *value, const char *path,
                                int64_t *out_us, struct schema_reject *reject)
{
    const char *rule = "must be a time: RFC 3339 text or a Unix number";
    enum fr_status status = FR_INVALID;
    if (value->kind == SCHEMA__STRING)
        status = schema_time_parse(value->of.text, out_us, &rule);
    else if (value->kind == SCHEMA__INT)
        status = schema_time_from_int(value->of.integer, out_us, &rule);
    else if (value->kind == SCHEMA__DOUBLE)
        status = schema_time_from_double(value->of.real, out_us, &rule);
    else if (value->kind == SCHEMA__UINT)
        rule = "must not be after the year 9999";
    return status == FR_OK ? FR_OK
                           : refuse(reject, path, rule, value,
                                    "for example 2026-11-24T05:30:15Z or 1795498215");
}

/* A free attribute as text: strings as they are; numbers and true, false in their JSON form. */
static enum fr_status take_free(struct schema_json *json, size_t slot,
                                const struct schema__member *member, const char *prefix,
                                struct schema_pair *out_pair)
{
    const struct schema__value *value = &member->value;
    out_pair->key = member->key;
    if (value->kind == SCHEMA__STRING) {
        out_pair->value = value->of.text;
        return FR_OK;
    }
    if (value->kind == SCHEMA__ARRAY || value->kind == SCHEMA__OBJECT ||
        value->kind == SCHEMA__NULL) {
        char path[sizeof(json->reject->path)];
        schema__path_member(path, sizeof(path), prefix, member->key);
        return refuse(json->reject, path, "must be a string, a number, true or false", value, NULL);
    }
    char *text = json->number_text[slot];
    struct fr_slice seen = seen_value(value, text, SCHEMA__NUMBER_TEXT_BYTES);
    if (value->kind == SCHEMA__DOUBLE) /* the shortest text that reads back equal */
        for (int digits = 6; digits < 17; digits++) {
            snprintf(text, SCHEMA__NUMBER_TEXT_BYTES, "%.*g", digits, value->of.real);
            if (strtod(text, NULL) == value->of.real)
                break;
            snprintf(text, SCHEMA__NUMBER_TEXT_BYTES, "%.17g", value->of.real);
        }
    out_pair->value = fr_slice_of(seen.ptr, strlen(seen.ptr));
    return FR_OK;
}

/* ---- events ----------------------------------------------------------------------------- */

struct fr_slice *schema__context_member(struct schema_context *context, struct fr_slice name)
{
    static const struct fr_slice names[] = {NAME("device"),  NAME("os"),   NAME("country"),
                                            NAME("region"),  NAME("city"), NAME("referrer"),
                                            NAME("language")};
    struct fr_slice *const slices[] = {&context->device,  &context->os,   &context->country,
                                       &context->region,  &context->city, &context->referrer,
                                       &context->language};
    int index = find_name(names, FR_COUNT_OF(names), name);
    return index < 0 ? NULL : slices[index];
}

static enum fr_status take_context_member(const struct schema__member *member,
                                          struct schema_context *context,
                                          struct schema_reject *reject)
{
    char path[sizeof(reject->path)];
    if (member->value.kind == SCHEMA__NULL)
        return FR_OK;
    struct fr_slice *known = schema__context_member(context, member->key);
    if (member->value.kind != SCHEMA__STRING) {
        schema__path_member(path, sizeof(path), "$.context", member->key);
        return refuse(reject, path, "must be a string", &member->value, NULL);
    }
    if (known && known->ptr) {
        schema__path_member(path, sizeof(path), "$.context", member->key);
        return refuse(reject, path, "must be given once", &member->value, NULL);
    }
    if (known) {
        *known = member->value.of.text;
        return FR_OK;
    }
    if (context->extra_count == SCHEMA_CONTEXT_EXTRA_MAX)
        return refuse(reject, "$.context", "has more than 16 free members", &member->value, NULL);
    context->extra[context->extra_count++] =
        (struct schema_pair){.key = member->key, .value = member->value.of.text};
    return FR_OK;
}

static enum fr_status take_context(const struct schema__value *value,
                                   struct schema_context *context, struct schema_reject *reject)
{
    struct schema__member members[32];
    if (value->kind == SCHEMA__NULL)
        return FR_OK;
    if (value->kind != SCHEMA__OBJECT)
        return refuse(reject, "$.context", "must be an object of strings", value, NULL);
    size_t count = schema__object_members(value, members, FR_COUNT_OF(members));
    if (count > FR_COUNT_OF(members))
        return refuse(reject, "$.context", "has more than 16 free members", value, NULL);
    for (size_t i = 0; i < count; i++)
        FR_TRY(take_context_member(&members[i], context, reject));
    return FR_OK;
}

static enum fr_status take_type(const struct schema_types *types, const struct schema__value *value,
                                uint8_t *out_type, struct schema_reject *reject)
{
    const char *names[SCHEMA_TYPES_MAX], *nearest;
    char hint[sizeof(reject->hint)];
    if (value->kind != SCHEMA__STRING)
        return refuse(reject, "$.type", "must be the name of an event type", value, NULL);
    int index = schema_types_find(types, value->of.text);
    if (index >= 0) {
        *out_type = (uint8_t)index;
        return FR_OK;
    }
    for (uint32_t i = 0; i < types->count; i++)
        names[i] = types->row[i].name;
    nearest = schema_nearest(value->of.text, names, types->count);
    if (nearest)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", nearest);
    else
        snprintf(hint, sizeof(hint), "custom types are declared in the configuration");
    return refuse(reject, "$.type", "is not a known event type", value, hint);
}

enum event_member {
    EVENT_USER,
    EVENT_TIMESTAMP,
    EVENT_ITEM,
    EVENT_TYPE,
    EVENT_VALUE,
    EVENT_SESSION,
    EVENT_ID,
    EVENT_CONTEXT,
    EVENT_REQUEST,
    EVENT_MEMBER_COUNT
};
static const struct fr_slice event_names[EVENT_MEMBER_COUNT] = {
    NAME("user"),    NAME("timestamp"), NAME("item"),    NAME("type"),    NAME("value"),
    NAME("session"), NAME("id"),        NAME("context"), NAME("request"),
};

static enum fr_status take_event_member(const struct schema_types *types, int index,
                                        const struct schema__value *value,
                                        struct schema_event *event, struct schema_reject *reject)
{
    switch ((enum event_member)index) {
    case EVENT_ID:
        return take_id(value, "$.id", &event->id, reject);
    case EVENT_TIMESTAMP:
        return value->kind == SCHEMA__NULL
                   ? FR_OK
                   : take_time(value, "$.timestamp", &event->time_us, reject);
    case EVENT_USER:
        return take_id(value, "$.user", &event->user, reject);
    case EVENT_SESSION:
        return take_id(value, "$.session", &event->session, reject);
    case EVENT_ITEM:
        return take_id(value, "$.item", &event->item, reject);
    case EVENT_TYPE:
        return take_type(types, value, &event->type, reject);
    case EVENT_VALUE:
        if (value->kind == SCHEMA__NULL)
            return FR_OK;
        event->has_value = true;
        return take_number(value, "$.value", &event->value, reject);
    case EVENT_CONTEXT:
        return take_context(value, &event->context, reject);
    case EVENT_REQUEST:
        return take_id(value, "$.request", &event->request, reject);
    case EVENT_MEMBER_COUNT:
        break;
    }
    return FR_OK;
}

enum fr_status schema_event_from_json(struct schema_json *json, const struct schema_types *types,
                                      struct fr_slice text, int64_t now_us,
                                      struct schema_event *out_event,
                                      struct schema_reject *out_reject)
{
    static const struct names names = {event_names, EVENT_MEMBER_COUNT, "context"};
    uint32_t seen = 0;
    size_t count;
    int index = 0;
    json->reject = out_reject;
    FR_TRY(open_document(json, text, out_reject, &count));
    schema_event_clear(out_event);
    for (size_t i = 0; i < count; i++) {
        FR_TRY(known_member(&names, &json->members[i], &seen, out_reject, &index));
        FR_TRY(take_event_member(types, index, &json->members[i].value, out_event, out_reject));
    }
    if (!(seen & (1u << EVENT_TYPE)))
        return schema_reject_set(out_reject, "$.type", "is required", FR_SLICE(""),
                                 "for example \"click\"");
    if (out_event->time_us == 0) {
        if (now_us == 0)
            return schema_reject_set(out_reject, "$.timestamp", "is required", FR_SLICE(""), NULL);
        out_event->time_us = now_us;
    }
    FR_TRY(schema_event_check(types, out_event, out_reject));
    if (out_event->id.bytes)
        out_event->key = schema_dedupe_key(out_event->id, json->key);
    return FR_OK;
}

/* ---- items and users -------------------------------------------------------------------- */

static enum fr_status take_list(struct schema_json *json, const struct schema__value *value,
                                const char *path, struct fr_slice *list, uint32_t *out_count)
{
    char element[sizeof(json->reject->path)];
    if (value->kind == SCHEMA__NULL)
        return FR_OK;
    if (value->kind != SCHEMA__ARRAY)
        return refuse(json->reject, path, "must be an array of strings", value, NULL);
    size_t count = schema__array_values(value, json->values, SCHEMA_LIST_MAX);
    if (count > SCHEMA_LIST_MAX)
        return refuse(json->reject, path, "has more than 64 values", value, NULL);
    for (size_t i = 0; i < count; i++) {
        if (json->values[i].kind != SCHEMA__STRING) {
            snprintf(element, sizeof(element), "%s[%zu]", path, i);
            return refuse(json->reject, element, "must be a string", &json->values[i], NULL);
        }
        list[i] = json->values[i].of.text;
    }
    *out_count = (uint32_t)count;
    return FR_OK;
}

static enum fr_status take_attributes(struct schema_json *json, const struct schema__value *value,
                                      struct schema_pair *pairs, uint32_t *out_count)
{
    struct schema__member members[SCHEMA_LIST_MAX];
    if (value->kind == SCHEMA__NULL)
        return FR_OK;
    if (value->kind != SCHEMA__OBJECT)
        return refuse(json->reject, "$.attributes", "must be an object", value, NULL);
    size_t count = schema__object_members(value, members, SCHEMA_LIST_MAX);
    if (count > SCHEMA_LIST_MAX)
        return refuse(json->reject, "$.attributes", "has more than 64 members", value, NULL);
    for (size_t i = 0; i < count; i++)
        FR_TRY(take_free(json, i, &members[i], "$.attributes", &pairs[i]));
    *out_count = (uint32_t)count;
    return FR_OK;
}

enum item_member {
    ITEM_ID,
    ITEM_TITLE,
    ITEM_CATEGORIES,
    ITEM_TAGS,
    ITEM_TEXT,
    ITEM_AUTHOR,
    ITEM_PUBLISHED,
    ITEM_EXPIRES,
    ITEM_LENGTH,
    ITEM_PRICE,
    ITEM_LANGUAGE,
    ITEM_IMAGE,
    ITEM_ATTRIBUTES,
    ITEM_HIDDEN,
    ITEM_MEMBER_COUNT
};
static const struct fr_slice item_names[ITEM_MEMBER_COUNT] = {
    NAME("id"),       NAME("title"),     NAME("categories"), NAME("tags"),   NAME("text"),
    NAME("author"),   NAME("published"), NAME("expires"),    NAME("length"), NAME("price"),
    NAME("language"), NAME("image"),     NAME("attributes"), NAME("hidden"),
};
static const uint32_t item_bits[ITEM_MEMBER_COUNT] = {
    0,
    SCHEMA_TITLE,
    SCHEMA_CATEGORIES,
    SCHEMA_TAGS,
    SCHEMA_TEXT,
    SCHEMA_AUTHOR,
    SCHEMA_PUBLISHED,
    SCHEMA_EXPIRES,
    SCHEMA_LENGTH,
    SCHEMA_PRICE,
    SCHEMA_LANGUAGE,
    SCHEMA_IMAGE,
    SCHEMA_ATTRIBUTES,
    SCHEMA_HIDDEN,
};

static enum fr_status take_flag(const struct schema__value *value, const char *path, bool *out_flag,
                                struct schema_reject *reject)
{
    if (value->kind == SCHEMA__NULL)
        return FR_OK;
    if (value->kind != SCHEMA__BOOL)
        return refuse(reject, path, "must be true or false", value, NULL);
    *out_flag = value->of.boolean;
    return FR_OK;
}

static enum fr_status take_amount(const struct schema__value *value, const char *path,
                                  double *out_amount, struct schema_reject *reject)
{
    return value->kind == SCHEMA__NULL ? FR_OK : take_number(value, path, out_amount, reject);
}

static enum fr_status take_item_member(struct schema_json *json, int index,
                                       const struct schema__value *value, struct schema_item *item,
                                       struct schema_reject *reject)
{
    switch ((enum item_member)index) {
    case ITEM_ID:
        return take_id(value, "$.id", &item->id, reject);
    case ITEM_TITLE:
        return take_text(value, "$.title", &item->title, reject);
    case ITEM_TEXT:
        return take_text(value, "$.text", &item->text, reject);
    case ITEM_AUTHOR:
        return take_text(value, "$.author", &item->author, reject);
    case ITEM_LANGUAGE:
        return take_text(value, "$.language", &item->language, reject);
    case ITEM_IMAGE:
        return take_text(value, "$.image", &item->image, reject);
    case ITEM_CATEGORIES:
        return take_list(json, value, "$.categories", item->categories, &item->category_count);
    case ITEM_TAGS:
        return take_list(json, value, "$.tags", item->tags, &item->tag_count);
    case ITEM_PUBLISHED:
        return value->kind == SCHEMA__NULL
                   ? FR_OK
                   : take_time(value, "$.published", &item->published_us, reject);
    case ITEM_EXPIRES:
        return value->kind == SCHEMA__NULL
                   ? FR_OK
                   : take_time(value, "$.expires", &item->expires_us, reject);
    case ITEM_LENGTH:
        return take_amount(value, "$.length", &item->length, reject);
    case ITEM_PRICE:
        return take_amount(value, "$.price", &item->price, reject);
    case ITEM_ATTRIBUTES:
        return take_attributes(json, value, item->attributes, &item->attribute_count);
    case ITEM_HIDDEN:
        return take_flag(value, "$.hidden", &item->hidden, reject);
    case ITEM_MEMBER_COUNT:
        break;
    }
    return FR_OK;
}

/* The id of the address and the one in the body must agree. */
static enum fr_status settle_id(struct fr_slice address, struct fr_slice *id,
                                struct schema_reject *reject)
{
    if (address.ptr == NULL)
        return FR_OK;
    if (id->ptr && !fr_slice_equal(address, *id))
        return schema_reject_set(reject, "$.id", "must be the id in the address", *id,
                                 "leave it out");
    *id = address;
    return FR_OK;
}

enum fr_status schema_item_from_json_as(struct schema_json *json, struct fr_slice id,
                                        struct fr_slice text, struct schema_item *out_item,
                                        struct schema_reject *out_reject)
{
    static const struct names names = {item_names, ITEM_MEMBER_COUNT, "attributes"};
    uint32_t seen = 0;
    size_t count;
    int index = 0;
    json->reject = out_reject;
    FR_TRY(open_document(json, text, out_reject, &count));
    schema_item_clear(out_item);
    for (size_t i = 0; i < count; i++) {
        FR_TRY(known_member(&names, &json->members[i], &seen, out_reject, &index));
        FR_TRY(take_item_member(json, index, &json->members[i].value, out_item, out_reject));
        out_item->present |= item_bits[index];
    }
    FR_TRY(settle_id(id, &out_item->id, out_reject));
    return schema_item_check(out_item, out_reject);
}

enum fr_status schema_item_from_json(struct schema_json *json, struct fr_slice text,
                                     struct schema_item *out_item, struct schema_reject *out_reject)
{
    return schema_item_from_json_as(json, (struct fr_slice){0}, text, out_item, out_reject);
}

enum user_member { USER_ID, USER_ATTRIBUTES, USER_FOLLOWS, USER_MEMBER_COUNT };
static const struct fr_slice user_names[USER_MEMBER_COUNT] = {NAME("id"), NAME("attributes"),
                                                              NAME("follows")};

static enum fr_status take_user_member(struct schema_json *json, int index,
                                       const struct schema__value *value, struct schema_user *user,
                                       struct schema_reject *reject)
{
    switch ((enum user_member)index) {
    case USER_ID:
        return take_id(value, "$.id", &user->id, reject);
    case USER_ATTRIBUTES:
        user->present |= SCHEMA_ATTRIBUTES;
        return take_attributes(json, value, user->attributes, &user->attribute_count);
    case USER_FOLLOWS:
        user->present |= SCHEMA_FOLLOWS;
        return take_list(json, value, "$.follows", user->follows, &user->follow_count);
    case USER_MEMBER_COUNT:
        break;
    }
    return FR_OK;
}

enum fr_status schema_user_from_json_as(struct schema_json *json, struct fr_slice id,
                                        struct fr_slice text, struct schema_user *out_user,
                                        struct schema_reject *out_reject)
{
    static const struct names names = {user_names, USER_MEMBER_COUNT, "attributes"};
    uint32_t seen = 0;
    size_t count;
    int index = 0;
    json->reject = out_reject;
    FR_TRY(open_document(json, text, out_reject, &count));
    schema_user_clear(out_user);
    for (size_t i = 0; i < count; i++) {
        FR_TRY(known_member(&names, &json->members[i], &seen, out_reject, &index));
        FR_TRY(take_user_member(json, index, &json->members[i].value, out_user, out_reject));
    }
    FR_TRY(settle_id(id, &out_user->id, out_reject));
    return schema_user_check(out_user, out_reject);
}

enum fr_status schema_user_from_json(struct schema_json *json, struct fr_slice text,
                                     struct schema_user *out_user, struct schema_reject *out_reject)
{
    return schema_user_from_json_as(json, (struct fr_slice){0}, text, out_user, out_reject);
}
