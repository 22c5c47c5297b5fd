/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis backend's node. */
#ifndef HEARTH_REMOTE_REDIS_NODE_H
#define HEARTH_REMOTE_REDIS_NODE_H

#include "remote/backend.h"
#include "remote/lane.h"
#include "remote/redis_run.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Whether a node lets us run scripts: seen, never asked for. */
enum hearth__redis_scripts {
    HEARTH__REDIS_SCRIPTS_UNKNOWN,
    HEARTH__REDIS_SCRIPTS_ALLOWED,
    HEARTH__REDIS_SCRIPTS_FORBIDDEN, /* by an access list: transactions stand in */
};

struct hearth__node {
    hearth__node_config config;
    hearth__lanes *lanes;
    _Atomic int scripts;            /* enum hearth__redis_scripts */
    _Atomic int64_t quiet_until_ms; /* boot time: no further complaint before */
    _Atomic bool tells_not;         /* of changes, and that was told */
    hearth__redis_run run;
    _Atomic int64_t canaries_from_ms; /* boot time: canaries are refused until then; 0: not */
};

#endif
