/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis-like servers, and the network between them and the processes. What a server does to a key is decided by the library's own
 * remote/verbs.c and remote/envelope.c, as in its embedded backend; what it tells of changes, and to whom, is a model of Redis's
 * tracking in its default mode.
 *
 * Data connections are a model of the lanes (remote/lane*.c): a few for each process and server, requests in order, replies in
 * order, a reply that comes too late is dropped, a connection that is silent for too long is closed, a delete whose connection broke
 * is sent once more, and it is said first, and anew when it is out of date, whom to tell of changes. Connections that listen are
 * sockets to the library, with bytes.
 */
#ifndef TESTS_SIMULATION_SERVERS_H
#define TESTS_SIMULATION_SERVERS_H

#include "simulation/schedule.h"

enum { SERVERS = 2, SERVERS_FIRST_PORT = 7001 };

enum servers_link { SERVERS_DATA, SERVERS_LISTEN, SERVERS_LINKS };

/* What happens at servers that the truth has to know of. */
struct servers_watch {
    /* A key was set or deleted there, or ran out, or was lost: leases on it are void. */
    void (*voided)(const void *key, size_t key_size);
    /* A SET was carried out whose caller had been told that its answer is lost. */
    void (*late)(const void *key, size_t key_size, const void *value, size_t size);
    /* What was at a server is kept as of now; and what it had then is what it has. */
    void (*kept)(unsigned server);
    void (*lost)(unsigned server);
};

/* `slow`: one message in so many takes longer than an operation may; 0: none. */
void servers_begin(const struct servers_watch *watch, int64_t slow);
void servers_end(void);

/* ---- faults ----------------------------------------------------------------------------- */

/* What is sent meanwhile arrives afterwards. */
void servers_cut(unsigned process, unsigned server, enum servers_link link, int64_t until_ns);

/* Connections end; what is under way may arrive still, or not. */
void servers_break(unsigned process, unsigned server, enum servers_link link);

/* It does nothing, but takes what it gets. */
void servers_freeze(unsigned server, int64_t until_ns);

enum servers_restart { SERVERS_EMPTY, SERVERS_WHOLE, SERVERS_OLDER };

/* It dies, and comes back with nothing, all, or what was kept. */
void servers_start_again(unsigned server, int64_t until_ns, enum servers_restart restart);
void servers_keep(unsigned server);

/* From now on nothing goes wrong. */
void servers_heal(void);

#endif
