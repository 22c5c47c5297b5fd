/* SPDX-License-Identifier: Apache-2.0 */
/* Medians and spreads of measurements, by hand-made examples. */
#include "sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

static bool close_to(double value, double expected) {
    return fabs(value - expected) < 1e-12;
}

static void the_median_is_the_middle_one(void **state) {
    (void)state;
    const double odd[] = {9, 1, 1000, 3, 2};
    const double even[] = {4, 1, 3, 2};
    assert_true(close_to(sample_median(odd, 5), 3));
    assert_true(close_to(sample_median(even, 4), 2.5));
    assert_true(close_to(sample_median(odd, 1), 9));
    assert_true(close_to(odd[0], 9) && close_to(odd[2], 1000)); /* the order stays */
}

static void the_spread_is_that_of_the_middle_half(void **state) {
    (void)state;
    const double values[] = {100, 80, 1000000, 120, 0};
    const double same[] = {7, 7, 7};
    const double zeros[] = {0, 0, 0};
    assert_true(close_to(sample_spread(values, 5), 0.2));
    assert_true(close_to(sample_spread(same, 3), 0));
    assert_true(close_to(sample_spread(zeros, 3), 0));
}

static void the_largest_is_found_anywhere(void **state) {
    (void)state;
    const double values[] = {-3, -1, -2};
    assert_true(close_to(sample_max(values, 3), -1));
    assert_true(close_to(sample_max(values, 1), -3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_is_the_middle_one),
        cmocka_unit_test(the_spread_is_that_of_the_middle_half),
        cmocka_unit_test(the_largest_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
