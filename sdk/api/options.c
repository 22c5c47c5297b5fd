/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 20000, /* the longest option's value fits */
    CHUNK_SIZE = 4096,
    ERROR_SIZE = 512,
};

struct hearth_options {
    hearth__config config;
    char error[ERROR_SIZE];
};

hearth_options *hearth_options_new(void) {
    hearth_options *options = hearth__alloc_zero(1, sizeof *options);
    if (options != NULL && hearth__config_init(&options->config) != HEARTH_OK) {
        hearth_options_free(options);
        return NULL;
    }
    return options;
}

void hearth_options_free(hearth_options *options) {
    if (options != NULL) {
        hearth__config_fini(&options->config);
        hearth__free(options);
    }
}

/* A failure is never without words. */
static int32_t say_memory(hearth_options *options, int32_t status) {
    if (status == HEARTH_E_NOMEM && options->error[0] == '\0') {
        (void)snprintf(options->error, ERROR_SIZE, "%s", hearth_strerror(status));
    }
    return status;
}

int32_t hearth_options_set(hearth_options *options, const char *name, const char *value) {
    if (options == NULL) {
        return HEARTH_E_INVALID;
    }
    options->error[0] = '\0';
    if (name == NULL || value == NULL) {
        (void)snprintf(options->error, ERROR_SIZE, "an option needs a name and a value");
        return HEARTH_E_INVALID;
    }
    return hearth__config_set(&options->config, name, value, options->error, ERROR_SIZE);
}

int32_t hearth_options_get(const hearth_options *options, const char *name, char *text,
                           size_t size, size_t *needed) {
    size_t own_needed = 0;
    if (options == NULL || name == NULL || (text == NULL && size != 0)) {
        return HEARTH_E_INVALID;
    }
    int32_t status = hearth__config_get(&options->config, name, text, size, &own_needed);
    if (needed != NULL && status != HEARTH_E_INVALID) {
        *needed = own_needed;
    }
    return status;
}

/* ---- files ------------------------------------------------------------------------------ */

/* One that is being read. */
struct file {
    int fd;
    int error; /* why there is no more of it; 0: it has ended */
    bool ended;
    size_t at; /* of those bytes */
    size_t size;
    char bytes[CHUNK_SIZE];
    char line[LINE_SIZE];
};

