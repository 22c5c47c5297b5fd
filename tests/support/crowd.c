/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

#include <sched.h>
#include <time.h>

/* Only a broken program gets here: nothing is measured by it. */
enum { PATIENCE_S = 60 };

static void *run(void *arg) {
    struct crowd_thread *thread = arg;
    if (event_await(&thread->crowd->started, 1)) {
        thread->crowd->work(thread->crowd->arg, thread->index);
    }
    return NULL;
}

bool crowd_start(struct crowd *crowd, size_t count, crowd_work work, void *arg) {
    crowd->work = work;
    crowd->arg = arg;
    crowd->count = 0;
    crowd->started = (struct event)EVENT_INIT;
    bool started = true;
    while (started && crowd->count < count && crowd->count < CROWD_MAX) {
        struct crowd_thread *thread = &crowd->threads[crowd->count];
        thread->crowd = crowd;
        thread->index = crowd->count;
        started = pthread_create(&thread->thread, NULL, run, thread) == 0;
        crowd->count += started;
    }
    event_raise(&crowd->started);
    return crowd->count == count;
}

void crowd_join(struct crowd *crowd) {
    for (size_t i = 0; i < crowd->count; i++) {
        pthread_join(crowd->threads[i].thread, NULL);
    }
    crowd->count = 0;
}

bool crowd_run(size_t count, crowd_work work, void *arg) {
    struct crowd crowd;
    bool started = crowd_start(&crowd, count, work, arg);
    crowd_join(&crowd);
    return started;
}

void event_raise(struct event *event) {
    pthread_mutex_lock(&event->lock);
    event->times++;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
}

bool event_await(struct event *event, size_t times) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int result = 0;
    pthread_mutex_lock(&event->lock);
    while (event->times < times && result == 0) {
        result = pthread_cond_timedwait(&event->changed, &event->lock, &until);
    }
    bool happened = event->times >= times;
    pthread_mutex_unlock(&event->lock);
    return happened;
}

bool await_until(bool (*is)(void *arg), void *arg) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const time_t until = now.tv_sec + PATIENCE_S;
    while (!is(arg)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > until) {
            return false;
        }
        sched_yield();
    }
    return true;
}
