/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/backoff.h"

#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BEGIN_MS INT64_C(1000000)

static hearth__backoff *backoff;

static int make(void **state) {
    (void)state;
    backoff = hearth__backoff_create(BEGIN_MS);
    return backoff != NULL ? 0 : -1;
}

static int destroy(void **state) {
    (void)state;
    hearth__backoff_destroy(backoff);
    return 0;
}

static void hold(const char *key, int64_t until_ms) {
    hearth__backoff_hold(backoff, key, strlen(key), until_ms);
}

static bool holds(const char *key, int64_t now_ms) {
    return hearth__backoff_holds(backoff, key, strlen(key), now_ms);
}

static void a_key_is_held_until_then(void **state) {
    (void)state;
    assert_false(holds("key", BEGIN_MS));
    hold("key", BEGIN_MS + 1000);
    assert_true(holds("key", BEGIN_MS));
    assert_true(holds("key", BEGIN_MS + 999));
    assert_false(holds("key", BEGIN_MS + 1000));
    assert_false(holds("another", BEGIN_MS));
}

static void the_longer_hold_counts(void **state) {
    (void)state;
    hold("key", BEGIN_MS + 1000);
    hold("key", BEGIN_MS + 100);
    assert_true(holds("key", BEGIN_MS + 999));
    hold("key", BEGIN_MS + 2000);
    assert_true(holds("key", BEGIN_MS + 1999));
    assert_false(holds("key", BEGIN_MS + 2000));
}

static void a_failure_is_remembered_until_a_success(void **state) {
    (void)state;
    hold("key", BEGIN_MS + 3000);
    assert_false(hearth__backoff_has_failed(backoff, "key", 3));
    hearth__backoff_fail(backoff, "key", 3, BEGIN_MS + 1000);
    assert_true(hearth__backoff_has_failed(backoff, "key", 3));
    assert_false(hearth__backoff_has_failed(backoff, "another", 7));
    assert_true(holds("key", BEGIN_MS + 2999)); /* the longer hold counts */
    hold("key", BEGIN_MS + 4000);
    assert_true(hearth__backoff_has_failed(backoff, "key", 3));
    hearth__backoff_succeed(backoff, "key", 3);
    assert_false(hearth__backoff_has_failed(backoff, "key", 3));
    assert_true(holds("key", BEGIN_MS + 3999));
    assert_false(holds("key", BEGIN_MS + 4000));
    hearth__backoff_succeed(backoff, "another", 7);
}

static void times_out_of_reach_are_as_near_as_they_can_be(void **state) {
    (void)state;
    hold("past", BEGIN_MS);
    hold("past", INT64_MIN);
    assert_false(holds("past", BEGIN_MS));
    hold("future", INT64_MAX);
    assert_true(holds("future", BEGIN_MS + INT64_C(1000000000000)));
    assert_true(holds("future", INT64_MIN));
}

static const char *name_of(int i) {
    static _Thread_local char name[16];
    (void)snprintf(name, sizeof name, "key%d", i);
    return name;
}

static int held(int from, int to, int64_t now_ms) {
    int count = 0;
    for (int i = from; i < to; i++) {
        count += holds(name_of(i), now_ms);
    }
    return count;
}

/* Of as many as half its places nearly all are kept, of too many still most that fit; and who is not held at all stays so. */
static void it_forgets_when_it_is_full(void **state) {
    (void)state;
    enum { HALF = HEARTH__BACKOFF_KEYS / 2, MANY = 20 * HEARTH__BACKOFF_KEYS };
    for (int i = 0; i < HALF; i++) {
        hold(name_of(i), BEGIN_MS + 1000);
    }
    assert_true(held(0, HALF, BEGIN_MS) > HALF * 95 / 100);
    for (int i = HALF; i < MANY; i++) {
        hold(name_of(i), BEGIN_MS + 2000);
    }
    const int kept = held(0, MANY, BEGIN_MS);
    assert_true(kept <= HEARTH__BACKOFF_KEYS + 10 && kept > HEARTH__BACKOFF_KEYS * 9 / 10);
    assert_true(held(MANY, 2 * MANY, BEGIN_MS) <= 10);
}

/* Whose time is over makes room. */
static void what_is_over_goes_first(void **state) {
    (void)state;
    for (int i = 0; i < 20 * HEARTH__BACKOFF_KEYS; i++) {
        hold(name_of(i), BEGIN_MS + 10);
    }
    hold("key", BEGIN_MS + 1000);
    assert_true(holds("key", BEGIN_MS + 11));
    for (int i = 0; i < HEARTH__BACKOFF_KEYS; i++) {
        hold(name_of(-i - 1), BEGIN_MS + 20);
    }
    assert_true(holds("key", BEGIN_MS + 11));
}

enum { THREADS = 4, KEYS_OF_EACH = 64 };

static void hold_own(void *arg, size_t index) {
    (void)arg;
    for (int i = 0; i < KEYS_OF_EACH; i++) {
        hold(name_of((int)index * KEYS_OF_EACH + i), BEGIN_MS + 1000);
    }
}

static void threads_hold_keys_at_once(void **state) {
    (void)state;
    assert_true(crowd_run(THREADS, hold_own, NULL));
    assert_int_equal(held(0, THREADS * KEYS_OF_EACH, BEGIN_MS), THREADS * KEYS_OF_EACH);
}

#define WITH_BACKOFF(test) cmocka_unit_test_setup_teardown(test, make, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_BACKOFF(a_key_is_held_until_then),
        WITH_BACKOFF(the_longer_hold_counts),
        WITH_BACKOFF(a_failure_is_remembered_until_a_success),
        WITH_BACKOFF(times_out_of_reach_are_as_near_as_they_can_be),
        WITH_BACKOFF(it_forgets_when_it_is_full),
        WITH_BACKOFF(what_is_over_goes_first),
        WITH_BACKOFF(threads_hold_keys_at_once),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
