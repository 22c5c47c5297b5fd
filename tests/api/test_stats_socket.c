/* SPDX-License-Identifier: Apache-2.0 */
/* stats.socket: what is read there, by whom, and what becomes of its file. */
#include "source.h"
#include "support/failing_memory.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 64, REPORT_BYTES = 1 << 20, READERS = 8 /* at once */, NOBODY = 65534 };

static char folder[32];
static char path[PATH_BYTES];
static char text[REPORT_BYTES];

/* The folder of a test, and nothing in it; others may look into it. */
static int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/hearth-XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/stats", folder);
    return 0;
}

/* Fails if anything is left in it. */
static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static hearth *open_at(const char *at) {
    hearth *cache = cache_open((const char *const[]){"stats.socket", at, NULL});
    assert_non_null(cache);
    return cache;
}

/* A cache does not open, and says why. */
static void is_refused(const char *at, int32_t wanted, const char *because) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "stats.socket", at), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), wanted);
    if (strstr(hearth_options_error(options), because) == NULL) {
        fail_msg("'%s' is not in: %s", because, hearth_options_error(options));
    }
    hearth_options_free(options);
}

static int new_socket(struct sockaddr_un *at) {
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(at->sun_path, sizeof at->sun_path, "%s", path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* -1: errno says why not. */
static int connect_here(void) {
    struct sockaddr_un at;
    int fd = new_socket(&at);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Until the other end is closed. */
static void await_end(int fd) {
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    assert_int_equal(poll(&end, 1, 60000), 1);
}

/* All that comes until the end, ended by NUL; its size. */
static size_t read_to_end(int fd, char *bytes, size_t most) {
    size_t size = 0;
    ssize_t got = 1;
    while (got > 0 && size + 1 < most) {
        got = read(fd, bytes + size, most - size - 1);
        size += got > 0 ? (size_t)got : 0;
    }
    bytes[size] = '\0';
    (void)close(fd);
    return size;
}

static void read_report(void) {
    int fd = connect_here();
    assert_true(fd >= 0);
    size_t size = read_to_end(fd, text, sizeof text);
    assert_true(size > 2 && text[0] == '{' && strcmp(text + size - 2, "}\n") == 0);
    assert_ptr_equal(strchr(text, '\n'), text + size - 1);
}

static void says(const char *wanted) {
    if (strstr(text, wanted) == NULL) {
        fail_msg("'%s' is not in: %s", wanted, text);
    }
}

/* ---- what is told ---- */

static void load_something(struct source *source, hearth *cache) {
    source->text = "x";
    assert_int_equal(source_fetch(cache, "loaded", source, NULL), HEARTH_OK);
    for (int i = 0; i < 4000; i++) { /* enough to be hot */
        assert_string_equal(cache_get(cache, "a\"\x01\xff", 0), "MISS");
    }
}

static void a_report_is_one_object_on_a_line(void **state) {
    (void)state;
    struct source source = {SOURCE_INIT};
    char pid[32];
    (void)snprintf(pid, sizeof pid, "\"pid\":%ld,", (long)getpid());
    hearth *cache = open_at(path);
    load_something(&source, cache);
    read_report();
    assert_ptr_equal(strstr(text, "{\"hearth_stats\":1,\"version\":\""), text);
    says(pid);
    says("\"reads\":4001,");
    says("\"loads\":1,");
    says("\"key\":\"a\\\"\\u0001\\u00ff\"}");
    says("\"size\":4,");
    says("\"nodes\":[{\"name\":\"embedded\",\"weight\":1,\"requests\":4");
    says("\"breaker_open\":false,\"queued_deletes\":0,\"us\":[[");
    says("\"remote_us\":[[");
    says("\"load_us\":[[");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static hearth *open_space(hearth *cache, const char *name, int reads) {
    hearth *view = NULL;
    assert_int_equal(hearth_namespace_open(cache, name, strlen(name), &view), HEARTH_OK);
    assert_int_equal(cache_set(view, "key", "value"), HEARTH_OK);
    for (int i = 0; i < reads; i++) {
        assert_string_equal(cache_get(view, "key", 0), "=value");
    }
    return view;
}

/* Each has the figures that are a namespace's, and only those. */
static void namespaces_are_told_by_their_names(void **state) {
    (void)state;
    hearth *cache = open_at(path);
    hearth *users = open_space(cache, "users", 3);
    hearth *odd = open_space(cache, "o\"d\xff", 5);
    read_report();
    says("{\"name\":\"users\",\"reads\":3,\"local_hits\":3,");
    says("{\"name\":\"o\\\"d\\u00ff\",\"reads\":5,\"local_hits\":5,");
    const char *of_users = strstr(text, "\"name\":\"users\"");
    const char *end = strchr(of_users, '}');
    const char *entries = strstr(of_users, "\"local_entries\":1,");
    assert_true(entries != NULL && entries < end);
    assert_true(strstr(of_users, "\"local_limit_bytes\"") == NULL ||
                strstr(of_users, "\"local_limit_bytes\"") > end);
    assert_int_equal(hearth_close(users), HEARTH_OK);
    assert_int_equal(hearth_close(odd), HEARTH_OK);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_node_that_cannot_be_reached_is_told(void **state) {
    (void)state;
    hearth *cache = cache_open((const char *const[]){"stats.socket", path, "remote.url",
                                                     "redis+unix:///nowhere/1,/nowhere/2",
                                                     "breaker.failures", "1", NULL});
    assert_non_null(cache);
    for (int i = 0; i < 64; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "%d", i);
        (void)cache_get(cache, key, 0);
    }
    read_report();
    says("\"name\":\"/nowhere/1\"");
    says("\"name\":\"/nowhere/2\"");
    says("\"breaker_open\":true");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- its file ---- */

static void the_file_is_the_users_alone_and_goes_with_the_cache(void **state) {
    (void)state;
    struct stat file;
    mode_t mask = umask(0);
    hearth *cache = open_at(path);
    (void)umask(mask);
    assert_int_equal(lstat(path, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(lstat(path, &file), -1);
}

static void a_narrow_umask_does_not_shut_the_user_out(void **state) {
    (void)state;
    struct stat file;
    mode_t mask = umask(0777);
    hearth *cache = open_at(path);
    (void)umask(mask);
    assert_int_equal(lstat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    read_report();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_path_that_is_served_is_refused(void **state) {
    (void)state;
    hearth *cache = open_at(path);
    is_refused(path, HEARTH_E_UNAVAILABLE, "is served already, by this process; give each");
    read_report();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(hearth_close(open_at(path)), HEARTH_OK);
}

static void what_a_dead_process_left_is_replaced(void **state) {
    (void)state;
    struct sockaddr_un at;
    int fd = new_socket(&at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    (void)close(fd);
    hearth *cache = open_at(path);
    read_report();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void what_is_no_socket_is_left_alone(void **state) {
    (void)state;
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fclose(file);
    is_refused(path, HEARTH_E_UNAVAILABLE, "is no socket; remove it");
    assert_int_equal(unlink(path), 0);
    is_refused("/nowhere/at/all", HEARTH_E_UNAVAILABLE, "No such file or directory");
    is_refused("here", HEARTH_E_INVALID, "does not begin with /");
}

static void a_file_that_is_another_ones_by_now_stays(void **state) {
    (void)state;
    hearth *first = open_at(path);
    assert_int_equal(unlink(path), 0);
    hearth *second = open_at(path);
    assert_int_equal(hearth_close(first), HEARTH_OK);
    read_report();
    assert_int_equal(hearth_close(second), HEARTH_OK);
}

/* ---- readers ---- */

/* In a child that is another user: what came of reading; 0: there was nothing to be had, by what `error` says. */
static int read_as_nobody(int error) {
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 1;
    }
    int fd = connect_here();
    if (fd < 0) {
        return errno == error ? 0 : 2;
    }
    char byte = 0;
    return error == 0 && read(fd, &byte, 1) <= 0 ? 0 : 3;
}

static void nobody_reads(int error) {
    pid_t child = fork();
    if (child == 0) {
        _exit(read_as_nobody(error));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void another_user_reads_nothing(void **state) {
    (void)state;
    if (geteuid() != 0) {
        skip(); /* only root can be another user */
    }
    hearth *cache = open_at(path);
    nobody_reads(EACCES);
    assert_int_equal(chmod(path, 0666), 0);
    nobody_reads(0);
    read_report();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* A cache whose report does not fit into a socket's buffer: of so many nodes. */
static hearth *open_large(void) {
    enum { NODES = 1000 };
    char *url = malloc(NODES * 16 + 32);
    assert_non_null(url);
    size_t used = (size_t)sprintf(url, "redis+unix://");
    for (int i = 0; i < NODES; i++) {
        used += (size_t)sprintf(url + used, "%s/n%d", i != 0 ? "," : "", i);
    }
    hearth *cache =
        cache_open((const char *const[]){"stats.socket", path, "remote.url", url, NULL});
    assert_non_null(cache);
    free(url);
    return cache;
}

static void readers_that_do_not_read_keep_nobody_out_for_long(void **state) {
    (void)state;
    int slow[READERS];
    hearth *cache = open_large();
    for (size_t i = 0; i < READERS; i++) {
        slow[i] = connect_here();
        assert_true(slow[i] >= 0);
    }
    read_report(); /* there is no place for it, until those have had their time */
    says("\"name\":\"/n999\"");
    for (size_t i = 0; i < READERS; i++) {
        await_end(slow[i]); /* each has its own time */
        size_t size = read_to_end(slow[i], text, sizeof text);
        assert_true(size > 0 && text[size - 1] != '\n');
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_close_waits_for_no_reader(void **state) {
    (void)state;
    hearth *cache = open_large();
    int slow = connect_here();
    int idle = connect_here();
    char byte = 0;
    assert_int_equal(recv(slow, &byte, 1, 0), 1); /* it is being served */
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    (void)read_to_end(slow, text, sizeof text);
    (void)read_to_end(idle, text, sizeof text);
    assert_int_equal(connect_here(), -1);
}

static void who_talks_or_leaves_is_no_trouble(void **state) {
    (void)state;
    hearth *cache = open_at(path);
    for (int i = 0; i < 200; i++) {
        int fd = connect_here();
        assert_true(fd >= 0);
        (void)send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
        (void)close(fd);
    }
    read_report();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- fork ---- */

static int count_sockets(void) {
    DIR *list = opendir("/proc/self/fd");
    char link[64];
    int count = 0;
    for (struct dirent *entry = list != NULL ? readdir(list) : NULL; entry != NULL;
         entry = readdir(list)) {
        ssize_t size = readlinkat(dirfd(list), entry->d_name, link, sizeof link);
        count += size > 7 && memcmp(link, "socket:", 7) == 0;
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return count;
}

/* In a child. 0: it has nothing of its parent's socket, and ends nothing of it. */
static int leave_alone(hearth *cache, int sockets) {
    if (count_sockets() != sockets) {
        return 1;
    }
    if (hearth_close(cache) != HEARTH_OK) {
        return 2;
    }
    int fd = connect_here();
    return fd >= 0 && read_to_end(fd, text, sizeof text) > 0 ? 0 : 3;
}

static void a_child_leaves_its_parents_socket_alone(void **state) {
    (void)state;
    char pid[32];
    int status = 0;
    int sockets = count_sockets();
    hearth *cache = open_at(path);
    assert_true(count_sockets() > sockets);
    pid_t child = fork();
    if (child == 0) {
        _exit(leave_alone(cache, sockets));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)snprintf(pid, sizeof pid, "\"pid\":%ld,", (long)getpid());
    read_report();
    says(pid);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void without_memory_it_does_not_open(void **state) {
    (void)state;
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "stats.socket", path), HEARTH_OK);
    int32_t status = HEARTH_E_NOMEM;
    for (uint64_t i = 0; status == HEARTH_E_NOMEM; i++) {
        hearth *cache = NULL;
        int64_t blocks = failing_memory_blocks();
        failing_memory_fail(i, 1);
        status = hearth_open(options, &cache);
        failing_memory_pass();
        if (status != HEARTH_OK) {
            assert_int_equal(failing_memory_blocks(), blocks);
            assert_int_equal(access(path, F_OK), -1);
        } else {
            read_report();
            assert_int_equal(hearth_close(cache), HEARTH_OK);
        }
    }
    assert_int_equal(status, HEARTH_OK);
    hearth_options_free(options);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_report_is_one_object_on_a_line),
        TEST(namespaces_are_told_by_their_names),
        TEST(a_node_that_cannot_be_reached_is_told),
        TEST(the_file_is_the_users_alone_and_goes_with_the_cache),
        TEST(a_narrow_umask_does_not_shut_the_user_out),
        TEST(a_path_that_is_served_is_refused),
        TEST(what_a_dead_process_left_is_replaced),
        TEST(what_is_no_socket_is_left_alone),
        TEST(a_file_that_is_another_ones_by_now_stays),
        TEST(another_user_reads_nothing),
        TEST(readers_that_do_not_read_keep_nobody_out_for_long),
        TEST(a_close_waits_for_no_reader),
        TEST(who_talks_or_leaves_is_no_trouble),
        TEST(a_child_leaves_its_parents_socket_alone),
        TEST(without_memory_it_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
