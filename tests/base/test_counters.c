/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"
#include "base/stat.h"
#include "base/stripe.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { COUNTERS = 13, THREADS = 8, ROUNDS = 10000 };

static void counters_begin_at_zero_and_do_not_mix(void **state) {
    (void)state;
    hearth__counters *counters = hearth__counters_create(COUNTERS);
    assert_non_null(counters);
    for (size_t i = 0; i < COUNTERS; i++) {
        assert_int_equal(hearth__counters_sum(counters, i), 0);
        hearth__counters_add(counters, i, i * 1000 + 1);
    }
    for (size_t i = 0; i < COUNTERS; i++) {
        assert_int_equal(hearth__counters_sum(counters, i), i * 1000 + 1);
    }
    hearth__counters_destroy(counters);
}

static void add_to_all(void *arg, size_t index) {
    hearth__counters *counters = arg;
    for (size_t round = 0; round < ROUNDS; round++) {
        hearth__counters_add(counters, round % COUNTERS, 1);
        hearth__counters_add(counters, COUNTERS + index, index + 1);
    }
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    hearth__counters *counters = hearth__counters_create(COUNTERS + THREADS);
    assert_non_null(counters);
    assert_true(crowd_run(THREADS, add_to_all, counters));
    for (size_t i = 0; i < COUNTERS; i++) {
        const uint64_t each = ROUNDS / COUNTERS + (i < ROUNDS % COUNTERS);
        assert_int_equal(hearth__counters_sum(counters, i), each * THREADS);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(hearth__counters_sum(counters, COUNTERS + i), (i + 1) * ROUNDS);
    }
    hearth__counters_destroy(counters);
}

/* More threads than stripes: some share one. */
static void threads_that_share_a_stripe_lose_nothing_either(void **state) {
    (void)state;
    enum { MANY = HEARTH__THREAD_STRIPES * 2 + 1 };
    hearth__counters *counters = hearth__counters_create(COUNTERS + MANY);
    assert_non_null(counters);
    assert_true(crowd_run(MANY, add_to_all, counters));
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(hearth__counters_sum(counters, COUNTERS + i), (i + 1) * ROUNDS);
    }
    hearth__counters_destroy(counters);
}

static void sums_wrap_at_64_bits(void **state) {
    (void)state;
    hearth__counters *counters = hearth__counters_create(1);
    assert_non_null(counters);
    hearth__counters_add(counters, 0, UINT64_MAX);
    hearth__counters_add(counters, 0, 3);
    assert_int_equal(hearth__counters_sum(counters, 0), 2);
    hearth__counters_destroy(counters);
}

struct stripes {
    size_t seen[CROWD_MAX];
};

static void ask_for_stripe(void *arg, size_t index) {
    struct stripes *stripes = arg;
    stripes->seen[index] = hearth__thread_stripe();
    for (int i = 0; i < 1000; i++) {
        if (hearth__thread_stripe() != stripes->seen[index]) {
            stripes->seen[index] = SIZE_MAX;
        }
    }
}

static void a_thread_keeps_its_stripe(void **state) {
    (void)state;
    struct stripes stripes = {0};
    assert_true(crowd_run(HEARTH__THREAD_STRIPES, ask_for_stripe, &stripes));
    size_t used = 0;
    for (size_t stripe = 0; stripe < HEARTH__THREAD_STRIPES; stripe++) {
        for (size_t i = 0; i < HEARTH__THREAD_STRIPES; i++) {
            used += stripes.seen[i] == stripe;
        }
    }
    assert_int_equal(used, HEARTH__THREAD_STRIPES); /* all in range, none changed */
    assert_true(stripes.seen[0] != stripes.seen[1]);
}

static void without_memory_there_are_none(void **state) {
    (void)state;
    failing_memory_fail(0, 1);
    assert_null(hearth__counters_create(COUNTERS));
    failing_memory_pass();
    hearth__counters_destroy(NULL);
    assert_int_equal(failing_memory_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_begin_at_zero_and_do_not_mix),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(threads_that_share_a_stripe_lose_nothing_either),
        cmocka_unit_test(sums_wrap_at_64_bits),
        cmocka_unit_test(a_thread_keeps_its_stripe),
        cmocka_unit_test(without_memory_there_are_none),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
