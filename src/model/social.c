/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "social": what the people whom the user follows have chosen (share of their newest visits,
 * each person's damped by the root of its number: gather.c), and whether an author whom the user
 * follows made it. All that is known of someone who has done nothing yet.
 * Cost: nothing for a user without a document; else ~0.2 us a friend and their visits in gather.c,
 * here a look at each candidate's author.
 */
#include "model/gather.h"
#include "model/vec.h"

enum { S_FRIENDS, S_AUTHOR, S_COUNT };

static const struct model_feature features[S_COUNT] = {
    [S_FRIENDS] = {"friends", MODEL_REASON_FRIENDS, 0.3f, -1, -1},
    [S_AUTHOR] = {"followed_author", MODEL_REASON_FRIENDS, 0.5f, -1, -1},
};

static bool is_followed(const struct state_follows *follows, uint32_t author)
{
    bool found = false;
    for (uint32_t a = 0; a < follows->author_count; a++)
        found |= follows->authors[a] == author;
    return found;
}

static void score(void *self, const struct model_batch *batch, float *out)
{
    (void)self;
    const struct model_gather *gather = batch->gather;
    const struct state_follows *follows = gather->follows;
    if (!follows)
        return;
    vec_log1(batch->sum + MODEL_SUM_FRIENDS * batch->stride,
             2000.0f / (gather->norm[MODEL_SUM_FRIENDS] + 4.0f), out + S_FRIENDS * batch->stride,
             batch->stride);
    for (uint32_t i = 0; follows->author_count > 0 && i < batch->count; i++) {
        struct state_item item;
        if (state_item_get(batch->state, batch->item[i], &item) && item.author)
            out[S_AUTHOR * batch->stride + i] = is_followed(follows, item.author) ? 1.0f : 0.0f;
    }
}

const struct model_expert model_social = {
    .name = "social",
    .features = features,
    .feature_count = S_COUNT,
    .score = score,
};
