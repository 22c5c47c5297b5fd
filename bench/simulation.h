/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays requests against a policy of the local tier, without the tier: the policy's own code over two queues of objects, as
 * the tier asks it over two logs of entries. A miss inserts; the cache starts empty.
 *
 * What the tier has and a simulation has not: shards, threads, headers, an index that can be full, and a border between the
 * logs that follows the policy a little later.
 */
#ifndef HEARTH_BENCH_SIMULATION_H
#define HEARTH_BENCH_SIMULATION_H

#include "requests.h"

#include "local/policy.h"

/* How large the cache is. */
struct simulation_size {
    uint64_t capacity; /* objects, or bytes */
    bool in_bytes; /* then requests->sizes counts, and an object larger than a 64th goes past */
};

struct simulation_outcome {
    uint64_t misses;
    uint64_t moves; /* of objects that stayed when they came to the end of a queue */
};

/* 0; -1: no memory. Any thread. */
int simulate(const hearth__policy *policy, const struct requests *requests,
             const struct simulation_size *size, struct simulation_outcome *outcome)
    __attribute__((warn_unused_result));

#endif
