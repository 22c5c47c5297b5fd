/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver and the suites share: suites and their cases, the settings of a run, and where
 * rows go. One file a suite, named as the room of sdk/ that it measures. */
#ifndef HEARTH_BENCH_BENCH_H
#define HEARTH_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct crew;
struct hotkey_wish;
struct report;

enum { ROUNDS_QUICK = 3, ROUNDS_LEAST = 5, ROUNDS_MOST = 99 };

/* One run of the program. */
struct bench {
    bool quick;      /* seconds instead of minutes: for a look, not for a comparison */
    unsigned rounds; /* ROUNDS_QUICK to ROUNDS_MOST; each party of a case runs once a round */
    uint64_t seed;
    const char *const *traces; /* files of requests, for the suites that replay them */
    size_t trace_count;
    enum trace_form trace_form;
    const char *csv_path; /* NULL: none */
    const struct hotkey_wish *hotkey;
    struct crew *crew; /* NULL until a suite needs it */
    struct report *report;
    const char *suite_name; /* the ones that run now */
    const char *case_name;
    size_t cases; /* of the whole run, */
    size_t cases_done;
    int64_t begin_ns;
};

/* Measures one case and reports its rows. 0; or -1 when it could not be measured, and then
 * bench_fail() has said why. `stage` is what the suite's open made. */
typedef int case_run(struct bench *bench, void *stage);

struct bench_case {
    const char *name;
    const char *what; /* one line for --help */
    case_run *run;
};

struct suite {
    const char *name;
    const char *what;
    const struct bench_case *cases;
    size_t count;
    /* What the cases share, made before the first and freed after the last; NULL: nothing. */
    void *(*open)(struct bench *bench);
    void (*close)(void *stage);
};

extern const struct suite suite_appserver;
extern const struct suite suite_bloom;
extern const struct suite suite_coherence;
extern const struct suite suite_hitratio;
extern const struct suite suite_hotkey;
extern const struct suite suite_invalidate;
extern const struct suite suite_local;
extern const struct suite suite_memory;
extern const struct suite suite_remote;
extern const struct suite suite_ring;
extern const struct suite suite_stampede;

/* A value, and how far its measurements lie apart (a share of it; below 0: measured once). */
struct figure {
    double value;
    double spread;
};

/* Reports a row of the present case: our figure, and the peer's in the same unit. */
void bench_row(struct bench *bench, const char *metric, const char *unit, struct figure ours,
               const char *peer, struct figure theirs);

/* Says on stderr how far the run and the present case are, if that is a terminal. */
void bench_progress(const struct bench *bench, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Wipes it away. */
void bench_progress_end(const struct bench *bench);

/* Says on stderr why the present case could not be measured. -1. */
int bench_fail(const struct bench *bench, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
