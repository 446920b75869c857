/* SPDX-License-Identifier: Apache-2.0
 *
 * Interning: id text to index, for items, users, context values and content tokens. The row of an
 * index holds where its text lies; the maps are derived. Context values and tokens carry their
 * field or kind in the hash and in the comparison.
 * Thread: intern by the writer, find by any.
 */
#include <string.h>

#include "state/state_priv.h"

static bool text_is(const struct state *state, uint32_t ref, uint32_t bytes, struct fr_slice text)
{
    return ref && bytes == text.bytes &&
           memcmp(state__text_at(state->text, ref), text.ptr, bytes) == 0;
}

/* Where the parts of a row that name it lie; the four kinds of rows differ only here. */
struct named {
    const struct base_rows *rows;
    const struct map *map;
    uint32_t text_at, bytes_at, kind_at; /* word of the text, half-words of length and kind */
};

static uint32_t named_find(const struct state *state, const struct named *named, uint64_t hash,
                           struct fr_slice text, uint32_t kind)
{
    uint32_t cursor = 0, index, count = base_rows_count(named->rows);
    while ((index = state__map_next(named->map, hash, &cursor)) != 0) {
        if (index >= count && index >= (count = base_rows_count(named->rows)))
            continue;
        const uint8_t *row = base_rows_at(named->rows, index);
        uint32_t ref = FR_LOAD(*(const uint32_t *)(const void *)(row + named->text_at));
        uint16_t bytes = FR_LOAD(*(const uint16_t *)(const void *)(row + named->bytes_at));
        uint16_t of = FR_LOAD(*(const uint16_t *)(const void *)(row + named->kind_at));
        if ((named->kind_at == named->bytes_at || of == kind) && text_is(state, ref, bytes, text))
            return index;
    }
    return 0;
}

#define NAMED(state, what, row, kind_field)                                                        \
    {                                                                                              \
        (state)->what##s, (state)->what##_map, offsetof(struct row, text),                         \
            offsetof(struct row, id_bytes), offsetof(struct row, kind_field)                       \
    }

static uint64_t hash_of(const struct map *map, struct fr_slice text, uint32_t kind)
{
    return state__map_hash(map, text) + (uint64_t)kind * 0x9e3779b97f4a7c15u;
}

uint32_t state_item_find(const struct state *state, struct fr_slice id)
{
    const struct named named = NAMED(state, item, item_row, id_bytes);
    return named_find(state, &named, hash_of(state->item_map, id, 0), id, 0);
}

uint32_t state_user_find(const struct state *state, struct fr_slice id)
{
    const struct named named = NAMED(state, user, user_row, id_bytes);
    return named_find(state, &named, hash_of(state->user_map, id, 0), id, 0);
}

static uint32_t value_find(const struct state *state, uint32_t field, struct fr_slice text)
{
    const struct named named = NAMED(state, value, value_row, field);
    return named_find(state, &named, hash_of(state->value_map, text, field), text, field);
}

uint32_t state__token_find(const struct state *state, uint32_t kind, struct fr_slice text)
{
    const struct named named = NAMED(state, token, token_row, kind);
    return named_find(state, &named, hash_of(state->token_map, text, kind), text, kind);
}

uint32_t state__item_intern(struct state *state, struct fr_slice id)
{
    uint32_t item = state_item_find(state, id);
    if (item)
        return item;
    uint32_t ref = id.bytes <= SCHEMA_ID_BYTES_MAX ? state__text_add(state->text, id) : 0;
    item = ref ? base_rows_add(state->items) : 0;
    if (!item)
        return 0;
    struct item_row *row = base_rows_write(state->items, item);
    FR_STORE(row->id_bytes, (uint16_t)id.bytes);
    FR_STORE(row->text, ref);
    return state__map_add(state->item_map, hash_of(state->item_map, id, 0), item) ? item : 0;
}

uint32_t state__user_intern(struct state *state, struct fr_slice id)
{
    uint32_t user = state_user_find(state, id);
    if (user)
        return user;
    uint32_t ref = id.bytes <= SCHEMA_ID_BYTES_MAX ? state__text_add(state->text, id) : 0;
    user = ref ? base_rows_add(state->users) : 0;
    if (!user)
        return 0;
    struct user_row *row = base_rows_write(state->users, user);
    FR_STORE(row->id_bytes, (uint16_t)id.bytes);
    FR_STORE(row->text, ref);
    return state__map_add(state->user_map, hash_of(state->user_map, id, 0), user) ? user : 0;
}

bool state__item_admit(struct state *state, struct fr_slice id)
{
    return state__newcomer_admit(state, state->items, hash_of(state->item_map, id, 0));
}

