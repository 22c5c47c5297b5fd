/* SPDX-License-Identifier: Apache-2.0 */
#include "ring/ring.h"

#include "base/memory.h"

#include <hearth/errors.h>
#include <libhashkit-1.0/hashkit.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_PER_GROUP  4   /* one MD5 gives four points */
#define POINTS_PER_MEMBER 160 /* on average */
#define DEFAULT_PORT      11211
#define GROUP_NAME_BYTES  (HEARTH__RING_NAME_BYTES + 11) /* a dash and ten digits more */

typedef struct ring_point {
    uint32_t value;
    uint32_t member;
} ring_point;

/* One block: the points in order, a sentinel behind them, then the starts. The hash space is
 * cut into 2^(32 - shift) equal slots, at least as many as there are points; starts[s] is the
 * first point at or after the beginning of slot s. A hash is then looked up by its top bits and
 * a walk of at most one step on average, whatever the members. */
struct hearth__ring {
    size_t member_count;
    size_t point_count;
    unsigned shift;
    uint32_t *starts;
    ring_point points[];
};

static uint32_t read_le32(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static uint32_t hash_key(const void *key, size_t key_size) {
    unsigned char digest[16];
    libhashkit_md5_signature(key_size != 0 ? key : "", key_size, digest);
    return read_le32(digest);
}

static bool host_is_valid(const char *host) {
    return host != NULL && host[0] != '\0' &&
           strnlen(host, HEARTH__RING_MAX_HOST + 1) <= HEARTH__RING_MAX_HOST;
}

static uint32_t weight_of(const hearth__ring_member *member) {
    return member->weight != 0 ? member->weight : 1;
}

/* The host must be valid, so the name always fits. */
static size_t compose_name(const hearth__ring_member *member,
                           char name[HEARTH__RING_NAME_BYTES]) {
    const int length =
        member->port == DEFAULT_PORT
            ? snprintf(name, HEARTH__RING_NAME_BYTES, "%s", member->host)
            : snprintf(name, HEARTH__RING_NAME_BYTES, "%s:%u", member->host, member->port);
    return (size_t)length;
}

/* The value as a float and no wider. Where the processor calculates in more digits
 * (FLT_EVAL_METHOD 2) or the compiler may contract a product and a sum, an intermediate result
 * can be more exact than a float: then a member would get four points more or less than in
 * libmemcached. A trip through memory rounds on every compiler. */
static float rounded(float value) {
    volatile float stored = value;
    return stored;
}

/* How many groups of four points a member gets: its share of 40 a member, in float arithmetic
 * with libmemcached's order of operations. Even equal weights come out as 39.99.. and so 39
 * groups for some counts (25, 47, 50, ...), and that has to be the same here. A heaviest member
 * has at least 39, so a ring is never without points; a light one may get none. */
static uint32_t count_groups(uint32_t weight, uint64_t total_weight, size_t count) {
    float groups = rounded(rounded((float)weight) / rounded((float)total_weight));
    groups = rounded(groups * (float)POINTS_PER_MEMBER);
    groups = rounded(groups / (float)POINTS_PER_GROUP);
    groups = rounded(groups * (float)count);
    groups = rounded(groups + 1e-10f);
    return (uint32_t)groups;
}

static uint64_t sum_weights(const hearth__ring_member *members, size_t count) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += weight_of(&members[i]);
    }
    return total;
}

static size_t count_points(const hearth__ring_member *members, size_t count) {
    const uint64_t total_weight = sum_weights(members, count);
    size_t points = 0;
    for (size_t i = 0; i < count; i++) {
        points += (size_t)POINTS_PER_GROUP *
                  count_groups(weight_of(&members[i]), total_weight, count);
    }
    return points;
}

/* Writes a member's points, each group being the MD5 of `name-number`; returns the place behind
 * them. */
static ring_point *append_points(const hearth__ring_member *member, uint32_t index,
                                 uint32_t groups, ring_point *next) {
    char name[GROUP_NAME_BYTES];
    const size_t name_size = compose_name(member, name);
    for (uint32_t group = 0; group < groups; group++) {
        unsigned char digest[16];
        const int suffix_size =
            snprintf(name + name_size, sizeof name - name_size, "-%u", group);
        libhashkit_md5_signature((const unsigned char *)name, name_size + (size_t)suffix_size,
                                 digest);
        for (size_t part = 0; part < POINTS_PER_GROUP; part++) {
            *next++ = (ring_point){read_le32(digest + 4 * part), index};
        }
    }
    return next;
}

