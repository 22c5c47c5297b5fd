/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of any protocol that says what a test wants, on a unix socket: each connection is
 * served by a function of the test on a thread of its own. cmocka's assertions do not work
 * there: the function notes what it sees.
 */
#ifndef HEARTH_TESTS_SUPPORT_SCRIPTED_SERVER_H
#define HEARTH_TESTS_SUPPORT_SCRIPTED_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { SCRIPTED_AT_ONCE = 64 };

/* A connection. */
struct scripted_client {
    struct scripted_server *server;
    int fd;
    unsigned number; /* the first is 0 */
    pthread_t thread;
    bool is_served; /* and its thread is not joined yet */
    _Atomic bool is_done;
    char heard[4096];
    size_t heard_size;
};

/* Serves one connection; returns when it is to be closed. */
typedef void scripted_serve(struct scripted_client *client, void *arg);

struct scripted_server {
    char folder[64];
    char path[96];
    int listener;
    int stop[2]; /* a pipe: readable when it is over */
    pthread_t thread;
    scripted_serve *serve;
    void *arg;
    size_t at_once;
    pthread_mutex_t lock;
    pthread_cond_t left;
    struct scripted_client clients[SCRIPTED_AT_ONCE];
    _Atomic unsigned connections;
    _Atomic unsigned closed; /* connections that the client closed first */
};

/* Serves so many connections at once; others wait until one of them is closed. */
void scripted_server_start(struct scripted_server *server, size_t at_once,
                           scripted_serve *serve, void *arg);
void scripted_server_stop(struct scripted_server *server);

/* A further client: its socket, or -1 when the server takes no more for now. */
int scripted_connect(const struct scripted_server *server);

/* For the serving function. False: the client closed the connection, or it is over. */

/* Reads until these words were said, and forgets all that was said up to their end. */
bool scripted_await(struct scripted_client *client, const char *words);

/* The rest of the line, without its end; cut where `size` ends. Forgets it. */
bool scripted_read_line(struct scripted_client *client, char *line, size_t size);

/* Forgets so many bytes, waiting for them. */
bool scripted_skip(struct scripted_client *client, size_t size);

/* Sends all of it. */
bool scripted_send(struct scripted_client *client, const void *data, size_t size);

/* Waits until the client has read all that was sent. */
bool scripted_await_read(struct scripted_client *client);

/* Waits for the client to close. */
void scripted_await_close(struct scripted_client *client);

#endif
