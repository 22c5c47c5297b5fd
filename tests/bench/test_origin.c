/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's database: what is read into it, and what its pages say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "catalogue.h"
#include "origin.h"

enum { PEERS = 300 };

static char folder[] = "/tmp/hearth-origin-XXXXXX";
static char file[64];
static char command[64];
static char small[64];
static struct origin_summary built;
static uint32_t told;

static void take_progress(void *context, uint32_t packages) {
    *(uint32_t *)context = packages;
}

/* One database for all tests: of what apt knows here, or made up. */
static int build_database(void **state) {
    char error[512];
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(file, sizeof file, "%s/origin.db", folder);
    snprintf(small, sizeof small, "%s/small.db", folder);
    snprintf(command, sizeof command, "%s/apt-cache", folder);
    if (origin_build(file, false, take_progress, &told, &built, error, sizeof error) != 0) {
        print_error("%s\n", error);
        return -1;
    }
    print_message("%s: %u packages, %u dependencies, %u maintainers, %u sections\n",
                  built.is_made_up ? "made up" : "from apt", built.packages, built.dependencies,
                  built.maintainers, built.sections);
    return 0;
}

static int remove_database(void **state) {
    (void)state;
    unlink(file);
    unlink(small);
    unlink(command);
    return rmdir(folder);
}

