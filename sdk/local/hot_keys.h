/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot keys: which keys are asked for most, and how often.
 *
 * A thread looks at one in about 40 of its requests, at random, and keeps a table of its own of those keys that come again and
 * again: no thread writes what another one writes. Who asks adds up the tables of all threads.
 *
 *   seen     a mark of the last key that fell on each place: who finds his own goes on to the sets; while there is room, all do
 *   set      hashes and counts of eight keys, on two cache lines
 *   count    samples in this window 24 | in the one before 24 | the window's number 16
 *   name     a key's bytes
 *
 * Who goes on takes the place of the least counted key of his set, of c samples, with a chance of 1 in c + 1 (Ben Basat, Chen,
 * Einziger, Friedman, Kassner: Randomized Admission Policy for Efficient Top-k, Frequency, and Volume Estimation). Unlike
 * there he begins with his own samples: what is told of a key was seen of that key.
 *
 * A window is 8.2 s by the clock. What is told is of this one and of the one before, so a key that nobody asks for any more is
 * gone after 16.4 s.
 *
 * Only a table's thread writes it, and others read meanwhile. A hash is 0 while its key is being changed; if it is the same
 * after its name was copied as before, the name is whole.
 */
#ifndef HEARTH_LOCAL_HOT_KEYS_H
#define HEARTH_LOCAL_HOT_KEYS_H

#include "local/shard.h"

enum {
    HEARTH__HOT_INTERVAL = 40, /* one of so many requests is looked at */
    HEARTH__HOT_SEEN_BITS = 10,
    HEARTH__HOT_SETS = 16,
    HEARTH__HOT_WAYS =
        HEARTH__BUCKET_SLOTS, /* so that their hashes are compared all at once, as slots' tags are */
    HEARTH__HOT_WINDOW_BITS = 13, /* of ms */
};

typedef struct hearth__hot_set {
    _Atomic uint64_t hashes[HEARTH__HOT_WAYS]; /* 0: free */
    _Atomic uint64_t counts[HEARTH__HOT_WAYS];
} hearth__hot_set;

typedef struct hearth__hot_name {
    uint64_t size; /* the key's, of which no more is kept than there is room for */
    unsigned char bytes[HEARTH__HOT_KEY_BYTES];
} hearth__hot_name;

/* One thread's. All zero: nothing was looked at. */
typedef struct hearth__hot_table {
    hearth__hot_set sets[HEARTH__HOT_SETS];
    _Atomic uint64_t window; /* of the last sample */
    uint64_t random;
    uint64_t
        at_first_sight; /* so many keys of this window may still take a place that nobody needs */
    uint32_t seen[1 << HEARTH__HOT_SEEN_BITS];
    hearth__hot_name names[HEARTH__HOT_SETS][HEARTH__HOT_WAYS];
} hearth__hot_table;

/* Bits that no other place in the table depends on. */
static inline size_t hearth__hot_set_of(uint64_t hash) {
    return (hash >> 40) % HEARTH__HOT_SETS;
}

/* ---- counts ---- */

#define HEARTH__HOT_NOW_AT    40
#define HEARTH__HOT_BEFORE_AT 16
#define HEARTH__HOT_MASK      ((UINT64_C(1) << 24) - 1)

static inline uint64_t hearth__hot_window(int64_t now_ms) {
    return ((uint64_t)now_ms >> HEARTH__HOT_WINDOW_BITS) + 1; /* 0 is none */
}

static inline uint64_t hearth__hot_now(uint64_t count) {
    return count >> HEARTH__HOT_NOW_AT;
}

static inline uint64_t hearth__hot_before(uint64_t count) {
    return count >> HEARTH__HOT_BEFORE_AT & HEARTH__HOT_MASK;
}

/* A count as it is in `window`, which its own is at most one ahead of. */
uint64_t hearth__hot_carried(uint64_t count, uint64_t window);

/* ---- samples ---- */

/* Whether a request is to be looked at, after which its thread has counted so many hits. */
static inline bool hearth__hot_is_due(const hearth__seat *seat, uint64_t hits) {
    return hits >= seat->due && !seat->shared;
}

/*
 * Looks at a request that is due; the thread has looked at the coarse clock for it. Inside the gate, on the seat's thread. It
 * makes the hash anew: to keep it for here would cost every request more than to do that for one in 40.
 */
void hearth__hot_sample(hearth__local *local, hearth__seat *seat, const void *key,
                        size_t key_size);

#endif
