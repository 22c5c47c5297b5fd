/* SPDX-License-Identifier: Apache-2.0 */
/* While a fleet is upgraded, some processes write what others cannot read yet: these load around it, leave it as it is, and take it for
 * nothing else. */
#include "tier/lease_rig.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What a later version may have in a value's header that this one does not know. */
static const struct later {
    size_t at;
    const char *now;
    const char *later;
} laters[] = {
    {4, "\\x01", "\\x02"}, /* its format */
    {9, "\\x00", "\\x40"}, /* a must flag */
};
enum { LATERS = sizeof laters / sizeof laters[0] };

/* Writes one byte of what the server has at a key. */
static void put_byte(const struct lease_rig *rig, const char *key, size_t at,
                     const char *byte) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[128];
    char answer[64];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", lease_path(rig));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    snprintf(line, sizeof line, "SETRANGE %s %zu \"%s\"\r\n", key, at, byte);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    assert_true(read(fd, answer, sizeof answer) > 0);
    assert_int_equal(answer[0], ':');
    assert_int_equal(close(fd), 0);
}

static void set_tagged(hearth *cache, const char *key, const char *text, const char *tag) {
    const void *const tags[] = {tag};
    const size_t sizes[] = {strlen(tag)};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = 1;
    assert_int_equal(hearth_set(cache, key, strlen(key), text, strlen(text), &write),
                     HEARTH_OK);
}

static int32_t add(hearth *cache, const char *key) {
    return hearth_add(cache, key, strlen(key), "mine", 4, NULL);
}

static int32_t replace(hearth *cache, const char *key) {
    return hearth_replace(cache, key, strlen(key), "mine", 4, NULL);
}

static void what_a_later_version_wrote_is_loaded_around(void **state) {
    static const char *const remote_only[] = {"local.max_bytes", "0", NULL};
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, remote_only);
    for (size_t i = 0; i < LATERS; i++) {
        struct lease_fetch fetch;
        assert_int_equal(cache_set(rig->a, rig->key, "theirs"), HEARTH_OK);
        put_byte(rig, rig->key, laters[i].at, laters[i].later);
        assert_string_equal(cache_get(rig->b, rig->key, 0), "MISS");
        assert_string_equal(cache_get(rig->b, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
        lease_prepare(&fetch, rig->b, rig->key, "loaded");
        for (int calls = 1; calls <= 2; calls++) {
            assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
            assert_string_equal(fetch.text, "loaded");
            assert_int_equal(atomic_load(&fetch.source.calls), calls); /* not stored */
        }
        fetch.read.flags = HEARTH_READ_RELOAD;
        assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
        assert_int_equal(add(rig->b, rig->key), HEARTH_EXISTS);
        assert_int_equal(replace(rig->b, rig->key), HEARTH_MISS);
        put_byte(rig, rig->key, laters[i].at, laters[i].now);
        assert_string_equal(cache_get(rig->b, rig->key, 0), "=theirs");
    }
    assert_true(cache_stats(rig->b).values_newer >= 4);
}

/* Until what a cache trusts of tags is over: nothing tells that. */
static void pass_trust(void) {
    (void)usleep(3000);
}

/* Whoever cannot read when a tag was invalidated takes no value with it for fresh. Its own invalidation counts for all. */
static void of_a_tag_that_cannot_be_read_nothing_is_fresh(void **state) {
    static const char *const eager[] = {"coherence.version_ttl_ms", "1", NULL};
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->a, eager);
    for (size_t i = 0; i < LATERS; i++) {
        lease_reopen(rig, &rig->b, eager);
        set_tagged(rig->a, rig->key, "old", "later");
        assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
        put_byte(rig, "hearth-tag:later", laters[i].at, laters[i].later);
        pass_trust();
        assert_string_equal(cache_get(rig->b, rig->key, 0), "MISS");
        assert_string_equal(cache_get(rig->b, rig->key, HEARTH_READ_ALLOW_STALE), "=old");
        put_byte(rig, "hearth-tag:later", laters[i].at, laters[i].now); /* as it was */
        pass_trust();
        assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
        put_byte(rig, "hearth-tag:later", laters[i].at, laters[i].later);
        assert_int_equal(hearth_invalidate_tag(rig->b, "later", 5, NULL), HEARTH_OK);
        pass_trust();
        assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
    }
}

#define ON_REDIS(test) cmocka_unit_test_setup_teardown(test, lease_open_redis, lease_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_REDIS(what_a_later_version_wrote_is_loaded_around),
        ON_REDIS(of_a_tag_that_cannot_be_read_nothing_is_fresh),
    };
    return cmocka_run_group_tests_name("later versions", tests, lease_servers_start,
                                       lease_servers_stop);
}
