/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what stats.socket tells: JSON (RFC 8259), as far as it is used there. What it does not know it passes over. */
#include "hearth-bench/top_report.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 16, NAME_BYTES = 64 };

struct json {
    const char *at;
    bool wrong;
};

/* ---- values ------------------------------------------------------------------------------ */

static bool take(struct json *json, char wanted) {
    json->at += strspn(json->at, " \t\r\n");
    if (json->wrong || *json->at != wanted) {
        return false;
    }
    json->at++;
    return true;
}

static void need(struct json *json, char wanted) {
    json->wrong = !take(json, wanted) || json->wrong;
}

/* A list or object: whether it has a first member, or another one. */
static bool has_first(struct json *json, char opening, char closing) {
    need(json, opening);
    return !json->wrong && !take(json, closing);
}

static bool has_next(struct json *json, char closing) {
    if (take(json, ',')) {
        return true;
    }
    need(json, closing);
    return false;
}

/* A character, as a byte; -1: it is none. */
static int take_character(struct json *json) {
    static const char plain[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    int c = (unsigned char)*json->at++;
    if (c != '\\') {
        return c >= ' ' ? c : -1;
    }
    c = (unsigned char)*json->at++;
    const char *found = c != '\0' ? strchr(plain, c) : NULL;
    if (found != NULL) {
        return (unsigned char)meant[found - plain];
    }
    char digits[5] = {0};
    for (size_t i = 0; c == 'u' && i < 4 && isxdigit((unsigned char)json->at[i]); i++) {
        digits[i] = json->at[i];
    }
    unsigned long value = strtoul(digits, NULL, 16);
    if (strlen(digits) != 4 || value > UINT8_MAX) {
        return -1;
    }
    json->at += 4;
    return (int)value;
}

/* A text's bytes, as many as fit. */
static size_t take_text(struct json *json, void *bytes, size_t most) {
    size_t size = 0;
    need(json, '"');
    while (!json->wrong && *json->at != '"') {
        int c = take_character(json);
        json->wrong = c < 0;
        if (c >= 0 && size < most) {
            ((unsigned char *)bytes)[size++] = (unsigned char)c;
        }
    }
    need(json, '"');
    return size;
}

static void take_name(struct json *json, char *name, size_t size) {
    name[take_text(json, name, size - 1)] = '\0';
}

static uint64_t take_number(struct json *json) {
    char *end = NULL;
    json->at += strspn(json->at, " \t\r\n");
    bool is_one = !json->wrong && isdigit((unsigned char)*json->at);
    uint64_t number = is_one ? strtoull(json->at, &end, 10) : 0;
    json->wrong = !is_one;
    json->at = is_one ? end : json->at;
    return number;
}

static bool take_flag(struct json *json) {
    json->at += strspn(json->at, " \t\r\n");
    bool yes = strncmp(json->at, "true", 4) == 0;
    bool no = strncmp(json->at, "false", 5) == 0;
    json->wrong = json->wrong || (!yes && !no);
    json->at += json->wrong ? 0 : yes ? 4 : 5;
    return yes;
}

/* A value of any kind: to the end of what is nested in it. */
static void skip(struct json *json) {
    size_t depth = 0;
    do {
        json->at += strspn(json->at, " \t\r\n,:");
        char c = *json->at;
        if (c == '"') {
            char none = 0;
            (void)take_text(json, &none, 0);
        } else if (c == '{' || c == '[') {
            depth++;
            json->at++;
        } else if (c == '}' || c == ']') {
            json->wrong = json->wrong || depth == 0;
            depth -= depth != 0;
            json->at++;
        } else {
            size_t size = strspn(json->at, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
            json->wrong = json->wrong || size == 0;
            json->at += size;
        }
        json->wrong = json->wrong || depth > DEPTH_MOST;
    } while (depth != 0 && !json->wrong);
}

/* ---- a report ---------------------------------------------------------------------------- */

static void take_histogram(struct json *json, struct top_histogram *histogram) {
    for (bool more = has_first(json, '[', ']'); more; more = has_next(json, ']')) {
        need(json, '[');
        uint64_t end_us = take_number(json);
        need(json, ',');
        uint64_t times = take_number(json);
        need(json, ']');
        if (histogram->count < TOP_STEPS) {
            histogram->steps[histogram->count].end_us = end_us;
            histogram->steps[histogram->count++].times = times;
        }
    }
}

static void take_stat(struct json *json, const char *name, hearth_stats *stats) {
#define FIELD(field, kind, help)          \
    if (strcmp(name, #field) == 0) {      \
        stats->field = take_number(json); \
        return;                           \
    }
    HEARTH_STATS_MAP(FIELD)
#undef FIELD
    skip(json);
}

static void take_stats(struct json *json, hearth_stats *stats) {
    char name[NAME_BYTES];
    for (bool more = has_first(json, '{', '}'); more; more = has_next(json, '}')) {
        take_name(json, name, sizeof name);
        need(json, ':');
        take_stat(json, name, stats);
    }
}

static void take_hot_key(struct json *json, struct top_hot_key *key) {
    char name[NAME_BYTES];
    for (bool more = has_first(json, '{', '}'); more; more = has_next(json, '}')) {
        take_name(json, name, sizeof name);
        need(json, ':');
        if (strcmp(name, "key") == 0) {
            key->size = take_text(json, key->key, sizeof key->key);
        } else if (strcmp(name, "size") == 0) {
            key->full_size = take_number(json);
        } else if (strcmp(name, "requests_per_s") == 0) {
            key->requests_per_s = take_number(json);
        } else {
            skip(json);
        }
    }
}

static void take_node_member(struct json *json, const char *name, struct top_node *node) {
    if (strcmp(name, "name") == 0) {
        take_name(json, node->name, sizeof node->name);
    } else if (strcmp(name, "requests") == 0) {
        node->requests = take_number(json);
    } else if (strcmp(name, "errors") == 0) {
        node->errors = take_number(json);
    } else if (strcmp(name, "queued_deletes") == 0) {
        node->queued_deletes = take_number(json);
    } else if (strcmp(name, "breaker_open") == 0) {
        node->left_alone = take_flag(json);
    } else if (strcmp(name, "us") == 0) {
        take_histogram(json, &node->us);
    } else {
        skip(json);
    }
}

/* One more of a list that grows, all zero; NULL: no memory. */
static void *add_one(struct json *json, void **list, size_t *count, size_t size) {
    char *grown = realloc(*list, (*count + 1) * size);
    if (grown == NULL) {
        json->wrong = true;
        return NULL;
    }
    *list = grown;
    return memset(grown + (*count)++ * size, 0, size);
}

static void take_node(struct json *json, struct top_report *report) {
    char name[NAME_BYTES];
    void *nodes = report->nodes;
    struct top_node *node = add_one(json, &nodes, &report->node_count, sizeof *node);
    report->nodes = nodes;
    if (node == NULL) {
        return;
    }
    for (bool more = has_first(json, '{', '}'); more; more = has_next(json, '}')) {
        take_name(json, name, sizeof name);
        need(json, ':');
        take_node_member(json, name, node);
    }
}

static void take_namespace(struct json *json, struct top_report *report) {
    char name[NAME_BYTES];
    void *namespaces = report->namespaces;
    struct top_namespace *space =
        add_one(json, &namespaces, &report->namespace_count, sizeof *space);
    report->namespaces = namespaces;
    if (space == NULL) {
        return;
    }
    for (bool more = has_first(json, '{', '}'); more; more = has_next(json, '}')) {
        take_name(json, name, sizeof name);
        need(json, ':');
        if (strcmp(name, "name") == 0) {
            take_name(json, space->name, sizeof space->name);
        } else {
            take_stat(json, name, &space->stats);
        }
    }
}

static void take_lists(struct json *json, const char *name, struct top_report *report) {
    struct top_hot_key extra;
    for (bool more = has_first(json, '[', ']'); more; more = has_next(json, ']')) {
        if (strcmp(name, "nodes") == 0) {
            take_node(json, report);
        } else if (strcmp(name, "namespaces") == 0) {
            take_namespace(json, report);
        } else {
            bool fits = report->hot_key_count < TOP_HOT_KEYS;
            take_hot_key(json, fits ? &report->hot_keys[report->hot_key_count] : &extra);
            report->hot_key_count += fits;
        }
    }
}

static void take_member(struct json *json, const char *name, struct top_report *report) {
    if (strcmp(name, "hearth_stats") == 0) {
        report->format = take_number(json);
    } else if (strcmp(name, "pid") == 0) {
        report->pid = take_number(json);
    } else if (strcmp(name, "ms") == 0) {
        report->ms = take_number(json);
    } else if (strcmp(name, "version") == 0) {
        take_name(json, report->version, sizeof report->version);
    } else if (strcmp(name, "stats") == 0) {
        take_stats(json, &report->stats);
    } else if (strcmp(name, "remote_us") == 0) {
        take_histogram(json, &report->remote_us);
    } else if (strcmp(name, "load_us") == 0) {
        take_histogram(json, &report->load_us);
    } else if (strcmp(name, "nodes") == 0 || strcmp(name, "namespaces") == 0 ||
               strcmp(name, "hot_keys") == 0) {
        take_lists(json, name, report);
    } else {
        skip(json);
    }
}

bool top_report_parse(const char *text, struct top_report *report) {
    char name[NAME_BYTES];
    struct json json = {.at = text};
    memset(report, 0, sizeof *report);
    for (bool more = has_first(&json, '{', '}'); more; more = has_next(&json, '}')) {
        take_name(&json, name, sizeof name);
        need(&json, ':');
        take_member(&json, name, report);
    }
    return !json.wrong && report->format == 1;
}

void top_report_free(struct top_report *report) {
    free(report->nodes);
    report->nodes = NULL;
    report->node_count = 0;
    free(report->namespaces);
    report->namespaces = NULL;
    report->namespace_count = 0;
}

/* ---- histograms -------------------------------------------------------------------------- */

struct top_histogram top_histogram_between(const struct top_histogram *before,
                                           const struct top_histogram *after) {
    struct top_histogram between = *after;
    size_t old = 0;
    for (size_t i = 0; i < between.count; i++) {
        while (old < before->count && before->steps[old].end_us < between.steps[i].end_us) {
            old++;
        }
        if (old < before->count && before->steps[old].end_us == between.steps[i].end_us &&
            before->steps[old].times <= between.steps[i].times) {
            between.steps[i].times -= before->steps[old].times;
        }
    }
    return between;
}

uint64_t top_histogram_at(const struct top_histogram *histogram, double share) {
    uint64_t all = 0;
    uint64_t seen = 0;
    for (size_t i = 0; i < histogram->count; i++) {
        all += histogram->steps[i].times;
    }
    uint64_t wanted = (uint64_t)ceil((double)all * share);
    for (size_t i = 0; i < histogram->count; i++) {
        seen += histogram->steps[i].times;
        if (seen >= wanted && seen != 0) {
            return histogram->steps[i].end_us;
        }
    }
    return 0;
}
