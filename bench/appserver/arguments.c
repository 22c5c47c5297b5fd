/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS_MOST = 64,
    PROCESSORS_MOST = 1024,
    WAIT_MOST_MS = 600000,
    AGE_MOST_S = 86400 * 365,
    PEERS_MOST = 20000
};

static const char help[] =
    "usage: appserver [options]\n"
    "\n"
    "A small HTTP server that serves the pages of products out of an SQLite database, through\n"
    "Hearth. GET /product/N is the page of product N, with Cache-Control, Age and ETag as what is\n"
    "cached of it says, and 304 for who has it already; POST /product/N says that the product has\n"
    "changed: its page is loaded anew. GET /metrics tells what happened, as Prometheus reads it.\n"
    "\n"
    "  --listen ADDRESS    HOST:PORT, port 0 for any that is free; or unix:PATH (127.0.0.1:8080)\n"
    "  --mode NAME         loop: event loops that submit and never wait (the usual one);\n"
    "                      threads: threads that wait for their pages\n"
    "  --threads N         that serve, each with an event loop: 1 to 64 (1; with --mode threads 4)\n"
    "  --remote URL        of the cache's nodes: redis://HOST,... or memcached://HOST,...\n"
    "                      (embedded://: in this process)\n"
    "  --option NAME=VALUE any other option of Hearth; may be given more than once\n"
    "  --max-age N         how many seconds browsers and proxies may keep a page before they ask\n"
    "                      again (10); they are not told of a POST\n"
    "  --database FILE     of a former run, or built there; without it, one that is removed at the\n"
    "                      end\n"
    "  --peers N           how much a load looks at, 50 to 20000; without it as much as takes a\n"
    "                      millisecond\n"
    "  --load-wait N       milliseconds that a load waits besides, as for a slow database (0)\n"
    "  --loop-processor N  the event loops have this processor, and all other threads the others\n"
    "  --without-hearth    each request asks the database: to compare with\n"
    "  --help              this text\n"
    "\n"
    "It says where it listens, and at its end (Ctrl-C) what it did: with the longest time for\n"
    "which one of its functions held an event loop, times without a processor not counted.\n"
    "\n"
    "Exit status: 0; 1 when it cannot serve; 2 for a wrong command line.\n";

static bool refuse(const char *name, const char *value, const char *wanted) {
    (void)fprintf(stderr, "appserver: --%s takes %s, not '%s' (--help explains)\n", name,
                  wanted, value);
    return false;
}

static bool take_number(const char *name, const char *value, uint32_t low, uint32_t high,
                        uint32_t *number) {
    char wanted[64];
    bool is_digits = strspn(value, "0123456789") == strlen(value);
    unsigned long long read =
        is_digits && value[0] != '\0' && strlen(value) < 10 ? strtoull(value, NULL, 10) : ~0ULL;
    *number = (uint32_t)read;
    (void)snprintf(wanted, sizeof wanted, "a whole number from %u to %u", low, high);
    return (read >= low && read <= high) || refuse(name, value, wanted);
}

static bool take_mode(struct arguments *arguments, const char *value) {
    arguments->blocks = strcmp(value, "threads") == 0;
    return arguments->blocks || strcmp(value, "loop") == 0 ||
           refuse("mode", value, "loop or threads");
}

static bool take_hearth_option(struct arguments *arguments, const char *value) {
    if (strchr(value, '=') == NULL || arguments->option_count == OPTIONS_MOST) {
        return refuse("option", value, "NAME=VALUE, at most 32 times");
    }
    arguments->options[arguments->option_count++] = value;
    return true;
}

static bool take(struct arguments *arguments, int option, const char *value) {
    switch (option) {
    case 'l':
        arguments->listen = value;
        return strchr(value, ':') != NULL || refuse("listen", value, "HOST:PORT or unix:PATH");
    case 'm':
        return take_mode(arguments, value);
    case 't':
        return take_number("threads", value, 1, THREADS_MOST, &arguments->threads);
    case 'r':
        arguments->remote = value;
        return true;
    case 'o':
        return take_hearth_option(arguments, value);
    case 'a':
        return take_number("max-age", value, 0, AGE_MOST_S, &arguments->max_age_s);
    case 'd':
        arguments->database = value;
        return value[0] != '\0' || refuse("database", value, "a file");
    case 'p':
        return take_number("peers", value, 50, PEERS_MOST, &arguments->peers);
    case 'w':
        return take_number("load-wait", value, 0, WAIT_MOST_MS, &arguments->load_wait_ms);
    case 'c':
        arguments->has_loop_processor = true;
        return take_number("loop-processor", value, 0, PROCESSORS_MOST - 1,
                           &arguments->loop_processor);
    case 'n':
        arguments->has_hearth = false;
        return true;
    default: /* getopt_long has said what is wrong */
        return false;
    }
}

enum arguments_verdict arguments_parse(struct arguments *arguments, int argc, char **argv) {
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"mode", required_argument, NULL, 'm'},
        {"threads", required_argument, NULL, 't'},
        {"remote", required_argument, NULL, 'r'},
        {"option", required_argument, NULL, 'o'},
        {"max-age", required_argument, NULL, 'a'},
        {"database", required_argument, NULL, 'd'},
        {"peers", required_argument, NULL, 'p'},
        {"load-wait", required_argument, NULL, 'w'},
        {"loop-processor", required_argument, NULL, 'c'},
        {"without-hearth", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *arguments = (struct arguments){.listen = "127.0.0.1:8080",
                                    .remote = "embedded://",
                                    .max_age_s = 10,
                                    .has_hearth = true};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            return ARGUMENTS_HELPED;
        }
        if (!take(arguments, option, optarg)) {
            return ARGUMENTS_REFUSED;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "appserver: '%s' is no option (--help explains)\n", argv[optind]);
        return ARGUMENTS_REFUSED;
    }
    if (arguments->threads == 0) {
        arguments->threads = arguments->blocks ? 4 : 1;
    }
    return ARGUMENTS_RUN;
}
