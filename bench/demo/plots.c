/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/plots.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "demo/progress.h"
#include "hit_curve.h"
#include "page.h"

enum { TEXT_BYTES = 256, LATENCY_POINTS = 64 };

__attribute__((format(printf, 3, 4))) static void say(struct page *page, const char *name,
                                                      const char *format, ...) {
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    page_fact(page, name, text);
}

/* The pass's name without the server's, which is the group's. */
static const char *short_name(const struct pass *pass) {
    const char *comma = strstr(pass->name, ", ");
    return comma != NULL ? comma + 2 : pass->name;
}

/* ---- rows -------------------------------------------------------------------------------- */

static double rate_of(uint64_t requests, uint64_t ns) {
    return ns == 0 ? 0 : (double)requests * 1e9 / (double)ns;
}

static void add_row(struct page *page, const char *group, const struct pass *pass,
                    const char *metric, const char *unit, double value, double origin) {
    char name[TEXT_BYTES];
    (void)snprintf(name, sizeof name, "%s: %s", group, short_name(pass));
    page_row(page, &(struct page_row){.suite_name = "demo",
                                      .case_name = name,
                                      .metric = metric,
                                      .unit = unit,
                                      .value = value,
                                      .spread = -1,
                                      .peer = "origin",
                                      .peer_value = origin,
                                      .peer_spread = -1,
                                      .ratio = origin > 0 ? value / origin : 0});
}

static void add_rows(struct page *page, const char *group, const struct pass *pass,
                     const struct pass *origin) {
    static const double percents[] = {50, 99, 99.9};
    static const char *const metrics[] = {"p50", "p99", "p99.9"};
    static const char *const tiers[] = {"local answers", "remote answers", "loaded answers"};
    const struct crew_outcome *outcome = &pass->outcome;
    add_row(page, group, pass, "throughput", "1/s",
            rate_of(outcome->requests, outcome->elapsed_ns),
            rate_of(pass->origin_requests, pass->origin_ns));
    for (size_t i = 0; i < 3; i++) {
        add_row(page, group, pass, metrics[i], "us",
                (double)latency_percentile(&outcome->latency, percents[i]) / 1e3,
                (double)latency_percentile(&origin->outcome.latency, percents[i]) / 1e3);
    }
    for (size_t i = 0; i < 3; i++) {
        add_row(page, group, pass, tiers[i], "%",
                100 * (double)outcome->answered[HEARTH_TIER_LOCAL + i] /
                    (double)(outcome->requests + (outcome->requests == 0)),
                i == 2 ? 100 : 0);
    }
    add_row(page, group, pass, "loads", "", (double)pass->loads, (double)outcome->requests);
}

/* ---- curves ------------------------------------------------------------------------------ */

static void draw_latency(struct page *page, const char *group, const char *name,
                         const struct latency *latency) {
    double x[LATENCY_POINTS];
    double y[LATENCY_POINTS];
    size_t count = 0;
    /* Twelve to each nine, as far as there are requests enough. */
    for (size_t i = 0; i < LATENCY_POINTS; i++) {
        double nines = (double)i / 12;
        if (pow(10, nines) <= (double)latency->count) {
            x[count] = 100 * (1 - pow(10, -nines));
            y[count] = (double)latency_percentile(latency, x[count]) / 1e3;
            count++;
        }
    }
    page_curve(page, &(struct page_curve){PAGE_LATENCY, group, "", name, x, y, count});
}

/* What is drawn of a track: the change of a count from sample to sample, by the second or by the reads. */
static uint64_t value_of(const struct track_sample *sample, size_t which) {
    const uint64_t *all[] = {&sample->reads, &sample->local, &sample->remote, &sample->loads};
    return which < 4 ? *all[which] : sample->nodes[which - 4];
}

enum { READS, LOCAL, REMOTE, LOADS, NODES };

static void draw(struct page *page, struct page_curve curve, const struct track *track,
                 size_t which, bool by_reads) {
    double x[TRACK_MOST];
    double y[TRACK_MOST];
    for (size_t i = 1; i < track->count; i++) {
        const struct track_sample *now = &track->samples[i];
        const struct track_sample *before = &track->samples[i - 1];
        double seconds = (double)(now->at_ns - before->at_ns) / 1e9;
        double reads = (double)(now->reads - before->reads);
        double change = (double)(value_of(now, which) - value_of(before, which));
        x[i - 1] = (double)now->at_ns / 1e9;
        y[i - 1] = change / seconds;
        if (by_reads) {
            y[i - 1] = reads > 0 ? 100 * change / reads : NAN;
        }
    }
    curve.x = x;
    curve.y = y;
    curve.count = track->count > 0 ? track->count - 1 : 0;
    page_curve(page, &curve);
}

