/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_tls: TLS 1.2 and 1.3 under the connections of http.c, by GnuTLS.
 *
 * A certificate and its key are two PEM files. They are looked at again by the acceptor's tick: when
 * one has changed and both fit together, connections that come later are given the new pair; those
 * open keep the old one, which is freed with the last of them. A pair that does not fit (a renewal
 * under way) changes nothing and is tried again at the next change.
 *
 * A connection's session does its handshake within its first reads, so that every deadline of a head
 * (H2) holds for it, too. Suites: authenticated encryption and forward secrecy only.
 *
 * Thread: open, refresh, close: the acceptor's; sessions: the connection's serving thread. The pair in
 * use is counted: http_tls.lock guards the pointer, the count is atomic.
 */
#include "serve/http_tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "obs/obs.h"

enum { PATH_BYTES = 512 };

static const char suites[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1:-AES-128-CBC:"
                             "-AES-256-CBC:%SERVER_PRECEDENCE";

struct pair {
    gnutls_certificate_credentials_t credentials;
    _Atomic uint32_t users; /* sessions, and one for being the newest */
};

struct http_tls {
    char certificate[PATH_BYTES], key[PATH_BYTES];
    struct stat seen[2]; /* of the two files when they were last tried */
    gnutls_priority_t priority;
    pthread_mutex_t lock;
    struct pair *newest;
};

struct http_tls_session {
    gnutls_session_t session;
    struct pair *pair;
    bool is_agreed; /* the handshake is over */
    bool is_broken;
};

/* ---- certificates -------------------------------------------------------------------------- */

static void pair_drop(struct pair *pair)
{
    if (!pair || atomic_fetch_sub_explicit(&pair->users, 1, memory_order_acq_rel) > 1)
        return;
    gnutls_certificate_free_credentials(pair->credentials);
    free(pair);
}

static enum fr_status pair_load(const struct http_tls *tls, struct fr_error *error,
                                struct pair **out_pair)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        return base_fail(error, FR_MEMORY, "serve", "no memory for a certificate");
    int code = gnutls_certificate_allocate_credentials(&pair->credentials);
    if (code == GNUTLS_E_SUCCESS) {
        code = gnutls_certificate_set_x509_key_file(pair->credentials, tls->certificate, tls->key,
                                                    GNUTLS_X509_FMT_PEM);
        if (code < 0)
            gnutls_certificate_free_credentials(pair->credentials);
    }
    if (code < 0) {
        free(pair);
        base_hint(error, "tls-cert is a PEM file with the certificate and its chain, tls-key one "
                         "with the private key that belongs to it");
        return base_fail(error, FR_INVALID, "serve", "cannot use %.200s with %.200s: %s",
                         tls->certificate, tls->key, gnutls_strerror(code));
    }
    atomic_store_explicit(&pair->users, 1, memory_order_relaxed);
    *out_pair = pair;
    return FR_OK;
}

static bool stamp_is_equal(const struct stat *one, const struct stat *two)
{
    return one->st_ino == two->st_ino && one->st_size == two->st_size &&
           one->st_mtim.tv_sec == two->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == two->st_mtim.tv_nsec;
}

/* True when a file is not what it was when it was last tried. */
static bool files_look(struct http_tls *tls)
{
    struct stat now[2];
    if (stat(tls->certificate, &now[0]) != 0 || stat(tls->key, &now[1]) != 0)
        return false; /* being replaced */
    bool is_equal =
        stamp_is_equal(&now[0], &tls->seen[0]) && stamp_is_equal(&now[1], &tls->seen[1]);
    memcpy(tls->seen, now, sizeof now);
    return !is_equal;
}

enum fr_status http__tls_open(const char *certificate, const char *key, struct fr_error *error,
                              struct http_tls **out_tls)
{
    struct http_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return base_fail(error, FR_MEMORY, "serve", "no memory for TLS");
    snprintf(tls->certificate, sizeof tls->certificate, "%s", certificate);
    snprintf(tls->key, sizeof tls->key, "%s", key);
    pthread_mutex_init(&tls->lock, NULL);
    (void)files_look(tls);
    enum fr_status status = FR_OK;
    if (gnutls_priority_init(&tls->priority, suites, NULL) != GNUTLS_E_SUCCESS)
        status = base_fail(error, FR_UNSUPPORTED, "serve", "this GnuTLS has no TLS 1.2 and 1.3");
    if (status == FR_OK)
        status = pair_load(tls, error, &tls->newest);
    if (status != FR_OK) {
        http__tls_close(tls);
        return status;
    }
    *out_tls = tls;
    return FR_OK;
}

