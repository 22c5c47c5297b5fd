/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_fetch_many(): one load for all that is missing, an answer for each key, and no two batches that wait for each other. */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 16 };

static hearth *cache;

/* What a call asked for and got. */
struct batch {
    size_t count;
    const void *keys[MOST];
    size_t sizes[MOST];
    hearth_value *values[MOST];
    int32_t statuses[MOST];
};

/* A source of many keys: the value of a key is "<key>=<word>", and there is none of a key in `absent`. */
struct origin {
    const char *word;
    const char *absent; /* a letter each, as below */
    const char *silent;
    int32_t returns;
    void (*inside)(struct origin *origin);
    bool waits;
    struct event entered;
    struct event go;
    _Atomic int calls;  /* of load_many */
    _Atomic int single; /* of load */
    char asked[64];     /* the keys of the last call, one after the other */
    struct batch *inner;
    int32_t inner_status;
};

#define ORIGIN_INIT .entered = EVENT_INIT, .go = EVENT_INIT

static int open_cache(void **state) {
    (void)state;
    cache = cache_open(NULL);
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return cache_close(cache, NULL);
}

/* ---- the loader ---- */

static bool is_among(const void *key, const char *letters) {
    return letters != NULL && strchr(letters, *(const char *)key) != NULL;
}

static void answer(const struct origin *origin, const void *key, size_t key_size,
                   hearth_fill *fill) {
    char text[32];
    int size =
        snprintf(text, sizeof text, "%.*s=%s", (int)key_size, (const char *)key, origin->word);
    if (is_among(key, origin->absent)) {
        (void)hearth_fill_absent(fill);
    } else if (!is_among(key, origin->silent)) {
        (void)hearth_fill_value(fill, text, (size_t)size);
    }
}

static int32_t enter(struct origin *origin) {
    if (origin->inside != NULL) {
        origin->inside(origin);
    }
    event_raise(&origin->entered);
    return origin->waits && !event_await(&origin->go, 1) ? HEARTH_E_TIMEOUT : origin->returns;
}

static int32_t load_many(void *arg, size_t count, const void *const *keys,
                         const size_t *key_sizes, hearth_fill *const *fills) {
    struct origin *origin = arg;
    atomic_fetch_add(&origin->calls, 1);
    size_t used = 0;
    for (size_t i = 0; i < count && used + key_sizes[i] < sizeof origin->asked; i++) {
        memcpy(origin->asked + used, keys[i], key_sizes[i]);
        used += key_sizes[i];
    }
    origin->asked[used] = '\0';
    int32_t status = enter(origin);
    for (size_t i = 0; i < count; i++) {
        answer(origin, keys[i], key_sizes[i], fills[i]);
    }
    return status;
}

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct origin *origin = arg;
    atomic_fetch_add(&origin->single, 1);
    int32_t status = enter(origin);
    answer(origin, key, key_size, fill);
    return status;
}

/* ---- the call ---- */

/* Keys of one letter each. */
static void open_batch(struct batch *batch, const char *letters) {
    batch->count = strlen(letters);
    for (size_t i = 0; i < batch->count; i++) {
        batch->keys[i] = letters + i;
        batch->sizes[i] = 1;
        batch->values[i] = hearth_value_new();
        batch->statuses[i] = 99;
    }
}

static void close_batch(struct batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        hearth_value_free(batch->values[i]);
    }
}

static int32_t fetch_with(struct batch *batch, const hearth_loader *loader,
                          const hearth_read_options *read) {
    return hearth_fetch_many(cache, batch->count, batch->keys, batch->sizes, loader, read, NULL,
                             batch->values, batch->statuses);
}

static int32_t fetch(struct batch *batch, struct origin *origin) {
    const hearth_loader loader = {
        .size = sizeof loader, .load = load, .load_many = load_many, .arg = origin};
    return fetch_with(batch, &loader, NULL);
}

static int32_t fetch_each(struct batch *batch, struct origin *origin) {
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = origin};
    return fetch_with(batch, &loader, NULL);
}

/* What one of a batch got: "=value", or the status' name. */
static const char *got(const struct batch *batch, size_t place) {
    static char text[64];
    int32_t status = batch->statuses[place];
    const hearth_value *value = batch->values[place];
    if (status == HEARTH_OK) {
        (void)snprintf(text, sizeof text, "%.*s", (int)hearth_value_size(value),
                       (const char *)hearth_value_data(value));
    } else {
        (void)snprintf(text, sizeof text, "%s%s",
                       hearth_status_name(status) + strlen("HEARTH_"),
                       hearth_value_size(value) != 0 ? " and a value" : "");
    }
    return text;
}

