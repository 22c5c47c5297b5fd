/* SPDX-License-Identifier: Apache-2.0 */
/* What server.c, backend.c and sockets.c share: connections, and what is sent on them. */
#ifndef TESTS_SIMULATION_CONNECTIONS_H
#define TESTS_SIMULATION_CONNECTIONS_H

#include "remote/remote.h"
#include "simulation/servers.h"

/* A connection between a process and a server. Never freed before the end: what is under way names it. */
typedef struct connection {
    struct connection *next;
    int64_t id; /* the client's number at the server */
    unsigned process;
    unsigned server;
    enum servers_link link;
    uint64_t life;     /* of the server, to which it was made */
    bool open;         /* to the process */
    bool served;       /* to the server */
    uint32_t requests; /* so far */
    int64_t tells;     /* the client that is told of changes of what is read here; 0: none */
    int64_t there_ns;  /* when the last message arrives there */
    int64_t here_ns;   /* and here */
    /* SERVERS_LISTEN: */
    bool subscribed;
    unsigned char *heard; /* what arrived, and is not read */
    size_t heard_size;
} connection;

/* A request; freed when nobody knows it any more. */
struct request {
    connection *on;
    hearth__remote_op op; /* its pointers are this request's */
    unsigned char *stored;
    size_t stored_size;
    int64_t redirects; /* no operation, but whom to tell; -1: a ping */
    bool late;         /* its caller was told that the answer is lost */
    bool answered;
    bool broken;
    unsigned holders;
    /* the answer */
    int32_t status;
    unsigned char *bytes;
    size_t size;
    int64_t left_ms;
    uint64_t found_version;
    bool checked;
    uint32_t source;
    uint32_t stroke; /* by which its caller is woken, on the connection */
    void *owner;
};

/* Takes what a message needs, in order behind those before it. */
int64_t connections_there(connection *on);
int64_t connections_here(connection *on);

/* NULL: it is down. Only who has waited for it has one. */
connection *connections_open(unsigned process, unsigned server, enum servers_link link);
connection *connections_find(unsigned server, int64_t id);
bool connections_is_up(unsigned server);
uint64_t connections_life(unsigned server);
int64_t connections_delay(void);
int64_t connections_cut_until(unsigned process, unsigned server, enum servers_link link);
int64_t connections_frozen_until(unsigned server);

/* The process ends it. */
void connections_close(connection *on);

/* The process's end of one ends, as it learns. */
void backend_broken(connection *on);
void sockets_broken(connection *on);

/* The server says something to who listens; the bytes are copied. */
void sockets_say(connection *on, const void *bytes, size_t size);

/* Carries out a request, at its server. */
void server_execute(struct request *request);
void requests_release(struct request *request);

#endif
