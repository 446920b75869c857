/* SPDX-License-Identifier: Apache-2.0
 *
 * app client: one HTTP request to a running server, for subcommands that act on it. Plain HTTP/1.1,
 * a connection a request, answers of 1 MiB at most, 30 s at most. Thread: main.
 */
#ifndef APP_CLIENT_H
#define APP_CLIENT_H

#include "base/base.h"
#include "base/buf.h"

struct app_request {
    const char *host;
    uint16_t port;
    const char *method, *path;
    const char *key; /* API key; NULL: none */
    struct fr_slice body;
};
/* FR_IO: nobody answers there. The body of the answer is appended. */
FR_MUST_USE enum fr_status app_client_call(const struct app_request *request,
                                           struct fr_error *error, int *out_status,
                                           struct base_buf *out_body);

#endif
