/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite `hotkey`: what a key that everybody wants does to servers and to those who wait, and what becomes of that with
 * Hearth before them. Each mode runs by itself, one after the other, on the same requests; what counts is the time from the
 * event to the end.
 */
#include "hearth-bench/hotkey.h"
#include "hearth-bench/hotkey_stage.h"
#include "hearth-bench/report.h"

#include <stdlib.h>
#include <string.h>

/* ---- cases ------------------------------------------------------------------------------- */

#define TWO_MODES \
    { [HOTKEY_PEER] = true, [HOTKEY_FULL] = true }

static const struct hotkey_settings usual = {.threads = 8,
                                             .processes = 1,
                                             .keys = 1000000,
                                             .exponent = 0.99,
                                             .event = POPULARITY_VIRAL,
                                             .at_s = 4,
                                             .seconds = 12,
                                             .share = 0.4,
                                             .value_low = 100,
                                             .value_high = 100,
                                             .local = 0.1,
                                             .origin_us = 1000,
                                             .nodes = 3,
                                             .modes = TWO_MODES};

enum { QUICK_KEYS = 20000 };

static int play(struct bench *bench, struct hotkey_settings settings) {
    if (bench->quick) {
        settings.keys = QUICK_KEYS;
        settings.seconds = 0.2;
        settings.at_s = 0.08;
    }
    hotkey_apply(bench->hotkey, &settings);
    return hotkey_play(bench, &settings);
}

static int viral(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.at_s = 10;
    settings.seconds = 20;
    memset(settings.modes, true, sizeof settings.modes);
    return play(bench, settings);
}

static int viral_whole(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.at_s = 10;
    settings.seconds = 20;
    settings.local = 1.5;
    return play(bench, settings);
}

static int viral_open(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.rate = 10000;
    return play(bench, settings);
}

static int viral_processes(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.processes = 2;
    settings.threads = 4;
    return play(bench, settings);
}

static int viral_memcached(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.is_memcached = true;
    return play(bench, settings);
}

static int flash(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.event = POPULARITY_FLASH;
    return play(bench, settings);
}

static int scan(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.event = POPULARITY_SCAN;
    return play(bench, settings);
}

static int churn(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.event = POPULARITY_CHURN;
    settings.share = 0.01;
    return play(bench, settings);
}

static int mixed90(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.writes = 0.1;
    return play(bench, settings);
}

static int sizes(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    settings.value_low = 64;
    settings.value_high = 4096;
    return play(bench, settings);
}

static int trace(struct bench *bench, void *stage) {
    (void)stage;
    struct hotkey_settings settings = usual;
    if (bench->trace_count == 0) {
        report_note(bench, "takes --trace FILE");
        return 0;
    }
    settings.event = POPULARITY_STEADY;
    settings.plays_trace = true;
    return play(bench, settings);
}

static const struct bench_case cases[] = {
    {"viral",
     "one new key takes 40 % of the requests from the middle on; room for a tenth of the keys",
     viral},
    {"viral-whole", "the same, with room for all keys in the local tier", viral_whole},
    {"viral-open", "the same with room for a tenth, requests arriving at 10,000 a second",
     viral_open},
    {"viral-2p", "the same in two processes of 4 threads", viral_processes},
    {"viral-memcached", "the same on Memcached, beside libmemcached", viral_memcached},
    {"flash", "a thousand new keys take 40 % of the requests", flash},
    {"scan", "40 % of the requests go through all keys", scan},
    {"churn", "every second, the hottest 1 % of the keys turn cold", churn},
    {"mixed90", "a viral key, and a tenth of the requests write", mixed90},
    {"sizes", "a viral key, and values of 64 to 4096 bytes", sizes},
    {"trace", "the requests of --trace FILE", trace},
};

const struct suite suite_hotkey = {
    .name = "hotkey",
    .what =
        "a key that everybody wants: throughput, latencies, load per node, loads at the origin",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
};
