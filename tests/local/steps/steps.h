/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hot tier's reads and writes, step by step: the sources themselves, compiled so that a test is called before each access
 * to memory that readers and writers share, and before each fence. What the test does then happens in the middle of a read or
 * a write, as if by another thread that just had its turn. To be included by one test program, in place of the sources.
 */
#ifndef HEARTH_TESTS_LOCAL_STEPS_STEPS_H
#define HEARTH_TESTS_LOCAL_STEPS_STEPS_H

#include "base/clock.h"
#include "base/hash.h"
#include "base/hash_key.h"
#include "base/stat.h"
#include "local/order/model.h"
#include "local/shard.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>

struct step {
    enum op_kind kind;
    int order; /* memory_order */
    uintptr_t at;
    size_t size; /* a copy: what is left of it */
};

struct stepper {
    void (*before)(void *arg, const struct step *step); /* NULL: nobody is called */
    void *arg;
    jmp_buf *waits; /* a reader that would wait for the lock jumps there instead, if not NULL */
};

static struct stepper stepper;

static inline void step_to(enum op_kind kind, int order, uintptr_t at, size_t size) {
    void (*before)(void *, const struct step *) = stepper.before;
    if (before != NULL) {
        stepper.before = NULL; /* its own steps are none */
        before(stepper.arg, &(struct step){kind, order, at, size});
        stepper.before = before;
    }
}

static inline uint64_t step_load_slot(const _Atomic uint64_t *at, int order) {
    step_to(LOAD, order, (uintptr_t)at, 8);
    return atomic_load_explicit(at, memory_order_seq_cst);
}

static inline void step_store_slot(_Atomic uint64_t *at, uint64_t slot, int order) {
    step_to(STORE, order, (uintptr_t)at, 8);
    atomic_store_explicit(at, slot, memory_order_seq_cst);
}

static inline bool step_swap_slot(_Atomic uint64_t *at, uint64_t *expected, uint64_t slot,
                                  int order) {
    step_to(SWAP_IF_SAME, order, (uintptr_t)at, 8);
    return atomic_compare_exchange_strong(at, expected, slot);
}

static inline uint64_t step_load_word(const uint64_t *at, int order) {
    step_to(LOAD, order, (uintptr_t)at, 8);
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

/* Its own loads and fences, in whichever form it has here. */
#define __atomic_load_n(at, order) step_load_word((at), (order))
#undef atomic_thread_fence
#define atomic_thread_fence(order) step_to(FENCE, (order), 0, 0)
#include "base/racy.h"

#if defined(HEARTH__RACY_WORDS)
enum {
    STEPS_BY = BY_WORDS,
    COPY_ORDER = memory_order_acquire,
    WRITE_ORDER = memory_order_release
};
#else
enum {
    STEPS_BY = BY_FENCES,
    COPY_ORDER = memory_order_relaxed,
    WRITE_ORDER = memory_order_relaxed
};
#endif

/* Comparisons, copies and writes, which may be assembly: a step a word, or one for all. */
static inline bool step_equal(const void *from, const void *with, size_t size) {
    step_to(LOAD, COPY_ORDER, (uintptr_t)from, size);
    return hearth__racy_equal(from, with, size);
}

/* A long copy is a few steps. */
static inline size_t step_bytes(size_t size) {
    return size <= 64 ? 8 : hearth__padded(size / 4);
}

static inline void step_copy(void *to, const void *from, size_t size) {
    const size_t bytes = step_bytes(size);
    for (size_t at = 0; at < size; at += bytes) {
        const unsigned char *part = (const unsigned char *)from + at;
        step_to(LOAD, COPY_ORDER, (uintptr_t)part, size - at);
        memcpy((unsigned char *)to + at, part, size - at < bytes ? size - at : bytes);
    }
}

static inline bool step_copied_at_once(void *to, const void *from, size_t size) {
    step_copy(to, from, size);
    return true;
}

static inline void step_write(void *to, const void *from, size_t size) {
    for (size_t at = 0; at < size; at += 8) {
        unsigned char *word = (unsigned char *)to + at;
        step_to(STORE, WRITE_ORDER, (uintptr_t)word, size - at);
        memcpy(word, (const unsigned char *)from + at, size - at < 8 ? size - at : 8);
    }
}

static inline void step_store_word(uint64_t *at, uint64_t word, int order) {
    step_to(STORE, order == __ATOMIC_RELEASE ? memory_order_release : memory_order_relaxed,
            (uintptr_t)at, 8);
    __atomic_store_n(at, word, __ATOMIC_SEQ_CST);
}

static inline void step_lock(hearth__shard *shard) {
    if (stepper.waits != NULL) {
        longjmp(*stepper.waits, 1);
    }
    hearth__shard_lock(shard);
}

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(at, order)             step_load_slot((at), (order))
#define atomic_store_explicit(at, slot, order)      step_store_slot((at), (slot), (order))
#define hearth__racy_equal(from, with, size)        step_equal((from), (with), (size))
#define hearth__racy_copy_inline(to, from, size)    step_copy((to), (from), (size))
#define hearth__racy_copy(to, from, size)           step_copy((to), (from), (size))
#define hearth__racy_copied_at_once(to, from, size) step_copied_at_once((to), (from), (size))
#define hearth__racy_write(to, from, size)          step_write((to), (from), (size))
#define hearth__shard_lock(shard)                   step_lock(shard)
#define __atomic_store_n(at, word, order)           step_store_word((at), (word), (order))
#define atomic_compare_exchange_strong_explicit(at, expected, slot, order, failure) \
    step_swap_slot((at), (expected), (slot), (order))

#include "local/hit.c"
#include "local/shard_read.c"
#include "local/shard_room.c"
#include "local/shard_write.c"

#undef hearth__shard_lock

#endif
