/* SPDX-License-Identifier: Apache-2.0 */
/* The servers that the other tests rely on: they answer, they can be hurt, and nothing of them
 * is left behind, whatever ends the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "servers.h"

static const char *const hellos[] = {"PING\r\n", "version\r\n"};
static const char *const answers[] = {"+PONG", "VERSION"};

/* A connected socket, or -1. */
static int connect_to(const struct server_node *node) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)node->port)};
    bool is_unix = node->transport == SERVER_UNIX;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    memcpy(local.sun_path, node->path, strlen(node->path));
    inet_pton(AF_INET, "127.0.0.1", &tcp.sin_addr);
    int result = is_unix ? connect(fd, (struct sockaddr *)&local, sizeof local)
                         : connect(fd, (struct sockaddr *)&tcp, sizeof tcp);
    if (result != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void assert_speaks(int fd, enum server_kind kind) {
    char answer[64] = "";
    size_t length = strlen(hellos[kind]);
    assert_int_equal(send(fd, hellos[kind], length, MSG_NOSIGNAL), length);
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_memory_equal(answer, answers[kind], strlen(answers[kind]));
}

static void assert_answers(const struct server_node *node) {
    int fd = connect_to(node);
    assert_true(fd >= 0);
    assert_speaks(fd, node->kind);
    close(fd);
}

static void start(struct servers *servers, enum server_kind kind, enum server_transport via) {
    if (servers_start(servers, kind, via, NULL) != 0) {
        fail_msg("%s", servers->error);
    }
}

static bool is_gone(const char *path) {
    struct stat status;
    return stat(path, &status) != 0 && errno == ENOENT;
}

static bool has_no_process(pid_t pid) {
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void both_kinds_answer_on_unix_sockets(void **state) {
    (void)state;
    struct servers servers;
    char url[1024];
    char expected[1024];
    assert_int_equal(servers_open(&servers), 0);
    start(&servers, SERVER_REDIS, SERVER_UNIX);
    start(&servers, SERVER_MEMCACHED, SERVER_UNIX);
    start(&servers, SERVER_REDIS, SERVER_UNIX);
    for (size_t i = 0; i < servers.count; i++) {
        assert_true(strlen(servers.nodes[i].path) < 107);
        assert_answers(&servers.nodes[i]);
    }
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, sizeof url), 0);
    snprintf(expected, sizeof expected, "redis+unix://%s,%s", servers.nodes[0].path,
             servers.nodes[2].path);
    assert_string_equal(url, expected);
    assert_int_equal(servers_url(&servers, SERVER_MEMCACHED, url, sizeof url), 0);
    snprintf(expected, sizeof expected, "memcached+unix://%s", servers.nodes[1].path);
    assert_string_equal(url, expected);
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, 20), -1);
    servers_stop(&servers);
}

static void both_kinds_answer_on_tcp(void **state) {
    (void)state;
    struct servers servers;
    char url[256];
    char expected[256];
    assert_int_equal(servers_open(&servers), 0);
    start(&servers, SERVER_REDIS, SERVER_TCP);
    start(&servers, SERVER_REDIS, SERVER_TCP);
    start(&servers, SERVER_MEMCACHED, SERVER_TCP);
    for (size_t i = 0; i < servers.count; i++) {
        assert_answers(&servers.nodes[i]);
    }
    assert_int_equal(servers_url(&servers, SERVER_REDIS, url, sizeof url), 0);
    snprintf(expected, sizeof expected, "redis://127.0.0.1:%d,127.0.0.1:%d",
             servers.nodes[0].port, servers.nodes[1].port);
    assert_string_equal(url, expected);
    servers_stop(&servers);
}

static void nothing_is_left_after_stop(void **state) {
    (void)state;
    struct servers servers;
    assert_int_equal(servers_open(&servers), 0);
    start(&servers, SERVER_REDIS, SERVER_UNIX);
    start(&servers, SERVER_MEMCACHED, SERVER_UNIX);
    assert_int_equal(servers_pause(&servers, 0), 0); /* a paused one ends too */
    pid_t pids[] = {servers.nodes[0].pid, servers.nodes[1].pid, servers.keeper.pid};
    assert_false(is_gone(servers.folder));
    servers_stop(&servers);
    assert_true(is_gone(servers.folder));
    for (size_t i = 0; i < 3; i++) {
        assert_true(has_no_process(pids[i]));
    }
}

