/* SPDX-License-Identifier: Apache-2.0
 *
 * trees: see the door. The reader below knows just enough JSON for an artefact: it walks objects by
 * key, takes the arrays it needs and skips the rest, never past the end.
 */
#include "model/trees.h"

#include <stdlib.h>
#include <string.h>

#define GROUP 16 /* rows in flight */

struct node {
    float value; /* threshold, or the leaf's value */
    uint32_t feature;
    uint32_t child[2]; /* left, right: absolute; a leaf's are itself */
};

struct model_trees {
    struct node *nodes;
    uint32_t *root; /* first node of each tree */
    uint32_t *depth;
    uint8_t *missing_left; /* a node */
    uint32_t node_count, tree_count, feature_count;
};

/* ---- JSON -------------------------------------------------------------------------------------
 */

struct json {
    const char *at, *end;
    bool failed;
};

static char json_peek(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
    if (json->at == json->end) {
        json->failed = true;
        return 0;
    }
    return *json->at;
}

static bool json_take(struct json *json, char c)
{
    if (json->failed || json_peek(json) != c)
        return false;
    json->at++;
    return true;
}

static void json_need(struct json *json, char c)
{
    if (!json_take(json, c))
        json->failed = true;
}

static struct fr_slice json_string(struct json *json)
{
    json_need(json, '"');
    const char *from = json->at;
    while (!json->failed && json->at < json->end && *json->at != '"')
        json->at += *json->at == '\\' && json->end - json->at > 1 ? 2 : 1;
    struct fr_slice text = fr_slice_of(from, (size_t)(json->at - from));
    json_need(json, '"');
    return text;
}

/* A number, or a quoted one (the library writes its parameters so). */
static double json_number(struct json *json)
{
    bool quoted = json_take(json, '"');
    char text[48];
    size_t n = 0;
    json_peek(json);
    while (json->at < json->end && n + 1 < sizeof(text) && strchr("+-.0123456789eEainf", *json->at))
        text[n++] = *json->at++;
    text[n] = 0;
    char *stop;
    double value = strtod(text, &stop);
    if (!n || *stop)
        json->failed = true;
    if (quoted)
        json_need(json, '"');
    return value;
}

/* The nearest float to the text, as the library reads it. */
static float json_float(struct json *json)
{
    char text[48];
    size_t n = 0;
    json_peek(json);
    while (json->at < json->end && n + 1 < sizeof(text) && strchr("+-.0123456789eEainf", *json->at))
        text[n++] = *json->at++;
    text[n] = 0;
    char *stop;
    float value = strtof(text, &stop);
    if (!n || *stop)
        json->failed = true;
    return value;
}

static void json_skip(struct json *json)
{
    uint32_t depth = 0;
    do {
        char c = json_peek(json);
        if (json->failed)
            return;
        if (c == '"') {
            json_string(json);
        } else {
            depth += c == '{' || c == '[';
            if ((c == '}' || c == ']') && depth-- == 0) {
                json->failed = true;
                return;
            }
            json->at++;
            if (!depth) /* the rest of a bare word or number */
                while (json->at < json->end && !strchr(",}] \n\r\t", *json->at))
                    json->at++;
        }
    } while (depth && !json->failed);
}

/* Steps to the next key of an object, whose '{' was taken; false at its end. */
static bool json_key(struct json *json, bool *first, struct fr_slice *out_key)
{
    if (json->failed || json_take(json, '}'))
        return false;
    if (!*first)
        json_need(json, ',');
    *first = false;
    *out_key = json_string(json);
    json_need(json, ':');
    return !json->failed;
}

/* The next element of an array, whose '[' was taken. */
static bool json_element(struct json *json, bool *first)
{
    if (json->failed || json_take(json, ']'))
        return false;
    if (!*first)
        json_need(json, ',');
    *first = false;
    return !json->failed;
}

static bool key_is(struct fr_slice key, const char *name)
{
    return fr_slice_equal(key, fr_slice_str(name));
}

/* ---- trees ------------------------------------------------------------------------------------
 */

struct parse {
    struct json json;
    struct model_trees *trees;
    uint32_t node_room, tree_room;
    bool unsupported;
};

/* One tree's columns as they are in the artefact. */
struct columns {
    float *value;
    int64_t *left, *right, *feature, *missing_left;
    uint32_t count[5];
};

