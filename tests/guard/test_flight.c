/* SPDX-License-Identifier: Apache-2.0 */
/* Single flight: who leads, who waits, what they get, and what a writer changes. */
#include "base/clock.h"
#include "guard/guard.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAST = 1 }; /* a deadline, in ns, that is over */

static _Atomic int results_alive;
static _Atomic int releases;

static void *new_result(int number) {
    int *result = malloc(sizeof *result);
    if (result != NULL) {
        *result = number;
        atomic_fetch_add(&results_alive, 1);
    }
    return result;
}

static void release_result(void *result) {
    atomic_fetch_sub(&results_alive, 1);
    atomic_fetch_add(&releases, 1);
    free(result);
}

static hearth__flights *open_flights(void) {
    atomic_store(&releases, 0);
    hearth__flights *flights = hearth__flights_create(release_result);
    assert_non_null(flights);
    return flights;
}

static void close_flights(hearth__flights *flights) {
    assert_int_equal(hearth__flights_count(flights), 0);
    hearth__flights_destroy(flights);
    assert_int_equal(atomic_load(&results_alive), 0);
    assert_int_equal(failing_memory_blocks(), 0);
    assert_false(hearth__flights_is_leader(flights));
}

static int64_t soon(void) {
    return hearth__deadline_ns(60000);
}

static int32_t join(hearth__flights *flights, const char *key, int64_t deadline_ns,
                    hearth__flight **flight, bool *leads) {
    return hearth__flight_join(flights, key, strlen(key), deadline_ns, flight, leads);
}

static hearth__flight *lead(hearth__flights *flights, const char *key) {
    hearth__flight *flight = NULL;
    bool leads = false;
    assert_int_equal(join(flights, key, soon(), &flight, &leads), HEARTH_OK);
    assert_true(leads);
    return flight;
}

static bool detach(hearth__flights *flights, const char *key, int64_t deadline_ns) {
    return hearth__flight_detach(flights, key, strlen(key), deadline_ns);
}

/* ---- many threads, one key ---- */

/* What each of many threads that join "key" found. */
struct party {
    hearth__flights *flights;
    struct event joined;
    size_t others; /* who are to have joined before the leader lands */
    int32_t lands; /* with this status */
    int64_t deadline_ns;
    _Atomic int leaders;
    int32_t statuses[CROWD_MAX];
    int numbers[CROWD_MAX]; /* 0: no result */
};

static void take_part(void *arg, size_t index) {
    struct party *party = arg;
    hearth__flight *flight = NULL;
    bool leads = false;
    int32_t status = join(party->flights, "key", soon(), &flight, &leads);
    if (status == HEARTH_OK && leads) {
        atomic_fetch_add(&party->leaders, 1);
        party->numbers[index] = 7;
        if (!event_await(&party->joined, party->others)) {
            status = HEARTH_E_TIMEOUT;
        }
        void *result = party->lands >= 0 ? new_result(7) : NULL;
        hearth__flight_land(flight, party->lands, result);
    } else if (status == HEARTH_OK) {
        const void *result = NULL;
        event_raise(&party->joined);
        status = hearth__flight_await(flight, party->deadline_ns, &result);
        party->numbers[index] = result != NULL ? *(const int *)result : 0;
        hearth__flight_leave(flight);
    }
    party->statuses[index] = status;
}

static void one_of_64_leads_and_all_get_its_result(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct party party = {.flights = open_flights(),
                              .joined = EVENT_INIT,
                              .others = CROWD_MAX - 1,
                              .deadline_ns = soon()};
        assert_true(crowd_run(CROWD_MAX, take_part, &party));
        assert_int_equal(atomic_load(&party.leaders), 1);
        for (size_t i = 0; i < CROWD_MAX; i++) {
            assert_int_equal(party.statuses[i], HEARTH_OK);
            assert_int_equal(party.numbers[i], 7);
        }
        assert_int_equal(atomic_load(&releases), 1);
        close_flights(party.flights);
    }
}

static void an_error_is_shared(void **state) {
    (void)state;
    struct party party = {.flights = open_flights(),
                          .joined = EVENT_INIT,
                          .others = 8,
                          .lands = HEARTH_E_LOADER,
                          .deadline_ns = soon()};
    hearth__flight *flight = lead(party.flights, "key");
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 8, take_part, &party));
    bool joined = event_await(&party.joined, 8);
    hearth__flight_land(flight, HEARTH_E_LOADER, NULL);
    crowd_join(&crowd);
    assert_true(joined);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(party.statuses[i], HEARTH_E_LOADER);
        assert_int_equal(party.numbers[i], 0);
    }
    assert_int_equal(atomic_load(&releases), 0);
    close_flights(party.flights);
}

