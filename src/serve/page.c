/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/page: finds a built-in file. There are about five, so it looks at each.
 */
#include "serve/page.h"

#include <string.h>

#include "serve/page_priv.h"

const struct serve_page_file *serve_page_find(struct fr_slice path)
{
    for (size_t i = 0; i < serve__page_file_count; i++) {
        const struct serve_page_file *file = &serve__page_files[i];
        if (strlen(file->path) == path.bytes && memcmp(file->path, path.ptr, path.bytes) == 0) {
            return file;
        }
    }
    return NULL;
}
