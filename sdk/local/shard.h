/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard of the hot tier: an index of 64-bit slots over two logs.
 *
 *   slot     tag 16 | mark 2 | log 2 | position 44      0: free
 *   bucket   8 slots, a cache line; a key is in one of two buckets
 *   entry    word 0: sequence 32 | value size 32        odd sequence: being rewritten in place
 *            word 1: hard expiry 40 | key size 16 | flags 8
 *            extra words as the flags say, key, value; key and value each padded to 8
 *   value    of an entry with tags: tags' epoch 64, when they were asked for 64, stamp 64, their size 64, tags padded to 8, value
 *
 * A position is a log's lap and the offset in the shard's memory. It never comes back (for 128 TiB), so a slot that still has its value proves
 * that its entry was not recycled: that is what readers rely on, who take no lock and write nothing but the slot's mark. What
 * a reader must never write is the entry: by then its memory may be another's.
 *
 * Order. A reader: slot (acquire), word 0 (acquire), the rest of the entry, fence, word 0 again, fence, slot again. Who
 * recycles: slot cleared, fence (release), new bytes. Who rewrites in place: sequence odd, fence (release), new bytes,
 * sequence even (release). Who publishes: bytes, slot (release). A key's slot never changes while the key lives: an
 * overwrite or a move replaces its word by one store, so a reader who finds no slot has seen a moment without the key.
 * tests/local/order/ goes through all of it.
 */
#ifndef HEARTH_LOCAL_SHARD_H
#define HEARTH_LOCAL_SHARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "local/local.h"
#include "local/log.h"
#include "local/policy.h"

enum {
    HEARTH__BUCKET_SLOTS = 8,
    HEARTH__STRIPES = 1024,
    HEARTH__ENTRY_WORDS = 2,         /* before the extra ones */
    HEARTH__ENTRY_EXTRA_WORDS = 4,   /* at the most */
    HEARTH__ENTRY_OVERHEAD_MAX = 64, /* of an entry beside key and value: words and padding */
};

_Static_assert(sizeof(((hearth__local_raw *)0)->extra) ==
                   HEARTH__ENTRY_EXTRA_WORDS * sizeof(uint64_t),
               "there is room for all of an entry's words");

/* ---- slots ---- */

#define HEARTH__SLOT_LOG_AT    44
#define HEARTH__SLOT_MARK_AT   46
#define HEARTH__SLOT_MARK_ONE  (UINT64_C(1) << HEARTH__SLOT_MARK_AT)
#define HEARTH__SLOT_MARK_MASK (UINT64_C(3) << HEARTH__SLOT_MARK_AT)
#define HEARTH__SLOT_TAG_AT    48

/* ---- entries ---- */

enum hearth__entry_flag {
    HEARTH__ENTRY_ABSENT = 1,
    HEARTH__ENTRY_STALE = 2,
    HEARTH__ENTRY_SOFT = 4,    /* a word: soft expiry less the lead 40 | lead 24 */
    HEARTH__ENTRY_VERSION = 8, /* a word: version */
    HEARTH__ENTRY_ORIGIN =
        16, /* two words, the last: read 40 | content's low 24; born 40 | source 16 | content's high 8 */
    HEARTH__ENTRY_ONE_WORD = 32, /* how many words that makes, in the three bits from here on */
};

#define HEARTH__ENTRY_SOURCE_AT 8 /* in the last word, with HEARTH__ENTRY_ORIGIN */

/* Beside the source, in its highest bit: the entry has tags. */
#define HEARTH__ENTRY_TAGGED (UINT64_C(1) << (HEARTH__ENTRY_SOURCE_AT + 15))

/* What stands before them, in words. */
enum hearth__entry_tags_word {
    HEARTH__TAGS_WORD_EPOCH,
    HEARTH__TAGS_WORD_ASKED,
    HEARTH__TAGS_WORD_STAMP,
    HEARTH__TAGS_WORD_SIZE,
    HEARTH__TAGS_WORDS,
};

/* A time in an entry: ms since the tier was opened, in 40 bits; all ones: never. */
#define HEARTH__ENTRY_NEVER ((UINT64_C(1) << 40) - 1)

static inline uint32_t hearth__entry_value_size(uint64_t word0) {
    return (uint32_t)word0;
}

static inline uint32_t hearth__entry_key_size(uint64_t word1) {
    return (uint32_t)(word1 >> 8) & 0xffff;
}

static inline uint32_t hearth__entry_flags(uint64_t word1) {
    return (uint32_t)word1 & 0xff;
}

static inline uint64_t hearth__entry_hard(uint64_t word1) {
    return word1 >> 24;
}

