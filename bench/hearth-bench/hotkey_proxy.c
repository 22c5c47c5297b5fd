/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/hotkey_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* On the PATH, or where Debian has it, which is not on everybody's. */
static const char *const programs[] = {"nutcracker", "/usr/sbin/nutcracker"};

enum { PATH_BYTES = SERVERS_PATH_BYTES, TRIES = 2000 /* a millisecond each */ };

/* It wants a port for its statistics, and takes no unix socket. */
static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return bound ? ntohs(address.sin_port) : 0;
}

static bool write_configuration(const char *path, const char *socket_path,
                                const hearth__remote_url *nodes) {
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file,
                  "bench:\n  listen: %s 0600\n  hash: md5\n  distribution: ketama\n"
                  "  preconnect: true\n  redis: %s\n  servers:\n",
                  socket_path, nodes->kind == HEARTH__REDIS ? "true" : "false");
    for (size_t i = 0; i < nodes->count; i++) {
        (void)fprintf(file, "   - %s:1 node%zu\n", nodes->nodes[i].host, i);
    }
    return fclose(file) == 0;
}

/* The words of a command, each ended by NUL, as keeper_start() takes them. */
static size_t compose(char *command, size_t size, const char *const *words) {
    size_t used = 0;
    for (; *words != NULL && used + strlen(*words) + 1 <= size; words++) {
        memcpy(command + used, *words, strlen(*words) + 1);
        used += strlen(*words) + 1;
    }
    return used;
}

static bool listens(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return connected;
}

static bool await(struct servers *servers, pid_t pid, const char *path) {
    const struct timespec step = {.tv_nsec = 1000000};
    for (int i = 0; i < TRIES && keeper_is_running(&servers->keeper, pid); i++) {
        if (listens(path)) {
            return true;
        }
        (void)nanosleep(&step, NULL); /* it tells nobody when it listens */
    }
    return false;
}

int hotkey_proxy_start(struct servers *servers, const hearth__remote_url *nodes,
                       hearth__remote_url *proxy, char *why, size_t why_size) {
    char configuration[PATH_BYTES];
    char socket_path[PATH_BYTES];
    char log[PATH_BYTES];
    char port[16];
    char url[PATH_BYTES + 32];
    char command[KEEPER_COMMAND_BYTES];
    pid_t pid = 0;
    (void)snprintf(configuration, sizeof configuration, "%s/proxy.yml", servers->folder);
    (void)snprintf(socket_path, sizeof socket_path, "%s/proxy.sock", servers->folder);
    (void)snprintf(log, sizeof log, "%s/proxy.log", servers->folder);
    (void)snprintf(port, sizeof port, "%d", free_port());
    (void)snprintf(url, sizeof url, "%s+unix://%s",
                   nodes->kind == HEARTH__REDIS ? "redis" : "memcached", socket_path);
    if (!write_configuration(configuration, socket_path, nodes)) {
        (void)snprintf(why, why_size, "%s: %s", configuration, strerror(errno));
        return -1;
    }
    int error = ENOENT;
    for (size_t i = 0; error == ENOENT && i < sizeof programs / sizeof programs[0]; i++) {
        const char *const words[] = {log,  programs[i], "-c", configuration, "-s", port,
                                     "-a", "127.0.0.1", "-v", "1",           NULL};
        size_t size = compose(command, sizeof command, words);
        error = keeper_start(&servers->keeper, command, size, &pid);
    }
    if (error == ENOENT) {
        return 1;
    }
    if (error != 0 || !await(servers, pid, socket_path)) {
        (void)snprintf(why, why_size, "nutcracker does not start%s%s", error != 0 ? ": " : "",
                       error != 0 ? strerror(error) : "");
        return -1;
    }
    return hearth__remote_url_parse(url, proxy, why, why_size) == HEARTH_OK ? 0 : -1;
}
