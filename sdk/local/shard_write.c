/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores, removals and evictions: all under the shard's lock. See shard.h for the order that readers rely on.
 *
 * Longer than 400 lines: all that writes a shard stands in one file, so that its order can be read.
 */
#include "base/hash.h"
#include "base/racy.h"
#include "base/stat.h"
#include "local/shard.h"
#include "local/tags.h"

#include <hearth/errors.h>

#include <string.h>

/* ---- slots ------------------------------------------------------------------------------ */

static uint64_t slot_word(uint64_t tag, enum hearth__log_id log, unsigned mark,
                          uint64_t position) {
    return tag | (uint64_t)mark << HEARTH__SLOT_MARK_AT | (uint64_t)log << HEARTH__SLOT_LOG_AT |
           position;
}

/* Readers raise marks meanwhile, so a slot's word is taken anew each time it is looked at. */
static uint64_t load_slot(const _Atomic uint64_t *place) {
    return atomic_load_explicit(place, memory_order_relaxed);
}

static void publish(_Atomic uint64_t *place, uint64_t slot) {
    atomic_store_explicit(place, slot, memory_order_release);
}

static uint64_t word_at(const unsigned char *entry, size_t index) {
    uint64_t word = 0;
    memcpy(&word, entry + index * 8, sizeof word);
    return word;
}

static uint64_t bytes_of(const unsigned char *entry) {
    uint64_t word1 = word_at(entry, 1);
    return hearth__entry_bytes(hearth__entry_flags(word1), hearth__entry_key_size(word1),
                               hearth__entry_value_size(word_at(entry, 0)));
}

static const unsigned char *key_of(const unsigned char *entry) {
    return entry + hearth__entry_words(hearth__entry_flags(word_at(entry, 1))) * 8;
}

static bool is_key(const unsigned char *entry, const void *key, size_t key_size) {
    return hearth__entry_key_size(word_at(entry, 1)) == key_size &&
           memcmp(key_of(entry), key, key_size) == 0;
}

/* The i-th of the slots that a key can be in. */
static _Atomic uint64_t *candidate(const hearth__shard *shard, const hearth__probe *probe,
                                   size_t i) {
    size_t bucket = probe->buckets[i / HEARTH__BUCKET_SLOTS];
    return &shard->slots[bucket + i % HEARTH__BUCKET_SLOTS];
}

enum { CANDIDATES = 2 * HEARTH__BUCKET_SLOTS };

static _Atomic uint64_t *find(const hearth__shard *shard, const hearth__probe *probe,
                              const void *key, size_t key_size) {
    for (size_t i = 0; i < 2; i++) {
        _Atomic uint64_t *bucket = &shard->slots[probe->buckets[i]];
        for (unsigned equal = hearth__tags_equal(bucket, probe->tag); equal != 0;
             equal &= equal - 1) {
            _Atomic uint64_t *place = &bucket[hearth__tags_first(equal)];
            uint64_t slot = load_slot(place);
            if (slot == 0) {
                continue;
            }
            const unsigned char *entry = hearth__slot_entry(shard, slot);
            /* To write: else the unlock would wait for these lines. */
            __builtin_prefetch(entry, 1);
            __builtin_prefetch(entry + 64, 1);
            __builtin_prefetch(entry + 128, 1);
            if (is_key(entry, key, key_size)) {
                return place;
            }
        }
    }
    return NULL;
}

/* The slot that names the entry at a position; NULL: none does, the entry is dead. */
static _Atomic uint64_t *find_position(const hearth__shard *shard, const hearth__probe *probe,
                                       enum hearth__log_id log, uint64_t position) {
    uint64_t wanted = slot_word(probe->tag, log, 0, position);
    for (size_t i = 0; i < 2; i++) {
        _Atomic uint64_t *bucket = &shard->slots[probe->buckets[i]];
        for (unsigned equal = hearth__tags_equal(bucket, probe->tag); equal != 0;
             equal &= equal - 1) {
            _Atomic uint64_t *place = &bucket[hearth__tags_first(equal)];
            if ((load_slot(place) & ~HEARTH__SLOT_MARK_MASK) == wanted) {
                return place;
            }
        }
    }
    return NULL;
}

static void unlink_slot(hearth__shard *shard, _Atomic uint64_t *place) {
    shard->dead_bytes += bytes_of(hearth__slot_entry(shard, load_slot(place)));
    shard->entries--;
    atomic_store_explicit(place, 0, memory_order_relaxed);
}

/*
 * A free slot of the key's; failing that the one of least mark, then in the window before the main log, then the oldest,
 * whose entry goes. What dies in the window leaves no hole for long; in the main log, which may stand still, it would.
 */
