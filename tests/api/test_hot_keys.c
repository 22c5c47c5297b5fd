/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hearth_hot_keys(): which keys it finds, what it says of them, and when it forgets them. The clock stands still until the test
 * moves it. What several threads do to it: test_hot_keys_threads.c.
 */
#include "hot_keys.h"
#include "sink.h"
#include "source.h"
#include "support/failing_memory.h"
#include "zipf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MS = 1000000, WINDOW_MS = 8192, GONE_MS = 17000 };

static int64_t now_ns;

/* In the place of the C library's, for the library under test: it links this program first. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    *time = (struct timespec){.tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
    return 0;
}

static void pass_ms(int64_t ms) {
    now_ns += ms * MS;
}

static hearth *cache;
static hearth_value *value;

static int open_with(const char *const *settings) {
    now_ns = INT64_C(1000) * WINDOW_MS * MS; /* a window begins */
    cache = cache_open(settings);
    value = hearth_value_new();
    return cache != NULL && value != NULL ? 0 : -1;
}

static int open_cache(void **state) {
    (void)state;
    return open_with(NULL);
}

static int open_without_local_tier(void **state) {
    (void)state;
    return open_with((const char *const[]){"local.max_bytes", "0", NULL});
}

static int open_with_sink(void **state) {
    (void)state;
    now_ns = INT64_C(1000) * WINDOW_MS * MS;
    cache = cache_open_with_sink(NULL, NULL);
    value = hearth_value_new();
    return cache != NULL && value != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    hearth_value_free(value);
    return hearth_close(cache);
}

static void ask_bytes(const void *key, size_t key_size, const hearth_read_options *read) {
    const int32_t status = hearth_get(cache, key, key_size, read, value);
    assert_true(status == HEARTH_OK || status == HEARTH_MISS);
}

static void ask(const char *key, size_t times) {
    for (size_t i = 0; i < times; i++) {
        ask_bytes(key, strlen(key), NULL);
    }
}

/* So many requests of keys that never come again. */
static void ask_others(size_t times) {
    static unsigned next;
    hearth_read_options local;
    hearth_read_options_init(&local, sizeof local);
    local.flags = HEARTH_READ_NO_REMOTE;
    for (size_t i = 0; i < times; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "other%u", next++);
        assert_int_equal(hearth_get(cache, key, strlen(key), &local, value), HEARTH_MISS);
    }
}

/* Within a third: so much that chance would have to be very unkind to thousands of requests. */
static void expect_about(uint64_t seen, double expected) {
    if ((double)seen < expected * 2 / 3 || (double)seen > expected * 4 / 3) {
        fail_msg("%llu is not about %.0f", (unsigned long long)seen, expected);
    }
}

/* ---- the most popular keys --------------------------------------------------------------- */

enum { OBJECTS = 100000, REQUESTS = 1000000, HEAD = 200 };

struct popularity {
    uint32_t object;
    uint32_t requests;
};

static int most_first(const void *a, const void *b) {
    uint32_t left = ((const struct popularity *)a)->requests;
    uint32_t right = ((const struct popularity *)b)->requests;
    return (left < right) - (left > right);
}

/* Zipf's popularity; every second object is in the local tier, the others are not anywhere. */
static void ask_by_popularity(struct popularity *objects) {
    struct zipf zipf;
    zipf_init(&zipf, OBJECTS, 0.99);
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    char key[24];
    for (uint32_t i = 0; i < OBJECTS; i++) {
        objects[i].object = i;
        int size = snprintf(key, sizeof key, "object%u", i);
        if (i % 2 == 0) {
            (void)hearth_set(cache, key, (size_t)size, "x", 1, &write);
        }
    }
    uint64_t random = 7;
    for (size_t i = 0; i < REQUESTS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t rank = zipf_rank(&zipf, random ^ random >> 29);
        objects[rank].requests++;
        int size = snprintf(key, sizeof key, "object%u", rank);
        ask_bytes(key, (size_t)size, &read);
    }
}

static void expect_key(const hearth_hot_key *hot, uint32_t object) {
    char key[24];
    int size = snprintf(key, sizeof key, "object%u", object);
    assert_int_equal(hot->key_size, size);
    assert_memory_equal(hot->key, key, (size_t)size);
}

