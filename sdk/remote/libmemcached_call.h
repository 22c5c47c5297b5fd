/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single requests to a Memcached server through libmemcached, with honest answers: an error is never
 * a miss, and a connection that saw one is closed.
 *
 * The statuses of all of them: HEARTH_E_TIMEOUT, _UNAVAILABLE, _PROTOCOL, _NOMEM; of what writes
 * also HEARTH_E_UNKNOWN (sent, answer lost).
 */
#ifndef HEARTH_REMOTE_LIBMEMCACHED_CALL_H
#define HEARTH_REMOTE_LIBMEMCACHED_CALL_H

#include "remote/libmemcached_pool.h"
#include "remote/memcached_compose.h"
#include "remote/wire_key.h"

/* A connection for the time of one batch. */
typedef struct hearth__lmc_lane {
    hearth__lmc_pool *pool;
    hearth__lmc_connection *connection; /* may be closed: the next request opens it */
    int64_t deadline_ns;
} hearth__lmc_lane;

/* What a key holds: valid until the lane's next request. */
typedef struct hearth__lmc_item {
    bool there;
    const unsigned char *bytes; /* a number without the blanks that `decr` leaves behind it */
    size_t size;
    uint64_t cas;
} hearth__lmc_item;

/* Asks for `count` keys in one request. HEARTH_OK: ask for the answers. */
int32_t hearth__lmc_send_reads(hearth__lmc_lane *lane, const hearth__wire_key *keys,
                               size_t count);

/*
 * The next of the answers, which come in the order of the keys, those that are missing left out.
 * HEARTH_OK: *item is that of keys[*at]. HEARTH_MISS: all came. `*at` begins as 0 and is moved on by
 * the caller.
 */
int32_t hearth__lmc_next_read(hearth__lmc_lane *lane, const hearth__wire_key *keys,
                              size_t count, size_t *at, hearth__lmc_item *item);

/* One key. HEARTH_OK: *item is filled, there or not. */
int32_t hearth__lmc_read(hearth__lmc_lane *lane, const hearth__wire_key *key,
                         hearth__lmc_item *item);

/*
 * Stores `store->size` bytes. HEARTH_OK; HEARTH_CONFLICT (something, or something else, or nothing is
 * there); HEARTH_E_TOO_LARGE.
 */
int32_t hearth__lmc_store(hearth__lmc_lane *lane, const hearth__wire_key *key,
                          const hearth__mc_store *store, const void *bytes);

/* HEARTH_OK, HEARTH_MISS. */
int32_t hearth__lmc_delete(hearth__lmc_lane *lane, const hearth__wire_key *key);
int32_t hearth__lmc_touch(hearth__lmc_lane *lane, const hearth__wire_key *key, time_t exptime);

/* Adds to a number, or takes from it with the server's floor at 0. HEARTH_OK, HEARTH_MISS,
 * HEARTH_E_TYPE. */
int32_t hearth__lmc_count(hearth__lmc_lane *lane, const hearth__wire_key *key, bool up,
                          uint64_t amount, uint64_t *sum);

#endif
