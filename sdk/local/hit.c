/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short way of a read: a fresh value in the first place that its tag points to, as nearly all hits are. Whatever is not so
 * goes the way of all others, shard_read.c.
 *
 * It has few instructions, and what does not depend on memory stands where memory is awaited: then the processor is at the
 * next reads while this one waits.
 */
#include "base/clock.h"
#include "base/hash_key.h"
#include "base/stat.h"
#include "local/hot_keys.h"
#include "local/shard.h"
#include "local/sight.h"
#include "local/tags.h"

#include <hearth/errors.h>

/* A longer key is hashed by a loop, and is not worth the short way. */
enum { KEY_SHORT = 128 };

/* Whether an entry is a value, not marked stale, within both its lives at `until` (in entries' time) and beyond, its source and its
 * tags good. */
static inline bool fresh(uint64_t word1, uint32_t flags, const hearth__local_raw *raw,
                         uint64_t until) {
    return hearth__entry_hard(word1) > until &&
           (flags & (HEARTH__ENTRY_ABSENT | HEARTH__ENTRY_STALE)) == 0 &&
           ((flags & HEARTH__ENTRY_SOFT) == 0 || *raw->extra >> 24 > until) &&
           ((flags & HEARTH__ENTRY_ORIGIN) == 0 ||
            (raw->until_ms - raw->opened_ms > (int64_t)until &&
             (!hearth__raw_is_tagged(raw, flags) ||
              raw->tags_until_ms > (int64_t)until + raw->opened_ms)));
}

static bool raw_is_fresh(const hearth__local_raw *raw, uint64_t until) {
    return fresh(raw->word1, hearth__entry_flags(raw->word1), raw, until);
}

/* What is fresh until then is so by the exact clock too. */
static inline uint64_t until_now(const hearth__local *local) {
    return (uint64_t)(hearth__boot_coarse_ms() + HEARTH__COARSE_LAG_MS - local->opened_ms);
}

static __attribute__((noinline)) void copy_long(const unsigned char *value,
                                                hearth__buffer *bytes) {
    hearth__racy_copy(bytes->data, value, bytes->size);
}

static inline _Atomic uint64_t *bucket_of(const hearth__shard *shard, uint64_t hash) {
    return &shard->slots[hearth__first_bucket(shard, hash)];
}

/* The place that the tag points to, as it is now. False: none. */
static inline bool sight_begin(_Atomic uint64_t *bucket, uint64_t tag, hearth__sight *sight) {
    unsigned equal = hearth__tags_equal(bucket, tag);
    return equal != 0 && hearth__sight_begin(&bucket[hearth__tags_first(equal)], sight);
}

/* Copies a value, whose size is in `bytes`. */
static inline void copy(const unsigned char *value, hearth__buffer *bytes) {
    if (bytes->size <= HEARTH__RACY_INLINE_MAX) {
        hearth__racy_copy_inline(bytes->data, value, bytes->size);
    } else if (!hearth__racy_copied_at_once(bytes->data, value, bytes->size)) {
        copy_long(value, bytes);
    }
}

/*
 * An entry without flags is worth code of its own: no place in it depends on what comes from memory, and most of what there is to be
 * compared with is known before that comes.
 */
struct expected {
    uint64_t low;  /* the low 24 bits of its word 1 */
    uint64_t over; /* all of it is to be more than this, or it is not fresh */
    const unsigned char *value;
    int64_t room; /* from the value to the end of all entries */
    bool marks;
};

static inline struct expected expect_plain(const hearth__sight *sight,
                                           const hearth__shard *shard, size_t key_size,
                                           uint64_t until) {
    const unsigned char *value =
        sight->entry + (size_t)HEARTH__ENTRY_WORDS * 8 + hearth__padded(key_size);
    return (struct expected){.low = (uint64_t)key_size << 8,
                             .over = until << 24 | 0xffffff,
                             .value = value,
                             .room = (int64_t)((uintptr_t)shard->end - (uintptr_t)value),
                             .marks = hearth__sight_marks(sight, shard)};
}

static inline bool is_plain(const hearth__sight *sight, const struct expected *expected) {
    return (sight->word1 & 0xffffff) == expected->low;
}

