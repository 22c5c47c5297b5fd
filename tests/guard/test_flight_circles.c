/* SPDX-License-Identifier: Apache-2.0 */
/* Loaders that load other keys: no thread ever waits for itself, through however many others, and
 * nobody is told so who does not. */
#include "base/clock.h"
#include "guard/guard.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 100 };

static int64_t blocks_before;

static hearth__flights *open_flights(void) {
    blocks_before = failing_memory_blocks();
    hearth__flights *flights = hearth__flights_create(NULL); /* no results are given here */
    assert_non_null(flights);
    return flights;
}

static void close_flights(hearth__flights *flights) {
    assert_int_equal(hearth__flights_count(flights), 0);
    hearth__flights_destroy(flights);
    assert_int_equal(failing_memory_blocks(), blocks_before);
}

/* Far beyond what any of this takes: a circle that nobody notices ends here, as a failure. */
static int64_t late(void) {
    return hearth__deadline_ns(20000);
}

static int32_t join(hearth__flights *flights, const char *key, hearth__flight **flight,
                    bool *leads) {
    return hearth__flight_join(flights, key, strlen(key), late(), flight, leads);
}

static void the_own_key_is_told_at_once(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flight *own = NULL;
    hearth__flight *inner = NULL;
    hearth__flight *other = NULL;
    bool leads = false;
    assert_int_equal(join(flights, "a", &own, &leads), HEARTH_OK);
    assert_int_equal(join(flights, "a", &other, &leads), HEARTH_E_DEADLOCK);
    assert_int_equal(join(flights, "b", &inner, &leads), HEARTH_OK);
    assert_true(leads);
    assert_int_equal(join(flights, "a", &other, &leads), HEARTH_E_DEADLOCK);
    assert_int_equal(join(flights, "b", &other, &leads), HEARTH_E_DEADLOCK);
    hearth__flight_land(inner, HEARTH_OK, NULL);
    assert_int_equal(join(flights, "a", &other, &leads), HEARTH_E_DEADLOCK);
    hearth__flight_land(own, HEARTH_OK, NULL);
    assert_int_equal(join(flights, "a", &own, &leads), HEARTH_OK);
    assert_true(leads);
    hearth__flight_land(own, HEARTH_OK, NULL);
    close_flights(flights);
}

/* A load that its own loader's write has detached stands in nobody's way. */
static void an_own_write_lets_the_own_key_be_loaded_anew(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flight *own = NULL;
    hearth__flight *fresh = NULL;
    bool leads = false;
    assert_int_equal(join(flights, "a", &own, &leads), HEARTH_OK);
    assert_true(hearth__flight_detach(flights, "a", 1, late()));
    assert_int_equal(join(flights, "a", &fresh, &leads), HEARTH_OK);
    assert_true(leads);
    hearth__flight_land(fresh, HEARTH_OK, NULL);
    hearth__flight_land(own, HEARTH_OK, NULL);
    close_flights(flights);
}

static int32_t join_many(hearth__flights *flights, const char *key, hearth__flight **flight,
                         bool *leads) {
    return hearth__flight_join_many(flights, key, strlen(key), late(), flight, leads);
}

static void who_takes_part_in_many_is_told_when_it_waits(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flight *outer = NULL;
    hearth__flight *own = NULL;
    hearth__flight *again = NULL;
    const void *result = NULL;
    bool leads = false;
    assert_int_equal(join(flights, "outer", &outer, &leads), HEARTH_OK);
    assert_int_equal(join_many(flights, "own", &own, &leads), HEARTH_OK);
    assert_true(leads);
    assert_int_equal(join_many(flights, "outer", &again, &leads), HEARTH_OK);
    assert_false(leads);
    hearth__flight_land(own, HEARTH_OK, NULL); /* it waits for nobody */
    assert_int_equal(hearth__flight_await(again, late(), &result), HEARTH_E_DEADLOCK);
    hearth__flight_leave(again);
    hearth__flight_land(outer, HEARTH_OK, NULL);
    close_flights(flights);
}

/* The flights of a batch land as they are done, the outermost first. */
static void flights_of_one_thread_land_in_any_order(void **state) {
    (void)state;
    static const char *const keys[] = {"a", "b", "c"};
    static const size_t orders[][3] = {{0, 1, 2}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        hearth__flights *flights = open_flights();
        hearth__flight *led[3];
        hearth__flight *other = NULL;
        bool leads = false;
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(join(flights, keys[j], &led[j], &leads), HEARTH_OK);
        }
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(join(flights, keys[orders[i][j]], &other, &leads),
                             HEARTH_E_DEADLOCK);
            hearth__flight_land(led[orders[i][j]], HEARTH_OK, NULL);
            assert_int_equal(hearth__flights_is_leader(flights), j != 2);
        }
        close_flights(flights);
    }
}

