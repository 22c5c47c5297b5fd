/* SPDX-License-Identifier: Apache-2.0 */
/* The hot tier through the full public API: expiry checks, early-expiry comparison and statistics
 * are on. Here the cases that read; local_writes.c has those that write. */
#include "hearth-bench/local.h"

#include <stdlib.h>

enum {
    LARGE_KEYS = 1000000,
    LARGE_KEYS_QUICK = 250000, /* more than a processor's own caches hold */
    SMALL_KEYS = 50000,
    /* Requests of a thread before its sequence begins anew. */
    LARGE_REQUESTS = 1 << 20,
    LARGE_REQUESTS_QUICK = 1 << 18,
    SMALL_REQUESTS = 1 << 19,
    /* What a key takes in a plain array. */
    PLACE_BYTES = 128,
    /* What it has in a tier that is made for it, as one is that is in use: 136 and its share of the index, and so much more that
     * nothing is evicted for its room. In an ample tier each key would have a line of the index of its own, which leaves less
     * of a processor's cache to values. */
    ENTRY_BYTES = 208,
    COPIED_BYTES = 256 << 20,
    COPIED_BYTES_QUICK = 32 << 20,
};

/* ---- the stages ------------------------------------------------------------------------- */

static int stage_order(struct stage *stage, const struct bench *bench) {
    size_t large = bench->quick ? LARGE_REQUESTS_QUICK : LARGE_REQUESTS;
    size_t requests = stage->keys == 1            ? CREW_BATCH
                      : stage->keys == SMALL_KEYS ? SMALL_REQUESTS
                                                  : large;
    if (stage->order.requests != NULL ||
        order_create_zipf(&stage->order, stage->keys, requests, bench->seed) == 0) {
        return 0;
    }
    return bench_fail(bench, "no memory");
}

int stage_ours(struct stage *stage, const struct bench *bench) {
    if (stage->ours.cache != NULL) {
        return 0;
    }
    const struct ours_settings settings = {
        .max_bytes = (size_t)stage->keys * ENTRY_BYTES + (2U << 20),
        .value_size = VALUE_SIZE,
        .order = &stage->order,
    };
    if (stage_order(stage, bench) != 0 || ours_open(&stage->ours, bench, &settings) != 0) {
        return -1;
    }
    return ours_fill(&stage->ours, bench, stage->keys) == 0 &&
                   ours_verify(&stage->ours, bench, stage->keys, &stage->order) == 0
               ? 0
               : -1;
}

int stage_uthash(struct stage *stage, const struct bench *bench, enum uthash_hash hash) {
    if (stage->uthash[hash] != NULL) {
        return 0;
    }
    if (stage_order(stage, bench) != 0) {
        return -1;
    }
    stage->uthash[hash] = uthash_create(stage->keys, hash, &stage->order, bench->seed);
    return stage->uthash[hash] != NULL ? 0 : bench_fail(bench, "no memory");
}

int stage_sharded(struct stage *stage, const struct bench *bench) {
    if (stage->sharded != NULL) {
        return 0;
    }
    if (stage_order(stage, bench) != 0) {
        return -1;
    }
    /* It evicts nothing either. */
    stage->sharded = sharded_create(stage->keys * 2 + 64, &stage->order);
    uint32_t *ids = insertion_order(stage->keys, bench->seed);
    int failed = stage->sharded == NULL || ids == NULL;
    for (uint32_t i = 0; !failed && i < stage->keys; i++) {
        failed = sharded_put(stage->sharded, ids[i]);
    }
    free(ids);
    return failed ? bench_fail(bench, "no memory") : 0;
}

int stage_machine(struct stage *stage, const struct bench *bench) {
    if (stage->machine == NULL) {
        size_t bytes = (size_t)stage->keys * PLACE_BYTES;
        stage->machine = machine_create(bytes, PLACE_BYTES, PAGES_PLAIN, NULL);
    }
    return stage->machine != NULL ? 0 : bench_fail(bench, "no memory");
}

struct party stage_party(const struct stage *stage, party_run *run, void *arg,
                         unsigned threads) {
    return (struct party){
        .run = run, .arg = arg, .threads = threads, .places = stage->order.per_thread};
}

static void stage_close(struct stage *stage) {
    if (stage->ours.cache != NULL) {
        ours_close(&stage->ours);
    }
    uthash_destroy(stage->uthash[UTHASH_DEFAULT]);
    uthash_destroy(stage->uthash[UTHASH_XXH3]);
    sharded_destroy(stage->sharded);
    machine_destroy(stage->machine);
    order_destroy(&stage->order);
}

