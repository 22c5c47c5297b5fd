/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys do not exist: a Bloom filter in the life of a cache. It grows, is filled anew, and denies only while it is
 * certified: while everything that exists is known to be in it. State only: keys come as hashes, files as blocks.
 *
 *   add      into the filter, and into the next one while there is one, before the key comes to exist
 *   ask      denied only by a certified filter
 *   begin    makes the next filter; when it returns, every add that comes goes into both
 *   give     a key that existed before
 *   publish  the next filter is the filter, certified, whole; the old one is freed when nobody holds it any more
 *
 * A filter that is shared is a copy of another one, and denies only until the time by which it is to be confirmed again.
 */
#ifndef HEARTH_GUARD_BLOOM_GUARD_H
#define HEARTH_GUARD_BLOOM_GUARD_H

#include "guard/bloom.h"

typedef struct hearth__bloom_guard hearth__bloom_guard;

typedef struct hearth__bloom_guard_config {
    double expected_keys;
    double target_rate;
    uint64_t audit;   /* one denial in so many is to be checked; 0: none */
    size_t max_bytes; /* of the filter and the next one together */
} hearth__bloom_guard_config;

/* HEARTH_OK; HEARTH_E_TOO_LARGE: the filter does not fit into its limit; HEARTH_E_NOMEM. */
int32_t hearth__bloom_guard_create(const hearth__bloom_guard_config *config,
                                   hearth__bloom_guard **guard);
/* Nobody may use it any more. NULL is allowed. */
void hearth__bloom_guard_destroy(hearth__bloom_guard *guard);

/* What an add found out. */
typedef struct hearth__bloom_added {
    bool was_denied;   /* the filter was certified, and did not contain it */
    bool has_outgrown; /* by this, the rate has passed twice its target */
} hearth__bloom_added;

/* Any thread; takes no lock. */
hearth__bloom_added hearth__bloom_guard_add(hearth__bloom_guard *guard, uint64_t hash);

enum hearth__bloom_answer {
    HEARTH__BLOOM_MAYBE,
    HEARTH__BLOOM_DENIED,
    HEARTH__BLOOM_AUDITED, /* denied too, and the one of which it is to be checked whether that is right */
};

/* Any thread; waits for nobody. */
enum hearth__bloom_answer hearth__bloom_guard_ask(hearth__bloom_guard *guard, uint64_t hash);

/* A key exists that was denied: nothing is denied any more until the next filter is published. True: it was certified. */
bool hearth__bloom_guard_disable(hearth__bloom_guard *guard);

/* ---- a shared filter -------------------------------------------------------------------- */

/* Denies nothing any more from that time on (hearth__boot_ms()), which is INT64_MAX at first. A thread at a time. */
void hearth__bloom_guard_confirm(hearth__bloom_guard *guard, int64_t until_ms);

/* A key of the shared filter: into the copy. Into a next one it comes from there. Only who replaces filters calls this. */
void hearth__bloom_guard_insert(hearth__bloom_guard *guard, uint64_t hash);

/* Whether the filter contains it, certified or not. */
bool hearth__bloom_guard_contains(hearth__bloom_guard *guard, uint64_t hash);

/* Whether it would be denied now. */
bool hearth__bloom_guard_would_deny(hearth__bloom_guard *guard, uint64_t hash);

/* ---- another filter --------------------------------------------------------------------- */

/*
 * Begins a filter for all keys, large enough for those expected and those that there are. HEARTH_OK; HEARTH_E_OVERLOAD: one is
 * under way; HEARTH_E_NOMEM; HEARTH_E_TOO_LARGE. One thread has what was begun, and publishes or abandons it.
 */
int32_t hearth__bloom_guard_begin(hearth__bloom_guard *guard);

/* The same with a size that is given, and for all that the filter has now: what is added to it comes on top. */
int32_t hearth__bloom_guard_begin_copy(hearth__bloom_guard *guard, uint64_t blocks);

/* The same, and empty: for a copy of a shared filter. */
int32_t hearth__bloom_guard_begin_empty(hearth__bloom_guard *guard, uint64_t blocks);

/* The filter that was begun. */
hearth__bloom *hearth__bloom_guard_next(hearth__bloom_guard *guard);

/* The next generation, or `generation` if that is later. True: the rate is over twice its target already. */
bool hearth__bloom_guard_publish(hearth__bloom_guard *guard, uint64_t generation);
void hearth__bloom_guard_abandon(hearth__bloom_guard *guard);

/*
 * Takes the filter for a while in which no other is begun, to copy it out. HEARTH_OK; HEARTH_CONFLICT: it is not certified;
 * HEARTH_E_OVERLOAD.
 */
int32_t hearth__bloom_guard_hold(hearth__bloom_guard *guard, const hearth__bloom **filter);
void hearth__bloom_guard_release(hearth__bloom_guard *guard);

/* ---- insight ---------------------------------------------------------------------------- */

typedef struct hearth__bloom_guard_state {
    hearth__bloom_estimate estimate;
    uint64_t
        generation; /* how many filters were published, in this process or in the one whose file was loaded */
    uint64_t bytes; /* of the filter and the next one */
    bool certified;
    bool outgrown; /* the rate is over twice its target */
} hearth__bloom_guard_state;

/* Any thread. It reads a few thousand cache lines. */
hearth__bloom_guard_state hearth__bloom_guard_look(hearth__bloom_guard *guard);

/* Whether a false negative was proven, and no filter published since. */
bool hearth__bloom_guard_is_disabled(const hearth__bloom_guard *guard);

uint64_t hearth__bloom_guard_generation(const hearth__bloom_guard *guard);

#endif
