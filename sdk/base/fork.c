/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>

/* A process has one of these: that is the point of it. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static _Atomic uint64_t generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

static void in_child(void) {
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void watch_forks(void) {
    /* Without memory for the handler a child would share sockets; no fork can be told then, so
     * it stays 1. */
    (void)pthread_atfork(NULL, NULL, in_child);
}

uint64_t hearth__fork_generation(void) {
    (void)pthread_once(&once, watch_forks);
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
