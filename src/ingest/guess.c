/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest__guess: how a content is to be read, from its head, saying why. What the caller gave
 * stands; the rest is told by ready formats' signatures, then by the names of the header, then by
 * the values: times look like times, stars are few and small, types are the known types, and of the
 * other columns the first is the user and the second the item. Thread: any.
 */
#include "ingest/ingest_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS_MAX = 500,
    LOOKED_AT_MAX = 64,
    DISTINCT_BITS = 4096,
    SAME_MIN = 5,
    OPEN_QUOTE_BYTES = 64 * 1024
};

/* What the values of a column look like. */
struct column_look {
    uint32_t count, numbers, times, types, bars, commas, above5, above10;
    double min, max;
    uint64_t distinct[DISTINCT_BITS / 64];
};

struct guess {
    struct fr_slice head;
    bool whole;
    const struct ingest_reader_options *options;
    struct ingest_mapping *mapping;
    struct base_buf *explain;
    struct ingest__row row, first; /* first: the first row, whether header or not */
    struct column_look look[LOOKED_AT_MAX];
    uint32_t column_count, row_count;
    enum ingest_role role[LOOKED_AT_MAX];
};

/* Formats without a signature of their own. */
static bool is_generic(const char *format)
{
    return format && (strcmp(format, "csv") == 0 || strcmp(format, "recbole") == 0);
}

/* ---- rows of the head ---------------------------------------------------------------------------
 */

/* The next record of the head that is not blank; a last one without its end counts when the head is
 * the whole content. */
static bool next_record(const struct guess *guess, size_t *at, const char *quoting,
                        struct fr_slice *out_record)
{
    while (*at < guess->head.bytes) {
        struct fr_slice rest = fr_slice_of(guess->head.ptr + *at, guess->head.bytes - *at);
        size_t bytes = ingest__record_bytes(rest, quoting);
        if (bytes == 0) { /* the last record, or a quote that is never closed: its line alone */
            const char *end = memchr(rest.ptr, '\n', rest.bytes);
            if (!guess->whole && rest.bytes < OPEN_QUOTE_BYTES)
                return false;
            bytes = end ? (size_t)(end - rest.ptr) + 1 : rest.bytes;
        }
        *at += bytes;
        while (bytes && (rest.ptr[bytes - 1] == '\n' || rest.ptr[bytes - 1] == '\r'))
            bytes--;
        *out_record = fr_slice_of(rest.ptr, bytes);
        if (bytes)
            return true;
    }
    return false;
}

static const char *quoting_of(const struct ingest_mapping *mapping)
{
    return mapping->quotes ? mapping->separator : NULL;
}

static bool usually_quotes(const char *separator)
{
    return strcmp(separator, ",") == 0 || strcmp(separator, ";") == 0;
}

/* The number of columns when so many of a hundred rows have as many as the first, else 0. */
static uint32_t even_columns(struct guess *guess, const char *separator, uint32_t percent)
{
    struct fr_slice record;
    size_t at = 0;
    uint32_t rows = 0, even = 0, columns = 0;
    bool quotes = usually_quotes(separator);
    while (rows < ROWS_MAX && next_record(guess, &at, quotes ? separator : NULL, &record)) {
        if (ingest__row_split(&guess->row, record, separator, quotes))
            guess->row.count = 0;
        if (rows++ == 0)
            columns = guess->row.count;
        even += guess->row.count == columns;
    }
    return columns >= 2 && rows > 0 && even * 100 >= rows * percent ? columns : 0;
}

static const char *separator_name(const char *separator)
{
    return strcmp(separator, "\t") == 0 ? "tab" : strcmp(separator, " ") == 0 ? "space" : separator;
}

static enum fr_status given_separator(const char *word, char out[4], struct fr_error *error)
{
    static const char *const words[][2] = {{",", ","},    {"comma", ","}, {"\t", "\t"},
                                           {"tab", "\t"}, {"\\t", "\t"},  {";", ";"},
                                           {"|", "|"},    {"::", "::"},   {" ", " "},
                                           {"space", " "}};
    for (size_t i = 0; i < FR_COUNT_OF(words); i++) {
        if (strcmp(word, words[i][0]) != 0)
            continue;
        snprintf(out, 4, "%s", words[i][1]);
        return FR_OK;
    }
    return base_fail(error, FR_INVALID, "ingest",
                     "separator \"%s\" is not one of , tab ; | :: space", word);
}

