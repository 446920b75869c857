/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: mappings: what each column means. The table of roles with the names that files use for
 * them, the table of ready formats, and the parser of `--columns`. Thread: any.
 */
#include "ingest/ingest_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- roles ---------------------------------------------------------------------------------- */

/* names: as ingest__plain_name() leaves them, between spaces. things: where the role exists. */
enum { EVENTS = 1 << INGEST_EVENTS, ITEMS = 1 << INGEST_ITEMS, USERS = 1 << INGEST_USERS };
static const struct role {
    const char *name;
    unsigned things;
    bool named; /* "context.page", "flag.Drama", "attribute.year" */
    const char *names;
} roles[INGEST_ROLE_COUNT] = {
    [INGEST_NOTHING] = {"nothing", 0, false, ""},
    [INGEST_USER] =
        {"user", EVENTS, false,
         " user userid uid u visitor visitorid customer customerid member memberid reviewer "
         "reviewerid reader readerid account accountid person personid client clientid "},
    [INGEST_ITEM] =
        {"item", EVENTS, false,
         " item itemid iid i movie movieid film filmid product productid asin article "
         "articleid clickarticleid content contentid sku track trackid song songid book "
         "bookid isbn video videoid artist artistid news newsid game gameid app appid "
         "business businessid "},
    [INGEST_VALUE] = {"value", EVENTS, false,
                      " value rating score stars overall preference dwell "},
    [INGEST_TIME] =
        {"time", EVENTS, false,
         " time timestamp ts date datetime clicktimestamp eventtime eventdate createdat "
         "unixtime unixreviewtime at when "},
    [INGEST_SESSION] = {"session", EVENTS, false, " session sessionid sid visit visitid "},
    [INGEST_TYPE] = {"type", EVENTS, false,
                     " type event eventtype action behavior behaviour behaviortype interaction "
                     "feedbacktype "},
    [INGEST_REQUEST] = {"request", EVENTS, false, " request requestid recommendationid "},
    [INGEST_CONTEXT] = {"context", EVENTS, true, ""},
    [INGEST_ID] = {"id", EVENTS | ITEMS | USERS, false, " id eventid "},
    [INGEST_TITLE] = {"title", ITEMS, false,
                      " title movietitle name itemname producttitle headline "},
    [INGEST_TEXT] = {"text", ITEMS, false, " text description body summary abstract content plot "},
    [INGEST_CATEGORIES] = {"categories", ITEMS, false,
                           " categories category genres genre class classes topics topic section "},
    [INGEST_TAGS] = {"tags", ITEMS, false, " tags tag keywords labels "},
    [INGEST_AUTHOR] = {"author", ITEMS, false, " author creator artist writer director brand "},
    [INGEST_PUBLISHED] = {"published", ITEMS, false,
                          " published publishedat publicationdate releasedate createdat date "
                          "timestamp "},
    [INGEST_EXPIRES] = {"expires", ITEMS, false, " expires expiresat expiry "},
    [INGEST_LENGTH] = {"length", ITEMS, false, " length duration runtime words wordscount "},
    [INGEST_PRICE] = {"price", ITEMS, false, " price cost "},
    [INGEST_LANGUAGE] = {"language", ITEMS, false, " language lang locale "},
    [INGEST_IMAGE] = {"image", ITEMS, false, " image imageurl picture pictureurl cover poster "},
    [INGEST_HIDDEN] = {"hidden", ITEMS, false, " hidden ishidden "},
    [INGEST_FLAG] = {"flag", ITEMS, true, ""},
    [INGEST_ATTRIBUTE] = {"attribute", ITEMS | USERS, true, ""},
    [INGEST_FOLLOWS] = {"follows", USERS, false, " follows following "},
};

/* Context members and the names that files use for them. */
static const struct {
    const char *name, *names;
} contexts[] = {
    {"device", " device devicetype devicegroup clickdevicegroup "},
    {"os", " os clickos platform "},
    {"country", " country clickcountry countrycode "},
    {"region", " region clickregion state "},
    {"city", " city "},
    {"referrer", " referrer referer clickreferrertype referrertype source channel "},
    {"language", " language lang locale "},
};

const char *ingest__role_name(enum ingest_role role)
{
    return roles[role].name;
}

