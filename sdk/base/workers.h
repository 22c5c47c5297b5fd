/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that run tasks: a few of their own, started when there is first something to do, and any
 * that callers lend. What waits is bounded in number; the urgent goes first.
 *
 *   submit -> (waits) -> run, on some thread    or    drop, when it is too late for that
 *
 * No lock is held while a task runs. Threads of its own block all signals. A forked child has none
 * of its parent's: there what waited is dropped, what ran is the parent's, and threads are started
 * anew.
 */
#ifndef HEARTH_BASE_WORKERS_H
#define HEARTH_BASE_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hearth__workers hearth__workers;

/* The beginning of whatever is to be done; its owner's memory. */
typedef struct hearth__task {
    struct hearth__task *prev;
    struct hearth__task *next;
} hearth__task;

typedef struct hearth__workers_config {
    uint32_t threads; /* of their own, at the most; 0: tasks wait for threads that are lent */
    size_t room;      /* how many tasks may wait */
    void (*run)(hearth__task *task);
    void (*drop)(hearth__task *task); /* it was never run, and will not be */
} hearth__workers_config;

/* Starts no thread yet. NULL: out of memory. */
hearth__workers *hearth__workers_create(const hearth__workers_config *config)
    __attribute__((warn_unused_result));

/* After shut and join. NULL is allowed. */
void hearth__workers_destroy(hearth__workers *workers);

enum hearth__submission {
    HEARTH__TAKEN,  /* it will be run, or dropped */
    HEARTH__FULL,   /* nothing happened: too many wait, or it is shut */
    HEARTH__NOBODY, /* nothing happened: there is no thread that would run it */
    HEARTH__BUSY,   /* nothing happened, of an offer: another thread has the lock */
};

/* Any thread. */
enum hearth__submission hearth__workers_submit(hearth__workers *workers, hearth__task *task,
                                               bool urgent);

/* The same for who may not wait for a lock, whose holder may have lost its processor. */
enum hearth__submission hearth__workers_offer(hearth__workers *workers, hearth__task *task,
                                              bool urgent);

/*
 * Lends the calling thread: runs one task as soon as there is one. HEARTH_OK; HEARTH_MISS: there was
 * none until the deadline; HEARTH_E_CLOSED.
 */
int32_t hearth__workers_lend(hearth__workers *workers, int64_t deadline_ns);

/*
 * Gives back a waiting task of which `is_it` says yes, if there is nobody any more who would run it:
 * who waits for it does it then. NULL: none.
 */
hearth__task *hearth__workers_take_back(hearth__workers *workers,
                                        bool (*is_it)(const hearth__task *task,
                                                      const void *arg),
                                        const void *arg);

/* Takes a task back that waits, whoever would run it. False: it does not wait any more. `task` need not be one still. */
bool hearth__workers_withdraw(hearth__workers *workers, const hearth__task *task);

/* How many tasks wait. Any thread. */
uint64_t hearth__workers_waiting(hearth__workers *workers);

/* Takes no task any more, and drops those that wait. Threads that are lent come back. */
void hearth__workers_shut(hearth__workers *workers);

/* Waits for what runs, after shut. */
void hearth__workers_join(hearth__workers *workers);

#endif
