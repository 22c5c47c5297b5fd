/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/watch.h"

#include "demo/progress.h"

void watch_kill(void *context, size_t at, uint64_t elapsed_ns) {
    struct watch *watch = context;
    struct servers *servers = &watch->stage->servers;
    size_t places[STAGE_NODES];
    size_t victim = stage_nodes(watch->stage, watch->kind, places) / 2;
    if (servers_kill(servers, places[victim]) != 0) {
        (void)progress_fail("a node", servers->error);
        return;
    }
    *watch->kill = (struct kill){
        .is_done = true, .node = victim + 1, .at_ns = elapsed_ns, .at_request = at};
}

/* A pass ends with its last request or with its time, whichever comes first. */
struct pace {
    double rate; /* requests a second */
    double done; /* 0 to 1 */
    double seconds_left;
};

static struct pace find_pace(const struct watch *watch, size_t done, uint64_t elapsed_ns) {
    double seconds = (double)(elapsed_ns + 1) / 1e9;
    double limit = (double)watch->limit_ns / 1e9;
    double count = (double)(watch->stage->requests.count - watch->first);
    double taken = (double)(done - watch->first);
    struct pace pace = {.rate = taken / seconds, .done = taken / count};
    if (watch->limit_ns != 0 && seconds / limit > pace.done) {
        pace.done = seconds < limit ? seconds / limit : 1;
    }
    pace.seconds_left = pace.done > 0 ? seconds / pace.done - seconds : 0;
    return pace;
}

void watch_look(void *context, size_t done, uint64_t elapsed_ns) {
    const struct watch *watch = context;
    struct pace pace = find_pace(watch, done, elapsed_ns);
    char rate[PROGRESS_COUNT_BYTES];
    progress_show("%s: %.0f %%, %s requests/s, %.0f s left", watch->name, 100 * pace.done,
                  progress_count(rate, (uint64_t)pace.rate), pace.seconds_left);
}
