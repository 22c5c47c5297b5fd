/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of operations: results, and who collects them. */
#include "tier/queue.h"

#include "base/clock.h"
#include "base/event_fd.h"

enum {
    TAKEN_IN_LATE_NS = 1000000, /* what was submitted is taken in so much later, or so */
    MUCH = HEARTH__QUEUE_BATCH / 2,
    WORTH_HALVING = 32, /* operations */
    BEGUN_MOST = 2,     /* batches */
};

/* ---- the end of an operation ------------------------------------------------------------ */

void hearth__queue_end_write(hearth_queue *queue, const hearth__job *job) {
    for (size_t i = 0; hearth__job_writes(job) && i < job->count; i++) {
        atomic_fetch_sub_explicit(&queue->pending_writes[job->keys[i].stripe], 1,
                                  memory_order_release);
    }
}

void hearth__job_fail(const hearth__job *job, int32_t status) {
    for (size_t i = 0; i < job->count; i++) {
        if (job->is_many) {
            job->statuses[i] = status;
        }
        if (job->values != NULL) {
            hearth__value_clear(job->values[i]);
        }
    }
}

void hearth__queue_finish(hearth_queue *queue, hearth__job *job, int32_t status) {
    if (job->state != HEARTH__JOB_RUNNING && job->state != HEARTH__JOB_LOADING) {
        hearth__job_fail(job, status);
    }
    hearth__queue_end_write(queue, job);
    job->state = HEARTH__JOB_DONE;
    job->status = status;
    if (queue->ended == NULL) {
        queue->first_ended = job;
    }
    job->next = queue->ended;
    queue->ended = job;
    queue->ended_count++;
}

/* ---- the signal ------------------------------------------------------------------------- */

static void raise_signal(hearth_queue *queue) {
    int fd = atomic_load(&queue->event_fd);
    if (fd >= 0) {
        atomic_store(&queue->signalled, true); /* who is woken and takes all clears it, */
        hearth__event_fd_raise(fd);
        atomic_store(&queue->signalled,
                     true); /* and who did before it was raised, once woken */
    }
}

/* There seems to be nothing more. In front. */
static void end_signal(hearth_queue *queue) {
    if (atomic_load(&queue->results) > 0 || !atomic_load(&queue->signalled)) {
        return;
    }
    atomic_store(&queue->signalled, false);
    hearth__event_fd_clear(atomic_load(&queue->event_fd));
    if (atomic_load(&queue->results) > 0) { /* whose signal that was */
        raise_signal(queue);
    }
}

/* Whoever makes some of none tells it. They are there before they are counted, so who collects may have counted them off by then. */
void hearth__queue_publish(hearth_queue *queue, hearth__job *latest, hearth__job *first,
                           int64_t count) {
    hearth__job *top = atomic_load_explicit(&queue->done, memory_order_relaxed);
    do {
        first->next = top;
    } while (!atomic_compare_exchange_weak(&queue->done, &top, latest));
    int64_t before = atomic_fetch_add(&queue->results, count);
    if (before > 0 || before + count <= 0) {
        return;
    }
    if (atomic_load(&queue->collectors) != 0) {
        hearth__bell_ring(&queue->bell, HEARTH__QUEUE_STROKE);
    }
    raise_signal(queue);
}

/* ---- results ---------------------------------------------------------------------------- */

static hearth_result result_of(const hearth__job *job) {
    bool is_wanted = job->values != NULL && !job->is_many && job->unwanted == NULL;
    return (hearth_result){.size = sizeof(hearth_result),
                           .ticket = job->ticket,
                           .tag = job->tag,
                           .value = is_wanted ? job->values[0] : NULL,
                           .status = job->status,
                           .verb = job->verb,
                           .number = job->status == HEARTH_OK ? job->number : 0};
}

/* The first results; they are linked by `next`. In front. */
static hearth__job *take_results(hearth_queue *queue, size_t capacity) {
    if (queue->ready == NULL) {
        queue->ready = hearth__jobs_reverse(atomic_exchange(&queue->done, NULL));
    }
    hearth__job *all = queue->ready;
    hearth__job *last = NULL;
    size_t taken = 0;
    for (hearth__job *job = all; job != NULL && taken < capacity; job = job->next, taken++) {
        hearth__tickets_take_back(&queue->tickets, job->ticket);
        queue->operations--;
        queue->bytes -= job->bytes;
        last = job;
    }
    if (last != NULL) {
        queue->ready = last->next;
        last->next = NULL;
        atomic_fetch_sub(&queue->results, (int64_t)taken);
    }
    if (queue->ready == NULL) {
        end_signal(queue);
    }
    return all;
}

