/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/openapi: the API's description from the table of routes: OpenAPI 3.1 as JSON, and
 * docs/API.md.
 */
#include <stdio.h>
#include <string.h>

#include "serve/serve_priv.h"

static const char *method_word(enum http_method method, bool lower)
{
    switch (method) {
    case HTTP_GET:
        return lower ? "get" : "GET";
    case HTTP_POST:
        return lower ? "post" : "POST";
    case HTTP_PUT:
        return lower ? "put" : "PUT";
    case HTTP_PATCH:
        return lower ? "patch" : "PATCH";
    default:
        return lower ? "delete" : "DELETE";
    }
}

static const char *scope_word(uint32_t scope)
{
    return scope == SERVE_READ     ? "read"
           : scope == SERVE_INGEST ? "ingest"
           : scope == SERVE_WRITE  ? "write"
           : scope == SERVE_ADMIN  ? "admin"
                                   : "none";
}

static bool takes_body(const struct serve_route *route)
{
    return route->body != SERVE_BODY_NONE;
}

/* ---- parameters as JSON ------------------------------------------------------------------- */

static void print_choices(struct base_buf *out, const char *choices)
{
    base_buf_put_str(out, "{\"type\":\"string\",\"enum\":[");
    for (bool first = true; *choices; first = false) {
        size_t bytes = strcspn(choices, "|");
        if (!first)
            base_buf_put(out, ",", 1);
        base_buf_json_string(out, fr_slice_of(choices, bytes));
        choices += bytes + (choices[bytes] == '|');
    }
    base_buf_put_str(out, "]");
}

static void print_default(struct base_buf *out, const struct serve_param *param)
{
    if (!param->fallback)
        return;
    base_buf_put_str(out, ",\"default\":");
    if (param->type == SERVE_INT || param->type == SERVE_BOOL)
        base_buf_put_str(out, param->fallback);
    else
        base_buf_json_string(out, fr_slice_str(param->fallback));
}

static void print_type(struct base_buf *out, const struct serve_param *param)
{
    switch (param->type) {
    case SERVE_INT:
        base_buf_printf(out, "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld",
                        (long long)param->low, (long long)param->high);
        break;
    case SERVE_BOOL:
        base_buf_put_str(out, "{\"type\":\"boolean\"");
        break;
    case SERVE_ENUM:
        print_choices(out, param->choices);
        break;
    case SERVE_ID:
        base_buf_printf(out, "{\"type\":\"string\",\"minLength\":1,\"maxLength\":256");
        break;
    default:
        base_buf_printf(out, "{\"type\":\"string\",\"maxLength\":%lld",
                        (long long)(param->list || !param->high ? 256 : param->high));
    }
    print_default(out, param);
    base_buf_put_str(out, "}");
}

static void print_param(struct base_buf *out, const struct serve_param *param)
{
    static const char *const place[] =
        {[SERVE_IN_PATH] = "path", [SERVE_IN_QUERY] = "query", [SERVE_IN_HEADER] = "header"};
    base_buf_put_str(out, "{");
    serve__pair_text(out, "name", fr_slice_str(param->prefix ? "facts" : param->name));
    serve__pair_text(out, "in", fr_slice_str(place[param->in]));
    serve__pair_bool(out, "required", param->required);
    serve__pair_text(out, "description", fr_slice_str(param->about));
    if (param->prefix) {
        /* form, exploded: each member becomes a parameter of its own name */
        base_buf_printf(out,
                        ",\"style\":\"form\",\"explode\":true,\"schema\":{\"type\":\"object\","
                        "\"maxProperties\":16,\"patternProperties\":{\"^%s.+$\":"
                        "{\"type\":\"string\",\"maxLength\":%lld}},"
                        "\"additionalProperties\":false}}",
                        param->name, (long long)param->high);
        return;
    }
    serve__key(out, "schema");
    if (param->list) {
        base_buf_printf(out,
                        "{\"type\":\"array\",\"maxItems\":%lld,\"items\":", (long long)param->high);
        print_type(out, param);
        base_buf_put_str(out, "},\"style\":\"form\",\"explode\":true");
    } else {
        print_type(out, param);
    }
    if (param->example && param->type == SERVE_INT) {
        base_buf_printf(out, ",\"example\":%s", param->example);
    } else if (param->example) {
        base_buf_put_str(out, param->list ? ",\"example\":[" : ",\"example\":");
        base_buf_json_string(out, fr_slice_str(param->example));
        base_buf_put_str(out, param->list ? "]" : "");
    }
    base_buf_put_str(out, "}");
}

/* ---- operations as JSON ------------------------------------------------------------------- */

static const char *example_of(const char *name)
{
    uint32_t count;
    const struct serve_schema *schema = serve__schemas(&count);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(schema[i].name, name) == 0)
            return schema[i].example;
    return NULL;
}

