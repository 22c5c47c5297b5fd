/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_hot_keys() of many threads: of those that are there, of those that ended, while they ask, and after a fork. The clock
 * stands still at one second after the cache was opened. */
#include "hot_keys.h"
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 8, TIMES = 20000, HEAD = 200 };

static _Atomic int64_t now_s;

/* In the place of the C library's, for the library under test. Tests wait by CLOCK_REALTIME. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    if (clock == CLOCK_REALTIME) {
        return (int)syscall(SYS_clock_gettime, clock, time);
    }
    *time = (struct timespec){.tv_sec = atomic_load(&now_s)};
    return 0;
}

static hearth *cache;

static int open_cache(void **state) {
    (void)state;
    now_s = 10000;
    cache = cache_open(NULL);
    now_s++;
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

static void ask(const char *key, size_t times) {
    hearth_value *value = hearth_value_new();
    hearth_read_options local;
    hearth_read_options_init(&local, sizeof local);
    local.flags = HEARTH_READ_NO_REMOTE;
    int32_t status = value != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    for (size_t i = 0; status >= 0 && i < times; i++) {
        status = hearth_get(cache, key, strlen(key), i % 2 == 0 ? &local : NULL, value);
    }
    hearth_value_free(value);
}

static void expect_about(uint64_t seen, double expected) {
    if ((double)seen < expected * 2 / 3 || (double)seen > expected * 4 / 3) {
        fail_msg("%llu is not about %.0f", (unsigned long long)seen, expected);
    }
}

static uint64_t rate_of(const char *key) {
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    uint64_t rate = hot_rate(&hot, key);
    hot_free(&hot);
    return rate;
}

/* ---- threads ----------------------------------------------------------------------------- */

static const char *own_key(size_t index) {
    static const char *const keys[THREADS] = {"own0", "own1", "own2", "own3",
                                              "own4", "own5", "own6", "own7"};
    return keys[index];
}

struct gathering {
    struct event asked;
    struct event go;
};

static void ask_and_stay(void *arg, size_t index) {
    struct gathering *gathering = arg;
    ask("shared", TIMES);
    ask(own_key(index), TIMES);
    event_raise(&gathering->asked);
    if (!event_await(&gathering->go, 1)) {
        ask("nobody said go", TIMES);
    }
}

static void expect_all_threads(void) {
    expect_about(rate_of("shared"), (double)TIMES * THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        expect_about(rate_of(own_key(i)), TIMES);
    }
}

static void threads_are_added_up_while_they_live_and_after(void **state) {
    (void)state;
    struct gathering gathering = {EVENT_INIT, EVENT_INIT};
    struct crowd crowd;
    assert_int_equal(cache_set(cache, "shared", "x"), HEARTH_OK);
    assert_true(crowd_start(&crowd, THREADS, ask_and_stay, &gathering));
    assert_true(event_await(&gathering.asked, THREADS));
    expect_all_threads();
    const uint64_t before = rate_of("shared");
    event_raise(&gathering.go);
    crowd_join(&crowd);
    expect_all_threads();
    assert_int_equal(rate_of("shared"), before);
    now_s += 17;
    assert_int_equal(rate_of("shared"), 0);
}

static void ask_a_little(void *arg, size_t index) {
    (void)arg;
    (void)index;
    ask("key", 10);
}

/* Of a thread that asks less often than samples are taken, some are to be seen, but not all. */
static void threads_that_ask_little_count_as_others(void **state) {
    (void)state;
    for (size_t i = 0; i < 100; i++) {
        assert_true(crowd_run(CROWD_MAX, ask_a_little, NULL));
    }
    expect_about(rate_of("key"), 100.0 * CROWD_MAX * 10);
}