static size_t give_all(hearth_queue *queue, hearth__job *all,
                       void (*give)(void *arg, size_t index, const hearth_result *result),
                       void *arg) {
    size_t count = 0;
    hearth__job *small = NULL;
    while (all != NULL) {
        hearth__job *next = all->next;
        hearth_result result = result_of(all);
        give(arg, count++, &result);
        if (all->is_small) {
            all->next = small;
            small = all;
        } else {
            hearth__job_destroy(all);
        }
        all = next;
    }
    hearth__jobs_recycle(queue, small);
    return count;
}

/* Results; or NULL, and *over says whether there will be none. */
static hearth__job *look(hearth_queue *queue, size_t capacity, bool *over) {
    pthread_mutex_lock(&queue->front);
    hearth__job *results = take_results(queue, capacity);
    *over = results == NULL && queue->operations == 0 && atomic_load(&queue->closed);
    pthread_mutex_unlock(&queue->front);
    return results;
}

/* ---- who waits -------------------------------------------------------------------------- */

/* Whether who waits until then can carry out what has this deadline, which may have been given it only now. */
static bool ends_by(int64_t job_deadline_ns, int64_t deadline_ns) {
    return job_deadline_ns - TAKEN_IN_LATE_NS <= deadline_ns;
}

/* Of what waits first. Under the lock. */
static bool may_lend(const hearth_queue *queue, int64_t deadline_ns) {
    const hearth__job *first = queue->waiting.first;
    return first != NULL && queue->batches == 0 && !atomic_load(&queue->closed) &&
           ends_by(first->deadline_ns, deadline_ns);
}

/* What who collects does of the drivers' work. */
struct turn {
    hearth__job *batch;         /* to be carried out, */
    bool begins;                /* or only to be begun */
    hearth__queue_batch *begun; /* to be finished */
    bool calls;                 /* a driver is to be called */
};

/* Whether so much is left behind a batch that a driver may as well carry out another one meanwhile; then it is scheduled. Under the
 * lock. */
static bool leaves_much(hearth_queue *queue) {
    return queue->waiting.count >= MUCH && !atomic_load(&queue->closed) &&
           !atomic_exchange(&queue->scheduled, true);
}

/* Half of what is on its way, so that the nodes are at work on one half while the caller looks at the other; all that waits, if that
 * is little, or so much that a driver helps. Under the lock. */
static void take_batch(hearth_queue *queue, struct turn *turn) {
    size_t all = queue->waiting.count + queue->running.count;
    turn->begins =
        queue->begun.count != 0 || (all >= WORTH_HALVING && all <= HEARTH__QUEUE_BATCH &&
                                    hearth__queue_clock_runs(queue->cache));
    turn->batch = hearth__queue_take(queue, turn->begins ? (all + 1) / 2 : HEARTH__QUEUE_BATCH);
    queue->batches += turn->batch != NULL;
}

/* What is next. Writes are not begun: what has begun is finished before them. Under the lock. */
static struct turn choose(hearth_queue *queue, int64_t deadline_ns) {
    struct turn turn = {0};
    const hearth__queue_batch *begun = queue->begun.first;
    bool takes =
        begun == NULL || (queue->begun.count < BEGUN_MOST && queue->waiting.first != NULL &&
                          !hearth__job_writes(queue->waiting.first));
    if (takes && may_lend(queue, deadline_ns)) {
        take_batch(queue, &turn);
    }
    if (turn.batch == NULL && begun != NULL && ends_by(begun->deadline_ns, deadline_ns)) {
        turn.begun = hearth__queue_take_begun(queue);
    }
    if (turn.batch != NULL) {
        turn.calls = !turn.begins && leaves_much(queue);
    } else if (turn.begun == NULL) {
        turn.calls = hearth__queue_needs_driver(queue);
    }
    return turn;
}

