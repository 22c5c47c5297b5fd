/* SPDX-License-Identifier: Apache-2.0 */
/* The start from cold: while all ask for what is cached, the nodes lose everything, or die and come back empty. */
#include "hearth-bench/report.h"
#include "hearth-bench/stampede.h"
#include "hearth-bench/workload.h"
#include "splitmix.h"
#include "support/servers.h"
#include "zipf.h"

#include "base/clock.h"

#include <hearth/hearth.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

enum {
    NODES = 2,
    KEYS = 20000,
    KEYS_QUICK = 500,
    THREADS = 64,
    ORIGIN_MS = 20,
    PLACES = 32,
    BEFORE_MS = 3000, /* the hit ratio of then is what is to come back */
    BEFORE_QUICK_MS = 200,
    WINDOW_MS = 500, /* the hit ratio is looked at so often */
    WINDOW_QUICK_MS = 100,
    LIMIT_MS = 30000,
    URL_BYTES = 512,
    MANY = 100,
};

#define PLACES_TEXT "32"
#define ZIPF        0.99

enum phase { WARM, COLD };

struct cold {
    const struct bench *bench;
    enum server_kind kind; /* Redis is flushed, Memcached dies */
    struct servers servers;
    hearth *cache;
    hearth_value *values[THREADS];
    uint64_t seeds[THREADS];
    struct zipf zipf;
    uint32_t keys;
    struct slow_origin origin;
    _Atomic uint64_t asked;
    _Atomic uint64_t missed; /* loaded by this caller or by another that it waited for */
    enum phase phase;
    uint64_t asked_then; /* at the window's begin, or the phase's */
    uint64_t missed_then;
    int64_t phase_ns;
    int64_t window_ns;
    double before;
    double back_s; /* below 0: not yet */
    bool failed;
};

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    slow_origin_ask(arg);
    return hearth_fill_value(fill, key, key_size);
}

/* What was refused is a miss, and the caller comes again. */
static bool fetch(void *arg, unsigned thread) {
    struct cold *cold = arg;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &cold->origin};
    char key[KEY_SIZE];
    key_write(key, zipf_rank(&cold->zipf, splitmix(&cold->seeds[thread])));
    int32_t status =
        hearth_fetch(cold->cache, key, sizeof key, &loader, NULL, NULL, cold->values[thread]);
    hearth_info info = {.size = sizeof info};
    bool hit = status == HEARTH_OK &&
               hearth_value_info(cold->values[thread], &info) == HEARTH_OK &&
               info.tier != HEARTH_TIER_LOADED;
    atomic_fetch_add_explicit(&cold->asked, 1, memory_order_relaxed);
    if (!hit) {
        atomic_fetch_add_explicit(&cold->missed, 1, memory_order_relaxed);
    }
    return status == HEARTH_OK || status == HEARTH_E_OVERLOAD || status == HEARTH_E_TIMEOUT;
}

/* ---- what happens ----------------------------------------------------------------------- */

static bool flush_redis(const struct server_node *node) {
    redisContext *redis = redisConnectUnix(node->path);
    redisReply *reply =
        redis != NULL && redis->err == 0 ? redisCommand(redis, "FLUSHALL") : NULL;
    bool flushed = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    if (redis != NULL) {
        redisFree(redis);
    }
    return flushed;
}

static bool lose_all(struct cold *cold) {
    bool lost = true;
    for (size_t i = 0; i < NODES; i++) {
        lost = lost && (cold->kind == SERVER_REDIS ? flush_redis(&cold->servers.nodes[i])
                                                   : servers_restart(&cold->servers, i) == 0);
    }
    return lost;
}

/* The hit ratio since the last look. */
static double look(struct cold *cold) {
    uint64_t asked = atomic_load(&cold->asked);
    uint64_t missed = atomic_load(&cold->missed);
    double count = (double)(asked - cold->asked_then);
    double ratio = count > 0 ? 1 - (double)(missed - cold->missed_then) / count : 0;
    cold->asked_then = asked;
    cold->missed_then = missed;
    return ratio;
}

static bool become_cold(struct cold *cold, int64_t now_ns) {
    cold->before = look(cold);
    cold->failed = !lose_all(cold);
    cold->phase = COLD;
    cold->phase_ns = now_ns;
    cold->window_ns = now_ns;
    return cold->failed;
}

static bool is_over(void *arg) {
    struct cold *cold = arg;
    int64_t now_ns = hearth__monotonic_ns();
    int64_t in_phase_ms = (now_ns - cold->phase_ns) / 1000000;
    if (cold->phase == WARM) {
        int64_t before_ms = cold->bench->quick ? BEFORE_QUICK_MS : BEFORE_MS;
        return in_phase_ms >= before_ms && become_cold(cold, now_ns);
    }
    int64_t window_ms = cold->bench->quick ? WINDOW_QUICK_MS : WINDOW_MS;
    if ((now_ns - cold->window_ns) / 1000000 < window_ms) {
        return false;
    }
    double ratio = look(cold);
    cold->window_ns = now_ns;
    bench_progress(cold->bench, "hit ratio %.3f of %.3f after %.1f s", ratio, cold->before,
                   (double)in_phase_ms / 1e3);
    if (ratio >= 0.9 * cold->before) {
        cold->back_s = (double)in_phase_ms / 1e3;
    }
    return cold->back_s >= 0 || in_phase_ms > LIMIT_MS * INT64_C(2);
}

