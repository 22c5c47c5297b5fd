/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads on few keys of a store, every call written down and judged (history.h). Each value is written once only and all
 * its words follow from its number, so a get tells which set it saw, or that it saw none. Threads are held up anywhere in
 * their calls, time and again, so that others overtake them there.
 */
#ifndef HEARTH_TESTS_SUPPORT_REGISTERS_H
#define HEARTH_TESTS_SUPPORT_REGISTERS_H

#include "support/history.h"

/* What is tested. `hand` is what enter() gave this thread. */
struct registers_store {
    void *(*enter)(void *arg); /* NULL: failed */
    void (*leave)(void *hand);
    void (*set)(void *hand, const char *key, size_t key_size, const void *data, size_t size);
    /* True: found; *data is good until the hand's next call. */
    bool (*get)(void *hand, const char *key, size_t key_size, const unsigned char **data,
                size_t *size);
    /* True: it was there. */
    bool (*drop)(void *hand, const char *key, size_t key_size);
    /* Two drops that do not tell what they found, at its beginning and at its end. */
    void (*clear)(void *hand, const char *key, size_t key_size);
};

struct registers_load {
    size_t threads;
    uint32_t keys;
    size_t calls;       /* of all threads; a clear counts twice */
    size_t least_words; /* of a value: 8 bytes each */
    size_t most_words;
    unsigned drops; /* of 100 calls; and half as many clears */
    bool vanishes;  /* values may: history.h */
};

/* Runs the load; one run at a time. HISTORY_UNDECIDED: not all threads could start, or no memory. What fits into no order is printed. */
enum history_verdict registers_run(const struct registers_store *store, void *arg,
                                   const struct registers_load *load);

#endif
