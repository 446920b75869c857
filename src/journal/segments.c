/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, files: which segments there are, and how an empty one comes to be.
 * Thread: as the door says of the callers.
 */
#include "journal/journal_priv.h"

#include <stdlib.h>
#include <string.h>

struct listing {
    struct journal__list *list;
    enum fr_status status;
    struct fr_error *error;
};

enum fr_status journal__list_add(struct journal__list *list, struct journal__segment segment,
                                 struct fr_error *error)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct journal__segment *moved =
            capacity > JOURNAL__SEGMENTS_MAX ? NULL : realloc(list->at, capacity * sizeof(*moved));
        if (!moved)
            return base_fail(error, FR_MEMORY, "journal", "no memory for %u segments", capacity);
        list->at = moved;
        list->capacity = capacity;
    }
    list->at[list->count++] = segment;
    return FR_OK;
}

/* Names come in byte order, so a plain segment comes right before its compressed twin. */
static void each_name(void *context, const char *name)
{
    struct listing *listing = context;
    struct journal__list *list = listing->list;
    if (listing->status != FR_OK)
        return;
    uint64_t first = 0;
    enum journal__name kind = journal__name_parse(name, &first);
    list->tmp_count += kind == JOURNAL__NAME_TMP;
    list->has_spare |= strcmp(name, "spare.seg") == 0;
    if (kind != JOURNAL__NAME_PLAIN && kind != JOURNAL__NAME_ZST)
        return;
    struct journal__segment *last = list->count ? &list->at[list->count - 1] : NULL;
    if (last && last->first == first) {
        last->twice = true;
        return;
    }
    listing->status =
        journal__list_add(list,
                          (struct journal__segment){.first = first,
                                                    .compressed = kind == JOURNAL__NAME_ZST},
                          listing->error);
}

static enum fr_status measure(struct os *os, const char *directory, const char *name,
                              uint64_t *out_bytes, struct fr_error *error)
{
    char path[OS_PATH_MAX];
    FR_TRY(journal__path(directory, name, error, path));
    struct os_file *file;
    FR_TRY(os_open(os, path, OS_READ, error, &file));
    enum fr_status status = os_size(file, out_bytes, error);
    os_close(file);
    return status;
}

enum fr_status journal__list_read(struct os *os, const char *directory, struct fr_error *error,
                                  struct journal__list *out_list)
{
    struct journal__list list = {0};
    struct listing listing = {&list, FR_OK, error};
    enum fr_status status = os_list(os, directory, each_name, &listing, error);
    if (status == FR_OK)
        status = listing.status;
    for (uint32_t i = 0; i < list.count && status == FR_OK; i++) {
        char name[JOURNAL__NAME_BYTES];
        journal__name_print(list.at[i].first, list.at[i].compressed, name);
        status = measure(os, directory, name, &list.at[i].file_bytes, error);
        if (status == FR_NOT_FOUND)
            status = FR_OK; /* a writer beside has renamed it since; who opens it will see */
    }
    if (status == FR_OK && list.has_spare)
        status = measure(os, directory, "spare.seg", &list.spare_bytes, error);
    if (status == FR_NOT_FOUND) {
        list.has_spare = false;
        status = FR_OK;
    }
    if (status != FR_OK) {
        journal__list_release(&list);
        return status;
    }
    *out_list = list;
    return FR_OK;
}

void journal__list_release(struct journal__list *list)
{
    free(list->at);
    *list = (struct journal__list){0};
}

enum fr_status journal__write_zeros(struct os_file *file, uint64_t from, uint64_t to,
                                    struct fr_error *error)
{
    static const uint8_t zeros[1 << 18];
    while (from < to) {
        size_t bytes = (size_t)FR_MIN(to - from, (uint64_t)sizeof(zeros));
        FR_TRY(os_write_at(file, from, zeros, bytes, error));
        from += bytes;
    }
    return FR_OK;
}

enum fr_status journal__zero_file(struct os *os, const char *path, uint64_t bytes,
                                  struct fr_error *error, struct os_file **out_file)
{
    struct os_file *file;
    FR_TRY(os_open(os, path, OS_READ | OS_WRITE | OS_CREATE | OS_TRUNCATE, error, &file));
    enum fr_status status = journal__write_zeros(file, 0, bytes, error);
    if (status != FR_OK) {
        os_close(file);
        return status;
    }
    *out_file = file;
    return FR_OK;
}
