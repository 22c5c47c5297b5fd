/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_connection.h"

#include <stdio.h>

static bool is_fine(redisContext *context, redisReply *reply, char *why, size_t why_size) {
    bool fine = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!fine) {
        (void)snprintf(why, why_size, "%s", reply != NULL ? reply->str : context->errstr);
    }
    freeReplyObject(reply);
    return fine;
}

static bool greet(const hearth__remote_url *url, redisContext *context, char *why,
                  size_t why_size) {
    bool fine = true;
    if (url->password != NULL) {
        redisReply *reply = url->user != NULL
                                ? redisCommand(context, "AUTH %s %s", url->user, url->password)
                                : redisCommand(context, "AUTH %s", url->password);
        fine = is_fine(context, reply, why, why_size);
    }
    if (fine && url->database != 0) {
        fine =
            is_fine(context, redisCommand(context, "SELECT %u", url->database), why, why_size);
    }
    return fine;
}

redisContext *redis_connection_open(const hearth__remote_url *url, size_t node,
                                    int64_t bound_ms, char *why, size_t why_size) {
    const hearth__node_address *address = &url->nodes[node];
    const struct timeval bound = {.tv_sec = bound_ms / 1000, .tv_usec = bound_ms % 1000 * 1000};
    redisContext *context = address->port == 0
                                ? redisConnectUnixWithTimeout(address->host, bound)
                                : redisConnectWithTimeout(address->host, address->port, bound);
    if (context == NULL) {
        (void)snprintf(why, why_size, "no memory");
        return NULL;
    }
    bool fine = context->err == 0 && redisSetTimeout(context, bound) == REDIS_OK;
    if (!fine) {
        (void)snprintf(why, why_size, "%s", context->errstr);
    }
    if (!fine || !greet(url, context, why, why_size)) {
        redisFree(context);
        return NULL;
    }
    return context;
}
