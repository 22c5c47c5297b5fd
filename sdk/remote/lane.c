/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include <hearth/errors.h>

/* A stroke each, as far as they go: two that share one wake each other for nothing. Those that came
 * one after the other are of one bell, so that one call wakes them. */
enum { STROKES = 32 };

bool hearth__lane_init(hearth__lane *lane, hearth__lane_set *set) {
    lane->set = set;
    atomic_init(&lane->fd, -1);
    return pthread_mutex_init(&lane->lock, NULL) == 0;
}

void hearth__lane_fini(hearth__lane *lane) {
    hearth__exchange *orphan = lane->flight.first;
    while (orphan != NULL) { /* nobody is inside, so these are all that there can be */
        hearth__exchange *next = orphan->next;
        hearth__exchange_free(orphan);
        orphan = next;
    }
    hearth__lane_close(lane);
    (void)pthread_mutex_destroy(&lane->lock);
}

/* ---- coming --------------------------------------------------------------------------------- */

static void append(hearth__line *line, hearth__exchange *exchange) {
    exchange->next = NULL;
    if (line->first == NULL) {
        line->first = exchange;
    } else {
        line->last->next = exchange;
    }
    line->last = exchange;
}

static void remove_from(hearth__line *line, const hearth__exchange *exchange) {
    hearth__exchange *before = NULL;
    hearth__exchange *at = line->first;
    while (at != exchange) {
        before = at;
        at = at->next;
    }
    if (before == NULL) {
        line->first = at->next;
    } else {
        before->next = at->next;
    }
    if (line->last == at) {
        line->last = before;
    }
}

bool hearth__lane_is_left(const hearth__lane *lane) {
    return !atomic_load_explicit(&lane->driven, memory_order_relaxed);
}

static bool is_idle(const hearth__lane *lane) {
    return hearth__lane_is_left(lane) &&
           atomic_load_explicit(&lane->load, memory_order_relaxed) == 0;
}

static void load(hearth__lane *lane, const hearth__exchange *exchange) {
    atomic_fetch_add_explicit(&lane->load, 1, memory_order_relaxed);
    if (exchange->bulky) {
        atomic_fetch_add_explicit(&lane->bulk, 1, memory_order_relaxed);
    }
}

void hearth__lane_adopt(hearth__lane *lane, hearth__exchange *exchange) {
    exchange->lane = lane;
    atomic_store(&exchange->state, HEARTH__EXCHANGE_LEFT);
    atomic_fetch_add_explicit(&lane->orphans, (int32_t)exchange->count, memory_order_relaxed);
    load(lane, exchange);
}

void hearth__lane_unload(hearth__lane *lane, const hearth__exchange *exchange) {
    atomic_fetch_sub_explicit(&lane->load, 1, memory_order_relaxed);
    if (exchange->bulky) {
        atomic_fetch_sub_explicit(&lane->bulk, 1, memory_order_relaxed);
    }
}

/* Under the lock. */
static void enqueue(hearth__lane *lane, hearth__exchange *exchange) {
    exchange->lane = lane;
    exchange->bell = lane->strokes / STROKES % HEARTH__LANE_BELLS;
    exchange->stroke = UINT32_C(1) << (lane->strokes++ % STROKES);
    append(&lane->queue, exchange);
    atomic_store_explicit(&lane->queues, true, memory_order_relaxed);
    if (atomic_load_explicit(&lane->load, memory_order_relaxed) == 0) {
        atomic_store_explicit(&lane->moved_ns, exchange->sent_ns, memory_order_relaxed);
    }
    load(lane, exchange);
}

/* Under the lock: who asked becomes the driver. */
static void drive(hearth__lane *lane, hearth__exchange *exchange) {
    atomic_store_explicit(&lane->driven, true, memory_order_relaxed);
    atomic_store_explicit(&exchange->drives, true, memory_order_relaxed);
}

void hearth__lane_queue(hearth__lane *lane, hearth__exchange *exchange) {
    pthread_mutex_lock(&lane->lock);
    enqueue(lane, exchange);
    pthread_mutex_unlock(&lane->lock);
}

enum hearth__joined hearth__lane_join(hearth__lane *lane, hearth__exchange *exchange,
                                      enum hearth__join how, bool waits) {
    enum hearth__joined joined = HEARTH__JOINED_NOT;
    pthread_mutex_lock(&lane->lock);
    bool may = hearth__lane_is_open(lane) &&
               hearth__lane_is_reserved(lane) == (how == HEARTH__JOIN_RESERVED) &&
               (how != HEARTH__JOIN_IDLE || is_idle(lane));
    if (may) {
        enqueue(lane, exchange);
        exchange->waits = waits;
        joined = HEARTH__JOINED_QUEUE;
        if (hearth__lane_is_left(lane)) {
            drive(lane, exchange);
            joined = HEARTH__JOINED_TO_DRIVE;
        }
    }
    pthread_mutex_unlock(&lane->lock);
    return joined;
}

