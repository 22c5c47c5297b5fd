/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out what was taken of a queue: a batch as one call for many keys. A fetch first looks what the tiers have, with the
 * others of its batch; what has to be loaded then goes to threads of its own, one fetch each, which take the whole way of
 * chain.c.
 *
 * Longer than 400 lines: what was taken, what came of it and who loads hand one batch from hand to hand.
 */
#include "tier/queue.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "tier/scope.h"

#include <stdint.h>

enum { NS_PER_MS = 1000000 };

/* A batch, key by key. */
struct batch {
    hearth *cache;
    hearth__job *first;
    size_t count;
    unsigned char *block; /* of what is below */
    const void **keys;
    size_t *sizes;
    hearth_value **values;
    int32_t *statuses;
    hearth__write *writes; /* instead of the keys, sizes and values */
};

/* ---- times ------------------------------------------------------------------------------ */

/* What is left; 0 would be the default. */
static int64_t left_ms(int64_t deadline_ns) {
    if (deadline_ns == HEARTH__NEVER) {
        return HEARTH_TTL_MAX;
    }
    int64_t left_ns = deadline_ns - hearth__monotonic_ns();
    return left_ns > 0 ? (left_ns + NS_PER_MS - 1) / NS_PER_MS : 1;
}

static int64_t last_deadline_ns(const hearth__job *first) {
    int64_t last_ns = first->deadline_ns;
    for (const hearth__job *job = first; job != NULL; job = job->also) {
        last_ns = job->deadline_ns > last_ns ? job->deadline_ns : last_ns;
    }
    return last_ns;
}

/* ---- a batch ---------------------------------------------------------------------------- */

static void place_reads(struct batch *batch) {
    size_t at = 0;
    for (const hearth__job *job = batch->first; job != NULL; job = job->also) {
        for (size_t i = 0; i < job->count; i++, at++) {
            batch->keys[at] = job->keys[i].key;
            batch->sizes[at] = job->keys[i].key_size;
            batch->values[at] = job->values[i];
        }
    }
}

static enum hearth__write_verb write_of(uint32_t verb) {
    static const enum hearth__write_verb writes[] = {
        [HEARTH_VERB_SET] = HEARTH__WRITE_SET,
        [HEARTH_VERB_DELETE] = HEARTH__WRITE_DELETE,
        [HEARTH_VERB_ADD] = HEARTH__WRITE_ADD,
        [HEARTH_VERB_REPLACE] = HEARTH__WRITE_REPLACE,
        [HEARTH_VERB_TOUCH] = HEARTH__WRITE_TOUCH,
        [HEARTH_VERB_INCREMENT] = HEARTH__WRITE_INCREMENT,
        [HEARTH_VERB_MARK_STALE] = HEARTH__WRITE_MARK,
        [HEARTH_VERB_INVALIDATE_TAG] = HEARTH__WRITE_DELETE, /* carried out by itself */
    };
    return writes[verb];
}

static void place_writes(struct batch *batch) {
    size_t at = 0;
    for (const hearth__job *job = batch->first; job != NULL; job = job->also) {
        for (size_t i = 0; i < job->count; i++, at++) {
            const hearth__job_key *key = &job->keys[i];
            batch->writes[at] = (hearth__write){.verb = write_of(job->verb),
                                                .key = key->key,
                                                .key_size = key->key_size,
                                                .data = key->data,
                                                .size = key->size,
                                                .number = job->number};
        }
    }
}

/* One block of memory for all of it. */
static bool open_batch(struct batch *batch, hearth *cache, hearth__job *first) {
    *batch = (struct batch){.cache = cache, .first = first};
    for (const hearth__job *job = first; job != NULL; job = job->also) {
        batch->count += job->count;
    }
    size_t count = batch->count;
    bool writes = hearth__job_writes(first);
    size_t each = writes ? sizeof(hearth__write)
                         : sizeof(void *) + sizeof(size_t) + sizeof(hearth_value *);
    batch->block = hearth__alloc_many(count, each + sizeof(int32_t));
    if (batch->block == NULL) {
        return false;
    }
    batch->statuses = (int32_t *)(void *)(batch->block + count * each);
    if (writes) {
        batch->writes = (hearth__write *)(void *)batch->block;
        place_writes(batch);
        return true;
    }
    batch->keys = (const void **)(void *)batch->block;
    batch->sizes = (size_t *)(void *)(batch->keys + count);
    batch->values = (hearth_value **)(void *)(batch->sizes + count);
    place_reads(batch);
    return true;
}

static void close_batch(const struct batch *batch) {
    hearth__free(batch->block);
}

static void fail_batch(const struct batch *batch, int32_t status) {
    for (size_t i = 0; i < batch->count; i++) {
        batch->statuses[i] = status;
        if (batch->values != NULL) {
            hearth__value_clear(batch->values[i]);
        }
    }
}

