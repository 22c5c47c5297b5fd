/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues: calls that do not wait. Behind the public handle hearth_queue.
 *
 *   queue.c        open, submit, close
 *   queue_lock.c   how callers and the library's threads meet, so that no caller waits for such a thread
 *   queue_leave.c  what shall not be carried out: cancelled, late, closed
 *   queue_tickets.c  which tickets there are
 *   queue_job.c    one operation on its way: a copy of all that it needs but what its result goes to
 *   queue_take.c   which of them go together, and in which order
 *   queue_batch.c  as one call for many keys
 *   queue_run.c    carries them out, on drivers, on threads for loads, and on who waits for results
 *   queue_done.c   results
 *   queue_clock.c  a thread that looks after deadlines, and after what nobody has taken up
 *
 *   submit -> WAITING -> (taken with others) -> RUNNING -> DONE -> collect
 *                            a fetch that has to load: -> TO_LOAD -> LOADING -> DONE
 *
 * Drivers are workers (base/workers.h), for which a queue is one task: whoever runs it takes what can go together, and carries it
 * out as one call for many keys, so that what is in flight on a queue becomes pipelines on the lanes. One batch of a queue runs at a
 * time, unless it takes long: then the clock calls for another driver. What waits at a key for an operation that runs is left for
 * later, so that each key's operations keep their order.
 *
 * There are two locks, and nobody takes one while holding the other. `front` is the callers': it is never held by a thread of the
 * library's, which may lose its processor while it holds something. `lock` is for who carries operations out; callers who may not
 * wait only try it.
 */
#ifndef HEARTH_TIER_QUEUE_H
#define HEARTH_TIER_QUEUE_H

#include "tier/read.h"

#include <pthread.h>
#include <stddef.h>

enum {
    HEARTH__QUEUE_STRIPES = 1024, /* of keys */
    HEARTH__QUEUE_BATCH = 512,    /* keys that go together, and at least one operation */
    HEARTH__QUEUE_RESULTS = 1024, /* at once */
    HEARTH__QUEUE_STROKE = 1,     /* of its bell */
    HEARTH__QUEUE_OPERATIONS_MOST = 16777216, /* as the options have it */
};

/* One key of an operation, and what is to be stored there. */
typedef struct hearth__job_key {
    const void *key;
    size_t key_size;
    const void *data;
    size_t size;
    uint32_t stripe;
} hearth__job_key;

enum hearth__job_state {
    HEARTH__JOB_WAITING,
    HEARTH__JOB_RUNNING,
    HEARTH__JOB_TO_LOAD, /* it waits for a thread */
    HEARTH__JOB_LOADING,
    HEARTH__JOB_DONE,
};

/* Whose turn it is to decide how a job ends. */
enum hearth__job_fate {
    HEARTH__JOB_OPEN,    /* of who is first */
    HEARTH__JOB_CLAIMED, /* of who claimed it: it is carried out, or late, or closed */
    HEARTH__JOB_CANCELLED, /* nobody's: its caller is done with it, nobody is told, and who comes by it buries it */
};

typedef struct hearth__job {
    hearth__task task;        /* of a load */
    struct hearth__job *prev; /* in one of the queue's lists */
    struct hearth__job *next; /* or in a chain of those that are in none of them */
    struct hearth__job *also; /* the next of its batch */
    struct hearth_queue *queue;
    uint64_t ticket;
    void *tag;
    uint32_t verb; /* enum hearth_verb */
    enum hearth__job_state state;
    _Atomic(enum hearth__job_fate) fate;
    bool calls;  /* a driver is to be called for it */
    bool leaves; /* with TO_LOAD: it ends with `leaving`, and is not loaded */
    int32_t leaving;
    uint32_t met; /* of the two who end it then: who loads, and who wants it to leave */
    int32_t status;
    int64_t number;   /* INCREMENT: what is added, then what it is */
    size_t bytes;     /* of memory, this and the keys and values behind it */
    int64_t since_ns; /* when it was taken in, and when it has to be done by */
    int64_t deadline_ns;
    hearth_read_options read;
    hearth_write_options write;
    hearth_loader loader;
    size_t count;  /* of keys */
    bool is_many;  /* the caller has an array of statuses */
    bool is_small; /* it has the size that all such have, and nothing else is its own */
    hearth__job_key one;
    hearth__job_key *keys;  /* all: `one`, or an array behind this */
    hearth_value **values;  /* each key's, be it wanted or not; NULL: of a write */
    hearth_value *single;   /* of one key */
    hearth_value *unwanted; /* `count` values that nobody asked for; NULL: none */
    int32_t *statuses;      /* the caller's, with is_many */
    _Alignas(max_align_t) unsigned char behind[];
} hearth__job;

