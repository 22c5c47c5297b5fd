/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor of a queue: when it is readable, and how many results there are then. */
#include "queue_rig.h"

#include <unistd.h>

enum { MANY = 40 };

/* It may be raised late for what was taken already; each time a look that finds nothing ends that. */
static void expect_no_signal(int fd, size_t publications) {
    for (size_t i = 0; i < publications && is_readable(fd, 0); i++) {
        expect_nothing();
    }
    assert_false(is_readable(fd, 0));
}

static void the_descriptor_is_readable_while_there_are_results(void **state) {
    (void)state;
    int fd = -1;
    int again = -2;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    assert_int_equal(hearth_event_fd(queue, &again), HEARTH_OK);
    assert_int_equal(fd, again);
    assert_false(is_readable(fd, 0));
    submit_set("a", "1");
    submit_set("b", "1");
    assert_true(is_readable(fd, QUEUE_SECONDS_MS)); /* nobody collects: a thread does it */
    hearth_result results[2] = {{.size = sizeof results[0]}};
    size_t count = 0;
    for (size_t seen = 0; seen < 2; seen += count) {
        assert_true(is_readable(fd, QUEUE_SECONDS_MS));
        assert_int_equal(hearth_collect(queue, results, 1, 0, &count), HEARTH_OK);
    }
    expect_no_signal(fd, 2);
    expect_nothing();
}

/* Who collects has carried out what it submitted. When it does so no more, a thread does. */
static void who_collected_need_not_come_back(void **state) {
    (void)state;
    int fd = -1;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    for (size_t i = 0; i < MANY; i++) {
        submit_set("key", "text");
        assert_int_equal(collect_one().status, HEARTH_OK);
    }
    submit_set("key", "last");
    assert_true(is_readable(fd, QUEUE_SECONDS_MS));
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_string_equal(cache_get(cache, "key", 0), "=last");
}

/* Operations of one key and of different kinds come one after the other; when the loader is called, all before it are done. */
static void the_descriptor_is_written_once_for_many_results(void **state) {
    (void)state;
    int fd = -1;
    uint64_t writes = 0;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    const hearth_loader loader = source_loader(&source);
    hearth_operation delete = operation(HEARTH_VERB_DELETE, "key");
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, "key");
    fetch.loader = &loader;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    for (size_t i = 0; i < 4; i++) {
        submit_set("key", "text");
        submit(&delete);
    }
    submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    assert_int_equal(read(fd, &writes, sizeof writes), (ssize_t)sizeof writes);
    event_raise(&source.go);
    for (size_t i = 0; i < 9; i++) {
        assert_true(collect_one().status >= 0);
    }
    assert_int_equal(writes, 1);
}

static void at_most_1024_results_come_at_once(void **state) {
    (void)state;
    enum { ALL = 1500 };
    int fd = -1;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    hearth_operation get = operation(HEARTH_VERB_GET, "none");
    get.value = NULL;
    for (size_t i = 0; i < ALL; i++) {
        submit(&get);
    }
    static hearth_result results[ALL];
    size_t all = 0;
    while (all < ALL) {
        size_t count = 0;
        results[0].size = sizeof results[0];
        assert_int_equal(hearth_collect(queue, results, ALL, QUEUE_SECONDS_MS, &count),
                         HEARTH_OK);
        assert_in_range(count, 1, 1024);
        assert_int_equal(results[count - 1].status, HEARTH_MISS);
        all += count;
    }
    assert_int_equal(all, ALL);
    expect_no_signal(fd, ALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_collected_need_not_come_back, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(the_descriptor_is_written_once_for_many_results,
                                        queue_open, queue_close),
        cmocka_unit_test_setup_teardown(the_descriptor_is_readable_while_there_are_results,
                                        queue_open, queue_close),
        cmocka_unit_test_setup_teardown(at_most_1024_results_come_at_once, queue_open,
                                        queue_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
