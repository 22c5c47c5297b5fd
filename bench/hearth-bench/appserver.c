/* SPDX-License-Identifier: Apache-2.0 */
/* The suite appserver: what an HTTP server gains by Hearth, and what it stands. The server is bench/appserver, on three Redis
 * nodes; wrk asks it. They share the machine. */
#include "hearth-bench/appserver_run.h"
#include "hearth-bench/processors.h"
#include "hearth-bench/report.h"
#include "origin.h"
#include "sample.h"
#include "support/servers.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum {
    NODES = 3,
    URL_BYTES = 512,
    PATH_BYTES = 128,
    NUMBER_BYTES = 16,
    CONNECTIONS = 64,
    WAITING = 10000,
    SPARE_FILES = 256,
    KILLED_S = 6,
    KILLED_QUICK_S = 2,
    HELD_S = 12,
    HELD_QUICK_S = 2,
    HELD_LOAD_MS = 2000,
    HELD_LOAD_QUICK_MS = 500,
};

static const uint64_t LOAD_NS = 1000000; /* what a load takes */
static const double HELD_LIMIT_MS = 1;

struct shop_stage {
    struct servers servers;
    bool has_servers;
    bool has_wrk;
    char url[URL_BYTES];
    char database[PATH_BYTES];
    char pages[PATH_BYTES]; /* a script of wrk's: one of a few hundred pages each time */
    char few[PATH_BYTES];   /* one of a dozen */
    char peers[NUMBER_BYTES];
};

/* ---- stage --------------------------------------------------------------------------------- */

static bool write_script(const struct shop_stage *stage, char path[PATH_BYTES],
                         const char *name, int pages) {
    (void)snprintf(path, PATH_BYTES, "%s/%s.lua", stage->servers.folder, name);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file,
                  "request = function()\n"
                  "    return wrk.format('GET', '/product/' .. math.random(0, %d))\n"
                  "end\n",
                  pages - 1);
    return fclose(file) == 0;
}

static int build(struct bench *bench, struct shop_stage *stage) {
    char error[URL_BYTES] = "";
    struct origin_summary summary;
    struct origin *origin = NULL;
    struct origin_calibration found;
    (void)snprintf(stage->database, PATH_BYTES, "%s/products.db", stage->servers.folder);
    int built =
        bench->quick
            ? origin_build_small(stage->database, &summary, error, sizeof error)
            : origin_build(stage->database, false, NULL, NULL, &summary, error, sizeof error);
    if (built != 0 ||
        origin_open(stage->database, ORIGIN_PEERS_MIN, &origin, error, sizeof error) != 0) {
        return bench_fail(bench, "%s", error);
    }
    int result = origin_calibrate(origin, LOAD_NS, &found);
    origin_close(origin);
    if (result != 0) {
        return bench_fail(bench, "the database does not answer");
    }
    (void)snprintf(stage->peers, NUMBER_BYTES, "%u", found.peers);
    return 0;
}

static int start_servers(struct bench *bench, struct shop_stage *stage) {
    if (servers_open(&stage->servers) != 0) {
        return bench_fail(bench, "%s", stage->servers.error);
    }
    stage->has_servers = true;
    for (int i = 0; i < NODES; i++) {
        if (servers_start(&stage->servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0) {
            return bench_fail(bench, "%s", stage->servers.error);
        }
    }
    if (servers_url(&stage->servers, SERVER_REDIS, stage->url, sizeof stage->url) != 0 ||
        !write_script(stage, stage->pages, "pages", 200) ||
        !write_script(stage, stage->few, "few", 12)) {
        return bench_fail(bench, "no files");
    }
    return 0;
}

static void close_stage(void *arg) {
    struct shop_stage *stage = arg;
    if (stage->has_servers) {
        servers_stop(&stage->servers);
    }
    free(stage);
}

static void *open_stage(struct bench *bench) {
    struct shop_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL) {
        (void)bench_fail(bench, "no memory");
        return NULL;
    }
    stage->has_wrk = wrk_is_there();
    if (stage->has_wrk && (start_servers(bench, stage) != 0 || build(bench, stage) != 0)) {
        close_stage(stage);
        return NULL;
    }
    return stage;
}

/* True: there is nothing to ask with. */
static bool is_without_wrk(const struct bench *bench, const struct shop_stage *stage) {
    if (!stage->has_wrk) {
        report_note(bench, "not measured: wrk is not installed (`make deps-test`)");
    }
    return !stage->has_wrk;
}

/* ---- one viral page ------------------------------------------------------------------------ */

static int measure(const struct bench *bench, const struct appserver_run *run,
                   double *per_second) {
    const struct wrk_load load = {.connections = CONNECTIONS, .seconds = bench->quick ? 1 : 2};
    struct wrk_result result;
    FILE *wrk = wrk_begin(bench, run, &load);
    if (wrk == NULL || wrk_end(bench, wrk, &result) != 0) {
        return -1;
    }
    *per_second = result.per_second;
    return result.failed == 0 ? 0 : bench_fail(bench, "%.0f requests failed", result.failed);
}

