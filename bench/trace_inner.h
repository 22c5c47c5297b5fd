/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the trace reader share. */
#ifndef HEARTH_BENCH_TRACE_INNER_H
#define HEARTH_BENCH_TRACE_INNER_H

#include "trace.h"
#include "trace_input.h"

enum { TRACE_COLUMNS = 64, TRACE_NO_COLUMN = TRACE_COLUMNS };

struct trace {
    struct trace_input *input;
    enum trace_form form;
    uint64_t line; /* or record, from 1 */
    char *path;
    char error[512];
    bool has_times; /* keys: of the form key,size,time */
    char separator; /* csv */
    size_t columns;
    size_t key_column;
    size_t size_column;
    size_t time_column;
    uint64_t block; /* arc: the next of a request, */
    uint64_t blocks_left;
    char number[24]; /* a key made of a number */
};

struct trace_field {
    const char *text;
    size_t size;
};

/* The reason why it is wrong from here on. -1. */
__attribute__((format(printf, 2, 3))) int trace_fail(struct trace *trace, const char *format,
                                                     ...);

/* What a line says. 1; 0: nothing, go on with the next one; -1. */
int trace_parse_keys(struct trace *trace, struct trace_field line,
                     struct trace_request *request);
int trace_parse_csv(struct trace *trace, struct trace_field line,
                    struct trace_request *request);
int trace_parse_twitter(struct trace *trace, struct trace_field line,
                        struct trace_request *request);
int trace_parse_arc(struct trace *trace, struct trace_field line,
                    struct trace_request *request);
int trace_parse_lirs(struct trace *trace, struct trace_field line,
                     struct trace_request *request);
int trace_parse_record(struct trace *trace, const unsigned char *record,
                       struct trace_request *request);
enum { TRACE_RECORD_BYTES = 24 };

/* arc: the next block of the request that was parsed last. */
int trace_next_block(struct trace *trace, struct trace_request *request);

/* The form of the text whose first line this is; what is known of its columns is kept. */
enum trace_form trace_guess(struct trace *trace, struct trace_field line);

/* csv: takes the header. 0; -1. */
int trace_take_header(struct trace *trace, struct trace_field line);

#endif
