/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/hotkey_stage.h"
#include "hearth-bench/hotkey_proxy.h"
#include "hearth-bench/hotkey_remote.h"
#include "hearth-bench/report.h"
#include "hearth-bench/workload.h"

#include "node_meter.h"
#include "ring/ring.h"
#include "ring_shares.h"
#include "splitmix.h"
#include "support/servers.h"

#include <hearth/hearth.h>

#include <math.h>
#include <stdlib.h>

enum { URL_BYTES = 4096, WHY_BYTES = 256 };

struct stage {
    struct hotkey_scene scene;
    struct requests trace;
    struct servers servers;
    bool has_servers;
    hearth__ring *ring;
    char url_text[URL_BYTES];
};

/* ---- servers ----------------------------------------------------------------------------- */

static int start_servers(struct bench *bench, struct stage *stage) {
    static const char *const memory[] = {"-m", "4096", NULL}; /* a limit, taken as needed */
    const struct hotkey_settings *settings = &stage->scene.settings;
    enum server_kind kind = settings->is_memcached ? SERVER_MEMCACHED : SERVER_REDIS;
    if (servers_open(&stage->servers) != 0) {
        return bench_fail(bench, "%s", stage->servers.error);
    }
    stage->has_servers = true;
    for (unsigned i = 0; i < settings->nodes; i++) {
        if (servers_start(&stage->servers, kind, SERVER_UNIX,
                          settings->is_memcached ? memory : NULL) != 0) {
            return bench_fail(bench, "%s", stage->servers.error);
        }
    }
    return servers_url(&stage->servers, kind, stage->url_text, sizeof stage->url_text) == 0
               ? 0
               : bench_fail(bench, "%s", stage->servers.error);
}

static int find_nodes(struct bench *bench, struct stage *stage) {
    char why[WHY_BYTES];
    struct hotkey_scene *scene = &stage->scene;
    scene->url_text = scene->settings.remote;
    if (scene->url_text == NULL) {
        if (start_servers(bench, stage) != 0) {
            return -1;
        }
        scene->url_text = stage->url_text;
    }
    if (hearth__remote_url_parse(scene->url_text, &scene->url, why, sizeof why) != HEARTH_OK) {
        scene->url.count = 0;
        (void)bench_fail(bench, "%s", why);
        return -1;
    }
    if (scene->url.kind == HEARTH__EMBEDDED) {
        (void)bench_fail(bench, "takes servers: redis:// or memcached://");
        return -1;
    }
    if (scene->settings.remote == NULL) {
        return 0;
    }
    hotkey_catch_interrupts();
    return hotkey_warn(bench, scene);
}

/* ---- the ring ---------------------------------------------------------------------------- */

static int make_ring(struct bench *bench, struct stage *stage) {
    struct hotkey_scene *scene = &stage->scene;
    hearth__ring_member members[HOTKEY_NODES];
    if (scene->url.count < 1 || scene->url.count > HOTKEY_NODES) {
        (void)bench_fail(bench, "takes 1 to %d nodes", HOTKEY_NODES);
        return -1;
    }
    for (size_t i = 0; i < scene->url.count; i++) {
        const hearth__node_address *node = &scene->url.nodes[i];
        members[i] = (hearth__ring_member){node->host, node->port, node->weight};
    }
    scene->ring_shares = calloc(scene->url.count, sizeof *scene->ring_shares);
    scene->node_of = calloc(scene->all_keys, sizeof *scene->node_of);
    if (scene->ring_shares == NULL || scene->node_of == NULL ||
        hearth__ring_create(members, scene->url.count, &stage->ring) != HEARTH_OK) {
        return bench_fail(bench, "no memory");
    }
    ring_shares(stage->ring, scene->ring_shares, scene->url.count);
    return 0;
}

/* ---- keys -------------------------------------------------------------------------------- */

static int read_trace(struct bench *bench, struct stage *stage) {
    char error[512];
    bench_progress(bench, "reading %s", bench->traces[0]);
    int result = requests_read(&stage->trace, bench->traces[0], bench->trace_form, 0, error,
                               sizeof error);
    bench_progress_end(bench);
    return result == 0 ? 0 : bench_fail(bench, "%s", error);
}

