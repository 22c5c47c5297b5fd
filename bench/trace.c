/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

enum {
    INPUT_BYTES = 64 * 1024,
    TEXT_BYTES = 256 * 1024,
    LINE_MAX_BYTES = TRACE_KEY_MAX + 64, /* a key, a comma, a number, a line end */
    WINDOW_LOG_MAX = 31,
};

enum format { FORMAT_PLAIN, FORMAT_ZSTD, FORMAT_GZIP };

struct trace {
    int fd;
    enum format format;
    ZSTD_DCtx *zstd;
    z_stream gzip;
    bool has_gzip;
    bool is_inside;  /* of a compressed frame: the data must go on */
    bool has_more;   /* the decompressor may hold more than it could write */
    bool input_ends; /* the file has been read to its end */
    size_t input_at;
    size_t input_size;
    size_t text_at;
    size_t text_size;
    uint64_t line;
    char *path;
    char error[512];
    unsigned char input[INPUT_BYTES];
    char text[TEXT_BYTES];
};

__attribute__((format(printf, 2, 3))) static int fail(struct trace *trace, const char *format,
                                                      ...) {
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (trace->line > 0) {
        snprintf(trace->error, sizeof trace->error, "%.200s, line %llu: %s", trace->path,
                 (unsigned long long)trace->line, reason);
    } else {
        snprintf(trace->error, sizeof trace->error, "%.200s: %s", trace->path, reason);
    }
    return -1;
}

/* ---- bytes of the file ---- */

/* Reads on until the buffer is full, so that a format's first bytes are never cut by a pipe. */
static int read_input(struct trace *trace) {
    trace->input_at = 0;
    trace->input_size = 0;
    while (trace->input_size < INPUT_BYTES && !trace->input_ends) {
        ssize_t got =
            read(trace->fd, trace->input + trace->input_size, INPUT_BYTES - trace->input_size);
        if (got < 0 && errno != EINTR) {
            return fail(trace, "cannot be read: %s", strerror(errno));
        }
        trace->input_ends = got == 0;
        trace->input_size += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static bool begins_with(const struct trace *trace, const void *magic, size_t size) {
    return trace->input_size >= size && memcmp(trace->input, magic, size) == 0;
}

static int detect_format(struct trace *trace) {
    /* Zstd may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F, little endian. */
    bool is_skippable = trace->input_size >= 4 && (trace->input[0] & 0xF0) == 0x50 &&
                        memcmp(trace->input + 1, "\x2A\x4D\x18", 3) == 0;
    if (is_skippable || begins_with(trace, "\x28\xB5\x2F\xFD", 4)) {
        trace->format = FORMAT_ZSTD;
        trace->zstd = ZSTD_createDCtx();
        return trace->zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(
                                          trace->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))
                   ? 0
                   : fail(trace, "no memory");
    }
    if (begins_with(trace, "\x1F\x8B", 2)) {
        trace->format = FORMAT_GZIP;
        trace->has_gzip = inflateInit2(&trace->gzip, 15 + 16) == Z_OK;
        return trace->has_gzip ? 0 : fail(trace, "no memory");
    }
    if (begins_with(trace,
                    "\xFD"
                    "7zXZ",
                    6)) {
        return fail(trace, "is compressed by xz; zstd, gzip and plain text can be read");
    }
    trace->format = FORMAT_PLAIN;
    return 0;
}

/* ---- decompression: each fills the free end of `text` with some bytes, if there are any ----
 */

static int pull_plain(struct trace *trace) {
    size_t room = TEXT_BYTES - trace->text_size;
    size_t left = trace->input_size - trace->input_at;
    size_t size = left < room ? left : room;
    memcpy(trace->text + trace->text_size, trace->input + trace->input_at, size);
    trace->input_at += size;
    trace->text_size += size;
    return 0;
}

static int pull_zstd(struct trace *trace) {
    ZSTD_inBuffer in = {trace->input, trace->input_size, trace->input_at};
    ZSTD_outBuffer out = {trace->text, TEXT_BYTES, trace->text_size};
    size_t left = ZSTD_decompressStream(trace->zstd, &out, &in);
    if (ZSTD_isError(left)) {
        return fail(trace, "zstd: %s", ZSTD_getErrorName(left));
    }
    trace->is_inside = left != 0;
    trace->has_more = left != 0 && out.pos == out.size;
    trace->input_at = in.pos;
    trace->text_size = out.pos;
    return 0;
}

static int pull_gzip(struct trace *trace) {
    z_stream *gzip = &trace->gzip;
    if (!trace->is_inside && inflateReset(gzip) != Z_OK) {
        return fail(trace, "gzip: cannot start");
    }
    gzip->next_in = trace->input + trace->input_at;
    gzip->avail_in = (uInt)(trace->input_size - trace->input_at);
    gzip->next_out = (Bytef *)trace->text + trace->text_size;
    gzip->avail_out = (uInt)(TEXT_BYTES - trace->text_size);
    int result = inflate(gzip, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return fail(trace, "gzip: %s", gzip->msg == NULL ? "damaged" : gzip->msg);
    }
    trace->is_inside = result != Z_STREAM_END;
    trace->has_more = result == Z_OK && gzip->avail_out == 0;
    trace->input_at = trace->input_size - gzip->avail_in;
    trace->text_size = TEXT_BYTES - gzip->avail_out;
    return 0;
}

static int pull(struct trace *trace) {
    switch (trace->format) {
    case FORMAT_ZSTD:
        return pull_zstd(trace);
    case FORMAT_GZIP:
        return pull_gzip(trace);
    default:
        return pull_plain(trace);
    }
}

/* Adds text behind what is left of it. 1: there is more than before; 0: the end; -1. */
static int fill_text(struct trace *trace) {
    size_t left = trace->text_size - trace->text_at;
    memmove(trace->text, trace->text + trace->text_at, left);
    trace->text_at = 0;
    trace->text_size = left;
    while (trace->text_size == left) {
        bool is_empty = trace->input_at == trace->input_size;
        if (is_empty && !trace->input_ends && read_input(trace) != 0) {
            return -1;
        }
        is_empty = trace->input_at == trace->input_size;
        if (is_empty && !trace->has_more) {
            return trace->is_inside ? fail(trace, "the compressed data is cut off here") : 0;
        }
        if (pull(trace) != 0) {
            return -1;
        }
    }
    return 1;
}

/* ---- lines ---- */

/* The end of the line that begins at text_at; NULL with *result 0 at the end or -1. */
static const char *find_line_end(struct trace *trace, int *result) {
    size_t searched = 0;
    for (;;) {
        const char *begin = trace->text + trace->text_at;
        size_t left = trace->text_size - trace->text_at;
        const char *end =
            left > searched ? memchr(begin + searched, '\n', left - searched) : NULL;
        if (end != NULL) {
            return end;
        }
        searched = left;
        if (left > LINE_MAX_BYTES) {
            return begin + left; /* too long anyway: no need to see its end */
        }
        *result = fill_text(trace);
        if (*result <= 0) {
            bool is_last_line = *result == 0 && left > 0;
            return is_last_line ? trace->text + trace->text_size : NULL;
        }
    }
}

/* The size behind the last comma. -1: no number. */
static int parse_size(struct trace *trace, const char *digits, size_t count, uint64_t *size) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(unsigned char)digits[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            count = 0;
        }
    }
    if (count == 0) {
        return fail(trace, "the size behind the comma is not a number of bytes");
    }
    *size = value;
    return 0;
}