static bool find_separator(struct guess *guess, uint32_t percent)
{
    static const char *const candidates[] = {"::", "\t", ",", ";", "|"};
    for (size_t i = 0; i < FR_COUNT_OF(candidates); i++) {
        if (even_columns(guess, candidates[i], percent) == 0)
            continue;
        snprintf(guess->mapping->separator, sizeof(guess->mapping->separator), "%s", candidates[i]);
        return true;
    }
    return false;
}

/* ---- lists of items a line --------------------------------------------------------------------
 */

/* Sequences begin with the user, numbered upwards in all files of that kind; sessions do not. */
static bool find_lists(struct guess *guess)
{
    struct fr_slice record;
    size_t at = 0;
    uint32_t rows = 0, lists = 0, upwards = 0;
    double last = 0, user = 0;
    while (rows < ROWS_MAX && next_record(guess, &at, NULL, &record)) {
        const char *space = memchr(record.ptr, ' ', record.bytes);
        struct fr_slice word =
            fr_slice_of(record.ptr, space ? (size_t)(space - record.ptr) : record.bytes);
        lists += space != NULL;
        upwards += schema_number_parse(word, &user) && (rows == 0 || user > last);
        if (upwards == rows + 1)
            last = user;
        rows++;
    }
    if (rows == 0 || lists * 2 < rows)
        return false;
    bool sequences = upwards == rows && rows > 1;
    guess->mapping->layout = sequences ? INGEST_SEQUENCES : INGEST_SESSIONS;
    base_buf_printf(guess->explain, "lists of items, %s\n",
                    sequences ? "each behind its user (sequences): the first words count upwards"
                              : "each line a session (give the format \"sequences\" when lines "
                                "begin with the user)");
    return true;
}

/* ---- looks -------------------------------------------------------------------------------------
 */

static void look_at(struct guess *guess, uint32_t i, struct fr_slice text)
{
    struct column_look *look = &guess->look[i];
    double number;
    int64_t us;
    const char *rule;
    uint64_t bit = base_hash64_slice(text, 1) % DISTINCT_BITS;
    look->count++;
    look->distinct[bit / 64] |= (uint64_t)1 << (bit % 64);
    look->bars += memchr(text.ptr, '|', text.bytes) != NULL;
    look->commas += memchr(text.ptr, ',', text.bytes) != NULL;
    look->types += ingest__type_find(guess->options->types, text) >= 0;
    if (schema_number_parse(text, &number)) {
        look->min = look->numbers ? FR_MIN(look->min, number) : number;
        look->max = look->numbers ? FR_MAX(look->max, number) : number;
        look->numbers++;
        look->above5 += number > 5;
        look->above10 += number > 10;
    }
    /* from 1990 to 2100: small numbers are ids, not the spring of 1970 */
    look->times += ingest__time_parse(text, guess->mapping->unit, &us, &rule) == FR_OK &&
                   us > (int64_t)631152000 * 1000000 && us < (int64_t)4102444800 * 1000000;
}

static uint32_t distinct(const struct column_look *look)
{
    uint32_t count = 0;
    for (size_t i = 0; i < FR_COUNT_OF(look->distinct); i++)
        count += (uint32_t)__builtin_popcountll(look->distinct[i]);
    return count;
}

static bool nearly_all(uint32_t some, uint32_t all)
{
    return all > 0 && some * 20 >= all * 19;
}

static void look_at_rows(struct guess *guess)
{
    struct fr_slice record;
    size_t at = 0;
    bool is_first = true;
    memset(guess->look, 0, sizeof(guess->look));
    guess->row_count = 0;
    while (guess->row_count < ROWS_MAX &&
           next_record(guess, &at, quoting_of(guess->mapping), &record)) {
        bool passed = is_first && guess->mapping->header;
        is_first = false;
        if (passed || ingest__row_split(&guess->row, record, guess->mapping->separator,
                                        guess->mapping->quotes))
            continue;
        guess->row_count++;
        for (uint32_t i = 0; i < FR_MIN(guess->row.count, guess->column_count); i++)
            if (guess->row.field[i].bytes)
                look_at(guess, i, guess->row.field[i]);
    }
}

