/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces, on real servers and embedded: their keys are their own, are forgotten all at once, by this process at once and by others
 * within what they trust, and what was forgotten does not come back, whatever the servers lose. */
#include "tier/lease_rig.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A process that asks each time. */
static const char *const eager[] = {"coherence.version_ttl_ms", "1", NULL};
static const char *const clears[] = {"coherence.version_ttl_ms", "1", "coherence.clear", "yes",
                                     NULL};
/* One that asks once. */
static const char *const trusting[] = {"coherence.version_ttl_ms", "1h", NULL};

static hearth *open_space(hearth *cache, const char *name) {
    hearth *view = NULL;
    assert_int_equal(hearth_namespace_open(cache, name, strlen(name), &view), HEARTH_OK);
    assert_non_null(view);
    return view;
}

static int32_t remove_key(hearth *cache, const char *key) {
    return hearth_delete(cache, key, strlen(key), NULL);
}

/* ---- keys ---- */

static void keys_are_its_own(void **state) {
    struct lease_rig *rig = *state;
    hearth *users = open_space(rig->a, "users");
    hearth *user = open_space(rig->a, "user");
    assert_ptr_equal(open_space(user, "users"), users);
    assert_int_equal(cache_set(rig->a, "users1", "own"), HEARTH_OK);
    assert_int_equal(cache_set(users, "1", "users"), HEARTH_OK);
    assert_int_equal(cache_set(user, "s1", "user"), HEARTH_OK);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(cache_get(rig->a, "users1", 0), "=own");
        assert_string_equal(cache_get(users, "1", 0), "=users");
        assert_string_equal(cache_get(user, "s1", 0), "=user");
        assert_string_equal(cache_get(open_space(rig->b, "users"), "1", 0), "=users");
        assert_string_equal(cache_get(open_space(rig->b, "user"), "s1", 0), "=user");
    }
    assert_string_equal(cache_get(rig->a, "1", 0), "MISS");
    assert_string_equal(cache_get(users, "s1", 0), "MISS");
    assert_int_equal(remove_key(users, "1"), HEARTH_OK);
    assert_string_equal(cache_get(users, "1", 0), "MISS");
    assert_string_equal(cache_get(rig->a, "users1", 0), "=own");
    assert_int_equal(remove_key(rig->a, "users1"), HEARTH_OK);
    assert_string_equal(cache_get(user, "s1", 0), "=user");
    assert_int_equal(hearth_close(users), HEARTH_OK);
    assert_string_equal(cache_get(user, "s1", 0), "=user");
}

/* One of the cache's own that is written as the tiers write those of a namespace is that namespace's for nobody. */
static void no_key_passes_for_another(void **state) {
    struct lease_rig *rig = *state;
    const char *const same[] = {"\x89",
                                "\x89"
                                "00000000000000000",
                                "\x89"
                                "000000000000000000",
                                "\x89"
                                "0000000000000000000",
                                "\x89"
                                "00000000000000000000",
                                "\x89\x89"};
    enum { COUNT = sizeof same / sizeof same[0] };
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(cache_set(rig->a, same[i], same[COUNT - 1 - i] + 1), HEARTH_OK);
    }
    for (int i = 0; i < COUNT; i++) {
        const char *found = cache_get(rig->a, same[i], 0);
        assert_int_equal(found[0], '=');
        assert_string_equal(found + 1, same[COUNT - 1 - i] + 1);
        found = cache_get(rig->b, same[i], 0);
        assert_string_equal(found + 1, same[COUNT - 1 - i] + 1);
        assert_int_equal(remove_key(rig->a, same[i]), HEARTH_OK);
    }
}

static void see_key(struct source *source, hearth_fill *fill) {
    (void)fill;
    *(int *)source->arg += 1;
}

static int32_t load_own_key(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    return hearth_fill_value(fill, key, key_size);
}

