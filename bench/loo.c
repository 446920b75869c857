/* SPDX-License-Identifier: Apache-2.0
 *
 * loo: leave-one-out with full ranking. Each user's last item is the test, the one before it the
 * validation; all else trains. Strict: the validation item is not learnt (but is in the history of
 * the test query, as everywhere); online: it is learnt before the test. Prints every expert alone
 * and the blend, whose weights are tuned on the validation item.
 *
 *   loo NAME [key=value ...]   NAME: ml100k, ml1m, beauty, toys; tie=KEY: ml1m's events of one
 * second in keyed order instead of the file's
 */
#include "base/fmath.h"
#include "base/hash.h"
#include "bench/lib/data.h"
#include "bench/lib/offline.h"
#include "model/encoder.h"
#include "model/ridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPERTS 5
enum { POP, COOC, RIDGE, ATTR, ENCODER };
static const char *const names[EXPERTS] = {"popular", "seq-cooc", "seq-ridge", "attributes",
                                           "encoder"};

struct loo {
    struct data_sequences data;
    struct data_attributes attributes;
    struct model_ridge_options ridge_options;
    struct model_ridge *ridge;
    struct model_encoder_options encoder_options;
    struct model_encoder *encoder;
    uint32_t epochs;
    uint32_t *all_items;
    /* seq-cooc rows from the counts of the ridge */
    float source_exp, target_exp, cooc_recency, ridge_recency, attr_recency;
    float *users_source, *users_target; /* popularity powers */
    uint32_t *seen, stamp;
    float *features[EXPERTS], *profile, *attr_weight, *blended;
    float weights[EXPERTS];
    uint32_t validation_max;
    float sharp; /* the encoder's softmax temperature, inverse */
    bool only_single;
};

static void history_of(const struct loo *loo, uint32_t user, size_t end, uint32_t *out,
                       uint32_t max, uint32_t *out_count)
{
    uint32_t n = 0;
    for (size_t i = end; i-- > loo->data.start[user] && n < max;)
        out[n++] = loo->data.items[i];
    *out_count = n;
}

static int key_compare(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
    return a < b ? -1 : a > b;
}

static void learn_range(struct loo *loo, uint32_t user, size_t from, size_t to)
{
    static uint32_t history[4096];
    for (size_t i = from; i < to; i++) {
        uint32_t n;
        history_of(loo, user, i, history, 4096, &n);
        model_ridge_count(loo->ridge, loo->data.items[i], history, n);
    }
}

/* One pass over all (history, next) of the training part in keyed order; `back`: events withheld at
 * each user's end. */
static void encoder_epoch(struct loo *loo, uint32_t epoch, size_t back)
{
    const struct data_sequences *data = &loo->data;
    size_t total = data->start[data->user_count], n = 0;
    struct place {
        uint64_t key;
        size_t at;
        uint32_t user;
    } *places = malloc(total * sizeof(*places));
    for (uint32_t user = 0; user < data->user_count; user++)
        for (size_t i = data->start[user] + 1; i + back < data->start[user + 1]; i++)
            places[n++] = (struct place){base_random_u64(7, epoch, i), i, user};
    qsort(places, n, sizeof(*places), key_compare);
    double loss = 0, began = offline_cpu();
    uint32_t history[MODEL_ENCODER_HISTORY_MAX], count;
    for (size_t i = 0; i < n; i++) {
        history_of(loo, places[i].user, places[i].at, history, MODEL_ENCODER_HISTORY_MAX, &count);
        loss += (double)model_encoder_learn(loo->encoder,
                                            &(struct model_encoder_user){.history = history,
                                                                         .count = count},
                                            data->items[places[i].at]);
    }
    free(places);
    printf("encoder epoch %u: loss %.4f, %.1f s CPU, %.1f us a step\n", epoch,
           loss / (double)FR_MAX(n, (size_t)1), offline_cpu() - began,
           (offline_cpu() - began) * 1e6 / (double)FR_MAX(n, (size_t)1));
    fflush(stdout);
}

