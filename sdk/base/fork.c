/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* A process has one of these: that is the point of it. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static _Atomic uint64_t generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Read by who holds fork() off, written by who forks, who goes before new readers. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static _Thread_local bool holds;
static _Thread_local bool shut; /* by this thread, which forks */
static hearth__fork_fds *first_fds;
static pthread_mutex_t fds_lock =
    PTHREAD_MUTEX_INITIALIZER; /* of that list; only with the gate held */
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

/* Handlers run in the reverse of the order in which they were set, which nobody knows: whoever comes first shuts it. */
void hearth__fork_shut(void) {
    if (!shut) {
        (void)pthread_rwlock_wrlock(&gate);
        shut = true;
    }
}

static void in_parent(void) {
    shut = false;
    (void)pthread_rwlock_unlock(&gate);
}

static void close_fds(hearth__fork_fds *fds) {
    for (size_t i = 0; i < fds->count; i++) {
        if (fds->fds[i] >= 0) {
            (void)close(fds->fds[i]);
            fds->fds[i] = -1;
        }
    }
}

static void in_child(void) {
    shut = false;
    for (hearth__fork_fds *fds = first_fds; fds != NULL; fds = fds->next) {
        close_fds(fds);
    }
    (void)pthread_rwlock_unlock(&gate);
    /* Those who waited at the gate are not here. */
    gate = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
    for (const hearth__fork_fds *fds = first_fds; fds != NULL; fds = fds->next) {
        if (fds->in_child != NULL) {
            fds->in_child(fds->arg);
        }
    }
}

static void watch_forks(void) {
    /* Without memory for the handler a child would share sockets; no fork can be told then, so
     * it stays 1. */
    (void)pthread_atfork(hearth__fork_shut, in_parent, in_child);
}

uint64_t hearth__fork_generation(void) {
    (void)pthread_once(&once, watch_forks);
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

void hearth__fork_hold(void) {
    (void)pthread_once(&once, watch_forks);
    (void)pthread_rwlock_rdlock(&gate);
    holds = true;
}

void hearth__fork_release(void) {
    holds = false;
    (void)pthread_rwlock_unlock(&gate);
}

bool hearth__fork_pause(void) {
    bool held = holds;
    if (held) {
        hearth__fork_release();
    }
    return held;
}

void hearth__fork_resume(bool held) {
    if (held) {
        hearth__fork_hold();
    }
}

/* ---- what a child closes ----------------------------------------------------------------- */

/* Whether this call holds fork() off, and not the thread already. */
static bool hold_for_list(void) {
    bool held = holds;
    if (!held) {
        hearth__fork_hold();
    }
    (void)pthread_mutex_lock(&fds_lock);
    return !held;
}

static void release_list(bool held_for_it) {
    (void)pthread_mutex_unlock(&fds_lock);
    if (held_for_it) {
        hearth__fork_release();
    }
}

void hearth__fork_close_in_child(hearth__fork_fds *fds) {
    bool held_for_it = hold_for_list();
    fds->next = first_fds;
    first_fds = fds;
    release_list(held_for_it);
}

void hearth__fork_forget(hearth__fork_fds *fds) {
    bool held_for_it = hold_for_list();
    hearth__fork_fds **at = &first_fds;
    while (*at != NULL && *at != fds) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = fds->next;
    }
    release_list(held_for_it);
}
