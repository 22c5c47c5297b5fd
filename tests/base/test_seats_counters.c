/* SPDX-License-Identifier: Apache-2.0 */
#include "base/seats.h"
#include "base/stat.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { COUNTERS = 13, THREADS = 8, ROUNDS = 10000 };

static void counters_begin_at_zero_and_do_not_mix(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(COUNTERS);
    assert_non_null(counters);
    for (size_t i = 0; i < COUNTERS; i++) {
        assert_int_equal(hearth__seats_sum(counters, i), 0);
        hearth__seats_add(counters, i, i * 1000 + 1);
    }
    for (size_t i = 0; i < COUNTERS; i++) {
        assert_int_equal(hearth__seats_sum(counters, i), i * 1000 + 1);
    }
    hearth__seats_destroy(counters);
}

static void add_to_all(void *arg, size_t index) {
    hearth__seats *counters = arg;
    for (size_t round = 0; round < ROUNDS; round++) {
        hearth__seats_add(counters, round % COUNTERS, 1);
        hearth__seats_add(counters, COUNTERS + index, index + 1);
    }
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(COUNTERS + THREADS);
    assert_non_null(counters);
    assert_true(crowd_run(THREADS, add_to_all, counters));
    for (size_t i = 0; i < COUNTERS; i++) {
        const uint64_t each = ROUNDS / COUNTERS + (i < ROUNDS % COUNTERS);
        assert_int_equal(hearth__seats_sum(counters, i), each * THREADS);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(hearth__seats_sum(counters, COUNTERS + i), (i + 1) * ROUNDS);
    }
    hearth__seats_destroy(counters);
}

static void what_ended_threads_counted_stays(void **state) {
    (void)state;
    enum { MANY = 33 };
    hearth__seats *counters = hearth__seats_create(COUNTERS + MANY);
    assert_non_null(counters);
    assert_true(crowd_run(MANY, add_to_all, counters));
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(hearth__seats_sum(counters, COUNTERS + i), (i + 1) * ROUNDS);
    }
    hearth__seats_destroy(counters);
}

static void sums_wrap_at_64_bits(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(1);
    assert_non_null(counters);
    hearth__seats_add(counters, 0, UINT64_MAX);
    hearth__seats_add(counters, 0, 3);
    assert_int_equal(hearth__seats_sum(counters, 0), 2);
    hearth__seats_destroy(counters);
}

static void add_one(void *arg, size_t index) {
    (void)index;
    hearth__seats_add(arg, 0, 1);
}

/* A thread without memory for a seat of its own shares one. */
static void without_memory_for_a_seat_nothing_is_lost(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(1);
    assert_non_null(counters);
    failing_memory_fail(0, 1);
    hearth__seats_add(counters, 0, 5);
    failing_memory_pass();
    assert_true(crowd_run(THREADS, add_one, counters));
    hearth__seats_add(counters, 0, 2);
    assert_int_equal(hearth__seats_sum(counters, 0), 5 + THREADS + 2);
    hearth__seats_destroy(counters);
}

/* ---- families --------------------------------------------------------------------------- */

enum { FAMILY = 7 };

static void add_to_family(hearth__seats *counters, size_t family, uint64_t amount) {
    hearth__seat_add_family(hearth__seats_own(counters), family, HEARTH__FAMILY_COUNTERS - 1,
                            amount);
}

static uint64_t sum_of(hearth__seats *counters, size_t family) {
    return hearth__seats_sum_family(counters, family, HEARTH__FAMILY_COUNTERS - 1);
}

static void add_to_families(void *arg, size_t index) {
    for (size_t round = 0; round < ROUNDS; round++) {
        add_to_family(arg, FAMILY, 1);
        add_to_family(arg, FAMILY + 1, index);
    }
}