static void print_media(struct base_buf *out, const char *media, const char *schema)
{
    base_buf_printf(out, "\"%s\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}", media,
                    schema);
    if (example_of(schema))
        base_buf_printf(out, ",\"example\":%s", example_of(schema));
    base_buf_put_str(out, "}");
}

static void print_body(struct base_buf *out, const struct serve_route *route)
{
    base_buf_printf(out, ",\"requestBody\":{\"required\":%s,\"content\":{",
                    route->body == SERVE_BODY_RAW ? "true" : "false");
    print_media(out, "application/json", route->body_schema);
    if (route->body == SERVE_BODY_RAW && !strchr(route->pattern, '{'))
        base_buf_put_str(out, ",\"application/x-ndjson\":{\"schema\":{\"type\":\"string\","
                              "\"description\":\"One JSON object a line.\"}}");
    base_buf_put_str(out, "}}");
}

static void print_problem(struct base_buf *out, const char *status, const char *about)
{
    base_buf_printf(out,
                    ",\"%s\":{\"description\":\"%s\",\"content\":{\"application/problem+json\":"
                    "{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}",
                    status, about);
}

static bool has_answer(const struct serve_route *route, uint16_t status)
{
    for (uint32_t i = 0; i < SERVE_ANSWERS_MAX; i++)
        if (route->answer[i].status == status)
            return true;
    return false;
}

static void print_answers(struct base_buf *out, const struct serve_route *route)
{
    base_buf_put_str(out, ",\"responses\":{");
    for (uint32_t i = 0; i < SERVE_ANSWERS_MAX && route->answer[i].status; i++) {
        const struct serve_answer *answer = &route->answer[i];
        bool problem = answer->status >= 400;
        base_buf_printf(out, "%s\"%u\":{\"description\":", i ? "," : "", answer->status);
        base_buf_json_string(out, fr_slice_str(answer->about));
        base_buf_put_str(out, ",\"content\":{");
        if (answer->schema)
            print_media(out, problem ? "application/problem+json" : "application/json",
                        answer->schema);
        else
            base_buf_printf(out, "\"%s\":{\"schema\":{\"type\":\"string\"}}", route->media);
        base_buf_put_str(out, "}}");
    }
    if (!has_answer(route, 400))
        print_problem(out, "400", "The request breaks a rule; path and detail say which.");
    if (route->scope) {
        print_problem(out, "401", "No API key, or a wrong one.");
        print_problem(out, "403", "The key lacks the scope, or a foreign page asks.");
    }
    if (route->scope && !has_answer(route, 429))
        print_problem(out, "429", "The key's rate is used up: see Retry-After.");
    if (takes_body(route))
        print_problem(out, "415", "A content type or encoding that is not understood.");
    print_problem(out, "default", "Any other problem.");
    base_buf_put_str(out, "}");
}

static void print_operation(struct base_buf *out, const struct serve_route *route)
{
    base_buf_printf(out, "\"%s\":{", method_word(route->method, true));
    serve__pair_text(out, "operationId", fr_slice_str(route->operation));
    base_buf_printf(out, ",\"tags\":[\"%s\"]", route->tag);
    serve__pair_text(out, "summary", fr_slice_str(route->summary));
    serve__pair_text(out, "description", fr_slice_str(route->about));
    base_buf_put_str(out, ",\"parameters\":[");
    for (uint32_t i = 0; i < route->param_count; i++) {
        if (i)
            base_buf_put(out, ",", 1);
        print_param(out, &route->param[i]);
    }
    base_buf_put_str(out, "]");
    if (takes_body(route))
        print_body(out, route);
    print_answers(out, route);
    if (route->scope)
        base_buf_printf(out,
                        ",\"security\":[{},{\"key\":[]},{\"bearer\":[]}],"
                        "\"x-freshet-scope\":\"%s\"",
                        scope_word(route->scope));
    base_buf_put_str(out, "}");
}

static void print_paths(struct base_buf *out)
{
    uint32_t count;
    const struct serve_route *route = serve__routes(&count);
    bool first_path = true;
    base_buf_put_str(out, ",\"paths\":{");
    for (uint32_t i = 0; i < count; i++) {
        bool earlier = false;
        for (uint32_t j = 0; j < i; j++)
            earlier |= strcmp(route[j].pattern, route[i].pattern) == 0;
        if (earlier)
            continue;
        base_buf_printf(out, "%s\"%s\":{", first_path ? "" : ",", route[i].pattern);
        first_path = false;
        for (uint32_t j = i; j < count; j++) {
            if (strcmp(route[j].pattern, route[i].pattern) != 0)
                continue;
            if (j > i)
                base_buf_put(out, ",", 1);
            print_operation(out, &route[j]);
        }
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "}");
}

