/* SPDX-License-Identifier: Apache-2.0 */
/* Loads of keys that have a value: the pause after a failure, what the loader is told of that value and may say of it, reloads,
 * early renewals; and fetches that do not load at all. */
#include "base/clock.h"
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;
static struct source source;

static int open_with(const char *const *settings) {
    source = (struct source){SOURCE_INIT, .text = "new"};
    return cache_open_with_value(settings, &cache, &value);
}

static int open_cache(void **state) {
    (void)state;
    return open_with((const char *const[]){"load.retry_after_ms", "1h", NULL});
}

static int close_cache(void **state) {
    (void)state;
    hearth_value_free(value);
    return hearth_close(cache);
}

static hearth_info info_of_value(void) {
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    return info;
}

static void expect_in_tiers(const char *key, const char *text) {
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE), text);
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), text);
}

static void make_stale(const char *key) {
    assert_true(cache_make_stale(cache, key));
}

static int32_t fetch(const char *key) {
    return source_fetch(cache, key, &source, value);
}

static int32_t fetch_by(const char *key, const hearth_loader *loader, uint32_t flags) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    return hearth_fetch(cache, key, strlen(key), loader, &read, NULL, value);
}

static int32_t fetch_with(const char *key, uint32_t flags) {
    const hearth_loader loader = source_loader(&source);
    return fetch_by(key, &loader, flags);
}

/* ---- after a failure ---- */

static void after_a_failure_the_next_try_waits(void **state) {
    (void)state;
    char key[] = "key";
    char other[] = "other";
    make_stale(key);
    make_stale(other);
    source.returns = 7;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fetch(key), HEARTH_OK);
        expect_text(value, "old");
        assert_int_equal(info_of_value().freshness, HEARTH_STALE);
    }
    assert_int_equal(atomic_load(&source.calls), 1);
    assert_int_equal(cache_stats(cache).renewals_paused, 4);
    assert_int_equal(fetch(other), HEARTH_OK);
    assert_int_equal(atomic_load(&source.calls), 2);
}

static void a_batch_waits_too(void **state) {
    (void)state;
    char key[] = "key";
    const void *const keys[] = {key};
    const size_t sizes[] = {3};
    int32_t status = 0;
    const hearth_loader loader = source_loader(&source);
    make_stale(key);
    source.returns = 7;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            hearth_fetch_many(cache, 1, keys, sizes, &loader, NULL, NULL, NULL, &status),
            HEARTH_OK);
    }
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void without_a_value_the_next_call_tries_again(void **state) {
    (void)state;
    char key[] = "key";
    source.returns = 7;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(fetch(key), HEARTH_E_LOADER);
        assert_int_equal(atomic_load(&source.calls), i);
    }
    make_stale(key);
    assert_int_equal(fetch(key), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, key, 3, NULL), HEARTH_OK);
    assert_int_equal(fetch(key), HEARTH_E_LOADER);
    assert_int_equal(atomic_load(&source.calls), 5);
}

static bool is_tried_again(void *arg) {
    return fetch(arg) == HEARTH_OK && atomic_load(&source.calls) > 1;
}

static void the_pause_ends(void **state) {
    (void)state;
    char key[] = "key";
    assert_int_equal(close_cache(NULL), HEARTH_OK);
    assert_int_equal(open_with((const char *const[]){"load.retry_after_ms", "1", NULL}), 0);
    make_stale(key);
    source.returns = 7;
    assert_true(await_until(is_tried_again, key));
}

static void it_needs_no_local_tier(void **state) {
    (void)state;
    char key[] = "key";
    assert_int_equal(close_cache(NULL), HEARTH_OK);
    assert_int_equal(open_with((const char *const[]){"local.max_bytes", "0",
                                                     "load.retry_after_ms", "1h", NULL}),
                     0);
    make_stale(key);
    source.returns = 7;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fetch(key), HEARTH_OK);
        expect_text(value, "old");
    }
    assert_int_equal(atomic_load(&source.calls), 1);
}

/* ---- what the loader is told ---- */

