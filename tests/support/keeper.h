/* SPDX-License-Identifier: Apache-2.0 */
/* A small child process that owns the servers a program starts and one temporary folder.
 *
 * It forks the servers itself, so they end with it (PR_SET_PDEATHSIG is tied to the forking
 * thread: the keeper has one thread only, the program may have many). When the program ends,
 * however it ends, the socket between the two closes: the keeper then kills the servers with
 * SIGKILL, removes the folder and is gone. It sits in a session of its own, out of reach of the
 * terminal's Ctrl-C.
 *
 * All calls give 0 or an errno. One thread at a time. */
#ifndef HEARTH_TESTS_SUPPORT_KEEPER_H
#define HEARTH_TESTS_SUPPORT_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    KEEPER_CHILDREN_MAX = 64,
    KEEPER_COMMAND_BYTES = 4096,
    KEEPER_ARGUMENTS_MAX = 128,
};

struct keeper {
    int socket;
    pid_t pid;
};

/* Starts the keeper of `folder`, which it removes in the end with all that is in it. */
int keeper_open(struct keeper *keeper, const char *folder) __attribute__((warn_unused_result));

/* Starts a process. `command` is a sequence of NUL-terminated texts, `size` bytes in all: the
 * file that takes the process's output (appended), then its arguments, the program's name first
 * (searched on the PATH). ENOENT: there is no such program. */
int keeper_start(struct keeper *keeper, const char *command, size_t size, pid_t *pid)
    __attribute__((warn_unused_result));

/* Kills a started process with SIGKILL and reaps it: it is gone when this returns. */
int keeper_kill(struct keeper *keeper, pid_t pid) __attribute__((warn_unused_result));

/* Stops a started process with SIGSTOP: it stands still when this returns. */
int keeper_pause(struct keeper *keeper, pid_t pid) __attribute__((warn_unused_result));

/* Lets a paused process run on. */
int keeper_resume(struct keeper *keeper, pid_t pid) __attribute__((warn_unused_result));

/* Whether a started process has not ended yet. */
bool keeper_is_running(struct keeper *keeper, pid_t pid);

/* Kills all processes with SIGKILL, removes the folder, ends the keeper and waits for that. */
void keeper_close(struct keeper *keeper);

#endif
