/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalogue and user documents: whole encoded documents in the text heap, beside the few fields
 * that scoring and policy need in the row itself. A document is replaced under its row's version.
 * Thread: writer; reading from any.
 */
#include <string.h>

#include "state/state_priv.h"

enum { READ_TRIES = 16, DOCUMENT_BYTES_MAX = 1 << 18 };

static uint32_t seconds_of(int64_t time_us)
{
    if (time_us <= 0)
        return 0;
    return (uint32_t)FR_MIN(time_us / 1000000, (int64_t)UINT32_MAX);
}

void state__newest_add(struct state *state, uint32_t item)
{
    struct total_row *total = base_rows_write(state->total, 1);
    uint32_t max = (uint32_t)FR_COUNT_OF(total->newest);
    FR_STORE(total->newest[total->newest_at % max], item);
    FR_STORE(total->newest_at, total->newest_at + 1);
}

static void refused(struct state *state)
{
    struct total_row *total = base_rows_write(state->total, 1);
    FR_STORE(total->refused_items, total->refused_items + 1);
}

/* Of the text heap: ids that expire give theirs back. */
static void want_room(struct state *state)
{
    state__expire_want(state, STATE_KIND_USER);
    state__expire_want(state, STATE_KIND_ITEM);
}

static enum fr_status item_put(struct state *state, const struct schema_item *document,
                               struct fr_slice bytes, int64_t received_us)
{
    uint32_t item = state__item_intern(state, document->id);
    uint32_t chain = item ? state__document_add(state->text, bytes) : 0;
    if (!chain) {
        refused(state);
        want_room(state);
        return FR_FULL;
    }
    struct item_row *row = base_rows_write(state->items, item);
    bool was_known = row->flags & STATE_ITEM_CATALOGUED && !(row->flags & STATE_ITEM_DELETED);
    uint32_t now_s = FR_MAX(seconds_of(state_clock_us(state)), 1u);
    base_row_change(&row->version);
    uint32_t old = row->document;
    FR_STORE(row->document, chain);
    FR_STORE(row->document_bytes, (uint32_t)bytes.bytes);
    FR_STORE(row->published_s, seconds_of(document->published_us));
    FR_STORE(row->expires_s, seconds_of(document->expires_us));
    FR_STORE(row->flags,
             (uint16_t)(STATE_ITEM_CATALOGUED | (document->hidden ? STATE_ITEM_HIDDEN : 0)));
    if (!row->first_s)
        FR_STORE(row->first_s, now_s > 1 ? now_s : seconds_of(received_us));
    state__document_free(state->text, old);
    base_row_done(&row->version);
    state__content_set(state, item, document);
    if (!was_known)
        state__newest_add(state, item);
    return FR_OK;
}

enum fr_status state_apply_item(struct state *state, struct fr_slice bytes, int64_t received_us)
{
    struct schema_item document;
    FR_TRY(schema_item_decode(bytes, &document));
    return item_put(state, &document, bytes, received_us);
}

/* The stored document with the patch's fields, encoded anew. */
enum fr_status state_apply_item_patch(struct state *state, struct fr_slice bytes,
                                      int64_t received_us)
{
    static _Thread_local uint8_t stored[DOCUMENT_BYTES_MAX];
    struct schema_item patch, document = {0};
    FR_TRY(schema_item_decode(bytes, &patch));
    uint32_t item = state_item_find(state, patch.id);
    const struct item_row *row = item ? state__item(state, item) : NULL;
    document.id = patch.id;
    if (row && row->document && row->document_bytes <= sizeof(stored) &&
        state__document_copy(state->text, row->document, stored, row->document_bytes))
        FR_TRY(
            schema_item_decode(fr_slice_of((const char *)stored, row->document_bytes), &document));
    schema_item_merge(&document, &patch);
    base_buf_clear(&state->patched);
    schema_item_encode(&document, &state->patched);
    if (state->patched.overflowed)
        return FR_FULL;
    return item_put(state, &document, base_buf_slice(&state->patched), received_us);
}