struct told {
    int32_t status;
    int32_t kept;
    char text[16];
    hearth_info info;
};

/* As a loader that asks its source whether anything has changed. */
static void keep(struct source *own, hearth_fill *fill) {
    struct told *told = own->arg;
    const void *data = NULL;
    size_t size = 0;
    told->info = (hearth_info){.size = sizeof told->info};
    told->status = hearth_fill_stale(fill, &data, &size, &told->info);
    (void)snprintf(told->text, sizeof told->text, "%.*s", (int)size, (const char *)data);
    told->kept = hearth_fill_unchanged(fill);
}

static void keeps(struct told *told) {
    source.inside = keep;
    source.silent = true;
    source.arg = told;
}

static void it_is_told_what_there_is(void **state) {
    (void)state;
    char key[] = "key";
    struct told told = {0};
    make_stale(key);
    source.inside = keep;
    source.arg = &told;
    assert_int_equal(fetch(key), HEARTH_OK);
    expect_text(value, "new"); /* said last */
    assert_int_equal(told.status, HEARTH_OK);
    assert_string_equal(told.text, "old");
    assert_int_equal(told.info.freshness, HEARTH_STALE);
    assert_int_equal(told.info.tier, HEARTH_TIER_LOCAL);
    expect_in_tiers(key, "=new");
    assert_int_equal(cache_stats(cache).load_unchanged, 0);
}

static void without_a_value_there_is_nothing_to_tell(void **state) {
    (void)state;
    struct told told = {.status = 9, .kept = 9};
    keeps(&told);
    assert_int_equal(fetch("key"), HEARTH_E_LOADER);
    assert_int_equal(told.status, HEARTH_MISS);
    assert_int_equal(told.kept, HEARTH_MISS);
}

static void what_is_unchanged_lives_on(void **state) {
    (void)state;
    char key[] = "key";
    struct told told = {0};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 10000000;
    write.soft_ttl_ms = 1;
    write.content = 77;
    keeps(&told);
    for (int round = 1; round <= 2; round++) {
        assert_int_equal(hearth_set(cache, key, 3, "kept", 4, &write), HEARTH_OK);
        assert_true(cache_await_stale(cache, key));
        if (round == 2) {
            assert_int_equal(hearth_evict_local(cache, key, 3), HEARTH_OK);
        }
        assert_int_equal(fetch(key), HEARTH_OK);
        expect_text(value, "kept");
        assert_int_equal(told.kept, HEARTH_OK);
        assert_int_equal(info_of_value().tier, HEARTH_TIER_LOADED);
        assert_int_equal(info_of_value().freshness, HEARTH_FRESH);
        assert_int_equal(info_of_value().content, 77);
        assert_true(info_of_value().version != told.info.version);
        expect_in_tiers(key, "=kept");
        assert_int_equal(cache_stats(cache).load_unchanged, round);
        assert_int_equal(cache_stats(cache).fills_refused, 0);
    }
}

static void a_fill_in_steps_is_told_too(void **state) {
    (void)state;
    char key[] = "key";
    hearth_fill *fill = NULL;
    const void *data = NULL;
    size_t size = 0;
    make_stale(key);
    assert_int_equal(hearth_fetch_begin(cache, key, 3, NULL, NULL, &fill), HEARTH_OK);
    assert_non_null(fill);
    assert_int_equal(hearth_fill_stale(fill, &data, &size, NULL), HEARTH_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "old", 3);
    assert_int_equal(hearth_fill_unchanged(fill), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, value), HEARTH_OK);
    expect_text(value, "old");
    expect_in_tiers(key, "=old");
    assert_int_equal(hearth_fill_stale(NULL, &data, &size, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_fill_unchanged(NULL), HEARTH_E_INVALID);
}

static void a_delete_meanwhile_is_not_undone(void **state) {
    (void)state;
    char key[] = "key";
    hearth_fill *fill = NULL;
    make_stale(key);
    assert_int_equal(hearth_fetch_begin(cache, key, 3, NULL, NULL, &fill), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, key, 3, NULL), HEARTH_OK);
    assert_int_equal(hearth_fill_unchanged(fill), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_OK);
    expect_in_tiers(key, "MISS");
}

