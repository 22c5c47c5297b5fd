/* SPDX-License-Identifier: Apache-2.0 */
/* Durations are counted in steps that leave nothing out and are an eighth wide at most. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The step that a duration counts for. */
static size_t step_of(uint64_t us) {
    hearth__histogram histogram = {{0}};
    hearth__histogram_add(&histogram, (int64_t)(us * 1000 + 999));
    size_t step = 0;
    while (step < HEARTH__HISTOGRAM_STEPS && histogram.counts[step] == 0) {
        step++;
    }
    assert_true(step < HEARTH__HISTOGRAM_STEPS);
    assert_int_equal(histogram.counts[step], 1);
    return step;
}

static void a_duration_is_within_its_step(void **state) {
    (void)state;
    for (uint64_t us = 0; us < (UINT64_C(1) << 32); us += 1 + us / 50) {
        size_t step = step_of(us);
        uint64_t end = hearth__histogram_end_us(step);
        uint64_t begin = step > 0 ? hearth__histogram_end_us(step - 1) : 0;
        assert_true(begin <= us && us < end);
        assert_true(end - begin == 1 || (end - begin) * 8 <= begin);
    }
}

static void what_is_out_of_reach_counts_at_the_end(void **state) {
    (void)state;
    assert_int_equal(step_of(UINT64_C(1) << 40), HEARTH__HISTOGRAM_STEPS - 1);
    hearth__histogram histogram = {{0}};
    hearth__histogram_add(&histogram, -5);
    assert_int_equal(histogram.counts[0], 1);
    hearth__histogram_clear(&histogram);
    assert_int_equal(histogram.counts[0], 0);
}

static void percentiles_are_ends_of_steps(void **state) {
    (void)state;
    hearth__histogram histogram = {{0}};
    assert_int_equal(hearth__histogram_percentile_us(&histogram, 99), 0);
    assert_int_equal(hearth__histogram_below(&histogram, UINT64_MAX), 0);
    for (int64_t us = 0; us < 200; us++) {
        hearth__histogram_add(&histogram, us * 1000);
    }
    /* The hundredth is 99 us, within a step that ends at 104; the 198th is 197. */
    assert_int_equal(hearth__histogram_percentile_us(&histogram, 50), 104);
    assert_int_equal(hearth__histogram_percentile_us(&histogram, 99), 208);
    assert_int_equal(hearth__histogram_percentile_us(&histogram, 1), 2);
    assert_int_equal(hearth__histogram_below(&histogram, 64), 64);
    assert_int_equal(hearth__histogram_below(&histogram, 1 << 20), 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_within_its_step),
        cmocka_unit_test(what_is_out_of_reach_counts_at_the_end),
        cmocka_unit_test(percentiles_are_ends_of_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
