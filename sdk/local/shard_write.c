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

/* No slot will name the entry any more; its bytes stay until the tail arrives. */
static void dies(hearth__shard *shard, uint64_t slot) {
    shard->logs[hearth__slot_log(slot)].dead += bytes_of(hearth__slot_entry(shard, slot));
}

/* There is one entry less. */
static void discount(hearth__shard *shard, uint64_t slot) {
    shard->entries--;
    shard->absences -= hearth__slot_log(slot) == HEARTH__NEGATIVE;
}

static void unlink_slot(hearth__shard *shard, _Atomic uint64_t *place) {
    dies(shard, load_slot(place));
    discount(shard, load_slot(place));
    atomic_store_explicit(place, 0, memory_order_relaxed);
}

/* Whose entry goes first when there is no free slot: an absence; else that of least mark, then in the window before the main log,
 * then the oldest. What dies in the window leaves no hole for long; in the main log, which may stand still, it would. */
static uint64_t rank_of(uint64_t slot) {
    return hearth__slot_log(slot) == HEARTH__NEGATIVE
               ? slot & HEARTH__SLOT_POSITION_MASK
               : slot & ~(UINT64_MAX << HEARTH__SLOT_TAG_AT);
}

/* A free slot of the key's, or one whose entry goes for it. For an absence no value goes: NULL. */
static _Atomic uint64_t *free_slot(hearth__shard *shard, const hearth__probe *probe,
                                   enum hearth__log_id log) {
    _Atomic uint64_t *victim = NULL;
    uint64_t least = log == HEARTH__NEGATIVE ? HEARTH__SLOT_POSITION_MASK : UINT64_MAX;
    for (size_t i = 0; i < CANDIDATES; i++) {
        _Atomic uint64_t *place = candidate(shard, probe, i);
        uint64_t slot = load_slot(place);
        if (slot == 0) {
            return place;
        }
        if (rank_of(slot) < least) {
            least = rank_of(slot);
            victim = place;
        }
    }
    if (victim != NULL) {
        unlink_slot(shard, victim);
        HEARTH__COUNT(shard->counters, local_index_evictions);
    }
    return victim;
}

/* ---- making room ------------------------------------------------------------------------ */

/* What one store may still spend on moving entries. */
struct walk {
    unsigned moves;
    uint64_t bytes;
    uint64_t now; /* in entries' time: what is over by then goes */
};

/* And for what is at the tail, so that it can go round once more. */
static bool has_room(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes) {
    const hearth__log *log = &shard->logs[id];
    hearth__shard_divide(shard);
    return hearth__log_fits(log, bytes + hearth__log_gap(log));
}

static bool fits(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes) {
    hearth__shard_divide(shard);
    return hearth__log_fits(&shard->logs[id], bytes);
}

/* The log that an entry should be in, or the larger one, if it would take too much of that. */
static enum hearth__log_id home(const hearth__shard *shard, enum hearth__log_id id,
                                uint64_t bytes) {
    const hearth__log *main = &shard->logs[HEARTH__MAIN];
    uint64_t in_window = shard->logs[HEARTH__WINDOW].end;
    uint64_t in_main = main->end - main->begin;
    enum hearth__log_id larger = in_window > in_main ? HEARTH__WINDOW : HEARTH__MAIN;
    return bytes <= (id == HEARTH__WINDOW ? in_window : in_main) / 4 ? id : larger;
}

