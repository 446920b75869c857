/* SPDX-License-Identifier: Apache-2.0
 *
 * Items and users from JSON, and bodies split into them: what was accepted survives its bytes and
 * its own JSON.
 */
#include "schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema_json *json, *other;
static struct base_buf one, two, text;
static struct schema_item item, item_copy;
static struct schema_user user, user_copy;

static void start(void)
{
    if (json)
        return;
    FR_ASSERT(schema_json_new(1 << 20, &json) == FR_OK);
    FR_ASSERT(schema_json_new(1 << 20, &other) == FR_OK);
}

static void same(void)
{
    FR_ASSERT(fr_slice_equal(base_buf_slice(&one), base_buf_slice(&two)));
}

static void clear(void)
{
    base_buf_clear(&one);
    base_buf_clear(&two);
    base_buf_clear(&text);
}

static void check_item(struct fr_slice input)
{
    struct schema_reject reject;
    if (schema_item_from_json(json, input, &item, &reject) != FR_OK)
        return;
    clear();
    schema_item_encode(&item, &one);
    FR_ASSERT(schema_item_decode(base_buf_slice(&one), &item_copy) == FR_OK);
    schema_item_encode(&item_copy, &two);
    same();
    schema_item_to_json(&item, &text);
    FR_ASSERT(schema_item_from_json(other, base_buf_slice(&text), &item_copy, &reject) == FR_OK);
    item.present = item_copy.present; /* empty members are not written */
    clear();
    schema_item_encode(&item, &one);
    schema_item_encode(&item_copy, &two);
    same();
}

static void check_user(struct fr_slice input)
{
    struct schema_reject reject;
    if (schema_user_from_json(json, input, &user, &reject) != FR_OK)
        return;
    clear();
    schema_user_encode(&user, &one);
    FR_ASSERT(schema_user_decode(base_buf_slice(&one), &user_copy) == FR_OK);
    schema_user_encode(&user_copy, &two);
    same();
    schema_user_to_json(&user, &text);
    FR_ASSERT(schema_user_from_json(other, base_buf_slice(&text), &user_copy, &reject) == FR_OK);
}

static enum fr_status each(void *context, uint32_t index, struct fr_slice part)
{
    const struct fr_slice *input = context;
    FR_ASSERT(index < 100 && part.ptr >= input->ptr &&
              part.ptr + part.bytes <= input->ptr + input->bytes);
    check_item(part);
    check_user(part);
    return FR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fr_slice input = fr_slice_of((const char *)data, size);
    struct fr_error error;
    start();
    fr_ignore(schema_json_split(json, input, 100, each, &input, &error), "any status is right");
    return 0;
}
