/* SPDX-License-Identifier: Apache-2.0 */
/* The list of nodes changes while the cache is in use: nobody is failed, no value is wrong, nothing
 * of a node that left is left. */
#include "api/source.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

enum { NODES = 3, KEYS = 300, URL = 512, WHY = 160 };

static struct servers servers; /* NODES of Redis, then NODES of Memcached */

static int start(void **state) {
    (void)state;
    assert_int_equal(servers_open(&servers), 0);
    for (size_t i = 0; i < 2 * (size_t)NODES; i++) {
        if (servers_start(&servers, i < NODES ? SERVER_REDIS : SERVER_MEMCACHED, SERVER_UNIX,
                          NULL) != 0) {
            fail_msg("%s", servers.error);
        }
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* A list of nodes, named by letters: "AC". */
static const char *list(char *url, enum server_kind kind, const char *nodes) {
    size_t used = (size_t)snprintf(url, URL, "%s://",
                                   kind == SERVER_REDIS ? "redis+unix" : "memcached+unix");
    for (const char *at = nodes; *at != '\0'; at++) {
        size_t node = (size_t)(*at - 'A') + (kind == SERVER_REDIS ? 0 : NODES);
        used += (size_t)snprintf(url + used, URL - used, "%s%s", at == nodes ? "" : ",",
                                 servers.nodes[node].path);
    }
    return url;
}

static hearth *open_at(const char *url) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    assert_int_equal(hearth_options_set(options, "remote.url", url), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "remote.timeout_ms", "20s"), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "local.max_ttl_ms", "600000"), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "coherence.mode", "ttl"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

static hearth *open_list(enum server_kind kind, const char *nodes) {
    char url[URL];
    return open_at(list(url, kind, nodes));
}

static void set_list(hearth *cache, enum server_kind kind, const char *nodes) {
    char url[URL];
    char why[WHY] = "untouched";
    if (hearth_set_nodes(cache, list(url, kind, nodes), why, sizeof why) != HEARTH_OK) {
        fail_msg("%s: %s", nodes, why);
    }
    assert_string_equal(why, "");
}

static uint32_t owner(hearth *cache, const char *key) {
    uint32_t index = 99;
    assert_int_equal(hearth_node_of(cache, key, strlen(key), &index, NULL, 0), HEARTH_OK);
    return index;
}

static const char *key_of(char *key, const char *kind, uint32_t number) {
    snprintf(key, 32, "%s-%u", kind, number);
    return key;
}

static uint64_t stat_of(hearth *cache, size_t offset) {
    hearth_stats stats = {.size = sizeof stats};
    uint64_t value = 0;
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    memcpy(&value, (const char *)&stats + offset, sizeof value);
    return value;
}

static size_t open_sockets(void) {
    size_t count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int type = 0;
        socklen_t size = sizeof type;
        count += getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    }
    return count;
}

/* ---- the list ---- */

static void keys_go_where_the_new_list_says(void **state) {
    static const char *const lists[] = {"AB", "ABC", "CA", "B", "CBA"};
    (void)state;
    hearth *cache = open_list(SERVER_REDIS, "A");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        set_list(cache, SERVER_REDIS, lists[i]);
        hearth *other = open_list(SERVER_REDIS, lists[i]);
        for (uint32_t j = 0; j < KEYS; j++) {
            char key[32];
            key_of(key, "place", j);
            assert_int_equal(owner(cache, key), owner(other, key));
            assert_int_equal(cache_set(cache, key, lists[i]), HEARTH_OK);
            char expected[16];
            snprintf(expected, sizeof expected, "=%s", lists[i]);
            assert_string_equal(cache_get(other, key, HEARTH_READ_NO_LOCAL), expected);
        }
        hearth_close(other);
    }
    hearth_close(cache);
}

