/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/namespace_stats.h"

#include "tier/namespace.h"

#include <string.h>

void hearth__namespace_add(hearth *cache, const void *key, size_t key_size,
                           enum hearth__namespace_counter counter, uint64_t amount) {
    uint32_t family = hearth__namespace_family(cache, key, key_size);
    if (family != 0) {
        hearth__seat_add_family(hearth__seats_own(cache->counters), family, counter, amount);
    }
}

bool hearth__namespace_has(enum hearth__stat stat) {
    static const enum hearth__stat all[] = {
#define STAT(field) HEARTH__STAT_##field,
        HEARTH__NAMESPACE_COUNTERS(STAT)
#undef STAT
            HEARTH__STAT_local_entries,
        HEARTH__STAT_local_bytes};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof all / sizeof *all; i++) {
        found = all[i] == stat;
    }
    return found;
}

void hearth__namespace_stats(hearth *cache, uint32_t family, hearth_stats *stats) {
    hearth__local_usage usage;
    memset(stats, 0, sizeof *stats);
    stats->size = sizeof *stats;
    if (family == 0) {
        return;
    }
#define SUM(field) \
    stats->field = hearth__seats_sum_family(cache->counters, family, HEARTH__NAMESPACE_##field);
    HEARTH__NAMESPACE_COUNTERS(SUM)
#undef SUM
    stats->reads += stats->local_hits; /* a hit counts once, as such */
    hearth__local_family_usage_get(cache->local, family, &usage);
    stats->local_entries = usage.entries;
    stats->local_bytes = usage.bytes;
    stats->local_limit_bytes = usage.limit_bytes;
}

bool hearth__namespaces_any(hearth *cache) {
    pthread_mutex_lock(&cache->namespaces_lock);
    bool any = cache->families != 0;
    pthread_mutex_unlock(&cache->namespaces_lock);
    return any;
}

void hearth__namespaces_stats(hearth *cache,
                              void (*give)(void *arg, const void *name, size_t name_size,
                                           const hearth_stats *stats),
                              void *arg) {
    pthread_mutex_lock(&cache->namespaces_lock);
    const struct hearth__namespace *space = cache->namespaces; /* and those that follow stay */
    pthread_mutex_unlock(&cache->namespaces_lock);
    for (; space != NULL; space = space->next) {
        if (space->family != 0) {
            hearth_stats stats;
            hearth__namespace_stats(cache, space->family, &stats);
            give(arg, space->name, space->name_size, &stats);
        }
    }
}
