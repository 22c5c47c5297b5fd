/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both runs measured a peer beside Hearth, so what is compared is the ratio to it: a machine that is slower today is slower for
 * both. Where there is no peer's value it is the value itself. A change counts when it is larger than three times the noise of
 * the four figures together, and than 5 %.
 */
#include "hearth-bench/compare.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 96, LINE_BYTES = 4096, WORSE = 1, UNREADABLE = 2 };

struct line {
    char suite[TEXT_BYTES];
    char name[TEXT_BYTES]; /* of the case */
    char metric[TEXT_BYTES];
    char unit[TEXT_BYTES];
    char peer[TEXT_BYTES];
    double value;
    double peer_value;
    double noise; /* of the ratio, a share; 0: not told */
};

struct file {
    struct line *lines;
    size_t count;
};

/* ---- reading ----------------------------------------------------------------------------- */

/* What is behind "name": in the object; NULL: it has none. */
static const char *find(const char *object, const char *name) {
    char wanted[TEXT_BYTES];
    (void)snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *at = strstr(object, wanted);
    return at != NULL ? at + strlen(wanted) + strspn(at + strlen(wanted), " ") : NULL;
}

static bool take_text(const char *object, const char *name, char *text) {
    const char *at = find(object, name);
    const char *end = at != NULL && *at == '"' ? strchr(at + 1, '"') : NULL;
    if (end == NULL || end - at > TEXT_BYTES) {
        return false;
    }
    memcpy(text, at + 1, (size_t)(end - at - 1));
    text[end - at - 1] = '\0';
    return true;
}

static bool take_number(const char *object, const char *name, double *number) {
    char *end = NULL;
    const char *at = find(object, name);
    *number = at != NULL ? strtod(at, &end) : 0;
    return at != NULL && end != at && isfinite(*number);
}

static bool take_line(const char *object, struct line *line) {
    double spread = 0;
    double peer_spread = 0;
    bool whole =
        take_text(object, "suite", line->suite) && take_text(object, "case", line->name) &&
        take_text(object, "metric", line->metric) && take_text(object, "unit", line->unit) &&
        take_text(object, "peer", line->peer) && take_number(object, "value", &line->value) &&
        take_number(object, "peer_value", &line->peer_value);
    (void)take_number(object, "spread", &spread);
    (void)take_number(object, "peer_spread", &peer_spread);
    line->noise = hypot(spread > 0 ? spread : 0, peer_spread > 0 ? peer_spread : 0);
    return whole;
}

static bool add(struct file *file, const struct line *line) {
    struct line *moved = realloc(file->lines, (file->count + 1) * sizeof *moved);
    if (moved == NULL) {
        return false;
    }
    file->lines = moved;
    file->lines[file->count++] = *line;
    return true;
}

static int refuse(const char *path, size_t number, const char *why) {
    (void)fprintf(stderr, "hearth-bench: %s, line %zu: %s\n", path, number, why);
    return UNREADABLE;
}

static int read_lines(const char *path, FILE *from, struct file *file) {
    char text[LINE_BYTES];
    struct line line;
    for (size_t number = 1; fgets(text, sizeof text, from) != NULL; number++) {
        if (text[strspn(text, " \t\r\n")] == '\0') {
            continue;
        }
        if (!take_line(text, &line)) {
            return refuse(path, number, "is not a row as --json writes them");
        }
        if (!add(file, &line)) {
            return refuse(path, number, "no memory");
        }
    }
    return file->count > 0 ? 0 : refuse(path, 1, "there is no row");
}

static int read_file(const char *path, struct file *file) {
    FILE *from = fopen(path, "re");
    if (from == NULL) {
        (void)fprintf(stderr, "hearth-bench: %s: %s\n", path, strerror(errno));
        return UNREADABLE;
    }
    int result = read_lines(path, from, file);
    (void)fclose(from);
    return result;
}

/* ---- comparing --------------------------------------------------------------------------- */

/* The last one, if a case was measured more than once. */
static const struct line *twin_of(const struct file *file, const struct line *line) {
    for (size_t i = file->count; i-- > 0;) {
        const struct line *other = &file->lines[i];
        if (strcmp(other->suite, line->suite) == 0 && strcmp(other->name, line->name) == 0 &&
            strcmp(other->metric, line->metric) == 0 && strcmp(other->unit, line->unit) == 0 &&
            strcmp(other->peer, line->peer) == 0) {
            return other;
        }
    }
    return NULL;
}

/* 1: more is better; -1: less is; 0: neither. */
static int direction_of(const struct line *line) {
    static const char *const more[] = {"Mops/s", "kops/s", "times"};
    static const char *const neither[] = {"remote answers", "loaded answers", "writes"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (strcmp(line->unit, more[i]) == 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
        if (strcmp(line->metric, neither[i]) == 0) {
            return 0;
        }
    }
    return strcmp(line->metric, "throughput") == 0 || strcmp(line->metric, "local answers") == 0
               ? 1
               : -1;
}

static double measure_of(const struct line *line) {
    return line->peer_value != 0 ? line->value / line->peer_value : line->value;
}

/* Prints a line. Whether it became worse. */
static bool compare(const struct line *before, const struct line *after) {
    double from = measure_of(before);
    double change = from != 0 ? measure_of(after) / from - 1 : 0;
    double noise = hypot(before->noise, after->noise);
    double least = noise * 3 > 0.05 ? noise * 3 : 0.05;
    int direction = direction_of(before);
    bool matters = direction != 0 && fabs(change) > least;
    bool is_worse = matters && change * direction < 0;
    char about[16] = "-";
    if (noise > 0) {
        (void)snprintf(about, sizeof about, "%.1f%%", noise * 100);
    }
    printf("%-9s %-16s %-15s %-13s %11.4g %11.4g %-7s %9.4g %9.4g %+7.1f%% %7s  %s\n",
           before->suite, before->name, before->metric, before->peer, before->value,
           after->value, before->unit, from, measure_of(after), change * 100, about,
           is_worse  ? "WORSE"
           : matters ? "better"
                     : "");
    return is_worse;
}

static int compare_all(const struct file *before, const struct file *after) {
    size_t worse = 0;
    size_t missing = 0;
    printf("%-9s %-16s %-15s %-13s %11s %11s %-7s %9s %9s %8s %7s\n", "suite", "case", "metric",
           "peer", "before", "after", "unit", "ratio", "ratio", "change", "noise");
    for (size_t i = 0; i < before->count; i++) {
        const struct line *twin = twin_of(after, &before->lines[i]);
        missing += twin == NULL;
        worse += twin != NULL && compare(&before->lines[i], twin);
    }
    if (missing != 0) {
        printf("# %zu of %zu rows are not in the second file\n", missing, before->count);
    }
    printf("# %zu of %zu became worse by more than three times the noise, and 5 %%\n", worse,
           before->count - missing);
    return worse != 0 ? WORSE : 0;
}

int compare_files(const char *before, const char *after) {
    struct file files[2] = {{NULL, 0}, {NULL, 0}};
    int result = read_file(before, &files[0]);
    result = result == 0 ? read_file(after, &files[1]) : result;
    result = result == 0 ? compare_all(&files[0], &files[1]) : result;
    free(files[0].lines);
    free(files[1].lines);
    return result;
}
