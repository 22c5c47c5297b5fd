/* SPDX-License-Identifier: Apache-2.0 */
/* How the local tier spends its room, and what making room costs a store. */
#include "base/hash.h"
#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"
#include "support/failing_memory.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .bare = true};
static const char *const policies[] = {"lru", "s3fifo", "adaptive"};
enum { POLICIES = sizeof policies / sizeof policies[0] };

static hearth__seats *counters;
static hearth__local *local;

static void tier_open(const char *policy, size_t max_bytes) {
    counters = hearth__local_seats_create();
    assert_non_null(counters);
    const hearth__local_config config = {
        .max_bytes = max_bytes, .policy = policy, .counters = counters};
    assert_int_equal(hearth__local_open(&config, &local), HEARTH_OK);
}

static void tier_close(void) {
    hearth__local_close(local);
    hearth__seats_destroy(counters);
}

static uint64_t counted(enum hearth__stat stat) {
    return hearth__seats_sum(counters, (size_t)stat);
}

static hearth__local_usage usage(void) {
    hearth__local_usage now;
    hearth__local_usage_get(local, &now);
    return now;
}

static void put(uint64_t key, const void *data, size_t size) {
    assert_true(hearth__local_put(local, &key, sizeof key, &everlasting, data, size));
}

static bool find(uint64_t key, hearth__buffer *bytes) {
    hearth__local_entry entry;
    return hearth__local_get(local, &key, sizeof key, 0, bytes, &entry) == HEARTH_OK;
}

/* ---- small entries ---- */

enum { SMALL_LIMIT = 4 << 20, SMALL_KEYS = 400000 };

/* The index is made for larger ones, so it is full before the memory is. What it evicts leaves no holes that stay. */
static void small_entries_use_what_the_index_holds(void **state) {
    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        tier_open(policies[i], SMALL_LIMIT);
        for (uint64_t key = 0; key < SMALL_KEYS; key++) {
            put(key, "1", 1);
        }
        hearth__local_usage now = usage();
        uint64_t live = now.entries * (sizeof(uint64_t) + 1);
        print_message("%s: 1-byte values: %.1f MiB of %.1f used, %.1f of it dead, "
                      "%.2f keys and values; %llu entries, %llu pushed out of the index\n",
                      policies[i], (double)now.bytes / (1 << 20),
                      (double)now.limit_bytes / (1 << 20), (double)now.dead_bytes / (1 << 20),
                      (double)live / (1 << 20), (unsigned long long)now.entries,
                      (unsigned long long)counted(HEARTH__STAT_local_index_evictions));
        assert_true(now.bytes <= now.limit_bytes);
        assert_true(counted(HEARTH__STAT_local_index_evictions) > 0);
        /* An entry of the default size and what it costs beside takes some 170 bytes. */
        assert_true(now.entries > SMALL_LIMIT / 170);
        tier_close();
    }
}

enum { MIXED_LIMIT = 4 << 20, MIXED_KEYS = 400000, MIXED_SIZE = 112 };

/* Entries a little smaller than expected: now and then the index has no slot for one. */
static void what_the_index_evicts_leaves_few_holes(void **state) {
    (void)state;
    static const char zeros[MIXED_SIZE];
    for (size_t i = 0; i < POLICIES; i++) {
        tier_open(policies[i], MIXED_LIMIT);
        for (uint64_t key = 0; key < MIXED_KEYS; key++) {
            put(key, zeros, sizeof zeros);
        }
        hearth__local_usage now = usage();
        print_message("%s: %.1f %% dead\n", policies[i],
                      100 * (double)now.dead_bytes / (double)now.bytes);
        assert_true(counted(HEARTH__STAT_local_index_evictions) > 0);
        assert_true(now.dead_bytes < now.bytes / 25);
        tier_close();
    }
}

/* ---- what a store costs ---- */

enum { FULL_LIMIT = 8 << 20, FULL_KEYS = 90000, LARGE_SETS = 300 };
/* The largest entry, and what the small ones take in a log. */
enum { LARGEST = FULL_LIMIT / 64, SMALL_ENTRY = 128 };

/* A tier in which every entry was read as often as counts. */
static void fill_and_mark(void) {
    static const char zeros[100];
    hearth__buffer bytes = {0};
    for (uint64_t key = 0; key < FULL_KEYS; key++) {
        put(key, zeros, sizeof zeros);
    }
    for (int pass = 0; pass < 3; pass++) {
        for (uint64_t key = 0; key < FULL_KEYS; key++) {
            (void)find(key, &bytes);
        }
    }
    hearth__buffer_fini(&bytes);
}

