/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/progress.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 79 };

static bool is_terminal;
static bool is_shown;

void progress_set_up(void) {
    is_terminal = isatty(STDOUT_FILENO) != 0;
    /* Whoever reads a pipe sees a line when it is said. */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
}

void progress_show(const char *format, ...) {
    char line[COLUMNS + 1];
    va_list arguments;
    if (!is_terminal) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    (void)printf("\r\033[K%s", line);
    (void)fflush(stdout);
    is_shown = true;
}

static void clear(void) {
    if (is_shown) {
        (void)fputs("\r\033[K", stdout);
        (void)fflush(stdout);
        is_shown = false;
    }
}

void progress_say(const char *format, ...) {
    va_list arguments;
    clear();
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

int progress_fail(const char *what, const char *why) {
    clear();
    (void)fprintf(stderr, "demo: %s: %s\n", what, why);
    return -1;
}

const char *progress_count(char *text, uint64_t number) {
    char digits[PROGRESS_COUNT_BYTES];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    char *at = text;
    for (size_t i = 0; i < length; i++) {
        if (i != 0 && (length - i) % 3 == 0) {
            *at++ = ',';
        }
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}
