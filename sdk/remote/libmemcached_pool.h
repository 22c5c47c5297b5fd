/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to one Memcached server: at most `lanes` of them, each for one caller at a time.
 * libmemcached keeps one in a memcached_st; we give every one a single server, so that its own
 * ring, failover and retries are never used.
 */
#ifndef HEARTH_REMOTE_LIBMEMCACHED_POOL_H
#define HEARTH_REMOTE_LIBMEMCACHED_POOL_H

#include "base/buffer.h"
#include "remote/backend.h"

#include <libmemcached/memcached.h>

typedef struct hearth__lmc_connection {
    memcached_st *client; /* NULL: not open */
    memcached_result_st answer;
    hearth__buffer joined;    /* header and body of a store, side by side */
    uint64_t fork_generation; /* of the process that opened it */
    bool used_before;         /* it was open when it was taken: the server may have closed it */
} hearth__lmc_connection;

typedef struct hearth__lmc_pool hearth__lmc_pool;

/* NULL: no memory. Nobody may use it any more when it is destroyed; NULL is allowed there. */
hearth__lmc_pool *hearth__lmc_pool_create(const hearth__node_config *config)
    __attribute__((warn_unused_result));
void hearth__lmc_pool_destroy(hearth__lmc_pool *pool);

/*
 * Takes a connection, the one that was used last, and opens it where it is not open. Waits to the
 * deadline for one that another caller holds. HEARTH_OK, HEARTH_E_TIMEOUT, HEARTH_E_UNAVAILABLE,
 * HEARTH_E_NOMEM. For about a second after a failed attempt to open one, no other is made.
 */
int32_t hearth__lmc_pool_take(hearth__lmc_pool *pool, int64_t deadline_ns,
                              hearth__lmc_connection **connection);

/* Gives it back, open or closed. */
void hearth__lmc_pool_give(hearth__lmc_pool *pool, hearth__lmc_connection *connection);

/* Opens a connection that the caller holds and that is closed. The statuses of take. */
int32_t hearth__lmc_pool_open(hearth__lmc_pool *pool, int64_t deadline_ns,
                              hearth__lmc_connection *connection);

/* Closes a connection that the caller holds, because of an error. */
void hearth__lmc_pool_break(hearth__lmc_pool *pool, hearth__lmc_connection *connection);

/* Tells libmemcached how long it may wait now; false: the deadline has passed, and it will not wait
 * at all, but take what has come. */
bool hearth__lmc_set_deadline(hearth__lmc_connection *connection, int64_t deadline_ns);

#endif
