/* SPDX-License-Identifier: Apache-2.0 */
/* Families of keys that are invalidated at once, on real servers: by this process at once, by others within what they trust, and what
 * was invalidated does not come back, whatever the servers lose. */
#include "tier/lease_rig.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The other process asks each time. */
static const char *const eager[] = {"coherence.version_ttl_ms", "1", NULL};

static int32_t invalidate(hearth *cache, const char *tag, uint32_t flags) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = flags;
    return hearth_invalidate_tag(cache, tag, strlen(tag), &write);
}

static int32_t set_tagged(hearth *cache, const char *key, const char *text, const char *tag) {
    hearth_write_options write;
    const void *const tags[] = {tag, "another"};
    const size_t sizes[] = {strlen(tag), 7};
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = 2;
    return hearth_set(cache, key, strlen(key), text, strlen(text), &write);
}

/* Until what a cache trusts of tags is over. */
static void pass_trust(void) {
    (void)usleep(3000);
}

/* What another process sees that does not trust for long. */
static const char *seen_by_b(const struct lease_rig *rig, uint32_t flags) {
    pass_trust();
    return cache_get(rig->b, rig->key, flags);
}

static void name_tag(struct source *source, hearth_fill *fill) {
    assert_int_equal(hearth_fill_tag(fill, source->arg, strlen(source->arg)), HEARTH_OK);
}

static void prepare_tagged(struct lease_fetch *fetch, hearth *cache, const char *key,
                           const char *text, char *tag) {
    lease_prepare(fetch, cache, key, text);
    fetch->source.inside = name_tag;
    fetch->source.arg = tag;
}

static void what_is_invalidated_is_gone(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, eager);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(set_tagged(rig->a, rig->key, "old", "tag"), HEARTH_OK);
        assert_string_equal(cache_get(rig->a, rig->key, 0), "=old");
        assert_string_equal(seen_by_b(rig, 0), "=old");
        assert_int_equal(invalidate(rig->a, "other", 0), HEARTH_OK);
        assert_string_equal(cache_get(rig->a, rig->key, 0), "=old");
        assert_string_equal(seen_by_b(rig, 0), "=old");
        assert_int_equal(invalidate(i == 1 ? rig->b : rig->a, "tag", 0), HEARTH_OK);
        assert_string_equal(seen_by_b(rig, HEARTH_READ_ALLOW_STALE), "MISS");
        if (i != 1) { /* this process at once */
            assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
        }
        assert_int_equal(hearth_delete(rig->a, rig->key, strlen(rig->key), NULL), HEARTH_OK);
    }
    assert_true(cache_stats(rig->b).values_invalidated >= 3);
}

static void or_stale_by_choice(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, eager);
    assert_int_equal(set_tagged(rig->a, rig->key, "old", "tag"), HEARTH_OK);
    assert_int_equal(invalidate(rig->a, "tag", HEARTH_WRITE_KEEP_STALE), HEARTH_OK);
    assert_string_equal(cache_get(rig->a, rig->key, 0), "MISS");
    assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "=old");
    assert_string_equal(seen_by_b(rig, 0), "MISS");
    assert_string_equal(seen_by_b(rig, HEARTH_READ_ALLOW_STALE), "=old");
    assert_int_equal(invalidate(rig->a, "tag", 0), HEARTH_OK);
    assert_string_equal(seen_by_b(rig, HEARTH_READ_ALLOW_STALE), "MISS");
    assert_int_equal(invalidate(rig->a, "tag", HEARTH_WRITE_KEEP_STALE), HEARTH_OK);
    assert_string_equal(seen_by_b(rig, HEARTH_READ_ALLOW_STALE), "MISS");
}

