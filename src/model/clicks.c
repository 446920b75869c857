/* SPDX-License-Identifier: Apache-2.0
 *
 * clicks: the table of the second stage's experts, and the one function that makes their examples.
 * See the door.
 */
#include "model/clicks.h"

#include "base/fmath.h"
#include "base/hash.h"
#include "state/words.h"

#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_CATEGORY,
    KIND_AUTHOR,
    KIND_WORD,
    KIND_AGE,
    KIND_BEFORE,
    KIND_TASTE,
    KIND_ATTRIBUTE,
    KIND_DEVICE,
    KIND_REGION,
    KIND_REFERRER,
    KIND_HOUR,
    KIND_WEEKDAY,
    KIND_SESSION,
    KIND_POSITION,
    KIND_COUNT
};
static const struct model_ctr_kind kinds[KIND_COUNT] = {
    [KIND_CATEGORY] = {"category", MODEL_CTR_ITEM, true, false},
    [KIND_AUTHOR] = {"author", MODEL_CTR_ITEM, true, false},
    [KIND_WORD] = {"word", MODEL_CTR_ITEM, true, false},
    [KIND_AGE] = {"age", MODEL_CTR_ITEM, false, false},
    [KIND_BEFORE] = {"before", MODEL_CTR_USER, true, false}, /* the item acted on last */
    [KIND_TASTE] = {"taste", MODEL_CTR_USER, true, false},   /* its first category */
    [KIND_ATTRIBUTE] = {"attribute", MODEL_CTR_USER, true, false},
    [KIND_DEVICE] = {"device", MODEL_CTR_CONTEXT, true, false},
    [KIND_REGION] = {"region", MODEL_CTR_CONTEXT, true, false},
    [KIND_REFERRER] = {"referrer", MODEL_CTR_CONTEXT, true, false},
    [KIND_HOUR] = {"hour", MODEL_CTR_CONTEXT, true, false},
    [KIND_WEEKDAY] = {"weekday", MODEL_CTR_CONTEXT, false, false},
    [KIND_SESSION] = {"session_rank", MODEL_CTR_CONTEXT, false, false},
    [KIND_POSITION] = {"position", MODEL_CTR_CONTEXT, false, false},
};

enum {
    CATEGORIES = 3,
    WORDS = 8,
    WORD_BUCKETS = 1024,
    SESSION_MAX = 8,
    DAY_S = 86400,
    HOUR_S = 3600
};

struct model_clicks {
    const struct state *state;
    struct model_features *features;
    uint32_t feature_count, dense_count;
};

static const struct model_click_expert *const experts[] = {&model_click_ctr, &model_click_mlp,
                                                           &model_click_gbt};

const struct model_click_expert *const *model_click_experts(uint32_t *out_count)
{
    *out_count = FR_COUNT_OF(experts);
    return experts;
}

/* The largest power of two that is at most `most`, within bounds. */
static uint32_t rows_for(uint64_t most, uint32_t low, uint32_t high)
{
    uint32_t rows = low;
    while (rows < high && (uint64_t)rows * 2 <= most)
        rows *= 2;
    return rows;
}

/* Tables are a share of the items' and the users', so that the memory ceiling holds. */
static void size_tables(const struct state_options *limits, struct model_features_options *out)
{
    uint64_t ids = ((uint64_t)limits->item_count_max + limits->user_count_max / 8) / 2;
    out->id_max = rows_for(ids, 1 << 12, 1 << 18);
    out->main_max = out->id_max / 4;
}

enum fr_status model_clicks_new(const struct model_clicks_options *options, struct fr_error *error,
                                struct model_clicks **out_clicks)
{
    struct model_clicks *clicks = calloc(1, sizeof(*clicks));
    if (!clicks)
        return base_fail(error, FR_MEMORY, "model", "no memory for the click features");
    struct model_features_options features = {.kinds = kinds,
                                              .kind_count = KIND_COUNT,
                                              .admit_after = 2,
                                              .expire_s = 90 * DAY_S,
                                              .memory = 4096.0f,
                                              .repeats = true,
                                              .descriptors = true};
    size_tables(state_limits(options->state), &features);
    clicks->state = options->state;
    clicks->feature_count = options->feature_count;
    enum fr_status status = model_features_new(&features, error, &clicks->features);
    if (status != FR_OK) {
        model_clicks_free(clicks);
        return status;
    }
    clicks->dense_count = model_features_dense_count(clicks->features);
    *out_clicks = clicks;
    return FR_OK;
}

void model_clicks_free(struct model_clicks *clicks)
{
    if (!clicks)
        return;
    model_features_free(clicks->features);
    free(clicks);
}

void model_clicks_tables(struct model_clicks *clicks, struct base_rows *out[MODEL_FEATURES_TABLES])
{
    model_features_tables(clicks->features, out);
}

struct model_features *model_clicks_features(struct model_clicks *clicks)
{
    return clicks->features;
}