static void read_batch(const struct batch *batch) {
    hearth *handle = batch->first->queue->handle;
    hearth_read_options options = batch->first->read;
    options.deadline_ms = left_ms(last_deadline_ns(batch->first));
    bool looks = batch->first->verb == HEARTH_VERB_FETCH;
    int32_t status = HEARTH_OK;
    if (looks && (options.flags & HEARTH_READ_RELOAD) != 0) {
        fail_batch(batch, HEARTH_MISS); /* nothing that is cached is an answer */
    } else if (looks) {
        /* A node has its own time, within the load's. */
        int64_t most_ms = batch->cache->config.remote_timeout_ms;
        options.deadline_ms = options.deadline_ms < most_ms ? options.deadline_ms : most_ms;
        status = hearth__scoped_look_many(handle, batch->count, batch->keys, batch->sizes,
                                          &options, batch->values, batch->statuses);
    } else {
        status = hearth__scoped_get_many(handle, batch->count, batch->keys, batch->sizes,
                                         &options, batch->values, batch->statuses);
    }
    if (status != HEARTH_OK) {
        fail_batch(batch, status);
    }
}

static void write_batch(const struct batch *batch) {
    hearth_write_options options = batch->first->write;
    options.deadline_ms = left_ms(last_deadline_ns(batch->first));
    hearth__scoped_write(batch->first->queue->handle, batch->writes, batch->count, &options);
    const hearth__write *next = batch->writes;
    for (hearth__job *job = batch->first; job != NULL; job = job->also) {
        job->number = job->verb == HEARTH_VERB_INCREMENT ? next->number : 0;
        next += job->count;
    }
    for (size_t i = 0; i < batch->count; i++) {
        batch->statuses[i] = batch->writes[i].status;
    }
}

/* One, by itself. */
static void invalidate_tag(const struct batch *batch) {
    const hearth__job *job = batch->first;
    bool keeps_stale = (job->write.flags & HEARTH_WRITE_KEEP_STALE) != 0;
    batch->statuses[0] = hearth__invalidate_tag(
        job->queue->handle, job->one.key, job->one.key_size, keeps_stale, job->deadline_ns);
}

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

/* Those that have to load are linked, the others are done. */
static hearth__job *settle(hearth_queue *queue, const struct batch *batch) {
    hearth__job *loads = NULL;
    hearth__job **end = &loads;
    const int32_t *statuses = batch->statuses;
    hearth__job *next = NULL;
    for (hearth__job *job = batch->first; job != NULL; job = next) {
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
        read.deadline_ms = left_ms(job->deadline_ns);
    }
    if (!job->is_many) {
        return hearth__scoped_fetch(handle, job->one.key, job->one.key_size, &job->loader,
                                    &read, &job->write, job->values[0]);
    }
    struct batch batch;
    int32_t status = HEARTH_E_NOMEM;
    hearth__job alone = *job;
    alone.also = NULL;
    if (open_batch(&batch, cache, &alone)) {
        status = hearth__scoped_fetch_many(handle, batch.count, batch.keys, batch.sizes,
                                           &job->loader, &read, &job->write, batch.values,
                                           job->statuses);
    }
    close_batch(&batch);
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
    return queue->batches == 0 && queue->waiting.count != 0 && !atomic_load(&queue->closed) &&
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

void hearth__queue_run(hearth_queue *queue, hearth__job *first, bool drives) {
    struct batch batch;
    bool is_open = open_batch(&batch, queue->cache, first);
    if (is_open && first->verb == HEARTH_VERB_INVALIDATE_TAG) {
        invalidate_tag(&batch);
    } else if (is_open && hearth__job_writes(first)) {
        write_batch(&batch);
    } else if (is_open) {
        read_batch(&batch);
    }
    pthread_mutex_lock(&queue->lock);
    hearth__job *loads = settle(queue, &batch);
    if (loads != NULL) {
        hearth__queue_unlock(queue);
        hand_over(queue, loads);
        pthread_mutex_lock(&queue->lock);
    }
    queue->batches--;
    bool needs = drives && hearth__queue_needs_driver(queue);
    hearth__queue_unlock(queue);
    close_batch(&batch);
    if (needs) {
        (void)hearth__queue_schedule(queue);
    }
}

static hearth_queue *queue_of(hearth__task *task) {
    return (hearth_queue *)(void *)((char *)task - offsetof(hearth_queue, task));
}

static void drive(hearth__task *task) {
    hearth_queue *queue = queue_of(task);
    pthread_mutex_lock(&queue->lock);
    hearth__job *batch = hearth__queue_take(queue);
    queue->batches += batch != NULL;
    atomic_store(&queue->scheduled, false);
    hearth__queue_unlock(queue);
    if (batch != NULL) {
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
