/* SPDX-License-Identifier: Apache-2.0 */
/* The Memcached backend: its protocols over the lanes, by a client of our own. */
#include "remote/backend.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "remote/lane_batch.h"
#include "remote/memcached_codec.h"
#include "remote/memcached_node.h"
#include "remote/memcached_verbs.h"

#include <hearth/errors.h>

static int32_t open_node(const hearth__node_config *config, hearth__node **out) {
    hearth__node *node = hearth__alloc_zero(1, sizeof *node);
    if (node == NULL) {
        return HEARTH_E_NOMEM;
    }
    node->config = *config;
    atomic_init(&node->opaque, (uint32_t)hearth__random_u64());
    int32_t status = hearth__lanes_create(&hearth__mc_codec, config, node, &node->lanes);
    if (status != HEARTH_OK) {
        hearth__free(node);
        return status;
    }
    *out = node;
    return HEARTH_OK;
}

static void close_node(hearth__node *node) {
    hearth__lanes_destroy(node->lanes);
    hearth__free(node);
}

static bool stop(const hearth__node *node) {
    return hearth__lanes_stop(node->lanes);
}

/* A node that takes no connection leaves others of the batch half of the time. */
static int32_t meet(hearth__node *node, bool at_once, int64_t deadline_ns) {
    int64_t now_ns = hearth__monotonic_ns();
    if (now_ns >= deadline_ns) {
        return HEARTH_E_TIMEOUT;
    }
    bool alone = at_once || deadline_ns == HEARTH__NEVER;
    return hearth__mc_meet(node, alone ? deadline_ns : now_ns + (deadline_ns - now_ns) / 2);
}

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count, bool at_once,
                  int64_t deadline_ns, hearth__batch **batch) {
    int32_t status = meet(node, at_once, deadline_ns);
    for (size_t i = 0; status != HEARTH_OK && i < count; i++) {
        ops[i]->status = status;
    }
    if (status == HEARTH_OK) {
        hearth__lane_batch_begin(node->lanes, &hearth__mc_verbs, node, ops, count, at_once,
                                 deadline_ns, batch);
    }
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    (void)node;
    hearth__lane_batch_finish(ops, count, deadline_ns, batch);
}

static uint64_t generation(hearth__node *node) {
    return hearth__lanes_lost(node->lanes);
}

const hearth__backend hearth__backend_memcached = {
    .name = "memcached",
    .knows_ttl = true,
    .keeps_nothing = true,
    .open = open_node,
    .close = close_node,
    .stop = stop,
    .generation = generation,
    .begin = begin,
    .finish = finish,
};
