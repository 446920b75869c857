/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/card: an item as an answer shows it.
 */
#include <string.h>

#include "serve/serve_priv.h"

enum { CARD_TEXT_BYTES = 8192 }; /* title, image and categories of one item; cut beyond */

/* Copies text behind what the block holds already. */
static struct fr_slice keep(char *block, size_t *used, struct fr_slice text)
{
    size_t bytes = FR_MIN(text.bytes, CARD_TEXT_BYTES - *used);
    char *to = block + *used;
    if (bytes)
        memcpy(to, text.ptr, bytes);
    *used += bytes;
    return fr_slice_of(to, bytes);
}

/* The document is decoded behind a block of the card's own; what the card needs moves into the
 * block, the rest is given back. */
void serve__card(const struct state *state, uint32_t item, struct base_arena *arena,
                 struct serve_card *out)
{
    size_t mark = base_arena_mark(arena), used = 0;
    char *block = base_arena_alloc(arena, CARD_TEXT_BYTES);
    struct schema_item *document = base_arena_alloc(arena, sizeof *document);
    *out = (struct serve_card){.title = state_item_id(state, item)};
    if (document && state_item_document(state, item, arena, document) == FR_OK) {
        if (document->title.bytes)
            out->title = keep(block, &used, document->title);
        out->image = keep(block, &used, document->image);
        out->category_count = FR_MIN(document->category_count, STATE_ITEM_CATEGORIES_MAX);
        for (uint32_t c = 0; c < out->category_count; c++)
            out->category[c] = keep(block, &used, document->categories[c]);
    }
    base_arena_rewind(arena, block ? (size_t)((uint8_t *)block - arena->block) + used : mark);
}

void serve__card_print(const struct serve_card *card, struct base_buf *out)
{
    serve__pair_text(out, "title", card->title);
    serve__key(out, "image");
    if (card->image.bytes)
        base_buf_json_string(out, card->image);
    else
        base_buf_put_str(out, "null");
    serve__key(out, "categories");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < card->category_count; i++) {
        if (i)
            base_buf_put(out, ",", 1);
        base_buf_json_string(out, card->category[i]);
    }
    base_buf_put_str(out, "]");
}
