/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis backend: its protocol over the lanes. */
#include "remote/backend.h"

#include "base/memory.h"
#include "remote/lane_batch.h"
#include "remote/redis_codec.h"
#include "remote/redis_steps.h"
#include "remote/redis_verbs.h"

#include <hearth/errors.h>

static int32_t open_node(const hearth__node_config *config, hearth__node **out) {
    hearth__node *node = hearth__alloc_zero(1, sizeof *node);
    if (node == NULL) {
        return HEARTH_E_NOMEM;
    }
    node->config = *config;
    int32_t status = hearth__lanes_create(&hearth__redis_codec, config, node, &node->lanes);
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

static const hearth__lane_verbs verbs = {
    .compose = hearth__redis_compose,
    .take = hearth__redis_take,
    .needs_steps = hearth__redis_needs_steps,
    .run_steps = hearth__redis_run_steps,
};

static void begin(hearth__node *node, hearth__remote_op **ops, size_t count, bool at_once,
                  int64_t deadline_ns, hearth__batch **batch) {
    hearth__lane_batch_begin(node->lanes, &verbs, node, ops, count, at_once, deadline_ns,
                             batch);
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    (void)node;
    hearth__lane_batch_finish(ops, count, deadline_ns, batch);
}

const hearth__backend hearth__backend_redis = {
    .name = "redis",
    .knows_ttl = true,
    .open = open_node,
    .close = close_node,
    .begin = begin,
    .finish = finish,
};
