/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: under traffic, from inside a loader, a thousand times, in a child. */
#include "source.h"
#include "support/failing_memory.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FREED_IS_KEPT 1 /* by the sanitizer */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FREED_IS_KEPT 1
#endif
#endif
#ifndef FREED_IS_KEPT
#define FREED_IS_KEPT 0
#endif

enum { THREADS = 8 };

/* ---- under traffic ---- */

struct traffic {
    hearth *cache;
    struct source held; /* keeps one caller inside, so that the handle stays valid */
    struct event refused;
    struct event closed;
    int32_t close_status;
    int32_t held_status;
    _Atomic int unexpected; /* neither an answer nor HEARTH_E_CLOSED */
    _Atomic int answers;
};

typedef int32_t (*any_call)(hearth *cache, hearth_value *value);

static const void *const two_keys[] = {"a", "b"};
static const size_t two_sizes[] = {1, 1};

static int32_t call_get(hearth *cache, hearth_value *value) {
    return hearth_get(cache, "a", 1, NULL, value);
}

static int32_t call_fetch(hearth *cache, hearth_value *value) {
    struct source source = {SOURCE_INIT, .text = "x"};
    return source_fetch(cache, "a", &source, value);
}

static int32_t call_set(hearth *cache, hearth_value *value) {
    (void)value;
    return cache_set(cache, "a", "x");
}

static int32_t call_add(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_add(cache, "a", 1, "x", 1, NULL);
}

static int32_t call_replace(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_replace(cache, "a", 1, "x", 1, NULL);
}

static int32_t call_delete(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_delete(cache, "a", 1, NULL);
}

static int32_t call_touch(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_touch(cache, "a", 1, NULL);
}

static int32_t call_increment(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_increment(cache, "n", 1, 1, NULL, NULL);
}

static int32_t call_evict_local(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_evict_local(cache, "a", 1);
}

static int32_t call_get_many(hearth *cache, hearth_value *value) {
    int32_t statuses[2];
    hearth_value *const values[] = {value, NULL};
    return hearth_get_many(cache, 2, two_keys, two_sizes, NULL, values, statuses);
}

static int32_t load_key(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    return hearth_fill_value(fill, key, key_size);
}

static int32_t call_fetch_many(hearth *cache, hearth_value *value) {
    const hearth_loader loader = {.size = sizeof loader, .load = load_key};
    int32_t statuses[2];
    hearth_value *const values[] = {value, NULL};
    return hearth_fetch_many(cache, 2, two_keys, two_sizes, &loader, NULL, NULL, values,
                             statuses);
}

static int32_t call_set_many(hearth *cache, hearth_value *value) {
    int32_t statuses[2];
    (void)value;
    return hearth_set_many(cache, 2, two_keys, two_sizes, two_keys, two_sizes, NULL, statuses);
}

static int32_t call_delete_many(hearth *cache, hearth_value *value) {
    int32_t statuses[2];
    (void)value;
    return hearth_delete_many(cache, 2, two_keys, two_sizes, NULL, statuses);
}

static int32_t call_stats_get(hearth *cache, hearth_value *value) {
    hearth_stats stats = {.size = sizeof stats};
    (void)value;
    return hearth_stats_get(cache, &stats);
}

static int32_t call_stats_text(hearth *cache, hearth_value *value) {
    char text[65536];
    (void)value;
    return hearth_stats_text(cache, text, sizeof text, NULL);
}

static int32_t call_log_next(hearth *cache, hearth_value *value) {
    hearth_log_record record = {.size = sizeof record};
    (void)value;
    return hearth_log_next(cache, &record);
}

static int32_t call_set_nodes(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_set_nodes(cache, "embedded://", NULL, 0);
}

static int32_t call_node_of(hearth *cache, hearth_value *value) {
    (void)value;
    return hearth_node_of(cache, "a", 1, NULL, NULL, 0);
}

static int32_t call_peek_version(hearth *cache, hearth_value *value) {
    uint64_t version = 0;
    (void)value;
    return hearth_peek_version(cache, "a", 1, &version);
}

static const any_call calls[] = {
    call_get,        call_fetch,    call_set,          call_add,         call_replace,
    call_delete,     call_touch,    call_increment,    call_evict_local, call_get_many,
    call_fetch_many, call_set_many, call_delete_many,  call_stats_get,   call_stats_text,
    call_log_next,   call_node_of,  call_peek_version, call_set_nodes,
};

enum { CALLS = sizeof calls / sizeof calls[0] };

