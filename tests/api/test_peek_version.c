/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_peek_version(): whether a decoded object is still good; and asked by an interpreter's objects. */
#include "source.h"
#include "tier/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;

static int open_cache(void **state) {
    (void)state;
    cache = cache_open(NULL);
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

enum { UNTOUCHED = 77 };

/* The version, which is never 0; 0 and its status: there is none. */
static uint64_t peek(const char *key, int32_t expected) {
    uint64_t version = UNTOUCHED;
    int32_t status = hearth_peek_version(cache, key, strlen(key), &version);
    assert_int_equal(status, expected);
    if (status == HEARTH_OK) {
        assert_true(version != UNTOUCHED && version != 0);
        return version;
    }
    assert_true(version == UNTOUCHED);
    return 0;
}

static uint64_t version_of_get(const char *key) {
    hearth_info info = {.size = sizeof info};
    hearth_value *value = hearth_value_new();
    assert_non_null(value);
    assert_int_equal(hearth_get(cache, key, strlen(key), NULL, value), HEARTH_OK);
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    hearth_value_free(value);
    return info.version;
}

static void it_is_the_values_own(void **state) {
    (void)state;
    static char large[30000];
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "empty", ""), HEARTH_OK);
    assert_int_equal(hearth_set(cache, "large", 5, large, sizeof large, NULL), HEARTH_OK);
    assert_true(peek("key", HEARTH_OK) == version_of_get("key"));
    assert_true(peek("empty", HEARTH_OK) == version_of_get("empty"));
    assert_true(peek("large", HEARTH_OK) == version_of_get("large"));
    assert_true(peek("key", HEARTH_OK) != peek("empty", HEARTH_OK));
}

static void it_changes_with_the_value(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    const uint64_t first = peek("key", HEARTH_OK);
    assert_true(peek("key", HEARTH_OK) == first);
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK); /* the same bytes */
    const uint64_t second = peek("key", HEARTH_OK);
    assert_true(second != first);
    /* A new life is no new value; the local copy comes back from the node. */
    assert_int_equal(hearth_touch(cache, "key", 3, NULL), HEARTH_OK);
    (void)peek("key", HEARTH_MISS);
    assert_true(version_of_get("key") == second);
    assert_true(peek("key", HEARTH_OK) == second);
    assert_int_equal(hearth_delete(cache, "key", 3, NULL), HEARTH_OK);
    (void)peek("key", HEARTH_MISS);
    assert_int_equal(cache_set(cache, "key", "one"), HEARTH_OK);
    assert_true(peek("key", HEARTH_OK) != first && peek("key", HEARTH_OK) != second);
}

static void what_is_only_local_has_none(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    assert_int_equal(hearth_set(cache, "key", 3, "one", 3, NULL), HEARTH_OK);
    (void)peek("key", HEARTH_OK);
    assert_int_equal(hearth_set(cache, "key", 3, "two", 3, &write), HEARTH_OK);
    (void)peek("key", HEARTH_MISS);
}

/* ---- none ---- */

static bool is_no_longer_fresh(void *key) {
    uint64_t version = 0;
    return hearth_peek_version(cache, key, strlen(key), &version) == HEARTH_MISS;
}

static void only_a_fresh_value_has_one(void **state) {
    (void)state;
    char stale[] = "stale";
    char expired[] = "expired";
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.ttl_ms = 10000000;
    write.soft_ttl_ms = 1;
    assert_int_equal(hearth_set(cache, stale, 5, "v", 1, &write), HEARTH_OK);
    write.ttl_ms = 1;
    assert_int_equal(hearth_set(cache, expired, 7, "v", 1, &write), HEARTH_OK);
    assert_true(await_until(is_no_longer_fresh, stale));
    assert_true(await_until(is_no_longer_fresh, expired));
    (void)peek(stale, HEARTH_MISS);
    (void)peek(expired, HEARTH_MISS);
    (void)peek("nothing", HEARTH_MISS);
    assert_int_equal(cache_set(cache, "remote", "v"), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "remote", 6), HEARTH_OK);
    (void)peek("remote", HEARTH_MISS);
}

static bool is_forgotten(void *key) {
    uint64_t version = 0;
    return hearth_peek_version(cache, key, strlen(key), &version) != HEARTH_ABSENT;
}

