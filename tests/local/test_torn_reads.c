/* SPDX-License-Identifier: Apache-2.0 */
/* Readers without a lock over logs that wrap all the time: every word of a value follows from its key, its length and its
 * number, so that a single torn, stale-mixed or foreign word is seen. */
#include "base/stat.h"
#include "base/tsan.h"
#include "local/local.h"
#include "support/crowd.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    READERS = 2,
    WRITERS = 2,
    KEYS = 200,
    WORDS_MAX = 8192, /* 64 KiB */
    TIER_BYTES = 4 << 20,
#if defined(HEARTH__TSAN)
    HITS = 5000, /* of each reader; every word takes its time here */
#else
    HITS = 200000,
#endif
    LONG_HITS = 50000000,
};

struct scene {
    hearth__seats *counters;
    hearth__local *local;
    uint64_t hits_wanted; /* of each reader */
    _Atomic int readers_left;
    _Atomic uint64_t hits;
    _Atomic uint64_t torn;
};

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t word_of(uint64_t key, uint64_t words, uint64_t number, uint64_t index) {
    return ((key << 48 | words << 32 | number) + index) * 0x9e3779b97f4a7c15u;
}

/* Half of the values are short; a key's length changes now and then, so that some are rewritten in place. */
static uint64_t words_for(uint64_t key, uint64_t number) {
    uint64_t seed = key * 77 + number / 8 + 1;
    uint64_t random = next_random(&seed);
    return 1 + (random % 2 == 0 ? random / 2 % 16 : random / 2 % WORDS_MAX);
}

static void write_values(struct scene *scene, size_t index) {
    static const hearth__local_entry forever = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    uint64_t *value = malloc(WORDS_MAX * sizeof *value);
    uint64_t random = 99 + index;
    for (uint64_t number = 0; value != NULL && atomic_load(&scene->readers_left) != 0;
         number++) {
        uint64_t key = next_random(&random) % KEYS;
        uint64_t words = words_for(key, number);
        for (uint64_t i = 0; i < words; i++) {
            value[i] = word_of(key, words, number & 0xffffffff, i);
        }
        if (next_random(&random) % 16 == 0) {
            (void)hearth__local_evict(scene->local, &key, sizeof key);
        } else {
            (void)hearth__local_put(scene->local, &key, sizeof key, &forever, value,
                                    words * sizeof *value);
        }
    }
    free(value);
}

static bool is_whole(uint64_t key, const hearth__buffer *bytes) {
    uint64_t words = bytes->size / 8;
    uint64_t first = 0;
    if (bytes->size % 8 != 0 || words == 0) {
        return false;
    }
    memcpy(&first, bytes->data, sizeof first);
    for (uint64_t i = 1; i < words; i++) {
        uint64_t word = 0;
        memcpy(&word, bytes->data + i * 8, sizeof word);
        if (word - first != i * 0x9e3779b97f4a7c15u) {
            return false;
        }
    }
    /* The first word times the inverse of the odd factor gives key, length and number back. */
    uint64_t inverse = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 5; i++) {
        inverse *= 2 - 0x9e3779b97f4a7c15u * inverse;
    }
    uint64_t origin = first * inverse;
    return origin >> 48 == key && (origin >> 32 & 0xffff) == words;
}

/* Whether memory has been recycled under the readers' eyes. */
static bool has_wrapped(const struct scene *scene) {
    return hearth__seats_sum(scene->counters, HEARTH__STAT_local_evictions) >= 100;
}

static void read_values(struct scene *scene, size_t index) {
    hearth__buffer bytes = {0};
    hearth__local_entry entry;
    uint64_t random = 7 + index;
    uint64_t hits = 0;
    uint64_t most = scene->hits_wanted * 10000;
    bool enough = false;
    for (uint64_t i = 0; !enough && i < most; i++) {
        uint64_t key = next_random(&random) % KEYS;
        if (hearth__local_get(scene->local, &key, sizeof key, 0, &bytes, &entry) == HEARTH_OK) {
            hits++;
            atomic_fetch_add(&scene->torn, !is_whole(key, &bytes));
        }
        enough = hits >= scene->hits_wanted && i % 64 == 0 && has_wrapped(scene);
    }
    atomic_fetch_add(&scene->hits, hits);
    hearth__buffer_fini(&bytes);
    atomic_fetch_sub(&scene->readers_left, 1);
}

static void play(void *arg, size_t index) {
    if (index < READERS) {
        read_values(arg, index);
    } else {
        write_values(arg, index);
    }
}

static void no_read_is_torn(const char *policy) {
    struct scene scene = {.readers_left = READERS,
                          .hits_wanted = getenv("HEARTH_LONG") != NULL ? LONG_HITS : HITS,
                          .counters = hearth__seats_create(HEARTH__STATS)};
    assert_non_null(scene.counters);
    const hearth__local_config config = {.max_bytes = TIER_BYTES,
                                         .max_entry_bytes = 128 << 10,
                                         .policy = policy,
                                         .counters = scene.counters};
    assert_int_equal(hearth__local_open(&config, &scene.local), HEARTH_OK);
    assert_true(crowd_run(READERS + WRITERS, play, &scene));
    uint64_t hits = atomic_load(&scene.hits);
    print_message(
        "%s: %llu hits, %llu evictions\n", policy, (unsigned long long)hits,
        (unsigned long long)hearth__seats_sum(scene.counters, HEARTH__STAT_local_evictions));
    assert_int_equal(atomic_load(&scene.torn), 0);
    assert_true(hits >= READERS * scene.hits_wanted);
    assert_true(has_wrapped(&scene));
    hearth__local_close(scene.local);
    hearth__seats_destroy(scene.counters);
}

static void no_read_is_torn_under_lru(void **state) {
    (void)state;
    no_read_is_torn("lru");
}

static void no_read_is_torn_under_s3fifo(void **state) {
    (void)state;
    no_read_is_torn("s3fifo");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_read_is_torn_under_lru),
        cmocka_unit_test(no_read_is_torn_under_s3fifo),
    };
    return cmocka_run_group_tests_name("torn reads", tests, NULL, NULL);
}
