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
    SIZE_MAX_BYTES = 64 << 10,
    TIER_BYTES = 4 << 20,
#if defined(HEARTH__TSAN)
    HITS = 5000, /* of each reader; every word takes its time here */
    LONG_HITS = 100 * HITS,
#else
    HITS = 200000,
    LONG_HITS = 25000000, /* a hundred million of two readers and two policies */
#endif
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

/* Each word of a value is the one before it and this. */
#define FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* Of 12, 20 and 32 bits. Of a value that is shorter than a word, this is cut, and its number is 0. */
static uint64_t first_word(uint64_t key, uint64_t size, uint64_t number) {
    return (key << 52 | size << 32 | number) * FACTOR;
}

static void compose(uint64_t key, uint64_t size, uint64_t number, unsigned char *value) {
    uint64_t told = size < 8 ? 0 : number & 0xffffffff;
    uint64_t word = first_word(key, size, told);
    for (; size >= 8; size -= 8, value += 8, word += FACTOR) {
        memcpy(value, &word, 8);
    }
    memcpy(value, &word, size);
}

/* Half of the values are short; a key's length changes now and then, so that some are rewritten in place. */
static uint64_t size_for(uint64_t key, uint64_t number) {
    uint64_t seed = key * 77 + number / 8 + 1;
    uint64_t random = next_random(&seed);
    return 1 + random / 2 % (random % 2 == 0 ? 128 : SIZE_MAX_BYTES);
}

static void write_values(struct scene *scene, size_t index) {
    static const hearth__local_entry forever = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    unsigned char *value = malloc(SIZE_MAX_BYTES);
    uint64_t random = 99 + index;
    for (uint64_t number = 0; value != NULL && atomic_load(&scene->readers_left) != 0;
         number++) {
        uint64_t key = next_random(&random) % KEYS;
        uint64_t size = size_for(key, number);
        compose(key, size, number, value);
        if (next_random(&random) % 16 == 0) {
            (void)hearth__local_evict(scene->local, &key, sizeof key);
        } else {
            (void)hearth__local_put(scene->local, &key, sizeof key, &forever, value, size);
        }
    }
    free(value);
}

static bool is_whole(uint64_t key, const hearth__buffer *bytes) {
    /* The first word times the inverse of the odd factor gives key, length and number back. */
    uint64_t inverse = FACTOR;
    for (int i = 0; i < 5; i++) {
        inverse *= 2 - FACTOR * inverse;
    }
    uint64_t first = first_word(key, bytes->size, 0);
    if (bytes->size >= 8) {
        memcpy(&first, bytes->data, sizeof first);
    }
    uint64_t origin = first * inverse;
    bool whole =
        bytes->size != 0 && origin >> 52 == key && (origin >> 32 & 0xfffff) == bytes->size;
    uint64_t size = whole ? bytes->size : 0;
    uint64_t expected = first;
    uint64_t differs = 0;
    for (uint64_t at = 0; at + 8 <= size; at += 8, expected += FACTOR) {
        uint64_t word = 0;
        memcpy(&word, bytes->data + at, sizeof word);
        differs |= word ^ expected;
    }
    whole =
        whole && differs == 0 && memcmp(bytes->data + size / 8 * 8, &expected, size % 8) == 0;
    return whole;
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
                          .counters = hearth__local_seats_create()};
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

static void no_read_is_torn_by_default(void **state) {
    (void)state;
    no_read_is_torn("adaptive");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_read_is_torn_under_lru),
        cmocka_unit_test(no_read_is_torn_under_s3fifo),
        cmocka_unit_test(no_read_is_torn_by_default),
    };
    return cmocka_run_group_tests_name("torn reads", tests, NULL, NULL);
}