static inline size_t hearth__entry_words(uint32_t flags) {
    return HEARTH__ENTRY_WORDS + flags / HEARTH__ENTRY_ONE_WORD;
}

static inline size_t hearth__padded(size_t size) {
    return (size + 7) & ~(size_t)7;
}

/* What tags of this size take before the value. */
static inline size_t hearth__entry_tags_bytes(size_t tags_size) {
    return tags_size != 0 ? (size_t)HEARTH__TAGS_WORDS * 8 + hearth__padded(tags_size) : 0;
}

static inline size_t hearth__entry_bytes(uint32_t flags, size_t key_size, size_t value_size) {
    return hearth__entry_words(flags) * 8 + hearth__padded(key_size) +
           hearth__padded(value_size);
}

/* ---- a shard ---- */

/* Writes of the keys that fall on it. */
typedef struct hearth__stripe {
    uint32_t begun;     /* in all */
    uint16_t under_way; /* now */
    uint16_t told;      /* changes by others; each time it begins anew counts as a write */
} hearth__stripe;

/* The entries of a family. */
typedef struct hearth__shard_family {
    uint64_t entries;
    uint64_t bytes; /* of those */
    bool is_limited;
    uint64_t limit; /* which they may have, if so */
    uint64_t hand;  /* the slot that was looked at last for what may go */
} hearth__shard_family;

/* On cache lines: what readers use, what writers use, both of which never change; what every store changes, and what few do. */
typedef struct hearth__shard {
    _Alignas(HEARTH__LINE) _Atomic uint64_t *slots;
    uint64_t buckets;
    unsigned char *base;  /* of all logs' bytes, */
    unsigned char *end;   /* and where they end */
    uint64_t offset_mask; /* of a position: the offset from the base, in units of 8 bytes */
    uint64_t mark_max;    /* in its place in a slot */

    _Alignas(HEARTH__LINE) const hearth__policy *policy;
    hearth__policy_state *policy_state;
    hearth__seats *counters;
    const hearth__hash_secret *secret;
    int64_t opened_ms;
    uint64_t fixed_bytes;     /* the shard itself, index, ghosts, families */
    uint64_t max_entry_bytes; /* key and value */
    uint64_t values_end; /* where the negative log begins, while it is not the main log's */

    _Alignas(HEARTH__LINE) pthread_mutex_t lock;
    uint64_t entries;
    uint64_t absences; /* of the entries */
    uint64_t appended; /* bytes of new values, ever */

    _Alignas(HEARTH__LINE) uint64_t absences_until; /* so much is appended, absences are kept */
    uint64_t asked_window;  /* bytes that the policy wanted the window to have last, */
    uint64_t wanted_window; /* and those that it is to have */
    bool
        fills; /* the main log was never full, or is half empty, or some of it is dead: it takes what the window drops */
    bool is_open;
    uint8_t foreseen_log; /* that of the value that was appended last, */
    uint16_t
        foreseen_bytes; /* and its bytes, if it is small and no store has rewritten one since; else 0 */

    /* Never changes either, as of hearth__local_config. */
    uint32_t (*family)(void *owner, const void *key, size_t key_size);
    void *owner;
    hearth__shard_family *families; /* HEARTH__FAMILIES; NULL: no key is of any */
    bool has_limits;                /* some family's bytes have one */

    hearth__log logs[HEARTH__LOGS];
    hearth__stripe stripes[HEARTH__STRIPES];
    unsigned char apart[HEARTH__LINE];
} hearth__shard;

_Static_assert(sizeof(hearth__shard) / HEARTH__LINE % 2 == 1,
               "what readers use of all shards falls on different sets of a processor's cache");

/* The two buckets that a key can be in: the first slot of each. */
static inline size_t hearth__first_bucket(const hearth__shard *shard, uint64_t hash) {
    return ((hash >> 16 & 0xffffffff) * shard->buckets >> 32) * HEARTH__BUCKET_SLOTS;
}

static inline size_t hearth__second_bucket(const hearth__shard *shard, uint64_t hash) {
    uint64_t mixed = (hash * 0xff51afd7ed558ccdu) >> 32;
    return (mixed * shard->buckets >> 32) * HEARTH__BUCKET_SLOTS;
}

/* What a writer needs of a key's hash. */
typedef struct hearth__probe {
    uint64_t hash;
    uint64_t tag; /* in its place in a slot */
    size_t buckets[2];
} hearth__probe;

static inline hearth__probe hearth__probe_of(const hearth__shard *shard, uint64_t hash) {
    return (hearth__probe){
        .hash = hash,
        .tag = hash << HEARTH__SLOT_TAG_AT,
        .buckets = {hearth__first_bucket(shard, hash), hearth__second_bucket(shard, hash)}};
}

