/* SPDX-License-Identifier: Apache-2.0 */
/* Makes room in a shard's logs: the walk over a log's tail, the border between the logs, the bytes that absences have. */
#include "base/hash.h"
#include "base/racy.h"
#include "base/stat.h"
#include "local/shard_inner.h"

/* ---- making room ------------------------------------------------------------------------ */

bool hearth__room_has(const hearth__shard *shard, enum hearth__log_id id, uint64_t bytes) {
    const hearth__log *log = &shard->logs[id];
    return hearth__log_fits(log, bytes + hearth__log_gap(log));
}

enum hearth__log_id hearth__room_home(const hearth__shard *shard, enum hearth__log_id id,
                                      uint64_t bytes) {
    const hearth__log *main = &shard->logs[HEARTH__MAIN];
    uint64_t in_window = shard->logs[HEARTH__WINDOW].end;
    uint64_t in_main = main->end - main->begin;
    enum hearth__log_id larger = in_window > in_main ? HEARTH__WINDOW : HEARTH__MAIN;
    return bytes <= (id == HEARTH__WINDOW ? in_window : in_main) / 4 ? id : larger;
}

/* Forgets what is at a log's tail. */
static void pop(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes) {
    hearth__log_pop(&shard->logs[id], bytes);
    hearth__shard_divide(shard);
}

/* Appends a copy of a live entry to a log that has the room, and moves its slot. The old bytes are dead, and to be forgotten. */
static void move_entry(hearth__shard *shard, _Atomic uint64_t *place,
                       const unsigned char *entry, uint64_t bytes, hearth__place to) {
    unsigned char *copy = NULL;
    uint64_t position = hearth__log_append(&shard->logs[to.log], bytes, &copy);
    hearth__racy_fence_release();
    hearth__racy_write(copy, entry, bytes);
    uint64_t tag = hearth__slot_load(place) >> HEARTH__SLOT_TAG_AT << HEARTH__SLOT_TAG_AT;
    hearth__slot_publish(place, hearth__slot_word(tag, to.log, to.mark, position));
}

/* The entry at a log's tail, and what is to become of it. */
struct tail {
    const unsigned char *entry;
    uint64_t bytes;
    uint64_t hash;
    _Atomic uint64_t *place;
    hearth__verdict verdict;
};

enum { AHEAD_BYTES = 4 * HEARTH__LINE };

static uint64_t tail_hash(const hearth__shard *shard, hearth__log *log) {
    uint64_t position = hearth__log_tail(log);
    if (log->known_tail != position) {
        const unsigned char *entry = log->space.base + log->tail;
        log->known_hash =
            hearth__hash_key(shard->secret, hearth__entry_key(entry),
                             hearth__entry_key_size(hearth__entry_word_at(entry, 1)));
        log->known_tail = position;
    }
    return log->known_hash;
}

/* Asks for the memory that a look at a log's tail needs, once for each entry that comes there. */
static void tail_ahead(const hearth__shard *shard, hearth__log *log) {
    if (log->used == 0 || log->known_tail == hearth__log_tail(log)) {
        return;
    }
    hearth__probe probe = hearth__probe_of(shard, tail_hash(shard, log));
    __builtin_prefetch(&shard->slots[probe.buckets[0]], 1);
    __builtin_prefetch(&shard->slots[probe.buckets[1]], 1);
    shard->policy->ahead(shard->policy_state, probe.hash);
    const unsigned char *entry = log->space.base + log->tail;
    const unsigned char *next = entry + hearth__entry_size(entry);
    __builtin_prefetch(next); /* its words and key are looked at as soon as it is at the tail */
    __builtin_prefetch(next + HEARTH__LINE);
}

void hearth__room_ahead(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes) {
    const hearth__log *log = &shard->logs[id];
    for (uint64_t at = 0; at < bytes && at < AHEAD_BYTES; at += HEARTH__LINE) {
        __builtin_prefetch(log->space.base + log->head + at,
                           1); /* else the unlock would wait for it */
    }
    tail_ahead(shard, &shard->logs[HEARTH__WINDOW]);
    tail_ahead(shard, &shard->logs[HEARTH__MAIN]);
}

static bool can_move(const hearth__walk *walk, uint64_t bytes) {
    return walk->moves != 0 && walk->bytes >= bytes;
}

