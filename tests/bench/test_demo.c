/* SPDX-License-Identifier: Apache-2.0 */
/* The program behind `make demo`, as a person uses it: it plays to its end and says what it saw,
 * it survives the loss of a node, and whatever ends it, nothing of it is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/browser.h"

enum { TEXT_BYTES = 65536, ARGUMENTS_MAX = 16, LINGER_STEPS = 500, STEP_NS = 10000000 };

static char program[PATH_MAX];
static char folder[] = "/tmp/hearth-demo-XXXXXX"; /* the demo's TMPDIR */

/* A demo that runs, and what it has said so far. */
struct run {
    pid_t pid;
    int output;
    size_t size;
    char text[TEXT_BYTES];
};

/* ---- running it ---- */

/* execv wants texts that may be written to, and does not write to them. */
static _Noreturn void become_demo(int output, const char *const *arguments) {
    char *line[ARGUMENTS_MAX] = {program};
    for (size_t i = 0; i + 2 < ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        memcpy(&line[i + 1], &arguments[i], sizeof line[0]);
    }
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(program, line);
    _exit(127);
}

static struct run *start(const char *const *arguments) {
    struct run *run = calloc(1, sizeof *run);
    int ends[2];
    assert_non_null(run);
    assert_int_equal(pipe(ends), 0);
    run->output = ends[0];
    run->pid = fork();
    assert_true(run->pid >= 0);
    if (run->pid == 0) {
        close(ends[0]);
        /* Who runs the tests in the background may have these ignored. */
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        become_demo(ends[1], arguments);
    }
    close(ends[1]);
    return run;
}

/* Reads on until the demo has said `words`, or its output ends. */
static bool await_words(struct run *run, const char *words) {
    while (strstr(run->text, words) == NULL) {
        size_t room = sizeof run->text - 1 - run->size;
        ssize_t got = read(run->output, run->text + run->size, room);
        if (got <= 0) {
            return false;
        }
        run->size += (size_t)got;
        run->text[run->size] = '\0';
    }
    return true;
}

static void assert_said(struct run *run, const char *words) {
    if (strstr(run->text, words) == NULL) {
        fail_msg("the demo does not say \"%s\", but:\n%s", words, run->text);
    }
}

static bool is_empty(const char *path) {
    DIR *opened = opendir(path);
    size_t count = 0;
    assert_non_null(opened);
    while (readdir(opened) != NULL) {
        count++;
    }
    closedir(opened);
    return count == 2;
}

/* Whatever the demo started and did not end would now be a child of ours. One may be on its way
 * out: a command whose reader is gone. */
static void assert_nothing_is_left(void) {
    const struct timespec step = {0, STEP_NS};
    pid_t ended = 0;
    for (int i = 0; i < LINGER_STEPS && ended >= 0; i++) {
        ended = waitpid(-1, NULL, WNOHANG);
        if (ended == 0) {
            nanosleep(&step, NULL);
        }
    }
    assert_true(ended < 0 && errno == ECHILD);
    assert_true(is_empty(folder));
}

/* Reads to the end; gives the status as waitpid does. */
static int finish(struct run *run) {
    int status = 0;
    (void)await_words(run, "\001");
    assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
    close(run->output);
    assert_nothing_is_left();
    return status;
}

static void assert_succeeded(struct run *run, int status) {
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the demo ended with status %d and said:\n%s", status, run->text);
    }
}

/* ---- what it says ---- */

/* A row of the second table. */
struct row {
    double shares[3]; /* local, remote, loaded */
    unsigned long loads;
};

static struct row read_row(struct run *run, const char *pass) {
    struct row row = {{0, 0, 0}, 0};
    const char *table = strstr(run->text, "From where");
    assert_non_null(table);
    char *at = strstr(table, pass);
    if (at == NULL) {
        fail_msg("no row of %s in:\n%s", pass + 1, run->text);
        return row;
    }
    at += strlen(pass);
    for (size_t i = 0; i < 3; i++) {
        row.shares[i] = strtod(at, &at);
        assert_memory_equal(at, " %", 2);
        at += 2;
    }
    at += strspn(at, " ");
    for (; (*at >= '0' && *at <= '9') || *at == ','; at++) {
        if (*at != ',') {
            row.loads = row.loads * 10 + (unsigned long)(*at - '0');
        }
    }
    assert_int_equal(*at, ' ');
    return row;
}

/* `whole`: no node was killed, so what was loaded once stays. */
static void assert_rows(struct run *run, const char *server, bool whole) {
    static const char *const passes[] = {"remote only, cold", "remote only, warm",
                                         "Hearth, cold", "Hearth, warm"};
    struct row rows[4];
    for (size_t i = 0; i < 4; i++) {
        char pass[64];
        snprintf(pass, sizeof pass, "\n%s, %s", server, passes[i]);
        rows[i] = read_row(run, pass);
        double sum = rows[i].shares[0] + rows[i].shares[1] + rows[i].shares[2];
        assert_true(sum > 99.7 && sum < 100.3);
    }
    assert_true(rows[0].shares[0] == 0 && rows[1].shares[0] == 0);
    assert_true(rows[2].shares[0] > 5 && rows[3].shares[0] > 5);
    assert_true(rows[0].shares[2] > 10 && rows[2].shares[2] > 10);
    assert_true(rows[0].loads > 100 && rows[2].loads > 100);
    assert_true(!whole || rows[1].shares[2] < 5);
}

