/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP server with Hearth in it: to be read, to be tried with curl, and to be measured. */
#include "appserver/arguments.h"
#include "appserver/server.h"

#include <inttypes.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/util.h>

enum { EXIT_USAGE = 2, BACKLOG = 4096, HOST_BYTES = 256 };

static const char unix_begin[] = "unix:";

static int refuse(const char *listen_at, const char *reason) {
    (void)fprintf(stderr, "appserver: --listen %s: %s\n", listen_at, reason);
    return -1;
}

/* ---- where it listens ---------------------------------------------------------------------- */

static bool read_path(const char *path, struct sockaddr_storage *address, socklen_t *size) {
    struct sockaddr_un *name = (struct sockaddr_un *)address;
    name->sun_family = AF_UNIX;
    *size = sizeof *name;
    return snprintf(name->sun_path, sizeof name->sun_path, "%s", path) <
           (int)sizeof name->sun_path;
}

/* The port is behind the last colon, so that [::1]:8080 is one too. */
static bool read_address(const char *text, struct sockaddr_storage *address, socklen_t *size) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[HOST_BYTES];
    const char *colon = strrchr(text, ':');
    size_t brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']' ? 1 : 0;
    memset(address, 0, sizeof *address);
    if (strncmp(text, unix_begin, sizeof unix_begin - 1) == 0) {
        return read_path(text + sizeof unix_begin - 1, address, size);
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)((size_t)(colon - text) - 2 * brackets),
                   text + brackets);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return false;
    }
    *size = found->ai_addrlen;
    memcpy(address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

/* A path that a server left behind when it was killed. */
static void remove_socket(const struct sockaddr_storage *address) {
    const struct sockaddr_un *name = (const struct sockaddr_un *)address;
    struct stat found;
    if (address->ss_family == AF_UNIX && lstat(name->sun_path, &found) == 0 &&
        S_ISSOCK(found.st_mode)) {
        (void)unlink(name->sun_path);
    }
}

/* The socket; -1, and stderr says why. */
static int open_socket(const char *listen_at) {
    struct sockaddr_storage address;
    socklen_t size = 0;
    if (!read_address(listen_at, &address, &size)) {
        return refuse(listen_at, "it is no address as 127.0.0.1:8080, [::1]:8080 or unix:PATH");
    }
    remove_socket(&address);
    int opened = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened >= 0 && evutil_make_listen_socket_reuseable(opened) == 0 &&
        bind(opened, (const struct sockaddr *)&address, size) == 0 &&
        listen(opened, BACKLOG) == 0) {
        return opened;
    }
    (void)refuse(listen_at, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    if (opened >= 0) {
        (void)close(opened);
    }
    return -1;
}

/* Whoever started it reads the port here. */
static void say_address(const char *listen_at, int socket) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[HOST_BYTES] = "";
    char port[16] = "";
    memset(&address, 0, sizeof address);
    if (strncmp(listen_at, unix_begin, sizeof unix_begin - 1) != 0 &&
        getsockname(socket, (struct sockaddr *)&address, &size) == 0 &&
        getnameinfo((const struct sockaddr *)&address, size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        bool has_colons = strchr(host, ':') != NULL;
        printf("listening on http://%s%s%s:%s\n", has_colons ? "[" : "", host,
               has_colons ? "]" : "", port);
    } else {
        printf("listening on %s\n", listen_at);
    }
    (void)fflush(stdout);
}

/* ---- running ------------------------------------------------------------------------------- */

static void say_held(const char *by, struct held_longest longest) {
    printf(
        "%s: held for %.3f ms at the longest (computing %.3f, asleep %.3f); %.3f ms with times "
        "without a processor\n",
        by, (double)longest.held_ns / 1e6, (double)longest.computed_ns / 1e6,
        (double)longest.slept_ns / 1e6, (double)longest.whole_ns / 1e6);
}

static void say_end(const struct shop *shop) {
    printf("%" PRIu64 " requests, %" PRIu64 " failed\n", atomic_load(&shop->requests),
           atomic_load(&shop->failures));
    struct shop_held held = shop_held(shop);
    say_held("an event loop", held.all);
    say_held("by Hearth's calls", held.in_cache);
    say_held("by answers", held.outside);
    (void)fflush(stdout);
}

/* Serves until a signal comes. Signals are blocked in all threads. */
static bool serve(struct shop *shop, int socket, const sigset_t *signals) {
    int end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool started = end >= 0;
    for (uint32_t i = 0; started && i < shop->arguments->threads; i++) {
        started = server_start(&shop->servers[i], shop, socket, end);
    }
    if (started) {
        int number = 0;
        say_address(shop->arguments->listen, socket);
        (void)sigwait(signals, &number);
    }
    if (end >= 0) {
        (void)eventfd_write(end, 1);
    }
    for (uint32_t i = 0; i < shop->arguments->threads; i++) {
        server_join(&shop->servers[i]);
    }
    if (end >= 0) {
        (void)close(end);
    }
    return started;
}

/* All threads but the loops, which take it then. */
static void leave_processor(uint32_t processor) {
    cpu_set_t others;
    if (sched_getaffinity(0, sizeof others, &others) == 0 && CPU_COUNT(&others) > 1) {
        CPU_CLR(processor, &others);
        (void)sched_setaffinity(0, sizeof others, &others);
    }
}

static int run(const struct arguments *arguments) {
    struct shop shop;
    if (arguments->has_loop_processor) {
        leave_processor(arguments->loop_processor);
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int socket = open_socket(arguments->listen);
    if (socket < 0) {
        return EXIT_FAILURE;
    }
    bool served = shop_open(&shop, arguments) && serve(&shop, socket, &signals);
    if (served) {
        say_end(&shop);
    }
    shop_close(&shop);
    (void)close(socket);
    if (strncmp(arguments->listen, unix_begin, sizeof unix_begin - 1) == 0) {
        (void)unlink(arguments->listen + sizeof unix_begin - 1);
    }
    return served ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    struct arguments arguments;
    switch (arguments_parse(&arguments, argc, argv)) {
    case ARGUMENTS_HELPED:
        return EXIT_SUCCESS;
    case ARGUMENTS_REFUSED:
        return EXIT_USAGE;
    case ARGUMENTS_RUN:
        break;
    }
    return run(&arguments);
}
