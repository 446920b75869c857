/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/param_json: a strict reader of RFC 8259 for the small objects that requests carry: members
 * of texts, numbers, booleans, nulls, lists of these, and one object, "context", whose members
 * count as members of the request. (Events and items are decoded by schema; this flattens.)
 *
 * Cost: one pass; texts without escapes are borrowed. Bounds: SERVE_JSON_DEPTH_MAX, SERVE_ARGS_MAX.
 */
#include <stdio.h>
#include <string.h>

#include "serve/param_priv.h"

struct reader {
    const char *start, *at, *end;
    struct base_arena *arena;
    struct serve_args *args;
    struct serve_fault *fault;
};

static enum fr_status malformed(struct reader *reader, const char *what)
{
    char path[48];
    snprintf(path, sizeof path, "body, byte %zu", (size_t)(reader->at - reader->start));
    return serve__fault(reader->fault, "malformed_json", path, what);
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                        *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

static bool take(struct reader *reader, char c)
{
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* ---- texts ------------------------------------------------------------------------------ */

static bool hex4(const char *at, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* `at` is behind "\u"; gives the bytes consumed, 0 for a fault (lone surrogate, not hexadecimal).
 */
static size_t unicode_escape(const char *at, const char *end, uint32_t *out_code)
{
    uint32_t high, low;
    if (end - at < 4 || !hex4(at, &high) || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    *out_code = high;
    if (high < 0xd800 || high > 0xdbff)
        return 4;
    if (end - at < 10 || at[4] != '\\' || at[5] != 'u' || !hex4(at + 6, &low) || low < 0xdc00 ||
        low > 0xdfff)
        return 0;
    *out_code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 10;
}

static char *unescape(const char *from, const char *end, char *to)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    while (from < end) {
        if (*from != '\\') {
            *to++ = *from++;
            continue;
        }
        if (++from == end)
            return NULL;
        const char *letter = *from ? strchr(letters, *from) : NULL;
        if (letter) {
            *to++ = bytes[letter - letters];
            from++;
            continue;
        }
        uint32_t code;
        size_t used = *from == 'u' ? unicode_escape(from + 1, end, &code) : 0;
        if (used == 0)
            return NULL;
        to = put_utf8(to, code);
        from += 1 + used;
    }
    return to;
}

static enum fr_status read_text(struct reader *reader, struct fr_slice *out)
{
    if (!take(reader, '"'))
        return malformed(reader, "a text in double quotes is expected here");
    const char *first = reader->at;
    bool escaped = false;
    while (reader->at < reader->end && *reader->at != '"') {
        if ((unsigned char)*reader->at < 0x20)
            return malformed(reader, "a control character inside a text must be escaped");
        if (*reader->at == '\\') {
            escaped = true;
            reader->at++;
        }
        reader->at += reader->at < reader->end;
    }
    if (reader->at == reader->end)
        return malformed(reader, "a text is not closed");
    *out = fr_slice_of(first, (size_t)(reader->at - first));
    if (escaped) {
        char *to = base_arena_alloc(reader->arena, out->bytes);
        if (!to)
            return FR_FULL;
        char *stop = unescape(first, reader->at, to);
        if (!stop)
            return malformed(reader, "a text has an escape that JSON does not know");
        *out = fr_slice_of(to, (size_t)(stop - to));
    }
    reader->at++;
    if (!serve_utf8_ok(*out))
        return malformed(reader, "a text is not valid UTF-8, or holds a control character");
    return FR_OK;
}

/* ---- values ----------------------------------------------------------------------------- */

static bool digits(struct reader *reader)
{
    const char *first = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return reader->at > first;
}

static bool accept(struct reader *reader, const char *any)
{
    if (reader->at == reader->end || *reader->at == 0 || !strchr(any, *reader->at))
        return false;
    reader->at++;
    return true;
}

static enum fr_status read_number(struct reader *reader, struct serve_arg *arg)
{
    const char *first = reader->at;
    (void)accept(reader, "-");
    bool zero = reader->at < reader->end && *reader->at == '0';
    const char *whole = reader->at;
    bool fine = digits(reader) && !(zero && reader->at - whole > 1);
    if (fine && accept(reader, "."))
        fine = digits(reader);
    if (fine && accept(reader, "eE")) {
        (void)accept(reader, "+-");
        fine = digits(reader);
    }
    if (!fine)
        return malformed(reader, "not a JSON value");
    arg->kind = SERVE_ARG_NUMBER;
    arg->value = fr_slice_of(first, (size_t)(reader->at - first));
    return FR_OK;
}

static bool take_word(struct reader *reader, const char *word)
{
    size_t bytes = strlen(word);
    if ((size_t)(reader->end - reader->at) < bytes || memcmp(reader->at, word, bytes) != 0)
        return false;
    reader->at += bytes;
    return true;
}

static enum fr_status read_scalar(struct reader *reader, struct serve_arg *arg)
{
    skip_blanks(reader);
    if (reader->at < reader->end && *reader->at == '"') {
        arg->kind = SERVE_ARG_TEXT;
        return read_text(reader, &arg->value);
    }
    arg->kind = SERVE_ARG_BOOL;
    if (take_word(reader, "true"))
        arg->value = FR_SLICE("true");
    else if (take_word(reader, "false"))
        arg->value = FR_SLICE("false");
    else if (take_word(reader, "null"))
        arg->kind = SERVE_ARG_NULL;
    else
        return read_number(reader, arg);
    return FR_OK;
}

static enum fr_status read_list(struct reader *reader, struct fr_slice name)
{
    struct serve_arg arg = {.name = name, .in_list = true, .kind = SERVE_ARG_NULL};
    if (take(reader, ']'))
        return serve__args_add(reader->args, &arg, reader->fault);
    do {
        skip_blanks(reader);
        if (reader->at < reader->end && (*reader->at == '[' || *reader->at == '{'))
            return malformed(reader, "a list here holds plain values only");
        FR_TRY(read_scalar(reader, &arg));
        if (arg.kind == SERVE_ARG_NULL)
            return malformed(reader, "null inside a list");
        FR_TRY(serve__args_add(reader->args, &arg, reader->fault));
    } while (take(reader, ','));
    return take(reader, ']') ? FR_OK : malformed(reader, "\",\" or \"]\" is expected here");
}

static enum fr_status read_object(struct reader *reader, bool inside);

static enum fr_status read_member(struct reader *reader, bool inside)
{
    struct serve_arg arg = {0};
    FR_TRY(read_text(reader, &arg.name));
    if (!take(reader, ':'))
        return malformed(reader, "\":\" is expected here");
    skip_blanks(reader);
    for (uint32_t i = 0; i < reader->args->count; i++)
        if (fr_slice_equal(reader->args->row[i].name, arg.name))
            return malformed(reader, "a member stands twice");
    char next = 0;
    if (reader->at < reader->end)
        next = *reader->at;
    if (next == '{') {
        if (inside || !fr_slice_equal(arg.name, FR_SLICE("context")))
            return malformed(reader, "an object is allowed as \"context\" only");
        return read_object(reader, true);
    }
    if (next == '[') {
        reader->at++;
        return read_list(reader, arg.name);
    }
    FR_TRY(read_scalar(reader, &arg));
    return serve__args_add(reader->args, &arg, reader->fault);
}

static enum fr_status read_object(struct reader *reader, bool inside)
{
    if (!take(reader, '{'))
        return malformed(reader, "a JSON object is expected");
    if (take(reader, '}'))
        return FR_OK;
    do {
        FR_TRY(read_member(reader, inside));
    } while (take(reader, ','));
    return take(reader, '}') ? FR_OK : malformed(reader, "\",\" or \"}\" is expected here");
}

enum fr_status serve_json_parse(struct base_arena *arena, struct fr_slice body,
                                struct serve_args *args, struct serve_fault *fault)
{
    struct reader reader = {body.ptr, body.ptr, body.ptr + body.bytes, arena, args, fault};
    if (body.bytes == 0)
        return FR_OK;
    FR_TRY(read_object(&reader, false));
    skip_blanks(&reader);
    return reader.at == reader.end ? FR_OK : malformed(&reader, "bytes after the object");
}
