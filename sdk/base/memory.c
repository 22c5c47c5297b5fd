/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *hearth__alloc(size_t size) {
    return malloc(size != 0 ? size : 1);
}

void *hearth__alloc_zero(size_t count, size_t size) {
    return calloc(count != 0 ? count : 1, size != 0 ? size : 1);
}

void *hearth__realloc(void *block, size_t size) {
    return realloc(block, size != 0 ? size : 1);
}

char *hearth__copy_text(const char *text, size_t size) {
    char *copy = hearth__alloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

void hearth__free(void *block) {
    free(block);
}

enum { HUGE_PAGE = 2 << 20, PAGE = 4096 };

/* Huge pages need their alignment: a mapping that is large enough for one is cut out of a larger one. */
void *hearth__map(size_t bytes) {
    size_t slack = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
    unsigned char *mapping = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    if (slack != 0) {
        size_t before = (size_t)(-(uintptr_t)mapping % HUGE_PAGE);
        size_t end = before + (bytes + PAGE - 1) / PAGE * PAGE;
        if (before != 0) {
            (void)munmap(mapping, before);
        }
        if (end < bytes + slack) {
            (void)munmap(mapping + end, bytes + slack - end);
        }
        mapping += before;
        (void)madvise(mapping, bytes, MADV_HUGEPAGE); /* only speed depends on it */
    }
    return mapping;
}

void hearth__unmap(void *mapping, size_t bytes) {
    if (mapping != NULL) {
        (void)munmap(mapping, bytes);
    }
}
