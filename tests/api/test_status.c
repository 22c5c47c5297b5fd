/* SPDX-License-Identifier: Apache-2.0 */
#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct status {
    int32_t value;
    const char *name;
};

/* Written out by hand: the values are pinned, so a changed table must fail here. */
static const struct status statuses[] = {
    {0, "HEARTH_OK"},
    {1, "HEARTH_MISS"},
    {2, "HEARTH_ABSENT"},
    {3, "HEARTH_EXISTS"},
    {4, "HEARTH_CONFLICT"},
    {-1, "HEARTH_E_INVALID"},
    {-2, "HEARTH_E_NOMEM"},
    {-3, "HEARTH_E_TIMEOUT"},
    {-4, "HEARTH_E_UNAVAILABLE"},
    {-5, "HEARTH_E_PROTOCOL"},
    {-6, "HEARTH_E_TOO_LARGE"},
    {-7, "HEARTH_E_TYPE"},
    {-8, "HEARTH_E_LOADER"},
    {-9, "HEARTH_E_OVERLOAD"},
    {-10, "HEARTH_E_DEADLOCK"},
    {-11, "HEARTH_E_UNKNOWN"},
    {-12, "HEARTH_E_QUEUED"},
    {-13, "HEARTH_E_CLOSED"},
    {-14, "HEARTH_E_UNSUPPORTED"},
};

#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])

static void every_value_has_its_pinned_name(void **state) {
    (void)state;
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        assert_string_equal(hearth_status_name(statuses[i].value), statuses[i].name);
    }
}

static void no_status_is_missing_from_this_test(void **state) {
    (void)state;
#define STATUS_VALUE(name, value, text) (value),
    const int32_t table[] = {HEARTH_STATUS_MAP(STATUS_VALUE)};
#undef STATUS_VALUE
    assert_int_equal(sizeof table / sizeof table[0], STATUS_COUNT);
}

static void every_status_has_words_of_its_own(void **state) {
    (void)state;
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        assert_true(strlen(hearth_strerror(statuses[i].value)) > 3);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(hearth_strerror(statuses[i].value),
                                    hearth_strerror(statuses[j].value));
        }
    }
}

static void a_number_that_is_no_status_is_said_to_be_none(void **state) {
    (void)state;
    const int32_t others[] = {5, -15, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_string_equal(hearth_status_name(others[i]), "HEARTH_?");
        assert_string_equal(hearth_strerror(others[i]),
                            "not a status of this version of Hearth");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_its_pinned_name),
        cmocka_unit_test(no_status_is_missing_from_this_test),
        cmocka_unit_test(every_status_has_words_of_its_own),
        cmocka_unit_test(a_number_that_is_no_status_is_said_to_be_none),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
