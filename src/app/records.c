/* SPDX-License-Identifier: Apache-2.0
 *
 * app records: see records.h.
 */
#include "app/records.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { BASE64 = sodium_base64_VARIANT_ORIGINAL };

static const char head_text[] = "{\"position\":";

static void print_bytes(struct fr_slice payload, struct base_buf *out)
{
    size_t room = sodium_base64_ENCODED_LEN(payload.bytes, BASE64);
    char *text = (char *)base_buf_reserve(out, room);
    if (!text)
        return;
    sodium_bin2base64(text, room, (const unsigned char *)payload.ptr, payload.bytes, BASE64);
    base_buf_commit(out, strlen(text));
}

static void act_member(struct base_buf *out, const char *name, struct fr_slice value)
{
    base_buf_printf(out, ",\"%s\":", name);
    base_buf_json_string(out, value);
}

void app_act_print(const struct schema_act *act, const struct journal_record *record,
                   struct base_buf *out)
{
    base_buf_printf(out, "{\"position\":%" PRIu64 ",\"time\":\"", record->position);
    schema_time_print(record->received_us, out);
    base_buf_put_str(out, "\"");
    act_member(out, "actor", act->actor);
    act_member(out, "act", act->act);
    act_member(out, "target", act->target);
    act_member(out, "detail", act->detail);
    base_buf_put_str(out, "}");
}

/* What the record says, spelt out; nothing for the fold's own kinds. */
static void print_meaning(const struct journal_record *record, const struct schema_types *types,
                          struct base_buf *out)
{
    struct schema_event event;
    struct schema_item item;
    struct schema_user user;
    struct schema_act act;
    switch (record->kind) {
    case SCHEMA_KIND_EVENT:
        if (schema_event_decode(record->payload, &event) == FR_OK) {
            base_buf_put_str(out, ",\"event\":");
            schema_event_to_json(&event, types, out);
        }
        break;
    case SCHEMA_KIND_ITEM:
    case SCHEMA_KIND_ITEM_PATCH:
        if (schema_item_decode(record->payload, &item) == FR_OK) {
            base_buf_put_str(out, record->kind == SCHEMA_KIND_ITEM ? ",\"item\":" : ",\"patch\":");
            schema_item_to_json(&item, out);
        }
        break;
    case SCHEMA_KIND_USER:
    case SCHEMA_KIND_USER_PATCH:
        if (schema_user_decode(record->payload, &user) == FR_OK) {
            base_buf_put_str(out, record->kind == SCHEMA_KIND_USER ? ",\"user\":" : ",\"patch\":");
            schema_user_to_json(&user, out);
        }
        break;
    case SCHEMA_KIND_ITEM_DELETE:
    case SCHEMA_KIND_USER_DELETE:
        base_buf_put_str(out, ",\"deleted\":");
        base_buf_json_string(out, record->payload);
        break;
    case SCHEMA_KIND_AUDIT:
        if (schema_act_decode(record->payload, &act) == FR_OK) {
            base_buf_put_str(out, ",\"act\":");
            app_act_print(&act, record, out);
        }
        break;
    default:
        break;
    }
}

void app_record_print(const struct journal_record *record, const struct schema_types *types,
                      struct base_buf *out)
{
    base_buf_printf(out, "%s%" PRIu64 ",\"received\":%" PRId64 ",\"kind\":%u,\"bytes\":\"",
                    head_text, record->position, record->received_us, record->kind);
    print_bytes(record->payload, out);
    base_buf_put_str(out, "\"");
    print_meaning(record, types, out);
    base_buf_put_str(out, "}\n");
}

bool app_record_is_line(struct fr_slice head)
{
    return head.bytes >= sizeof(head_text) - 1 &&
           memcmp(head.ptr, head_text, sizeof(head_text) - 1) == 0;
}

enum fr_status app_record_parse(struct fr_slice line, struct base_buf *payload,
                                struct journal_record *out_record)
{
    struct journal_record record = {0};
    unsigned kind = 0;
    int used = 0;
    base_buf_clear(payload);
    if (!app_record_is_line(line) ||
        sscanf(line.ptr,
               "{\"position\":%" SCNu64 ",\"received\":%" SCNd64 ",\"kind\":%u,\"bytes\":\"%n",
               &record.position, &record.received_us, &kind, &used) != 3 ||
        used <= 0 || kind > UINT8_MAX)
        return FR_INVALID;
    const char *text = line.ptr + used;
    const char *end = memchr(text, '"', line.bytes - (size_t)used);
    if (!end)
        return FR_INVALID;
    size_t bytes = 0, room = (size_t)(end - text);
    uint8_t *to = base_buf_reserve(payload, room + 1);
    if (!to || sodium_base642bin(to, room + 1, text, room, NULL, &bytes, NULL, BASE64) != 0)
        return FR_INVALID;
    base_buf_commit(payload, bytes);
    record.kind = (uint8_t)kind;
    record.payload = base_buf_slice(payload);
    *out_record = record;
    return FR_OK;
}
