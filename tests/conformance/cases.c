/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { FORMAT = 1 };

static json_t *bytes_of_hex(const char *hex) {
    char bytes[64];
    size_t size = strlen(hex) / 2;
    assert_true(size <= sizeof bytes && strlen(hex) % 2 == 0);
    for (size_t i = 0; i < size; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end = NULL;
        bytes[i] = (char)strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }
    return json_stringn_nocheck(bytes, size);
}

static json_t *bytes_of_repeat(const json_t *written) {
    json_int_t times = json_integer_value(json_object_get(written, "times"));
    const char *letter = json_string_value(json_object_get(written, "repeat"));
    assert_true(letter != NULL && strlen(letter) == 1 && times > 0 && times <= 1 << 20);
    char *bytes = malloc((size_t)times);
    assert_non_null(bytes);
    memset(bytes, letter[0], (size_t)times);
    json_t *text = json_stringn_nocheck(bytes, (size_t)times);
    free(bytes);
    return text;
}

static void make_strings(json_t *inside);

/* They go as deep as the file does. */
/* NOLINTBEGIN(misc-no-recursion) */
static json_t *string_of(json_t *written) {
    if (json_object_get(written, "hex") != NULL) {
        return bytes_of_hex(json_string_value(json_object_get(written, "hex")));
    }
    if (json_object_get(written, "repeat") != NULL) {
        return bytes_of_repeat(written);
    }
    make_strings(written);
    return json_incref(written);
}

static void make_strings(json_t *inside) {
    const char *name = NULL;
    void *next = NULL;
    json_t *member = NULL;
    size_t at = 0;
    json_object_foreach_safe(inside, next, name, member) {
        assert_int_equal(json_object_set_new_nocheck(inside, name, string_of(member)), 0);
    }
    json_array_foreach(inside, at, member) {
        assert_int_equal(json_array_set_new(inside, at, string_of(member)), 0);
    }
}
/* NOLINTEND(misc-no-recursion) */

json_t *cases_load(const char *path, char *why, size_t size) {
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (file == NULL) {
        snprintf(why, size, "line %d: %s", error.line, error.text);
        return NULL;
    }
    if (json_integer_value(json_object_get(file, "format")) != FORMAT) {
        snprintf(why, size, "it is of another format than %d", FORMAT);
        json_decref(file);
        return NULL;
    }
    make_strings(file);
    return file;
}