static void a_wrong_list_changes_nothing(void **state) {
    (void)state;
    char url[URL];
    static const struct {
        const char *url;
        int32_t status;
        const char *word;
    } wrong[] = {
        {"", HEARTH_E_INVALID, "embedded://"},
        {"embedded://", HEARTH_E_INVALID, "scheme"},
        {"memcached://10.0.0.1", HEARTH_E_INVALID, "scheme"},
        {"redis://10.0.0.1,:1", HEARTH_E_INVALID, "node 2"},
        {"redis://10.0.0.1/3", HEARTH_E_INVALID, "database"},
        {"redis://:secret@10.0.0.1", HEARTH_E_UNSUPPORTED, "password"},
        {"rediss://10.0.0.1", HEARTH_E_UNSUPPORTED, "rediss"},
    };
    hearth *cache = open_list(SERVER_REDIS, "AB");
    hearth *other = open_list(SERVER_REDIS, "AB");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char why[WHY] = "";
        assert_int_equal(hearth_set_nodes(cache, wrong[i].url, why, sizeof why),
                         wrong[i].status);
        if (strstr(why, wrong[i].word) == NULL || strstr(why, "secret") != NULL) {
            fail_msg("%s: %s", wrong[i].url, why);
        }
        assert_int_equal(hearth_set_nodes(cache, wrong[i].url, NULL, 0), wrong[i].status);
    }
    list(url, SERVER_REDIS, "A");
    assert_int_equal(hearth_set_nodes(NULL, url, NULL, 0), HEARTH_E_INVALID);
    assert_int_equal(hearth_set_nodes(cache, NULL, NULL, 0), HEARTH_E_INVALID);
    assert_int_equal(hearth_set_nodes(cache, url, NULL, 1), HEARTH_E_INVALID);
    for (uint32_t j = 0; j < KEYS; j++) {
        char key[32];
        key_of(key, "wrong", j);
        assert_int_equal(owner(cache, key), owner(other, key));
        assert_int_equal(cache_set(cache, key, "x"), HEARTH_OK);
    }
    hearth_close(other);
    hearth_close(cache);
}

static void the_embedded_tier_is_its_only_node(void **state) {
    (void)state;
    hearth *cache = open_at("embedded://");
    assert_int_equal(cache_set(cache, "k", "v"), HEARTH_OK);
    assert_int_equal(hearth_set_nodes(cache, "redis://10.0.0.1", NULL, 0), HEARTH_E_INVALID);
    assert_int_equal(hearth_set_nodes(cache, "embedded://", NULL, 0), HEARTH_OK);
    assert_string_equal(cache_get(cache, "k", HEARTH_READ_NO_LOCAL), "=v");
    hearth_close(cache);
}

/* ---- what stays and what goes ---- */

static void a_node_that_stays_keeps_its_connections(void **state) {
    (void)state;
    size_t none = open_sockets();
    hearth *cache = open_list(SERVER_REDIS, "A");
    hearth *other = open_list(SERVER_REDIS, "BAC");
    char key[32];
    for (uint32_t i = 0; owner(other, key_of(key, "stays", i)) != 1; i++) {
    }
    hearth_close(other);
    assert_int_equal(cache_set(cache, key, "v"), HEARTH_OK);
    size_t sockets = open_sockets();
    uint64_t connects = stat_of(cache, offsetof(hearth_stats, connects));
    for (unsigned i = 0; i < 10; i++) {
        set_list(cache, SERVER_REDIS, i % 2 == 0 ? "BAC" : "A");
    }
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), "=v");
    assert_int_equal(stat_of(cache, offsetof(hearth_stats, connects)), connects);
    assert_int_equal(open_sockets(), sockets);
    set_list(cache, SERVER_REDIS, "B"); /* nobody is inside: it goes at once */
    assert_int_equal(open_sockets(), none);
    hearth_close(cache);
}

/* A copy of a key that moved says nothing about its new owner. */
static void copies_of_moved_keys_are_dropped_and_others_stay(void **state) {
    (void)state;
    bool moved[KEYS];
    size_t moves = 0;
    hearth *cache = open_list(SERVER_MEMCACHED, "A");
    hearth *other = open_list(SERVER_MEMCACHED, "AB");
    for (uint32_t j = 0; j < KEYS; j++) {
        char key[32];
        key_of(key, "copy", j);
        moved[j] = owner(other, key) == 1;
        moves += moved[j];
        assert_int_equal(cache_set(cache, key, "old"), HEARTH_OK);
    }
    assert_in_range(moves, KEYS / 10, KEYS - KEYS / 10);
    set_list(cache, SERVER_MEMCACHED, "AB");
    for (uint32_t j = 0; j < KEYS; j++) {
        char key[32];
        key_of(key, "copy", j);
        assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE),
                            moved[j] ? "MISS" : "=old");
        if (moved[j]) {
            assert_string_equal(cache_get(cache, key, 0), "MISS");
        }
    }
    hearth_close(other);
    hearth_close(cache);
}

