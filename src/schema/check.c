/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: the rules on values, in one place for every format. Each fault names the path, the rule
 * broken, the value seen and what to do. Thread: any.
 *
 * Rules
 *   S1: an id (user, item, session, request, event) has 1 to 256 bytes of valid UTF-8, is not blank
 *       and has no control characters. Compared byte by byte, never normalised.
 *   S2: texts are valid UTF-8; lines have no control characters, blocks may have tab and newline.
 *   S3: numbers are finite, and within the bounds of their type.
 *   S4: times lie from 1970-01-02 to 9999-12-31; the future is the fold's to clamp.
 *   S5: every list has its named maximum; keys of one object are distinct.
 */
#include "schema/schema_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LOW_BITS 0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

const uint8_t schema_default_key[16] = "Freshet dedupe 1";

struct base_hash128 schema_dedupe_key(struct fr_slice id, const uint8_t key[16])
{
    return base_siphash128(id.ptr, id.bytes, key);
}

/* ---- text ------------------------------------------------------------------------------- */

/* Unicode 15, table 3-7: the second byte's bounds and the length, by the first byte. */
static const struct {
    unsigned char first, last, second_min, second_max;
    size_t count;
} utf8_rows[] = {
    {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* Length of the UTF-8 sequence at `at`, 0 when it is not one. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    size_t row = 0;
    if (at[0] < 0x80)
        return 1;
    while (row < FR_COUNT_OF(utf8_rows) && at[0] > utf8_rows[row].last)
        row++;
    if (row == FR_COUNT_OF(utf8_rows) || at[0] < utf8_rows[row].first ||
        utf8_rows[row].count > left)
        return 0;
    if (at[1] < utf8_rows[row].second_min || at[1] > utf8_rows[row].second_max)
        return 0;
    for (size_t i = 2; i < utf8_rows[row].count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return utf8_rows[row].count;
}

bool schema_utf8_valid(struct fr_slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    for (size_t i = 0, step; i < text.bytes; i += step) {
        step = utf8_sequence(at + i, text.bytes - i);
        if (step == 0)
            return false;
    }
    return true;
}

/* Whether any byte of the word is below 0x20, 0x7f, or above 0x7f (may also say yes in vain). */
static bool word_is_special(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t below = (word - LOW_BITS * 0x20) & ~word;
    uint64_t del = word ^ (LOW_BITS * 0x7f);
    return ((below | word | ((del - LOW_BITS) & ~del)) & HIGH_BITS) != 0;
}

static bool is_control(unsigned char c, enum schema__text_kind kind)
{
    if (kind == SCHEMA__TEXT_BLOCK && (c == '\t' || c == '\n' || c == '\r'))
        return false;
    return c < 0x20 || c == 0x7f;
}

/* UTF-8 and the C1 controls (U+0080 .. U+009F), byte by byte. */
static const char *unicode_fault(struct fr_slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    if (!schema_utf8_valid(text))
        return "must be valid UTF-8";
    for (size_t i = 0; i + 1 < text.bytes; i++)
        if (at[i] == 0xc2 && at[i + 1] < 0xa0)
            return "must not contain control characters";
    return NULL;
}

/* The same for texts of 4 to 7 bytes: their first and last four. */
static bool few_are_special(const char *at, size_t bytes)
{
    char eight[8];
    memcpy(eight, at, 4);
    memcpy(eight + 4, at + bytes - 4, 4);
    return word_is_special(eight);
}

/* Most texts are plain ASCII: told by whole words, the last one overlapping. */
static bool is_plain(struct fr_slice text)
{
    if (text.bytes < 4)
        return false;
    if (text.bytes < 8)
        return !few_are_special(text.ptr, text.bytes);
    for (size_t i = 0; i + 8 < text.bytes; i += 8)
        if (word_is_special(text.ptr + i))
            return false;
    return !word_is_special(text.ptr + text.bytes - 8);
}

const char *schema__text_fault(struct fr_slice text, size_t bytes_max, enum schema__text_kind kind)
{
    bool unicode = false;
    if (text.bytes > bytes_max)
        return "is too long";
    if (is_plain(text))
        return NULL;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_control(c, kind))
            return "must not contain control characters";
        unicode |= c >= 0x80;
    }
    return unicode ? unicode_fault(text) : NULL;
}