static int32_t load_own_keys(void *arg, size_t count, const void *const *keys,
                             const size_t *key_sizes, hearth_fill *const *fills) {
    (void)arg;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(hearth_fill_value(fills[i], keys[i], key_sizes[i]), HEARTH_OK);
    }
    return HEARTH_OK;
}

static int32_t expect_key(void *arg, const void *key, size_t key_size, const void *data,
                          size_t size) {
    (void)data;
    (void)size;
    assert_int_equal(key_size, strlen(arg));
    assert_memory_equal(key, arg, key_size);
    return HEARTH_OK;
}

/* Loaders and writers are given the keys that callers gave. */
static void others_are_given_callers_keys(void **state) {
    struct lease_rig *rig = *state;
    hearth *users = open_space(rig->a, "users");
    const hearth_loader one = {.size = sizeof one, .load = load_own_key};
    const hearth_loader many = {.size = sizeof many, .load_many = load_own_keys};
    char long_key[4000];
    memset(long_key, 'k', sizeof long_key);
    assert_int_equal(hearth_fetch(users, "key", 3, &one, NULL, NULL, rig->value), HEARTH_OK);
    expect_text(rig->value, "key");
    assert_int_equal(
        hearth_fetch(users, long_key, sizeof long_key, &one, NULL, NULL, rig->value),
        HEARTH_OK);
    assert_int_equal(hearth_value_size(rig->value), sizeof long_key);
    for (int i = 0; i < 2; i++) {
        hearth_value *values[3] = {rig->value, hearth_value_new(), hearth_value_new()};
        const void *const keys[] = {"a", "bb", "ccc"};
        const size_t sizes[] = {1, 2, 3};
        int32_t statuses[3];
        assert_int_equal(hearth_fetch_many(users, 3, keys, sizes, i == 0 ? &many : &one, NULL,
                                           NULL, values, statuses),
                         HEARTH_OK);
        expect_text(values[0], "a");
        expect_text(values[2], "ccc");
        assert_int_equal(hearth_get_many(users, 3, keys, sizes, NULL, values, statuses),
                         HEARTH_OK);
        expect_text(values[1], "bb");
        assert_int_equal(hearth_delete_many(users, 3, keys, sizes, NULL, statuses), HEARTH_OK);
        assert_int_equal(hearth_get_many(users, 3, keys, sizes, NULL, values, statuses),
                         HEARTH_OK);
        assert_int_equal(statuses[1], HEARTH_MISS);
        hearth_value_free(values[1]);
        hearth_value_free(values[2]);
    }
    char through[] = "through";
    assert_int_equal(hearth_write_through(users, through, strlen(through), "v", 1, expect_key,
                                          through, NULL),
                     HEARTH_OK);
    assert_string_equal(cache_get(users, "through", 0), "=v");
    assert_string_equal(cache_get(rig->a, "through", 0), "MISS");
}

/* ---- a bump ---- */

