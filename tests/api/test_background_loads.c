/* SPDX-License-Identifier: Apache-2.0 */
/* Loads that may outlive their call: on workers and on threads that are lent, and what becomes of them and of their arguments. */
#include "source.h"
#include "support/sanitizer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;

/* A source whose loader may outlive the call, and where it ran. */
struct background {
    struct source source;
    _Atomic int retained;
    _Atomic int released;
    _Atomic bool elsewhere; /* not on the test's own thread */
    pthread_t own;
    struct event release;
};

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct background *background = arg;
    const hearth_loader loader = source_loader(&background->source);
    atomic_store(&background->elsewhere, !pthread_equal(pthread_self(), background->own));
    return loader.load(&background->source, key, key_size, fill);
}

static void retain(void *arg) {
    struct background *background = arg;
    atomic_fetch_add(&background->retained, 1);
}

static void release(void *arg) {
    struct background *background = arg;
    atomic_fetch_add(&background->released, 1);
    event_raise(&background->release);
}

#define BACKGROUND_INIT \
    { .source = {SOURCE_INIT, .text = "new"}, .own = pthread_self(), .release = EVENT_INIT }

static hearth_loader loader_of(struct background *background) {
    return (hearth_loader){.size = sizeof(hearth_loader),
                           .load = load,
                           .arg = background,
                           .retain = retain,
                           .release = release};
}

static int32_t fetch_for(const char *key, struct background *background, int64_t deadline_ms,
                         hearth_value *into) {
    const hearth_loader loader = loader_of(background);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = deadline_ms;
    return hearth_fetch(cache, key, strlen(key), &loader, &read, NULL, into);
}

static int32_t fetch(const char *key, struct background *background) {
    return fetch_for(key, background, 0, value);
}

static int open_with(const char *const *settings) {
    return cache_open_with_value(settings, &cache, &value);
}

static int open_cache(void **state) {
    (void)state;
    return open_with(NULL);
}

static int open_with_one(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.workers", "1", NULL});
}

static int open_with_none(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.workers", "0", NULL});
}

static int open_eager(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.retry_after_ms", "0", NULL});
}

static int open_patient(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.soft_timeout_ms", "30s", NULL});
}

static int open_hasty(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.soft_timeout_ms", "1", NULL});
}

static int close_cache(void **state) {
    (void)state;
    return cache_close(cache, value);
}

static bool is_new(void *arg) {
    return strcmp(cache_get(cache, arg, 0), "=new") == 0;
}

/* ---- renewals ---- */

static void a_stale_value_is_renewed_while_nobody_waits(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    char key[] = "key";
    assert_true(cache_make_stale(cache, key));
    background.source.waits = true;
    for (int i = 0; i < 5; i++) { /* the load cannot end before these have their answer */
        assert_int_equal(fetch("key", &background), HEARTH_OK);
        expect_text(value, "old");
    }
    event_raise(&background.source.go);
    assert_true(await_until(is_new, key));
    assert_true(event_await(&background.release, 1));
    assert_int_equal(atomic_load(&background.source.calls), 1);
    assert_int_equal(atomic_load(&background.retained), 1);
    assert_int_equal(atomic_load(&background.released), 1);
    assert_true(atomic_load(&background.elsewhere));
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), "=new");
    assert_int_equal(cache_stats(cache).worker_loads, 1);
    assert_int_equal(cache_stats(cache).stale_served, 5);
}

static void a_renewal_that_fails_is_no_callers_matter(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    char key[] = "key";
    assert_true(cache_make_stale(cache, key));
    background.source.returns = -1;
    for (size_t i = 1; i <= 2; i++) {
        assert_int_equal(fetch("key", &background), HEARTH_OK);
        expect_text(value, "old");
        assert_true(event_await(&background.release, i));
    }
}

static void only_one_of_both_functions_is_none(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    hearth_loader loader = loader_of(&background);
    char key[] = "key";
    assert_true(cache_make_stale(cache, key));
    loader.release = NULL;
    assert_int_equal(hearth_fetch(cache, key, 3, &loader, NULL, NULL, value), HEARTH_OK);
    expect_text(value, "new");
    assert_false(atomic_load(&background.elsewhere));
    assert_int_equal(atomic_load(&background.retained), 0);
}