/* ---- whatever is cached ---- */

static void a_reload_asks_the_loader(void **state) {
    (void)state;
    char key[] = "key";
    struct told told = {0};
    assert_int_equal(cache_set(cache, key, "cached"), HEARTH_OK);
    source.inside = keep;
    source.arg = &told;
    assert_int_equal(fetch_with(key, HEARTH_READ_RELOAD), HEARTH_OK);
    expect_text(value, "new");
    expect_in_tiers(key, "=new");
    assert_string_equal(told.text, "cached");
    assert_int_equal(told.info.freshness, HEARTH_FRESH);
    source.inside = NULL;
    source.text = "newer";
    assert_int_equal(fetch_with(key, HEARTH_READ_RELOAD | HEARTH_READ_NO_LOCAL), HEARTH_OK);
    assert_string_equal(cache_get(cache, key, 0), "=newer");
    assert_int_equal(fetch_with("unknown", HEARTH_READ_RELOAD), HEARTH_OK);
    expect_in_tiers("unknown", "=newer");
    source.absent = true;
    assert_int_equal(fetch_with(key, HEARTH_READ_RELOAD), HEARTH_ABSENT);
    expect_in_tiers(key, "ABSENT");
    assert_int_equal(atomic_load(&source.calls), 4);
}

/* It is told; who does not ask for a reload has the value all the same. */
static void a_reload_that_fails_changes_nothing(void **state) {
    (void)state;
    char key[] = "key";
    assert_int_equal(cache_set(cache, key, "cached"), HEARTH_OK);
    source.returns = 7;
    assert_int_equal(fetch_with(key, HEARTH_READ_RELOAD), HEARTH_E_LOADER);
    assert_int_equal(hearth_value_size(value), 0);
    assert_int_equal(fetch_with(key, HEARTH_READ_RELOAD), HEARTH_E_LOADER);
    assert_int_equal(atomic_load(&source.calls), 2);
    expect_in_tiers(key, "=cached");
    assert_int_equal(fetch(key), HEARTH_OK);
    expect_text(value, "cached");
}

static void of_many_all_are_reloaded(void **state) {
    (void)state;
    const void *const keys[] = {"a", "b", "b"};
    const size_t sizes[] = {1, 1, 1};
    int32_t statuses[3];
    const hearth_loader loader = source_loader(&source);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_RELOAD;
    hearth_value *const values[] = {value, NULL, NULL};
    assert_int_equal(cache_set(cache, "a", "cached"), HEARTH_OK);
    assert_int_equal(
        hearth_fetch_many(cache, 3, keys, sizes, &loader, &read, NULL, values, statuses),
        HEARTH_OK);
    expect_text(value, "new");
    expect_in_tiers("a", "=new");
    expect_in_tiers("b", "=new");
    assert_int_equal(atomic_load(&source.calls), 2);
    source.returns = 7;
    assert_int_equal(
        hearth_fetch_many(cache, 3, keys, sizes, &loader, &read, NULL, values, statuses),
        HEARTH_E_LOADER);
    assert_int_equal(statuses[2], HEARTH_E_LOADER);
    assert_int_equal(hearth_value_size(value), 0);
    expect_in_tiers("a", "=new");
}

/* A loader whose n-th call answers "load n", as it was when it began. */
static int32_t load_numbered(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct source *own = arg;
    char text[16];
    (void)snprintf(text, sizeof text, "load %d", atomic_fetch_add(&own->calls, 1) + 1);
    const hearth_loader rest = source_loader(own);
    own->text = "";
    (void)rest.load(own, key, key_size, fill);
    atomic_fetch_add(&own->calls, -1);
    return hearth_fill_value(fill, text, strlen(text));
}

struct reloader {
    bool in_batch;
    int32_t status;
    char text[16];
};

