/* SPDX-License-Identifier: Apache-2.0 */
/* A shard's writers, between the files that make them up: shard_write.c stores and removes, shard_room.c makes room. All under the
 * shard's lock; see shard.h for the order that readers rely on. */
#ifndef HEARTH_LOCAL_SHARD_INNER_H
#define HEARTH_LOCAL_SHARD_INNER_H

#include "local/shard.h"
#include "local/tags.h"

#include <string.h>

/* ---- slots and entries ---- */

static inline uint64_t hearth__slot_word(uint64_t tag, enum hearth__log_id log, unsigned mark,
                                         uint64_t position) {
    return tag | (uint64_t)mark << HEARTH__SLOT_MARK_AT | (uint64_t)log << HEARTH__SLOT_LOG_AT |
           position;
}

/* Readers raise marks meanwhile, so a slot's word is taken anew each time it is looked at. */
static inline uint64_t hearth__slot_load(const _Atomic uint64_t *place) {
    return atomic_load_explicit(place, memory_order_relaxed);
}

static inline void hearth__slot_publish(_Atomic uint64_t *place, uint64_t slot) {
    atomic_store_explicit(place, slot, memory_order_release);
}

static inline uint64_t hearth__entry_word_at(const unsigned char *entry, size_t index) {
    uint64_t word = 0;
    memcpy(&word, entry + index * 8, sizeof word);
    return word;
}

static inline uint64_t hearth__entry_size(const unsigned char *entry) {
    uint64_t word1 = hearth__entry_word_at(entry, 1);
    return hearth__entry_bytes(hearth__entry_flags(word1), hearth__entry_key_size(word1),
                               hearth__entry_value_size(hearth__entry_word_at(entry, 0)));
}

static inline const unsigned char *hearth__entry_key(const unsigned char *entry) {
    return entry +
           hearth__entry_words(hearth__entry_flags(hearth__entry_word_at(entry, 1))) * 8;
}

/* The slot that names the entry at a position; NULL: none does, the entry is dead. */
static inline _Atomic uint64_t *hearth__slot_find(const hearth__shard *shard,
                                                  const hearth__probe *probe,
                                                  enum hearth__log_id log, uint64_t position) {
    uint64_t wanted = hearth__slot_word(probe->tag, log, 0, position);
    for (size_t i = 0; i < 2; i++) {
        _Atomic uint64_t *bucket = &shard->slots[probe->buckets[i]];
        for (unsigned equal = hearth__tags_equal(bucket, probe->tag); equal != 0;
             equal &= equal - 1) {
            _Atomic uint64_t *place = &bucket[hearth__tags_first(equal)];
            if ((hearth__slot_load(place) & ~HEARTH__SLOT_MARK_MASK) == wanted) {
                return place;
            }
        }
    }
    return NULL;
}

/* No slot will name the entry any more; its bytes stay until the tail arrives. */
static inline void hearth__slot_dies(hearth__shard *shard, uint64_t slot) {
    shard->logs[hearth__slot_log(slot)].dead +=
        hearth__entry_size(hearth__slot_entry(shard, slot));
}

/* ---- families ---- */

/* NULL: there are none. */
static inline hearth__shard_family *hearth__family_of(const hearth__shard *shard,
                                                      const void *key, size_t key_size) {
    return shard->families != NULL
               ? &shard->families[shard->family(shard->owner, key, key_size)]
               : NULL;
}

static inline hearth__shard_family *hearth__entry_family(const hearth__shard *shard,
                                                         const unsigned char *entry) {
    return hearth__family_of(shard, hearth__entry_key(entry),
                             hearth__entry_key_size(hearth__entry_word_at(entry, 1)));
}

/* Counts an entry of that many bytes with its family; or away from it. */
static inline void hearth__family_take(const hearth__shard *shard, const void *key,
                                       size_t key_size, uint64_t bytes) {
    hearth__shard_family *family = hearth__family_of(shard, key, key_size);
    if (family != NULL) {
        family->entries++;
        family->bytes += bytes;
    }
}

static inline void hearth__family_give(const hearth__shard *shard, const unsigned char *entry) {
    hearth__shard_family *family = hearth__entry_family(shard, entry);
    if (family != NULL) {
        family->entries--;
        family->bytes -= hearth__entry_size(entry);
    }
}

/* There is one entry less. */
static inline void hearth__slot_discount(hearth__shard *shard, uint64_t slot) {
    hearth__family_give(shard, hearth__slot_entry(shard, slot));
    shard->entries--;
    shard->absences -= hearth__slot_log(slot) == HEARTH__NEGATIVE;
}

static inline void hearth__slot_unlink(hearth__shard *shard, _Atomic uint64_t *place) {
    hearth__slot_dies(shard, hearth__slot_load(place));
    hearth__slot_discount(shard, hearth__slot_load(place));
    atomic_store_explicit(place, 0, memory_order_relaxed);
}

/* ---- shard_room.c ---- */

/* What one store may still spend on moving entries. */
typedef struct hearth__walk {
    unsigned moves;
    uint64_t bytes;
    uint64_t now; /* in entries' time: what is over by then goes */
} hearth__walk;

/* Whether a log has room for an entry of `bytes`, and for what is at its tail, so that it can go round once more. */
bool hearth__room_has(const hearth__shard *shard, enum hearth__log_id id, uint64_t bytes);

/* Makes room in a log for an entry of `bytes`, and for what is at its tail to go round; what that costs is taken from the walk. It
 * may move or drop any entry. */
void hearth__room_make(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes,
                       hearth__walk *walk);

/* Whether no value is in the negative log's bytes. */
bool hearth__room_is_vacant(const hearth__shard *shard);

/* The log that an entry should be in, or the larger one, if it would take too much of that. */
enum hearth__log_id hearth__room_home(const hearth__shard *shard, enum hearth__log_id id,
                                      uint64_t bytes);

/* Asks for the memory that the next entry of this size will be written to, and that a walk over the logs' tails begins with. */
void hearth__room_ahead(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes);

#endif
