/* SPDX-License-Identifier: Apache-2.0 */
/* What threads do to keys of the local tier through the public calls happens in one order for all of them. */
#include "base/racy.h"
#include "source.h"
#include "support/registers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
#if defined(HEARTH__RACY_WORDS)
    CALLS = 40000,
#else
    CALLS = 300000, /* of each load: a million and more in all */
#endif
    LONG_ROUNDS = 100,
    THREADS = 8,
    CROWD =
        64, /* more than there are processors: most of them are held up in the middle of a call */
};

/* ---- the cache as a store ---- */

struct hand {
    hearth *cache;
    hearth_value *value;
    unsigned calls;
    hearth_read_options read;
    hearth_write_options write;
};

static void *enter(void *arg) {
    struct hand *hand = calloc(1, sizeof *hand);
    if (hand == NULL) {
        return NULL;
    }
    hand->cache = arg;
    hand->value = hearth_value_new();
    hearth_read_options_init(&hand->read, sizeof hand->read);
    hearth_write_options_init(&hand->write, sizeof hand->write);
    hand->read.flags = HEARTH_READ_NO_REMOTE;
    hand->write.flags = HEARTH_WRITE_NO_REMOTE;
    if (hand->value == NULL) {
        free(hand);
        return NULL;
    }
    return hand;
}

static void leave(void *arg) {
    struct hand *hand = arg;
    hearth_value_free(hand->value);
    free(hand);
}

/* A call that fails leaves what no order explains. */
static void require(bool succeeded) {
    if (!succeeded) {
        abort();
    }
}

static void set(void *arg, const char *key, size_t key_size, const void *data, size_t size) {
    struct hand *hand = arg;
    require(hearth_set(hand->cache, key, key_size, data, size, &hand->write) == HEARTH_OK);
}

/* By each of the ways to read. */
static bool get(void *arg, const char *key, size_t key_size, const unsigned char **data,
                size_t *size) {
    struct hand *hand = arg;
    const void *const keys[] = {key};
    int32_t status = HEARTH_E_INVALID;
    if (hand->calls++ % 4 != 0) {
        status = hearth_get(hand->cache, key, key_size, &hand->read, hand->value);
    } else {
        require(hearth_get_many(hand->cache, 1, keys, &key_size, &hand->read, &hand->value,
                                &status) == HEARTH_OK);
    }
    require(status == HEARTH_OK || status == HEARTH_MISS);
    *data = hearth_value_data(hand->value);
    *size = hearth_value_size(hand->value);
    return status == HEARTH_OK;
}

static bool drop(void *arg, const char *key, size_t key_size) {
    struct hand *hand = arg;
    int32_t status = hearth_evict_local(hand->cache, key, key_size);
    require(status == HEARTH_OK || status == HEARTH_MISS);
    return status == HEARTH_OK;
}

static void clear(void *arg, const char *key, size_t key_size) {
    struct hand *hand = arg;
    int32_t status = hearth_delete(hand->cache, key, key_size, NULL);
    require(status == HEARTH_OK || status == HEARTH_MISS);
}

static const struct registers_store cache_store = {enter, leave, set, get, drop, clear};

/* ---- loads ---- */

#define SMALL "256kb" /* the logs come round many times */

/* Returns how many entries made room for others. */
static uint64_t play(const char *policy, const char *bytes, struct registers_load load) {
    const char *const settings[] = {"local.max_bytes",
                                    bytes,
                                    "local.max_entry_bytes",
                                    "30kb",
                                    "local.policy",
                                    policy,
                                    "embedded.max_bytes",
                                    "1mb",
                                    "remote.max_value_bytes",
                                    "64kb",
                                    NULL};
    uint64_t evicted = 0;
    size_t rounds = getenv("HEARTH_LONG") != NULL ? LONG_ROUNDS : 1;
    load.calls = CALLS / (load.threads / THREADS);
    for (size_t i = 0; i < rounds; i++) {
        hearth *cache = cache_open(settings);
        assert_non_null(cache);
        assert_int_equal(registers_run(&cache_store, cache, &load), HISTORY_LEGAL);
        evicted += cache_stats(cache).local_evictions;
        assert_int_equal(hearth_close(cache), HEARTH_OK);
    }
    return evicted;
}

static void in_one_order(const char *policy) {
    const struct registers_load evicted = {.threads = THREADS,
                                           .keys = 24,
                                           .least_words = 2000,
                                           .most_words = 2000,
                                           .drops = 4,
                                           .vanishes = true};
    assert_true(play(policy, SMALL, evicted) > CALLS / 100);
    /* Written so often that none has grown old when its log's tail arrives. */
    const struct registers_load moved = {
        .threads = THREADS, .keys = 2, .least_words = 1, .most_words = 64, .drops = 1};
    assert_int_equal(play(policy, SMALL, moved), 0);
    const struct registers_load rewritten = {
        .threads = THREADS, .keys = 3, .least_words = 1000, .most_words = 1000, .drops = 1};
    assert_int_equal(play(policy, SMALL, rewritten), 0);
}

static void in_one_order_under_lru(void **state) {
    (void)state;
    in_one_order("lru");
}

static void in_one_order_under_s3fifo(void **state) {
    (void)state;
    in_one_order("s3fifo");
}

static void in_one_order_by_default(void **state) {
    (void)state;
    in_one_order("adaptive");
}

/* Nothing makes room: no log comes round. */
static void in_one_order_for_a_crowd(void **state) {
    const struct registers_load crowd = {
        .threads = CROWD, .keys = 64, .least_words = 1, .most_words = 64, .drops = 4};
    (void)state;
    assert_int_equal(play("adaptive", "16mb", crowd), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_one_order_under_lru),
        cmocka_unit_test(in_one_order_under_s3fifo),
        cmocka_unit_test(in_one_order_by_default),
        cmocka_unit_test(in_one_order_for_a_crowd),
    };
    return cmocka_run_group_tests_name("linearizability", tests, NULL, NULL);
}
