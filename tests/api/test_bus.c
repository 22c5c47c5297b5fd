/* SPDX-License-Identifier: Apache-2.0 */
/* Local copies of what is on a Memcached server, of processes that tell each other over a Redis server: as fresh as promised. */
#include "support/crowd.h"
#include "support/proxy.h"
#include "support/servers.h"

#include "base/clock.h"
#include "base/tsan.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { MEMCACHED, BUS, TEXT_MAX = 32 };

static const char stream[] = "hearth:bus:app:";

static struct servers servers;

/* Who the caches are at the bus, and which database it is in: what stands before the server's path, and behind it. */
struct login {
    const char *user;
    const char *database;
};

/* Two caches with a way of their own to the node and to the bus each. */
struct side {
    struct proxy *node;
    struct proxy *bus;
    hearth *cache;
    hearth_value *value;
};

struct rig {
    struct side reader;
    struct side writer;
    redisContext *client; /* of the bus's server */
};

/* ---- caches ----------------------------------------------------------------------------- */

static hearth_options *options_of(const char *const (*settings)[2], size_t count) {
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    for (size_t i = 0; i < count; i++) {
        if (hearth_options_set(options, settings[i][0], settings[i][1]) != HEARTH_OK) {
            fail_msg("%s", hearth_options_error(options));
        }
    }
    return options;
}

static void side_open(struct side *side, const char *dead_ms, struct login login) {
    char node[SERVERS_PATH_BYTES + 32];
    char bus[SERVERS_PATH_BYTES + 64];
    side->node = proxy_start(servers.nodes[MEMCACHED].path, 0);
    side->bus = proxy_start(servers.nodes[BUS].path, 0);
    side->value = hearth_value_new();
    assert_true(side->node != NULL && side->bus != NULL && side->value != NULL);
    (void)snprintf(node, sizeof node, "memcached+unix://%s", proxy_path(side->node));
    (void)snprintf(bus, sizeof bus, "redis+unix://%s%s%s", login.user, proxy_path(side->bus),
                   login.database);
    const char *const settings[][2] = {{"remote.url", node},
                                       {"remote.prefix", "app:"},
                                       {"coherence.mode", "bus"},
                                       {"coherence.bus_url", bus},
                                       {"coherence.writers", "hearth"},
                                       {"coherence.ping_ms", "50"},
                                       {"coherence.dead_ms", dead_ms},
                                       {"coherence.version_ttl_ms", "1h"},
                                       {"local.max_ttl_ms", "10m"},
                                       {"remote.timeout_ms", "5s"},
                                       {"remote.stall_ms", "5s"}};
    hearth_options *options = options_of(settings, sizeof settings / sizeof settings[0]);
    assert_int_equal(hearth_open(options, &side->cache), HEARTH_OK);
    hearth_options_free(options);
}

static void side_close(struct side *side) {
    hearth_value_free(side->value);
    assert_int_equal(hearth_close(side->cache), HEARTH_OK);
    proxy_stop(side->node);
    proxy_stop(side->bus);
}