void hearth__lane_admit(hearth__lane *lane, hearth__exchange *exchange, bool waits) {
    pthread_mutex_lock(&lane->lock);
    atomic_store_explicit(&lane->open, true, memory_order_relaxed);
    enqueue(lane, exchange);
    exchange->waits = waits;
    drive(lane, exchange);
    pthread_mutex_unlock(&lane->lock);
}

bool hearth__lane_take(hearth__lane *lane, bool idle) {
    pthread_mutex_lock(&lane->lock);
    bool taken = idle ? is_idle(lane) : hearth__lane_is_left(lane);
    if (taken) {
        atomic_store_explicit(&lane->driven, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lane->lock);
    return taken;
}

bool hearth__lane_is_idle(hearth__lane *lane) {
    hearth__drive drive = {.lane = lane};
    bool has_orphans = atomic_load_explicit(&lane->orphans, memory_order_relaxed) > 0;
    if (has_orphans && !hearth__lane_is_reserved(lane) && hearth__lane_is_left(lane) &&
        hearth__lane_take(lane, false)) {
        (void)hearth__lane_drain(&drive);
        hearth__lane_hand_over(&drive);
    }
    return is_idle(lane);
}

/* ---- handing over --------------------------------------------------------------------------- */

static bool is_left(const hearth__exchange *exchange) {
    return atomic_load_explicit(&exchange->state, memory_order_relaxed) ==
           HEARTH__EXCHANGE_LEFT;
}

/* Under the lock: the oldest whose caller waits. */
static hearth__exchange *heir_of(const hearth__lane *lane) {
    for (hearth__exchange *at = lane->flight.first; at != NULL; at = at->next) {
        if (at->waits && !is_left(at)) {
            return at;
        }
    }
    for (hearth__exchange *at = lane->queue.first; at != NULL; at = at->next) {
        if (at->waits) {
            return at;
        }
    }
    return NULL;
}

void hearth__lane_wake(hearth__drive *drive) {
    for (size_t i = 0; i < HEARTH__LANE_BELLS; i++) {
        if (drive->strokes.of[i] != 0) {
            hearth__bell_ring(&drive->lane->bells[i], drive->strokes.of[i]);
            drive->strokes.of[i] = 0;
        }
    }
}

void hearth__lane_hand_over(hearth__drive *drive) {
    hearth__lane *lane = drive->lane;
    pthread_mutex_lock(&lane->lock);
    hearth__exchange *heir = heir_of(lane);
    if (heir != NULL) {
        drive->strokes.of[heir->bell] |= heir->stroke;
        atomic_store_explicit(&heir->drives, true, memory_order_release);
    } else {
        atomic_store_explicit(&lane->driven, false, memory_order_relaxed);
    }
    bool is_awaited =
        heir == NULL && (hearth__lane_is_reserved(lane) || !hearth__lane_is_open(lane));
    pthread_mutex_unlock(&lane->lock);
    hearth__lane_wake(drive);
    if (is_awaited) {
        hearth__lane_set_changed(lane->set);
    }
}

void hearth__lane_leave(hearth__lane *lane) {
    hearth__drive drive = {.lane = lane};
    hearth__lane_hand_over(&drive);
}

/* ---- leaving -------------------------------------------------------------------------------- */

static int state_of(hearth__exchange *exchange) {
    return atomic_load_explicit(&exchange->state, memory_order_acquire);
}

static bool is_over(hearth__exchange *exchange) {
    int state = state_of(exchange);
    return state == HEARTH__EXCHANGE_DONE || state == HEARTH__EXCHANGE_FAILED;
}

void hearth__lane_judge(hearth__lane *lane, bool fits) {
    if (fits) {
        atomic_store_explicit(&lane->misfits, 0, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&lane->misfits, 1, memory_order_relaxed);
    }
}

/* Takes what others have read for us. */
static void take_kept(hearth__exchange *exchange, hearth__answer_taker *taker, void *arg) {
    uint32_t answered = atomic_load_explicit(&exchange->answered, memory_order_acquire);
    for (; exchange->taken < answered; exchange->taken++) {
        const hearth__request *request = &exchange->requests[exchange->taken];
        hearth__lane_judge(exchange->lane,
                           taker(arg, exchange->taken, &request->notes,
                                 hearth__exchange_kept(exchange, exchange->taken)));
    }
}

/* The exchange is ours again: the end of it. */
static hearth__outcome collect(hearth__exchange *exchange, hearth__answer_taker *taker,
                               void *arg) {
    hearth__outcome outcome = exchange->outcome;
    take_kept(exchange, taker, arg);
    outcome.answered = exchange->taken;
    if (state_of(exchange) == HEARTH__EXCHANGE_DONE) {
        outcome.status = HEARTH_OK;
        outcome.sent = exchange->count;
    }
    hearth__exchange_free(exchange);
    return outcome;
}

/* Leaves an exchange that is sent, or may be, to its lane. False: it has ended meanwhile. */
static bool leave_behind(hearth__exchange *exchange, hearth__outcome *outcome) {
    hearth__lane *lane = exchange->lane;
    int32_t count = (int32_t)exchange->count;
    int sent = HEARTH__EXCHANGE_SENT;
    *outcome = (hearth__outcome){
        .status = HEARTH_E_TIMEOUT, .answered = exchange->taken, .sent = exchange->count};
    atomic_fetch_add_explicit(&lane->orphans, count, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&exchange->state, &sent, HEARTH__EXCHANGE_LEFT)) {
        return true;
    }
    atomic_fetch_sub_explicit(&lane->orphans, count, memory_order_relaxed);
    return false;
}

