/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/peers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALU_STEPS = 16 };

/* On lines of its own: one thread's. */
struct lane {
    _Alignas(64) uint64_t random;
    uint64_t sum;
    unsigned char *copy;
};

struct machine {
    unsigned char *array;
    size_t bytes;
    size_t piece;
    const struct order *order;
    struct lane lanes[CREW_THREADS];
};

static unsigned char *map(size_t bytes, enum machine_pages pages) {
    void *array = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (array == MAP_FAILED) {
        return NULL;
    }
    if (pages == PAGES_HUGE) {
        (void)madvise(array, bytes, MADV_HUGEPAGE);
    }
    memset(array, 'h', bytes);
    return array;
}

struct machine *machine_create(size_t bytes, size_t piece, enum machine_pages pages,
                               const struct order *order) {
    struct machine *machine = aligned_alloc(_Alignof(struct machine), sizeof *machine);
    if (machine == NULL) {
        return NULL;
    }
    *machine = (struct machine){
        .array = map(bytes, pages), .bytes = bytes, .piece = piece, .order = order};
    bool whole = machine->array != NULL;
    for (unsigned i = 0; i < CREW_THREADS; i++) {
        machine->lanes[i].random = i + 1;
        machine->lanes[i].copy = malloc(piece);
        whole = whole && machine->lanes[i].copy != NULL;
    }
    if (!whole) {
        machine_destroy(machine);
        return NULL;
    }
    return machine;
}

void machine_destroy(struct machine *machine) {
    if (machine == NULL) {
        return;
    }
    for (unsigned i = 0; i < CREW_THREADS; i++) {
        free(machine->lanes[i].copy);
    }
    if (machine->array != NULL) {
        (void)munmap(machine->array, machine->bytes);
    }
    free(machine);
}

/* xorshift64 (Marsaglia 2003) */
static inline uint64_t shift(uint64_t random) {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^ random << 17;
}

uint64_t machine_alu(void *arg, unsigned thread, size_t from, size_t count) {
    struct machine *machine = arg;
    uint64_t mixed = machine->lanes[thread].sum + from;
    for (size_t i = 0; i < count * ALU_STEPS; i++) {
        mixed = mixed * 0x9E3779B97F4A7C15U + i;
    }
    machine->lanes[thread].sum = mixed;
    return 0;
}

uint64_t machine_random_read(void *arg, unsigned thread, size_t from, size_t count) {
    struct machine *machine = arg;
    struct lane *lane = &machine->lanes[thread];
    uint64_t random = lane->random;
    uint64_t sum = from;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = 0;
        random = shift(random);
        size_t at = (size_t)(((random >> 32) * (machine->bytes / sizeof word)) >> 32);
        memcpy(&word, machine->array + at * sizeof word, sizeof word);
        sum += word;
    }
    lane->random = random;
    lane->sum = sum;
    return 0;
}

uint64_t machine_memcpy(void *arg, unsigned thread, size_t from, size_t count) {
    struct machine *machine = arg;
    unsigned char *copy = machine->lanes[thread].copy;
    const uint32_t *ids = order_ids(machine->order, thread, from);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy, machine->array + ids[i] * machine->piece, machine->piece);
        __asm__ volatile("" : : "r"(copy) : "memory"); /* somebody uses it */
    }
    return 0;
}
