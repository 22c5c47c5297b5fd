/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_connection.h"

#include "base/clock.h"
#include "base/memory.h"
#include "remote/redis_socket.h"

#include <hearth/errors.h>

#include <hiredis/hiredis.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 64 * 1024,       /* a read in a large value */
    SMALL_CHUNK_BYTES = 16 * 1024, /* else: hiredis moves what lies behind each reply */
    PIECES = 32,                   /* commands in one system call */
    QUEUE_MIN = 16,
    LATE_MAX = 64,           /* reads after the deadline of what had arrived by then */
    KEPT_BYTES = 256 * 1024, /* of memory between two uses */
};

#define COMMAND_MAX ((size_t)1 << 30) /* hiredis counts in an int */

struct hearth__redis_formatted {
    char *text; /* hiredis's */
    size_t size;
};

void hearth__redis_word(hearth__redis_command *command, const void *word, size_t size) {
    command->words[command->count] = size != 0 ? word : "";
    command->sizes[command->count] = size;
    command->count++;
}

void hearth__redis_text(hearth__redis_command *command, const char *text) {
    hearth__redis_word(command, text, strlen(text));
}

int32_t hearth__redis_connection_init(hearth__redis_connection *connection, size_t limit) {
    connection->reused = false;
    connection->heard = false;
    connection->deaf = false;
    connection->late = 0;
    connection->queued = 0;
    connection->sent = 0;
    connection->chunk = hearth__alloc(CHUNK_BYTES);
    if (connection->chunk == NULL) {
        return HEARTH_E_NOMEM;
    }
    return hearth__redis_parser_init(&connection->parser, limit);
}

static void drop_queue(hearth__redis_connection *connection) {
    for (size_t i = connection->first; i < connection->count; i++) {
        redisFreeCommand(connection->queue[i].text);
    }
    hearth__free(connection->queue);
    connection->queue = NULL;
    connection->first = connection->count = connection->capacity = connection->offset = 0;
}