static void families_are_counted_apart(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(1);
    assert_non_null(counters);
    assert_true(hearth__seats_open_family(counters, FAMILY));
    assert_true(hearth__seats_open_family(counters, FAMILY + 1));
    add_to_family(counters, FAMILY, 3);
    assert_true(crowd_run(THREADS, add_to_families, counters)); /* and these end */
    assert_int_equal(sum_of(counters, FAMILY), 3 + THREADS * ROUNDS);
    assert_int_equal(sum_of(counters, FAMILY + 1), ROUNDS * (THREADS * (THREADS - 1) / 2));
    assert_int_equal(hearth__seats_sum_family(counters, FAMILY, 0), 0);
    assert_int_equal(hearth__seats_sum(counters, 0), 0);
    hearth__seats_destroy(counters);
    assert_int_equal(failing_memory_blocks(), 0);
}

/* Neither by who has a seat and gets no memory for a family, nor by who has none. */
static void without_memory_nothing_of_a_family_is_lost(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(1);
    hearth__seats *others = hearth__seats_create(1);
    assert_non_null(counters);
    assert_non_null(others);
    failing_memory_fail(0, 1);
    assert_false(hearth__seats_open_family(counters, FAMILY));
    failing_memory_pass();
    assert_true(hearth__seats_open_family(counters, FAMILY));
    assert_true(hearth__seats_open_family(others, FAMILY));
    hearth__seats_add(counters, 0, 1);
    failing_memory_fail(0, 1);
    add_to_family(counters, FAMILY, 5);
    failing_memory_pass();
    add_to_family(counters, FAMILY, 2);
    assert_int_equal(sum_of(counters, FAMILY), 7);
    failing_memory_fail(0, 2);
    add_to_family(others, FAMILY, 5);
    failing_memory_pass();
    add_to_family(others, FAMILY, 2);
    assert_int_equal(sum_of(others, FAMILY), 7);
    hearth__seats_destroy(counters);
    hearth__seats_destroy(others);
}

static pthread_key_t last_words;

static void add_at_end(void *counters) {
    hearth__seats_add(counters, 0, 1);
}

static void add_and_end(void *counters, size_t index) {
    (void)index;
    hearth__seats_add(counters, 0, 1);
    (void)pthread_setspecific(last_words, counters);
}

/* Others' ends of a thread come after the one at which its seats are given up. */
static void what_is_counted_while_a_thread_ends_stays(void **state) {
    (void)state;
    hearth__seats *counters = hearth__seats_create(1);
    assert_non_null(counters);
    hearth__seats_add(counters, 0, 1);
    assert_int_equal(pthread_key_create(&last_words, add_at_end), 0);
    assert_true(crowd_run(THREADS, add_and_end, counters));
    assert_int_equal(pthread_key_delete(last_words), 0);
    assert_int_equal(hearth__seats_sum(counters, 0), 1 + 2 * THREADS);
    hearth__seats_destroy(counters);
}

/* Seats outlive neither their owner nor their thread, and are never taken for another's. */
static void many_owners_come_and_go(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        hearth__seats *first = hearth__seats_create(1);
        hearth__seats *second = hearth__seats_create(1);
        assert_non_null(first);
        assert_non_null(second);
        hearth__seats_add(first, 0, i);
        hearth__seats_add(second, 0, 1);
        hearth__seats_add(first, 0, 1);
        assert_int_equal(hearth__seats_sum(first, 0), i + 1);
        assert_int_equal(hearth__seats_sum(second, 0), 1);
        hearth__seats_destroy(first);
        hearth__seats_destroy(second);
    }
}

static void without_memory_there_are_none(void **state) {
    (void)state;
    failing_memory_fail(0, 1);
    assert_null(hearth__seats_create(COUNTERS));
    failing_memory_pass();
    hearth__seats_destroy(NULL);
    assert_int_equal(failing_memory_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_begin_at_zero_and_do_not_mix),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(what_ended_threads_counted_stays),
        cmocka_unit_test(sums_wrap_at_64_bits),
        cmocka_unit_test(what_is_counted_while_a_thread_ends_stays),
        cmocka_unit_test(without_memory_for_a_seat_nothing_is_lost),
        cmocka_unit_test(families_are_counted_apart),
        cmocka_unit_test(without_memory_nothing_of_a_family_is_lost),
        cmocka_unit_test(many_owners_come_and_go),
        cmocka_unit_test(without_memory_there_are_none),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
