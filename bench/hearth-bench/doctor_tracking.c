/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hearth-bench doctor`: invalidations as Redis documents them for RESP2 ("Server-assisted client-side caching", redirection):
 * one connection subscribes to __redis__:invalidate, another has its reads tracked and redirected there, and a third one writes.
 */
#include "hearth-bench/doctor_checks.h"

#include "base/clock.h"
#include "redis_connection.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 100, ROUNDS_NS = 1000000000 };

struct ears {
    redisContext *listener;
    redisContext *reader;
};

/* Whether there is an answer, and no error; else the reason is in `why`. */
static bool is_fine(redisContext *context, redisReply *reply, char *why) {
    bool fine = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!fine) {
        (void)snprintf(why, DOCTOR_WHY, "%s", reply != NULL ? reply->str : context->errstr);
    }
    freeReplyObject(reply);
    return fine;
}

static bool open_ears(struct doctor *doctor, const struct doctor_node *node, struct ears *ears,
                      char *why) {
    size_t number = (size_t)(node - doctor->nodes);
    ears->listener =
        redis_connection_open(&doctor->url, number, DOCTOR_BOUND_MS, why, DOCTOR_WHY);
    ears->reader =
        redis_connection_open(&doctor->url, number, DOCTOR_BOUND_MS, why, DOCTOR_WHY);
    if (ears->listener == NULL || ears->reader == NULL) {
        return false;
    }
    redisReply *reply = redisCommand(ears->listener, "CLIENT ID");
    long long id = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    return is_fine(ears->listener, reply, why) &&
           is_fine(ears->listener,
                   redisCommand(ears->listener, "SUBSCRIBE __redis__:invalidate"), why) &&
           is_fine(ears->reader,
                   redisCommand(ears->reader, "CLIENT TRACKING ON REDIRECT %lld", id), why);
}

static void close_ears(struct ears *ears) {
    if (ears->listener != NULL) {
        redisFree(ears->listener);
    }
    if (ears->reader != NULL) {
        redisFree(ears->reader);
    }
}

/* ["message", "__redis__:invalidate", [key, ...]] */
static bool names(const redisReply *message, const char *key) {
    if (message == NULL || message->type != REDIS_REPLY_ARRAY || message->elements != 3 ||
        message->element[2]->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i < message->element[2]->elements; i++) {
        const redisReply *named = message->element[2]->element[i];
        if (named->type == REDIS_REPLY_STRING && strcmp(named->str, key) == 0) {
            return true;
        }
    }
    return false;
}

/* Reads messages until one names the key. False: none did in time. */
static bool hear(redisContext *listener, const char *key) {
    bool heard = false;
    void *taken = NULL;
    while (!heard && redisGetReply(listener, &taken) == REDIS_OK) {
        heard = names(taken, key);
        freeReplyObject(taken);
    }
    return heard;
}

static void time_invalidations(struct doctor_node *node, const struct ears *ears,
                               const char *key) {
    double us[ROUNDS];
    size_t count = 0;
    int64_t end_ns = hearth__monotonic_ns() + ROUNDS_NS;
    for (int64_t before_ns = 0; count < ROUNDS && before_ns < end_ns; count++) {
        if (!is_fine(ears->reader, redisCommand(ears->reader, "GET %s", key),
                     node->not_tracked)) {
            break;
        }
        before_ns = hearth__monotonic_ns();
        if (!doctor_put(node, key, "1")) {
            (void)snprintf(node->not_tracked, DOCTOR_WHY, "it does not take a key");
            break;
        }
        if (!hear(ears->listener, key)) {
            (void)snprintf(node->not_tracked, DOCTOR_WHY, "no message came within %d ms",
                           (int)DOCTOR_BOUND_MS);
            break;
        }
        us[count] = (double)(hearth__monotonic_ns() - before_ns) / 1e3;
    }
    node->invalidation = doctor_times_of(us, node->not_tracked[0] == '\0' ? count : 0);
}

void doctor_track(struct doctor *doctor, struct doctor_node *node) {
    char key[256];
    struct ears ears = {NULL, NULL};
    (void)snprintf(key, sizeof key, "%stracked-%ld",
                   doctor->prefix != NULL ? doctor->prefix : "hearth-doctor:", (long)getpid());
    if (open_ears(doctor, node, &ears, node->not_tracked) && !doctor->reads_only) {
        time_invalidations(node, &ears, key);
        doctor_delete(node, key);
    }
    close_ears(&ears);
    if (node->not_tracked[0] != '\0') {
        doctor_advise(doctor, node,
                      "does not tell what changed (%s): local copies there can only be kept "
                      "fresh by a short life, local.max_ttl_ms",
                      node->not_tracked);
    }
}
