/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/stage.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <hearth/hearth.h>

#include "demo/progress.h"
#include "reference.h"

static const uint64_t LOAD_NS = 1000000; /* what a load is calibrated to */

enum { ERROR_BYTES = 512 };

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the machine ---- */

/* The processor's name, or nothing. */
static void read_model(char *model, size_t size) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    model[0] = '\0';
    while (file != NULL && model[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            (void)snprintf(model, size, ", %.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void say_machine(const struct arguments *arguments) {
    char model[100];
    read_model(model, sizeof model);
    progress_say("Hearth %s. Real servers, a real database, every answer checked.\n",
                 hearth_version());
    progress_say("machine    %ld processors%s; %u threads send requests",
                 sysconf(_SC_NPROCESSORS_ONLN), model, arguments->threads);
}

/* ---- the requests ---- */

/* The stream's beginning; its items are numbered by first appearance. */
static void cut(struct requests *requests, size_t count) {
    uint32_t distinct = 0;
    requests->count = count;
    for (size_t i = 0; i < count; i++) {
        distinct = requests->items[i] >= distinct ? requests->items[i] + 1 : distinct;
    }
    requests->distinct = distinct;
}

static int make_requests(struct stage *stage) {
    const struct arguments *arguments = &stage->arguments;
    char error[ERROR_BYTES];
    if (arguments->trace != NULL) {
        return requests_read(&stage->requests, arguments->trace, TRACE_AUTO,
                             arguments->requests_max, error, sizeof error) == 0
                   ? 0
                   : progress_fail("the trace", error);
    }
    if (requests_generate(&stage->requests, arguments->seed) != 0) {
        return progress_fail("the requests", "no memory");
    }
    if (arguments->requests_max != 0 && arguments->requests_max < stage->requests.count) {
        cut(&stage->requests, arguments->requests_max);
    }
    return 0;
}

static double lru_miss_percent(const struct requests *requests, uint32_t capacity) {
    int64_t misses =
        reference_lru_misses(requests->items, requests->count, requests->distinct, capacity);
    return 100.0 * (double)misses / (double)requests->count;
}

static int open_requests(struct stage *stage) {
    const struct requests *requests = &stage->requests;
    const struct arguments *arguments = &stage->arguments;
    char count[PROGRESS_COUNT_BYTES];
    char distinct[PROGRESS_COUNT_BYTES];
    char source[ERROR_BYTES];
    if (make_requests(stage) != 0) {
        return -1;
    }
    if (arguments->trace != NULL) {
        (void)snprintf(source, sizeof source, "read from %s", arguments->trace);
    } else {
        (void)snprintf(source, sizeof source,
                       "generated with seed %llu,\n"
                       "           in the shape of a shop's real ones (cache2k-web12)",
                       (unsigned long long)arguments->seed);
    }
    progress_say("requests   %s for %s pages, %s", progress_count(count, requests->count),
                 progress_count(distinct, requests->distinct), source);
    progress_say("           (an LRU cache for 1 %% of the pages would miss %.1f %%, for 10 %% "
                 "%.1f %%)",
                 lru_miss_percent(requests, requests->distinct / 100),
                 lru_miss_percent(requests, requests->distinct / 10));
    return 0;
}

/* ---- the servers ---- */

static int start_servers(struct stage *stage) {
    static const char *const memory[] = {"-m", "4096", NULL}; /* a limit, taken as needed */
    for (int i = 0; i < 2 * STAGE_NODES; i++) {
        enum server_kind kind = i < STAGE_NODES ? SERVER_REDIS : SERVER_MEMCACHED;
        bool is_wanted = kind == SERVER_REDIS ? stage->arguments.over_redis
                                              : stage->arguments.over_memcached;
        progress_show("starting servers");
        if (is_wanted && servers_start(&stage->servers, kind, SERVER_UNIX,
                                       kind == SERVER_MEMCACHED ? memory : NULL) != 0) {
            (void)progress_fail("the servers", stage->servers.error);
            return progress_fail("a missing server", "`make deps` installs it");
        }
    }
    return 0;
}

/* A signal between the folder's making and the keeper's would leave the folder behind. */
static int open_servers(struct stage *stage) {
    sigset_t ending;
    sigset_t before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &ending, &before);
    int result = servers_cleanup_on_signals() == 0 ? servers_open(&stage->servers) : -1;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        return progress_fail("the servers", stage->servers.error);
    }
    stage->has_servers = true;
    if (start_servers(stage) != 0) {
        return -1;
    }
    progress_say("servers    %d Redis and %d Memcached nodes on unix sockets, with memory for "
                 "everything",
                 stage->arguments.over_redis ? STAGE_NODES : 0,
                 stage->arguments.over_memcached ? STAGE_NODES : 0);
    return 0;
}

