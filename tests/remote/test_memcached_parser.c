/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of a Memcached server's replies by itself: the same replies in any pieces, and nothing
 * else. */
#include "remote/memcached_exptime.h"
#include "remote/memcached_parser.h"

#include <hearth/errors.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { LIMIT = 64 };

/* What the hearer heard, as text. */
struct heard {
    char text[4096];
    size_t size;
};

static const char *const names[HEARTH__MC_WORDS] = {
    [HEARTH__MC_NUMBER] = "number",
    [HEARTH__MC_VALUE] = "value",
    [HEARTH__MC_END] = "end",
    [HEARTH__MC_STORED] = "stored",
    [HEARTH__MC_NOT_STORED] = "not stored",
    [HEARTH__MC_EXISTS] = "exists",
    [HEARTH__MC_NOT_FOUND] = "not found",
    [HEARTH__MC_DELETED] = "deleted",
    [HEARTH__MC_TOUCHED] = "touched",
    [HEARTH__MC_VERSION] = "version",
    [HEARTH__MC_HD] = "hd",
    [HEARTH__MC_VA] = "va",
    [HEARTH__MC_EN] = "en",
    [HEARTH__MC_NS] = "ns",
    [HEARTH__MC_EX] = "ex",
    [HEARTH__MC_NF] = "nf",
    [HEARTH__MC_MN] = "mn",
    [HEARTH__MC_ERROR] = "error",
    [HEARTH__MC_CLIENT_ERROR] = "client error",
    [HEARTH__MC_SERVER_ERROR] = "server error",
};

__attribute__((format(printf, 2, 3))) static void note(struct heard *heard, const char *format,
                                                       ...) {
    va_list arguments;
    size_t room = sizeof heard->text - heard->size;
    va_start(arguments, format);
    int size = vsnprintf(heard->text + heard->size, room, format, arguments);
    va_end(arguments);
    heard->size += (size_t)size < room ? (size_t)size : room - 1;
}

static void note_bytes(struct heard *heard, const char *name, const void *bytes, size_t size) {
    if (bytes != NULL) {
        note(heard, " %s'%.*s'", name, (int)size, (const char *)bytes);
    }
}

static bool hear(void *arg, const hearth__mc_reply *reply) {
    struct heard *heard = arg;
    note(heard, "%s", names[reply->word]);
    if (reply->word == HEARTH__MC_NUMBER) {
        note(heard, " %llu", (unsigned long long)reply->number);
    }
    if (reply->cas != 0) {
        note(heard, " c%llu", (unsigned long long)reply->cas);
    }
    if (reply->flags != 0) {
        note(heard, " f%u", reply->flags);
    }
    if (reply->has_opaque) {
        note(heard, " O%u", reply->opaque);
    }
    if (reply->ttl_s != HEARTH__MC_NOT_TOLD) {
        note(heard, " t%lld", (long long)reply->ttl_s);
    }
    note(heard, "%s%s", reply->stale ? " X" : "", reply->promised ? " W" : "");
    note_bytes(heard, "k", reply->key, reply->key_size);
    note_bytes(heard, "text ", reply->text, reply->text_size);
    note_bytes(heard, "", reply->data, reply->data_size);
    note(heard, ";");
    return true;
}

static int32_t feed(hearth__mc_parser *parser, const char *bytes, size_t size,
                    struct heard *heard) {
    char *own = malloc(size + 1); /* so that a sanitizer sees what is read beyond them */
    assert_non_null(own);
    memcpy(own, bytes, size);
    int32_t status = hearth__mc_parser_feed(parser, own, size, hear, heard);
    free(own);
    return status;
}

/* Feeds the stream in pieces of this size, the first shorter by `less`. HEARTH_OK: all of it was
 * replies; HEARTH_MISS: one is under way. */
