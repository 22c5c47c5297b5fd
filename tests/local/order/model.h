/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hot tier's order (sdk/local/shard.h) as programs for the explorer: a reader of one key, and what a writer can do to its
 * slot and entry meanwhile. Each fence, order and check is a `point` that can be left out, to see what goes wrong then.
 */
#ifndef HEARTH_TESTS_LOCAL_ORDER_MODEL_H
#define HEARTH_TESTS_LOCAL_ORDER_MODEL_H

#include "explorer.h"

/* The two forms of base/racy.h: fences around plain copies (x86-64), or every word an acquire load or a release store. */
enum form { BY_FENCES, BY_WORDS, FORMS };

/* A read that finds the key; one that has to take memory for the value first; one that finds another key. */
enum way { HITTING, GROWING, MISSING, WAYS };

#define POINTS(X)                                                                  \
    /* of the reader */                                                            \
    X(SLOT_ACQUIRE, "the slot is loaded by acquire")                               \
    X(HEADER_ACQUIRE, "words 0 and 1 are loaded by acquire")                       \
    X(COPY_ACQUIRE, "key and value are loaded by acquire")                         \
    X(COPY_FENCE, "a fence is between the copy and word 0's second load")          \
    X(WORD0_ACQUIRE, "word 0's second load is an acquire")                         \
    X(LAST_FENCE, "a fence is between all that and the slot's second load")        \
    X(LAST_ACQUIRE, "the slot's second load is an acquire")                        \
    X(WORD0_FIRST, "word 0 is looked at again before the slot is")                 \
    X(FREE_CHECK, "a free slot names nothing")                                     \
    X(KEY_CHECK, "the key is compared")                                            \
    X(ODD_CHECK, "an odd sequence is not read")                                    \
    X(WORD0_CHECK, "word 0 is the same after the copy")                            \
    X(LAST_CHECK, "the slot is the same after the copy")                           \
    X(MISS_CHECK, "the slot is the same after another key was read")               \
    X(SIZE_CHECK, "a size is proved before memory is taken by it")                 \
    X(MARK_SWAP, "the mark is raised by compare-and-swap")                         \
    X(MARK_IN_SLOT, "the mark is in the slot, not in the entry")                   \
    /* of the writer */                                                            \
    X(PUBLISH_RELEASE, "the slot is published by release")                         \
    X(WRITE_RELEASE, "the entry's words are written by release")                   \
    X(RECYCLE_FENCE, "a fence is between unlink and the first new byte")           \
    X(REWRITE_FENCE, "a fence is between the odd sequence and the first new byte") \
    X(EVEN_RELEASE, "the even sequence is a release")                              \
    X(ODD_STORE, "the sequence is odd while an entry is rewritten")                \
    X(UNLINK, "the slot is cleared before the entry is recycled")                  \
    X(LAP, "a position never comes back")                                          \
    X(ONE_STORE, "a slot that moves is replaced by one store")

enum point {
#define POINT(name, text) name,
    POINTS(POINT)
#undef POINT
        POINT_COUNT
};

#define WITHOUT(point) (UINT32_C(1) << (point))

/* What the writer does. */
enum scene_id {
    PUBLISHING,
    RECYCLING,
    STORING_AGAIN,
    REWRITING,
    REWRITING_AND_RECYCLING,
    MOVING,
    OVERWRITING,
    SHIFTING,
    SHARING_A_TAG,
    SCENES
};

/* What a scene's `arg` points to: how the model differs from the whole one. */
struct plan {
    enum form form;
    enum way way;
    uint32_t without; /* points, as bits */
};

/* Makes a scene of the plan, which has to stay. */
void make_scene(enum scene_id id, const struct plan *plan, struct scene *scene);

const char *point_text(enum point point);

/*
 * Programs as text, to be compared with what the code does: `slot.acq` is a load, `slot=.rel` a store, `slot?` a swap,
 * `fence.acq` a fence. A step like the one before it is left out: an entry has as many words as it has.
 */
void add_step(char *text, size_t size, enum op_kind kind, const char *place, enum order order);

void describe(const struct thread *thread, char *text, size_t size);

#endif