/* Spaces of Unicode and what has no width, as UTF-8: an id of nothing else is blank. */
static size_t blank_sequence(const char *at, size_t left)
{
    static const char *const blanks[] = {
        " ",
        "\xc2\xa0",
        "\xe1\x9a\x80",
        "\xe2\x80\xa8",
        "\xe2\x80\xa9",
        "\xe2\x80\xaf",
        "\xe2\x81\x9f",
        "\xe2\x81\xa0",
        "\xe3\x80\x80",
        "\xef\xbb\xbf",
    };
    for (size_t i = 0; i < FR_COUNT_OF(blanks); i++) {
        size_t count = strlen(blanks[i]);
        if (count <= left && memcmp(at, blanks[i], count) == 0)
            return count;
    }
    /* U+2000 .. U+200F: en quad to right-to-left mark */
    if (left >= 3 && memcmp(at, "\xe2\x80", 2) == 0 && (unsigned char)at[2] <= 0x8f)
        return 3;
    return 0;
}

static bool is_blank(struct fr_slice text)
{
    size_t i = 0, step;
    for (; i < text.bytes; i += step) {
        step = blank_sequence(text.ptr + i, text.bytes - i);
        if (step == 0)
            return false;
    }
    return true;
}

const char *schema_id_fault(struct fr_slice id)
{
    if (id.bytes == 0)
        return "must not be empty";
    if (id.bytes > SCHEMA_ID_BYTES_MAX)
        return "must not be longer than 256 bytes";
    const char *fault = schema__text_fault(id, SCHEMA_ID_BYTES_MAX, SCHEMA__TEXT_LINE);
    if (fault)
        return fault;
    unsigned char first = (unsigned char)id.ptr[0];
    if ((first == ' ' || first >= 0x80) && is_blank(id))
        return "must not be blank";
    return NULL;
}

/* ---- rejects ---------------------------------------------------------------------------- */

