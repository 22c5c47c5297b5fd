/* SPDX-License-Identifier: Apache-2.0 */
/* More loads than load.max_concurrent allows, and loads that fail again and again. */
#include "base/clock.h"
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;

static int open_with(const char *const *settings) {
    return cache_open_with_value(settings, &cache, &value);
}

/* One place, and a wait that no test sees the end of. */
static int open_narrow(void **state) {
    (void)state;
    return open_with(
        (const char *const[]){"load.max_concurrent", "1", "load.wait_ms", "20s", NULL});
}

/* The same without a wait. */
static int open_hasty(void **state) {
    (void)state;
    return open_with(
        (const char *const[]){"load.max_concurrent", "1", "load.wait_ms", "0", NULL});
}

static int open_two(void **state) {
    (void)state;
    return open_with(
        (const char *const[]){"load.max_concurrent", "2", "load.wait_ms", "0", NULL});
}

static int close_cache(void **state) {
    (void)state;
    return cache_close(cache, value);
}

/* ---- loads that run elsewhere ---- */

/* Threads that load a key each, until the test lets them end. */
struct others {
    struct crowd crowd;
    struct source source;
    int32_t statuses[CROWD_MAX];
};

static void load_one(void *arg, size_t index) {
    struct others *others = arg;
    char key[24];
    (void)snprintf(key, sizeof key, "other%zu", index);
    others->statuses[index] = source_fetch(cache, key, &others->source, NULL);
}

/* False: not all of them load. */
static bool begin(struct others *others, size_t count) {
    others->source = (struct source){SOURCE_INIT, .text = "other's", .waits = true};
    return crowd_start(&others->crowd, count, load_one, others) &&
           event_await(&others->source.entered, count);
}

static void end(struct others *others) {
    event_raise(&others->source.go);
    crowd_join(&others->crowd);
    for (size_t i = 0; i < others->crowd.count; i++) {
        assert_int_equal(others->statuses[i], HEARTH_OK);
    }
}

/* ---- callers ---- */

static void who_finds_no_place_in_time_is_told(void **state) {
    (void)state;
    struct others others;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    assert_true(begin(&others, 1));
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_E_OVERLOAD);
    hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.loads_running, 1);
    assert_int_equal(stats.loads_queued, 1);
    assert_int_equal(stats.loads_refused, 1);
    assert_int_equal(stats.load_errors, 0);
    end(&others);
    assert_int_equal(cache_stats(cache).loads_running, 0);
    assert_int_equal(atomic_load(&source.calls), 0);
    assert_string_equal(cache_get(cache, "key", 0), "MISS"); /* nothing of it is left */
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_text(value, "loaded");
}

static bool is_queued(void *arg) {
    (void)arg;
    return cache_stats(cache).flights == 2;
}

static void load_another(void *arg, size_t index) {
    struct source *source = arg;
    (void)index;
    source->returns = source_fetch(cache, "key", source, NULL);
}

static void who_waits_loads_in_turn(void **state) {
    (void)state;
    struct others others;
    struct crowd crowd;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    assert_true(begin(&others, 1));
    assert_true(crowd_start(&crowd, 1, load_another, &source));
    assert_true(await_until(is_queued, NULL));
    assert_int_equal(atomic_load(&source.calls), 0);
    end(&others);
    crowd_join(&crowd);
    assert_int_equal(source.returns, HEARTH_OK);
    assert_int_equal(cache_stats(cache).loads_refused, 0);
}

static void the_deadline_of_the_call_is_the_end_of_its_wait(void **state) {
    (void)state;
    struct others others;
    struct source source = {SOURCE_INIT};
    const hearth_loader loader = source_loader(&source);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 1;
    assert_true(begin(&others, 1));
    assert_int_equal(hearth_fetch(cache, "key", 3, &loader, &read, NULL, value),
                     HEARTH_E_OVERLOAD);
    end(&others);
}

static void a_stale_value_is_the_answer(void **state) {
    (void)state;
    struct others others;
    struct source source = {SOURCE_INIT, .text = "new"};
    assert_true(cache_make_stale(cache, "key"));
    assert_true(begin(&others, 1));
    int32_t status = source_fetch(cache, "key", &source, value);
    hearth_stats stats = cache_stats(cache);
    end(&others); /* before anything is asserted: who is still inside holds the close up */
    assert_int_equal(status, HEARTH_OK);
    expect_text(value, "old");
    assert_int_equal(stats.renewals_paused, 1);
    assert_int_equal(stats.loads_queued, 0); /* who has an answer waits for nothing */
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_text(value, "new");
}

