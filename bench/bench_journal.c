/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_journal: durable records per second by group size, beside raw pwrite + fdatasync of the
 * same bytes into a pre-written file (the disk's own speed), and replay. Wall rates depend on the
 * disk and on who else uses it; the CPU time a record and the ratio are what to compare.
 *
 * bench_journal [directory] [records]     (default: a fresh one under /tmp, 2,000,000)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journal/journal.h"

enum { PAYLOAD_BYTES = 200, RECORD_BYTES = 232, GROUP_BYTES = 40 };
static const uint64_t file_bytes = 64u << 20;

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void must(enum fr_status status, const struct fr_error *error)
{
    if (status == FR_OK)
        return;
    fprintf(stderr, "bench_journal: %s\n", error->message);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct result {
    double records_s, cpu_us, sync_p50_us;
};

/* Stops the clocks while a spare is made, as the journal's own thread does beside the load; called
 * often enough that no group waits for one. */
static void prepare(struct journal *journal, double *wall, double *cpu)
{
    struct fr_error error = {0};
    double wall_before = seconds(CLOCK_MONOTONIC), cpu_before = seconds(CLOCK_THREAD_CPUTIME_ID);
    must(journal_prepare(journal, &error), &error);
    *wall += seconds(CLOCK_MONOTONIC) - wall_before;
    *cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
}

/* The first segment grows in steps; the steady state begins with the first spare. */
static void leave_first_segment(struct journal *journal)
{
    struct fr_error error = {0};
    static char big[8 << 20];
    uint64_t position;
    must(journal_prepare(journal, &error), &error);
    for (int i = 0; i < 8; i++) {
        must(journal_append(journal, 1, 1, fr_slice_of(big, sizeof(big)), &error, &position),
             &error);
        must(journal_sync(journal, &error), &error);
    }
}

static struct result measure_journal(const char *directory, uint32_t group, uint64_t records)
{
    struct fr_error error = {0};
    struct journal *journal;
    struct journal_options options = {.directory = directory, .no_thread = true};
    static char payload[PAYLOAD_BYTES];
    memset(payload, 'e', sizeof(payload));
    must(journal_open(os_real(), &options, &error, &journal), &error);
    leave_first_segment(journal);
    uint64_t groups = records / group + 1, position, written = file_bytes;
    double *times = calloc(groups, sizeof(*times));
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t g = 0; g < groups; g++) {
        double before = seconds(CLOCK_MONOTONIC);
        for (uint32_t i = 0; i < group; i++) {
            payload[i % PAYLOAD_BYTES]++;
            must(journal_append(journal, 1, 1, fr_slice_of(payload, PAYLOAD_BYTES), &error,
                                &position),
                 &error);
        }
        must(journal_sync(journal, &error), &error);
        times[g] = seconds(CLOCK_MONOTONIC) - before;
        written += (uint64_t)group * RECORD_BYTES;
        if (written > file_bytes / 4) {
            written = 0;
            prepare(journal, &wall, &cpu);
        }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    qsort(times, groups, sizeof(*times), compare);
    double count = (double)(groups * group);
    struct result result = {count / wall, cpu * 1e6 / count, times[groups / 2] * 1e6};
    free(times);
    journal_close(journal);
    return result;
}

static struct result measure_raw(const char *path, uint32_t group, uint64_t records)
{
    size_t bytes = (size_t)group * RECORD_BYTES + GROUP_BYTES;
    uint8_t *data = calloc(1, FR_MAX(bytes, (size_t)1 << 20));
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    for (uint64_t at = 0; at < file_bytes; at += 1 << 20) {
        if (pwrite(fd, data, 1 << 20, (off_t)at) != 1 << 20)
            exit(1);
    }
    if (fd < 0 || fsync(fd) != 0)
        exit(1);
    memset(data, 'e', bytes);
    uint64_t groups = records / group + 1, at = 0;
    double *times = calloc(groups, sizeof(*times));
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t g = 0; g < groups; g++) {
        double before = seconds(CLOCK_MONOTONIC);
        at = at + bytes > file_bytes ? 0 : at;
        if (pwrite(fd, data, bytes, (off_t)at) != (ssize_t)bytes || fdatasync(fd) != 0)
            exit(1);
        at += bytes;
        times[g] = seconds(CLOCK_MONOTONIC) - before;
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    qsort(times, groups, sizeof(*times), compare);
    double count = (double)(groups * group);
    struct result result = {count / wall, cpu * 1e6 / count, times[groups / 2] * 1e6};
    free(times);
    free(data);
    close(fd);
    unlink(path);
    return result;
}

static struct result measure_replay(const char *directory)
{
    struct fr_error error = {0};
    struct journal *journal;
    struct journal_cursor *cursor;
    struct journal_record record;
    struct journal_options options = {.directory = directory, .read_only = true};
    must(journal_open(os_real(), &options, &error, &journal), &error);
    must(journal_cursor_open(journal, 1, &error, &cursor), &error);
    uint64_t count = 0;
    enum fr_status status;
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    while ((status = journal_cursor_next(cursor, &error, &record)) == FR_OK)
        count++;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    if (status != FR_END)
        must(status, &error);
    journal_cursor_close(cursor);
    journal_close(journal);
    return (struct result){(double)count / wall, cpu * 1e6 / (double)count, 0};
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {1, 10, 100, 1000};
    char root[256], directory[300], path[300];
    snprintf(root, sizeof(root), "%s", argc > 1 ? argv[1] : "/tmp/bench-journal-XXXXXX");
    if (argc <= 1 && !mkdtemp(root))
        return 1;
    uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;
    printf("%8s %14s %14s %7s %10s %10s %10s %10s\n", "group", "records/s", "raw records/s",
           "ratio", "p50 us", "raw p50", "cpu us/rec", "raw cpu");
    snprintf(directory, sizeof(directory), "%s/journal", root);
    snprintf(path, sizeof(path), "%s/raw", root);
    struct result journal = {0}, raw = {0};
    for (size_t i = 0; i < FR_COUNT_OF(sizes); i++) {
        uint64_t count = FR_MIN(records, (uint64_t)sizes[i] * 2000);
        raw = measure_raw(path, sizes[i], count);
        journal = measure_journal(directory, sizes[i], count);
        printf("%8u %14.0f %14.0f %7.2f %10.0f %10.0f %10.3f %10.3f\n", sizes[i], journal.records_s,
               raw.records_s, journal.records_s / raw.records_s, journal.sync_p50_us,
               raw.sync_p50_us, journal.cpu_us, raw.cpu_us);
    }
    struct result replay = measure_replay(directory);
    printf("replay   %14.0f records/s, %.3f cpu us a record\n", replay.records_s, replay.cpu_us);
    printf("{\"durable_1000\":%.0f,\"ratio_1000\":%.3f,\"append_cpu_us\":%.4f,\"replay\":%.0f,"
           "\"replay_cpu_us\":%.4f}\n",
           journal.records_s, journal.records_s / raw.records_s, journal.cpu_us, replay.records_s,
           replay.cpu_us);
    char command[400];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    int result = system(command);
    if (argc <= 1)
        rmdir(root);
    return result;
}
