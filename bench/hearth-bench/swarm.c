/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/swarm.h"

#include "base/clock.h"
#include "hearth-bench/processors.h"
#include "latency.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct bee {
    struct swarm_party *party;
    struct turn *turn;
    pthread_t thread;
    unsigned index;
    uint64_t asked;    /* in all */
    uint64_t measured; /* between the two moments */
    uint64_t wrong;
    struct latency latency;
};

/* One party's go. */
struct turn {
    pthread_barrier_t start;
    _Atomic int64_t from_ns; /* what is done before is not measured */
    _Atomic int64_t until_ns;
    struct bee *bees;
    struct latency all;
};

/* ---- a thread ---------------------------------------------------------------------------- */

static void measure(struct bee *bee, uint64_t ns) {
    const struct swarm_party *party = bee->party;
    bee->measured++;
    if (party->is_timed == NULL || party->is_timed(party->arg, bee->index, bee->asked - 1)) {
        latency_record(&bee->latency, ns);
    }
}

static void *ask_on(void *arg) {
    struct bee *bee = arg;
    struct turn *turn = bee->turn;
    pthread_barrier_wait(&turn->start);
    int64_t from_ns = atomic_load(&turn->from_ns);
    int64_t until_ns = atomic_load(&turn->until_ns);
    int64_t begin_ns = hearth__monotonic_ns();
    while (begin_ns < until_ns) {
        bee->wrong += !bee->party->ask(bee->party->arg, bee->index, bee->asked++);
        int64_t end_ns = hearth__monotonic_ns();
        if (begin_ns >= from_ns && end_ns <= until_ns) {
            measure(bee, (uint64_t)(end_ns - begin_ns));
        }
        begin_ns = end_ns;
    }
    return NULL;
}

/* ---- places ------------------------------------------------------------------------------ */

/* The last of the processors that we may use: the first has more interrupts. */
static cpu_set_t last_of(const cpu_set_t *allowed) {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
        if (CPU_ISSET(cpu, allowed)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    return one;
}

static void place_all(const struct swarm_place *place, const cpu_set_t *cpus) {
    for (size_t i = 0; i < place->count; i++) {
        processors_place(place->servers[i], cpus);
    }
    (void)sched_setaffinity(0, sizeof *cpus, cpus); /* threads of ours inherit it */
}

/* ---- a turn ------------------------------------------------------------------------------ */

static int64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_until(int64_t ns) {
    const struct timespec until = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int begin_turn(struct turn *turn, struct swarm_party *party) {
    pthread_attr_t small;
    int failed = pthread_attr_init(&small);
    failed = failed != 0 || pthread_attr_setstacksize(&small, (size_t)256 * 1024) != 0;
    for (unsigned i = 0; failed == 0 && i < party->threads; i++) {
        struct bee *bee = &turn->bees[i];
        bee->party = party;
        bee->turn = turn;
        bee->index = i;
        bee->measured = bee->wrong = 0;
        latency_clear(&bee->latency);
        /* Without a thread the others wait at the barrier for ever: the program ends anyway. */
        failed = pthread_create(&bee->thread, &small, ask_on, bee);
    }
    (void)pthread_attr_destroy(&small);
    return failed;
}

/* Each thread is to have some answers in it, one after the other from the same server. */
static int64_t quick_length_ns(const struct swarm_party *party,
                               const struct swarm_place *place) {
    int64_t base_ns = 8000000 + (int64_t)party->threads * 100000;
    return base_ns + place->slow_ms * 3000000;
}

static int take_turn(const struct bench *bench, const struct swarm_place *place,
                     struct swarm_party *party, struct turn *turn, unsigned round) {
    int64_t warm_ns = bench->quick ? 1000000 : 60000000;
    int64_t length_ns = bench->quick ? quick_length_ns(party, place) : 400000000;
    if (pthread_barrier_init(&turn->start, NULL, party->threads + 1) != 0 ||
        begin_turn(turn, party) != 0) {
        return bench_fail(bench, "no threads");
    }
    int64_t from_ns = hearth__monotonic_ns() + warm_ns;
    atomic_store(&turn->from_ns, from_ns);
    atomic_store(&turn->until_ns, from_ns + length_ns);
    pthread_barrier_wait(&turn->start);
    sleep_until(from_ns);
    int64_t cpu_begin_ns = cpu_ns();
    sleep_until(from_ns + length_ns);
    int64_t used_ns = cpu_ns() - cpu_begin_ns;
    uint64_t measured = 0;
    latency_clear(&turn->all);
    for (unsigned i = 0; i < party->threads; i++) {
        struct bee *bee = &turn->bees[i];
        (void)pthread_join(bee->thread, NULL);
        measured += bee->measured;
        party->wrong += bee->wrong;
        latency_merge(&turn->all, &bee->latency);
    }
    (void)pthread_barrier_destroy(&turn->start);
    party->per_second[round] = (double)measured * 1e9 / (double)length_ns;
    party->p99_us[round] = (double)latency_percentile(&turn->all, 99) / 1e3;
    party->cpu_us[round] = (double)used_ns / 1e3 / (double)(measured != 0 ? measured : 1);
    return 0;
}

static int run_rounds(struct bench *bench, const struct swarm_place *place,
                      struct swarm_party *parties, size_t count, struct turn *turn) {
    int result = 0;
    for (unsigned round = 0; result == 0 && round < bench->rounds; round++) {
        bench_progress(bench, "round %u of %u", round + 1, bench->rounds);
        for (size_t i = 0; result == 0 && i < count; i++) {
            result = take_turn(bench, place, &parties[(round + i) % count], turn, round);
        }
    }
    bench_progress_end(bench);
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (parties[i].wrong != 0) {
            result = bench_fail(bench, "%llu operations of party %zu went wrong",
                                (unsigned long long)parties[i].wrong, i);
        }
    }
    return result;
}

int swarm_contest(struct bench *bench, const struct swarm_place *place,
                  struct swarm_party *parties, size_t count) {
    struct turn *turn = calloc(1, sizeof *turn);
    struct bee *bees = calloc(SWARM_THREADS, sizeof *bees);
    cpu_set_t allowed;
    int result = -1;
    if (turn == NULL || bees == NULL || sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        result = bench_fail(bench, "no memory");
    } else {
        const cpu_set_t one = last_of(&allowed);
        turn->bees = bees;
        place_all(place, place->pinned ? &one : &allowed);
        result = run_rounds(bench, place, parties, count, turn);
        place_all(place, &allowed);
    }
    free(bees);
    free(turn);
    return result;
}

/* ---- figures ----------------------------------------------------------------------------- */

static struct figure figure_of(const struct bench *bench, const double *values, double unit) {
    return (struct figure){sample_median(values, bench->rounds) / unit,
                           sample_spread(values, bench->rounds)};
}

struct figure swarm_throughput(const struct bench *bench, const struct swarm_party *party) {
    return figure_of(bench, party->per_second, 1e3);
}

struct figure swarm_p99(const struct bench *bench, const struct swarm_party *party) {
    return figure_of(bench, party->p99_us, 1);
}

struct figure swarm_cpu(const struct bench *bench, const struct swarm_party *party) {
    return figure_of(bench, party->cpu_us, 1);
}
