/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `hitratio`: what share of requests each policy misses, beside textbook caches. */
#include "hearth-bench/hitratio.h"
#include "hearth-bench/report.h"

#include "reference.h"
#include "simulation.h"
#include "splitmix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 2 }; /* generated streams, when there is no trace */

/* ---- loads ------------------------------------------------------------------------------ */

/* The file's name without folder and endings, in letters that need no escape anywhere. */
static void name_load(struct hitratio_load *load, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    size_t size = strcspn(base, ".");
    size = size < sizeof load->name ? size : sizeof load->name - 1;
    for (size_t i = 0; i < size; i++) {
        bool is_plain = (base[i] >= 'a' && base[i] <= 'z') ||
                        (base[i] >= 'A' && base[i] <= 'Z') ||
                        (base[i] >= '0' && base[i] <= '9');
        load->name[i] = is_plain ? base[i] : '-';
    }
    if (size == 0) {
        (void)snprintf(load->name, sizeof load->name, "trace");
    }
}

/* Sizes for a stream that has none: as many of each power of two from 64 bytes to 64 KiB. */
static int add_sizes(struct requests *requests, uint64_t seed) {
    requests->sizes = malloc(((size_t)requests->distinct + 1) * sizeof *requests->sizes);
    for (uint32_t i = 0; requests->sizes != NULL && i < requests->distinct; i++) {
        uint32_t power = UINT32_C(64) << splitmix_below(&seed, 10);
        requests->sizes[i] = power + splitmix_below(&seed, power);
    }
    return requests->sizes != NULL ? 0 : -1;
}

static int open_load(const struct bench *bench, struct hitratio_load *load, size_t i) {
    char error[512];
    if (bench->trace_count == 0) {
        (void)snprintf(load->name, sizeof load->name, "generated-%zu", i + 1);
        return requests_generate(&load->requests, bench->seed + i) == 0 &&
                       add_sizes(&load->requests, bench->seed + i) == 0
                   ? 0
                   : bench_fail(bench, "no memory");
    }
    name_load(load, bench->traces[i]);
    bench_progress(bench, "reading %s", load->name);
    int result = requests_read(&load->requests, bench->traces[i], bench->trace_form, 0, error,
                               sizeof error);
    bench_progress_end(bench);
    return result == 0 ? 0 : bench_fail(bench, "%s", error);
}

static void hitratio_close(void *stage) {
    struct hitratio *suite = stage;
    for (size_t i = 0; i < suite->count; i++) {
        requests_fini(&suite->loads[i].requests);
    }
    if (suite->csv != NULL) {
        (void)fclose(suite->csv);
    }
    free(suite->loads);
    free(suite);
}

static void *hitratio_open(struct bench *bench) {
    struct hitratio *suite = calloc(1, sizeof *suite);
    size_t count = bench->trace_count != 0 ? bench->trace_count : SEEDS;
    struct hitratio_load *loads = calloc(count, sizeof *loads);
    if (suite == NULL || loads == NULL) {
        (void)bench_fail(bench, "no memory");
        free(suite);
        free(loads);
        return NULL;
    }
    suite->loads = loads;
    int failed = 0;
    if (bench->csv_path != NULL) {
        suite->csv = fopen(bench->csv_path, "we");
        failed = suite->csv != NULL
                     ? 0
                     : bench_fail(bench, "%s: %s", bench->csv_path, strerror(errno));
    }
    for (; failed == 0 && suite->count < count; suite->count++) {
        failed = open_load(bench, &loads[suite->count], suite->count);
    }
    if (failed != 0) {
        hitratio_close(suite);
        return NULL;
    }
    if (suite->csv != NULL) {
        (void)fputs("trace,part,requests,distinct,unit,share,capacity,policy,misses,"
                    "miss_ratio,moves_per_miss\n",
                    suite->csv);
    }
    return suite;
}

uint64_t hitratio_capacity(const struct requests *requests, bool in_bytes, double share) {
    double all = requests->distinct;
    if (in_bytes) {
        all = 0;
        for (uint32_t i = 0; i < requests->distinct; i++) {
            all += (double)requests->sizes[i];
        }
    }
    /* 0.1 is a little less than a tenth, and a tenth of 20 is 2. */
    return (uint64_t)(all * share + 1e-9);
}

/* ---- one load at one size --------------------------------------------------------------- */

enum { POLICIES_MOST = 8, REFERENCES = 3 };

static const char *const reference_names[REFERENCES] = {"exact-lru", "fifo", "belady"};

/* Misses by policy, and of the references; a reference below 0 is not known. */
struct outcome {
    uint64_t capacity;
    struct simulation_outcome policies[POLICIES_MOST];
    int64_t references[REFERENCES];
};

