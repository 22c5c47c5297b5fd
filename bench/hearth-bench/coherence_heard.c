/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon a change is heard of. Another process sends a SET; measured is from the moment before it does, until this one's local
 * copy is gone, and, of a change of another key, until a client that asks for it again and again sees it. They take turns: both
 * would compete for the processors otherwise.
 */
#include "hearth-bench/coherence.h"
#include "hearth-bench/report.h"

#include "base/clock.h"
#include "latency.h"

#include <hiredis/hiredis.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHANGES = 10000, CHANGES_QUICK = 500, COMMAND_ROOM = 256, NUMBER_ROOM = 16 };

#define PATIENCE_NS INT64_C(5000000000)
#define OUR_KEY     "copied"
#define PEER_KEY    "polled"

/* What the other process says, in memory of both. */
struct moments {
    _Atomic int64_t sent_ns; /* when it was about to send the last SET */
    _Atomic uint32_t done;   /* which the server has acknowledged */
};

/* What it is to do: the bytes of a SET, which is the number-th change. */
struct wanted_change {
    uint32_t number;
    uint32_t size;
    char command[COMMAND_ROOM];
};

struct hearing {
    hearth *cache;
    hearth *mint; /* makes the values that are to be set, on another server */
    redisContext *minted;
    hearth_value *value;
    redisContext *peer;
    struct moments *moments;
    int wanted; /* the pipe to the other process */
    pid_t pid;
    uint64_t polls;
    struct latency *ours;
    struct latency *theirs;
};

/* ---- the other process ------------------------------------------------------------------ */

/* It was forked from a process with threads, and calls nothing but the kernel. */
static _Noreturn void write_changes(int wanted, int server, struct moments *moments) {
    struct wanted_change change;
    char answer[COMMAND_ROOM];
    while (read(wanted, &change, sizeof change) == (ssize_t)sizeof change) {
        atomic_store(&moments->sent_ns, hearth__monotonic_ns());
        if (write(server, change.command, change.size) != (ssize_t)change.size ||
            read(server, answer, sizeof answer) < 1 || answer[0] != '+') {
            _exit(EXIT_FAILURE);
        }
        atomic_store(&moments->done, change.number);
    }
    _exit(EXIT_SUCCESS);
}

static int start_writer(struct hearing *hearing, const struct bench *bench, const char *path) {
    int ends[2];
    redisContext *server = redisConnectUnix(path);
    if (server == NULL || server->err != 0 || pipe(ends) != 0) {
        redisFree(server);
        return bench_fail(bench, "no connection for another process");
    }
    hearing->pid = fork();
    if (hearing->pid == 0) {
        (void)close(ends[1]);
        write_changes(ends[0], server->fd, hearing->moments);
    }
    (void)close(ends[0]);
    redisFree(server);
    hearing->wanted = ends[1];
    return hearing->pid > 0 ? 0 : bench_fail(bench, "no process");
}

static bool want_change(const struct hearing *hearing, const char *key, const void *value,
                        size_t value_size, uint32_t number) {
    struct wanted_change change = {.number = number};
    char *command = NULL;
    int size = redisFormatCommand(&command, "SET %s %b", key, value, value_size);
    bool fits = size > 0 && size <= (int)sizeof change.command;
    if (fits) {
        memcpy(change.command, command, (size_t)size);
        change.size = (uint32_t)size;
    }
    redisFreeCommand(command);
    return fits && write(hearing->wanted, &change, sizeof change) == (ssize_t)sizeof change;
}

static size_t write_number(char *text, uint32_t number) {
    return (size_t)snprintf(text, NUMBER_ROOM, "%u", (unsigned)number);
}

/* A value as another Hearth would write it: what others write is not kept in the local tier. */
static bool want_our_change(const struct hearing *hearing, uint32_t number) {
    char text[NUMBER_ROOM];
    size_t size = write_number(text, number);
    if (hearth_set(hearing->mint, OUR_KEY, strlen(OUR_KEY), text, size, NULL) != HEARTH_OK) {
        return false;
    }
    redisReply *reply = redisCommand(hearing->minted, "GET " OUR_KEY);
    bool wanted = reply != NULL && reply->type == REDIS_REPLY_STRING &&
                  want_change(hearing, OUR_KEY, reply->str, reply->len, number);
    freeReplyObject(reply);
    return wanted;
}