/* Jobs in their order. */
typedef struct hearth__jobs {
    hearth__job *first;
    size_t count;
} hearth__jobs;

/* A batch, key by key. */
typedef struct hearth__queue_batch {
    hearth *cache;
    hearth__job *first;
    size_t count; /* of keys */
    const void **keys;
    size_t *sizes;
    hearth_value **values;
    int32_t *statuses;
    hearth__write *writes; /* instead of the keys, sizes and values */
    hearth_read_options read;

    /* Of one that has begun: */
    hearth__many *many;
    struct hearth__queue_batch *next;
    int64_t begun_ns;
    int64_t deadline_ns;
    _Alignas(max_align_t) unsigned char behind[]; /* the memory of the arrays above */
} hearth__queue_batch;

/* Those whose keys the nodes were asked for, and whom nobody has finished yet: the oldest first. */
struct hearth__begun {
    hearth__queue_batch *first;
    hearth__queue_batch *last;
    size_t count;
};

/* One ticket's place: of an operation, or free. */
typedef struct hearth__slot {
    hearth__job *job;
    uint64_t uses;
    uint64_t next_free; /* its number and one; 0: none */
} hearth__slot;

/* Places come in pieces that stay where they are: no caller pays for all at once when there are to be more. */
struct hearth__tickets {
    hearth__slot **pieces;
    uint64_t count; /* of places, free ones included */
    uint64_t first_free;
};

/* Behind the public handle. */
struct hearth_queue {
    hearth__task task; /* of the drivers */
    hearth *cache;     /* NULL: it is closed. What is below, but for `done`, is then at rest */
    hearth *handle;    /* it was opened with: the cache's, or a namespace's */
    struct hearth_queue *prev;
    struct hearth_queue *next;
    uint64_t id;
    uint64_t max_operations;
    uint64_t max_bytes;
    _Atomic int64_t inside; /* callers that use the cache */
    _Atomic bool closed;    /* no more is taken */
    _Atomic uint64_t fork_generation;
    _Atomic bool
        lent; /* collectors do the drivers' work, one after the other; the clock ends that */
    _Atomic int64_t lent_ns;                                /* when one last did */
    _Atomic uint32_t pending_writes[HEARTH__QUEUE_STRIPES]; /* waiting and running */

    /* From callers to whoever has `lock`, and back. */
    _Atomic(hearth__job *) inbox; /* the latest first; linked by `next` */
    _Atomic(hearth__job *) done;  /* the same */
    _Atomic int64_t results;      /* there and in `ready`; less, while some are on their way */
    _Atomic uint32_t collectors;  /* that sleep */
    _Atomic uint64_t buried_late; /* cancelled, and not buried yet */
    _Atomic bool signalled;       /* the event descriptor was raised */
    _Atomic int event_fd;         /* -1: nobody asked for one */
    hearth__bell bell;            /* there are results */

    pthread_mutex_t front; /* of callers, and of what follows */
    hearth__job *ready;  /* results that were taken, but not collected yet; linked by `next` */
    hearth__job *spares; /* linked by `next` */
    size_t spare_count;
    uint64_t operations; /* neither collected nor cancelled */
    uint64_t bytes;
    struct hearth__tickets tickets;

    pthread_mutex_t lock; /* of who carries out, and of what follows */
    hearth__jobs waiting;
    hearth__jobs running; /* LOADING included */
    hearth__jobs to_load;
    struct hearth__begun begun; /* their jobs are RUNNING */
    hearth__job *
        ended; /* results that are published when the lock is gone, the latest first; linked by `next` */
    hearth__job *first_ended;
    int64_t ended_count;
    _Atomic bool scheduled;   /* it is a task that waits for a driver */
    uint32_t batches;         /* that run */
    int64_t earliest_ns;      /* no deadline of what waits is before */
    int64_t earliest_load_ns; /* nor of what is to be loaded, before this */
    uint32_t running_reads[HEARTH__QUEUE_STRIPES];
    uint32_t running_writes[HEARTH__QUEUE_STRIPES];
};

