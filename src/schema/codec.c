/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: things as bytes, for the journal. A record is a run of tagged fields in any order:
 *
 *   tag      varint: field number << 2 | form
 *   form 0   varint (LEB128, at most 64 bits)
 *   form 1   8 bytes, little-endian (a double or a word)
 *   form 2   varint length, then so many bytes
 *   form 3   16 bytes: a hash, low word first
 *
 * A field that is absent has its zero. Unknown field numbers are skipped by their form, so that an
 * older program reads what a newer one wrote. Numbers below are stored: never reuse one. A pair
 * (key, value) is form 2: varint length of the key, key, value to the end. Field numbers:
 *
 *   event  1 key(3) 2 id 3 user 4 session 5 item 6 request 7 time_us(1) 8 value(1) 9 type(0)
 *          10 device 11 os 12 country 13 region 14 city 15 referrer 16 language 17 extra pair*
 *   item   1 id 2 title 3 text 4 author 5 language 6 image 7 category* 8 tag* 9 attribute pair*
 *          10 published_us(1) 11 expires_us(1) 12 length(1) 13 price(1) 14 hidden(0) 15 present(0)
 *   user   1 id 2 attribute pair* 3 follows* 4 present(0)
 *   types  1 type*: a record of its own: 1 name 2 weight 3 low 4 high 5 min 6 max (all 1: doubles)
 *          7 rule(0) 8 flags(0: 1 exposure, 2 custom)
 *
 * C1: decoding never reads outside its bytes and never allocates. C2: decode(encode(x)) == x.
 * C3: what does not decode is FR_CORRUPT: too many of a list, a missing id, a form that is not its
 * field's. Thread: any.
 */
#include "schema/schema_priv.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum form { FORM_VARINT, FORM_WORD, FORM_BYTES, FORM_HASH };
#define TAG(field, form) ((uint32_t)(field) << 2 | (uint32_t)(form))

enum event_field {
    EVENT_KEY = 1,
    EVENT_ID,
    EVENT_USER,
    EVENT_SESSION,
    EVENT_ITEM,
    EVENT_REQUEST,
    EVENT_TIME,
    EVENT_VALUE,
    EVENT_TYPE,
    EVENT_DEVICE,
    EVENT_OS,
    EVENT_COUNTRY,
    EVENT_REGION,
    EVENT_CITY,
    EVENT_REFERRER,
    EVENT_LANGUAGE,
    EVENT_EXTRA,
};
enum item_field {
    ITEM_ID = 1,
    ITEM_TITLE,
    ITEM_TEXT,
    ITEM_AUTHOR,
    ITEM_LANGUAGE,
    ITEM_IMAGE,
    ITEM_CATEGORY,
    ITEM_TAG,
    ITEM_ATTRIBUTE,
    ITEM_PUBLISHED,
    ITEM_EXPIRES,
    ITEM_LENGTH,
    ITEM_PRICE,
    ITEM_HIDDEN,
    ITEM_PRESENT,
};
enum user_field { USER_ID = 1, USER_ATTRIBUTE, USER_FOLLOWS, USER_PRESENT };
enum type_field {
    TYPE_NAME = 1,
    TYPE_WEIGHT,
    TYPE_LOW,
    TYPE_HIGH,
    TYPE_MIN,
    TYPE_MAX,
    TYPE_RULE,
    TYPE_FLAGS,
};
enum { TYPES_ROW = 1 };

/* ---- writing: one reservation of the largest size, then plain stores ------------------------ */

enum {
    TAG_BYTES_MAX = 2,
    VARINT_BYTES_MAX = 10,
    FIXED_FIELDS_MAX = 32,
    FIXED_BYTES_MAX = FIXED_FIELDS_MAX * 18, /* any field without its text; a length is 3 bytes */
    PAIR_BYTES_MAX = TAG_BYTES_MAX + 2 * VARINT_BYTES_MAX,
};

