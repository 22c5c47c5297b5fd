/* SPDX-License-Identifier: Apache-2.0 */
/* The server that the README points to, as its readers see it: pages with what caches are told of them, changes, and what becomes of
 * requests when the database is slow, a node is gone, or a reader does not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "origin.h"
#include "support/servers.h"

enum {
    ARGUMENTS_MAX = 24,
    NODES = 3,
    PAGES = 30,
    CROWD = 40,
    PATIENCE_MS = 60000,
    TEXT_BYTES = 32768
};

#define PACKAGES "20000"

static char program[PATH_MAX];
static char folder[] = "/tmp/hearth-appserver-test-XXXXXX";
static char database[64];

/* ---- the server --------------------------------------------------------------------------- */

struct run {
    pid_t pid;
    int output;
    size_t size;
    char text[4096]; /* what it said */
    in_port_t port;
};

static void read_on(struct run *run, const char *until) {
    while (strstr(run->text, until) == NULL) {
        ssize_t got =
            read(run->output, run->text + run->size, sizeof run->text - 1 - run->size);
        if (got <= 0) {
            return;
        }
        run->size += (size_t)got;
        run->text[run->size] = '\0';
    }
}

static void start(struct run *run, const char *const *arguments) {
    int ends[2];
    char *line[ARGUMENTS_MAX] = {program};
    *run = (struct run){.pid = 0};
    for (size_t i = 0; i + 2 < ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        memcpy(&line[i + 1], &arguments[i], sizeof line[0]);
    }
    assert_int_equal(pipe(ends), 0);
    run->output = ends[0];
    run->pid = fork();
    assert_true(run->pid >= 0);
    if (run->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(program, line);
        _exit(127);
    }
    close(ends[1]);
}

/* With a database of its own and any free port, beside `more`. */
static void serve(struct run *run, const char *const *more) {
    const char *arguments[ARGUMENTS_MAX] = {"--listen", "127.0.0.1:0", "--database",
                                            database,   "--peers",     "50"};
    for (size_t i = 0; more[i] != NULL; i++) {
        arguments[6 + i] = more[i];
    }
    start(run, arguments);
    read_on(run, "\n");
    const char *port = strstr(run->text, "listening on http://127.0.0.1:");
    if (port == NULL) {
        fail_msg("the server says: %s", run->text);
        return;
    }
    run->port = htons((in_port_t)strtoul(strrchr(port, ':') + 1, NULL, 10));
}

static int finish(struct run *run) {
    int status = 0;
    read_on(run, "\001");
    assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
    close(run->output);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As Ctrl-C does. */
static void stop(struct run *run) {
    assert_int_equal(kill(run->pid, SIGTERM), 0);
    int status = finish(run);
    if (status != 0) {
        fail_msg("the server ended with %d and said: %s", status, run->text);
    }
}

/* ---- a reader ----------------------------------------------------------------------------- */

struct reply {
    int code;
    size_t body_size;
    const char *body;
    char text[TEXT_BYTES];
};

static int connect_to(const struct run *run) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = run->port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int opened = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(opened >= 0);
    assert_int_equal(connect(opened, (struct sockaddr *)&address, sizeof address), 0);
    return opened;
}

