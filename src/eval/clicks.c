/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/clicks: see the door. Everything is kept until the end, so that what kinds of facets there
 * are, which of them are numbers, and what the catalogue says are known before the first example.
 */
#include "eval/clicks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fmath.h"
#include "base/hash.h"
#include "eval/eval_priv.h"

enum { CLASSES = 10, DISTINCT_MIN = 12, NAME_BYTES = 80, SCORES = 6, NONE = UINT32_MAX };

struct facet {
    uint32_t kind;
    float number;
    uint64_t value;
};

struct entry { /* an item or a user of the catalogue, or an example's context */
    uint64_t key;
    size_t first;
    uint32_t count;
};

struct example {
    uint64_t user, item;
    struct entry context;
    uint32_t now_s;
    bool label;
};

struct kind {
    char name[NAME_BYTES];
    enum model_ctr_side side;
    bool numbers;         /* all values so far */
    uint32_t number_kind; /* of the standardised number; NONE */
    float border[CLASSES - 1], mean, scale;
};

struct entries {
    struct entry *at;
    size_t count, max;
};

struct eval_clicks {
    struct eval_clicks_options options;
    struct kind kinds[MODEL_CTR_KINDS_MAX];
    uint32_t kind_count;
    struct facet *facets;
    size_t facet_count, facet_max;
    struct entries items, users;
    struct example *examples;
    size_t example_count, example_max, learn_count;
    uint64_t unlabelled, positives;
    uint32_t hour, weekday; /* kinds */
    /* running */
    size_t at, scored_from;
    struct model_ctr_facet row_facets[MODEL_CTR_FACETS_MAX];
    float *parts[EVAL_CLICKS_PARTS];
    uint8_t *labels;
    struct eval__trees *trees; /* NULL: not asked for */
    struct model_features *features;
    struct model_example features_of; /* the example that is predicted; where there are trees */
    float inputs[MODEL_CTR_DENSE_MAX + SCORES];
    enum fr_status trees_status;
    struct fr_error trees_error;
};

static const char *const part_names[EVAL_CLICKS_PARTS] = {"base",        "base+effects", "ftrl",
                                                          "effects+ffm", "blend",        "gbt"};

enum fr_status eval_clicks_new(const struct eval_clicks_options *options,
                               struct eval_clicks **out_clicks)
{
    struct eval_clicks *clicks = calloc(1, sizeof(*clicks));
    if (!clicks)
        return FR_MEMORY;
    clicks->options = *options;
    clicks->hour = clicks->weekday = NONE;
    *out_clicks = clicks;
    return FR_OK;
}

void eval_clicks_free(struct eval_clicks *clicks)
{
    if (!clicks)
        return;
    for (int p = 0; p < EVAL_CLICKS_PARTS; p++)
        free(clicks->parts[p]);
    eval__trees_free(clicks->trees);
    free(clicks->labels);
    free(clicks->facets);
    free(clicks->items.at);
    free(clicks->users.at);
    free(clicks->examples);
    free(clicks);
}

/* ---- facets --------------------------------------------------------------------------------- */

/* Room for one more of `bytes` each; moves *base. */
static bool room(void **base, size_t count, size_t *max, size_t bytes)
{
    if (count < *max)
        return true;
    size_t more = *max ? *max * 2 : 1024;
    void *moved = realloc(*base, more * bytes);
    if (!moved)
        return false;
    *base = moved;
    *max = more;
    return true;
}

static enum fr_status kind_of(struct eval_clicks *clicks, enum model_ctr_side side,
                              struct fr_slice name, uint32_t *out_kind)
{
    char text[NAME_BYTES];
    snprintf(text, sizeof(text), "%.*s", (int)FR_MIN(name.bytes, (size_t)64), name.ptr);
    for (uint32_t k = 0; k < clicks->kind_count; k++) {
        if (clicks->kinds[k].side == side && strcmp(clicks->kinds[k].name, text) == 0) {
            *out_kind = k;
            return FR_OK;
        }
    }
    if (clicks->kind_count == MODEL_CTR_KINDS_MAX)
        return FR_FULL;
    struct kind *kind = &clicks->kinds[clicks->kind_count];
    *kind = (struct kind){.side = side, .numbers = true, .number_kind = NONE};
    memcpy(kind->name, text, sizeof(text));
    *out_kind = clicks->kind_count++;
    return FR_OK;
}

static bool read_number(struct fr_slice text, float *out_number)
{
    char copy[32], *end;
    if (text.bytes == 0 || text.bytes >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.bytes);
    copy[text.bytes] = '\0';
    double number = strtod(copy, &end);
    *out_number = (float)number;
    return *end == '\0' && isfinite(number);
}

