/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long copies are hits still when nobody tells of changes any more, since the listening connection is killed, or its server is;
 * and when all that the server has is flushed. While one thread reads a thousand times a second, another looks whether a copy is
 * there, all the time, until it is not. Beside it a client that does nothing but wait for the end of such a connection, or for what
 * is published behind the flush.
 */
#include "hearth-bench/coherence.h"
#include "hearth-bench/report.h"
#include "hearth-bench/workload.h"

#include "base/clock.h"
#include "latency.h"
#include "pace.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NODE = 1, KEYS = 1000, ROUNDS = 40, ROUNDS_FEW = 2, SETTLED_MS = 20, UNTOLD_MS = 1000 };

#define PATIENCE_NS INT64_C(20000000000)
#define READ_NS     INT64_C(1000000) /* between two of the thread that reads */
#define COPY_KEY    "copied"

typedef bool lose(struct bench *bench, struct coherence_stage *stage);

struct loss {
    lose *lose;
    const char *peer;
};

struct losing {
    hearth *cache;
    hearth_value *value;
    _Atomic bool over;
    _Atomic uint64_t reads;
    int64_t gone_ns;  /* when the copy was; 0: it is there still */
    int64_t ended_ns; /* when the peer heard of it; 0: never */
    unsigned vain;    /* losses of which nothing was measured */
    int64_t after_ns; /* the longest that a copy was there when the peer had heard of it */
    redisContext *peer;
    struct latency *ours;
    struct latency *theirs;
};

/* ---- threads ---------------------------------------------------------------------------- */

static void *read_on(void *arg) {
    struct losing *losing = arg;
    hearth_value *value = hearth_value_new();
    int64_t next_ns = hearth__monotonic_ns();
    for (uint32_t i = 0; value != NULL && !atomic_load(&losing->over); i++) {
        char key[KEY_SIZE];
        key_write(key, i % KEYS);
        int32_t status = hearth_get(losing->cache, key, sizeof key, NULL, value);
        atomic_fetch_add(&losing->reads, status != HEARTH_E_CLOSED);
        next_ns += READ_NS;
        pace_until(next_ns);
    }
    hearth_value_free(value);
    return NULL;
}

static bool has_copy(const struct losing *losing) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    return hearth_get(losing->cache, COPY_KEY, strlen(COPY_KEY), &read, NULL) == HEARTH_OK;
}

static void *look_on(void *arg) {
    struct losing *losing = arg;
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    int64_t seen_ns = 0;
    do {
        seen_ns = hearth__monotonic_ns();
        if (!has_copy(losing)) {
            losing->gone_ns = seen_ns;
            return NULL;
        }
        (void)sched_yield();
    } while (seen_ns < until_ns);
    return NULL;
}

static void *wait_for_end(void *arg) {
    struct losing *losing = arg;
    char bytes[64];
    (void)!read(losing->peer->fd, bytes, sizeof bytes);
    losing->ended_ns = hearth__monotonic_ns();
    return NULL;
}

/* ---- a round ---------------------------------------------------------------------------- */

/* Whether it is there a moment later still: own sets are told of too. */
static bool lasts(const struct losing *losing) {
    pace_until(hearth__monotonic_ns() + SETTLED_MS * INT64_C(1000000));
    return has_copy(losing);
}

/* Reads until the copy is one that is told of: those that are not live shorter. */
static bool make_copy(const struct losing *losing) {
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    hearth_info info = {.size = sizeof info};
    while (hearth__monotonic_ns() < until_ns) {
        int32_t status =
            hearth_get(losing->cache, COPY_KEY, strlen(COPY_KEY), NULL, losing->value);
        if (status == HEARTH_MISS) {
            (void)hearth_set(losing->cache, COPY_KEY, strlen(COPY_KEY), "x", 1, NULL);
        } else if (status == HEARTH_OK &&
                   hearth_value_info(losing->value, &info) == HEARTH_OK &&
                   info.tier == HEARTH_TIER_LOCAL) {
            if (info.ttl_left_ms > UNTOLD_MS && lasts(losing)) {
                return true;
            }
            (void)hearth_evict_local(losing->cache, COPY_KEY, strlen(COPY_KEY));
        }
        (void)sched_yield();
    }
    return false;
}

static bool listen_as_peer(struct losing *losing, const char *path) {
    losing->peer = redisConnectUnix(path);
    if (losing->peer == NULL || losing->peer->err != 0) {
        return false;
    }
    redisReply *reply = redisCommand(losing->peer, "SUBSCRIBE __redis__:invalidate");
    bool listens = reply != NULL && reply->type == REDIS_REPLY_ARRAY;
    freeReplyObject(reply);
    return listens;
}

static bool watch(struct bench *bench, struct coherence_stage *stage, struct losing *losing,
                  const struct loss *loss) {
    pthread_t looker;
    pthread_t waiter;
    losing->gone_ns = losing->ended_ns = 0;
    if (pthread_create(&looker, NULL, look_on, losing) != 0) {
        return false;
    }
    if (pthread_create(&waiter, NULL, wait_for_end, losing) != 0) {
        (void)pthread_join(looker, NULL);
        return false;
    }
    pace_until(hearth__monotonic_ns() + SETTLED_MS * INT64_C(1000000));
    int64_t began_ns = hearth__monotonic_ns();
    bool lost = loss->lose(bench, stage);
    (void)pthread_join(looker, NULL);
    (void)pthread_join(waiter, NULL);
    if (!lost || losing->gone_ns == 0) {
        (void)bench_fail(bench, lost ? "a copy outlived its loss" : "nothing was lost");
        return false;
    }
    int64_t took_ns = losing->gone_ns - began_ns;
    if (took_ns < 0) { /* it was gone before: nothing was measured */
        losing->vain++;
        return true;
    }
    latency_record(losing->ours, (uint64_t)took_ns);
    latency_record(losing->theirs, (uint64_t)(losing->ended_ns - began_ns));
    int64_t after_ns = losing->gone_ns - losing->ended_ns;
    losing->after_ns = after_ns > losing->after_ns ? after_ns : losing->after_ns;
    return true;
}