/* The report in a browser: each of the six plots has what it should. */
static void assert_report(const char *path, const char *pass) {
    static const char *const curves[][2] = {{"latency", "origin"}, {"throughput", "origin"},
                                            {"nodes", "node 3"},   {"tiers", "remote"},
                                            {"hits", "adaptive"},  {"hits", "exact-lru"}};
    struct browser_view view;
    assert_true(browser_open(&view, path));
    assert_string_equal(view.console, "");
    assert_string_equal(view.requests, "");
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (browser_points(&view, curves[i][0], curves[i][1], 0) < 3) {
            fail_msg("plot %s has no %s", curves[i][0], curves[i][1]);
        }
    }
    assert_true(browser_points(&view, "latency", pass, 0) > 10);
    assert_true(browser_points(&view, "throughput", pass, 0) >= 1);
    assert_true(browser_points(&view, "loads", pass, 0) >= 1);
    browser_close(&view);
}

static void it_plays_to_its_end(void **state) {
    (void)state;
    char report[sizeof folder + 16];
    snprintf(report, sizeof report, "%s-report.html", folder);
    const char *const arguments[] = {"--requests", "1500",   "--seconds", "1", "--over",
                                     "memcached",  "--html", report,      NULL};
    struct run *run = start(arguments);
    int status = finish(run);
    assert_succeeded(run, status);
    assert_rows(run, "Memcached", true);
    assert_said(run, "1,500 for ");
    assert_said(run, "Memcached, Hearth: ");
    assert_null(strstr(run->text, "BROKEN"));
    assert_said(run, " 0 failed, 0 got another key's page");
    assert_null(strstr(run->text, "Redis,"));
    /* Not a terminal: plain lines. */
    assert_null(strchr(run->text, '\r'));
    assert_null(strchr(run->text, '\033'));
    assert_said(run, report);
    assert_report(report, "Hearth, cold");
    assert_int_equal(unlink(report), 0);
    free(run);
}

static void no_request_fails_when_a_node_is_killed(void **state) {
    (void)state;
    static const char *const arguments[] = {"--requests", "1500",    "--seconds", "1", "--over",
                                            "redis",      "--fault", "kill",      NULL};
    struct run *run = start(arguments);
    int status = finish(run);
    assert_succeeded(run, status);
    assert_rows(run, "Redis", false);
    assert_said(run, "node 2 of 3 was killed with signal 9");
    assert_said(run, "at request 750.");
    assert_said(run, "Requests that failed: 0.");
    assert_null(strstr(run->text, "The library counted 0 errors"));
    assert_null(strstr(run->text, "loaded 0 times"));
    assert_said(run, " 0 failed, 0 got another key's page");
    free(run);
}

/* ---- how it ends ---- */

static void assert_interrupted(const char *words, int number) {
    static const char *const arguments[] = {"--requests", "1500",  "--seconds", "1",
                                            "--over",     "redis", NULL};
    struct run *run = start(arguments);
    bool heard = await_words(run, words);
    if (!heard) {
        fail_msg("the demo does not say \"%s\", but:\n%s", words, run->text);
    }
    assert_int_equal(kill(run->pid, number), 0);
    int status = finish(run);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
    free(run);
}

static void an_interrupt_leaves_nothing(void **state) {
    (void)state;
    assert_interrupted("machine", SIGINT);
    assert_interrupted("servers ", SIGINT);
    assert_interrupted("remote only, cold: ", SIGTERM);
}

static void assert_refused(const char *const *arguments, int code, const char *words) {
    struct run *run = start(arguments);
    int status = finish(run);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
    assert_said(run, words);
    free(run);
}

static void wrong_arguments_are_told(void **state) {
    (void)state;
    assert_refused((const char *const[]){"--wat", NULL}, 2, "'--wat' is not an option");
    assert_refused((const char *const[]){"--threads", NULL}, 2, "--threads wants a value");
    assert_refused((const char *const[]){"--threads", "0", NULL}, 2,
                   "--threads wants a whole number from 1 to 256, not '0'");
    assert_refused((const char *const[]){"--requests", "-1", NULL}, 2, "not '-1'");
    assert_refused((const char *const[]){"--seed", "99999999999999999999", NULL}, 2,
                   "--seed wants a whole number");
    assert_refused((const char *const[]){"--over", "disk", NULL}, 2, "redis or memcached");
    assert_refused((const char *const[]){"--fault", "fire", NULL}, 2, "--fault wants kill");
    assert_refused((const char *const[]){"--trace", "/nonexistent", NULL}, 1, "/nonexistent");
    assert_refused((const char *const[]){"--help", NULL}, 0, "--fault kill");
}

static void missing_servers_are_told(void **state) {
    (void)state;
    const char *present = getenv("PATH");
    char path[4096];
    snprintf(path, sizeof path, "%s", present == NULL ? "" : present);
    setenv("PATH", "/nonexistent", 1);
    struct run *run = start((const char *const[]){"--requests", "100", NULL});
    setenv("PATH", path, 1);
    int status = finish(run);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_said(run, "redis-server is not installed");
    assert_said(run, "make deps");
    free(run);
}

/* ---- set-up ---- */

/* build/VARIANT/tests/bench/test_demo tests build/VARIANT/bench/demo. */
static int set_up(void **state) {
    (void)state;
    char self[PATH_MAX - 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0 || mkdtemp(folder) == NULL) {
        return -1;
    }
    self[size] = '\0';
    snprintf(program, sizeof program, "%s/../../bench/demo", dirname(self));
    setenv("TMPDIR", folder, 1);
    /* Processes that lose their parent become ours, so that none can be missed. */
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static int tear_down(void **state) {
    (void)state;
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_plays_to_its_end),
        cmocka_unit_test(no_request_fails_when_a_node_is_killed),
        cmocka_unit_test(an_interrupt_leaves_nothing),
        cmocka_unit_test(wrong_arguments_are_told),
        cmocka_unit_test(missing_servers_are_told),
    };
    return cmocka_run_group_tests_name("demo", tests, set_up, tear_down);
}
