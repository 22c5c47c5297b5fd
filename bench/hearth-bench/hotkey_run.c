/* SPDX-License-Identifier: Apache-2.0 */
/* One mode's run in the suite `hotkey`: its processes and threads, and what is seen of them and of the nodes meanwhile. */
#include "hearth-bench/hotkey.h"
#include "hearth-bench/hotkey_remote.h"

#include "base/clock.h"
#include "node_meter.h"
#include "sample.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WHY_BYTES = 256, START_MS = 20, QUICK_TICKS = 40 };

/* What all processes see. */
struct arena {
    _Atomic unsigned ready;
    _Atomic unsigned failed;
    _Atomic int64_t begin_ns; /* 0: not yet */
    _Atomic uint64_t loads;
    _Atomic uint64_t entries;
    char why[WHY_BYTES];
    struct generator_seat seats[];
};

struct run {
    struct bench *bench;
    const struct hotkey_scene *scene;
    enum hotkey_mode mode;
    struct arena *arena;
    size_t arena_bytes;
    struct node_meter *meter; /* NULL for the origin */
    pid_t pids[HOTKEY_PROCESSES];
    unsigned processes;
    size_t ticks;
    size_t event_tick;
    double tick_s;
};

static unsigned all_threads(const struct run *run) {
    return run->scene->settings.threads * run->scene->settings.processes;
}

static void sleep_ms(int64_t ms) {
    const struct timespec length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&length, NULL);
}

static int64_t at_tick(const struct run *run, size_t tick) {
    return atomic_load(&run->arena->begin_ns) + (int64_t)((double)tick * run->tick_s * 1e9);
}

/* ---- a process --------------------------------------------------------------------------- */

/* Its clients and threads, from when it is told to begin. */
struct worker {
    struct hotkey_client *client;
    struct generator generator;
};

static int open_worker(const struct run *run, struct worker *worker) {
    struct arena *arena = run->arena;
    worker->client =
        hotkey_client_open(run->scene, run->mode, &arena->loads, arena->why, sizeof arena->why);
    atomic_fetch_add(worker->client != NULL ? &arena->ready : &arena->failed, 1);
    return worker->client != NULL ? 0 : -1;
}

static int start_worker(const struct run *run, struct worker *worker, unsigned process) {
    const struct hotkey_settings *settings = &run->scene->settings;
    struct generator *generator = &worker->generator;
    *generator = (struct generator){
        .ask = hotkey_client_ask(run->mode),
        .arg = worker->client,
        .threads = settings->threads,
        .first = process * settings->threads,
        .rate = settings->rate / settings->processes,
        .seed = run->scene->seed,
        .seats = &run->arena->seats[(size_t)process * settings->threads],
        .begin_ns = atomic_load(&run->arena->begin_ns),
        .from_ns = at_tick(run, run->event_tick),
        .until_ns = at_tick(run, run->ticks),
    };
    return generator_start(generator);
}

static void end_worker(const struct run *run, struct worker *worker) {
    atomic_fetch_add(&run->arena->entries, hotkey_client_entries(worker->client));
    hotkey_client_close(worker->client);
}

static _Noreturn void be_process(const struct run *run, unsigned process) {
    struct worker *worker = calloc(1, sizeof *worker);
    pid_t parent = getppid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (worker == NULL || open_worker(run, worker) != 0) {
        _exit(EXIT_FAILURE);
    }
    while (atomic_load(&run->arena->begin_ns) == 0) {
        if (getppid() != parent) {
            _exit(EXIT_FAILURE);
        }
        sleep_ms(1);
    }
    if (start_worker(run, worker, process) != 0) {
        _exit(EXIT_FAILURE);
    }
    generator_join(&worker->generator);
    end_worker(run, worker);
    _exit(EXIT_SUCCESS);
}

/* ---- what is seen ------------------------------------------------------------------------ */

struct sight {
    int64_t at_ns;
    uint64_t answers[GENERATOR_ANSWERS];
    uint64_t loads;
    int64_t client_ns; /* processor time */
    struct node_reading nodes[HOTKEY_NODES];
};

