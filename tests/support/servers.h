/* SPDX-License-Identifier: Apache-2.0 */
/* Real redis-server and memcached processes for tests and for the demo, on unix sockets in a
 * private temporary folder (under $TMPDIR or /tmp) or on loopback TCP ports the kernel picked.
 * Any number of programs may do this side by side.
 *
 * Servers and folder are gone after servers_stop, and also when the program exits, is killed
 * (SIGKILL included) or gets Ctrl-C: see keeper.h. Nothing here prints or exits.
 *
 * Calls that give int give 0, or -1 with the reason in `error` of the struct: a server that did
 * not start says the last lines of its log, a missing server says so. A struct is for one
 * thread at a time; which thread that is, and whether it lives on, does not matter. */
#ifndef HEARTH_TESTS_SUPPORT_SERVERS_H
#define HEARTH_TESTS_SUPPORT_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "keeper.h"

enum {
    SERVERS_MAX = 32,
    SERVERS_FOLDER_BYTES = 80,
    SERVERS_PATH_BYTES = 108, /* what the address of a unix socket holds */
    SERVERS_ERROR_BYTES = 2048,
};

enum server_kind { SERVER_REDIS, SERVER_MEMCACHED };
enum server_transport { SERVER_UNIX, SERVER_TCP };

/* To be read by anyone, written by the functions below only. */
struct server_node {
    enum server_kind kind;
    enum server_transport transport;
    char path[SERVERS_PATH_BYTES]; /* of the unix socket; empty with TCP */
    char host[16];                 /* "127.0.0.1"; empty with a unix socket */
    int port;                      /* 0 with a unix socket */
    pid_t pid;                     /* 0 while it does not run */
    int reservation;               /* a bound socket that keeps the port ours, or -1 */
    size_t command_size;
    char command[KEEPER_COMMAND_BYTES];
};

struct servers {
    char folder[SERVERS_FOLDER_BYTES];
    char error[SERVERS_ERROR_BYTES];
    struct keeper keeper;
    size_t count;
    struct server_node nodes[SERVERS_MAX];
};

/* Makes the folder and its keeper; no server yet. After a failure there is nothing to stop. */
int servers_open(struct servers *servers) __attribute__((warn_unused_result));

/* Starts one server, waits until it answers (10 s at most), and adds it as the last of `nodes`.
 * `arguments`: more arguments for the server, ended by NULL, or NULL for none; they come last,
 * so they win over ours (Redis: nothing is saved to disk; Memcached: -m 256). */
int servers_start(struct servers *servers, enum server_kind kind,
                  enum server_transport transport, const char *const *arguments)
    __attribute__((warn_unused_result));

/* Kills a node with SIGKILL; it is gone when this returns. Its socket path or port stays. */
int servers_kill(struct servers *servers, size_t node) __attribute__((warn_unused_result));

/* SIGSTOP: the node keeps its connections and answers nothing. */
int servers_pause(struct servers *servers, size_t node) __attribute__((warn_unused_result));

/* SIGCONT: a paused node runs on. */
int servers_resume(struct servers *servers, size_t node) __attribute__((warn_unused_result));

/* Starts a killed node again, empty, with the same arguments, at the same path or port; waits
 * until it answers. A node that still runs is killed first. */
int servers_restart(struct servers *servers, size_t node) __attribute__((warn_unused_result));

/* Kills all servers with SIGKILL, removes the folder. */
void servers_stop(struct servers *servers);

/* Writes the URL of all nodes of one kind in the order of their start, such as
 * "redis+unix:///a/r0.sock,/a/r1.sock" or "memcached://127.0.0.1:4001,127.0.0.1:4002".
 * -1: no such node, nodes of both transports, or it does not fit into `size` bytes. */
int servers_url(struct servers *servers, enum server_kind kind, char *url, size_t size)
    __attribute__((warn_unused_result));

/* For programs, not for libraries: on SIGINT, SIGTERM and SIGHUP the program ends by that
 * signal as it would anyway, but only after the servers of all open structs and their folders
 * are gone. Without it the same happens a few milliseconds after the program's end. */
int servers_cleanup_on_signals(void) __attribute__((warn_unused_result));

#endif
