/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench doctor`: what a Redis node says of itself. */
#include "hearth-bench/doctor_checks.h"

#include "base/clock.h"
#include "redis_connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PINGS = 300, PINGS_NS = 500000000 };

/* The answer, unless it is an error or none; then the reason is in `why`, and a node that said nothing is lost. */
static redisReply *ask(struct doctor_node *node, char *why, const char *words[], int count) {
    redisReply *reply = redisCommandArgv(node->redis, count, words, NULL);
    if (reply == NULL) {
        (void)snprintf(why, DOCTOR_WHY, "%s", node->redis->errstr);
        doctor_lose(node, why);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(why, DOCTOR_WHY, "%s", reply->str);
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

/* ---- what INFO says ---------------------------------------------------------------------- */

static void note_version(struct doctor_node *node, const char *info) {
    char name[16];
    char version[24];
    bool is_other = doctor_field(info, "server_name", name, sizeof name) &&
                    doctor_field(info, "valkey_version", version, sizeof version);
    if (!is_other) {
        (void)snprintf(name, sizeof name, "redis");
        (void)doctor_field(info, "redis_version", version, sizeof version);
    }
    (void)snprintf(node->version, sizeof node->version, "%s %s", name, version);
}

static void check_role(struct doctor *doctor, struct doctor_node *node, const char *info) {
    char text[32];
    if (doctor_number(info, "cluster_enabled") != 0) {
        doctor_wrong(doctor, node,
                     "is part of a Redis Cluster, which Hearth does not speak: it "
                     "would be told MOVED");
    }
    if (doctor_field(info, "redis_mode", text, sizeof text) && strcmp(text, "sentinel") == 0) {
        doctor_wrong(doctor, node, "is a Sentinel, not a Redis: name the servers themselves");
    }
    if (doctor_field(info, "role", text, sizeof text) && strcmp(text, "slave") == 0) {
        doctor_wrong(doctor, node, "is a replica: it refuses writes; name its primary");
    }
    if (doctor_number(info, "loading") != 0) {
        doctor_wrong(doctor, node, "is still loading its data: try again later");
    }
    uint64_t limit = doctor_number(info, "maxclients");
    if (limit != 0 && doctor_number(info, "connected_clients") * 10 > limit * 8) {
        doctor_advise(doctor, node, "has over 80 %% of the clients that maxclients allows");
    }
}

static void check_version(struct doctor *doctor, struct doctor_node *node, const char *info) {
    char version[24];
    char *end = NULL;
    if (!doctor_field(info, "redis_version", version, sizeof version)) {
        return;
    }
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    if (major < 6 || (major == 6 && minor < 2)) {
        doctor_advise(doctor, node,
                      "is older than 6.2: tracking and some of the commands that Hearth's "
                      "scripts use need that");
    }
}

static void check_memory(struct doctor *doctor, struct doctor_node *node, const char *info) {
    node->used_bytes = doctor_number(info, "used_memory");
    node->max_bytes = doctor_number(info, "maxmemory");
    node->evicted = doctor_number(info, "evicted_keys");
    (void)doctor_field(info, "maxmemory_policy", node->policy, sizeof node->policy);
    bool refuses = strcmp(node->policy, "noeviction") == 0;
    if (node->max_bytes == 0) {
        doctor_advise(doctor, node,
                      "has no maxmemory: it grows until the machine has no memory left. Set "
                      "maxmemory, and maxmemory-policy allkeys-lru or allkeys-lfu");
    } else if (refuses && node->used_bytes * 10 > node->max_bytes * 9) {
        doctor_wrong(doctor, node,
                     "is over 90 %% full and refuses writes when it is (maxmemory-policy "
                     "noeviction): set allkeys-lru or allkeys-lfu");
    } else if (refuses) {
        doctor_advise(doctor, node,
                      "refuses writes once it is full (maxmemory-policy noeviction): for a "
                      "cache set allkeys-lru or allkeys-lfu");
    } else if (strncmp(node->policy, "volatile-", 9) == 0) {
        doctor_advise(doctor, node,
                      "evicts only keys that expire (maxmemory-policy %s): with ttl_ms=0, or "
                      "other programs' keys, it may still fill up",
                      node->policy);
    }
    if (node->evicted != 0) {
        doctor_advise(doctor, node,
                      "has evicted keys for want of memory since it was started: what was "
                      "evicted is loaded again");
    }
}

/* ---- its settings ------------------------------------------------------------------------ */

/* False: it may not be asked, or has no such setting. */
static bool setting_of(struct doctor_node *node, const char *name, char *text, size_t size) {
    char why[DOCTOR_WHY];
    const char *words[] = {"CONFIG", "GET", name};
    redisReply *reply = node->answers ? ask(node, why, words, 3) : NULL;
    bool told = reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                reply->element[1]->type == REDIS_REPLY_STRING;
    (void)snprintf(text, size, "%s", told ? reply->element[1]->str : "");
    freeReplyObject(reply);
    return told;
}

static void check_persistence(struct doctor *doctor, struct doctor_node *node,
                              const char *info) {
    char save[128];
    bool logs = doctor_number(info, "aof_enabled") != 0;
    bool saves = setting_of(node, "save", save, sizeof save) && save[0] != '\0';
    if (logs || saves) {
        doctor_advise(
            doctor, node,
            "writes to disk (%s): after a restart it may hold values older than those "
            "it had acknowledged. A cache needs no persistence: save \"\", appendonly no",
            logs && saves ? "snapshots and the append-only file"
            : logs        ? "the append-only file"
                          : "snapshots");
    }
}

static void check_timeout(struct doctor *doctor, struct doctor_node *node) {
    char timeout[32];
    if (setting_of(node, "timeout", timeout, sizeof timeout) &&
        strtoul(timeout, NULL, 10) != 0) {
        doctor_advise(doctor, node,
                      "closes connections that are idle (timeout %s): each is opened anew, and "
                      "what it tracked is not tracked any more. Set timeout 0",
                      timeout);
    }
}

/* Hearth's conditional writes and leases are scripts. */
static void check_scripts(struct doctor *doctor, struct doctor_node *node) {
    char why[DOCTOR_WHY];
    const char *words[] = {"EVAL", "return 1", "0"};
    redisReply *reply = node->answers ? ask(node, why, words, 3) : NULL;
    if (reply == NULL && node->answers) {
        doctor_advise(doctor, node,
                      "refuses scripts (%s): add, replace, touch and leases then take more "
                      "trips",
                      why);
    }
    freeReplyObject(reply);
}

/* ---- round trips ------------------------------------------------------------------------- */

static void time_trips(struct doctor_node *node) {
    char why[DOCTOR_WHY];
    double us[PINGS];
    size_t count = 0;
    const char *words[] = {"PING"};
    int64_t end_ns = hearth__monotonic_ns() + PINGS_NS;
    for (int64_t before_ns = 0; node->answers && count < PINGS && before_ns < end_ns;) {
        before_ns = hearth__monotonic_ns();
        redisReply *reply = ask(node, why, words, 1);
        if (reply == NULL) {
            break;
        }
        freeReplyObject(reply);
        us[count++] = (double)(hearth__monotonic_ns() - before_ns) / 1e3;
    }
    node->trip = doctor_times_of(us, count);
}

/* ---- one node ---------------------------------------------------------------------------- */

void doctor_meet_redis(struct doctor *doctor, struct doctor_node *node) {
    char why[DOCTOR_WHY];
    node->redis = redis_connection_open(&doctor->url, (size_t)(node - doctor->nodes),
                                        DOCTOR_BOUND_MS, why, sizeof why);
    if (node->redis == NULL) {
        doctor_lose(node, why);
        return;
    }
    node->answers = true;
    const char *words[] = {"INFO"};
    redisReply *info = ask(node, why, words, 1);
    if (info != NULL && info->type == REDIS_REPLY_STRING) {
        note_version(node, info->str);
        (void)doctor_field(info->str, "run_id", node->identity, sizeof node->identity);
        check_role(doctor, node, info->str);
        check_version(doctor, node, info->str);
        check_memory(doctor, node, info->str);
        check_persistence(doctor, node, info->str);
    } else if (node->answers && strncmp(why, "NOAUTH", 6) == 0) {
        doctor_lose(node, why);
    } else if (node->answers) {
        doctor_advise(doctor, node,
                      "does not let us ask for INFO (%s): memory, eviction and persistence are "
                      "not known",
                      why);
    }
    freeReplyObject(info);
    check_timeout(doctor, node);
    check_scripts(doctor, node);
    time_trips(node);
}