static void the_most_popular_keys_are_found_in_order(void **state) {
    (void)state;
    struct popularity *objects = calloc(OBJECTS, sizeof *objects);
    assert_non_null(objects);
    ask_by_popularity(objects);
    pass_ms(4000);
    qsort(objects, OBJECTS, sizeof *objects, most_first);
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    size_t in_the_first_ten = 0;
    for (size_t i = 0; i < OBJECTS && objects[i].requests >= REQUESTS / 100; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "object%u", objects[i].object);
        expect_about(hot_rate(&hot, key), objects[i].requests / 4.0);
    }
    for (size_t i = 0; i < 10; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "object%u", objects[i].object);
        in_the_first_ten += hot_place(&hot, key) < 10;
    }
    assert_true(in_the_first_ten >= 9);
    for (size_t i = 0; i < 3; i++) {
        expect_key(&hot.keys[i], objects[i].object);
    }
    for (size_t i = 1; i < hot.count; i++) {
        assert_true(hot.keys[i].requests_per_s <= hot.keys[i - 1].requests_per_s);
    }
    hot_free(&hot);
    free(objects);
}

/* In whatever rhythm they come: none hides behind the others. */
static void keys_in_turn_are_all_found(void **state) {
    (void)state;
    static const size_t periods[] = {2, 16, 32, 40, 64, 80};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        char keys[80][48];
        for (size_t k = 0; k < periods[i]; k++) {
            (void)snprintf(keys[k], sizeof keys[k], "%zu of %zu", k, periods[i]);
            assert_int_equal(cache_set(cache, keys[k], "x"), HEARTH_OK);
        }
        for (size_t round = 0; round < 6000; round++) {
            for (size_t k = 0; k < periods[i]; k++) {
                ask(keys[k], 1);
            }
        }
        pass_ms(1000);
        struct hot hot;
        hot_ask(&hot, cache, HEAD);
        size_t found = 0;
        for (size_t k = 0; k < periods[i]; k++) {
            found += hot_place(&hot, keys[k]) < periods[i];
        }
        /* Eight keys fit into a set, and more may fall on one. */
        assert_true(found >= periods[i] - periods[i] / 8);
        hot_free(&hot);
        pass_ms(GONE_MS);
    }
}

static void cold_keys_hide_no_hot_one(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "hot", "x"), HEARTH_OK);
    for (size_t i = 0; i < 10000; i++) {
        ask("hot", 1);
        ask_others(99);
    }
    pass_ms(1000);
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    assert_int_equal(hot_place(&hot, "hot"), 0);
    expect_about(hot_rate(&hot, "hot"), 10000);
    hot_free(&hot);
}

/* ---- time -------------------------------------------------------------------------------- */

static uint64_t rate_of(const char *key) {
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    uint64_t rate = hot_rate(&hot, key);
    hot_free(&hot);
    return rate;
}

static void rates_are_of_the_last_seconds(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "x"), HEARTH_OK);
    for (size_t second = 0; second < 60; second++) {
        ask("key", 10000);
        pass_ms(1000);
        expect_about(rate_of("key"), 10000);
    }
    for (size_t second = 0; second < 20; second++) {
        ask("key", 100000);
        pass_ms(1000);
    }
    expect_about(rate_of("key"), 100000);
}

static void a_cache_just_opened_knows_its_rates(void **state) {
    (void)state;
    pass_ms(WINDOW_MS - 10);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    cache = cache_open(NULL);
    assert_int_equal(cache_set(cache, "key", "x"), HEARTH_OK);
    for (size_t i = 0; i < 100; i++) { /* into the next window */
        ask("key", 1000);
        pass_ms(1);
    }
    expect_about(rate_of("key"), 1000000);
}

static void a_key_that_cooled_is_gone(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "hot", "x"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "other", "x"), HEARTH_OK);
    for (int64_t begin_ms = 0; begin_ms < INT64_C(2) * WINDOW_MS; begin_ms += 1111) {
        pass_ms(1111);
        ask("hot", 20000);
        assert_true(rate_of("hot") > 0);
        pass_ms(WINDOW_MS / 2);
        assert_true(rate_of("hot") > 0);
        pass_ms(GONE_MS - WINDOW_MS / 2);
        assert_int_equal(rate_of("hot"), 0); /* nobody asked for anything */
        ask("hot", 20000);
        for (size_t i = 0; i < GONE_MS / 1000; i++) {
            pass_ms(1000);
            ask("other", 2000);
        }
        assert_int_equal(rate_of("hot"), 0);
        assert_true(rate_of("other") > 0);
    }
}

/* Windows are numbered by 16 bits. */
static void what_is_gone_does_not_come_back(void **state) {
    (void)state;
    ask("hot", 20000);
    ask("other", 20000);
    pass_ms(INT64_C(65536) * WINDOW_MS);
    assert_int_equal(rate_of("hot"), 0);
    ask("other", 20000);
    assert_int_equal(rate_of("hot"), 0);
    pass_ms(INT64_C(65535) * WINDOW_MS);
    assert_int_equal(rate_of("hot"), 0);
    ask("other", 20000);
    assert_int_equal(rate_of("hot"), 0);
    assert_true(rate_of("other") > 0);
}

/* ---- what is a request ------------------------------------------------------------------- */

enum { TIMES = 20000 };

