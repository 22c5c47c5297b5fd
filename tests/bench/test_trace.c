/* SPDX-License-Identifier: Apache-2.0 */
/* Traces as they come: plain, zstd, gzip, and broken in every way a file can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "trace.h"

static char folder[] = "/tmp/hearth-trace-XXXXXX";
static char file[64];

static int make_folder(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    /* A name that says nothing: the content decides. */
    snprintf(file, sizeof file, "%s/requests", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static void write_file(const void *bytes, size_t size) {
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(close(fd), 0);
}

static void write_text(const char *text) {
    write_file(text, strlen(text));
}

static enum trace_form form = TRACE_AUTO; /* that is asked for */

static struct trace *open_trace(void) {
    struct trace *trace = NULL;
    char error[512];
    if (trace_open(file, form, &trace, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    return trace;
}

static void assert_next(struct trace *trace, const char *key, bool has_size, uint64_t size) {
    struct trace_request request;
    int result = trace_next(trace, &request);
    if (result < 0) {
        fail_msg("%s", trace_error(trace));
    }
    assert_int_equal(result, 1);
    assert_int_equal(request.key_size, strlen(key));
    assert_memory_equal(request.key, key, request.key_size);
    assert_int_equal(request.has_size, has_size);
    assert_int_equal(request.size, size);
}

static void assert_end(struct trace *trace) {
    struct trace_request request;
    assert_int_equal(trace_next(trace, &request), 0);
    assert_int_equal(trace_next(trace, &request), 0);
    trace_close(trace);
}

/* After `good` requests comes an error with `line` and `reason` in it, and it stays. */
static void assert_fails_after(size_t good, const char *line, const char *reason) {
    struct trace_request request;
    struct trace *trace = open_trace();
    for (size_t i = 0; i < good; i++) {
        assert_int_equal(trace_next(trace, &request), 1);
    }
    assert_int_equal(trace_next(trace, &request), -1);
    assert_non_null(strstr(trace_error(trace), file));
    assert_non_null(strstr(trace_error(trace), line));
    assert_non_null(strstr(trace_error(trace), reason));
    assert_int_equal(trace_next(trace, &request), -1);
    trace_close(trace);
}

static void assert_does_not_open(const char *path, const char *reason) {
    struct trace *trace = NULL;
    char error[512] = "";
    assert_int_equal(trace_open(path, TRACE_AUTO, &trace, error, sizeof error), -1);
    assert_null(trace);
    assert_non_null(strstr(error, path));
    assert_non_null(strstr(error, reason));
}

/* ---- plain text ---- */

static void keys_and_sizes_are_read(void **state) {
    (void)state;
    write_text("one\nuser:1,300\n  two words,0\r\na,b,18446744073709551615\nlast");
    struct trace *trace = open_trace();
    assert_next(trace, "one", false, 0);
    assert_next(trace, "user:1", true, 300);
    assert_next(trace, "  two words", true, 0);
    assert_next(trace, "a,b", true, UINT64_MAX);
    assert_next(trace, "last", false, 0);
    assert_end(trace);
}

static void the_longest_key_is_read_and_a_longer_one_refused(void **state) {
    (void)state;
    static char line[2 * TRACE_KEY_MAX + 64];
    char *at = line;
    memset(at, 'x', TRACE_KEY_MAX);
    memcpy(at + TRACE_KEY_MAX, ",12345678901234567890\nb\n", 25);
    write_text(line);
    struct trace *trace = open_trace();
    struct trace_request request;
    assert_int_equal(trace_next(trace, &request), 1);
    assert_int_equal(request.key_size, TRACE_KEY_MAX);
    assert_int_equal(request.size, 12345678901234567890U);
    assert_next(trace, "b", false, 0);
    assert_end(trace);
    memcpy(line, "a\n", 2);
    memset(line + 2, 'x', TRACE_KEY_MAX + 1);
    line[TRACE_KEY_MAX + 3] = '\0';
    write_text(line);
    assert_fails_after(1, "line 2", "longer");
    memset(line + 2, 'x', sizeof line - 3);
    line[sizeof line - 1] = '\0';
    write_text(line);
    assert_fails_after(1, "line 2", "longer");
}

static void wrong_lines_are_named(void **state) {
    (void)state;
    write_text("a\nb\n\nc\n");
    assert_fails_after(2, "line 3", "no key");
    write_text(",17\n");
    assert_fails_after(0, "line 1", "no key");
    write_text("a,1\nb,twelve\n");
    assert_fails_after(1, "line 2", "not a number");
    write_text("a,\n");
    assert_fails_after(0, "line 1", "not a number");
    write_text("a,-1\n");
    assert_fails_after(0, "line 1", "not a number");
    write_text("a,18446744073709551616\n");
    assert_fails_after(0, "line 1", "not a number");
}

static void files_without_a_trace_do_not_open(void **state) {
    (void)state;
    write_text("");
    assert_does_not_open(file, "empty");
    assert_does_not_open(folder, "cannot be read");
    assert_does_not_open("/nonexistent/trace", "cannot be opened");
    write_file("\xFD"
               "7zXZ\0\0",
               7);
    assert_does_not_open(file, "xz");
}

/* ---- other forms ---- */

static void assert_next_at(struct trace *trace, const char *key, uint64_t size, double time) {
    struct trace_request request;
    if (trace_next(trace, &request) != 1) {
        fail_msg("no request %s: %s", key, trace_error(trace));
    }
    assert_int_equal(request.key_size, strlen(key));
    assert_memory_equal(request.key, key, request.key_size);
    assert_true(request.has_size && request.has_time);
    assert_int_equal(request.size, size);
    assert_true(request.time == time);
}

static struct trace *open_as(enum trace_form expected) {
    struct trace *trace = open_trace();
    assert_int_equal(trace_form_of(trace), expected);
    return trace;
}

static void keys_may_have_times(void **state) {
    (void)state;
    write_text("a,b,17,1.5\nc,0,2\n");
    struct trace *trace = open_as(TRACE_KEYS);
    assert_next_at(trace, "a,b", 17, 1.5);
    assert_next_at(trace, "c", 0, 2);
    assert_end(trace);
    write_text("a,17,1\nb,17\n");
    assert_fails_after(1, "line 2", "no size");
    write_text("a,17,1\nb,17,x\n");
    assert_fails_after(1, "line 2", "time");
    /* Who says that they have none is believed. */
    form = TRACE_KEYS;
    write_text("a,17,1\n");
    trace = open_as(TRACE_KEYS);
    assert_next(trace, "a,17", true, 1);
    assert_end(trace);
    form = TRACE_AUTO;
}

static void columns_are_found_by_their_names(void **state) {
    (void)state;
    write_text("timestamp,op,Key,size\r\n1.25,get,k1,300\r\n2,set,\"a,b\",0\n");
    struct trace *trace = open_as(TRACE_CSV);
    assert_next_at(trace, "k1", 300, 1.25);
    assert_next_at(trace, "a,b", 0, 2);
    assert_end(trace);
    write_text("id;other\n7;8\n");
    trace = open_as(TRACE_CSV);
    assert_next(trace, "7", false, 0);
    assert_end(trace);
    write_text("bytes\turl\n5\t/index\n");
    trace = open_as(TRACE_CSV);
    assert_next(trace, "/index", true, 5);
    assert_end(trace);
}

static void wrong_columns_are_named(void **state) {
    (void)state;
    write_text("key,size\na,1\nb\n");
    assert_fails_after(1, "line 3", "1 columns, the header 2");
    write_text("key,size\na,1,2\n");
    assert_fails_after(0, "line 2", "3 columns, the header 2");
    write_text("key,size\na,big\n");
    assert_fails_after(0, "line 2", "column 2");
    write_text("key,time\na,1\nb,noon\n");
    assert_fails_after(1, "line 3", "time in column 2");
    write_text("key,size\n,1\n");
    assert_fails_after(0, "line 2", "no key");
    write_text("key,size\n\"a,1\n");
    assert_fails_after(0, "line 2", "quotes");
    write_text("key,size\n\"a\"b,1\n");
    assert_fails_after(0, "line 2", "quotes");
    form = TRACE_CSV;
    struct trace *trace = NULL;
    char error[512] = "";
    write_text("a,b,c\n1,2,3\n");
    assert_int_equal(trace_open(file, form, &trace, error, sizeof error), -1);
    assert_non_null(strstr(error, "line 1: the header names no column of keys"));
    form = TRACE_AUTO;
}

static void twitters_form_is_read(void **state) {
    (void)state;
    write_text("0,q:q:1:8WTfjZU14ee,17,213,4,get,0\n1,yDqF:3q:1AJrrJ,31,27,3,set,3600\n");
    struct trace *trace = open_as(TRACE_TWITTER);
    assert_next_at(trace, "q:q:1:8WTfjZU14ee", 213, 0);
    assert_next_at(trace, "yDqF:3q:1AJrrJ", 27, 1);
    assert_end(trace);
    write_text("0,k,1,2,4,get,0\n1,k,1,2,4,get\n");
    assert_fails_after(1, "line 2", "7 columns");
    write_text("0,k,1,2,4,get,0\n1,k,1,x,4,get,0\n");
    assert_fails_after(1, "line 2", "column 4");
}

static void blocks_are_read(void **state) {
    (void)state;
    write_text("100 3 0 1\n5 0 0 2\n7 1 0 3\n");
    struct trace *trace = open_as(TRACE_ARC);
    assert_next(trace, "100", false, 0);
    assert_next(trace, "101", false, 0);
    assert_next(trace, "102", false, 0);
    assert_next(trace, "7", false, 0);
    assert_end(trace);
    write_text("100 1 0 1\n5 1 0\n");
    assert_fails_after(1, "line 2", "4 numbers");
    write_text("18446744073709551615 2 0 1\n");
    assert_fails_after(0, "line 1", "more blocks");
    form = TRACE_LIRS;
    write_text("*\n\n 12 \n13\n");
    trace = open_as(TRACE_LIRS);
    assert_next(trace, "12", false, 0);
    assert_next(trace, "13", false, 0);
    assert_end(trace);
    write_text("12\nx\n");
    assert_fails_after(1, "line 2", "block");
    form = TRACE_AUTO;
}

static void oracle_records_are_read(void **state) {
    (void)state;
    /* Each begins with a byte that is a line's end in text. */
    static const unsigned char records[] = {
        10,  0,   0,   0,   0x15, 0xCD, 0x5B, 7, 0,   0,   0,   0,   0,   2,   0,   0,
        1,   0,   0,   0,   0,    0,    0,    0, 10,  1,   0,   0,   255, 255, 255, 255,
        255, 255, 255, 255, 1,    0,    0,    0, 255, 255, 255, 255, 255, 255, 255, 255};
    write_file(records, sizeof records);
    struct trace *trace = open_as(TRACE_ORACLE);
    assert_next_at(trace, "123456789", 512, 10);
    assert_next_at(trace, "18446744073709551615", 1, 266);
    assert_end(trace);
    write_file(records, sizeof records - 5);
    assert_fails_after(1, "record 2", "cut off: 19 of its 24 bytes");
}

/* More than any buffer holds, without a place where it could be cut. */
static void a_long_trace_is_streamed(void **state) {
    (void)state;
    enum { RECORDS = 100000 };
    unsigned char *records = calloc(RECORDS, 24);
    struct trace_request request;
    assert_non_null(records);
    for (uint32_t i = 0; i < RECORDS; i++) {
        memcpy(records + (size_t)i * 24 + 4, &i, sizeof i);
    }
    write_file(records, (size_t)RECORDS * 24);
    struct trace *trace = open_as(TRACE_ORACLE);
    for (uint32_t i = 0; i < RECORDS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        assert_int_equal(trace_next(trace, &request), 1);
        assert_int_equal(request.key_size, strlen(key));
        assert_memory_equal(request.key, key, request.key_size);
    }
    assert_end(trace);
    free(records);
}

/* ---- compressed ---- */

enum { LINES = 200000 };

/* Some 2 MB of lines, more than any buffer of the reader. */
static char *compose_lines(size_t *size) {
    char *text = malloc((size_t)LINES * 16);
    assert_non_null(text);
    *size = 0;
    for (int i = 0; i < LINES; i++) {
        *size += (size_t)sprintf(text + *size, "k%d,%d\n", i * 7, i);
    }
    return text;
}

static void assert_reads_lines(int first, int end) {
    struct trace *trace = open_trace();
    char key[16];
    for (int i = first; i < end; i++) {
        snprintf(key, sizeof key, "k%d", i % LINES * 7);
        assert_next(trace, key, true, (uint64_t)(i % LINES));
    }
    assert_end(trace);
}

static void *compress_zstd(const char *text, size_t size, int window_log, size_t *out_size) {
    size_t bound = ZSTD_compressBound(size);
    void *out = malloc(bound);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(out);
    assert_non_null(context);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    /* By streaming, since otherwise a known size makes the window small. */
    ZSTD_inBuffer in = {text, size, 0};
    ZSTD_outBuffer buffer = {out, bound, 0};
    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &buffer, &in, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(context, &buffer, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    *out_size = buffer.pos;
    return out;
}

static void *compress_gzip(const char *text, size_t size, size_t *out_size) {
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
    size_t bound = deflateBound(&stream, size);
    void *out = malloc(bound);
    char *copy = malloc(size + 1); /* next_in is not const in old releases */
    assert_non_null(out);
    assert_non_null(copy);
    memcpy(copy, text, size);
    stream.next_in = (Bytef *)copy;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)bound;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *out_size = bound - stream.avail_out;
    deflateEnd(&stream);
    free(copy);
    return out;
}

/* Whole, two of them in a row, cut at many places, and with one byte changed. */
static void check_compressed(const unsigned char *bytes, size_t size) {
    write_file(bytes, size);
    assert_reads_lines(0, LINES);
    unsigned char *twice = malloc(2 * size);
    assert_non_null(twice);
    memcpy(twice, bytes, size);
    memcpy(twice + size, bytes, size);
    write_file(twice, 2 * size);
    assert_reads_lines(0, 2 * LINES);
    free(twice);
    for (size_t cut = 1; cut <= 5; cut++) {
        write_file(bytes, size * cut / 6);
        struct trace *trace = open_trace();
        struct trace_request request;
        int result;
        while ((result = trace_next(trace, &request)) == 1) {
        }
        assert_int_equal(result, -1);
        assert_non_null(strstr(trace_error(trace), "cut off"));
        assert_non_null(strstr(trace_error(trace), ", line "));
        trace_close(trace);
    }
}

static void zstd_is_read(void **state) {
    (void)state;
    size_t size;
    size_t compressed_size;
    char *text = compose_lines(&size);
    unsigned char *compressed = compress_zstd(text, size, 20, &compressed_size);
    check_compressed(compressed, compressed_size);
    free(compressed);
    free(text);
}

static void gzip_is_read(void **state) {
    (void)state;
    size_t size;
    size_t compressed_size;
    char *text = compose_lines(&size);
    unsigned char *compressed = compress_gzip(text, size, &compressed_size);
    check_compressed(compressed, compressed_size);
    compressed[compressed_size - 5] ^= 1; /* in the check sum */
    write_file(compressed, compressed_size);
    struct trace *trace = open_trace();
    struct trace_request request;
    while (trace_next(trace, &request) == 1) {
    }
    assert_non_null(strstr(trace_error(trace), "gzip"));
    trace_close(trace);
    free(compressed);
    free(text);
}

/* The decoder refuses windows above 2^27 unless told to take them. The frame is laid out by
 * hand, since the encoder would make one as large: magic, a window of 2^31, one raw block. */
static void a_zstd_window_of_2_gib_is_read(void **state) {
    (void)state;
    static const unsigned char frame[] = {
        0x28,
        0xB5,
        0x2F,
        0xFD,           /* magic */
        0x00,           /* no content size, no check sum, no dictionary */
        (31 - 10) << 3, /* the window: exponent 21 above 2^10 */
        0x21,
        0x00,
        0x00, /* last block, raw, 4 bytes */
        'a',
        '\n',
        'b',
        '\n',
    };
    write_file(frame, sizeof frame);
    struct trace *trace = open_trace();
    assert_next(trace, "a", false, 0);
    assert_next(trace, "b", false, 0);
    assert_end(trace);
}

static void compressed_nothing_is_empty(void **state) {
    (void)state;
    size_t size;
    void *zstd = compress_zstd("", 0, 20, &size);
    write_file(zstd, size);
    assert_does_not_open(file, "empty");
    free(zstd);
    void *gzip = compress_gzip("", 0, &size);
    write_file(gzip, size);
    assert_does_not_open(file, "empty");
    free(gzip);
    write_file("\x28\xB5\x2F\xFD", 4);
    assert_does_not_open(file, "cut off");
    write_file("\x1F\x8B\x08", 3);
    assert_does_not_open(file, "cut off");
}

/* ---- length ---- */

enum { PIECE_LINES = 5000, PIECE_LINE = 210, PIECES = 40, PIECES_LONG = 10240 /* 10 GB */ };

static size_t resident_bytes(void) {
    char text[128] = "";
    FILE *statm = fopen("/proc/self/statm", "re");
    assert_non_null(statm);
    assert_non_null(fgets(text, sizeof text, statm));
    (void)fclose(statm);
    const char *second = strchr(text, ' ');
    assert_non_null(second);
    return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* A megabyte of text, compressed, so many times. */
static void write_pieces(int pieces) {
    size_t size = 0;
    char *text = malloc((size_t)PIECE_LINES * PIECE_LINE + 1);
    assert_non_null(text);
    for (int i = 0; i < PIECE_LINES; i++) {
        size += (size_t)sprintf(text + size, "%0*d\n", PIECE_LINE - 1, i);
    }
    char *gzip = compress_gzip(text, size, &size);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (int i = 0; i < pieces; i++) {
        assert_int_equal(write(fd, gzip, size), size);
    }
    assert_int_equal(close(fd), 0);
    free(gzip);
    free(text);
}

/* From a quarter of it to the end. HEARTH_LONG: 10 GB. */
static void memory_does_not_grow_with_length(void **state) {
    (void)state;
    enum { SLACK = 4 << 20 };
    int pieces = getenv("HEARTH_LONG") != NULL ? PIECES_LONG : PIECES;
    uint64_t lines = (uint64_t)pieces * PIECE_LINES;
    uint64_t wrong = 0;
    size_t begun = 0;
    struct trace_request request;
    write_pieces(pieces);
    struct trace *trace = open_trace();
    for (uint64_t i = 0; i < lines; i++) {
        wrong += trace_next(trace, &request) != 1 || request.key_size != PIECE_LINE - 1;
        if (i == lines / 4) {
            begun = resident_bytes();
        }
    }
    size_t ended = resident_bytes();
    assert_int_equal(wrong, 0);
    assert_end(trace);
    if (ended > begun + SLACK) {
        fail_msg("%zu bytes became %zu", begun, ended);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_sizes_are_read),
        cmocka_unit_test(the_longest_key_is_read_and_a_longer_one_refused),
        cmocka_unit_test(wrong_lines_are_named),
        cmocka_unit_test(files_without_a_trace_do_not_open),
        cmocka_unit_test(keys_may_have_times),
        cmocka_unit_test(columns_are_found_by_their_names),
        cmocka_unit_test(wrong_columns_are_named),
        cmocka_unit_test(twitters_form_is_read),
        cmocka_unit_test(blocks_are_read),
        cmocka_unit_test(oracle_records_are_read),
        cmocka_unit_test(a_long_trace_is_streamed),
        cmocka_unit_test(zstd_is_read),
        cmocka_unit_test(gzip_is_read),
        cmocka_unit_test(a_zstd_window_of_2_gib_is_read),
        cmocka_unit_test(compressed_nothing_is_empty),
        cmocka_unit_test(memory_does_not_grow_with_length),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
