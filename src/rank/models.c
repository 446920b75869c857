/* SPDX-License-Identifier: Apache-2.0
 *
 * rank models: roles, acts, jobs and what is told of them; see models.h. One row a model in table
 * "models", at a fixed place: first-stage expert e at 1 + e, click expert c at 1 + MODEL_EXPERTS_MAX
 * + c. Thread: written by the fold thread, words read by any.
 */
#include "rank/models.h"

#include <string.h>

#include "rank/rank_priv.h"

static const char *const role_names[RANK_ROLE_COUNT] = {"off", "shadow", "live"};
static const char *const act_names[RANK_ACT_KIND_COUNT] = {[RANK_ACT_ROLE] = "role",
                                                           [RANK_ACT_ROLLBACK] = "rollback",
                                                           [RANK_ACT_RESET_LAYER] = "reset-layer",
                                                           [RANK_ACT_LOAD] = "load",
                                                           [RANK_ACT_RATE] = "rate"};
#define EVIDENCE_ALPHA 0.01
static const float rate_min = 1.0f / 64, rate_max = 64.0f;

const char *rank_role_name(enum rank_role role)
{
    return role < RANK_ROLE_COUNT ? role_names[role] : "unknown";
}

const char *rank_act_name(enum rank_act_kind kind)
{
    return kind > 0 && kind < RANK_ACT_KIND_COUNT ? act_names[kind] : "unknown";
}

/* ---- the rows ------------------------------------------------------------------------------ */

enum fr_status rank__models_new(struct rank *rank, struct fr_error *error)
{
    struct base_rows_options options = {.name = "models",
                                        .row_bytes = sizeof(struct model_row),
                                        .count_max = 1 + RANK_MODELS_MAX};
    FR_TRY(base_rows_new(&options, error, &rank->models));
    rank__table_add(rank, rank->models);
    for (uint32_t i = 1; i <= RANK_MODELS_MAX; i++) {
        FR_ASSERT(base_rows_add(rank->models) == i);
        struct model_row *row = base_rows_write(rank->models, i);
        bool first_stage = i <= MODEL_EXPERTS_MAX;
        uint32_t click = i - 1 - MODEL_EXPERTS_MAX;
        bool shadow =
            !first_stage && click < rank->click_count && rank->click[click] != &model_click_gbt;
        row->role = row->previous_role = first_stage ? RANK_LIVE : shadow ? RANK_SHADOW : RANK_OFF;
        row->rate = 1.0f;
    }
    return FR_OK;
}

/* The row of model number `model` of the list: experts, then click experts. */
static uint32_t row_of(const struct rank *rank, uint32_t model)
{
    FR_ASSERT(model < rank->expert_count + rank->click_count);
    return model < rank->expert_count ? 1 + model
                                      : 1 + MODEL_EXPERTS_MAX + model - rank->expert_count;
}

static const struct model_row *row_at(const struct rank *rank, uint32_t model)
{
    return base_rows_at(rank->models, row_of(rank, model));
}

static struct model_row *row_write(struct rank *rank, uint32_t model)
{
    return base_rows_write(rank->models, row_of(rank, model));
}

static const struct model_click_expert *click_of(const struct rank *rank, uint32_t model)
{
    return model < rank->expert_count ? NULL : rank->click[model - rank->expert_count];
}

static void *self_of(const struct rank *rank, uint32_t model)
{
    return rank->click_self[model - rank->expert_count];
}

static const struct model_deferred *deferred_of(const struct rank *rank, uint32_t model)
{
    const struct model_click_expert *click = click_of(rank, model);
    return click ? click->deferred : NULL;
}

enum rank_role rank__model_role(const struct rank *rank, uint32_t model)
{
    return (enum rank_role)FR_LOAD(row_at(rank, model)->role);
}

struct model_row *rank__model_row(struct rank *rank, uint32_t model)
{
    return row_write(rank, model);
}

/* ---- what is told --------------------------------------------------------------------------- */

const char *rank_model_name(const struct rank *rank, uint32_t model)
{
    const struct model_click_expert *click = click_of(rank, model);
    return click ? click->name : rank->expert[model]->name;
}