static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *put_word(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + 8;
}

static inline uint8_t *put_text(uint8_t *at, unsigned field, struct fr_slice text)
{
    if (text.bytes == 0)
        return at;
    at = put_varint(at, TAG(field, FORM_BYTES));
    at = put_varint(at, text.bytes);
    memcpy(at, text.ptr, text.bytes);
    return at + text.bytes;
}

static inline uint8_t *put_number(uint8_t *at, unsigned field, uint64_t value)
{
    return value ? put_varint(put_varint(at, TAG(field, FORM_VARINT)), value) : at;
}

static inline uint8_t *put_fixed(uint8_t *at, unsigned field, uint64_t value)
{
    return value ? put_word(put_varint(at, TAG(field, FORM_WORD)), value) : at;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static uint8_t *put_pairs(uint8_t *at, unsigned field, const struct schema_pair *pairs,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct fr_slice key = pairs[i].key, value = pairs[i].value;
        size_t key_prefix = key.bytes < 0x80 ? 1 : key.bytes < 0x4000 ? 2 : 3;
        FR_ASSERT(key.bytes < 0x200000);
        at = put_varint(at, TAG(field, FORM_BYTES));
        at = put_varint(at, key_prefix + key.bytes + value.bytes);
        at = put_varint(at, key.bytes);
        if (key.bytes)
            memcpy(at, key.ptr, key.bytes);
        at += key.bytes;
        if (value.bytes)
            memcpy(at, value.ptr, value.bytes);
        at += value.bytes;
    }
    return at;
}

/* An empty text in a list is kept: its place counts. */
static uint8_t *put_list(uint8_t *at, unsigned field, const struct fr_slice *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        at = put_varint(at, TAG(field, FORM_BYTES));
        at = put_varint(at, list[i].bytes);
        if (list[i].bytes)
            memcpy(at, list[i].ptr, list[i].bytes);
        at += list[i].bytes;
    }
    return at;
}

static size_t list_bytes(const struct fr_slice *list, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += list[i].bytes + TAG_BYTES_MAX + VARINT_BYTES_MAX;
    return bytes;
}

static size_t pairs_bytes(const struct schema_pair *pairs, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += pairs[i].key.bytes + pairs[i].value.bytes + PAIR_BYTES_MAX;
    return bytes;
}

static size_t event_bytes_max(const struct schema_event *event)
{
    const struct schema_context *c = &event->context;
    return FIXED_BYTES_MAX + event->id.bytes + event->user.bytes + event->session.bytes +
           event->item.bytes + event->request.bytes + c->device.bytes + c->os.bytes +
           c->country.bytes + c->region.bytes + c->city.bytes + c->referrer.bytes +
           c->language.bytes + pairs_bytes(c->extra, c->extra_count);
}

static uint8_t *put_context(uint8_t *at, const struct schema_context *context)
{
    at = put_text(at, EVENT_DEVICE, context->device);
    at = put_text(at, EVENT_OS, context->os);
    at = put_text(at, EVENT_COUNTRY, context->country);
    at = put_text(at, EVENT_REGION, context->region);
    at = put_text(at, EVENT_CITY, context->city);
    at = put_text(at, EVENT_REFERRER, context->referrer);
    at = put_text(at, EVENT_LANGUAGE, context->language);
    return put_pairs(at, EVENT_EXTRA, context->extra, context->extra_count);
}