static void a_load_is_stored_with_its_tags(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch fetch;
    char tag[] = "tag";
    lease_reopen(rig, &rig->b, eager);
    assert_int_equal(invalidate(rig->a, tag, 0), HEARTH_OK); /* from now on it has a stamp */
    prepare_tagged(&fetch, rig->a, rig->key, "loaded", tag);
    assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
    assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
    assert_int_equal(atomic_load(&fetch.source.calls), 1);
    assert_string_equal(seen_by_b(rig, 0), "=loaded");
    assert_int_equal(invalidate(rig->b, tag, 0), HEARTH_OK);
    assert_string_equal(seen_by_b(rig, 0), "MISS");
    /* What is gone is loaded over. */
    prepare_tagged(&fetch, rig->b, rig->key, "again", tag);
    assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
    assert_string_equal(fetch.text, "again");
    assert_string_equal(seen_by_b(rig, 0), "=again");
    assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
    assert_int_equal(atomic_load(&fetch.source.calls), 1);
}

static int32_t peek(hearth *cache, const char *key) {
    uint64_t version = 0;
    return hearth_peek_version(cache, key, strlen(key), &version);
}

/* Local copies have their tags with them. The other process trusts what it knows, until it asks, or is told. */
static void a_local_copy_goes_with_its_tags(void **state) {
    static const char *const trusting[] = {"coherence.version_ttl_ms",
                                           "1h",
                                           "coherence.mode",
                                           "ttl",
                                           "local.max_ttl_ms",
                                           "1h",
                                           NULL};
    struct lease_rig *rig = *state;
    hearth_info info = {.size = sizeof info};
    lease_reopen(rig, &rig->a, trusting);
    lease_reopen(rig, &rig->b, trusting);
    assert_int_equal(set_tagged(rig->a, rig->key, "old", "tag"), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(cache_get(rig->a, rig->key, 0), "=old");
        assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
    }
    assert_true(cache_stats(rig->a).local_hits >= 2);
    assert_int_equal(hearth_get(rig->a, rig->key, strlen(rig->key), NULL, rig->value),
                     HEARTH_OK);
    assert_int_equal(hearth_value_info(rig->value, &info), HEARTH_OK);
    assert_int_equal(info.tier, HEARTH_TIER_LOCAL);
    assert_true(info.staleness_bound_ms >= 0);
    /* Of another tag: it stays, once it was looked at. */
    assert_int_equal(invalidate(rig->a, "other", 0), HEARTH_OK);
    uint64_t hits = cache_stats(rig->a).local_hits;
    assert_string_equal(cache_get(rig->a, rig->key, 0), "=old");
    assert_string_equal(cache_get(rig->a, rig->key, 0), "=old");
    assert_int_equal(cache_stats(rig->a).local_hits, hits + 2);
    assert_int_equal(peek(rig->a, rig->key), HEARTH_OK);
    assert_int_equal(invalidate(rig->a, "another", HEARTH_WRITE_KEEP_STALE), HEARTH_OK);
    assert_int_equal(peek(rig->a, rig->key), HEARTH_MISS); /* it has not been looked at */
    assert_string_equal(cache_get(rig->a, rig->key, 0), "MISS");
    assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "=old");
    assert_int_equal(invalidate(rig->a, "tag", 0), HEARTH_OK);
    assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
    assert_string_equal(cache_get(rig->b, rig->key, 0), "=old"); /* as it says */
    assert_int_equal(invalidate(rig->b, "other", 0), HEARTH_OK);
    assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
    assert_int_equal(invalidate(rig->b, "tag", 0), HEARTH_OK);
    assert_string_equal(cache_get(rig->b, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
}

/* Where nobody may be asked, a copy is stale from when its tags are not trusted any more. */
static void what_was_asked_long_ago_is_not_trusted(void **state) {
    static const char *const wary[] = {"coherence.version_ttl_ms", "1", "local.max_ttl_ms",
                                       "1h", NULL};
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, wary);
    assert_int_equal(set_tagged(rig->a, rig->key, "old", "tag"), HEARTH_OK);
    assert_string_equal(seen_by_b(rig, 0), "=old");
    assert_string_equal(seen_by_b(rig, HEARTH_READ_NO_REMOTE), "MISS");
    assert_string_equal(seen_by_b(rig, HEARTH_READ_NO_REMOTE | HEARTH_READ_ALLOW_STALE),
                        "=old");
    assert_string_equal(seen_by_b(rig, 0), "=old");
}