static void ask_raw(int reader, const char *text) {
    assert_int_equal(send(reader, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* `headers`: more lines, each with its end. */
static void ask(int reader, const char *method, const char *path, const char *headers) {
    char text[512];
    (void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: shop\r\n%s\r\n", method, path,
                   headers);
    ask_raw(reader, text);
}

/* A header's value up to the line's end; "" if there is none. */
static const char *header(const struct reply *reply, const char *name, char value[128]) {
    const char *at = strcasestr(reply->text, name);
    value[0] = '\0';
    if (at != NULL && (reply->body == NULL || at < reply->body)) {
        at += strlen(name) + 2;
        (void)snprintf(value, 128, "%.*s", (int)strcspn(at, "\r"), at);
    }
    return value;
}

/* Each reply has the size of its body, or none. */
static void hear(int reader, struct reply *reply, bool has_body) {
    size_t size = 0;
    size_t whole = SIZE_MAX;
    *reply = (struct reply){.code = 0};
    while (size < whole) {
        struct pollfd poller = {.fd = reader, .events = POLLIN};
        assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
        ssize_t got = recv(reader, reply->text + size, sizeof reply->text - 1 - size, 0);
        if (got <= 0) {
            fail_msg("the connection ended behind: %s", reply->text);
        }
        size += (size_t)got;
        const char *end = strstr(reply->text, "\r\n\r\n");
        if (end != NULL && reply->body == NULL) {
            char length[128];
            reply->body = end + 4;
            whole = (size_t)(reply->body - reply->text);
            if (has_body) {
                reply->body_size = strtoul(header(reply, "Content-Length", length), NULL, 10);
            }
            whole += reply->body_size;
        }
    }
    assert_int_equal(size, whole);
    reply->code = (int)strtol(reply->text + strlen("HTTP/1.1 "), NULL, 10);
}

static void get(int reader, uint32_t product, struct reply *reply) {
    char path[32];
    (void)snprintf(path, sizeof path, "/product/%u", product);
    ask(reader, "GET", path, "");
    hear(reader, reply, true);
}

static void expect_page(const struct reply *reply, uint32_t product) {
    if (reply->code != 200 || !origin_is_page_of(reply->body, reply->body_size, product)) {
        fail_msg("product %u is answered by: %s", product, reply->text);
    }
}

static void expect_header(const struct reply *reply, const char *name, const char *value) {
    char seen[128];
    assert_string_equal(header(reply, name, seen), value);
}

static unsigned long metric(int reader, const char *name) {
    struct reply reply;
    char line[64];
    ask(reader, "GET", "/metrics", "");
    hear(reader, &reply, true);
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(reply.text, line);
    assert_non_null(at);
    return strtoul(at + strlen(line), NULL, 10);
}

/* ---- pages -------------------------------------------------------------------------------- */

static const char *const loop[] = {"--mode", "loop", NULL};
static const char *const threads[] = {"--mode", "threads", "--threads", "2", NULL};

static void expect_known(int reader, const char *etag, bool known) {
    struct reply reply;
    char line[256];
    (void)snprintf(line, sizeof line, "If-None-Match: \"other\", W/%s\r\n", etag);
    ask(reader, "GET", "/product/7", line);
    hear(reader, &reply, !known);
    assert_int_equal(reply.code, known ? 304 : 200);
}

static void expect_entry_headers(const char *const *mode) {
    struct run run;
    struct reply reply;
    char first[128];
    char second[128];
    serve(&run, mode);
    int reader = connect_to(&run);
    get(reader, 7, &reply);
    expect_page(&reply, 7);
    expect_header(&reply, "Cache-Status", "hearth; fwd=miss");
    expect_header(&reply, "Cache-Control", "public, max-age=10");
    expect_header(&reply, "Age", "0");
    (void)header(&reply, "ETag", first);
    assert_int_equal(strlen(first), 18);

    get(reader, 7, &reply);
    expect_page(&reply, 7);
    expect_header(&reply, "Cache-Status", "hearth; hit; detail=local");
    expect_header(&reply, "ETag", first);
    expect_known(reader, first, true);

    char length[128];
    (void)snprintf(length, sizeof length, "%zu", reply.body_size);
    ask(reader, "HEAD", "/product/7", "");
    hear(reader, &reply, false);
    assert_int_equal(reply.code, 200);
    expect_header(&reply, "Content-Length", length);

    ask(reader, "POST", "/product/7", "Content-Length: 0\r\n");
    hear(reader, &reply, false);
    assert_int_equal(reply.code, 204);
    expect_known(reader, first, false);
    get(reader, 7, &reply);
    expect_page(&reply, 7);
    assert_string_not_equal(header(&reply, "ETag", second), first);
    assert_int_equal(metric(reader, "hearth_loads_total"), 2);
    close(reader);
    stop(&run);
}

static void a_loops_pages_have_what_their_entries_say(void **state) {
    (void)state;
    expect_entry_headers(loop);
}

static void threads_pages_have_it_too(void **state) {
    (void)state;
    expect_entry_headers(threads);
}

/* Beyond its life there is nothing that others may keep. */
static void max_age_ends_with_the_page(void **state) {
    (void)state;
    struct run run;
    struct reply reply;
    serve(&run, (const char *const[]){"--option", "ttl_ms=5s", "--max-age", "3600", NULL});
    int reader = connect_to(&run);
    get(reader, 7, &reply);
    char value[128];
    const char *age = strstr(header(&reply, "Cache-Control", value), "max-age=");
    assert_non_null(age);
    assert_in_range(strtoul(age + strlen("max-age="), NULL, 10), 1, 5);
    close(reader);
    stop(&run);
}

static void expect_code(const struct run *run, const char *method, const char *path, int code) {
    struct reply reply;
    int reader = connect_to(run);
    ask(reader, method, path, "Content-Length: 0\r\n");
    hear(reader, &reply, true);
    if (reply.code != code) {
        fail_msg("%s %s: %s", method, path, reply.text);
    }
    close(reader);
}

static void what_is_not_there_is_told(void **state) {
    (void)state;
    struct run run;
    struct reply reply;
    serve(&run, loop);
    expect_code(&run, "GET", "/product/" PACKAGES, 404);
    expect_code(&run, "GET", "/product/19999", 200);
    expect_code(&run, "GET", "/product/07", 404);
    expect_code(&run, "GET", "/product/", 404);
    expect_code(&run, "GET", "/product/1x", 404);
    expect_code(&run, "GET", "/product/99999999999", 404);
    expect_code(&run, "GET", "/", 404);
    expect_code(&run, "DELETE", "/product/7", 405);
    expect_code(&run, "POST", "/metrics", 405);
    int reader = connect_to(&run);
    ask_raw(reader, "what is this\r\n\r\n");
    hear(reader, &reply, true);
    assert_int_equal(reply.code, 400);
    close(reader);
    reader = connect_to(&run);
    ask_raw(reader, "GET /product/7 HTTP/1.1\r\nno header\r\n\r\n");
    hear(reader, &reply, true);
    assert_int_equal(reply.code, 400);
    close(reader);
    stop(&run);
    assert_non_null(strstr(run.text, " 0 failed"));
}

static void without_hearth_each_request_is_a_load(void **state) {
    (void)state;
    struct run run;
    struct reply reply;
    serve(&run, (const char *const[]){"--without-hearth", NULL});
    int reader = connect_to(&run);
    for (int i = 0; i < 2; i++) {
        get(reader, 7, &reply);
        expect_page(&reply, 7);
        expect_header(&reply, "ETag", "");
        expect_header(&reply, "Cache-Status", "");
    }
    ask(reader, "POST", "/product/7", "Content-Length: 0\r\n");
    hear(reader, &reply, false);
    assert_int_equal(reply.code, 204);
    close(reader);
    stop(&run);
}

/* ---- when something is slow, or gone ------------------------------------------------------- */

static bool has_reply(int reader) {
    struct pollfd poller = {.fd = reader, .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static void a_slow_database_holds_no_loop(void **state) {
    (void)state;
    struct run run;
    struct reply reply;
    int crowd[CROWD];
    serve(&run, (const char *const[]){"--load-wait", "300", NULL});
    int reader = connect_to(&run);
    get(reader, 1, &reply);
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = connect_to(&run);
        ask(crowd[i], "GET", "/product/2", "");
    }
    /* One that is cached passes them. */
    get(reader, 1, &reply);
    expect_page(&reply, 1);
    assert_false(has_reply(crowd[0]));
    for (size_t i = 0; i < CROWD; i++) {
        hear(crowd[i], &reply, true);
        expect_page(&reply, 2);
        close(crowd[i]);
    }
    assert_int_equal(metric(reader, "hearth_loads_total"), 2);
    close(reader);
    stop(&run);
}

/* Some while their page is looked for, some at the server's own end: nothing is lost by that. */
static void readers_may_leave(void **state) {
    (void)state;
    struct run run;
    struct reply reply;
    serve(&run, (const char *const[]){"--load-wait", "200", NULL});
    for (int i = 0; i < 3; i++) {
        int leaver = connect_to(&run);
        ask(leaver, "GET", "/product/2", "");
        close(leaver);
    }
    int reader = connect_to(&run);
    get(reader, 2, &reply);
    expect_page(&reply, 2);
    ask(reader, "GET", "/product/3", "");
    int other = connect_to(&run);
    assert_true(metric(other, "appserver_requests_total") >= 2);
    stop(&run);
    close(other);
    close(reader);
}

/* What the dead node has to be told is kept for it. */
static void change_all(int reader) {
    struct reply reply;
    char path[32];
    int kept = 0;
    for (uint32_t i = 0; i < PAGES; i++) {
        (void)snprintf(path, sizeof path, "/product/%u", i);
        ask(reader, "POST", path, "Content-Length: 0\r\n");
        hear(reader, &reply, true);
        assert_true(reply.code == 202 || reply.code == 204);
        kept += reply.code == 202;
    }
    assert_in_range(kept, 1, PAGES - 1);
}

static void no_request_fails_when_a_node_is_killed(void **state) {
    (void)state;
    struct run run;
    struct reply reply;
    char url[512];
    struct servers *nodes = calloc(1, sizeof *nodes);
    assert_non_null(nodes);
    assert_int_equal(servers_open(nodes), 0);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(servers_start(nodes, SERVER_REDIS, SERVER_UNIX, NULL), 0);
    }
    assert_int_equal(servers_url(nodes, SERVER_REDIS, url, sizeof url), 0);
    /* No local tier: each request asks a node. */
    serve(&run, (const char *const[]){"--remote", url, "--option", "local.max_bytes=0", NULL});
    int reader = connect_to(&run);
    for (uint32_t i = 0; i < 2 * PAGES; i++) {
        get(reader, i % PAGES, &reply);
        expect_page(&reply, i % PAGES);
    }
    assert_int_equal(metric(reader, "hearth_remote_hits_total"), PAGES);
    assert_int_equal(servers_kill(nodes, 1), 0);
    for (uint32_t i = 0; i < 2 * PAGES; i++) {
        get(reader, i % PAGES, &reply);
        expect_page(&reply, i % PAGES);
    }
    assert_true(metric(reader, "hearth_loads_total") > PAGES);
    change_all(reader);
    close(reader);
    stop(&run);
    assert_non_null(strstr(run.text, " 0 failed"));
    servers_stop(nodes);
    free(nodes);
}

/* ---- its command line ---------------------------------------------------------------------- */

static void refused(const char *const *arguments, int code, const char *because) {
    struct run run;
    start(&run, arguments);
    int status = finish(&run);
    if (status != code || strstr(run.text, because) == NULL) {
        fail_msg("it ended with %d and said: %s", status, run.text);
    }
}

static void wrong_arguments_are_told(void **state) {
    (void)state;
    refused((const char *const[]){"--help", NULL}, 0, "--without-hearth");
    refused((const char *const[]){"--wat", NULL}, 2, "--wat");
    refused((const char *const[]){"wat", NULL}, 2, "'wat' is no option");
    refused((const char *const[]){"--threads", "0", NULL}, 2, "a whole number from 1 to 64");
    refused((const char *const[]){"--mode", "fork", NULL}, 2, "loop or threads, not 'fork'");
    refused((const char *const[]){"--option", "ttl_ms", NULL}, 2, "NAME=VALUE");
    refused((const char *const[]){"--listen", "127.0.0.1", NULL}, 2, "HOST:PORT");
    refused((const char *const[]){"--listen", "127.0.0.1:wat", NULL}, 1, "it is no address");
    refused((const char *const[]){"--listen", "127.0.0.1:0", "--database", database, "--peers",
                                  "50", "--option", "ttl=1", NULL},
            1, "ttl");
    refused((const char *const[]){"--listen", "127.0.0.1:0", "--database", "/nonexistent/a",
                                  "--peers", "50", NULL},
            1, "/nonexistent/a");
}

/* ---- set-up --------------------------------------------------------------------------------- */

/* Packages enough, with little in them. */
static bool build_database(void) {
    char path[80];
    char error[512] = "";
    char before[4096];
    struct origin_summary summary;
    const char *present = getenv("PATH");
    (void)snprintf(path, sizeof path, "%s/apt-cache", folder);
    FILE *script = fopen(path, "we");
    if (script == NULL || present == NULL) {
        return false;
    }
    (void)fputs("#!/bin/sh\nawk 'BEGIN { for (i = 0; i < " PACKAGES "; i++)"
                " printf \"Package: p%d\\nVersion: 1\\nDescription: d\\n\\n\", i }'\n",
                script);
    bool written = fclose(script) == 0 && chmod(path, 0700) == 0;
    (void)snprintf(before, sizeof before, "%s", present);
    char with[sizeof before + sizeof folder + 1];
    (void)snprintf(with, sizeof with, "%s:%s", folder, before);
    setenv("PATH", with, 1);
    int result =
        written ? origin_build(database, false, NULL, NULL, &summary, error, sizeof error) : -1;
    setenv("PATH", before, 1);
    (void)unlink(path);
    if (result != 0) {
        print_error("%s\n", error);
    }
    return result == 0 && !summary.is_made_up;
}

static int set_up(void **state) {
    (void)state;
    char self[PATH_MAX - 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0 || mkdtemp(folder) == NULL) {
        return -1;
    }
    self[size] = '\0';
    (void)snprintf(program, sizeof program, "%s/../../bench/appserver", dirname(self));
    (void)snprintf(database, sizeof database, "%s/products.db", folder);
    return build_database() ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(database);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loops_pages_have_what_their_entries_say),
        cmocka_unit_test(threads_pages_have_it_too),
        cmocka_unit_test(max_age_ends_with_the_page),
        cmocka_unit_test(what_is_not_there_is_told),
        cmocka_unit_test(without_hearth_each_request_is_a_load),
        cmocka_unit_test(a_slow_database_holds_no_loop),
        cmocka_unit_test(readers_may_leave),
        cmocka_unit_test(no_request_fails_when_a_node_is_killed),
        cmocka_unit_test(wrong_arguments_are_told),
    };
    return cmocka_run_group_tests_name("appserver", tests, set_up, tear_down);
}