static void *local_open(struct bench *bench) {
    struct local *local = calloc(1, sizeof *local);
    if (local == NULL) {
        (void)bench_fail(bench, "no memory");
        return NULL;
    }
    local->one.keys = 1;
    local->small.keys = SMALL_KEYS;
    local->large.keys = bench->quick ? LARGE_KEYS_QUICK : LARGE_KEYS;
    return local;
}

static void local_close(void *arg) {
    struct local *local = arg;
    stage_close(&local->one);
    stage_close(&local->small);
    stage_close(&local->large);
    free(local);
}

/* ---- one thread ------------------------------------------------------------------------- */

static int get_1t(struct bench *bench, struct stage *stage) {
    if (stage_ours(stage, bench) != 0 || stage_uthash(stage, bench, UTHASH_DEFAULT) != 0 ||
        stage_uthash(stage, bench, UTHASH_XXH3) != 0 || stage_sharded(stage, bench) != 0) {
        return -1;
    }
    struct party parties[] = {
        stage_party(stage, ours_get, &stage->ours, 1),
        stage_party(stage, uthash_get, stage->uthash[UTHASH_DEFAULT], 1),
        stage_party(stage, uthash_get, stage->uthash[UTHASH_XXH3], 1),
        stage_party(stage, sharded_get, stage->sharded, 1),
    };
    if (ours_contest(&stage->ours, bench, parties, 4, 0) != 0) {
        return -1;
    }
    struct figure ours = party_time(bench, &parties[0]);
    bench_row(bench, "time", "ns", ours, "uthash", party_time(bench, &parties[1]));
    bench_row(bench, "time", "ns", ours, "uthash-xxh3", party_time(bench, &parties[2]));
    bench_row(bench, "time", "ns", ours, "sharded-lru", party_time(bench, &parties[3]));
    return 0;
}

static int get_1m_1t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return get_1t(bench, &local->large);
}

static int get_50k_1t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return get_1t(bench, &local->small);
}

/* Another way to read, beside hearth_get() of the same keys. */
static int against_get(struct bench *bench, struct stage *stage, party_run *run) {
    if (stage_ours(stage, bench) != 0) {
        return -1;
    }
    struct party parties[] = {
        stage_party(stage, run, &stage->ours, 1),
        stage_party(stage, ours_get, &stage->ours, 1),
    };
    if (ours_contest(&stage->ours, bench, parties, 2, 0) != 0) {
        return -1;
    }
    bench_row(bench, "time", "ns/key", party_time(bench, &parties[0]), "get-1m-1t",
              party_time(bench, &parties[1]));
    return 0;
}

static int fetch_1m_1t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return against_get(bench, &local->large, ours_fetch);
}

static int get_with_1m_1t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return against_get(bench, &local->large, ours_get_with);
}

static int get_many16_1m_1t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return against_get(bench, &local->large, ours_get_many);
}

/* ---- two threads ------------------------------------------------------------------------ */

/* `loop` tells what two threads of this machine can be at most. */
static int get_2t(struct bench *bench, struct stage *stage, party_run *loop, const char *name) {
    if (stage_ours(stage, bench) != 0 || stage_sharded(stage, bench) != 0 ||
        stage_machine(stage, bench) != 0) {
        return -1;
    }
    struct party parties[] = {
        stage_party(stage, ours_get, &stage->ours, 2),
        stage_party(stage, ours_get, &stage->ours, 1),
        stage_party(stage, loop, stage->machine, 2),
        stage_party(stage, loop, stage->machine, 1),
        stage_party(stage, sharded_get, stage->sharded, 2),
    };
    if (ours_contest(&stage->ours, bench, parties, 5, 0) != 0) {
        return -1;
    }
    struct figure ours = party_throughput(bench, &parties[0]);
    bench_row(bench, "throughput", "Mops/s", ours, "sharded-lru",
              party_throughput(bench, &parties[4]));
    bench_row(bench, "throughput", "Mops/s", ours, "self-1t",
              party_throughput(bench, &parties[1]));
    bench_row(bench, "scaling", "times", party_scaling(bench, &parties[0], &parties[1]), name,
              party_scaling(bench, &parties[2], &parties[3]));
    return 0;
}

static int get_1m_2t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return get_2t(bench, &local->large, machine_random_read, "random-read");
}

static int get_50k_2t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return get_2t(bench, &local->small, machine_random_read, "random-read");
}

