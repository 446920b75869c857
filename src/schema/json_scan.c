/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: a scanner of JSON by RFC 8259's grammar that builds nothing. It finds where a value ends
 * (to split bodies without a second copy of them) and where a fault lies (for messages; simdjson
 * does not tell). It accepts exactly what simdjson accepts, but for UTF-8 and the size of numbers;
 * a fuzz target compares the two. Recursion-free: one bit a level. Thread: any.
 */
#include "schema/schema_priv.h"

#include <string.h>

#define LOW_BITS 0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

static enum fr_status fault(const char *what, const char **out_what)
{
    *out_what = what;
    return FR_INVALID;
}

size_t schema__scan_space(struct fr_slice text, size_t at)
{
    while (at < text.bytes && (text.ptr[at] == ' ' || text.ptr[at] == '\n' ||
                               text.ptr[at] == '\r' || text.ptr[at] == '\t'))
        at++;
    return at;
}

/* Whether the word has a quote, a backslash or a control byte (may also say yes in vain). */
static bool word_ends_run(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t quote = word ^ (LOW_BITS * '"'), slash = word ^ (LOW_BITS * '\\');
    uint64_t hit = ((quote - LOW_BITS) & ~quote) | ((slash - LOW_BITS) & ~slash) |
                   ((word - LOW_BITS * 0x20) & ~word);
    return (hit & HIGH_BITS) != 0;
}

/* Value of a hexadecimal \uXXXX escape whose digits begin at `at`, or -1. */
static int32_t hex4(struct fr_slice text, size_t at)
{
    int32_t code = 0;
    if (text.bytes - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)text.ptr[at + i];
        unsigned digit = c - (unsigned)'0', letter = (c | 0x20u) - (unsigned)'a';
        if (digit > 9 && letter > 5)
            return -1;
        code = code * 16 + (int32_t)(digit <= 9 ? digit : letter + 10);
    }
    return code;
}

/* *at is behind the backslash. Surrogates must come in pairs. */
static enum fr_status scan_escape(struct fr_slice text, size_t *at, const char **out_what)
{
    if (*at >= text.bytes)
        return fault("a string without its closing quote", out_what);
    char c = text.ptr[*at];
    if (c != 'u') {
        if (c == '\0' || !strchr("\"\\/bfnrt", c))
            return fault("an unknown escape", out_what);
        (*at)++;
        return FR_OK;
    }
    int32_t code = hex4(text, *at + 1);
    if (code < 0)
        return fault("\\u without four hexadecimal digits", out_what);
    if (code >= 0xdc00 && code <= 0xdfff)
        return fault("half of a surrogate pair", out_what);
    *at += 5;
    if (code < 0xd800 || code > 0xdbff)
        return FR_OK;
    int32_t low = text.bytes - *at >= 6 && text.ptr[*at] == '\\' && text.ptr[*at + 1] == 'u'
                      ? hex4(text, *at + 2)
                      : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fault("half of a surrogate pair", out_what);
    *at += 6;
    return FR_OK;
}

static enum fr_status scan_string(struct fr_slice text, size_t *at, const char **out_what)
{
    (*at)++;
    while (*at < text.bytes) {
        if (text.bytes - *at >= 8 && !word_ends_run(text.ptr + *at)) {
            *at += 8;
            continue;
        }
        unsigned char c = (unsigned char)text.ptr[*at];
        if (c < 0x20)
            return fault("a control character in a string", out_what);
        (*at)++;
        if (c == '"')
            return FR_OK;
        if (c == '\\')
            FR_TRY(scan_escape(text, at, out_what));
    }
    return fault("a string without its closing quote", out_what);
}

static size_t scan_digits(struct fr_slice text, size_t at)
{
    while (at < text.bytes && (unsigned char)text.ptr[at] - (unsigned)'0' <= 9)
        at++;
    return at;
}

static enum fr_status scan_number(struct fr_slice text, size_t *at, const char **out_what)
{
    size_t i = *at + (text.ptr[*at] == '-'), first = i;
    i = scan_digits(text, i);
    if (i == first || (text.ptr[first] == '0' && i - first > 1))
        return fault("a malformed number", out_what);
    if (i < text.bytes && text.ptr[i] == '.') {
        first = i + 1;
        i = scan_digits(text, first);
        if (i == first)
            return fault("a malformed number", out_what);
    }
    if (i < text.bytes && (text.ptr[i] | 0x20) == 'e') {
        first = i + 1;
        if (first < text.bytes && (text.ptr[first] == '+' || text.ptr[first] == '-'))
            first++;
        i = scan_digits(text, first);
        if (i == first)
            return fault("a malformed number", out_what);
    }
    *at = i;
    return FR_OK;
}

