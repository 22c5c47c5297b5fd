/* SPDX-License-Identifier: Apache-2.0 */
/* The harness as a person or a script uses it: what it refuses, and the rows it writes. */
#include <fcntl.h>
#include <math.h>
#include <pty.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#include <hiredis/hiredis.h>

#include "api/source.h"
#include "bench/harness.h"
#include "support/servers.h"

static char json_path[] = "/tmp/hearth-bench-rows-XXXXXX";

static int make_file(void **state) {
    (void)state;
    int file = mkstemp(json_path);
    assert_true(file >= 0);
    return close(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(json_path);
}

/* ---- rows ---- */

/* A row as text may stand in the file: these fields, this order, plain words, JSON numbers. */
#define WORD   "\"([a-z0-9A-Z/% .-]+)\""
#define NUMBER "(-?[0-9]+(\\.[0-9]+)?(e[+-][0-9]+)?)"
static const char row_pattern[] =
    "^\\{\"suite\":" WORD ",\"case\":" WORD ",\"metric\":" WORD ",\"value\":" NUMBER
    ",\"unit\":" WORD ",\"peer\":" WORD ",\"peer_value\":" NUMBER ",\"ratio\":" NUMBER
    "(,\"spread\":" NUMBER ",\"peer_spread\":" NUMBER ")?\\}\n$";
enum { VALUE = 4, PEER_VALUE = 9, RATIO = 12, GROUPS = 24 };

struct wanted_row {
    const char *begin; /* of the line */
    const char *peer;
};

static void check_row(const regex_t *pattern, const char *line,
                      const struct wanted_row *wanted) {
    regmatch_t groups[GROUPS] = {{0, 0}};
    if (regexec(pattern, line, GROUPS, groups, 0) != 0) {
        fail_msg("not a row: %s", line);
    }
    assert_memory_equal(line, wanted->begin, strlen(wanted->begin));
    assert_non_null(strstr(line, wanted->peer));
    double value = strtod(line + groups[VALUE].rm_so, NULL);
    double peer_value = strtod(line + groups[PEER_VALUE].rm_so, NULL);
    double ratio = strtod(line + groups[RATIO].rm_so, NULL);
    assert_true(value > 0 && peer_value > 0);
    assert_true(fabs(ratio - value / peer_value) < 1e-6 * ratio);
}

/* Runs a case: the file must have exactly these rows. */
static void rows_are(const char *arguments, const struct wanted_row *wanted, size_t count) {
    struct harness_answer answer;
    char all[8192];
    char line[1024];
    regex_t pattern;
    size_t lines = 0;
    (void)snprintf(all, sizeof all, "%s --quick --json %s", arguments, json_path);
    harness_run(&answer, all);
    if (answer.status != 0) {
        fail_msg("%s: status %d\n%s", all, answer.status, answer.text);
    }
    assert_int_equal(regcomp(&pattern, row_pattern, REG_EXTENDED), 0);
    FILE *file = fopen(json_path, "re");
    assert_non_null(file);
    for (; fgets(line, sizeof line, file) != NULL; lines++) {
        if (lines < count) {
            check_row(&pattern, line, &wanted[lines]);
        }
    }
    (void)fclose(file);
    regfree(&pattern);
    assert_int_equal(lines, count);
}

static void a_row_has_all_fields(void **state) {
    (void)state;
    const struct wanted_row wanted[] = {
        {"{\"suite\":\"ring\",\"case\":\"pick-3n-1t\",\"metric\":\"throughput\",",
         "\"unit\":\"Mops/s\",\"peer\":\"libmemcached\""},
    };
    rows_are("ring --case pick-3n-1t", wanted, 1);
}

static void two_threads_are_measured(void **state) {
    (void)state;
    const struct wanted_row wanted[] = {
        {"{\"suite\":\"local\",\"case\":\"one-key-2t\",\"metric\":\"throughput\",",
         "\"unit\":\"Mops/s\",\"peer\":\"sharded-lru\""},
        {"{\"suite\":\"local\",\"case\":\"one-key-2t\",\"metric\":\"throughput\",",
         "\"unit\":\"Mops/s\",\"peer\":\"self-1t\""},
        {"{\"suite\":\"local\",\"case\":\"one-key-2t\",\"metric\":\"scaling\",",
         "\"unit\":\"times\",\"peer\":\"alu\""},
    };
    rows_are("local --case one-key-2t", wanted, 3);
}

static void many_keys_are_invalidated_at_once(void **state) {
    (void)state;
    static const struct {
        const char *metric;
        const char *rest;
    } rows[] = {
        {"tag", "\"peer\":\"round-trip\""},     {"tag first", "\"peer\":\"round-trip\""},
        {"tag first", "\"peer\":\"deletes\""},  {"tag elsewhere", "\"peer\":\"bound\""},
        {"bump", "\"peer\":\"round-trip\""},    {"bump first", "\"peer\":\"round-trip\""},
        {"bump first", "\"peer\":\"deletes\""}, {"bump elsewhere", "\"peer\":\"bound\""}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    char begins[ROWS][128];
    struct wanted_row wanted[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        (void)snprintf(begins[i], sizeof begins[i],
                       "{\"suite\":\"invalidate\",\"case\":\"keys-redis\",\"metric\":\"%s\",",
                       rows[i].metric);
        wanted[i] = (struct wanted_row){begins[i], rows[i].rest};
    }
    rows_are("invalidate --case keys-redis", wanted, ROWS);
}

static void changes_elsewhere_are_heard(void **state) {
    (void)state;
    const struct wanted_row wanted[] = {
        {"{\"suite\":\"coherence\",\"case\":\"heard\",\"metric\":\"p50\",",
         "\"unit\":\"us\",\"peer\":\"polling\""},
        {"{\"suite\":\"coherence\",\"case\":\"heard\",\"metric\":\"p99\",",
         "\"unit\":\"us\",\"peer\":\"polling\""},
        {"{\"suite\":\"coherence\",\"case\":\"heard\",\"metric\":\"longest\",",
         "\"unit\":\"us\",\"peer\":\"polling\""},
    };
    rows_are("coherence --case heard", wanted, 3);
    const struct wanted_row over_the_bus[] = {
        {"{\"suite\":\"coherence\",\"case\":\"bus\",\"metric\":\"p50\",",
         "\"unit\":\"us\",\"peer\":\"xread\""},
        {"{\"suite\":\"coherence\",\"case\":\"bus\",\"metric\":\"p99\",",
         "\"unit\":\"us\",\"peer\":\"xread\""},
        {"{\"suite\":\"coherence\",\"case\":\"bus\",\"metric\":\"longest\",",
         "\"unit\":\"us\",\"peer\":\"xread\""},
    };
    rows_are("coherence --case bus", over_the_bus, 3);
}

/* The misses of one line of the table; -1: there is none. */
static long misses_in(const char *path, const char *begin, const char *policy) {
    char line[512];
    char wanted[64];
    long misses = -1;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    (void)snprintf(wanted, sizeof wanted, ",%s,", policy);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *found = strstr(line, wanted);
        if (strncmp(line, begin, strlen(begin)) == 0 && found != NULL) {
            misses = strtol(found + strlen(wanted), NULL, 10);
        }
    }
    (void)fclose(file);
    return misses;
}

/* Two places, as tests/bench/test_reference.c plays it by hand; Belady keeps the a of the beginning. */
static void a_trace_is_played_at_each_size(void **state) {
    (void)state;
    char trace[] = "/tmp/hearth-bench-trace-XXXXXX";
    char table[] = "/tmp/hearth-bench-table-XXXXXX";
    char arguments[512];
    struct harness_answer answer;
    int trace_file = mkstemp(trace);
    int table_file = mkstemp(table);
    assert_true(trace_file >= 0 && table_file >= 0);
    /* 20 keys, so that a tenth is two; at the end a b a c a b a c. */
    for (int key = 'd'; key <= 'w'; key++) {
        dprintf(trace_file, "%c,100\n",
                key == 'd'   ? 'c'
                : key == 'e' ? 'b'
                : key == 'f' ? 'a'
                             : key);
    }
    for (const char *at = "abacabac"; *at != '\0'; at++) {
        dprintf(trace_file, "%c,100\n", *at);
    }
    (void)close(trace_file);
    (void)close(table_file);
    (void)snprintf(arguments, sizeof arguments,
                   "hitratio --case objects-10th --case bytes-10th --trace %s --csv %s", trace,
                   table);
    harness_run(&answer, arguments);
    assert_int_equal(answer.status, 0);
    assert_non_null(strstr(answer.text, "adaptive hearth-bench-trace-"));
    assert_int_equal(misses_in(table, "hearth-bench-trace-", "exact-lru"), 25);
    assert_int_equal(misses_in(table, "hearth-bench-trace-", "fifo"), 26);
    assert_int_equal(misses_in(table, "hearth-bench-trace-", "belady"), 24);
    assert_true(misses_in(table, "hearth-bench-trace-", "adaptive") >= 25);
    assert_int_equal(misses_in(table, "trace,part,requests", "adaptive"), -1);
    harness_refuses("hitratio --case objects-10th --trace", "requires an argument");
    (void)unlink(trace);
    (void)unlink(table);
    (void)snprintf(arguments, sizeof arguments, "hitratio --case objects-10th --trace %s",
                   trace);
    harness_run(&answer, arguments);
    assert_int_equal(answer.status, 1);
    assert_non_null(strstr(answer.text, "cannot be opened"));
}

/* ---- hotkey ---- */

/* A row of the file: its value, and the peer's. */
static bool find_row(const char *name, const char *metric, const char *peer, double *value,
                     double *peer_value) {
    char begin[256];
    char wanted[64];
    char line[1024];
    bool found = false;
    regex_t pattern;
    regmatch_t groups[GROUPS] = {{0, 0}};
    FILE *file = fopen(json_path, "re");
    assert_non_null(file);
    assert_int_equal(regcomp(&pattern, row_pattern, REG_EXTENDED), 0);
    (void)snprintf(begin, sizeof begin,
                   "{\"suite\":\"hotkey\",\"case\":\"%s\",\"metric\":\"%s\",", name, metric);
    (void)snprintf(wanted, sizeof wanted, "\"peer\":\"%s\"", peer);
    while (fgets(line, sizeof line, file) != NULL) {
        if (regexec(&pattern, line, GROUPS, groups, 0) != 0) {
            fail_msg("not a row: %s", line);
        }
        if (strncmp(line, begin, strlen(begin)) == 0 && strstr(line, wanted) != NULL) {
            *value = strtod(line + groups[VALUE].rm_so, NULL);
            *peer_value = strtod(line + groups[PEER_VALUE].rm_so, NULL);
            found = true;
        }
    }
    (void)fclose(file);
    regfree(&pattern);
    return found;
}

static void run_hotkey(const char *arguments, struct harness_answer *answer) {
    char all[1024];
    (void)snprintf(all, sizeof all, "hotkey %s --quick --json %s", arguments, json_path);
    harness_run(answer, all);
    if (answer->status != 0 || strstr(answer->text, "got no answer") != NULL) {
        fail_msg("%s: status %d\n%s", all, answer->status, answer->text);
    }
}

/* Room for most of few keys: from the event on little reaches a node, and the viral key is loaded once. */
static void a_hot_key_is_told_from_all_sides(void **state) {
    (void)state;
    struct harness_answer answer;
    double ours = 0;
    double theirs = 0;
    char page[] = "/tmp/hearth-bench-page-XXXXXX";
    char arguments[256];
    struct stat status;
    int file = mkstemp(page);
    assert_true(file >= 0);
    (void)snprintf(arguments, sizeof arguments,
                   "--case viral --keys 2000 --local 10 --threads 3 --seconds 0.5 --at 0.25 "
                   "--html %s",
                   page);
    run_hotkey(arguments, &answer);
    static const char *const metrics[] = {"throughput", "p50",    "p90",  "p99",
                                          "p99.9",      "p99.99", "wire", "client cpu"};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        assert_true(find_row("viral", metrics[i], "hiredis", &ours, &theirs));
        assert_true(ours > 0 && theirs > 0);
    }
    assert_true(find_row("viral", "throughput", "no-local", &ours, &theirs));
    assert_true(find_row("viral", "throughput", "tracking", &ours, &theirs));
    assert_true(ours > 0 && theirs > 0);
    if (strstr(answer.text, "nutcracker is not installed") == NULL) {
        assert_true(find_row("viral", "throughput", "twemproxy", &ours, &theirs));
        assert_true(ours > 0 && theirs > 0);
    }
    harness_says_not(&answer, "no answer, or a wrong one");
    assert_true(find_row("viral", "local answers", "hiredis", &ours, &theirs));
    assert_true(ours > 50 && theirs == 0);
    assert_true(find_row("viral", "remote answers", "hiredis", &ours, &theirs));
    assert_true(ours < 50 && theirs > 90);
    /* The viral key: one load at the most in a quarter of a second, or more if the machine is busy. */
    assert_true(find_row("viral", "loads", "no-local", &ours, &theirs));
    assert_true(ours < 4.5 && theirs < 4.5);
    /* The origin does nothing else; a third of that is the ring's share of a node. */
    assert_true(find_row("viral", "loads", "origin", &ours, &theirs));
    assert_true(theirs > 100);
    assert_true(find_row("viral", "hottest node", "ring", &ours, &theirs));
    assert_true(ours > 30 && theirs > 25 && theirs < 45);
    assert_true(find_row("viral", "hottest node", "hiredis", &ours, &theirs));
    assert_true(theirs > 45);
    assert_int_equal(fstat(file, &status), 0);
    assert_true(status.st_size > 20000);
    (void)close(file);
    (void)unlink(page);
}

