/* SPDX-License-Identifier: Apache-2.0 */
/* A file of options: what is refused changes nothing and is explained; what is taken can be written down and
 * read again. */
#include "fuzz/fuzz.h"

#include <hearth/errors.h>
#include <hearth/hearth.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 20000, SLICES = 16 };

/* What is looked at: the options that stand in the file, and of the others every SLICES-th, by the file's size. */
struct file {
    const void *bytes;
    size_t size;
};

static bool is_looked_at(const struct file *file, uint32_t index, const char *name) {
    return index % SLICES == file->size % SLICES ||
           memmem(file->bytes, file->size, name, strlen(name)) != NULL;
}

static hearth_options *new_options(void) {
    hearth_options *options = hearth_options_new();
    if (options == NULL) {
        abort();
    }
    return options;
}

static const char *value_of(const hearth_options *options, const char *name, char *text) {
    if (hearth_options_get(options, name, text, TEXT_SIZE, NULL) != HEARTH_OK) {
        abort();
    }
    return text;
}

/* Gives options of `from` to `to`, and compares. */
static void carry(const struct file *file, const hearth_options *from, hearth_options *to) {
    static char text[TEXT_SIZE];
    static char again[TEXT_SIZE];
    hearth_option_info info = {.size = sizeof info};
    for (uint32_t i = 0; hearth_options_describe(i, &info) == HEARTH_OK; i++) {
        if (!is_looked_at(file, i, info.name)) {
            continue;
        }
        const char *value = value_of(from, info.name, text);
        if (value[0] != '\0' && hearth_options_set(to, info.name, value) != HEARTH_OK) {
            abort();
        }
        if (strcmp(value_of(to, info.name, again), value) != 0) {
            abort();
        }
    }
}

static void expect_same(const struct file *file, const hearth_options *left,
                        const hearth_options *right) {
    static char text[TEXT_SIZE];
    static char other[TEXT_SIZE];
    hearth_option_info info = {.size = sizeof info};
    for (uint32_t i = 0; hearth_options_describe(i, &info) == HEARTH_OK; i++) {
        if (is_looked_at(file, i, info.name) &&
            strcmp(value_of(left, info.name, text), value_of(right, info.name, other)) != 0) {
            abort();
        }
    }
}

int fuzz_options_file(const uint8_t *data, size_t size) {
    struct file file = {data, size};
    hearth_options *options = new_options();
    hearth_options *fresh = new_options();
    if (hearth_options_load(options, fuzz_file(data, size)) == HEARTH_OK) {
        carry(&file, options, fresh);
    } else if (hearth_options_error(options)[0] == '\0') {
        abort();
    } else {
        expect_same(&file, options, fresh);
    }
    hearth_options_free(fresh);
    hearth_options_free(options);
    return 0;
}
