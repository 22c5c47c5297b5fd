/* SPDX-License-Identifier: Apache-2.0 */
/* The tier itself on the same requests: bytes, headers, shards and threads, beside the simulation by objects. */
#include "hearth-bench/crew.h"
#include "hearth-bench/hitratio.h"
#include "hearth-bench/report.h"

#include "simulation.h"

#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"

#include <hearth/errors.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 2,
    CAPACITY_LEAST = 2000, /* below, a tier of bytes is another thing than so many objects */
    NAME_SIZE = 8,
    BODY_SIZE = 100,
    ENTRY_BYTES = 16 + NAME_SIZE + 104, /* in a log */
    APART_MOST = 16,                    /* requests that a thread is ahead of another */
};

struct tier {
    hearth__local *local;
    hearth__seats *counters;
    const struct requests *requests;
    struct hand {
        struct tier *tier;
        size_t index;
        _Atomic size_t at;
        uint64_t misses;
    } hands[THREADS];
};

/* The logs' bytes of a tier with this limit; 0: it cannot be opened. */
static uint64_t logs_bytes(struct tier *tier, const char *policy, size_t limit) {
    const hearth__local_config config = {.max_bytes = limit,
                                         .expected_entry_bytes = NAME_SIZE + BODY_SIZE,
                                         .policy = policy,
                                         .counters = tier->counters};
    uint64_t bytes = 0;
    hearth__local_close(tier->local);
    tier->local = NULL;
    if (hearth__local_open(&config, &tier->local) == HEARTH_OK) {
        for (size_t i = 0; i < tier->local->shard_count; i++) {
            bytes += tier->local->shards[i].logs[HEARTH__MAIN].end;
        }
    }
    return bytes;
}

/* Opens a tier whose logs hold so many entries. */
static int open_tier(struct tier *tier, const char *policy, uint64_t entries) {
    size_t low = 0;
    size_t high = entries * ENTRY_BYTES * 2 + (1 << 20);
    while (high - low > ENTRY_BYTES) {
        size_t middle = low + (high - low) / 2;
        if (logs_bytes(tier, policy, middle) < entries * ENTRY_BYTES) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return logs_bytes(tier, policy, high) != 0 ? 0 : -1;
}

static void request(struct hand *hand, uint64_t item, hearth__buffer *bytes) {
    static const char body[BODY_SIZE];
    static const hearth__local_entry everlasting = {.bare = true,
                                                    .soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                    .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    hearth__local *local = hand->tier->local;
    hearth__local_entry entry;
    if (hearth__local_get(local, &item, NAME_SIZE, 0, bytes, &entry) != HEARTH_OK) {
        hand->misses++;
        (void)hearth__local_put(local, &item, NAME_SIZE, &everlasting, body, BODY_SIZE);
    }
}

/* Waits until nobody is so far behind that the order of requests would be another. */
static void keep_together(struct hand *hand, size_t at) {
    atomic_store_explicit(&hand->at, at, memory_order_relaxed);
    for (size_t i = 0; i < THREADS; i++) {
        while (atomic_load_explicit(&hand->tier->hands[i].at, memory_order_relaxed) +
                   APART_MOST <
               at) {
            (void)sched_yield();
        }
    }
}

/* Each thread asks for its own keys: two that miss one key at once would be two misses. */
static void *replay(void *arg) {
    struct hand *hand = arg;
    const struct requests *requests = hand->tier->requests;
    hearth__buffer bytes = {0};
    for (size_t at = 0; at < requests->count; at++) {
        if (at % APART_MOST == 0) {
            keep_together(hand, at);
        }
        if (requests->items[at] % THREADS == hand->index) {
            request(hand, requests->items[at], &bytes);
        }
    }
    atomic_store(&hand->at, requests->count);
    hearth__buffer_fini(&bytes);
    return NULL;
}

/* Misses; -1: no threads. */
static int64_t replay_by_threads(struct tier *tier) {
    pthread_t threads[THREADS];
    int64_t misses = 0;
    size_t started = 0;
    for (size_t i = 0; i < THREADS; i++) {
        tier->hands[i].tier = tier;
        tier->hands[i].index = i;
    }
    while (started < THREADS &&
           pthread_create(&threads[started], NULL, replay, &tier->hands[started]) == 0) {
        started++;
    }
    for (size_t i = started; i < THREADS; i++) {
        atomic_store(&tier->hands[i].at, tier->requests->count);
    }
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
        misses += (int64_t)tier->hands[i].misses;
    }
    return started == THREADS ? misses : -1;
}

static int run_policy(struct bench *bench, const struct hitratio_load *load,
                      const hearth__policy *policy, uint64_t capacity) {
    struct tier tier = {.counters = hearth__seats_create(HEARTH__STATS),
                        .requests = &load->requests};
    struct simulation_outcome simulated = {0};
    int result = tier.counters != NULL ? open_tier(&tier, policy->name, capacity) : -1;
    bench_progress(bench, "%s, %s", load->name, policy->name);
    int64_t misses = result == 0 ? replay_by_threads(&tier) : -1;
    result = misses < 0 ? -1 : 0;
    if (result == 0) {
        result = simulate(policy, &load->requests,
                          &(struct simulation_size){.capacity = capacity}, &simulated);
    }
    bench_progress_end(bench);
    if (result == 0) {
        char metric[96];
        double all = (double)load->requests.count;
        (void)snprintf(metric, sizeof metric, "%s %s", policy->name, load->name);
        bench_row(bench, metric, "missed", (struct figure){(double)misses / all, -1},
                  "simulated", (struct figure){(double)simulated.misses / all, -1});
    }
    hearth__local_close(tier.local);
    hearth__seats_destroy(tier.counters);
    return result == 0 ? 0 : bench_fail(bench, "no memory, or no threads");
}

int hitratio_tier(struct bench *bench, void *stage) {
    const struct hitratio *suite = stage;
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    int result = 0;
    for (size_t i = 0; result == 0 && i < suite->count; i++) {
        const struct hitratio_load *load = &suite->loads[i];
        uint64_t capacity = hitratio_capacity(&load->requests, false, 0.1);
        if (capacity < CAPACITY_LEAST) {
            report_note(bench, "%s: %llu objects are too few", load->name,
                        (unsigned long long)capacity);
            continue;
        }
        for (size_t k = 0; result == 0 && k < count; k++) {
            result = run_policy(bench, load, policies[k], capacity);
        }
    }
    return result;
}
