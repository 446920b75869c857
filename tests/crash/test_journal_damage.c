/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, damaged: truncated at every byte, every byte flipped (in the long form,
 * FRESHET_FORM=long, every bit), segments missing, swapped, foreign, newer. Each is refused, or cut
 * where it may be a torn tail; a wrong record never comes out. Then salvage gets all the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "journal/journal.h"
#include "os/sim.h"

enum { FILES_MAX = 16, FILE_BYTES_MAX = 1 << 17 };

struct image {
    char path[128];
    uint8_t *bytes;
    size_t count;
};

struct fixture {
    struct os_sim *sim;
    struct image files[FILES_MAX];
    uint32_t file_count;
    uint64_t last, last_group_first; /* positions */
    uint64_t detected, cut, harmless;
};

static struct fr_slice payload_of(uint64_t position)
{
    static char bytes[512];
    size_t count = 20 + (size_t)(base_mix64(position) % 400);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)(base_mix64(position * 1000 + i) | 1);
    return fr_slice_of(bytes, count);
}

static struct os *os_of(struct fixture *fixture)
{
    return os_sim_os(fixture->sim);
}

static void write_file(struct fixture *fixture, const char *path, const void *bytes, size_t count)
{
    struct os_file *file;
    assert_int_equal(os_open(os_of(fixture), path, OS_WRITE | OS_CREATE | OS_TRUNCATE, NULL, &file),
                     FR_OK);
    assert_int_equal(os_write_at(file, 0, bytes, count, NULL), FR_OK);
    assert_int_equal(os_sync(file, NULL), FR_OK);
    os_close(file);
}

static void take_image(void *context, const char *name)
{
    struct fixture *fixture = context;
    struct image *image = &fixture->files[fixture->file_count++];
    assert_true(fixture->file_count < FILES_MAX);
    snprintf(image->path, sizeof(image->path), "j/%s", name);
    image->bytes = malloc(FILE_BYTES_MAX);
    struct os_file *file;
    assert_int_equal(os_open(os_of(fixture), image->path, OS_READ, NULL, &file), FR_OK);
    assert_int_equal(os_read_at(file, 0, image->bytes, FILE_BYTES_MAX, &image->count, NULL), FR_OK);
    os_close(file);
}

static void restore(struct fixture *fixture, const struct image *image)
{
    write_file(fixture, image->path, image->bytes, image->count);
}

static struct journal *open_in(struct fixture *fixture, const char *directory, bool read_only,
                               enum fr_status *out_status)
{
    struct fr_error error = {0};
    struct journal *journal = NULL;
    struct journal_options options = {.directory = directory,
                                      .segment_bytes = 16 << 10,
                                      .read_only = read_only,
                                      .no_thread = true};
    *out_status = journal_open(os_of(fixture), &options, &error, &journal);
    if (*out_status == FR_CORRUPT) {
        assert_non_null(strstr(error.message, ".seg")); /* named */
        assert_non_null(strstr(error.hint, "salvage"));
    }
    return journal;
}

/* A journal of about 64 KiB: a sealed segment, plain ones, a newest one; closed well or not. */
static void make(struct fixture *fixture, bool closed_well)
{
    enum fr_status status;
    *fixture = (struct fixture){.sim = os_sim_new(7, NULL)};
    struct journal *journal = open_in(fixture, "j", false, &status);
    assert_int_equal(status, FR_OK);
    for (uint64_t group = 1; group <= 42; group++) {
        fixture->last_group_first = fixture->last + 1;
        for (uint64_t i = 0; i <= group % 9; i++) {
            uint64_t position = 0;
            assert_int_equal(journal_append(journal, 1, 9, payload_of(++fixture->last), NULL,
                                            &position),
                             FR_OK);
            assert_int_equal(position, fixture->last);
        }
        assert_int_equal(journal_sync(journal, NULL), FR_OK);
    }
    assert_int_equal(journal_seal(journal, 60, NULL), FR_OK);
    if (!closed_well)
        os_sim_kill(fixture->sim);
    journal_close(journal);
    assert_int_equal(os_list(os_of(fixture), "j", take_image, fixture, NULL), FR_OK);
}