static bool want_peer_change(const struct hearing *hearing, uint32_t number) {
    char text[NUMBER_ROOM];
    size_t size = write_number(text, number);
    return want_change(hearing, PEER_KEY, text, size, number);
}

/* Waits for the other process's account. False: it has none, or the change was seen before it was made. */
static bool record(struct latency *latency, const struct hearing *hearing, uint32_t number,
                   int64_t seen_ns) {
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    while (atomic_load(&hearing->moments->done) != number) {
        if (hearth__monotonic_ns() > until_ns) {
            return false;
        }
        (void)sched_yield();
    }
    int64_t took_ns = seen_ns - atomic_load(&hearing->moments->sent_ns);
    if (took_ns < 0) {
        return false;
    }
    latency_record(latency, (uint64_t)took_ns);
    return true;
}

/* ---- who hears of it -------------------------------------------------------------------- */

static bool has_copy(const struct hearing *hearing) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    return hearth_get(hearing->cache, OUR_KEY, strlen(OUR_KEY), &read, NULL) == HEARTH_OK;
}

/* Reads until there is a copy, which there is not while a change is being heard. False: the answer is not `number`. */
static bool make_copy(const struct hearing *hearing, uint32_t number) {
    char text[NUMBER_ROOM];
    size_t size = write_number(text, number);
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    do {
        if (hearth__monotonic_ns() > until_ns ||
            hearth_get(hearing->cache, OUR_KEY, strlen(OUR_KEY), NULL, hearing->value) !=
                HEARTH_OK ||
            hearth_value_size(hearing->value) != size ||
            memcmp(hearth_value_data(hearing->value), text, size) != 0) {
            return false;
        }
    } while (!has_copy(hearing));
    return true;
}

static bool hear(struct hearing *hearing, uint32_t number) {
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    if (!want_our_change(hearing, number)) {
        return false;
    }
    while (has_copy(hearing)) {
        if (hearth__monotonic_ns() > until_ns) {
            return false;
        }
        (void)sched_yield();
    }
    return record(hearing->ours, hearing, number, hearth__monotonic_ns()) &&
           make_copy(hearing, number);
}

static bool poll_once(struct hearing *hearing, uint32_t number, bool *seen) {
    redisReply *reply = redisCommand(hearing->peer, "GET " PEER_KEY);
    bool answered = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    *seen = answered && reply->type == REDIS_REPLY_STRING &&
            strtoul(reply->str, NULL, 10) == number;
    freeReplyObject(reply);
    hearing->polls++;
    return answered;
}

static bool poll_until_seen(struct hearing *hearing, uint32_t number) {
    int64_t until_ns = hearth__monotonic_ns() + PATIENCE_NS;
    bool seen = false;
    if (!want_peer_change(hearing, number)) {
        return false;
    }
    while (!seen) {
        if (!poll_once(hearing, number, &seen) || hearth__monotonic_ns() > until_ns) {
            return false;
        }
    }
    return record(hearing->theirs, hearing, number, hearth__monotonic_ns());
}

/* ---- the run ---------------------------------------------------------------------------- */

static const struct coherence_setting mint_settings[] = {{"local.max_bytes", "0"},
                                                         {NULL, NULL}};

/* Copies outlive the run: they go because their change was told. */
static const struct coherence_setting settings[] = {
    {"coherence.mode", "tracking"}, {"local.max_ttl_ms", "1h"}, {NULL, NULL}};
static const struct coherence_setting broadcast_settings[] = {
    {"coherence.mode", "tracking"},
    {"coherence.tracking", "broadcast"},
    {"local.max_ttl_ms", "1h"},
    {NULL, NULL}};

