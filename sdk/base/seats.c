/* SPDX-License-Identifier: Apache-2.0 */
#include "base/seats.h"

#include "base/fork.h"
#include "base/memory.h"
#include "base/tsan.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    KNOWN_SEATS = 8, /* a power of two */
    LINE = 64,
};

/* A process has one registry: threads end at any time, whatever they used. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t own_seats; /* set in threads that have any, to the address of: */
static _Thread_local hearth__seat *first_of_thread;
static bool has_key;
static _Atomic uint64_t last_id;

_Thread_local hearth__recent_seat hearth__recent_seat_of_thread;
/* So that a thread that goes between a few owners takes the registry's lock once for each. */
static _Thread_local struct {
    unsigned next; /* to be replaced */
    struct {
        uint64_t id; /* 0: free */
        hearth__seat *seat;
    } seats[KNOWN_SEATS];
} known;
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

/* ---- the registry ----------------------------------------------------------------------- */

static void unlink_from_owner(hearth__seat *seat) {
    hearth__seat **at = &seat->owner->seats;
    while (*at != seat) {
        at = &(*at)->next_of_owner;
    }
    *at = seat->next_of_owner;
}

/* In a forked child only the thread that forked is left of its parent's. */
static bool has_a_thread(const hearth__seat *seat) {
    return seat->first_of_thread == &first_of_thread ||
           seat->fork_generation == hearth__fork_generation();
}

/* The list of a thread that is not here was on its stack. */
static void unlink_from_thread(hearth__seat *seat) {
    if (!has_a_thread(seat)) {
        return;
    }
    hearth__seat **at = seat->first_of_thread;
    while (*at != seat) {
        at = &(*at)->next_of_thread;
    }
    *at = seat->next_of_thread;
}

static hearth__seat_family *family_of(hearth__seat *seat, size_t family) {
    return atomic_load_explicit(&seat->families[family], memory_order_acquire);
}

static void free_families(hearth__seat *seat) {
    for (size_t i = 0; i < HEARTH__FAMILIES; i++) {
        hearth__free(family_of(seat, i));
    }
}

static void fold_families(hearth__seat *seat) {
    for (size_t i = 0; i < HEARTH__FAMILIES; i++) {
        hearth__seat_family *ended = family_of(seat, i);
        hearth__seat_family *common = family_of(&seat->owner->common, i);
        for (size_t at = 0; ended != NULL && at < HEARTH__FAMILY_COUNTERS; at++) {
            atomic_fetch_add(&common->counters[at], atomic_load(&ended->counters[at]));
        }
    }
    free_families(seat);
}

/* What an ending thread counted goes to its owners. */
static void thread_ends(void *first) {
    hearth__recent_seat_of_thread = (hearth__recent_seat){0};
    memset(&known, 0, sizeof known);
    pthread_mutex_lock(&registry);
    hearth__seat *seat = *(hearth__seat **)first;
    while (seat != NULL) {
        hearth__seat *next = seat->next_of_thread;
        for (size_t i = 0; i < seat->owner->count; i++) {
            atomic_fetch_add(&seat->owner->common.counters[i], atomic_load(&seat->counters[i]));
        }
        if (seat->extra != NULL) {
            seat->owner->extra.fold(seat->owner->common.extra, seat->extra);
        }
        fold_families(seat);
        unlink_from_owner(seat);
        hearth__free(seat);
        seat = next;
    }
    *(hearth__seat **)first = NULL;
    pthread_mutex_unlock(&registry);
}

/* A child must not find the registry locked by a thread that it does not have. Those that hold fork() off may yet need it:
 * they go before. */
static void lock_registry(void) {
    hearth__fork_shut();
    pthread_mutex_lock(&registry);
}

static void unlock_registry(void) {
    pthread_mutex_unlock(&registry);
}

static void make_key(void) {
    has_key = pthread_key_create(&own_seats, thread_ends) == 0;
    (void)pthread_atfork(lock_registry, unlock_registry, unlock_registry);
}

static hearth__seat *find(const hearth__seats *owner) {
    hearth__seat *seat = first_of_thread;
    while (seat != NULL && seat->owner != owner) {
        seat = seat->next_of_thread;
    }
    return seat;
}

