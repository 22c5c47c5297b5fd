/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter that two caches share over a real Redis server, as two processes would: one adds keys, the other is asked for each from
 * the moment on at which the server had it, until it does not deny it any more.
 */
#include "hearth-bench/bloom.h"
#include "hearth-bench/report.h"

#include "latency.h"
#include "support/servers.h"

#include <hearth/hearth.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    TOLD = 100000,
    TOLD_QUICK = 3000,
    KEY_ROOM = 24,
    URL_ROOM = 160,
    BOUND_MS = 1000,
    BOUND_QUICK_MS = 400
};

#define NS_PER_MS 1e6

struct telling {
    struct servers servers;
    hearth *adder;
    hearth *asker;
    uint64_t count;
    unsigned bound_ms;
    _Atomic bool failed;
    _Atomic int64_t told_ns[TOLD]; /* when the server had it; 0: not yet */
    struct latency times;
};

static int64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static size_t name_key(char *key, const char *kind, uint64_t number) {
    return (size_t)snprintf(key, KEY_ROOM, "%s:%llu", kind, (unsigned long long)number);
}

/* ---- the caches ------------------------------------------------------------------------- */

static hearth *open_cache(const char *url, unsigned view_ms) {
    char view[16];
    const char *const settings[][2] = {{"guard.expected_keys", "200000"},
                                       {"guard.target_rate", "0.0001"},
                                       {"guard.audit", "0"},
                                       {"guard.view_ms", view},
                                       {"guard.shared", "yes"}};
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    (void)snprintf(view, sizeof view, "%u", view_ms);
    bool set = options != NULL && hearth_options_set(options, "remote.url", url) == HEARTH_OK;
    for (size_t i = 0; set && i < sizeof settings / sizeof settings[0]; i++) {
        set = hearth_options_set(options, settings[i][0], settings[i][1]) == HEARTH_OK;
    }
    if (set && hearth_open(options, &cache) != HEARTH_OK) {
        cache = NULL;
    }
    hearth_options_free(options);
    return cache;
}

/* None exist before. */
static int32_t no_key(void *arg, const void **key, size_t *key_size) {
    (void)arg;
    (void)key;
    (void)key_size;
    return HEARTH_MISS;
}

static bool is_denied(hearth *cache, const char *key, size_t size) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE;
    return hearth_get(cache, key, size, &read, NULL) == HEARTH_ABSENT;
}

/* Until it has its copy: then it denies what nobody has. */
static bool await_copy(hearth *cache) {
    char key[KEY_ROOM];
    size_t size = name_key(key, "none", 0);
    int64_t until_ns = now_ns() + 10LL * BOUND_MS * 1000000;
    while (!is_denied(cache, key, size)) {
        if (now_ns() > until_ns) {
            return false;
        }
        (void)sched_yield();
    }
    return true;
}

static int open_telling(struct telling *telling, const struct bench *bench) {
    char url[URL_ROOM];
    if (servers_open(&telling->servers) != 0) {
        return bench_fail(bench, "%s", telling->servers.error);
    }
    if (servers_start(&telling->servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_url(&telling->servers, SERVER_REDIS, url, sizeof url) != 0) {
        return bench_fail(bench, "%s", telling->servers.error);
    }
    telling->adder = open_cache(url, telling->bound_ms);
    telling->asker = open_cache(url, telling->bound_ms);
    if (telling->adder == NULL || telling->asker == NULL ||
        hearth_guard_rebuild(telling->adder, no_key, NULL) != HEARTH_OK ||
        !await_copy(telling->asker)) {
        return bench_fail(bench, "the filter was not shared");
    }
    return 0;
}

static void close_telling(struct telling *telling) {
    (void)hearth_close(telling->adder);
    (void)hearth_close(telling->asker);
    servers_stop(&telling->servers);
}

/* ---- the run ---------------------------------------------------------------------------- */

static void *add_all(void *arg) {
    struct telling *telling = arg;
    for (uint64_t i = 0; i < telling->count; i++) {
        char key[KEY_ROOM];
        size_t size = name_key(key, "key", i);
        if (hearth_guard_add(telling->adder, key, size) != HEARTH_OK) {
            atomic_store(&telling->failed, true);
            return NULL;
        }
        atomic_store(&telling->told_ns[i], now_ns());
    }
    return NULL;
}

static void ask_all(struct telling *telling) {
    for (uint64_t i = 0; i < telling->count && !atomic_load(&telling->failed); i++) {
        char key[KEY_ROOM];
        size_t size = name_key(key, "key", i);
        while (atomic_load(&telling->told_ns[i]) == 0 && !atomic_load(&telling->failed)) {
            (void)sched_yield();
        }
        while (is_denied(telling->asker, key, size)) {
            (void)sched_yield();
        }
        latency_record(&telling->times, (uint64_t)(now_ns() - telling->told_ns[i]));
    }
}

static void report(struct bench *bench, const struct telling *telling) {
    static const struct {
        const char *name;
        double percent;
    } rows[] = {{"median", 50}, {"p99", 99}, {"longest", 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ms = (double)latency_percentile(&telling->times, rows[i].percent) / NS_PER_MS;
        bench_row(bench, rows[i].name, "ms", (struct figure){ms, -1}, "bound",
                  (struct figure){telling->bound_ms, -1});
    }
}

int bloom_told(struct bench *bench, void *stage) {
    static struct telling telling;
    pthread_t adder;
    (void)stage;
    telling = (struct telling){.count = bench->quick ? TOLD_QUICK : TOLD,
                               .bound_ms = bench->quick ? BOUND_QUICK_MS : BOUND_MS};
    int result = open_telling(&telling, bench);
    if (result == 0) {
        bench_progress(bench, "%llu keys", (unsigned long long)telling.count);
        if (pthread_create(&adder, NULL, add_all, &telling) == 0) {
            ask_all(&telling);
            (void)pthread_join(adder, NULL);
        } else {
            telling.failed = true;
        }
        bench_progress_end(bench);
        if (telling.failed) {
            result = bench_fail(bench, "a key could not be added");
        } else {
            report(bench, &telling);
        }
    }
    close_telling(&telling);
    return result;
}
