/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener, between the files that make it up: listener.c makes, starts and ends it, listener_threads.c is what its threads do.
 *
 * One thread reads, and does nothing but apply what it reads: a server closes the connection of a listener that is slow. What may
 * block, connecting above all, is done by the other, which calls.
 */
#ifndef HEARTH_COHERENCE_LISTENER_INNER_H
#define HEARTH_COHERENCE_LISTENER_INNER_H

#include "coherence/canary.h"
#include "coherence/sources.h"
#include "coherence/tracking.h"

#include "base/bell.h"
#include "base/buffer.h"

#include <poll.h>
#include <pthread.h>

enum { HEARTH__LISTENER_CHUNK = 64 * 1024, HEARTH__LISTENER_STROKE = 1 };

/* How the thread that calls stands with a node: who has the turn writes it. */
enum hearth__call {
    HEARTH__NO_CALL,
    HEARTH__CALL_WANTED,
    HEARTH__CALL_UNDER_WAY,
    HEARTH__CALL_MADE,
    HEARTH__CALL_FAILED,
};

/* How a node's place stands. It is taken by whoever listens, and freed by the reading thread. */
enum hearth__listened_state {
    HEARTH__PLACE_FREE,
    HEARTH__PLACE_TAKEN,
    HEARTH__LISTENED,
    HEARTH__LEAVING
};

/* A node, and its connection. Never freed before the listener is: the threads look at it when they like. */
typedef struct hearth__listened {
    _Atomic int state; /* enum hearth__listened_state */
    char host[256];    /* written by who takes the place */
    uint16_t port;
    hearth__tracking tracking;
    hearth__push_parser *parser;
    _Atomic int fd;          /* -1: none. A forked child reads it, to close its copy */
    _Atomic int calling_fd;  /* while it is being connected */
    _Atomic int call;        /* enum hearth__call */
    char why[160];           /* why it failed: that thread's until then */
    bool complained;         /* that it is lost */
    hearth__buffer rest;     /* of the greeting, where changes are broadcast */
    _Atomic uint32_t source; /* likewise; 0: none */
    const void *unsent;      /* what is being sent */
    size_t unsent_size;
} hearth__listened;

struct hearth__listener {
    hearth__listener_config config;
    hearth__sources *sources;
    hearth__canary canaries[HEARTH__SOURCES];
    hearth__buffer greeting;
    hearth__buffer subscription; /* likewise, behind a node's number: see `rest` */
    _Atomic uint64_t generation; /* of the process that has the threads; 0: none */
    _Atomic int64_t retry_ms;
    _Atomic bool closing; /* the threads are to end */
    _Atomic bool stopped; /* and none are started any more */
    _Atomic int wake;     /* an eventfd: the reading thread is to look around */
    hearth__bell bell;    /* the other one is */
    pthread_t reader;
    pthread_t caller;
    struct pollfd polled[HEARTH__LISTENED_MAX + 1]; /* the wake, and one for each place */
    unsigned char chunk[HEARTH__LISTENER_CHUNK];
    _Atomic(hearth__listened *)
        nodes[HEARTH__LISTENED_MAX]; /* NULL: no place was taken from here on */
};

/* NULL: there is no such place, and none behind it. */
static inline hearth__listened *hearth__listener_node(const hearth__listener *listener,
                                                      uint32_t node) {
    return node < HEARTH__LISTENED_MAX ? atomic_load(&listener->nodes[node]) : NULL;
}

void hearth__listener_init_tracking(const hearth__listener *listener, hearth__listened *node);

/* What is said once the connection's number is known, to node->rest. False: no memory. */
bool hearth__listener_compose_rest(const hearth__listener *listener, hearth__listened *node);

/* Closes what there is. */
void hearth__listener_close_fd(_Atomic int *fd);

/* The reading thread is to look around. */
void hearth__listener_wake(hearth__listener *listener);

/* What the threads do; `arg` is the listener. */
void *hearth__listener_call(void *arg);
void *hearth__listener_read(void *arg);

#endif
