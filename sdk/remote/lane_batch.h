/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's operations over its lanes, of any protocol: what begin and finish of a backend do
 * (backend.h). A batch goes out as one exchange, or as several, one after the other, where it is
 * large; what an operation's status is when its connection broke is decided here.
 */
#ifndef HEARTH_REMOTE_LANE_BATCH_H
#define HEARTH_REMOTE_LANE_BATCH_H

#include "remote/lane.h"

/* How a protocol carries out operations. `node` is the backend's. */
typedef struct hearth__lane_verbs {
    /* Adds one request for the operation to the exchange, or nothing. HEARTH_OK; else the
     * operation's status. */
    int32_t (*compose)(hearth__node *node, const hearth__remote_op *op,
                       hearth__exchange *exchange);

    /* Gives the operation its status, by what was answered. False: the answer does not fit. */
    bool (*take)(hearth__node *node, hearth__remote_op *op, const hearth__notes *notes,
                 hearth__kept kept);

    /* Whether the operation takes more than one request, by what it finds; NULL: none does. */
    bool (*needs_steps)(hearth__node *node, const hearth__remote_op *op);

    /* Runs such an operation and gives it its status. Those before it in the batch are done,
     * those behind it are not begun. */
    void (*run_steps)(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns);
} hearth__lane_verbs;

/* As the backend's begin and finish. */
void hearth__lane_batch_begin(hearth__lanes *lanes, const hearth__lane_verbs *verbs,
                              hearth__node *node, hearth__remote_op **ops, size_t count,
                              bool at_once, int64_t deadline_ns, hearth__batch **batch);
void hearth__lane_batch_finish(hearth__remote_op **ops, size_t count, int64_t deadline_ns,
                               hearth__batch *batch);

/*
 * What may be asked once more after an exchange failed, for the request at `index`: a delete, which
 * does no harm twice; and reads and what was not sent, where the connection had ended before, or
 * was closed for what others asked. No other write is sent twice.
 */
bool hearth__lane_may_repeat(const hearth__outcome *outcome, uint32_t index,
                             const hearth__remote_op *op);

/* The status of such a request when it is not asked again. */
int32_t hearth__lane_failure(const hearth__outcome *outcome, uint32_t index,
                             const hearth__remote_op *op);

#endif