static int32_t parse(const char *stream, size_t size, size_t piece, size_t less,
                     struct heard *heard) {
    hearth__mc_parser parser = {.limit = LIMIT};
    int32_t status = HEARTH_OK;
    *heard = (struct heard){.size = 0};
    for (size_t at = 0; at < size && status == HEARTH_OK;) {
        size_t part = at == 0 ? piece - less : piece;
        part = size - at < part ? size - at : part;
        status = feed(&parser, stream + at, part, heard);
        at += part;
    }
    if (status == HEARTH_OK && !hearth__mc_parser_is_empty(&parser)) {
        status = HEARTH_MISS;
    }
    assert_true(parser.held.capacity <= (size_t)2 * (LIMIT + HEARTH__MC_LINE_MAX));
    hearth__mc_parser_fini(&parser);
    return status;
}

/* What a real server said to every command, and what it may say besides. */
static const char stream[] = "VERSION 1.6.18\r\n"
                             "VA 5 t60 c1 kk O7 f0 s5\r\nhello\r\n"
                             "VA 0 t-1 c18446744073709551615 knew O5 W\r\n\r\n"
                             "VA 1 t29 c17 O4 Z X\r\nx\r\n"
                             "EN kk O7\r\n"
                             "EN\r\n"
                             "HD\r\n"
                             "HD O4294967295\r\n"
                             "HD t351509765 O2\r\n"
                             "NS O9 kk2\r\n"
                             "EX O9 kk2\r\n"
                             "NF O8 knn\r\n"
                             "MN\r\n"
                             "VALUE k 5 3 18446744073709551615\r\nabc\r\nEND\r\n"
                             "VALUE k 0 12\r\nEND\r\nHD\r\n\r\n\r\r\nEND\r\n"
                             "VALUE \xff\xfe 4294967295 0\r\n\r\nEND\r\n"
                             "END\r\n"
                             "STORED\r\nNOT_STORED\r\nEXISTS\r\nNOT_FOUND\r\nDELETED\r\n"
                             "TOUCHED\r\n"
                             "18446744073709551615\r\n"
                             "0\r\n"
                             "VA  1   O1 \r\nx\r\n"
                             "HD Qwhat later versions say O3\r\n"
                             "ERROR\r\n"
                             "ERROR Too many open connections\r\n"
                             "CLIENT_ERROR bad data chunk\r\n"
                             "SERVER_ERROR object too large for cache\r\n";

static const char answers[] = "version text '1.6.18';"
                              "va c1 O7 t60 k'k' 'hello';"
                              "va c18446744073709551615 O5 t-1 W k'new' '';"
                              "va c17 O4 t29 X W 'x';"
                              "en O7 k'k';"
                              "en;"
                              "hd;"
                              "hd O4294967295;"
                              "hd O2 t351509765;"
                              "ns O9 k'k2';"
                              "ex O9 k'k2';"
                              "nf O8 k'nn';"
                              "mn;"
                              "value c18446744073709551615 f5 k'k' 'abc';"
                              "value k'k' 'END\r\nHD\r\n\r\n\r';"
                              "value f4294967295 k'\xff\xfe' '';"
                              "end;"
                              "stored;not stored;exists;not found;deleted;touched;"
                              "number 18446744073709551615;"
                              "number 0;"
                              "va O1 'x';"
                              "hd O3;"
                              "error text '';"
                              "error text 'Too many open connections';"
                              "client error text 'bad data chunk';"
                              "server error text 'object too large for cache';";

static void answers_are_the_same_in_any_pieces(void **state) {
    (void)state;
    struct heard heard;
    size_t size = sizeof stream - 1;
    for (size_t piece = 1; piece <= size; piece++) {
        assert_int_equal(parse(stream, size, piece, 0, &heard), HEARTH_OK);
        assert_string_equal(heard.text, answers);
    }
    for (size_t first = 1; first < size; first++) { /* in two */
        assert_int_equal(parse(stream, size, size, size - first, &heard), HEARTH_OK);
        assert_string_equal(heard.text, answers);
    }
}