static void an_absence_is_told_while_it_lives(void **state) {
    (void)state;
    char brief[] = "brief";
    struct source absent = {SOURCE_INIT, .absent = true};
    assert_int_equal(source_fetch(cache, "absent", &absent, NULL), HEARTH_ABSENT);
    (void)peek("absent", HEARTH_ABSENT);
    absent.has_ttl = true;
    absent.ttl_ms = 1;
    assert_int_equal(source_fetch(cache, brief, &absent, NULL), HEARTH_ABSENT);
    assert_true(await_until(is_forgotten, brief));
    (void)peek(brief, HEARTH_MISS);
    (void)peek("absent", HEARTH_ABSENT);
}

/* As one that Hearth did not write: two of them must not be taken for the same. */
static void a_value_without_a_version_is_not_told(void **state) {
    (void)state;
    const hearth__local_entry foreign = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                         .hard_expiry_ms = HEARTH__LOCAL_FOREVER};
    assert_true(hearth__local_put(cache->local, "foreign", 7, &foreign, "v", 1));
    assert_string_equal(cache_get(cache, "foreign", HEARTH_READ_NO_REMOTE), "=v");
    (void)peek("foreign", HEARTH_MISS);
}

static void what_is_not_valid_is_refused(void **state) {
    (void)state;
    uint64_t version = UNTOUCHED;
    assert_int_equal(cache_set(cache, "key", "v"), HEARTH_OK);
    assert_int_equal(hearth_peek_version(NULL, "key", 3, &version), HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, NULL, 3, &version), HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, "key", 0, &version), HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, "key", HEARTH_KEY_MAX + 1, &version),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_peek_version(cache, "key", 3, NULL), HEARTH_E_INVALID);
    assert_true(version == UNTOUCHED);
}

/* ---- a use like any other ---- */

enum { FLOOD = 4000 };

static void flood(const char *peeked) {
    static const char value[200];
    for (int i = 0; i < FLOOD; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "flood%d", i);
        assert_int_equal(hearth_set(cache, key, strlen(key), value, sizeof value, NULL),
                         HEARTH_OK);
        (void)peek(peeked, HEARTH_OK);
    }
}