static void processes_and_arrivals_are_made(void **state) {
    (void)state;
    struct harness_answer answer;
    double ours = 0;
    double theirs = 0;
    run_hotkey(
        "--case flash --server memcached --processes 2 --threads 2 --keys 500 --nodes 2 "
        "--rate 2000 --seconds 0.5 --at 0.2 --value-bytes 20-900 --writes 20 --local 300",
        &answer);
    assert_true(find_row("flash", "throughput", "libmemcached", &ours, &theirs));
    assert_true(ours > 0.2 && ours < 3 && theirs > 0.2 && theirs < 3);
    assert_true(find_row("flash", "writes", "libmemcached", &ours, &theirs));
    assert_true(ours > 10 && ours < 30 && theirs > 10 && theirs < 30);
    assert_non_null(strstr(answer.text, "the local tiers held"));
}

/* On servers that are not its own it deletes what it wrote, and nothing else. */
static void keys_on_other_servers_are_deleted(void **state) {
    (void)state;
    struct servers servers;
    struct harness_answer answer;
    char arguments[512];
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL), 0);
    redisContext *redis = redisConnectUnix(servers.nodes[0].path);
    freeReplyObject(redisCommand(redis, "SET mine:h:user:1 1"));
    (void)snprintf(arguments, sizeof arguments,
                   "--case viral --remote redis+unix://%s --prefix mine: --keys 300 "
                   "--rate 3000 --mode peer,hearth --seconds 0.3 --at 0.1",
                   servers.nodes[0].path);
    run_hotkey(arguments, &answer);
    assert_non_null(strstr(answer.text, "keys of 100 bytes and more under 'mine:*'"));
    assert_non_null(strstr(answer.text, servers.nodes[0].path));
    assert_null(strstr(answer.text, "WARNING"));
    redisReply *left = redisCommand(redis, "KEYS *");
    assert_int_equal(left->elements, 1);
    assert_string_equal(left->element[0]->str, "mine:h:user:1");
    freeReplyObject(left);
    /* It wrote keys, and more than once. */
    redisReply *info = redisCommand(redis, "INFO commandstats");
    assert_non_null(strstr(info->str, "cmdstat_set:calls="));
    freeReplyObject(info);
    redisFree(redis);
    servers_stop(&servers);
}

