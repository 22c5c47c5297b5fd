/* SPDX-License-Identifier: Apache-2.0 */
#include "system_calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    _Atomic int call; /* SYSTEM_CALLS: none */
    _Atomic int fate;
    _Atomic unsigned before;
    _Atomic bool lasts;
    _Atomic bool struck;
    _Atomic unsigned strikes;
} fault = {.call = SYSTEM_CALLS};

/* ---- what is to happen ----------------------------------------------------------------------- */

const char *system_fault_text(const struct system_fault *what) {
    static const char *const names[SYSTEM_CALLS] = {
        "socket",  "connect",        "send",   "recv",  "ppoll",  "poll",
        "eventfd", "pthread_create", "open",   "write", "read",   "fsync",
        "mmap",    "bind",           "listen", "link",  "accept4"};
    static _Thread_local char text[96];
    (void)snprintf(text, sizeof text, "%s: %s", names[what->call],
                   what->fate != SYSTEM_ONE_BYTE ? strerror(what->fate) : "one byte at a time");
    return text;
}

void system_fault_begin(const struct system_fault *what, unsigned before, bool lasts) {
    fault.fate = what->fate;
    fault.before = before;
    fault.lasts = lasts;
    fault.struck = false;
    fault.strikes = 0;
    fault.call = (int)what->call;
}

bool system_fault_end(void) {
    fault.call = SYSTEM_CALLS;
    return fault.struck;
}

unsigned system_fault_strikes(void) {
    return fault.strikes;
}

unsigned system_descriptors(void) {
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        abort();
    }
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static bool strikes(enum system_call call) {
    if (fault.call != (int)call) {
        return false;
    }
    const bool first = !fault.struck && atomic_fetch_sub(&fault.before, 1) == 0;
    if (!first && (!fault.struck || !fault.lasts)) {
        return false;
    }
    fault.struck = true;
    atomic_fetch_add(&fault.strikes, 1);
    return true;
}

/* -1 and an error; or how many bytes are asked for. */
static ssize_t fate_of(enum system_call call, size_t size) {
    if (!strikes(call)) {
        return (ssize_t)size;
    }
    if (fault.fate == SYSTEM_ONE_BYTE) {
        return size != 0 ? 1 : 0;
    }
    errno = fault.fate;
    return -1;
}

/* The connection is as dead as an error says. */
static ssize_t fail_on(int fd) {
    const int error = errno;
    if (error == ECONNRESET) {
        (void)shutdown(fd, SHUT_RDWR);
    }
    errno = error;
    return -1;
}

/* ---- in the place of the C library's --------------------------------------------------------- */

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

#define REAL(type, name) ((type *)real(name))

int socket(int family, int type, int protocol) {
    typedef int function(int, int, int);
    return fate_of(SYSTEM_SOCKET, 0) < 0 ? -1
                                         : REAL(function, "socket")(family, type, protocol);
}

/* One that was interrupted goes on. */
int connect(int fd, const struct sockaddr *address, socklen_t size) {
    typedef int function(int, const struct sockaddr *, socklen_t);
    const bool fails = fate_of(SYSTEM_CONNECT, 0) < 0;
    const int error = errno;
    int result = -1;
    if (!fails || error == EINTR) {
        result = REAL(function, "connect")(fd, address, size);
    }
    if (fails) {
        errno = error;
        result = -1;
    }
    return result;
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    typedef ssize_t function(int, const void *, size_t, int);
    const ssize_t asked = fate_of(SYSTEM_SEND, size);
    return asked < 0 ? fail_on(fd) : REAL(function, "send")(fd, data, (size_t)asked, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    typedef ssize_t function(int, const struct msghdr *, int);
    struct msghdr own = *message;
    struct iovec first = own.msg_iovlen != 0 ? own.msg_iov[0] : (struct iovec){0};
    const ssize_t asked = fate_of(SYSTEM_SEND, SIZE_MAX / 2);
    if (asked < 0) {
        return fail_on(fd);
    }
    if (asked == 1) {
        first.iov_len = 1;
        own.msg_iov = &first;
        own.msg_iovlen = 1;
    }
    return REAL(function, "sendmsg")(fd, &own, flags);
}

ssize_t recv(int fd, void *data, size_t size, int flags) {
    typedef ssize_t function(int, void *, size_t, int);
    const ssize_t asked = fate_of(SYSTEM_RECV, size);
    return asked < 0 ? fail_on(fd) : REAL(function, "recv")(fd, data, (size_t)asked, flags);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
          const sigset_t *signals) {
    typedef int function(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    return fate_of(SYSTEM_PPOLL, 0) < 0 ? -1
                                        : REAL(function, "ppoll")(fds, count, timeout, signals);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
    typedef int function(struct pollfd *, nfds_t, int);
    return fate_of(SYSTEM_POLL, 0) < 0 ? -1 : REAL(function, "poll")(fds, count, timeout_ms);
}

int eventfd(unsigned first, int flags) {
    typedef int function(unsigned, int);
    return fate_of(SYSTEM_EVENTFD, 0) < 0 ? -1 : REAL(function, "eventfd")(first, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *arg) {
    typedef int function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return fate_of(SYSTEM_THREAD, 0) < 0
               ? errno
               : REAL(function, "pthread_create")(thread, attributes, run, arg);
}

int open(const char *path, int flags, ...) {
    typedef int function(const char *, int, ...);
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return fate_of(SYSTEM_OPEN, 0) < 0 ? -1 : REAL(function, "open")(path, flags, mode);
}

int mkostemp(char *path, int flags) {
    typedef int function(char *, int);
    return fate_of(SYSTEM_OPEN, 0) < 0 ? -1 : REAL(function, "mkostemp")(path, flags);
}

ssize_t write(int fd, const void *data, size_t size) {
    typedef ssize_t function(int, const void *, size_t);
    const ssize_t asked = fate_of(SYSTEM_WRITE, size);
    return asked < 0 ? -1 : REAL(function, "write")(fd, data, (size_t)asked);
}

ssize_t read(int fd, void *data, size_t size) {
    typedef ssize_t function(int, void *, size_t);
    const ssize_t asked = fate_of(SYSTEM_READ, size);
    return asked < 0 ? -1 : REAL(function, "read")(fd, data, (size_t)asked);
}

int fsync(int fd) {
    typedef int function(int);
    return fate_of(SYSTEM_FSYNC, 0) < 0 ? -1 : REAL(function, "fsync")(fd);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    typedef void *function(void *, size_t, int, int, int, off_t);
    return fate_of(SYSTEM_MMAP, 0) < 0
               ? MAP_FAILED
               : REAL(function, "mmap")(at, size, protection, flags, fd, offset);
}

int bind(int fd, const struct sockaddr *address, socklen_t size) {
    typedef int function(int, const struct sockaddr *, socklen_t);
    return fate_of(SYSTEM_BIND, 0) < 0 ? -1 : REAL(function, "bind")(fd, address, size);
}

int listen(int fd, int backlog) {
    typedef int function(int, int);
    return fate_of(SYSTEM_LISTEN, 0) < 0 ? -1 : REAL(function, "listen")(fd, backlog);
}

int link(const char *from, const char *to) {
    typedef int function(const char *, const char *);
    return fate_of(SYSTEM_LINK, 0) < 0 ? -1 : REAL(function, "link")(from, to);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    typedef int function(int, struct sockaddr *, socklen_t *, int);
    return fate_of(SYSTEM_ACCEPT, 0) < 0 ? -1
                                         : REAL(function, "accept4")(fd, address, size, flags);
}
