/* SPDX-License-Identifier: Apache-2.0
 *
 * app options: rules between options, and the event types that the file declares. They stand here
 * because conf knows nothing of sockets and types.
 */
#include "app/app.h"

#include <arpa/inet.h>
#include <string.h>

#include "os/os.h"
#include "serve/serve.h"

static bool is_loopback(const char *address)
{
    struct in_addr parsed;
    if (inet_pton(AF_INET, address, &parsed) == 1)
        return ntohl(parsed.s_addr) >> 24 == 127;
    return strcmp(address, "::1") == 0 || strcmp(address, "localhost") == 0;
}

int app_check_options(const struct app *app)
{
    struct conf *conf = app->conf;
    const struct conf_options *options = app->options;
    const char *colon = strchr(options->listen, ':');
    if (colon && !strchr(colon + 1, ':'))
        conf_fault_add(conf, "listen",
                       "is an address alone; the port has an option of its own, --port=%.8s",
                       colon + 1);
    else if (!is_loopback(options->listen) && !serve_keys_exist(os_real(), options->data_dir))
        conf_fault_add(conf, "listen",
                       "%.80s is reachable from other machines: make an API key with `freshet keys "
                       "create`, or listen on 127.0.0.1",
                       options->listen);
    if (!*options->tls_cert != !*options->tls_key)
        conf_fault_add(conf, *options->tls_cert ? "tls-key" : "tls-cert",
                       "tls-cert and tls-key are given together, or neither");
    if (!*options->data_dir)
        conf_fault_add(conf, "data-dir", "must not be empty");
    return conf_fault_count(conf) > 0 ? app_tell_faults(app) : APP_OK;
}

/* The event's fields over what the type has already. */
static void change_type(const struct conf_event *event, struct schema_type *type)
{
    if (event->given & CONF_EVENT_HAS_weight)
        type->weight = (float)event->weight;
    if (event->given & CONF_EVENT_HAS_rule)
        type->rule = (enum schema_value_rule)event->rule;
    if (event->given & CONF_EVENT_HAS_low)
        type->low = (float)event->low;
    if (event->given & CONF_EVENT_HAS_high)
        type->high = (float)event->high;
}

/* The words of `rule` in events.def stand in the order of enum schema_value_rule. */
_Static_assert(SCHEMA_VALUE_NONE == 0 && SCHEMA_VALUE_SECONDS == 1 && SCHEMA_VALUE_DEPTH == 2 &&
                   SCHEMA_VALUE_STARS == 3 && SCHEMA_VALUE_PRICE == 4 && SCHEMA_VALUE_ANY == 5,
               "events.def lists the rules in this order");

enum fr_status app_event_types(const struct conf *conf, struct schema_types *out_types,
                               struct fr_error *error)
{
    uint32_t count;
    const struct conf_event *events = conf_events(conf, &count);
    struct schema_types types;
    schema_types_init(&types);
    for (uint32_t i = 0; i < count; i++) {
        int known = schema_types_find(&types, fr_slice_str(events[i].name));
        struct schema_type type = {.weight = 1,
                                   .rule = SCHEMA_VALUE_ANY,
                                   .high = 1,
                                   .is_custom = true};
        if (known >= 0)
            type = types.row[known];
        memcpy(type.name, events[i].name, sizeof(type.name));
        bool keeps_rule = !(events[i].given & CONF_EVENT_HAS_rule) || known < 0 ||
                          (enum schema_value_rule)events[i].rule == type.rule;
        if (!keeps_rule)
            return base_fail(error, FR_INVALID, "app",
                             "line %d of the configuration: %s is built in, its rule stays",
                             events[i].line, events[i].name);
        change_type(&events[i], &type);
        FR_TRY(schema_types_set(&types, &type, error));
    }
    *out_types = types;
    return FR_OK;
}
