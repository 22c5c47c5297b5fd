/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stats.socket tells: one JSON object (RFC 8259) on one line, ended by a newline; the README says what is in it. A key or a name is
 * bytes, and each of them is one character, U+0000 to U+00FF. Who finds a version that it does not know shows nothing; members are
 * added without another one.
 */
#include "tier/latencies.h"
#include "tier/namespace_stats.h"
#include "tier/stats_socket.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VERSION = 1, HOT_KEYS = 50, PIECE_BYTES = 256 };

struct report {
    hearth__buffer *out;
    bool whole;     /* no memory was missing */
    bool has_first; /* of the list that is being written */
};

static void add(struct report *report, const char *text, size_t size) {
    report->whole = report->whole && hearth__buffer_append(report->out, text, size);
}

__attribute__((format(printf, 2, 3))) static void print(struct report *report,
                                                        const char *format, ...) {
    char piece[PIECE_BYTES];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    report->whole = report->whole && size >= 0 && (size_t)size < sizeof piece;
    if (report->whole) {
        add(report, piece, (size_t)size);
    }
}

static void begin(struct report *report, const char *name, const char *bracket) {
    print(report, "\"%s\":%s", name, bracket);
    report->has_first = false;
}

/* Before each of a list. */
static void next(struct report *report) {
    if (report->has_first) {
        add(report, ",", 1);
    }
    report->has_first = true;
}

static void quote(struct report *report, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    add(report, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        if (at[i] < ' ' || at[i] >= 0x7F) {
            print(report, "\\u%04x", (unsigned)at[i]);
        } else {
            if (at[i] == '"' || at[i] == '\\') {
                add(report, "\\", 1);
            }
            add(report, (const char *)&at[i], 1);
        }
    }
    add(report, "\"", 1);
}

/* The steps in which something was: their ends, us, and how many there were. */
static void add_histogram(struct report *report, const char *name,
                          const hearth__histogram *histogram) {
    begin(report, name, "[");
    for (size_t i = 0; i < HEARTH__HISTOGRAM_STEPS; i++) {
        uint64_t count = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        if (count != 0) {
            next(report);
            print(report, "[%" PRIu64 ",%" PRIu64 "]", hearth__histogram_end_us(i), count);
        }
    }
    add(report, "]", 1);
}

static void add_stats(struct report *report, const hearth_stats *stats) {
    begin(report, "stats", "{");
#define MEMBER(field, kind, help) \
    next(report);                 \
    print(report, "\"" #field "\":%" PRIu64, stats->field);
    HEARTH_STATS_MAP(MEMBER)
#undef MEMBER
    add(report, "}", 1);
}

static void add_hot_key(void *arg, const hearth__hot_key *key) {
    struct report *report = arg;
    next(report);
    print(report, "{\"requests_per_s\":%" PRIu64 ",\"size\":%zu,\"key\":", key->requests_per_s,
          key->full_size);
    quote(report, key->key, key->key_size);
    add(report, "}", 1);
}

static void add_node(struct report *report, const hearth__members *members, size_t place) {
    const hearth *cache = members->cache;
    uint32_t node = members->nodes[place];
    hearth__node_stats stats;
    hearth__remote_node_stats(cache->remote, node, &stats);
    add(report, "{\"name\":", strlen("{\"name\":"));
    quote(report, stats.name, strlen(stats.name));
    print(report,
          ",\"weight\":%u,\"requests\":%" PRIu64 ",\"errors\":%" PRIu64
          ",\"breaker_open\":%s,\"queued_deletes\":%" PRIu64 ",",
          (unsigned)members->url.nodes[place].weight, stats.requests, stats.errors,
          hearth__nodes_is_open(cache, node) ? "true" : "false",
          hearth__nodes_queued(cache, node));
    add_histogram(report, "us", &cache->latencies->nodes[node]);
    add(report, "}", 1);
}

static void add_nodes(struct report *report, const hearth *cache) {
    uint32_t hold = 0;
    hearth__members *members = hearth__members_hold(cache, &hold);
    begin(report, "nodes", "[");
    for (size_t i = 0; i < members->url.count; i++) {
        report->has_first = i != 0;
        next(report);
        add_node(report, members, i);
    }
    hearth__members_let_go(members, hold);
    add(report, "],", 2);
}

static void add_namespace(void *arg, const void *name, size_t name_size,
                          const hearth_stats *stats) {
    struct report *report = arg;
    next(report);
    print(report, "{\"name\":");
    quote(report, name, name_size);
#define MEMBER(field, kind, help)                                \
    if (hearth__namespace_has(HEARTH__STAT_##field)) {           \
        print(report, ",\"" #field "\":%" PRIu64, stats->field); \
    }
    HEARTH_STATS_MAP(MEMBER)
#undef MEMBER
    add(report, "}", 1);
}

bool hearth__stats_report(hearth *cache, hearth__buffer *out) {
    struct report report = {.out = out, .whole = true};
    hearth_stats stats;
    hearth__cache_stats(cache, &stats);
    print(&report,
          "{\"hearth_stats\":%d,\"version\":\"%s\",\"pid\":%ld,\"unix_ms\":%" PRId64
          ",\"ms\":%" PRId64 ",",
          VERSION, HEARTH_VERSION_STRING, (long)getpid(), hearth__wall_ms(), hearth__boot_ms());
    begin(&report, "hot_keys", "[");
    int32_t status = hearth__cache_hot_keys(cache, HOT_KEYS, add_hot_key, &report);
    add(&report, "],", 2);
    add_nodes(&report, cache);
    begin(&report, "namespaces", "[");
    hearth__namespaces_stats(cache, add_namespace, &report);
    add(&report, "],", 2);
    add_histogram(&report, "remote_us", &cache->latencies->remote);
    add(&report, ",", 1);
    add_histogram(&report, "load_us", &cache->latencies->load);
    add(&report, ",", 1);
    add_histogram(&report, "canary_delay_us", &cache->canaries);
    add(&report, ",", 1);
    add_stats(&report, &stats);
    add(&report, "}\n", 2);
    return report.whole && status == HEARTH_OK;
}