/* ---- queue_job.c ---- */

/* A copy of an operation, whose arguments were checked. NULL: out of memory. */
hearth__job *hearth__job_create(hearth_queue *queue, const hearth__operation *submission);
void hearth__job_destroy(hearth__job *job);

/* Of jobs that are small, linked by `next`: they are kept to be used again; they are freed. */
void hearth__jobs_recycle(hearth_queue *queue, hearth__job *jobs);
void hearth__jobs_free(hearth__job *jobs);

static inline bool hearth__verb_reads(uint32_t verb) {
    return verb == HEARTH_VERB_GET || verb == HEARTH_VERB_FETCH;
}

static inline bool hearth__verb_stores(uint32_t verb) {
    return verb == HEARTH_VERB_SET || verb == HEARTH_VERB_ADD || verb == HEARTH_VERB_REPLACE;
}

static inline bool hearth__job_writes(const hearth__job *job) {
    return !hearth__verb_reads(job->verb);
}

static inline uint32_t hearth__queue_stripe(const void *key, size_t key_size) {
    return (uint32_t)hearth__hash64(key, key_size) % HEARTH__QUEUE_STRIPES;
}

void hearth__jobs_add(hearth__jobs *jobs, hearth__job *job);
void hearth__jobs_remove(hearth__jobs *jobs, hearth__job *job);

/* Of those that are linked by `next`. */
hearth__job *hearth__jobs_reverse(hearth__job *all);

/* ---- queue_take.c: under the lock ---- */

/* Takes what can go together of what waits, in its order, `most` keys or one operation: it runs from now on. The first; `also` leads
 * to the others. NULL: nothing can be taken now. */
hearth__job *hearth__queue_take(hearth_queue *queue, size_t most);

/* A job that was taken is in no list any more, and what waits for it can go. */
void hearth__queue_untake(hearth_queue *queue, hearth__job *job);

/* ---- queue_run.c ---- */

/* The drivers, and the threads that load. NULL: out of memory. */
hearth__workers *hearth__queue_drivers_create(const hearth *cache);
hearth__workers *hearth__queue_loaders_create(const hearth *cache);

/* Whether a driver is to be called; then hearth__queue_schedule() must follow, under no lock. Under the lock. */
bool hearth__queue_needs_driver(hearth_queue *queue);

/* Makes the queue a task of the drivers, now or, where their lock is held just now, in a millisecond. False: there are no threads for
 * it. */
bool hearth__queue_schedule(hearth_queue *queue);

/* Carries out a batch that the caller has taken, and counted in `batches`. `drives`: then what is left is for a driver; else the
 * caller, who collects, comes back for it. */
void hearth__queue_run(hearth_queue *queue, hearth__job *batch, bool drives);

/* The same, but that the batch may only begin, if the tiers can do so: then it waits for who finishes it, and counts no more in
 * `batches`. False: it was carried out. */
bool hearth__queue_begin(hearth_queue *queue, hearth__job *batch);

/* The oldest that has begun, which the caller is to finish; it counts in `batches`. NULL: there is none. Under the lock. */
hearth__queue_batch *hearth__queue_take_begun(hearth_queue *queue);
void hearth__queue_finish_begun(hearth_queue *queue, hearth__queue_batch *batch, bool drives);

/* ---- queue_batch.c ---- */

/* NULL: out of memory. */
hearth__queue_batch *hearth__queue_batch_open(hearth *cache, hearth__job *first);
void hearth__queue_batch_close(hearth__queue_batch *batch);

/* To a deadline; 0 would be the default. */
int64_t hearth__queue_left_ms(int64_t deadline_ns);

/* Its statuses are there behind it. */
void hearth__queue_batch_run(hearth__queue_batch *batch);

/* The same in two steps, which any two threads may take. False: it was carried out in one. */
bool hearth__queue_batch_begin(hearth__queue_batch *batch);
void hearth__queue_batch_finish(hearth__queue_batch *batch);

/* ---- queue_lock.c ---- */

