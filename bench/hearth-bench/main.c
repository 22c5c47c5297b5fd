/* SPDX-License-Identifier: Apache-2.0 */
/* hearth-bench: measures Hearth beside what one would use instead. */
#include "hearth-bench/compare.h"
#include "hearth-bench/crew.h"
#include "hearth-bench/doctor.h"
#include "hearth-bench/hotkey.h"
#include "hearth-bench/report.h"
#include "hearth-bench/top.h"

#include "base/clock.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, CASES_MOST = 64, TRACES_MOST = 64, ROUNDS_USUAL = 7 };

static const struct suite *const suites[] = {
    &suite_local,     &suite_hitratio,   &suite_memory,   &suite_remote,
    &suite_ring,      &suite_bloom,      &suite_hotkey,   &suite_stampede,
    &suite_coherence, &suite_invalidate, &suite_appserver};
enum { SUITES = sizeof suites / sizeof suites[0] };

/* What the command line asks for. */
struct wish {
    const char *suite_name;
    const char *cases[CASES_MOST];
    size_t count;
    const char *json_path;
    const char *html_path;
    struct hotkey_wish hotkey;
    const char *traces[TRACES_MOST];
    size_t trace_count;
};

/* ---- help ------------------------------------------------------------------------------- */

static const char help_begin[] =
    "Usage: hearth-bench SUITE [--case NAME]... [--quick] [--json FILE] [--rounds N] [--seed N]\n"
    "                    [--trace FILE]... [--csv FILE] [--html FILE] [options of hotkey]\n"
    "       hearth-bench compare BEFORE.json AFTER.json\n"
    "       hearth-bench doctor --remote URL [--prefix TEXT] [--read-only]\n"
    "       hearth-bench top SOCKET [--once] [--json] [--interval SECONDS]\n"
    "\n"
    "Measures Hearth beside what one would use instead, on this machine. Both sides run in the\n"
    "same process, on the same keys in the same order, in turns: a case has N rounds, in each\n"
    "every side runs once, and what counts is each side's median.\n"
    "\n"
    "  SUITE          one of those below, or all\n"
    "  --case NAME    only this case; may be given more than once\n"
    "  --quick        all of it in a minute: shorter rounds, fewer of them, and less to work on\n"
    "                 than cases say (a quarter of a million keys): for a look, not to compare\n"
    "  --json FILE    also writes each row as a JSON object on a line of its own, with suite,\n"
    "                 case, metric, value, unit, peer, peer_value, ratio, and where a case has\n"
    "                 rounds spread and peer_spread\n"
    "  --rounds N     5 to 99; usually 7, with --quick 3\n"
    "  --seed N       another order of keys; usually 1\n"
    "  --html FILE    also writes a page with plots and all rows, to be opened in a browser\n"
    "  --trace FILE   for hitratio and hotkey (case trace): requests to replay, plain, gz or zst;\n"
    "                 for hitratio more than once. Without one, generated streams\n"
    "  --trace-form NAME  how a trace is written; by default what it looks like. keys: one a line,\n"
    "                 as key or key,size or key,size,time; csv: a header names key, size, time;\n"
    "                 oracle: libCacheSim's oracleGeneral; twitter: Twitter's production caches;\n"
    "                 arc, lirs: the text of those papers' traces\n"
    "  --csv FILE     for hitratio: also writes all figures as a table\n"
    "\n";

