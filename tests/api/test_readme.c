/* SPDX-License-Identifier: Apache-2.0 */
/* The README's table of options is the one that the library tells. With --update, as
 * `make update-readme` calls it, this program writes it there instead. */
#include "options_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BEGIN "<!-- options: begin -->\n"
#define END   "<!-- options: end -->\n"

/* The README of the tree that this program was built in, wherever it is started from. */
static bool find_readme(char *path, size_t size) {
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    for (char *slash = path; length > 0; *slash = '\0') {
        path[length] = '\0';
        slash = strrchr(path, '/');
        if (slash == NULL) {
            return false;
        }
        length = slash - path;
        (void)snprintf(slash, size - (size_t)length, "/include/hearth/hearth.h");
        if (access(path, R_OK) == 0) {
            (void)snprintf(slash, size - (size_t)length, "/README.md");
            return access(path, R_OK) == 0;
        }
    }
    return false;
}

/* A file's text, to be freed; NULL: it cannot be read. */
static char *read_file(const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    ssize_t got = getdelim(&text, &size, '\0', file);
    (void)fclose(file);
    if (got < 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* The table as it should be, to be freed. */
static char *compose_table(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool written = memory != NULL && options_table_write(memory);
    if (memory == NULL || fclose(memory) != 0 || !written) {
        free(text);
        return NULL;
    }
    return text;
}

/* Where the table begins and ends; false: the markers are not there, once each and in order. */
static bool find_table(char *text, char **first, char **last) {
    char *begin = strstr(text, BEGIN);
    char *end = strstr(text, END);
    if (begin == NULL || end == NULL || strstr(begin + 1, BEGIN) != NULL ||
        strstr(end + 1, END) != NULL || end < begin) {
        return false;
    }
    *first = begin + strlen(BEGIN);
    *last = end;
    return true;
}

static void the_options_are_those_of_the_library(void **state) {
    (void)state;
    char path[4096];
    char none[1] = "";
    char *first = none;
    char *last = none;
    assert_true(find_readme(path, sizeof path));
    char *text = read_file(path);
    char *table = compose_table();
    assert_non_null(text);
    assert_non_null(table);
    assert_true(find_table(text, &first, &last));
    *last = '\0';
    if (strcmp(first, table) != 0) {
        print_message("The options have changed: `make update-readme`.\n");
    }
    assert_string_equal(first, table);
    free(text);
    free(table);
}

static bool write_readme(const char *path, const char *text, const char *first,
                         const char *last, const char *table) {
    char fresh[4096 + 8];
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "we");
    if (file == NULL) {
        return false;
    }
    size_t before = (size_t)(first - text);
    bool written = fwrite(text, 1, before, file) == before && fputs(table, file) >= 0 &&
                   fputs(last, file) >= 0;
    if (fclose(file) != 0 || !written || rename(fresh, path) != 0) {
        (void)unlink(fresh);
        return false;
    }
    return true;
}

static int update(void) {
    char path[4096];
    char *first = NULL;
    char *last = NULL;
    char *text = find_readme(path, sizeof path) ? read_file(path) : NULL;
    char *table = compose_table();
    bool done = text != NULL && table != NULL && find_table(text, &first, &last) &&
                write_readme(path, text, first, last, table);
    free(text);
    free(table);
    (void)fprintf(stderr, done
                              ? "README.md: the options are up to date\n"
                              : "README.md: not found, without its markers, or not writable\n");
    return done ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--update") == 0) {
        return update();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_options_are_those_of_the_library),
    };
    return cmocka_run_group_tests_name("readme", tests, NULL, NULL);
}
