/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/rate.h"

#include <stdio.h>
#include <string.h>

enum { NINE = 9, BILLION = 1000000000 };

/* So many digits as a number. */
static int64_t number_of(const char *digits, size_t count) {
    int64_t number = 0;
    for (size_t i = 0; i < count; i++) {
        number = number * 10 + (digits[i] - '0');
    }
    return number;
}

bool hearth__rate_parse(const char *text, int64_t *billionths) {
    static const char decimal[] = "0123456789";
    size_t whole = strspn(text, decimal);
    bool has_point = text[whole] == '.';
    const char *rest = text + whole + has_point;
    size_t digits = strspn(rest, decimal);
    if (whole == 0 || whole > NINE || digits > NINE || rest[digits] != '\0' ||
        has_point != (digits != 0)) {
        return false;
    }
    int64_t fraction = number_of(rest, digits);
    for (size_t i = digits; i < NINE; i++) {
        fraction *= 10;
    }
    *billionths = number_of(text, whole) * BILLION + fraction;
    return true;
}

void hearth__rate_print(int64_t billionths, char *text, size_t size) {
    (void)snprintf(text, size, "%lld.%09lld", (long long)(billionths / BILLION),
                   (long long)(billionths % BILLION));
    size_t length = strlen(text);
    while (text[length - 1] == '0') {
        text[--length] = '\0';
    }
    if (text[length - 1] == '.') {
        text[length - 1] = '\0';
    }
}