static redisReply *ask(redisContext *client, const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(client, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    return reply;
}

static void tell(redisContext *client, const char *command) {
    freeReplyObject(ask(client, command));
}

static void rig_open_as(struct rig *rig, const char *dead_ms, struct login login) {
    *rig = (struct rig){.client = redisConnectUnix(servers.nodes[BUS].path)};
    assert_true(rig->client != NULL && rig->client->err == 0);
    side_open(&rig->reader, dead_ms, login);
    side_open(&rig->writer, dead_ms, login);
}

static void rig_open_with(struct rig *rig, const char *dead_ms) {
    rig_open_as(rig, dead_ms, (struct login){"", ""});
}

static void rig_open(struct rig *rig) {
    rig_open_with(rig, "10s");
}

static void rig_close(struct rig *rig) {
    side_close(&rig->reader);
    side_close(&rig->writer);
    redisFree(rig->client);
}

/* ---- what is read and written ----------------------------------------------------------- */

struct found {
    int32_t status;
    char text[TEXT_MAX];
    hearth_info info;
};

static struct found get_with(const struct side *side, const char *key,
                             const hearth_read_options *options) {
    struct found found = {.status =
                              hearth_get(side->cache, key, strlen(key), options, side->value)};
    found.info.size = sizeof found.info;
    assert_int_equal(hearth_value_info(side->value, &found.info), HEARTH_OK);
    if (found.status == HEARTH_OK) {
        size_t size = hearth_value_size(side->value);
        assert_true(size < sizeof found.text);
        memcpy(found.text, hearth_value_data(side->value), size);
    }
    return found;
}

static struct found get(const struct side *side, const char *key) {
    return get_with(side, key, NULL);
}

static int32_t set(const struct side *side, const char *key, const char *text) {
    const hearth_write_options write = {.size = sizeof write, .ttl_ms = 600000};
    return hearth_set(side->cache, key, strlen(key), text, strlen(text), &write);
}

static bool is_local(const struct side *side, const char *key) {
    return get(side, key).info.tier == HEARTH_TIER_LOCAL;
}

static uint64_t stat_of(hearth *cache, size_t offset) {
    hearth_stats stats = {.size = sizeof stats};
    uint64_t value = 0;
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    memcpy(&value, (const char *)&stats + offset, sizeof value);
    return value;
}

static uint64_t lost(const struct side *side) {
    return stat_of(side->cache, offsetof(hearth_stats, changes_lost));
}

struct copy {
    const struct side *side;
    const char *key;
    const char *text; /* what is to be there */
};

/* A copy that is not heard of lives for a second. */
static bool is_heard_of(void *arg) {
    const struct copy *copy = arg;
    struct found found = get(copy->side, copy->key);
    if (found.info.tier == HEARTH_TIER_LOCAL && found.info.ttl_left_ms > 2000) {
        return true;
    }
    (void)hearth_evict_local(copy->side->cache, copy->key, strlen(copy->key));
    (void)get(copy->side, copy->key);
    return false;
}

/* From here on it is a copy whose changes are heard. */
static void copy(const struct side *side, const char *key) {
    struct copy copy = {.side = side, .key = key};
    assert_true(await_until(is_heard_of, &copy));
}

static bool is_seen(void *arg) {
    const struct copy *copy = arg;
    struct found found = get(copy->side, copy->key);
    return copy->text != NULL ? found.status == HEARTH_OK && strcmp(found.text, copy->text) == 0
                              : found.status == HEARTH_MISS;
}

static void await_text(const struct side *side, const char *key, const char *text) {
    struct copy copy = {.side = side, .key = key, .text = text};
    assert_true(await_until(is_seen, &copy));
}

/* The stream's last id. */
static void last_id(const struct rig *rig, char *id, size_t size) {
    redisReply *reply = ask(rig->client, "XREVRANGE %s + - COUNT 1", stream);
    assert_int_equal(reply->elements, 1);
    (void)snprintf(id, size, "%s", reply->element[0]->element[0]->str);
    freeReplyObject(reply);
}

/* Puts something behind the last message, as if a process had published it. */
static void forge(const struct rig *rig, const char *field, const void *bytes, size_t size) {
    char id[64];
    last_id(rig, id, sizeof id);
    *strchr(id, '-') = '\0';
    freeReplyObject(ask(rig->client, "XADD %s %s-* %s %b", stream, id, field, bytes, size));
}

/* ---- changes ---------------------------------------------------------------------------- */

static void a_change_is_heard(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    await_text(&rig.reader, "k", "two");
    copy(&rig.reader, "k");
    assert_int_equal(hearth_delete(rig.writer.cache, "k", 1, NULL), HEARTH_OK);
    await_text(&rig.reader, "k", NULL);
    assert_true(stat_of(rig.reader.cache, offsetof(hearth_stats, changes_told)) >= 2);
    assert_true(stat_of(rig.writer.cache, offsetof(hearth_stats, changes_published)) >= 3);
    assert_int_equal(lost(&rig.reader), 0);
    rig_close(&rig);
}

/* Which nobody would ask for by itself for half an hour. */
static void a_tag_is_told_of(void **state) {
    static const void *const tags[] = {"tag"};
    static const size_t sizes[] = {3};
    struct rig rig;
    hearth_write_options tagged;
    (void)state;
    rig_open(&rig);
    hearth_write_options_init(&tagged, sizeof tagged);
    tagged.tags = tags;
    tagged.tag_sizes = sizes;
    tagged.tag_count = 1;
    assert_int_equal(hearth_set(rig.writer.cache, "k", 1, "one", 3, &tagged), HEARTH_OK);
    assert_int_equal(set(&rig.writer, "other", "two"), HEARTH_OK);
    copy(&rig.reader, "k");
    copy(&rig.reader, "other");
    assert_int_equal(hearth_invalidate_tag(rig.writer.cache, "tag", 3, NULL), HEARTH_OK);
    await_text(&rig.reader, "k", NULL);
    assert_true(is_local(&rig.reader, "other"));
    assert_int_equal(lost(&rig.reader), 0);
    rig_close(&rig);
}

static struct side view_of(const struct side *side) {
    struct side view = *side;
    assert_int_equal(hearth_namespace_open(side->cache, "users", 5, &view.cache), HEARTH_OK);
    return view;
}

static void a_bump_is_told_of(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    struct side reader = view_of(&rig.reader);
    struct side writer = view_of(&rig.writer);
    assert_int_equal(set(&writer, "k", "one"), HEARTH_OK);
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    copy(&reader, "k");
    copy(&rig.reader, "k");
    assert_int_equal(hearth_namespace_bump(writer.cache, NULL), HEARTH_OK);
    await_text(&reader, "k", NULL);
    assert_true(is_local(&rig.reader, "k"));
    assert_int_equal(set(&writer, "k", "new"), HEARTH_OK);
    await_text(&reader, "k", "new");
    assert_int_equal(lost(&rig.reader), 0);
    rig_close(&rig);
}

/* What a process wrote is its copy, which its own message does not take away. */
static void own_messages_are_not_applied(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "other", "one"), HEARTH_OK);
    copy(&rig.reader, "other");
    assert_int_equal(set(&rig.reader, "own", "mine"), HEARTH_OK);
    assert_true(is_local(&rig.reader, "own"));
    assert_int_equal(set(&rig.writer, "other", "two"), HEARTH_OK);
    await_text(&rig.reader, "other", "two"); /* what was published before is read by then */
    assert_true(is_local(&rig.reader, "own"));
    rig_close(&rig);
}