static void kill_and_restart_keep_the_address(void **state) {
    (void)state;
    struct servers servers;
    assert_int_equal(servers_open(&servers), 0);
    start(&servers, SERVER_REDIS, SERVER_UNIX);
    start(&servers, SERVER_MEMCACHED, SERVER_UNIX);
    start(&servers, SERVER_REDIS, SERVER_TCP);
    start(&servers, SERVER_MEMCACHED, SERVER_TCP);
    for (size_t i = 0; i < servers.count; i++) {
        struct server_node before = servers.nodes[i];
        assert_int_equal(servers_kill(&servers, i), 0);
        assert_int_equal(servers.nodes[i].pid, 0);
        assert_true(has_no_process(before.pid));
        assert_int_equal(connect_to(&servers.nodes[i]), -1);
        assert_int_equal(servers_kill(&servers, i), -1);
        assert_int_equal(servers_restart(&servers, i), 0);
        assert_int_not_equal(servers.nodes[i].pid, before.pid);
        assert_string_equal(servers.nodes[i].path, before.path);
        assert_int_equal(servers.nodes[i].port, before.port);
        assert_answers(&servers.nodes[i]);
    }
    servers_stop(&servers);
}

static void a_paused_node_answers_after_resume_only(void **state) {
    (void)state;
    struct servers servers;
    assert_int_equal(servers_open(&servers), 0);
    start(&servers, SERVER_REDIS, SERVER_UNIX);
    int fd = connect_to(&servers.nodes[0]);
    assert_int_equal(servers_pause(&servers, 0), 0);
    assert_int_equal(send(fd, "PING\r\n", 6, MSG_NOSIGNAL), 6);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 50), 0);
    assert_int_equal(servers_resume(&servers, 0), 0);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    char answer[8] = "";
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_memory_equal(answer, "+PONG", 5);
    close(fd);
    servers_stop(&servers);
}

static void own_arguments_win(void **state) {
    (void)state;
    static const char *const small[] = {"--maxmemory", "1mb", NULL};
    struct servers servers;
    char answer[128] = "";
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, small), 0);
    int fd = connect_to(&servers.nodes[0]);
    const char question[] = "CONFIG GET maxmemory\r\n";
    assert_int_equal(send(fd, question, strlen(question), MSG_NOSIGNAL), strlen(question));
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_non_null(strstr(answer, "1048576"));
    close(fd);
    servers_stop(&servers);
}

static void a_failed_start_shows_the_log(void **state) {
    (void)state;
    static const char *const wrong[] = {"--no-such-directive", "yes", NULL};
    struct servers servers;
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, wrong), -1);
    assert_non_null(strstr(servers.error, "no-such-directive"));
    assert_int_equal(servers.count, 0);
    start(&servers, SERVER_REDIS, SERVER_UNIX); /* and it goes on */
    assert_answers(&servers.nodes[0]);
    servers_stop(&servers);
}

static void a_missing_server_is_named(void **state) {
    (void)state;
    struct servers servers;
    const char *path = getenv("PATH");
    char *saved = strdup(path == NULL ? "" : path);
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(servers_open(&servers), 0);
    setenv("PATH", saved, 1);
    free(saved);
    assert_int_equal(servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL), -1);
    assert_non_null(strstr(servers.error, "memcached is not installed"));
    servers_stop(&servers);
    assert_true(is_gone(servers.folder));
}

static void *start_in_thread(void *argument) {
    struct servers *servers = argument;
    static int result;
    result = servers_start(servers, SERVER_REDIS, SERVER_UNIX, NULL);
    return &result;
}

static void a_server_outlives_the_thread_that_started_it(void **state) {
    (void)state;
    struct servers servers;
    pthread_t thread;
    void *result;
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(pthread_create(&thread, NULL, start_in_thread, &servers), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(*(int *)result, 0);
    assert_answers(&servers.nodes[0]);
    assert_int_equal(servers_kill(&servers, 0), 0); /* it still ran: else this is an error */
    servers_stop(&servers);
}

/* The keeper is killed, which leaves nobody to clean up: the servers go with it all the same. */
static void a_server_does_not_outlive_the_keeper(void **state) {
    (void)state;
    struct servers servers;
    char path[SERVERS_PATH_BYTES];
    char byte;
    assert_int_equal(servers_open(&servers), 0);
    start(&servers, SERVER_MEMCACHED, SERVER_UNIX);
    int fd = connect_to(&servers.nodes[0]);
    assert_true(fd >= 0);
    assert_speaks(fd, SERVER_MEMCACHED);
    assert_int_equal(kill(servers.keeper.pid, SIGKILL), 0);
    ssize_t got = recv(fd, &byte, 1, 0); /* the server's end of the connection is closed */
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
    close(fd);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL), -1);
    servers_stop(&servers);
    unlink(servers.nodes[0].path);
    snprintf(path, sizeof path, "%s/m0.log", servers.folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/m0", servers.folder);
    rmdir(path);
    snprintf(path, sizeof path, "%s/r1", servers.folder);
    rmdir(path);
    assert_int_equal(rmdir(servers.folder), 0);
}

