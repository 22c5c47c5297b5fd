/* SPDX-License-Identifier: Apache-2.0 */
/* The program behind `make demo`: a cache at work on real servers and a real database, and what
 * it gains. It needs nothing prepared and leaves nothing behind. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "demo/arguments.h"
#include "demo/plots.h"
#include "demo/progress.h"
#include "demo/report.h"
#include "demo/stage.h"
#include "demo/way.h"

enum { EXIT_USAGE = 2, KINDS = 2, ERROR_BYTES = 512 };

/* All that is played and seen. */
struct demo {
    struct stage stage;
    struct ledger ledger;
    struct players players;
    struct show shows[KINDS];
    size_t show_count;
};

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void say_options(void) {
    progress_say("options    remote.url: the three nodes. local.max_bytes: 0 for remote only, "
                 "else a tenth of\n"
                 "           the pages' bytes. ttl_ms, local.max_ttl_ms: %s, since nobody "
                 "changes a page here,\n"
                 "           and the default of 1 s would empty the local tier all the time. "
                 "remote.timeout_ms:\n"
                 "           %s, since clients, servers and database share these processors. "
                 "All others: defaults.\n",
                 WAY_TTL, WAY_TIMEOUT);
}

static int gather(struct demo *demo) {
    char error[ERROR_BYTES] = "no memory";
    struct stage *stage = &demo->stage;
    struct players *players = &demo->players;
    players->stage = stage;
    players->ledger = &demo->ledger;
    if (ledger_open(&demo->ledger, stage->requests.distinct) == 0 &&
        crew_open(&players->crew, stage->arguments.threads, stage->database, stage->load.peers,
                  &stage->requests, &demo->ledger, error, sizeof error) == 0) {
        return 0;
    }
    return progress_fail("the threads", error);
}

static int play_all(struct demo *demo) {
    static const enum server_kind kinds[KINDS] = {SERVER_REDIS, SERVER_MEMCACHED};
    const struct arguments *arguments = &demo->stage.arguments;
    const bool wanted[KINDS] = {arguments->over_redis, arguments->over_memcached};
    uint64_t shows = wanted[0] && wanted[1] ? 2 : 1;
    uint64_t slices = shows * WAY_PASSES * WAY_PARTS;
    demo->players.slice_ns = arguments->seconds * UINT64_C(1000000000) / slices;
    for (size_t i = 0; i < KINDS; i++) {
        if (wanted[i] &&
            way_play_servers(&demo->players, kinds[i], &demo->shows[demo->show_count++]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int run(struct demo *demo, const struct arguments *arguments) {
    double begun = seconds_now();
    if (stage_open(&demo->stage, arguments) != 0 || gather(demo) != 0) {
        return EXIT_FAILURE;
    }
    say_options();
    if (play_all(demo) != 0) {
        return EXIT_FAILURE;
    }
    const struct pass *origin = &demo->players.origin;
    report_tables(origin, demo->shows, demo->show_count);
    bool kept = report_verdict(origin, demo->shows, demo->show_count);
    progress_say("- All of it took %.0f s.", seconds_now() - begun);
    const char *html = arguments->html;
    if (html != NULL && plots_write(html, &demo->players, demo->shows, demo->show_count) != 0) {
        return EXIT_FAILURE;
    }
    if (html != NULL) {
        progress_say("- The report, with plots: %s (open it in a browser).", html);
    }
    if (!kept) {
        (void)progress_fail("the figures", "a promise was broken, see above");
    }
    return kept ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    struct arguments arguments;
    switch (arguments_parse(&arguments, argc, argv)) {
    case ARGUMENTS_HELPED:
        return EXIT_SUCCESS;
    case ARGUMENTS_REFUSED:
        return EXIT_USAGE;
    case ARGUMENTS_RUN:
        break;
    }
    progress_set_up();
    struct demo *demo = calloc(1, sizeof *demo);
    if (demo == NULL) {
        (void)fputs("demo: no memory\n", stderr);
        return EXIT_FAILURE;
    }
    int status = run(demo, &arguments);
    crew_close(demo->players.crew);
    ledger_close(&demo->ledger);
    stage_close(&demo->stage);
    free(demo);
    return status;
}
