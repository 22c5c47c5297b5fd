/* SPDX-License-Identifier: Apache-2.0 */
/* The page in a browser: what is drawn, and that it needs nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/browser.h"
#include "page.h"

static char path[] = "/tmp/hearth-page-XXXXXX.html";

static int make_file(void **state) {
    (void)state;
    int file = mkstemps(path, 5);
    return file >= 0 ? close(file) : -1;
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

enum { POINTS = 30 };

static void add_curves(struct page *page) {
    double x[POINTS];
    double y[POINTS];
    for (size_t i = 0; i < POINTS; i++) {
        x[i] = (double)i * 3;
        y[i] = (double)(i * i);
    }
    y[7] = NAN;
    for (int plot = 0; plot < PAGE_PLOTS; plot++) {
        for (size_t curve = 0; curve < 3; curve++) {
            static const char *const names[] = {"hearth", "hiredis", "node 1"};
            page_curve(page, &(struct page_curve){(enum page_plot)plot, "hotkey viral",
                                                  plot == PAGE_NODES ? names[curve] : "",
                                                  names[curve], x, y, POINTS - curve});
        }
    }
    page_curve(page, &(struct page_curve){PAGE_LOADS, "hotkey flash", "", "hidden", x, y, 5});
    page_mark(page, "hotkey viral", 40, "the viral key");
}

static void add_rows(struct page *page) {
    static const double ratios[] = {3, 1, 20};
    for (size_t i = 0; i < 3; i++) {
        char metric[16];
        (void)snprintf(metric, sizeof metric, "metric-%zu", i);
        page_row(page, &(struct page_row){"hotkey", "viral", metric, "us", ratios[i] * 2, 0.01,
                                          "hiredis", 2, -1, ratios[i]});
    }
}

/* What a reader would do: sort by the ratio, largest first. */
static void add_script(const char *script) {
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    (void)fprintf(file, "<script>%s</script>\n", script);
    assert_int_equal(fclose(file), 0);
}

static void assert_order(const char *text, const char *const *words, size_t count) {
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        const char *found = strstr(at, words[i]);
        if (found == NULL) {
            fail_msg("no '%s' in its place in:\n%s", words[i], at);
            return;
        }
        at = found + 1;
    }
}

static void all_of_it_is_shown(void **state) {
    (void)state;
    static const char *const plots[] = {"latency", "throughput", "nodes",
                                        "tiers",   "hits",       "loads"};
    struct browser_view view;
    struct page *page = page_create("A </script><b>title</b> & \"more\" \xff");
    assert_non_null(page);
    page_fact(page, "machine", "one with <1 GiB");
    add_curves(page);
    add_rows(page);
    assert_int_equal(page_write(page, path), 0);
    page_destroy(page);
    add_script(
        "for (const i of [1, 2]) [...document.querySelectorAll('th button')].at(-1).click();"
        "document.body.append(Object.assign(new Image(), {src: 'http://example.com/x.png'}));");
    assert_true(browser_open(&view, path));
    /* The browser holds the page to its promise, and this test would see it if it did not. */
    assert_non_null(strstr(view.console, "example.com"));
    assert_ptr_equal(strchr(view.console, '\n'), view.console + strlen(view.console) - 1);
    assert_string_equal(view.requests, "");
    for (size_t i = 0; i < sizeof plots / sizeof plots[0]; i++) {
        /* One of the points is no number. */
        assert_int_equal(browser_points(&view, plots[i], "hearth", 0), POINTS - 1);
        assert_int_equal(browser_points(&view, plots[i], "hiredis", 0), POINTS - 2);
        assert_int_equal(browser_points(&view, plots[i], "node 1", 0), POINTS - 3);
        assert_int_equal(browser_points(&view, plots[i], "hearth", 1), -1);
    }
    /* The other case is to be chosen. */
    assert_int_equal(browser_points(&view, "loads", "hidden", 0), -1);
    assert_non_null(strstr(view.dom, "<option>hotkey flash</option>"));
    assert_non_null(
        strstr(view.dom, "A &lt;/script&gt;&lt;b&gt;title&lt;/b&gt; &amp; \"more\""));
    assert_non_null(strstr(view.dom, "one with &lt;1 GiB"));
    assert_non_null(strstr(view.dom, "latency, µs"));
    const char *body = strstr(view.dom, "<tbody");
    const char *const rows[] = {"metric-2", "metric-0", "metric-1", "</tbody>"};
    assert_non_null(body);
    assert_order(body, rows, 4);
    browser_close(&view);
}

static void where_it_cannot_be_written_is_told(void **state) {
    (void)state;
    struct page *page = page_create("title");
    assert_non_null(page);
    assert_int_equal(page_write(page, "/nowhere/page.html"), -1);
    assert_int_equal(errno, ENOENT);
    page_destroy(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_shown),
        cmocka_unit_test(where_it_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
