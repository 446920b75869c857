/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs of deferred learners: see models.h. The fold stage begins and ends them by records; between
 * these the worker computes on inputs that nobody else changes.
 *
 *   state      set by
 *   IDLE       at first, and when a job ends
 *   READY      the START record was applied (or a snapshot was loaded that holds a job under way)
 *   WORKING    the worker, or the fold stage when a PUBLISH record finds it READY (replay)
 *   DONE       work() has come to a result; the fold stage adds the PUBLISH record
 *
 * Without threads the fold stage works itself, at once. While a whole journal is imported no record is
 * added: those that come in say when.
 * Locks: jobs.lock, a leaf; not held while working.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fold/fold_priv.h"
#include "fold/models.h"

enum {
    SHARE = 4,             /* of a core: one part working, three resting */
    REST_NS_MIN = 2000000, /* owed rest is slept off in pieces of at least this */
    REST_NS_MAX = 500000000,
    ASK_AGAIN_NS = 1000000000, /* times 10: a record that a full disk has lost */
    EVIDENCE_EVERY = 4096,     /* records between two looks at the evidence */
    EVIDENCE_LEAST = 2000,     /* judged events */
};

enum job_state { IDLE, READY, WORKING, DONE };

struct job {
    enum job_state state;
    bool cancel; /* give up: an act or an artefact's record has made it void */
    bool asked;  /* a record was added that has not been applied yet */
    int64_t asked_ns;
    enum fr_status status; /* of work() */
    struct fr_error error;
};

struct fold__jobs {
    struct fold *fold;
    struct rank *rank;
    uint32_t count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, stop, hurry;
    struct job job[RANK_MODELS_MAX];
    struct base_buf payload;
    uint64_t evidence_position;
    uint32_t current; /* the worker's job */
    int64_t worked_ns, owed_ns;
};

/* ---- records -------------------------------------------------------------------------------- */

void fold_model_encode(const struct fold_model_record *record, struct base_buf *out)
{
    uint32_t factor;
    memcpy(&factor, &record->act.factor, sizeof(factor));
    base_buf_put_u8(out, (uint8_t)record->what);
    base_buf_put_string(out, record->model);
    if (record->what != FOLD_MODEL_ACT)
        base_buf_put_u64(out, record->job.number);
    if (record->what == FOLD_MODEL_PUBLISH) {
        base_buf_put_u64(out, record->job.digest);
        base_buf_put_string(out, record->job.bytes);
    }
    if (record->what != FOLD_MODEL_ACT)
        return;
    base_buf_put_u8(out, (uint8_t)record->act.kind);
    base_buf_put_u32(out, record->act.value);
    base_buf_put_u32(out, factor);
    base_buf_put_string(out, record->act.bytes);
    base_buf_put_string(out, record->why);
}

enum fr_status fold_model_decode(struct fr_slice bytes, struct fold_model_record *out_record)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    struct fold_model_record *record = out_record;
    *record = (struct fold_model_record){0};
    record->what = (enum fold_model_what)base_reader_u8(&reader);
    record->model = base_reader_string(&reader);
    if (record->what == FOLD_MODEL_START || record->what == FOLD_MODEL_PUBLISH)
        record->job.number = base_reader_u64(&reader);
    if (record->what == FOLD_MODEL_PUBLISH) {
        record->job.digest = base_reader_u64(&reader);
        record->job.bytes = base_reader_string(&reader);
    }
    if (record->what == FOLD_MODEL_ACT) {
        record->act.kind = (enum rank_act_kind)base_reader_u8(&reader);
        record->act.model = record->model;
        record->act.value = base_reader_u32(&reader);
        uint32_t factor = base_reader_u32(&reader);
        memcpy(&record->act.factor, &factor, sizeof(factor));
        record->act.bytes = base_reader_string(&reader);
        record->why = base_reader_string(&reader);
    }
    bool known = record->what >= FOLD_MODEL_START && record->what <= FOLD_MODEL_ACT;
    return reader.failed || !known ? FR_CORRUPT : FR_OK;
}

