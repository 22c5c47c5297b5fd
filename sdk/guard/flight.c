/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 400 lines: what happens under the one lock stands in one file. */
#include "guard/flight.h"

#include "base/fork.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/tsan.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM        1
#define uthash_malloc(size)      hearth__alloc(size)
#define uthash_free(block, size) hearth__free(block)
#include <uthash.h>

/* The innermost of the flights that this thread leads; its address stands for the thread. A thread has one of these. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static _Thread_local hearth__flight *led;

struct hearth__flight {
    UT_hash_handle hh;
    hearth__flights *flights;
    hearth__flight **leader;   /* the address of its leader's `led`; NULL: no thread leads */
    hearth__flight *outer;     /* that its leader led before */
    hearth__flight *inner;     /* and since */
    hearth__flight *waits_for; /* what its leader waits for, of the same table */
    pthread_cond_t changed;
    uint32_t holders; /* the leader, the followers and the writers that look at it */
    int32_t status;
    bool listed;   /* in the table: until it landed or, detached, has stored */
    bool detached; /* stores nothing from now on, and takes no more followers */
    bool storing;
    bool landed;
    uint64_t fork_generation; /* of the process that counts it */
    void *result;
    struct hearth__lease *lease; /* the leader's */
    size_t key_size;
    unsigned char key[];
};

struct hearth__flights {
    pthread_mutex_t lock; /* innermost: nothing is locked, called or awaited under it */
    hearth__flight_release release;
    hearth__hash_secret secret;
    hearth__flight *table;
    uint64_t count; /* all that have not landed */
    uint64_t fork_generation;
    _Atomic uint64_t listed;
};

hearth__flights *hearth__flights_create(hearth__flight_release release) {
    hearth__flights *flights = hearth__alloc_zero(1, sizeof *flights);
    if (flights == NULL) {
        return NULL;
    }
    flights->release = release;
    flights->fork_generation = hearth__fork_generation();
    hearth__hash_secret_init(&flights->secret);
    if (pthread_mutex_init(&flights->lock, NULL) != 0) {
        hearth__free(flights);
        return NULL;
    }
    return flights;
}

void hearth__flights_destroy(hearth__flights *flights) {
    if (flights != NULL) {
        pthread_mutex_destroy(&flights->lock);
        hearth__free(flights);
    }
}

bool hearth__flights_is_leader(const hearth__flights *flights) {
    for (const hearth__flight *flight = led; flight != NULL; flight = flight->outer) {
        if (flight->flights == flights) {
            return true;
        }
    }
    return false;
}

bool hearth__flights_leads_another(const hearth__flight *flight) {
    for (const hearth__flight *other = led; other != NULL; other = other->outer) {
        if (other != flight && other->flights == flight->flights) {
            return true;
        }
    }
    return false;
}

/* ---- one flight ------------------------------------------------------------------------- */

static bool init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
}

static hearth__flight *create(hearth__flights *flights, const void *key, size_t key_size) {
    hearth__flight *flight = hearth__alloc_zero(1, sizeof *flight + key_size);
    if (flight == NULL) {
        return NULL;
    }
    if (!init_condition(&flight->changed)) {
        hearth__free(flight);
        return NULL;
    }
    flight->flights = flights;
    flight->fork_generation = flights->fork_generation;
    flight->holders = 1;
    flight->key_size = key_size;
    memcpy(flight->key, key, key_size);
    return flight;
}

static void destroy(hearth__flight *flight) {
    if (flight->result != NULL) {
        flight->flights->release(flight->result);
    }
    pthread_cond_destroy(&flight->changed);
    hearth__free(flight);
}

/* Gives up a hold; under the lock, which is released. */
static void let_go(hearth__flight *flight) {
    bool last = --flight->holders == 0;
    pthread_mutex_unlock(&flight->flights->lock);
    if (last) {
        destroy(flight);
    }
}

