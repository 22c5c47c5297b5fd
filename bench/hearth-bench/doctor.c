/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/doctor.h"
#include "hearth-bench/doctor_checks.h"
#include "hearth-bench/hotkey_remote.h"

#include <hearth/version.h>

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, TIMEOUT_MS = 50 /* of Hearth's by default */ };

/* ---- findings ---------------------------------------------------------------------------- */

static void add_where(struct doctor_finding *finding, const struct doctor_node *node) {
    size_t size = strlen(finding->where);
    if (node != NULL) {
        (void)snprintf(finding->where + size, sizeof finding->where - size, "%s%s",
                       size != 0 ? ", " : "", node->name);
    }
}

__attribute__((format(printf, 4, 0))) static void note(struct doctor *doctor,
                                                       const struct doctor_node *node,
                                                       bool is_wrong, const char *format,
                                                       va_list args) {
    struct doctor_finding finding = {.is_wrong = is_wrong};
    (void)vsnprintf(finding.text, sizeof finding.text, format, args);
    for (size_t i = 0; i < doctor->finding_count; i++) {
        if (strcmp(doctor->findings[i].text, finding.text) == 0) {
            add_where(&doctor->findings[i], node);
            return;
        }
    }
    struct doctor_finding *grown =
        realloc(doctor->findings, (doctor->finding_count + 1) * sizeof *grown);
    if (grown == NULL) {
        (void)fprintf(stderr, "hearth-bench: no memory for: %s\n", finding.text);
        return;
    }
    add_where(&finding, node);
    doctor->findings = grown;
    doctor->findings[doctor->finding_count++] = finding;
}

void doctor_wrong(struct doctor *doctor, const struct doctor_node *node, const char *format,
                  ...) {
    va_list args;
    va_start(args, format);
    note(doctor, node, true, format, args);
    va_end(args);
}

void doctor_advise(struct doctor *doctor, const struct doctor_node *node, const char *format,
                   ...) {
    va_list args;
    va_start(args, format);
    note(doctor, node, false, format, args);
    va_end(args);
}

void doctor_lose(struct doctor_node *node, const char *why) {
    node->answers = false;
    if (why != node->why_not) {
        (void)snprintf(node->why_not, sizeof node->why_not, "%s", why);
    }
}

/* ---- small things that the checks share -------------------------------------------------- */

