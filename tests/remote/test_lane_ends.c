/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that ends just when somebody wants it for itself: between the look that finds others there and the next one. */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/seats.h"
#include "base/stat.h"

#include <hearth/errors.h>

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { DEADLINE_MS = 10000 };

static int32_t open_parser(void *node, void **parser) {
    *parser = node;
    return HEARTH_OK;
}

static void close_parser(void *parser) {
    (void)parser;
}

/* A lane without a connection has no parser. */
static bool was_driven_closed;

static void trim(void *parser) {
    was_driven_closed = was_driven_closed || parser == NULL;
}

/* The request that was on the lane is gone, once somebody has come for the lane. */
static void *end_request(void *arg) {
    hearth__lane *lane = arg;
    while (!atomic_load(&lane->driven)) {
        (void)sched_yield();
    }
    atomic_store(&lane->load, 0);
    return NULL;
}

static void a_lane_that_has_ended_is_not_driven(void **state) {
    (void)state;
    static const hearth__codec codec = {
        .server = "a server", .open = open_parser, .close = close_parser, .trim = trim};
    char path[] = "/nobody/is/there";
    hearth__node_address address = {.host = path};
    hearth__remote_config remote = {.lanes = 1,
                                    .timeout_ms = DEADLINE_MS,
                                    .stall_ms = DEADLINE_MS,
                                    .counters = hearth__seats_create(HEARTH__STATS)};
    hearth__node_config config = {.remote = &remote, .address = &address, .name = "a-node"};
    hearth__lanes *lanes = NULL;
    hearth__lane *reserved = NULL;
    pthread_t other;
    assert_non_null(remote.counters);
    assert_int_equal(hearth__lanes_create(&codec, &config, NULL, &lanes), HEARTH_OK);
    hearth__lane *lane = &hearth__lane_set_own(lanes)->all[0];
    atomic_store(&lane->load, 1);
    assert_int_equal(pthread_create(&other, NULL, end_request, lane), 0);
    int64_t deadline_ns = hearth__monotonic_ns() + DEADLINE_MS * INT64_C(1000000);
    assert_int_equal(hearth__lanes_reserve(lanes, deadline_ns, &reserved),
                     HEARTH_E_UNAVAILABLE);
    pthread_join(other, NULL);
    assert_false(was_driven_closed);
    hearth__lanes_destroy(lanes);
    hearth__seats_destroy(remote.counters);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_lane_that_has_ended_is_not_driven)};
    return cmocka_run_group_tests_name("lane ends", tests, NULL, NULL);
}
