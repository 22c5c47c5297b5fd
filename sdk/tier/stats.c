/* SPDX-License-Identifier: Apache-2.0 */
/* A cache's statistics, as numbers and as Prometheus text; its hot keys. */
#include "tier/cache.h"
#include "tier/namespace.h"
#include "tier/namespace_stats.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static uint64_t per_million(double share) {
    return (uint64_t)(share * 1e6 + 0.5);
}

static void add_guard(const hearth *cache, hearth_stats *stats) {
    if (cache->guard.filter == NULL) {
        return;
    }
    hearth__bloom_guard_state state = hearth__bloom_guard_look(cache->guard.filter);
    stats->guard_certified = state.certified;
    stats->guard_outgrown = state.outgrown;
    stats->guard_generation = state.generation;
    stats->guard_keys = (uint64_t)(state.estimate.keys + 0.5);
    stats->guard_fill_ppm = per_million(state.estimate.fill);
    stats->guard_rate_ppm = per_million(state.estimate.rate);
    stats->guard_bytes = state.bytes;
}

void hearth__cache_stats(hearth *handle, hearth_stats *stats) {
    hearth *cache = handle->whole;
    hearth__local_usage usage;
    hearth__nodes_usage nodes;
    if (handle != cache) {
        hearth__namespace_stats(cache, atomic_load(&handle->space)->family, stats);
        return;
    }
    hearth__local_usage_get(cache->local, &usage);
    hearth__nodes_usage_get(cache, &nodes);
    stats->size = sizeof *stats;
#define SUM(field, kind, help) \
    stats->field = hearth__seats_sum(cache->counters, HEARTH__STAT_##field);
    HEARTH_STATS_MAP(SUM)
#undef SUM
    stats->reads += stats->local_hits; /* a hit counts once, as such */
    stats->local_entries = usage.entries;
    stats->local_bytes = usage.bytes;
    stats->local_limit_bytes = usage.limit_bytes;
    stats->local_dead_bytes = usage.dead_bytes;
    stats->local_negative_entries = usage.negative_entries;
    stats->local_negative_bytes = usage.negative_bytes;
    stats->hot_keys_bytes = hearth__seats_extra_bytes(cache->counters);
    stats->flights = hearth__flights_count(cache->flights);
    stats->loads_waiting = hearth__workers_waiting(cache->workers);
    stats->leases = hearth__leases_held(cache->leases);
    stats->loads_running = hearth__limiter_running(cache->limiter);
    stats->log_lost = hearth__log_lost(cache->log);
    stats->nodes_left_alone = nodes.left_alone;
    stats->queued_deletes = nodes.queued;
    stats->queued_bytes = nodes.queued_bytes;
    stats->canary_p50_us = hearth__histogram_percentile_us(&cache->canaries, 50);
    stats->canary_p99_us = hearth__histogram_percentile_us(&cache->canaries, 99);
    add_guard(cache, stats);
}

/* Who is given hot keys as callers know them: with their namespace's name before them. */
struct hot_taker {
    void (*give)(void *arg, const hearth__hot_key *key);
    void *arg;
};

static void give_hot_key(void *arg, const hearth__hot_key *key) {
    const struct hot_taker *taker = arg;
    hearth__hot_key placed = *key;
    hearth__key_part part = hearth__key_placed(key->key, key->key_size);
    placed.key_size = part.size;
    placed.full_size -= key->key_size - part.size;
    memset(placed.key, 0, sizeof placed.key);
    memcpy(placed.key, part.data, part.size);
    taker->give(taker->arg, &placed);
}

int32_t hearth__cache_hot_keys(hearth *cache, size_t most,
                               void (*give)(void *arg, const hearth__hot_key *key), void *arg) {
    struct hot_taker taker = {.give = give, .arg = arg};
    return hearth__local_hot_keys(cache->whole->local, most, give_hot_key, &taker);
}

/* A text that may not fit: what it needs is counted all the same. */
struct text {
    char *at;
    size_t size;
    size_t needed; /* without the NUL */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format,
                                                      ...) {
    bool fits = text->needed < text->size;
    va_list args;
    va_start(args, format);
    int written = vsnprintf(fits ? text->at + text->needed : NULL,
                            fits ? text->size - text->needed : 0, format, args);
    va_end(args);
    text->needed += written > 0 ? (size_t)written : 0;
}

/* A label's value: backslash, quote and newline are escaped. */
static void add_label(struct text *text, const char *value) {
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            add(text, "\\n");
        } else {
            add(text, *value == '\\' || *value == '"' ? "\\%c" : "%c", *value);
        }
    }
}

static void add_metric(struct text *text, const char *name, const char *kind, const char *help,
                       uint64_t value) {
    const char *ending = strcmp(kind, "counter") == 0 ? "_total" : "";
    add(text, "# HELP hearth_%s%s %s.\n# TYPE hearth_%s%s %s\nhearth_%s%s %llu\n", name, ending,
        help, name, ending, kind, name, ending, (unsigned long long)value);
}

static void add_node_metric(struct text *text, const hearth__members *members, const char *name,
                            const char *help, size_t offset) {
    add(text, "# HELP hearth_node_%s_total %s.\n# TYPE hearth_node_%s_total counter\n", name,
        help, name);
    for (size_t i = 0; i < members->url.count; i++) {
        hearth__node_stats stats;
        hearth__remote_node_stats(members->cache->remote, members->nodes[i], &stats);
        uint64_t value = 0;
        memcpy(&value, (const char *)&stats + offset, sizeof value);
        add(text, "hearth_node_%s_total{node=\"", name);
        add_label(text, stats.name);
        add(text, "\"} %llu\n", (unsigned long long)value);
    }
}

