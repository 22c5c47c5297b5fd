/* SPDX-License-Identifier: Apache-2.0 */
/* Reads request traces: one request a line, `key` or `key,size`, as plain text, zstd (windows
 * up to 2 GiB) or gzip, told apart by content. Streamed: a trace of any length takes the same
 * memory. One thread per trace. */
#ifndef HEARTH_BENCH_TRACE_H
#define HEARTH_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_KEY_MAX = 32768 };

struct trace;

struct trace_request {
    const char *key; /* the trace's, until the next call; no NUL behind it */
    size_t key_size;
    uint64_t size; /* of the value in bytes; 0 without a size column */
    bool has_size;
};

/* Opens a trace and reads its beginning. 0; or -1 with the reason in `error`, named by file:
 * cannot be read, empty, compressed in another way, damaged, no memory. */
int trace_open(const char *path, struct trace **trace, char *error, size_t error_size)
    __attribute__((warn_unused_result));

/* The next request. 1: there is one. 0: the trace has ended. -1: it is wrong from here on, and
 * trace_error says why, by file and line: a line without a key, a key of more than
 * TRACE_KEY_MAX bytes, a size that is no number, compressed data that is cut or damaged. */
int trace_next(struct trace *trace, struct trace_request *request)
    __attribute__((warn_unused_result));

/* The reason of the last -1; the trace's text. */
const char *trace_error(const struct trace *trace);

/* NULL is allowed. */
void trace_close(struct trace *trace);

#endif
