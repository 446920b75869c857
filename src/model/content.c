/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "content": how much of what the user liked lately is in the candidate, by categories,
 * author, tags and stemmed words. The history's tokens form a profile, weight = recency * idf; the
 * feature is ln(1 + 8 * cosine-like share): sum of profile weights of the candidate's tokens over
 * the root of its token count. An item that nobody has touched gets its score like any other.
 * Cost: up to 48 table look-ups a candidate; nothing when no item has a catalogue entry.
 */
#include <string.h>

#include "base/fmath.h"
#include "model/model.h"
#include "model/vec.h"

enum { C_CATEGORY, C_WORDS, C_COUNT };
enum { PROFILE_VISITS = 10, PROFILE_SIZE = 1024 };

static const struct model_feature features[C_COUNT] = {
    [C_CATEGORY] = {"content_category", MODEL_REASON_CONTENT, 0.1f, -1, -1},
    [C_WORDS] = {"content_words", MODEL_REASON_CONTENT, 0.1f, -1, -1},
};

struct profile {
    uint32_t token[PROFILE_SIZE];
    float weight[PROFILE_SIZE];
    float norm[2];
    uint32_t count;
};

static uint32_t place(const struct profile *profile, uint32_t token)
{
    uint32_t at = (token * 0x9e3779b1u) >> 22;
    while (profile->token[at % PROFILE_SIZE] && profile->token[at % PROFILE_SIZE] != token)
        at++;
    return at % PROFILE_SIZE;
}

float model_token_idf(const struct state *state, uint32_t token)
{
    float items = (float)(int32_t)state_item_count(state);
    float with = (float)(int32_t)state_token_frequency(state, token);
    return base_logf(1.0f + items / (with + 1.0f));
}

static bool is_category(const struct state_item *item, uint32_t token)
{
    for (uint32_t c = 0; c < STATE_ITEM_CATEGORIES_MAX && item->categories[c]; c++)
        if (item->categories[c] == token)
            return true;
    return false;
}

static void profile_build(const struct model_batch *batch, struct profile *profile)
{
    const struct model_query *query = batch->query;
    float recency = 1.0f;
    for (uint32_t v = 0; v < query->history_count && v < PROFILE_VISITS; v++, recency *= 0.8f) {
        uint32_t tokens[STATE_ITEM_TOKENS_MAX];
        struct state_item item;
        uint32_t count = state_item_tokens(batch->state, query->history[v].item, tokens);
        if (count == 0 || !state_item_get(batch->state, query->history[v].item, &item))
            continue;
        for (uint32_t t = 0; t < count && profile->count < PROFILE_SIZE / 2; t++) {
            uint32_t at = place(profile, tokens[t]);
            profile->count += profile->token[at] == 0;
            profile->token[at] = tokens[t];
            float more = recency * model_token_idf(batch->state, tokens[t]);
            profile->weight[at] += more;
            profile->norm[!is_category(&item, tokens[t])] += more;
        }
    }
}

static void score(void *self, const struct model_batch *batch, float *out)
{
    (void)self;
    struct profile *profile = base_arena_zalloc(batch->arena, sizeof(*profile));
    if (!profile)
        return;
    profile_build(batch, profile);
    if (profile->count == 0)
        return;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t tokens[STATE_ITEM_TOKENS_MAX];
        struct state_item item;
        uint32_t count = state_item_tokens(batch->state, batch->item[i], tokens);
        if (count == 0 || !state_item_get(batch->state, batch->item[i], &item))
            continue;
        float sum[2] = {0, 0};
        uint32_t of[2] = {0, 0};
        for (uint32_t t = 0; t < count; t++) {
            uint32_t kind = !is_category(&item, tokens[t]), at = place(profile, tokens[t]);
            of[kind]++;
            sum[kind] += profile->token[at] ? profile->weight[at] : 0.0f;
        }
        for (uint32_t kind = 0; kind < 2; kind++)
            out[kind * batch->stride + i] = of[kind] ? sum[kind] / (profile->norm[kind] + 0.1f) /
                                                           __builtin_sqrtf((float)(int32_t)of[kind])
                                                     : 0.0f;
    }
    vec_log1(out, 20.0f, out, 2 * batch->stride);
}

const struct model_expert model_content = {
    .name = "content",
    .features = features,
    .feature_count = C_COUNT,
    .score = score,
};