/* A reload is to load: what there is is no answer to it. */
static void a_reload_without_a_place_says_so(void **state) {
    (void)state;
    struct others others;
    struct source source = {SOURCE_INIT, .text = "new"};
    const hearth_loader loader = source_loader(&source);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_RELOAD;
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    assert_true(begin(&others, 1));
    assert_int_equal(hearth_fetch(cache, "key", 3, &loader, &read, NULL, value),
                     HEARTH_E_OVERLOAD);
    end(&others);
    assert_string_equal(cache_get(cache, "key", 0), "=old");
}

/* With one place of two taken, a renewal would take the last. */
static void renewals_leave_the_last_place_to_callers(void **state) {
    (void)state;
    struct others others;
    struct source source = {SOURCE_INIT, .text = "new"};
    assert_true(cache_make_stale(cache, "key"));
    assert_true(begin(&others, 1));
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_text(value, "old");
    assert_int_equal(source_fetch(cache, "missing", &source, value), HEARTH_OK);
    expect_text(value, "new");
    assert_int_equal(atomic_load(&source.calls), 1);
    end(&others);
}

/* ---- batches ---- */

static int32_t load_many(void *arg, size_t count, const void *const *keys,
                         const size_t *key_sizes, hearth_fill *const *fills) {
    struct source *source = arg;
    (void)keys;
    (void)key_sizes;
    atomic_fetch_add(&source->calls, 1);
    for (size_t i = 0; i < count; i++) {
        source->filled = hearth_fill_value(fills[i], "loaded", 6);
    }
    return HEARTH_OK;
}

static const void *const three[] = {"a", "b", "c"};
static const size_t three_sizes[] = {1, 1, 1};

static int32_t fetch_three(struct source *source, bool in_one_call, int32_t *statuses) {
    hearth_loader loader = source_loader(source);
    loader.load_many = in_one_call ? load_many : NULL;
    return hearth_fetch_many(cache, 3, three, three_sizes, &loader, NULL, NULL, NULL, statuses);
}

static void a_batch_needs_one_place(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    int32_t statuses[3];
    assert_int_equal(fetch_three(&source, true, statuses), HEARTH_OK);
    assert_int_equal(atomic_load(&source.calls), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hearth_delete(cache, three[i], 1, NULL), HEARTH_OK);
    }
    assert_int_equal(fetch_three(&source, false, statuses), HEARTH_OK);
    assert_int_equal(atomic_load(&source.calls), 4);
    assert_int_equal(cache_stats(cache).loads_queued, 0);
}

static void a_batch_without_a_place_fails_key_by_key(void **state) {
    (void)state;
    struct others others;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    int32_t statuses[3];
    assert_int_equal(cache_set(cache, "a", "cached"), HEARTH_OK);
    assert_true(cache_make_stale(cache, "b"));
    for (int in_one_call = 0; in_one_call < 2; in_one_call++) {
        assert_true(begin(&others, 1));
        assert_int_equal(fetch_three(&source, in_one_call, statuses), HEARTH_E_OVERLOAD);
        assert_int_equal(statuses[0], HEARTH_OK);
        assert_int_equal(statuses[1], HEARTH_OK); /* stale */
        assert_int_equal(statuses[2], HEARTH_E_OVERLOAD);
        end(&others);
        assert_int_equal(atomic_load(&source.calls), 0);
        assert_int_equal(hearth_delete(cache, "other0", 6, NULL), HEARTH_OK);
    }
    assert_int_equal(fetch_three(&source, false, statuses), HEARTH_OK);
    assert_int_equal(atomic_load(&source.calls), 2);
}

/* ---- loaders within loaders ---- */

struct inner {
    struct source source;
    const char *key;
    int32_t status;
    struct event *await; /* before it fetches, if not NULL */
};

static void fetch_inner(struct source *of, hearth_fill *fill) {
    struct inner *inner = of->arg;
    (void)fill;
    if (inner->await == NULL || event_await(inner->await, 1)) {
        inner->status = source_fetch(cache, inner->key, &inner->source, NULL);
    }
}

static void a_loader_that_fetches_needs_no_second_place(void **state) {
    (void)state;
    struct inner inner = {.source = {SOURCE_INIT, .text = "inner"}, .key = "inner"};
    struct source outer = {SOURCE_INIT, .text = "outer", .inside = fetch_inner, .arg = &inner};
    assert_int_equal(source_fetch(cache, "outer", &outer, value), HEARTH_OK);
    assert_int_equal(inner.status, HEARTH_OK);
    assert_string_equal(cache_get(cache, "inner", 0), "=inner");
    assert_int_equal(cache_stats(cache).loads_queued, 0);
}

