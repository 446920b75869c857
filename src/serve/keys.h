/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/keys: API keys as the running server sees them. A token is `fk_<id>_<secret>`: the id finds
 * the row, the secret (192 random bits) is compared as a BLAKE2b-256 hash in constant time. A fast
 * hash is right here: what it protects is random, not a password.
 *
 * The file, <data>/keys, is text; first line "freshet keys 1", then a key a line, tab-separated:
 *   id  hash(hex)  scopes  created(Unix s)  expires(Unix s, 0 never)  rate(per s, 0 default)  note
 *
 * Invariants
 *   K1: no secret is stored, logged or sent.
 *   K2: a file that cannot be understood changes nothing: the keys read before stay in force.
 *   K3: a key once seen makes keys required for good in this run (revoking the last one must not
 *       open the door).
 *
 * Thread: any. Locks: one read-write lock, a leaf.
 */
#ifndef SERVE_KEYS_H
#define SERVE_KEYS_H

#include "base/base.h"
#include "os/os.h"

struct serve_keys;

struct serve_identity {
    char key_id[12]; /* empty: nobody in particular (no keys are configured) */
    uint32_t scopes;
};

enum serve_admission {
    SERVE_ADMITTED,
    SERVE_NO_KEY,      /* 401: none given */
    SERVE_WRONG_KEY,   /* 401: unknown, revoked or malformed */
    SERVE_EXPIRED_KEY, /* 401 */
    SERVE_TOO_MANY,    /* 429: its rate is used up */
};

FR_MUST_USE enum fr_status serve_keys_open(struct os *os, const char *directory,
                                           double rate_per_second, struct fr_error *error,
                                           struct serve_keys **out_keys);
void serve_keys_close(struct serve_keys *keys);
/* Reads the file again when it changed (within a second of the change: call often); `changed`, which may
 * be NULL, is called for each key that has come or gone. */
struct serve_key_change {
    const char *id, *note;
    const char *scopes; /* "read,ingest" */
    bool is_new;
};
typedef void (*serve_key_changed_fn)(void *context, const struct serve_key_change *change);
void serve_keys_refresh(struct serve_keys *keys, serve_key_changed_fn changed, void *context);
bool serve_keys_required(const struct serve_keys *keys);

/* `token` may be empty. out_wait_ms: for SERVE_TOO_MANY, when to come again. */
enum serve_admission serve_keys_admit(struct serve_keys *keys, struct fr_slice token,
                                      int64_t now_us, struct serve_identity *out_who,
                                      uint32_t *out_wait_ms);

#endif
