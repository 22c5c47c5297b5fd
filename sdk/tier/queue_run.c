/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out what was taken of a queue: a batch as one call for many keys (queue_batch.c). A fetch first looks what the tiers have,
 * with the others of its batch; what has to be loaded then goes to threads of its own, one fetch each, which take the whole way of
 * chain.c.
 */
#include "tier/queue.h"

#include "base/clock.h"
#include "base/fork.h"
#include "tier/scope.h"

/* ---- what came of it -------------------------------------------------------------------- */

/* Whether a fetch that found this has to go the whole way: nothing is there, or its renewal is due, or may be. */
static bool has_to_load(const hearth__job *job, const hearth_value *value, int32_t status) {
    if (job->verb != HEARTH_VERB_FETCH || (job->read.flags & HEARTH_READ_NO_LOAD) != 0) {
        return false;
    }
    if (status != HEARTH_OK || value == NULL || value->plain != HEARTH__NOT_PLAIN) {
        return status != HEARTH_OK && status != HEARTH_ABSENT;
    }
    int64_t expiry_ms = 0;
    uint32_t lead_ms = hearth__answer_lead_ms(job->queue->cache, &value->answer, &expiry_ms);
    return hearth__answer_is_stale(&value->answer) ||
           expiry_ms - (int64_t)lead_ms <= value->answer.now_ms;
}

/* Gives an operation the statuses of its keys. True: it has to load. */
static bool take_statuses(hearth__job *job, const int32_t *statuses) {
    bool loads = false;
    job->status = job->is_many ? HEARTH_OK : statuses[0];
    for (size_t i = 0; i < job->count; i++) {
        const hearth_value *value = job->values != NULL ? job->values[i] : NULL;
        loads = loads || has_to_load(job, value, statuses[i]);
        if (job->is_many) {
            bool missing = job->verb == HEARTH_VERB_DELETE && statuses[i] == HEARTH_MISS;
            bool counts = hearth__job_writes(job) ? statuses[i] != HEARTH_OK && !missing
                                                  : statuses[i] < 0;
            job->statuses[i] = statuses[i];
            job->status = job->status == HEARTH_OK && counts ? statuses[i] : job->status;
        }
    }
    return loads;
}

/* Those that have to load are linked, the others are done. `statuses` is NULL: there was no memory for an answer. */
static hearth__job *settle(hearth_queue *queue, hearth__job *first, const int32_t *statuses) {
    hearth__job *loads = NULL;
    hearth__job **end = &loads;
    hearth__job *next = NULL;
    for (hearth__job *job = first; job != NULL; job = next) {
        next = job->also;
        bool has_statuses = statuses != NULL;
        bool load = has_statuses && take_statuses(job, statuses);
        if (has_statuses) {
            statuses += job->count;
        }
        hearth__queue_untake(queue, job);
        if (load) {
            job->state = HEARTH__JOB_TO_LOAD;
            job->also = NULL;
            hearth__jobs_add(&queue->to_load, job);
            if (job->deadline_ns < queue->earliest_load_ns) {
                queue->earliest_load_ns = job->deadline_ns;
            }
            *end = job;
            end = &job->also;
            atomic_store(&job->fate, HEARTH__JOB_OPEN); /* it can be cancelled again */
        } else {
            job->state =
                has_statuses ? job->state : HEARTH__JOB_WAITING; /* it has no answers */
            hearth__queue_finish(queue, job, has_statuses ? job->status : HEARTH_E_NOMEM);
        }
    }
    return loads;
}

/* ---- threads that load ------------------------------------------------------------------ */

static hearth__job *job_of(hearth__task *task) {
    return (hearth__job *)(void *)((char *)task - offsetof(hearth__job, task));
}

/* It was not loaded, and ends so unless it leaves anyhow. Under the lock. */
static void refuse_load(hearth_queue *queue, hearth__job *job, int32_t status) {
    if (job->leaves) {
        hearth__queue_meet(queue, job, 1);
        return;
    }
    hearth__jobs_remove(&queue->to_load, job);
    hearth__queue_end(queue, job, status);
}

