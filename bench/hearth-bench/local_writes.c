/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `local`: the cases that write. */
#include "hearth-bench/local.h"

#include <stdlib.h>
#include <time.h>

enum {
    EVICT_LIMIT = 64 << 20,
    EVICT_LIMIT_QUICK = 8 << 20,
    EVICT_REQUESTS = 1 << 21, /* of a thread: more new keys than the tier holds */
    EVICT_REQUESTS_QUICK = 1 << 18,
    TRIAL_LIMIT = 16 << 20,
    TRIAL_KEYS = 1 << 18,
    SLOWEST_KEYS = 1000000,
    SLOWEST_KEYS_QUICK = 100000,
    SLOWEST_HITS = 3,
    SLOWEST_SETS = 5000, /* a round; entries keep their marks meanwhile */
};

/* ---- new keys in a full tier ------------------------------------------------------------ */

/* The peer holds as many entries as the full tier does, and is as full. */
static struct sharded_lru *sharded_like(const struct ours *ours, const struct order *order) {
    uint32_t unasked = 2 * (uint32_t)order->per_thread; /* keys of no request */
    uint32_t capacity = (uint32_t)ours_stats(ours).local_entries;
    struct sharded_lru *lru = sharded_create(capacity, order);
    for (uint32_t i = 0; lru != NULL && i < 2 * capacity; i++) {
        if (sharded_put(lru, unasked + i) != 0) {
            sharded_destroy(lru);
            return NULL;
        }
    }
    return lru;
}

static int contest_evictions(struct bench *bench, struct ours *ours, struct sharded_lru *lru,
                             unsigned threads) {
    struct party parties[] = {
        {.run = ours_set, .arg = ours, .threads = threads, .places = ours->order->per_thread},
        {.run = sharded_set, .arg = lru, .threads = threads, .places = ours->order->per_thread},
    };
    uint64_t before = ours_stats(ours).local_evictions;
    if (crew_contest(bench, parties, 2) != 0) {
        return -1;
    }
    uint64_t evicted = ours_stats(ours).local_evictions - before;
    if (evicted < parties[0].operations / 10 * 9) {
        return bench_fail(bench, "%llu sets evicted only %llu entries",
                          (unsigned long long)parties[0].operations,
                          (unsigned long long)evicted);
    }
    bench_row(bench, "throughput", "Mops/s", party_throughput(bench, &parties[0]),
              "sharded-lru", party_throughput(bench, &parties[1]));
    return 0;
}

static int set_evict(struct bench *bench, unsigned threads) {
    struct order order = {0};
    struct ours ours = {0};
    const struct ours_settings settings = {.max_bytes =
                                               bench->quick ? EVICT_LIMIT_QUICK : EVICT_LIMIT,
                                           .value_size = VALUE_SIZE,
                                           .order = &order};
    uint32_t requests = bench->quick ? EVICT_REQUESTS_QUICK : EVICT_REQUESTS;
    struct sharded_lru *lru = NULL;
    int result = -1;
    if (order_create_once(&order, requests, bench->seed) != 0) {
        result = bench_fail(bench, "no memory");
    } else if (ours_open(&ours, bench, &settings) == 0 &&
               ours_fill(&ours, bench, requests) == 0) {
        lru = sharded_like(&ours, &order);
        result = lru != NULL ? contest_evictions(bench, &ours, lru, threads)
                             : bench_fail(bench, "no memory");
    }
    ours_close(&ours);
    sharded_destroy(lru);
    order_destroy(&order);
    return result;
}

int local_set_evict_1t(struct bench *bench, void *arg) {
    (void)arg;
    return set_evict(bench, 1);
}

int local_set_evict_2t(struct bench *bench, void *arg) {
    (void)arg;
    return set_evict(bench, 2);
}

/* ---- keys that are there ---------------------------------------------------------------- */

static int prepare(struct stage *stage, struct bench *bench) {
    return stage_ours(stage, bench) != 0 || stage_sharded(stage, bench) != 0 ? -1 : 0;
}

static void row_throughput(struct bench *bench, const struct party *parties) {
    bench_row(bench, "throughput", "Mops/s", party_throughput(bench, &parties[0]),
              "sharded-lru", party_throughput(bench, &parties[1]));
}

int local_set_overwrite_2t(struct bench *bench, void *arg) {
    struct stage *stage = &((struct local *)arg)->large;
    if (prepare(stage, bench) != 0) {
        return -1;
    }
    struct party parties[] = {
        stage_party(stage, ours_set, &stage->ours, 2),
        stage_party(stage, sharded_set, stage->sharded, 2),
    };
    if (crew_contest(bench, parties, 2) != 0 || ours_repair(&stage->ours, bench) != 0) {
        return -1;
    }
    row_throughput(bench, parties);
    return 0;
}

int local_mixed95_2t(struct bench *bench, void *arg) {
    struct stage *stage = &((struct local *)arg)->large;
    if (prepare(stage, bench) != 0) {
        return -1;
    }
    struct party parties[] = {
        stage_party(stage, ours_mixed, &stage->ours, 2),
        stage_party(stage, sharded_mixed, stage->sharded, 2),
    };
    if (ours_contest(&stage->ours, bench, parties, 2, 1000) != 0 ||
        ours_repair(&stage->ours, bench) != 0) {
        return -1;
    }
    row_throughput(bench, parties);
    return 0;
}

