/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet verify: checks every byte of the journal.
 */
#include <stdio.h>

#include "app/commands.h"
#include "journal/journal.h"
#include "os/os.h"

enum { PATH_BYTES = 1024 };

struct faults {
    struct base_buf text; /* JSON elements, or lines */
    bool json;
    uint64_t count;
};

static void add_fault(void *context, const char *segment, uint64_t offset, const char *what)
{
    struct faults *faults = context;
    if (faults->json) {
        base_buf_put_str(&faults->text, faults->count ? ",{\"segment\":" : "{\"segment\":");
        base_buf_json_string(&faults->text, fr_slice_str(segment));
        base_buf_printf(&faults->text, ",\"offset\":%llu,\"fault\":", (unsigned long long)offset);
        base_buf_json_string(&faults->text, fr_slice_str(what));
        base_buf_put_str(&faults->text, "}");
    } else {
        base_buf_printf(&faults->text, "%s, byte %llu: %s\n", segment, (unsigned long long)offset,
                        what);
    }
    faults->count++;
}

static void print_report(const struct journal_report *report, const struct faults *faults,
                         struct base_buf *out)
{
    if (faults->json) {
        base_buf_printf(out,
                        "{\"segments\":%llu,\"records\":%llu,\"bytes\":%llu,\"first\":%llu,"
                        "\"last\":%llu,\"torn_bytes\":%llu,\"faults\":[",
                        (unsigned long long)report->segments, (unsigned long long)report->records,
                        (unsigned long long)report->bytes, (unsigned long long)report->first,
                        (unsigned long long)report->last, (unsigned long long)report->torn_bytes);
        base_buf_put_slice(out, base_buf_slice(&faults->text));
        base_buf_put_str(out, "]}\n");
        return;
    }
    base_buf_put_slice(out, base_buf_slice(&faults->text));
    app_print_count(report->records, out);
    base_buf_printf(out, " records in %llu segments, positions %llu to %llu",
                    (unsigned long long)report->segments, (unsigned long long)report->first,
                    (unsigned long long)report->last);
    if (report->torn_bytes)
        base_buf_printf(out,
                        "; an unfinished group of %llu bytes at the end was never "
                        "acknowledged and is cut at the next start",
                        (unsigned long long)report->torn_bytes);
    base_buf_put_str(out, faults->count ? ": DAMAGED\n" : ": every checksum holds\n");
}

static int app_verify(struct app *app, int argc, char **argv)
{
    (void)argv;
    if (argc > 0)
        return app_usage(app, "verify takes no arguments");
    char path[PATH_BYTES];
    struct fr_error error = {0};
    struct journal_report report = {0};
    struct faults faults = {.json = app->json};
    base_buf_init(&faults.text, 0);
    snprintf(path, sizeof(path), "%s/journal", app->options->data_dir);
    enum fr_status status = journal_verify(os_real(), path, add_fault, &faults, &report, &error);
    if (status != FR_OK && status != FR_CORRUPT) {
        base_buf_release(&faults.text);
        return app_fail(app, &error);
    }
    struct base_buf out;
    base_buf_init(&out, 0);
    print_report(&report, &faults, &out);
    base_buf_release(&faults.text);
    int code = app_print(&out);
    return code == APP_OK && status == FR_CORRUPT ? APP_DAMAGED : code;
}

const struct app_command app_command_verify = {
    .name = "verify",
    .summary = "check every byte of the journal",
    .arguments = "",
    .text =
        "Reads every segment, beside a running server if need be, checks the checksum of every\n"
        "record and that positions follow each other, and lists each damage with segment and\n"
        "byte. Ends with 3 when there is any. An unfinished group at the very end is no damage: "
        "it\n"
        "was never acknowledged.",
    .run = app_verify,
};