/* ---- header ------------------------------------------------------------------------------------
 */

static bool ends_with(struct fr_slice text, const char *end)
{
    size_t bytes = strlen(end);
    return text.bytes > bytes && memcmp(text.ptr + text.bytes - bytes, end, bytes) == 0;
}

static bool looks_like_header(struct guess *guess)
{
    char name[64];
    double number;
    uint32_t known = 0, numbers = 0;
    bool typed = false;
    for (uint32_t i = 0; i < guess->column_count; i++) {
        struct fr_slice text = guess->first.field[i];
        typed |= ends_with(text, ":token") || ends_with(text, ":token_seq") ||
                 ends_with(text, ":float") || ends_with(text, ":float_seq");
        numbers += schema_number_parse(text, &number);
        known += ingest__role_guess(text, INGEST_EVENTS, name) != INGEST_NOTHING ||
                 ingest__role_guess(text, INGEST_ITEMS, name) != INGEST_NOTHING;
    }
    if (typed || (known >= 2 && numbers == 0))
        return true;
    /* words above a column of numbers */
    uint32_t words_above = 0;
    for (uint32_t i = 0; i < guess->column_count; i++)
        words_above +=
            guess->look[i].count > 2 && guess->look[i].numbers + 1 == guess->look[i].count &&
            guess->first.field[i].bytes && !schema_number_parse(guess->first.field[i], &number);
    return words_above > 0 && numbers == 0;
}

static enum fr_status settle_header(struct guess *guess, struct fr_error *error)
{
    const char *given = guess->options->header;
    if (given && strcmp(given, "yes") != 0 && strcmp(given, "no") != 0)
        return base_fail(error, FR_INVALID, "ingest", "header is \"%s\", not yes or no", given);
    if (given)
        guess->mapping->header = strcmp(given, "yes") == 0;
    else
        guess->mapping->header = looks_like_header(guess);
    return FR_OK;
}

/* ---- what the columns are
 * ------------------------------------------------------------------------ */

static bool any_role(const struct guess *guess, enum ingest_role role)
{
    for (uint32_t i = 0; i < guess->column_count; i++)
        if (guess->role[i] == role)
            return true;
    return false;
}

/* Counts what the header would be as events, items, users. */
static enum ingest_thing thing_of_header(struct guess *guess)
{
    char name[64];
    bool user = false, item = false, title = false, id = false, time = false;
    for (uint32_t i = 0; i < guess->column_count; i++) {
        enum ingest_role role = ingest__role_guess(guess->first.field[i], INGEST_EVENTS, name);
        enum ingest_role other = ingest__role_guess(guess->first.field[i], INGEST_ITEMS, name);
        user |= role == INGEST_USER;
        item |= role == INGEST_ITEM;
        id |= role == INGEST_ID;
        time |= role == INGEST_TIME;
        title |= other == INGEST_TITLE || other == INGEST_CATEGORIES || other == INGEST_TEXT;
    }
    if (title && (item || id) && !user)
        return INGEST_ITEMS;
    if (user && !item)
        return INGEST_USERS;
    if (item && !user && !time)
        return INGEST_ITEMS;
    return INGEST_EVENTS;
}

static void add_column(struct guess *guess, uint32_t i, enum ingest_role role, const char *name,
                       const char *why)
{
    struct ingest_mapping *mapping = guess->mapping;
    struct fr_slice header = guess->first.field[i];
    if (mapping->column_count == INGEST_COLUMNS_MAX)
        return;
    guess->role[i] = role;
    struct ingest_column *column = &mapping->column[mapping->column_count++];
    *column = (struct ingest_column){.role = role, .number = i + 1};
    snprintf(column->name, sizeof(column->name), "%s", name);
    base_buf_printf(guess->explain, "%s%s%s = column %u", ingest__role_name(role),
                    name[0] ? "." : "", name, i + 1);
    if (mapping->header)
        base_buf_printf(guess->explain, " \"%.*s\"", (int)FR_MIN(header.bytes, 40u), header.ptr);
    base_buf_printf(guess->explain, " (%s)\n", why);
}

