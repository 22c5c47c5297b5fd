/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include "base/clock.h"

#include <hearth/errors.h>

/* One that nothing is asked of; failing that, one of which nobody awaits anything, and all has come. */
static enum hearth__joined join_idle(hearth__lane_set *set, hearth__exchange *exchange,
                                     bool waits) {
    enum hearth__joined joined = HEARTH__JOINED_NOT;
    for (uint32_t i = 0; i < 2 * set->count && joined == HEARTH__JOINED_NOT; i++) {
        hearth__lane *lane = &set->all[i % set->count];
        if (hearth__lane_is_open(lane) &&
            (i < set->count ? hearth__lane_load(lane) == 0 : hearth__lane_is_idle(lane))) {
            joined = hearth__lane_join(lane, exchange, HEARTH__JOIN_IDLE, waits);
        }
    }
    return joined;
}

/* The least loaded; one behind something large only if all are. */
static enum hearth__joined join_busy(hearth__lane_set *set, hearth__exchange *exchange,
                                     bool waits) {
    hearth__lane *best = NULL;
    uint32_t best_load = UINT32_MAX;
    for (uint32_t i = 0; i < set->count; i++) {
        hearth__lane *lane = &set->all[i];
        uint32_t load = hearth__lane_load(lane);
        load =
            hearth__lane_is_bulky(lane) && load < UINT32_MAX / 2 ? load + UINT32_MAX / 2 : load;
        if (hearth__lane_is_open(lane) && load < best_load && !hearth__lane_is_reserved(lane)) {
            best = lane;
            best_load = load;
        }
    }
    return best != NULL ? hearth__lane_join(best, exchange, HEARTH__JOIN_ANY, waits)
                        : HEARTH__JOINED_NOT;
}

static bool is_closed(const hearth__lane *lane) {
    return !hearth__lane_is_open(lane) && !hearth__lane_is_reserved(lane) &&
           hearth__lane_is_left(lane);
}

hearth__lane *hearth__lane_set_take_closed(hearth__lane_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        hearth__lane *lane = &set->all[i];
        if (is_closed(lane) && hearth__lane_take(lane, true)) {
            if (!hearth__lane_is_open(lane)) {
                return lane;
            }
            hearth__lane_leave(lane); /* another was faster, and is done already */
        }
    }
    return NULL;
}

bool hearth__lane_set_any_open(const hearth__lane_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        if (hearth__lane_is_open(&set->all[i])) {
            return true;
        }
    }
    return false;
}

static bool has_closed(const hearth__lane_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        if (is_closed(&set->all[i])) {
            return true;
        }
    }
    return false;
}

static bool has_free(const hearth__lane_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        if (hearth__lane_is_open(&set->all[i]) && !hearth__lane_is_reserved(&set->all[i])) {
            return true;
        }
    }
    return false;
}

/* Whether the caller may try to connect, as the only one. */
static bool begin_attempt(hearth__lane_set *set) {
    pthread_mutex_lock(&set->lock);
    bool may = hearth__lane_set_may_attempt(set);
    set->attempting = set->attempting || may;
    pthread_mutex_unlock(&set->lock);
    if (!may) {
        hearth__reopener_ask(set);
    }
    return may;
}

