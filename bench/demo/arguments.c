/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, THREADS_MAX = 256, SECONDS = 3, SECONDS_MAX = 3600 };

static const char help[] =
    "usage: demo [options]\n"
    "\n"
    "Replays requests for pages that come out of a database, in three ways: from the database\n"
    "alone (the origin), with Redis or Memcached nodes before it (the remote tier), and with\n"
    "Hearth's local tier before those. It starts its own servers, builds its own database,\n"
    "checks every answer, and leaves nothing behind, also after Ctrl-C.\n"
    "\n"
    "  --trace FILE     replay a trace: one key a line, or key,size; plain, zstd or gzip.\n"
    "                   Without it a stream is generated that has the shape of a real one.\n"
    "  --requests N     no more than the first N requests\n"
    "  --seed N         of the generated stream (1)\n"
    "  --threads N      that send requests, 1 to 256 (4)\n"
    "  --over NAME      redis or memcached; without it, both, one after the other\n"
    "  --fault kill     kill a node with signal 9 in the middle of each warm pass\n"
    "  --seconds N      how long the origin alone is measured (3)\n"
    "  --html FILE      also write a report with plots, to be opened in a browser\n"
    "  --help           this text\n"
    "\n"
    "How to read the table. `times` is the rate against the origin's alone, with as many\n"
    "threads and in slices on the way, so that both saw the same machine. `local`, `remote`\n"
    "and `loaded` say where the answers came from. `loads` counts queries at the origin. The\n"
    "hottest node is the one that was sent most; in parentheses stands the share of the keys\n"
    "that it owns. A cold pass begins with everything empty; a warm one repeats the same\n"
    "requests.\n"
    "\n"
    "`make demo TRACE=FILE FAULT=kill` runs it with these options, and with --html.\n"
    "\n"
    "Exit status: 0 when every request was answered, with its own page, and no key was loaded\n"
    "twice; 1 when not, or when something is missing; 2 for wrong arguments; 130 after Ctrl-C.\n";

static bool refuse(const char *name, const char *value, const char *wanted) {
    (void)fprintf(stderr, "demo: %s wants %s, not '%s' (see --help)\n", name, wanted, value);
    return false;
}

static bool take_number(const char *name, const char *value, uint64_t low, uint64_t high,
                        uint64_t *number) {
    char wanted[80];
    char *end = NULL;
    /* strtoull would take blanks and a sign. */
    bool is_digits = value[0] != '\0' && strspn(value, "0123456789") == strlen(value);
    *number = is_digits && strlen(value) < 20 ? strtoull(value, &end, 10) : high;
    if (end != NULL && *number >= low && *number <= high) {
        return true;
    }
    (void)snprintf(wanted, sizeof wanted, "a whole number from %llu to %llu",
                   (unsigned long long)low, (unsigned long long)high);
    return refuse(name, value, wanted);
}

static bool take_count(const char *name, const char *value, uint32_t high, uint32_t *count) {
    uint64_t number = 0;
    bool taken = take_number(name, value, 1, high, &number);
    *count = (uint32_t)number;
    return taken;
}

static bool take_servers(struct arguments *arguments, const char *value) {
    arguments->over_redis = strcmp(value, "redis") == 0;
    arguments->over_memcached = strcmp(value, "memcached") == 0;
    return arguments->over_redis || arguments->over_memcached ||
           refuse("--over", value, "redis or memcached");
}

static bool take_fault(struct arguments *arguments, const char *value) {
    arguments->kills = strcmp(value, "kill") == 0;
    return arguments->kills || refuse("--fault", value, "kill");
}

static bool take(struct arguments *arguments, const char *name, const char *value) {
    if (strcmp(name, "--trace") == 0) {
        arguments->trace = value;
        return value[0] != '\0' || refuse(name, value, "a file");
    }
    if (strcmp(name, "--html") == 0) {
        arguments->html = value;
        return value[0] != '\0' || refuse(name, value, "a file");
    }
    if (strcmp(name, "--requests") == 0) {
        uint64_t number = 0;
        bool taken = take_number(name, value, 1, SIZE_MAX / 2, &number);
        arguments->requests_max = (size_t)number;
        return taken;
    }
    if (strcmp(name, "--seed") == 0) {
        return take_number(name, value, 0, UINT64_MAX / 2, &arguments->seed);
    }
    if (strcmp(name, "--threads") == 0) {
        return take_count(name, value, THREADS_MAX, &arguments->threads);
    }
    if (strcmp(name, "--seconds") == 0) {
        return take_count(name, value, SECONDS_MAX, &arguments->seconds);
    }
    if (strcmp(name, "--over") == 0) {
        return take_servers(arguments, value);
    }
    return take_fault(arguments, value);
}

/* All of them want a value. */
static bool is_known(const char *name) {
    static const char *const names[] = {"--trace",   "--requests", "--seed",  "--threads",
                                        "--seconds", "--over",     "--fault", "--html"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

enum arguments_verdict arguments_parse(struct arguments *arguments, int argc, char **argv) {
    *arguments = (struct arguments){.seed = 1,
                                    .threads = THREADS,
                                    .seconds = SECONDS,
                                    .over_redis = true,
                                    .over_memcached = true};
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            (void)fputs(help, stdout);
            return ARGUMENTS_HELPED;
        }
        if (!is_known(argv[i])) {
            (void)fprintf(stderr, "demo: '%s' is not an option (see --help)\n", argv[i]);
            return ARGUMENTS_REFUSED;
        }
        if (i + 1 == argc) {
            (void)fprintf(stderr, "demo: %s wants a value (see --help)\n", argv[i]);
            return ARGUMENTS_REFUSED;
        }
        if (!take(arguments, argv[i], argv[i + 1])) {
            return ARGUMENTS_REFUSED;
        }
    }
    return ARGUMENTS_RUN;
}