/* What callers handed over waits from here on, or is over. Under the lock. True: a driver is to be called for it. */
bool hearth__queue_take_in(hearth_queue *queue);

/* Ends the lock, and takes in first what callers handed over who could not have it. Behind it, who waits for results is told, and a
 * driver is called if one has to be. False: there was none to be called. */
bool hearth__queue_unlock(hearth_queue *queue);

/* By a caller, under no lock: whoever has the lock, or the caller itself, takes the job in. False: as above. */
bool hearth__queue_hand_in(hearth_queue *queue, hearth__job *job);

/* The same, but that it is left to whoever comes next: a collector, or the clock. */
void hearth__queue_leave_in(hearth_queue *queue, hearth__job *job);

/* ---- queue_done.c ---- */

/* Results are there, linked from the latest to the first. Under no lock, by who is inside. */
void hearth__queue_publish(hearth_queue *queue, hearth__job *latest, hearth__job *first,
                           int64_t count);

/* All keys of an operation get this status, and its values nothing: it has not come as far as an answer, or failed as a whole. */
void hearth__job_fail(const hearth__job *job, int32_t status);

/* A result is there, of a job that was claimed. Under the lock. */
void hearth__queue_finish(hearth_queue *queue, hearth__job *job, int32_t status);

/* A write is over, or will not be: reads of its key may be answered at once again. */
void hearth__queue_end_write(hearth_queue *queue, const hearth__job *job);

/* ---- queue_tickets.c: by callers, in front ---- */

/* Places for at most so many tickets. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__tickets_open(struct hearth__tickets *tickets, uint64_t most);
void hearth__tickets_close(struct hearth__tickets *tickets);

/* Gives a job its ticket. False: out of memory. */
bool hearth__tickets_give(struct hearth__tickets *tickets, hearth__job *job);
void hearth__tickets_take_back(struct hearth__tickets *tickets, uint64_t ticket);

/* NULL: there is none that is not over. */
hearth__job *hearth__tickets_find(const struct hearth__tickets *tickets, uint64_t ticket);

/* All are free; numbers that were given do not come again. */
void hearth__tickets_forget(struct hearth__tickets *tickets);

/* ---- queue_leave.c ---- */

static inline bool hearth__job_is_cancelled(const hearth__job *job) {
    return atomic_load(&job->fate) == HEARTH__JOB_CANCELLED;
}

/* False: it was cancelled. */
bool hearth__job_claim(hearth__job *job);

/* One that was cancelled, and is in no list, goes. Under the lock. */
void hearth__queue_bury(hearth_queue *queue, hearth__job *job);

/* One that waited, and is in no list, ends with this, unless it was cancelled. Under the lock. */
void hearth__queue_end(hearth_queue *queue, hearth__job *job, int32_t status);

/* A job that waits for a thread shall not any more, and end so. In two steps: under the lock (false: it leaves already), and under no
 * lock. */
bool hearth__queue_mark_leaving(hearth__job *job, int32_t status);
void hearth__queue_withdraw(hearth_queue *queue, hearth__job *job);

/* By the thread that is to load it. False: it is not to be loaded any more, and may be gone. Under the lock. */
bool hearth__queue_begin_load(hearth_queue *queue, hearth__job *job);

/* One of two is done with a job that leaves: the second ends it. Under the lock. */
void hearth__queue_meet(hearth_queue *queue, hearth__job *job, uint32_t times);

/* ---- queue.c ---- */

/* A forked child's queue has nothing of its parent's: the first call of the child sees to that. */
void hearth__queue_own(hearth_queue *queue);

/* All of a cache's. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__queues_open(hearth *cache);

/* From here on nothing is taken any more; what waits ends with HEARTH_E_CLOSED. */
void hearth__queues_shut(hearth *cache);

/* Waits for what runs, after that. Queues that are open still are their owners', without a cache. */
void hearth__queues_join(hearth *cache);

/* Frees what is a cache's. */
void hearth__queues_close(hearth *cache);

/* ---- queue_clock.c ---- */

/* There is something that waits. False: there is no thread to look after it. */
bool hearth__queue_clock_wake(hearth *cache);
void hearth__queue_clock_keep_awake(hearth *cache); /* of one that runs */
bool hearth__queue_clock_runs(const hearth *cache);
void hearth__queue_clock_stop(hearth *cache);

#endif