static void a_waiter_leaves_at_its_deadline(void **state) {
    (void)state;
    struct party party = {.flights = open_flights(), .joined = EVENT_INIT, .deadline_ns = PAST};
    hearth__flight *flight = lead(party.flights, "key");
    assert_true(crowd_run(8, take_part, &party)); /* all are back before it lands */
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(party.statuses[i], HEARTH_E_TIMEOUT);
        assert_int_equal(party.numbers[i], 0);
    }
    assert_int_equal(hearth__flights_count(party.flights), 1);
    hearth__flight_land(flight, HEARTH_OK, new_result(1));
    assert_int_equal(atomic_load(&releases), 1);
    close_flights(party.flights);
}

/* ---- roles ---- */

static void a_thread_that_leads_is_known_to_lead(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flights *others = hearth__flights_create(release_result);
    assert_false(hearth__flights_is_leader(flights));
    hearth__flight *outer = lead(flights, "outer");
    hearth__flight *inner = lead(flights, "inner");
    hearth__flight *other = lead(others, "outer");
    assert_int_equal(hearth__flights_count(flights), 2);
    assert_int_equal(hearth__flights_count(others), 1);
    assert_true(hearth__flights_is_leader(others));
    hearth__flight_land(other, HEARTH_OK, NULL);
    assert_false(hearth__flights_is_leader(others));
    hearth__flight_land(inner, HEARTH_ABSENT, NULL);
    assert_true(hearth__flights_is_leader(flights));
    inner = lead(flights, "inner"); /* it has landed: again */
    hearth__flight_land(inner, HEARTH_OK, NULL);
    hearth__flight_land(outer, HEARTH_OK, new_result(1));
    assert_int_equal(atomic_load(&releases), 1);
    hearth__flights_destroy(others);
    close_flights(flights);
}

static void who_only_wants_to_lead_is_told_that_somebody_does(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flight *flight = NULL;
    hearth__flight *second = NULL;
    assert_int_equal(hearth__flight_try_lead(flights, "key", 3, &flight), HEARTH_OK);
    assert_int_equal(hearth__flight_try_lead(flights, "key", 3, &second), HEARTH_EXISTS);
    assert_int_equal(hearth__flight_try_lead(flights, "ke", 2, &second), HEARTH_OK);
    hearth__flight_land(second, HEARTH_OK, NULL);
    hearth__flight_land(flight, HEARTH_OK, NULL);
    assert_int_equal(hearth__flight_try_lead(flights, "key", 3, &flight), HEARTH_OK);
    hearth__flight_land(flight, HEARTH_OK, NULL);
    close_flights(flights);
}

/* ---- writers ---- */

static void a_write_detaches_the_flight(void **state) {
    (void)state;
    struct party party = {
        .flights = open_flights(), .joined = EVENT_INIT, .deadline_ns = soon()};
    hearth__flights *flights = party.flights;
    assert_false(detach(flights, "key", soon()));
    hearth__flight *old = lead(flights, "key");
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 4, take_part, &party));
    bool joined = event_await(&party.joined, 4);
    assert_false(detach(flights, "other", soon()));
    assert_true(detach(flights, "key", soon()));
    assert_false(detach(flights, "key", soon())); /* nobody is there to be detached */
    /* Who comes now begins anew. */
    hearth__flight *fresh = lead(flights, "key");
    assert_int_equal(hearth__flights_count(flights), 2);
    assert_true(hearth__flight_store_begin(fresh));
    hearth__flight_store_end(fresh);
    hearth__flight_land(fresh, HEARTH_OK, new_result(2));
    /* The old one stores nothing, but who waited gets what it loaded. */
    assert_false(hearth__flight_store_begin(old));
    hearth__flight_land(old, HEARTH_OK, new_result(1));
    crowd_join(&crowd);
    assert_true(joined);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(party.statuses[i], HEARTH_OK);
        assert_int_equal(party.numbers[i], 1);
    }
    assert_int_equal(atomic_load(&releases), 2);
    close_flights(flights);
}

/* The old flight's landing must not take the new one off the list. */
static void a_detached_flight_lands_beside_the_new_one(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flight *other = NULL;
    hearth__flight *outer = lead(flights, "key");
    assert_true(detach(flights, "key", soon()));
    hearth__flight *fresh = lead(flights, "key");
    assert_int_equal(hearth__flight_try_lead(flights, "key", 3, &other), HEARTH_EXISTS);
    hearth__flight_land(fresh, HEARTH_OK, NULL);
    fresh = lead(flights, "key");
    hearth__flight_land(fresh, HEARTH_OK, NULL);
    hearth__flight_land(outer, HEARTH_OK, NULL);
    close_flights(flights);
}

/* The leader fills the tiers; a writer and newcomers come meanwhile. */
struct storing {
    hearth__flights *flights;
    _Atomic bool stored;
    _Atomic int early;  /* came through before the leader was done */
    _Atomic int failed; /* was answered something unexpected */
};

static void write_key(void *arg, size_t index) {
    struct storing *storing = arg;
    atomic_fetch_add(&storing->failed, !detach(storing->flights, "key", soon()));
    atomic_fetch_add(&storing->early, !atomic_load(&storing->stored));
    (void)index;
}