static _Atomic uint64_t *free_slot(hearth__shard *shard, const hearth__probe *probe) {
    _Atomic uint64_t *victim = NULL;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < CANDIDATES; i++) {
        _Atomic uint64_t *place = candidate(shard, probe, i);
        uint64_t slot = load_slot(place);
        if (slot == 0) {
            return place;
        }
        uint64_t rank = slot & ~(UINT64_MAX << HEARTH__SLOT_TAG_AT);
        if (rank < least) {
            least = rank;
            victim = place;
        }
    }
    unlink_slot(shard, victim);
    HEARTH__COUNT(shard->counters, local_index_evictions);
    return victim;
}

/* ---- making room ------------------------------------------------------------------------ */

/* What one store may still spend on moving entries. */
struct walk {
    unsigned moves;
    uint64_t bytes;
    uint64_t now; /* in entries' time: what is over by then goes */
};

/* The main log keeps a gap, so that what is at its tail can go round once more. */
static bool has_room(const hearth__log *log, uint64_t bytes) {
    return hearth__log_fits(log, bytes + log->gap);
}

/* Appends a copy of a live entry to a log that has the room, and moves its slot. The old bytes are dead. */
static void move_entry(hearth__shard *shard, _Atomic uint64_t *place,
                       const unsigned char *entry, uint64_t bytes, hearth__verdict verdict) {
    unsigned char *copy = NULL;
    uint64_t position = hearth__log_append(&shard->logs[verdict.to], bytes, &copy);
    hearth__racy_fence_release();
    hearth__racy_write(copy, entry, bytes);
    uint64_t tag = load_slot(place) >> HEARTH__SLOT_TAG_AT << HEARTH__SLOT_TAG_AT;
    publish(place, slot_word(tag, verdict.to, verdict.mark, position));
}

/* The entry at a log's tail, and what is to become of it. */
struct tail {
    const unsigned char *entry;
    uint64_t bytes;
    uint64_t hash;
    _Atomic uint64_t *place;
    hearth__verdict verdict;
};

enum { LINE = 64, AHEAD_BYTES = 4 * LINE };

static uint64_t tail_hash(const hearth__shard *shard, hearth__log *log) {
    uint64_t position = hearth__log_tail(log);
    if (log->known_tail != position) {
        const unsigned char *entry = log->space.base + log->tail;
        log->known_hash = hearth__hash_key(shard->secret, key_of(entry),
                                           hearth__entry_key_size(word_at(entry, 1)));
        log->known_tail = position;
    }
    return log->known_hash;
}

/* Asks for the memory that the next entry of this size will be written to, and that the walk over a full log's tail begins
 * with. */
static void look_ahead(hearth__shard *shard, hearth__log *log, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes && at < AHEAD_BYTES; at += LINE) {
        __builtin_prefetch(log->space.base + log->head + at,
                           1); /* else the unlock would wait for it */
    }
    if (has_room(log, bytes) || log->used == 0) {
        return;
    }
    hearth__probe probe = hearth__probe_of(shard, tail_hash(shard, log));
    __builtin_prefetch(&shard->slots[probe.buckets[0]], 1);
    __builtin_prefetch(&shard->slots[probe.buckets[1]], 1);
    const unsigned char *entry = log->space.base + log->tail;
    __builtin_prefetch(entry + 256);
    __builtin_prefetch(entry + 320);
}

static bool can_move(const struct walk *walk, uint64_t bytes) {
    return walk->moves != 0 && walk->bytes >= bytes;
}

/* Looks at a log's tail. False: what was there is dead, and gone now. */
static bool look_at_tail(hearth__shard *shard, enum hearth__log_id id, const struct walk *walk,
                         struct tail *tail) {
    hearth__log *log = &shard->logs[id];
    tail->entry = log->space.base + log->tail;
    tail->bytes = bytes_of(tail->entry);
    tail->hash = tail_hash(shard, log);
    hearth__probe probe = hearth__probe_of(shard, tail->hash);
    tail->place = find_position(shard, &probe, id, hearth__log_tail(log));
    if (tail->place == NULL) {
        shard->dead_bytes -= tail->bytes;
        hearth__log_pop(log, tail->bytes);
        return false;
    }
    unsigned mark = hearth__slot_mark(load_slot(tail->place));
    bool room_in_main = has_room(&shard->logs[HEARTH__MAIN], tail->bytes);
    tail->verdict = shard->policy->judge(shard->policy_state, id, mark, room_in_main);
    tail->verdict.keep = tail->verdict.keep && can_move(walk, tail->bytes);
    return true;
}

