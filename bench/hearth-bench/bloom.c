/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite `bloom`: the guard's filter beside what theory says of it, beside a read of memory, and beside a classic Bloom
 * filter.
 */
#include "hearth-bench/bloom.h"
#include "hearth-bench/report.h"
#include "hearth-bench/workload.h"

#include "base/hash.h"
#include "guard/guard.h"
#include "splitmix.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- the rate --------------------------------------------------------------------------- */

enum {
    RATE_KEYS = 10000000,
    RATE_KEYS_QUICK = 1000000,
    BLOCK_BITS = 256,
};

static uint64_t hash_of_key(uint32_t id) {
    char key[KEY_SIZE];
    key_write(key, id);
    return hearth__hash64(key, sizeof key);
}

/* How many of `count` keys from `first` on it may contain. */
static uint32_t count_yes(const hearth__bloom *filter, uint32_t first, uint32_t count) {
    uint32_t yes = 0;
    for (uint32_t i = 0; i < count; i++) {
        yes += hearth__bloom_may_contain(filter, hash_of_key(first + i));
    }
    return yes;
}

static int rate(struct bench *bench, uint32_t bits) {
    uint32_t keys = bench->quick ? RATE_KEYS_QUICK : RATE_KEYS;
    hearth__bloom *filter =
        hearth__bloom_create((uint32_t)((uint64_t)keys * bits / BLOCK_BITS));
    if (filter == NULL) {
        return bench_fail(bench, "no memory");
    }
    for (uint32_t i = 0; i < keys; i++) {
        (void)hearth__bloom_insert(filter, hash_of_key(i));
    }
    uint32_t lost = keys - count_yes(filter, 0, keys);
    double wrong = count_yes(filter, keys, keys);
    hearth__bloom_estimate estimate = hearth__bloom_estimate_of(filter);
    hearth__bloom_destroy(filter);
    if (lost != 0) {
        return bench_fail(bench, "%u keys that were inserted are denied", lost);
    }
    double theory = hearth__bloom_rate((double)BLOCK_BITS / bits) * 100;
    struct figure measured = {wrong / keys * 100, -1};
    bench_row(bench, "false positives", "%", measured, "theory", (struct figure){theory, -1});
    bench_row(bench, "estimate", "%", (struct figure){estimate.rate * 100, -1}, "measured",
              measured);
    return 0;
}

static int rate_8(struct bench *bench, void *stage) {
    (void)stage;
    return rate(bench, 8);
}

static int rate_10(struct bench *bench, void *stage) {
    (void)stage;
    return rate(bench, 10);
}

static int rate_12(struct bench *bench, void *stage) {
    (void)stage;
    return rate(bench, 12);
}

static int rate_16(struct bench *bench, void *stage) {
    (void)stage;
    return rate(bench, 16);
}

/* ---- the time --------------------------------------------------------------------------- */

enum {
    CLASSIC_PROBES = 7, /* the best number at 10 bits a key */
    FILL_BLOCKS = 128,  /* at once */
    PRESENT_LOG = 23,   /* keys that are there */
    PRESENT_LOG_QUICK = 18,
};

#define BYTES_QUICK (UINT64_C(64) << 20)
#define BYTES_LEAST (UINT64_C(256) << 20)
#define BYTES_MOST  (UINT64_C(1920) << 20)
#define ABSENT      (UINT64_C(1) << 63)

/*
 * One array of bits for all: half of them set at random, as in a filter that is as full as it is meant to be, and those of the
 * keys that are there, as either filter sets them. Ours asks the kernel for huge pages; the classic filter is asked there too,
 * and in a copy that malloc() gave, where a library's classic filter is.
 */
struct questions {
    hearth__bloom *filter;
    uint64_t *copy;
    unsigned present_log;
    uint64_t state; /* of the chain */
};

/* Larger than the last cache by far, if memory allows. */
static uint64_t bytes_wanted(const struct bench *bench) {
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bench->quick) {
        return BYTES_QUICK; /* larger than the caches of one processor */
    }
    uint64_t bytes = cache > 0 ? (uint64_t)cache * 4 : 0;
    bytes = bytes > BYTES_LEAST ? bytes : BYTES_LEAST;
    return bytes < BYTES_MOST ? bytes : BYTES_MOST;
}

static void fill(hearth__bloom *filter, uint64_t seed) {
    uint64_t words[(size_t)FILL_BLOCKS * HEARTH__BLOOM_BLOCK / sizeof(uint64_t)];
    for (uint32_t at = 0; at + FILL_BLOCKS <= hearth__bloom_blocks(filter); at += FILL_BLOCKS) {
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            words[i] = splitmix(&seed);
        }
        hearth__bloom_merge_in(filter, at, FILL_BLOCKS, (const unsigned char *)words);
    }
}

