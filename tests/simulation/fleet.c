/* SPDX-License-Identifier: Apache-2.0 */
#include "simulation/fleet.h"

#include "simulation/promises.h"
#include "simulation/schedule.h"
#include "simulation/servers.h"

#include <hearth/hearth.h>
#include <hearth/stats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 3, /* threads of a process */
    /* Keys from here on exist only once their one process has made them; the filters of the others do not know of them. */
    PRIVATE_KEYS = PROMISES_KEYS - SCHEDULE_PROCESSES,
    TTL_MS = 3000,
    UNTOLD_MS = 1000, /* a copy's life where nobody tells of changes */
    COARSE_MS = 25,
    LOAD_SLOW_MS = 1500,
    FREEZE_MS = 2000,
    VIEW_MS = 100,
    FLAPS = 20,
    FLAP_MS = 60, /* a little more than remote.timeout_ms */
};

static const char *const settings[] = {"remote.url",
                                       "redis://10.0.0.1:7001,10.0.0.2:7002",
                                       "remote.timeout_ms",
                                       "50",
                                       "local.max_bytes",
                                       "256kb",
                                       "ttl_ms",
                                       "3000",
                                       "stale_ms",
                                       "500",
                                       "negative_ttl_ms",
                                       "500",
                                       "lease.ttl_ms",
                                       "600",
                                       "coherence.mode",
                                       "tracking",
                                       "coherence.ping_ms",
                                       "300",
                                       "coherence.dead_ms",
                                       "300",
                                       "guard.expected_keys",
                                       "100",
                                       "guard.max_bytes",
                                       "64kb",
                                       "guard.view_ms",
                                       "100",
                                       NULL};

struct process {
    unsigned number;
    hearth *cache;
};

struct flapping {
    unsigned process;
    unsigned server;
    unsigned left; /* how often it goes still */
};

static struct {
    struct process processes[SCHEDULE_PROCESSES];
    unsigned server_of[PROMISES_KEYS];
    bool busy[PROMISES_KEYS];          /* one process changes it, by a set */
    uint64_t under_way[PROMISES_KEYS]; /* deletes */
    bool rebuilding[SCHEDULE_PROCESSES];
    int64_t load_fails; /* one in so many; 0: none */
    uint64_t operations;
    bool healed;
    struct flapping flapping[SCHEDULE_PROCESSES][SERVERS];
    struct fleet_outcome *outcome;
} all;

/* ---- what the servers tell -------------------------------------------------------------- */

static void voided(const void *key, size_t key_size) {
    unsigned number = promises_key_of(key, key_size);
    if (number < PROMISES_KEYS) {
        promises_voided(number);
    }
}

static void late(const void *key, size_t key_size, const void *value, size_t size) {
    promises_late(promises_key_of(key, key_size), value, size);
}

static void kept(unsigned server) {
    promises_kept(server, all.server_of);
}

static void lost(unsigned server) {
    promises_lost(server, all.server_of);
}

static const struct servers_watch watch = {
    .voided = voided, .late = late, .kept = kept, .lost = lost};

/* ---- reads ------------------------------------------------------------------------------ */

struct loading {
    unsigned process;
    unsigned key;
    int64_t since_ns;
};

/* The database is asked at the beginning, and its answer takes its time. */
static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    const struct loading *loading = arg;
    char text[PROMISES_VALUE_BYTES];
    unsigned number = promises_load_begins(loading->process, loading->key, loading->since_ns);
    (void)key;
    (void)key_size;
    all.outcome->loads++;
    schedule_sleep(schedule_below(2 * SCHEDULE_MS));
    uint64_t version = promises_version(loading->key);
    size_t size = promises_value(loading->key, version, text);
    schedule_trace("loads k%02u:%llu", loading->key, (unsigned long long)version);
    schedule_sleep(schedule_chance(20) ? schedule_below(LOAD_SLOW_MS * SCHEDULE_MS)
                                       : schedule_below(15 * SCHEDULE_MS));
    promises_load_ends(number);
    if (all.load_fails != 0 && schedule_chance(all.load_fails)) {
        return HEARTH_E_LOADER;
    }
    return version != 0 ? hearth_fill_value(fill, text, size) : hearth_fill_absent(fill);
}

static void judge(const struct promises_read *read, const hearth_value *value, int32_t status) {
    hearth_info info = {.size = sizeof info};
    int64_t at_ns = schedule_now();
    if (hearth_value_info(value, &info) != HEARTH_OK) {
        schedule_fail("an answer says nothing about itself");
        return;
    }
    bool local = info.tier == HEARTH_TIER_LOCAL;
    all.outcome->local_hits += local;
    all.outcome->denials += info.tier == HEARTH_TIER_GUARD;
    promises_judge(read, status == HEARTH_OK ? hearth_value_data(value) : NULL,
                   hearth_value_size(value),
                   local && info.freshness == HEARTH_FRESH ? PROMISES_LOCAL
                   : info.tier == HEARTH_TIER_GUARD        ? PROMISES_GUARD
                                                           : PROMISES_ELSEWHERE,
                   info.staleness_bound_ms, at_ns);
}

