/* SPDX-License-Identifier: Apache-2.0 */
#include "servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_BOUND_MS = 10000, PROBE_BOUND_S = 1, PROGRAMS_MAX = 16 };

static const char *const binary_names[] = {"redis-server", "memcached"};
static const char *const url_schemes[] = {"redis", "memcached"};

/* A signal handler can only find what is global: the keepers of all open structs. */
static _Atomic int open_sockets[PROGRAMS_MAX];
static _Atomic pid_t open_keepers[PROGRAMS_MAX];

__attribute__((format(printf, 2, 3))) static int fail(struct servers *servers,
                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(servers->error, sizeof servers->error, format, arguments);
    va_end(arguments);
    return -1;
}

/* ---- the signal handler's table ---- */

static void enlist(const struct keeper *keeper) {
    for (size_t i = 0; i < PROGRAMS_MAX; i++) {
        pid_t nobody = 0;
        if (atomic_compare_exchange_strong(&open_keepers[i], &nobody, -1)) {
            atomic_store(&open_sockets[i], keeper->socket);
            atomic_store(&open_keepers[i], keeper->pid);
            return;
        }
    }
}

static void strike_off(const struct keeper *keeper) {
    for (size_t i = 0; i < PROGRAMS_MAX; i++) {
        pid_t pid = keeper->pid;
        if (atomic_compare_exchange_strong(&open_keepers[i], &pid, 0)) {
            return;
        }
    }
}

static void clean_up_and_die(int number) {
    pid_t pids[PROGRAMS_MAX];
    for (size_t i = 0; i < PROGRAMS_MAX; i++) {
        pids[i] = atomic_load(&open_keepers[i]);
        if (pids[i] > 0) {
            shutdown(atomic_load(&open_sockets[i]), SHUT_RDWR);
        }
    }
    for (size_t i = 0; i < PROGRAMS_MAX; i++) {
        while (pids[i] > 0 && waitpid(pids[i], NULL, 0) < 0 && errno == EINTR) {
        }
    }
    raise(number); /* SA_RESETHAND: now with the default action */
}

