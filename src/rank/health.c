/* SPDX-License-Identifier: Apache-2.0
 *
 * rank/health: see the door. Tables: "health" (a row a segment and column), "health-detectors" (two
 * a column, the fold thread's own), "health-inputs" (one row), "health-head" (one), "alarms" (a
 * ring). Rows that others read carry a version (R2) or are read word by word.
 */
#include "rank/health.h"

#include <string.h>

#include "base/buf.h"
#include "base/fmath.h"
#include "model/word.h"
#include "rank/rank_priv.h"

enum {
    COLUMNS = RANK__COLUMNS, /* blend, popular, experts */
    HIT_WINDOW = 2048,       /* events; means are over that to twice that */
    FULL_WINDOW = 512,       /* of one in RANK_FULL_ONE_IN */
    INPUT_WINDOW = 512,
    REFERENCE_WINDOWS = 8, /* the reference is renewed at the latest after so many */
    EVIDENCE_MIN = 256,    /* events before the cut */
    REST_EVENTS = 2000,    /* between two remedies, and before the first */
    DEVICES = 4,
    REGIONS = 8,
    HISTORIES = 4,
    SEGMENT_HISTORY = 1,
    SEGMENT_DEVICE = SEGMENT_HISTORY + HISTORIES,
    SEGMENT_REGION = SEGMENT_DEVICE + DEVICES,
    SEGMENTS = SEGMENT_REGION + REGIONS,
    ESTABLISHED_RANK = 50, /* by long-term popularity among the candidates */
    ESTABLISHED = COLUMNS, /* a detector of its own: the blend's hits on popular items */
    NETWORK,               /* and one: the hits that the network brings, (1 + with - without) / 2 */
    TWIN,                  /* no detector: the name of an alarm that a trial ends with */
    TRIAL_LEAST = 256,     /* events of a trial before it is looked at, and at most */
    TRIAL_MOST = 2000,
};
enum { INPUT_TOP = MODEL_FEATURES_MAX, INPUT_HISTORY, INPUT_CANDIDATES };

static const float loss_max = 12.0f, psi_max = 0.25f;
static const double fallen = 0.6, no_gain = 0.5;
static const float ahead_max = 0.25f; /* nats of one event that count */
/* One false alarm in so many looks at any of the detectors: Bonferroni over them. */
static const double detector_delta = 0.002 / (2.0 * COLUMNS), interval_alpha = 0.05;

struct cell {
    uint32_t version, spare;
    struct model_window hit, loss, auc;
    struct model_bins bins;
};

struct detectors_row {
    struct model_adwin hit, loss;
};

struct inputs_row {
    struct model_histogram histogram[RANK_INPUTS_MAX];
    float psi[RANK_INPUTS_MAX], kl[RANK_INPUTS_MAX];
    uint32_t turns, spare;
};

struct head_row {
    uint64_t judged;                           /* events, learnt from */
    uint64_t alarms;                           /* ever */
    uint64_t remedies;                         /* ever */
    uint64_t rest_until[RANK_ACTION_COUNT];    /* of `judged` */
    struct rank_remedy wanted;                 /* actions 0: none */
    struct model_fading established;           /* hits on what is popular */
    uint64_t trial;                            /* a twin of the blend learns beside it: 1 */
    struct model_window ahead;                 /* by how much its loss is lower, scaled to [0, 1] */
    uint32_t device[DEVICES], region[REGIONS]; /* context values, in order of appearance */
};

struct alarm_row {
    uint32_t version, number, time_s, signal, index, actions;
    uint64_t position, acted;
    float before, after, excess;
    uint32_t spare;
};

const char *rank_signal_name(enum rank_signal signal)
{
    static const char *const names[] = {"hit", "logloss", "input"};
    return (size_t)signal < FR_COUNT_OF(names) ? names[signal] : "unknown";
}

const char *rank_action_name(enum rank_action action)
{
    return action == RANK_ACTION_RATE      ? "rate"
           : action == RANK_ACTION_NETWORK ? "network"
           : action == RANK_ACTION_AGE     ? "age"
           : action == RANK_ACTION_SWITCH  ? "switch"
                                           : "unknown";
}

