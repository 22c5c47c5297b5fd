/* SPDX-License-Identifier: Apache-2.0 */
#include "simulation/schedule.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "splitmix.h"

/* NOLINTBEGIN(bugprone-reserved-identifier) the linker's names */

enum { THREADS_MAX = 64, STEP_NS = 20000, STACK_BYTES = 1 << 20 };

enum state { FREE, READY, WAITING, ENDED };

struct schedule_thread {
    sem_t turn;
    pthread_t id;
    void *(*run)(void *arg);
    void *arg;
    unsigned process;
    enum state state;
    const void *channel;
    uint32_t strokes;
    int64_t until_ns;
    bool woken;
    unsigned locks; /* that it holds */
};

struct event {
    int64_t time_ns;
    uint64_t number; /* of those of one time the first comes first */
    unsigned process;
    void (*act)(void *arg);
    void *arg;
};

static struct {
    uint64_t random;
    int64_t now_ns;
    bool traces;
    bool in_event;
    unsigned event_process;
    char failure[512];
    struct schedule_clock clocks[SCHEDULE_PROCESSES + 1];
    schedule_thread threads[THREADS_MAX];
    schedule_thread *running;
    struct event *events; /* a heap */
    size_t event_count;
    size_t event_room;
    uint64_t event_number;
} all;

/* NULL: not of the schedule any more. A thread that has ended still runs the library's destructors, beside whose turn it is. */
static _Thread_local schedule_thread *own;

/* ---- numbers and clocks ----------------------------------------------------------------- */

uint64_t schedule_random(void) {
    return splitmix(&all.random);
}

int64_t schedule_below(int64_t bound) {
    return (int64_t)(schedule_random() % (uint64_t)bound);
}

bool schedule_chance(int64_t one_in) {
    return schedule_below(one_in) == 0;
}

int64_t schedule_now(void) {
    return all.now_ns;
}

struct schedule_clock *schedule_clock_of(unsigned process) {
    return &all.clocks[process];
}

unsigned schedule_process(void) {
    return all.in_event ? all.event_process : all.running->process;
}

/* ---- what is told ----------------------------------------------------------------------- */

void schedule_trace(const char *format, ...) {
    if (all.traces) {
        va_list arguments;
        va_start(arguments, format);
        printf("%12.3f p%u ", (double)(all.now_ns % (SCHEDULE_MS * 10000000)) / SCHEDULE_MS,
               schedule_process());
        vprintf(format, arguments);
        printf("\n");
        va_end(arguments);
    }
}

void schedule_fail(const char *format, ...) {
    char text[sizeof all.failure];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    schedule_trace("FAILED: %s", text);
    if (all.failure[0] == '\0') {
        memcpy(all.failure, text, sizeof text);
    }
}

const char *schedule_failure(void) {
    return all.failure;
}

/* ---- events ----------------------------------------------------------------------------- */

static bool is_before(const struct event *a, const struct event *b) {
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->number < b->number;
}

static void swap_events(size_t a, size_t b) {
    struct event event = all.events[a];
    all.events[a] = all.events[b];
    all.events[b] = event;
}

void schedule_at(int64_t time_ns, unsigned process, void (*act)(void *arg), void *arg) {
    if (all.event_count == all.event_room) {
        all.event_room = all.event_room != 0 ? all.event_room * 2 : 64;
        all.events = realloc(all.events, all.event_room * sizeof *all.events);
        if (all.events == NULL) {
            abort();
        }
    }
    size_t at = all.event_count++;
    all.events[at] = (struct event){.time_ns = time_ns > all.now_ns ? time_ns : all.now_ns,
                                    .number = all.event_number++,
                                    .process = process,
                                    .act = act,
                                    .arg = arg};
    for (; at != 0 && is_before(&all.events[at], &all.events[(at - 1) / 2]);
         at = (at - 1) / 2) {
        swap_events(at, (at - 1) / 2);
    }
}