/* The deadline has passed, and others drive. True: that was it. */
static bool give_up(hearth__drive *drive, hearth__outcome *outcome) {
    hearth__exchange *exchange = drive->own;
    hearth__lane *lane = exchange->lane;
    bool drives = false;
    bool gone = false;
    pthread_mutex_lock(&lane->lock);
    bool queued = state_of(exchange) == HEARTH__EXCHANGE_QUEUED;
    drives = atomic_load_explicit(&exchange->drives, memory_order_relaxed);
    if (queued) {
        remove_from(&lane->queue, exchange);
        hearth__lane_unload(lane, exchange);
        gone = true;
    } else if (!drives) {
        gone = leave_behind(exchange, outcome);
    }
    pthread_mutex_unlock(&lane->lock);
    if (queued) {
        *outcome = (hearth__outcome){.status = HEARTH_E_TIMEOUT};
        hearth__exchange_free(exchange);
    }
    if (queued && drives) {
        drive->own = NULL;
        hearth__lane_hand_over(drive);
    }
    return gone;
}

static hearth__outcome finish_driving(hearth__drive *drive, int64_t deadline_ns) {
    hearth__exchange *own = drive->own;
    hearth__outcome outcome;
    take_kept(own, drive->taker, drive->arg);
    (void)hearth__lane_drive(drive, deadline_ns);
    if (!is_over(own) && leave_behind(own, &outcome)) {
        drive->own = NULL;
        hearth__lane_hand_over(drive);
        return outcome;
    }
    hearth__lane_hand_over(drive);
    return collect(own, drive->taker, drive->arg);
}

/* Where something else was waited for since it was queued: nobody may drive. */
static void begin_to_wait(hearth__exchange *exchange) {
    hearth__lane *lane = exchange->lane;
    pthread_mutex_lock(&lane->lock);
    exchange->waits = true;
    if (hearth__lane_is_left(lane) && !is_over(exchange)) {
        drive(lane, exchange);
    }
    pthread_mutex_unlock(&lane->lock);
}

hearth__outcome hearth__lanes_finish(hearth__exchange *exchange, int64_t deadline_ns,
                                     hearth__answer_taker *taker, void *arg) {
    hearth__lane *lane = exchange->lane;
    hearth__drive drive = {.lane = lane, .own = exchange, .taker = taker, .arg = arg};
    hearth__bell *bell = &lane->bells[exchange->bell];
    hearth__outcome outcome;
    if (!exchange->waits) {
        begin_to_wait(exchange);
    } else {
        drive.now_ns = exchange->sent_ns; /* it was a moment ago */
    }
    for (;;) {
        uint32_t seen = hearth__bell_look(bell);
        if (atomic_load_explicit(&exchange->drives, memory_order_acquire)) {
            return finish_driving(&drive, deadline_ns);
        }
        drive.now_ns = 0;
        if (is_over(exchange)) {
            return collect(exchange, taker, arg);
        }
        if (!hearth__bell_await(bell, seen, exchange->stroke, deadline_ns)) {
            take_kept(exchange, taker, arg);
            if (give_up(&drive, &outcome)) {
                return outcome;
            }
        }
    }
}