/* ---- the slowest set -------------------------------------------------------------------- */

/* Either side of this case: it holds some of the keys below `next`; which ones is its policy's choice. */
struct holder {
    void *cache;
    int (*put)(void *cache, uint32_t id);
    bool (*find)(void *cache, uint32_t id);
    uint32_t entries; /* as many as it is to hold */
    uint32_t next;
    double slowest_us[SAMPLE_MAX];
};

static int put_ours(void *cache, uint32_t id) {
    return ours_put(cache, id) == HEARTH_OK ? 0 : -1;
}

static bool find_ours(void *cache, uint32_t id) {
    return ours_find(cache, id);
}

static int put_sharded(void *cache, uint32_t id) {
    return sharded_put(cache, id);
}

static bool find_sharded(void *cache, uint32_t id) {
    unsigned char value[VALUE_SIZE];
    return sharded_find(cache, id, value);
}

/* What others do on this processor is not this set's time. */
static double thread_cpu_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Hits every entry three times: 0, or -1 when too few are there. */
static int hit_all(struct holder *holder) {
    uint32_t hits = 0;
    for (int pass = 0; pass < SLOWEST_HITS; pass++) {
        for (uint32_t id = 0; id < holder->next; id++) {
            hits += holder->find(holder->cache, id);
        }
    }
    return hits < SLOWEST_HITS * (holder->entries / 10 * 9) ? -1 : 0;
}

/* Sets new keys and times each. */
static int slowest_round(struct holder *holder, unsigned round) {
    double slowest_us = 0;
    int failed = 0;
    for (uint32_t i = 0; i < SLOWEST_SETS; i++) {
        double before_us = thread_cpu_us();
        failed |= holder->put(holder->cache, holder->next++);
        double took_us = thread_cpu_us() - before_us;
        slowest_us = took_us > slowest_us ? took_us : slowest_us;
    }
    holder->slowest_us[round] = slowest_us;
    return failed;
}

static void row_slowest(struct bench *bench, const struct holder *holders) {
    struct figure medians[2];
    struct figure most[2];
    for (size_t i = 0; i < 2; i++) {
        const double *slowest_us = holders[i].slowest_us;
        medians[i] = (struct figure){sample_median(slowest_us, bench->rounds),
                                     sample_spread(slowest_us, bench->rounds)};
        most[i] = (struct figure){sample_max(slowest_us, bench->rounds), -1};
    }
    bench_row(bench, "cpu-time", "us", medians[0], "sharded-lru", medians[1]);
    bench_row(bench, "cpu-time-max", "us", most[0], "sharded-lru", most[1]);
}

static int contest_slowest(struct bench *bench, struct holder *holders) {
    if (hit_all(&holders[0]) != 0 || hit_all(&holders[1]) != 0) {
        return bench_fail(bench, "less than nine tenths of %u entries live",
                          (unsigned)holders[0].entries);
    }
    for (unsigned round = 0; round < bench->rounds; round++) {
        bench_progress(bench, "round %u of %u", round + 1, bench->rounds);
        if (slowest_round(&holders[0], round) != 0 || slowest_round(&holders[1], round) != 0) {
            return bench_fail(bench, "a set failed");
        }
    }
    bench_progress_end(bench);
    row_slowest(bench, holders);
    return 0;
}

/* The limit with which a tier holds so many entries, as a smaller one tells. 0: failed. */
static size_t limit_for(struct bench *bench, uint32_t wanted) {
    struct ours trial = {0};
    const struct ours_settings settings = {.max_bytes = TRIAL_LIMIT, .value_size = VALUE_SIZE};
    size_t limit = 0;
    if (ours_open(&trial, bench, &settings) == 0 &&
        ours_fill(&trial, bench, TRIAL_KEYS) == 0) { /* more than it can hold */
        double entries = (double)ours_stats(&trial).local_entries;
        limit = (size_t)(TRIAL_LIMIT / entries * wanted * 1.02);
    }
    ours_close(&trial);
    return limit;
}

int local_slowest_set(struct bench *bench, void *arg) {
    (void)arg;
    struct ours ours = {0};
    uint32_t entries = bench->quick ? SLOWEST_KEYS_QUICK : SLOWEST_KEYS;
    uint32_t filled = entries + entries / 4;
    struct sharded_lru *lru = sharded_create(entries, NULL);
    const struct ours_settings settings = {.max_bytes = limit_for(bench, entries),
                                           .value_size = VALUE_SIZE};
    int result = -1;
    if (lru != NULL && settings.max_bytes != 0 && ours_open(&ours, bench, &settings) == 0) {
        struct holder holders[] = {
            {.cache = &ours, .put = put_ours, .find = find_ours},
            {.cache = lru, .put = put_sharded, .find = find_sharded},
        };
        for (size_t i = 0; i < 2; i++) {
            holders[i].entries = entries;
            holders[i].next = filled;
        }
        result = 0;
        for (uint32_t id = 0; id < filled; id++) {
            result |= put_ours(&ours, id) | put_sharded(lru, id);
        }
        result =
            result == 0 ? contest_slowest(bench, holders) : bench_fail(bench, "set failed");
    }
    ours_close(&ours);
    sharded_destroy(lru);
    return result;
}