static void release(struct fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->file_count; i++)
        free(fixture->files[i].bytes);
    os_sim_free(fixture->sim);
}

static bool is_segment(const struct image *image)
{
    return strstr(image->path, ".seg") && !strstr(image->path, "spare");
}

static struct image *newest(struct fixture *fixture)
{
    struct image *found = NULL;
    for (uint32_t i = 0; i < fixture->file_count; i++) {
        if (is_segment(&fixture->files[i]))
            found = &fixture->files[i];
    }
    assert_non_null(found);
    return found;
}

/* Where the bytes that count end. */
static size_t used(const struct image *image)
{
    size_t count = image->count;
    while (count > 0 && image->bytes[count - 1] == 0)
        count--;
    return count;
}

/* Reads everything there is to read; the records are right as far as they come. Gives how many, and
 * how it ended. */
static uint64_t read_all(struct journal *journal, enum fr_status *out_status)
{
    struct journal_cursor *cursor = NULL;
    struct journal_record record;
    uint64_t count = 0;
    *out_status = journal_cursor_open(journal, 1, NULL, &cursor);
    if (*out_status != FR_OK)
        return 0;
    while ((*out_status = journal_cursor_next(cursor, NULL, &record)) == FR_OK) {
        count++;
        assert_int_equal(record.position, count);
        assert_true(record.kind == 1 && record.received_us == 9);
        assert_true(fr_slice_equal(record.payload, payload_of(count)));
    }
    journal_cursor_close(cursor);
    return count;
}

/* Opens, reads, judges. True when the damage was noticed or cut. */
static bool is_noticed(struct fixture *fixture, bool read_only)
{
    enum fr_status status;
    struct journal *journal = open_in(fixture, "j", read_only, &status);
    if (status != FR_OK) {
        assert_true(status == FR_CORRUPT || status == FR_UNSUPPORTED || status == FR_NOT_FOUND);
        fixture->detected++;
        return true;
    }
    bool torn = journal_torn_bytes(journal) > 0;
    uint64_t durable = journal_durable(journal), count = read_all(journal, &status);
    journal_close(journal);
    assert_true(status == FR_END || status == FR_CORRUPT);
    assert_true(status == FR_CORRUPT || count == durable);
    assert_true(count <= fixture->last);
    fixture->detected += status == FR_CORRUPT;
    fixture->cut += status == FR_END && count < fixture->last;
    fixture->harmless += status == FR_END && count == fixture->last;
    return status == FR_CORRUPT || torn || count < fixture->last;
}

static enum fr_status verify(struct fixture *fixture, struct journal_report *out_report)
{
    *out_report = (struct journal_report){0};
    return journal_verify(os_of(fixture), "j", NULL, NULL, out_report, NULL);
}

/* Every byte of every segment. Closed well, all of it must be noticed by who reads it; what nobody
 * reads (zeros after the last group) by verify. */
static void every_flip_is_noticed(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture, true);
    const char *form = getenv("FRESHET_FORM");
    int bits = form && strcmp(form, "long") == 0 ? 8 : 1;
    for (uint32_t f = 0; f < fixture.file_count; f++) {
        const struct image *image = &fixture.files[f];
        if (!is_segment(image))
            continue;
        size_t end = used(image);
        for (size_t at = 0; at < image->count * (size_t)bits; at++) {
            size_t byte = at / (size_t)bits;
            uint8_t mask = (uint8_t)(1u << (bits == 8 ? at % 8 : base_mix64(byte) % 8));
            assert_int_equal(os_sim_damage(fixture.sim, image->path, byte, 1, mask), FR_OK);
            struct journal_report report;
            if (byte < end && !is_noticed(&fixture, true)) {
                print_message("%s byte %zu of %zu, mask %u\n", image->path, byte, end, mask);
                fail();
            } else if (byte % 64 == 0)
                is_noticed(&fixture, true);
            if (byte < end ? byte % 16 == 0 : byte % 64 == 0)
                assert_true(verify(&fixture, &report) == FR_CORRUPT || report.torn_bytes > 0 ||
                            report.segments == 0);
            assert_int_equal(os_sim_damage(fixture.sim, image->path, byte, 1, mask), FR_OK);
        }
    }
    struct journal_report report;
    assert_int_equal(verify(&fixture, &report), FR_OK);
    assert_int_equal(report.records, fixture.last);
    print_message("%llu noticed, %llu cut, %llu beyond the records\n",
                  (unsigned long long)fixture.detected, (unsigned long long)fixture.cut,
                  (unsigned long long)fixture.harmless);
    release(&fixture);
}

