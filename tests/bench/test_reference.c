/* SPDX-License-Identifier: Apache-2.0 */
/* The textbook caches on sequences small enough to be played by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reference.h"

enum { A, B, C, D, E };

#define COUNT_OF(items)         (sizeof(items) / sizeof(items)[0])
#define LRU(items, capacity)    reference_lru_misses(items, COUNT_OF(items), 5, capacity)
#define FIFO(items, capacity)   reference_fifo_misses(items, COUNT_OF(items), 5, capacity)
#define BELADY(items, capacity) reference_belady_misses(items, COUNT_OF(items), 5, capacity)

/* Two places. A hit renews for LRU only:
 *   LRU:    A* B* A  C*(B out) A  B*(C out) A  C*(B out) : 5 misses
 *   FIFO:   A* B* A  C*(A out) A*(B out) B*(C out) A  C*(A out) : 6
 *   Belady: A* B* A  C*(B out: next at 6, A at 5) A  B*(C out) A  C* : 5 */
static void a_hit_renews_for_lru_only(void **state) {
    (void)state;
    static const uint32_t items[] = {A, B, A, C, A, B, A, C};
    assert_int_equal(LRU(items, 2), 5);
    assert_int_equal(FIFO(items, 2), 6);
    assert_int_equal(BELADY(items, 2), 5);
}

/* A loop of three over two places, eight requests: LRU and FIFO never hit. Belady:
 *   A* B* C*(B out: A comes first) A  B*(A out: C comes first) C  A*(C out) B : 5 misses. */
static void a_loop_that_does_not_fit_defeats_recency(void **state) {
    (void)state;
    static const uint32_t items[] = {A, B, C, A, B, C, A, B};
    assert_int_equal(LRU(items, 2), 8);
    assert_int_equal(FIFO(items, 2), 8);
    assert_int_equal(BELADY(items, 2), 5);
}

/* Belady, Nelson and Shedler's sequence (1969): FIFO does worse with four places than with
 * three. */
static void fifo_shows_beladys_anomaly(void **state) {
    (void)state;
    static const uint32_t items[] = {A, B, C, D, A, B, E, A, B, C, D, E};
    assert_int_equal(FIFO(items, 3), 9);
    assert_int_equal(FIFO(items, 4), 10);
    assert_int_equal(LRU(items, 3), 10);
    assert_int_equal(LRU(items, 4), 8);
    assert_int_equal(BELADY(items, 3), 7);
    assert_int_equal(BELADY(items, 4), 6);
}

static void with_room_for_all_only_first_requests_miss(void **state) {
    (void)state;
    static const uint32_t items[] = {E, A, E, B, A, D, C, E, E, B};
    for (uint32_t capacity = 5; capacity <= 7; capacity++) {
        assert_int_equal(LRU(items, capacity), 5);
        assert_int_equal(FIFO(items, capacity), 5);
        assert_int_equal(BELADY(items, capacity), 5);
    }
    assert_int_equal(LRU(items, UINT32_MAX), 5);
    assert_int_equal(FIFO(items, UINT32_MAX), 5);
    assert_int_equal(BELADY(items, UINT32_MAX), 5);
}

static void without_room_everything_misses(void **state) {
    (void)state;
    static const uint32_t items[] = {A, A, A};
    assert_int_equal(LRU(items, 0), 3);
    assert_int_equal(FIFO(items, 0), 3);
    assert_int_equal(BELADY(items, 0), 3);
    assert_int_equal(LRU(items, 1), 1);
    assert_int_equal(FIFO(items, 1), 1);
    assert_int_equal(BELADY(items, 1), 1);
    assert_int_equal(reference_lru_misses(items, 0, 0, 1), 0);
    assert_int_equal(reference_fifo_misses(items, 0, 0, 1), 0);
    assert_int_equal(reference_belady_misses(items, 0, 0, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_renews_for_lru_only),
        cmocka_unit_test(a_loop_that_does_not_fit_defeats_recency),
        cmocka_unit_test(fifo_shows_beladys_anomaly),
        cmocka_unit_test(with_room_for_all_only_first_requests_miss),
        cmocka_unit_test(without_room_everything_misses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
