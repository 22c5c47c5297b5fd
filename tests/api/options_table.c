/* SPDX-License-Identifier: Apache-2.0 */
#include "options_table.h"

#include <hearth/hearth.h>
#include <inttypes.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit byte_units[] = {
    {"gb", INT64_C(1) << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"", 1}};
static const struct unit ms_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"", 1}};
static const struct unit plain[] = {{"", 1}};

static const struct unit *units_of(const hearth_option_info *info) {
    return strcmp(info->type, "bytes") == 0 ? byte_units
           : strcmp(info->type, "ms") == 0  ? ms_units
                                            : plain;
}

/* The greatest unit that divides the number; a rate is in billionths. */
static void write_number(FILE *out, const hearth_option_info *info, int64_t number) {
    if (strcmp(info->type, "rate") == 0) {
        char text[32];
        int size = snprintf(text, sizeof text, "%.9f", (double)number / 1e9);
        while (text[size - 1] == '0') {
            size--;
        }
        (void)fprintf(out, "%.*s", size, text);
        return;
    }
    const struct unit *unit = units_of(info);
    while (unit->factor > 1 && (number == 0 || number % unit->factor != 0)) {
        unit++;
    }
    (void)fprintf(out, "%" PRId64 "%s", number / unit->factor, unit->name);
}

static void write_range(FILE *out, const hearth_option_info *info) {
    if (strcmp(info->type, "flag") == 0) {
        (void)fputs("yes, no", out);
        return;
    }
    for (const char *at = info->choices; *at != '\0'; at++) {
        (void)fputs(*at == ' ' ? ", " : (const char[]){*at, '\0'}, out);
    }
    if (info->choices[0] == '\0') {
        write_number(out, info, info->low);
        (void)fputs(" to ", out);
        write_number(out, info, info->high);
        (void)fputs(strcmp(info->type, "text") == 0 ? " bytes" : "", out);
    }
}

/* A text in a cell: what Markdown would take for a column's end is escaped. */
static void write_text(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        (void)fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
    }
}

bool options_table_write(FILE *out) {
    hearth_option_info info = {.size = sizeof info};
    (void)fputs("| option | default | values | |\n| --- | --- | --- | --- |\n", out);
    for (uint32_t i = 0; hearth_options_describe(i, &info) == HEARTH_OK; i++) {
        const char *quote = info.initial[0] != '\0' ? "`" : "";
        (void)fprintf(out, "| `%s` | %s%s%s | ", info.name, quote, info.initial, quote);
        write_range(out, &info);
        (void)fputs(" | ", out);
        write_text(out, info.help);
        (void)fputs(" |\n", out);
    }
    return ferror(out) == 0;
}