/* ---- tables --------------------------------------------------------------------------------- */

static enum fr_status table_new(struct rank *rank, struct base_rows_options options,
                                struct fr_error *error, struct base_rows **out_rows)
{
    FR_TRY(base_rows_new(&options, error, out_rows));
    rank__table_add(rank, *out_rows);
    for (uint32_t i = 1; i < options.count_max; i++)
        FR_ASSERT(base_rows_add(*out_rows) == i);
    return FR_OK;
}

enum fr_status rank__health_new(struct rank *rank, struct fr_error *error)
{
    _Static_assert(sizeof(struct inputs_row) <= BASE_ROWS_BLOCK_BYTES, "one block");
    struct rank__health *health = &rank->health;
    FR_TRY(
        table_new(rank,
                  (struct base_rows_options){"health", sizeof(struct cell), 1 + SEGMENTS * COLUMNS},
                  error, &health->cells));
    FR_TRY(table_new(rank,
                     (struct base_rows_options){"health-detectors", sizeof(struct detectors_row),
                                                1 + NETWORK + 1},
                     error, &health->detectors));
    FR_TRY(table_new(rank,
                     (struct base_rows_options){"health-inputs", sizeof(struct inputs_row), 2},
                     error, &health->inputs));
    FR_TRY(table_new(rank, (struct base_rows_options){"health-head", sizeof(struct head_row), 2},
                     error, &health->head));
    return table_new(rank,
                     (struct base_rows_options){"alarms", sizeof(struct alarm_row),
                                                1 + RANK_ALARMS_KEPT},
                     error, &health->alarms);
}

void rank__health_free(struct rank *rank)
{
    base_rows_free(rank->health.cells);
    base_rows_free(rank->health.detectors);
    base_rows_free(rank->health.inputs);
    base_rows_free(rank->health.head);
    base_rows_free(rank->health.alarms);
}

static struct head_row *head_write(struct rank *rank)
{
    return base_rows_write(rank->health.head, 1);
}

static const struct head_row *head_read(const struct rank *rank)
{
    return base_rows_at(rank->health.head, 1);
}

static uint32_t columns_of(const struct rank *rank)
{
    return rank->expert_count + 2;
}

/* ---- alarms --------------------------------------------------------------------------------- */

static void alarm_raise(struct rank *rank, const struct state_event *event,
                        const struct alarm_row *found)
{
    struct head_row *head = head_write(rank);
    FR_STORE(head->alarms, head->alarms + 1);
    struct alarm_row *row =
        base_rows_write(rank->health.alarms, 1 + (uint32_t)(head->alarms % RANK_ALARMS_KEPT));
    struct alarm_row next = *found;
    next.version = row->version;
    next.number = (uint32_t)head->alarms;
    next.time_s = event->clock_s;
    next.position = event->position;
    base_row_change(&row->version);
    base_rows_put(&row->number, &next.number, sizeof(next) - sizeof(next.version));
    base_row_done(&row->version);
}

/* A fall of hits or a rise of the loss; what gets better is no alarm. */
static bool got_worse(const struct model_change *change, enum rank_signal signal)
{
    return signal == RANK_SIGNAL_HIT ? change->after < change->before
                                     : change->after > change->before;
}

struct watched {
    enum rank_signal signal;
    uint32_t column;
    double scale; /* of what is shown */
};

/* What the detector's fall asks for; 0: nothing. */
static uint32_t remedy_for(struct watched what, double from, double to,
                           const struct model_fading *established)
{
    if (what.column == NETWORK)
        return to < no_gain ? RANK_ACTION_NETWORK : 0;
    if (what.column == ESTABLISHED && model_fading_mean(established) <= fallen * from)
        return RANK_ACTION_AGE;
    return what.column == ESTABLISHED || what.column == 0 ? RANK_ACTION_RATE : 0;
}