int servers_cleanup_on_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = clean_up_and_die, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (sigaction(numbers[i], &action, NULL) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- folder and command ---- */

static bool make_folder(char *folder, const char *parent) {
    int length = snprintf(folder, SERVERS_FOLDER_BYTES, "%s/hearth-XXXXXX", parent);
    return length > 0 && length < SERVERS_FOLDER_BYTES && mkdtemp(folder) != NULL;
}

int servers_open(struct servers *servers) {
    memset(servers, 0, sizeof *servers);
    /* The path of a unix socket holds 107 bytes: a long TMPDIR cannot be used. */
    const char *parent = getenv("TMPDIR");
    bool made = parent != NULL && parent[0] == '/' && make_folder(servers->folder, parent);
    if (!made && !make_folder(servers->folder, "/tmp")) {
        return fail(servers, "no temporary folder: %s", strerror(errno));
    }
    int error = keeper_open(&servers->keeper, servers->folder);
    if (error != 0) {
        rmdir(servers->folder);
        return fail(servers, "no process to keep servers: %s", strerror(error));
    }
    enlist(&servers->keeper);
    return 0;
}

static int append(struct server_node *node, const char *text) {
    size_t size = strlen(text) + 1;
    if (size > sizeof node->command - node->command_size) {
        return -1;
    }
    memcpy(node->command + node->command_size, text, size);
    node->command_size += size;
    return 0;
}

static int append_list(struct server_node *node, const char *const *arguments) {
    int failed = 0;
    for (; arguments != NULL && *arguments != NULL; arguments++) {
        failed |= append(node, *arguments);
    }
    return failed;
}

static int compose_redis(struct server_node *node, const char *data) {
    char port[16];
    snprintf(port, sizeof port, "%d", node->port);
    const char *const base[] = {"--dir",        data, "--save",      "",
                                "--appendonly", "no", "--daemonize", "no",
                                "--port",       port, NULL};
    const char *const local[] = {"--unixsocket", node->path, "--unixsocketperm", "700", NULL};
    const char *const tcp[] = {"--bind", node->host, NULL};
    return append_list(node, base) |
           append_list(node, node->transport == SERVER_UNIX ? local : tcp);
}

static int compose_memcached(struct server_node *node) {
    char port[16];
    snprintf(port, sizeof port, "%d", node->port);
    /* As root it wants a user's name. Not another user's: that would not get into our folder,
     * and a change of user undoes the death signal. */
    const char *const as_root[] = {"-u", "root", NULL};
    const char *const base[] = {"-U", "0", "-m", "256", NULL};
    const char *const local[] = {"-s", node->path, NULL};
    const char *const tcp[] = {"-l", node->host, "-p", port, NULL};
    return append_list(node, base) | append_list(node, geteuid() == 0 ? as_root : NULL) |
           append_list(node, node->transport == SERVER_UNIX ? local : tcp);
}

static int compose(struct servers *servers, struct server_node *node,
                   const char *const *arguments) {
    char data[SERVERS_PATH_BYTES - 5];
    char log[SERVERS_PATH_BYTES];
    char letter = url_schemes[node->kind][0];
    snprintf(data, sizeof data, "%s/%c%zu", servers->folder, letter, servers->count);
    snprintf(log, sizeof log, "%s.log", data);
    if (node->transport == SERVER_UNIX) {
        snprintf(node->path, sizeof node->path, "%s.sock", data);
    }
    if (mkdir(data, 0700) != 0 && errno != EEXIST) {
        return fail(servers, "%s: %s", data, strerror(errno));
    }
    int failed = append(node, log) | append(node, binary_names[node->kind]);
    failed |= node->kind == SERVER_REDIS ? compose_redis(node, data) : compose_memcached(node);
    failed |= append_list(node, arguments);
    return failed == 0 ? 0 : fail(servers, "too many arguments");
}

/* A socket that is bound, with SO_REUSEADDR, and never listens: the server may bind the same
 * port, nobody else gets it from the kernel, and a connect is refused while the server is down.
 */
static int reserve_port(struct servers *servers, struct server_node *node) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int on = 1;
    snprintf(node->host, sizeof node->host, "127.0.0.1");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    node->reservation = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (node->reservation < 0 ||
        setsockopt(node->reservation, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(node->reservation, (struct sockaddr *)&address, size) != 0 ||
        getsockname(node->reservation, (struct sockaddr *)&address, &size) != 0) {
        return fail(servers, "no loopback port: %s", strerror(errno));
    }
    node->port = ntohs(address.sin_port);
    return 0;
}

/* ---- waiting for the first answer ---- */

static int connect_node(const struct server_node *node) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)node->port)};
    const struct timeval bound = {PROBE_BOUND_S, 0};
    bool is_unix = node->transport == SERVER_UNIX;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    memcpy(local.sun_path, node->path, strlen(node->path));
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int result = is_unix ? connect(fd, (struct sockaddr *)&local, sizeof local)
                         : connect(fd, (struct sockaddr *)&tcp, sizeof tcp);
    if (result != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Any answer will do: a server that asks for a password first is up too. */
static bool answers(const struct server_node *node) {
    const char *probe = node->kind == SERVER_REDIS ? "PING\r\n" : "version\r\n";
    char byte;
    int fd = connect_node(node);
    if (fd < 0) {
        return false;
    }
    bool answered = send(fd, probe, strlen(probe), MSG_NOSIGNAL) == (ssize_t)strlen(probe) &&
                    recv(fd, &byte, 1, 0) == 1;
    close(fd);
    return answered;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail_with_log(struct servers *servers, const struct server_node *node,
                         const char *what) {
    char tail[SERVERS_ERROR_BYTES / 2] = "";
    const char *log = node->command;
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_END);
        off_t room = (off_t)sizeof tail - 1;
        ssize_t got = pread(fd, tail, sizeof tail - 1, end > room ? end - room : 0);
        tail[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    return fail(servers, "%s %s; its log ends:\n%s", binary_names[node->kind], what, tail);
}

static int await_answer(struct servers *servers, struct server_node *node) {
    int64_t deadline_ms = now_ms() + START_BOUND_MS;
    const struct timespec step = {0, 1000000};
    while (!answers(node)) {
        if (!keeper_is_running(&servers->keeper, node->pid)) {
            return fail_with_log(servers, node, "ended at once");
        }
        if (now_ms() >= deadline_ms) {
            return fail_with_log(servers, node, "does not answer");
        }
        nanosleep(&step, NULL);
    }
    return 0;
}

/* ---- nodes ---- */

static int run(struct servers *servers, struct server_node *node) {
    if (node->transport == SERVER_UNIX) {
        unlink(node->path);
    }
    int error = keeper_start(&servers->keeper, node->command, node->command_size, &node->pid);
    if (error == ENOENT) {
        return fail(servers, "%s is not installed (not found on the PATH)",
                    binary_names[node->kind]);
    }
    if (error != 0) {
        return fail(servers, "%s cannot start: %s", binary_names[node->kind], strerror(error));
    }
    if (await_answer(servers, node) != 0) {
        if (keeper_kill(&servers->keeper, node->pid) == 0) {
            node->pid = 0;
        }
        return -1;
    }
    return 0;
}

int servers_start(struct servers *servers, enum server_kind kind,
                  enum server_transport transport, const char *const *arguments) {
    if (servers->count == SERVERS_MAX) {
        return fail(servers, "more than %d servers", SERVERS_MAX);
    }
    struct server_node *node = &servers->nodes[servers->count];
    memset(node, 0, sizeof *node);
    node->kind = kind;
    node->transport = transport;
    node->reservation = -1;
    if ((transport == SERVER_TCP && reserve_port(servers, node) != 0) ||
        compose(servers, node, arguments) != 0 || run(servers, node) != 0) {
        if (node->reservation >= 0) {
            close(node->reservation);
        }
        return -1;
    }
    servers->count++;
    return 0;
}

static int report(struct servers *servers, const char *what, int error) {
    return error == 0 ? 0 : fail(servers, "cannot %s the server: %s", what, strerror(error));
}

int servers_kill(struct servers *servers, size_t node) {
    int error = keeper_kill(&servers->keeper, servers->nodes[node].pid);
    servers->nodes[node].pid = 0;
    return report(servers, "kill", error);
}

int servers_pause(struct servers *servers, size_t node) {
    return report(servers, "pause", keeper_pause(&servers->keeper, servers->nodes[node].pid));
}

int servers_resume(struct servers *servers, size_t node) {
    return report(servers, "resume", keeper_resume(&servers->keeper, servers->nodes[node].pid));
}

int servers_restart(struct servers *servers, size_t node) {
    if (servers->nodes[node].pid != 0 && servers_kill(servers, node) != 0) {
        return -1;
    }
    return run(servers, &servers->nodes[node]);
}

void servers_stop(struct servers *servers) {
    keeper_close(&servers->keeper);
    strike_off(&servers->keeper);
    for (size_t i = 0; i < servers->count; i++) {
        if (servers->nodes[i].reservation >= 0) {
            close(servers->nodes[i].reservation);
        }
    }
    servers->count = 0;
}

static int append_url(char *url, size_t size, size_t *used, const struct server_node *node,
                      bool is_first) {
    bool is_unix = node->transport == SERVER_UNIX;
    int length = 0;
    if (is_first) {
        length =
            snprintf(url, size, "%s%s://", url_schemes[node->kind], is_unix ? "+unix" : "");
        *used = (size_t)length;
    }
    if (*used >= size) {
        return -1;
    }
    const char *comma = is_first ? "" : ",";
    length =
        is_unix ? snprintf(url + *used, size - *used, "%s%s", comma, node->path)
                : snprintf(url + *used, size - *used, "%s%s:%d", comma, node->host, node->port);
    *used += (size_t)length;
    return *used < size ? 0 : -1;
}

int servers_url(struct servers *servers, enum server_kind kind, char *url, size_t size) {
    const struct server_node *first = NULL;
    size_t used = 0;
    for (size_t i = 0; i < servers->count; i++) {
        const struct server_node *node = &servers->nodes[i];
        if (node->kind != kind) {
            continue;
        }
        if (first != NULL && first->transport != node->transport) {
            return fail(servers, "nodes of both transports do not fit into one URL");
        }
        if (append_url(url, size, &used, node, first == NULL) != 0) {
            return fail(servers, "the URL needs more than %zu bytes", size);
        }
        first = first == NULL ? node : first;
    }
    return first != NULL ? 0 : fail(servers, "no server of that kind");
}