bool state__user_admit(struct state *state, struct fr_slice id)
{
    return state__newcomer_admit(state, state->users, hash_of(state->user_map, id, 0));
}

uint32_t state__value_intern(struct state *state, uint32_t field, struct fr_slice text)
{
    if (text.bytes == 0)
        return 0;
    uint32_t value = value_find(state, field, text);
    if (value)
        return value;
    if (!state__newcomer_admit(state, state->values, hash_of(state->value_map, text, field)))
        return 0;
    uint32_t ref = text.bytes <= 1024 ? state__text_add(state->text, text) : 0;
    value = ref ? base_rows_add(state->values) : 0;
    if (!value)
        return 0;
    struct value_row *row = base_rows_write(state->values, value);
    FR_STORE(row->id_bytes, (uint16_t)text.bytes);
    FR_STORE(row->field, (uint16_t)field);
    FR_STORE(row->text, ref);
    return state__map_add(state->value_map, hash_of(state->value_map, text, field), value) ? value
                                                                                           : 0;
}

uint32_t state__token_intern(struct state *state, uint32_t kind, struct fr_slice text)
{
    uint32_t token = text.bytes ? state__token_find(state, kind, text) : 0;
    if (token || text.bytes == 0 || text.bytes > 1024)
        return token;
    uint32_t ref = state__text_add(state->text, text);
    token = ref ? base_rows_add(state->tokens) : 0;
    if (!token)
        return 0;
    struct token_row *row = base_rows_write(state->tokens, token);
    FR_STORE(row->id_bytes, (uint16_t)text.bytes);
    FR_STORE(row->kind, (uint16_t)kind);
    FR_STORE(row->text, ref);
    return state__map_add(state->token_map, hash_of(state->token_map, text, kind), token) ? token
                                                                                          : 0;
}

/* A free pair is interned as "key=value". */
static struct fr_slice extra_text(struct schema_pair pair, char *to, size_t bytes_max)
{
    size_t bytes = pair.key.bytes + 1 + pair.value.bytes;
    if (pair.value.bytes == 0 || bytes > bytes_max)
        return fr_slice_of(NULL, 0);
    memcpy(to, pair.key.ptr, pair.key.bytes);
    to[pair.key.bytes] = '=';
    memcpy(to + pair.key.bytes + 1, pair.value.ptr, pair.value.bytes);
    return fr_slice_of(to, bytes);
}

enum { EXTRA_BYTES_MAX = 512 };

static void context_texts(const struct schema_context *context,
                          struct fr_slice out[STATE_CONTEXT_COUNT],
                          char extra[STATE_CONTEXT_COUNT - STATE_EXTRA_FIRST][EXTRA_BYTES_MAX])
{
    out[STATE_DEVICE] = context->device;
    out[STATE_OS] = context->os;
    out[STATE_COUNTRY] = context->country;
    out[STATE_REGION] = context->region;
    out[STATE_CITY] = context->city;
    out[STATE_REFERRER] = context->referrer;
    out[STATE_LANGUAGE] = context->language;
    for (uint32_t i = 0; i < STATE_CONTEXT_COUNT - STATE_EXTRA_FIRST; i++)
        out[STATE_EXTRA_FIRST + i] = i < context->extra_count
                                         ? extra_text(context->extra[i], extra[i], EXTRA_BYTES_MAX)
                                         : fr_slice_of(NULL, 0);
}

static uint32_t field_kind(uint32_t field)
{
    return FR_MIN(field, (uint32_t)STATE_EXTRA_FIRST);
}

void state_context_resolve(const struct state *state, const struct schema_context *context,
                           uint32_t out_context[STATE_CONTEXT_COUNT])
{
    char extra[STATE_CONTEXT_COUNT - STATE_EXTRA_FIRST][EXTRA_BYTES_MAX];
    struct fr_slice texts[STATE_CONTEXT_COUNT];
    context_texts(context, texts, extra);
    for (uint32_t f = 0; f < STATE_CONTEXT_COUNT; f++)
        out_context[f] = texts[f].bytes ? value_find(state, field_kind(f), texts[f]) : 0;
}

void state__context_intern(struct state *state, const struct schema_context *context,
                           uint32_t out_context[STATE_CONTEXT_COUNT])
{
    char extra[STATE_CONTEXT_COUNT - STATE_EXTRA_FIRST][EXTRA_BYTES_MAX];
    struct fr_slice texts[STATE_CONTEXT_COUNT];
    context_texts(context, texts, extra);
    for (uint32_t f = 0; f < STATE_CONTEXT_COUNT; f++) {
        out_context[f] = state__value_intern(state, field_kind(f), texts[f]);
        if (texts[f].bytes && !out_context[f]) {
            struct total_row *total = base_rows_write(state->total, 1);
            FR_STORE(total->refused_contexts, total->refused_contexts + 1);
        }
    }
}