/* Appends a copy of a live entry to a log that has the room, and moves its slot. The old bytes are dead. */
static void move_entry(hearth__shard *shard, _Atomic uint64_t *place,
                       const unsigned char *entry, uint64_t bytes, hearth__place to) {
    unsigned char *copy = NULL;
    uint64_t position = hearth__log_append(&shard->logs[to.log], bytes, &copy);
    hearth__racy_fence_release();
    hearth__racy_write(copy, entry, bytes);
    uint64_t tag = load_slot(place) >> HEARTH__SLOT_TAG_AT << HEARTH__SLOT_TAG_AT;
    publish(place, slot_word(tag, to.log, to.mark, position));
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
static void look_ahead(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes) {
    hearth__log *log = &shard->logs[id];
    for (uint64_t at = 0; at < bytes && at < AHEAD_BYTES; at += LINE) {
        __builtin_prefetch(log->space.base + log->head + at,
                           1); /* else the unlock would wait for it */
    }
    if (has_room(shard, id, bytes) || log->used == 0) {
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
        log->dead -= tail->bytes;
        hearth__log_pop(log, tail->bytes);
        return false;
    }
    unsigned mark = hearth__slot_mark(load_slot(tail->place));
    bool room_in_main = shard->fills && has_room(shard, HEARTH__MAIN, tail->bytes);
    tail->verdict = shard->policy->judge(shard->policy_state, id, mark, room_in_main);
    tail->verdict.keep = tail->verdict.keep && can_move(walk, tail->bytes);
    tail->verdict.to.log = home(shard, tail->verdict.to.log, tail->bytes);
    return true;
}

static void drop_tail(hearth__shard *shard, enum hearth__log_id id, const struct tail *tail,
                      const struct walk *walk) {
    bool over = hearth__entry_hard(word_at(tail->entry, 1)) <= walk->now;
    discount(shard, load_slot(tail->place));
    atomic_store_explicit(tail->place, 0, memory_order_relaxed);
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
                 fits(shard, tail->verdict.to.log, tail->bytes);
    if (moves) {
        walk->moves--;
        walk->bytes -= tail->bytes;
        move_entry(shard, tail->place, tail->entry, tail->bytes, tail->verdict.to);
        HEARTH__COUNT(shard->counters, local_moves);
    } else {
        drop_tail(shard, id, tail, walk);
    }
    hearth__log_pop(&shard->logs[id], tail->bytes);
}

static void judge_tail(hearth__shard *shard, enum hearth__log_id id, struct walk *walk) {
    struct tail tail;
    if (look_at_tail(shard, id, walk, &tail)) {
        settle_tail(shard, id, &tail, walk);
    }
}

static void make_room_in_main(hearth__shard *shard, uint64_t bytes, struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__MAIN];
    while (!has_room(shard, HEARTH__MAIN, bytes) && log->used != 0) {
        shard->fills = false;
        judge_tail(shard, HEARTH__MAIN, walk);
    }
}

/* Where much is dead, what leaves the window gets the place of that, but of nothing that lives. */
static void forget_dead(hearth__shard *shard, uint64_t bytes, const struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__MAIN];
    struct tail tail;
    while (shard->fills && log->used != 0 && !has_room(shard, HEARTH__MAIN, bytes) &&
           !look_at_tail(shard, HEARTH__MAIN, walk, &tail)) {
    }
}

/* What goes on from the window needs room in the main log first. */
static void make_room_in_window(hearth__shard *shard, uint64_t bytes, struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__WINDOW];
    struct tail tail;
    while (!has_room(shard, HEARTH__WINDOW, bytes) && log->used != 0) {
        forget_dead(shard, bytes, walk);
        if (look_at_tail(shard, HEARTH__WINDOW, walk, &tail)) {
            if (tail.verdict.keep && tail.verdict.to.log == HEARTH__MAIN) {
                make_room_in_main(shard, tail.bytes, walk);
            }
            settle_tail(shard, HEARTH__WINDOW, &tail, walk);
        }
    }
}

/* ---- the border ------------------------------------------------------------------------- */

/* Moves the main log's lowest entry, with which its present lap began, to its head. False: there is no room there. */
static bool raise_lowest(hearth__shard *shard, struct walk *walk) {
    hearth__log *log = &shard->logs[HEARTH__MAIN];
    const unsigned char *entry = log->space.base + log->begin;
    uint64_t bytes = bytes_of(entry);
    uint64_t hash = hearth__hash_key(shard->secret, key_of(entry),
                                     hearth__entry_key_size(word_at(entry, 1)));
    hearth__probe probe = hearth__probe_of(shard, hash);
    _Atomic uint64_t *place = find_position(shard, &probe, HEARTH__MAIN,
                                            hearth__log_position(log, log->lap, log->begin));
    if (place == NULL) {
        log->dead -= bytes;
    } else if (!can_move(walk, bytes) || !has_room(shard, HEARTH__MAIN, bytes)) {
        return false;
    } else {
        walk->moves--;
        walk->bytes -= bytes;
        move_entry(shard, place, entry, bytes,
                   (hearth__place){HEARTH__MAIN, hearth__slot_mark(load_slot(place))});
        HEARTH__COUNT(shard->counters, local_moves);
    }
    hearth__log_pop_begin(log, bytes);
    return true;
}

