/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet salvage: what is readable of a damaged journal, into a data directory of its own.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/commands.h"
#include "journal/journal.h"
#include "os/os.h"

enum { PATH_BYTES = 1024 };

struct losses {
    struct base_buf text;
    bool json;
    uint64_t count;
};

static void add_loss(void *context, uint64_t first, uint64_t last, const char *segment,
                     const char *what)
{
    struct losses *losses = context;
    bool open_ended = last == UINT64_MAX;
    if (losses->json) {
        base_buf_printf(&losses->text,
                        "%s{\"first\":%" PRIu64 ",\"last\":", losses->count ? "," : "", first);
        if (open_ended)
            base_buf_put_str(&losses->text, "null");
        else
            base_buf_json_u64(&losses->text, last);
        base_buf_put_str(&losses->text, ",\"segment\":");
        base_buf_json_string(&losses->text, fr_slice_str(segment));
        base_buf_put_str(&losses->text, ",\"fault\":");
        base_buf_json_string(&losses->text, fr_slice_str(what));
        base_buf_put_str(&losses->text, "}");
    } else if (open_ended) {
        base_buf_printf(&losses->text, "lost: position %" PRIu64 " to the end (%s: %s)\n", first,
                        segment, what);
    } else {
        base_buf_printf(&losses->text, "lost: positions %" PRIu64 " to %" PRIu64 " (%s: %s)\n",
                        first, last, segment, what);
    }
    losses->count++;
}

static void print_report(const struct journal_salvage_report *report, const struct losses *losses,
                         const char *to, struct base_buf *out)
{
    if (losses->json) {
        base_buf_printf(out,
                        "{\"records\":%" PRIu64 ",\"lost_records\":%" PRIu64 ",\"bytes\":%" PRIu64
                        ",\"lost\":[",
                        report->records, report->lost_records, report->bytes);
        base_buf_put_slice(out, base_buf_slice(&losses->text));
        base_buf_put_str(out, "]}\n");
        return;
    }
    base_buf_put_slice(out, base_buf_slice(&losses->text));
    app_print_count(report->records, out);
    base_buf_printf(out, " records are in %s now, numbered anew; serve it with --data-dir %s\n", to,
                    to);
}

static int app_salvage(struct app *app, int argc, char **argv)
{
    if (argc != 1)
        return app_usage(app, "salvage needs the new data directory to write to");
    char from[PATH_BYTES], to[PATH_BYTES];
    struct fr_error error = {0};
    struct journal_salvage_report report = {0};
    struct losses losses = {.json = app->json};
    base_buf_init(&losses.text, 0);
    snprintf(from, sizeof(from), "%s/journal", app->options->data_dir);
    snprintf(to, sizeof(to), "%s/journal", argv[0]);
    enum fr_status status =
        journal_salvage(os_real(), from, to, add_loss, &losses, &report, &error);
    if (status != FR_OK) {
        base_buf_release(&losses.text);
        return app_fail(app, &error);
    }
    struct base_buf out;
    base_buf_init(&out, 0);
    print_report(&report, &losses, argv[0], &out);
    base_buf_release(&losses.text);
    return app_print(&out);
}

const struct app_command app_command_salvage = {
    .name = "salvage",
    .summary = "copy what is readable of a damaged journal into a new data directory",
    .arguments = "NEW-DATA-DIR",
    .text =
        "Reads the journal of --data-dir past its damage, copies every record that passes its\n"
        "checks into a fresh journal, in order, and lists what could not be read. The damaged\n"
        "directory is not changed. Snapshots are not copied: the new directory is folded from its\n"
        "journal at the first start.",
    .run = app_salvage,
};