void hearth__redis_connection_close(hearth__redis_connection *connection) {
    int fd = atomic_exchange(&connection->fd, -1);
    if (fd >= 0) {
        (void)close(fd);
    }
    drop_queue(connection);
    hearth__redis_parser_fini(&connection->parser);
    hearth__free(connection->chunk);
    connection->chunk = NULL;
    hearth__buffer_fini(&connection->scratch);
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool reserve(hearth__redis_connection *connection, size_t more) {
    size_t kept = connection->count - connection->first;
    if (connection->first != 0) {
        memmove(connection->queue, connection->queue + connection->first,
                kept * sizeof *connection->queue);
        connection->first = 0;
        connection->count = kept;
    }
    if (connection->capacity - kept >= more) {
        return true;
    }
    size_t capacity = connection->capacity < QUEUE_MIN ? QUEUE_MIN : connection->capacity;
    while (capacity < kept + more) {
        capacity *= 2;
    }
    struct hearth__redis_formatted *queue =
        hearth__realloc(connection->queue, capacity * sizeof *queue);
    if (queue == NULL) {
        return false;
    }
    connection->queue = queue;
    connection->capacity = capacity;
    return true;
}

static int32_t format(const hearth__redis_command *command,
                      struct hearth__redis_formatted *formatted) {
    /* hiredis reads the words only, but asks for them without const. */
    const char *words[HEARTH__REDIS_WORDS];
    size_t total = 0;
    for (size_t i = 0; i < command->count; i++) {
        words[i] = command->words[i];
        if (command->sizes[i] > COMMAND_MAX - total) {
            return HEARTH_E_TOO_LARGE;
        }
        total += command->sizes[i];
    }
    int size =
        redisFormatCommandArgv(&formatted->text, (int)command->count, words, command->sizes);
    if (size < 0) {
        return HEARTH_E_NOMEM;
    }
    formatted->size = (size_t)size;
    return HEARTH_OK;
}

int32_t hearth__redis_queue(hearth__redis_connection *connection,
                            const hearth__redis_command *commands, size_t count) {
    if (connection->capacity - connection->count < count && !reserve(connection, count)) {
        return HEARTH_E_NOMEM;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct hearth__redis_formatted *formatted = &connection->queue[connection->count + i];
        int32_t status = format(&commands[i], formatted);
        if (status != HEARTH_OK) {
            while (i > 0) {
                redisFreeCommand(connection->queue[connection->count + --i].text);
            }
            return status;
        }
        bytes += formatted->size;
    }
    connection->count += count;
    connection->queued += bytes;
    return HEARTH_OK;
}

/* `bytes` more of the queue are the kernel's. */
static void consume(hearth__redis_connection *connection, size_t bytes) {
    connection->sent += bytes;
    connection->offset += bytes;
    while (connection->first < connection->count &&
           connection->offset >= connection->queue[connection->first].size) {
        connection->offset -= connection->queue[connection->first].size;
        redisFreeCommand(connection->queue[connection->first].text);
        connection->first++;
    }
    if (connection->first == connection->count) {
        connection->first = connection->count = 0;
    }
}

static size_t pieces_of(const hearth__redis_connection *connection, struct iovec *pieces) {
    size_t used = 0;
    size_t offset = connection->offset;
    for (size_t i = connection->first; i < connection->count && used < PIECES; i++) {
        pieces[used].iov_base = connection->queue[i].text + offset;
        pieces[used].iov_len = connection->queue[i].size - offset;
        offset = 0;
        used++;
    }
    return used;
}

static bool wants_to_send(const hearth__redis_connection *connection) {
    return connection->first < connection->count && !connection->deaf;
}

void hearth__redis_send(hearth__redis_connection *connection) {
    int fd = atomic_load_explicit(&connection->fd, memory_order_relaxed);
    while (wants_to_send(connection)) {
        struct iovec pieces[PIECES];
        struct msghdr message = {.msg_iov = pieces};
        message.msg_iovlen = pieces_of(connection, pieces);
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            consume(connection, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            return;
        } else if (errno != EINTR) {
            connection->deaf = true; /* the server may have said why: that is read first */
        }
    }
}

/* ---- receiving ------------------------------------------------------------------------------ */

static int32_t receive(hearth__redis_connection *connection) {
    int fd = atomic_load_explicit(&connection->fd, memory_order_relaxed);
    bool much = hearth__redis_parser_expects_much(&connection->parser);
    size_t room = much ? CHUNK_BYTES : SMALL_CHUNK_BYTES;
    ssize_t got = recv(fd, connection->chunk, room, MSG_DONTWAIT);
    if (got > 0) {
        connection->heard = true;
        return hearth__redis_parser_feed(&connection->parser, connection->chunk, (size_t)got);
    }
    bool again = got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK);
    return again ? HEARTH_OK : HEARTH_E_UNAVAILABLE;
}

/* Waits until there is something to read, or to write if there is something to write. While
 * it writes it reads too: a server whose answers nobody takes would take no more commands. */
static int32_t exchange(hearth__redis_connection *connection, int64_t deadline_ns) {
    hearth__redis_send(connection);
    int fd = atomic_load_explicit(&connection->fd, memory_order_relaxed);
    short events = POLLIN;
    if (wants_to_send(connection)) {
        events |= POLLOUT;
    }
    if (hearth__monotonic_ns() >= deadline_ns && connection->late++ >= LATE_MAX) {
        return HEARTH_E_TIMEOUT; /* else a flood would hold the caller for ever */
    }
    short seen = 0;
    int32_t status = hearth__redis_poll(fd, events, deadline_ns, &seen);
    if (status != HEARTH_OK) {
        return status;
    }
    return (seen & ~POLLOUT) != 0 ? receive(connection) : HEARTH_OK;
}

int32_t hearth__redis_await(hearth__redis_connection *connection, hearth__redis_taker *taker,
                            void *taker_arg, int64_t deadline_ns) {
    for (;;) {
        int32_t status = hearth__redis_parser_next(&connection->parser, taker, taker_arg);
        if (status != HEARTH_MISS) {
            return status;
        }
        status = exchange(connection, deadline_ns);
        if (status != HEARTH_OK) {
            return status;
        }
    }
}

bool hearth__redis_is_quiet(const hearth__redis_connection *connection) {
    char byte = 0;
    int fd = atomic_load_explicit(&connection->fd, memory_order_relaxed);
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

void hearth__redis_trim(hearth__redis_connection *connection) {
    hearth__redis_parser_trim(&connection->parser);
    if (connection->scratch.capacity > KEPT_BYTES) {
        hearth__buffer_fini(&connection->scratch);
    }
    if (connection->capacity * sizeof *connection->queue > KEPT_BYTES) {
        drop_queue(connection);
    }
}
