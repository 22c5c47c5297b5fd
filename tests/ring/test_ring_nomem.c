/* SPDX-License-Identifier: Apache-2.0 */
/* The ring when there is no memory. */
#include "fleet.h"
#include "support/failing_memory.h"

#include <stdbool.h>

static void each_failed_allocation_is_a_status(void **state) {
    (void)state;
    fleet *nodes = fleet_create(3);
    hearth__ring *ring = NULL;
    unsigned failures = 0;
    for (bool made = false; !made; failures += !made) {
        failing_memory_fail(failures, 1);
        const int32_t status = hearth__ring_create(nodes->members, nodes->count, &ring);
        made = status == HEARTH_OK;
        assert_true(made || status == HEARTH_E_NOMEM);
        assert_true(made || (ring == NULL && failing_memory_blocks() == 0));
    }
    assert_true(failures > 0);
    hearth__ring_destroy(ring);
    assert_int_equal(failing_memory_blocks(), 0);
    free(nodes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failed_allocation_is_a_status),
    };
    return cmocka_run_group_tests_name("ring without memory", tests, NULL, NULL);
}