void schema_event_encode(const struct schema_event *event, struct base_buf *out)
{
    uint8_t *first = base_buf_reserve(out, event_bytes_max(event)), *at = first;
    if (!first)
        return;
    if (event->key.lo | event->key.hi) {
        *at++ = TAG(EVENT_KEY, FORM_HASH);
        at = put_word(put_word(at, event->key.lo), event->key.hi);
    }
    at = put_text(at, EVENT_ID, event->id);
    at = put_text(at, EVENT_USER, event->user);
    at = put_text(at, EVENT_SESSION, event->session);
    at = put_text(at, EVENT_ITEM, event->item);
    at = put_text(at, EVENT_REQUEST, event->request);
    at = put_fixed(at, EVENT_TIME, (uint64_t)event->time_us);
    if (event->has_value) { /* a value of 0 is a value */
        *at++ = TAG(EVENT_VALUE, FORM_WORD);
        at = put_word(at, bits_of(event->value));
    }
    at = put_number(at, EVENT_TYPE, event->type);
    at = put_context(at, &event->context);
    base_buf_commit(out, (size_t)(at - first));
}

void schema_item_encode(const struct schema_item *item, struct base_buf *out)
{
    size_t bytes = FIXED_BYTES_MAX + item->id.bytes + item->title.bytes + item->text.bytes +
                   item->author.bytes + item->language.bytes + item->image.bytes +
                   list_bytes(item->categories, item->category_count) +
                   list_bytes(item->tags, item->tag_count) +
                   pairs_bytes(item->attributes, item->attribute_count);
    uint8_t *first = base_buf_reserve(out, bytes), *at = first;
    if (!first)
        return;
    at = put_text(at, ITEM_ID, item->id);
    at = put_text(at, ITEM_TITLE, item->title);
    at = put_text(at, ITEM_TEXT, item->text);
    at = put_text(at, ITEM_AUTHOR, item->author);
    at = put_text(at, ITEM_LANGUAGE, item->language);
    at = put_text(at, ITEM_IMAGE, item->image);
    at = put_list(at, ITEM_CATEGORY, item->categories, item->category_count);
    at = put_list(at, ITEM_TAG, item->tags, item->tag_count);
    at = put_pairs(at, ITEM_ATTRIBUTE, item->attributes, item->attribute_count);
    at = put_fixed(at, ITEM_PUBLISHED, (uint64_t)item->published_us);
    at = put_fixed(at, ITEM_EXPIRES, (uint64_t)item->expires_us);
    at = put_fixed(at, ITEM_LENGTH, bits_of(item->length));
    at = put_fixed(at, ITEM_PRICE, bits_of(item->price));
    at = put_number(at, ITEM_HIDDEN, item->hidden);
    at = put_number(at, ITEM_PRESENT, item->present);
    base_buf_commit(out, (size_t)(at - first));
}

void schema_user_encode(const struct schema_user *user, struct base_buf *out)
{
    size_t bytes = FIXED_BYTES_MAX + user->id.bytes +
                   pairs_bytes(user->attributes, user->attribute_count) +
                   list_bytes(user->follows, user->follow_count);
    uint8_t *first = base_buf_reserve(out, bytes), *at = first;
    if (!first)
        return;
    at = put_text(at, USER_ID, user->id);
    at = put_pairs(at, USER_ATTRIBUTE, user->attributes, user->attribute_count);
    at = put_list(at, USER_FOLLOWS, user->follows, user->follow_count);
    at = put_number(at, USER_PRESENT, user->present);
    base_buf_commit(out, (size_t)(at - first));
}

static uint8_t *put_type(uint8_t *at, const struct schema_type *type)
{
    at = put_text(at, TYPE_NAME, fr_slice_str(type->name));
    at = put_fixed(at, TYPE_WEIGHT, bits_of((double)type->weight));
    at = put_fixed(at, TYPE_LOW, bits_of((double)type->low));
    at = put_fixed(at, TYPE_HIGH, bits_of((double)type->high));
    at = put_fixed(at, TYPE_MIN, bits_of((double)type->min));
    at = put_fixed(at, TYPE_MAX, bits_of((double)type->max));
    at = put_number(at, TYPE_RULE, (uint64_t)type->rule);
    return put_number(at, TYPE_FLAGS, (type->is_exposure ? 1u : 0u) | (type->is_custom ? 2u : 0u));
}

