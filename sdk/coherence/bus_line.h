/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the bus's server, of one thread, which waits for it: never beyond a deadline. */
#ifndef HEARTH_COHERENCE_BUS_LINE_H
#define HEARTH_COHERENCE_BUS_LINE_H

#include "coherence/bus.h"
#include "coherence/bus_parser.h"

typedef struct hearth__bus_line {
    const hearth__bus_config *config;
    const _Atomic int
        *bell_fd;   /* of an eventfd: the wait ends when it can be read; NULL: none */
    _Atomic int fd; /* -1: not connected. A forked child reads it, to close its copy */
    hearth__bus_parser parser;
    hearth__buffer out; /* a command under way */
    char why[160];      /* why it failed last */
} hearth__bus_line;

void hearth__bus_line_init(hearth__bus_line *line, const hearth__bus_config *config,
                           const _Atomic int *bell_fd);
void hearth__bus_line_fini(hearth__bus_line *line);

/* Connects, and logs in. False: `why` says why not. */
bool hearth__bus_line_open(hearth__bus_line *line);
void hearth__bus_line_close(hearth__bus_line *line);

static inline bool hearth__bus_line_is_open(const hearth__bus_line *line) {
    return atomic_load(&line->fd) >= 0;
}

/* Adds a command of so many words to what is sent next; then its words. False: no memory, and `why` says so. */
bool hearth__bus_line_command(hearth__bus_line *line, unsigned words);
bool hearth__bus_line_word(hearth__bus_line *line, const void *word, size_t size);
bool hearth__bus_line_text(hearth__bus_line *line, const char *word);
bool hearth__bus_line_number(hearth__bus_line *line, uint64_t word);

/* Sends what was added. False: it was not all taken by the deadline, or the connection has ended. */
bool hearth__bus_line_send(hearth__bus_line *line, int64_t deadline_ns);

/* The next token of the answers. False: it did not come by the deadline, the connection has ended, it is none, or the bell rang. */
bool hearth__bus_line_next(hearth__bus_line *line, int64_t deadline_ns,
                           hearth__bus_token *token);

/* The same, of that kind. False: it is another one: `why` is what an error says. */
bool hearth__bus_line_expect(hearth__bus_line *line, enum hearth__bus_token_kind kind,
                             int64_t deadline_ns, hearth__bus_token *token);

/* Says why it failed, and gives false back. */
bool hearth__bus_line_fail(hearth__bus_line *line, const char *why);

#endif