/* Takes the value and the words of one. False: it is not the key's, or changing, or not fresh, or longer than the buffer. */
static inline __attribute__((always_inline)) bool
take_plain(const hearth__sight *sight, const struct expected *expected, const void *key,
           size_t key_size, hearth__buffer *bytes, hearth__local_raw *raw) {
    size_t size = hearth__entry_value_size(sight->word0);
    if ((int64_t)size > expected->room ||
        !hearth__racy_equal(sight->entry + (size_t)HEARTH__ENTRY_WORDS * 8, key, key_size) ||
        size > bytes->capacity) {
        return false;
    }
    raw->word1 = sight->word1;
    bytes->size = size;
    copy(expected->value, bytes);
    return hearth__sight_leave(sight, expected->marks) && sight->word1 > expected->over;
}

/* The same of one with flags, fresh or not. */
static inline __attribute__((always_inline)) bool
take(const hearth__local *local, const hearth__sight *sight, const hearth__shard *shard,
     uint32_t flags, const void *key, size_t key_size, hearth__buffer *bytes,
     hearth__local_raw *raw) {
    size_t key_at = hearth__entry_words(flags) * 8;
    if (!hearth__sight_is_key(sight, shard, key_at, key, key_size)) {
        return false;
    }
    size_t value_size = hearth__entry_value_size(sight->word0);
    const unsigned char *value = sight->entry + key_at + hearth__padded(key_size);
    hearth__sight_words(sight, flags, raw);
    hearth__sight_source(local, flags, raw);
    if (hearth__raw_is_tagged(raw, flags)) {
        size_t tags = hearth__sight_tags(local, value, value_size, raw);
        if (tags > value_size) {
            return false;
        }
        value += tags;
        value_size -= tags;
    }
    if (value_size > bytes->capacity) {
        return false;
    }
    bytes->size = value_size;
    copy(value, bytes);
    return hearth__sight_leave(sight, hearth__sight_marks(sight, shard));
}

/* The same of any, which was asked for. */
static inline __attribute__((always_inline)) bool
take_any(const hearth__local *local, hearth__sight *sight, const hearth__shard *shard,
         const void *key, size_t key_size, hearth__buffer *bytes, hearth__local_raw *raw) {
    hearth__sight_look(sight);
    uint32_t flags = hearth__sight_flags(sight, key_size);
    if (flags == 0) {
        return take(local, sight, shard, 0, key, key_size, bytes, raw);
    }
    return flags <= HEARTH__SIGHT_FLAGS_MAX &&
           take(local, sight, shard, flags, key, key_size, bytes, raw);
}

/* ---- one -------------------------------------------------------------------------------- */

/* Counts a hit that may be due to be looked at. */
static __attribute__((noinline)) void count_due_and_leave(hearth__local *local,
                                                          hearth__seat *seat, const void *key,
                                                          size_t key_size) {
    if (hearth__hot_is_due(seat, hearth__seat_add(seat, HEARTH__STAT_local_hits, 1))) {
        hearth__hot_sample(local, seat, key, key_size);
    }
    hearth__seat_leave(seat);
}

/* Looks into the second bucket, where a fifth is of what came when the tier was full. */
static bool hit_in_second(const hearth__local *local, const void *key, size_t key_size,
                          hearth__buffer *bytes, hearth__local_raw *raw, uint64_t until) {
    /* Once more: to keep it would cost those who do not come here. */
    uint64_t hash = hearth__hash_key_inline(&local->secret, key, key_size);
    const hearth__shard *shard = hearth__local_shard(local, hash);
    hearth__sight sight;
    if (!sight_begin(&shard->slots[hearth__second_bucket(shard, hash)],
                     hash << HEARTH__SLOT_TAG_AT, &sight)) {
        return false;
    }
    hearth__sight_ask(&sight, shard);
    raw->opened_ms = local->opened_ms;
    return take_any(local, &sight, shard, key, key_size, bytes, raw) &&
           raw_is_fresh(raw, until);
}

