/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>

/* The library needs little; a resolver's modules need some. */
enum { STACK_BYTES = 512 * 1024 };

bool hearth__thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg) {
    pthread_attr_t attributes;
    sigset_t all;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    /* From its first instruction on, and without touching the mask of the thread that starts it. */
    bool started = sigfillset(&all) == 0 &&
                   pthread_attr_setsigmask_np(&attributes, &all) == 0 &&
                   pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
                   pthread_create(thread, &attributes, run, arg) == 0;
    (void)pthread_attr_destroy(&attributes);
    return started;
}
