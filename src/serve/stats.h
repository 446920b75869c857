/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/stats, inside the room: rates of events.
 */
#ifndef SERVE_STATS_H
#define SERVE_STATS_H

#include "serve/serve_priv.h"

struct serve_rates *serve__rates_new(void);
void serve__rates_free(struct serve_rates *rates);
void serve__rates_tick(struct serve *serve); /* four times a second */

#endif
