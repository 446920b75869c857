/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/routes: the table of routes. The router, the checks of arguments, /openapi.json and
 * docs/API.md all read it: adding an endpoint is a row here, a handler, and its test.
 */
#include "serve/serve_priv.h"

/* ---- parameters --------------------------------------------------------------------------- */

#define PATH_ID(what)                                                                              \
    {                                                                                              \
        .name = "id", .in = SERVE_IN_PATH, .type = SERVE_ID, .required = true, .about = what       \
    }
#define QUERY .in = SERVE_IN_QUERY
#define PARAM_N(most, usual)                                                                       \
    {                                                                                              \
        .name = "n", QUERY, .type = SERVE_INT, .low = 1, .high = (most), .fallback = usual,        \
        .about = "How many.", .example = "5"                                                       \
    }
#define PARAM_OFFSET                                                                               \
    {                                                                                              \
        .name = "offset", QUERY, .type = SERVE_INT, .low = 0, .high = SERVE_OFFSET_MAX,            \
        .fallback = "0", .about = "How many of the best to skip: the next page."                   \
    }
#define PARAM_ACK                                                                                  \
    {                                                                                              \
        .name = "ack", QUERY, .type = SERVE_ENUM, .choices = "applied|durable|none",               \
        .fallback = "applied",                                                                     \
        .about = "When to answer: applied = on disk and learnt, the next answer reflects it; "     \
                 "durable = on disk; none = at once with 202, and a crash may lose it."            \
    }
#define PARAM_CATEGORIES                                                                           \
    {.name = "categories",                                                                         \
     QUERY,                                                                                        \
     .type = SERVE_TEXT,                                                                           \
     .list = true,                                                                                 \
     .high = SERVE_CATEGORIES_MAX,                                                                 \
     .about = "Only items of these categories.",                                                   \
     .example = "Drama"},                                                                          \
    {                                                                                              \
        .name = "categories_match", QUERY, .type = SERVE_ENUM, .choices = "any|all",               \
        .fallback = "any", .about = "Of any of the categories, or of all of them."                 \
    }
#define PARAM_EXCLUDE                                                                              \
    {                                                                                              \
        .name = "exclude", QUERY, .type = SERVE_ID, .list = true, .high = SERVE_EXCLUDE_MAX,       \
        .about = "Items that must not come.", .example = "i7"                                      \
    }
#define CONTEXT(field, what)                                                                       \
    {                                                                                              \
        .name = field, QUERY, .type = SERVE_TEXT, .high = SCHEMA_CONTEXT_VALUE_BYTES_MAX,          \
        .context = true, .about = what                                                             \
    }
#define PARAM_CONTEXT                                                                              \
    CONTEXT("device", "Kind of device."), CONTEXT("os", "Operating system."),                      \
        CONTEXT("country", "Country."), CONTEXT("region", "Region."), CONTEXT("city", "City."),    \
        CONTEXT("referrer", "Where the visit came from."), CONTEXT("language", "Language."),       \
    {                                                                                              \
        .name = "context.", QUERY, .type = SERVE_TEXT, .high = SCHEMA_CONTEXT_VALUE_BYTES_MAX,     \
        .context = true, .prefix = true, .about = "Any other fact of the situation, by its key."   \
    }
#define HEADER_IDEMPOTENCY                                                                         \
    {                                                                                              \
        .name = "Idempotency-Key", .in = SERVE_IN_HEADER, .type = SERVE_TEXT, .high = 256,         \
        .about = "The same key again is the same request: events without an id of their own are "  \
                 "known by this key and their index, and count once."                              \
    }