void schema_types_encode(const struct schema_types *types, struct base_buf *out)
{
    uint8_t row[128];
    for (uint32_t i = 0; i < types->count; i++) {
        size_t bytes = (size_t)(put_type(row, &types->row[i]) - row);
        base_buf_put_varint(out, TAG(TYPES_ROW, FORM_BYTES));
        base_buf_put_string(out, fr_slice_of((const char *)row, bytes));
    }
}

/* ---- reading ---------------------------------------------------------------------------- */

struct field {
    uint32_t tag;
    uint64_t number;      /* forms 0, 1; the low word of form 3 */
    uint64_t high;        /* form 3 */
    struct fr_slice text; /* form 2 */
};

static inline bool get_varint(struct base_reader *reader, uint64_t *out_value)
{
    if (reader->at < reader->end && *reader->at < 0x80) {
        *out_value = *reader->at++;
        return true;
    }
    *out_value = base_reader_varint(reader);
    return !reader->failed;
}

static inline uint64_t load_word(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* The next field; false at the end and on damage (reader->failed tells which). */
static inline bool next_field(struct base_reader *reader, struct field *field)
{
    uint64_t tag, bytes;
    if (reader->at == reader->end || !get_varint(reader, &tag))
        return false;
    size_t left = (size_t)(reader->end - reader->at);
    field->tag = tag > UINT32_MAX ? UINT32_MAX & ~3u : (uint32_t)tag;
    field->tag |= (uint32_t)(tag & 3);
    switch ((enum form)(tag & 3)) {
    case FORM_VARINT:
        return get_varint(reader, &field->number);
    case FORM_BYTES:
        if (!get_varint(reader, &bytes) || bytes > (size_t)(reader->end - reader->at))
            break;
        field->text = fr_slice_of((const char *)reader->at, bytes);
        reader->at += bytes;
        return true;
    case FORM_WORD:
        if (left < 8)
            break;
        field->number = load_word(reader->at);
        reader->at += 8;
        return true;
    case FORM_HASH:
        if (left < 16)
            break;
        field->number = load_word(reader->at);
        field->high = load_word(reader->at + 8);
        reader->at += 16;
        return true;
    }
    reader->failed = true;
    return false;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Records only hold finite numbers; a damaged one must not bring a NaN into the fold. */
static double finite_of(uint64_t bits, struct base_reader *reader)
{
    double value = double_of(bits);
    if (!isfinite(value)) {
        reader->failed = true;
        return 0;
    }
    return value;
}

static void add_pair(struct fr_slice text, struct schema_pair *pairs, uint32_t *count, uint32_t max,
                     struct base_reader *reader)
{
    struct base_reader inner = base_reader_of(text.ptr, text.bytes);
    struct fr_slice key = base_reader_string(&inner);
    if (inner.failed || *count >= max) {
        reader->failed = true;
        return;
    }
    pairs[(*count)++] = (struct schema_pair){.key = key,
                                             .value = fr_slice_of((const char *)inner.at,
                                                                  (size_t)(inner.end - inner.at))};
}

static void add_text(struct fr_slice text, struct fr_slice *list, uint32_t *count,
                     struct base_reader *reader)
{
    if (*count >= SCHEMA_LIST_MAX)
        reader->failed = true;
    else
        list[(*count)++] = text;
}

static void take_event_field(const struct field *field, struct schema_event *event,
                             struct base_reader *reader)
{
    struct schema_context *context = &event->context;
    switch (field->tag) {
    case TAG(EVENT_KEY, FORM_HASH):
        event->key = (struct base_hash128){.lo = field->number, .hi = field->high};
        break;
    case TAG(EVENT_ID, FORM_BYTES):
        event->id = field->text;
        break;
    case TAG(EVENT_USER, FORM_BYTES):
        event->user = field->text;
        break;
    case TAG(EVENT_SESSION, FORM_BYTES):
        event->session = field->text;
        break;
    case TAG(EVENT_ITEM, FORM_BYTES):
        event->item = field->text;
        break;
    case TAG(EVENT_REQUEST, FORM_BYTES):
        event->request = field->text;
        break;
    case TAG(EVENT_TIME, FORM_WORD):
        event->time_us = (int64_t)field->number;
        break;
    case TAG(EVENT_VALUE, FORM_WORD):
        event->value = finite_of(field->number, reader);
        event->has_value = true;
        break;
    case TAG(EVENT_TYPE, FORM_VARINT):
        reader->failed |= field->number >= SCHEMA_TYPES_MAX;
        event->type = (uint8_t)field->number;
        break;
    case TAG(EVENT_DEVICE, FORM_BYTES):
        context->device = field->text;
        break;
    case TAG(EVENT_OS, FORM_BYTES):
        context->os = field->text;
        break;
    case TAG(EVENT_COUNTRY, FORM_BYTES):
        context->country = field->text;
        break;
    case TAG(EVENT_REGION, FORM_BYTES):
        context->region = field->text;
        break;
    case TAG(EVENT_CITY, FORM_BYTES):
        context->city = field->text;
        break;
    case TAG(EVENT_REFERRER, FORM_BYTES):
        context->referrer = field->text;
        break;
    case TAG(EVENT_LANGUAGE, FORM_BYTES):
        context->language = field->text;
        break;
    case TAG(EVENT_EXTRA, FORM_BYTES):
        add_pair(field->text, context->extra, &context->extra_count, SCHEMA_CONTEXT_EXTRA_MAX,
                 reader);
        break;
    default:
        reader->failed |= field->tag >> 2 <= EVENT_EXTRA; /* known, in another form */
    }
}

enum fr_status schema_event_decode(struct fr_slice bytes, struct schema_event *out)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    struct field field = {0};
    schema_event_clear(out);
    while (next_field(&reader, &field))
        take_event_field(&field, out, &reader);
    if (reader.failed || out->user.bytes == 0 || out->item.bytes == 0 || out->time_us <= 0)
        return FR_CORRUPT;
    return FR_OK;
}

static void take_item_field(const struct field *field, struct schema_item *item,
                            struct base_reader *reader)
{
    switch (field->tag) {
    case TAG(ITEM_ID, FORM_BYTES):
        item->id = field->text;
        break;
    case TAG(ITEM_TITLE, FORM_BYTES):
        item->title = field->text;
        break;
    case TAG(ITEM_TEXT, FORM_BYTES):
        item->text = field->text;
        break;
    case TAG(ITEM_AUTHOR, FORM_BYTES):
        item->author = field->text;
        break;
    case TAG(ITEM_LANGUAGE, FORM_BYTES):
        item->language = field->text;
        break;
    case TAG(ITEM_IMAGE, FORM_BYTES):
        item->image = field->text;
        break;
    case TAG(ITEM_CATEGORY, FORM_BYTES):
        add_text(field->text, item->categories, &item->category_count, reader);
        break;
    case TAG(ITEM_TAG, FORM_BYTES):
        add_text(field->text, item->tags, &item->tag_count, reader);
        break;
    case TAG(ITEM_ATTRIBUTE, FORM_BYTES):
        add_pair(field->text, item->attributes, &item->attribute_count, SCHEMA_LIST_MAX, reader);
        break;
    case TAG(ITEM_PUBLISHED, FORM_WORD):
        item->published_us = (int64_t)field->number;
        break;
    case TAG(ITEM_EXPIRES, FORM_WORD):
        item->expires_us = (int64_t)field->number;
        break;
    case TAG(ITEM_LENGTH, FORM_WORD):
        item->length = finite_of(field->number, reader);
        break;
    case TAG(ITEM_PRICE, FORM_WORD):
        item->price = finite_of(field->number, reader);
        break;
    case TAG(ITEM_HIDDEN, FORM_VARINT):
        item->hidden = field->number != 0;
        break;
    case TAG(ITEM_PRESENT, FORM_VARINT):
        item->present = (uint32_t)field->number;
        break;
    default:
        reader->failed |= field->tag >> 2 <= ITEM_PRESENT;
    }
}

enum fr_status schema_item_decode(struct fr_slice bytes, struct schema_item *out)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    struct field field = {0};
    schema_item_clear(out);
    while (next_field(&reader, &field))
        take_item_field(&field, out, &reader);
    return reader.failed || out->id.bytes == 0 ? FR_CORRUPT : FR_OK;
}

