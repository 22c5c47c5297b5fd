/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a Redis server: socket, outgoing commands, parser. One thread at a time;
 * only `fd` and `busy` may be read by others (a forked child, to leave the parent's alone).
 */
#ifndef HEARTH_REMOTE_REDIS_CONNECTION_H
#define HEARTH_REMOTE_REDIS_CONNECTION_H

#include "base/buffer.h"
#include "remote/redis_parser.h"
#include "remote/remote.h"

#include <stdatomic.h>

/* The words of a command; they are copied when it is queued. */
enum { HEARTH__REDIS_WORDS = 7 };
typedef struct hearth__redis_command {
    size_t count;
    const char *words[HEARTH__REDIS_WORDS];
    size_t sizes[HEARTH__REDIS_WORDS];
} hearth__redis_command;

/* Adds a word. */
void hearth__redis_word(hearth__redis_command *command, const void *word, size_t size);
void hearth__redis_text(hearth__redis_command *command, const char *text);

typedef struct hearth__redis_connection {
    _Atomic int fd;    /* -1: not open. Whenever it is not, the number is our socket's. */
    _Atomic bool busy; /* some thread has it */
    bool reused;       /* it served somebody before */
    bool heard;        /* bytes came since it was taken */
    bool deaf;         /* the server takes no more bytes; what it said may still be read */
    uint32_t late;     /* reads after the deadline */
    hearth__redis_parser parser;
    unsigned char *chunk; /* what one read brings */
    struct hearth__redis_formatted *queue;
    size_t first;    /* of the queue that is not fully sent */
    size_t count;    /* of the queue, sent ones included */
    size_t capacity; /* of the queue */
    size_t offset;   /* what of the first is sent */
    uint64_t queued; /* bytes in all since it was opened */
    uint64_t sent;
    hearth__buffer scratch; /* for whoever has it: a header and a body in one piece */
    struct hearth__redis_pool *pool;
    struct hearth__redis_connection *next; /* in the pool's lists */
} hearth__redis_connection;

/* Makes it usable for a socket that is connected. HEARTH_OK, HEARTH_E_NOMEM. `limit`: as the
 * parser's. */
int32_t hearth__redis_connection_init(hearth__redis_connection *connection, size_t limit);

/* Closes the socket and frees everything; it may be opened again. */
void hearth__redis_connection_close(hearth__redis_connection *connection);

/* Formats commands for sending, all or none. HEARTH_OK, HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE (for
 * any server). Sends nothing. */
int32_t hearth__redis_queue(hearth__redis_connection *connection,
                            const hearth__redis_command *commands, size_t count);

/* Sends what can be sent without waiting. Whether it failed shows when answers are awaited. */
void hearth__redis_send(hearth__redis_connection *connection);

/*
 * Awaits one reply and gives it to the taker; sends what is queued meanwhile. HEARTH_OK; the
 * parser's errors; HEARTH_E_UNAVAILABLE: the connection ended; HEARTH_E_TIMEOUT. After an error
 * the connection must be closed. What had arrived by the deadline is still taken afterwards.
 */
int32_t hearth__redis_await(hearth__redis_connection *connection, hearth__redis_taker *taker,
                            void *taker_arg, int64_t deadline_ns);

/* Whether an idle connection is still one: open, and nothing came that nobody asked for. */
bool hearth__redis_is_quiet(const hearth__redis_connection *connection);

/* Between two uses: gives back memory that a large value took. */
void hearth__redis_trim(hearth__redis_connection *connection);

#endif
