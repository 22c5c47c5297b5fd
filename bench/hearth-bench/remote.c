/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite `remote`: many threads and a few connections, beside one connection a thread. The
 * local tier is off where it would answer, and the servers are the harness's own.
 *
 * Case names: where they run (`pinned-`: clients and servers on one processor; `free-`: as the
 * scheduler places them), what is asked, the number of nodes if it is not one, and threads.
 */
#include "hearth-bench/remote_async.h"
#include "hearth-bench/remote_dead.h"
#include "hearth-bench/remote_site.h"

#include <stdlib.h>

enum { DELAY_MS = 20 };

struct remote {
    struct site one;
    struct site three;
    struct site delayed; /* three, and one of them answers late */
    struct site memcached;
};

static void *remote_open(struct bench *bench) {
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        (void)bench_fail(bench, "no memory");
    }
    return remote;
}

static void remote_close(void *arg) {
    struct remote *remote = arg;
    site_close(&remote->one);
    site_close(&remote->three);
    site_close(&remote->delayed);
    site_close(&remote->memcached);
    free(remote);
}

static int open_one(struct remote *remote, const struct bench *bench) {
    return site_open(&remote->one, bench, &(struct site_plan){SERVER_REDIS, 1, false});
}

static int open_three(struct remote *remote, const struct bench *bench) {
    return site_open(&remote->three, bench, &(struct site_plan){SERVER_REDIS, 3, false});
}

static int open_delayed(struct remote *remote, const struct bench *bench) {
    return site_open(&remote->delayed, bench, &(struct site_plan){SERVER_REDIS, 3, true});
}

static int open_memcached(struct remote *remote, const struct bench *bench) {
    return site_open(&remote->memcached, bench,
                     &(struct site_plan){SERVER_MEMCACHED, 1, false});
}

/* ---- cases ------------------------------------------------------------------------------- */

/* Parties on servers of one or two sites. */
static int run_some(struct bench *bench, const struct site *site, const struct site *other,
                    struct swarm_party *parties, size_t count) {
    pid_t pids[2 * NODES_MOST];
    struct swarm_place place = {.pinned = strncmp(bench->case_name, "pinned", 6) == 0,
                                .servers = pids,
                                .slow_ms = site->late_ms};
    for (size_t i = 0; i < site->nodes; i++) {
        pids[place.count++] = site->pids[i];
    }
    for (size_t i = 0; other != NULL && i < other->nodes; i++) {
        pids[place.count++] = other->pids[i];
    }
    const char *threads = strrchr(bench->case_name, '-') + 1;
    for (size_t i = 0; i < count; i++) {
        parties[i].threads = (unsigned)strtoul(threads, NULL, 10);
    }
    return swarm_contest(bench, &place, parties, count);
}

static int run_parties(struct bench *bench, const struct site *site, const struct site *other,
                       struct swarm_party *parties) {
    return run_some(bench, site, other, parties, 2);
}

static void report_beside(struct bench *bench, const struct swarm_party *ours,
                          const struct swarm_party *theirs, const char *peer) {
    bench_row(bench, "throughput", "kops/s", swarm_throughput(bench, ours), peer,
              swarm_throughput(bench, theirs));
    bench_row(bench, "p99", "us", swarm_p99(bench, ours), peer, swarm_p99(bench, theirs));
    bench_row(bench, "cpu", "us", swarm_cpu(bench, ours), peer, swarm_cpu(bench, theirs));
}

static int report(struct bench *bench, const struct swarm_party *parties, const char *peer) {
    report_beside(bench, &parties[0], &parties[1], peer);
    return 0;
}

static int contest(struct bench *bench, struct site *site, swarm_ask *ours, swarm_ask *theirs) {
    struct swarm_party parties[] = {{.ask = ours, .arg = &site->plain},
                                    {.ask = theirs, .arg = site->hiredis}};
    int result = run_parties(bench, site, NULL, parties);
    return result == 0 ? report(bench, parties, "hiredis") : result;
}

static int get(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_one(remote, bench) == 0 ? contest(bench, &remote->one, our_get, hiredis_get)
                                        : -1;
}

static int get_3n(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_three(remote, bench) == 0 ? contest(bench, &remote->three, our_get, hiredis_get)
                                          : -1;
}

static int mixed90(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_one(remote, bench) == 0 ? contest(bench, &remote->one, our_mixed, hiredis_mixed)
                                        : -1;
}

