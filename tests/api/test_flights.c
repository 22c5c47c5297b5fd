/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_fetch() from many threads: one load, its waiters, and the writes that detach it. */
#include "source.h"
#include "support/sanitizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* ---- what each of many threads got ---- */

struct fetcher {
    struct source *source;
    const char *key;
    int64_t deadline_ms;
    int32_t statuses[CROWD_MAX];
    uint32_t tiers[CROWD_MAX];
    char texts[CROWD_MAX][16];
};

static void fetch(void *arg, size_t index) {
    struct fetcher *fetcher = arg;
    const hearth_loader loader = source_loader(fetcher->source);
    hearth_read_options read;
    hearth_info info = {.size = sizeof info};
    hearth_value *value = hearth_value_new();
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = fetcher->deadline_ms;
    fetcher->statuses[index] =
        hearth_fetch(cache, fetcher->key, strlen(fetcher->key), &loader, &read, NULL, value);
    (void)snprintf(fetcher->texts[index], sizeof fetcher->texts[index], "%.*s",
                   (int)hearth_value_size(value), (const char *)hearth_value_data(value));
    (void)hearth_value_info(value, &info);
    fetcher->tiers[index] = info.tier;
    hearth_value_free(value);
}

static void expect_all(const struct fetcher *fetcher, size_t count, int32_t status,
                       const char *text) {
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fetcher->statuses[i], status);
        assert_string_equal(fetcher->texts[i], text);
        assert_int_equal(fetcher->tiers[i],
                         status >= 0 ? HEARTH_TIER_LOADED : HEARTH_TIER_NONE);
    }
}

static bool are_waiting(void *arg) {
    return cache_stats(cache).flight_waits >= *(const uint64_t *)arg;
}

/* Starts `count` threads that fetch "key": one is in the loader, all others wait for it. */
static bool start_and_wait(struct crowd *crowd, struct fetcher *fetcher, size_t count) {
    uint64_t waiting = cache_stats(cache).flight_waits + count - 1;
    return crowd_start(crowd, count, fetch, fetcher) &&
           event_await(&fetcher->source->entered, 1) && await_until(are_waiting, &waiting);
}

/* ---- one load ---- */

static void expect_one_load(int32_t status, const char *text) {
    struct fetcher fetcher = {.source = &source, .key = "key"};
    struct crowd crowd;
    source.waits = true;
    bool waiting = start_and_wait(&crowd, &fetcher, CROWD_MAX);
    const uint64_t flights = cache_stats(cache).flights;
    event_raise(&source.go);
    crowd_join(&crowd);
    assert_true(waiting);
    assert_int_equal(flights, 1);
    assert_int_equal(atomic_load(&source.calls), 1);
    expect_all(&fetcher, CROWD_MAX, status, text);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.flights, 0);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.flight_waits, CROWD_MAX - 1);
    assert_int_equal(stats.flight_timeouts, 0);
}

static void of_64_threads_one_loads(void **state) {
    (void)state;
    expect_one_load(HEARTH_OK, "loaded");
    expect_in_tiers("key", "=loaded", "=loaded");
}

/* Many more threads than a crowd has, on small stacks. */
enum { MULTITUDE = SANITIZED ? 200 : 1000 };

struct multitude {
    struct source source;
    struct event started;
    _Atomic size_t right;
    pthread_t threads[MULTITUDE];
};

static void *be_one_of_many(void *arg) {
    struct multitude *multitude = arg;
    hearth_value *value = hearth_value_new();
    if (event_await(&multitude->started, 1) &&
        source_fetch(cache, "key", &multitude->source, value) == HEARTH_OK &&
        hearth_value_size(value) == 6 && memcmp(hearth_value_data(value), "loaded", 6) == 0) {
        atomic_fetch_add(&multitude->right, 1);
    }
    hearth_value_free(value);
    return NULL;
}

static size_t start_multitude(struct multitude *multitude) {
    pthread_attr_t small;
    size_t count = 0;
    if (pthread_attr_init(&small) == 0) {
        (void)pthread_attr_setstacksize(&small, 256 << 10);
        while (count < MULTITUDE && pthread_create(&multitude->threads[count], &small,
                                                   be_one_of_many, multitude) == 0) {
            count++;
        }
        (void)pthread_attr_destroy(&small);
    }
    return count;
}