/* Calls until the cache is being closed; from then on every call says so. */
static void call_until_closed(struct traffic *traffic, size_t index) {
    hearth_value *value = hearth_value_new();
    int32_t status = HEARTH_OK;
    for (size_t i = index; status != HEARTH_E_CLOSED; i++) {
        status = calls[i % CALLS](traffic->cache, value);
        atomic_fetch_add(&traffic->answers, status >= 0);
        atomic_fetch_add(&traffic->unexpected, status < 0 && status != HEARTH_E_CLOSED);
    }
    for (size_t i = 0; i < CALLS; i++) {
        status = calls[i](traffic->cache, value);
        atomic_fetch_add(&traffic->unexpected, status != HEARTH_E_CLOSED);
        atomic_fetch_add(&traffic->unexpected, hearth_value_size(value) != 0);
    }
    hearth_value_free(value);
    event_raise(&traffic->refused);
}

static void call_or_close(void *arg, size_t index) {
    struct traffic *traffic = arg;
    if (index < THREADS) {
        call_until_closed(traffic, index);
    } else if (index == THREADS) {
        traffic->held_status = source_fetch(traffic->cache, "held", &traffic->held, NULL);
    } else if (event_await(&traffic->held.entered, 1)) {
        traffic->close_status = hearth_close(traffic->cache);
        event_raise(&traffic->closed);
    }
}

static void callers_get_an_answer_or_are_told(void **state) {
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct traffic traffic = {.cache = cache_open(NULL),
                                  .held = {SOURCE_INIT, .text = "held", .waits = true},
                                  .refused = EVENT_INIT,
                                  .closed = EVENT_INIT,
                                  .close_status = 99};
        struct crowd crowd;
        assert_non_null(traffic.cache);
        assert_true(crowd_start(&crowd, THREADS + 2, call_or_close, &traffic));
        bool refused = event_await(&traffic.refused, THREADS);
        bool early = traffic.closed.times != 0; /* it waits for the loader */
        event_raise(&traffic.held.go);
        crowd_join(&crowd);
        assert_true(refused && !early);
        assert_int_equal(atomic_load(&traffic.unexpected), 0);
        assert_int_equal(traffic.held_status, HEARTH_OK);
        assert_int_equal(traffic.close_status, HEARTH_OK);
        assert_int_equal(failing_memory_blocks(), 0);
    }
}

/* ---- those who wait for a load ---- */

struct waiters {
    hearth *cache;
    struct source source;
    int32_t statuses[THREADS];
    int32_t close_status;
};

static void fetch(void *arg, size_t index) {
    struct waiters *waiters = arg;
    waiters->statuses[index] = source_fetch(waiters->cache, "key", &waiters->source, NULL);
}

static void close_it(void *arg, size_t index) {
    struct waiters *waiters = arg;
    waiters->close_status = hearth_close(waiters->cache);
    (void)index;
}

static bool are_waiting(void *arg) {
    return cache_stats(((struct waiters *)arg)->cache).flight_waits == THREADS - 1;
}

static bool is_closing(void *arg) {
    hearth_stats stats = {.size = sizeof stats};
    return hearth_stats_get(((struct waiters *)arg)->cache, &stats) == HEARTH_E_CLOSED;
}

static void who_waits_for_a_load_still_gets_it(void **state) {
    (void)state;
    struct waiters waiters = {.cache = cache_open(NULL),
                              .source = {SOURCE_INIT, .text = "x", .waits = true}};
    struct crowd crowd;
    struct crowd closer;
    assert_non_null(waiters.cache);
    assert_true(crowd_start(&crowd, THREADS, fetch, &waiters));
    bool waiting = await_until(are_waiting, &waiters);
    bool closing =
        crowd_start(&closer, 1, close_it, &waiters) && await_until(is_closing, &waiters);
    event_raise(&waiters.source.go);
    crowd_join(&crowd);
    crowd_join(&closer);
    assert_true(waiting && closing);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(waiters.statuses[i], HEARTH_OK);
    }
    assert_int_equal(waiters.close_status, HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
}

/* ---- from inside ---- */

struct inside {
    hearth *own;
    hearth *other;
    int32_t close_own;
    int32_t close_other;
};

static void close_both(struct source *source, hearth_fill *fill) {
    struct inside *inside = source->arg;
    (void)fill;
    inside->close_own = hearth_close(inside->own);
    inside->close_other = hearth_close(inside->other);
}