uint32_t model_clicks_input_count(const struct model_clicks *clicks)
{
    return clicks->dense_count + clicks->feature_count;
}

const char *model_clicks_input_name(const struct model_clicks *clicks, uint32_t i)
{
    return i < clicks->dense_count ? model_features_dense_name(clicks->features, i) : NULL;
}

/* ---- building ------------------------------------------------------------------------------ */

static void put(struct model_click_example *example, struct model_ctr_facet facet)
{
    if (facet.value && example->row.facet_count < MODEL_CLICK_FACETS_MAX)
        example->facet[example->row.facet_count++] = facet;
}

static void add(struct model_click_example *example, enum kind kind, uint64_t value)
{
    put(example, (struct model_ctr_facet){.kind = kind, .value = value});
}

/* Who has an index after another is somebody else. */
static uint64_t key_of(const struct model_clicks *clicks, enum state_kind kind, uint32_t index)
{
    return (uint64_t)state_lives(clicks->state, kind, index) << 32 | index;
}

/* 1 + the power of four that the item's age in hours lies under. */
static uint32_t age_class(const struct state_item *item, uint32_t clock_s)
{
    uint32_t from_s = item->published_s ? item->published_s : item->first_s, class = 1;
    uint32_t hours = clock_s > from_s ? (clock_s - from_s) / HOUR_S : 0;
    for (; hours > 0 && class < 10; class ++)
        hours /= 4;
    return class;
}

static void add_item(const struct model_clicks *clicks, struct model_click_example *example,
                     const struct state_item *item, uint32_t clock_s)
{
    for (uint32_t i = 0; i < CATEGORIES; i++)
        add(example, KIND_CATEGORY, key_of(clicks, STATE_KIND_TOKEN, item->categories[i]));
    add(example, KIND_AUTHOR, key_of(clicks, STATE_KIND_TOKEN, item->author));
    add(example, KIND_AGE, age_class(item, clock_s));
}

/* The bucket of a word, as a facet weighted by TF-IDF: (1 + ln times) * idf. */
static struct model_ctr_facet facet_of_word(const struct model_clicks *clicks,
                                            struct state_word word)
{
    uint64_t key = key_of(clicks, STATE_KIND_TOKEN, word.token);
    return (struct model_ctr_facet){
        .kind = KIND_WORD,
        .value = 1 + base_mix64(key) % WORD_BUCKETS,
        .number = (1.0f + base_logf((float)(int32_t)word.times)) *
                  model_token_idf(clicks->state, word.token),
    };
}

/* The item's words by bucket, heaviest first. Gives how many. */
static uint32_t sort_words(const struct model_clicks *clicks, uint32_t item,
                           struct model_ctr_facet out[STATE_ITEM_TOKENS_MAX])
{
    struct state_word word[STATE_ITEM_TOKENS_MAX];
    uint32_t count = state_item_words(clicks->state, item, word), kept = 0;
    for (uint32_t w = 0; w < count; w++) {
        struct model_ctr_facet facet = facet_of_word(clicks, word[w]);
        uint32_t same = 0;
        while (same < kept && out[same].value != facet.value)
            same++;
        if (same < kept)
            facet.number += out[same].number;
        else
            kept++;
        for (; same > 0 && out[same - 1].number < facet.number; same--)
            out[same] = out[same - 1];
        out[same] = facet;
    }
    return kept;
}

/* The heaviest ones, their weights scaled to length 1. */
static void add_words(const struct model_clicks *clicks, struct model_click_example *example,
                      uint32_t item)
{
    struct model_ctr_facet word[STATE_ITEM_TOKENS_MAX];
    uint32_t count = FR_MIN(sort_words(clicks, item, word), (uint32_t)WORDS);
    float squares = 0.0f;
    for (uint32_t w = 0; w < count; w++)
        squares += word[w].number * word[w].number;
    for (uint32_t w = 0; w < count; w++) {
        word[w].number /= __builtin_sqrtf(squares);
        put(example, word[w]);
    }
}

static void add_context(const struct model_clicks *clicks, struct model_click_example *example,
                        const struct model_query *query)
{
    const uint32_t *context = query->context;
    add(example, KIND_DEVICE, key_of(clicks, STATE_KIND_VALUE, context[STATE_DEVICE]));
    add(example, KIND_REGION, key_of(clicks, STATE_KIND_VALUE, context[STATE_REGION]));
    add(example, KIND_REFERRER, key_of(clicks, STATE_KIND_VALUE, context[STATE_REFERRER]));
    add(example, KIND_HOUR, 1 + query->clock_s / HOUR_S % 24);
    add(example, KIND_WEEKDAY, 1 + query->clock_s / DAY_S % 7);
    add(example, KIND_SESSION, 1 + FR_MIN(query->session_count, (uint32_t)SESSION_MAX));
}

