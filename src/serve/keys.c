/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/keys: the table of API keys, its file, and the rate of each. See keys.h.
 *
 * Rates: GCRA, one word a key: the "theoretical arrival time". A request is let through when that
 * time is at most a burst (one second's worth, at least 10 requests) ahead of now, and moves it on
 * by 1 / rate (ITU-T I.371; a token bucket without a timer).
 */
#include "serve/keys.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "obs/obs.h"
#include "serve/serve.h"

enum {
    KEYS_MAX = 1024,
    HASH_BYTES = 32,
    SECRET_BYTES = 24, /* 32 characters of base64url */
    SECRET_CHARS = 32,
    ID_CHARS = 8,
    NOTE_BYTES = 96,
    FILE_BYTES_MAX = 1 << 20,
    BURST_LEAST = 10,
};

static const char first_line[] = "freshet keys 1";
static const char id_letters[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* 31: no look-alikes */

struct key {
    char id[ID_CHARS + 1];
    uint8_t hash[HASH_BYTES];
    uint32_t scopes;
    int64_t created_s, expires_s;
    double rate;
    char note[NOTE_BYTES];
    _Atomic int64_t arrival_us;
};

struct serve_keys {
    struct os *os;
    char path[512];
    double rate;
    pthread_rwlock_t lock;   /* guards row, count */
    struct key *row, *spare; /* [KEYS_MAX] */
    uint32_t count;
    uint64_t file_hash;
    _Atomic bool required;
};

/* ---- the file --------------------------------------------------------------------------- */

struct keys_file {
    char *text;
    size_t bytes;
};

static enum fr_status file_read(struct os *os, const char *path, struct fr_error *error,
                                struct keys_file *out)
{
    struct os_file *file;
    uint64_t bytes = 0;
    FR_TRY(os_open(os, path, OS_READ, error, &file));
    enum fr_status status = os_size(file, &bytes, error);
    if (status == FR_OK && bytes > FILE_BYTES_MAX)
        status = base_fail(error, FR_INVALID, "serve", "%s is larger than 1 MiB", path);
    char *text = status == FR_OK ? malloc((size_t)bytes + 1) : NULL;
    size_t got = 0;
    if (status == FR_OK)
        status = text ? os_read_at(file, 0, text, (size_t)bytes, &got, error) : FR_MEMORY;
    os_close(file);
    if (status != FR_OK) {
        free(text);
        return status;
    }
    text[got] = 0;
    *out = (struct keys_file){text, got};
    return FR_OK;
}

static const struct {
    const char *name;
    uint32_t bit;
} scope_row[] = {{"read", SERVE_READ},
                 {"ingest", SERVE_INGEST},
                 {"write", SERVE_WRITE},
                 {"admin", SERVE_ADMIN}};

enum fr_status serve_scopes_parse(const char *text, struct fr_error *error, uint32_t *out_scopes)
{
    uint32_t scopes = 0;
    while (*text) {
        size_t bytes = strcspn(text, ",");
        uint32_t bit = 0;
        for (size_t i = 0; i < FR_COUNT_OF(scope_row); i++)
            if (strlen(scope_row[i].name) == bytes && !strncmp(scope_row[i].name, text, bytes))
                bit = scope_row[i].bit;
        if (bit == 0) {
            fr_ignore(base_fail(error, FR_INVALID, "serve", "\"%.*s\" is not a scope",
                                (int)FR_MIN(bytes, (size_t)40), text),
                      "returned below");
            base_hint(error, "scopes are read, ingest, write and admin, separated by commas");
            return FR_INVALID;
        }
        scopes |= bit;
        text += bytes + (text[bytes] == ',');
    }
    *out_scopes = scopes;
    return FR_OK;
}

static void scopes_print(uint32_t scopes, char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < FR_COUNT_OF(scope_row); i++)
        if (scopes & scope_row[i].bit)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? "," : "",
                                     scope_row[i].name);
}

static bool field_next(char **at, char **out_field)
{
    if (!*at)
        return false;
    *out_field = *at;
    char *tab = strchr(*at, '\t');
    if (tab)
        *tab = 0;
    *at = tab ? tab + 1 : NULL;
    return true;
}