/* ---- making --------------------------------------------------------------------------------- */

enum fr_status fold__jobs_new(struct fold *fold, struct fr_error *error)
{
    struct fold__jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return base_fail(error, FR_MEMORY, "fold", "no memory for the jobs");
    jobs->fold = fold;
    jobs->rank = fold->options.rank;
    jobs->count = jobs->rank ? rank_models(jobs->rank, NULL, UINT32_MAX) : 0;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->changed, NULL);
    base_buf_init(&jobs->payload, 0);
    fold->jobs = jobs;
    return FR_OK;
}

void fold__jobs_free(struct fold__jobs *jobs)
{
    if (!jobs)
        return;
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    base_buf_release(&jobs->payload);
    free(jobs);
}

void fold__jobs_loaded(struct fold *fold)
{
    struct fold__jobs *jobs = fold->jobs;
    for (uint32_t m = 0; m < jobs->count; m++) {
        if (!rank_job_running(jobs->rank, m))
            continue;
        rank_job_resume(jobs->rank, m);
        jobs->job[m].state = READY;
    }
}

/* ---- the worker ----------------------------------------------------------------------------- */

static int64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sleeps, or until something changes. Locks: lock is held. */
static void rest(struct fold__jobs *jobs, int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    ns += until.tv_nsec;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    (void)pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until);
}

/* Between two steps of a job, on the worker. */
static bool pace_step(void *context)
{
    struct fold__jobs *jobs = context;
    int64_t now_ns = thread_ns();
    jobs->owed_ns += (SHARE - 1) * (now_ns - jobs->worked_ns);
    jobs->worked_ns = now_ns;
    pthread_mutex_lock(&jobs->lock);
    struct job *job = &jobs->job[jobs->current];
    if (jobs->owed_ns >= REST_NS_MIN && !jobs->hurry && !jobs->stop && !job->cancel) {
        rest(jobs, FR_MIN(jobs->owed_ns, (int64_t)REST_NS_MAX));
        jobs->owed_ns = 0;
    }
    bool go_on = !jobs->stop && !job->cancel;
    pthread_mutex_unlock(&jobs->lock);
    return go_on;
}

/* The number of a job that is READY, or `count`. Locks: lock is held. */
static uint32_t find_ready(const struct fold__jobs *jobs)
{
    uint32_t m = 0;
    while (m < jobs->count && jobs->job[m].state != READY)
        m++;
    return m;
}

