/* SPDX-License-Identifier: Apache-2.0 */
/* How two reports look to a person. What keys and names hold is shown as text only: no terminal obeys them. */
#include "hearth-bench/top_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SHOWN_BYTES = 44, SHOWN_ROOM = 4 * SHOWN_BYTES + 4, HEAD_ROWS = 11, NODES_LEAST = 4 };

struct shown {
    char text[SHOWN_ROOM];
};

static struct shown show(const void *bytes, size_t size, uint64_t full_size) {
    struct shown shown;
    const unsigned char *at = bytes;
    size_t used = 0;
    size_t taken = 0;
    for (; taken < size && used + 4 <= SHOWN_BYTES; taken++) {
        bool is_plain = at[taken] >= ' ' && at[taken] < 0x7F && at[taken] != '\\';
        used += (size_t)snprintf(shown.text + used, sizeof shown.text - used,
                                 is_plain ? "%c" : "\\x%02x", at[taken]);
    }
    (void)snprintf(shown.text + used, sizeof shown.text - used, "%s",
                   taken < full_size ? "..." : "");
    return shown;
}

struct span {
    char text[16];
};

static struct span span_of(uint64_t us) {
    struct span span;
    if (us == 0) {
        (void)snprintf(span.text, sizeof span.text, "-");
    } else if (us < 10000) {
        (void)snprintf(span.text, sizeof span.text, "%" PRIu64 " us", us);
    } else {
        (void)snprintf(span.text, sizeof span.text, "%.0f ms", (double)us / 1e3);
    }
    return span;
}

static double seconds(const struct top_view *view) {
    uint64_t ms = view->now->ms > view->before->ms ? view->now->ms - view->before->ms : 0;
    return ms != 0 ? (double)ms / 1e3 : 1;
}

static double rate_of(const struct top_view *view, uint64_t before, uint64_t now) {
    return now > before ? (double)(now - before) / seconds(view) : 0;
}

#define RATE(view, field) rate_of(view, (view)->before->stats.field, (view)->now->stats.field)

static double percent(double part, double whole) {
    return whole > 0 ? part / whole * 100 : 0;
}

/* Who answered reads, /s. */
struct answers {
    double reads;
    double local;
    double remote;
    double guard;
    double rest; /* loaded, waited for, missed */
};

static struct answers answers_of(const struct top_view *view) {
    struct answers answers = {.reads = RATE(view, reads),
                              .local = RATE(view, local_hits),
                              .remote = RATE(view, remote_hits),
                              .guard = RATE(view, guard_denials)};
    double known = answers.local + answers.remote + answers.guard;
    answers.rest = answers.reads > known ? answers.reads - known : 0;
    return answers;
}

static const struct top_node *node_before(const struct top_view *view,
                                          const struct top_node *node) {
    static const struct top_node none;
    for (size_t i = 0; i < view->before->node_count; i++) {
        if (strcmp(view->before->nodes[i].name, node->name) == 0) {
            return &view->before->nodes[i];
        }
    }
    return &none;
}

/* ---- the picture ------------------------------------------------------------------------- */

static void print_head(const struct top_view *view) {
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &utc));
    struct shown path = show(view->path, strlen(view->path), strlen(view->path));
    struct shown version =
        show(view->now->version, strlen(view->now->version), strlen(view->now->version));
    printf("Hearth %s, process %" PRIu64 ", %s, %s%s\n", version.text, view->now->pid,
           path.text, when, view->wipe);
}

static void print_latency(const struct top_histogram *between) {
    printf("p50 %s, p99 %s, p99.9 %s", span_of(top_histogram_at(between, 0.5)).text,
           span_of(top_histogram_at(between, 0.99)).text,
           span_of(top_histogram_at(between, 0.999)).text);
}

static void print_tiers(const struct top_view *view) {
    const hearth_stats *now = &view->now->stats;
    struct answers answers = answers_of(view);
    struct top_histogram loads =
        top_histogram_between(&view->before->load_us, &view->now->load_us);
    struct top_histogram asked =
        top_histogram_between(&view->before->remote_us, &view->now->remote_us);
    printf(
        "%s\nreads   %10.0f/s  local %.1f %%, nodes %.1f %%, guard %.1f %%, rest %.1f %%%s\n",
        view->wipe, answers.reads, percent(answers.local, answers.reads),
        percent(answers.remote, answers.reads), percent(answers.guard, answers.reads),
        percent(answers.rest, answers.reads), view->wipe);
    printf("writes  %10.0f/s%s\n", RATE(view, writes), view->wipe);
    printf("loads   %10.0f/s  %" PRIu64 " running, %.0f/s failed; ", RATE(view, loads),
           now->loads_running, RATE(view, load_errors));
    print_latency(&loads);
    printf("%s\nlocal   %10" PRIu64 "    entries, %.1f of %.1f MB, %.0f/s evicted%s\n",
           view->wipe, now->local_entries, (double)now->local_bytes / 1048576,
           (double)now->local_limit_bytes / 1048576, RATE(view, local_evictions), view->wipe);
    printf("nodes   %10.0f/s  errors; calls ", RATE(view, remote_errors));
    print_latency(&asked);
    printf("%s\n", view->wipe);
}