/* The first key is not loaded, and another process has ended its lease. */
static int32_t load_second(void *arg, size_t count, const void *const *keys,
                           const size_t *key_sizes, hearth_fill *const *fills) {
    const struct side *other = arg;
    assert_int_equal(count, 2);
    assert_true(hearth_delete(other->cache, keys[0], key_sizes[0], NULL) >= 0);
    return hearth_fill_value(fills[1], "two", 3);
}

static void what_is_loaded_is_told_of_beside_what_is_not(void **state) {
    enum { COUNT = 2 };
    static const void *const keys[COUNT] = {"batch1", "batch2"};
    static const size_t sizes[COUNT] = {6, 6};
    struct rig rig;
    int32_t statuses[COUNT];
    (void)state;
    rig_open(&rig);
    hearth_value *const values[COUNT] = {rig.writer.value, rig.reader.value};
    const hearth_loader loader = {
        .size = sizeof loader, .load_many = load_second, .arg = &rig.reader};
    assert_int_equal(hearth_fetch_many(rig.writer.cache, COUNT, keys, sizes, &loader, NULL,
                                       NULL, values, statuses),
                     HEARTH_E_LOADER);
    assert_int_equal(statuses[0], HEARTH_E_LOADER);
    assert_int_equal(statuses[1], HEARTH_OK);
    assert_int_equal(stat_of(rig.writer.cache, offsetof(hearth_stats, changes_published)), 1);
    rig_close(&rig);
}

struct writing {
    const struct side *side;
    int32_t status;
    _Atomic bool ended;
};

static void write_held(void *arg, size_t index) {
    struct writing *writing = arg;
    (void)index;
    writing->status = set(writing->side, "k", "two");
    atomic_store(&writing->ended, true);
}

