/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/models: the life of the experts over HTTP: GET /v1/models lists them, POST
 * /v1/models/{name}/{act} and PUT /v1/models/{name}/parameters become journal records, checked first.
 */
#include <stdio.h>
#include <string.h>

#include "fold/models.h"
#include "rank/models.h"
#include "serve/serve_priv.h"

static void print_evidence(struct base_buf *out, const struct rank_model *model)
{
    serve__pair_u64(out, "judged", model->judged);
    serve__pair_fixed(out, "hr10", model->hit10, 5);
    serve__pair_fixed(out, "gain", model->gain, 6);
    serve__pair_fixed(out, "gain_low", model->gain_low, 6);
    serve__pair_fixed(out, "gain_high", model->gain_high, 6);
    if (!model->second_stage)
        return;
    serve__pair_fixed(out, "weight", model->weight, 5);
    serve__pair_u64(out, "examples", model->examples);
    serve__pair_fixed(out, "logloss", model->logloss, 5);
    serve__pair_fixed(out, "auc", model->auc, 5);
    serve__pair_fixed(out, "ece", model->ece, 5);
    serve__pair_fixed(out, "pcoc", model->pcoc, 5);
    serve__pair_u64(out, "steps", model->steps);
}

static void print_job(struct base_buf *out, const struct rank_model *model, uint64_t applied)
{
    bool behind = model->running || model->waiting > 0;
    serve__pair_u64(out, "waiting", model->waiting);
    serve__pair_bool(out, "running", model->running);
    serve__pair_u64(out, "jobs", model->jobs);
    serve__pair_u64(out, "refused", model->refused);
    serve__pair_u64(out, "published_position", model->published_position);
    serve__pair_u64(out, "lag_records",
                    behind ? applied - FR_MIN(model->learnt_position, applied) : 0);
}

static void print_model(const struct rank_model *model, uint64_t applied, struct base_buf *out)
{
    base_buf_put_str(out, "{");
    serve__pair_text(out, "name", fr_slice_str(model->name));
    serve__pair_text(out, "role", fr_slice_str(rank_role_name(model->role)));
    serve__pair_text(out, "previous_role", fr_slice_str(rank_role_name(model->previous_role)));
    serve__pair_u64(out, "stage", model->second_stage ? 2 : 1);
    serve__pair_u64(out, "version", model->version);
    print_evidence(out, model);
    if (model->deferred)
        print_job(out, model, applied);
    base_buf_put_str(out, "}");
}

void serve_models_print(const struct rank *rank, uint64_t applied, struct base_buf *out)
{
    struct rank_model models[RANK_MODELS_MAX];
    uint32_t count = rank_models(rank, models, RANK_MODELS_MAX);
    base_buf_put_str(out, "[");
    for (uint32_t m = 0; m < count; m++) {
        if (m)
            base_buf_put_str(out, ",");
        print_model(&models[m], applied, out);
    }
    base_buf_put_str(out, "]");
}

void serve__handle_models(struct serve_call *call)
{
    serve__json(call, 200);
    base_buf_put_str(call->out, "{\"models\":");
    serve_models_print(call->serve->options.rank, fold_applied(call->serve->options.fold),
                       call->out);
    base_buf_put_str(call->out, "}");
}

static void no_such_model(struct serve_call *call)
{
    char detail[SCHEMA_ID_BYTES_MAX + 32];
    snprintf(detail, sizeof detail, "there is no model \"%.*s\"",
             (int)FR_MIN(call->path_value[0].bytes, (size_t)SCHEMA_ID_BYTES_MAX),
             call->path_value[0].ptr);
    serve__problem(call, 404, "no_such_model", "GET /v1/models lists them", detail);
}

void serve__handle_model(struct serve_call *call)
{
    struct rank_model models[RANK_MODELS_MAX];
    const struct rank *rank = call->serve->options.rank;
    int m = rank_model_find(rank, call->path_value[0]);
    if (m < 0) {
        no_such_model(call);
        return;
    }
    rank_models(rank, models, RANK_MODELS_MAX);
    serve__json(call, 200);
    print_model(&models[m], fold_applied(call->serve->options.fold), call->out);
}

