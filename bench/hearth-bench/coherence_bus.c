/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon a change is heard of over the bus, in front of a Memcached server. One cache deletes a key; measured is from the moment
 * before it does, until another one's local copy is gone. Beside it a client that asks Redis for the stream's messages by itself, and
 * is sent one of the same size: what the bus cannot beat.
 */
#include "hearth-bench/coherence.h"
#include "hearth-bench/report.h"

#include "base/clock.h"
#include "latency.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES = 5000, CHANGES_QUICK = 300, URL_ROOM = 160 };

#define PATIENCE_NS INT64_C(5000000000)
#define KEY         "copied"

/* Who waits for messages, and who sends them. */
struct peer {
    pthread_t thread;
    redisContext *waits;
    redisContext *sends;
    _Atomic uint32_t heard;
    _Atomic bool failed;
};

struct told {
    hearth *reader;
    hearth *writer;
    hearth_value *value;
    struct peer peer;
    struct latency *ours;
    struct latency *theirs;
    struct latency *published; /* what the delete took, the bus included */
};

/* ---- the peer --------------------------------------------------------------------------- */

static void *wait_for_messages(void *arg) {
    struct peer *peer = arg;
    char last[64] = "0-0";
    for (bool ended = false; !ended;) {
        redisReply *reply =
            redisCommand(peer->waits, "XREAD BLOCK 5000 STREAMS peer-stream %s", last);
        if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
            atomic_store(&peer->failed, true);
            freeReplyObject(reply);
            return NULL;
        }
        const redisReply *entries = reply->element[0]->element[1];
        for (size_t i = 0; i < entries->elements; i++) {
            const redisReply *entry = entries->element[i];
            (void)snprintf(last, sizeof last, "%s", entry->element[0]->str);
            ended = entry->element[1]->element[1]->len == 0;
        }
        atomic_fetch_add(&peer->heard, (uint32_t)entries->elements);
        freeReplyObject(reply);
    }
    return NULL;
}

static bool send_message(const struct peer *peer, const char *text) {
    redisReply *reply =
        redisCommand(peer->sends, "XADD peer-stream MAXLEN ~ 1000 * h %s", text);
    bool sent = reply != NULL && reply->type == REDIS_REPLY_STRING;
    freeReplyObject(reply);
    return sent;
}

static bool hear_peer(struct told *told, uint32_t number) {
    int64_t began_ns = hearth__monotonic_ns();
    if (!send_message(&told->peer, "a message of about 26 bytes")) {
        return false;
    }
    while (atomic_load(&told->peer.heard) < number) {
        if (hearth__monotonic_ns() - began_ns > PATIENCE_NS ||
            atomic_load(&told->peer.failed)) {
            return false;
        }
        (void)sched_yield();
    }
    latency_record(told->theirs, (uint64_t)(hearth__monotonic_ns() - began_ns));
    return true;
}

/* ---- the bus ---------------------------------------------------------------------------- */

static bool has_copy(const struct told *told) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    return hearth_get(told->reader, KEY, strlen(KEY), &read, NULL) == HEARTH_OK;
}

/* A copy that is heard of lives for long. */
static bool make_copy(const struct told *told) {
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    hearth_info info = {.size = sizeof info};
    if (hearth_set(told->writer, KEY, strlen(KEY), "value", 5, NULL) != HEARTH_OK) {
        return false;
    }
    while (hearth__monotonic_ns() < until_ns) {
        int32_t status = hearth_get(told->reader, KEY, strlen(KEY), NULL, told->value);
        if (status == HEARTH_OK && hearth_value_info(told->value, &info) == HEARTH_OK &&
            info.tier == HEARTH_TIER_LOCAL && info.ttl_left_ms > 2000) {
            return true;
        }
        if (info.tier == HEARTH_TIER_LOCAL) {
            (void)hearth_evict_local(told->reader, KEY, strlen(KEY));
        }
    }
    return false;
}

static bool hear(struct told *told) {
    if (!make_copy(told)) {
        return false;
    }
    int64_t began_ns = hearth__monotonic_ns();
    if (hearth_delete(told->writer, KEY, strlen(KEY), NULL) != HEARTH_OK) {
        return false;
    }
    int64_t told_ns = hearth__monotonic_ns();
    while (has_copy(told)) {
        if (hearth__monotonic_ns() - began_ns > PATIENCE_NS) {
            return false;
        }
        (void)sched_yield();
    }
    latency_record(told->ours, (uint64_t)(hearth__monotonic_ns() - began_ns));
    latency_record(told->published, (uint64_t)(told_ns - began_ns));
    return true;
}

