/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets on which the library listens (coherence/listener_threads.c), and the descriptor that wakes its reading thread. The linker
 * calls these in the place of the functions without `__wrap_`.
 */
#include "simulation/connections.h"

#include "base/clock.h"

#include <hearth/errors.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* NOLINTBEGIN(bugprone-reserved-identifier) the linker's names */

enum { FIRST = 1 << 20, FDS = 4096 };

/* A descriptor: a connection, or what is raised. */
struct descriptor {
    connection *on;
    unsigned process;
    bool is_event;
    bool raised;
    bool used;
};

static struct descriptor all[FDS];

static struct descriptor *of(int fd) {
    return fd >= FIRST && fd < FIRST + FDS ? &all[fd - FIRST] : NULL;
}

static int take_place(void) {
    for (int i = 0; i < FDS; i++) {
        if (!all[i].used) {
            all[i] = (struct descriptor){.process = schedule_process(), .used = true};
            return FIRST + i;
        }
    }
    abort();
}

/* Who polls in a process waits for this. */
static const void *channel_of(unsigned process) {
    static const char channels[SCHEDULE_PROCESSES + 1];
    return &channels[process];
}

int32_t __wrap_hearth__remote_connect(const char *host, uint16_t port, int64_t deadline_ns,
                                      _Atomic int *fd, char *why, size_t why_size);
int __wrap_eventfd(unsigned value, int flags);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __wrap_close(int fd);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
int __wrap_poll(struct pollfd *polled, nfds_t count, int timeout_ms);
ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_close(int fd);

/* ---- connecting ------------------------------------------------------------------------- */

int32_t __wrap_hearth__remote_connect(const char *host, uint16_t port, int64_t deadline_ns,
                                      _Atomic int *fd, char *why, size_t why_size) {
    unsigned process = schedule_process();
    unsigned server = port - SERVERS_FIRST_PORT;
    int64_t now_ns = schedule_now();
    int64_t cut_ns = connections_cut_until(process, server, SERVERS_LISTEN);
    int64_t at_ns = (cut_ns > now_ns ? cut_ns : now_ns) + 2 * connections_delay();
    (void)host;
    (void)why_size;
    why[0] = '\0';
    (void)schedule_wait(NULL, 0, at_ns < deadline_ns ? at_ns : deadline_ns);
    if (at_ns >= deadline_ns || !connections_is_up(server)) {
        return at_ns >= deadline_ns ? HEARTH_E_TIMEOUT : HEARTH_E_UNAVAILABLE;
    }
    int number = take_place();
    of(number)->on = connections_open(process, server, SERVERS_LISTEN);
    schedule_trace("listens to %u as client %lld", server, (long long)of(number)->on->id);
    *fd = number;
    return HEARTH_OK;
}

int __wrap_close(int fd) {
    struct descriptor *descriptor = of(fd);
    if (descriptor == NULL) {
        return __real_close(fd);
    }
    if (descriptor->on != NULL) {
        connections_close(descriptor->on);
    }
    descriptor->used = false;
    return 0;
}

void sockets_broken(connection *on) {
    schedule_trace("listener to %u broken", on->server);
    schedule_wake(channel_of(on->process), 1);
}

/* ---- the descriptor that wakes ---------------------------------------------------------- */

int __wrap_eventfd(unsigned value, int flags) {
    (void)value;
    (void)flags;
    int fd = take_place();
    of(fd)->is_event = true;
    return fd;
}

ssize_t __wrap_read(int fd, void *bytes, size_t size) {
    struct descriptor *descriptor = of(fd);
    if (descriptor == NULL) {
        return __real_read(fd, bytes, size);
    }
    descriptor->raised = false;
    return (ssize_t)size;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size) {
    struct descriptor *descriptor = of(fd);
    if (descriptor == NULL) {
        return __real_write(fd, bytes, size);
    }
    descriptor->raised = true;
    schedule_wake(channel_of(descriptor->process), 1);
    return (ssize_t)size;
}

/* ---- what the process says -------------------------------------------------------------- */

