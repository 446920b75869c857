/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: what may enter. Events, items and users: their plain structs, their rules, their JSON and
 * binary codecs; records as the journal carries them; slates.
 *
 * Decoding borrows: slices of a decoded thing point into its input (binary) or into the parser
 * (JSON). Encoding appends to a base_buf. After a failed decode the output is not to be used: these
 * structs are filled in place, not copied. Thread: any, one object at a time.
 */
#ifndef SCHEMA_SCHEMA_H
#define SCHEMA_SCHEMA_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/hash.h"

/* Limits: bytes of ids and texts, counts of lists. A longer one is a rejection with its path. */
enum {
    SCHEMA_ID_BYTES_MAX = 256,
    SCHEMA_CONTEXT_VALUE_BYTES_MAX = 128,
    SCHEMA_CONTEXT_EXTRA_MAX = 16,
    SCHEMA_TITLE_BYTES_MAX = 1024,
    SCHEMA_TEXT_BYTES_MAX = 16384,
    SCHEMA_LIST_MAX = 64,  /* categories, tags, attributes, follows in one change */
    SCHEMA_TYPES_MAX = 32, /* built-in and custom event types together */
    SCHEMA_JSON_DEPTH_MAX = 8,
};

/* ---- event types ------------------------------------------------------------------------ */

enum schema_value_rule {
    SCHEMA_VALUE_NONE,    /* value is ignored when given */
    SCHEMA_VALUE_SECONDS, /* dwell: 0 .. 86400, required */
    SCHEMA_VALUE_DEPTH,   /* scroll: 0 .. 1, required */
    SCHEMA_VALUE_STARS,   /* rating: 0 .. 5 by default, required */
    SCHEMA_VALUE_PRICE,   /* purchase, add_to_cart: >= 0, optional */
    SCHEMA_VALUE_ANY,     /* custom: any finite number, optional */
    SCHEMA_VALUE_RULE_COUNT
};

/* How an event of this type counts. The graded signal of an event is
 *   weight                                       value rule NONE, PRICE, ANY
 *   weight * clamp((value - low) / (high - low)) SECONDS, DEPTH (0 below low: not a signal)
 *   weight * (value - low) / (high - low)        STARS: negative below low
 * A negative signal (dislike, few stars) is a dislike: the item is not recommended again. */
struct schema_type {
    char name[32];
    float weight;
    enum schema_value_rule rule;
    float low, high;  /* the grading: see above */
    float min, max;   /* what may be given; outside is a rejection */
    bool is_exposure; /* shown, not acted on: counts for CTR, never as interest */
    bool is_custom;
};

/* The table of types: the built-in ones first, in this fixed order (journals store the name of a
 * custom type in a record of its own, so that replay does not depend on the configuration). */
enum {
    SCHEMA_VIEW,
    SCHEMA_CLICK,
    SCHEMA_DWELL,
    SCHEMA_SCROLL,
    SCHEMA_LIKE,
    SCHEMA_DISLIKE,
    SCHEMA_RATING,
    SCHEMA_ADD_TO_CART,
    SCHEMA_PURCHASE,
    SCHEMA_SHARE,
    SCHEMA_EXPOSURE,
    SCHEMA_BUILT_IN_COUNT
};
struct schema_types {
    struct schema_type row[SCHEMA_TYPES_MAX];
    uint32_t count;
};
void schema_types_init(struct schema_types *types); /* the built-in ones with default weights */
/* The type's index, or -1. */
int schema_types_find(const struct schema_types *types, struct fr_slice name);
/* A custom type, or another weighting of a built-in one (whose rule stays). min = max = 0 takes the
 * rule's own bounds. FR_INVALID: a bad name, a number that is not finite, low >= high. FR_FULL. */
FR_MUST_USE enum fr_status schema_types_set(struct schema_types *types,
                                            const struct schema_type *type, struct fr_error *error);
/* The graded signal: about -2.5 .. 4 with the default weights. */
float schema_signal(const struct schema_types *types, uint32_t type, double value, bool has_value);

/* ---- the things ------------------------------------------------------------------------- */

struct schema_pair {
    struct fr_slice key, value;
};

/* Where, when and on what: each may be empty. */
struct schema_context {
    struct fr_slice device, os, country, region, city, referrer, language;
    struct schema_pair extra[SCHEMA_CONTEXT_EXTRA_MAX];
    uint32_t extra_count;
};

