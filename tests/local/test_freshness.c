/* SPDX-License-Identifier: Apache-2.0 */
/* The short ways of a hit, which take only what needs no thought; and entries that are over, whose room is taken first. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct tier {
    hearth__seats *counters;
    hearth__local *local;
    hearth__buffer bytes;
    int64_t opened_ms;
};

static void tier_open(struct tier *tier) {
    *tier =
        (struct tier){.counters = hearth__local_seats_create(), .opened_ms = hearth__boot_ms()};
    assert_non_null(tier->counters);
    const hearth__local_config config = {.max_bytes = HEARTH__LOCAL_MIN_BYTES,
                                         .policy = "lru",
                                         .now_ms = tier->opened_ms,
                                         .counters = tier->counters};
    assert_int_equal(hearth__local_open(&config, &tier->local), HEARTH_OK);
}

static void tier_close(struct tier *tier) {
    hearth__local_close(tier->local);
    hearth__seats_destroy(tier->counters);
    hearth__buffer_fini(&tier->bytes);
}

static hearth__local_entry until(const struct tier *tier, int64_t soft_ms, int64_t hard_ms) {
    return (hearth__local_entry){.born_ms = tier->opened_ms,
                                 .read_ms = tier->opened_ms,
                                 .soft_expiry_ms = soft_ms,
                                 .hard_expiry_ms = hard_ms};
}

static void put(struct tier *tier, const char *key, const hearth__local_entry *entry) {
    static const char value[200]; /* so long that the index is never full */
    assert_true(hearth__local_put(tier->local, key, strlen(key), entry, value, sizeof value));
}

