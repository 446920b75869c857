/* SPDX-License-Identifier: Apache-2.0
 *
 * The click model on public streams, one pass, every example predicted before it is learnt:
 *   bench_ctr ml100k DIR [name=value ...]     DIR holds u.data, u.user, u.item, u.occupation
 * (plain) bench_ctr frappe FILE [name=value ...]    frappe.csv; learns 7 tenths, scores the
 * validation (score=1) or the test part (score=2) bench_ctr text FILE [name=value ...]      lines
 * in Vowpal Wabbit's format, as export=1 writes them Settings: from, to (scored examples) and the
 * model's options (see `settings`). Prints metrics, the parts' own scores and CPU time; `text`
 * counts reading and parsing, as Vowpal Wabbit does.
 */
#include "base/buf.h"
#include "base/fmath.h"
#include "base/hash.h"
#include "eval/ctr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FACETS = 16, LINE = 4096, USERS = 1024, ITEMS = 2048 };

struct example {
    uint64_t user, item;
    struct model_ctr_facet facets[FACETS];
    uint32_t facet_count, time_s;
    uint64_t order;
    uint8_t part; /* 0 learn and score, 1 validation, 2 test: only predicted */
    bool label;
};

enum part { PART_BASE, PART_EFFECTS, PART_FTRL, PART_FFM, PART_BLEND, PART_ALL, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"base",        "base+effects", "ftrl",
                                                   "effects+ffm", "blend",        "calibrated"};

struct stream {
    struct example *examples;
    uint64_t count, capacity;
    const struct model_ctr_kind *kinds;
    uint32_t kind_count;
    float *p[PART_COUNT]; /* scored predictions of each part */
    uint8_t *labels;
    uint64_t scored;
    bool whole_only; /* the parts' own predictions are not kept */
};

struct setting {
    const char *name;
    double value; /* -1: the model's default */
};
static struct setting settings[] = {
    {"from", 10000},  {"to", 0},           {"alpha", -1},      {"l2", -1},
    {"ffm_rate", -1}, {"ffm_lambda", -1},  {"base_drift", -1}, {"blend_drift", -1},
    {"effect", -1},   {"effect_bias", -1}, {"ffm", -1},        {"ffm_normalise", -1},
    {"effects", -1},  {"ftrl", -1},        {"blend", -1},      {"memory", -1},
    {"repeats", -1},  {"admit", -1},       {"id_max", -1},     {"export", 0},
    {"score", 2},
};

static double setting(const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(settings); i++) {
        if (strcmp(settings[i].name, name) == 0)
            return settings[i].value;
    }
    abort();
}

static bool read_settings(int argc, char **argv)
{
    for (int a = 3; a < argc; a++) {
        char *equal = strchr(argv[a], '=');
        size_t i = 0;
        for (; equal && i < FR_COUNT_OF(settings); i++) {
            if (strlen(settings[i].name) == (size_t)(equal - argv[a]) &&
                strncmp(settings[i].name, argv[a], (size_t)(equal - argv[a])) == 0)
                break;
        }
        if (!equal || i == FR_COUNT_OF(settings)) {
            fprintf(stderr, "bench_ctr: no setting %s\n", argv[a]);
            return false;
        }
        settings[i].value = strtod(equal + 1, NULL);
    }
    return true;
}

static void put(const char *name, float *to)
{
    if (setting(name) >= 0)
        *to = (float)setting(name);
}

static void put_bool(const char *name, bool *to)
{
    if (setting(name) >= 0)
        *to = setting(name) != 0;
}

static struct example *add_example(struct stream *stream)
{
    if (stream->count == stream->capacity) {
        stream->capacity = stream->capacity ? stream->capacity * 2 : 65536;
        stream->examples = realloc(stream->examples, stream->capacity * sizeof(*stream->examples));
        if (!stream->examples)
            abort();
    }
    struct example *example = &stream->examples[stream->count++];
    memset(example, 0, sizeof(*example));
    return example;
}

static void add_facet(struct example *example, uint32_t kind, uint64_t value, double number)
{
    if (example->facet_count < FACETS)
        example->facets[example->facet_count++] =
            (struct model_ctr_facet){kind, value, (float)number};
}

/* ---- ML-100K ------------------------------------------------------------------------------ */