size_t stage_nodes(const struct stage *stage, enum server_kind kind, size_t *places) {
    size_t found = 0;
    for (size_t i = 0; i < stage->servers.count && found < STAGE_NODES; i++) {
        if (stage->servers.nodes[i].kind == kind) {
            places[found++] = i;
        }
    }
    return found;
}

int stage_empty(struct stage *stage, enum server_kind kind) {
    size_t places[STAGE_NODES];
    size_t count = stage_nodes(stage, kind, places);
    for (size_t i = 0; i < count; i++) {
        if (servers_restart(&stage->servers, places[i]) != 0) {
            return progress_fail("a server does not start again", stage->servers.error);
        }
    }
    return 0;
}

/* ---- the origin ---- */

static void show_building(void *context, uint32_t packages) {
    char count[PROGRESS_COUNT_BYTES];
    (void)context;
    progress_show("building the origin's database: %s packages",
                  progress_count(count, packages));
}

static int build(struct stage *stage) {
    struct origin_summary built;
    char packages[PROGRESS_COUNT_BYTES];
    char dependencies[PROGRESS_COUNT_BYTES];
    char error[ERROR_BYTES];
    double begun = seconds_now();
    if (origin_build(stage->database, false, show_building, NULL, &built, error,
                     sizeof error) != 0) {
        return progress_fail("the origin", error);
    }
    progress_say("origin     SQLite, %s packages with %s dependencies (%s), built in %.1f s",
                 progress_count(packages, built.packages),
                 progress_count(dependencies, built.dependencies),
                 built.is_made_up ? "made up: there is no catalogue here" : "apt's catalogue",
                 seconds_now() - begun);
    return 0;
}

static int calibrate(struct stage *stage) {
    struct origin *origin;
    char error[ERROR_BYTES];
    progress_show("calibrating a load");
    if (origin_open(stage->database, ORIGIN_PEERS_MIN, &origin, error, sizeof error) != 0) {
        return progress_fail("the origin", error);
    }
    int result = origin_calibrate(origin, LOAD_NS, &stage->load);
    if (result != 0) {
        (void)progress_fail("the origin", origin_error(origin));
    } else {
        progress_say("load       a package's page, six queries with joins and aggregates: "
                     "%.2f ms in the median,\n"
                     "           %.2f ms in the 99th percentile of %zu, one thread alone",
                     (double)stage->load.median_ns / 1e6, (double)stage->load.p99_ns / 1e6,
                     stage->load.loads);
    }
    origin_close(origin);
    return result;
}

static int open_origin(struct stage *stage) {
    (void)snprintf(stage->database, sizeof stage->database, "%s/origin.db",
                   stage->servers.folder);
    return build(stage) == 0 ? calibrate(stage) : -1;
}

/* ---- the whole ---- */

int stage_open(struct stage *stage, const struct arguments *arguments) {
    memset(stage, 0, sizeof *stage);
    stage->arguments = *arguments;
    say_machine(arguments);
    return open_requests(stage) == 0 && open_servers(stage) == 0 ? open_origin(stage) : -1;
}

void stage_close(struct stage *stage) {
    if (stage->has_servers) {
        servers_stop(&stage->servers);
    }
    requests_fini(&stage->requests);
}
