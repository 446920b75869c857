/* SPDX-License-Identifier: Apache-2.0
 *
 * obs: what the program says about itself. Metrics from one table (metrics.def): counters and
 * histograms kept per thread and summed when asked, gauges, and collected families whose labels
 * are only known at run time (experts, tables). Log lines to stderr, one write each.
 *
 * Counting costs a few cycles: a thread adds to a shard of its own with relaxed loads and stores.
 * Nothing here is state: the fold never reads a metric, and losing one loses no fact.
 *
 * Thread: every function may be called by any thread unless it says otherwise.
 */
#ifndef OBS_OBS_H
#define OBS_OBS_H

#include "base/base.h"
#include "base/buf.h"

/* ---- metrics ---------------------------------------------------------------------------- */

/* One enumerator a row of metrics.def: OBS_<ID>. */
enum obs_counter {
#define OBS_COUNTER(id, name, labels, text) OBS_##id,
#define OBS_GAUGE(id, name, labels, text)
#define OBS_HISTOGRAM(id, name, labels, unit, text)
#define OBS_COLLECTED(id, name, kind, text)
#include "obs/metrics.def"
    OBS_COUNTER_COUNT
};

enum obs_gauge {
#define OBS_COUNTER(id, name, labels, text)
#define OBS_GAUGE(id, name, labels, text) OBS_##id,
#define OBS_HISTOGRAM(id, name, labels, unit, text)
#define OBS_COLLECTED(id, name, kind, text)
#include "obs/metrics.def"
    OBS_GAUGE_COUNT
};

enum obs_histogram_id {
#define OBS_COUNTER(id, name, labels, text)
#define OBS_GAUGE(id, name, labels, text)
#define OBS_HISTOGRAM(id, name, labels, unit, text) OBS_##id,
#define OBS_COLLECTED(id, name, kind, text)
#include "obs/metrics.def"
    OBS_HISTOGRAM_COUNT
};

enum obs_collected {
#define OBS_COUNTER(id, name, labels, text)
#define OBS_GAUGE(id, name, labels, text)
#define OBS_HISTOGRAM(id, name, labels, unit, text)
#define OBS_COLLECTED(id, name, kind, text) OBS_##id,
#include "obs/metrics.def"
    OBS_COLLECTED_COUNT
};

/* Adds to a counter of the calling thread's shard. */
void obs_counter_add(enum obs_counter counter, uint64_t amount);
/* The sum over all threads, dead ones included. */
uint64_t obs_counter_value(enum obs_counter counter);

/* A gauge is one word for the whole process: the last write wins. */
void obs_gauge_set(enum obs_gauge gauge, double value);
double obs_gauge_value(enum obs_gauge gauge);

/* Records a value in the row's unit: nanoseconds for OBS_UNIT_SECONDS (printed as seconds), else as
 * it is. */
void obs_histogram_record(enum obs_histogram_id histogram, uint64_t value);
/* The quantile q (0 .. 1) over all threads since the start, in recorded units; 0 when empty.
 * Relative error <= 1/32. */
uint64_t obs_histogram_quantile(enum obs_histogram_id histogram, double q);
uint64_t obs_histogram_count(enum obs_histogram_id histogram);

/* A collector is asked at each scrape: once before anything is printed, so that it may set gauges,
 * and once a collected family. It calls obs_collect() once a label set, all of one family
 * in a row. Called by the scraping thread: it must read views or atomics only. Registered at start,
 * before the first scrape; at most OBS_COLLECTORS_MAX. Pairs (collect, context) are forgotten by
 * obs_collector_remove(). */
struct obs_collect;
typedef void (*obs_collect_fn)(void *context, struct obs_collect *to);
enum { OBS_COLLECTORS_MAX = 16 };
FR_MUST_USE enum fr_status obs_collector_add(obs_collect_fn collect, void *context);
void obs_collector_remove(obs_collect_fn collect, void *context);
/* One sample: label_name may be NULL (no label); the value of the label is escaped here. */
void obs_collect(struct obs_collect *to, enum obs_collected family, const char *label_name,
                 const char *label_value, double value);

/* All metrics in the Prometheus text format 0.0.4 (content type OBS_CONTENT_TYPE). */
#define OBS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void obs_metrics_print(struct base_buf *out);
/* docs/METRICS.md, from the table. */
void obs_metrics_document(struct base_buf *out);

/* ---- a histogram of one's own (benches, clients) -------------------------------------------- */

/* Log-linear buckets: 16 between a power of two and the next, so a value is known to 1/16 of
 * itself; exact below 32. Values beyond 2^44 count as 2^44. */
enum {
    OBS_SUB_BITS = 4,
    OBS_EXPONENT_MAX = 44,
    OBS_BUCKET_COUNT = (OBS_EXPONENT_MAX - OBS_SUB_BITS + 1) << OBS_SUB_BITS,
};

struct obs_histogram {
    uint64_t buckets[OBS_BUCKET_COUNT];
    uint64_t sum;
};

/* Thread: the owner. A zeroed struct is an empty histogram. */
void obs_hist_record(struct obs_histogram *histogram, uint64_t value);
void obs_hist_merge(struct obs_histogram *into, const struct obs_histogram *from);
uint64_t obs_hist_count(const struct obs_histogram *histogram);
uint64_t obs_hist_quantile(const struct obs_histogram *histogram, double q);

/* ---- log lines ------------------------------------------------------------------------------ */

enum obs_level { OBS_DEBUG, OBS_INFO, OBS_WARN, OBS_ERROR };
enum obs_format { OBS_TEXT, OBS_JSON };

/* At start, and on a reload. Default: OBS_INFO, OBS_TEXT. */
void obs_log_setup(enum obs_level level, enum obs_format format);
bool obs_log_wants(enum obs_level level);

/* One line: time, level, room, message. Longer than OBS_LINE_BYTES_MAX is cut, and says so.
 * Control characters are escaped, so that input cannot forge a line. Whoever decides logs, once. */
enum { OBS_LINE_BYTES_MAX = 2048 };
void obs_log(enum obs_level level, const char *room, const char *format, ...) FR_PRINTF(3, 4);
/* An error with its hint. */
void obs_log_error(enum obs_level level, const struct fr_error *error);

/* For what can happen thousands of times a second: at most one line a second from this limiter (a
 * static of the caller); the next line says how many were held back. */
struct obs_limit {
    uint64_t next_ns;
    uint64_t held;
};
void obs_log_limited(struct obs_limit *limit, enum obs_level level, const char *room,
                     const char *format, ...) FR_PRINTF(4, 5);

#endif