/* ---- the run ---------------------------------------------------------------------------- */

static bool open_cache(struct cold *cold) {
    char url[URL_BYTES];
    if (servers_url(&cold->servers, cold->kind, url, sizeof url) != 0) {
        return false;
    }
    /* As it is by default, but for the limit; without a local tier, which would hide for a second that the nodes are empty; and a
     * busy machine is no failure here. */
    const char *const settings[][2] = {{"remote.url", url},
                                       {"remote.timeout_ms", "5000"},
                                       {"local.max_bytes", "0"},
                                       {"load.max_concurrent", PLACES_TEXT}};
    hearth_options *options = hearth_options_new();
    bool set = options != NULL;
    for (size_t i = 0; set && i < sizeof settings / sizeof settings[0]; i++) {
        set = hearth_options_set(options, settings[i][0], settings[i][1]) == HEARTH_OK;
    }
    set = set && hearth_open(options, &cold->cache) == HEARTH_OK;
    hearth_options_free(options);
    return set;
}

/* All keys are cached, as after a long time. */
static bool warm_up(struct cold *cold) {
    char keys[MANY][KEY_SIZE];
    const void *key_at[MANY];
    size_t key_sizes[MANY];
    int32_t statuses[MANY];
    for (uint32_t first = 0; first < cold->keys; first += MANY) {
        for (uint32_t i = 0; i < MANY; i++) {
            key_write(keys[i], first + i);
            key_at[i] = keys[i];
            key_sizes[i] = KEY_SIZE;
        }
        if (hearth_set_many(cold->cache, MANY, key_at, key_sizes, key_at, key_sizes, NULL,
                            statuses) != HEARTH_OK) {
            return false;
        }
    }
    return true;
}

static int open_cold(struct cold *cold) {
    const struct bench *bench = cold->bench;
    for (size_t i = 0; i < NODES; i++) {
        if (servers_start(&cold->servers, cold->kind, SERVER_UNIX, NULL) != 0) {
            return bench_fail(bench, "%s", cold->servers.error);
        }
    }
    cold->keys = bench->quick ? KEYS_QUICK : KEYS;
    cold->origin.ms = ORIGIN_MS;
    cold->back_s = -1;
    zipf_init(&cold->zipf, cold->keys, ZIPF);
    bool made = open_cache(cold);
    for (unsigned i = 0; made && i < THREADS; i++) {
        cold->values[i] = hearth_value_new();
        cold->seeds[i] = bench->seed + ((uint64_t)i << 40);
        made = cold->values[i] != NULL;
    }
    return made && warm_up(cold) ? 0 : bench_fail(bench, "no cache");
}

static void report(struct bench *bench, struct cold *cold) {
    hearth_stats stats = {.size = sizeof stats};
    (void)hearth_stats_get(cold->cache, &stats);
    bench_row(bench, "loads at once, most", "1",
              (struct figure){atomic_load(&cold->origin.most_running), -1}, "limit",
              (struct figure){PLACES, -1});
    bench_row(bench, "hit ratio back to 90 %", "s", (struct figure){cold->back_s, -1}, "limit",
              (struct figure){LIMIT_MS / 1e3, -1});
    report_note(bench, "hit ratio before %.4f; %llu loads, %llu of them waited, %llu refused",
                cold->before, (unsigned long long)stats.loads,
                (unsigned long long)stats.loads_queued,
                (unsigned long long)stats.loads_refused);
}

static int measure(struct bench *bench, struct cold *cold) {
    cold->phase_ns = hearth__monotonic_ns();
    int result = rush(bench, THREADS, fetch, cold, is_over);
    bench_progress_end(bench);
    if (result == 0 && (cold->failed || cold->back_s < 0)) {
        result = bench_fail(bench, cold->failed ? "the nodes did not lose what they had"
                                                : "the hits do not come back");
    }
    if (result == 0) {
        report(bench, cold);
    }
    return result;
}

static int begin_cold(struct bench *bench, enum server_kind kind) {
    struct cold cold = {.bench = bench, .kind = kind};
    if (servers_open(&cold.servers) != 0) {
        return bench_fail(bench, "%s", cold.servers.error);
    }
    int result = open_cold(&cold);
    result = result == 0 ? measure(bench, &cold) : result;
    for (unsigned i = 0; i < THREADS; i++) {
        hearth_value_free(cold.values[i]);
    }
    if (cold.cache != NULL) {
        (void)hearth_close(cold.cache);
    }
    servers_stop(&cold.servers);
    return result;
}

int stampede_cold_start(struct bench *bench, void *stage) {
    (void)stage;
    return begin_cold(bench, SERVER_REDIS);
}

int stampede_cold_return(struct bench *bench, void *stage) {
    (void)stage;
    return begin_cold(bench, SERVER_MEMCACHED);
}
