/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench doctor`: what a Memcached node says of itself; and keys of nodes of either kind. */
#include "hearth-bench/doctor_checks.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIPS = 300, TRIPS_NS = 500000000, LINES_BYTES = 16384 };

/* ---- what it says ------------------------------------------------------------------------ */

/* As INFO of Redis: a name, a colon, a value, a line end. */
struct lines {
    size_t size;
    char text[LINES_BYTES];
};

static memcached_return_t take_line(const memcached_instance_st *server, const char *key,
                                    size_t key_size, const char *value, size_t value_size,
                                    void *context) {
    struct lines *lines = context;
    size_t room = sizeof lines->text - lines->size;
    (void)server;
    if (key_size + value_size + 3 <= room) {
        int size = snprintf(lines->text + lines->size, room, "%.*s:%.*s\n", (int)key_size, key,
                            (int)value_size, value);
        lines->size += (size_t)size;
    }
    return MEMCACHED_SUCCESS;
}

static void say_why(const memcached_st *client, memcached_return_t result, char *why) {
    int number = memcached_last_error_errno(client);
    (void)snprintf(why, DOCTOR_WHY, "%s%s%s", memcached_strerror(client, result),
                   number != 0 ? ", " : "", number != 0 ? strerror(number) : "");
}

static bool ask(struct doctor_node *node, const char *about, struct lines *lines) {
    char why[DOCTOR_WHY];
    lines->size = 0;
    lines->text[0] = '\0';
    memcached_return_t result =
        memcached_stat_execute(node->memcached, about, take_line, lines);
    if (result != MEMCACHED_SUCCESS) {
        say_why(node->memcached, result, why);
        doctor_lose(node, why);
    }
    return result == MEMCACHED_SUCCESS;
}

static void check_stats(struct doctor *doctor, struct doctor_node *node, const char *stats) {
    char version[24];
    char *end = NULL;
    (void)doctor_field(stats, "version", version, sizeof version);
    (void)snprintf(node->version, sizeof node->version, "memcached %s", version);
    node->used_bytes = doctor_number(stats, "bytes");
    node->max_bytes = doctor_number(stats, "limit_maxbytes");
    node->evicted = doctor_number(stats, "evictions");
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    if (major < 1 || (major == 1 && minor < 6)) {
        doctor_advise(doctor, node,
                      "is older than 1.6 and has no meta commands: a read there does not learn "
                      "how long the value still lives");
    }
    if (node->evicted != 0) {
        doctor_advise(doctor, node,
                      "has evicted keys for want of memory since it was started: what was "
                      "evicted is loaded again");
    }
    if (doctor_number(stats, "listen_disabled_num") != 0) {
        doctor_advise(doctor, node,
                      "has run out of connections since it was started: raise its -c");
    }
}

static void check_settings(struct doctor *doctor, struct doctor_node *node,
                           const char *settings) {
    char text[16];
    bool evicts = !doctor_field(settings, "evictions", text, sizeof text) || text[1] == 'n';
    (void)snprintf(node->policy, sizeof node->policy, "%s", evicts ? "lru" : "noeviction");
    if (!evicts) {
        doctor_wrong(doctor, node, "refuses writes once it is full: start it without -M");
    }
    if (doctor_field(settings, "cas_enabled", text, sizeof text) && strcmp(text, "no") == 0) {
        doctor_wrong(doctor, node,
                     "cannot compare and set, which leases and conditional writes need: start "
                     "it without -C");
    }
}

static void time_trips(struct doctor_node *node) {
    static const char key[] = "hearth-doctor:nothing";
    char why[DOCTOR_WHY];
    double us[TRIPS];
    size_t count = 0;
    int64_t end_ns = hearth__monotonic_ns() + TRIPS_NS;
    for (int64_t before_ns = 0; node->answers && count < TRIPS && before_ns < end_ns;) {
        size_t size = 0;
        uint32_t flags = 0;
        memcached_return_t result = MEMCACHED_SUCCESS;
        before_ns = hearth__monotonic_ns();
        free(memcached_get(node->memcached, key, sizeof key - 1, &size, &flags, &result));
        if (result != MEMCACHED_SUCCESS && result != MEMCACHED_NOTFOUND) {
            say_why(node->memcached, result, why);
            doctor_lose(node, why);
            break;
        }
        us[count++] = (double)(hearth__monotonic_ns() - before_ns) / 1e3;
    }
    node->trip = doctor_times_of(us, count);
}

/* ---- one node ---------------------------------------------------------------------------- */

static bool connect_to(struct doctor_node *node) {
    memcached_st *client = memcached_create(NULL);
    node->memcached = client;
    return client != NULL &&
           memcached_behavior_set(client, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, DOCTOR_BOUND_MS) ==
               MEMCACHED_SUCCESS &&
           memcached_behavior_set(client, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT,
                                  DOCTOR_BOUND_MS) == MEMCACHED_SUCCESS &&
           memcached_behavior_set(client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1) ==
               MEMCACHED_SUCCESS &&
           (node->address->port == 0
                ? memcached_server_add_unix_socket(client, node->address->host)
                : memcached_server_add(client, node->address->host, node->address->port)) ==
               MEMCACHED_SUCCESS;
}

void doctor_meet_memcached(struct doctor *doctor, struct doctor_node *node) {
    struct lines *lines = calloc(1, sizeof *lines);
    node->answers = lines != NULL && connect_to(node);
    if (!node->answers) {
        doctor_lose(node, "no memory");
    } else if (ask(node, NULL, lines)) {
        check_stats(doctor, node, lines->text);
        if (ask(node, "settings", lines)) {
            check_settings(doctor, node, lines->text);
        }
        time_trips(node);
    }
    free(lines);
}

/* ---- keys -------------------------------------------------------------------------------- */

bool doctor_put(struct doctor_node *node, const char *key, const char *value) {
    if (node->memcached != NULL) {
        return memcached_set(node->memcached, key, strlen(key), value, strlen(value),
                             DOCTOR_LIFE_S, 0) == MEMCACHED_SUCCESS;
    }
    redisReply *reply = redisCommand(node->redis, "SET %b %s EX %d", key, strlen(key), value,
                                     (int)DOCTOR_LIFE_S);
    bool stored = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return stored;
}

char *doctor_look(struct doctor_node *node, const char *key, size_t *size) {
    uint32_t flags = 0;
    memcached_return_t result = MEMCACHED_SUCCESS;
    char *value = NULL;
    if (node->memcached != NULL) {
        return memcached_get(node->memcached, key, strlen(key), size, &flags, &result);
    }
    redisReply *reply = redisCommand(node->redis, "GET %b", key, strlen(key));
    if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
        value = malloc(reply->len + 1);
        *size = reply->len;
        if (value != NULL) {
            memcpy(value, reply->str, reply->len);
        }
    }
    freeReplyObject(reply);
    return value;
}

void doctor_delete(struct doctor_node *node, const char *key) {
    if (node->memcached != NULL) {
        (void)memcached_delete(node->memcached, key, strlen(key), 0);
        return;
    }
    freeReplyObject(redisCommand(node->redis, "DEL %b", key, strlen(key)));
}