static bool play(struct bench *bench, struct coherence_stage *stage, struct losing *losing,
                 const struct loss *loss) {
    bool listens = listen_as_peer(losing, stage->servers.nodes[NODE].path);
    bool copied = listens && make_copy(losing);
    bool fine = copied && watch(bench, stage, losing, loss);
    if (!copied) {
        (void)bench_fail(bench, listens ? "no copy is told of" : "the server does not answer");
    }
    redisFree(losing->peer);
    losing->peer = NULL;
    return fine;
}

/* ---- losses ----------------------------------------------------------------------------- */

static bool kill_listeners(struct bench *bench, struct coherence_stage *stage) {
    redisContext *client = redisConnectUnix(stage->servers.nodes[NODE].path);
    redisReply *reply = client != NULL && client->err == 0
                            ? redisCommand(client, "CLIENT KILL TYPE pubsub")
                            : NULL;
    bool killed = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    (void)bench;
    freeReplyObject(reply);
    redisFree(client);
    return killed;
}

static bool flush_server(struct bench *bench, struct coherence_stage *stage) {
    redisContext *client = redisConnectUnix(stage->servers.nodes[NODE].path);
    bool flushed = client != NULL && client->err == 0;
    static const char *const commands[] = {"FLUSHALL", "PUBLISH __redis__:invalidate -"};
    (void)bench;
    for (size_t i = 0; flushed && i < sizeof commands / sizeof commands[0]; i++) {
        redisReply *reply = redisCommand(client, commands[i]);
        flushed = reply != NULL && reply->type != REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    redisFree(client);
    return flushed;
}

static bool kill_server(struct bench *bench, struct coherence_stage *stage) {
    bool killed =
        servers_kill(&stage->servers, NODE) == 0 && servers_restart(&stage->servers, NODE) == 0;
    if (!killed) {
        (void)bench_fail(bench, "%s", stage->servers.error);
    }
    return killed;
}

/* ---- the run ---------------------------------------------------------------------------- */

static const struct coherence_setting settings[] = {{"coherence.mode", "tracking"},
                                                    {"local.max_ttl_ms", "1h"},
                                                    {"remote.restart_distrust_ms", "0"},
                                                    {NULL, NULL}};

static void report(struct bench *bench, const struct losing *losing, const char *peer) {
    static const struct {
        const char *metric;
        double percent;
    } rows[] = {{"p50", 50}, {"p99", 99}, {"longest", 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ours = (double)latency_percentile(losing->ours, rows[i].percent) / 1e6;
        double theirs = (double)latency_percentile(losing->theirs, rows[i].percent) / 1e6;
        bench_row(bench, rows[i].metric, "ms", (struct figure){ours, -1}, peer,
                  (struct figure){theirs, -1});
    }
    report_note(
        bench,
        "of %llu losses, from before what makes them; the last hit was at most %.3f ms "
        "after the other had heard of it; %llu reads besides; %u copies were gone before",
        (unsigned long long)losing->ours->count, (double)losing->after_ns / 1e6,
        (unsigned long long)atomic_load(&losing->reads), losing->vain);
}

static int measure(struct bench *bench, struct coherence_stage *stage, struct losing *losing,
                   const struct loss *loss) {
    unsigned rounds = bench->quick ? ROUNDS_FEW : ROUNDS;
    pthread_t reader;
    bool fine = true;
    if (pthread_create(&reader, NULL, read_on, losing) != 0) {
        return bench_fail(bench, "no thread");
    }
    for (unsigned i = 0; fine && losing->ours->count < rounds && i < 2 * rounds; i++) {
        bench_progress(bench, "loss %u of %u", i + 1, rounds);
        fine = play(bench, stage, losing, loss);
    }
    bench_progress_end(bench);
    atomic_store(&losing->over, true);
    (void)pthread_join(reader, NULL);
    if (fine) {
        report(bench, losing, loss->peer);
    }
    return fine ? 0 : -1;
}

static int run(struct bench *bench, struct coherence_stage *stage, const struct loss *loss) {
    struct losing losing = {.cache = coherence_open_cache(bench, stage, NODE, settings),
                            .value = hearth_value_new(),
                            .ours = calloc(1, sizeof *losing.ours),
                            .theirs = calloc(1, sizeof *losing.theirs)};
    int result = losing.cache != NULL ? 0 : -1;
    if (result == 0 && (losing.value == NULL || losing.ours == NULL || losing.theirs == NULL)) {
        result = bench_fail(bench, "no memory");
    }
    result = result == 0 ? measure(bench, stage, &losing, loss) : result;
    if (losing.cache != NULL) {
        (void)hearth_close(losing.cache);
    }
    hearth_value_free(losing.value);
    free(losing.ours);
    free(losing.theirs);
    return result;
}

int coherence_lost(struct bench *bench, void *stage) {
    return run(bench, stage, &(struct loss){kill_listeners, "end alone"});
}

int coherence_lost_server(struct bench *bench, void *stage) {
    return run(bench, stage, &(struct loss){kill_server, "end alone"});
}

int coherence_lost_flush(struct bench *bench, void *stage) {
    return run(bench, stage, &(struct loss){flush_server, "told alone"});
}
