/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each thread has of its own in something shared: counters, and whether it is inside. A thread writes to no cache line
 * but its own, by plain stores; who asks sums over all. What a thread counted stays when it ends.
 */
#ifndef HEARTH_BASE_SEATS_H
#define HEARTH_BASE_SEATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__seats hearth__seats;

/* One thread's seat. Only that thread writes, but for the one that those without memory share. */
typedef struct hearth__seat hearth__seat;

/* Seats with `count` counters each, at most HEARTH__SEATS_COUNTERS; NULL: no memory. */
hearth__seats *hearth__seats_create(size_t count) __attribute__((warn_unused_result));

/* What a thread has besides its counters: memory that is all zero at first, aligned to 64. */
typedef struct hearth__seats_extra {
    size_t bytes;
    /* Gives what an ending thread leaves to the one that all those have in common. No other thread is in either. */
    void (*fold)(void *common, const void *ended);
} hearth__seats_extra;

/* The same with extra memory. */
hearth__seats *hearth__seats_create_with(size_t count, const hearth__seats_extra *extra)
    __attribute__((warn_unused_result));

/* Nobody may use them any more. NULL is allowed. */
void hearth__seats_destroy(hearth__seats *seats);

/* The sum over all threads, those that ended included. Any thread. */
uint64_t hearth__seats_sum(hearth__seats *seats, size_t index);

/*
 * Families: what is counted apart besides, each with counters of its own. A thread has those of a family once it counts something of
 * it, and where there is no memory for them, those that all such threads share. Number 0 is no family.
 */
enum { HEARTH__FAMILIES = 64, HEARTH__FAMILY_COUNTERS = 12 };

/* Before anything of a family is counted; once for each. False: no memory. Any thread. */
bool hearth__seats_open_family(hearth__seats *seats, size_t family)
    __attribute__((warn_unused_result));

uint64_t hearth__seats_sum_family(hearth__seats *seats, size_t family, size_t index);

/* Calls `visit` with the extra memory of each thread, and with that of those that ended. Threads use theirs meanwhile, but none
 * comes or goes; `visit` may take no lock. Any thread. */
void hearth__seats_visit(hearth__seats *seats, void (*visit)(void *arg, const void *extra),
                         void *arg);

/* The bytes that all of it takes now. Any thread. */
size_t hearth__seats_extra_bytes(hearth__seats *seats);

/*
 * Stays inside without a thread: who is inside holds, any thread lets go by what hold answered. In a forked child its parent's
 * holds do not count.
 */
uint64_t hearth__seats_hold(hearth__seats *seats);
void hearth__seats_let_go(hearth__seats *seats, uint64_t hold);

/* Lets nobody in any more and waits until all have left. */
void hearth__seats_shut(hearth__seats *seats);

/* ---- what a call does, in a few instructions -------------------------------------------- */

enum { HEARTH__SEATS_COUNTERS = 96 };

/* What lies before and behind it is on other cache lines than the counters. */
typedef struct hearth__seat_family {
    unsigned char before[64];
    _Atomic uint64_t counters[HEARTH__FAMILY_COUNTERS];
    unsigned char behind[64];
} hearth__seat_family;

struct hearth__seat {
    _Atomic int64_t inside;
    bool shared; /* by those without memory for one */
    /* the owner's: what a counter has to reach for something to be done; a shared seat's is 0, and never if nobody has
     * extra memory */
    uint64_t due;
    _Atomic uint64_t counters[HEARTH__SEATS_COUNTERS];
    hearth__seats *owner;
    hearth__seat *next_of_owner;
    hearth__seat *next_of_thread;
    uint64_t fork_generation;       /* of the process that made it */
    hearth__seat **first_of_thread; /* where its thread's list begins */
    void *extra;                    /* NULL: none */
    _Atomic(hearth__seat_family *) families[HEARTH__FAMILIES]; /* NULL: not yet */
};

struct hearth__seats {
    uint64_t id; /* never used again, unlike an address */
    size_t count;
    hearth__seats_extra extra;
    _Atomic bool shut;
    bool
        asymmetric; /* seats are unfenced: who enters needs no fence, who shuts makes one for all threads */
    int64_t holds;             /* under the registry's lock */
    uint64_t holds_generation; /* of the process that has them */
    hearth__seat *seats;
    hearth__seat
        common; /* sums of threads that ended; and the seat of those who got no memory for one */
};

