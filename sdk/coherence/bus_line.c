/* SPDX-License-Identifier: Apache-2.0 */
#include "coherence/bus_line.h"

#include "base/clock.h"
#include "base/fork.h"

#include <hearth/errors.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

void hearth__bus_line_init(hearth__bus_line *line, const hearth__bus_config *config,
                           const _Atomic int *bell_fd) {
    *line = (hearth__bus_line){.config = config, .bell_fd = bell_fd};
    atomic_init(&line->fd, -1);
}

void hearth__bus_line_fini(hearth__bus_line *line) {
    hearth__bus_line_close(line);
    hearth__bus_parser_fini(&line->parser);
    hearth__buffer_fini(&line->out);
}

void hearth__bus_line_close(hearth__bus_line *line) {
    int fd =
        atomic_exchange(&line->fd, -1); /* first: a child must not close a number used anew */
    if (fd >= 0) {
        (void)close(fd);
    }
    line->out.size = 0;
    hearth__bus_parser_reset(&line->parser);
}

bool hearth__bus_line_fail(hearth__bus_line *line, const char *why) {
    (void)snprintf(line->why, sizeof line->why, "%s", why);
    return false;
}

/* ---- commands --------------------------------------------------------------------------- */

static bool add(hearth__bus_line *line, const void *bytes, size_t size) {
    return hearth__buffer_append(&line->out, bytes, size) ||
           hearth__bus_line_fail(line, "there is no memory");
}

static bool add_head(hearth__bus_line *line, char what, size_t number) {
    char head[32];
    int size = snprintf(head, sizeof head, "%c%zu\r\n", what, number);
    return add(line, head, (size_t)size);
}

bool hearth__bus_line_command(hearth__bus_line *line, unsigned words) {
    return add_head(line, '*', words);
}

bool hearth__bus_line_word(hearth__bus_line *line, const void *word, size_t size) {
    return add_head(line, '$', size) && add(line, word, size) && add(line, "\r\n", 2);
}

bool hearth__bus_line_text(hearth__bus_line *line, const char *word) {
    return hearth__bus_line_word(line, word, strlen(word));
}

bool hearth__bus_line_number(hearth__bus_line *line, uint64_t word) {
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRIu64, word);
    return hearth__bus_line_word(line, text, (size_t)size);
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* Whole milliseconds, rounded up: it looks once more after the deadline, and not often before. */
static int left_ms(int64_t deadline_ns) {
    int64_t left_ns = deadline_ns - hearth__monotonic_ns();
    int64_t ms = left_ns > 0 ? (left_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static bool wait_for(hearth__bus_line *line, short events, int64_t deadline_ns) {
    struct pollfd polled[] = {
        {.fd = atomic_load(&line->fd), .events = events},
        {.fd = line->bell_fd != NULL ? atomic_load(line->bell_fd) : -1, .events = POLLIN}};
    int ready = 0;
    int ms = 0;
    do {
        ms = left_ms(deadline_ns);
        bool held = hearth__fork_pause();
        ready = poll(polled, sizeof polled / sizeof polled[0], ms);
        hearth__fork_resume(held);
    } while (ready < 0 && errno == EINTR);
    if (ready > 0 && polled[1].revents != 0) {
        return hearth__bus_line_fail(line, "the cache is being closed");
    }
    return ready > 0 || hearth__bus_line_fail(line, "it did not answer in time");
}

static bool is_for_later(ssize_t done) {
    return done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

bool hearth__bus_line_send(hearth__bus_line *line, int64_t deadline_ns) {
    size_t sent = 0;
    bool good = true;
    while (good && sent < line->out.size) {
        ssize_t done = send(atomic_load(&line->fd), line->out.data + sent,
                            line->out.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done >= 0) {
            sent += (size_t)done;
        } else if (is_for_later(done)) {
            good = wait_for(line, POLLOUT, deadline_ns);
        } else {
            good = hearth__bus_line_fail(line, "the connection has ended");
        }
    }
    line->out.size = 0;
    return good;
}

/* ---- answers ---------------------------------------------------------------------------- */

static bool receive(hearth__bus_line *line, int64_t deadline_ns) {
    unsigned char *room = hearth__bus_parser_room(&line->parser);
    if (room == NULL) {
        return hearth__bus_line_fail(line, "there is no memory");
    }
    for (;;) {
        ssize_t got = recv(atomic_load(&line->fd), room, HEARTH__BUS_CHUNK, MSG_DONTWAIT);
        if (got > 0) {
            hearth__bus_parser_take(&line->parser, (size_t)got);
            return true;
        }
        if (!is_for_later(got)) {
            return hearth__bus_line_fail(line, "the connection has ended");
        }
        if (!wait_for(line, POLLIN, deadline_ns)) {
            return false;
        }
    }
}

bool hearth__bus_line_next(hearth__bus_line *line, int64_t deadline_ns,
                           hearth__bus_token *token) {
    int32_t status = hearth__bus_parser_next(&line->parser, token);
    while (status == HEARTH_MISS) {
        if (!receive(line, deadline_ns)) {
            return false;
        }
        status = hearth__bus_parser_next(&line->parser, token);
    }
    return status == HEARTH_OK || hearth__bus_line_fail(line, "it said what is no answer");
}

bool hearth__bus_line_expect(hearth__bus_line *line, enum hearth__bus_token_kind kind,
                             int64_t deadline_ns, hearth__bus_token *token) {
    if (!hearth__bus_line_next(line, deadline_ns, token)) {
        return false;
    }
    if (token->kind == HEARTH__BUS_ERROR) {
        (void)snprintf(line->why, sizeof line->why, "%.*s", (int)token->size, token->bytes);
        return false;
    }
    return token->kind == kind ||
           hearth__bus_line_fail(line, "it said what is no answer to what it was asked");
}

/* ---- open ------------------------------------------------------------------------------- */

static bool log_in(hearth__bus_line *line, int64_t deadline_ns) {
    const hearth__bus_config *config = line->config;
    hearth__bus_token token;
    unsigned answers = 0;
    bool good = true;
    if (config->password != NULL) {
        bool has_user = config->user != NULL;
        good = hearth__bus_line_command(line, has_user ? 3 : 2) &&
               hearth__bus_line_text(line, "AUTH") &&
               (!has_user || hearth__bus_line_text(line, config->user)) &&
               hearth__bus_line_text(line, config->password);
        answers++;
    }
    if (good && config->database != 0) {
        good = hearth__bus_line_command(line, 2) && hearth__bus_line_text(line, "SELECT") &&
               hearth__bus_line_number(line, config->database);
        answers++;
    }
    good = good && hearth__bus_line_send(line, deadline_ns);
    for (unsigned i = 0; good && i < answers; i++) {
        good = hearth__bus_line_expect(line, HEARTH__BUS_STATUS, deadline_ns, &token);
    }
    return good;
}

bool hearth__bus_line_open(hearth__bus_line *line) {
    const hearth__bus_config *config = line->config;
    hearth__bus_line_close(line);
    bool held = hearth__fork_pause();
    int32_t status = config->connect(config->arg, config->host, config->port,
                                     hearth__deadline_ns(config->connect_ms), &line->fd,
                                     line->why, sizeof line->why);
    hearth__fork_resume(held);
    if (status == HEARTH_OK && log_in(line, hearth__deadline_ns(config->stall_ms))) {
        return true;
    }
    hearth__bus_line_close(line);
    return false;
}