static void the_memory_is_told(void **state) {
    (void)state;
    struct gathering gathering = {EVENT_INIT, EVENT_INIT};
    struct crowd crowd;
    const uint64_t alone = cache_stats(cache).hot_keys_bytes;
    assert_true(alone > 0 && alone < 50000);
    assert_true(crowd_start(&crowd, THREADS, ask_and_stay, &gathering));
    assert_true(event_await(&gathering.asked, THREADS));
    assert_int_equal(cache_stats(cache).hot_keys_bytes % alone, 0);
    assert_true(cache_stats(cache).hot_keys_bytes < alone * (THREADS + 2));
    assert_true(cache_stats(cache).hot_keys_bytes > alone);
    event_raise(&gathering.go);
    crowd_join(&crowd);
    assert_true(cache_stats(cache).hot_keys_bytes <= alone + alone);
}

/* ---- while they ask ----------------------------------------------------------------------- */

enum { NAMES = 2000, REPEATS = 20 };

/* A key that tells by itself whether it is whole: a number, again and again. */
static size_t repeated(char *key, size_t number) {
    char *at = key;
    for (size_t i = 0; i < 1 + number % REPEATS; i++) {
        at += snprintf(at, 8, "%05zu.", number);
    }
    return (size_t)(at - key);
}

static void ask_for_all(void *arg, size_t index) {
    (void)arg;
    hearth_read_options local;
    hearth_read_options_init(&local, sizeof local);
    local.flags = HEARTH_READ_NO_REMOTE;
    uint64_t random = index;
    for (size_t i = 0; i < 400000; i++) {
        char key[8 * REPEATS];
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t size = repeated(key, (random >> 33) % NAMES);
        if (hearth_get(cache, key, size, &local, NULL) != HEARTH_MISS) {
            return;
        }
    }
}

static bool is_whole(const hearth_hot_key *hot) {
    char key[8 * REPEATS];
    char number[8] = {0};
    memcpy(number, hot->key, 5);
    size_t size = repeated(key, strtoul(number, NULL, 10));
    return hot->full_size == size && hot->key_size == size && memcmp(hot->key, key, size) == 0;
}

static void look_meanwhile(void *arg, size_t index) {
    if (index != 0) {
        ask_for_all(NULL, index);
        return;
    }
    bool *torn = arg;
    for (size_t i = 0; i < 1000; i++) {
        struct hot hot;
        hot_ask(&hot, cache, HEAD);
        for (size_t k = 0; k < hot.count; k++) {
            *torn = *torn || !is_whole(&hot.keys[k]);
        }
        hot_free(&hot);
    }
}

static void keys_are_whole_whoever_asks_meanwhile(void **state) {
    (void)state;
    bool torn = false;
    assert_true(crowd_run(4, look_meanwhile, &torn));
    assert_false(torn);
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    assert_true(hot.count > 20);
    for (size_t i = 0; i < hot.count; i++) {
        assert_true(is_whole(&hot.keys[i]));
    }
    hot_free(&hot);
}

/* ---- fork --------------------------------------------------------------------------------- */

/* In the child. It neither asserts nor runs exit handlers. */
static bool child_knows_its_own(void) {
    ask("child", TIMES);
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    return hot_rate(&hot, "child") > TIMES / 2 && hot_rate(&hot, "shared") > 0;
}

static void a_child_goes_on_by_itself(void **state) {
    (void)state;
    struct gathering gathering = {EVENT_INIT, EVENT_INIT};
    struct crowd crowd;
    ask("shared", TIMES);
    assert_true(crowd_start(&crowd, THREADS, ask_and_stay, &gathering));
    assert_true(event_await(&gathering.asked, THREADS));
    const pid_t child = fork();
    if (child == 0) {
        _exit(child_knows_its_own() ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    event_raise(&gathering.go);
    crowd_join(&crowd);
    assert_int_equal(rate_of("child"), 0);
    expect_about(rate_of("shared"), (double)TIMES * (THREADS + 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_are_added_up_while_they_live_and_after,
                                        open_cache, close_cache),
        cmocka_unit_test_setup_teardown(threads_that_ask_little_count_as_others, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(the_memory_is_told, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(keys_are_whole_whoever_asks_meanwhile, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(a_child_goes_on_by_itself, open_cache, close_cache),
    };
    return cmocka_run_group_tests_name("hot keys, threads", tests, NULL, NULL);
}
