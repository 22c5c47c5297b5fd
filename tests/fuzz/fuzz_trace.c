/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of request traces: the first byte is the form, the rest the file. */
#include "fuzz/fuzz.h"

#include "trace.h"

#include <stdlib.h>
#include <string.h>

enum { REQUESTS_MAX = 20000, ERROR_SIZE = 512 };

/* A sanitizer sees whether every byte is there. */
static void touch(const struct trace_request *request) {
    static volatile char last;
    for (size_t i = 0; i < request->key_size; i++) {
        last = request->key[i];
    }
    (void)last;
}

static void read_all(struct trace *trace) {
    struct trace_request request;
    int got = 1;
    for (unsigned i = 0; got == 1 && i < REQUESTS_MAX; i++) {
        got = trace_next(trace, &request);
        if (got == 1) {
            if (request.key_size == 0 || request.key_size > TRACE_KEY_MAX) {
                abort();
            }
            touch(&request);
        }
    }
    if (got < 0 && strlen(trace_error(trace)) == 0) {
        abort();
    }
}

int fuzz_trace(const uint8_t *data, size_t size) {
    struct trace *trace = NULL;
    char error[ERROR_SIZE] = "";
    if (size == 0) {
        return 0;
    }
    enum trace_form form = (enum trace_form)(data[0] % TRACE_FORMS);
    if (trace_open(fuzz_file(data + 1, size - 1), form, &trace, error, sizeof error) == 0) {
        read_all(trace);
        trace_close(trace);
    } else if (error[0] == '\0') {
        abort();
    }
    return 0;
}
