/* SPDX-License-Identifier: Apache-2.0 */
#include "base/workers.h"

#include "base/bell.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <signal.h>
#include <utlist.h>

enum {
    ANY_STROKE = 1,
    TRIES = 64,
    LENT_AGAIN_NS = 1000000000 /* who lends threads comes back with them within a second */
};

struct hearth__workers {
    hearth__workers_config config;
    pthread_mutex_t lock; /* innermost; never held while a task runs */
    hearth__bell bell;    /* a task was submitted, or it was shut */
    hearth__task *urgent;
    hearth__task *others;
    size_t waiting;
    uint32_t idle;    /* threads that wait for a task, lent ones included */
    uint32_t lent;    /* threads that are lent now */
    int64_t lent_ns;  /* until when they were */
    uint32_t started; /* threads of its own */
    bool shut;
    uint64_t fork_generation;
    pthread_t threads[];
};

hearth__workers *hearth__workers_create(const hearth__workers_config *config) {
    hearth__workers *workers =
        hearth__alloc_zero(1, sizeof *workers + config->threads * sizeof(pthread_t));
    if (workers == NULL) {
        return NULL;
    }
    workers->config = *config;
    workers->lent_ns = INT64_MIN;
    workers->fork_generation = hearth__fork_generation();
    if (pthread_mutex_init(&workers->lock, NULL) != 0) {
        hearth__free(workers);
        return NULL;
    }
    return workers;
}

void hearth__workers_destroy(hearth__workers *workers) {
    if (workers != NULL) {
        pthread_mutex_destroy(&workers->lock);
        hearth__free(workers);
    }
}

/* ---- what waits ------------------------------------------------------------------------- */

/* All that waits, no longer waiting. Under the lock. */
static hearth__task *take_all(hearth__workers *workers) {
    hearth__task *all = workers->urgent;
    DL_CONCAT(all, workers->others);
    workers->urgent = NULL;
    workers->others = NULL;
    workers->waiting = 0;
    return all;
}

static void drop_all(const hearth__workers *workers, hearth__task *all) {
    hearth__task *task;
    hearth__task *next;
    DL_FOREACH_SAFE(all, task, next) {
        workers->config.drop(task);
    }
}

/* A forked child's workers become its own. Under the lock. */
static void own(hearth__workers *workers) {
    if (workers->fork_generation == hearth__fork_generation()) {
        return;
    }
    workers->fork_generation = hearth__fork_generation();
    workers->started = 0;
    workers->idle = 0;
    workers->lent = 0;
    workers->lent_ns = INT64_MIN;
    hearth__task *parents = take_all(workers);
    pthread_mutex_unlock(&workers->lock);
    drop_all(workers, parents);
    pthread_mutex_lock(&workers->lock);
}

static void lock(hearth__workers *workers) {
    pthread_mutex_lock(&workers->lock);
    own(workers);
}

/* A holder that has a processor is done in less. */
static bool try_lock(hearth__workers *workers) {
    for (int i = 0; i < TRIES; i++) {
        if (pthread_mutex_trylock(&workers->lock) == 0) {
            own(workers);
            return true;
        }
    }
    return false;
}

static void unlock(hearth__workers *workers) {
    pthread_mutex_unlock(&workers->lock);
}

/* The next to be run; NULL: none. Under the lock. */
static hearth__task *pop(hearth__workers *workers) {
    hearth__task **list = workers->urgent != NULL ? &workers->urgent : &workers->others;
    hearth__task *task = *list;
    if (task != NULL) {
        DL_DELETE(*list, task);
        workers->waiting--;
    }
    return task;
}

/* ---- threads ---------------------------------------------------------------------------- */

/* Waits for a task; NULL: it was shut, or the deadline passed. */
static hearth__task *await_task(hearth__workers *workers, int64_t deadline_ns) {
    bool in_time = true;
    hearth__task *task = NULL;
    while (task == NULL && in_time) {
        uint32_t seen = hearth__bell_look(&workers->bell);
        lock(workers);
        task = pop(workers);
        bool waits = task == NULL && !workers->shut;
        workers->idle += waits;
        unlock(workers);
        if (!waits) {
            break;
        }
        bool held = hearth__fork_pause();
        in_time = hearth__bell_await(&workers->bell, seen, ANY_STROKE, deadline_ns);
        hearth__fork_resume(held);
        lock(workers);
        workers->idle -= workers->idle != 0; /* a child's are counted anew */
        unlock(workers);
    }
    return task;
}

static void *work(void *arg) {
    hearth__workers *workers = arg;
    hearth__fork_hold();
    hearth__task *task = await_task(workers, HEARTH__NEVER);
    while (task != NULL) {
        workers->config.run(task);
        task = await_task(workers, HEARTH__NEVER);
    }
    hearth__fork_release();
    return NULL;
}