static void want_remedy(struct rank *rank, struct watched what, const struct model_change *change)
{
    struct head_row *head = head_write(rank);
    uint32_t action = remedy_for(what, change->before, change->after, &head->established);
    if (!action || change->count_before < EVIDENCE_MIN)
        return;
    uint64_t *rest_until = &head->rest_until[__builtin_ctz(action)];
    if (head->judged < FR_MAX(*rest_until, (uint64_t)REST_EVENTS))
        return;
    *rest_until = head->judged + REST_EVENTS;
    head->wanted = (struct rank_remedy){
        .alarm = (uint32_t)head->alarms,
        .actions = head->wanted.actions | action,
        .signal = what.signal,
        .before = change->before * what.scale,
        .after = change->after * what.scale,
    };
}

/* Takes one value; on a change for the worse, an alarm and perhaps the wish for a remedy. */
static void watch(struct rank *rank, const struct state_event *event, struct watched what, double x)
{
    struct detectors_row *row = base_rows_write(rank->health.detectors, 1 + what.column);
    struct model_change change;
    if (!model_adwin_add(what.signal == RANK_SIGNAL_HIT ? &row->hit : &row->loss, x, detector_delta,
                         &change) ||
        !got_worse(&change, what.signal))
        return;
    alarm_raise(rank, event,
                &(struct alarm_row){.signal = what.signal,
                                    .index = what.column,
                                    .before = (float)(change.before * what.scale),
                                    .after = (float)(change.after * what.scale),
                                    .excess = (float)change.excess});
    want_remedy(rank, what, &change);
}

/* ---- the trial of a twin -------------------------------------------------------------------- */

bool rank__health_on_trial(const struct rank *rank)
{
    return head_read(rank)->trial != 0;
}

/* The twin is ahead for certain: its weights are wanted in the blend's place. */
static void want_switch(struct rank *rank, const struct state_event *event, double ahead)
{
    struct head_row *head = head_write(rank);
    double nats = (2.0 * ahead - 1.0) * (double)ahead_max;
    alarm_raise(rank, event,
                &(struct alarm_row){.signal = RANK_SIGNAL_LOSS,
                                    .index = TWIN,
                                    .before = (float)nats,
                                    .after = 0.0f,
                                    .excess = 1.0f});
    head->wanted = (struct rank_remedy){.alarm = (uint32_t)head->alarms,
                                        .actions = head->wanted.actions | RANK_ACTION_SWITCH,
                                        .signal = RANK_SIGNAL_LOSS,
                                        .before = nats};
}

void rank__health_trial_add(struct rank *rank, const struct state_event *event, float ahead)
{
    struct head_row *head = head_write(rank);
    struct model_interval interval;
    float clipped = ahead > ahead_max ? ahead_max : ahead < -ahead_max ? -ahead_max : ahead;
    model_window_add(&head->ahead, 0.5 + 0.5 * (double)(clipped / ahead_max), 0);
    model_window_interval(&head->ahead, interval_alpha, &interval);
    if (interval.count < TRIAL_LEAST || head->wanted.actions & RANK_ACTION_SWITCH)
        return;
    if (interval.low > 0.5)
        want_switch(rank, event, interval.mean);
    else if (interval.high < 0.5 || interval.count >= TRIAL_MOST)
        head->trial = 0;
}

/* Beside the detector, whose cut may lie before the change, the mean of the last few dozen. */
static void watch_established(struct rank *rank, const struct state_event *event, bool hit)
{
    model_fading_add(&head_write(rank)->established, hit ? 1.0 : 0.0, 0.97);
    watch(rank, event, (struct watched){RANK_SIGNAL_HIT, ESTABLISHED, 1.0}, hit ? 1.0 : 0.0);
}

/* ---- inputs --------------------------------------------------------------------------------- */

static float worst_input(struct inputs_row *row, uint32_t *out_index)
{
    float worst = 0.0f;
    for (uint32_t i = 0; i < RANK_INPUTS_MAX; i++) {
        struct model_divergence divergence;
        model_histogram_compare(&row->histogram[i], &divergence);
        model_word_store(&row->psi[i], (float)divergence.psi);
        model_word_store(&row->kl[i], (float)divergence.kl);
        if ((float)divergence.psi > worst) {
            worst = (float)divergence.psi;
            *out_index = i;
        }
    }
    return worst;
}

