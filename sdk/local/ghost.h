/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ghosts: hashes of what was evicted not long ago. A set-associative table of 32-bit records, a fingerprint and the time of
 * eviction, where time is bytes evicted. No list and no delete: a record is over when enough bytes were evicted after it.
 */
#ifndef HEARTH_LOCAL_GHOST_H
#define HEARTH_LOCAL_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__ghosts {
    uint64_t evicted_bytes; /* since the beginning */
    uint64_t tick_bytes;    /* evicted bytes that make one tick of the records' clock */
    uint32_t life_ticks;
    uint32_t sets;
    uint32_t records[]; /* sets of 8: fingerprint 16, tick 15, used 1 */
} hearth__ghosts;

/* Bytes of a table for about `entries` ghosts. */
size_t hearth__ghosts_bytes(uint64_t entries);

/* Makes a table of `memory` zeroed bytes whose ghosts live while `life_bytes` are evicted after them. */
void hearth__ghosts_init(hearth__ghosts *ghosts, size_t memory, uint64_t life_bytes);

/* Something of `bytes` was evicted. */
void hearth__ghosts_add(hearth__ghosts *ghosts, uint64_t hash, uint64_t bytes);

/* Whether the key was evicted not long ago; its ghost is taken. */
bool hearth__ghosts_take(hearth__ghosts *ghosts, uint64_t hash);

#endif
