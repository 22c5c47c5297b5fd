/* SPDX-License-Identifier: Apache-2.0 */
#include "origin.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "origin_sqlite.h"

enum query {
    QUERY_PACKAGE,
    QUERY_DEPENDENCIES,
    QUERY_DEPENDENTS,
    QUERY_FIRST_DEPENDENTS,
    QUERY_MAINTAINED,
    QUERY_PEERS,
    QUERIES
};

static const char *const query_texts[QUERIES] = {
    [QUERY_PACKAGE] =
        "SELECT p.name, p.version, p.description, s.name, m.name, p.installed_kib,"
        " p.size_bytes, p.maintainer_id FROM packages p"
        " JOIN sections s ON s.id = p.section_id"
        " JOIN maintainers m ON m.id = p.maintainer_id WHERE p.id = ?1",
    [QUERY_DEPENDENCIES] =
        "SELECT d.name, d.relation, coalesce(t.description, 'a virtual package')"
        " FROM dependencies d LEFT JOIN packages t ON t.id = d.target_id"
        " WHERE d.package_id = ?1 ORDER BY d.position LIMIT 16",
    [QUERY_DEPENDENTS] =
        "SELECT count(DISTINCT package_id) FROM dependencies WHERE target_id = ?1",
    [QUERY_FIRST_DEPENDENTS] = "SELECT DISTINCT p.name, p.description FROM dependencies d"
                               " JOIN packages p ON p.id = d.package_id"
                               " WHERE d.target_id = ?1 ORDER BY d.package_id LIMIT 4",
    [QUERY_MAINTAINED] = "SELECT count(*) FROM packages WHERE maintainer_id = ?1",
    [QUERY_PEERS] = "SELECT s.name, count(*), avg(p.size_bytes), sum(p.maintainer_id = ?3)"
                    " FROM (SELECT section_id, maintainer_id, size_bytes FROM packages"
                    " WHERE (installed_kib, id) > (?1, ?2) ORDER BY installed_kib, id LIMIT ?4)"
                    " p JOIN sections s ON s.id = p.section_id"
                    " GROUP BY p.section_id ORDER BY count(*) DESC, s.name LIMIT 8",
};

struct origin {
    sqlite3 *database;
    sqlite3_stmt *queries[QUERIES];
    uint32_t packages;
    uint32_t peers;
};

/* ---- opening ---- */

static void configure(void) {
    /* Refused when the program has used SQLite before: then it works, with more locks. */
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

void origin_set_up_sqlite(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
}

/* Mapped: a load copies no pages. One transaction, for as long as it is open: a load takes no
 * file locks. What is left is work of the processor. */
static const char opening[] = "PRAGMA mmap_size = 1073741824;"
                              "BEGIN;";

static int open_database(struct origin *origin, const char *path) {
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &origin->database, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(origin->database, opening, NULL, NULL, NULL) != SQLITE_OK) {
        return -1;
    }
    for (int i = 0; i < QUERIES; i++) {
        if (sqlite3_prepare_v3(origin->database, query_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &origin->queries[i], NULL) != SQLITE_OK) {
            return -1;
        }
    }
    return 0;
}

/* Package ids are 1 to the number of packages without a gap. */
static int count_packages(struct origin *origin) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(origin->database, "SELECT max(id) FROM packages", -1, &statement,
                           NULL) != SQLITE_OK) {
        return -1;
    }
    if (sqlite3_step(statement) == SQLITE_ROW) {
        origin->packages = (uint32_t)sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return origin->packages > 0 ? 0 : -1;
}

int origin_open(const char *path, uint32_t peers, struct origin **origin, char *error,
                size_t error_size) {
    origin_set_up_sqlite();
    struct origin *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        snprintf(error, error_size, "%s: no memory", path);
        return -1;
    }
    opened->peers = peers;
    if (open_database(opened, path) != 0 || count_packages(opened) != 0) {
        snprintf(error, error_size, "%s: %s", path, sqlite3_errmsg(opened->database));
        origin_close(opened);
        return -1;
    }
    *origin = opened;
    return 0;
}

const char *origin_error(struct origin *origin) {
    return sqlite3_errmsg(origin->database);
}