/* Carries out a batch, or a part of what that takes, or calls a driver for it. False: there is nothing to be done but to wait. */
static bool lend(hearth_queue *queue, int64_t deadline_ns) {
    pthread_mutex_lock(&queue->lock);
    (void)hearth__queue_take_in(queue);
    struct turn turn = choose(queue, deadline_ns);
    hearth__queue_unlock(queue);
    if (turn.calls) {
        (void)hearth__queue_schedule(queue);
    }
    if (turn.begun != NULL) {
        hearth__queue_finish_begun(queue, turn.begun, false);
    } else if (turn.batch != NULL && turn.begins) {
        (void)hearth__queue_begin(queue, turn.batch);
    } else if (turn.batch != NULL) {
        hearth__queue_run(queue, turn.batch, false);
    } else {
        return turn.calls;
    }
    atomic_store_explicit(&queue->lent_ns, hearth__monotonic_ns(), memory_order_relaxed);
    atomic_store_explicit(&queue->lent, true, memory_order_relaxed);
    return true;
}

/* Unless there are results by now. */
static void sleep_until_results(hearth_queue *queue, uint32_t seen, int64_t deadline_ns) {
    atomic_fetch_add(&queue->collectors, 1);
    if (atomic_load(&queue->results) <= 0) {
        (void)hearth__bell_await(&queue->bell, seen, HEARTH__QUEUE_STROKE, deadline_ns);
    }
    atomic_fetch_sub(&queue->collectors, 1);
}

/* Results, or HEARTH_MISS: it has done something else, or waited. */
static int32_t step(hearth_queue *queue, size_t capacity, int64_t deadline_ns, bool may_wait,
                    hearth__job **results) {
    bool over = false;
    uint32_t seen = hearth__bell_look(&queue->bell);
    *results = look(queue, capacity, &over);
    if (*results != NULL || over || !may_wait) {
        return *results != NULL ? HEARTH_OK : over ? HEARTH_E_CLOSED : HEARTH_MISS;
    }
    bool lent = false;
    if (hearth__queue_enter(queue)) {
        lent = lend(queue, deadline_ns);
        hearth__queue_leave(queue);
    }
    if (!lent) {
        sleep_until_results(queue, seen, deadline_ns);
    }
    return HEARTH_MISS;
}

int32_t hearth__queue_collect(hearth_queue *queue, size_t capacity, int64_t deadline_ns,
                              void (*give)(void *arg, size_t index,
                                           const hearth_result *result),
                              void *arg, size_t *count) {
    hearth__queue_own(queue);
    hearth__job *results = NULL;
    int32_t status = HEARTH_MISS;
    bool may_wait = true;
    while (status == HEARTH_MISS && may_wait) {
        may_wait = deadline_ns != 0 &&
                   (deadline_ns == HEARTH__NEVER || hearth__monotonic_ns() < deadline_ns);
        status = step(queue, capacity, deadline_ns, may_wait, &results);
    }
    if (status == HEARTH_OK) {
        *count = give_all(queue, results, give, arg);
    }
    return status;
}

/* Who asks for a descriptor has a loop: the threads are started now, and not by what it submits first. */
static void start_threads(hearth_queue *queue) {
    if (hearth__queue_enter(queue)) {
        (void)hearth__queue_clock_wake(queue->cache);
        if (!atomic_exchange(&queue->scheduled, true)) {
            (void)hearth__queue_schedule(queue);
        }
        hearth__queue_leave(queue);
    }
}

int32_t hearth__queue_event_fd(hearth_queue *queue, int *fd) {
    hearth__queue_own(queue);
    pthread_mutex_lock(&queue->front);
    bool is_new = atomic_load(&queue->event_fd) < 0;
    if (is_new) {
        atomic_store(&queue->event_fd, hearth__event_fd_open());
        if (atomic_load(&queue->results) > 0) {
            raise_signal(queue);
        }
    }
    int opened = atomic_load(&queue->event_fd);
    pthread_mutex_unlock(&queue->front);
    if (opened < 0) {
        return HEARTH_E_UNAVAILABLE;
    }
    if (is_new) {
        start_threads(queue);
    }
    *fd = opened;
    return HEARTH_OK;
}