/* The program, with its output thrown away. */
static pid_t begin_run(char **arguments) {
    char path[HARNESS_PATH];
    harness_path(path);
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)execv(path, arguments);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static long long keys_of(redisContext *redis) {
    redisReply *reply = redisCommand(redis, "DBSIZE");
    assert_non_null(reply);
    long long count = reply->integer;
    freeReplyObject(reply);
    return count;
}

/* Ctrl-C in the middle: while the keys are written (slowly), or while it asks for them. */
static void is_clean_after(redisContext *redis, const char *url, const char *mode,
                           const char *rate, int number) {
    char line[512];
    char *arguments[32];
    char *rest = NULL;
    size_t count = 0;
    (void)snprintf(line, sizeof line,
                   "hearth-bench hotkey --case viral --remote %s --mode %s --keys 2000 "
                   "--rate %s --seconds 600 --at 300 --prefix mine:",
                   url, mode, rate);
    for (char *word = strtok_r(line, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        arguments[count++] = word;
    }
    arguments[count] = NULL;
    const struct timespec moment = {.tv_nsec = 1000000};
    long long enough = strcmp(rate, "2000") == 0 ? 300 : 2001;
    int status = 0;
    pid_t pid = begin_run(arguments);
    while (keys_of(redis) < enough && waitpid(pid, &status, WNOHANG) == 0) {
        (void)nanosleep(&moment, NULL);
    }
    assert_int_equal(kill(pid, number), 0); /* fails if it ended by itself */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(keys_of(redis), 1);
}

static void keys_are_deleted_after_an_interrupt(void **state) {
    (void)state;
    struct servers servers;
    char url[256];
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL), 0);
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, sizeof url), 0);
    redisContext *redis = redisConnectUnix(servers.nodes[0].path);
    freeReplyObject(redisCommand(redis, "SET mine:own 1"));
    is_clean_after(redis, url, "peer", "2000", SIGINT);
    is_clean_after(redis, url, "peer", "1000000", SIGTERM);
    is_clean_after(redis, url, "hearth", "2000", SIGTERM);
    is_clean_after(redis, url, "no-local", "1000000", SIGINT);
    redisFree(redis);
    servers_stop(&servers);
}