static int64_t client_ns(const struct run *run) {
    int64_t sum = 0;
    for (unsigned i = 0; i < run->processes; i++) {
        struct timespec used = {0, 0};
        clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
        if (run->pids[i] == 0 || clock_getcpuclockid(run->pids[i], &clock) == 0) {
            (void)clock_gettime(clock, &used);
        }
        sum += (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
    }
    return sum;
}

/* What is not known is as it was. */
static void look(const struct run *run, struct sight *sight, const struct sight *before) {
    struct node_reading nodes[NODE_METER_NODES];
    memset(sight, 0, sizeof *sight);
    for (unsigned i = 0; i < all_threads(run); i++) {
        for (size_t answer = 0; answer < GENERATOR_ANSWERS; answer++) {
            sight->answers[answer] += atomic_load_explicit(
                &run->arena->seats[i].answers[answer], memory_order_relaxed);
        }
    }
    sight->loads = atomic_load(&run->arena->loads);
    sight->client_ns = client_ns(run);
    sight->at_ns = hearth__monotonic_ns();
    if (run->meter != NULL) {
        node_meter_read(run->meter, nodes);
        for (size_t i = 0; i < run->scene->url.count; i++) {
            sight->nodes[i] = nodes[i].is_known || before == NULL ? nodes[i] : before->nodes[i];
        }
    }
}

static uint64_t requests_of(const struct sight *sight) {
    uint64_t sum = 0;
    for (size_t i = 0; i < GENERATOR_ANSWERS; i++) {
        sum += sight->answers[i];
    }
    return sum;
}

/* What came between two looks, as the outcome's next tick. */
static void note_tick(const struct run *run, struct hotkey_outcome *outcome,
                      const struct sight *before, const struct sight *now) {
    size_t tick = outcome->ticks++;
    double seconds = (double)(now->at_ns - before->at_ns) / 1e9;
    double requests = (double)(requests_of(now) - requests_of(before));
    outcome->at_s[tick] = (double)(now->at_ns - atomic_load(&run->arena->begin_ns)) / 1e9;
    outcome->rate[tick] = requests / seconds;
    outcome->loads[tick] = (double)(now->loads - before->loads) / seconds;
    for (size_t i = 0; i < GENERATOR_ANSWERS; i++) {
        double answers = (double)(now->answers[i] - before->answers[i]);
        outcome->shares[i][tick] = requests > 0 ? answers / requests : 0;
    }
    for (size_t i = 0; run->meter != NULL && i < run->scene->url.count; i++) {
        double commands = (double)(now->nodes[i].commands - before->nodes[i].commands);
        outcome->nodes[i][tick] = commands > 0 ? commands / seconds : 0;
    }
}

static void note_window(const struct run *run, struct hotkey_outcome *outcome,
                        const struct sight *from, const struct sight *until) {
    outcome->seconds = (double)(until->at_ns - from->at_ns) / 1e9;
    outcome->requests = (double)(requests_of(until) - requests_of(from));
    outcome->per_second = outcome->requests / outcome->seconds;
    outcome->spread =
        sample_spread(outcome->rate + run->event_tick, outcome->ticks - run->event_tick);
    outcome->loaded = (double)(until->loads - from->loads);
    outcome->client_us = (double)(until->client_ns - from->client_ns) / 1e3;
    outcome->wrong = until->answers[GENERATOR_WRONG];
    outcome->knows_nodes = run->meter != NULL;
    for (size_t i = 0; i < GENERATOR_ANSWERS; i++) {
        outcome->answers[i] = (double)(until->answers[i] - from->answers[i]);
    }
    for (size_t i = 0; run->meter != NULL && i < run->scene->url.count; i++) {
        const struct node_reading *begin = &from->nodes[i];
        const struct node_reading *end = &until->nodes[i];
        outcome->knows_nodes = outcome->knows_nodes && begin->is_known && end->is_known;
        outcome->commands[i] = (double)(end->commands - begin->commands);
        outcome->bytes += (double)(end->bytes - begin->bytes);
        outcome->server_us += (double)(end->cpu_us - begin->cpu_us);
    }
}

static void watch(const struct run *run, struct hotkey_outcome *outcome) {
    struct sight from = {0};
    struct sight before;
    struct sight now;
    const char *name = hotkey_mode_name(run->scene, run->mode);
    look(run, &before, NULL);
    now = before;
    for (size_t tick = 0; tick < run->ticks && !hotkey_is_interrupted(); tick++) {
        if (tick == run->event_tick) {
            from = before;
        }
        int64_t left_ns = at_tick(run, tick + 1) - hearth__monotonic_ns();
        if (left_ns > 0) {
            sleep_ms(left_ns / 1000000);
        }
        look(run, &now, &before);
        note_tick(run, outcome, &before, &now);
        bench_progress(run->bench, "%s, %.0f s left", name,
                       (double)(run->ticks - tick - 1) * run->tick_s);
        before = now;
    }
    note_window(run, outcome, &from, &now);
}

/* ---- the run ----------------------------------------------------------------------------- */

static int fail_clients(const struct run *run) {
    return bench_fail(run->bench, "%s: %s", hotkey_mode_name(run->scene, run->mode),
                      run->arena->why[0] != '\0' ? run->arena->why : "a process did not start");
}

static void begin(const struct run *run) {
    atomic_store(&run->arena->begin_ns, hearth__monotonic_ns() + START_MS * INT64_C(1000000));
    sleep_ms(START_MS);
}

static int run_here(struct run *run, struct hotkey_outcome *outcome) {
    struct worker *worker = calloc(1, sizeof *worker);
    int result = -1;
    if (worker == NULL) {
        return bench_fail(run->bench, "no memory");
    }
    if (open_worker(run, worker) != 0) {
        result = fail_clients(run);
    } else {
        begin(run);
        result = start_worker(run, worker, 0) == 0 ? 0 : bench_fail(run->bench, "no threads");
        if (result == 0) {
            watch(run, outcome);
            if (hotkey_is_interrupted()) {
                atomic_store(&worker->generator.until_ns, 0);
                result = bench_fail(run->bench, "interrupted");
            }
            generator_join(&worker->generator);
        }
        end_worker(run, worker);
    }
    free(worker);
    return result;
}

/* Those that were started; a failed one ends by itself. */
static int await_ready(const struct run *run, unsigned started) {
    while (atomic_load(&run->arena->ready) + atomic_load(&run->arena->failed) < started) {
        sleep_ms(1);
    }
    return started == run->processes && atomic_load(&run->arena->failed) == 0
               ? 0
               : fail_clients(run);
}

static int run_processes(struct run *run, struct hotkey_outcome *outcome) {
    unsigned started = 0;
    (void)fflush(NULL); /* or a child would write it again */
    for (; started < run->processes; started++) {
        pid_t pid = fork();
        if (pid == 0) {
            be_process(run, started);
        }
        if (pid < 0) {
            break;
        }
        run->pids[started] = pid;
    }
    int result = await_ready(run, started);
    if (result == 0) {
        begin(run);
        watch(run, outcome);
        if (hotkey_is_interrupted()) {
            result = bench_fail(run->bench, "interrupted");
        }
    } else {
        atomic_store(&run->arena->begin_ns, 1); /* long over: they end at once */
    }
    for (unsigned i = 0; i < started; i++) {
        int status = 0;
        if (hotkey_is_interrupted()) {
            (void)kill(run->pids[i], SIGKILL);
        }
        (void)waitpid(run->pids[i], &status, 0);
        if (result == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)) {
            result = bench_fail(run->bench, "a process broke off");
        }
    }
    return result;
}