static void within_the_soft_timeout_the_renewal_is_the_answer(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    char key[] = "key";
    assert_true(cache_make_stale(cache, key));
    assert_int_equal(fetch("key", &background), HEARTH_OK);
    expect_text(value, "new");
    assert_true(event_await(&background.release, 1));
    assert_true(atomic_load(&background.elsewhere));
}

static void beyond_the_soft_timeout_the_stale_value_is(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    char key[] = "key";
    assert_true(cache_make_stale(cache, key));
    background.source.waits = true;
    assert_int_equal(fetch("key", &background), HEARTH_OK);
    expect_text(value, "old");
    assert_int_equal(cache_stats(cache).flight_timeouts, 0);
    event_raise(&background.source.go);
    assert_true(await_until(is_new, key));
    assert_true(event_await(&background.release, 1));
}

static void stale_values_of_a_batch_are_renewed_so_too(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    const hearth_loader loader = loader_of(&background);
    static const void *const keys[] = {"b", "a"};
    static const size_t sizes[] = {1, 1};
    hearth_value *const values[] = {value, NULL};
    int32_t statuses[2];
    char key[] = "b";
    assert_true(cache_make_stale(cache, key));
    assert_int_equal(
        hearth_fetch_many(cache, 2, keys, sizes, &loader, NULL, NULL, values, statuses),
        HEARTH_OK);
    expect_text(value, "old");
    assert_string_equal(cache_get(cache, "a", 0), "=new"); /* what is missing is waited for */
    assert_true(await_until(is_new, key));
    assert_true(event_await(&background.release, 1));
    assert_int_equal(atomic_load(&background.retained), 1);
}

/* ---- deadlines ---- */

static void without_a_deadline_the_caller_loads(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    assert_int_equal(fetch("key", &background), HEARTH_OK);
    expect_text(value, "new");
    assert_false(atomic_load(&background.elsewhere));
    assert_int_equal(atomic_load(&background.retained), 0);
}

static void a_load_in_time_is_the_answer(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    assert_int_equal(fetch_for("key", &background, 30000, value), HEARTH_OK);
    expect_text(value, "new");
    assert_true(atomic_load(&background.elsewhere));
    assert_true(event_await(&background.release, 1));
}

/* An argument of the heap, which goes with its last reference: nothing of it is used after that. */
struct counted {
    struct background *of;
    _Atomic int references;
};

static int32_t load_counted(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct counted *counted = arg;
    int32_t status = load(counted->of, key, key_size, fill);
    return atomic_load(&counted->references) > 0 ? status : HEARTH_E_UNKNOWN;
}

static void retain_counted(void *arg) {
    struct counted *counted = arg;
    atomic_fetch_add(&counted->references, 1);
}

static void release_counted(void *arg) {
    struct counted *counted = arg;
    struct background *of = counted->of;
    if (atomic_fetch_sub(&counted->references, 1) == 1) {
        free(counted);
        event_raise(&of->release);
    }
}

static void a_load_beyond_the_deadline_is_stored_when_it_comes(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    struct counted *counted = malloc(sizeof *counted);
    char key[] = "key";
    assert_non_null(counted);
    counted->of = &background;
    atomic_init(&counted->references, 1);
    background.source.waits = true;
    const hearth_loader loader = {.size = sizeof loader,
                                  .load = load_counted,
                                  .arg = counted,
                                  .retain = retain_counted,
                                  .release = release_counted};
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 1;
    assert_int_equal(hearth_fetch(cache, key, 3, &loader, &read, NULL, value),
                     HEARTH_E_TIMEOUT);
    release_counted(counted); /* the caller is done with it, the worker is not */
    assert_true(event_await(&background.source.entered, 1));
    assert_int_equal(cache_stats(cache).flight_timeouts, 1);
    assert_string_equal(cache_get(cache, key, 0), "MISS");
    event_raise(&background.source.go);
    assert_true(await_until(is_new, key));
    assert_true(event_await(&background.release, 1));
}