static enum fr_status add(struct eval_clicks *clicks, enum model_ctr_side side, const char *name,
                          struct fr_slice value)
{
    struct facet facet = {.value = base_hash64_slice(value, 1)};
    if (value.bytes == 0)
        return FR_OK;
    FR_TRY(kind_of(clicks, side, fr_slice_str(name), &facet.kind));
    struct kind *kind = &clicks->kinds[facet.kind];
    kind->numbers = read_number(value, &facet.number) && kind->numbers;
    if (!room((void **)&clicks->facets, clicks->facet_count, &clicks->facet_max, sizeof(facet)))
        return FR_MEMORY;
    clicks->facets[clicks->facet_count++] = facet;
    return FR_OK;
}

static enum fr_status add_pairs(struct eval_clicks *clicks, enum model_ctr_side side,
                                const struct schema_pair *pairs, uint32_t count)
{
    char name[NAME_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%.*s", (int)FR_MIN(pairs[i].key.bytes, (size_t)64),
                 pairs[i].key.ptr);
        FR_TRY(add(clicks, side, name, pairs[i].value));
    }
    return FR_OK;
}

static enum fr_status add_entry(struct eval_clicks *clicks, struct entries *entries, uint64_t key,
                                size_t first)
{
    if (!room((void **)&entries->at, entries->count, &entries->max, sizeof(*entries->at)))
        return FR_MEMORY;
    entries->at[entries->count++] =
        (struct entry){key, first, (uint32_t)(clicks->facet_count - first)};
    return FR_OK;
}

enum fr_status eval_clicks_item(struct eval_clicks *clicks, const struct schema_item *item)
{
    size_t first = clicks->facet_count;
    for (uint32_t i = 0; i < item->category_count; i++)
        FR_TRY(add(clicks, MODEL_CTR_ITEM, "category", item->categories[i]));
    for (uint32_t i = 0; i < item->tag_count; i++)
        FR_TRY(add(clicks, MODEL_CTR_ITEM, "tag", item->tags[i]));
    FR_TRY(add(clicks, MODEL_CTR_ITEM, "author", item->author));
    FR_TRY(add(clicks, MODEL_CTR_ITEM, "language", item->language));
    FR_TRY(add_pairs(clicks, MODEL_CTR_ITEM, item->attributes, item->attribute_count));
    if (item->published_us != 0) {
        char year[32];
        snprintf(year, sizeof(year), "%.0f",
                 floor(1970.0 + (double)item->published_us / (365.2425 * 86400e6)));
        FR_TRY(add(clicks, MODEL_CTR_ITEM, "year", fr_slice_str(year)));
    }
    return add_entry(clicks, &clicks->items, base_hash64_slice(item->id, 1), first);
}

enum fr_status eval_clicks_user(struct eval_clicks *clicks, const struct schema_user *user)
{
    size_t first = clicks->facet_count;
    FR_TRY(add_pairs(clicks, MODEL_CTR_USER, user->attributes, user->attribute_count));
    return add_entry(clicks, &clicks->users, base_hash64_slice(user->id, 1), first);
}

static enum fr_status add_context(struct eval_clicks *clicks, const struct schema_context *context)
{
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "device", context->device));
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "os", context->os));
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "country", context->country));
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "region", context->region));
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "city", context->city));
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "referrer", context->referrer));
    FR_TRY(add(clicks, MODEL_CTR_CONTEXT, "language", context->language));
    return add_pairs(clicks, MODEL_CTR_CONTEXT, context->extra, context->extra_count);
}

enum fr_status eval_clicks_event(struct eval_clicks *clicks, const struct schema_event *event,
                                 bool test)
{
    if (!event->has_value) {
        clicks->unlabelled++;
        return FR_OK;
    }
    struct example example = {
        .user = base_hash64_slice(event->user, 1),
        .item = base_hash64_slice(event->item, 1),
        .context.first = clicks->facet_count,
        .now_s = clicks->options.clock ? (uint32_t)(event->time_us / 1000000) : 1,
        .label = event->value >= clicks->options.positive,
    };
    FR_TRY(add_context(clicks, &event->context));
    example.context.count = (uint32_t)(clicks->facet_count - example.context.first);
    if (!room((void **)&clicks->examples, clicks->example_count, &clicks->example_max,
              sizeof(example)))
        return FR_MEMORY;
    clicks->examples[clicks->example_count++] = example;
    clicks->learn_count += !test;
    clicks->positives += example.label;
    return FR_OK;
}

