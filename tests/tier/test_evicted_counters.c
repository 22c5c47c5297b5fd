/* SPDX-License-Identifier: Apache-2.0 */
/* A Memcached server with very little memory evicts the counters of namespaces and tags, and keeps the values that they ended: these do
 * not come back. */
#include "api/source.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum {
    VALUE_BYTES =
        3000, /* of another class than counters: a flood of small items leaves it alone */
    FLOOD_ITEMS = 20000,
    FLOOD_VALUE_MAX =
        128, /* items of this size, and of all below, push out those of counters and tags */
    FLOODS_MAX = 100,
    FLOOD_LINE = 64 + FLOOD_VALUE_MAX,
};

static struct servers servers;

/* Each asks its node each time, but for one that trusts what it knew first, and so shows what is at the node. */
struct processes {
    hearth *a;
    hearth *b;
    hearth *trusting;
};

static hearth *open_process(const char *version_ttl) {
    char url[SERVERS_PATH_BYTES + 32];
    const char *const settings[] = {"remote.url",
                                    url,
                                    "coherence.version_ttl_ms",
                                    version_ttl,
                                    "local.max_bytes",
                                    "0",
                                    "ttl_ms",
                                    "1h",
                                    NULL};
    assert_int_equal(servers_url(&servers, SERVER_MEMCACHED, url, sizeof url), 0);
    hearth *cache = cache_open(settings);
    assert_non_null(cache);
    return cache;
}

static void open_all(struct processes *all) {
    all->a = open_process("1");
    all->b = open_process("1");
    all->trusting = open_process("1h");
}

static void close_all(const struct processes *all) {
    assert_int_equal(hearth_close(all->a), HEARTH_OK);
    assert_int_equal(hearth_close(all->b), HEARTH_OK);
    assert_int_equal(hearth_close(all->trusting), HEARTH_OK);
}

static const char *long_text(const char *word) {
    static char text[VALUE_BYTES + 1];
    memset(text, '.', VALUE_BYTES);
    memcpy(text, word, strlen(word));
    return text;
}

/* What a process finds: "MISS", or "=" and the first letters. */
static const char *seen(hearth *cache) {
    static char text[5];
    (void)usleep(3000); /* nobody but one trusts for so long */
    snprintf(text, sizeof text, "%s", cache_get(cache, "k", HEARTH_READ_ALLOW_STALE));
    return text;
}

/* ---- the server ---- */

static int connect_server(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", servers.nodes[0].path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text, size_t size) {
    while (size != 0) {
        ssize_t said = write(fd, text, size);
        assert_true(said > 0);
        text += said;
        size -= (size_t)said;
    }
}

static bool is_there(int fd, const char *key) {
    char text[512];
    size_t size = 0;
    int length = snprintf(text, sizeof text, "get %s\r\n", key);
    say(fd, text, (size_t)length);
    do {
        ssize_t got = read(fd, text + size, sizeof text - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
        text[size] = '\0';
    } while (size < 5 || strcmp(text + size - 5, "END\r\n") != 0);
    return size > 5;
}

/* Items that have not been there yet. */
static void flood(int fd) {
    static unsigned number;
    static const char dots[FLOOD_VALUE_MAX] = {'.'};
    char *lines = malloc((size_t)FLOOD_ITEMS * FLOOD_LINE);
    size_t size = 0;
    assert_non_null(lines);
    for (unsigned i = 0; i < FLOOD_ITEMS; i++) {
        unsigned value = 1 + i % FLOOD_VALUE_MAX;
        int length = snprintf(lines + size, FLOOD_LINE, "set flood-%08u 0 0 %u noreply\r\n",
                              number++, value);
        size += (size_t)length;
        memcpy(lines + size, dots, value);
        memcpy(lines + size + value, "\r\n", 2);
        size += value + 2;
    }
    say(fd, lines, size);
    free(lines);
}

/* Until none of the keys is there any more. */
static void evict(const char *const *keys) {
    int fd = connect_server();
    for (; *keys != NULL; keys++) {
        int floods = 0;
        while (is_there(fd, *keys)) {
            assert_true(floods++ < FLOODS_MAX);
            flood(fd);
        }
    }
    assert_int_equal(close(fd), 0);
}

/* ---- namespaces ---- */

static hearth *open_space(hearth *cache) {
    hearth *view = NULL;
    assert_int_equal(hearth_namespace_open(cache, "space", 5, &view), HEARTH_OK);
    return view;
}

/* Whether it is bumped before its generation is lost or after, and whether a process knew that or not. */
static void no_generation_comes_back(void **state) {
    static const char *const counter[] = {"hearth-space:space", NULL};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct processes all;
        open_all(&all);
        hearth *a = open_space(all.a);
        hearth *b = open_space(all.b);
        assert_int_equal(cache_set(a, "k", long_text("old")), HEARTH_OK);
        assert_string_equal(seen(open_space(all.trusting)), "=old");
        assert_string_equal(seen(b), "=old");
        for (int step = 0; step < 2; step++) {
            if (step == i % 2) {
                assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
            } else {
                evict(counter);
            }
        }
        assert_string_equal(seen(open_space(all.trusting)), "=old"); /* it is there */
        if (i < 2) {
            assert_int_equal(hearth_close(all.b), HEARTH_OK);
            all.b = open_process("1");
            b = open_space(all.b);
        }
        assert_string_equal(seen(b), "MISS");
        assert_string_equal(seen(a), "MISS");
        assert_int_equal(cache_set(b, "k", long_text("new")), HEARTH_OK);
        assert_string_equal(seen(a), "=new");
        close_all(&all);
    }
}

/* ---- tags ---- */

static void set_tagged(hearth *cache, const char *text) {
    static const void *const tags[] = {"family"};
    static const size_t sizes[] = {6};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = 1;
    assert_int_equal(hearth_set(cache, "k", 1, text, strlen(text), &write), HEARTH_OK);
}

/* The same for the tag, the tags' clock, and both. */
static void no_tag_comes_back(void **state) {
    static const char *const both[] = {"hearth-clock:", "hearth-tag:family", NULL};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct processes all;
        open_all(&all);
        set_tagged(all.a, long_text("old"));
        assert_string_equal(seen(all.trusting), "=old");
        assert_string_equal(seen(all.b), "=old");
        for (int step = 0; step < 2; step++) {
            if (step == i % 2) {
                assert_int_equal(hearth_invalidate_tag(all.a, "family", 6, NULL), HEARTH_OK);
            } else {
                evict(both);
            }
        }
        assert_string_equal(seen(all.trusting), "=old"); /* it is there */
        if (i < 2) {
            assert_int_equal(hearth_close(all.b), HEARTH_OK);
            all.b = open_process("1");
        }
        assert_string_equal(seen(all.b), "MISS");
        assert_string_equal(seen(all.a), "MISS");
        set_tagged(all.b, long_text("new"));
        assert_string_equal(seen(all.a), "=new");
        close_all(&all);
    }
}

/* ---- the servers ---- */

static int open_servers(void **state) {
    /* Who was asked for lately goes like all others: no list of those that stay. */
    static const char *const little[] = {
        "-m", "1", "-I", "512k", "-o", "no_modern,slab_chunk_max=262144", NULL};
    (void)state;
    int failed = servers_open(&servers);
    if (failed == 0) {
        failed = servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, little);
    }
    if (failed != 0) {
        print_error("%s\n", servers.error);
    }
    return failed;
}

static int close_servers(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_generation_comes_back),
        cmocka_unit_test(no_tag_comes_back),
    };
    return cmocka_run_group_tests_name("evicted counters", tests, open_servers, close_servers);
}
