/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that keeps this process's copy of the shared filter up to date, and says until when it may deny. */
#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/thread.h"
#include "tier/cache.h"

enum {
    LOOKS = 4,           /* within guard.view_ms, at least */
    LOOK_MOST_MS = 1000, /* who makes a filter has to be heard of */
    LOOKS_AT_ONCE = 1 << 16,
};

/* ---- the thread ------------------------------------------------------------------------- */

static bool is_closing(const hearth *cache) {
    return atomic_load(&cache->guard.closing);
}

/* There is no copy. */
static void forget(hearth *cache) {
    hearth__bloom_guard_confirm(cache->guard.filter, 0);
    atomic_store(&cache->shared.copied, 0);
    cache->shared.position = 0;
}

static void retire(hearth *cache, uint64_t id, hearth__buffer *answer) {
    unsigned char words[HEARTH__BLOOM_WORDS];
    size_t size = hearth__bloom_say_id(id, words);
    (void)hearth__shared_exchange(cache, HEARTH__FILTER_RETIRE, words, size, answer);
}

/* Keys that writes could not tell: if there were too many, no filter has them all. */
static void tell(hearth *cache, hearth__buffer *answer) {
    struct hearth__guard_shared *shared = &cache->shared;
    hearth__bloom_head head;
    for (size_t i = 0; i < HEARTH__GUARD_UNTOLD; i++) {
        uint64_t hash = atomic_load(&shared->untold[i]);
        if (hash != 0 && !is_closing(cache)) {
            if (hearth__shared_add(cache, hash) != HEARTH_OK) {
                return;
            }
            atomic_store(&shared->untold[i], 0);
        }
    }
    if (atomic_load(&shared->overflowed) && hearth__shared_read_head(shared, &head) &&
        head.id != 0) {
        shared->refused = head.id;
        atomic_store(&shared->overflowed, false);
        retire(cache, head.id, answer);
    }
}

static bool read_piece(hearth *cache, uint64_t id, uint32_t first, uint32_t count,
                       hearth__buffer *answer) {
    unsigned char words[HEARTH__BLOOM_WORDS];
    size_t size = hearth__bloom_say_read(id, first * HEARTH__BLOOM_BLOCK,
                                         count * HEARTH__BLOOM_BLOCK, words);
    if (hearth__shared_exchange(cache, HEARTH__FILTER_READ, words, size, answer) != HEARTH_OK) {
        return false;
    }
    if (answer->size != (size_t)count * HEARTH__BLOOM_BLOCK) {
        retire(cache, id, answer); /* if it is the filter still, it is damaged */
        return false;
    }
    hearth__bloom_merge_in(hearth__bloom_guard_next(cache->guard.filter), first, count,
                           answer->data);
    return true;
}

static void tell_too_large(hearth *cache) {
    if (!cache->shared.told_too_large) {
        cache->shared.told_too_large = true;
        (void)hearth__guard_refuse(cache, HEARTH_E_TOO_LARGE,
                                   "the shared filter does not fit, so nothing is denied here; "
                                   "raise guard.max_bytes");
    }
}

/* Asks what there is, and what was inserted since. HEARTH_OK; HEARTH_E_PROTOCOL: what was answered makes no sense; as exchange. */
static int32_t see(hearth *cache, uint64_t copied, uint64_t known, hearth__bloom_sight *sight,
                   hearth__buffer *answer) {
    unsigned char words[HEARTH__BLOOM_WORDS];
    uint64_t making = atomic_load(&cache->shared.making);
    size_t size = hearth__bloom_say_look(making, copied, known, words);
    int32_t status = hearth__shared_exchange(cache, HEARTH__FILTER_LOOK, words, size, answer);
    if (status != HEARTH_OK) {
        return status;
    }
    bool good = hearth__bloom_sight_parse(answer->data, answer->size, known, sight);
    return good ? HEARTH_OK : HEARTH_E_PROTOCOL;
}

/*
 * What was inserted since the blocks were as they were read, which may be long ago. Before the copy is used: it takes the place of one
 * that is confirmed. False: not all of that is to be had.
 */
