/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/card: an item as an answer shows it.
 */
#include <string.h>

#include "serve/serve_priv.h"

void serve__card(const struct state *state, uint32_t item, struct base_arena *arena,
                 struct serve_card *out)
{
    size_t mark = base_arena_mark(arena);
    struct schema_item *document = base_arena_alloc(arena, sizeof *document);
    out->title = state_item_id(state, item);
    out->image = (struct fr_slice){0};
    out->category_count = 0;
    if (document && state_item_document(state, item, arena, document) == FR_OK) {
        /* texts lie in the state for good; only the struct itself is given back */
        if (document->title.bytes)
            out->title = document->title;
        out->image = document->image;
        out->category_count = FR_MIN(document->category_count, STATE_ITEM_CATEGORIES_MAX);
        memcpy(out->category, document->categories, out->category_count * sizeof out->category[0]);
    }
    base_arena_rewind(arena, mark);
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
