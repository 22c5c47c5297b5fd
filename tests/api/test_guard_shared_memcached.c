/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One filter for all processes, at a real Memcached server: whole generations that who starts pulls, and a log of what was inserted
 * since; and whatever is evicted or flushed of that, no key that exists is denied. Each cache stands for a process. Long
 * (HEARTH_LONG): 10^7 keys.
 */
#include "base/hash.h"
#include "denials.h"
#include "source.h"
#include "support/crowd.h"
#include "support/servers.h"

#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { URL_BYTES = 160, NAME_BYTES = 128, ROOM_BYTES = 128 * 1024 };

#define VIEW "15" /* guard.view_ms */

static struct servers servers;
static char url[URL_BYTES];
static int raw = -1;

/* ---- the server ------------------------------------------------------------------------- */

static void connect_raw(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(raw >= 0);
    memcpy(address.sun_path, servers.nodes[0].path, sizeof address.sun_path);
    assert_int_equal(connect(raw, (struct sockaddr *)&address, sizeof address), 0);
}

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0) {
        return -1;
    }
    const char *const arguments[] = {"-m", getenv("HEARTH_LONG") != NULL ? "256" : "64", NULL};
    if (servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, arguments) != 0 ||
        servers_url(&servers, SERVER_MEMCACHED, url, sizeof url) != 0) {
        (void)fprintf(stderr, "%s\n", servers.error);
        return -1;
    }
    connect_raw();
    return 0;
}

static int stop(void **state) {
    (void)state;
    close(raw);
    servers_stop(&servers);
    return 0;
}

static bool ends_with(const char *text, size_t size, const char *end) {
    return size >= strlen(end) && memcmp(text + size - strlen(end), end, strlen(end)) == 0;
}

