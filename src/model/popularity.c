/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "popularity": what is liked now, by everyone and in the query's contexts; how fast that is
 * changing; how new an item is. Feature = ln(1 + share / floor), share = decayed events of the item
 * over those of all, at half-lives of 4 min, 17 min, 2.3 h, 18 h and 48 days side by side, so that
 * the blend picks the horizon of the site (news: minutes; films: months).
 * Cost: ~10 ns a candidate and feature. No parameters of its own.
 */
#include <string.h>

#include "model/gather.h"
#include "model/vec.h"

enum {
    P_4MIN,
    P_17MIN,
    P_2H,
    P_18H,
    P_SLOW,
    P_VELOCITY,
    P_RISING,
    P_NEW_HOUR,
    P_NEW_DAY,
    P_QUIET,
    P_DEVICE,
    P_REGION,
    P_REGION_2H,
    P_COUNTRY,
    P_REFERRER,
    P_REFERRER_2H,
    P_CITY,
    P_LANGUAGE,
    P_COUNT
};

static const struct model_feature features[P_COUNT] = {
    [P_4MIN] = {"popular_4min", MODEL_REASON_TRENDING, 0.15f, -1, -1},
    [P_17MIN] = {"popular_17min", MODEL_REASON_TRENDING, 0.15f, -1, -1},
    [P_2H] = {"popular_2h", MODEL_REASON_POPULAR, 0.1f, -1, -1},
    [P_18H] = {"popular_18h", MODEL_REASON_POPULAR, 0.05f, -1, -1},
    [P_SLOW] = {"popular", MODEL_REASON_POPULAR, 0.05f, -1, -1},
    [P_VELOCITY] = {"velocity", MODEL_REASON_TRENDING, 0.05f, -1, -1},
    [P_RISING] = {"rising", MODEL_REASON_TRENDING, 0.05f, -1, -1},
    [P_NEW_HOUR] = {"new_hour", MODEL_REASON_NEW, 0.05f, -1, -1},
    [P_NEW_DAY] = {"new_day", MODEL_REASON_NEW, 0.02f, -1, -1},
    [P_QUIET] = {"alive", MODEL_REASON_POPULAR, 0.05f, -1, -1},
    [P_DEVICE] = {"popular_device", MODEL_REASON_CONTEXT, 0.05f, -1, STATE_DEVICE},
    [P_REGION] = {"popular_region", MODEL_REASON_CONTEXT, 0.1f, -1, STATE_REGION},
    [P_REGION_2H] = {"popular_region_2h", MODEL_REASON_CONTEXT, 0.05f, -1, STATE_REGION},
    [P_COUNTRY] = {"popular_country", MODEL_REASON_CONTEXT, 0.02f, -1, STATE_COUNTRY},
    [P_REFERRER] = {"popular_referrer", MODEL_REASON_CONTEXT, 0.1f, -1, STATE_REFERRER},
    [P_REFERRER_2H] = {"popular_referrer_2h", MODEL_REASON_CONTEXT, 0.05f, -1, STATE_REFERRER},
    [P_CITY] = {"popular_city", MODEL_REASON_CONTEXT, 0.05f, -1, STATE_CITY},
    [P_LANGUAGE] = {"popular_language", MODEL_REASON_CONTEXT, 0.05f, -1, STATE_LANGUAGE},
};

static const struct {
    uint8_t feature, sum;
} of_context[] = {
    {P_DEVICE, MODEL_SUM_DEVICE},       {P_REGION, MODEL_SUM_REGION},
    {P_REGION_2H, MODEL_SUM_REGION_2H}, {P_COUNTRY, MODEL_SUM_COUNTRY},
    {P_REFERRER, MODEL_SUM_REFERRER},   {P_REFERRER_2H, MODEL_SUM_REFERRER_2H},
    {P_CITY, MODEL_SUM_CITY},           {P_LANGUAGE, MODEL_SUM_LANGUAGE},
};

/* 1 / (1 + age / scale): in (0, 1], cheap, monotone. */
static float freshness(uint32_t age_s, float scale_s)
{
    return 1.0f / (1.0f + (float)(int32_t)FR_MIN(age_s, 0x7fffffffu) / scale_s);
}

static void score(void *self, const struct model_batch *batch, float *out)
{
    (void)self;
    uint32_t stride = batch->stride;
    for (uint32_t h = 0; h < STATE_HALF_COUNT; h++)
        vec_log1(batch->popularity + h * stride, 2000.0f / (batch->total[h] + 4.0f),
                 out + (P_4MIN + h) * stride, stride);
    float *velocity = out + P_VELOCITY * stride, *rising = out + P_RISING * stride;
    const float *p4 = batch->popularity + STATE_HALF_4MIN * stride;
    const float *p17 = batch->popularity + STATE_HALF_17MIN * stride;
    const float *p2h = batch->popularity + STATE_HALF_2H * stride;
    for (uint32_t i = 0; i < stride; i++) {
        velocity[i] = p4[i] / (p17[i] * 0.25f + 1.0f);
        rising[i] = p17[i] / (p2h[i] * 0.125f + 1.0f);
    }
    vec_log1(velocity, 1.0f, velocity, stride);
    vec_log1(rising, 1.0f, rising, stride);
    uint32_t now = batch->query->clock_s;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct state_item item;
        if (!state_item_get(batch->state, batch->item[i], &item))
            continue;
        uint32_t born = item.published_s ? item.published_s : item.first_s;
        uint32_t age = born ? now - FR_MIN(born, now) : 0;
        out[P_NEW_HOUR * stride + i] = freshness(age, 3600.0f);
        out[P_NEW_DAY * stride + i] = freshness(age, 86400.0f);
        if (item.last_s)
            out[P_QUIET * stride + i] = freshness(now - FR_MIN(item.last_s, now), 120.0f);
    }
    for (uint32_t c = 0; c < FR_COUNT_OF(of_context); c++)
        vec_log1(batch->sum + of_context[c].sum * stride, 500.0f,
                 out + of_context[c].feature * stride, stride);
}

const struct model_expert model_popularity = {
    .name = "popularity",
    .features = features,
    .feature_count = P_COUNT,
    .score = score,
};
