/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes everything that reads a journal: open, cursor, verify, salvage, and opening to write. The
 * first byte says how the rest is taken: as a segment, as a segment whose checksums are made right
 * (so that absurd content gets past them), as a compressed segment, or as one with a right trailer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "journal/journal_priv.h"
#include "os/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES_MAX = 1 << 18 };

static void put_crc(uint8_t *at, const uint8_t *from, size_t bytes)
{
    uint32_t crc = base_crc32c(0, from, bytes); /* the salt is 0 */
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(crc >> (8 * i));
}

static uint64_t word(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

/* Gives every group that follows the one before the checksums that its content asks for. */
static void make_right(uint8_t *file, size_t count)
{
    struct journal__header header = {.first = 1, .version = JOURNAL_FORMAT_VERSION};
    journal__header_encode(&header, file);
    size_t at = JOURNAL__HEADER_BYTES;
    while (at + JOURNAL__GROUP_BYTES <= count) {
        uint8_t *group = file + at;
        memcpy(group, "FRG1", 4);
        if (word(group + 16, 8) % 16 != 15) /* mostly where it says it is */
            for (int i = 0; i < 8; i++)
                group[16 + i] = (uint8_t)((uint64_t)at >> (8 * i));
        put_crc(group + 4, group + 8, JOURNAL__GROUP_BYTES - 8);
        uint64_t records = word(group + 32, 4);
        at += JOURNAL__GROUP_BYTES;
        for (uint64_t i = 0; i < records && at + 32 <= count; i++) {
            uint64_t bytes = word(file + at + 4, 4);
            if (bytes > count - at)
                return;
            size_t whole = journal__record_size((size_t)bytes);
            if (whole > count - at)
                return;
            put_crc(file + at, file + at + 4, whole - 4);
            at += whole;
        }
    }
}

static void write_file(struct os *os, const char *path, const uint8_t *bytes, size_t count)
{
    struct os_file *file;
    if (os_open(os, path, OS_WRITE | OS_CREATE, NULL, &file) != FR_OK)
        abort();
    if (os_write_at(file, 0, bytes, count, NULL) != FR_OK)
        abort();
    os_close(file);
}

static void read_all(struct os *os, bool read_only)
{
    struct journal_options options = {.directory = "j",
                                      .segment_bytes = 16384,
                                      .read_only = read_only,
                                      .no_thread = true};
    struct journal *journal;
    struct journal_cursor *cursor;
    struct journal_record record;
    struct fr_error error;
    if (journal_open(os, &options, &error, &journal) != FR_OK)
        return;
    uint64_t sum = 0, position = journal_first(journal), durable = journal_durable(journal);
    if (journal_cursor_open(journal, position, &error, &cursor) == FR_OK) {
        enum fr_status status;
        while ((status = journal_cursor_next(cursor, &error, &record)) == FR_OK) {
            FR_ASSERT(record.position == position++);
            sum += base_hash64_slice(record.payload, sum);
        }
        FR_ASSERT(status != FR_END || position == durable + 1);
        journal_cursor_close(cursor);
    }
    if (!read_only && journal_append(journal, 1, 1, FR_SLICE("x"), &error, &sum) == FR_OK)
        FR_ASSERT(journal_sync(journal, &error) != FR_OK ||
                  journal_durable(journal) == durable + 1);
    journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FILE_BYTES_MAX];
    if (size < 2 || size > FILE_BYTES_MAX - JOURNAL__HEADER_BYTES - JOURNAL__TRAILER_BYTES)
        return 0;
    uint8_t how = data[0] % 4;
    size_t count = size - 1, at = how == 1 ? JOURNAL__HEADER_BYTES : 0;
    memcpy(file + at, data + 1, count);
    count += at;
    if (how == 1)
        make_right(file, count);
    if (how == 3) {
        journal__trailer_encode(count, base_crc32c(0, file, count), file + count);
        count += JOURNAL__TRAILER_BYTES;
    }
    struct os_sim *sim = os_sim_new(1, NULL);
    struct os *os = os_sim_os(sim);
    if (os_mkdir(os, "j", NULL) != FR_OK)
        abort();
    write_file(os, how >= 2 ? "j/0000000000000001.seg.zst" : "j/0000000000000001.seg", file, count);
    if (how >= 2) { /* a newest one after it, so that it is read */
        struct journal__header header = {.first = 3, .version = JOURNAL_FORMAT_VERSION};
        journal__header_encode(&header, file);
        write_file(os, "j/0000000000000003.seg", file, JOURNAL__HEADER_BYTES);
    }
    struct journal_report report;
    struct journal_salvage_report salvaged;
    read_all(os, true);
    fr_ignore(journal_verify(os, "j", NULL, NULL, &report, NULL), "any verdict will do");
    if (data[0] & 0x80) /* dear: it makes a journal of its own */
        fr_ignore(journal_salvage(os, "j", "s", NULL, NULL, &salvaged, NULL),
                  "any verdict will do");
    read_all(os, false);
    os_sim_free(sim);
    return 0;
}
