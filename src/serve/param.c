/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/param: query strings, checks and readings; JSON bodies are in param_json.c. See the door.
 */
#include "serve/param.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/param_priv.h"

/* ---- small things ----------------------------------------------------------------------- */

enum fr_status serve__fault(struct serve_fault *fault, const char *code, const char *path,
                            const char *detail)
{
    fault->code = code;
    fault->hint[0] = 0;
    snprintf(fault->path, sizeof fault->path, "%s", path);
    snprintf(fault->detail, sizeof fault->detail, "%s", detail);
    return FR_INVALID;
}

static size_t utf8_step(const unsigned char *at, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < bytes)
        return 0;
    uint32_t code = at[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    bool fine = code >= least[bytes] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return fine ? bytes : 0;
}

bool serve_utf8_ok(struct fr_slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t left = text.bytes;
    while (left > 0) {
        size_t step = 1;
        if (at[0] >= 0x80)
            step = utf8_step(at, left);
        else if ((at[0] < 0x20 && at[0] != '\t' && at[0] != '\n' && at[0] != '\r') || at[0] == 0x7f)
            return false;
        if (step == 0)
            return false;
        at += step;
        left -= step;
    }
    return true;
}

uint32_t serve_distance(struct fr_slice a, struct fr_slice b, uint32_t max)
{
    enum { LONGEST = 48 };
    uint32_t two_back[LONGEST + 1] = {0}, last[LONGEST + 1], now[LONGEST + 1];
    if (a.bytes > LONGEST || b.bytes > LONGEST)
        return max + 1;
    for (uint32_t j = 0; j <= b.bytes; j++)
        last[j] = j;
    for (uint32_t i = 1; i <= a.bytes; i++) {
        now[0] = i;
        for (uint32_t j = 1; j <= b.bytes; j++) {
            uint32_t cost = a.ptr[i - 1] != b.ptr[j - 1];
            uint32_t least = FR_MIN(FR_MIN(last[j], now[j - 1]) + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                least = FR_MIN(least, two_back[j - 2] + 1);
            now[j] = least;
        }
        memcpy(two_back, last, sizeof two_back);
        memcpy(last, now, sizeof last);
    }
    uint32_t distance = last[b.bytes];
    return FR_MIN(distance, max + 1);
}

/* ---- percent-decoding ------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode_into(char *to, struct fr_slice text, bool plus_is_space, size_t *out_bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        char c = text.ptr[i];
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%') {
            int high = i + 2 < text.bytes ? hex(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.bytes ? hex(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        to[used++] = c;
    }
    *out_bytes = used;
    return true;
}

static enum fr_status decode(struct base_arena *arena, struct fr_slice text, bool plus_is_space,
                             struct fr_slice *out, struct serve_fault *fault)
{
    bool plain = true;
    for (size_t i = 0; i < text.bytes && plain; i++)
        plain = text.ptr[i] != '%' && !(plus_is_space && text.ptr[i] == '+');
    *out = text;
    if (!plain) {
        char *to = base_arena_alloc(arena, text.bytes);
        size_t bytes;
        if (!to)
            return FR_FULL;
        if (!decode_into(to, text, plus_is_space, &bytes))
            return serve__fault(fault, "bad_escape", "request target",
                                "a percent sign is not followed by two hexadecimal digits");
        *out = fr_slice_of(to, bytes);
    }
    if (!serve_utf8_ok(*out))
        return serve__fault(fault, "bad_text", "request target",
                            "decoded bytes are not valid UTF-8 text, or hold a control character");
    return FR_OK;
}

enum fr_status serve_segment_decode(struct base_arena *arena, struct fr_slice segment,
                                    struct fr_slice *out, struct serve_fault *fault)
{
    return decode(arena, segment, false, out, fault);
}

/* ---- query strings ---------------------------------------------------------------------- */

enum fr_status serve__args_add(struct serve_args *args, const struct serve_arg *arg,
                               struct serve_fault *fault)
{
    if (args->count == SERVE_ARGS_MAX)
        return serve__fault(fault, "too_many_values", "request",
                            "more than 1,200 values in one request");
    args->row[args->count++] = *arg;
    return FR_OK;
}

static enum fr_status pair_parse(struct base_arena *arena, struct fr_slice pair,
                                 struct serve_args *args, struct serve_fault *fault)
{
    const char *equals = pair.bytes ? memchr(pair.ptr, '=', pair.bytes) : NULL;
    size_t name_bytes = equals ? (size_t)(equals - pair.ptr) : pair.bytes;
    struct serve_arg arg = {.kind = SERVE_ARG_WORD, .name = fr_slice_of(pair.ptr, name_bytes)};
    arg.value = equals ? fr_slice_of(equals + 1, pair.bytes - name_bytes - 1) : fr_slice_of("", 0);
    FR_TRY(decode(arena, arg.name, true, &arg.name, fault));
    FR_TRY(decode(arena, arg.value, true, &arg.value, fault));
    return serve__args_add(args, &arg, fault);
}

enum fr_status serve_query_parse(struct base_arena *arena, struct fr_slice query,
                                 struct serve_args *args, struct serve_fault *fault)
{
    size_t at = 0;
    while (at < query.bytes) {
        const char *end = memchr(query.ptr + at, '&', query.bytes - at);
        size_t stop = end ? (size_t)(end - query.ptr) : query.bytes;
        if (stop > at)
            FR_TRY(pair_parse(arena, fr_slice_of(query.ptr + at, stop - at), args, fault));
        at = stop + 1;
    }
    return FR_OK;
}

/* ---- checks ----------------------------------------------------------------------------- */

static bool name_matches(const struct serve_param *param, struct fr_slice name)
{
    size_t bytes = strlen(param->name);
    if (param->in == SERVE_IN_HEADER || param->in == SERVE_IN_PATH)
        return false;
    if (param->prefix)
        return name.bytes > bytes && memcmp(name.ptr, param->name, bytes) == 0;
    return name.bytes == bytes && memcmp(name.ptr, param->name, bytes) == 0;
}

static enum fr_status unknown(const struct serve_arg *arg, const struct serve_param *param,
                              uint32_t count, struct serve_fault *fault)
{
    uint32_t best = 4;
    const char *nearest = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t distance = serve_distance(arg->name, fr_slice_str(param[i].name), best);
        if (param[i].in == SERVE_IN_QUERY && distance < best) {
            best = distance;
            nearest = param[i].name;
        }
    }
    enum fr_status status =
        serve__fault(fault, "unknown_parameter", "(no name)", "there is no such parameter here");
    if (arg->name.bytes)
        snprintf(fault->path, sizeof fault->path, "%.*s", (int)FR_MIN(arg->name.bytes, (size_t)64),
                 arg->name.ptr);
    if (nearest)
        snprintf(fault->hint, sizeof fault->hint, "did you mean \"%s\"?", nearest);
    return status;
}

