/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event_fd.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int hearth__event_fd_open(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* A counter that is full is readable all the same. */
void hearth__event_fd_raise(int fd) {
    const uint64_t one = 1;
    if (fd >= 0) {
        ssize_t written = write(fd, &one, sizeof one);
        (void)written;
    }
}

void hearth__event_fd_clear(int fd) {
    uint64_t counted = 0;
    if (fd >= 0) {
        ssize_t taken = read(fd, &counted, sizeof counted);
        (void)taken;
    }
}

void hearth__event_fd_close(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}
