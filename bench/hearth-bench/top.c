/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/top.h"
#include "hearth-bench/top_report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, PATIENCE_S = 3, REPORT_MOST = 64 << 20, FIRST_BYTES = 1 << 16 };

struct top {
    const char *path;
    double interval_s;
    bool once;
    bool json;
};

/* ---- the command line -------------------------------------------------------------------- */

static int refuse(const char *what, const char *word) {
    (void)fprintf(stderr, "hearth-bench: top: %s%s (--help explains)\n", what, word);
    return -1;
}

static int take_interval(struct top *top, const char *text) {
    char *end = NULL;
    top->interval_s = strtod(text, &end);
    if (end == text || *end != '\0' || !(top->interval_s >= 0.1 && top->interval_s <= 3600)) {
        return refuse("--interval takes seconds from 0.1 to 3600, not ", text);
    }
    return 0;
}

static int take_arguments(struct top *top, int count, char **words) {
    static const struct option options[] = {{"once", no_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {NULL, 0, NULL, 0}};
    int option = 0;
    while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
        if (option == 'o') {
            top->once = true;
        } else if (option == 'j') {
            top->json = true;
        } else if (option != 'i' || take_interval(top, optarg) != 0) {
            return -1;
        }
    }
    if (optind + 1 != count) {
        return refuse("takes the path of one stats.socket", "");
    }
    top->path = words[optind];
    if (strlen(top->path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
        return refuse("no socket has so long a path: ", top->path);
    }
    return 0;
}

/* ---- asking ------------------------------------------------------------------------------ */

static int fail(const struct top *top, const char *why) {
    (void)fprintf(stderr, "hearth-bench: top: %s: %s\n", top->path, why);
    return -1;
}

static int connect_to(const struct top *top) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", top->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        (void)fail(top, errno == ECONNREFUSED ? "nobody serves it any more"
                        : errno == EACCES     ? "only the user of the process may read it"
                                              : strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

/* To the end; NULL: it failed, and stderr was told. Freed by the caller. */
static char *read_all(const struct top *top, int fd) {
    size_t capacity = FIRST_BYTES;
    size_t size = 0;
    char *text = malloc(capacity);
    ssize_t got = 1;
    while (text != NULL && got > 0) {
        if (size + 1 == capacity) {
            char *grown = capacity < REPORT_MOST ? realloc(text, capacity * 2) : NULL;
            if (grown == NULL) {
                break;
            }
            text = grown;
            capacity *= 2;
        }
        got = read(fd, text + size, capacity - size - 1);
        size += got > 0 ? (size_t)got : 0;
    }
    if (text == NULL || got != 0 || size == 0 || text[size - 1] != '\n') {
        (void)fail(top, text == NULL || got > 0 ? "no memory for its report"
                        : got < 0               ? strerror(errno)
                        : size == 0
                            ? "it tells nothing; only the user of the process may read it"
                            : "its report was cut short");
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

static char *ask(const struct top *top) {
    int fd = connect_to(top);
    char *text = fd >= 0 ? read_all(top, fd) : NULL;
    if (fd >= 0) {
        (void)close(fd);
    }
    return text;
}

static int ask_report(const struct top *top, struct top_report *report) {
    char *text = ask(top);
    memset(report, 0, sizeof *report);
    if (text == NULL) {
        return -1;
    }
    bool parsed = top_report_parse(text, report);
    free(text);
    return parsed ? 0 : fail(top, "its report is none that this version knows");
}

/* Between two looks (--interval). */
static void pause_for(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* ---- showing ----------------------------------------------------------------------------- */

static void show(const struct top *top, const struct top_report *before,
                 const struct top_report *now) {
    struct winsize window = {0};
    bool on_terminal = isatty(STDOUT_FILENO) != 0;
    struct top_view view = {.before = before, .now = now, .path = top->path, .wipe = ""};
    if (top->once) {
        top_print_picture(&view);
    } else if (on_terminal) {
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0) {
            view.rows = window.ws_row;
        }
        view.wipe = "\033[K";
        printf("\033[H");
        top_print_picture(&view);
        printf("\033[J");
    } else {
        top_print_line(&view);
    }
    (void)fflush(stdout);
}

/* A process that was started again begins anew. */
static bool goes_on(const struct top_report *before, const struct top_report *now) {
    return before->pid == now->pid && before->stats.reads <= now->stats.reads;
}

static int show_reports(const struct top *top) {
    struct top_report reports[2];
    int result = ask_report(top, &reports[0]);
    if (result == 0 && !top->once && isatty(STDOUT_FILENO) != 0) {
        printf("\033[2J");
    }
    size_t now = 0;
    bool more = result == 0;
    while (more) {
        pause_for(top->interval_s);
        const struct top_report *before = &reports[now];
        now = 1 - now;
        result = ask_report(top, &reports[now]);
        if (result == 0) {
            show(top, goes_on(before, &reports[now]) ? before : &reports[now], &reports[now]);
        }
        top_report_free(&reports[1 - now]);
        more = result == 0 && !top->once;
    }
    top_report_free(&reports[now]);
    return result;
}

static int show_json(const struct top *top) {
    for (;;) {
        char *text = ask(top);
        if (text == NULL) {
            return -1;
        }
        (void)fputs(text, stdout);
        (void)fflush(stdout);
        free(text);
        if (top->once) {
            return 0;
        }
        pause_for(top->interval_s);
    }
}

int top(int count, char **words) {
    struct top top = {.interval_s = 1};
    if (take_arguments(&top, count, words) != 0) {
        return EXIT_USAGE;
    }
    int result = top.json ? show_json(&top) : show_reports(&top);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