enum ml_kind {
    ML_AGE,
    ML_GENDER,
    ML_JOB,
    ML_AGE_NUMBER,
    ML_YEAR,
    ML_GENRE,
    ML_YEAR_NUMBER,
    ML_HOUR,
    ML_DAY
};
static const struct model_ctr_kind ml_kinds[] = {
    {"age", MODEL_CTR_USER, true, false},         {"gender", MODEL_CTR_USER, true, false},
    {"occupation", MODEL_CTR_USER, true, false},  {"age_number", MODEL_CTR_USER, false, true},
    {"year", MODEL_CTR_ITEM, true, false},        {"genre", MODEL_CTR_ITEM, true, false},
    {"year_number", MODEL_CTR_ITEM, false, true}, {"hour", MODEL_CTR_CONTEXT, true, false},
    {"weekday", MODEL_CTR_CONTEXT, true, false},
};
static struct example ml_user[USERS], ml_item[ITEMS];

static FILE *open_in(const char *directory, const char *name)
{
    char path[LINE];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static uint64_t class_of(int value, const int *limits, size_t count)
{
    uint64_t c = 0;
    while (c < count && value >= limits[c])
        c++;
    return c;
}

static void read_users(const char *directory)
{
    static const int ages[] = {18, 25, 35, 45, 50, 56};
    FILE *file = open_in(directory, "u.user");
    char line[LINE], job[64], gender;
    int user, age;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%d|%d|%c|%63[^|]", &user, &age, &gender, job) != 4 || user >= USERS)
            continue;
        struct example *example = &ml_user[user];
        add_facet(example, ML_AGE, class_of(age, ages, FR_COUNT_OF(ages)), 0);
        add_facet(example, ML_GENDER, gender == 'M', 0);
        add_facet(example, ML_JOB, base_hash64(job, strlen(job), 1) % 1000003, 0);
        add_facet(example, ML_AGE_NUMBER, 0, (age - 33) / 15.0);
    }
    fclose(file);
}

static void read_items(const char *directory)
{
    static const int years[] = {1940, 1960, 1970, 1980, 1985, 1990, 1993, 1995, 1996, 1997};
    FILE *file = open_in(directory, "u.item");
    char line[LINE];
    while (fgets(line, sizeof(line), file)) {
        int item = (int)strtol(line, NULL, 10), field = 0, year = 0;
        if (item <= 0 || item >= ITEMS)
            continue;
        struct example *example = &ml_item[item];
        for (char *at = line, *end; at; at = end ? end + 1 : NULL, field++) {
            end = strpbrk(at, "|\n");
            if (field == 2 && end && end - at >= 4)
                year = (int)strtol(end - 4, NULL, 10);
            if (field >= 5 && field < 24 && *at == '1')
                add_facet(example, ML_GENRE, (uint64_t)(field - 5), 0);
        }
        add_facet(example, ML_YEAR, class_of(year, years, FR_COUNT_OF(years)), 0);
        add_facet(example, ML_YEAR_NUMBER, 0, year > 1900 ? (year - 1990) / 10.0 : 0);
    }
    fclose(file);
}

