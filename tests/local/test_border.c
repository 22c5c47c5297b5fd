/* SPDX-License-Identifier: Apache-2.0 */
/* Two logs in one memory: they never have a byte in common, wherever the policy wants the border between them. */
#include "base/hash.h"
#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .bare = true};

static hearth__seats *counters;
static hearth__local *local;
static hearth__shard *shard;
static hearth__buffer bytes;

/* ---- a policy that wants what the test says ---- */

static uint64_t wanted;

static uint64_t wanted_bytes(hearth__policy_state *state, uint64_t present) {
    (void)state;
    (void)present;
    return wanted;
}

static hearth__policy obedient;

static void tier_open(size_t max_bytes, size_t max_entry_bytes, bool obeys) {
    counters = hearth__seats_create(HEARTH__STATS);
    assert_non_null(counters);
    const hearth__local_config config = {
        .max_bytes = max_bytes, .max_entry_bytes = max_entry_bytes, .counters = counters};
    assert_int_equal(hearth__local_open(&config, &local), HEARTH_OK);
    assert_int_equal(local->shard_count, 1);
    shard = &local->shards[0];
    if (obeys) {
        obedient = hearth__policy_adaptive;
        obedient.window_bytes = wanted_bytes;
        shard->policy = &obedient;
    }
}

static void tier_close(void) {
    hearth__local_close(local);
    hearth__seats_destroy(counters);
    hearth__buffer_fini(&bytes);
}

static bool find(uint64_t key) {
    hearth__local_entry entry;
    return hearth__local_get(local, &key, sizeof key, 0, &bytes, &entry) == HEARTH_OK;
}

static void put(uint64_t key, size_t size) {
    static unsigned char value[64 << 10];
    assert_true(size <= sizeof value);
    memset(value, (int)(key % 251), size);
    assert_true(hearth__local_put(local, &key, sizeof key, &everlasting, value, size));
}

/* ---- what must hold ---- */

struct range {
    uint64_t from;
    uint64_t to;
};

static int by_start(const void *a, const void *b) {
    const struct range *one = a;
    const struct range *other = b;
    return (one->from > other->from) - (one->from < other->from);
}

/* Each entry that a slot names has its bytes for itself, and all lie in the shard's memory. */
static void expect_apart(void) {
    size_t count = 0;
    size_t slots = shard->buckets * HEARTH__BUCKET_SLOTS;
    struct range *ranges = calloc(slots, sizeof *ranges);
    assert_non_null(ranges);
    for (size_t i = 0; i < slots; i++) {
        uint64_t slot = atomic_load(&shard->slots[i]);
        if (slot != 0) {
            const unsigned char *entry = hearth__slot_entry(shard, slot);
            uint64_t from = (uint64_t)(entry - shard->base);
            uint64_t words[2];
            memcpy(words, entry, sizeof words);
            ranges[count++] = (struct range){
                from, from + hearth__entry_bytes(hearth__entry_flags(words[1]),
                                                 hearth__entry_key_size(words[1]),
                                                 hearth__entry_value_size(words[0]))};
        }
    }
    assert_int_equal(count, shard->entries);
    qsort(ranges, count, sizeof *ranges, by_start);
    for (size_t i = 0; i < count; i++) {
        assert_true(ranges[i].to <=
                    (i + 1 < count ? ranges[i + 1].from : shard->logs[HEARTH__MAIN].end));
    }
    free(ranges);
    uint64_t used = shard->logs[HEARTH__WINDOW].used + shard->logs[HEARTH__MAIN].used;
    assert_true(used <= shard->logs[HEARTH__MAIN].end);
    assert_true(shard->logs[HEARTH__WINDOW].dead <= shard->logs[HEARTH__WINDOW].used);
    assert_true(shard->logs[HEARTH__MAIN].dead <= shard->logs[HEARTH__MAIN].used);
}