/* As many of each size's logarithm between the two; or as the trace says, within bounds. */
static uint32_t draw_size(const struct stage *stage, uint32_t id, uint64_t *random) {
    const struct hotkey_settings *settings = &stage->scene.settings;
    if (stage->trace.sizes != NULL && id < stage->trace.distinct) {
        uint64_t size = stage->trace.sizes[id];
        size = size > sizeof(uint64_t) * 2 ? size : sizeof(uint64_t) * 2;
        return (uint32_t)(size < settings->value_high ? size : settings->value_high);
    }
    double share = (double)(splitmix(random) >> 11) * 0x1p-53;
    double wide = (double)settings->value_high / (double)settings->value_low;
    return (uint32_t)((double)settings->value_low * pow(wide, share));
}

static int draw_sizes(struct bench *bench, struct stage *stage) {
    struct hotkey_scene *scene = &stage->scene;
    uint64_t random = bench->seed;
    if (stage->trace.sizes != NULL) {
        scene->settings.value_high = 1 << 20;
    }
    if (scene->settings.value_low == scene->settings.value_high) {
        return 0;
    }
    scene->sizes = malloc(scene->all_keys * sizeof *scene->sizes);
    for (uint32_t i = 0; scene->sizes != NULL && i < scene->all_keys; i++) {
        scene->sizes[i] = draw_size(stage, i, &random);
    }
    return scene->sizes != NULL ? 0 : bench_fail(bench, "no memory");
}

static int make_keys(struct bench *bench, struct stage *stage) {
    struct hotkey_scene *scene = &stage->scene;
    const struct hotkey_settings *settings = &scene->settings;
    if (settings->plays_trace && read_trace(bench, stage) != 0) {
        return -1;
    }
    const struct popularity_plan plan = {.keys = settings->keys,
                                         .exponent = settings->exponent,
                                         .trace = settings->plays_trace ? &stage->trace : NULL,
                                         .event = settings->event,
                                         .share = settings->share,
                                         .at_ns = (int64_t)(settings->at_s * 1e9),
                                         .threads = settings->threads * settings->processes,
                                         .writes = settings->writes,
                                         .seed = bench->seed};
    bench_progress(bench, "drawing requests");
    scene->popularity = popularity_create(&plan);
    bench_progress_end(bench);
    if (scene->popularity == NULL) {
        return bench_fail(bench, "no memory");
    }
    scene->all_keys = popularity_keys(scene->popularity);
    scene->keys = scene->all_keys - POPULARITY_FLASH_KEYS;
    return draw_sizes(bench, stage);
}

/* ---- modes ------------------------------------------------------------------------------- */

/* Each has keys of its own, so that none finds what another left. */
static void name_keys(struct stage *stage, enum hotkey_mode mode) {
    static const char letters[HOTKEY_MODES] = {'o', 'p', 'x', 'n', 'h', 't'};
    struct hotkey_scene *scene = &stage->scene;
    char key[HOTKEY_KEY_BYTES];
    const char *before =
        scene->settings.prefix != NULL ? scene->settings.prefix : "hearth-bench:";
    (void)snprintf(scene->prefix, sizeof scene->prefix,
                   "%s%c:", scene->settings.remote != NULL ? before : "", letters[mode]);
    for (uint32_t i = 0; mode == HOTKEY_PEER && i < scene->all_keys; i++) {
        size_t size = hotkey_key(scene, i, key);
        scene->node_of[i] = (uint16_t)hearth__ring_pick(stage->ring, key, size);
    }
}

/* Those that cannot be played here are left out, and that is said. */
static int choose_modes(struct bench *bench, struct stage *stage) {
    char why[WHY_BYTES];
    struct hotkey_scene *scene = &stage->scene;
    bool *modes = scene->settings.modes;
    if (modes[HOTKEY_TRACKING] && scene->url.kind != HEARTH__REDIS) {
        report_note(bench, "tracking: only Redis tells of changes, so it is left out");
        modes[HOTKEY_TRACKING] = false;
    }
    if (modes[HOTKEY_PROXY] && !stage->has_servers) {
        report_note(bench,
                    "twemproxy: it is put before servers of the run's own only, so it is "
                    "left out");
        modes[HOTKEY_PROXY] = false;
    }
    if (!modes[HOTKEY_PROXY]) {
        return 0;
    }
    int started =
        hotkey_proxy_start(&stage->servers, &scene->url, &scene->proxy, why, sizeof why);
    if (started > 0) {
        report_note(bench, "twemproxy: nutcracker is not installed, so it is left out");
        modes[HOTKEY_PROXY] = false;
    }
    return started >= 0 ? 0 : bench_fail(bench, "%s", why);
}

