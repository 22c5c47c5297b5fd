/* SPDX-License-Identifier: Apache-2.0 */
/* Canaries (coherence/canary.h): what the remote room asks about them, and what came of them, for the statistics. */
#include "tier/canary.h"

#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool begin(void *arg, uint32_t source) {
    const hearth *cache = arg;
    return hearth__listener_begin_canary(cache->listener, source);
}

static void end(void *arg, uint32_t source, bool written) {
    const hearth *cache = arg;
    hearth__listener_end_canary(cache->listener, source, written);
}

static bool is_deaf(void *arg, uint32_t source) {
    const hearth *cache = arg;
    bool deaf = hearth__listener_is_deaf(cache->listener, source);
    if (deaf) {
        HEARTH__COUNT(cache->counters, canaries_unheard);
    }
    return deaf;
}

void hearth__canary_open(hearth__tracker *tracker, bool is_broadcast) {
    (void)snprintf(tracker->canary, sizeof tracker->canary, "%s", HEARTH__CANARY);
    if (is_broadcast) { /* this process's own: it need not hear of all others' */
        (void)snprintf(tracker->canary, sizeof tracker->canary, "%s%016" PRIx64 ":",
                       HEARTH__CANARY, hearth__random_u64());
    }
    tracker->begin_canary = begin;
    tracker->end_canary = end;
    tracker->is_deaf = is_deaf;
}

/* The number behind the name; 0: it is no canary, or nobody's here. */
static uint32_t source_of(const hearth *cache, const char *key, size_t key_size) {
    size_t at = strlen(cache->tracker.canary);
    uint32_t source = 0;
    if (key_size <= at || memcmp(key, cache->tracker.canary, at) != 0) {
        return 0;
    }
    for (; at < key_size; at++) {
        if (key[at] < '0' || key[at] > '9' || source >= HEARTH__SOURCES) {
            return 0;
        }
        source = source * 10 + (uint32_t)(key[at] - '0');
    }
    return source;
}

bool hearth__canary_told(hearth *cache, const void *key, size_t key_size) {
    enum { NS_PER_US = 1000 };
    int64_t took_ns =
        hearth__listener_hear_canary(cache->listener, source_of(cache, key, key_size));
    if (took_ns >= 0) {
        hearth__histogram_add(&cache->canaries, took_ns);
        HEARTH__COUNT(cache->counters, canaries_heard);
        hearth__seats_add(cache->counters, HEARTH__STAT_canary_us,
                          (uint64_t)(took_ns / NS_PER_US));
    }
    return took_ns >= 0;
}