static const char help_end[] =
    "A row: `ratio` is Hearth's value divided by the peer's, in the row's unit. So for a time\n"
    "less than 1 is better, for a throughput more than 1. `spread` is half the distance between\n"
    "the quartiles of the rounds, for Hearth and for the peer; a few percent are usual, more\n"
    "means that the machine was busy with something else. A measurement in which a thread was\n"
    "ready but got no processor for a while is made again, up to twice; times and scalings do not\n"
    "count such time, throughputs do.\n"
    "\n"
    "Cases are named by verb, keys and threads: get-1m-2t is hearth_get of 1,000,000 keys by two\n"
    "threads. Peers: uthash is a plain hash table without lock, limit or expiry; uthash-xxh3 the\n"
    "same with a faster hash; sharded-lru 64 such tables with a mutex and a list in order of use\n"
    "each; memcpy a copy from a random place of an equally large array (memcpy-huge: on huge\n"
    "pages); random-read and alu loops that tell how the machine itself scales (in bloom, a read\n"
    "that depends on the one before); self-1t Hearth's own single thread; get-1m-1t hearth_get of\n"
    "the same keys; insert-only a tier into which nothing but new keys was set; limit the limit\n"
    "that was set; hiredis-3n a pipeline to each of three nodes; classic-bloom a Bloom filter of 7\n"
    "probes all over the same bits; theory what arithmetic says; plain-ttl a value that each who\n"
    "finds it expired loads, single-flight one that the first of them loads; polling a client\n"
    "that sends GET after GET; ttl coherence.mode=ttl; no-local no local tier; round-trip a get\n"
    "of one key, deletes a client that deletes all the keys in pipelines; no-tags, no-namespace the\n"
    "same values without; without-hearth the server whose requests all ask the database; measured the\n"
    "rate that was; target guard.target_rate; no-flood hot keys alone.\n"
    "\n"
    "On a machine with other work, root can let the harness run first:\n"
    "  setsid sh -c 'echo -20 >/proc/self/autogroup; exec nice -n -20 hearth-bench local'\n"
    "\n"
    "compare tells what became of the rows of one run in another, by their ratio to the peer,\n"
    "since a machine that is slower today is slower for both. What changed by more than three times\n"
    "its noise, and more than 5 %, is marked.\n"
    "\n"
    "doctor looks at servers: versions, shares of the ring, round trips, memory and what happens when\n"
    "it is full, whether Redis tells what changed and how fast (tracking), and whether keys are where\n"
    "other clients put them. It ends with advice. It writes a few small keys under --prefix\n"
    "(hearth-doctor:), which live a minute at most, or none with --read-only; of keys that are there\n"
    "already it looks at those under --prefix, or at any.\n"
    "\n"
    "top shows what a running process's cache does, if it was opened with stats.socket: who answers\n"
    "reads, nodes, how long they and loaders take, hot keys; refreshed in place on a terminal, a line\n"
    "each --interval (1 s) elsewhere, --once: one picture of one interval. --json: reports as they are.\n"
    "\n"
    "Exit status: 0; 1 when a case could not be measured, compare found something worse, doctor found\n"
    "something wrong, or top cannot read its socket; 2 for a wrong command line, or a file that cannot be read.\n";

static void print_help(void) {
    (void)fputs(help_begin, stdout);
    for (size_t i = 0; i < SUITES; i++) {
        printf("%s: %s\n", suites[i]->name, suites[i]->what);
        for (size_t at = 0; at < suites[i]->count; at++) {
            printf("  %-18s %s\n", suites[i]->cases[at].name, suites[i]->cases[at].what);
        }
        printf("\n");
    }
    hotkey_print_help();
    (void)fputs(help_end, stdout);
}

/* ---- the command line ------------------------------------------------------------------- */