/* Redis of our own forgets the keys of the mode before; Memcached has room for all. */
static int empty(struct bench *bench, const struct hotkey_scene *scene) {
    char why[WHY_BYTES];
    if (scene->settings.remote != NULL || scene->url.kind != HEARTH__REDIS) {
        return 0;
    }
    struct node_meter *meter = node_meter_open(&scene->url, why, sizeof why);
    bool emptied = meter != NULL && node_meter_flush(meter);
    node_meter_close(meter);
    return emptied ? 0 : bench_fail(bench, "the servers do not forget");
}

/* What was written to servers that are not ours. Gives the result of the run, or -1 if some may be left. */
static int clean_up(struct bench *bench, const struct hotkey_scene *scene, int result) {
    char why[WHY_BYTES];
    bench_progress(bench, "deleting what it wrote");
    bool cleaned = hotkey_clean(scene, why, sizeof why);
    bench_progress_end(bench);
    if (!cleaned) {
        (void)bench_fail(bench, "%s; they are under '%s' and live an hour at most", why,
                         scene->prefix);
        return -1;
    }
    return result;
}

static int play_mode(struct bench *bench, struct stage *stage, enum hotkey_mode mode,
                     struct hotkey_outcome *outcome) {
    char why[WHY_BYTES];
    struct hotkey_scene *scene = &stage->scene;
    if (empty(bench, scene) != 0) {
        return -1;
    }
    bench_progress(bench, "%s, storing %u keys", hotkey_mode_name(scene, mode), scene->keys);
    name_keys(stage, mode);
    bool filled = hotkey_fill(scene, mode, why, sizeof why);
    bench_progress_end(bench);
    int result =
        filled ? hotkey_run(bench, scene, mode, outcome) : bench_fail(bench, "%s", why);
    return scene->settings.remote != NULL && mode != HOTKEY_ORIGIN
               ? clean_up(bench, scene, result)
               : result;
}

static int play_modes(struct bench *bench, struct stage *stage) {
    struct hotkey_outcome *outcomes = calloc(HOTKEY_MODES, sizeof *outcomes);
    int result = outcomes != NULL ? 0 : bench_fail(bench, "no memory");
    for (size_t i = 0; result == 0 && i < HOTKEY_MODES; i++) {
        if (stage->scene.settings.modes[i]) {
            result = play_mode(bench, stage, (enum hotkey_mode)i, &outcomes[i]);
        }
    }
    if (result == 0) {
        hotkey_report(bench, &stage->scene, outcomes);
    }
    for (size_t i = 0; outcomes != NULL && i < HOTKEY_MODES; i++) {
        hotkey_outcome_fini(&outcomes[i]);
    }
    free(outcomes);
    return result;
}

static void close_stage(struct stage *stage) {
    struct hotkey_scene *scene = &stage->scene;
    if (scene->url.count != 0) {
        hearth__remote_url_fini(&scene->url);
    }
    if (scene->proxy.count != 0) {
        hearth__remote_url_fini(&scene->proxy);
    }
    if (stage->has_servers) {
        servers_stop(&stage->servers);
    }
    hearth__ring_destroy(stage->ring);
    popularity_destroy(scene->popularity);
    requests_fini(&stage->trace);
    free(scene->sizes);
    free(scene->node_of);
    free(scene->ring_shares);
    free(stage);
}

int hotkey_play(struct bench *bench, const struct hotkey_settings *settings) {
    if (hotkey_is_interrupted()) {
        return bench_fail(bench, "interrupted");
    }
    struct stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL) {
        return bench_fail(bench, "no memory");
    }
    stage->scene.settings = *settings;
    stage->scene.seed = bench->seed;
    int result = make_keys(bench, stage) == 0 && find_nodes(bench, stage) == 0 &&
                         make_ring(bench, stage) == 0 && choose_modes(bench, stage) == 0
                     ? play_modes(bench, stage)
                     : -1;
    close_stage(stage);
    return result;
}