static int32_t load(const hearth__job *job) {
    hearth *cache = job->queue->cache;
    hearth *handle = job->queue->handle;
    hearth_read_options read = job->read;
    if (read.deadline_ms != 0) { /* else nothing that has begun is to be cut short */
        read.deadline_ms = hearth__queue_left_ms(job->deadline_ns);
    }
    if (!job->is_many) {
        return hearth__scoped_fetch(handle, job->one.key, job->one.key_size, &job->loader,
                                    &read, &job->write, job->values[0]);
    }
    int32_t status = HEARTH_E_NOMEM;
    hearth__job alone = *job;
    alone.also = NULL;
    hearth__queue_batch *batch = hearth__queue_batch_open(cache, &alone);
    if (batch != NULL) {
        status = hearth__scoped_fetch_many(handle, batch->count, batch->keys, batch->sizes,
                                           &job->loader, &read, &job->write, batch->values,
                                           job->statuses);
    }
    hearth__queue_batch_close(batch);
    if (status != HEARTH_OK) {
        hearth__job_fail(job, status); /* also what was found on the way here */
    }
    for (size_t i = 0; i < job->count; i++) {
        status = status == HEARTH_OK && job->statuses[i] < 0 ? job->statuses[i] : status;
    }
    return status;
}

static void run_load(hearth__task *task) {
    hearth__job *job = job_of(task);
    hearth_queue *queue = job->queue;
    pthread_mutex_lock(&queue->lock);
    bool loads = hearth__queue_begin_load(queue, job);
    hearth__queue_unlock(queue);
    if (!loads) {
        return;
    }
    int32_t status = load(job);
    pthread_mutex_lock(&queue->lock);
    hearth__jobs_remove(&queue->running, job);
    hearth__queue_finish(queue, job, status);
    hearth__queue_unlock(queue);
}

/* Whether it is of the process that a forked child comes from: then its queue forgets it by itself. */
static bool is_parents(const hearth_queue *queue) {
    return atomic_load(&queue->fork_generation) != hearth__fork_generation();
}

static void drop_load(hearth__task *task) {
    hearth__job *job = job_of(task);
    hearth_queue *queue = job->queue;
    if (!is_parents(queue)) {
        pthread_mutex_lock(&queue->lock);
        refuse_load(queue, job, HEARTH_E_CLOSED);
        hearth__queue_unlock(queue);
    }
}

static void hand_over(hearth_queue *queue, hearth__job *loads) {
    hearth__workers *loaders = queue->cache->queues.loaders;
    while (loads != NULL) {
        hearth__job *job = loads;
        loads = job->also;
        enum hearth__submission said = hearth__workers_submit(loaders, &job->task, false);
        if (said != HEARTH__TAKEN) {
            pthread_mutex_lock(&queue->lock);
            refuse_load(queue, job, said == HEARTH__FULL ? HEARTH_E_CLOSED : HEARTH_E_NOMEM);
            hearth__queue_unlock(queue);
        }
    }
}

/* ---- drivers ---------------------------------------------------------------------------- */

bool hearth__queue_needs_driver(hearth_queue *queue) {
    bool has_work = queue->waiting.count != 0 || queue->begun.count != 0;
    return queue->batches == 0 && has_work && !atomic_load(&queue->closed) &&
           !atomic_exchange(&queue->scheduled, true);
}

/* No caller is to wait for the drivers' lock: what is not taken up at once, the clock finds. */
bool hearth__queue_schedule(hearth_queue *queue) {
    hearth *cache = queue->cache;
    hearth__workers *drivers = cache->queues.drivers;
    enum hearth__submission said = hearth__workers_offer(drivers, &queue->task, true);
    if (said == HEARTH__BUSY && !hearth__queue_clock_runs(cache)) {
        said = hearth__workers_submit(drivers, &queue->task, true);
    }
    if (said == HEARTH__TAKEN) {
        return true;
    }
    atomic_store(&queue->scheduled, false);
    return said == HEARTH__BUSY;
}