static int ask_references(const struct requests *requests, const struct simulation_size *size,
                          struct outcome *outcome) {
    const uint32_t *items = requests->items;
    size_t count = requests->count;
    uint32_t distinct = requests->distinct;
    int64_t *misses = outcome->references;
    if (size->in_bytes) {
        misses[0] =
            reference_lru_misses_sized(items, count, distinct, requests->sizes, size->capacity);
        misses[1] = reference_fifo_misses_sized(items, count, distinct, requests->sizes,
                                                size->capacity);
        misses[2] = -1;
        return misses[0] < 0 || misses[1] < 0 ? -1 : 0;
    }
    misses[0] = reference_lru_misses(items, count, distinct, (uint32_t)size->capacity);
    misses[1] = reference_fifo_misses(items, count, distinct, (uint32_t)size->capacity);
    misses[2] = reference_belady_misses(items, count, distinct, (uint32_t)size->capacity);
    return misses[0] < 0 || misses[1] < 0 || misses[2] < 0 ? -1 : 0;
}

static int ask_all(const struct bench *bench, const struct hitratio_load *load,
                   const struct simulation_size *size, struct outcome *outcome) {
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    outcome->capacity = size->capacity;
    for (size_t i = 0; i < count; i++) {
        bench_progress(bench, "%s, %s", load->name, policies[i]->name);
        if (simulate(policies[i], &load->requests, size, &outcome->policies[i]) != 0) {
            return bench_fail(bench, "no memory");
        }
    }
    bench_progress(bench, "%s, references", load->name);
    int result = ask_references(&load->requests, size, outcome);
    bench_progress_end(bench);
    return result == 0 ? 0 : bench_fail(bench, "no memory");
}

/* ---- rows ------------------------------------------------------------------------------- */

/* What rows and lines are about: a load, or a part of several that follow each other. */
struct subject {
    const char *trace;
    const char *part;
    size_t requests;
    uint32_t distinct;
    bool in_bytes;
    double share;
};

static void write_line(const struct hitratio *suite, const struct subject *subject,
                       uint64_t capacity, const char *name, uint64_t misses, double moves) {
    if (suite->csv != NULL) {
        (void)fprintf(suite->csv, "%s,%s,%zu,%u,%s,%g,%llu,%s,%llu,%.6f,%.4f\n", subject->trace,
                      subject->part, subject->requests, subject->distinct,
                      subject->in_bytes ? "bytes" : "objects", subject->share,
                      (unsigned long long)capacity, name, (unsigned long long)misses,
                      (double)misses / (double)subject->requests, moves);
    }
}

static void row(struct bench *bench, const char *policy, const char *what, double ours,
                const char *peer, double theirs) {
    char metric[96];
    (void)snprintf(metric, sizeof metric, "%s %s", policy, what);
    bench_row(bench, metric, "missed", (struct figure){ours, -1}, peer,
              (struct figure){theirs, -1});
}

static void report(struct bench *bench, const struct hitratio *suite,
                   const struct subject *subject, const struct outcome *outcome) {
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    double all = (double)subject->requests;
    for (size_t i = 0; i < count; i++) {
        const struct simulation_outcome *ours = &outcome->policies[i];
        /* The default beside all of them, the others beside LRU. */
        for (size_t peer = 0; peer < (i == 0 ? REFERENCES : 1); peer++) {
            if (outcome->references[peer] >= 0) {
                row(bench, policies[i]->name, subject->part, (double)ours->misses / all,
                    reference_names[peer], (double)outcome->references[peer] / all);
            }
        }
        double moves = ours->misses != 0 ? (double)ours->moves / (double)ours->misses : 0;
        write_line(suite, subject, outcome->capacity, policies[i]->name, ours->misses, moves);
    }
    for (size_t peer = 0; peer < REFERENCES; peer++) {
        if (outcome->references[peer] >= 0) {
            write_line(suite, subject, outcome->capacity, reference_names[peer],
                       (uint64_t)outcome->references[peer], 0);
        }
    }
}

/* ---- cases ------------------------------------------------------------------------------ */

/* The means of miss ratios over loads. */
struct means {
    double policies[POLICIES_MOST];
    double lru;
    size_t loads;
};

static void add_to_means(struct means *means, const struct outcome *outcome, size_t requests) {
    size_t count = 0;
    (void)hearth__policies(&count);
    for (size_t i = 0; i < count; i++) {
        means->policies[i] += (double)outcome->policies[i].misses / (double)requests;
    }
    means->lru += (double)outcome->references[0] / (double)requests;
    means->loads++;
}

static void report_means(struct bench *bench, const struct means *means) {
    size_t count = 0;
    const hearth__policy *const *policies = hearth__policies(&count);
    for (size_t i = 0; means->loads > 1 && i < count; i++) {
        double loads = (double)means->loads;
        row(bench, policies[i]->name, "mean", means->policies[i] / loads, reference_names[0],
            means->lru / loads);
    }
}

static int run_each(struct bench *bench, const struct hitratio *suite, bool in_bytes,
                    double share) {
    struct means means = {.loads = 0};
    for (size_t i = 0; i < suite->count; i++) {
        const struct hitratio_load *load = &suite->loads[i];
        const struct requests *requests = &load->requests;
        if (in_bytes && requests->sizes == NULL) {
            continue;
        }
        struct simulation_size size = {.capacity = hitratio_capacity(requests, in_bytes, share),
                                       .in_bytes = in_bytes};
        struct outcome outcome;
        if (size.capacity == 0) {
            report_note(bench, "%s is too small for that", load->name);
            continue;
        }
        if (ask_all(bench, load, &size, &outcome) != 0) {
            return -1;
        }
        const struct subject subject = {load->name,         load->name, requests->count,
                                        requests->distinct, in_bytes,   share};
        report(bench, suite, &subject, &outcome);
        add_to_means(&means, &outcome, requests->count);
    }
    report_means(bench, &means);
    return 0;
}