static int open_file(const char *path) {
    int fd = -1;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* EOF: there is none. */
static int next_byte(struct file *file) {
    while (file->at == file->size && !file->ended) {
        ssize_t got = read(file->fd, file->bytes, sizeof file->bytes);
        if (got > 0) {
            file->at = 0;
            file->size = (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            file->ended = true;
            file->error = got < 0 ? errno : 0;
        }
    }
    return file->ended ? EOF : (unsigned char)file->bytes[file->at++];
}

static char *trim(char *text) {
    text += strspn(text, " \t\r\n");
    size_t size = strlen(text);
    while (size != 0 && strchr(" \t\r\n", text[size - 1]) != NULL) {
        text[--size] = '\0';
    }
    return text;
}

static int32_t take_line(hearth__config *config, char *line, char *why, size_t why_size) {
    char *text = trim(line);
    if (text[0] == '\0' || text[0] == '#') {
        return HEARTH_OK;
    }
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        (void)snprintf(why, why_size, "there is no '='; write name = value");
        return HEARTH_E_INVALID;
    }
    *equals = '\0';
    return hearth__config_set(config, trim(text), trim(equals + 1), why, why_size);
}

/* Reads a line without its newline, or so much of it that it is too long: `size` bytes and a NUL.
 * False: there is none. */
static bool read_line(struct file *file, size_t *size) {
    int byte = next_byte(file);
    size_t used = 0;
    for (; byte != EOF && byte != '\n' && used < LINE_SIZE - 1; byte = next_byte(file)) {
        file->line[used++] = (char)byte;
    }
    file->line[used] = '\0';
    *size = used;
    return file->error == 0 && (byte != EOF || used != 0);
}

static int32_t take_file(hearth__config *config, struct file *file, const char *path,
                         char *error) {
    char why[ERROR_SIZE] = "";
    size_t size = 0;
    int32_t status = HEARTH_OK;
    for (unsigned long number = 1; status == HEARTH_OK && read_line(file, &size); number++) {
        if (size == LINE_SIZE - 1 || strlen(file->line) != size) {
            (void)snprintf(why, sizeof why, "the line is too long or has a NUL byte");
            status = HEARTH_E_INVALID;
        } else {
            status = take_line(config, file->line, why, sizeof why);
        }
        if (status != HEARTH_OK) {
            (void)snprintf(error, ERROR_SIZE, "%.200s:%lu: %.280s", path, number, why);
        }
    }
    if (status == HEARTH_OK && file->error != 0) {
        errno = file->error;
        (void)snprintf(error, ERROR_SIZE, "%.200s: cannot be read: %m", path);
        status = HEARTH_E_UNAVAILABLE;
    }
    return status;
}

/* Reads into a copy, so that a bad file changes nothing. */
static int32_t load_file(hearth_options *options, int fd, const char *path) {
    hearth__config config;
    struct file *file = hearth__alloc_zero(1, sizeof *file);
    int32_t status =
        file != NULL ? hearth__config_copy(&options->config, &config) : HEARTH_E_NOMEM;
    if (status == HEARTH_OK) {
        file->fd = fd;
        status = take_file(&config, file, path, options->error);
        if (status == HEARTH_OK) {
            hearth__config old = options->config;
            options->config = config;
            config = old;
        }
        hearth__config_fini(&config);
    }
    hearth__free(file);
    return say_memory(options, status);
}

int32_t hearth_options_load(hearth_options *options, const char *path) {
    if (options == NULL) {
        return HEARTH_E_INVALID;
    }
    options->error[0] = '\0';
    if (path == NULL) {
        (void)snprintf(options->error, ERROR_SIZE, "a file needs a path");
        return HEARTH_E_INVALID;
    }
    int fd = open_file(path);
    if (fd < 0) {
        (void)snprintf(options->error, ERROR_SIZE, "%.200s: cannot be read: %m", path);
        return HEARTH_E_UNAVAILABLE;
    }
    int32_t status = load_file(options, fd, path);
    (void)close(fd);
    return status;
}

/* ---- the rest --------------------------------------------------------------------------- */

const char *hearth_options_error(const hearth_options *options) {
    return options != NULL ? options->error : "there are no options";
}

int32_t hearth_options_describe(uint32_t index, hearth_option_info *info) {
    hearth_option_info own;
    if (info == NULL || info->size < sizeof info->size) {
        return HEARTH_E_INVALID;
    }
    int32_t status = hearth__config_describe(index, &own);
    if (status == HEARTH_OK) {
        (void)hearth__check_give(info, &own, sizeof own);
    }
    return status;
}

int32_t hearth_options_set_log(hearth_options *options, hearth_log_function log, void *arg) {
    if (options == NULL) {
        return HEARTH_E_INVALID;
    }
    options->error[0] = '\0';
    options->config.log = log;
    options->config.log_arg = arg;
    return HEARTH_OK;
}

int32_t hearth_options_set_sink(hearth_options *options, hearth_sink_make make,
                                hearth_sink_retain retain, void *miss) {
    if (options == NULL) {
        return HEARTH_E_INVALID;
    }
    bool whole = make != NULL && miss != NULL;
    bool none = make == NULL && retain == NULL && miss == NULL;
    options->error[0] = '\0';
    if (!whole && !none) {
        (void)snprintf(options->error, ERROR_SIZE,
                       "a sink needs both a function that makes an object and the object for a "
                       "miss; all NULL: no sink");
        return HEARTH_E_INVALID;
    }
    options->config.sink = (hearth__sink){.make = make, .retain = retain, .miss = miss};
    return HEARTH_OK;
}

int32_t hearth_open(hearth_options *options, hearth **cache) {
    hearth_options *own = options;
    if (cache == NULL) {
        return HEARTH_E_INVALID;
    }
    if (own == NULL) {
        own = hearth_options_new();
        if (own == NULL) {
            return HEARTH_E_NOMEM;
        }
    }
    own->error[0] = '\0';
    int32_t status = hearth__cache_open(&own->config, own->error, ERROR_SIZE, cache);
    (void)say_memory(own, status);
    if (own != options) {
        hearth_options_free(own);
    }
    return status;
}

int32_t hearth_namespace_open(hearth *cache, const void *name, size_t name_size,
                              hearth **view) {
    if (cache == NULL || view == NULL || !hearth__check_name(name, name_size)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__namespace_open(cache, name, name_size, view);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_close(hearth *cache) {
    return cache != NULL ? hearth__cache_close(cache) : HEARTH_OK;
}