static enum fr_status scan_scalar(struct fr_slice text, size_t *at, const char **out_what)
{
    static const char *const words[] = {"true", "false", "null"};
    char c = text.ptr[*at];
    if (c == '"')
        return scan_string(text, at, out_what);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(text, at, out_what);
    for (size_t i = 0; i < FR_COUNT_OF(words); i++) {
        size_t count = strlen(words[i]);
        if (text.bytes - *at >= count && memcmp(text.ptr + *at, words[i], count) == 0) {
            *at += count;
            return FR_OK;
        }
    }
    return fault("an unexpected character", out_what);
}

/* The containers that are open: bit 1 = object. */
struct levels {
    uint8_t bits[SCHEMA__JSON_SCAN_DEPTH_MAX / 8];
    size_t depth;
};

static bool in_object(const struct levels *levels)
{
    size_t top = levels->depth - 1;
    return levels->bits[top / 8] >> (top % 8) & 1;
}

static bool push(struct levels *levels, bool object)
{
    size_t top = levels->depth;
    if (top == SCHEMA__JSON_SCAN_DEPTH_MAX)
        return false;
    uint8_t bit = (uint8_t)(1u << (top % 8));
    levels->bits[top / 8] =
        (uint8_t)(object ? levels->bits[top / 8] | bit : levels->bits[top / 8] & ~bit);
    levels->depth++;
    return true;
}

/* "name" : at *at, which is behind '{' or ','. */
static enum fr_status scan_name(struct fr_slice text, size_t *at, const char **out_what)
{
    *at = schema__scan_space(text, *at);
    if (*at >= text.bytes || text.ptr[*at] != '"')
        return fault("a member without its quoted name", out_what);
    FR_TRY(scan_string(text, at, out_what));
    *at = schema__scan_space(text, *at);
    if (*at >= text.bytes || text.ptr[*at] != ':')
        return fault("a name without its colon", out_what);
    (*at)++;
    return FR_OK;
}

/* A value begins: a scalar is passed, a container opened and, when empty, closed at once. */
static enum fr_status scan_begin(struct fr_slice text, size_t *at, struct levels *levels,
                                 bool *out_opened, const char **out_what)
{
    *at = schema__scan_space(text, *at);
    *out_opened = false;
    if (*at >= text.bytes)
        return fault("the end where a value should be", out_what);
    char open = text.ptr[*at];
    if (open != '{' && open != '[')
        return scan_scalar(text, at, out_what);
    if (!push(levels, open == '{'))
        return fault("nested deeper than 1,024 levels", out_what);
    (*at)++;
    size_t next = schema__scan_space(text, *at);
    if (next < text.bytes && text.ptr[next] == (open == '{' ? '}' : ']')) {
        *at = next + 1;
        levels->depth--;
        return FR_OK;
    }
    *out_opened = true;
    return open == '{' ? scan_name(text, at, out_what) : FR_OK;
}

/* A value has ended: closes what closes; *out_more when a comma leads to another value. */
static enum fr_status scan_end(struct fr_slice text, size_t *at, struct levels *levels,
                               bool *out_more, const char **out_what)
{
    *out_more = false;
    while (levels->depth > 0) {
        bool object = in_object(levels);
        size_t next = schema__scan_space(text, *at);
        char c = next < text.bytes ? text.ptr[next] : '\0';
        *at = next;
        if (c == ',') {
            (*at)++;
            *out_more = true;
            return object ? scan_name(text, at, out_what) : FR_OK;
        }
        if (c != (object ? '}' : ']'))
            return fault(next < text.bytes ? "no comma or closing bracket where one should be"
                                           : "the end before the closing bracket",
                         out_what);
        (*at)++;
        levels->depth--;
    }
    return FR_OK;
}

enum fr_status schema_json_scan(struct fr_slice text, size_t *at, const char **out_what)
{
    struct levels levels = {.depth = 0};
    bool more = true, opened;
    while (more) {
        FR_TRY(scan_begin(text, at, &levels, &opened, out_what));
        if (!opened)
            FR_TRY(scan_end(text, at, &levels, &more, out_what));
    }
    return FR_OK;
}

int64_t schema_json_fault(struct fr_slice text, const char **out_what)
{
    size_t at = 0;
    const char *what = "";
    enum fr_status status = schema_json_scan(text, &at, &what);
    if (status == FR_OK) {
        at = schema__scan_space(text, at);
        if (at == text.bytes)
            return -1;
        what = "something after the end of the value";
    }
    *out_what = what;
    return (int64_t)at;
}
