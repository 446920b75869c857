/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/read: what is known, without ranking: one item, one user, a user's history, a search over
 * titles.
 */
#include <string.h>

#include "serve/serve_priv.h"

enum {
    SEARCH_SCANNED_MAX = 20000, /* newest items that a search looks at */
    HISTORY_SHOWN_MAX = 4096,
};

/* ---- items and users -------------------------------------------------------------------- */

void serve__handle_item_get(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    uint32_t item = state_item_find(state, call->path_value[0]);
    struct state_item row;
    if (item == 0 || !state_item_get(state, item, &row) || (row.flags & STATE_ITEM_DELETED)) {
        serve__problem(call, 404, "unknown_item", "PUT it first, or check the id",
                       "there is no such item");
        return;
    }
    struct schema_item *document = base_arena_zalloc(call->arena, sizeof *document);
    if (!document || state_item_document(state, item, call->arena, document) != FR_OK) {
        if (!document) {
            serve__problem(call, 503, "request_memory", NULL, "the request used up its memory");
            return;
        }
        memset(document, 0, sizeof *document); /* known from events only */
        document->id = state_item_id(state, item);
    }
    serve__json(call, 200);
    schema_item_to_json(document, call->out);
}

static bool user_known(struct serve_call *call, uint32_t *out_user)
{
    *out_user = state_user_find(call->serve->options.state, call->path_value[0]);
    if (*out_user)
        return true;
    serve__problem(call, 404, "unknown_user", "users appear with their first event or a PUT",
                   "there is no such user");
    return false;
}

void serve__handle_user_get(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    uint32_t user;
    if (!user_known(call, &user))
        return;
    struct schema_user *document = base_arena_zalloc(call->arena, sizeof *document);
    if (!document) {
        serve__problem(call, 503, "request_memory", NULL, "the request used up its memory");
        return;
    }
    if (state_user_document(state, user, call->arena, document) != FR_OK) {
        if (state_history_count(state, user) == 0) {
            serve__problem(call, 404, "unknown_user", "the user was deleted, or never acted",
                           "there is no such user");
            return;
        }
        memset(document, 0, sizeof *document);
        document->id = state_user_id(state, user);
    }
    serve__json(call, 200);
    schema_user_to_json(document, call->out);
    call->out->count--; /* one member more */
    serve__pair_u64(call->out, "events", state_history_count(state, user));
    base_buf_put_str(call->out, "}");
}

static void print_visit(const struct serve_call *call, const struct state_visit *visit)
{
    const struct state *state = call->serve->options.state;
    struct base_buf *out = call->out;
    struct serve_card card;
    serve__card(state, visit->item, call->arena, &card);
    base_buf_put_str(out, "{");
    serve__pair_text(out, "id", state_item_id(state, visit->item));
    serve__card_print(&card, out);
    serve__key(out, "type");
    base_buf_put_str(out, visit->signal < 0 ? "\"dislike\"" : "\"view\"");
    serve__pair_fixed(out, "signal", (double)visit->signal, 3);
    serve__key(out, "timestamp");
    base_buf_put_str(out, "\"");
    schema_time_print((int64_t)visit->time_s * 1000000, out);
    base_buf_put_str(out, "\"}");
}

void serve__handle_history(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    uint32_t n = (uint32_t)serve_args_int(call->args, "n", 20), user;
    if (!user_known(call, &user))
        return;
    struct state_visit *visit = base_arena_alloc(call->arena, HISTORY_SHOWN_MAX * sizeof *visit);
    if (!visit) {
        serve__problem(call, 503, "request_memory", NULL, "the request used up its memory");
        return;
    }
    uint32_t count = state_history(state, user, visit, n);
    serve__json(call, 200);
    base_buf_put_str(call->out, "{");
    serve__pair_text(call->out, "user", call->path_value[0]);
    serve__pair_u64(call->out, "events", state_history_count(state, user));
    serve__key(call->out, "items");
    base_buf_put_str(call->out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            base_buf_put(call->out, ",", 1);
        print_visit(call, &visit[i]);
    }
    base_buf_put_str(call->out, "]}");
}

/* ---- search over titles ------------------------------------------------------------------ */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool contains(struct fr_slice text, struct fr_slice part)
{
    for (size_t i = 0; i + part.bytes <= text.bytes; i++) {
        size_t j = 0;
        while (j < part.bytes && lower(text.ptr[i + j]) == lower(part.ptr[j]))
            j++;
        if (j == part.bytes)
            return true;
    }
    return false;
}

static bool is_shown(const struct serve_call *call, uint32_t item)
{
    struct state_item row;
    uint32_t now_s = (uint32_t)(os_wall_us(call->serve->options.os) / 1000000);
    return state_item_get(call->serve->options.state, item, &row) &&
           state_item_servable(&row, now_s);
}

void serve__handle_items_find(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    struct fr_slice query = serve_args_text(call->args, "query");
    uint32_t n = (uint32_t)serve_args_int(call->args, "n", 10);
    uint32_t shown = 0, scanned = 0;
    serve__json(call, 200);
    base_buf_put_str(call->out, "{\"items\":[");
    for (uint32_t item = state_item_count(state); item-- > 1 && shown < n;) {
        struct serve_card card;
        if (++scanned > SEARCH_SCANNED_MAX)
            break;
        serve__card(state, item, call->arena, &card);
        struct fr_slice id = state_item_id(state, item);
        if ((!contains(card.title, query) && !contains(id, query)) || !is_shown(call, item))
            continue;
        base_buf_put_str(call->out, shown++ ? ",{" : "{");
        serve__pair_text(call->out, "id", id);
        serve__card_print(&card, call->out);
        base_buf_put_str(call->out, "}");
    }
    base_buf_put_str(call->out, "]}");
}