static uint32_t tier_of(const hearth_value *value) {
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    return info.tier;
}

/* ---- one load for all ---- */

static void what_is_missing_is_loaded_by_one_call(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .absent = "d"};
    struct batch batch;
    open_batch(&batch, "fbdaec");
    assert_int_equal(cache_set(cache, "a", "here"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "b", "there"), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "b", 1), HEARTH_OK);
    assert_int_equal(fetch(&batch, &origin), HEARTH_OK);
    assert_int_equal(atomic_load(&origin.calls), 1);
    assert_int_equal(atomic_load(&origin.single), 0);
    assert_string_equal(origin.asked, "cdef"); /* in their order, without what a tier has */
    static const char *const expected[] = {"f=new", "there", "ABSENT",
                                           "here",  "e=new", "c=new"};
    static const uint32_t tiers[] = {HEARTH_TIER_LOADED, HEARTH_TIER_REMOTE,
                                     HEARTH_TIER_LOADED, HEARTH_TIER_LOCAL,
                                     HEARTH_TIER_LOADED, HEARTH_TIER_LOADED};
    for (size_t i = 0; i < batch.count; i++) {
        assert_string_equal(got(&batch, i), expected[i]);
        assert_int_equal(tier_of(batch.values[i]), tiers[i]);
    }
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.loads, 1);
    assert_int_equal(stats.load_absents, 1);
    assert_int_equal(stats.flights, 0);
    assert_string_equal(cache_get(cache, "f", HEARTH_READ_NO_REMOTE), "=f=new");
    assert_string_equal(cache_get(cache, "f", HEARTH_READ_NO_LOCAL), "=f=new");
    assert_string_equal(cache_get(cache, "d", HEARTH_READ_NO_LOCAL), "ABSENT");
    assert_int_equal(fetch(&batch, &origin), HEARTH_OK); /* now all are here */
    assert_int_equal(atomic_load(&origin.calls), 1);
    for (size_t i = 0; i < batch.count; i++) {
        assert_string_equal(got(&batch, i), expected[i]);
        assert_int_equal(tier_of(batch.values[i]), HEARTH_TIER_LOCAL);
    }
    close_batch(&batch);
}

static void without_load_many_each_is_loaded_by_itself(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .silent = "b"};
    struct batch batch;
    open_batch(&batch, "cab");
    assert_int_equal(fetch_each(&batch, &origin), HEARTH_E_LOADER);
    assert_int_equal(atomic_load(&origin.single), 3);
    assert_string_equal(got(&batch, 0), "c=new");
    assert_string_equal(got(&batch, 1), "a=new");
    assert_string_equal(got(&batch, 2), "E_LOADER");
    close_batch(&batch);
}

static void a_key_fails_alone(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .silent = "b"};
    struct batch batch;
    open_batch(&batch, "abc");
    assert_int_equal(fetch(&batch, &origin), HEARTH_E_LOADER);
    assert_string_equal(got(&batch, 0), "a=new");
    assert_string_equal(got(&batch, 1), "E_LOADER");
    assert_string_equal(got(&batch, 2), "c=new");
    assert_int_equal(cache_stats(cache).load_errors, 1);
    assert_string_equal(cache_get(cache, "b", 0), "MISS");
    close_batch(&batch);
}

static void a_failed_call_fails_all_that_it_was_for(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .returns = -1};
    struct batch batch;
    open_batch(&batch, "abc");
    assert_int_equal(cache_set(cache, "b", "here"), HEARTH_OK);
    assert_int_equal(fetch(&batch, &origin), HEARTH_E_LOADER);
    assert_string_equal(got(&batch, 0), "E_LOADER");
    assert_string_equal(got(&batch, 1), "here");
    assert_string_equal(got(&batch, 2), "E_LOADER");
    assert_string_equal(cache_get(cache, "a", 0), "MISS");
    assert_int_equal(cache_stats(cache).flights, 0);
    close_batch(&batch);
}

