/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader does with an entry that a slot names, step by step. See shard.h for the order that it relies on.
 *
 * Until the slot has said at the end that the entry was not recycled, nothing read of it is to be trusted: sizes are held
 * against the ring and the buffer before they are used.
 */
#ifndef HEARTH_LOCAL_SIGHT_H
#define HEARTH_LOCAL_SIGHT_H

#include "base/racy.h"
#include "local/shard.h"

/* An entry as it was seen, and where. */
typedef struct hearth__sight {
    _Atomic uint64_t *place;
    uint64_t slot;
    const unsigned char *entry;
    uint64_t word0;
    uint64_t word1;
} hearth__sight;

/* Looks at a place of the index. False: it is free. */
static inline bool hearth__sight_begin(_Atomic uint64_t *place, hearth__sight *sight) {
    sight->place = place;
    sight->slot = atomic_load_explicit(place, memory_order_acquire);
    return sight->slot != 0;
}

/* Asks for the entry's memory: as much as a small one takes. */
static inline void hearth__sight_ask(hearth__sight *sight, const hearth__shard *shard) {
    sight->entry = hearth__slot_entry(shard, sight->slot);
    __builtin_prefetch(sight->entry);
    __builtin_prefetch(sight->entry + 64);
    __builtin_prefetch(sight->entry + 128);
}

/* Looks at the entry's first words. */
static inline void hearth__sight_look(hearth__sight *sight) {
    sight->word0 = hearth__racy_word(sight->entry);
    sight->word1 = hearth__racy_word(sight->entry + 8);
}

enum { HEARTH__SIGHT_FLAGS_MAX = 0xff };

/* The entry's flags, if its key has this size; else more than HEARTH__SIGHT_FLAGS_MAX. */
static inline uint32_t hearth__sight_flags(const hearth__sight *sight, size_t key_size) {
    return ((uint32_t)sight->word1 & 0xffffff) - ((uint32_t)key_size << 8);
}

/* Whether the entry, whose key of the same size begins at `key_at`, seems to be the key's. */
static inline bool hearth__sight_is_key(const hearth__sight *sight, const hearth__shard *shard,
                                        size_t key_at, const void *key, size_t key_size) {
    uintptr_t last = (uintptr_t)shard->end - hearth__padded(key_size) - key_at;
    return (uintptr_t)sight->entry + hearth__entry_value_size(sight->word0) <= last &&
           hearth__racy_equal(sight->entry + key_at, key, key_size);
}

/* Whether the entry seems to be the key's. */
static inline bool hearth__sight_is_of(hearth__sight *sight, const hearth__shard *shard,
                                       const void *key, size_t key_size) {
    hearth__sight_ask(sight, shard);
    hearth__sight_look(sight);
    uint32_t flags = hearth__sight_flags(sight, key_size);
    return flags <= HEARTH__SIGHT_FLAGS_MAX &&
           hearth__sight_is_key(sight, shard, hearth__entry_words(flags) * 8, key, key_size);
}

/* Where its value begins. */
static inline const unsigned char *hearth__sight_value(const hearth__sight *sight,
                                                       size_t key_size) {
    return sight->entry + hearth__entry_words(hearth__entry_flags(sight->word1)) * 8 +
           hearth__padded(key_size);
}

/* Its words for the caller; more of them are copied than it may have. */
static inline void hearth__sight_words(const hearth__sight *sight, uint32_t flags,
                                       hearth__local_raw *raw) {
    raw->word1 = sight->word1;
    if (flags >= HEARTH__ENTRY_ONE_WORD) {
        hearth__racy_copy(raw->extra, sight->entry + (size_t)HEARTH__ENTRY_WORDS * 8,
                          sizeof raw->extra);
    }
}

/*
 * Until when its source is good, for the caller, whose words are there. After these and before the last look at the slot: who says
 * that a source is good for longer has first dropped what is known to have changed.
 */
