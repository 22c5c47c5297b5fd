/* SPDX-License-Identifier: Apache-2.0 */
/* The leases that a process holds: their tokens, and when each is to be extended. */
#include "guard/lease.h"

#include "support/crowd.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { TTL = 3000, THIRD = 1000, LIMIT = 30000 };

static hearth__leases *leases;
static int owner;

static int open_leases(void **state) {
    (void)state;
    leases = hearth__leases_create(TTL, LIMIT, &owner);
    return leases != NULL ? 0 : -1;
}

static int close_leases(void **state) {
    (void)state;
    bool empty = hearth__leases_held(leases) == 0;
    hearth__leases_destroy(leases);
    return empty && failing_memory_blocks() == 0 ? 0 : -1;
}

static hearth__lease *create(const char *before, const char *key) {
    hearth__lease *lease = hearth__lease_create(leases, before, key, strlen(key), 7, 42);
    assert_non_null(lease);
    return lease;
}

static hearth__lease *held_since(int64_t now_ms) {
    hearth__lease *lease = create("", "key");
    (void)hearth__lease_hold(lease, now_ms);
    return lease;
}

static void it_knows_its_place(void **state) {
    (void)state;
    hearth__lease *lease = create("", "key");
    hearth__lease *beside = create("lock:", "key");
    assert_int_equal(lease->key_size, 3);
    assert_memory_equal(lease->key, "key", 3);
    assert_false(lease->beside);
    assert_int_equal(beside->key_size, 8);
    assert_memory_equal(beside->key, "lock:key", 8);
    assert_true(beside->beside);
    assert_int_equal(lease->node, 7);
    assert_int_equal(lease->generation, 42);
    assert_ptr_equal(hearth__leases_owner(leases), &owner);
    hearth__lease_destroy(lease);
    hearth__lease_destroy(beside);
    hearth__lease_destroy(NULL);
}

static void no_two_have_the_same_token(void **state) {
    (void)state;
    enum { SOME = 200 };
    hearth__lease *all[SOME];
    for (size_t i = 0; i < SOME; i++) {
        all[i] = create("", "key");
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(all[i]->token, all[j]->token, sizeof all[i]->token);
        }
    }
    for (size_t i = 0; i < SOME; i++) {
        hearth__lease_destroy(all[i]);
    }
}

static void it_is_due_at_each_third_of_its_time(void **state) {
    (void)state;
    assert_true(hearth__leases_due_ms(leases) == INT64_MAX);
    hearth__lease *lease = held_since(10000);
    for (int64_t now_ms = 10000 + THIRD; now_ms < 10000 + LIMIT; now_ms += THIRD) {
        assert_int_equal(hearth__leases_due_ms(leases), now_ms);
        assert_null(hearth__leases_due(leases, now_ms - 1));
        assert_ptr_equal(hearth__leases_due(leases, now_ms), lease);
        assert_null(hearth__leases_due(leases, now_ms)); /* it is on its way */
        hearth__lease_extended(lease, false, now_ms);
    }
    assert_true(hearth__leases_due_ms(leases) == INT64_MAX); /* it is not extended for ever */
    assert_int_equal(hearth__leases_held(leases), 1);
    hearth__lease_destroy(lease);
}

static void those_due_first_come_first(void **state) {
    (void)state;
    hearth__lease *first = held_since(0);
    hearth__lease *second = held_since(400);
    hearth__lease *third = held_since(800);
    assert_int_equal(hearth__leases_held(leases), 3);
    assert_ptr_equal(hearth__leases_due(leases, 1500), first);
    hearth__lease_extended(first, false, 1500);
    assert_ptr_equal(hearth__leases_due(leases, 1500), second);
    hearth__lease_extended(second, false, 1500);
    assert_null(hearth__leases_due(leases, 1500));
    hearth__lease_destroy(third);
    assert_int_equal(hearth__leases_due_ms(leases), 2500);
    hearth__lease_destroy(first);
    hearth__lease_destroy(second);
}

static void only_the_first_is_news(void **state) {
    (void)state;
    hearth__lease *first = create("", "a");
    hearth__lease *second = create("", "b");
    assert_true(hearth__lease_hold(first, 0));
    assert_false(hearth__lease_hold(second, 0));
    hearth__lease_destroy(first);
    hearth__lease_destroy(second);
    first = create("", "a");
    assert_true(hearth__lease_hold(first, 0));
    hearth__lease_destroy(first);
}