static void servers_elsewhere_are_written_to_with_consent_only(void **state) {
    (void)state;
    struct harness_answer answer;
    harness_run(&answer,
                "hotkey --case viral --quick --remote redis://192.0.2.1:6379 </dev/null");
    assert_int_equal(answer.status, 1);
    assert_non_null(strstr(answer.text, "WARNING: these servers are not on this machine"));
    assert_non_null(strstr(answer.text, "192.0.2.1:6379"));
    assert_non_null(strstr(answer.text, "nothing was written: --yes"));
    harness_run(&answer, "hotkey --case viral --quick --remote redish://localhost");
    assert_int_equal(answer.status, 1);
    assert_non_null(strstr(answer.text, "redis://"));
    harness_run(&answer, "hotkey --case viral --quick --remote embedded://");
    assert_int_equal(answer.status, 1);
    assert_non_null(strstr(answer.text, "takes servers"));
}

static void what_hotkey_cannot_do_is_told(void **state) {
    (void)state;
    struct harness_answer answer;
    harness_refuses("hotkey --threads 0",
                    "--threads takes a whole number from 1 to 256, not '0'");
    harness_refuses("hotkey --zipf x", "--zipf takes a number from 0.01 to 5, not 'x'");
    harness_refuses("hotkey --share 101", "--share takes a number from 0 to 100");
    harness_refuses("hotkey --value-bytes 900-20", "--value-bytes takes bytes");
    harness_refuses("hotkey --event doom", "none, viral, flash, scan or churn, not 'doom'");
    harness_refuses("hotkey --mode hearth,redis",
                    "origin, peer, twemproxy, no-local, hearth, tracking");
    harness_refuses("hotkey --set local.policy", "NAME=VALUE");
    harness_refuses("hotkey --quick --html /nowhere/page", "/nowhere/page: No such file");
    harness_run(&answer, "hotkey --case viral --quick --mode hearth --set local.polic=lru");
    assert_int_equal(answer.status, 1);
    assert_non_null(strstr(answer.text, "local.policy"));
    harness_run(&answer, "hotkey --case trace --quick --trace /nowhere/trace");
    assert_int_equal(answer.status, 1);
    assert_non_null(strstr(answer.text, "/nowhere/trace"));
}