static void print_node(const struct top_view *view, const struct top_node *node, double all) {
    const struct top_node *before = node_before(view, node);
    struct top_histogram us = top_histogram_between(&before->us, &node->us);
    struct shown name = show(node->name, strlen(node->name), strlen(node->name));
    double requests = rate_of(view, before->requests, node->requests);
    printf("  %-47s %9.0f %5.0f%% %8.0f %9s %9s", name.text, requests, percent(requests, all),
           rate_of(view, before->errors, node->errors),
           span_of(top_histogram_at(&us, 0.5)).text, span_of(top_histogram_at(&us, 0.99)).text);
    if (node->left_alone) {
        printf("  does not answer");
    }
    if (node->queued_deletes != 0) {
        printf("  %" PRIu64 " deletes kept", node->queued_deletes);
    }
    printf("%s\n", view->wipe);
}

static void print_nodes(const struct top_view *view, size_t most) {
    double all = 0;
    for (size_t i = 0; i < view->now->node_count; i++) {
        const struct top_node *node = &view->now->nodes[i];
        all += rate_of(view, node_before(view, node)->requests, node->requests);
    }
    printf("%s\n%-49s %9s %6s %8s %9s %9s%s\n", view->wipe, "node", "requests", "share",
           "errors", "p50", "p99", view->wipe);
    for (size_t i = 0; i < view->now->node_count && i < most; i++) {
        print_node(view, &view->now->nodes[i], all);
    }
    if (view->now->node_count > most) {
        printf("  and %zu more%s\n", view->now->node_count - most, view->wipe);
    }
}

static const hearth_stats *namespace_before(const struct top_view *view, const char *name) {
    static const hearth_stats none;
    for (size_t i = 0; i < view->before->namespace_count; i++) {
        if (strcmp(view->before->namespaces[i].name, name) == 0) {
            return &view->before->namespaces[i].stats;
        }
    }
    return &none;
}

static void print_namespaces(const struct top_view *view, size_t most) {
    if (most == 0) {
        return;
    }
    printf("%s\n%-49s %9s %6s %8s %9s %9s%s\n", view->wipe, "namespace", "reads", "local",
           "loads", "writes", "MB", view->wipe);
    for (size_t i = 0; i < most; i++) {
        const struct top_namespace *space = &view->now->namespaces[i];
        const hearth_stats *before = namespace_before(view, space->name);
        const hearth_stats *now = &space->stats;
        double reads = rate_of(view, before->reads, now->reads);
        printf("  %-47s %9.0f %5.0f%% %8.0f %9.0f %9.1f%s\n",
               show(space->name, strlen(space->name), strlen(space->name)).text, reads,
               percent(rate_of(view, before->local_hits, now->local_hits), reads),
               rate_of(view, before->loads, now->loads),
               rate_of(view, before->writes, now->writes), (double)now->local_bytes / 1048576,
               view->wipe);
    }
}

static void print_hot_keys(const struct top_view *view, size_t most) {
    printf("%s\n%-49s %9s%s\n", view->wipe, "hot key", "requests", view->wipe);
    for (size_t i = 0; i < view->now->hot_key_count && i < most; i++) {
        const struct top_hot_key *key = &view->now->hot_keys[i];
        printf("  %-47s %9" PRIu64 "%s\n", show(key->key, key->size, key->full_size).text,
               key->requests_per_s, view->wipe);
    }
}

/* With few rows the nodes come first, then some namespaces, then as many keys as there is room for. */
void top_print_picture(const struct top_view *view) {
    size_t nodes = view->now->node_count;
    size_t spaces = view->now->namespace_count;
    size_t keys = view->now->hot_key_count;
    if (view->rows != 0) {
        size_t room = view->rows > HEAD_ROWS + 1 ? view->rows - HEAD_ROWS - 1 : 1;
        size_t most = room / 2 > NODES_LEAST ? room / 2 : NODES_LEAST;
        nodes = nodes > most ? most : nodes;
        room = room > nodes + 1 ? room - nodes - 1 : 0;
        spaces = spaces > room / 2 ? room / 2 : spaces;
        room -= spaces != 0 && room > spaces + 1 ? spaces + 2 : 0;
        keys = room;
    }
    print_head(view);
    print_tiers(view);
    print_nodes(view, nodes);
    print_namespaces(view, spaces);
    print_hot_keys(view, keys);
}

void top_print_line(const struct top_view *view) {
    struct answers answers = answers_of(view);
    struct top_histogram loads =
        top_histogram_between(&view->before->load_us, &view->now->load_us);
    struct top_histogram asked =
        top_histogram_between(&view->before->remote_us, &view->now->remote_us);
    printf("reads/s %.0f local %.1f%% nodes %.1f%% guard %.1f%% rest %.1f%% writes/s %.0f "
           "loads/s %.0f load-p99-us %" PRIu64 " node-errors/s %.0f node-p99-us %" PRIu64,
           answers.reads, percent(answers.local, answers.reads),
           percent(answers.remote, answers.reads), percent(answers.guard, answers.reads),
           percent(answers.rest, answers.reads), RATE(view, writes), RATE(view, loads),
           top_histogram_at(&loads, 0.99), RATE(view, remote_errors),
           top_histogram_at(&asked, 0.99));
    if (view->now->hot_key_count != 0) {
        const struct top_hot_key *key = &view->now->hot_keys[0];
        printf(" hottest/s %" PRIu64 " %s", key->requests_per_s,
               show(key->key, key->size, key->full_size).text);
    }
    printf("\n");
}
