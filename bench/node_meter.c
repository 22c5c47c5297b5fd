/* SPDX-License-Identifier: Apache-2.0 */
#include "node_meter.h"

#include <hiredis/hiredis.h>
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct timeval bound = {0, 500000};

struct meter_node {
    const hearth__node_address *address;
    redisContext *redis;
    memcached_st *memcached;
    uint64_t own_commands; /* ours, until and with the present reading's */
    uint64_t own_bytes;    /* ours, until the node counts for the present reading */
};

struct node_meter {
    const hearth__remote_url *url;
    size_t count;
    struct meter_node nodes[];
};

/* ---- Redis ------------------------------------------------------------------------------- */

/* True: the answer is no error. Request and answer are counted as ours. */
static bool ask_redis(struct meter_node *node, int count, const char *const *words,
                      char **text) {
    const char *list[3] = {words[0], words[1], words[2]};
    redisReply *reply = redisCommandArgv(node->redis, count, list, NULL);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    node->own_commands++;
    if (good && text != NULL && reply->type == REDIS_REPLY_STRING) {
        *text = strndup(reply->str, reply->len);
        good = *text != NULL;
        /* $, digits of the length, two line ends */
        node->own_bytes += reply->len + (size_t)snprintf(NULL, 0, "$%zu\r\n\r\n", reply->len);
    }
    for (int i = 0; i < count; i++) {
        node->own_bytes +=
            strlen(words[i]) + (size_t)snprintf(NULL, 0, "$%zu\r\n\r\n", strlen(words[i]));
    }
    node->own_bytes += 4; /* *2 and a line end */
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return good;
}

static bool greet(const struct node_meter *meter, struct meter_node *node) {
    const hearth__remote_url *url = meter->url;
    char database[16];
    const char *const named[] = {"AUTH", url->user, url->password};
    const char *const unnamed[] = {"AUTH", url->password, NULL};
    const char *const select[] = {"SELECT", database, NULL};
    (void)snprintf(database, sizeof database, "%u", url->database);
    bool good = url->password == NULL || ask_redis(node, url->user != NULL ? 3 : 2,
                                                   url->user != NULL ? named : unnamed, NULL);
    return good && (url->database == 0 || ask_redis(node, 2, select, NULL));
}

static bool connect_redis(const struct node_meter *meter, struct meter_node *node) {
    const hearth__node_address *address = node->address;
    if (node->redis != NULL && node->redis->err == 0) {
        return true;
    }
    if (node->redis != NULL) {
        redisFree(node->redis);
    }
    node->redis = address->port == 0
                      ? redisConnectUnixWithTimeout(address->host, bound)
                      : redisConnectWithTimeout(address->host, address->port, bound);
    return node->redis != NULL && node->redis->err == 0 &&
           redisSetTimeout(node->redis, bound) == REDIS_OK && greet(meter, node);
}

/* The number behind a name of INFO; 0: there is none. */
static double number_of(const char *info, const char *name) {
    const char *at = strstr(info, name);
    return at != NULL ? strtod(at + strlen(name), NULL) : 0;
}

static void read_redis(const struct node_meter *meter, struct meter_node *node,
                       struct node_reading *reading) {
    static const char *const about_cpu[] = {"INFO", "cpu", NULL};
    static const char *const about_stats[] = {"INFO", "stats", NULL};
    char *cpu = NULL;
    char *stats = NULL;
    if (!connect_redis(meter, node) || !ask_redis(node, 2, about_cpu, &cpu)) {
        return;
    }
    uint64_t out_bytes = node->own_bytes; /* its own answer is not in what it says */
    if (ask_redis(node, 2, about_stats, &stats)) {
        uint64_t request_bytes = 4 + 10 + 11; /* *2, INFO, stats */
        double bytes = number_of(stats, "\ntotal_net_input_bytes:") +
                       number_of(stats, "\ntotal_net_output_bytes:");
        /* The command that asks is counted after it was answered. */
        double commands = number_of(stats, "\ntotal_commands_processed:");
        double seconds = number_of(cpu, "used_cpu_sys:") + number_of(cpu, "\nused_cpu_user:");
        *reading = (struct node_reading){
            .commands = (uint64_t)commands - (node->own_commands - 1),
            .bytes = (uint64_t)bytes - (out_bytes + request_bytes),
            .cpu_us = (uint64_t)(seconds * 1e6),
            .is_known = commands >= (double)(node->own_commands - 1),
        };
    }
    free(cpu);
    free(stats);
}

/* ---- Memcached --------------------------------------------------------------------------- */

