/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread at a time, and time that passes when nobody can go on: what makes a run of the library's own code depend on nothing
 * but a seed. (Deterministic simulation, as FoundationDB has it: Zhou et al., SIGMOD 2021, section 4.)
 *
 * Threads are real, but each runs only in its turn, and whose turn is next is drawn. It can change wherever the library waits (a
 * bell, a condition, a join, a poll), and also wherever it looks at a clock under no lock. Clocks and random numbers are the
 * schedule's too: this file and clocks.c define what base/clock.h, base/random.h, base/bell.h and base/thread.h declare.
 */
#ifndef TESTS_SIMULATION_SCHEDULE_H
#define TESTS_SIMULATION_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCHEDULE_PROCESSES = 3, SCHEDULE_DRIVER = SCHEDULE_PROCESSES };

#define SCHEDULE_MS INT64_C(1000000) /* in ns */

/* A process's view of time, which faults change. The driver has one too. */
struct schedule_clock {
    int64_t boot_ahead_ms;
    int64_t wall_ahead_ms;
    int64_t frozen_until_ns;
};

/* The calling thread becomes the driver, the only thread of the schedule. */
void schedule_begin(uint64_t seed, bool trace);

/* All other threads have been joined. */
void schedule_end(void);

/* ns since the beginning of all time, the same for all. */
int64_t schedule_now(void);
struct schedule_clock *schedule_clock_of(unsigned process);

/* The process of who runs, or of the event that is being carried out. */
unsigned schedule_process(void);

uint64_t schedule_random(void);

/* 0 to `bound` - 1. */
int64_t schedule_below(int64_t bound);

/* True once in so many times. */
bool schedule_chance(int64_t one_in);

/* A thread of a process; ended by schedule_join(). */
typedef struct schedule_thread schedule_thread;
schedule_thread *schedule_start(unsigned process, void *(*run)(void *arg), void *arg);
void schedule_join(schedule_thread *thread);

/* What pthread_join() knows it by: a pthread_t. */
const void *schedule_id(const schedule_thread *thread);

/* At that time, `act` is called, for that process: it may not wait. */
void schedule_at(int64_t time_ns, unsigned process, void (*act)(void *arg), void *arg);

/* Waits to be woken by the channel, or for the time. True: it was woken. */
bool schedule_wait(const void *channel, uint32_t strokes, int64_t until_ns);
void schedule_wake(const void *channel, uint32_t strokes);
void schedule_sleep(int64_t ns);

/* Others may go on here, if the caller holds no lock. */
void schedule_yield(void);

/* Says what happens, if that is wanted. */
void schedule_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The first thing that went wrong; "": nothing did. */
void schedule_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *schedule_failure(void);

#endif
