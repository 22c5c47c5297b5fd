/* SPDX-License-Identifier: Apache-2.0 */
#include "origin.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "catalogue.h"
#include "origin_sqlite.h"

enum {
    PACKAGES_FEW = 20000, /* fewer are not worth it: a container may know only a hundred */
    PACKAGES_MADE_UP = 63000,
    PROGRESS_STEP = 5000,
};

/* Safety is of no use here: the file is thrown away. */
static const char schema[] =
    "PRAGMA page_size = 4096;"
    "PRAGMA journal_mode = OFF;"
    "PRAGMA synchronous = OFF;"
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA cache_size = -65536;"
    "PRAGMA temp_store = MEMORY;"
    "CREATE TABLE sections (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE maintainers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE packages (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version TEXT NOT NULL,"
    " section_id INTEGER NOT NULL REFERENCES sections,"
    " maintainer_id INTEGER NOT NULL REFERENCES maintainers,"
    " installed_kib INTEGER NOT NULL, size_bytes INTEGER NOT NULL, description TEXT NOT NULL);"
    "CREATE TABLE dependencies (package_id INTEGER NOT NULL REFERENCES packages,"
    " position INTEGER NOT NULL, name TEXT NOT NULL, relation TEXT NOT NULL,"
    " target_id INTEGER REFERENCES packages, PRIMARY KEY (package_id, position)) WITHOUT ROWID;"
    "CREATE TEMP TABLE mentions (package_id INTEGER, position INTEGER, name TEXT,"
    " relation TEXT);"
    "BEGIN;";

/* Dependencies name packages that may come later, or that no record has (virtual ones). */
static const char completion[] =
    "INSERT INTO dependencies SELECT m.package_id, m.position, m.name, m.relation, p.id"
    " FROM mentions m LEFT JOIN packages p ON p.name = m.name;"
    "CREATE INDEX dependencies_by_target ON dependencies (target_id);"
    "CREATE INDEX packages_by_size ON packages (installed_kib, id);"
    "CREATE INDEX packages_by_maintainer ON packages (maintainer_id);"
    "COMMIT;"
    "DROP TABLE mentions;"
    "PRAGMA optimize;";

enum insert { INSERT_SECTION, INSERT_MAINTAINER, INSERT_PACKAGE, INSERT_MENTION, INSERTS };

static const char *const insert_texts[INSERTS] = {
    [INSERT_SECTION] = "INSERT INTO sections (name) VALUES (?1) ON CONFLICT DO NOTHING",
    [INSERT_MAINTAINER] = "INSERT INTO maintainers (name) VALUES (?1) ON CONFLICT DO NOTHING",
    [INSERT_PACKAGE] = "INSERT INTO packages VALUES (?1, ?2, ?3,"
                       " (SELECT id FROM sections WHERE name = ?4),"
                       " (SELECT id FROM maintainers WHERE name = ?5), ?6, ?7, ?8)"
                       " ON CONFLICT DO NOTHING",
    [INSERT_MENTION] = "INSERT INTO mentions VALUES (?1, ?2, ?3, ?4)",
};

struct building {
    sqlite3 *database;
    sqlite3_stmt *inserts[INSERTS];
    uint32_t packages;
    origin_progress *progress;
    void *context;
};

static int bind_text(sqlite3_stmt *statement, int place, const char *text, size_t size) {
    return sqlite3_bind_text(statement, place, text, (int)size, SQLITE_STATIC);
}

static int run_once(sqlite3_stmt *statement) {
    int result = sqlite3_step(statement);
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? 0 : -1;
}

static int insert_name(sqlite3_stmt *statement, const char *name) {
    return bind_text(statement, 1, name, strlen(name)) == SQLITE_OK ? run_once(statement) : -1;
}

static int insert_package(struct building *building, const struct catalogue_record *record) {
    sqlite3_stmt *statement = building->inserts[INSERT_PACKAGE];
    sqlite3_bind_int64(statement, 1, building->packages + 1);
    bind_text(statement, 2, record->name, strlen(record->name));
    bind_text(statement, 3, record->version, strlen(record->version));
    bind_text(statement, 4, record->section, strlen(record->section));
    bind_text(statement, 5, record->maintainer, strlen(record->maintainer));
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)record->installed_kib);
    sqlite3_bind_int64(statement, 7, (sqlite3_int64)record->size_bytes);
    bind_text(statement, 8, record->description, strlen(record->description));
    return run_once(statement);
}

