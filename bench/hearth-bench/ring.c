/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `ring`: which node owns a key, beside libmemcached, which places keys alike. */
#include "hearth-bench/workload.h"

#include "ring/ring.h"

#include <hearth/errors.h>

#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NODES_MOST = 100,
    KEYS = 100000,
    REQUESTS = 1 << 16,
};

struct rings {
    struct order order;
    hearth__ring *ours;
    memcached_st *theirs;
};

static void rings_close(struct rings *rings) {
    hearth__ring_destroy(rings->ours);
    if (rings->theirs != NULL) {
        memcached_free(rings->theirs);
    }
    order_destroy(&rings->order);
}

static int rings_open(struct rings *rings, const struct bench *bench, uint32_t nodes) {
    char hosts[NODES_MOST][16];
    hearth__ring_member members[NODES_MOST];
    *rings = (struct rings){.theirs = memcached_create(NULL)};
    if (rings->theirs == NULL ||
        order_create_uniform(&rings->order, KEYS, REQUESTS, bench->seed) != 0) {
        return bench_fail(bench, "no memory");
    }
    int failed = memcached_success(memcached_behavior_set(
                     rings->theirs, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1))
                     ? 0
                     : -1;
    for (uint32_t i = 0; failed == 0 && i < nodes; i++) {
        (void)snprintf(hosts[i], sizeof hosts[i], "10.0.0.%u", i);
        members[i] = (hearth__ring_member){.host = hosts[i], .port = 11211, .weight = 1};
        failed =
            memcached_success(memcached_server_add(rings->theirs, hosts[i], 11211)) ? 0 : -1;
    }
    if (failed != 0 || hearth__ring_create(members, nodes, &rings->ours) != HEARTH_OK) {
        return bench_fail(bench, "no ring of %u nodes", nodes);
    }
    return 0;
}

static uint64_t pick_ours(void *arg, unsigned thread, size_t from, size_t count) {
    const struct rings *rings = arg;
    const struct request *requests = order_requests(&rings->order, thread, from);
    uint32_t picked = 0;
    for (size_t i = 0; i < count; i++) {
        picked += hearth__ring_pick(rings->ours, requests[i].key, KEY_SIZE);
    }
    __asm__ volatile("" : : "r"(picked)); /* somebody uses it */
    return 0;
}

static uint64_t pick_theirs(void *arg, unsigned thread, size_t from, size_t count) {
    const struct rings *rings = arg;
    const struct request *requests = order_requests(&rings->order, thread, from);
    uint32_t picked = 0;
    for (size_t i = 0; i < count; i++) {
        picked += memcached_generate_hash(rings->theirs, requests[i].key, KEY_SIZE);
    }
    __asm__ volatile("" : : "r"(picked));
    return 0;
}

/* Only who gives the same answers does the same work. */
static int same_answers(const struct rings *rings, const struct bench *bench) {
    for (size_t i = 0; i < REQUESTS; i++) {
        const char *key = rings->order.requests[i].key;
        if (hearth__ring_pick(rings->ours, key, KEY_SIZE) !=
            memcached_generate_hash(rings->theirs, key, KEY_SIZE)) {
            return bench_fail(bench, "libmemcached picks another node for %.*s", KEY_SIZE, key);
        }
    }
    return 0;
}

static int pick(struct bench *bench, uint32_t nodes) {
    struct rings rings;
    int result = rings_open(&rings, bench, nodes);
    if (result == 0) {
        result = same_answers(&rings, bench);
    }
    struct party parties[] = {
        {.run = pick_ours, .arg = &rings, .threads = 1, .places = REQUESTS},
        {.run = pick_theirs, .arg = &rings, .threads = 1, .places = REQUESTS},
    };
    if (result == 0) {
        result = crew_contest(bench, parties, 2);
    }
    if (result == 0) {
        bench_row(bench, "throughput", "Mops/s", party_throughput(bench, &parties[0]),
                  "libmemcached", party_throughput(bench, &parties[1]));
    }
    rings_close(&rings);
    return result;
}

static int pick_3n(struct bench *bench, void *stage) {
    (void)stage;
    return pick(bench, 3);
}

static int pick_20n(struct bench *bench, void *stage) {
    (void)stage;
    return pick(bench, 20);
}

static int pick_100n(struct bench *bench, void *stage) {
    (void)stage;
    return pick(bench, 100);
}

static const struct bench_case cases[] = {
    {"pick-3n-1t", "the node of a key among 3", pick_3n},
    {"pick-20n-1t", "among 20", pick_20n},
    {"pick-100n-1t", "among 100", pick_100n},
};

const struct suite suite_ring = {
    .name = "ring",
    .what = "the ring: key to node, beside memcached_generate_hash with KETAMA_WEIGHTED",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
};