static struct event take_event(void) {
    struct event first = all.events[0];
    all.events[0] = all.events[--all.event_count];
    for (size_t at = 0; 2 * at + 1 < all.event_count;) {
        size_t child = 2 * at + 1;
        if (child + 1 < all.event_count &&
            is_before(&all.events[child + 1], &all.events[child])) {
            child++;
        }
        if (!is_before(&all.events[child], &all.events[at])) {
            break;
        }
        swap_events(at, child);
        at = child;
    }
    return first;
}

static void run_events(void) {
    while (all.event_count != 0 && all.events[0].time_ns <= all.now_ns) {
        struct event event = take_event();
        all.in_event = true;
        all.event_process = event.process;
        event.act(event.arg);
        all.in_event = false;
    }
}

/* ---- whose turn it is ------------------------------------------------------------------- */

/* When a thread can go on. */
static int64_t ready_at(const schedule_thread *thread) {
    int64_t frozen_ns = all.clocks[thread->process].frozen_until_ns;
    int64_t at_ns = thread->state == READY     ? all.now_ns
                    : thread->state == WAITING ? thread->until_ns
                                               : INT64_MAX;
    return at_ns > frozen_ns ? at_ns : frozen_ns > all.now_ns ? frozen_ns : at_ns;
}

static schedule_thread *draw(int64_t *next_ns) {
    schedule_thread *ready[THREADS_MAX];
    int64_t count = 0;
    for (size_t i = 0; i < THREADS_MAX; i++) {
        schedule_thread *thread = &all.threads[i];
        if (thread->state != READY && thread->state != WAITING) {
            continue;
        }
        int64_t at_ns = ready_at(thread);
        if (at_ns <= all.now_ns) {
            ready[count++] = thread;
        } else if (at_ns < *next_ns) {
            *next_ns = at_ns;
        }
    }
    return count != 0 ? ready[schedule_below(count)] : NULL;
}

static schedule_thread *pick(void) {
    for (;;) {
        run_events();
        int64_t next_ns = all.event_count != 0 ? all.events[0].time_ns : INT64_MAX;
        schedule_thread *thread = draw(&next_ns);
        if (thread != NULL) {
            thread->state = READY;
            return thread;
        }
        if (next_ns == INT64_MAX) {
            (void)fprintf(stderr, "simulation: nobody can go on\n");
            abort();
        }
        all.now_ns = next_ns;
    }
}

static void await_turn(schedule_thread *self) {
    while (sem_wait(&self->turn) != 0) {
    }
}

/* Gives the turn away; it comes back. */
static void pass(void) {
    schedule_thread *self = all.running;
    schedule_thread *next = pick();
    if (next != self) {
        all.running = next;
        (void)sem_post(&next->turn);
        await_turn(self);
    }
}

void schedule_yield(void) {
    if (own != NULL && !all.in_event && own->locks == 0) {
        all.now_ns += schedule_below(STEP_NS);
        pass();
    }
}

bool schedule_wait(const void *channel, uint32_t strokes, int64_t until_ns) {
    schedule_thread *self = all.running;
    self->channel = channel;
    self->strokes = strokes;
    self->until_ns = until_ns;
    self->woken = false;
    self->state = WAITING;
    pass();
    self->channel = NULL;
    return self->woken;
}

void schedule_wake(const void *channel, uint32_t strokes) {
    for (size_t i = 0; i < THREADS_MAX; i++) {
        schedule_thread *thread = &all.threads[i];
        if (thread->state == WAITING && thread->channel == channel &&
            (thread->strokes & strokes) != 0) {
            thread->woken = true;
            thread->state = READY;
        }
    }
}

void schedule_sleep(int64_t ns) {
    (void)schedule_wait(NULL, 0, all.now_ns + ns);
}

/* ---- threads ---------------------------------------------------------------------------- */

