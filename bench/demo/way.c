/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/way.h"

#include <stdio.h>
#include <string.h>

#include "demo/nodes.h"
#include "demo/progress.h"
#include "demo/watch.h"

enum {
    URL_BYTES = 1024,
    LOCAL_PART = 10,             /* the local tier holds a tenth of the pages, */
    LOCAL_MIN_BYTES = 256 << 10, /* but no less than a local tier can have */
};

/* Of a warm pass that is there for its rate only. */
static const uint64_t REMOTE_WARM_NS = 2000000000;

static const char *const pass_names[WAY_PASSES] = {"remote only, cold", "remote only, warm",
                                                   "Hearth, cold", "Hearth, warm"};

const char *way_server_name(enum server_kind kind) {
    return kind == SERVER_REDIS ? "Redis" : "Memcached";
}

/* ---- a pass ---- */

static int replay(struct players *players, const struct crew_orders *orders,
                  struct pass *pass) {
    return crew_replay(players->crew, orders, &pass->outcome) == 0
               ? 0
               : progress_fail("the requests", "a thread did not start");
}

/* A slice of the origin alone, from where the last one ended. */
static int replay_origin(struct players *players, struct pass *pass) {
    struct pass *origin = &players->origin;
    struct crew_outcome *outcome = &origin->outcome;
    uint64_t requests = outcome->requests;
    uint64_t elapsed_ns = outcome->elapsed_ns;
    size_t count = players->stage->requests.count;
    struct crew_orders orders = {
        .first = requests % count, .end = count, .limit_ns = players->slice_ns};
    (void)snprintf(origin->name, sizeof origin->name, "origin only");
    int result = replay(players, &orders, origin);
    pass->origin_requests += outcome->requests - requests;
    pass->origin_ns += outcome->elapsed_ns - elapsed_ns;
    origin->loads = origin->origin_requests = outcome->requests;
    origin->origin_ns = outcome->elapsed_ns;
    if (players->slices < WAY_SLICES_MOST && outcome->elapsed_ns > elapsed_ns) {
        players->slices_at[players->slices] = (double)outcome->elapsed_ns / 1e9;
        players->slices_rate[players->slices++] = (double)(outcome->requests - requests) * 1e9 /
                                                  (double)(outcome->elapsed_ns - elapsed_ns);
    }
    return result;
}

/* A part of a pass, and before it the origin. */
static int replay_part(struct players *players, struct watch *watch, hearth *cache,
                       struct pass *pass) {
    size_t count = players->stage->requests.count;
    struct crew_orders orders = {.cache = cache,
                                 .first = count * watch->part / WAY_PARTS,
                                 .end = count * (watch->part + 1) / WAY_PARTS,
                                 .limit_ns = watch->limit_ns,
                                 .watch = watch_look,
                                 .event = watch->kill != NULL ? watch_kill : NULL,
                                 .event_at = count / 2,
                                 .context = watch};
    watch->cache = cache;
    watch->track = &pass->track;
    watch->part_count = orders.end - orders.first;
    watch->elapsed_ns = pass->outcome.elapsed_ns;
    return replay_origin(players, pass) == 0 ? replay(players, &orders, pass) : -1;
}

static void say_done(const struct pass *pass) {
    char requests[PROGRESS_COUNT_BYTES];
    progress_say("%s: %s requests in %.1f s", pass->name,
                 progress_count(requests, pass->outcome.requests),
                 (double)pass->outcome.elapsed_ns / 1e9);
}

/* What the library has counted so far. */
struct counts {
    hearth_stats stats;
    uint64_t nodes[STAGE_NODES];
};

static int count(hearth *cache, struct counts *counts) {
    counts->stats.size = sizeof counts->stats;
    if (hearth_stats_get(cache, &counts->stats) != HEARTH_OK ||
        nodes_count_requests(cache, counts->nodes, STAGE_NODES) != 0) {
        return progress_fail("the statistics", "not as expected");
    }
    return 0;
}

static int play_parts(struct players *players, struct show *show, enum way_pass which,
                      hearth *cache) {
    struct pass *pass = &show->passes[which];
    struct watch watch = {.stage = players->stage,
                          .name = pass->name,
                          .parts = WAY_PARTS,
                          .limit_ns = which == WAY_REMOTE_WARM ? REMOTE_WARM_NS / WAY_PARTS : 0,
                          .kind = show->kind,
                          .kill = which == WAY_HEARTH_WARM && show->kills ? &show->kill : NULL};
    int result = 0;
    for (; watch.part < WAY_PARTS && result == 0; watch.part++) {
        result = replay_part(players, &watch, cache, pass);
    }
    return result;
}