/* The end of a window: compared, an alarm for the worst input, and perhaps a new reference. */
static void inputs_turn(struct rank *rank, struct inputs_row *row, const struct state_event *event)
{
    uint32_t worst = 0;
    float psi = worst_input(row, &worst);
    if (psi > psi_max)
        alarm_raise(rank, event,
                    &(struct alarm_row){.signal = RANK_SIGNAL_INPUT,
                                        .index = worst,
                                        .before = row->kl[worst],
                                        .after = psi,
                                        .excess = psi / psi_max});
    bool renew = psi > psi_max || row->turns % REFERENCE_WINDOWS == 0;
    for (uint32_t i = 0; i < RANK_INPUTS_MAX; i++)
        model_histogram_turn(&row->histogram[i], renew);
    row->turns = renew ? 1 : row->turns + 1;
}

static void inputs_add(struct rank *rank, const struct rank_scoring *scoring,
                       const struct state_event *event, int32_t target)
{
    struct inputs_row *row = base_rows_write(rank->health.inputs, 1);
    const struct model_batch *batch = &scoring->batch;
    for (uint32_t f = 0; target >= 0 && f < rank->feature_count; f++)
        model_histogram_add(&row->histogram[f],
                            model_histogram_bin(scoring->x[f * batch->stride + (uint32_t)target]));
    const float values[3] = {-base_logf(rank->health.alone[0].top),
                             base_logf(1.0f + (float)(int32_t)batch->query->visit_count),
                             base_logf(1.0f + (float)(int32_t)batch->count)};
    for (uint32_t v = 0; v < 3; v++)
        model_histogram_add(&row->histogram[INPUT_TOP + v], model_histogram_bin(values[v]));
    if (row->histogram[INPUT_HISTORY].current_count >= INPUT_WINDOW)
        inputs_turn(rank, row, event);
}

/* ---- one event ------------------------------------------------------------------------------ */

void rank__health_begin(struct rank *rank, bool learn, uint64_t position)
{
    rank->health.full =
        learn && base_random_u64(rank->options.seed, position, 0x4e) % RANK_FULL_ONE_IN == 0;
    for (uint32_t c = 0; c < COLUMNS; c++)
        rank->health.alone[c].any = false;
}

void rank__health_alone(struct rank *rank, uint32_t column, const float *score,
                        const struct rank_scoring *scoring, int32_t target)
{
    if (!rank->health.full || target < 0 || scoring->batch.count < 2)
        return;
    struct rank__alone *alone = &rank->health.alone[column];
    uint32_t best = 0, count = scoring->batch.count;
    float sum = 0.0f;
    for (uint32_t i = 1; i < count; i++)
        best = score[i] > score[best] ? i : best;
    for (uint32_t i = 0; i < count; i++)
        sum += base_expf(score[i] - score[best]);
    *alone = (struct rank__alone){
        .any = true,
        .top_hit = best == (uint32_t)target,
        .top = 1.0f / sum,
        .loss = FR_MIN(base_logf(sum) + score[best] - score[(uint32_t)target], loss_max),
        .auc = 1.0f - rank__rank_of(score, count, (uint32_t)target) / (float)(int32_t)(count - 1),
    };
}

#define NOBODY UINT32_MAX /* a place whose context value has expired; it stays so */

/* The place of a context value among those watched, taken by the first that come; -1: not watched. */
static int32_t place_of(uint32_t *values, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; value && i < count; i++) {
        if (values[i] == 0)
            FR_STORE(values[i], value);
        if (values[i] == value)
            return (int32_t)i;
    }
    return -1;
}

static void place_forget(uint32_t *values, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (values[i] == value)
            FR_STORE(values[i], NOBODY);
}

void rank__health_forget(struct rank *rank, uint32_t value)
{
    struct head_row *head = head_write(rank);
    place_forget(head->device, DEVICES, value);
    place_forget(head->region, REGIONS, value);
}

