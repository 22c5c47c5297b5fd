/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

/* Between two readings of the monotonic clock, in whatever order the machine runs. */
static void expect_deadline(int64_t ms) {
    const int64_t before = hearth__monotonic_ns();
    const int64_t deadline = hearth__deadline_ns(ms);
    const int64_t after = hearth__monotonic_ns();
    assert_true(deadline >= before + ms * 1000000);
    assert_true(deadline <= after + ms * 1000000);
}

static void a_deadline_is_that_many_milliseconds_from_now(void **state) {
    (void)state;
    expect_deadline(0);
    expect_deadline(1);
    expect_deadline(30000);
    expect_deadline(INT64_C(3155760000000)); /* the longest time a caller may give */
}

static void a_deadline_out_of_reach_never_comes(void **state) {
    (void)state;
    assert_int_equal(hearth__deadline_ns(INT64_MAX), HEARTH__NEVER);
    assert_int_equal(hearth__deadline_ns(INT64_MAX / 1000), HEARTH__NEVER);
    assert_int_equal(hearth__deadline_ns(INT64_MAX / 1000000 + 1), HEARTH__NEVER);
    /* The product fits, the sum with the present does not. */
    assert_int_equal(hearth__deadline_ns(INT64_MAX / 1000000), HEARTH__NEVER);
}

static void the_monotonic_clock_does_not_go_back(void **state) {
    (void)state;
    int64_t last = hearth__monotonic_ns();
    for (int i = 0; i < 10000; i++) {
        const int64_t now = hearth__monotonic_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void lives_are_told_on_a_clock_that_a_suspended_machine_does_not_stop(void **state) {
    (void)state;
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_BOOTTIME, &before);
    const int64_t now = hearth__boot_ms();
    clock_gettime(CLOCK_BOOTTIME, &after);
    assert_true(now >= before.tv_sec * 1000 + before.tv_nsec / 1000000);
    assert_true(now <= after.tv_sec * 1000 + after.tv_nsec / 1000000);
}

static void the_coarse_clock_lags_but_never_leads(void **state) {
    (void)state;
    for (int i = 0; i < 100000; i++) {
        int64_t before = hearth__boot_ms();
        int64_t coarse = hearth__boot_coarse_ms();
        assert_true(coarse <= hearth__boot_ms());
        assert_true(coarse >= before - HEARTH__COARSE_LAG_MS);
    }
}

static void the_wall_clock_counts_from_1970(void **state) {
    (void)state;
    const int64_t before = time(NULL);
    const int64_t now = hearth__wall_ms();
    const int64_t after = time(NULL) + 1;
    assert_true(now >= before * 1000 && now < (after + 1) * 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_that_many_milliseconds_from_now),
        cmocka_unit_test(a_deadline_out_of_reach_never_comes),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
        cmocka_unit_test(lives_are_told_on_a_clock_that_a_suspended_machine_does_not_stop),
        cmocka_unit_test(the_coarse_clock_lags_but_never_leads),
        cmocka_unit_test(the_wall_clock_counts_from_1970),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
