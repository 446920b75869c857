/* SPDX-License-Identifier: Apache-2.0
 *
 * Interning: id text to index, for items, users, context values and content tokens. The row of an
 * index holds where its text lies; the maps are derived. Context values and tokens carry their
 * field or kind in the hash and in the comparison.
 * Thread: intern by the writer, find by any.
 */
#include <string.h>

#include "state/state_priv.h"

#define KIND(state, what, row, of_field)                                                           \
    {                                                                                              \
        (state)->what##s, (state)->what##_map, offsetof(struct row, text),                         \
            offsetof(struct row, id_bytes), of_field, offsetof(struct row, flags),                 \
            offsetof(struct row, next), offsetof(struct row, lives)                                \
    }

static inline struct state__kind items_of(const struct state *state)
{
    return (struct state__kind)KIND(state, item, item_row, 0);
}
static inline struct state__kind users_of(const struct state *state)
{
    return (struct state__kind)KIND(state, user, user_row, 0);
}
static inline struct state__kind values_of(const struct state *state)
{
    return (struct state__kind)KIND(state, value, value_row, offsetof(struct value_row, field));
}
static inline struct state__kind tokens_of(const struct state *state)
{
    return (struct state__kind)KIND(state, token, token_row, offsetof(struct token_row, kind));
}

struct state__kind state__kind_of(const struct state *state, enum state_kind kind)
{
    switch (kind) {
    case STATE_KIND_USER:
        return users_of(state);
    case STATE_KIND_ITEM:
        return items_of(state);
    case STATE_KIND_VALUE:
        return values_of(state);
    case STATE_KIND_TOKEN:
    case STATE_KIND_COUNT:
        break;
    }
    return tokens_of(state);
}

uint64_t state__kind_hash(const struct state__kind *kind, struct fr_slice text, uint32_t of)
{
    return state__map_hash(kind->map, text) + (uint64_t)of * 0x9e3779b97f4a7c15u;
}

static inline uint16_t half_at(const uint8_t *row, uint16_t at)
{
    return FR_LOAD(*(const uint16_t *)(const void *)(row + at));
}

static inline uint32_t word_at(const uint8_t *row, uint16_t at)
{
    return FR_LOAD(*(const uint32_t *)(const void *)(row + at));
}

static uint32_t find_once(const struct state *state, const struct state__kind *kind, uint64_t hash,
                          struct fr_slice text, uint32_t of)
{
    uint32_t cursor = 0, index, count = base_rows_count(kind->rows);
    while ((index = state__map_next(kind->map, hash, &cursor)) != 0) {
        if (index >= count && index >= (count = base_rows_count(kind->rows)))
            continue;
        const uint8_t *row = base_rows_at(kind->rows, index);
        if (half_at(row, kind->bytes_at) == text.bytes &&
            (!kind->of_at || half_at(row, kind->of_at) == of) &&
            state__text_is(state->text, word_at(row, kind->text_at), text))
            return index;
    }
    return 0;
}

static uint32_t find(const struct state *state, const struct state__kind *kind, uint64_t hash,
                     struct fr_slice text, uint32_t of)
{
    const uint32_t *version = state__map_version(kind->map, hash);
    for (;;) {
        uint32_t began = base_row_read_begin(version);
        uint32_t index = find_once(state, kind, hash, text, of);
        if (index || base_row_read_ok(version, began))
            return index;
    }
}

static uint32_t find_text(const struct state *state, const struct state__kind *kind,
                          struct fr_slice text, uint32_t of)
{
    return find(state, kind, state__kind_hash(kind, text, of), text, of);
}

uint32_t state_item_find(const struct state *state, struct fr_slice id)
{
    const struct state__kind items = items_of(state);
    return find_text(state, &items, id, 0);
}

uint32_t state_user_find(const struct state *state, struct fr_slice id)
{
    const struct state__kind users = users_of(state);
    return find_text(state, &users, id, 0);
}

static uint32_t value_find(const struct state *state, uint32_t field, struct fr_slice text)
{
    const struct state__kind values = values_of(state);
    return find_text(state, &values, text, field);
}

uint32_t state__token_find(const struct state *state, uint32_t kind, struct fr_slice text)
{
    const struct state__kind tokens = tokens_of(state);
    return find_text(state, &tokens, text, kind);
}

enum { TEXT_BYTES_MAX = 1024 };