static const char *const told[] = {
    "coherence.mode", "auto", "coherence.version_ttl_ms", "1h", "local.max_ttl_ms", "1h", NULL};

/* Until b is told of what it reads. */
static void await_told(const struct lease_rig *rig) {
    while (cache_stats(rig->b).changes_told == 0) {
        assert_int_equal(cache_set(rig->a, "heard", "once"), HEARTH_OK);
        assert_string_equal(cache_get(rig->b, "heard", HEARTH_READ_NO_LOCAL), "=once");
        (void)usleep(1000);
    }
}

/* Redis tells of it, however long the other process would have trusted what it knew. */
static void who_is_told_does_not_wait(void **state) {
    struct lease_rig *rig = *state;
    hearth *names[2];
    lease_reopen(rig, &rig->a, told);
    lease_reopen(rig, &rig->b, told);
    await_told(rig);
    assert_int_equal(hearth_namespace_open(rig->a, "told", 4, &names[0]), HEARTH_OK);
    assert_int_equal(hearth_namespace_open(rig->b, "told", 4, &names[1]), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(set_tagged(rig->a, rig->key, "old", "told"), HEARTH_OK);
        assert_int_equal(cache_set(names[0], rig->key, "old"), HEARTH_OK);
        assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
        assert_string_equal(cache_get(names[1], rig->key, 0), "=old");
        assert_int_equal(invalidate(rig->a, "told", 0), HEARTH_OK);
        assert_int_equal(hearth_namespace_bump(names[0], NULL), HEARTH_OK);
        while (strcmp(cache_get(rig->b, rig->key, 0), "MISS") != 0 ||
               strcmp(cache_get(names[1], rig->key, 0), "MISS") != 0) {
            (void)usleep(1000);
        }
    }
    assert_int_equal(hearth_close(names[0]), HEARTH_OK);
    assert_int_equal(hearth_close(names[1]), HEARTH_OK);
}

/* ---- told of between a question and its answer ---- */

/* The answers to b's questions about the tag `held` wait at the proxy. Nobody else is at it. */
struct held {
    _Atomic unsigned connection; /* where the first was asked; NOBODYS: none was yet */
    _Atomic bool passes;
    struct event answered;
    struct lease_rig *rig;
    char text[32];
};

enum { NOBODYS = UINT32_MAX };

static size_t note_question(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                            size_t size) {
    static const char tag[] = "hearth-tag:held";
    struct held *held = arg;
    if (memmem(bytes, size, tag, sizeof tag - 1) != NULL) {
        atomic_store(&held->connection, proxy_number(flow));
    }
    proxy_emit(flow, bytes, size);
    return size;
}

static size_t hold_answer(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                          size_t size) {
    struct held *held = arg;
    if (atomic_load(&held->connection) == proxy_number(flow) && !atomic_load(&held->passes)) {
        event_raise(&held->answered);
        return 0;
    }
    proxy_emit(flow, bytes, size);
    return size;
}

static void read_held(void *arg, size_t index) {
    struct held *held = arg;
    (void)index;
    snprintf(held->text, sizeof held->text, "%s",
             cache_get(held->rig->b, held->rig->key, HEARTH_READ_ALLOW_STALE));
}

static bool b_has_heard(const struct lease_rig *rig) {
    return strcmp(cache_get(rig->b, "heard", HEARTH_READ_NO_REMOTE), "MISS") != 0;
}

/* b has a copy of what a is to change next. */
static void have_heard(const struct lease_rig *rig) {
    do {
        (void)cache_get(rig->b, "heard", 0);
    } while (!b_has_heard(rig));
}

/* Until b has been told of that, and so of all before it. */
static void have_told(const struct lease_rig *rig) {
    assert_int_equal(cache_set(rig->a, "heard", "again"), HEARTH_OK);
    while (b_has_heard(rig)) {
        (void)usleep(1000);
    }
}