void origin_close(struct origin *origin) {
    if (origin == NULL) {
        return;
    }
    for (int i = 0; i < QUERIES; i++) {
        sqlite3_finalize(origin->queries[i]);
    }
    sqlite3_close(origin->database);
    free(origin);
}

/* ---- the page ---- */

struct page {
    char *text;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void append(struct page *page, const char *format,
                                                         ...) {
    va_list arguments;
    size_t room = ORIGIN_PAGE_MAX - page->size;
    va_start(arguments, format);
    int length = vsnprintf(page->text + page->size, room, format, arguments);
    va_end(arguments);
    page->size += length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
}

static const char *text_at(sqlite3_stmt *statement, int column) {
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text == NULL ? "" : (const char *)text;
}

static long long number_at(sqlite3_stmt *statement, int column) {
    return sqlite3_column_int64(statement, column);
}

/* Ready to be stepped, with its first number. */
static sqlite3_stmt *begin(struct origin *origin, enum query query, sqlite3_int64 first) {
    sqlite3_stmt *statement = origin->queries[query];
    sqlite3_bind_int64(statement, 1, first);
    return statement;
}

static int end(sqlite3_stmt *statement) {
    return sqlite3_reset(statement) == SQLITE_OK ? 0 : -1;
}

static int write_dependencies(struct origin *origin, struct page *page, sqlite3_int64 id) {
    sqlite3_stmt *rows = begin(origin, QUERY_DEPENDENCIES, id);
    append(page, "\ndepends on\n");
    while (sqlite3_step(rows) == SQLITE_ROW) {
        append(page, "  %.60s (%.30s)  %.90s\n", text_at(rows, 0), text_at(rows, 1),
               text_at(rows, 2));
    }
    return end(rows);
}

static int write_dependents(struct origin *origin, struct page *page, sqlite3_int64 id) {
    sqlite3_stmt *count = begin(origin, QUERY_DEPENDENTS, id);
    if (sqlite3_step(count) == SQLITE_ROW) {
        append(page, "\nneeded by %lld packages\n", number_at(count, 0));
    }
    sqlite3_stmt *rows = begin(origin, QUERY_FIRST_DEPENDENTS, id);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        append(page, "  %.60s  %.90s\n", text_at(rows, 0), text_at(rows, 1));
    }
    return end(count) | end(rows);
}

static int write_peers(struct origin *origin, struct page *page, sqlite3_int64 id,
                       sqlite3_int64 installed_kib, sqlite3_int64 maintainer) {
    sqlite3_stmt *count = begin(origin, QUERY_MAINTAINED, maintainer);
    if (sqlite3_step(count) == SQLITE_ROW) {
        append(page, "\nits maintainer has %lld packages\n", number_at(count, 0));
    }
    sqlite3_stmt *rows = begin(origin, QUERY_PEERS, installed_kib);
    sqlite3_bind_int64(rows, 2, id);
    sqlite3_bind_int64(rows, 3, maintainer);
    sqlite3_bind_int64(rows, 4, origin->peers);
    append(page, "\nof the next %u in size\n", origin->peers);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        append(page, "  %5lld in section %-24.24s %12.0f bytes each, %lld of its maintainer\n",
               number_at(rows, 1), text_at(rows, 0), sqlite3_column_double(rows, 2),
               number_at(rows, 3));
    }
    return end(count) | end(rows);
}

/* Spreads the items over the packages, one to one below their number: neighbours in the catalogue
 * have similar pages. */
static sqlite3_int64 package_of(const struct origin *origin, uint32_t item) {
    uint64_t stride = origin->packages % 48271 == 0 ? 48281 : 48271; /* primes */
    return (sqlite3_int64)(item * stride % origin->packages) + 1;
}