/* What came of a batch: the end of it. */
static void conclude(hearth_queue *queue, hearth__job *first, hearth__queue_batch *batch,
                     bool drives) {
    pthread_mutex_lock(&queue->lock);
    hearth__job *loads = settle(queue, first, batch != NULL ? batch->statuses : NULL);
    if (loads != NULL) {
        hearth__queue_unlock(queue);
        hand_over(queue, loads);
        pthread_mutex_lock(&queue->lock);
    }
    queue->batches--;
    bool needs = drives && hearth__queue_needs_driver(queue);
    hearth__queue_unlock(queue);
    hearth__queue_batch_close(batch);
    if (needs) {
        (void)hearth__queue_schedule(queue);
    }
}

void hearth__queue_run(hearth_queue *queue, hearth__job *first, bool drives) {
    hearth__queue_batch *batch = hearth__queue_batch_open(queue->cache, first);
    if (batch != NULL) {
        hearth__queue_batch_run(batch);
    }
    conclude(queue, first, batch, drives);
}

/* ---- batches that lie with their nodes -------------------------------------------------- */

static void add_begun(hearth_queue *queue, hearth__queue_batch *batch) {
    struct hearth__begun *begun = &queue->begun;
    if (begun->first == NULL) {
        begun->first = batch;
    } else {
        begun->last->next = batch;
    }
    begun->last = batch;
    begun->count++;
}

bool hearth__queue_begin(hearth_queue *queue, hearth__job *first) {
    hearth__queue_batch *batch = hearth__queue_batch_open(queue->cache, first);
    if (batch == NULL || !hearth__queue_batch_begin(batch)) {
        conclude(queue, first, batch, false);
        return false;
    }
    batch->begun_ns = hearth__monotonic_ns();
    pthread_mutex_lock(&queue->lock);
    add_begun(queue, batch);
    queue->batches--;
    hearth__queue_unlock(queue);
    hearth__queue_clock_keep_awake(queue->cache); /* if nobody comes back for it */
    return true;
}

hearth__queue_batch *hearth__queue_take_begun(hearth_queue *queue) {
    struct hearth__begun *begun = &queue->begun;
    hearth__queue_batch *batch = begun->first;
    if (batch != NULL) {
        begun->first = batch->next;
        begun->count--;
        queue->batches++;
    }
    return batch;
}

void hearth__queue_finish_begun(hearth_queue *queue, hearth__queue_batch *batch, bool drives) {
    hearth__queue_batch_finish(batch);
    conclude(queue, batch->first, batch, drives);
}

/* ---- who drives ------------------------------------------------------------------------- */

static hearth_queue *queue_of(hearth__task *task) {
    return (hearth_queue *)(void *)((char *)task - offsetof(hearth_queue, task));
}

static void drive(hearth__task *task) {
    hearth_queue *queue = queue_of(task);
    hearth__job *batch = NULL;
    pthread_mutex_lock(&queue->lock);
    hearth__queue_batch *begun = hearth__queue_take_begun(queue);
    if (begun == NULL) {
        batch = hearth__queue_take(queue, HEARTH__QUEUE_BATCH);
        queue->batches += batch != NULL;
    }
    atomic_store(&queue->scheduled, false);
    hearth__queue_unlock(queue);
    if (begun != NULL) {
        hearth__queue_finish_begun(queue, begun, true);
    } else if (batch != NULL) {
        hearth__queue_run(queue, batch, true);
    }
}

static void drop_drive(hearth__task *task) {
    hearth_queue *queue = queue_of(task);
    if (!is_parents(queue)) {
        atomic_store(&queue->scheduled, false);
    }
}

hearth__workers *hearth__queue_drivers_create(const hearth *cache) {
    hearth__workers_config config = {.threads = (uint32_t)cache->config.submit_threads,
                                     .room = SIZE_MAX,
                                     .run = drive,
                                     .drop = drop_drive};
    return hearth__workers_create(&config);
}

hearth__workers *hearth__queue_loaders_create(const hearth *cache) {
    hearth__workers_config config = {.threads = (uint32_t)cache->config.submit_load_threads,
                                     .room = SIZE_MAX,
                                     .run = run_load,
                                     .drop = drop_load};
    return hearth__workers_create(&config);
}