uint32_t state_context_find(const struct state *state, enum state_context_field field,
                            struct fr_slice value)
{
    return value.bytes ? value_find(state, field_kind(field), value) : 0;
}

uint32_t state_extra_find(const struct state *state, struct fr_slice key, struct fr_slice value)
{
    char to[EXTRA_BYTES_MAX];
    struct fr_slice text = extra_text((struct schema_pair){key, value}, to, sizeof(to));
    return text.bytes ? value_find(state, STATE_EXTRA_FIRST, text) : 0;
}

uint32_t state_category_find(const struct state *state, struct fr_slice name)
{
    return name.bytes ? state__token_find(state, 'c', name) : 0;
}

struct fr_slice state_item_id(const struct state *state, uint32_t item)
{
    if (item == 0 || item >= base_rows_count(state->items))
        return fr_slice_of(NULL, 0);
    const struct item_row *row = state__item(state, item);
    uint32_t ref = FR_LOAD(row->text);
    return ref ? fr_slice_of(state__text_at(state->text, ref), FR_LOAD(row->id_bytes))
               : fr_slice_of(NULL, 0);
}

struct fr_slice state_user_id(const struct state *state, uint32_t user)
{
    if (user == 0 || user >= base_rows_count(state->users))
        return fr_slice_of(NULL, 0);
    const struct user_row *row = state__user(state, user);
    uint32_t ref = FR_LOAD(row->text);
    return ref ? fr_slice_of(state__text_at(state->text, ref), FR_LOAD(row->id_bytes))
               : fr_slice_of(NULL, 0);
}

struct fr_slice state_context_text(const struct state *state, uint32_t value)
{
    if (value == 0 || value >= base_rows_count(state->values))
        return fr_slice_of(NULL, 0);
    const struct value_row *row = base_rows_at(state->values, value);
    uint32_t ref = FR_LOAD(row->text);
    return ref ? fr_slice_of(state__text_at(state->text, ref), FR_LOAD(row->id_bytes))
               : fr_slice_of(NULL, 0);
}

struct fr_slice state_token_text(const struct state *state, uint32_t token)
{
    if (token == 0 || token >= base_rows_count(state->tokens))
        return fr_slice_of(NULL, 0);
    const struct token_row *row = base_rows_at(state->tokens, token);
    uint32_t ref = FR_LOAD(row->text);
    return ref ? fr_slice_of(state__text_at(state->text, ref), FR_LOAD(row->id_bytes))
               : fr_slice_of(NULL, 0);
}

static enum fr_status rebuild_one(struct state *state, const struct named *named, struct map *map,
                                  struct fr_error *error)
{
    state__map_clear(map);
    uint32_t count = base_rows_count(named->rows);
    for (uint32_t i = 1; i < count; i++) {
        const uint8_t *row = base_rows_at(named->rows, i);
        uint32_t ref = *(const uint32_t *)(const void *)(row + named->text_at);
        uint16_t bytes = *(const uint16_t *)(const void *)(row + named->bytes_at);
        uint16_t kind = *(const uint16_t *)(const void *)(row + named->kind_at);
        if (ref == 0)
            continue; /* skipped at a block's end */
        if (ref >= base_rows_count(state->text))
            return base_fail(error, FR_CORRUPT, "state", "%s row %u names text beyond the heap",
                             base_rows_name(named->rows), i);
        struct fr_slice text = fr_slice_of(state__text_at(state->text, ref), bytes);
        uint32_t of = named->kind_at == named->bytes_at ? 0 : kind;
        if (!state__map_add(map, hash_of(map, text, of), i))
            return base_fail(error, FR_MEMORY, "state", "no memory for the id maps");
    }
    return FR_OK;
}

enum fr_status state__ids_rebuild(struct state *state, struct fr_error *error)
{
    const struct named items = NAMED(state, item, item_row, id_bytes);
    const struct named users = NAMED(state, user, user_row, id_bytes);
    const struct named values = NAMED(state, value, value_row, field);
    const struct named tokens = NAMED(state, token, token_row, kind);
    FR_TRY(rebuild_one(state, &items, state->item_map, error));
    FR_TRY(rebuild_one(state, &users, state->user_map, error));
    FR_TRY(rebuild_one(state, &values, state->value_map, error));
    return rebuild_one(state, &tokens, state->token_map, error);
}
