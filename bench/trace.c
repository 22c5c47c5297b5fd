/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include "trace_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = TRACE_KEY_MAX + 4096 }; /* a key, and other columns */

const char *trace_form_name(enum trace_form form) {
    static const char *const names[TRACE_FORMS] = {"auto",    "keys", "csv", "oracle",
                                                   "twitter", "arc",  "lirs"};
    return form < TRACE_FORMS ? names[form] : NULL;
}

int trace_fail(struct trace *trace, const char *format, ...) {
    char reason[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (trace->line > 0) {
        snprintf(trace->error, sizeof trace->error, "%.180s, %s %llu: %s", trace->path,
                 trace->form == TRACE_ORACLE ? "record" : "line",
                 (unsigned long long)trace->line, reason);
    } else {
        snprintf(trace->error, sizeof trace->error, "%.180s: %s", trace->path, reason);
    }
    return -1;
}

/* ---- lines ------------------------------------------------------------------------------- */

/* The line that is next, without its end. 1; 0: there is none; -1. It is to be taken by its size and that of its end. */
static int find_line(struct trace *trace, struct trace_field *line, size_t *with_end) {
    size_t searched = 0;
    for (;;) {
        size_t left = 0;
        const char *begin = trace_input_peek(trace->input, &left);
        const char *end =
            left > searched ? memchr(begin + searched, '\n', left - searched) : NULL;
        searched = left;
        int result = 1;
        if (end == NULL && left <= LINE_MAX_BYTES) {
            result = trace_input_fill(trace->input);
            if (result > 0) {
                continue;
            }
            begin = trace_input_peek(trace->input, &left);
        }
        if (result < 0) {
            return trace_fail(trace, "%s", trace_input_error(trace->input));
        }
        /* The last line may have no end; one that is too long is seen by its size. */
        *line = (struct trace_field){begin, end != NULL ? (size_t)(end - begin) : left};
        *with_end = line->size + (end != NULL);
        return end != NULL || left > 0;
    }
}

static void trim(struct trace_field *line) {
    if (line->size > 0 && line->text[line->size - 1] == '\r') {
        line->size--;
    }
}

static int parse_line(struct trace *trace, struct trace_field line,
                      struct trace_request *request) {
    switch (trace->form) {
    case TRACE_CSV:
        return trace_parse_csv(trace, line, request);
    case TRACE_TWITTER:
        return trace_parse_twitter(trace, line, request);
    case TRACE_ARC:
        return trace_parse_arc(trace, line, request);
    case TRACE_LIRS:
        return trace_parse_lirs(trace, line, request);
    default:
        return trace_parse_keys(trace, line, request);
    }
}

static int next_of_lines(struct trace *trace, struct trace_request *request) {
    struct trace_field line = {NULL, 0};
    size_t with_end = 0;
    int result = 0;
    do {
        trace->line++;
        int found = find_line(trace, &line, &with_end);
        if (found <= 0) {
            return found;
        }
        trace_input_take(trace->input, with_end);
        if (line.size > LINE_MAX_BYTES) {
            return trace_fail(trace, "the line is longer than any request");
        }
        trim(&line);
        result = parse_line(trace, line, request);
    } while (result == 0);
    return result;
}

/* ---- records ----------------------------------------------------------------------------- */

static int next_record(struct trace *trace, struct trace_request *request) {
    size_t left = 0;
    const char *bytes = trace_input_peek(trace->input, &left);
    trace->line++;
    while (left < TRACE_RECORD_BYTES) {
        int result = trace_input_fill(trace->input);
        bytes = trace_input_peek(trace->input, &left);
        if (result < 0) {
            return trace_fail(trace, "%s", trace_input_error(trace->input));
        }
        if (result == 0) {
            return left == 0 ? 0
                             : trace_fail(trace, "is cut off: %zu of its %d bytes are there",
                                          left, TRACE_RECORD_BYTES);
        }
    }
    trace_input_take(trace->input, TRACE_RECORD_BYTES);
    return trace_parse_record(trace, (const unsigned char *)bytes, request);
}

int trace_next(struct trace *trace, struct trace_request *request) {
    if (trace->error[0] != '\0') {
        return -1;
    }
    if (trace->form == TRACE_ORACLE) {
        return next_record(trace, request);
    }
    return trace->blocks_left > 0 ? trace_next_block(trace, request)
                                  : next_of_lines(trace, request);
}

const char *trace_error(const struct trace *trace) {
    return trace->error;
}

enum trace_form trace_form_of(const struct trace *trace) {
    return trace->form;
}

/* ---- open and close ---------------------------------------------------------------------- */

/* A header is no request. */
static int take_header(struct trace *trace, struct trace_field line, size_t with_end) {
    trace->line = 1;
    trim(&line);
    if (trace_take_header(trace, line) != 0) {
        return -1;
    }
    trace_input_take(trace->input, with_end);
    return 0;
}

/* Text has no NUL; a record of numbers below 2^56 has. */
static bool is_binary(const struct trace *trace) {
    size_t left = 0;
    const char *bytes = trace_input_peek(trace->input, &left);
    return memchr(bytes, '\0', left < TRACE_RECORD_BYTES ? left : TRACE_RECORD_BYTES) != NULL;
}

static int learn_form(struct trace *trace, enum trace_form form) {
    struct trace_field line = {NULL, 0};
    size_t with_end = 0;
    int found = find_line(trace, &line, &with_end);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        return trace_fail(trace, "is empty: it has no request");
    }
    trace->form = form;
    if (form == TRACE_AUTO) {
        struct trace_field first = line;
        trim(&first);
        trace->form = is_binary(trace) ? TRACE_ORACLE : trace_guess(trace, first);
    }
    return trace->form == TRACE_CSV ? take_header(trace, line, with_end) : 0;
}

int trace_open(const char *path, enum trace_form form, struct trace **trace, char *error,
               size_t error_size) {
    char reason[256];
    struct trace *opened = calloc(1, sizeof *opened);
    if (opened == NULL || (opened->path = strdup(path)) == NULL) {
        snprintf(error, error_size, "%s: no memory", path);
        trace_close(opened);
        return -1;
    }
    int result = trace_input_open(path, &opened->input, reason, sizeof reason);
    result = result == 0 ? learn_form(opened, form) : trace_fail(opened, "%s", reason);
    if (result != 0) {
        snprintf(error, error_size, "%s", opened->error);
        trace_close(opened);
        return -1;
    }
    *trace = opened;
    return 0;
}

void trace_close(struct trace *trace) {
    if (trace == NULL) {
        return;
    }
    trace_input_close(trace->input);
    free(trace->path);
    free(trace);
}
