/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/crew.h"

#include "base/clock.h"
#include "hearth-bench/report.h"
#include "run_delay.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRIES = 3 };

/* So much of a measurement may be lost to others. */
#define DISTURBED 0.02

struct measurement {
    double per_second;      /* operations */
    double per_busy_second; /* the same without the time that a processor was waited for */
    double delayed;         /* how much that was, as a share */
};

struct worker {
    _Alignas(64) struct crew *crew;
    pthread_t thread;
    unsigned index;
    int delay_file; /* where the kernel says how long this thread waited for a processor */
    /* Of the last measurement: */
    uint64_t operations;
    uint64_t wrong;
    struct measurement measured;
};

struct crew {
    pthread_barrier_t turn;
    struct party *party; /* whose turn it is; NULL: the end */
    int64_t from_ns;     /* what is done before is not measured: caches fill, threads arrive */
    int64_t until_ns;
    struct worker workers[CREW_THREADS];
};

/* ---- a thread --------------------------------------------------------------------------- */

/* The index-th of the processors that we may use, if there is one for each thread. */
static void pin(unsigned index) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        CPU_COUNT(&allowed) < CREW_THREADS) {
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
            return;
        }
    }
}

static void batch(struct worker *worker, struct party *party) {
    size_t *next = &party->next[worker->index];
    worker->wrong += party->run(party->arg, worker->index, *next, CREW_BATCH);
    worker->operations += CREW_BATCH;
    *next = *next + CREW_BATCH < party->places ? *next + CREW_BATCH : 0;
}

static void measure(struct worker *worker) {
    const struct crew *crew = worker->crew;
    int64_t begin = 0;
    worker->wrong = 0;
    do {
        batch(worker, crew->party);
    } while ((begin = hearth__monotonic_ns()) < crew->from_ns);
    uint64_t delay = run_delay_ns(worker->delay_file);
    int64_t end = 0;
    worker->operations = 0;
    do {
        batch(worker, crew->party);
    } while ((end = hearth__monotonic_ns()) < crew->until_ns);
    double took_ns = (double)(end - begin);
    double delayed_ns = (double)(run_delay_ns(worker->delay_file) - delay);
    delayed_ns = delayed_ns < took_ns ? delayed_ns : 0;
    double operations = (double)worker->operations * 1e9;
    worker->measured =
        (struct measurement){.per_second = operations / took_ns,
                             .per_busy_second = operations / (took_ns - delayed_ns),
                             .delayed = delayed_ns / took_ns};
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct crew *crew = worker->crew;
    pin(worker->index);
    worker->delay_file = run_delay_open();
    for (;;) {
        pthread_barrier_wait(&crew->turn);
        if (crew->party == NULL) {
            break;
        }
        if (worker->index < crew->party->threads) {
            measure(worker);
        }
        pthread_barrier_wait(&crew->turn);
    }
    if (worker->delay_file >= 0) {
        (void)close(worker->delay_file);
    }
    return NULL;
}

/* ---- the crew --------------------------------------------------------------------------- */

struct crew *crew_create(void) {
    struct crew *crew = aligned_alloc(_Alignof(struct crew), sizeof *crew);
    if (crew == NULL || pthread_barrier_init(&crew->turn, NULL, CREW_THREADS + 1) != 0) {
        free(crew);
        return NULL;
    }
    crew->party = NULL;
    for (unsigned i = 0; i < CREW_THREADS; i++) {
        crew->workers[i] = (struct worker){.crew = crew, .index = i};
        if (pthread_create(&crew->workers[i].thread, NULL, work, &crew->workers[i]) != 0) {
            /* Those who wait at the barrier cannot be called back: the program ends anyway. */
            return NULL;
        }
    }
    return crew;
}

void crew_destroy(struct crew *crew) {
    if (crew == NULL) {
        return;
    }
    crew->party = NULL;
    pthread_barrier_wait(&crew->turn);
    for (unsigned i = 0; i < CREW_THREADS; i++) {
        (void)pthread_join(crew->workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&crew->turn);
    free(crew);
}

static struct measurement take_turn(const struct bench *bench, struct party *party) {
    struct crew *crew = bench->crew;
    int64_t warm_ns = bench->quick ? 2000000 : 25000000;
    int64_t length_ns = bench->quick ? 7000000 : 120000000;
    crew->party = party;
    crew->from_ns = hearth__monotonic_ns() + warm_ns;
    crew->until_ns = crew->from_ns + length_ns;
    pthread_barrier_wait(&crew->turn); /* they run */
    pthread_barrier_wait(&crew->turn); /* they are done */
    struct measurement sum = {0, 0, 0};
    for (unsigned i = 0; i < party->threads; i++) {
        const struct worker *worker = &crew->workers[i];
        const struct measurement *one = &worker->measured;
        sum.per_second += one->per_second;
        sum.per_busy_second += one->per_busy_second;
        sum.delayed = one->delayed > sum.delayed ? one->delayed : sum.delayed;
        party->operations += worker->operations;
        party->wrong += worker->wrong;
    }
    return sum;
}

static void least_disturbed(const struct bench *bench, struct party *party, unsigned round) {
    struct measurement best = take_turn(bench, party);
    for (int i = 1; i < TRIES && best.delayed > DISTURBED; i++) {
        struct measurement again = take_turn(bench, party);
        best = again.delayed < best.delayed ? again : best;
    }
    party->per_second[round] = best.per_second;
    party->per_busy_second[round] = best.per_busy_second;
    party->disturbed += best.delayed > DISTURBED;
}

int crew_contest(struct bench *bench, struct party *parties, size_t count) {
    bench->crew = bench->crew != NULL ? bench->crew : crew_create();
    if (bench->crew == NULL) {
        return bench_fail(bench, "no threads");
    }
    for (unsigned round = 0; round < bench->rounds; round++) {
        bench_progress(bench, "round %u of %u", round + 1, bench->rounds);
        for (size_t i = 0; i < count; i++) {
            least_disturbed(bench, &parties[(round + i) % count], round);
        }
    }
    bench_progress_end(bench);
    unsigned disturbed = 0;
    for (size_t i = 0; i < count; i++) {
        disturbed += parties[i].disturbed;
        if (parties[i].wrong != 0) {
            return bench_fail(bench, "%llu operations of party %zu went wrong",
                              (unsigned long long)parties[i].wrong, i);
        }
    }
    if (disturbed > bench->rounds * count / 4) {
        report_note(bench, "in %u of %zu measurements threads waited for a processor",
                    disturbed, bench->rounds * count);
    }
    return 0;
}

/* ---- figures ---------------------------------------------------------------------------- */

struct figure party_time(const struct bench *bench, const struct party *party) {
    double ns[SAMPLE_MAX];
    for (unsigned i = 0; i < bench->rounds; i++) {
        ns[i] = 1e9 / party->per_busy_second[i];
    }
    return (struct figure){sample_median(ns, bench->rounds), sample_spread(ns, bench->rounds)};
}

struct figure party_throughput(const struct bench *bench, const struct party *party) {
    return (struct figure){sample_median(party->per_second, bench->rounds) / 1e6,
                           sample_spread(party->per_second, bench->rounds)};
}

struct figure party_scaling(const struct bench *bench, const struct party *many,
                            const struct party *one) {
    double times[SAMPLE_MAX];
    for (unsigned i = 0; i < bench->rounds; i++) {
        times[i] = many->per_busy_second[i] / one->per_busy_second[i];
    }
    return (struct figure){sample_median(times, bench->rounds),
                           sample_spread(times, bench->rounds)};
}