/* ---- step by step ---- */

/* The other thread: leads `own`, then follows `wanted`, and waits when told to. */
struct other {
    hearth__flights *flights;
    const char *own;
    const char *wanted;
    struct event ready; /* leads, then follows */
    struct event may_follow;
    struct event may_wait;
    int32_t followed; /* what join said */
    int32_t awaited;
};

static void lead_then_follow(void *arg, size_t index) {
    struct other *other = arg;
    hearth__flight *own = NULL;
    hearth__flight *wanted = NULL;
    const void *result = NULL;
    bool leads = false;
    (void)join(other->flights, other->own, &own, &leads);
    event_raise(&other->ready);
    if (event_await(&other->may_follow, 1)) {
        other->followed = join(other->flights, other->wanted, &wanted, &leads);
    }
    event_raise(&other->ready);
    if (other->followed == HEARTH_OK && event_await(&other->may_wait, 1)) {
        other->awaited = hearth__flight_await(wanted, late(), &result);
        hearth__flight_leave(wanted);
    }
    hearth__flight_land(own, HEARTH_OK, NULL);
    (void)index;
}

/* It is enough to have joined: who follows will wait, and must not be followed in turn. */
static void a_circle_of_two_is_told_before_anybody_waits(void **state) {
    (void)state;
    struct other other = {.flights = open_flights(),
                          .own = "b",
                          .wanted = "a",
                          .ready = EVENT_INIT,
                          .may_follow = EVENT_INIT,
                          .may_wait = EVENT_INIT};
    hearth__flight *own = NULL;
    hearth__flight *wanted = NULL;
    bool leads = false;
    assert_int_equal(join(other.flights, "a", &own, &leads), HEARTH_OK);
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, lead_then_follow, &other));
    bool ready = event_await(&other.ready, 1);
    event_raise(&other.may_follow);
    ready = ready && event_await(&other.ready, 2);
    int32_t status = join(other.flights, "b", &wanted, &leads);
    event_raise(&other.may_wait);
    hearth__flight_land(own, HEARTH_OK, NULL);
    crowd_join(&crowd);
    assert_true(ready);
    assert_int_equal(other.followed, HEARTH_OK);
    assert_int_equal(other.awaited, HEARTH_OK);
    assert_int_equal(status, HEARTH_E_DEADLOCK);
    close_flights(other.flights);
}

/* Whoever waited and is back stands in nobody's way. */
static void a_wait_that_is_over_is_no_circle(void **state) {
    (void)state;
    struct other other = {.flights = open_flights(),
                          .own = "b",
                          .wanted = "c",
                          .ready = EVENT_INIT,
                          .may_follow = EVENT_INIT,
                          .may_wait = EVENT_INIT};
    hearth__flight *wanted = NULL;
    const void *result = NULL;
    bool leads = false;
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, lead_then_follow, &other));
    bool ready = event_await(&other.ready, 1);
    hearth__flight *own = NULL;
    int32_t status = join(other.flights, "a", &own, &leads);
    int32_t followed = join(other.flights, "b", &wanted, &leads);
    /* Its deadline is over before b lands: it goes on with its own load of a. */
    int32_t awaited = hearth__flight_await(wanted, 1, &result);
    other.wanted = "a";
    event_raise(&other.may_follow);
    ready = ready && event_await(&other.ready, 2);
    hearth__flight_leave(wanted);
    event_raise(&other.may_wait);
    hearth__flight_land(own, HEARTH_ABSENT, NULL);
    crowd_join(&crowd);
    assert_true(ready && status == HEARTH_OK && followed == HEARTH_OK);
    assert_int_equal(awaited, HEARTH_E_TIMEOUT);
    assert_int_equal(other.followed, HEARTH_OK);
    assert_int_equal(other.awaited, HEARTH_ABSENT);
    close_flights(other.flights);
}

/* ---- all at once ---- */

/* `size` threads, each loading its own key, and in its loader that of the next. */
struct ring {
    hearth__flights *flights;
    size_t size;
    struct event leading;
    _Atomic int deadlocks;
    _Atomic int others; /* anything but a deadlock or an answer */
};

