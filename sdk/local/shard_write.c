/* SPDX-License-Identifier: Apache-2.0 */
/* Stores and removals: all under the shard's lock. See shard.h for the order that readers rely on.
 * Longer than 400 lines: a store is read from its beginning to its end. */
#include "base/racy.h"
#include "base/stat.h"
#include "local/shard_inner.h"
#include "local/sight.h"

#include <string.h>

/* An entry's words before its key, and how many. */
struct head {
    uint64_t words[HEARTH__ENTRY_WORDS + HEARTH__ENTRY_EXTRA_WORDS];
    size_t count;
};

/* What is to be stored, and the entry that it makes. */
struct incoming {
    hearth__probe probe;
    const void *key;
    size_t key_size;
    const hearth__local_entry *info;
    const void *data;
    size_t size;
    struct head head;
    uint64_t bytes; /* of the entry */
    uint64_t old;   /* the slot of what it replaces; 0: nothing */
};

enum { FORGET_SLOTS = 512 }; /* under the lock at once */
enum { SHARE_SLOTS = 64 };   /* that one store looks at for what its family may give up */

/* ---- slots ------------------------------------------------------------------------------ */

static bool is_key(const unsigned char *entry, const void *key, size_t key_size) {
    return hearth__entry_key_size(hearth__entry_word_at(entry, 1)) == key_size &&
           memcmp(hearth__entry_key(entry), key, key_size) == 0;
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
            uint64_t slot = hearth__slot_load(place);
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

/* Whose entry goes first when there is no free slot: an absence; else that of least mark, then in the window before the main log,
 * then the oldest. What dies in the window leaves no hole for long; in the main log, which may stand still, it would. */
static uint64_t rank_of(uint64_t slot) {
    return hearth__slot_log(slot) == HEARTH__NEGATIVE
               ? slot & HEARTH__SLOT_POSITION_MASK
               : slot & ~(UINT64_MAX << HEARTH__SLOT_TAG_AT);
}

/* A slot of the key's whose entry goes for it. For an absence no value goes: NULL. */
static __attribute__((noinline)) _Atomic uint64_t *
take_slot(hearth__shard *shard, const hearth__probe *probe, enum hearth__log_id log) {
    _Atomic uint64_t *victim = NULL;
    uint64_t least = log == HEARTH__NEGATIVE ? HEARTH__SLOT_POSITION_MASK : UINT64_MAX;
    for (size_t i = 0; i < CANDIDATES; i++) {
        _Atomic uint64_t *place = candidate(shard, probe, i);
        uint64_t slot = hearth__slot_load(place);
        if (rank_of(slot) < least) {
            least = rank_of(slot);
            victim = place;
        }
    }
    if (victim != NULL) {
        hearth__slot_unlink(shard, victim);
        HEARTH__COUNT(shard->counters, local_index_evictions);
    }
    return victim;
}

/* A free slot of the key's, or one that is taken for it. NULL: it is an absence, and there is none. */
static _Atomic uint64_t *free_slot(hearth__shard *shard, const hearth__probe *probe,
                                   enum hearth__log_id log) {
    for (size_t i = 0; i < 2; i++) {
        _Atomic uint64_t *bucket = &shard->slots[probe->buckets[i]];
        for (unsigned none = hearth__tags_equal(bucket, 0); none != 0; none &= none - 1) {
            _Atomic uint64_t *place = &bucket[hearth__tags_first(none)];
            if (hearth__slot_load(place) == 0) {
                return place;
            }
        }
    }
    return take_slot(shard, probe, log);
}

/* Whether the negative log has the room, and there is a slot that no value needs: if none is free, an absence goes for it. */
static bool fits_absence(hearth__shard *shard, const struct incoming *new) {
    return hearth__room_is_vacant(shard) &&
           hearth__log_fits(&shard->logs[HEARTH__NEGATIVE], new->bytes) &&
           (find(shard, &new->probe, new->key, new->key_size) != NULL ||
            free_slot(shard, &new->probe, HEARTH__NEGATIVE) != NULL);
}

/* ---- storing ---------------------------------------------------------------------------- */

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

/* Where the lead before the soft expiry begins, and how long it is: as much of it as there is time. */
static uint64_t soft_word(const hearth__shard *shard, const hearth__local_entry *entry) {
    uint64_t soft = relative(shard, entry->soft_expiry_ms);
    if (soft == HEARTH__ENTRY_NEVER) {
        return soft << 24;
    }
    uint64_t lead = entry->lead_ms < 0xffffff ? entry->lead_ms : 0xffffff;
    lead = lead < soft ? lead : soft;
    return (soft - lead) << 24 | lead;
}

/* What a value takes with its tags. */
static size_t stored_size(const struct incoming *new) {
    return new->size + hearth__entry_tags_bytes(new->info->tags_size);
}

/* With soft expiry or version where the flags `layout` say so, even if there is none. */
static struct head compose(const hearth__shard *shard, const struct incoming *new,
                           uint32_t layout) {
    const hearth__local_entry *entry = new->info;
    struct head head = {.count = HEARTH__ENTRY_WORDS};
    uint64_t flags =
        (entry->absent ? HEARTH__ENTRY_ABSENT : 0u) | (entry->stale ? HEARTH__ENTRY_STALE : 0u);
    if (entry->soft_expiry_ms != HEARTH__LOCAL_FOREVER || (layout & HEARTH__ENTRY_SOFT) != 0) {
        flags |= HEARTH__ENTRY_SOFT;
        head.words[head.count++] = soft_word(shard, entry);
    }
    if (entry->version != 0 || (layout & HEARTH__ENTRY_VERSION) != 0) {
        flags |= HEARTH__ENTRY_VERSION;
        head.words[head.count++] = entry->version;
    }
    if (!entry->bare || entry->content != 0 || entry->tags_size != 0) {
        uint64_t read = (uint64_t)(entry->read_ms - shard->opened_ms) << 24;
        uint64_t born = (uint64_t)(entry->born_ms - shard->opened_ms) << 24;
        flags |= HEARTH__ENTRY_ORIGIN;
        head.words[head.count++] = read | (entry->content & 0xffffff);
        head.words[head.count++] = born | (uint64_t)entry->source << HEARTH__ENTRY_SOURCE_AT |
                                   entry->content >> 24 |
                                   (entry->tags_size != 0 ? HEARTH__ENTRY_TAGGED : 0);
    }
    flags |= (head.count - HEARTH__ENTRY_WORDS) * HEARTH__ENTRY_ONE_WORD;
    head.words[0] = stored_size(new);
    head.words[1] =
        relative(shard, entry->hard_expiry_ms) << 24 | (uint64_t) new->key_size << 8 | flags;
    return head;
}

/* Tags and what is known of them, before the value. */
static unsigned char *write_tags(unsigned char *to, const hearth__local_entry *info) {
    const uint64_t words[HEARTH__TAGS_WORDS] = {[HEARTH__TAGS_WORD_EPOCH] = info->tags_epoch,
                                                [HEARTH__TAGS_WORD_ASKED] =
                                                    (uint64_t)info->tags_ms,
                                                [HEARTH__TAGS_WORD_STAMP] = info->stamp,
                                                [HEARTH__TAGS_WORD_SIZE] = info->tags_size};
    hearth__racy_write(to, words, sizeof words);
    hearth__racy_write(to + sizeof words, info->tags, info->tags_size);
    return to + hearth__entry_tags_bytes(info->tags_size);
}

static void write_value(unsigned char *entry, const struct head *head,
                        const struct incoming *new) {
    unsigned char *value = entry + head->count * 8 + hearth__padded(new->key_size);
    hearth__racy_write(entry + 8, &head->words[1], (head->count - 1) * 8);
    if (new->info->tags_size != 0) {
        value = write_tags(value, new->info);
    }
    hearth__racy_write(value, new->data, new->size);
}

static uint64_t bytes_of(const struct head *head, const struct incoming *new) {
    return head->count * 8 + hearth__padded(new->key_size) + hearth__padded(stored_size(new));
}

/* Whether what is to be said has the words that the entry has, and in the same log. */
static bool fits_in_place(const unsigned char *entry, const struct head *head, uint64_t bytes) {
    uint64_t changed = hearth__entry_flags(hearth__entry_word_at(entry, 1)) ^
                       hearth__entry_flags(head->words[1]);
    return hearth__entry_size(entry) == bytes &&
           (changed & ~(uint64_t)HEARTH__ENTRY_STALE) == 0;
}

/* Rewrites a live entry where it stands, if it can be. Readers see by its sequence that they have to look again. */
static bool rewrite(const hearth__shard *shard, unsigned char *entry,
                    const struct incoming *new) {
    struct head head =
        compose(shard, new, hearth__entry_flags(hearth__entry_word_at(entry, 1)));
    if (!fits_in_place(entry, &head, bytes_of(&head, new))) {
        return false;
    }
    uint64_t *word0 = (uint64_t *)(void *)entry;
    uint64_t sequence = *word0 >> 32;
    __atomic_store_n(word0, (sequence + 1) << 32 | (*word0 & 0xffffffff), __ATOMIC_RELAXED);
    hearth__racy_fence_release();
    write_value(entry, &head, new);
    __atomic_store_n(word0, ((sequence + 2) & 0xffffffff) << 32 | head.words[0],
                     __ATOMIC_RELEASE);
    return true;
}

/* Where the policy wants a new entry to begin; a value that replaces another stays where that was. */
static hearth__place admit(hearth__shard *shard, const struct incoming *new) {
    if (new->info->absent) {
        return (hearth__place){.log = HEARTH__NEGATIVE};
    }
    hearth__place place = {.log = hearth__slot_log(new->old),
                           .mark = hearth__slot_mark(new->old)};
    return new->old == 0 || place.log == HEARTH__NEGATIVE
               ? shard->policy->admit(shard->policy_state, new->probe.hash, new->bytes)
               : place;
}

/* Small ones come many at a time, and room for one more is no loss. */
enum { FORESEEN_MAX = 4096 };

/* Makes room for one more like the last that was appended, which this one is likely to be, while what its key needs is on its way
 * from memory. True: that has been done. */
static bool make_room_ahead(hearth__shard *shard, hearth__walk *walk) {
    if (shard->foreseen_bytes != 0) {
        hearth__shard_consult(shard);
        hearth__room_make(shard, (enum hearth__log_id)shard->foreseen_log,
                          shard->foreseen_bytes, walk);
    }
    return shard->foreseen_bytes != 0;
}

static void foresee(hearth__shard *shard, enum hearth__log_id log, uint64_t bytes) {
    shard->foreseen_log = (uint8_t)log;
    shard->foreseen_bytes =
        log != HEARTH__NEGATIVE && bytes <= FORESEEN_MAX ? (uint16_t)bytes : 0;
}

/* Whether a value can be appended to a log as things are. */
static bool has_room(const hearth__shard *shard, enum hearth__log_id log, uint64_t bytes) {
    return log != HEARTH__NEGATIVE && hearth__room_home(shard, log, bytes) == log &&
           hearth__room_has(shard, log, bytes);
}

/* In the log that it is to begin in, or in another that suits its size. */
static void make_room(hearth__shard *shard, enum hearth__log_id *log, uint64_t bytes,
                      hearth__walk *walk) {
    hearth__shard_consult(shard);
    if (*log != HEARTH__NEGATIVE) {
        *log = hearth__room_home(shard, *log, bytes);
    }
    hearth__room_make(shard, *log, bytes, walk);
}

/* Appends a new entry and gives the key's slot to it. False: there was no room. */
static bool append(hearth__shard *shard, const struct incoming *new, bool was_foreseen,
                   hearth__walk *walk) {
    if (new->bytes * 4 > walk->bytes) {
        walk->bytes = new->bytes * 4;
    }
    hearth__place to = admit(shard, new);
    if (!was_foreseen || !has_room(shard, to.log, new->bytes)) {
        make_room(shard, &to.log, new->bytes, walk);
    }
    if (to.log != HEARTH__NEGATIVE ? !hearth__log_fits(&shard->logs[to.log], new->bytes)
                                   : !fits_absence(shard, new)) {
        return false;
    }
    unsigned char *entry = NULL;
    uint64_t position = hearth__log_append(&shard->logs[to.log], new->bytes, &entry);
    hearth__racy_fence_release();
    hearth__racy_write(entry, &new->head.words[0], 8);
    hearth__racy_write(entry + new->head.count * 8, new->key, new->key_size);
    write_value(entry, &new->head, new);
    /* Making room may have moved or dropped the old entry, so the slot is looked for only now. */
    _Atomic uint64_t *place =
        new->old != 0 ? find(shard, &new->probe, new->key, new->key_size) : NULL;
    if (place != NULL) {
        hearth__slot_dies(shard, hearth__slot_load(place));
        hearth__slot_discount(shard, hearth__slot_load(place));
    } else {
        place = free_slot(shard, &new->probe, to.log);
    }
    hearth__family_take(shard, new->key, new->key_size, new->bytes);
    shard->entries++;
    shard->absences += to.log == HEARTH__NEGATIVE;
    shard->appended += to.log != HEARTH__NEGATIVE ? new->bytes : 0;
    hearth__slot_publish(place, hearth__slot_word(new->probe.tag, to.log, to.mark, position));
    hearth__room_ahead(shard, to.log, new->bytes);
    foresee(shard, to.log, new->bytes);
    return true;
}

/* ---- a family's share ------------------------------------------------------------------- */

/* For what a family gives up entries. */
struct claim {
    hearth__shard_family *family;
    uint64_t bytes;
    uint64_t now;
    bool absence; /* no value goes for it */
};

static bool may_go(const hearth__shard *shard, const struct claim *claim, uint64_t slot) {
    return slot != 0 && (!claim->absence || hearth__slot_log(slot) == HEARTH__NEGATIVE) &&
           hearth__entry_family(shard, hearth__slot_entry(shard, slot)) == claim->family;
}

/* The hand is at a slot: what is the family's goes if nobody read it since, else it has a mark less. */
static void let_go(hearth__shard *shard, const struct claim *claim, _Atomic uint64_t *place) {
    uint64_t slot = hearth__slot_load(place);
    if (!may_go(shard, claim, slot)) {
        return;
    }
    const unsigned char *entry = hearth__slot_entry(shard, slot);
    bool over = hearth__entry_hard(hearth__entry_word_at(entry, 1)) <= claim->now;
    if (hearth__slot_mark(slot) != 0 && !over) { /* readers only raise it */
        atomic_fetch_sub_explicit(place, HEARTH__SLOT_MARK_ONE, memory_order_relaxed);
        return;
    }
    hearth__slot_unlink(shard, place);
    if (!over) {
        HEARTH__COUNT(shard->counters, local_evictions);
    }
}

static bool is_within(const struct claim *claim) {
    return claim->family->bytes + claim->bytes <= claim->family->limit;
}

/* Whether the family may have so much more, once it has given up for it what a short look finds. */
static bool fits_share(hearth__shard *shard, const struct claim *claim) {
    hearth__shard_family *family = claim->family;
    uint64_t slots = shard->buckets * HEARTH__BUCKET_SLOTS;
    bool can = claim->bytes <= family->limit;
    for (int i = 0; can && !is_within(claim) && i < SHARE_SLOTS; i++) {
        family->hand = family->hand + 1 < slots ? family->hand + 1 : 0;
        let_go(shard, claim, &shard->slots[family->hand]);
    }
    return is_within(claim);
}

/* Whether an entry is within its family's limit, if that has one. What it replaces, at `old`, is gone then: its bytes are free. */
static __attribute__((noinline)) bool fits_limits(hearth__shard *shard, _Atomic uint64_t *old,
                                                  const struct incoming *new, uint64_t now) {
    struct claim claim = {.family = hearth__family_of(shard, new->key, new->key_size),
                          .bytes = new->bytes,
                          .now = now,
                          .absence = new->info->absent};
    if (claim.family == NULL || !claim.family->is_limited) {
        return true;
    }
    if (old != NULL) {
        hearth__slot_unlink(shard, old);
    }
    return fits_share(shard, &claim);
}

/* Keeps a value that is not too large. False: there is no room that it may have. */
static bool keep(hearth__shard *shard, struct incoming *new) {
    hearth__walk walk = {.now = relative(shard, new->info->read_ms),
                         .moves = HEARTH__WALK_MOVES,
                         .bytes = HEARTH__WALK_MOVED_BYTES};
    bool was_foreseen = make_room_ahead(shard, &walk);
    _Atomic uint64_t *place = find(shard, &new->probe, new->key, new->key_size);
    new->old = place != NULL ? hearth__slot_load(place) : 0;
    if (new->old != 0 && rewrite(shard, hearth__slot_entry(shard, new->old), new)) {
        shard->foreseen_bytes = 0;
        return true;
    }
    new->head = compose(shard, new, 0);
    new->bytes = bytes_of(&new->head, new);
    if (new->info->absent) {
        shard->absences_until = shard->appended + 2 * shard->values_end;
    }
    return (!shard->has_limits || fits_limits(shard, place, new, walk.now)) &&
           append(shard, new, was_foreseen, &walk);
}

bool hearth__shard_store(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                         const hearth__local_entry *info, const void *data, size_t size) {
    struct incoming new = {.probe = hearth__probe_of(shard, hash),
                           .key = key,
                           .key_size = key_size,
                           .info = info,
                           .data = data,
                           .size = size};
    bool fits = key_size <= shard->max_entry_bytes &&
                stored_size(&new) <= shard->max_entry_bytes - key_size;
    if (!fits || !keep(shard, &new)) {
        (void)hearth__shard_remove(shard, hash, key, key_size);
        return false;
    }
    return true;
}

/* Whether a live entry has tags, and this version. */
static bool is_tagged_version(const hearth__shard *shard, const unsigned char *entry,
                              uint64_t version) {
    hearth__local_raw raw = {.opened_ms = shard->opened_ms,
                             .word1 = hearth__entry_word_at(entry, 1)};
    uint32_t flags = hearth__entry_flags(raw.word1);
    hearth__local_entry kept;
    memcpy(raw.extra, entry + (size_t)HEARTH__ENTRY_WORDS * 8,
           (hearth__entry_words(flags) - HEARTH__ENTRY_WORDS) * 8);
    hearth__local_decode(&raw, &kept);
    return hearth__raw_is_tagged(&raw, flags) && kept.version == version;
}

void hearth__shard_retag(hearth__shard *shard, uint64_t hash, const void *key, size_t key_size,
                         const hearth__local_entry *info) {
    hearth__probe probe = hearth__probe_of(shard, hash);
    const _Atomic uint64_t *place = find(shard, &probe, key, key_size);
    unsigned char *entry =
        place != NULL ? hearth__slot_entry(shard, hearth__slot_load(place)) : NULL;
    if (entry == NULL || !is_tagged_version(shard, entry, info->version)) {
        return;
    }
    size_t at = hearth__entry_words(hearth__entry_flags(hearth__entry_word_at(entry, 1))) * 8 +
                hearth__padded(key_size);
    uint64_t *words = (uint64_t *)(void *)(entry + at);
    /* Of a new epoch with an old time nothing is trusted for too long; an old epoch is not that of now, whatever the time. */
    __atomic_store_n(&words[HEARTH__TAGS_WORD_EPOCH], info->tags_epoch, __ATOMIC_RELAXED);
    __atomic_store_n(&words[HEARTH__TAGS_WORD_ASKED], (uint64_t)info->tags_ms,
                     __ATOMIC_RELAXED);
}

bool hearth__shard_remove(hearth__shard *shard, uint64_t hash, const void *key,
                          size_t key_size) {
    hearth__probe probe = hearth__probe_of(shard, hash);
    _Atomic uint64_t *place = find(shard, &probe, key, key_size);
    if (place != NULL) {
        hearth__slot_unlink(shard, place);
    }
    return place != NULL;
}

size_t hearth__shard_forget(hearth__shard *shard, size_t at,
                            bool (*wants)(void *arg, const void *key, size_t key_size),
                            void *arg) {
    size_t count = shard->buckets * HEARTH__BUCKET_SLOTS;
    size_t end = count - at < FORGET_SLOTS ? count : at + FORGET_SLOTS;
    for (; at < end; at++) {
        uint64_t slot = hearth__slot_load(&shard->slots[at]);
        if (slot != 0) {
            const unsigned char *entry = hearth__slot_entry(shard, slot);
            uint64_t word1 = hearth__entry_word_at(entry, 1);
            if (wants(arg, hearth__entry_key(entry), hearth__entry_key_size(word1))) {
                hearth__slot_unlink(shard, &shard->slots[at]);
            }
        }
    }
    return end;
}
