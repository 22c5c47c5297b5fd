/* SPDX-License-Identifier: Apache-2.0 */
/* The ring against numbers known beforehand, and against what ketama promises: golden vectors,
 * shares, movement of keys when members change, edges of the hash space. */
#include "fleet.h"

#include <pthread.h>

static void point_at(const hearth__ring *ring, size_t i, uint32_t value, uint32_t member) {
    uint32_t found_value = 0;
    uint32_t found_member = UINT32_MAX;
    hearth__ring_point(ring, i, &found_value, &found_member);
    assert_int_equal(found_value, value);
    assert_int_equal(found_member, member);
}

static size_t points_of(const hearth__ring *ring, uint32_t member) {
    size_t own = 0;
    for (size_t i = 0; i < hearth__ring_point_count(ring); i++) {
        uint32_t value = 0;
        uint32_t owner = 0;
        hearth__ring_point(ring, i, &value, &owner);
        own += owner == member;
    }
    return own;
}

static void owners_are(const hearth__ring *ring, const uint32_t *owners, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pick_number(ring, i), owners[i]);
    }
}

/* ---- golden vectors ---- */

static void five_equal_nodes_have_the_golden_points(void **state) {
    (void)state;
    fleet *nodes = fleet_create(5);
    hearth__ring *ring = fleet_ring(nodes);
    assert_int_equal(hearth__ring_point_count(ring), 800);
    point_at(ring, 0, 4635516, 3);
    point_at(ring, 1, 11062586, 3);
    point_at(ring, 2, 18272749, 2);
    point_at(ring, 799, UINT32_C(4288155631), 3);
    hearth__ring_destroy(ring);
    free(nodes);
}

/* The four parts of one MD5 are four points of the node. */
static void one_digest_gives_four_points(void **state) {
    (void)state;
    static const uint32_t parts[] = {0xd6f9e09f, 0x9655d578, 0xda7854ea, 0x22221fad};
    fleet *nodes = fleet_create(5);
    hearth__ring *ring = fleet_ring(nodes);
    for (size_t part = 0; part < 4; part++) {
        size_t found = 0;
        for (size_t i = 0; i < hearth__ring_point_count(ring); i++) {
            uint32_t value = 0;
            uint32_t member = UINT32_MAX;
            hearth__ring_point(ring, i, &value, &member);
            found += value == parts[part] && member == 0;
        }
        assert_int_equal(found, 1);
    }
    hearth__ring_destroy(ring);
    free(nodes);
}

static void five_equal_nodes_own_the_golden_keys(void **state) {
    (void)state;
    static const uint32_t owners[] = {2, 2, 1, 0, 2, 4, 0, 0, 4, 0,
                                      0, 2, 0, 2, 3, 2, 3, 1, 4, 2};
    static const unsigned char golden[16] = {0x75, 0x9e, 0x08, 0x2d, 0x46, 0xe8, 0xdb, 0x89,
                                             0x69, 0x77, 0x0e, 0xdb, 0xdb, 0xe6, 0xe5, 0x0f};
    fleet *nodes = fleet_create(5);
    hearth__ring *ring = fleet_ring(nodes);
    owners_are(ring, owners, 20);
    static unsigned char digits[100000];
    for (unsigned i = 0; i < sizeof digits; i++) {
        digits[i] = (unsigned char)('0' + pick_number(ring, i));
    }
    unsigned char digest[16];
    libhashkit_md5_signature(digits, sizeof digits, digest);
    assert_memory_equal(digest, golden, sizeof golden);
    hearth__ring_destroy(ring);
    free(nodes);
}

static void five_weighted_nodes_own_the_golden_keys(void **state) {
    (void)state;
    static const uint32_t weights[] = {600, 300, 200, 350, 1000};
    static const uint32_t owners[] = {0, 4, 4, 2, 3, 3, 4, 4, 1, 4,
                                      4, 2, 0, 1, 4, 4, 4, 4, 1, 4};
    fleet *nodes = fleet_create(5);
    for (size_t i = 0; i < 5; i++) {
        nodes->members[i].port = (uint16_t)(11211 + i);
        nodes->members[i].weight = weights[i];
    }
    hearth__ring *ring = fleet_ring(nodes);
    assert_int_equal(hearth__ring_point_count(ring), 788);
    owners_are(ring, owners, 20);
    hearth__ring_destroy(ring);
    free(nodes);
}

/* ---- how many points ---- */

static size_t points_each(size_t count) {
    static const size_t short_counts[] = {25, 47, 50, 55, 61, 71, 94, 100, 107};
    for (size_t i = 0; i < sizeof short_counts / sizeof short_counts[0]; i++) {
        if (short_counts[i] == count) {
            return 156;
        }
    }
    return 160;
}

/* Float arithmetic rounds an equal share down in some sizes of a fleet; other clients do too.
 */