/* A command, and what is answered up to a line that is, or begins with, its last. A NUL stands behind it. */
static const char *say(const char *last, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *say(const char *last, const char *format, ...) {
    static char room[ROOM_BYTES];
    char line[NAME_BYTES * 2];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    assert_int_equal(send(raw, line, (size_t)length, MSG_NOSIGNAL), length);
    size_t size = 0;
    do {
        ssize_t got = recv(raw, room + size, sizeof room - 1 - size, 0);
        assert_true(got > 0);
        size += (size_t)got;
    } while (!ends_with(room, size, last));
    room[size] = '\0';
    return room;
}

static int empty(void **state) {
    (void)state;
    assert_string_equal(say("\r\n", "flush_all\r\n"), "OK\r\n");
    return 0;
}

/* The filter's name. */
static const char *name(void) {
    static char text[40];
    (void)snprintf(text, sizeof text, "hearth-guard:%016" PRIx64,
                   hearth__hash64_seeded(0, "", 0));
    return text;
}

/* Of what belongs to it: name:<id>:<what>. */
static const char *name_of(const char *what) {
    static char text[NAME_BYTES];
    const char *reply = say("END\r\n", "get %s\r\n", name());
    const char *head = strstr(reply, "\r\nHBF1");
    assert_non_null(head);
    (void)snprintf(text, sizeof text, "%s:%.16s:%s", name(), head + strlen("\r\nHBF1"), what);
    return text;
}

static bool is_there(const char *what) {
    return strncmp(say("END\r\n", "get %s\r\n", name_of(what)), "VALUE", 5) == 0;
}

static bool is_there_by_now(void *what) {
    return is_there(what);
}

static void evict(const char *what) {
    assert_string_equal(say("\r\n", "delete %s\r\n", name_of(what)), "DELETED\r\n");
}

/* A counter of the server's. */
static long long count_of(const char *counter) {
    const char *at = strstr(say("END\r\n", "stats\r\n"), counter);
    assert_non_null(at);
    return strtoll(at + strlen(counter), NULL, 10);
}

/* Until all caches have asked the server some times more. */
static void let_them_look(void) {
    long long until = count_of("STAT cmd_get ") + 40;
    while (count_of("STAT cmd_get ") < until) {
        sched_yield();
    }
}

/* ---- processes -------------------------------------------------------------------------- */

static hearth *open_with(const char *view_ms, const char *option, const char *value) {
    return open_process(url, view_ms, option, value);
}

static hearth *open_shared(void) {
    return open_with(VIEW, NULL, NULL);
}

/* Two of them, with a filter of a thousand keys, which the first one made. */
struct pair {
    hearth *maker;
    hearth *other;
};

static struct pair open_pair(void) {
    struct pair pair = {.maker = open_shared()};
    assert_int_equal(rebuild(pair.maker, 1000), HEARTH_OK);
    pair.other = open_shared();
    await_denials(pair.maker);
    await_denials(pair.other);
    return pair;
}

static void close_pair(struct pair *pair) {
    close_all((hearth *[]){pair->maker, pair->other}, 2);
}

static void await_rebuilt(struct pair *pair) {
    assert_int_equal(rebuild(pair->other, 1000), HEARTH_OK);
    await_denials(pair->maker);
    await_denials(pair->other);
    assert_int_equal(count_denied(pair->maker, "there", 1000), 0);
    assert_int_equal(count_denied(pair->other, "there", 1000), 0);
}

/* Who starts denies nothing, and then nobody does. */
static void await_end(struct pair *pair) {
    hearth *late = open_shared();
    assert_int_equal(count_denied(late, "absent", 16), 0);
    await_none(pair->maker);
    await_none(pair->other);
    let_them_look();
    assert_int_equal(count_denied(late, "absent", 16), 0);
    assert_int_equal(hearth_close(late), HEARTH_OK);
}

/* ---- what one makes, others know -------------------------------------------------------- */

static void who_starts_pulls_what_another_made(void **state) {
    (void)state;
    struct pair pair = open_pair();
    hearth *large = open_with(VIEW, "guard.expected_keys", "200000");
    await_denials(large);
    assert_int_equal(count_denied(large, "there", 1000), 0);
    assert_int_equal(cache_stats(large).guard_copies, 1);
    assert_in_range(cache_stats(large).guard_keys, 900, 1100);
    assert_int_equal(rebuild(large, 2000), HEARTH_OK); /* of several pieces */
    assert_true(is_there("0") && is_there("1") && is_there("2"));
    hearth *late = open_shared();
    await_denials(late);
    assert_int_equal(count_denied(late, "there", 2000), 0);
    assert_int_equal(cache_stats(late).guard_bytes, cache_stats(large).guard_bytes);
    close_pair(&pair);
    close_all((hearth *[]){large, late}, 2);
}

/* Also when there are so many that the log goes on elsewhere. */
static void what_one_adds_no_other_denies(void **state) {
    (void)state;
    enum { NEW = 4500 };
    struct pair pair = open_pair();
    char key[KEY_BYTES];
    for (int i = 0; i < NEW; i++) {
        (void)snprintf(key, sizeof key, "new:%d", i);
        assert_int_equal(add(pair.maker, key), HEARTH_OK);
    }
    await_passes(pair.other, key); /* the last one */
    assert_int_equal(count_denied(pair.other, "new", NEW), 0);
    assert_int_equal(cache_set(pair.other, "written", "x"), HEARTH_OK);
    await_passes(pair.maker, "written");
    assert_int_equal(cache_stats(pair.other).guard_copies, 1); /* it was told each */
    assert_true(await_until(is_there_by_now, "log:0"));
    hearth *late = open_shared(); /* finds them in the log */
    await_denials(late);
    assert_int_equal(count_denied(late, "new", NEW), 0);
    assert_false(is_denied(late, "written"));
    assert_int_equal(cache_stats(pair.maker).guard_untold, 0);
    close_pair(&pair);
    assert_int_equal(hearth_close(late), HEARTH_OK);
}

/* One command for all keys of a call. */
static void keys_that_are_written_together_are_told_together(void **state) {
    (void)state;
    enum { COUNT = 200 };
    struct pair pair = open_pair();
    char keys[COUNT][KEY_BYTES];
    const void *pointers[COUNT];
    size_t sizes[COUNT];
    int32_t statuses[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = (size_t)snprintf(keys[i], KEY_BYTES, "many:%zu", i);
        pointers[i] = keys[i];
    }
    long long stores = count_of("STAT cmd_set ");
    assert_int_equal(
        hearth_set_many(pair.other, COUNT, pointers, sizes, pointers, sizes, NULL, statuses),
        HEARTH_OK);
    assert_in_range(count_of("STAT cmd_set ") - stores, COUNT + 1, COUNT + 10);
    await_passes(pair.maker, keys[COUNT - 1]);
    assert_int_equal(count_denied(pair.maker, "many", COUNT), 0);
    close_pair(&pair);
}

static void add_in_the_middle(void *arg) {
    assert_int_equal(add(arg, "middle"), HEARTH_OK);
}

static void what_others_add_meanwhile_is_in_the_new_filter(void **state) {
    (void)state;
    struct pair pair = open_pair();
    struct keys keys = {.count = 1000, .first = add_in_the_middle, .arg = pair.other};
    assert_int_equal(add(pair.other, "gone"), HEARTH_OK);
    assert_int_equal(hearth_guard_rebuild(pair.maker, next_key, &keys), HEARTH_OK);
    assert_true(await_until(does_not_pass, &(struct question){pair.other, "gone"}));
    await_denials(pair.maker);
    assert_false(is_denied(pair.maker, "middle"));
    assert_false(is_denied(pair.other, "middle"));
    hearth *late = open_shared();
    await_denials(late);
    assert_false(is_denied(late, "middle"));
    assert_int_equal(count_denied(late, "there", 1000), 0);
    assert_int_equal(hearth_close(late), HEARTH_OK);
    close_pair(&pair);
}

/* ---- two that publish ------------------------------------------------------------------- */

static void a_second_one_is_refused(void *arg) {
    assert_int_equal(rebuild(arg, 10), HEARTH_E_OVERLOAD);
}

static void one_process_rebuilds_at_a_time(void **state) {
    (void)state;
    struct pair pair = open_pair();
    struct keys keys = {.count = 10, .first = a_second_one_is_refused, .arg = pair.other};
    assert_int_equal(hearth_guard_rebuild(pair.maker, next_key, &keys), HEARTH_OK);
    assert_int_equal(rebuild(pair.other, 10), HEARTH_OK);
    close_pair(&pair);
}

/* A maker that was not heard of for ten seconds is given up. */
static void forget_the_maker(void *arg) {
    const char *head = strstr(say("END\r\n", "get %s\r\n", name()), "\r\nHBF1");
    char maker[NAME_BYTES];
    assert_non_null(head);
    (void)snprintf(maker, sizeof maker, "%s:%.16s:maker", name(), head + 2 + 28);
    assert_string_equal(say("\r\n", "delete %s\r\n", maker), "DELETED\r\n");
    assert_int_equal(rebuild(arg, 1000), HEARTH_OK);
}

static void who_was_overtaken_publishes_nothing(void **state) {
    (void)state;
    struct pair pair = open_pair();
    struct keys keys = {.count = 10, .first = forget_the_maker, .arg = pair.other};
    assert_int_equal(hearth_guard_rebuild(pair.maker, next_key, &keys), HEARTH_CONFLICT);
    await_denials(pair.maker);
    assert_int_equal(count_denied(pair.maker, "there", 1000), 0);
    close_pair(&pair);
}

enum { PUBLISHERS = 3 };

static void publish(void *arg, size_t index) {
    hearth **caches = arg;
    for (int i = 0; i < 3; i++) {
        int32_t status = rebuild(caches[index], 1000);
        if (status != HEARTH_OK && status != HEARTH_E_OVERLOAD && status != HEARTH_CONFLICT) {
            (void)fprintf(stderr, "%s\n", hearth_status_name(status));
            abort();
        }
    }
}

static void many_that_publish_at_once_leave_one_filter(void **state) {
    (void)state;
    hearth *caches[PUBLISHERS];
    for (size_t i = 0; i < PUBLISHERS; i++) {
        caches[i] = open_shared();
    }
    assert_true(crowd_run(PUBLISHERS, publish, caches));
    for (size_t i = 0; i < PUBLISHERS; i++) {
        await_denials(caches[i]);
        assert_int_equal(count_denied(caches[i], "there", 1000), 0);
    }
    close_all(caches, PUBLISHERS);
}

/* ---- whatever happens to it ------------------------------------------------------------- */

static void after_a_flush_nothing_is_denied(void **state) {
    (void)state;
    struct pair pair = open_pair();
    (void)empty(NULL);
    assert_int_equal(add(pair.maker, "new"), HEARTH_OK); /* there is nothing to be told */
    await_end(&pair);
    await_rebuilt(&pair);
    close_pair(&pair);
}

static void what_is_evicted_of_it_ends_it(void **state) {
    (void)state;
    struct pair pair = open_pair();
    evict("0"); /* whoever has a copy already has it still */
    let_them_look();
    await_denials(pair.maker);
    await_end(&pair);
    await_rebuilt(&pair);
    evict("log");
    assert_int_equal(add(pair.maker, "new"), HEARTH_OK);
    await_end(&pair);
    await_rebuilt(&pair);
    (void)say("\r\n", "append %s 0 0 3\r\nxyz\r\n", name_of("log"));
    await_end(&pair);
    await_rebuilt(&pair);
    (void)say("\r\n", "set %s 0 0 8\r\nnonsense\r\n", name());
    await_end(&pair);
    await_rebuilt(&pair);
    close_pair(&pair);
}

/* A piece of the right size with other bytes. */
static void a_damaged_piece_ends_it(void **state) {
    (void)state;
    struct pair pair = open_pair();
    char piece[NAME_BYTES];
    (void)snprintf(piece, sizeof piece, "%s", name_of("0"));
    const char *line = say("END\r\n", "get %s\r\n", piece);
    const char *sizes = strstr(line, " 0 "); /* behind the flags */
    assert_non_null(sizes);
    unsigned long size = strtoul(sizes + strlen(" 0 "), NULL, 10);
    char *zeros = calloc(1, size + 2);
    char command[NAME_BYTES * 2];
    int length = snprintf(command, sizeof command, "set %s 0 0 %lu\r\n", piece, size);
    assert_non_null(zeros);
    memcpy(zeros + size, "\r\n", 2);
    assert_int_equal(send(raw, command, (size_t)length, MSG_NOSIGNAL), length);
    assert_int_equal(send(raw, zeros, size, MSG_NOSIGNAL), size);
    assert_string_equal(say("\r\n", "\r\n"), "STORED\r\n");
    free(zeros);
    await_end(&pair);
    await_rebuilt(&pair);
    close_pair(&pair);
}

/* What was inserted long ago. */
static void a_piece_of_the_log_that_is_gone_ends_it(void **state) {
    (void)state;
    struct pair pair = open_pair();
    char key[KEY_BYTES];
    for (int i = 0; i < 2200; i++) {
        (void)snprintf(key, sizeof key, "new:%d", i);
        assert_int_equal(add(pair.maker, key), HEARTH_OK);
    }
    assert_true(await_until(is_there_by_now, "log:0"));
    await_passes(pair.other, key);
    evict("log:0");
    await_end(&pair);
    close_pair(&pair);
}

static void while_the_server_is_silent_nothing_is_denied(void **state) {
    (void)state;
    hearth *caches[] = {open_with(VIEW, "remote.timeout_ms", "40"), open_shared()};
    assert_int_equal(rebuild(caches[1], 1000), HEARTH_OK);
    await_denials(caches[0]);
    await_denials(caches[1]);
    assert_int_equal(servers_pause(&servers, 0), 0);
    await_none(caches[0]);
    await_none(caches[1]);
    assert_true(add(caches[0], "new") < 0); /* it is not to come to exist */
    assert_true(cache_set(caches[0], "written", "x") < 0);
    assert_int_equal(count_denied(caches[1], "absent", 16), 0);
    assert_int_equal(servers_resume(&servers, 0), 0);
    if (getenv("HEARTH_LONG") != NULL) { /* a second, until they may connect again */
        await_denials(caches[0]);
        await_passes(caches[1], "written");
    }
    close_all(caches, 2);
}

/* It has lost all when it comes back. */
static void a_server_that_dies_takes_it_along(void **state) {
    (void)state;
    struct pair pair = open_pair();
    assert_int_equal(servers_kill(&servers, 0), 0);
    await_none(pair.maker);
    await_none(pair.other);
    assert_true(add(pair.maker, "new") < 0);
    close_pair(&pair);
    close(raw);
    assert_int_equal(servers_restart(&servers, 0), 0);
    connect_raw();
    pair = (struct pair){open_shared(), open_shared()};
    assert_int_equal(add(pair.maker, "new"), HEARTH_OK);
    let_them_look();
    assert_int_equal(count_denied(pair.other, "absent", 16), 0);
    await_rebuilt(&pair);
    close_pair(&pair);
}

/* ---- many ------------------------------------------------------------------------------- */

static void writers_of_many_processes_are_never_denied(void **state) {
    (void)state;
    writers_are_never_denied(open_shared);
}

/* Long: 10^7 keys. */
static void of_all_keys_none_is_denied_anywhere(void **state) {
    (void)state;
    enum { ALL = 10000000 };
    hearth *caches[] = {open_with("1000", "guard.expected_keys", "10000000"),
                        open_with("1000", "guard.expected_keys", "10000000")};
    assert_int_equal(rebuild(caches[0], ALL), HEARTH_OK);
    for (size_t i = 0; i < 2; i++) {
        await_denials(caches[i]);
        assert_int_equal(count_denied(caches[i], "there", ALL), 0);
        uint64_t denied = count_denied(caches[i], "absent", 1000000);
        print_message("%.3f %% of the missing ones pass\n", 100 - (double)denied / 1e4);
        assert_true(denied > 980000);
    }
    close_all(caches, 2);
}

/* ---- at the door ------------------------------------------------------------------------ */

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *option;
        const char *value;
        int32_t status;
    } cases[] = {{"remote.memcached_client", "libmemcached", HEARTH_E_UNSUPPORTED},
                 {"remote.max_value_bytes", "100kb", HEARTH_E_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hearth_options *options = hearth_options_new();
        hearth *cache = NULL;
        assert_int_equal(hearth_options_set(options, "remote.url", url), HEARTH_OK);
        assert_int_equal(hearth_options_set(options, "guard.shared", "yes"), HEARTH_OK);
        assert_int_equal(hearth_options_set(options, "guard.expected_keys", "100"), HEARTH_OK);
        assert_int_equal(hearth_options_set(options, cases[i].option, cases[i].value),
                         HEARTH_OK);
        assert_int_equal(hearth_open(options, &cache), cases[i].status);
        assert_non_null(strstr(hearth_options_error(options), cases[i].option));
        hearth_options_free(options);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_starts_pulls_what_another_made, empty),
        cmocka_unit_test_setup(what_one_adds_no_other_denies, empty),
        cmocka_unit_test_setup(keys_that_are_written_together_are_told_together, empty),
        cmocka_unit_test_setup(what_others_add_meanwhile_is_in_the_new_filter, empty),
        cmocka_unit_test_setup(one_process_rebuilds_at_a_time, empty),
        cmocka_unit_test_setup(who_was_overtaken_publishes_nothing, empty),
        cmocka_unit_test_setup(many_that_publish_at_once_leave_one_filter, empty),
        cmocka_unit_test_setup(after_a_flush_nothing_is_denied, empty),
        cmocka_unit_test_setup(what_is_evicted_of_it_ends_it, empty),
        cmocka_unit_test_setup(a_damaged_piece_ends_it, empty),
        cmocka_unit_test_setup(a_piece_of_the_log_that_is_gone_ends_it, empty),
        cmocka_unit_test_setup(while_the_server_is_silent_nothing_is_denied, empty),
        cmocka_unit_test_setup(writers_of_many_processes_are_never_denied, empty),
        cmocka_unit_test_setup(a_server_that_dies_takes_it_along, empty),
        cmocka_unit_test_setup(what_does_not_fit_is_refused, empty),
    };
    const struct CMUnitTest long_tests[] = {
        cmocka_unit_test_setup(of_all_keys_none_is_denied_anywhere, empty),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    return getenv("HEARTH_LONG") != NULL
               ? failed + cmocka_run_group_tests(long_tests, start, stop)
               : failed;
}