static void attribute_name(struct fr_slice header, char out[64])
{
    const char *colon = header.bytes ? memchr(header.ptr, ':', header.bytes) : NULL;
    size_t bytes = colon ? (size_t)(colon - header.ptr) : header.bytes;
    snprintf(out, 64, "%.*s", (int)FR_MIN(bytes, 60u), header.ptr);
}

static void roles_by_name(struct guess *guess)
{
    enum ingest_thing thing = guess->mapping->thing;
    for (uint32_t i = 0; i < guess->column_count; i++) {
        char name[64] = "";
        enum ingest_role role = ingest__role_guess(guess->first.field[i], thing, name);
        bool taken = role != INGEST_CONTEXT && any_role(guess, role);
        if (role != INGEST_NOTHING && !taken) {
            add_column(guess, i, role, name, "by its name");
        } else if (thing != INGEST_EVENTS && guess->first.field[i].bytes) {
            attribute_name(guess->first.field[i], name);
            if (name[0] && schema_utf8_valid(fr_slice_str(name)))
                add_column(guess, i, INGEST_ATTRIBUTE, name, "the others are attributes");
        }
    }
}

static bool is_free(const struct guess *guess, uint32_t i)
{
    return guess->role[i] == INGEST_NOTHING && guess->look[i].count > 0;
}

static bool looks_like_stars(const struct column_look *look)
{
    return nearly_all(look->numbers, look->count) && look->min >= 0 && look->max <= 10 &&
           distinct(look) > 1 && distinct(look) <= 21;
}

static void time_and_type_by_look(struct guess *guess)
{
    for (uint32_t i = 0; i < guess->column_count; i++) {
        const struct column_look *look = &guess->look[i];
        if (!is_free(guess, i))
            continue;
        if (!any_role(guess, INGEST_TIME) && nearly_all(look->times, look->count))
            add_column(guess, i, INGEST_TIME, "", "its values are times");
        else if (!any_role(guess, INGEST_TYPE) && nearly_all(look->types, look->count))
            add_column(guess, i, INGEST_TYPE, "", "its values are event types");
    }
}

static void user_and_item_by_look(struct guess *guess)
{
    for (uint32_t i = 0; i < guess->column_count; i++) {
        if (!is_free(guess, i) || distinct(&guess->look[i]) < 2)
            continue;
        if (!any_role(guess, INGEST_USER))
            add_column(guess, i, INGEST_USER, "", "the first column that can be one");
        else if (!any_role(guess, INGEST_ITEM))
            add_column(guess, i, INGEST_ITEM, "", "the next column that can be one");
    }
}

static void roles_by_look(struct guess *guess)
{
    time_and_type_by_look(guess);
    user_and_item_by_look(guess);
    for (uint32_t i = 0; i < guess->column_count && !guess->mapping->header; i++)
        if (is_free(guess, i) && !any_role(guess, INGEST_VALUE) &&
            looks_like_stars(&guess->look[i]))
            add_column(guess, i, INGEST_VALUE, "", "few small numbers: ratings");
}

static void drop_value(struct guess *guess, const char *why)
{
    struct ingest_mapping *mapping = guess->mapping;
    for (uint32_t i = 0; i < mapping->column_count; i++) {
        if (mapping->column[i].role != INGEST_VALUE)
            continue;
        memmove(&mapping->column[i], &mapping->column[i + 1],
                (mapping->column_count - i - 1) * sizeof(mapping->column[0]));
        mapping->column_count--;
        base_buf_printf(guess->explain, "value: left out: %s\n", why);
        return;
    }
}

/* More than a slip: what a single wrong value must not bring about. */
static bool quite_some(uint32_t some, uint32_t all)
{
    return some * 50 >= all;
}

/* Why a column of values holds no ratings, or NULL. */
static const char *no_rating(const struct column_look *look)
{
    if (!nearly_all(look->numbers, look->count))
        return "it is not a number";
    if (distinct(look) < 2 && look->count >= SAME_MIN)
        return "it is always the same, so it is no rating";
    if (look->min < 0 || look->max > 100)
        return "numbers outside of 0 to 100 are no ratings";
    return NULL;
}

