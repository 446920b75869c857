/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/shed: refuses a share of what comes in faster than it can be answered, so that what is answered is
 * answered soon. The queue is told by the least time that a request lay unread within a window, as in CoDel
 * (RFC 8289): a burst that drains is a good queue, one that stands is a bad one. The share is steered as in
 * PIE (RFC 8033) by how far that is from its target and by whether it grows. Refusing all that waited for
 * more than the target, as servers often do, was measured first: arrivals come in bursts as long as a time
 * slice of the scheduler, and refusing all but the first 5 ms of each left the thread idle until the next
 * (goodput .2 of the peak at twice the load).
 *
 *   S1: share += GAIN_OFFSET e + GAIN_TREND (e - e of the window before), e = (least wait - target) / target,
 *       clamped to [-1, 50]. The wait is what has passed unread and what the queue is going to take. At twice the load the loop is damped and settles in about a second.
 *       A window whose least wait was below half the target takes a third of the share away. Windows are
 *       longer than the stalls of a shared machine, or each would be taken for a standing queue; with
 *       fewer than COUNT_MIN requests there was none.
 *   S2: Of administration twice the share is refused, of bulk four times: recommendations go last.
 *   S3: While there is a share, whoever would stand behind more than QUEUE_MAX_NS of work is refused, bulk
 *       behind a quarter of that, administration behind half. It bounds what an accepted request waits; how
 *       long its bytes lay unread is not counted, since that may be the machine's stall and not ours. With
 *       1.3 ms so much was refused here that no share formed, and bytes lay unread for 100 ms. A queue of
 *       QUEUE_FULL_NS begins a share at once: until the window's end told one, the first tenths of a second
 *       of an overload were all accepted, behind up to 100 ms of work. A burst of less passes whole.
 *   S4: A refusal costs no more than reading the head, and says when to come back.
 *   S5: No random numbers: each class adds up its share and refuses when a whole one is full.
 *
 * Thread: each serving thread has its own.
 */
#include "obs/obs.h"
#include "serve/serve_priv.h"

static const double TARGET_NS = 1e6, GAIN_OFFSET = 0.008, GAIN_TREND = 0.005, DECAY = 0.65,
                    SHARE_MIN = 0.02, SHARE_FIRST = 0.1;
enum {
    WINDOW_NS = 100000000,
    COUNT_MIN = 16,
    QUEUE_MAX_NS = 2000000,
    QUEUE_FULL_NS = 20000000,
    WINDOWS_EMPTY_MAX = 16
};

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* S1; windows in which nothing came had no wait. */
static void steer(struct serve_shed *shed, int64_t now_ns)
{
    double wait_ns = shed->count >= COUNT_MIN ? (double)shed->least_ns : 0;
    int64_t windows = (now_ns - shed->until_ns) / WINDOW_NS;
    for (int64_t i = 0; i <= FR_MIN(windows, (int64_t)WINDOWS_EMPTY_MAX); i++) {
        double offset = clamp((i ? 0 : wait_ns) / TARGET_NS - 1, -1, 50);
        double change = GAIN_OFFSET * offset + GAIN_TREND * (offset - shed->offset);
        shed->share = clamp(shed->share + change, 0, 1);
        if (offset < -0.5)
            shed->share *= DECAY;
        shed->offset = offset;
    }
    if (windows > WINDOWS_EMPTY_MAX)
        shed->share = 0;
    shed->until_ns = now_ns + WINDOW_NS;
    shed->least_ns = INT64_MAX;
    shed->count = 0;
}

bool serve__shed(struct serve_shed *shed, uint32_t scope, const struct serve_wait *wait)
{
    int64_t waited_ns = wait->unread_ns + wait->queue_ns;
    if (wait->now_ns >= shed->until_ns)
        steer(shed, wait->now_ns);
    shed->least_ns = FR_MIN(shed->least_ns, waited_ns);
    shed->count++;
    if (shed->share < SHARE_MIN && wait->queue_ns > QUEUE_FULL_NS)
        shed->share = SHARE_FIRST;
    if (scope == 0 || shed->share < SHARE_MIN)
        return false;
    uint32_t class = scope == SERVE_READ ? 0 : scope == SERVE_INGEST ? 2 : 1;
    shed->sum[class] += clamp(shed->share * (1 << class), 0, 1);
    bool refused = wait->queue_ns > QUEUE_MAX_NS >> class || shed->sum[class] >= 1;
    if (shed->sum[class] >= 1)
        shed->sum[class] -= 1;
    if (refused)
        obs_counter_add(OBS_HTTP_SHED, 1);
    return refused;
}
