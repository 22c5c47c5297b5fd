/* SPDX-License-Identifier: Apache-2.0 */
/* What processes tell each other of what they write, where coherence.mode is bus; elsewhere all of this does nothing. */
#ifndef HEARTH_TIER_BUS_H
#define HEARTH_TIER_BUS_H

#include "tier/cache.h"

/* Once the url and the options are there: whether they fit, else `why` not. HEARTH_OK, HEARTH_E_INVALID, HEARTH_E_UNSUPPORTED,
 * HEARTH_E_NOMEM. */
int32_t hearth__bus_check(hearth *cache, char *why, size_t why_size);

/* HEARTH_OK, with or without; HEARTH_E_NOMEM. */
int32_t hearth__bus_open(hearth *cache);

/* Ends its threads, while all else is there still; and the rest of it, when nothing is any more. */
void hearth__bus_leave(hearth *cache);
void hearth__bus_close(hearth *cache);

/* Around what is asked of nodes: the source of what is read by it. */
uint32_t hearth__bus_begin(hearth *cache);
void hearth__bus_heard(const hearth *cache, hearth__remote_op *ops, size_t count,
                       uint32_t source);

/* Tells of writes that have their statuses, before their call returns. Those that the bus does not have by the deadline
 * (hearth__monotonic_ns()), and that were carried out, have HEARTH_E_QUEUED then. */
void hearth__bus_tell_writes(hearth *cache, hearth__write *writes, size_t count,
                             int64_t deadline_ns);

/* The same of one key, which may have changed in any way: its status. */
int32_t hearth__bus_tell(hearth *cache, const void *key, size_t key_size, int32_t status,
                         int64_t deadline_ns);

/* The same of what loads have stored at nodes: `ops` are those that were asked. The number to await, before the loads' calls return;
 * 0: there is nothing. A load is none the less for what the bus did not take by then. */
uint64_t hearth__bus_tell_fills(hearth *cache, hearth_fill *const *fills,
                                const hearth__remote_op *ops, size_t count);
void hearth__bus_await_fills(hearth *cache, uint64_t number, int64_t deadline_ns);

/* Tells of a tag or a generation that was changed at its node, or may have been, as `status` says: by its key, as tags.h and namespace.h
 * have it, without the prefix. Who is not told by the deadline finds out by coherence.version_ttl_ms. Versions that do not know such keys
 * take them for keys of which they have no copy. */
void hearth__bus_tell_beside(hearth *cache, const char *before, const void *name, size_t size,
                             int32_t status, int64_t deadline_ns);

/* A delete that a node had missed is carried out; the key with its prefix. Waits for nothing. */
void hearth__bus_tell_replayed(hearth *cache, const void *key, size_t key_size);

#endif
