/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What callers shall not wait for: a name that is looked up, and a connection to a node that is known to be
 * failing (but for one caller a try: a breaker's probe). A thread of the node's own does both, started when it is first needed and gone when the node
 * is back, or when nobody has asked for a while. So neither a dead node nor its name service can hold up a
 * call, or another node.
 */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/thread.h"

#include <hearth/errors.h>

/* A node that nobody has asked for so long is left alone. */
#define IDLE_NS (INT64_C(60) * 1000000000)

static int64_t timeout_ns(const hearth__lane_set *set) {
    return set->lanes->config.remote->timeout_ms * INT64_C(1000000);
}

/* ---- the thread's work, under the lock but where it says otherwise --------------------------- */

static bool has_work(const hearth__lane_set *set) {
    return set->down || set->doubtful || set->addresses.count == 0;
}

/* The lock is released meanwhile. A name that is not known any more has its old addresses. */
static void look_up(hearth__lane_set *set) {
    const hearth__node_address *node = set->lanes->config.address;
    hearth__addresses found = {.count = 0};
    hearth__welcome welcome = {.status = HEARTH_E_UNAVAILABLE, .why = "it has no address"};
    if (!hearth__addresses_of_number(node, &found)) {
        set->reopener.looking_since_ns = hearth__monotonic_ns();
        pthread_mutex_unlock(&set->lock);
        bool held = hearth__fork_pause();
        welcome.status =
            hearth__addresses_look_up(node, &found, welcome.why, sizeof welcome.why);
        hearth__fork_resume(held);
        pthread_mutex_lock(&set->lock);
    }
    set->reopener.looking_since_ns = 0;
    set->reopener.look_up = false;
    bool was_down = set->down;
    if (found.count != 0) {
        set->addresses = found;
    } else if (set->addresses.count == 0) {
        hearth__lane_set_failed(set);
    }
    if (set->down && !was_down) { /* before those who wait are told */
        pthread_mutex_unlock(&set->lock);
        hearth__lane_set_log(set, &welcome);
        pthread_mutex_lock(&set->lock);
    }
    pthread_cond_broadcast(&set->changed);
}

/* HEARTH_MISS: there is no lane to connect just now. */
static int32_t connect_one(hearth__lane_set *set) {
    hearth__lane *lane = hearth__lane_set_take_closed(set);
    if (lane == NULL) {
        return HEARTH_MISS;
    }
    int32_t status = hearth__lane_set_attempt(lane, HEARTH__NEVER);
    if (status == HEARTH_OK) {
        atomic_store(&lane->open, true);
    }
    hearth__lane_leave(lane);
    return status;
}

/* The lock is released meanwhile. */
static void attempt(hearth__lane_set *set) {
    uint32_t failures = set->failures;
    set->attempting = true;
    pthread_mutex_unlock(&set->lock);
    int32_t status = connect_one(set);
    pthread_mutex_lock(&set->lock);
    if (status == HEARTH_MISS) { /* they are others', who will not keep them long */
        set->attempting = false;
        pthread_cond_broadcast(&set->changed);
        (void)hearth__lane_set_await(set, &set->changed,
                                     hearth__monotonic_ns() + timeout_ns(set));
        return;
    }
    if (status != HEARTH_OK && set->failures == failures) {
        hearth__lane_set_failed(
            set); /* it said nothing about the node, but the next try has time */
    }
    pthread_cond_broadcast(&set->changed);
}

/* False: there is no more to wait for. */
static bool await_turn(hearth__lane_set *set) {
    while (set->down && !set->reopener.closing) {
        int64_t now_ns = hearth__monotonic_ns();
        if (now_ns >= set->retry_at_ns) {
            break;
        }
        (void)hearth__lane_set_await(set, &set->reopener.due, set->retry_at_ns);
    }
    while (set->attempting && !set->reopener.closing) {
        (void)hearth__lane_set_await(set, &set->changed,
                                     hearth__monotonic_ns() + timeout_ns(set));
    }
    return !set->reopener.closing;
}

/* What was known about it is old: the next who wants a connection finds out by himself. */
static bool is_forgotten(hearth__lane_set *set) {
    bool forgotten = hearth__monotonic_ns() - set->reopener.asked_ns > IDLE_NS;
    if (forgotten) {
        set->down = set->doubtful = false;
    }
    return forgotten;
}

static void *run(void *arg) {
    hearth__lane_set *set = arg;
    hearth__fork_hold();
    pthread_mutex_lock(&set->lock);
    set->reopener.thread = pthread_self();
    set->reopener.state = HEARTH__REOPENER_RUNS;
    pthread_cond_broadcast(&set->changed);
    while (has_work(set) && await_turn(set) && !is_forgotten(set)) {
        if (set->reopener.look_up || set->addresses.count == 0) {
            look_up(set);
        }
        if ((set->down || set->doubtful) && set->addresses.count != 0 && !set->attempting &&
            !set->reopener.closing) {
            attempt(set);
        }
    }
    set->reopener.state = HEARTH__REOPENER_ENDED;
    pthread_cond_broadcast(&set->changed); /* nobody waits for what it will not do */
    pthread_mutex_unlock(&set->lock);
    hearth__fork_release();
    return NULL;
}

/* ---- for callers ---------------------------------------------------------------------------- */

/* Under the lock: whether the thread is to be started, by the caller alone. */
static bool must_start(hearth__lane_set *set, bool *ended, pthread_t *thread) {
    hearth__reopener *reopener = &set->reopener;
    if (!has_work(set) || reopener->closing) {
        return false;
    }
    int64_t now_ns = hearth__monotonic_ns();
    reopener->asked_ns = now_ns;
    if (reopener->state == HEARTH__REOPENER_STARTS ||
        reopener->state == HEARTH__REOPENER_RUNS ||
        (reopener->lost && now_ns < set->retry_at_ns)) {
        return false;
    }
    *ended = reopener->state == HEARTH__REOPENER_ENDED;
    *thread = reopener->thread;
    reopener->state = HEARTH__REOPENER_STARTS;
    return true;
}

void hearth__reopener_ask(hearth__lane_set *set) {
    bool ended = false;
    pthread_t thread;
    pthread_mutex_lock(&set->lock);
    bool starts = must_start(set, &ended, &thread);
    pthread_mutex_unlock(&set->lock);
    if (!starts) {
        return;
    }
    if (ended) {
        (void)pthread_join(thread, NULL); /* it has nothing left to do */
    }
    bool started = hearth__thread_start(&thread, run, set);
    pthread_mutex_lock(&set->lock);
    set->reopener.lost = !started;
    if (!started) {
        set->reopener.state = HEARTH__REOPENER_NONE;
        hearth__lane_set_failed(set);
        pthread_cond_broadcast(&set->changed);
    }
    pthread_mutex_unlock(&set->lock);
}

bool hearth__reopener_await(hearth__lane_set *set, int64_t deadline_ns) {
    hearth__reopener *reopener = &set->reopener;
    int64_t now_ns = hearth__monotonic_ns();
    int64_t until_ns = now_ns + timeout_ns(set);
    bool runs =
        reopener->state == HEARTH__REOPENER_STARTS || reopener->state == HEARTH__REOPENER_RUNS;
    if (!runs || reopener->awaited || reopener->looking_since_ns != 0 ||
        now_ns < set->retry_at_ns) {
        return false;
    }
    until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
    uint32_t failures = set->failures;
    bool in_time = true;
    reopener->awaited = true;
    pthread_cond_broadcast(&reopener->due);
    while (in_time && set->down && set->failures == failures) {
        in_time = hearth__lane_set_await(set, &set->changed, until_ns);
    }
    reopener->awaited = false;
    return !set->down;
}

void hearth__reopener_tell_late(const hearth__lane_set *set) {
    static const hearth__welcome late = {.status = HEARTH_E_TIMEOUT,
                                         .why = "its name is still being looked up"};
    hearth__lane_set_log(set, &late);
}

static bool is_in_doubt(const hearth__lane_set *set) {
    return !hearth__lane_set_any_open(set) &&
           (set->down || set->doubtful || set->addresses.count == 0) &&
           !hearth__lane_set_may_attempt(set);
}

int32_t hearth__reopener_await_usable(hearth__lane_set *set, int64_t deadline_ns) {
    int32_t status = HEARTH_OK;
    bool is_late = false;
    hearth__reopener_ask(set);
    pthread_mutex_lock(&set->lock);
    while (status == HEARTH_OK && is_in_doubt(set)) {
        if (set->down) {
            status =
                hearth__reopener_await(set, deadline_ns) ? HEARTH_OK : HEARTH_E_UNAVAILABLE;
        } else if (!hearth__lane_set_await(set, &set->changed, deadline_ns)) {
            status = HEARTH_E_TIMEOUT;
            is_late = hearth__reopener_is_late(set);
        }
    }
    pthread_mutex_unlock(&set->lock);
    if (is_late) {
        hearth__reopener_tell_late(set);
    }
    return status;
}

bool hearth__reopener_is_late(hearth__lane_set *set) {
    int64_t since_ns = set->reopener.looking_since_ns;
    if (since_ns == 0 || set->down || hearth__monotonic_ns() - since_ns < timeout_ns(set)) {
        return false;
    }
    hearth__lane_set_failed(set);
    return true;
}

/* ---- making and ending ---------------------------------------------------------------------- */

bool hearth__reopener_init(hearth__lane_set *set) {
    return hearth__lane_set_init_condition(&set->reopener.due);
}

/* Under the lock. */
static void tell_to_end(hearth__lane_set *set) {
    set->reopener.closing = true;
    pthread_cond_broadcast(&set->reopener.due);
    pthread_cond_broadcast(&set->changed);
}

bool hearth__reopener_stop(hearth__lane_set *set) {
    pthread_mutex_lock(&set->lock);
    tell_to_end(set);
    bool ended = set->reopener.state == HEARTH__REOPENER_NONE ||
                 set->reopener.state == HEARTH__REOPENER_ENDED;
    pthread_mutex_unlock(&set->lock);
    return ended;
}

void hearth__reopener_fini(hearth__lane_set *set) {
    hearth__reopener *reopener = &set->reopener;
    pthread_mutex_lock(&set->lock);
    tell_to_end(set);
    while (reopener->state == HEARTH__REOPENER_STARTS) {
        (void)pthread_cond_wait(&set->changed, &set->lock);
    }
    bool joins = reopener->state != HEARTH__REOPENER_NONE;
    pthread_mutex_unlock(&set->lock);
    if (joins) {
        (void)pthread_join(reopener->thread, NULL);
    }
    (void)pthread_cond_destroy(&reopener->due);
}