static void what_is_bumped_is_gone(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, eager);
    hearth *a = open_space(rig->a, rig->key);
    hearth *b = open_space(rig->b, rig->key);
    hearth *other = open_space(rig->a, "other");
    assert_int_equal(cache_set(other, "k", "stays"), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cache_set(a, "k", "old"), HEARTH_OK);
        assert_string_equal(cache_get(a, "k", 0), "=old");
        assert_string_equal(cache_get(b, "k", 0), "=old");
        int32_t bumped = i == 1 ? hearth_clear(a) : hearth_namespace_bump(a, NULL);
        assert_int_equal(bumped, HEARTH_OK);
        assert_string_equal(cache_get(a, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_string_equal(cache_get(b, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_string_equal(cache_get(other, "k", 0), "=stays");
    }
    assert_int_equal(cache_stats(rig->a).namespace_bumps, 3);
}

/* Who trusts what it knows does not see it; but what it writes and deletes is what others read. */
static void who_writes_meets_those_who_read(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, trusting);
    hearth *a = open_space(rig->a, rig->key);
    hearth *b = open_space(rig->b, rig->key);
    assert_int_equal(cache_set(a, "k", "old"), HEARTH_OK);
    assert_string_equal(cache_get(b, "k", 0), "=old");
    assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
    assert_int_equal(cache_set(a, "k", "new"), HEARTH_OK);
    assert_string_equal(cache_get(b, "k", HEARTH_READ_NO_LOCAL), "=old");
    assert_int_equal(remove_key(b, "k"), HEARTH_OK);
    assert_string_equal(cache_get(a, "k", HEARTH_READ_NO_LOCAL), "MISS");
    assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
    assert_int_equal(cache_set(b, "k", "newer"), HEARTH_OK);
    assert_string_equal(cache_get(a, "k", HEARTH_READ_NO_LOCAL), "=newer");
    assert_string_equal(cache_get(b, "k", 0), "=newer");
}

/* A reader with a bound asks. */
static void the_bound_covers_the_generation(void **state) {
    struct lease_rig *rig = *state;
    hearth_read_options read;
    hearth_info info = {.size = sizeof info};
    lease_reopen(rig, &rig->b, trusting);
    hearth *a = open_space(rig->a, rig->key);
    hearth *b = open_space(rig->b, rig->key);
    assert_int_equal(cache_set(a, "k", "old"), HEARTH_OK);
    assert_string_equal(cache_get(b, "k", 0), "=old");
    (void)usleep(3000);
    assert_int_equal(hearth_get(b, "k", 1, NULL, rig->value), HEARTH_OK);
    assert_int_equal(hearth_value_info(rig->value, &info), HEARTH_OK);
    assert_true(info.staleness_bound_ms >= 2);
    assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
    hearth_read_options_init(&read, sizeof read);
    read.max_stale_ms = 1;
    assert_int_equal(hearth_get(b, "k", 1, &read, rig->value), HEARTH_MISS);
}

static void bump_inside(struct source *source, hearth_fill *fill) {
    (void)fill;
    assert_int_equal(hearth_namespace_bump(source->arg, NULL), HEARTH_OK);
}

/* Whoever bumps, and whatever became of the load: nobody reads it who comes after. */
static void what_was_loaded_meanwhile_is_not_served(void **state) {
    struct lease_rig *rig = *state;
    const int rounds = getenv("HEARTH_LONG") != NULL ? 10000 : 100;
    lease_reopen(rig, &rig->a, eager);
    lease_reopen(rig, &rig->b, eager);
    hearth *views[] = {open_space(rig->a, rig->key), open_space(rig->b, rig->key)};
    for (int i = 0; i < rounds; i++) {
        char key[16];
        struct lease_fetch fetch;
        snprintf(key, sizeof key, "k%d", i % 7);
        lease_prepare(&fetch, views[0], key, "old");
        fetch.source.inside = bump_inside;
        fetch.source.arg = views[i % 2];
        fetch.read.flags = i % 3 != 0 ? HEARTH_READ_RELOAD : 0;
        assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
        assert_string_equal(cache_get(views[0], key, HEARTH_READ_ALLOW_STALE), "MISS");
        assert_string_equal(cache_get(views[1], key, HEARTH_READ_ALLOW_STALE), "MISS");
    }
}

/* Who waits already gets what is loaded; who comes after the bump loads anew. */
static void a_load_from_before_is_not_for_who_comes_after(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch before;
    struct lease_fetch after;
    hearth *view = open_space(rig->a, rig->key);
    lease_prepare(&before, view, "k", "old");
    lease_prepare(&after, view, "k", "new");
    lease_start_slow(&before);
    assert_int_equal(hearth_namespace_bump(view, NULL), HEARTH_OK);
    assert_int_equal(lease_fetch(&after), HEARTH_OK);
    lease_finish(&before);
    assert_string_equal(before.text, "old");
    assert_string_equal(after.text, "new");
    assert_string_equal(cache_get(view, "k", 0), "=new");
}

/* ---- what servers lose ---- */

/* Says a line to the server, as another client would, and awaits one. */
static void tell_server(const struct lease_rig *rig, const char *line) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[256];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", lease_path(rig));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    assert_true(read(fd, answer, sizeof answer) > 0);
    (void)close(fd);
}

