/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library's own: small, deaf to signals, and always joined by who started them. */
#ifndef HEARTH_BASE_THREAD_H
#define HEARTH_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/*
 * Starts one. It gets no signal of the process: those are for the application's threads. False: there
 * is none, and nothing is to be joined. Any thread.
 */
bool hearth__thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
    __attribute__((warn_unused_result));

#endif
