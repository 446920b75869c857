/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/decision: rings of decision records, and their JSON. In a ring a record is the fixed head
 * of struct serve_decision, its places, and for each place its parts: about 5 KB for 20 places of
 * 50 features. Memory of a process only: what must outlive it is in the slates.
 */
#include "serve/decision.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "serve/serve_priv.h"

enum { HEAD_BYTES = offsetof(struct serve_decision, place) };

struct entry {
    uint64_t id;
    uint32_t offset, bytes;
};

struct ring {
    pthread_mutex_t lock;
    uint8_t *bytes;
    uint32_t write;       /* where the next record goes */
    uint64_t first, next; /* entries kept: first .. next - 1, modulo */
    struct entry entry[SERVE_RING_RECORDS];
};

struct serve_decisions {
    uint32_t threads;
    struct ring ring[];
};

const char *serve_stage_name(enum serve_stage stage)
{
    static const char *const name[SERVE_STAGE_COUNT] = {"context", "candidates and rank", "policy",
                                                        "explain"};
    return name[stage];
}

enum fr_status serve_decisions_new(uint32_t threads, struct serve_decisions **out_decisions)
{
    struct serve_decisions *decisions =
        calloc(1, sizeof *decisions + threads * sizeof decisions->ring[0]);
    if (!decisions)
        return FR_MEMORY;
    decisions->threads = threads;
    for (uint32_t i = 0; i < threads; i++) {
        pthread_mutex_init(&decisions->ring[i].lock, NULL);
        decisions->ring[i].bytes = malloc(SERVE_RING_BYTES);
        if (!decisions->ring[i].bytes) {
            serve_decisions_free(decisions);
            return FR_MEMORY;
        }
    }
    *out_decisions = decisions;
    return FR_OK;
}

void serve_decisions_free(struct serve_decisions *decisions)
{
    if (!decisions)
        return;
    for (uint32_t i = 0; i < decisions->threads; i++) {
        pthread_mutex_destroy(&decisions->ring[i].lock);
        free(decisions->ring[i].bytes);
    }
    free(decisions);
}

static struct entry *entry_at(struct ring *ring, uint64_t i)
{
    return &ring->entry[i % SERVE_RING_RECORDS];
}

/* Room for `bytes` in a row; drops the entries that lie there. */
static uint8_t *ring_room(struct ring *ring, uint32_t bytes, uint32_t *out_offset)
{
    bool wraps = ring->write + bytes > SERVE_RING_BYTES;
    if (wraps) {
        /* what lies between here and the end is the oldest there is */
        while (ring->first < ring->next && entry_at(ring, ring->first)->offset >= ring->write)
            ring->first++;
        ring->write = 0;
    }
    uint32_t end = ring->write + bytes;
    while (ring->first < ring->next) {
        const struct entry *oldest = entry_at(ring, ring->first);
        bool overlaps = oldest->offset < end && oldest->offset + oldest->bytes > ring->write;
        if (!overlaps && ring->next - ring->first < SERVE_RING_RECORDS)
            break;
        ring->first++;
    }
    *out_offset = ring->write;
    ring->write = end;
    return ring->bytes + *out_offset;
}

void serve_decisions_put(struct serve_decisions *decisions, uint32_t thread,
                         const struct serve_decision *decision)
{
    FR_ASSERT(thread < decisions->threads);
    struct ring *ring = &decisions->ring[thread];
    uint32_t places = decision->place_count, features = decision->feature_count;
    uint32_t place_bytes = places * (uint32_t)sizeof decision->place[0];
    uint32_t row_bytes = features * (uint32_t)sizeof(float);
    uint32_t bytes = HEAD_BYTES + place_bytes + places * row_bytes, offset;
    pthread_mutex_lock(&ring->lock);
    uint8_t *to = ring_room(ring, bytes, &offset);
    memcpy(to, decision, HEAD_BYTES);
    memcpy(to + HEAD_BYTES, decision->place, place_bytes);
    for (uint32_t i = 0; i < places; i++)
        memcpy(to + HEAD_BYTES + place_bytes + i * row_bytes, decision->part[i], row_bytes);
    *entry_at(ring, ring->next++) = (struct entry){decision->id, offset, bytes};
    pthread_mutex_unlock(&ring->lock);
}

