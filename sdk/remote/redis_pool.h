/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's connections: at most `lanes` of them, made when they are needed, one at a time, and
 * not for about a second after one could not be made. Any thread.
 *
 * A forked child makes a pool of its own: it closes its copies of the parent's sockets and says
 * nothing on them, and leaves the parent's lock alone, which a thread that it does not have may
 * hold.
 */
#ifndef HEARTH_REMOTE_REDIS_POOL_H
#define HEARTH_REMOTE_REDIS_POOL_H

#include "remote/backend.h"
#include "remote/redis_connection.h"

#include <stdatomic.h>

/* Whether a node lets us run scripts: seen, never asked for. */
enum hearth__redis_scripts {
    HEARTH__REDIS_SCRIPTS_UNKNOWN,
    HEARTH__REDIS_SCRIPTS_ALLOWED,
    HEARTH__REDIS_SCRIPTS_FORBIDDEN, /* by an access list: transactions stand in */
};

typedef struct hearth__redis_pool hearth__redis_pool;

/* This backend's node. */
struct hearth__node {
    hearth__node_config config;
    _Atomic(hearth__redis_pool *) pool;
    _Atomic int scripts;            /* enum hearth__redis_scripts */
    _Atomic int64_t quiet_until_ms; /* boot time: no further complaint before */
};

/* HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__redis_pool_create(hearth__node *node);

/* Nobody has a connection. Closes them all. */
void hearth__redis_pool_destroy(hearth__node *node);

/*
 * Takes a connection, waiting for one to the deadline. `fresh`: none that was used before.
 * HEARTH_OK; HEARTH_E_TIMEOUT: all were busy, or it could not be made in time;
 * HEARTH_E_UNAVAILABLE: it could not be made just now or a moment ago; HEARTH_E_NOMEM,
 * HEARTH_E_PROTOCOL.
 */
int32_t hearth__redis_take(hearth__node *node, bool fresh, int64_t deadline_ns,
                           hearth__redis_connection **connection);

/* Gives it back for others: every answer was taken. */
void hearth__redis_give(hearth__redis_connection *connection);

/* Closes it: an answer is missing, or was none. */
void hearth__redis_drop(hearth__redis_connection *connection);

#endif
