/* SPDX-License-Identifier: Apache-2.0
 *
 * The second stage: click experts (model/clicks.h) judged and taught on sampled events, and the
 * re-ranking of the best candidates by those that are live.
 *
 * A sampled event that is looked at: every expert scores the window before anything is learnt; its
 * weight takes one step along the listwise loss of the window; then the event is an example of label
 * 1 (weight: its signal), with negatives: exposures that brought nothing and dislikes where there
 * are any, else two candidates drawn by position, one of the window and one of all. All examples of
 * an event are built before any is learnt, or the later ones would see the earlier ones' counts.
 *
 * Thread: learning the fold thread; re-ranking any, in the arena.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fmath.h"
#include "rank/models.h"
#include "rank/rank_priv.h"

enum {
    NEGATIVES = 2,
    EXAMPLES_MAX = 1 + NEGATIVES,
    GAIN_LENGTH = 20000,
    BINS_LENGTH = 10000,
    SHARE_ONE = 1 << 16, /* fixed point of the share of exposures */
    SHARE_SHIFT = 7,
};
enum { META_LOOKED_AT, META_EXPOSURES }; /* of table "models" */
static const float weight_rate = 0.05f, weight_max = 4.0f, signal_max = 4.0f;

/* ---- making --------------------------------------------------------------------------------- */

static enum fr_status open_experts(struct rank *rank, struct fr_error *error)
{
    uint32_t count;
    const struct model_click_expert *const *all = model_click_experts(&count);
    const struct model_click_shape shape = {.clicks = rank->clicks,
                                            .limits = state_limits(rank->state),
                                            .seed = rank->options.seed};
    FR_ASSERT(count <= MODEL_CLICK_EXPERTS_MAX);
    for (uint32_t c = 0; c < count; c++) {
        struct base_rows *tables[MODEL_CLICK_TABLES_MAX];
        FR_TRY(model_click_open(all[c], &shape, error, &rank->click_self[c]));
        rank->click[c] = all[c];
        rank->click_count++;
        rank__tables_add(rank, tables, all[c]->tables(rank->click_self[c], tables));
    }
    return FR_OK;
}

enum fr_status rank__clicks_new(struct rank *rank, struct fr_error *error)
{
    struct model_clicks_options options = {rank->state, rank->feature_count};
    struct model_calibration_options calibration;
    struct base_rows *tables[MODEL_FEATURES_TABLES];
    FR_TRY(model_clicks_new(&options, error, &rank->clicks));
    model_clicks_tables(rank->clicks, tables);
    rank__tables_add(rank, tables, MODEL_FEATURES_TABLES);
    model_calibration_defaults(&calibration);
    calibration.name = "click_calibration";
    calibration.segment_max = MODEL_CLICK_EXPERTS_MAX;
    FR_TRY(model_calibration_new(&calibration, error, &rank->click_calibration));
    struct base_rows *table = model_calibration_table(rank->click_calibration);
    rank__tables_add(rank, &table, 1);
    rank->click_examples = calloc(EXAMPLES_MAX, sizeof(*rank->click_examples));
    if (!rank->click_examples)
        return base_fail(error, FR_MEMORY, "rank", "no memory for click examples");
    return open_experts(rank, error);
}

void rank__clicks_free(struct rank *rank)
{
    for (uint32_t c = 0; c < rank->click_count; c++)
        model_click_close(rank->click[c], rank->click_self[c]);
    model_calibration_free(rank->click_calibration);
    model_clicks_free(rank->clicks);
    free(rank->click_examples);
}

enum fr_status rank__clicks_rebuild(struct rank *rank, struct fr_error *error)
{
    for (uint32_t c = 0; c < rank->click_count; c++)
        if (rank->click[c]->rebuild)
            FR_TRY(rank->click[c]->rebuild(rank->click_self[c], error));
    return FR_OK;
}

static uint32_t model_of(const struct rank *rank, uint32_t click)
{
    return rank->expert_count + click;
}

static enum rank_role role_of(const struct rank *rank, uint32_t click)
{
    return rank__model_role(rank, model_of(rank, click));
}

static bool any_has_role(const struct rank *rank, enum rank_role least)
{
    for (uint32_t c = 0; c < rank->click_count; c++)
        if (role_of(rank, c) >= least)
            return true;
    return false;
}

/* ---- the window ----------------------------------------------------------------------------- */

/* The best candidates by the blend's score, best first, equal ones in their order. */
struct window {
    uint32_t count;
    uint32_t index[RANK_WINDOW];
    struct model_click_example *example;
};

