/* SPDX-License-Identifier: Apache-2.0
 *
 * serving: see serving.h.
 */
#include "tests/lib/serving.h"

enum { SEED = 5 };

enum fr_status serving_start(struct serving *serving, uint64_t events, float new_share,
                             struct fr_error *error)
{
    struct folding *folding = &serving->folding;
    schema_types_init(&serving->types);
    base_buf_init(&serving->request.out, 0);
    serving->sim = os_sim_new(1, NULL);
    FR_ASSERT(serving->sim);
    FR_TRY(folding_open(folding, serving->sim, 0, error));
    folding_add_items(folding, SEED);
    for (uint64_t n = 0; n < events; n++)
        folding_add_event(folding, SEED, n);
    FR_TRY(folding_run(folding));
    struct serve_options options = {.os = os_sim_os(serving->sim),
                                    .directory = "data",
                                    .state = folding->state,
                                    .rank = folding->rank,
                                    .fold = folding->fold,
                                    .types = &serving->types,
                                    .new_share = new_share,
                                    .threads = 1};
    return serve_start(&options, error, &serving->serve);
}

void serving_stop(struct serving *serving)
{
    serve_stop(serving->serve);
    base_buf_release(&serving->request.out);
    folding_close(&serving->folding);
    os_sim_free(serving->sim);
}

const char *serving_ask(struct serving *serving, enum http_method method, const char *target,
                        const char *body)
{
    struct http_request *request = &serving->request;
    struct base_buf out = request->out;
    *request = (struct http_request){.method = method,
                                     .method_name =
                                         method == HTTP_POST ? FR_SLICE("POST") : FR_SLICE("GET"),
                                     .target = fr_slice_str(target),
                                     .body = fr_slice_str(body)};
    request->out = out;
    base_buf_clear(&request->out);
    serve__handle(serving->serve, request);
    base_buf_put_u8(&request->out, 0);
    return (const char *)request->out.bytes;
}