static bool row_parse(char *line, struct key *key)
{
    char *field[7];
    for (size_t i = 0; i < FR_COUNT_OF(field); i++)
        if (!field_next(&line, &field[i]))
            return false;
    size_t hash_bytes = 0;
    memset(key, 0, sizeof *key);
    if (strlen(field[0]) != ID_CHARS || strlen(field[1]) != 2 * HASH_BYTES ||
        sodium_hex2bin(key->hash, HASH_BYTES, field[1], 2 * HASH_BYTES, NULL, &hash_bytes, NULL) ||
        hash_bytes != HASH_BYTES || serve_scopes_parse(field[2], NULL, &key->scopes) != FR_OK)
        return false;
    memcpy(key->id, field[0], ID_CHARS);
    char *end;
    errno = 0;
    key->created_s = strtoll(field[3], &end, 10);
    bool fine = *end == 0;
    key->expires_s = strtoll(field[4], &end, 10);
    fine = fine && *end == 0;
    key->rate = strtod(field[5], &end);
    snprintf(key->note, sizeof key->note, "%s", field[6]);
    return fine && *end == 0 && errno == 0 && key->rate >= 0;
}

/* FR_CORRUPT names the line. `text` is cut into fields in place. */
static enum fr_status file_parse(char *text, struct key *row, uint32_t *out_count,
                                 struct fr_error *error)
{
    uint32_t count = 0, line_number = 0;
    for (char *line = text; line && *line; line_number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        bool fine = line_number == 0 ? strcmp(line, first_line) == 0
                                     : count < KEYS_MAX && row_parse(line, &row[count]);
        if (!fine)
            return base_fail(error, FR_CORRUPT, "serve",
                             "the keys file has a line %u that cannot be understood",
                             line_number + 1);
        count += line_number > 0;
        line = end ? end + 1 : NULL;
    }
    *out_count = count;
    return FR_OK;
}

/* ---- the running server's view ---------------------------------------------------------- */

static struct key *row_find(struct key *row, uint32_t count, const char *id)
{
    for (uint32_t i = 0; i < count; i++)
        if (memcmp(row[i].id, id, ID_CHARS) == 0)
            return &row[i];
    return NULL;
}

static void table_swap(struct serve_keys *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct key *old = row_find(keys->row, keys->count, keys->spare[i].id);
        if (old)
            atomic_store_explicit(&keys->spare[i].arrival_us,
                                  atomic_load_explicit(&old->arrival_us, memory_order_relaxed),
                                  memory_order_relaxed);
    }
    pthread_rwlock_wrlock(&keys->lock);
    struct key *row = keys->row;
    keys->row = keys->spare;
    keys->count = count;
    keys->spare = row;
    pthread_rwlock_unlock(&keys->lock);
    if (count > 0)
        atomic_store(&keys->required, true);
}

struct watcher {
    serve_key_changed_fn changed; /* may be NULL */
    void *context;
};

struct table {
    struct key *row;
    uint32_t count;
};

/* Keys of one table that the other lacks. */
static void tell(const struct watcher *watcher, struct table of, struct table other, bool is_new)
{
    for (uint32_t i = 0; i < of.count; i++) {
        char scopes[64];
        if (row_find(other.row, other.count, of.row[i].id))
            continue;
        scopes_print(of.row[i].scopes, scopes, sizeof scopes);
        watcher->changed(watcher->context,
                         &(struct serve_key_change){of.row[i].id, of.row[i].note, scopes, is_new});
    }
}

/* The spare table takes over. */
static void take_over(struct serve_keys *keys, uint32_t count, const struct watcher *watcher)
{
    uint32_t before = keys->count;
    table_swap(keys, count); /* first: a revoked key is of no use from here on */
    if (!watcher->changed)
        return;
    struct table now = {keys->row, count}, then = {keys->spare, before};
    tell(watcher, now, then, true);
    tell(watcher, then, now, false);
}

static enum fr_status reload(struct serve_keys *keys, const struct watcher *watcher,
                             struct fr_error *error)
{
    struct keys_file file = {0};
    enum fr_status status = file_read(keys->os, keys->path, error, &file);
    if (status == FR_NOT_FOUND) {
        if (keys->count > 0)
            take_over(keys, 0, watcher);
        keys->file_hash = 0;
        return FR_OK;
    }
    FR_TRY(status);
    uint64_t hash = base_hash64(file.text, file.bytes, 1) | 1;
    if (hash != keys->file_hash) {
        uint32_t count = 0;
        status = file_parse(file.text, keys->spare, &count, error);
        if (status == FR_OK)
            take_over(keys, count, watcher);
        keys->file_hash = hash; /* a bad file is reported once */
    }
    free(file.text);
    return status;
}