static void window_choose(const struct rank_scoring *scoring, struct window *window)
{
    const float *score = scoring->score;
    window->count = 0;
    for (uint32_t i = 0; i < scoring->batch.count; i++) {
        uint32_t at = window->count;
        if (at == RANK_WINDOW && score[i] <= score[window->index[at - 1]])
            continue;
        at -= at == RANK_WINDOW;
        for (; at > 0 && score[window->index[at - 1]] < score[i]; at--)
            window->index[at] = window->index[at - 1];
        window->index[at] = i;
        window->count += window->count < RANK_WINDOW;
    }
}

static void source_choose(const struct rank_scoring *scoring, uint32_t candidate,
                          struct model_click_source *source)
{
    source->item = scoring->batch.item[candidate];
    source->x = scoring->x + candidate;
    source->stride = scoring->batch.stride;
}

/* False: no room in the arena. */
static bool window_build(const struct rank *rank, const struct rank_scoring *scoring,
                         struct base_arena *arena, struct window *window)
{
    window_choose(scoring, window);
    window->example = base_arena_alloc(arena, window->count * sizeof(*window->example) + 8);
    if (!window->example)
        return false;
    struct model_click_source source;
    model_clicks_ask(rank->clicks, scoring->batch.query, arena, &source);
    for (uint32_t i = 0; i < window->count; i++) {
        source_choose(scoring, window->index[i], &source);
        model_clicks_build(rank->clicks, &source, false, &window->example[i]);
    }
    return true;
}

/* Logits of the window less their mean. */
static void window_score(const struct rank *rank, const struct window *window, uint32_t click,
                         bool in_place, float out[RANK_WINDOW])
{
    float sum = 0.0f;
    rank->click[click]->score(rank->click_self[click], window->example, window->count, in_place,
                              out);
    for (uint32_t i = 0; i < window->count; i++)
        sum += out[i];
    for (uint32_t i = 0; i < window->count; i++)
        out[i] -= sum / (float)window->count;
}

/* ---- answering ------------------------------------------------------------------------------ */

bool rank__clicks_rerank(const struct rank *rank, struct rank_scoring *scoring)
{
    struct window window;
    float logit[RANK_WINDOW];
    struct base_arena *arena = scoring->batch.arena;
    float *part = scoring->x + (rank->feature_count + 1ul) * scoring->batch.stride;
    if (!any_has_role(rank, RANK_LIVE) || scoring->batch.count == 0)
        return false;
    size_t mark = base_arena_mark(arena);
    bool built = window_build(rank, scoring, arena, &window);
    for (uint32_t c = 0; built && c < rank->click_count; c++) {
        if (role_of(rank, c) != RANK_LIVE)
            continue;
        const struct model_row *row = base_rows_at(rank->models, 1 + MODEL_EXPERTS_MAX + c);
        float weight = rank__row_weight(row);
        window_score(rank, &window, c, scoring->batch.in_place, logit);
        for (uint32_t i = 0; i < window.count; i++)
            part[window.index[i]] += weight * logit[i];
    }
    base_arena_rewind(arena, mark);
    for (uint32_t i = 0; built && i < window.count; i++)
        scoring->score[window.index[i]] += part[window.index[i]];
    return built;
}

/* ---- judging -------------------------------------------------------------------------------- */

static float ndcg10(float target_rank)
{
    return target_rank < 10.0f ? 1.0f / base_log2f(target_rank + 2.0f) : 0.0f;
}

static void judge_gain(struct model_row *row, float with, float without)
{
    model_window_add(&row->gain, 0.5 * (1.0 + (double)(ndcg10(with) - ndcg10(without))),
                     GAIN_LENGTH);
    FR_STORE(row->judged, row->judged + 1);
}

/* One step of the expert's weight along -ln softmax(with)[target] over the window. */
static void step_weight(struct model_row *row, const float *with, const float *logit,
                        const struct window *window, uint32_t at)
{
    float most = with[0], sum = 0.0f, gradient = 0.0f;
    for (uint32_t i = 1; i < window->count; i++)
        most = with[i] > most ? with[i] : most;
    for (uint32_t i = 0; i < window->count; i++) {
        float e = base_expf(with[i] - most);
        sum += e;
        gradient += e * logit[i];
    }
    gradient = gradient / sum - logit[at];
    float squares = row->squares + gradient * gradient;
    float weight = row->weight - weight_rate * gradient / __builtin_sqrtf(squares + 1.0f);
    row->squares = squares;
    weight = weight < 0.0f ? 0.0f : weight > weight_max ? weight_max : weight;
    rank__row_weight_set(row, weight);
}

