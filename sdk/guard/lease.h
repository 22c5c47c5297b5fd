/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: of all processes that miss a key, the one that holds the key's lease loads, and only it may store what it loaded
 * (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1). A lease ends by itself after a while, so that the
 * others wait no longer than that for a process that died; while its holder still loads, it is extended at each third of its time.
 *
 *   create -> (its node grants it) -> hold -> due -> extended -> due -> extended ... -> destroy
 *          -> (it does not) -> destroy
 *
 * State only: the clock is passed in, and who asks nodes is the caller's business. Any thread may call these. A forked child
 * has none of its parent's leases: what it holds of them are words without effect.
 */
#ifndef HEARTH_GUARD_LEASE_H
#define HEARTH_GUARD_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARTH__LEASE_TOKEN = 16 };

typedef struct hearth__leases hearth__leases;

/* A lease of this process. What stands here never changes. */
typedef struct hearth__lease {
    hearth__leases *leases;
    uint32_t node;
    uint64_t generation; /* of the node's connections, from before it was asked for */
    bool beside;         /* it stands beside a value that is to be replaced, not in its place */
    unsigned char token[HEARTH__LEASE_TOKEN]; /* random: no other lease has it */
    size_t key_size;
    const unsigned char *key; /* at the node */
} hearth__lease;

/* Leases that last `ttl_ms`, and are extended for `limit_ms` at the most. `owner` is the caller's. NULL: out of memory. */
hearth__leases *hearth__leases_create(int64_t ttl_ms, int64_t limit_ms, void *owner)
    __attribute__((warn_unused_result));

/* None may be left. NULL is allowed. */
void hearth__leases_destroy(hearth__leases *leases);

void *hearth__leases_owner(const hearth__leases *leases);

/* How many are held. */
uint64_t hearth__leases_held(hearth__leases *leases);

/*
 * A lease to be asked for, at a key that is copied; `before`: a text that goes before it, so that the lease stands beside what is
 * at the key; "": in its place. NULL: out of memory.
 */
hearth__lease *hearth__lease_create(hearth__leases *leases, const char *before, const void *key,
                                    size_t key_size, uint32_t node, uint64_t generation)
    __attribute__((warn_unused_result));

/* It was granted: the node was asked at `now_ms`. True: none was held before. */
bool hearth__lease_hold(hearth__lease *lease, int64_t now_ms);

/* Whether it is this process's, and not a parent's. */
bool hearth__lease_is_own(const hearth__lease *lease);

/* The holder's end, or that of one that was never held. NULL is allowed. */
void hearth__lease_destroy(hearth__lease *lease);

/* ---- extending: for one thread at a time -------------------------------------------------- */

/* The next that is to be extended at `now_ms`, or NULL. It stays, though its holder may destroy it, until extended() gives it back. */
hearth__lease *hearth__leases_due(hearth__leases *leases, int64_t now_ms);

/* The node was asked at `now_ms`. `lost`: the lease is another's, or nobody's. */
void hearth__lease_extended(hearth__lease *lease, bool lost, int64_t now_ms);

/* When the next one is due; INT64_MAX: none is held. */
int64_t hearth__leases_due_ms(hearth__leases *leases);

#endif