enum fr_status serve_keys_open(struct os *os, const char *directory, double rate_per_second,
                               struct fr_error *error, struct serve_keys **out_keys)
{
    if (sodium_init() < 0)
        return base_fail(error, FR_UNSUPPORTED, "serve", "libsodium does not start");
    struct serve_keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return base_fail(error, FR_MEMORY, "serve", "no memory for API keys");
    keys->os = os;
    keys->rate = rate_per_second;
    pthread_rwlock_init(&keys->lock, NULL);
    snprintf(keys->path, sizeof keys->path, "%s/keys", directory);
    keys->row = calloc(KEYS_MAX, sizeof *keys->row);
    keys->spare = calloc(KEYS_MAX, sizeof *keys->spare);
    const struct watcher nobody = {0};
    enum fr_status status = keys->row && keys->spare ? reload(keys, &nobody, error) : FR_MEMORY;
    if (status != FR_OK) {
        serve_keys_close(keys);
        return status;
    }
    *out_keys = keys;
    return FR_OK;
}

void serve_keys_close(struct serve_keys *keys)
{
    if (!keys)
        return;
    pthread_rwlock_destroy(&keys->lock);
    free(keys->row);
    free(keys->spare);
    free(keys);
}

void serve_keys_refresh(struct serve_keys *keys, serve_key_changed_fn changed, void *context)
{
    struct fr_error error = {0};
    const struct watcher watcher = {changed, context};
    if (reload(keys, &watcher, &error) != FR_OK)
        obs_log_error(OBS_ERROR, &error);
}

bool serve_keys_required(const struct serve_keys *keys)
{
    return atomic_load_explicit(&keys->required, memory_order_relaxed);
}

