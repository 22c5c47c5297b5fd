/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/stat.h"
#include "remote/socket.h"

#include <hearth/errors.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum {
    CHUNK_BYTES = HEARTH__LANE_CHUNK, /* a read in a large value */
    SMALL_CHUNK_BYTES = 16 * 1024,    /* else: a parser may move what lies behind each reply */
    MUCH_BYTES = 16 * 1024,           /* a reply that is worth large reads */
    BULKY_BYTES = 64 * 1024,          /* and one that others shall not stand behind */
    LATE_MAX = 64,                    /* reads after the deadline of what had come by then */
    ORPHANS_MAX = 1024,
    ORPHAN_BYTES_MAX = 1 << 20,
    MISFITS_MAX = 2,
};

/* A wait by the socket's own timeout, HEARTH__LANE_WAIT_MS, ends within this. */
#define SHORT_WAIT_NS (INT64_C(4000000) * HEARTH__LANE_WAIT_MS)

static int socket_of(hearth__lane *lane) {
    return atomic_load_explicit(&lane->fd, memory_order_relaxed);
}

static const hearth__codec *codec_of(const hearth__lane *lane) {
    return lane->set->lanes->codec;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* It is no longer the lane's, unless nobody waits for it. */
static void part_with(hearth__drive *drive, hearth__exchange *exchange, int state) {
    hearth__lane *lane = drive->lane;
    uint32_t bell = exchange->bell;
    uint32_t stroke = exchange->stroke;
    int sent = HEARTH__EXCHANGE_SENT;
    hearth__lane_unload(lane, exchange);
    if (exchange == drive->own) {
        atomic_store_explicit(&exchange->state, state, memory_order_relaxed);
    } else if (atomic_compare_exchange_strong(&exchange->state, &sent, state)) {
        drive->strokes.of[bell] |= stroke;
    } else {
        if (state == HEARTH__EXCHANGE_DONE) {
            hearth__lane_answered_late(lane, exchange);
        }
        atomic_fetch_sub_explicit(&lane->orphans, (int32_t)exchange->count,
                                  memory_order_relaxed);
        hearth__exchange_free(exchange);
    }
}

static void complete_first(hearth__drive *drive) {
    hearth__lane *lane = drive->lane;
    hearth__exchange *first = lane->flight.first;
    lane->doomed = lane->doomed || lane->unsent == first;
    lane->flight.first = first->next;
    lane->heard_requests = 0;
    part_with(drive, first, HEARTH__EXCHANGE_DONE);
}

static void answer(hearth__drive *drive, hearth__exchange *exchange, hearth__kept kept) {
    hearth__lane *lane = drive->lane;
    uint32_t index = lane->heard_requests++;
    if (exchange == drive->own) {
        exchange->taken = index + 1;
        hearth__lane_judge(
            lane, drive->taker(drive->arg, index, &exchange->requests[index].notes, kept));
    } else if (atomic_load_explicit(&exchange->state, memory_order_relaxed) ==
               HEARTH__EXCHANGE_LEFT) {
        lane->dropped += kept.size;
    } else {
        hearth__exchange_keep(exchange, index, kept);
    }
    uint32_t count = exchange->count;
    atomic_store_explicit(&exchange->answered, index + 1, memory_order_release);
    if (index + 1 == count) {
        complete_first(drive);
    }
}

/* Answers that came together came at one time: the clock is not looked at for each. Not at all for the only one of who drives: it
 * is taken at once, and perhaps without asking when. */
static int64_t heard_at(hearth__drive *drive, const hearth__exchange *exchange) {
    if (exchange == drive->own && exchange->count == 1) {
        return 0;
    }
    if (drive->wall_ms == 0) {
        drive->wall_ms = hearth__wall_ms();
    }
    return drive->wall_ms;
}

/* How much of an exchange is sent before its request's next reply can come. */
static size_t needed_by(const hearth__request *request) {
    const hearth__notes *notes = &request->notes;
    return notes->first != 0 && notes->heard == 0 ? request->begin + notes->first
                                                  : request->end;
}

static bool hear(void *arg, const void *reply) {
    hearth__drive *drive = arg;
    hearth__lane *lane = drive->lane;
    hearth__exchange *first = lane->flight.first;
    if (first == NULL || lane->doomed) {
        return false; /* nobody asked for it */
    }
    hearth__request *request = &first->requests[lane->heard_requests];
    hearth__kept kept = {0};
    if (lane->sent <= first->begin + request->begin) {
        return false; /* nobody can have answered it */
    }
    bool half_sent = lane->sent < first->begin + needed_by(request);
    request->notes.source = atomic_load_explicit(&lane->source, memory_order_relaxed);
    enum hearth__heard heard = codec_of(lane)->hear(&request->notes, reply, half_sent, &kept);
    if (heard == HEARTH__HEARD_ALL) {
        request->notes.wall_ms = heard_at(drive, first);
        if (request->notes.epoch != 0) {
            hearth__lane_redirected(lane, &request->notes, kept);
        }
        lane->doomed = lane->doomed || half_sent;
        answer(drive, first, kept);
    }
    return heard != HEARTH__HEARD_NONSENSE;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool has_too_many_orphans(hearth__lane *lane) {
    int32_t orphans = atomic_load_explicit(&lane->orphans, memory_order_relaxed);
    if (orphans <= 0) {
        lane->dropped = 0;
        return false;
    }
    const hearth__exchange *first = lane->flight.first;
    bool drops = first != NULL && atomic_load_explicit(&first->state, memory_order_relaxed) ==
                                      HEARTH__EXCHANGE_LEFT;
    size_t dropping = drops ? lane->under_way : 0;
    return orphans > ORPHANS_MAX || lane->dropped + dropping > ORPHAN_BYTES_MAX;
}

/* What came is delivered: whether the connection is still good. */
static int32_t judge(hearth__lane *lane) {
    if (lane->flight.first == NULL && !codec_of(lane)->is_empty(lane->parser)) {
        return HEARTH_E_PROTOCOL;
    }
    if (atomic_load_explicit(&lane->misfits, memory_order_relaxed) >= MISFITS_MAX) {
        return HEARTH_E_PROTOCOL;
    }
    return lane->doomed || has_too_many_orphans(lane) ? HEARTH_E_UNAVAILABLE : HEARTH_OK;
}

/* HEARTH_OK; HEARTH_MISS: nothing is there; else the connection has ended. `flags`: MSG_DONTWAIT, or
 * 0: it may wait for as long as the socket's own timeout says. */
static int32_t read_some(hearth__drive *drive, int flags) {
    hearth__lane *lane = drive->lane;
    const hearth__codec *codec = codec_of(lane);
    bool much = lane->under_way > MUCH_BYTES;
    ssize_t got =
        recv(socket_of(lane), lane->chunk, much ? CHUNK_BYTES : SMALL_CHUNK_BYTES, flags);
    if (got <= 0) {
        bool again = got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK);
        return again ? HEARTH_MISS : HEARTH_E_UNAVAILABLE;
    }
    lane->heard += (uint64_t)got;
    drive->wall_ms = 0;
    lane->patient = true;
    int32_t status = codec->parse(lane->parser, lane->chunk, (size_t)got, hear, drive);
    if (status != HEARTH_OK) {
        return lane->doomed && status == HEARTH_E_PROTOCOL ? HEARTH_E_UNAVAILABLE : status;
    }
    lane->under_way = codec->is_empty(lane->parser) ? 0 : codec->under_way(lane->parser);
    bool bulky = lane->under_way > BULKY_BYTES;
    if (bulky != atomic_load_explicit(&lane->bulky, memory_order_relaxed)) {
        atomic_store_explicit(&lane->bulky, bulky, memory_order_relaxed);
    }
    return judge(lane);
}

/*
 * Waits until there is something to read, or to write if there is something to write. While it
 * writes it reads too: a server whose answers nobody takes would take no more commands. A wait
 * that is likely to be short is one call instead of two: the socket's own timeout is too coarse
 * for a deadline, but says when to begin to be exact.
 */
static int32_t exchange_some(hearth__drive *drive, int64_t until_ns) {
    hearth__lane *lane = drive->lane;
    if (!hearth__lane_wants_to_send(lane) && lane->patient &&
        until_ns - drive->now_ns > SHORT_WAIT_NS) {
        lane->patient = false; /* until it is answered */
        return read_some(drive, 0);
    }
    short events = hearth__lane_wants_to_send(lane) ? POLLIN | POLLOUT : POLLIN;
    short seen = 0;
    int32_t status = hearth__socket_poll(socket_of(lane), events, until_ns, &seen);
    if (status != HEARTH_OK) {
        return status;
    }
    return (seen & ~POLLOUT) != 0 ? read_some(drive, MSG_DONTWAIT) : HEARTH_OK;
}

/* ---- driving -------------------------------------------------------------------------------- */

/* When the first in flight is overdue, so that the connection counts as dead: `stall_ms` after its
 * caller has gone. */
static int64_t overdue_ns(const hearth__lane *lane) {
    const hearth__exchange *first = lane->flight.first;
    if (first == NULL) {
        return HEARTH__NEVER;
    }
    int64_t stall_ns = lane->set->lanes->stall_ns;
    return first->deadline_ns < HEARTH__NEVER - stall_ns ? first->deadline_ns + stall_ns
                                                         : HEARTH__NEVER;
}

static bool is_done(const hearth__drive *drive) {
    if (drive->own == NULL) {
        return drive->lane->flight.first == NULL;
    }
    int state = atomic_load_explicit(&drive->own->state, memory_order_relaxed);
    return state == HEARTH__EXCHANGE_DONE || state == HEARTH__EXCHANGE_FAILED;
}

/* Between two uses. */
static void rest(hearth__lane *lane) {
    lane->used = true;
    if (lane->flight.first == NULL) {
        codec_of(lane)->trim(lane->parser);
    }
}

int32_t hearth__lane_drain(hearth__drive *drive) {
    int32_t status = HEARTH_OK;
    while (status == HEARTH_OK && drive->lane->flight.first != NULL) {
        status = read_some(drive, MSG_DONTWAIT);
    }
    if (status == HEARTH_MISS && hearth__monotonic_ns() >= overdue_ns(drive->lane)) {
        status = HEARTH_E_TIMEOUT;
    }
    if (status != HEARTH_OK && status != HEARTH_MISS) {
        hearth__lane_break(drive, status);
        return status;
    }
    return HEARTH_OK;
}

int32_t hearth__lane_drive(hearth__drive *drive, int64_t deadline_ns) {
    hearth__lane *lane = drive->lane;
    if (drive->now_ns == 0) {
        drive->now_ns = hearth__monotonic_ns();
    }
    for (unsigned late = 0;;) {
        hearth__lane_send(lane);
        if (is_done(drive)) {
            rest(lane);
            return HEARTH_OK;
        }
        hearth__lane_wake(drive);
        int64_t overdue = overdue_ns(lane);
        int32_t status = exchange_some(drive, deadline_ns < overdue ? deadline_ns : overdue);
        drive->now_ns = is_done(drive) ? 0 : hearth__monotonic_ns();
        bool passed = drive->now_ns >= deadline_ns;
        if (status == HEARTH_MISS || (status == HEARTH_E_TIMEOUT && drive->now_ns < overdue)) {
            status = HEARTH_OK;
            late = passed ? LATE_MAX : late;
        }
        if (status == HEARTH_OK && drive->now_ns >= overdue_ns(lane)) {
            status = HEARTH_E_TIMEOUT;
        }
        if (status != HEARTH_OK) {
            hearth__lane_break(drive, status);
            return status;
        }
        if (passed && late++ >= LATE_MAX) {
            return HEARTH_E_TIMEOUT;
        }
    }
}

bool hearth__lane_is_quiet(hearth__lane *lane) {
    char byte = 0;
    ssize_t got = recv(socket_of(lane), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* ---- the end of a connection ---------------------------------------------------------------- */

/* Of a connection that ended: the requests of which something was sent. */
static uint32_t sent_requests(const hearth__lane *lane, const hearth__exchange *exchange) {
    uint32_t sent = 0;
    while (sent < exchange->count &&
           lane->sent > exchange->begin + exchange->requests[sent].begin) {
        sent++;
    }
    return sent;
}

static void fail_sent(hearth__drive *drive, hearth__exchange *exchange, int32_t status,
                      bool is_first) {
    const hearth__lane *lane = drive->lane;
    exchange->outcome = (hearth__outcome){
        .status = is_first ? status : HEARTH_E_UNAVAILABLE,
        .sent = sent_requests(lane, exchange),
        .given_up = lane->used && exchange->heard == lane->heard,
        .victim = !is_first,
    };
    part_with(drive, exchange, HEARTH__EXCHANGE_FAILED);
}

static void fail_queued(hearth__drive *drive, hearth__exchange *exchange) {
    exchange->outcome = (hearth__outcome){.status = HEARTH_E_UNAVAILABLE, .victim = true};
    part_with(drive, exchange, HEARTH__EXCHANGE_FAILED);
}

/* Nobody may join any more; whoever is queued can no longer leave without our notice. */
static hearth__exchange *shut(hearth__lane *lane) {
    pthread_mutex_lock(&lane->lock);
    if (atomic_exchange_explicit(&lane->open, false, memory_order_relaxed)) {
        HEARTH__COUNT(lane->set->lanes->config.remote->counters, disconnects);
    }
    hearth__exchange *queued = lane->queue.first;
    lane->queue = (hearth__line){NULL, NULL};
    atomic_store_explicit(&lane->queues, false, memory_order_relaxed);
    for (hearth__exchange *at = queued; at != NULL; at = at->next) {
        atomic_store_explicit(&at->state, HEARTH__EXCHANGE_SENT, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lane->lock);
    return queued;
}

void hearth__lane_break(hearth__drive *drive, int32_t status) {
    hearth__lane *lane = drive->lane;
    const hearth__lanes *lanes = lane->set->lanes;
    hearth__exchange *queued = shut(lane);
    hearth__exchange *sent = lane->flight.first;
    lane->flight = (hearth__line){NULL, NULL};
    lane->unsent = NULL;
    atomic_fetch_add(&lane->set->lanes->lost, 1);
    hearth__lane_close(lane);
    for (bool is_first = true; sent != NULL; is_first = false) {
        hearth__exchange *next = sent->next;
        fail_sent(drive, sent, status, is_first);
        sent = next;
    }
    while (queued != NULL) {
        hearth__exchange *next = queued->next;
        fail_queued(drive, queued);
        queued = next;
    }
    if (lanes->codec->ended != NULL) {
        lanes->codec->ended(lanes->node, status);
    }
}
