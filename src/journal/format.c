/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, the bytes: headers, groups and records, as docs/FORMATS.md writes them down. All words
 * little-endian. Nothing here touches a file. Thread: any.
 */
#include "journal/journal_priv.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MAGIC UINT64_C(0x314c4e524a485346) /* "FSHJRNL1" */
#define FLOOR_MAGIC UINT64_C(0x31524f4f4c464a46)  /* "FJFLOOR1" */
#define GROUP_MAGIC UINT32_C(0x31475246)          /* "FRG1" */
#define TRAILER_MAGIC UINT32_C(0x184d2a5f)        /* a skippable frame of zstd */

static void put_u32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof(value));
}

static void put_u64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
}

static uint32_t get_u32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return le32toh(value);
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return le64toh(value);
}

static uint32_t salted(uint64_t salt, const void *bytes, size_t count)
{
    return base_crc32c((uint32_t)(salt ^ salt >> 32), bytes, count);
}

bool journal__is_zero(const uint8_t *bytes, size_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

/* ---- the header block -------------------------------------------------------------------------
 */

void journal__header_encode(const struct journal__header *header, uint8_t to[JOURNAL__HEADER_BYTES])
{
    memset(to, 0, JOURNAL__HEADER_BYTES);
    put_u64(to, HEADER_MAGIC);
    put_u32(to + 8, header->version);
    put_u32(to + 12, JOURNAL__HEADER_BYTES);
    put_u64(to + 16, header->first);
    put_u64(to + 24, (uint64_t)header->created_us);
    put_u64(to + 32, header->salt);
    put_u32(to + 508, base_crc32c(0, to, 508));
    memcpy(to + JOURNAL__COPY_AT, to, JOURNAL__SECTOR_BYTES);
}

enum fr_status journal__header_decode(const uint8_t from[JOURNAL__SECTOR_BYTES],
                                      struct journal__header *out_header, const char **out_what)
{
    *out_what = "not the header of a journal segment";
    if (get_u64(from) != HEADER_MAGIC)
        return FR_CORRUPT;
    *out_what = "the segment's header fails its checksum";
    if (get_u32(from + 508) != base_crc32c(0, from, 508))
        return FR_CORRUPT;
    uint32_t version = get_u32(from + 8);
    *out_what = "the segment was written by a newer version of freshet";
    if (version != JOURNAL_FORMAT_VERSION || get_u32(from + 12) != JOURNAL__HEADER_BYTES)
        return FR_UNSUPPORTED;
    *out_header = (struct journal__header){.salt = get_u64(from + 32),
                                           .first = get_u64(from + 16),
                                           .created_us = (int64_t)get_u64(from + 24),
                                           .version = version};
    return FR_OK;
}

void journal__floor_encode(uint64_t salt, uint64_t position, uint8_t to[JOURNAL__SECTOR_BYTES])
{
    memset(to, 0, JOURNAL__SECTOR_BYTES);
    put_u64(to, FLOOR_MAGIC);
    put_u64(to + 8, position);
    put_u32(to + 508, salted(salt, to, 508));
}

bool journal__floor_decode(const uint8_t from[JOURNAL__SECTOR_BYTES], uint64_t salt,
                           uint64_t *out_position)
{
    if (get_u64(from) != FLOOR_MAGIC || get_u32(from + 508) != salted(salt, from, 508))
        return false;
    *out_position = get_u64(from + 8);
    return true;
}

/* A decoder of zstd skips it: `zstd -d` gives the plain segment. */
void journal__trailer_encode(uint64_t count, uint32_t crc, uint8_t to[JOURNAL__TRAILER_BYTES])
{
    put_u32(to, TRAILER_MAGIC);
    put_u32(to + 4, JOURNAL__TRAILER_BYTES - 8);
    put_u64(to + 8, count);
    put_u32(to + 16, crc);
}

/* ---- groups and records -------------------------------------------------------------------------
 */

void journal__group_encode(uint64_t salt, const struct journal__group *group,
                           uint8_t to[JOURNAL__GROUP_BYTES])
{
    put_u32(to, GROUP_MAGIC);
    put_u64(to + 8, group->first);
    put_u64(to + 16, group->offset);
    put_u64(to + 24, group->bytes);
    put_u32(to + 32, group->count);
    put_u32(to + 36, 0);
    put_u32(to + 4, salted(salt, to + 8, JOURNAL__GROUP_BYTES - 8));
}

bool journal__group_decode(const uint8_t from[JOURNAL__GROUP_BYTES], uint64_t salt, uint64_t offset,
                           struct journal__group *out_group)
{
    if (get_u32(from) != GROUP_MAGIC || get_u64(from + 16) != offset ||
        get_u32(from + 4) != salted(salt, from + 8, JOURNAL__GROUP_BYTES - 8))
        return false;
    *out_group = (struct journal__group){.first = get_u64(from + 8),
                                         .offset = offset,
                                         .bytes = get_u64(from + 24),
                                         .count = get_u32(from + 32)};
    /* Content that no writer of this format makes, whatever its checksum says. */
    return out_group->count > 0 && out_group->first > 0 && get_u32(from + 36) == 0 &&
           out_group->bytes % JOURNAL__ALIGN == 0 && out_group->bytes <= JOURNAL_GROUP_BYTES_MAX &&
           out_group->bytes / journal__record_size(0) >= out_group->count &&
           out_group->first <= UINT64_MAX - out_group->count;
}

void journal__record_encode(uint64_t salt, const struct journal_record *record, uint8_t *to)
{
    size_t bytes = journal__record_size(record->payload.bytes);
    put_u64(to + bytes - 8, 0); /* the padding; what is payload of it comes next */
    put_u32(to + 4, (uint32_t)record->payload.bytes);
    put_u64(to + 8, record->position);
    put_u64(to + 16, (uint64_t)record->received_us);
    to[24] = record->kind;
    if (record->payload.bytes)
        memcpy(to + JOURNAL__RECORD_BYTES, record->payload.ptr, record->payload.bytes);
    put_u32(to, salted(salt, to + 4, bytes - 4));
}

size_t journal__record_decode(const uint8_t *from, size_t bytes, uint64_t salt, uint64_t position,
                              struct journal_record *out_record)
{
    if (bytes < journal__record_size(0))
        return 0;
    uint32_t payload_bytes = get_u32(from + 4);
    if (payload_bytes > JOURNAL_PAYLOAD_BYTES_MAX || get_u64(from + 8) != position)
        return 0;
    size_t size = journal__record_size(payload_bytes);
    if (size > bytes || get_u32(from) != salted(salt, from + 4, size - 4))
        return 0;
    *out_record =
        (struct journal_record){.position = position,
                                .received_us = (int64_t)get_u64(from + 16),
                                .kind = from[24],
                                .payload = fr_slice_of((const char *)from + JOURNAL__RECORD_BYTES,
                                                       payload_bytes)};
    return size;
}

bool journal__body_valid(const uint8_t *body, uint64_t salt, const struct journal__group *group)
{
    size_t at = 0;
    struct journal_record record;
    for (uint32_t i = 0; i < group->count; i++) {
        size_t size =
            journal__record_decode(body + at, group->bytes - at, salt, group->first + i, &record);
        if (size == 0)
            return false;
        at += size;
    }
    return at == group->bytes;
}

/* ---- names
 * ----------------------------------------------------------------------------------------- */

void journal__name_print(uint64_t first, bool compressed, char to[JOURNAL__NAME_BYTES])
{
    snprintf(to, JOURNAL__NAME_BYTES, "%016llx.seg%s", (unsigned long long)first,
             compressed ? ".zst" : "");
}

enum journal__name journal__name_parse(const char *name, uint64_t *out_first)
{
    size_t bytes = strlen(name);
    if (bytes > 4 && strcmp(name + bytes - 4, ".tmp") == 0)
        return JOURNAL__NAME_TMP;
    uint64_t first = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = name[i] ? strchr(digits, name[i]) : NULL;
        if (!digit)
            return JOURNAL__NAME_OTHER;
        first = first << 4 | (uint64_t)(digit - digits);
    }
    if (first == 0)
        return JOURNAL__NAME_OTHER;
    *out_first = first;
    if (strcmp(name + 16, ".seg") == 0)
        return JOURNAL__NAME_PLAIN;
    return strcmp(name + 16, ".seg.zst") == 0 ? JOURNAL__NAME_ZST : JOURNAL__NAME_OTHER;
}

enum fr_status journal__path(const char *directory, const char *name, struct fr_error *error,
                             char to[OS_PATH_MAX])
{
    int count = snprintf(to, OS_PATH_MAX, "%s%s%s", directory, *name ? "/" : "", name);
    if (count < 0 || count >= OS_PATH_MAX)
        return base_fail(error, FR_INVALID, "journal", "the path of %.200s... is too long",
                         directory);
    return FR_OK;
}

enum fr_status journal__corrupt(struct fr_error *error, const char *segment, uint64_t offset,
                                const char *what)
{
    base_fail(error, FR_CORRUPT, "journal", "segment %s is damaged at byte %llu: %s", segment,
              (unsigned long long)offset, what);
    base_hint(error, "restore the segment from a copy, or take what is readable into a new "
                     "directory with `freshet salvage`");
    return FR_CORRUPT;
}