static int32_t give_up(void *owner, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

/* Both short ways, of one key and of many, and they agree. */
static int32_t hit(struct tier *tier) {
    hearth__local_raw raw = {0};
    int32_t among_many = HEARTH_E_INVALID;
    const hearth__local_ask ask = {
        .key = "key", .key_size = 3, .bytes = &tier->bytes, .raw = &raw};
    hearth__local_hit_many(tier->local, &ask, 1, &among_many);
    const int32_t alone = hearth__local_hit(tier->local, "key", 3, &tier->bytes, &raw, give_up);
    assert_int_equal(alone, among_many);
    return alone;
}

/* The key is there, whatever the short ways say. */
static void expect_hit(struct tier *tier, const hearth__local_entry *entry, int32_t status) {
    hearth__local_entry found;
    put(tier, "key", entry);
    assert_int_equal(hit(tier), status);
    assert_int_equal(
        hearth__local_get(tier->local, "key", 3, tier->opened_ms - 1, &tier->bytes, &found),
        HEARTH_OK);
}

enum { LONG_MS = 3600000 };

static void expect_only_what_is_fresh(struct tier *tier) {
    const int64_t long_ms = tier->opened_ms + LONG_MS;
    const int64_t now_ms = tier->opened_ms;
    hearth__local_entry entry = until(tier, HEARTH__LOCAL_FOREVER, long_ms);
    expect_hit(tier, &entry, HEARTH_OK);
    entry = until(tier, HEARTH__LOCAL_FOREVER, now_ms);
    expect_hit(tier, &entry, HEARTH_MISS);
    entry = until(tier, long_ms, long_ms);
    expect_hit(tier, &entry, HEARTH_OK);
    entry = until(tier, now_ms, long_ms);
    expect_hit(tier, &entry, HEARTH_MISS);
    entry.lead_ms = LONG_MS; /* it counts from the tier's opening at the earliest */
    entry.soft_expiry_ms = long_ms - LONG_MS / 2;
    expect_hit(tier, &entry, HEARTH_MISS);
    entry.lead_ms = LONG_MS / 4;
    expect_hit(tier, &entry, HEARTH_OK);
    entry = until(tier, now_ms, long_ms);
    entry.version = 9; /* it has a word of its own, like the soft expiry */
    expect_hit(tier, &entry, HEARTH_MISS);
    entry = until(tier, HEARTH__LOCAL_FOREVER, HEARTH__LOCAL_FOREVER);
    expect_hit(tier, &entry, HEARTH_OK);
    entry.stale = true;
    expect_hit(tier, &entry, HEARTH_MISS);
    entry.stale = false;
    entry.absent = true;
    expect_hit(tier, &entry, HEARTH_MISS);
    entry = until(tier, HEARTH__LOCAL_FOREVER, long_ms);
    entry.bare = true; /* it has no words but those that all have */
    expect_hit(tier, &entry, HEARTH_OK);
    entry = until(tier, HEARTH__LOCAL_FOREVER, now_ms);
    entry.bare = true;
    expect_hit(tier, &entry, HEARTH_MISS);
}

static void the_short_way_takes_only_what_is_fresh(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    expect_only_what_is_fresh(&tier);
    tier_close(&tier);
}

/* Others take all places of the key's first bucket. */
static void crowd_first_bucket(struct tier *tier) {
    const hearth__hash_secret *secret = &tier->local->secret;
    const hearth__shard *shard = &tier->local->shards[0];
    size_t first = hearth__first_bucket(shard, hearth__hash_key(secret, "key", 3));
    hearth__local_entry entry = until(tier, HEARTH__LOCAL_FOREVER, tier->opened_ms + LONG_MS);
    assert_int_equal(tier->local->shard_count, 1);
    for (int i = 0, placed = 0; placed < HEARTH__BUCKET_SLOTS; i++) {
        char other[24];
        size_t size = (size_t)snprintf(other, sizeof other, "other%d", i);
        if (hearth__first_bucket(shard, hearth__hash_key(secret, other, size)) == first) {
            put(tier, other, &entry);
            placed++;
        }
    }
    for (size_t i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        assert_true(atomic_load(&shard->slots[first + i]) != 0);
    }
}

static void nor_does_it_take_more_of_a_second_bucket(void **state) {
    (void)state;
    struct tier tier;
    tier_open(&tier);
    crowd_first_bucket(&tier);
    expect_only_what_is_fresh(&tier);
    tier_close(&tier);
}

enum { SHORT_LIVED = 100, STRANGERS = 6000 };

/* However often they were read: once the log has come round, they are gone. */
static void what_is_over_is_not_moved(void **state) {
    (void)state;
    struct tier tier;
    char key[24];
    tier_open(&tier);
    const hearth__local_entry soon = until(&tier, HEARTH__LOCAL_FOREVER, tier.opened_ms + 10);
    for (int i = 0; i < SHORT_LIVED; i++) {
        hearth__local_entry found;
        (void)snprintf(key, sizeof key, "short%d", i);
        put(&tier, key, &soon);
        assert_int_equal(hearth__local_get(tier.local, key, strlen(key), tier.opened_ms,
                                           &tier.bytes, &found),
                         HEARTH_OK);
    }
    hearth__local_entry late = until(&tier, HEARTH__LOCAL_FOREVER, HEARTH__LOCAL_FOREVER);
    late.read_ms = tier.opened_ms + 1000;
    int i = 0;
    for (; i < STRANGERS && hearth__seats_sum(tier.counters, HEARTH__STAT_local_evictions) == 0;
         i++) {
        (void)snprintf(key, sizeof key, "stranger%d", i);
        put(&tier, key, &late);
    }
    assert_true(i < STRANGERS); /* a stranger was pushed out: those before it are gone */
    while (i-- > 0) {
        (void)snprintf(key, sizeof key, "stranger%d", i);
        (void)hearth__local_evict(tier.local, key, strlen(key));
    }
    hearth__local_usage usage;
    hearth__local_usage_get(tier.local, &usage);
    assert_int_equal(usage.entries, 0);
    tier_close(&tier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_way_takes_only_what_is_fresh),
        cmocka_unit_test(nor_does_it_take_more_of_a_second_bucket),
        cmocka_unit_test(what_is_over_is_not_moved),
    };
    return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