/* The seat that this thread used last: the one it needs in nearly every case. */
typedef struct hearth__recent_seat {
    uint64_t id;
    uint64_t unfenced_id; /* the same if the seat is unfenced, else 0 */
    hearth__seat *seat;
} hearth__recent_seat;

/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) a thread has one of these */
extern _Thread_local hearth__recent_seat hearth__recent_seat_of_thread
    __attribute__((tls_model("initial-exec")));

hearth__seat *hearth__seats_find(hearth__seats *seats);

static inline hearth__seat *hearth__seats_own(hearth__seats *seats) {
    if (hearth__recent_seat_of_thread.id == seats->id) {
        return hearth__recent_seat_of_thread.seat;
    }
    return hearth__seats_find(seats);
}

/* Adds to a counter of the calling thread's seat, and tells what it is now. */
static inline uint64_t hearth__seat_add(hearth__seat *seat, size_t index, uint64_t amount) {
    _Atomic uint64_t *counter = &seat->counters[index];
    if (seat->shared) {
        return atomic_fetch_add_explicit(counter, amount, memory_order_relaxed) + amount;
    }
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed) + amount;
    atomic_store_explicit(counter, value, memory_order_relaxed);
    return value;
}

/* Adds to the calling thread's counter at `index`. Any thread. */
static inline void hearth__seats_add(hearth__seats *seats, size_t index, uint64_t amount) {
    (void)hearth__seat_add(hearth__seats_own(seats), index, amount);
}

/* Of a family of which the seat has no counters of its own. */
void hearth__seat_add_first(hearth__seat *seat, size_t family, size_t index, uint64_t amount);

/* Adds to a family's counter of the calling thread's seat. */
static inline void hearth__seat_add_family(hearth__seat *seat, size_t family, size_t index,
                                           uint64_t amount) {
    hearth__seat_family *own =
        atomic_load_explicit(&seat->families[family], memory_order_relaxed);
    if (__builtin_expect(own == NULL || seat->shared, 0)) {
        hearth__seat_add_first(seat, family, index, amount);
        return;
    }
    uint64_t value = atomic_load_explicit(&own->counters[index], memory_order_relaxed);
    atomic_store_explicit(&own->counters[index], value + amount, memory_order_relaxed);
}

/* Leaves what was entered, on the same thread. */
static inline void hearth__seat_leave(hearth__seat *seat) {
    if (seat->shared) {
        atomic_fetch_sub(&seat->inside, 1);
        return;
    }
    int64_t inside = atomic_load_explicit(&seat->inside, memory_order_relaxed);
    atomic_store_explicit(&seat->inside, inside - 1, memory_order_release);
}

/* What one more in the counter that `due` is of makes it. False: then something would be due. */
static inline bool hearth__seat_next(const hearth__seat *seat, size_t index, uint64_t *next) {
    *next = atomic_load_explicit(&seat->counters[index], memory_order_relaxed) + 1;
    return __builtin_expect(*next < seat->due, 1);
}

/* Counts what hearth__seat_next() answered, if that was true, and leaves. */
static inline void hearth__seat_count_and_leave(hearth__seat *seat, size_t index,
                                                uint64_t next) {
    int64_t inside = atomic_load_explicit(&seat->inside, memory_order_relaxed);
    atomic_store_explicit(&seat->counters[index], next, memory_order_relaxed);
    atomic_store_explicit(&seat->inside, inside - 1, memory_order_release);
}

static inline void hearth__seats_leave(hearth__seats *seats) {
    hearth__seat_leave(hearth__seats_own(seats));
}

/*
 * Enters: the calling thread's seat, which is to leave; NULL once it is shut. Either a caller sees that it is shut, or who
 * shuts it sees the caller inside: that takes a full fence between the store and the load on both sides. On the side that
 * is taken a million times a second membarrier(2) stands in for it.
 */
static inline hearth__seat *hearth__seats_enter(hearth__seats *seats) {
    hearth__seat *seat = hearth__recent_seat_of_thread.seat;
    if (hearth__recent_seat_of_thread.unfenced_id == seats->id) {
        int64_t inside = atomic_load_explicit(&seat->inside, memory_order_relaxed);
        atomic_store_explicit(&seat->inside, inside + 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
    } else {
        seat = hearth__seats_find(seats);
        atomic_fetch_add(&seat->inside, 1);
    }
    if (atomic_load(&seats->shut)) {
        hearth__seat_leave(seat);
        return NULL;
    }
    return seat;
}

#endif