/* What brings ratings to 0 .. 5; 0: they are. */
static double rating_scale(const struct column_look *look)
{
    if (look->max <= 1)
        return 5;
    if (!quite_some(look->above5, look->numbers))
        return 0;
    return quite_some(look->above10, look->numbers) ? 0.05 : 0.5;
}

/* Ratings of other scales become 0 to 5; what is no rating is left out. */
static void settle_value(struct guess *guess)
{
    const struct column_look *look = NULL;
    struct ingest_mapping *mapping = guess->mapping;
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (mapping->column[i].role == INGEST_VALUE &&
            mapping->column[i].number <= guess->column_count)
            look = &guess->look[mapping->column[i].number - 1];
    if (!look || guess->options->strict || guess->options->type || any_role(guess, INGEST_TYPE))
        return;
    const char *why = no_rating(look);
    if (why) {
        drop_value(guess, why);
        return;
    }
    mapping->value_scale = rating_scale(look);
    if (mapping->value_scale != 0)
        base_buf_printf(guess->explain, "value: up to %g, taken times %g as 0 to 5 stars\n",
                        look->max, mapping->value_scale);
}

static bool has_column(const struct ingest_mapping *mapping, enum ingest_role role)
{
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (mapping->column[i].role == role)
            return true;
    return false;
}

static void settle_list_separator(struct guess *guess)
{
    struct ingest_mapping *mapping = guess->mapping;
    for (uint32_t i = 0; i < mapping->column_count; i++) {
        enum ingest_role role = mapping->column[i].role;
        uint32_t at = mapping->column[i].number - 1;
        if ((role != INGEST_CATEGORIES && role != INGEST_TAGS) || at >= guess->column_count)
            continue;
        struct fr_slice header = guess->first.field[at];
        mapping->list_separator = ends_with(header, ":token_seq") ? ' '
                                  : guess->look[at].bars          ? '|'
                                  : guess->look[at].commas        ? ','
                                                                  : '|';
        return;
    }
}

/* ---- the parts together
 * --------------------------------------------------------------------------- */

static enum fr_status settle_type(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    const char *given = guess->options->type;
    if (mapping->thing != INGEST_EVENTS || mapping->layout == INGEST_JSON)
        return FR_OK;
    const char *type = given ? given : has_column(mapping, INGEST_VALUE) ? "rating" : "click";
    if (schema_types_find(guess->options->types, fr_slice_str(type)) < 0)
        return base_fail(error, FR_INVALID, "ingest", "\"%s\" is not a known event type", type);
    snprintf(mapping->type, sizeof(mapping->type), "%s", type);
    base_buf_printf(guess->explain, "type = %s (%s)\n", type,
                    given                              ? "as given"
                    : has_column(mapping, INGEST_TYPE) ? "where the column is empty"
                                                       : "no column says");
    if (mapping->layout != INGEST_TABLE || !has_column(mapping, INGEST_TIME))
        base_buf_put_str(guess->explain, "time: no column has one: made up in the order "
                                         "of the file\n");
    return FR_OK;
}

static enum fr_status take_format(struct guess *guess, const struct ingest__format *format,
                                  struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    mapping->thing = format->thing;
    mapping->header = format->headers != NULL;
    mapping->quotes = format->quotes;
    mapping->latin1 = format->latin1;
    mapping->list_separator = format->list_separator;
    if (mapping->unit == INGEST_UNIT_AUTO)
        mapping->unit = format->unit;
    snprintf(mapping->format, sizeof(mapping->format), "%s", format->name);
    base_buf_printf(guess->explain, "ready format %s: %s\n", format->name, format->columns);
    return ingest__columns_parse(format->columns, mapping, error);
}

/* Columns as given: those known by name only need a header. */
static enum fr_status take_columns(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    if (mapping->thing == INGEST_ANY)
        mapping->thing = INGEST_EVENTS;
    FR_TRY(ingest__columns_parse(guess->options->columns, mapping, error));
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (mapping->column[i].number == 0)
            mapping->header = true;
    base_buf_printf(guess->explain, "columns as given: %s\n", guess->options->columns);
    return FR_OK;
}

