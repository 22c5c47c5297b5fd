/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short way of a read: a fresh value in the first place that its tag points to, as nearly all hits are. Whatever is not so
 * goes the way of all others, shard_read.c.
 *
 * It has few instructions and no call but at its end: then the processor is at the next reads while this one waits for
 * memory.
 */
#include "base/clock.h"
#include "base/hash_key.h"
#include "base/stat.h"
#include "local/shard.h"
#include "local/sight.h"
#include "local/tags.h"

#include <hearth/errors.h>

/* A longer key is hashed by a loop, and is not worth the short way. */
enum { KEY_SHORT = 128 };

/* Whether it is a value, not marked stale, within both its lives until then and beyond. */
static inline int32_t fresh(const hearth__local_raw *raw, int64_t until_ms) {
    uint64_t word1 = raw->words[1];
    uint64_t until = (uint64_t)(until_ms - raw->opened_ms);
    if (hearth__entry_hard(word1) <= until ||
        (word1 & (HEARTH__ENTRY_ABSENT | HEARTH__ENTRY_STALE)) != 0) {
        return HEARTH_MISS;
    }
    bool is_soft = (word1 & HEARTH__ENTRY_SOFT) != 0;
    return is_soft && raw->words[HEARTH__ENTRY_WORDS] >> 24 <= until ? HEARTH_MISS : HEARTH_OK;
}

static __attribute__((noinline)) int32_t hit_anywhere(hearth__local *local, const void *key,
                                                      size_t key_size, int64_t until_ms,
                                                      hearth__buffer *bytes,
                                                      hearth__local_raw *raw) {
    int32_t found = hearth__shard_look(local, key, key_size, bytes, raw);
    return found == HEARTH_OK ? fresh(raw, until_ms) : HEARTH_MISS;
}

static __attribute__((noinline)) void copy_long(const hearth__sight *sight, size_t key_size,
                                                hearth__buffer *bytes) {
    hearth__racy_copy(bytes->data, hearth__sight_value(sight, key_size), bytes->size);
}

static inline _Atomic uint64_t *bucket_of(const hearth__shard *shard, uint64_t hash) {
    return &shard->slots[hearth__first_bucket(shard, hash)];
}

/* The place that the tag points to, as it is now. False: none. */
static inline bool sight_begin(_Atomic uint64_t *bucket, uint64_t tag, hearth__sight *sight) {
    unsigned equal = hearth__tags_equal(bucket, tag);
    return equal != 0 && hearth__sight_begin(&bucket[hearth__tags_first(equal)], sight);
}

/* Takes the entry's value and words. False: it is not the key's, or changing, or longer than the buffer. */
static inline __attribute__((always_inline)) bool
take(hearth__sight *sight, const hearth__shard *shard, const void *key, size_t key_size,
     hearth__buffer *bytes, hearth__local_raw *raw) {
    if (!hearth__sight_is_of(sight, shard, key, key_size)) {
        return false;
    }
    size_t value_size = hearth__entry_value_size(sight->word0);
    if (value_size > bytes->capacity) {
        return false;
    }
    hearth__sight_words(sight, raw);
    bytes->size = value_size;
    if (value_size <= HEARTH__RACY_INLINE_MAX) {
        hearth__racy_copy_inline(bytes->data, hearth__sight_value(sight, key_size), value_size);
    } else {
        hearth__sight copy = *sight; /* what has its address taken is kept in memory */
        copy_long(&copy, key_size, bytes);
    }
    if (!hearth__sight_is_whole(sight)) {
        return false;
    }
    hearth__sight_mark(sight, shard);
    return true;
}

/* ---- one -------------------------------------------------------------------------------- */

__attribute__((flatten)) int32_t hearth__local_hit(hearth__local *local, const void *key,
                                                   size_t key_size, hearth__buffer *bytes,
                                                   hearth__local_raw *raw,
                                                   hearth__local_otherwise *otherwise) {
    hearth__seat *seat = NULL;
    if (key_size > KEY_SHORT || hearth__local_is_off(local) ||
        (seat = hearth__seats_enter(local->counters)) == NULL) {
        return otherwise(local->owner, key, key_size, bytes);
    }
    uint64_t hash = hearth__hash_key_inline(&local->secret, key, key_size);
    const hearth__shard *shard = hearth__local_shard(local, hash);
    _Atomic uint64_t *bucket = bucket_of(shard, hash);
    __builtin_prefetch(bucket);
    raw->opened_ms = local->opened_ms;
    /* The clock is read while memory is on its way. */
    int64_t until_ms = hearth__boot_coarse_ms() + HEARTH__COARSE_LAG_MS;
    hearth__sight sight;
    bool taken = sight_begin(bucket, hash << HEARTH__SLOT_TAG_AT, &sight) &&
                 take(&sight, shard, key, key_size, bytes, raw);
    int32_t status =
        taken ? fresh(raw, until_ms) : hit_anywhere(local, key, key_size, until_ms, bytes, raw);
    if (status != HEARTH_OK) {
        hearth__seat_leave(seat);
        return otherwise(local->owner, key, key_size, bytes);
    }
    hearth__seat_add(seat, HEARTH__STAT_local_hits, 1);
    hearth__seat_leave(seat);
    return HEARTH_OK;
}

