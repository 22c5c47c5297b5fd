/* SPDX-License-Identifier: Apache-2.0 */
#include "failing_memory.h"

#include "base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic uint64_t requests;
static _Atomic uint64_t failed;
static _Atomic uint64_t fail_from = UINT64_MAX;
static _Atomic uint64_t fail_until = UINT64_MAX;
static _Atomic int64_t blocks;
static _Atomic int64_t bytes;

void failing_memory_fail(uint64_t successes, uint64_t failures) {
    bool ends = failures <= UINT64_MAX - successes;
    atomic_store(&requests, 0);
    atomic_store(&failed, 0);
    atomic_store(&fail_until, ends ? successes + failures : UINT64_MAX);
    atomic_store(&fail_from, successes);
}

void failing_memory_pass(void) {
    failing_memory_fail(UINT64_MAX, 0);
}

uint64_t failing_memory_requests(void) {
    return atomic_load(&requests);
}

uint64_t failing_memory_failures(void) {
    return atomic_load(&failed);
}

int64_t failing_memory_blocks(void) {
    return atomic_load(&blocks);
}

int64_t failing_memory_bytes(void) {
    return atomic_load(&bytes);
}

/* Counts a request; true: this one is to fail. */
static bool fails(void) {
    uint64_t place = atomic_fetch_add(&requests, 1);
    bool chosen = place >= atomic_load(&fail_from) && place < atomic_load(&fail_until);
    if (chosen) {
        atomic_fetch_add(&failed, 1);
    }
    return chosen;
}

static void *counted(void *block) {
    if (block != NULL) {
        atomic_fetch_add(&blocks, 1);
        atomic_fetch_add(&bytes, (int64_t)malloc_usable_size(block));
    }
    return block;
}

static void discount(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&blocks, 1);
        atomic_fetch_sub(&bytes, (int64_t)malloc_usable_size(block));
    }
}

/* ---- base/memory.h ---- */

void *hearth__alloc(size_t size) {
    return fails() ? NULL : counted(malloc(size != 0 ? size : 1));
}

void *hearth__alloc_zero(size_t count, size_t size) {
    return fails() ? NULL : counted(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *hearth__realloc(void *block, size_t size) {
    if (fails()) {
        return NULL;
    }
    const int64_t old = block != NULL ? (int64_t)malloc_usable_size(block) : 0;
    void *grown = realloc(block, size != 0 ? size : 1);
    if (grown != NULL) {
        atomic_fetch_add(&blocks, block == NULL);
        atomic_fetch_add(&bytes, (int64_t)malloc_usable_size(grown) - old);
    }
    return grown;
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
    discount(block);
    free(block);
}

enum { PAGE = 4096, LINE = 64 };

static size_t rounded_up(size_t size, size_t to) {
    return (size + to - 1) / to * to;
}

/* Mappings count by what was asked for; their memory is taken page by page, as the library's. They end, but for less than a
 * cache line, where a page begins that nobody may touch. */
void *hearth__map(size_t size) {
    if (fails()) {
        return NULL;
    }
    size_t pages = rounded_up(size, PAGE);
    unsigned char *mapping = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    (void)mprotect(mapping + pages, PAGE, PROT_NONE);
    atomic_fetch_add(&blocks, 1);
    atomic_fetch_add(&bytes, (int64_t)size);
    return mapping + pages - rounded_up(size, LINE);
}

void hearth__unmap(void *mapping, size_t size) {
    if (mapping != NULL) {
        size_t before = (uintptr_t)mapping % PAGE;
        atomic_fetch_sub(&blocks, 1);
        atomic_fetch_sub(&bytes, (int64_t)size);
        (void)munmap((unsigned char *)mapping - before, rounded_up(size, PAGE) + PAGE);
    }
}
