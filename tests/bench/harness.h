/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of hearth-bench as a script makes them. */
#ifndef HEARTH_TESTS_BENCH_HARNESS_H
#define HEARTH_TESTS_BENCH_HARNESS_H

/* What a run said. */
struct harness_answer {
    int status;
    char text[32768]; /* stdout and stderr */
};

enum { HARNESS_PATH = 4096 };

/* Where the program is: beside the tests, as the build leaves both. The test fails if it is not there. */
void harness_path(char path[HARNESS_PATH]);

/* Runs it with these arguments, as a shell reads them. The test fails if it is ended by a signal. */
void harness_run(struct harness_answer *answer, const char *arguments);

/* It must end with status 2, and say this. */
void harness_refuses(const char *arguments, const char *because);

/* The answer must have this text in it, or must not. */
void harness_says(const struct harness_answer *answer, const char *text);
void harness_says_not(const struct harness_answer *answer, const char *text);

#endif