static bool follow(hearth *cache, uint64_t id, uint64_t *position, hearth__buffer *answer) {
    hearth__bloom *next = hearth__bloom_guard_next(cache->guard.filter);
    hearth__bloom_sight sight;
    do {
        if (is_closing(cache) || see(cache, id, *position, &sight, answer) != HEARTH_OK ||
            sight.head.id != id || sight.upto == 0) {
            return false;
        }
        for (size_t i = 0; i < sight.count; i++) {
            (void)hearth__bloom_insert(next, hearth__bloom_sight_hash(&sight, i));
        }
        *position = sight.upto;
    } while (sight.upto < sight.last);
    return true;
}

/* Copies the filter that was seen. False: not now. */
static bool copy(hearth *cache, const hearth__bloom_sight *sight, hearth__buffer *answer) {
    hearth__bloom_head head = sight->head;
    uint64_t last = sight->last; /* what was inserted up to here is in its blocks */
    int32_t status = hearth__bloom_guard_begin_empty(cache->guard.filter, head.blocks);
    if (status == HEARTH_E_TOO_LARGE) {
        tell_too_large(cache);
    }
    if (status != HEARTH_OK) {
        return false;
    }
    uint32_t at = 0;
    while (at < head.blocks && !is_closing(cache)) {
        uint32_t count = hearth__shared_piece(cache, at, head.blocks);
        if (!read_piece(cache, head.id, at, count, answer)) {
            break;
        }
        at += count;
    }
    if (at < head.blocks || !follow(cache, head.id, &last, answer)) {
        hearth__bloom_guard_abandon(cache->guard.filter);
        return false;
    }
    hearth__guard_publish(cache, 0);
    cache->shared.position = last;
    atomic_store(&cache->shared.copied, head.id);
    HEARTH__COUNT(cache->counters, guard_copies);
    return true;
}

/* Suspects, from before a look. */
struct suspects {
    uint64_t hashes[HEARTH__GUARD_SUSPECTS];
    size_t count;
};

static struct suspects take_suspects(struct hearth__guard_shared *shared) {
    struct suspects suspects = {.count = 0};
    for (size_t i = 0; i < HEARTH__GUARD_SUSPECTS; i++) {
        uint64_t hash = atomic_exchange(&shared->suspects[i], 0);
        if (hash != 0) {
            suspects.hashes[suspects.count++] = hash;
        }
    }
    return suspects;
}

/* The copy has all that was inserted before those were seen to exist: what it does not contain was never added. */
static void judge(hearth *cache, const struct suspects *suspects, hearth__buffer *answer) {
    struct hearth__guard_shared *shared = &cache->shared;
    for (size_t i = 0; i < suspects->count; i++) {
        if (hearth__bloom_guard_contains(cache->guard.filter, suspects->hashes[i])) {
            continue;
        }
        shared->refused = atomic_load(&shared->copied);
        (void)hearth__bloom_guard_disable(cache->guard.filter);
        retire(cache, shared->refused, answer);
        forget(cache);
        HEARTH__COUNT(cache->counters, guard_false_negatives);
        hearth__log_add(cache->log, HEARTH_LOG_ERROR, HEARTH_OK,
                        "guard: a key exists that the shared filter does not have, so it was "
                        "not added before it came to exist; no process denies anything until "
                        "hearth_guard_rebuild()");
        return;
    }
}

enum looked { ASK_AGAIN, FAILED, CONFIRMED };

/* What a sight of the filter that is copied says. */
static enum looked catch_up(hearth *cache, const hearth__bloom_sight *sight,
                            hearth__buffer *answer) {
    struct hearth__guard_shared *shared = &cache->shared;
    if (sight->upto == 0) {
        bool went_back = sight->last < shared->position;
        forget(cache);
        if (went_back) { /* the server has lost inserts, and so may the blocks have */
            shared->refused = sight->head.id;
            retire(cache, sight->head.id, answer);
            return FAILED;
        }
        return ASK_AGAIN;
    }
    for (size_t i = 0; i < sight->count; i++) {
        hearth__bloom_guard_insert(cache->guard.filter, hearth__bloom_sight_hash(sight, i));
    }
    shared->position = sight->upto;
    return sight->upto < sight->last ? ASK_AGAIN : CONFIRMED;
}

