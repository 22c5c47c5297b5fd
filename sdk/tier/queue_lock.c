/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How callers and the library's threads meet. An event loop must not wait for a thread that the system has taken the processor from
 * while it holds the queue's lock, nor for one that looks through all that waits. So a caller pushes its job to a stack that needs no
 * lock (R. K. Treiber, "Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986), and only tries the lock; if somebody has
 * it, that one takes the job in before it goes (flat combining: Hendler, Incze, Shavit, Tzafrir, SPAA 2010).
 */
#include "tier/queue.h"

#include "base/clock.h"

#include <stdint.h>

static void push(_Atomic(hearth__job *) *stack, hearth__job *job) {
    hearth__job *top = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        job->next = top;
    } while (!atomic_compare_exchange_weak(stack, &top, job));
}

/* A write to it, so that a caller who pushes later sees that the lock is gone. */
static bool is_empty(_Atomic(hearth__job *) *stack) {
    hearth__job *none = NULL;
    return atomic_compare_exchange_strong(stack, &none, NULL);
}

/* From now on. */
static int64_t deadline_of(const hearth__job *job, int64_t now_ns) {
    const hearth__config *config = &job->queue->cache->config;
    bool writes = hearth__job_writes(job);
    int64_t ms = writes ? job->write.deadline_ms : job->read.deadline_ms;
    ms = ms != 0                          ? ms
         : job->verb == HEARTH_VERB_FETCH ? config->load_hard_timeout_ms
                                          : config->remote_timeout_ms;
    return now_ns + ms * 1000000;
}

bool hearth__queue_take_in(hearth_queue *queue) {
    bool calls = false;
    hearth__job *next = NULL;
    hearth__job *all = atomic_load(&queue->inbox) != NULL
                           ? hearth__jobs_reverse(atomic_exchange(&queue->inbox, NULL))
                           : NULL;
    int64_t now_ns = all != NULL ? hearth__monotonic_ns() : 0;
    for (hearth__job *job = all; job != NULL; job = next) {
        next = job->next;
        job->since_ns = now_ns;
        job->deadline_ns = deadline_of(job, now_ns);
        if (atomic_load(&queue->closed)) {
            hearth__queue_end(queue, job, HEARTH_E_CLOSED);
            continue;
        }
        calls = calls || job->calls;
        hearth__jobs_add(&queue->waiting, job);
        if (queue->waiting.count == 1 || job->deadline_ns < queue->earliest_ns) {
            queue->earliest_ns = job->deadline_ns;
        }
    }
    return calls;
}

/* One time; what is done behind the lock is done while `inside` keeps the queue. */
static bool let_go(hearth_queue *queue) {
    bool calls = hearth__queue_take_in(queue) && hearth__queue_needs_driver(queue);
    hearth__job *ended = queue->ended;
    hearth__job *first = queue->first_ended;
    int64_t count = queue->ended_count;
    queue->ended = NULL;
    queue->ended_count = 0;
    pthread_mutex_unlock(&queue->lock);
    if (ended != NULL) {
        hearth__queue_publish(queue, ended, first, count);
    }
    return !calls || hearth__queue_schedule(queue);
}

bool hearth__queue_unlock(hearth_queue *queue) {
    atomic_fetch_add(&queue->inside, 1);
    bool good = let_go(queue);
    while (!is_empty(&queue->inbox) && pthread_mutex_trylock(&queue->lock) == 0) {
        good = let_go(queue) && good;
    }
    hearth__queue_leave(queue);
    return good;
}

void hearth__queue_leave_in(hearth_queue *queue, hearth__job *job) {
    push(&queue->inbox, job);
}

bool hearth__queue_hand_in(hearth_queue *queue, hearth__job *job) {
    push(&queue->inbox, job);
    return pthread_mutex_trylock(&queue->lock) != 0 || hearth__queue_unlock(queue);
}