/*
 * The window's head has come to the main log's lowest entries, and the policy wants it to have more: these go. Some at each
 * store, and half of the walk is kept for the store itself; if that is not enough, the window turns once more.
 */
enum { RAISES = 8 };

static void raise_border(hearth__shard *shard, uint64_t bytes, struct walk *walk) {
    const hearth__log *window = &shard->logs[HEARTH__WINDOW];
    hearth__log *main = &shard->logs[HEARTH__MAIN];
    uint64_t until = window->head + bytes + hearth__log_gap(window);
    if (window->turn != 0 || until > shard->wanted_window) {
        return;
    }
    for (int i = 0; i < RAISES && main->used != 0 && hearth__log_lowest(main) < until &&
                    walk->moves > HEARTH__WALK_MOVES / 2;
         i++) {
        bool is_lap_empty = main->turn != 0 && main->begin == main->head;
        if (is_lap_empty && until <= main->tail) {
            hearth__log_begin_at(main, until);
        } else if (main->turn == 0 || is_lap_empty || !raise_lowest(shard, walk)) {
            judge_tail(shard, HEARTH__MAIN, walk);
        }
    }
}

/*
 * The window is to shrink to where its head has not yet come in this lap: what is left of the lap before goes a little faster
 * than usual, so that nothing of it is left when the head is there.
 */
static void lower_window(hearth__shard *shard, struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__WINDOW];
    for (int i = 0; i < RAISES && log->turn > log->end && log->head < log->end &&
                    walk->moves > HEARTH__WALK_MOVES / 2;
         i++) {
        double left = (double)(log->end - log->head) / (double)log->end;
        if ((double)(log->turn - log->tail) <= left * (double)log->turn) {
            return;
        }
        judge_tail(shard, HEARTH__WINDOW, walk);
        hearth__shard_divide(shard);
    }
}

/* ---- absences --------------------------------------------------------------------------- */

static void drop_oldest_absence(hearth__shard *shard, const struct walk *walk) {
    hearth__log *log = &shard->logs[HEARTH__NEGATIVE];
    const unsigned char *entry = log->space.base + log->tail;
    uint64_t bytes = bytes_of(entry);
    hearth__probe probe = hearth__probe_of(shard, tail_hash(shard, log));
    _Atomic uint64_t *place =
        find_position(shard, &probe, HEARTH__NEGATIVE, hearth__log_tail(log));
    if (place != NULL) {
        unlink_slot(shard, place);
        if (hearth__entry_hard(word_at(entry, 1)) > walk->now) {
            HEARTH__COUNT(shard->counters, local_evictions);
        }
    }
    log->dead -= bytes;
    hearth__log_pop(log, bytes);
}

/* Whether no value is in the negative log's bytes. */
static bool is_vacant(const hearth__shard *shard) {
    return hearth__log_highest(&shard->logs[HEARTH__MAIN]) <= shard->values_end &&
           hearth__log_highest(&shard->logs[HEARTH__WINDOW]) <= shard->values_end;
}

/* Moves some of the main log's entries on, so that it will leave them. What the policy would let go goes, until the others have
 * room enough without them; then all others are kept as they are. */
enum { VACATES = 8 };

static void vacate(hearth__shard *shard, struct walk *walk) {
    const hearth__log *main = &shard->logs[HEARTH__MAIN];
    struct tail tail;
    for (int i = 0; i < VACATES && main->used != 0 && !is_vacant(shard); i++) {
        if (look_at_tail(shard, HEARTH__MAIN, walk, &tail)) {
            if (main->next_begin + main->used + hearth__log_gap(main) <= shard->values_end) {
                unsigned mark = hearth__slot_mark(load_slot(tail.place));
                tail.verdict = (hearth__verdict){.keep = true, .to = {HEARTH__MAIN, mark}};
            }
            settle_tail(shard, HEARTH__MAIN, &tail, walk);
        }
    }
}