static int get_ttl(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->one;
    if (open_one(arg, bench) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = our_get, .arg = &site->kept},
                                    {.ask = hiredis_get_ttl, .arg = site->hiredis}};
    hearth_stats stats = {.size = sizeof stats};
    if (run_parties(bench, site, NULL, parties) != 0) {
        return -1;
    }
    (void)hearth_stats_get(site->kept.cache, &stats);
    return stats.local_hits == 0 ? report(bench, parties, "hiredis")
                                 : bench_fail(bench, "the local tier answered");
}

/* How long the small ones take. */
static bool is_small_ours(const void *arg, unsigned thread, uint64_t count) {
    return !client_is_large(((const struct our_client *)arg)->keys, thread, count);
}

static bool is_small_theirs(const void *arg, unsigned thread, uint64_t count) {
    return !client_is_large(hiredis_keys(arg), thread, count);
}

static int get_large(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->one;
    if (open_one(arg, bench) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {
        {.ask = our_get_large, .arg = &site->plain, .is_timed = is_small_ours},
        {.ask = hiredis_get_large, .arg = site->hiredis, .is_timed = is_small_theirs}};
    int result = run_parties(bench, site, NULL, parties);
    return result == 0 ? report(bench, parties, "hiredis") : result;
}

static int contest_memcached(struct bench *bench, struct remote *remote, swarm_ask *ours,
                             swarm_ask *theirs) {
    struct site *site = &remote->memcached;
    if (open_memcached(remote, bench) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = ours, .arg = &site->plain},
                                    {.ask = theirs, .arg = site->libmemcached}};
    int result = run_parties(bench, site, NULL, parties);
    return result == 0 ? report(bench, parties, "libmemcached") : result;
}

static int memcached_case_get(struct bench *bench, void *arg) {
    return contest_memcached(bench, arg, our_get, libmemcached_get);
}

static int memcached_case_set(struct bench *bench, void *arg) {
    return contest_memcached(bench, arg, our_set_always, libmemcached_set);
}

/* Keys of three nodes in one call, beside a pipeline of as many on one node; and beside a pipeline to each of the three, which is
 * what the servers and the kernel take for them. */
static int get_many(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    if (open_one(remote, bench) != 0 || open_three(remote, bench) != 0) {
        return -1;
    }
    struct swarm_party parties[] = {{.ask = our_get_many, .arg = &remote->three.plain},
                                    {.ask = hiredis_pipeline, .arg = remote->one.hiredis},
                                    {.ask = hiredis_pipelines, .arg = remote->three.hiredis}};
    int result = run_some(bench, &remote->three, &remote->one, parties, 3);
    if (result == 0) {
        report_beside(bench, &parties[0], &parties[1], "hiredis");
        report_beside(bench, &parties[0], &parties[2], "hiredis-3n");
    }
    return result;
}

/* The same where one node answers 20 ms late, beside a pipeline on that node. */
static int get_many_delayed(struct bench *bench, void *arg) {
    struct site *site = &((struct remote *)arg)->delayed;
    if (open_delayed(arg, bench) != 0) {
        return -1;
    }
    proxy_delay(site->proxy, PROXY_TO_CLIENT, DELAY_MS);
    site->late_ms = DELAY_MS;
    struct swarm_party parties[] = {{.ask = our_get_many, .arg = &site->plain},
                                    {.ask = hiredis_pipeline, .arg = site->hiredis}};
    int result = run_parties(bench, site, NULL, parties);
    proxy_delay(site->proxy, PROXY_TO_CLIENT, 0);
    site->late_ms = 0;
    return result == 0 ? report(bench, parties, "hiredis") : result;
}

/* One thread that submits gets and collects them, beside a pipeline of 64 on one node. */
static int contest_async(struct bench *bench, struct remote *remote, struct site *site,
                         size_t in_flight, bool polls) {
    struct async_client *async = calloc(1, sizeof *async);
    int result = async != NULL ? 0 : bench_fail(bench, "no memory");
    if (result == 0) {
        result = async_open(async, bench, &site->plain, in_flight, polls);
    }
    struct swarm_party parties[] = {{.ask = async_get, .arg = async},
                                    {.ask = hiredis_pipeline, .arg = remote->one.hiredis}};
    if (result == 0) {
        result = run_parties(bench, site, site == &remote->one ? NULL : &remote->one, parties);
    }
    if (async != NULL) {
        async_close(async);
        free(async);
    }
    return result == 0 ? report(bench, parties, "hiredis") : result;
}

static int async_64(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_one(remote, bench) == 0
               ? contest_async(bench, remote, &remote->one, MANY, false)
               : -1;
}

