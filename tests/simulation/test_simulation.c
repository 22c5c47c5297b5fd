/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises hold for a fleet under faults, for some seeds; fleet.h says what that is. By itself:
 *
 *   test_simulation [--seeds N] [--first SEED] [--operations N]     goes on, in the long form
 *   test_simulation --seed SEED [--operations N] [--trace]          runs one again, exactly
 */
#include "simulation/fleet.h"

#include "base/tsan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { SHORT_SEEDS = 50, SHORT_OPERATIONS = 600, LONG_SEEDS = 1000, LONG_OPERATIONS = 10000 };

/* Runs seeds until one fails. */
static bool run(uint64_t first, uint64_t seeds, uint64_t operations, bool trace,
                struct fleet_outcome *sum) {
    *sum = (struct fleet_outcome){0};
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct fleet_outcome outcome;
        fleet_run(seed, operations, trace, &outcome);
        sum->operations += outcome.operations;
        sum->local_hits += outcome.local_hits;
        sum->loads += outcome.loads;
        sum->deletes_kept += outcome.deletes_kept;
        sum->faults += outcome.faults;
        sum->denials += outcome.denials;
        if (outcome.failure[0] != '\0') {
            (void)snprintf(sum->failure, sizeof sum->failure, "%s", outcome.failure);
            print_error(
                "seed %llu of %llu operations: %s\n  again: --seed %llu --operations %llu "
                "--trace\n",
                (unsigned long long)seed, (unsigned long long)operations, outcome.failure,
                (unsigned long long)seed, (unsigned long long)operations);
            return false;
        }
    }
    return true;
}

static void say(const struct fleet_outcome *sum) {
    print_message(
        "%llu operations, %llu local hits, %llu loads, %llu deletes kept, %llu denials, "
        "%llu faults\n",
        (unsigned long long)sum->operations, (unsigned long long)sum->local_hits,
        (unsigned long long)sum->loads, (unsigned long long)sum->deletes_kept,
        (unsigned long long)sum->denials, (unsigned long long)sum->faults);
}

static uint64_t number_of(const char *text) {
    return strtoull(text, NULL, 10);
}

/* HEARTH_SEEDS: so many of them, until one fails. */
static void promises_hold(void **state) {
    struct fleet_outcome sum;
    const char *seeds = getenv("HEARTH_SEEDS");
    (void)state;
    bool held =
        run(1, seeds != NULL ? number_of(seeds) : SHORT_SEEDS, SHORT_OPERATIONS, false, &sum);
    say(&sum);
    assert_true(held);
    /* It was not for nothing. */
    assert_true(sum.local_hits > sum.operations / 10);
    assert_true(sum.loads > SHORT_SEEDS);
    assert_true(sum.deletes_kept != 0);
    assert_true(sum.denials != 0);
    assert_true(sum.faults > SHORT_SEEDS);
}

static void a_seed_runs_the_same_again(void **state) {
    struct fleet_outcome first;
    struct fleet_outcome again;
    (void)state;
    for (uint64_t seed = 2; seed < 5; seed++) {
        fleet_run(seed, SHORT_OPERATIONS, false, &first);
        fleet_run(seed, SHORT_OPERATIONS, false, &again);
        assert_memory_equal(&first, &again, sizeof first);
    }
}

static int run_by_hand(int count, char **words) {
    uint64_t first = 1;
    uint64_t seeds = LONG_SEEDS;
    uint64_t operations = LONG_OPERATIONS;
    bool trace = false;
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : "";
        if (strcmp(words[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        i++;
        if (strcmp(words[i - 1], "--seed") == 0) {
            first = number_of(value);
            seeds = 1;
        } else if (strcmp(words[i - 1], "--first") == 0) {
            first = number_of(value);
        } else if (strcmp(words[i - 1], "--seeds") == 0) {
            seeds = number_of(value);
        } else if (strcmp(words[i - 1], "--operations") == 0) {
            operations = number_of(value);
        } else {
            print_error("%s is none of --seed, --seeds, --first, --operations, --trace\n",
                        words[i - 1]);
            return 2;
        }
    }
    struct fleet_outcome sum;
    bool held = run(first, seeds, operations, trace, &sum);
    say(&sum);
    return held ? 0 : 1;
}

int main(int count, char **words) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_hold),
        cmocka_unit_test(a_seed_runs_the_same_again),
    };
    return count > 1 ? run_by_hand(count, words) : cmocka_run_group_tests(tests, NULL, NULL);
}