static void equal_nodes_lose_a_group_where_floats_round_down(void **state) {
    (void)state;
    for (size_t count = 1; count <= 107; count++) {
        fleet *nodes = fleet_create(count);
        hearth__ring *ring = fleet_ring(nodes);
        assert_int_equal(hearth__ring_point_count(ring), count * points_each(count));
        assert_int_equal(points_of(ring, (uint32_t)count - 1), points_each(count));
        hearth__ring_destroy(ring);
        free(nodes);
    }
}

static void a_weight_of_zero_counts_as_one(void **state) {
    (void)state;
    fleet *nodes = fleet_create(3);
    nodes->members[0].weight = 0;
    nodes->members[2].weight = 2;
    hearth__ring *ring = fleet_ring(nodes);
    assert_int_equal(points_of(ring, 0), 120);
    assert_int_equal(points_of(ring, 1), 120);
    assert_int_equal(points_of(ring, 2), 240);
    hearth__ring_destroy(ring);
    free(nodes);
}

static void a_node_too_light_for_a_point_owns_nothing(void **state) {
    (void)state;
    fleet *nodes = fleet_create(2);
    nodes->members[1].weight = 1000;
    hearth__ring *ring = fleet_ring(nodes);
    assert_int_equal(points_of(ring, 0), 0);
    assert_int_equal(points_of(ring, 1), 316);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(pick_number(ring, i), 1);
    }
    hearth__ring_destroy(ring);
    free(nodes);
}

/* Weights as large as they can be, and as many members as there may be: still points for all.
 */
static void the_largest_fleet_has_points_for_every_node(void **state) {
    (void)state;
    hearth__ring_member *members = calloc(HEARTH__RING_MAX_MEMBERS + 1, sizeof *members);
    assert_non_null(members);
    for (size_t i = 0; i <= HEARTH__RING_MAX_MEMBERS; i++) {
        members[i] = (hearth__ring_member){"cache.example", (uint16_t)(20000 + i), UINT32_MAX};
    }
    hearth__ring *ring = NULL;
    assert_int_equal(hearth__ring_create(members, HEARTH__RING_MAX_MEMBERS, &ring), HEARTH_OK);
    assert_int_equal(hearth__ring_point_count(ring), HEARTH__RING_MAX_MEMBERS * 160);
    hearth__ring *more = NULL;
    assert_int_equal(hearth__ring_create(members, HEARTH__RING_MAX_MEMBERS + 1, &more),
                     HEARTH_E_INVALID);
    hearth__ring_destroy(ring);
    free(members);
}

/* ---- who owns a key ---- */

/* The first point at or after the hash, or else the first of all. */
static uint32_t owner_by_search(const hearth__ring *ring, uint32_t hash) {
    uint32_t value = 0;
    uint32_t member = 0;
    for (size_t i = 0; i < hearth__ring_point_count(ring); i++) {
        hearth__ring_point(ring, i, &value, &member);
        if (value >= hash) {
            return member;
        }
    }
    hearth__ring_point(ring, 0, &value, &member);
    return member;
}

static void keys_of_no_and_of_one_byte_have_owners(void **state) {
    (void)state;
    fleet *nodes = fleet_create(20);
    hearth__ring *ring = fleet_ring(nodes);
    const uint32_t empty = owner_by_search(ring, 0xd98c1dd4); /* MD5 of nothing */
    assert_int_equal(hearth__ring_pick(ring, NULL, 0), empty);
    assert_int_equal(hearth__ring_pick(ring, "unread", 0), empty);
    for (unsigned byte = 0; byte < 256; byte++) {
        const unsigned char key = (unsigned char)byte;
        assert_int_equal(hearth__ring_pick(ring, &key, 1),
                         owner_by_search(ring, md5_part(&key, 1, 0)));
    }
    hearth__ring_destroy(ring);
    free(nodes);
}

/* Bytes behind a NUL count, and so does each byte of a long key. */
static void every_byte_of_a_key_counts(void **state) {
    (void)state;
    static char key[100000];
    fleet *nodes = fleet_create(100);
    hearth__ring *ring = fleet_ring(nodes);
    uint32_t seen = 0;
    for (unsigned i = 0; i < 64; i++) {
        key[sizeof key - 1] = (char)i;
        const uint32_t owner = hearth__ring_pick(ring, key, sizeof key);
        assert_int_equal(owner, owner_by_search(ring, md5_part(key, sizeof key, 0)));
        seen += owner != hearth__ring_pick(ring, key, sizeof key - 1);
    }
    assert_true(seen > 48);
    hearth__ring_destroy(ring);
    free(nodes);
}