static bool connect_memcached(struct meter_node *node) {
    const hearth__node_address *address = node->address;
    if (node->memcached != NULL) {
        return true;
    }
    node->memcached = memcached_create(NULL);
    if (node->memcached == NULL) {
        return false;
    }
    uint64_t bound_ms = (uint64_t)bound.tv_usec / 1000;
    (void)memcached_behavior_set(node->memcached, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, bound_ms);
    (void)memcached_behavior_set(node->memcached, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, bound_ms);
    return (address->port == 0
                ? memcached_server_add_unix_socket(node->memcached, address->host)
                : memcached_server_add(node->memcached, address->host, address->port)) ==
           MEMCACHED_SUCCESS;
}

static memcached_return_t take_stat(const memcached_instance_st *server, const char *key,
                                    size_t key_size, const char *value, size_t value_size,
                                    void *context) {
    struct node_reading *reading = context;
    char text[64] = "";
    (void)server;
    memcpy(text, value, value_size < sizeof text ? value_size : sizeof text - 1);
    uint64_t number = strtoull(text, NULL, 10);
    if ((key_size == 7 && memcmp(key, "cmd_get", 7) == 0) ||
        (key_size == 7 && memcmp(key, "cmd_set", 7) == 0) ||
        (key_size == 9 && memcmp(key, "cmd_touch", 9) == 0)) {
        reading->commands += number;
    } else if ((key_size == 10 && memcmp(key, "bytes_read", 10) == 0) ||
               (key_size == 13 && memcmp(key, "bytes_written", 13) == 0)) {
        reading->bytes += number;
    } else if ((key_size == 11 && memcmp(key, "rusage_user", 11) == 0) ||
               (key_size == 13 && memcmp(key, "rusage_system", 13) == 0)) {
        reading->cpu_us += (uint64_t)(strtod(text, NULL) * 1e6);
        reading->is_known = true;
    }
    /* Name and value, "STAT ", a blank, a line end: about what our asking costs. */
    return MEMCACHED_SUCCESS;
}

enum { STATS_BYTES = 7 + 2200 }; /* a request, and what some 90 lines take */

static void read_memcached(struct meter_node *node, struct node_reading *reading) {
    if (!connect_memcached(node) || memcached_stat_execute(node->memcached, NULL, take_stat,
                                                           reading) != MEMCACHED_SUCCESS) {
        *reading = (struct node_reading){.is_known = false};
        memcached_free(node->memcached);
        node->memcached = NULL;
        return;
    }
    reading->bytes -= reading->bytes < node->own_bytes ? reading->bytes : node->own_bytes;
    node->own_bytes += STATS_BYTES;
}

/* ---- the meter --------------------------------------------------------------------------- */

struct node_meter *node_meter_open(const hearth__remote_url *url, char *why, size_t why_size) {
    if (url->count > NODE_METER_NODES || url->kind == HEARTH__EMBEDDED) {
        (void)snprintf(why, why_size, "nodes can be asked what they did if they are 1 to %d",
                       NODE_METER_NODES);
        return NULL;
    }
    struct node_meter *meter =
        calloc(1, sizeof *meter + url->count * sizeof(struct meter_node));
    if (meter == NULL) {
        (void)snprintf(why, why_size, "no memory");
        return NULL;
    }
    meter->url = url;
    meter->count = url->count;
    for (size_t i = 0; i < url->count; i++) {
        struct meter_node *node = &meter->nodes[i];
        node->address = &url->nodes[i];
        bool reached =
            url->kind == HEARTH__REDIS ? connect_redis(meter, node) : connect_memcached(node);
        if (!reached) {
            (void)snprintf(why, why_size, "no answer from %s%s%.0u%s%s", node->address->host,
                           node->address->port != 0 ? ":" : "", node->address->port,
                           node->redis != NULL && node->redis->err != 0 ? ": " : "",
                           node->redis != NULL && node->redis->err != 0 ? node->redis->errstr
                                                                        : "");
            node_meter_close(meter);
            return NULL;
        }
    }
    return meter;
}

void node_meter_close(struct node_meter *meter) {
    for (size_t i = 0; meter != NULL && i < meter->count; i++) {
        if (meter->nodes[i].redis != NULL) {
            redisFree(meter->nodes[i].redis);
        }
        memcached_free(meter->nodes[i].memcached);
    }
    free(meter);
}

void node_meter_read(struct node_meter *meter, struct node_reading *readings) {
    for (size_t i = 0; i < meter->count; i++) {
        readings[i] = (struct node_reading){.is_known = false};
        if (meter->url->kind == HEARTH__REDIS) {
            read_redis(meter, &meter->nodes[i], &readings[i]);
        } else {
            read_memcached(&meter->nodes[i], &readings[i]);
        }
    }
}

bool node_meter_flush(struct node_meter *meter) {
    static const char *const words[] = {"FLUSHALL", NULL, NULL};
    bool all = meter->url->kind == HEARTH__REDIS;
    for (size_t i = 0; all && i < meter->count; i++) {
        struct meter_node *node = &meter->nodes[i];
        node->own_bytes += 5; /* +OK */
        all = connect_redis(meter, node) && ask_redis(node, 1, words, NULL);
    }
    return all;
}
