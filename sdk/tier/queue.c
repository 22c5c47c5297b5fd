/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of calls that do not wait: open, submit, close. */
#include "tier/queue.h"

#include "base/clock.h"
#include "base/event_fd.h"
#include "base/fork.h"
#include "base/memory.h"
#include "tier/scope.h"

#include <time.h>
#include <utlist.h>

/* ---- forked children -------------------------------------------------------------------- */

static void drop_all(hearth__jobs *jobs) {
    while (jobs->first != NULL) {
        hearth__job *job = jobs->first;
        hearth__jobs_remove(jobs, job);
        hearth__job_destroy(job);
    }
}

static void drop_chain(hearth__job *all) {
    while (all != NULL) {
        hearth__job *next = all->next;
        hearth__job_destroy(all);
        all = next;
    }
}

static void forget_results(hearth_queue *queue) {
    drop_chain(atomic_exchange(&queue->done, NULL));
    drop_chain(queue->ready);
    drop_chain(queue->ended);
    queue->ready = NULL;
    queue->ended = NULL;
    queue->ended_count = 0;
    atomic_store(&queue->results, 0);
    hearth__event_fd_close(
        atomic_exchange(&queue->event_fd, -1)); /* else the parent's loop would be woken */
    atomic_store(&queue->signalled, false);
    atomic_store(&queue->collectors, 0);
}

/* What runs is left alone: nobody knows what threads that the child does not have were doing with it. */
static void forget_parents(hearth_queue *queue) {
    drop_chain(atomic_exchange(&queue->inbox, NULL));
    drop_all(&queue->waiting);
    drop_all(&queue->to_load);
    forget_results(queue);
    atomic_store(&queue->buried_late, 0);
    queue->earliest_load_ns = HEARTH__NEVER;
    queue->running = (hearth__jobs){NULL, 0};
    queue->begun = (struct hearth__begun){0};
    atomic_store(&queue->scheduled, false);
    atomic_store(&queue->lent, false);
    queue->batches = 0;
    queue->operations = 0;
    queue->bytes = 0;
    hearth__tickets_forget(&queue->tickets);
    for (size_t i = 0; i < HEARTH__QUEUE_STRIPES; i++) {
        queue->running_reads[i] = 0;
        queue->running_writes[i] = 0;
        atomic_store_explicit(&queue->pending_writes[i], 0, memory_order_relaxed);
    }
    atomic_store(&queue->inside, 0);
}

void hearth__queue_own(hearth_queue *queue) {
    if (atomic_load_explicit(&queue->fork_generation, memory_order_acquire) ==
        hearth__fork_generation()) {
        return;
    }
    if (queue->cache != NULL) { /* first the threads forget tasks that are about to go */
        (void)hearth__workers_waiting(queue->cache->queues.drivers);
        (void)hearth__workers_waiting(queue->cache->queues.loaders);
    }
    pthread_mutex_lock(&queue->lock);
    if (atomic_load(&queue->fork_generation) != hearth__fork_generation()) {
        forget_parents(queue);
        atomic_store_explicit(&queue->fork_generation, hearth__fork_generation(),
                              memory_order_release);
    }
    hearth__queue_unlock(queue);
}

/* ---- the gate --------------------------------------------------------------------------- */

bool hearth__queue_enter(hearth_queue *queue) {
    hearth__queue_own(queue);
    atomic_fetch_add(&queue->inside, 1);
    if (atomic_load(&queue->closed)) {
        hearth__queue_leave(queue);
        return false;
    }
    return true;
}

void hearth__queue_leave(hearth_queue *queue) {
    atomic_fetch_sub(&queue->inside, 1);
}

hearth *hearth__queue_cache(const hearth_queue *queue) {
    return queue->cache;
}

/* ---- submit ----------------------------------------------------------------------------- */

/* Whether the local tier may answer by itself: no write of this queue is to be seen first. */
static bool is_hit(hearth_queue *queue, const hearth__operation *submission) {
    if (submission->read == NULL || submission->is_many || submission->values == NULL ||
        submission->values[0] == NULL || !hearth__read_takes_any_hit(submission->read)) {
        return false;
    }
    uint32_t stripe = hearth__queue_stripe(submission->keys[0], submission->key_sizes[0]);
    return atomic_load_explicit(&queue->pending_writes[stripe], memory_order_acquire) == 0 &&
           hearth__scoped_hit(queue->handle, submission->keys[0], submission->key_sizes[0],
                              submission->read->max_stale_ms, submission->values[0]);
}

static void begin_write(hearth_queue *queue, const hearth__job *job) {
    for (size_t i = 0; hearth__job_writes(job) && i < job->count; i++) {
        atomic_fetch_add_explicit(&queue->pending_writes[job->keys[i].stripe], 1,
                                  memory_order_relaxed);
    }
}

