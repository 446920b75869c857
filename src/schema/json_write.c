/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: things into JSON, in the form that the readers take. Empty members are left out. Thread:
 * any.
 */
#include "schema/schema_priv.h"

#include <string.h>

static void put_name(struct base_buf *out, const char *name, bool *first)
{
    base_buf_put_u8(out, *first ? '{' : ',');
    *first = false;
    base_buf_put_u8(out, '"');
    base_buf_put_str(out, name);
    base_buf_put(out, "\":", 2);
}

static void put_end(struct base_buf *out, bool empty)
{
    base_buf_put_str(out, empty ? "{}" : "}");
}

static void put_text(struct base_buf *out, const char *name, struct fr_slice text, bool *first)
{
    if (text.bytes == 0)
        return;
    put_name(out, name, first);
    base_buf_json_string(out, text);
}

static void put_time(struct base_buf *out, const char *name, int64_t time_us, bool *first)
{
    if (time_us == 0)
        return;
    put_name(out, name, first);
    base_buf_put_u8(out, '"');
    schema_time_print(time_us, out);
    base_buf_put_u8(out, '"');
}

static void put_number(struct base_buf *out, const char *name, double number, bool *first)
{
    put_name(out, name, first);
    base_buf_json_number(out, number);
}

static void put_list(struct base_buf *out, const char *name, const struct fr_slice *list,
                     uint32_t count, bool *first)
{
    if (count == 0)
        return;
    put_name(out, name, first);
    for (uint32_t i = 0; i < count; i++) {
        base_buf_put_u8(out, i ? ',' : '[');
        base_buf_json_string(out, list[i]);
    }
    base_buf_put_u8(out, ']');
}

static void put_pairs(struct base_buf *out, const struct schema_pair *pairs, uint32_t count,
                      bool *first)
{
    for (uint32_t i = 0; i < count; i++) {
        base_buf_put_u8(out, *first ? '{' : ',');
        *first = false;
        base_buf_json_string(out, pairs[i].key);
        base_buf_put_u8(out, ':');
        base_buf_json_string(out, pairs[i].value);
    }
}

static void put_attributes(struct base_buf *out, const struct schema_pair *pairs, uint32_t count,
                           bool *first)
{
    bool empty = true;
    if (count == 0)
        return;
    put_name(out, "attributes", first);
    put_pairs(out, pairs, count, &empty);
    put_end(out, empty);
}

static bool context_is_empty(const struct schema_context *c)
{
    return c->device.bytes + c->os.bytes + c->country.bytes + c->region.bytes + c->city.bytes +
               c->referrer.bytes + c->language.bytes + c->extra_count ==
           0;
}

static void put_context(struct base_buf *out, const struct schema_context *context, bool *first)
{
    bool empty = true;
    if (context_is_empty(context))
        return;
    put_name(out, "context", first);
    put_text(out, "device", context->device, &empty);
    put_text(out, "os", context->os, &empty);
    put_text(out, "country", context->country, &empty);
    put_text(out, "region", context->region, &empty);
    put_text(out, "city", context->city, &empty);
    put_text(out, "referrer", context->referrer, &empty);
    put_text(out, "language", context->language, &empty);
    put_pairs(out, context->extra, context->extra_count, &empty);
    put_end(out, empty);
}

void schema_event_to_json(const struct schema_event *event, const struct schema_types *types,
                          struct base_buf *out)
{
    bool first = true;
    const char *type = event->type < types->count ? types->row[event->type].name : "";
    put_text(out, "id", event->id, &first);
    put_time(out, "timestamp", event->time_us, &first);
    put_text(out, "user", event->user, &first);
    put_text(out, "session", event->session, &first);
    put_text(out, "item", event->item, &first);
    put_text(out, "type", fr_slice_str(type), &first);
    if (event->has_value)
        put_number(out, "value", event->value, &first);
    put_context(out, &event->context, &first);
    put_text(out, "request", event->request, &first);
    put_end(out, first);
}

void schema_item_to_json(const struct schema_item *item, struct base_buf *out)
{
    bool first = true;
    put_text(out, "id", item->id, &first);
    put_text(out, "title", item->title, &first);
    put_text(out, "text", item->text, &first);
    put_list(out, "categories", item->categories, item->category_count, &first);
    put_list(out, "tags", item->tags, item->tag_count, &first);
    put_text(out, "author", item->author, &first);
    put_time(out, "published", item->published_us, &first);
    put_time(out, "expires", item->expires_us, &first);
    if (item->length > 0)
        put_number(out, "length", item->length, &first);
    if (item->price > 0)
        put_number(out, "price", item->price, &first);
    put_text(out, "language", item->language, &first);
    put_text(out, "image", item->image, &first);
    put_attributes(out, item->attributes, item->attribute_count, &first);
    if (item->hidden) {
        put_name(out, "hidden", &first);
        base_buf_put_str(out, "true");
    }
    put_end(out, first);
}

void schema_user_to_json(const struct schema_user *user, struct base_buf *out)
{
    bool first = true;
    put_text(out, "id", user->id, &first);
    put_attributes(out, user->attributes, user->attribute_count, &first);
    put_list(out, "follows", user->follows, user->follow_count, &first);
    put_end(out, first);
}

void schema_reject_to_json(const struct schema_reject *reject, struct base_buf *out)
{
    bool first = true;
    put_text(out, "path", fr_slice_str(reject->path), &first);
    put_text(out, "rule", fr_slice_str(reject->rule), &first);
    put_name(out, "seen", &first);
    base_buf_json_string(out, fr_slice_str(reject->seen));
    put_text(out, "hint", fr_slice_str(reject->hint), &first);
    put_end(out, first);
}