static void take_user_field(const struct field *field, struct schema_user *user,
                            struct base_reader *reader)
{
    switch (field->tag) {
    case TAG(USER_ID, FORM_BYTES):
        user->id = field->text;
        break;
    case TAG(USER_ATTRIBUTE, FORM_BYTES):
        add_pair(field->text, user->attributes, &user->attribute_count, SCHEMA_LIST_MAX, reader);
        break;
    case TAG(USER_FOLLOWS, FORM_BYTES):
        add_text(field->text, user->follows, &user->follow_count, reader);
        break;
    case TAG(USER_PRESENT, FORM_VARINT):
        user->present = (uint32_t)field->number;
        break;
    default:
        reader->failed |= field->tag >> 2 <= USER_PRESENT;
    }
}

enum fr_status schema_user_decode(struct fr_slice bytes, struct schema_user *out)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    struct field field = {0};
    schema_user_clear(out);
    while (next_field(&reader, &field))
        take_user_field(&field, out, &reader);
    return reader.failed || out->id.bytes == 0 ? FR_CORRUPT : FR_OK;
}

static void take_type_field(const struct field *field, struct schema_type *type,
                            struct base_reader *reader)
{
    float *const numbers[] = {&type->weight, &type->low, &type->high, &type->min, &type->max};
    unsigned number = field->tag >> 2;
    double value;
    switch (field->tag) {
    case TAG(TYPE_NAME, FORM_BYTES):
        memset(type->name, 0, sizeof(type->name));
        if (field->text.bytes == 0 || field->text.bytes >= sizeof(type->name))
            reader->failed = true;
        else
            memcpy(type->name, field->text.ptr, field->text.bytes);
        break;
    case TAG(TYPE_WEIGHT, FORM_WORD):
    case TAG(TYPE_LOW, FORM_WORD):
    case TAG(TYPE_HIGH, FORM_WORD):
    case TAG(TYPE_MIN, FORM_WORD):
    case TAG(TYPE_MAX, FORM_WORD):
        value = finite_of(field->number, reader);
        reader->failed |= fabs(value) > (double)FLT_MAX;
        *numbers[number - TYPE_WEIGHT] = reader->failed ? 0.0f : (float)value;
        break;
    case TAG(TYPE_RULE, FORM_VARINT):
        reader->failed |= field->number >= SCHEMA_VALUE_RULE_COUNT;
        type->rule = reader->failed ? SCHEMA_VALUE_NONE : (enum schema_value_rule)field->number;
        break;
    case TAG(TYPE_FLAGS, FORM_VARINT):
        type->is_exposure = field->number & 1;
        type->is_custom = field->number & 2;
        break;
    default:
        reader->failed |= number <= TYPE_FLAGS;
    }
}