static void make_room_for_absence(hearth__shard *shard, uint64_t bytes, struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__NEGATIVE];
    bool is_small =
        bytes <= (log->end - shard->values_end) / 4; /* others get only what is free */
    vacate(shard, walk);
    while (is_small && !hearth__log_fits(log, bytes) && log->used != 0) {
        drop_oldest_absence(shard, walk);
    }
}

/* Where nobody needs absences any more, values get their bytes, a few at each store. */
enum { RELEASES = 4 };

static void release_absences(hearth__shard *shard, const struct walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__NEGATIVE];
    for (int i = 0; i < RELEASES && log->used != 0 && !hearth__shard_keeps_absences(shard);
         i++) {
        drop_oldest_absence(shard, walk);
    }
}

/* Whether the negative log has the room, and there is a slot that no value needs. */
static bool fits_absence(hearth__shard *shard, const hearth__probe *probe, const void *key,
                         size_t key_size, uint64_t bytes) {
    hearth__shard_divide(shard);
    return is_vacant(shard) && hearth__log_fits(&shard->logs[HEARTH__NEGATIVE], bytes) &&
           (find(shard, probe, key, key_size) != NULL ||
            free_slot(shard, probe, HEARTH__NEGATIVE) != NULL);
}

/* ---- storing ---------------------------------------------------------------------------- */

static void make_room(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes,
                      struct walk *walk) {
    if (id == HEARTH__NEGATIVE) {
        make_room_for_absence(shard, bytes, walk);
        return;
    }
    release_absences(shard, walk);
    if (id == HEARTH__MAIN) {
        make_room_in_main(shard, bytes, walk);
    } else {
        raise_border(shard, bytes, walk);
        lower_window(shard, walk);
        make_room_in_window(shard, bytes, walk);
    }
}

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

