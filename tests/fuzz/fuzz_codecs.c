/* SPDX-License-Identifier: Apache-2.0
 *
 * The binary codecs: any bytes either decode to something that encodes and decodes to itself, or
 * are refused.
 */
#include "schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct base_buf one, two;
static struct schema_event event;
static struct schema_item item;
static struct schema_user user;
static struct schema_types types;

static void same(void)
{
    FR_ASSERT(fr_slice_equal(base_buf_slice(&one), base_buf_slice(&two)));
    base_buf_clear(&one);
    base_buf_clear(&two);
}

static void check_event(struct fr_slice input)
{
    if (schema_event_decode(input, &event) != FR_OK)
        return;
    schema_event_encode(&event, &one);
    FR_ASSERT(schema_event_decode(base_buf_slice(&one), &event) == FR_OK);
    schema_event_encode(&event, &two);
    FR_ASSERT(fr_slice_equal(base_buf_slice(&one), base_buf_slice(&two)));
    schema_types_init(&types);
    base_buf_clear(&two);
    schema_event_to_json(&event, &types, &two); /* the event borrows from `one` */
    base_buf_clear(&one);
    base_buf_clear(&two);
}

static void check_item(struct fr_slice input)
{
    if (schema_item_decode(input, &item) != FR_OK)
        return;
    schema_item_encode(&item, &one);
    FR_ASSERT(schema_item_decode(base_buf_slice(&one), &item) == FR_OK);
    schema_item_encode(&item, &two);
    same();
}

static void check_user(struct fr_slice input)
{
    if (schema_user_decode(input, &user) != FR_OK)
        return;
    schema_user_encode(&user, &one);
    FR_ASSERT(schema_user_decode(base_buf_slice(&one), &user) == FR_OK);
    schema_user_encode(&user, &two);
    same();
}

static void check_types(struct fr_slice input)
{
    if (schema_types_decode(input, &types) != FR_OK)
        return;
    schema_types_encode(&types, &one);
    FR_ASSERT(schema_types_decode(base_buf_slice(&one), &types) == FR_OK);
    schema_types_encode(&types, &two);
    same();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fr_slice input = fr_slice_of((const char *)data, size);
    check_event(input);
    check_item(input);
    check_user(input);
    check_types(input);
    return 0;
}