static void reload(void *arg, size_t index) {
    struct reloader *reloader = arg;
    hearth_value *own = hearth_value_new();
    const hearth_loader loader = {.size = sizeof loader, .load = load_numbered, .arg = &source};
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_RELOAD;
    if (reloader->in_batch) {
        const void *const keys[] = {"key"};
        const size_t sizes[] = {3};
        if (hearth_fetch_many(cache, 1, keys, sizes, &loader, &read, NULL, &own,
                              &reloader->status) != HEARTH_OK) {
            reloader->status = HEARTH_E_INVALID;
        }
    } else {
        reloader->status = hearth_fetch(cache, "key", 3, &loader, &read, NULL, own);
    }
    (void)snprintf(reloader->text, sizeof reloader->text, "%.*s", (int)hearth_value_size(own),
                   (const char *)hearth_value_data(own));
    hearth_value_free(own);
    (void)index;
}

static bool one_waits(void *arg) {
    return cache_stats(cache).flight_waits > *(uint64_t *)arg;
}

/* What began before the call may have seen what was there before; and never do two run at once. */
static void a_load_that_began_before_is_not_enough(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct reloader first = {0};
        struct reloader second = {.in_batch = round == 1};
        struct crowd crowds[2];
        uint64_t waits = cache_stats(cache).flight_waits;
        source = (struct source){SOURCE_INIT, .waits = true};
        assert_true(crowd_start(&crowds[0], 1, reload, &first));
        assert_true(event_await(&source.entered, 1));
        assert_true(crowd_start(&crowds[1], 1, reload, &second));
        assert_true(await_until(one_waits, &waits));
        assert_int_equal(atomic_load(&source.calls), 2); /* both of the first */
        event_raise(&source.go);
        crowd_join(&crowds[0]);
        crowd_join(&crowds[1]);
        assert_int_equal(first.status, HEARTH_OK);
        assert_string_equal(first.text, "load 1");
        assert_int_equal(second.status, HEARTH_OK);
        assert_string_equal(second.text, "load 2");
    }
}

static void a_fill_in_steps_reloads_too(void **state) {
    (void)state;
    hearth_fill *fill = NULL;
    hearth_fill *none = NULL;
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_RELOAD | HEARTH_READ_NO_WAIT;
    assert_int_equal(cache_set(cache, "key", "cached"), HEARTH_OK);
    assert_int_equal(hearth_fetch_begin(cache, "key", 3, &read, value, &fill), HEARTH_OK);
    expect_text(value, "cached");
    assert_non_null(fill);
    assert_int_equal(hearth_fetch_begin(cache, "key", 3, &read, value, &none), HEARTH_MISS);
    assert_null(none);
    assert_int_equal(hearth_fill_value(fill, "x", 1), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, value), HEARTH_OK);
    expect_in_tiers("key", "=x");
}

/* ---- what is cached, and no more ---- */

static void without_loading_the_tiers_answer_or_nobody(void **state) {
    (void)state;
    char key[] = "key";
    assert_int_equal(fetch_with(key, HEARTH_READ_NO_LOAD), HEARTH_MISS);
    make_stale(key);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fetch_with(key, HEARTH_READ_NO_LOAD), HEARTH_OK);
        expect_text(value, "old");
        assert_int_equal(info_of_value().freshness, HEARTH_STALE);
        assert_int_equal(hearth_evict_local(cache, key, 3), HEARTH_OK);
    }
    const void *const keys[] = {"unknown", key};
    const size_t sizes[] = {7, 3};
    int32_t statuses[2];
    const hearth_loader loader = source_loader(&source);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOAD;
    assert_int_equal(
        hearth_fetch_many(cache, 2, keys, sizes, &loader, &read, NULL, NULL, statuses),
        HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_MISS);
    assert_int_equal(statuses[1], HEARTH_OK);
    assert_int_equal(atomic_load(&source.calls), 0);
}