static void tell_evidence(const struct model_row *row, struct rank_model *out)
{
    struct model_interval gain;
    struct model_bins_figures bins;
    model_window_interval(&row->gain, EVIDENCE_ALPHA, &gain);
    model_bins_figures_get(&row->bins, &bins);
    out->judged = row->judged;
    out->hit10 = row->judged ? (double)row->hit10 / (double)row->judged : 0;
    out->gain = gain.count ? 2 * gain.mean - 1 : 0;
    out->gain_low = 2 * gain.low - 1;
    out->gain_high = 2 * gain.high - 1;
    out->weight = (double)row->weight;
    out->examples = row->examples;
    out->logloss = bins.logloss;
    out->ece = bins.ece;
    out->pcoc = bins.pcoc;
    out->auc = bins.auc;
}

static void tell(const struct rank *rank, uint32_t model, struct rank_model *out)
{
    struct model_row row;
    const struct model_click_expert *click = click_of(rank, model);
    const struct model_deferred *deferred = deferred_of(rank, model);
    base_rows_copy(&row, row_at(rank, model), sizeof(row));
    *out = (struct rank_model){
        .name = rank_model_name(rank, model),
        .role = (enum rank_role)row.role,
        .previous_role = (enum rank_role)row.previous_role,
        .second_stage = click != NULL,
        .deferred = deferred != NULL,
        .can_reset = click && click->reset_layer,
        .can_load = click && click->load,
        .version = row.version,
        .steps = click && click->steps ? click->steps(self_of(rank, model)) : 0,
        .waiting = deferred ? deferred->waiting(self_of(rank, model)) : 0,
        .running = row.running != 0,
        .jobs = row.jobs,
        .refused = row.refused,
        .started_position = row.started,
        .published_position = row.published,
        .learnt_position = row.learnt,
    };
    tell_evidence(&row, out);
}

uint32_t rank_models(const struct rank *rank, struct rank_model *out, uint32_t count_max)
{
    uint32_t count = FR_MIN(rank->expert_count + rank->click_count, count_max);
    if (!out)
        return count;
    struct rank_figure figures[MODEL_EXPERTS_MAX + 2];
    uint32_t figure_count = rank_figures(rank, figures, FR_COUNT_OF(figures));
    for (uint32_t m = 0; m < count; m++) {
        tell(rank, m, &out[m]);
        if (m < rank->expert_count && m + 2 < figure_count)
            out[m].hit10 = figures[m + 2].hit10;
    }
    return count;
}

int rank_model_find(const struct rank *rank, struct fr_slice name)
{
    for (uint32_t m = 0; m < rank->expert_count + rank->click_count; m++)
        if (fr_slice_equal(name, fr_slice_str(rank_model_name(rank, m))))
            return (int)m;
    return -1;
}

/* ---- acts ---------------------------------------------------------------------------------- */

static enum fr_status cannot(const struct rank_act *act, const char *why, struct fr_error *error)
{
    return base_fail(error, FR_UNSUPPORTED, "rank", "%s cannot be done to \"%.*s\": %s",
                     rank_act_name(act->kind), (int)act->model.bytes, act->model.ptr, why);
}

static enum fr_status check_click(const struct rank *rank, uint32_t model,
                                  const struct rank_act *act, struct fr_error *error)
{
    const struct model_click_expert *click = click_of(rank, model);
    if (act->kind == RANK_ACT_RESET_LAYER) {
        if (!click || !click->reset_layer)
            return cannot(act, "it has no layers", error);
        if (act->value >= click->layers)
            return base_fail(error, FR_INVALID, "rank", "\"%s\" has layers 0 to %u, not %u",
                             click->name, click->layers - 1, act->value);
    }
    if (act->kind == RANK_ACT_LOAD) {
        if (!click || !click->load)
            return cannot(act, "its parameters are what the journal taught it", error);
        return click->check(self_of(rank, model), act->bytes, error);
    }
    return FR_OK;
}