static void the_table_has_a_header_and_the_row(void **state) {
    (void)state;
    struct harness_answer answer;
    harness_run(&answer, "ring --quick --case pick-3n-1t --rounds 5 --seed 77");
    assert_int_equal(answer.status, 0);
    const char *const parts[] = {
        "# machine ",          "# compiler ",
        "# versions  hearth ", "seed 77, medians of 5 rounds",
        "suite   case",        "ring    pick-3n-1t         throughput"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_non_null(strstr(answer.text, parts[i]));
    }
    assert_null(strstr(answer.text, "pick-20n"));
}

/* ---- two runs ---- */

static void write_rows(const char *path, const char *rows) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(rows, file);
    assert_int_equal(fclose(file), 0);
}

/* A row of the comparison ends with this. */
static void is_judged(const struct harness_answer *answer, const char *name,
                      const char *verdict) {
    const char *line = strstr(answer->text, name);
    const char *end = line != NULL ? strchr(line, '\n') : NULL;
    if (end == NULL || (size_t)(end - line) < strlen(verdict) ||
        memcmp(end - strlen(verdict), verdict, strlen(verdict)) != 0) {
        fail_msg("%s is not '%s' in:\n%s", name, verdict, answer->text);
    }
}

#define ROW(name, metric, value, unit, peer_value, spread)                                   \
    "{\"suite\":\"s\",\"case\":\"" name "\",\"metric\":\"" metric "\",\"value\":" value      \
    ",\"unit\":\"" unit "\",\"peer\":\"p\",\"peer_value\":" peer_value ",\"ratio\":1" spread \
    "}\n"
