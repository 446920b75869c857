/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions: the published Diginetica split (SR-GNN's preparation): every prefix of every test
 * session predicts its next click, all items ranked, repeats allowed, learning only on the training
 * sessions. The blend's weights are tuned on the last tenth of the training sessions, after
 * learning the nine before; then all training sessions are learnt.
 *
 *   sessions [key=value ...]
 */
#include "base/fmath.h"
#include "bench/lib/data.h"
#include "bench/lib/offline.h"
#include "model/encoder.h"
#include "model/ridge.h"
#include "model/sknn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPERTS 7
enum { STAN, VSTAN, MARKOV, COOC, REPEAT, RIDGE, ENCODER };
static const char *const names[EXPERTS] = {"stan",   "vstan",     "next-after-last", "seq-cooc",
                                           "repeat", "seq-ridge", "encoder"};

struct next_counts { /* distinct pairs (last, next), sorted, as CSR */
    size_t *start;
    uint32_t *to;
    float *count;
};

struct bench {
    struct data_sequences train, test;
    uint32_t items;
    struct model_sknn_options sknn_options;
    struct model_sknn *sknn;
    struct base_arena arena;
    struct model_ridge_options ridge_options;
    struct model_ridge *ridge;
    struct model_encoder_options encoder_options;
    struct model_encoder *encoder;
    uint32_t *all_items;
    struct next_counts next;
    uint32_t *seen;
    float *features[EXPERTS], *blended, weights[EXPERTS];
    float cooc_recency, ridge_recency, target_exp;
    uint32_t tune_max, test_every, sessions_learnt;
    uint32_t *users;
};

/* The session's items before `end`, newest first, each once. */
static uint32_t recent_of(const struct data_sequences *data, size_t from, size_t end, uint32_t *out,
                          uint32_t max)
{
    uint32_t n = 0;
    for (size_t i = end; i-- > from && n < max;) {
        bool known = false;
        for (uint32_t k = 0; k < n; k++)
            known = known || out[k] == data->items[i];
        if (!known)
            out[n++] = data->items[i];
    }
    return n;
}

static int pair_compare(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
    return a < b ? -1 : a > b;
}

static void next_build(struct bench *bench, uint32_t sessions)
{
    const struct data_sequences *data = &bench->train;
    size_t room = data->start[sessions], n = 0;
    uint64_t *pairs = malloc((room + 1) * sizeof(*pairs));
    for (uint32_t s = 0; s < sessions; s++)
        for (size_t i = data->start[s] + 1; i < data->start[s + 1]; i++)
            pairs[n++] = (uint64_t)data->items[i - 1] << 32 | data->items[i];
    qsort(pairs, n, sizeof(*pairs), pair_compare);
    struct next_counts *next = &bench->next;
    next->start = realloc(next->start, (bench->items + 2u) * sizeof(*next->start));
    next->to = realloc(next->to, (n + 1) * sizeof(*next->to));
    next->count = realloc(next->count, (n + 1) * sizeof(*next->count));
    size_t k = 0;
    uint32_t item = 0;
    next->start[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (i && pairs[i] == pairs[i - 1]) {
            next->count[k - 1] += 1;
            continue;
        }
        while (item < (uint32_t)(pairs[i] >> 32))
            next->start[++item] = k;
        next->to[k] = (uint32_t)pairs[i];
        next->count[k++] = 1;
    }
    while (item <= bench->items)
        next->start[++item] = k;
    free(pairs);
}

static void learn(struct bench *bench, uint32_t from, uint32_t to)
{
    const struct data_sequences *data = &bench->train;
    uint32_t recent[64];
    double began = offline_cpu();
    for (uint32_t s = from; s < to; s++)
        for (size_t i = data->start[s]; i < data->start[s + 1]; i++)
            model_sknn_click(bench->sknn, s + 1, 1, data->items[i], s);
    double learnt = offline_cpu();
    for (uint32_t s = from; s < to; s++)
        for (size_t i = data->start[s]; i < data->start[s + 1]; i++) {
            uint32_t n = recent_of(data, data->start[s], i, recent, 64), kept = 0;
            for (uint32_t k = 0; k < n; k++)
                if (recent[k] != data->items[i])
                    recent[kept++] = recent[k];
            model_ridge_count(bench->ridge, data->items[i], recent, kept);
            bench->users[data->items[i]]++;
        }
    double counted = offline_cpu();
    for (uint32_t s = from; s < to; s++)
        for (size_t i = data->start[s] + 1; i < data->start[s + 1]; i++) {
            uint32_t known = recent_of(data, data->start[s], i, recent, 64);
            model_encoder_learn(bench->encoder,
                                &(struct model_encoder_user){.history = recent, .count = known},
                                data->items[i]);
        }
    double encoded = offline_cpu();
    model_ridge_queue_all(bench->ridge);
    model_ridge_solve(bench->ridge, UINT32_MAX);
    printf("learnt %u sessions: neighbours %.2f, counts %.2f, encoder %.2f, rows %.2f s CPU\n",
           to - from, learnt - began, counted - learnt, encoded - counted, offline_cpu() - encoded);
    fflush(stdout);
    next_build(bench, to);
    bench->sessions_learnt = to;
}

struct cooc_query {
    const struct bench *bench;
    float *scores, weight;
};

static void cooc_visit(void *context, uint32_t other, uint32_t both, float in, float out)
{
    struct cooc_query *query = context;
    (void)both;
    (void)in;
    query->scores[other] += query->weight * out;
}

static float power(float base, uint32_t exponent)
{
    float p = 1;
    while (exponent--)
        p *= base;
    return p;
}

static void score(struct bench *bench, const uint32_t *recent, uint32_t n)
{
    for (int e = 0; e < EXPERTS; e++)
        memset(bench->features[e], 0, bench->items * sizeof(float));
    struct model_sknn_query query = {.items = recent,
                                     .count = n,
                                     .clock_s = bench->sessions_learnt};
    struct model_sknn_votes votes;
    base_arena_clear(&bench->arena);
    if (model_sknn_query(bench->sknn, &query, &bench->arena, &votes))
        for (uint32_t i = 0; i <= votes.mask; i++)
            for (int k = 0; k < MODEL_SKNN_KINDS; k++)
                bench->features[STAN + k][votes.slot[i].item] = votes.slot[i].score[k];
    bench->features[STAN][0] = bench->features[VSTAN][0] = 0;
    for (size_t k = bench->next.start[recent[0]]; k < bench->next.start[recent[0] + 1]; k++)
        bench->features[MARKOV][bench->next.to[k]] = bench->next.count[k];
    float weight[64];
    for (uint32_t i = 0; i < n; i++) {
        float users = (float)FR_MAX(bench->users[recent[i]], 1u);
        struct cooc_query cooc = {bench, bench->features[COOC],
                                  power(bench->cooc_recency, i) / users};
        model_ridge_each(bench->ridge, recent[i], cooc_visit, &cooc);
        bench->features[REPEAT][recent[i]] = i < 2 ? 1.0f - 0.35f * (float)i : power(0.5f, i + 1);
        weight[i] = power(bench->ridge_recency, i);
    }
    struct model_ridge_query rows = {recent, weight, n};
    model_ridge_query(bench->ridge, &rows, bench->features[RIDGE], bench->items);
    float vector[MODEL_ENCODER_DIMENSION_MAX];
    if (model_encoder_vector(bench->encoder,
                             &(struct model_encoder_user){.history = recent, .count = n}, vector)) {
        model_encoder_scores(bench->encoder, vector, bench->all_items, bench->items,
                             bench->features[ENCODER]);
        for (uint32_t j = 1; j < bench->items; j++)
            bench->features[ENCODER][j] = base_expf(bench->features[ENCODER][j]);
    }
    for (int e = 0; e < EXPERTS; e++)
        offline_blend_feature(bench->features[e], bench->items, bench->seen, 1);
}

/* Every prefix of the sessions from .. to - 1, or each `every`-th of them. */
static void run(struct bench *bench, const struct data_sequences *data, uint32_t from,
                uint32_t every, struct offline_blend *blend)
{
    struct offline_metrics metrics[EXPERTS + 1] = {0};
    uint32_t recent[64];
    double began = offline_cpu();
    for (uint32_t s = from; s < data->user_count; s += every)
        for (size_t i = data->start[s] + 1; i < data->start[s + 1]; i++) {
            uint32_t n = recent_of(data, data->start[s], i, recent, 64);
            uint32_t target = data->items[i];
            score(bench, recent, n);
            for (int e = 0; e < EXPERTS; e++)
                offline_metrics_add(&metrics[e], offline_rank(bench->features[e], bench->items,
                                                              bench->seen, 1, target));
            if (blend) {
                offline_blend_case(blend, bench->features, bench->seen, 1, target);
                continue;
            }
            offline_blend_apply(bench->weights, bench->features, EXPERTS, bench->items,
                                bench->blended);
            offline_metrics_add(&metrics[EXPERTS],
                                offline_rank(bench->blended, bench->items, bench->seen, 1, target));
        }
    for (int e = 0; e < EXPERTS + !blend; e++)
        offline_metrics_print(e < EXPERTS ? names[e] : "BLEND", &metrics[e]);
    printf("%.1f s CPU\n", offline_cpu() - began);
    if (!blend)
        printf("{\"p@20\": %.5f, \"mrr@20\": %.5f, \"cases\": %.0f, \"stan_p@20\": %.5f}\n",
               metrics[EXPERTS].hr20 / metrics[EXPERTS].count,
               metrics[EXPERTS].mrr20 / metrics[EXPERTS].count, metrics[EXPERTS].count,
               metrics[STAN].hr20 / metrics[STAN].count);
}

static float argument(int argc, char **argv, const char *key, float fallback)
{
    size_t length = strlen(key);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], key, length) && argv[i][length] == '=')
            return strtof(argv[i] + length + 1, NULL);
    return fallback;
}