static int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int refuse(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("hearth-bench: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputs(" (--help explains)\n", stderr);
    va_end(args);
    return -1;
}

static bool is_wanted(const struct wish *wish, const struct suite *suite) {
    return strcmp(wish->suite_name, "all") == 0 || strcmp(wish->suite_name, suite->name) == 0;
}

static bool has_case(const struct suite *suite, const char *name) {
    for (size_t i = 0; i < suite->count; i++) {
        if (strcmp(suite->cases[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int check_suite(const struct wish *wish) {
    for (size_t i = 0; i < SUITES; i++) {
        if (is_wanted(wish, suites[i])) {
            return 0;
        }
    }
    (void)fprintf(stderr, "hearth-bench: there is no suite %s. There are:", wish->suite_name);
    for (size_t i = 0; i < SUITES; i++) {
        (void)fprintf(stderr, " %s", suites[i]->name);
    }
    (void)fputs(" all\n", stderr);
    return -1;
}

static int check_case(const struct wish *wish, const char *name) {
    for (size_t i = 0; i < SUITES; i++) {
        if (is_wanted(wish, suites[i]) && has_case(suites[i], name)) {
            return 0;
        }
    }
    (void)fprintf(stderr, "hearth-bench: %s has no case %s. There are:", wish->suite_name,
                  name);
    for (size_t i = 0; i < SUITES; i++) {
        for (size_t at = 0; is_wanted(wish, suites[i]) && at < suites[i]->count; at++) {
            (void)fprintf(stderr, " %s", suites[i]->cases[at].name);
        }
    }
    (void)fputs("\n", stderr);
    return -1;
}

static int check_wish(const struct wish *wish) {
    if (wish->suite_name == NULL) {
        (void)refuse("which suite?");
        return -1;
    }
    int result = check_suite(wish);
    for (size_t i = 0; result == 0 && i < wish->count; i++) {
        result = check_case(wish, wish->cases[i]);
    }
    return result;
}

/* A whole number from low to high. */
static int read_number(const char *option, const char *text, uint64_t low, uint64_t high,
                       uint64_t *number) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL || value < low ||
        value > high) {
        return refuse("%s takes a number from %llu to %llu, not '%s'", option,
                      (unsigned long long)low, (unsigned long long)high, text);
    }
    *number = value;
    return 0;
}

static int take_trace_form(struct bench *bench, const char *name) {
    for (int form = TRACE_AUTO; form < TRACE_FORMS; form++) {
        if (strcmp(name, trace_form_name((enum trace_form)form)) == 0) {
            bench->trace_form = (enum trace_form)form;
            return 0;
        }
    }
    return refuse("--trace-form takes auto, keys, csv, oracle, twitter, arc or lirs, not '%s'",
                  name);
}

static int take_option(struct bench *bench, struct wish *wish, int option) {
    uint64_t number = 0;
    switch (option) {
    case 'c':
        if (wish->count == CASES_MOST) {
            return refuse("no more than %d cases", CASES_MOST);
        }
        wish->cases[wish->count++] = optarg;
        return 0;
    case 'q':
        bench->quick = true;
        return 0;
    case 'j':
        wish->json_path = optarg;
        return 0;
    case 't':
        if (wish->trace_count == TRACES_MOST) {
            return refuse("no more than %d traces", TRACES_MOST);
        }
        wish->traces[wish->trace_count++] = optarg;
        return 0;
    case 'f':
        return take_trace_form(bench, optarg);
    case 'v':
        bench->csv_path = optarg;
        return 0;
    case 'w':
        wish->html_path = optarg;
        return 0;
    case 'r':
        if (read_number("--rounds", optarg, ROUNDS_LEAST, ROUNDS_MOST, &number) != 0) {
            return -1;
        }
        bench->rounds = (unsigned)number;
        return 0;
    case 's':
        return read_number("--seed", optarg, 0, UINT64_MAX, &bench->seed);
    default: /* getopt_long has said what is wrong */
        return -1;
    }
}

enum { OWN_OPTIONS = 10, OPTIONS_MOST = 64, FIRST_KNOB = 256 };

/* Ours, and behind them hotkey's. */
static void list_options(struct option *options) {
    static const struct option own[OWN_OPTIONS] = {
        {"case", required_argument, NULL, 'c'},       {"quick", no_argument, NULL, 'q'},
        {"json", required_argument, NULL, 'j'},       {"rounds", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},       {"trace", required_argument, NULL, 't'},
        {"trace-form", required_argument, NULL, 'f'}, {"csv", required_argument, NULL, 'v'},
        {"html", required_argument, NULL, 'w'},       {"help", no_argument, NULL, 'h'},
    };
    memcpy(options, own, sizeof own);
    for (size_t i = 0; hotkey_knob_name(i) != NULL && i + OWN_OPTIONS + 1 < OPTIONS_MOST; i++) {
        options[OWN_OPTIONS + i] = (struct option){
            hotkey_knob_name(i), hotkey_knob_has_value(i) ? required_argument : no_argument,
            NULL, FIRST_KNOB + (int)i};
    }
}

/* 0; 1: help was asked for; -1: refused, and the reason was said. */
static int take_arguments(struct bench *bench, struct wish *wish, int count, char **words) {
    struct option options[OPTIONS_MOST] = {{NULL, 0, NULL, 0}};
    list_options(options);
    int option = 0;
    while ((option = getopt_long(count, words, "h", options, NULL)) != -1) {
        if (option == 'h') {
            return 1;
        }
        int taken = option >= FIRST_KNOB
                        ? hotkey_take(&wish->hotkey, (size_t)(option - FIRST_KNOB), optarg)
                        : take_option(bench, wish, option);
        if (taken != 0) {
            return -1;
        }
    }
    if (optind < count) {
        wish->suite_name = words[optind++];
    }
    if (optind < count) {
        return refuse("one suite at a time, or all; what is '%s'?", words[optind]);
    }
    bench->hotkey = &wish->hotkey;
    bench->traces = wish->traces;
    bench->trace_count = wish->trace_count;
    if (bench->rounds == 0) {
        bench->rounds = bench->quick ? ROUNDS_QUICK : ROUNDS_USUAL;
    }
    return check_wish(wish);
}

/* ---- what suites call ------------------------------------------------------------------- */

void bench_row(struct bench *bench, const char *metric, const char *unit, struct figure ours,
               const char *peer, struct figure theirs) {
    const struct row row = {.suite_name = bench->suite_name,
                            .case_name = bench->case_name,
                            .metric = metric,
                            .unit = unit,
                            .ours = ours,
                            .peer = peer,
                            .theirs = theirs};
    report_row(bench->report, &row);
}

enum { BAR = 20 };

/* Of the whole run: what is done, and what is left if the other cases take as long. */
static void show_bar(const struct bench *bench) {
    char bar[BAR + 1];
    size_t done = bench->cases > 0 ? bench->cases_done * BAR / bench->cases : 0;
    memset(bar, '.', BAR);
    memset(bar, '#', done < BAR ? done : BAR);
    bar[BAR] = '\0';
    (void)fprintf(stderr, "[%s] %zu of %zu", bar, bench->cases_done + 1, bench->cases);
    if (bench->cases_done > 0) {
        double s = (double)(hearth__monotonic_ns() - bench->begin_ns) / 1e9;
        double left =
            s / (double)bench->cases_done * (double)(bench->cases - bench->cases_done);
        (void)fprintf(stderr, left < 90 ? ", %.0f s left" : ", %.0f min left",
                      left < 90 ? left : left / 60);
    }
    (void)fputs(" | ", stderr);
}

void bench_progress(const struct bench *bench, const char *format, ...) {
    if (isatty(STDERR_FILENO) == 0) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)fputs("\r\033[K", stderr);
    if (bench->cases > 1) {
        show_bar(bench);
    }
    (void)fprintf(stderr, "%s %s: ", bench->suite_name, bench->case_name);
    (void)vfprintf(stderr, format, args);
    va_end(args);
}

void bench_progress_end(const struct bench *bench) {
    (void)bench;
    if (isatty(STDERR_FILENO) != 0) {
        (void)fputs("\r\033[K", stderr);
    }
}

int bench_fail(const struct bench *bench, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "hearth-bench: %s %s: ", bench->suite_name, bench->case_name);
    (void)vfprintf(stderr, format, args);
    (void)fputs("\n", stderr);
    va_end(args);
    return -1;
}

/* ---- the run ---------------------------------------------------------------------------- */

static bool is_chosen(const struct wish *wish, const char *name) {
    for (size_t i = 0; i < wish->count; i++) {
        if (strcmp(wish->cases[i], name) == 0) {
            return true;
        }
    }
    return wish->count == 0;
}

/* Where there is no terminal, who reads the log sees what runs now. */
static void say_case(const struct bench *bench) {
    if (bench->cases > 1 && isatty(STDERR_FILENO) == 0) {
        (void)fprintf(stderr, "hearth-bench: %s %s, %zu of %zu\n", bench->suite_name,
                      bench->case_name, bench->cases_done + 1, bench->cases);
    }
}

static size_t count_cases(const struct wish *wish) {
    size_t count = 0;
    for (size_t i = 0; i < SUITES; i++) {
        for (size_t at = 0; is_wanted(wish, suites[i]) && at < suites[i]->count; at++) {
            count += is_chosen(wish, suites[i]->cases[at].name);
        }
    }
    return count;
}

static int run_suite(struct bench *bench, const struct wish *wish, const struct suite *suite) {
    int result = 0;
    bench->suite_name = suite->name;
    bench->case_name = "all cases";
    void *stage = suite->open != NULL ? suite->open(bench) : NULL;
    if (suite->open != NULL && stage == NULL) {
        return -1;
    }
    for (size_t i = 0; i < suite->count; i++) {
        if (is_chosen(wish, suite->cases[i].name)) {
            bench->case_name = suite->cases[i].name;
            say_case(bench);
            result |= suite->cases[i].run(bench, stage);
            bench->cases_done++;
        }
    }
    if (suite->close != NULL) {
        suite->close(stage);
    }
    return result;
}

static int run(struct bench *bench, const struct wish *wish) {
    int result = 0;
    bench->cases = count_cases(wish);
    bench->begin_ns = hearth__monotonic_ns();
    report_header(bench);
    for (size_t i = 0; i < SUITES; i++) {
        if (is_wanted(wish, suites[i])) {
            result |= run_suite(bench, wish, suites[i]);
        }
    }
    crew_destroy(bench->crew);
    return result;
}

static int write_page(struct report *report, const char *path) {
    int result = report_write_page(report, path);
    if (result != 0) {
        (void)refuse("%s: %s", path, strerror(errno));
    } else {
        printf("# page      %s\n", path);
    }
    report_free_page(report);
    return result;
}

int main(int count, char **words) {
    if (count == 4 && strcmp(words[1], "compare") == 0) {
        return compare_files(words[2], words[3]);
    }
    if (count >= 2 && strcmp(words[1], "doctor") == 0) {
        return doctor(count - 1, words + 1);
    }
    if (count >= 2 && strcmp(words[1], "top") == 0) {
        return top(count - 1, words + 1);
    }
    struct report report;
    struct bench bench = {.seed = 1, .report = &report};
    struct wish wish = {0};
    int taken = take_arguments(&bench, &wish, count, words);
    if (taken > 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (taken < 0) {
        return EXIT_USAGE;
    }
    if (report_open(&report, wish.json_path, wish.html_path != NULL) != 0) {
        (void)refuse("%s: %s", wish.json_path, strerror(errno));
        report_free_page(&report);
        return EXIT_USAGE;
    }
    if (wish.html_path != NULL && report_write_page(&report, wish.html_path) != 0) {
        (void)refuse("%s: %s", wish.html_path, strerror(errno)); /* not after half an hour */
        report_free_page(&report);
        (void)report_close(&report);
        return EXIT_USAGE;
    }
    int result = run(&bench, &wish);
    if (report_close(&report) != 0) {
        result = refuse("%s: %s", wish.json_path, strerror(errno));
    }
    if (wish.html_path != NULL) {
        result |= write_page(&report, wish.html_path);
    }
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