static void a_node_that_is_down_has_nothing(void **state) {
    (void)state;
    assert_int_equal(close_cache(NULL), HEARTH_OK);
    assert_int_equal(open_with((const char *const[]){"remote.url",
                                                     "redis+unix:///nonexistent/socket", NULL}),
                     0);
    const void *const keys[] = {"key"};
    const size_t sizes[] = {3};
    int32_t status = 0;
    const hearth_loader loader = source_loader(&source);
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOAD;
    assert_int_equal(hearth_get(cache, "key", 3, NULL, value), HEARTH_E_UNAVAILABLE);
    assert_int_equal(fetch_with("key", HEARTH_READ_NO_LOAD), HEARTH_MISS);
    assert_int_equal(
        hearth_fetch_many(cache, 1, keys, sizes, &loader, &read, NULL, NULL, &status),
        HEARTH_OK);
    assert_int_equal(status, HEARTH_MISS);
}

static void flags_that_mean_nothing_are_refused(void **state) {
    (void)state;
    static const uint32_t both[] = {HEARTH_READ_RELOAD, HEARTH_READ_NO_LOAD};
    hearth_fill *fill = NULL;
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    assert_int_equal(fetch_with("key", both[0] | both[1]), HEARTH_E_INVALID);
    for (size_t i = 0; i < 2; i++) {
        read.flags = both[i];
        assert_int_equal(hearth_get(cache, "key", 3, &read, value), HEARTH_E_INVALID);
    }
    assert_int_equal(hearth_fetch_begin(cache, "key", 3, &read, value, &fill),
                     HEARTH_E_INVALID);
    assert_int_equal(atomic_load(&source.calls), 0);
}

/* ---- lives ---- */

enum { TTL_MS = 1000000, SLACK_MS = 100000, KEYS = 100 };

/* How long a value of the given life lives by the node, at the least and at the most of many keys. */
static void spread_of_loads(const char *jitter, int32_t answer, int64_t *least, int64_t *most) {
    assert_int_equal(close_cache(NULL), HEARTH_OK);
    const char *const life = answer == HEARTH_OK ? "ttl_ms" : "negative_ttl_ms";
    assert_int_equal(
        open_with((const char *const[]){"ttl_jitter", jitter, life, "1000000", NULL}), 0);
    source.absent = answer == HEARTH_ABSENT;
    *least = INT64_MAX;
    *most = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(fetch_with(key, HEARTH_READ_NO_LOCAL), answer);
        assert_int_equal(fetch_with(key, HEARTH_READ_NO_LOCAL), answer);
        const int64_t left = info_of_value().ttl_left_ms;
        *least = left < *least ? left : *least;
        *most = left > *most ? left : *most;
    }
}

static void expect_spread(int32_t answer) {
    int64_t least = 0;
    int64_t most = 0;
    spread_of_loads("0.9", answer, &least, &most);
    assert_true(most <= TTL_MS && least >= TTL_MS / 10 - SLACK_MS);
    assert_true(most > TTL_MS * 8 / 10 - SLACK_MS && least < TTL_MS * 2 / 10);
    spread_of_loads("0", answer, &least, &most);
    assert_true(most <= TTL_MS && least > TTL_MS - SLACK_MS);
}

static void what_is_loaded_together_does_not_expire_together(void **state) {
    (void)state;
    expect_spread(HEARTH_OK);
}

static void what_is_found_absent_together_does_not_expire_together(void **state) {
    (void)state;
    expect_spread(HEARTH_ABSENT);
}

/* A loader that says nothing, or that a key is absent and fails, has not said that the key does not exist. */
static void only_who_says_absent_means_it(void **state) {
    (void)state;
    source.silent = true;
    assert_int_equal(fetch("key"), HEARTH_E_LOADER);
    source.absent = true;
    source.returns = -1;
    assert_int_equal(fetch("key"), HEARTH_E_LOADER);
    assert_string_equal(cache_get(cache, "key", 0), "MISS");
    assert_int_equal(cache_stats(cache).load_absents, 0);
    source.returns = HEARTH_OK;
    assert_int_equal(fetch("key"), HEARTH_ABSENT);
    assert_string_equal(cache_get(cache, "key", 0), "ABSENT");
}

