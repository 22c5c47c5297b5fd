/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that are hits only as long as their source is good; and changes that are told. */
#include "local/local.h"

#include "base/clock.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { SOURCES = 16, OURS = 5, ENDED = 1 };

/* Keys that take the short way and the long one. */
static const char *const keys[] = {
    "short",
    "longer than what is hashed in line, which is "
    "................................................................................................",
};

struct tier {
    _Atomic int64_t until_ms[SOURCES];
    hearth__seats *counters;
    hearth__local *local;
    hearth__buffer bytes;
    hearth__local_raw raw;
    int64_t now_ms;
};

static int32_t no_hit(void *owner, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

static void open_tier(struct tier *tier) {
    *tier =
        (struct tier){.now_ms = hearth__boot_ms(), .counters = hearth__local_seats_create()};
    tier->until_ms[0] = INT64_MAX;
    const hearth__local_config config = {.max_bytes = 1 << 20,
                                         .now_ms = tier->now_ms,
                                         .counters = tier->counters,
                                         .until_ms = tier->until_ms,
                                         .sources = SOURCES};
    assert_int_equal(hearth__local_open(&config, &tier->local), HEARTH_OK);
    assert_true(hearth__buffer_reserve(&tier->bytes, 64));
}

static void close_tier(struct tier *tier) {
    hearth__local_close(tier->local);
    hearth__seats_destroy(tier->counters);
    hearth__buffer_fini(&tier->bytes);
}

/* Entries with all that can stand before the source's word. */
static hearth__local_entry entry_of(const struct tier *tier, unsigned words) {
    return (hearth__local_entry){.born_ms = tier->now_ms,
                                 .read_ms = tier->now_ms,
                                 .soft_expiry_ms = (words & 1) != 0 ? tier->now_ms + 600000
                                                                    : HEARTH__LOCAL_FOREVER,
                                 .hard_expiry_ms = tier->now_ms + 1000000,
                                 .version = (words & 2) != 0 ? 77 : 0,
                                 .content = 0xfedcba98,
                                 .source = OURS};
}

static void keep(struct tier *tier, const char *key, const hearth__local_entry *entry) {
    hearth__local_ticket ticket = hearth__local_sample(tier->local, key, strlen(key));
    assert_true(hearth__local_fill(tier->local, key, strlen(key), ticket, entry, "value", 5));
}

/* Every way to read says the same; a long key has no short way. */
static bool is_hit(struct tier *tier, const char *key) {
    size_t size = strlen(key);
    hearth__local_entry entry;
    int64_t now_ms = hearth__boot_ms();
    const hearth__local_ask ask = {
        .key = key, .key_size = size, .bytes = &tier->bytes, .raw = &tier->raw};
    int32_t many = HEARTH_E_INVALID;
    bool hit =
        hearth__local_get(tier->local, key, size, now_ms, &tier->bytes, &entry) == HEARTH_OK;
    int32_t one = hearth__local_hit(tier->local, key, size, &tier->bytes, &tier->raw, no_hit);
    assert_int_equal(one == HEARTH_OK, hit && key == keys[0]);
    assert_non_null(hearth__seats_enter(tier->counters));
    hearth__local_hit_many(tier->local, &ask, 1, &many);
    hearth__seats_leave(tier->counters);
    assert_int_equal(many == HEARTH_OK, hit);
    bool there =
        hearth__local_peek(tier->local, key, size, &tier->bytes, &tier->raw) == HEARTH_OK;
    assert_int_equal(there && hearth__local_is_fresh(&tier->raw, now_ms), hit);
    return hit;
}

static void entries_are_hits_while_their_source_is_good(void **state) {
    (void)state;
    struct tier tier;
    open_tier(&tier);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (unsigned words = 0; words < 4; words++) {
            hearth__local_entry entry = entry_of(&tier, words);
            tier.until_ms[OURS] = tier.now_ms + 500000;
            keep(&tier, keys[i], &entry);
            assert_true(is_hit(&tier, keys[i]));
            tier.until_ms[OURS] = ENDED;
            assert_false(is_hit(&tier, keys[i]));
            tier.until_ms[OURS] = hearth__boot_ms();
            assert_false(is_hit(&tier, keys[i]));
            /* Another source's end is not this one's. */
            tier.until_ms[OURS] = tier.now_ms + 500000;
            tier.until_ms[OURS + 1] = ENDED;
            assert_true(is_hit(&tier, keys[i]));
        }
    }
    close_tier(&tier);
}

static void without_a_source_they_are_hits_all_their_lives(void **state) {
    (void)state;
    struct tier tier;
    open_tier(&tier);
    for (unsigned words = 0; words < 4; words++) {
        hearth__local_entry entry = entry_of(&tier, words);
        entry.source = 0;
        keep(&tier, keys[0], &entry);
        assert_true(is_hit(&tier, keys[0]));
        assert_int_equal(hearth__local_get(tier.local, keys[0], strlen(keys[0]), tier.now_ms,
                                           &tier.bytes, &entry),
                         HEARTH_OK);
        assert_true(entry.until_ms == HEARTH__LOCAL_FOREVER);
    }
    close_tier(&tier);
}

/* What was known when the entry was read is told, not what is known later. */
static void what_was_known_is_told_with_the_rest(void **state) {
    (void)state;
    struct tier tier;
    open_tier(&tier);
    for (unsigned words = 0; words < 4; words++) {
        hearth__local_entry entry = entry_of(&tier, words);
        hearth__local_entry told;
        tier.until_ms[OURS] = tier.now_ms + 400000;
        keep(&tier, keys[0], &entry);
        assert_int_equal(hearth__local_hit(tier.local, keys[0], strlen(keys[0]), &tier.bytes,
                                           &tier.raw, no_hit),
                         HEARTH_OK);
        tier.until_ms[OURS] = tier.now_ms + 500000;
        hearth__local_decode(&tier.raw, &told);
        assert_true(told.until_ms == tier.now_ms + 400000);
        assert_int_equal(told.content, entry.content);
        assert_true(told.version == entry.version);
        assert_true(told.born_ms == entry.born_ms && told.read_ms == entry.read_ms);
        assert_true(told.soft_expiry_ms == entry.soft_expiry_ms);
    }
    close_tier(&tier);
}

static void a_change_drops_the_key_and_voids_what_was_asked_before(void **state) {
    (void)state;
    struct tier tier;
    open_tier(&tier);
    hearth__local_entry entry = entry_of(&tier, 3);
    size_t size = strlen(keys[0]);
    tier.until_ms[OURS] = tier.now_ms + 500000;
    keep(&tier, keys[0], &entry);
    hearth__local_ticket before = hearth__local_sample(tier.local, keys[0], size);
    hearth__local_changed(tier.local, keys[0], size);
    assert_false(is_hit(&tier, keys[0]));
    assert_false(hearth__local_fill(tier.local, keys[0], size, before, &entry, "old", 3));
    assert_false(is_hit(&tier, keys[0]));
    /* Of a key that is not there, too. */
    before = hearth__local_sample(tier.local, keys[0], size);
    hearth__local_changed(tier.local, keys[0], size);
    assert_false(hearth__local_fill(tier.local, keys[0], size, before, &entry, "old", 3));
    keep(&tier, keys[0], &entry);
    assert_true(is_hit(&tier, keys[0]));
    close_tier(&tier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_hits_while_their_source_is_good),
        cmocka_unit_test(without_a_source_they_are_hits_all_their_lives),
        cmocka_unit_test(what_was_known_is_told_with_the_rest),
        cmocka_unit_test(a_change_drops_the_key_and_voids_what_was_asked_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
