/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a queue: closed before its cache or after it, inside a loader, and in a forked child. */
#include "base/tsan.h"
#include "queue_rig.h"

#include <sys/wait.h>
#include <unistd.h>

struct told {
    size_t closed;
    size_t good;
};

static void tell(void *arg, const hearth_result *result) {
    struct told *told = arg;
    told->closed += result->status == HEARTH_E_CLOSED;
    told->good += result->status == HEARTH_OK;
}

static void let_go(void *arg, size_t index) {
    struct source *source = arg;
    (void)index;
    while (cache_stats(cache).loads == 0) {
    }
    event_raise(&source->go);
}

static void closing_a_queue_tells_of_each_once(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    hearth_operation fetch = slow_fetch("runs", &source, &loader);
    submit(&fetch);
    assert_true(event_await(&source.entered, 1));
    for (int i = 0; i < 4; i++) {
        submit(&fetch);
    }
    struct told told = {0};
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, let_go, &source));
    assert_int_equal(hearth_queue_close(queue, tell, &told), HEARTH_OK);
    crowd_join(&crowd);
    assert_int_equal(told.closed + told.good, 5);
    assert_in_range(told.good, 1, 5);
    assert_int_equal(hearth_queue_open(cache, &queue), HEARTH_OK);
}

static void a_queue_outlives_its_cache(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    submit_running(&source, &loader);
    hearth_operation fetch = slow_fetch("waits", &source, &loader);
    submit(&fetch);
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, let_go, &source));
    crowd_join(&crowd);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    uint64_t ticket = 7;
    assert_int_equal(hearth_submit(queue, &fetch, &ticket), HEARTH_E_CLOSED);
    (void)collect_one();
    (void)collect_one();
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    assert_int_equal(hearth_collect(queue, &result, 1, -1, &count), HEARTH_E_CLOSED);
    assert_int_equal(hearth_queue_close(queue, NULL, NULL), HEARTH_OK);
    queue = NULL;
    cache = NULL;
}

static int32_t close_inside(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)key;
    (void)key_size;
    *(int32_t *)arg = hearth_queue_close(queue, NULL, NULL);
    return hearth_fill_value(fill, "x", 1);
}

static void a_loader_cannot_close_its_queue(void **state) {
    (void)state;
    int32_t said = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = close_inside, .arg = &said};
    hearth_operation fetch = operation(HEARTH_VERB_FETCH, "key");
    fetch.loader = &loader;
    submit(&fetch);
    assert_int_equal(collect_one().status, HEARTH_OK);
    assert_int_equal(said, HEARTH_E_DEADLOCK);
}

static bool child_works(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    uint64_t ticket = 0;
    int fd = -1;
    if (hearth_collect(queue, &result, 1, 0, &count) != HEARTH_MISS) {
        return false;
    }
#if defined(HEARTH__TSAN) /* it lets a child start no thread */
    return hearth_queue_close(queue, NULL, NULL) == HEARTH_OK;
#endif
    if (hearth_event_fd(queue, &fd) != HEARTH_OK) {
        return false;
    }
    hearth_operation set = operation(HEARTH_VERB_SET, "child");
    set.data = "x";
    set.data_size = 1;
    return hearth_submit(queue, &set, &ticket) == HEARTH_OK && ticket != 0 &&
           hearth_collect(queue, &result, 1, QUEUE_SECONDS_MS, &count) == HEARTH_OK &&
           result.ticket == ticket && result.status == HEARTH_OK &&
           hearth_queue_close(queue, NULL, NULL) == HEARTH_OK &&
           hearth_close(cache) == HEARTH_OK;
}

static void a_child_has_an_empty_queue_and_the_parent_its_results(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded", .waits = true};
    hearth_loader loader;
    int fd = -1;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    submit_set("done", "x");
    assert_true(is_readable(fd, QUEUE_SECONDS_MS));
    uint64_t runs = submit_running(&source, &loader);
    hearth_operation fetch = slow_fetch("waits", &source, &loader);
    uint64_t waits = submit(&fetch);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(child_works() ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    event_raise(&source.go);
    uint64_t seen = 0;
    for (int i = 0; i < 3; i++) {
        hearth_result result = collect_one();
        assert_int_equal(result.status, HEARTH_OK);
        seen += result.ticket == runs || result.ticket == waits;
    }
    assert_int_equal(seen, 2);
    expect_nothing();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(closing_a_queue_tells_of_each_once,
                                        queue_open_with_one_load, queue_close),
        cmocka_unit_test_setup_teardown(a_queue_outlives_its_cache, queue_open_with_one_load,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_loader_cannot_close_its_queue, queue_open,
                                        queue_close),
        cmocka_unit_test_setup_teardown(a_child_has_an_empty_queue_and_the_parent_its_results,
                                        queue_open_with_one_load, queue_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
