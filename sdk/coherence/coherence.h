/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coherence room: whether local copies are still what their nodes hold, and since when that is known.
 *
 * Redis tells of changes (server-assisted client-side caching, over RESP2): a connection of its own to each node listens, and the
 * connections on which values are read say that changes of what they read are to be told to it.
 *
 * Where nodes tell nobody, processes tell each other: bus.h.
 *
 * What is to be done about a change is the caller's business, and so is connecting: functions that are passed in.
 */
#ifndef HEARTH_COHERENCE_COHERENCE_H
#define HEARTH_COHERENCE_COHERENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "coherence/bus.h"

/* A source is a connection on which values were read, while changes of them are told: see sources.h. 0: none. */
enum { HEARTH__SOURCES = 1024 };

/* A point in time, of a source: it ended because its node was flushed, so what it brought is known to be gone. */
enum { HEARTH__SOURCE_FLUSHED = 2 };

/* Whom a node is to tell of changes. */
typedef struct hearth__redirect {
    int64_t client_id; /* of the connection that listens */
    uint32_t epoch;    /* of what is heard without a gap; 0: nobody listens now */
} hearth__redirect;

/* The beginning of keys. */
typedef struct hearth__beginning {
    const void *data;
    size_t size;
} hearth__beginning;

typedef struct hearth__listener hearth__listener;

/* All is copied but `user`, `password`, `broadcast` and `log`, which must outlive the listener. The functions are called on the listener's
 * own threads, under no lock. */
typedef struct hearth__listener_config {
    int64_t ping_ms;    /* between two questions whether a node is there */
    int64_t dead_ms;    /* how long it may owe the answer */
    int64_t retry_ms;   /* between two attempts to connect, at the least */
    int64_t life_ms;    /* of a local copy, at the most */
    int64_t connect_ms; /* how long it may take to connect */
    int64_t canary_ms;  /* between two canaries of a source; 0: there are none */
    size_t key_max;     /* no key is longer */
    /* Changes of all keys that begin so are told, whoever read them; none begins with another. 0: those of what sources read are. */
    const hearth__beginning *broadcast;
    size_t broadcast_count;
    const char *user;     /* NULL: none */
    const char *password; /* NULL: none */
    hearth__log *log;
    void *arg;
    /* Connects, to a path if the port is 0. HEARTH_OK: *fd is a socket, which the listener closes; else why not. *fd names the
     * socket while there is one. */
    int32_t (*connect)(void *arg, const char *host, uint16_t port, int64_t deadline_ns,
                       _Atomic int *fd, char *why, size_t why_size);
    /* A key, of at most key_max bytes, may have changed at a node, as of now. */
    void (*changed)(void *arg, const void *key, size_t key_size);
    /* Any key of a node may have: all its sources have ended. `lost`: and its changes are not told any more for now. */
    void (*flushed)(void *arg, bool lost);
    /* Every ping_ms: asks something on connections of which nothing was heard for a while, since sources that nobody uses would
     * end. May block for connect_ms or so. */
    void (*refresh)(void *arg);
} hearth__listener_config;

/* HEARTH_OK, HEARTH_E_NOMEM. Starts no thread and connects to nothing. */
int32_t hearth__listener_create(const hearth__listener_config *config,
                                hearth__listener **listener);

/* Ends the threads; waits for a call of theirs that is under way. Nobody may start them any more; what was told of before
 * still counts, and the other calls do nothing. NULL is allowed. */
void hearth__listener_stop(hearth__listener *listener);

/* The same, and frees it. Nobody may be inside. NULL is allowed. */
void hearth__listener_destroy(hearth__listener *listener);

/* Starts the threads, if this process has none: before the first read. Any thread; a load if they run. */
void hearth__listener_start(hearth__listener *listener);

/* The most nodes at a time; and no node. */
enum { HEARTH__LISTENED_MAX = 2048, HEARTH__LISTENED_NONE = HEARTH__LISTENED_MAX };

/*
 * Listens to a node: a number for the calls below, that no other node has until unlisten; HEARTH__LISTENED_NONE, which is allowed
 * there: there is no memory, there are too many nodes, or the host name is longer than 255 bytes. Connects once the threads
 * run. Any thread.
 */
uint32_t hearth__listener_listen(hearth__listener *listener, const char *host, uint16_t port);
void hearth__listener_unlisten(hearth__listener *listener, uint32_t node);

/* Until when the copies of each source may be hits (hearth__boot_ms()); HEARTH__SOURCES of them, of which the first is for copies
 * without a source, and never ends. Lives as long as the listener. */
const _Atomic int64_t *hearth__listener_until_ms(const hearth__listener *listener);

/* What a point in time of that list is beyond what is known: a copy that is a hit until then is known to have been right so long
 * before. */
int64_t hearth__listener_grace_ms(const hearth__listener *listener);

/* The source of what is asked for from now on where nobody is told of changes (sources.h); 0: none. Any thread. */
uint32_t hearth__listener_untold(const hearth__listener *listener);

/* Whether changes of what a source brought are told, as far as is known. Any thread. */
bool hearth__listener_tells(const hearth__listener *listener, uint32_t source);

/* Where changes are broadcast: the source of all that is asked of a node from now on; 0: nobody listens now. Any thread. */
uint32_t hearth__listener_source(const hearth__listener *listener, uint32_t node);

/* Whom a new connection to the node is to redirect to: nobody, where changes are broadcast. Any thread. */
hearth__redirect hearth__listener_redirect(const hearth__listener *listener, uint32_t node);

/*
 * A connection redirects to that epoch's listener, as it answered to a command sent at sent_ms: its number; 0: it is too late, or
 * there are no numbers left. What it reads from now on is told of. Any thread.
 */
uint32_t hearth__listener_open_source(hearth__listener *listener, uint32_t node, uint32_t epoch,
                                      int64_t sent_ms);

/* It answered a command sent then. Any thread. */
void hearth__listener_answered(hearth__listener *listener, uint32_t source, int64_t sent_ms);

/* It has ended; 0 is allowed. Any thread. */
void hearth__listener_close_source(hearth__listener *listener, uint32_t source);

/*
 * Canaries (canary.h), by the thread that refreshes: whether one of the source's is to be sent now; its node has answered, and has
 * written it or not; whether one should have been heard by now and was not: then the source has ended, and its copies are no
 * hits any more.
 */
bool hearth__listener_begin_canary(hearth__listener *listener, uint32_t source);
void hearth__listener_end_canary(hearth__listener *listener, uint32_t source, bool written);
bool hearth__listener_is_deaf(hearth__listener *listener, uint32_t source);

/* The reading thread: a canary was heard, after so many ns; negative: none of the source's is awaited, or there is no such source. */
int64_t hearth__listener_hear_canary(hearth__listener *listener, uint32_t source);

#endif
