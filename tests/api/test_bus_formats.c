/* SPDX-License-Identifier: Apache-2.0 */
/* What older versions of the library find on the bus: messages of format 1, as it was before there were tags and namespaces. The
 * reader here is frozen: it knows keys that changed, and nothing else. */
#include "source.h"
#include "support/servers.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { URL_BYTES = 160, HEAD_BYTES = 17, RECORD_BYTES = 3, CHANGED = 1, MISSED = 2 };

static struct servers servers;
static char url[URL_BYTES];

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_url(&servers, SERVER_REDIS, url, sizeof url) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* The keys of a message, each with a blank behind it. */
static void read_message(const unsigned char *bytes, size_t size, char *keys, size_t most) {
    assert_true(size >= HEAD_BYTES);
    assert_int_equal(bytes[0], 1);
    for (size_t at = HEAD_BYTES; at < size;) {
        assert_true(size - at > RECORD_BYTES);
        assert_true(bytes[at] == CHANGED || bytes[at] == MISSED);
        size_t key_size = (size_t)bytes[at + 1] | (size_t)bytes[at + 2] << 8;
        at += RECORD_BYTES;
        assert_true(key_size != 0 && key_size <= size - at);
        size_t used = strlen(keys);
        (void)snprintf(keys + used, most - used, "%.*s ", (int)key_size,
                       (const char *)bytes + at);
        at += key_size;
    }
}

/* All that is in the stream: of each entry one field, `h`. */
static void read_stream(char *keys, size_t most) {
    redisContext *raw = redisConnectUnix(servers.nodes[0].path);
    assert_true(raw != NULL && raw->err == 0);
    redisReply *entries = redisCommand(raw, "XRANGE hearth:bus:app: - +");
    assert_non_null(entries);
    assert_int_equal(entries->type, REDIS_REPLY_ARRAY);
    keys[0] = '\0';
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *fields = entries->element[i]->element[1];
        assert_int_equal(fields->elements, 2);
        assert_string_equal(fields->element[0]->str, "h");
        read_message((const unsigned char *)fields->element[1]->str, fields->element[1]->len,
                     keys, most);
    }
    freeReplyObject(entries);
    redisFree(raw);
}

static void has(const char *keys, const char *key) {
    if (strstr(keys, key) == NULL) {
        fail_msg("'%s' is not in: %s", key, keys);
    }
}

/* They are keys beside the others', of which an older reader has no copies. */
static void tags_and_bumps_are_keys_to_who_knows_neither(void **state) {
    static const void *const tags[] = {"tag"};
    static const size_t sizes[] = {3};
    char keys[1024];
    hearth_write_options tagged;
    hearth *view = NULL;
    (void)state;
    hearth *cache = cache_open((const char *const[]){"remote.url", url, "remote.prefix",
                                                     "app:", "coherence.mode", "bus", NULL});
    assert_non_null(cache);
    hearth_write_options_init(&tagged, sizeof tagged);
    tagged.tags = tags;
    tagged.tag_sizes = sizes;
    tagged.tag_count = 1;
    assert_int_equal(hearth_set(cache, "k", 1, "one", 3, &tagged), HEARTH_OK);
    assert_int_equal(hearth_namespace_open(cache, "users", 5, &view), HEARTH_OK);
    assert_int_equal(cache_set(view, "inside", "two"), HEARTH_OK);
    assert_int_equal(hearth_invalidate_tag(cache, "tag", 3, NULL), HEARTH_OK);
    assert_int_equal(hearth_namespace_bump(view, NULL), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, "gone", 4, NULL), HEARTH_MISS);
    read_stream(keys, sizeof keys);
    has(keys, "k ");
    has(keys, "inside ");
    has(keys, "hearth-tag:tag ");
    has(keys, "hearth-space:users ");
    has(keys, "gone ");
    assert_int_equal(hearth_close(view), HEARTH_OK);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_and_bumps_are_keys_to_who_knows_neither),
    };
    return cmocka_run_group_tests_name("formats of the bus", tests, start, stop);
}