/* Of "name:any (>= 1.2) | other": the name, and what stands between the brackets. */
static int insert_mention(struct building *building, int position, const char *text) {
    sqlite3_stmt *statement = building->inserts[INSERT_MENTION];
    size_t name = strcspn(text, " :(|,");
    size_t entry = strcspn(text, "|,");
    const char *open = memchr(text, '(', entry);
    const char *close = open == NULL ? NULL : memchr(open, ')', entry - (size_t)(open - text));
    if (name == 0) {
        return 0;
    }
    sqlite3_bind_int64(statement, 1, building->packages);
    sqlite3_bind_int(statement, 2, position);
    bind_text(statement, 3, text, name);
    bind_text(statement, 4, close == NULL ? "" : open + 1,
              close == NULL ? 0 : (size_t)(close - open - 1));
    return run_once(statement);
}

static int insert_mentions(struct building *building, const char *text) {
    int result = 0;
    for (int position = 1; result == 0 && *text != '\0'; position++) {
        text += strspn(text, ", ");
        result = insert_mention(building, position, text);
        text += strcspn(text, ",");
    }
    return result;
}

static int insert_record(void *context, const struct catalogue_record *record) {
    struct building *building = context;
    if (insert_name(building->inserts[INSERT_SECTION], record->section) != 0 ||
        insert_name(building->inserts[INSERT_MAINTAINER], record->maintainer) != 0 ||
        insert_package(building, record) != 0) {
        return -1;
    }
    if (sqlite3_changes(building->database) == 0) {
        return 0; /* the same name for another architecture */
    }
    building->packages++;
    if (building->progress != NULL && building->packages % PROGRESS_STEP == 0) {
        building->progress(building->context, building->packages);
    }
    return insert_mentions(building, record->depends);
}

static uint32_t count_rows(sqlite3 *database, const char *query) {
    sqlite3_stmt *statement;
    uint32_t count = 0;
    if (sqlite3_prepare_v2(database, query, -1, &statement, NULL) == SQLITE_OK) {
        count = sqlite3_step(statement) == SQLITE_ROW
                    ? (uint32_t)sqlite3_column_int64(statement, 0)
                    : 0;
        sqlite3_finalize(statement);
    }
    return count;
}

static void summarise(sqlite3 *database, uint32_t made_up, struct origin_summary *summary) {
    summary->is_made_up = made_up != 0;
    summary->packages = count_rows(database, "SELECT count(*) FROM packages");
    summary->dependencies = count_rows(database, "SELECT count(*) FROM dependencies");
    summary->maintainers = count_rows(database, "SELECT count(*) FROM maintainers");
    summary->sections = count_rows(database, "SELECT count(*) FROM sections");
}

static int fill(struct building *building, uint32_t made_up) {
    if (sqlite3_exec(building->database, schema, NULL, NULL, NULL) != SQLITE_OK) {
        return -1;
    }
    for (int i = 0; i < INSERTS; i++) {
        if (sqlite3_prepare_v2(building->database, insert_texts[i], -1, &building->inserts[i],
                               NULL) != SQLITE_OK) {
            return -1;
        }
    }
    int result = made_up != 0 ? catalogue_make_up(made_up, insert_record, building)
                              : catalogue_read(insert_record, building);
    for (int i = 0; i < INSERTS; i++) {
        sqlite3_finalize(building->inserts[i]);
        building->inserts[i] = NULL;
    }
    if (result != 0 || building->packages < PACKAGES_FEW) {
        return result;
    }
    return sqlite3_exec(building->database, completion, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* So many made-up packages, or those that apt knows. 0 with few packages in: not worth it. */
static int build_from(const char *path, uint32_t made_up, struct building *building,
                      struct origin_summary *summary, char *error, size_t error_size) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    building->packages = 0;
    unlink(path);
    int result = sqlite3_open_v2(path, &building->database, flags, NULL) == SQLITE_OK ? 0 : -1;
    result = result == 0 ? fill(building, made_up) : -1;
    if (result == 0 && building->packages >= PACKAGES_FEW) {
        summarise(building->database, made_up, summary);
    } else {
        snprintf(error, error_size, "%s: %s", path, sqlite3_errmsg(building->database));
        unlink(path);
    }
    for (int i = 0; i < INSERTS; i++) {
        sqlite3_finalize(building->inserts[i]);
        building->inserts[i] = NULL;
    }
    sqlite3_close(building->database);
    return result;
}

int origin_build(const char *path, bool make_up, origin_progress *progress, void *context,
                 struct origin_summary *summary, char *error, size_t error_size) {
    struct building building = {.progress = progress, .context = context};
    origin_set_up_sqlite();
    if (!make_up) {
        int result = build_from(path, 0, &building, summary, error, error_size);
        if (result == 0 && building.packages >= PACKAGES_FEW) {
            return 0;
        }
    }
    return build_from(path, PACKAGES_MADE_UP, &building, summary, error, error_size);
}

int origin_build_small(const char *path, struct origin_summary *summary, char *error,
                       size_t error_size) {
    struct building building = {.progress = NULL};
    origin_set_up_sqlite();
    return build_from(path, PACKAGES_FEW, &building, summary, error, error_size);
}