bool http__tls_refresh(struct http_tls *tls)
{
    struct fr_error error = {0};
    struct pair *fresh = NULL;
    if (!tls || !files_look(tls))
        return false;
    if (pair_load(tls, &error, &fresh) != FR_OK) {
        obs_log(OBS_WARN, "serve", "the certificate stays as it was: %s", error.message);
        return false;
    }
    pthread_mutex_lock(&tls->lock);
    struct pair *old = tls->newest;
    tls->newest = fresh;
    pthread_mutex_unlock(&tls->lock);
    pair_drop(old);
    obs_log(OBS_INFO, "serve", "new connections are given the certificate now in %s",
            tls->certificate);
    return true;
}

void http__tls_close(struct http_tls *tls)
{
    if (!tls)
        return;
    pair_drop(tls->newest);
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

/* ---- sessions ------------------------------------------------------------------------------- */

struct http_tls_session *http__tls_session_new(struct http_tls *tls, int fd)
{
    struct http_tls_session *one = calloc(1, sizeof *one);
    if (!one)
        return NULL;
    if (gnutls_init(&one->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(one);
        return NULL;
    }
    pthread_mutex_lock(&tls->lock);
    one->pair = tls->newest;
    atomic_fetch_add_explicit(&one->pair->users, 1, memory_order_relaxed);
    pthread_mutex_unlock(&tls->lock);
    static const gnutls_datum_t http11 = {(unsigned char *)"http/1.1", 8};
    gnutls_priority_set(one->session, tls->priority);
    gnutls_credentials_set(one->session, GNUTLS_CRD_CERTIFICATE, one->pair->credentials);
    gnutls_alpn_set_protocols(one->session, &http11, 1, 0);
    gnutls_transport_set_int(one->session, fd);
    return one;
}

void http__tls_session_free(struct http_tls_session *one)
{
    if (!one)
        return;
    gnutls_deinit(one->session);
    pair_drop(one->pair);
    free(one);
}

/* A code of GnuTLS as read(2) and write(2) would say it. */
static ssize_t answer_of(struct http_tls_session *one, ssize_t code)
{
    if (code >= 0)
        return code;
    if (code == GNUTLS_E_PREMATURE_TERMINATION)
        return 0;
    bool again = code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
    one->is_broken = one->is_broken || !again;
    errno = code == GNUTLS_E_INTERRUPTED ? EINTR : again ? EAGAIN : EPROTO;
    return -1;
}

/* 0: agreed; else as answer_of(). */
static ssize_t handshake(struct http_tls_session *one)
{
    if (one->is_agreed)
        return 0;
    int code;
    do {
        code = gnutls_handshake(one->session);
    } while (code < 0 && code != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(code));
    one->is_agreed = code == GNUTLS_E_SUCCESS;
    if (code < 0 && gnutls_error_is_fatal(code))
        (void)gnutls_alert_send_appropriate(one->session, code);
    return answer_of(one, code);
}

ssize_t http__tls_receive(struct http_tls_session *one, void *to, size_t room)
{
    if (one->is_broken)
        return 0;
    ssize_t code = handshake(one);
    return code < 0 ? code : answer_of(one, gnutls_record_recv(one->session, to, room));
}

ssize_t http__tls_send(struct http_tls_session *one, const struct iovec *part)
{
    if (one->is_broken || !one->is_agreed) {
        errno = EPIPE;
        return -1;
    }
    return answer_of(one, gnutls_record_send(one->session, part->iov_base, part->iov_len));
}

void http__tls_bye(struct http_tls_session *one)
{
    if (one && one->is_agreed && !one->is_broken)
        (void)gnutls_bye(one->session, GNUTLS_SHUT_WR);
}
