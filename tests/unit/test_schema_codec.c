/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: binary codecs: what goes in comes out; every cut and every flipped byte is either read
 * as something valid or refused, never read outside; unknown fields are skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/schema.h"

#define S(text) FR_SLICE(text)

static void event_full(struct schema_event *event)
{
    schema_event_clear(event);
    event->key = (struct base_hash128){.lo = 0x0123456789abcdef, .hi = 0xfedcba9876543210};
    event->id = S("event-1");
    event->user = S("user-1");
    event->session = S("s-9");
    event->item = S("item-42");
    event->request = S("req-7");
    event->time_us = 1795498215123456;
    event->value = 0;
    event->has_value = true;
    event->type = SCHEMA_SCROLL;
    event->context.device = S("phone");
    event->context.os = S("ios");
    event->context.country = S("BR");
    event->context.region = S("RJ");
    event->context.city = S("Rio");
    event->context.referrer = S("search");
    event->context.language = S("pt");
    event->context.extra[0] = (struct schema_pair){S("k"), S("v")};
    event->context.extra[1] = (struct schema_pair){S("empty"), {0}};
    event->context.extra_count = 2;
}

static void assert_events_equal(const struct schema_event *a, const struct schema_event *b)
{
    assert_true(a->key.lo == b->key.lo && a->key.hi == b->key.hi);
    assert_true(fr_slice_equal(a->id, b->id) && fr_slice_equal(a->user, b->user));
    assert_true(fr_slice_equal(a->session, b->session) && fr_slice_equal(a->item, b->item));
    assert_true(fr_slice_equal(a->request, b->request));
    assert_true(a->time_us == b->time_us && a->value == b->value && a->has_value == b->has_value);
    assert_int_equal(a->type, b->type);
    const struct schema_context *c = &a->context, *d = &b->context;
    assert_true(fr_slice_equal(c->device, d->device) && fr_slice_equal(c->os, d->os) &&
                fr_slice_equal(c->country, d->country) && fr_slice_equal(c->region, d->region) &&
                fr_slice_equal(c->city, d->city) && fr_slice_equal(c->referrer, d->referrer) &&
                fr_slice_equal(c->language, d->language));
    assert_int_equal(c->extra_count, d->extra_count);
    for (uint32_t i = 0; i < c->extra_count; i++)
        assert_true(fr_slice_equal(c->extra[i].key, d->extra[i].key) &&
                    fr_slice_equal(c->extra[i].value, d->extra[i].value));
}

static void test_event_round_trip(void **state)
{
    (void)state;
    struct schema_event event, copy;
    struct base_buf out;
    base_buf_init(&out, 0);
    event_full(&event);
    schema_event_encode(&event, &out);
    assert_int_equal(schema_event_decode(base_buf_slice(&out), &copy), FR_OK);
    assert_events_equal(&event, &copy);

    base_buf_clear(&out);
    schema_event_clear(&event);
    event.user = S("u");
    event.item = S("i");
    event.time_us = 1795498215123456;
    schema_event_encode(&event, &out);
    assert_true(out.count < 20);
    assert_int_equal(schema_event_decode(base_buf_slice(&out), &copy), FR_OK);
    assert_events_equal(&event, &copy);
    assert_false(copy.has_value);
    base_buf_release(&out);
}

/* Exact copies on the heap, so that a sanitizer sees any read outside. */
static enum fr_status decode_exact(const uint8_t *bytes, size_t count)
{
    static struct schema_event event;
    static struct schema_item item;
    static struct schema_user user;
    static struct schema_types types;
    uint8_t *copy = malloc(count + 1);
    memcpy(copy, bytes, count);
    copy = realloc(copy, count ? count : 1);
    struct fr_slice text = fr_slice_of((const char *)copy, count);
    enum fr_status status = schema_event_decode(text, &event);
    fr_ignore(schema_item_decode(text, &item), "only must not crash");
    fr_ignore(schema_user_decode(text, &user), "only must not crash");
    fr_ignore(schema_types_decode(text, &types), "only must not crash");
    free(copy);
    return status;
}