static enum fr_status check(const struct rank *rank, const struct rank_act *act,
                            struct fr_error *error, uint32_t *out_model)
{
    int model = rank_model_find(rank, act->model);
    if (model < 0)
        return base_fail(error, FR_NOT_FOUND, "rank", "there is no model \"%.*s\"",
                         (int)act->model.bytes, act->model.ptr);
    if (act->kind == RANK_ACT_ROLE && act->value >= RANK_ROLE_COUNT)
        return base_fail(error, FR_INVALID, "rank", "a role is off, shadow or live");
    if (act->kind == RANK_ACT_RATE && !(act->factor >= rate_min && act->factor <= rate_max))
        return base_fail(error, FR_INVALID, "rank", "a rate's factor is 1/64 to 64");
    if (act->kind == RANK_ACT_RATE && !click_of(rank, (uint32_t)model))
        return cannot(act, "it counts, it takes no steps", error);
    *out_model = (uint32_t)model;
    return check_click(rank, (uint32_t)model, act, error);
}

enum fr_status rank_act_check(const struct rank *rank, const struct rank_act *act,
                              struct fr_error *error)
{
    uint32_t model = 0;
    return check(rank, act, error, &model);
}

/* The evidence of before is not about what is there now. */
static void evidence_clear(struct model_row *row)
{
    row->gain = (struct model_window){0};
    row->weight = row->squares = 0.0f;
    row->judged = row->hit10 = 0;
}

static void set_role(struct model_row *row, uint32_t role)
{
    FR_STORE(row->previous_role, row->role);
    FR_STORE(row->role, role);
}

static enum fr_status change_parameters(struct rank *rank, uint32_t model,
                                        const struct rank_act *act, struct fr_error *error)
{
    const struct model_click_expert *click = click_of(rank, model);
    void *self = self_of(rank, model);
    struct model_row *row = row_write(rank, model);
    row->kept = click->keep != NULL;
    if (row->kept)
        click->keep(self);
    return act->kind == RANK_ACT_LOAD ? click->load(self, act->bytes, error)
                                      : click->reset_layer(self, act->value, error);
}

enum fr_status rank_act_apply(struct rank *rank, const struct rank_act *act, struct fr_error *error)
{
    uint32_t model = 0;
    FR_TRY(check(rank, act, error, &model));
    const struct model_click_expert *click = click_of(rank, model);
    struct model_row *row = row_write(rank, model);
    FR_STORE(row->running, 0);
    if (act->kind == RANK_ACT_ROLE) {
        row->kept = click && click->keep;
        if (row->kept)
            click->keep(self_of(rank, model));
        set_role(row, act->value);
        return FR_OK;
    }
    if (act->kind == RANK_ACT_RATE) {
        row->rate = act->factor;
        return FR_OK;
    }
    if (act->kind == RANK_ACT_ROLLBACK) {
        if (click && click->swap && row->kept)
            click->swap(self_of(rank, model));
        set_role(row, row->previous_role);
    } else {
        FR_TRY(change_parameters(rank, model, act, error));
        FR_STORE(row->previous_role, row->role);
    }
    FR_STORE(row->version, row->version + 1);
    evidence_clear(row);
    return FR_OK;
}

enum fr_status rank_model_save(const struct rank *rank, uint32_t model, struct base_buf *out,
                               struct fr_error *error)
{
    const struct model_click_expert *click = click_of(rank, model);
    if (!click || !click->save)
        return base_fail(error, FR_UNSUPPORTED, "rank",
                         "\"%s\" has no parameters apart from what the journal taught it",
                         rank_model_name(rank, model));
    return click->save(self_of(rank, model), out);
}

/* ---- deferred jobs -------------------------------------------------------------------------- */

bool rank_job_exists(const struct rank *rank, uint32_t model)
{
    return deferred_of(rank, model) != NULL;
}

bool rank_job_can_begin(const struct rank *rank, uint32_t model, uint64_t number)
{
    const struct model_row *row = row_at(rank, model);
    return deferred_of(rank, model) && !row->running && number == row->jobs + 1;
}

