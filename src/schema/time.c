/* SPDX-License-Identifier: Apache-2.0
 *
 * schema_time: RFC 3339 and Unix times to microseconds and back, proleptic Gregorian calendar, no
 * libc locale or zone database. Days by Howard Hinnant's civil calendar algorithms. Thread: any.
 */
#include "schema/schema_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_S ((int64_t)1000000)
#define UNIX_S_END ((int64_t)100000000000)     /* 1e11: seconds below, milliseconds from */
#define UNIX_MS_END ((int64_t)100000000000000) /* 1e14: microseconds from */

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static enum fr_status fail(const char *rule, const char **out_rule)
{
    *out_rule = rule;
    return FR_INVALID;
}

static enum fr_status bounded(int64_t time_us, int64_t *out_us, const char **out_rule)
{
    if (time_us < SCHEMA__TIME_US_MIN)
        return fail("must not be before 1970-01-02", out_rule);
    if (time_us > SCHEMA__TIME_US_MAX)
        return fail("must not be after the year 9999", out_rule);
    *out_us = time_us;
    return FR_OK;
}

enum fr_status schema_time_from_int(int64_t number, int64_t *out_us, const char **out_rule)
{
    if (number < UNIX_S_END) /* negative ones too: bounded() refuses them */
        return bounded(number < -UNIX_S_END ? -1 : number * US_PER_S, out_us, out_rule);
    if (number < UNIX_MS_END)
        return bounded(number * 1000, out_us, out_rule);
    return bounded(number, out_us, out_rule);
}

enum fr_status schema_time_from_double(double number, int64_t *out_us, const char **out_rule)
{
    if (!isfinite(number))
        return fail("must be a finite number", out_rule);
    if (number >= 9e18)
        return fail("must not be after the year 9999", out_rule);
    if (number < 0)
        return fail("must not be before 1970-01-02", out_rule);
    double scale = number < (double)UNIX_S_END ? 1e6 : number < (double)UNIX_MS_END ? 1e3 : 1;
    return bounded((int64_t)floor(number * scale + 0.5), out_us, out_rule);
}

bool schema_number_parse(struct fr_slice text, double *out_number)
{
    char copy[64], *end;
    if (text.bytes == 0 || text.bytes >= sizeof(copy))
        return false;
    for (size_t i = 0; i < text.bytes; i++)
        if (!strchr("0123456789+-.eE", text.ptr[i]) || text.ptr[i] == '\0')
            return false; /* no hex, "nan", spaces */
    memcpy(copy, text.ptr, text.bytes);
    copy[text.bytes] = '\0';
    double number = strtod(copy, &end);
    if (end != copy + text.bytes || !isfinite(number))
        return false;
    *out_number = number;
    return true;
}

/* `count` digits at text[*at]; false when there are not as many. */
static bool digits(struct fr_slice text, size_t *at, size_t count, unsigned *out_number)
{
    unsigned number = 0;
    if (text.bytes < *at + count)
        return false;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned char)text.ptr[*at + i] - (unsigned)'0';
        if (digit > 9)
            return false;
        number = number * 10 + digit;
    }
    *at += count;
    *out_number = number;
    return true;
}

static bool letter(struct fr_slice text, size_t *at, const char *any_of)
{
    if (*at >= text.bytes || text.ptr[*at] == '\0' || !strchr(any_of, text.ptr[*at]))
        return false;
    (*at)++;
    return true;
}

struct clock_time {
    unsigned year, month, day, hour, minute, second;
    int64_t fraction_us;
};

static bool parse_date_time(struct fr_slice text, size_t *at, struct clock_time *t)
{
    if (!(digits(text, at, 4, &t->year) && letter(text, at, "-") &&
          digits(text, at, 2, &t->month) && letter(text, at, "-") && digits(text, at, 2, &t->day) &&
          letter(text, at, "Tt ")))
        return false;
    if (!(digits(text, at, 2, &t->hour) && letter(text, at, ":") &&
          digits(text, at, 2, &t->minute) && letter(text, at, ":") &&
          digits(text, at, 2, &t->second)))
        return false;
    t->fraction_us = 0;
    if (!letter(text, at, "."))
        return true;
    size_t first = *at;
    unsigned digit;
    for (int64_t unit = 100000; digits(text, at, 1, &digit); unit /= 10)
        t->fraction_us += (int64_t)digit * unit;
    return *at > first;
}