static bool room_for(struct parse *parse, uint32_t nodes)
{
    struct model_trees *trees = parse->trees;
    if (trees->tree_count == MODEL_TREES_MAX || nodes > MODEL_TREES_NODES_MAX - trees->node_count)
        return false;
    while (trees->node_count + nodes > parse->node_room) {
        uint32_t room = parse->node_room ? 2 * parse->node_room : 1024;
        struct node *more = realloc(trees->nodes, room * sizeof(*more));
        if (!more)
            return false;
        trees->nodes = more;
        uint8_t *marks = realloc(trees->missing_left, room);
        if (!marks)
            return false;
        trees->missing_left = marks;
        parse->node_room = room;
    }
    return true;
}

/* TR1 for an inner node of a tree of n nodes. */
static bool split_good(const struct columns *columns, uint32_t i, uint32_t n)
{
    int64_t left = columns->left[i], right = columns->right[i];
    return left > i && left < n && right > i && right < n && columns->feature[i] >= 0 &&
           columns->feature[i] < 65536;
}

static void node_fill(struct model_trees *trees, const struct columns *columns, uint32_t i)
{
    uint32_t base = trees->node_count;
    bool leaf = columns->left[i] == -1;
    trees->nodes[base + i] = (struct node){
        .value = columns->value[i],
        .feature = leaf ? 0 : (uint32_t)columns->feature[i],
        .child = {base + (leaf ? i : (uint32_t)columns->left[i]),
                  base + (leaf ? i : (uint32_t)columns->right[i])},
    };
    trees->missing_left[base + i] = columns->missing_left[i] != 0;
    if (!leaf)
        trees->feature_count = FR_MAX(trees->feature_count, (uint32_t)columns->feature[i] + 1);
}

/* Nodes into the flat array with their depths; false when TR1 does not hold. */
static bool nodes_add(struct model_trees *trees, const struct columns *columns, uint8_t *depth,
                      uint32_t *out_deepest)
{
    uint32_t n = columns->count[0], deepest = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (columns->left[i] != -1) {
            if (!split_good(columns, i, n) || depth[i] >= MODEL_TREES_DEPTH_MAX)
                return false;
            depth[columns->left[i]] = depth[columns->right[i]] = (uint8_t)(depth[i] + 1);
            deepest = FR_MAX(deepest, (uint32_t)depth[i] + 1);
        }
        node_fill(trees, columns, i);
    }
    *out_deepest = deepest;
    return true;
}

static bool tree_add(struct parse *parse, const struct columns *columns)
{
    struct model_trees *trees = parse->trees;
    uint32_t n = columns->count[0], deepest;
    for (int k = 1; k < 5; k++)
        if (columns->count[k] != n)
            return false;
    uint8_t *depth = n && room_for(parse, n) ? calloc(n, 1) : NULL;
    bool good = depth && nodes_add(trees, columns, depth, &deepest);
    free(depth);
    if (!good)
        return false;
    trees->root[trees->tree_count] = trees->node_count;
    trees->depth[trees->tree_count++] = deepest;
    trees->node_count += n;
    return true;
}

static uint32_t column_read(struct json *json, float *values, int64_t *whole)
{
    uint32_t n = 0;
    bool first = true;
    json_need(json, '[');
    while (json_element(json, &first)) {
        if (n == MODEL_TREES_NODES_MAX) {
            json->failed = true;
            break;
        }
        if (values)
            values[n++] = json_float(json);
        else
            whole[n++] = (int64_t)json_number(json);
    }
    return n;
}

static void tree_read(struct parse *parse, struct columns *columns)
{
    struct json *json = &parse->json;
    struct fr_slice key;
    bool first = true;
    memset(columns->count, 0, sizeof(columns->count));
    json_need(json, '{');
    while (json_key(json, &first, &key)) {
        if (key_is(key, "split_conditions"))
            columns->count[0] = column_read(json, columns->value, NULL);
        else if (key_is(key, "left_children"))
            columns->count[1] = column_read(json, NULL, columns->left);
        else if (key_is(key, "right_children"))
            columns->count[2] = column_read(json, NULL, columns->right);
        else if (key_is(key, "split_indices"))
            columns->count[3] = column_read(json, NULL, columns->feature);
        else if (key_is(key, "default_left"))
            columns->count[4] = column_read(json, NULL, columns->missing_left);
        else if (key_is(key, "categories") && json_take(json, '[')) {
            if (!json_take(json, ']')) {
                parse->unsupported = true;
                json->failed = true;
            }
        } else
            json_skip(json);
    }
    if (!json->failed && !tree_add(parse, columns))
        json->failed = true;
}