static uint32_t segments_of(struct rank *rank, const struct model_query *query, uint32_t out[4])
{
    struct head_row *head = head_write(rank);
    uint32_t count = 0;
    int32_t device = place_of(head->device, DEVICES, query->context[STATE_DEVICE]);
    int32_t region = place_of(head->region, REGIONS, query->context[STATE_REGION]);
    out[count++] = 0;
    uint32_t visits = query->visit_count;
    out[count++] = SEGMENT_HISTORY + (visits > 31 ? 3u : visits > 7 ? 2u : visits > 1 ? 1u : 0u);
    if (device >= 0)
        out[count++] = SEGMENT_DEVICE + (uint32_t)device;
    if (region >= 0)
        out[count++] = SEGMENT_REGION + (uint32_t)region;
    return count;
}

static struct cell *cell_write(struct rank *rank, uint32_t segment, uint32_t column)
{
    return base_rows_write(rank->health.cells, 1 + segment * COLUMNS + column);
}

static void cell_add_hit(struct cell *cell, bool hit, uint32_t length)
{
    struct model_window next = cell->hit;
    model_window_add(&next, hit ? 1.0 : 0.0, length);
    base_row_change(&cell->version);
    base_rows_put(&cell->hit, &next, sizeof(next));
    base_row_done(&cell->version);
}

static void cell_add_alone(struct cell *cell, const struct rank__alone *alone)
{
    struct cell next = *cell;
    if (!alone->any)
        return;
    model_window_add(&next.loss, (double)(alone->loss / loss_max), FULL_WINDOW);
    model_window_add(&next.auc, (double)alone->auc, FULL_WINDOW);
    model_bins_add(&next.bins, alone->top, alone->top_hit, FULL_WINDOW);
    base_row_change(&cell->version);
    base_rows_put(&cell->hit, &next.hit, sizeof(next) - offsetof(struct cell, hit));
    base_row_done(&cell->version);
}

static bool is_hit(const struct rank *rank, const struct rank_outcome *outcome, uint32_t column)
{
    float at = column == 0   ? outcome->rank
               : column == 1 ? outcome->popularity_rank
                             : rank->expert_rank[column - 2];
    return at < 10.0f;
}

void rank__health_add(struct rank *rank, const struct rank_scoring *scoring,
                      const struct state_event *event, const struct rank_outcome *outcome)
{
    struct head_row *head = head_write(rank);
    struct rank__health *health = &rank->health;
    uint32_t segments[4], columns = columns_of(rank), count = 1;
    FR_STORE(head->judged, head->judged + 1);
    if (health->full)
        count = segments_of(rank, scoring->batch.query, segments);
    for (uint32_t c = 0; c < columns; c++) {
        bool hit = is_hit(rank, outcome, c);
        cell_add_hit(cell_write(rank, 0, c), hit, HIT_WINDOW);
        watch(rank, event, (struct watched){RANK_SIGNAL_HIT, c, 1.0}, hit ? 1.0 : 0.0);
        for (uint32_t s = 0; health->full && s < count; s++) {
            struct cell *cell = cell_write(rank, s ? segments[s] : 0, c);
            if (s > 0)
                cell_add_hit(cell, hit, FULL_WINDOW);
            cell_add_alone(cell, &health->alone[c]);
        }
        if (c != 1 && health->alone[c].any)
            watch(rank, event, (struct watched){RANK_SIGNAL_LOSS, c, (double)loss_max},
                  (double)(health->alone[c].loss / loss_max));
    }
    bool hit = is_hit(rank, outcome, 0);
    if (outcome->popularity_rank < (float)ESTABLISHED_RANK)
        watch_established(rank, event, hit);
    if (scoring->activations.ready && outcome->candidate >= 0) {
        float linear =
            rank__rank_of(scoring->linear, scoring->batch.count, (uint32_t)outcome->candidate);
        watch(rank, event, (struct watched){RANK_SIGNAL_HIT, NETWORK, 1.0},
              0.5 + 0.5 * ((double)hit - (double)(linear < 10.0f)));
    }
    if (health->full && health->alone[0].any)
        inputs_add(rank, scoring, event, outcome->candidate);
}