/* After a crash there is no floor; still, a flipped bit in the last group is no torn tail. */
static void a_flip_in_the_last_group_is_no_torn_tail(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture, false);
    const struct image *image = newest(&fixture);
    for (size_t byte = 0; byte < used(image); byte++) {
        assert_int_equal(os_sim_damage(fixture.sim, image->path, byte, 1, 0x10), FR_OK);
        assert_true(is_noticed(&fixture, false));
        restore(&fixture, image);
    }
    assert_int_equal(fixture.cut, 0);
    release(&fixture);
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    for (int closed_well = 0; closed_well < 2; closed_well++) {
        struct fixture fixture;
        make(&fixture, closed_well);
        for (uint32_t f = 0; f < fixture.file_count; f++) {
            const struct image *image = &fixture.files[f];
            size_t end = used(image);
            for (size_t count = 0; is_segment(image) && count <= end; count++) {
                write_file(&fixture, image->path, image->bytes, count);
                uint64_t cut = fixture.cut;
                assert_true(is_noticed(&fixture, true) || count == end);
                /* Only the end of the newest may be cut, and only when nothing says it was longer.
                 */
                assert_true(fixture.cut == cut || (!closed_well && image == newest(&fixture)));
                if (count % 64 == 0 && image == newest(&fixture))
                    assert_true(is_noticed(&fixture, false) || count == end);
                restore(&fixture, image);
            }
            restore(&fixture, image);
        }
        release(&fixture);
    }
}

static void segments_out_of_place_are_refused(void **state)
{
    (void)state;
    struct fixture fixture, other;
    make(&fixture, true);
    make(&other, true);
    enum fr_status status;
    for (uint32_t f = 0; f < fixture.file_count; f++) {
        const struct image *image = &fixture.files[f];
        if (!is_segment(image))
            continue;
        /* missing */
        assert_int_equal(os_unlink(os_of(&fixture), image->path, NULL), FR_OK);
        bool oldest = strstr(image->path, "0000000000000001.seg") != NULL;
        struct journal_report report;
        if (!oldest && image != newest(&fixture)) {
            assert_true(is_noticed(&fixture, true));
            assert_int_equal(verify(&fixture, &report), FR_CORRUPT);
        }
        restore(&fixture, image);
        /* another one under its name */
        for (uint32_t g = 0; g < fixture.file_count; g++) {
            const struct image *wrong = &fixture.files[g];
            if (!is_segment(wrong) || g == f)
                continue;
            write_file(&fixture, image->path, wrong->bytes, wrong->count);
            assert_true(is_noticed(&fixture, true));
            assert_int_equal(verify(&fixture, &report), FR_CORRUPT);
            restore(&fixture, image);
        }
        /* empty, and rubbish */
        write_file(&fixture, image->path, "", 0);
        assert_true(is_noticed(&fixture, true));
        uint8_t rubbish[9000];
        for (size_t i = 0; i < sizeof(rubbish); i++)
            rubbish[i] = (uint8_t)base_mix64(i);
        write_file(&fixture, image->path, rubbish, sizeof(rubbish));
        assert_true(is_noticed(&fixture, true));
        restore(&fixture, image);
    }
    /* a newer version: the same bytes but for the number and the checksum */
    const struct image *image = newest(&fixture);
    uint8_t *bytes = malloc(image->count);
    memcpy(bytes, image->bytes, image->count);
    bytes[8] = 2;
    uint32_t crc = base_crc32c(0, bytes, 508);
    for (int i = 0; i < 4; i++)
        bytes[508 + i] = (uint8_t)(crc >> (8 * i));
    write_file(&fixture, image->path, bytes, image->count);
    assert_null(open_in(&fixture, "j", false, &status));
    assert_int_equal(status, FR_UNSUPPORTED);
    free(bytes);
    release(&other);
    release(&fixture);
}

