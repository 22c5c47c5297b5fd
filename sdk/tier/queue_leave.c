/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shall not be carried out. Who cancels takes no lock of the library's threads: it says so on the job, if nobody has claimed that
 * yet, and is done with it; its memory goes when one of those threads comes by it, which the clock does within a millisecond.
 */
#include "tier/queue.h"

bool hearth__job_claim(hearth__job *job) {
    enum hearth__job_fate open = HEARTH__JOB_OPEN;
    return atomic_compare_exchange_strong(&job->fate, &open, HEARTH__JOB_CLAIMED);
}

void hearth__queue_bury(hearth_queue *queue, hearth__job *job) {
    hearth__queue_end_write(queue, job);
    hearth__job_destroy(job);
    atomic_fetch_sub(&queue->buried_late, 1);
}

void hearth__queue_end(hearth_queue *queue, hearth__job *job, int32_t status) {
    if (hearth__job_claim(job)) {
        hearth__queue_finish(queue, job, status);
    } else {
        hearth__queue_bury(queue, job);
    }
}

bool hearth__queue_mark_leaving(hearth__job *job, int32_t status) {
    if (job->leaves) {
        return false;
    }
    job->leaves = true;
    job->leaving = status;
    return true;
}

void hearth__queue_meet(hearth_queue *queue, hearth__job *job, uint32_t times) {
    job->met += times;
    if (job->met < 2) {
        return;
    }
    hearth__jobs_remove(&queue->to_load, job);
    hearth__queue_end(queue, job, job->leaving);
}

void hearth__queue_withdraw(hearth_queue *queue, hearth__job *job) {
    bool waited = hearth__workers_withdraw(queue->cache->queues.loaders, &job->task);
    pthread_mutex_lock(&queue->lock);
    hearth__queue_meet(queue, job, waited ? 2 : 1);
    hearth__queue_unlock(queue);
}

bool hearth__queue_begin_load(hearth_queue *queue, hearth__job *job) {
    if (job->leaves) {
        hearth__queue_meet(queue, job, 1);
        return false;
    }
    hearth__jobs_remove(&queue->to_load, job);
    if (!hearth__job_claim(job)) {
        hearth__queue_bury(queue, job);
        return false;
    }
    hearth__jobs_add(&queue->running, job);
    job->state = HEARTH__JOB_LOADING;
    return true;
}

int32_t hearth__queue_cancel(hearth_queue *queue, uint64_t ticket) {
    enum hearth__job_fate open = HEARTH__JOB_OPEN;
    int32_t status = HEARTH_MISS;
    pthread_mutex_lock(&queue->front);
    hearth__job *job = hearth__tickets_find(&queue->tickets, ticket);
    size_t bytes = job != NULL ? job->bytes : 0;
    atomic_fetch_add(&queue->buried_late, 1); /* before it can be */
    if (job != NULL &&
        atomic_compare_exchange_strong(&job->fate, &open, HEARTH__JOB_CANCELLED)) {
        hearth__tickets_take_back(&queue->tickets, ticket);
        queue->operations--;
        queue->bytes -= bytes;
        status = HEARTH_OK;
    } else {
        atomic_fetch_sub(&queue->buried_late, 1);
    }
    pthread_mutex_unlock(&queue->front);
    return status;
}
