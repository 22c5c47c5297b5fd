/* SPDX-License-Identifier: Apache-2.0 */
/* The system as the library sees it in a program that is linked with this: the n-th call of one kind does something else, or all
 * from then on. One fault is there at a time; any thread's call may be the one. */
#ifndef HEARTH_TESTS_FAULT_SYSTEM_CALLS_H
#define HEARTH_TESTS_FAULT_SYSTEM_CALLS_H

#include <stdbool.h>

enum system_call {
    SYSTEM_SOCKET,
    SYSTEM_CONNECT,
    SYSTEM_SEND,
    SYSTEM_RECV,
    SYSTEM_PPOLL,
    SYSTEM_POLL,
    SYSTEM_EVENTFD,
    SYSTEM_THREAD, /* pthread_create() */

    SYSTEM_OPEN,
    SYSTEM_WRITE,
    SYSTEM_READ,
    SYSTEM_FSYNC,
    SYSTEM_MMAP,

    SYSTEM_BIND,
    SYSTEM_LISTEN,
    SYSTEM_LINK,
    SYSTEM_ACCEPT,
    SYSTEM_CALLS
};

enum {
    SYSTEM_ONE_BYTE = -1 /* in the place of an error: a call does no more */
};

struct system_fault {
    enum system_call call;
    int fate;    /* an error, which the call answers, or SYSTEM_ONE_BYTE */
    bool unseen; /* by who uses the library */
};

/* "recv: Connection reset by peer", in a buffer of this thread's own. */
const char *system_fault_text(const struct system_fault *fault);

/* `before` calls of that kind are as ever, and then one is not, or all are not if it `lasts`. */
void system_fault_begin(const struct system_fault *fault, unsigned before, bool lasts);
/* All are as ever. Whether one was not. */
bool system_fault_end(void);
/* How many were not, so far. */
unsigned system_fault_strikes(void);

/* How many descriptors the process has. */
unsigned system_descriptors(void);

#endif