static int parse_line(struct trace *trace, const char *line, size_t length,
                      struct trace_request *request) {
    if (length > 0 && line[length - 1] == '\r') {
        length--;
    }
    struct trace_request parsed = {.key = line, .key_size = length};
    const char *comma = length > 0 ? memrchr(line, ',', length) : NULL;
    if (comma != NULL) {
        parsed.has_size = true;
        parsed.key_size = (size_t)(comma - line);
    }
    if (parsed.key_size == 0) {
        return fail(trace, "there is no key");
    }
    if (parsed.key_size > TRACE_KEY_MAX) {
        return fail(trace, "the key is longer than %d bytes", TRACE_KEY_MAX);
    }
    if (comma != NULL &&
        parse_size(trace, comma + 1, length - parsed.key_size - 1, &parsed.size) != 0) {
        return -1;
    }
    *request = parsed;
    return 1;
}

int trace_next(struct trace *trace, struct trace_request *request) {
    if (trace->error[0] != '\0') {
        return -1;
    }
    int result = 0;
    trace->line++;
    const char *end = find_line_end(trace, &result);
    if (end == NULL) {
        return result;
    }
    const char *line = trace->text + trace->text_at;
    size_t length = (size_t)(end - line);
    size_t with_end = trace->text_at + length + 1;
    trace->text_at = with_end < trace->text_size ? with_end : trace->text_size;
    if (length > LINE_MAX_BYTES) {
        return fail(trace, "the line is longer than any request");
    }
    return parse_line(trace, line, length, request);
}

const char *trace_error(const struct trace *trace) {
    return trace->error;
}

static int open_file(struct trace *trace, const char *path) {
    trace->path = strdup(path);
    if (trace->path == NULL) {
        return -1;
    }
    trace->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (trace->fd < 0) {
        return fail(trace, "cannot be opened: %s", strerror(errno));
    }
    if (read_input(trace) != 0 || detect_format(trace) != 0) {
        return -1;
    }
    int filled = fill_text(trace);
    return filled == 0 ? fail(trace, "is empty: it has no request") : filled;
}

int trace_open(const char *path, struct trace **trace, char *error, size_t error_size) {
    struct trace *opened = malloc(sizeof *opened);
    if (opened == NULL) {
        snprintf(error, error_size, "%s: no memory", path);
        return -1;
    }
    memset(opened, 0, offsetof(struct trace, input));
    opened->fd = -1;
    if (open_file(opened, path) < 0) {
        snprintf(error, error_size, "%s", opened->path == NULL ? "no memory" : opened->error);
        trace_close(opened);
        return -1;
    }
    *trace = opened;
    return 0;
}

void trace_close(struct trace *trace) {
    if (trace == NULL) {
        return;
    }
    if (trace->fd >= 0) {
        close(trace->fd);
    }
    ZSTD_freeDCtx(trace->zstd);
    if (trace->has_gzip) {
        inflateEnd(&trace->gzip);
    }
    free(trace->path);
    free(trace);
}