static void a_key_that_occurs_twice_is_loaded_once(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .absent = "b", .silent = "c"};
    struct batch batch;
    open_batch(&batch, "acbabca");
    assert_int_equal(fetch(&batch, &origin), HEARTH_E_LOADER);
    assert_string_equal(origin.asked, "abc");
    static const char *const expected[] = {"a=new",  "E_LOADER", "ABSENT", "a=new",
                                           "ABSENT", "E_LOADER", "a=new"};
    for (size_t i = 0; i < batch.count; i++) {
        assert_string_equal(got(&batch, i), expected[i]);
    }
    close_batch(&batch);
}

static void values_may_be_unwanted(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new"};
    struct batch batch;
    open_batch(&batch, "ab");
    hearth_value_free(batch.values[0]);
    batch.values[0] = NULL;
    assert_int_equal(fetch(&batch, &origin), HEARTH_OK);
    assert_string_equal(got(&batch, 1), "b=new");
    const hearth_loader loader = {
        .size = sizeof loader, .load_many = load_many, .arg = &origin};
    static const void *const keys[] = {"c", "d"};
    static const size_t sizes[] = {1, 1};
    int32_t statuses[] = {99, 99};
    assert_int_equal(
        hearth_fetch_many(cache, 2, keys, sizes, &loader, NULL, NULL, NULL, statuses),
        HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(statuses[1], HEARTH_OK);
    assert_string_equal(cache_get(cache, "d", 0), "=d=new");
    assert_int_equal(
        hearth_fetch_many(cache, 0, keys, sizes, &loader, NULL, NULL, NULL, statuses),
        HEARTH_OK);
    close_batch(&batch);
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new"};
    struct batch batch;
    open_batch(&batch, "ab");
    const hearth_loader none = {.size = sizeof none, .arg = &origin};
    const hearth_loader cut = {.size = sizeof cut - 1, .load = load, .arg = &origin};
    assert_int_equal(fetch_with(&batch, &none, NULL), HEARTH_E_INVALID);
    assert_int_equal(fetch_with(&batch, &cut, NULL), HEARTH_E_INVALID);
    assert_int_equal(fetch_with(&batch, NULL, NULL), HEARTH_E_INVALID);
    batch.sizes[1] = 0;
    assert_int_equal(fetch(&batch, &origin), HEARTH_E_INVALID);
    assert_int_equal(batch.statuses[0], 99);
    assert_int_equal(atomic_load(&origin.calls) + atomic_load(&origin.single), 0);
    close_batch(&batch);
}

/* ---- stale values ---- */

static void stale_values_are_renewed_by_the_same_call(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new"};
    struct batch batch;
    char local[] = "a";
    char remote[] = "b";
    assert_true(cache_make_stale(cache, local));
    assert_true(cache_make_stale(cache, remote));
    assert_int_equal(hearth_evict_local(cache, remote, 1), HEARTH_OK);
    open_batch(&batch, "abc");
    assert_int_equal(fetch(&batch, &origin), HEARTH_OK);
    assert_string_equal(origin.asked, "abc");
    assert_int_equal(atomic_load(&origin.calls), 1);
    assert_string_equal(got(&batch, 0), "a=new");
    assert_string_equal(got(&batch, 1), "b=new");
    assert_string_equal(cache_get(cache, "a", HEARTH_READ_NO_LOCAL), "=a=new");
    assert_string_equal(cache_get(cache, "b", HEARTH_READ_NO_LOCAL), "=b=new");
    close_batch(&batch);
}

static void stale_values_are_answers_if_that_fails(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .returns = -1};
    struct batch batch;
    char local[] = "a";
    char remote[] = "b";
    assert_true(cache_make_stale(cache, local));
    assert_true(cache_make_stale(cache, remote));
    assert_int_equal(hearth_evict_local(cache, remote, 1), HEARTH_OK);
    open_batch(&batch, "abc");
    assert_int_equal(fetch(&batch, &origin), HEARTH_E_LOADER);
    assert_string_equal(got(&batch, 0), "old");
    assert_string_equal(got(&batch, 1), "old");
    assert_string_equal(got(&batch, 2), "E_LOADER");
    assert_int_equal(cache_stats(cache).stale_served, 2);
    close_batch(&batch);
}

/* ---- many callers ---- */

struct caller {
    struct origin *origins[2];
    const char *letters[2];
    struct batch batches[2];
    int32_t statuses[2];
};

static void call(void *arg, size_t index) {
    struct caller *caller = arg;
    open_batch(&caller->batches[index], caller->letters[index]);
    caller->statuses[index] = fetch(&caller->batches[index], caller->origins[index]);
}