static void of_a_thousand_threads_one_loads(void **state) {
    (void)state;
    static struct multitude multitude;
    multitude = (struct multitude){.source = {SOURCE_INIT, .text = "loaded", .waits = true},
                                   .started = EVENT_INIT};
    uint64_t others = MULTITUDE - 1;
    size_t count = start_multitude(&multitude);
    event_raise(&multitude.started);
    bool waiting = count == MULTITUDE && event_await(&multitude.source.entered, 1) &&
                   await_until(are_waiting, &others);
    event_raise(&multitude.source.go);
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(multitude.threads[i], NULL);
    }
    assert_true(waiting);
    assert_int_equal(atomic_load(&multitude.source.calls), 1);
    assert_int_equal(atomic_load(&multitude.right), MULTITUDE);
}

static void an_absence_is_shared(void **state) {
    (void)state;
    source.absent = true;
    expect_one_load(HEARTH_ABSENT, "");
    expect_in_tiers("key", "ABSENT", "ABSENT");
}

static void an_error_is_shared_and_kept_nowhere(void **state) {
    (void)state;
    source.returns = 5;
    expect_one_load(HEARTH_E_LOADER, "");
    expect_in_tiers("key", "MISS", "MISS");
}

static void other_keys_do_not_wait(void **state) {
    (void)state;
    struct fetcher fetcher = {.source = &source, .key = "key"};
    struct source other = {SOURCE_INIT, .text = "other"};
    struct crowd crowd;
    source.waits = true;
    bool waiting = start_and_wait(&crowd, &fetcher, 2);
    int32_t status = source_fetch(cache, "other", &other, NULL);
    event_raise(&source.go);
    crowd_join(&crowd);
    assert_true(waiting);
    assert_int_equal(status, HEARTH_OK);
    expect_in_tiers("other", "=other", "=other");
}

static void who_waits_leaves_at_its_deadline(void **state) {
    (void)state;
    struct fetcher leader = {.source = &source, .key = "key"};
    struct fetcher hasty = {.source = &source, .key = "key", .deadline_ms = 1};
    struct crowd crowd;
    source.waits = true;
    bool waiting = start_and_wait(&crowd, &leader, 1);
    bool ran = crowd_run(8, fetch, &hasty); /* all are back while the load runs */
    const hearth_stats stats = cache_stats(cache);
    event_raise(&source.go);
    crowd_join(&crowd);
    assert_true(waiting && ran);
    expect_all(&hasty, 8, HEARTH_E_TIMEOUT, "");
    expect_all(&leader, 1, HEARTH_OK, "loaded");
    assert_int_equal(stats.flight_timeouts, 8);
    assert_int_equal(stats.flights, 1);
    assert_int_equal(atomic_load(&source.calls), 1);
    expect_in_tiers("key", "=loaded", "=loaded");
}

/* ---- writes while a load runs ---- */

enum write { SET, DELETE, ADD, SET_MANY, DELETE_MANY, TOUCH, INCREMENT, WRITES };

static int32_t write_key(enum write write) {
    static const void *const keys[] = {"other", "key"};
    static const size_t key_sizes[] = {5, 3};
    static const void *const data[] = {"x", "new"};
    static const size_t sizes[] = {1, 3};
    int32_t statuses[2];
    switch (write) {
    case SET:
        return cache_set(cache, "key", "new");
    case DELETE:
        return hearth_delete(cache, "key", 3, NULL);
    case ADD:
        return hearth_add(cache, "key", 3, "new", 3, NULL);
    case SET_MANY:
        return hearth_set_many(cache, 2, keys, key_sizes, data, sizes, NULL, statuses);
    case DELETE_MANY:
        return hearth_delete_many(cache, 2, keys, key_sizes, NULL, statuses);
    case TOUCH:
        return hearth_touch(cache, "key", 3, NULL);
    case INCREMENT:
    case WRITES:
        break;
    }
    return hearth_increment(cache, "key", 3, 1, NULL, NULL);
}

/* The load began before the write: its callers get it, but it is stored nowhere. */
static void expect_detached(enum write write) {
    struct fetcher fetcher = {.source = &source, .key = "key"};
    struct crowd crowd;
    bool stores = write == SET || write == ADD || write == SET_MANY;
    source.waits = true;
    bool waiting = start_and_wait(&crowd, &fetcher, 4);
    int32_t written = write_key(write);
    const hearth_stats stats = cache_stats(cache);
    char now[16];
    (void)snprintf(now, sizeof now, "%.15s", cache_get(cache, "key", 0));
    event_raise(&source.go);
    crowd_join(&crowd);
    assert_true(waiting && written >= 0);
    expect_all(&fetcher, 4, HEARTH_OK, "loaded");
    assert_int_equal(stats.flight_detaches, 1);
    assert_string_equal(now, stores ? "=new" : "MISS");
    assert_string_equal(cache_get(cache, "key", HEARTH_READ_NO_LOCAL), now);
    assert_string_equal(cache_get(cache, "key", 0), now);
    assert_true(cache_stats(cache).fills_refused > 0);
}

