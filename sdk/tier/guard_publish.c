/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared filter made anew. From its beginning every insert goes into it too, whichever process adds the key; then writers get
 * the time to see that, and to bring the keys that they added before to their source; then the source's keys are collected here, go
 * to the server piece by piece, and are merged there.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "tier/cache.h"

#include <string.h>

enum {
    TRIES = 60,    /* of a step whose answer does not come */
    PAUSE_MS = 50, /* between two of them */
};

/* A step that may be said again. HEARTH_OK and what is answered. */
static int32_t insist(hearth *cache, enum hearth__filter_step step, const void *words,
                      size_t size, hearth__buffer *answer) {
    for (int i = 1;; i++) {
        uint32_t seen = hearth__bell_look(&cache->guard.bell);
        int32_t status = hearth__shared_exchange(cache, step, words, size, answer);
        bool passes = status == HEARTH_E_TIMEOUT || status == HEARTH_E_UNAVAILABLE;
        if (!passes || i == TRIES) {
            return status;
        }
        if (atomic_load(&cache->guard.closing)) {
            return HEARTH_E_CLOSED;
        }
        (void)hearth__bell_await(&cache->guard.bell, seen, HEARTH__GUARD_CLOSING,
                                 hearth__deadline_ns(PAUSE_MS));
    }
}

int32_t hearth__shared_begin(hearth *cache, uint32_t blocks, uint64_t *id) {
    unsigned char words[HEARTH__BLOOM_WORDS];
    hearth__buffer answer = {0};
    if (blocks > HEARTH__BLOOM_SHARE_BLOCKS) {
        return HEARTH_E_TOO_LARGE;
    }
    do {
        *id = hearth__random_u64();
    } while (*id == 0);
    size_t size = hearth__bloom_say_begin(*id, blocks, words);
    hearth__shared_start(cache);
    int32_t status = insist(cache, HEARTH__FILTER_BEGIN, words, size, &answer);
    if (status == HEARTH_OK && answer.size == 0) {
        status = HEARTH_E_OVERLOAD;
    }
    hearth__buffer_fini(&answer);
    if (status == HEARTH_OK) {
        atomic_store(&cache->shared.making, *id);
    }
    return status;
}

/* The piece that begins there. */
static int32_t send_piece(hearth *cache, uint64_t id, const hearth__bloom *filter,
                          uint32_t first, uint32_t count, unsigned char *words,
                          hearth__buffer *answer) {
    size_t size = hearth__bloom_say_append(id, first * HEARTH__BLOOM_BLOCK, words);
    hearth__bloom_copy_out(filter, first, count, words + size);
    int32_t status = insist(cache, HEARTH__FILTER_APPEND, words,
                            size + (size_t)count * HEARTH__BLOOM_BLOCK, answer);
    return status == HEARTH_OK && answer->size == 0 ? HEARTH_CONFLICT : status;
}

static int32_t send_all(hearth *cache, uint64_t id, const hearth__bloom *filter,
                        unsigned char *words, hearth__buffer *answer) {
    uint32_t blocks = hearth__bloom_blocks(filter);
    int32_t status = HEARTH_OK;
    for (uint32_t at = 0; at < blocks && status == HEARTH_OK;) {
        uint32_t count = hearth__shared_piece(cache, at, blocks);
        status = send_piece(cache, id, filter, at, count, words, answer);
        at += count;
    }
    if (status != HEARTH_OK) {
        return status;
    }
    size_t size = hearth__bloom_say_id(id, words);
    status = insist(cache, HEARTH__FILTER_PUBLISH, words, size, answer);
    return status == HEARTH_OK && answer->size == 0 ? HEARTH_CONFLICT : status;
}

int32_t hearth__shared_publish(hearth *cache, uint64_t id, const hearth__bloom *filter) {
    hearth__buffer answer = {0};
    size_t piece = (size_t)hearth__shared_piece(cache, 0, hearth__bloom_blocks(filter)) *
                   HEARTH__BLOOM_BLOCK;
    unsigned char *words = hearth__alloc(HEARTH__BLOOM_WORDS + piece);
    int32_t status =
        words != NULL ? send_all(cache, id, filter, words, &answer) : HEARTH_E_NOMEM;
    hearth__free(words);
    hearth__buffer_fini(&answer);
    if (status == HEARTH_OK) {
        atomic_store(&cache->shared.making, 0);
        atomic_store(&cache->shared.published, id);
    }
    return status;
}

void hearth__shared_abandon(hearth *cache, uint64_t id) {
    unsigned char words[HEARTH__BLOOM_WORDS];
    hearth__buffer answer = {0};
    size_t size = hearth__bloom_say_id(id, words);
    atomic_store(&cache->shared.making, 0);
    (void)hearth__shared_exchange(cache, HEARTH__FILTER_ABANDON, words, size, &answer);
    hearth__buffer_fini(&answer);
}

int32_t hearth__shared_begin_here(hearth *cache) {
    const _Atomic uint64_t *copying = &cache->shared.copying;
    for (;;) {
        uint32_t seen = hearth__bell_look(&cache->guard.bell);
        uint64_t before = atomic_load(copying);
        int32_t status = hearth__bloom_guard_begin(cache->guard.filter);
        bool met = before % 2 != 0 || atomic_load(copying) != before;
        if (status != HEARTH_E_OVERLOAD || !met) {
            return status;
        }
        if (atomic_load(&cache->guard.closing)) {
            return HEARTH_E_CLOSED;
        }
        (void)hearth__bell_await(&cache->guard.bell, seen,
                                 HEARTH__GUARD_LOOKED | HEARTH__GUARD_CLOSING,
                                 hearth__deadline_ns(PAUSE_MS));
    }
}

void hearth__shared_await(hearth *cache) {
    const struct hearth__guard_shared *shared = &cache->shared;
    hearth__bell *bell = &cache->guard.bell;
    int64_t deadline_ns = hearth__deadline_ns(cache->config.guard_view_ms);
    uint64_t id = atomic_load(&shared->published);
    hearth__bell_ring(bell, HEARTH__GUARD_WORK);
    for (;;) {
        uint32_t seen = hearth__bell_look(bell);
        if (atomic_load(&shared->copied) == id || atomic_load(&cache->guard.closing) ||
            hearth__monotonic_ns() >= deadline_ns) {
            return;
        }
        (void)hearth__bell_await(bell, seen, HEARTH__GUARD_LOOKED | HEARTH__GUARD_CLOSING,
                                 deadline_ns);
    }
}
