/* SPDX-License-Identifier: Apache-2.0
 *
 * serving: a server without sockets over a small engine (folding.h) with a catalogue and seeded
 * events, for tests of whole requests.
 */
#ifndef TESTS_SERVING_H
#define TESTS_SERVING_H

#include "serve/serve_priv.h"
#include "tests/lib/folding.h"

struct serving {
    struct os_sim *sim;
    struct folding folding;
    struct schema_types types;
    struct serve *serve;
    struct http_request request; /* the last one, answered */
};

/* `new_share`: as in struct serve_options; negative: no places for new items. */
enum fr_status serving_start(struct serving *serving, uint64_t events, float new_share,
                             struct fr_error *error);
void serving_stop(struct serving *serving);
/* The whole answer as a string, valid until the next question. `body` NULL: none. */
const char *serving_ask(struct serving *serving, enum http_method method, const char *target,
                        const char *body);

#endif