/* Where extra memory begins in a block of `head` bytes, that memory, and LINE. */
static void *extra_in(void *block, size_t head) {
    return (unsigned char *)block + head + (LINE - ((uintptr_t)block + head) % LINE) % LINE;
}

static size_t with_extra(size_t head, const hearth__seats_extra *extra) {
    return extra->bytes != 0 ? head + LINE + extra->bytes : head;
}

static hearth__seat *make(hearth__seats *owner) {
    hearth__seat *seat = hearth__alloc_zero(1, with_extra(sizeof *seat, &owner->extra));
    if (seat == NULL || pthread_setspecific(own_seats, (void *)&first_of_thread) != 0) {
        hearth__free(seat);
        return NULL;
    }
    seat->owner = owner;
    if (owner->extra.bytes != 0) {
        seat->extra = extra_in(seat, sizeof *seat);
    } else {
        seat->due = UINT64_MAX;
    }
    seat->fork_generation = hearth__fork_generation();
    seat->first_of_thread = &first_of_thread;
    seat->next_of_thread = first_of_thread;
    seat->next_of_owner = owner->seats;
    owner->seats = seat;
    first_of_thread = seat;
    return seat;
}

/* The thread's seat, made if need be. Without memory for one it shares the owner's. */
static hearth__seat *find_or_make(hearth__seats *owner) {
    (void)pthread_once(&once, make_key);
    if (!has_key) {
        return &owner->common;
    }
    pthread_mutex_lock(&registry);
    hearth__seat *seat = find(owner);
    if (seat == NULL) {
        seat = make(owner);
    }
    pthread_mutex_unlock(&registry);
    return seat != NULL ? seat : &owner->common;
}

/* The same, without the lock for those that this thread used last. An id that is not the owner's may be of one that is gone,
 * and its seat with it; the owner's own is there. */
static hearth__seat *find_known(hearth__seats *owner) {
    for (unsigned i = 0; i < KNOWN_SEATS; i++) {
        if (known.seats[i].id == owner->id) {
            return known.seats[i].seat;
        }
    }
    hearth__seat *seat = find_or_make(owner);
    unsigned place = known.next++ % KNOWN_SEATS;
    known.seats[place].seat = seat;
    known.seats[place].id = owner->id;
    return seat;
}

hearth__seat *hearth__seats_find(hearth__seats *owner) {
    hearth__recent_seat *recent = &hearth__recent_seat_of_thread;
    if (recent->id != owner->id) {
        recent->seat = find_known(owner);
        recent->id = owner->id;
        recent->unfenced_id = owner->asymmetric && !recent->seat->shared ? owner->id : 0;
    }
    return recent->seat;
}

/* ---- open and close --------------------------------------------------------------------- */

hearth__seats *hearth__seats_create(size_t count) {
    return hearth__seats_create_with(count, &(hearth__seats_extra){0});
}

hearth__seats *hearth__seats_create_with(size_t count, const hearth__seats_extra *extra) {
    hearth__seats *seats = hearth__alloc_zero(1, with_extra(sizeof *seats, extra));
    if (seats != NULL) {
        seats->extra = *extra;
        seats->common.extra = extra->bytes != 0 ? extra_in(seats, sizeof *seats) : NULL;
        seats->id = atomic_fetch_add(&last_id, 1) + 1;
        seats->count = count;
        seats->common.shared = true;
#if !defined(HEARTH__TSAN)
        seats->asymmetric =
            syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
    }
    return seats;
}

void hearth__seats_destroy(hearth__seats *seats) {
    if (seats == NULL) {
        return;
    }
    pthread_mutex_lock(&registry);
    while (seats->seats != NULL) {
        hearth__seat *seat = seats->seats;
        seats->seats = seat->next_of_owner;
        unlink_from_thread(seat);
        free_families(seat);
        hearth__free(seat);
    }
    pthread_mutex_unlock(&registry);
    free_families(&seats->common);
    hearth__free(seats);
}

/* ---- counters --------------------------------------------------------------------------- */

uint64_t hearth__seats_sum(hearth__seats *seats, size_t index) {
    pthread_mutex_lock(&registry);
    uint64_t sum = atomic_load_explicit(&seats->common.counters[index], memory_order_relaxed);
    for (hearth__seat *seat = seats->seats; seat != NULL; seat = seat->next_of_owner) {
        sum += atomic_load_explicit(&seat->counters[index], memory_order_relaxed);
    }
    pthread_mutex_unlock(&registry);
    return sum;
}

