/* SPDX-License-Identifier: Apache-2.0 */
/* Hints: kept once a key, in the order in which they came, within their bytes, and until they are settled. */
#include "guard/hints.h"

#include "support/crowd.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { ROOM = 1 << 20 };

static hearth__hints_budget budget;
static hearth__hints *hints;

static int begin(void **state) {
    (void)state;
    budget = (hearth__hints_budget){.max_bytes = ROOM};
    hints = hearth__hints_create(&budget);
    return hints != NULL ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    hearth__hints_destroy(hints);
    hints = NULL;
    return atomic_load(&budget.bytes) == 0 ? 0 : -1;
}

static bool add(const char *key) {
    return hearth__hints_add(hints, key, strlen(key));
}

static uint64_t find(const char *key) {
    return hearth__hints_find(hints, key, strlen(key));
}

static bool settle(const char *key, uint64_t number) {
    return hearth__hints_settle(hints, key, strlen(key), number);
}

static void what_is_added_is_found_until_it_is_settled(void **state) {
    (void)state;
    assert_int_equal(find("a"), 0);
    assert_true(add("a"));
    assert_true(add("ab"));
    assert_int_not_equal(find("a"), 0);
    assert_int_equal(find("b"), 0);
    assert_int_equal(hearth__hints_count(hints), 2);
    assert_true(settle("a", find("a")));
    assert_int_equal(find("a"), 0);
    assert_int_not_equal(find("ab"), 0);
    assert_false(settle("a", 1));
    assert_int_equal(hearth__hints_count(hints), 1);
}

static void a_key_is_kept_once(void **state) {
    (void)state;
    assert_true(add("a"));
    size_t bytes = atomic_load(&budget.bytes);
    uint64_t number = find("a");
    for (int i = 0; i < 1000; i++) {
        assert_true(add("a"));
        assert_int_not_equal(find("a"), number);
        number = find("a");
    }
    assert_int_equal(hearth__hints_count(hints), 1);
    assert_int_equal(atomic_load(&budget.bytes), bytes);
}

/* A delete that came while an earlier one of its key was being carried out is not settled by that. */
static void an_older_number_settles_nothing(void **state) {
    (void)state;
    assert_true(add("a"));
    uint64_t number = find("a");
    assert_true(add("a"));
    assert_false(settle("a", number));
    assert_int_not_equal(find("a"), 0);
    assert_true(settle("a", find("a")));
}

/* Also over what was forgotten in between. */
static void numbers_are_never_used_again(void **state) {
    (void)state;
    assert_true(add("a"));
    uint64_t number = find("a");
    assert_true(settle("a", number));
    assert_true(add("a"));
    assert_false(settle("a", number));
    assert_int_not_equal(find("a"), 0);
}

static void the_oldest_come_first(void **state) {
    (void)state;
    hearth__hint oldest[3];
    hearth__buffer keys = {0};
    assert_true(add("one"));
    assert_true(add("three"));
    assert_true(add("five"));
    assert_true(add("seven"));
    assert_true(add("one")); /* it waits as long as it did */
    assert_true(settle("three", find("three")));
    assert_int_equal(hearth__hints_oldest(hints, oldest, 2, &keys), 2);
    assert_int_equal(keys.size, 7);
    assert_memory_equal(keys.data, "onefive", 7);
    assert_int_equal(oldest[1].key_at, 3);
    assert_int_equal(oldest[1].key_size, 4);
    assert_int_equal(oldest[0].number, find("one"));
    assert_int_equal(oldest[1].number, find("five"));
    assert_int_equal(hearth__hints_oldest(hints, oldest, 3, &keys), 3);
    assert_memory_equal(keys.data, "onefiveonefiveseven", 19);
    hearth__buffer_fini(&keys);
}

/* The heap gives no more than is counted. */
static void bytes_are_bounded(void **state) {
    (void)state;
    char key[32];
    unsigned kept = 0;
    int64_t before = failing_memory_bytes();
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        kept += add(key);
        assert_true(failing_memory_bytes() - before <= (int64_t)atomic_load(&budget.bytes));
        assert_true(atomic_load(&budget.bytes) <= ROOM);
    }
    assert_int_equal(hearth__hints_count(hints), kept);
    assert_in_range(kept, ROOM / 200, ROOM / 64);
    assert_false(add("another"));
    assert_int_equal(find("another"), 0);
    assert_true(add("key-0")); /* which is there */
    for (unsigned i = 0; i < kept; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        assert_true(settle(key, find(key)));
    }
    assert_int_equal(hearth__hints_count(hints), 0);
    assert_int_equal(atomic_load(&budget.bytes), 0);
    assert_true(add("another"));
}