/* The context pair that says where in the slate the item stood. */
static void add_position(const struct model_clicks *clicks, struct model_click_example *example,
                         const struct state_event *event)
{
    static const struct fr_slice name = {"position", 8};
    for (uint32_t f = STATE_EXTRA_FIRST; event && f < STATE_CONTEXT_COUNT; f++) {
        struct fr_slice text = event->context[f]
                                   ? state_context_text(clicks->state, event->context[f])
                                   : fr_slice_of(NULL, 0);
        if (text.bytes > name.bytes && memcmp(text.ptr, name.ptr, name.bytes) == 0)
            add(example, KIND_POSITION, key_of(clicks, STATE_KIND_VALUE, event->context[f]));
    }
}

/* Ids of the small table by field; `main` holds user, item, then the facets in their order. */
static void fill_ids(struct model_click_example *example)
{
    static const uint8_t kind_of_slot[MODEL_CLICK_SLOTS] = {0, 0, KIND_CATEGORY, KIND_AUTHOR,
                                                            KIND_BEFORE};
    const struct model_example *ctr = &example->ctr;
    example->ids[0] = ctr->main[0].id;
    example->ids[1] = ctr->main[1].id;
    for (uint32_t s = 2; s < MODEL_CLICK_SLOTS; s++) {
        example->ids[s] = 0;
        for (uint32_t i = 2; i < ctr->main_count && !example->ids[s]; i++)
            if (ctr->main[i].field == 2u + kind_of_slot[s])
                example->ids[s] = ctr->main[i].id;
    }
}

void model_clicks_ask(const struct model_clicks *clicks, const struct model_query *query,
                      struct base_arena *arena, struct model_click_source *out_source)
{
    struct model_click_source source = {.query = query};
    size_t mark = base_arena_mark(arena);
    struct schema_user *document = base_arena_alloc(arena, sizeof(*document));
    if (document && state_user_document(clicks->state, query->user, arena, document) == FR_OK) {
        source.attribute_count =
            FR_MIN(document->attribute_count, (uint32_t)MODEL_CLICK_ATTRIBUTES);
        for (uint32_t a = 0; a < source.attribute_count; a++)
            source.attribute[a] =
                base_hash64_slice(document->attributes[a].value,
                                  base_hash64_slice(document->attributes[a].key, 1));
    }
    base_arena_rewind(arena, mark);
    *out_source = source;
}

void model_clicks_build(struct model_clicks *clicks, const struct model_click_source *source,
                        bool writer, struct model_click_example *out_example)
{
    const struct model_query *query = source->query;
    struct model_click_example *example = out_example;
    struct state_item item = {0}, before = {0};
    uint32_t last = query->history_count ? query->history[0].item : 0;
    example->row = (struct model_ctr_row){.user = key_of(clicks, STATE_KIND_USER, query->user),
                                          .item = key_of(clicks, STATE_KIND_ITEM, source->item),
                                          .facets = example->facet,
                                          .now_s = query->clock_s};
    example->rate = 1.0f;
    (void)state_item_get(clicks->state, source->item, &item);
    if (last)
        (void)state_item_get(clicks->state, last, &before);
    add_item(clicks, example, &item, query->clock_s);
    add_words(clicks, example, source->item);
    add(example, KIND_BEFORE, key_of(clicks, STATE_KIND_ITEM, last));
    add(example, KIND_TASTE, key_of(clicks, STATE_KIND_TOKEN, before.categories[0]));
    for (uint32_t a = 0; a < source->attribute_count; a++)
        add(example, KIND_ATTRIBUTE, source->attribute[a]);
    add_context(clicks, example, query);
    add_position(clicks, example, source->event);
    model_features_build(clicks->features, &example->row, writer, &example->ctr);
    fill_ids(example);
    memcpy(example->input, example->ctr.dense, clicks->dense_count * sizeof(float));
    for (uint32_t f = 0; f < clicks->feature_count; f++)
        example->input[clicks->dense_count + f] = source->x[(size_t)f * source->stride];
}

void model_clicks_learn(struct model_clicks *clicks, const struct model_click_example *example)
{
    model_features_learn(clicks->features, &example->row, &example->ctr);
}

/* ---- experts --------------------------------------------------------------------------------- */

enum fr_status model_click_open(const struct model_click_expert *expert,
                                const struct model_click_shape *shape, struct fr_error *error,
                                void **out_self)
{
    void *self = calloc(1, expert->self_bytes);
    if (!self)
        return base_fail(error, FR_MEMORY, "model", "no memory for the expert %s", expert->name);
    enum fr_status status = expert->open(self, shape, error);
    if (status != FR_OK) {
        model_click_close(expert, self);
        return status;
    }
    *out_self = self;
    return FR_OK;
}

void model_click_close(const struct model_click_expert *expert, void *self)
{
    if (!self)
        return;
    expert->close(self);
    free(self);
}