static void unpack(const uint8_t *from, struct serve_decision *out)
{
    memcpy(out, from, HEAD_BYTES);
    uint32_t place_bytes = out->place_count * (uint32_t)sizeof out->place[0];
    uint32_t row_bytes = out->feature_count * (uint32_t)sizeof(float);
    memcpy(out->place, from + HEAD_BYTES, place_bytes);
    for (uint32_t i = 0; i < out->place_count; i++)
        memcpy(out->part[i], from + HEAD_BYTES + place_bytes + i * row_bytes, row_bytes);
}

enum fr_status serve_decisions_get(struct serve_decisions *decisions, uint32_t thread, uint64_t id,
                                   struct serve_decision *out_decision)
{
    if (thread >= decisions->threads)
        return FR_NOT_FOUND;
    struct ring *ring = &decisions->ring[thread];
    enum fr_status status = FR_NOT_FOUND;
    pthread_mutex_lock(&ring->lock);
    for (uint64_t i = ring->next; i > ring->first && status != FR_OK; i--) {
        const struct entry *entry = entry_at(ring, i - 1);
        if (entry->id != id)
            continue;
        unpack(ring->bytes + entry->offset, out_decision);
        status = FR_OK;
    }
    pthread_mutex_unlock(&ring->lock);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------- */

static void comma(struct base_buf *out, uint32_t i)
{
    if (i)
        base_buf_put(out, ",", 1);
}

static void print_generators(const struct serve_decision *decision, struct base_buf *out)
{
    serve__key(out, "generators");
    base_buf_put_str(out, "[");
    for (uint32_t g = 0; g < RETRIEVE_GENERATOR_COUNT; g++) {
        comma(out, g);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "name",
                         fr_slice_str(retrieve_generator_name((enum retrieve_generator)g)));
        serve__pair_u64(out, "proposed", decision->generator_count[g]);
        serve__pair_u64(out, "kept", decision->kept_count[g]);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

static void print_stages(const struct serve_decision *decision, struct base_buf *out)
{
    serve__key(out, "stages");
    base_buf_put_str(out, "[");
    for (uint32_t s = 0; s < SERVE_STAGE_COUNT; s++) {
        comma(out, s);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "name", fr_slice_str(serve_stage_name((enum serve_stage)s)));
        serve__pair_fixed(out, "us", decision->timing.stage_ns[s] / 1e3, 1);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

static void print_dropped(const struct serve_decision *decision, struct base_buf *out)
{
    uint32_t shown = 0;
    serve__key(out, "dropped");
    base_buf_put_str(out, "[");
    for (uint32_t rule = 0; rule < POLICY_RULE_COUNT; rule++) {
        if (decision->rejected[rule] == 0)
            continue;
        comma(out, shown++);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "rule", fr_slice_str(policy_rule_name((enum policy_rule)rule)));
        serve__pair_u64(out, "count", decision->rejected[rule]);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

/* Empty: it expired since. */
static struct fr_slice place_id(const struct serve_place *place, const struct state *state)
{
    return state_lives(state, STATE_KIND_ITEM, place->item) == place->lives
               ? state_item_id(state, place->item)
               : fr_slice_of("", 0);
}

static void print_moves(const struct serve_decision *decision, const struct state *state,
                        struct base_buf *out)
{
    uint32_t shown = 0;
    serve__key(out, "moves");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < decision->place_count; i++) {
        const struct serve_place *place = &decision->place[i];
        if (place->move == POLICY_RANKED)
            continue;
        comma(out, shown++);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "id", place_id(place, state));
        serve__pair_u64(out, "from", place->result + 1);
        serve__pair_u64(out, "to", decision->offset + i + 1);
        serve__pair_text(out, "rule",
                         fr_slice_str(policy_move_name((enum policy_move)place->move)));
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

/* The blend's present weights of this answer's bucket, added up by expert, and the expert's part of
 * all scores in the answer. */
static void print_experts(const struct serve_decision *decision, const struct rank *rank,
                          struct base_buf *out)
{
    uint32_t count, shown = 0;
    float weight[SERVE_FEATURES_MAX] = {0};
    const struct rank_feature *feature = rank_features(rank, &count);
    uint32_t weights = rank_weights(rank, decision->bucket, weight, SERVE_FEATURES_MAX);
    count = FR_MIN(count, decision->feature_count);
    serve__key(out, "experts");
    base_buf_put_str(out, "[");
    for (uint32_t f = 0; f < count; f++) {
        bool first = f == 0 || strcmp(feature[f].expert, feature[f - 1].expert) != 0;
        if (!first)
            continue;
        double sum = 0, part = 0;
        for (uint32_t g = f; g < count && !strcmp(feature[f].expert, feature[g].expert); g++) {
            sum += g < weights ? (double)weight[g] : 0;
            for (uint32_t i = 0; i < decision->place_count; i++)
                part += (double)decision->part[i][g];
        }
        comma(out, shown++);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "name", fr_slice_str(feature[f].expert));
        serve__pair_fixed(out, "weight", sum, 4);
        serve__pair_fixed(out, "contribution", part, 4);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

static void print_parts(const struct serve_decision *decision, uint32_t i,
                        const struct rank_feature *feature, struct base_buf *out)
{
    uint32_t shown = 0;
    serve__key(out, "parts");
    base_buf_put_str(out, "[");
    for (uint32_t f = 0; f < decision->feature_count; f++) {
        if (decision->part[i][f] == 0)
            continue;
        comma(out, shown++);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "expert", fr_slice_str(feature[f].expert));
        serve__pair_text(out, "feature", fr_slice_str(feature[f].name));
        serve__pair_fixed(out, "contribution", (double)decision->part[i][f], 6);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

void serve__generators_print(uint16_t generators, struct base_buf *out)
{
    uint32_t shown = 0;
    serve__key(out, "generators");
    base_buf_put_str(out, "[");
    for (uint32_t g = 0; g < RETRIEVE_GENERATOR_COUNT; g++) {
        if (!(generators >> g & 1))
            continue;
        comma(out, shown++);
        base_buf_json_string(out,
                             fr_slice_str(retrieve_generator_name((enum retrieve_generator)g)));
    }
    base_buf_put_str(out, "]");
}

static void print_items(const struct serve_decision *decision, const struct state *state,
                        const struct rank *rank, struct base_buf *out)
{
    uint32_t count;
    const struct rank_feature *feature = rank_features(rank, &count);
    FR_ASSERT(decision->feature_count <= count);
    serve__key(out, "items");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < decision->place_count; i++) {
        const struct serve_place *place = &decision->place[i];
        comma(out, i);
        base_buf_put_str(out, "{");
        serve__pair_text(out, "id", place_id(place, state));
        serve__pair_u64(out, "rank", decision->offset + i + 1);
        serve__pair_fixed(out, "score", (double)place->score, 6);
        serve__pair_fixed(out, "propensity", (double)place->propensity, 6);
        serve__pair_text(out, "placed_by",
                         fr_slice_str(policy_move_name((enum policy_move)place->move)));
        serve__generators_print(place->generators, out);
        print_parts(decision, i, feature, out);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

void serve_decision_print(const struct serve_decision *decision, const struct state *state,
                          const struct rank *rank, struct base_buf *out)
{
    char id[SERVE_ID_BYTES];
    serve__id_print(decision->id, id);
    base_buf_put_str(out, "{");
    serve__pair_text(out, "request_id", fr_slice_str(id));
    serve__pair_text(out, "user", fr_slice_str(decision->user_id));
    serve__key(out, "time");
    base_buf_put_str(out, "\"");
    schema_time_print(decision->time_us, out);
    base_buf_put_str(out, "\"");
    serve__pair_u64(out, "position", decision->position);
    serve__pair_u64(out, "took_us", decision->timing.took_us);
    serve__key(out, "degraded_reason");
    if (decision->degraded_reason[0])
        base_buf_json_string(out, fr_slice_str(decision->degraded_reason));
    else
        base_buf_put_str(out, "null");
    serve__pair_u64(out, "candidates", decision->candidate_count);
    serve__pair_u64(out, "history", decision->history_count);
    serve__pair_u64(out, "seen", decision->seen_count);
    serve__pair_u64(out, "bucket", decision->bucket);
    serve__pair_u64(out, "new_pool", decision->new_pool);
    serve__pair_u64(out, "new_placed", decision->new_placed);
    print_stages(decision, out);
    print_generators(decision, out);
    print_experts(decision, rank, out);
    print_dropped(decision, out);
    print_moves(decision, state, out);
    print_items(decision, state, rank, out);
    base_buf_put_str(out, "}");
}
