/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints one of the documents that come from tables. `make docs` writes them all, `make tidy` fails
 * when one is stale (tools/generate-docs).
 *   docs config | metrics | sample | man | api | openapi
 */
#include <string.h>

#include "app/app.h"
#include "obs/obs.h"
#include "serve/serve.h"

static const struct {
    const char *name;
    void (*write)(struct base_buf *out);
} documents[] = {
    {"config", conf_document_markdown}, {"metrics", obs_metrics_document},
    {"sample", conf_document_sample},   {"man", app_document_man},
    {"api", serve_api_document},        {"openapi", serve_openapi_print},
};

int main(int argc, char **argv)
{
    struct base_buf out;
    base_buf_init(&out, 0);
    for (size_t i = 0; argc == 2 && i < FR_COUNT_OF(documents); i++)
        if (strcmp(documents[i].name, argv[1]) == 0)
            documents[i].write(&out);
    return out.count > 0 ? app_print(&out) : 2;
}