static void load_outer(void *arg, size_t index) {
    struct source *outer = arg;
    (void)index;
    outer->returns = source_fetch(cache, "outer", outer, NULL) == HEARTH_OK ? 0 : -1;
}

/* The loader waits for another caller's load, which waits for the place that the loader has. */
static void a_loader_lends_its_place_to_the_load_that_it_waits_for(void **state) {
    (void)state;
    struct event queued = EVENT_INIT;
    struct crowd crowd;
    struct crowd other;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    struct inner inner = {.source = {SOURCE_INIT}, .key = "key", .await = &queued};
    struct source outer = {SOURCE_INIT, .text = "outer", .inside = fetch_inner, .arg = &inner};
    assert_true(crowd_start(&crowd, 1, load_outer, &outer));
    while (atomic_load(&outer.calls) == 0) {
    }
    assert_true(crowd_start(&other, 1, load_another, &source));
    assert_true(await_until(is_queued, NULL));
    event_raise(&queued);
    crowd_join(&other);
    crowd_join(&crowd);
    assert_int_equal(source.returns, HEARTH_OK);
    assert_int_equal(inner.status, HEARTH_OK);
    assert_int_equal(outer.returns, 0);
    assert_int_equal(atomic_load(&source.calls) + atomic_load(&inner.source.calls), 1);
    assert_int_equal(cache_stats(cache).loads_running, 0);
}

/* ---- fills that a caller began ---- */

static int32_t fetch_begin(const char *key, uint32_t flags, hearth_fill **fill) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    return hearth_fetch_begin(cache, key, strlen(key), &read, value, fill);
}

static void a_fill_that_was_begun_has_a_place(void **state) {
    (void)state;
    struct crowd crowd;
    struct source source = {SOURCE_INIT, .text = "loaded"};
    hearth_fill *fill = NULL;
    assert_int_equal(fetch_begin("begun", 0, &fill), HEARTH_MISS);
    assert_non_null(fill);
    assert_true(crowd_start(&crowd, 1, load_another, &source));
    crowd_join(&crowd);
    assert_int_equal(source.returns, HEARTH_E_OVERLOAD);
    hearth_fill_abandon(fill);
    source.returns = 0;
    assert_true(crowd_start(&crowd, 1, load_another, &source));
    crowd_join(&crowd);
    assert_int_equal(source.returns, HEARTH_OK);
    assert_int_equal(fetch_begin("begun", 0, &fill), HEARTH_MISS);
    assert_int_equal(hearth_fill_value(fill, "v", 1), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_OK);
    assert_int_equal(cache_stats(cache).loads_running, 0);
}

static void no_fill_begins_without_a_place(void **state) {
    (void)state;
    struct others others;
    hearth_fill *fill = NULL;
    assert_true(begin(&others, 1));
    assert_int_equal(fetch_begin("key", 0, &fill), HEARTH_E_OVERLOAD);
    assert_null(fill);
    assert_int_equal(fetch_begin("key", HEARTH_READ_NO_WAIT, &fill), HEARTH_MISS);
    assert_null(fill);
    assert_int_equal(cache_stats(cache).loads_refused, 1);
    end(&others);
    assert_int_equal(fetch_begin("key", HEARTH_READ_NO_WAIT, &fill), HEARTH_MISS);
    assert_non_null(fill);
    hearth_fill_abandon(fill);
}

