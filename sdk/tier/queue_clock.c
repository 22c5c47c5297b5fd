/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that looks after all queues of a cache, about every millisecond while anything waits there: what is past its deadline
 * ends, and what nobody has taken up for a while gets another driver. It sleeps when nothing waits.
 */
#include "tier/queue.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/thread.h"

#include <utlist.h>

enum {
    ANY_STROKE = 1,
    TICK_NS = 1000000,
    PATIENCE_NS = 1000000,   /* what waits longer than this is not about to be taken */
    LENT_AGAIN_NS = 1000000, /* who carries out batches by collecting comes back by then */
    IDLE_TICKS = 50,         /* before it sleeps */
    AT_ONCE = 256,           /* operations that end under one lock */
    LEAVERS = 64,            /* the same of those that are to be loaded */
};

/* ---- a queue ---------------------------------------------------------------------------- */

/* What is late in the line ends, some at a time; when that was all, the others' earliest deadline is known. True: there may be more.
 * Under the lock. */
static bool end_waiting(hearth_queue *queue, int64_t now_ns) {
    hearth__job *job = NULL;
    hearth__job *next = NULL;
    int64_t earliest_ns = HEARTH__NEVER;
    size_t ended = 0;
    DL_FOREACH_SAFE(queue->waiting.first, job, next) {
        if (job->deadline_ns <= now_ns && ended == AT_ONCE) {
            return true;
        }
        if (job->deadline_ns <= now_ns) {
            hearth__jobs_remove(&queue->waiting, job);
            hearth__queue_end(queue, job, HEARTH_E_TIMEOUT);
            ended++;
        } else if (job->deadline_ns < earliest_ns) {
            earliest_ns = job->deadline_ns;
        }
    }
    queue->earliest_ns = earliest_ns;
    return false;
}

/* What was cancelled goes. Under the lock. */
static void bury_waiting(hearth_queue *queue) {
    hearth__job *job = NULL;
    hearth__job *next = NULL;
    DL_FOREACH_SAFE(queue->waiting.first, job, next) {
        if (hearth__job_is_cancelled(job)) {
            hearth__jobs_remove(&queue->waiting, job);
            hearth__queue_bury(queue, job);
        }
    }
}

/* Those that wait for a thread that loads and are late, or were cancelled; when that was all, the others' earliest deadline is known.
 * Under the lock. */
static size_t mark_leavers(hearth_queue *queue, int64_t now_ns, hearth__job **leavers) {
    hearth__job *job = NULL;
    int64_t earliest_ns = HEARTH__NEVER;
    size_t count = 0;
    DL_FOREACH(queue->to_load.first, job) {
        bool leaves = job->deadline_ns <= now_ns || hearth__job_is_cancelled(job);
        if (leaves && count == LEAVERS) {
            return count;
        }
        if (leaves && hearth__queue_mark_leaving(job, HEARTH_E_TIMEOUT)) {
            leavers[count++] = job;
        } else if (!job->leaves && job->deadline_ns < earliest_ns) {
            earliest_ns = job->deadline_ns;
        }
    }
    queue->earliest_load_ns = earliest_ns;
    return count;
}

static bool is_left_lying(const hearth_queue *queue, int64_t now_ns) {
    const hearth__job *first = queue->waiting.first;
    const hearth__queue_batch *begun = queue->begun.first;
    int64_t since_ns = first != NULL ? first->since_ns : now_ns;
    since_ns = begun != NULL && begun->begun_ns < since_ns ? begun->begun_ns : since_ns;
    return !atomic_load(&queue->scheduled) && !atomic_load(&queue->closed) &&
           now_ns - since_ns > PATIENCE_NS;
}

/* Those who wait for a thread that loads. The queue is held. */
static void look_after_loads(hearth_queue *queue, int64_t now_ns) {
    hearth__job *leavers[LEAVERS];
    size_t count = LEAVERS;
    while (count == LEAVERS) {
        count = 0;
        pthread_mutex_lock(&queue->lock);
        if (queue->earliest_load_ns <= now_ns || atomic_load(&queue->buried_late) != 0) {
            count = mark_leavers(queue, now_ns, leavers);
        }
        hearth__queue_unlock(queue);
        for (size_t i = 0; i < count; i++) {
            hearth__queue_withdraw(queue, leavers[i]);
        }
    }
}

/* Whether nobody carries out batches by collecting, for now. */
static bool is_on_its_own(hearth_queue *queue, int64_t now_ns) {
    bool own =
        now_ns - atomic_load_explicit(&queue->lent_ns, memory_order_relaxed) >= LENT_AGAIN_NS;
    if (own && atomic_load_explicit(&queue->lent, memory_order_relaxed)) {
        atomic_store_explicit(&queue->lent, false, memory_order_relaxed);
    }
    return own;
}

