/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exhaustive explorer of small concurrent programs under weak memory.
 *
 * A program is a list of operations on a few places of shared memory. The explorer performs the operations of all threads in
 * every order that the model allows, one at a time, each on the one memory that all share, and asks of every end whether it
 * is wrong. A state that was seen before is not gone through again, so that the search is complete and ends.
 *
 * The model. A thread may perform its operations out of order. An operation waits for an earlier one of its thread only if
 *   - both are on the same place (coherence),
 *   - the earlier one is an acquire load or the later one a release store,
 *   - an acquire fence is between them and the earlier one is a load,
 *   - a release fence is between them and the later one is a store,
 *   - a sequentially consistent fence is between them,
 *   - the later one is a store (or compare-and-swap) whose value or condition comes from the earlier load.
 * A compare-and-swap is one step, a load and a store. Nothing else is kept in order: loads run ahead of branches, and ahead of
 * the loads that say where to read (the place is guessed, and the guess proved later), as C11 allows and some processors do.
 *
 * This is how Arm describes its architecture since version 8, operations performed one by one on a memory that is the same
 * for all (the Flat model of Pulte, Flur, Deacon, French, Sarkar and Sewell: Simplifying ARM concurrency, POPL 2018), with
 * address dependencies left out and with fences no stronger than C11's. The idea to try every order of a small program is
 * that of litmus tests as Alglave, Maranget and others made them (herd), of remembering states that of explicit model
 * checkers (Holzmann's SPIN).
 *
 * Its limits. Where C11 allows more: stores of two threads to the same place, neither of which was read, can be ordered in
 * C11 in ways that no order of single steps gives (2+2W with release stores); so in the programs to be judged by it all
 * stores but the compare-and-swap are of one thread. A thread does not read its own store before the others do, so programs
 * that load what they have stored themselves are not to be judged by it. Three threads see stores in the same order, as on
 * Arm and x86, but not on POWER.
 */
#ifndef HEARTH_TESTS_LOCAL_ORDER_EXPLORER_H
#define HEARTH_TESTS_LOCAL_ORDER_EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { THREADS_MAX = 3, OPS_MAX = 24, PLACES_MAX = 16, REGISTERS_MAX = 12, VALUES_MAX = 8 };

enum order { RELAXED, ACQUIRE, RELEASE, SEQUENTIAL };

enum op_kind { LOAD, STORE, SWAP_IF_SAME, FENCE };

enum { FIXED = -1, NO_CHANGE = -1 };

/* Of a thread's registers; `arg` is the scene's. */
typedef bool (*condition)(const uint8_t *registers, const void *arg);

struct op {
    enum op_kind kind;
    enum order order;
    uint8_t
        place; /* of memory; with `by`: its first, to which a register's value adds the scene's stride */
    int8_t by;     /* FIXED, or the register that says which */
    uint8_t to;    /* LOAD, SWAP_IF_SAME (1: done): the register */
    uint8_t value; /* STORE; SWAP_IF_SAME: what it adds */
    int8_t from;   /* FIXED, or the register whose value is added (STORE), or expected (SWAP) */
    condition
        when; /* STORE, SWAP_IF_SAME: only if; NULL: always. It waits for all earlier loads */
    int8_t becomes;  /* the watched value changes with this step; or NO_CHANGE */
    bool if_present; /* it changes only if it is not 0 */
};

struct thread {
    struct op ops[OPS_MAX];
    size_t count;
};

struct scene;

/* How a run ended. */
struct end {
    const uint8_t *memory;
    const uint8_t (*registers)[REGISTERS_MAX];
    uint32_t during; /* the values, as bits, that the watched thing had while thread 0 ran */
    const struct scene *scene;
};

struct scene {
    const char *name;
    struct thread threads[THREADS_MAX]; /* thread 0 is the one that is watched: the reader */
    size_t count;
    uint8_t memory[PLACES_MAX];      /* at the beginning */
    uint8_t value;                   /* of the watched thing, at the beginning */
    uint8_t (*which)(uint8_t value); /* for `by`: 0 or 1, as a register says */
    uint8_t stride;                  /* from the places of 0 to those of 1 */
    bool (*wrong)(const struct end *end);
    const void *arg; /* for `wrong` and conditions */
};

struct finding {
    bool wrong;       /* an end is */
    bool complete;    /* false: memory ran out */
    size_t states;    /* gone through */
    char trace[1024]; /* the steps that lead to the wrong end */
};

/* Goes through all runs of a scene, until an end is wrong. */
struct finding explore(const struct scene *scene);

/* Puts an operation at the end of a thread's program; returns it. */
struct op *add_op(struct thread *thread, struct op op);

#endif
