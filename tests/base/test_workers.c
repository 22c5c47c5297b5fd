/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/workers.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { TASKS = 8 };

static int64_t ahead_s; /* of the machine's clocks */

/* In the place of the C library's, for the library under test: it links this program first. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    time->tv_sec += ahead_s;
    return result;
}

/* What became of tasks, in order. */
struct record {
    _Atomic int ran;
    _Atomic int dropped;
    char order[TASKS + 1];
    struct event done;
    struct event go;
    bool waits;
    bool blocked; /* signals, on the thread that ran the last */
};

struct job {
    hearth__task task; /* first */
    struct record *record;
    char name;
};

static void run(hearth__task *task) {
    struct job *job = (struct job *)(void *)task;
    struct record *record = job->record;
    sigset_t mask;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    record->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGALRM) == 1;
    record->order[atomic_fetch_add(&record->ran, 1)] = job->name;
    event_raise(&record->done);
    if (record->waits) {
        (void)!event_await(&record->go, 1);
    }
}

static void drop(hearth__task *task) {
    atomic_fetch_add(&((struct job *)(void *)task)->record->dropped, 1);
}

static hearth__workers *open_workers(uint32_t threads, size_t room) {
    const hearth__workers_config config = {
        .threads = threads, .room = room, .run = run, .drop = drop};
    hearth__workers *workers = hearth__workers_create(&config);
    assert_non_null(workers);
    return workers;
}

static void close_workers(hearth__workers *workers) {
    hearth__workers_shut(workers);
    hearth__workers_join(workers);
    hearth__workers_destroy(workers);
    assert_int_equal(failing_memory_blocks(), 0);
}

#define RECORD_INIT \
    { .done = EVENT_INIT, .go = EVENT_INIT }

static void name_jobs(struct job *jobs, struct record *record) {
    for (int i = 0; i < TASKS; i++) {
        jobs[i] = (struct job){.record = record, .name = (char)('a' + i)};
    }
}

static void its_threads_run_tasks_and_no_signals(void **state) {
    (void)state;
    struct record record = RECORD_INIT;
    struct job jobs[TASKS];
    hearth__workers *workers = open_workers(2, TASKS);
    name_jobs(jobs, &record);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(hearth__workers_submit(workers, &jobs[i].task, false), HEARTH__TAKEN);
        assert_true(event_await(&record.done, (size_t)i + 1));
    }
    close_workers(workers);
    assert_int_equal(atomic_load(&record.ran), TASKS);
    assert_int_equal(atomic_load(&record.dropped), 0);
    assert_true(record.blocked);
}

static void the_urgent_goes_first(void **state) {
    (void)state;
    struct record record = RECORD_INIT;
    struct job jobs[TASKS];
    hearth__workers *workers = open_workers(0, TASKS);
    name_jobs(jobs, &record);
    assert_int_equal(hearth__workers_lend(workers, 0), HEARTH_MISS);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(hearth__workers_submit(workers, &jobs[i].task, i % 2 != 0),
                         HEARTH__TAKEN);
    }
    assert_int_equal(hearth__workers_waiting(workers), TASKS);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(hearth__workers_lend(workers, 0), HEARTH_OK);
    }
    assert_string_equal(record.order, "bdfhaceg");
    close_workers(workers);
}

static void there_is_room_for_so_many(void **state) {
    (void)state;
    struct record record = RECORD_INIT;
    struct job jobs[TASKS];
    hearth__workers *workers = open_workers(1, 2);
    name_jobs(jobs, &record);
    record.waits = true;
    assert_int_equal(hearth__workers_submit(workers, &jobs[0].task, false), HEARTH__TAKEN);
    assert_true(event_await(&record.done, 1));
    assert_int_equal(hearth__workers_submit(workers, &jobs[1].task, true), HEARTH__TAKEN);
    assert_int_equal(hearth__workers_submit(workers, &jobs[2].task, false), HEARTH__TAKEN);
    assert_int_equal(hearth__workers_submit(workers, &jobs[3].task, true), HEARTH__FULL);
    hearth__workers_shut(workers);
    assert_int_equal(atomic_load(&record.dropped), 2);
    assert_int_equal(hearth__workers_submit(workers, &jobs[4].task, true), HEARTH__FULL);
    assert_int_equal(hearth__workers_lend(workers, HEARTH__NEVER), HEARTH_E_CLOSED);
    event_raise(&record.go);
    close_workers(workers);
    assert_int_equal(atomic_load(&record.ran), 1);
}

static bool is_named(const hearth__task *task, const void *name) {
    return ((const struct job *)(const void *)task)->name == *(const char *)name;
}

/* Nobody lends threads any more: a second later what waits may be taken back. */
static void what_nobody_runs_is_refused_or_taken_back(void **state) {
    (void)state;
    struct record record = RECORD_INIT;
    struct job jobs[TASKS];
    hearth__workers *workers = open_workers(0, TASKS);
    name_jobs(jobs, &record);
    assert_int_equal(hearth__workers_submit(workers, &jobs[0].task, true), HEARTH__NOBODY);
    assert_int_equal(hearth__workers_lend(workers, 0), HEARTH_MISS);
    assert_int_equal(hearth__workers_submit(workers, &jobs[0].task, true), HEARTH__TAKEN);
    assert_int_equal(hearth__workers_submit(workers, &jobs[1].task, false), HEARTH__TAKEN);
    assert_null(hearth__workers_take_back(workers, is_named, "b")); /* somebody may come yet */
    ahead_s++;
    assert_ptr_equal(hearth__workers_take_back(workers, is_named, "b"), &jobs[1].task);
    assert_null(hearth__workers_take_back(workers, is_named, "c"));
    assert_int_equal(hearth__workers_waiting(workers), 1);
    assert_int_equal(hearth__workers_submit(workers, &jobs[1].task, true), HEARTH__NOBODY);
    close_workers(workers);
    assert_int_equal(atomic_load(&record.dropped), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_threads_run_tasks_and_no_signals),
        cmocka_unit_test(the_urgent_goes_first),
        cmocka_unit_test(there_is_room_for_so_many),
        cmocka_unit_test(what_nobody_runs_is_refused_or_taken_back),
    };
    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