/* A segment of another journal with the same positions: only the salt tells (J3). */
static void a_foreign_segment_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture, true);
    struct os_sim *sim = os_sim_new(8, NULL);
    struct os_sim *mine = fixture.sim;
    fixture.sim = sim;
    enum fr_status status;
    struct journal *journal = open_in(&fixture, "j", false, &status);
    uint64_t position;
    for (uint64_t i = 1; i <= fixture.last; i++) {
        assert_int_equal(journal_append(journal, 1, 9, payload_of(i), NULL, &position), FR_OK);
        if (i % 5 == 0)
            assert_int_equal(journal_sync(journal, NULL), FR_OK);
    }
    journal_close(journal);
    struct fixture foreign = {.sim = sim};
    assert_int_equal(os_list(os_sim_os(sim), "j", take_image, &foreign, NULL), FR_OK);
    fixture.sim = mine;
    const struct image *first = &foreign.files[0];
    assert_non_null(strstr(first->path, "0000000000000001.seg"));
    assert_int_equal(os_unlink(os_of(&fixture), fixture.files[0].path, NULL), FR_OK);
    write_file(&fixture, first->path, first->bytes, first->count);
    assert_null(open_in(&fixture, "j", true, &status));
    assert_int_equal(status, FR_CORRUPT);
    release(&foreign);
    release(&fixture);
}

/* ---- salvage ------------------------------------------------------------------------------------
 */

struct lost {
    uint64_t first[64], last[64];
    uint32_t runs;
};

static void note_lost(void *context, uint64_t first, uint64_t last, const char *segment,
                      const char *what)
{
    struct lost *lost = context;
    assert_true(segment[0] && what[0]);
    lost->first[lost->runs] = first;
    lost->last[lost->runs++] = last;
}

static void salvage_takes_all_the_rest(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture, true);
    for (size_t byte = 0; byte < used(newest(&fixture)); byte += 97) {
        for (uint32_t f = 0; f < fixture.file_count; f++) {
            const struct image *image = &fixture.files[f];
            if (!is_segment(image) || strstr(image->path, ".zst") || byte >= used(image))
                continue;
            assert_int_equal(os_sim_damage(fixture.sim, image->path, byte, 1, 0x55), FR_OK);
            char to[64];
            snprintf(to, sizeof(to), "s-%zu-%u", byte, f);
            struct lost lost = {.runs = 0};
            struct journal_salvage_report report;
            struct fr_error error = {0};
            assert_int_equal(journal_salvage(os_of(&fixture), "j", to, note_lost, &lost, &report,
                                             &error),
                             FR_OK);
            /* One byte costs one record at most: groups are taken apart. */
            assert_true(report.records >= fixture.last - 1);
            assert_true(lost.runs <= 1);
            assert_int_equal(report.records + report.lost_records +
                                 (lost.runs && lost.last[0] == UINT64_MAX),
                             fixture.last);
            enum fr_status status;
            struct journal *journal = open_in(&fixture, to, false, &status);
            assert_int_equal(status, FR_OK);
            assert_int_equal(journal_durable(journal), report.records);
            struct journal_cursor *cursor;
            struct journal_record record;
            assert_int_equal(journal_cursor_open(journal, 1, NULL, &cursor), FR_OK);
            for (uint64_t old = 1; old <= fixture.last; old++) {
                if (lost.runs && old >= lost.first[0] && old <= lost.last[0])
                    continue;
                assert_int_equal(journal_cursor_next(cursor, NULL, &record), FR_OK);
                assert_true(fr_slice_equal(record.payload, payload_of(old)));
            }
            journal_cursor_close(cursor);
            journal_close(journal);
            assert_int_equal(journal_salvage(os_of(&fixture), "j", to, NULL, NULL, &report, &error),
                             FR_EXISTS);
            restore(&fixture, image);
        }
    }
    release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip_is_noticed),
        cmocka_unit_test(a_flip_in_the_last_group_is_no_torn_tail),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(segments_out_of_place_are_refused),
        cmocka_unit_test(a_foreign_segment_is_refused),
        cmocka_unit_test(salvage_takes_all_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
