/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of nodes for the ring's tests: members together with the memory of their hosts. */
#ifndef HEARTH_TESTS_RING_FLEET_H
#define HEARTH_TESTS_RING_FLEET_H

#include "ring/ring.h"

#include <hearth/errors.h>
#include <libhashkit-1.0/hashkit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#define FLEET_MAX 128

typedef struct fleet {
    size_t count;
    hearth__ring_member members[FLEET_MAX];
    char hosts[FLEET_MAX][HEARTH__RING_MAX_HOST + 1];
} fleet;

static inline void fleet_add(fleet *nodes, const char *host, uint16_t port, uint32_t weight) {
    assert_true(nodes->count < FLEET_MAX && strlen(host) <= HEARTH__RING_MAX_HOST);
    char *kept = nodes->hosts[nodes->count];
    memcpy(kept, host, strlen(host) + 1);
    nodes->members[nodes->count++] = (hearth__ring_member){kept, port, weight};
}

/* `count` nodes 10.0.0.0, 10.0.0.1 and so on, port 11211, weight 1. */
static inline fleet *fleet_create(size_t count) {
    fleet *nodes = calloc(1, sizeof *nodes);
    assert_non_null(nodes);
    for (size_t i = 0; i < count; i++) {
        char host[32];
        (void)snprintf(host, sizeof host, "10.0.0.%zu", i);
        fleet_add(nodes, host, 11211, 1);
    }
    return nodes;
}

static inline void fleet_remove(fleet *nodes, size_t index) {
    nodes->count--;
    memmove(&nodes->members[index], &nodes->members[index + 1],
            (nodes->count - index) * sizeof nodes->members[0]);
}

static inline hearth__ring *fleet_ring(const fleet *nodes) {
    hearth__ring *ring = NULL;
    assert_int_equal(hearth__ring_create(nodes->members, nodes->count, &ring), HEARTH_OK);
    assert_non_null(ring);
    return ring;
}

static inline uint32_t pick_text(const hearth__ring *ring, const char *key) {
    return hearth__ring_pick(ring, key, strlen(key));
}

static inline uint32_t pick_number(const hearth__ring *ring, unsigned number) {
    char key[32];
    (void)snprintf(key, sizeof key, "key:%u", number);
    return pick_text(ring, key);
}

/* One of the four numbers in the MD5 of these bytes; part 0 is a key's hash. */
static inline uint32_t md5_part(const void *bytes, size_t size, size_t part) {
    unsigned char digest[16];
    libhashkit_md5_signature(bytes, size, digest);
    const unsigned char *at = digest + 4 * part;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

#endif
