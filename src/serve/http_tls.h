/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_tls, inside the room: what http.c and http_accept.c see of TLS. Reading and writing behave
 * as read(2) and write(2) on a socket that does not wait; the handshake happens within reading.
 */
#ifndef SERVE_HTTP_TLS_H
#define SERVE_HTTP_TLS_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/base.h"

struct http_tls;
struct http_tls_session;

/* FR_INVALID: the files cannot be read or do not belong together. */
FR_MUST_USE enum fr_status http__tls_open(const char *certificate, const char *key,
                                          struct fr_error *error, struct http_tls **out_tls);
/* Loads the files again when they have changed. NULL is fine. Thread: one at a time. */
bool http__tls_refresh(struct http_tls *tls);
/* NULL is fine. Sessions may outlive it. */
void http__tls_close(struct http_tls *tls);

/* NULL: no memory. The descriptor stays the caller's. */
struct http_tls_session *http__tls_session_new(struct http_tls *tls, int fd);
void http__tls_session_free(struct http_tls_session *session);
ssize_t http__tls_receive(struct http_tls_session *session, void *to, size_t room);
/* To be repeated with the same bytes after EAGAIN. */
ssize_t http__tls_send(struct http_tls_session *session, const struct iovec *part);
/* Says that nothing more is sent. NULL is fine. */
void http__tls_bye(struct http_tls_session *session);

#endif