/* Whether something waits there. The queue is held. */
static bool look_after(hearth_queue *queue, int64_t now_ns) {
    bool is_own = is_on_its_own(queue, now_ns);
    pthread_mutex_lock(&queue->lock);
    bool calls = (hearth__queue_take_in(queue) || is_own) && hearth__queue_needs_driver(queue);
    while (queue->waiting.first != NULL && queue->earliest_ns <= now_ns &&
           end_waiting(queue, now_ns)) {
        hearth__queue_unlock(queue); /* others have their turn */
        pthread_mutex_lock(&queue->lock);
    }
    if (atomic_load(&queue->buried_late) != 0) {
        bury_waiting(queue);
    }
    calls =
        calls || (is_left_lying(queue, now_ns) && !atomic_exchange(&queue->scheduled, true));
    bool waits = queue->waiting.first != NULL || queue->to_load.first != NULL ||
                 queue->begun.first != NULL;
    hearth__queue_unlock(queue);
    if (calls) {
        (void)hearth__queue_schedule(queue);
    }
    look_after_loads(queue, now_ns);
    return waits;
}

/* The next queue after that one, held so that it stays. NULL: there are no more. */
static hearth_queue *hold_next(hearth *cache, uint64_t id) {
    hearth_queue *found = NULL;
    pthread_mutex_lock(&cache->queues.lock);
    DL_FOREACH(cache->queues.first, found) {
        if (found->id > id) {
            atomic_fetch_add(&found->inside, 1);
            break;
        }
    }
    pthread_mutex_unlock(&cache->queues.lock);
    return found;
}

static bool look_after_all(hearth *cache) {
    int64_t now_ns = hearth__monotonic_ns();
    bool waits = false;
    uint64_t id = 0;
    for (hearth_queue *queue = hold_next(cache, id); queue != NULL;
         queue = hold_next(cache, id)) {
        id = queue->id;
        waits = look_after(queue, now_ns) || waits;
        hearth__queue_leave(queue);
    }
    return waits;
}

/* ---- the thread ------------------------------------------------------------------------- */

static bool has_ended(struct hearth__queues *queues) {
    pthread_mutex_lock(&queues->lock);
    bool ends = queues->clock_ends;
    pthread_mutex_unlock(&queues->lock);
    return ends;
}

static void *run(void *arg) {
    hearth *cache = arg;
    struct hearth__queues *queues = &cache->queues;
    unsigned idle = 0;
    hearth__fork_hold();
    while (!has_ended(queues)) {
        uint32_t seen = hearth__bell_look(&queues->clock_bell);
        idle = look_after_all(cache) ? 0 : idle + 1;
        bool sleeps = idle > IDLE_TICKS;
        atomic_store(&queues->clock_sleeps, sleeps);
        /* Who comes from here on rings; who came before is seen now. */
        if (sleeps && look_after_all(cache)) {
            sleeps = false;
            atomic_store(&queues->clock_sleeps, false);
        }
        bool held = hearth__fork_pause();
        (void)hearth__bell_await(&queues->clock_bell, seen, ANY_STROKE,
                                 sleeps ? HEARTH__NEVER : hearth__monotonic_ns() + TICK_NS);
        hearth__fork_resume(held);
        idle = sleeps ? 0 : idle;
    }
    hearth__fork_release();
    return NULL;
}

/* Whether there is a thread of this process. */
static bool start(hearth *cache) {
    struct hearth__queues *queues = &cache->queues;
    pthread_mutex_lock(&queues->lock);
    if (queues->clock_generation != hearth__fork_generation()) {
        queues->clock_generation = hearth__fork_generation();
        queues->clock_started = false;
    }
    if (!queues->clock_started && !queues->clock_ends) {
        queues->clock_started = hearth__thread_start(&queues->clock, run, cache);
    }
    bool started = queues->clock_started;
    pthread_mutex_unlock(&queues->lock);
    return started;
}

bool hearth__queue_clock_runs(const hearth *cache) {
    return atomic_load(&cache->queues.clock_of) == hearth__fork_generation();
}

/* Once it runs, no lock is taken: it is awake whenever something waits. */
bool hearth__queue_clock_wake(hearth *cache) {
    if (!hearth__queue_clock_runs(cache)) {
        if (!start(cache)) {
            return false;
        }
        atomic_store(&cache->queues.clock_of, hearth__fork_generation());
    }
    hearth__queue_clock_keep_awake(cache);
    return true;
}

void hearth__queue_clock_keep_awake(hearth *cache) {
    struct hearth__queues *queues = &cache->queues;
    if (atomic_load(&queues->clock_sleeps) && atomic_exchange(&queues->clock_sleeps, false)) {
        hearth__bell_ring(&queues->clock_bell, ANY_STROKE);
    }
}

void hearth__queue_clock_stop(hearth *cache) {
    struct hearth__queues *queues = &cache->queues;
    pthread_mutex_lock(&queues->lock);
    queues->clock_ends = true;
    bool joins = queues->clock_started && queues->clock_generation == hearth__fork_generation();
    pthread_mutex_unlock(&queues->lock);
    hearth__bell_ring(&queues->clock_bell, ANY_STROKE);
    if (joins) {
        (void)pthread_join(queues->clock, NULL);
    }
}