__attribute__((flatten)) int32_t hearth__local_peek(hearth__local *local, const void *key,
                                                    size_t key_size, hearth__buffer *bytes,
                                                    hearth__local_raw *raw) {
    if (key_size > KEY_SHORT || hearth__local_is_off(local)) {
        return hearth__shard_peek(local, key, key_size, bytes, raw);
    }
    uint64_t hash = hearth__hash_key_inline(&local->secret, key, key_size);
    const hearth__shard *shard = hearth__local_shard(local, hash);
    hearth__sight sight;
    raw->opened_ms = local->opened_ms;
    bool taken = sight_begin(bucket_of(shard, hash), hash << HEARTH__SLOT_TAG_AT, &sight) &&
                 take(&sight, shard, key, key_size, bytes, raw);
    return taken ? HEARTH_OK : hearth__shard_peek(local, key, key_size, bytes, raw);
}

bool hearth__local_is_fresh(const hearth__local_raw *raw, int64_t until_ms) {
    return fresh(raw, until_ms) == HEARTH_OK;
}

/* ---- many ------------------------------------------------------------------------------- */

/* The lines of an entry that are asked for ahead: what a small value takes. */
enum { AHEAD_BYTES = 192 };

static void prefetch_entry(const hearth__shard *shard, uint64_t slot) {
    const hearth__ring_space *space = &shard->spaces[hearth__slot_log(slot)];
    const unsigned char *entry = space->base + hearth__slot_offset(space, slot);
    for (size_t at = 0; at < AHEAD_BYTES; at += 64) {
        __builtin_prefetch(entry + at);
    }
}

/* Three rounds, each of which asks for the memory that the next one needs. */
__attribute__((flatten)) void hearth__local_hit_many(hearth__local *local,
                                                     const hearth__local_ask *asks,
                                                     size_t count, int32_t *statuses) {
    const hearth__shard *shards[HEARTH__LOCAL_ASKS];
    uint64_t hashes[HEARTH__LOCAL_ASKS];
    hearth__sight sights[HEARTH__LOCAL_ASKS];
    if (hearth__local_is_off(local)) {
        for (size_t i = 0; i < count; i++) {
            statuses[i] = HEARTH_MISS;
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        hashes[i] = asks[i].key_size <= KEY_SHORT
                        ? hearth__hash_key_inline(&local->secret, asks[i].key, asks[i].key_size)
                        : hearth__hash_key(&local->secret, asks[i].key, asks[i].key_size);
        shards[i] = hearth__local_shard(local, hashes[i]);
        __builtin_prefetch(bucket_of(shards[i], hashes[i]));
    }
    for (size_t i = 0; i < count; i++) {
        if (sight_begin(bucket_of(shards[i], hashes[i]), hashes[i] << HEARTH__SLOT_TAG_AT,
                        &sights[i])) {
            prefetch_entry(shards[i], sights[i].slot);
        } else {
            sights[i].slot = 0;
        }
    }
    int64_t until_ms = hearth__boot_coarse_ms() + HEARTH__COARSE_LAG_MS;
    uint64_t hits = 0;
    for (size_t i = 0; i < count; i++) {
        const hearth__local_ask *ask = &asks[i];
        ask->raw->opened_ms = local->opened_ms;
        bool taken = sights[i].slot != 0 &&
                     take(&sights[i], shards[i], ask->key, ask->key_size, ask->bytes, ask->raw);
        statuses[i] = taken ? fresh(ask->raw, until_ms)
                            : hit_anywhere(local, ask->key, ask->key_size, until_ms, ask->bytes,
                                           ask->raw);
        hits += statuses[i] == HEARTH_OK;
    }
    hearth__seats_add(local->counters, HEARTH__STAT_local_hits, hits);
}