struct schema_event {
    struct base_hash128 key; /* dedupe key: of the id when given, else as the source says */
    struct fr_slice id;      /* as given; empty when absent */
    struct fr_slice user;    /* required */
    struct fr_slice session; /* empty: cut by inactivity */
    struct fr_slice item;    /* required */
    struct fr_slice request; /* the answer it reacts to; may be empty */
    int64_t time_us;         /* Unix time, microseconds; > 0 */
    double value;
    bool has_value;
    uint8_t type; /* index into schema_types */
    struct schema_context context;
};

enum schema_field { /* bits of `present`: what a PATCH carries */
                    SCHEMA_TITLE = 1 << 0,
                    SCHEMA_TEXT = 1 << 1,
                    SCHEMA_CATEGORIES = 1 << 2,
                    SCHEMA_TAGS = 1 << 3,
                    SCHEMA_AUTHOR = 1 << 4,
                    SCHEMA_PUBLISHED = 1 << 5,
                    SCHEMA_EXPIRES = 1 << 6,
                    SCHEMA_LENGTH = 1 << 7,
                    SCHEMA_PRICE = 1 << 8,
                    SCHEMA_LANGUAGE = 1 << 9,
                    SCHEMA_IMAGE = 1 << 10,
                    SCHEMA_ATTRIBUTES = 1 << 11,
                    SCHEMA_HIDDEN = 1 << 12,
                    SCHEMA_FOLLOWS = 1 << 13,
};

struct schema_item {
    struct fr_slice id; /* required */
    struct fr_slice title, text, author, language, image;
    struct fr_slice categories[SCHEMA_LIST_MAX], tags[SCHEMA_LIST_MAX];
    struct schema_pair attributes[SCHEMA_LIST_MAX];
    uint32_t category_count, tag_count, attribute_count;
    int64_t published_us, expires_us; /* 0: unknown, never */
    double length;                    /* duration in seconds or length in the site's own unit */
    double price;
    bool hidden;
    uint32_t present; /* enum schema_field; a PUT replaces all, a PATCH those present */
};

struct schema_user {
    struct fr_slice id; /* required */
    struct schema_pair attributes[SCHEMA_LIST_MAX];
    struct fr_slice follows[SCHEMA_LIST_MAX]; /* users or authors */
    uint32_t attribute_count, follow_count;
    uint32_t present;
};

#include "schema/rules.h"

/* ---- JSON ------------------------------------------------------------------------------- */

/* A parser is reused for many documents: its memory grows to the largest and stays. Warm, it never
 * allocates. */
struct schema_json;
FR_MUST_USE enum fr_status schema_json_new(size_t document_bytes_max,
                                           struct schema_json **out_json);
void schema_json_free(struct schema_json *json);
/* The key under which event ids are hashed to dedupe keys (default: a published constant). */
void schema_json_set_key(struct schema_json *json, const uint8_t key[16]);
struct base_hash128 schema_dedupe_key(struct fr_slice id, const uint8_t key[16]);
extern const uint8_t schema_default_key[16];

/* One event from one JSON object. Unknown members are refused with the nearest known name.
 * FR_INVALID fills reject. Slices live until the parser's next document.
 * `now_us`: the received time; stamps the event when it has no timestamp (allowed over HTTP only:
 * pass 0 to require one), and bounds it (a time before 1970-01-02 or after 9999 is refused; the
 * future is clamped by the fold, not here). key is left zero unless the event has an id. */
FR_MUST_USE enum fr_status schema_event_from_json(struct schema_json *json,
                                                  const struct schema_types *types,
                                                  struct fr_slice text, int64_t now_us,
                                                  struct schema_event *out_event,
                                                  struct schema_reject *out_reject);
FR_MUST_USE enum fr_status schema_item_from_json(struct schema_json *json, struct fr_slice text,
                                                 struct schema_item *out_item,
                                                 struct schema_reject *out_reject);
FR_MUST_USE enum fr_status schema_user_from_json(struct schema_json *json, struct fr_slice text,
                                                 struct schema_user *out_user,
                                                 struct schema_reject *out_reject);

/* The same for PUT and PATCH, where the id stands in the address: a member "id" may be absent, but
 * must agree when present. */
FR_MUST_USE enum fr_status schema_item_from_json_as(struct schema_json *json, struct fr_slice id,
                                                    struct fr_slice text,
                                                    struct schema_item *out_item,
                                                    struct schema_reject *out_reject);
FR_MUST_USE enum fr_status schema_user_from_json_as(struct schema_json *json, struct fr_slice id,
                                                    struct fr_slice text,
                                                    struct schema_user *out_user,
                                                    struct schema_reject *out_reject);

/* The byte offset of the first fault in a JSON text, or -1 when it is well-formed. Slow: for
 * messages. Depth up to 1,024; says nothing about UTF-8 and the size of numbers. */
