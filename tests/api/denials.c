/* SPDX-License-Identifier: Apache-2.0 */
#include "denials.h"

#include "source.h"
#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

hearth *open_process(const char *url, const char *view_ms, const char *option,
                     const char *value) {
    hearth *cache = cache_open((const char *const[]){
        "remote.url", url, "guard.expected_keys", "5000", "guard.shared", "yes",
        "guard.view_ms", view_ms, "guard.audit", "0", "local.max_bytes", "1mb",
        "breaker.failures", "0", option, value, NULL});
    assert_non_null(cache);
    return cache;
}

int32_t next_key(void *arg, const void **key, size_t *key_size) {
    struct keys *keys = arg;
    if (keys->first != NULL && keys->given == 0) {
        keys->first(keys->arg);
    }
    if (keys->given == keys->count) {
        return HEARTH_MISS;
    }
    *key_size = (size_t)snprintf(keys->key, sizeof keys->key, "there:%llu",
                                 (unsigned long long)keys->given++);
    *key = keys->key;
    return HEARTH_OK;
}

int32_t rebuild(hearth *cache, uint64_t count) {
    struct keys keys = {.count = count};
    return hearth_guard_rebuild(cache, next_key, &keys);
}

int32_t add(hearth *cache, const char *key) {
    return hearth_guard_add(cache, key, strlen(key));
}

bool is_denied(hearth *cache, const char *key) {
    return strcmp(cache_get(cache, key, HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE),
                  "ABSENT") == 0;
}

uint64_t count_denied(hearth *cache, const char *prefix, uint64_t count) {
    uint64_t denied = 0;
    for (uint64_t i = 0; i < count; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "%s:%llu", prefix, (unsigned long long)i);
        denied += is_denied(cache, key);
    }
    return denied;
}

bool denies(void *cache) {
    return count_denied(cache, "absent", 16) != 0;
}

bool denies_nothing(void *cache) {
    return cache_stats(cache).guard_certified == 0;
}

static bool passes(void *arg) {
    const struct question *question = arg;
    return !is_denied(question->cache, question->key);
}

bool does_not_pass(void *arg) {
    return !passes(arg);
}

void await_denials(hearth *cache) {
    assert_true(await_until(denies, cache));
}

void await_none(hearth *cache) {
    assert_true(await_until(denies_nothing, cache));
}

void await_passes(hearth *cache, const char *key) {
    assert_true(await_until(passes, &(struct question){cache, key}));
    await_denials(cache);
    assert_false(is_denied(cache, key));
}

void close_all(hearth **caches, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(hearth_close(caches[i]), HEARTH_OK);
    }
}

/* ---- writers ---------------------------------------------------------------------------- */

enum { WRITERS = 8, EACH = 150, REBUILDS = 3, PROCESSES = 2 };

/* The source of truth: a key is there when its flag is. */
struct database {
    hearth *caches[PROCESSES];
    _Atomic bool there[WRITERS][EACH];
    _Atomic uint64_t denied;
    _Atomic size_t done;
};

static void name_row(char *key, size_t writer, size_t i) {
    (void)snprintf(key, KEY_BYTES, "key:%zu:%zu", writer, i);
}

static void write_and_ask(void *arg, size_t index) {
    struct database *database = arg;
    hearth *cache = database->caches[index % PROCESSES];
    char key[KEY_BYTES];
    for (size_t i = 0; i < EACH; i++) {
        name_row(key, index, i);
        while (add(cache, key) != HEARTH_OK) {
        }
        atomic_store(&database->there[index][i], true);
        atomic_fetch_add(&database->denied, is_denied(cache, key));
        name_row(key, index, i / 2); /* an older one */
        atomic_fetch_add(&database->denied, is_denied(cache, key));
    }
    atomic_fetch_add(&database->done, 1);
}

struct cursor {
    struct database *database;
    size_t at;
    char key[KEY_BYTES];
};

static int32_t next_row(void *arg, const void **key, size_t *key_size) {
    struct cursor *cursor = arg;
    const _Atomic bool *there = &cursor->database->there[0][0];
    while (cursor->at < (size_t)WRITERS * EACH && !atomic_load(&there[cursor->at])) {
        cursor->at++;
    }
    if (cursor->at == (size_t)WRITERS * EACH) {
        return HEARTH_MISS;
    }
    name_row(cursor->key, cursor->at / EACH, cursor->at % EACH);
    cursor->at++;
    *key = cursor->key;
    *key_size = strlen(cursor->key);
    return HEARTH_OK;
}

void writers_are_never_denied(hearth *(*open)(void)) {
    static struct database database;
    struct crowd crowd;
    hearth *maker = open();
    for (size_t i = 0; i < PROCESSES; i++) {
        database.caches[i] = open();
    }
    assert_true(crowd_start(&crowd, WRITERS, write_and_ask, &database));
    int rebuilds = 0;
    while (rebuilds < REBUILDS || atomic_load(&database.done) < WRITERS) {
        struct cursor cursor = {.database = &database};
        assert_int_equal(hearth_guard_rebuild(maker, next_row, &cursor), HEARTH_OK);
        rebuilds++;
    }
    crowd_join(&crowd);
    assert_int_equal(database.denied, 0);
    hearth *caches[] = {maker, database.caches[0], database.caches[1], open()};
    assert_int_equal(add(maker, "last"), HEARTH_OK);
    for (size_t i = 0; i < 4; i++) {
        char key[KEY_BYTES];
        await_passes(caches[i], "last"); /* who knows it knows all that was added before */
        for (size_t row = 0; row < (size_t)WRITERS * EACH; row++) {
            name_row(key, row / EACH, row % EACH);
            assert_false(is_denied(caches[i], key));
        }
        assert_int_equal(cache_stats(caches[i]).guard_false_negatives, 0);
    }
    close_all(caches, 4);
}