static void draw_pass(struct page *page, const char *group, const struct pass *pass) {
    static const char *const tiers[] = {"local", "remote", "loaded"};
    const char *name = short_name(pass);
    draw_latency(page, group, name, &pass->outcome.latency);
    draw(page, (struct page_curve){PAGE_THROUGHPUT, group, "", name, NULL, NULL, 0},
         &pass->track, READS, false);
    draw(page, (struct page_curve){PAGE_LOADS, group, "", name, NULL, NULL, 0}, &pass->track,
         LOADS, false);
    for (size_t i = 0; i < 3; i++) {
        draw(page, (struct page_curve){PAGE_TIERS, group, name, tiers[i], NULL, NULL, 0},
             &pass->track, LOCAL + i, true);
    }
    for (size_t i = 0; i < TRACK_NODES; i++) {
        char node[16];
        (void)snprintf(node, sizeof node, "node %zu", i + 1);
        draw(page, (struct page_curve){PAGE_NODES, group, name, node, NULL, NULL, 0},
             &pass->track, NODES + i, false);
    }
}

/* The origin alone, slice by slice. */
static void draw_origin(struct page *page, const char *group, const struct players *players) {
    draw_latency(page, group, "origin", &players->origin.outcome.latency);
    page_curve(page,
               &(struct page_curve){PAGE_THROUGHPUT, group, "", "origin", players->slices_at,
                                    players->slices_rate, players->slices});
}

static void draw_hits(struct page *page, const struct requests *requests) {
    struct hit_curve curves[HIT_CURVE_POLICIES];
    size_t count = hit_curves(requests, curves);
    for (size_t i = 0; i < count; i++) {
        page_curve(page, &(struct page_curve){PAGE_HITS, "these requests", "", curves[i].name,
                                              curves[i].room, curves[i].hits, curves[i].count});
    }
}

/* ---- the page ---------------------------------------------------------------------------- */

static void add_show(struct page *page, const struct players *players,
                     const struct show *show) {
    const char *group = way_server_name(show->kind);
    for (size_t i = 0; i < WAY_PASSES; i++) {
        add_rows(page, group, &show->passes[i], &players->origin);
        draw_pass(page, group, &show->passes[i]);
    }
    draw_origin(page, group, players);
    if (show->kill.is_done) {
        page_mark(page, group, (double)show->kill.at_ns / 1e9,
                  "a node is killed (Hearth, warm)");
    }
}

static void add_facts(struct page *page, const struct players *players) {
    const struct stage *stage = players->stage;
    struct utsname machine = {.sysname = ""};
    (void)uname(&machine);
    say(page, "machine", "%ld processors, %s %s; %u threads send requests",
        sysconf(_SC_NPROCESSORS_ONLN), machine.sysname, machine.machine,
        stage->arguments.threads);
    say(page, "versions", "hearth %s", hearth_version());
    say(page, "requests", "%zu for %u pages, %s", stage->requests.count,
        stage->requests.distinct,
        stage->arguments.trace != NULL ? stage->arguments.trace : "generated");
    say(page, "load", "%.2f ms in the median, one thread alone",
        (double)stage->load.median_ns / 1e6);
    say(page, "options",
        "ttl_ms, local.max_ttl_ms: " WAY_TTL "; remote.timeout_ms: " WAY_TIMEOUT
        "; local.max_bytes: %llu",
        (unsigned long long)players->local_bytes);
}

int plots_write(const char *path, const struct players *players, const struct show *shows,
                size_t count) {
    struct page *page = page_create("Hearth: the demo's report");
    if (page == NULL) {
        return progress_fail("the report", "no memory");
    }
    progress_show("drawing the report");
    add_facts(page, players);
    for (size_t i = 0; i < count; i++) {
        add_show(page, players, &shows[i]);
    }
    draw_hits(page, &players->stage->requests);
    int result = page_write(page, path);
    int error = errno;
    page_destroy(page);
    return result == 0 ? 0 : progress_fail(path, strerror(error));
}