/* Who hears of a change finds it at the node; and who wrote has told of it when the call returns. */
static void
the_node_is_written_before_it_is_told_and_told_before_the_call_returns(void **state) {
    struct rig rig;
    static struct crowd crowd;
    char before[64];
    char after[64];
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    last_id(&rig, before, sizeof before);
    proxy_hold(rig.writer.node, PROXY_TO_SERVER);
    uint64_t seen = proxy_seen(rig.writer.node, PROXY_TO_SERVER);
    struct writing writing = {.side = &rig.writer};
    assert_true(crowd_start(&crowd, 1, write_held, &writing));
    assert_true(proxy_await_seen(rig.writer.node, PROXY_TO_SERVER, seen + 1));
    last_id(&rig, after, sizeof after);
    assert_string_equal(after, before);
    proxy_hold(rig.writer.bus, PROXY_TO_SERVER);
    seen = proxy_seen(rig.writer.bus, PROXY_TO_SERVER);
    proxy_release(rig.writer.node, PROXY_TO_SERVER);
    /* More than the questions of the reading thread. */
    assert_true(proxy_await_seen(rig.writer.bus, PROXY_TO_SERVER, seen + 300));
    assert_false(atomic_load(&writing.ended));
    proxy_release(rig.writer.bus, PROXY_TO_SERVER);
    crowd_join(&crowd);
    assert_int_equal(writing.status, HEARTH_OK);
    last_id(&rig, after, sizeof after);
    assert_string_not_equal(after, before);
    rig_close(&rig);
}

/* A message that comes twice, or that says something to nobody, costs a copy at the most. */
static void a_message_that_comes_twice_does_no_harm(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    redisReply *reply = ask(rig.client, "XREVRANGE %s + - COUNT 1", stream);
    const redisReply *message = reply->element[0]->element[1]->element[1];
    await_text(&rig.reader, "k", "two");
    uint64_t told = stat_of(rig.reader.cache, offsetof(hearth_stats, changes_told));
    forge(&rig, "h", message->str, message->len);
    freeReplyObject(reply);
    assert_int_equal(set(&rig.writer, "k", "three"), HEARTH_OK);
    await_text(&rig.reader, "k", "three");
    assert_true(stat_of(rig.reader.cache, offsetof(hearth_stats, changes_told)) >= told + 1);
    assert_int_equal(lost(&rig.reader), 0);
    rig_close(&rig);
}

/* ---- what is not heard ------------------------------------------------------------------ */