static void prepare(struct loo *loo)
{
    double began = offline_cpu();
    model_ridge_queue_all(loo->ridge);
    uint32_t rows = model_ridge_solve(loo->ridge, UINT32_MAX);
    struct model_ridge_stats stats;
    model_ridge_stats_get(loo->ridge, &stats);
    printf("solved %u rows in %.2f s CPU, %llu pairs, %llu lifted, %.0f MB\n", rows,
           offline_cpu() - began, (unsigned long long)stats.pairs,
           (unsigned long long)stats.pivots_lifted, (double)stats.bytes / 1e6);
    for (uint32_t j = 1; j < loo->data.item_max; j++) {
        float users = (float)FR_MAX(model_ridge_users(loo->ridge, j), 1u);
        loo->users_source[j] = base_exp2f(-loo->source_exp * base_log2f(users));
        loo->users_target[j] = base_exp2f(-loo->target_exp * base_log2f(users));
    }
    const struct data_attributes *a = &loo->attributes;
    memset(loo->attr_weight, 0, (a->value_max + 1u) * sizeof(float));
    for (size_t i = 0; a->value_max && i < a->start[a->item_max]; i++)
        loo->attr_weight[a->values[i]] += 1;
    for (uint32_t v = 0; v < a->value_max; v++)
        loo->attr_weight[v] = loo->attr_weight[v] > 0 ? 1.0f / loo->attr_weight[v] : 0.0f;
}

struct cooc_query {
    const struct loo *loo;
    float *scores, weight;
};

static void cooc_visit(void *context, uint32_t other, uint32_t both, float in, float out)
{
    struct cooc_query *query = context;
    (void)both;
    (void)in;
    query->scores[other] += query->weight * out * query->loo->users_target[other];
}

static void score_attributes(struct loo *loo, const uint32_t *history, uint32_t count)
{
    const struct data_attributes *a = &loo->attributes;
    if (!a->value_max)
        return;
    memset(loo->profile, 0, a->value_max * sizeof(float));
    float recency = 1;
    for (uint32_t i = 0; i < FR_MIN(count, 50u); i++, recency *= loo->attr_recency)
        for (size_t k = a->start[history[i]]; k < a->start[history[i] + 1]; k++)
            loo->profile[a->values[k]] += recency;
    for (uint32_t j = 1; j < loo->data.item_max; j++)
        for (size_t k = a->start[j]; k < a->start[j + 1]; k++)
            loo->features[ATTR][j] += loo->profile[a->values[k]] * loo->attr_weight[a->values[k]];
}

static void score(struct loo *loo, uint32_t user, size_t end)
{
    static uint32_t history[4096];
    uint32_t n, items = loo->data.item_max;
    history_of(loo, user, end, history, 4096, &n);
    loo->stamp++;
    for (uint32_t i = 0; i < n; i++)
        loo->seen[history[i]] = loo->stamp;
    for (int e = 0; e < EXPERTS; e++)
        memset(loo->features[e], 0, items * sizeof(float));
    for (uint32_t j = 1; j < items; j++)
        loo->features[POP][j] = (float)model_ridge_users(loo->ridge, j);
    float recency = 1;
    for (uint32_t i = 0; i < FR_MIN(n, 64u) && recency > 1e-4f; i++) {
        struct cooc_query cooc = {loo, loo->features[COOC],
                                  recency * loo->users_source[history[i]]};
        model_ridge_each(loo->ridge, history[i], cooc_visit, &cooc);
        recency *= loo->cooc_recency;
    }
    float weight[64];
    recency = 1;
    for (uint32_t i = 0; i < 64; i++, recency *= loo->ridge_recency)
        weight[i] = recency;
    struct model_ridge_query query = {history, weight, FR_MIN(n, 64u)};
    model_ridge_query(loo->ridge, &query, loo->features[RIDGE], items);
    score_attributes(loo, history, n);
    float vector[MODEL_ENCODER_DIMENSION_MAX];
    if (loo->epochs &&
        model_encoder_vector(loo->encoder,
                             &(struct model_encoder_user){.history = history, .count = n},
                             vector)) {
        model_encoder_scores(loo->encoder, vector, loo->all_items, items, loo->features[ENCODER]);
        for (uint32_t j = 1; j < items; j++)
            loo->features[ENCODER][j] = base_expf(loo->features[ENCODER][j] * loo->sharp);
    }
    for (int e = 0; e < EXPERTS; e++)
        offline_blend_feature(loo->features[e], items, loo->seen, loo->stamp);
}

/* Whether the case of `user` whose target is `back` from the end exists. */
static bool target_at(const struct loo *loo, uint32_t user, size_t back, size_t *out_at)
{
    size_t from = loo->data.start[user], to = loo->data.start[user + 1];
    if (to - from < back + 1)
        return false;
    *out_at = to - back;
    return true;
}

