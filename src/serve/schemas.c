/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/schemas: JSON schemas (2020-12, as OpenAPI 3.1 takes them) of the API's bodies, by name,
 * and an example where one helps. /openapi.json carries them as components; tests/scenario checks
 * real answers against them.
 */
#include "serve/serve_priv.h"

static const struct serve_schema table[] = {
    {"Context",
     "{\"type\":\"object\",\"description\":\"Where, when and on what; up to 16 further keys "
     "with texts.\",\"properties\":{\"device\":{\"type\":\"string\",\"maxLength\":128},\"os\":{"
     "\"type\":\"string\",\"maxLength\":128},\"country\":{\"type\":\"string\",\"maxLength\":128},"
     "\"region\":{\"type\":\"string\",\"maxLength\":128},\"city\":{\"type\":\"string\","
     "\"maxLength\":128},\"referrer\":{\"type\":\"string\",\"maxLength\":128},\"language\":{"
     "\"type\":\"string\",\"maxLength\":128}},\"additionalProperties\":{\"type\":\"string\","
     "\"maxLength\":128}}",
     "{\"device\":\"phone\",\"region\":\"Berlin\"}"},
    {"Event",
     "{\"type\":\"object\",\"required\":[\"user\",\"item\",\"type\"],\"properties\":{\"id\":{"
     "\"type\":\"string\",\"minLength\":1,\"maxLength\":256,\"description\":"
     "\"Given: the same id counts once (24 h or 10 M ids).\"},\"timestamp\":{\"type\":[\"string\""
     ",\"number\"],\"description\":\"When it happened; absent: now.\"},\"user\":{\"type\":"
     "\"string\",\"minLength\":1,\"maxLength\":256},\"item\":{\"type\":\"string\",\"minLength\":1"
     ",\"maxLength\":256},\"type\":{\"type\":\"string\",\"description\":"
     "\"view, click, dwell, scroll, like, dislike, "
     "rating, add_to_cart, purchase, share, exposure, or a configured one.\"},\"value\":{\"type\""
     ":\"number\",\"description\":\"Seconds of dwell, depth of scroll 0..1, stars, price.\"},"
     "\"session\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256,\"description\":"
     "\"Absent: cut by 30 minutes of inactivity.\"},\"request\":{\"type\":\"string\","
     "\"maxLength\":256,\"description\":\"request_id of the answer it reacts to.\"},\"context\":{"
     "\"$ref\":\"#/components/schemas/Context\"}},\"additionalProperties\":false}",
     "{\"user\":\"u1\",\"item\":\"i1\",\"type\":\"click\"}"},
    {"Events",
     "{\"oneOf\":[{\"$ref\":\"#/components/schemas/Event\"},{\"type\":\"array\",\"items\":{"
     "\"$ref\":\"#/components/schemas/Event\"},\"minItems\":1,\"maxItems\":10000}]}",
     "[{\"user\":\"u1\",\"item\":\"i1\",\"type\":\"click\"},{\"user\":\"u1\",\"item\":\"i2\","
     "\"type\":\"like\"}]"},
    {"Item",
     "{\"type\":\"object\",\"description\":\"In the address, or in the body of a bulk "
     "request, the id is required.\",\"properties\":{\"id\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":256},\"title\":{\"type\":\"string\",\"maxLength\":1024},\"text\":{\"type\":"
     "\"string\",\"maxLength\":16384},\"categories\":{\"type\":\"array\",\"maxItems\":64,"
     "\"items\":{\"type\":\"string\"}},\"tags\":{\"type\":\"array\",\"maxItems\":64,\"items\":{"
     "\"type\":\"string\"}},\"author\":{\"type\":\"string\"},\"published\":{\"type\":[\"string\","
     "\"number\"],\"description\":\"RFC 3339 with a zone, or Unix time in s, ms or us\"},"
     "\"expires\":{\"type\":[\"string\",\"number\"],\"description\":"
     "\"RFC 3339 with a zone, or Unix time in s, ms or us\"},\"length\":{\"type\":\"number\","
     "\"minimum\":0},\"price\":{\"type\":\"number\",\"minimum\":0},\"language\":{\"type\":"
     "\"string\"},\"image\":{\"type\":\"string\"},\"attributes\":{\"type\":\"object\","
     "\"maxProperties\":64,\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\"]"
     "}},\"hidden\":{\"type\":\"boolean\"}},\"additionalProperties\":false}",
     "{\"title\":\"Spring floods\",\"categories\":[\"weather\"],\"tags\":[\"river\"],"
     "\"published\":\"2026-03-01T08:00:00Z\"}"},
    {"Items",
     "{\"oneOf\":[{\"$ref\":\"#/components/schemas/Item\"},{\"type\":\"array\",\"items\":{"
     "\"$ref\":\"#/components/schemas/Item\"},\"minItems\":1,\"maxItems\":10000}]}",
     "[{\"id\":\"i1\",\"title\":\"Spring floods\"},{\"id\":\"i2\",\"title\":\"Dry summer\"}]"},
    {"User",
     "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":256},\"attributes\":{\"type\":\"object\",\"maxProperties\":64,"
     "\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\"]}},\"follows\":{"
     "\"type\":\"array\",\"maxItems\":64,\"items\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":256}},\"events\":{\"type\":\"integer\",\"minimum\":0,\"description\":"
     "\"Events kept; in answers only.\"}},\"additionalProperties\":false}",
     "{\"attributes\":{\"plan\":\"free\"},\"follows\":[\"author-7\"]}"},
    {"Users",
     "{\"oneOf\":[{\"$ref\":\"#/components/schemas/User\"},{\"type\":\"array\",\"items\":{"
     "\"$ref\":\"#/components/schemas/User\"},\"minItems\":1,\"maxItems\":10000}]}",
     "[{\"id\":\"u1\",\"attributes\":{\"plan\":\"free\"}}]"},
    {"Reject",
     "{\"type\":\"object\",\"description\":\"Why one thing was refused: its index in the "
     "body, the JSON path, the rule, the value seen.\",\"required\":[\"index\",\"path\",\"rule\","
     "\"seen\",\"hint\"],\"properties\":{\"index\":{\"type\":\"integer\",\"minimum\":0},\"path\":"
     "{\"type\":\"string\"},\"rule\":{\"type\":\"string\"},\"seen\":{\"type\":\"string\"},"
     "\"hint\":{\"type\":\"string\"}},\"additionalProperties\":false}",
     "{\"index\":3,\"path\":\"$.type\",\"rule\":\"must be a known event type\",\"seen\":\"klick\""
     ",\"hint\":\"did you mean click?\"}"},
    {"WriteResult",
     "{\"type\":\"object\",\"required\":[\"accepted\",\"duplicates\",\"rejected_count\","
     "\"rejected\",\"position\",\"durable_us\",\"applied_us\",\"ack\",\"request_id\"],"
     "\"properties\":{\"accepted\":{\"type\":\"integer\",\"minimum\":0},\"duplicates\":{\"type\":"
     "\"integer\",\"minimum\":0,\"description\":"
     "\"Known ids, not counted again (ack=applied only; else 0).\"},\"rejected_count\":{\"type\":"
     "\"integer\",\"minimum\":0},\"rejected\":{\"type\":\"array\",\"maxItems\":1000,\"items\":{"
     "\"$ref\":\"#/components/schemas/Reject\"}},\"position\":{\"type\":\"integer\",\"minimum\":0"
     ",\"description\":\"In the journal; 0 with ack=none.\"},\"durable_us\":{\"type\":\"integer\""
     ",\"minimum\":0,\"description\":\"From arrival to on disk.\"},\"applied_us\":{\"type\":"
     "\"integer\",\"minimum\":0,\"description\":\"From arrival to learnt.\"},\"ack\":{\"enum\":["
     "\"applied\",\"durable\",\"none\"]},\"note\":{\"type\":\"string\"},\"request_id\":{\"type\":"
     "\"string\"}},\"additionalProperties\":false}",
     NULL},
    {"Problem",
     "{\"type\":\"object\",\"description\":\"Problem details, RFC 9457.\",\"required\":[\"type\","
     "\"title\",\"status\",\"code\",\"detail\",\"request_id\"],\"properties\":{\"type\":{\"type\""
     ":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\",\"minimum\":4"
     "00,\"maximum\":599},\"code\":{\"type\":\"string\",\"description\":"
     "\"Stable word for programs.\"},\"detail\":{\"type\":\"string\"},\"hint\":{\"type\":"
     "\"string\",\"description\":\"What to do.\"},\"path\":{\"type\":\"string\"},\"request_id\":{"
     "\"type\":\"string\"}},\"additionalProperties\":true}",
     "{\"type\":\"urn:freshet:problem:bad_parameter\",\"title\":\"Bad Request\",\"status\":400,"
     "\"code\":\"bad_parameter\",\"detail\":\"n: must be a whole number from 1 to 100\",\"path\":"
     "\"n\",\"request_id\":\"r0nq3v8k2c4wzg\"}"},
    {"Rejected",
     "{\"type\":\"object\",\"description\":\"A problem that lists what was refused.\","
     "\"required\":[\"type\",\"title\",\"status\",\"code\",\"detail\",\"request_id\"],"
     "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{"
     "\"type\":\"integer\",\"minimum\":400,\"maximum\":599},\"code\":{\"type\":\"string\","
     "\"description\":\"Stable word for programs.\"},\"detail\":{\"type\":\"string\"},\"hint\":{"
     "\"type\":\"string\",\"description\":\"What to do.\"},\"path\":{\"type\":\"string\"},"
     "\"request_id\":{\"type\":\"string\"},\"rejected_count\":{\"type\":\"integer\",\"minimum\":0"
     "},\"rejected\":{\"type\":\"array\",\"maxItems\":1000,\"items\":{\"$ref\":"
     "\"#/components/schemas/Reject\"}}},\"additionalProperties\":true}",
     NULL},
    {"RecommendQuery",
     "{\"type\":\"object\",\"properties\":{\"user\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":256},\"session\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256},"
     "\"items\":{\"type\":\"array\",\"maxItems\":100,\"items\":{\"type\":\"string\",\"minLength\""
     ":1,\"maxLength\":256}},\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100},"
     "\"offset\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":400},\"categories\":{\"type\":"
     "\"array\",\"maxItems\":16,\"items\":{\"type\":\"string\"}},\"categories_match\":{\"enum\":["
     "\"any\",\"all\"]},\"exclude\":{\"type\":\"array\",\"maxItems\":500,\"items\":{\"type\":"
     "\"string\",\"minLength\":1,\"maxLength\":256}},\"repeats\":{\"enum\":[\"skip\",\"allow\"]},"
     "\"explain\":{\"enum\":[\"none\",\"reasons\",\"full\"]},\"max_per_category\":{\"type\":"
     "\"integer\",\"minimum\":0,\"maximum\":100},\"max_per_author\":{\"type\":\"integer\","
     "\"minimum\":0,\"maximum\":100},\"context\":{\"$ref\":\"#/components/schemas/Context\"},"
     "\"device\":{\"type\":\"string\",\"maxLength\":128},\"os\":{\"type\":\"string\","
     "\"maxLength\":128},\"country\":{\"type\":\"string\",\"maxLength\":128},\"region\":{\"type\""
     ":\"string\",\"maxLength\":128},\"city\":{\"type\":\"string\",\"maxLength\":128},"
     "\"referrer\":{\"type\":\"string\",\"maxLength\":128},\"language\":{\"type\":\"string\","
     "\"maxLength\":128}},\"additionalProperties\":false}",
     "{\"user\":\"u1\",\"n\":5,\"context\":{\"device\":\"phone\"}}"},
    {"Reason",
     "{\"type\":\"object\",\"description\":\"A part of the score. Contributions of an item "
     "sum to its score, shares to 1.\",\"required\":[\"kind\",\"text\",\"share\",\"contribution\""
     ",\"icon\"],\"properties\":{\"kind\":{\"enum\":[\"because_you_viewed\",\"next\",\"similar\","
     "\"interests\",\"trending\",\"context\",\"popular\",\"new\",\"friends\",\"pattern\","
     "\"other\"]},\"text\":{\"type\":\"string\"},"
     "\"item\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
     "\"share\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},\"contribution\":{\"type\":"
     "\"number\"},\"icon\":{\"type\":\"string\"}},\"additionalProperties\":false}",
     NULL},
    {"Recommendation",
     "{\"type\":\"object\",\"required\":[\"id\",\"rank\",\"score\",\"title\",\"image\","
     "\"categories\"],\"properties\":{\"id\":{\"type\":\"string\"},\"rank\":{\"type\":\"integer\""
     ",\"minimum\":1},\"score\":{\"type\":\"number\"},\"title\":{\"type\":\"string\"},\"image\":{"
     "\"type\":[\"string\",\"null\"]},\"categories\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"string\"}},\"reasons\":{\"type\":\"array\",\"items\":{\"$ref\":"
     "\"#/components/schemas/Reason\"}}},\"additionalProperties\":false}",
     NULL},
    {"Decision",
     "{\"type\":\"object\",\"description\":\"What each stage proposed, scored, moved and why.\","
     "\"required\":[\"request_id\",\"user\",\"time\",\"position\",\"took_us\",\"degraded_reason\""
     ",\"items\"],"
     "\"properties\":{\"request_id\":{\"type\":\"string\"},\"recorded\":{\"const\":\"slate\"},"
     "\"hint\":{"
     "\"type\":\"string\"},\"user\":{\"type\":\"string\"},"
     "\"time\":{\"type\":\"string\"},\"position\":{\"type\":\"integer\",\"minimum\":0},"
     "\"took_us\":{\"type\":\"integer\",\"minimum\":0},\"degraded_reason\":{\"type\":[\"string\","
     "\"null\"]},\"candidates\":{\"type\":\"integer\",\"minimum\":0},\"history\":{\"type\":"
     "\"integer\",\"minimum\":0},\"seen\":{\"type\":\"integer\",\"minimum\":0},\"bucket\":{"
     "\"type\":\"integer\",\"minimum\":0},\"new_pool\":{\"type\":\"integer\",\"minimum\":0},"
     "\"new_placed\":{\"type\":\"integer\",\"minimum\":0},\"stages\":{\"type\":\"array\","
     "\"items\":{\"type\":\"object\",\"required\":[\"name\",\"us\"],\"properties\":{\"name\":{"
     "\"type\":\"string\"},\"us\":{\"type\":\"number\"}},\"additionalProperties\":false}},"
     "\"generators\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\","
     "\"proposed\",\"kept\"],\"properties\":{\"name\":{\"type\":\"string\"},\"proposed\":{"
     "\"type\":\"integer\",\"minimum\":0},\"kept\":{\"type\":\"integer\",\"minimum\":0}},"
     "\"additionalProperties\":false}},\"experts\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"object\",\"required\":[\"name\",\"weight\",\"contribution\"],\"properties\":{\"name\":{"
     "\"type\":\"string\"},\"weight\":{\"type\":\"number\"},\"contribution\":{\"type\":\"number\""
     "}},\"additionalProperties\":false}},\"dropped\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"object\",\"required\":[\"rule\",\"count\"],\"properties\":{\"rule\":{\"type\":\"string\"}"
     ",\"count\":{\"type\":\"integer\",\"minimum\":0}},\"additionalProperties\":false}},\"moves\""
     ":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"id\",\"from\",\"to\","
     "\"rule\"],\"properties\":{\"id\":{\"type\":\"string\"},\"from\":{\"type\":\"integer\","
     "\"minimum\":0},\"to\":{\"type\":\"integer\",\"minimum\":0},\"rule\":{\"type\":\"string\"}},"
     "\"additionalProperties\":false}},\"items\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"object\",\"required\":[\"id\",\"rank\",\"score\",\"propensity\",\"placed_by\","
     "\"generators\"],\"properties\":{\"id\":{\"type\":\"string\"},\"rank\":{\"type\":"
     "\"integer\",\"minimum\":0},\"score\":{\"type\":\"number\"},\"propensity\":{\"type\":"
     "\"number\",\"minimum\":0,\"maximum\":1},\"placed_by\":{\"enum\":[\"ranked\",\"new_quota\","
     "\"diversity\",\"over_cap\"]},\"generators\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"string\"}},\"parts\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":["
     "\"expert\",\"feature\",\"contribution\"],\"properties\":{\"expert\":{\"type\":\"string\"},"
     "\"feature\":{\"type\":\"string\"},\"contribution\":{\"type\":\"number\"}},"
     "\"additionalProperties\":false}}},\"additionalProperties\":false}}},"
     "\"additionalProperties\":false}",
     NULL},
    {"Recommendations",
     "{\"type\":\"object\",\"required\":[\"request_id\",\"user\",\"position\",\"items\","
     "\"degraded_reason\",\"took_us\"],\"properties\":{\"request_id\":{\"type\":\"string\"},"
     "\"user\":{\"type\":[\"string\",\"null\"]},\"position\":{\"type\":\"integer\",\"minimum\":0,"
     "\"description\":\"The journal position that the answer reflects.\"},\"items\":{\"type\":"
     "\"array\",\"items\":{\"$ref\":\"#/components/schemas/Recommendation\"}},\"degraded_reason\""
     ":{\"type\":[\"string\",\"null\"],\"description\":\"Which stage was left out, or null.\"},"
     "\"counterfactual\":{\"type\":\"object\",\"description\":\"Without these visits the first "
     "item would not be first; what they taught about items stays.\",\"required\":[\"item\","
     "\"outcome\",\"verified\",\"without\",\"instead\",\"rescored\",\"proposed\"],"
     "\"properties\":{\"item\":{\"type\":\"string\"},\"outcome\":{\"enum\":[\"no_history\","
     "\"stays\",\"not_first\",\"not_in_list\"]},\"verified\":{\"type\":\"boolean\"},"
     "\"without\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"instead\":{"
     "\"type\":[\"string\",\"null\"]},\"rescored\":{\"type\":\"integer\",\"minimum\":0},"
     "\"proposed\":{\"type\":\"integer\",\"minimum\":0}},\"additionalProperties\":false},"
     "\"decision\":{\"$ref\":\"#/components/schemas/Decision\"},\"took_us\":{\"type\":\"integer\""
     ",\"minimum\":0}},\"additionalProperties\":false}",
     NULL},
    {"ListedItem",
     "{\"type\":\"object\",\"required\":[\"id\",\"title\",\"image\",\"categories\"],"
     "\"properties\":{\"id\":{\"type\":\"string\"},\"rank\":{\"type\":\"integer\",\"minimum\":1},"
     "\"score\":{\"type\":\"number\"},\"title\":{\"type\":\"string\"},\"image\":{\"type\":["
     "\"string\",\"null\"]},\"categories\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
     "\"additionalProperties\":false}",
     NULL},
    {"ItemList",
     "{\"type\":\"object\",\"required\":[\"items\"],\"properties\":{\"request_id\":{\"type\":"
     "\"string\"},\"item\":{\"type\":\"string\"},\"of\":{\"type\":\"string\"},\"value\":{\"type\""
     ":[\"string\",\"null\"]},\"window\":{\"enum\":[\"now\",\"long\"]},\"items\":{\"type\":"
     "\"array\",\"items\":{\"$ref\":\"#/components/schemas/ListedItem\"}}},"
     "\"additionalProperties\":false}",
     NULL},
    {"History",
     "{\"type\":\"object\",\"required\":[\"user\",\"events\",\"items\"],\"properties\":{\"user\":"
     "{\"type\":\"string\"},\"events\":{\"type\":\"integer\",\"minimum\":0},\"items\":{\"type\":"
     "\"array\",\"items\":{\"type\":\"object\",\"required\":[\"id\",\"title\",\"type\",\"signal\""
     ",\"timestamp\"],\"properties\":{\"id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\""
     "},\"image\":{\"type\":[\"string\",\"null\"]},\"categories\":{\"type\":\"array\",\"items\":{"
     "\"type\":\"string\"}},\"type\":{\"enum\":[\"view\",\"dislike\"],\"description\":"
     "\"dislike when the signal is negative\"},\"signal\":{\"type\":\"number\"},\"timestamp\":{"
     "\"type\":\"string\"}},\"additionalProperties\":false}}},\"additionalProperties\":false}",
     NULL},
    {"ModelHealth",
     "{\"type\":\"object\",\"required\":[\"experts\",\"inputs\",\"alarm_count\",\"remedy_count"
     "\",\"alarms\"],\"properties\":{\"experts\":{\"type\":\"array\",\"items\":{\"type\":\"obj"
     "ect\",\"required\":[\"name\",\"segment\",\"value\"],\"properties\":{\"name\":{\"type\":"
     "\"string\"},\"segment\":{\"type\":\"string\",\"enum\":[\"all\",\"history\",\"device\",\""
     "region\"]},\"value\":{\"type\":\"string\"},\"hr10\":{\"type\":\"object\",\"required\":["
     "\"mean\",\"low\",\"high\",\"events\"],\"properties\":{\"mean\":{\"type\":\"number\"},\"l"
     "ow\":{\"type\":\"number\"},\"high\":{\"type\":\"number\"},\"events\":{\"type\":\"integer"
     "\",\"minimum\":0}},\"additionalProperties\":false},\"logloss\":{\"type\":\"object\",\"re"
     "quired\":[\"mean\",\"low\",\"high\",\"events\"],\"properties\":{\"mean\":{\"type\":\"num"
     "ber\"},\"low\":{\"type\":\"number\"},\"high\":{\"type\":\"number\"},\"events\":{\"type\""
     ":\"integer\",\"minimum\":0}},\"additionalProperties\":false},\"auc\":{\"type\":\"object"
     "\",\"required\":[\"mean\",\"low\",\"high\",\"events\"],\"properties\":{\"mean\":{\"type"
     "\":\"number\"},\"low\":{\"type\":\"number\"},\"high\":{\"type\":\"number\"},\"events\":{"
     "\"type\":\"integer\",\"minimum\":0}},\"additionalProperties\":false},\"ece\":{\"type\":"
     "\"number\"},\"pcoc\":{\"type\":\"number\"}},\"additionalProperties\":false}},\"inputs\":"
     "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\",\"psi\",\"kl\""
     "],\"properties\":{\"name\":{\"type\":\"string\"},\"psi\":{\"type\":\"number\"},\"kl\":{"
     "\"type\":\"number\"}},\"additionalProperties\":false}},\"alarm_count\":{\"type\":\"integ"
     "er\",\"minimum\":0},\"remedy_count\":{\"type\":\"integer\",\"minimum\":0},\"alarms\":{\""
     "type\":\"array\",\"maxItems\":64,\"items\":{\"type\":\"object\",\"required\":[\"number\""
     ",\"time\",\"position\",\"name\",\"signal\",\"before\",\"after\",\"excess\",\"actions\"],"
     "\"properties\":{\"number\":{\"type\":\"integer\",\"minimum\":1},\"time\":{\"type\":\"str"
     "ing\"},\"position\":{\"type\":\"integer\",\"minimum\":1},\"name\":{\"type\":\"string\"},"
     "\"signal\":{\"type\":\"string\",\"enum\":[\"hit\",\"logloss\",\"input\"]},\"before\":{\""
     "type\":\"number\"},\"after\":{\"type\":\"number\"},\"excess\":{\"type\":\"number\"},\"ac"
     "tions\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"rate\",\"network"
     "\",\"age\"]}},\"acted\":{\"type\":\"integer\",\"minimum\":1}},\"additionalProperties\":f"
     "alse}}},\"additionalProperties\":false}",
     NULL},
    {"Audit",
     "{\"type\":\"object\",\"required\":[\"count\",\"acts\"],\"properties\":{\"count\":{\"type\":"
     "\"integer\",\"minimum\":0},\"acts\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
     "\"required\":[\"number\",\"time\",\"position\",\"actor\",\"act\",\"target\",\"detail\"],"
     "\"properties\":{\"number\":{\"type\":\"integer\",\"minimum\":1},\"time\":{\"type\":"
     "\"string\"},"
     "\"position\":{\"type\":\"integer\",\"minimum\":1},\"actor\":{\"type\":\"string\"},\"act\":{"
     "\"type\":\"string\"},\"target\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"}},"
     "\"additionalProperties\":false}}},\"additionalProperties\":false}",
     NULL},
    {"Stats",
     "{\"type\":\"object\",\"required\":[\"version\",\"position\",\"events\",\"users\",\"items\"]"
     ",\"properties\":{\"version\":{\"type\":\"string\"},\"position\":{\"type\":\"integer\","
     "\"minimum\":0},\"durable_position\":{\"type\":\"integer\",\"minimum\":0},\"events\":{"
     "\"type\":\"integer\",\"minimum\":0},\"events_per_s\":{\"type\":\"number\"},\"users\":{"
     "\"type\":\"integer\",\"minimum\":0},\"items\":{\"type\":\"integer\",\"minimum\":0},"
     "\"duplicates\":{\"type\":\"integer\",\"minimum\":0},\"recommendations\":{\"type\":"
     "\"integer\",\"minimum\":0},\"rss_bytes\":{\"type\":\"integer\",\"minimum\":0},"
     "\"cpu_seconds\":{\"type\":\"number\"},\"uptime_seconds\":{\"type\":\"number\"},"
     "\"freshness_us\":{\"type\":\"object\",\"required\":[\"p50\",\"p99\",\"count\"],"
     "\"properties\":{\"p50\":{\"type\":\"number\"},\"p99\":{\"type\":\"number\"},\"count\":{"
     "\"type\":\"integer\",\"minimum\":0}},\"additionalProperties\":false},\"recommend_us\":{"
     "\"type\":\"object\",\"required\":[\"p50\",\"p99\",\"count\"],\"properties\":{\"p50\":{"
     "\"type\":\"number\"},\"p99\":{\"type\":\"number\"},\"count\":{\"type\":\"integer\","
     "\"minimum\":0}},\"additionalProperties\":false},\"sync_us\":{\"type\":\"object\","
     "\"required\":[\"p50\",\"p99\",\"count\"],\"properties\":{\"p50\":{\"type\":\"number\"},"
     "\"p99\":{\"type\":\"number\"},\"count\":{\"type\":\"integer\",\"minimum\":0}},"
     "\"additionalProperties\":false},\"quality\":{\"type\":\"object\",\"required\":[\"scored\","
     "\"hr10\",\"popular_hr10\"],\"properties\":{\"scored\":{\"type\":\"integer\",\"minimum\":0},"
     "\"hr10\":{\"type\":\"number\"},\"popular_hr10\":{\"type\":\"number\"},\"recent_hr10\":{"
     "\"type\":\"number\"},\"slates_scored\":{\"type\":\"integer\",\"minimum\":0},\"slates_hr10\":{"
     "\"type\":\"number\"},\"sample_one_in\":{\"type\":\"integer\",\"minimum\":0},\"experts\":{"
     "\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\",\"hr10\"],"
     "\"properties\":{\"name\":{\"type\":\"string\"},\"hr10\":{\"type\":\"number\"},\"mrr10\":{"
     "\"type\":\"number\"},\"ndcg10\":{\"type\":\"number\"},\"recent_hr10\":{\"type\":\"number\"}"
     "},\"additionalProperties\":false}}},\"additionalProperties\":false},\"learners\":{\"type\":"
     "\"array\",\"items\":{\"type\":\"object\",\"required\":["
     "\"name\",\"role\",\"lag_records\"],\"properties\":{\"name\":{\"type\":\"string\"},\"role\":{"
     "\"type\":\"string\"},\"lag_records\":{\"type\":\"integer\",\"minimum\":0},\"waiting\":{"
     "\"type\":"
     "\"integer\",\"minimum\":0},\"running\":{\"type\":\"boolean\"}},"
     "\"additionalProperties\":false}},\"memory\":{\"type\":"
     "\"object\",\"additionalProperties\":{\"type\":\"integer\",\"minimum\":0}},\"sample_users\":"
     "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"id\",\"events\"],"
     "\"properties\":{\"id\":{\"type\":\"string\"},\"events\":{\"type\":\"integer\",\"minimum\":0"
     "},\"last_title\":{\"type\":\"string\"}},\"additionalProperties\":false}}},"
     "\"additionalProperties\":false}",
     NULL},
    {"Model",
     "{\"type\":\"object\",\"required\":[\"name\",\"role\",\"stage\"],\"properties\":{\"na"
     "me\":{\"type\":\"string\"},\"role\":{\"enum\":[\"off\",\"shadow\",\"live\"]},\"previ"
     "ous_role\":{\"enum\":[\"off\",\"shadow\",\"live\"]},\"stage\":{\"type\":\"integer\"}"
     ",\"version\":{\"type\":\"integer\"},\"judged\":{\"type\":\"integer\"},\"examples\":{"
     "\"type\":\"integer\"},\"steps\":{\"type\":\"integer\"},\"waiting\":{\"type\":\"integ"
     "er\"},\"jobs\":{\"type\":\"integer\"},\"refused\":{\"type\":\"integer\"},\"published"
     "_position\":{\"type\":\"integer\"},\"lag_records\":{\"type\":\"integer\"},\"hr10\":{"
     "\"type\":\"number\"},\"gain\":{\"type\":\"number\"},\"gain_low\":{\"type\":\"number"
     "\"},\"gain_high\":{\"type\":\"number\"},\"weight\":{\"type\":\"number\"},\"logloss\""
     ":{\"type\":\"number\"},\"auc\":{\"type\":\"number\"},\"ece\":{\"type\":\"number\"},"
     "\"pcoc\":{\"type\":\"number\"},\"running\":{\"type\":\"boolean\"}},\"additionalPrope"
     "rties\":false}",
     NULL},
    {"Models",
     "{\"type\":\"object\",\"required\":[\"models\"],\"properties\":{\"models\":{\"type\":"
     "\"array\","
     "\"items\":{\"$ref\":\"#/components/schemas/Model\"}}},\"additionalProperties\":false}",
     NULL},
    {"Parameters", "{\"description\":\"Bytes, as they are.\"}", NULL},
    {"Health",
     "{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{\"enum\":["
     "\"alive\",\"ready\"]},\"position\":{\"type\":\"integer\",\"minimum\":0}},"
     "\"additionalProperties\":false}",
     NULL},
    {"OpenApi", "{\"type\":\"object\",\"additionalProperties\":true}", NULL},
};

const struct serve_schema *serve__schemas(uint32_t *out_count)
{
    *out_count = FR_COUNT_OF(table);
    return table;
}