/* Stores new entries of a size, and looks at what each of them moved and pushed out. The most moved for one. */
static uint64_t expect_bounded(size_t size) {
    static const char zeros[LARGEST];
    uint64_t most_moved = 0;
    for (uint64_t i = 0; i < LARGE_SETS; i++) {
        uint64_t moved = counted(HEARTH__STAT_local_moves);
        uint64_t evicted = counted(HEARTH__STAT_local_evictions);
        put(FULL_KEYS + i, zeros, size);
        moved = counted(HEARTH__STAT_local_moves) - moved;
        evicted = counted(HEARTH__STAT_local_evictions) - evicted;
        assert_true(moved <= HEARTH__WALK_MOVES);
        /* It may push out what stands in its way, and in that of the gap that a log keeps, up to the ring's end and
         * again behind it. */
        assert_true(evicted <= 2 * (size + LARGEST) / SMALL_ENTRY + HEARTH__WALK_MOVES);
        most_moved = moved > most_moved ? moved : most_moved;
    }
    print_message("%zu bytes: at most %llu entries moved for one\n", size,
                  (unsigned long long)most_moved);
    return most_moved;
}

static void a_store_into_a_full_tier_moves_few(void **state) {
    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        tier_open(policies[i], FULL_LIMIT);
        fill_and_mark();
        assert_true(expect_bounded(100) > 0);
        fill_and_mark();
        assert_true(expect_bounded(LARGEST - sizeof(uint64_t)) > 0);
        tier_close();
    }
}

/* ---- the right key ---- */

/* A key that the index cannot tell from `key`: the same tag in one of the same buckets. */
static uint64_t twin_of(uint64_t key) {
    const hearth__shard *shard = &local->shards[0];
    hearth__probe probe =
        hearth__probe_of(shard, hearth__hash_key(&local->secret, &key, sizeof key));
    for (uint64_t twin = key + 1;; twin++) {
        uint64_t hash = hearth__hash_key(&local->secret, &twin, sizeof twin);
        hearth__probe other = hearth__probe_of(shard, hash);
        if (other.tag == probe.tag && other.buckets[0] == probe.buckets[0]) {
            return twin;
        }
    }
}

static void keys_that_share_tag_and_bucket_are_two(void **state) {
    (void)state;
    hearth__buffer bytes = {0};
    tier_open("lru", 16 << 10); /* a few buckets */
    for (uint64_t key = 1; key < 4; key++) {
        uint64_t twin = twin_of(key);
        put(key, "one", 3);
        assert_false(find(twin, &bytes));
        put(twin, "two", 3);
        assert_true(find(key, &bytes));
        assert_memory_equal(bytes.data, "one", 3);
        assert_true(find(twin, &bytes));
        assert_memory_equal(bytes.data, "two", 3);
        assert_true(hearth__local_evict(local, &twin, sizeof twin));
        assert_true(find(key, &bytes));
        assert_false(find(twin, &bytes));
    }
    hearth__buffer_fini(&bytes);
    tier_close();
}

/* ---- the end of the memory ---- */

static int32_t no_hit(void *owner, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

enum { END_LIMIT = 64 << 10 };

/* Entries with `size` bytes of key and value, to the very end of the log and over again. */
static void fill_to_the_end(const hearth__local_entry *entry, size_t size) {
    static const char zeros[64];
    hearth__buffer bytes = {0};
    hearth__local_entry found;
    tier_open("lru", END_LIMIT);
    for (uint64_t key = 0; key < END_LIMIT / 16; key++) {
        assert_true(
            hearth__local_put(local, &key, sizeof key, entry, zeros, size - sizeof key));
        assert_int_equal(hearth__local_get(local, &key, sizeof key, 0, &bytes, &found),
                         HEARTH_OK);
        hearth__local_raw raw;
        (void)hearth__local_hit(local, &key, sizeof key, &bytes, &raw, no_hit);
        const hearth__local_ask ask = {&key, sizeof key, &bytes, &raw};
        int32_t status = HEARTH_OK;
        hearth__local_hit_many(local, &ask, 1, &status);
        assert_int_equal(bytes.size, size - sizeof key);
    }
    hearth__buffer_fini(&bytes);
    tier_close();
}

static void nobody_reads_beyond_the_last_entry(void **state) {
    (void)state;
    const hearth__local_entry soft = {
        .soft_expiry_ms = 1000, .hard_expiry_ms = HEARTH__LOCAL_FOREVER, .bare = true};
    const hearth__local_entry version = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                         .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                         .version = 1,
                                         .bare = true};
    const hearth__local_entry whole = {
        .soft_expiry_ms = 1000, .hard_expiry_ms = HEARTH__LOCAL_FOREVER, .version = 1};
    assert_int_equal(failing_memory_blocks(),
                     0); /* whose mappings end before a page that faults */
    for (size_t size = 8; size <= 40; size += 4) {
        fill_to_the_end(&everlasting, size);
        fill_to_the_end(&soft, size);
        fill_to_the_end(&version, size);
        fill_to_the_end(&whole, size);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_entries_use_what_the_index_holds),
        cmocka_unit_test(what_the_index_evicts_leaves_few_holes),
        cmocka_unit_test(a_store_into_a_full_tier_moves_few),
        cmocka_unit_test(keys_that_share_tag_and_bucket_are_two),
        cmocka_unit_test(nobody_reads_beyond_the_last_entry),
    };
    return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