static void validate(struct loo *loo)
{
    struct offline_metrics metrics[EXPERTS] = {0};
    struct offline_blend *blend = offline_blend_new(EXPERTS, loo->data.item_max);
    uint32_t every = FR_MAX(loo->data.user_count / FR_MAX(loo->validation_max, 1u), 1u);
    for (uint32_t user = 0; user < loo->data.user_count; user += every) {
        size_t at;
        if (!target_at(loo, user, 2, &at))
            continue;
        score(loo, user, at);
        uint32_t target = loo->data.items[at];
        for (int e = 0; e < EXPERTS; e++)
            offline_metrics_add(&metrics[e], offline_rank(loo->features[e], loo->data.item_max,
                                                          loo->seen, loo->stamp, target));
        if (!loo->only_single)
            offline_blend_case(blend, loo->features, loo->seen, loo->stamp, target);
    }
    for (int e = 0; e < EXPERTS; e++) {
        char label[64];
        snprintf(label, sizeof(label), "validation %s", names[e]);
        offline_metrics_print(label, &metrics[e]);
    }
    if (!loo->only_single) {
        double value = offline_blend_tune(blend, loo->weights);
        printf("weights");
        for (int e = 0; e < EXPERTS; e++)
            printf(" %s %.3f", names[e], (double)loo->weights[e]);
        printf(", validation N@20 + HR@20 / 2 %.4f\n", value);
    }
    offline_blend_free(blend);
}

static void test(struct loo *loo, const char *kind, struct offline_metrics *out_blend)
{
    struct offline_metrics metrics[EXPERTS + 1] = {0};
    for (uint32_t user = 0; user < loo->data.user_count; user++) {
        size_t at;
        if (!target_at(loo, user, 1, &at))
            continue;
        score(loo, user, at);
        uint32_t target = loo->data.items[at], items = loo->data.item_max;
        for (int e = 0; e < EXPERTS; e++)
            offline_metrics_add(&metrics[e], offline_rank(loo->features[e], items, loo->seen,
                                                          loo->stamp, target));
        offline_blend_apply(loo->weights, loo->features, EXPERTS, items, loo->blended);
        offline_metrics_add(&metrics[EXPERTS],
                            offline_rank(loo->blended, items, loo->seen, loo->stamp, target));
    }
    for (int e = 0; e <= EXPERTS; e++) {
        char label[64];
        snprintf(label, sizeof(label), "%s %s", kind, e < EXPERTS ? names[e] : "BLEND");
        offline_metrics_print(label, &metrics[e]);
    }
    *out_blend = metrics[EXPERTS];
}

/* Chosen on the validation item: long histories of films that are browsed against short ones of
 * things that are bought. Everything else is the same for all sets. */
static bool is_long(const char *name)
{
    return !strncmp(name, "ml", 2);
}

static float argument(int argc, char **argv, const char *key, float fallback)
{
    size_t length = strlen(key);
    for (int i = 2; i < argc; i++)
        if (!strncmp(argv[i], key, length) && argv[i][length] == '=')
            return strtof(argv[i] + length + 1, NULL);
    return fallback;
}

static void configure(struct loo *loo, int argc, char **argv)
{
    struct model_ridge_options *o = &loo->ridge_options;
    bool films = is_long(argv[1]);
    model_ridge_defaults(o);
    o->item_max = loo->data.item_max;
    if (films) {
        o->window = 50;
        o->distance = 0.4f;
        o->back = 1.0f;
        o->diagonal = 10.0f;
        o->popularity = 0.2f;
        o->recency = 0.8f;
        o->row_targets = 1023;
    }
    o->neighbours = (uint32_t)argument(argc, argv, "neighbours", (float)o->neighbours);
    o->row_targets = (uint32_t)argument(argc, argv, "row", (float)o->row_targets);
    o->window = (uint32_t)argument(argc, argv, "window", (float)o->window);
    o->history_max = (uint32_t)argument(argc, argv, "history", (float)o->history_max);
    o->distance = argument(argc, argv, "distance", o->distance);
    o->back = argument(argc, argv, "back", o->back);
    o->lambda = argument(argc, argv, "lambda", o->lambda);
    o->diagonal = argument(argc, argv, "diagonal", o->diagonal);
    o->popularity = argument(argc, argv, "popularity", o->popularity);
    o->growth = 1e9f;
    loo->ridge_recency = argument(argc, argv, "recency", o->recency);
    loo->source_exp = argument(argc, argv, "source", 0.5f);
    loo->target_exp = argument(argc, argv, "target", 0.3f);
    loo->cooc_recency = argument(argc, argv, "cooc_recency", films ? 0.8f : 0.7f);
    loo->attr_recency = argument(argc, argv, "attr_recency", 0.7f);
    struct model_encoder_options *e = &loo->encoder_options;
    model_encoder_defaults(e);
    e->item_max = loo->data.item_max;
    e->dimension = (uint32_t)argument(argc, argv, "dimension", (float)e->dimension);
    e->history = (uint32_t)argument(argc, argv, "encoder_history", (float)e->history);
    e->hidden = (uint32_t)argument(argc, argv, "hidden", (float)e->hidden);
    e->negatives = (uint32_t)argument(argc, argv, "negatives", (float)e->negatives);
    e->rate = argument(argc, argv, "rate", e->rate);
    e->recency = argument(argc, argv, "encoder_recency", e->recency);
    e->l2 = argument(argc, argv, "l2", e->l2);
    loo->epochs = (uint32_t)argument(argc, argv, "epochs", films ? 0 : 2);
    loo->sharp = argument(argc, argv, "sharp", 1);
    loo->validation_max = (uint32_t)argument(argc, argv, "validation", 5000);
    loo->only_single = argument(argc, argv, "single", 0) != 0;
}