static int open_hearing(struct hearing *hearing, const struct bench *bench,
                        const struct coherence_stage *stage,
                        const struct coherence_setting *ours) {
    const char *path = stage->servers.nodes[0].path;
    void *memory = mmap(NULL, sizeof *hearing->moments, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *hearing = (struct hearing){.moments = memory != MAP_FAILED ? memory : NULL,
                                .wanted = -1,
                                .value = hearth_value_new(),
                                .ours = calloc(1, sizeof *hearing->ours),
                                .theirs = calloc(1, sizeof *hearing->theirs)};
    if (hearing->moments == NULL || hearing->value == NULL || hearing->ours == NULL ||
        hearing->theirs == NULL) {
        return bench_fail(bench, "no memory");
    }
    if (start_writer(hearing, bench, path) != 0) {
        return -1;
    }
    hearing->peer = redisConnectUnix(path);
    hearing->minted = redisConnectUnix(stage->servers.nodes[1].path);
    if (hearing->peer == NULL || hearing->peer->err != 0 || hearing->minted == NULL ||
        hearing->minted->err != 0) {
        return bench_fail(bench, "the server does not answer");
    }
    hearing->cache = coherence_open_cache(bench, stage, 0, ours);
    hearing->mint = coherence_open_cache(bench, stage, 1, mint_settings);
    return hearing->cache != NULL && hearing->mint != NULL ? 0 : -1;
}

static void close_hearing(struct hearing *hearing) {
    if (hearing->wanted >= 0) {
        (void)close(hearing->wanted); /* and so the other process ends */
    }
    if (hearing->pid > 0) {
        (void)waitpid(hearing->pid, NULL, 0);
    }
    if (hearing->cache != NULL) {
        (void)hearth_close(hearing->cache);
    }
    if (hearing->mint != NULL) {
        (void)hearth_close(hearing->mint);
    }
    redisFree(hearing->peer);
    redisFree(hearing->minted);
    hearth_value_free(hearing->value);
    free(hearing->ours);
    free(hearing->theirs);
    if (hearing->moments != NULL) {
        (void)munmap(hearing->moments, sizeof *hearing->moments);
    }
}

static void report(struct bench *bench, const struct hearing *hearing) {
    static const struct {
        const char *metric;
        double percent;
    } rows[] = {{"p50", 50}, {"p99", 99}, {"longest", 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ours = (double)latency_percentile(hearing->ours, rows[i].percent) / 1e3;
        double theirs = (double)latency_percentile(hearing->theirs, rows[i].percent) / 1e3;
        bench_row(bench, rows[i].metric, "us", (struct figure){ours, -1}, "polling",
                  (struct figure){theirs, -1});
    }
    report_note(bench, "polling asks the server all the time, %.1f times a change",
                (double)hearing->polls / (double)hearing->theirs->count);
}

/*
 * The first copy is read while the listener still connects, and ends when it has, which may be before the change is made: that is
 * once in the life of a cache, and not what is measured.
 */
static bool begin(struct hearing *hearing, uint32_t *number) {
    bool fine = want_our_change(hearing, ++*number) &&
                record(hearing->ours, hearing, *number, INT64_MAX) &&
                make_copy(hearing, *number);
    fine = fine && (hear(hearing, ++*number) ||
                    (make_copy(hearing, *number) && hear(hearing, ++*number)));
    latency_clear(hearing->ours);
    return fine;
}

static int measure(struct bench *bench, struct hearing *hearing) {
    uint32_t changes = bench->quick ? CHANGES_QUICK : CHANGES;
    uint32_t number = 0;
    bool fine = begin(hearing, &number);
    bench_progress(bench, "%u changes", changes);
    for (uint32_t i = 0; fine && i < changes; i++) {
        fine = hear(hearing, ++number) && poll_until_seen(hearing, ++number);
    }
    bench_progress_end(bench);
    if (!fine) {
        return bench_fail(bench, "change %u was not made, not heard of, or heard wrongly",
                          number);
    }
    report(bench, hearing);
    return 0;
}

static int run(struct bench *bench, const struct coherence_stage *stage,
               const struct coherence_setting *ours) {
    struct hearing hearing;
    int result = open_hearing(&hearing, bench, stage, ours);
    result = result == 0 ? measure(bench, &hearing) : result;
    close_hearing(&hearing);
    return result;
}

int coherence_heard(struct bench *bench, void *stage) {
    return run(bench, stage, settings);
}

int coherence_heard_broadcast(struct bench *bench, void *stage) {
    return run(bench, stage, broadcast_settings);
}