static void trees_read(struct parse *parse)
{
    size_t n = MODEL_TREES_NODES_MAX;
    struct columns columns = {
        .value = malloc(n * sizeof(float)),
        .left = malloc(n * sizeof(int64_t)),
        .right = malloc(n * sizeof(int64_t)),
        .feature = malloc(n * sizeof(int64_t)),
        .missing_left = malloc(n * sizeof(int64_t)),
    };
    bool first = true;
    json_need(&parse->json, '[');
    if (!columns.value || !columns.left || !columns.right || !columns.feature ||
        !columns.missing_left)
        parse->json.failed = true;
    while (json_element(&parse->json, &first))
        tree_read(parse, &columns);
    free(columns.value);
    free(columns.left);
    free(columns.right);
    free(columns.feature);
    free(columns.missing_left);
}

/* Descends into the objects on the way to "trees" and to the base score. */
static void object_read(struct parse *parse, uint32_t depth)
{
    struct json *json = &parse->json;
    struct fr_slice key;
    bool first = true;
    json_need(json, '{');
    while (json_key(json, &first, &key)) {
        if (key_is(key, "trees"))
            trees_read(parse);
        else if (depth < 4 && (key_is(key, "learner") || key_is(key, "gradient_booster") ||
                               key_is(key, "model") || key_is(key, "learner_model_param")))
            object_read(parse, depth + 1);
        else if (key_is(key, "base_score"))
            parse->unsupported |= json_number(json) != 0.5;
        else if (key_is(key, "num_class"))
            parse->unsupported |= json_number(json) != 0.0;
        else
            json_skip(json);
    }
}

enum fr_status model_trees_parse(struct fr_slice artefact, struct fr_error *error,
                                 struct model_trees **out_trees)
{
    struct model_trees *trees = calloc(1, sizeof(*trees));
    struct parse parse = {.json = {artefact.ptr, artefact.ptr + artefact.bytes, false},
                          .trees = trees};
    if (trees) {
        trees->root = calloc(MODEL_TREES_MAX, sizeof(*trees->root));
        trees->depth = calloc(MODEL_TREES_MAX, sizeof(*trees->depth));
    }
    if (!trees || !trees->root || !trees->depth) {
        model_trees_free(trees);
        return base_fail(error, FR_MEMORY, "model", "no memory for trees");
    }
    object_read(&parse, 0);
    if (parse.unsupported || parse.json.failed || !trees->tree_count) {
        size_t at = (size_t)(parse.json.at - artefact.ptr);
        model_trees_free(trees);
        if (parse.unsupported)
            return base_fail(error, FR_UNSUPPORTED, "model",
                             "boosted trees: categories, classes or a base score of its own");
        return base_fail(error, FR_CORRUPT, "model", "boosted trees: not a model at byte %zu", at);
    }
    *out_trees = trees;
    return FR_OK;
}

void model_trees_free(struct model_trees *trees)
{
    if (!trees)
        return;
    free(trees->nodes);
    free(trees->missing_left);
    free(trees->root);
    free(trees->depth);
    free(trees);
}

uint32_t model_trees_count(const struct model_trees *trees)
{
    return trees->tree_count;
}

uint32_t model_trees_feature_count(const struct model_trees *trees)
{
    return trees->feature_count;
}

static uint32_t node_next(const struct model_trees *trees, uint32_t at, const float *row)
{
    const struct node *node = &trees->nodes[at];
    float x = row[node->feature];
    uint32_t right = !(x < node->value);
    if (__builtin_expect(x != x, 0))
        right = !trees->missing_left[at];
    return node->child[right];
}

static void group_predict(const struct model_trees *trees, const float *rows, size_t stride,
                          uint32_t count, float *out_margin)
{
    uint32_t at[GROUP];
    for (uint32_t r = 0; r < count; r++)
        out_margin[r] = 0.0f;
    for (uint32_t t = 0; t < trees->tree_count; t++) {
        for (uint32_t r = 0; r < count; r++)
            at[r] = trees->root[t];
        for (uint32_t level = 0; level < trees->depth[t]; level++)
            for (uint32_t r = 0; r < count; r++)
                at[r] = node_next(trees, at[r], rows + r * stride);
        for (uint32_t r = 0; r < count; r++)
            out_margin[r] += trees->nodes[at[r]].value;
    }
}

void model_trees_predict(const struct model_trees *trees, const float *rows, size_t stride,
                         size_t row_count, float *out_margin)
{
    FR_ASSERT(stride >= trees->feature_count);
    for (size_t r = 0; r < row_count; r += GROUP)
        group_predict(trees, rows + r * stride, stride,
                      (uint32_t)FR_MIN(row_count - r, (size_t)GROUP), out_margin + r);
}