static const struct serve_param recommend_params[] = {
    {.name = "user",
     QUERY,
     .type = SERVE_ID,
     .example = "u1",
     .about = "Whom to answer. Absent or unknown: answered as a new person."},
    {.name = "session",
     QUERY,
     .type = SERVE_ID,
     .about = "The running session; absent: the one that inactivity has cut."},
    {.name = "items",
     QUERY,
     .type = SERVE_ID,
     .list = true,
     .high = SERVE_RECENT_MAX,
     .about = "Items of this visit, newest first, for someone without a stored history.",
     .example = "i1"},
    PARAM_N(SERVE_N_MAX, "10"),
    PARAM_OFFSET,
    PARAM_CATEGORIES,
    PARAM_EXCLUDE,
    {.name = "repeats",
     QUERY,
     .type = SERVE_ENUM,
     .choices = "skip|allow",
     .about = "Whether items that the user has acted on may come back. Default: as configured."},
    {.name = "explain",
     QUERY,
     .type = SERVE_ENUM,
     .choices = "none|reasons|full",
     .fallback = "reasons",
     .about = "Reasons with their shares of the score; full adds the decision record."},
    {.name = "counterfactual",
     QUERY,
     .type = SERVE_BOOL,
     .fallback = "false",
     .about =
         "Adds which of the user's visits the first item stands on: without them it would not "
         "be first. Found by the shares of the scores, confirmed by scoring again; costs a few "
         "rankings."},
    {.name = "max_per_category",
     QUERY,
     .type = SERVE_INT,
     .low = 0,
     .high = SERVE_N_MAX,
     .about = "At most so many of one (first) category; 0 = no cap. Default: as configured."},
    {.name = "max_per_author",
     QUERY,
     .type = SERVE_INT,
     .low = 0,
     .high = SERVE_N_MAX,
     .about = "At most so many of one author; 0 = no cap. Default: as configured."},
    PARAM_CONTEXT,
};

static const struct serve_param similar_params[] = {PATH_ID("The item."),
                                                    PARAM_N(SERVE_N_MAX, "10"), PARAM_OFFSET,
                                                    PARAM_CATEGORIES, PARAM_EXCLUDE};

static const struct serve_param trending_params[] = {
    PARAM_N(SERVE_N_MAX, "10"),
    PARAM_OFFSET,
    {.name = "window",
     QUERY,
     .type = SERVE_ENUM,
     .choices = "now|long",
     .fallback = "now",
     .about = "now = the last minutes (half-life 17 min); long = weeks."},
    {.name = "category",
     QUERY,
     .type = SERVE_TEXT,
     .high = SCHEMA_CONTEXT_VALUE_BYTES_MAX,
     .about = "What trends within this category."},
    PARAM_CATEGORIES,
    PARAM_EXCLUDE,
    PARAM_CONTEXT,
};

static const struct serve_param history_params[] = {PATH_ID("The user."),
                                                    PARAM_N(STATE_HISTORY_MAX, "20")};
static const struct serve_param health_params[] = {
    {.name = "segments",
     QUERY,
     .type = SERVE_BOOL,
     .fallback = "false",
     .about = "Also by length of history, device and region."}};
static const struct serve_param search_params[] =
    {{.name = "query",
      QUERY,
      .type = SERVE_TEXT,
      .required = true,
      .high = 100,
      .about = "Part of a title or id, upper or lower case.",
      .example = "river"},
     PARAM_N(SERVE_N_MAX, "10")};
static const struct serve_param audit_params[] =
    {PARAM_N(SERVE_N_MAX, "20"),
     {.name = "before",
      QUERY,
      .type = SERVE_INT,
      .low = 0,
      .high = INT64_MAX,
      .about = "Only acts with a smaller number: the next page. 0: from the newest."}};
static const struct serve_param write_params[] = {PARAM_ACK, HEADER_IDEMPOTENCY};
static const struct serve_param write_item_params[] = {PATH_ID("The item."), PARAM_ACK};
static const struct serve_param write_user_params[] = {PATH_ID("The user."), PARAM_ACK};
static const struct serve_param item_params[] = {PATH_ID("The item.")};
static const struct serve_param user_params[] = {PATH_ID("The user.")};
static const struct serve_param request_params[] = {PATH_ID("The request_id of an answer.")};

static const struct serve_param model_params[] = {PATH_ID("The model's name.")};
static const struct serve_param model_act_params[] =
    {PATH_ID("The model's name."),
     {.name = "act",
      .in = SERVE_IN_PATH,
      .type = SERVE_ID,
      .required = true,
      .about = "promote (to live), demote (to shadow), off, rollback, reset-layer, rate.",
      .example = "rollback"},
     {.name = "layer",
      QUERY,
      .type = SERVE_INT,
      .low = 0,
      .high = 15,
      .fallback = "0",
      .about = "Of reset-layer: which one begins anew."},
     {.name = "percent",
      QUERY,
      .type = SERVE_INT,
      .low = 2,
      .high = 6400,
      .fallback = "100",
      .about = "Of rate: what learning steps are multiplied by from now on."},
     PARAM_ACK};
static const struct serve_param model_parameters_params[] = {PATH_ID("The model's name."),
                                                             PARAM_ACK};

#define PARAMS(table) .param = (table), .param_count = FR_COUNT_OF(table)

/* ---- answers ------------------------------------------------------------------------------ */