static void fetches_and_misses_count(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT, .text = "x"};
    struct source nothing = {SOURCE_INIT, .absent = true};
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOCAL;
    for (size_t i = 0; i < TIMES; i++) {
        assert_int_equal(source_fetch(cache, "fetched", &source, value), HEARTH_OK);
        assert_int_equal(source_fetch(cache, "absent", &nothing, value), HEARTH_ABSENT);
        assert_int_equal(hearth_get(cache, "missed", 6, NULL, value), HEARTH_MISS);
        assert_int_equal(hearth_get(cache, "fetched by nodes", 16, &read, value), HEARTH_MISS);
    }
    pass_ms(1000);
    expect_about(rate_of("fetched"), TIMES);
    expect_about(rate_of("absent"), TIMES);
    expect_about(rate_of("missed"), TIMES);
    expect_about(rate_of("fetched by nodes"), TIMES);
}

static void each_of_many_counts(void **state) {
    (void)state;
    enum { MANY = 40 };
    const void *keys[MANY];
    size_t sizes[MANY];
    hearth_value *values[MANY];
    int32_t statuses[MANY];
    char names[MANY][8];
    for (size_t i = 0; i < MANY; i++) {
        sizes[i] = (size_t)snprintf(names[i], sizeof names[i], "key%zu", i);
        keys[i] = names[i];
        values[i] = hearth_value_new();
        if (i % 4 != 0) {
            assert_int_equal(cache_set(cache, names[i], "x"), HEARTH_OK);
        }
    }
    for (size_t i = 0; i < TIMES / 2; i++) {
        assert_int_equal(hearth_get_many(cache, MANY, keys, sizes, NULL,
                                         i % 2 == 0 ? values : NULL, statuses),
                         HEARTH_OK);
    }
    pass_ms(1000);
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    uint64_t all = 0;
    size_t found = 0;
    for (size_t i = 0; i < MANY; i++) {
        all += hot_rate(&hot, names[i]);
        found += hot_rate(&hot, names[i]) != 0;
        hearth_value_free(values[i]);
    }
    assert_true(found >= MANY - 2);
    expect_about(all, (double)MANY * TIMES / 2);
    hot_free(&hot);
}

/* A miss of hearth_get_with() is followed by another call for the same request. */
static void objects_and_versions_count(void **state) {
    (void)state;
    uint64_t version = 0;
    assert_int_equal(cache_set(cache, "object", "x"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "version", "x"), HEARTH_OK);
    for (size_t i = 0; i < TIMES; i++) {
        assert_string_equal(cache_get_with(cache, "object"), "=x");
        assert_int_equal(hearth_peek_version(cache, "version", 7, &version), HEARTH_OK);
        assert_string_equal(cache_get_with(cache, "missing"), "MISS");
    }
    pass_ms(1000);
    expect_about(rate_of("object"), TIMES);
    expect_about(rate_of("version"), TIMES);
    assert_int_equal(rate_of("missing"), 0);
}

static void without_a_local_tier_keys_are_hot_too(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "x"), HEARTH_OK);
    ask("key", TIMES);
    pass_ms(1000);
    expect_about(rate_of("key"), TIMES);
}

static void a_key_that_came_once_is_not_hot(void **state) {
    (void)state;
    ask_others(100000);
    struct hot hot;
    hot_ask(&hot, cache, HEAD);
    assert_int_equal(hot.count, 0);
    hot_free(&hot);
}

/* ---- what is told ------------------------------------------------------------------------ */

static void of_a_long_key_the_beginning_is_told(void **state) {
    (void)state;
    char first[1000];
    char second[1000];
    memset(first, 'k', sizeof first);
    memset(second, 'k', sizeof second);
    first[sizeof first - 1] = '1';
    for (size_t i = 0; i < TIMES; i++) {
        ask_bytes(first, sizeof first, NULL);
        ask_bytes(second, sizeof second, NULL);
        ask_bytes(first, HEARTH_HOT_KEY_BYTES, NULL);
    }
    pass_ms(1000);
    struct hot hot;
    hot_ask(&hot, cache, 10);
    size_t whole = 0;
    assert_int_equal(hot.count, 3); /* they are three keys, although they begin alike */
    for (size_t i = 0; i < 3; i++) {
        whole += hot.keys[i].full_size == HEARTH_HOT_KEY_BYTES;
        assert_true(hot.keys[i].full_size == 1000 ||
                    hot.keys[i].full_size == HEARTH_HOT_KEY_BYTES);
        assert_int_equal(hot.keys[i].key_size, HEARTH_HOT_KEY_BYTES);
        assert_memory_equal(hot.keys[i].key, first, HEARTH_HOT_KEY_BYTES);
        expect_about(hot.keys[i].requests_per_s, TIMES);
    }
    assert_int_equal(whole, 1);
    hot_free(&hot);
}