static bool is_waiting(void *arg) {
    return cache_stats(cache).flight_waits >= *(const uint64_t *)arg;
}

/* Of two batches that overlap, each loads what the other does not, and then waits for the rest. */
static void batches_that_overlap_load_each_key_once(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .waits = true};
    struct origin other = {ORIGIN_INIT, .word = "other"};
    struct caller first = {.origins = {&origin}, .letters = {"dcba"}};
    struct batch second;
    struct crowd crowd;
    uint64_t one = 1;
    assert_true(crowd_start(&crowd, 1, call, &first));
    bool entered = event_await(&origin.entered, 1);
    struct caller overlap = {.origins = {&other}, .letters = {"bcef"}};
    struct crowd second_crowd;
    assert_true(crowd_start(&second_crowd, 1, call, &overlap));
    bool waiting =
        await_until(is_waiting, &one); /* it has loaded, and waits for the first of two */
    const int loaded = atomic_load(&other.calls);
    open_batch(&second, "ef");
    int32_t others = fetch(&second, &other); /* landed already: nobody waits for them */
    event_raise(&origin.go);
    crowd_join(&crowd);
    crowd_join(&second_crowd);
    assert_true(entered && waiting);
    assert_int_equal(loaded, 1);
    assert_int_equal(others, HEARTH_OK);
    assert_string_equal(got(&second, 0), "e=other");
    assert_string_equal(other.asked, "ef");
    assert_string_equal(origin.asked, "abcd");
    assert_int_equal(overlap.statuses[0], HEARTH_OK);
    assert_string_equal(got(&overlap.batches[0], 0), "b=new");
    assert_string_equal(got(&overlap.batches[0], 3), "f=other");
    close_batch(&second);
    close_batch(&first.batches[0]);
    close_batch(&overlap.batches[0]);
}

static void batches_in_opposite_order_never_wait_in_a_circle(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct origin origins[] = {{ORIGIN_INIT, .word = "new"}, {ORIGIN_INIT, .word = "new"}};
        struct caller callers = {.origins = {&origins[0], &origins[1]},
                                 .letters = {"abcdefgh", "hgfedcba"}};
        assert_true(crowd_run(2, call, &callers));
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(callers.statuses[i], HEARTH_OK);
            assert_string_equal(got(&callers.batches[i], 7), i == 0 ? "h=new" : "a=new");
            close_batch(&callers.batches[i]);
        }
        for (const char *key = "abcdefgh"; *key != '\0'; key++) {
            (void)!hearth_delete(cache, key, 1, NULL);
        }
    }
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.flight_timeouts, 0);
    assert_int_equal(stats.flights, 0);
}

static void who_waits_for_one_key_leaves_at_its_deadline(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .waits = true};
    struct origin other = {ORIGIN_INIT, .word = "other"};
    struct caller first = {.origins = {&origin}, .letters = {"b"}};
    struct batch batch;
    struct crowd crowd;
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 1;
    assert_true(crowd_start(&crowd, 1, call, &first));
    bool entered = event_await(&origin.entered, 1);
    const hearth_loader loader = {.size = sizeof loader, .load_many = load_many, .arg = &other};
    open_batch(&batch, "abc");
    int32_t status = fetch_with(&batch, &loader, &read);
    event_raise(&origin.go);
    crowd_join(&crowd);
    assert_true(entered);
    assert_int_equal(status, HEARTH_E_TIMEOUT);
    assert_string_equal(got(&batch, 0), "a=other");
    assert_string_equal(got(&batch, 1), "E_TIMEOUT");
    assert_string_equal(got(&batch, 2), "c=other");
    assert_string_equal(got(&first.batches[0], 0), "b=new");
    close_batch(&batch);
    close_batch(&first.batches[0]);
}

static void delete_b(struct origin *origin) {
    origin->inner_status = hearth_delete(cache, "b", 1, NULL);
}

static void a_write_detaches_one_key_of_a_batch(void **state) {
    (void)state;
    struct origin origin = {ORIGIN_INIT, .word = "new", .inside = delete_b};
    struct batch batch;
    open_batch(&batch, "abc");
    assert_int_equal(fetch(&batch, &origin), HEARTH_OK);
    assert_string_equal(got(&batch, 1), "b=new"); /* who asked before it gets it */
    assert_string_equal(cache_get(cache, "a", 0), "=a=new");
    assert_string_equal(cache_get(cache, "b", 0), "MISS");
    assert_string_equal(cache_get(cache, "c", 0), "=c=new");
    assert_int_equal(cache_stats(cache).flight_detaches, 1);
    close_batch(&batch);
}

