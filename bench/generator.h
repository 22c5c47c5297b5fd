/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that make requests and say how long each took, in one of two ways.
 *
 * In a closed loop a thread asks again as soon as it has its answer. That measures how much gets
 * done, but while a server stands still nobody asks: of a second without answers it sees one slow
 * request a thread (Gil Tene's "coordinated omission").
 *
 * In an open loop requests arrive at a rate, at random moments (a Poisson process), whether or not
 * earlier ones were answered, as users do. A thread that is behind takes the requests that are due
 * one after the other, and each counts from the moment it was due: its waiting is part of its
 * latency. A thread that was idle when a request fell due, and whom the system woke late, counts
 * from its waking: that is the timer's lateness, not the answer's. Requests that were due and not
 * begun at the end count with what they had waited.
 */
#ifndef HEARTH_BENCH_GENERATOR_H
#define HEARTH_BENCH_GENERATOR_H

#include "latency.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

enum { GENERATOR_THREADS = 256 };

/* What became of a request. */
enum generator_answer {
    GENERATOR_WRONG, /* no answer, or not the right one */
    GENERATOR_LOCAL,
    GENERATOR_REMOTE,
    GENERATOR_LOADED,
    GENERATOR_WRITTEN,
    GENERATOR_ANSWERS
};

/* A thread's `count`-th request, made at_ns after the begin. */
typedef enum generator_answer generator_ask(void *arg, unsigned thread, uint64_t count,
                                            int64_t at_ns);

/* A thread's place: it alone writes. All zero in the beginning; may lie in shared memory. */
struct generator_seat {
    alignas(64) _Atomic uint64_t
        answers[GENERATOR_ANSWERS]; /* since the begin, to be read at any time */
    uint64_t unbegun;               /* open loop: due before the end, and not begun by then */
    struct latency latency; /* of those made from from_ns on; read it after generator_join() */
};

/* The upper part is the caller's to fill; all must live until generator_join(). */
struct generator {
    generator_ask *ask;
    void *arg;
    unsigned threads; /* 1 to GENERATOR_THREADS */
    unsigned first;   /* the number of the first of them, as `ask` is told */
    double rate;      /* requests a second, of all threads together; 0: closed loop */
    uint64_t seed;    /* of the arrivals */
    struct generator_seat *seats; /* one a thread */
    int64_t begin_ns;             /* on CLOCK_MONOTONIC */
    int64_t from_ns;              /* latencies are kept from here on */
    _Atomic int64_t until_ns;     /* may be changed while they run */

    _Atomic unsigned numbers; /* given out so far */
    pthread_t handles[GENERATOR_THREADS];
};

/* Starts the threads. 0; -1: no threads, and none runs. */
int generator_start(struct generator *generator) __attribute__((warn_unused_result));

/* Waits until all have ended. */
void generator_join(struct generator *generator);

#endif