#define WRITE_ANSWERS                                                                              \
    {200, "WriteResult", "Taken; rejected lists what was not, one by one."},                       \
        {202, "WriteResult", "Taken with ack=none."},                                              \
        {413, "Problem", "Too long, or too many things."},                                         \
        {422, "Rejected", "Nothing in the body was good."},                                        \
        {429, "Problem", "The queue is full, or the key's rate is used up: see Retry-After."},     \
    {                                                                                              \
        507, "Problem", "The disk is full; nothing was kept."                                      \
    }

/* ---- the table ---------------------------------------------------------------------------- */

static const struct serve_route table[] = {
    {.method = HTTP_POST,
     .pattern = "/v1/events",
     .scope = SERVE_INGEST,
     .handle = serve__handle_events,
     .operation = "postEvents",
     .tag = "events",
     .summary = "Tell what people did",
     .about = "One event, a JSON array, or NDJSON (also CSV with a header line), plain or gzip, "
              "zstd, xz. The good ones go in, the others come back one by one and into the "
              "dead-letter store; a malformed array is refused as a whole with 400.",
     PARAMS(write_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Events",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_GET,
     .pattern = "/v1/recommend",
     .scope = SERVE_READ,
     .handle = serve__handle_recommend,
     .done = serve__recommend_done,
     .reads = true,
     .operation = "recommend",
     .tag = "recommend",
     .summary = "What should this person see next, and why",
     .about =
         "Answers for known users, for sessions, and for anyone who brings recent items. Every "
         "answer has a request_id: send it back as the event's request.",
     PARAMS(recommend_params),
     .answer = {{200, "Recommendations", "The list, best first."}}},

    {.method = HTTP_POST,
     .pattern = "/v1/recommend",
     .scope = SERVE_READ,
     .handle = serve__handle_recommend,
     .done = serve__recommend_done,
     .reads = true,
     .operation = "recommendByBody",
     .tag = "recommend",
     .summary = "The same, asked by a JSON body",
     .about = "The members are the parameters of GET; context facts may stand inside \"context\".",
     PARAMS(recommend_params),
     .body = SERVE_BODY_ARGS,
     .body_schema = "RecommendQuery",
     .answer = {{200, "Recommendations", "The list, best first."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/requests/{id}",
     .scope = SERVE_READ,
     .handle = serve__handle_request,
     .reads = true,
     .operation = "getRequest",
     .tag = "recommend",
     .summary = "The decision record of an answer",
     .about = "What each stage proposed, scored, moved and why. Whole for the newest few thousand "
              "and for a "
              "sample of one in a hundred, by a hash of the id, which are kept on disk; of the "
              "others what "
              "was answered (recorded: slate), and `freshet why` makes the whole record again.",
     PARAMS(request_params),
     .answer = {{200, "Decision", "The record."},
                {404, "Problem", "Never given, or lost in a crash."},
                {410, "Problem", "Older than the slates that are kept."},
                {429, "Problem", "Too many old answers are being looked up: see Retry-After."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/items/{id}/similar",
     .scope = SERVE_READ,
     .handle = serve__handle_similar,
     .reads = true,
     .operation = "similarItems",
     .tag = "recommend",
     .summary = "Items like one item",
     .about = "By what people choose together with it, and by content.",
     PARAMS(similar_params),
     .answer = {{200, "ItemList", "The list, best first."}, {404, "Problem", "No such item."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/trending",
     .scope = SERVE_READ,
     .handle = serve__handle_trending,
     .reads = true,
     .operation = "trending",
     .tag = "recommend",
     .summary = "What is chosen often right now",
     .about = "Of everyone, or of one category, region, country, city, device, system, language or "
              "referrer (the first one given).",
     PARAMS(trending_params),
     .answer = {{200, "ItemList", "The list, best first."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/items",
     .scope = SERVE_READ,
     .handle = serve__handle_items_find,
     .reads = true,
     .operation = "findItems",
     .tag = "items",
     .summary = "Find items by title",
     .about = "Looks at the newest 20,000 items; for pages and people, not a search engine.",
     PARAMS(search_params),
     .answer = {{200, "ItemList", "Those found, newest first."}}},

    {.method = HTTP_POST,
     .pattern = "/v1/items",
     .scope = SERVE_WRITE,
     .handle = serve__handle_items,
     .operation = "putItems",
     .tag = "items",
     .summary = "Put many items",
     .about = "Each replaces the item of its id, or makes it.",
     PARAMS(write_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Items",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_PATCH,
     .pattern = "/v1/items",
     .scope = SERVE_WRITE,
     .handle = serve__handle_items_patch,
     .operation = "patchItems",
     .tag = "items",
     .summary = "Change many items",
     .about = "The members given change, the others stay.",
     PARAMS(write_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Items",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_GET,
     .pattern = "/v1/items/{id}",
     .scope = SERVE_READ,
     .handle = serve__handle_item_get,
     .reads = true,
     .operation = "getItem",
     .tag = "items",
     .summary = "One item",
     .about = "As it was put, patches included.",
     PARAMS(item_params),
     .answer = {{200, "Item", "The item."}, {404, "Problem", "No such item."}}},

    {.method = HTTP_PUT,
     .pattern = "/v1/items/{id}",
     .scope = SERVE_WRITE,
     .handle = serve__handle_item_put,
     .operation = "putItem",
     .tag = "items",
     .summary = "Put an item",
     .about = "Replaces it, or makes it.",
     PARAMS(write_item_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Item",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_PATCH,
     .pattern = "/v1/items/{id}",
     .scope = SERVE_WRITE,
     .handle = serve__handle_item_patch,
     .operation = "patchItem",
     .tag = "items",
     .summary = "Change an item",
     .about = "The members given change, the others stay.",
     PARAMS(write_item_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Item",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_DELETE,
     .pattern = "/v1/items/{id}",
     .scope = SERVE_WRITE,
     .handle = serve__handle_item_delete,
     .operation = "deleteItem",
     .tag = "items",
     .summary = "Delete an item",
     .about = "It is in no answer any more.",
     PARAMS(write_item_params),
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_POST,
     .pattern = "/v1/users",
     .scope = SERVE_WRITE,
     .handle = serve__handle_users,
     .operation = "putUsers",
     .tag = "users",
     .summary = "Put many users",
     .about = "Each replaces the user of its id, or makes it.",
     PARAMS(write_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Users",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_GET,
     .pattern = "/v1/users/{id}",
     .scope = SERVE_READ,
     .handle = serve__handle_user_get,
     .reads = true,
     .operation = "getUser",
     .tag = "users",
     .summary = "One user",
     .about = "Attributes, follows, and how many events are kept.",
     PARAMS(user_params),
     .answer = {{200, "User", "The user."}, {404, "Problem", "No such user."}}},

    {.method = HTTP_PUT,
     .pattern = "/v1/users/{id}",
     .scope = SERVE_WRITE,
     .handle = serve__handle_user_put,
     .operation = "putUser",
     .tag = "users",
     .summary = "Put a user",
     .about = "Replaces attributes and follows, or makes the user.",
     PARAMS(write_user_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "User",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_PATCH,
     .pattern = "/v1/users/{id}",
     .scope = SERVE_WRITE,
     .handle = serve__handle_user_patch,
     .operation = "patchUser",
     .tag = "users",
     .summary = "Change a user",
     .about = "The members given change, the others stay.",
     PARAMS(write_user_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "User",
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_DELETE,
     .pattern = "/v1/users/{id}",
     .scope = SERVE_WRITE,
     .handle = serve__handle_user_delete,
     .operation = "deleteUser",
     .tag = "users",
     .summary = "Delete a user",
     .about = "Profile and history are gone at once and never served. What was learnt from them "
              "together with others' stays in the counts until the user is erased.",
     PARAMS(write_user_params),
     .answer = {WRITE_ANSWERS}},

    {.method = HTTP_GET,
     .pattern = "/v1/users/{id}/history",
     .scope = SERVE_READ,
     .handle = serve__handle_history,
     .reads = true,
     .operation = "getHistory",
     .tag = "users",
     .summary = "What a user did",
     .about = "Newest first.",
     PARAMS(history_params),
     .answer = {{200, "History", "The events kept."}, {404, "Problem", "No such user."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/stats",
     .scope = SERVE_READ,
     .handle = serve__handle_stats,
     .reads = true,
     .operation = "getStats",
     .tag = "operation",
     .summary = "How the engine is",
     .about = "Counts, rates, latencies, prequential quality.",
     .answer = {{200, "Stats", "Now."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/health/models",
     .scope = SERVE_READ,
     .handle = serve__handle_health_models,
     .reads = true,
     .operation = "getModelHealth",
     .tag = "operation",
     .summary = "How good blend and experts are now",
     .about =
         "Hit rate, log loss and AUC over the newest judged events with intervals that hold at "
         "every look (95 %), calibration, drift of the inputs, and the newest alarms with "
         "what was done about them.",
     PARAMS(health_params),
     .answer = {{200, "ModelHealth", "Now."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/audit",
     .scope = SERVE_ADMIN,
     .handle = serve__handle_audit,
     .operation = "getAudit",
     .tag = "operation",
     .summary = "Who did what",
     .about =
         "Administrative acts, newest first: keys made and revoked, users deleted, settings, event "
         "types and certificates changed. The newest 4,096; all of them are in the journal "
         "(`freshet export --what audit`).",
     PARAMS(audit_params),
     .answer = {{200, "Audit", "The acts."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/models",
     .scope = SERVE_ADMIN,
     .handle = serve__handle_models,
     .operation = "getModels",
     .tag = "operation",
     .summary = "The experts and their life",
     .about =
         "Role (off, shadow, live), evidence, jobs of deferred learners and how far behind they "
         "are. gain: NDCG@10 of what people did next with the model less without it; its bounds "
         "hold at every look with .99.",
     .answer = {{200, "Models", "All of them."}}},

    {.method = HTTP_GET,
     .pattern = "/v1/models/{id}",
     .scope = SERVE_ADMIN,
     .handle = serve__handle_model,
     .operation = "getModel",
     .tag = "operation",
     .summary = "One expert",
     .about = "As in the list.",
     PARAMS(model_params),
     .answer = {{200, "Model", "The model."}, {404, "Problem", "No such model."}}},

    {.method = HTTP_POST,
     .pattern = "/v1/models/{id}/{act}",
     .scope = SERVE_ADMIN,
     .handle = serve__handle_model_act,
     .operation = "actOnModel",
     .tag = "operation",
     .summary = "Change a role, take a change back, begin a layer anew",
     .about =
         "A record of the journal: a replay does it at the same place. rollback brings back role "
         "and parameters of before the last act; twice is back again.",
     PARAMS(model_act_params),
     .answer = {{200, "WriteResult", "Done."},
                {202, "WriteResult", "Taken with ack=none."},
                {404, "Problem", "No such model, or no such act."},
                {409, "Problem", "Not an act for this model."},
                {422, "Problem", "A value that does not fit."}}},

    {.method = HTTP_PUT,
     .pattern = "/v1/models/{id}/parameters",
     .scope = SERVE_ADMIN,
     .handle = serve__handle_model_parameters,
     .operation = "putModelParameters",
     .tag = "operation",
     .summary = "Give a model other parameters",
     .about =
         "What `freshet models save` wrote, or an .npz of a Keras model of the same shape. Checked "
         "for version, shape, numbers that are not finite; what does not fit is refused with what "
         "and where, and nothing changes. rollback brings the old ones back.",
     PARAMS(model_parameters_params),
     .body = SERVE_BODY_RAW,
     .body_schema = "Parameters",
     .answer = {{200, "WriteResult", "Done."},
                {202, "WriteResult", "Taken with ack=none."},
                {404, "Problem", "No such model."},
                {409, "Problem", "Its parameters are what the journal taught it."},
                {422, "Problem", "They do not fit."}}},

    {.method = HTTP_GET,
     .pattern = "/livez",
     .handle = serve__handle_live,
     .operation = "livez",
     .tag = "operation",
     .summary = "Is it alive",
     .about = "503 when the journal has failed.",
     .answer = {{200, "Health", "Yes."}, {503, "Problem", "No: restart it."}}},

    {.method = HTTP_GET,
     .pattern = "/readyz",
     .handle = serve__handle_ready,
     .operation = "readyz",
     .tag = "operation",
     .summary = "Does it serve",
     .about = "503 while it starts or stops.",
     .answer = {{200, "Health", "Yes."}, {503, "Problem", "Not now."}}},

    {.method = HTTP_GET,
     .pattern = "/metrics",
     .scope = SERVE_READ,
     .handle = serve__handle_metrics,
     .operation = "getMetrics",
     .tag = "operation",
     .summary = "Metrics for Prometheus",
     .about = "Text format 0.0.4.",
     .media = "text/plain",
     .answer = {{200, NULL, "All metrics."}}},

    {.method = HTTP_GET,
     .pattern = "/openapi.json",
     .handle = serve__handle_openapi,
     .operation = "getOpenapi",
     .tag = "operation",
     .summary = "This description",
     .about = "OpenAPI 3.1, made from the table of routes.",
     .answer = {{200, "OpenApi", "The document."}}},
};

const struct serve_route *serve__routes(uint32_t *out_count)
{
    *out_count = FR_COUNT_OF(table);
    return table;
}
