/* SPDX-License-Identifier: Apache-2.0 */
/* How one node's changes are listened to, over simulated time that begins anywhere. */
#include "coherence/tracking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { PING_MS = 1000, DEAD_MS = 700, RETRY_MS = 1000, CLIENT = 23 };

/* Where the clock may stand when it begins. */
static const int64_t beginnings[] = {0, 1, 4242, INT64_C(1) << 40, INT64_MAX / 2 - 1000000};
enum { BEGINNINGS = sizeof beginnings / sizeof beginnings[0] };

static enum hearth__tracking_news hear(hearth__tracking *tracking, enum hearth__push_kind kind,
                                       int64_t now_ms) {
    const hearth__push push = {.kind = kind, .number = CLIENT};
    return hearth__tracking_hear(tracking, &push, now_ms);
}

static hearth__tracking tracking_of(bool authenticates) {
    hearth__tracking tracking;
    hearth__tracking_init(&tracking, PING_MS, DEAD_MS, RETRY_MS, authenticates);
    return tracking;
}

/* One that has just begun to listen. */
static hearth__tracking listening(int64_t now_ms) {
    hearth__tracking tracking = tracking_of(false);
    assert_int_equal(hearth__tracking_look(&tracking, now_ms), HEARTH__TRACKING_CONNECT);
    hearth__tracking_connected(&tracking, now_ms);
    assert_int_equal(hear(&tracking, HEARTH__PUSH_NUMBER, now_ms), HEARTH__TRACKING_NOTHING);
    assert_int_equal(hear(&tracking, HEARTH__PUSH_SUBSCRIBED, now_ms), HEARTH__TRACKING_BEGUN);
    return tracking;
}

static void it_connects_greets_and_listens(void **state) {
    (void)state;
    for (size_t i = 0; i < BEGINNINGS; i++) {
        int64_t now_ms = beginnings[i];
        hearth__tracking tracking = tracking_of(true);
        assert_int_equal(hearth__tracking_look(&tracking, now_ms), HEARTH__TRACKING_CONNECT);
        assert_int_equal(hearth__tracking_look(&tracking, now_ms + 9), HEARTH__TRACKING_WAIT);
        hearth__tracking_connected(&tracking, now_ms + 10);
        assert_int_equal(hear(&tracking, HEARTH__PUSH_STATUS, now_ms + 11),
                         HEARTH__TRACKING_NOTHING);
        assert_int_equal(hear(&tracking, HEARTH__PUSH_NUMBER, now_ms + 12),
                         HEARTH__TRACKING_NOTHING);
        assert_int_equal(tracking.phase, HEARTH__TRACKING_GREETING);
        assert_int_equal(hear(&tracking, HEARTH__PUSH_SUBSCRIBED, now_ms + 13),
                         HEARTH__TRACKING_BEGUN);
        assert_int_equal(tracking.phase, HEARTH__TRACKING_LISTENING);
        assert_int_equal(tracking.client_id, CLIENT);
        /* What was read after the greeting was sent is told of: that time is proven. */
        assert_int_equal(tracking.asked_ms, now_ms + 10);
        assert_int_equal(hearth__tracking_due_ms(&tracking), now_ms + 13);
    }
}

/* Where all changes are told: only once its number is known it can be said whom to tell. */
static void who_broadcasts_greets_in_two_steps(void **state) {
    (void)state;
    hearth__tracking tracking = tracking_of(false);
    tracking.broadcasts = true;
    assert_int_equal(hearth__tracking_look(&tracking, 1), HEARTH__TRACKING_CONNECT);
    hearth__tracking_connected(&tracking, 2);
    assert_int_equal(hear(&tracking, HEARTH__PUSH_NUMBER, 3), HEARTH__TRACKING_NAMED);
    assert_int_equal(tracking.client_id, CLIENT);
    hearth__tracking other = tracking;
    assert_int_equal(hear(&other, HEARTH__PUSH_SUBSCRIBED, 4), HEARTH__TRACKING_NONSENSE);
    other = tracking;
    assert_int_equal(hear(&other, HEARTH__PUSH_ERROR, 4), HEARTH__TRACKING_REFUSED);
    assert_int_equal(hear(&tracking, HEARTH__PUSH_STATUS, 4), HEARTH__TRACKING_NOTHING);
    assert_int_equal(hear(&tracking, HEARTH__PUSH_SUBSCRIBED, 5), HEARTH__TRACKING_BEGUN);
}

