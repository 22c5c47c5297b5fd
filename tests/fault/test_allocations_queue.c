/* SPDX-License-Identifier: Apache-2.0 */
/* Queues while the n-th allocation fails. */
#include "fault/scenarios.h"
#include "fault/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_allocation_of_a_queue_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_queues);
    sweep(&scenarios_of_queues_without_memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_a_queue_may_fail),
    };
    return cmocka_run_group_tests_name("allocations of queues", tests, NULL, NULL);
}