#define SPREAD ",\"spread\":0.1,\"peer_spread\":0.01"

static void two_runs_are_compared(void **state) {
    (void)state;
    struct harness_answer answer;
    char arguments[256];
    char other[] = "/tmp/hearth-bench-rows-XXXXXX";
    assert_true(close(mkstemp(other)) == 0);
    write_rows(json_path, ROW("slower", "p50", "10", "us", "5", "")
                              ROW("machine", "p50", "10", "us", "5", "")
                                  ROW("faster", "throughput", "10", "Mops/s", "5", "")
                                      ROW("noisy", "p50", "10", "us", "5", SPREAD)
                                          ROW("alone", "p50", "10", "us", "0", "")
                                              ROW("gone", "p50", "10", "us", "5", ""));
    write_rows(other, ROW("slower", "p50", "12", "us", "5", "")
                          ROW("machine", "p50", "20", "us", "10", "")
                              ROW("faster", "throughput", "12", "Mops/s", "5", "")
                                  ROW("noisy", "p50", "12", "us", "5", SPREAD)
                                      ROW("alone", "p50", "12", "us", "0", ""));
    (void)snprintf(arguments, sizeof arguments, "compare %s %s", json_path, other);
    harness_run(&answer, arguments);
    assert_int_equal(answer.status, 1);
    is_judged(&answer, "slower", "WORSE");
    is_judged(&answer, "machine", "  ");
    is_judged(&answer, "faster", "better");
    is_judged(&answer, "noisy", "%  ");
    is_judged(&answer, "alone", "WORSE");
    assert_non_null(strstr(answer.text, "1 of 6 rows are not in the second file"));
    assert_non_null(strstr(answer.text, "2 of 5 became worse"));
    (void)snprintf(arguments, sizeof arguments, "compare %s %s", other, other);
    harness_run(&answer, arguments);
    assert_int_equal(answer.status, 0);
    write_rows(other, "\n{\"suite\":\"s\"}\n");
    (void)snprintf(arguments, sizeof arguments, "compare %s %s", json_path, other);
    harness_refuses(arguments, "line 2: is not a row");
    (void)unlink(other);
    harness_refuses(arguments, "No such file");
}

/* ---- what is refused, and what is explained ---- */