static void drop_tail(hearth__shard *shard, enum hearth__log_id id, const struct tail *tail,
                      const struct walk *walk) {
    bool over = hearth__entry_hard(word_at(tail->entry, 1)) <= walk->now;
    atomic_store_explicit(tail->place, 0, memory_order_relaxed);
    shard->entries--;
    if (!over) {
        shard->policy->dropped(shard->policy_state, id, tail->hash, tail->bytes);
        HEARTH__COUNT(shard->counters, local_evictions);
    }
}

/* Moves the entry at the tail to where its verdict says, or drops it if there is no room or others used up the moves. */
static void settle_tail(hearth__shard *shard, enum hearth__log_id id, const struct tail *tail,
                        struct walk *walk) {
    bool over = hearth__entry_hard(word_at(tail->entry, 1)) <= walk->now;
    bool moves = tail->verdict.keep && !over && can_move(walk, tail->bytes) &&
                 hearth__log_fits(&shard->logs[tail->verdict.to], tail->bytes);
    if (moves) {
        walk->moves--;
        walk->bytes -= tail->bytes;
        move_entry(shard, tail->place, tail->entry, tail->bytes, tail->verdict);
        HEARTH__COUNT(shard->counters, local_moves);
    } else {
        drop_tail(shard, id, tail, walk);
    }
    hearth__log_pop(&shard->logs[id], tail->bytes);
}

static void make_room_in_main(hearth__shard *shard, uint64_t bytes, struct walk *walk) {
    hearth__log *log = &shard->logs[HEARTH__MAIN];
    struct tail tail;
    log->gap = bytes > log->gap ? bytes : log->gap;
    while (!has_room(log, bytes) && log->used != 0) {
        if (look_at_tail(shard, HEARTH__MAIN, walk, &tail)) {
            settle_tail(shard, HEARTH__MAIN, &tail, walk);
        }
    }
}

/* What goes on from the window needs room in the main log first. */
static void make_room_in_window(hearth__shard *shard, uint64_t bytes, struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__WINDOW];
    struct tail tail;
    while (!has_room(log, bytes) && log->used != 0) {
        if (look_at_tail(shard, HEARTH__WINDOW, walk, &tail)) {
            if (tail.verdict.keep) {
                make_room_in_main(shard, tail.bytes, walk);
            }
            settle_tail(shard, HEARTH__WINDOW, &tail, walk);
        }
    }
}

static void make_room(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes,
                      struct walk *walk) {
    if (id == HEARTH__MAIN) {
        make_room_in_main(shard, bytes, walk);
    } else {
        make_room_in_window(shard, bytes, walk);
    }
}

/* ---- storing ---------------------------------------------------------------------------- */

/* An entry's words before its key, and how many. */
struct head {
    uint64_t words[HEARTH__ENTRY_WORDS + HEARTH__ENTRY_EXTRA_WORDS];
    size_t count;
};

/* A point in time, in 40 bits. */
static uint64_t relative(const hearth__shard *shard, int64_t time_ms) {
    if (time_ms == HEARTH__LOCAL_FOREVER) {
        return HEARTH__ENTRY_NEVER;
    }
    int64_t since = time_ms - shard->opened_ms;
    if (since < 0) {
        return 0;
    }
    return (uint64_t)since < HEARTH__ENTRY_NEVER ? (uint64_t)since : HEARTH__ENTRY_NEVER - 1;
}

static struct head compose(const hearth__shard *shard, const hearth__local_entry *entry,
                           size_t key_size, size_t value_size) {
    struct head head = {.count = HEARTH__ENTRY_WORDS};
    uint64_t flags =
        (entry->absent ? HEARTH__ENTRY_ABSENT : 0u) | (entry->stale ? HEARTH__ENTRY_STALE : 0u);
    if (entry->soft_expiry_ms != HEARTH__LOCAL_FOREVER || entry->delta_ms != 0) {
        uint64_t delta = entry->delta_ms < 0xffffff ? entry->delta_ms : 0xffffff;
        flags |= HEARTH__ENTRY_SOFT;
        head.words[head.count++] = relative(shard, entry->soft_expiry_ms) << 24 | delta;
    }
    if (entry->version != 0) {
        flags |= HEARTH__ENTRY_VERSION;
        head.words[head.count++] = entry->version;
    }
    if (!entry->bare || entry->content != 0) {
        uint64_t read = (uint64_t)(entry->read_ms - shard->opened_ms) << 24;
        uint64_t born = (uint64_t)(entry->born_ms - shard->opened_ms) << 24;
        flags |= HEARTH__ENTRY_ORIGIN;
        head.words[head.count++] = read | (entry->content & 0xffffff);
        head.words[head.count++] = born | entry->content >> 24;
    }
    flags |= (head.count - HEARTH__ENTRY_WORDS) * HEARTH__ENTRY_ONE_WORD;
    head.words[0] = value_size;
    head.words[1] =
        relative(shard, entry->hard_expiry_ms) << 24 | (uint64_t)key_size << 8 | flags;
    return head;
}