/* ---- acts ---------------------------------------------------------------------------------- */

static void answer_refused(struct serve_call *call, const struct fr_error *error)
{
    if (error->status == FR_NOT_FOUND)
        no_such_model(call);
    else if (error->status == FR_UNSUPPORTED)
        serve__problem(call, 409, "not_of_this_model", "GET /v1/models shows what each is",
                       error->message);
    else
        serve__problem(call, 422, "bad_act", error->hint[0] ? error->hint : NULL, error->message);
}

static void take(struct serve_call *call, struct rank_act *act)
{
    struct fr_error error = {0};
    struct base_buf payload;
    act->model = call->path_value[0];
    if (rank_act_check(call->serve->options.rank, act, &error) != FR_OK) {
        answer_refused(call, &error);
        return;
    }
    const struct fold_model_record record = {.what = FOLD_MODEL_ACT,
                                             .model = act->model,
                                             .act = *act,
                                             .why = FR_SLICE("command")};
    char detail[64];
    if (act->kind == RANK_ACT_RATE)
        snprintf(detail, sizeof detail, "rate %g", (double)act->factor);
    else if (act->kind == RANK_ACT_ROLE)
        snprintf(detail, sizeof detail, "role %s", rank_role_name((enum rank_role)act->value));
    else if (act->kind == RANK_ACT_RESET_LAYER)
        snprintf(detail, sizeof detail, "%s %u", rank_act_name(act->kind), act->value);
    else
        snprintf(detail, sizeof detail, "%s", rank_act_name(act->kind));
    base_buf_init(&payload, 0);
    fold_model_encode(&record, &payload);
    if (payload.overflowed)
        serve__problem(call, 503, "no_memory", "send again", "no memory for this request");
    else
        serve__submit_record(call, SCHEMA_KIND_MODEL, base_buf_slice(&payload),
                             &(struct schema_act){.actor = serve__actor(call),
                                                  .act = FR_SLICE("model_changed"),
                                                  .target = act->model,
                                                  .detail = fr_slice_str(detail)});
    base_buf_release(&payload);
}

/* Names of acts as the address has them. promote: live, demote: shadow. */
static bool act_of(const struct serve_call *call, struct rank_act *act)
{
    static const struct {
        const char *name;
        enum rank_act_kind kind;
        uint32_t value;
    } acts[] = {{"promote", RANK_ACT_ROLE, RANK_LIVE},    {"demote", RANK_ACT_ROLE, RANK_SHADOW},
                {"off", RANK_ACT_ROLE, RANK_OFF},         {"rollback", RANK_ACT_ROLLBACK, 0},
                {"reset-layer", RANK_ACT_RESET_LAYER, 0}, {"rate", RANK_ACT_RATE, 0}};
    for (size_t i = 0; i < FR_COUNT_OF(acts); i++) {
        if (!fr_slice_equal(call->path_value[1], fr_slice_str(acts[i].name)))
            continue;
        *act = (struct rank_act){.kind = acts[i].kind, .value = acts[i].value, .factor = 1.0f};
        return true;
    }
    return false;
}

void serve__handle_model_act(struct serve_call *call)
{
    struct rank_act act;
    if (!act_of(call, &act)) {
        serve__problem(call, 404, "no_such_act",
                       "promote, demote, off, rollback, reset-layer?layer=N, rate?percent=P",
                       "there is no such act");
        return;
    }
    if (act.kind == RANK_ACT_RESET_LAYER)
        act.value = (uint32_t)serve_args_int(call->args, "layer", 0);
    if (act.kind == RANK_ACT_RATE)
        act.factor = (float)serve_args_int(call->args, "percent", 100) / 100.0f;
    take(call, &act);
}

void serve__handle_model_parameters(struct serve_call *call)
{
    struct rank_act act = {.kind = RANK_ACT_LOAD, .bytes = call->http->body};
    take(call, &act);
}
