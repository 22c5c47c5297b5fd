/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/report.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>
#include <libmemcached/memcached.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define TEXT(word)     #word
#define TEXT_OF(macro) TEXT(macro)

int report_open(struct report *report, const char *json_path, bool with_page) {
    report->json = NULL;
    report->page = NULL;
    if (with_page) {
        report->page = page_create("Hearth: hot keys and caches, measured");
        if (report->page == NULL) {
            return -1;
        }
    }
    if (json_path != NULL) {
        report->json = fopen(json_path, "we");
    }
    return json_path == NULL || report->json != NULL ? 0 : -1;
}

int report_close(struct report *report) {
    if (report->json == NULL) {
        return 0;
    }
    int broken = ferror(report->json);
    int unwritten = fclose(report->json);
    report->json = NULL;
    return broken != 0 || unwritten != 0 ? -1 : 0;
}

int report_write_page(const struct report *report, const char *path) {
    return page_write(report->page, path);
}

void report_free_page(struct report *report) {
    page_destroy(report->page);
    report->page = NULL;
}

void report_curve(const struct bench *bench, enum page_plot plot, const char *facet,
                  const char *name, const double *x, const double *y, size_t count) {
    char group[128];
    const struct page_curve curve = {plot, group, facet, name, x, y, count};
    if (bench->report->page != NULL) {
        (void)snprintf(group, sizeof group, "%s %s", bench->suite_name, bench->case_name);
        page_curve(bench->report->page, &curve);
    }
}

void report_mark(const struct bench *bench, double at_s, const char *what) {
    char group[128];
    if (bench->report->page != NULL) {
        (void)snprintf(group, sizeof group, "%s %s", bench->suite_name, bench->case_name);
        page_mark(bench->report->page, group, at_s, what);
    }
}

/* ---- the header ------------------------------------------------------------------------- */

/* A line above the table, and in the page. */
static void say_fact(const struct bench *bench, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say_fact(const struct bench *bench, const char *name, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("# %-9s %s\n", name, text);
    if (bench->report->page != NULL) {
        page_fact(bench->report->page, name, text);
    }
}

static void say_machine(const struct bench *bench) {
    char line[256];
    char name[200] = "unknown processor";
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "model name : %199[^\n]", name) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    cpu_set_t allowed;
    int usable = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
    long pages = sysconf(_SC_PHYS_PAGES);
    say_fact(bench, "machine", "%s, %d of %ld processors usable, %ld MiB of memory", name,
             usable, sysconf(_SC_NPROCESSORS_ONLN),
             pages / 256 * (sysconf(_SC_PAGESIZE) / 4096));
}

static const char *built_how(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return ", with a sanitizer: the figures mean nothing";
#elif !defined(__OPTIMIZE__)
    return ", not optimized: the figures mean nothing";
#else
    return "";
#endif
}

void report_header(const struct bench *bench) {
    say_machine(bench);
#ifdef __clang__
    say_fact(bench, "compiler", "%s%s", __VERSION__, built_how());
#else
    say_fact(bench, "compiler", "gcc %s%s", __VERSION__, built_how());
#endif
    say_fact(bench, "versions",
             "hearth %s, hiredis %d.%d.%d, uthash %s, libmemcached %s, xxhash %u",
             hearth_version(), HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
             TEXT_OF(UTHASH_VERSION), memcached_lib_version(), XXH_versionNumber());
    say_fact(bench, "settings", "seed %llu, medians of %u rounds%s",
             (unsigned long long)bench->seed, bench->rounds,
             bench->quick ? ", quick: fewer keys, for a look, not for a comparison" : "");
    printf("#\n# ratio is hearth's value divided by the peer's; spread is half the distance "
           "between the quartiles.\n");
    printf("%-7s %-18s %-14s %12s %-9s %-14s %10s %7s  %s\n", "suite", "case", "metric",
           "hearth", "unit", "peer", "peer's", "ratio", "spread");
    (void)fflush(stdout);
}

/* ---- rows ------------------------------------------------------------------------------- */

static void print_number(char *text, size_t size, double value) {
    double whole = value < 0 ? -value : value;
    int digits = whole >= 1000 ? 0 : whole >= 100 ? 1 : whole >= 10 ? 2 : 3;
    (void)snprintf(text, size, "%.*f", digits, value);
}

static void print_spread(char *text, size_t size, struct figure figure) {
    if (figure.spread < 0) {
        (void)snprintf(text, size, "-");
    } else {
        (void)snprintf(text, size, "%.1f%%", figure.spread * 100);
    }
}

static double ratio_of(const struct row *row) {
    return row->theirs.value != 0 ? row->ours.value / row->theirs.value : 0;
}

void report_note(const struct bench *bench, const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("# %s: ", bench->case_name);
    (void)vprintf(format, args);
    printf("\n");
    va_end(args);
}

static void write_json(struct report *report, const struct row *row) {
    /* All texts are ours, and none needs escaping. */
    (void)fprintf(report->json,
                  "{\"suite\":\"%s\",\"case\":\"%s\",\"metric\":\"%s\",\"value\":%.9g,"
                  "\"unit\":\"%s\",\"peer\":\"%s\",\"peer_value\":%.9g,\"ratio\":%.9g",
                  row->suite_name, row->case_name, row->metric, row->ours.value, row->unit,
                  row->peer, row->theirs.value, ratio_of(row));
    if (row->ours.spread >= 0 && row->theirs.spread >= 0) {
        (void)fprintf(report->json, ",\"spread\":%.4g,\"peer_spread\":%.4g", row->ours.spread,
                      row->theirs.spread);
    }
    (void)fputs("}\n", report->json);
    (void)fflush(report->json);
}

void report_row(struct report *report, const struct row *row) {
    char ours[32];
    char theirs[32];
    char our_spread[16];
    char their_spread[16];
    print_number(ours, sizeof ours, row->ours.value);
    print_number(theirs, sizeof theirs, row->theirs.value);
    print_spread(our_spread, sizeof our_spread, row->ours);
    print_spread(their_spread, sizeof their_spread, row->theirs);
    printf("%-7s %-18s %-14s %12s %-9s %-14s %10s %7.3f  %s %s\n", row->suite_name,
           row->case_name, row->metric, ours, row->unit, row->peer, theirs, ratio_of(row),
           our_spread, their_spread);
    (void)fflush(stdout);
    if (report->json != NULL) {
        write_json(report, row);
    }
    if (report->page != NULL) {
        page_row(report->page,
                 &(struct page_row){row->suite_name, row->case_name, row->metric, row->unit,
                                    row->ours.value, row->ours.spread, row->peer,
                                    row->theirs.value, row->theirs.spread, ratio_of(row)});
    }
}