static void fetch(const struct process *process, unsigned key, hearth_value *value) {
    char name[PROMISES_KEY_BYTES + 1];
    struct loading loading = {
        .process = process->number, .key = key, .since_ns = schedule_now()};
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &loading};
    promises_key(key, name);
    struct promises_read read = promises_read_begins(process->number, key);
    int32_t status =
        hearth_fetch(process->cache, name, PROMISES_KEY_BYTES, &loader, NULL, NULL, value);
    if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        judge(&read, value, status);
    } else if (status != HEARTH_E_LOADER || all.load_fails == 0) {
        schedule_fail("process %u gets no answer for k%02u: %d", process->number, key, status);
    }
}

static void get(const struct process *process, unsigned key, hearth_value *value) {
    char name[PROMISES_KEY_BYTES + 1];
    promises_key(key, name);
    struct promises_read read = promises_read_begins(process->number, key);
    int32_t status = hearth_get(process->cache, name, PROMISES_KEY_BYTES, NULL, value);
    if (status == HEARTH_OK || status == HEARTH_ABSENT) {
        judge(&read, value, status);
    }
}

/* ---- writes ----------------------------------------------------------------------------- */

static void invalidate(const struct process *process, unsigned key) {
    char name[PROMISES_KEY_BYTES + 1];
    int64_t since_ns = schedule_now();
    promises_key(key, name);
    if (promises_version(key) == 0 &&
        hearth_guard_add(process->cache, name, PROMISES_KEY_BYTES) != HEARTH_OK) {
        schedule_fail("the guard takes no key");
    }
    /* Who was frozen since may not make the key any more: see guard.view_ms. */
    if (all.busy[key] || schedule_now() - since_ns > VIEW_MS / 2 * SCHEDULE_MS) {
        return;
    }
    all.under_way[key]++;
    uint64_t version = promises_commit(key);
    int64_t written_ns = schedule_now();
    promises_write_begins(process->number, key);
    int32_t status = hearth_delete(process->cache, name, PROMISES_KEY_BYTES, NULL);
    promises_write_ends(process->number, key);
    all.under_way[key]--;
    schedule_trace("deletes k%02u: %d", key, status);
    bool done = status == HEARTH_OK || status == HEARTH_MISS;
    if (done || status == HEARTH_E_QUEUED) {
        promises_written(process->number, key, version, done, written_ns);
    }
    all.outcome->deletes_kept += status == HEARTH_E_QUEUED;
}

/* Who sets is the only one who changes the key meanwhile, as an application has to see to by itself. */
static void set(const struct process *process, unsigned key) {
    char name[PROMISES_KEY_BYTES + 1];
    char text[PROMISES_VALUE_BYTES];
    if (all.busy[key] || all.under_way[key] != 0 || promises_version(key) == 0) {
        return;
    }
    all.busy[key] = true;
    promises_key(key, name);
    uint64_t version = promises_commit(key);
    size_t size = promises_value(key, version, text);
    int64_t written_ns = schedule_now();
    promises_write_begins(process->number, key);
    int32_t status = hearth_set(process->cache, name, PROMISES_KEY_BYTES, text, size, NULL);
    promises_write_ends(process->number, key);
    all.busy[key] = false;
    schedule_trace("sets k%02u: %d", key, status);
    if (status == HEARTH_OK) {
        promises_written(process->number, key, version, true, written_ns);
    }
}

/* ---- the guard -------------------------------------------------------------------------- */

struct keys {
    unsigned next;
    bool begun;
    bool exists[PROMISES_KEYS];
    char name[PROMISES_KEY_BYTES + 1];
};

/* As a cursor: what is there when it is opened. */
static int32_t next_key(void *arg, const void **key, size_t *key_size) {
    struct keys *keys = arg;
    for (unsigned i = 0; !keys->begun && i < PROMISES_KEYS; i++) {
        keys->exists[i] = promises_version(i) != 0;
    }
    keys->begun = true;
    schedule_sleep(schedule_below(3 * SCHEDULE_MS));
    while (keys->next < PROMISES_KEYS && !keys->exists[keys->next]) {
        keys->next++;
    }
    if (keys->next == PROMISES_KEYS) {
        return HEARTH_MISS;
    }
    promises_key(keys->next++, keys->name);
    *key = keys->name;
    *key_size = PROMISES_KEY_BYTES;
    return HEARTH_OK;
}