/* ---- from inside a loader ---- */

static void fetch_inner(struct origin *origin) {
    struct origin *plain = &(struct origin){ORIGIN_INIT, .word = "inner"};
    origin->inner_status = fetch(origin->inner, plain);
}

static void a_loader_may_fetch_others_but_not_its_own(void **state) {
    (void)state;
    struct batch inner;
    struct batch batch;
    struct origin origin = {ORIGIN_INIT, .word = "new", .inside = fetch_inner, .inner = &inner};
    open_batch(&inner, "xbya");
    open_batch(&batch, "abc");
    assert_int_equal(fetch(&batch, &origin), HEARTH_OK);
    assert_int_equal(origin.inner_status, HEARTH_E_DEADLOCK);
    assert_string_equal(got(&inner, 0), "x=inner");
    assert_string_equal(got(&inner, 1), "E_DEADLOCK");
    assert_string_equal(got(&inner, 2), "y=inner");
    assert_string_equal(got(&inner, 3), "E_DEADLOCK");
    assert_string_equal(got(&batch, 1), "b=new");
    assert_string_equal(cache_get(cache, "x", 0), "=x=inner");
    assert_int_equal(cache_stats(cache).flights, 0);
    close_batch(&batch);
    close_batch(&inner);
}

/* Two loaders, each of which wants a key that the other holds: one is told, and both end. */
struct circle {
    struct origin origins[2];
    struct batch inner[2];
    struct batch outer[2];
    struct event loading;
};

static struct circle circle;

static void fetch_the_others_key(struct origin *origin) {
    event_raise(&circle.loading);
    if (event_await(&circle.loading, 2)) {
        fetch_inner(origin);
    }
}

static void go_round(void *arg, size_t index) {
    (void)arg;
    (void)!fetch(&circle.outer[index], &circle.origins[index]);
}

static void a_circle_of_batches_ends_at_once(void **state) {
    (void)state;
    static const char *const held[] = {"ab", "cd"};
    static const char *const wanted[] = {"yd", "xa"};
    circle = (struct circle){.loading = EVENT_INIT};
    for (size_t i = 0; i < 2; i++) {
        open_batch(&circle.outer[i], held[i]);
        open_batch(&circle.inner[i], wanted[i]);
        circle.origins[i] =
            (struct origin){ORIGIN_INIT, .word = "new", .inside = fetch_the_others_key,
                            .inner = &circle.inner[i]};
    }
    assert_true(crowd_run(2, go_round, NULL));
    int deadlocks = 0;
    for (size_t i = 0; i < 2; i++) {
        deadlocks += circle.inner[i].statuses[1] == HEARTH_E_DEADLOCK;
        assert_int_equal(circle.inner[i].statuses[0], HEARTH_OK);
        assert_int_equal(circle.outer[i].statuses[0], HEARTH_OK);
        assert_int_equal(circle.outer[i].statuses[1], HEARTH_OK);
        close_batch(&circle.inner[i]);
        close_batch(&circle.outer[i]);
    }
    assert_int_equal(deadlocks, 1);
    assert_int_equal(cache_stats(cache).flight_timeouts, 0);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(what_is_missing_is_loaded_by_one_call),
        WITH_CACHE(without_load_many_each_is_loaded_by_itself),
        WITH_CACHE(a_key_fails_alone),
        WITH_CACHE(a_failed_call_fails_all_that_it_was_for),
        WITH_CACHE(a_key_that_occurs_twice_is_loaded_once),
        WITH_CACHE(values_may_be_unwanted),
        WITH_CACHE(bad_arguments_are_refused),
        WITH_CACHE(stale_values_are_renewed_by_the_same_call),
        WITH_CACHE(stale_values_are_answers_if_that_fails),
        WITH_CACHE(batches_that_overlap_load_each_key_once),
        WITH_CACHE(batches_in_opposite_order_never_wait_in_a_circle),
        WITH_CACHE(who_waits_for_one_key_leaves_at_its_deadline),
        WITH_CACHE(a_write_detaches_one_key_of_a_batch),
        WITH_CACHE(a_loader_may_fetch_others_but_not_its_own),
        WITH_CACHE(a_circle_of_batches_ends_at_once),
    };
    return cmocka_run_group_tests_name("fetch_many", tests, NULL, NULL);
}