static void what_is_peeked_at_stays(void **state) {
    (void)state;
    cache = cache_open(
        (const char *const[]){"local.max_bytes", "256kb", "local.policy", "lru", NULL});
    assert_non_null(cache);
    assert_int_equal(cache_set(cache, "hot", "v"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "cold", "v"), HEARTH_OK);
    flood("hot");
    (void)peek("cold", HEARTH_MISS);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- asked by an interpreter's objects ------------------------------------------------------ */

/* An object of its: a text or bytes. */
struct thing {
    const char *data;
    ptrdiff_t size;
    int references;
};

static struct thing yes;
static struct thing no;

static void *place_of(void *self, const char *name) {
    assert_null(name);
    return self;
}

static const char *text_of(void *text, ptrdiff_t *size) {
    const struct thing *thing = text;
    *size = thing->size;
    return thing->data;
}

static int bytes_of(void *object, char **data, ptrdiff_t *size) {
    static char bytes[64];
    const struct thing *thing = object;
    if (thing->data == NULL) {
        return -1;
    }
    memcpy(bytes, thing->data, (size_t)thing->size);
    *data = bytes;
    *size = thing->size;
    return 0;
}

static void retain(void *object) {
    struct thing *thing = object;
    thing->references++;
}

static void release(void *object) {
    struct thing *thing = object;
    thing->references--;
}

static struct thing text_class;
static struct thing other_class;

/* Texts are known by their first letter. */
static void *class_of(void *object) {
    const struct thing *thing = object;
    struct thing *class = thing->data[0] == 't' ? &text_class : &other_class;
    retain(class);
    return class;
}

/* A row of objects; as a table it has the last one under each text of one letter. */
struct row {
    struct thing thing;
    ptrdiff_t count;
    void *items[8];
};

static ptrdiff_t count_of(void *object) {
    return ((const struct row *)object)->count;
}

static void *item_of(void *object, ptrdiff_t at) {
    const struct row *row = object;
    return at < row->count ? row->items[at] : NULL;
}

static void *find(void *table, void *text) {
    return ((const struct thing *)text)->size == 1 ? item_of(table, 0) : NULL;
}

/* What is called answers itself, unless it has no size: that is an exception. */
static struct {
    ptrdiff_t arguments;
    void *names;
    void *put[4];
    int puts;
} called;

static void *call(void *callable, void *const *arguments, size_t count, void *names) {
    struct thing *thing = callable;
    (void)arguments;
    called.arguments = (ptrdiff_t)count;
    called.names = names;
    if (thing->size == 0) {
        return NULL;
    }
    retain(thing);
    return thing;
}

static int put(void *object, void *at, void *part) {
    assert_non_null(object);
    called.put[called.puts++ & 3] = at;
    called.put[called.puts++ & 3] = part;
    return ((const struct thing *)at)->size == 0 ? -1 : 0;
}

static const hearth_interpreter interpreter = {
    sizeof interpreter, place_of,    text_of, bytes_of, retain,  &yes, &no, release,
    class_of,           &text_class, find,    count_of, item_of, call, put};

static struct thing probe_of(char *bytes, const char *key, uint64_t version) {
    memcpy(bytes, &version, sizeof version);
    memcpy(bytes + sizeof version, key, strlen(key));
    return (struct thing){bytes, (ptrdiff_t)(sizeof version + strlen(key)), 0};
}

static bool are_current(struct thing *first, struct thing *second, ptrdiff_t count) {
    const int before = yes.references + no.references;
    struct thing *answer =
        hearth_object_current((void *)&cache, (void *const[]){first, second}, count);
    assert_true(answer == &yes || answer == &no);
    assert_int_equal(yes.references + no.references, before + 1);
    return answer == &yes;
}

static void objects_are_current_until_one_changes(void **state) {
    (void)state;
    char bytes[3][32];
    assert_int_equal(cache_set(cache, "one", "1"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "two", "2"), HEARTH_OK);
    struct thing one = probe_of(bytes[0], "one", peek("one", HEARTH_OK));
    struct thing two = probe_of(bytes[1], "two", peek("two", HEARTH_OK));
    struct thing none = probe_of(bytes[2], "none", 7);
    assert_true(are_current(&one, &two, 2) && are_current(&one, NULL, 1));
    assert_false(are_current(&one, &none, 2));
    assert_false(are_current(&one, NULL, 0));
    assert_int_equal(cache_set(cache, "two", "2"), HEARTH_OK);
    assert_false(are_current(&one, &two, 2) || are_current(&two, &one, 2));
    assert_true(are_current(&one, NULL, 1));
    one.size = 7; /* not even a version */
    assert_false(are_current(&one, NULL, 1));
}

static void what_is_no_object_of_bytes_has_no_answer(void **state) {
    (void)state;
    struct thing wrong = {NULL, 0, 0};
    hearth *gone = NULL;
    assert_null(hearth_object_current((void *)&cache, (void *const[]){&wrong}, 1));
    assert_null(hearth_object_current((void *)&gone, (void *const[]){&wrong}, 1));
    assert_null(hearth_object_get((void *)&cache, &wrong));
    assert_null(hearth_object_get((void *)&gone, &wrong));
}

static void there_is_one_interpreter(void **state) {
    (void)state;
    hearth_interpreter another = interpreter;
    struct thing text = {"key", 3, 0};
    assert_null(hearth_object_get((void *)&cache, &text));
    assert_int_equal(hearth_set_interpreter(NULL), HEARTH_E_INVALID);
    another.yes = NULL;
    assert_int_equal(hearth_set_interpreter(&another), HEARTH_E_INVALID);
    another = interpreter;
    another.put = NULL; /* all that is for finding, or nothing */
    assert_int_equal(hearth_set_interpreter(&another), HEARTH_E_INVALID);
    assert_int_equal(hearth_set_interpreter(&interpreter), HEARTH_OK);
    another.yes = &text;
    assert_int_equal(hearth_set_interpreter(&another), HEARTH_E_INVALID);
    another = interpreter;
    assert_int_equal(hearth_set_interpreter(&another), HEARTH_OK);
}

/* ---- a table of decoded objects ---- */

static struct thing probes[2];
static struct thing function = {"f", 1, 0};
static struct thing answer = {"a", 1, 0};
static struct row entry;
static struct row table;
static struct row self;

/* A table with one entry, whose probes are of "one" and "two". */
static void make_table(void) {
    static char bytes[2][32];
    assert_int_equal(cache_set(cache, "one", "1"), HEARTH_OK);
    assert_int_equal(cache_set(cache, "two", "2"), HEARTH_OK);
    probes[0] = probe_of(bytes[0], "one", peek("one", HEARTH_OK));
    probes[1] = probe_of(bytes[1], "two", peek("two", HEARTH_OK));
    entry = (struct row){.count = 3, .items = {&probes[0], &probes[1], &answer}};
    table = (struct row){.count = 1, .items = {&entry}};
    self = (struct row){.count = 3, .items = {(void *)&cache, &table, &function}};
    memset(&called, 0, sizeof called);
}

static void *find_by(struct thing *text, ptrdiff_t count, void *names) {
    static struct thing second = {"s", 1, 0};
    return hearth_object_find(&self, (void *const[]){text, &second, &second}, count, names);
}

static void an_entry_answers_until_one_of_its_keys_changes(void **state) {
    (void)state;
    struct thing text = {"t", 1, 0};
    make_table();
    assert_ptr_equal(find_by(&text, 1, NULL), &answer);
    assert_ptr_equal(find_by(&text, 2, NULL), &answer);
    assert_int_equal(answer.references, 2);
    assert_int_equal(called.arguments, 0);
    for (int i = 0; i < 2; i++) {
        make_table();
        assert_int_equal(cache_set(cache, i == 0 ? "one" : "two", "3"), HEARTH_OK);
        assert_ptr_equal(find_by(&text, 2, NULL), &function);
        assert_int_equal(called.arguments, 2);
    }
    assert_int_equal(entry.thing.references, 0);
}

static void what_the_table_is_not_asked_goes_to_the_function(void **state) {
    (void)state;
    struct thing text = {"t", 1, 0};
    struct thing unknown = {"tt", 2, 0};
    struct thing number = {"n", 1, 0};
    struct thing names = {"names", 5, 0};
    make_table();
    assert_ptr_equal(find_by(&unknown, 1, NULL), &function);
    assert_ptr_equal(find_by(&number, 1, NULL), &function);
    assert_ptr_equal(find_by(&text, 3, NULL), &function);
    assert_int_equal(called.arguments, 3);
    assert_ptr_equal(find_by(&text, 1, &names), &function);
    assert_ptr_equal(called.names, &names);
    assert_int_equal(text_class.references + other_class.references, 0);
    hearth *gone = NULL;
    self.items[0] = (void *)&gone;
    assert_null(find_by(&text, 1, NULL));
}

static void an_answer_may_be_made_of_parts(void **state) {
    (void)state;
    struct thing text = {"t", 1, 0};
    struct thing copy = {"c", 1, 0};
    struct thing part = {"p", 1, 0};
    struct thing at = {"@", 1, 0};
    struct thing fails = {"", 0, 0};
    make_table();
    entry.count = 6;
    entry.items[3] = &copy;
    entry.items[4] = &at;
    entry.items[5] = &part;
    assert_ptr_equal(find_by(&text, 1, NULL), &copy);
    assert_ptr_equal(called.put[0], &at);
    assert_ptr_equal(called.put[1], &part);
    assert_int_equal(copy.references, 1);
    assert_int_equal(part.references, 0);
    for (int i = 3; i < 6; i++) {
        void *whole = entry.items[i];
        entry.items[i] = &fails;
        assert_null(find_by(&text, 1, NULL));
        entry.items[i] = whole;
    }
    assert_int_equal(copy.references, 1);
    assert_int_equal(part.references, 0);
    probes[1].data = NULL; /* no object of bytes */
    assert_null(find_by(&text, 1, NULL));
    assert_int_equal(entry.thing.references, 0);
}

static void *make_size(const char *data, ptrdiff_t size) {
    (void)data;
    static char large[100];
    return large + size;
}

static void a_text_object_is_a_key(void **state) {
    (void)state;
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set_sink(options, make_size, NULL, &no), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    hearth_options_free(options);
    assert_int_equal(cache_set(cache, "key", "value"), HEARTH_OK);
    struct thing key = {"key of which this is not a part", 3, 0};
    struct thing other = {"", 0, 0};
    const char *found = hearth_object_get((void *)&cache, &key);
    assert_ptr_equal(found, make_size(NULL, 5));
    assert_ptr_equal(hearth_object_get((void *)&cache, &other), &no);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(it_is_the_values_own),
        WITH_CACHE(it_changes_with_the_value),
        WITH_CACHE(what_is_only_local_has_none),
        WITH_CACHE(only_a_fresh_value_has_one),
        WITH_CACHE(an_absence_is_told_while_it_lives),
        WITH_CACHE(a_value_without_a_version_is_not_told),
        WITH_CACHE(what_is_not_valid_is_refused),
        cmocka_unit_test(what_is_peeked_at_stays),
        WITH_CACHE(there_is_one_interpreter),
        WITH_CACHE(objects_are_current_until_one_changes),
        WITH_CACHE(what_is_no_object_of_bytes_has_no_answer),
        WITH_CACHE(an_entry_answers_until_one_of_its_keys_changes),
        WITH_CACHE(what_the_table_is_not_asked_goes_to_the_function),
        WITH_CACHE(an_answer_may_be_made_of_parts),
        cmocka_unit_test(a_text_object_is_a_key),
    };
    return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
