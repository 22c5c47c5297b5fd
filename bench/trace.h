/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads request traces, as plain text, zstd or gzip (see trace_input.h). Streamed: a trace of any
 * length takes the same memory. One thread per trace.
 *
 * TRACE_AUTO tells the forms apart by the first bytes, except those that look alike:
 *
 *  keys     one request a line: `key`, or `key,size` with the size behind the last comma. If the
 *           first line ends with two numbers, all are `key,size,time`.
 *  csv      a header names the columns, between commas, semicolons or tabs: one of key, id, obj_id,
 *           object, url; and, if they are there, one of size, obj_size, value_size, bytes, and one
 *           of time, timestamp. Fields may stand in double quotes.
 *  oracle   libCacheSim's oracleGeneral: records of 24 bytes, little endian: time in seconds (4),
 *           object (8), size (4), when it is asked for next (8).
 *  twitter  Twitter's production caches (Yang, Yue, Rashmi, OSDI 2020): time, key, key size, value
 *           size, client, operation, life.
 *  arc      the text of the ARC paper's traces (Megiddo, Modha, FAST 2003): first block, number of
 *           blocks, a number that is ignored, number of the request. A request for each block.
 *  lirs     that of the LIRS paper's (Jiang, Zhang, SIGMETRICS 2002): a block a line; lines that
 *           are empty or have no number are passed over.
 */
#ifndef HEARTH_BENCH_TRACE_H
#define HEARTH_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_KEY_MAX = 32768 };

enum trace_form {
    TRACE_AUTO,
    TRACE_KEYS,
    TRACE_CSV,
    TRACE_ORACLE,
    TRACE_TWITTER,
    TRACE_ARC,
    TRACE_LIRS,
    TRACE_FORMS
};

struct trace;

struct trace_request {
    const char *key; /* the trace's, until the next call; no NUL behind it */
    size_t key_size;
    uint64_t size; /* of the value in bytes; 0 without a size column */
    bool has_size;
    bool has_time;
    double time; /* as the trace has it, in seconds as a rule */
};

/* "auto", "keys" ... for a form below TRACE_FORMS; NULL for others. */
const char *trace_form_name(enum trace_form form);

/* Opens a trace and reads its beginning. 0; or -1 with the reason in `error`, named by file:
 * cannot be read, empty, compressed in another way, damaged, a header without a key, no memory. */
int trace_open(const char *path, enum trace_form form, struct trace **trace, char *error,
               size_t error_size) __attribute__((warn_unused_result));

/* What it was taken for. */
enum trace_form trace_form_of(const struct trace *trace);

/* The next request. 1: there is one. 0: the trace has ended. -1: it is wrong from here on, and
 * trace_error says why, by file and line (a binary trace's: record): a line without a key, a key of
 * more than TRACE_KEY_MAX bytes, a size or time that is no number, columns that are missing, a
 * record or compressed data that is cut or damaged. */
int trace_next(struct trace *trace, struct trace_request *request)
    __attribute__((warn_unused_result));

/* The reason of the last -1; the trace's text. */
const char *trace_error(const struct trace *trace);

/* NULL is allowed. */
void trace_close(struct trace *trace);

#endif
