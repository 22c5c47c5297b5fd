/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis backend: its protocol over the lanes. */
#include "remote/backend.h"

#include "base/clock.h"
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

static bool stop(const hearth__node *node) {
    return hearth__lanes_stop(node->lanes);
}

static bool distrusts(const hearth__node *node, int64_t written_ms) {
    return hearth__redis_run_is_doubtful(&node->run) &&
           hearth__redis_run_distrusts(&node->run, written_ms, hearth__boot_ms());
}

static void refresh(hearth__node *node) {
    hearth__lanes_refresh(node->lanes);
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

static bool is_store_too_large(const hearth__remote_op *op) {
    return op->status == HEARTH_E_TOO_LARGE && op->verb != HEARTH__GET &&
           op->verb != HEARTH__INCREMENT && op->verb != HEARTH__FILTER;
}

/*
 * The server looked at the size and at nothing else, so what was to be replaced is still there. The
 * same verb again, with a placeholder that is over at once: on its own condition, older values go.
 */
static void drop_older(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns) {
    hearth__remote_op empty = *op;
    hearth__remote_op *ops[] = {&empty};
    hearth__batch *batch = NULL;
    empty.kind = HEARTH__KIND_LEASE;
    empty.data = "";
    empty.data_size = 0;
    empty.check = false;
    empty.soft_ttl_ms = 0;
    empty.ttl_ms = 1;
    empty.status = HEARTH__PENDING;
    hearth__lane_batch_begin(node->lanes, &verbs, node, ops, 1, true, deadline_ns, &batch);
    hearth__lane_batch_finish(ops, 1, deadline_ns, batch);
    if (empty.status < 0) {
        op->status = HEARTH_E_UNKNOWN; /* an older value may be there still */
    } else if (empty.status != HEARTH_OK) {
        op->status = empty.status; /* it would not have been stored anyway */
    }
}

static void finish(hearth__node *node, hearth__remote_op **ops, size_t count,
                   int64_t deadline_ns, hearth__batch *batch) {
    hearth__lane_batch_finish(ops, count, deadline_ns, batch);
    for (size_t i = 0; i < count; i++) {
        if (is_store_too_large(ops[i])) {
            drop_older(node, ops[i], deadline_ns);
        }
    }
}

static uint64_t generation(hearth__node *node) {
    return hearth__lanes_lost(node->lanes);
}

const hearth__backend hearth__backend_redis = {
    .name = "redis",
    .knows_ttl = true,
    .keeps_nothing = true,
    .open = open_node,
    .close = close_node,
    .stop = stop,
    .generation = generation,
    .distrusts = distrusts,
    .refresh = refresh,
    .begin = begin,
    .finish = finish,
};