static void one_that_is_lost_is_due_no_more(void **state) {
    (void)state;
    hearth__lease *lease = held_since(0);
    assert_ptr_equal(hearth__leases_due(leases, THIRD), lease);
    hearth__lease_extended(lease, true, THIRD);
    assert_null(hearth__leases_due(leases, INT64_MAX - 1));
    hearth__lease_destroy(lease);
}

static void one_may_end_while_it_is_extended(void **state) {
    (void)state;
    hearth__lease *lease = held_since(0);
    assert_ptr_equal(hearth__leases_due(leases, THIRD), lease);
    hearth__lease_destroy(lease);
    assert_memory_equal(lease->key, "key", 3); /* whoever extends it still reads it */
    hearth__lease_extended(lease, false, THIRD);
    assert_true(hearth__leases_due_ms(leases) == INT64_MAX);
}

static void one_that_was_not_granted_is_not_held(void **state) {
    (void)state;
    hearth__lease *lease = create("", "key");
    assert_int_equal(hearth__leases_held(leases), 0);
    assert_true(hearth__leases_due_ms(leases) == INT64_MAX);
    hearth__lease_destroy(lease);
}

/* What the child finds, as its exit status. */
static int look_in_child(hearth__lease *inherited) {
    if (hearth__lease_is_own(inherited)) {
        return 1;
    }
    if (hearth__leases_held(leases) != 0 || hearth__leases_due_ms(leases) != INT64_MAX) {
        return 2;
    }
    hearth__lease *own = hearth__lease_create(leases, "", "key", 3, 0, 0);
    if (own == NULL || !hearth__lease_is_own(own) || !hearth__lease_hold(own, 0)) {
        return 3;
    }
    bool other = memcmp(own->token, inherited->token, sizeof own->token) != 0;
    hearth__lease_destroy(inherited);
    if (hearth__leases_held(leases) != 1) {
        return 4;
    }
    hearth__lease_destroy(own);
    return other ? 0 : 5;
}

static void a_child_has_none_of_its_parents(void **state) {
    (void)state;
    hearth__lease *lease = held_since(0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(look_in_child(lease));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(hearth__lease_is_own(lease));
    assert_ptr_equal(hearth__leases_due(leases, THIRD), lease);
    hearth__lease_extended(lease, false, THIRD);
    hearth__lease_destroy(lease);
}

static void without_memory_there_is_none(void **state) {
    (void)state;
    failing_memory_fail(0, 2);
    hearth__lease *lease = hearth__lease_create(leases, "", "key", 3, 0, 0);
    hearth__leases *more = hearth__leases_create(TTL, LIMIT, NULL);
    failing_memory_pass();
    assert_null(lease);
    assert_null(more);
}

enum { THREADS = 4, ROUNDS = 2000 };

/* One extends, the others hold and let go. */
static void hold_or_extend(void *arg, size_t index) {
    (void)arg;
    for (int64_t i = 0; i < ROUNDS; i++) {
        if (index == 0) {
            hearth__lease *lease = hearth__leases_due(leases, INT64_MAX - 1);
            if (lease != NULL) {
                hearth__lease_extended(lease, i % 2 == 0, 0);
            }
            continue;
        }
        hearth__lease *lease = hearth__lease_create(leases, "", "key", 3, 0, 0);
        if (lease != NULL) {
            (void)hearth__lease_hold(lease, 0);
            hearth__lease_destroy(lease);
        }
    }
}

static void threads_hold_while_one_extends(void **state) {
    (void)state;
    assert_true(crowd_run(THREADS, hold_or_extend, NULL));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_leases, close_leases)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_knows_its_place),
        TEST(no_two_have_the_same_token),
        TEST(it_is_due_at_each_third_of_its_time),
        TEST(those_due_first_come_first),
        TEST(only_the_first_is_news),
        TEST(one_that_is_lost_is_due_no_more),
        TEST(one_may_end_while_it_is_extended),
        TEST(one_that_was_not_granted_is_not_held),
        TEST(a_child_has_none_of_its_parents),
        TEST(without_memory_there_is_none),
        TEST(threads_hold_while_one_extends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
