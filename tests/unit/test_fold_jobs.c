/* SPDX-License-Identifier: Apache-2.0
 *
 * Deferred learners: a job's start and its publication are records, so that a replay, a restart at
 * any moment and a kill come to the same state; acts on models take effect by a record, make a job
 * under way void, and can be taken back; bytes that do not fit are refused and change nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fold/fold.h"
#include "fold/models.h"
#include "obs/obs.h"
#include "os/sim.h"
#include "rank/models.h"

enum { USERS = 150, TASTES = 6, ITEMS = 600, START_S = 1767225600 };

/* An engine on a simulated machine or, with os NULL, on this one. */
struct bed {
    struct os_sim *sim;
    struct state *state;
    struct rank *rank;
    struct fold *fold;
    struct fold_batch batch;
    struct base_buf payload;
    const char *directory;
    bool threads, read_only, no_jobs;
    uint64_t until;
};

static enum fr_status bed_open(struct bed *bed, struct fr_error *error)
{
    struct state_options state = {.item_count_max = 1 << 12,
                                  .user_count_max = 1 << 12,
                                  .context_count_max = 1 << 10,
                                  .token_count_max = 1 << 10,
                                  .text_bytes_max = 4 << 20,
                                  .event_count_max = 1 << 16,
                                  .pair_bytes_max = 16 << 20,
                                  .dedupe_count_max = 1 << 14};
    assert_int_equal(state_new(&state, error, &bed->state), FR_OK);
    struct rank_options rank = {.state = bed->state, .experts = "popularity,cooc,mlp"};
    assert_int_equal(rank_new(&rank, error, &bed->rank), FR_OK);
    fold_batch_init(&bed->batch);
    base_buf_init(&bed->payload, 0);
    struct fold_options fold = {.os = bed->sim ? os_sim_os(bed->sim) : os_real(),
                                .directory = bed->directory,
                                .state = bed->state,
                                .rank = bed->rank,
                                .snapshot_records = 400,
                                .sample_one_in = 1,
                                .by_hand = !bed->threads,
                                .jobs_by_hand = !bed->threads && !bed->no_jobs,
                                .read_only = bed->read_only,
                                .until = bed->until};
    return fold_open(&fold, error, &bed->fold);
}

static void bed_close(struct bed *bed)
{
    fold_close(bed->fold);
    rank_free(bed->rank);
    state_free(bed->state);
    fold_batch_release(&bed->batch);
    base_buf_release(&bed->payload);
    bed->fold = NULL;
}

static struct bed bed_new(struct os_sim *sim)
{
    struct fr_error error = {0};
    struct bed bed = {.sim = sim, .directory = "data"};
    assert_int_equal(bed_open(&bed, &error), FR_OK);
    return bed;
}

/* Users of one of six tastes walk among the hundred items of their taste. */
static void add_event(struct bed *bed, uint64_t n)
{
    char user[16], item[16];
    uint64_t draw = base_random_u64(7, n, 0);
    uint32_t u = (uint32_t)(draw % USERS), taste = u % TASTES;
    snprintf(user, sizeof(user), "u%u", u);
    snprintf(item, sizeof(item), "i%u",
             taste * (ITEMS / TASTES) + (uint32_t)(draw >> 32) % (ITEMS / TASTES));
    struct schema_event event = {.key = {n + 1, 1},
                                 .user = fr_slice_str(user),
                                 .item = fr_slice_str(item),
                                 .type = SCHEMA_CLICK,
                                 .time_us = (START_S + (int64_t)n * 5) * 1000000,
                                 .context = {.device = FR_SLICE("phone")}};
    base_buf_clear(&bed->payload);
    schema_event_encode(&event, &bed->payload);
    fold_batch_add(&bed->batch, SCHEMA_KIND_EVENT, base_buf_slice(&bed->payload));
}

static enum fr_status run(struct bed *bed)
{
    enum fr_status status = fold_run(bed->fold, &bed->batch, FOLD_ACK_APPLIED);
    fold_batch_clear(&bed->batch);
    return status;
}

static void live(struct bed *bed, uint64_t from, uint64_t to, uint64_t batch)
{
    for (uint64_t n = from; n < to;) {
        for (uint64_t i = 0; i < batch && n < to; i++, n++)
            add_event(bed, n);
        assert_int_equal(run(bed), FR_OK);
    }
}

