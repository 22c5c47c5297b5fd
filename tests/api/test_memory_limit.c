/* SPDX-License-Identifier: Apache-2.0 */
/* The local tier's limit: what it counts never goes over it, and what it counts is what the process has. */
#include "base/racy.h"
#include "source.h"
#include "support/sanitizer.h"
#include "zipf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LIMIT = 32 << 20,
#if defined(HEARTH__RACY_WORDS)
    CHURN = 2, /* each word is written by itself */
    SIZE_MOST = 1 << 16,
#else
    CHURN = 10,
    SIZE_MOST = 1 << 20,
#endif
    KEYS = 200000,
};

/* What threads write: half of them popular keys, half one key after the other. */
struct load {
    const char *policy;
    size_t threads;
    size_t size_most;
    size_t slack_mib; /* of the process's memory, beside 1.05 times the limit */
};

struct outcome {
    uint64_t samples;
    uint64_t tracked_most;
    uint64_t tracked; /* at the end */
    uint64_t resident;
    uint64_t evictions;
    int failed;
};

struct scene {
    const struct load *load;
    hearth *cache;
    struct zipf zipf;
    unsigned char *zeros;
    _Atomic uint64_t written;
    _Atomic uint32_t next;
    _Atomic size_t working;
    _Atomic int failed;
};

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* As many of each power of two. A key's size changes now and then. */
static size_t size_of(const struct load *load, uint32_t key, uint64_t random) {
    uint64_t seed = (key + 1) * UINT64_C(0x9e3779b97f4a7c15) + random % 3;
    (void)next_random(&seed);
    size_t most = (size_t)1 << (next_random(&seed) >> 40) % 21;
    size_t size = 1 + (size_t)(next_random(&seed) >> 20) % most;
    return size <= load->size_most ? size : load->size_most;
}

static void write_one(struct scene *scene, bool popular, uint64_t *random) {
    char name[16];
    hearth_write_options write;
    hearth_read_options read;
    hearth_write_options_init(&write, sizeof write);
    hearth_read_options_init(&read, sizeof read);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    read.flags = HEARTH_READ_NO_REMOTE;
    uint32_t key = popular ? zipf_rank(&scene->zipf, next_random(random))
                           : KEYS + atomic_fetch_add(&scene->next, 1);
    size_t size = size_of(scene->load, key, next_random(random) >> 32);
    size_t name_size = (size_t)snprintf(name, sizeof name, "%u", key);
    int32_t found = popular ? hearth_get(scene->cache, name, name_size, &read, NULL) : 0;
    int32_t status = hearth_set(scene->cache, name, name_size, scene->zeros, size, &write);
    if (status != HEARTH_OK || found < 0) {
        atomic_store(&scene->failed, 1);
    }
    atomic_fetch_add(&scene->written, size);
}

static void work(void *arg, size_t index) {
    struct scene *scene = arg;
    uint64_t random = index + 77;
    while (atomic_load(&scene->written) < (uint64_t)CHURN * LIMIT &&
           atomic_load(&scene->failed) == 0) {
        write_one(scene, index % 2 == 0, &random);
    }
    atomic_fetch_sub(&scene->working, 1);
}

static uint64_t resident_bytes(void) {
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    if (file != NULL && fgets(text, sizeof text, file) != NULL) {
        char *end = text;
        (void)strtoul(text, &end, 10); /* what is mapped */
        pages = strtoul(end, NULL, 10);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Looks at the statistics all the time while others write. */
static void watch(struct scene *scene, struct outcome *outcome) {
    bool working = true;
    while (working) {
        working = atomic_load(&scene->working) != 0; /* and once more at the end */
        uint64_t tracked = cache_stats(scene->cache).local_bytes;
        outcome->samples++;
        outcome->tracked = tracked;
        outcome->tracked_most =
            tracked > outcome->tracked_most ? tracked : outcome->tracked_most;
    }
}

static void play(const struct load *load, struct outcome *outcome) {
    static struct crowd crowd;
    const char *const settings[] = {"local.max_bytes",
                                    "32mb",
                                    "local.max_entry_bytes",
                                    "1100kb",
                                    "local.policy",
                                    load->policy,
                                    "embedded.max_bytes",
                                    "1mb",
                                    "remote.max_value_bytes",
                                    "64kb",
                                    NULL};
    struct scene scene = {.load = load, .working = load->threads};
    scene.cache = cache_open(settings);
    scene.zeros = calloc(1, SIZE_MOST);
    outcome->failed = scene.cache == NULL || scene.zeros == NULL;
    if (outcome->failed == 0) {
        zipf_init(&scene.zipf, KEYS, 0.99);
        outcome->failed = !crowd_start(&crowd, load->threads, work, &scene);
        watch(&scene, outcome);
        outcome->resident = resident_bytes(); /* the threads' stacks included */
        crowd_join(&crowd);
        outcome->failed |= atomic_load(&scene.failed);
        outcome->evictions = cache_stats(scene.cache).local_evictions;
    }
    free(scene.zeros);
    (void)hearth_close(scene.cache);
}

/* In a process of its own, whose memory is this tier's and little else. */
static struct outcome play_in_child(const struct load *load) {
    struct outcome outcome = {.failed = 1};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        outcome.failed = 0;
        play(load, &outcome);
        bool told = write(ends[1], &outcome, sizeof outcome) == (ssize_t)sizeof outcome;
        _exit(told ? 0 : 1);
    }
    (void)close(ends[1]);
    ssize_t got = read(ends[0], &outcome, sizeof outcome);
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(got, sizeof outcome);
    return outcome;
}

static double mib(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

static void expect_within_limit(const struct load *load) {
    struct outcome outcome = play_in_child(load);
    print_message("%s, %zu threads, values to %zu: %.2f MiB tracked at the most of %.2f (%llu "
                  "samples), %.2f MiB resident\n",
                  load->policy, load->threads, load->size_most, mib(outcome.tracked_most),
                  mib(LIMIT), (unsigned long long)outcome.samples, mib(outcome.resident));
    assert_int_equal(outcome.failed, 0);
    assert_true(outcome.tracked_most <= LIMIT);
    /* It was full once, as far as values that large can fill it. */
    assert_true(outcome.tracked_most > (uint64_t)LIMIT / 10 * 6);
    assert_true(outcome.evictions > 100);
#if !SANITIZED
    assert_true(outcome.resident <= (uint64_t)LIMIT / 100 * 105 + (load->slack_mib << 20));
#endif
}

static void small_values(const char *policy) {
    expect_within_limit(
        &(struct load){.policy = policy, .threads = 4, .size_most = 8192, .slack_mib = 8});
}

static void large_values_of_64_threads(const char *policy) {
    expect_within_limit(&(struct load){
        .policy = policy, .threads = 64, .size_most = SIZE_MOST, .slack_mib = 16});
}

static void it_holds_under_lru(void **state) {
    (void)state;
    small_values("lru");
    large_values_of_64_threads("lru");
}

static void it_holds_under_s3fifo(void **state) {
    (void)state;
    small_values("s3fifo");
    large_values_of_64_threads("s3fifo");
}

static void it_holds_by_default(void **state) {
    (void)state;
    small_values("adaptive");
    large_values_of_64_threads("adaptive");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_under_lru),
        cmocka_unit_test(it_holds_under_s3fifo),
        cmocka_unit_test(it_holds_by_default),
    };
    return cmocka_run_group_tests_name("memory limit", tests, NULL, NULL);
}