/* Comes after the writer: never follows what is detached. */
static void come(void *arg, size_t index) {
    struct storing *storing = arg;
    hearth__flight *flight = NULL;
    bool leads = false;
    const void *result = NULL;
    int32_t status = join(storing->flights, "key", soon(), &flight, &leads);
    atomic_fetch_add(&storing->early, !atomic_load(&storing->stored));
    if (status == HEARTH_OK && leads) {
        hearth__flight_land(flight, HEARTH_OK, new_result(2));
    } else if (status == HEARTH_OK) {
        status = hearth__flight_await(flight, soon(), &result);
        atomic_fetch_add(&storing->failed, result == NULL || *(const int *)result != 2);
        hearth__flight_leave(flight);
    }
    atomic_fetch_add(&storing->failed, status != HEARTH_OK);
    (void)index;
}

/* A join that does not wait tells a flight that was detached while it stores. */
static bool is_detached_while_storing(void *arg) {
    struct storing *storing = arg;
    hearth__flight *flight = NULL;
    bool leads = false;
    return join(storing->flights, "key", PAST, &flight, &leads) == HEARTH_E_TIMEOUT;
}

static void writer_and_newcomers_wait_while_the_leader_stores(void **state) {
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct storing storing = {.flights = open_flights()};
        hearth__flight *flight = lead(storing.flights, "key");
        assert_true(hearth__flight_store_begin(flight));
        struct crowd writer;
        struct crowd newcomers;
        assert_true(crowd_start(&writer, 1, write_key, &storing));
        bool detached = await_until(is_detached_while_storing, &storing);
        assert_true(crowd_start(&newcomers, 4, come, &storing));
        atomic_store(&storing.stored, true);
        hearth__flight_store_end(flight);
        crowd_join(&writer);
        hearth__flight_land(flight, HEARTH_OK, new_result(1));
        crowd_join(&newcomers);
        assert_true(detached);
        assert_int_equal(atomic_load(&storing.early), 0);
        assert_int_equal(atomic_load(&storing.failed), 0);
        close_flights(storing.flights);
    }
}

static void waiting_for_a_store_ends_at_the_deadline(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    hearth__flight *flight = lead(flights, "key");
    hearth__flight *other = NULL;
    bool leads = true;
    assert_true(hearth__flight_store_begin(flight));
    assert_true(detach(flights, "key", PAST));
    assert_true(detach(flights, "key", PAST)); /* it is still under way */
    assert_int_equal(join(flights, "key", PAST, &other, &leads), HEARTH_E_TIMEOUT);
    hearth__flight_store_end(flight);
    assert_false(detach(flights, "key", PAST));
    other = lead(flights, "key");
    assert_false(hearth__flight_store_begin(flight));
    hearth__flight_land(other, HEARTH_OK, NULL);
    hearth__flight_land(flight, HEARTH_OK, NULL);
    close_flights(flights);
}

/* ---- without memory ---- */

static void without_memory_nobody_leads(void **state) {
    (void)state;
    hearth__flights *flights = open_flights();
    const int64_t blocks = failing_memory_blocks();
    hearth__flight *flight = NULL;
    bool leads = false;
    uint64_t failures = 0;
    int32_t status = HEARTH_E_NOMEM;
    while (status == HEARTH_E_NOMEM) {
        failing_memory_fail(failures, 1);
        status = join(flights, "key", soon(), &flight, &leads);
        failing_memory_pass();
        if (status == HEARTH_E_NOMEM) {
            failures++;
            assert_int_equal(hearth__flights_count(flights), 0);
            assert_int_equal(failing_memory_blocks(), blocks);
            assert_false(hearth__flights_is_leader(flights));
        }
    }
    assert_int_equal(status, HEARTH_OK);
    assert_true(leads && failures == 3); /* the flight, the table and its buckets */
    failing_memory_fail(0, UINT64_MAX);
    hearth__flight_land(flight, HEARTH_OK, NULL); /* landing needs none */
    assert_int_equal(hearth__flight_try_lead(flights, "key", 3, &flight), HEARTH_E_NOMEM);
    assert_null(hearth__flights_create(release_result));
    failing_memory_pass();
    hearth__flights_destroy(NULL);
    close_flights(flights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_64_leads_and_all_get_its_result),
        cmocka_unit_test(an_error_is_shared),
        cmocka_unit_test(a_waiter_leaves_at_its_deadline),
        cmocka_unit_test(a_thread_that_leads_is_known_to_lead),
        cmocka_unit_test(who_only_wants_to_lead_is_told_that_somebody_does),
        cmocka_unit_test(a_write_detaches_the_flight),
        cmocka_unit_test(a_detached_flight_lands_beside_the_new_one),
        cmocka_unit_test(writer_and_newcomers_wait_while_the_leader_stores),
        cmocka_unit_test(waiting_for_a_store_ends_at_the_deadline),
        cmocka_unit_test(without_memory_nobody_leads),
    };
    return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