static size_t threads(void) {
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while (readdir(tasks) != NULL) {
        count++;
    }
    closedir(tasks);
    return count;
}

/* Not even the thread that would find out whether it is back stays. */
static void a_node_that_left_is_left_alone(void **state) {
    (void)state;
    size_t before = threads();
    hearth *cache = open_at("redis+unix:///nowhere/at-all");
    assert_string_equal(cache_get(cache, "k", 0), "E_UNAVAILABLE");
    size_t with_it = threads(); /* and perhaps a sanitizer's own */
    assert_true(with_it > before);
    set_list(cache, SERVER_REDIS, "A");
    for (unsigned i = 0; i < 10000 && threads() == with_it; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(threads() < with_it);
    assert_int_equal(cache_set(cache, "k", "v"), HEARTH_OK);
    hearth_close(cache);
}

/* ---- keys that come back ---- */

/* Fills `keys` with keys that go from A to B in the list AB. */
static void keys_of_b(char keys[][32], size_t count, const char *kind) {
    hearth *cache = open_list(SERVER_REDIS, "AB");
    size_t found = 0;
    for (uint32_t i = 0; found < count; i++) {
        found += owner(cache, key_of(keys[found], kind, i)) == 1;
    }
    hearth_close(cache);
}

static const char *fetch(hearth *cache, const char *key, const char *text) {
    struct source source = {SOURCE_INIT, .text = text};
    static char answer[16];
    hearth_value *value = hearth_value_new();
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    snprintf(answer, sizeof answer, "%.*s", (int)hearth_value_size(value),
             (const char *)hearth_value_data(value));
    hearth_value_free(value);
    return answer;
}

static int64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Then what was written is told from what will be. */
static void await_another_ms(void) {
    int64_t before = wall_ms();
    while (wall_ms() == before) {
    }
}

enum { BACK = 4 };

/* What was written or deleted elsewhere meanwhile is not undone by what a node kept. */
static void what_a_node_held_before_is_no_answer_when_it_comes_back(void **state) {
    (void)state;
    char keys[BACK][32];
    keys_of_b(keys, BACK, "back");
    hearth *cache = open_list(SERVER_REDIS, "AB");
    hearth *other = open_list(SERVER_REDIS, "AB"); /* knows nothing of the past */
    for (size_t i = 0; i < BACK; i++) {
        assert_int_equal(cache_set(cache, keys[i], "old"), HEARTH_OK);
    }
    set_list(cache, SERVER_REDIS, "A");
    assert_int_equal(cache_set(cache, keys[0], "new"), HEARTH_OK);
    assert_int_equal(hearth_delete(cache, keys[1], strlen(keys[1]), NULL), HEARTH_MISS);
    set_list(cache, SERVER_REDIS, "CA"); /* however many lists there were since */
    set_list(cache, SERVER_REDIS, "BA");
    assert_string_equal(cache_get(other, keys[0], HEARTH_READ_NO_LOCAL), "=old");
    for (size_t i = 0; i < BACK; i++) {
        assert_string_equal(cache_get(cache, keys[i], 0), "MISS");
    }
    assert_int_equal(stat_of(cache, offsetof(hearth_stats, values_fenced)), BACK);
    /* They are replaced like nothing, and last. */
    assert_int_equal(cache_set(cache, keys[0], "set"), HEARTH_OK);
    assert_string_equal(fetch(cache, keys[1], "loaded"), "loaded");
    assert_string_equal(cache_get(cache, keys[0], HEARTH_READ_NO_LOCAL), "=set");
    assert_string_equal(cache_get(cache, keys[1], HEARTH_READ_NO_LOCAL), "=loaded");
    assert_string_equal(cache_get(other, keys[1], HEARTH_READ_NO_LOCAL), "=loaded");
    /* The same for who stayed, and got the key from who left. */
    set_list(cache, SERVER_REDIS, "A");
    assert_string_equal(cache_get(cache, keys[0], 0), "MISS");
    hearth_close(other);
    hearth_close(cache);
}

/* Who changed the list earlier wrote there for all. */
static void what_others_wrote_to_a_new_node_is_an_answer(void **state) {
    (void)state;
    char keys[2][32];
    keys_of_b(keys, 2, "first");
    hearth *cache = open_list(SERVER_REDIS, "A");
    hearth *other = open_list(SERVER_REDIS, "A");
    assert_int_equal(cache_set(cache, keys[0], "old"), HEARTH_OK);
    set_list(other, SERVER_REDIS, "AB");
    assert_int_equal(cache_set(other, keys[0], "theirs"), HEARTH_OK);
    await_another_ms();
    set_list(cache, SERVER_REDIS, "AB");
    assert_string_equal(cache_get(cache, keys[0], 0), "=theirs");
    /* Another order of the same nodes is no change. */
    assert_int_equal(cache_set(cache, keys[1], "own"), HEARTH_OK);
    for (unsigned i = 0; i < 20; i++) {
        set_list(cache, SERVER_REDIS, i % 2 == 0 ? "BA" : "AB");
    }
    assert_string_equal(cache_get(cache, keys[1], HEARTH_READ_NO_LOCAL), "=own");
    set_list(cache, SERVER_REDIS, "A");
    assert_string_equal(cache_get(cache, keys[0], 0), "MISS");
    hearth_close(other);
    hearth_close(cache);
}

/* ---- calls that are inside ---- */

struct visitor {
    hearth *cache;
    int32_t status;
    char text[8];
};

static void visit(void *arg, size_t index) {
    struct visitor *visitor = arg;
    (void)index;
    snprintf(visitor->text, sizeof visitor->text, "%s",
             cache_get(visitor->cache, "k", HEARTH_READ_NO_LOCAL));
}

static void a_call_to_a_node_that_leaves_has_its_answer(void **state) {
    (void)state;
    struct crowd crowd = {0};
    char url[URL];
    struct proxy *proxy = proxy_start(servers.nodes[0].path, 0);
    assert_non_null(proxy);
    snprintf(url, sizeof url, "redis+unix://%s", proxy_path(proxy));
    struct visitor visitor = {.cache = open_at(url)};
    assert_int_equal(cache_set(visitor.cache, "k", "v"), HEARTH_OK);
    uint64_t seen = proxy_seen(proxy, PROXY_TO_SERVER);
    proxy_hold(proxy, PROXY_TO_CLIENT);
    assert_true(crowd_start(&crowd, 1, visit, &visitor));
    assert_true(proxy_await_seen(proxy, PROXY_TO_SERVER, seen + 1));
    set_list(visitor.cache, SERVER_REDIS, "B"); /* does not wait for the call */
    assert_int_equal(cache_set(visitor.cache, "k", "other"), HEARTH_OK);
    proxy_release(proxy, PROXY_TO_CLIENT);
    crowd_join(&crowd);
    assert_string_equal(visitor.text, "=v");
    assert_true(
        proxy_await_closed(proxy, 1)); /* with the last who used it, not with the cache */
    assert_string_equal(cache_get(visitor.cache, "k", 0), "=other");
    hearth_close(visitor.cache);
    proxy_stop(proxy);
}

/* ---- under load ---- */

enum { WORKERS = 4, ROUNDS = 3, CHANGES = 5, OWN_KEYS = 16 };

struct load {
    hearth *cache;
    _Atomic uint32_t round; /* keys of a round are new: no node has any */
    _Atomic uint32_t steps;
    _Atomic uint32_t errors;
    _Atomic uint32_t wrong;
    _Atomic int32_t error;
    _Atomic bool over;
};

/* One worker's keys, and what each holds, as it was told. */
struct work {
    struct load *load;
    hearth_value *value;
    uint32_t round;
    uint32_t who;
    uint32_t number;
    char key[48];
    char text[80]; /* empty: deleted */
};

static void note(struct work *work, int32_t status) {
    if (status < 0) {
        atomic_fetch_add(&work->load->errors, 1);
        atomic_store(&work->load->error, status);
    }
}

/* What was last written, or nothing, where no node had the key before. */
static void judge(struct work *work, int32_t status, const hearth_value *value) {
    size_t size = strlen(work->text);
    note(work, status);
    if (status == HEARTH_OK &&
        (size == 0 || hearth_value_size(value) != size ||
         memcmp(hearth_value_data(value), work->text, size) != 0) &&
        atomic_load(&work->load->round) == work->round) {
        atomic_fetch_add(&work->load->wrong, 1);
    }
}

static int32_t load_text(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    const struct work *work = arg;
    (void)key;
    (void)key_size;
    return hearth_fill_value(fill, work->text, strlen(work->text));
}

static void read_it(struct work *work, uint32_t flags) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    judge(work, hearth_get(work->load->cache, work->key, strlen(work->key), &read, work->value),
          work->value);
}