/* ---- families --------------------------------------------------------------------------- */

bool hearth__seats_open_family(hearth__seats *seats, size_t family) {
    hearth__seat_family *common = hearth__alloc_zero(1, sizeof *common);
    atomic_store(&seats->common.families[family], common);
    return common != NULL;
}

void hearth__seat_add_first(hearth__seat *seat, size_t family, size_t index, uint64_t amount) {
    hearth__seat *common = seat->shared ? seat : &seat->owner->common;
    hearth__seat_family *own = seat->shared ? NULL : hearth__alloc_zero(1, sizeof *own);
    if (own == NULL) {
        atomic_fetch_add(&family_of(common, family)->counters[index], amount);
        return;
    }
    atomic_init(&own->counters[index], amount);
    atomic_store_explicit(&seat->families[family], own, memory_order_release);
}

uint64_t hearth__seats_sum_family(hearth__seats *seats, size_t family, size_t index) {
    uint64_t sum = 0;
    pthread_mutex_lock(&registry);
    for (hearth__seat *seat = &seats->common; seat != NULL;
         seat = seat == &seats->common ? seats->seats : seat->next_of_owner) {
        hearth__seat_family *own = family_of(seat, family);
        sum +=
            own != NULL ? atomic_load_explicit(&own->counters[index], memory_order_relaxed) : 0;
    }
    pthread_mutex_unlock(&registry);
    return sum;
}

/* ---- extra memory ----------------------------------------------------------------------- */

void hearth__seats_visit(hearth__seats *seats, void (*visit)(void *arg, const void *extra),
                         void *arg) {
    if (seats->extra.bytes == 0) {
        return;
    }
    pthread_mutex_lock(&registry);
    visit(arg, seats->common.extra);
    for (hearth__seat *seat = seats->seats; seat != NULL; seat = seat->next_of_owner) {
        if (has_a_thread(seat)) {
            visit(arg, seat->extra);
        }
    }
    pthread_mutex_unlock(&registry);
}

size_t hearth__seats_extra_bytes(hearth__seats *seats) {
    size_t count = 1;
    pthread_mutex_lock(&registry);
    for (hearth__seat *seat = seats->seats; seat != NULL; seat = seat->next_of_owner) {
        count++;
    }
    pthread_mutex_unlock(&registry);
    return count * seats->extra.bytes;
}

/* ---- the gate --------------------------------------------------------------------------- */

/* Under the registry's lock. */
static int64_t *own_holds(hearth__seats *seats) {
    uint64_t generation = hearth__fork_generation();
    if (seats->holds_generation != generation) {
        seats->holds_generation = generation;
        seats->holds = 0;
    }
    return &seats->holds;
}

uint64_t hearth__seats_hold(hearth__seats *seats) {
    pthread_mutex_lock(&registry);
    ++*own_holds(seats);
    pthread_mutex_unlock(&registry);
    return hearth__fork_generation();
}

void hearth__seats_let_go(hearth__seats *seats, uint64_t hold) {
    pthread_mutex_lock(&registry);
    if (hold == hearth__fork_generation()) {
        --*own_holds(seats);
    }
    pthread_mutex_unlock(&registry);
}

static bool is_empty(hearth__seats *seats) {
    pthread_mutex_lock(&registry);
    int64_t inside = atomic_load(&seats->common.inside) + *own_holds(seats);
    for (hearth__seat *seat = seats->seats; seat != NULL; seat = seat->next_of_owner) {
        inside += has_a_thread(seat) ? atomic_load(&seat->inside) : 0;
    }
    pthread_mutex_unlock(&registry);
    return inside == 0;
}

/* Orders what every thread of the process did before with what it does after. */
static void fence_all_threads(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        /* A forked child has to register anew. */
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
}

void hearth__seats_shut(hearth__seats *seats) {
    atomic_store(&seats->shut, true);
    if (seats->asymmetric) {
        fence_all_threads();
    }
    while (!is_empty(seats)) {
        /* Those who leave may not touch the seats afterwards, so nobody can wake us. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}
