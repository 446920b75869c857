/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/route: from a path to a row of the table. A few dozen rows are compared segment by segment:
 * under a microsecond, and nothing to keep in step with the table.
 */
#include <string.h>

#include "serve/serve_priv.h"

/* The segment that starts at *at, which moves behind it. False at the end. */
static bool segment_next(const char **at, const char *end, struct fr_slice *out)
{
    if (*at >= end || **at != '/')
        return false;
    const char *first = *at + 1;
    const char *stop = memchr(first, '/', (size_t)(end - first));
    if (!stop)
        stop = end;
    *out = fr_slice_of(first, (size_t)(stop - first));
    *at = stop;
    return true;
}

static bool matches(const char *pattern, struct fr_slice path,
                    struct fr_slice out_value[SERVE_PATH_VALUES_MAX])
{
    const char *p = pattern, *p_end = pattern + strlen(pattern);
    const char *q = path.ptr, *q_end = path.ptr + path.bytes;
    struct fr_slice want, got;
    uint32_t values = 0;
    for (;;) {
        bool more = segment_next(&p, p_end, &want);
        if (more != segment_next(&q, q_end, &got))
            return false;
        if (!more)
            return p == p_end && q == q_end;
        if (want.bytes > 0 && want.ptr[0] == '{') {
            if (got.bytes == 0 || values == SERVE_PATH_VALUES_MAX)
                return false;
            out_value[values++] = got;
        } else if (!fr_slice_equal(want, got)) {
            return false;
        }
    }
}

const struct serve_route *serve__route_find(enum http_method method, struct fr_slice path,
                                            struct fr_slice out_value[SERVE_PATH_VALUES_MAX],
                                            uint32_t *out_allowed)
{
    uint32_t count, allowed = 0;
    const struct serve_route *route = serve__routes(&count);
    for (uint32_t i = 0; i < count; i++) {
        if (!matches(route[i].pattern, path, out_value))
            continue;
        if (route[i].method == method || (method == HTTP_HEAD && route[i].method == HTTP_GET))
            return &route[i];
        allowed |= route[i].method | (route[i].method == HTTP_GET ? HTTP_HEAD : 0u);
    }
    *out_allowed = allowed;
    return NULL;
}

const char *serve__route_nearest(struct fr_slice path)
{
    uint32_t count, best = 5;
    const char *nearest = NULL;
    const struct serve_route *route = serve__routes(&count);
    for (uint32_t i = 0; i < count; i++) {
        struct fr_slice pattern = fr_slice_str(route[i].pattern);
        uint32_t distance = serve_distance(path, pattern, best);
        if (distance < best) {
            best = distance;
            nearest = route[i].pattern;
        }
    }
    return nearest;
}
