/* SPDX-License-Identifier: Apache-2.0 */
/* What the suite `hotkey` reports: rows, remarks, and curves for the page. */
#include "hearth-bench/hotkey.h"
#include "hearth-bench/report.h"

#include <math.h>
#include <stdlib.h>

/* Ours beside one other mode. */
struct duel {
    struct bench *bench;
    const struct hotkey_scene *scene;
    const struct hotkey_outcome *ours;
    const struct hotkey_outcome *theirs;
    const char *peer;
};

static void row(const struct duel *duel, const char *metric, const char *unit, double ours,
                double theirs) {
    bench_row(duel->bench, metric, unit, (struct figure){ours, -1}, duel->peer,
              (struct figure){theirs, -1});
}

static double us_at(const struct hotkey_outcome *outcome, double percent) {
    return (double)latency_percentile(outcome->latency, percent) / 1e3;
}

static void report_speed(const struct duel *duel) {
    static const struct {
        const char *metric;
        double percent;
    } percentiles[] = {
        {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};
    bench_row(duel->bench, "throughput", "kops/s",
              (struct figure){duel->ours->per_second / 1e3, duel->ours->spread}, duel->peer,
              (struct figure){duel->theirs->per_second / 1e3, duel->theirs->spread});
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        row(duel, percentiles[i].metric, "us", us_at(duel->ours, percentiles[i].percent),
            us_at(duel->theirs, percentiles[i].percent));
    }
}

static void report_answers(const struct duel *duel) {
    static const char *const names[GENERATOR_ANSWERS] = {
        NULL, "local answers", "remote answers", "loaded answers", "writes"};
    for (size_t i = GENERATOR_LOCAL; i < GENERATOR_ANSWERS; i++) {
        if (duel->ours->answers[i] + duel->theirs->answers[i] > 0) {
            row(duel, names[i], "%", duel->ours->answers[i] / duel->ours->requests * 100,
                duel->theirs->answers[i] / duel->theirs->requests * 100);
        }
    }
    row(duel, "loads", "1/s", duel->ours->loaded / duel->ours->seconds,
        duel->theirs->loaded / duel->theirs->seconds);
}

/* The node that did most, and what share of all that was. -1: none did anything. */
static int find_hottest(const struct hotkey_scene *scene, const struct hotkey_outcome *outcome,
                        double *share) {
    double sum = 0;
    size_t hottest = 0;
    for (size_t i = 0; i < scene->url.count; i++) {
        sum += outcome->commands[i];
        hottest = outcome->commands[i] > outcome->commands[hottest] ? i : hottest;
    }
    *share = sum > 0 ? outcome->commands[hottest] / sum : 0;
    return outcome->knows_nodes && sum > 0 ? (int)hottest : -1;
}

static void report_nodes(const struct duel *duel) {
    const struct hotkey_outcome *ours = duel->ours;
    const struct hotkey_outcome *theirs = duel->theirs;
    double our_share = 0;
    double their_share = 0;
    int hottest = find_hottest(duel->scene, ours, &our_share);
    if (hottest >= 0) {
        struct duel ring = *duel;
        ring.peer = "ring";
        row(&ring, "hottest node", "%", our_share * 100,
            duel->scene->ring_shares[hottest] * 100);
    }
    if (hottest >= 0 && find_hottest(duel->scene, theirs, &their_share) >= 0) {
        row(duel, "hottest node", "%", our_share * 100, their_share * 100);
    }
    if (ours->knows_nodes && theirs->knows_nodes) {
        row(duel, "wire", "B/op", ours->bytes / ours->requests,
            theirs->bytes / theirs->requests);
        row(duel, "server cpu", "us/op", ours->server_us / ours->requests,
            theirs->server_us / theirs->requests);
    }
    row(duel, "client cpu", "us/op", ours->client_us / ours->requests,
        theirs->client_us / theirs->requests);
}

/* Beside the servers' usual client everything, beside the other modes what is of interest. */
static void report_duel(const struct duel *duel) {
    if (duel->theirs->mode == HOTKEY_PEER) {
        report_speed(duel);
        report_answers(duel);
        report_nodes(duel);
        return;
    }
    bench_row(duel->bench, "throughput", "kops/s",
              (struct figure){duel->ours->per_second / 1e3, duel->ours->spread}, duel->peer,
              (struct figure){duel->theirs->per_second / 1e3, duel->theirs->spread});
    row(duel, "p50", "us", us_at(duel->ours, 50), us_at(duel->theirs, 50));
    row(duel, "p99", "us", us_at(duel->ours, 99), us_at(duel->theirs, 99));
    row(duel, "loads", "1/s", duel->ours->loaded / duel->ours->seconds,
        duel->theirs->loaded / duel->theirs->seconds);
}

