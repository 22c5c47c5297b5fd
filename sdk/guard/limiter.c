/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/limiter.h"

#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <utlist.h>

enum { ANY_STROKE = 1 };

/* Stands for the thread: random, since an address would be the next thread's when this one has ended. 0: not drawn yet. A
 * thread has one of these. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static _Thread_local uint64_t own_number;

static uint64_t self(void) {
    while (own_number == 0) {
        own_number = hearth__random_u64();
    }
    return own_number;
}

struct hearth__limiter {
    uint32_t places;        /* 0: no limit */
    pthread_mutex_t lock;   /* innermost; nobody waits under it */
    hearth__place *taken;   /* all but those that wait: running or lent */
    hearth__place *line;    /* those that wait */
    hearth__fork_fds forks; /* of none: for its call */
    uint64_t fork_generation;
    _Atomic uint32_t running; /* changed under the lock, as the next */
    _Atomic uint32_t waiting;
};

/* In a forked child only the calling thread's places are left: no other thread is there to wait or to leave. Theirs are on their
 * stacks, which the child's own threads get, so nobody may look at them later. */
static void leave_parents(void *arg) {
    hearth__limiter *limiter = arg;
    hearth__place *all = limiter->taken;
    hearth__place *place;
    hearth__place *next;
    limiter->fork_generation = hearth__fork_generation();
    limiter->taken = NULL;
    limiter->line = NULL;
    limiter->running = 0;
    limiter->waiting = 0;
    DL_FOREACH_SAFE(all, place, next) {
        if (place->owner == self()) {
            place->fork_generation = limiter->fork_generation;
            DL_APPEND(limiter->taken, place);
            limiter->running += place->runs;
        }
    }
}

hearth__limiter *hearth__limiter_create(uint32_t places) {
    hearth__limiter *limiter = hearth__alloc_zero(1, sizeof *limiter);
    if (limiter == NULL) {
        return NULL;
    }
    limiter->places = places;
    limiter->fork_generation = hearth__fork_generation();
    if (pthread_mutex_init(&limiter->lock, NULL) != 0) {
        hearth__free(limiter);
        return NULL;
    }
    limiter->forks.in_child = leave_parents;
    limiter->forks.arg = limiter;
    hearth__fork_close_in_child(&limiter->forks);
    return limiter;
}

void hearth__limiter_destroy(hearth__limiter *limiter) {
    if (limiter != NULL) {
        hearth__fork_forget(&limiter->forks);
        pthread_mutex_destroy(&limiter->lock);
        hearth__free(limiter);
    }
}

/* ---- under the lock --------------------------------------------------------------------- */

static void lock(hearth__limiter *limiter) {
    pthread_mutex_lock(&limiter->lock);
}

static void unlock(hearth__limiter *limiter) {
    pthread_mutex_unlock(&limiter->lock);
}

static bool is_inside(const hearth__limiter *limiter) {
    const hearth__place *place;
    DL_FOREACH(limiter->taken, place) {
        if (place->owner == self()) {
            return true;
        }
    }
    return false;
}

static void run(hearth__limiter *limiter, hearth__place *place) {
    place->runs = true;
    place->lent = false;
    limiter->running++;
}

static void stop_waiting(hearth__limiter *limiter, hearth__place *place) {
    DL_DELETE(limiter->line, place);
    place->waits = false;
    limiter->waiting--;
}

/* Free places go to those who wait. */
static void serve(hearth__limiter *limiter) {
    while (limiter->line != NULL && limiter->running < limiter->places) {
        hearth__place *place = limiter->line;
        stop_waiting(limiter, place);
        DL_APPEND(limiter->taken, place);
        run(limiter, place);
        hearth__bell_ring(&place->bell, ANY_STROKE);
    }
}

/* Waits in the line, with the lock opened and fork() free meanwhile. False: the deadline passed. */
static bool await(hearth__limiter *limiter, hearth__place *place, int64_t deadline_ns) {
    bool in_time = true;
    place->waits = true;
    limiter->waiting++;
    while (place->waits && in_time) {
        uint32_t seen = hearth__bell_look(&place->bell);
        unlock(limiter);
        bool held = hearth__fork_pause();
        in_time = hearth__bell_await(&place->bell, seen, ANY_STROKE, deadline_ns);
        hearth__fork_resume(held);
        lock(limiter);
    }
    bool served = !place->waits;
    if (!served) {
        stop_waiting(limiter, place);
    }
    return served;
}