static int by_size(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

struct doctor_times doctor_times_of(double *us, size_t count) {
    struct doctor_times times = {.count = count};
    if (count != 0) {
        qsort(us, count, sizeof *us, by_size);
        times.p50_us = us[(count - 1) / 2];
        times.p99_us = us[(count - 1) * 99 / 100];
    }
    return times;
}

bool doctor_field(const char *lines, const char *name, char *text, size_t size) {
    size_t name_size = strlen(name);
    for (const char *at = lines; at != NULL && *at != '\0';) {
        if (strncmp(at, name, name_size) == 0 && at[name_size] == ':') {
            const char *value = at + name_size + 1;
            (void)snprintf(text, size, "%.*s", (int)strcspn(value, "\r\n"), value);
            return true;
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    text[0] = '\0';
    return false;
}

uint64_t doctor_number(const char *lines, const char *name) {
    char text[32];
    return doctor_field(lines, name, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

/* ---- what is to be done ------------------------------------------------------------------ */

static int refuse(const char *what, const char *word) {
    (void)fprintf(stderr, "hearth-bench: doctor: %s%s (--help explains)\n", what, word);
    return -1;
}

/* 0, or -1 and stderr was told. */
static int take_arguments(struct doctor *doctor, int count, char **words) {
    static const struct option options[] = {{"remote", required_argument, NULL, 'r'},
                                            {"prefix", required_argument, NULL, 'p'},
                                            {"read-only", no_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    int option = 0;
    while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
        if (option == 'r') {
            doctor->url_text = optarg;
        } else if (option == 'p') {
            doctor->prefix = optarg;
        } else if (option == 'o') {
            doctor->reads_only = true;
        } else {
            return -1; /* getopt_long has said what is wrong */
        }
    }
    if (optind < count) {
        return refuse("what is ", words[optind]);
    }
    if (doctor->url_text == NULL) {
        return refuse("takes --remote URL", "");
    }
    if (doctor->prefix != NULL && (strlen(doctor->prefix) > HOTKEY_PREFIX ||
                                   strpbrk(doctor->prefix, " \t\r\n") != NULL)) {
        return refuse("--prefix takes up to 128 bytes without blanks", "");
    }
    return 0;
}

static int open_nodes(struct doctor *doctor) {
    char why[DOCTOR_WHY];
    if (hearth__remote_url_parse(doctor->url_text, &doctor->url, why, sizeof why) !=
        HEARTH_OK) {
        doctor->url.count = 0;
        return refuse(why, "");
    }
    if (doctor->url.kind == HEARTH__EMBEDDED) {
        return refuse("takes servers: redis:// or memcached://", "");
    }
    doctor->nodes = calloc(doctor->url.count, sizeof *doctor->nodes);
    if (doctor->nodes == NULL) {
        return refuse("no memory", "");
    }
    for (size_t i = 0; i < doctor->url.count; i++) {
        struct doctor_node *node = &doctor->nodes[i];
        node->address = &doctor->url.nodes[i];
        const char *host = node->address->host;
        if (node->address->port == 0) {
            (void)snprintf(node->name, sizeof node->name, "%s", host);
        } else {
            bool is_v6 = strchr(host, ':') != NULL;
            (void)snprintf(node->name, sizeof node->name, "%s%s%s:%u", is_v6 ? "[" : "", host,
                           is_v6 ? "]" : "", node->address->port);
        }
    }
    return 0;
}

static void close_nodes(struct doctor *doctor) {
    for (size_t i = 0; doctor->nodes != NULL && i < doctor->url.count; i++) {
        if (doctor->nodes[i].redis != NULL) {
            redisFree(doctor->nodes[i].redis);
        }
        memcached_free(doctor->nodes[i].memcached);
    }
    if (doctor->url.count != 0) {
        hearth__remote_url_fini(&doctor->url);
    }
    free(doctor->nodes);
    free(doctor->findings);
}

static void say_plan(const struct doctor *doctor) {
    const char *prefix = doctor->prefix != NULL ? doctor->prefix : "hearth-doctor:";
    if (doctor->reads_only) {
        printf("It only reads: whether invalidations arrive, and whether Hearth finds what "
               "others write, is not tried.\n");
        return;
    }
    printf("It writes up to %d small keys under '%s' and deletes them; they live %d s at most. "
           "--read-only prevents that.\n",
           DOCTOR_PLACED + (int)doctor->url.count, prefix, DOCTOR_LIFE_S);
    if (!hotkey_is_here(&doctor->url)) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "WARNING: these servers are not on this machine, and it writes "
                              "to them.\n");
    }
}

/* ---- what all nodes together tell -------------------------------------------------------- */

static void check_sameness(struct doctor *doctor) {
    for (size_t i = 0; i < doctor->url.count; i++) {
        const struct doctor_node *node = &doctor->nodes[i];
        for (size_t at = 0; at < i; at++) {
            const struct doctor_node *other = &doctor->nodes[at];
            if (node->identity[0] != '\0' && strcmp(node->identity, other->identity) == 0) {
                doctor_wrong(doctor, node, "is the same server as %s", other->name);
            }
        }
        if (node->answers && node->version[0] != '\0' && doctor->nodes[0].answers &&
            strcmp(node->version, doctor->nodes[0].version) != 0) {
            doctor_advise(doctor, node, "has another version than %s", doctor->nodes[0].name);
        }
    }
}

static void check_times(struct doctor *doctor) {
    double best_us = 0;
    for (size_t i = 0; i < doctor->url.count; i++) {
        const struct doctor_times *trip = &doctor->nodes[i].trip;
        best_us = trip->count != 0 && (best_us == 0 || trip->p50_us < best_us) ? trip->p50_us
                                                                               : best_us;
    }
    for (size_t i = 0; i < doctor->url.count; i++) {
        const struct doctor_node *node = &doctor->nodes[i];
        if (node->trip.p99_us > TIMEOUT_MS * 1000.0) {
            doctor_wrong(doctor, node,
                         "takes over %d ms for one answer of a hundred, which is "
                         "remote.timeout_ms by default: raise that, or find out what holds the "
                         "node up",
                         TIMEOUT_MS);
        } else if (node->trip.p50_us > 500 && node->trip.p50_us > 3 * best_us) {
            doctor_advise(doctor, node,
                          "is more than three times as far away as the nearest node");
        }
    }
}

static void check_shares(struct doctor *doctor) {
    double weights = 0;
    for (size_t i = 0; i < doctor->url.count; i++) {
        weights += doctor->url.nodes[i].weight > 0 ? doctor->url.nodes[i].weight : 1;
    }
    for (size_t i = 0; i < doctor->url.count; i++) {
        uint32_t weight = doctor->url.nodes[i].weight > 0 ? doctor->url.nodes[i].weight : 1;
        double fair = weight / weights;
        if (doctor->nodes[i].ring_share > 1.2 * fair) {
            doctor_advise(doctor, &doctor->nodes[i],
                          "owns over 1.2 times its fair share of the ring: ?weight= evens that "
                          "out, and moves keys");
        }
    }
}

static void check_silence(struct doctor *doctor) {
    for (size_t i = 0; i < doctor->url.count; i++) {
        struct doctor_node *node = &doctor->nodes[i];
        if (!node->answers) {
            doctor_wrong(doctor, node, "does not answer: %s", node->why_not);
        }
    }
}

/* ---- the report -------------------------------------------------------------------------- */

static const char *times_text(const struct doctor_times *times, char *text, size_t size) {
    double p50 = times->p50_us;
    double p99 = times->p99_us;
    bool in_ms = p50 >= 1000;
    if (times->count == 0) {
        (void)snprintf(text, size, "-");
    } else {
        (void)snprintf(text, size, in_ms ? "%.1f / %.1f ms" : "%.0f / %.0f us",
                       in_ms ? p50 / 1000 : p50, in_ms ? p99 / 1000 : p99);
    }
    return text;
}

static const char *bytes_text(uint64_t bytes, char *text, size_t size) {
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++) {
        value /= 1024;
    }
    (void)snprintf(text, size, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value,
                   units[unit]);
    return text;
}

static void say_node(const struct doctor *doctor, const struct doctor_node *node, int width) {
    char trip[48];
    char invalidation[48];
    char used[24];
    char most[24];
    char memory[64];
    if (!node->answers) {
        printf("%-*s  %5.1f %%  does not answer: %s\n", width, node->name,
               node->ring_share * 100, node->why_not);
        return;
    }
    (void)snprintf(
        memory, sizeof memory, "%s of %s", bytes_text(node->used_bytes, used, sizeof used),
        node->max_bytes != 0 ? bytes_text(node->max_bytes, most, sizeof most) : "no limit");
    printf("%-*s  %5.1f %%  %-17s %-18s %-18s %-18s %-12s %llu\n", width, node->name,
           node->ring_share * 100, node->version[0] != '\0' ? node->version : "?",
           times_text(&node->trip, trip, sizeof trip),
           doctor->url.kind == HEARTH__MEMCACHED ? "none"
           : node->not_tracked[0] != '\0'
               ? "no"
               : times_text(&node->invalidation, invalidation, sizeof invalidation),
           memory, node->policy[0] != '\0' ? node->policy : "?",
           (unsigned long long)node->evicted);
}

static void say_nodes(const struct doctor *doctor) {
    int width = 4;
    for (size_t i = 0; i < doctor->url.count; i++) {
        int size = (int)strlen(doctor->nodes[i].name);
        width = size > width ? size : width;
    }
    printf("\n%-*s  %7s  %-17s %-18s %-18s %-18s %-12s %s\n", width, "node", "ring", "version",
           "round trip p50/p99", "invalidation", "memory", "when full", "evicted");
    for (size_t i = 0; i < doctor->url.count; i++) {
        say_node(doctor, &doctor->nodes[i], width);
    }
}

static void say_tracking(const struct doctor *doctor) {
    size_t tracked = 0;
    size_t answering = 0;
    if (doctor->url.kind == HEARTH__MEMCACHED) {
        printf("\nMemcached does not tell what changed: a local copy lives at most "
               "local.max_ttl_ms.\n");
        return;
    }
    for (size_t i = 0; i < doctor->url.count; i++) {
        answering += doctor->nodes[i].answers;
        tracked += doctor->nodes[i].answers && doctor->nodes[i].not_tracked[0] == '\0';
    }
    if (answering == 0) {
        printf("\n");
        return;
    }
    printf("\nTracking (CLIENT TRACKING, redirected) %s on %zu of %zu nodes that answer.%s\n",
           doctor->reads_only ? "is allowed" : "works", tracked, answering,
           doctor->reads_only
               ? ""
               : " `invalidation` is the time from a write's request to the message.");
}

static void say_placement(const struct doctor *doctor,
                          const struct doctor_placement *placement) {
    uint64_t looked_at = 0;
    uint64_t in_place = 0;
    for (size_t i = 0; i < doctor->url.count; i++) {
        looked_at += doctor->nodes[i].looked_at;
        in_place += doctor->nodes[i].in_place;
    }
    printf("Keys: Hearth and libmemcached (ketama) agree on the node of %zu of %zu.\n",
           placement->computed - placement->differ, placement->computed);
    if (placement->written != 0) {
        printf(
            "Of %zu keys put where libmemcached puts them, Hearth found %zu; %zu of those it "
            "wrote were found there.\n",
            placement->written, placement->found, placement->placed);
    }
    if (looked_at != 0) {
        printf(
            "Of %llu keys that are on the nodes%s%s, %llu are where Hearth looks for them.\n",
            (unsigned long long)looked_at, doctor->prefix != NULL ? " under " : "",
            doctor->prefix != NULL ? doctor->prefix : "", (unsigned long long)in_place);
    }
}

/* Whether something is wrong. */
static bool say_findings(const struct doctor *doctor) {
    size_t wrong = 0;
    for (size_t i = 0; i < doctor->finding_count; i++) {
        wrong += doctor->findings[i].is_wrong;
    }
    printf("\n%s\n", wrong != 0                   ? "What is wrong:"
                     : doctor->finding_count != 0 ? "Nothing is wrong. Advice:"
                                                  : "Nothing is wrong.");
    for (int round = 0; round < 2; round++) {
        if (round == 1 && wrong != 0 && wrong < doctor->finding_count) {
            printf("Advice:\n");
        }
        for (size_t i = 0; i < doctor->finding_count; i++) {
            const struct doctor_finding *finding = &doctor->findings[i];
            if (finding->is_wrong == (round == 0)) {
                printf("  - %s%s%s\n", finding->where, finding->where[0] != '\0' ? ": " : "",
                       finding->text);
            }
        }
    }
    return wrong != 0;
}

/* ---- the visit --------------------------------------------------------------------------- */

static void meet(struct doctor *doctor) {
    for (size_t i = 0; i < doctor->url.count; i++) {
        struct doctor_node *node = &doctor->nodes[i];
        if (doctor->url.kind == HEARTH__REDIS) {
            doctor_meet_redis(doctor, node);
        } else {
            doctor_meet_memcached(doctor, node);
        }
        if (node->answers && doctor->url.kind == HEARTH__REDIS) {
            doctor_track(doctor, node);
        }
    }
}

int doctor(int count, char **words) {
    struct doctor doctor = {.url_text = NULL};
    struct doctor_placement placement;
    if (take_arguments(&doctor, count, words) != 0 || open_nodes(&doctor) != 0) {
        close_nodes(&doctor);
        return EXIT_USAGE;
    }
    printf("hearth %s looks at %zu %s node%s, with hiredis %d.%d.%d and libmemcached %s.\n",
           HEARTH_VERSION_STRING, doctor.url.count,
           doctor.url.kind == HEARTH__REDIS ? "Redis" : "Memcached",
           doctor.url.count == 1 ? "" : "s", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
           memcached_lib_version());
    say_plan(&doctor);
    meet(&doctor);
    int placed = doctor_place(&doctor, &placement);
    check_silence(&doctor);
    check_sameness(&doctor);
    check_times(&doctor);
    check_shares(&doctor);
    say_nodes(&doctor);
    say_tracking(&doctor);
    if (placed == 0) {
        say_placement(&doctor, &placement);
    }
    bool wrong = say_findings(&doctor);
    close_nodes(&doctor);
    return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