static void take_type(struct fr_slice bytes, struct schema_types *types, struct base_reader *reader)
{
    struct base_reader inner = base_reader_of(bytes.ptr, bytes.bytes);
    struct schema_type type = {.name = ""};
    struct field field = {0};
    while (next_field(&inner, &field))
        take_type_field(&field, &type, &inner);
    if (inner.failed || type.name[0] == '\0' || types->count == SCHEMA_TYPES_MAX)
        reader->failed = true;
    else
        types->row[types->count++] = type;
}

enum fr_status schema_types_decode(struct fr_slice bytes, struct schema_types *out)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    struct schema_types types = {.count = 0};
    struct field field = {0};
    while (next_field(&reader, &field)) {
        if (field.tag == TAG(TYPES_ROW, FORM_BYTES))
            take_type(field.text, &types, &reader);
        else
            reader.failed |= field.tag >> 2 <= TYPES_ROW;
    }
    if (reader.failed || types.count < SCHEMA_BUILT_IN_COUNT)
        return FR_CORRUPT;
    *out = types;
    return FR_OK;
}

/* ---- patches ---------------------------------------------------------------------------- */

static void merge_text(struct fr_slice *base, struct fr_slice patch, bool present)
{
    if (present)
        *base = patch;
}

static void merge_list(struct fr_slice *base, uint32_t *base_count, const struct fr_slice *patch,
                       uint32_t count)
{
    memcpy(base, patch, count * sizeof(*patch));
    *base_count = count;
}