static void read_many(struct work *work) {
    const void *keys[4];
    size_t sizes[4];
    hearth_value *values[4];
    int32_t statuses[4];
    char texts[3][48];
    for (size_t i = 0; i < 4; i++) {
        values[i] = i == 0 ? work->value : hearth_value_new();
        keys[i] = i == 0 ? work->key : texts[i - 1];
        if (i != 0) {
            snprintf(texts[i - 1], sizeof texts[0], "nothing-%u-%zu", work->number, i);
        }
        sizes[i] = strlen(keys[i]);
    }
    note(work, hearth_get_many(work->load->cache, 4, keys, sizes, NULL, values, statuses));
    judge(work, statuses[0], work->value);
    for (size_t i = 1; i < 4; i++) {
        note(work, statuses[i]);
        atomic_fetch_add(&work->load->wrong, statuses[i] == HEARTH_OK);
        hearth_value_free(values[i]);
    }
}

static void one_step(struct work *work) {
    hearth *cache = work->load->cache;
    size_t size = strlen(work->key);
    snprintf(work->text, sizeof work->text, "%s is %u", work->key, work->number);
    note(work, hearth_set(cache, work->key, size, work->text, strlen(work->text), NULL));
    read_it(work, 0);
    read_it(work, HEARTH_READ_NO_LOCAL);
    read_many(work);
    const hearth_loader loader = {.size = sizeof loader, .load = load_text, .arg = work};
    int32_t status = hearth_fetch(cache, work->key, size, &loader, NULL, NULL, work->value);
    judge(work, status, work->value);
    if (work->number % 4 == 0) {
        work->text[0] = '\0';
        note(work, hearth_delete(cache, work->key, size, NULL));
        read_it(work, 0);
    }
    atomic_fetch_add(&work->load->steps, 1);
}

