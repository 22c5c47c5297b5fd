/* SPDX-License-Identifier: Apache-2.0 */
/* What threads do to keys of the local tier happens in one order for all of them, misses included. */
#include "base/racy.h"
#include "base/stat.h"
#include "local/local.h"
#include "support/registers.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
#if defined(HEARTH__RACY_WORDS)
    CALLS = 100000,
#else
    CALLS = 1000000,
#endif
    LONG_ROUNDS = 100, /* of so many calls */
};

/* ---- the tier as a store ---- */

struct hand {
    hearth__local *local;
    hearth__buffer bytes;
    unsigned gets;
};

static void *enter(void *arg) {
    struct hand *hand = calloc(1, sizeof *hand);
    if (hand != NULL) {
        hand->local = arg;
    }
    return hand;
}

static void leave(void *arg) {
    struct hand *hand = arg;
    hearth__buffer_fini(&hand->bytes);
    free(hand);
}

static void set(void *arg, const char *key, size_t key_size, const void *data, size_t size) {
    static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                    .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    struct hand *hand = arg;
    (void)hearth__local_put(hand->local, key, key_size, &everlasting, data, size);
}

/* What is no plain hit is asked for again, the long way. */
static int32_t no_hit(void *owner, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

/* One of the short ways first, as the public calls do, or the long one alone. */
static bool get(void *arg, const char *key, size_t key_size, const unsigned char **data,
                size_t *size) {
    struct hand *hand = arg;
    hearth__local_raw raw;
    hearth__local_entry entry;
    int32_t status = HEARTH_MISS;
    unsigned way = hand->gets++ % 4;
    if (way < 2) {
        status = hearth__local_hit(hand->local, key, key_size, &hand->bytes, &raw, no_hit);
    } else if (way == 2) {
        const hearth__local_ask ask = {key, key_size, &hand->bytes, &raw};
        hearth__local_hit_many(hand->local, &ask, 1, &status);
    }
    if (status == HEARTH_MISS) {
        status = hearth__local_get(hand->local, key, key_size, 0, &hand->bytes, &entry);
    }
    *data = hand->bytes.data;
    *size = hand->bytes.size;
    return status == HEARTH_OK;
}

static bool drop(void *arg, const char *key, size_t key_size) {
    struct hand *hand = arg;
    return hearth__local_evict(hand->local, key, key_size);
}

/* A write of the remote tier that keeps nothing here. */
static void clear(void *arg, const char *key, size_t key_size) {
    struct hand *hand = arg;
    hearth__local_ticket ticket = hearth__local_write_begin(hand->local, key, key_size);
    hearth__local_write_end(hand->local, key, key_size, ticket, NULL, NULL, 0);
}

static const struct registers_store tier = {enter, leave, set, get, drop, clear};

/* ---- loads ---- */

/* Plays a load on a tier of so many bytes. Returns how many entries made room for others. */
static uint64_t play(const char *policy, size_t max_bytes, const struct registers_load *load) {
    size_t rounds = getenv("HEARTH_LONG") != NULL ? LONG_ROUNDS : 1;
    hearth__seats *counters = hearth__local_seats_create();
    assert_non_null(counters);
    const hearth__local_config config = {.max_bytes = max_bytes,
                                         .max_entry_bytes = max_bytes / 8,
                                         .policy = policy,
                                         .counters = counters};
    for (size_t i = 0; i < rounds; i++) {
        hearth__local *local = NULL;
        assert_int_equal(hearth__local_open(&config, &local), HEARTH_OK);
        assert_int_equal(registers_run(&tier, local, load), HISTORY_LEGAL);
        hearth__local_close(local);
    }
    uint64_t evicted = hearth__seats_sum(counters, HEARTH__STAT_local_evictions);
    hearth__seats_destroy(counters);
    return evicted;
}

enum { THREADS = 8, LOADS = 4, TINY_BYTES = 16 << 10 };

/* A load of some kind; returns how many entries made room for others. */
static uint64_t play_kind(const char *policy, size_t max_bytes, struct registers_load load) {
    load.threads = THREADS;
    load.calls = CALLS / LOADS;
    return play(policy, max_bytes, &load);
}

/* More keys than the tier holds: what is not found must not come back. */
static void where_entries_are_evicted(const char *policy) {
    /* Of one size: recycled memory looks much like what it was. */
    const struct registers_load alike = {
        .keys = 24, .least_words = 40, .most_words = 40, .drops = 4, .vanishes = true};
    assert_true(play_kind(policy, TINY_BYTES, alike) > CALLS / LOADS / 50);
    /* Of any size, and few: recycled at once. */
    const struct registers_load unlike = {
        .keys = 8, .least_words = 1, .most_words = 140, .drops = 1, .vanishes = true};
    assert_true(play_kind(policy, TINY_BYTES, unlike) > CALLS / LOADS / 50);
}

/* Keys that are written so often that none has grown old when its log's tail arrives: what is there must be found. */
static void where_none_is(const char *policy) {
    const struct registers_load moved = {
        .keys = 2, .least_words = 1, .most_words = 20, .drops = 1};
    assert_int_equal(play_kind(policy, 32 << 10, moved), 0);
    const struct registers_load rewritten = {
        .keys = 3, .least_words = 1000, .most_words = 1000, .drops = 1};
    assert_int_equal(play_kind(policy, 1 << 20, rewritten), 0);
}

static void under_lru(void **state) {
    (void)state;
    where_entries_are_evicted("lru");
    where_none_is("lru");
}

static void under_s3fifo(void **state) {
    (void)state;
    where_entries_are_evicted("s3fifo");
    where_none_is("s3fifo");
}

static void by_default(void **state) {
    (void)state;
    where_entries_are_evicted("adaptive");
    where_none_is("adaptive");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_lru),
        cmocka_unit_test(under_s3fifo),
        cmocka_unit_test(by_default),
    };
    return cmocka_run_group_tests_name("linearizability", tests, NULL, NULL);
}
