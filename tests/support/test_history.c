/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of histories: it finds an order where there is one, and only there. */
#include "support/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CALLS_MAX = 8 };

/* A history of one key, and what is to be said of it when values stay, and when they may vanish. */
struct example {
    const char *what;
    enum history_verdict stays;
    enum history_verdict vanishes;
    struct history_call
        calls[CALLS_MAX]; /* begun, ended, value, key, kind; those that never end are none */
};

#define OK  HISTORY_LEGAL
#define BAD HISTORY_ILLEGAL
#define SET HISTORY_SET
#define GET HISTORY_GET

static const struct example examples[] = {
    {"nothing is there at first", OK, OK, {{1, 2, 0, 0, GET}, {3, 4, 0, 0, HISTORY_NO_DROP}}},
    {"what was set is seen", OK, OK, {{1, 2, 7, 0, SET}, {3, 4, 7, 0, GET}}},
    {"what nobody set is not", BAD, BAD, {{1, 2, 7, 0, SET}, {3, 4, 8, 0, GET}}},
    {"nor what will be set", BAD, BAD, {{1, 2, 7, 0, GET}, {3, 4, 7, 0, SET}}},
    {"a miss of what is there", BAD, OK, {{1, 2, 7, 0, SET}, {3, 4, 0, 0, GET}}},
    {"a miss, and it is back",
     BAD,
     BAD,
     {{1, 2, 7, 0, SET}, {3, 4, 0, 0, GET}, {5, 6, 7, 0, GET}}},
    {"the same, but the set went on",
     OK,
     OK,
     {{1, 9, 7, 0, SET}, {3, 4, 0, 0, GET}, {5, 6, 7, 0, GET}}},
    {"old after new",
     BAD,
     BAD,
     {{1, 2, 7, 0, SET}, {3, 4, 8, 0, SET}, {5, 6, 8, 0, GET}, {7, 8, 7, 0, GET}}},
    {"two sets at a time end in one order",
     OK,
     OK,
     {{1, 4, 7, 0, SET}, {1, 4, 8, 0, SET}, {5, 6, 7, 0, GET}, {7, 8, 7, 0, GET}}},
    {"and not in both",
     BAD,
     BAD,
     {{1, 4, 7, 0, SET}, {1, 4, 8, 0, SET}, {5, 6, 7, 0, GET}, {7, 8, 8, 0, GET}}},
    {"two gets at a time, either side of a set",
     OK,
     OK,
     {{1, 2, 7, 0, SET}, {3, 9, 8, 0, SET}, {4, 8, 8, 0, GET}, {4, 8, 7, 0, GET}}},
    {"one after the other, the wrong way round",
     BAD,
     BAD,
     {{1, 2, 7, 0, SET}, {3, 9, 8, 0, SET}, {4, 5, 8, 0, GET}, {6, 7, 7, 0, GET}}},
    {"what ends as another begins may have come after it",
     OK,
     OK,
     {{1, 2, 7, 0, SET}, {3, 4, 8, 0, SET}, {4, 5, 7, 0, GET}}},
    {"gone after a drop",
     BAD,
     BAD,
     {{1, 2, 7, 0, SET}, {3, 4, 0, 0, HISTORY_DROP}, {5, 6, 7, 0, GET}}},
    {"dropped twice",
     BAD,
     BAD,
     {{1, 2, 7, 0, SET}, {3, 4, 0, 0, HISTORY_DROP}, {5, 6, 0, 0, HISTORY_DROP}}},
    {"a drop that found nothing", BAD, OK, {{1, 2, 7, 0, SET}, {3, 4, 0, 0, HISTORY_NO_DROP}}},
    {"cleared, whatever was there",
     OK,
     OK,
     {{1, 2, 0, 0, HISTORY_CLEAR},
      {3, 4, 7, 0, SET},
      {5, 6, 0, 0, HISTORY_CLEAR},
      {7, 8, 0, 0, GET}}},
    {"a clear between two gets, though it began before",
     OK,
     OK,
     {{1, 9, 7, 0, SET}, {1, 9, 0, 0, HISTORY_CLEAR}, {2, 3, 7, 0, GET}, {4, 5, 0, 0, GET}}},
    {"a clear that did not",
     BAD,
     BAD,
     {{3, 4, 7, 0, SET}, {5, 6, 0, 0, HISTORY_CLEAR}, {7, 8, 7, 0, GET}}},
    {"keys do not mix", BAD, BAD, {{1, 2, 7, 1, SET}, {3, 4, 7, 2, GET}}},
    {"and are in no order",
     OK,
     OK,
     {{1, 2, 7, 1, SET},
      {3, 4, 8, 2, SET},
      {5, 6, 7, 1, GET},
      {5, 6, 8, 2, GET},
      {7, 8, 7, 1, GET}}},
    {"a chain that only one order of four explains",
     OK,
     OK,
     {{1, 20, 7, 0, SET},
      {1, 20, 8, 0, SET},
      {1, 20, 0, 0, HISTORY_DROP},
      {1, 20, 9, 0, SET},
      {2, 3, 8, 0, GET},
      {4, 5, 7, 0, GET},
      {6, 7, 0, 0, GET},
      {8, 9, 9, 0, GET}}},
    {"a chain with a drop too few",
     BAD,
     OK,
     {{1, 20, 7, 0, SET},
      {1, 20, 8, 0, SET},
      {1, 20, 9, 0, SET},
      {2, 3, 8, 0, GET},
      {4, 5, 7, 0, GET},
      {6, 7, 0, 0, GET},
      {8, 9, 9, 0, GET}}},
};