/* Where a classic filter's next probe is: double hashing (Kirsch, Mitzenmacher 2006). */
static uint64_t probe(uint64_t hash, unsigned i, uint64_t words) {
    uint64_t mixed = hash + i * ((hash >> 29) | 1) * UINT64_C(0x9E3779B97F4A7C15);
    unsigned __int128 bits = words;
    return (uint64_t)((mixed * (bits << 6)) >> 64);
}

static uint64_t words_of(const hearth__bloom *filter) {
    return hearth__bloom_bytes(filter) / sizeof(uint64_t);
}

static void insert_classic(hearth__bloom *filter, uint64_t hash) {
    for (unsigned i = 0; i < CLASSIC_PROBES; i++) {
        uint64_t block[HEARTH__BLOOM_BLOCK / sizeof(uint64_t)] = {0};
        uint64_t bit = probe(hash, i, words_of(filter));
        block[bit / 64 % 4] = UINT64_C(1) << bit % 64;
        hearth__bloom_merge_in(filter, (uint32_t)(bit / BLOCK_BITS), 1,
                               (const unsigned char *)block);
    }
}

/* Its answer is a bit that was read, not what a branch foretells: the next question is to wait for it. */
static inline bool ask_classic(const _Atomic uint64_t *words, uint64_t count, uint64_t hash) {
    uint64_t answer = 0;
    for (unsigned i = 0; i < CLASSIC_PROBES; i++) {
        uint64_t bit = probe(hash, i, count);
        uint64_t word = atomic_load_explicit(&words[bit / 64], memory_order_relaxed);
        uint64_t found = word >> bit % 64 & 1;
        answer = found;
        __asm__ volatile("" : "+r"(answer));
        if (found == 0) {
            break;
        }
    }
    return (answer & 1) != 0;
}

/* A key's hash: splitmix64's finalizer. */
static inline uint64_t hash_of(uint64_t key) {
    return splitmix(&key);
}

/* The next question depends on the answer to the one before; every other one is for a key that is there. */
static inline uint64_t next_hash(uint64_t *state, unsigned present_log, uint64_t answer) {
    *state = (*state + answer) * UINT64_C(6364136223846793005) + 1442695040888963407U;
    uint64_t key = *state >> 1;
    return hash_of((*state & ABSENT) != 0
                       ? key | ABSENT
                       : key >> (62 - present_log) & ((UINT64_C(1) << present_log) - 1));
}

typedef bool question(const struct questions *questions, uint64_t hash);

static bool ask_ours(const struct questions *questions, uint64_t hash) {
    return hearth__bloom_may_contain(questions->filter, hash);
}

static bool ask_classic_here(const struct questions *questions, uint64_t hash) {
    const hearth__bloom *filter = questions->filter;
    return ask_classic(hearth__bloom_pairs(filter), words_of(filter), hash);
}

static bool ask_classic_malloc(const struct questions *questions, uint64_t hash) {
    return ask_classic((const _Atomic uint64_t *)questions->copy, words_of(questions->filter),
                       hash);
}

/* One word of a random line. */
static bool read_word(const struct questions *questions, uint64_t hash) {
    const hearth__bloom *filter = questions->filter;
    const _Atomic uint64_t *words = hearth__bloom_pairs(filter);
    uint64_t word = atomic_load_explicit(&words[((hash >> 32) * words_of(filter)) >> 32],
                                         memory_order_relaxed);
    return (word & 1) != 0;
}

/* The chain alone, for what it costs itself. */
static bool read_nothing(const struct questions *questions, uint64_t hash) {
    (void)questions;
    return hash >> 63 != 0;
}

static inline __attribute__((always_inline)) uint64_t
run(struct questions *questions, size_t count, question *ask_one, bool depends) {
    uint64_t state = questions->state;
    uint64_t answer = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = next_hash(&state, questions->present_log, depends ? answer : 0);
        answer = ask_one(questions, hash);
        sum += answer;
    }
    questions->state = state + sum;
    return 0;
}

#define RUN(name, ask_one, depends)                                               \
    static uint64_t name(void *arg, unsigned thread, size_t from, size_t count) { \
        (void)thread;                                                             \
        (void)from;                                                               \
        return run(arg, count, ask_one, depends);                                 \
    }