static void send(struct bed *bed, const struct fold_model_record *record)
{
    base_buf_clear(&bed->payload);
    fold_model_encode(record, &bed->payload);
    fold_batch_add(&bed->batch, SCHEMA_KIND_MODEL, base_buf_slice(&bed->payload));
    assert_int_equal(run(bed), FR_OK);
}

static void act_on(struct bed *bed, const struct rank_act *act)
{
    const struct fold_model_record record = {.what = FOLD_MODEL_ACT,
                                             .model = act->model,
                                             .act = *act,
                                             .why = FR_SLICE("test")};
    send(bed, &record);
}

static void act(struct bed *bed, enum rank_act_kind kind, uint32_t value, struct fr_slice bytes)
{
    const struct rank_act act = {.kind = kind,
                                 .model = FR_SLICE("mlp"),
                                 .value = value,
                                 .bytes = bytes};
    act_on(bed, &act);
}

static struct rank_model model_of(const struct bed *bed, const char *name)
{
    struct rank_model models[RANK_MODELS_MAX];
    int m = rank_model_find(bed->rank, fr_slice_str(name));
    assert_true(m >= 0);
    rank_models(bed->rank, models, RANK_MODELS_MAX);
    return models[m];
}

static bool equal(struct base_hash128 a, struct base_hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static void drop_snapshot(void *context, const char *name)
{
    struct bed *bed = context;
    struct os *os = bed->sim ? os_sim_os(bed->sim) : os_real();
    char path[512];
    snprintf(path, sizeof(path), "%s/snapshot/%s", bed->directory, name);
    assert_int_equal(os->table->unlink(os, path, NULL), FR_OK);
}

/* Of the journal alone, in one go. */
static struct base_hash128 hash_of_journal(struct bed *bed)
{
    struct fr_error error = {0};
    struct os *os = bed->sim ? os_sim_os(bed->sim) : os_real();
    char path[512];
    struct bed again = {.sim = bed->sim, .directory = bed->directory, .read_only = true};
    snprintf(path, sizeof(path), "%s/snapshot", bed->directory);
    fr_ignore(os->table->list(os, path, drop_snapshot, bed, NULL), "none is fine");
    assert_int_equal(bed_open(&again, &error), FR_OK);
    struct base_hash128 hash = fold_hash(again.fold, NULL);
    bed_close(&again);
    return hash;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void replay_gives_the_same(void **unused)
{
    (void)unused;
    struct os_sim *sim = os_sim_new(3, NULL);
    struct bed bed = bed_new(sim);
    live(&bed, 0, 3000, 40);
    struct rank_model mlp = model_of(&bed, "mlp");
    assert_true(mlp.jobs >= 2 && mlp.steps >= 60 && mlp.refused == 0);
    assert_true(mlp.published_position > mlp.started_position && mlp.started_position > 0);
    assert_true(mlp.examples > 2000 && mlp.logloss < 0.7);
    struct base_hash128 hash = fold_hash(bed.fold, NULL);
    bed_close(&bed);
    assert_true(equal(hash, hash_of_journal(&bed)));
    os_sim_free(sim);
}

/* A job is under way in a snapshot and at a death: its inputs are still there. */
static void a_job_survives_a_death(void **unused)
{
    (void)unused;
    struct os_sim *sim = os_sim_new(4, NULL);
    struct fr_error error = {0};
    struct bed bed = {.sim = sim, .directory = "data", .no_jobs = true};
    assert_int_equal(bed_open(&bed, &error), FR_OK);
    live(&bed, 0, 1600, 40);
    const struct fold_model_record start = {.what = FOLD_MODEL_START,
                                            .model = FR_SLICE("mlp"),
                                            .job.number = 1};
    send(&bed, &start);
    live(&bed, 1600, 2100, 40); /* a snapshot within */
    assert_true(model_of(&bed, "mlp").running);
    os_sim_halt(sim);
    bed_close(&bed);
    os_sim_kill(sim);
    bed.no_jobs = false;
    assert_int_equal(bed_open(&bed, &error), FR_OK);
    assert_true(model_of(&bed, "mlp").running);
    live(&bed, 2100, 2200, 40);
    assert_false(model_of(&bed, "mlp").running);
    assert_true(model_of(&bed, "mlp").steps >= 8);
    struct base_hash128 hash = fold_hash(bed.fold, NULL);
    bed_close(&bed);
    assert_true(equal(hash, hash_of_journal(&bed)));
    os_sim_free(sim);
}

static void kills_give_the_same(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct os_sim *sim = os_sim_new(seed, NULL);
        struct fr_error error = {0};
        struct bed bed = {.sim = sim, .directory = "data"};
        uint64_t next = 0;
        for (int death = 0; death < 8; death++) {
            assert_int_equal(bed_open(&bed, &error), FR_OK);
            os_sim_crash_at(sim, os_sim_operations(sim) + 1 + os_sim_draw(sim, 60));
            while (!os_sim_is_dead(sim)) {
                for (uint64_t n = next; n < next + 25; n++)
                    add_event(&bed, n);
                next += run(&bed) == FR_OK ? 25 : 0;
            }
            bed_close(&bed);
            os_sim_crash(sim);
        }
        assert_int_equal(bed_open(&bed, &error), FR_OK);
        live(&bed, next, next + 400, 25);
        assert_int_equal(model_of(&bed, "mlp").refused, 0);
        struct base_hash128 hash = fold_hash(bed.fold, NULL);
        bed_close(&bed);
        assert_true(equal(hash, hash_of_journal(&bed)));
        os_sim_free(sim);
    }
}

static char directory[] = "/tmp/freshet-jobs-XXXXXX";

/* The worker beside the fold, restarts in between. */
static void threads_give_the_same(void **unused)
{
    (void)unused;
    struct fr_error error = {0};
    assert_non_null(mkdtemp(directory));
    struct bed bed = {.directory = directory, .threads = true};
    for (uint64_t part = 0; part < 3; part++) {
        assert_int_equal(bed_open(&bed, &error), FR_OK);
        live(&bed, part * 600, (part + 1) * 600, 30);
        if (part == 2)
            for (uint64_t n = 1800; model_of(&bed, "mlp").published_position == 0; n += 30)
                live(&bed, n, n + 30, 30);
        bed_close(&bed);
    }
    bed.read_only = true;
    bed.threads = false;
    assert_int_equal(bed_open(&bed, &error), FR_OK);
    assert_true(model_of(&bed, "mlp").steps > 0);
    struct base_hash128 hash = fold_hash(bed.fold, NULL);
    bed_close(&bed);
    assert_true(equal(hash, hash_of_journal(&bed)));
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

static void another_result_is_refused(void **unused)
{
    (void)unused;
    struct os_sim *sim = os_sim_new(5, NULL);
    struct bed bed = bed_new(sim);
    live(&bed, 0, 100, 20);
    struct rank_model before = model_of(&bed, "mlp");
    assert_int_equal(before.jobs, 0);
    struct fold_model_record record = {.what = FOLD_MODEL_START,
                                       .model = FR_SLICE("mlp"),
                                       .job.number = 7};
    send(&bed, &record); /* not its next number */
    assert_false(model_of(&bed, "mlp").running);
    record.what = FOLD_MODEL_PUBLISH;
    send(&bed, &record); /* of a job that was never begun */
    struct fold_stats stats;
    fold_stats_get(bed.fold, &stats);
    assert_int_equal(stats.refused, 2);
    assert_int_equal(model_of(&bed, "mlp").version, before.version);
    bed_close(&bed);
    os_sim_free(sim);
}

/* ---- stamped requests ------------------------------------------------------------------------- */

enum { STAMPS = 6, SHOWN = 40 };

/* A request with the position that the state had, and every bit of what was computed for it. */
struct stamp {
    uint64_t position;
    uint32_t user, clock_s, count, features;
    uint32_t item[SHOWN];
    float score[SHOWN], part[SHOWN][MODEL_FEATURES_MAX + 2];
};

static void compute(struct bed *bed, struct stamp *stamp)
{
    struct base_arena arena;
    struct model_query query;
    struct rank_result result;
    const struct rank_query_options options = {0};
    const struct model_request request = {.user = stamp->user, .clock_s = stamp->clock_s};
    assert_int_equal(base_arena_init(&arena, RANK_ARENA_BYTES), FR_OK);
    uint64_t began = fold_still_begin(bed->fold);
    assert_int_equal(model_query_build(bed->state, &request, &arena, &query), FR_OK);
    assert_int_equal(rank_query(bed->rank, &query, &options, &arena, &result), FR_OK);
    assert_true(fold_still(bed->fold, began));
    stamp->position = began;
    stamp->count = FR_MIN(result.count, (uint32_t)SHOWN);
    stamp->features = result.feature_count;
    for (uint32_t r = 0; r < stamp->count; r++) {
        stamp->item[r] = result.item[r];
        stamp->score[r] = result.score[r];
        for (uint32_t f = 0; f < result.feature_count; f++)
            stamp->part[r][f] = rank_contribution(&result, r, f);
    }
    base_arena_release(&arena);
}

static void put_user(struct bed *bed, struct fr_slice id, const char *colour)
{
    const struct schema_user user = {.id = id,
                                     .attributes = {{FR_SLICE("colour"), fr_slice_str(colour)}},
                                     .attribute_count = 1,
                                     .present = 0xffff};
    base_buf_clear(&bed->payload);
    schema_user_encode(&user, &bed->payload);
    fold_batch_add(&bed->batch, SCHEMA_KIND_USER, base_buf_slice(&bed->payload));
    assert_int_equal(run(bed), FR_OK);
}

/* Users and items say what they are: attributes and words are among the click experts' facets. */
static void put_all(struct bed *bed)
{
    char text[32];
    for (uint32_t u = 0; u < USERS; u++) {
        snprintf(text, sizeof(text), "u%u", u);
        put_user(bed, fr_slice_str(text), u % 2 ? "red" : "blue");
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        snprintf(text, sizeof(text), "common taste%u word%u", i / (ITEMS / TASTES), i % 50);
        const struct schema_item item = {.id = fr_slice_str(id),
                                         .title = fr_slice_str(text),
                                         .present = 0xffff};
        base_buf_clear(&bed->payload);
        schema_item_encode(&item, &bed->payload);
        fold_batch_add(&bed->batch, SCHEMA_KIND_ITEM, base_buf_slice(&bed->payload));
    }
    assert_int_equal(run(bed), FR_OK);
}

static void stamped_requests_recompute_to_the_bit(void **unused)
{
    (void)unused;
    static struct stamp stamp[STAMPS], again;
    struct os_sim *sim = os_sim_new(13, NULL);
    struct fr_error error = {0};
    struct bed bed = bed_new(sim);
    const struct rank_act ctr_live = {.kind = RANK_ACT_ROLE,
                                      .model = FR_SLICE("ctr"),
                                      .value = RANK_LIVE};
    put_all(&bed);
    live(&bed, 0, 1350, 40);
    act(&bed, RANK_ACT_ROLE, RANK_LIVE, FR_SLICE(""));
    act_on(&bed, &ctr_live);
    for (uint32_t i = 0; i < STAMPS; i++) {
        live(&bed, 1350 + i * 150, 1500 + i * 150, 30);
        put_user(&bed, state_user_id(bed.state, 1 + i * 7), "green");
        stamp[i] = (struct stamp){.user = 1 + i * 7,
                                  .clock_s = (uint32_t)(state_clock_us(bed.state) / 1000000) + i};
        compute(&bed, &stamp[i]);
        assert_true(stamp[i].count > 20);
    }
    assert_true(model_of(&bed, "mlp").weight > 0 && model_of(&bed, "mlp").jobs > 1);
    assert_true(model_of(&bed, "ctr").weight > 0);
    bed_close(&bed);
    for (uint32_t i = 0; i < STAMPS; i++) {
        bed.read_only = true;
        bed.until = stamp[i].position;
        assert_int_equal(bed_open(&bed, &error), FR_OK);
        again = (struct stamp){.user = stamp[i].user, .clock_s = stamp[i].clock_s};
        compute(&bed, &again);
        bed_close(&bed);
        assert_memory_equal(&again, &stamp[i], sizeof(again)); /* 0 bits of difference */
    }
    os_sim_free(sim);
}

/* ---- acts ------------------------------------------------------------------------------------ */

enum { HEAD_BYTES = 40, WEIGHT_BYTES = 4 * 9000 }; /* of the saved form: some of its weights */

static void saved(const struct bed *bed, struct base_buf *out)
{
    base_buf_clear(out);
    int m = rank_model_find(bed->rank, FR_SLICE("mlp"));
    assert_int_equal(rank_model_save(bed->rank, (uint32_t)m, out, NULL), FR_OK);
}

static void acts_can_be_taken_back(void **unused)
{
    (void)unused;
    struct os_sim *sim = os_sim_new(9, NULL);
    struct bed bed = bed_new(sim);
    struct base_buf first, now;
    base_buf_init(&first, 0);
    base_buf_init(&now, 0);
    live(&bed, 0, 800, 40);
    saved(&bed, &first);
    assert_int_equal(model_of(&bed, "mlp").role, RANK_SHADOW);
    act(&bed, RANK_ACT_ROLE, RANK_LIVE, FR_SLICE(""));
    assert_int_equal(model_of(&bed, "mlp").role, RANK_LIVE);
    act(&bed, RANK_ACT_ROLLBACK, 0, FR_SLICE(""));
    assert_int_equal(model_of(&bed, "mlp").role, RANK_SHADOW);
    act(&bed, RANK_ACT_RESET_LAYER, 1, FR_SLICE(""));
    saved(&bed, &now);
    assert_false(fr_slice_equal(base_buf_slice(&first), base_buf_slice(&now)));
    assert_int_equal(model_of(&bed, "mlp").judged, 0);
    act(&bed, RANK_ACT_ROLLBACK, 0, FR_SLICE(""));
    saved(&bed, &now);
    assert_true(fr_slice_equal(base_buf_slice(&first), base_buf_slice(&now)));
    live(&bed, 800, 1500, 40);
    saved(&bed, &now);
    assert_memory_not_equal(first.bytes + HEAD_BYTES, now.bytes + HEAD_BYTES, WEIGHT_BYTES);
    act(&bed, RANK_ACT_LOAD, 0, base_buf_slice(&first));
    saved(&bed, &now); /* items that came since have embeddings more */
    assert_memory_equal(first.bytes + HEAD_BYTES, now.bytes + HEAD_BYTES, WEIGHT_BYTES);
    struct base_hash128 hash = fold_hash(bed.fold, NULL);
    bed_close(&bed);
    assert_true(equal(hash, hash_of_journal(&bed)));
    base_buf_release(&first);
    base_buf_release(&now);
    os_sim_free(sim);
}

static void bad_parameters_change_nothing(void **unused)
{
    (void)unused;
    static const struct {
        size_t at; /* from the end when > 1000 */
        uint8_t byte;
        const char *says;
    } fault[] = {{0, 'X', "arr_0.npy"},       {7, '9', "byte 7: another version"},
                 {12, 9, "number of inputs"}, {16, 1, "width of a layer"},
                 {28, 3, "embedded ids"},     {36, 255, "more embeddings"},
                 {43, 0x7f, "not finite"},    {3001, 0x55, "checksum"}};
    struct os_sim *sim = os_sim_new(11, NULL);
    struct bed bed = bed_new(sim);
    struct base_buf good, now;
    base_buf_init(&good, 0);
    base_buf_init(&now, 0);
    live(&bed, 0, 400, 40);
    saved(&bed, &good);
    uint32_t version = model_of(&bed, "mlp").version;
    for (size_t i = 0; i < FR_COUNT_OF(fault); i++) {
        struct fr_error error = {0};
        uint8_t kept = good.bytes[fault[i].at];
        good.bytes[fault[i].at] = fault[i].byte;
        if (fault[i].at == 36)
            good.bytes[37] = good.bytes[38] = 255;
        if (fault[i].at == 43)
            good.bytes[42] = 0x80 | (good.bytes[42] & 0x7f);
        const struct rank_act load = {.kind = RANK_ACT_LOAD,
                                      .model = FR_SLICE("mlp"),
                                      .bytes = base_buf_slice(&good)};
        assert_int_not_equal(rank_act_check(bed.rank, &load, &error), FR_OK);
        if (!strstr(error.message, fault[i].says))
            fail_msg("byte %zu: %s", fault[i].at, error.message);
        act(&bed, RANK_ACT_LOAD, 0,
            base_buf_slice(&good)); /* past the check: refused by the fold */
        good.bytes[fault[i].at] = kept;
        saved(&bed, &now);
        if (fault[i].at == 36 || fault[i].at == 43) {
            base_buf_clear(&good);
            base_buf_put_slice(&good, base_buf_slice(&now));
        }
        assert_true(fr_slice_equal(base_buf_slice(&good), base_buf_slice(&now)));
    }
    assert_int_equal(model_of(&bed, "mlp").version, version);
    bed_close(&bed);
    base_buf_release(&good);
    base_buf_release(&now);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_gives_the_same),
        cmocka_unit_test(a_job_survives_a_death),
        cmocka_unit_test(kills_give_the_same),
        cmocka_unit_test(threads_give_the_same),
        cmocka_unit_test(another_result_is_refused),
        cmocka_unit_test(stamped_requests_recompute_to_the_bit),
        cmocka_unit_test(acts_can_be_taken_back),
        cmocka_unit_test(bad_parameters_change_nothing),
    };
    obs_log_setup(OBS_ERROR + 1, OBS_TEXT); /* simulated faults are told to nobody */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
