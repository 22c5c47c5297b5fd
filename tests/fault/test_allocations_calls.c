/* SPDX-License-Identifier: Apache-2.0 */
/* Every public function is swept: the golden list of what the library exports says which there are. Those whose sweeps have no
 * program of their own run here. */
#include "fault/scenarios.h"
#include "fault/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NAMES_MAX = 256, NAME_BYTES = 64 };

/* Those that are run by one program or another. */
static const struct scenario_set *const sets[] = {
    &scenarios_of_keys,
    &scenarios_of_families,
    &scenarios_of_families_without_memory,
    &scenarios_of_queues,
    &scenarios_of_queues_without_memory,
    &scenarios_of_fills,
    &scenarios_of_fills_without_memory,
    &scenarios_of_guards,
    &scenarios_of_guards_without_memory,
    &scenarios_of_options,
    &scenarios_of_options_without_memory,
    &scenarios_of_insight,
    &scenarios_of_insight_without_memory,

};

enum { SETS = sizeof sets / sizeof sets[0] };

struct names {
    char names[NAMES_MAX][NAME_BYTES];
    size_t count;
};

/* A file of the tree that this program was built in, wherever it is started from. */
static FILE *open_golden(void) {
    char path[4096];
    FILE *file = NULL;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    path[length > 0 ? length : 0] = '\0';
    for (char *slash = strrchr(path, '/'); file == NULL && slash != NULL;
         slash = strrchr(path, '/')) {
        (void)snprintf(slash, 64, "/tests/install/symbols.golden");
        file = fopen(path, "re");
        *slash = '\0';
    }
    return file;
}

static void read_golden(struct names *names) {
    FILE *file = open_golden();
    assert_non_null(file);
    while (fscanf(file, "%63s", names->names[names->count]) == 1) {
        names->count++;
        assert_true(names->count < NAMES_MAX);
    }
    (void)fclose(file);
    assert_true(names->count > 50);
}

static bool is_swept(const char *name) {
    for (size_t i = 0; i < SETS; i++) {
        for (size_t j = 0; j < sets[i]->count; j++) {
            if (strcmp(sets[i]->scenarios[j].call, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void every_public_function_is_swept(void **state) {
    static struct names names;
    bool all = true;
    (void)state;
    read_golden(&names);
    for (size_t i = 0; i < names.count; i++) {
        if (!is_swept(names.names[i])) {
            print_error("%s: no scenario in tests/fault makes its allocations fail\n",
                        names.names[i]);
            all = false;
        }
    }
    assert_true(all);
}

static void every_allocation_of_a_fill_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_fills);
    sweep(&scenarios_of_fills_without_memory);
}

static void every_allocation_of_a_guard_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_guards);
    sweep(&scenarios_of_guards_without_memory);
}

static void every_allocation_of_options_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_options);
    sweep(&scenarios_of_options_without_memory);
}

static void every_allocation_of_who_looks_may_fail(void **state) {
    (void)state;
    sweep(&scenarios_of_insight);
    sweep(&scenarios_of_insight_without_memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_public_function_is_swept),
        cmocka_unit_test(every_allocation_of_a_fill_may_fail),
        cmocka_unit_test(every_allocation_of_a_guard_may_fail),
        cmocka_unit_test(every_allocation_of_options_may_fail),
        cmocka_unit_test(every_allocation_of_who_looks_may_fail),
    };
    return cmocka_run_group_tests_name("allocations of calls", tests, NULL, NULL);
}
