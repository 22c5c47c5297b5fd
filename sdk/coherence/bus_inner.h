/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus, between the files that make it up: bus.c makes, starts and ends it, bus_read.c is what its reading thread does, and
 * bus_publish.c what the publishing one does and those who wait for it.
 */
#ifndef HEARTH_COHERENCE_BUS_INNER_H
#define HEARTH_COHERENCE_BUS_INNER_H

#include "coherence/bus_line.h"
#include "coherence/bus_message.h"
#include "coherence/sources.h"

#include "base/bell.h"

#include <pthread.h>

enum { HEARTH__BUS_STROKE = 1, HEARTH__BUS_CLOSING = 2, HEARTH__BUS_RUN_ID_BYTES = 40 };

/* The reading thread's own, but for the source. */
struct hearth__bus_reader {
    pthread_t thread;
    hearth__bus_line line;
    _Atomic uint32_t source; /* of what is read from now on; 0: none */
    uint32_t number;         /* of the last one that was opened; 0: it was closed */
    bool is_placed;
    hearth__bus_place place; /* all messages up to here are applied */
    bool is_asked;           /* the oldest question that is not settled yet: */
    int64_t asked_ms;
    hearth__bus_place asked_for; /* what was there then */
    char run_id[HEARTH__BUS_RUN_ID_BYTES +
                1]; /* of the server in whose stream that is; empty: none */
    bool complained;
    unsigned failures; /* in a row */
};

/* The publishing thread's own. */
struct hearth__bus_publisher {
    pthread_t thread;
    hearth__bus_line line;
    hearth__buffer records; /* on their way */
    size_t at;              /* of them, what is not published yet */
    uint64_t number;        /* that of their batch */
    bool is_short;          /* of memory even to say that any key may have changed */
    hearth__buffer message;
    bool complained;
    unsigned failures; /* in a row */
};

struct hearth__bus {
    hearth__bus_config config;
    hearth__sources *sources;
    _Atomic uint64_t generation; /* of the process that has the threads; 0: none */
    _Atomic int64_t retry_ms;    /* when threads may be tried to be started again */
    _Atomic bool closing;        /* the threads are to end */
    _Atomic bool stopped;        /* and none are started any more */
    _Atomic int closing_fd;      /* an eventfd, which can be read then */
    unsigned char publisher[HEARTH__BUS_PUBLISHER_BYTES];
    struct hearth__bus_reader reading;
    struct hearth__bus_publisher publishing;
    pthread_mutex_t lock;   /* of the batch that is open, and its number: */
    hearth__buffer records; /* what is to be published */
    uint64_t number;
    bool overflowed;       /* there was no room for more */
    _Atomic uint64_t done; /* the number up to which all is published */
    _Atomic bool is_down;  /* the server takes nothing */
    hearth__bell work;     /* rings when there is something to publish, or it is to end, */
    hearth__bell told;     /* and when it is published, or cannot be */
};

/* What the threads do; `arg` is the bus. */
void *hearth__bus_read(void *arg);
void *hearth__bus_write(void *arg);

/* Waits before it is tried again to connect, after so many failures in a row. */
void hearth__bus_pause(hearth__bus *bus, unsigned failures);

/* Adds the command that puts a message behind all others. */
bool hearth__bus_add_message(const hearth__bus *bus, hearth__bus_line *line,
                             const hearth__buffer *message);

/* What was read before is no hit any more, and what is read from now on has no source. */
void hearth__bus_distrust(hearth__bus *bus);

#endif