static void expect_own_value(uint64_t key) {
    if (find(key)) {
        for (size_t i = 0; i < bytes.size; i++) {
            assert_int_equal(((unsigned char *)bytes.data)[i], key % 251);
        }
    }
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

enum { TIER = 1 << 20, LARGEST = 100 << 10, ROUNDS = 400, CALLS = 200 };

/* Some calls on keys of which half are asked for again and again; sizes to `most`. */
static void play(uint64_t *random, size_t most) {
    for (int i = 0; i < CALLS; i++) {
        uint64_t drawn = next_random(random);
        uint64_t key = drawn % 2 == 0 ? drawn / 2 % 500 : drawn / 2 % 100000;
        if (drawn >> 60 == 0) {
            (void)hearth__local_evict(local, &key, sizeof key);
        } else if (find(key)) {
            expect_own_value(key);
        } else {
            put(key, (size_t)(drawn >> 20) % most);
        }
    }
}

static void entries_stay_apart_wherever_the_border_goes(void **state) {
    (void)state;
    uint64_t random = 77;
    tier_open(TIER, LARGEST, true);
    uint64_t all = shard->logs[HEARTH__MAIN].end;
    for (int round = 0; round < ROUNDS; round++) {
        wanted = all / 100 * (5 + next_random(&random) % 91);
        /* Long stretches of small entries, so that it gets there, and some large ones. */
        for (int i = 0; i < 1 + round % 8; i++) {
            play(&random, round % 16 == 0 ? 64 << 10 : 400);
        }
        expect_apart();
    }
    tier_close();
}

static void entries_stay_apart_under_the_default(void **state) {
    (void)state;
    uint64_t random = 5;
    tier_open(TIER, LARGEST, false);
    for (int round = 0; round < ROUNDS; round++) {
        play(&random, round % 16 == 0 ? 64 << 10 : 400);
        expect_apart();
    }
    tier_close();
}

/* ---- that it moves ---- */

enum { SMALL = 100 };

/* New keys, each read twice, so that they go on to the main log; and some that nobody reads. */
static void churn(uint64_t *next, int count) {
    for (int i = 0; i < count; i++) {
        put(*next, SMALL);
        if (i % 2 == 0) {
            (void)find(*next);
            (void)find(*next);
        }
        (*next)++;
    }
}

static double share_of_window(void) {
    const hearth__log *window = &shard->logs[HEARTH__WINDOW];
    return (double)window->used / (double)shard->logs[HEARTH__MAIN].end;
}

static void the_window_grows_at_once_and_shrinks_in_time(void **state) {
    (void)state;
    uint64_t next = 1;
    tier_open(TIER, 0, true);
    uint64_t all = shard->logs[HEARTH__MAIN].end;
    wanted = all / 10;
    churn(&next, 30000);
    assert_true(share_of_window() < 0.25);
    /* The window has more as soon as so much was put into it. */
    wanted = all / 10 * 6;
    churn(&next, (int)(all / (SMALL + 24)));
    assert_true(share_of_window() > 0.5);
    /* The other way it takes the main log some laps. */
    wanted = all / 10;
    churn(&next, 240000);
    assert_true(share_of_window() < 0.25);
    /* And no memory is left between them. */
    uint64_t used = shard->logs[HEARTH__WINDOW].used + shard->logs[HEARTH__MAIN].used;
    assert_true(used > all / 10 * 9);
    expect_apart();
    tier_close();
}

/* What the window is to have stays the main log's until the window comes there, even if that turns before. */
static void no_memory_lies_idle_before_the_window_comes(void **state) {
    (void)state;
    uint64_t next = 1;
    tier_open(TIER, 0, true);
    uint64_t all = shard->logs[HEARTH__MAIN].end;
    wanted = all / 10;
    churn(&next, 30000);
    wanted = all / 10 * 9;
    while (share_of_window() < 0.8) {
        churn(&next, 100);
        uint64_t used = shard->logs[HEARTH__WINDOW].used + shard->logs[HEARTH__MAIN].used;
        assert_true(used > all / 10 * 9);
        assert_true(next < 100000);
    }
    tier_close();
}

/* Where there is room, what leaves the window unread is kept. */
static void an_emptied_tier_fills_again(void **state) {
    (void)state;
    uint64_t next = 1;
    tier_open(TIER, 0, false);
    churn(&next, 30000);
    for (uint64_t key = 1; key < next; key++) {
        (void)hearth__local_evict(local, &key, sizeof key);
    }
    assert_int_equal(shard->entries, 0);
    uint64_t fit = shard->logs[HEARTH__MAIN].end / (SMALL + 8 + 24);
    for (uint64_t key = next; key < next + 3 * fit; key++) {
        put(key, SMALL);
    }
    /* As many as fit; in one process of a hundred, by the hash's secret, 80 %. Thrown out, they would be a quarter. */
    assert_true(shard->entries > fit / 2);
    tier_close();
}

/* Two keys that are stored, read and dropped at random, each a hundredth of the tier. Returns how many of them made room. */
static uint64_t evictions_of_two(uint64_t random) {
    enum { STEPS = 6000, WORDS_MOST = 20 };
    static const hearth__local_entry loaded = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                               .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    static const uint64_t value[WORDS_MOST];
    tier_open(32 << 10, 4 << 10, false);
    for (int i = 0; i < STEPS; i++) {
        char key[] = "key:0";
        key[4] = (char)('0' + (next_random(&random) >> 8) % 2);
        uint64_t drawn = (next_random(&random) >> 8) % 200;
        hearth__local_entry entry;
        if (drawn < 3) {
            (void)hearth__local_evict(local, key, 5);
        } else if (drawn < 73) {
            size_t words = 1 + (next_random(&random) >> 8) % WORDS_MOST;
            (void)hearth__local_put(local, key, 5, &loaded, value, words * 8);
        } else {
            (void)hearth__local_get(local, key, 5, 0, &bytes, &entry);
        }
    }
    uint64_t evictions = hearth__seats_sum(counters, HEARTH__STAT_local_evictions);
    tier_close();
    return evictions;
}

/* A window that has just become narrow has no room for what is to go round in it once more; the main log has. */
static void what_a_narrow_window_has_no_room_for_goes_on(void **state) {
    (void)state;
    /* Some of the few, among thousands of others, in which that came to pass. */
    static const uint64_t seeds[] = {988303680, 988953038};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        assert_int_equal(evictions_of_two(seeds[i]), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_stay_apart_wherever_the_border_goes),
        cmocka_unit_test(entries_stay_apart_under_the_default),
        cmocka_unit_test(the_window_grows_at_once_and_shrinks_in_time),
        cmocka_unit_test(no_memory_lies_idle_before_the_window_comes),
        cmocka_unit_test(an_emptied_tier_fills_again),
        cmocka_unit_test(what_a_narrow_window_has_no_room_for_goes_on),
    };
    return cmocka_run_group_tests_name("border", tests, NULL, NULL);
}
