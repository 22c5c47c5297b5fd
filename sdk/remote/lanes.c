/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"

#include <hearth/errors.h>

#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

enum { FEW_FAILURES = 4 };

/* ---- making and ending ---------------------------------------------------------------------- */

bool hearth__lane_set_init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(condition, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return made;
}

static bool init_waiting(hearth__lane_set *set) {
    if (pthread_mutex_init(&set->lock, NULL) != 0) {
        return false;
    }
    if (!hearth__lane_set_init_condition(&set->changed)) {
        (void)pthread_mutex_destroy(&set->lock);
        return false;
    }
    return true;
}

static void end_waiting(hearth__lane_set *set) {
    (void)pthread_cond_destroy(&set->changed);
    (void)pthread_mutex_destroy(&set->lock);
}

static void destroy_set(hearth__lane_set *set) {
    hearth__reopener_fini(set);
    for (uint32_t i = 0; i < set->count; i++) {
        hearth__lane_fini(&set->all[i]);
    }
    end_waiting(set);
    hearth__free(set);
}

static hearth__lane_set *create_set(hearth__lanes *lanes) {
    uint32_t wanted = lanes->config.remote->lanes != 0 ? lanes->config.remote->lanes : 1;
    hearth__lane_set *set = hearth__alloc_zero(1, sizeof *set + wanted * sizeof(hearth__lane));
    if (set == NULL) {
        return NULL;
    }
    if (!init_waiting(set)) {
        hearth__free(set);
        return NULL;
    }
    if (!hearth__reopener_init(set)) {
        end_waiting(set);
        hearth__free(set);
        return NULL;
    }
    set->lanes = lanes;
    set->fork_generation = hearth__fork_generation();
    (void)hearth__addresses_of_number(lanes->config.address, &set->addresses);
    for (; set->count < wanted; set->count++) {
        if (!hearth__lane_init(&set->all[set->count], set)) {
            destroy_set(set);
            return NULL;
        }
    }
    return set;
}

int32_t hearth__lanes_create(const hearth__codec *codec, const hearth__node_config *config,
                             void *node, hearth__lanes **out) {
    hearth__lanes *lanes = hearth__alloc_zero(1, sizeof *lanes);
    if (lanes == NULL) {
        return HEARTH_E_NOMEM;
    }
    lanes->codec = codec;
    lanes->config = *config;
    lanes->node = node;
    lanes->stall_ns = config->remote->stall_ms * (SECOND_NS / 1000);
    hearth__lane_set *set = create_set(lanes);
    if (set == NULL) {
        hearth__free(lanes);
        return HEARTH_E_NOMEM;
    }
    atomic_init(&lanes->set, set);
    *out = lanes;
    return HEARTH_OK;
}

/* In a child: closes its copies of the parent's sockets. The rest stays as it is, and allocated:
 * nobody knows what threads that the child does not have were doing to it. */
static void leave_sockets(hearth__lane_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        int fd = atomic_exchange(&set->all[i].fd, -1);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
}

void hearth__lanes_destroy(hearth__lanes *lanes) {
    if (lanes == NULL) {
        return;
    }
    hearth__lane_set *set = atomic_load(&lanes->set);
    while (set != NULL) {
        hearth__lane_set *inherited = set->inherited;
        if (set->fork_generation == hearth__fork_generation()) {
            destroy_set(set);
        } else {
            leave_sockets(set);
        }
        set = inherited;
    }
    hearth__free(lanes);
}

bool hearth__lanes_stop(const hearth__lanes *lanes) {
    hearth__lane_set *set = atomic_load(&lanes->set);
    return set->fork_generation != hearth__fork_generation() || hearth__reopener_stop(set);
}

hearth__lane_set *hearth__lane_set_own(hearth__lanes *lanes) {
    hearth__lane_set *set = atomic_load_explicit(&lanes->set, memory_order_acquire);
    if (set->fork_generation == hearth__fork_generation()) {
        return set;
    }
    hearth__lane_set *fresh = create_set(lanes);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->inherited = set;
    if (!atomic_compare_exchange_strong(&lanes->set, &set, fresh)) {
        destroy_set(fresh); /* another thread of the child was first */
        return set;
    }
    leave_sockets(fresh->inherited);
    return fresh;
}

/* ---- what was lost -------------------------------------------------------------------------- */

/* Whether its server is gone. Another thread may close it, and the number be used anew: then this says so once too often. */
static bool has_hung_up(const hearth__lane *lane) {
    struct pollfd poller = {.fd = atomic_load(&lane->fd), .events = POLLRDHUP};
    /* A socket that is not connected yet looks as if it had been. */
    return hearth__lane_is_open(lane) && poller.fd >= 0 && poll(&poller, 1, 0) > 0;
}

