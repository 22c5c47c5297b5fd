/* SPDX-License-Identifier: Apache-2.0 */
/* The hit path: no lock, no allocation but the caller's buffer, no store but the slot's mark. See shard.h for the order. */
#include "base/hash_key.h"
#include "base/racy.h"
#include "base/stat.h"
#include "local/shard.h"

#include <hearth/errors.h>

#if !defined(HEARTH__RACY_WORDS)
#include <emmintrin.h>
#endif

enum { TRIES = 3 }; /* without the lock */

/* What one look came to. */
enum look { FOUND, NOT_FOUND, CHANGED, NO_MEMORY };

static uint64_t load_slot(const _Atomic uint64_t *slot) {
    return atomic_load_explicit(slot, memory_order_acquire);
}

/*
 * Which of a bucket's slots have the tag, a bit for each. Each slot's 8 bytes are read whole, as aligned words always are;
 * the slots are not read at one moment, nor do they have to be.
 */
static unsigned slots_with_tag(const _Atomic uint64_t *slots, uint64_t tag) {
    unsigned same = 0;
#if defined(HEARTH__RACY_WORDS)
    for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i++) {
        same |= (unsigned)(load_slot(&slots[i]) >> HEARTH__SLOT_TAG_AT == tag) << i;
    }
#else
    uint64_t tag_in_place = tag << HEARTH__SLOT_TAG_AT;
    __m128i wanted = _mm_set1_epi64x((long long)tag_in_place);
    for (unsigned i = 0; i < HEARTH__BUCKET_SLOTS; i += 2) {
        __m128i pair;
        __asm__ volatile("movdqa (%1), %0" : "=x"(pair) : "r"(&slots[i]) : "memory");
        /* Of each slot's four comparisons only that of its top 16 bits counts: its sign is the slot's. */
        __m128i equal = _mm_cmpeq_epi16(pair, wanted);
        same |= (unsigned)_mm_movemask_pd(_mm_castsi128_pd(equal)) << i;
    }
#endif
    return same;
}

/* Whether the slot still names the same entry, whatever its mark: then what was read before is the entry's. */
static bool still(const _Atomic uint64_t *place, uint64_t slot) {
    hearth__racy_fence_acquire();
    uint64_t now = atomic_load_explicit(place, memory_order_acquire);
    return ((now ^ slot) & ~HEARTH__SLOT_MARK_MASK) == 0;
}

/* Tells the policy. A failure means that the slot has changed, or that another reader was faster. */
static void raise_mark(const hearth__shard *shard, _Atomic uint64_t *place, uint64_t slot) {
    if (hearth__slot_mark(slot) < shard->mark_max) {
        (void)atomic_compare_exchange_strong_explicit(
            place, &slot, slot + HEARTH__SLOT_MARK_ONE, memory_order_relaxed,
            memory_order_relaxed);
    }
}

/* What is looked for, and where the answer goes. */
struct question {
    const void *key;
    size_t key_size;
    uint64_t hash;
    hearth__buffer *bytes;
    hearth__local_raw *raw;
};

/* Reads the entry that a slot names, if it is the key's. */
static inline enum look read_entry(const hearth__shard *shard, const _Atomic uint64_t *place,
                                   uint64_t slot, const struct question *question) {
    const hearth__ring_space *space = &shard->spaces[hearth__slot_log(slot)];
    hearth__buffer *bytes = question->bytes;
    uint64_t *words = question->raw->words;
    uint64_t offset = hearth__slot_offset(space, slot);
    const unsigned char *entry = space->base + offset;
    __builtin_prefetch(entry + 64);
    words[0] = hearth__racy_word(entry);
    words[1] = hearth__racy_word(entry + 8);
    size_t value_size = hearth__entry_value_size(words[0]);
    size_t key_at = hearth__entry_words(hearth__entry_flags(words[1])) * 8;
    size_t value_at = key_at + hearth__padded(question->key_size);
    /* Nothing above is to be trusted before the slot says so; only what cannot fault was done with it. */
    if (hearth__entry_key_size(words[1]) != question->key_size ||
        offset + value_at + value_size > space->bytes ||
        !hearth__racy_equal(entry + key_at, question->key, question->key_size)) {
        return still(place, slot) ? NOT_FOUND : CHANGED;
    }
    if ((words[0] >> 32 & 1) != 0 || !still(place, slot)) {
        return CHANGED;
    }
    if (bytes->capacity < value_size && !hearth__buffer_reserve(bytes, value_size)) {
        return NO_MEMORY;
    }
    for (size_t i = 2; i * 8 < key_at; i++) {
        words[i] = hearth__racy_word(entry + i * 8);
    }
    hearth__racy_copy(bytes->data, entry + value_at, value_size);
    bytes->size = value_size;
    return still(place, slot) && hearth__racy_word(entry) == words[0] ? FOUND : CHANGED;
}

static inline enum look look_in_bucket(const hearth__shard *shard, size_t bucket,
                                       const struct question *question) {
    _Atomic uint64_t *slots = &shard->slots[bucket];
    for (unsigned same = slots_with_tag(slots, question->hash & 0xffff); same != 0;
         same &= same - 1) {
        _Atomic uint64_t *place = &slots[__builtin_ctz(same)];
        uint64_t slot = load_slot(place);
        if (slot == 0) {
            continue; /* a tag of 0 is that of a free slot too; or it has just become free */
        }
        enum look look = read_entry(shard, place, slot, question);
        if (look == FOUND) {
            raise_mark(shard, place, slot);
        }
        if (look != NOT_FOUND) {
            return look;
        }
    }
    return NOT_FOUND;
}

