/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/backoff.h"

#include "base/hash.h"
#include "base/memory.h"

#include <stdatomic.h>

enum {
    BUCKET = 8, /* places of a key: a cache line */
    BUCKETS = HEARTH__BACKOFF_KEYS / BUCKET,
    TAG_AT =
        41,    /* above it a part of the key's hash, below FAILED ms since the table was made; a
                    word of 0 is free */
    TRIES = 4, /* against others who want the same place */
};

#define FAILED    (UINT64_C(1) << (TAG_AT - 1)) /* the key's last load */
#define UNTIL_MAX (FAILED - 1)

struct hearth__backoff {
    hearth__hash_secret secret;
    int64_t made_ms;
    _Atomic bool is_used;
    _Atomic uint64_t words[HEARTH__BACKOFF_KEYS];
};

hearth__backoff *hearth__backoff_create(int64_t now_ms) {
    hearth__backoff *backoff = hearth__alloc_zero(1, sizeof *backoff);
    if (backoff != NULL) {
        hearth__hash_secret_init(&backoff->secret);
        backoff->made_ms = now_ms;
    }
    return backoff;
}

void hearth__backoff_destroy(hearth__backoff *backoff) {
    hearth__free(backoff);
}

static uint64_t until_of(const hearth__backoff *backoff, int64_t until_ms) {
    if (until_ms <= backoff->made_ms) {
        return 0;
    }
    uint64_t since = (uint64_t)until_ms - (uint64_t)backoff->made_ms;
    return since < UNTIL_MAX ? since : UNTIL_MAX;
}

static size_t bucket_of(uint64_t hash) {
    return hash % BUCKETS * BUCKET;
}

static bool is_of(uint64_t word, uint64_t hash) {
    return (word ^ hash) >> TAG_AT == 0 && word != 0;
}

/* The key's own place, or that of whoever waits least long, and what is there. */
static _Atomic uint64_t *place_of(hearth__backoff *backoff, uint64_t hash, uint64_t *word) {
    _Atomic uint64_t *bucket = &backoff->words[bucket_of(hash)];
    _Atomic uint64_t *least = NULL;
    for (size_t i = 0; i < BUCKET; i++) {
        uint64_t found = atomic_load_explicit(&bucket[i], memory_order_relaxed);
        bool is_own = is_of(found, hash);
        if (is_own || least == NULL || (found & UNTIL_MAX) < (*word & UNTIL_MAX)) {
            least = &bucket[i];
            *word = found;
        }
        if (is_own) {
            break;
        }
    }
    return least;
}

/* `failed`: FAILED or 0. */
static void hold(hearth__backoff *backoff, const void *key, size_t key_size, int64_t until_ms,
                 uint64_t failed) {
    uint64_t until = until_of(backoff, until_ms);
    uint64_t hash = hearth__hash_key(&backoff->secret, key, key_size);
    if (until == 0) {
        return;
    }
    atomic_store_explicit(&backoff->is_used, true, memory_order_relaxed);
    for (int i = 0; i < TRIES; i++) {
        uint64_t word = 0;
        _Atomic uint64_t *place = place_of(backoff, hash, &word);
        uint64_t had = is_of(word, hash) ? word : 0;
        uint64_t longer = (had & UNTIL_MAX) > until ? had & UNTIL_MAX : until;
        uint64_t next = (hash >> TAG_AT << TAG_AT) | (had & FAILED) | failed | longer;
        if (next == word ||
            atomic_compare_exchange_strong_explicit(place, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed)) {
            return;
        }
    }
}

void hearth__backoff_hold(hearth__backoff *backoff, const void *key, size_t key_size,
                          int64_t until_ms) {
    hold(backoff, key, key_size, until_ms, 0);
}

void hearth__backoff_fail(hearth__backoff *backoff, const void *key, size_t key_size,
                          int64_t until_ms) {
    hold(backoff, key, key_size, until_ms, FAILED);
}

/* What is remembered of a key; 0: nothing. */
static uint64_t word_of(const hearth__backoff *backoff, const void *key, size_t key_size) {
    if (!atomic_load_explicit(&backoff->is_used, memory_order_relaxed)) {
        return 0;
    }
    uint64_t hash = hearth__hash_key(&backoff->secret, key, key_size);
    const _Atomic uint64_t *bucket = &backoff->words[bucket_of(hash)];
    for (size_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load_explicit(&bucket[i], memory_order_relaxed);
        if (is_of(word, hash)) {
            return word;
        }
    }
    return 0;
}

bool hearth__backoff_has_failed(const hearth__backoff *backoff, const void *key,
                                size_t key_size) {
    return (word_of(backoff, key, key_size) & FAILED) != 0;
}

void hearth__backoff_succeed(hearth__backoff *backoff, const void *key, size_t key_size) {
    if (!hearth__backoff_has_failed(backoff, key, key_size)) {
        return;
    }
    uint64_t hash = hearth__hash_key(&backoff->secret, key, key_size);
    uint64_t word = 0;
    _Atomic uint64_t *place = place_of(backoff, hash, &word);
    if (is_of(word, hash)) {
        (void)atomic_compare_exchange_strong_explicit(
            place, &word, word & ~FAILED, memory_order_relaxed, memory_order_relaxed);
    }
}

bool hearth__backoff_holds(const hearth__backoff *backoff, const void *key, size_t key_size,
                           int64_t now_ms) {
    return (word_of(backoff, key, key_size) & UNTIL_MAX) > until_of(backoff, now_ms);
}
