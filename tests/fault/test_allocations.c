/* SPDX-License-Identifier: Apache-2.0 */
/* Every call with keys, and a new list of nodes, while the n-th allocation fails, for every n, once alone and once with all that
 * follow. */
#include "api/source.h"
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void every_allocation_of_every_call_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_keys);
}

/* ---- the list of nodes: nobody connects to them ---- */

#define LIST_BEFORE "redis://10.0.0.1,10.0.0.2"
#define LIST_AFTER  "redis://10.0.0.3,10.0.0.2,10.0.0.4"

enum { OWNED = 40 };

static uint32_t owned_by(hearth *cache, uint32_t number) {
    char key[16];
    uint32_t index = UINT32_MAX;
    (void)snprintf(key, sizeof key, "key%u", number);
    assert_int_equal(hearth_node_of(cache, key, strlen(key), &index, NULL, 0), HEARTH_OK);
    return index;
}

/* All of its nodes are there, too. */
static void expect_list(hearth *cache, const char *url) {
    static char text[65536];
    size_t needed = 0;
    assert_int_equal(hearth_stats_text(cache, text, sizeof text, &needed), HEARTH_OK);
    for (const char *at = strstr(url, "10."); at != NULL; at = strstr(at + 1, "10.")) {
        char label[64];
        (void)snprintf(label, sizeof label, "hearth_node_errors_total{node=\"%.8s:6379\"} 0",
                       at);
        assert_non_null(strstr(text, label));
    }
    hearth *other = cache_open((const char *const[]){"remote.url", url, NULL});
    assert_non_null(other);
    for (uint32_t i = 0; i < OWNED; i++) {
        assert_int_equal(owned_by(cache, i), owned_by(other, i));
    }
    assert_int_equal(hearth_close(other), HEARTH_OK);
}

/* The whole list or nothing of it, and the next try is as good as the first. False: nothing failed any more. */
static bool change_the_nodes(uint64_t successes, uint64_t failures) {
    char why[64] = "";
    hearth *cache = cache_open((const char *const[]){"remote.url", LIST_BEFORE, NULL});
    assert_non_null(cache);
    failing_memory_fail(successes, failures);
    int32_t status = hearth_set_nodes(cache, LIST_AFTER, why, sizeof why);
    const bool failed = failing_memory_failures() != 0;
    failing_memory_pass();
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    expect_list(cache, status == HEARTH_OK ? LIST_AFTER : LIST_BEFORE);
    assert_int_equal(hearth_set_nodes(cache, LIST_AFTER, NULL, 0), HEARTH_OK);
    expect_list(cache, LIST_AFTER);
    assert_int_equal(hearth_set_nodes(cache, LIST_BEFORE, NULL, 0), HEARTH_OK);
    expect_list(cache, LIST_BEFORE);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
    return failed;
}

static void every_allocation_of_a_new_list_may_fail(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint64_t successes = 0;
        while (change_the_nodes(successes, i == 0 ? 1 : UINT64_MAX)) {
            successes++;
        }
        print_message("%-24s %2u allocations\n", "hearth_set_nodes", (unsigned)successes);
        assert_true(successes > 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_every_call_may_fail),
        cmocka_unit_test(every_allocation_of_a_new_list_may_fail),
    };
    return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
