/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

void harness_path(char path[HARNESS_PATH]) {
    char own[3000];
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(size > 0);
    own[size] = '\0';
    *strrchr(own, '/') = '\0';
    (void)snprintf(path, HARNESS_PATH, "%s/../../bench/hearth-bench", own);
    assert_int_equal(access(path, X_OK), 0);
}

void harness_run(struct harness_answer *answer, const char *arguments) {
    char program[HARNESS_PATH];
    char command[HARNESS_PATH + 4096];
    harness_path(program);
    (void)snprintf(command, sizeof command, "'%s' %s 2>&1", program, arguments);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    size_t size = fread(answer->text, 1, sizeof answer->text - 1, pipe);
    answer->text[size] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    answer->status = WEXITSTATUS(status);
}

void harness_refuses(const char *arguments, const char *because) {
    struct harness_answer answer;
    harness_run(&answer, arguments);
    assert_int_equal(answer.status, 2);
    harness_says(&answer, because);
}

void harness_says(const struct harness_answer *answer, const char *text) {
    if (strstr(answer->text, text) == NULL) {
        fail_msg("'%s' is not in:\n%s", text, answer->text);
    }
}

void harness_says_not(const struct harness_answer *answer, const char *text) {
    if (strstr(answer->text, text) != NULL) {
        fail_msg("'%s' is in:\n%s", text, answer->text);
    }
}