void state_apply_item_delete(struct state *state, struct fr_slice id)
{
    uint32_t item = state_item_find(state, id);
    if (!item)
        return;
    struct item_row *row = base_rows_write(state->items, item);
    base_row_change(&row->version);
    state__document_free(state->text, row->document);
    FR_STORE(row->document, 0);
    FR_STORE(row->document_bytes, 0);
    FR_STORE(row->flags, STATE_ITEM_DELETED);
    base_row_done(&row->version);
    state__content_clear(state, item);
}

static enum fr_status user_put(struct state *state, struct fr_slice id, struct fr_slice bytes)
{
    uint32_t user = state__user_intern(state, id);
    uint32_t chain = user ? state__document_add(state->text, bytes) : 0;
    if (!chain) {
        struct total_row *total = base_rows_write(state->total, 1);
        FR_STORE(total->refused_users, total->refused_users + 1);
        want_room(state);
        return FR_FULL;
    }
    struct user_row *row = base_rows_write(state->users, user);
    base_row_change(&row->version);
    state__document_free(state->text, row->document);
    FR_STORE(row->document, chain);
    FR_STORE(row->document_bytes, (uint32_t)bytes.bytes);
    base_row_done(&row->version);
    return FR_OK;
}

enum fr_status state_apply_user(struct state *state, struct fr_slice bytes)
{
    struct schema_user document;
    FR_TRY(schema_user_decode(bytes, &document));
    return user_put(state, document.id, bytes);
}

enum fr_status state_apply_user_patch(struct state *state, struct fr_slice bytes)
{
    static _Thread_local uint8_t stored[DOCUMENT_BYTES_MAX];
    struct schema_user patch, document = {0};
    FR_TRY(schema_user_decode(bytes, &patch));
    uint32_t user = state_user_find(state, patch.id);
    const struct user_row *row = user ? state__user(state, user) : NULL;
    document.id = patch.id;
    if (row && row->document && row->document_bytes <= sizeof(stored) &&
        state__document_copy(state->text, row->document, stored, row->document_bytes))
        FR_TRY(
            schema_user_decode(fr_slice_of((const char *)stored, row->document_bytes), &document));
    schema_user_merge(&document, &patch);
    base_buf_clear(&state->patched);
    schema_user_encode(&document, &state->patched);
    if (state->patched.overflowed)
        return FR_FULL;
    return user_put(state, patch.id, base_buf_slice(&state->patched));
}

void state_apply_user_delete(struct state *state, struct fr_slice id)
{
    uint32_t user = state_user_find(state, id);
    if (!user)
        return;
    struct user_row *row = base_rows_write(state->users, user);
    base_row_change(&row->version);
    state__document_free(state->text, row->document);
    FR_STORE(row->document, 0);
    FR_STORE(row->document_bytes, 0);
    base_row_done(&row->version);
    state__history_clear(state, user);
}

void state_item_prefetch(const struct state *state, uint32_t item)
{
    const char *row = (const char *)state__item(state, item);
    __builtin_prefetch(row);
    __builtin_prefetch(row + 64);
}

void state_item_prefetch_text(const struct state *state, uint32_t item)
{
    const struct item_row *row = state__item(state, item);
    uint32_t text = FR_LOAD(row->text), document = FR_LOAD(row->document);
    if (text)
        __builtin_prefetch(state__text_at(state->text, text));
    if (document)
        __builtin_prefetch(state__text_at(state->text, document));
}

bool state_item_get(const struct state *state, uint32_t item, struct state_item *out)
{
    if (item == 0 || item >= base_rows_count(state->items))
        return false;
    const struct item_row *row = state__item(state, item);
    out->item = item;
    out->flags = FR_LOAD(row->flags);
    out->published_s = FR_LOAD(row->published_s);
    out->expires_s = FR_LOAD(row->expires_s);
    out->first_s = FR_LOAD(row->first_s);
    out->last_s = FR_LOAD(row->last_s);
    out->event_count = FR_LOAD(row->event_count);
    out->author = FR_LOAD(row->author);
    base_rows_copy(out->categories, row->categories, sizeof(out->categories));
    return true;
}