/* Whatever has no short way. The caller is inside, and leaves. */
static __attribute__((noinline, flatten)) int32_t go_on(hearth__local *local, const void *key,
                                                        size_t key_size, hearth__buffer *bytes,
                                                        hearth__local_raw *raw,
                                                        hearth__local_otherwise *otherwise) {
    hearth__seat *seat = hearth__seats_own(local->counters);
    uint64_t until = until_now(local);
    if (hit_in_second(local, key, key_size, bytes, raw, until) ||
        (hearth__shard_look(local, key, key_size, bytes, raw) == HEARTH_OK &&
         raw_is_fresh(raw, until))) {
        count_due_and_leave(local, seat, key, key_size);
        return HEARTH_OK;
    }
    hearth__seat_leave(seat);
    return otherwise(local->owner, key, key_size, bytes);
}

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
    hearth__sight sight;
    bool hit = false;
    if (sight_begin(bucket_of(shard, hash), hash << HEARTH__SLOT_TAG_AT, &sight)) {
        hearth__sight_ask(&sight, shard);
        /* The clock is read while the entry is on its way: that is a third of a hit's instructions, and those behind a load
         * that waits are few before the processor has room for no more. */
        uint64_t until = until_now(local);
        struct expected expected = expect_plain(&sight, shard, key_size, until);
        raw->opened_ms = local->opened_ms;
        hearth__sight_look(&sight);
        if (is_plain(&sight, &expected)) {
            hit = take_plain(&sight, &expected, key, key_size, bytes, raw);
        } else {
            uint32_t flags = hearth__sight_flags(&sight, key_size);
            hit = flags <= HEARTH__SIGHT_FLAGS_MAX &&
                  take(local, &sight, shard, flags, key, key_size, bytes, raw) &&
                  fresh(sight.word1, flags, raw, until);
        }
    }
    if (!hit) {
        return go_on(local, key, key_size, bytes, raw, otherwise);
    }
    uint64_t hits;
    if (hearth__seat_next(seat, HEARTH__STAT_local_hits, &hits)) {
        hearth__seat_count_and_leave(seat, HEARTH__STAT_local_hits, hits);
    } else {
        count_due_and_leave(local, seat, key, key_size);
    }
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
    bool taken = false;
    if (sight_begin(bucket_of(shard, hash), hash << HEARTH__SLOT_TAG_AT, &sight)) {
        hearth__sight_ask(&sight, shard);
        taken = take_any(local, &sight, shard, key, key_size, bytes, raw);
    }
    return taken ? HEARTH_OK : hearth__shard_peek(local, key, key_size, bytes, raw);
}

bool hearth__local_is_fresh(const hearth__local_raw *raw, int64_t until_ms) {
    return raw_is_fresh(raw, (uint64_t)(until_ms - raw->opened_ms));
}

/* ---- many ------------------------------------------------------------------------------- */

/* Looks at those of a seat's hits that are due, of which these are the last. */
static void count_many(hearth__local *local, uint64_t hits, const hearth__local_ask *asks,
                       const int32_t *statuses, size_t count) {
    hearth__seat *seat = hearth__seats_own(local->counters);
    uint64_t all = hearth__seat_add(seat, HEARTH__STAT_local_hits, hits);
    if (!hearth__hot_is_due(seat, all)) {
        return;
    }
    all -= hits;
    for (size_t i = 0; i < count; i++) {
        if (statuses[i] == HEARTH_OK && hearth__hot_is_due(seat, ++all)) {
            hearth__hot_sample(local, seat, asks[i].key, asks[i].key_size);
        }
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
            hearth__sight_ask(&sights[i], shards[i]);
        } else {
            sights[i].slot = 0;
        }
    }
    uint64_t until = until_now(local);
    uint64_t hits = 0;
    for (size_t i = 0; i < count; i++) {
        const hearth__local_ask *ask = &asks[i];
        ask->raw->opened_ms = local->opened_ms;
        bool taken = sights[i].slot != 0 && take_any(local, &sights[i], shards[i], ask->key,
                                                     ask->key_size, ask->bytes, ask->raw);
        bool found = taken || hearth__shard_look(local, ask->key, ask->key_size, ask->bytes,
                                                 ask->raw) == HEARTH_OK;
        statuses[i] = found && raw_is_fresh(ask->raw, until) ? HEARTH_OK : HEARTH_MISS;
        hits += statuses[i] == HEARTH_OK;
    }
    count_many(local, hits, asks, statuses, count);
}