/* What the answer would have been with the expert, or is without it. */
static void judge_click(struct rank *rank, const struct rank_scoring *scoring,
                        struct window *window, uint32_t click, int32_t target)
{
    const struct model_batch *batch = &scoring->batch;
    struct model_row *row = rank__model_row(rank, model_of(rank, click));
    float logit[RANK_WINDOW], with[RANK_WINDOW];
    float *score = base_arena_alloc(batch->arena, batch->stride * sizeof(float));
    uint32_t at = window->count;
    window_score(rank, window, click, true, logit);
    for (uint32_t i = 0; i < window->count; i++)
        at = (int32_t)window->index[i] == target ? i : at;
    if (!score || at == window->count) {
        judge_gain(row, 0.0f, 0.0f); /* it moves nothing */
        return;
    }
    memcpy(score, scoring->score, batch->stride * sizeof(float));
    for (uint32_t i = 0; i < window->count; i++) {
        with[i] = scoring->score[window->index[i]] + row->weight * logit[i];
        score[window->index[i]] = with[i];
    }
    judge_gain(row, rank__rank_of(score, batch->count, (uint32_t)target),
               rank__rank_of(scoring->score, batch->count, (uint32_t)target));
    row->hit10 += rank__rank_of(logit, window->count, at) < 10.0f;
    step_weight(row, with, logit, window, at);
}

/* First stage: the answer less the expert's part; of a shadow, the answer with it. */
static void judge_expert(struct rank *rank, const struct rank_scoring *scoring, uint32_t e,
                         uint32_t target)
{
    const struct model_batch *batch = &scoring->batch;
    enum rank_role role = rank__model_role(rank, e);
    const float *x = role == RANK_SHADOW ? scoring->shadow : scoring->x;
    float sign = role == RANK_SHADOW ? 1.0f : -1.0f;
    float *other = base_arena_alloc(batch->arena, batch->stride * sizeof(float));
    if (!other || !x || role == RANK_OFF)
        return;
    memcpy(other, scoring->score, batch->stride * sizeof(float));
    for (uint32_t f = rank->first_feature[e]; f < rank->first_feature[e + 1]; f++)
        for (uint32_t i = 0; i < batch->count; i++)
            other[i] += sign * scoring->weight[f] * x[f * batch->stride + i];
    float with = rank__rank_of(scoring->score, batch->count, target);
    float without = rank__rank_of(other, batch->count, target);
    judge_gain(rank__model_row(rank, e), role == RANK_SHADOW ? without : with,
               role == RANK_SHADOW ? with : without);
}

static void judge_all(struct rank *rank, const struct rank_scoring *scoring, int32_t target)
{
    struct base_arena *arena = scoring->batch.arena;
    struct window window;
    for (uint32_t e = 0; target >= 0 && e < rank->expert_count; e++) {
        size_t mark = base_arena_mark(arena);
        judge_expert(rank, scoring, e, (uint32_t)target);
        base_arena_rewind(arena, mark);
    }
    if (!any_has_role(rank, RANK_SHADOW) || !window_build(rank, scoring, arena, &window))
        return;
    for (uint32_t c = 0; c < rank->click_count; c++)
        if (role_of(rank, c) != RANK_OFF)
            judge_click(rank, scoring, &window, c, target);
}

/* ---- learning ------------------------------------------------------------------------------- */

/* Is this event looked at? Counts it when it is. */
static bool looked_at(struct rank *rank, const struct state_event *event)
{
    uint64_t *count = &base_rows_meta(rank->models)[META_LOOKED_AT];
    bool wanted =
        *count < RANK_CLICKS_FIRST ||
        base_random_u64(rank->options.seed, event->position, 0xc1) % RANK_CLICKS_ONE_IN == 0;
    *count += wanted;
    return wanted;
}

/* How often examples come from exposures: fades over about 128 of them. */
static void share_note(struct rank *rank, bool exposure)
{
    uint64_t *share = &base_rows_meta(rank->models)[META_EXPOSURES];
    *share += exposure ? SHARE_ONE >> SHARE_SHIFT : 0;
    *share -= *share >> SHARE_SHIFT;
}

static bool exposures_come(const struct rank *rank)
{
    return base_rows_meta(rank->models)[META_EXPOSURES] > SHARE_ONE / 8;
}

static void predict(struct rank *rank, uint32_t click, const struct model_click_example *example)
{
    float logit = 0.0f;
    struct model_row *row = rank__model_row(rank, model_of(rank, click));
    rank->click[click]->score(rank->click_self[click], example, 1, true, &logit);
    float p = base_sigmoidf(model_calibration_apply(rank->click_calibration, click, logit));
    model_bins_add(&row->bins, p, example->row.label > 0.5f, BINS_LENGTH);
    FR_STORE(row->examples, row->examples + 1);
    model_calibration_learn(rank->click_calibration, click, logit, example->row.label,
                            example->row.weight);
}