static void wrong_names_are_refused_with_the_right_ones(void **state) {
    (void)state;
    harness_refuses(
        "rings",
        "there is no suite rings. There are: local hitratio memory remote ring bloom hotkey "
        "stampede coherence invalidate appserver all");
    harness_refuses("ring --case pick-4n", "ring has no case pick-4n. There are: pick-3n-1t");
    harness_refuses("ring --case get-1m-1t", "ring has no case get-1m-1t");
    harness_refuses("all --case nothing", "all has no case nothing. There are: get-1m-1t");
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    harness_refuses("", "which suite?");
    harness_refuses("ring local", "what is 'local'?");
    harness_refuses("ring --rounds 4", "--rounds takes a number from 5 to 99, not '4'");
    harness_refuses("ring --rounds 5x", "not '5x'");
    harness_refuses("ring --rounds -7", "not '-7'");
    harness_refuses("ring --seed ''", "--seed takes a number");
    harness_refuses("ring --slow", "unrecognized option '--slow'");
    harness_refuses("ring --case", "requires an argument");
    harness_refuses("ring --quick --json /nowhere/rows", "/nowhere/rows: No such file");
}

static void help_lists_suites_and_cases(void **state) {
    (void)state;
    struct harness_answer answer;
    harness_run(&answer, "--help");
    assert_int_equal(answer.status, 0);
    const char *const parts[] = {"Usage: hearth-bench SUITE",
                                 "--quick",
                                 "--json FILE",
                                 "--rounds N",
                                 "local: ",
                                 "get-1m-1t ",
                                 "memory: ",
                                 "plain-deletes",
                                 "ring: ",
                                 "pick-100n-1t",
                                 "sharded-lru",
                                 "hotkey: ",
                                 "stampede: ",
                                 "invalidate: ",
                                 "coherence: ",
                                 "appserver: ",
                                 "--zipf S",
                                 "Exit status"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_non_null(strstr(answer.text, parts[i]));
    }
}

/* ---- top ---- */

static char top_folder[] = "/tmp/hearth-top-XXXXXX";
static char top_socket[sizeof top_folder + 8];
static hearth *top_cache;

/* A cache of this process with a stats.socket, which was asked a lot for one key that would upset a terminal. */
static int open_top(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT};
    if (mkdtemp(top_folder) == NULL) {
        return -1;
    }
    (void)snprintf(top_socket, sizeof top_socket, "%s/stats", top_folder);
    top_cache = cache_open((const char *const[]){"stats.socket", top_socket, NULL});
    source.text = "x";
    if (top_cache == NULL || source_fetch(top_cache, "a", &source, NULL) != HEARTH_OK) {
        return -1;
    }
    for (int i = 0; i < 4000; i++) {
        (void)cache_get(top_cache, "hot\033[2J", 0);
    }
    return 0;
}

static int close_top(void **state) {
    (void)state;
    return hearth_close(top_cache) == HEARTH_OK ? rmdir(top_folder) : -1;
}

static void run_top(struct harness_answer *answer, const char *more) {
    char arguments[256];
    (void)snprintf(arguments, sizeof arguments, "top %s %s", top_socket, more);
    harness_run(answer, arguments);
}

static void a_running_cache_is_shown_once(void **state) {
    (void)state;
    struct harness_answer answer;
    run_top(&answer, "--once --interval 0.2");
    assert_int_equal(answer.status, 0);
    harness_says(&answer, top_socket);
    harness_says(&answer, "\nreads");
    harness_says(&answer, "\n  embedded  ");
    harness_says(&answer, "\n  hot\\x1b[2J  ");
    harness_says_not(&answer, "\033");
}

/* Reads a namespace while the harness looks. */
struct reading {
    hearth *view;
    _Atomic bool over;
};

static void keep_reading(void *arg, size_t index) {
    struct reading *reading = arg;
    (void)index;
    while (!atomic_load(&reading->over)) {
        (void)cache_get(reading->view, "key", 0);
    }
}

/* Reads a second in a namespace's row. */
static double reads_of(const struct harness_answer *answer, const char *row) {
    const char *at = strstr(answer->text, row);
    assert_non_null(at);
    return strtod(at + strlen(row), NULL);
}

static bool is_shown(void *arg) {
    struct harness_answer *answer = arg;
    run_top(answer, "--once --interval 0.2");
    assert_int_equal(answer->status, 0);
    return reads_of(answer, "\n  users ") > 0;
}