/* As much of the stream as is there, and no more, however it is cut. */
static void what_is_cut_is_under_way(void **state) {
    (void)state;
    size_t whole = 0;
    for (size_t size = 1; size < sizeof stream - 1; size++) {
        struct heard heard;
        struct heard apart;
        int32_t status = parse(stream, size, size, 0, &heard);
        assert_true(status == HEARTH_OK || status == HEARTH_MISS);
        whole += status == HEARTH_OK;
        assert_memory_equal(heard.text, answers, heard.size);
        assert_int_equal(parse(stream, size, 1, 0, &apart), status);
        assert_string_equal(heard.text, apart.text);
    }
    size_t replies = 0;
    for (const char *at = answers; *at != '\0'; at++) {
        replies += *at == ';';
    }
    assert_int_equal(whole, replies - 1); /* only between two of them */
}

/* A literal that may hold a NUL. */
#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct {
    const char *bytes;
    size_t size;
    int32_t status;
} errors[] = {
    {BYTES("VA 65 O1\r\n"), HEARTH_E_TOO_LARGE},
    {BYTES("VALUE k 0 65\r\n"), HEARTH_E_TOO_LARGE},
    {BYTES("VA 1073741824\r\n"), HEARTH_E_TOO_LARGE},
    {BYTES("VA 1073741825\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 100000000000000\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 100000000000000\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 18446744073709551616\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 99999999999999999999999999\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA -1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 -1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 -1 1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA +1\r\nx\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 01\r\nx\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 0x1\r\nx\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 1e1\r\nx\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 1 2 3\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 4294967296 1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 1 18446744073709551616\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 1\r\nxy\r\nEND\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 1\r\nx\n\rEND\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VALUE k 0 1\r\nx\r\nEND \r\n"), HEARTH_E_PROTOCOL},
    {BYTES("VA 1\r\nxyz"), HEARTH_E_PROTOCOL},
    {BYTES("VA 1\r\nx\n\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD O4294967296\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD O\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD O-1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD Oabc\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD t-2\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD t4294967296\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD c\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD k\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD f-1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HDX\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("hd\r\n"), HEARTH_E_PROTOCOL},
    {BYTES(" HD\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD\r\r"), HEARTH_E_PROTOCOL},
    {BYTES("HD\rO1"), HEARTH_E_PROTOCOL},
    {BYTES("HD k\0k\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HD\tO1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("END x\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("STORED now\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("MN MN\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("1 2\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("18446744073709551616\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("-1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("ERRORS\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("\n"), HEARTH_E_PROTOCOL},
    {BYTES("\0\0\0\0\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("+OK\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("$5\r\nhello\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("*2147483647\r\n"), HEARTH_E_PROTOCOL},
    {BYTES(":9223372036854775808\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("%1\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("_\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("SSH-2.0-OpenSSH_9.2\r\n"), HEARTH_E_PROTOCOL},
    {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), HEARTH_E_PROTOCOL},
    {BYTES("\x81\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), HEARTH_E_PROTOCOL},
};

static void errors_are_the_same_in_any_pieces(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (size_t piece = 1; piece <= errors[i].size; piece++) {
            struct heard heard;
            int32_t status = parse(errors[i].bytes, errors[i].size, piece, 0, &heard);
            if (status != errors[i].status) {
                fail_msg("%s in pieces of %zu: %s", errors[i].bytes, piece,
                         hearth_status_name(status));
            }
            assert_int_equal(heard.size, 0);
        }
    }
}

static void a_key_has_a_bound(void **state) {
    (void)state;
    char key[400];
    memset(key, 'k', sizeof key);
    for (int size = 250; size <= 330; size += 80) {
        char line[500];
        struct heard heard;
        int32_t status = size == 250 ? HEARTH_OK : HEARTH_E_PROTOCOL;
        int length = snprintf(line, sizeof line, "VALUE %.*s 0 1\r\nx\r\nEND\r\n", size, key);
        assert_int_equal(parse(line, (size_t)length, (size_t)length, 0, &heard), status);
        length = snprintf(line, sizeof line, "HD k%.*s\r\n", size, key);
        assert_int_equal(parse(line, (size_t)length, (size_t)length, 0, &heard), status);
    }
}

/* A line that never ends is refused at its bound, and nothing grows beyond. */
static void a_line_has_a_bound(void **state) {
    (void)state;
    static char line[3 * HEARTH__MC_LINE_MAX];
    static const char *const beginnings[] = {"SERVER_ERROR ", "HD Q", "VALUE ", "a", "1", " "};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        struct heard heard;
        memset(line, 'a', sizeof line);
        memcpy(line, beginnings[i], strlen(beginnings[i]));
        for (size_t piece = 1; piece < sizeof line; piece += 97) {
            assert_int_equal(parse(line, HEARTH__MC_LINE_MAX - 1, piece, 0, &heard),
                             HEARTH_MISS);
            assert_int_equal(parse(line, sizeof line, piece, 0, &heard), HEARTH_E_PROTOCOL);
            assert_int_equal(heard.size, 0);
        }
    }
    struct heard heard;
    memcpy(line, "SERVER_ERROR ", 13);
    memcpy(line + HEARTH__MC_LINE_MAX - 2, "\r\n", 2);
    assert_int_equal(parse(line, HEARTH__MC_LINE_MAX, 1000, 0, &heard), HEARTH_OK);
}

static bool refuse_numbers(void *arg, const hearth__mc_reply *reply) {
    (void)arg;
    return reply->word != HEARTH__MC_NUMBER;
}

static void what_the_hearer_refuses_is_an_error_for_good(void **state) {
    (void)state;
    hearth__mc_parser parser = {.limit = LIMIT};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            hearth__mc_parser_feed(&parser, "MN\r\n1\r\nMN\r\n", 11, refuse_numbers, NULL),
            HEARTH_E_PROTOCOL);
    }
    struct heard heard = {.size = 0};
    assert_int_equal(feed(&parser, "MN\r\n", 4, &heard), HEARTH_E_PROTOCOL);
    assert_int_equal(heard.size, 0);
    hearth__mc_parser_fini(&parser);
}

static bool is_large(void *arg, const hearth__mc_reply *reply) {
    size_t *size = arg;
    *size = reply->data_size;
    const unsigned char *data = reply->data;
    return reply->data_size == 0 || (data[0] == 1 && data[reply->data_size - 1] == 2);
}

static void a_large_value_is_announced_and_its_memory_given_back(void **state) {
    (void)state;
    enum { LARGE = 1 << 20 };
    hearth__mc_parser parser = {.limit = LARGE};
    size_t size = 0;
    unsigned char *large = calloc(1, LARGE);
    assert_non_null(large);
    large[0] = 1;
    large[LARGE - 1] = 2;
    assert_int_equal(hearth__mc_parser_under_way(&parser), 0);
    assert_int_equal(hearth__mc_parser_feed(&parser, "VA 10485", 8, is_large, &size),
                     HEARTH_OK);
    assert_int_equal(hearth__mc_parser_under_way(&parser), 0);
    assert_int_equal(hearth__mc_parser_feed(&parser, "76 O1\r\n", 7, is_large, &size),
                     HEARTH_OK);
    assert_int_equal(hearth__mc_parser_under_way(&parser), LARGE + 17);
    assert_int_equal(hearth__mc_parser_feed(&parser, large, LARGE, is_large, &size), HEARTH_OK);
    assert_int_equal(size, 0);
    assert_int_equal(hearth__mc_parser_feed(&parser, "\r\nMN\r\n", 6, is_large, &size),
                     HEARTH_OK);
    assert_int_equal(size, 0); /* of the MN */
    assert_true(hearth__mc_parser_is_empty(&parser));
    assert_true(parser.held.capacity >= LARGE);
    hearth__mc_parser_trim(&parser);
    assert_int_equal(parser.held.capacity, 0);
    hearth__mc_parser_fini(&parser);
    free(large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same_in_any_pieces),
        cmocka_unit_test(what_is_cut_is_under_way),
        cmocka_unit_test(errors_are_the_same_in_any_pieces),
        cmocka_unit_test(a_key_has_a_bound),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(what_the_hearer_refuses_is_an_error_for_good),
        cmocka_unit_test(a_large_value_is_announced_and_its_memory_given_back),
    };
    return cmocka_run_group_tests_name("memcached parser", tests, NULL, NULL);
}