/* ---- loaders that fetch ---- */

struct nested {
    struct background *inner;
    const char *key;
    int32_t status;
};

static void fetch_inner(struct source *source, hearth_fill *fill) {
    struct nested *nested = source->arg;
    (void)fill;
    nested->status = fetch_for(nested->key, nested->inner, 30000, NULL);
}

/* There is one worker, and it is inside the outer loader. */
static void a_workers_loader_loads_what_it_needs_itself(void **state) {
    (void)state;
    struct background inner = BACKGROUND_INIT;
    struct background outer = BACKGROUND_INIT;
    struct nested nested = {.inner = &inner, .key = "inner"};
    outer.source.inside = fetch_inner;
    outer.source.arg = &nested;
    assert_int_equal(fetch_for("outer", &outer, 30000, value), HEARTH_OK);
    assert_int_equal(nested.status, HEARTH_OK);
    assert_true(event_await(&outer.release, 1));
    assert_int_equal(atomic_load(&inner.retained), 0);
    assert_string_equal(cache_get(cache, "inner", 0), "=new");
}

static void a_workers_loader_that_fetches_its_own_key_is_told(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    struct nested nested = {.inner = &background, .key = "key"};
    background.source.inside = fetch_inner;
    background.source.arg = &nested;
    assert_int_equal(fetch_for("key", &background, 30000, value), HEARTH_OK);
    assert_int_equal(nested.status, HEARTH_E_DEADLOCK);
    assert_true(event_await(&background.release, 1));
}

/* ---- when there are too many ---- */

enum { ROOM = 256 };

static void renewals_beyond_the_room_are_dropped_and_counted(void **state) {
    (void)state;
    struct background held = BACKGROUND_INIT;
    struct background background = BACKGROUND_INIT;
    char last[16] = "";
    held.source.waits = true;
    for (int i = 0; i < ROOM + 3; i++) {
        (void)snprintf(last, sizeof last, "key%d", i);
        assert_int_equal(cache_set_short(cache, last), HEARTH_OK);
    }
    assert_true(cache_await_stale(cache, last));
    assert_int_equal(fetch_for("held", &held, 1, NULL), HEARTH_E_TIMEOUT);
    assert_true(
        event_await(&held.source.entered, 1)); /* the worker has nothing but this to do */
    for (int i = 0; i < ROOM + 3; i++) {
        (void)snprintf(last, sizeof last, "key%d", i);
        assert_int_equal(fetch(last, &background), HEARTH_OK);
        expect_text(value, "old");
    }
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.loads_waiting, ROOM);
    assert_int_equal(stats.renewals_dropped, 3);
    assert_int_equal(stats.flights, ROOM + 1);
    /* Who has nothing to answer with loads by itself. */
    assert_int_equal(fetch_for("missing", &background, 30000, value), HEARTH_OK);
    expect_text(value, "new");
    event_raise(&held.source.go);
    assert_true(event_await(&background.release, ROOM + 4));
    assert_int_equal(atomic_load(&background.retained), ROOM + 4);
    assert_int_equal(atomic_load(&background.source.calls), ROOM + 1);
    assert_string_equal(cache_get(cache, "key0", 0), "=new");
    assert_int_equal(cache_stats(cache).loads_waiting, 0);
}

/* ---- lent threads ---- */

static void without_threads_callers_load(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    char key[] = "key";
    assert_true(cache_make_stale(cache, key));
    assert_int_equal(fetch("key", &background), HEARTH_OK);
    expect_text(value, "new");
    assert_int_equal(fetch_for("other", &background, 30000, value), HEARTH_OK);
    assert_false(atomic_load(&background.elsewhere));
    assert_int_equal(atomic_load(&background.retained), atomic_load(&background.released));
    assert_int_equal(hearth_work(cache, 0), HEARTH_MISS);
    assert_int_equal(hearth_work(cache, -1), HEARTH_E_INVALID);
    assert_int_equal(hearth_work(NULL, 0), HEARTH_E_INVALID);
}