static void namespaces_are_shown_with_their_own_figures(void **state) {
    (void)state;
    static struct harness_answer answer;
    struct reading reading = {.over = false};
    struct crowd crowd;
    hearth *idle = NULL;
    assert_int_equal(hearth_namespace_open(top_cache, "users", 5, &reading.view), HEARTH_OK);
    assert_int_equal(hearth_namespace_open(top_cache, "idle", 4, &idle), HEARTH_OK);
    assert_true(crowd_start(&crowd, 1, keep_reading, &reading));
    bool shown = await_until(is_shown, &answer);
    atomic_store(&reading.over, true);
    crowd_join(&crowd);
    assert_true(shown);
    harness_says(&answer, "\nnamespace  ");
    assert_true(reads_of(&answer, "\n  idle ") == 0);
    assert_int_equal(hearth_close(reading.view), HEARTH_OK);
    assert_int_equal(hearth_close(idle), HEARTH_OK);
}

static void its_report_is_given_as_it_is(void **state) {
    (void)state;
    struct harness_answer answer;
    run_top(&answer, "--once --json");
    assert_int_equal(answer.status, 0);
    assert_ptr_equal(strstr(answer.text, "{\"hearth_stats\":1,"), answer.text);
    harness_says(&answer, "\"loads\":1,");
    assert_string_equal(strchr(answer.text, '\n'), "\n");
}

/* What the harness writes on a terminal, until it has begun its third picture. */
static void a_terminal_is_refreshed_in_place(void **state) {
    (void)state;
    char program[HARNESS_PATH];
    char seen[16384] = {0};
    size_t size = 0;
    int pictures = 0;
    int terminal = -1;
    const struct winsize small = {.ws_row = 20, .ws_col = 100};
    harness_path(program);
    pid_t child = forkpty(&terminal, NULL, NULL, &small);
    if (child == 0) {
        execl(program, program, "top", top_socket, "--interval", "0.1", (char *)NULL);
        _exit(127);
    }
    while (pictures < 3 && size + 1 < sizeof seen) {
        ssize_t got = read(terminal, seen + size, sizeof seen - size - 1);
        assert_true(got > 0);
        size += (size_t)got;
        pictures = 0;
        for (const char *at = seen; (at = strstr(at, "\033[HHearth ")) != NULL; at++) {
            pictures++;
        }
    }
    assert_int_equal(pictures, 3);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(terminal);
    assert_non_null(strstr(seen, "\n  embedded"));
}

static void what_top_cannot_read_is_told(void **state) {
    (void)state;
    struct harness_answer answer;
    harness_refuses("top", "takes the path of one stats.socket");
    harness_refuses("top /a --interval 0", "--interval takes seconds from 0.1 to 3600, not 0");
    harness_run(&answer, "top /nowhere/stats");
    assert_int_equal(answer.status, 1);
    harness_says(&answer, "/nowhere/stats: No such file or directory");
}

int main(void) {
    const struct CMUnitTest top_tests[] = {
        cmocka_unit_test(a_running_cache_is_shown_once),
        cmocka_unit_test(namespaces_are_shown_with_their_own_figures),
        cmocka_unit_test(its_report_is_given_as_it_is),
        cmocka_unit_test(a_terminal_is_refreshed_in_place),
        cmocka_unit_test(what_top_cannot_read_is_told),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_all_fields),
        cmocka_unit_test(two_threads_are_measured),
        cmocka_unit_test(many_keys_are_invalidated_at_once),
        cmocka_unit_test(changes_elsewhere_are_heard),
        cmocka_unit_test(a_trace_is_played_at_each_size),
        cmocka_unit_test(a_hot_key_is_told_from_all_sides),
        cmocka_unit_test(processes_and_arrivals_are_made),
        cmocka_unit_test(keys_on_other_servers_are_deleted),
        cmocka_unit_test(keys_are_deleted_after_an_interrupt),
        cmocka_unit_test(servers_elsewhere_are_written_to_with_consent_only),
        cmocka_unit_test(what_hotkey_cannot_do_is_told),
        cmocka_unit_test(two_runs_are_compared),
        cmocka_unit_test(the_table_has_a_header_and_the_row),
        cmocka_unit_test(wrong_names_are_refused_with_the_right_ones),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(help_lists_suites_and_cases),
    };
    int failed = cmocka_run_group_tests(tests, make_file, remove_file);
    return failed + cmocka_run_group_tests(top_tests, open_top, close_top);
}