static void learn_examples(struct rank *rank, uint32_t count)
{
    struct model_click_example *example = rank->click_examples;
    for (uint32_t c = 0; c < rank->click_count; c++) {
        if (role_of(rank, c) == RANK_OFF)
            continue;
        const struct model_click_expert *click = rank->click[c];
        const struct model_row *row = rank__model_row(rank, model_of(rank, c));
        for (uint32_t i = 0; i < count && click->fresh; i++)
            click->fresh(rank->click_self[c], &example[i]);
        for (uint32_t i = 0; i < count; i++)
            predict(rank, c, &example[i]);
        for (uint32_t i = 0; i < count; i++) {
            example[i].rate = row->rate;
            click->learn(rank->click_self[c], &example[i]);
        }
    }
    for (uint32_t i = 0; i < count && rank->refit; i++)
        rank__refit_note(rank->refit, &example[i]);
    for (uint32_t i = 0; i < count; i++)
        model_clicks_learn(rank->clicks, &example[i]);
}

/* An example of the source's event and one of the candidates. Its weight is the event's signal. */
static void example_build(struct rank *rank, const struct rank_scoring *scoring,
                          struct model_click_source *source, uint32_t candidate,
                          struct model_click_example *example)
{
    const struct state_event *event = source->event;
    float signal = event->signal < 0.0f ? -event->signal : event->signal;
    source_choose(scoring, candidate, source);
    model_clicks_build(rank->clicks, source, true, example);
    example->row.weight = event->is_exposure || signal <= 0.0f ? 1.0f
                          : signal > signal_max                ? signal_max
                                                               : signal;
}

/* Candidates that were not acted on: one of the window, one of all. Gives how many. */
static uint32_t draw_negatives(const struct rank *rank, const struct rank_scoring *scoring,
                               uint64_t position, uint32_t target, uint32_t out[NEGATIVES])
{
    struct window window;
    uint32_t count = 0;
    window_choose(scoring, &window);
    for (uint32_t n = 0; n < NEGATIVES; n++) {
        uint64_t draw = base_random_u64(rank->options.seed ^ 0xc1c2, position, n);
        uint32_t i =
            n == 0 ? window.index[draw % window.count] : (uint32_t)(draw % scoring->batch.count);
        if (i != target && (count == 0 || out[0] != i))
            out[count++] = i;
    }
    return count;
}

void rank__clicks_learn(struct rank *rank, const struct rank_scoring *scoring,
                        const struct state_event *event, int32_t target)
{
    struct base_arena *arena = scoring->batch.arena;
    if (!rank->click_count || !looked_at(rank, event))
        return;
    size_t mark = base_arena_mark(arena);
    judge_all(rank, scoring, target);
    base_arena_rewind(arena, mark);
    if (target < 0 || !any_has_role(rank, RANK_SHADOW))
        return;
    uint32_t negative[NEGATIVES], count = 0;
    struct model_click_source source;
    share_note(rank, false);
    if (!exposures_come(rank))
        count = draw_negatives(rank, scoring, event->position, (uint32_t)target, negative);
    model_clicks_ask(rank->clicks, scoring->batch.query, arena, &source);
    source.event = event;
    example_build(rank, scoring, &source, (uint32_t)target, &rank->click_examples[0]);
    rank->click_examples[0].row.label = 1.0f;
    for (uint32_t n = 0; n < count; n++) {
        struct model_click_example *example = &rank->click_examples[1 + n];
        example_build(rank, scoring, &source, negative[n], example); /* of label 0 */
    }
    learn_examples(rank, 1 + count);
}

void rank__clicks_refused(struct rank *rank, const struct rank_scoring *scoring,
                          const struct state_event *event, int32_t candidate)
{
    struct model_click_source source;
    share_note(rank, event->is_exposure);
    if (candidate < 0 || !any_has_role(rank, RANK_SHADOW))
        return;
    model_clicks_ask(rank->clicks, scoring->batch.query, scoring->batch.arena, &source);
    source.event = event;
    example_build(rank, scoring, &source, (uint32_t)candidate, &rank->click_examples[0]);
    learn_examples(rank, 1);
}

bool rank__clicks_wants(struct rank *rank, const struct state_event *event)
{
    return rank->click_count && any_has_role(rank, RANK_SHADOW) &&
           (event->is_exposure || event->signal < 0.0f) && looked_at(rank, event);
}
