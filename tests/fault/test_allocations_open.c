/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n: while a cache opens, and while a leader hands its answer to
 * those who wait for it. */
#include "api/source.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- opening ---- */

static void opening_fails_whole(void **state) {
    (void)state;
    static const char *const urls[] = {
        "embedded://", "redis://user:password@a,b:7000/2?weight=1,2", "redis+unix:///a,/b",
        "memcached://a,b?weight=3,4", "memcached+unix:///a"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        hearth_options *options = hearth_options_new();
        assert_non_null(options);
        assert_int_equal(hearth_options_set(options, "remote.url", urls[i]), HEARTH_OK);
        if (strstr(urls[i], "redis") != NULL) {
            assert_int_equal(hearth_options_set(options, "coherence.mode", "tracking"),
                             HEARTH_OK);
        }
        const int64_t blocks = failing_memory_blocks();
        int32_t status = HEARTH_E_NOMEM;
        uint64_t successes = 0;
        for (; status != HEARTH_OK; successes++) {
            hearth *cache = NULL;
            failing_memory_fail(successes, 1);
            status = hearth_open(options, &cache);
            failing_memory_pass();
            assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
            assert_int_equal(cache != NULL, status == HEARTH_OK);
            assert_int_equal(hearth_close(cache), HEARTH_OK);
            assert_int_equal(failing_memory_blocks(), blocks);
        }
        assert_true(successes > 10);
        hearth_options_free(options);
    }
    failing_memory_fail(0, 1);
    hearth *cache = NULL;
    assert_int_equal(hearth_open(NULL, &cache), HEARTH_E_NOMEM);
    failing_memory_pass();
    assert_null(cache);
}

/* ---- those who wait ---- */

enum { WAITERS = 4 };

struct waiting {
    hearth *cache;
    struct source source;
    hearth_value *values[WAITERS];
    int32_t statuses[WAITERS];
};

static void wait_for_load(void *arg, size_t index) {
    struct waiting *waiting = arg;
    waiting->statuses[index] =
        source_fetch(waiting->cache, "key", &waiting->source, waiting->values[index]);
}

static bool are_waiting(void *arg) {
    return cache_stats(((struct waiting *)arg)->cache).flight_waits == WAITERS - 1;
}

/* The leader has loaded; memory fails while it hands its answer to the others. False: it did not
 * fail any more. */
static bool load_for_waiters(uint64_t successes) {
    struct waiting waiting = {.cache = cache_open(NULL),
                              .source = {SOURCE_INIT, .text = "new", .waits = true}};
    struct crowd crowd;
    assert_non_null(waiting.cache);
    for (size_t i = 0; i < WAITERS; i++) {
        waiting.values[i] = hearth_value_new();
        assert_non_null(waiting.values[i]);
    }
    assert_true(crowd_start(&crowd, WAITERS, wait_for_load, &waiting));
    bool all = await_until(are_waiting, &waiting);
    failing_memory_fail(successes, 1);
    event_raise(&waiting.source.go);
    crowd_join(&crowd);
    const bool failed = failing_memory_failures() != 0;
    failing_memory_pass();
    assert_true(all);
    for (size_t i = 0; i < WAITERS; i++) {
        assert_true(waiting.statuses[i] == HEARTH_OK || waiting.statuses[i] == HEARTH_E_NOMEM);
        assert_int_equal(hearth_value_size(waiting.values[i]),
                         waiting.statuses[i] == HEARTH_OK ? 3 : 0);
        hearth_value_free(waiting.values[i]);
    }
    assert_int_equal(atomic_load(&waiting.source.calls), 1);
    assert_int_equal(cache_stats(waiting.cache).flights, 0);
    assert_int_equal(hearth_close(waiting.cache), HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
    return failed;
}

static void who_waits_is_told_that_there_was_no_memory(void **state) {
    (void)state;
    uint64_t successes = 0;
    while (load_for_waiters(successes)) {
        successes++;
    }
    assert_true(successes > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_fails_whole),
        cmocka_unit_test(who_waits_is_told_that_there_was_no_memory),
    };
    return cmocka_run_group_tests_name("allocations of opening and waiting", tests, NULL, NULL);
}