static void work_on(void *arg, size_t index) {
    struct load *load = arg;
    struct work work = {.load = load, .who = (uint32_t)index, .value = hearth_value_new()};
    while (!atomic_load(&load->over)) {
        work.round = atomic_load(&load->round);
        work.number++;
        snprintf(work.key, sizeof work.key, "load-%u-%u-%u", work.round, work.who,
                 work.number % OWN_KEYS);
        one_step(&work);
    }
    hearth_value_free(work.value);
}

/* Each node comes once and goes once in a round, so that none has anything older of a round's keys. */
static void change_the_list(struct load *load, enum server_kind kind, uint32_t round) {
    static const char *const lists[3][CHANGES] = {{"A", "AB", "ABC", "BC", "C"},
                                                  {"C", "CA", "CAB", "AB", "B"},
                                                  {"B", "BC", "BCA", "CA", "A"}};
    atomic_store(&load->round, round);
    for (size_t i = 0; i < CHANGES; i++) {
        uint32_t before = atomic_load(&load->steps);
        set_list(load->cache, kind, lists[round % 3][i]);
        while (atomic_load(&load->steps) < before + 2 * WORKERS) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        }
    }
}

static void nodes_come_and_go_under_load(enum server_kind kind) {
    struct load load = {.cache = open_list(kind, "A")};
    struct crowd crowd = {0};
    uint32_t rounds = getenv("HEARTH_LONG") != NULL ? 100 * ROUNDS : ROUNDS;
    assert_true(crowd_start(&crowd, WORKERS, work_on, &load));
    for (uint32_t i = 0; i < rounds; i++) {
        change_the_list(&load, kind, i);
    }
    atomic_store(&load.over, true);
    crowd_join(&crowd);
    if (load.errors != 0) {
        fail_msg("%u errors, the last: %s", load.errors, hearth_status_name(load.error));
    }
    assert_int_equal(load.wrong, 0);
    assert_true(load.steps >= rounds * CHANGES * 2 * WORKERS);
    hearth_close(load.cache);
}

static void redis_nodes_come_and_go_under_load(void **state) {
    (void)state;
    nodes_come_and_go_under_load(SERVER_REDIS);
}

static void memcached_nodes_come_and_go_under_load(void **state) {
    (void)state;
    nodes_come_and_go_under_load(SERVER_MEMCACHED);
}

/* ---- several at once, and the end ---- */

struct setters {
    hearth *cache;
    struct event changed;
    _Atomic uint32_t unexpected;
    bool until_closed;
};

