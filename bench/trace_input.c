/* SPDX-License-Identifier: Apache-2.0 */
#include "trace_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

enum { PACKED_BYTES = 32 * 1024, WINDOW_LOG_MAX = 31 };

enum format { FORMAT_PLAIN, FORMAT_ZSTD, FORMAT_GZIP };

struct trace_input {
    int fd;
    enum format format;
    ZSTD_DCtx *zstd;
    z_stream gzip;
    bool has_gzip;
    bool is_inside; /* of a compressed frame: the data must go on */
    bool has_more;  /* the decompressor may hold more than it could write */
    bool ends;      /* the file has been read to its end */
    size_t packed_at;
    size_t packed_size;
    size_t at;
    size_t size;
    char error[256];
    unsigned char packed[PACKED_BYTES];
    char bytes[TRACE_INPUT_BYTES];
};

__attribute__((format(printf, 2, 3))) static int fail(struct trace_input *input,
                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(input->error, sizeof input->error, format, arguments);
    va_end(arguments);
    return -1;
}

/* ---- bytes of the file ---- */

/* Reads on until the buffer is full, so that a format's first bytes are never cut by a pipe. */
static int read_input(struct trace_input *input) {
    input->packed_at = 0;
    input->packed_size = 0;
    while (input->packed_size < PACKED_BYTES && !input->ends) {
        ssize_t got = read(input->fd, input->packed + input->packed_size,
                           PACKED_BYTES - input->packed_size);
        if (got < 0 && errno != EINTR) {
            return fail(input, "cannot be read: %s", strerror(errno));
        }
        input->ends = got == 0;
        input->packed_size += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static bool begins_with(const struct trace_input *input, const void *magic, size_t size) {
    return input->packed_size >= size && memcmp(input->packed, magic, size) == 0;
}

static int detect_format(struct trace_input *input) {
    /* Zstd may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F, little endian. */
    bool is_skippable = input->packed_size >= 4 && (input->packed[0] & 0xF0) == 0x50 &&
                        memcmp(input->packed + 1, "\x2A\x4D\x18", 3) == 0;
    if (is_skippable || begins_with(input, "\x28\xB5\x2F\xFD", 4)) {
        input->format = FORMAT_ZSTD;
        input->zstd = ZSTD_createDCtx();
        return input->zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(
                                          input->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))
                   ? 0
                   : fail(input, "no memory");
    }
    if (begins_with(input, "\x1F\x8B", 2)) {
        input->format = FORMAT_GZIP;
        input->has_gzip = inflateInit2(&input->gzip, 15 + 16) == Z_OK;
        return input->has_gzip ? 0 : fail(input, "no memory");
    }
    if (begins_with(input,
                    "\xFD"
                    "7zXZ",
                    6)) {
        return fail(input, "is compressed by xz; zstd, gzip and plain text can be read");
    }
    input->format = FORMAT_PLAIN;
    return 0;
}

/* ---- decompression: each fills the free end of `bytes` with some bytes, if there are any ----
 */

static int pull_plain(struct trace_input *input) {
    size_t room = TRACE_INPUT_BYTES - input->size;
    size_t left = input->packed_size - input->packed_at;
    size_t size = left < room ? left : room;
    memcpy(input->bytes + input->size, input->packed + input->packed_at, size);
    input->packed_at += size;
    input->size += size;
    return 0;
}

static int pull_zstd(struct trace_input *input) {
    ZSTD_inBuffer in = {input->packed, input->packed_size, input->packed_at};
    ZSTD_outBuffer out = {input->bytes, TRACE_INPUT_BYTES, input->size};
    size_t left = ZSTD_decompressStream(input->zstd, &out, &in);
    if (ZSTD_isError(left)) {
        return fail(input, "zstd: %s", ZSTD_getErrorName(left));
    }
    input->is_inside = left != 0;
    input->has_more = left != 0 && out.pos == out.size;
    input->packed_at = in.pos;
    input->size = out.pos;
    return 0;
}

static int pull_gzip(struct trace_input *input) {
    z_stream *gzip = &input->gzip;
    if (!input->is_inside && inflateReset(gzip) != Z_OK) {
        return fail(input, "gzip: cannot start");
    }
    gzip->next_in = input->packed + input->packed_at;
    gzip->avail_in = (uInt)(input->packed_size - input->packed_at);
    gzip->next_out = (Bytef *)input->bytes + input->size;
    gzip->avail_out = (uInt)(TRACE_INPUT_BYTES - input->size);
    int result = inflate(gzip, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return fail(input, "gzip: %s", gzip->msg == NULL ? "damaged" : gzip->msg);
    }
    input->is_inside = result != Z_STREAM_END;
    input->has_more = result == Z_OK && gzip->avail_out == 0;
    input->packed_at = input->packed_size - gzip->avail_in;
    input->size = TRACE_INPUT_BYTES - gzip->avail_out;
    return 0;
}

static int pull(struct trace_input *input) {
    switch (input->format) {
    case FORMAT_ZSTD:
        return pull_zstd(input);
    case FORMAT_GZIP:
        return pull_gzip(input);
    default:
        return pull_plain(input);
    }
}

int trace_input_fill(struct trace_input *input) {
    size_t left = input->size - input->at;
    memmove(input->bytes, input->bytes + input->at, left);
    input->at = 0;
    input->size = left;
    while (input->size == left) {
        bool is_empty = input->packed_at == input->packed_size;
        if (is_empty && !input->ends && read_input(input) != 0) {
            return -1;
        }
        is_empty = input->packed_at == input->packed_size;
        if (is_empty && !input->has_more) {
            return input->is_inside ? fail(input, "the compressed data is cut off here") : 0;
        }
        if (pull(input) != 0) {
            return -1;
        }
    }
    return 1;
}

/* ---- what is called ---- */

const char *trace_input_peek(const struct trace_input *input, size_t *size) {
    *size = input->size - input->at;
    return input->bytes + input->at;
}

void trace_input_take(struct trace_input *input, size_t size) {
    input->at += size;
}

const char *trace_input_error(const struct trace_input *input) {
    return input->error;
}

static int open_file(struct trace_input *input, const char *path) {
    input->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0) {
        return fail(input, "cannot be opened: %s", strerror(errno));
    }
    return read_input(input) == 0 ? detect_format(input) : -1;
}

int trace_input_open(const char *path, struct trace_input **input, char *error,
                     size_t error_size) {
    struct trace_input *opened = malloc(sizeof *opened);
    if (opened == NULL) {
        snprintf(error, error_size, "no memory");
        return -1;
    }
    memset(opened, 0, offsetof(struct trace_input, packed));
    opened->fd = -1;
    if (open_file(opened, path) != 0) {
        snprintf(error, error_size, "%s", opened->error);
        trace_input_close(opened);
        return -1;
    }
    *input = opened;
    return 0;
}

void trace_input_close(struct trace_input *input) {
    if (input == NULL) {
        return;
    }
    if (input->fd >= 0) {
        close(input->fd);
    }
    ZSTD_freeDCtx(input->zstd);
    if (input->has_gzip) {
        inflateEnd(&input->gzip);
    }
    free(input);
}