static void rebuild(const struct process *process) {
    struct keys keys = {0};
    if (!all.rebuilding[process->number]) {
        all.rebuilding[process->number] = true;
        int32_t status = hearth_guard_rebuild(process->cache, next_key, &keys);
        schedule_trace("rebuilds the guard: %d", status);
        all.rebuilding[process->number] = false;
    }
}

/* ---- threads ---------------------------------------------------------------------------- */

/* Some keys are asked for more than others. */
static unsigned draw_key(const struct process *process) {
    if (schedule_chance(10)) {
        return PRIVATE_KEYS + process->number;
    }
    int64_t bound = 1 + schedule_below(PRIVATE_KEYS);
    return (unsigned)schedule_below(bound);
}

static void operate(const struct process *process, hearth_value *value) {
    unsigned key = draw_key(process);
    int64_t kind = schedule_below(300);
    if (kind < 10) {
        invalidate(process, key);
    } else if (kind < 14) {
        set(process, key);
    } else if (kind < 15) {
        rebuild(process);
    } else if (kind < 60) {
        get(process, key, value);
    } else {
        fetch(process, key, value);
    }
}

static void *work(void *arg) {
    const struct process *process = arg;
    hearth_value *value = hearth_value_new();
    while (all.outcome->operations < all.operations && schedule_failure()[0] == '\0') {
        all.outcome->operations++;
        operate(process, value);
        if (schedule_chance(4)) {
            schedule_sleep(schedule_below(4 * SCHEDULE_MS));
        }
    }
    hearth_value_free(value);
    return NULL;
}

/* ---- what goes wrong -------------------------------------------------------------------- */

enum fault { CUT, BREAK, FREEZE_SERVER, RESTART, KEEP, FREEZE, WALL, SUSPEND, FLAP, FAULTS };

/* It comes and goes, so that what is tried again fails again, and what was sent is sent twice. */
static void flap(void *arg) {
    struct flapping *flapping = arg;
    if (all.healed || flapping->left == 0) {
        flapping->left = 0;
        return;
    }
    int64_t now_ns = schedule_now();
    servers_break(flapping->process, flapping->server, SERVERS_DATA);
    servers_cut(flapping->process, flapping->server, SERVERS_DATA,
                now_ns + schedule_below(FLAP_MS * SCHEDULE_MS));
    flapping->left--;
    schedule_at(now_ns + schedule_below(2 * SCHEDULE_MS * FLAP_MS), flapping->process, flap,
                flapping);
}

static void begin_flapping(unsigned process, unsigned server) {
    struct flapping *flapping = &all.flapping[process][server];
    if (flapping->left == 0) {
        *flapping = (struct flapping){process, server, FLAPS};
        flap(flapping);
    }
}

static void go_wrong(uint64_t kinds) {
    unsigned process = (unsigned)schedule_below(SCHEDULE_PROCESSES);
    unsigned server = (unsigned)schedule_below(SERVERS);
    enum servers_link link = (enum servers_link)schedule_below(SERVERS_LINKS);
    int64_t until_ns = schedule_now() + schedule_below(FREEZE_MS * SCHEDULE_MS);
    struct schedule_clock *clock = schedule_clock_of(process);
    enum fault fault = (enum fault)schedule_below(FAULTS);
    if ((kinds >> fault & 1) == 0) {
        return;
    }
    all.outcome->faults++;
    schedule_trace("fault %d of process %u, server %u, link %d, for %lld ms", (int)fault,
                   process, server, (int)link,
                   (long long)((until_ns - schedule_now()) / SCHEDULE_MS));
    switch (fault) {
    case CUT:
        servers_cut(process, server, link, until_ns);
        return;
    case BREAK:
        servers_break(process, server, link);
        return;
    case FREEZE_SERVER:
        servers_freeze(server, until_ns);
        return;
    case RESTART:
        servers_start_again(server, until_ns, (enum servers_restart)schedule_below(3));
        return;
    case KEEP:
        servers_keep(server);
        return;
    case FREEZE:
        clock->frozen_until_ns = until_ns;
        return;
    case WALL:
        clock->wall_ahead_ms = schedule_below(7200000) - 3600000;
        return;
    case SUSPEND:
        clock->boot_ahead_ms += schedule_below(5000);
        return;
    case FLAP:
        begin_flapping(process, server);
        return;
    case FAULTS:
        return;
    }
}

/* ---- one run ---------------------------------------------------------------------------- */

static hearth *open_cache(void) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    bool good = options != NULL;
    for (size_t i = 0; good && settings[i] != NULL; i += 2) {
        good = hearth_options_set(options, settings[i], settings[i + 1]) == HEARTH_OK;
    }
    if (!good || hearth_open(options, &cache) != HEARTH_OK) {
        (void)fprintf(stderr, "%s\n", options != NULL ? hearth_options_error(options) : "");
        abort();
    }
    hearth_options_free(options);
    return cache;
}

