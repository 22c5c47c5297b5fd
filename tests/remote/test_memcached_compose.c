/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to a Memcached server, byte by byte. */
#include "remote/memcached_compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

static hearth__buffer out;

/* Compares what was composed, and forgets it. */
static void expect(bool composed, const char *bytes) {
    assert_true(composed);
    assert_true(hearth__buffer_append(&out, "", 1));
    assert_string_equal((const char *)out.data, bytes);
    out.size = 0;
}

static int free_out(void **state) {
    (void)state;
    hearth__buffer_fini(&out);
    return 0;
}

static hearth__mc_target target_of(const hearth__wire_key *key, bool meta) {
    return (hearth__mc_target){.key = key, .meta = meta, .opaque = UINT32_MAX};
}

static void in_the_meta_protocol(void **state) {
    (void)state;
    hearth__wire_key key;
    hearth__wire_key_init(&key, "key", 3);
    hearth__mc_target target = target_of(&key, true);
    hearth__mc_store set = {.mode = HEARTH__MC_SET, .exptime = 60, .size = 5};
    hearth__mc_store add = {.mode = HEARTH__MC_ADD, .flags = UINT32_MAX};
    hearth__mc_store swap = {.mode = HEARTH__MC_SWAP, .cas = UINT64_MAX, .size = 1};
    expect(hearth__mc_compose_get(&out, &target), "mg key v t c f k O4294967295\r\n");
    expect(hearth__mc_compose_flags(&out, &target), "mg key f k O4294967295\r\n");
    expect(hearth__mc_compose_store(&out, &target, &set), "ms key 5 T60 O4294967295\r\n");
    expect(hearth__mc_compose_store(&out, &target, &add),
           "ms key 0 T0 F4294967295 ME O4294967295\r\n");
    expect(hearth__mc_compose_store(&out, &target, &swap),
           "ms key 1 T0 C18446744073709551615 O4294967295\r\n");
    expect(hearth__mc_compose_delete(&out, &target), "md key O4294967295\r\n");
    expect(hearth__mc_compose_touch(&out, &target, INT32_MAX),
           "mg key T2147483647 c k O4294967295\r\n");
    expect(hearth__mc_compose_count(&out, &target, true, 0), "ma key v k D0 O4294967295\r\n");
    expect(hearth__mc_compose_count(&out, &target, false, UINT64_MAX),
           "ma key MD v k D18446744073709551615 O4294967295\r\n");
    expect(hearth__mc_compose_probe(&out, 7), "mg hearth-probe v t c f k O7\r\n");
}

static void in_the_text_protocol(void **state) {
    (void)state;
    hearth__wire_key key;
    hearth__wire_key_init(&key, "key", 3);
    hearth__mc_target target = target_of(&key, false);
    hearth__mc_store set = {.mode = HEARTH__MC_SET, .exptime = 60, .size = 5};
    hearth__mc_store add = {.mode = HEARTH__MC_ADD, .flags = UINT32_MAX};
    hearth__mc_store swap = {.mode = HEARTH__MC_SWAP, .cas = UINT64_MAX, .size = 1};
    expect(hearth__mc_compose_get(&out, &target), "gets key\r\n");
    expect(hearth__mc_compose_flags(&out, &target), "get key\r\n");
    expect(hearth__mc_compose_store(&out, &target, &set), "set key 0 60 5\r\n");
    expect(hearth__mc_compose_store(&out, &target, &add), "add key 4294967295 0 0\r\n");
    expect(hearth__mc_compose_store(&out, &target, &swap),
           "cas key 0 0 1 18446744073709551615\r\n");
    expect(hearth__mc_compose_delete(&out, &target), "delete key\r\n");
    expect(hearth__mc_compose_touch(&out, &target, 0), "touch key 0\r\n");
    expect(hearth__mc_compose_count(&out, &target, true, 1), "incr key 1\r\n");
    expect(hearth__mc_compose_count(&out, &target, false, UINT64_MAX),
           "decr key 18446744073709551615\r\n");
    expect(hearth__mc_compose_version(&out), "version\r\n");
}

/* They are added one behind the other, and the longest of them has room. */
static void many_in_a_row(void **state) {
    (void)state;
    static char longest[HEARTH__WIRE_KEY_MAX];
    memset(longest, 'k', sizeof longest);
    hearth__wire_key key;
    hearth__wire_key_init(&key, longest, sizeof longest);
    assert_false(key.hidden);
    hearth__mc_store swap = {.mode = HEARTH__MC_SWAP,
                             .flags = UINT32_MAX,
                             .exptime = INT32_MAX,
                             .cas = UINT64_MAX,
                             .size = HEARTH__MC_DATA_MAX};
    for (int i = 0; i < 100; i++) {
        hearth__mc_target target = target_of(&key, i % 2 == 0);
        size_t before = out.size;
        assert_true(hearth__mc_compose_store(&out, &target, &swap));
        assert_memory_equal(out.data + out.size - 2, "\r\n", 2);
        assert_memory_equal(out.data + before + 3 + i % 2, longest, sizeof longest);
        assert_int_equal(out.size - before, i % 2 == 0 ? 3 + 250 + 11 + 12 + 12 + 22 + 12 + 2
                                                       : 4 + 250 + 11 + 11 + 11 + 21 + 2);
    }
    out.size = 0;
}

/* No byte of a key can end a line or begin another word. */
static void awkward_keys_are_hidden(void **state) {
    (void)state;
    static const char key_bytes[] = "x 0 0 1\r\nA\r\nset pwned 0 0 4\r\nEVIL\r\nget x";
    hearth__wire_key key;
    hearth__wire_key_init(&key, key_bytes, sizeof key_bytes - 1);
    for (int meta = 0; meta < 2; meta++) {
        hearth__mc_target target = target_of(&key, meta != 0);
        assert_true(hearth__mc_compose_delete(&out, &target));
        size_t ends = 0;
        for (size_t i = 0; i < out.size; i++) {
            ends += out.data[i] < ' ';
        }
        assert_int_equal(ends, 2);
        out.size = 0;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_meta_protocol),
        cmocka_unit_test(in_the_text_protocol),
        cmocka_unit_test(many_in_a_row),
        cmocka_unit_test(awkward_keys_are_hidden),
    };
    return cmocka_run_group_tests_name("memcached commands", tests, NULL, free_out);
}
