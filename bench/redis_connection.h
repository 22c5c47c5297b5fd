/* SPDX-License-Identifier: Apache-2.0 */
/* A plain hiredis connection to a node of a URL: authenticated, with its database chosen. */
#ifndef HEARTH_BENCH_REDIS_CONNECTION_H
#define HEARTH_BENCH_REDIS_CONNECTION_H

#include "remote/remote.h"

#include <hiredis/hiredis.h>

/* Connects within `bound_ms`, which also bounds each answer later on. The caller frees it by redisFree(). NULL, and the
 * reason in `why`. */
redisContext *redis_connection_open(const hearth__remote_url *url, size_t node,
                                    int64_t bound_ms, char *why, size_t why_size);

#endif
