/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/param, inside: what the two parsers share.
 */
#ifndef SERVE_PARAM_PRIV_H
#define SERVE_PARAM_PRIV_H

#include "serve/param.h"

enum fr_status serve__fault(struct serve_fault *fault, const char *code, const char *path,
                            const char *detail);
enum fr_status serve__args_add(struct serve_args *args, const struct serve_arg *arg,
                               struct serve_fault *fault);

#endif