static void set_again_and_again(void *arg, size_t index) {
    struct setters *setters = arg;
    char urls[2][URL];
    int32_t status = HEARTH_OK;
    list(urls[0], SERVER_REDIS, index % 2 == 0 ? "AB" : "CB");
    list(urls[1], SERVER_REDIS, index % 2 == 0 ? "BA" : "BC");
    for (unsigned i = 0; status == HEARTH_OK && (setters->until_closed || i < 30); i++) {
        char key[32];
        status = hearth_set_nodes(setters->cache, urls[i % 2], NULL, 0);
        if (status == HEARTH_OK && !setters->until_closed) {
            status = cache_set(setters->cache, key_of(key, "turn", i), "x");
        }
        event_raise(&setters->changed);
    }
    setters->unexpected += status != (setters->until_closed ? HEARTH_E_CLOSED : HEARTH_OK);
}

static void several_change_it_at_once(void **state) {
    (void)state;
    struct setters setters = {.cache = open_list(SERVER_REDIS, "A"), .changed = EVENT_INIT};
    assert_true(crowd_run(4, set_again_and_again, &setters));
    assert_int_equal(setters.unexpected, 0);
    char names[2][128];
    hearth *cache = setters.cache; /* the list is one of those that were set, whole */
    bool seen[3] = {false, false, false};
    for (uint32_t j = 0; j < KEYS; j++) {
        char key[32];
        key_of(key, "at-once", j);
        assert_int_equal(
            hearth_node_of(cache, key, strlen(key), NULL, names[0], sizeof names[0]),
            HEARTH_OK);
        for (size_t node = 0; node < NODES; node++) {
            snprintf(names[1], sizeof names[1], "%s:0", servers.nodes[node].path);
            seen[node] = seen[node] || strcmp(names[0], names[1]) == 0;
        }
    }
    assert_true(seen[1] && seen[0] != seen[2]);
    hearth_close(cache);
}

/* The handle is valid while one caller is held inside. */
static int32_t hold_inside(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct setters *setters = arg;
    (void)key;
    (void)key_size;
    while (hearth_set_nodes(setters->cache, "redis+unix:///nowhere", NULL, 0) !=
           HEARTH_E_CLOSED) {
        event_raise(&setters->changed);
    }
    return hearth_fill_value(fill, "x", 1);
}

static void fetch_and_hold(void *arg, size_t index) {
    struct setters *setters = arg;
    hearth_value *value = hearth_value_new();
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    const hearth_loader loader = {.size = sizeof loader, .load = hold_inside, .arg = setters};
    (void)index;
    setters->unexpected +=
        hearth_fetch(setters->cache, "k", 1, &loader, &read, NULL, value) != HEARTH_OK;
    hearth_value_free(value);
}

static void it_may_be_closed_meanwhile(void **state) {
    (void)state;
    struct setters setters = {.cache = open_list(SERVER_REDIS, "A"), .changed = EVENT_INIT};
    struct crowd crowd = {0};
    assert_true(crowd_start(&crowd, 1, fetch_and_hold, &setters));
    assert_true(event_await(&setters.changed, 20));
    assert_int_equal(hearth_close(setters.cache), HEARTH_OK);
    crowd_join(&crowd);
    assert_int_equal(setters.unexpected, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_go_where_the_new_list_says),
        cmocka_unit_test(a_wrong_list_changes_nothing),
        cmocka_unit_test(the_embedded_tier_is_its_only_node),
        cmocka_unit_test(a_node_that_stays_keeps_its_connections),
        cmocka_unit_test(copies_of_moved_keys_are_dropped_and_others_stay),
        cmocka_unit_test(a_node_that_left_is_left_alone),
        cmocka_unit_test(what_a_node_held_before_is_no_answer_when_it_comes_back),
        cmocka_unit_test(what_others_wrote_to_a_new_node_is_an_answer),
        cmocka_unit_test(a_call_to_a_node_that_leaves_has_its_answer),
        cmocka_unit_test(redis_nodes_come_and_go_under_load),
        cmocka_unit_test(memcached_nodes_come_and_go_under_load),
        cmocka_unit_test(several_change_it_at_once),
        cmocka_unit_test(it_may_be_closed_meanwhile),
    };
    return cmocka_run_group_tests_name("set_nodes", tests, start, stop);
}