/* A sample of each namespace, of the field at an offset. */
struct namespace_metric {
    struct text *text;
    const char *name;
    const char *ending;
    size_t offset;
};

static void add_label_bytes(struct text *text, const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        add_label(text, (const char[]){(char)bytes[i], '\0'});
    }
}

static void add_namespace_sample(void *arg, const void *name, size_t name_size,
                                 const hearth_stats *stats) {
    const struct namespace_metric *metric = arg;
    uint64_t value = 0;
    memcpy(&value, (const char *)stats + metric->offset, sizeof value);
    add(metric->text, "hearth_namespace_%s%s{namespace=\"", metric->name, metric->ending);
    add_label_bytes(metric->text, name, name_size);
    add(metric->text, "\"} %llu\n", (unsigned long long)value);
}

static void add_namespace_metric(struct text *text, hearth *cache, const char *name,
                                 const char *kind, const char *help, size_t offset) {
    struct namespace_metric metric = {.text = text,
                                      .name = name,
                                      .ending = strcmp(kind, "counter") == 0 ? "_total" : "",
                                      .offset = offset};
    add(text,
        "# HELP hearth_namespace_%s%s Of a namespace: %s.\n# TYPE hearth_namespace_%s%s %s\n",
        name, metric.ending, help, name, metric.ending, kind);
    hearth__namespaces_stats(cache, add_namespace_sample, &metric);
}

static void add_namespaces(struct text *text, hearth *cache) {
    if (!hearth__namespaces_any(cache)) { /* a name without samples is none */
        return;
    }
#define METRIC(field, kind, help)                                                              \
    if (hearth__namespace_has(HEARTH__STAT_##field)) {                                         \
        add_namespace_metric(text, cache, #field, #kind, help, offsetof(hearth_stats, field)); \
    }
    HEARTH_STATS_MAP(METRIC)
#undef METRIC
}

static uint64_t breaker_of(const hearth *cache, uint32_t node) {
    return hearth__nodes_is_open(cache, node);
}

static void add_node_gauge(struct text *text, const hearth__members *members, const char *name,
                           const char *help,
                           uint64_t (*of)(const hearth *cache, uint32_t node)) {
    add(text, "# HELP hearth_node_%s %s.\n# TYPE hearth_node_%s gauge\n", name, help, name);
    for (size_t i = 0; i < members->url.count; i++) {
        hearth__node_stats stats;
        hearth__remote_node_stats(members->cache->remote, members->nodes[i], &stats);
        add(text, "hearth_node_%s{node=\"", name);
        add_label(text, stats.name);
        add(text, "\"} %llu\n", (unsigned long long)of(members->cache, members->nodes[i]));
    }
}

/* Microseconds as seconds, in any locale. */
static void add_seconds(struct text *text, uint64_t us) {
    enum { US = 1000000 };
    add(text, "%llu.%06llu", (unsigned long long)(us / US), (unsigned long long)(us % US));
}

/* Its buckets, of which each is twice as wide as the one before, are in the text only. */
static void add_canaries(struct text *text, const hearth *cache, const hearth_stats *stats) {
    enum { FIRST_US = 64, BUCKETS = 18 };
    static const char *const name = "hearth_canary_seconds";
    uint64_t all = hearth__histogram_below(&cache->canaries, UINT64_MAX);
    add(text, "# HELP %s How long changes took to be told, tried out by this process.\n", name);
    add(text, "# TYPE %s histogram\n", name);
    for (size_t i = 0; i < BUCKETS; i++) {
        uint64_t us = (uint64_t)FIRST_US << i;
        add(text, "%s_bucket{le=\"", name);
        add_seconds(text, us);
        add(text, "\"} %llu\n",
            (unsigned long long)hearth__histogram_below(&cache->canaries, us));
    }
    add(text, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum ", name, (unsigned long long)all, name);
    add_seconds(text, stats->canary_us);
    add(text, "\n%s_count %llu\n", name, (unsigned long long)all);
}

static size_t compose(const hearth__members *members, const hearth_stats *stats, char *out,
                      size_t size) {
    struct text text = {.at = out, .size = size};
#define METRIC(field, kind, help) add_metric(&text, #field, #kind, help, stats->field);
    HEARTH_STATS_MAP(METRIC)
#undef METRIC
    add_node_metric(&text, members, "requests", "Operations sent to a node",
                    offsetof(hearth__node_stats, requests));
    add_node_metric(&text, members, "errors", "Operations that a node failed",
                    offsetof(hearth__node_stats, errors));
    add_node_gauge(&text, members, "breaker_open", "Whether calls to a node fail at once",
                   breaker_of);
    add_node_gauge(&text, members, "queued_deletes", "Deletes kept for a node",
                   hearth__nodes_queued);
    add_namespaces(&text, members->cache);
    add_canaries(&text, members->cache, stats);
    return text.needed + 1;
}

int32_t hearth__cache_stats_text(hearth *handle, char *out, size_t size, size_t *needed) {
    hearth *cache = handle->whole;
    hearth_stats stats;
    hearth__cache_stats(cache, &stats);
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    *needed = compose(members, &stats, NULL, 0);
    if (*needed <= size) {
        *needed = compose(members, &stats, out, size); /* a node's number may have grown */
    }
    hearth__members_let_go(members, place);
    return *needed <= size ? HEARTH_OK : HEARTH_E_TOO_LARGE;
}
