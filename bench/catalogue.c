/* SPDX-License-Identifier: Apache-2.0 */
#include "catalogue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the real one ---- */

struct field {
    const char *title;
    size_t offset;
    size_t size; /* 0: a number */
};

#define TEXT_FIELD(title, member)                         \
    {                                                     \
        title, offsetof(struct catalogue_record, member), \
            sizeof((struct catalogue_record *)0)->member  \
    }
#define NUMBER_FIELD(title, member) \
    { title, offsetof(struct catalogue_record, member), 0 }

static const struct field fields[] = {
    TEXT_FIELD("Package: ", name),
    TEXT_FIELD("Version: ", version),
    TEXT_FIELD("Section: ", section),
    TEXT_FIELD("Maintainer: ", maintainer),
    TEXT_FIELD("Description: ", description),
    TEXT_FIELD("Depends: ", depends),
    NUMBER_FIELD("Installed-Size: ", installed_kib),
    NUMBER_FIELD("Size: ", size_bytes),
};

static void take_line(struct catalogue_record *record, const char *line) {
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *title = fields[i].title;
        size_t length = strlen(title);
        if (line[0] != title[0] || strncmp(line, title, length) != 0) {
            continue;
        }
        char *place = (char *)record + fields[i].offset;
        if (fields[i].size > 0) {
            snprintf(place, fields[i].size, "%s", line + length);
        } else {
            uint64_t number = strtoull(line + length, NULL, 10);
            memcpy(place, &number, sizeof number);
        }
        return;
    }
}

static void clear(struct catalogue_record *record) {
    record->name[0] = record->version[0] = record->section[0] = '\0';
    record->maintainer[0] = record->description[0] = record->depends[0] = '\0';
    record->installed_kib = record->size_bytes = 0;
}

/* Records are separated by empty lines. A line that goes on from the one before begins with a
 * blank, so it is no field. */
static int read_records(FILE *stream, catalogue_take *take, void *context) {
    struct catalogue_record *record = calloc(1, sizeof *record);
    char *line = NULL;
    size_t room = 0;
    int result = record == NULL ? -1 : 0;
    ssize_t length = 0;
    while (result == 0 && (length = getline(&line, &room, stream)) >= 0) {
        if (length > 0 && line[length - 1] == '\n') {
            line[--length] = '\0';
        }
        if (length > 0) {
            take_line(record, line);
        } else if (record->name[0] != '\0') {
            result = take(context, record);
            clear(record);
        }
    }
    if (result == 0 && record->name[0] != '\0') {
        result = take(context, record);
    }
    free(line);
    free(record);
    return result;
}

/* Gives the end of a pipe that the command writes to; -1: it does not run. */
static int start_command(pid_t *pid) {
    char name[] = "apt-cache";
    char order[] = "dumpavail";
    char *arguments[] = {name, order, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        error = posix_spawnp(pid, name, &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

int catalogue_read(catalogue_take *take, void *context) {
    pid_t pid;
    int status = 0;
    int result = -1;
    int end = start_command(&pid);
    if (end < 0) {
        return 0;
    }
    FILE *stream = fdopen(end, "r");
    if (stream == NULL) {
        close(end);
    } else {
        result = read_records(stream, take, context);
        fclose(stream);
    }
    if (result != 0) {
        kill(pid, SIGTERM);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return result == 0 && status != 0 ? -1 : result;
}

/* ---- the made-up one ---- */

static const char *const syllables[] = {"lib", "ka", "net", "zo",  "gra", "ph",  "ti", "mo",
                                        "dev", "ul", "pra", "sys", "web", "ron", "ed", "xi"};
static const char *const words[] = {
    "library",   "for",     "reading", "and",     "writing", "files",    "client",
    "server",    "tool",    "that",    "shows",   "images",  "of",       "the",
    "network",   "desktop", "plugin",  "runtime", "headers", "examples", "documentation",
    "protocol",  "simple",  "fast",    "text",    "editor",  "bindings", "support",
    "framework", "data",    "tests",   "with"};
enum { SECTIONS = 58, MAINTAINERS = 2200 };

static uint64_t draw(uint64_t *state) {
    uint64_t mixed = (*state += 0x9E3779B97F4A7C15U); /* splitmix64 (Steele, Lea, Flood 2014) */
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
}

/* Below `end`; low numbers often, as with popular libraries and large teams. */
static uint32_t draw_low(uint64_t *state, uint32_t end) {
    uint64_t share = draw(state) >> 43; /* of 2^21; its third power spreads it */
    return (uint32_t)((((share * share) >> 21) * share * end) >> 42);
}

static void append(char *text, size_t room, const char *added) {
    size_t length = strlen(text);
    snprintf(text + length, room - length, "%s", added);
}

static void make_name(char *name, size_t room, uint32_t number) {
    char suffix[16];
    name[0] = '\0';
    for (int i = 0; i < 3; i++) {
        append(name, room, syllables[(number >> (4 * i)) % 16]);
    }
    snprintf(suffix, sizeof suffix, "-%u", number / 4096);
    append(name, room, suffix);
}

static void make_description(char *text, size_t room, uint64_t *state) {
    size_t count = 4 + draw(state) % 6;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        append(text, room, i == 0 ? "" : " ");
        append(text, room, words[draw(state) % 32]);
    }
}

static void make_depends(char *text, size_t room, uint32_t packages, uint64_t *state) {
    char entry[192];
    char name[128];
    uint64_t count = draw(state) % 9;
    text[0] = '\0';
    for (uint64_t i = 0; i < count; i++) {
        make_name(name, sizeof name, draw_low(state, packages));
        snprintf(entry, sizeof entry, "%s%s (>= %u.%u)", i == 0 ? "" : ", ", name,
                 (unsigned)(draw(state) % 9), (unsigned)(draw(state) % 30));
        append(text, room, entry);
    }
}

int catalogue_make_up(uint32_t count, catalogue_take *take, void *context) {
    struct catalogue_record *record = calloc(1, sizeof *record);
    uint64_t state = 1;
    int result = record == NULL ? -1 : 0;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        make_name(record->name, sizeof record->name, i);
        snprintf(record->version, sizeof record->version, "%u.%u-%u",
                 (unsigned)(draw(&state) % 9), (unsigned)(draw(&state) % 30),
                 1 + (unsigned)(draw(&state) % 5));
        snprintf(record->section, sizeof record->section, "section-%u",
                 draw_low(&state, SECTIONS));
        uint32_t team = draw_low(&state, MAINTAINERS);
        snprintf(record->maintainer, sizeof record->maintainer, "Team %u <team%u@example.org>",
                 team, team);
        make_description(record->description, sizeof record->description, &state);
        make_depends(record->depends, sizeof record->depends, count, &state);
        record->installed_kib = 20 + draw_low(&state, 200000);
        record->size_bytes = record->installed_kib * (200 + draw(&state) % 300);
        result = take(context, record);
    }
    free(record);
    return result;
}
