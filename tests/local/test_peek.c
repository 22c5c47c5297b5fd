/* SPDX-License-Identifier: Apache-2.0 */
/* A peek at the local tier: it waits for no writer, and its buffer does not grow. */
#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .version = 99};

static hearth__seats *counters;
static hearth__local *local;

static int open_local(void **state) {
    (void)state;
    counters = hearth__local_seats_create();
    const hearth__local_config config = {.max_bytes = 1 << 20, .counters = counters};
    return counters != NULL && hearth__local_open(&config, &local) == HEARTH_OK ? 0 : -1;
}

static int close_local(void **state) {
    (void)state;
    hearth__local_close(local);
    hearth__seats_destroy(counters);
    return 0;
}

static int32_t peek(hearth__buffer *bytes, hearth__local_entry *entry) {
    hearth__local_raw raw;
    int32_t status = hearth__local_peek(local, "key", 3, bytes, &raw);
    if (status == HEARTH_OK) {
        hearth__local_decode(&raw, entry);
    }
    return status;
}

/* ---- the buffer ---- */

static void a_value_that_does_not_fit_is_only_measured(void **state) {
    (void)state;
    static const char value[] = "0123456789abcdefghij";
    for (size_t capacity = 0; capacity < 32; capacity++) {
        unsigned char room[40];
        hearth__buffer bytes = {.data = room, .capacity = capacity};
        hearth__local_entry entry = {0};
        memset(room, '-', sizeof room);
        assert_true(hearth__local_put(local, "key", 3, &everlasting, value, 20));
        assert_int_equal(peek(&bytes, &entry), HEARTH_OK);
        assert_int_equal(bytes.size, 20);
        assert_true(entry.version == 99);
        assert_ptr_equal(bytes.data, room);
        assert_int_equal(bytes.capacity, capacity);
        if (capacity >= 20) {
            assert_memory_equal(room, value, 20);
        }
        for (size_t i = capacity >= 20 ? 20 : 0; i < sizeof room; i++) {
            assert_int_equal(room[i], '-');
        }
    }
    hearth__buffer none = {0};
    hearth__local_entry entry = {0};
    assert_int_equal(peek(&none, &entry), HEARTH_OK);
    assert_true(none.size == 20 && none.data == NULL && entry.version == 99);
}

static void everything_there_is_told(void **state) {
    (void)state;
    const hearth__local_entry kinds[] = {
        {.absent = true, .soft_expiry_ms = HEARTH__LOCAL_FOREVER, .hard_expiry_ms = 50},
        {.stale = true, .soft_expiry_ms = HEARTH__LOCAL_FOREVER, .hard_expiry_ms = 50},
        {.soft_expiry_ms = 20, .hard_expiry_ms = 50, .version = 5},
    };
    hearth__buffer none = {0};
    hearth__local_entry entry = {0};
    assert_int_equal(peek(&none, &entry), HEARTH_MISS);
    for (size_t i = 0; i < 3; i++) {
        assert_true(hearth__local_put(local, "key", 3, &kinds[i], NULL, 0));
        assert_int_equal(peek(&none, &entry), HEARTH_OK);
        assert_int_equal(entry.absent, kinds[i].absent);
        assert_int_equal(entry.stale, kinds[i].stale);
        assert_int_equal(entry.hard_expiry_ms, 50);
    }
    hearth__local_raw raw;
    assert_int_equal(hearth__local_peek(local, "key", 3, &none, &raw), HEARTH_OK);
    assert_true(hearth__local_is_fresh(&raw, 19));
    assert_false(hearth__local_is_fresh(&raw, 20));
}

/* ---- writers ---- */

/* The sequence of the only entry there is. */
static _Atomic uint64_t *only_entry(const hearth__shard *shard) {
    for (size_t i = 0; i < shard->buckets * HEARTH__BUCKET_SLOTS; i++) {
        uint64_t slot = atomic_load(&shard->slots[i]);
        if (slot != 0) {
            return (_Atomic uint64_t *)(void *)hearth__slot_entry(shard, slot);
        }
    }
    return NULL;
}

/* As a writer stands that was put to sleep in the middle of rewriting the value, with its lock held: a read that waited for
 * it here would wait for ever. */
static void a_writer_is_not_waited_for(void **state) {
    (void)state;
    static const uint64_t odd = UINT64_C(1) << 32;
    unsigned char room[8];
    hearth__buffer bytes = {.data = room, .capacity = sizeof room};
    hearth__buffer none = {0};
    hearth__local_entry entry = {0};
    hearth__shard *shard = &local->shards[0];
    assert_true(hearth__local_put(local, "key", 3, &everlasting, "v", 1));
    assert_int_equal(local->shard_count, 1);
    _Atomic uint64_t *word = only_entry(shard);
    assert_non_null(word);
    assert_int_equal(pthread_mutex_lock(&shard->lock), 0);
    assert_int_equal(peek(&bytes, &entry),
                     HEARTH_OK); /* the lock alone is nothing to a reader */
    assert_int_equal(peek(&none, &entry), HEARTH_OK);
    atomic_fetch_add(word, odd);
    assert_int_equal(peek(&bytes, &entry), HEARTH_MISS);
    assert_int_equal(peek(&none, &entry), HEARTH_MISS);
    atomic_fetch_add(word, odd);
    assert_int_equal(peek(&bytes, &entry), HEARTH_OK);
    assert_int_equal(pthread_mutex_unlock(&shard->lock), 0);
    assert_true(bytes.size == 1 && room[0] == 'v');
}

#define WITH_LOCAL(test) cmocka_unit_test_setup_teardown(test, open_local, close_local)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_LOCAL(a_value_that_does_not_fit_is_only_measured),
        WITH_LOCAL(everything_there_is_told),
        WITH_LOCAL(a_writer_is_not_waited_for),
    };
    return cmocka_run_group_tests_name("peek", tests, NULL, NULL);
}