static struct origin *open_origin(const char *path, uint32_t peers) {
    struct origin *origin = NULL;
    char error[512];
    if (origin_open(path, peers, &origin, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    return origin;
}

static void load(struct origin *origin, uint32_t item, char *page, size_t *size) {
    if (origin_load(origin, item, page, size) != 0) {
        fail_msg("item %u: %s", item, origin_error(origin));
    }
}

/* ---- the catalogue ---- */

/* An apt-cache that prints `text`. */
static void install_command(const char *text) {
    FILE *script = fopen(command, "we");
    assert_non_null(script);
    fprintf(script, "#!/bin/sh\n/bin/cat <<'END'\n%sEND\n", text);
    assert_int_equal(fclose(script), 0);
    assert_int_equal(chmod(command, 0700), 0);
}

static char *enter_path(const char *path) {
    const char *current = getenv("PATH");
    char *saved = strdup(current == NULL ? "" : current);
    assert_non_null(saved);
    setenv("PATH", path, 1);
    return saved;
}

static void leave_path(char *saved) {
    setenv("PATH", saved, 1);
    free(saved);
}

struct taken {
    size_t count;
    struct catalogue_record records[3];
    int answer;
};

static int take(void *context, const struct catalogue_record *record) {
    struct taken *taken = context;
    if (taken->count < 3) {
        taken->records[taken->count++] = *record;
    }
    return taken->answer;
}

static void records_are_parsed(void **state) {
    (void)state;
    struct taken *taken = calloc(1, sizeof *taken);
    assert_non_null(taken);
    install_command("Package: ant\nVersion: 1:2.0-1\nInstalled-Size: 12\n"
                    "Maintainer: A Team <a@example.org>\nDepends: libc6 (>= 2.34), x | y\n"
                    "Description: small thing\nTag: one,\n Section: not a field\n"
                    "Section: games\nSize: 5000000000\nMD5sum: 00\n\n"
                    "\n"
                    "Package: bee\nPre-Depends: dpkg\n");
    char *saved = enter_path(folder);
    int result = catalogue_read(take, taken);
    leave_path(saved);
    assert_int_equal(result, 0);
    assert_int_equal(taken->count, 2);
    const struct catalogue_record *ant = &taken->records[0];
    const struct catalogue_record *bee = &taken->records[1];
    assert_string_equal(ant->name, "ant");
    assert_string_equal(ant->version, "1:2.0-1");
    assert_string_equal(ant->maintainer, "A Team <a@example.org>");
    assert_string_equal(ant->depends, "libc6 (>= 2.34), x | y");
    assert_string_equal(ant->description, "small thing");
    assert_string_equal(ant->section, "games");
    assert_int_equal(ant->installed_kib, 12);
    assert_int_equal(ant->size_bytes, 5000000000U);
    assert_string_equal(bee->name, "bee");
    assert_string_equal(bee->version, "");
    assert_string_equal(bee->depends, "");
    assert_int_equal(bee->size_bytes, 0);
    free(taken);
}

static void reading_ends_where_the_taker_says(void **state) {
    (void)state;
    struct taken *taken = calloc(1, sizeof *taken);
    assert_non_null(taken);
    taken->answer = 7;
    install_command("Package: ant\n\nPackage: bee\n\n");
    char *saved = enter_path(folder);
    int result = catalogue_read(take, taken);
    leave_path(saved);
    assert_int_equal(result, 7);
    assert_int_equal(taken->count, 1);
    free(taken);
}

/* No apt-cache at all, and one that knows too little: either way there is an origin. */
static void without_a_catalogue_rows_are_made_up(void **state) {
    (void)state;
    static const char *const paths[] = {"/nonexistent", folder};
    char error[512];
    install_command("Package: ant\n\nPackage: bee\nDepends: ant\n\n");
    for (size_t i = 0; i < 2; i++) {
        struct origin_summary summary;
        char *saved = enter_path(paths[i]);
        int result = origin_build(small, false, NULL, NULL, &summary, error, sizeof error);
        leave_path(saved);
        assert_int_equal(result, 0);
        assert_true(summary.is_made_up);
        assert_true(summary.packages > 50000);
        assert_true(summary.dependencies > 100000);
        assert_true(summary.maintainers > 1000);
        assert_true(summary.sections > 40);
        struct origin *origin = open_origin(small, PEERS);
        char page[ORIGIN_PAGE_MAX];
        size_t size;
        load(origin, 5, page, &size);
        assert_true(origin_is_page_of(page, size, 5));
        assert_null(strstr(page, "needed by 0 packages"));
        origin_close(origin);
    }
}

static void a_small_one_has_pages_too(void **state) {
    (void)state;
    struct origin_summary summary;
    char error[512];
    assert_int_equal(origin_build_small(small, &summary, error, sizeof error), 0);
    assert_true(summary.is_made_up);
    assert_int_equal(summary.packages, 20000);
    struct origin *origin = open_origin(small, PEERS);
    char page[ORIGIN_PAGE_MAX];
    size_t size;
    load(origin, 30000, page, &size); /* beyond its packages as well */
    assert_true(origin_is_page_of(page, size, 30000));
    assert_null(strstr(page, "needed by 0 packages"));
    origin_close(origin);
}

/* As apt prints it on a machine with two architectures. */
static void a_package_that_comes_twice_counts_once(void **state) {
    (void)state;
    enum { NAMES = 20500, ROOM = 64 };
    struct origin_summary summary;
    char error[512];
    char *text = malloc((size_t)2 * NAMES * ROOM);
    assert_non_null(text);
    size_t used = 0;
    for (int i = 0; i < 2 * NAMES; i++) {
        used += (size_t)snprintf(text + used, ROOM, "Package: p%d\nDepends: p%d:any (= 1)\n\n",
                                 i / 2, i / 4);
    }
    install_command(text);
    free(text);
    char *saved = enter_path(folder);
    int result = origin_build(small, false, NULL, NULL, &summary, error, sizeof error);
    leave_path(saved);
    assert_int_equal(result, 0);
    assert_false(summary.is_made_up);
    assert_int_equal(summary.packages, NAMES);
    assert_int_equal(summary.dependencies, NAMES);
    struct origin *origin = open_origin(small, PEERS);
    char page[ORIGIN_PAGE_MAX];
    size_t size;
    load(origin, 0, page, &size);
    assert_non_null(strstr(page, "package 0 p0\n"));
    assert_non_null(strstr(page, "  p0 (= 1)  "));
    assert_non_null(strstr(page, "needed by 2 packages"));
    origin_close(origin);
}

/* ---- the database ---- */

static void the_summary_counts_the_rows(void **state) {
    (void)state;
    assert_true(built.packages >= 20000);
    assert_true(built.dependencies > built.packages);
    assert_true(built.maintainers > built.sections);
    assert_true(built.sections > 10);
    assert_true(told > 0 && told <= built.packages);
}

static void a_page_begins_with_its_item(void **state) {
    (void)state;
    struct origin *origin = open_origin(file, PEERS);
    /* Beyond the packages too: they come again, the item in the first line stays. */
    const uint32_t items[] = {0, 1, 12345, built.packages - 1, built.packages, UINT32_MAX};
    char page[ORIGIN_PAGE_MAX];
    char first[64];
    size_t size;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        load(origin, items[i], page, &size);
        assert_int_equal(size, strlen(page));
        snprintf(first, sizeof first, "package %u ", items[i]);
        assert_memory_equal(page, first, strlen(first));
        assert_true(origin_is_page_of(page, size, items[i]));
        assert_false(origin_is_page_of(page, size, items[i] ^ 1));
        assert_false(origin_is_page_of(page, 9, items[i]));
    }
    load(origin, 12, page, &size);
    assert_false(origin_is_page_of(page, size, 1)); /* a number that begins alike */
    origin_close(origin);
}

static void pages_are_of_a_web_pages_size(void **state) {
    (void)state;
    struct origin *origin = open_origin(file, PEERS);
    char page[ORIGIN_PAGE_MAX];
    size_t sum = 0;
    for (uint32_t item = 0; item < 500; item++) {
        size_t size;
        load(origin, item, page, &size);
        assert_in_range(size, 400, ORIGIN_PAGE_MAX - 2);
        sum += size;
    }
    assert_in_range(sum / 500, 1000, 4000);
    origin_close(origin);
}

static int compare_names(const void *left, const void *right) {
    return strcmp(left, right);
}

static void items_below_the_number_of_packages_have_one_each(void **state) {
    (void)state;
    struct origin *origin = open_origin(file, 1);
    enum { ITEMS = 2000 };
    static char names[ITEMS][80];
    char page[ORIGIN_PAGE_MAX];
    size_t size;
    for (uint32_t item = 0; item < ITEMS; item++) {
        load(origin, item, page, &size);
        assert_int_equal(sscanf(page, "package %*u %79s", names[item]), 1);
    }
    qsort(names, ITEMS, sizeof names[0], compare_names);
    for (size_t i = 1; i < ITEMS; i++) {
        assert_string_not_equal(names[i - 1], names[i]);
    }
    origin_close(origin);
}

/* One number that SQLite gives to `query` with the name bound. */
static long long ask(sqlite3 *database, const char *query, const char *name) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database, query, -1, &statement, NULL), SQLITE_OK);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long long answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return answer;
}