/* ---- the run ---------------------------------------------------------------------------- */

static int open_told(struct told *told, const struct bench *bench,
                     const struct coherence_stage *stage) {
    char url[URL_ROOM];
    char bus[URL_ROOM];
    const char *path = stage->servers.nodes[0].path;
    (void)snprintf(url, sizeof url, "memcached+unix://%s",
                   stage->servers.nodes[COHERENCE_MEMCACHED].path);
    (void)snprintf(bus, sizeof bus, "redis+unix://%s", path);
    const struct coherence_setting settings[] = {
        {"remote.url", url}, {"coherence.mode", "bus"},   {"coherence.bus_url", bus},
        {"ttl_ms", "1h"},    {"local.max_ttl_ms", "10m"}, {NULL, NULL}};
    *told = (struct told){.value = hearth_value_new(),
                          .ours = calloc(1, sizeof *told->ours),
                          .theirs = calloc(1, sizeof *told->theirs),
                          .published = calloc(1, sizeof *told->published)};
    if (told->value == NULL || told->ours == NULL || told->theirs == NULL ||
        told->published == NULL) {
        return bench_fail(bench, "no memory");
    }
    told->peer.waits = redisConnectUnix(path);
    told->peer.sends = redisConnectUnix(path);
    if (told->peer.waits == NULL || told->peer.waits->err != 0 || told->peer.sends == NULL ||
        told->peer.sends->err != 0) {
        return bench_fail(bench, "the server does not answer");
    }
    told->reader = coherence_open_cache(bench, stage, 0, settings);
    told->writer = coherence_open_cache(bench, stage, 0, settings);
    return told->reader != NULL && told->writer != NULL ? 0 : -1;
}

static void close_told(struct told *told) {
    if (told->reader != NULL) {
        (void)hearth_close(told->reader);
    }
    if (told->writer != NULL) {
        (void)hearth_close(told->writer);
    }
    redisFree(told->peer.waits);
    redisFree(told->peer.sends);
    hearth_value_free(told->value);
    free(told->ours);
    free(told->theirs);
    free(told->published);
}

static void report(struct bench *bench, const struct told *told) {
    static const struct {
        const char *metric;
        double percent;
    } rows[] = {{"p50", 50}, {"p99", 99}, {"longest", 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ours = (double)latency_percentile(told->ours, rows[i].percent) / 1e3;
        double theirs = (double)latency_percentile(told->theirs, rows[i].percent) / 1e3;
        bench_row(bench, rows[i].metric, "us", (struct figure){ours, -1}, "xread",
                  (struct figure){theirs, -1});
    }
    report_note(bench,
                "ours begins before the delete at Memcached; the delete returns, published, "
                "after %.0f us (p50)",
                (double)latency_percentile(told->published, 50) / 1e3);
}

static bool hear_all(struct bench *bench, struct told *told) {
    uint32_t changes = bench->quick ? CHANGES_QUICK : CHANGES;
    bool fine = hear(told); /* once to begin with, while connections are made */
    latency_clear(told->ours);
    latency_clear(told->published);
    bench_progress(bench, "%u changes", changes);
    for (uint32_t i = 0; fine && i < changes; i++) {
        fine = hear(told) && hear_peer(told, i + 1);
    }
    bench_progress_end(bench);
    return fine;
}

int coherence_bus(struct bench *bench, void *stage) {
    struct told told;
    int result = open_told(&told, bench, stage);
    if (result == 0 &&
        pthread_create(&told.peer.thread, NULL, wait_for_messages, &told.peer) != 0) {
        result = bench_fail(bench, "no thread");
    } else if (result == 0) {
        if (hear_all(bench, &told)) {
            report(bench, &told);
        } else {
            result = bench_fail(bench, "a change was not made, or not heard of");
        }
        (void)send_message(&told.peer, "");
        (void)pthread_join(told.peer.thread, NULL);
    }
    close_told(&told);
    return result;
}
