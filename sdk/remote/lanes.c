/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/lane_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

/* ---- making and ending ---------------------------------------------------------------------- */

static bool init_waiting(hearth__lane_set *set) {
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&set->lock, NULL) != 0) {
        return false;
    }
    if (pthread_condattr_init(&attributes) == 0) {
        bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                    pthread_cond_init(&set->changed, &attributes) == 0;
        (void)pthread_condattr_destroy(&attributes);
        if (made) {
            return true;
        }
    }
    (void)pthread_mutex_destroy(&set->lock);
    return false;
}

static void destroy_set(hearth__lane_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        hearth__lane_fini(&set->all[i]);
    }
    (void)pthread_cond_destroy(&set->changed);
    (void)pthread_mutex_destroy(&set->lock);
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
    set->lanes = lanes;
    set->fork_generation = hearth__fork_generation();
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

/* ---- waiting -------------------------------------------------------------------------------- */

bool hearth__lane_set_await(hearth__lane_set *set, int64_t deadline_ns) {
    struct timespec until = {.tv_sec = deadline_ns / SECOND_NS,
                             .tv_nsec = deadline_ns % SECOND_NS};
    return pthread_cond_timedwait(&set->changed, &set->lock, &until) == 0;
}

void hearth__lane_set_changed(hearth__lane_set *set) {
    pthread_mutex_lock(&set->lock);
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

/* ---- making a connection -------------------------------------------------------------------- */

/* About a second, so that many processes do not try at the same moments. */
static int64_t pause_ns(void) {
    return SECOND_NS * 3 / 4 + (int64_t)(hearth__random_u64() % (SECOND_NS / 2));
}

/* A caller with little time left says little about the node. */
static bool says_something(const hearth__lanes *lanes, const hearth__welcome *welcome,
                           int64_t began_ns) {
    int64_t tried_ns = hearth__monotonic_ns() - began_ns;
    return welcome->status != HEARTH_E_NOMEM &&
           (welcome->status != HEARTH_E_TIMEOUT ||
            tried_ns >= lanes->config.remote->timeout_ms * (SECOND_NS / 1000) / 2);
}

static void log_change(const hearth__lanes *lanes, const hearth__welcome *welcome) {
    hearth__log *log = lanes->config.remote->log;
    const char *name = lanes->config.name;
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
        set->down = false;
    } else if (says_something(set->lanes, welcome, began_ns)) {
        set->down = true;
        set->retry_at_ns = hearth__monotonic_ns() + pause_ns();
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
        log_change(set->lanes, &welcome);
    }
    return welcome.status;
}
