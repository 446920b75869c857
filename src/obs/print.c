/* SPDX-License-Identifier: Apache-2.0
 *
 * obs printing: the table of metrics as Prometheus text and as docs/METRICS.md. Rows stand in the
 * order of metrics.def, so the rows of a family follow each other; HELP and TYPE are printed at the
 * first. Histogram bounds are powers of two of the recorded unit, exact because buckets end there.
 */
#include "obs/obs_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { COUNTER, GAUGE, HISTOGRAM, COLLECTED };
enum unit { UNIT_NONE, UNIT_SECONDS, UNIT_BYTES, UNIT_COUNT };

struct row {
    enum kind kind;
    uint32_t id;
    const char *name, *labels, *type, *text;
    enum unit unit;
};

static const struct row rows[] = {
#define OBS_COUNTER(id, name, labels, text)                                                        \
    {COUNTER, OBS_##id, name, labels, "counter", text, UNIT_NONE},
#define OBS_GAUGE(id, name, labels, text) {GAUGE, OBS_##id, name, labels, "gauge", text, UNIT_NONE},
#define OBS_HISTOGRAM(id, name, labels, unit, text)                                                \
    {HISTOGRAM, OBS_##id, name, labels, "histogram", text, UNIT_##unit},
#define OBS_COLLECTED(id, name, kind, text) {COLLECTED, OBS_##id, name, "", #kind, text, UNIT_NONE},
#include "obs/metrics.def"
};

/* Bounds printed: seconds from 1 us to 69 s, counts and bytes from 1 to 2^30, by factors of two. */
static const struct {
    uint32_t first, last;
    double scale;
} bounds[] = {
    [UNIT_SECONDS] = {10, 36, 1e-9},
    [UNIT_BYTES] = {0, 30, 1},
    [UNIT_COUNT] = {0, 20, 1},
};

struct obs_collect {
    struct base_buf *out;
    const struct row *row; /* the family being printed; NULL before the first */
};

static void print_head(struct base_buf *out, const struct row *row)
{
    base_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->text, row->name,
                    row->type);
}

static void print_value(struct base_buf *out, double value)
{
    if (isnan(value))
        base_buf_put_str(out, "NaN");
    else if (isinf(value))
        base_buf_put_str(out, value > 0 ? "+Inf" : "-Inf");
    else
        base_buf_json_number(out, value);
    base_buf_put_u8(out, '\n');
}

static void print_name(struct base_buf *out, const struct row *row, const char *suffix)
{
    base_buf_put_str(out, row->name);
    base_buf_put_str(out, suffix);
    if (*row->labels)
        base_buf_printf(out, "{%s}", row->labels);
    base_buf_put_u8(out, ' ');
}

static void print_bucket(struct base_buf *out, const struct row *row, const char *bound,
                         uint64_t count)
{
    base_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", row->name, row->labels,
                    *row->labels ? "," : "", bound, (unsigned long long)count);
}

static void print_histogram(struct base_buf *out, const struct row *row)
{
    struct obs_histogram sum;
    obs__histogram_sum((enum obs_histogram_id)row->id, &sum);
    uint64_t below = 0;
    uint32_t bucket = 0;
    for (uint32_t e = bounds[row->unit].first; e <= bounds[row->unit].last; e++) {
        /* le is inclusive: v <= 2^e, so the bucket that begins at 2^e is in it only where it holds
         * 2^e alone; elsewhere 2^e itself counts as above, an error of one value in 2^e */
        uint32_t end = obs__bucket_of((uint64_t)1 << e) + (e <= OBS_SUB_BITS ? 1 : 0);
        for (; bucket < end; bucket++)
            below += sum.buckets[bucket];
        char bound[32];
        snprintf(bound, sizeof(bound), "%.9g",
                 (double)((uint64_t)1 << e) * bounds[row->unit].scale);
        print_bucket(out, row, bound, below);
    }
    for (; bucket < OBS_BUCKET_COUNT; bucket++)
        below += sum.buckets[bucket];
    print_bucket(out, row, "+Inf", below);
    print_name(out, row, "_sum");
    print_value(out, (double)sum.sum * bounds[row->unit].scale);
    print_name(out, row, "_count");
    print_value(out, (double)below);
}

void obs_collect(struct obs_collect *to, enum obs_collected family, const char *label_name,
                 const char *label_value, double value)
{
    if (!to->row || to->row->id != family)
        return; /* another family, or the round before printing */
    struct base_buf *out = to->out;
    base_buf_put_str(out, to->row->name);
    if (label_name) {
        base_buf_printf(out, "{%s=\"", label_name);
        for (const char *c = label_value; *c; c++) {
            if (*c == '\n' || *c == '"' || *c == '\\')
                base_buf_put_u8(out, '\\');
            base_buf_put_u8(out, (uint8_t)(*c == '\n' ? 'n' : *c));
        }
        base_buf_put_str(out, "\"}");
    }
    base_buf_put_u8(out, ' ');
    print_value(out, value);
}

static void print_row(struct base_buf *out, const struct row *row)
{
    switch (row->kind) {
    case COUNTER:
        print_name(out, row, "");
        print_value(out, (double)obs_counter_value((enum obs_counter)row->id));
        break;
    case GAUGE:
        print_name(out, row, "");
        print_value(out, obs_gauge_value((enum obs_gauge)row->id));
        break;
    case HISTOGRAM:
        print_histogram(out, row);
        break;
    case COLLECTED:
        obs__collect_all(&(struct obs_collect){out, row});
        break;
    }
}

static bool first_of_family(size_t i)
{
    return i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0;
}

void obs_metrics_print(struct base_buf *out)
{
    obs__collect_all(&(struct obs_collect){out, NULL});
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        if (first_of_family(i))
            print_head(out, &rows[i]);
        print_row(out, &rows[i]);
    }
}

void obs_metrics_document(struct base_buf *out)
{
    base_buf_put_str(out, "# Metrics\n\n"
                          "Served at `/metrics` in the Prometheus text format. Generated from "
                          "`src/obs/metrics.def` by `make docs`; do not edit.\n\n"
                          "| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        if (!first_of_family(i))
            continue;
        base_buf_printf(out, "| `%s` | %s | ", rows[i].name, rows[i].type);
        const char *between = "";
        for (size_t j = i; j < FR_COUNT_OF(rows) && (j == i || !first_of_family(j)); j++) {
            if (*rows[j].labels)
                base_buf_printf(out, "%s`%s`", between, rows[j].labels);
            between = ", ";
        }
        base_buf_printf(out, "%s | %s |\n", rows[i].kind == COLLECTED ? "at run time" : "",
                        rows[i].text);
    }
}
