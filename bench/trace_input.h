/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a trace's file, decompressed on the way: plain, zstd (windows up to 2 GiB) or gzip, told apart by content.
 * Streamed: a file of any length takes the same memory. One thread each. */
#ifndef HEARTH_BENCH_TRACE_INPUT_H
#define HEARTH_BENCH_TRACE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_INPUT_BYTES = 80 * 1024 };

struct trace_input;

/* Opens a file and reads its beginning. 0; or -1 with the reason in `error`. */
int trace_input_open(const char *path, struct trace_input **input, char *error,
                     size_t error_size) __attribute__((warn_unused_result));

/* NULL is allowed. */
void trace_input_close(struct trace_input *input);

/* The bytes that are there and were not taken: their place, valid until the next call, and number. */
const char *trace_input_peek(const struct trace_input *input, size_t *size);

/* Takes some of them. */
void trace_input_take(struct trace_input *input, size_t size);

/* Adds bytes behind those, if less than half of TRACE_INPUT_BYTES are there. 1: there are more than before; 0: the data has
 * ended; -1: it cannot be read on, and trace_input_error() says why. */
int trace_input_fill(struct trace_input *input) __attribute__((warn_unused_result));

const char *trace_input_error(const struct trace_input *input);

#endif
