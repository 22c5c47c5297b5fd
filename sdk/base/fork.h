/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a forked child from its parent, so that it leaves the parent's connections alone; and keeps
 * fork() from coming while a thread of the library's own is in the middle of something. */
#ifndef HEARTH_BASE_FORK_H
#define HEARTH_BASE_FORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number that is another in every forked child. Any thread may ask; one load after the first
 * call. */
uint64_t hearth__fork_generation(void);

/*
 * The library's own threads, and those that are lent to it, hold fork() off while they work, since a
 * child would get what they had begun, and locks that nobody opens. They pause where they wait for
 * long and where the application's code runs. Others, the loaders' callers, need none of this: pause
 * and resume do nothing there.
 */
void hearth__fork_hold(void);
void hearth__fork_release(void);

/* For who locks something before a fork(), in a handler: first waits until nobody holds it off any more. It is opened again
 * afterwards. */
void hearth__fork_shut(void);

/* True: it was held, and is no more until resume gets this answer back. */
bool hearth__fork_pause(void);
void hearth__fork_resume(bool held);

/*
 * Descriptors of which a child closes its copies at once, and sets them to -1: as long as it had them, those at their other end would
 * take it for its parent. They are changed only while fork() is held off; -1 are none. The caller's until they are forgotten.
 * Then the child calls `in_child`, if there is one: while the stacks of its parent's threads still are as they left them.
 */
typedef struct hearth__fork_fds {
    int *fds;
    size_t count;
    void (*in_child)(void *arg);
    void *arg;
    struct hearth__fork_fds *next;
} hearth__fork_fds;

void hearth__fork_close_in_child(hearth__fork_fds *fds);
void hearth__fork_forget(hearth__fork_fds *fds);

#endif
