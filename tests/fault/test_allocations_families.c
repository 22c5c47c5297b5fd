/* SPDX-License-Identifier: Apache-2.0 */
/* Tags, marks and namespaces while the n-th allocation fails. */
#include "fault/scenarios.h"
#include "fault/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_allocation_for_families_of_keys_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_families);
    sweep(&scenarios_of_families_without_memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_for_families_of_keys_may_fail),
    };
    return cmocka_run_group_tests_name("allocations for families of keys", tests, NULL, NULL);
}