static void a_loader_cannot_close_its_own_cache(void **state) {
    (void)state;
    struct inside inside = {.own = cache_open(NULL), .other = cache_open(NULL)};
    struct source source = {SOURCE_INIT, .text = "x", .inside = close_both, .arg = &inside};
    assert_non_null(inside.own);
    assert_non_null(inside.other);
    assert_int_equal(source_fetch(inside.own, "key", &source, NULL), HEARTH_OK);
    assert_int_equal(inside.close_own, HEARTH_E_DEADLOCK);
    assert_int_equal(inside.close_other, HEARTH_OK);
    assert_string_equal(cache_get(inside.own, "key", 0), "=x"); /* nothing was closed */
    assert_int_equal(cache_set(inside.own, "key", "y"), HEARTH_OK);
    assert_int_equal(hearth_close(inside.own), HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
}

/* ---- again and again ---- */

static int count_descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    assert_int_equal(closedir(folder), 0);
    return count;
}

/* Bytes of memory that the process has; 0 where what was freed is kept. */
static long resident(void) {
    char text[64] = "";
    char *end = text;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    (void)strtol(text, &end, 10); /* mapped */
    const long pages = strtol(end, NULL, 10);
    return FREED_IS_KEPT ? 0 : pages * sysconf(_SC_PAGESIZE);
}

static void open_and_close(int number) {
    static const char *const urls[] = {"embedded://", "redis+unix:///no/such/socket",
                                       "memcached+unix:///no/such/socket"};
    struct source source = {SOURCE_INIT, .text = "x"};
    hearth *cache =
        cache_open((const char *const[]){"remote.url", urls[number % 3], "local.max_bytes",
                                         number % 2 == 0 ? "1mb" : "0", NULL});
    assert_non_null(cache);
    if (number % 3 == 0) {
        assert_int_equal(source_fetch(cache, "key", &source, NULL), HEARTH_OK);
        assert_int_equal(cache_set(cache, "other", "x"), HEARTH_OK);
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
}

/* Long: 100,000 of them. The process has no more memory at their end than after a tenth of them, but for a hundredth. */
static void a_thousand_caches_leave_nothing(void **state) {
    (void)state;
    const bool is_long = getenv("HEARTH_LONG") != NULL;
    const int count = is_long ? 100000 : 1000;
    const int descriptors = count_descriptors();
    long settled = 0;
    for (int i = 0; i < count; i++) {
        open_and_close(i);
        settled = i == count / 10 ? resident() : settled;
    }
    assert_int_equal(count_descriptors(), descriptors);
    print_message("%ld bytes resident after a tenth of them, %ld after all\n", settled,
                  resident());
    assert_true(!is_long || resident() <= settled + settled / 100);
}

static void opening_connects_to_nothing(void **state) {
    (void)state;
    const int descriptors = count_descriptors();
    hearth *cache = cache_open(
        (const char *const[]){"remote.url", "redis://203.0.113.1:1,203.0.113.2:1", NULL});
    assert_non_null(cache);
    assert_int_equal(count_descriptors(), descriptors);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- in a child ---- */

static int use_in_child(hearth *cache) {
    struct source source = {SOURCE_INIT, .text = "child's"};
    bool well = cache_set(cache, "key", "child's") == HEARTH_OK &&
                strcmp(cache_get(cache, "key", 0), "=child's") == 0 &&
                strcmp(cache_get(cache, "key", HEARTH_READ_NO_LOCAL), "=child's") == 0 &&
                source_fetch(cache, "loaded", &source, NULL) == HEARTH_OK &&
                atomic_load(&source.calls) == 1 && hearth_close(cache) == HEARTH_OK;
    return well ? 0 : 1;
}

static void a_child_may_use_and_close_its_parents_cache(void **state) {
    (void)state;
    hearth *cache = cache_open(NULL);
    assert_non_null(cache);
    assert_int_equal(cache_set(cache, "key", "parent's"), HEARTH_OK);
    for (int i = 0; i < 8; i++) {
        (void)fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(use_in_child(cache));
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_string_equal(cache_get(cache, "key", 0), "=parent's");
    assert_string_equal(cache_get(cache, "key", HEARTH_READ_NO_LOCAL), "=parent's");
    assert_string_equal(cache_get(cache, "loaded", 0), "MISS");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_get_an_answer_or_are_told),
        cmocka_unit_test(who_waits_for_a_load_still_gets_it),
        cmocka_unit_test(a_loader_cannot_close_its_own_cache),
        cmocka_unit_test(a_thousand_caches_leave_nothing),
        cmocka_unit_test(opening_connects_to_nothing),
        cmocka_unit_test(a_child_may_use_and_close_its_parents_cache),
    };
    return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
