/* SPDX-License-Identifier: Apache-2.0 */
/* How long nodes and loaders take, as their callers wait: measured for who reads stats.socket, and only if there is one. */
#ifndef HEARTH_TIER_LATENCIES_H
#define HEARTH_TIER_LATENCIES_H

#include "base/clock.h"
#include "base/histogram.h"
#include "tier/cache.h"

struct hearth__latencies {
    hearth__histogram remote;                      /* calls to nodes, of one key or many */
    hearth__histogram load;                        /* calls of loaders */
    hearth__histogram nodes[HEARTH__REMOTE_NODES]; /* calls that asked this node alone */
};

static inline int64_t hearth__latencies_begin(const hearth__latencies *latencies) {
    return latencies != NULL ? hearth__monotonic_ns() : 0;
}

/* Operations that began then have ended. Who was refused waited for nobody. */
void hearth__latencies_count(hearth__latencies *latencies, const hearth__remote_op *ops,
                             size_t count, int64_t began_ns);

static inline void hearth__latencies_asked(hearth__latencies *latencies,
                                           const hearth__remote_op *ops, size_t count,
                                           int64_t began_ns) {
    if (latencies != NULL) {
        hearth__latencies_count(latencies, ops, count, began_ns);
    }
}

static inline void hearth__latencies_loaded(hearth__latencies *latencies, int64_t took_ns) {
    if (latencies != NULL) {
        hearth__histogram_add(&latencies->load, took_ns);
    }
}

/* A node of this number comes. */
static inline void hearth__latencies_begin_node(hearth__latencies *latencies, uint32_t node) {
    if (latencies != NULL) {
        hearth__histogram_clear(&latencies->nodes[node]);
    }
}

#endif