static inline void hearth__sight_source(const hearth__local *local, uint32_t flags,
                                        hearth__local_raw *raw) {
    if ((flags & HEARTH__ENTRY_ORIGIN) != 0) {
        size_t last = (flags / HEARTH__ENTRY_ONE_WORD - 1) % HEARTH__ENTRY_EXTRA_WORDS;
        uint64_t source = raw->extra[last] >> HEARTH__ENTRY_SOURCE_AT & local->source_mask;
        raw->until_ms = local->until_ms[source]; /* atomic, and by acquire */
    }
}

/* Whether the entry, whose words are there, has tags. */
static inline bool hearth__raw_is_tagged(const hearth__local_raw *raw, uint32_t flags) {
    size_t last = (flags / HEARTH__ENTRY_ONE_WORD - 1) % HEARTH__ENTRY_EXTRA_WORDS;
    return (flags & HEARTH__ENTRY_ORIGIN) != 0 &&
           (raw->extra[last] & HEARTH__ENTRY_TAGGED) != 0;
}

/*
 * Until when the tags before a value are good, for the caller; how many bytes they take there. More than `size`: the entry is changing.
 * The epoch is looked at last: whoever has it go on has told of the invalidation first.
 */
static inline size_t hearth__sight_tags(const hearth__local *local, const unsigned char *value,
                                        size_t size, hearth__local_raw *raw) {
    if (size < (size_t)HEARTH__TAGS_WORDS * 8) {
        return size + 1;
    }
    uint64_t epoch = hearth__racy_word(value);
    raw->tags_ms = (int64_t)hearth__racy_word(value + (size_t)HEARTH__TAGS_WORD_ASKED * 8);
    raw->stamp = hearth__racy_word(value + (size_t)HEARTH__TAGS_WORD_STAMP * 8);
    raw->tags_size = hearth__racy_word(value + (size_t)HEARTH__TAGS_WORD_SIZE * 8);
    bool lasts = epoch == atomic_load_explicit(local->tags_epoch, memory_order_acquire);
    /* Without a sign: of an entry that is changing it may be any number. */
    raw->tags_until_ms =
        lasts ? (int64_t)((uint64_t)raw->tags_ms + (uint64_t)local->tags_trust_ms) : INT64_MIN;
    return raw->tags_size <= size ? hearth__entry_tags_bytes(raw->tags_size) : size + 1;
}

/* Whether the slot still names the same entry, whatever its mark: then what was read before is the entry's. */
static inline bool hearth__sight_lasts(const hearth__sight *sight) {
    hearth__racy_fence_acquire();
    uint64_t now = atomic_load_explicit(sight->place, memory_order_acquire);
    return now == sight->slot || ((now ^ sight->slot) & ~HEARTH__SLOT_MARK_MASK) == 0;
}

/*
 * Whether all that was read of the entry is what it was at one moment. The slot last: word 0 is the entry's own only while
 * the slot is, and that of recycled memory may be just as it was.
 */
static inline bool hearth__sight_is_whole(const hearth__sight *sight) {
    hearth__racy_fence_acquire();
    return (sight->word0 >> 32 & 1) == 0 && hearth__racy_word(sight->entry) == sight->word0 &&
           hearth__sight_lasts(sight);
}

/* Whether the policy is to be told. */
static inline bool hearth__sight_marks(const hearth__sight *sight, const hearth__shard *shard) {
    return (sight->slot & HEARTH__SLOT_MARK_MASK) < shard->mark_max;
}

/* Tells the policy. A failure means that the slot has changed, or that another reader was faster. */
static inline void hearth__sight_mark(const hearth__sight *sight) {
    uint64_t slot = sight->slot;
    (void)atomic_compare_exchange_strong_explicit(sight->place, &slot,
                                                  slot + HEARTH__SLOT_MARK_ONE,
                                                  memory_order_relaxed, memory_order_relaxed);
}

/* Whether what was read of an entry is right; tells the policy. */
static inline bool hearth__sight_leave(const hearth__sight *sight, bool marks) {
    if (!hearth__sight_is_whole(sight)) {
        return false;
    }
    if (marks) {
        hearth__sight_mark(sight);
    }
    return true;
}

#endif