/* The greeting's answers in any other order, and anything else among them, are no such server's. */
static void other_answers_to_the_greeting_are_nonsense(void **state) {
    (void)state;
    static const enum hearth__push_kind right[] = {HEARTH__PUSH_STATUS, HEARTH__PUSH_NUMBER,
                                                   HEARTH__PUSH_SUBSCRIBED};
    for (unsigned answered = 0; answered < 3; answered++) {
        for (int kind = HEARTH__PUSH_STATUS; kind <= HEARTH__PUSH_ALL; kind++) {
            hearth__tracking tracking = tracking_of(true);
            (void)hearth__tracking_look(&tracking, 1);
            hearth__tracking_connected(&tracking, 1);
            for (unsigned i = 0; i < answered; i++) {
                (void)hear(&tracking, right[i], 1);
            }
            enum hearth__tracking_news news = hear(&tracking, (enum hearth__push_kind)kind, 1);
            enum hearth__tracking_news expected =
                kind == HEARTH__PUSH_ERROR        ? HEARTH__TRACKING_REFUSED
                : kind != (int)right[answered]    ? HEARTH__TRACKING_NONSENSE
                : kind == HEARTH__PUSH_SUBSCRIBED ? HEARTH__TRACKING_BEGUN
                                                  : HEARTH__TRACKING_NOTHING;
            assert_int_equal(news, expected);
        }
    }
}

static void one_ping_is_outstanding_at_a_time(void **state) {
    (void)state;
    for (size_t i = 0; i < BEGINNINGS; i++) {
        int64_t now_ms = beginnings[i];
        hearth__tracking tracking = listening(now_ms);
        unsigned pings = 0;
        int64_t asked_ms = 0;
        /* Pongs that take 300 ms: a ping each PING_MS. */
        for (int64_t ms = 0; ms < INT64_C(10) * PING_MS; ms += 10) {
            enum hearth__tracking_act act = hearth__tracking_look(&tracking, now_ms + ms);
            assert_true(act == HEARTH__TRACKING_WAIT || act == HEARTH__TRACKING_PING);
            if (act == HEARTH__TRACKING_PING) {
                pings++;
                asked_ms = now_ms + ms;
                assert_int_equal(hearth__tracking_due_ms(&tracking), asked_ms + DEAD_MS);
            }
            if (tracking.owes && now_ms + ms == asked_ms + 300) {
                assert_int_equal(hear(&tracking, HEARTH__PUSH_PONG, now_ms + ms),
                                 HEARTH__TRACKING_PROVEN);
                assert_int_equal(tracking.asked_ms, asked_ms);
            }
        }
        assert_int_equal(pings, 10);
    }
}

/* Invalidations prove nothing: only a pong counts. */
static void a_silent_node_is_given_up(void **state) {
    (void)state;
    for (size_t i = 0; i < BEGINNINGS; i++) {
        int64_t now_ms = beginnings[i];
        hearth__tracking tracking = listening(now_ms);
        assert_int_equal(hearth__tracking_look(&tracking, now_ms), HEARTH__TRACKING_PING);
        assert_int_equal(hear(&tracking, HEARTH__PUSH_KEY, now_ms + 1),
                         HEARTH__TRACKING_CHANGED);
        assert_int_equal(hear(&tracking, HEARTH__PUSH_ALL, now_ms + 1),
                         HEARTH__TRACKING_FLUSHED);
        assert_int_equal(hearth__tracking_look(&tracking, now_ms + DEAD_MS - 1),
                         HEARTH__TRACKING_WAIT);
        assert_int_equal(hearth__tracking_look(&tracking, now_ms + DEAD_MS),
                         HEARTH__TRACKING_GIVE_UP);
    }
}