static void who_was_cut_off_catches_up(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    assert_int_equal(set(&rig.writer, "j", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    copy(&rig.reader, "j");
    proxy_hold(rig.reader.bus, PROXY_TO_CLIENT);
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    proxy_cut(rig.reader.bus, false);
    proxy_release(rig.reader.bus, PROXY_TO_CLIENT);
    await_text(&rig.reader, "k", "two");
    assert_int_equal(lost(&rig.reader), 0);
    assert_true(is_local(&rig.reader, "j"));
    rig_close(&rig);
}

static bool has_lost(void *arg) {
    const struct side *side = arg;
    return lost(side) != 0;
}

/* While the reader hears nothing, `k` changes, and then something befalls the stream. */
static void miss_a_change(struct rig *rig, const char *command) {
    assert_int_equal(set(&rig->writer, "k", "one"), HEARTH_OK);
    copy(&rig->reader, "k");
    proxy_hold(rig->reader.bus, PROXY_TO_CLIENT);
    proxy_hold(rig->reader.bus, PROXY_TO_SERVER);
    assert_int_equal(set(&rig->writer, "k", "two"), HEARTH_OK);
    assert_int_equal(set(&rig->writer, "j", "two"), HEARTH_OK);
    tell(rig->client, command);
    proxy_cut(rig->reader.bus, false);
    proxy_release(rig->reader.bus, PROXY_TO_CLIENT);
    proxy_release(rig->reader.bus, PROXY_TO_SERVER);
    assert_true(await_until(has_lost, &rig->reader));
    assert_string_equal(get(&rig->reader, "k").text, "two");
    copy(&rig->reader, "k");
}

static void trimmed_messages_are_missed(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    miss_a_change(&rig, "XTRIM hearth:bus:app: MAXLEN 1");
    rig_close(&rig);
}

static void a_stream_that_is_gone_is_missed(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    miss_a_change(&rig, "FLUSHALL");
    assert_int_equal(set(&rig.writer, "k", "three"), HEARTH_OK);
    await_text(&rig.reader, "k", "three");
    rig_close(&rig);
}

/* It is read on, though what it says has become another stream's. */
static void a_stream_that_is_another_is_missed(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    proxy_hold(rig.reader.bus, PROXY_TO_CLIENT);
    proxy_hold(rig.reader.bus, PROXY_TO_SERVER);
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    tell(rig.client, "FLUSHALL");
    for (unsigned i = 0; i < 8; i++) { /* more than there were */
        assert_int_equal(set(&rig.writer, "j", "two"), HEARTH_OK);
    }
    proxy_cut(rig.reader.bus, false);
    proxy_release(rig.reader.bus, PROXY_TO_CLIENT);
    proxy_release(rig.reader.bus, PROXY_TO_SERVER);
    await_text(&rig.reader, "k", "two");
    assert_true(lost(&rig.reader) >= 1);
    rig_close(&rig);
}

static void what_cannot_be_read_may_be_any_change(void **state) {
    static const unsigned char later[] = {2, 'a', 'n', 'y'};
    static const unsigned char cut[17 + 4] = {1, [17] = 1, [18] = 9};
    static const unsigned char kind[17 + 4] = {1, [17] = 77, [18] = 1};
    static const unsigned char all[17 + 3] = {1, [17] = 3};
    static unsigned char huge[200000];
    const struct {
        const char *field;
        const void *bytes;
        size_t size;
    } messages[] = {{"h", later, sizeof later}, {"h", cut, sizeof cut},
                    {"h", kind, sizeof kind},   {"h", all, sizeof all},
                    {"h", huge, sizeof huge},   {"h", "", 0},
                    {"other", "words", 5}};
    struct rig rig;
    (void)state;
    huge[0] = 1;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        uint64_t before = lost(&rig.reader);
        copy(&rig.reader, "k");
        forge(&rig, messages[i].field, messages[i].bytes, messages[i].size);
        for (int64_t began_ms = hearth__boot_ms(); lost(&rig.reader) == before;) {
            assert_true(hearth__boot_ms() - began_ms < 20000);
        }
        assert_int_equal(get(&rig.reader, "k").info.tier, HEARTH_TIER_REMOTE);
    }
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    await_text(&rig.reader, "k", "two");
    rig_close(&rig);
}

/* A copy of which nothing is heard is no hit for long, and until then its bound says how old it may be. */
static void who_hears_nothing_stops_trusting(void **state) {
    struct rig rig;
    (void)state;
    rig_open_with(&rig, "200ms");
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    proxy_hold(rig.reader.bus, PROXY_TO_CLIENT);
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    int64_t changed_ms = hearth__boot_ms();
    struct found found = get(&rig.reader, "k");
    while (strcmp(found.text, "one") == 0) {
        int64_t since_ms = hearth__boot_ms() - changed_ms;
        found = get(&rig.reader, "k");
        if (strcmp(found.text, "one") == 0) {
            assert_int_equal(found.info.tier, HEARTH_TIER_LOCAL);
            assert_true(found.info.staleness_bound_ms >= since_ms);
        }
        if (since_ms > 20000) {
            fail_msg("a copy of which nothing is heard is a hit still");
        }
    }
    assert_string_equal(found.text, "two");
    proxy_release(rig.reader.bus, PROXY_TO_CLIENT);
    rig_close(&rig);
}

/* ---- a bus that is down ----------------------------------------------------------------- */

static void what_the_bus_does_not_take_is_said(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    assert_true(proxy_door(rig.writer.bus, PROXY_SHUT));
    proxy_cut(rig.writer.bus, false);
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_E_QUEUED);
    assert_int_not_equal(is_local(&rig.writer, "k"), true);
    assert_string_equal(get(&rig.writer, "k").text, "two"); /* it is written */
    int64_t began_ms = hearth__boot_ms();
    assert_int_equal(hearth_delete(rig.writer.cache, "j", 1, NULL), HEARTH_E_QUEUED);
    assert_true(hearth__boot_ms() - began_ms < 4000); /* nobody waits for what is down */
    assert_true(stat_of(rig.writer.cache, offsetof(hearth_stats, changes_untold)) >= 2);
    assert_string_equal(get(&rig.reader, "k").text, "one"); /* which is why it is said */
    rig_close(&rig);
}

static bool is_told(void *arg) {
    const struct side *side = arg;
    return set(side, "other", "any") == HEARTH_OK;
}

/* Whether any message has these bytes. */
static bool is_published(const struct rig *rig, const void *bytes, size_t size) {
    redisReply *reply = ask(rig->client, "XRANGE %s - +", stream);
    bool found = false;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *message = reply->element[i]->element[1]->element[1];
        found = found || memmem(message->str, message->len, bytes, size) != NULL;
    }
    freeReplyObject(reply);
    return found;
}