/* The answer says what was so before: it is asked again. */
static void what_is_told_while_it_is_asked_is_asked_again(void **state) {
    struct lease_rig *rig = *state;
    struct held held = {.answered = EVENT_INIT, .rig = rig};
    struct crowd crowd;
    atomic_init(&held.connection, NOBODYS);
    lease_reopen(rig, &rig->a, told);
    lease_reopen(rig, &rig->b, told);
    await_told(rig);
    assert_int_equal(set_tagged(rig->a, rig->key, "old", "held"), HEARTH_OK);
    assert_string_equal(cache_get(rig->b, rig->key, 0), "=old");
    have_heard(rig);
    assert_int_equal(invalidate(rig->a, "held", 0), HEARTH_OK);
    have_told(rig);
    assert_int_equal(set_tagged(rig->a, rig->key, "new", "held"), HEARTH_OK);
    have_heard(rig);
    proxy_filter(rig->proxy, PROXY_TO_SERVER, note_question, &held);
    proxy_filter(rig->proxy, PROXY_TO_CLIENT, hold_answer, &held);
    assert_true(crowd_start(&crowd, 1, read_held, &held));
    assert_true(event_await(&held.answered, 1));
    assert_int_equal(invalidate(rig->a, "held", 0), HEARTH_OK);
    have_told(rig);
    atomic_store(&held.passes, true);
    proxy_release(rig->proxy, PROXY_TO_CLIENT);
    crowd_join(&crowd);
    assert_string_equal(held.text, "MISS");
    assert_int_equal(cache_stats(rig->b).values_unchecked, 0);
    proxy_filter(rig->proxy, PROXY_TO_SERVER, NULL, NULL);
    proxy_filter(rig->proxy, PROXY_TO_CLIENT, NULL, NULL);
}

/* A process that knows no stamp yet stores nothing that it could not judge. */
static void the_first_load_with_a_tag_gets_a_stamp(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch fetch;
    char tag[] = "tag";
    prepare_tagged(&fetch, rig->a, rig->key, "loaded", tag);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
        assert_int_equal(atomic_load(&fetch.source.calls), i < 2 ? 1 : 2);
    }
}

/* ---- between the begin of a load and its end ---- */

struct between {
    hearth *by;
    char *tag;
    bool names_first;
};

static void invalidate_between(struct source *source, hearth_fill *fill) {
    const struct between *between = source->arg;
    for (int step = 0; step < 2; step++) {
        if ((step == 0) == between->names_first) {
            assert_int_equal(hearth_fill_tag(fill, between->tag, strlen(between->tag)),
                             HEARTH_OK);
        } else {
            assert_int_equal(invalidate(between->by, between->tag, 0), HEARTH_OK);
        }
    }
}

static void what_was_invalidated_while_it_was_loaded_is_not_served(void **state) {
    struct lease_rig *rig = *state;
    const int rounds = getenv("HEARTH_LONG") != NULL ? 10000 : 100;
    lease_reopen(rig, &rig->b, eager);
    assert_int_equal(invalidate(rig->a, "warm", 0), HEARTH_OK);
    for (int i = 0; i < rounds; i++) {
        char tag[32];
        char key[48];
        struct lease_fetch fetch;
        snprintf(tag, sizeof tag, "between-%d", i % 7);
        snprintf(key, sizeof key, "%s-%d", rig->key, i);
        struct between between = {
            .by = i % 2 != 0 ? rig->b : rig->a, .tag = tag, .names_first = i % 3 == 0};
        lease_prepare(&fetch, rig->a, key, "old");
        fetch.source.inside = invalidate_between;
        fetch.source.arg = &between;
        fetch.read.flags = HEARTH_READ_RELOAD;
        assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
        assert_string_equal(
            cache_get(i % 2 != 0 ? rig->b : rig->a, key, HEARTH_READ_ALLOW_STALE), "MISS");
    }
}