void ingest__plain_name(struct fr_slice header, char *out, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < header.bytes && header.ptr[i] != ':' && used + 1 < bytes; i++)
        if (isalnum((unsigned char)header.ptr[i]))
            out[used++] = (char)tolower((unsigned char)header.ptr[i]);
    out[used] = '\0';
}

static bool is_among(const char *names, const char *plain)
{
    char wanted[72];
    if (plain[0] == '\0')
        return false;
    snprintf(wanted, sizeof(wanted), " %s ", plain);
    return strstr(names, wanted) != NULL;
}

enum ingest_role ingest__role_guess(struct fr_slice header, enum ingest_thing thing, char name[64])
{
    char plain[64];
    ingest__plain_name(header, plain, sizeof(plain));
    if (thing == INGEST_ITEMS && is_among(roles[INGEST_ITEM].names, plain))
        return INGEST_ID;
    if (thing == INGEST_USERS && is_among(roles[INGEST_USER].names, plain))
        return INGEST_ID;
    for (unsigned i = 1; i < INGEST_ROLE_COUNT; i++)
        if (roles[i].things & 1u << thing && is_among(roles[i].names, plain))
            return (enum ingest_role)i;
    for (size_t i = 0; thing == INGEST_EVENTS && i < FR_COUNT_OF(contexts); i++) {
        if (!is_among(contexts[i].names, plain))
            continue;
        snprintf(name, 64, "%s", contexts[i].name);
        return INGEST_CONTEXT;
    }
    return INGEST_NOTHING;
}

/* ---- ready formats ----------------------------------------------------------------------------
 */

static const struct ingest__format formats[] = {
    {.name = "movielens-100k",
     .thing = INGEST_EVENTS,
     .separator = "\t",
     .column_count = 4,
     .columns = "user=1,item=2,value=3,time=4",
     .unit = INGEST_UNIT_S},
    {.name = "movielens-100k",
     .thing = INGEST_ITEMS,
     .separator = "|",
     .column_count = 24,
     .columns = "id=1,title=2,published=3,flag.unknown=6,flag.Action=7,flag.Adventure=8,"
                "flag.Animation=9,flag.Children's=10,flag.Comedy=11,flag.Crime=12,"
                "flag.Documentary=13,flag.Drama=14,flag.Fantasy=15,flag.Film-Noir=16,"
                "flag.Horror=17,flag.Musical=18,flag.Mystery=19,flag.Romance=20,flag.Sci-Fi=21,"
                "flag.Thriller=22,flag.War=23,flag.Western=24",
     .latin1 = true},
    {.name = "movielens-100k",
     .thing = INGEST_USERS,
     .separator = "|",
     .column_count = 5,
     .columns = "id=1,attribute.age=2,attribute.gender=3,attribute.occupation=4,attribute.zip=5"},
    {.name = "movielens-1m",
     .thing = INGEST_EVENTS,
     .separator = "::",
     .column_count = 4,
     .columns = "user=1,item=2,value=3,time=4",
     .unit = INGEST_UNIT_S},
    {.name = "movielens-1m",
     .thing = INGEST_ITEMS,
     .separator = "::",
     .column_count = 3,
     .columns = "id=1,title=2,categories=3",
     .latin1 = true},
    {.name = "movielens-1m",
     .thing = INGEST_USERS,
     .separator = "::",
     .column_count = 5,
     .columns = "id=1,attribute.gender=2,attribute.age=3,attribute.occupation=4,attribute.zip=5"},
    {.name = "movielens-latest",
     .thing = INGEST_EVENTS,
     .separator = ",",
     .headers = "userId,movieId,rating,timestamp",
     .columns = "user=userId,item=movieId,value=rating,time=timestamp",
     .quotes = true,
     .unit = INGEST_UNIT_S},
    {.name = "movielens-latest",
     .thing = INGEST_ITEMS,
     .separator = ",",
     .headers = "movieId,title,genres",
     .columns = "id=movieId,title=title,categories=genres",
     .quotes = true},
    {.name = "globo",
     .thing = INGEST_EVENTS,
     .separator = "\t",
     .headers = "user_id,session_id,click_article_id,click_timestamp",
     .columns = "user=user_id,session=session_id,item=click_article_id,time=click_timestamp,"
                "device=click_deviceGroup,os=click_os,country=click_country,region=click_region,"
                "referrer=click_referrer_type,context.environment=click_environment",
     .unit = INGEST_UNIT_MS},
    {.name = "globo",
     .thing = INGEST_EVENTS,
     .separator = ",",
     .headers = "user_id,session_id,click_article_id,click_timestamp",
     .columns = "user=user_id,session=session_id,item=click_article_id,time=click_timestamp,"
                "device=click_deviceGroup,os=click_os,country=click_country,region=click_region,"
                "referrer=click_referrer_type,context.environment=click_environment",
     .quotes = true,
     .unit = INGEST_UNIT_MS},
};