/* More than is kept for a bus that is down: then it is told that any key may have changed. */
static void fill_the_queue(const struct side *side) {
    enum { KEY_BYTES = 30000, KEYS = 40 };
    static char key[KEY_BYTES];
    for (unsigned i = 0; i < KEYS; i++) {
        memset(key, 'a' + (int)(i % 26), sizeof key);
        assert_int_equal(hearth_delete(side->cache, key, sizeof key, NULL), HEARTH_E_QUEUED);
    }
}

static void a_restarted_bus_is_another_and_is_told_what_was_kept(void **state) {
    static const unsigned char record[] = {1, 1, 0, 'k'};
    static const unsigned char any[] = {3, 0, 0};
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    assert_int_equal(servers_kill(&servers, BUS), 0);
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_E_QUEUED);
    fill_the_queue(&rig.writer);
    assert_int_equal(servers_restart(&servers, BUS), 0);
    await_text(&rig.reader, "k", "two");
    assert_true(await_until(is_told, &rig.writer));
    redisFree(rig.client);
    rig.client = redisConnectUnix(servers.nodes[BUS].path);
    assert_true(is_published(&rig, record, sizeof record));
    assert_true(is_published(&rig, any, sizeof any));
    copy(&rig.reader, "k");
    assert_int_equal(set(&rig.writer, "k", "three"), HEARTH_OK);
    await_text(&rig.reader, "k", "three");
    rig_close(&rig);
}

/* ---- who may use the bus ----------------------------------------------------------------- */

static int64_t length_of_the_stream(const struct rig *rig) {
    redisReply *reply = ask(rig->client, "XLEN %s", stream);
    int64_t length = reply->integer;
    freeReplyObject(reply);
    return length;
}

static void a_user_has_a_bus_in_a_database(void **state) {
    struct rig rig;
    (void)state;
    rig_open_as(&rig, "10s", (struct login){"bearer:secret@", "?db=3"});
    tell(rig.client, "ACL SETUSER bearer on >secret ~* &* +@all");
    int64_t before = length_of_the_stream(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    assert_int_equal(set(&rig.writer, "k", "two"), HEARTH_OK);
    await_text(&rig.reader, "k", "two");
    assert_int_equal(length_of_the_stream(&rig), before);
    tell(rig.client, "SELECT 3");
    assert_true(length_of_the_stream(&rig) >= 2);
    rig_close(&rig);
}

/* What the server says to that is in the log, and the password is not. */
static void a_user_who_may_not_is_told_so(void **state) {
    struct rig rig;
    char all[2048] = "";
    hearth_log_record record = {.size = sizeof record};
    (void)state;
    rig_open_as(&rig, "10s", (struct login){"nobody:s3cret@", ""});
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_E_QUEUED);
    assert_string_equal(get(&rig.writer, "k").text, "one");
    while (hearth_log_next(rig.writer.cache, &record) == HEARTH_OK) {
        size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s\n", record.text);
    }
    assert_non_null(strstr(all, "WRONGPASS"));
    assert_null(strstr(all, "s3cret"));
    rig_close(&rig);
}

/* ---- a node that missed a delete -------------------------------------------------------- */

/* Who could reach the node all the time does not read there what another process had deleted. */
static void a_delete_that_its_node_missed_is_everybodys(void **state) {
    struct rig rig;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.writer, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    assert_true(proxy_door(rig.writer.node, PROXY_SHUT));
    proxy_cut(rig.writer.node, false);
    assert_int_equal(hearth_delete(rig.writer.cache, "k", 1, NULL), HEARTH_E_QUEUED);
    await_text(&rig.reader, "k", NULL);
    rig_close(&rig);
}

/* ---- processes -------------------------------------------------------------------------- */

