/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases between processes, as reads and loads use them: who leads a key's flight takes the key's lease at the node, and loads; who
 * does not get it waits for what the other process will store. Without a lease nothing is stored at a node.
 *
 * A flight carries its lease. Embedded tiers need none: no other process can miss a key there.
 */
#ifndef HEARTH_TIER_LEASE_H
#define HEARTH_TIER_LEASE_H

#include "tier/read.h"

/* Strokes of the extender's bell; who waits for another process takes it to sleep by. */
enum { HEARTH__LEASE_STROKE_WORK = 1, HEARTH__LEASE_STROKE_NEVER = 2 };

/* HEARTH_OK, with or without leases, as the options say; HEARTH_E_NOMEM. */
int32_t hearth__lease_open(hearth *cache);

/* Ends the thread that extends leases; nobody may be inside, and none be held. Then what remains. */
void hearth__lease_stop(hearth *cache);
void hearth__lease_close(hearth *cache);

/* One was granted: it is extended from now on, as long as it is held. */
void hearth__lease_keep(hearth *cache, hearth__lease *lease, int64_t asked_ms);

/* An operation on a lease: LEASE, FILL, EXTEND, RELEASE. */
hearth__remote_op hearth__lease_op(const hearth *cache, const hearth__lease *lease,
                                   enum hearth__verb verb);

/*
 * A leader that found no answer at its node (`status` HEARTH_MISS), or a stale one (HEARTH_OK), asks for the lease, or waits for
 * another process's load, unless it renews what it has. The answer:
 *
 *   HEARTH_MISS: it is to load. The flight carries the lease; if it does not, the node is not to be filled
 *   HEARTH_OK, HEARTH_ABSENT: that came meanwhile
 *   HEARTH_EXISTS: another process loads, and the caller does not wait
 *   HEARTH_E_TIMEOUT: the deadline passed
 */
int32_t hearth__lease_seek(hearth__read *read, hearth__flight *flight,
                           const hearth__route *route, int32_t status);

/* The same for who loads whatever comes, and so waits for nobody. */
void hearth__lease_try(hearth__read *read, hearth__flight *flight, const hearth__route *route);

/* One of many reads that ask for leases in one go. */
typedef struct hearth__lease_asking {
    hearth__read *read;
    hearth__flight *flight;
    const hearth__route *route;
    bool has_stale;
    bool lost; /* the answer: another process has it; else as with HEARTH_MISS above */
} hearth__lease_asking;

/* Asks all nodes at once, and waits for nobody's load. `ops`: room for `count` operations. */
void hearth__lease_ask_many(hearth *cache, hearth__lease_asking *askings,
                            hearth__remote_op *ops, size_t count);

/* Whether what was loaded under this flight may go to the node of `route`. */
bool hearth__lease_may_fill(const hearth *cache, const hearth__flight *flight,
                            const hearth__route *route);

/* The flights need their leases no longer: those that still stand are given back, all nodes at once. `ops` as above. */
void hearth__lease_give_back(hearth *cache, hearth_fill *const *fills, hearth__remote_op *ops,
                             size_t count);

/* The same for one that lands. */
void hearth__lease_drop(hearth__flight *flight);

#endif