RUN(chain_ours, ask_ours, true)
RUN(chain_read, read_word, true)
RUN(chain_classic, ask_classic_malloc, true)
RUN(chain_classic_huge, ask_classic_here, true)
RUN(chain_nothing, read_nothing, true)
RUN(free_ours, ask_ours, false)
RUN(free_read, read_word, false)
RUN(free_classic, ask_classic_malloc, false)
RUN(free_classic_huge, ask_classic_here, false)
RUN(free_nothing, read_nothing, false)

static void close_questions(const struct questions *questions) {
    hearth__bloom_destroy(questions->filter);
    free(questions->copy);
}

static int open_questions(struct questions *questions, const struct bench *bench) {
    uint64_t blocks = bytes_wanted(bench) / HEARTH__BLOOM_BLOCK;
    *questions =
        (struct questions){.filter = hearth__bloom_create((uint32_t)blocks),
                           .copy = malloc(blocks * HEARTH__BLOOM_BLOCK),
                           .present_log = bench->quick ? PRESENT_LOG_QUICK : PRESENT_LOG,
                           .state = bench->seed};
    if (questions->filter == NULL || questions->copy == NULL) {
        close_questions(questions);
        return bench_fail(bench, "no memory");
    }
    bench_progress(bench, "filling %llu MiB",
                   (unsigned long long)(blocks * HEARTH__BLOOM_BLOCK >> 20));
    fill(questions->filter, bench->seed);
    for (uint64_t key = 0; key < UINT64_C(1) << questions->present_log; key++) {
        (void)hearth__bloom_insert(questions->filter, hash_of(key));
        insert_classic(questions->filter, hash_of(key));
    }
    for (uint64_t i = 0; i < words_of(questions->filter); i++) {
        questions->copy[i] = hearth__bloom_pairs(questions->filter)[i];
    }
    bench_progress_end(bench);
    return 0;
}

static struct figure without(struct figure whole, struct figure part) {
    whole.value -= part.value;
    return whole;
}

/* Ours, a read, a classic filter in either memory, and what they have in common. */
enum { OURS, READ, CLASSIC, CLASSIC_HUGE, NOTHING, PARTIES };

static int ask(struct bench *bench, party_run *const runs[PARTIES]) {
    static const char *const names[PARTIES] = {NULL, "random-read", "classic-bloom",
                                               "classic-huge-pages", NULL};
    struct questions questions;
    if (open_questions(&questions, bench) != 0) {
        return -1;
    }
    struct party parties[PARTIES];
    for (size_t i = 0; i < PARTIES; i++) {
        parties[i] = (struct party){
            .run = runs[i], .arg = &questions, .threads = 1, .places = CREW_BATCH};
    }
    int result = crew_contest(bench, parties, PARTIES);
    if (result == 0) {
        struct figure hashing = party_time(bench, &parties[NOTHING]);
        struct figure ours = without(party_time(bench, &parties[OURS]), hashing);
        report_note(bench, "%zu MiB; %.1f ns for hashing are taken off every time",
                    hearth__bloom_bytes(questions.filter) >> 20, hashing.value);
        for (size_t i = READ; i <= CLASSIC_HUGE; i++) {
            bench_row(bench, "time", "ns", ours, names[i],
                      without(party_time(bench, &parties[i]), hashing));
        }
    }
    close_questions(&questions);
    return result;
}

static int ask_chain(struct bench *bench, void *stage) {
    (void)stage;
    return ask(bench, (party_run *const[PARTIES]){chain_ours, chain_read, chain_classic,
                                                  chain_classic_huge, chain_nothing});
}

static int ask_free(struct bench *bench, void *stage) {
    (void)stage;
    return ask(bench, (party_run *const[PARTIES]){free_ours, free_read, free_classic,
                                                  free_classic_huge, free_nothing});
}

static const struct bench_case cases[] = {
    {"rate-8", "false positives at 8 bits a key, 10,000,000 keys", rate_8},
    {"rate-10", "at 10 bits", rate_10},
    {"rate-12", "at 12 bits", rate_12},
    {"rate-16", "at 16 bits", rate_16},
    {"ask-1t", "questions to a filter larger than all caches, each depending on the last",
     ask_chain},
    {"ask-free-1t", "the same, none of which depends on another", ask_free},
    {"flood-1m", "1,000,000 fetches of random missing keys among those of hot ones",
     bloom_flood},
    {"told-100k", "100,000 keys added by one cache, until another that shares the filter knows",
     bloom_told},
};

const struct suite suite_bloom = {
    .name = "bloom",
    .what =
        "the guard's filter: how often it lets a missing key through, and what a question costs",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
};