/* Points of two members may coincide: the lower index owns the keys then, as in libmemcached.
 */
static int compare_points(const void *left, const void *right) {
    const ring_point *a = left;
    const ring_point *b = right;
    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    return (a->member > b->member) - (a->member < b->member);
}

static void fill_points(hearth__ring *ring, const hearth__ring_member *members) {
    const uint64_t total_weight = sum_weights(members, ring->member_count);
    ring_point *next = ring->points;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        const uint32_t groups =
            count_groups(weight_of(&members[i]), total_weight, ring->member_count);
        next = append_points(&members[i], i, groups, next);
    }
    qsort(ring->points, ring->point_count, sizeof ring->points[0], compare_points);
    /* Stops every walk, and wraps what lies beyond the last point to the first. */
    *next = (ring_point){UINT32_MAX, ring->points[0].member};
}

static void fill_starts(hearth__ring *ring) {
    const uint32_t slots = UINT32_C(1) << (32 - ring->shift);
    uint32_t at = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        while (ring->points[at].value < slot << ring->shift) {
            at++;
        }
        ring->starts[slot] = at;
    }
}

/* The shift that leaves at least as many slots as there are points. */
static unsigned choose_shift(size_t point_count) {
    unsigned bits = 1;
    while ((size_t)1 << bits < point_count) {
        bits++;
    }
    return 32 - bits;
}

static bool members_are_valid(const hearth__ring_member *members, size_t count) {
    if (count == 0 || count > HEARTH__RING_MAX_MEMBERS) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!host_is_valid(members[i].host)) {
            return false;
        }
    }
    return true;
}

int32_t hearth__ring_create(const hearth__ring_member *members, size_t count,
                            hearth__ring **out) {
    if (!members_are_valid(members, count)) {
        return HEARTH_E_INVALID;
    }
    const size_t point_count = count_points(members, count);
    const unsigned shift = choose_shift(point_count);
    const size_t points_size = (point_count + 1) * sizeof(ring_point);
    const size_t starts_size = ((size_t)1 << (32 - shift)) * sizeof(uint32_t);
    hearth__ring *ring = hearth__alloc(sizeof *ring + points_size + starts_size);
    if (ring == NULL) {
        return HEARTH_E_NOMEM;
    }
    ring->member_count = count;
    ring->point_count = point_count;
    ring->shift = shift;
    ring->starts = (uint32_t *)(ring->points + point_count + 1);
    fill_points(ring, members);
    fill_starts(ring);
    *out = ring;
    return HEARTH_OK;
}

void hearth__ring_destroy(hearth__ring *ring) {
    hearth__free(ring);
}

bool hearth__ring_is_one(const hearth__ring *ring) {
    return ring->member_count == 1;
}

uint32_t hearth__ring_pick(const hearth__ring *ring, const void *key, size_t key_size) {
    return hearth__ring_is_one(ring) ? 0
                                     : hearth__ring_pick_hash(ring, hash_key(key, key_size));
}

uint32_t hearth__ring_hash(const void *key, size_t key_size) {
    return hash_key(key, key_size);
}

uint32_t hearth__ring_pick_hash(const hearth__ring *ring, uint32_t hash) {
    const ring_point *point = &ring->points[ring->starts[hash >> ring->shift]];
    while (point->value < hash) {
        point++;
    }
    return point->member;
}

int32_t hearth__ring_name(const hearth__ring_member *member, char *name, size_t size) {
    if (!host_is_valid(member->host)) {
        return HEARTH_E_INVALID;
    }
    char whole[HEARTH__RING_NAME_BYTES];
    const size_t length = compose_name(member, whole);
    if (length >= size) {
        return HEARTH_E_INVALID;
    }
    memcpy(name, whole, length + 1);
    return HEARTH_OK;
}

size_t hearth__ring_point_count(const hearth__ring *ring) {
    return ring->point_count;
}

void hearth__ring_point(const hearth__ring *ring, size_t i, uint32_t *value, uint32_t *member) {
    *value = ring->points[i].value;
    *member = ring->points[i].member;
}