/* Of a flight that the caller holds. False: the deadline passed. Under the lock, but not all of the time. */
static bool await_change(hearth__flight *flight, int64_t deadline_ns) {
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
    bool held = hearth__fork_pause();
    bool in_time =
        pthread_cond_timedwait(&flight->changed, &flight->flights->lock, &until) == 0;
    if (held) { /* in the order of both: never under the lock */
        pthread_mutex_unlock(&flight->flights->lock);
        hearth__fork_resume(held);
        pthread_mutex_lock(&flight->flights->lock);
    }
    return in_time;
}

static void unlist(hearth__flight *flight) {
    if (flight->listed) {
        HASH_DELETE(hh, flight->flights->table, flight);
        flight->listed = false;
        atomic_fetch_sub(&flight->flights->listed, 1);
    }
}

static hearth__flight *find(hearth__flights *flights, const void *key, size_t key_size,
                            unsigned hash) {
    hearth__flight *flight = NULL;
    HASH_FIND_BYHASHVALUE(hh, flights->table, key, key_size, hash, flight);
    return flight;
}

/* Whether the flight's leader waits, through any number of flights, for this thread. */
static bool waits_for_self(const hearth__flight *flight) {
    while (flight != NULL && !flight->landed) {
        if (flight->leader == &led) {
            return true;
        }
        flight = flight->waits_for;
    }
    return false;
}

/* ---- taking part ------------------------------------------------------------------------ */

/*
 * What a writer did before this and the listing of a flight are in one order for all: either the flight's leader finds the
 * write when it asks, or the writer finds the flight. ThreadSanitizer knows no fences: there both change one word, which would
 * make writers share its line.
 */
static void order_listing(hearth__flights *flights) {
#if defined(HEARTH__TSAN)
    atomic_fetch_add(&flights->listed, 0);
#else
    (void)flights;
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Makes it the innermost of those that this thread leads. */
static void enter_rank(hearth__flight *flight) {
    flight->leader = &led;
    flight->outer = led;
    flight->inner = NULL;
    if (led != NULL) {
        led->inner = flight;
    }
    led = flight;
}

/* Takes it out of those that this thread leads, wherever it is among them. */
static void leave_rank(hearth__flight *flight) {
    if (flight->leader != &led) {
        return;
    }
    flight->leader = NULL;
    if (flight->inner != NULL) {
        flight->inner->outer = flight->outer;
    } else {
        led = flight->outer;
    }
    if (flight->outer != NULL) {
        flight->outer->inner = flight->inner;
    }
}

static void take_off(hearth__flight *flight) {
    enter_rank(flight);
    flight->listed = true;
    flight->flights->count++;
    atomic_fetch_add(&flight->flights->listed, 1);
    order_listing(flight->flights);
}

/* Tells the flights that this thread leads what it waits for now. Under the lock. */
static void note_wait(const hearth__flights *flights, hearth__flight *waits_for) {
    for (hearth__flight *own = led; own != NULL; own = own->outer) {
        if (own->flights == flights) {
            own->waits_for = waits_for;
        }
    }
}

/* Who follows counts as waiting from here: between its join and its wait another thread could
 * close the circle. Under the lock. */
static int32_t follow(hearth__flight *flight) {
    if (waits_for_self(flight)) {
        return HEARTH_E_DEADLOCK;
    }
    flight->holders++;
    note_wait(flight->flights, flight);
    return HEARTH_OK;
}

/*
 * In a forked child: the flights of its parent's other threads land there, not here. Who comes starts anew, and what of them is
 * ended here all the same is stored nowhere. Under the lock.
 */
static void leave_parents(hearth__flights *flights) {
    if (flights->fork_generation == hearth__fork_generation()) {
        return;
    }
    flights->fork_generation = hearth__fork_generation();
    flights->count = 0;
    for (hearth__flight *own = led; own != NULL; own = own->outer) {
        if (own->flights == flights) {
            own->fork_generation = flights->fork_generation;
            flights->count++;
        }
    }
    hearth__flight *flight;
    hearth__flight *next;
    HASH_ITER(hh, flights->table, flight, next) {
        if (flight->fork_generation != flights->fork_generation) {
            flight->detached = true;
            unlist(flight);
        }
    }
}

/* Finds the key's flight or starts one. Under the lock. */
static int32_t find_or_start(hearth__flights *flights, const void *key, size_t key_size,
                             hearth__flight **flight, bool *leads) {
    unsigned hash = (unsigned)hearth__hash_key(&flights->secret, key, key_size);
    leave_parents(flights);
    *flight = find(flights, key, key_size, hash);
    *leads = *flight == NULL;
    if (!*leads) {
        return HEARTH_OK;
    }
    hearth__flight *own = create(flights, key, key_size);
    if (own == NULL) {
        return HEARTH_E_NOMEM;
    }
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, flights->table, own->key, key_size, hash, own);
    if (own->hh.tbl == NULL) { /* uthash's way to say that its table got no memory */
        destroy(own);
        return HEARTH_E_NOMEM;
    }
    take_off(own);
    *flight = own;
    return HEARTH_OK;
}