static void a_hash_beyond_the_last_point_wraps_to_the_first(void **state) {
    (void)state;
    fleet *nodes = fleet_create(3);
    hearth__ring *ring = fleet_ring(nodes);
    uint32_t first = 0;
    uint32_t last = 0;
    uint32_t first_owner = 0;
    uint32_t last_owner = 0;
    hearth__ring_point(ring, 0, &first, &first_owner);
    hearth__ring_point(ring, hearth__ring_point_count(ring) - 1, &last, &last_owner);
    assert_int_not_equal(first_owner, last_owner);
    unsigned wrapped = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char key[32];
        const int size = snprintf(key, sizeof key, "key:%u", i);
        if (md5_part(key, (size_t)size, 0) > last) {
            assert_int_equal(pick_number(ring, i), first_owner);
            wrapped++;
        }
    }
    assert_true(wrapped > 10);
    hearth__ring_destroy(ring);
    free(nodes);
}

/* A key that is a group's name hashes to the very value of a point: that point owns it. */
static void a_hash_on_a_point_belongs_to_that_point(void **state) {
    (void)state;
    fleet *nodes = fleet_create(20);
    hearth__ring *ring = fleet_ring(nodes);
    for (unsigned node = 0; node < 20; node++) {
        for (unsigned group = 0; group < 40; group++) {
            char key[32];
            (void)snprintf(key, sizeof key, "10.0.0.%u-%u", node, group);
            assert_int_equal(pick_text(ring, key), node);
        }
    }
    hearth__ring_destroy(ring);
    free(nodes);
}

static void a_single_node_owns_everything(void **state) {
    (void)state;
    fleet *nodes = fleet_create(1);
    hearth__ring *ring = fleet_ring(nodes);
    assert_int_equal(hearth__ring_pick(ring, NULL, 0), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(pick_number(ring, i), 0);
    }
    hearth__ring_destroy(ring);
    free(nodes);
}

/* Every point of a twin coincides with its brother's; the lower index owns all of them. */
static void of_two_equal_members_the_first_owns_the_keys(void **state) {
    (void)state;
    fleet *nodes = fleet_create(3);
    hearth__ring *alone = fleet_ring(nodes);
    fleet_add(nodes, "10.0.0.1", 11211, 1);
    hearth__ring *ring = fleet_ring(nodes);
    assert_int_equal(points_of(ring, 3), 160);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(pick_number(ring, i), pick_number(alone, i));
    }
    hearth__ring_destroy(alone);
    hearth__ring_destroy(ring);
    free(nodes);
}

struct reader {
    const hearth__ring *ring;
    uint64_t sum;
};

static void *read_ring(void *arg) {
    struct reader *reader = arg;
    for (unsigned i = 0; i < 10000; i++) {
        reader->sum = reader->sum * 31 + pick_number(reader->ring, i);
    }
    return NULL;
}

static void many_threads_read_one_ring(void **state) {
    (void)state;
    fleet *nodes = fleet_create(20);
    hearth__ring *ring = fleet_ring(nodes);
    struct reader readers[5];
    pthread_t threads[4];
    for (size_t i = 0; i < 5; i++) {
        readers[i] = (struct reader){ring, 0};
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_ring, &readers[i]), 0);
    }
    (void)read_ring(&readers[4]);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(readers[i].sum == readers[4].sum);
    }
    hearth__ring_destroy(ring);
    free(nodes);
}

/* Whatever their lengths, and however many there are: as one by one. */
static void many_keys_hash_as_each_does(void **state) {
    (void)state;
    enum { KEYS = 300 };
    unsigned char bytes[KEYS];
    const void *keys[KEYS];
    size_t sizes[KEYS];
    uint32_t hashes[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        bytes[i] = (unsigned char)(i * 151 + 7);
        sizes[i] = i % 130; /* one block, two, three; and none at all */
        keys[i] = sizes[i] != 0 ? bytes + (i * 11) % (KEYS - 130) : NULL;
    }
    for (size_t count = 0; count < KEYS; count = count < 20 ? count + 1 : count + 93) {
        hearth__ring_hash_many(keys, sizes, count, hashes);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(hashes[i], hearth__ring_hash(keys[i], sizes[i]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_equal_nodes_have_the_golden_points),
        cmocka_unit_test(one_digest_gives_four_points),
        cmocka_unit_test(five_equal_nodes_own_the_golden_keys),
        cmocka_unit_test(many_keys_hash_as_each_does),
        cmocka_unit_test(five_weighted_nodes_own_the_golden_keys),
        cmocka_unit_test(equal_nodes_lose_a_group_where_floats_round_down),
        cmocka_unit_test(a_weight_of_zero_counts_as_one),
        cmocka_unit_test(a_node_too_light_for_a_point_owns_nothing),
        cmocka_unit_test(the_largest_fleet_has_points_for_every_node),
        cmocka_unit_test(keys_of_no_and_of_one_byte_have_owners),
        cmocka_unit_test(every_byte_of_a_key_counts),
        cmocka_unit_test(a_hash_beyond_the_last_point_wraps_to_the_first),
        cmocka_unit_test(a_hash_on_a_point_belongs_to_that_point),
        cmocka_unit_test(a_single_node_owns_everything),
        cmocka_unit_test(of_two_equal_members_the_first_owns_the_keys),
        cmocka_unit_test(many_threads_read_one_ring),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
