/* SPDX-License-Identifier: Apache-2.0 */
/* The ring against libmemcached itself: for many sets of nodes and keys, the same owner and the
 * same number of points as KETAMA_WEIGHTED there. */
#include "fleet.h"

#include <libmemcached/memcached.h>

#define KEYS_A_FLEET 10000
#define KEYS_MANY    100000
#define KEY_MAX      5000

static unsigned fleets_compared;
static unsigned keys_compared;
static unsigned mismatches;

/* ---- libmemcached's side ---- */

static void add_peer_server(memcached_st *peer, const hearth__ring_member *member) {
    /* An address that begins with a slash and has a port goes in as a server, as applications
     * do that give the path where a host is expected. */
    const memcached_return_t added =
        member->port == 0
            ? memcached_server_add_unix_socket_with_weight(peer, member->host, member->weight)
            : memcached_server_add_with_weight(peer, member->host, member->port,
                                               member->weight);
    assert_int_equal(added, MEMCACHED_SUCCESS);
}

/* The behaviour is set last: until then adding a server does not build its ring anew. */
static memcached_st *open_peer(const fleet *nodes) {
    memcached_st *peer = memcached_create(NULL);
    assert_non_null(peer);
    for (size_t i = 0; i < nodes->count; i++) {
        add_peer_server(peer, &nodes->members[i]);
    }
    assert_int_equal(memcached_behavior_set(peer, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1),
                     MEMCACHED_SUCCESS);
    assert_int_equal(memcached_behavior_set(peer, MEMCACHED_BEHAVIOR_HASH, MEMCACHED_HASH_MD5),
                     MEMCACHED_SUCCESS);
    return peer;
}

/* ---- keys ---- */

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Every third key is bytes of any value and 0 to 63 long; some are up to KEY_MAX long; the rest
 * are text, 8-bit text among it. */
static size_t make_key(unsigned number, uint64_t *seed, char key[KEY_MAX]) {
    if (number % 3 != 0) {
        return (size_t)snprintf(key, KEY_MAX, number % 3 == 1 ? "key:%u" : "caf\xc3\xa9 %u",
                                number);
    }
    const size_t limit = number % 100 == 0 ? KEY_MAX : 64;
    const size_t size = (size_t)(next_random(seed) % limit);
    for (size_t i = 0; i < size; i++) {
        key[i] = (char)(next_random(seed) & 0xff);
    }
    return size;
}

static void compare_keys(const hearth__ring *ring, const memcached_st *peer, unsigned count) {
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    char key[KEY_MAX];
    for (unsigned i = 0; i < count; i++) {
        const size_t size = make_key(i, &seed, key);
        const uint32_t owner = hearth__ring_pick(ring, key, size);
        mismatches += owner != memcached_generate_hash(peer, key, size);
    }
    keys_compared += count;
}

static void compare_fleet(const fleet *nodes, unsigned key_count) {
    hearth__ring *ring = fleet_ring(nodes);
    memcached_st *peer = open_peer(nodes);
    assert_int_equal(hearth__ring_point_count(ring), peer->ketama.continuum_points_counter);
    compare_keys(ring, peer, key_count);
    fleets_compared++;
    memcached_free(peer);
    hearth__ring_destroy(ring);
    assert_int_equal(mismatches, 0);
}

/* ---- fleets ---- */

/* Adds `count` members whose hosts are a number between two texts. Ports go up from `port`, by
 * `port_step`. */
static void fill(fleet *nodes, const char *before, const char *behind, size_t count,
                 unsigned port, unsigned port_step) {
    for (size_t i = 0; i < count; i++) {
        char host[64];
        (void)snprintf(host, sizeof host, "%s%zu%s", before, i, behind);
        fleet_add(nodes, host, (uint16_t)(port + port_step * i), 1);
    }
}

static void compare_and_free(fleet *nodes) {
    compare_fleet(nodes, KEYS_A_FLEET);
    free(nodes);
}

static void equal_nodes_agree(void **state) {
    (void)state;
    static const size_t counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  10, 12, 16, 20, 24,
                                    25, 26, 32, 47, 50, 55, 61, 64, 71, 94, 99, 100};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        compare_and_free(fleet_create(counts[i]));
    }
}

static void a_hundred_thousand_keys_agree(void **state) {
    (void)state;
    fleet *nodes = fleet_create(33);
    nodes->members[7].weight = 3;
    compare_fleet(nodes, KEYS_MANY);
    free(nodes);
}