static bool rate_take(struct key *key, double rate, int64_t now_us, uint32_t *out_wait_ms)
{
    if (rate <= 0)
        return true;
    int64_t step_us = (int64_t)(1e6 / rate);
    int64_t burst_us = (int64_t)(FR_MAX(rate, (double)BURST_LEAST) * 1e6 / rate);
    int64_t arrival = atomic_load_explicit(&key->arrival_us, memory_order_relaxed);
    for (;;) {
        int64_t base = FR_MAX(arrival, now_us);
        if (base + step_us - now_us > burst_us) {
            *out_wait_ms = (uint32_t)((base + step_us - now_us - burst_us) / 1000 + 1);
            return false;
        }
        if (atomic_compare_exchange_weak_explicit(&key->arrival_us, &arrival, base + step_us,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    }
}

static void secret_hash(const char *secret, size_t bytes, uint8_t out[HASH_BYTES])
{
    crypto_generichash(out, HASH_BYTES, (const unsigned char *)secret, bytes, NULL, 0);
}

static enum serve_admission admit(struct serve_keys *keys, struct fr_slice token, int64_t now_us,
                                  struct serve_identity *who, uint32_t *out_wait_ms)
{
    static const size_t prefix = 3 + ID_CHARS + 1;
    uint8_t hash[HASH_BYTES];
    if (token.bytes != prefix + SECRET_CHARS || memcmp(token.ptr, "fk_", 3) != 0 ||
        token.ptr[prefix - 1] != '_')
        return SERVE_WRONG_KEY;
    secret_hash(token.ptr + prefix, SECRET_CHARS, hash);
    struct key *key = row_find(keys->row, keys->count, token.ptr + 3);
    if (!key || sodium_memcmp(hash, key->hash, HASH_BYTES) != 0)
        return SERVE_WRONG_KEY;
    if (key->expires_s && now_us >= key->expires_s * 1000000)
        return SERVE_EXPIRED_KEY;
    memcpy(who->key_id, key->id, sizeof key->id);
    who->scopes = key->scopes & SERVE_ADMIN ? SERVE_READ | SERVE_INGEST | SERVE_WRITE | SERVE_ADMIN
                                            : key->scopes;
    double rate = key->rate > 0 ? key->rate : keys->rate;
    return rate_take(key, rate, now_us, out_wait_ms) ? SERVE_ADMITTED : SERVE_TOO_MANY;
}

enum serve_admission serve_keys_admit(struct serve_keys *keys, struct fr_slice token,
                                      int64_t now_us, struct serve_identity *out_who,
                                      uint32_t *out_wait_ms)
{
    *out_who = (struct serve_identity){0};
    *out_wait_ms = 0;
    if (!serve_keys_required(keys)) {
        out_who->scopes = SERVE_READ | SERVE_INGEST | SERVE_WRITE | SERVE_ADMIN;
        return SERVE_ADMITTED;
    }
    if (token.bytes == 0)
        return SERVE_NO_KEY;
    pthread_rwlock_rdlock(&keys->lock);
    enum serve_admission admission = admit(keys, token, now_us, out_who, out_wait_ms);
    pthread_rwlock_unlock(&keys->lock);
    return admission;
}

bool serve_keys_exist(struct os *os, const char *directory)
{
    struct serve_keys *keys = NULL;
    if (serve_keys_open(os, directory, 0, NULL, &keys) != FR_OK)
        return false;
    bool required = serve_keys_required(keys);
    serve_keys_close(keys);
    return required;
}

/* ---- changing the file ------------------------------------------------------------------ */

struct edit {
    struct os *os;
    struct os_file *lock;
    char path[512];
    struct key *row;
    uint32_t count;
};

static enum fr_status edit_begin(struct edit *edit, struct os *os, const char *directory,
                                 struct fr_error *error)
{
    char lock_path[520];
    *edit = (struct edit){.os = os};
    if (sodium_init() < 0)
        return base_fail(error, FR_UNSUPPORTED, "serve", "libsodium does not start");
    FR_TRY(os->table->mkdir(os, directory, error));
    snprintf(edit->path, sizeof edit->path, "%s/keys", directory);
    snprintf(lock_path, sizeof lock_path, "%s.lock", edit->path);
    FR_TRY(os_open(os, lock_path, OS_READ | OS_WRITE | OS_CREATE, error, &edit->lock));
    enum fr_status status = os->table->lock(edit->lock, error);
    if (status != FR_OK) {
        base_hint(error, "another `freshet keys` is running; try again");
        return status;
    }
    edit->row = calloc(KEYS_MAX, sizeof *edit->row);
    if (!edit->row)
        return base_fail(error, FR_MEMORY, "serve", "no memory for API keys");
    struct keys_file file = {0};
    status = file_read(os, edit->path, error, &file);
    if (status == FR_NOT_FOUND)
        return FR_OK;
    FR_TRY(status);
    status = file_parse(file.text, edit->row, &edit->count, error);
    free(file.text);
    return status;
}

static void edit_end(struct edit *edit)
{
    if (edit->lock)
        os_close(edit->lock);
    free(edit->row);
}

static void rows_print(const struct edit *edit, struct base_buf *out)
{
    base_buf_printf(out, "%s\n", first_line);
    for (uint32_t i = 0; i < edit->count; i++) {
        const struct key *key = &edit->row[i];
        char hash[2 * HASH_BYTES + 1], scopes[40];
        sodium_bin2hex(hash, sizeof hash, key->hash, HASH_BYTES);
        scopes_print(key->scopes, scopes, sizeof scopes);
        base_buf_printf(out, "%s\t%s\t%s\t%lld\t%lld\t%g\t%s\n", key->id, hash, scopes,
                        (long long)key->created_s, (long long)key->expires_s, key->rate, key->note);
    }
}

/* Written aside, synced, renamed: a reader sees the old file or the new one. */
static enum fr_status edit_commit(struct edit *edit, const char *directory, struct fr_error *error)
{
    struct os *os = edit->os;
    char aside[520];
    struct base_buf text;
    struct os_file *file;
    base_buf_init(&text, FILE_BYTES_MAX);
    rows_print(edit, &text);
    snprintf(aside, sizeof aside, "%s.new", edit->path);
    enum fr_status status = os_open(os, aside, OS_WRITE | OS_CREATE | OS_TRUNCATE, error, &file);
    if (status == FR_OK) {
        status = os_write_at(file, 0, text.bytes, text.count, error);
        if (status == FR_OK)
            status = os_sync(file, error);
        os_close(file);
    }
    base_buf_release(&text);
    FR_TRY(status);
    FR_TRY(os->table->rename(os, aside, edit->path, error));
    return os->table->sync_dir(os, directory, error);
}

static void id_make(struct os *os, char out[ID_CHARS + 1])
{
    uint8_t random[ID_CHARS];
    os->table->random(os, random, sizeof random);
    for (int i = 0; i < ID_CHARS; i++)
        out[i] = id_letters[random[i] % (sizeof id_letters - 1)];
    out[ID_CHARS] = 0;
}

static void note_clean(const char *note, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s", note ? note : "");
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static enum fr_status key_add(struct edit *edit, const struct serve_key_spec *spec,
                              struct fr_error *error, char out_token[SERVE_TOKEN_BYTES])
{
    if (edit->count == KEYS_MAX)
        return base_fail(error, FR_FULL, "serve", "there are %d keys, the maximum", KEYS_MAX);
    uint8_t random[SECRET_BYTES];
    char secret[SECRET_CHARS + 1];
    struct key *key = &edit->row[edit->count++];
    do {
        id_make(edit->os, key->id);
    } while (row_find(edit->row, edit->count - 1, key->id));
    edit->os->table->random(edit->os, random, sizeof random);
    sodium_bin2base64(secret, sizeof secret, random, sizeof random,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    secret_hash(secret, SECRET_CHARS, key->hash);
    key->scopes = spec->scopes;
    key->created_s = os_wall_us(edit->os) / 1000000;
    key->expires_s = spec->expires_us / 1000000;
    key->rate = spec->rate_per_second;
    note_clean(spec->note, key->note, sizeof key->note);
    snprintf(out_token, SERVE_TOKEN_BYTES, "fk_%s_%s", key->id, secret);
    sodium_memzero(random, sizeof random);
    sodium_memzero(secret, sizeof secret);
    return FR_OK;
}

enum fr_status serve_keys_create(struct os *os, const char *directory,
                                 const struct serve_key_spec *spec, struct fr_error *error,
                                 char out_token[SERVE_TOKEN_BYTES])
{
    struct edit edit;
    char token[SERVE_TOKEN_BYTES];
    if (spec->scopes == 0)
        return base_fail(error, FR_INVALID, "serve", "a key needs at least one scope");
    enum fr_status status = edit_begin(&edit, os, directory, error);
    if (status == FR_OK)
        status = key_add(&edit, spec, error, token);
    if (status == FR_OK)
        status = edit_commit(&edit, directory, error);
    edit_end(&edit);
    if (status == FR_OK)
        memcpy(out_token, token, sizeof token);
    return status;
}

enum fr_status serve_keys_revoke(struct os *os, const char *directory, const char *id,
                                 struct fr_error *error)
{
    struct edit edit;
    enum fr_status status = edit_begin(&edit, os, directory, error);
    struct key *key = NULL;
    if (status == FR_OK && strlen(id) == ID_CHARS)
        key = row_find(edit.row, edit.count, id);
    if (status == FR_OK && !key) {
        status = base_fail(error, FR_NOT_FOUND, "serve", "there is no key \"%.40s\"", id);
        base_hint(error, "`freshet keys list` shows the ids");
    }
    if (status == FR_OK) {
        uint32_t at = (uint32_t)(key - edit.row);
        memmove(key, key + 1, (edit.count - at - 1) * sizeof *key);
        edit.count--;
        status = edit_commit(&edit, directory, error);
    }
    edit_end(&edit);
    return status;
}

static void row_list(const struct key *key, bool json, struct base_buf *out)
{
    char scopes[40];
    scopes_print(key->scopes, scopes, sizeof scopes);
    if (!json) {
        base_buf_printf(out, "%-10s %-24s ", key->id, scopes);
        schema_time_print(key->created_s * 1000000, out);
        base_buf_put_str(out, "  ");
        if (key->expires_s)
            schema_time_print(key->expires_s * 1000000, out);
        else
            base_buf_put_str(out, "never");
        base_buf_printf(out, "  %s\n", key->note);
        return;
    }
    base_buf_printf(out,
                    "{\"id\":\"%s\",\"scopes\":\"%s\",\"created\":%lld,\"expires\":%lld,"
                    "\"rate\":%g,\"note\":",
                    key->id, scopes, (long long)key->created_s, (long long)key->expires_s,
                    key->rate);
    base_buf_json_string(out, fr_slice_str(key->note));
    base_buf_put_str(out, "}");
}

enum fr_status serve_keys_list(struct os *os, const char *directory, bool json,
                               struct base_buf *out, struct fr_error *error)
{
    struct edit edit;
    enum fr_status status = edit_begin(&edit, os, directory, error);
    if (status == FR_OK) {
        base_buf_put_str(out, json
                                  ? "["
                                  : "id         scopes                   created, expires, note\n");
        for (uint32_t i = 0; i < edit.count; i++) {
            if (json && i)
                base_buf_put_str(out, ",");
            row_list(&edit.row[i], json, out);
        }
        base_buf_put_str(out, json ? "]\n" : "");
    }
    edit_end(&edit);
    return status;
}