/* Gives it its ticket, within the bounds. Whoever cancels much has to wait for it to be buried, too. */
static int32_t admit(hearth_queue *queue, hearth__job *job) {
    int32_t status = HEARTH_OK;
    pthread_mutex_lock(&queue->front);
    if (queue->operations >= queue->max_operations ||
        queue->bytes + job->bytes > queue->max_bytes ||
        atomic_load(&queue->buried_late) >= queue->max_operations) {
        status = HEARTH_E_OVERLOAD;
    } else if (!hearth__tickets_give(&queue->tickets, job)) {
        status = HEARTH_E_NOMEM;
    } else {
        queue->operations++;
        queue->bytes += job->bytes;
    }
    pthread_mutex_unlock(&queue->front);
    return status;
}

static int32_t enqueue(hearth_queue *queue, const hearth__operation *submission,
                       uint64_t *ticket) {
    hearth__job *job = hearth__job_create(queue, submission);
    if (job == NULL) {
        return HEARTH_E_NOMEM;
    }
    bool is_watched = hearth__queue_clock_wake(queue->cache);
    bool is_lent = is_watched && atomic_load_explicit(&queue->lent, memory_order_relaxed);
    job->queue = queue;
    job->calls = !is_lent;
    int32_t status = admit(queue, job);
    if (status != HEARTH_OK) {
        hearth__job_destroy(job);
        return status;
    }
    uint64_t number = job->ticket; /* it may be gone when it was handed in */
    begin_write(queue, job);
    if (is_lent) {
        hearth__queue_leave_in(queue, job);
    } else if (!hearth__queue_hand_in(queue, job) && !is_watched &&
               hearth__queue_cancel(queue, number) == HEARTH_OK) {
        return HEARTH_E_NOMEM; /* there is nobody who would do it */
    }
    if (is_watched) {
        hearth__queue_clock_keep_awake(
            queue->cache); /* it may have found nothing just before */
    }
    *ticket = number;
    return HEARTH_OK;
}

int32_t hearth__queue_submit(hearth_queue *queue, const hearth__operation *submission,
                             uint64_t *ticket) {
    *ticket = 0;
    if (is_hit(queue, submission)) {
        return HEARTH_OK;
    }
    return enqueue(queue, submission, ticket);
}

/* ---- open and close --------------------------------------------------------------------- */

static bool open_locks(hearth_queue *queue) {
    if (pthread_mutex_init(&queue->lock, NULL) != 0) {
        return false;
    }
    if (pthread_mutex_init(&queue->front, NULL) != 0) {
        pthread_mutex_destroy(&queue->lock);
        return false;
    }
    return true;
}

static void free_all(hearth_queue *queue) {
    hearth__jobs_free(queue->spares);
    hearth__tickets_close(&queue->tickets);
    pthread_mutex_destroy(&queue->front);
    pthread_mutex_destroy(&queue->lock);
    hearth__free(queue);
}

int32_t hearth__queue_open(hearth *handle, hearth_queue **out) {
    hearth *cache = handle->whole;
    hearth_queue *queue = hearth__alloc_zero(1, sizeof *queue);
    if (queue == NULL || !open_locks(queue)) {
        hearth__free(queue);
        return HEARTH_E_NOMEM;
    }
    queue->cache = cache;
    queue->handle = handle;
    queue->max_operations = (uint64_t)cache->config.submit_max_operations;
    queue->max_bytes = (uint64_t)cache->config.submit_max_bytes;
    if (hearth__tickets_open(&queue->tickets, queue->max_operations) != HEARTH_OK) {
        free_all(queue);
        return HEARTH_E_NOMEM;
    }
    atomic_store(&queue->event_fd, -1);
    queue->earliest_load_ns = HEARTH__NEVER;
    atomic_store(&queue->lent_ns, INT64_MIN / 2);
    atomic_store(&queue->fork_generation, hearth__fork_generation());
    pthread_mutex_lock(&cache->queues.lock);
    queue->id = ++cache->queues.last_id;
    DL_APPEND(cache->queues.first, queue);
    pthread_mutex_unlock(&cache->queues.lock);
    *out = queue;
    return HEARTH_OK;
}

/* From here on nothing is taken any more; what waits ends. Who sleeps for results that do not come is told. */
static void shut(hearth_queue *queue) {
    hearth__queue_own(queue);
    pthread_mutex_lock(&queue->lock);
    atomic_store(&queue->closed, true);
    while (queue->waiting.first != NULL) {
        hearth__job *job = queue->waiting.first;
        hearth__jobs_remove(&queue->waiting, job);
        hearth__queue_end(queue, job, HEARTH_E_CLOSED);
    }
    hearth__queue_unlock(queue);
    hearth__bell_ring(&queue->bell, HEARTH__QUEUE_STROKE);
}

