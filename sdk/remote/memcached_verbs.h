/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on a Memcached node over its lanes, as lane_batch.h wants them. */
#ifndef HEARTH_REMOTE_MEMCACHED_VERBS_H
#define HEARTH_REMOTE_MEMCACHED_VERBS_H

#include "remote/lane_batch.h"

/* The node's protocol must be known when anything is composed: it says how much can be asked. */
extern const hearth__lane_verbs hearth__mc_verbs;

/* Connects to a node that nobody has greeted yet. HEARTH_OK, or why it cannot be reached. */
int32_t hearth__mc_meet(hearth__node *node, int64_t deadline_ns);

#endif