static enum fr_status find_columns(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    if (mapping->header && mapping->thing == INGEST_ANY)
        mapping->thing = thing_of_header(guess);
    if (mapping->thing == INGEST_ANY)
        mapping->thing = INGEST_EVENTS;
    if (mapping->header)
        roles_by_name(guess);
    if (mapping->thing == INGEST_EVENTS) {
        roles_by_look(guess);
        settle_value(guess);
        if (!any_role(guess, INGEST_USER) || !any_role(guess, INGEST_ITEM)) {
            fr_ignore(base_fail(error, FR_INVALID, "ingest",
                                "cannot tell which columns are the "
                                "user and the item"),
                      "returned below");
            base_hint(error, "say it: --columns user=1,item=2,time=3");
            return FR_INVALID;
        }
    }
    settle_list_separator(guess);
    return FR_OK;
}

/* The ready format that the first row fits; NULL when none does or the columns are given. */
static const struct ingest__format *ready_format(const struct guess *guess)
{
    enum ingest_thing thing = guess->mapping->thing;
    const char *wanted = guess->options->format;
    if (guess->options->columns || is_generic(wanted))
        return NULL;
    const struct ingest__format *format =
        ingest__format_find(wanted, guess->mapping->separator, &guess->first);
    return format && (thing == INGEST_ANY || thing == format->thing) ? format : NULL;
}

static enum fr_status guess_columns(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    const char *wanted = guess->options->format;
    look_at_rows(guess);
    FR_TRY(settle_header(guess, error));
    if (mapping->header)
        look_at_rows(guess); /* without the header */
    snprintf(mapping->format, sizeof(mapping->format), "%s", wanted ? wanted : "csv");
    base_buf_printf(guess->explain, "%u columns separated by %s, %s header\n", guess->first.count,
                    separator_name(mapping->separator), mapping->header ? "with a" : "no");
    if (guess->options->columns)
        return take_columns(guess, error);
    return find_columns(guess, error);
}

static enum fr_status guess_table(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    struct fr_slice record;
    size_t at = 0;
    mapping->layout = INGEST_TABLE;
    mapping->quotes = usually_quotes(mapping->separator);
    if (!next_record(guess, &at, quoting_of(mapping), &record) ||
        ingest__row_split(&guess->first, record, mapping->separator, mapping->quotes))
        return base_fail(error, FR_INVALID, "ingest", "the first row cannot be read");
    guess->column_count = FR_MIN(guess->first.count, (uint32_t)LOOKED_AT_MAX);
    const struct ingest__format *format = ready_format(guess);
    if (format)
        return take_format(guess, format, error);
    const char *wanted = guess->options->format;
    if (wanted && !is_generic(wanted) && !guess->options->columns)
        return base_fail(error, FR_INVALID, "ingest", "this is no file of the format %s", wanted);
    return guess_columns(guess, error);
}

static enum fr_status guess_json(struct guess *guess)
{
    struct ingest_mapping *mapping = guess->mapping;
    struct fr_slice head = fr_slice_of(guess->head.ptr, FR_MIN(guess->head.bytes, 8192u));
    bool user = memmem(head.ptr, head.bytes, "\"user\"", 6) != NULL;
    bool follows = memmem(head.ptr, head.bytes, "\"follows\"", 9) != NULL;
    bool title = memmem(head.ptr, head.bytes, "\"title\"", 7) != NULL ||
                 memmem(head.ptr, head.bytes, "\"categories\"", 12) != NULL;
    mapping->layout = INGEST_JSON;
    snprintf(mapping->format, sizeof(mapping->format), "json");
    if (mapping->thing == INGEST_ANY)
        mapping->thing = title && !user     ? INGEST_ITEMS
                         : follows && !user ? INGEST_USERS
                                            : INGEST_EVENTS;
    base_buf_printf(guess->explain, "JSON: %s\n",
                    mapping->thing == INGEST_ITEMS   ? "items"
                    : mapping->thing == INGEST_USERS ? "users"
                                                     : "events");
    return FR_OK;
}

static bool looks_like_json(struct fr_slice head)
{
    size_t at = 0;
    while (at < head.bytes && head.ptr[at] != '\0' && strchr(" \t\r\n", head.ptr[at]))
        at++;
    return at < head.bytes && (head.ptr[at] == '{' || head.ptr[at] == '[');
}