/* ---- remedies ------------------------------------------------------------------------------- */

bool rank_remedy_wanted(const struct rank *rank, struct rank_remedy *out_remedy)
{
    *out_remedy = head_read(rank)->wanted;
    return out_remedy->actions != 0;
}

void rank_remedy_apply(struct rank *rank, const struct rank_remedy *remedy, uint64_t position)
{
    struct head_row *head = head_write(rank);
    if (head->wanted.actions == 0 || remedy->alarm != head->wanted.alarm)
        return;
    head->wanted = (struct rank_remedy){0};
    FR_STORE(head->remedies, head->remedies + 1);
    if (remedy->actions & RANK_ACTION_SWITCH) {
        rank__twin_take(rank);
        head->trial = 0;
    }
    if (remedy->actions & RANK_ACTION_RATE) {
        rank__twin_begin(rank);
        head->trial = 1;
        head->ahead = (struct model_window){0};
    }
    if (remedy->actions & RANK_ACTION_NETWORK && rank->network)
        rank__network_forget(rank);
    if (remedy->actions & RANK_ACTION_AGE)
        state_age_counts(rank->state);
    for (uint32_t e = 0; e < rank->expert_count; e++)
        if (rank->expert[e]->quicken && remedy->actions & (RANK_ACTION_AGE | RANK_ACTION_SWITCH))
            rank->expert[e]->quicken(rank->self[e]);
    struct alarm_row *row =
        base_rows_write(rank->health.alarms, 1 + remedy->alarm % RANK_ALARMS_KEPT);
    if (row->number != remedy->alarm)
        return; /* the ring has gone round */
    base_row_change(&row->version);
    FR_STORE(row->actions, remedy->actions);
    FR_STORE(row->acted, position);
    base_row_done(&row->version);
}

enum { REMEDY_VERSION = 1 };

void rank_remedy_encode(const struct rank_remedy *remedy, struct base_buf *out)
{
    base_buf_put_u8(out, REMEDY_VERSION);
    base_buf_put_u32(out, remedy->alarm);
    base_buf_put_u32(out, remedy->actions);
    base_buf_put_u32(out, remedy->signal);
    base_buf_put_f64(out, remedy->before);
    base_buf_put_f64(out, remedy->after);
}

