/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots with damage. The first byte says how the rest is taken: as edits of a good snapshot
 * (triples of two bytes of offset, scaled to the file, and the new byte; every third edit falls into
 * the head), with the checksum of the head made right, or not; as a cut of it; or as the whole file.
 * Whatever it is, the state comes out as the journal says: the snapshot is either the good one still
 * or passed over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/folding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES_MAX = 8 << 20, HEAD_BYTES = 4096, EVENTS = 40, SEED = 11 };

static uint8_t good[FILE_BYTES_MAX], file[FILE_BYTES_MAX], segment[FILE_BYTES_MAX];
static size_t good_bytes, segment_bytes;
static char snapshot_path[OS_PATH_MAX], segment_path[OS_PATH_MAX];
static struct base_hash128 expected;

static void find(void *context, const char *name)
{
    if (strstr(name, ".snap") || strstr(name, ".seg"))
        snprintf((char *)context, OS_PATH_MAX, "%s", name);
}

static size_t take(struct os *os, const char *folder, char path[OS_PATH_MAX], uint8_t *to)
{
    char name[OS_PATH_MAX] = "";
    struct os_file *from;
    size_t bytes = 0;
    FR_ASSERT(os_list(os, folder, find, name, NULL) == FR_OK && name[0]);
    FR_ASSERT(snprintf(path, OS_PATH_MAX, "%s/%s", folder, name) < OS_PATH_MAX);
    FR_ASSERT(os_open(os, path, OS_READ, NULL, &from) == FR_OK);
    FR_ASSERT(os_read_at(from, 0, to, FILE_BYTES_MAX, &bytes, NULL) == FR_OK);
    os_close(from);
    FR_ASSERT(bytes < FILE_BYTES_MAX);
    return bytes;
}

static void put(struct os *os, const char *path, const uint8_t *bytes, size_t count)
{
    struct os_file *to;
    FR_ASSERT(os_open(os, path, OS_WRITE | OS_CREATE, NULL, &to) == FR_OK);
    FR_ASSERT(os_write_at(to, 0, bytes, count, NULL) == FR_OK);
    os_close(to);
}

/* A journal and the snapshot of its end, made once. */
static void make_good(void)
{
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    FR_ASSERT(folding_open_bare(&folding, sim, &error) == FR_OK);
    folding_add_items(&folding, SEED);
    for (uint64_t n = 0; n < EVENTS; n++)
        folding_add_event(&folding, SEED, n);
    FR_ASSERT(folding_run(&folding) == FR_OK);
    expected = fold_hash(folding.fold, NULL);
    folding_close(&folding);
    good_bytes = take(os_sim_os(sim), "data/snapshot", snapshot_path, good);
    segment_bytes = take(os_sim_os(sim), "data/journal", segment_path, segment);
    os_sim_free(sim);
}

/* As load_head() walks it: the end of the tables' list, or 0 when it runs out of the file. */
static size_t head_end(const uint8_t *bytes, size_t count)
{
    size_t at = 32, tables = bytes[12];
    for (size_t t = 0; t < tables && at < count; t++)
        at += 1 + bytes[at] + 4 + 4 + 8 * BASE_ROWS_META_WORDS + 4;
    return at + 4 <= count ? at : 0;
}

static size_t edit(const uint8_t *data, size_t size, bool right_head)
{
    memcpy(file, good, good_bytes);
    for (size_t i = 0; i + 3 <= size; i += 3) {
        size_t place = data[i] | (size_t)data[i + 1] << 8;
        size_t within = i / 3 % 3 == 2 ? good_bytes : FR_MIN(good_bytes, (size_t)HEAD_BYTES);
        file[place * within >> 16] = data[i + 2];
    }
    size_t end = right_head ? head_end(file, good_bytes) : 0;
    if (end) {
        uint32_t crc = base_crc32c(0, file, end);
        memcpy(file + end, &crc, sizeof(crc));
    }
    return good_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_bytes == 0)
        make_good();
    if (size < 2)
        return 0;
    size_t count = size - 1;
    if (data[0] % 4 < 2)
        count = edit(data + 1, size - 1, data[0] % 4 == 1);
    else if (data[0] % 4 == 2)
        memcpy(file, good, count = good_bytes * data[1] >> 8);
    else
        memcpy(file, data + 1, FR_MIN(count, (size_t)FILE_BYTES_MAX));
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    FR_ASSERT(os_mkdir(os_sim_os(sim), "data/journal", NULL) == FR_OK &&
              os_mkdir(os_sim_os(sim), "data/snapshot", NULL) == FR_OK);
    put(os_sim_os(sim), snapshot_path, file, count);
    put(os_sim_os(sim), segment_path, segment, segment_bytes);
    if (folding_open_bare(&folding, sim, &error) == FR_OK) {
        bool same = folding_hash_equal(fold_hash(folding.fold, NULL), expected);
        FR_ASSERT(same || data[0] % 4 == 1); /* a head with a right checksum may say anything */
        folding_close(&folding);
    } else {
        FR_ASSERT(error.message[0]);
    }
    os_sim_free(sim);
    return 0;
}
