/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that need to see what is there before they can be asked for: TOUCH, whose new
 * header only a client can seal, and every conditional verb where an access list forbids
 * scripts. They have a connection to themselves while they run.
 */
#ifndef HEARTH_REMOTE_REDIS_STEPS_H
#define HEARTH_REMOTE_REDIS_STEPS_H

#include "remote/redis_pool.h"

/* Whether the operation runs in steps on this node. True for a script's verb until a script ran:
 * then it is known whether they may. */
bool hearth__redis_needs_steps(const hearth__node *node, const hearth__remote_op *op);

/*
 * Runs the operation. HEARTH_OK: it has its status; else what hearth__redis_await() gave, and it
 * is still HEARTH__PENDING. *write_at: the connection's count of bytes at which the write began,
 * untouched if there was none yet.
 */
int32_t hearth__redis_run_steps(hearth__node *node, hearth__redis_connection *connection,
                                hearth__remote_op *op, int64_t deadline_ns, uint64_t *write_at);

#endif
