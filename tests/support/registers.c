/* SPDX-License-Identifier: Apache-2.0 */
#include "support/registers.h"

#include "base/racy.h"
#include "support/crowd.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum { WORDS_MAX = 4096, SETS_OF_200 = 70 };

/* Threads in calls are held up, a few at a time, until the others have made so many calls, if they can. */
enum {
    HELD_MOST = 4,
    HOLD_EACH_US = 60,
    LOOK_AGAIN_US = 20,
    HOLD_CALLS = 200,
    HOLD_NAPS = 10,
    NAP_NS = 1000
};

enum { IN_GET = 1, IN_OTHER = 2 };

/* No set writes it: a get that saw bytes which no set wrote in this way. */
#define TORN UINT64_MAX

struct run {
    const struct registers_store *store;
    const struct registers_load *load;
    void *arg;
    struct history_call *calls;
    _Atomic size_t taken;  /* of them, CHUNK at a time */
    _Atomic size_t failed; /* threads */
};

enum { CHUNK = 16 };

/* For the signal's handler: how many calls were made, and how many threads it holds. */
static _Atomic size_t progress;
static _Atomic size_t held;
static _Thread_local volatile sig_atomic_t in_call; /* 0: in none */

/* What a thread has while it works. */
struct worker {
    const struct run *run;
    void *hand;
    struct history_call *calls; /* where it writes them down, */
    size_t count;               /* so many of CHUNK by now */
    uint64_t random;
    uint64_t number; /* of its last set */
    uint64_t value[WORDS_MAX];
};

static uint64_t next_random(struct worker *worker) {
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random >> 8;
}

/*
 * Fences keep the clock's reading outside of the call: the processor may begin to read memory before it has read the time.
 * ThreadSanitizer knows no fences: in its build an atomic counter is the clock.
 */
static int64_t read_clock(void) {
#if defined(HEARTH__RACY_WORDS)
    static _Atomic int64_t ticks;
    return atomic_fetch_add(&ticks, 1);
#else
    struct timespec now;
    atomic_thread_fence(memory_order_seq_cst);
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_thread_fence(memory_order_seq_cst);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#endif
}

static int64_t begin_call(int which) {
    int64_t begun_ns = read_clock();
    in_call = which;
    return begun_ns;
}

static int64_t end_call(void) {
    in_call = 0;
    return read_clock();
}

/* ---- values ----------------------------------------------------------------------------- */

static uint64_t word_of(uint64_t number, size_t index) {
    return number + index * 0x9e3779b97f4a7c15u;
}

static size_t words_of(const struct registers_load *load, uint64_t number) {
    uint64_t drawn = (number * 0xff51afd7ed558ccdu) >> 32;
    return load->least_words + drawn % (load->most_words - load->least_words + 1);
}

static size_t compose(struct worker *worker, uint64_t number) {
    size_t words = words_of(worker->run->load, number);
    for (size_t i = 0; i < words; i++) {
        worker->value[i] = word_of(number, i);
    }
    return words * sizeof worker->value[0];
}

static uint64_t number_of(const struct worker *worker, const unsigned char *data, size_t size) {
    uint64_t number = 0;
    if (size < sizeof number) {
        return TORN;
    }
    memcpy(&number, data, sizeof number);
    if (size != words_of(worker->run->load, number) * sizeof number) {
        return TORN;
    }
    for (size_t i = 1; i * 8 < size; i++) {
        uint64_t word = 0;
        memcpy(&word, data + i * 8, sizeof word);
        if (word != word_of(number, i)) {
            return TORN;
        }
    }
    return number;
}

/* ---- calls ------------------------------------------------------------------------------ */

static void note(struct worker *worker, uint32_t key, enum history_kind kind, uint64_t value,
                 int64_t begun_ns, int64_t ended_ns) {
    worker->calls[worker->count++] =
        (struct history_call){begun_ns, ended_ns, value, key, kind};
}

static void call_set(struct worker *worker, uint32_t key, const char *name, size_t name_size) {
    uint64_t number = ++worker->number;
    size_t size = compose(worker, number);
    int64_t begun_ns = begin_call(IN_OTHER);
    worker->run->store->set(worker->hand, name, name_size, worker->value, size);
    note(worker, key, HISTORY_SET, number, begun_ns, end_call());
}

static void call_get(struct worker *worker, uint32_t key, const char *name, size_t name_size) {
    const unsigned char *data = NULL;
    size_t size = 0;
    int64_t begun_ns = begin_call(IN_GET);
    bool found = worker->run->store->get(worker->hand, name, name_size, &data, &size);
    int64_t ended_ns = end_call();
    uint64_t seen = found ? number_of(worker, data, size) : 0;
    note(worker, key, HISTORY_GET, seen, begun_ns, ended_ns);
}

static void call_drop(struct worker *worker, uint32_t key, const char *name, size_t name_size) {
    int64_t begun_ns = begin_call(IN_OTHER);
    bool found = worker->run->store->drop(worker->hand, name, name_size);
    note(worker, key, found ? HISTORY_DROP : HISTORY_NO_DROP, 0, begun_ns, end_call());
}

static void call_clear(struct worker *worker, uint32_t key, const char *name, size_t size) {
    int64_t begun_ns = begin_call(IN_OTHER);
    worker->run->store->clear(worker->hand, name, size);
    int64_t ended_ns = end_call();
    note(worker, key, HISTORY_CLEAR, 0, begun_ns, ended_ns);
    note(worker, key, HISTORY_CLEAR, 0, begun_ns, ended_ns);
}

