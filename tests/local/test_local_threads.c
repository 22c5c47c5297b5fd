/* SPDX-License-Identifier: Apache-2.0 */
/* The local tier under eight threads. */
#include "base/stat.h"
#include "local/local.h"
#include "support/crowd.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 8, KEYS = 64, ROUNDS = 20000 };

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};

/* A remote tier of numbers: each write of a key stores the next one. */
struct scene {
    hearth__seats *counters;
    hearth__local *local;
    _Atomic uint64_t remote[KEYS];
    _Atomic uint64_t written[KEYS]; /* a write of this number has ended */
    _Atomic uint64_t hits;
    _Atomic uint64_t wrong;   /* bytes that were not written under the key */
    _Atomic uint64_t old;     /* copies older than a write that had ended */
    _Atomic uint64_t too_big; /* usage over the limit */
};

/* A value: its key's number, the write's number, and a tail whose length and bytes follow from
 * both. */
struct value {
    size_t key;
    uint64_t number;
    unsigned char tail[512];
};

enum { HEAD = offsetof(struct value, tail) };

static size_t compose(struct value *value, size_t key, uint64_t number) {
    const size_t tail = (key * 31 + number * 7) % sizeof value->tail;
    value->key = key;
    value->number = number;
    memset(value->tail, (int)((key ^ number) & 0xff), tail);
    return HEAD + tail;
}

static bool is_of_key(const hearth__buffer *bytes, size_t key, uint64_t *number) {
    struct value expected;
    if (bytes->size < HEAD) {
        return false;
    }
    memcpy(number, bytes->data + offsetof(struct value, number), sizeof *number);
    const size_t size = compose(&expected, key, *number);
    return bytes->size == size && memcmp(bytes->data, &expected, size) == 0;
}

static void raise_to(_Atomic uint64_t *number, uint64_t least) {
    uint64_t present = atomic_load(number);
    while (present < least && !atomic_compare_exchange_weak(number, &present, least)) {
    }
}

static void get(struct scene *scene, size_t key, const char *name, hearth__buffer *bytes) {
    hearth__local_entry entry;
    const uint64_t floor = atomic_load(&scene->written[key]);
    if (hearth__local_get(scene->local, name, strlen(name), 0, bytes, &entry) != HEARTH_OK) {
        return;
    }
    uint64_t number = 0;
    atomic_fetch_add(&scene->hits, 1);
    if (!is_of_key(bytes, key, &number)) {
        atomic_fetch_add(&scene->wrong, 1);
    } else if (number < floor) {
        atomic_fetch_add(&scene->old, 1);
    }
}

static void fill(struct scene *scene, size_t key, const char *name) {
    struct value value;
    const hearth__local_ticket ticket = hearth__local_sample(scene->local, name, strlen(name));
    const size_t size = compose(&value, key, atomic_load(&scene->remote[key]));
    (void)hearth__local_fill(scene->local, name, strlen(name), ticket, &everlasting, &value,
                             size);
}

static void write(struct scene *scene, size_t key, const char *name) {
    struct value value;
    const hearth__local_ticket ticket =
        hearth__local_write_begin(scene->local, name, strlen(name));
    const uint64_t number = atomic_fetch_add(&scene->remote[key], 1) + 1;
    const size_t size = compose(&value, key, number);
    hearth__local_write_end(scene->local, name, strlen(name), ticket,
                            number % 5 == 0 ? NULL : &everlasting, &value, size);
    raise_to(&scene->written[key], number);
}

static void mix(void *arg, size_t index) {
    struct scene *scene = arg;
    hearth__buffer bytes = {0};
    uint32_t random = (uint32_t)index + 1;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        const size_t key = (random >> 8) % KEYS;
        const unsigned dice = (random >> 20) % 16;
        char name[16];
        (void)snprintf(name, sizeof name, "key%zu", key);
        if (dice < 8) {
            get(scene, key, name, &bytes);
        } else if (dice < 13) {
            fill(scene, key, name);
        } else if (dice < 15) {
            write(scene, key, name);
        } else {
            (void)hearth__local_evict(scene->local, name, strlen(name));
        }
        if (i % 64 == 0) {
            hearth__local_usage usage;
            hearth__local_usage_get(scene->local, &usage);
            atomic_fetch_add(&scene->too_big, usage.bytes > usage.limit_bytes);
        }
    }
    hearth__buffer_fini(&bytes);
}

static void play(size_t max_bytes, bool evicts) {
    struct scene scene = {.counters = hearth__local_seats_create()};
    const hearth__local_config config = {
        .max_bytes = max_bytes, .max_entry_bytes = 2000, .counters = scene.counters};
    assert_int_equal(hearth__local_open(&config, &scene.local), HEARTH_OK);
    assert_true(crowd_run(THREADS, mix, &scene));
    assert_int_equal(atomic_load(&scene.wrong), 0);
    assert_int_equal(atomic_load(&scene.old), 0);
    assert_int_equal(atomic_load(&scene.too_big), 0);
    assert_true(atomic_load(&scene.hits) > 0);
    /* Where there is room, a copy that nobody asked for may still go with its log's tail, once in many runs. */
    uint64_t evictions = hearth__seats_sum(scene.counters, HEARTH__STAT_local_evictions);
    assert_int_equal(evictions > THREADS * ROUNDS / 1000, evicts);
    hearth__local_close(scene.local);
    hearth__seats_destroy(scene.counters);
}

static void no_wrong_bytes_and_nothing_older_than_an_ended_write(void **state) {
    (void)state;
    play(1 << 20, false);
}

static void the_same_while_entries_are_pushed_out(void **state) {
    (void)state;
    play(1 << 14, true);
}

static void the_same_with_many_shards(void **state) {
    (void)state;
    play((size_t)1 << 28, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wrong_bytes_and_nothing_older_than_an_ended_write),
        cmocka_unit_test(the_same_while_entries_are_pushed_out),
        cmocka_unit_test(the_same_with_many_shards),
    };
    return cmocka_run_group_tests_name("local threads", tests, NULL, NULL);
}