static void what_is_set_lives_as_long_as_it_was_given(void **state) {
    (void)state;
    assert_int_equal(close_cache(NULL), HEARTH_OK);
    assert_int_equal(open_with((const char *const[]){"ttl_jitter", "0.9", NULL}), 0);
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = TTL_MS;
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(hearth_set(cache, "key", 3, "x", 1, &write), HEARTH_OK);
        assert_int_equal(fetch("key"), HEARTH_OK);
        assert_true(info_of_value().ttl_left_ms > TTL_MS - SLACK_MS);
    }
}

/* ---- before it expires ---- */

static struct event released;

static void retain(void *arg) {
    (void)arg;
}

static void release(void *arg) {
    (void)arg;
    event_raise(&released);
}

/* Every load seems to take a tenth of the soft life, and beta is such that its end is near from the beginning. */
static int open_early(void **state) {
    (void)state;
    released = (struct event)EVENT_INIT;
    int32_t status =
        open_with((const char *const[]){"early.beta", "100", "ttl_jitter", "0", NULL});
    source.has_ttl = true;
    source.ttl_ms = TTL_MS;
    source.soft_ttl_ms = 400;
    return status;
}

struct early {
    hearth_loader loader;
    uint32_t flags;
    uint64_t renewals; /* so many are waited for */
};

/* Whatever else happens, each answer is a value; and the machine may be so slow that one is stale. */
static bool is_renewed_early(void *arg) {
    const struct early *early = arg;
    return fetch_by("key", &early->loader, early->flags) != HEARTH_OK ||
           cache_stats(cache).early_renewals >= early->renewals;
}

static void a_hit_is_renewed_before_it_expires(void **state) {
    (void)state;
    static const uint32_t flags[] = {0, HEARTH_READ_NO_REMOTE, HEARTH_READ_NO_LOCAL};
    for (uint64_t i = 0; i < 3; i++) {
        struct early early = {
            .loader = source_loader(&source), .flags = flags[i], .renewals = i + 1};
        assert_true(await_until(is_renewed_early, &early));
        assert_int_equal(cache_stats(cache).early_renewals, i + 1);
        /* Without `retain` it is the caller who renews. */
        assert_int_equal(info_of_value().tier, HEARTH_TIER_LOADED);
        expect_text(value, "new");
    }
}

static void nobody_waits_for_a_worker_that_renews_early(void **state) {
    (void)state;
    struct early early = {.loader = source_loader(&source), .renewals = 1};
    assert_int_equal(fetch("key"), HEARTH_OK);
    early.loader.retain = retain;
    early.loader.release = release;
    source.waits = true;
    source.text = "newer";
    assert_true(await_until(is_renewed_early, &early));
    expect_text(value, "new"); /* the load cannot have ended */
    assert_int_equal(info_of_value().tier, HEARTH_TIER_LOCAL);
    assert_int_equal(fetch_by("key", &early.loader, 0), HEARTH_OK);
    expect_text(value, "new");
    event_raise(&source.go);
    assert_true(event_await(&released, 1));
    assert_string_equal(cache_get(cache, "key", HEARTH_READ_ALLOW_STALE), "=newer");
}

static void an_early_renewal_that_fails_leaves_the_value(void **state) {
    (void)state;
    struct early early = {.loader = source_loader(&source), .renewals = 1};
    assert_int_equal(fetch("key"), HEARTH_OK);
    source.returns = 7;
    assert_true(await_until(is_renewed_early, &early));
    expect_text(value, "new");
}

static void a_batch_renews_early_too(void **state) {
    (void)state;
    const void *const keys[] = {"key"};
    const size_t sizes[] = {3};
    const hearth_loader loader = source_loader(&source);
    int32_t status = 0;
    while (cache_stats(cache).early_renewals == 0) {
        assert_int_equal(
            hearth_fetch_many(cache, 1, keys, sizes, &loader, NULL, NULL, &value, &status),
            HEARTH_OK);
    }
    assert_int_equal(status, HEARTH_OK);
    expect_text(value, "new");
}