static void test_event_damage(void **state)
{
    (void)state;
    struct schema_event event;
    struct base_buf out;
    base_buf_init(&out, 0);
    event_full(&event);
    schema_event_encode(&event, &out);
    for (size_t count = 0; count < out.count; count++) {
        enum fr_status status = decode_exact(out.bytes, count);
        assert_true(status == FR_OK || status == FR_CORRUPT);
        if (count < 40)
            assert_int_equal(status, FR_CORRUPT); /* neither item nor time */
    }
    for (size_t i = 0; i < out.count; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            out.bytes[i] ^= (uint8_t)(1u << bit);
            enum fr_status status = decode_exact(out.bytes, out.count);
            assert_true(status == FR_OK || status == FR_CORRUPT);
            out.bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    base_buf_release(&out);
}

static void put_minimal(struct base_buf *out)
{
    struct schema_event event;
    schema_event_clear(&event);
    event.user = S("u");
    event.item = S("i");
    event.time_us = 1;
    schema_event_encode(&event, out);
}

static void test_event_absurd(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        enum fr_status status;
    } tails[] = {
        {"", 0, FR_OK},
        {"\xfc\x07\x05", 3, FR_OK}, /* unknown 255, varint */
        {"\xfd\x07"
         "12345678",
         10, FR_OK}, /* unknown, word */
        {"\xfe\x07\x03"
         "abc",
         6, FR_OK}, /* unknown, bytes */
        {"\xff\x07"
         "0123456789abcdef",
         18, FR_OK}, /* unknown, hash */
        {"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"
         "a",
         12, FR_OK}, /* a 64-bit field number */
        {"\xfe\x07\x04"
         "abc",
         6, FR_CORRUPT}, /* longer than there is */
        {"\xfe\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, FR_CORRUPT}, /* length 2^64-1 */
        {"\xfe\x07\xff\xff\xff\xff\x0f", 7, FR_CORRUPT},                      /* length 2^32-1 */
        {"\xfe\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 12, FR_CORRUPT}, /* over 64 bits */
        {"\x24\x20", 2, FR_CORRUPT},                                          /* type 32 */
        {"\x24\x1f", 2, FR_OK},                                               /* type 31 */
        {"\x0c\x01", 2, FR_CORRUPT},                                          /* user in form 0 */
        {"\x00\x01", 2, FR_CORRUPT},                                          /* field 0 */
        {"\x21\x00\x00\x00\x00\x00\x00\xf0\x7f", 9, FR_CORRUPT},              /* value +inf */
        {"\x21\x00\x00\x00\x00\x00\x00\xf8\x7f", 9, FR_CORRUPT},              /* value NaN */
        {"\x46\x00", 2, FR_CORRUPT},      /* a pair of nothing */
        {"\x46\x02\x05k", 4, FR_CORRUPT}, /* its key longer than it */
        {"\x46\x01\x00", 3, FR_OK},       /* empty key, empty value */
    };
    for (size_t i = 0; i < FR_COUNT_OF(tails); i++) {
        struct base_buf out;
        base_buf_init(&out, 0);
        put_minimal(&out);
        base_buf_put(&out, tails[i].bytes, tails[i].count);
        enum fr_status status = decode_exact(out.bytes, out.count);
        if (status != tails[i].status)
            fail_msg("tail %zu gave %d", i, (int)status);
        base_buf_release(&out);
    }
    struct base_buf out;
    base_buf_init(&out, 0);
    put_minimal(&out);
    for (int i = 0; i < SCHEMA_CONTEXT_EXTRA_MAX + 1; i++)
        base_buf_put(&out, "\x46\x02\x01k", 4);
    assert_int_equal(decode_exact(out.bytes, out.count), FR_CORRUPT);
    base_buf_release(&out);
}

static void item_full(struct schema_item *item)
{
    schema_item_clear(item);
    item->id = S("i");
    item->title = S("A title");
    item->text = S("A text\nof lines");
    item->author = S("author");
    item->language = S("en");
    item->image = S("/a.png");
    for (uint32_t i = 0; i < SCHEMA_LIST_MAX; i++) {
        item->categories[item->category_count++] = S("news");
        item->tags[item->tag_count++] = S("tag");
        item->attributes[item->attribute_count++] = (struct schema_pair){S("k"), S("v")};
    }
    item->published_us = 1795498215123456;
    item->expires_us = 1895498215123456;
    item->length = 93.5;
    item->price = 12.25;
    item->hidden = true;
    item->present = 0x1fff;
}

static void test_item_round_trip(void **state)
{
    (void)state;
    static struct schema_item item, copy;
    struct base_buf out;
    base_buf_init(&out, 0);
    item_full(&item);
    schema_item_encode(&item, &out);
    assert_int_equal(schema_item_decode(base_buf_slice(&out), &copy), FR_OK);
    assert_true(fr_slice_equal(copy.title, item.title) && fr_slice_equal(copy.text, item.text));
    assert_true(copy.length == item.length && copy.price == item.price && copy.hidden);
    assert_true(copy.published_us == item.published_us && copy.expires_us == item.expires_us);
    assert_int_equal(copy.category_count, SCHEMA_LIST_MAX);
    assert_int_equal(copy.attribute_count, SCHEMA_LIST_MAX);
    assert_true(fr_slice_equal(copy.attributes[63].value, S("v")));
    assert_int_equal(copy.present, 0x1fff);
    base_buf_put(&out, "\x1e\x01x", 3); /* the 65th category */
    assert_int_equal(schema_item_decode(base_buf_slice(&out), &copy), FR_CORRUPT);
    for (size_t count = 0; count < out.count; count++)
        fr_ignore(decode_exact(out.bytes, count), "only must not crash");
    base_buf_release(&out);
}

static void test_user_round_trip(void **state)
{
    (void)state;
    static struct schema_user user, copy;
    struct base_buf out;
    base_buf_init(&out, 0);
    schema_user_clear(&user);
    user.id = S("u");
    user.attributes[0] = (struct schema_pair){S("age"), S("24")};
    user.attribute_count = 1;
    user.follows[0] = S("author");
    user.follow_count = 1;
    user.present = SCHEMA_ATTRIBUTES | SCHEMA_FOLLOWS;
    schema_user_encode(&user, &out);
    assert_int_equal(schema_user_decode(base_buf_slice(&out), &copy), FR_OK);
    assert_true(fr_slice_equal(copy.attributes[0].value, S("24")));
    assert_true(fr_slice_equal(copy.follows[0], S("author")));
    assert_int_equal(copy.present, user.present);
    assert_int_equal(schema_user_decode(S(""), &copy), FR_CORRUPT);
    base_buf_release(&out);
}

static void test_types_round_trip(void **state)
{
    (void)state;
    struct schema_types types, copy;
    struct base_buf out;
    base_buf_init(&out, 0);
    schema_types_init(&types);
    struct schema_type own = {.name = "bookmark", .weight = -0.25f, .rule = SCHEMA_VALUE_ANY};
    assert_int_equal(schema_types_set(&types, &own, NULL), FR_OK);
    schema_types_encode(&types, &out);
    assert_int_equal(schema_types_decode(base_buf_slice(&out), &copy), FR_OK);
    assert_int_equal(copy.count, types.count);
    for (uint32_t i = 0; i < types.count; i++) {
        assert_string_equal(copy.row[i].name, types.row[i].name);
        assert_true(copy.row[i].weight == types.row[i].weight &&
                    copy.row[i].low == types.row[i].low && copy.row[i].max == types.row[i].max &&
                    copy.row[i].rule == types.row[i].rule &&
                    copy.row[i].is_custom == types.row[i].is_custom &&
                    copy.row[i].is_exposure == types.row[i].is_exposure);
    }
    for (size_t count = 0; count < out.count; count++)
        fr_ignore(decode_exact(out.bytes, count), "only must not crash");
    base_buf_release(&out);
}

static void test_item_patch(void **state)
{
    (void)state;
    static struct schema_item base, patch;
    item_full(&base);
    schema_item_clear(&patch);
    patch.id = S("i");
    patch.title = S("New");
    patch.categories[0] = S("sport");
    patch.category_count = 1;
    patch.present = SCHEMA_TITLE | SCHEMA_CATEGORIES | SCHEMA_HIDDEN | SCHEMA_TEXT;
    schema_item_merge(&base, &patch);
    assert_true(fr_slice_equal(base.title, S("New")));
    assert_int_equal(base.category_count, 1);
    assert_int_equal(base.tag_count, SCHEMA_LIST_MAX);
    assert_int_equal(base.text.bytes, 0); /* present and empty: taken away */
    assert_false(base.hidden);
    assert_true(base.price == 12.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_round_trip), cmocka_unit_test(test_event_damage),
        cmocka_unit_test(test_event_absurd),     cmocka_unit_test(test_item_round_trip),
        cmocka_unit_test(test_user_round_trip),  cmocka_unit_test(test_types_round_trip),
        cmocka_unit_test(test_item_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
