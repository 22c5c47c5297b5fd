/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread has besides its counters: whose it is, what becomes of it, and who may look at it. */
#include "base/seats.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { THREADS = 16 };

struct purse {
    uint64_t coins;
    unsigned char more[1000];
};

static void fold(void *common, const void *ended) {
    ((struct purse *)common)->coins += ((const struct purse *)ended)->coins;
}

static const hearth__seats_extra extra = {.bytes = sizeof(struct purse), .fold = fold};

static struct purse *own_purse(hearth__seats *seats) {
    return hearth__seats_own(seats)->extra;
}

struct sum {
    size_t purses;
    uint64_t coins;
};

static void add(void *arg, const void *purse) {
    struct sum *sum = arg;
    sum->purses++;
    sum->coins += ((const struct purse *)purse)->coins;
}

static struct sum sum_of(hearth__seats *seats) {
    struct sum sum = {0};
    hearth__seats_visit(seats, add, &sum);
    return sum;
}

static void it_is_empty_at_first_and_on_lines_of_its_own(void **state) {
    (void)state;
    hearth__seats *seats = hearth__seats_create_with(1, &extra);
    assert_non_null(seats);
    const struct purse *purse = own_purse(seats);
    assert_non_null(purse);
    assert_int_equal((uintptr_t)purse % 64, 0);
    for (size_t i = 0; i < sizeof *purse; i++) {
        assert_int_equal(((const unsigned char *)purse)[i], 0);
    }
    assert_ptr_equal(own_purse(seats), purse);
    assert_int_equal(hearth__seats_extra_bytes(seats), 2 * sizeof *purse);
    hearth__seats_destroy(seats);
}

struct hall {
    hearth__seats *seats;
    struct event came;
    struct event go;
};

static void put_coins(void *arg, size_t index) {
    struct hall *hall = arg;
    own_purse(hall->seats)->coins += index + 1;
    event_raise(&hall->came);
    if (!event_await(&hall->go, 1)) {
        own_purse(hall->seats)->coins++; /* then the sum is not what it was */
    }
}

static void each_thread_has_its_own_and_leaves_it_to_all(void **state) {
    (void)state;
    struct hall hall = {hearth__seats_create_with(1, &extra), EVENT_INIT, EVENT_INIT};
    struct crowd crowd;
    assert_non_null(hall.seats);
    own_purse(hall.seats)->coins = 1000;
    assert_true(crowd_start(&crowd, THREADS, put_coins, &hall));
    assert_true(event_await(&hall.came, THREADS));
    const struct sum during = sum_of(hall.seats);
    assert_int_equal(during.purses, 1 + 1 + THREADS); /* the common one, ours, theirs */
    assert_int_equal(during.coins, 1000 + THREADS * (THREADS + 1) / 2);
    event_raise(&hall.go);
    crowd_join(&crowd);
    const struct sum after = sum_of(hall.seats);
    assert_int_equal(after.purses, 2);
    assert_int_equal(after.coins, during.coins);
    hearth__seats_destroy(hall.seats);
}

/* Threads that share a seat would write it at the same time. */
static void who_shares_a_seat_has_none(void **state) {
    (void)state;
    hearth__seats *seats = hearth__seats_create_with(1, &extra);
    assert_non_null(seats);
    failing_memory_fail(0, 1);
    hearth__seats_add(seats, 0, 5);
    failing_memory_pass();
    hearth__seat *seat = hearth__seats_own(seats);
    assert_true(seat->shared);
    uint64_t next = 0;
    assert_false(hearth__seat_next(seat, 0, &next)); /* it takes more than that */
    assert_int_equal(sum_of(seats).purses, 1);
    hearth__seats_destroy(seats);
}

static void without_extra_memory_nothing_is_ever_due(void **state) {
    (void)state;
    hearth__seats *seats = hearth__seats_create(1);
    assert_non_null(seats);
    hearth__seat *seat = hearth__seats_own(seats);
    assert_null(seat->extra);
    assert_int_equal(seat->due, UINT64_MAX);
    assert_int_equal(sum_of(seats).purses, 0);
    assert_int_equal(hearth__seats_extra_bytes(seats), 0);
    hearth__seats_destroy(seats);
    assert_int_equal(failing_memory_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_empty_at_first_and_on_lines_of_its_own),
        cmocka_unit_test(each_thread_has_its_own_and_leaves_it_to_all),
        cmocka_unit_test(who_shares_a_seat_has_none),
        cmocka_unit_test(without_extra_memory_nothing_is_ever_due),
    };
    return cmocka_run_group_tests_name("seats, extra memory", tests, NULL, NULL);
}