static bool parse_int(struct fr_slice text, int64_t *out)
{
    bool minus = text.bytes > 0 && text.ptr[0] == '-';
    size_t first = minus ? 1 : 0;
    int64_t value = 0;
    if (text.bytes == first || text.bytes - first > 18)
        return false;
    for (size_t i = first; i < text.bytes; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = minus ? -value : value;
    return true;
}

static bool is_word(struct fr_slice text, const char *word)
{
    return text.bytes == strlen(word) && (text.bytes == 0 || !memcmp(text.ptr, word, text.bytes));
}

static bool is_choice(struct fr_slice text, const char *choices)
{
    while (*choices) {
        size_t bytes = strcspn(choices, "|");
        if (text.bytes == bytes && memcmp(text.ptr, choices, bytes) == 0)
            return true;
        choices += bytes + (choices[bytes] == '|');
    }
    return false;
}

static enum fr_status value_fault(const struct serve_arg *arg, const struct serve_param *param,
                                  struct serve_fault *fault)
{
    fault->code = "bad_parameter";
    fault->hint[0] = 0;
    snprintf(fault->path, sizeof fault->path, "%.*s", (int)FR_MIN(arg->name.bytes, (size_t)64),
             arg->name.ptr);
    switch (param->type) {
    case SERVE_INT:
        snprintf(fault->detail, sizeof fault->detail, "must be a whole number from %lld to %lld",
                 (long long)param->low, (long long)param->high);
        break;
    case SERVE_BOOL:
        snprintf(fault->detail, sizeof fault->detail, "must be true or false");
        break;
    case SERVE_ENUM:
        snprintf(fault->detail, sizeof fault->detail, "must be one of %s", param->choices);
        break;
    case SERVE_ID:
        snprintf(fault->detail, sizeof fault->detail, "must be a text of 1 to 256 bytes");
        break;
    default:
        snprintf(fault->detail, sizeof fault->detail, "must be a text of at most %lld bytes",
                 (long long)(param->high ? param->high : 256));
    }
    return FR_INVALID;
}

static bool kind_fits(const struct serve_arg *arg, enum serve_type type)
{
    if (arg->kind == SERVE_ARG_WORD)
        return true;
    if (type == SERVE_INT)
        return arg->kind == SERVE_ARG_NUMBER;
    if (type == SERVE_BOOL)
        return arg->kind == SERVE_ARG_BOOL;
    return arg->kind == SERVE_ARG_TEXT;
}

static bool value_fits(const struct serve_arg *arg, const struct serve_param *param)
{
    int64_t number;
    if (!kind_fits(arg, param->type))
        return false;
    switch (param->type) {
    case SERVE_INT:
        return parse_int(arg->value, &number) && number >= param->low && number <= param->high;
    case SERVE_BOOL:
        return is_word(arg->value, "true") || is_word(arg->value, "false");
    case SERVE_ENUM:
        return is_choice(arg->value, param->choices);
    case SERVE_ID:
        return arg->value.bytes >= 1 && arg->value.bytes <= 256;
    default:
        return arg->value.bytes <= (size_t)(param->list || !param->high ? 256 : param->high);
    }
}

static enum fr_status arg_check(const struct serve_args *args, uint32_t index,
                                const struct serve_param *param, struct serve_fault *fault)
{
    const struct serve_arg *arg = &args->row[index];
    if (arg->kind == SERVE_ARG_NULL)
        return !param->required && (!arg->in_list || param->list) ? FR_OK
                                                                  : value_fault(arg, param, fault);
    if (!value_fits(arg, param) || (arg->in_list && !param->list))
        return value_fault(arg, param, fault);
    if (param->list && param->high == 0)
        return FR_OK;
    uint32_t earlier = 0;
    for (uint32_t i = 0; i < index; i++)
        earlier += fr_slice_equal(args->row[i].name, arg->name);
    if (param->list ? earlier < (uint32_t)param->high : earlier == 0)
        return FR_OK;
    enum fr_status status = value_fault(arg, param, fault);
    if (param->list)
        snprintf(fault->detail, sizeof fault->detail, "at most %lld values",
                 (long long)param->high);
    else
        snprintf(fault->detail, sizeof fault->detail, "given more than once");
    return status;
}

enum fr_status serve_args_check(const struct serve_args *args, const struct serve_param *param,
                                uint32_t param_count, struct serve_fault *fault)
{
    uint64_t present = 0;
    FR_ASSERT(param_count <= 64);
    for (uint32_t i = 0; i < args->count; i++) {
        uint32_t p = 0;
        while (p < param_count && !name_matches(&param[p], args->row[i].name))
            p++;
        if (p == param_count)
            return unknown(&args->row[i], param, param_count, fault);
        FR_TRY(arg_check(args, i, &param[p], fault));
        present |= (uint64_t)1 << p;
    }
    for (uint32_t p = 0; p < param_count; p++) {
        if (param[p].in != SERVE_IN_QUERY || !param[p].required || (present >> p & 1))
            continue;
        return serve__fault(fault, "missing_parameter", param[p].name, "is required");
    }
    return FR_OK;
}

/* ---- readings --------------------------------------------------------------------------- */

static const struct serve_arg *find(const struct serve_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->count; i++)
        if (args->row[i].kind != SERVE_ARG_NULL && is_word(args->row[i].name, name))
            return &args->row[i];
    return NULL;
}

struct fr_slice serve_args_text(const struct serve_args *args, const char *name)
{
    const struct serve_arg *arg = find(args, name);
    return arg ? arg->value : (struct fr_slice){0};
}

int64_t serve_args_int(const struct serve_args *args, const char *name, int64_t fallback)
{
    const struct serve_arg *arg = find(args, name);
    int64_t value = fallback;
    return arg && parse_int(arg->value, &value) ? value : fallback;
}

bool serve_args_bool(const struct serve_args *args, const char *name, bool fallback)
{
    const struct serve_arg *arg = find(args, name);
    return arg ? is_word(arg->value, "true") : fallback;
}

bool serve_args_is(const struct serve_args *args, const char *name, const char *word)
{
    const struct serve_arg *arg = find(args, name);
    return arg && is_word(arg->value, word);
}

uint32_t serve_args_list(const struct serve_args *args, const char *name, struct fr_slice *out,
                         uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < args->count && count < max; i++)
        if (args->row[i].kind != SERVE_ARG_NULL && is_word(args->row[i].name, name))
            out[count++] = args->row[i].value;
    return count;
}