/* False: the deadline passed. Afterwards the flight may be gone. Under the lock. */
static bool await_store(hearth__flight *flight, int64_t deadline_ns) {
    bool in_time = true;
    flight->holders++;
    while (flight->storing && in_time) {
        in_time = await_change(flight, deadline_ns);
    }
    in_time = !flight->storing;
    hearth__flights *flights = flight->flights;
    let_go(flight);
    pthread_mutex_lock(&flights->lock);
    return in_time;
}

/* The flight to take part in: its leader's, or one that is not detached. Under the lock. */
static int32_t find_whole(hearth__flights *flights, const void *key, size_t key_size,
                          int64_t deadline_ns, hearth__flight **flight, bool *leads) {
    int32_t status = find_or_start(flights, key, key_size, flight, leads);
    while (status == HEARTH_OK && !*leads && (*flight)->detached) {
        status = await_store(*flight, deadline_ns)
                     ? find_or_start(flights, key, key_size, flight, leads)
                     : HEARTH_E_TIMEOUT;
    }
    return status;
}

int32_t hearth__flight_join_many(hearth__flights *flights, const void *key, size_t key_size,
                                 int64_t deadline_ns, hearth__flight **flight, bool *leads) {
    pthread_mutex_lock(&flights->lock);
    int32_t status = find_whole(flights, key, key_size, deadline_ns, flight, leads);
    if (status == HEARTH_OK && !*leads) {
        (*flight)->holders++;
    }
    pthread_mutex_unlock(&flights->lock);
    return status;
}

int32_t hearth__flight_join(hearth__flights *flights, const void *key, size_t key_size,
                            int64_t deadline_ns, hearth__flight **flight, bool *leads) {
    pthread_mutex_lock(&flights->lock);
    int32_t status = find_whole(flights, key, key_size, deadline_ns, flight, leads);
    if (status == HEARTH_OK && !*leads) {
        status = follow(*flight);
    }
    pthread_mutex_unlock(&flights->lock);
    return status;
}

int32_t hearth__flight_try_lead(hearth__flights *flights, const void *key, size_t key_size,
                                hearth__flight **flight) {
    bool leads = false;
    pthread_mutex_lock(&flights->lock);
    int32_t status = find_or_start(flights, key, key_size, flight, &leads);
    pthread_mutex_unlock(&flights->lock);
    return status == HEARTH_OK && !leads ? HEARTH_EXISTS : status;
}

int32_t hearth__flight_await(hearth__flight *flight, int64_t deadline_ns, const void **result) {
    pthread_mutex_lock(&flight->flights->lock);
    bool in_time = !waits_for_self(flight);
    int32_t status = in_time ? HEARTH_E_TIMEOUT : HEARTH_E_DEADLOCK;
    note_wait(flight->flights, flight);
    while (!flight->landed && in_time) {
        in_time = await_change(flight, deadline_ns);
    }
    note_wait(flight->flights, NULL);
    if (flight->landed) {
        status = flight->status;
        *result = flight->result;
    }
    pthread_mutex_unlock(&flight->flights->lock);
    return status;
}