static void a_lent_thread_runs_one_load(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    char key[] = "key";
    char other[] = "other";
    assert_true(cache_make_stale(cache, key));
    assert_true(cache_make_stale(cache, other));
    assert_int_equal(hearth_work(cache, 0), HEARTH_MISS); /* from now on loads wait for it */
    assert_int_equal(fetch("key", &background), HEARTH_OK);
    expect_text(value, "old");
    assert_int_equal(fetch("other", &background), HEARTH_OK);
    expect_text(value, "old");
    assert_int_equal(cache_stats(cache).loads_waiting, 2);
    assert_int_equal(atomic_load(&background.source.calls), 0);
    assert_int_equal(hearth_work(cache, 0), HEARTH_OK);
    assert_int_equal(atomic_load(&background.source.calls), 1);
    assert_int_equal(hearth_work(cache, 30000), HEARTH_OK);
    assert_int_equal(hearth_work(cache, 0), HEARTH_MISS);
    assert_int_equal(atomic_load(&background.released), 2);
    assert_true(is_new(key) && is_new(other));
}

struct lender {
    _Atomic int ran;
    int32_t last;
};

static void lend(void *arg, size_t index) {
    struct lender *lender = arg;
    int32_t status = HEARTH_MISS;
    while (status >= 0) {
        status = hearth_work(cache, 30000);
        atomic_fetch_add(&lender->ran, status == HEARTH_OK);
    }
    lender->last = status;
    (void)index;
}

static void work_inside(struct source *source, hearth_fill *fill) {
    int32_t *status = source->arg;
    (void)fill;
    *status = hearth_work(cache, 0);
}

/* It waits for a load, gets it, and is free when the cache is closed. */
static void a_lent_thread_waits_and_is_given_back(void **state) {
    (void)state;
    struct background background = BACKGROUND_INIT;
    struct lender lender = {0};
    struct crowd crowd;
    char key[] = "key";
    int32_t inside = 99;
    background.source.inside = work_inside;
    background.source.arg = &inside;
    assert_true(cache_make_stale(cache, key));
    assert_true(crowd_start(&crowd, 1, lend, &lender));
    int calls = 0;
    while (!atomic_load(&background.elsewhere) && calls < 1000000) { /* until it is there */
        assert_true(cache_make_stale(cache, key));
        (void)!fetch("key", &background);
        calls++;
    }
    assert_true(await_until(is_new, key));
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    cache = NULL;
    crowd_join(&crowd);
    assert_int_equal(lender.last, HEARTH_E_CLOSED);
    assert_true(atomic_load(&lender.ran) > 0);
    assert_int_equal(inside,
                     HEARTH_E_DEADLOCK); /* a thread inside a loader is not there to be lent */
    assert_int_equal(atomic_load(&background.retained), atomic_load(&background.released));
}

/* ---- the end ---- */

struct waiter {
    struct background *background;
    int32_t status;
};

static void wait_for_queued(void *arg, size_t index) {
    struct waiter *waiter = arg;
    waiter->status = fetch_for("queued", waiter->background, 60000, NULL);
    (void)index;
}

static bool two_wait(void *arg) {
    (void)arg;
    return cache_stats(cache).loads_waiting == 2;
}

static void close_it(void *arg, size_t index) {
    int32_t *status = arg;
    *status = hearth_close(cache);
    (void)index;
}

