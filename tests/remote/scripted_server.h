/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that says what a test wants, on a unix socket and a thread of its own: one connection
 * after the other, each served by a function of the test. cmocka's assertions do not work on
 * that thread: the function notes what it sees.
 */
#ifndef HEARTH_TESTS_REMOTE_SCRIPTED_SERVER_H
#define HEARTH_TESTS_REMOTE_SCRIPTED_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct scripted_server;

/* Serves one connection, the first being number 0; returns when it is to be closed. */
typedef void scripted_serve(struct scripted_server *server, int fd, unsigned number, void *arg);

struct scripted_server {
    char folder[64];
    char path[96];
    int listener;
    int stop[2]; /* a pipe: readable when it is over */
    pthread_t thread;
    scripted_serve *serve;
    void *arg;
    _Atomic unsigned connections;
    _Atomic unsigned closed; /* connections that the client closed first */
    char heard[4096];        /* of the present connection */
    size_t heard_size;
};

void scripted_server_start(struct scripted_server *server, scripted_serve *serve, void *arg);
void scripted_server_stop(struct scripted_server *server);

/* A further client: its socket, or -1 when the server takes no more for now. */
int scripted_connect(const struct scripted_server *server);

/* For the serving function. False: the client closed the connection, or it is over. */

/* Reads until these words were said, and forgets all that was said up to their end. */
bool scripted_await(struct scripted_server *server, int fd, const char *words);

/* The rest of the line, without its end; cut where `size` ends. Forgets it. */
bool scripted_read_line(struct scripted_server *server, int fd, char *line, size_t size);

/* Sends all of it. */
bool scripted_send(struct scripted_server *server, int fd, const void *data, size_t size);

/* Waits until the client has read all that was sent. */
bool scripted_await_read(struct scripted_server *server, int fd);

/* Waits for the client to close. */
void scripted_await_close(struct scripted_server *server, int fd);

#endif