/* Who waits already gets what is loaded; who comes after the invalidation does not. */
static void a_load_from_before_is_not_for_who_comes_after(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch before;
    struct lease_fetch after;
    char tag[] = "tag";
    prepare_tagged(&before, rig->a, rig->key, "old", tag);
    prepare_tagged(&after, rig->a, rig->key, "new", tag);
    lease_start_slow(&before);
    assert_int_equal(invalidate(rig->a, tag, 0), HEARTH_OK);
    lease_start(&after);
    LEASE_AWAIT(rig->a, flight_waits, 1);
    lease_finish(&before);
    lease_finish(&after);
    assert_string_equal(before.text, "old");
    assert_string_equal(after.text, "new");
}

/* ---- many at once: whoever comes after an invalidation sees what it was for ---- */

struct race {
    hearth *cache;
    const char *key;
    _Atomic int row;       /* at the source */
    _Atomic int published; /* rows whose invalidation has returned */
    _Atomic bool ends;
    _Atomic int wrong;
};

static int32_t load_row(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct race *race = arg;
    (void)key;
    (void)key_size;
    int row = atomic_load(&race->row);
    assert_int_equal(hearth_fill_value(fill, &row, sizeof row), HEARTH_OK);
    assert_int_equal(hearth_fill_tag(fill, "row", 3), HEARTH_OK);
    return HEARTH_OK;
}

static void read_rows(void *arg, size_t index) {
    struct race *race = arg;
    const hearth_loader loader = {.size = sizeof loader, .load = load_row, .arg = race};
    hearth_value *value = hearth_value_new();
    (void)index;
    while (!atomic_load(&race->ends)) {
        int row = 0;
        int least = atomic_load(&race->published);
        int32_t status =
            hearth_fetch(race->cache, race->key, strlen(race->key), &loader, NULL, NULL, value);
        assert_int_equal(status, HEARTH_OK);
        memcpy(&row, hearth_value_data(value), sizeof row);
        if (row < least) {
            atomic_fetch_add(&race->wrong, 1);
        }
    }
    hearth_value_free(value);
}

static void nobody_sees_an_older_row(void **state) {
    struct lease_rig *rig = *state;
    const int rounds = getenv("HEARTH_LONG") != NULL ? 10000 : 200;
    struct race race = {.cache = rig->a, .key = rig->key};
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 3, read_rows, &race));
    for (int i = 0; i < rounds; i++) {
        int row = atomic_fetch_add(&race.row, 1) + 1;
        assert_int_equal(invalidate(rig->a, "row", 0), HEARTH_OK);
        atomic_store(&race.published, row);
    }
    atomic_store(&race.ends, true);
    crowd_join(&crowd);
    assert_int_equal(atomic_load(&race.wrong), 0);
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

static void forget_at_server(const struct lease_rig *rig, const char *key) {
    char line[128];
    bool redis = rig->kind == SERVER_REDIS;
    snprintf(line, sizeof line, "%s %s\r\n", redis ? "DEL" : "delete", key);
    tell_server(rig, line);
}

/* The tag alone, the clock alone, and both: the values of before have gone, in caches that knew them and in others. */
static void what_was_lost_does_not_come_back(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->a, eager);
    lease_reopen(rig, &rig->b, eager);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(set_tagged(rig->a, rig->key, "old", "lost"), HEARTH_OK);
        assert_string_equal(seen_by_b(rig, 0), "=old");
        assert_int_equal(invalidate(rig->a, "lost", 0), HEARTH_OK);
        if (i % 3 != 0) {
            forget_at_server(rig, "hearth-clock:");
        }
        if (i % 3 != 1) {
            forget_at_server(rig, "hearth-tag:lost");
        }
        if (i % 2 != 0) {
            lease_reopen(rig, &rig->b, eager); /* one that never knew it */
        }
        assert_string_equal(seen_by_b(rig, HEARTH_READ_ALLOW_STALE), "MISS");
        pass_trust();
        assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
        /* And what comes after is kept. */
        assert_int_equal(set_tagged(rig->b, rig->key, "new", "lost"), HEARTH_OK);
        pass_trust();
        assert_string_equal(cache_get(rig->a, rig->key, 0), "=new");
    }
}

