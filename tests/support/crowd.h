/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and events for tests. Nothing here asserts, since cmocka's assertions belong to the
 * test's own thread: what a thread finds, it writes down. */
#ifndef HEARTH_TESTS_SUPPORT_CROWD_H
#define HEARTH_TESTS_SUPPORT_CROWD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { CROWD_MAX = 64 };

/* Something that happens any number of times, and can be waited for. All zero is not enough:
 * begin with EVENT_INIT. */
struct event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t times;
};

#define EVENT_INIT \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

/* It has happened once more. */
void event_raise(struct event *event);

/* Waits until it has happened `times` times in all. False: not within a minute. */
bool event_await(struct event *event, size_t times) __attribute__((warn_unused_result));

/* What a thread of a crowd does; `index` counts from 0. */
typedef void (*crowd_work)(void *arg, size_t index);

struct crowd;

struct crowd_thread {
    struct crowd *crowd;
    size_t index;
    pthread_t thread;
};

struct crowd {
    crowd_work work;
    void *arg;
    size_t count;
    struct event started; /* all of them: they begin together */
    struct crowd_thread threads[CROWD_MAX];
};

/* Starts `count` threads, which begin their work together. False: not all could be started; those
 * that run are to be joined. */
bool crowd_start(struct crowd *crowd, size_t count, crowd_work work, void *arg)
    __attribute__((warn_unused_result));

/* Waits for all of them. */
void crowd_join(struct crowd *crowd);

/* Both in one. */
bool crowd_run(size_t count, crowd_work work, void *arg) __attribute__((warn_unused_result));

/* Looks again and again, without sleeping, until `is` says yes. False: not within a minute. */
bool await_until(bool (*is)(void *arg), void *arg) __attribute__((warn_unused_result));

#endif