static enum looked look(hearth *cache, hearth__buffer *answer) {
    struct hearth__guard_shared *shared = &cache->shared;
    hearth__bloom_sight sight;
    uint64_t copied = atomic_load(&shared->copied);
    uint64_t known = copied != 0 ? shared->position : 0;
    int64_t until_ms = hearth__boot_ms() + cache->config.guard_view_ms;
    int32_t status = see(cache, copied, known, &sight, answer);
    if (status != HEARTH_OK) {
        if (status == HEARTH_E_PROTOCOL) {
            forget(cache);
        }
        return FAILED;
    }
    hearth__shared_write_head(shared, &sight.head);
    atomic_store(&shared->seen_until_ms, until_ms);
    if (sight.head.id == 0 && copied != 0) {
        shared->refused = copied; /* it is gone: if it comes back, it comes from before that */
    }
    if (sight.head.id == 0 || sight.head.id == shared->refused) {
        forget(cache);
        if (sight.head.id != 0) {
            retire(cache, sight.head.id, answer);
        }
        return FAILED;
    }
    if (sight.head.id != copied) {
        (void)atomic_fetch_add(&shared->copying, 1);
        bool has = copy(cache, &sight, answer);
        (void)atomic_fetch_add(&shared->copying, 1);
        return has ? ASK_AGAIN : FAILED;
    }
    enum looked looked = catch_up(cache, &sight, answer);
    if (looked == CONFIRMED) {
        hearth__bloom_guard_confirm(cache->guard.filter, until_ms);
    }
    return looked;
}

static void bring_up_to_date(hearth *cache, hearth__buffer *answer) {
    struct suspects suspects = take_suspects(&cache->shared);
    enum looked looked = ASK_AGAIN;
    tell(cache, answer);
    for (int i = 0; i < LOOKS_AT_ONCE && looked == ASK_AGAIN && !is_closing(cache); i++) {
        looked = look(cache, answer);
    }
    if (looked == CONFIRMED) {
        judge(cache, &suspects, answer);
    }
}

static void *run(void *arg) {
    hearth *cache = arg;
    hearth__bell *bell = &cache->guard.bell;
    hearth__buffer answer = {0};
    int64_t pause_ms = cache->config.guard_view_ms / LOOKS;
    pause_ms = pause_ms < LOOK_MOST_MS ? pause_ms : LOOK_MOST_MS;
    hearth__fork_hold();
    for (;;) {
        bring_up_to_date(cache, &answer);
        hearth__bell_ring(bell, HEARTH__GUARD_LOOKED);
        uint32_t seen = hearth__bell_look(bell);
        if (is_closing(cache)) {
            break;
        }
        bool held = hearth__fork_pause();
        (void)hearth__bell_await(bell, seen, HEARTH__GUARD_CLOSING | HEARTH__GUARD_WORK,
                                 hearth__deadline_ns(pause_ms));
        hearth__fork_resume(held);
    }
    hearth__fork_release();
    hearth__buffer_fini(&answer);
    return NULL;
}

static uint64_t this_process(void) {
    return hearth__fork_generation() + 1;
}

void hearth__shared_stop(hearth *cache) {
    struct hearth__guard_shared *shared = &cache->shared;
    if (atomic_load(&shared->started_in) == this_process()) {
        (void)pthread_join(shared->thread, NULL);
    }
}

/* Without a thread nothing is denied. The next use tries again. */
void hearth__shared_start(hearth *cache) {
    struct hearth__guard_shared *shared = &cache->shared;
    uint64_t own = this_process();
    uint64_t in = atomic_load(&shared->started_in);
    if (in == own || is_closing(cache) ||
        !atomic_compare_exchange_strong(&shared->started_in, &in, own)) {
        return;
    }
    forget(cache); /* a parent's copy is at the place where it was */
    /* Of threads that are not here. */
    (void)atomic_fetch_and(&shared->head_lock, ~UINT64_C(1));
    (void)atomic_fetch_and(&shared->copying, ~UINT64_C(1));
    atomic_store(&shared->seen_until_ms, 0);
    if (!hearth__thread_start(&shared->thread, run, cache)) {
        atomic_store(&shared->started_in, 0);
    }
}
