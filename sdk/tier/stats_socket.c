/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of stats.socket. It is made under another name, listening and with its mode, and gets its own by link(2), which replaces
 * nothing. What a dead process left there is told by connecting, and taken away under a name that nobody else has, to be looked at
 * once more: of two who find it at the same time none removes the other's.
 */
#include "tier/stats_socket.h"

#include "base/event_fd.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/thread.h"
#include "tier/latencies.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SAME_USER = 0600, BACKLOG = 16, TRIES = 8 };

/* ---- names ------------------------------------------------------------------------------ */

typedef struct sockaddr_un address;

static address address_of(const char *path) {
    address at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    return at;
}

/* A name beside the path that nobody else has; it ends with 17 characters of its own. */
static address address_beside(const char *path) {
    address at = {.sun_family = AF_UNIX};
    const int most = (int)sizeof at.sun_path - 18;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%.*s.%016llx", most, path,
                   (unsigned long long)hearth__random_u64());
    return at;
}

/* ---- who is there ----------------------------------------------------------------------- */

enum found { NOBODY, LEFT_BEHIND, SERVED, NO_SOCKET, UNKNOWN };

static int new_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Who listens there; *pid: which process, or 0. */
static enum found probe(const address *at, pid_t *pid) {
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int fd = new_socket();
    if (fd < 0) {
        return UNKNOWN;
    }
    bool connected = connect(fd, (const struct sockaddr *)at, sizeof *at) == 0;
    int error = connected ? 0 : errno;
    if (connected && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
        *pid = peer.pid;
    }
    (void)close(fd);
    errno = error;
    return connected || error == EAGAIN ? SERVED
           : error == ECONNREFUSED      ? LEFT_BEHIND
           : error == ENOENT            ? NOBODY
                                        : UNKNOWN;
}

static enum found look(const address *at, pid_t *pid, struct stat *file) {
    if (lstat(at->sun_path, file) != 0) {
        return errno == ENOENT ? NOBODY : UNKNOWN;
    }
    return S_ISSOCK(file->st_mode) ? probe(at, pid) : NO_SOCKET;
}

/* False: it could not be, and errno says why. Who took its place meanwhile has it back. */
static bool take_away(const address *at, const struct stat *file) {
    address beside = address_beside(at->sun_path);
    struct stat taken;
    if (rename(at->sun_path, beside.sun_path) != 0) {
        return errno == ENOENT;
    }
    if (lstat(beside.sun_path, &taken) == 0 &&
        (taken.st_ino != file->st_ino || taken.st_dev != file->st_dev) &&
        link(beside.sun_path, at->sun_path) != 0 && errno != EEXIST) {
        return rename(beside.sun_path, at->sun_path) == 0; /* no links here */
    }
    (void)unlink(beside.sun_path);
    return true;
}

/* ---- taking the name -------------------------------------------------------------------- */

static int32_t refuse(const address *at, enum found found, pid_t pid, char *why,
                      size_t why_size) {
    if (found == SERVED) {
        char who[32] = "another";
        if (pid == getpid()) {
            (void)snprintf(who, sizeof who, "this process");
        } else if (pid != 0) {
            (void)snprintf(who, sizeof who, "process %ld", (long)pid);
        }
        (void)snprintf(why, why_size,
                       "stats.socket: %s is served already, by %s; give each cache a path of "
                       "its own",
                       at->sun_path, who);
    } else if (found == NO_SOCKET) {
        (void)snprintf(why, why_size,
                       "stats.socket: %s is there and is no socket; remove it, or give another "
                       "path",
                       at->sun_path);
    } else {
        (void)snprintf(why, why_size,
                       "stats.socket: %s: %m; give a path in a folder of this user's",
                       at->sun_path);
    }
    return HEARTH_E_UNAVAILABLE;
}

/* What listens under the one name gets the other. */
static int32_t take_name(const address *own, const address *at, char *why, size_t why_size) {
    enum found found = UNKNOWN;
    pid_t pid = 0;
    for (int i = 0; i < TRIES; i++) {
        struct stat file;
        if (link(own->sun_path, at->sun_path) == 0) {
            return HEARTH_OK;
        }
        if (errno != EEXIST) {
            break;
        }
        found = look(at, &pid, &file);
        if (found == SERVED || found == NO_SOCKET || found == UNKNOWN) {
            break;
        }
        if (found == LEFT_BEHIND && !take_away(at, &file)) {
            found = UNKNOWN;
            break;
        }
    }
    return refuse(at, found, pid, why, why_size);
}

