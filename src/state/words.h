/* SPDX-License-Identifier: Apache-2.0
 *
 * state/words: an item's stemmed words with how often each is met, for TF-IDF. The door of content tokens
 * of all kinds is state.h.
 */
#ifndef STATE_WORDS_H
#define STATE_WORDS_H

#include "state/state.h"

struct state_word {
    uint32_t token; /* as of state_item_tokens() */
    uint32_t times; /* among the words that are kept; 1 .. 15 */
};
/* R. The item's words, those of the title first. Gives how many. */
uint32_t state_item_words(const struct state *state, uint32_t item,
                          struct state_word out[STATE_ITEM_TOKENS_MAX]);

#endif