static void configure(struct bench *bench, int argc, char **argv)
{
    struct model_sknn_options *k = &bench->sknn_options;
    model_sknn_defaults(k);
    k->item_max = bench->items;
    k->user_max = bench->train.user_count + 2;
    k->postings = (uint32_t)argument(argc, argv, "postings", (float)k->postings);
    k->neighbours = (uint32_t)argument(argc, argv, "k", (float)k->neighbours);
    for (int d = 0; d < MODEL_SKNN_KINDS; d++) {
        struct model_sknn_decay *decay = &k->decay[d];
        decay->step = argument(argc, argv, d ? "vstan_step" : "stan_step", decay->step);
        decay->distance =
            argument(argc, argv, d ? "vstan_distance" : "stan_distance", decay->distance);
        decay->back = argument(argc, argv, d ? "vstan_back" : "stan_back", decay->back);
        decay->idf = argument(argc, argv, d ? "vstan_idf" : "stan_idf", decay->idf);
    }
    k->age_half_s = argument(argc, argv, "age", 1) * (float)bench->train.user_count;
    struct model_ridge_options *o = &bench->ridge_options;
    model_ridge_defaults(o);
    o->item_max = bench->items;
    o->growth = 1e9f;
    o->neighbours = (uint32_t)argument(argc, argv, "neighbours", 32);
    o->lambda = argument(argc, argv, "lambda", 30);
    o->diagonal = argument(argc, argv, "diagonal", 10);
    o->popularity = argument(argc, argv, "popularity", 0);
    bench->ridge_recency = argument(argc, argv, "recency", 0.6f);
    bench->cooc_recency = argument(argc, argv, "cooc_recency", 0.6f);
    struct model_encoder_options *e = &bench->encoder_options;
    model_encoder_defaults(e);
    e->item_max = bench->items;
    e->history = 10;
    e->recency = 0.8f;
    e->negatives = (uint32_t)argument(argc, argv, "negatives", 128);
    e->rate = argument(argc, argv, "rate", 0.1f);
    bench->tune_max = (uint32_t)argument(argc, argv, "tune", 2500);
    bench->test_every = (uint32_t)argument(argc, argv, "every", 1);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (data_sequences_load("diginetica-train", 0, &bench.train) != FR_OK ||
        data_sequences_load("diginetica-test", 0, &bench.test) != FR_OK)
        return 0;
    bench.items = FR_MAX(bench.train.item_max, bench.test.item_max);
    configure(&bench, argc, argv);
    struct fr_error error;
    if (model_sknn_new(&bench.sknn_options, &error, &bench.sknn) != FR_OK ||
        base_arena_init(&bench.arena, 8 << 20) != FR_OK ||
        model_encoder_new(&bench.encoder_options, &error, &bench.encoder) != FR_OK ||
        model_ridge_new(&bench.ridge_options, &error, &bench.ridge) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    bench.all_items = calloc(bench.items, sizeof(uint32_t));
    for (uint32_t j = 0; j < bench.items; j++)
        bench.all_items[j] = j;
    bench.seen = calloc(bench.items, sizeof(uint32_t));
    bench.users = calloc(bench.items, sizeof(uint32_t));
    bench.blended = calloc(bench.items, sizeof(float));
    for (int e = 0; e < EXPERTS; e++)
        bench.features[e] = calloc(bench.items, sizeof(float));
    uint32_t held = bench.train.user_count / 10, first = bench.train.user_count - held;
    learn(&bench, 0, first);
    struct offline_blend *blend = offline_blend_new(EXPERTS, bench.items);
    printf("tuning part: training sessions %u and after\n", first);
    run(&bench, &bench.train, first, FR_MAX(held / FR_MAX(bench.tune_max, 1u), 1u), blend);
    double value = offline_blend_tune(blend, bench.weights);
    printf("weights");
    for (int e = 0; e < EXPERTS; e++)
        printf(" %s %.3f", names[e], (double)bench.weights[e]);
    printf(", N@20 + HR@20 / 2 %.4f\n", value);
    offline_blend_free(blend);
    if (argument(argc, argv, "notest", 0) != 0)
        return 0;
    learn(&bench, first, bench.train.user_count);
    printf("test\n");
    run(&bench, &bench.test, 0, bench.test_every, NULL);
    model_encoder_free(bench.encoder);
    model_ridge_free(bench.ridge);
    base_arena_release(&bench.arena);
    model_sknn_free(bench.sknn);
    return 0;
}