static void call_any(struct worker *worker) {
    const struct registers_load *load = worker->run->load;
    char name[16];
    uint32_t key = (uint32_t)(next_random(worker) % load->keys);
    uint64_t drawn = next_random(worker) % 200;
    size_t size = (size_t)snprintf(name, sizeof name, "key:%u", key);
    if (drawn < 2 * (uint64_t)load->drops) {
        call_drop(worker, key, name, size);
    } else if (drawn < 3 * (uint64_t)load->drops && worker->count + 2 <= CHUNK) {
        call_clear(worker, key, name, size);
    } else if (drawn < 3 * (uint64_t)load->drops + SETS_OF_200) {
        call_set(worker, key, name, size);
    } else {
        call_get(worker, key, name, size);
    }
}

/* ---- holding up ------------------------------------------------------------------------- */

static void set_timer(int us) {
    const struct itimerval once = {.it_value = {.tv_usec = us}};
    (void)setitimer(ITIMER_REAL, &once, NULL);
}

/* Holds up the thread that the signal came to, wherever it is in its call. */
static void hold_up(int signal_number) {
    const struct timespec nap = {.tv_nsec = NAP_NS};
    (void)signal_number;
    if (in_call == 0 || atomic_load(&held) >= HELD_MOST) {
        set_timer(LOOK_AGAIN_US);
        return;
    }
    size_t enough = atomic_load(&progress) + HOLD_CALLS;
    atomic_fetch_add(&held, 1);
    set_timer(HOLD_EACH_US);
    int naps = in_call == IN_GET ? HOLD_NAPS : 1; /* who writes may hold others up */
    in_call = 0;                                  /* once in a call is enough */
    for (int i = 0; i < naps && atomic_load(&progress) < enough; i++) {
        (void)nanosleep(&nap, NULL);
    }
    atomic_fetch_sub(&held, 1);
}

static int mask_alarm(int how) {
    sigset_t alarm_only;
    (void)sigemptyset(&alarm_only);
    (void)sigaddset(&alarm_only, SIGALRM);
    return pthread_sigmask(how, &alarm_only, NULL);
}

/* ---- a run ------------------------------------------------------------------------------ */

/* Makes calls until there are enough of all threads. */
static void make_calls(struct run *run, struct worker *worker) {
    size_t first = atomic_fetch_add(&run->taken, CHUNK);
    while (first + CHUNK <= run->load->calls) {
        worker->calls = run->calls + first;
        for (worker->count = 0; worker->count < CHUNK;) {
            call_any(worker);
        }
        atomic_fetch_add(&progress, CHUNK);
        first = atomic_fetch_add(&run->taken, CHUNK);
    }
}

static void work(void *arg, size_t index) {
    struct run *run = arg;
    struct worker *worker = calloc(1, sizeof *worker);
    void *hand = run->store->enter(run->arg);
    if (worker == NULL || hand == NULL) {
        atomic_fetch_add(&run->failed, 1);
    } else {
        *worker = (struct worker){.run = run,
                                  .hand = hand,
                                  .random = index + 99,
                                  .number = (uint64_t)(index + 1) << 40};
        (void)mask_alarm(SIG_UNBLOCK);
        make_calls(run, worker);
        (void)mask_alarm(SIG_BLOCK);
    }
    if (hand != NULL) {
        run->store->leave(hand);
    }
    free(worker);
}

/* The calls around one, of the same key. */
static void print_around(const struct history_call *calls, size_t count, size_t culprit) {
    static const char *const names[] = {"set", "get", "drop", "drop of nothing", "clear"};
    size_t first = culprit < 10 ? 0 : culprit - 10;
    for (size_t i = first; i < count && i < culprit + 5; i++) {
        if (calls[i].key == calls[culprit].key) {
            (void)fprintf(stderr, "%s %lld..%lld key %u: %s %llx\n", i == culprit ? "->" : "  ",
                          (long long)calls[i].begun_ns, (long long)calls[i].ended_ns,
                          calls[i].key, names[calls[i].kind],
                          (unsigned long long)calls[i].value);
        }
    }
}

static bool run_threads(struct run *run) {
    struct sigaction action = {.sa_handler = hold_up, .sa_flags = SA_RESTART};
    struct sigaction before;
    (void)mask_alarm(SIG_BLOCK); /* which the threads inherit */
    atomic_store(&held, 0);
    (void)sigaction(SIGALRM, &action, &before);
    set_timer(HOLD_EACH_US);
    bool started = crowd_run(run->load->threads, work, run);
    set_timer(0);
    action.sa_handler = SIG_IGN; /* the last one may be on its way */
    (void)sigaction(SIGALRM, &action, NULL);
    (void)mask_alarm(SIG_UNBLOCK);
    (void)sigaction(SIGALRM, &before, NULL);
    return started && atomic_load(&run->failed) == 0;
}

enum history_verdict registers_run(const struct registers_store *store, void *arg,
                                   const struct registers_load *load) {
    struct run run = {.store = store, .load = load, .arg = arg};
    size_t count = load->calls / CHUNK * CHUNK;
    enum history_verdict verdict = HISTORY_UNDECIDED;
    size_t culprit = 0;
    run.calls = malloc(count * sizeof *run.calls);
    if (run.calls != NULL && load->most_words <= WORDS_MAX && run_threads(&run)) {
        verdict = history_judge(run.calls, count, load->vanishes, &culprit);
    }
    if (verdict == HISTORY_ILLEGAL) {
        print_around(run.calls, count, culprit);
    }
    free(run.calls);
    return verdict;
}