uint64_t hearth__lanes_lost(hearth__lanes *lanes) {
    const hearth__lane_set *set = hearth__lane_set_own(lanes);
    uint64_t unnoticed = 0;
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        unnoticed += has_hung_up(&set->all[i]);
    }
    return atomic_load(&lanes->lost) + unnoticed;
}

/* ---- waiting -------------------------------------------------------------------------------- */

bool hearth__lane_set_await(hearth__lane_set *set, pthread_cond_t *condition,
                            int64_t deadline_ns) {
    struct timespec until = {.tv_sec = deadline_ns / SECOND_NS,
                             .tv_nsec = deadline_ns % SECOND_NS};
    bool held = hearth__fork_pause();
    bool in_time = pthread_cond_timedwait(condition, &set->lock, &until) == 0;
    if (held) { /* in the order of both: never under the lock */
        pthread_mutex_unlock(&set->lock);
        hearth__fork_resume(held);
        pthread_mutex_lock(&set->lock);
    }
    return in_time;
}

void hearth__lane_set_changed(hearth__lane_set *set) {
    pthread_mutex_lock(&set->lock);
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

/* ---- making a connection -------------------------------------------------------------------- */

bool hearth__lane_set_may_attempt(const hearth__lane_set *set) {
    if (set->attempting || set->addresses.count == 0) {
        return false;
    }
    /* Nobody does it in the background, or who does waits for a resolver. */
    if (set->reopener.lost || set->reopener.looking_since_ns != 0) {
        return !set->down || hearth__monotonic_ns() >= set->retry_at_ns;
    }
    return !set->down && !set->doubtful;
}

/* At least a second, longer when it goes on, and not the same in all processes. */
static int64_t pause_ns(const hearth__lane_set *set) {
    int64_t retry_ms = set->lanes->config.remote->retry_ms;
    int64_t least_ns = retry_ms != 0 ? retry_ms * (SECOND_NS / 1000) : SECOND_NS;
    least_ns = set->failures <= FEW_FAILURES ? least_ns : 2 * least_ns;
    return least_ns + (int64_t)(hearth__random_u64() % (uint64_t)(least_ns / 2));
}

void hearth__lane_set_failed(hearth__lane_set *set) {
    set->failures++;
    set->down = true;
    set->doubtful = false;
    set->reopener.look_up = true;
    set->retry_at_ns = hearth__monotonic_ns() + pause_ns(set);
}

/* A caller with little time left says little about the node. */
static bool says_something(const hearth__lanes *lanes, const hearth__welcome *welcome,
                           int64_t began_ns) {
    int64_t tried_ns = hearth__monotonic_ns() - began_ns;
    return welcome->status != HEARTH_E_NOMEM &&
           (welcome->status != HEARTH_E_TIMEOUT ||
            tried_ns >= lanes->config.remote->timeout_ms * (SECOND_NS / 1000) / 2);
}

void hearth__lane_set_log(const hearth__lane_set *set, const hearth__welcome *welcome) {
    hearth__log *log = set->lanes->config.remote->log;
    const char *name = set->lanes->config.name;
    if (welcome->status == HEARTH_OK) {
        hearth__log_add(log, HEARTH_LOG_NOTICE, HEARTH_OK, "node %.80s is back", name);
        return;
    }
    hearth__log_add(log, welcome->refused ? HEARTH_LOG_ERROR : HEARTH_LOG_WARNING,
                    welcome->status, "node %.80s cannot be used: %.120s", name, welcome->why);
}

/* Under the lock. Whether it is worth a log record. */
static bool note_outcome(hearth__lane_set *set, const hearth__welcome *welcome,
                         int64_t began_ns) {
    bool was_down = set->down;
    set->attempting = false;
    if (welcome->status == HEARTH_OK) {
        set->down = set->doubtful = set->reopener.look_up = false;
        set->failures = 0;
    } else if (says_something(set->lanes, welcome, began_ns)) {
        hearth__lane_set_failed(set);
    } else {
        set->doubtful = welcome->status == HEARTH_E_TIMEOUT;
    }
    return set->down != was_down;
}

int32_t hearth__lane_set_attempt(hearth__lane *lane, int64_t deadline_ns) {
    hearth__lane_set *set = lane->set;
    hearth__welcome welcome;
    int64_t own_deadline_ns = hearth__deadline_ns(set->lanes->config.remote->timeout_ms);
    int64_t began_ns = hearth__monotonic_ns();
    hearth__lane_open(lane, deadline_ns < own_deadline_ns ? deadline_ns : own_deadline_ns,
                      &welcome);
    pthread_mutex_lock(&set->lock);
    bool changed = note_outcome(set, &welcome, began_ns);
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
    if (changed) {
        hearth__lane_set_log(set, &welcome);
    }
    return welcome.status;
}