/* The mode is set before the name is there, and again because of the umask. */
static int32_t listen_at(struct hearth__stats_socket *socket, const char *path, char *why,
                         size_t why_size) {
    const address at = address_of(path);
    const address own = address_beside(path);
    int fd = socket->fds[HEARTH__STATS_LISTENS];
    struct stat file;
    if (fchmod(fd, SAME_USER) != 0 ||
        bind(fd, (const struct sockaddr *)&own, sizeof own) != 0) {
        return refuse(&at, UNKNOWN, 0, why, why_size);
    }
    int32_t status = HEARTH_OK;
    if (chmod(own.sun_path, SAME_USER) != 0 || listen(fd, BACKLOG) != 0 ||
        lstat(own.sun_path, &file) != 0) {
        status = refuse(&at, UNKNOWN, 0, why, why_size);
    } else {
        socket->device = (uint64_t)file.st_dev;
        socket->inode = (uint64_t)file.st_ino;
        status = take_name(&own, &at, why, why_size);
    }
    (void)unlink(own.sun_path);
    return status;
}

static void remove_name(const struct hearth__stats_socket *socket, const char *path) {
    struct stat file;
    if (lstat(path, &file) == 0 && (uint64_t)file.st_dev == socket->device &&
        (uint64_t)file.st_ino == socket->inode) {
        (void)unlink(path);
    }
}

/* ---- open and close --------------------------------------------------------------------- */

static int32_t start(struct hearth__stats_socket *socket, char *why, size_t why_size) {
    bool opened = true;
    hearth__fork_hold(); /* no child gets what is not in the list yet */
    socket->fds[HEARTH__STATS_LISTENS] = new_socket();
    socket->fds[HEARTH__STATS_WAKES] = hearth__event_fd_open();
    opened = socket->fds[HEARTH__STATS_LISTENS] >= 0 && socket->fds[HEARTH__STATS_WAKES] >= 0;
    hearth__fork_close_in_child(&socket->in_child);
    hearth__fork_release();
    if (!opened) {
        (void)snprintf(why, why_size, "stats.socket: no socket: %m");
        return HEARTH_E_UNAVAILABLE;
    }
    int32_t status = listen_at(socket, socket->cache->config.stats_socket, why, why_size);
    if (status == HEARTH_OK) {
        socket->started = hearth__thread_start(&socket->thread, hearth__stats_serve, socket);
        status = socket->started ? HEARTH_OK : HEARTH_E_NOMEM;
    }
    return status;
}

int32_t hearth__stats_socket_open(hearth *cache, char *why, size_t why_size) {
    const char *path = cache->config.stats_socket;
    if (path[0] == '\0') {
        return HEARTH_OK;
    }
    if (path[0] != '/') {
        (void)snprintf(why, why_size,
                       "stats.socket: '%.90s' does not begin with /: a process's folder may "
                       "change while the cache is open",
                       path);
        return HEARTH_E_INVALID;
    }
    cache->latencies = hearth__alloc_zero(1, sizeof *cache->latencies);
    struct hearth__stats_socket *socket = hearth__alloc_zero(1, sizeof *socket);
    cache->stats_socket = socket;
    if (cache->latencies == NULL || socket == NULL) {
        return HEARTH_E_NOMEM;
    }
    socket->cache = cache;
    socket->fork_generation = hearth__fork_generation();
    socket->in_child = (hearth__fork_fds){.fds = socket->fds, .count = HEARTH__STATS_FDS};
    memset(socket->fds, -1, sizeof socket->fds);
    return start(socket, why, why_size);
}

static void close_fds(struct hearth__stats_socket *socket) {
    for (size_t i = 0; i < HEARTH__STATS_READERS; i++) {
        hearth__stats_end_reader(socket, i);
    }
    if (socket->fds[HEARTH__STATS_LISTENS] >= 0) {
        (void)close(socket->fds[HEARTH__STATS_LISTENS]);
    }
    hearth__event_fd_close(socket->fds[HEARTH__STATS_WAKES]);
}

void hearth__stats_socket_close(hearth *cache) {
    struct hearth__stats_socket *socket = cache->stats_socket;
    if (socket == NULL) {
        return;
    }
    if (socket->fork_generation == hearth__fork_generation()) {
        if (socket->started) {
            atomic_store(&socket->closing, true);
            hearth__event_fd_raise(socket->fds[HEARTH__STATS_WAKES]);
            hearth__bell_ring(&socket->bell, HEARTH__STATS_STROKE);
            (void)pthread_join(socket->thread, NULL);
        }
        if (socket->inode != 0) {
            remove_name(socket, cache->config.stats_socket);
        }
    }
    hearth__fork_hold();
    close_fds(socket);
    hearth__fork_forget(&socket->in_child);
    hearth__fork_release();
    hearth__buffer_fini(&socket->report);
    hearth__free(socket);
    cache->stats_socket = NULL;
}