bool rank_job_due(const struct rank *rank, uint32_t model)
{
    const struct model_deferred *deferred = deferred_of(rank, model);
    const struct model_row *row = row_at(rank, model);
    return deferred && row->role != RANK_OFF && !row->running &&
           deferred->due(self_of(rank, model), (uint32_t)(state_clock_us(rank->state) / 1000000));
}

bool rank_job_running(const struct rank *rank, uint32_t model)
{
    return FR_LOAD(row_at(rank, model)->running) != 0;
}

bool rank_job_is_artefact(const struct rank *rank, uint32_t model)
{
    const struct model_deferred *deferred = deferred_of(rank, model);
    return deferred && deferred->artefact;
}

uint64_t rank_job_number(const struct rank *rank, uint32_t model)
{
    return FR_LOAD(row_at(rank, model)->jobs);
}

void rank_job_begin(struct rank *rank, uint32_t model, uint64_t position)
{
    const struct model_deferred *deferred = deferred_of(rank, model);
    struct model_row *row = row_write(rank, model);
    FR_ASSERT(deferred && !row->running);
    FR_STORE(row->jobs, row->jobs + 1);
    FR_STORE(row->started, position);
    FR_STORE(row->running, 1);
    deferred->start(self_of(rank, model));
}

void rank_job_resume(struct rank *rank, uint32_t model)
{
    const struct model_deferred *deferred = deferred_of(rank, model);
    if (deferred && deferred->artefact) /* exact learners have their inputs in tables (C1) */
        deferred->start(self_of(rank, model));
}

enum fr_status rank_job_work(struct rank *rank, uint32_t model, const struct model_pace *pace,
                             struct fr_error *error)
{
    return deferred_of(rank, model)->work(self_of(rank, model), pace, error);
}

void rank_job_result(const struct rank *rank, uint32_t model, struct rank_job_result *out_result)
{
    const struct model_deferred *deferred = deferred_of(rank, model);
    void *self = self_of(rank, model);
    *out_result =
        (struct rank_job_result){.number = rank_job_number(rank, model),
                                 .digest = deferred->artefact ? 0 : deferred->digest(self),
                                 .bytes = deferred->artefact ? deferred->result(self)
                                                             : fr_slice_of(NULL, 0)};
}

enum fr_status rank_job_end(struct rank *rank, uint32_t model, uint64_t position,
                            const struct rank_job_result *result, struct fr_error *error)
{
    const struct model_deferred *deferred = deferred_of(rank, model);
    struct model_row *row = row_write(rank, model);
    enum fr_status status = FR_OK;
    if (!deferred || !row->running || result->number != row->jobs)
        return base_fail(error, FR_INVALID, "rank", "job %llu of \"%s\" is not under way",
                         (unsigned long long)result->number, rank_model_name(rank, model));
    FR_STORE(row->running, 0);
    if (!deferred->artefact && deferred->digest(self_of(rank, model)) != result->digest)
        status = base_fail(error, FR_CORRUPT, "rank",
                           "job %llu of \"%s\" came to another result than its record says",
                           (unsigned long long)result->number, rank_model_name(rank, model));
    if (status == FR_OK)
        status = deferred->install(self_of(rank, model), result->bytes, error);
    if (status != FR_OK) {
        FR_STORE(row->refused, row->refused + 1);
        return status;
    }
    FR_STORE(row->published, position);
    FR_STORE(row->learnt, row->started);
    FR_STORE(row->version, row->version + 1);
    return FR_OK;
}

void rank_jobs_now(struct rank *rank, uint64_t position)
{
    for (uint32_t m = rank->expert_count; m < rank->expert_count + rank->click_count; m++) {
        struct rank_job_result result;
        if (!rank_job_due(rank, m))
            continue;
        rank_job_begin(rank, m, position);
        if (rank_job_work(rank, m, NULL, NULL) != FR_OK) {
            FR_STORE(row_write(rank, m)->running, 0);
            continue;
        }
        rank_job_result(rank, m, &result);
        fr_ignore(rank_job_end(rank, m, position, &result, NULL), "counted as refused in its row");
    }
}
