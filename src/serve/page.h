/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/page: the first page, built by Vite from web/ and compiled in, so that the program needs no
 * folder beside it. The table of files is generated at build time (web/build); where node or npm
 * were missing then, it holds one plain page that says how to get the real one.
 *
 * Thread: any; everything is constant.
 */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

/* Sent with every built-in file: nothing from elsewhere, nothing inline, no framing. */
#define SERVE_PAGE_POLICY                                                                          \
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

struct serve_page_file {
    const char *path; /* "/", "/app.js", ... */
    const char *content_type;
    const char *etag; /* quoted; changes with the bytes */
    const uint8_t *bytes;
    size_t size;
};

/* The file at this path (no query), or NULL. */
const struct serve_page_file *serve_page_find(struct fr_slice path);

#endif