/* Looks at a log's tail. False: what was there is dead, and gone now. */
static bool look_at_tail(hearth__shard *shard, enum hearth__log_id id, const hearth__walk *walk,
                         struct tail *tail) {
    hearth__log *log = &shard->logs[id];
    tail->entry = log->space.base + log->tail;
    tail->bytes = hearth__entry_size(tail->entry);
    tail->hash = tail_hash(shard, log);
    hearth__probe probe = hearth__probe_of(shard, tail->hash);
    tail->place = hearth__slot_find(shard, &probe, id, hearth__log_tail(log));
    if (tail->place == NULL) {
        log->dead -= tail->bytes;
        pop(shard, id, tail->bytes);
        return false;
    }
    unsigned mark = hearth__slot_mark(hearth__slot_load(tail->place));
    bool room_in_main = shard->fills && hearth__room_has(shard, HEARTH__MAIN, tail->bytes);
    tail->verdict = shard->policy->judge(shard->policy_state, id, mark, room_in_main);
    tail->verdict.keep = tail->verdict.keep && can_move(walk, tail->bytes);
    tail->verdict.to.log = hearth__room_home(shard, tail->verdict.to.log, tail->bytes);
    if (tail->verdict.keep && room_in_main && tail->verdict.to.log == HEARTH__WINDOW &&
        !hearth__log_fits(&shard->logs[HEARTH__WINDOW], tail->bytes)) {
        tail->verdict.to.log = HEARTH__MAIN; /* the window has become too narrow to go round */
    }
    return true;
}

static void drop_tail(hearth__shard *shard, enum hearth__log_id id, const struct tail *tail,
                      const hearth__walk *walk) {
    bool over = hearth__entry_hard(hearth__entry_word_at(tail->entry, 1)) <= walk->now;
    hearth__slot_discount(shard, hearth__slot_load(tail->place));
    atomic_store_explicit(tail->place, 0, memory_order_relaxed);
    if (!over) {
        shard->policy->dropped(shard->policy_state, id, tail->hash, tail->bytes);
        HEARTH__COUNT(shard->counters, local_evictions);
    }
}

/* Moves the entry at the tail to where its verdict says, or drops it if there is no room or others used up the moves. */
static void settle_tail(hearth__shard *shard, enum hearth__log_id id, const struct tail *tail,
                        hearth__walk *walk) {
    bool over = hearth__entry_hard(hearth__entry_word_at(tail->entry, 1)) <= walk->now;
    bool moves = tail->verdict.keep && !over && can_move(walk, tail->bytes) &&
                 hearth__log_fits(&shard->logs[tail->verdict.to.log], tail->bytes);
    if (moves) {
        walk->moves--;
        walk->bytes -= tail->bytes;
        move_entry(shard, tail->place, tail->entry, tail->bytes, tail->verdict.to);
        HEARTH__COUNT(shard->counters, local_moves);
    } else {
        drop_tail(shard, id, tail, walk);
    }
    pop(shard, id, tail->bytes);
}

static void judge_tail(hearth__shard *shard, enum hearth__log_id id, hearth__walk *walk) {
    struct tail tail;
    if (look_at_tail(shard, id, walk, &tail)) {
        settle_tail(shard, id, &tail, walk);
    }
}

static void make_room_in_main(hearth__shard *shard, uint64_t bytes, hearth__walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__MAIN];
    while (!hearth__room_has(shard, HEARTH__MAIN, bytes) && log->used != 0) {
        if (shard->fills) {
            shard->fills = false;
        }
        judge_tail(shard, HEARTH__MAIN, walk);
    }
}

/* Where much is dead, what leaves the window gets the place of that, but of nothing that lives. */
static void forget_dead(hearth__shard *shard, uint64_t bytes, const hearth__walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__MAIN];
    struct tail tail;
    while (shard->fills && log->used != 0 && !hearth__room_has(shard, HEARTH__MAIN, bytes) &&
           !look_at_tail(shard, HEARTH__MAIN, walk, &tail)) {
    }
}