static void begin(hearth__limiter *limiter, hearth__place *place) {
    *place = (hearth__place){
        .limiter = limiter, .owner = self(), .fork_generation = limiter->fork_generation};
}

/* Without waiting; `rest`: so many places stay free. */
static bool take(hearth__limiter *limiter, hearth__place *place, uint32_t rest) {
    if (is_inside(limiter)) {
        place->limiter = NULL;
        return true;
    }
    if (limiter->line != NULL || limiter->running + rest >= limiter->places) {
        return false;
    }
    DL_APPEND(limiter->taken, place);
    run(limiter, place);
    return true;
}

/* ---- places ----------------------------------------------------------------------------- */

bool hearth__limiter_enter(hearth__limiter *limiter, hearth__place *place, int64_t deadline_ns,
                           bool *waited) {
    *waited = false;
    *place = (hearth__place){0};
    if (limiter->places == 0) {
        return true;
    }
    lock(limiter);
    begin(limiter, place);
    bool entered = take(limiter, place, 0);
    if (!entered && deadline_ns > 0) {
        *waited = true;
        DL_APPEND(limiter->line, place);
        entered = await(limiter, place, deadline_ns);
    }
    unlock(limiter);
    if (!entered) {
        *place = (hearth__place){0};
    }
    return entered;
}

/* The last place is for callers. */
static uint32_t rest_of(const hearth__limiter *limiter) {
    return limiter->places > 1 ? 1 : 0;
}

bool hearth__limiter_enter_spare(hearth__limiter *limiter, hearth__place *place) {
    *place = (hearth__place){0};
    if (limiter->places == 0) {
        return true;
    }
    lock(limiter);
    begin(limiter, place);
    bool entered = take(limiter, place, rest_of(limiter));
    unlock(limiter);
    if (!entered) {
        *place = (hearth__place){0};
    }
    return entered;
}

bool hearth__limiter_has_spare(const hearth__limiter *limiter) {
    return limiter->places == 0 ||
           (atomic_load_explicit(&limiter->waiting, memory_order_relaxed) == 0 &&
            atomic_load_explicit(&limiter->running, memory_order_relaxed) + rest_of(limiter) <
                limiter->places);
}

void hearth__limiter_leave(hearth__place *place) {
    hearth__limiter *limiter = place->limiter;
    if (limiter == NULL) {
        return;
    }
    lock(limiter);
    if (place->fork_generation == limiter->fork_generation) {
        DL_DELETE(limiter->taken, place);
        limiter->running -= place->runs;
        serve(limiter);
    }
    unlock(limiter);
    *place = (hearth__place){0};
}

/* ---- lent ------------------------------------------------------------------------------- */

void hearth__limiter_lend(hearth__limiter *limiter) {
    if (limiter->places == 0) {
        return;
    }
    hearth__place *place;
    lock(limiter);
    DL_FOREACH(limiter->taken, place) {
        if (place->owner == self() && place->runs) {
            place->runs = false;
            place->lent = true;
            limiter->running--;
        }
    }
    serve(limiter);
    unlock(limiter);
}

/* One of this thread's; NULL: none. Under the lock. */
static hearth__place *find_lent(const hearth__limiter *limiter) {
    hearth__place *place;
    DL_FOREACH(limiter->taken, place) {
        if (place->owner == self() && place->lent) {
            return place;
        }
    }
    return NULL;
}

/* Waits with a place of its own, since who ends a load elsewhere may leave the lent one meanwhile. */
static void await_first(hearth__limiter *limiter, int64_t deadline_ns) {
    hearth__place place;
    begin(limiter, &place);
    DL_PREPEND(limiter->line, &place);
    if (await(limiter, &place, deadline_ns)) {
        DL_DELETE(limiter->taken, &place);
        limiter->running--;
    }
}

void hearth__limiter_take_back(hearth__limiter *limiter, int64_t deadline_ns) {
    if (limiter->places == 0) {
        return;
    }
    lock(limiter);
    hearth__place *place = find_lent(limiter);
    while (place != NULL) {
        if (limiter->running >= limiter->places) {
            await_first(limiter, deadline_ns);
            place = find_lent(limiter);
        }
        if (place != NULL) {
            run(limiter, place);
            place = find_lent(limiter);
        }
    }
    serve(limiter);
    unlock(limiter);
}

uint64_t hearth__limiter_running(hearth__limiter *limiter) {
    lock(limiter);
    uint64_t running = limiter->running;
    unlock(limiter);
    return running;
}
