/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/page_priv: what web/build generates, page_files.c under the build directory.
 */
#ifndef SERVE_PAGE_PRIV_H
#define SERVE_PAGE_PRIV_H

#include "serve/page.h"

extern const struct serve_page_file serve__page_files[];
extern const size_t serve__page_file_count;

#endif