bool state_item_servable(const struct state_item *item, uint32_t clock_s)
{
    if (item->flags & (STATE_ITEM_HIDDEN | STATE_ITEM_DELETED))
        return false;
    return item->published_s <= clock_s && (item->expires_s == 0 || item->expires_s > clock_s);
}

/* Where a row says what its document is. */
struct document_place {
    const uint32_t *version, *document, *bytes;
};

/* Copies a document under its row's version. */
static enum fr_status document_read(const struct state *state, struct document_place row,
                                    struct base_arena *arena, struct fr_slice *out)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t began = base_row_read_begin(row.version);
        uint32_t ref = FR_LOAD(*row.document), count = FR_LOAD(*row.bytes);
        if (!ref && base_row_read_ok(row.version, began))
            return FR_NOT_FOUND;
        size_t mark = base_arena_mark(arena);
        char *copy = count <= DOCUMENT_BYTES_MAX ? base_arena_alloc(arena, count) : NULL;
        if (!copy)
            return FR_FULL;
        bool whole = state__document_copy(state->text, ref, copy, count);
        if (whole && base_row_read_ok(row.version, began)) {
            *out = fr_slice_of(copy, count);
            return FR_OK;
        }
        base_arena_rewind(arena, mark);
    }
    return FR_AGAIN;
}

enum fr_status state_item_document(const struct state *state, uint32_t item,
                                   struct base_arena *arena, struct schema_item *out_document)
{
    if (item == 0 || item >= base_rows_count(state->items))
        return FR_NOT_FOUND;
    const struct item_row *row = state__item(state, item);
    struct fr_slice bytes;
    const struct document_place place = {&row->version, &row->document, &row->document_bytes};
    FR_TRY(document_read(state, place, arena, &bytes));
    return schema_item_decode(bytes, out_document);
}

enum fr_status state_user_document(const struct state *state, uint32_t user,
                                   struct base_arena *arena, struct schema_user *out_document)
{
    if (user == 0 || user >= base_rows_count(state->users))
        return FR_NOT_FOUND;
    const struct user_row *row = state__user(state, user);
    struct fr_slice bytes;
    const struct document_place place = {&row->version, &row->document, &row->document_bytes};
    FR_TRY(document_read(state, place, arena, &bytes));
    return schema_user_decode(bytes, out_document);
}

bool state_user_follows(const struct state *state, uint32_t user, struct base_arena *arena,
                        struct state_follows *out_follows)
{
    size_t mark = base_arena_mark(arena);
    out_follows->user_count = out_follows->author_count = 0;
    if (user == 0 || user >= base_rows_count(state->users) ||
        FR_LOAD(state__user(state, user)->document) == 0)
        return false;
    struct schema_user *document = base_arena_alloc(arena, sizeof(*document));
    if (document && state_user_document(state, user, arena, document) == FR_OK) {
        for (uint32_t f = 0; f < document->follow_count; f++) {
            uint32_t followed = state_user_find(state, document->follows[f]);
            uint32_t author = state__token_find(state, 'a', document->follows[f]);
            if (followed && followed != user)
                out_follows->users[out_follows->user_count++] = followed;
            if (author)
                out_follows->authors[out_follows->author_count++] = author;
        }
    }
    base_arena_rewind(arena, mark);
    return out_follows->user_count + out_follows->author_count > 0;
}

uint32_t state_items_newest(const struct state *state, uint32_t *out, uint32_t count_max)
{
    const struct total_row *total = state__total(state);
    uint32_t max = (uint32_t)FR_COUNT_OF(total->newest), at = FR_LOAD(total->newest_at);
    uint32_t count = FR_MIN(FR_MIN(at, max), count_max);
    uint32_t there = 0;
    for (uint32_t i = 0; i < count; i++) {
        out[there] = FR_LOAD(total->newest[(at - 1 - i) % max]);
        there += out[there] != 0; /* 0: it expired */
    }
    return there;
}