static void drop_attempt(hearth__lane_set *set) {
    pthread_mutex_lock(&set->lock);
    set->attempting = false;
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

/* Makes a connection, if one may be made now: HEARTH_OK, HEARTH_MISS: not now; or why it could
 * not be made. */
static int32_t open_one(hearth__lane_set *set, hearth__exchange *exchange, bool waits,
                        int64_t deadline_ns) {
    if (!has_closed(set) || !begin_attempt(set)) {
        return HEARTH_MISS;
    }
    hearth__lane *lane = hearth__lane_set_take_closed(set);
    if (lane == NULL) {
        drop_attempt(set);
        return HEARTH_MISS;
    }
    int32_t status = hearth__lane_set_attempt(lane, deadline_ns);
    if (status == HEARTH_OK) {
        hearth__lane_admit(lane, exchange, waits);
        hearth__lane_set_changed(set);
    } else {
        hearth__lane_leave(lane);
        hearth__reopener_ask(set);
    }
    return status;
}

/* Nothing could be joined: HEARTH_OK: it may be worth another look; else why not. */
static int32_t await_lane(hearth__lane_set *set, int64_t deadline_ns) {
    int32_t status = HEARTH_OK;
    bool is_late = false;
    pthread_mutex_lock(&set->lock);
    bool must_wait = !has_free(set) && (!has_closed(set) || !hearth__lane_set_may_attempt(set));
    if (must_wait && set->down && !hearth__lane_set_any_open(set)) {
        status = hearth__reopener_await(set, deadline_ns) ? HEARTH_OK : HEARTH_E_UNAVAILABLE;
    } else if (must_wait && !hearth__lane_set_await(set, &set->changed, deadline_ns)) {
        status = HEARTH_E_TIMEOUT;
        is_late = hearth__reopener_is_late(set);
    }
    pthread_mutex_unlock(&set->lock);
    if (is_late) {
        hearth__reopener_tell_late(set);
    }
    return status;
}

/* Other nodes are asked before this one's answer is awaited: one that takes no connection leaves
 * them half of the time. */
static int64_t joined_until(const hearth__way *way, int64_t deadline_ns) {
    if (way->at_once || deadline_ns == HEARTH__NEVER) {
        return deadline_ns;
    }
    int64_t now_ns = hearth__monotonic_ns();
    return now_ns + (deadline_ns - now_ns) / 2;
}

/* Queues an exchange where it is answered soonest. */
static int32_t join(hearth__lane_set *set, hearth__exchange *exchange, const hearth__way *way,
                    int64_t deadline_ns, enum hearth__joined *joined) {
    int32_t status = HEARTH_OK;
    *joined = HEARTH__JOINED_NOT;
    deadline_ns = joined_until(way, deadline_ns);
    if (way->at_once && !way->fresh && !exchange->bulky) {
        *joined = hearth__lane_join_crowd(set, exchange);
        if (*joined != HEARTH__JOINED_NOT) {
            return HEARTH_OK;
        }
    }
    while (status == HEARTH_OK) {
        if (!way->fresh) {
            *joined = join_idle(set, exchange, way->at_once);
        }
        if (*joined != HEARTH__JOINED_NOT) {
            return HEARTH_OK;
        }
        status = open_one(set, exchange, way->at_once, deadline_ns);
        if (status == HEARTH_OK) {
            *joined = HEARTH__JOINED_TO_DRIVE;
            return HEARTH_OK;
        }
        if (status != HEARTH_MISS && !hearth__lane_set_any_open(set)) {
            return status;
        }
        *joined = join_idle(set, exchange, way->at_once);
        if (*joined == HEARTH__JOINED_NOT) {
            *joined = join_busy(set, exchange, way->at_once);
        }
        if (*joined != HEARTH__JOINED_NOT) {
            return HEARTH_OK;
        }
        status = await_lane(set, deadline_ns);
    }
    return status;
}

/* ---- setting off ---------------------------------------------------------------------------- */

/* What had come on the connection before our exchange is sent. */
static int32_t look_first(hearth__drive *drive) {
    hearth__lane *lane = drive->lane;
    if (lane->flight.first != NULL) {
        return hearth__lane_drain(drive);
    }
    if (!lane->used || hearth__lane_is_quiet(lane)) {
        return HEARTH_OK;
    }
    hearth__lane_break(drive, HEARTH_E_UNAVAILABLE);
    return HEARTH_E_UNAVAILABLE;
}

/* Sends what the caller, who drives, has queued. False: the connection had ended before; nothing
 * was sent, and the exchange is the caller's again. */
static bool set_off(hearth__exchange *exchange, bool at_once) {
    hearth__drive drive = {.lane = exchange->lane, .own = exchange};
    bool good = look_first(&drive) == HEARTH_OK;
    if (good) {
        hearth__lane_send(drive.lane);
    } else {
        atomic_store(&exchange->state, HEARTH__EXCHANGE_QUEUED);
    }
    if (!good || !at_once) {
        atomic_store(&exchange->drives, false);
        hearth__lane_hand_over(&drive);
    }
    return good;
}

int32_t hearth__lanes_begin(hearth__lanes *lanes, hearth__exchange *exchange,
                            const hearth__way *way, int64_t deadline_ns) {
    hearth__lane_set *set = hearth__lane_set_own(lanes);
    int32_t status = set != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    exchange->deadline_ns = deadline_ns;
    exchange->sent_ns = way->now_ns != 0 ? way->now_ns : hearth__monotonic_ns();
    while (status == HEARTH_OK) {
        enum hearth__joined joined = HEARTH__JOINED_NOT;
        if (way->lane == NULL) {
            status = join(set, exchange, way, deadline_ns, &joined);
        } else {
            joined =
                hearth__lane_join(way->lane, exchange, HEARTH__JOIN_RESERVED, way->at_once);
            status = joined != HEARTH__JOINED_NOT ? HEARTH_OK : HEARTH_E_UNAVAILABLE;
        }
        if (joined == HEARTH__JOINED_QUEUE ||
            (joined == HEARTH__JOINED_TO_DRIVE && set_off(exchange, way->at_once))) {
            return HEARTH_OK;
        }
    }
    hearth__exchange_free(exchange);
    return status;
}

/* ---- a lane for one caller ------------------------------------------------------------------ */

/* Under the set's lock: a lane that others join no more; an idle one if there is any. */
static hearth__lane *claim(hearth__lane_set *set) {
    hearth__lane *best = NULL;
    for (uint32_t i = 0; i < set->count; i++) {
        hearth__lane *lane = &set->all[i];
        if (!hearth__lane_is_reserved(lane) &&
            (best == NULL || hearth__lane_load(lane) < hearth__lane_load(best) ||
             (hearth__lane_load(lane) == hearth__lane_load(best) &&
              hearth__lane_is_open(lane)))) {
            best = lane;
        }
    }
    if (best != NULL) {
        atomic_store(&best->reserved, true);
    }
    return best;
}

static void release(hearth__lane *lane) {
    atomic_store(&lane->reserved, false);
    hearth__lane_set_changed(lane->set);
}

/* Until nobody else is on it: then the caller drives. */
static int32_t await_others(hearth__lane *lane, int64_t deadline_ns) {
    hearth__drive drive = {.lane = lane};
    int32_t status = HEARTH_OK;
    while (status == HEARTH_OK && !hearth__lane_take(lane, true)) {
        if (hearth__lane_take(lane, false)) { /* orphans are on it, or it has just ended */
            if (hearth__lane_is_open(lane)) {
                status = hearth__lane_drive(&drive, deadline_ns);
                status = status == HEARTH_E_TIMEOUT && hearth__lane_is_open(lane) ? status
                                                                                  : HEARTH_OK;
            }
            hearth__lane_hand_over(&drive);
            continue;
        }
        pthread_mutex_lock(&lane->set->lock);
        if (!hearth__lane_is_left(lane) &&
            !hearth__lane_set_await(lane->set, &lane->set->changed, deadline_ns)) {
            status = HEARTH_E_TIMEOUT;
        }
        pthread_mutex_unlock(&lane->set->lock);
    }
    return status;
}

/* Waits while another thread makes a connection; then it is the caller's turn. */
static int32_t await_attempt(hearth__lane_set *set, int64_t deadline_ns) {
    int32_t status = HEARTH_OK;
    hearth__reopener_ask(set);
    pthread_mutex_lock(&set->lock);
    while (status == HEARTH_OK && !hearth__lane_set_may_attempt(set)) {
        if (set->down) {
            status = HEARTH_E_UNAVAILABLE;
        } else if (!hearth__lane_set_await(set, &set->changed, deadline_ns)) {
            status = HEARTH_E_TIMEOUT;
        }
    }
    set->attempting = set->attempting || status == HEARTH_OK;
    pthread_mutex_unlock(&set->lock);
    return status;
}

/* The caller drives: makes it a lane with a connection that works. */
static int32_t make_ready(hearth__lane *lane, int64_t deadline_ns) {
    hearth__lane_set *set = lane->set;
    hearth__drive drive = {.lane = lane};
    if (hearth__lane_is_open(lane) && look_first(&drive) == HEARTH_OK) {
        return HEARTH_OK;
    }
    int32_t status = await_attempt(set, deadline_ns);
    if (status != HEARTH_OK) {
        return status;
    }
    status = hearth__lane_set_attempt(lane, deadline_ns);
    if (status == HEARTH_OK) {
        atomic_store(&lane->open, true);
    } else {
        hearth__reopener_ask(set);
    }
    return status;
}

int32_t hearth__lanes_reserve(hearth__lanes *lanes, int64_t deadline_ns, hearth__lane **out) {
    hearth__lane_set *set = hearth__lane_set_own(lanes);
    hearth__lane *lane = NULL;
    if (set == NULL) {
        return HEARTH_E_NOMEM;
    }
    int32_t usable = hearth__reopener_await_usable(set, deadline_ns);
    if (usable != HEARTH_OK) {
        return usable;
    }
    pthread_mutex_lock(&set->lock);
    while ((lane = claim(set)) == NULL) {
        if (!hearth__lane_set_await(set, &set->changed, deadline_ns)) {
            pthread_mutex_unlock(&set->lock);
            return HEARTH_E_TIMEOUT;
        }
    }
    pthread_mutex_unlock(&set->lock);
    int32_t status = await_others(lane, deadline_ns);
    if (status == HEARTH_OK) {
        status = make_ready(lane, deadline_ns);
        hearth__lane_leave(lane);
    }
    if (status != HEARTH_OK) {
        release(lane);
        return status;
    }
    *out = lane;
    return HEARTH_OK;
}

void hearth__lanes_unreserve(hearth__lane *lane, bool clean) {
    if (!clean && hearth__lane_is_open(lane) && hearth__lane_take(lane, false)) {
        hearth__drive drive = {.lane = lane};
        hearth__lane_break(&drive, HEARTH_E_UNAVAILABLE);
        hearth__lane_hand_over(&drive);
    }
    release(lane);
}
