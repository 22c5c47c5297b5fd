/* SPDX-License-Identifier: Apache-2.0 */
#include <hearth/version.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void library_and_header_agree_on_the_version(void **state) {
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", HEARTH_VERSION_MAJOR, HEARTH_VERSION_MINOR,
             HEARTH_VERSION_PATCH);
    assert_string_equal(HEARTH_VERSION_STRING, text);
    assert_string_equal(hearth_version(), text);
}

static void library_and_header_agree_on_the_abi(void **state) {
    (void)state;
    assert_int_equal(hearth_abi_version(), HEARTH_ABI_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_and_header_agree_on_the_version),
        cmocka_unit_test(library_and_header_agree_on_the_abi),
    };
    return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