static void no_more_is_written_than_there_is_room_for(void **state) {
    (void)state;
    /* As an older program's, with half of the bytes. */
    struct older {
        size_t size;
        uint64_t requests_per_s;
        uint64_t key_size;
        uint64_t full_size;
        unsigned char key[HEARTH_HOT_KEY_BYTES / 2];
    } keys[3];
    size_t count = 77;
    assert_int_equal(cache_set(cache, "first", "x"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "second", "x"), HEARTH_OK);
    for (size_t i = 0; i < TIMES; i++) {
        ask("first", 10);
        ask("second", 5);
        ask("third", 1);
    }
    pass_ms(1000);
    memset(keys, 0xee, sizeof keys);
    keys[0].size = sizeof keys[0];
    assert_int_equal(hearth_hot_keys(cache, (hearth_hot_key *)(void *)keys, 2, &count),
                     HEARTH_OK);
    assert_int_equal(count, 2);
    assert_memory_equal(keys[0].key, "first", 5);
    assert_memory_equal(keys[1].key, "second", 6);
    assert_int_equal(keys[1].key_size, 6);
    assert_int_equal(keys[1].full_size, 6);
    assert_int_equal(keys[0].size, sizeof keys[0]);
    assert_int_equal(keys[1].size, sizeof keys[0]);
    for (size_t i = 0; i < sizeof keys[2]; i++) {
        assert_int_equal(((const unsigned char *)&keys[2])[i], 0xee);
    }
    struct {
        hearth_hot_key known;
        unsigned char newer[32];
    } newer;
    memset(&newer, 0xee, sizeof newer);
    newer.known.size = sizeof newer;
    assert_int_equal(hearth_hot_keys(cache, &newer.known, 1, &count), HEARTH_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(newer.known.key, "first", 5);
    assert_int_equal(newer.newer[0], 0xee);
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    hearth_hot_key keys[2] = {{.size = sizeof keys[0]}};
    size_t count = 77;
    assert_int_equal(hearth_hot_keys(NULL, keys, 2, &count), HEARTH_E_INVALID);
    assert_int_equal(hearth_hot_keys(cache, NULL, 2, &count), HEARTH_E_INVALID);
    assert_int_equal(hearth_hot_keys(cache, keys, 2, NULL), HEARTH_E_INVALID);
    keys[0].size = sizeof(size_t) - 1;
    assert_int_equal(hearth_hot_keys(cache, keys, 2, &count), HEARTH_E_INVALID);
    assert_int_equal(count, 77);
    assert_int_equal(hearth_hot_keys(cache, NULL, 0, &count), HEARTH_OK);
    assert_int_equal(count, 0);
}

static void without_memory_nothing_is_told(void **state) {
    (void)state;
    hearth_hot_key key = {.size = sizeof key};
    size_t count = 77;
    ask("key", TIMES);
    failing_memory_fail(0, 1);
    assert_int_equal(hearth_hot_keys(cache, &key, 1, &count), HEARTH_E_NOMEM);
    failing_memory_pass();
    assert_int_equal(count, 77);
    assert_int_equal(key.requests_per_s, 0);
    int64_t blocks = failing_memory_blocks();
    assert_int_equal(hearth_hot_keys(cache, &key, 1, &count), HEARTH_OK);
    assert_int_equal(count, 1);
    assert_int_equal(failing_memory_blocks(), blocks);
}

/* A thread's table comes with the first call of that thread, and is all that there ever is. */
static void requests_take_no_memory(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "x"), HEARTH_OK);
    ask("key", 1);
    failing_memory_pass();
    ask("key", TIMES);
    ask_others(TIMES);
    ask("key", TIMES);
    assert_int_equal(failing_memory_requests(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_most_popular_keys_are_found_in_order, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(keys_in_turn_are_all_found, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(cold_keys_hide_no_hot_one, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(rates_are_of_the_last_seconds, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(a_cache_just_opened_knows_its_rates, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(a_key_that_cooled_is_gone, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(what_is_gone_does_not_come_back, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(fetches_and_misses_count, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(each_of_many_counts, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(objects_and_versions_count, open_with_sink,
                                        close_cache),
        cmocka_unit_test_setup_teardown(without_a_local_tier_keys_are_hot_too,
                                        open_without_local_tier, close_cache),
        cmocka_unit_test_setup_teardown(a_key_that_came_once_is_not_hot, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(of_a_long_key_the_beginning_is_told, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(no_more_is_written_than_there_is_room_for, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(bad_arguments_are_refused, open_cache, close_cache),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_told, open_cache,
                                        close_cache),
        cmocka_unit_test_setup_teardown(requests_take_no_memory, open_cache, close_cache),
    };
    return cmocka_run_group_tests_name("hot keys", tests, NULL, NULL);
}
