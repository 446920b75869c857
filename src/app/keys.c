/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet keys: API keys of a data directory; a running server knows a change within a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/commands.h"
#include "journal/journal.h"
#include "os/os.h"
#include "serve/serve.h"

enum { PATH_BYTES = 1024 };

/* "30d", "12h", or RFC 3339. */
static bool parse_expiry(const char *text, int64_t *out_us)
{
    char *end = NULL;
    unsigned long count = strtoul(text, &end, 10);
    int64_t unit_us = *end == 'd' ? 86400000000 : *end == 'h' ? 3600000000 : 0;
    if (end != text && unit_us && end[1] == '\0' && count > 0 && count < 100000) {
        *out_us = os_wall_us(os_real()) + (int64_t)count * unit_us;
        return true;
    }
    const char *rule = NULL;
    return schema_time_parse(fr_slice_str(text), out_us, &rule) == FR_OK;
}

/* With a server running, it holds the journal, notices the change and records the act itself. */
static void record_act(const struct app *app, const char *what, struct fr_slice id)
{
    char path[PATH_BYTES];
    struct journal *journal = NULL;
    struct base_buf payload;
    uint64_t position;
    snprintf(path, sizeof path, "%s/journal", app->options->data_dir);
    struct journal_options options = {.directory = path,
                                      .segment_bytes = app->options->segment_bytes,
                                      .no_thread = true};
    struct schema_act act = {.actor = FR_SLICE("command line"),
                             .act = fr_slice_str(what),
                             .target = id};
    if (journal_open(os_real(), &options, NULL, &journal) != FR_OK)
        return;
    base_buf_init(&payload, 0);
    schema_act_encode(&act, &payload);
    if (journal_append(journal, SCHEMA_KIND_AUDIT, os_wall_us(os_real()), base_buf_slice(&payload),
                       NULL, &position) == FR_OK)
        fr_ignore(journal_sync(journal, NULL), "the key is in force all the same");
    base_buf_release(&payload);
    journal_close(journal);
}

static int create(const struct app *app)
{
    const char *scopes = app_flag(app, "scopes"), *expires = app_flag(app, "expires");
    struct serve_key_spec spec = {.note = app_flag(app, "note")};
    struct fr_error error = {0};
    char token[SERVE_TOKEN_BYTES];
    if (serve_scopes_parse(scopes ? scopes : "read,ingest", &error, &spec.scopes) != FR_OK)
        return app_usage(app, "%s", error.message);
    if (expires && !parse_expiry(expires, &spec.expires_us))
        return app_usage(app, "--expires takes 30d, 12h or a time as 2027-01-31T00:00:00Z, not %s",
                         expires);
    if (app_flag(app, "rate"))
        spec.rate_per_second = strtod(app_flag(app, "rate"), NULL);
    if (serve_keys_create(os_real(), app->options->data_dir, &spec, &error, token) != FR_OK)
        return app_fail(app, &error);
    record_act(app, "key_created",
               fr_slice_of(token + 3, SERVE_KEY_ID_BYTES - 1)); /* fk_<id>_... */
    struct base_buf out;
    base_buf_init(&out, 0);
    if (app->json)
        base_buf_printf(&out, "{\"token\":\"%s\"}\n", token);
    else
        base_buf_printf(&out,
                        "%s\nIt is shown this once and stored nowhere; send it as "
                        "'Authorization: Bearer ...'.\n",
                        token);
    return app_print(&out);
}

static int list(const struct app *app)
{
    struct base_buf out;
    struct fr_error error = {0};
    base_buf_init(&out, 0);
    if (serve_keys_list(os_real(), app->options->data_dir, app->json, &out, &error) != FR_OK) {
        base_buf_release(&out);
        return app_fail(app, &error);
    }
    return app_print(&out);
}

static int revoke(const struct app *app, const char *id)
{
    struct fr_error error = {0};
    if (serve_keys_revoke(os_real(), app->options->data_dir, id, &error) != FR_OK)
        return app_fail(app, &error);
    record_act(app, "key_revoked", fr_slice_str(id));
    struct base_buf out;
    base_buf_init(&out, 0);
    base_buf_printf(&out, app->json ? "{\"revoked\":\"%s\"}\n" : "revoked %s\n", id);
    return app_print(&out);
}

static int app_keys(struct app *app, int argc, char **argv)
{
    if (argc == 1 && strcmp(argv[0], "create") == 0)
        return create(app);
    if (argc == 1 && strcmp(argv[0], "list") == 0)
        return list(app);
    if (argc == 2 && strcmp(argv[0], "revoke") == 0)
        return revoke(app, argv[1]);
    return app_usage(app, "keys takes create, list, or revoke ID");
}

static const struct conf_flag flags[] = {
    {"scopes", "LIST", "create: of read, ingest, write, admin; read,ingest"},
    {"expires", "WHEN", "create: 30d, 12h, or a time; never when not given"},
    {"rate", "N", "create: requests a second; the server's own limit when not given"},
    {"note", "TEXT", "create: for people"},
};

const struct app_command app_command_keys = {
    .name = "keys",
    .summary = "create, list and revoke API keys",
    .arguments = "create|list|revoke [ID]",
    .text =
        "Keys are stored hashed in the data directory. A running server knows a new or revoked\n"
        "key within a second. The first key makes every request need one.",
    .flags = flags,
    .flag_count = FR_COUNT_OF(flags),
    .run = app_keys,
};