enum fr_status rank_remedy_decode(struct fr_slice bytes, struct rank_remedy *out_remedy)
{
    struct base_reader reader = base_reader_of(bytes.ptr, bytes.bytes);
    uint8_t version = base_reader_u8(&reader);
    struct rank_remedy remedy = {.alarm = base_reader_u32(&reader)};
    remedy.actions = base_reader_u32(&reader);
    remedy.signal = base_reader_u32(&reader);
    remedy.before = base_reader_f64(&reader);
    remedy.after = base_reader_f64(&reader);
    if (reader.failed || version != REMEDY_VERSION || base_reader_left(&reader) > 0 ||
        remedy.actions >> RANK_ACTION_COUNT)
        return FR_INVALID;
    *out_remedy = remedy;
    return FR_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static const char *column_name(const struct rank *rank, uint32_t column)
{
    return column == 0             ? "blend"
           : column == 1           ? "popular"
           : column == ESTABLISHED ? "established"
           : column == NETWORK     ? "network"
           : column == TWIN        ? "twin"
                                   : rank->expert[column - 2]->name;
}

static const char *input_name(const struct rank *rank, uint32_t input)
{
    static const char *const others[] = {"top_probability", "history_length", "candidates"};
    return input < rank->feature_count   ? rank->feature[input].name
           : input >= MODEL_FEATURES_MAX ? others[input - MODEL_FEATURES_MAX]
                                         : "";
}

/* A row that carries a version first, whole; false: it changed all the while. */
static bool row_copy(const struct base_rows *rows, uint32_t i, void *to)
{
    const uint32_t *version = base_rows_at(rows, i);
    for (int tries = 0; tries < 16; tries++) {
        uint32_t began = base_row_read_begin(version);
        base_rows_copy(to, version, base_rows_row_bytes(rows));
        if (base_row_read_ok(version, began))
            return true;
    }
    return false;
}

uint32_t rank_alarms(const struct rank *rank, struct rank_alarm *out, uint32_t count_max)
{
    uint64_t newest = FR_LOAD(head_read(rank)->alarms);
    uint32_t count = 0, kept = (uint32_t)FR_MIN(newest, (uint64_t)RANK_ALARMS_KEPT);
    for (uint32_t a = 0; a < FR_MIN(kept, count_max); a++) {
        struct alarm_row row;
        if (!row_copy(rank->health.alarms, 1 + (uint32_t)((newest - a) % RANK_ALARMS_KEPT), &row) ||
            row.number != (uint32_t)(newest - a))
            continue; /* a newer one has taken its place meanwhile */
        bool input = row.signal == RANK_SIGNAL_INPUT;
        out[count++] = (struct rank_alarm){
            .number = row.number,
            .time_s = row.time_s,
            .position = row.position,
            .signal = (enum rank_signal)row.signal,
            .name = input ? input_name(rank, row.index) : column_name(rank, row.index),
            .before = row.before,
            .after = row.after,
            .excess = row.excess,
            .actions = row.actions,
            .acted = row.acted,
        };
    }
    return count;
}

void rank_alarm_counts(const struct rank *rank, uint64_t *out_alarms, uint64_t *out_remedies)
{
    *out_alarms = FR_LOAD(head_read(rank)->alarms);
    *out_remedies = FR_LOAD(head_read(rank)->remedies);
}

static void segment_of(const struct rank *rank, uint32_t segment, struct rank_health *out)
{
    const struct head_row *head = head_read(rank);
    if (segment >= SEGMENT_REGION) {
        out->segment = "region";
        out->value = FR_LOAD(head->region[segment - SEGMENT_REGION]);
    } else if (segment >= SEGMENT_DEVICE) {
        out->segment = "device";
        out->value = FR_LOAD(head->device[segment - SEGMENT_DEVICE]);
    } else {
        out->segment = segment ? "history" : "all";
        out->value = segment ? segment - SEGMENT_HISTORY : 0;
    }
}

static bool health_read(const struct rank *rank, uint32_t segment, uint32_t column,
                        struct rank_health *out)
{
    struct cell cell;
    struct model_bins_figures figures;
    if (!row_copy(rank->health.cells, 1 + segment * COLUMNS + column, &cell) ||
        cell.hit.part[0].count == 0)
        return false;
    *out = (struct rank_health){.name = column_name(rank, column)};
    segment_of(rank, segment, out);
    model_window_interval(&cell.hit, interval_alpha, &out->hit);
    model_window_interval(&cell.loss, interval_alpha, &out->logloss);
    model_window_interval(&cell.auc, interval_alpha, &out->auc);
    out->logloss.mean *= (double)loss_max;
    out->logloss.low *= (double)loss_max;
    out->logloss.high *= (double)loss_max;
    model_bins_figures_get(&cell.bins, &figures);
    out->ece = figures.ece;
    out->pcoc = figures.pcoc;
    return true;
}

uint32_t rank_health(const struct rank *rank, struct rank_health *out, uint32_t count_max)
{
    uint32_t count = 0;
    for (uint32_t s = 0; s < SEGMENTS; s++)
        for (uint32_t c = 0; c < columns_of(rank) && count < count_max; c++)
            count += health_read(rank, s, c, &out[count]);
    return count;
}

uint32_t rank_inputs(const struct rank *rank, struct rank_input *out, uint32_t count_max)
{
    const struct inputs_row *row = base_rows_at(rank->health.inputs, 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < RANK_INPUTS_MAX && count < count_max; i++) {
        if (i >= rank->feature_count && i < MODEL_FEATURES_MAX)
            continue;
        out[count++] = (struct rank_input){.name = input_name(rank, i),
                                           .psi = model_word_load(&row->psi[i]),
                                           .kl = model_word_load(&row->kl[i])};
    }
    return count;
}