static int merge(const struct run *run, struct hotkey_outcome *outcome) {
    outcome->latency = calloc(1, sizeof *outcome->latency);
    if (outcome->latency == NULL) {
        return bench_fail(run->bench, "no memory");
    }
    for (unsigned i = 0; i < all_threads(run); i++) {
        latency_merge(outcome->latency, &run->arena->seats[i].latency);
        outcome->unbegun += run->arena->seats[i].unbegun;
    }
    outcome->entries = atomic_load(&run->arena->entries);
    return 0;
}

static int open_run(struct run *run) {
    char why[WHY_BYTES];
    const struct hotkey_settings *settings = &run->scene->settings;
    run->processes = settings->processes;
    run->ticks = run->bench->quick ? QUICK_TICKS : HOTKEY_TICKS;
    run->tick_s = settings->seconds / (double)run->ticks;
    run->event_tick = (size_t)(settings->at_s / run->tick_s + 0.5);
    run->arena_bytes =
        sizeof *run->arena + all_threads(run) * sizeof(struct generator_seat) + 64;
    run->arena =
        mmap(NULL, run->arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->arena == MAP_FAILED) {
        run->arena = NULL;
        (void)bench_fail(run->bench, "no memory");
        return -1;
    }
    if (run->mode != HOTKEY_ORIGIN) {
        run->meter = node_meter_open(&run->scene->url, why, sizeof why);
        return run->meter != NULL ? 0 : bench_fail(run->bench, "%s", why);
    }
    return 0;
}

int hotkey_run(struct bench *bench, const struct hotkey_scene *scene, enum hotkey_mode mode,
               struct hotkey_outcome *outcome) {
    struct run run = {.bench = bench, .scene = scene, .mode = mode};
    memset(outcome, 0, sizeof *outcome);
    outcome->mode = mode;
    int result = open_run(&run);
    if (result == 0) {
        result = scene->settings.processes == 1 ? run_here(&run, outcome)
                                                : run_processes(&run, outcome);
        bench_progress_end(bench);
    }
    if (result == 0) {
        result = merge(&run, outcome);
    }
    node_meter_close(run.meter);
    if (run.arena != NULL) {
        (void)munmap(run.arena, run.arena_bytes);
    }
    return result;
}

void hotkey_outcome_fini(struct hotkey_outcome *outcome) {
    free(outcome->latency);
    outcome->latency = NULL;
}