int origin_load(struct origin *origin, uint32_t item, char *page, size_t *size) {
    struct page written = {page, 0};
    sqlite3_int64 id = package_of(origin, item);
    sqlite3_stmt *row = begin(origin, QUERY_PACKAGE, id);
    if (sqlite3_step(row) != SQLITE_ROW) {
        sqlite3_reset(row);
        return -1;
    }
    append(&written, "package %u %s\n%s\n\n", item, text_at(row, 0), text_at(row, 2));
    append(&written, "version     %s\nsection     %s\nmaintainer  %s\n", text_at(row, 1),
           text_at(row, 3), text_at(row, 4));
    append(&written, "installed   %lld KiB\ndownload    %lld bytes\n", number_at(row, 5),
           number_at(row, 6));
    sqlite3_int64 installed_kib = number_at(row, 5);
    sqlite3_int64 maintainer = number_at(row, 7);
    if (end(row) != 0 || write_dependencies(origin, &written, id) != 0 ||
        write_dependents(origin, &written, id) != 0 ||
        write_peers(origin, &written, id, installed_kib, maintainer) != 0) {
        return -1;
    }
    *size = written.size;
    return 0;
}

uint32_t origin_packages(const struct origin *origin) {
    return origin->packages;
}

bool origin_is_page_of(const char *page, size_t size, uint32_t item) {
    char line[32];
    int length = snprintf(line, sizeof line, "package %u ", item);
    return size > (size_t)length && memcmp(page, line, (size_t)length) == 0;
}

/* ---- calibration ---- */

enum { LOADS_MIN = 21, LOADS_MAX = 201, LOADS_STEP = 97, CALIBRATION_ROUNDS = 8 };
static const uint64_t measuring_max_ns = 400000000;

/* This thread's own time on a processor: a load is work, and other work on the machine must not
 * make it look like more. */
static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static int measure(struct origin *origin, struct origin_calibration *measured) {
    char page[ORIGIN_PAGE_MAX];
    uint64_t times[LOADS_MAX];
    uint64_t begun = now_ns();
    uint32_t count = 0;
    size_t size;
    while (count < LOADS_MIN || (count < LOADS_MAX && now_ns() - begun < measuring_max_ns)) {
        uint64_t start = now_ns();
        if (origin_load(origin, count * LOADS_STEP, page, &size) != 0) {
            return -1;
        }
        times[count++] = now_ns() - start;
    }
    qsort(times, count, sizeof times[0], compare);
    measured->peers = origin->peers;
    measured->median_ns = times[count / 2];
    measured->p99_ns = times[count * 99 / 100];
    measured->loads = count;
    return 0;
}

/* The time is a fixed part and a part that grows with the peers; the fixed one is measured with
 * the fewest. */
static uint32_t next_peers(const struct origin_calibration *fewest,
                           const struct origin_calibration *last, uint64_t target_ns) {
    double fixed = (double)fewest->median_ns;
    double grown = (double)last->median_ns - fixed;
    double slope = grown > 0 && last->peers > fewest->peers
                       ? grown / (double)(last->peers - fewest->peers)
                       : 1000;
    double peers = fewest->peers + ((double)target_ns - fixed) / slope;
    if (peers < ORIGIN_PEERS_MIN) {
        return ORIGIN_PEERS_MIN;
    }
    return peers > ORIGIN_PEERS_MAX ? ORIGIN_PEERS_MAX : (uint32_t)peers;
}

static uint64_t distance(uint64_t one, uint64_t other) {
    return one > other ? one - other : other - one;
}

int origin_calibrate(struct origin *origin, uint64_t target_ns,
                     struct origin_calibration *calibration) {
    struct origin_calibration fewest;
    struct origin_calibration last;
    struct origin_calibration best;
    origin->peers = ORIGIN_PEERS_MIN;
    for (int pass = 0; pass < 2; pass++) { /* the first warms the mapping */
        if (measure(origin, &fewest) != 0) {
            return -1;
        }
    }
    best = last = fewest;
    for (int round = 0; round < CALIBRATION_ROUNDS; round++) {
        origin->peers = next_peers(&fewest, &last, target_ns);
        /* Nearer than is promised, since other loads and other moments differ. */
        if (distance(best.median_ns, target_ns) < target_ns / 10 ||
            origin->peers == last.peers) {
            break;
        }
        if (measure(origin, &last) != 0) {
            return -1;
        }
        if (distance(last.median_ns, target_ns) <= distance(best.median_ns, target_ns)) {
            best = last;
        }
    }
    origin->peers = best.peers;
    *calibration = best;
    return 0;
}
