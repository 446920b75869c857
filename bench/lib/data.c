/* SPDX-License-Identifier: Apache-2.0
 *
 * data: see the header. Files are read through `xz -dc` (or plain, when there is no .xz beside).
 */
#include "bench/lib/data.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct event {
    uint32_t user, item;
    int64_t time;
    uint64_t order; /* among equal times */
};

static void *grow(void *memory, size_t bytes)
{
    void *more = realloc(memory, bytes ? bytes : 1);
    if (!more) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return more;
}

static FILE *data_open(const char *path)
{
    const char *given = getenv("FRESHET_DATA"), *root = given ? given : "../shared/data";
    char name[1024], command[1100];
    snprintf(name, sizeof(name), "%s/%s", root, path);
    if (access(name, R_OK) == 0)
        return fopen(name, "r");
    snprintf(name, sizeof(name), "%s/%s.xz", root, path);
    if (access(name, R_OK) != 0) {
        fprintf(stderr, "SKIPPED: no %s in %s; FRESHET_DATA names the folder of data sets\n", path,
                root);
        return NULL;
    }
    snprintf(command, sizeof(command), "xz -dc '%s'", name);
    return popen(command, "r"); /* never pclosed: read to its end by a bench that then exits */
}

static int event_compare(const void *pa, const void *pb)
{
    const struct event *a = pa, *b = pb;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void from_events(struct event *events, size_t count, struct data_sequences *out)
{
    memset(out, 0, sizeof(*out));
    qsort(events, count, sizeof(*events), event_compare);
    out->items = grow(NULL, count * sizeof(*out->items));
    out->start = grow(NULL, (count + 1) * sizeof(*out->start));
    for (size_t i = 0; i < count; i++) {
        if (!i || events[i].user != events[i - 1].user)
            out->start[out->user_count++] = i;
        out->items[i] = events[i].item;
        out->item_max = FR_MAX(out->item_max, events[i].item + 1);
    }
    out->start[out->user_count] = count;
}

struct loaded {
    struct event *events;
    size_t count, room;
};

static void event_add(struct loaded *all, struct event event)
{
    if (all->count == all->room) {
        all->room = all->room ? 2 * all->room : 1u << 16;
        all->events = grow(all->events, all->room * sizeof(*all->events));
    }
    all->events[all->count++] = event;
}

static void ratings_read(FILE *file, uint64_t tie_key, struct loaded *all)
{
    char line[256];
    while (fgets(line, sizeof(line), file)) {
        unsigned user, item, rating;
        long long time;
        if (sscanf(line, "%u %u %lld", &user, &item, &time) == 3 && time < 6)
            if (sscanf(line, "%u %u %u %lld", &user, &item, &rating, &time) != 4)
                continue; /* u.data has the rating third, events.tsv the time */
        if (line[0] < '0' || line[0] > '9')
            continue;
        uint64_t order = tie_key ? base_random_u64(tie_key, all->count, 0) : all->count;
        event_add(all, (struct event){user, item, time, order});
    }
}

/* One sequence a line; `named`: the line begins with the user's id. */
static void lines_read(FILE *file, bool named, uint32_t shift, struct loaded *all)
{
    char *line = NULL;
    size_t room = 0;
    for (uint32_t user = 0; getline(&line, &room, file) > 0; user++) {
        uint32_t owner = user;
        bool first = named;
        int64_t time = 0;
        char *rest = NULL;
        for (char *word = strtok_r(line, " \t\r\n", &rest); word;
             word = strtok_r(NULL, " \t\r\n", &rest)) {
            uint32_t value = (uint32_t)strtoul(word, NULL, 10);
            if (first)
                owner = value;
            else
                event_add(all, (struct event){owner, value + shift, time++, 0});
            first = false;
        }
    }
    free(line);
}

static const struct {
    const char *name, *path;
    bool lines, named;
} sets[] = {
    {"ml100k", "movielens-100k/u.data", false, false},
    {"ml1m", "movielens-1m/events.tsv", false, false},
    {"beauty", "sequences/Beauty.txt", true, true},
    {"toys", "sequences/Toys_and_Games.txt", true, true},
    {"diginetica-train", "sessions-diginetica/train_sessions.txt", true, false},
    {"diginetica-test", "sessions-diginetica/test_sessions.txt", true, false},
};

enum fr_status data_sequences_load(const char *name, uint64_t tie_key,
                                   struct data_sequences *out_data)
{
    for (size_t i = 0; i < FR_COUNT_OF(sets); i++) {
        if (strcmp(sets[i].name, name) != 0)
            continue;
        FILE *file = data_open(sets[i].path);
        if (!file)
            return FR_NOT_FOUND;
        struct loaded all = {0};
        if (sets[i].lines)
            lines_read(file, sets[i].named, 0, &all);
        else
            ratings_read(file, tie_key, &all);
        from_events(all.events, all.count, out_data);
        free(all.events);
        return FR_OK;
    }
    fprintf(stderr, "no data set is called %s\n", name);
    return FR_NOT_FOUND;
}

void data_sequences_free(struct data_sequences *data)
{
    free(data->items);
    free(data->start);
    memset(data, 0, sizeof(*data));
}

enum fr_status data_split_load(const char *name, uint64_t key, struct data_sequences *out_train,
                               struct data_sequences *out_test)
{
    struct loaded train = {0}, test = {0};
    if (!strcmp(name, "gowalla")) {
        static const char *const paths[] = {"gowalla/train.txt", "gowalla/valid.txt",
                                            "gowalla/test.txt"};
        for (int i = 0; i < 3; i++) {
            FILE *file = data_open(paths[i]);
            if (!file)
                return FR_NOT_FOUND;
            lines_read(file, true, 1, i == 2 ? &test : &train);
        }
    } else {
        FILE *file = data_open("movielens-100k/u.data");
        if (!file)
            return FR_NOT_FOUND;
        struct loaded all = {0};
        ratings_read(file, key, &all);
        for (size_t i = 0; i < all.count; i++)
            all.events[i].time = 0; /* random order inside a user */
        qsort(all.events, all.count, sizeof(*all.events), event_compare);
        for (size_t i = 0, from = 0; i < all.count; i++) {
            from = i && all.events[i].user == all.events[i - 1].user ? from : i;
            size_t to = from;
            while (to < all.count && all.events[to].user == all.events[from].user)
                to++;
            bool held = i - from >= (size_t)(0.75 * (double)(to - from) + 0.5);
            event_add(held ? &test : &train, all.events[i]);
        }
        free(all.events);
    }
    from_events(train.events, train.count, out_train);
    from_events(test.events, test.count, out_test);
    free(train.events);
    free(test.events);
    return FR_OK;
}

static const char *attributes_path(const char *name)
{
    if (!strcmp(name, "beauty"))
        return "sequences/Beauty_item2attributes.json";
    if (!strcmp(name, "toys"))
        return "sequences/Toys_and_Games_item2attributes.json";
    return NULL;
}

enum fr_status data_attributes_load(const char *name, uint32_t item_max,
                                    struct data_attributes *out_data)
{
    memset(out_data, 0, sizeof(*out_data));
    out_data->item_max = item_max;
    out_data->start = grow(NULL, (item_max + 1u) * sizeof(*out_data->start));
    memset(out_data->start, 0, (item_max + 1u) * sizeof(*out_data->start));
    const char *path = attributes_path(name);
    FILE *file = path ? data_open(path) : NULL;
    if (!file)
        return path ? FR_NOT_FOUND : FR_OK;
    struct loaded all = {0};
    uint32_t item = 0, number = 0;
    bool digits = false, quoted = false;
    for (int c; (c = getc(file)) != EOF;) { /* {"item": [value, ...], ...} */
        if (c >= '0' && c <= '9') {
            number = number * 10 + (uint32_t)(c - '0');
            digits = true;
            continue;
        }
        if (digits && quoted)
            item = number;
        else if (digits && item < item_max)
            event_add(&all, (struct event){item, number, 0, all.count});
        quoted = c == '"' ? !quoted : quoted;
        digits = false;
        number = 0;
    }
    qsort(all.events, all.count, sizeof(*all.events), event_compare);
    out_data->values = grow(NULL, all.count * sizeof(*out_data->values));
    for (size_t i = 0, k = 0; k < item_max; k++) {
        out_data->start[k] = i;
        for (; i < all.count && all.events[i].user == k; i++) {
            out_data->values[i] = all.events[i].item;
            out_data->value_max = FR_MAX(out_data->value_max, all.events[i].item + 1);
        }
        out_data->start[k + 1] = i;
    }
    free(all.events);
    return FR_OK;
}

void data_attributes_free(struct data_attributes *data)
{
    free(data->values);
    free(data->start);
    memset(data, 0, sizeof(*data));
}