#if !defined(HEARTH__TSAN) /* which lets a child start no thread */
/* A child tells with threads of its own, and is another one to its parent. */
static void a_forked_child_is_heard(void **state) {
    struct rig rig;
    int ended = 0;
    (void)state;
    rig_open(&rig);
    assert_int_equal(set(&rig.reader, "k", "one"), HEARTH_OK);
    copy(&rig.reader, "k");
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(set(&rig.reader, "k", "two") == HEARTH_OK &&
                      hearth_close(rig.reader.cache) == HEARTH_OK
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    await_text(&rig.reader, "k", "two");
    assert_int_equal(lost(&rig.reader), 0);
    rig_close(&rig);
}
#endif

/* ---- options ---------------------------------------------------------------------------- */

static void refused(const char *const (*settings)[2], size_t count, int32_t status,
                    const char *words) {
    hearth *cache = NULL;
    hearth_options *options = options_of(settings, count);
    assert_int_equal(hearth_open(options, &cache), status);
    assert_non_null(strstr(hearth_options_error(options), words));
    hearth_options_free(options);
}

static void options_that_make_no_bus_are_refused(void **state) {
    static const char *const embedded[][2] = {{"coherence.mode", "bus"},
                                              {"coherence.bus_url", "redis://127.0.0.1:1"}};
    static const char *const nowhere[][2] = {{"coherence.mode", "bus"},
                                             {"remote.url", "memcached://127.0.0.1:1"}};
    static const char *const two[][2] = {{"coherence.mode", "bus"},
                                         {"remote.url", "memcached://127.0.0.1:1"},
                                         {"coherence.bus_url", "redis://a:1,b:1"}};
    static const char *const unused[][2] = {{"remote.url", "memcached://127.0.0.1:1"},
                                            {"coherence.bus_url", "redis://a:1"}};
    static const char *const wrong[][2] = {{"coherence.mode", "bus"},
                                           {"remote.url", "memcached://127.0.0.1:1"},
                                           {"coherence.bus_url", "http://a"}};
    (void)state;
    refused(embedded, 2, HEARTH_E_UNSUPPORTED, "coherence.mode");
    refused(nowhere, 2, HEARTH_E_INVALID, "coherence.bus_url");
    refused(two, 3, HEARTH_E_INVALID, "coherence.bus_url");
    refused(unused, 2, HEARTH_E_INVALID, "coherence.bus_url");
    refused(wrong, 3, HEARTH_E_INVALID, "coherence.bus_url");
}

/* It would be another one for those who open later. */
static void a_bus_that_is_the_node_stays(void **state) {
    static const char *const settings[][2] = {{"coherence.mode", "bus"},
                                              {"remote.url", "redis://127.0.0.1:1"}};
    char why[128];
    hearth *cache = NULL;
    hearth_options *options = options_of(settings, 2);
    (void)state;
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    assert_int_equal(hearth_set_nodes(cache, "redis://127.0.0.1:2", why, sizeof why),
                     HEARTH_E_UNSUPPORTED);
    assert_non_null(strstr(why, "coherence.bus_url"));
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- the servers ------------------------------------------------------------------------ */

static int open_servers(void **state) {
    (void)state;
    return servers_open(&servers) == 0 &&
                   servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) == 0 &&
                   servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) == 0
               ? 0
               : -1;
}

static int close_servers(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_heard),
        cmocka_unit_test(a_tag_is_told_of),
        cmocka_unit_test(a_bump_is_told_of),
        cmocka_unit_test(own_messages_are_not_applied),
        cmocka_unit_test(what_is_loaded_is_told_of_beside_what_is_not),
        cmocka_unit_test(
            the_node_is_written_before_it_is_told_and_told_before_the_call_returns),
        cmocka_unit_test(a_message_that_comes_twice_does_no_harm),
        cmocka_unit_test(who_was_cut_off_catches_up),
        cmocka_unit_test(trimmed_messages_are_missed),
        cmocka_unit_test(a_stream_that_is_gone_is_missed),
        cmocka_unit_test(a_stream_that_is_another_is_missed),
        cmocka_unit_test(what_cannot_be_read_may_be_any_change),
        cmocka_unit_test(who_hears_nothing_stops_trusting),
        cmocka_unit_test(what_the_bus_does_not_take_is_said),
        cmocka_unit_test(a_restarted_bus_is_another_and_is_told_what_was_kept),
        cmocka_unit_test(a_user_has_a_bus_in_a_database),
        cmocka_unit_test(a_user_who_may_not_is_told_so),
        cmocka_unit_test(a_delete_that_its_node_missed_is_everybodys),
#if !defined(HEARTH__TSAN)
        cmocka_unit_test(a_forked_child_is_heard),
#endif
        cmocka_unit_test(options_that_make_no_bus_are_refused),
        cmocka_unit_test(a_bus_that_is_the_node_stays),
    };
    return cmocka_run_group_tests_name("bus", tests, open_servers, close_servers);
}
