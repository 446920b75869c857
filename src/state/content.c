/* SPDX-License-Identifier: Apache-2.0
 *
 * Content tokens: what an item is about, as interned tokens of four kinds (category, author, tag,
 * stemmed word of title and text), most telling kinds first, at most 48 an item. A token keeps how
 * many items carry it and a ring of the newest of them, through which a brand-new item is found
 * before anybody has touched it.
 *
 * Words: runs of ASCII letters and digits (lower-cased) and of bytes >= 0x80, 3 to 40 bytes,
 * stemmed by libstemmer (Snowball) in the item's language, English where none is given or known.
 * Thread: writer; reading from any.
 */
#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>

#include "state/state_priv.h"
#include "state/words.h"

enum { STEMMERS_MAX = 24, WORD_BYTES_MAX = 40, TITLE_WORDS_MAX = 16 };

/* A place in an item's run: the token, and above it how often the word was met; 0: no word. */
enum { TOKEN_BITS = 28, TIMES_MAX = 15 };
#define TOKEN_MASK ((1u << TOKEN_BITS) - 1u)

struct stemmers {
    uint32_t count;
    char language[STEMMERS_MAX][16];
    struct sb_stemmer *stemmer[STEMMERS_MAX]; /* NULL: a language that the library does not know */
};

struct stemmers *state__stemmers_new(void)
{
    return calloc(1, sizeof(struct stemmers));
}

void state__stemmers_free(struct stemmers *stemmers)
{
    for (uint32_t i = 0; stemmers && i < stemmers->count; i++)
        sb_stemmer_delete(stemmers->stemmer[i]);
    free(stemmers);
}

/* "pt-BR" is asked for as "pt". Made when first met, kept. */
static struct sb_stemmer *stemmer_for(struct stemmers *stemmers, struct fr_slice language)
{
    char name[16] = "en";
    size_t bytes = 0;
    while (bytes < language.bytes && bytes < sizeof(name) - 1 && language.ptr[bytes] != '-' &&
           language.ptr[bytes] != '_')
        bytes++;
    if (bytes >= 2) {
        memcpy(name, language.ptr, bytes);
        name[bytes] = '\0';
    }
    for (uint32_t i = 0; i < stemmers->count; i++)
        if (strcmp(stemmers->language[i], name) == 0)
            return stemmers->stemmer[i];
    if (stemmers->count == STEMMERS_MAX)
        return NULL;
    uint32_t at = stemmers->count++;
    memcpy(stemmers->language[at], name, sizeof(name));
    stemmers->stemmer[at] = sb_stemmer_new(name, "UTF_8");
    return stemmers->stemmer[at];
}

struct token_list {
    uint32_t token[STATE_ITEM_TOKENS_MAX], times[STATE_ITEM_TOKENS_MAX]; /* times: of words */
    uint32_t count, max;
};

static void list_add(struct state *state, struct token_list *list, uint32_t kind,
                     struct fr_slice text)
{
    if (list->count >= list->max || text.bytes == 0)
        return;
    uint32_t token = state__token_intern(state, kind, text);
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->token[i] != token)
            continue;
        if (kind == 'w' && list->times[i] < TIMES_MAX)
            list->times[i]++;
        return;
    }
    if (token == 0 || token > TOKEN_MASK)
        return;
    list->times[list->count] = kind == 'w';
    list->token[list->count++] = token;
}

static bool is_word_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static const char *const stop_words[] = {
    "the",  "and", "for",  "with",  "that", "this", "from",  "his",   "her",   "are",
    "was",  "has", "who",  "not",   "but",  "you",  "your",  "their", "they",  "have",
    "into", "its", "when", "after", "will", "one",  "all",   "more",  "about", "what",
    "how",  "out", "can",  "new",   "been", "were", "which",
};

static bool is_stop_word(const char *word, size_t bytes)
{
    for (size_t i = 0; i < FR_COUNT_OF(stop_words); i++)
        if (strlen(stop_words[i]) == bytes && memcmp(stop_words[i], word, bytes) == 0)
            return true;
    return false;
}

static void add_words(struct state *state, struct token_list *list, struct fr_slice text,
                      struct sb_stemmer *stemmer)
{
    char word[WORD_BYTES_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i <= text.bytes && list->count < list->max; i++) {
        unsigned char c = i < text.bytes ? (unsigned char)text.ptr[i] : ' ';
        if (is_word_byte(c)) {
            if (bytes < sizeof(word))
                word[bytes] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
            bytes++;
            continue;
        }
        if (bytes >= 3 && bytes <= sizeof(word) && !is_stop_word(word, bytes)) {
            struct fr_slice stem = fr_slice_of(word, bytes);
            const sb_symbol *out =
                stemmer ? sb_stemmer_stem(stemmer, (const sb_symbol *)word, (int)bytes) : NULL;
            if (out)
                stem = fr_slice_of((const char *)out, (size_t)sb_stemmer_length(stemmer));
            list_add(state, list, 'w', stem);
        }
        bytes = 0;
    }
}

static void token_count(struct state *state, uint32_t token, uint32_t item, bool more)
{
    struct token_row *row = base_rows_write(state->tokens, token);
    FR_STORE(row->item_count, row->item_count + (more ? 1u : UINT32_MAX));
    if (!more)
        return;
    FR_STORE(row->ring[row->ring_at % TOKEN_RING], item);
    FR_STORE(row->ring_at, row->ring_at + 1);
}

static bool holds(const uint32_t *tokens, uint32_t count, uint32_t token)
{
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] == token)
            return true;
    return false;
}

