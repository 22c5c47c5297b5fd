/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <stddef.h>
#include <string.h>

/* The value without its lowest `shift` bits has 11 significant ones: 1024 to 2047, and up to
 * there each value has a bucket of its own. */
static unsigned shift_of(uint64_t ns) {
    unsigned bits = 64U - (unsigned)__builtin_clzll(ns | 1);
    return bits > LATENCY_BITS + 1 ? bits - (LATENCY_BITS + 1) : 0;
}

static size_t bucket_of(uint64_t ns) {
    unsigned shift = shift_of(ns);
    return ((size_t)shift << LATENCY_BITS) + (size_t)(ns >> shift);
}

static uint64_t middle_of(size_t bucket) {
    size_t shift = bucket >> LATENCY_BITS;
    shift = shift > 0 ? shift - 1 : 0;
    uint64_t low = (uint64_t)(bucket - (shift << LATENCY_BITS)) << shift;
    return low + (((uint64_t)1 << shift) - 1) / 2;
}

void latency_clear(struct latency *latency) {
    if (latency->count != 0) {
        size_t first = bucket_of(latency->min_ns);
        size_t last = bucket_of(latency->max_ns);
        memset(&latency->buckets[first], 0, (last - first + 1) * sizeof latency->buckets[0]);
    }
    memset(latency, 0, offsetof(struct latency, buckets));
}

static void extend(struct latency *latency, uint64_t min_ns, uint64_t max_ns) {
    latency->min_ns =
        latency->count == 0 || min_ns < latency->min_ns ? min_ns : latency->min_ns;
    latency->max_ns = max_ns > latency->max_ns ? max_ns : latency->max_ns;
}

void latency_record(struct latency *latency, uint64_t ns) {
    extend(latency, ns, ns);
    latency->count++;
    latency->sum_ns += ns;
    latency->buckets[bucket_of(ns)]++;
}

void latency_merge(struct latency *into, const struct latency *from) {
    if (from->count == 0) {
        return;
    }
    extend(into, from->min_ns, from->max_ns);
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    size_t last = bucket_of(from->max_ns);
    for (size_t i = bucket_of(from->min_ns); i <= last; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

static uint64_t clamp(const struct latency *latency, uint64_t ns) {
    ns = ns < latency->min_ns ? latency->min_ns : ns;
    return ns > latency->max_ns ? latency->max_ns : ns;
}

uint64_t latency_percentile(const struct latency *latency, double percent) {
    if (latency->count == 0 || percent <= 0) {
        return latency->count == 0 ? 0 : latency->min_ns;
    }
    /* The rank by the nearest-rank method, 1 to count. */
    double exact = percent / 100 * (double)latency->count;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact;
    if (rank >= latency->count) {
        return latency->max_ns;
    }
    uint64_t seen = 0;
    size_t bucket = bucket_of(latency->min_ns);
    while ((seen += latency->buckets[bucket]) < rank) {
        bucket++;
    }
    return clamp(latency, middle_of(bucket));
}

uint64_t latency_mean(const struct latency *latency) {
    return latency->count == 0 ? 0 : latency->sum_ns / latency->count;
}