static void what_is_flushed_is_begun_anew(void **state) {
    struct lease_rig *rig = *state;
    lease_reopen(rig, &rig->b, eager);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(set_tagged(rig->a, rig->key, "old", "flushed"), HEARTH_OK);
        tell_server(rig, rig->kind == SERVER_REDIS ? "FLUSHALL\r\n" : "flush_all\r\n");
        assert_string_equal(seen_by_b(rig, 0), "MISS");
        pass_trust();
        assert_int_equal(set_tagged(rig->b, rig->key, "new", "flushed"), HEARTH_OK);
        assert_string_equal(seen_by_b(rig, 0), "=new");
        assert_int_equal(invalidate(rig->b, "flushed", 0), HEARTH_OK);
        assert_string_equal(cache_get(rig->b, rig->key, HEARTH_READ_ALLOW_STALE), "MISS");
    }
}

/* ---- arguments ---- */

static void tags_are_checked(void **state) {
    struct lease_rig *rig = *state;
    char long_tag[HEARTH_TAG_SIZE_MAX + 1];
    const void *tags[HEARTH_TAGS_MAX + 1];
    size_t sizes[HEARTH_TAGS_MAX + 1];
    hearth_write_options write;
    memset(long_tag, 't', sizeof long_tag);
    assert_int_equal(hearth_invalidate_tag(rig->a, "", 0, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_invalidate_tag(rig->a, NULL, 1, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_invalidate_tag(NULL, "t", 1, NULL), HEARTH_E_INVALID);
    assert_int_equal(hearth_invalidate_tag(rig->a, long_tag, sizeof long_tag, NULL),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_invalidate_tag(rig->a, long_tag, sizeof long_tag - 1, NULL),
                     HEARTH_OK);
    assert_int_equal(hearth_invalidate_tag(rig->a, " \r\n\0", 4, NULL), HEARTH_OK);
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    for (size_t i = 0; i <= HEARTH_TAGS_MAX; i++) {
        tags[i] = long_tag + i;
        sizes[i] = 1 + i;
    }
    write.tag_count = HEARTH_TAGS_MAX;
    assert_int_equal(hearth_set(rig->a, rig->key, strlen(rig->key), "v", 1, &write), HEARTH_OK);
    assert_string_equal(cache_get(rig->a, rig->key, 0), "=v");
    write.tag_count = HEARTH_TAGS_MAX + 1;
    assert_int_equal(hearth_set(rig->a, rig->key, 1, "v", 1, &write), HEARTH_E_INVALID);
    write.tag_count = 1;
    assert_int_equal(hearth_delete(rig->a, rig->key, 1, &write), HEARTH_E_INVALID);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    assert_int_equal(hearth_set(rig->a, rig->key, 1, "v", 1, &write), HEARTH_E_INVALID);
    write.flags = HEARTH_WRITE_INTEGER;
    assert_int_equal(hearth_set(rig->a, rig->key, 1, "1", 1, &write), HEARTH_E_INVALID);
}

#define ON(open, test) cmocka_unit_test_setup_teardown(test, open, lease_close)
#define ON_ALL(test)                                            \
    ON(lease_open_redis, test), ON(lease_open_memcached, test), \
        ON(lease_open_libmemcached, test)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_ALL(what_is_invalidated_is_gone),
        ON_ALL(or_stale_by_choice),
        ON_ALL(a_local_copy_goes_with_its_tags),
        ON_ALL(what_was_asked_long_ago_is_not_trusted),
        ON(lease_open_redis, what_is_told_while_it_is_asked_is_asked_again),
        ON(lease_open_redis, who_is_told_does_not_wait),
        ON_ALL(a_load_is_stored_with_its_tags),
        ON_ALL(the_first_load_with_a_tag_gets_a_stamp),
        ON_ALL(what_was_invalidated_while_it_was_loaded_is_not_served),
        ON_ALL(a_load_from_before_is_not_for_who_comes_after),
        ON_ALL(nobody_sees_an_older_row),
        ON_ALL(what_was_lost_does_not_come_back),
        ON_ALL(what_is_flushed_is_begun_anew),
        ON_ALL(tags_are_checked),
    };
    return cmocka_run_group_tests_name("tags", tests, lease_servers_start, lease_servers_stop);
}