static inline enum hearth__log_id hearth__slot_log(uint64_t slot) {
    return (enum hearth__log_id)((slot >> HEARTH__SLOT_LOG_AT) & 3);
}

static inline unsigned char *hearth__slot_entry(const hearth__shard *shard, uint64_t slot) {
    return shard->base + (slot & shard->offset_mask) * 8;
}

static inline unsigned hearth__slot_mark(uint64_t slot) {
    return (unsigned)((slot & HEARTH__SLOT_MARK_MASK) >> HEARTH__SLOT_MARK_AT);
}

typedef struct hearth__shard_config {
    const hearth__policy *policy;
    uint64_t bytes; /* the shard's limit */
    uint64_t expected_entry_bytes;
    uint64_t max_entry_bytes;
    hearth__seats *counters;
    const hearth__hash_secret *secret;
    int64_t opened_ms;
    uint32_t (*family)(void *owner, const void *key, size_t key_size);
    void *owner;
    unsigned char *
        memory; /* hearth__shard_memory_bytes(), all zero, on a cache line: index, ghosts, families, logs */
} hearth__shard_config;

/* What a shard's memory takes; 0: its limit is too small for a shard. */
size_t hearth__shard_memory_bytes(const hearth__shard_config *config);

/* HEARTH_OK, HEARTH_E_NOMEM. A shard that failed to open is closed too. */
int32_t hearth__shard_open(const hearth__shard_config *config, hearth__shard *shard);
void hearth__shard_close(hearth__shard *shard);

/* Takes its lock. */
void hearth__shard_lock(hearth__shard *shard);

/* shard_read.c: a key's value and its words, whatever its life. HEARTH_OK, HEARTH_MISS, HEARTH_E_NOMEM. */
int32_t hearth__shard_look(hearth__local *local, const void *key, size_t key_size,
                           hearth__buffer *bytes, hearth__local_raw *raw);

/* shard_read.c: hearth__local_peek() wherever the key is. */
int32_t hearth__shard_peek(hearth__local *local, const void *key, size_t key_size,
                           hearth__buffer *bytes, hearth__local_raw *raw);

/* Under the lock. Stores a value, making room; false: it is too large. What it replaces is gone either way. */
bool hearth__shard_store(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                         const hearth__local_entry *entry, const void *data, size_t size);

/* Under the lock. hearth__local_retag(). */
void hearth__shard_retag(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                         const hearth__local_entry *entry);

/* Under the lock. True: it was there. */
bool hearth__shard_remove(hearth__shard *shard, uint64_t hash, const void *key,
                          size_t key_size);

/* Under the lock. Removes the keys that `wants` says, in a few hundred slots from `at` on; which are the next. */
size_t hearth__shard_forget(hearth__shard *shard, size_t at,
                            bool (*wants)(void *arg, const void *key, size_t key_size),
                            void *arg);

/* What the walk over a log's tail may cost one store: this many moves, or this many bytes moved; then the oldest goes. */
enum { HEARTH__WALK_MOVES = 32, HEARTH__WALK_MOVED_BYTES = 64 << 10 };

/* shard.c: under the lock. Says where each log's next lap begins and ends: whenever something was appended or forgotten, before
 * anything else is appended. */
void hearth__shard_divide(hearth__shard *shard);

/* The same, after it has asked the policy anew: before all else at each store. */
void hearth__shard_consult(hearth__shard *shard);

/* Whether an absence was stored a short time ago: so much of values has not come since as twice fills the shard. */
static inline bool hearth__shard_keeps_absences(const hearth__shard *shard) {
    return shard->appended < shard->absences_until;
}

/* ---- the tier: its shards, and what they share ---- */

struct hearth__local {
    hearth__hash_secret secret;
    size_t shard_count; /* a power of two; 0: the tier is off */
    hearth__shard *shards;
    int64_t opened_ms;
    const _Atomic int64_t
        *until_ms; /* of each source, of which the numbers are less than a power of two, */
    uint64_t source_mask; /* the one before it */
    const _Atomic uint64_t *tags_epoch;
    int64_t tags_trust_ms;
    uint64_t max_bytes;
    hearth__seats *counters;
    void *owner;
    void *memory; /* of all shards and what they hold, in one mapping */
    size_t memory_bytes;
};

static inline bool hearth__local_is_off(const hearth__local *local) {
    return local->shard_count == 0;
}

static inline hearth__shard *hearth__local_shard(const hearth__local *local, uint64_t hash) {
    return &local->shards[(hash >> 58) & (local->shard_count - 1)];
}

#endif
