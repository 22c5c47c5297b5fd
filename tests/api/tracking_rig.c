/* SPDX-License-Identifier: Apache-2.0 */
#include "tracking_rig.h"

#include "base/clock.h"

static struct servers servers;
static redisContext *asker;

struct servers *tracking_servers(void) {
    return &servers;
}

hearth *tracking_open_cache(const struct tracking_opening *opening) {
    char url[256];
    char ping[32];
    char dead[32];
    const struct {
        const char *name;
        const char *value;
    } all[] = {
        {"remote.url", url},
        {"remote.timeout_ms", "5s"},
        {"remote.prefix", "app:"},
        {"remote.lanes", opening->lanes != NULL ? opening->lanes : "4"},
        {"coherence.mode", opening->mode != NULL ? opening->mode : "auto"},
        {"coherence.tracking", opening->tracking != NULL ? opening->tracking : "default"},
        {"coherence.ping_ms", ping},
        {"coherence.dead_ms", dead},
        {"local.max_ttl_ms", opening->max_ttl != NULL ? opening->max_ttl : "10m"}};
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    if (opening->path != NULL) {
        (void)snprintf(url, sizeof url, "redis+unix://%s%s",
                       opening->user != NULL ? opening->user : "", opening->path);
    } else {
        (void)snprintf(url, sizeof url, "redis://127.0.0.1:%d", opening->port);
    }
    (void)snprintf(ping, sizeof ping, "%d", TRACKING_PING_MS);
    (void)snprintf(dead, sizeof dead, "%d",
                   opening->dead_ms != 0 ? opening->dead_ms : TRACKING_DEAD_MS);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(hearth_options_set(options, all[i].name, all[i].value), HEARTH_OK);
    }
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

redisReply *tracking_ask(const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(asker, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    return reply;
}

void tracking_tell(redisContext *client, const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(client, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    freeReplyObject(reply);
}

void tracking_set(hearth *cache, const char *key, const char *text) {
    const hearth_write_options write = {.size = sizeof write, .ttl_ms = 600000};
    assert_int_equal(hearth_set(cache, key, strlen(key), text, strlen(text), &write),
                     HEARTH_OK);
}

struct tracking_found tracking_get_with(struct tracking_rig *rig, const char *key,
                                        const hearth_read_options *options) {
    struct tracking_found found = {
        .status = hearth_get(rig->cache, key, strlen(key), options, rig->value)};
    found.info.size = sizeof found.info;
    assert_int_equal(hearth_value_info(rig->value, &found.info), HEARTH_OK);
    if (found.status == HEARTH_OK) {
        size_t size = hearth_value_size(rig->value);
        assert_true(size < sizeof found.text);
        memcpy(found.text, hearth_value_data(rig->value), size);
    }
    return found;
}

struct tracking_found tracking_get(struct tracking_rig *rig, const char *key) {
    return tracking_get_with(rig, key, NULL);
}

/* Nobody waits for a source here but by reading: the first reads may come before there is a listener. */
static bool tracking_is_tracked(void *arg) {
    const struct tracking_copy *copy = arg;
    struct tracking_found found = tracking_get(copy->rig, copy->key);
    assert_int_equal(found.status, HEARTH_OK);
    return found.info.tier == HEARTH_TIER_LOCAL && found.info.ttl_left_ms > 2000;
}

void tracking_track(struct tracking_rig *rig, const char *key) {
    struct tracking_copy copy = {.rig = rig, .key = key};
    for (int64_t began_ms = hearth__boot_ms(); !tracking_is_tracked(&copy);) {
        if (hearth__boot_ms() - began_ms > 20000) {
            fail_msg("%s is not told of", key);
        }
        struct tracking_found found = tracking_get(rig, key);
        if (found.info.tier == HEARTH_TIER_LOCAL && found.info.ttl_left_ms <= 2000) {
            (void)hearth_evict_local(rig->cache, key, strlen(key));
        }
    }
}

static bool is_seen(void *arg) {
    const struct tracking_copy *copy = arg;
    struct tracking_found found = tracking_get(copy->rig, copy->key);
    return found.status == HEARTH_OK && strcmp(found.text, copy->text) == 0;
}

bool tracking_is_missed(void *arg) {
    const struct tracking_copy *copy = arg;
    return tracking_get(copy->rig, copy->key).status == HEARTH_MISS;
}

void tracking_await_text(struct tracking_rig *rig, const char *key, const char *text) {
    struct tracking_copy copy = {.rig = rig, .key = key, .text = text};
    assert_true(await_until(is_seen, &copy));
}

uint64_t tracking_stat_of(hearth *cache, size_t offset) {
    hearth_stats stats = {.size = sizeof stats};
    uint64_t value = 0;
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    memcpy(&value, (const char *)&stats + offset, sizeof value);
    return value;
}

void tracking_rig_open_with(struct tracking_rig *rig, int dead_ms, const char *lanes) {
    const char *path = servers.nodes[0].path;
    *rig = (struct tracking_rig){.proxy = proxy_start(path, 0)};
    assert_non_null(rig->proxy);
    rig->cache = tracking_open_cache(&(struct tracking_opening){
        .path = proxy_path(rig->proxy), .dead_ms = dead_ms, .lanes = lanes});
    rig->other = tracking_open_cache(&(struct tracking_opening){.path = path, .mode = "ttl"});
    rig->client = redisConnectUnix(path);
    rig->value = hearth_value_new();
    assert_non_null(rig->value);
    assert_true(rig->client != NULL && rig->client->err == 0);
    tracking_tell(rig->client, "FLUSHALL");
}

void tracking_rig_open(struct tracking_rig *rig) {
    tracking_rig_open_with(rig, TRACKING_DEAD_MS, "4");
}

void tracking_rig_close(struct tracking_rig *rig) {
    hearth_value_free(rig->value);
    assert_int_equal(hearth_close(rig->cache), HEARTH_OK);
    assert_int_equal(hearth_close(rig->other), HEARTH_OK);
    redisFree(rig->client);
    proxy_stop(rig->proxy);
}

bool tracking_has_lost(void *arg) {
    const struct tracking_rig *rig = arg;
    return tracking_stat_of(rig->cache, offsetof(hearth_stats, changes_lost)) != 0;
}

int tracking_start(void **state) {
    (void)state;
    const char *const arguments[] = {"--enable-debug-command", "local", NULL};
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, arguments) != 0) {
        return -1;
    }
    asker = redisConnectUnix(servers.nodes[0].path);
    return asker != NULL && asker->err == 0 ? 0 : -1;
}

int tracking_stop(void **state) {
    (void)state;
    redisFree(asker);
    servers_stop(&servers);
    return 0;
}