static enum look look_in_second(const hearth__shard *shard, const struct question *question) {
    return look_in_bucket(shard, hearth__second_bucket(shard, question->hash), question);
}

static inline enum look look_once(const hearth__shard *shard, const struct question *question) {
    enum look look =
        look_in_bucket(shard, hearth__first_bucket(shard, question->hash), question);
    return look == NOT_FOUND ? look_in_second(shard, question) : look;
}

/* After the first look found the entry changing. */
static enum look look_again(hearth__shard *shard, const struct question *question) {
    enum look look = CHANGED;
    for (int i = 1; i < TRIES && look == CHANGED; i++) {
        look = look_once(shard, question);
    }
    if (look == CHANGED) {
        pthread_mutex_lock(&shard->lock); /* nothing changes under it */
        look = look_once(shard, question);
        pthread_mutex_unlock(&shard->lock);
    }
    return look;
}

static inline enum look look(hearth__local *local, const void *key, size_t key_size,
                             hearth__buffer *bytes, hearth__local_raw *raw) {
    struct question question = {.key = key,
                                .key_size = key_size,
                                .hash = hearth__hash_key_inline(&local->secret, key, key_size),
                                .bytes = bytes,
                                .raw = raw};
    hearth__shard *shard = hearth__local_shard(local, question.hash);
    raw->opened_ms = local->opened_ms;
    enum look look = look_once(shard, &question);
    return look == CHANGED ? look_again(shard, &question) : look;
}

/* ---- the room's reads ------------------------------------------------------------------- */

/* Whether it is a value, not marked stale, within both its lives until then and beyond. */
static inline bool is_fresh(const hearth__local_raw *raw, int64_t until_ms) {
    uint32_t flags = hearth__entry_flags(raw->words[1]);
    uint64_t until = (uint64_t)(until_ms - raw->opened_ms);
    if (hearth__entry_hard(raw->words[1]) <= until ||
        (flags & (HEARTH__ENTRY_ABSENT | HEARTH__ENTRY_STALE)) != 0) {
        return false;
    }
    size_t soft_at = HEARTH__ENTRY_WORDS + ((flags & HEARTH__ENTRY_VERSION) != 0);
    return (flags & HEARTH__ENTRY_SOFT) == 0 || raw->words[soft_at] >> 24 > until;
}

int32_t hearth__local_hit(hearth__local *local, const void *key, size_t key_size,
                          int64_t now_ms, int64_t margin_ms, hearth__buffer *bytes,
                          hearth__local_raw *raw) {
    if (hearth__local_is_off(local) || look(local, key, key_size, bytes, raw) != FOUND) {
        return HEARTH_MISS;
    }
    return is_fresh(raw, now_ms + margin_ms) ? HEARTH_OK : HEARTH_MISS;
}

int32_t hearth__local_get(hearth__local *local, const void *key, size_t key_size,
                          int64_t now_ms, hearth__buffer *bytes, hearth__local_entry *entry) {
    hearth__local_raw raw = {0};
    enum look found =
        hearth__local_is_off(local) ? NOT_FOUND : look(local, key, key_size, bytes, &raw);
    if (found != FOUND) {
        return found == NO_MEMORY ? HEARTH_E_NOMEM : HEARTH_MISS;
    }
    hearth__local_decode(&raw, entry);
    if (now_ms >= entry->hard_expiry_ms) {
        HEARTH__COUNT(local->counters, local_expirations);
        return HEARTH_MISS;
    }
    return HEARTH_OK;
}

/* ---- an entry's words ------------------------------------------------------------------- */

static int64_t point_of(uint64_t relative, int64_t opened_ms) {
    return relative == HEARTH__ENTRY_NEVER ? HEARTH__LOCAL_FOREVER
                                           : opened_ms + (int64_t)relative;
}

void hearth__local_decode(const hearth__local_raw *raw, hearth__local_entry *entry) {
    uint32_t flags = hearth__entry_flags(raw->words[1]);
    const uint64_t *extra = &raw->words[HEARTH__ENTRY_WORDS];
    *entry = (hearth__local_entry){
        .absent = (flags & HEARTH__ENTRY_ABSENT) != 0,
        .stale = (flags & HEARTH__ENTRY_STALE) != 0,
        .bare = (flags & HEARTH__ENTRY_ORIGIN) == 0,
        .soft_expiry_ms = HEARTH__LOCAL_FOREVER,
        .hard_expiry_ms = point_of(hearth__entry_hard(raw->words[1]), raw->opened_ms),
    };
    if ((flags & HEARTH__ENTRY_VERSION) != 0) {
        entry->version = *extra++;
    }
    if ((flags & HEARTH__ENTRY_SOFT) != 0) {
        entry->soft_expiry_ms = point_of(*extra >> 24, raw->opened_ms);
        entry->delta_ms = (uint32_t)(*extra++ & 0xffffff);
    }
    if (!entry->bare) {
        entry->read_ms = raw->opened_ms + ((int64_t)extra[0] >> 24);
        entry->born_ms = raw->opened_ms + ((int64_t)extra[1] >> 24);
        entry->content = (uint32_t)(extra[0] & 0xffffff) | (uint32_t)(extra[1] & 0xff) << 24;
    }
}
