/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/ask: from checked arguments to ids. Unknown ids are left out, never an error: an item that
 * nobody has acted on says nothing yet, and a user nobody knows is answered like a new one.
 */
#include "serve/ask.h"

#include <string.h>

static uint32_t find_items(const struct serve_call *call, const char *name, uint32_t *out,
                           uint32_t max)
{
    struct fr_slice *id = base_arena_alloc(call->arena, max * sizeof *id);
    uint32_t found = 0;
    if (!id)
        return 0;
    uint32_t count = serve_args_list(call->args, name, id, max);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t item = state_item_find(call->serve->options.state, id[i]);
        if (item)
            out[found++] = item;
    }
    return found;
}

void serve__context_read(const struct serve_call *call, struct schema_context *out)
{
    static const char prefix[] = "context.";
    const struct serve_args *args = call->args;
    memset(out, 0, sizeof *out);
    out->device = serve_args_text(args, "device");
    out->os = serve_args_text(args, "os");
    out->country = serve_args_text(args, "country");
    out->region = serve_args_text(args, "region");
    out->city = serve_args_text(args, "city");
    out->referrer = serve_args_text(args, "referrer");
    out->language = serve_args_text(args, "language");
    for (uint32_t i = 0; i < args->count && out->extra_count < SCHEMA_CONTEXT_EXTRA_MAX; i++) {
        struct fr_slice name = args->row[i].name;
        if (name.bytes <= sizeof prefix - 1 || memcmp(name.ptr, prefix, sizeof prefix - 1) != 0)
            continue;
        out->extra[out->extra_count++] =
            (struct schema_pair){fr_slice_of(name.ptr + sizeof prefix - 1,
                                             name.bytes - (sizeof prefix - 1)),
                                 args->row[i].value};
    }
}

static void read_person(struct serve_call *call, struct serve_ask *ask)
{
    const struct state *state = call->serve->options.state;
    struct fr_slice session = serve_args_text(call->args, "session");
    ask->user_id = serve_args_text(call->args, "user");
    if (ask->user_id.bytes)
        ask->model.user = state_user_find(state, ask->user_id);
    if (session.bytes)
        ask->model.session_tag = state_session_tag(session);
    ask->model.recent = ask->recent;
    ask->model.recent_count = find_items(call, "items", ask->recent, SERVE_RECENT_MAX);
    struct schema_context *context = base_arena_alloc(call->arena, sizeof *context);
    if (!context)
        return;
    serve__context_read(call, context);
    state_context_resolve(state, context, ask->model.context);
}

void serve__ask_read(struct serve_call *call, struct serve_ask *out_ask)
{
    const struct serve_args *args = call->args;
    const struct state *state = call->serve->options.state;
    const struct serve_settings *settings = &call->thread->settings;
    struct fr_slice name[SERVE_CATEGORIES_MAX];
    memset(out_ask, 0, sizeof *out_ask);
    read_person(call, out_ask);
    out_ask->n = (uint32_t)serve_args_int(args, "n", 10);
    out_ask->offset = (uint32_t)serve_args_int(args, "offset", 0);
    out_ask->exclude_count = find_items(call, "exclude", out_ask->exclude, SERVE_EXCLUDE_MAX);
    out_ask->category_count = serve_args_list(args, "categories", name, SERVE_CATEGORIES_MAX);
    for (uint32_t i = 0; i < out_ask->category_count; i++)
        out_ask->category[i] = state_category_find(state, name[i]);
    out_ask->categories_all = serve_args_is(args, "categories_match", "all");
    out_ask->model.repeats = settings->repeats;
    if (serve_args_text(args, "repeats").ptr)
        out_ask->model.repeats = serve_args_is(args, "repeats", "allow");
    out_ask->category_cap =
        (uint32_t)serve_args_int(args, "max_per_category", settings->category_cap);
    out_ask->author_cap = (uint32_t)serve_args_int(args, "max_per_author", settings->author_cap);
    out_ask->explain = serve_args_is(args, "explain", "none")   ? SERVE_EXPLAIN_NONE
                       : serve_args_is(args, "explain", "full") ? SERVE_EXPLAIN_FULL
                                                                : SERVE_EXPLAIN_REASONS;
    out_ask->counterfactual = serve_args_bool(args, "counterfactual", false);
}