void schema__seen(char *out, size_t bytes, struct fr_slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t used = 0;
    for (size_t i = 0, step; i < text.bytes; i += step) {
        if (used + 8 > bytes) { /* an escape or a sequence, the dots and NUL must fit */
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        step = utf8_sequence(at + i, text.bytes - i);
        bool plain = step > 1 ? !(at[i] == 0xc2 && at[i + 1] < 0xa0)
                              : step == 1 && !is_control(at[i], SCHEMA__TEXT_LINE);
        if (plain) {
            memcpy(out + used, at + i, step);
            used += step;
        } else {
            step = 1;
            used += (size_t)snprintf(out + used, 5, "\\x%02x", at[i]);
        }
    }
    out[used] = '\0';
}

enum fr_status schema_reject_set(struct schema_reject *reject, const char *path, const char *rule,
                                 struct fr_slice seen, const char *hint)
{
    snprintf(reject->path, sizeof(reject->path), "%s", path);
    snprintf(reject->rule, sizeof(reject->rule), "%s", rule);
    schema__seen(reject->seen, sizeof(reject->seen), seen);
    snprintf(reject->hint, sizeof(reject->hint), "%s", hint ? hint : "");
    return FR_INVALID;
}

void schema__path_member(char *out, size_t bytes, const char *prefix, struct fr_slice name)
{
    char shown[48];
    bool plain = name.bytes > 0 && name.bytes < sizeof(shown) - 8;
    for (size_t i = 0; plain && i < name.bytes; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        plain = (c | 0x20) - (unsigned)'a' < 26 || c - (unsigned)'0' < 10 || c == '_';
    }
    schema__seen(shown, sizeof(shown), name);
    snprintf(out, bytes, plain ? "%s.%s" : "%s[\"%s\"]", prefix, shown);
}

/* ---- nearest name ----------------------------------------------------------------------- */

/* Edits (insert, drop, replace, swap of neighbours) between two short texts, at most 3. */
static unsigned edits(struct fr_slice a, struct fr_slice b)
{
    enum { LONG = 33 };
    unsigned row[3][LONG];
    if (a.bytes >= LONG || b.bytes >= LONG)
        return 3;
    for (unsigned j = 0; j <= b.bytes; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.bytes; i++) {
        unsigned *now = row[i % 3], *above = row[(i + 2) % 3], *above2 = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.bytes; j++) {
            unsigned replace = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            now[j] = FR_MIN(replace, FR_MIN(above[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                now[j] = FR_MIN(now[j], above2[j - 2] + 1);
        }
    }
    return FR_MIN(row[a.bytes % 3][b.bytes], 3u);
}

static const char *synonym(struct fr_slice text)
{
    static const char *const pairs[][2] = {
        {"user_id", "user"},
        {"userid", "user"},
        {"visitor", "user"},
        {"item_id", "item"},
        {"itemid", "item"},
        {"product", "item"},
        {"product_id", "item"},
        {"article", "item"},
        {"content_id", "item"},
        {"event", "type"},
        {"event_type", "type"},
        {"action", "type"},
        {"feedback_type", "type"},
        {"time", "timestamp"},
        {"ts", "timestamp"},
        {"date", "timestamp"},
        {"datetime", "timestamp"},
        {"created_at", "timestamp"},
        {"rating", "value"},
        {"score", "value"},
        {"stars", "value"},
        {"price", "value"},
        {"session_id", "session"},
        {"sid", "session"},
        {"event_id", "id"},
        {"request_id", "request"},
        {"name", "title"},
        {"description", "text"},
        {"body", "text"},
        {"genres", "categories"},
        {"category", "categories"},
        {"labels", "tags"},
        {"keywords", "tags"},
        {"creator", "author"},
        {"published_at", "published"},
        {"expires_at", "expires"},
        {"expiry", "expires"},
        {"duration", "length"},
        {"lang", "language"},
        {"image_url", "image"},
        {"is_hidden", "hidden"},
        {"properties", "attributes"},
        {"following", "follows"},
        {"itemId", "item"},
        {"userId", "user"},
        {"like", "like"},
        {"buy", "purchase"},
        {"order", "purchase"},
        {"cart", "add_to_cart"},
        {"impression", "exposure"},
        {"pageview", "view"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(pairs); i++)
        if (fr_slice_equal(fr_slice_str(pairs[i][0]), text))
            return pairs[i][1];
    return NULL;
}

const char *schema_nearest(struct fr_slice text, const char *const *names, size_t count)
{
    const char *best = NULL, *other = synonym(text);
    unsigned best_edits = text.bytes <= 3 ? 2 : 3;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = edits(text, fr_slice_str(names[i]));
        if (distance < best_edits) {
            best_edits = distance;
            best = names[i];
        }
    }
    for (size_t i = 0; other && i < count; i++)
        if (strcmp(other, names[i]) == 0)
            return best_edits == 0 ? best : names[i];
    return best;
}

/* ---- things ----------------------------------------------------------------------------- */

void schema_event_clear(struct schema_event *event)
{
    memset(event, 0, offsetof(struct schema_event, context.extra));
    event->context.extra_count = 0;
}

void schema_item_clear(struct schema_item *item)
{
    item->id = item->title = item->text = item->author = (struct fr_slice){0};
    item->language = item->image = (struct fr_slice){0};
    item->category_count = item->tag_count = item->attribute_count = 0;
    item->published_us = item->expires_us = 0;
    item->length = item->price = 0;
    item->hidden = false;
    item->present = 0;
}

void schema_user_clear(struct schema_user *user)
{
    user->id = (struct fr_slice){0};
    user->attribute_count = user->follow_count = 0;
    user->present = 0;
}

static enum fr_status check_id(struct fr_slice id, const char *path, bool required,
                               struct schema_reject *reject)
{
    if (id.bytes == 0 && !required)
        return FR_OK;
    if (id.ptr == NULL)
        return schema_reject_set(reject, path, "is required", id, NULL);
    const char *fault = schema_id_fault(id);
    return fault ? schema_reject_set(reject, path, fault, id, NULL) : FR_OK;
}

static enum fr_status check_line(struct fr_slice text, size_t bytes_max, const char *path,
                                 struct schema_reject *reject)
{
    const char *fault = text.bytes ? schema__text_fault(text, bytes_max, SCHEMA__TEXT_LINE) : NULL;
    char hint[48];
    if (!fault)
        return FR_OK;
    snprintf(hint, sizeof(hint), "at most %zu bytes", bytes_max);
    return schema_reject_set(reject, path, fault, text, text.bytes > bytes_max ? hint : NULL);
}

static enum fr_status check_pairs(const struct schema_pair *pairs, uint32_t count,
                                  const char *prefix, size_t value_bytes_max,
                                  struct schema_reject *reject)
{
    char path[sizeof(reject->path)];
    for (uint32_t i = 0; i < count; i++) {
        struct fr_slice key = pairs[i].key;
        const char *fault = key.bytes == 0
                                ? "must have a name"
                                : schema__text_fault(key, SCHEMA__KEY_BYTES_MAX, SCHEMA__TEXT_LINE);
        if (fault)
            return schema_reject_set(reject, prefix, fault, key, "names have 1 to 128 bytes");
        const char *value_fault =
            schema__text_fault(pairs[i].value, value_bytes_max, SCHEMA__TEXT_LINE);
        if (value_fault) {
            schema__path_member(path, sizeof(path), prefix, key);
            return check_line(pairs[i].value, value_bytes_max, path, reject);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (!fr_slice_equal(pairs[j].key, key))
                continue;
            schema__path_member(path, sizeof(path), prefix, key);
            return schema_reject_set(reject, path, "must be given once", key, NULL);
        }
    }
    return FR_OK;
}

static enum fr_status check_context(const struct schema_context *context,
                                    struct schema_reject *reject)
{
    const struct {
        const struct fr_slice *text;
        const char *path;
    } lines[] = {
        {&context->device, "$.context.device"},     {&context->os, "$.context.os"},
        {&context->country, "$.context.country"},   {&context->region, "$.context.region"},
        {&context->city, "$.context.city"},         {&context->referrer, "$.context.referrer"},
        {&context->language, "$.context.language"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(lines); i++)
        if (lines[i].text->bytes)
            FR_TRY(
                check_line(*lines[i].text, SCHEMA_CONTEXT_VALUE_BYTES_MAX, lines[i].path, reject));
    return context->extra_count ? check_pairs(context->extra, context->extra_count, "$.context",
                                              SCHEMA_CONTEXT_VALUE_BYTES_MAX, reject)
                                : FR_OK;
}

static enum fr_status check_time(int64_t time_us, const char *path, struct schema_reject *reject)
{
    char seen[32];
    if (time_us >= SCHEMA__TIME_US_MIN && time_us <= SCHEMA__TIME_US_MAX)
        return FR_OK;
    snprintf(seen, sizeof(seen), "%lld us", (long long)time_us);
    return schema_reject_set(reject, path,
                             time_us < SCHEMA__TIME_US_MIN ? "must not be before 1970-01-02"
                                                           : "must not be after the year 9999",
                             fr_slice_str(seen), NULL);
}

static bool value_is_required(enum schema_value_rule rule)
{
    return rule == SCHEMA_VALUE_SECONDS || rule == SCHEMA_VALUE_DEPTH || rule == SCHEMA_VALUE_STARS;
}

static enum fr_status check_value(const struct schema_type *type, const struct schema_event *event,
                                  struct schema_reject *reject)
{
    static const char *const what[SCHEMA_VALUE_RULE_COUNT] = {
        "a number",          "seconds of dwell", "a scroll depth",
        "a number of stars", "a price",          "a number",
    };
    char rule[sizeof(reject->rule)], seen[32] = "";
    if (type->rule == SCHEMA_VALUE_NONE ||
        (event->has_value && event->value >= type->min && event->value <= type->max))
        return FR_OK;
    if (!event->has_value && !value_is_required(type->rule))
        return FR_OK;
    if (event->has_value)
        snprintf(seen, sizeof(seen), "%.17g", event->value);
    snprintf(rule, sizeof(rule), "must be %s from %g to %g (type %.31s)", what[type->rule],
             (double)type->min, (double)type->max, type->name);
    return schema_reject_set(reject, "$.value", rule, fr_slice_str(seen),
                             event->has_value ? NULL : "this type needs a value");
}

enum fr_status schema_event_check(const struct schema_types *types,
                                  const struct schema_event *event,
                                  struct schema_reject *out_reject)
{
    FR_TRY(check_id(event->user, "$.user", true, out_reject));
    FR_TRY(check_id(event->item, "$.item", true, out_reject));
    FR_TRY(check_id(event->id, "$.id", false, out_reject));
    FR_TRY(check_id(event->session, "$.session", false, out_reject));
    FR_TRY(check_id(event->request, "$.request", false, out_reject));
    FR_TRY(check_time(event->time_us, "$.timestamp", out_reject));
    FR_ASSERT(event->type < types->count);
    FR_TRY(check_value(&types->row[event->type], event, out_reject));
    return check_context(&event->context, out_reject);
}

static enum fr_status check_list(const struct fr_slice *list, uint32_t count, const char *prefix,
                                 struct schema_reject *reject)
{
    char path[sizeof(reject->path)];
    for (uint32_t i = 0; i < count; i++) {
        const char *fault = schema_id_fault(list[i]);
        if (!fault)
            continue;
        snprintf(path, sizeof(path), "%s[%u]", prefix, i);
        return schema_reject_set(reject, path, fault, list[i], NULL);
    }
    return FR_OK;
}

static enum fr_status check_amount(double amount, const char *path, struct schema_reject *reject)
{
    char seen[32];
    if (amount >= 0 && amount <= 1e12)
        return FR_OK;
    snprintf(seen, sizeof(seen), "%.17g", amount);
    return schema_reject_set(reject, path, "must be a number from 0 to 1e12", fr_slice_str(seen),
                             NULL);
}

enum fr_status schema_item_check(const struct schema_item *item, struct schema_reject *out_reject)
{
    FR_TRY(check_id(item->id, "$.id", true, out_reject));
    FR_TRY(check_line(item->title, SCHEMA_TITLE_BYTES_MAX, "$.title", out_reject));
    const char *fault = schema__text_fault(item->text, SCHEMA_TEXT_BYTES_MAX, SCHEMA__TEXT_BLOCK);
    if (fault)
        return schema_reject_set(out_reject, "$.text", fault, item->text, "at most 16384 bytes");
    FR_TRY(check_id(item->author, "$.author", false, out_reject));
    FR_TRY(check_line(item->language, SCHEMA_CONTEXT_VALUE_BYTES_MAX, "$.language", out_reject));
    FR_TRY(check_line(item->image, SCHEMA_TITLE_BYTES_MAX, "$.image", out_reject));
    FR_TRY(check_list(item->categories, item->category_count, "$.categories", out_reject));
    FR_TRY(check_list(item->tags, item->tag_count, "$.tags", out_reject));
    FR_TRY(check_amount(item->length, "$.length", out_reject));
    FR_TRY(check_amount(item->price, "$.price", out_reject));
    if (item->expires_us)
        FR_TRY(check_time(item->expires_us, "$.expires", out_reject));
    return check_pairs(item->attributes, item->attribute_count, "$.attributes",
                       SCHEMA_TITLE_BYTES_MAX, out_reject);
}

enum fr_status schema_user_check(const struct schema_user *user, struct schema_reject *out_reject)
{
    FR_TRY(check_id(user->id, "$.id", true, out_reject));
    FR_TRY(check_list(user->follows, user->follow_count, "$.follows", out_reject));
    return check_pairs(user->attributes, user->attribute_count, "$.attributes",
                       SCHEMA_TITLE_BYTES_MAX, out_reject);
}