/* ---- what the catalogue says ------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* The newest entry of the key; NULL. */
static const struct entry *entry_find(const struct entries *entries, uint64_t key)
{
    size_t low = 0, high = entries->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (entries->at[middle].key <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && entries->at[low - 1].key == key ? &entries->at[low - 1] : NULL;
}

static int by_number(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Makes classes and a standardised number of the kind when its values ask for it. */
static void classify(struct eval_clicks *clicks, uint32_t k, float *numbers)
{
    struct kind *kind = &clicks->kinds[k];
    size_t count = 0, distinct = 0;
    double sum = 0, squares = 0;
    for (size_t f = 0; f < clicks->facet_count; f++)
        if (clicks->facets[f].kind == k)
            numbers[count++] = clicks->facets[f].number;
    qsort(numbers, count, sizeof(*numbers), by_number);
    for (size_t i = 0; i < count; i++) {
        distinct += i == 0 || numbers[i] > numbers[i - 1];
        sum += (double)numbers[i];
        squares += (double)numbers[i] * (double)numbers[i];
    }
    if (distinct < DISTINCT_MIN || clicks->kind_count == MODEL_CTR_KINDS_MAX)
        return;
    for (uint32_t c = 0; c + 1 < CLASSES; c++)
        kind->border[c] = numbers[count * (c + 1) / CLASSES];
    double mean = sum / (double)count;
    kind->mean = (float)mean;
    kind->scale = (float)(0.5 / sqrt(FR_MAX(squares / (double)count - mean * mean, 1e-12)));
    kind->number_kind = clicks->kind_count++;
    struct kind *number = &clicks->kinds[kind->number_kind];
    *number = (struct kind){.side = kind->side, .number_kind = NONE};
    snprintf(number->name, sizeof(number->name), "%.60s number", kind->name);
}

static enum fr_status prepare(struct eval_clicks *clicks)
{
    uint32_t count = clicks->kind_count;
    float *numbers = malloc((clicks->facet_count + 1) * sizeof(*numbers));
    if (!numbers)
        return FR_MEMORY;
    for (uint32_t k = 0; k < count; k++)
        if (clicks->kinds[k].numbers && clicks->kinds[k].side != MODEL_CTR_CONTEXT)
            classify(clicks, k, numbers);
    free(numbers);
    if (clicks->options.clock) {
        FR_TRY(kind_of(clicks, MODEL_CTR_CONTEXT, fr_slice_str("hour"), &clicks->hour));
        FR_TRY(kind_of(clicks, MODEL_CTR_CONTEXT, fr_slice_str("weekday"), &clicks->weekday));
    }
    if (clicks->items.count)
        qsort(clicks->items.at, clicks->items.count, sizeof(struct entry), by_key);
    if (clicks->users.count)
        qsort(clicks->users.at, clicks->users.count, sizeof(struct entry), by_key);
    for (int p = 0; p < EVAL_CLICKS_PARTS; p++) {
        clicks->parts[p] = malloc((clicks->example_count + 1) * sizeof(float));
        if (!clicks->parts[p])
            return FR_MEMORY;
    }
    clicks->labels = malloc(clicks->example_count + 1);
    return clicks->labels ? FR_OK : FR_MEMORY;
}

/* ---- running ---------------------------------------------------------------------------------- */

static void put_facet(struct eval_clicks *clicks, uint32_t *count, uint32_t kind, uint64_t value,
                      float number)
{
    if (*count < MODEL_CTR_FACETS_MAX)
        clicks->row_facets[(*count)++] = (struct model_ctr_facet){kind, value, number};
}

static void put_entry(struct eval_clicks *clicks, uint32_t *count, const struct entry *entry)
{
    for (uint32_t i = 0; entry && i < entry->count; i++) {
        const struct facet *facet = &clicks->facets[entry->first + i];
        const struct kind *kind = &clicks->kinds[facet->kind];
        if (kind->number_kind == NONE) {
            put_facet(clicks, count, facet->kind, facet->value, 0);
            continue;
        }
        uint64_t class = 0;
        while (class + 1 < CLASSES && facet->number >= kind->border[class])
            class ++;
        put_facet(clicks, count, facet->kind, class + 1, 0);
        put_facet(clicks, count, kind->number_kind, 0, (facet->number - kind->mean) * kind->scale);
    }
}

static bool next(void *context, struct model_ctr_row *out_row)
{
    struct eval_clicks *clicks = context;
    if (clicks->at == clicks->example_count)
        return false;
    const struct example *example = &clicks->examples[clicks->at++];
    uint32_t count = 0;
    put_entry(clicks, &count, entry_find(&clicks->users, example->user));
    put_entry(clicks, &count, entry_find(&clicks->items, example->item));
    put_entry(clicks, &count, &example->context);
    if (clicks->hour != NONE) {
        put_facet(clicks, &count, clicks->hour, example->now_s / 3600 % 24, 0);
        put_facet(clicks, &count, clicks->weekday, example->now_s / 86400 % 7, 0);
    }
    *out_row = (struct model_ctr_row){.user = example->user,
                                      .item = example->item,
                                      .facets = clicks->row_facets,
                                      .facet_count = count,
                                      .now_s = example->now_s,
                                      .label = example->label,
                                      .weight = 1.0f};
    if (clicks->trees)
        model_features_build(clicks->features, out_row, false, &clicks->features_of);
    return true;
}

/* The trees' logit, before they learn the example: its dense features and the parts' scores. */
static float answer_of_trees(struct eval_clicks *clicks, const struct model_ctr_row *row,
                             const struct model_ctr_answer *answer)
{
    const float scores[SCORES] = {answer->base, answer->user_effect, answer->item_effect,
                                  answer->ftrl, answer->ffm,         answer->blend};
    uint32_t dense = clicks->features_of.dense_count;
    if (!clicks->trees || clicks->trees_status != FR_OK)
        return 0.0f;
    memcpy(clicks->inputs, clicks->features_of.dense, dense * sizeof(float));
    memcpy(clicks->inputs + dense, scores, sizeof(scores));
    float logit = eval__trees_score(clicks->trees, clicks->inputs);
    if (clicks->at <= clicks->learn_count)
        clicks->trees_status =
            eval__trees_learn(clicks->trees, clicks->inputs, row->label, &clicks->trees_error);
    return logit;
}

static void answered(void *context, const struct model_ctr_row *row,
                     const struct model_ctr_answer *answer)
{
    struct eval_clicks *clicks = context;
    size_t at = clicks->at - 1;
    const float trees = answer_of_trees(clicks, row, answer);
    if (at < clicks->scored_from)
        return;
    at -= clicks->scored_from;
    float known = answer->base + answer->user_effect + answer->item_effect;
    const float logit[EVAL_CLICKS_PARTS] = {answer->base,        known,         answer->ftrl,
                                            known + answer->ffm, answer->blend, trees};
    for (int p = 0; p < EVAL_CLICKS_PARTS; p++)
        clicks->parts[p][at] = base_sigmoidf(logit[p]);
    clicks->labels[at] = row->label > 0.5f;
}

static enum fr_status open_model(const struct eval_clicks *clicks, struct model_ctr_kind *kinds,
                                 struct fr_error *error, struct model_ctr **out_ctr)
{
    struct model_ctr_options options;
    for (uint32_t k = 0; k < clicks->kind_count; k++) {
        bool numeric = false;
        for (uint32_t other = 0; other < clicks->kind_count; other++)
            numeric |= clicks->kinds[other].number_kind == k;
        kinds[k] = (struct model_ctr_kind){clicks->kinds[k].name, clicks->kinds[k].side, !numeric,
                                           numeric};
    }
    model_ctr_defaults(&options);
    options.features.kinds = kinds;
    options.features.kind_count = clicks->kind_count;
    options.features.repeats = clicks->options.repeats;
    return model_ctr_new(&options, error, out_ctr);
}

static enum fr_status run(struct eval_clicks *clicks, struct model_ctr *ctr,
                          struct eval_clicks_result *result)
{
    bool staged = clicks->learn_count < clicks->example_count;
    clicks->scored_from = staged ? clicks->learn_count : clicks->options.skip;
    clicks->scored_from = FR_MIN(clicks->scored_from, clicks->example_count);
    const struct eval_ctr_options options = {.from = clicks->scored_from,
                                             .learn_to = staged ? clicks->learn_count : 0};
    const struct eval_ctr_stream stream = {next, answered, clicks};
    double began = eval__cpu_now_us();
    FR_TRY(eval_ctr_run(&options, ctr, stream, &result->model));
    result->cpu_us_per_example = (eval__cpu_now_us() - began) / (double)clicks->example_count;
    FR_TRY(clicks->trees_status);
    result->part_count = EVAL_CLICKS_PARTS - !clicks->options.gbt;
    for (uint32_t p = 0; p < result->part_count; p++) {
        result->part_names[p] = part_names[p];
        FR_TRY(eval_ctr_score(clicks->parts[p], clicks->labels, result->model.scored, 0,
                              &result->parts[p]));
    }
    return FR_OK;
}

enum fr_status eval_clicks_finish(struct eval_clicks *clicks, struct fr_error *error,
                                  struct eval_clicks_result *out_result)
{
    struct eval_clicks_result result = {.examples = clicks->example_count,
                                        .unlabelled = clicks->unlabelled};
    struct model_ctr_kind kinds[MODEL_CTR_KINDS_MAX];
    struct model_ctr *ctr = NULL;
    struct rusage usage;
    if (clicks->example_count == 0)
        return base_fail(error, FR_INVALID, "eval",
                         "no event has a value, so there are no labels (map a column to value)");
    if (clicks->positives == 0 || clicks->positives == clicks->example_count)
        return base_fail(error, FR_INVALID, "eval",
                         "all %llu labels are alike: a label is positive at a value of %g or more "
                         "(--positive)",
                         (unsigned long long)clicks->example_count, clicks->options.positive);
    enum fr_status status = prepare(clicks);
    if (status != FR_OK)
        return base_fail(error, status, "eval", "cannot prepare %llu examples (%s)",
                         (unsigned long long)clicks->example_count, base_status_name(status));
    FR_TRY(open_model(clicks, kinds, error, &ctr));
    result.kind_count = clicks->kind_count;
    clicks->features = model_ctr_features(ctr);
    if (clicks->options.gbt)
        status = eval__trees_new(model_features_dense_count(clicks->features) + SCORES, error,
                                 &clicks->trees);
    if (status == FR_OK)
        status = run(clicks, ctr, &result);
    model_ctr_free(ctr);
    if (clicks->trees_status != FR_OK)
        return base_fail(error, status, "eval", "boosting: %s", clicks->trees_error.message);
    if (status != FR_OK)
        return base_fail(error, status, "eval", "the click model stopped");
    getrusage(RUSAGE_SELF, &usage);
    result.rss_mb = (double)usage.ru_maxrss / 1024.0;
    *out_result = result;
    return FR_OK;
}

/* ---- the report ------------------------------------------------------------------------------- */

void eval_clicks_table(const struct eval_clicks_result *result, struct base_buf *out)
{
    base_buf_printf(out,
                    "ctr: %llu examples with %u kinds of facets, %llu events without a value\n"
                    "%llu scored, %llu of them positive\n",
                    (unsigned long long)result->examples, result->kind_count,
                    (unsigned long long)result->unlabelled,
                    (unsigned long long)result->model.scored,
                    (unsigned long long)result->model.positives);
    eval_ctr_line(&result->model, "calibrated", out);
    for (uint32_t p = 0; p < result->part_count; p++)
        eval_ctr_line(&result->parts[p], result->part_names[p], out);
    base_buf_put_str(out, "blocks (log loss):");
    for (int b = 0; b < EVAL_CTR_BLOCKS; b++)
        base_buf_printf(out, " %.4f", result->model.block[b]);
    base_buf_printf(out, "\nCPU: %.2f us an example predicted and learnt; RSS %.0f MB\n",
                    result->cpu_us_per_example, result->rss_mb);
}

static void json_metrics(const struct eval_ctr_result *result, struct base_buf *out)
{
    base_buf_printf(out, "{\"logloss\":%.6f,\"auc\":%.6f,\"rig\":%.6f,\"ece\":%.6f,\"pcoc\":%.6f}",
                    result->log_loss, result->auc, result->rig, result->ece, result->pcoc);
}

void eval_clicks_json(const struct eval_clicks_result *result, struct base_buf *out)
{
    base_buf_printf(out,
                    "{\"protocol\":\"ctr\",\"examples\":%llu,\"unlabelled\":%llu,\"scored\":%llu,"
                    "\"positives\":%llu,\"metrics\":",
                    (unsigned long long)result->examples, (unsigned long long)result->unlabelled,
                    (unsigned long long)result->model.scored,
                    (unsigned long long)result->model.positives);
    json_metrics(&result->model, out);
    base_buf_put_str(out, ",\"parts\":{");
    for (uint32_t p = 0; p < result->part_count; p++) {
        base_buf_printf(out, "%s\"%s\":", p ? "," : "", result->part_names[p]);
        json_metrics(&result->parts[p], out);
    }
    base_buf_put_str(out, "},\"blocks\":[");
    for (int b = 0; b < EVAL_CTR_BLOCKS; b++)
        base_buf_printf(out, "%s%.6f", b ? "," : "", result->model.block[b]);
    base_buf_printf(out, "],\"cpu_us_per_example\":%.3f,\"rss_mb\":%.1f}",
                    result->cpu_us_per_example, result->rss_mb);
}
