/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static bool write_all(int file, const unsigned char *bytes, size_t size) {
    while (size != 0) {
        ssize_t written = write(file, bytes, size);
        if (written <= 0) {
            return false;
        }
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

const char *fuzz_file(const void *bytes, size_t size) {
    static int file = -1;
    static char path[32];
    if (file >= 0) {
        (void)close(file);
    }
    file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0 || !write_all(file, bytes, size)) {
        abort();
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}