static void ask_for_next(void *arg, size_t index) {
    struct ring *ring = arg;
    const char own[] = {(char)('a' + index), '\0'};
    const char next[] = {(char)('a' + (index + 1) % ring->size), '\0'};
    hearth__flight *flight = NULL;
    hearth__flight *wanted = NULL;
    const void *result = NULL;
    bool leads = false;
    int32_t status = join(ring->flights, own, &flight, &leads);
    event_raise(&ring->leading);
    bool all_lead = event_await(&ring->leading, ring->size);
    if (status == HEARTH_OK && leads && all_lead) {
        status = join(ring->flights, next, &wanted, &leads);
        if (status == HEARTH_OK && leads) {
            hearth__flight_land(wanted, HEARTH_OK, NULL);
        } else if (status == HEARTH_OK) {
            status = hearth__flight_await(wanted, late(), &result);
            hearth__flight_leave(wanted);
        }
    }
    atomic_fetch_add(&ring->deadlocks, status == HEARTH_E_DEADLOCK);
    atomic_fetch_add(&ring->others, status != HEARTH_E_DEADLOCK && status != HEARTH_OK);
    hearth__flight_land(flight, HEARTH_OK, NULL);
}

/* One is told, and with that the circle is broken: everybody else gets an answer. */
static void expect_one_deadlock(size_t size) {
    for (int round = 0; round < ROUNDS; round++) {
        struct ring ring = {.flights = open_flights(), .size = size, .leading = EVENT_INIT};
        assert_true(crowd_run(size, ask_for_next, &ring));
        assert_int_equal(atomic_load(&ring.others), 0);
        assert_int_equal(atomic_load(&ring.deadlocks), 1);
        close_flights(ring.flights);
    }
}

static void a_circle_of_two_is_broken_once(void **state) {
    (void)state;
    expect_one_deadlock(2);
}

static void a_circle_of_three_is_broken_once(void **state) {
    (void)state;
    expect_one_deadlock(3);
}

static void a_circle_of_eight_is_broken_once(void **state) {
    (void)state;
    expect_one_deadlock(8);
}

/* Keys that are only ever asked for upwards have no circle, whatever the threads do. */
enum { CLIMBERS = 8, KEYS = 6, CLIMBS = 300 };

struct climb {
    hearth__flights *flights;
    _Atomic int failures;
    _Atomic int landed;
};

/* A loader that fetches, whose loader fetches: recursion is what is tested. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void climb_from(struct climb *climb, char key, uint32_t random) {
    hearth__flight *flight = NULL;
    const void *result = NULL;
    bool leads = false;
    int32_t status = hearth__flight_join(climb->flights, &key, 1, late(), &flight, &leads);
    if (status == HEARTH_OK && leads) {
        if (key + 1 < KEYS) {
            climb_from(climb, (char)(key + 1), random / 2);
        }
        if (random % 2 == 0 && hearth__flight_store_begin(flight)) {
            hearth__flight_store_end(flight);
        }
        atomic_fetch_add(&climb->landed, 1);
        hearth__flight_land(flight, HEARTH_OK, NULL);
    } else if (status == HEARTH_OK) {
        status = hearth__flight_await(flight, late(), &result);
        hearth__flight_leave(flight);
    }
    atomic_fetch_add(&climb->failures, status != HEARTH_OK);
}

static void climb(void *arg, size_t index) {
    uint32_t random = (uint32_t)index;
    for (int i = 0; i < CLIMBS; i++) {
        random = random * 1664525u + 1013904223u;
        const char key = (char)((random >> 8) % KEYS);
        if (index % 4 == 3) {
            (void)hearth__flight_detach(((struct climb *)arg)->flights, &key, 1, late());
        } else {
            climb_from(arg, key, random >> 12);
        }
    }
}

static void nested_loads_without_a_circle_all_end_well(void **state) {
    (void)state;
    struct climb all = {.flights = open_flights()};
    assert_true(crowd_run(CLIMBERS, climb, &all));
    assert_int_equal(atomic_load(&all.failures), 0);
    assert_true(atomic_load(&all.landed) >= KEYS);
    close_flights(all.flights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_own_key_is_told_at_once),
        cmocka_unit_test(who_takes_part_in_many_is_told_when_it_waits),
        cmocka_unit_test(flights_of_one_thread_land_in_any_order),
        cmocka_unit_test(an_own_write_lets_the_own_key_be_loaded_anew),
        cmocka_unit_test(a_circle_of_two_is_told_before_anybody_waits),
        cmocka_unit_test(a_wait_that_is_over_is_no_circle),
        cmocka_unit_test(a_circle_of_two_is_broken_once),
        cmocka_unit_test(a_circle_of_three_is_broken_once),
        cmocka_unit_test(a_circle_of_eight_is_broken_once),
        cmocka_unit_test(nested_loads_without_a_circle_all_end_well),
    };
    return cmocka_run_group_tests_name("flight circles", tests, NULL, NULL);
}