int64_t schema_json_fault(struct fr_slice text, const char **out_what);

/* Passes one JSON value of `text` from *at on (space before it allowed): for splitting what does
 * not fit the memory. FR_INVALID: *at is the fault, out_what says it. */
FR_MUST_USE enum fr_status schema_json_scan(struct fr_slice text, size_t *at,
                                            const char **out_what);

/* Splits a body into its documents, calling `each` with the raw text of each: a JSON array's
 * elements, one object (also over several lines), or NDJSON lines (CRLF, blank lines, a leading
 * byte order mark and a last line without newline are allowed). FR_INVALID: nothing in it, or a
 * malformed array, with the byte offset in `error`: nothing was handed over. FR_FULL: more than
 * count_max, likewise. A malformed NDJSON line is still handed over (and then refused on its own).
 * A status of `each` other than FR_OK ends the walk and is returned. */
typedef enum fr_status (*schema_each_fn)(void *context, uint32_t index, struct fr_slice text);
FR_MUST_USE enum fr_status schema_json_split(struct schema_json *json, struct fr_slice body,
                                             uint32_t count_max, schema_each_fn each, void *context,
                                             struct fr_error *error);

/* Things as the readers above take them; empty members are left out. */
void schema_event_to_json(const struct schema_event *event, const struct schema_types *types,
                          struct base_buf *out);
void schema_item_to_json(const struct schema_item *item, struct base_buf *out);
void schema_user_to_json(const struct schema_user *user, struct base_buf *out);
void schema_reject_to_json(const struct schema_reject *reject, struct base_buf *out);

/* ---- binary: what journal records carry -------------------------------------------------- */

/* Kinds of journal records. Numbers are stored: never reuse one. */
enum schema_kind {
    SCHEMA_KIND_EVENT = 1,       /* schema_event */
    SCHEMA_KIND_ITEM = 2,        /* schema_item, whole */
    SCHEMA_KIND_ITEM_PATCH = 3,  /* schema_item, the fields in `present` */
    SCHEMA_KIND_ITEM_DELETE = 4, /* id */
    SCHEMA_KIND_USER = 5,
    SCHEMA_KIND_USER_PATCH = 6,
    SCHEMA_KIND_USER_DELETE = 7, /* id */
    SCHEMA_KIND_TYPES = 8,       /* the table of event types from here on */
    SCHEMA_KIND_TICK = 9,        /* time passed: received time only */
    SCHEMA_KIND_SAMPLING = 10,   /* u32: one event in so many is scored and learnt by the blend */
    SCHEMA_KIND_SOURCE = 11,     /* offsets of a source: name, partition, next */
    SCHEMA_KIND_MODEL = 12,      /* a deferred job's start or publication */
    SCHEMA_KIND_AUDIT = 13,      /* schema_act: an administrative act */
    SCHEMA_KIND_ERASE = 14,      /* user id: erasure asked for */
    SCHEMA_KIND_CONFIG = 15,     /* settings (fold_options) from here on, as text */
    SCHEMA_KIND_REMEDY = 16,     /* what a drift alarm brought about: rank/health.h */
};

/* An administrative act. `actor` is an API key's id, or "command line", "configuration", "server";
 * `act` a stable word such as "key_created"; `target` what it was done to; `detail` for people. */
struct schema_act {
    struct fr_slice actor, act, target, detail;
};

/* Encoding appends; decoding borrows. FR_CORRUPT: not what encode wrote, today or in a later
 * version. */
void schema_event_encode(const struct schema_event *event, struct base_buf *out);
FR_MUST_USE enum fr_status schema_event_decode(struct fr_slice bytes, struct schema_event *out);
void schema_item_encode(const struct schema_item *item, struct base_buf *out);
FR_MUST_USE enum fr_status schema_item_decode(struct fr_slice bytes, struct schema_item *out);
void schema_user_encode(const struct schema_user *user, struct base_buf *out);
FR_MUST_USE enum fr_status schema_user_decode(struct fr_slice bytes, struct schema_user *out);
void schema_act_encode(const struct schema_act *act, struct base_buf *out);
FR_MUST_USE enum fr_status schema_act_decode(struct fr_slice bytes, struct schema_act *out);
void schema_types_encode(const struct schema_types *types, struct base_buf *out);
FR_MUST_USE enum fr_status schema_types_decode(struct fr_slice bytes, struct schema_types *out);

/* base = base with the present fields of patch. Slices of both stay borrowed. */
void schema_item_merge(struct schema_item *base, const struct schema_item *patch);
void schema_user_merge(struct schema_user *base, const struct schema_user *patch);

#endif