static void nodes_share_a_budget(void **state) {
    (void)state;
    char key[32];
    hearth__hints *other = hearth__hints_create(&budget);
    assert_non_null(other);
    do {
        snprintf(key, sizeof key, "key-%zu", (size_t)hearth__hints_count(hints));
    } while (add(key));
    assert_false(hearth__hints_add(other, "key", 3));
    assert_true(settle("key-0", find("key-0")));
    assert_true(settle("key-1", find("key-1")));
    assert_true(settle("key-2", find("key-2")));
    assert_true(settle("key-3", find("key-3")));
    assert_true(settle("key-4", find("key-4")));
    assert_true(settle("key-5", find("key-5")));
    assert_true(settle("key-6", find("key-6")));
    assert_true(hearth__hints_add(other, "key", 3));
    assert_int_equal(hearth__hints_count(other), 1);
    assert_int_equal(find("key"), 0);
    hearth__hints_destroy(other);
}

static void with_no_room_none_is_kept(void **state) {
    (void)state;
    budget.max_bytes = 0;
    assert_false(add("a"));
    assert_int_equal(find("a"), 0);
}

static void the_fence_only_rises(void **state) {
    (void)state;
    assert_false(hearth__hints_is_fenced(hints, 0));
    assert_true(hearth__hints_fence(hints, 1000));
    assert_true(hearth__hints_is_fenced(hints, 999));
    assert_true(hearth__hints_is_fenced(hints, 1000));
    assert_false(hearth__hints_is_fenced(hints, 1001));
    assert_false(hearth__hints_fence(hints, 500));
    assert_true(hearth__hints_is_fenced(hints, 1000));
    assert_false(hearth__hints_fence(hints, 2000));
    assert_true(hearth__hints_is_fenced(hints, 2000));
}

/* ---- no memory -------------------------------------------------------------------------- */

/* What finds no memory is not kept, and is not counted either; what is there stays. */
static void without_memory_nothing_changes(void **state) {
    (void)state;
    char key[32];
    unsigned failed = 0;
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        for (unsigned at = 0;; at++) {
            uint64_t count = hearth__hints_count(hints);
            size_t bytes = atomic_load(&budget.bytes);
            failing_memory_fail(at, 1);
            bool added = add(key);
            failing_memory_pass();
            if (added) {
                break;
            }
            failed++;
            assert_int_equal(find(key), 0);
            assert_int_equal(hearth__hints_count(hints), count);
            assert_int_equal(atomic_load(&budget.bytes), bytes);
        }
    }
    assert_in_range(failed, 2000, 2100);
    assert_int_equal(hearth__hints_count(hints), 2000);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        assert_int_not_equal(find(key), 0);
    }
}

static void copies_stop_where_memory_does(void **state) {
    (void)state;
    hearth__hint oldest[3];
    hearth__buffer keys = {0};
    assert_true(add("one"));
    failing_memory_fail(0, 1);
    assert_int_equal(hearth__hints_oldest(hints, oldest, 3, &keys), 0);
    failing_memory_pass();
    assert_int_equal(hearth__hints_oldest(hints, oldest, 3, &keys), 1);
    hearth__buffer_fini(&keys);
}

/* ---- many threads ----------------------------------------------------------------------- */

enum { THREADS = 8, TURNS = 2000, KEYS = 16 };

static _Atomic uint64_t settled;
static _Atomic uint64_t added;

static void keep_and_settle(void *arg, size_t index) {
    (void)arg;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        char key[8];
        snprintf(key, sizeof key, "k%zu", (index + turn) % KEYS);
        uint64_t number = find(key);
        if (turn % 3 == 0) {
            atomic_fetch_add(&added, add(key));
        } else if (number != 0) {
            atomic_fetch_add(&settled, settle(key, number));
        }
    }
}

static void many_threads_agree(void **state) {
    (void)state;
    assert_true(crowd_run(THREADS, keep_and_settle, NULL));
    uint64_t left = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        uint64_t number = find(key);
        left += number != 0;
        assert_true(number == 0 || settle(key, number));
    }
    assert_true(settled + left <= added);
    assert_true(settled > 0);
    assert_int_equal(hearth__hints_count(hints), 0);
    assert_int_equal(atomic_load(&budget.bytes), 0);
}

#define WITH_HINTS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_HINTS(what_is_added_is_found_until_it_is_settled),
        WITH_HINTS(a_key_is_kept_once),
        WITH_HINTS(an_older_number_settles_nothing),
        WITH_HINTS(numbers_are_never_used_again),
        WITH_HINTS(the_oldest_come_first),
        WITH_HINTS(bytes_are_bounded),
        WITH_HINTS(nodes_share_a_budget),
        WITH_HINTS(with_no_room_none_is_kept),
        WITH_HINTS(the_fence_only_rises),
        WITH_HINTS(without_memory_nothing_changes),
        WITH_HINTS(copies_stop_where_memory_does),
        WITH_HINTS(many_threads_agree),
    };
    return cmocka_run_group_tests_name("hints", tests, NULL, NULL);
}
