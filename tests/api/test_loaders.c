/* SPDX-License-Identifier: Apache-2.0 */
/* Loaders that use the cache they load for: they fetch other keys, their own, each other's, and
 * write. */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static struct source source;

static int open_cache(void **state) {
    (void)state;
    source = (struct source){SOURCE_INIT, .text = "loaded"};
    cache = cache_open(NULL);
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

static void expect_in_tiers(const char *key, const char *local, const char *remote) {
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE), local);
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), remote);
}

/* ---- writes from inside the loader ---- */

static void set_own_key(struct source *of, hearth_fill *fill) {
    (void)fill;
    of->filled = cache_set(cache, "key", "written");
}

static void a_loader_may_write_its_own_key(void **state) {
    (void)state;
    source.inside = set_own_key;
    assert_int_equal(source_fetch(cache, "key", &source, NULL), HEARTH_OK);
    expect_in_tiers("key", "=written", "=written"); /* the later word */
}

/* ---- loaders that fetch ---- */

/* A source that fetches another source's key before it answers. */
struct step {
    const char *key;
    struct source *source;
    int32_t status;
};

static void fetch_next(struct source *of, hearth_fill *fill) {
    struct step *next = of->arg;
    (void)fill;
    next->status = source_fetch(cache, next->key, next->source, NULL);
}

static void a_loader_may_fetch_other_keys(void **state) {
    (void)state;
    struct source third = {SOURCE_INIT, .text = "3"};
    struct step to_third = {.key = "third", .source = &third};
    struct source second = {SOURCE_INIT, .text = "2", .inside = fetch_next, .arg = &to_third};
    struct step to_second = {.key = "second", .source = &second};
    struct source first = {SOURCE_INIT, .text = "1", .inside = fetch_next, .arg = &to_second};
    assert_int_equal(source_fetch(cache, "first", &first, NULL), HEARTH_OK);
    assert_int_equal(to_second.status, HEARTH_OK);
    assert_int_equal(to_third.status, HEARTH_OK);
    expect_in_tiers("first", "=1", "=1");
    expect_in_tiers("second", "=2", "=2");
    expect_in_tiers("third", "=3", "=3");
}

static void a_loader_that_fetches_its_own_key_is_told(void **state) {
    (void)state;
    struct step to_self = {.key = "key", .source = &source};
    source.inside = fetch_next;
    source.arg = &to_self;
    assert_int_equal(source_fetch(cache, "key", &source, NULL), HEARTH_OK);
    assert_int_equal(to_self.status, HEARTH_E_DEADLOCK);
    assert_int_equal(atomic_load(&source.calls), 1);
    expect_in_tiers("key", "=loaded", "=loaded"); /* it could answer all the same */
}

/* Through another key's loader. */
static void a_loader_that_comes_back_to_its_key_is_told(void **state) {
    (void)state;
    struct source second = {SOURCE_INIT, .text = "2", .inside = fetch_next};
    struct step to_first = {.key = "key", .source = &source};
    struct step to_second = {.key = "second", .source = &second};
    source.inside = fetch_next;
    source.arg = &to_second;
    second.arg = &to_first;
    assert_int_equal(source_fetch(cache, "key", &source, NULL), HEARTH_OK);
    assert_int_equal(to_second.status, HEARTH_OK);
    assert_int_equal(to_first.status, HEARTH_E_DEADLOCK);
}

/* Threads whose loaders fetch each other's keys, in a circle. */
enum { CIRCLE = 3 };

struct circle {
    struct source sources[CIRCLE];
    struct step steps[CIRCLE]; /* what each asks of the next */
    struct event loading;
    int32_t statuses[CIRCLE];
};

static const char *const circle_keys[CIRCLE] = {"a", "b", "c"};

static void fetch_next_once_all_load(struct source *of, hearth_fill *fill) {
    struct circle *circle = of->arg;
    size_t own = (size_t)(of - circle->sources);
    (void)fill;
    event_raise(&circle->loading);
    if (event_await(&circle->loading, CIRCLE)) {
        struct step *next = &circle->steps[own];
        next->status = source_fetch(cache, next->key, next->source, NULL);
        of->returns = next->status; /* it cannot answer without the other */
    }
}

static void go_round(void *arg, size_t index) {
    struct circle *circle = arg;
    circle->statuses[index] =
        source_fetch(cache, circle_keys[index], &circle->sources[index], NULL);
}

static void a_circle_of_loaders_ends_at_once(void **state) {
    (void)state;
    struct circle circle = {.loading = EVENT_INIT};
    int deadlocks = 0;
    for (size_t i = 0; i < CIRCLE; i++) {
        circle.sources[i] = (struct source){SOURCE_INIT, .text = "x",
                                            .inside = fetch_next_once_all_load, .arg = &circle};
        circle.steps[i] = (struct step){.key = circle_keys[(i + 1) % CIRCLE],
                                        .source = &circle.sources[(i + 1) % CIRCLE]};
    }
    assert_true(crowd_run(CIRCLE, go_round, &circle));
    for (size_t i = 0; i < CIRCLE; i++) {
        deadlocks += circle.steps[i].status == HEARTH_E_DEADLOCK;
        assert_true(circle.steps[i].status == HEARTH_E_DEADLOCK ||
                    circle.steps[i].status == HEARTH_E_LOADER);
        assert_int_equal(circle.statuses[i], HEARTH_E_LOADER);
        assert_int_equal(atomic_load(&circle.sources[i].calls), 1);
    }
    assert_int_equal(deadlocks, 1);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(a_loader_may_write_its_own_key),
        WITH_CACHE(a_loader_may_fetch_other_keys),
        WITH_CACHE(a_loader_that_fetches_its_own_key_is_told),
        WITH_CACHE(a_loader_that_comes_back_to_its_key_is_told),
        WITH_CACHE(a_circle_of_loaders_ends_at_once),
    };
    return cmocka_run_group_tests_name("loaders", tests, NULL, NULL);
}
