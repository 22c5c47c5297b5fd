/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/appserver_run.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MOST = 24, LINE_BYTES = 512 };

/* The number behind these words; -1: they are not there. */
static double number_behind(const char *line, const char *words) {
    const char *at = strstr(line, words);
    return at != NULL ? strtod(at + strlen(words), NULL) : -1;
}

/* ---- the server --------------------------------------------------------------------------- */

/* It lies beside this program. */
static int find_program(char path[PATH_MAX]) {
    static const char name[] = "appserver";
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - sizeof name - 1);
    if (size <= 0) {
        return -1;
    }
    path[size] = '\0';
    memcpy(strrchr(path, '/') + 1, name, sizeof name);
    return access(path, X_OK);
}

static _Noreturn void become(char *program, int output, const char *const *arguments) {
    char *line[ARGUMENTS_MOST] = {program};
    size_t count = 1;
    for (; count + 3 < ARGUMENTS_MOST && arguments[count - 1] != NULL; count++) {
        memcpy(&line[count], &arguments[count - 1],
               sizeof line[0]); /* execv does not write to them */
    }
    char listen_option[] = "--listen";
    char any_port[] = "127.0.0.1:0";
    line[count] = listen_option;
    line[count + 1] = any_port;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(output, STDOUT_FILENO);
    (void)execv(program, line);
    _exit(127);
}

int appserver_start(const struct bench *bench, struct appserver_run *run,
                    const char *const *arguments) {
    char program[PATH_MAX];
    char line[LINE_BYTES] = "";
    int ends[2];
    *run = (struct appserver_run){.pid = 0};
    if (find_program(program) != 0) {
        return bench_fail(bench, "there is no appserver beside this program: `make` builds it");
    }
    if (pipe(ends) != 0) {
        return bench_fail(bench, "no pipe");
    }
    run->pid = fork();
    if (run->pid == 0) {
        (void)close(ends[0]);
        become(program, ends[1], arguments);
    }
    (void)close(ends[1]);
    run->output = fdopen(ends[0], "r");
    if (run->pid < 0 || run->output == NULL || fgets(line, sizeof line, run->output) == NULL ||
        number_behind(line, "listening on http://127.0.0.1:") < 0) {
        return bench_fail(bench, "the appserver does not serve");
    }
    run->port = (unsigned)number_behind(line, "listening on http://127.0.0.1:");
    return 0;
}

/* The next line says it; and with times without a processor. */
static double held_ms(FILE *output, double *whole_ms) {
    char line[LINE_BYTES] = "";
    if (fgets(line, sizeof line, output) == NULL) {
        return -1;
    }
    *whole_ms = number_behind(line, "); ");
    return number_behind(line, ": held for ");
}

int appserver_stop(const struct bench *bench, struct appserver_run *run) {
    char line[LINE_BYTES] = "";
    int status = 0;
    if (run->pid <= 0) {
        return 0;
    }
    (void)kill(run->pid, SIGTERM);
    bool told = run->output != NULL && fgets(line, sizeof line, run->output) != NULL;
    run->requests = number_behind(line, "");
    run->failed = number_behind(line, " requests, ");
    if (told) {
        double others_ms = 0;
        run->held_ms = held_ms(run->output, &run->held_whole_ms);
        run->held_in_cache_ms = held_ms(run->output, &others_ms);
        run->held_outside_ms = held_ms(run->output, &others_ms);
    }
    (void)waitpid(run->pid, &status, 0);
    run->pid = 0;
    if (run->output != NULL) {
        (void)fclose(run->output);
    }
    return told && status == 0 && run->held_outside_ms >= 0
               ? 0
               : bench_fail(bench, "the appserver did not end well");
}

/* ---- wrk ------------------------------------------------------------------------------------ */

bool wrk_is_there(void) {
    int status = system("command -v wrk >/dev/null 2>&1");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

FILE *wrk_begin(const struct bench *bench, const struct appserver_run *run,
                const struct wrk_load *load) {
    char line[LINE_BYTES];
    (void)snprintf(
        line, sizeof line,
        "exec wrk -t 1 -c %u -d %us --timeout 60s %s%s http://127.0.0.1:%u/product/7 2>&1",
        load->connections, load->seconds, load->script != NULL ? "-s " : "",
        load->script != NULL ? load->script : "", run->port);
    FILE *wrk = popen(line, "re");
    if (wrk == NULL) {
        (void)bench_fail(bench, "wrk does not start");
    }
    return wrk;
}

/* "Socket errors: connect 0, read 0, write 0, timeout 0" */
static double socket_errors(const char *line) {
    double sum = 0;
    for (const char *at = strpbrk(line, "0123456789"); at != NULL;
         at = strpbrk(at, "0123456789")) {
        char *end = NULL;
        sum += strtod(at, &end);
        at = end;
    }
    return sum;
}

int wrk_end(const struct bench *bench, FILE *wrk, struct wrk_result *result) {
    char line[LINE_BYTES];
    *result = (struct wrk_result){.per_second = -1};
    while (fgets(line, sizeof line, wrk) != NULL) {
        double errors = number_behind(line, "Non-2xx or 3xx responses:");
        double rate = number_behind(line, "Requests/sec:");
        result->failed += errors > 0 ? errors : 0;
        result->per_second = rate >= 0 ? rate : result->per_second;
        if (strstr(line, "Socket errors:") != NULL) {
            result->failed += socket_errors(line);
        }
    }
    int status = pclose(wrk);
    return status == 0 && result->per_second >= 0 ? 0 : bench_fail(bench, "wrk says: %s", line);
}