static const char format_names[] = "movielens-100k, movielens-1m, movielens-latest, globo, "
                                   "recbole, sequences, sessions, csv, json";

const char *ingest_formats(void)
{
    return format_names;
}

bool ingest__format_known(const char *name)
{
    const char *found = strstr(format_names, name);
    size_t bytes = strlen(name);
    return bytes > 0 && found && (found == format_names || found[-1] == ' ') &&
           (found[bytes] == ',' || found[bytes] == '\0');
}

static bool has_header(const struct ingest__row *row, const char *name, size_t bytes)
{
    for (uint32_t i = 0; i < FR_MIN(row->count, (uint32_t)INGEST_FIELDS_MAX); i++)
        if (fr_slice_equal(row->field[i], fr_slice_of(name, bytes)))
            return true;
    return false;
}

static bool has_headers(const struct ingest__row *row, const char *headers)
{
    while (*headers) {
        size_t bytes = strcspn(headers, ",");
        if (!has_header(row, headers, bytes))
            return false;
        headers += bytes + (headers[bytes] == ',');
    }
    return true;
}

static bool is_number(struct fr_slice text)
{
    double number;
    return schema_number_parse(text, &number);
}

/* Files without a header are told by their shape: MovieLens' first column and ratings are numbers.
 */
static bool has_shape(const struct ingest__format *format, const struct ingest__row *row)
{
    int64_t us;
    const char *rule;
    double stars;
    if (row->count != format->column_count || !is_number(row->field[0]))
        return false;
    if (format->thing != INGEST_EVENTS)
        return true;
    return is_number(row->field[1]) && schema_number_parse(row->field[2], &stars) && stars >= 0.5 &&
           stars <= 5 && schema_time_parse(row->field[3], &us, &rule) == FR_OK &&
           us > (int64_t)800000000 * 1000000;
}

const struct ingest__format *ingest__format_find(const char *name, const char *separator,
                                                 const struct ingest__row *first)
{
    for (size_t i = 0; i < FR_COUNT_OF(formats); i++) {
        const struct ingest__format *format = &formats[i];
        if ((name && strcmp(name, format->name) != 0) || strcmp(separator, format->separator) != 0)
            continue;
        if (format->headers ? has_headers(first, format->headers) : has_shape(format, first))
            return format;
    }
    return NULL;
}

/* ---- --columns --------------------------------------------------------------------------------
 */

/* The role of "device", "context.page", "flag.Drama"; fills the column's name. */
static enum ingest_role role_of(struct fr_slice word, enum ingest_thing thing,
                                struct ingest_column *column)
{
    const char *dot = memchr(word.ptr, '.', word.bytes);
    size_t bytes = dot ? (size_t)(dot - word.ptr) : word.bytes;
    struct fr_slice head = fr_slice_of(word.ptr, bytes);
    for (unsigned i = 1; i < INGEST_ROLE_COUNT; i++) {
        bool fits = thing == INGEST_ANY || roles[i].things & 1u << thing;
        if (!fits || !fr_slice_equal(head, fr_slice_str(roles[i].name)) ||
            roles[i].named != (dot != NULL))
            continue;
        if (dot)
            snprintf(column->name, sizeof(column->name), "%.*s", (int)(word.bytes - bytes - 1),
                     dot + 1);
        return !dot || column->name[0] ? (enum ingest_role)i : INGEST_NOTHING;
    }
    for (size_t i = 0; thing != INGEST_ITEMS && i < FR_COUNT_OF(contexts); i++) {
        if (!fr_slice_equal(word, fr_slice_str(contexts[i].name)))
            continue;
        snprintf(column->name, sizeof(column->name), "%s", contexts[i].name);
        return INGEST_CONTEXT;
    }
    return INGEST_NOTHING;
}