void serve_openapi_print(struct base_buf *out)
{
    uint32_t count;
    const struct serve_schema *schema = serve__schemas(&count);
    base_buf_put_str(out,
                     "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Freshet\",\"version\":\"1\","
                     "\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"},"
                     "\"description\":\"Real-time content recommendations. Every answer carries "
                     "X-Request-Id. Errors are problem details (RFC 9457).\"},"
                     "\"servers\":[{\"url\":\"/\"}]");
    print_paths(out);
    base_buf_put_str(out, ",\"components\":{\"securitySchemes\":{"
                          "\"key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"},"
                          "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}},\"schemas\":{");
    for (uint32_t i = 0; i < count; i++)
        base_buf_printf(out, "%s\"%s\":%s", i ? "," : "", schema[i].name, schema[i].json);
    base_buf_put_str(out, "}}}\n");
}

/* ---- docs/API.md --------------------------------------------------------------------------- */

static void document_params(struct base_buf *out, const struct serve_route *route)
{
    if (route->param_count == 0)
        return;
    base_buf_put_str(out, "\n| parameter | | what |\n|---|---|---|\n");
    for (uint32_t i = 0; i < route->param_count; i++) {
        const struct serve_param *param = &route->param[i];
        base_buf_printf(out, "| `%s%s` | ", param->name, param->prefix ? "KEY" : "");
        if (param->in != SERVE_IN_QUERY)
            base_buf_put_str(out, param->in == SERVE_IN_PATH ? "path" : "header");
        else if (param->type == SERVE_INT)
            base_buf_printf(out, "%lld .. %lld", (long long)param->low, (long long)param->high);
        else if (param->list)
            base_buf_printf(out, "list, at most %lld", (long long)param->high);
        else if (param->choices)
            for (const char *c = param->choices; *c; c++)
                base_buf_put(out, *c == '|' ? "\\|" : c, *c == '|' ? 2 : 1);
        else
            base_buf_put_str(out, "text");
        if (param->fallback)
            base_buf_printf(out, ", default %s", param->fallback);
        if (param->required && param->in == SERVE_IN_QUERY)
            base_buf_put_str(out, ", required");
        base_buf_printf(out, " | %s |\n", param->about);
    }
}

static void document_route(struct base_buf *out, const struct serve_route *route)
{
    base_buf_printf(out, "\n### %s %s\n\n%s. %s", method_word(route->method, false), route->pattern,
                    route->summary, route->about);
    if (route->scope)
        base_buf_printf(out, " Scope: `%s`.", scope_word(route->scope));
    base_buf_put_str(out, "\n");
    document_params(out, route);
    if (takes_body(route) && example_of(route->body_schema))
        base_buf_printf(out, "\nBody (%s), for example:\n\n    %s\n", route->body_schema,
                        example_of(route->body_schema));
    base_buf_put_str(out, "\n| answer | |\n|---|---|\n");
    for (uint32_t i = 0; i < SERVE_ANSWERS_MAX && route->answer[i].status; i++)
        base_buf_printf(out, "| %u %s | %s |\n", route->answer[i].status,
                        route->answer[i].schema ? route->answer[i].schema : "",
                        route->answer[i].about);
}

void serve_api_document(struct base_buf *out)
{
    uint32_t count;
    const struct serve_route *route = serve__routes(&count);
    const char *tag = "";
    base_buf_put_str(
        out,
        "# The API\n\nMade from the table of routes; the same as [openapi.json](openapi.json), "
        "which "
        "the server gives at `/openapi.json`\nwith the schemas of all bodies.\n\n"
        "- Requests and answers are JSON. A parameter that is a list is repeated: "
        "`?exclude=a&exclude=b`.\n"
        "- Errors are problem details (`application/problem+json`, RFC 9457): `code` is a stable "
        "word for programs, `detail` says what,\n  `hint` what to do. An unknown parameter or "
        "member "
        "is an error that names the nearest known one.\n"
        "- Every answer has `X-Request-Id`, sortable by time. Send a recommendation's `request_id` "
        "back as `request` of the events it led to.\n"
        "- On the loopback address no key is needed until one exists; elsewhere the server does "
        "not "
        "start without. `freshet keys create\n  --scopes read,ingest` makes one; send it as "
        "`Authorization: Bearer ...` or `X-API-Key: ...`.\n"
        "- A body of many things: 200 says how many went in and lists the others with index, path, "
        "rule and value seen; 422 when none was good;\n  400 when the array itself is malformed.\n"
        "- 429 and 503 carry `Retry-After`; with an `Idempotency-Key` or event ids a request may "
        "be "
        "sent again without counting twice.\n");
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(tag, route[i].tag) != 0)
            base_buf_printf(out, "\n## %c%s\n", route[i].tag[0] - 32, route[i].tag + 1);
        tag = route[i].tag;
        document_route(out, &route[i]);
    }
}
