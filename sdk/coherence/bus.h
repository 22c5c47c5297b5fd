/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: what processes tell each other of what they write, over a stream of a Redis server's, for nodes that tell nobody.
 *
 * Who has written a node publishes the key, waits for the stream to have it, and returns then. Who has copies reads the stream: a
 * change that was published before a question was sent is applied when that question has been answered. So the question that was
 * answered last says up to when everything is known, as a ping does where nodes tell of changes by themselves (tracking.h).
 *
 * A stream numbers its messages without a gap, and has an epoch, which no other stream of that name ever had: who misses a number,
 * finds another epoch or fewer messages than there were, or another server, knows that it has missed something. Messages of a server
 * that was merely out of reach are still there, and are caught up with.
 *
 * The keys themselves are published, not hashes of them: a key says where its copy is without a table beside the tier, and what is
 * to be deleted from a node that was down.
 */
#ifndef HEARTH_COHERENCE_BUS_H
#define HEARTH_COHERENCE_BUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

typedef struct hearth__bus hearth__bus;

/* How a key has changed. */
enum hearth__bus_change {
    HEARTH__BUS_CHANGED = 1, /* at its node, or perhaps */
    HEARTH__BUS_MISSED = 2,  /* its node did not answer: it may still have what was to go */
};

/* Texts, `log` and `arg` must outlive the bus. The functions are called on the reading thread, under no lock. */
typedef struct hearth__bus_config {
    const char *host; /* a path if the port is 0 */
    uint16_t port;
    const char *user;     /* NULL: none */
    const char *password; /* NULL: none */
    uint32_t database;
    const char *stream; /* its key, of which one bus is apart from another */
    int64_t ping_ms;    /* between two questions whether the server is there */
    int64_t dead_ms;    /* how long it may owe the answer */
    int64_t retry_ms;   /* between two attempts to connect, at the least */
    int64_t life_ms;    /* of a local copy, at the most */
    int64_t connect_ms; /* how long it may take to connect */
    int64_t stall_ms;   /* and to take a message */
    size_t key_max;     /* no key is longer */
    hearth__log *log;
    void *arg;
    int32_t (*connect)(void *arg, const char *host, uint16_t port, int64_t deadline_ns,
                       _Atomic int *fd, char *why, size_t why_size);
    /* Another process told of a key, of at most key_max bytes. */
    void (*changed)(void *arg, const void *key, size_t key_size,
                    enum hearth__bus_change change);
    /* Messages may have been missed: the source of what was read before has ended. */
    void (*lost)(void *arg);
} hearth__bus_config;

/* HEARTH_OK, HEARTH_E_NOMEM. Starts no thread and connects to nothing. */
int32_t hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus);

/* Publishes what is still to be, if the server takes it at once, and ends the threads. Nobody may start them any more; the other
 * calls do nothing. NULL is allowed. */
void hearth__bus_stop(hearth__bus *bus);

/* The same, and frees it. Nobody may be inside. NULL is allowed. */
void hearth__bus_destroy(hearth__bus *bus);

/* Starts the threads, if this process has none. Any thread; a load if they run. */
void hearth__bus_start(hearth__bus *bus);

/* The source of what is read from now on (coherence.h): as long as it is good, all changes of that are heard. 0: nobody hears
 * them. Any thread. */
uint32_t hearth__bus_source(const hearth__bus *bus);

/* As hearth__listener_until_ms() and hearth__listener_grace_ms(). */
const _Atomic int64_t *hearth__bus_until_ms(const hearth__bus *bus);
int64_t hearth__bus_grace_ms(const hearth__bus *bus);

/* A key is to be published, as soon as may be and together with others': a number to await; 0: it never will be, since the bus has
 * stopped. Any thread, once this process has called hearth__bus_start(). */
uint64_t hearth__bus_publish(hearth__bus *bus, const void *key, size_t key_size,
                             enum hearth__bus_change change);

/* Waits until all up to that number is published. False: it was not by the deadline (hearth__monotonic_ns()), or the server does
 * not answer; it will be when that does. Any thread. */
bool hearth__bus_await(hearth__bus *bus, uint64_t number, int64_t deadline_ns);

#endif