/* In the process itself. */
static void *open_process(void *arg) {
    struct process *process = arg;
    process->cache = open_cache();
    rebuild(process);
    return NULL;
}

/* All is well again: what was kept for a node is carried out, and who reads has the truth. */
static void *settle(void *arg) {
    struct process *process = arg;
    hearth_value *value = hearth_value_new();
    hearth_stats stats = {.size = sizeof stats};
    for (unsigned round = 0; round < 6 && schedule_failure()[0] == '\0'; round++) {
        for (unsigned key = 0; key < PRIVATE_KEYS; key++) {
            fetch(process, key, value);
            get(process, key, value);
        }
        schedule_sleep(1000 * SCHEDULE_MS);
    }
    hearth_value_free(value);
    if (schedule_failure()[0] == '\0' &&
        (hearth_stats_get(process->cache, &stats) != HEARTH_OK || stats.queued_deletes != 0)) {
        schedule_fail("process %u keeps %llu deletes for nodes that answer", process->number,
                      (unsigned long long)stats.queued_deletes);
    }
    return NULL;
}

static void *close_process(void *arg) {
    const struct process *process = arg;
    if (hearth_close(process->cache) != HEARTH_OK) {
        schedule_fail("a cache does not close");
    }
    return NULL;
}

/* In all processes at once. */
static void in_all(void *(*run)(void *arg)) {
    schedule_thread *threads[SCHEDULE_PROCESSES];
    for (unsigned i = 0; i < SCHEDULE_PROCESSES; i++) {
        threads[i] = schedule_start(i, run, &all.processes[i]);
    }
    for (unsigned i = 0; i < SCHEDULE_PROCESSES; i++) {
        schedule_join(threads[i]);
    }
}

static void place_keys(void) {
    for (unsigned key = 0; key < PROMISES_KEYS; key++) {
        char name[PROMISES_KEY_BYTES + 1];
        uint32_t index = 0;
        promises_key(key, name);
        if (hearth_node_of(all.processes[0].cache, name, PROMISES_KEY_BYTES, &index, NULL, 0) !=
            HEARTH_OK) {
            abort();
        }
        all.server_of[key] = index;
    }
}

static void run_clients(uint64_t kinds) {
    schedule_thread *threads[SCHEDULE_PROCESSES * CLIENTS];
    for (unsigned i = 0; i < SCHEDULE_PROCESSES * CLIENTS; i++) {
        unsigned process = i % SCHEDULE_PROCESSES;
        threads[i] = schedule_start(process, work, &all.processes[process]);
    }
    while (all.outcome->operations < all.operations && schedule_failure()[0] == '\0') {
        schedule_sleep(schedule_below(200 * SCHEDULE_MS));
        go_wrong(kinds);
    }
    all.healed = true;
    servers_heal();
    for (unsigned i = 0; i < SCHEDULE_PROCESSES; i++) {
        schedule_clock_of(i)->frozen_until_ns = 0;
    }
    for (unsigned i = 0; i < SCHEDULE_PROCESSES * CLIENTS; i++) {
        schedule_join(threads[i]);
    }
}

void fleet_run(uint64_t seed, uint64_t operations, bool trace, struct fleet_outcome *outcome) {
    memset(&all, 0, sizeof all);
    *outcome = (struct fleet_outcome){0};
    all.outcome = outcome;
    all.operations = operations;
    schedule_begin(seed, trace);
    /* One seed in four is calm; of the others each has faults of its own kinds. */
    bool calm = schedule_chance(4);
    uint64_t kinds = calm ? 0 : schedule_random();
    all.load_fails = calm || schedule_chance(2) ? 0 : 50;
    const struct promises_limits limits = {.bound_ms = UNTOLD_MS + COARSE_MS,
                                           .life_ms = TTL_MS + LOAD_SLOW_MS + 2 * FREEZE_MS,
                                           .calm = calm};
    promises_begin(&limits);
    servers_begin(&watch, calm ? 0 : 20 + schedule_below(1000));
    for (unsigned key = 0; key < PRIVATE_KEYS; key++) {
        (void)promises_commit(key);
    }
    for (unsigned i = 0; i < SCHEDULE_PROCESSES; i++) {
        all.processes[i].number = i;
    }
    in_all(open_process);
    place_keys();
    run_clients(kinds);
    schedule_sleep(SCHEDULE_MS * 2 * FREEZE_MS);
    in_all(settle);
    in_all(close_process);
    (void)snprintf(outcome->failure, sizeof outcome->failure, "%s", schedule_failure());
    schedule_end();
    servers_end();
    promises_end();
}
