/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that need to see what is there before they can be asked for: TOUCH, whose new
 * header only a client can seal, and every conditional verb where an access list forbids
 * scripts. A transaction has a lane to itself, since what others said on it would become part of
 * it; all else is asked on lanes that are shared.
 */
#ifndef HEARTH_REMOTE_REDIS_STEPS_H
#define HEARTH_REMOTE_REDIS_STEPS_H

#include "remote/redis_node.h"

/* Whether the operation runs in steps on this node. True for a script's verb until a script ran:
 * then it is known whether they may. */
bool hearth__redis_needs_steps(hearth__node *node, const hearth__remote_op *op);

/* Runs the operation, which gets its status. */
void hearth__redis_run_steps(hearth__node *node, hearth__remote_op *op, int64_t deadline_ns);

#endif