int main(int argc, char **argv)
{
    static struct loo loo;
    if (argc < 2 ||
        data_sequences_load(argv[1], (uint64_t)argument(argc, argv, "tie", 0), &loo.data) != FR_OK)
        return 0;
    if (data_attributes_load(argv[1], loo.data.item_max, &loo.attributes) != FR_OK)
        return 0;
    configure(&loo, argc, argv);
    uint32_t items = loo.data.item_max;
    loo.users_source = calloc(items, sizeof(float));
    loo.users_target = calloc(items, sizeof(float));
    loo.seen = calloc(items, sizeof(uint32_t));
    loo.profile = calloc(loo.attributes.value_max + 1u, sizeof(float));
    loo.attr_weight = calloc(loo.attributes.value_max + 1u, sizeof(float));
    loo.blended = calloc(items, sizeof(float));
    for (int e = 0; e < EXPERTS; e++)
        loo.features[e] = calloc(items, sizeof(float));
    struct fr_error error;
    loo.all_items = calloc(items, sizeof(uint32_t));
    for (uint32_t j = 0; j < items; j++)
        loo.all_items[j] = j;
    if (model_ridge_new(&loo.ridge_options, &error, &loo.ridge) != FR_OK ||
        model_encoder_new(&loo.encoder_options, &error, &loo.encoder) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    double began = offline_cpu();
    for (uint32_t user = 0; user < loo.data.user_count; user++) {
        size_t at;
        if (target_at(&loo, user, 2, &at))
            learn_range(&loo, user, loo.data.start[user], at);
    }
    printf("%s: %u users, %u items; counted in %.2f s CPU\n", argv[1], loo.data.user_count, items,
           offline_cpu() - began);
    prepare(&loo);
    for (uint32_t epoch = 0; epoch < loo.epochs; epoch++) {
        encoder_epoch(&loo, epoch, 2);
        if (argument(argc, argv, "watch", 0) != 0)
            validate(&loo);
    }
    validate(&loo);
    if (argument(argc, argv, "notest", 0) != 0)
        return 0;
    struct offline_metrics strict, online;
    test(&loo, "strict", &strict);
    for (uint32_t user = 0; user < loo.data.user_count; user++) {
        size_t at;
        if (target_at(&loo, user, 2, &at))
            learn_range(&loo, user, at, at + 1);
    }
    for (uint32_t epoch = 0; epoch < FR_MIN(loo.epochs, 1u); epoch++)
        encoder_epoch(&loo, loo.epochs, 1);
    prepare(&loo);
    test(&loo, "online", &online);
    printf("{\"hr@10\": %.5f, \"ndcg@10\": %.5f, \"strict_hr@10\": %.5f, "
           "\"strict_ndcg@10\": %.5f, \"online_hr@10\": %.5f, \"online_ndcg@10\": %.5f}\n",
           strict.hr10 / strict.count, strict.ndcg10 / strict.count, strict.hr10 / strict.count,
           strict.ndcg10 / strict.count, online.hr10 / online.count, online.ndcg10 / online.count);
    model_encoder_free(loo.encoder);
    model_ridge_free(loo.ridge);
    return 0;
}