static void set_counter(const struct lease_rig *rig, const char *number) {
    char line[192];
    bool redis = rig->kind == SERVER_REDIS;
    if (number == NULL) {
        snprintf(line, sizeof line, "%s hearth-space:%s\r\n", redis ? "DEL" : "delete",
                 rig->key);
    } else if (redis) {
        snprintf(line, sizeof line, "SET hearth-space:%s %s\r\n", rig->key, number);
    } else {
        snprintf(line, sizeof line, "set hearth-space:%s 0 0 %zu\r\n%s\r\n", rig->key,
                 strlen(number), number);
    }
    tell_server(rig, line);
}

/* The number that the counter has now: of a process that only looks. */
static void save_counter(const struct lease_rig *rig, char *number, size_t size) {
    char key[64];
    hearth *plain = lease_open_cache(rig, NULL);
    snprintf(key, sizeof key, "hearth-space:%s", rig->key);
    const char *found = cache_get(plain, key, 0);
    assert_int_equal(found[0], '=');
    snprintf(number, size, "%s", found + 1);
    assert_int_equal(hearth_close(plain), HEARTH_OK);
}

/* Deleted, or something that is no generation: in caches that knew it and in others. */
static void what_was_lost_does_not_come_back(void **state) {
    struct lease_rig *rig = *state;
    const char *const left[] = {NULL, "1", "0", "garbage"};
    lease_reopen(rig, &rig->a, eager);
    for (int i = 0; i < 8; i++) {
        lease_reopen(rig, &rig->b, eager);
        hearth *a = open_space(rig->a, rig->key);
        hearth *b = open_space(rig->b, rig->key);
        assert_int_equal(cache_set(a, "k", "old"), HEARTH_OK);
        assert_string_equal(cache_get(b, "k", 0), "=old");
        assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
        set_counter(rig, left[i % 4]);
        if (i % 3 == 0) { /* one that never knew it */
            lease_reopen(rig, &rig->b, eager);
            b = open_space(rig->b, rig->key);
        }
        if (i % 2 == 0) {
            assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
        }
        assert_string_equal(cache_get(b, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_string_equal(cache_get(a, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        /* And what comes after is kept, and seen by both. */
        assert_int_equal(cache_set(b, "k", "new"), HEARTH_OK);
        assert_string_equal(cache_get(a, "k", 0), "=new");
    }
}

/* As a server does that begins again with what it had some time ago: a process that knows better sees to it for all. */
static void a_number_that_comes_back_is_no_generation(void **state) {
    struct lease_rig *rig = *state;
    char early[32];
    char other[32];
    lease_reopen(rig, &rig->a, eager);
    lease_reopen(rig, &rig->b, eager);
    hearth *a = open_space(rig->a, rig->key);
    hearth *b = open_space(rig->b, rig->key);
    assert_int_equal(cache_set(a, "k", "old"), HEARTH_OK);
    save_counter(rig, early, sizeof early);
    assert_int_equal(hearth_namespace_bump(a, NULL), HEARTH_OK);
    set_counter(rig, early); /* of this epoch */
    assert_string_equal(cache_get(a, "k", HEARTH_READ_ALLOW_STALE), "MISS");
    assert_string_equal(cache_get(b, "k", HEARTH_READ_ALLOW_STALE), "MISS");
    save_counter(rig, other, sizeof other);
    assert_string_not_equal(other, early);
    set_counter(rig, early); /* of one before */
    assert_string_equal(cache_get(a, "k", HEARTH_READ_ALLOW_STALE), "MISS");
    assert_string_equal(cache_get(b, "k", HEARTH_READ_ALLOW_STALE), "MISS");
}

static void what_is_flushed_is_begun_anew(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->a, eager);
    lease_reopen(rig, &rig->b, eager);
    hearth *a = open_space(rig->a, rig->key);
    hearth *b = open_space(rig->b, rig->key);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cache_set(a, "k", "old"), HEARTH_OK);
        assert_string_equal(cache_get(b, "k", 0), "=old");
        tell_server(rig, rig->kind == SERVER_REDIS ? "FLUSHALL\r\n" : "flush_all\r\n");
        assert_string_equal(cache_get(b, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_string_equal(cache_get(a, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_int_equal(cache_set(b, "k", "new"), HEARTH_OK);
        assert_string_equal(cache_get(a, "k", 0), "=new");
        assert_int_equal(hearth_namespace_bump(b, NULL), HEARTH_OK);
        assert_string_equal(cache_get(a, "k", HEARTH_READ_ALLOW_STALE), "MISS");
    }
}

/* ---- a node that does not answer ---- */

static void without_its_node_copies_are_stale(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch fetch;
    const char *const lonely[] = {"coherence.version_ttl_ms",
                                  "1",
                                  "local.max_ttl_ms",
                                  "1h",
                                  "coherence.mode",
                                  "ttl",
                                  "remote.timeout_ms",
                                  "200",
                                  NULL};
    lease_reopen(rig, &rig->b, lonely);
    hearth *b = open_space(rig->b, rig->key);
    assert_int_equal(cache_set(b, "k", "kept"), HEARTH_OK);
    assert_string_equal(cache_get(b, "k", 0), "=kept");
    proxy_stop(rig->proxy);
    rig->proxy = NULL;
    const char *found = cache_get(b, "k", 0);
    assert_true(found[0] != '=' && strcmp(found, "MISS") != 0);
    assert_string_equal(cache_get(b, "k", HEARTH_READ_ALLOW_STALE), "=kept");
    assert_true(cache_set(b, "other", "v") < 0);
    assert_true(hearth_namespace_bump(b, NULL) < 0);
    lease_prepare(&fetch, b, "k2", "loaded");
    assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
    assert_string_equal(fetch.text, "loaded");
    assert_true(cache_set(b, "k", "v") < 0); /* and no copy stays */
    found = cache_get(b, "k", HEARTH_READ_ALLOW_STALE);
    assert_true(found[0] != '=');
    rig->proxy = proxy_start(lease_path(rig), 0);
    assert_non_null(rig->proxy);
}

/* ---- the cache's own keys ---- */

static void the_caches_own_keys_are_cleared_if_options_say_so(void **state) {
    struct lease_rig *rig = *state;
    assert_int_equal(hearth_clear(rig->a), HEARTH_E_UNSUPPORTED);
    assert_int_equal(hearth_namespace_bump(rig->a, NULL), HEARTH_E_UNSUPPORTED);
    lease_reopen(rig, &rig->a, clears);
    lease_reopen(rig, &rig->b, clears);
    assert_int_equal(cache_set(rig->a, rig->key, "old"), HEARTH_OK);
    assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
    hearth *view = open_space(rig->a, rig->key);
    assert_int_equal(cache_set(view, "k", "stays"), HEARTH_OK);
    assert_int_equal(hearth_clear(rig->a), HEARTH_OK);
    assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
    assert_string_equal(cache_get(rig->b, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
    assert_string_equal(cache_get(view, "k", 0), "=stays");
}

/* ---- embedded ---- */

static void embedded_keys_are_forgotten_too(void **state) {
    const char *const none[] = {NULL};
    hearth *cache = cache_open(none);
    hearth *view = open_space(cache, "view");
    struct source source = {SOURCE_INIT, .text = "loaded"};
    struct source inside = {SOURCE_INIT, .text = "old", .inside = bump_inside, .arg = view};
    hearth_value *value = hearth_value_new();
    (void)state;
    assert_int_equal(cache_set(cache, "k", "own"), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cache_set(view, "k", "old"), HEARTH_OK);
        assert_string_equal(cache_get(view, "k", 0), "=old");
        assert_int_equal(hearth_namespace_bump(view, NULL), HEARTH_OK);
        assert_string_equal(cache_get(view, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_int_equal(source_fetch(view, "k", &inside, value), HEARTH_OK);
        assert_string_equal(cache_get(view, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_int_equal(source_fetch(view, "k", &source, value), HEARTH_OK);
        assert_string_equal(cache_get(view, "k", 0), "=loaded");
        assert_string_equal(cache_get(cache, "k", 0), "=own");
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hearth_clear(cache), HEARTH_OK);
        assert_string_equal(cache_get(cache, "k", HEARTH_READ_ALLOW_STALE), "MISS");
        assert_string_equal(cache_get(view, "k", 0), "=loaded");
        assert_int_equal(cache_set(cache, "k", "own"), HEARTH_OK);
    }
    hearth_value_free(value);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- arguments ---- */

static void names_are_checked(void **state) {
    struct lease_rig *rig = *state;
    char name[HEARTH_NAMESPACE_MAX + 1];
    hearth *view = NULL;
    uint32_t index = 9;
    int keys_seen = 0;
    struct source source = {SOURCE_INIT, .text = "v", .inside = see_key, .arg = &keys_seen};
    memset(name, 'n', sizeof name);
    assert_int_equal(hearth_namespace_open(NULL, "n", 1, &view), HEARTH_E_INVALID);
    assert_int_equal(hearth_namespace_open(rig->a, NULL, 1, &view), HEARTH_E_INVALID);
    assert_int_equal(hearth_namespace_open(rig->a, "", 0, &view), HEARTH_E_INVALID);
    assert_int_equal(hearth_namespace_open(rig->a, "a b", 3, &view), HEARTH_E_INVALID);
    assert_int_equal(hearth_namespace_open(rig->a, "n", 1, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_namespace_open(rig->a, name, sizeof name, &view), HEARTH_E_INVALID);
    assert_null(view);
    assert_int_equal(hearth_namespace_bump(NULL, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_namespace_open(rig->a, name, sizeof name - 1, &view), HEARTH_OK);
    assert_int_equal(source_fetch(view, rig->key, &source, rig->value), HEARTH_OK);
    assert_int_equal(source_fetch(view, rig->key, &source, rig->value), HEARTH_OK);
    assert_int_equal(keys_seen, 1);
    assert_int_equal(hearth_node_of(view, "k", 1, &index, NULL, 0), HEARTH_OK);
    assert_int_equal(index, 0);
    assert_int_equal(hearth_guard_add(view, "k", 1), HEARTH_E_UNSUPPORTED);
    assert_int_equal(hearth_evict_local(view, rig->key, strlen(rig->key)), HEARTH_OK);
    assert_int_equal(hearth_evict_local(view, rig->key, strlen(rig->key)), HEARTH_MISS);
    hearth_stats stats = cache_stats(view);
    assert_true(stats.loads >= 1);
}

#define ON(open, test) cmocka_unit_test_setup_teardown(test, open, lease_close)
#define ON_ALL(test)                                            \
    ON(lease_open_redis, test), ON(lease_open_memcached, test), \
        ON(lease_open_libmemcached, test)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_ALL(keys_are_its_own),
        ON_ALL(no_key_passes_for_another),
        ON_ALL(others_are_given_callers_keys),
        ON_ALL(what_is_bumped_is_gone),
        ON_ALL(who_writes_meets_those_who_read),
        ON_ALL(the_bound_covers_the_generation),
        ON_ALL(what_was_loaded_meanwhile_is_not_served),
        ON_ALL(a_load_from_before_is_not_for_who_comes_after),
        ON_ALL(what_was_lost_does_not_come_back),
        ON_ALL(a_number_that_comes_back_is_no_generation),
        ON_ALL(what_is_flushed_is_begun_anew),
        ON_ALL(without_its_node_copies_are_stale),
        ON_ALL(the_caches_own_keys_are_cleared_if_options_say_so),
        cmocka_unit_test(embedded_keys_are_forgotten_too),
        ON_ALL(names_are_checked),
    };
    return cmocka_run_group_tests_name("namespaces", tests, lease_servers_start,
                                       lease_servers_stop);
}