/* Between its begin and its end a caller is inside a load, as between a loader's call and its return. */
static void who_has_begun_a_fill_can_begin_others(void **state) {
    (void)state;
    hearth_fill *fills[3] = {NULL};
    const char *const keys[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fetch_begin(keys[i], 0, &fills[i]), HEARTH_MISS);
        assert_non_null(fills[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        hearth_fill_abandon(fills[i]);
    }
    assert_int_equal(cache_stats(cache).loads_running, 0);
}

/* ---- workers ---- */

static void keep(void *arg) {
    (void)arg;
}

static void let_go(void *arg) {
    event_raise(&((struct source *)arg)->go);
}

static int open_with_one_worker(void **state) {
    (void)state;
    return open_with(
        (const char *const[]){"load.max_concurrent", "3", "load.workers", "1", NULL});
}

static int32_t renew(const char *key, struct source *source) {
    hearth_loader loader = source_loader(source);
    loader.retain = keep;
    loader.release = let_go;
    return hearth_fetch(cache, key, strlen(key), &loader, NULL, NULL, value);
}

static void a_renewal_that_finds_no_place_is_dropped(void **state) {
    (void)state;
    struct others others;
    struct source first = {SOURCE_INIT, .text = "new", .waits = true};
    struct source second = {SOURCE_INIT, .text = "new"};
    assert_true(cache_make_stale(cache, "first"));
    assert_true(cache_make_stale(cache, "second"));
    assert_int_equal(renew("first", &first), HEARTH_OK);
    assert_true(event_await(&first.entered, 1));
    assert_int_equal(renew("second", &second), HEARTH_OK); /* waits for the worker */
    assert_true(begin(&others, 2));
    event_raise(&first.go);
    assert_true(event_await(&second.go, 1)); /* released: the worker has left it */
    assert_int_equal(atomic_load(&second.calls), 0);
    assert_int_equal(cache_stats(cache).renewals_dropped, 1);
    end(&others);
    expect_text(value, "old");
    assert_int_equal(renew("second", &second), HEARTH_OK);
    assert_true(event_await(&second.go, 2));
    assert_int_equal(atomic_load(&second.calls), 1);
}

/* ---- retries ---- */

enum { STALE = 30, SAVED = 10 };

static int open_impatient(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.retry_after_ms", "1", NULL});
}

static const char *stale_key(int i) {
    static char key[16];
    (void)snprintf(key, sizeof key, "stale%d", i);
    return key;
}

static bool is_past(void *arg) {
    return hearth__boot_ms() >= *(int64_t *)arg;
}

static void fetch_stale_ones(struct source *source) {
    int64_t later_ms = hearth__boot_ms() + 3;
    for (int i = 0; i < STALE; i++) {
        assert_int_equal(source_fetch(cache, stale_key(i), source, value), HEARTH_OK);
    }
    assert_true(await_until(is_past, &later_ms));
}

/* A source that fails is asked once for each key, and from then on by few. */
static void loads_that_failed_are_tried_again_by_few(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "new", .returns = -1};
    int64_t began_ms = hearth__boot_ms();
    for (int i = 0; i < STALE; i++) {
        assert_int_equal(cache_set_short(cache, stale_key(i)), HEARTH_OK);
    }
    assert_true(cache_await_stale(cache, stale_key(STALE - 1)));
    for (int i = 0; i < 6; i++) {
        fetch_stale_ones(&source);
    }
    hearth_stats stats = cache_stats(cache);
    int64_t seconds = (hearth__boot_ms() - began_ms) / 1000;
    assert_true(stats.load_retries >= SAVED);
    assert_true((int64_t)stats.load_retries <= SAVED + 1 + seconds);
    assert_int_equal(stats.loads, STALE + stats.load_retries);
}

/* Retries that succeed are none: all is renewed as soon as the source is well again. */
static void a_source_that_is_well_again_is_asked_for_all(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "new", .returns = -1};
    loads_that_failed_are_tried_again_by_few(state);
    source.returns = HEARTH_OK;
    for (int i = 0; i < 2 * SAVED; i++) { /* other loads earn a retry */
        char key[16];
        (void)snprintf(key, sizeof key, "missing%d", i);
        assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    }
    fetch_stale_ones(&source);
    for (int i = 0; i < STALE; i++) {
        assert_string_equal(cache_get(cache, stale_key(i), 0), "=new");
    }
}

#define WITH(open, test) cmocka_unit_test_setup_teardown(test, open, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(open_hasty, who_finds_no_place_in_time_is_told),
        WITH(open_narrow, who_waits_loads_in_turn),
        WITH(open_narrow, the_deadline_of_the_call_is_the_end_of_its_wait),
        WITH(open_narrow, a_stale_value_is_the_answer),
        WITH(open_hasty, a_reload_without_a_place_says_so),
        WITH(open_two, renewals_leave_the_last_place_to_callers),
        WITH(open_hasty, a_batch_needs_one_place),
        WITH(open_hasty, a_batch_without_a_place_fails_key_by_key),
        WITH(open_narrow, a_loader_that_fetches_needs_no_second_place),
        WITH(open_narrow, a_loader_lends_its_place_to_the_load_that_it_waits_for),
        WITH(open_hasty, a_fill_that_was_begun_has_a_place),
        WITH(open_hasty, no_fill_begins_without_a_place),
        WITH(open_hasty, who_has_begun_a_fill_can_begin_others),
        WITH(open_with_one_worker, a_renewal_that_finds_no_place_is_dropped),
        WITH(open_impatient, loads_that_failed_are_tried_again_by_few),
        WITH(open_impatient, a_source_that_is_well_again_is_asked_for_all),
    };
    return cmocka_run_group_tests_name("overload", tests, NULL, NULL);
}
