/* SPDX-License-Identifier: Apache-2.0 */
/* The ring when there is no memory. This program brings its own base/memory, whose n-th
 * allocation fails. */
#include "base/memory.h"
#include "fleet.h"

#include <stdbool.h>

static unsigned allocations_left;
static unsigned blocks_alive;

void *hearth__alloc(size_t size) {
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left--;
    blocks_alive++;
    return malloc(size != 0 ? size : 1);
}

void hearth__free(void *block) {
    blocks_alive -= block != NULL;
    free(block);
}

static void each_failed_allocation_is_a_status(void **state) {
    (void)state;
    fleet *nodes = fleet_create(3);
    hearth__ring *ring = NULL;
    unsigned failures = 0;
    for (bool made = false; !made; failures += !made) {
        allocations_left = failures;
        const int32_t status = hearth__ring_create(nodes->members, nodes->count, &ring);
        made = status == HEARTH_OK;
        assert_true(made || status == HEARTH_E_NOMEM);
        assert_true(made || (ring == NULL && blocks_alive == 0));
    }
    assert_true(failures > 0);
    hearth__ring_destroy(ring);
    assert_int_equal(blocks_alive, 0);
    free(nodes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failed_allocation_is_a_status),
    };
    return cmocka_run_group_tests_name("ring without memory", tests, NULL, NULL);
}
