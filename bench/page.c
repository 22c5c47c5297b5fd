/* SPDX-License-Identifier: Apache-2.0 */
#include "page.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file as it is, with a NUL behind it; paths are seen from the root, where make runs. */
__asm__(".section .rodata\n"
        "hearth_bench_page_template:\n"
        ".incbin \"bench/page.html\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char hearth_bench_page_template[];

/* Where the figures go. */
static const char place[] = "@FIGURES@";

/* A list of JSON values that grows. */
struct list {
    char *text;
    size_t size;
    FILE *file;
};

enum { FACTS, ROWS, CURVES, MARKS, LISTS };
static const char *const list_names[LISTS] = {"facts", "rows", "curves", "marks"};
static const char *const plot_names[PAGE_PLOTS] = {"latency", "throughput", "nodes",
                                                   "tiers",   "hits",       "loads"};

struct page {
    char *title;
    struct list lists[LISTS];
};

struct page *page_create(const char *title) {
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        return NULL;
    }
    page->title = strdup(title);
    bool made = page->title != NULL;
    for (size_t i = 0; i < LISTS; i++) {
        struct list *list = &page->lists[i];
        list->file = open_memstream(&list->text, &list->size);
        made = made && list->file != NULL;
    }
    if (!made) {
        page_destroy(page);
        return NULL;
    }
    return page;
}

void page_destroy(struct page *page) {
    for (size_t i = 0; page != NULL && i < LISTS; i++) {
        if (page->lists[i].file != NULL) {
            (void)fclose(page->lists[i].file);
        }
        free(page->lists[i].text);
    }
    if (page != NULL) {
        free(page->title);
    }
    free(page);
}

/* ---- JSON -------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence that begins here; 0: none does. */
static size_t sequence_at(const unsigned char *at) {
    size_t size = *at < 0x80 ? 1 : *at >= 0xF0 && *at < 0xF5 ? 4 : *at >= 0xE0 ? 3 : 2;
    if (*at >= 0xF5 || (*at >= 0x80 && *at < 0xC2)) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* No < either, so that nothing in it ends the element that it stands in. */
static void write_text(FILE *file, const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    (void)fputc('"', file);
    while (*at != '\0') {
        size_t size = sequence_at(at);
        if (size == 0) {
            (void)fputs("\\ufffd", file);
            size = 1;
        } else if (*at == '"' || *at == '\\' || *at == '<' || *at < 0x20) {
            (void)fprintf(file, "\\u%04x", *at);
        } else {
            (void)fwrite(at, 1, size, file);
        }
        at += size;
    }
    (void)fputc('"', file);
}

static void write_number(FILE *file, double number) {
    if (isfinite(number)) {
        (void)fprintf(file, "%.6g", number);
    } else {
        (void)fputs("null", file);
    }
}

static void write_pair(FILE *file, const char *name, const char *text) {
    (void)fprintf(file, "\"%s\":", name);
    write_text(file, text);
}

/* ---- what is added ----------------------------------------------------------------------- */

static FILE *next(struct page *page, size_t which) {
    FILE *file = page->lists[which].file;
    if (ftell(file) > 0) {
        (void)fputs(",\n", file);
    }
    return file;
}

void page_fact(struct page *page, const char *name, const char *value) {
    FILE *file = next(page, FACTS);
    (void)fputc('[', file);
    write_text(file, name);
    (void)fputc(',', file);
    write_text(file, value);
    (void)fputc(']', file);
}

void page_row(struct page *page, const struct page_row *row) {
    FILE *file = next(page, ROWS);
    const char *const texts[] = {row->suite_name, row->case_name, row->metric, row->unit,
                                 row->peer};
    const double numbers[] = {row->value, row->spread, row->peer_value, row->peer_spread,
                              row->ratio};
    (void)fputc('[', file);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text(file, texts[i]);
        (void)fputc(',', file);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)fputs(i == 0 ? "" : ",", file);
        write_number(file, numbers[i]);
    }
    (void)fputc(']', file);
}

void page_curve(struct page *page, const struct page_curve *curve) {
    FILE *file = next(page, CURVES);
    (void)fputc('{', file);
    write_pair(file, "plot", plot_names[curve->plot]);
    (void)fputc(',', file);
    write_pair(file, "group", curve->group);
    (void)fputc(',', file);
    write_pair(file, "facet", curve->facet);
    (void)fputc(',', file);
    write_pair(file, "name", curve->name);
    (void)fputs(",\"points\":[", file);
    bool first = true;
    for (size_t i = 0; i < curve->count; i++) {
        if (isfinite(curve->x[i]) && isfinite(curve->y[i])) {
            (void)fputs(first ? "[" : ",[", file);
            write_number(file, curve->x[i]);
            (void)fputc(',', file);
            write_number(file, curve->y[i]);
            (void)fputc(']', file);
            first = false;
        }
    }
    (void)fputs("]}", file);
}

void page_mark(struct page *page, const char *group, double at_s, const char *what) {
    FILE *file = next(page, MARKS);
    (void)fputc('{', file);
    write_pair(file, "group", group);
    (void)fputs(",\"at\":", file);
    write_number(file, at_s);
    (void)fputc(',', file);
    write_pair(file, "what", what);
    (void)fputc('}', file);
}

/* ---- the file ---------------------------------------------------------------------------- */

static bool write_figures(const struct page *page, FILE *file) {
    bool whole = true;
    (void)fputc('{', file);
    write_pair(file, "title", page->title);
    for (size_t i = 0; i < LISTS; i++) {
        const struct list *list = &page->lists[i];
        whole = fflush(list->file) == 0 && ferror(list->file) == 0 && whole;
        (void)fprintf(file, ",\n\"%s\":[\n%s]", list_names[i], whole ? list->text : "");
    }
    (void)fputs("}\n", file);
    return whole;
}

int page_write(const struct page *page, const char *path) {
    const char *before = hearth_bench_page_template;
    const char *behind = strstr(before, place);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return -1;
    }
    (void)fwrite(before, 1, (size_t)(behind - before), file);
    bool whole = write_figures(page, file);
    (void)fputs(behind + sizeof place - 1, file);
    bool broken = ferror(file) != 0;
    bool unwritten = fclose(file) != 0;
    if (!whole) {
        errno = ENOMEM;
    }
    return whole && !broken && !unwritten ? 0 : -1;
}