static enum fr_status settle_unit(struct guess *guess, struct fr_error *error)
{
    static const char *const units[] =
        {[INGEST_UNIT_S] = "s", [INGEST_UNIT_MS] = "ms", [INGEST_UNIT_US] = "us"};
    const char *given = guess->options->time_unit;
    for (unsigned i = INGEST_UNIT_S; given && i < FR_COUNT_OF(units); i++)
        if (strcmp(given, units[i]) == 0)
            guess->mapping->unit = (enum ingest_unit)i;
    return given && guess->mapping->unit == INGEST_UNIT_AUTO
               ? base_fail(error, FR_INVALID, "ingest", "time unit \"%s\" is not s, ms or us",
                           given)
               : FR_OK;
}

static enum fr_status unknown_format(const char *format, struct fr_error *error)
{
    fr_ignore(base_fail(error, FR_INVALID, "ingest", "\"%s\" is not a known format", format),
              "returned below");
    base_hint(error, "one of %s", ingest_formats());
    return FR_INVALID;
}

/* A table, or lists when nothing was said and no separator fits. */
static enum fr_status guess_rows(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    bool said = guess->options->format || guess->options->columns;
    if (guess->options->separator) {
        FR_TRY(given_separator(guess->options->separator, mapping->separator, error));
        return guess_table(guess, error);
    }
    if (find_separator(guess, 95) || find_separator(guess, 60))
        return guess_table(guess, error);
    if (!said && find_lists(guess))
        return FR_OK;
    fr_ignore(base_fail(error, FR_INVALID, "ingest",
                        "the rows have no common separator: neither "
                        "JSON nor a table nor lists of items"),
              "returned below");
    base_hint(error, "name it with --separator, or the format with --format: %s", ingest_formats());
    return FR_INVALID;
}

static enum fr_status guess_layout(struct guess *guess, struct fr_error *error)
{
    struct ingest_mapping *mapping = guess->mapping;
    const char *format = guess->options->format;
    if (!format)
        return !guess->options->columns && looks_like_json(guess->head) ? guess_json(guess)
                                                                        : guess_rows(guess, error);
    if (!ingest__format_known(format))
        return unknown_format(format, error);
    if (strcmp(format, "json") == 0)
        return guess_json(guess);
    bool sequences = strcmp(format, "sequences") == 0;
    if (!sequences && strcmp(format, "sessions") != 0)
        return guess_rows(guess, error);
    mapping->layout = sequences ? INGEST_SEQUENCES : INGEST_SESSIONS;
    base_buf_printf(guess->explain, "%s, as given\n", format);
    return FR_OK;
}

enum fr_status ingest__guess(const struct ingest__head *head,
                             const struct ingest_reader_options *options,
                             struct ingest_mapping *out_mapping, struct base_buf *explain,
                             struct fr_error *error)
{
    if (head->text.bytes == 0)
        return base_fail(error, FR_INVALID, "ingest", "there is nothing in it");
    struct guess *guess = calloc(1, sizeof(*guess));
    if (!guess)
        return base_fail(error, FR_MEMORY, "ingest", "no memory to look at the file");
    struct ingest_mapping mapping = {.thing = options->thing};
    guess->head = head->text;
    guess->whole = head->whole;
    guess->options = options;
    guess->mapping = &mapping;
    guess->explain = explain;
    enum fr_status status = settle_unit(guess, error);
    if (status == FR_OK)
        status = guess_layout(guess, error);
    if (status == FR_OK && mapping.thing == INGEST_ANY)
        mapping.thing = INGEST_EVENTS;
    if (status == FR_OK && mapping.format[0] == '\0')
        snprintf(mapping.format, sizeof(mapping.format), "%s",
                 mapping.layout == INGEST_SEQUENCES ? "sequences" : "sessions");
    if (status == FR_OK)
        status = settle_type(guess, error);
    base_buf_release(&guess->row.scratch);
    base_buf_release(&guess->first.scratch);
    free(guess);
    if (status == FR_OK)
        *out_mapping = mapping;
    return status;
}