/* What has begun is finished by who closes. False: there is nothing of that kind. */
static bool finish_one(hearth_queue *queue) {
    pthread_mutex_lock(&queue->lock);
    hearth__queue_batch *batch = hearth__queue_take_begun(queue);
    hearth__queue_unlock(queue);
    if (batch != NULL) {
        hearth__queue_finish_begun(queue, batch, false);
    }
    return batch != NULL;
}

/* One that waits for a thread that loads, and shall not. NULL: none. */
static hearth__job *next_to_leave(hearth_queue *queue) {
    hearth__job *found = NULL;
    pthread_mutex_lock(&queue->lock);
    DL_FOREACH(queue->to_load.first, found) {
        if (hearth__queue_mark_leaving(found, HEARTH_E_CLOSED)) {
            break;
        }
    }
    hearth__queue_unlock(queue);
    return found;
}

static bool is_quiet(hearth_queue *queue) {
    pthread_mutex_lock(&queue->lock);
    (void)hearth__queue_take_in(queue);
    bool quiet = !atomic_load(&queue->scheduled) && queue->batches == 0 &&
                 queue->running.count == 0 && queue->to_load.count == 0 &&
                 queue->waiting.count == 0 && atomic_load(&queue->inside) == 0;
    hearth__queue_unlock(queue);
    return quiet;
}

/* Those who leave may not touch the queue afterwards, so nobody can wake us. */
static void await_quiet(hearth_queue *queue) {
    while (!is_quiet(queue)) {
        if (!finish_one(queue)) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
}

static void part(hearth *cache, hearth_queue *queue) {
    pthread_mutex_lock(&cache->queues.lock);
    DL_DELETE(cache->queues.first, queue);
    pthread_mutex_unlock(&cache->queues.lock);
    await_quiet(queue); /* the clock may have it still */
    queue->cache = NULL;
}

/* Results that nobody collected. */
struct telling {
    hearth_result_function tell;
    void *arg;
};

static void tell_one(void *arg, size_t index, const hearth_result *result) {
    const struct telling *telling = arg;
    (void)index;
    if (telling->tell != NULL) {
        telling->tell(telling->arg, result);
    }
}

int32_t hearth__queue_close(hearth_queue *queue, hearth_result_function tell, void *arg) {
    hearth *cache = queue->cache;
    if (cache != NULL && hearth__flights_is_leader(cache->flights)) {
        return HEARTH_E_DEADLOCK;
    }
    shut(queue);
    if (cache != NULL) {
        hearth__job *job = NULL;
        while (finish_one(queue)) {
        }
        while ((job = next_to_leave(queue)) != NULL) {
            hearth__queue_withdraw(queue, job);
        }
        await_quiet(queue);
        part(cache, queue);
    }
    struct telling telling = {tell, arg};
    size_t count = 0;
    while (hearth__queue_collect(queue, HEARTH__QUEUE_RESULTS, 0, tell_one, &telling, &count) ==
           HEARTH_OK) {
    }
    hearth__event_fd_close(atomic_load(&queue->event_fd));
    free_all(queue);
    return HEARTH_OK;
}

/* ---- of a cache ------------------------------------------------------------------------- */

int32_t hearth__queues_open(hearth *cache) {
    struct hearth__queues *queues = &cache->queues;
    if (pthread_mutex_init(&queues->lock, NULL) != 0) {
        return HEARTH_E_NOMEM;
    }
    atomic_store(&queues->clock_sleeps, true);
    queues->drivers = hearth__queue_drivers_create(cache);
    queues->loaders = hearth__queue_loaders_create(cache);
    return queues->drivers != NULL && queues->loaders != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

void hearth__queues_shut(hearth *cache) {
    hearth_queue *queue = NULL;
    DL_FOREACH(cache->queues.first, queue) {
        shut(queue);
    }
    hearth__workers_shut(cache->queues.loaders);
}

void hearth__queues_join(hearth *cache) {
    hearth__queue_clock_stop(cache);
    for (hearth_queue *queue = cache->queues.first; queue != NULL;
         queue = cache->queues.first) {
        await_quiet(queue);
        part(cache, queue);
    }
    hearth__workers_shut(cache->queues.drivers);
    hearth__workers_join(cache->queues.drivers);
    hearth__workers_join(cache->queues.loaders);
}

void hearth__queues_close(hearth *cache) {
    hearth__workers_destroy(cache->queues.drivers);
    hearth__workers_destroy(cache->queues.loaders);
    pthread_mutex_destroy(&cache->queues.lock);
}