static long long number_behind(const char *page, const char *words) {
    const char *found = strstr(page, words);
    if (found == NULL) {
        fail_msg("'%s' is not in the page:\n%s", words, page);
        return -1;
    }
    return strtoll(found + strlen(words), NULL, 10);
}

/* The figures of a page against queries put another way. */
static void a_page_says_what_the_tables_say(void **state) {
    (void)state;
    struct origin *origin = open_origin(file, PEERS);
    sqlite3 *database;
    char page[ORIGIN_PAGE_MAX];
    char name[128];
    size_t size;
    assert_int_equal(sqlite3_open_v2(file, &database, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (uint32_t item = 0; item < 500; item++) {
        load(origin, item, page, &size);
        assert_int_equal(sscanf(page, "package %*u %127s", name), 1);
        assert_int_equal(
            number_behind(page, "\ninstalled   "),
            ask(database, "SELECT installed_kib FROM packages WHERE name = ?", name));
        assert_int_equal(
            number_behind(page, "\nneeded by "),
            ask(database,
                "SELECT count(*) FROM (SELECT 1 FROM dependencies WHERE target_id ="
                " (SELECT id FROM packages WHERE name = ?) GROUP BY package_id)",
                name));
        assert_int_equal(number_behind(page, "\nits maintainer has "),
                         ask(database,
                             "SELECT count(*) FROM packages WHERE maintainer_id ="
                             " (SELECT maintainer_id FROM packages WHERE name = ?)",
                             name));
        const char *dependencies = strstr(page, "\ndepends on\n");
        assert_non_null(dependencies);
        long long count = ask(database,
                              "SELECT min(16, count(*)) FROM dependencies d JOIN packages p"
                              " ON p.id = d.package_id WHERE p.name = ?",
                              name);
        long long lines = 0;
        for (const char *at = strchr(dependencies + 1, '\n'); at[1] == ' ';
             at = strchr(at + 1, '\n')) {
            lines++;
        }
        assert_int_equal(lines, count);
    }
    sqlite3_close(database);
    origin_close(origin);
}

static void the_number_of_peers_decides_how_many_rows_are_read(void **state) {
    (void)state;
    char page[ORIGIN_PAGE_MAX];
    size_t size;
    struct origin *few = open_origin(file, 3);
    load(few, 1, page, &size);
    assert_non_null(strstr(page, "of the next 3 in size"));
    long long sum = 0;
    const char *line = strstr(page, "of the next 3");
    while ((line = strchr(line, '\n')) != NULL && line[1] == ' ') {
        sum += strtoll(++line, NULL, 10);
    }
    assert_int_equal(sum, 3);
    origin_close(few);
}

/* ---- threads ---- */

enum { THREADS = 2, THREAD_ITEMS = 200 };

struct loading {
    struct origin *origin;
    char *pages; /* THREAD_ITEMS of them */
    int failures;
};

static void *load_pages(void *argument) {
    struct loading *loading = argument;
    size_t size;
    for (uint32_t item = 0; item < THREAD_ITEMS; item++) {
        char *page = loading->pages + (size_t)item * ORIGIN_PAGE_MAX;
        loading->failures += origin_load(loading->origin, item, page, &size) != 0;
    }
    return NULL;
}

static void threads_load_the_same_pages_side_by_side(void **state) {
    (void)state;
    struct loading loadings[THREADS];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        loadings[i] = (struct loading){open_origin(file, PEERS),
                                       calloc(THREAD_ITEMS, ORIGIN_PAGE_MAX), 0};
        assert_non_null(loadings[i].pages);
        assert_int_equal(pthread_create(&threads[i], NULL, load_pages, &loadings[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(loadings[i].failures, 0);
    }
    for (size_t item = 0; item < THREAD_ITEMS; item++) {
        assert_string_equal(loadings[0].pages + item * ORIGIN_PAGE_MAX,
                            loadings[1].pages + item * ORIGIN_PAGE_MAX);
    }
    for (size_t i = 0; i < THREADS; i++) {
        free(loadings[i].pages);
        origin_close(loadings[i].origin);
    }
}

/* ---- calibration, and what goes wrong ---- */

/* Targets that no machine can meet, so that nothing depends on this one's speed. */
static void calibration_goes_towards_its_target(void **state) {
    (void)state;
    struct origin *origin = open_origin(file, PEERS);
    struct origin_calibration low;
    struct origin_calibration high;
    char page[ORIGIN_PAGE_MAX];
    char words[64];
    size_t size;
    assert_int_equal(origin_calibrate(origin, 1, &low), 0);
    assert_int_equal(low.peers, ORIGIN_PEERS_MIN);
    assert_int_equal(origin_calibrate(origin, 60000000000U, &high), 0);
    assert_int_equal(high.peers, ORIGIN_PEERS_MAX);
    assert_true(high.median_ns > low.median_ns);
    assert_true(high.p99_ns >= high.median_ns);
    load(origin, 1, page, &size);
    snprintf(words, sizeof words, "of the next %d in size", ORIGIN_PEERS_MAX);
    assert_non_null(strstr(page, words));
    origin_close(origin);
}

static void what_is_no_database_does_not_open(void **state) {
    (void)state;
    struct origin *origin = NULL;
    char error[512];
    assert_int_equal(origin_open("/nonexistent/db", 50, &origin, error, sizeof error), -1);
    assert_non_null(strstr(error, "/nonexistent/db"));
    install_command(
        "not a database, but longer than the hundred bytes of a header, so that it is"
        " looked at ........................................\n");
    assert_int_equal(origin_open(command, 50, &origin, error, sizeof error), -1);
    assert_non_null(strstr(error, "not a database"));
    assert_null(origin);
}

static void a_file_that_cannot_be_written_is_named(void **state) {
    (void)state;
    struct origin_summary summary;
    char error[512];
    assert_int_equal(
        origin_build("/nonexistent/db", true, NULL, NULL, &summary, error, sizeof error), -1);
    assert_non_null(strstr(error, "/nonexistent/db"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_parsed),
        cmocka_unit_test(reading_ends_where_the_taker_says),
        cmocka_unit_test(without_a_catalogue_rows_are_made_up),
        cmocka_unit_test(a_small_one_has_pages_too),
        cmocka_unit_test(a_package_that_comes_twice_counts_once),
        cmocka_unit_test(the_summary_counts_the_rows),
        cmocka_unit_test(a_page_begins_with_its_item),
        cmocka_unit_test(pages_are_of_a_web_pages_size),
        cmocka_unit_test(items_below_the_number_of_packages_have_one_each),
        cmocka_unit_test(a_page_says_what_the_tables_say),
        cmocka_unit_test(the_number_of_peers_decides_how_many_rows_are_read),
        cmocka_unit_test(threads_load_the_same_pages_side_by_side),
        cmocka_unit_test(calibration_goes_towards_its_target),
        cmocka_unit_test(what_is_no_database_does_not_open),
        cmocka_unit_test(a_file_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, build_database, remove_database);
}