static int play(struct players *players, struct show *show, enum way_pass which,
                hearth *cache) {
    struct pass *pass = &show->passes[which];
    struct counts before;
    struct counts after;
    (void)snprintf(pass->name, sizeof pass->name, "%s, %s", way_server_name(show->kind),
                   pass_names[which]);
    if (count(cache, &before) != 0 || play_parts(players, show, which, cache) != 0 ||
        count(cache, &after) != 0) {
        return -1;
    }
    say_done(pass);
    pass->loads = after.stats.loads - before.stats.loads;
    pass->errors = after.stats.remote_errors - before.stats.remote_errors;
    pass->has_nodes = nodes_find_hottest(cache, before.nodes, after.nodes, STAGE_NODES,
                                         players->stage->requests.distinct,
                                         &pass->hottest_requests, &pass->hottest_keys) == 0;
    return 0;
}

/* ---- a cache ---- */

static int set(hearth_options *options, const char *name, const char *value) {
    return hearth_options_set(options, name, value) == HEARTH_OK
               ? 0
               : progress_fail("an option", hearth_options_error(options));
}

static int set_all(hearth_options *options, struct stage *stage, enum server_kind kind,
                   uint64_t local_bytes) {
    char url[URL_BYTES];
    char bytes[32];
    if (servers_url(&stage->servers, kind, url, sizeof url) != 0) {
        return progress_fail("the servers", stage->servers.error);
    }
    (void)snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)local_bytes);
    return set(options, "remote.url", url) == 0 &&
                   set(options, "local.max_bytes", bytes) == 0 &&
                   set(options, "ttl_ms", WAY_TTL) == 0 &&
                   set(options, "local.max_ttl_ms", WAY_TTL) == 0 &&
                   set(options, "remote.timeout_ms", WAY_TIMEOUT) == 0
               ? 0
               : -1;
}

static int open_cache(struct stage *stage, enum server_kind kind, uint64_t local_bytes,
                      hearth **cache) {
    hearth_options *options = hearth_options_new();
    if (options == NULL) {
        return progress_fail("an option", "no memory");
    }
    int result = set_all(options, stage, kind, local_bytes);
    if (result == 0 && hearth_open(options, cache) != HEARTH_OK) {
        result = progress_fail("the cache", hearth_options_error(options));
    }
    hearth_options_free(options);
    return result;
}

/* ---- the ways over one kind of server ---- */

/* Once every page has been loaded, their size is known. */
static void measure_pages(struct players *players, const struct ledger_sums *sums) {
    char bytes[PROGRESS_COUNT_BYTES];
    char local[PROGRESS_COUNT_BYTES];
    if (players->local_bytes != 0) {
        return;
    }
    players->local_bytes = sums->page_bytes / LOCAL_PART;
    if (players->local_bytes < LOCAL_MIN_BYTES) {
        players->local_bytes = LOCAL_MIN_BYTES;
    }
    progress_say("(the pages have %s bytes in all: local.max_bytes is %s from here on)",
                 progress_count(bytes, sums->page_bytes),
                 progress_count(local, players->local_bytes));
}

static int play_remote_only(struct players *players, struct show *show) {
    hearth *cache = NULL;
    if (open_cache(players->stage, show->kind, 0, &cache) != 0) {
        return -1;
    }
    ledger_clear(players->ledger);
    int result = play(players, show, WAY_REMOTE_COLD, cache);
    result = result == 0 ? play(players, show, WAY_REMOTE_WARM, cache) : result;
    show->remote_loads = ledger_sum(players->ledger);
    (void)hearth_close(cache);
    return result;
}

static int play_hearth(struct players *players, struct show *show) {
    hearth *cache = NULL;
    if (open_cache(players->stage, show->kind, players->local_bytes, &cache) != 0) {
        return -1;
    }
    ledger_clear(players->ledger);
    int result = play(players, show, WAY_HEARTH_COLD, cache);
    show->cold_loads = ledger_sum(players->ledger);
    result = result == 0 ? play(players, show, WAY_HEARTH_WARM, cache) : result;
    show->hearth_loads = ledger_sum(players->ledger);
    (void)hearth_close(cache);
    return result;
}

int way_play_servers(struct players *players, enum server_kind kind, struct show *show) {
    memset(show, 0, sizeof *show);
    show->kind = kind;
    show->kills = players->stage->arguments.kills;
    if (play_remote_only(players, show) != 0) {
        return -1;
    }
    measure_pages(players, &show->remote_loads);
    return stage_empty(players->stage, kind) == 0 ? play_hearth(players, show) : -1;
}