static int objects_1000th(struct bench *bench, void *stage) {
    return run_each(bench, stage, false, 0.001);
}

static int objects_100th(struct bench *bench, void *stage) {
    return run_each(bench, stage, false, 0.01);
}

static int objects_10th(struct bench *bench, void *stage) {
    return run_each(bench, stage, false, 0.1);
}

static int bytes_1000th(struct bench *bench, void *stage) {
    return run_each(bench, stage, true, 0.001);
}

static int bytes_100th(struct bench *bench, void *stage) {
    return run_each(bench, stage, true, 0.01);
}

static int bytes_10th(struct bench *bench, void *stage) {
    return run_each(bench, stage, true, 0.1);
}

/* ---- one after the other ---------------------------------------------------------------- */

/* All loads as one, no object of one being one of another's. */
static int join(const struct hitratio *suite, struct requests *joined) {
    *joined = (struct requests){.items = NULL};
    for (size_t i = 0; i < suite->count; i++) {
        joined->count += suite->loads[i].requests.count;
    }
    joined->items = malloc((joined->count + 1) * sizeof *joined->items);
    size_t at = 0;
    for (size_t i = 0; joined->items != NULL && i < suite->count; i++) {
        const struct requests *requests = &suite->loads[i].requests;
        for (size_t k = 0; k < requests->count; k++) {
            joined->items[at++] = joined->distinct + requests->items[k];
        }
        joined->distinct += requests->distinct;
    }
    return joined->items != NULL ? 0 : -1;
}

/* What was missed since an earlier outcome. Belady's choices in a part depend on what follows: not known for parts. */
static void subtract(struct outcome *outcome, const struct outcome *earlier) {
    for (size_t i = 0; i < POLICIES_MOST; i++) {
        outcome->policies[i].misses -= earlier->policies[i].misses;
        outcome->policies[i].moves -= earlier->policies[i].moves;
    }
    outcome->references[0] -= earlier->references[0];
    outcome->references[1] -= earlier->references[1];
    outcome->references[2] = -1;
}

/* What each load adds to the misses, by playing all that is before it, and that with it. */
static int run_joined(struct bench *bench, const struct hitratio *suite, double share) {
    struct hitratio_load joined = {.name = "joined"};
    struct outcome before = {.references = {0}};
    if (suite->count < 2) {
        report_note(bench, "takes two traces or more");
        return 0;
    }
    int result = join(suite, &joined.requests);
    uint64_t capacity = hitratio_capacity(&joined.requests, false, share);
    joined.requests.count = 0;
    for (size_t i = 0; result == 0 && i < suite->count && capacity != 0; i++) {
        struct outcome outcome = {.references = {0}};
        const struct requests *part = &suite->loads[i].requests;
        joined.requests.count += part->count;
        result =
            ask_all(bench, &joined, &(struct simulation_size){.capacity = capacity}, &outcome);
        struct outcome until = outcome;
        subtract(&outcome, &before);
        before = until;
        const struct subject subject = {"joined",    suite->loads[i].name,
                                        part->count, joined.requests.distinct,
                                        false,       share};
        if (result == 0) {
            report(bench, suite, &subject, &outcome);
        }
    }
    requests_fini(&joined.requests);
    return result;
}

static int joined_1000th(struct bench *bench, void *stage) {
    return run_joined(bench, stage, 0.001);
}

static int joined_100th(struct bench *bench, void *stage) {
    return run_joined(bench, stage, 0.01);
}

static int joined_10th(struct bench *bench, void *stage) {
    return run_joined(bench, stage, 0.1);
}

static const struct bench_case cases[] = {
    {"objects-1000th", "a cache of 0.1 % of the distinct objects, whatever their size",
     objects_1000th},
    {"objects-100th", "of 1 %", objects_100th},
    {"objects-10th", "of 10 %", objects_10th},
    {"bytes-1000th", "of 0.1 % of the distinct objects' bytes, where the trace has sizes",
     bytes_1000th},
    {"bytes-100th", "of 1 %", bytes_100th},
    {"bytes-10th", "of 10 %", bytes_10th},
    {"joined-1000th", "all traces one after the other, 0.1 % of their objects, by trace",
     joined_1000th},
    {"joined-100th", "of 1 %", joined_100th},
    {"joined-10th", "of 10 %", joined_10th},
    {"curve", "hits at ten sizes, for the page of --html", hitratio_curve},
    {"tier-10th", "the tier itself, by two threads, beside its simulation", hitratio_tier},
};

const struct suite suite_hitratio = {
    .name = "hitratio",
    .what = "the share of requests that miss: each policy's own code, simulated, beside exact "
            "LRU, FIFO and Belady's optimum; on --trace files, or on generated streams",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
    .open = hitratio_open,
    .close = hitratio_close,
};
