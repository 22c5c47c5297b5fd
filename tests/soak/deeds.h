/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread of a load (load.h) does, one deed after the other, and what is right. */
#ifndef HEARTH_TESTS_SOAK_DEEDS_H
#define HEARTH_TESTS_SOAK_DEEDS_H

#include "soak/load.h"

enum {
    KEY_BYTES = 24,
    BATCH = 8,
    VALUE_BYTES = 20000, /* the most */
};

/* One thread of the load. */
struct rider {
    struct load *load;
    uint64_t random;
    hearth *view; /* a namespace */
    hearth_queue *queue;
    hearth_value *value;
    hearth_value *values[BATCH];
    char key[KEY_BYTES];
    unsigned char data[VALUE_BYTES];
};

/* The next deed, drawn by chance. */
void deeds_act(struct rider *rider);

/* A fetch of a key that exists. */
void deeds_fetch(struct rider *rider);

/* An answer that is no value. */
void deeds_judge(struct rider *rider, const char *call, int32_t status);

/* Something is wrong. */
void deeds_find_fault(struct load *load, const char *call, int32_t status, const char *what);

#endif
