/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of a queue that wait for a thread which loads: cancelled, late, too many. */
#include "queue_rig.h"

enum { MANY = 40 };

static int open_small(void **state) {
    (void)state;
    return queue_open_with(
        (const char *const[]){"submit.load_threads", "1", "submit.max_operations", "3", NULL});
}

/* It waits for a thread that loads, or soon will: before, the tiers may be asked for it just then. */
static void cancel_waiting(uint64_t ticket) {
    while (hearth_cancel(queue, ticket) != HEARTH_OK) {
    }
}

static void count_one(void *arg, const hearth_result *result) {
    (void)result;
    ++*(size_t *)arg;
}

static void what_waits_can_be_cancelled_and_what_runs_cannot(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    uint64_t runs = submit_running(&source, &loader);
    hearth_operation fetch = slow_fetch("waits", &source, &loader);
    uint64_t waits = submit(&fetch);
    cancel_waiting(waits);
    assert_int_equal(hearth_cancel(queue, waits), HEARTH_MISS);
    assert_int_equal(hearth_cancel(queue, runs), HEARTH_MISS);
    event_raise(&source.go);
    hearth_result result = collect_one();
    assert_true(result.ticket == runs);
    assert_int_equal(result.status, HEARTH_OK);
    assert_int_equal(hearth_cancel(queue, runs), HEARTH_MISS);
    size_t told = 0; /* closing waits for whatever is left */
    assert_int_equal(hearth_queue_close(queue, count_one, &told), HEARTH_OK);
    assert_int_equal(told, 0);
    assert_int_equal(atomic_load(&source.calls), 1);
    assert_int_equal(hearth_queue_open(cache, &queue), HEARTH_OK);
}

/* However many are cancelled, there is room for others. */
static void what_was_cancelled_takes_no_room(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    submit_running(&source, &loader);
    hearth_operation fetch = slow_fetch("waits", &source, &loader);
    for (int i = 0; i < MANY; i++) {
        uint64_t ticket = 0;
        int32_t status = HEARTH_E_OVERLOAD;
        while (status == HEARTH_E_OVERLOAD) { /* until what was cancelled is gone */
            status = hearth_submit(queue, &fetch, &ticket);
        }
        assert_int_equal(status, HEARTH_OK);
        cancel_waiting(ticket);
    }
    event_raise(&source.go);
    assert_int_equal(collect_one().status, HEARTH_OK);
}

static void what_waits_past_its_deadline_is_told_so(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    uint64_t runs = submit_running(&source, &loader);
    hearth_operation fetch = slow_fetch("waits", &source, &loader);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 20;
    fetch.read = &read;
    uint64_t waits = submit(&fetch);
    hearth_result result = collect_one();
    assert_true(result.ticket == waits);
    assert_int_equal(result.status, HEARTH_E_TIMEOUT);
    event_raise(&source.go);
    assert_true(collect_one().ticket == runs);
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void others_do_not_wait_for_a_loader(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    uint64_t runs = submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    uint64_t set = submit_set("runs", "newer"); /* not even of the same key */
    assert_true(collect_one().ticket == set);
    event_raise(&source.go);
    assert_true(collect_one().ticket == runs);
    assert_string_equal(cache_get(cache, "runs", 0), "=newer");
}

static void a_full_queue_refuses(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("key", &source, &loader);
    for (int i = 0; i < 3; i++) {
        assert_true(submit(&fetch) != 0);
    }
    uint64_t ticket = 7;
    assert_int_equal(hearth_submit(queue, &fetch, &ticket), HEARTH_E_OVERLOAD);
    assert_int_equal(ticket, 0);
    event_raise(&source.go);
    (void)collect_one();
    assert_true(submit(&fetch) != 0); /* there is room for one again */
    for (int i = 0; i < 3; i++) {
        (void)collect_one();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_can_be_cancelled_and_what_runs_cannot,
                                        queue_open_with_one_load, queue_close),
        cmocka_unit_test_setup_teardown(what_was_cancelled_takes_no_room, open_small,
                                        queue_close),
        cmocka_unit_test_setup_teardown(what_waits_past_its_deadline_is_told_so,
                                        queue_open_with_one_load, queue_close),
        cmocka_unit_test_setup_teardown(others_do_not_wait_for_a_loader,
                                        queue_open_with_one_load, queue_close),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, open_small, queue_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
