/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server is asked less. Four caches, each on a server of its own, load the same keys and then get all of them ten times a
 * second, for longer than a copy lives with coherence.mode=ttl. What counts is what the servers themselves have counted.
 */
#include "hearth-bench/coherence.h"
#include "hearth-bench/report.h"
#include "hearth-bench/workload.h"

#include "base/clock.h"
#include "pace.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS = 1000, LOADS_QUICK = 250, PASSES = 60, PASSES_QUICK = 12, PASSES_A_SECOND = 10 };

#define PASS_NS (INT64_C(1000000000) / PASSES_A_SECOND)

struct saver {
    hearth *cache;
    redisContext *server;
    uint32_t loads;
    uint64_t by_loads; /* commands */
    uint64_t by_gets;
};

enum { TRACKING, BROADCAST, BY_TTL, NO_LOCAL, SAVERS };

_Static_assert((int)SAVERS == (int)COHERENCE_NODES, "each has a server");

static const struct coherence_setting settings[SAVERS][3] = {
    {{"coherence.mode", "tracking"}},
    {{"coherence.mode", "tracking"}, {"coherence.tracking", "broadcast"}},
    {{"coherence.mode", "ttl"}},
    {{"local.max_bytes", "0"}},
};

/* ---- what the server counted ------------------------------------------------------------ */

/* All commands, those of scripts among them, but not the question itself. */
static uint64_t sum_calls(const char *info) {
    static const char begin[] = "cmdstat_";
    static const char calls[] = ":calls=";
    uint64_t sum = 0;
    for (const char *at = info; (at = strstr(at, begin)) != NULL; at++) {
        const char *number = strstr(at, calls);
        if (number != NULL && strncmp(at, "cmdstat_info:", strlen("cmdstat_info:")) != 0) {
            sum += strtoull(number + strlen(calls), NULL, 10);
        }
    }
    return sum;
}

/* Since the last time that it was asked. */
static int count_commands(struct saver *saver, const struct bench *bench, uint64_t *count) {
    redisReply *reply = redisCommand(saver->server, "INFO commandstats");
    bool answered = reply != NULL && reply->type == REDIS_REPLY_STRING;
    *count = answered ? sum_calls(reply->str) : 0;
    freeReplyObject(reply);
    reply = redisCommand(saver->server, "CONFIG RESETSTAT");
    answered = answered && reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return answered ? 0 : bench_fail(bench, "the server does not say what it was asked");
}

/* ---- loads and gets --------------------------------------------------------------------- */

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    unsigned char value[VALUE_SIZE];
    (void)key;
    (void)key_size;
    value_write(value, sizeof value, *(const uint32_t *)arg);
    return hearth_fill_value(fill, value, sizeof value);
}

static int load_all(const struct saver *saver, const struct bench *bench) {
    uint32_t id = 0;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &id};
    for (; id < saver->loads; id++) {
        char key[KEY_SIZE];
        key_write(key, id);
        int32_t status = hearth_fetch(saver->cache, key, sizeof key, &loader, NULL, NULL, NULL);
        if (status != HEARTH_OK) {
            return bench_fail(bench, "fetch: %s", hearth_strerror(status));
        }
    }
    return 0;
}

static int get_all(const struct saver *saver, const struct bench *bench, hearth_value *value) {
    for (uint32_t id = 0; id < saver->loads; id++) {
        char key[KEY_SIZE];
        key_write(key, id);
        int32_t status = hearth_get(saver->cache, key, sizeof key, NULL, value);
        if (status != HEARTH_OK ||
            !value_is(hearth_value_data(value), hearth_value_size(value), id)) {
            return bench_fail(bench, "get: %s", hearth_strerror(status));
        }
    }
    return 0;
}

/* ---- the run ---------------------------------------------------------------------------- */

static int open_savers(struct saver *savers, const struct bench *bench,
                       const struct coherence_stage *stage) {
    for (size_t i = 0; i < SAVERS; i++) {
        savers[i].loads = bench->quick ? LOADS_QUICK : LOADS;
        savers[i].server = redisConnectUnix(stage->servers.nodes[i].path);
        if (savers[i].server == NULL || savers[i].server->err != 0) {
            return bench_fail(bench, "the server does not answer");
        }
        redisReply *reply = redisCommand(savers[i].server, "FLUSHALL");
        freeReplyObject(reply);
        savers[i].cache = coherence_open_cache(bench, stage, i, settings[i]);
        if (savers[i].cache == NULL) {
            return -1;
        }
    }
    return 0;
}

static void close_savers(struct saver *savers) {
    for (size_t i = 0; i < SAVERS; i++) {
        if (savers[i].cache != NULL) {
            (void)hearth_close(savers[i].cache);
        }
        redisFree(savers[i].server);
    }
}

static int run_all(struct saver *savers, const struct bench *bench, unsigned passes,
                   hearth_value *value) {
    int result = 0;
    for (size_t i = 0; result == 0 && i < SAVERS; i++) {
        result = count_commands(&savers[i], bench, &savers[i].by_loads);
        result = result == 0 ? load_all(&savers[i], bench) : result;
        result = result == 0 ? count_commands(&savers[i], bench, &savers[i].by_loads) : result;
    }
    int64_t begin_ns = hearth__monotonic_ns();
    for (unsigned pass = 0; result == 0 && pass < passes; pass++) {
        pace_until(begin_ns +
                   pass * PASS_NS); /* so that the time that copies live plays its part */
        bench_progress(bench, "pass %u of %u", pass + 1, passes);
        for (size_t i = 0; result == 0 && i < SAVERS; i++) {
            result = get_all(&savers[i], bench, value);
        }
    }
    bench_progress_end(bench);
    for (size_t i = 0; result == 0 && i < SAVERS; i++) {
        result = count_commands(&savers[i], bench, &savers[i].by_gets);
    }
    return result;
}

static void report(struct bench *bench, const struct saver *savers, unsigned passes) {
    static const char *const peers[SAVERS] = {
        [BROADCAST] = "broadcast", [BY_TTL] = "ttl", [NO_LOCAL] = "no-local"};
    struct figure loads[SAVERS];
    struct figure gets[SAVERS];
    for (size_t i = 0; i < SAVERS; i++) {
        loads[i] = (struct figure){(double)savers[i].by_loads / savers[i].loads, -1};
        double thousands = (double)passes * savers[i].loads / 1000;
        gets[i] = (struct figure){(double)savers[i].by_gets / thousands, -1};
    }
    for (size_t i = BROADCAST; i < SAVERS; i++) {
        bench_row(bench, "of a load", "commands", loads[TRACKING], peers[i], loads[i]);
        bench_row(bench, "of 1000 gets", "commands", gets[TRACKING], peers[i], gets[i]);
    }
    report_note(bench, "%u times %u gets, %d times a second; those of tracking: %llu commands",
                passes, (unsigned)savers[TRACKING].loads, PASSES_A_SECOND,
                (unsigned long long)savers[TRACKING].by_gets);
}

int coherence_saved(struct bench *bench, void *stage) {
    struct saver savers[SAVERS] = {{0}};
    unsigned passes = bench->quick ? PASSES_QUICK : PASSES;
    hearth_value *value = hearth_value_new();
    int result = value != NULL ? 0 : bench_fail(bench, "no memory");
    result = result == 0 ? open_savers(savers, bench, stage) : result;
    result = result == 0 ? run_all(savers, bench, passes, value) : result;
    if (result == 0) {
        report(bench, savers, passes);
    }
    close_savers(savers);
    hearth_value_free(value);
    return result;
}
