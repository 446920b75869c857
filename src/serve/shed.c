/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/shed: refuses what comes in faster than it can be answered, so that what is answered is answered
 * soon. Controlled delay after CoDel (Nichols and Jacobson, 2012) as servers use it (Maurer, "Fail at
 * Scale", 2015): the queue is told by how long requests lie unread, not by its length.
 *
 *   S1: A short burst is let through. Only when for a whole interval no request was read in less than
 *       the target is the thread overloaded (a standing queue).
 *   S2: An overloaded thread refuses each request that lay longer than its class may: bulk a quarter of
 *       the target, administration half, recommendations the whole. So bulk goes first.
 *   S3: The thread is well again when for so long (CALM_NS) nothing had to be refused; until then the
 *       queue is kept short rather than let grow for another interval.
 *   S4: A refusal costs no more than reading the head, and says when to come back.
 *
 * Thread: each serving thread has its own.
 */
#include "obs/obs.h"
#include "serve/serve_priv.h"

enum { TARGET_NS = 5000000, INTERVAL_NS = 100000000, CALM_NS = 500000000 };

static int64_t limit_ns(uint32_t scope)
{
    return scope == SERVE_READ     ? TARGET_NS
           : scope == SERVE_INGEST ? TARGET_NS / 4
                                   : TARGET_NS / 2;
}

bool serve__shed(struct serve_shed *shed, uint32_t scope, int64_t now_ns, int64_t waited_ns)
{
    if (now_ns >= shed->until_ns) { /* an interval is over; one without requests had no queue */
        if (shed->least_ns > TARGET_NS && shed->until_ns + INTERVAL_NS > now_ns) {
            shed->is_overloaded = true;
            shed->last_ns = now_ns;
        }
        shed->until_ns = now_ns + INTERVAL_NS;
        shed->least_ns = waited_ns;
    }
    shed->least_ns = FR_MIN(shed->least_ns, waited_ns);
    if (!shed->is_overloaded || scope == 0)
        return false;
    if (waited_ns > limit_ns(scope)) {
        shed->last_ns = now_ns;
        obs_counter_add(OBS_HTTP_SHED, 1);
        return true;
    }
    shed->is_overloaded = now_ns - shed->last_ns < CALM_NS;
    return false;
}