static void write_value(unsigned char *entry, const struct head *head, size_t key_size,
                        const void *data, size_t size) {
    hearth__racy_write(entry + 8, &head->words[1], (head->count - 1) * 8);
    hearth__racy_write(entry + head->count * 8 + hearth__padded(key_size), data, size);
}

/* Rewrites a live entry where it stands. Readers see by its sequence that they have to look again. */
static void rewrite(unsigned char *entry, const struct head *head, size_t key_size,
                    const void *data, size_t size) {
    uint64_t *word0 = (uint64_t *)(void *)entry;
    uint64_t sequence = *word0 >> 32;
    __atomic_store_n(word0, (sequence + 1) << 32 | (*word0 & 0xffffffff), __ATOMIC_RELAXED);
    hearth__racy_fence_release();
    write_value(entry, head, key_size, data, size);
    __atomic_store_n(word0, ((sequence + 2) & 0xffffffff) << 32 | head->words[0],
                     __ATOMIC_RELEASE);
}

static bool can_rewrite(const unsigned char *entry, const struct head *head, uint64_t bytes) {
    return bytes_of(entry) == bytes &&
           hearth__entry_flags(word_at(entry, 1)) / HEARTH__ENTRY_SOFT ==
               hearth__entry_flags(head->words[1]) / HEARTH__ENTRY_SOFT;
}

static enum hearth__log_id admit(hearth__shard *shard, uint64_t hash, uint64_t bytes) {
    enum hearth__log_id id = shard->policy->admit(shard->policy_state, hash);
    return bytes <= shard->logs[id].space.bytes / 4 ? id : HEARTH__MAIN;
}

/* Appends a new entry and gives the key's slot to it. */
static void append(hearth__shard *shard, const hearth__probe *probe, const void *key,
                   size_t key_size, const struct head *head, uint64_t bytes, const void *data,
                   size_t size, uint64_t now) {
    struct walk walk = {
        .now = now,
        .moves = HEARTH__WALK_MOVES,
        .bytes = bytes * 4 > HEARTH__WALK_MOVED_BYTES ? bytes * 4 : HEARTH__WALK_MOVED_BYTES};
    enum hearth__log_id id = admit(shard, probe->hash, bytes);
    make_room(shard, id, bytes, &walk);
    unsigned char *entry = NULL;
    uint64_t position = hearth__log_append(&shard->logs[id], bytes, &entry);
    hearth__racy_fence_release();
    hearth__racy_write(entry, &head->words[0], 8);
    hearth__racy_write(entry + head->count * 8, key, key_size);
    write_value(entry, head, key_size, data, size);
    /* Making room may have moved or dropped the old entry, so the slot is looked for only now. */
    _Atomic uint64_t *place = find(shard, probe, key, key_size);
    if (place != NULL) {
        shard->dead_bytes += bytes_of(hearth__slot_entry(shard, load_slot(place)));
    } else {
        place = free_slot(shard, probe);
        shard->entries++;
    }
    publish(place, slot_word(probe->tag, id, 0, position));
    look_ahead(shard, &shard->logs[id], bytes);
}

bool hearth__shard_store(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                         const hearth__local_entry *info, const void *data, size_t size) {
    if (key_size > shard->max_entry_bytes || size > shard->max_entry_bytes - key_size) {
        (void)hearth__shard_remove(shard, hash, key, key_size);
        return false;
    }
    struct head head = compose(shard, info, key_size, size);
    uint64_t bytes = head.count * 8 + hearth__padded(key_size) + hearth__padded(size);
    hearth__probe probe = hearth__probe_of(shard, hash);
    _Atomic uint64_t *place = find(shard, &probe, key, key_size);
    if (place != NULL &&
        can_rewrite(hearth__slot_entry(shard, load_slot(place)), &head, bytes)) {
        rewrite(hearth__slot_entry(shard, load_slot(place)), &head, key_size, data, size);
    } else {
        append(shard, &probe, key, key_size, &head, bytes, data, size,
               relative(shard, info->read_ms));
    }
    return true;
}

bool hearth__shard_remove(hearth__shard *shard, uint64_t hash, const void *key,
                          size_t key_size) {
    hearth__probe probe = hearth__probe_of(shard, hash);
    _Atomic uint64_t *place = find(shard, &probe, key, key_size);
    if (place != NULL) {
        unlink_slot(shard, place);
    }
    return place != NULL;
}