/* Whoever looks into the local tier alone is sent on, and then the renewal begins at once. */
static void a_look_that_is_sent_on_renews(void **state) {
    (void)state;
    uint64_t version = 0;
    hearth_stats stats;
    do {
        while (hearth_peek_version(cache, "key", 3, &version) == HEARTH_OK) {
        }
        stats = cache_stats(cache);
        const bool fresh = strcmp(cache_get(cache, "key", HEARTH_READ_NO_REMOTE), "=new") == 0;
        assert_int_equal(fetch("key"), HEARTH_OK);
        if (fresh && info_of_value().tier == HEARTH_TIER_LOADED) {
            stats = cache_stats(cache);
        }
    } while (stats.early_renewals == 0);
    expect_text(value, "new");
}

/* However likely it is: not more often than each 100 ms. */
static void renewals_are_no_storm(void **state) {
    (void)state;
    struct early early = {.loader = source_loader(&source), .renewals = 1};
    source.soft_ttl_ms = 50;
    assert_true(await_until(is_renewed_early, &early));
    const int64_t first_ms = hearth__boot_ms();
    early.renewals = 3;
    assert_true(await_until(is_renewed_early, &early));
    assert_true(hearth__boot_ms() - first_ms >= 199);
}

static void what_was_set_is_not_renewed_early(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = TTL_MS;
    write.soft_ttl_ms = 20;
    assert_int_equal(hearth_set(cache, "key", 3, "set", 3, &write), HEARTH_OK);
    while (atomic_load(&source.calls) == 0) {
        assert_int_equal(fetch("key"), HEARTH_OK);
    }
    assert_int_equal(cache_stats(cache).early_renewals, 0);
}

static void with_beta_0_nothing_is_renewed_early(void **state) {
    (void)state;
    assert_int_equal(close_cache(NULL), HEARTH_OK);
    assert_int_equal(open_with((const char *const[]){"early.beta", "0", NULL}), 0);
    source.has_ttl = true;
    source.ttl_ms = TTL_MS;
    source.soft_ttl_ms = 20;
    while (atomic_load(&source.calls) < 3) {
        assert_int_equal(fetch("key"), HEARTH_OK);
    }
    assert_int_equal(cache_stats(cache).early_renewals, 0);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)
#define WITH_EARLY(test) cmocka_unit_test_setup_teardown(test, open_early, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(after_a_failure_the_next_try_waits),
        WITH_CACHE(a_batch_waits_too),
        WITH_CACHE(without_a_value_the_next_call_tries_again),
        WITH_CACHE(the_pause_ends),
        WITH_CACHE(it_needs_no_local_tier),
        WITH_CACHE(it_is_told_what_there_is),
        WITH_CACHE(without_a_value_there_is_nothing_to_tell),
        WITH_CACHE(what_is_unchanged_lives_on),
        WITH_CACHE(a_fill_in_steps_is_told_too),
        WITH_CACHE(a_delete_meanwhile_is_not_undone),
        WITH_CACHE(a_reload_asks_the_loader),
        WITH_CACHE(a_reload_that_fails_changes_nothing),
        WITH_CACHE(of_many_all_are_reloaded),
        WITH_CACHE(a_load_that_began_before_is_not_enough),
        WITH_CACHE(a_fill_in_steps_reloads_too),
        WITH_CACHE(without_loading_the_tiers_answer_or_nobody),
        WITH_CACHE(a_node_that_is_down_has_nothing),
        WITH_CACHE(flags_that_mean_nothing_are_refused),
        WITH_CACHE(what_is_loaded_together_does_not_expire_together),
        WITH_CACHE(what_is_found_absent_together_does_not_expire_together),
        WITH_CACHE(only_who_says_absent_means_it),
        WITH_CACHE(what_is_set_lives_as_long_as_it_was_given),
        WITH_EARLY(a_hit_is_renewed_before_it_expires),
        WITH_EARLY(nobody_waits_for_a_worker_that_renews_early),
        WITH_EARLY(an_early_renewal_that_fails_leaves_the_value),
        WITH_EARLY(a_batch_renews_early_too),
        WITH_EARLY(a_look_that_is_sent_on_renews),
        WITH_EARLY(renewals_are_no_storm),
        WITH_EARLY(what_was_set_is_not_renewed_early),
        WITH_EARLY(with_beta_0_nothing_is_renewed_early),
    };
    return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
