/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/retries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define BEGIN_MS INT64_C(1000000)

static hearth__retries retries;

static int begin(void **state) {
    (void)state;
    hearth__retries_init(&retries, BEGIN_MS);
    return 0;
}

/* Retries that can begin at once. */
static int spend_all(int64_t now_ms) {
    int spent = 0;
    while (hearth__retries_has(&retries, now_ms)) {
        hearth__retries_spend(&retries);
        spent++;
    }
    return spent;
}

static void ten_are_saved_at_the_most(void **state) {
    (void)state;
    assert_int_equal(spend_all(BEGIN_MS), 10);
    assert_int_equal(spend_all(BEGIN_MS + INT64_C(3600000)), 10);
    for (int i = 0; i < 1000; i++) {
        hearth__retries_earn(&retries);
    }
    assert_int_equal(spend_all(BEGIN_MS + INT64_C(3600000)), 10);
    assert_int_equal(spend_all(INT64_MAX), 10);
}

static void one_comes_with_every_second(void **state) {
    (void)state;
    (void)spend_all(BEGIN_MS);
    assert_int_equal(spend_all(BEGIN_MS + 999), 0);
    assert_int_equal(spend_all(BEGIN_MS + 1000), 1);
    assert_int_equal(spend_all(BEGIN_MS + 1999), 0);
    assert_int_equal(spend_all(BEGIN_MS + 4500), 3);
    assert_int_equal(spend_all(BEGIN_MS + 5000), 1); /* the half second is not lost */
}

static void a_tenth_comes_with_every_other_load(void **state) {
    (void)state;
    int spent = 0;
    (void)spend_all(BEGIN_MS);
    for (int i = 0; i < 1000; i++) {
        hearth__retries_earn(&retries);
        spent += spend_all(BEGIN_MS);
    }
    assert_int_equal(spent, 100);
}

static void a_retry_that_succeeds_costs_nothing(void **state) {
    (void)state;
    (void)spend_all(BEGIN_MS);
    for (int i = 0; i < 100; i++) {
        assert_true(hearth__retries_has(&retries, BEGIN_MS + 1000));
        hearth__retries_spend(&retries);
        hearth__retries_return(&retries);
    }
    hearth__retries_spend(&retries);
    assert_false(hearth__retries_has(&retries, BEGIN_MS + 1000));
}

static void those_that_were_told_at_once_are_a_debt(void **state) {
    (void)state;
    (void)spend_all(BEGIN_MS);
    assert_true(hearth__retries_has(&retries, BEGIN_MS + 1000));
    hearth__retries_spend(&retries);
    hearth__retries_spend(&retries);
    hearth__retries_spend(&retries);
    assert_false(hearth__retries_has(&retries, BEGIN_MS + 3000));
    assert_true(hearth__retries_has(&retries, BEGIN_MS + 4000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ten_are_saved_at_the_most, begin),
        cmocka_unit_test_setup(one_comes_with_every_second, begin),
        cmocka_unit_test_setup(a_tenth_comes_with_every_other_load, begin),
        cmocka_unit_test_setup(a_retry_that_succeeds_costs_nothing, begin),
        cmocka_unit_test_setup(those_that_were_told_at_once_are_a_debt, begin),
    };
    return cmocka_run_group_tests_name("retries", tests, NULL, NULL);
}