void hearth__flight_leave(hearth__flight *flight) {
    pthread_mutex_lock(&flight->flights->lock);
    note_wait(flight->flights, NULL);
    let_go(flight);
}

/* ---- the leader ------------------------------------------------------------------------- */

bool hearth__flight_store_begin(hearth__flight *flight) {
    pthread_mutex_lock(&flight->flights->lock);
    leave_parents(flight->flights);
    flight->storing = !flight->detached;
    bool may_store = flight->storing;
    pthread_mutex_unlock(&flight->flights->lock);
    return may_store;
}

void hearth__flight_store_end(hearth__flight *flight) {
    pthread_mutex_lock(&flight->flights->lock);
    flight->storing = false;
    if (flight->detached) {
        unlist(flight);
    }
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->flights->lock);
}

void hearth__flight_carry(hearth__flight *flight, struct hearth__lease *lease) {
    flight->lease = lease;
}

struct hearth__lease *hearth__flight_lease(const hearth__flight *flight) {
    return flight->lease;
}

void hearth__flight_hand_over(hearth__flight *flight, bool follows) {
    pthread_mutex_lock(&flight->flights->lock);
    leave_rank(flight);
    flight->holders += follows;
    pthread_mutex_unlock(&flight->flights->lock);
}

void hearth__flight_take_over(hearth__flight *flight) {
    pthread_mutex_lock(&flight->flights->lock);
    enter_rank(flight);
    pthread_mutex_unlock(&flight->flights->lock);
}

void hearth__flight_land(hearth__flight *flight, int32_t status, void *result) {
    hearth__flights *flights = flight->flights;
    pthread_mutex_lock(&flights->lock);
    unlist(flight);
    flights->count -= flight->fork_generation == flights->fork_generation;
    flight->status = status;
    flight->result = result;
    flight->landed = true;
    leave_rank(flight);
    pthread_cond_broadcast(&flight->changed);
    let_go(flight);
}

/* ---- the writer ------------------------------------------------------------------------- */

bool hearth__flights_any(hearth__flights *flights) {
    order_listing(flights);
    return atomic_load(&flights->listed) != 0;
}

bool hearth__flight_detach(hearth__flights *flights, const void *key, size_t key_size,
                           int64_t deadline_ns) {
    if (!hearth__flights_any(flights)) {
        return false;
    }
    unsigned hash = (unsigned)hearth__hash_key(&flights->secret, key, key_size);
    pthread_mutex_lock(&flights->lock);
    leave_parents(flights);
    hearth__flight *flight = find(flights, key, key_size, hash);
    if (flight == NULL) {
        pthread_mutex_unlock(&flights->lock);
        return false;
    }
    flight->detached = true;
    if (!flight->storing) {
        unlist(flight);
    } else {
        /* It stays listed meanwhile, so that other writers wait too. */
        (void)await_store(flight, deadline_ns);
    }
    pthread_mutex_unlock(&flights->lock);
    return true;
}

uint64_t hearth__flights_count(hearth__flights *flights) {
    pthread_mutex_lock(&flights->lock);
    leave_parents(flights);
    uint64_t count = flights->count;
    pthread_mutex_unlock(&flights->lock);
    return count;
}

void hearth__flights_detach_some(hearth__flights *flights,
                                 bool (*wants)(void *arg, const void *key, size_t key_size),
                                 void *arg) {
    hearth__flight *flight = NULL;
    hearth__flight *next = NULL;
    pthread_mutex_lock(&flights->lock);
    leave_parents(flights);
    HASH_ITER(hh, flights->table, flight, next) {
        if (wants(arg, flight->key, flight->key_size)) {
            flight->detached = true;
            if (!flight->storing) {
                unlist(flight);
            }
        }
    }
    pthread_mutex_unlock(&flights->lock);
}