/* With soft expiry or version where the flags `layout` say so, even if there is none. */
static struct head compose(const hearth__shard *shard, const hearth__local_entry *entry,
                           size_t key_size, size_t value_size, uint32_t layout) {
    struct head head = {.count = HEARTH__ENTRY_WORDS};
    uint64_t flags =
        (entry->absent ? HEARTH__ENTRY_ABSENT : 0u) | (entry->stale ? HEARTH__ENTRY_STALE : 0u);
    if (entry->soft_expiry_ms != HEARTH__LOCAL_FOREVER || entry->delta_ms != 0 ||
        (layout & HEARTH__ENTRY_SOFT) != 0) {
        uint64_t delta = entry->delta_ms < 0xffffff ? entry->delta_ms : 0xffffff;
        flags |= HEARTH__ENTRY_SOFT;
        head.words[head.count++] = relative(shard, entry->soft_expiry_ms) << 24 | delta;
    }
    if (entry->version != 0 || (layout & HEARTH__ENTRY_VERSION) != 0) {
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

/* Whether what is to be said has the words that the entry has, and in the same log. */
static bool fits_in_place(const unsigned char *entry, const struct head *head, uint64_t bytes) {
    uint64_t changed =
        hearth__entry_flags(word_at(entry, 1)) ^ hearth__entry_flags(head->words[1]);
    return bytes_of(entry) == bytes && (changed & ~(uint64_t)HEARTH__ENTRY_STALE) == 0;
}

/* Rewrites a live entry where it stands, if it can be. Readers see by its sequence that they have to look again. */
static bool rewrite(const hearth__shard *shard, unsigned char *entry,
                    const hearth__local_entry *info, size_t key_size, const void *data,
                    size_t size) {
    struct head head =
        compose(shard, info, key_size, size, hearth__entry_flags(word_at(entry, 1)));
    uint64_t bytes = head.count * 8 + hearth__padded(key_size) + hearth__padded(size);
    if (!fits_in_place(entry, &head, bytes)) {
        return false;
    }
    uint64_t *word0 = (uint64_t *)(void *)entry;
    uint64_t sequence = *word0 >> 32;
    __atomic_store_n(word0, (sequence + 1) << 32 | (*word0 & 0xffffffff), __ATOMIC_RELAXED);
    hearth__racy_fence_release();
    write_value(entry, &head, key_size, data, size);
    __atomic_store_n(word0, ((sequence + 2) & 0xffffffff) << 32 | head.words[0],
                     __ATOMIC_RELEASE);
    return true;
}

static bool is_absence(const struct head *head) {
    return (head->words[1] & HEARTH__ENTRY_ABSENT) != 0;
}

/* Where a new entry begins; a value that replaces another, whose slot is `old`, stays where that was. */
static hearth__place admit(hearth__shard *shard, uint64_t hash, uint64_t old,
                           const struct head *head, uint64_t bytes) {
    if (is_absence(head)) {
        return (hearth__place){.log = HEARTH__NEGATIVE};
    }
    hearth__place place = {.log = hearth__slot_log(old), .mark = hearth__slot_mark(old)};
    if (old == 0 || place.log == HEARTH__NEGATIVE) {
        place = shard->policy->admit(shard->policy_state, hash, bytes);
    }
    hearth__shard_divide(shard);
    place.log = home(shard, place.log, bytes);
    return place;
}

/* Appends a new entry and gives the key's slot to it. False: there was no room. */
static bool append(hearth__shard *shard, const hearth__probe *probe, uint64_t old,
                   const void *key, size_t key_size, const struct head *head, uint64_t bytes,
                   const void *data, size_t size, uint64_t now) {
    struct walk walk = {
        .now = now,
        .moves = HEARTH__WALK_MOVES,
        .bytes = bytes * 4 > HEARTH__WALK_MOVED_BYTES ? bytes * 4 : HEARTH__WALK_MOVED_BYTES};
    hearth__place to = admit(shard, probe->hash, old, head, bytes);
    make_room(shard, to.log, bytes, &walk);
    if (to.log != HEARTH__NEGATIVE ? !fits(shard, to.log, bytes)
                                   : !fits_absence(shard, probe, key, key_size, bytes)) {
        return false;
    }
    unsigned char *entry = NULL;
    uint64_t position = hearth__log_append(&shard->logs[to.log], bytes, &entry);
    hearth__racy_fence_release();
    hearth__racy_write(entry, &head->words[0], 8);
    hearth__racy_write(entry + head->count * 8, key, key_size);
    write_value(entry, head, key_size, data, size);
    /* Making room may have moved or dropped the old entry, so the slot is looked for only now. */
    _Atomic uint64_t *place = find(shard, probe, key, key_size);
    if (place != NULL) {
        dies(shard, load_slot(place));
        discount(shard, load_slot(place));
    } else {
        place = free_slot(shard, probe, to.log);
    }
    shard->entries++;
    shard->absences += to.log == HEARTH__NEGATIVE;
    shard->appended += to.log != HEARTH__NEGATIVE ? bytes : 0;
    publish(place, slot_word(probe->tag, to.log, to.mark, position));
    look_ahead(shard, to.log, bytes);
    return true;
}

bool hearth__shard_store(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                         const hearth__local_entry *info, const void *data, size_t size) {
    if (key_size > shard->max_entry_bytes || size > shard->max_entry_bytes - key_size) {
        (void)hearth__shard_remove(shard, hash, key, key_size);
        return false;
    }
    hearth__probe probe = hearth__probe_of(shard, hash);
    _Atomic uint64_t *place = find(shard, &probe, key, key_size);
    uint64_t old = place != NULL ? load_slot(place) : 0;
    if (old != 0 &&
        rewrite(shard, hearth__slot_entry(shard, old), info, key_size, data, size)) {
        return true;
    }
    struct head head = compose(shard, info, key_size, size, 0);
    if (is_absence(&head)) {
        shard->absences_until = shard->appended + 2 * shard->values_end;
    }
    uint64_t bytes = head.count * 8 + hearth__padded(key_size) + hearth__padded(size);
    if (!append(shard, &probe, old, key, key_size, &head, bytes, data, size,
                relative(shard, info->read_ms))) {
        (void)hearth__shard_remove(shard, hash, key, key_size);
        return false;
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