static int by_time(const void *a, const void *b)
{
    const struct example *x = a, *y = b;
    if (x->time_s != y->time_s)
        return x->time_s < y->time_s ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void read_ml100k(struct stream *stream, const char *directory)
{
    read_users(directory);
    read_items(directory);
    FILE *file = open_in(directory, "u.data");
    unsigned user, item, rating, time_s;
    while (fscanf(file, "%u %u %u %u", &user, &item, &rating, &time_s) == 4) {
        struct example *example = add_example(stream);
        example->user = user;
        example->item = item;
        example->label = rating >= 4;
        example->time_s = time_s;
        example->order = (uint32_t)stream->count;
        const struct example *sources[] = {&ml_user[user], &ml_item[item]};
        for (int s = 0; s < 2; s++) {
            for (uint32_t i = 0; i < sources[s]->facet_count; i++)
                add_facet(example, sources[s]->facets[i].kind, sources[s]->facets[i].value,
                          (double)sources[s]->facets[i].number);
        }
        add_facet(example, ML_HOUR, time_s / 3600 % 24, 0);
        add_facet(example, ML_DAY, time_s / 86400 % 7, 0);
    }
    fclose(file);
    qsort(stream->examples, stream->count, sizeof(*stream->examples), by_time);
    stream->kinds = ml_kinds;
    stream->kind_count = FR_COUNT_OF(ml_kinds);
}

/* ---- Frappe --------------------------------------------------------------------------------- */

enum { FRAPPE_COLUMNS = 11, FRAPPE_APPS = 4082 };
static const struct model_ctr_kind frappe_kinds[] = {
    {"daytime", MODEL_CTR_CONTEXT, true, false},   {"weekday", MODEL_CTR_CONTEXT, true, false},
    {"isweekend", MODEL_CTR_CONTEXT, true, false}, {"homework", MODEL_CTR_CONTEXT, true, false},
    {"cost", MODEL_CTR_CONTEXT, true, false},      {"weather", MODEL_CTR_CONTEXT, true, false},
    {"country", MODEL_CTR_CONTEXT, true, false},   {"city", MODEL_CTR_CONTEXT, true, false},
};

static uint64_t frappe_key(const struct example *example)
{
    uint64_t key = base_mix64_pair(example->user, example->item);
    for (uint32_t i = 0; i < example->facet_count; i++)
        key = base_mix64_pair(key, example->facets[i].value);
    return key;
}

/* user item cnt daytime weekday isweekend homework cost weather country city */
static void read_frappe_row(struct stream *stream, char *line)
{
    const char *columns[FRAPPE_COLUMNS];
    uint32_t count = 0;
    for (char *at = line; at && count < FRAPPE_COLUMNS;) {
        columns[count++] = at;
        at = strpbrk(at, "\t\r\n");
        if (at)
            *at++ = 0;
    }
    if (count != FRAPPE_COLUMNS)
        return;
    struct example *example = add_example(stream);
    example->user = strtoull(columns[0], NULL, 10) + 1;
    example->item = strtoull(columns[1], NULL, 10) + 1;
    example->label = true;
    for (uint32_t k = 0; k < FR_COUNT_OF(frappe_kinds); k++)
        add_facet(example, k, base_hash64(columns[3 + k], strlen(columns[3 + k]), 1) >> 8, 0);
}

/* A set of 64-bit keys, open addressing; sized for the whole file. */
struct keys {
    uint64_t *slot;
    uint64_t mask;
};

static bool keys_have(const struct keys *keys, uint64_t key, bool add)
{
    uint64_t at = key & keys->mask;
    while (keys->slot[at] != 0 && keys->slot[at] != key)
        at = (at + 1) & keys->mask;
    bool had = keys->slot[at] == key;
    if (add)
        keys->slot[at] = key;
    return had;
}

static int by_order(const void *a, const void *b)
{
    const struct example *x = a, *y = b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Two apps that the user does not use in this context, for every row; parts 7:2:1 and the order of
 * all examples by keyed hash, so that a row's positive and negatives are nowhere near each other.
 */
static void sample_negatives(struct stream *stream)
{
    uint64_t rows = stream->count;
    struct keys keys = {calloc(1u << 19, sizeof(uint64_t)), (1u << 19) - 1};
    if (!keys.slot)
        abort();
    for (uint64_t r = 0; r < rows; r++)
        keys_have(&keys, frappe_key(&stream->examples[r]), true);
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t part = base_random_u64(11, r, 0) % 10;
        stream->examples[r].part = part < 7 ? 0 : part < 9 ? 1 : 2;
        stream->examples[r].order = base_random_u64(12, r, 0);
        for (uint64_t n = 1, draw = 0; n <= 2; n++) {
            struct example *negative = add_example(stream);
            *negative = stream->examples[r];
            negative->label = false;
            negative->order = base_random_u64(12, r, n);
            do
                negative->item = base_random_u64(13, r, draw++) % FRAPPE_APPS + 1;
            while (keys_have(&keys, frappe_key(negative), false));
        }
    }
    free(keys.slot);
    qsort(stream->examples, stream->count, sizeof(*stream->examples), by_order);
    for (uint64_t i = 0; i < stream->count; i++)
        stream->examples[i].time_s = 1; /* the file has no times */
}

static void read_frappe(struct stream *stream, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[LINE];
    if (!file || !fgets(line, sizeof(line), file)) {
        perror(path);
        exit(1);
    }
    while (fgets(line, sizeof(line), file))
        read_frappe_row(stream, line);
    fclose(file);
    sample_negatives(stream);
    stream->kinds = frappe_kinds;
    stream->kind_count = FR_COUNT_OF(frappe_kinds);
}

/* ---- text, in Vowpal Wabbit's format -------------------------------------------------------- */

/* 1 |u 259 |i 255 |a 2 |b 1 ...: user, item, then a namespace a kind from 'a' on (u and i skipped).
 */
static char namespace_of(uint32_t kind)
{
    static const char letters[] = "abcdefghjklmnopqrstvwxyz";
    return letters[kind];
}

static void export_text(const struct stream *stream, FILE *out)
{
    fputs("# kinds", out);
    for (uint32_t k = 0; k < stream->kind_count; k++)
        fprintf(out, " %s:%d:%d", stream->kinds[k].name, stream->kinds[k].side,
                stream->kinds[k].crossed);
    fputs("\n", out);
    for (uint64_t i = 0; i < stream->count; i++) {
        const struct example *example = &stream->examples[i];
        fprintf(out, "%s |u %llu |i %llu", example->label ? "1" : "-1",
                (unsigned long long)example->user, (unsigned long long)example->item);
        for (uint32_t k = 0; k < stream->kind_count; k++) {
            bool open = false;
            for (uint32_t f = 0; f < example->facet_count; f++) {
                if (example->facets[f].kind != k || stream->kinds[k].numeric)
                    continue;
                if (!open)
                    fprintf(out, " |%c", namespace_of(k));
                open = true;
                fprintf(out, " %llx", (unsigned long long)example->facets[f].value);
            }
        }
        fputs("\n", out);
    }
}

static struct model_ctr_kind text_kinds[MODEL_CTR_KINDS_MAX];
static char text_names[MODEL_CTR_KINDS_MAX][32];
static int8_t text_kind_of[256];

static void read_kinds(struct stream *stream, char *line)
{
    uint32_t count = 0;
    for (char *at = line, *end; at && count < MODEL_CTR_KINDS_MAX; at = end) {
        end = strpbrk(at, " \n");
        if (end)
            *end++ = 0;
        int side, crossed;
        if (sscanf(at, "%31[^:]:%d:%d", text_names[count], &side, &crossed) != 3)
            continue;
        text_kinds[count] = (struct model_ctr_kind){text_names[count], (enum model_ctr_side)side,
                                                    crossed != 0, false};
        text_kind_of[(uint8_t)namespace_of(count)] = (int8_t)count;
        count++;
    }
    stream->kinds = text_kinds;
    stream->kind_count = count;
}

/* A token's value: small ones in hexadecimal stay what they are, as export wrote them. */
static const char *read_value(const char *at, uint64_t *out_value)
{
    uint64_t value = 0;
    for (; *at > ' ' && *at != '|'; at++)
        value = value * 16 + (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    *out_value = value;
    return at;
}

static void parse_line(const char *at, struct example *example)
{
    char name = 0;
    example->facet_count = 0;
    example->label = *at != '-';
    at = strchr(at, '|');
    while (at && *at && *at != '\n') {
        uint64_t value;
        if (*at == ' ') {
            at++;
            continue;
        }
        if (*at == '|') {
            name = at[1];
            at += 2;
            continue;
        }
        at = read_value(at, &value);
        if (name == 'u')
            example->user = value;
        else if (name == 'i')
            example->item = value;
        else
            add_facet(example, (uint32_t)text_kind_of[(uint8_t)name], value, 0);
    }
}

/* ---- running -------------------------------------------------------------------------------- */

static struct model_ctr *open_model(const struct stream *stream)
{
    struct model_ctr_options options;
    struct model_ctr *ctr;
    struct fr_error error;
    model_ctr_defaults(&options);
    options.features.kinds = stream->kinds;
    options.features.kind_count = stream->kind_count;
    put("alpha", &options.ftrl_alpha);
    put("l2", &options.ftrl_l2);
    put("ffm_rate", &options.ffm_rate);
    put("ffm_lambda", &options.ffm_lambda);
    put("base_drift", &options.base_drift);
    put("blend_drift", &options.blend_drift);
    put("effect", &options.effect_variance);
    put("effect_bias", &options.effect_bias_variance);
    put("memory", &options.features.memory);
    put_bool("ffm", &options.ffm);
    put_bool("ffm_normalise", &options.ffm_normalise);
    put_bool("effects", &options.effects);
    put_bool("ftrl", &options.ftrl);
    put_bool("blend", &options.blend);
    put_bool("repeats", &options.features.repeats);
    if (setting("id_max") >= 0)
        options.features.id_max = (uint32_t)setting("id_max");
    if (setting("admit") >= 0)
        options.features.admit_after = (uint32_t)setting("admit");
    if (model_ctr_new(&options, &error, &ctr) != FR_OK) {
        fprintf(stderr, "bench_ctr: %s\n", error.message);
        exit(1);
    }
    return ctr;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void keep(struct stream *stream, const struct model_ctr_answer *answer, bool label)
{
    uint64_t at = stream->scored++;
    stream->p[PART_ALL][at] = answer->probability;
    stream->labels[at] = label;
    if (stream->whole_only)
        return;
    stream->p[PART_BASE][at] = base_sigmoidf(answer->base);
    float known = answer->base + answer->user_effect + answer->item_effect;
    stream->p[PART_EFFECTS][at] = base_sigmoidf(known);
    stream->p[PART_FTRL][at] = base_sigmoidf(answer->ftrl);
    stream->p[PART_FFM][at] = base_sigmoidf(known + answer->ffm);
    stream->p[PART_BLEND][at] = base_sigmoidf(answer->blend);
}

static void make_room(struct stream *stream, uint64_t count)
{
    for (int i = 0; i < PART_COUNT; i++)
        stream->p[i] = malloc((count + 1) * sizeof(float));
    stream->labels = malloc(count + 1);
}

static void run_one(struct stream *stream, struct model_ctr *ctr, const struct example *example,
                    uint64_t index)
{
    struct model_ctr_row row = {.user = example->user,
                                .item = example->item,
                                .facets = example->facets,
                                .facet_count = example->facet_count,
                                .now_s = example->time_s,
                                .label = example->label ? 1.0f : 0.0f,
                                .weight = 1.0f};
    struct model_ctr_answer answer;
    if (example->part == 0)
        model_ctr_learn(ctr, &row, &answer);
    else
        model_ctr_score(ctr, &row, &answer);
    uint64_t to = setting("to") > 0 ? (uint64_t)setting("to") : UINT64_MAX;
    bool staged = stream->kinds == frappe_kinds;
    if (staged ? example->part == (uint8_t)setting("score")
               : index >= (uint64_t)setting("from") && index < to)
        keep(stream, &answer, example->label);
}

static void run_examples(struct stream *stream, struct model_ctr *ctr)
{
    uint64_t to = setting("to") > 0 ? (uint64_t)setting("to") : UINT64_MAX;
    make_room(stream, stream->count);
    for (uint64_t i = 0; i < stream->count && i < to; i++)
        run_one(stream, ctr, &stream->examples[i], i);
}

/* Reads, parses and runs a line at a time: what a learner fed with text does. */
static struct model_ctr *run_text(struct stream *stream, const char *path, uint64_t *out_count)
{
    char line[LINE];
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof(line), file)) {
        perror(path);
        exit(1);
    }
    read_kinds(stream, line);
    struct model_ctr *ctr = open_model(stream);
    struct example example = {.time_s = 1};
    make_room(stream, 1u << 20);
    while (fgets(line, sizeof(line), file) && *out_count < 1u << 20) {
        parse_line(line, &example);
        run_one(stream, ctr, &example, (*out_count)++);
    }
    fclose(file);
    return ctr;
}

static void print(struct stream *stream, double seconds, uint64_t count)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    for (int i = stream->whole_only ? PART_ALL : 0; i < PART_COUNT; i++) {
        struct eval_ctr_result result;
        if (eval_ctr_score(stream->p[i], stream->labels, stream->scored, 0, &result) != FR_OK)
            abort();
        eval_ctr_line(&result, part_names[i], &out);
    }
    base_buf_printf(&out, "%llu examples, %.2f CPU us an example\n", (unsigned long long)count,
                    seconds * 1e6 / (double)FR_MAX(count, (uint64_t)1));
    fwrite(out.bytes, 1, out.count, stdout);
    base_buf_release(&out);
}

int main(int argc, char **argv)
{
    struct stream stream = {0};
    if (argc < 3 || !read_settings(argc, argv)) {
        fputs("usage: bench_ctr ml100k DIR | frappe FILE | text FILE [name=value ...]\n", stderr);
        return 2;
    }
    bool text = strcmp(argv[1], "text") == 0;
    stream.whole_only = text;
    if (strcmp(argv[1], "ml100k") == 0)
        read_ml100k(&stream, argv[2]);
    else if (strcmp(argv[1], "frappe") == 0)
        read_frappe(&stream, argv[2]);
    else if (!text)
        return 2;
    if (setting("export") > 0 && !text) {
        export_text(&stream, stdout);
        return 0;
    }
    uint64_t count = 0;
    double began = cpu_s();
    struct model_ctr *ctr = text ? NULL : open_model(&stream);
    if (text) {
        ctr = run_text(&stream, argv[2], &count);
    } else {
        run_examples(&stream, ctr);
        count = setting("to") > 0 ? FR_MIN((uint64_t)setting("to"), stream.count) : stream.count;
    }
    print(&stream, cpu_s() - began, count);
    model_ctr_free(ctr);
    free(stream.examples);
    return 0;
}