static void report_remarks(struct bench *bench, const struct hotkey_scene *scene,
                           const struct hotkey_outcome *outcome) {
    const char *name = hotkey_mode_name(scene, outcome->mode);
    if (outcome->wrong != 0) {
        report_note(bench, "%s: %llu requests got no answer, or a wrong one", name,
                    (unsigned long long)outcome->wrong);
    }
    if (outcome->unbegun != 0) {
        report_note(bench, "%s: %llu requests were due and not begun at the end", name,
                    (unsigned long long)outcome->unbegun);
    }
    if (outcome->mode == HOTKEY_FULL || outcome->mode == HOTKEY_TRACKING) {
        report_note(bench,
                    "%s: the local tier%s held %llu entries in the end, %.1f %% of the keys",
                    name, scene->settings.processes > 1 ? "s" : "",
                    (unsigned long long)outcome->entries,
                    (double)outcome->entries / scene->settings.processes / scene->keys * 100);
    }
}

/* ---- curves ------------------------------------------------------------------------------ */

static void plot_latency(struct bench *bench, const struct hotkey_outcome *outcome,
                         const char *name) {
    double x[64];
    double y[64];
    size_t count = 0;
    /* Twelve to each nine: 0, then 17.5 ... 90 ... 99 ... to 99.999, as far as there are requests. */
    for (size_t i = 0; i <= 60; i++) {
        double nines = (double)i / 12;
        x[count] = 100 * (1 - pow(10, -nines));
        y[count] = us_at(outcome, x[count]);
        count += (double)outcome->latency->count >= pow(10, nines);
    }
    report_curve(bench, PAGE_LATENCY, "", name, x, y, count);
}

static void plot_nodes(struct bench *bench, const struct hotkey_scene *scene,
                       const struct hotkey_outcome *outcome, const char *name) {
    for (size_t i = 0; outcome->knows_nodes && i < scene->url.count; i++) {
        char node[32];
        (void)snprintf(node, sizeof node, "node %zu", i + 1);
        report_curve(bench, PAGE_NODES, name, node, outcome->at_s, outcome->nodes[i],
                     outcome->ticks);
    }
}

static void plot_tiers(struct bench *bench, const struct hotkey_outcome *outcome,
                       const char *name) {
    static const char *const names[GENERATOR_ANSWERS] = {"no answer", "local", "remote",
                                                         "loaded", "written"};
    for (size_t i = 0; i < GENERATOR_ANSWERS; i++) {
        double percent[HOTKEY_TICKS];
        double most = 0;
        for (size_t tick = 0; tick < outcome->ticks; tick++) {
            percent[tick] = outcome->shares[i][tick] * 100;
            most = percent[tick] > most ? percent[tick] : most;
        }
        if (most > 0) {
            report_curve(bench, PAGE_TIERS, name, names[i], outcome->at_s, percent,
                         outcome->ticks);
        }
    }
}

static void plot(struct bench *bench, const struct hotkey_scene *scene,
                 const struct hotkey_outcome *outcome) {
    const char *name = hotkey_mode_name(scene, outcome->mode);
    plot_latency(bench, outcome, name);
    report_curve(bench, PAGE_THROUGHPUT, "", name, outcome->at_s, outcome->rate,
                 outcome->ticks);
    report_curve(bench, PAGE_LOADS, "", name, outcome->at_s, outcome->loads, outcome->ticks);
    plot_nodes(bench, scene, outcome, name);
    if (outcome->mode != HOTKEY_ORIGIN) {
        plot_tiers(bench, outcome, name);
    }
}

/* ---- a case ------------------------------------------------------------------------------ */

void hotkey_report(struct bench *bench, const struct hotkey_scene *scene,
                   const struct hotkey_outcome *outcomes) {
    static const enum hotkey_mode order[] = {HOTKEY_PEER, HOTKEY_PROXY, HOTKEY_REMOTE,
                                             HOTKEY_ORIGIN, HOTKEY_TRACKING};
    static const char *const events[] = {NULL, "the viral key", "the flash crowd", "the scan",
                                         "the churn"};
    const struct hotkey_settings *settings = &scene->settings;
    const bool *ran = settings->modes;
    enum hotkey_mode ours = ran[HOTKEY_FULL] ? HOTKEY_FULL : HOTKEY_TRACKING;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct duel duel = {bench, scene, &outcomes[ours], &outcomes[order[i]],
                            hotkey_mode_name(scene, order[i])};
        if (ran[ours] && ran[order[i]] && order[i] != ours) {
            report_duel(&duel);
        }
    }
    for (size_t i = HOTKEY_MODES; i-- > 0;) {
        if (ran[i]) {
            report_remarks(bench, scene, &outcomes[i]);
            plot(bench, scene, &outcomes[i]);
        }
    }
    if (events[settings->event] != NULL) {
        report_mark(bench, settings->at_s, events[settings->event]);
    }
}