static void every_example_is_judged_right(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        for (int vanishes = 0; vanishes < 2; vanishes++) {
            struct history_call calls[CALLS_MAX];
            size_t count = 0;
            size_t culprit = 0;
            memcpy(calls, examples[i].calls, sizeof calls);
            while (count < CALLS_MAX && calls[count].ended_ns != 0) {
                count++;
            }
            enum history_verdict expected =
                vanishes != 0 ? examples[i].vanishes : examples[i].stays;
            if (history_judge(calls, count, vanishes != 0, &culprit) != expected) {
                fail_msg("%s (vanishes: %d)", examples[i].what, vanishes);
            }
        }
    }
}

static void the_call_that_does_not_fit_is_named(void **state) {
    (void)state;
    struct history_call calls[] = {{5, 6, 7, 2, GET},
                                   {1, 2, 7, 1, SET},
                                   {3, 4, 8, 2, SET},
                                   {5, 6, 7, 1, GET},
                                   {7, 8, 8, 2, GET}};
    size_t culprit = 0;
    assert_int_equal(history_judge(calls, 5, false, &culprit), HISTORY_ILLEGAL);
    assert_int_equal(calls[culprit].key, 2);
    assert_int_equal(calls[culprit].value, 7);
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

enum { LONG = 20000, AT_A_TIME = 5 };

/* A history that was made from an order of moments, each call's beginning and end around its own. */
static void make_history(struct history_call *calls, uint32_t *random) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < LONG; i++) {
        int64_t moment = (int64_t)i * 10;
        calls[i] = (struct history_call){
            .begun_ns = moment - (int64_t)(next_random(random) % (AT_A_TIME * 10)),
            .ended_ns = moment + (int64_t)(next_random(random) % (AT_A_TIME * 10)),
            .kind = next_random(random) % 3 == 0 ? SET : GET};
        if (calls[i].kind == SET) {
            value = i + 1;
        } else if (next_random(random) % 8 == 0) {
            calls[i].kind = value != 0 ? HISTORY_DROP : HISTORY_NO_DROP;
            value = 0;
        }
        calls[i].value = value;
    }
}

static void a_long_history_is_judged_soon(void **state) {
    (void)state;
    struct history_call *calls = malloc(LONG * sizeof *calls);
    uint32_t random = 3;
    size_t culprit = 0;
    assert_non_null(calls);
    make_history(calls, &random);
    assert_int_equal(history_judge(calls, LONG, false, &culprit), HISTORY_LEGAL);
    /* A get near the end sees what was set near the beginning. */
    make_history(calls, &random);
    uint32_t old = 0;
    uint32_t young = LONG - 1;
    while (calls[old].kind != SET) {
        old++;
    }
    while (calls[young].kind != GET) {
        young--;
    }
    calls[young].value = calls[old].value;
    assert_int_equal(history_judge(calls, LONG, false, &culprit), HISTORY_ILLEGAL);
    assert_int_equal(calls[culprit].value, old + 1);
    free(calls);
}

static void more_at_a_time_than_can_be_told_is_said(void **state) {
    (void)state;
    struct history_call calls[65];
    size_t culprit = 0;
    for (size_t i = 0; i < 65; i++) {
        calls[i] = (struct history_call){1, 2, i + 1, 0, SET};
    }
    assert_int_equal(history_judge(calls, 65, false, &culprit), HISTORY_UNDECIDED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_is_judged_right),
        cmocka_unit_test(the_call_that_does_not_fit_is_named),
        cmocka_unit_test(a_long_history_is_judged_soon),
        cmocka_unit_test(more_at_a_time_than_can_be_told_is_said),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