static void ports_agree(void **state) {
    (void)state;
    static const size_t counts[] = {2, 5, 10, 50, 100};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        fleet *nodes = fleet_create(0);
        fill(nodes, "192.168.1.", "", counts[i], 6379, 0);
        compare_and_free(nodes);
        nodes = fleet_create(0);
        for (size_t node = 0; node < counts[i]; node++) { /* 11211 among the ports */
            fleet_add(nodes, "127.0.0.1", (uint16_t)(11209 + node), 1);
        }
        compare_and_free(nodes);
    }
}

static void weights_agree(void **state) {
    (void)state;
    static const size_t counts[] = {2, 3, 5, 9, 20, 50, 100};
    static const uint32_t ranges[] = {3, 10, 1000, UINT32_MAX};
    uint64_t seed = 12345;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (size_t range = 0; range < sizeof ranges / sizeof ranges[0]; range++) {
            fleet *nodes = fleet_create(counts[i]);
            for (size_t node = 0; node < nodes->count; node++) { /* 0 among them */
                nodes->members[node].weight = (uint32_t)(next_random(&seed) % ranges[range]);
            }
            compare_and_free(nodes);
        }
    }
}

static void uneven_weights_agree(void **state) {
    (void)state;
    static const uint32_t sets[][5] = {
        {600, 300, 200, 350, 1000},
        {1, 1, 1, 1, 1000000},
        {UINT32_MAX, 1, 1, 1, 1},
        {0, 0, 0, 0, 2},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
        {16777217, 16777216, 1, 3, 5},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        fleet *nodes = fleet_create(5);
        for (size_t node = 0; node < 5; node++) {
            nodes->members[node].weight = sets[i][node];
        }
        compare_and_free(nodes);
    }
}

static void unix_sockets_agree(void **state) {
    (void)state;
    static const size_t counts[] = {1, 2, 3, 10, 100};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        fleet *nodes = fleet_create(0);
        fill(nodes, "/run/cache/", ".sock", counts[i], 0, 0);
        nodes->members[0].weight = (uint32_t)i;
        compare_and_free(nodes);
    }
    fleet *nodes = fleet_create(4); /* sockets, paths given as servers, and TCP together */
    fill(nodes, "/run/cache/", ".sock", 4, 0, 0);
    fill(nodes, "/var/cache/", ".sock", 4, 11211, 0);
    compare_and_free(nodes);
}

static void host_names_and_ipv6_agree(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"2001:db8::", ""},        {"fe80::1%eth", ""}, {"::", ""},
        {"cache-", ".eu.example"}, {"Cache", "%s"},     {"_", " "},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        fleet *nodes = fleet_create(0);
        fill(nodes, texts[i][0], texts[i][1], 7 + 5 * i, 11211, (unsigned)(i % 2));
        compare_and_free(nodes);
    }
}

static void long_hosts_agree(void **state) {
    (void)state;
    char host[HEARTH__RING_MAX_HOST + 1] = {0};
    fleet *nodes = fleet_create(1);
    for (size_t i = 1; i <= 8; i++) {
        memset(host, 'a' + (int)i, i * HEARTH__RING_MAX_HOST / 8);
        fleet_add(nodes, host, 65535, 1);
    }
    compare_and_free(nodes);
}

static void duplicates_agree(void **state) {
    (void)state;
    for (size_t times = 2; times <= 5; times++) {
        fleet *nodes = fleet_create(4);
        for (size_t i = 1; i < times; i++) {
            fill(nodes, "10.0.0.", "", 3, 11211, 0);
        }
        nodes->members[2].weight = (uint32_t)times;
        compare_and_free(nodes);
    }
}

static void all_were_compared(void **state) {
    (void)state;
    print_message("%u sets of nodes, %u keys, %u mismatches\n", fleets_compared, keys_compared,
                  mismatches);
    assert_true(fleets_compared >= 40);
    assert_int_equal(keys_compared, (fleets_compared - 1) * KEYS_A_FLEET + KEYS_MANY);
    assert_int_equal(mismatches, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_nodes_agree),
        cmocka_unit_test(a_hundred_thousand_keys_agree),
        cmocka_unit_test(ports_agree),
        cmocka_unit_test(weights_agree),
        cmocka_unit_test(uneven_weights_agree),
        cmocka_unit_test(unix_sockets_agree),
        cmocka_unit_test(host_names_and_ipv6_agree),
        cmocka_unit_test(long_hosts_agree),
        cmocka_unit_test(duplicates_agree),
        cmocka_unit_test(all_were_compared),
    };
    return cmocka_run_group_tests_name("ring and libmemcached", tests, NULL, NULL);
}