/* Names a row that is not anybody's yet. False: no room for the text, or in the map. */
static bool name_row(struct state *state, const struct state__kind *kind, uint32_t index,
                     struct fr_slice text, uint32_t of)
{
    uint32_t ref = state__text_add(state->text, text);
    if (!ref)
        return false;
    uint8_t *row = base_rows_write(kind->rows, index);
    FR_STORE(*(uint16_t *)(void *)(row + kind->bytes_at), (uint16_t)text.bytes);
    if (kind->of_at)
        FR_STORE(*(uint16_t *)(void *)(row + kind->of_at), (uint16_t)of);
    FR_STORE(*(uint32_t *)(void *)(row + kind->text_at), ref);
    return state__map_add(kind->map, state__kind_hash(kind, text, of), index);
}

static uint32_t intern(struct state *state, enum state_kind which, struct fr_slice id, uint32_t of)
{
    const struct state__kind kind = state__kind_of(state, which);
    uint32_t index = id.bytes <= TEXT_BYTES_MAX ? state__row_take(state, which) : 0;
    if (index && !name_row(state, &kind, index, id, of)) {
        state__row_give_back(state, which, index);
        state__expire_want(state, which);
        index = 0;
    }
    return index;
}

uint32_t state__item_intern(struct state *state, struct fr_slice id)
{
    uint32_t item = state_item_find(state, id);
    if (item || id.bytes > SCHEMA_ID_BYTES_MAX)
        return item;
    return intern(state, STATE_KIND_ITEM, id, 0);
}

uint32_t state__user_intern(struct state *state, struct fr_slice id)
{
    uint32_t user = state_user_find(state, id);
    if (user || id.bytes > SCHEMA_ID_BYTES_MAX)
        return user;
    return intern(state, STATE_KIND_USER, id, 0);
}

bool state__item_admit(struct state *state, struct fr_slice id)
{
    const struct state__kind items = items_of(state);
    return state__newcomer_admit(state, state->items, state__kind_hash(&items, id, 0));
}

bool state__user_admit(struct state *state, struct fr_slice id)
{
    const struct state__kind users = users_of(state);
    return state__newcomer_admit(state, state->users, state__kind_hash(&users, id, 0));
}

uint32_t state__value_intern(struct state *state, uint32_t field, struct fr_slice text)
{
    const struct state__kind values = values_of(state);
    uint64_t hash = text.bytes ? state__kind_hash(&values, text, field) : 0;
    uint32_t value = text.bytes ? find(state, &values, hash, text, field) : 0;
    if (value || !text.bytes || !state__newcomer_admit(state, state->values, hash))
        return value;
    return intern(state, STATE_KIND_VALUE, text, field);
}

uint32_t state__token_intern(struct state *state, uint32_t kind, struct fr_slice text)
{
    const struct state__kind tokens = tokens_of(state);
    uint32_t token = text.bytes ? find_text(state, &tokens, text, kind) : 0;
    return token || text.bytes == 0 ? token : intern(state, STATE_KIND_TOKEN, text, kind);
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

enum { RESERVED_FROM = 16384 }; /* ids: fewer are not worth it */

static enum fr_status rebuild_one(struct state *state, const struct state__kind *kind,
                                  struct fr_error *error)
{
    state__map_clear(kind->map);
    uint32_t count = base_rows_count(kind->rows);
    if (count > RESERVED_FROM)
        state__map_reserve(kind->map, count);
    for (uint32_t i = 1; i < count; i++) {
        const uint8_t *row = base_rows_at(kind->rows, i);
        uint32_t ref = word_at(row, kind->text_at);
        if (ref == 0 || half_at(row, kind->flags_at) & STATE__EXPIRED)
            continue; /* skipped at a block's end, or nobody's */
        if (ref >= base_rows_count(state->text))
            return base_fail(error, FR_CORRUPT, "state", "%s row %u names text beyond the heap",
                             base_rows_name(kind->rows), i);
        struct fr_slice text =
            fr_slice_of(state__text_at(state->text, ref), half_at(row, kind->bytes_at));
        uint32_t of = kind->of_at ? half_at(row, kind->of_at) : 0;
        if (!state__map_add(kind->map, state__kind_hash(kind, text, of), i))
            return base_fail(error, FR_MEMORY, "state", "no memory for the id maps");
    }
    return FR_OK;
}

enum fr_status state__ids_rebuild(struct state *state, struct fr_error *error)
{
    const struct state__kind kinds[] = {items_of(state), users_of(state), values_of(state),
                                        tokens_of(state)};
    for (uint32_t k = 0; k < FR_COUNT_OF(kinds); k++)
        FR_TRY(rebuild_one(state, &kinds[k], error));
    return FR_OK;
}