static void a_write_keeps_an_older_load_out_of_both_tiers(void **state) {
    (void)state;
    for (enum write write = SET; write < WRITES; write++) {
        expect_detached(write);
        assert_int_equal(close_cache(NULL), 0);
        assert_int_equal(open_cache(NULL), 0);
    }
}

/* Who comes after a delete does not wait for the load before it. */
static void a_later_fetch_loads_anew(void **state) {
    (void)state;
    struct fetcher fetcher = {.source = &source, .key = "key"};
    struct source fresh = {SOURCE_INIT, .text = "fresh"};
    struct crowd crowd;
    source.waits = true;
    bool waiting = start_and_wait(&crowd, &fetcher, 4);
    int32_t deleted = hearth_delete(cache, "key", 3, NULL);
    int32_t status = source_fetch(cache, "key", &fresh, NULL);
    event_raise(&source.go);
    crowd_join(&crowd);
    assert_true(waiting);
    assert_int_equal(deleted, HEARTH_MISS);
    assert_int_equal(status, HEARTH_OK);
    assert_int_equal(atomic_load(&fresh.calls), 1);
    expect_all(&fetcher, 4, HEARTH_OK, "loaded");
    expect_in_tiers("key", "=fresh", "=fresh");
}

/* ---- everything at once ---- */

enum { KEYS = 16, ROUNDS = 2000, THREADS = 8 };

/* The truth: a number for each key, that a writer raises before it tells the cache. */
struct world {
    _Atomic uint64_t truth[KEYS];
    _Atomic uint64_t told[KEYS]; /* a write or delete of this number has returned */
    _Atomic int old;
    _Atomic int failed;
};

static int32_t load_truth(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct world *world = arg;
    (void)key_size;
    const uint64_t number = atomic_load(&world->truth[(*(const unsigned char *)key) - 'a']);
    return hearth_fill_value(fill, &number, sizeof number);
}

static void raise_to(_Atomic uint64_t *number, uint64_t least) {
    uint64_t present = atomic_load(number);
    while (present < least && !atomic_compare_exchange_weak(number, &present, least)) {
    }
}

static void read_or_change(void *arg, size_t index) {
    struct world *world = arg;
    const hearth_loader loader = {.size = sizeof loader, .load = load_truth, .arg = world};
    hearth_value *value = hearth_value_new();
    uint32_t random = (uint32_t)index + 1;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        const size_t place = (random >> 8) % KEYS;
        const char key = (char)('a' + place);
        int32_t status = HEARTH_OK;
        if ((random >> 20) % 8 == 0) {
            const uint64_t number = atomic_fetch_add(&world->truth[place], 1) + 1;
            status = hearth_delete(cache, &key, 1, NULL);
            raise_to(&world->told[place], number);
        } else {
            const uint64_t floor = atomic_load(&world->told[place]);
            uint64_t number = 0;
            status = hearth_fetch(cache, &key, 1, &loader, NULL, NULL, value);
            if (status == HEARTH_OK && hearth_value_size(value) == sizeof number) {
                memcpy(&number, hearth_value_data(value), sizeof number);
            }
            atomic_fetch_add(&world->old, number < floor);
        }
        atomic_fetch_add(&world->failed, status < 0);
    }
    hearth_value_free(value);
}

/* The database is changed, then the key deleted: whoever asks after that gets the new value. */
static void after_a_delete_nothing_older_is_ever_answered(void **state) {
    (void)state;
    struct world world = {0};
    assert_true(crowd_run(THREADS, read_or_change, &world));
    assert_int_equal(atomic_load(&world.failed), 0);
    assert_int_equal(atomic_load(&world.old), 0);
    const hearth_stats stats = cache_stats(cache);
    assert_true(stats.local_hits > 0 && stats.loads > 0);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(of_64_threads_one_loads),
        WITH_CACHE(of_a_thousand_threads_one_loads),
        WITH_CACHE(an_absence_is_shared),
        WITH_CACHE(an_error_is_shared_and_kept_nowhere),
        WITH_CACHE(other_keys_do_not_wait),
        WITH_CACHE(who_waits_leaves_at_its_deadline),
        WITH_CACHE(a_write_keeps_an_older_load_out_of_both_tiers),
        WITH_CACHE(a_later_fetch_loads_anew),
        WITH_CACHE(after_a_delete_nothing_older_is_ever_answered),
    };
    return cmocka_run_group_tests_name("flights", tests, NULL, NULL);
}