/* What a server answers to, in this order. */
static const struct {
    const char *word;
    bool subscribes;
    bool is_number;
    const char *answer;
} commands[] = {
    {"CLIENT", false, true, NULL},
    {"SUBSCRIBE", true, false,
     "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n"},
    {"PING", false, false, "*2\r\n$4\r\npong\r\n$0\r\n\r\n"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0], TEXT_MAX = 256 };

/* On its way. */
struct words {
    connection *on;
    char text[TEXT_MAX];
};

static void arrive(void *arg) {
    struct words *words = arg;
    connection *on = words->on;
    bool served = on->served && on->life == connections_life(on->server);
    for (size_t i = 0; served && i < COMMANDS; i++) {
        if (strstr(words->text, commands[i].word) == NULL) {
            continue;
        }
        char number[32];
        (void)snprintf(number, sizeof number, ":%lld\r\n", (long long)on->id);
        const char *answer = commands[i].is_number ? number : commands[i].answer;
        on->subscribed |= commands[i].subscribes;
        sockets_say(on, answer, strlen(answer));
    }
    free(words);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags) {
    struct descriptor *descriptor = of(fd);
    struct words *words = calloc(1, sizeof *words);
    (void)flags;
    if (descriptor == NULL || words == NULL || size >= TEXT_MAX) {
        abort();
    }
    if (!descriptor->on->open) {
        free(words);
        errno = EPIPE;
        return -1;
    }
    words->on = descriptor->on;
    memcpy(words->text, bytes, size);
    schedule_at(connections_there(words->on), words->on->process, arrive, words);
    return (ssize_t)size;
}

/* ---- what the server says --------------------------------------------------------------- */

struct speech {
    connection *on;
    size_t size;
    unsigned char bytes[];
};

static void hear(void *arg) {
    struct speech *speech = arg;
    connection *on = speech->on;
    if (on->open) {
        unsigned char *heard = realloc(on->heard, on->heard_size + speech->size);
        if (heard == NULL) {
            abort();
        }
        memcpy(heard + on->heard_size, speech->bytes, speech->size);
        on->heard = heard;
        on->heard_size += speech->size;
        schedule_wake(channel_of(on->process), 1);
    }
    free(speech);
}

void sockets_say(connection *on, const void *bytes, size_t size) {
    struct speech *speech = malloc(sizeof *speech + size);
    if (speech == NULL) {
        abort();
    }
    speech->on = on;
    speech->size = size;
    memcpy(speech->bytes, bytes, size);
    schedule_at(connections_here(on), on->process, hear, speech);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags) {
    struct descriptor *descriptor = of(fd);
    (void)flags;
    if (descriptor == NULL) {
        abort();
    }
    connection *on = descriptor->on;
    size_t some = on->heard_size < size ? on->heard_size : size;
    if (some == 0) {
        errno = EAGAIN;
        return on->open ? -1 : 0;
    }
    memcpy(bytes, on->heard, some);
    on->heard_size -= some;
    memmove(on->heard, on->heard + some, on->heard_size);
    return (ssize_t)some;
}

/* ---- waiting ---------------------------------------------------------------------------- */

static int look(struct pollfd *polled, nfds_t count) {
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        const struct descriptor *descriptor = of(polled[i].fd);
        polled[i].revents = 0;
        bool readable =
            descriptor != NULL &&
            (descriptor->is_event ? descriptor->raised
                                  : descriptor->on->heard_size != 0 || !descriptor->on->open);
        if (readable) {
            polled[i].revents = POLLIN;
            ready++;
        }
    }
    return ready;
}

int __wrap_poll(struct pollfd *polled, nfds_t count, int timeout_ms) {
    int64_t until_ns = schedule_now() + timeout_ms * SCHEDULE_MS;
    int ready = look(polled, count);
    while (ready == 0 && schedule_now() < until_ns) {
        (void)schedule_wait(channel_of(schedule_process()), 1, until_ns);
        ready = look(polled, count);
    }
    return ready;
}

/* NOLINTEND(bugprone-reserved-identifier) */