static enum fr_status unknown_role(struct fr_slice word, struct fr_error *error)
{
    const char *names[INGEST_ROLE_COUNT + FR_COUNT_OF(contexts)];
    size_t count = 0;
    for (unsigned i = 1; i < INGEST_ROLE_COUNT; i++)
        names[count++] = roles[i].name;
    for (size_t i = 0; i < FR_COUNT_OF(contexts); i++)
        names[count++] = contexts[i].name;
    const char *nearest = schema_nearest(word, names, count);
    fr_ignore(base_fail(error, FR_INVALID, "ingest",
                        "columns: \"%.*s\" is not something a column "
                        "can be",
                        (int)FR_MIN(word.bytes, 40u), word.ptr),
              "returned below");
    if (nearest)
        base_hint(error, "did you mean \"%s\"?", nearest);
    else
        base_hint(error, "for events: user, item, value, time, session, type, id, request, device, "
                         "os, country, region, city, referrer, language, context.NAME");
    return FR_INVALID;
}

static enum fr_status parse_place(struct fr_slice place, struct ingest_column *column,
                                  struct fr_error *error)
{
    bool digits = place.bytes > 0 && place.bytes <= 4;
    uint32_t number = 0;
    for (size_t i = 0; digits && i < place.bytes; i++) {
        digits = isdigit((unsigned char)place.ptr[i]);
        number = number * 10 + (uint32_t)(place.ptr[i] - '0');
    }
    if (digits && (number == 0 || number > INGEST_FIELDS_MAX))
        return base_fail(error, FR_INVALID, "ingest", "columns: there is no column %u (1 to %d)",
                         number, INGEST_FIELDS_MAX);
    if (!digits && (place.bytes == 0 || place.bytes >= sizeof(column->header)))
        return base_fail(error, FR_INVALID, "ingest",
                         "columns: \"%.*s\" must be a number or a name of the header",
                         (int)FR_MIN(place.bytes, 40u), place.ptr);
    column->number = digits ? number : 0;
    if (!digits)
        snprintf(column->header, sizeof(column->header), "%.*s", (int)place.bytes, place.ptr);
    return FR_OK;
}

static enum fr_status parse_one(struct fr_slice part, struct ingest_mapping *mapping,
                                struct fr_error *error)
{
    struct ingest_column column = {.role = INGEST_NOTHING};
    const char *equals = memchr(part.ptr, '=', part.bytes);
    if (!equals)
        return base_fail(error, FR_INVALID, "ingest", "columns: \"%.*s\" is not NAME=COLUMN",
                         (int)FR_MIN(part.bytes, 40u), part.ptr);
    struct fr_slice word = fr_slice_of(part.ptr, (size_t)(equals - part.ptr));
    column.role = role_of(word, mapping->thing, &column);
    if (column.role == INGEST_NOTHING)
        return unknown_role(word, error);
    FR_TRY(parse_place(fr_slice_of(equals + 1, part.bytes - word.bytes - 1), &column, error));
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (mapping->column[i].role == column.role &&
            strcmp(mapping->column[i].name, column.name) == 0)
            return base_fail(error, FR_INVALID, "ingest", "columns: \"%.*s\" is given twice",
                             (int)FR_MIN(word.bytes, 40u), word.ptr);
    if (mapping->column_count == INGEST_COLUMNS_MAX)
        return base_fail(error, FR_FULL, "ingest", "columns: more than %d", INGEST_COLUMNS_MAX);
    mapping->column[mapping->column_count++] = column;
    return FR_OK;
}

enum fr_status ingest__columns_parse(const char *text, struct ingest_mapping *mapping,
                                     struct fr_error *error)
{
    mapping->column_count = 0;
    while (*text) {
        size_t bytes = strcspn(text, ",");
        FR_TRY(parse_one(fr_slice_of(text, bytes), mapping, error));
        text += bytes;
        if (*text == ',' && *++text == '\0')
            return base_fail(error, FR_INVALID, "ingest", "columns: nothing behind the last comma");
    }
    return mapping->column_count ? FR_OK
                                 : base_fail(error, FR_INVALID, "ingest", "columns: none is named");
}