static void *begin_thread(void *arg) {
    schedule_thread *self = arg;
    own = self;
    await_turn(self);
    void *result = self->run(self->arg);
    own = NULL;
    self->state = ENDED;
    schedule_wake(self, 1);
    schedule_thread *next = pick();
    all.running = next;
    (void)sem_post(&next->turn);
    return result;
}

static schedule_thread *take_place(unsigned process) {
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (all.threads[i].state == FREE) {
            schedule_thread *thread = &all.threads[i];
            *thread = (schedule_thread){.process = process, .state = READY};
            if (sem_init(&thread->turn, 0, 0) != 0) {
                abort();
            }
            return thread;
        }
    }
    abort();
}

schedule_thread *schedule_start(unsigned process, void *(*run)(void *arg), void *arg) {
    schedule_thread *thread = take_place(process);
    pthread_attr_t attributes;
    thread->run = run;
    thread->arg = arg;
    if (pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setstacksize(&attributes, STACK_BYTES) != 0 ||
        pthread_create(&thread->id, &attributes, begin_thread, thread) != 0) {
        abort();
    }
    (void)pthread_attr_destroy(&attributes);
    return thread;
}

int __real_pthread_join(pthread_t id, void **result);

void schedule_join(schedule_thread *thread) {
    while (thread->state != ENDED) {
        (void)schedule_wait(thread, 1, INT64_MAX);
    }
    (void)__real_pthread_join(thread->id, NULL);
    (void)sem_destroy(&thread->turn);
    thread->state = FREE;
}

const void *schedule_id(const schedule_thread *thread) {
    return &thread->id;
}

void schedule_begin(uint64_t seed, bool trace) {
    memset(&all, 0, sizeof all);
    all.random = seed;
    all.traces = trace;
    all.now_ns = SCHEDULE_MS * 10000000;
    all.running = take_place(SCHEDULE_DRIVER);
    all.running->id = pthread_self();
    own = all.running;
}

void schedule_end(void) {
    (void)sem_destroy(&all.running->turn);
    all.running = NULL;
    own = NULL;
    free(all.events);
    all.events = NULL;
    all.event_count = 0;
    all.event_room = 0;
}

/* ---- what the library's threads wait for ------------------------------------------------ */

/* Called in the place of the functions without `__wrap_`, by the linker. */
int __wrap_pthread_join(pthread_t id, void **result);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_nanosleep(const struct timespec *span, struct timespec *left);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);

int __wrap_pthread_join(pthread_t id, void **result) {
    (void)result;
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (all.threads[i].state != FREE && pthread_equal(all.threads[i].id, id) != 0) {
            schedule_join(&all.threads[i]);
            return 0;
        }
    }
    return -1;
}

static void count_lock(bool taken) {
    if (own != NULL) {
        own->locks += taken;
    }
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) {
    count_lock(true);
    return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex) {
    int failed = __real_pthread_mutex_trylock(mutex);
    count_lock(failed == 0);
    return failed;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex) {
    if (own != NULL) {
        own->locks--;
    }
    return __real_pthread_mutex_unlock(mutex);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until) {
    int64_t until_ns = 0;
    if (__builtin_mul_overflow((int64_t)until->tv_sec, INT64_C(1000000000), &until_ns) ||
        __builtin_add_overflow(until_ns, (int64_t)until->tv_nsec, &until_ns)) {
        until_ns = INT64_MAX;
    }
    (void)__wrap_pthread_mutex_unlock(mutex);
    bool woken = schedule_wait(condition, 1, until_ns);
    (void)__wrap_pthread_mutex_lock(mutex);
    return woken ? 0 : 110; /* ETIMEDOUT */
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition) {
    schedule_wake(condition, 1);
    return 0;
}

int __wrap_nanosleep(const struct timespec *span, struct timespec *left) {
    (void)left;
    schedule_sleep((int64_t)span->tv_sec * 1000000000 + span->tv_nsec);
    return 0;
}

/* NOLINTEND(bugprone-reserved-identifier) */
