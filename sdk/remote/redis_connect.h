/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HEARTH_REMOTE_REDIS_CONNECT_H
#define HEARTH_REMOTE_REDIS_CONNECT_H

#include "remote/backend.h"
#include "remote/redis_connection.h"

/* How an attempt to connect ended. */
typedef struct hearth__redis_attempt {
    int32_t status;
    bool refused;  /* a person must change something */
    char why[160]; /* if it failed: words for a log, never a password */
} hearth__redis_attempt;

/*
 * Connects to the node, says who we are and which database we want, where the URL tells, and
 * counts it. HEARTH_OK; HEARTH_E_UNAVAILABLE, HEARTH_E_TIMEOUT, HEARTH_E_PROTOCOL,
 * HEARTH_E_NOMEM: the connection is closed.
 */
void hearth__redis_connect(const hearth__node_config *node,
                           hearth__redis_connection *connection, int64_t deadline_ns,
                           hearth__redis_attempt *attempt);

#endif