static int contest(struct bench *bench, const struct appserver_run *ours,
                   const struct appserver_run *theirs) {
    double our_rates[ROUNDS_MOST];
    double their_rates[ROUNDS_MOST];
    unsigned rounds = bench->quick ? 1 : bench->rounds; /* a round takes 2 s at least */
    for (unsigned i = 0; i < rounds; i++) {
        bench_progress(bench, "round %u of %u", i + 1, rounds);
        if (measure(bench, ours, &our_rates[i]) != 0 ||
            measure(bench, theirs, &their_rates[i]) != 0) {
            return -1;
        }
    }
    bench_row(bench, "requests", "1/s",
              (struct figure){sample_median(our_rates, rounds),
                              rounds != 1 ? sample_spread(our_rates, rounds) : -1},
              "without-hearth",
              (struct figure){sample_median(their_rates, rounds),
                              rounds != 1 ? sample_spread(their_rates, rounds) : -1});
    return 0;
}

static int viral(struct bench *bench, struct shop_stage *stage, const char *mode) {
    const char *const with[] = {"--database", stage->database, "--peers",
                                stage->peers, "--mode",        mode,
                                "--remote",   stage->url,      NULL};
    const char *const without[] = {
        "--database", stage->database,    "--peers", stage->peers, "--mode",
        mode,         "--without-hearth", NULL};
    struct appserver_run ours;
    struct appserver_run theirs = {.pid = 0};
    if (is_without_wrk(bench, stage)) {
        return 0;
    }
    int result = appserver_start(bench, &ours, with);
    result = result == 0 ? appserver_start(bench, &theirs, without) : result;
    result = result == 0 ? contest(bench, &ours, &theirs) : result;
    result |= appserver_stop(bench, &ours);
    result |= appserver_stop(bench, &theirs);
    return result;
}

static int viral_loop(struct bench *bench, void *stage) {
    return viral(bench, stage, "loop");
}

static int viral_threads(struct bench *bench, void *stage) {
    return viral(bench, stage, "threads");
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

/* The load runs on meanwhile. */
static void sleep_ms(long ms) {
    const struct timespec length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&length, NULL);
}

/* Each request asks a node, and one is killed when a third of the time is over. */
static int kill_one(const struct bench *bench, struct shop_stage *stage,
                    const struct appserver_run *run, struct wrk_result *result) {
    unsigned seconds = bench->quick ? KILLED_QUICK_S : KILLED_S;
    const struct wrk_load load = {
        .connections = CONNECTIONS, .seconds = seconds, .script = stage->pages};
    FILE *wrk = wrk_begin(bench, run, &load);
    if (wrk == NULL) {
        return -1;
    }
    sleep_ms((long)seconds * 1000 / 3);
    int killed = servers_kill(&stage->servers, 1);
    int ended = wrk_end(bench, wrk, result);
    int back = servers_restart(&stage->servers, 1);
    return killed == 0 && back == 0 ? ended : bench_fail(bench, "%s", stage->servers.error);
}

static int node_killed(struct bench *bench, void *arg) {
    struct shop_stage *stage = arg;
    const char *const arguments[] = {"--database", stage->database,     "--peers",
                                     stage->peers, "--remote",          stage->url,
                                     "--option",   "local.max_bytes=0", NULL};
    struct appserver_run run;
    struct wrk_result seen = {.failed = 0};
    if (is_without_wrk(bench, stage)) {
        return 0;
    }
    int result = appserver_start(bench, &run, arguments);
    result = result == 0 ? kill_one(bench, stage, &run, &seen) : result;
    result |= appserver_stop(bench, &run);
    if (result == 0) {
        bench_row(bench, "failed requests", "", (struct figure){seen.failed + run.failed, -1},
                  "requests", (struct figure){run.requests, -1});
    }
    return result;
}

/* As many as there can be descriptors for. */
static unsigned waiting_most(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return CONNECTIONS;
    }
    limit.rlim_cur = limit.rlim_max; /* the server and wrk inherit it */
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < WAITING + SPARE_FILES ? (unsigned)limit.rlim_cur - SPARE_FILES
                                                  : WAITING;
}

static unsigned load_ms(const struct bench *bench) {
    return bench->quick ? HELD_LOAD_QUICK_MS : HELD_LOAD_MS;
}

