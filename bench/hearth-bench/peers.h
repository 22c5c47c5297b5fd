/* SPDX-License-Identifier: Apache-2.0 */
/* Who hearth's local tier is compared with: what a programmer would write instead, and what the
 * machine itself does. Each is a party_run with its own struct as `arg`. */
#ifndef HEARTH_BENCH_PEERS_H
#define HEARTH_BENCH_PEERS_H

#include "hearth-bench/workload.h"

/* ---- uthash: a plain hash table, for one thread, unbounded -------------------------------- */

/* Nodes of handle, 24 bytes of key and 100 of value, each from malloc, inserted in random
 * order. */
struct uthash_peer;

enum uthash_hash {
    UTHASH_DEFAULT, /* Jenkins' hash, as HASH_FIND uses it */
    UTHASH_XXH3,
};

/* Holds the keys 0 to count - 1. `order` is what uthash_get asks for; it stays the caller's.
 * NULL: no memory. */
struct uthash_peer *uthash_create(uint32_t count, enum uthash_hash hash,
                                  const struct order *order, uint64_t seed);

void uthash_destroy(struct uthash_peer *peer);

/* Finds each key and copies its value out. */
party_run uthash_get;

/* ---- sharded-lru: the usual cache for several threads ------------------------------------- */

/* 64 shards by hash, each with a mutex, an uthash table and a utlist in order of use: a hit moves
 * to the front, and copies the value, under the mutex. */
struct sharded_lru;

/* Bounded to `capacity` entries, spread over the shards. NULL: no memory. */
struct sharded_lru *sharded_create(uint32_t capacity, const struct order *order);

void sharded_destroy(struct sharded_lru *lru);

/* Sets a key; the shard's least recently used entry goes when it is full. 0, or -1: no memory. */
int sharded_put(struct sharded_lru *lru, uint32_t id);

/* Gets a key, if it is there: whether it was. */
bool sharded_find(struct sharded_lru *lru, uint32_t id, void *value);

/* Bytes it has from the heap, the heap's own included. */
size_t sharded_bytes(struct sharded_lru *lru);

size_t sharded_entries(struct sharded_lru *lru);

party_run sharded_get;
party_run sharded_set;
party_run sharded_mixed; /* a set where the request says so, else a get */

/* ---- the machine -------------------------------------------------------------------------- */

struct machine;

enum machine_pages {
    PAGES_PLAIN, /* as malloc gives them */
    PAGES_HUGE,  /* where the kernel has them: fewer misses of address translation */
};

/* An array of `bytes`, all of them written, in pieces of `piece` bytes. `order` may be NULL; it
 * is what machine_memcpy follows. NULL: no memory. */
struct machine *machine_create(size_t bytes, size_t piece, enum machine_pages pages,
                               const struct order *order);

void machine_destroy(struct machine *machine);

party_run machine_alu;         /* some 16 multiplications in registers */
party_run machine_random_read; /* one word at a random place of the array */
party_run machine_memcpy; /* the piece that the order says, to a place of the thread's own */

#endif
