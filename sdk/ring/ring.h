/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: which node owns a key. Bit for bit the placement of libmemcached's KETAMA_WEIGHTED
 * (the ketama of Richard Jones' libketama, MD5 for points and keys), so that a fleet that also
 * runs pylibmc, PHP or twemproxy clients finds the same keys on the same nodes.
 *
 * Pure: no I/O, no clock, no state but the ring itself. A ring never changes once made: for new
 * members make a new one, swap the pointer, and destroy the old one when nobody uses it. */
#ifndef HEARTH_RING_RING_H
#define HEARTH_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most members of one ring. */
#define HEARTH__RING_MAX_MEMBERS 4096

/* The longest host in bytes, as in libmemcached. */
#define HEARTH__RING_MAX_HOST 1024

/* Room for every ring name with its NUL: host, colon, five digits. */
#define HEARTH__RING_NAME_BYTES (HEARTH__RING_MAX_HOST + 7)

/* One node, as configured. Placement depends on these bytes, not on what they resolve to:
 * "localhost" and "127.0.0.1" are two different members. */
typedef struct hearth__ring_member {
    /* Host name, IPv4, IPv6 without brackets, or the path of a unix socket. */
    const char *host;
    /* TCP port; 0 for a unix socket. 11211 is left out of the ring name. */
    uint16_t port;
    /* Share of the keys in relation to the other members; 0 counts as 1. */
    uint32_t weight;
} hearth__ring_member;

/* An immutable snapshot of the members' points. */
typedef struct hearth__ring hearth__ring;

/* Makes a ring of `count` members; pick answers with their indices. The members are only read
 * during the call, the ring keeps nothing of them. The caller destroys `*out`, which stays as
 * it was on failure. Takes about 40 us and 2.5 KiB a member. Any thread. HEARTH_OK;
 * HEARTH_E_INVALID: no members, more than HEARTH__RING_MAX_MEMBERS, or a host that is NULL,
 * empty or longer than HEARTH__RING_MAX_HOST; HEARTH_E_NOMEM. */
int32_t hearth__ring_create(const hearth__ring_member *members, size_t count,
                            hearth__ring **out) __attribute__((warn_unused_result));

/* Frees a ring that no thread uses any more; NULL is allowed. */
void hearth__ring_destroy(hearth__ring *ring);

/* The index of the member that owns the key. What is hashed is exactly these bytes, of any
 * value; `key` may be NULL when `key_size` is 0. Cannot fail, does not block or allocate: one
 * MD5 and a look-up in expected constant time. Any thread, many at once. */
uint32_t hearth__ring_pick(const hearth__ring *ring, const void *key, size_t key_size);

/* The same in two steps, for who asks several rings about a key: the first is what costs. */
uint32_t hearth__ring_hash(const void *key, size_t key_size);
uint32_t hearth__ring_pick_hash(const hearth__ring *ring, uint32_t hash);

/* The first step for many keys, in a fraction of the time where they have at most 55 bytes. */
void hearth__ring_hash_many(const void *const *keys, const size_t *key_sizes, size_t count,
                            uint32_t *hashes);

/* Whether one member has them all, so that nothing need be hashed. */
bool hearth__ring_is_one(const hearth__ring *ring);

/* Writes the member's name on the ring with a NUL: `host:port`, or `host` alone when the port
 * is 11211; a unix socket is `/path:0`. `size` is that of `name`, HEARTH__RING_NAME_BYTES
 * always fit. Any thread. HEARTH_OK; HEARTH_E_INVALID: a host as refused by create, or the name
 * does not fit (nothing is written). */
int32_t hearth__ring_name(const hearth__ring_member *member, char *name, size_t size)
    __attribute__((warn_unused_result));

/* How many points the ring has: 160 a member, up to rounding. Any thread. */
size_t hearth__ring_point_count(const hearth__ring *ring);

/* One point of the ring, the `i`-th in the order of (value, member): keys that hash to `value`
 * or less, but more than the point before, belong to `member`. `i` is below the point count.
 * Any thread. */
void hearth__ring_point(const hearth__ring *ring, size_t i, uint32_t *value, uint32_t *member);

#endif
