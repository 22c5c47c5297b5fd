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
    *watch->kill = (struct kill){.is_done = true,
                                 .node = victim + 1,
                                 .at_ns = watch->elapsed_ns + elapsed_ns,
                                 .at_request = at};
}

/* From 0 to 1. A part ends with its last request or with its time, whichever comes first. */
static double part_done(const struct watch *watch, size_t done, uint64_t elapsed_ns) {
    double by_count = (double)done / (double)(watch->part_count + 1);
    double by_time = (double)elapsed_ns / (double)(watch->limit_ns + 1);
    double most = watch->limit_ns != 0 && by_time > by_count ? by_time : by_count;
    return most < 1 ? most : 1;
}

void watch_look(void *context, size_t done, uint64_t elapsed_ns) {
    const struct watch *watch = context;
    track_take(watch->track, watch->cache, watch->elapsed_ns + elapsed_ns);
    double share =
        ((double)watch->part + part_done(watch, done, elapsed_ns)) / (double)watch->parts;
    double seconds = (double)(watch->elapsed_ns + elapsed_ns) / 1e9;
    double left = share > 0 ? seconds / share - seconds : 0;
    double rate = (double)done * 1e9 / (double)(elapsed_ns + 1);
    char count[PROGRESS_COUNT_BYTES];
    progress_show("%s: %.0f %%, %s requests/s, %.0f s left", watch->name, 100 * share,
                  progress_count(count, (uint64_t)rate), left);
}