static int async_64_polled(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_one(remote, bench) == 0 ? contest_async(bench, remote, &remote->one, MANY, true)
                                        : -1;
}

static int async_1024(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_one(remote, bench) == 0 && open_three(remote, bench) == 0
               ? contest_async(bench, remote, &remote->three, ASYNC_MOST, false)
               : -1;
}

static int async_1024_polled(struct bench *bench, void *arg) {
    struct remote *remote = arg;
    return open_one(remote, bench) == 0 && open_three(remote, bench) == 0
               ? contest_async(bench, remote, &remote->three, ASYNC_MOST, true)
               : -1;
}

static int dead_refused(struct bench *bench, void *arg) {
    return open_delayed(arg, bench) == 0
               ? remote_dead_refused(bench, &((struct remote *)arg)->delayed)
               : -1;
}

static int dead_silent(struct bench *bench, void *arg) {
    return open_delayed(arg, bench) == 0
               ? remote_dead_silent(bench, &((struct remote *)arg)->delayed)
               : -1;
}

static int dead_flapping(struct bench *bench, void *arg) {
    return open_delayed(arg, bench) == 0
               ? remote_dead_flapping(bench, &((struct remote *)arg)->delayed)
               : -1;
}

#define CASES_OF(asks, run, what)                                                           \
    {"pinned-" asks "-1t", what ", one thread, on one processor", run},                     \
        {"pinned-" asks "-4t", "4 threads", run}, {"pinned-" asks "-8t", "8 threads", run}, \
        {"pinned-" asks "-16t", "16 threads", run},                                         \
        {"pinned-" asks "-32t", "32 threads", run},                                         \
        {"pinned-" asks "-64t", "64 threads", run},                                         \
        {"pinned-" asks "-256t", "256 threads", run},                                       \
        {"free-" asks "-1t", what ", one thread, as the scheduler likes", run},             \
        {"free-" asks "-4t", "4 threads", run}, {"free-" asks "-8t", "8 threads", run},     \
        {"free-" asks "-16t", "16 threads", run}, {"free-" asks "-32t", "32 threads", run}, \
        {"free-" asks "-64t", "64 threads", run}, {                                         \
        "free-" asks "-256t", "256 threads", run                                            \
    }

#define SOME_CASES_OF(asks, run, what)                                                        \
    {"pinned-" asks "-1t", what ", one thread, on one processor", run},                       \
        {"pinned-" asks "-4t", "4 threads", run}, {"pinned-" asks "-16t", "16 threads", run}, \
        {"pinned-" asks "-64t", "64 threads", run},                                           \
        {"free-" asks "-1t", what ", one thread, as the scheduler likes", run},               \
        {"free-" asks "-4t", "4 threads", run}, {"free-" asks "-16t", "16 threads", run}, {   \
        "free-" asks "-64t", "64 threads", run                                                \
    }

static const struct bench_case cases[] = {
    CASES_OF("get", get, "hearth_get of 100 bytes from a Redis node"),
    CASES_OF("get-ttl", get_ttl, "the same with the remaining life"),
    CASES_OF("mixed90", mixed90, "nine gets and a set"),
    CASES_OF("get-3n", get_3n, "hearth_get from three nodes"),
    SOME_CASES_OF("get-large", get_large, "the small ones, where one in 100 has 1 MiB"),
    SOME_CASES_OF("memcached-get", memcached_case_get, "hearth_get from a Memcached node"),
    SOME_CASES_OF("memcached-set", memcached_case_set, "hearth_set to a Memcached node"),
    {"pinned-get-many64-3n-1t", "64 keys of three nodes, and a pipeline on one", get_many},
    {"free-get-many64-3n-1t", "as the scheduler likes", get_many},
    {"free-get-many64-delayed-1t", "one of the nodes answers 20 ms late", get_many_delayed},
    {"free-async-get-64f-1t", "64 gets in flight, and a pipeline", async_64},
    {"free-async-get-64f-poll-1t", "the same from an event loop", async_64_polled},
    {"free-async-get-1024f-3n-1t", "1024 in flight on three nodes", async_1024},
    {"free-async-get-1024f-3n-poll-1t", "the same from an event loop", async_1024_polled},
    {"free-dead-refused-4t", "one of three nodes refuses; the others beside it", dead_refused},
    {"free-dead-silent-4t", "it answers nothing", dead_silent},
    {"free-dead-flapping-4t", "it is silent every other second", dead_flapping},
};

const struct suite suite_remote = {
    .name = "remote",
    .what = "threads that share a few connections to servers, beside clients with one a thread",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
    .open = remote_open,
    .close = remote_close,
};