/* ---- programs that die ---- */

struct orphan {
    char folder[SERVERS_FOLDER_BYTES];
    pid_t pids[3]; /* the program, its two servers */
};

/* A program of its own, which starts two servers, reports them and waits for its death. */
static _Noreturn void run_program(int report, bool with_handlers) {
    struct servers servers;
    struct orphan orphan = {.pids = {getpid(), 0, 0}};
    if (servers_open(&servers) != 0 || (with_handlers && servers_cleanup_on_signals() != 0) ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
        _exit(1);
    }
    memcpy(orphan.folder, servers.folder, sizeof orphan.folder);
    orphan.pids[1] = servers.nodes[0].pid;
    orphan.pids[2] = servers.nodes[1].pid;
    if (write(report, &orphan, sizeof orphan) != (ssize_t)sizeof orphan) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

/* The keeper keeps its standard error open until it is gone, and so do its children: the end of
 * that pipe is the moment at which everything is over. */
static struct orphan start_program(bool with_handlers, int *end) {
    int report[2];
    int life[2];
    struct orphan orphan;
    assert_int_equal(pipe(report), 0);
    assert_int_equal(pipe(life), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        /* Who runs the tests in the background may have had these ignored. */
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        dup2(life[1], STDERR_FILENO);
        close(life[1]);
        close(life[0]);
        run_program(report[1], with_handlers);
    }
    close(report[1]);
    close(life[1]);
    assert_int_equal(read(report[0], &orphan, sizeof orphan), sizeof orphan);
    close(report[0]);
    *end = life[0];
    return orphan;
}

static void assert_nothing_left(const struct orphan *orphan) {
    assert_true(is_gone(orphan->folder));
    assert_true(has_no_process(orphan->pids[1]));
    assert_true(has_no_process(orphan->pids[2]));
}

static void a_killed_program_leaves_nothing(void **state) {
    (void)state;
    static const int numbers[] = {SIGKILL, SIGINT, SIGTERM};
    for (size_t i = 0; i < 3; i++) {
        int end;
        int status;
        char byte;
        struct orphan orphan = start_program(false, &end);
        assert_int_equal(kill(-orphan.pids[0], numbers[i]), 0); /* as the terminal: the group */
        assert_int_equal(waitpid(orphan.pids[0], &status, 0), orphan.pids[0]);
        assert_int_equal(read(end, &byte, 1), 0);
        close(end);
        assert_nothing_left(&orphan);
    }
}

static void with_handlers_nothing_is_left_at_the_end_of_the_program(void **state) {
    (void)state;
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        int end;
        int status;
        struct orphan orphan = start_program(true, &end);
        assert_int_equal(kill(-orphan.pids[0], numbers[i]), 0);
        assert_int_equal(waitpid(orphan.pids[0], &status, 0), orphan.pids[0]);
        assert_nothing_left(&orphan); /* at once, without waiting for the keeper */
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[i]);
        close(end);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_answer_on_unix_sockets),
        cmocka_unit_test(both_kinds_answer_on_tcp),
        cmocka_unit_test(nothing_is_left_after_stop),
        cmocka_unit_test(kill_and_restart_keep_the_address),
        cmocka_unit_test(a_paused_node_answers_after_resume_only),
        cmocka_unit_test(own_arguments_win),
        cmocka_unit_test(a_failed_start_shows_the_log),
        cmocka_unit_test(a_missing_server_is_named),
        cmocka_unit_test(a_server_outlives_the_thread_that_started_it),
        cmocka_unit_test(a_server_does_not_outlive_the_keeper),
        cmocka_unit_test(a_killed_program_leaves_nothing),
        cmocka_unit_test(with_handlers_nothing_is_left_at_the_end_of_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