static int one_key_2t(struct bench *bench, void *arg) {
    struct local *local = arg;
    return get_2t(bench, &local->one, machine_alu, "alu");
}

/* ---- larger values ---------------------------------------------------------------------- */

static int contest_copies(struct bench *bench, struct ours *ours,
                          struct machine *const machines[2]) {
    struct party parties[3];
    for (size_t i = 0; i < 3; i++) {
        parties[i] = (struct party){.run = i == 0 ? ours_get : machine_memcpy,
                                    .threads = 1,
                                    .places = ours->order->per_thread};
        parties[i].arg = i == 0 ? (void *)ours : (void *)machines[i - 1];
    }
    if (ours_contest(ours, bench, parties, 3, 0) != 0) {
        return -1;
    }
    struct figure get = party_time(bench, &parties[0]);
    bench_row(bench, "time", "ns", get, "memcpy", party_time(bench, &parties[1]));
    bench_row(bench, "time", "ns", get, "memcpy-huge", party_time(bench, &parties[2]));
    return 0;
}

static int get_copied(struct bench *bench, size_t value_size) {
    size_t bytes = bench->quick ? COPIED_BYTES_QUICK : COPIED_BYTES;
    uint32_t keys = (uint32_t)(bytes / value_size);
    struct order order = {0};
    /* A quarter more than the values: nothing is evicted for its room. */
    const struct ours_settings settings = {.max_bytes = bytes + bytes / 4,
                                           .value_size = value_size,
                                           .expected_entry_bytes = value_size,
                                           .order = &order};
    struct ours ours = {0};
    struct machine *machines[2] = {NULL, NULL};
    int result = order_create_uniform(&order, keys, SMALL_REQUESTS, bench->seed);
    if (result == 0) {
        machines[0] = machine_create(bytes, value_size, PAGES_PLAIN, &order);
        machines[1] = machine_create(bytes, value_size, PAGES_HUGE, &order);
    }
    if (machines[0] == NULL || machines[1] == NULL) {
        result = bench_fail(bench, "no memory");
    } else if (ours_open(&ours, bench, &settings) != 0 || ours_fill(&ours, bench, keys) != 0 ||
               ours_verify(&ours, bench, keys, &order) != 0) {
        result = -1;
    } else {
        result = contest_copies(bench, &ours, machines);
    }
    ours_close(&ours);
    machine_destroy(machines[0]);
    machine_destroy(machines[1]);
    order_destroy(&order);
    return result;
}

static int get_1k_1t(struct bench *bench, void *arg) {
    (void)arg;
    return get_copied(bench, 1024);
}

static int get_16k_1t(struct bench *bench, void *arg) {
    (void)arg;
    return get_copied(bench, 16384);
}

/* ---- the suite -------------------------------------------------------------------------- */

static const struct bench_case cases[] = {
    {"get-1m-1t", "hearth_get of 1,000,000 keys, one thread", get_1m_1t},
    {"get-50k-1t", "the same of 50,000 keys", get_50k_1t},
    {"fetch-1m-1t", "hearth_fetch that hits", fetch_1m_1t},
    {"get-with-1m-1t", "hearth_get_with, whose sink makes nothing of the value",
     get_with_1m_1t},
    {"get-1m-2t", "two threads on one cache", get_1m_2t},
    {"get-50k-2t", "the same of 50,000 keys", get_50k_2t},
    {"one-key-2t", "two threads that want the same key", one_key_2t},
    {"get-many16-1m-1t", "hearth_get_many of 16 keys a call", get_many16_1m_1t},
    {"set-evict-1t", "sets of new keys in a full tier of 64 MiB", local_set_evict_1t},
    {"set-evict-2t", "the same by two threads", local_set_evict_2t},
    {"set-overwrite-2t", "sets of 1,000,000 keys that are there", local_set_overwrite_2t},
    {"mixed95-1m-2t", "95 % gets, 5 % sets", local_mixed95_2t},
    {"get-1k-1t", "values of 1 KiB, at random in 256 MiB", get_1k_1t},
    {"get-16k-1t", "values of 16 KiB, at random in 256 MiB", get_16k_1t},
    {"set-slowest-1m-1t", "the slowest single set, all entries hit 3 times before",
     local_slowest_set},
};

const struct suite suite_local = {
    .name = "local",
    .what = "the local tier: values of 100 bytes, popularity by Zipf's law (0.99), hits only",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
    .open = local_open,
    .close = local_close,
};