/* wrk has a processor of its own: what the system does for its packets would be done in the time of whichever thread is there. */
static int stop_one(const struct bench *bench, struct shop_stage *stage,
                    const struct appserver_run *run, unsigned waiting,
                    struct wrk_result *result) {
    const struct wrk_load load = {.connections = waiting,
                                  .seconds = bench->quick ? HELD_QUICK_S : HELD_S,
                                  .script = stage->few};
    int stopped = servers_pause(&stage->servers, 1);
    FILE *wrk = stopped == 0 ? wrk_begin(bench, run, &load) : NULL;
    int ended = wrk != NULL ? wrk_end(bench, wrk, result) : -1;
    int back = servers_resume(&stage->servers, 1);
    return stopped == 0 && back == 0 ? ended : bench_fail(bench, "%s", stage->servers.error);
}

static void report_held(struct bench *bench, const struct appserver_run *run, double failed) {
    bench_row(bench, "loop held", "ms", (struct figure){run->held_ms, -1}, "limit",
              (struct figure){HELD_LIMIT_MS, -1});
    bench_row(bench, "held, wall clock", "ms", (struct figure){run->held_whole_ms, -1}, "limit",
              (struct figure){HELD_LIMIT_MS, -1});
    bench_row(bench, "held by hearth", "ms", (struct figure){run->held_in_cache_ms, -1},
              "by answers", (struct figure){run->held_outside_ms, -1});
    bench_row(bench, "failed requests", "", (struct figure){failed, -1}, "requests",
              (struct figure){run->requests, -1});
}

/* `alone`: the loop has a processor for itself, as the arguments say; else wrk has. */
static int hold(struct bench *bench, struct shop_stage *stage, const char *const *arguments,
                const struct processors *processors, bool alone) {
    struct appserver_run run;
    struct wrk_result seen = {.failed = 0};
    unsigned waiting = waiting_most();
    processors_use(processors, alone ? &processors->all : &processors->servers);
    int result = appserver_start(bench, &run, arguments);
    processors_use(processors, alone ? &processors->servers : &processors->clients);
    result = result == 0 ? stop_one(bench, stage, &run, waiting, &seen) : result;
    processors_use(processors, &processors->all);
    result |= appserver_stop(bench, &run);
    if (result == 0) {
        report_note(bench, "%u requests at once, a node stopped, loads of %u ms%s", waiting,
                    load_ms(bench),
                    alone                 ? "; the loop on a processor of its own"
                    : processors->divided ? "; wrk on a processor of its own"
                                          : "");
        report_held(bench, &run, seen.failed + run.failed);
    }
    return result;
}

static int held(struct bench *bench, void *arg) {
    struct shop_stage *stage = arg;
    char wait[NUMBER_BYTES];
    const char *const arguments[] = {"--database", stage->database, "--peers",     stage->peers,
                                     "--remote",   stage->url,      "--load-wait", wait,
                                     NULL};
    struct processors processors;
    if (is_without_wrk(bench, stage)) {
        return 0;
    }
    (void)snprintf(wait, sizeof wait, "%u", load_ms(bench));
    processors_divide(&processors);
    return hold(bench, stage, arguments, &processors, false);
}

static void place_nodes(const struct shop_stage *stage, const cpu_set_t *some) {
    for (size_t i = 0; i < NODES; i++) {
        processors_place(stage->servers.nodes[i].pid, some);
    }
}

/* All others share what is left: the nodes, wrk, and the server's other threads, of which the loop is to start none, or they would be
 * where it is. */
static int held_alone(struct bench *bench, void *arg) {
    struct shop_stage *stage = arg;
    char wait[NUMBER_BYTES];
    char processor[NUMBER_BYTES];
    const char *const arguments[] = {"--database", stage->database,    "--peers",
                                     stage->peers, "--remote",         stage->url,
                                     "--option",   "submit.threads=1", "--load-wait",
                                     wait,         "--loop-processor", processor,
                                     NULL};
    struct processors processors;
    if (is_without_wrk(bench, stage)) {
        return 0;
    }
    processors_divide(&processors);
    if (!processors.divided) {
        report_note(bench, "not measured: there is one processor");
        return 0;
    }
    (void)snprintf(wait, sizeof wait, "%u", load_ms(bench));
    (void)snprintf(processor, sizeof processor, "%zu", processors.last);
    place_nodes(stage, &processors.servers);
    int result = hold(bench, stage, arguments, &processors, true);
    place_nodes(stage, &processors.all);
    return result;
}

static const struct bench_case cases[] = {
    {"viral-loop", "one page that all want, an event loop", viral_loop},
    {"viral-threads", "the same with four threads that wait", viral_threads},
    {"node-killed", "one of three nodes dies on the way, no local tier", node_killed},
    {"held",
     "longest time that the loop is held: 10,000 wait, a node is stopped, loads take 2 s",
     held},
    {"held-alone", "the same, the loop on a processor of its own, all else on the others",
     held_alone},
};

const struct suite suite_appserver = {
    .name = "appserver",
    .what = "an HTTP server on three Redis nodes, asked by wrk, beside the same without Hearth",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
    .open = open_stage,
    .close = close_stage,
};
