/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted of each namespace apart (base/seats.h: each is a family), beside that of the cache as a whole. Keys are as the tiers
 * have them, and say their namespace; the cache's own are of none.
 */
#ifndef HEARTH_TIER_NAMESPACE_STATS_H
#define HEARTH_TIER_NAMESPACE_STATS_H

#include "tier/cache.h"
#include "tier/namespace_key.h"

/* Fields of hearth_stats. */
#define HEARTH__NAMESPACE_COUNTERS(X) \
    X(reads)                          \
    X(local_hits)                     \
    X(local_stale_hits)               \
    X(remote_hits)                    \
    X(remote_misses)                  \
    X(loads)                          \
    X(load_errors)                    \
    X(load_absents)                   \
    X(load_ms)                        \
    X(stale_served)                   \
    X(writes)

enum hearth__namespace_counter {
#define HEARTH__NAMESPACE_COUNTER(field) HEARTH__NAMESPACE_##field,
    HEARTH__NAMESPACE_COUNTERS(HEARTH__NAMESPACE_COUNTER)
#undef HEARTH__NAMESPACE_COUNTER
        HEARTH__NAMESPACE_COUNTERS_COUNT
};

_Static_assert(HEARTH__NAMESPACE_COUNTERS_COUNT <= (int)HEARTH__FAMILY_COUNTERS,
               "a family has too few counters");

/* The family of a key; 0: of none, or one that is not counted apart. Takes no lock: of hearth__local_config. */
uint32_t hearth__namespace_family(void *cache, const void *key, size_t key_size);

/* Adds to what is counted of a key's namespace. */
void hearth__namespace_add(hearth *cache, const void *key, size_t key_size,
                           enum hearth__namespace_counter counter, uint64_t amount);

/* The same, of any key. */
static inline void hearth__namespace_count(hearth *cache, const void *key, size_t key_size,
                                           enum hearth__namespace_counter counter) {
    if (hearth__key_is_marked(key)) {
        hearth__namespace_add(cache, key, key_size, counter, 1);
    }
}

/* Adds 1 to a counter of the cache, and of the namespace of a key: HEARTH__COUNT_KEY(cache, key, size, writes). */
#define HEARTH__COUNT_KEY(cache, key, key_size, field) \
    (HEARTH__COUNT((cache)->counters, field),          \
     hearth__namespace_count((cache), (key), (key_size), HEARTH__NAMESPACE_##field))

/* Whether a statistic is told of each namespace. */
bool hearth__namespace_has(enum hearth__stat stat);

/* Whether any namespace is counted apart. */
bool hearth__namespaces_any(hearth *cache);

/* Gives each namespace that is counted apart: its name, and its figures. Any thread. */
void hearth__namespaces_stats(hearth *cache,
                              void (*give)(void *arg, const void *name, size_t name_size,
                                           const hearth_stats *stats),
                              void *arg);

/* Those of a family, with what the local tier has of it; all other fields are 0. */
void hearth__namespace_stats(hearth *cache, uint32_t family, hearth_stats *stats);

#endif