static void closing_waits_for_what_runs_and_drops_what_waits(void **state) {
    (void)state;
    struct background running = BACKGROUND_INIT;
    struct background queued = BACKGROUND_INIT;
    struct waiter waiter = {.background = &queued, .status = 99};
    struct crowd crowd;
    struct crowd closer;
    int32_t closed = 99;
    char key[] = "stale";
    assert_true(cache_make_stale(cache, key));
    running.source.waits = true;
    assert_int_equal(fetch_for("running", &running, 1, NULL), HEARTH_E_TIMEOUT);
    assert_true(event_await(&running.source.entered, 1));
    assert_int_equal(fetch(key, &queued), HEARTH_OK);
    assert_true(crowd_start(&crowd, 1, wait_for_queued, &waiter));
    bool waits = await_until(two_wait, NULL);
    bool closing = crowd_start(&closer, 1, close_it, &closed);
    crowd_join(&crowd); /* told at once, while the other still runs */
    bool both = event_await(&queued.release, 2);
    bool early = closed != 99;
    event_raise(&running.source.go);
    crowd_join(&closer);
    cache = NULL;
    assert_true(waits && closing && both && !early);
    assert_int_equal(waiter.status, HEARTH_E_CLOSED);
    assert_int_equal(closed, HEARTH_OK);
    assert_int_equal(atomic_load(&queued.source.calls), 0);
    assert_int_equal(atomic_load(&queued.retained), 2);
    assert_int_equal(atomic_load(&queued.released), 2);
    assert_int_equal(atomic_load(&running.retained), 1);
    assert_int_equal(atomic_load(&running.released), 1);
}

/* ---- fork ---- */

enum { FORKS = SANITIZED ? 0 : 20 };

/* In a child: its parent's worker is not here, what waited for it is released, and the key is loaded by its own. */
static int child(struct background *running, struct background *queued) {
    struct background own = BACKGROUND_INIT;
    (void)running;
    if (fetch_for("running", &own, 30000, value) != HEARTH_OK || !atomic_load(&own.elsewhere)) {
        return 1;
    }
    if (atomic_load(&queued->released) != 1 || !event_await(&own.release, 1)) {
        return 2;
    }
    return hearth_close(cache) == HEARTH_OK ? 0 : 3;
}

static void a_child_has_workers_of_its_own(void **state) {
    (void)state;
    for (int i = 0; i < FORKS; i++) {
        struct background running = BACKGROUND_INIT;
        struct background queued = BACKGROUND_INIT;
        char key[] = "queued";
        assert_true(cache_make_stale(cache, key));
        running.source.waits = true;
        assert_int_equal(fetch_for("running", &running, 1, NULL), HEARTH_E_TIMEOUT);
        assert_true(event_await(&running.source.entered, 1));
        assert_int_equal(fetch(key, &queued), HEARTH_OK);
        const pid_t pid = fork();
        if (pid == 0) {
            (void)alarm(30);
            _exit(child(&running, &queued));
        }
        int status = 1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(atomic_load(&queued.released), 0);
        event_raise(&running.source.go);
        assert_true(await_until(is_new, key));
        assert_true(event_await(&running.release, 1) && event_await(&queued.release, 1));
        assert_int_equal(hearth_delete(cache, "running", 7, NULL), HEARTH_OK);
    }
}

#define WITH(open, test) cmocka_unit_test_setup_teardown(test, open, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(open_cache, a_stale_value_is_renewed_while_nobody_waits),
        WITH(open_eager, a_renewal_that_fails_is_no_callers_matter),
        WITH(open_cache, only_one_of_both_functions_is_none),
        WITH(open_patient, within_the_soft_timeout_the_renewal_is_the_answer),
        WITH(open_hasty, beyond_the_soft_timeout_the_stale_value_is),
        WITH(open_cache, stale_values_of_a_batch_are_renewed_so_too),
        WITH(open_cache, without_a_deadline_the_caller_loads),
        WITH(open_cache, a_load_in_time_is_the_answer),
        WITH(open_cache, a_load_beyond_the_deadline_is_stored_when_it_comes),
        WITH(open_with_one, a_workers_loader_loads_what_it_needs_itself),
        WITH(open_cache, a_workers_loader_that_fetches_its_own_key_is_told),
        WITH(open_with_one, renewals_beyond_the_room_are_dropped_and_counted),
        WITH(open_with_none, without_threads_callers_load),
        WITH(open_with_none, a_lent_thread_runs_one_load),
        WITH(open_with_none, a_lent_thread_waits_and_is_given_back),
        WITH(open_with_one, closing_waits_for_what_runs_and_drops_what_waits),
        WITH(open_with_one, a_child_has_workers_of_its_own),
    };
    return cmocka_run_group_tests_name("background loads", tests, NULL, NULL);
}
