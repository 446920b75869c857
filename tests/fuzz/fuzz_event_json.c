/* SPDX-License-Identifier: Apache-2.0
 *
 * Events from JSON. What was accepted keeps the rules, survives its bytes and its own JSON; what
 * simdjson takes as JSON the scanner takes too, and the other way round but for UTF-8, sizes and
 * depth.
 */
#include "schema/schema.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema_json *json, *other;
static struct schema_types types;
static struct base_buf one, two, text;

static void start(void)
{
    if (json)
        return;
    schema_types_init(&types);
    FR_ASSERT(schema_json_new(1 << 20, &json) == FR_OK);
    FR_ASSERT(schema_json_new(1 << 20, &other) == FR_OK);
}

static void encode(const struct schema_event *event, struct base_buf *out)
{
    base_buf_clear(out);
    schema_event_encode(event, out);
}

static void check_accepted(const struct schema_event *event)
{
    struct schema_event copy;
    struct schema_reject reject;
    FR_ASSERT(schema_event_check(&types, event, &reject) == FR_OK);
    encode(event, &one);
    FR_ASSERT(schema_event_decode(base_buf_slice(&one), &copy) == FR_OK);
    encode(&copy, &two);
    FR_ASSERT(fr_slice_equal(base_buf_slice(&one), base_buf_slice(&two)));
    base_buf_clear(&text);
    schema_event_to_json(event, &types, &text);
    FR_ASSERT(schema_event_from_json(other, &types, base_buf_slice(&text), 0, &copy, &reject) ==
              FR_OK);
    encode(&copy, &two);
    FR_ASSERT(fr_slice_equal(base_buf_slice(&one), base_buf_slice(&two)));
}

/* The two readers of JSON agree. */
static void check_refused(struct fr_slice input, const struct schema_reject *reject)
{
    static const char *const beyond_grammar[] = {
        "is nested too deeply",
        "is not valid UTF-8",
        "has a number that is malformed or too large",
        "must be a JSON object",
        "has more than 64 members",
        "is too long",
    };
    const char *what;
    bool well_formed = schema_json_fault(input, &what) < 0;
    FR_ASSERT(reject->rule[0] != '\0' && schema_utf8_valid(fr_slice_str(reject->seen)));
    FR_ASSERT(schema_utf8_valid(fr_slice_str(reject->path)));
    if (strcmp(reject->path, "$") != 0) {
        FR_ASSERT(well_formed || memmem(input.ptr, input.bytes, "\\u", 2));
        return;
    }
    bool beyond = false;
    for (size_t i = 0; i < FR_COUNT_OF(beyond_grammar); i++)
        beyond |= strcmp(reject->rule, beyond_grammar[i]) == 0;
    FR_ASSERT(beyond || !well_formed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema_event event;
    struct schema_reject reject = {.path = ""};
    struct fr_slice input = fr_slice_of((const char *)data, size);
    start();
    enum fr_status status =
        schema_event_from_json(json, &types, input, 1795498215000000, &event, &reject);
    if (status == FR_OK)
        check_accepted(&event);
    else if (status == FR_INVALID)
        check_refused(input, &reject);
    return 0;
}
