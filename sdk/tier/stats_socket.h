/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.socket: a unix socket at which the same user reads what the cache does. Who connects gets one report (stats_report.c) and the
 * end. Nobody's request is read, few are served at once, each for a second, and a report is made at most ten times a second, whoever asks:
 * so readers cost what the option's owner has allowed, whatever they do.
 */
#ifndef HEARTH_TIER_STATS_SOCKET_H
#define HEARTH_TIER_STATS_SOCKET_H

#include "base/bell.h"
#include "base/buffer.h"
#include "base/fork.h"
#include "tier/cache.h"

enum {
    HEARTH__STATS_READERS = 8,
    HEARTH__STATS_STROKE = 1,
    /* of fds */
    HEARTH__STATS_LISTENS = 0,
    HEARTH__STATS_WAKES = 1,
    HEARTH__STATS_FIRST_READER = 2,
    HEARTH__STATS_FDS = HEARTH__STATS_FIRST_READER + HEARTH__STATS_READERS
};

/* What a reader has still to get. */
typedef struct hearth__stats_reader {
    hearth__buffer report;
    size_t sent;
    int64_t until_ns; /* hearth__monotonic_ns(); then it has had its time */
} hearth__stats_reader;

struct hearth__stats_socket {
    hearth *cache;
    uint64_t device; /* of the file, so that nobody else's is removed */
    uint64_t inode;
    pthread_t thread;
    bool started;
    uint64_t fork_generation; /* of the process that serves it */
    _Atomic bool closing;
    hearth__bell bell;          /* rings then, for a thread that cannot poll */
    int fds[HEARTH__STATS_FDS]; /* -1: none; the thread's, but for opening and closing */
    hearth__fork_fds in_child;
    /* the thread's own */
    hearth__stats_reader readers[HEARTH__STATS_READERS];
    hearth__buffer report;
    int64_t stale_ns; /* then it is too old for the next reader */
    int64_t rest_ns;  /* nobody is let in before */
};

/*
 * HEARTH_OK, with or without a socket, as the options say; HEARTH_E_INVALID (no absolute path), HEARTH_E_UNAVAILABLE (it cannot be
 * made there, or another cache has it), HEARTH_E_NOMEM. `why` says what to do. Starts the thread, so all else is open.
 */
int32_t hearth__stats_socket_open(hearth *cache, char *why, size_t why_size);

/* Ends the thread, its readers and the file; in a forked child only what it has of them. Others may be inside the cache. */
void hearth__stats_socket_close(hearth *cache);

/* stats_server.c: the thread, given the struct; and the end of one of its readers, if there is one at that place. */
void *hearth__stats_serve(void *arg);
void hearth__stats_end_reader(struct hearth__stats_socket *socket, size_t place);

/* stats_report.c: adds a report. False: no memory. */
bool hearth__stats_report(hearth *cache, hearth__buffer *out);

#endif