/* Tokens in the row itself; they are among those of its run, which keeps them from expiring. */
static void facets_put(struct item_row *row, const uint32_t *categories, uint32_t count,
                       uint32_t author)
{
    base_row_change(&row->version);
    for (uint32_t i = 0; i < STATE_ITEM_CATEGORIES_MAX; i++)
        FR_STORE(row->categories[i], i < count ? categories[i] : 0);
    FR_STORE(row->author, author);
    base_row_done(&row->version);
}

/* The item's run of tokens is made once at its largest and rewritten in place. */
static void tokens_put(struct state *state, uint32_t item, const struct token_list *list)
{
    struct item_row *row = base_rows_write(state->items, item);
    uint32_t old[STATE_ITEM_TOKENS_MAX], old_count = row->token_count;
    uint32_t put[STATE_ITEM_TOKENS_MAX] = {0};
    const uint32_t units = sizeof(put) / TEXT_UNIT;
    if (!row->tokens &&
        list->count) /* from the heap's lists: an item that expired gave its run back */
        FR_STORE(row->tokens, state__text_add(state->text, fr_slice_of((char *)put, sizeof(put))));
    if (!row->tokens) {
        state__expire_want(state, STATE_KIND_USER); /* whose text makes room */
        facets_put(row, NULL, 0, 0);
        return;
    }
    memcpy(old, base_rows_at(state->text, row->tokens), sizeof(old));
    for (uint32_t i = 0; i < old_count; i++)
        old[i] &= TOKEN_MASK;
    for (uint32_t i = 0; i < list->count; i++)
        put[i] = list->token[i] | list->times[i] << TOKEN_BITS;
    for (uint32_t i = 0; i < old_count; i++)
        if (!holds(list->token, list->count, old[i]))
            token_count(state, old[i], item, false);
    for (uint32_t i = 0; i < list->count; i++)
        if (!holds(old, old_count, list->token[i]))
            token_count(state, list->token[i], item, true);
    base_rows_put(base_rows_write_run(state->text, row->tokens, units), put, sizeof(put));
    FR_STORE(row->token_count, list->count);
}

void state__content_set(struct state *state, uint32_t item, const struct schema_item *document)
{
    struct token_list list = {.max = STATE_ITEM_TOKENS_MAX};
    struct sb_stemmer *stemmer = stemmer_for(state->stemmers, document->language);
    for (uint32_t i = 0; i < document->category_count && i < STATE_ITEM_CATEGORIES_MAX; i++)
        list_add(state, &list, 'c', document->categories[i]);
    uint32_t author =
        document->author.bytes ? state__token_intern(state, 'a', document->author) : 0;
    facets_put(base_rows_write(state->items, item), list.token, list.count, author);
    list_add(state, &list, 'a', document->author);
    for (uint32_t i = 0; i < document->tag_count && i < 16; i++)
        list_add(state, &list, 't', document->tags[i]);
    list.max = FR_MIN(list.count + TITLE_WORDS_MAX, (uint32_t)STATE_ITEM_TOKENS_MAX);
    add_words(state, &list, document->title, stemmer);
    list.max = STATE_ITEM_TOKENS_MAX;
    add_words(state, &list, document->text, stemmer);
    tokens_put(state, item, &list);
}

void state__content_clear(struct state *state, uint32_t item)
{
    const struct token_list none = {.max = 0};
    facets_put(base_rows_write(state->items, item), NULL, 0, 0);
    tokens_put(state, item, &none);
}

static uint32_t run_read(const struct state *state, uint32_t item,
                         uint32_t out[STATE_ITEM_TOKENS_MAX])
{
    if (item == 0 || item >= base_rows_count(state->items))
        return 0;
    const struct item_row *row = state__item(state, item);
    uint32_t ref = FR_LOAD(row->tokens);
    uint32_t count = FR_MIN(FR_LOAD(row->token_count), (uint32_t)STATE_ITEM_TOKENS_MAX);
    if (!ref)
        return 0;
    base_rows_copy(out, base_rows_at(state->text, ref), count * sizeof(uint32_t));
    return count;
}

uint32_t state_item_tokens(const struct state *state, uint32_t item,
                           uint32_t out[STATE_ITEM_TOKENS_MAX])
{
    uint32_t count = run_read(state, item, out);
    for (uint32_t i = 0; i < count; i++)
        out[i] &= TOKEN_MASK;
    return count;
}

uint32_t state_item_words(const struct state *state, uint32_t item,
                          struct state_word out[STATE_ITEM_TOKENS_MAX])
{
    uint32_t run[STATE_ITEM_TOKENS_MAX], words = 0;
    uint32_t count = run_read(state, item, run);
    for (uint32_t i = 0; i < count; i++)
        if (run[i] >> TOKEN_BITS)
            out[words++] = (struct state_word){run[i] & TOKEN_MASK, run[i] >> TOKEN_BITS};
    return words;
}

uint32_t state_token_frequency(const struct state *state, uint32_t token)
{
    if (token == 0 || token >= base_rows_count(state->tokens))
        return 0;
    const struct token_row *row = base_rows_at(state->tokens, token);
    return FR_LOAD(row->item_count);
}

uint32_t state_token_items(const struct state *state, uint32_t token, uint32_t *out,
                           uint32_t count_max)
{
    if (token == 0 || token >= base_rows_count(state->tokens))
        return 0;
    const struct token_row *row = base_rows_at(state->tokens, token);
    uint32_t at = FR_LOAD(row->ring_at),
             count = FR_MIN(FR_MIN(at, (uint32_t)TOKEN_RING), count_max);
    uint32_t there = 0;
    for (uint32_t i = 0; i < count; i++) {
        out[there] = FR_LOAD(row->ring[(at - 1 - i) % TOKEN_RING]);
        there += out[there] != 0; /* 0: it expired */
    }
    return there;
}