static void *worker_main(void *context)
{
    struct fold__jobs *jobs = context;
    const struct model_pace pace = {pace_step, jobs};
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->stop) {
        uint32_t m = find_ready(jobs);
        if (m == jobs->count) {
            pthread_cond_wait(&jobs->changed, &jobs->lock);
            continue;
        }
        struct job *job = &jobs->job[m];
        job->state = WORKING;
        jobs->current = m;
        pthread_mutex_unlock(&jobs->lock);
        jobs->worked_ns = thread_ns();
        enum fr_status status = rank_job_work(jobs->rank, m, &pace, &job->error);
        pthread_mutex_lock(&jobs->lock);
        job->status = status;
        job->state = job->cancel ? IDLE : status == FR_AGAIN ? READY : DONE;
        pthread_cond_broadcast(&jobs->changed);
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

void fold__jobs_start(struct fold *fold)
{
    struct fold__jobs *jobs = fold->jobs;
    if (!jobs->count)
        return;
    jobs->stop = false;
    jobs->running = true;
    FR_ASSERT(pthread_create(&jobs->thread, NULL, worker_main, jobs) == 0);
    pthread_setname_np(jobs->thread, "fr-learn");
}

void fold__jobs_stop(struct fold *fold)
{
    struct fold__jobs *jobs = fold->jobs;
    if (!jobs->running)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stop = true;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    pthread_join(jobs->thread, NULL);
    jobs->running = false;
}

/* ---- applying (fold stage) ------------------------------------------------------------------- */

/* Nobody works on it any more when this returns. */
static void cancel(struct fold__jobs *jobs, uint32_t m)
{
    struct job *job = &jobs->job[m];
    pthread_mutex_lock(&jobs->lock);
    job->cancel = true;
    pthread_cond_broadcast(&jobs->changed);
    while (job->state == WORKING)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    *job = (struct job){.state = IDLE};
    pthread_mutex_unlock(&jobs->lock);
}

/* The result is there when this returns: waits for the worker, or works itself. */
static enum fr_status finish(struct fold__jobs *jobs, uint32_t m)
{
    struct job *job = &jobs->job[m];
    pthread_mutex_lock(&jobs->lock);
    jobs->hurry = true;
    pthread_cond_broadcast(&jobs->changed);
    while (job->state == WORKING)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    jobs->hurry = false;
    bool mine = job->state == READY;
    if (mine)
        job->state = WORKING;
    pthread_mutex_unlock(&jobs->lock);
    if (mine)
        job->status = rank_job_work(jobs->rank, m, NULL, &job->error);
    enum fr_status status = job->status;
    pthread_mutex_lock(&jobs->lock);
    job->state = DONE;
    pthread_mutex_unlock(&jobs->lock);
    return status;
}

static enum fr_status apply_start(struct fold__jobs *jobs, uint32_t m,
                                  const struct fold_model_record *record, uint64_t position)
{
    struct job *job = &jobs->job[m];
    if (!rank_job_can_begin(jobs->rank, m, record->job.number))
        return FR_INVALID;
    rank_job_begin(jobs->rank, m, position);
    pthread_mutex_lock(&jobs->lock);
    *job = (struct job){.state = READY};
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    return FR_OK;
}

static enum fr_status apply_publish(struct fold__jobs *jobs, uint32_t m,
                                    const struct fold_model_record *record, uint64_t position)
{
    struct fr_error error = {0};
    enum fr_status status = FR_OK;
    if (!rank_job_running(jobs->rank, m) || rank_job_number(jobs->rank, m) != record->job.number)
        return FR_INVALID; /* an act has made it void */
    if (!rank_job_is_artefact(jobs->rank, m))
        status = finish(jobs, m);
    FR_ASSERT(status == FR_OK); /* exact learners do not fail: their inputs were checked */
    cancel(jobs, m);
    status = rank_job_end(jobs->rank, m, position, &record->job, &error);
    if (status != FR_OK)
        obs_log(OBS_WARN, "fold", "%s", error.message);
    return FR_OK; /* what is refused is counted with its model */
}

static enum fr_status apply_act(struct fold__jobs *jobs, uint32_t m,
                                const struct fold_model_record *record)
{
    struct fr_error error = {0};
    FR_TRY(rank_act_check(jobs->rank, &record->act, &error));
    cancel(jobs, m);
    FR_TRY(rank_act_apply(jobs->rank, &record->act, &error));
    if (!jobs->fold->options.read_only && jobs->running)
        obs_log(OBS_INFO, "fold", "model %.*s: %s (%.*s)", (int)record->model.bytes,
                record->model.ptr, rank_act_name(record->act.kind), (int)record->why.bytes,
                record->why.ptr);
    return FR_OK;
}

enum fr_status fold__jobs_apply(struct fold *fold, const struct journal_record *record)
{
    struct fold__jobs *jobs = fold->jobs;
    struct fold_model_record model;
    FR_TRY(fold_model_decode(record->payload, &model));
    int m = jobs->rank ? rank_model_find(jobs->rank, model.model) : -1;
    if (m < 0)
        return FR_NOT_FOUND;
    if (model.what == FOLD_MODEL_START)
        return apply_start(jobs, (uint32_t)m, &model, record->position);
    if (model.what == FOLD_MODEL_PUBLISH)
        return apply_publish(jobs, (uint32_t)m, &model, record->position);
    return apply_act(jobs, (uint32_t)m, &model);
}

/* ---- adding records (fold stage, between units) ------------------------------------------------ */

static void add_record(struct fold__jobs *jobs, const struct fold_model_record *record)
{
    base_buf_clear(&jobs->payload);
    fold_model_encode(record, &jobs->payload);
    if (!jobs->payload.overflowed)
        fold__hand_on(jobs->fold, SCHEMA_KIND_MODEL, base_buf_slice(&jobs->payload));
}

static void add_start(struct fold__jobs *jobs, uint32_t m, struct fr_slice name)
{
    const struct fold_model_record record = {.what = FOLD_MODEL_START,
                                             .model = name,
                                             .job.number = rank_job_number(jobs->rank, m) + 1};
    add_record(jobs, &record);
}

static void add_publish(struct fold__jobs *jobs, uint32_t m, struct fr_slice name)
{
    struct fold_model_record record = {.what = FOLD_MODEL_PUBLISH, .model = name};
    if (jobs->job[m].status != FR_OK) {
        obs_log(OBS_WARN, "fold", "a job of model %.*s has failed: %s", (int)name.bytes, name.ptr,
                jobs->job[m].error.message);
        record.job.number = rank_job_number(jobs->rank, m); /* no bytes: refused when applied */
    } else {
        rank_job_result(jobs->rank, m, &record.job);
    }
    add_record(jobs, &record);
}

/* Is a record to be added for this job now? Once, and again when it seems to have been lost. */
static bool asks(struct fold__jobs *jobs, struct job *job)
{
    int64_t now_ns = os_mono_ns(jobs->fold->options.os);
    if (job->asked && now_ns - job->asked_ns < 10 * (int64_t)ASK_AGAIN_NS)
        return false;
    job->asked = true;
    job->asked_ns = now_ns;
    return true;
}

static void step_job(struct fold__jobs *jobs, uint32_t m)
{
    struct job *job = &jobs->job[m];
    struct fr_slice name = fr_slice_str(rank_model_name(jobs->rank, m));
    pthread_mutex_lock(&jobs->lock);
    enum job_state state = job->state;
    pthread_mutex_unlock(&jobs->lock);
    if (state == READY && !jobs->running) {
        (void)finish(jobs, m);
        state = DONE;
    }
    if (state == DONE && asks(jobs, job))
        add_publish(jobs, m, name);
    if (state == IDLE && rank_job_due(jobs->rank, m) && asks(jobs, job))
        add_start(jobs, m, name);
}

/* Promotes a shadow that is better for certain, takes back a live one that does harm for certain. */
static void step_evidence(struct fold__jobs *jobs)
{
    struct rank_model model[RANK_MODELS_MAX];
    uint64_t position = jobs->fold->row->position;
    if (!jobs->fold->options.promote || position < jobs->evidence_position + EVIDENCE_EVERY)
        return;
    jobs->evidence_position = position;
    uint32_t count = rank_models(jobs->rank, model, RANK_MODELS_MAX);
    for (uint32_t m = 0; m < count; m++) {
        bool better = model[m].role == RANK_SHADOW && model[m].gain_low > 0;
        bool worse = model[m].role == RANK_LIVE && model[m].second_stage && model[m].gain_high < 0;
        if (model[m].judged < EVIDENCE_LEAST || !(better || worse))
            continue;
        struct fold_model_record record = {.what = FOLD_MODEL_ACT,
                                           .model = fr_slice_str(model[m].name),
                                           .why = FR_SLICE("evidence")};
        record.act =
            (struct rank_act){.kind = RANK_ACT_ROLE, .value = better ? RANK_LIVE : RANK_SHADOW};
        add_record(jobs, &record);
    }
}

void fold__jobs_step(struct fold *fold)
{
    struct fold__jobs *jobs = fold->jobs;
    uint32_t rate = __atomic_load_n(&fold->options.sample_one_in, __ATOMIC_RELAXED);
    bool on = jobs->running || (fold->options.by_hand && fold->options.jobs_by_hand);
    if (!on || fold_failed(fold) || fold->options.read_only || rate == FOLD_AS_RECORDED)
        return;
    for (uint32_t m = 0; m < jobs->count; m++)
        if (rank_job_exists(jobs->rank, m))
            step_job(jobs, m);
    step_evidence(jobs);
}
