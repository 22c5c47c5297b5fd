/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A buffer that a thread keeps from call to call, so that a call which needs room for a moment takes memory only when it
 * needs more than any before it. It is freed when the thread ends.
 */
#ifndef HEARTH_BASE_THREAD_BUFFER_H
#define HEARTH_BASE_THREAD_BUFFER_H

#include "base/buffer.h"

/*
 * Takes the calling thread's buffer out, with whatever bytes are in it; it is the caller's until it is put back. An empty
 * one when there is none: at first, or because a call further out has it.
 */
hearth__buffer hearth__thread_buffer_take(void) __attribute__((warn_unused_result));

/* Puts a buffer back, on the thread that took it; of two the larger one stays. `buffer` is empty afterwards. */
void hearth__thread_buffer_put(hearth__buffer *buffer);

#endif
