/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/hotkey_remote.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_THOUGHTS_S = 5 };

/* ---- where nodes are --------------------------------------------------------------------- */

static bool is_same(const struct sockaddr *left, const struct sockaddr *right) {
    if (left == NULL || right == NULL || left->sa_family != right->sa_family) {
        return false;
    }
    if (left->sa_family == AF_INET) {
        return memcmp(&((const struct sockaddr_in *)(const void *)left)->sin_addr,
                      &((const struct sockaddr_in *)(const void *)right)->sin_addr,
                      sizeof(struct in_addr)) == 0;
    }
    return left->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)left)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)right)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

/* 127.0.0.0/8 is all here, though only one address of it is an interface's. */
static bool is_loopback(const struct sockaddr *address) {
    return address->sa_family == AF_INET &&
           ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
               127;
}

static bool is_own(const struct ifaddrs *own, const struct sockaddr *address) {
    bool found = is_loopback(address);
    for (; !found && own != NULL; own = own->ifa_next) {
        found = is_same(own->ifa_addr, address);
    }
    return found;
}

static bool is_node_here(const struct ifaddrs *own, const hearth__node_address *node) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (node->port == 0) {
        return true;
    }
    if (getaddrinfo(node->host, NULL, &hints, &found) != 0) {
        return false;
    }
    bool here = true;
    for (const struct addrinfo *at = found; here && at != NULL; at = at->ai_next) {
        here = is_own(own, at->ai_addr);
    }
    freeaddrinfo(found);
    return here;
}

bool hotkey_is_here(const hearth__remote_url *url) {
    struct ifaddrs *own = NULL;
    bool here = getifaddrs(&own) == 0;
    for (size_t i = 0; here && i < url->count; i++) {
        here = is_node_here(own, &url->nodes[i]);
    }
    freeifaddrs(own);
    return here;
}

/* ---- interrupts -------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void note_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

void hotkey_catch_interrupts(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_interrupt};
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
}

bool hotkey_is_interrupted(void) {
    return interrupted != 0;
}

/* ---- before anything is written ---------------------------------------------------------- */

static void say_plan(const struct bench *bench, const struct hotkey_scene *scene) {
    const struct hotkey_settings *settings = &scene->settings;
    (void)fprintf(stderr,
                  "hearth-bench: %s %s writes up to %u keys of %llu bytes and more under '%s*' "
                  "to:\n",
                  bench->suite_name, bench->case_name, scene->all_keys,
                  (unsigned long long)settings->value_low,
                  settings->prefix != NULL ? settings->prefix : "hearth-bench:");
    for (size_t i = 0; i < scene->url.count; i++) {
        const hearth__node_address *node = &scene->url.nodes[i];
        if (node->port == 0) {
            (void)fprintf(stderr, "  %s\n", node->host);
        } else {
            (void)fprintf(stderr, "  %s:%u\n", node->host, node->port);
        }
    }
    (void)fprintf(
        stderr, "It deletes them in the end, also after Ctrl-C; they live an hour at most.\n");
    if (settings->rate == 0) {
        (void)fprintf(stderr, "It asks as fast as it can: --rate N limits that.\n");
    }
}

int hotkey_warn(struct bench *bench, const struct hotkey_scene *scene) {
    say_plan(bench, scene);
    if (hotkey_is_here(&scene->url) || scene->settings.goes_on) {
        return 0;
    }
    (void)fprintf(stderr, "WARNING: these servers are not on this machine. If others use them, "
                          "they will feel it.\n");
    if (isatty(STDERR_FILENO) == 0) {
        (void)bench_fail(bench, "nothing was written: --yes says that it may be");
        return -1;
    }
    for (int left = SECOND_THOUGHTS_S; left > 0 && !hotkey_is_interrupted(); left--) {
        (void)fprintf(stderr, "\r\033[KIt begins in %d s; Ctrl-C prevents it.", left);
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    (void)fputs("\r\033[K", stderr);
    if (hotkey_is_interrupted()) {
        (void)bench_fail(bench, "nothing was written");
        return -1;
    }
    return 0;
}

void hotkey_pace(const struct hotkey_scene *scene, int64_t begin_ns, uint32_t done) {
    double rate = scene->settings.rate;
    if (scene->settings.remote == NULL || rate <= 0) {
        return;
    }
    int64_t due_ns = begin_ns + (int64_t)((double)done / rate * 1e9);
    const struct timespec until = {.tv_sec = due_ns / 1000000000,
                                   .tv_nsec = due_ns % 1000000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