static void a_greeting_without_an_answer_is_given_up(void **state) {
    (void)state;
    hearth__tracking tracking = tracking_of(false);
    (void)hearth__tracking_look(&tracking, 1);
    hearth__tracking_connected(&tracking, 1);
    (void)hear(&tracking, HEARTH__PUSH_NUMBER, 2);
    assert_int_equal(hearth__tracking_look(&tracking, DEAD_MS), HEARTH__TRACKING_WAIT);
    assert_int_equal(hearth__tracking_look(&tracking, 1 + DEAD_MS), HEARTH__TRACKING_GIVE_UP);
}

static void nobody_pongs_unasked(void **state) {
    (void)state;
    hearth__tracking tracking = listening(1);
    assert_int_equal(hear(&tracking, HEARTH__PUSH_PONG, 1), HEARTH__TRACKING_NONSENSE);
    for (int kind = HEARTH__PUSH_STATUS; kind <= HEARTH__PUSH_SUBSCRIBED; kind++) {
        assert_int_equal(hear(&tracking, (enum hearth__push_kind)kind, 1),
                         HEARTH__TRACKING_NONSENSE);
    }
}

/* At most one attempt a second, whatever the random numbers are; soon, if the last one is long ago. */
static void lost_nodes_are_called_again(void **state) {
    (void)state;
    for (size_t i = 0; i < BEGINNINGS; i++) {
        for (uint64_t random = 0; random < 5000; random += 7) {
            int64_t now_ms = beginnings[i];
            hearth__tracking tracking = listening(now_ms);
            hearth__tracking_lost(&tracking, random, now_ms + 100000);
            assert_true(hearth__tracking_due_ms(&tracking) < now_ms + 100050);
            int64_t tried_ms = INT64_MIN / 2;
            int64_t at_least_ms = 0; /* between the last two attempts */
            now_ms = hearth__tracking_due_ms(&tracking);
            for (unsigned failures = 0; failures < 6; failures++) {
                assert_int_equal(hearth__tracking_look(&tracking, now_ms - 1),
                                 HEARTH__TRACKING_WAIT);
                assert_int_equal(hearth__tracking_look(&tracking, now_ms),
                                 HEARTH__TRACKING_CONNECT);
                assert_true(now_ms - tried_ms >= at_least_ms);
                tried_ms = now_ms;
                at_least_ms = INT64_C(1000) << (failures < 3 ? failures : 3);
                hearth__tracking_lost(&tracking, random * 31, now_ms + 3);
                now_ms = hearth__tracking_due_ms(&tracking);
                assert_true(now_ms - tried_ms <= at_least_ms * 3 / 2);
            }
        }
    }
}

/* One that is lost again and again right after it listened is no reason to call more often. */
static void a_flapping_node_is_called_once_a_second(void **state) {
    (void)state;
    int64_t now_ms = 5000;
    hearth__tracking tracking = listening(now_ms);
    for (unsigned i = 0; i < 20; i++) {
        int64_t tried_ms = now_ms;
        hearth__tracking_lost(&tracking, i, now_ms);
        now_ms = hearth__tracking_due_ms(&tracking);
        assert_true(now_ms - tried_ms >= 1000 && now_ms - tried_ms <= 1500);
        assert_int_equal(hearth__tracking_look(&tracking, now_ms), HEARTH__TRACKING_CONNECT);
        hearth__tracking_connected(&tracking, now_ms);
        (void)hear(&tracking, HEARTH__PUSH_NUMBER, now_ms);
        assert_int_equal(hear(&tracking, HEARTH__PUSH_SUBSCRIBED, now_ms),
                         HEARTH__TRACKING_BEGUN);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_connects_greets_and_listens),
        cmocka_unit_test(who_broadcasts_greets_in_two_steps),
        cmocka_unit_test(other_answers_to_the_greeting_are_nonsense),
        cmocka_unit_test(one_ping_is_outstanding_at_a_time),
        cmocka_unit_test(a_silent_node_is_given_up),
        cmocka_unit_test(a_greeting_without_an_answer_is_given_up),
        cmocka_unit_test(nobody_pongs_unasked),
        cmocka_unit_test(lost_nodes_are_called_again),
        cmocka_unit_test(a_flapping_node_is_called_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