static void merge_pairs(struct schema_pair *base, uint32_t *base_count,
                        const struct schema_pair *patch, uint32_t count)
{
    memcpy(base, patch, count * sizeof(*patch));
    *base_count = count;
}

void schema_item_merge(struct schema_item *base, const struct schema_item *patch)
{
    uint32_t present = patch->present;
    merge_text(&base->title, patch->title, present & SCHEMA_TITLE);
    merge_text(&base->text, patch->text, present & SCHEMA_TEXT);
    merge_text(&base->author, patch->author, present & SCHEMA_AUTHOR);
    merge_text(&base->language, patch->language, present & SCHEMA_LANGUAGE);
    merge_text(&base->image, patch->image, present & SCHEMA_IMAGE);
    if (present & SCHEMA_CATEGORIES)
        merge_list(base->categories, &base->category_count, patch->categories,
                   patch->category_count);
    if (present & SCHEMA_TAGS)
        merge_list(base->tags, &base->tag_count, patch->tags, patch->tag_count);
    if (present & SCHEMA_ATTRIBUTES)
        merge_pairs(base->attributes, &base->attribute_count, patch->attributes,
                    patch->attribute_count);
    if (present & SCHEMA_PUBLISHED)
        base->published_us = patch->published_us;
    if (present & SCHEMA_EXPIRES)
        base->expires_us = patch->expires_us;
    if (present & SCHEMA_LENGTH)
        base->length = patch->length;
    if (present & SCHEMA_PRICE)
        base->price = patch->price;
    if (present & SCHEMA_HIDDEN)
        base->hidden = patch->hidden;
    base->present |= present;
}

void schema_user_merge(struct schema_user *base, const struct schema_user *patch)
{
    if (patch->present & SCHEMA_ATTRIBUTES)
        merge_pairs(base->attributes, &base->attribute_count, patch->attributes,
                    patch->attribute_count);
    if (patch->present & SCHEMA_FOLLOWS)
        merge_list(base->follows, &base->follow_count, patch->follows, patch->follow_count);
    base->present |= patch->present;
}

/* ---- acts ------------------------------------------------------------------------------- */

/* u8 1, then four strings; what a later program adds behind them is passed over. */
void schema_act_encode(const struct schema_act *act, struct base_buf *out)
{
    base_buf_put_u8(out, 1);
    base_buf_put_string(out, act->actor);
    base_buf_put_string(out, act->act);
    base_buf_put_string(out, act->target);
    base_buf_put_string(out, act->detail);
}

enum fr_status schema_act_decode(struct fr_slice bytes, struct schema_act *out)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    struct schema_act act;
    uint8_t version = base_reader_u8(&reader);
    act.actor = base_reader_string(&reader);
    act.act = base_reader_string(&reader);
    act.target = base_reader_string(&reader);
    act.detail = base_reader_string(&reader);
    if (reader.failed || version != 1)
        return FR_CORRUPT;
    *out = act;
    return FR_OK;
}
