/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives as a Memcached server counts them (its doc/protocol.txt, "Expiration times"): in whole
 * seconds by a clock that ticks once a second, so that N of them last from N - 1 to N; more than
 * 30 days as a unix time of 31 bits.
 */
#ifndef HEARTH_REMOTE_MEMCACHED_EXPTIME_H
#define HEARTH_REMOTE_MEMCACHED_EXPTIME_H

#include "remote/remote.h"

/* A server's answer that an item has no end, and none at all. */
enum { HEARTH__MC_FOR_EVER = -1, HEARTH__MC_NOT_TOLD = -2 };

/*
 * The server's number for a life of `ttl_ms`, 0: for ever. `header_cuts`: a header says the end to
 * the millisecond, so that the server may keep the rest of a second more, and the item lives from
 * ttl_ms - 1 s to ttl_ms. Without one it is not kept beyond its time, but for a second at least.
 */
int64_t hearth__mc_exptime(int64_t ttl_ms, bool header_cuts);

/* A number for what shall be over at once: an end in January 1970. */
enum { HEARTH__MC_OVER = 30 * 24 * 3600 + 1 };

/* The number for what the op stores (of a lease that is released: none is left), or for a value of this age that it gives a new life. */
int64_t hearth__mc_exptime_of_store(const hearth__remote_op *op);
int64_t hearth__mc_exptime_of_renewal(const hearth__remote_op *op, int64_t age_ms);

/*
 * What is left of the life of these bytes, for hearth__envelope_answer(), if the server said that
 * `ttl_ms` are left, in its whole seconds, `passed_ms` ago at the most. This host's wall clock and the header tell the
 * milliseconds, within what the server's seconds allow: a wrong clock is corrected to a second or
 * two. HEARTH__TTL_UNKNOWN: the server told no end, the header decides.
 */
int64_t hearth__mc_left_ms(const void *bytes, size_t size, int64_t ttl_ms, int64_t passed_ms);

#endif