/* Signals are for the application's threads. Under the lock. */
static void start_thread(hearth__workers *workers) {
    sigset_t all;
    pthread_attr_t attributes;
    (void)sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) {
        return;
    }
    bool started =
        pthread_attr_setsigmask_np(&attributes, &all) == 0 &&
        pthread_create(&workers->threads[workers->started], &attributes, work, workers) == 0;
    (void)pthread_attr_destroy(&attributes);
    workers->started += started;
}

/* Whether somebody will run what waits. Under the lock. */
static bool is_manned(const hearth__workers *workers) {
    return workers->started != 0 || workers->lent != 0 ||
           (workers->lent_ns != INT64_MIN &&
            hearth__monotonic_ns() - workers->lent_ns < LENT_AGAIN_NS);
}

/* ---- tasks ------------------------------------------------------------------------------ */

/* Takes a task, and ends the lock. */
static enum hearth__submission take(hearth__workers *workers, hearth__task *task, bool urgent) {
    enum hearth__submission result = HEARTH__TAKEN;
    if (workers->shut || workers->waiting >= workers->config.room) {
        result = HEARTH__FULL;
    } else {
        if (workers->waiting >= workers->idle && workers->started < workers->config.threads) {
            start_thread(workers);
        }
        result = is_manned(workers) ? HEARTH__TAKEN : HEARTH__NOBODY;
    }
    if (result == HEARTH__TAKEN) {
        hearth__task **list = urgent ? &workers->urgent : &workers->others;
        DL_APPEND(*list, task);
        workers->waiting++;
    }
    unlock(workers);
    if (result == HEARTH__TAKEN) {
        hearth__bell_ring(&workers->bell, ANY_STROKE);
    }
    return result;
}

enum hearth__submission hearth__workers_submit(hearth__workers *workers, hearth__task *task,
                                               bool urgent) {
    lock(workers);
    return take(workers, task, urgent);
}

enum hearth__submission hearth__workers_offer(hearth__workers *workers, hearth__task *task,
                                              bool urgent) {
    return try_lock(workers) ? take(workers, task, urgent) : HEARTH__BUSY;
}

int32_t hearth__workers_lend(hearth__workers *workers, int64_t deadline_ns) {
    hearth__fork_hold();
    lock(workers);
    workers->lent++;
    unlock(workers);
    hearth__task *task = await_task(workers, deadline_ns);
    if (task != NULL) {
        workers->config.run(task);
    }
    lock(workers);
    workers->lent -= workers->lent != 0;
    workers->lent_ns = hearth__monotonic_ns();
    bool shut = workers->shut;
    unlock(workers);
    hearth__fork_release();
    return task != NULL ? HEARTH_OK : shut ? HEARTH_E_CLOSED : HEARTH_MISS;
}

hearth__task *hearth__workers_take_back(hearth__workers *workers,
                                        bool (*is_it)(const hearth__task *task,
                                                      const void *arg),
                                        const void *arg) {
    hearth__task *found = NULL;
    hearth__task **lists[] = {&workers->urgent, &workers->others};
    lock(workers);
    bool alone = workers->waiting != 0 && !is_manned(workers);
    for (size_t i = 0; alone && found == NULL && i < 2; i++) {
        DL_FOREACH(*lists[i], found) {
            if (is_it(found, arg)) {
                DL_DELETE(*lists[i], found);
                workers->waiting--;
                break;
            }
        }
    }
    unlock(workers);
    return found;
}

bool hearth__workers_withdraw(hearth__workers *workers, const hearth__task *task) {
    hearth__task *found = NULL;
    hearth__task **lists[] = {&workers->urgent, &workers->others};
    lock(workers);
    for (size_t i = 0; found == NULL && i < 2; i++) {
        DL_FOREACH(*lists[i], found) {
            if (found == task) {
                DL_DELETE(*lists[i], found);
                workers->waiting--;
                break;
            }
        }
    }
    unlock(workers);
    return found != NULL;
}

uint64_t hearth__workers_waiting(hearth__workers *workers) {
    lock(workers);
    uint64_t waiting = workers->waiting;
    unlock(workers);
    return waiting;
}

/* ---- the end ---------------------------------------------------------------------------- */

void hearth__workers_shut(hearth__workers *workers) {
    lock(workers);
    workers->shut = true;
    hearth__task *late = take_all(workers);
    unlock(workers);
    hearth__bell_ring(&workers->bell, ANY_STROKE);
    drop_all(workers, late);
}

void hearth__workers_join(hearth__workers *workers) {
    lock(workers);
    uint32_t started = workers->started;
    unlock(workers);
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(workers->threads[i], NULL);
    }
}