/* What goes on from the window needs room in the main log first. */
static void make_room_in_window(hearth__shard *shard, uint64_t bytes, hearth__walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__WINDOW];
    struct tail tail;
    while (!hearth__room_has(shard, HEARTH__WINDOW, bytes) && log->used != 0) {
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
static bool raise_lowest(hearth__shard *shard, hearth__walk *walk) {
    hearth__log *log = &shard->logs[HEARTH__MAIN];
    log->is_raised = true; /* else it could be appended just before itself */
    const unsigned char *entry = log->space.base + log->begin;
    uint64_t bytes = hearth__entry_size(entry);
    uint64_t hash = hearth__hash_key(shard->secret, hearth__entry_key(entry),
                                     hearth__entry_key_size(hearth__entry_word_at(entry, 1)));
    hearth__probe probe = hearth__probe_of(shard, hash);
    _Atomic uint64_t *place = hearth__slot_find(
        shard, &probe, HEARTH__MAIN, hearth__log_position(log, log->lap, log->begin));
    if (place == NULL) {
        log->dead -= bytes;
    } else if (!can_move(walk, bytes) || !hearth__room_has(shard, HEARTH__MAIN, bytes)) {
        return false;
    } else {
        walk->moves--;
        walk->bytes -= bytes;
        move_entry(shard, place, entry, bytes,
                   (hearth__place){HEARTH__MAIN, hearth__slot_mark(hearth__slot_load(place))});
        HEARTH__COUNT(shard->counters, local_moves);
    }
    hearth__log_pop_begin(log, bytes);
    hearth__shard_divide(shard);
    return true;
}

/*
 * The window's head has come to the main log's lowest entries, and the policy wants it to have more: these go. Some at each
 * store, and half of the walk is kept for the store itself; if that is not enough, the window turns once more.
 */
enum { RAISES = 8 };

/* The main log's tail is in the way: it stays if there is room for it, whatever it would be worth elsewhere. */
static void lift_tail(hearth__shard *shard, hearth__walk *walk) {
    struct tail tail;
    if (look_at_tail(shard, HEARTH__MAIN, walk, &tail)) {
        if (hearth__room_has(shard, HEARTH__MAIN, tail.bytes)) {
            unsigned mark = hearth__slot_mark(hearth__slot_load(tail.place));
            tail.verdict = (hearth__verdict){.keep = true, .to = {HEARTH__MAIN, mark}};
        }
        settle_tail(shard, HEARTH__MAIN, &tail, walk);
    }
}

static void raise_border(hearth__shard *shard, uint64_t bytes, hearth__walk *walk) {
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
            hearth__shard_divide(shard);
        } else if (main->turn == 0 || is_lap_empty || !raise_lowest(shard, walk)) {
            lift_tail(shard, walk);
        }
    }
}

/*
 * The window is to shrink to where its head has not yet come in this lap: what is left of the lap before goes a little faster
 * than usual, so that nothing of it is left when the head is there.
 */
static void lower_window(hearth__shard *shard, hearth__walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__WINDOW];
    for (int i = 0; i < RAISES && log->turn > log->end && log->head < log->end &&
                    walk->moves > HEARTH__WALK_MOVES / 2;
         i++) {
        double left = (double)(log->end - log->head) / (double)log->end;
        if ((double)(log->turn - log->tail) <= left * (double)log->turn) {
            return;
        }
        judge_tail(shard, HEARTH__WINDOW, walk);
    }
}

/* ---- absences --------------------------------------------------------------------------- */

static void drop_oldest_absence(hearth__shard *shard, const hearth__walk *walk) {
    hearth__log *log = &shard->logs[HEARTH__NEGATIVE];
    const unsigned char *entry = log->space.base + log->tail;
    uint64_t bytes = hearth__entry_size(entry);
    hearth__probe probe = hearth__probe_of(shard, tail_hash(shard, log));
    _Atomic uint64_t *place =
        hearth__slot_find(shard, &probe, HEARTH__NEGATIVE, hearth__log_tail(log));
    if (place != NULL) {
        hearth__slot_unlink(shard, place);
        if (hearth__entry_hard(hearth__entry_word_at(entry, 1)) > walk->now) {
            HEARTH__COUNT(shard->counters, local_evictions);
        }
    }
    log->dead -= bytes;
    pop(shard, HEARTH__NEGATIVE, bytes);
}

bool hearth__room_is_vacant(const hearth__shard *shard) {
    return hearth__log_highest(&shard->logs[HEARTH__MAIN]) <= shard->values_end &&
           hearth__log_highest(&shard->logs[HEARTH__WINDOW]) <= shard->values_end;
}

/* Moves some of the main log's entries on, so that it will leave them. What the policy would let go goes, until the others have
 * room enough without them; then all others are kept as they are. */
enum { VACATES = 8 };

static void vacate(hearth__shard *shard, hearth__walk *walk) {
    const hearth__log *main = &shard->logs[HEARTH__MAIN];
    struct tail tail;
    for (int i = 0; i < VACATES && main->used != 0 && !hearth__room_is_vacant(shard); i++) {
        if (look_at_tail(shard, HEARTH__MAIN, walk, &tail)) {
            if (main->next_begin + main->used + hearth__log_gap(main) <= shard->values_end) {
                unsigned mark = hearth__slot_mark(hearth__slot_load(tail.place));
                tail.verdict = (hearth__verdict){.keep = true, .to = {HEARTH__MAIN, mark}};
            }
            settle_tail(shard, HEARTH__MAIN, &tail, walk);
        }
    }
}

static void make_room_for_absence(hearth__shard *shard, uint64_t bytes, hearth__walk *walk) {
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

static void release_absences(hearth__shard *shard, const hearth__walk *walk) {
    const hearth__log *log = &shard->logs[HEARTH__NEGATIVE];
    for (int i = 0; i < RELEASES && log->used != 0 && !hearth__shard_keeps_absences(shard);
         i++) {
        drop_oldest_absence(shard, walk);
    }
}

/* ---- all of it -------------------------------------------------------------------------- */

void hearth__room_make(hearth__shard *shard, enum hearth__log_id id, uint64_t bytes,
                       hearth__walk *walk) {
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
