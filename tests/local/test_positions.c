/* SPDX-License-Identifier: Apache-2.0 */
/* The log by itself: positions only ever grow, so that none comes back, and no entry is given room that another still has. */
#include "local/shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RING_BYTES = 960, LIVE_MAX = 64, APPENDS = 20000 };

struct ring {
    hearth__log log;
    unsigned char bytes[RING_BYTES];
    uint64_t sizes[LIVE_MAX]; /* of entries not yet forgotten, oldest first */
    uint64_t positions[LIVE_MAX];
    size_t oldest;
    size_t count;
};

static void ring_init(struct ring *ring) {
    *ring = (struct ring){.log = {.lap_shift = 7,
                                  .end = RING_BYTES,
                                  .limit = RING_BYTES}}; /* 128 * 8 bytes hold the ring */
    ring->log.space = (hearth__ring_space){.base = ring->bytes, .bytes = RING_BYTES};
}

static uint64_t offset_of(uint64_t position) {
    return (position & ((1 << 7) - 1)) * 8;
}

static void forget(struct ring *ring) {
    assert_true(ring->count > 0);
    assert_true(hearth__log_tail(&ring->log) == ring->positions[ring->oldest]);
    hearth__log_pop(&ring->log, ring->sizes[ring->oldest]);
    ring->oldest = (ring->oldest + 1) % LIVE_MAX;
    ring->count--;
}

/* Whether two of the entries that are kept have a byte in common. */
static bool overlap(const struct ring *ring, uint64_t offset, uint64_t bytes) {
    for (size_t i = 0; i < ring->count; i++) {
        const size_t at = (ring->oldest + i) % LIVE_MAX;
        const uint64_t other = offset_of(ring->positions[at]);
        if (offset < other + ring->sizes[at] && other < offset + bytes) {
            return true;
        }
    }
    return false;
}

static uint64_t keep(struct ring *ring, uint64_t bytes) {
    unsigned char *at = NULL;
    const uint64_t position = hearth__log_append(&ring->log, bytes, &at);
    const uint64_t offset = offset_of(position);
    assert_ptr_equal(at, ring->bytes + offset);
    assert_true(offset + bytes <= RING_BYTES);
    assert_false(overlap(ring, offset, bytes));
    const size_t newest = (ring->oldest + ring->count++) % LIVE_MAX;
    ring->sizes[newest] = bytes;
    ring->positions[newest] = position;
    return position;
}

static void a_position_never_comes_back(void **state) {
    (void)state;
    struct ring ring;
    ring_init(&ring);
    uint64_t last = 0;
    uint32_t random = 5;
    for (int i = 0; i < APPENDS; i++) {
        random = random * 1664525u + 1013904223u;
        const uint64_t bytes = 16 + (random >> 16) % 15 * 8;
        const bool empty = (random >> 8) % 16 == 0;
        while (ring.count == LIVE_MAX || !hearth__log_fits(&ring.log, bytes) ||
               (empty && ring.count > 0)) {
            forget(&ring);
        }
        const uint64_t position = keep(&ring, bytes);
        assert_true(i == 0 || position > last);
        last = position;
        assert_true(ring.log.used <= RING_BYTES);
    }
}

/* ---- a log whose laps begin anywhere ---- */

enum { PLACES = RING_BYTES / 8, POSITIONS = 1 << 20 };

struct moving {
    struct ring ring;
    uint64_t sizes[PLACES]; /* of the entry that begins there */
    bool taken[PLACES];
    bool used[POSITIONS]; /* positions ever given out */
};

static void take(struct moving *moving, uint64_t offset, uint64_t bytes, bool taken) {
    for (uint64_t at = offset / 8; at < (offset + bytes) / 8; at++) {
        assert_true(moving->taken[at] != taken);
        moving->taken[at] = taken;
    }
    moving->sizes[offset / 8] = bytes;
}

static void append(struct moving *moving, uint64_t bytes) {
    unsigned char *at = NULL;
    const uint64_t position = hearth__log_append(&moving->ring.log, bytes, &at);
    const uint64_t offset = offset_of(position);
    assert_true(position < POSITIONS && !moving->used[position]);
    assert_true(offset >= moving->ring.log.begin && offset + bytes <= RING_BYTES);
    moving->used[position] = true;
    take(moving, offset, bytes, true);
}

static void forget_at(struct moving *moving, uint64_t offset,
                      void (*pop)(hearth__log *log, uint64_t bytes)) {
    const uint64_t bytes = moving->sizes[offset / 8];
    take(moving, offset, bytes, false);
    pop(&moving->ring.log, bytes);
}

/* What is below the next lap's beginning belongs to another log: here to nobody. */
static void nor_does_one_where_the_log_goes_up_and_down(void **state) {
    (void)state;
    static struct moving moving;
    hearth__log *log = &moving.ring.log;
    uint32_t random = 9;
    uint32_t below = 0;
    ring_init(&moving.ring);
    for (int i = 0; i < APPENDS; i++) {
        random = random * 1664525u + 1013904223u;
        const uint64_t bytes = 16 + (random >> 16) % 7 * 8;
        log->next_begin = (uint64_t)(random >> 20) % 40 * 8;
        if ((random >> 8) % 8 == 0 && log->turn != 0 && log->begin != log->head) {
            forget_at(&moving, log->begin, hearth__log_pop_begin);
        }
        while (!hearth__log_fits(log, bytes)) {
            forget_at(&moving, offset_of(hearth__log_tail(log)), hearth__log_pop);
        }
        const uint64_t head = log->head;
        const uint64_t lap = log->lap;
        append(&moving, bytes);
        below += log->head == head && log->lap == lap;
    }
    assert_true(below > APPENDS / 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_never_comes_back),
        cmocka_unit_test(nor_does_one_where_the_log_goes_up_and_down),
    };
    return cmocka_run_group_tests_name("positions", tests, NULL, NULL);
}
