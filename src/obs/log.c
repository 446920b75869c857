/* SPDX-License-Identifier: Apache-2.0
 *
 * obs log lines: one line, one write(2) to stderr, so that lines of several threads never mix.
 * A line is a fact for people, not state: its time is the machine's own clock, read here directly
 * rather than through the world that a simulation replaces.
 */
#include "obs/obs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint32_t level_min = OBS_INFO;
static uint32_t line_format = OBS_TEXT;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void obs_log_setup(enum obs_level level, enum obs_format format)
{
    FR_STORE(level_min, (uint32_t)level);
    FR_STORE(line_format, (uint32_t)format);
}

bool obs_log_wants(enum obs_level level)
{
    return (uint32_t)level >= FR_LOAD(level_min);
}

/* A line under construction; what does not fit is left out, room for the end is kept. */
struct line {
    char text[OBS_LINE_BYTES_MAX];
    size_t count;
    bool cut;
};

static void put(struct line *line, const char *text, size_t bytes)
{
    enum { END_BYTES = 16 };
    if (line->cut || line->count + bytes > sizeof(line->text) - END_BYTES) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->count, text, bytes);
    line->count += bytes;
}

/* Quotes and backslashes only in JSON; control characters always. */
static void put_escaped(struct line *line, const char *text, bool json)
{
    for (const char *c = text; *c; c++) {
        char escape[8];
        unsigned char byte = (unsigned char)*c;
        if (byte >= 0x20 && byte != 0x7f && !(json && (byte == '"' || byte == '\\')))
            put(line, c, 1);
        else if (byte == '"' || byte == '\\')
            put(line, (char[2]){'\\', *c}, 2);
        else
            put(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", byte));
    }
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm parts;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t count = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    count += (size_t)snprintf(text + count, sizeof(text) - count, ".%03ldZ", now.tv_nsec / 1000000);
    put(line, text, count);
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void write_line(const struct line *line)
{
    size_t done = 0;
    while (done < line->count) {
        ssize_t wrote = write(STDERR_FILENO, line->text + done, line->count - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return; /* nobody reads: there is no one left to tell */
        done += (size_t)wrote;
    }
}

static void log_message(enum obs_level level, const char *room, const char *message,
                        const char *hint)
{
    struct line line = {.count = 0};
    bool json = FR_LOAD(line_format) == OBS_JSON;
    put_str(&line, json ? "{\"time\":\"" : "");
    put_time(&line);
    put_str(&line, json ? "\",\"level\":\"" : " ");
    put_str(&line, level_names[level]);
    put_str(&line, json ? "\",\"room\":\"" : " ");
    put_str(&line, room);
    put_str(&line, json ? "\",\"message\":\"" : ": ");
    put_escaped(&line, message, json);
    if (*hint) {
        put_str(&line, json ? "\",\"hint\":\"" : " (");
        put_escaped(&line, hint, json);
        put_str(&line, json ? "" : ")");
    }
    bool was_cut = line.cut;
    line.cut = false;
    const char *end = json ? (was_cut ? "...\"}\n" : "\"}\n") : (was_cut ? "...\n" : "\n");
    size_t end_bytes = strlen(end); /* its room was kept by put() */
    memcpy(line.text + line.count, end, end_bytes);
    line.count += end_bytes;
    write_line(&line);
}

static void log_list(enum obs_level level, const char *room, const char *format, va_list args)
{
    char message[OBS_LINE_BYTES_MAX];
    vsnprintf(message, sizeof(message), format, args);
    log_message(level, room, message, "");
}

void obs_log(enum obs_level level, const char *room, const char *format, ...)
{
    if (!obs_log_wants(level))
        return;
    va_list args;
    va_start(args, format);
    log_list(level, room, format, args);
    va_end(args);
}

void obs_log_error(enum obs_level level, const struct fr_error *error)
{
    if (obs_log_wants(level))
        log_message(level, error->room ? error->room : "?", error->message, error->hint);
}

void obs_log_limited(struct obs_limit *limit, enum obs_level level, const char *room,
                     const char *format, ...)
{
    if (!obs_log_wants(level))
        return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t next_ns = FR_LOAD(limit->next_ns);
    /* one thread wins the second; the others count */
    if (now_ns < next_ns ||
        !__atomic_compare_exchange_n(&limit->next_ns, &next_ns, now_ns + 1000000000u, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&limit->held, 1, __ATOMIC_RELAXED);
        return;
    }
    uint64_t held = __atomic_exchange_n(&limit->held, 0, __ATOMIC_RELAXED);
    if (held > 0)
        obs_log(level, room, "%llu lines like the next one were held back",
                (unsigned long long)held);
    va_list args;
    va_start(args, format);
    log_list(level, room, format, args);
    va_end(args);
}
