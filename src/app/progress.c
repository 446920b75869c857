/* SPDX-License-Identifier: Apache-2.0
 *
 * app progress: how far long work is, how fast it goes, how long it will take. The rate is the mean
 * since the start, which is steady and honest for work whose steps are alike.
 */
#include "app/app.h"

#include <unistd.h>

#include "os/os.h"

enum { BAR_CELLS = 24 };
static const int64_t redraw_ns = 100000000, plain_line_ns = 5000000000;

void app_print_count(uint64_t count, struct base_buf *out)
{
    if (count >= 1000) {
        app_print_count(count / 1000, out);
        base_buf_printf(out, ",%03u", (unsigned)(count % 1000));
    } else {
        base_buf_json_u64(out, count);
    }
}

/* 75 s as "1 min 15 s"; beyond a day nobody counts the minutes. */
static void print_duration(double seconds, struct base_buf *out)
{
    uint64_t whole = (uint64_t)(seconds + 0.5);
    if (whole >= 3600)
        base_buf_printf(out, "%llu h %llu min", (unsigned long long)(whole / 3600),
                        (unsigned long long)(whole / 60 % 60));
    else if (whole >= 60)
        base_buf_printf(out, "%llu min %llu s", (unsigned long long)(whole / 60),
                        (unsigned long long)(whole % 60));
    else
        base_buf_printf(out, "%llu s", (unsigned long long)whole);
}

static void print_bar(double share, struct base_buf *out)
{
    int full = (int)(share * BAR_CELLS);
    base_buf_put_str(out, " [");
    for (int i = 0; i < BAR_CELLS; i++)
        base_buf_put_u8(out, i < full ? '#' : '-');
    base_buf_printf(out, "] %3d %%", (int)(share * 100));
}

void app_progress_line(const struct app_progress *progress, uint64_t done, int64_t now_ns,
                       struct base_buf *out)
{
    double seconds = (double)FR_MAX(now_ns - progress->began_ns, (int64_t)1) * 1e-9;
    double rate = (double)done / seconds;
    uint64_t total = FR_MAX(progress->total, done);
    base_buf_put_str(out, progress->what);
    if (progress->total > 0 && progress->terminal)
        print_bar((double)done / (double)total, out);
    else if (progress->total > 0)
        base_buf_printf(out, ": %d %%,", (int)(100.0 * (double)done / (double)total));
    else
        base_buf_put_u8(out, ':');
    base_buf_put_u8(out, ' ');
    app_print_count(done, out);
    if (progress->total > 0) {
        base_buf_put_str(out, " of ");
        app_print_count(total, out);
    }
    base_buf_printf(out, " %s, ", progress->unit);
    app_print_count((uint64_t)rate, out);
    base_buf_put_str(out, "/s");
    if (progress->total > 0 && done > 0) {
        base_buf_put_str(out, ", ");
        print_duration((double)(total - done) / rate, out);
        base_buf_put_str(out, " left");
    }
}

void app_progress_begin(struct app_progress *progress, const struct app *app, const char *what,
                        const char *unit, uint64_t total)
{
    int64_t now_ns = os_mono_ns(os_real());
    *progress = (struct app_progress){
        .what = what,
        .unit = unit,
        .total = total,
        .quiet = app->json,
        .terminal = isatty(STDERR_FILENO) == 1,
        .began_ns = now_ns,
    };
    progress->next_ns = now_ns + (progress->terminal ? redraw_ns : plain_line_ns);
}

void app_progress_update(struct app_progress *progress, uint64_t done)
{
    int64_t now_ns = progress->quiet ? 0 : os_mono_ns(os_real());
    if (progress->quiet || now_ns < progress->next_ns)
        return;
    struct base_buf line;
    base_buf_init(&line, 0);
    base_buf_put_str(&line, progress->terminal ? "\r" : "");
    app_progress_line(progress, done, now_ns, &line);
    base_buf_put_str(&line, progress->terminal ? "\033[K" : "\n");
    if (!line.overflowed)
        fwrite(line.bytes, 1, line.count, stderr);
    base_buf_release(&line);
    progress->drawn = progress->terminal;
    progress->next_ns = now_ns + (progress->terminal ? redraw_ns : plain_line_ns);
}

void app_progress_end(struct app_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
    progress->quiet = true;
}