static bool parse_zone(struct fr_slice text, size_t *at, int *out_minutes)
{
    unsigned hours, minutes;
    *out_minutes = 0;
    if (letter(text, at, "Zz"))
        return true;
    bool west = *at < text.bytes && text.ptr[*at] == '-';
    if (!(letter(text, at, "+-") && digits(text, at, 2, &hours) && letter(text, at, ":") &&
          digits(text, at, 2, &minutes)) ||
        hours > 23 || minutes > 59)
        return false;
    *out_minutes = (int)(hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

static enum fr_status parse_rfc3339(struct fr_slice text, int64_t *out_us, const char **out_rule)
{
    struct clock_time t;
    size_t at = 0;
    int zone_minutes;
    if (!parse_date_time(text, &at, &t))
        return fail("must be RFC 3339 (2026-11-24T05:30:15Z) or Unix seconds or milliseconds",
                    out_rule);
    if (at == text.bytes)
        return fail("needs its time zone: Z or an offset like +01:00", out_rule);
    if (!parse_zone(text, &at, &zone_minutes) || at != text.bytes)
        return fail("must end with Z or an offset like +01:00", out_rule);
    if (t.month < 1 || t.month > 12 || t.day < 1 || t.day > days_in_month(t.year, t.month))
        return fail("must be a day of the calendar", out_rule);
    if (t.hour > 23 || t.minute > 59 || t.second > 60) /* 60: a leap second */
        return fail("must be a time of day", out_rule);
    int64_t seconds = days_from_civil((int64_t)t.year, t.month, t.day) * 86400 +
                      (int64_t)(t.hour * 3600 + t.minute * 60 + t.second) -
                      (int64_t)zone_minutes * 60;
    return bounded(seconds * US_PER_S + t.fraction_us, out_us, out_rule);
}

enum fr_status schema_time_parse(struct fr_slice text, int64_t *out_us, const char **out_rule)
{
    size_t digit_count = 0;
    int64_t number = 0;
    double real;
    while (digit_count < text.bytes && digit_count < 19 &&
           (unsigned char)text.ptr[digit_count] - (unsigned)'0' <= 9) {
        int64_t digit = text.ptr[digit_count++] - '0';
        if (number > (INT64_MAX - digit) / 10)
            return fail("must not be after the year 9999", out_rule);
        number = number * 10 + digit;
    }
    if (digit_count > 0 && digit_count == text.bytes)
        return schema_time_from_int(number, out_us, out_rule);
    if (digit_count != 4 && schema_number_parse(text, &real))
        return schema_time_from_double(real, out_us, out_rule);
    return parse_rfc3339(text, out_us, out_rule);
}

static char *put_digits(char *to, unsigned number, int count)
{
    for (int i = count - 1; i >= 0; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + count;
}

void schema_time_print(int64_t time_us, struct base_buf *out)
{
    int64_t seconds = time_us / US_PER_S, fraction = time_us % US_PER_S;
    if (fraction < 0) {
        fraction += US_PER_S;
        seconds--;
    }
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * day_of_year + 2) / 153;
    unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
    unsigned year = (unsigned)(era * 400) + year_of_era + (month <= 2 ? 1u : 0u);
    char text[32], *at = put_digits(text, year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day_of_year - (153 * shifted + 2) / 5 + 1, 2);
    *at++ = 'T';
    at = put_digits(at, (unsigned)(rest / 3600), 2);
    *at++ = ':';
    at = put_digits(at, (unsigned)(rest / 60 % 60), 2);
    *at++ = ':';
    at = put_digits(at, (unsigned)(rest % 60), 2);
    if (fraction) {
        *at++ = '.';
        at = put_digits(at, (unsigned)fraction, 6);
    }
    *at++ = 'Z';
    base_buf_put(out, text, (size_t)(at - text));
}
