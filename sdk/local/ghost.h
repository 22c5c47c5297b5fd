/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ghosts: hashes of what was evicted not long ago. A set-associative table of 16-bit records: a fingerprint, the log that the
 * entry was evicted from, and roughly when. Time is bytes evicted from that log. No list and no delete: a record is over when
 * enough bytes were evicted after it. Some 3 % of the answers are about another key: a policy has to live with that.
 *
 * The record of a key that comes back stays, so that it is known the next time that this was not the first.
 */
#ifndef HEARTH_LOCAL_GHOST_H
#define HEARTH_LOCAL_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARTH__GHOST_LOGS = 2 };

typedef struct hearth__ghosts {
    uint64_t evicted_bytes[HEARTH__GHOST_LOGS]; /* since the last tick */
    uint64_t now[HEARTH__GHOST_LOGS];           /* the log's records' clock */

    /* From here on, nothing but the records changes. */
    uint64_t tick_bytes[HEARTH__GHOST_LOGS]; /* that, evicted from a log, make one tick */
    uint64_t sets;
    uint16_t tick_at;                /* the bits of a record below are flags */
    _Alignas(16) uint16_t records[]; /* sets of 8; none is on two cache lines */
} hearth__ghosts;

/* What is known of a key that is not in the tier. */
typedef struct hearth__ghost {
    bool found;
    unsigned log; /* evicted from this one, 0 or 1, */
    uint64_t
        evicted_bytes; /* and so much was evicted from there since, to a tenth of its life */
    bool returned;     /* when it was new the last time, it had a ghost too */
} hearth__ghost;

/* Bytes of a table for about `entries` ghosts. */
size_t hearth__ghosts_bytes(uint64_t entries);

/* Makes a table of `memory` zeroed bytes. A ghost lives while `life_bytes` of its log are evicted after it. */
void hearth__ghosts_init(hearth__ghosts *ghosts, size_t memory,
                         const uint64_t life_bytes[HEARTH__GHOST_LOGS]);

/* The same for one log, 0, without what `returned` tells: fewer answers, 0.4 %, are about another key. */
void hearth__ghosts_init_plain(hearth__ghosts *ghosts, size_t memory, uint64_t life_bytes);

/* Something of `bytes` was evicted from a log. */
void hearth__ghosts_add(hearth__ghosts *ghosts, unsigned log, uint64_t hash, uint64_t bytes);

/* The key's ghost, if it was evicted not long ago; it is taken. */
hearth__ghost hearth__ghosts_take(hearth__ghosts *ghosts, uint64_t hash);

/* Asks for the memory that either of these needs. */
void hearth__ghosts_ahead(const hearth__ghosts *ghosts, uint64_t hash);

#endif
