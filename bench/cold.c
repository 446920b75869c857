/* SPDX-License-Identifier: Apache-2.0
 *
 * cold: how good are the answers about what is hardly known, through the very same state_resolve(),
 * rank_learn(), state_apply() as the fold, every event sampled?
 *
 *   cold users TRAIN TEST FOLLOWS   learns TRAIN, then ranks all items for each event of TEST,
 *                                   whose users have done nothing before: none of TEST is learnt
 *   cold items EVENTS TITLES FIRST  prequential; judges the events from number FIRST on whose item
 *                                   had fewer than five events before
 *
 * TRAIN, TEST, EVENTS: user, item, time (s). FOLLOWS: user, then whom they follow. TITLES: item,
 * title. Tabs. The whole catalogue is known from the start: nothing tells when an item appears.
 * Prints a JSON object: scored events, HR@10 of the blend, of popularity and of each expert alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rank/rank.h"
#include "schema/schema.h"
#include "state/state.h"

enum { LINE_BYTES = 4096, COLUMNS = 2 + MODEL_EXPERTS_MAX, NEW_EVENTS = 5 };

struct bench {
    struct schema_types types;
    struct state *state;
    struct rank *rank;
    struct base_buf bytes;
    uint64_t position, scored, hits[COLUMNS];
    uint64_t by_age_scored[NEW_EVENTS], by_age_hits[NEW_EVENTS];
};

static void die(const char *what)
{
    fprintf(stderr, "cold: %s\n", what);
    exit(2);
}

static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        die("a file cannot be read");
    return file;
}

/* The next field of a line; empty at its end. */
static struct fr_slice field(char **at)
{
    char *from = *at;
    size_t bytes = strcspn(from, "\t\n");
    *at = from + bytes + (from[bytes] == '\t');
    return fr_slice_of(from, bytes);
}

static void check(enum fr_status status, const char *what)
{
    if (status != FR_OK)
        die(what);
}

static struct schema_event event_of(char *line)
{
    struct schema_event event = {.type = SCHEMA_CLICK};
    event.user = field(&line);
    event.item = field(&line);
    event.time_us = (int64_t)(strtod(line, NULL) * 1e6);
    return event;
}

static void judged(struct bench *bench, const struct rank_outcome *outcome)
{
    const struct model_expert *experts[MODEL_EXPERTS_MAX];
    uint32_t count = rank_experts(bench->rank, experts, MODEL_EXPERTS_MAX);
    bench->scored++;
    if (!outcome->scored)
        return;
    bench->hits[0] += outcome->rank < 10.0f;
    bench->hits[1] += outcome->popularity_rank < 10.0f;
    for (uint32_t e = 0; e < count; e++)
        bench->hits[2 + e] += outcome->expert_rank[e] < 10.0f;
}

static void learn(struct bench *bench, char *line, uint64_t judge_from)
{
    struct schema_event event = event_of(line);
    struct state_event resolved;
    struct rank_outcome outcome;
    struct state_item item = {0};
    check(state_resolve(bench->state, &event, &bench->types, ++bench->position, INT64_MAX / 2,
                        &resolved),
          "an event could not be taken");
    state_item_get(bench->state, resolved.item, &item);
    rank_learn(bench->rank, &resolved, true, &outcome);
    if (outcome.scored && bench->position >= judge_from && item.event_count < NEW_EVENTS) {
        judged(bench, &outcome);
        bench->by_age_scored[item.event_count]++;
        bench->by_age_hits[item.event_count] += outcome.rank < 10.0f;
    }
    state_apply(bench->state, &resolved);
    rank_apply(bench->rank, &resolved);
}

static void learn_all(struct bench *bench, const char *path, uint64_t judge_from)
{
    char line[LINE_BYTES];
    FILE *file = open_file(path);
    while (fgets(line, sizeof(line), file))
        learn(bench, line, judge_from);
    fclose(file);
}

static void put_follows(struct bench *bench, const char *path)
{
    static struct schema_user user;
    char line[LINE_BYTES];
    FILE *file = open_file(path);
    while (fgets(line, sizeof(line), file)) {
        char *at = line;
        user = (struct schema_user){.id = field(&at), .present = SCHEMA_FOLLOWS};
        while (*at && *at != '\n' && user.follow_count < SCHEMA_LIST_MAX)
            user.follows[user.follow_count++] = field(&at);
        base_buf_clear(&bench->bytes);
        schema_user_encode(&user, &bench->bytes);
        check(state_apply_user(bench->state, base_buf_slice(&bench->bytes)),
              "a user could not be taken");
    }
    fclose(file);
}

static void put_titles(struct bench *bench, const char *path)
{
    static struct schema_item item;
    char line[LINE_BYTES];
    FILE *file = open_file(path);
    while (fgets(line, sizeof(line), file)) {
        char *at = line;
        item = (struct schema_item){.id = field(&at), .present = SCHEMA_TITLE};
        item.title = field(&at);
        base_buf_clear(&bench->bytes);
        schema_item_encode(&item, &bench->bytes);
        check(state_apply_item(bench->state, base_buf_slice(&bench->bytes), 1),
              "an item could not be taken");
    }
    fclose(file);
}

static void judge_all(struct bench *bench, const char *path)
{
    char line[LINE_BYTES];
    FILE *file = open_file(path);
    while (fgets(line, sizeof(line), file)) {
        struct schema_event event = event_of(line);
        struct model_request request = {.user = state_user_find(bench->state, event.user)};
        struct rank_outcome outcome;
        rank_judge(bench->rank, &request, state_item_find(bench->state, event.item), &outcome);
        judged(bench, &outcome);
    }
    fclose(file);
}

static void print_result(const struct bench *bench)
{
    const struct model_expert *experts[MODEL_EXPERTS_MAX];
    uint32_t count = rank_experts(bench->rank, experts, MODEL_EXPERTS_MAX);
    double n = bench->scored ? (double)bench->scored : 1.0;
    printf("{\"scored\":%llu,\"hr@10\":%.6f,\"popular_hr@10\":%.6f,\"experts\":{",
           (unsigned long long)bench->scored, (double)bench->hits[0] / n,
           (double)bench->hits[1] / n);
    for (uint32_t e = 0; e < count; e++)
        printf("%s\"%s\":%.6f", e ? "," : "", experts[e]->name, (double)bench->hits[2 + e] / n);
    printf("},\"by_age\":[");
    for (uint32_t a = 0; a < NEW_EVENTS; a++)
        printf("%s%.6f", a ? "," : "",
               (double)bench->by_age_hits[a] /
                   (double)FR_MAX(bench->by_age_scored[a], (uint64_t)1));
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    struct fr_error error = {0};
    if (argc != 5)
        die("users TRAIN TEST FOLLOWS, or items EVENTS TITLES FIRST");
    schema_types_init(&bench.types);
    base_buf_init(&bench.bytes, 0);
    check(state_new(NULL, &error, &bench.state), error.message);
    struct rank_options options = {.state = bench.state};
    check(rank_new(&options, &error, &bench.rank), error.message);
    if (strcmp(argv[1], "users") == 0) {
        put_follows(&bench, argv[4]);
        learn_all(&bench, argv[2], UINT64_MAX);
        judge_all(&bench, argv[3]);
    } else {
        put_titles(&bench, argv[3]);
        learn_all(&bench, argv[2], strtoull(argv[4], NULL, 10));
    }
    print_result(&bench);
    return 0;
}
