/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>

/* A process has one of these: that is the point of it. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static _Atomic uint64_t generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Read by who holds fork() off, written by who forks, who goes before new readers. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static _Thread_local bool holds;
static _Thread_local bool shut; /* by this thread, which forks */
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

static void in_child(void) {
    shut = false;
    (void)pthread_rwlock_unlock(&gate);
    /* Those who waited at the gate are not here. */
    gate = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
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
