/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the system that stats.socket makes fails, once and with all that follow it, at each place where it is made: the cache
 * opens without a word or says why not, and leaves no file behind; a reader has a whole report, or none, and the next one has his.
 * The cache itself is as well as ever. */
#include "api/source.h"
#include "support/failing_memory.h"
#include "system_calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const struct system_fault faults[] = {
    {SYSTEM_SOCKET, EMFILE, false},       {SYSTEM_EVENTFD, EMFILE, false},
    {SYSTEM_BIND, ENOSPC, false},         {SYSTEM_LISTEN, EADDRINUSE, false},
    {SYSTEM_LINK, EPERM, false},          {SYSTEM_THREAD, EAGAIN, false},
    {SYSTEM_POLL, ENOMEM, true},          {SYSTEM_POLL, EINTR, true},
    {SYSTEM_ACCEPT, EMFILE, false},       {SYSTEM_ACCEPT, ENOMEM, false},
    {SYSTEM_ACCEPT, ECONNABORTED, false}, {SYSTEM_ACCEPT, EINTR, false},
    {SYSTEM_SEND, ECONNRESET, false},     {SYSTEM_SEND, EINTR, true},
    {SYSTEM_SEND, EAGAIN, true},
};

static char folder[] = "/tmp/hearth-XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/stats", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

/* ---- a reader, whose own calls never fail ---------------------------------------------------- */

struct reader {
    int fd;
    size_t size;
    char last;
    bool ended;
};

static void begin_reading(struct reader *reader) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    *reader = (struct reader){0};
    reader->fd =
        (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(reader->fd >= 0);
    assert_int_equal(syscall(SYS_connect, reader->fd, &at, sizeof at), 0);
}

static void read_some(struct reader *reader) {
    char bytes[4096];
    const long got = syscall(SYS_read, reader->fd, bytes, sizeof bytes);
    if (got > 0) {
        reader->size += (size_t)got;
        reader->last = bytes[got - 1];
    }
    reader->ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static bool has_ended(void *arg) {
    struct reader *reader = arg;
    read_some(reader);
    return reader->ended;
}

static bool has_ended_or_was_struck(void *arg) {
    return has_ended(arg) || system_fault_strikes() != 0;
}

static bool is_whole(const struct reader *reader) {
    return reader->ended && reader->last == '\n';
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static hearth *open_cache(void) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "stats.socket", path), HEARTH_OK);
    const int32_t status = hearth_open(options, &cache);
    assert_true(status == HEARTH_OK || status == HEARTH_E_UNAVAILABLE ||
                status == HEARTH_E_NOMEM);
    assert_int_equal(cache != NULL, status == HEARTH_OK);
    assert_int_equal(hearth_options_error(options)[0] != '\0', status != HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

static void use(hearth *cache) {
    assert_int_equal(cache_set(cache, "key", "text"), HEARTH_OK);
    assert_string_equal(cache_get(cache, "key", 0), "=text");
}

/* Whether the first reader had all of it. */
static bool read_reports(const struct system_fault *fault) {
    struct reader first;
    struct reader next;
    begin_reading(&first);
    assert_true(await_until(fault->unseen ? has_ended : has_ended_or_was_struck, &first));
    const bool whole = is_whole(&first);
    (void)system_fault_end();
    begin_reading(&next);
    assert_true(await_until(has_ended, &next) && is_whole(&next));
    assert_true(await_until(has_ended, &first));
    assert_true(is_whole(&first) || fault->call == SYSTEM_SEND);
    (void)close(first.fd);
    (void)close(next.fd);
    return whole;
}

/* Whether a call was struck. */
static bool fail_at(const struct system_fault *fault, unsigned place, bool lasts) {
    bool whole = false;
    system_fault_begin(fault, place, lasts);
    hearth *cache = open_cache();
    if (cache != NULL) {
        use(cache);
        whole = read_reports(fault);
        use(cache);
    }
    const bool struck = system_fault_strikes() != 0;
    (void)system_fault_end();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    if (!whole && (!struck || fault->unseen)) {
        fail_msg("%s, place %u, %s", system_fault_text(fault), place,
                 lasts ? "lasting" : "once");
    }
    assert_int_equal(access(path, F_OK), -1);
    return struck;
}

/* Errors that last do, and what a thread that waits meets; signals do not. */
static bool may_last(const struct system_fault *fault) {
    return fault->call == SYSTEM_POLL || !fault->unseen;
}

static void any_call_may_fail(void **state) {
    (void)state;
    enum { PLACES_MAX = 4 /* of what is done again and again */ };
    const unsigned before = system_descriptors();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        unsigned place = 0;
        while (place < PLACES_MAX && fail_at(&faults[i], place, false)) {
            if (may_last(&faults[i])) {
                (void)fail_at(&faults[i], place, true);
            }
            place++;
        }
        print_message("%-44s %u places\n", system_fault_text(&faults[i]), place);
    }
    assert_int_equal(system_descriptors(), before);
    assert_int_equal(failing_memory_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_call_may_fail)};
    return cmocka_run_group_tests_name("system calls of statistics", tests, make_folder,
                                       remove_folder);
}
