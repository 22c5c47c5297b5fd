/* SPDX-License-Identifier: Apache-2.0 */
/* hiredis as anybody would use it. */
#include "contract/rig.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

static redisReply *ask(struct rig *rig, uint32_t node, size_t count, const char **words,
                       const size_t *sizes) {
    redisContext *context = redisConnectUnix(rig->servers.nodes[node].path);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    redisReply *reply = redisCommandArgv(context, (int)count, words, sizes);
    redisFree(context);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("redis: %s", reply->str);
    }
    return reply;
}

static redisReply *ask_text(struct rig *rig, uint32_t node, size_t count, const char **words) {
    size_t sizes[4];
    for (size_t i = 0; i < count; i++) {
        sizes[i] = strlen(words[i]);
    }
    return ask(rig, node, count, words, sizes);
}

static void put(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                const void *bytes, size_t size, int64_t ttl_ms) {
    char ttl[24];
    int length = snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    const char *words[] = {"SET", key, bytes, "PX", ttl};
    size_t sizes[] = {3, key_size, size, 2, (size_t)length};
    freeReplyObject(ask(rig, node, ttl_ms > 0 ? 5 : 3, words, sizes));
}

static bool get(struct rig *rig, uint32_t node, const void *key, size_t key_size,
                hearth__buffer *bytes) {
    const char *words[] = {"GET", key};
    size_t sizes[] = {3, key_size};
    redisReply *reply = ask(rig, node, 2, words, sizes);
    bool there = reply->type == REDIS_REPLY_STRING;
    if (there) {
        assert_true(hearth__buffer_assign(bytes, reply->str, reply->len));
    }
    freeReplyObject(reply);
    return there;
}

static int64_t number_of(redisReply *reply) {
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    int64_t number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static int64_t increment(struct rig *rig, uint32_t node, const char *key) {
    const char *words[] = {"INCR", key};
    return number_of(ask_text(rig, node, 2, words));
}

static void put_other_type(struct rig *rig, uint32_t node, const char *key) {
    const char *words[] = {"RPUSH", key, "element"};
    freeReplyObject(ask_text(rig, node, 3, words));
}

static uint64_t keys(struct rig *rig, uint32_t node) {
    const char *words[] = {"DBSIZE"};
    return (uint64_t)number_of(ask_text(rig, node, 1, words));
}

/* The calls of commands that the tests' keys try to smuggle in, and all errors but a script's that
 * is not known yet. */
static uint64_t strange_commands(struct rig *rig, uint32_t node) {
    static const char *const strange[] = {
        "cmdstat_flushall:calls=", "cmdstat_append:calls=", "cmdstat_config|set:calls=",
        "errorstat_ERR:count=", "unexpected_error_replies:"};
    const char *words[] = {"INFO", "everything"};
    redisReply *reply = ask_text(rig, node, 2, words);
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        const char *at = strstr(reply->str, strange[i]);
        count += at != NULL ? strtoull(at + strlen(strange[i]), NULL, 10) : 0;
    }
    freeReplyObject(reply);
    return count;
}

const struct contract_raw contract_raw_redis = {
    .put = put,
    .get = get,
    .increment = increment,
    .put_other_type = put_other_type,
    .keys = keys,
    .strange_commands = strange_commands,
};
